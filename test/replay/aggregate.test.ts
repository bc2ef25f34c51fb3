/** Records that stand for many connections, ends that only names tell, and what staged policies would have done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Orientation, RecordedVerdict, RecordKind, type EndpointFact } from '../../src/model/flow.ts';
import { pendingVerdict, type PolicyTrace } from '../../src/model/recorded-policy.ts';
import {
  block,
  connections,
  DENY_DB,
  packet,
  policyOf,
  replay,
  sum,
  tcp,
  type TraceRecord,
  WEB_TO_DB,
} from './world.ts';

const { Allow, Deny } = { Allow: RecordedVerdict.Allow, Deny: RecordedVerdict.Deny };

function pending(...actions: ('allow' | 'deny' | 'pass')[]): PolicyTrace {
  return {
    enforced: [{ kind: 'Profile', name: 'kns.shop', action: 'allow', rule: 0, isStaged: false }],
    pending: actions.map((action, rule) => ({ kind: 'StagedNetworkPolicy', name: 'p', action, rule, isStaged: true })),
  };
}

function workload(name: string): EndpointFact {
  return { kind: 'workload', namespace: 'shop', workload: name, areLabelsComplete: false };
}

/** `connections` connections of web to db, known by names alone. */
function aggregate(part: Partial<TraceRecord> = {}): TraceRecord {
  return {
    kind: RecordKind.Aggregate,
    from: workload('web'),
    to: workload('db'),
    dstPort: 5432,
    stated: Orientation.Original,
    ...part,
  };
}

test('an aggregate counts the connections that it stands for, in every sum and by how they are oriented', () => {
  const trace = [aggregate({ connections: 5 }), aggregate({ connections: 0 }), aggregate({ connections: 2 })];
  const result = replay(trace, { policies: WEB_TO_DB });
  assert.deepEqual(connections(result.totals), [7, 0, 0]);
  assert.deepEqual([result.groups.length, result.groups[0]!.tally.records, result.oriented.stated], [1, 3, 7]);
  assert.deepEqual(connections(replay(trace, { policies: DENY_DB }).totals), [0, 7, 0]);
});

test('aggregates of a protocol without ports, or with addresses, are never taken for one connection', () => {
  for (const part of [
    { protocol: 1, dstPort: -1 },
    { src: '10.0.0.1', dst: '10.0.0.11:5432' },
  ]) {
    const result = replay([aggregate({ connections: 3, ...part }), aggregate({ connections: 4, ...part })]);
    assert.equal(sum([result.totals.allow, result.totals.undecidable]).connections, 7);
  }
});

test('what the other end denied is moved from what this end let through, whichever record comes first', () => {
  const source = aggregate({ connections: 10, recorded: Allow });
  const passed = aggregate({ connections: 0, repeats: 6, recorded: Allow });
  const denied = aggregate({ connections: 0, repeats: 4, recorded: Deny });
  for (const trace of [
    [source, passed, denied],
    [source, denied, passed],
    [denied, passed, source],
    [
      aggregate({ connections: 4, recorded: Deny }),
      aggregate({ connections: 6, repeats: 4, recorded: Allow }),
      aggregate({ connections: 0, repeats: 6, recorded: Allow }),
    ],
  ]) {
    const { groups, recorded } = replay(trace, { policies: WEB_TO_DB });
    assert.deepEqual([groups[0]!.recorded.allow, groups[0]!.recorded.deny], [6, 4]);
    assert.deepEqual([recorded.allowAllow, recorded.denyAllow], [6, 4]);
  }
});

test('the verdict of staged policies is that of the last rule, and none where that one passes on', () => {
  assert.equal(pendingVerdict(pending('pass', 'deny')), Deny);
  assert.equal(pendingVerdict(pending('allow')), Allow);
  for (const trace of [pending(), pending('deny', 'pass')]) assert.equal(pendingVerdict(trace), RecordedVerdict.None);
});

