/** GCP's VPC flow logs and GKE's policy log: every spelling, both reporters, what a query has flattened. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { OrientedBy, Orientation, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { countConnections, readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/gcp/', import.meta.url);
const skip = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';

async function read(text: string | Uint8Array, options: Parameters<typeof readAll>[1] = {}): Promise<Result> {
  const result = await readAll(Buffer.from(text), options);
  assert.ok(isBalanced(result.account));
  return result;
}

async function fixture(name: string): Promise<Result> {
  return read(readFileSync(new URL(name, FIXTURES)));
}

/** A flow entry with members of its payload and connection replaced. */
function entry(payload: object = {}, connection: object = {}): string {
  return `${JSON.stringify({
    jsonPayload: {
      connection: {
        src_ip: '10.0.0.1',
        src_port: 4000,
        dest_ip: '10.0.0.2',
        dest_port: 80,
        protocol: 6,
        ...connection,
      },
      reporter: 'SRC',
      start_time: '2026-11-21T10:00:00Z',
      ...payload,
    },
  })}\n`;
}

const tuple = ({ src, srcPort, dst, dstPort, protocol }: Result['rows'][number]): unknown[] => [
  src,
  srcPort,
  dst,
  dstPort,
  protocol,
];

test('both reporters are one flow, intervals are rows of one connection, an entry that comes twice counts once', async () => {
  const { account, rows } = await fixture('gcp-vpc.ndjson');
  assert.deepEqual([account.format, account.read, rows.length], ['gcp-vpc', 9, 5]);
  assert.deepEqual(Object.fromEntries(account.skipped), { duplicate: 3, 'other-log': 1 });
  assert.equal(countConnections(rows), 2);
  assert.deepEqual(rows.map(tuple), [
    ['10.84.0.5', 40000, '10.84.1.6', 5432, 6],
    ['10.84.1.6', 5432, '10.84.0.5', 40000, 6],
    ['10.84.0.5', 40000, '10.84.1.6', 5432, 6],
    ['10.84.0.5', -1, '8.8.8.8', -1, 1],
    ['fd20::5', 40001, 'fd20::9', 53, 17],
  ]);
  const { kind, bytes, packets, timeUs, orientation, recordedVerdict, icmp } = rows[0]!;
  assert.deepEqual(
    [kind, bytes, packets, timeUs, orientation, recordedVerdict, icmp],
    [RecordKind.OneWay, 700, 7, Date.UTC(2026, 10, 21, 10, 0, 1) * 1000 + 123456, Orientation.Unknown, 0, -1],
  );
  assert.deepEqual(rows[0]!['srcEndpoint'], {
    kind: 'pod',
    namespace: 'shop',
    name: 'web-1',
    areLabelsComplete: false,
  });
  assert.deepEqual(rows[4]!['dstEndpoint'], {
    kind: 'service',
    namespace: 'kube-system',
    name: 'dns',
    areLabelsComplete: false,
  });
  assert.equal(rows[3]!['dstEndpoint'], undefined);
});

test('the array that gcloud prints and the rows of BigQuery say the same as the entries', async () => {
  const whole = (await fixture('gcp-vpc.ndjson')).rows.slice(0, 2);
  const plain = (row: Result['rows'][number]): unknown => ({ ...row, line: 0 });
  for (const name of ['gcp-vpc-array.json', 'gcp-vpc-bigquery.ndjson']) {
    const { account, rows } = await fixture(name);
    assert.deepEqual([account.format, account.read, account.skipped.get('duplicate')], ['gcp-vpc', 3, 1], name);
    assert.deepEqual(rows.map(plain), whole.map(plain), name);
  }
});

test('a query that flattens the record loses nothing', async () => {
  const { account, rows } = await fixture('gcp-vpc-flat.ndjson');
  assert.equal(account.format, 'gcp-vpc');
  assert.deepEqual(
    rows.map((row) => [...tuple(row), row['bytes'], row['packets'], row['timeUs']]),
    [
      ['10.84.0.5', 40000, '10.84.1.6', 5432, 6, 700, 7, 1795255201123456],
      ['10.84.1.6', 5432, '10.84.0.5', 40000, 6, 900, 6, 1795255201500000],
    ],
  );
  const text = JSON.stringify(JSON.stringify(JSON.parse(entry()).jsonPayload));
  const nested = await read(`{"json_payload":${text}}\n`, { format: 'gcp-vpc' });
  assert.deepEqual(nested.rows.map(tuple), [['10.0.0.1', 4000, '10.0.0.2', 80, 6]]);
});

test('the other direction, another connection and an unknown reporter are no duplicates', async () => {
  const { account, rows } = await read(
    entry() +
      entry({ reporter: 'DEST' }, { src_port: 4001 }) +
      entry({ reporter: 'DEST' }, { src_ip: '10.0.0.2', dest_ip: '10.0.0.1' }) +
      entry({ reporter: 'DEST', start_time: '2026-11-21T11:00:00Z' }) +
      entry({ reporter: 'SIDEWAYS' }) +
      entry({ reporter: undefined }),
  );
  assert.equal(rows.length, 6);
  assert.deepEqual([...account.unknownValues.keys()], ['reporter=SIDEWAYS']);
});

