/** `--threads`, in the bundles that are shipped: threads are real there, and the result is that of one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
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

function replay(...flags: string[]): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  const manifests = ['-f', join(app, 'cluster.yaml'), '-f', join(app, 'policies'), '--baseline', join(app, 'mended')];
  const args = [join(folder, 'cli.cjs'), 'replay', join(app, 'capture.pcap'), ...manifests, '-o', 'json', ...flags];
  return spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
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

test('with a limit of the connection table one thread does it all', () => {
  const limited = ['--conntrack-max', '50'];
  assert.equal(replay(...limited, '--threads', '2').stdout, replay(...limited).stdout);
});

test('a number of threads that nobody can mean is refused', () => {
  assert.equal(replay('--threads', '0').status, 2);
  assert.equal(replay('--threads', '1000').status, 2);
});
