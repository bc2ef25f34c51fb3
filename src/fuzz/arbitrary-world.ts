/**
 * Random worlds: a cluster, policies over what it holds and lacks, and a dialect. Feeds the laws of test/law and the fuzz
 * command; what is asked in a world is drawn by arbitrary-flow.ts and arbitrary-packet.ts.
 */
import * as fc from 'fast-check';
import { DEFAULT_DIALECT, DIALECT_CHOICES, type Dialect } from '../model/dialect.ts';
import type { World } from '../model/evaluator.ts';
import { NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { Action, Direction, Peer, PodSet, Policy, Rule } from '../model/policy.ts';
import type { PortMatch, PortProtocol } from '../model/port.ts';
import { arbitrarySnapshot } from './arbitrary-cluster.ts';
import { isInside } from './edge.ts';
import {
  NAMESPACES,
  HOMES,
  KEYS,
  VALUES,
  PORT_NAMES,
  PORT_NUMBERS,
  PROTOCOLS,
  CIDRS,
  positionAt,
} from './vocabulary.ts';

/** How wide worlds are: with the tiers of admin policies or without, with the dialect's knobs turned or at rest. */
export interface WorldOptions {
  readonly tiers: 'networkpolicy' | 'all';
  readonly dialect: 'default' | 'any';
}

/** A world on its own. */
export function arbitraryWorld(options: WorldOptions): fc.Arbitrary<World> {
  return fc.record({
    snapshot: arbitrarySnapshot(),
    policies: arbitraryPolicies(options.tiers),
    dialect: options.dialect === 'any' ? arbitraryDialect() : fc.constant(DEFAULT_DIALECT),
  });
}

function arbitraryDialect(): fc.Arbitrary<Dialect> {
  const knobs = Object.fromEntries(
    Object.entries(DIALECT_CHOICES).map(([knob, choices]) => [knob, fc.constantFrom<unknown>(...choices)]),
  );
  return fc.record(knobs).map((chosen) => ({ ...DEFAULT_DIALECT, ...chosen, name: 'arbitrary' }));
}

function arbitrarySelector(): fc.Arbitrary<Selector> {
  const key = fc.constantFrom(...KEYS);
  const values = fc.uniqueArray(fc.constantFrom(...VALUES), { minLength: 1, maxLength: 2, size: 'xsmall' });
  const requirement = fc.oneof(
    { weight: 4, arbitrary: fc.record({ key, operator: fc.constant('In' as const), values }) },
    { weight: 1, arbitrary: fc.record({ key, operator: fc.constant('NotIn' as const), values }) },
    {
      weight: 1,
      arbitrary: fc.record({
        key,
        operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
        values: fc.constant([]),
      }),
    },
  );
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant<Selector>([]) },
    { weight: 3, arbitrary: fc.array<Requirement>(requirement, { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array<Requirement>(requirement, { minLength: 2, maxLength: 2 }) },
  );
}

function arbitraryNamespaceSelector(): fc.Arbitrary<Selector> {
  const byName = fc
    .constantFrom(...NAMESPACES)
    .map((name): Selector => [{ key: NAMESPACE_NAME_LABEL, operator: 'In', values: [name] }]);
  return fc.oneof({ weight: 3, arbitrary: arbitrarySelector() }, { weight: 1, arbitrary: byName });
}

function arbitraryPodSet(namespace: string): fc.Arbitrary<PodSet> {
  const namespaces = fc.oneof(
    fc.constant({ kind: 'named' as const, namespace }),
    arbitraryNamespaceSelector().map((selector) => ({ kind: 'selected' as const, selector })),
  );
  return fc.record({ namespaces, pods: arbitrarySelector() });
}

function arbitraryBlock(): fc.Arbitrary<Peer> {
  return fc.constantFrom(...CIDRS).chain((group) =>
    fc.integer({ min: 0, max: group.length - 1 }).chain((first) => {
      const inner = group.slice(first + 1).filter((cidr) => isInside(cidr, group[first]!));
      return fc
        .subarray(inner, { maxLength: Math.min(2, inner.length) })
        .map((except): Peer => ({ kind: 'ipBlock', cidr: group[first]!, except }));
    }),
  );
}

function arbitraryPeer(namespace: string, tier: Policy['tier']): fc.Arbitrary<Peer> {
  const pods = arbitraryPodSet(namespace).map((set): Peer => ({ kind: 'pods', ...set }));
  const usual = [
    { weight: 6, arbitrary: pods },
    { weight: 4, arbitrary: arbitraryBlock() },
  ];
  if (tier === 'networkpolicy') return fc.oneof(...usual);
  return fc.oneof(
    ...usual,
    { weight: 1, arbitrary: arbitrarySelector().map((selector): Peer => ({ kind: 'nodes', selector })) },
    { weight: 1, arbitrary: fc.constant<Peer>({ kind: 'domains', names: ['far.example.com'] }) },
  );
}

function arbitraryPortMatch(tier: Policy['tier']): fc.Arbitrary<PortMatch> {
  const protocol = fc.constantFrom(...PROTOCOLS, 'TCP' as const, 'TCP' as const);
  const first = fc.constantFrom(...PORT_NUMBERS, 1);
  const named = fc.record({
    kind: fc.constant('named' as const),
    protocol: protocol as fc.Arbitrary<PortProtocol>,
    name: fc.constantFrom(...PORT_NAMES),
  });
  const anyProtocol = named.map(({ name }): PortMatch => ({ kind: 'named', protocol: undefined, name }));
  return fc.oneof<fc.WeightedArbitrary<PortMatch>[]>(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('any' as const), protocol }) },
    {
      weight: 3,
      arbitrary: fc
        .record({ protocol, first, more: fc.constantFrom(0, 0, 1, 20, 65_535) })
        .map(({ protocol: own, first: low, more }): PortMatch => ({
          kind: 'range',
          protocol: own,
          first: low,
          last: Math.min(65_535, low + more),
        })),
    },
    { weight: 2, arbitrary: named },
    ...(tier === 'networkpolicy' ? [] : [{ weight: 1, arbitrary: anyProtocol }]),
  );
}