test('a member that is not what it should be makes its record malformed, one that is absent stays absent', async () => {
  const cases: [object, object, RegExp][] = [
    [{}, { src_ip: '64.6.160' }, /src_ip: expected an IP address, found "64\.6\.160"/],
    [{}, { dest_ip: undefined }, /dest_ip: expected an IP address, found nothing/],
    [{}, { dest_ip: 'fd00::1' }, /one address family/],
    [{}, { src_port: 65536 }, /src_port: expected a whole number/],
    [{}, { dest_port: '8O' }, /dest_port: expected a whole number/],
    [{ bytes_sent: -1 }, {}, /bytes_sent: expected a whole number/],
    [{ packets_sent: {} }, {}, /packets_sent: expected a whole number/],
    [{ start_time: 'soon' }, {}, /expected an RFC 3339 time, found "soon"/],
  ];
  for (const [payload, connection, message] of cases) {
    const { account, rows } = await read(entry(payload, connection));
    assert.deepEqual([rows.length, account.malformed.get('invalid-field')], [0, 1], String(message));
    assert.match(account.diagnostics[0]!.message, message);
  }
  const { rows } = await read(entry({ start_time: undefined }, { src_port: undefined, protocol: undefined }));
  assert.deepEqual(
    [rows[0]!.srcPort, rows[0]!.protocol, rows[0]!['timeUs'], rows[0]!['bytes'], rows[0]!['packets']],
    [-1, 255, NaN, -1, -1],
  );
  const odd = await read(`${entry()}{"jsonPayload":{}}\n`);
  assert.equal(odd.account.malformed.get('not-a-flow'), 1);
});

test('a policy record is a decision about an opening; both sides of one connection are two of them', async () => {
  const { account, rows } = await fixture('gke-policy.log');
  assert.deepEqual([account.format, account.read, rows.length], ['gke-policy', 5, 5]);
  assert.equal(account.skipped.size + account.malformed.size + account.unknownValues.size, 0);
  assert.deepEqual(
    rows.map((row) => row['recordedVerdict']),
    [1, 2, 1, 1, 1].map((verdict) => (verdict === 2 ? RecordedVerdict.Deny : RecordedVerdict.Allow)),
  );
  for (const { kind, orientation, orientedBy } of rows)
    assert.deepEqual([kind, orientation, orientedBy], [RecordKind.Decision, Orientation.Original, OrientedBy.Stated]);
  assert.equal(countConnections(rows), 4);
  assert.deepEqual(rows[0]!['srcEndpoint'], {
    kind: 'pod',
    namespace: 'shop',
    name: 'web-1',
    workload: 'web-5d4',
    workloadKind: 'ReplicaSet',
    areLabelsComplete: false,
  });
  assert.deepEqual(rows[0]!['policies'], {
    enforced: [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'web', action: 'allow', isStaged: false }],
    pending: [],
  });
  assert.equal(rows[1]!['policies'], undefined);
  assert.deepEqual(rows[2]!['dstEndpoint'], { kind: 'node', name: 'n1', areLabelsComplete: false });
  assert.deepEqual(rows[3]!['dstEndpoint'], { kind: 'world', areLabelsComplete: false });
  assert.ok(account.limits.some((limit) => limit.includes('folds denied attempts')));
});

test('a file with both logs says what either cannot show', async () => {
  const { account, rows } = await read(entry() + readFileSync(new URL('gke-policy.log', FIXTURES), 'utf8'));
  assert.deepEqual([account.format, rows.length], ['gcp-vpc', 6]);
  for (const part of ['sample packets', 'folds denied attempts'])
    assert.equal(account.limits.filter((limit) => limit.includes(part)).length, 1);
});

test('the samples: two flow entries, four decisions, nothing that is not understood', { skip }, async () => {
  const flows = await read(readFileSync(new URL('vpc-flows-cloud-logging.ndjson', SAMPLES)));
  assert.deepEqual([flows.account.format, flows.account.read, countConnections(flows.rows)], ['gcp-vpc', 2, 2]);
  assert.deepEqual(flows.rows.map(tuple), [
    ['45.78.219.169', 39552, '10.10.0.2', 22, 6],
    ['10.10.0.2', 55502, '173.194.193.95', 443, 6],
  ]);
  assert.deepEqual(
    flows.rows.map((row) => [row['bytes'], row['packets']]),
    [
      [0, 8],
      [312, 16],
    ],
  );
  const policy = await read(readFileSync(new URL('gke-dpv2-policy-action.log', SAMPLES)));
  assert.deepEqual([policy.account.format, policy.account.read, countConnections(policy.rows)], ['gke-policy', 4, 4]);
  assert.deepEqual(
    policy.rows.map((row) => row['recordedVerdict']),
    [RecordedVerdict.Allow, RecordedVerdict.Deny, RecordedVerdict.Allow, RecordedVerdict.Allow],
  );
  for (const { account } of [flows, policy])
    assert.equal(account.skipped.size + account.malformed.size + account.unknownValues.size, 0);
});

test('the count of a denial is its packets, never connections; an allowed entry has none', async () => {
  const { account, rows } = await fixture('gke-policy.log');
  assert.equal(account.format, 'gke-policy');
  assert.ok(rows.some((row) => row['packets'] === 3 && row['connections'] === 1));
  assert.ok(rows.every((row) => row['recordedVerdict'] === 2 || row['packets'] === -1));
});
