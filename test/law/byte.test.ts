/**
 * Law: no bytes break a reader. Manifests, every trace format, containers, scenario files, expectations and Programs are read
 * from damaged inputs, in a thread that is watched: no exception but those that are documented, no hang, no heap without bound, and
 * an account that adds up. DROPCAST_RUNS multiplies the time; `npm run test:bytes` is a long run. What once broke a reader
 * stands in byte/fixture.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import { ForeignFailure, startForeign } from '../../src/fuzz/foreign.ts';
import { arbitraryPlainTrial } from '../../src/fuzz/trial.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import type { BombReport } from './byte/bomb.ts';
import { INPUT_SIZE_MAX, createBelow, mutate } from './byte/mutation.ts';
import { type ByteEnd, type ByteReport, type ByteTask, State } from './byte/worker.ts';
import { bundlePrograms } from '../bundle.mjs';
import { runs, seed } from './seed.ts';

const BUDGET_MS = runs(60);
const INPUTS_MIN = 40;
/** A reader that is this long busy with one input of at most 64 KiB hangs. */
const HANG_MS = 60_000;
const HEAP_MAX_MB = 1024;
/** Of the process that reads bombs: its heap, and all of its memory. */
const BOMB_HEAP_MB = 400;
const BOMB_MEMORY_MB = 800;
/** Large, and yet what they say they are. */
const HARMLESS: readonly string[] = ['pcapng: a million interfaces'];
const REPLIES = [
  '{"id":2,"verdicts":["allow","deny","undecidable"]}',
  '{"id":2,"error":"no batches here"}',
  ' {"verdicts" : ["allow","allow","deny"], "id":2, "note":"\\u00e9"}',
].map((text) => Buffer.from(text));
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
  assert.deepEqual(seedless, [], 'each format has a fixture in test/trace/fixture, or a text in test/trace/log.ts');
});

test('bombs are refused in little memory, with a word for each', async (context) => {
  const program = (await bundlePrograms([fileURLToPath(new URL('byte/bomb.ts', import.meta.url))]))[0]!;
  const args = [...process.execArgv, `--max-old-space-size=${BOMB_HEAP_MB}`, program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 10 * HANG_MS, maxBuffer: 1 << 24 });
  const reports = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BombReport);
  for (const { name, said, bytes, ms, peakMb } of reports) {
    context.diagnostic(`${name}: ${bytes} bytes, ${ms} ms, ${peakMb} MiB; ${said.join(', ')}`);
    assert.ok(peakMb < BOMB_MEMORY_MB, `${name}: ${peakMb} MiB`);
    if (!HARMLESS.includes(name)) assert.ok(said.length > 0, `${name} is swallowed without a word`);
  }
  assert.ok(reports.length > 30);
  for (const name of ['gzip: 2 GiB of one line in 2 MB', 'zstd: 4 GiB of one line in 128 KB'])
    assert.ok(reports.find((report) => report.name === name)?.said.includes('limit-exceeded'), name);
});

test(`damaged replies of a foreign evaluator end the run in a sentence, or are verdicts (seed ${seed})`, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'dropcast-reply-'));
  const below = createBelow(seed);
  const [trial] = fc.sample(
    arbitraryPlainTrial(DEFAULT_DIALECT).filter(({ packets }) => packets.length === 3),
    { seed, numRuns: 1 },
  );
  const tried = { inputs: 0, bytes: 0, failures: 0 };
  const depth = '['.repeat(100_000) + ']'.repeat(100_000);
  const deep = [`{"id":2,"verdicts":${depth}}`, `{"id":2,"error":${depth}}`, depth].map((text) => Buffer.from(text));
  try {
    for (const input of [...deep, ...Array.from({ length: runs(30) }, () => mutate(below, REPLIES))]) {
      writeFileSync(join(folder, 'reply'), Buffer.concat([input, Buffer.from('\n')]));
      const command = `read -r world && echo '{"id":1}' && read -r flows && cat reply`;
      const foreign = startForeign({
        command,
        cwd: folder,
        answerMs: HANG_MS,
        killGroup: (leader) => void process.kill(-leader, 'SIGKILL'),
      });
      try {
        const answers = await foreign.ask(trial!);
        assert.equal(answers.length, 3);
      } catch (error) {
        assert.ok(error instanceof ForeignFailure && error.message !== '', String(error));
        tried.failures++;
      } finally {
        foreign.close();
      }
      tried.inputs++;
      tried.bytes += input.length;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  context.diagnostic(`protocol: ${tried.inputs} replies, ${tried.bytes} bytes, ${tried.failures} refused`);
  assert.ok(tried.failures > 5 && tried.failures <= tried.inputs);
});

test('readers of traces parse JSON where its depth is bounded', () => {
  const folder = fileURLToPath(new URL('../../src/trace/', import.meta.url));
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && name !== 'line.ts');
  assert.ok(files.length > 20);
  for (const name of files)
    assert.ok(
      !/JSON\.parse\(/.test(readFileSync(join(folder, name), 'utf8')),
      `${name}: parseJson of line.ts is meant`,
    );
});

/** Runs the thread to its end; throws, naming the input, where it hangs or its heap grows beyond bound. */
async function tryReaders(): Promise<{ reports: ByteReport[]; seedless: readonly string[] }> {
  const shared = new SharedArrayBuffer(State.Size * 4 + INPUT_SIZE_MAX);
  const state = new Uint32Array(shared, 0, State.Size);
  const fixtures = readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.bin'))
    .map((name) => ({ name, bytes: Uint8Array.from(readFileSync(join(FIXTURES, name))) }));
  const task: ByteTask = { seed, budgetMs: BUDGET_MS, inputsMin: INPUTS_MIN, fixtures, shared };
  const worker = new Worker((await bundlePrograms([fileURLToPath(new URL('byte/worker.ts', import.meta.url))]))[0]!, {
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
