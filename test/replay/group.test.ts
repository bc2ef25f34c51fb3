/** What groups are kept in, piece by piece: their sums, their samples, who opened a connection, and where one arrives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../../src/compile/compile.ts';
import type { ContainerPort } from '../../src/model/cluster.ts';
import { createDictionary, Orientation, OrientedBy } from '../../src/model/flow.ts';
import { addSums, copyGroup, GroupCount, GroupKey, GroupSum, GroupTable } from '../../src/replay/group.ts';
import { orientRecord, requestOf } from '../../src/replay/orient.ts';
import { orderSamples, type Sample, Samples } from '../../src/replay/sample.ts';
import { batchOf, DENY_DB, packet, podOf, PODS, pods, policyOf, replay, SNAPSHOT } from './world.ts';

/** A table of some groups, each number of which is another one. */
function tableOf(first: number): GroupTable {
  const table = new GroupTable(100);
  for (let group = 0; group < 6; group++) {
    table.key.fill(group);
    table.intern();
  }
  for (const [at, list] of [table.keys, table.sums, table.counts].entries())
    for (let index = 0; index < table.count * 9; index++) list[index] = first + at * 1000 + index;
  return table;
}

/** Keys, sums and counts of a group. */
function rowsOf({ keys, sums, counts }: GroupTable, group: number): readonly (readonly number[])[] {
  const cut = (list: ArrayLike<number>, stride: number): number[] =>
    Array.from({ length: stride }, (_, at) => list[group * stride + at]!);
  return [cut(keys, GroupKey.Stride), cut(sums, GroupSum.Stride), cut(counts, GroupCount.Stride)];
}

test('a group is copied whole, another is added to, and their neighbours stay as they were', () => {
  const source = tableOf(50_000);
  const copied = tableOf(1);
  copyGroup(copied, 3, source, 4);
  assert.deepEqual(rowsOf(copied, 3), rowsOf(source, 4));
  const added = tableOf(1);
  addSums(added, 3, source, 4);
  const [keys, sums, counts] = rowsOf(tableOf(1), 3);
  const [, moreSums, moreCounts] = rowsOf(source, 4);
  assert.deepEqual(rowsOf(added, 3), [
    keys,
    [
      sums![GroupSum.Records]! + moreSums![GroupSum.Records]!,
      sums![GroupSum.Bytes]! + moreSums![GroupSum.Bytes]!,
      sums![GroupSum.FirstUs],
      moreSums![GroupSum.LastUs],
    ],
    counts!.map((count, at) => count + moreCounts![at]!),
  ]);
  for (const table of [copied, added])
    for (const beside of [2, 4]) assert.deepEqual(rowsOf(table, beside), rowsOf(tableOf(1), beside));
});

test('connections beyond the group limit are compared with the baseline like any other: each pair of verdicts is a sum of its own', () => {
  const policies = {
    allow: [policyOf({ to: { app: 'db' }, rules: [{}] })],
    deny: DENY_DB,
    undecidable: [policyOf({ to: { app: 'db' }, rules: [{ peers: [pods({ app: 'nobody' })] }] })],
  };
  // A pod that nobody knows.
  const trace = Array.from({ length: 40 }, (_, at) => packet('10.0.0.99:40000', `10.0.0.11:${at + 1}`, 'S', at));
  for (const before of ['allow', 'deny', 'undecidable'] as const)
    for (const after of ['allow', 'deny', 'undecidable'] as const) {
      const run = { baseline: policies[before], policies: policies[after] };
      const [all, limited] = [replay(trace, run), replay(trace, { ...run, groupLimit: 0 })];
      assert.deepEqual(limited.comparison, all.comparison, `${before} -> ${after}`);
      assert.ok(limited.ungrouped[after].connections > 0);
    }
});

function sampleOf(order: number, part: Partial<Sample> = {}): Sample {
  const place = (word: number): Sample['question']['source'] => ({ kind: 'address', family: 4, word });
  const question = { source: place(order + 1), destination: place(order + 2), protocol: 6, port: 80, icmp: -1 };
  return { question, order, file: 'a', line: order + 10, state: 0, ...part };
}

test('samples are listed by the order of their rows, and groups without one are not', () => {
  const samples = new Samples(2);
  assert.deepEqual([...orderSamples(samples.pack(2))], []);
  const orders = [
    [1, 0],
    [2, 7],
    [4, 9],
  ] as const;
  for (const [group, order] of orders) samples.set(group, sampleOf(order));
  assert.deepEqual([...orderSamples(samples.pack(6))], [1, 2, 4], 'in order already');
  samples.set(5, sampleOf(3));
  samples.set(7, sampleOf(1));
  assert.deepEqual([...orderSamples(samples.pack(8))], [1, 7, 5, 2, 4]);
});

