/** Antrea: the Flow Aggregator's records in every layout, and the log of policy decisions. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

const SAMPLES = new URL('../../../shared/samples/antrea/', import.meta.url);
const noSamples = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text as string));
  assert.ok(isBalanced(result.account));
  return result;
}

async function readFixture(name: string): Promise<Result> {
  return read(readFileSync(new URL(`fixture/${name}`, import.meta.url)));
}

interface Named {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: ReadonlyMap<string, string>;
}

test('the log file: 26, 28, 30 with commas at the end, 31, 29 and the 30 columns with a Service address', async () => {
  const { account, rows } = await readFixture('antrea-flow.csv');
  assert.deepEqual([account.format, account.read, rows.length], ['antrea-flow', 7, 7]);
  for (const [index, row] of rows.slice(0, 6).entries()) {
    assert.deepEqual(
      [row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['kind'], row['orientation'], row['timeUs']],
      ['10.0.0.1', 45_500, '10.0.0.2', 8080, 6, 2, 0, 1795226107000000],
    );
    assert.deepEqual([row.preDst, row.preDstPort], [index === 5 ? '10.96.0.20' : '10.96.0.10', 80]);
    assert.deepEqual([row['packets'], row['replyPackets']], [-1, -1]);
    const [from, to] = [row['srcEndpoint'] as Named, row['dstEndpoint'] as Named];
    assert.deepEqual([from.namespace, from.name, to.namespace, to.name], ['shop', 'web-1', 'shop', 'db-1']);
  }
  assert.deepEqual(
    rows.map((row) => row['recordedVerdict']),
    [1, 1, 2, 1, 1, 1, 2],
  );
  const last = rows[6]!;
  assert.deepEqual([last.protocol, last.srcPort, last.preDst, last['dstEndpoint']], [58, -1, '', undefined]);
});

test('S3, CSVWithNames and JSONEachRow of one record are one row, with delta counts and labels', async () => {
  const rows: unknown[] = [];
  for (const [name, format] of [
    ['antrea-s3.csv', 'antrea-flow'],
    ['antrea-clickhouse.csv', 'antrea-flow'],
    ['antrea-clickhouse.jsonl', 'antrea-flow-json'],
  ] as const) {
    const result = await readFixture(name);
    assert.deepEqual([result.account.format, result.account.read, result.rows.length], [format, 1, 1], name);
    const [row] = result.rows;
    assert.deepEqual([row!['packets'], row!['bytes'], row!['replyPackets'], row!['replyBytes']], [5, 500, 4, 450]);
    assert.deepEqual([...(row!['srcEndpoint'] as Named).labels!], [['app', 'web'], ['tier', 'front']]); // prettier-ignore
    assert.equal(row!['recordedVerdict'], 2);
    rows.push({ ...row, line: 0 });
  }
  assert.deepEqual(rows[1], rows[0]);
  assert.deepEqual(rows[2], rows[0]);
});

test('flow records that are none are malformed; unknown actions are kept and counted', async () => {
  const good = readFileSync(new URL('fixture/antrea-flow.csv', import.meta.url), 'utf8').split('\n')[0]!;
  const cases: [string, string, RegExp][] = [
    [good.replace('10.0.0.2', '10.0.0.'), 'invalid-field', /destinationIP: expected an IP address/],
    [good.replace('45500', '70000'), 'invalid-field', /sourceTransportPort: expected a whole number/],
    [good.split(',').slice(0, 20).join(','), 'field-count', /expected 26 fields, found 20/],
    [good.replace('1795226107', 'today'), 'invalid-field', /flowStartSeconds: expected a time/],
  ];
  for (const [line, reason, message] of cases) {
    const { account, rows } = await read(`${good}\n${good}\n${line}\n`);
    assert.deepEqual([rows.length, account.malformed.get(reason)], [2, 1], line);
    assert.match(account.diagnostics[0]!.message, message);
  }
  const odd = await read(`${good.replace(/,0,0$/, ',5,4')}\n`);
  assert.deepEqual([...odd.account.unknownValues.keys()], ['egressNetworkPolicyRuleAction=5']);
  assert.equal(odd.rows[0]!['recordedVerdict'], 1);
});

test('np.log: each layout since 2020, folded packets, and the pod that the policy applies to', async () => {
  const { account, rows } = await readFixture('antrea-np.log');
  assert.deepEqual([account.format, account.read, rows.length], ['antrea-np', 5, 5]);
  assert.deepEqual(
    rows.map((row) => [
      row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['recordedVerdict'], row['packets'], row['bytes'],
    ]), // prettier-ignore
    [
      ['10.0.0.1', 45_500, '10.0.0.2', 8080, 6, 2, 1, 60],
      ['10.0.0.1', -1, '10.0.0.2', -1, 1, 2, 3, 252],
      ['fd00::1', 5000, 'fd00::2', 53, 17, 1, 1, 60],
      ['10.0.0.4', 35_402, '10.0.0.5', 80, 6, 2, 2, 120],
      ['10.0.0.4', -1, '10.0.0.5', -1, 6, 1, 1, 60],
    ],
  );
  assert.deepEqual(
    rows.map((row) => [
      (row['srcEndpoint'] as Named | undefined)?.name,
      (row['dstEndpoint'] as Named | undefined)?.name,
    ]),
    [[undefined, 'db-1'], ['web-1', undefined], ['web-1', undefined], [undefined, undefined], [undefined, undefined]], // prettier-ignore
  );
  assert.equal(rows[0]!['timeUs'], 1795226107804416);
  assert.ok(rows.every((row) => row['kind'] === 3 && row['orientation'] === 0));
  const bad = await read(
    '2026/11/21 01:55:07.8 T P r Ingress Drop 1 a/b 10.0.0.1 1 10.0.0.2 99999 TCP 60 <nil>\n2026/11/21 01:55:07.8 T P r Ingress Drop 1 a/b\n',
  );
  assert.deepEqual([bad.rows.length, bad.account.malformed.get('invalid-line')], [0, 2]);
});

test('recorded samples', { skip: noSamples }, async () => {
  const flows = await read(readFileSync(new URL('flowlogger-test-30col.csv', SAMPLES)));
  assert.deepEqual([flows.account.format, flows.rows.length], ['antrea-flow', 2]);
  assert.deepEqual(
    flows.rows.map((row) => [row.src, row.dstPort, row.preDst, row.preDstPort, row['recordedVerdict']]),
    [['10.10.0.79', 5201, '10.10.1.10', 5202, 2], ['10.10.0.79', 5201, '10.10.1.10', 5202, 2]], // prettier-ignore
  );
  const decisions = await read(readFileSync(new URL('np.log', SAMPLES)));
  assert.deepEqual([decisions.account.format, decisions.account.read, decisions.rows.length], ['antrea-np', 5, 5]);
  assert.deepEqual(
    decisions.rows.map((row) => [row['recordedVerdict'], row['packets']]),
    [[2, 1], [2, 1], [2, 2], [1, 1], [2, 1]], // prettier-ignore
  );
});
