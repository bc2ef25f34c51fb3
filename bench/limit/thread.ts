/**
 * A stateful replay on several threads, pass after pass: each thread reads its shards of a trace in memory, as the command line reads a
 * file, and their parts are put together. On one thread it is the same trace without shards.
 */
import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { compile } from '../../src/compile/compile.ts';
import { programFrom, type ProgramSource } from '../../src/compile/program.ts';
import type { Program } from '../../src/compile/program.ts';
import { createDictionary, type Dictionary } from '../../src/model/flow.ts';
import { mergeParts, type Part } from '../../src/replay/part.ts';
import {
  createPartReplay,
  createReplay,
  type PartReplay,
  type Replay,
  type ReplayOptions,
} from '../../src/replay/replay.ts';
import { type Buckets, shardOf, shareBuckets } from '../../src/replay/share.ts';
import { createAccount } from '../../src/trace/account.ts';
import { GROUP_ROWS, GROUP_ROWS_MOST } from '../../src/trace/binary-layout.ts';
import { createBinaryWriter } from '../../src/trace/binary-writer.ts';
import type { Share } from '../../src/trace/format.ts';
import { memoryFile } from '../memory-file.ts';
import { readTrace } from '../../src/trace/read.ts';
import { Clock } from '../../src/track/clock.ts';
import { makeWorld } from './decision.ts';
import { HASH_START, type Job, type JobOptions } from './job.ts';
import { hashOfResult, prepareReplay, type ReplaySize } from './replay.ts';

/** Leaves what `prepareReplay` does, and shards.bin: the same trace in as many shards as there are threads. */
export async function prepareThreads(
  folder: string,
  { threads, ...size }: ReplaySize & { readonly threads: number },
): Promise<void> {
  prepareReplay(folder, size);
  const dictionary = createDictionary();
  const writer = createBinaryWriter(dictionary, {
    shards: threads,
    shardOf: (batch, row) => shardOf(threads, batch, row),
    clock: new Clock(),
  });
  const parts: Uint8Array[] = [];
  const bytes = readFileSync(join(folder, 'trace.bin'));
  for await (const batch of readTrace(chunkOf(bytes), {
    file: 'trace.bin',
    dictionary,
    account: createAccount('trace.bin'),
  }))
    parts.push(writer.write(batch));
  writeFileSync(join(folder, 'shards.bin'), Buffer.concat([...parts, writer.end()]));
}

/** What a thread is given. */
interface Task {
  readonly kind: 'bench-thread';
  readonly bytes: Uint8Array;
  readonly buffer: ArrayBufferLike;
  readonly source: ProgramSource;
  readonly share: Share;
  readonly buckets: Buckets;
}

/** By `values.threads`. */
export async function openThreads(folder: string, { values, passes }: JobOptions): Promise<Job> {
  const threads = values['threads']!;
  const { snapshot, policies } = makeWorld({ pods: values['pods']!, policies: values['policies']! });
  const program = compile(snapshot, policies);
  const bytes = readShared(join(folder, threads === 1 ? 'trace.bin' : 'shards.bin'));
  const [buckets, ...others] = threads === 1 ? [undefined] : shareBuckets(threads, threads);
  const workers = others.map((own, index) => {
    const task: Task = {
      kind: 'bench-thread',
      bytes,
      buffer: program.buffer,
      source: program.source,
      share: { index: index + 1, count: threads },
      buckets: own!,
    };
    // This file's bundle.
    return new Worker(new URL(import.meta.url), { workerData: task });
  });
  const own = createRunner(program, bytes, buckets && { share: { index: 0, count: threads }, buckets });
  const ask = async (what: 'pass' | 'part'): Promise<Part[]> =>
    Promise.all(
      workers.map(
        (worker) =>
          new Promise<Part>((resolve, reject) => {
            worker.removeAllListeners().once('message', resolve).once('error', reject);
            // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
            worker.postMessage(what);
          }),
      ),
    );
  let last: number | undefined;
  const digest = (): number => last!;
  let passed = 0;
  const look = async (): Promise<void> => {
    const parts = await ask('part');
    const result =
      buckets === undefined
        ? (own.replay as Replay).finish([])
        : mergeParts([(own.replay as PartReplay).part(), ...parts], own.options, []);
    last = hashOfResult(HASH_START, result);
  };
  return {
    count: values['records']!,
    run: async () => {
      const asked = ask('pass');
      await own.pass();
      await asked;
    },
    settle: async () => {
      if (++passed === 1 || passed === passes) await look();
      if (passed === passes) for (const worker of workers) await worker.terminate();
    },
    digest: (hash) => (passed < passes ? hash : digest()),
    first: digest,
  };
}

interface Runner {
  readonly replay: Replay | PartReplay | undefined;
  readonly options: ReplayOptions;
  pass(): Promise<void>;
}

function createRunner(
  program: Program,
  bytes: Uint8Array,
  part: { readonly share: Share; readonly buckets: Buckets } | undefined,
): Runner {
  let replay: Replay | PartReplay | undefined;
  const optionsOf = (dictionary: Dictionary): ReplayOptions => ({
    program,
    dictionary,
    mode: 'connections',
    invalid: 'count',
    kernel: 'wasm',
  });
  let options = optionsOf(createDictionary());
  return {
    get replay() {
      return replay;
    },
    get options() {
      return options;
    },
    async pass() {
      replay?.close();
      const dictionary = createDictionary();
      options = optionsOf(dictionary);
      const own = (replay = part === undefined ? createReplay(options) : createPartReplay(options, part.buckets));
      const account = createAccount('trace.bin');
      const reading = {
        file: 'trace.bin',
        account,
        dictionary,
        batchCapacity: Math.min(GROUP_ROWS_MOST, GROUP_ROWS * (part?.share.count ?? 1)),
        batchUse: 'read' as const,
        directFile: memoryFile(bytes),
        ...(part && { share: part.share }),
        ...(own.arena && { arena: own.arena }),
      };
      for await (const batch of readTrace(chunkOf(bytes), reading)) own.add(batch, account);
    },
  };
}

async function* chunkOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A file in memory that all threads see. */
function readShared(path: string): Uint8Array {
  const { size } = statSync(path);
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
  const file = openSync(path, 'r');
  for (let at = 0; at < size;) at += readSync(file, bytes, at, size - at, at);
  closeSync(file);
  return bytes;
}

const task = workerData as Task | undefined;
if (!isMainThread && task?.kind === 'bench-thread') {
  const { bytes, buffer, source, share, buckets } = task;
  const runner = createRunner(programFrom(buffer, source), bytes, { share, buckets });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const answer = (part?: Part): void => parentPort!.postMessage(part);
  parentPort!.on('message', (what: 'pass' | 'part') => {
    if (what === 'part') answer((runner.replay as PartReplay).part());
    else void runner.pass().then(() => answer());
  });
}