test('a sample is what was set, packed, posted and copied: its file, its line, its state, and a question of more than numbers', () => {
  const samples = new Samples(1);
  const first = sampleOf(3);
  const plain = [
    first,
    sampleOf(4, { file: 'b', state: 2 }),
    sampleOf(5),
    sampleOf(6, { file: 'b' }),
    sampleOf(7, { file: 'c' }),
  ];
  const odd = [
    { ...sampleOf(8), question: { ...first.question, source: { kind: 'outside' as const } } },
    { ...sampleOf(9), question: { ...first.question, destination: { kind: 'service' as const, index: 3 } } },
    { ...sampleOf(10), question: { ...first.question, isHairpin: true as const }, state: 4 },
  ];
  const all: readonly Sample[] = [...plain, ...odd];
  all.forEach((sample, group) => samples.set(group * 2, sample));
  const copy = new Samples(1);
  const packed = samples.pack(all.length * 2);
  // The last first: a copy too wide would take the next one's order away.
  for (let group = all.length - 1; group >= 0; group--) copy.copy(group, packed, group * 2);
  copy.copy(100, packed, 1);
  all.forEach((sample, group) => {
    assert.deepEqual(samples.get(group * 2), sample);
    assert.deepEqual(copy.get(group), sample);
    assert.equal(copy.stateOf(group), sample.state);
  });
  assert.deepEqual(
    [...orderSamples(copy.pack(200))],
    all.map((_, group) => group),
    'what has no sample lends none',
  );
});

const Original = Orientation.Original;
const Reply = Orientation.Reply;
const Ports = OrientedBy.Ports;
const Assumed = OrientedBy.Assumed;
/** 10.0.0.11 is a pod that listens on 5432, 10.0.0.1 one that listens on nothing; 10.96.0.5 a Service with port 5000. */
const openings: readonly (readonly [src: string, dst: string, orientation: Orientation, by: OrientedBy])[] = [
  ['10.0.0.1:40000', '10.0.0.11:5432', Original, Ports],
  ['10.0.0.11:5432', '10.0.0.1:40000', Reply, Ports],
  // Port 0 is a port: whoever listens at the other end is asked.
  ['10.0.0.1:0', '10.0.0.11:5432', Original, Ports],
  ['10.0.0.11:5432', '10.0.0.1:0', Reply, Ports],
  ['10.0.0.1:0', '203.0.113.1:40000', Reply, Ports],
  ['10.0.0.1', '10.0.0.11:5432', Original, Assumed],
  ['10.0.0.11:5432', '10.0.0.1', Original, Assumed],
  // Both listen: no more is known than their ports tell.
  ['10.0.0.12:5432', '10.0.0.11:5432', Original, Assumed],
  ['10.96.0.5:5000', '10.0.0.1:5001', Reply, Ports],
  ['10.0.0.1:5000', '10.96.0.5:5001', Original, Assumed],
  ['203.0.113.1:1023', '203.0.113.2:1024', Reply, Ports],
  ['203.0.113.1:1024', '203.0.113.2:1023', Original, Ports],
  ['203.0.113.1:1022', '203.0.113.2:1023', Original, Assumed],
  ['203.0.113.1:32768', '203.0.113.2:32767', Original, Ports],
  ['203.0.113.1:32767', '203.0.113.2:32768', Reply, Ports],
  ['203.0.113.1:60999', '203.0.113.2:61000', Original, Ports],
  ['203.0.113.1:61000', '203.0.113.2:60999', Reply, Ports],
  ['203.0.113.1:32768', '203.0.113.2:60999', Original, Assumed],
];
for (const [src, dst, orientation, by] of openings)
  test(`a record without flags from ${src} to ${dst} is ${orientation === Reply ? 'an answer' : 'an opening'}, ${by === Ports ? 'by its ports' : 'as nothing says otherwise'}`, () => {
    const dictionary = createDictionary();
    const batch = batchOf([{ protocol: 6, src, dst }], dictionary);
    assert.deepEqual(orientRecord(batch, 0, compile(SNAPSHOT, []), dictionary), { orientation, by });
  });

