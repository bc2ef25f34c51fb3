/** Destinations that are translated: which backends are judged, on which ports, in which family; what is said where there is nobody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Header } from '../../src/compile/layout.ts';
import type { Program } from '../../src/compile/program.ts';
import { decide, findService } from '../../src/decide/decide.ts';
import { explain, explainFacts } from '../../src/decide/explain.ts';
import { endpointWithoutAddress, factsOfDescription, factsOfEndpoint } from '../../src/decide/fact.ts';
import { listRules, rulesOf, rulesOfExplanation } from '../../src/decide/hit.ts';
import { judge } from '../../src/decide/judge.ts';
import { endpointOfAddress } from '../../src/decide/resolve.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { EndpointSlice, Node, Pod, Service } from '../../src/model/cluster.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import type { EndpointRef, Flow } from '../../src/model/flow.ts';
import type { Policy, Rule } from '../../src/model/policy.ts';
import { Protocol } from '../../src/model/port.ts';
import { decisionVerdict, missingFactNames, REASONS, Verdict, VERDICT_NAMES } from '../../src/model/verdict.ts';
import {
  admit,
  BACKEND_ONE,
  BACKEND_TWO,
  CLUSTER_ADDRESS,
  flowTo,
  FRONTEND,
  ONE,
  pod,
  program,
  ruleOf,
  SERVICE,
} from './world.ts';

const BY_NAME: EndpointRef = { kind: 'service', namespace: 'app', name: 'backend' };
const NODE: Node = { name: 'n', labels: new Map(), addresses: ['192.168.0.1' as AddressText], podCidrs: [] };
const toAddress = (address: string): EndpointRef => ({ kind: 'address', address: address as AddressText });

/** What both ways of asking answer; they must agree. */
function answer(compiled: Program, flow: Flow): string {
  const decision = judge(compiled, flow);
  const explanation = explain(compiled, flow);
  assert.deepEqual([explanation.verdict, explanation.missing], [decision.verdict, decision.missing]);
  const missing = missingFactNames(decision.missing);
  if (!missing.includes('some-backends') && !missing.includes('some-pods'))
    assert.deepEqual([explanation.egress.reason, explanation.ingress.reason], [decision.egress, decision.ingress]);
  return [VERDICT_NAMES[decision.verdict], ...missing].join(' ');
}

const backendsOf = ({ via }: Explanation): readonly string[] =>
  via!.backends.map(
    ({ destination, port }) => `${destination.name ?? destination.kind} ${destination.address} ${port}`,
  );

const tcp = (port: number): Partial<Rule> => ({ ports: [{ kind: 'range', protocol: 'TCP', first: port, last: port }] });

test('SV-01: a Service by name goes where its ClusterIP goes, and is called what was called', () => {
  const compiled = program([admit({ tier: 'backend' }, ruleOf(tcp(8080)))]);
  for (const [flow, text] of [
    [flowTo(BY_NAME, 80), 'Service app/backend TCP/80'],
    [flowTo(CLUSTER_ADDRESS, 80), 'ClusterIP 10.96.0.10 TCP/80 of Service app/backend'],
  ] as const) {
    assert.equal(answer(compiled, flow), 'allow');
    const explanation = explain(compiled, flow);
    assert.deepEqual([explanation.via?.text, explanation.via?.service], [text, SERVICE]);
    assert.deepEqual(backendsOf(explanation), ['one 10.0.0.1 8080', 'two 10.0.0.2 8080']);
    assert.equal(explanation.destination.name, 'one');
  }
});

