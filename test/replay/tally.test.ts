/** Sums of a replay: modes, comparison with a baseline and with what was recorded, groups, and that everything adds up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { compile } from '../../src/compile/compile.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { EndpointSlice, Snapshot } from '../../src/model/cluster.ts';
import { createDictionary, Orientation, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { Reason, Verdict } from '../../src/model/verdict.ts';
import { GroupTable } from '../../src/replay/group.ts';
import { createReplay } from '../../src/replay/replay.ts';
import type { FlowGroup, GroupEndpoint, ReplayResult } from '../../src/replay/result.ts';
import { createAccount } from '../../src/trace/account.ts';
import {
  batchOf,
  block,
  connections,
  DENY_DB,
  named,
  packet,
  PODS,
  pods,
  policyOf,
  records,
  replay,
  session,
  SNAPSHOT,
  sum,
  tcp,
  type TraceRecord,
  WEB_TO_DB,
} from './world.ts';

const WEB = '10.0.0.1:40000';
const DB = '10.0.0.11:5432';

// Modes.

test('packets: what is denied leaves no state, and its answer is judged on its own', () => {
  const denied = replay(session(WEB, DB).slice(0, 3), { policies: DENY_DB, mode: 'packets' });
  // SYN: denied. SYN+ACK: INVALID, there is no connection. ACK: loose pickup, NEW, denied again.
  assert.deepEqual(records(denied.totals), [0, 2, 0]);
  assert.equal(denied.invalid.get('tcp-no-connection')?.records, 1);
  assert.deepEqual(records(denied.partial), [0, 0, 0], 'packet by packet there is no opening to miss');
  const answer = { protocol: 17, src: '10.0.0.11:53', dst: WEB, timeS: 0.1 };
  const question = { protocol: 17, src: WEB, dst: '10.0.0.11:53', timeS: 0 };
  const result = replay([question, answer], { policies: DENY_DB, mode: 'packets' });
  assert.deepEqual(connections(result.totals), [1, 1, 0], 'the answer opens a connection of its own, which is allowed');
  assert.deepEqual(connections(replay([question, answer], { policies: DENY_DB }).totals), [0, 1, 0]);
});

test('packets: a connection in mid-stream is picked up in the direction of its first packet', () => {
  const late = session(WEB, DB).slice(4, 6);
  const result = replay(late, { policies: DENY_DB, mode: 'packets' });
  assert.deepEqual(records(result.totals), [2, 0, 0], 'db speaks first, and may');
  assert.deepEqual(records(replay(late, { policies: DENY_DB }).partial), [0, 2, 0]);
});

test('packets: replies of an allowed connection need no rule', () => {
  const result = replay(session(WEB, DB), {
    policies: [...WEB_TO_DB, policyOf({ to: { app: 'web' } })],
    mode: 'packets',
  });
  assert.deepEqual(records(result.totals), [9, 0, 0]);
});

test('stateless: every record needs a rule in its own direction', () => {
  const there = policyOf({ to: { app: 'db' }, rules: [{ peers: [pods({ app: 'web' })], ports: [tcp(5432)] }] });
  const noBack = policyOf({ to: { app: 'web' } });
  const back = policyOf({ to: { app: 'web' }, rules: [{ peers: [pods({ app: 'db' })] }] });
  const without = replay(session(WEB, DB), { policies: [there, noBack], mode: 'stateless' });
  assert.deepEqual(records(without.totals), [5, 4, 0]);
  const both = replay(session(WEB, DB), { policies: [there, back], mode: 'stateless' });
  assert.deepEqual(records(both.totals), [9, 0, 0]);
});

test('a full connection table is reported: what it refused, its limit and its peak', () => {
  const openings = [1, 2, 3].map((host) => packet(`10.0.0.1:${40_000 + host}`, DB, 'S', host / 100));
  const answers = [1, 2, 3].map((host) => packet(DB, `10.0.0.1:${40_000 + host}`, 'SA', host / 100));
  const established = openings.flatMap((opening, index) => [
    opening,
    answers[index]!,
    { ...opening, flags: 'A', timeS: index / 100 + 0.011 },
  ]);
  const result = replay(established.slice(0, 7), { conntrackMax: 2 });
  assert.deepEqual(
    [result.tracking.limit, result.tracking.peak, result.tracking.refused, result.tracking.evicted],
    [2, 2, 1, 0],
  );
  assert.equal(result.totals.allow.connections, 2, 'a packet that is dropped for want of room opens no connection');
  assert.equal(result.invalid.get('table-full')?.records, 1);
  assert.equal(replay(established).tracking.refused, 0);
  assert.equal(replay(established).tracking.limit, undefined);
});

test('records that a full connection table does not take are connections all the same', () => {
  const trace = Array.from({ length: 1300 }, (_, at) =>
    packet(`10.0.0.1:${40_000 + at}`, DB, 'S', at / 1e4, { kind: RecordKind.OneWay }),
  );
  const { totals, tracking } = replay(trace, { conntrackMax: 600, policies: WEB_TO_DB });
  // Once a second at most a full table gives up what nobody has answered.
  assert.deepEqual([tracking.evicted, tracking.refused], [600, 100]);
  assert.deepEqual(connections(totals), [1300, 0, 0]);
  assert.deepEqual(records(totals), [1300, 0, 0]);
});

// Comparison.

test('a baseline: each pair of verdicts lands where it belongs, and nowhere else', () => {
  const open = policyOf({ to: { app: 'db' }, rules: [{}] });
  const byName = policyOf({ to: { app: 'db' }, rules: [{ peers: [pods({ app: 'nobody' })] }] });
  const stranger = '10.0.0.99:40000';
  const policies = { allow: [open], deny: DENY_DB, undecidable: [byName] };
  const expected: Readonly<Record<string, string>> = {
    'allow allow': 'unchanged',
    'allow deny': 'newlyDropped',
    'allow undecidable': 'undecidable',
    'deny allow': 'newlyAllowed',
    'deny deny': 'unchanged',
    'deny undecidable': 'undecidable',
    'undecidable allow': 'undecidable',
    'undecidable deny': 'undecidable',
    'undecidable undecidable': 'undecidable',
  };
  for (const before of ['allow', 'deny', 'undecidable'] as const)
    for (const after of ['allow', 'deny', 'undecidable'] as const) {
      const { comparison, totals, groups } = replay(session(stranger, DB), {
        baseline: policies[before],
        policies: policies[after],
      });
      const where = Object.entries(comparison!).filter(([, tally]) => tally.connections > 0);
      assert.deepEqual(
        where.map(([name, tally]) => [name, tally.connections, tally.records]),
        [[expected[`${before} ${after}`], 1, 9]],
        `${before} -> ${after}`,
      );
      assert.equal(totals[after].connections, 1);
      assert.notEqual(groups[0]!.baseline, undefined);
    }
  assert.equal(replay(session(WEB, DB)).comparison, undefined);
});

test('recorded verdicts are compared once a connection, and a denial outweighs what other observers let through', () => {
  const seen = (recorded: RecordedVerdict, timeS: number): TraceRecord =>
    packet(WEB, DB, 'S', timeS, { kind: RecordKind.Decision, recorded });
  const Allow = RecordedVerdict.Allow;
  const Deny = RecordedVerdict.Deny;
  const Drop = RecordedVerdict.Drop;
  const Audit = RecordedVerdict.Audit;
  const None = RecordedVerdict.None;
  const Accept = RecordedVerdict.FirewallAllow;
  const Reject = RecordedVerdict.FirewallDeny;
  for (const [verdicts, allow, deny, other, firewallAllow, firewallDeny] of [
    [[Allow, Allow, Allow], 1, 0, 0, 0, 0],
    [[Allow, Deny, Allow], 0, 1, 0, 0, 0],
    [[Deny, Allow], 0, 1, 0, 0, 0],
    [[Drop, Allow], 1, 0, 0, 0, 0],
    [[Allow, Drop], 1, 0, 0, 0, 0],
    [[Drop, Drop], 0, 0, 1, 0, 0],
    [[Drop, Deny], 0, 1, 0, 0, 0],
    [[None, Audit], 1, 0, 0, 0, 0],
    [[None, None], 0, 0, 0, 0, 0],
    [[Accept, Accept], 0, 0, 0, 1, 0],
    [[Accept, Reject, Accept], 0, 0, 0, 0, 1],
    [[Reject, Accept], 0, 0, 0, 0, 1],
    [[Accept, Drop, Deny, Reject], 0, 1, 0, 0, 1],
    [[Allow, Reject, Drop, None], 1, 0, 0, 0, 1],
  ] as const) {
    const list = verdicts.map(seen);
    const anonymous = list.map(({ src: _, dst: __, ...rest }) => ({
      ...rest,
      from: named('web-1'),
      to: named('db-1'),
      srcPort: 40_000,
      dstPort: 5432,
    }));
    for (const trace of [list, anonymous]) {
      const { recorded, groups } = replay(trace, { policies: DENY_DB });
      assert.deepEqual(groups[0]!.recorded, { allow, deny, other, firewallAllow, firewallDeny }, verdicts.join());
      assert.deepEqual([recorded.allowDeny, recorded.denyDeny, recorded.undecidable], [allow, deny, 0]);
      assert.deepEqual([recorded.allowAllow, recorded.denyAllow], [0, 0]);
      assert.deepEqual([recorded.otherDrop, recorded.firewallAllow, recorded.firewallDeny], [other, firewallAllow, firewallDeny]); // prettier-ignore
    }
    const open = replay(list, { policies: WEB_TO_DB }).recorded;
    assert.deepEqual([open.allowAllow, open.denyAllow], [allow, deny]);
  }
});

// Groups and sums.

/** A bit of everything. */
function mixed(): TraceRecord[] {
  const anonymous = { protocol: 6, from: named('web-1'), to: named('db-1'), srcPort: 40_000, dstPort: 5432, bytes: 7 };
  return [
    ...session(WEB, DB),
    ...session('10.0.0.2:40000', '10.0.0.12:5432', 1),
    ...session('10.0.0.21:40000', DB, 2),
    ...session('203.0.113.1:40000', DB, 3),
    ...session('203.0.113.2:40000', DB, 4).slice(3),
    ...session('10.0.0.99:40000', DB, 5),
    packet('[fd00::1]:40000', '[fd00::11]:5432', 'S', 6),
    packet(WEB, '203.0.113.7:443', 'S', 7),
    packet(WEB, '203.0.113.7:443', 'SF', 8),
    { protocol: 17, src: WEB, dst: '203.0.113.53:53', timeS: 9 },
    { protocol: 58, src: '[fd00::1]', dst: '[fd00::11]', icmp: 135 << 8, timeS: 9.1, bytes: 72 },
    {
      protocol: 1,
      src: '203.0.113.53',
      dst: '10.0.0.1',
      icmp: (3 << 8) | 3,
      timeS: 9.2,
      bytes: 60,
      quote: { protocol: 17, src: WEB, dst: '203.0.113.53:53' },
    },
    { kind: RecordKind.OneWay, protocol: 6, src: '10.0.0.1', dst: '10.0.0.11', dstPort: 5432, bytes: 1000 },
    anonymous,
    { protocol: 6, srcPort: 1, dstPort: 2, bytes: 5 },
  ];
}

