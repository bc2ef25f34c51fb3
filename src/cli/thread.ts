/**
 * Threads of `dropcast replay`. Each reads the trace by itself, its shards or all of it, and takes the rows of its buckets: nothing of a row goes from
 * thread to thread. What the others are told is how far they may read, so that all stop at the same row; and at the end their
 * parts are put together. This file is both sides: loaded as a worker it serves, loaded by anyone else it can start one, before there is
 * work for it, since a thread begins as slowly as manifests are read. It is shipped twice, in the bundle of the commands and as a bundle of
 * its own that is the worker.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { programFrom, type ProgramSource } from '../compile/program.ts';
import { createDictionary } from '../model/flow.ts';
import { adoptKernel, compileKernel } from '../replay/kernel.ts';
import { mergeParts, type Part } from '../replay/part.ts';
import { createPartReplay, type Replay, type ReplayOptions } from '../replay/replay.ts';
import type { ReplayResult } from '../replay/result.ts';
import { type Buckets, shareBuckets } from '../replay/share.ts';
import { isBalanced, type TraceAccount } from '../trace/account.ts';
import type { ColumnarHead } from '../trace/binary-layout.ts';
import type { Share } from '../trace/format.ts';
import { Refusal } from './exit.ts';
import type { Io, Sink } from './terminal.ts';
import { optionsOf, readTraces, type TraceFlags, type TraceOptions } from './trace-input.ts';

/** What all threads read: regular files. */
export interface SharedReading {
  readonly traces: readonly string[];
  readonly flags: TraceFlags;
  /** Bytes of each trace; see `TraceOptions`. */
  readonly sizes: readonly number[];
  /** Of a trace in shards, of which each thread reads its own; undefined: all threads read everything. */
  readonly shards: ColumnarHead | undefined;
}

/** A replay whose rows are taken in by several threads. */
export interface CrewReplay extends Pick<Replay, 'add' | 'arena'> {
  /** Throws `Refusal` where other threads did not find the same rows in the traces. */
  finish(...values: Parameters<Replay['finish']>): Promise<ReplayResult>;
  /** How this thread reads. */
  readonly reading: Pick<TraceOptions, 'sizes' | 'share' | 'batchCapacity'>;
  /** For this thread's reading: an interrupt comes when all has been read that the others were let read. */
  readonly io: Io;
}

/** Threads that wait for a replay, or are at it. */
export interface Crew {
  /** Begins a replay on these threads and this one; what this one reads is given to `add`. Once. */
  replay(options: ReplayOptions, reading: SharedReading, io: Io): CrewReplay;
  /** Ends the threads, finished or not. */
  dismiss(): void;
}

/** Marks the workers that are ours: others may load the same bundle. */
const SERVICE = 'dropcast-replay';