test('SV-05: where nobody listens both sides lack a backend, and no policy is shown', () => {
  const compiled = program([admit({})]);
  for (const [destination, resolved, text] of [
    [
      BY_NAME,
      { kind: 'service', namespace: 'app', name: 'backend', areLabelsComplete: true },
      'Service app/backend TCP/81',
    ],
    [
      CLUSTER_ADDRESS,
      { kind: 'service', address: '10.96.0.10', areLabelsComplete: true },
      'ClusterIP 10.96.0.10 TCP/81 of Service app/backend',
    ],
  ] as const) {
    const flow = flowTo(destination, 81);
    assert.equal(answer(compiled, flow), 'undecidable no-backend');
    const { source, egress, ingress, ...rest } = explain(compiled, flow);
    const shared = { verdict: 1, reason: 11, missing: 64, policies: [] };
    assert.equal(source.name, 'frontend');
    assert.deepEqual(egress, { ...shared, direction: 'egress', subject: source, peer: resolved });
    assert.deepEqual(ingress, { ...shared, direction: 'ingress', subject: resolved, peer: source });
    assert.deepEqual(rest, {
      destination: resolved,
      protocol: 6,
      port: 81,
      verdict: 1,
      missing: 64,
      via: { service: SERVICE, text, backends: [] },
    });
  }
  const withoutPort = explain(compiled, { ...flowTo(BY_NAME), port: undefined } as unknown as Flow);
  assert.equal(withoutPort.via?.text, 'Service app/backend TCP');
  assert.equal(answer(compiled, flowTo(BY_NAME, 0)), 'undecidable no-backend');
  assert.equal(explain(compiled, flowTo(BY_NAME, 0)).via?.text, 'Service app/backend TCP/0');
});

test('SV-08: whom an ExternalName means is not known', () => {
  const service: Service = { ...SERVICE, type: 'ExternalName', clusterAddresses: [], selector: undefined };
  const compiled = program([], { services: [service] });
  assert.equal(answer(compiled, flowTo(BY_NAME, 80)), 'undecidable domain-name');
  const { via } = explain(compiled, flowTo(BY_NAME, 80));
  assert.deepEqual(via, { service, text: 'Service app/backend TCP/80', backends: [] });
});

test('DI-08: neighbour discovery is exempt, whatever stands at the other end', () => {
  const compiled = program([admit({})], { nodes: [NODE] });
  for (const destination of [ONE, BY_NAME, CLUSTER_ADDRESS, toAddress('192.168.0.1')]) {
    const { port: _, ...bare } = flowTo(destination);
    const flow: Flow = { ...bare, protocol: Protocol.Icmpv6, icmp: 135 << 8 };
    assert.equal(answer(compiled, flow), 'allow');
    const { egress, ingress, via, icmp, destination: end } = explain(compiled, flow);
    assert.deepEqual(
      [REASONS[egress.reason]!.name, REASONS[ingress.reason]!.name],
      ['dialect-exempt', 'dialect-exempt'],
    );
    assert.deepEqual([egress.policies, ingress.policies, via, icmp], [[], [], undefined, 135 << 8]);
    assert.deepEqual([egress.direction, ingress.direction], ['egress', 'ingress']);
    assert.deepEqual([egress.peer, ingress.subject, ingress.peer], [end, end, egress.subject]);
    if (destination === BY_NAME)
      assert.deepEqual(end, { kind: 'service', namespace: 'app', name: 'backend', areLabelsComplete: true });
    // Another message of the same protocol is not.
    const other: string | undefined =
      destination === BY_NAME ? 'undecidable no-backend' : destination === ONE ? 'deny' : undefined;
    if (other !== undefined) assert.equal(answer(compiled, { ...flow, icmp: 128 << 8 }), other);
  }
});