function assertSums(result: ReplayResult, trace: readonly TraceRecord[]): void {
  const judged = sum([...Object.values(result.totals), ...Object.values(result.partial)]);
  const grouped = sum([...result.groups.map(({ tally }) => tally), ...Object.values(result.ungrouped)]);
  assert.deepEqual(grouped, judged, 'groups = totals');
  const all = sum([judged, ...result.invalid.values(), result.related, result.unplaced]);
  assert.equal(result.rows, trace.length);
  assert.equal(all.records, result.rows, 'every row is counted, once');
  assert.equal(
    all.bytes,
    trace.reduce((bytes, record) => bytes + (record.bytes ?? 0), 0),
  );
  if (result.comparison !== undefined) assert.deepEqual(sum(Object.values(result.comparison)), judged);
}

for (const mode of ['connections', 'packets', 'stateless'] as const)
  for (const groupLimit of [undefined, 1, 2, 5])
    test(`${mode}: rows = judged + apart, groups = totals, with ${groupLimit ?? 'no'} groups at most`, () => {
      const trace = mixed();
      for (const policies of [[], DENY_DB, WEB_TO_DB]) {
        const result = replay(trace, {
          policies,
          baseline: DENY_DB,
          mode,
          ...(groupLimit !== undefined && { groupLimit }),
        });
        assertSums(result, trace);
        const whole = replay(trace, { policies, baseline: DENY_DB, mode });
        assert.deepEqual(result.totals, whole.totals, 'a limit of groups changes no verdict');
        assert.deepEqual(result.partial, whole.partial);
        assert.deepEqual(result.comparison, whole.comparison);
        assert.deepEqual(result.related, whole.related);
        assert.deepEqual(result.invalid, whole.invalid);
      }
    });

