/** `--threads`, in the bundles that are shipped: threads are real there, and the result is that of one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const app = join(import.meta.dirname, '../../traces/app1');
let folder = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dropcast-thread-'));
  const { buildCli } = (await import('../../scripts/cli.mjs' as string)) as {
    buildCli(outdir: string): Promise<void>;
  };
  await buildCli(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const capture = join(app, 'capture.pcap');

function run(args: readonly string[], input?: Uint8Array): Outcome {
  const argv = [join(folder, 'cli.cjs'), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { input, maxBuffer: 1 << 28 });
  return { status, stdout: stdout.toString('latin1'), stderr: stderr.toString() };
}

function replayTraces(traces: readonly string[], flags: readonly string[], input?: Uint8Array): Outcome {
  const manifests = ['-f', join(app, 'cluster.yaml'), '-f', join(app, 'policies'), '--baseline', join(app, 'mended')];
  return run(['replay', ...traces, ...manifests, '-o', 'json', ...flags], input);
}

function replay(...flags: string[]): Outcome {
  return replayTraces([capture], flags);
}

test('the real capture has the same result on one thread, two and three, byte for byte', () => {
  const one = replay();
  assert.equal(one.status, 1, one.stderr);
  assert.ok(one.stdout.length > 100_000);
  for (const threads of ['2', '3']) {
    const more = replay('--threads', threads);
    assert.equal(more.status, 1, more.stderr);
    assert.ok(more.stdout === one.stdout, `--threads ${threads} printed something else`);
  }
});

test('threads that read files by themselves find what one finds: columnar, text, several, merged, cut off, within bounds of time', () => {
  const binary = join(folder, 'capture.bin');
  assert.equal(run(['convert', capture, '--to', 'binary', '-o', binary]).status, 0);
  const whole = readFileSync(binary);
  const cut = join(folder, 'cut.bin');
  writeFileSync(cut, whole.subarray(0, whole.length - 1000));
  const text = join(app, 'hubble.jsonl');
  const cases: readonly (readonly [traces: readonly string[], flags: readonly string[], input?: Uint8Array])[] = [
    [[binary], []],
    [
      [binary, text, capture],
      ['--since', 'start+1s', '--until', '1s'],
    ],
    [
      [text, cut, binary],
      ['--packets', '--align-clocks'],
    ],
    [['-'], [], whole],
  ];
  for (const [traces, flags, input] of cases) {
    const one = replayTraces(traces, flags, input);
    assert.ok(one.stdout.length > 10_000, `${flags.join(' ')}: ${one.stderr}`);
    const two = replayTraces(traces, [...flags, '--threads', '2'], input);
    assert.ok(two.stdout === one.stdout, `${traces.join(' ')} ${flags.join(' ')}: the reports differ`);
    assert.deepEqual([two.status, two.stderr], [one.status, one.stderr]);
  }
});

test('with a limit of the connection table one thread does it all', () => {
  const limited = ['--conntrack-max', '50'];
  assert.equal(replay(...limited, '--threads', '2').stdout, replay(...limited).stdout);
});

test('a number of threads that nobody can mean is refused', () => {
  assert.equal(replay('--threads', '0').status, 2);
  assert.equal(replay('--threads', '1000').status, 2);
});
