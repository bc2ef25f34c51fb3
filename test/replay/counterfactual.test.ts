/**
 * Replay is counterfactual: the trace was recorded while traffic flowed. A connection is judged once, at its opening, and
 * what belongs to it afterwards is counted under that verdict, whatever it is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Orientation, RecordKind } from '../../src/model/flow.ts';
import { Protocol } from '../../src/model/port.ts';
import { Reason } from '../../src/model/verdict.ts';
import {
  block,
  connections,
  DENY_DB,
  named,
  packet,
  PODS,
  podOf,
  policyOf,
  records,
  replay,
  session,
  SNAPSHOT,
  WEB_TO_DB,
} from './world.ts';

const WEB = '10.0.0.1:40000';
const DB = '10.0.0.11:5432';

test('a denied opening takes all later records of its connection, in both directions', () => {
  const result = replay(session(WEB, DB), { policies: DENY_DB });
  assert.deepEqual(connections(result.totals), [0, 1, 0]);
  assert.deepEqual(records(result.totals), [0, 9, 0]);
  assert.equal(result.totals.deny.bytes, 900);
  assert.equal(result.groups.length, 1);
  assert.equal(result.groups[0]!.decision.ingress, Reason.NoRuleMatches);
});

test('a reply of an allowed connection is never judged: a policy that denies the way back changes nothing', () => {
  const noWayBack = policyOf({ to: { app: 'web' }, direction: 'ingress' });
  const result = replay(session(WEB, DB), { policies: [...WEB_TO_DB, noWayBack] });
  assert.deepEqual(connections(result.totals), [1, 0, 0]);
  assert.deepEqual(records(result.totals), [9, 0, 0]);
});

test('what is wrong with packets of a denied connection is no matter: they never come', () => {
  const wrong = [...session(WEB, DB), packet(WEB, DB, 'SF', 0.9), packet(DB, WEB, 'SA', 1)];
  const result = replay(wrong, { policies: DENY_DB });
  assert.deepEqual(records(result.totals), [0, 11, 0]);
  assert.equal(result.invalid.size, 0);
  assert.equal(replay(wrong).invalid.get('tcp-flags')?.records, 1, 'the same packet of an allowed one is INVALID');
});

test('a retransmitted opening is the same connection', () => {
  for (const policies of [DENY_DB, WEB_TO_DB]) {
    const result = replay([packet(WEB, DB, 'S', 0), packet(WEB, DB, 'S', 1), packet(WEB, DB, 'S', 3)], { policies });
    assert.equal(result.totals.allow.connections + result.totals.deny.connections, 1);
    assert.equal(result.totals.allow.records + result.totals.deny.records, 3);
  }
});

test('an undecidable opening makes the connection undecidable', () => {
  const stranger = '10.0.0.99:40000';
  const result = replay(session(stranger, DB), { policies: WEB_TO_DB });
  assert.deepEqual(connections(result.totals), [0, 0, 1]);
  assert.deepEqual(records(result.totals), [0, 0, 9]);
});

test('a connection that opens again on the same ports is a second one', () => {
  const result = replay([...session(WEB, DB), ...session(WEB, DB, 10)], { policies: WEB_TO_DB });
  assert.deepEqual(connections(result.totals), [2, 0, 0]);
  assert.deepEqual(records(result.totals), [18, 0, 0]);
  const denied = replay([...session(WEB, DB), ...session(WEB, DB, 10)], { policies: DENY_DB });
  assert.deepEqual(connections(denied.totals), [0, 2, 0]);
});

// Without the opening.

test('a connection without its opening is judged once, as partial, and reported apart', () => {
  const result = replay(session(WEB, DB).slice(3), { policies: DENY_DB });
  assert.deepEqual(connections(result.totals), [0, 0, 0]);
  assert.deepEqual(connections(result.partial), [0, 1, 0]);
  assert.deepEqual(records(result.partial), [0, 6, 0]);
  assert.equal(result.groups[0]!.isPartial, true);
});

test('its initiator comes from the statement of the source before anything else', () => {
  const late = packet(WEB, DB, 'A', 0, { stated: Orientation.Reply });
  const result = replay([late]);
  assert.equal(result.oriented.stated, 1);
  assert.equal(result.groups[0]!.port, 40_000, 'whoever sent it answers on port 40000');
  assert.equal(result.partial.allow.connections, 1);
});

test('its initiator comes from flags: SYN+ACK is an answer, whatever its ports look like', () => {
  // Both ports are ephemeral: they tell nothing.
  const result = replay([
    packet('10.0.0.2:50000', '10.0.0.1:40000', 'SA'),
    packet('10.0.0.1:40000', '10.0.0.2:50000', 'A', 1),
  ]);
  assert.equal(result.oriented.flags, 1);
  assert.equal(result.groups[0]!.port, 50_000);
  assert.deepEqual(records(result.partial), [2, 0, 0]);
});

test('its initiator comes from ports: who listens by the snapshot, then the well-known, then the not ephemeral one', () => {
  for (const [from, to, port, why] of [
    [DB, WEB, 5432, 'a container port'],
    ['10.96.0.5:5000', WEB, 5432, 'a Service port, which arrives at its target'],
    ['203.0.113.1:443', '10.0.0.1:2000', 443, 'a well-known port'],
    ['203.0.113.1:2000', '10.0.0.1:40000', 2000, 'a port that is not ephemeral'],
  ] as const) {
    const result = replay([packet(from, to, 'A')]);
    assert.deepEqual([result.groups[0]!.port, result.oriented.ports], [port, 1], why);
    assert.equal(result.groups[0]!.isPartial, true);
  }
});

test('a lone RST speaks of no connection', () => {
  const result = replay([packet(WEB, DB, 'R')]);
  assert.equal(result.groups.length, 0);
  assert.equal(result.invalid.get('tcp-no-connection')?.records, 1);
});

test('an echo reply without its request is judged as the request that it answers', () => {
  for (const [protocol, src, dst, reply, request] of [
    [1, '10.0.0.11', '10.0.0.1', 0, 8],
    [58, '[fd00::11]', '[fd00::1]', 129, 128],
  ] as const) {
    const answer = { protocol, src, dst, srcPort: 7, icmp: reply << 8, timeS: 0 };
    const result = replay([answer], { policies: DENY_DB });
    assert.equal(result.partial.deny.connections, 1);
    assert.equal(result.groups[0]!.icmp, request << 8);
  }
});

test('UDP whose first record comes from the serving port is partial, and turned round', () => {
  const answer = { protocol: 17, src: '203.0.113.53:53', dst: WEB, timeS: 0 };
  const question = { protocol: 17, src: WEB, dst: '203.0.113.53:53', timeS: 0.1 };
  const result = replay([answer, question]);
  assert.equal(result.partial.allow.connections, 1);
  assert.equal(result.groups[0]!.port, 53);
  assert.deepEqual(records(result.partial), [2, 0, 0]);
  const whole = replay([question, { ...answer, timeS: 0.2 }]);
  assert.deepEqual(connections(whole.totals), [1, 0, 0]);
  assert.deepEqual(records(whole.totals), [2, 0, 0]);
});

// What is apart.

test('INVALID packets are no drops, unless that is asked for', () => {
  const wrong = [...session(WEB, DB).slice(0, 3), packet(WEB, DB, 'SF', 0.9)];
  const counted = replay(wrong);
  assert.equal(counted.invalid.get('tcp-flags')?.records, 1);
  assert.equal(counted.totals.deny.records, 0);
  const dropped = replay(wrong, { invalid: 'drop' });
  assert.equal(dropped.invalid.get('tcp-flags')?.records, 1);
  assert.equal(dropped.totals.deny.records, 1);
  assert.equal(dropped.totals.deny.connections, 0, 'a packet, not a connection');
  assert.equal(dropped.groups[0]!.decision.ingress, Reason.InvalidState);
});

test('an ICMP error about an allowed connection is RELATED; about a denied one it would not have come', () => {
  const opening = { protocol: 17, src: WEB, dst: '10.0.0.11:9999', timeS: 0 };
  const unreachable = {
    protocol: 1,
    src: '10.0.0.11',
    dst: '10.0.0.1',
    icmp: (3 << 8) | 3,
    timeS: 0.1,
    bytes: 50,
    quote: opening,
  };
  const allowed = replay([opening, unreachable]);
  assert.deepEqual([allowed.related.records, allowed.related.bytes], [1, 50]);
  assert.deepEqual(records(allowed.totals), [1, 0, 0]);
  const denied = replay([opening, unreachable], { policies: DENY_DB });
  assert.equal(denied.related.records, 0);
  assert.deepEqual(records(denied.totals), [0, 2, 0]);
});

test('a record without a source port is a connection of its own and leaves the one before it alone', () => {
  const sum = { kind: RecordKind.OneWay, protocol: 6, src: '10.0.0.1', dst: '10.0.0.12', dstPort: 1, timeS: 0.05 };
  const result = replay([packet(WEB, '10.0.0.2:80', 'S'), sum, packet('10.0.0.2:80', WEB, 'SA', 0.1)], {
    policies: DENY_DB,
  });
  assert.deepEqual(connections(result.totals), [1, 1, 0]);
  assert.deepEqual(records(result.totals), [2, 1, 0], 'the answer counts under the connection that it answers');
});

test('records that say neither protocol nor source port are connections of their own, those of ICMP are one', () => {
  for (const [protocol, expected] of [
    [Protocol.Unknown, 2],
    [Protocol.UdpLite, 2],
    [Protocol.Icmp, 1],
  ] as const)
    for (const ends of [
      { src: '10.0.0.1', dst: '10.0.0.12' },
      { from: named('web-1'), to: named('db-2') },
    ]) {
      const record = { kind: RecordKind.Connection, protocol, ...ends, stated: Orientation.Original };
      const { totals } = replay([
        { ...record, dstPort: protocol === Protocol.Icmp ? -1 : 80 },
        { ...record, dstPort: protocol === Protocol.Icmp ? -1 : 81 },
      ]);
      assert.deepEqual(connections(totals), [expected, 0, 0], `${protocol}`);
    }
});

// Records without addresses, and records that say more than the snapshot.

test('records without addresses are judged by names; both directions are one connection', () => {
  const from = named('web-1');
  const to = named('db-2');
  const there = { protocol: 6, from, to, srcPort: 40_000, dstPort: 5432, stated: Orientation.Original };
  const back = { protocol: 6, from: to, to: from, srcPort: 5432, dstPort: 40_000, stated: Orientation.Reply };
  for (const [policies, expected] of [
    [WEB_TO_DB, [1, 0, 0]],
    [DENY_DB, [0, 1, 0]],
  ] as const) {
    const result = replay([there, back, there], { policies });
    assert.deepEqual(connections(result.totals), expected);
    assert.equal(result.groups.length, 1);
    assert.equal(result.groups[0]!.tally.records, 3);
    assert.equal(result.disagreements, 0);
  }
});

test('an echo request and its reply without addresses are one connection', () => {
  const from = named('web-1');
  const to = named('db-1');
  const result = replay([
    { protocol: 1, from, to, icmp: 8 << 8 },
    { protocol: 1, from: to, to: from, icmp: 0 },
  ]);
  assert.deepEqual(connections(result.totals), [1, 0, 0]);
  assert.equal(result.totals.allow.records, 2);
});

test('a pod that only the record describes: an ipBlock is undecidable, a missing label unknown, a shown one decides', () => {
  const byBlock = [policyOf({ to: { app: 'db' }, rules: [{ peers: [block('10.0.0.0/8')] }] })];
  const question = (labels: Readonly<Record<string, string>>, areLabelsComplete = false): ReturnType<typeof replay> =>
    replay(
      [
        {
          protocol: 6,
          from: named('gone-1', { labels: new Map(Object.entries(labels)), areLabelsComplete }),
          to: named('db-1'),
          srcPort: 40_000,
          dstPort: 5432,
        },
      ],
      { policies: labels['by'] === 'block' ? byBlock : WEB_TO_DB },
    );
  const missingOf = (result: ReturnType<typeof replay>): number => result.groups[0]!.decision.missing;
  assert.deepEqual(connections(question({ by: 'block' }).totals), [0, 0, 1]);
  assert.equal(missingOf(question({ by: 'block' })), 2, 'no-address');
  assert.deepEqual(connections(question({ tier: 'front' }).totals), [0, 0, 1]);
  assert.equal(missingOf(question({ tier: 'front' })), 256, 'unknown-label');
  assert.deepEqual(connections(question({ tier: 'front' }, true).totals), [0, 1, 0], 'no label is left out');
  assert.deepEqual(connections(question({ app: 'web' }).totals), [1, 0, 0]);
  assert.deepEqual(connections(question({ app: 'shop' }).totals), [0, 1, 0]);
});

test('descriptions that differ only in what they leave out are judged apart', () => {
  const of = (areLabelsComplete: boolean, srcPort: number): Parameters<typeof replay>[0][number] => ({
    protocol: 6,
    from: named('gone-1', { labels: new Map([['tier', 'front']]), areLabelsComplete }),
    to: named('db-1'),
    srcPort,
    dstPort: 5432,
  });
  assert.deepEqual(
    connections(replay([of(true, 40_001), of(false, 40_002)], { policies: WEB_TO_DB }).totals),
    [0, 1, 1],
  );
});

test('a name that stands for pods that policy tells apart is undecidable where they do not agree', () => {
  const pods = [...PODS, { ...podOf('web-3', 'web', ['10.0.0.3']), labels: new Map([['app', 'other']]) }];
  const record = {
    protocol: 6,
    from: { kind: 'workload', namespace: 'shop', workload: 'web', areLabelsComplete: false } as const,
    to: named('db-1'),
    srcPort: 40_000,
    dstPort: 5432,
  };
  const { groups, totals } = replay([record], { policies: WEB_TO_DB, snapshot: { ...SNAPSHOT, pods } });
  assert.deepEqual(connections(totals), [0, 0, 1]);
  assert.equal(groups[0]!.decision.missing, 512, 'some-pods');
  assert.equal(groups[0]!.decision.explanation?.verdict, groups[0]!.decision.verdict);
});

test('a Service that a record without addresses names is judged on its backends', () => {
  const record = {
    protocol: 6,
    from: named('web-1'),
    to: { kind: 'service', namespace: 'shop', name: 'db', areLabelsComplete: false } as const,
    srcPort: 40_000,
    dstPort: 5000,
  };
  assert.deepEqual(connections(replay([record], { policies: WEB_TO_DB }).totals), [1, 0, 0]);
  const denied = replay([record], { policies: DENY_DB });
  assert.deepEqual(connections(denied.totals), [0, 1, 0]);
  assert.equal(denied.groups[0]!.decision.explanation?.via?.backends.length, 2);
});

test('a record that names nobody, or a Service that is none, and carries no address is unplaced', () => {
  const nameless = { protocol: 6, srcPort: 1, dstPort: 2, bytes: 10 };
  const unknown = { kind: 'service', namespace: 'shop', name: 'nobody', areLabelsComplete: false } as const;
  for (const record of [nameless, { ...nameless, from: named('web-1'), to: unknown }]) {
    const result = replay([record]);
    assert.deepEqual([result.unplaced.records, result.unplaced.bytes, result.groups.length], [1, 10, 0]);
  }
});

test('a recorded pod that the snapshot has elsewhere is judged by its name, and counted as a disagreement once', () => {
  const moved = packet('10.0.0.21:40000', '10.0.0.12:5432', 'S', 0, { from: named('web-1'), to: named('db-1') });
  const result = replay([moved, { ...moved, timeS: 1 }], { policies: WEB_TO_DB });
  assert.deepEqual(connections(result.totals), [1, 0, 0], 'by address it would be idle, and denied');
  assert.equal(result.disagreements, 1);
  assert.equal(result.ruleUsage.rules[0]!.tally.connections, 1, 'the rule that admits who is named');
  const byAddress = packet('10.0.0.21:40000', '10.0.0.12:5432', 'S', 0, { from: named('web-1') });
  const half = replay([byAddress], { policies: WEB_TO_DB });
  assert.equal(half.ruleUsage.rules[0]!.tally.connections, 1, 'where the other end is known by its address');
  const agreeing = packet(WEB, DB, 'S', 0, { from: named('web-1'), to: named('db-1') });
  assert.equal(replay([agreeing], { policies: WEB_TO_DB }).disagreements, 0);
  const toService = { kind: 'service', namespace: 'other', name: 'x', areLabelsComplete: false } as const;
  const asked = replay([packet(WEB, DB, 'S', 0, { to: toService })], { policies: WEB_TO_DB });
  assert.deepEqual([connections(asked.totals), asked.disagreements], [[1, 0, 0], 0], 'a Service is no pod elsewhere');
  const gone = packet(WEB, DB, 'S', 0, { from: named('gone-1'), to: named('db-1') });
  const described = replay([gone, { ...gone, timeS: 1 }], { policies: WEB_TO_DB });
  assert.deepEqual(connections(described.totals), [0, 0, 1], 'by address it would be web, and allowed');
  assert.equal(described.disagreements, 1);
});