test('the size of batches changes nothing', () => {
  const plain = ({ groups, ...rest }: ReplayResult): unknown => ({
    ...rest,
    groups: groups.map(({ decision, ...group }) => ({ ...group, decision: { ...decision, explanation: undefined } })),
  });
  const whole = plain(replay(mixed(), { policies: WEB_TO_DB }));
  for (const batchRows of [1, 2, 7])
    assert.deepEqual(plain(replay(mixed(), { policies: WEB_TO_DB, batchRows })), whole);
});

test('beyond the group limit outside addresses are pooled before anything is summed by verdict alone', () => {
  const trace = [1, 2, 3, 4].map((host) => packet(`203.0.113.${host}:40000`, DB, 'S', host));
  const { groups, ungrouped } = replay(trace, { groupLimit: 2 });
  assert.deepEqual(groups.map(({ source, tally }) => [source.kind, 'address' in source, tally.connections]).sort(), [
    ['outside', false, 2],
    ['outside', true, 1],
    ['outside', true, 1],
  ]);
  assert.deepEqual(connections(ungrouped), [0, 0, 0]);
});

test('what finds no group is summed by verdict, whole connections and partial ones apart', () => {
  const ends = Array.from({ length: 30 }, (_, port) => `10.0.0.11:${port + 1}`);
  const openings = ends.map((end, at) => packet(WEB, end, 'S', at));
  const late = ends.map((end, at) => packet('10.0.0.2:40000', end, 'A', 100 + at));
  const { ungrouped, totals, partial } = replay([...openings, ...late], { groupLimit: 0, policies: DENY_DB });
  assert.deepEqual(connections(totals), [0, 30, 0]);
  assert.deepEqual(connections(partial), [0, 30, 0]);
  assert.equal(connections(ungrouped)[1], 60 - 18, 'what finds no group even in the reserve');
});