/** What a worker is given. */
interface Task {
  /** The kernel as this thread has compiled it, and made it fast already where it has run. */
  readonly kernel: object | undefined;
  readonly reading: SharedReading & { readonly cwd: string };
  /** Of the candidate, and of the baseline where there is one. */
  readonly programs: readonly { readonly buffer: ArrayBufferLike; readonly source: ProgramSource }[];
  readonly options: Omit<ReplayOptions, 'program' | 'baseline' | 'dictionary' | 'timeline'>;
  readonly buckets: Buckets;
  readonly share: Share;
  /** [`Progress`] */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

/** How far threads may come, in words that all of them see. */
const enum Progress {
  /** Rows that the first one has read, or will have read before it ends, modulo 2^32. */
  Rows = 0,
  /** 1: there will be no more. */
  HasEnded = 1,
  Count = 2,
}

/**
 * Rows by which others may be ahead of the first thread, which reads as many before it heeds an interrupt. One thread waking another takes as
 * long as 2,000 rows, so that they do not wait for each other at every batch.
 */
const LEAD_ROWS = 1 << 18;

/** What a worker says. */
interface Answer {
  readonly part: Part;
  readonly seen: number;
  /** What it has read of shards. */
  readonly own: ShardAccount;
}

/** Rows that one thread alone has read, with their times. */
type ShardAccount = Pick<TraceAccount, 'used' | 'firstUs' | 'lastUs'>;

/** The worker's file beside this one; the bundler knows its name in what is shipped. */
const WORKER = (globalThis as { DROPCAST_THREAD?: string }).DROPCAST_THREAD ?? './thread.ts';

/** Begins so many threads but one, this one. */
export function recruit(threads: number): Crew {
  const workers = Array.from(
    { length: threads - 1 },
    () => new Worker(new URL(WORKER, import.meta.url), { workerData: SERVICE }),
  );
  const answers = workers.map(
    (worker) =>
      new Promise<Answer>((resolve, reject) => {
        worker.on('message', resolve).on('error', reject).on('messageerror', reject);
        worker.on('exit', (code) => reject(new Error(`a thread of the replay ended with code ${code}`)));
      }),
  );
  // Whoever fails while this thread reads is heard at the end.
  for (const answer of answers) answer.catch(() => {});
  return {
    replay: (options, reading, io) => beginReplay(options, { ...reading, cwd: io.cwd }, io, workers, answers),
    dismiss() {
      for (const worker of workers) void worker.terminate();
    },
  };
}

function beginReplay(
  options: ReplayOptions,
  reading: Task['reading'],
  io: Io,
  workers: readonly Worker[],
  answers: readonly Promise<Answer>[],
): CrewReplay {
  const { program, baseline, dictionary: _dictionary, timeline: _timeline, ...rest } = options;
  const count = workers.length + 1;
  const [buckets, ...others] = shareBuckets(count, reading.shards?.shards);
  const progress = new Int32Array(new SharedArrayBuffer(Progress.Count * 4));
  const programs = [program, ...(baseline === undefined ? [] : [baseline])].map(({ buffer, source }) => ({
    buffer,
    source,
  }));
  const kernel = compileKernel();
  workers.forEach((worker, index) => {
    const share = { index: index + 1, count };
    const task: Task = { kernel, reading, programs, options: rest, buckets: others[index]!, share, progress };
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage(task);
  });
  // The others begin meanwhile.
  const own = createPartReplay(options, buckets!);
  let released = 0;
  const release = (rows: number): void => {
    released = rows;
    Atomics.store(progress, Progress.Rows, rows | 0);
    Atomics.notify(progress, Progress.Rows);
  };
  let interrupt: (() => void) | undefined;
  const endIfInterrupted = (): void => {
    if (own.seen >= released) interrupt?.();
  };
  return {
    arena: own.arena,
    reading: readingOf(reading, { index: 0, count }),
    io: {
      ...io,
      onInterrupt(handler) {
        interrupt = undefined;
        return io.onInterrupt(() => {
          interrupt = handler;
          endIfInterrupted();
        });
      },
    },
    add(batch, account, from = 0, to = batch.count) {
      const rows = batch.share?.end ?? own.seen + to - from;
      if (interrupt !== undefined) release(Math.max(rows, released));
      else if (rows > released - LEAD_ROWS / 2) release(rows + LEAD_ROWS);
      own.add(batch, account, from, to);
      endIfInterrupted();
    },
    async finish(accounts, known) {
      Atomics.store(progress, Progress.HasEnded, 1);
      release(own.seen);
      const found = await Promise.all(answers);
      const account = accounts[0]!;
      for (const { own: more } of found) addAccount(account, more);
      // What is wrong with its own shards the first thread alone sees, and the others stop where it does.
      if (found.some(({ seen }) => seen !== own.seen) || (reading.shards !== undefined && !isBalanced(account)))
        throw new Refusal(
          'several threads did not find the same records: the trace was changed meanwhile, or is damaged; replay it with one',
        );
      return mergeParts([own.part(), ...found.map(({ part }) => part)], options, accounts, known);
    },
  };
}

/** A worker's side: reads what the first thread reads, as far as it reads. */
async function serve({ kernel, reading, programs, options, buckets, share, progress }: Task): Promise<Answer> {
  if (kernel !== undefined) adoptKernel(kernel);
  const [program, baseline] = programs.map(({ buffer, source }) => programFrom(buffer, source));
  const dictionary = createDictionary();
  const part = createPartReplay({ ...options, program: program!, ...(baseline && { baseline }), dictionary }, buckets);
  const own = { used: 0, firstUs: NaN, lastUs: NaN };
  let interrupt = (): void => {};
  const io = silentIo(reading.cwd, (handler) => (interrupt = handler));
  const how = await optionsOf(reading.flags, io);
  await readTraces(
    reading.traces,
    dictionary,
    { ...how, ...readingOf(reading, share), arena: part.arena },
    io,
    (batch, accounts, from, to) => {
      const ahead = waitFor(progress, batch.share?.end ?? part.seen + to - from);
      if (ahead > 0) interrupt();
      if (batch.share !== undefined) {
        // All threads end between two groups.
        if (ahead > 0) return;
        own.used += to - from;
        [own.firstUs, own.lastUs] = [accounts[0]!.firstUs, accounts[0]!.lastUs];
        part.add(batch, accounts, from, to);
      } else if (to - ahead > from) part.add(batch, accounts, from, to - ahead);
    },
  );
  return { part: part.part(), seen: part.seen, own };
}

/** How one of the threads reads. */
function readingOf({ sizes, shards }: SharedReading, share: Share): CrewReplay['reading'] {
  return { sizes, ...(shards && { share, batchCapacity: shards.groupRows }) };
}

/** Adds what another thread has read. */
function addAccount(account: TraceAccount, { used, firstUs, lastUs }: ShardAccount): void {
  account.used += used;
  // What is NaN is not less or more.
  if (firstUs < account.firstUs || Number.isNaN(account.firstUs)) account.firstUs = firstUs;
  if (lastUs > account.lastUs || Number.isNaN(account.lastUs)) account.lastUs = lastUs;
}

/** Waits until so many rows may be taken; how many are missing where the first thread has ended before. */
function waitFor(progress: Int32Array, rows: number): number {
  for (;;) {
    // The end is looked at first: rows do not change after it.
    const hasEnded = Atomics.load(progress, Progress.HasEnded) === 1;
    const read = Atomics.load(progress, Progress.Rows);
    const ahead = (rows - read) | 0;
    if (ahead <= 0 || hasEnded) return Math.max(0, ahead);
    // Wakes by itself too: the end may come between the looks and the wait.
    Atomics.wait(progress, Progress.Rows, read, 100);
  }
}

/** A worker has nothing to say and nobody to ask: the first thread reads the same and says it. */
function silentIo(cwd: string, onInterrupt: (handler: () => void) => void): Io {
  const sink: Sink = { isTTY: false, write: () => Promise.resolve('open') };
  return {
    stdout: sink,
    stderr: sink,
    stdin: (async function* () {})(),
    cwd,
    env: {},
    onInterrupt(handler) {
      onInterrupt(handler);
      return () => {};
    },
  };
}

if (!isMainThread && workerData === SERVICE)
  parentPort!.once('message', (task: Task) => {
    // What is thrown is the other side's 'error'.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    void serve(task).then((answer) => parentPort!.postMessage(answer));
  });
