/** Laws: hits of rules are the sums over connections of what explain shows, whatever is grouped, pooled, or taken by threads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { explain } from '../../src/decide/explain.ts';
import { addressText } from '../../src/decide/fact.ts';
import type { Snapshot } from '../../src/model/cluster.ts';
import type { Explanation, SideExplanation } from '../../src/model/explanation.ts';
import type { Dictionary, Flow, FlowBatch } from '../../src/model/flow.ts';
import type { Policy, Rule } from '../../src/model/policy.ts';
import { Reason, Verdict } from '../../src/model/verdict.ts';
import { createReplay, type ReplayOptions } from '../../src/replay/replay.ts';
import type { ReplayResult, RuleUsage, Tally } from '../../src/replay/result.ts';
import { createAccount } from '../../src/trace/account.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream, type Stream } from './stream.ts';

const NONE: Tally = { connections: 0, records: 0, bytes: 0 };

test(`hits are the sums of what explain shows for each record (seed ${seed})`, (context) => {
  const reached = { hits: 0, denials: 0, uncounted: 0, pooled: 0 };
  const property = fc.property(arbitraryStream(120, 'all'), fc.constantFrom(0, 0, 2, 20_000), (stream, groupLimit) => {
    const { snapshot, policies, dialect } = stream.world;
    const program = compile(oneWorkload(snapshot), policies, dialect);
    const { batch, dictionary } = batchStream(stream);
    addressesAlone(batch);
    const { ruleUsage, groups } = replay(batch, { program, dictionary, mode: 'stateless', groupLimit });
    const expected = new Map<Rule, Tally>();
    for (let row = 0; row < batch.count; row++) {
      const flow = flowAt(batch, dictionary, row);
      if (flow !== undefined) for (const rule of rulesShown(explain(program, flow))) add(expected, rule, batch, row);
    }
    const { uncounted } = ruleUsage;
    assert.equal(ruleUsage.rules.length, countRules(policies));
    for (const { rule, tally } of ruleUsage.rules) {
      const sum = expected.get(rule) ?? NONE;
      if (uncounted.records === 0) assert.deepEqual(tally, sum);
      // Where some are not counted, they are all that is missing.
      for (const key of ['connections', 'records', 'bytes'] as const)
        assert.ok(tally[key] <= sum[key] && sum[key] <= tally[key] + uncounted[key], key);
      reached.hits += tally.connections;
      if (rule.action === 'Deny') reached.denials += tally.connections;
    }
    if (uncounted.records > 0) reached.uncounted++;
    if (groups.some(isPooled)) reached.pooled++;
  });
  fc.assert(property, { seed, numRuns: runs(150), includeErrorInReport: true });
  context.diagnostic(JSON.stringify(reached));
  assert.ok(Math.min(reached.hits, reached.denials, reached.uncounted, reached.pooled) >= 5, JSON.stringify(reached));
});

test(`pods of one workload are counted as if each were a workload of its own (seed ${seed})`, (context) => {
  const reached = { hits: 0, folded: 0 };
  const property = fc.property(
    arbitraryStream(200, 'all'),
    fc.constantFrom('connections', 'packets'),
    fc.constantFrom('plain', 'wasm'),
    (stream, mode, kernel) => {
      const { snapshot, policies, dialect } = stream.world;
      const [apart, together] = [eachWorkload(snapshot), oneWorkload(snapshot)].map((world) => {
        const { batch, dictionary } = batchStream(crowded(stream));
        addressesAlone(batch);
        return replay(batch, { program: compile(world, policies, dialect), dictionary, mode, kernel });
      });
      assert.deepEqual(tallies(together!.ruleUsage), tallies(apart!.ruleUsage));
      // The groups themselves are those of the workload, however its pods are labelled.
      const names = together!.groups.map(groupKey);
      assert.equal(new Set(names).size, names.length);
      reached.hits += together!.ruleUsage.rules.filter(({ tally }) => tally.connections > 0).length;
      if (together!.groups.length < apart!.groups.length) reached.folded++;
    },
  );
  fc.assert(property, { seed, numRuns: runs(60), includeErrorInReport: true });
  context.diagnostic(JSON.stringify(reached));
  assert.ok(Math.min(reached.hits, reached.folded) >= 5, JSON.stringify(reached));
});

test(`groups that are made out one by one are those of the list (seed ${seed})`, () => {
  const property = fc.property(arbitraryStream(120, 'all'), (stream) => {
    const { snapshot, policies, dialect } = stream.world;
    const { batch, dictionary } = batchStream(stream);
    const program = compile(snapshot, policies, dialect);
    const baseline = compile(snapshot, policies.slice(1), dialect);
    const result = replay(batch, { program, baseline, dictionary, mode: 'connections' });
    const views = [Verdict.Deny, Verdict.Undecidable, Verdict.Allow].flatMap((verdict) => result.views!(verdict));
    assert.equal(views.length, result.groups.length);
    for (const [index, group] of result.groups.entries())
      for (const [name, value] of Object.entries(group))
        assert.deepEqual(views[index]![name as keyof typeof group], value, name);
    assert.ok(!('views' in { ...result }), 'a copy is plain data');
  });
  fc.assert(property, { seed, numRuns: runs(20), includeErrorInReport: true });
});

function replay(batch: FlowBatch, options: Omit<ReplayOptions, 'invalid'>): ReplayResult {
  const replaying = createReplay({ ...options, invalid: 'count' });
  replaying.add(batch, createAccount('stream'));
  return replaying.finish([]);
}

/** Every second row opens a TCP connection to one port, so that groups have more than one connection. */
function crowded({ world, drafts }: Stream): Stream {
  const opening = { kind: 0, protocol: 6, dstPort: 0, tcpFlags: 2, isReply: false, follows: 0, oddity: 20 } as const;
  return {
    world,
    drafts: drafts.map((draft, row) => (row % 2 === 0 ? draft : { ...draft, ...opening, srcPort: 40_000 + row })),
  };
}