test('groups are found again, however many there are', () => {
  const table = new GroupTable(100_000);
  const numbers = Array.from({ length: 5000 }, (_, at) => {
    table.key.fill(at);
    return table.intern();
  });
  assert.equal(new Set(numbers).size, 5000);
  numbers.forEach((group, at) => {
    table.key.fill(at);
    assert.equal(table.intern(), group);
  });
});

test('more addresses than groups have ends: what was asked for is pooled too, and a scan of unknown pods takes no room from it', () => {
  const count = 5000;
  const end = (index: number): string => `${index >> 8}.${index & 255}`;
  const snapshot = {
    ...SNAPSHOT,
    nodes: SNAPSHOT.nodes.map((node) => ({ ...node, podCidrs: ['10.0.0.0/16' as Cidr] })),
  };
  const translated = Array.from({ length: count }, (_, index) =>
    packet(`10.0.0.1:${40_000 + index}`, '10.0.0.11:5432', 'S', index, { before: `198.18.${end(index)}:443` }),
  );
  const scan = Array.from({ length: count }, (_, index) =>
    packet('10.0.0.1:50000', `10.0.${end(index + 256)}:80`, 'S', count + index),
  );
  for (const kernel of ['plain', 'wasm'] as const) {
    const { groups, ungrouped, totals } = replay([...translated, ...scan], { groupLimit: 3, kernel, snapshot });
    assert.equal(totals.allow.connections, 2 * count);
    const vias = groups.filter(({ via }) => via !== undefined).map(({ via, tally }) => [via, tally.connections]);
    assert.deepEqual(vias, [
      ['other outside addresses', count - 3],
      ['198.18.0.0', 1],
      ['198.18.0.1', 1],
      ['198.18.0.2', 1],
    ]);
    assert.equal(connections(ungrouped)[0], count - 20, 'what finds no group even in the reserve');
  }
});

