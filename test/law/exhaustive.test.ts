/**
 * Exhaustive: every policy of a tiny grammar against every packet of a tiny cluster, engine = oracle. Random worlds may miss a
 * corner; here there is none to miss, as long as a mistake shows in one policy, one rule and two peers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import type { EndpointRef, Flow } from '../../src/model/flow.ts';
import { NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../../src/model/label.ts';
import type { Direction, Peer, Policy, Rule } from '../../src/model/policy.ts';
import { type PortMatch, Protocol } from '../../src/model/port.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { candidates } from '../semantics/evaluators.ts';
import { Reached, describeOutcome } from './outcome.ts';

const position = { file: 'grammar', line: 1, column: 1 };

function pod(namespace: string, name: string, labels: Record<string, string>, address: string, http: number): Pod {
  return {
    namespace,
    name,
    labels: new Map(Object.entries(labels)),
    addresses: [address as AddressText],
    phase: 'Running',
    hostNetwork: false,
    node: 'n1',
    ports: [{ name: 'http', port: http, protocol: 'TCP' }],
    workload: { kind: 'Pod', namespace, name },
    count: 1,
    isStandIn: false,
    position,
  };
}

const SNAPSHOT: Snapshot = {
  namespaces: [
    { name: 'a', labels: new Map([[NAMESPACE_NAME_LABEL, 'a']]) },
    {
      name: 'b',
      labels: new Map([
        [NAMESPACE_NAME_LABEL, 'b'],
        ['team', 'y'],
      ]),
    },
  ],
  pods: [
    pod('a', 'p', { app: 'x' }, '10.0.0.1', 80),
    pod('a', 'q', {}, '10.0.0.2', 81),
    pod('b', 'r', { app: 'x' }, '10.0.0.3', 80),
    pod('b', 's', { app: 'y' }, '10.0.0.4', 81),
  ],
  nodes: [
    {
      name: 'n1',
      labels: new Map(),
      addresses: ['192.168.0.1' as AddressText],
      podCidrs: ['10.0.0.0/24' as Cidr],
    },
  ],
  services: [],
  endpointSlices: [],
};

const ENDS: readonly EndpointRef[] = [
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.3',
  '10.0.0.4',
  '10.0.0.9',
  '192.168.0.1',
  '203.0.113.9',
].map((address) => ({ kind: 'address', address: address as AddressText }));

const CONTENTS: readonly Omit<Flow, 'src' | 'dst'>[] = [
  { protocol: Protocol.Tcp, port: 79 },
  { protocol: Protocol.Tcp, port: 80 },
  { protocol: Protocol.Tcp, port: 81 },
  { protocol: Protocol.Tcp },
  { protocol: Protocol.Udp, port: 80 },
  { protocol: Protocol.Icmp, icmp: 8 << 8 },
  { protocol: Protocol.Unknown },
];

const FLOWS: readonly Flow[] = ENDS.flatMap((src) =>
  ENDS.flatMap((dst) => CONTENTS.map((content): Flow => ({ src, dst, ...content }))),
);

const is = (key: string, operator: Requirement['operator'], ...values: string[]): Selector => [
  { key, operator, values },
];

const SUBJECTS: readonly Selector[] = [
  [],
  is('app', 'In', 'x'),
  is('app', 'NotIn', 'x'),
  is('app', 'Exists'),
  is('app', 'DoesNotExist'),
];

const ISOLATIONS: readonly (readonly Direction[])[] = [['ingress'], ['egress'], ['ingress', 'egress']];

const own = { kind: 'named', namespace: 'a' } as const;
const PEERS: readonly (readonly Peer[] | undefined)[] = [
  undefined,
  [{ kind: 'pods', namespaces: own, pods: is('app', 'In', 'x') }],
  [{ kind: 'pods', namespaces: { kind: 'selected', selector: is('team', 'In', 'y') }, pods: [] }],
  [{ kind: 'pods', namespaces: { kind: 'selected', selector: [] }, pods: is('app', 'NotIn', 'x') }],
  [{ kind: 'pods', namespaces: { kind: 'selected', selector: is('team', 'In', 'y') }, pods: is('app', 'In', 'x') }],
  [{ kind: 'ipBlock', cidr: '10.0.0.0/8' as Cidr, except: ['10.0.0.2/31' as Cidr] }],
  [
    { kind: 'pods', namespaces: own, pods: is('app', 'DoesNotExist') },
    { kind: 'ipBlock', cidr: '0.0.0.0/0' as Cidr, except: ['10.0.0.0/8' as Cidr] },
  ],
];

const tcp = (first: number, last: number): PortMatch => ({ kind: 'range', protocol: 'TCP', first, last });
const PORTS: readonly (readonly PortMatch[] | undefined)[] = [
  undefined,
  [{ kind: 'any', protocol: 'TCP' }],
  [tcp(80, 80)],
  [tcp(80, 81)],
  [{ kind: 'named', protocol: 'TCP', name: 'http' }],
  [tcp(79, 79), { kind: 'range', protocol: 'UDP', first: 80, last: 80 }],
];

const RULES: readonly (readonly Rule[])[] = [
  [],
  ...PEERS.flatMap((peers) => PORTS.map((ports): Rule[] => [{ index: 0, action: 'Accept', peers, ports, position }])),
];

const POLICIES: readonly Policy[] = SUBJECTS.flatMap((pods) =>
  ISOLATIONS.flatMap((isolates) =>
    RULES.map((rules) => ({
      kind: 'NetworkPolicy' as const,
      namespace: 'a',
      name: 'p',
      tier: 'networkpolicy' as const,
      priority: 0,
      subject: { namespaces: own, pods },
      isolates,
      ingress: rules,
      egress: rules,
      position,
    })),
  ),
);

for (const { name, evaluator, skip } of candidates.slice(1))
  test(`${name} = oracle: every policy of a tiny grammar, every packet of a tiny cluster`, { skip }, (context) => {
    const reached = new Reached();
    for (const policy of POLICIES) {
      const world = { snapshot: SNAPSHOT, policies: [policy], dialect: DEFAULT_DIALECT };
      const specified = oracle.load(world);
      const session = evaluator.load(world);
      for (const flow of FLOWS) {
        const expected = specified.judge(flow);
        const found = session.judge(flow);
        reached.add(expected);
        if (
          found.verdict !== expected.verdict ||
          found.egress !== expected.egress ||
          found.ingress !== expected.ingress ||
          found.missing !== expected.missing
        )
          assert.fail(
            `${describeOutcome(found)}, not ${describeOutcome(expected)}: ${JSON.stringify({ flow, policy })}`,
          );
      }
    }
    context.diagnostic(`${POLICIES.length} policies x ${FLOWS.length} packets = ${reached.total} cases; ${reached}`);
    assert.ok(reached.total >= 200_000, `only ${reached.total} cases`);
    assert.ok(reached.share('allow') >= 0.1 && reached.share('deny') >= 0.1, String(reached));
  });
