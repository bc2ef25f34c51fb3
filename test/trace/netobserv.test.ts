/** NetObserv: both nodes and all interfaces as one flow, sampling, flags that tell who opened, Services, network events. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Orientation, OrientedBy, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { countConnections, readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/netobserv/', import.meta.url);
const skip = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';
const LINES = readFileSync(new URL('netobserv.jsonl', FIXTURES), 'utf8');

async function read(text: string | Uint8Array, format?: string): Promise<Result> {
  const result = await readAll(Buffer.from(text), format === undefined ? {} : { format });
  assert.ok(isBalanced(result.account));
  return result;
}

/** The first line of the fixture with some members changed. */
function line(changes: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ ...(JSON.parse(LINES.split('\n')[0]!) as object), ...changes })}\n`;
}

const tuple = ({ src, srcPort, dst, dstPort }: Result['rows'][number]): string => `${src}:${srcPort}>${dst}:${dstPort}`;

test('two nodes and several interfaces are one flow; intervals of it and its answers are rows of one connection', async () => {
  const { account, rows } = await read(LINES);
  assert.deepEqual([account.format, account.read, rows.length], ['netobserv', 16, 12]);
  assert.deepEqual(Object.fromEntries(account.skipped), { duplicate: 2, 'non-ip': 1, heartbeat: 1 });
  assert.equal(account.unknownValues.size + account.malformed.size, 0);
  assert.deepEqual(rows.map(tuple), [
    '10.0.0.1:40000>10.0.0.11:5432',
    '10.0.0.11:5432>10.0.0.1:40000',
    '10.0.0.1:40000>10.0.0.11:5432',
    '10.0.0.1:40001>10.0.0.11:5432',
    '10.0.0.1:40001>10.0.0.11:5432',
    '10.0.0.1:40002>10.0.0.12:5432',
    '10.0.0.1:40003>10.0.0.11:5432',
    '10.0.0.1:40003>10.0.0.11:5432',
    '10.0.0.1:5000>192.168.0.1:53',
    'fd00::1:-1>fd00::11:-1',
    '10.0.0.1:40009>10.0.0.11:5432',
    '10.0.0.1:40009>10.0.0.11:5432',
  ]);
  assert.equal(countConnections(rows), 6);
});

test('the interfaces of one agent are observers where it names one, and one observer where it lists them', async () => {
  const listed = line({ Interfaces: ['a', 'b'] }) + line({ Interfaces: ['c'], TimeFlowStartMs: 1_764_000_001_000 });
  assert.equal((await read(listed)).rows.length, 2);
  const named = line({ Interfaces: undefined, Interface: 'a' }) + line({ Interfaces: undefined, Interface: 'b' });
  assert.equal((await read(named)).rows.length, 1);
  const nameless = [0, 1].map((FlowDirection) => line({ AgentIP: undefined, FlowDirection })).join('');
  assert.equal((await read(nameless)).rows.length, 1);
});

test('bytes and packets are multiplied by the sampling rate, and the report says that they are estimates', async () => {
  for (const [Sampling, bytes, packets] of [
    [50, 25_000, 250],
    [1, 500, 5],
    [0, 500, 5],
    [undefined, 500, 5],
    ['10', 5000, 50],
  ] as const) {
    const { rows, account } = await read(line({ Sampling }));
    assert.deepEqual([rows[0]!['bytes'], rows[0]!['packets']], [bytes, packets], String(Sampling));
    assert.equal(
      account.limits.some((limit) => limit.includes('are estimates')),
      bytes !== 500,
    );
  }
});

test('a SYN alone, or a SYN+ACK alone, tells who opened; names of flags say the same; without one nobody knows', async () => {
  const cases: [unknown, Orientation, OrientedBy, number][] = [
    [2, Orientation.Original, OrientedBy.Flags, 2],
    [2 | 16 | 0x200, Orientation.Original, OrientedBy.Flags, 2 | 16 | 1],
    [0x100 | 16, Orientation.Reply, OrientedBy.Flags, 18],
    [['SYN_ACK', 'PSH'], Orientation.Reply, OrientedBy.Flags, 26],
    [['SYN', 'RST_ACK'], Orientation.Original, OrientedBy.Flags, 22],
    [0x102, Orientation.Unknown, OrientedBy.Assumed, 16],
    [16, Orientation.Unknown, OrientedBy.Assumed, 16],
    [undefined, Orientation.Unknown, OrientedBy.Assumed, 0xffff],
  ];
  for (const [Flags, orientation, orientedBy, tcpFlags] of cases) {
    const [row] = (await read(line({ Flags }))).rows;
    assert.deepEqual(
      [row!['orientation'], row!['orientedBy'], row!['tcpFlags']],
      [orientation, orientedBy, tcpFlags],
      String(Flags),
    );
  }
  assert.deepEqual([...(await read(line({ Flags: ['XMAS'] }))).account.unknownValues.keys()], ['Flags=XMAS']);
});

test('a Service: its translation where the record has it, else that of another record; it answers, and never asks', async () => {
  const { rows } = await read(LINES);
  assert.deepEqual([rows[5]!.preDst, rows[5]!.preDstPort], ['10.96.0.5', 5000]);
  assert.deepEqual([rows[6]!.preDst, rows[6]!.preDstPort], ['10.96.0.5', 5000]);
  const answer = line({ SrcAddr: '10.96.0.5', SrcPort: 5000, SrcK8S_Type: 'Service', Flags: 16, DstPort: 40000 });
  const [row] = (await read(answer)).rows;
  assert.deepEqual([row!['orientation'], row!['orientedBy']], [Orientation.Reply, OrientedBy.Stated]);
});

test('network events are verdicts of policies, and an end that denies is heard beside the other; drops are drops', async () => {
  const { rows } = await read(LINES);
  assert.deepEqual(
    rows.slice(3, 5).map(({ recordedVerdict, bytes, policies }) => [recordedVerdict, bytes, policies]),
    [
      [
        RecordedVerdict.Allow,
        25_000,
        {
          enforced: [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'web-to-db', action: 'allow', isStaged: false }],
          pending: [],
        },
      ],
      [
        RecordedVerdict.Deny,
        -1,
        { enforced: [{ kind: 'AdminNetworkPolicy', name: 'lock', action: 'deny', isStaged: false }], pending: [] },
      ],
    ],
  );
  assert.equal(rows[8]!['recordedVerdict'], RecordedVerdict.Drop);
  const [some] = (await read(line({ PktDropPackets: 1 }))).rows;
  assert.equal(some!['recordedVerdict'], RecordedVerdict.None);
  const [nested] = (await read(line({ PktDrop: { Packets: 5 } }))).rows;
  assert.equal(nested!['recordedVerdict'], RecordedVerdict.Drop);
});

test('ends are pods with their owners, nodes and Services; ICMP has its type; conversations are connections', async () => {
  const { rows } = await read(LINES);
  assert.deepEqual(rows[0]!['srcEndpoint'], {
    kind: 'pod',
    namespace: 'shop',
    name: 'web-1',
    workload: 'web',
    workloadKind: 'Deployment',
    areLabelsComplete: false,
  });
  assert.deepEqual(rows[8]!['dstEndpoint'], { kind: 'node', name: 'n1', areLabelsComplete: false });
  assert.deepEqual([rows[9]!['icmp'], rows[9]!.protocol], [0x8000, 58]);
  // Flow records are there too, and have the bytes.
  assert.deepEqual(
    rows.slice(10).map(({ kind, orientation, bytes }) => [kind, orientation, bytes]),
    [
      [RecordKind.Connection, Orientation.Original, -1],
      [RecordKind.Connection, Orientation.Original, -1],
    ],
  );
  const [alone] = (await read(line({ _RecordType: 'endConnection' }))).rows;
  assert.equal(alone!['bytes'], 25_000);
});

test('Loki keeps half of a record in the labels of its stream: together they are the record', async () => {
  const loki = await read(readFileSync(new URL('netobserv-loki.json', FIXTURES)));
  assert.deepEqual([loki.account.format, loki.account.containers, loki.account.read], ['netobserv', ['loki'], 3]);
  const plain = await read(LINES.split('\n').slice(0, 3).join('\n'));
  const withoutLine = ({ rows }: Result): unknown[] => rows.map(({ line: _, ...row }) => row);
  assert.deepEqual(withoutLine(loki), withoutLine(plain));
});

test('a record that is none is malformed with the member and what was found', async () => {
  const cases: [Readonly<Record<string, unknown>>, RegExp][] = [
    [{ SrcAddr: 'web' }, /SrcAddr: expected an IP address, found "web"/],
    [{ DstAddr: undefined }, /DstAddr: expected an IP address, found nothing/],
    [{ DstAddr: 'fd00::1' }, /one address family/],
    [{ SrcPort: -1 }, /SrcPort: expected a port/],
    [{ SrcAddr: undefined, DstAddr: undefined }, /expected "SrcAddr"/],
  ];
  for (const [changes, message] of cases) {
    const { account, rows } = await read(line(changes), 'netobserv');
    assert.equal(rows.length, 0);
    assert.match(account.diagnostics[0]!.message, message);
  }
});

test(
  'the sample: 50 records of 34 directed tuples; both views of a Service come out as one connection',
  { skip },
  async () => {
    const { account, rows } = await read(readFileSync(new URL('loki-flow_records.json', SAMPLES)));
    assert.deepEqual([account.format, account.read, account.malformed.size], ['netobserv', 50, 0]);
    assert.deepEqual(Object.fromEntries(account.skipped), { duplicate: 18 });
    assert.equal(rows.length, 32);
    assert.equal(countConnections(rows), 11);
    assert.ok(rows.every(({ dst, src }) => !dst.startsWith('172.30.') && !src.startsWith('172.30.')));
    const empty = await read(readFileSync(new URL('loki-flow_records_dropped.json', SAMPLES)));
    assert.deepEqual([empty.account.read, empty.rows.length], [0, 0]);
  },
);
