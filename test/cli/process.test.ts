/** The program as a process of its own: what only real pipes and signals can show. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Bench, createBench } from './harness.ts';

const BIN = fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

describe('cli as a process', () => {
  let bench: Bench;
  before(() => {
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
    spawn(process.execPath, ['--import', TSX, BIN, ...argv], { cwd: bench.folder, stdio: ['pipe', 'pipe', 'pipe'] });

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
});