test('the forecast is compared with what staged policies would have done, a connection once, a denial before the rest', () => {
  const seen = (policies: PolicyTrace, timeS: number): TraceRecord =>
    packet('10.0.0.1:40000', '10.0.0.11:5432', 'S', timeS, { kind: RecordKind.Connection, policies });
  for (const [trace, allow, deny] of [
    [[seen(pending('allow'), 0), seen(pending('allow'), 1)], 1, 0],
    [[seen(pending('allow'), 0), seen(pending('pass', 'deny'), 1), seen(pending('allow'), 2)], 0, 1],
    [[seen(pending('pass'), 0), seen(pending('allow'), 1)], 1, 0],
  ] as const) {
    const { pending: allowed, groups } = replay(trace, { policies: WEB_TO_DB });
    assert.deepEqual(allowed, { allowAllow: allow, denyAllow: deny, allowDeny: 0, denyDeny: 0, undecidable: 0 });
    assert.deepEqual([groups[0]!.pending!.allow, groups[0]!.pending!.deny], [allow, deny]);
    const { pending: dropped } = replay(trace, { policies: DENY_DB });
    assert.deepEqual(dropped, { allowAllow: 0, denyAllow: 0, allowDeny: allow, denyDeny: deny, undecidable: 0 });
  }
  assert.equal(replay([seen(pending('pass'), 0)]).pending, undefined);
});

test('a group where staged policies and the forecast differ shows the rules that the record names', () => {
  const trace = [
    aggregate({ connections: 3, policies: pending('allow') }),
    aggregate({ connections: 2, policies: pending('pass', 'deny') }),
  ];
  const { groups } = replay(trace, { policies: WEB_TO_DB });
  assert.deepEqual(groups[0]!.pending, { allow: 3, deny: 2, contradiction: pending('pass', 'deny').pending });
  const agreeing = replay(trace.slice(1), { policies: DENY_DB }).groups[0]!.pending;
  assert.deepEqual(agreeing, { allow: 0, deny: 2 });
});

test('a name that only begins as the pods do stands for them; one that fits nobody is as recorded', () => {
  const { groups } = replay([aggregate({ from: workload('web') })], { policies: WEB_TO_DB });
  assert.equal(groups[0]!.source.kind, 'workload');
  const foreign = replay([aggregate({ from: workload('we') })], { policies: WEB_TO_DB });
  assert.deepEqual(foreign.groups[0]!.source, { kind: 'described', namespace: 'shop', name: 'we' });
  assert.deepEqual(connections(foreign.totals), [0, 0, 1]);
});

test('a network that may hold nodes is undecidable where an outside address would be dropped', () => {
  const from: EndpointFact = { kind: 'network', areLabelsComplete: false };
  const unrestricted = replay([aggregate({ from })]);
  assert.deepEqual(connections(unrestricted.totals), [1, 0, 0]);
  assert.deepEqual(unrestricted.groups[0]!.source, { kind: 'described', name: 'outside or a node' });
  assert.deepEqual(connections(replay([aggregate({ from })], { policies: WEB_TO_DB }).totals), [0, 0, 1]);
  const open = [policyOf({ to: { app: 'db' }, rules: [{ peers: [block('0.0.0.0/0')], ports: [tcp(5432)] }] })];
  assert.deepEqual(connections(replay([aggregate({ from })], { policies: open }).totals), [0, 0, 1]);
  assert.equal(
    replay([aggregate({ from: { ...from, kind: 'world' } })], { policies: WEB_TO_DB }).totals.deny.connections,
    1,
  );
});

test('a connection that an earlier row has counted adds nothing, even where its entry is gone', () => {
  const result = replay(
    [
      packet('10.0.0.1:40000', '10.0.0.11:5432', '', 0, {
        kind: RecordKind.Connection,
        connections: 0,
        recorded: Allow,
      }),
    ],
    { policies: WEB_TO_DB },
  );
  assert.deepEqual(connections(result.totals), [0, 0, 0]);
  assert.equal(result.recorded.allowAllow, 0);
});
