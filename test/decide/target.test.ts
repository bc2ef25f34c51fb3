/** What `explain` says of a destination that is not the end of the flow: which Service or host port it is, and by which of its addresses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../../src/compile/compile.ts';
import { explain } from '../../src/decide/explain.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Pod, Service, Snapshot } from '../../src/model/cluster.ts';
import type { Flow } from '../../src/model/flow.ts';
import type { Policy } from '../../src/model/policy.ts';
import { VERDICT_NAMES, missingFactNames } from '../../src/model/verdict.ts';

const POSITION = { file: 'cluster.yaml', line: 1, column: 1 };

function pod(name: string, address: string, hostPort?: number): Pod {
  const port = { name: 'http', port: 8080, protocol: 'TCP' } as const;
  return {
    namespace: 'app',
    name,
    labels: new Map([['app', name]]),
    addresses: [address as AddressText],
    phase: 'Running',
    hostNetwork: false,
    node: 'node-1',
    ports: [hostPort === undefined ? port : { ...port, hostPort }],
    workload: { kind: 'Deployment', namespace: 'app', name },
    count: 1,
    isStandIn: false,
    position: POSITION,
  };
}

function service(name: string, address: string, part: Partial<Service>): Service {
  return {
    namespace: 'app',
    name,
    type: 'NodePort',
    clusterAddresses: [address as AddressText],
    externalAddresses: [],
    ports: [],
    selector: new Map([['app', 'web']]),
    isHeadless: false,
    position: POSITION,
    ...part,
  };
}

const SNAPSHOT: Snapshot = {
  namespaces: [{ name: 'app', labels: new Map([['kubernetes.io/metadata.name', 'app']]) }],
  pods: [pod('web', '10.0.0.1'), pod('other', '10.0.0.2', 9000), pod('client', '10.0.0.3')],
  nodes: [{ name: 'node-1', labels: new Map(), addresses: ['192.168.0.1' as AddressText], podCidrs: [] }],
  services: [
    service('first', '10.96.0.1', {
      ports: [
        { protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 31_000 },
        { protocol: 'UDP', port: 53, targetPort: 53, nodePort: 31_001 },
      ],
    }),
    service('second', '10.96.0.2', {
      externalAddresses: ['203.0.113.5' as AddressText],
      ports: [
        { protocol: 'TCP', port: 81, targetPort: 8080, nodePort: 31_002 },
        { protocol: 'TCP', port: 82, targetPort: 8080, nodePort: 31_001 },
        { protocol: 'TCP', port: 83, targetPort: 8080, nodePort: 31_003 },
      ],
    }),
  ],
  endpointSlices: [],
};

function flowTo(address: string, port: number, protocol = 6): Flow {
  const src = { kind: 'name', namespace: 'app', name: 'client' } as const;
  return { src, dst: { kind: 'address', address: address as AddressText }, protocol, port };
}

const CASES: readonly (readonly [
  flow: Flow,
  text: string | undefined,
  service: string | undefined,
  backends: number,
])[] = [
  [flowTo('10.96.0.1', 80), 'ClusterIP 10.96.0.1 TCP/80 of Service app/first', 'first', 1],
  [flowTo('10.96.0.1', 53, 17), 'ClusterIP 10.96.0.1 UDP/53 of Service app/first', 'first', 1],
  [flowTo('10.96.0.2', 82), 'ClusterIP 10.96.0.2 TCP/82 of Service app/second', 'second', 1],
  [flowTo('203.0.113.5', 81), 'external address 203.0.113.5 TCP/81 of Service app/second', 'second', 1],
  [flowTo('192.168.0.1', 31_000), 'node port 192.168.0.1 TCP/31000 of Service app/first', 'first', 1],
  // The same number, another protocol, another Service.
  [flowTo('192.168.0.1', 31_001), 'node port 192.168.0.1 TCP/31001 of Service app/second', 'second', 1],
  [flowTo('192.168.0.1', 31_001, 17), 'node port 192.168.0.1 UDP/31001 of Service app/first', 'first', 1],
  [flowTo('192.168.0.1', 31_003), 'node port 192.168.0.1 TCP/31003 of Service app/second', 'second', 1],
  [flowTo('192.168.0.1', 9000), 'host port 192.168.0.1 TCP/9000', undefined, 1],
  [flowTo('192.168.0.1', 9001), undefined, undefined, 0],
  [flowTo('10.0.0.1', 8080), undefined, undefined, 0],
  // Nobody listens there.
  [flowTo('10.96.0.1', 81), 'ClusterIP 10.96.0.1 TCP/81 of Service app/first', 'first', 0],
];

for (const [flow, text, name, backends] of CASES)
  test(`a destination that is translated is called by what it is: ${text ?? 'none'} ${flow.port}`, () => {
    const { via, source, destination, port, icmp, protocol } = explain(compile(SNAPSHOT, []), flow);
    assert.deepEqual([via?.text, via?.service?.name, via?.backends.length ?? 0], [text, name, backends]);
    assert.deepEqual([source.name, protocol, icmp], ['client', flow.protocol, undefined]);
    if (via === undefined || backends === 0)
      assert.deepEqual([destination.address, port], [(flow.dst as { address: string }).address, flow.port]);
    else assert.equal(destination.kind, 'pod');
  });

test('what a flow does not say is not in its explanation', () => {
  const { port: _, ...rest } = flowTo('10.0.0.1', 1);
  const program = compile(SNAPSHOT, []);
  const bare = explain(program, rest);
  assert.deepEqual(['port' in bare, 'icmp' in bare], [false, false]);
  assert.equal(explain(program, { ...rest, port: 0 }).port, 0);
  assert.equal(explain(program, { ...rest, protocol: 1, icmp: 0 }).icmp, 0);
});

test('policies of an explanation stand in the order of evaluation, whatever selects their namespaces', () => {
  const policy = (name: string, part: Partial<Policy>): Policy => ({
    kind: 'NetworkPolicy',
    namespace: 'app',
    name,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: { kind: 'named', namespace: 'app' }, pods: [] },
    isolates: ['ingress'],
    ingress: [],
    egress: [],
    position: POSITION,
    ...part,
  });
  const everywhere = { namespaces: { kind: 'selected', selector: [] }, pods: [] } as const;
  const cluster = (name: string, tier: 'admin' | 'baseline', priority: number, action?: 'Accept' | 'Deny'): Policy => {
    const rule = { index: 0, action: action!, peers: undefined, ports: undefined, position: POSITION };
    const { namespace: _, ...rest } = policy(name, {
      kind: 'ClusterNetworkPolicy',
      tier,
      priority,
      subject: everywhere,
    });
    return { ...rest, isolates: [], ingress: action === undefined ? [] : [rule] };
  };
  const named = [policy('b', {}), policy('a', {}), policy('elsewhere', { subject: everywhere })];
  const program = compile(SNAPSHOT, [
    cluster('last', 'baseline', 0, 'Deny'),
    ...named,
    cluster('second', 'admin', 7, 'Accept'),
    cluster('first', 'admin', 3, 'Accept'),
  ]);
  const { ingress, verdict } = explain(program, flowTo('10.0.0.1', 8080));
  const order = program.source.policies.map(({ name }) => name);
  assert.deepEqual([order[0], order.at(-1)], ['first', 'last']);
  assert.deepEqual(
    ingress.policies.map(({ policy: { name } }) => name),
    order,
  );
  assert.deepEqual([VERDICT_NAMES[verdict], ingress.decidedBy?.policy.name], ['allow', 'first']);

  // Of one priority: nobody knows which goes first.
  const unordered = compile(SNAPSHOT, [cluster('x', 'admin', 3, 'Deny'), cluster('y', 'admin', 3, 'Accept')]);
  const { verdict: neither, missing } = explain(unordered, flowTo('10.0.0.1', 8080));
  assert.deepEqual([VERDICT_NAMES[neither], missingFactNames(missing)], ['undecidable', ['equal-priority']]);
});