test('groups stand by verdict, denials first, then by how many connections they hold', () => {
  const trace = [
    ...session(WEB, DB),
    ...[1, 2, 3].map((port) => packet(`10.0.0.21:${port}`, DB, 'S', port)),
    packet('203.0.113.1:40000', DB, 'S', 5),
    packet('10.0.0.99:40000', DB, 'S', 6),
  ];
  const { groups } = replay(trace, { policies: WEB_TO_DB });
  assert.deepEqual(
    groups.map(({ decision, tally }) => [decision.verdict, tally.connections]),
    [
      [0, 3],
      [0, 1],
      [1, 1],
      [2, 1],
    ],
  );
});

test('groups alike in verdict stand by connections, then records, then the names of their ends and ports', () => {
  const opening = (from: string, port: number, timeS: number, to = '10.0.0.11'): TraceRecord =>
    packet(`${from}:${40_000 + timeS}`, `${to}:${port}`, 'S', timeS);
  const trace = [
    ...session('10.0.0.21:50000', '10.0.0.11:1', 50).slice(0, 5),
    opening('10.0.0.21', 2, 0),
    opening('10.0.0.21', 2, 1),
    opening('10.0.0.1', 7, 2),
    opening('10.0.0.1', 5, 3),
    opening('10.0.0.11', 7, 4, '10.0.0.1'),
    opening('10.0.0.1', 5, 5, '10.0.0.21'),
  ];
  const nameOf = (end: GroupEndpoint): string => (end.kind === 'workload' ? end.workload.name : end.kind);
  assert.deepEqual(
    replay(trace).groups.map(({ source, destination, port }) => `${nameOf(source)} ${nameOf(destination)} ${port}`),
    ['idle db 2', 'idle db 1', 'db web 7', 'web db 5', 'web db 7', 'web idle 5'],
  );
});

test('a connection that was translated lends its Service to no later one of the same ends', () => {
  const direct = packet(WEB, '192.168.0.1:30000', 'S', 0);
  const trace = [0, 1, 2, 3].map((at) => ({
    ...direct,
    src: `10.0.0.1:${40_000 + at}`,
    timeS: at,
    ...(at < 2 && { before: '10.96.0.5:5000' }),
  }));
  for (const kernel of ['plain', 'wasm'] as const) {
    const { groups } = replay(trace, { kernel });
    assert.deepEqual(groups.map(({ via, tally }) => [via, tally.connections]).sort(), [
      [undefined, 2],
      ['db.shop', 2],
    ]);
  }
});

