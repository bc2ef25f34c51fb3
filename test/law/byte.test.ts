/**
 * Law: no bytes break a reader. Manifests, every trace format, containers, scenario files, expectations and Programs are read
 * from damaged inputs, in a thread that is watched: no exception but those that are documented, no hang, no heap without bound, and
 * an account that adds up. DROPCAST_RUNS multiplies the time; `npm run test:bytes` is a long run. What once broke a reader
 * stands in byte/fixture.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { INPUT_SIZE_MAX } from './byte/mutation.ts';
import { type ByteEnd, type ByteReport, type ByteTask, State } from './byte/worker.ts';
import { runs, seed } from './seed.ts';

const BUDGET_MS = runs(100);
const INPUTS_MIN = 40;
/** A reader that is this long busy with one input of at most 64 KiB hangs. */
const HANG_MS = 60_000;
const HEAP_MAX_MB = 1024;
/** A thread does not inherit the loader of TypeScript. */
const START = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(new URL('byte/worker.ts', import.meta.url).href)});
});`;
const FIXTURES = fileURLToPath(new URL('byte/fixture/', import.meta.url));

test(`damaged bytes break no reader (seed ${seed})`, async (context) => {
  const { reports, seedless } = await tryReaders();
  const failures: string[] = [];
  for (const { reader, inputs, bytes, slowestMs, failures: own } of reports) {
    context.diagnostic(`${reader}: ${inputs} inputs, ${bytes} bytes, slowest ${slowestMs.toFixed(0)} ms`);
    for (const { error, input } of own) failures.push(`${reader}: ${error}\n  input kept as ${keep(reader, input)}`);
  }
  const total = reports.reduce((sum, { bytes }) => sum + bytes, 0);
  context.diagnostic(`${reports.length} readers, ${total} bytes`);
  assert.deepEqual(failures, []);
  assert.ok(reports.length > 15 && reports.every(({ inputs }) => inputs >= INPUTS_MIN));
  assert.deepEqual(seedless, [], 'each format has a fixture in test/trace/fixture, or a text in test/trace/*.ts');
});

/** Runs the thread to its end; throws, naming the input, where it hangs or its heap grows beyond bound. */
function tryReaders(): Promise<{ reports: ByteReport[]; seedless: readonly string[] }> {
  const shared = new SharedArrayBuffer(State.Size * 4 + INPUT_SIZE_MAX);
  const state = new Uint32Array(shared, 0, State.Size);
  const fixtures = readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.bin'))
    .map((name) => ({ name, bytes: Uint8Array.from(readFileSync(join(FIXTURES, name))) }));
  const task: ByteTask = { seed, budgetMs: BUDGET_MS, inputsMin: INPUTS_MIN, fixtures, shared };
  const worker = new Worker(START, {
    eval: true,
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB },
  });
  const reports: ByteReport[] = [];
  return new Promise((resolve, reject) => {
    let seen = 0;
    let since = performance.now();
    const fail = (why: string): void => {
      clearInterval(watch);
      void worker.terminate();
      const input = Uint8Array.from(
        new Uint8Array(shared, State.Size * 4, Math.min(state[State.Length]!, INPUT_SIZE_MAX)),
      );
      const reader = reports.length === 0 ? 'the first reader' : `the reader after ${reports.at(-1)!.reader}`;
      reject(new Error(`${why}: ${reader}; its input is kept as ${keep('lost', input)}`));
    };
    const watch = setInterval(() => {
      if (state[State.Count] !== seen) {
        seen = state[State.Count]!;
        since = performance.now();
      } else if (performance.now() - since > HANG_MS) fail('a reader hangs');
    }, 1000);
    worker.on('message', (message: ByteReport | ByteEnd) => {
      if ('reader' in message) return void reports.push(message);
      clearInterval(watch);
      resolve({ reports, seedless: message.seedless });
    });
    worker.on('error', (error) => fail(error.message));
  });
}

/** Where a person can have the input again. */
function keep(reader: string, input: Uint8Array): string {
  const path = join(tmpdir(), `dropcast-${reader.replaceAll(/\W+/g, '-')}-${Date.now() % 1e9}.bin`);
  writeFileSync(path, input);
  return path;
}
