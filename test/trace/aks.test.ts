/** AKS container network logs: Hubble flows summed over a window on the node, and rows of the Log Analytics table. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Orientation, OrientedBy, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const AGGREGATES = readFileSync(new URL('hubble-aggregate.jsonl', FIXTURES), 'utf8');
const ROWS = readFileSync(new URL('aks-network-log.jsonl', FIXTURES), 'utf8');

async function read(text: string, format?: string): Promise<Result> {
  const result = await readAll(Buffer.from(text), format === undefined ? {} : { format });
  assert.ok(isBalanced(result.account));
  return result;
}

test('summed flows: each pair of ends, port and verdict is one connection, whichever nodes and windows report it', async () => {
  const { account, rows } = await read(AGGREGATES);
  assert.deepEqual([account.format, account.read, rows.length], ['hubble', 7, 6]);
  assert.deepEqual(Object.fromEntries(account.skipped), { reply: 1 });
  assert.equal(account.unknownValues.size + account.malformed.size, 0);
  assert.deepEqual(
    rows.map(({ kind, connections, repeats, recordedVerdict }) => [kind, connections, repeats, recordedVerdict]),
    [
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 0, 1, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Deny],
      [RecordKind.Aggregate, 0, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Allow],
    ],
  );
  assert.ok(account.limits.some((limit) => limit.includes('count flows, not connections')));
});

test('a summed flow has no addresses and no source port; who asked is stated, and assumed of what was dropped', async () => {
  const { rows } = await read(AGGREGATES);
  assert.ok(rows.every(({ src, dst, srcPort }) => src === '' && dst === '' && srcPort === -1));
  assert.deepEqual(
    rows.map(({ orientation, orientedBy, dstPort }) => [orientation, orientedBy, dstPort]),
    [
      [Orientation.Original, OrientedBy.Stated, 5432],
      [Orientation.Original, OrientedBy.Stated, 5432],
      [Orientation.Original, OrientedBy.Assumed, 5432],
      [Orientation.Original, OrientedBy.Stated, 5432],
      [Orientation.Original, OrientedBy.Stated, 8080],
      [Orientation.Unknown, OrientedBy.Assumed, 53],
    ],
  );
  const { kind, namespace, workload, workloadKind } = rows[0]!['dstEndpoint'] as Record<string, unknown>;
  assert.deepEqual([kind, namespace, workload, workloadKind], ['workload', 'shop', 'db', 'StatefulSet']);
});

test('a file that begins with single flows may go on with sums', async () => {
  const single = AGGREGATES.split('\n')[0]!.replace(/,"aggregate":\{[^}]*\}/, '');
  const { rows, account } = await read(`${single}\n${AGGREGATES}`);
  assert.deepEqual([rows[0]!['kind'], rows[1]!['kind'], account.read], [RecordKind.OneWay, RecordKind.Aggregate, 8]);
});

test('rows of the table are Hubble flows under other names, with dynamic columns as objects or as text', async () => {
  const { account, rows } = await read(ROWS);
  assert.deepEqual([account.format, account.read, rows.length], ['aks-network-log', 5, 4]);
  assert.deepEqual(Object.fromEntries(account.skipped), { l7: 1 });
  assert.equal(account.unknownValues.size + account.malformed.size, 0);
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, orientation, recordedVerdict, kind }) => [
      `${src} ${srcPort}`,
      `${dst} ${dstPort}`,
      orientation,
      recordedVerdict,
      kind,
    ]),
    [
      ['10.0.0.1 40000', '10.0.0.11 5432', Orientation.Original, RecordedVerdict.Allow, RecordKind.OneWay],
      ['10.0.0.11 5432', '10.0.0.1 40000', Orientation.Reply, RecordedVerdict.Allow, RecordKind.OneWay],
      ['10.0.0.1 40001', '10.0.0.11 5432', Orientation.Original, RecordedVerdict.Deny, RecordKind.Decision],
      [' -1', ' 80', Orientation.Original, RecordedVerdict.Allow, RecordKind.Aggregate],
    ],
  );
  assert.equal(rows[0]!['timeUs'], Date.UTC(2026, 10, 21, 10, 0, 31) * 1000 + 123_456);
  assert.deepEqual(rows[0]!['srcEndpoint'], {
    kind: 'pod',
    namespace: 'shop',
    name: 'web-1',
    workload: 'web',
    workloadKind: 'Deployment',
    labels: new Map([['app', 'web']]),
    namespaceLabels: new Map(),
    areLabelsComplete: false,
  });
});

test('a row of another table is no flow', async () => {
  const { account } = await read('{"TimeGenerated":"2026-11-21T10:00:00Z","Message":"x"}\n', 'aks-network-log');
  assert.equal(account.malformed.get('not-a-flow'), 1);
});