test('SV-04: each backend is judged on its own port', () => {
  const named = { name: 'web', protocol: 'TCP' } as const;
  const pods: readonly Pod[] = [
    { ...BACKEND_ONE, ports: [{ ...named, port: 1001 }] },
    { ...BACKEND_TWO, ports: [{ ...named, port: 1002 }] },
    { ...pod('three', '10.0.0.3', { tier: 'backend' }), ports: [{ ...named, port: 1003 }] },
    FRONTEND,
  ];
  const services = [{ ...SERVICE, ports: [{ protocol: 'TCP', port: 80, targetPort: 'web' }] }] as const;
  const rules = (...ports: readonly number[]): Policy =>
    admit({ tier: 'backend' }, ...ports.map((port) => ruleOf(tcp(port))));
  const all = program([rules(1001, 1002, 1003)], { pods, services });
  for (const destination of [BY_NAME, CLUSTER_ADDRESS]) {
    assert.deepEqual(backendsOf(explain(all, flowTo(destination, 80))), [
      'one 10.0.0.1 1001',
      'two 10.0.0.2 1002',
      'three 10.0.0.3 1003',
    ]);
    assert.equal(answer(all, flowTo(destination, 80)), 'allow');
    for (const admitted of [[1001, 1002], [1001, 1003], [1002, 1003], [1001], [1002], [1003]])
      assert.equal(
        answer(program([rules(...admitted)], { pods, services }), flowTo(destination, 80)),
        'undecidable some-backends',
        `${admitted}`,
      );
    assert.equal(answer(program([rules(80, 8080)], { pods, services }), flowTo(destination, 80)), 'deny');
  }
  // One port each is as much as it takes.
  const own = [BACKEND_ONE, BACKEND_TWO].map(({ labels }, index) =>
    admit({ role: labels.get('role')! }, ruleOf(tcp(1001 + index))),
  );
  assert.equal(answer(program(own, { pods: [...pods.slice(0, 2), FRONTEND], services }), flowTo(BY_NAME, 80)), 'allow');
  assert.equal(
    answer(program(own, { pods: [...pods.slice(0, 2), FRONTEND], services }), flowTo(CLUSTER_ADDRESS, 80)),
    'allow',
  );
  // Every backend's rule counts, once each.
  const source = endpointOfAddress(all, FRONTEND.addresses[0]!);
  const target = endpointOfAddress(all, '10.96.0.10' as AddressText);
  for (let again = 0; again < 2; again++)
    assert.deepEqual(
      rulesOf(all, source, target, 6, 80, -1).map(({ rule }) => rule),
      [0, 1, 2],
    );
  assert.deepEqual(rulesOf(all, source, target, 6, 81, -1), []);
  assert.deepEqual(rulesOf(all, source, target, 17, 80, -1), []);
  const one = program([rules(1001, 1002, 1003), admit({ tier: 'backend' }, ruleOf({}))], { pods, services });
  assert.deepEqual(
    rulesOfExplanation(one, explain(one, flowTo(BY_NAME, 80)))
      .map(({ ordinal }) => ordinal)
      .sort(),
    [0, 1, 2, 3],
  );
  assert.equal(listRules(one).length, 4);
});

test('hits of one source at several Services are told apart, and those of several sources at one', () => {
  const services: readonly Service[] = Array.from({ length: 20 }, (_, index) => ({
    ...SERVICE,
    name: `s${index}`,
    clusterAddresses: [`10.96.1.${index}` as AddressText],
    ports: [{ protocol: 'TCP', port: 80, targetPort: 1000 + index }],
    selector: new Map([['role', index % 2 === 0 ? 'one' : 'two']]),
  }));
  const labels = ['one', 'two'].map((role) =>
    admit({ role }, ...services.map((_, index) => ruleOf(tcp(1000 + index)))),
  );
  const compiled = program(labels, { services });
  for (let again = 0; again < 2; again++)
    for (const caller of [BACKEND_ONE, BACKEND_TWO, FRONTEND])
      for (const [index, service] of services.entries()) {
        const [from, to] = [caller.addresses[0]!, service.clusterAddresses[0]!].map((own) =>
          endpointOfAddress(compiled, own),
        ) as [number, number];
        const hits = rulesOf(compiled, from, to, 6, 80, -1).map(({ policy, rule }) => [policy, rule]);
        assert.deepEqual(hits, [[index % 2, index]], `${caller.name} ${service.name}`);
      }
});

test('a Service is found wherever the table put it, by name and by address', () => {
  for (let count = 1; count <= 24; count++) {
    const services: readonly Service[] = Array.from({ length: count }, (_, index) => ({
      ...SERVICE,
      name: `s${index}`,
      clusterAddresses: [`10.96.1.${index}` as AddressText],
      ports: [{ protocol: 'TCP', port: 80, targetPort: 1000 + index }],
    }));
    const compiled = program([], { services });
    for (const [index, { name }] of services.entries())
      for (const destination of [{ kind: 'service', namespace: 'app', name } as const, toAddress(`10.96.1.${index}`)]) {
        assert.equal(answer(compiled, flowTo(destination, 80)), 'allow');
        assert.equal(explain(compiled, flowTo(destination, 80)).port, 1000 + index, `${name} of ${count}`);
      }
  }
});

