/** `replay --snapshots`: an address belongs to whoever held it when the record was made. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Bench, createBench } from './harness.ts';

/** Only web may reach db; 10.0.0.7 is web's until 02:00, then batch's. */
const POLICY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
`;

function pod(app: string, name: string, ip: string, started: string): string {
  return `apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: shop
  labels: {app: ${app}, pod-template-hash: abc}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: ${app}-abc, uid: u, controller: true}]
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: ${ip}, startTime: "2026-11-21T${started}Z"}
`;
}

const DB = pod('db', 'db-abc-1', '10.0.0.9', '00:00:00');
const BEFORE = [DB, pod('web', 'web-abc-1', '10.0.0.7', '00:00:00')].join('---\n');
const AFTER = [
  DB,
  pod('batch', 'batch-abc-1', '10.0.0.7', '02:00:00'),
  pod('web', 'web-abc-2', '10.0.0.8', '02:00:00'),
].join('---\n');

function connection(time: string, src: string, port: number, more: object = {}): string {
  const t = `2026-11-21T${time}Z`;
  return JSON.stringify({
    v: 1,
    k: 'conn',
    t,
    src,
    sport: port,
    dst: '10.0.0.9',
    dport: 5432,
    proto: 'tcp',
    orient: 'original',
    ...more,
  });
}

const TRACE = [
  connection('01:10:00', '10.0.0.7', 40_001),
  connection('01:50:00', '10.0.0.7', 40_002),
  connection('02:10:00', '10.0.0.7', 40_003),
  connection('02:20:00', '10.0.0.8', 40_004),
  // Records of a connection stay with it, although its address has moved; and one comes late.
  connection('02:30:00', '10.0.0.7', 40_002),
  connection('01:59:59', '10.0.0.7', 40_005),
].join('\n');

const bench: Bench = createBench({ 'policy.yaml': POLICY, 'trace.ndjson': TRACE });
after(() => bench.remove());

interface Output {
  readonly groups: readonly {
    readonly source: { readonly workload?: { readonly name: string }; readonly address?: string };
    readonly verdict: string;
    readonly connections: number;
    readonly records: number;
  }[];
  readonly timeline?: { readonly states: number; readonly met: number; readonly early: number };
  readonly pods: { readonly total: number; readonly touched: number };
  readonly disagreements: number;
}

async function replay(...argv: string[]): Promise<Output & { readonly code: number }> {
  const { code, stdout, stderr } = await bench.run(['replay', '-f', 'policy.yaml', '-o', 'json', ...argv]);
  assert.ok(code < 2, stderr);
  return { ...(JSON.parse(stdout) as Output), code };
}

function forecastOf({ groups }: Output): string[] {
  return groups
    .map(({ source, verdict, connections, records }) => {
      const name = source.workload?.name ?? source.address ?? '?';
      return `${name} ${verdict} ${connections} connections ${records} records`;
    })
    .sort();
}

const MOVED = ['batch deny 1 connections 1 records', 'web allow 4 connections 5 records'];

test('a folder of snapshots: an address that moves in the middle of a trace is judged as each of its pods', async () => {
  bench.write('snapshots/pods-2026-11-21T01-00-00Z.yaml', BEFORE);
  bench.write('snapshots/2026-11-21T02-30-00Z/cluster.yaml', AFTER);
  bench.write('snapshots/README.md', 'no snapshot');
  const output = await replay('--snapshots', 'snapshots', 'trace.ndjson');
  assert.deepEqual(forecastOf(output), MOVED);
  // Before the second snapshot, batch had started: that is a state of its own.
  assert.deepEqual([output.timeline!.states, output.timeline!.early, output.disagreements], [3, 0, 0]);
  assert.deepEqual(output.pods, { total: 4, touched: 4 });
  const without = await replay('-f', 'snapshots/pods-2026-11-21T01-00-00Z.yaml', 'trace.ndjson');
  assert.notDeepEqual(forecastOf(without), MOVED);
  assert.equal(without.timeline, undefined);
  const threads = await replay('--threads', '2', '--snapshots', 'snapshots', 'trace.ndjson');
  assert.deepEqual(threads.groups, output.groups);
});

test('recorded watch events say the same, with the times of the objects or of their arrival', async () => {
  const objects = (yaml: string): string[] => yaml.split('---\n');
  const [db, web1] = objects(BEFORE);
  const [, batch, web2] = objects(AFTER);
  const event = (type: string, object: string, time?: string): string =>
    `type: ${type}\n${time === undefined ? '' : `time: "2026-11-21T${time}Z"\n`}object:\n${object.replace(/^/gm, '  ').trimEnd()}\n`;
  bench.write(
    'watch.yaml',
    [
      event('ADDED', db!),
      event('ADDED', web1!),
      event('ADDED', web2!, '02:00:00'),
      event('DELETED', web1!, '01:59:59.5'),
      event('ADDED', batch!, '02:00:01'),
    ].join('---\n'),
  );
  assert.deepEqual(forecastOf(await replay('--snapshots', 'watch.yaml', 'trace.ndjson')), MOVED);
});

test('where a record names another pod than the snapshot of its time has, the record goes first and it is counted', async () => {
  bench.write('snapshots/pods-2026-11-21T01-00-00Z.yaml', BEFORE);
  bench.write('snapshots/2026-11-21T02-30-00Z/cluster.yaml', AFTER);
  bench.write('named.ndjson', connection('02:10:00', '10.0.0.7', 40_003, { srcPod: 'shop/web-abc-2' }));
  const output = await replay('--snapshots', 'snapshots', 'named.ndjson');
  assert.deepEqual(forecastOf(output), ['web allow 1 connections 1 records']);
  assert.equal(output.disagreements, 1);
});

test('records older than the first snapshot are judged by it, counted, and told of', async () => {
  bench.write('late/2026-11-21T01-30-00Z.yaml', BEFORE);
  const output = await replay('--snapshots', 'late', 'trace.ndjson');
  assert.equal(output.timeline!.early, 1);
  const { stdout } = await bench.run(['replay', '-f', 'policy.yaml', '--snapshots', 'late', 'trace.ndjson']);
  assert.match(stdout, /cluster +1 state, .*1 record older than the first/);
});

test('a snapshot without a time, a broken one and an empty folder are refused', async () => {
  bench.write('bad/cluster.yaml', BEFORE);
  bench.write('commented/cluster.yaml', `# time: 2026-11-21T01:00:00Z\n${BEFORE}`);
  bench.write('broken/2026-11-21T01-00-00Z.json', '{"type":"ADDED","object":');
  bench.write('empty/notes.txt', 'nothing');
  const refused = async (path: string): Promise<string> => {
    const { code, stderr } = await bench.run(['replay', '-f', 'policy.yaml', '--snapshots', path, 'trace.ndjson']);
    assert.equal(code, 2, path);
    return stderr;
  };
  assert.match(await refused('bad'), /cluster\.yaml has no time/);
  assert.match(await refused('broken'), /invalid-json/);
  assert.match(await refused('empty'), /holds no snapshots/);
  assert.match(await refused('nowhere'), /no such file or folder/);
  assert.match(await refused('-'), /not stdin/);
  assert.equal((await replay('--snapshots', 'commented', 'trace.ndjson')).timeline!.states, 1);
});
