/** Tiers, over every evaluator, in worlds built by hand: no manifest reader gives tiered policies yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Pod } from '../../src/model/cluster.ts';
import { DEFAULT_DIALECT, type Dialect } from '../../src/model/dialect.ts';
import type { Flow } from '../../src/model/flow.ts';
import type { Action, Peer, Policy, Rule, Tier } from '../../src/model/policy.ts';
import { Protocol } from '../../src/model/port.ts';
import { evaluators } from './evaluators.ts';
import { ask, describeOutcome } from '../law/outcome.ts';

const position = { file: 'tier.test.ts', line: 1, column: 1 };
const ALL = { namespaces: { kind: 'selected' as const, selector: [] }, pods: [] };
const block = (cidr: string): Peer => ({ kind: 'ipBlock', cidr: cidr as Cidr, except: [] });

const pod: Pod = {
  namespace: 'default',
  name: 'db',
  labels: new Map([['app', 'db']]),
  addresses: ['10.0.0.3' as AddressText],
  phase: 'Running',
  hostNetwork: false,
  ports: [],
  workload: { kind: 'Pod', namespace: 'default', name: 'db' },
  count: 1,
  isStandIn: false,
  position,
};

/** Rules as `Action` alone (everybody) or with a peer. */
type Draft = Action | readonly [Action, Peer];

function tiered(tier: Tier, priority: number, rules: readonly Draft[]): Policy {
  const ingress = rules.map((draft, index): Rule => {
    const [action, peer] = typeof draft === 'string' ? [draft, undefined] : draft;
    return { index, action, peers: peer && [peer], ports: undefined, position };
  });
  const kind = 'ClusterNetworkPolicy';
  return {
    kind,
    name: `${tier}-${priority}`,
    tier,
    priority,
    subject: ALL,
    isolates: [],
    ingress,
    egress: [],
    position,
  };
}

function networkPolicy(isolates: Policy['isolates'], ingress: readonly Rule[] = []): Policy {
  const subject = { namespaces: { kind: 'named' as const, namespace: 'default' }, pods: [] };
  return {
    kind: 'NetworkPolicy',
    namespace: 'default',
    name: 'np',
    tier: 'networkpolicy',
    priority: 0,
    subject,
    isolates,
    ingress,
    egress: [],
    position,
  };
}

const FROM_OUTSIDE: Flow = {
  src: { kind: 'address', address: '203.0.113.9' as AddressText },
  dst: { kind: 'name', namespace: 'default', name: 'db' },
  protocol: Protocol.Tcp,
  port: 80,
};
const FROM_NODE: Flow = { ...FROM_OUTSIDE, src: { kind: 'address', address: '192.168.0.1' as AddressText } };
const MAYBE: Peer = { kind: 'domains', names: ['far.example.com'] };