test('SV-01: a Service is its protocols: others that have a port in the record are not translated', () => {
  const services = [
    {
      ...SERVICE,
      ports: (['TCP', 'UDP', 'SCTP'] as const).map((protocol, index) => ({
        protocol,
        port: 80,
        targetPort: 90 + index,
      })),
    },
  ];
  const compiled = program([], { services });
  const source = endpointOfAddress(compiled, FRONTEND.addresses[0]!);
  const target = endpointOfAddress(compiled, '10.96.0.10' as AddressText);
  const slots = [6, 17, 132].map((protocol) => findService(compiled, target, protocol, 80));
  assert.equal(new Set(slots).size, 3);
  assert.ok(slots.every((slot) => slot >= 0));
  for (const [protocol, port] of [
    [1, -1],
    [1, 80],
    [33, 80],
    [136, 80],
    [255, 80],
    [6, -1],
    [17, -1],
    [132, -1],
    [6, 0],
    [6, 81],
  ] as const) {
    assert.equal(findService(compiled, target, protocol, port), -1, `${protocol} ${port}`);
    assert.equal(missingFactNames(decide(compiled, source, target, protocol, port, -1) >>> 14).join(), 'no-backend');
  }
});

test('a pod that only a record describes is nobody’s Service and no node, whatever port it is called on', () => {
  const services = [
    { ...SERVICE, ports: [{ protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_001 }] },
  ] as const;
  const compiled = program([admit({ tier: 'backend' })], { services, nodes: [NODE] });
  const source = factsOfEndpoint(compiled, endpointOfAddress(compiled, FRONTEND.addresses[0]!), undefined);
  const described = factsOfDescription(
    compiled,
    { kind: 'pod', namespace: 'app', areLabelsComplete: true },
    '10.0.0.77' as AddressText,
  );
  for (const port of [30_001, 80]) {
    const { via, verdict } = explainFacts(compiled, source, described, { protocol: 6, port, icmp: -1 });
    assert.deepEqual([via, verdict], [undefined, 2]);
  }
  // Nor the same pod as another that is described, nor on its node.
  const closed = program([admit({})], { nodes: [NODE] }, { ownNodeIngress: 'allow' });
  assert.equal(explainFacts(closed, described, described, { protocol: 6, port: 80, icmp: -1 }).verdict, 0);
  const node = factsOfEndpoint(closed, endpointOfAddress(closed, NODE.addresses[0]!), NODE.addresses[0]);
  assert.equal(explainFacts(closed, node, described, { protocol: 6, port: 80, icmp: -1 }).verdict, 0);
});

test('SV-07: a headless Service is its pods, on the port that is asked for', () => {
  const services = [{ ...SERVICE, clusterAddresses: [], isHeadless: true, ports: [] }];
  const compiled = program([admit({ tier: 'backend' }, ruleOf(tcp(9000)))], { services });
  assert.deepEqual(backendsOf(explain(compiled, flowTo(BY_NAME, 9000))), ['one 10.0.0.1 9000', 'two 10.0.0.2 9000']);
  assert.equal(answer(compiled, flowTo(BY_NAME, 9000)), 'allow');
  assert.equal(answer(compiled, flowTo(BY_NAME, 80)), 'deny');
  assert.equal(
    answer(program([admit({ role: 'one' })], { services }), flowTo(BY_NAME, 80)),
    'undecidable some-backends',
  );
  assert.equal(
    answer(
      program([], { services: [{ ...services[0]!, selector: new Map([['tier', 'none']]) }] }),
      flowTo(BY_NAME, 80),
    ),
    'undecidable no-backend',
  );
  // One that is not headless has none but through its ports.
  assert.equal(
    answer(program([], { services: [{ ...services[0]!, isHeadless: false }] }), flowTo(BY_NAME, 80)),
    'undecidable no-backend',
  );
});