test('pods of one workload are one group, with the first connection as its sample', () => {
  const trace = [packet('10.0.0.2:1025', '10.0.0.12:5432', 'S', 5), packet(WEB, DB, 'S', 3), packet(WEB, DB, 'S')];
  const { groups } = replay(trace, { policies: DENY_DB });
  assert.equal(groups.length, 1);
  const [group] = groups;
  assert.deepEqual(group!.tally, { connections: 2, records: 3, bytes: 300 });
  assert.deepEqual(group!.sample, { file: 'trace', line: 1 });
  assert.deepEqual([group!.firstUs, group!.lastUs], [0, 5e6]);
  assert.equal(group!.decision.explanation?.ingress.reason, Reason.NoRuleMatches);
  assert.equal(group!.decision.explanation?.source.name, 'web-2');
});

test('a record without a time leaves first and last seen alone', () => {
  const { timeS: _, ...timeless } = packet(WEB, DB, 'S');
  const { groups } = replay([packet(WEB, DB, 'S', 2), timeless, packet(WEB, DB, 'S', 4)]);
  assert.deepEqual([groups[0]!.firstUs, groups[0]!.lastUs], [2e6, 4e6]);
  assert.ok(Number.isNaN(replay([timeless]).groups[0]!.firstUs));
});

test('a connection to a ClusterIP stands under the workload behind it, on its port, by way of the Service', () => {
  const { groups } = replay([packet(WEB, '10.96.0.5:5000', 'S')], { policies: WEB_TO_DB });
  const [group] = groups;
  assert.equal(group!.destination.kind === 'workload' && group!.destination.workload.name, 'db');
  assert.deepEqual([group!.port, group!.via, group!.decision.verdict], [5432, 'db.shop', 2]);
});

test('a translation that the record shows is named, and the translated end is judged', () => {
  const { groups } = replay([packet(WEB, DB, 'S', 0, { before: '10.96.0.5:5000' })], { policies: WEB_TO_DB });
  assert.deepEqual([groups[0]!.port, groups[0]!.via, groups[0]!.decision.verdict], [5432, 'db.shop', 2]);
});

test('a Service whose backends share neither workload nor port, or are no pods, stands for itself', () => {
  const [service] = SNAPSHOT.services;
  const both = { ...SNAPSHOT, services: [{ ...service!, selector: new Map<string, string>() }] };
  const slice = (address: string): EndpointSlice => ({
    namespace: 'shop',
    name: address,
    service: 'db',
    family: 4,
    endpoints: [{ addresses: [address as AddressText] }],
    ports: [{ protocol: 'TCP', port: 5432 }],
  });
  const [db1, db2] = PODS.filter(({ labels }) => labels.get('app') === 'db');
  const portNamed = { ...service!, ports: [{ protocol: 'TCP', port: 5000, targetPort: 'sql' }] as const };
  const moved = { ...db2!, ports: [{ name: 'sql', port: 5433, protocol: 'TCP' }] as const };
  const cases: readonly (readonly [Snapshot, GroupEndpoint['kind']])[] = [
    [{ ...SNAPSHOT, services: [portNamed], pods: [PODS[1]!, db1!, moved] }, 'service'],
    [{ ...both, endpointSlices: ['10.0.0.11', '10.0.0.12'].map(slice) }, 'workload'],
    [{ ...both, endpointSlices: ['10.0.0.11', '10.0.0.1'].map(slice) }, 'service'],
    [{ ...both, endpointSlices: ['192.168.0.1'].map(slice) }, 'service'],
  ];
  for (const [snapshot, kind] of cases) {
    const [group] = replay([packet('10.0.0.2:40000', '10.96.0.5:5000', 'S')], { snapshot }).groups;
    assert.deepEqual([group!.destination.kind, group!.port], [kind, kind === 'workload' ? 5432 : 5000]);
  }
});