const cases: readonly {
  readonly covers: string;
  readonly shows: string;
  readonly policies: readonly Policy[];
  readonly ingress: string;
  readonly flow?: Flow;
  readonly dialect?: Partial<Dialect>;
}[] = [
  {
    covers: 'TI-01',
    shows: 'admin comes before NetworkPolicy',
    policies: [networkPolicy(['ingress']), tiered('admin', 5, ['Accept'])],
    ingress: 'allowed-by-rule allow',
  },
  {
    covers: 'TI-01',
    shows: 'baseline comes after, where nothing isolates',
    policies: [tiered('baseline', 0, ['Deny'])],
    ingress: 'denied-by-rule deny',
  },
  {
    covers: 'TI-02',
    shows: 'the lower priority number goes first',
    policies: [tiered('admin', 9, ['Deny']), tiered('admin', 2, ['Accept'])],
    ingress: 'allowed-by-rule allow',
  },
  {
    covers: 'TI-02',
    shows: 'the first rule that matches settles',
    policies: [tiered('admin', 1, [['Accept', block('198.51.100.0/24')], 'Deny', 'Accept'])],
    ingress: 'denied-by-rule deny',
  },
  {
    covers: 'TI-03',
    shows: 'Pass leaves the tier, later priorities included',
    policies: [tiered('admin', 1, ['Pass']), tiered('admin', 2, ['Deny'])],
    ingress: 'not-isolated allow',
  },
  {
    covers: 'TI-03',
    shows: 'Pass leaves the baseline tier too',
    policies: [tiered('baseline', 1, ['Pass']), tiered('baseline', 2, ['Deny'])],
    ingress: 'not-isolated allow',
  },
  {
    covers: 'TI-04',
    shows: 'equal priorities that disagree have no order',
    policies: [tiered('admin', 1, ['Accept']), tiered('admin', 1, ['Deny'])],
    ingress: 'undecidable undecidable equal-priority',
  },
  {
    covers: 'TI-04',
    shows: 'equal priorities that agree need none',
    policies: [tiered('admin', 1, ['Deny']), tiered('admin', 1, ['Deny'])],
    ingress: 'denied-by-rule deny',
  },
  {
    covers: 'TI-04',
    shows: 'equal priorities that agree need none, whatever else is missing',
    policies: [tiered('admin', 1, [['Deny', MAYBE]]), tiered('admin', 1, [['Deny', MAYBE]])],
    ingress: 'undecidable undecidable domain-name',
  },
  {
    covers: 'TI-05',
    shows: 'a subject without a matching rule is not isolated',
    policies: [tiered('admin', 1, [['Accept', block('198.51.100.0/24')]])],
    ingress: 'not-isolated allow',
  },
  {
    covers: 'TI-06',
    shows: 'a nodes peer matches node addresses',
    policies: [
      tiered('admin', 1, [['Deny', { kind: 'nodes', selector: [{ key: 'zone', operator: 'In', values: ['a'] }] }]]),
    ],
    flow: FROM_NODE,
    ingress: 'denied-by-rule deny',
  },
  {
    covers: 'TI-06',
    shows: 'a nodes peer asks for labels',
    policies: [
      tiered('admin', 1, [['Deny', { kind: 'nodes', selector: [{ key: 'zone', operator: 'In', values: ['b'] }] }]]),
    ],
    flow: FROM_NODE,
    ingress: 'not-isolated allow',
  },
  {
    covers: 'TI-06',
    shows: 'a nodes peer matches no outside address',
    policies: [tiered('admin', 1, [['Deny', { kind: 'nodes', selector: [] }]])],
    ingress: 'not-isolated allow',
  },
  {
    covers: 'TI-07',
    shows: 'a domain is unknown',
    policies: [tiered('admin', 1, [['Deny', MAYBE]])],
    ingress: 'undecidable undecidable domain-name',
  },
  {
    covers: 'TI-08',
    shows: 'an isolating NetworkPolicy ends the evaluation',
    policies: [
      networkPolicy(['ingress'], [{ index: 0, action: 'Accept', peers: undefined, ports: undefined, position }]),
      tiered('baseline', 1, ['Deny']),
    ],
    ingress: 'allowed-by-rule allow',
  },
  {
    covers: 'TI-09',
    shows: 'an unknown rule before a certain one of the same effect leaves nothing open',
    policies: [tiered('admin', 1, [['Deny', MAYBE], 'Deny'])],
    ingress: 'denied-by-rule deny',
  },
  {
    covers: 'TI-09',
    shows: 'an unknown Deny before an isolation without rules changes nothing',
    policies: [tiered('admin', 1, [['Deny', MAYBE]]), networkPolicy(['ingress'])],
    ingress: 'no-rule-matches deny',
  },
  {
    covers: 'DI-09',
    shows: 'per direction, the baseline tier speaks for the other direction',
    policies: [networkPolicy(['egress']), tiered('baseline', 1, ['Deny'])],
    ingress: 'denied-by-rule deny',
  },
  {
    covers: 'DI-09',
    shows: 'per pod, a NetworkPolicy of either direction silences it',
    policies: [networkPolicy(['egress']), tiered('baseline', 1, ['Deny'])],
    dialect: { networkPolicyScope: 'per-pod' },
    ingress: 'not-isolated allow',
  },
];

for (const evaluator of evaluators)
  for (const { covers, shows, policies, ingress, flow, dialect } of cases)
    test(`${evaluator.name}: ${covers} ${shows}`, () => {
      const snapshot = {
        namespaces: [],
        pods: [pod],
        nodes: [
          { name: 'n1', labels: new Map([['zone', 'a']]), addresses: ['192.168.0.1' as AddressText], podCidrs: [] },
        ],
        services: [],
        endpointSlices: [],
      };
      const session = evaluator.load({ snapshot, policies, dialect: { ...DEFAULT_DIALECT, ...dialect } });
      assert.equal(describeOutcome(ask(session, flow ?? FROM_OUTSIDE)), `not-subject ${ingress}`);
    });