test('EP-12: pods of both families are reached by the family of the Service address, else by their first', () => {
  const addresses = ['10.0.0.7', 'fd00::7'] as AddressText[];
  for (const [own, cidr, verdicts] of [
    [addresses, '10.0.0.7/32', ['allow', 'deny']],
    [addresses, 'fd00::7/128', ['deny', 'allow']],
    [addresses.toReversed(), '10.0.0.7/32', ['allow', 'deny']],
    [addresses.toReversed(), 'fd00::7/128', ['deny', 'allow']],
    [[addresses[0]!], '10.0.0.7/32', ['allow', 'allow']],
    [[addresses[1]!], '10.0.0.7/32', ['deny', 'deny']],
  ] as const) {
    const clusterAddresses = ['10.96.0.10', 'fd96::10'] as AddressText[];
    const compiled = program(
      [
        {
          ...admit({ role: 'frontend' }),
          isolates: ['egress'],
          egress: [ruleOf({ peers: [{ kind: 'ipBlock', cidr: cidr as never, except: [] }] })],
        },
      ],
      {
        pods: [
          { ...BACKEND_ONE, addresses: own },
          { ...FRONTEND, addresses: ['10.0.0.9', 'fd00::9'] as AddressText[] },
        ],
        services: [{ ...SERVICE, clusterAddresses }],
      },
    );
    const found = clusterAddresses.map((address) => answer(compiled, flowTo({ kind: 'address', address }, 80)));
    assert.deepEqual(
      found.map((text) => text.split(' ')[0]),
      verdicts,
      `${own} ${cidr}`,
    );
  }
});

test('EP-11: what lies outside and has no address may be in any block', () => {
  const compiled = program([
    {
      ...admit(
        { role: 'frontend' },
        ruleOf({ peers: [{ kind: 'ipBlock', cidr: '203.0.113.0/24' as never, except: [] }] }),
      ),
      isolates: ['ingress', 'egress'],
      egress: [ruleOf({ peers: [{ kind: 'ipBlock', cidr: '2001:db8::/32' as never, except: [] }] })],
    },
  ]);
  const outside = compiled.header[Header.OutsideNoAddress]!;
  const frontend = endpointOfAddress(compiled, '10.0.0.9' as AddressText);
  for (const decision of [
    decide(compiled, frontend, outside, 6, 80, -1),
    decide(compiled, outside, frontend, 6, 80, -1),
  ])
    assert.equal(decisionVerdict(decision), Verdict.Undecidable);
});

test('NP-20: the address of a Service that a packet comes from lies in the blocks that hold it, whatever the dialect says of pods and nodes', () => {
  for (const isMatched of [true, false])
    for (const [cidr, verdict] of [
      ['10.96.0.0/16', Verdict.Allow],
      ['10.97.0.0/16', Verdict.Deny],
    ] as const) {
      const rule = ruleOf({ peers: [{ kind: 'ipBlock', cidr: cidr as never, except: [] }] });
      const dialect = { ipBlockMatchesPods: isMatched, ipBlockMatchesNodes: isMatched };
      const compiled = program([admit({ role: 'frontend' }, rule)], {}, dialect);
      const [service, frontend] = ['10.96.0.10', '10.0.0.9'].map((own) =>
        endpointOfAddress(compiled, own as AddressText),
      );
      assert.equal(decisionVerdict(decide(compiled, service!, frontend!, 6, 80, -1)), verdict, cidr);
    }
});

