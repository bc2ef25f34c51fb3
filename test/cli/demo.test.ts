/**
 * The shipped trace, end to end: its connections are those that an independent count found, the drop that the project is
 * about is shown with file and line, and the report follows every change of the policy.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Bench, createBench } from './harness.ts';

const app = join(import.meta.dirname, '../../traces/app1');
const capture = join(app, 'capture.pcap');
const cluster = join(app, 'cluster.yaml');
const taught = readFileSync(join(app, 'policies/backend.yaml'), 'utf8');
const counts = JSON.parse(readFileSync(join(app, 'counts.json'), 'utf8')) as {
  records: { all: number };
  connections: {
    tcp: { ipv4: number; ipv6: number };
    udp: { ipv4: number; ipv6: number };
    icmpEcho: { ipv4: number; ipv6: number };
    tcpOpenBefore: number;
  };
};

const bench: Bench = createBench({
  'policies/backend.yaml': taught,
  'policies/frontend.yaml': readFileSync(join(app, 'policies/frontend.yaml'), 'utf8'),
  'policies/db.yaml': readFileSync(join(app, 'policies/db.yaml'), 'utf8'),
});
after(() => bench.remove());

interface Group {
  readonly source: { readonly kind: string; readonly workload?: { readonly name: string } };
  readonly destination: { readonly kind: string; readonly workload?: { readonly name: string } };
  readonly protocol: string;
  readonly port?: number;
  readonly isPartial: boolean;
  readonly verdict: string;
  readonly connections: number;
  readonly decision: {
    readonly ingress: {
      readonly decidedBy?: { readonly file: string; readonly line: number };
      readonly nearest?: { readonly file: string; readonly line: number; readonly why: string };
    };
  };
}

async function replay(...extra: string[]): Promise<Group[]> {
  const { code, stdout, stderr } = await bench.run([
    'replay',
    '--fail-on',
    'never',
    '-f',
    cluster,
    '-f',
    'policies',
    '-o',
    'json',
    ...extra,
    capture,
  ]);
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { groups: Group[] }).groups;
}

function between(groups: readonly Group[], source: string, destination: string, port: number): Group[] {
  return groups.filter(
    (group) =>
      group.source.workload?.name === source &&
      group.destination.workload?.name === destination &&
      group.protocol === 'TCP' &&
      group.port === port &&
      !group.isPartial,
  );
}

const lineOf = (text: string, part: string): number => text.split('\n').findIndex((line) => line.includes(part)) + 1;

test('the connections of the capture are those that an independent count found', async () => {
  const groups = await replay();
  const sum = (wanted: (group: Group) => boolean): number =>
    groups.filter(wanted).reduce((all, group) => all + group.connections, 0);
  const { tcp, udp, icmpEcho, tcpOpenBefore } = counts.connections;
  assert.equal(
    sum(({ protocol, isPartial }) => protocol === 'TCP' && !isPartial),
    tcp.ipv4 + tcp.ipv6,
  );
  assert.equal(
    sum(({ protocol, isPartial }) => protocol === 'UDP' && !isPartial),
    udp.ipv4 + udp.ipv6,
  );
  assert.equal(
    sum(({ protocol }) => protocol === 'ICMP'),
    icmpEcho.ipv4,
  );
  assert.equal(
    sum(({ protocol }) => protocol === 'ICMPv6'),
    icmpEcho.ipv6,
  );
  assert.equal(
    sum(({ isPartial }) => isPartial),
    tcpOpenBefore,
  );
});

test('frontend to backend is dropped, because the policy admits role=web and the frontend is role=frontend', async () => {
  const groups = between(await replay(), 'frontend-deploy', 'backend-deploy', 5678);
  assert.ok(groups.length > 0);
  for (const { verdict, decision } of groups) {
    assert.equal(verdict, 'deny');
    assert.match(decision.ingress.nearest!.why, /^admits role=web; the source is role=frontend$/);
    assert.equal(decision.ingress.nearest!.file, 'policies/backend.yaml');
    assert.equal(decision.ingress.nearest!.line, lineOf(taught, '- from:'));
  }
});

test('replies of allowed connections are never reported as drops', async () => {
  for (const { verdict, source, destination, port } of await replay())
    if (verdict === 'deny')
      assert.ok(
        !(
          source.workload?.name === 'coredns' ||
          (source.workload?.name === 'db-sts' && port !== undefined && port > 32_767)
        ),
        JSON.stringify({ source, destination, port }),
      );
});

test('the report follows a change of the label, of the line and of two ports', async () => {
  bench.write('policies/backend.yaml', taught.replace('role: web', 'role: frontend'));
  const mended = between(await replay(), 'frontend-deploy', 'backend-deploy', 5678);
  assert.ok(mended.length > 0);
  for (const { verdict, decision } of mended) {
    assert.equal(verdict, 'allow');
    assert.equal(decision.ingress.decidedBy!.line, lineOf(taught, '- from:'));
  }

  bench.write('policies/backend.yaml', '\n'.repeat(7) + taught);
  const moved = between(await replay(), 'frontend-deploy', 'backend-deploy', 5678);
  assert.ok(moved.length > 0);
  for (const { verdict, decision } of moved) {
    assert.equal(verdict, 'deny');
    assert.equal(decision.ingress.nearest!.line, lineOf(taught, '- from:') + 7);
  }

  // The backend now answers the frontend on 3306 and may ask the database on 5678: both tiers lose what they had.
  const swapped = taught
    .replace('role: web', 'role: frontend')
    .replace('port: 5678', 'port: 0')
    .replace('port: 3306', 'port: 5678')
    .replace('port: 0', 'port: 3306');
  bench.write('policies/backend.yaml', swapped);
  const groups = await replay();
  const toBackend = between(groups, 'frontend-deploy', 'backend-deploy', 5678);
  const toStore = between(groups, 'backend-deploy', 'db-sts', 3306);
  assert.ok(toBackend.length > 0 && toStore.length > 0);
  for (const { verdict, decision } of toBackend) {
    assert.equal(verdict, 'deny');
    assert.match(decision.ingress.nearest!.why, /admits TCP\/3306; the flow is TCP\/5678/);
  }
  for (const { verdict } of toStore) assert.equal(verdict, 'deny');
  bench.write('policies/backend.yaml', taught);
});

test('the mended policies let the frontend in, and the comparison says what changed', async () => {
  const { code, stdout } = await bench.run([
    'replay',
    '-f',
    cluster,
    '-f',
    join(app, 'mended'),
    '--baseline',
    'policies',
    '-o',
    'json',
    capture,
  ]);
  assert.equal(code, 0, 'nothing is newly dropped');
  const { comparison } = JSON.parse(stdout) as {
    comparison: Record<'newlyDropped' | 'newlyAllowed', { connections: number }>;
  };
  assert.equal(comparison.newlyDropped.connections, 0);
  const before = between(await replay(), 'frontend-deploy', 'backend-deploy', 5678).reduce(
    (sum, group) => sum + group.connections,
    0,
  );
  assert.equal(comparison.newlyAllowed.connections, before);
});

test('the recorded policies pass their unit tests', async () => {
  for (const [folder, table] of [
    ['policies', 'expect.csv'],
    ['mended', 'mended.expect.csv'],
  ] as const) {
    const { code, stdout } = await bench.run(['test', '-f', cluster, '-f', join(app, folder), join(app, table)]);
    assert.equal(code, 0, stdout);
  }
});

test('the synthetic Hubble trace has 88 connections, before and behind the Services counted once', async () => {
  const { stdout } = await bench.run([
    'replay',
    '--fail-on',
    'never',
    '-f',
    cluster,
    '-f',
    join(app, 'mended'),
    '-o',
    'json',
    join(app, 'hubble.jsonl'),
  ]);
  const { totals, partial, recorded } = JSON.parse(stdout) as {
    totals: Record<'allow' | 'deny' | 'undecidable', { connections: number }>;
    partial: Record<'allow' | 'deny' | 'undecidable', { connections: number }>;
    recorded: { allowDeny: number; denyAllow: number; denyDeny: number };
  };
  const all = [totals, partial]
    .flatMap((tallies) => Object.values(tallies))
    .reduce((sum, { connections }) => sum + connections, 0);
  assert.equal(all, 88);
  // The trace imagines a cluster that enforces the mended policies: the forecast agrees with every recorded verdict.
  assert.deepEqual([recorded.allowDeny, recorded.denyAllow, recorded.denyDeny], [0, 0, 17]);
});

test('a cluster whose pods have no address in the trace gives no forecast, and the report says so first', async () => {
  bench.write(
    'elsewhere.yaml',
    'apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: app1-ns }\nspec: { containers: [{ name: c }] }\nstatus: { podIP: 192.0.2.1 }\n',
  );
  const argv = ['replay', '--fail-on', 'never', '-f', 'elsewhere.yaml', '-f', 'policies'];
  const { stdout, stderr } = await bench.run([...argv, capture]);
  assert.match(stdout.replaceAll('\n', ' '), /No connection touches a pod of the input/);
  assert.doesNotMatch(stdout, /Nothing would be dropped/);
  assert.match(stderr, /no connection touches a pod of the input: this says nothing about the policies/);

  const named = await bench.run(['replay', '--fail-on', 'never', '-f', 'policies', join(app, 'hubble.jsonl')]);
  assert.equal(named.code, 0, 'records that bring their pods with labels need no other');
  assert.doesNotMatch(named.stdout, /The input holds no pod/);
});

test('several traces are one: the same capture twice, halves in the wrong order and both ends apart change no count', async () => {
  const lines = readFileSync(join(app, 'hubble.jsonl'), 'utf8').trimEnd().split('\n');
  const isIngress = (line: string): boolean => line.includes('"traffic_direction":"INGRESS"');
  bench.write('first.jsonl', `${lines.slice(0, lines.length / 2).join('\n')}\n`);
  bench.write('second.jsonl', `${lines.slice(lines.length / 2).join('\n')}\n`);
  bench.write('ingress.jsonl', `${lines.filter(isIngress).join('\n')}\n`);
  bench.write('rest.jsonl', `${lines.filter((line) => !isIngress(line)).join('\n')}\n`);
  const count = async (...traces: string[]): Promise<string> => {
    const { stdout } = await bench.run(['replay', '--fail-on', 'never', '-f', cluster, '-f', 'policies', ...traces]);
    return /^Replayed ([\d,]+) connections/.exec(stdout)![1]!;
  };
  assert.equal(await count(capture, capture), '469');
  assert.equal(await count('second.jsonl', 'first.jsonl'), '88');
  assert.equal(await count('rest.jsonl', 'ingress.jsonl'), '88');
});

test('convert says what CSV has no columns for, and is silent where nothing is lost', async () => {
  const csv = await bench.run(['convert', capture, '-o', 'out.csv']);
  assert.equal(csv.code, 0);
  assert.match(csv.stderr, /CSV has no columns for the packets that ICMP errors quote \(13 rows\)/);
  const binary = await bench.run(['convert', capture, '--to', 'binary', '-o', 'out.dcb']);
  assert.equal(binary.code, 0, binary.stderr);
  assert.doesNotMatch(binary.stderr, /no columns/);
});
