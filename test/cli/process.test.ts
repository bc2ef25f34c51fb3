/** The program as a process of its own: what only real pipes and signals can show. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bundlePrograms } from '../bundle.mjs';
import { type Bench, createBench } from './harness.ts';

describe('cli as a process', () => {
  let bench: Bench;
  let program: string;
  before(async () => {
    program = (await bundlePrograms([fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url))]))[0]!;
    const pod = (name: string, ip: string): string =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop}\nstatus: {podIP: ${ip}, podIPs: [{ip: ${ip}}]}\n`;
    bench = createBench({
      'cluster.yaml': `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n${pod('a', '10.1.0.1')}---\n${pod('b', '10.1.0.2')}---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
`,
      'flows.csv': 'src,dst,dstPort,protocol\n10.1.0.1,10.1.0.2,80,TCP\n',
    });
  });
  after(() => bench.remove());

  const start = (...argv: string[]): ReturnType<typeof spawn> =>
    spawn(process.execPath, [program, ...argv], { cwd: bench.folder, stdio: ['pipe', 'pipe', 'pipe'] });

  it('gives its exit code and its sentence, with stdin left open', async () => {
    const child = start('replay', '-f', 'cluster.yaml', 'flows.csv');
    let stderr = '';
    child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout!.resume();
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 1, stderr);
    assert.equal(stderr, 'dropcast: 1 connection would be dropped (--fail-on drop)\n');
  });

  it('is quiet when the reader of its output goes away', async () => {
    const child = start('replay', '-f', 'cluster.yaml', 'flows.csv');
    let stderr = '';
    child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout!.destroy();
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 1, stderr);
    assert.doesNotMatch(stderr, /EPIPE|Error/);
  });

  it('says so where the folder that it was started in is gone', { skip: process.platform === 'win32' }, () => {
    const { status, stderr } = spawnSync(
      '/bin/sh',
      ['-c', 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$1" check -f x.yaml', process.execPath, program],
      { cwd: bench.folder, encoding: 'utf8' },
    );
    assert.equal(status, 2);
    assert.match(stderr, /dropcast: .*the current folder: no such file or folder/);
    assert.doesNotMatch(stderr, /\n {4}at /);
  });

  it('prints the result so far on SIGINT', async () => {
    const child = start('replay', '-f', 'cluster.yaml', '--fail-on', 'never', '-');
    let stdout = '';
    child.stdout!.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr!.resume();
    child.stdin!.on('error', () => {});
    const rows = Array.from({ length: 60_000 }, (_, index) => `10.1.0.1,10.1.0.2,${index + 1},TCP\n`);
    // More than a pipe holds: once all of it is taken, the program reads, and it reads behind its handler alone.
    child.stdin!.write(`src,dst,dstPort,protocol\n${rows.join('')}`, () => child.kill('SIGINT'));
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 3);
    assert.match(stdout, /Replayed [1-9][\d,]* connections? of 1 trace/);
    assert.match(stdout, /result is incomplete\n$/);
  });

  const FULL = '/dev/full';
  it(
    'exits 2 and says so where its output cannot be written',
    { skip: existsSync(FULL) ? false : `no ${FULL}` },
    () => {
      const full = openSync(FULL, 'w');
      for (const argv of [['replay', '-f', 'cluster.yaml', '--fail-on', 'never', 'flows.csv'], ['--help']]) {
        const { status, stderr } = spawnSync(process.execPath, [program, ...argv], {
          cwd: bench.folder,
          stdio: ['ignore', full, 'pipe'],
          encoding: 'utf8',
        });
        assert.equal(status, 2);
        assert.match(stderr, /^dropcast: stdout: no space left on device\n$/);
      }
      closeSync(full);
    },
  );

  const hasPipes = process.platform !== 'win32' && spawnSync('mkfifo', ['--version']).status === 0;
  it('reads a named pipe in one go, and writes into one', { skip: hasPipes ? false : 'no mkfifo' }, async () => {
    for (const name of ['in', 'out']) assert.equal(spawnSync('mkfifo', [join(bench.folder, name)]).status, 0);
    const running = start('convert', 'in', '--format', 'csv', '-o', 'out', '--to', 'csv');
    running.stderr!.resume();
    const shell = (command: string): ReturnType<typeof spawn> =>
      spawn('/bin/sh', ['-c', command], { cwd: bench.folder, stdio: ['ignore', 'pipe', 'ignore'] });
    const feeding = shell('cat flows.csv > in');
    const taking = shell('cat out');
    let taken = '';
    taking.stdout!.on('data', (chunk: Buffer) => (taken += chunk.toString()));
    const ended = [running, feeding, taking].map(async (child) => ((await once(child, 'close')) as [number])[0]);
    assert.deepEqual(await Promise.all(ended), [0, 0, 0]);
    assert.match(taken, /\n,?.*10\.1\.0\.1,,10\.1\.0\.2,80/);
    assert.ok(statSync(join(bench.folder, 'out')).isFIFO(), 'what was there is there still');
    const { status, stderr } = spawnSync(
      process.execPath,
      [program, 'replay', '-f', 'cluster.yaml', '--since', '5s', 'in'],
      { cwd: bench.folder, encoding: 'utf8' },
    );
    assert.equal(status, 2);
    assert.match(stderr, /^dropcast: in can be read once: --since and --until take times there/);
  });
});