test('EP-12: a Service by name has the backends of the family that the source has; of both where nothing tells', () => {
  const slice = (family: 4 | 6, address: string): EndpointSlice => ({
    namespace: 'app',
    name: `slice-${family}`,
    service: 'backend',
    family,
    endpoints: [{ addresses: [address as AddressText] }],
    ports: [{ protocol: 'TCP', port: 443 }],
  });
  const source = (addresses: readonly string[]): Pod => ({
    ...FRONTEND,
    addresses: addresses as readonly AddressText[],
  });
  const [v4, v6] = ['203.0.113.7', '2001:db8::7'];
  for (const isHeadless of [false, true])
    for (const [addresses, backends] of [
      [['10.0.0.9'], [v4]],
      [['fd00::9'], [v6]],
      [['fd00::9', '10.0.0.9'], [v6]],
      [[], [v4, v6]],
    ] as const) {
      const compiled = program([], {
        pods: [source(addresses)],
        services: [{ ...SERVICE, selector: undefined, isHeadless, ports: isHeadless ? [] : SERVICE.ports }],
        endpointSlices: [slice(4, v4), slice(6, v6)],
      });
      const flow = flowTo(BY_NAME, 80);
      assert.deepEqual(
        explain(compiled, flow).via?.backends.map(({ destination }) => destination.address),
        backends,
      );
      assert.equal(answer(compiled, flow), 'allow');
    }
  // Each family's own: one is denied, the other not.
  const egress = ruleOf({ peers: [{ kind: 'ipBlock', cidr: '2001:db8::/32' as never, except: [] }] });
  const policy: Policy = { ...admit({ role: 'frontend' }), isolates: ['egress'], egress: [egress] };
  for (const [addresses, verdict] of [
    [['10.0.0.9'], 'deny'],
    [['fd00::9'], 'allow'],
    [[], 'undecidable some-backends'],
  ] as const)
    assert.equal(
      answer(
        program([policy], {
          pods: [source(addresses)],
          services: [{ ...SERVICE, selector: undefined }],
          endpointSlices: [slice(4, v4), slice(6, v6)],
        }),
        flowTo(BY_NAME, 80),
      ),
      verdict,
    );
});

test('DI-05: a pod that reaches itself through a Service is judged, or allowed where the dialect says so', () => {
  const services = [{ ...SERVICE, selector: new Map([['role', 'one']]) }];
  const closed = [admit({ role: 'one' })];
  for (const destination of [BY_NAME, CLUSTER_ADDRESS]) {
    const flow = flowTo(destination, 80, 'one');
    assert.equal(answer(program(closed, { services }), flow), 'deny');
    const allowing = program(closed, { services }, { hairpin: 'allow' });
    assert.equal(answer(allowing, flow), 'allow');
    const { egress, ingress } = explain(allowing, flow);
    assert.deepEqual([REASONS[egress.reason]!.name, REASONS[ingress.reason]!.name], ['same-pod', 'same-pod']);
    assert.equal(answer(allowing, flowTo(destination, 80, 'two')), 'deny');
  }
  // EP-13: directly it never leaves.
  assert.equal(answer(program(closed), flowTo(ONE, 80, 'one')), 'allow');
});

const SHARED = '203.0.113.5' as AddressText;
const shared = (name: string, port: number, role: string, part: Partial<Service> = {}): Service => ({
  ...SERVICE,
  name,
  type: 'LoadBalancer',
  clusterAddresses: [],
  externalAddresses: [SHARED],
  ports: [{ protocol: 'TCP', port, targetPort: 8080 }],
  selector: new Map([['role', role]]),
  ...part,
});

test('Services that share an address are told apart by port; of one port the first has it', () => {
  const compiled = program([admit({ role: 'two' })], {
    services: [shared('a', 80, 'one'), shared('b', 443, 'two'), shared('c', 443, 'one')],
  });
  const ask = (port: number): unknown => {
    const { via, destination } = explain(compiled, flowTo(toAddress(SHARED), port));
    return [answer(compiled, flowTo(toAddress(SHARED), port)), via?.text, via?.service?.name, destination.name];
  };
  assert.deepEqual(ask(80), ['allow', `external address ${SHARED} TCP/80 of Service app/a`, 'a', 'one']);
  assert.deepEqual(ask(443), ['deny', `external address ${SHARED} TCP/443 of Service app/b`, 'b', 'two']);
  assert.deepEqual(ask(444), [
    'undecidable no-backend',
    `external address ${SHARED} TCP/444 of Service app/a`,
    'a',
    undefined,
  ]);
});

