/**
 * Laws of rewriting, over every evaluator: worlds that say the same in other words have the same answers. Each law also shows
 * that it saw allow and deny often enough to mean something.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { arbitraryCase } from '../../src/fuzz/arbitrary-flow.ts';
import { formatCidr, parseCidr } from '../../src/model/cidr.ts';
import type { World } from '../../src/model/evaluator.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Selector } from '../../src/model/label.ts';
import type { Peer, PodSet, Policy, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { Verdict } from '../../src/model/verdict.ts';
import { evaluators } from '../semantics/evaluators.ts';
import { type Outcome, Reached, ask, describeOutcome } from './outcome.ts';
import { runs, seed } from './seed.ts';

/** A law: a way to say the same world otherwise. */
interface Law {
  readonly name: string;
  /**
   * `may change`: the verdict and the reasons stay, the list of missing facts need not. A rule whose peers certainly match
   * wants only what its ports want; its parts each say what they would want.
   */
  readonly missingFacts?: 'may change';
  rewrite(world: World, shuffle: <T>(list: readonly T[]) => T[]): World;
}

const laws: readonly Law[] = [
  {
    name: 'the order of policies, rules, peers, ports and requirements has no meaning',
    rewrite: (world, shuffle) => ({
      ...world,
      policies: shuffle(world.policies).map((policy) => {
        const rules = (list: readonly Rule[]): Rule[] =>
          shuffle(list).map((rule) => ({
            ...rule,
            peers: rule.peers && shuffle(rule.peers).map((peer) => shufflePeer(peer, shuffle)),
            ports: rule.ports && shuffle(rule.ports),
          }));
        return {
          ...policy,
          subject: shuffleSet(policy.subject, shuffle),
          ingress: rules(policy.ingress),
          egress: rules(policy.egress),
        };
      }),
    }),
  },
  {
    name: 'a block is its two halves',
    rewrite: (world) =>
      mapRules(world, (rule) => ({
        ...rule,
        peers: rule.peers?.flatMap((peer) => (peer.kind === 'ipBlock' ? halve(peer) : [peer])),
      })),
  },
  {
    name: 'a port range is its two parts',
    rewrite: (world) =>
      mapRules(world, (rule) => ({ ...rule, ports: rule.ports?.flatMap((match) => splitRange(match)) })),
  },
  {
    name: 'a rule is one rule for each of its peers and ports',
    missingFacts: 'may change',
    rewrite: (world) => ({
      ...world,
      policies: world.policies.map((policy) => ({
        ...policy,
        ingress: policy.ingress.flatMap(splitRule),
        egress: policy.egress.flatMap(splitRule),
      })),
    }),
  },
  {
    name: 'a policy of two directions is two policies of one',
    rewrite: (world) => ({
      ...world,
      policies: world.policies.flatMap((policy): Policy[] =>
        policy.isolates.map((direction) => ({ ...policy, name: `${policy.name}-${direction}`, isolates: [direction] })),
      ),
    }),
  },
  {
    name: 'labels renamed consistently change nothing',
    rewrite: (world) => {
      const { snapshot } = world;
      const pods = snapshot.pods.map((pod) => ({ ...pod, labels: renameLabels(pod.labels) }));
      const namespaces = snapshot.namespaces.map((namespace) => ({
        ...namespace,
        labels: renameLabels(namespace.labels),
      }));
      const services = snapshot.services.map((service) => ({
        ...service,
        selector: service.selector && renameLabels(service.selector),
      }));
      const renamed = mapRules(world, (rule) => ({
        ...rule,
        peers: rule.peers?.map((peer) => (peer.kind === 'pods' ? { ...peer, ...renameSet(peer) } : peer)),
      }));
      const policies = renamed.policies.map((policy) => ({ ...policy, subject: renameSet(policy.subject) }));
      return { ...world, policies, snapshot: { ...snapshot, pods, namespaces, services } };
    },
  },
];

for (const evaluator of evaluators)
  for (const { name, rewrite, missingFacts } of laws)
    test(`${evaluator.name}: ${name} (seed ${seed})`, () => {
      const reached = new Reached();
      fc.assert(
        fc.property(
          arbitraryCase({ tiers: 'networkpolicy', dialect: 'default' }, 30),
          fc.infiniteStream(fc.nat(1000)),
          ({ world, flows }, chance) => {
            const shuffle = <T>(list: readonly T[]): T[] =>
              list
                .map((item) => ({ item, key: chance.next().value as number }))
                .sort((a, b) => a.key - b.key)
                .map(({ item }) => item);
            const before = evaluator.load(world);
            const after = evaluator.load(rewrite(world, shuffle));
            for (const flow of flows) {
              const outcome = ask(before, flow);
              reached.add(outcome);
              const found = ask(after, flow);
              const compared = (item: Outcome): string =>
                describeOutcome(missingFacts === undefined || item === 'unknown-name' ? item : { ...item, missing: 0 });
              assert.equal(compared(found), compared(outcome), JSON.stringify(flow));
            }
          },
        ),
        { seed, numRuns: runs(120) },
      );
      assert.ok(reached.share('allow') >= 0.1 && reached.share('deny') >= 0.1, String(reached));
    });