function arbitraryRules(namespace: string, tier: Policy['tier']): fc.Arbitrary<Rule[]> {
  const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[] | undefined> =>
    fc.option(fc.array(item, { minLength: 1, maxLength: 2, size: 'max' }), { nil: undefined, freq: 3 });
  const action =
    tier === 'networkpolicy'
      ? fc.constant<Action>('Accept')
      : fc.constantFrom<Action>('Deny', 'Accept', 'Deny', 'Pass');
  const rule = fc.record({
    action,
    peers: list(arbitraryPeer(namespace, tier)),
    ports: list(arbitraryPortMatch(tier)),
  });
  return fc
    .oneof(
      { weight: 3, arbitrary: fc.array(rule, { minLength: 1, maxLength: 3, size: 'max' }) },
      { weight: 1, arbitrary: fc.constant<Omit<Rule, 'index' | 'position'>[]>([]) },
    )
    .map((rules) => rules.map((draft, index) => ({ index, ...draft, position: positionAt(10 + index) })));
}

function arbitraryPolicies(tiers: WorldOptions['tiers']): fc.Arbitrary<Policy[]> {
  const networkPolicy = fc.constantFrom(...HOMES).chain((namespace) =>
    fc.record({
      namespace: fc.constant(namespace),
      tier: fc.constant('networkpolicy' as const),
      priority: fc.constant(0),
      subject: arbitrarySelector().map((pods): PodSet => ({ namespaces: { kind: 'named', namespace }, pods })),
      isolates: fc.constantFrom<readonly Direction[]>(['ingress'], ['egress'], ['ingress', 'egress']),
      ingress: arbitraryRules(namespace, 'networkpolicy'),
      egress: arbitraryRules(namespace, 'networkpolicy'),
    }),
  );
  const tiered = fc.constantFrom('admin' as const, 'baseline' as const).chain((tier) =>
    fc.record({
      namespace: fc.constant(undefined),
      tier: fc.constant(tier),
      priority: fc.constantFrom(0, 0, 1),
      subject: arbitraryNamespaceSelector().chain((selector) =>
        arbitrarySelector().map((pods): PodSet => ({ namespaces: { kind: 'selected', selector }, pods })),
      ),
      isolates: fc.constant<readonly Direction[]>([]),
      ingress: arbitraryRules('a', tier),
      egress: arbitraryRules('a', tier),
    }),
  );
  const policy =
    tiers === 'all'
      ? fc.oneof<fc.WeightedArbitrary<Omit<Policy, 'kind' | 'name' | 'position'>>[]>(
          { weight: 1, arbitrary: networkPolicy },
          { weight: 1, arbitrary: tiered as never },
        )
      : networkPolicy;
  return fc.array(policy, { minLength: 1, maxLength: tiers === 'all' ? 8 : 6, size: 'max' }).map((drafts) =>
    drafts.map(({ namespace, ...draft }, index): Policy => ({
      kind: draft.tier === 'networkpolicy' ? 'NetworkPolicy' : 'ClusterNetworkPolicy',
      name: `policy-${index}`,
      ...(namespace !== undefined && { namespace }),
      ...draft,
      position: positionAt(300 + index),
    })),
  );
}