test('a Service is one, by whichever of its addresses it was asked', () => {
  const [service] = SNAPSHOT.services;
  const addresses = ['10.96.0.5', '10.96.0.6'] as AddressText[];
  const snapshot = { ...SNAPSHOT, services: [{ ...service!, clusterAddresses: addresses }] };
  const trace = addresses.map((address, at) => packet(WEB, DB, 'S', 200 * at, { before: `${address}:5000` }));
  const { groups } = replay(trace, { snapshot });
  assert.deepEqual(
    groups.map(({ via, tally }) => [via, tally.connections]),
    [['db.shop', 2]],
  );
});

test('a node of which only a pod of the host network tells has no name', () => {
  const [pod] = PODS;
  const host = { ...pod!, name: 'agent', hostNetwork: true, addresses: ['192.168.0.9' as AddressText] };
  const { groups } = replay([packet('192.168.0.9:40000', DB, 'S')], {
    snapshot: { ...SNAPSHOT, pods: [...PODS, host] },
  });
  assert.deepEqual(groups[0]!.source, { kind: 'node', name: '', address: '192.168.0.9' });
});

test('a pod that met itself behind a Service is judged (DI-05), one that called its own address is not', () => {
  for (const kernel of ['plain', 'wasm'] as const)
    for (const [kind, before, verdict] of [
      [RecordKind.Connection, '10.96.0.5:5000', Verdict.Deny],
      [RecordKind.Packet, '10.96.0.5:5000', Verdict.Deny],
      [RecordKind.Packet, undefined, Verdict.Allow],
    ] as const) {
      const record = packet('10.0.0.11:40000', DB, 'S', 0, {
        kind,
        stated: Orientation.Original,
        ...(before && { before }),
      });
      const { groups, ruleUsage } = replay([record], { policies: DENY_DB, kernel });
      assert.deepEqual([groups[0]!.decision.verdict, groups[0]!.decision.explanation?.verdict], [verdict, verdict]);
      assert.equal(groups[0]!.via, before && 'db.shop');
      assert.ok(ruleUsage.rules.every(({ tally }) => tally.connections === 0));
      const admitted = replay([record], { policies: [policyOf({ to: { app: 'db' }, rules: [{}] })], kernel });
      assert.equal(admitted.groups[0]!.decision.verdict, Verdict.Allow);
      assert.equal(admitted.ruleUsage.rules[0]!.tally.connections, before === undefined ? 0 : 1);
    }
});

test('a pod that called its own address met itself without a Service, whatever was done to the port', () => {
  for (const before of [DB, '10.0.0.11:80']) {
    const record = packet('10.0.0.11:40000', DB, 'S', 0, { stated: Orientation.Original, before });
    const { groups } = replay([record], { policies: DENY_DB });
    assert.deepEqual(groups.map(({ decision }) => [decision.verdict, decision.ingress]), [[Verdict.Allow, Reason.SamePod]]); // prettier-ignore
  }
});

test('nobody keeps an explanation that was asked for: with large policies those of all groups are gigabytes', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const dictionary = createDictionary();
  const replaying = createReplay({
    mode: 'connections',
    invalid: 'count',
    program: compile(SNAPSHOT, DENY_DB),
    dictionary,
  });
  replaying.add(batchOf(session(WEB, '192.0.2.7:5432'), dictionary), createAccount('trace'));
  const result = replaying.finish([]);
  const [group] = result.groups as readonly [FlowGroup];
  for (const { decision } of [group, result.views!(group.decision.verdict)[0]!]) {
    const explained = new WeakRef(decision.explanation!);
    assert.equal(explained.deref()?.verdict, decision.verdict);
    for (let turn = 0; turn < 5 && explained.deref() !== undefined; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    assert.equal(explained.deref(), undefined);
  }
});