for (const evaluator of evaluators)
  test(`${evaluator.name}: one more rule never takes away, one more isolation never gives (seed ${seed})`, () => {
    const order = (verdict: Verdict): number => verdict;
    let checked = 0;
    fc.assert(
      fc.property(arbitraryCase({ tiers: 'networkpolicy', dialect: 'default' }, 30), ({ world, flows }) => {
        if (world.policies.length === 0) return;
        const open: Rule = {
          index: 9,
          action: 'Accept',
          peers: undefined,
          ports: undefined,
          position: world.policies[0]!.position,
        };
        const wider = {
          ...world,
          policies: world.policies.map((policy) => ({ ...policy, ingress: [...policy.ingress, open] })),
        };
        const narrower = {
          ...world,
          policies: world.policies.map((policy) => ({
            ...policy,
            isolates: ['ingress', 'egress'] as const,
            ingress: [],
            egress: [],
          })),
        };
        const sessions = [narrower, world, wider].map((own) => evaluator.load(own));
        for (const flow of flows) {
          const [low, middle, high] = sessions.map((session) => ask(session, flow));
          if (low === undefined || middle === undefined || high === undefined) continue;
          if (low === 'unknown-name' || middle === 'unknown-name' || high === 'unknown-name') continue;
          checked++;
          assert.ok(
            order(low.verdict) <= order(middle.verdict) && order(middle.verdict) <= order(high.verdict),
            JSON.stringify(flow),
          );
        }
      }),
      { seed, numRuns: runs(120) },
    );
    assert.ok(checked > 500, `only ${checked} flows`);
  });

test(`the same seed gives the same world (seed ${seed})`, () => {
  const sample = (): unknown => fc.sample(arbitraryCase({ tiers: 'all', dialect: 'any' }, 10), { seed, numRuns: 20 });
  assert.deepEqual(sample(), sample());
});

function mapRules(world: World, change: (rule: Rule) => Rule): World {
  const policies = world.policies.map((policy) => ({
    ...policy,
    ingress: policy.ingress.map(change),
    egress: policy.egress.map(change),
  }));
  return { ...world, policies };
}

function shuffleSet(set: PodSet, shuffle: <T>(list: readonly T[]) => T[]): PodSet {
  const requirements = (selector: Selector): Selector =>
    shuffle(selector).map((requirement) => ({ ...requirement, values: shuffle(requirement.values) }));
  const { namespaces } = set;
  return {
    namespaces:
      namespaces.kind === 'named' ? namespaces : { kind: 'selected', selector: requirements(namespaces.selector) },
    pods: requirements(set.pods),
  };
}

function shufflePeer(peer: Peer, shuffle: <T>(list: readonly T[]) => T[]): Peer {
  if (peer.kind === 'pods') return { kind: 'pods', ...shuffleSet(peer, shuffle) };
  return peer.kind === 'ipBlock' ? { ...peer, except: shuffle(peer.except) } : peer;
}

/** Both halves with all exceptions: what lies outside of a half excepts nothing there. */
function halve(block: Peer & { kind: 'ipBlock' }): Peer[] {
  const { family, first, length } = parseCidr(block.cidr)!;
  if (length === (family === 4 ? 32 : 128)) return [block, block];
  const second = Uint32Array.from(first);
  second[length >> 5]! |= 1 << (31 - (length & 31));
  return [first, second].map((words) => ({ ...block, cidr: formatCidr(family, words, length + 1) }));
}

/** A whole protocol stays whole: without a port in the record it matches, and its parts would not. */
function splitRange(match: PortMatch): PortMatch[] {
  if (match.kind !== 'range' || match.first === match.last || (match.first === 1 && match.last === 65_535))
    return [match];
  const middle = (match.first + match.last) >> 1;
  return [
    { ...match, last: middle },
    { ...match, first: middle + 1 },
  ];
}

function splitRule(rule: Rule): Rule[] {
  const peers = rule.peers?.map((peer) => [peer]) ?? [undefined];
  const ports = rule.ports?.map((match) => [match]) ?? [undefined];
  return peers.flatMap((peer) => ports.map((port) => ({ ...rule, peers: peer, ports: port })));
}

function renameLabels(labels: Labels): Labels {
  return new Map(
    [...labels].map(([key, value]) => (key === NAMESPACE_NAME_LABEL ? [key, value] : [`renamed/${key}`, `v${value}`])),
  );
}

function renameSelector(selector: Selector): Selector {
  return selector.map((requirement) =>
    requirement.key === NAMESPACE_NAME_LABEL
      ? requirement
      : { ...requirement, key: `renamed/${requirement.key}`, values: requirement.values.map((value) => `v${value}`) },
  );
}

function renameSet({ namespaces, pods }: PodSet): PodSet {
  return {
    namespaces:
      namespaces.kind === 'named' ? namespaces : { kind: 'selected', selector: renameSelector(namespaces.selector) },
    pods: renameSelector(pods),
  };
}