test('SV-06: on a node a node port goes first, then a Service that has the node’s address, then a host port, then the node', () => {
  const nodeAddress = NODE.addresses[0]!;
  const hosted: Pod = {
    ...pod('hosted', '10.0.0.4', { role: 'hosted' }),
    node: 'n',
    ports: [1, 2, 3].map((number) => ({ port: 9000 + number, hostPort: 30_000 + number, protocol: 'TCP' })),
  };
  const compiled = program([], {
    nodes: [NODE],
    pods: [BACKEND_ONE, BACKEND_TWO, FRONTEND, hosted],
    services: [
      shared('external', 30_002, 'one', { externalAddresses: [nodeAddress] }),
      shared('too', 30_001, 'one', { externalAddresses: [nodeAddress] }),
      { ...shared('port', 80, 'two'), ports: [{ protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_001 }] },
      { ...shared('udp', 80, 'two'), ports: [{ protocol: 'UDP', port: 80, targetPort: 8080, nodePort: 30_003 }] },
    ],
  });
  const ask = (port: number): unknown => {
    const flow = flowTo(toAddress(nodeAddress), port);
    const { via, destination } = explain(compiled, flow);
    assert.equal(answer(compiled, flow), 'allow');
    return [via?.text, via?.service?.name, destination.name];
  };
  assert.deepEqual(ask(30_001), [`node port ${nodeAddress} TCP/30001 of Service app/port`, 'port', 'two']);
  assert.deepEqual(ask(30_002), [
    `external address ${nodeAddress} TCP/30002 of Service app/external`,
    'external',
    'one',
  ]);
  assert.deepEqual(ask(30_003), [`host port ${nodeAddress} TCP/30003`, undefined, 'hosted']);
  assert.deepEqual(ask(30_004), [undefined, undefined, 'n']);
});

test('SV-06: a node of which no address is known has no node ports', () => {
  const services = [
    { ...SERVICE, ports: [{ protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_001 }] },
  ] as const;
  const host: Pod = { ...pod('host', '10.0.0.4', {}), addresses: [], hostNetwork: true, node: 'n' };
  const compiled = program([admit({ tier: 'backend' })], {
    services,
    nodes: [NODE],
    pods: [BACKEND_ONE, FRONTEND, host],
  });
  const flow = flowTo({ kind: 'name', namespace: 'app', name: 'host' }, 30_001);
  assert.equal(answer(compiled, flow), 'allow');
  assert.equal(explain(compiled, flow).via, undefined);
  assert.equal(answer(compiled, flowTo(toAddress('192.168.0.1'), 30_001)), 'deny');
  const facts = factsOfEndpoint(compiled, endpointWithoutAddress(compiled, 'node'), undefined);
  const source = factsOfEndpoint(compiled, endpointOfAddress(compiled, FRONTEND.addresses[0]!), undefined);
  const explanation = explainFacts(compiled, source, facts, { protocol: 6, port: 30_001, icmp: -1 });
  assert.deepEqual([explanation.via, explanation.destination], [undefined, { kind: 'node', areLabelsComplete: true }]);
});

test('EP-10: pods of one name that disagree are undecidable, and the one that is denied is shown', () => {
  const pods = [BACKEND_ONE, BACKEND_TWO, FRONTEND].map((own) => ({
    ...own,
    workload: { kind: 'Deployment', namespace: 'app', name: own.labels.has('tier') ? 'backends' : 'frontend' },
  }));
  const all: EndpointRef = { kind: 'name', namespace: 'app', name: 'backends' };
  for (const [role, denied] of [
    ['one', 'one'],
    ['two', 'two'],
  ] as const) {
    const compiled = program([admit({ role })], { pods, services: [] });
    assert.equal(answer(compiled, flowTo(all)), 'undecidable some-pods');
    const { destination, ingress } = explain(compiled, flowTo(all));
    assert.deepEqual([destination.name, VERDICT_NAMES[ingress.verdict]], [denied, 'deny']);
  }
  assert.equal(answer(program([], { pods, services: [] }), flowTo(all)), 'allow');
  assert.equal(answer(program([admit({})], { pods, services: [] }), flowTo(all)), 'deny');
  const maybe = ruleOf({ peers: [{ kind: 'domains', names: ['a.example'] }] });
  const open = program([admit({ role: 'two' }, maybe)], { pods, services: [] });
  assert.equal(answer(open, flowTo(all)), 'undecidable domain-name some-pods');
  assert.equal(explain(open, flowTo(all)).destination.name, 'two', 'the undecidable one goes before the allowed one');
});