/** Names and translations of records are judged by other means, which `threads = one thread` and `wasm = plain` hold together. */
function addressesAlone(batch: FlowBatch): void {
  batch.srcEndpoint.fill(0);
  batch.dstEndpoint.fill(0);
  batch.preDstPort.fill(-1);
}

/** All pods as pods of one workload, though their labels differ. */
function oneWorkload(snapshot: Snapshot): Snapshot {
  return {
    ...snapshot,
    pods: snapshot.pods.map((pod) => ({
      ...pod,
      workload: { kind: 'Deployment', namespace: 'all', name: 'all' },
    })),
  };
}

function eachWorkload(snapshot: Snapshot): Snapshot {
  return {
    ...snapshot,
    pods: snapshot.pods.map((pod, at) => ({
      ...pod,
      workload: { kind: 'Deployment', namespace: 'all', name: `each-${at}` },
    })),
  };
}

function flowAt(batch: FlowBatch, { addresses }: Dictionary, row: number): Flow | undefined {
  const family = batch.family[row]!;
  if (family === 0) return undefined;
  const protocol = batch.protocol[row]!;
  const hasPort = [6, 17, 132].includes(protocol) && batch.dstPort[row]! >= 0;
  return {
    src: { kind: 'address', address: addressText(family, batch.src[row]!, addresses.words)! },
    dst: { kind: 'address', address: addressText(family, batch.dst[row]!, addresses.words)! },
    protocol,
    ...(hasPort && { port: batch.dstPort[row]! }),
    ...(batch.icmp[row]! >= 0 && { icmp: batch.icmp[row]! }),
  };
}

/** What an explanation shows to have decided, of every backend where there are some. */
function rulesShown({ egress, ingress, via }: Explanation): Set<Rule> {
  const sides = via === undefined ? [egress, ingress] : via.backends.flatMap((own) => [own.egress, own.ingress]);
  return new Set(sides.flatMap(rulesOnSide));
}

function rulesOnSide({ reason, policies, decidedBy }: SideExplanation): Rule[] {
  if (decidedBy === undefined || (reason !== Reason.AllowedByRule && reason !== Reason.DeniedByRule)) return [];
  if (decidedBy.policy.tier !== 'networkpolicy') return [decidedBy.rule];
  return policies
    .filter(({ policy, selectsSubject }) => policy.tier === 'networkpolicy' && selectsSubject === 'yes')
    .flatMap(({ rules }) => rules.filter(({ match }) => match === 'yes').map(({ rule }) => rule));
}

function add(sums: Map<Rule, Tally>, rule: Rule, batch: FlowBatch, row: number): void {
  const { connections, records, bytes } = sums.get(rule) ?? NONE;
  sums.set(rule, {
    connections: connections + batch.connections[row]!,
    records: records + 1,
    bytes: bytes + Math.max(0, batch.bytes[row]!) + Math.max(0, batch.replyBytes[row]!),
  });
}

function countRules(policies: readonly Policy[]): number {
  return policies.reduce((sum, { ingress, egress }) => sum + ingress.length + egress.length, 0);
}

function tallies({ rules, uncounted }: RuleUsage): Tally[] {
  return [...rules.map(({ tally }) => tally), uncounted];
}

function isPooled({ source, destination }: ReplayResult['groups'][number]): boolean {
  return [source, destination].some((end) => end.kind === 'outside' && end.address === undefined);
}

function groupKey({
  source,
  destination,
  protocol,
  port,
  icmp,
  via,
  isPartial,
  decision,
}: ReplayResult['groups'][number]): string {
  const { verdict, egress, ingress, missing } = decision;
  return JSON.stringify([source, destination, protocol, port, icmp, via, isPartial, verdict, egress, ingress, missing]);
}