test('whoever keeps a result keeps neither its replay nor the table of connections', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const run = (kernel: 'plain' | 'wasm'): { result: ReplayResult; gone: readonly WeakRef<object>[] } => {
    const dictionary = createDictionary();
    const program = compile(SNAPSHOT, DENY_DB);
    const replaying = createReplay({ mode: 'connections', invalid: 'count', program, dictionary, kernel });
    replaying.add(batchOf(session(WEB, '192.0.2.7:5432'), dictionary), createAccount('trace'));
    const { tracker } = replaying as unknown as { readonly tracker: object };
    return { result: replaying.finish([]), gone: [new WeakRef(replaying), new WeakRef(tracker)] };
  };
  for (const kernel of ['plain', 'wasm'] as const) {
    const { result, gone } = run(kernel);
    for (let turn = 0; turn < 5 && gone.some((object) => object.deref() !== undefined); turn++) {
      // A weak reference holds its object until the turn of the loop ends.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    assert.deepEqual(
      gone.map((object) => object.deref() === undefined),
      [true, true],
      `${kernel}: replay, table`,
    );
    assert.deepEqual(result.groups[0]?.destination, { kind: 'outside', address: '192.0.2.7' });
  }
});

test('workloads that nothing touched are listed with their pods', () => {
  const { untouched, pods: counts } = replay(session(WEB, DB));
  assert.deepEqual(counts, { total: 5, touched: 2 });
  assert.deepEqual(
    untouched.map(({ workload, pods: count }) => [workload.name, count]),
    [
      ['db', 1],
      ['idle', 1],
      ['web', 1],
    ],
  );
});

test('a source that lost or could not read records makes the result incomplete', () => {
  assert.equal(replay(session(WEB, DB)).isComplete, true);
  assert.equal(replay(session(WEB, DB), { account: { lost: 1 } }).isComplete, false);
  assert.equal(replay(session(WEB, DB), { account: { malformed: new Map([['truncated', 1]]) } }).isComplete, false);
});

test('a trace out of the order of time is told of, where its records are parts of connections', () => {
  const times = [300, 0, 299, 100, 70];
  const rows = (kind: RecordKind): TraceRecord[] =>
    times.map((timeS, index) => packet(`10.0.0.1:${40_000 + index}`, DB, 'S', timeS, { kind }));
  for (const kernel of ['plain', 'wasm'] as const) {
    const disorder = (kind: RecordKind): number => replay(rows(kind), { kernel, batchRows: 2 }).disorder;
    assert.deepEqual([RecordKind.Packet, RecordKind.OneWay, RecordKind.Connection].map(disorder), [2, 2, 0]);
    // One part among whole connections, wherever it comes: what steps back may part it from others.
    const kinds = times.map(() => RecordKind.Connection);
    for (const [at] of times.entries()) {
      const mixed = kinds.with(at, RecordKind.OneWay).flatMap((kind, row) => rows(kind)[row]!);
      for (const batchRows of [1, 2, 3, 5])
        assert.equal(replay(mixed, { kernel, batchRows }).disorder, 2, `${batchRows} rows at a time, ${at}`);
    }
  }
});

test('initiators are counted by how they came to be known, once a connection', () => {
  const { oriented } = replay([
    ...session(WEB, DB),
    packet('10.0.0.2:40000', DB, 'A', 20, { stated: Orientation.Original }),
    packet('203.0.113.1:443', '10.0.0.1:40001', 'A', 21),
    packet('203.0.113.1:40002', '10.0.0.1:40002', 'A', 22),
  ]);
  assert.deepEqual(oriented, { stated: 1, flags: 1, paired: 0, ports: 1, assumed: 1 });
});

test('an ipBlock that admits a group by address is judged address by address', () => {
  const policies = [policyOf({ to: { app: 'db' }, rules: [{ peers: [block('203.0.113.0/31')] }] })];
  const trace = [0, 1, 2, 3].map((host) => packet(`203.0.113.${host}:40000`, DB, 'S', host));
  assert.deepEqual(connections(replay(trace, { policies }).totals), [2, 2, 0]);
});