test('backends of one workload stand for it where they share a port, and for their Service where they do not, however policies tell them apart', () => {
  const sql = (port: number): ContainerPort => ({ name: 'sql', port, protocol: 'TCP' });
  const backend = (at: number, port: number): (typeof PODS)[number] => {
    const pod = podOf(`db-${at}`, 'db', [`10.0.0.1${at}`], [sql(port)]);
    return { ...pod, labels: new Map([...pod.labels, ['shard', String(at)]]) };
  };
  const [service] = SNAPSHOT.services;
  // Policies that name each of them make them backends of their own.
  const policies = [1, 2, 3].map((at) => policyOf({ to: { shard: String(at) }, rules: [{}] }));
  const arrival = (...ports: readonly number[]): readonly unknown[] => {
    const snapshot = {
      ...SNAPSHOT,
      pods: [PODS[0]!, ...ports.map((port, at) => backend(at + 1, port))],
      // One with another port stands before it in the table of backends, one behind.
      services: ['aa', 'db', 'zz'].map((name, at) => ({
        ...service!,
        name,
        clusterAddresses: [`10.96.0.${at + 4}` as (typeof service & object)['clusterAddresses'][number]],
        ...(name === 'db'
          ? { ports: [{ protocol: 'TCP', port: 5000, targetPort: 'sql' } as const] }
          : {
              ports: [{ protocol: 'TCP', port: 5000, targetPort: 9999 } as const],
              selector: equalsMap({ app: 'web' }),
            }),
      })),
    };
    const [group] = replay([packet('10.0.0.1:40000', '10.96.0.5:5000', 'S')], { snapshot, policies }).groups;
    return [group!.destination.kind, group!.port, group!.via];
  };
  assert.deepEqual(arrival(5432, 5432, 5432), ['workload', 5432, 'db.shop']);
  assert.deepEqual(arrival(5432, 5432, 5433), ['service', 5000, undefined]);
  assert.deepEqual(arrival(5433, 5432, 5432), ['service', 5000, undefined]);
  assert.deepEqual(arrival(5432, 5433, 5432), ['service', 5000, undefined]);
});

test('pods behind one host port are their workload, on the port of their own, whatever other host ports there are', () => {
  const open = (...ports: readonly (readonly [hostPort: number, port: number])[]): readonly ContainerPort[] =>
    ports.map(([hostPort, port]) => ({ protocol: 'TCP', port, hostPort }));
  const db = [1, 2].map((at) => podOf(`db-${at}`, 'db', [`10.0.0.1${at}`], open([8080, 5432])));
  const other = podOf('other-1', 'other', ['10.0.0.20'], open([7000, 7001], [9000, 9001]));
  // Policies that name each of them make them backends of their own.
  const labelled = db.map((pod, at) => ({ ...pod, labels: new Map([...pod.labels, ['shard', String(at)]]) }));
  const policies = [0, 1].map((at) => policyOf({ to: { shard: String(at) }, rules: [{}] }));
  const snapshot = { ...SNAPSHOT, services: [], pods: [PODS[0]!, other, ...labelled, { ...other, name: 'other-2' }] };
  const { groups } = replay([packet('10.0.0.1:40000', '192.168.0.1:8080', 'S')], { snapshot, policies });
  const [{ destination, port, via }] = groups as readonly [(typeof groups)[number]];
  assert.deepEqual([destination.kind === 'workload' && destination.workload.name, port, via], ['db', 5432, 'n1']);
});

test('a node port is called by its Service, of its own protocol, the first that has it', () => {
  const [service] = SNAPSHOT.services;
  const nodePort = (name: string, protocol: 'TCP' | 'UDP', number: number | undefined): typeof service & object => ({
    ...service!,
    name,
    type: 'NodePort',
    clusterAddresses: [],
    ports: [{ protocol, port: 5000, targetPort: 5432, ...(number !== undefined && { nodePort: number }) }],
  });
  const services = [
    nodePort('none', 'TCP', undefined),
    nodePort('of-udp', 'UDP', 31_000),
    nodePort('of-tcp', 'TCP', 31_000),
    nodePort('late', 'TCP', 31_000),
    nodePort('beside', 'TCP', 31_001),
  ];
  const snapshot = { ...SNAPSHOT, services };
  const viaOf = (protocol: number, port: number): string | undefined => {
    const [group] = replay([{ ...packet('10.0.0.1:40000', `192.168.0.1:${port}`, 'S'), protocol }], {
      snapshot,
    }).groups;
    return group!.via;
  };
  assert.deepEqual(
    [viaOf(6, 31_000), viaOf(17, 31_000), viaOf(6, 31_001), viaOf(6, 31_002)],
    ['of-tcp.shop', 'of-udp.shop', 'beside.shop', undefined],
  );
});

test('a connection of SCTP in mid-stream has no flags of TCP: its ports tell who opened it', () => {
  const data = { protocol: 132, chunks: [0], tag: 7 };
  const { oriented } = replay([{ ...data, src: '10.0.0.11:38412', dst: '203.0.113.1:443', timeS: 1 }]);
  assert.deepEqual([oriented.flags, oriented.ports], [0, 1]);
});

test('ICMP: each kind of answer has its request, and whatever is none is itself', () => {
  const of = (protocol: number, ...types: readonly number[]): readonly number[] =>
    types.map((type) => requestOf(protocol, type << 8) >> 8);
  assert.deepEqual(of(1, 0, 8, 13, 14, 15, 16, 17, 18, 19, 3), [8, 8, 13, 13, 15, 15, 17, 17, 19, 3]);
  assert.deepEqual(of(58, 128, 129, 139, 140, 0, 14), [128, 128, 139, 139, 0, 14]);
  assert.deepEqual([requestOf(1, -1), requestOf(6, 0)], [-1, 0]);
});

function equalsMap(labels: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(labels));
}
