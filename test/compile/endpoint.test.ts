/** Endpoint records, one by one: who has which number, whose pod and node it is, in which family, and in which blocks it lies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareKeys } from '../../src/compile/block.ts';
import { compile } from '../../src/compile/compile.ts';
import { numberNodes } from '../../src/compile/endpoint.ts';
import { Endpoint, EndpointKind, Header, Row } from '../../src/compile/layout.ts';
import type { Program } from '../../src/compile/program.ts';
import { decide } from '../../src/decide/decide.ts';
import { endpointOfAddress } from '../../src/decide/resolve.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { EndpointSlice, Node, Pod, Service, Snapshot } from '../../src/model/cluster.ts';
import { DEFAULT_DIALECT, type Dialect } from '../../src/model/dialect.ts';
import type { Peer, Policy } from '../../src/model/policy.ts';
import { MissingFact, Verdict } from '../../src/model/verdict.ts';
import { admit, pod, program, ruleOf, SERVICE } from '../decide/world.ts';

const addressed = (...list: readonly string[]): readonly AddressText[] => list as AddressText[];
const nodeOf = (name: string, addresses: readonly string[], podCidrs: readonly string[] = []): Node => ({
  name,
  labels: new Map(),
  addresses: addressed(...addresses),
  podCidrs: podCidrs as Cidr[],
});
const block = (cidr: string): Peer => ({ kind: 'ipBlock', cidr: cidr as Cidr, except: [] });

const POD = pod('p', '10.0.0.1', { role: 'one' });
const PODS: readonly Pod[] = [
  { ...POD, name: 'late', phase: 'Pending', addresses: addressed('10.0.0.1', '10.0.0.5'), node: 'n' },
  { ...POD, name: 'two', addresses: addressed('10.0.0.1', 'fd00::1'), node: 'elsewhere' },
  { ...POD, name: 'twin', addresses: addressed('10.0.0.1') },
  { ...POD, name: 'many', addresses: [], count: 3 },
  { ...POD, name: 'none', addresses: [], node: 'm' },
  { ...POD, name: 'host', addresses: addressed('192.168.0.1', '192.168.0.7'), node: 'n', hostNetwork: true },
  { ...POD, name: 'lost', addresses: [], hostNetwork: true },
  { ...POD, name: 'done', addresses: addressed('10.0.0.9'), phase: 'Succeeded' },
  { ...POD, name: 'over', addresses: addressed('192.168.0.9'), phase: 'Failed', hostNetwork: true },
  { ...POD, name: 'end', addresses: addressed('192.168.0.8'), phase: 'Succeeded', hostNetwork: true },
];
const NODES = [nodeOf('m', ['192.168.0.2', '10.0.0.5']), nodeOf('n', ['192.168.0.1', 'fd00::9'])];
const SERVICES: readonly Service[] = [
  { ...SERVICE, clusterAddresses: addressed('10.96.0.1', '192.168.0.2'), selector: new Map([['role', 'one']]) },
  {
    ...SERVICE,
    name: 'second',
    clusterAddresses: addressed('10.96.0.1', 'fd00::3'),
    externalAddresses: addressed('203.0.113.1'),
    selector: undefined,
  },
];
const SLICES: readonly EndpointSlice[] = ([4, 6] as const).map((family) => ({
  namespace: 'app',
  name: `s${family}`,
  service: 'second',
  family,
  endpoints: [
    { addresses: addressed(family === 4 ? '198.51.100.1' : '2001:db8::1') },
    { addresses: [], pod: { namespace: 'app', name: 'two' } },
  ],
  ports: [{ protocol: 'TCP', port: 443 }],
}));
const SNAPSHOT: Partial<Snapshot> = { pods: PODS, nodes: NODES, services: SERVICES, endpointSlices: SLICES };

/** Records in words: kind, family, pod, object, node; and the row of either direction where the endpoint is no subject. */
function recordsOf({ endpoints }: Program): string[] {
  const lines: string[] = [];
  for (let at = 0; at < endpoints.length; at += Endpoint.Stride) {
    const field = (own: Endpoint): number => endpoints[at + own]!;
    const kind = ['outside', 'pod', 'unknown', 'node', 'service'][field(Endpoint.Kind) & EndpointKind.Mask];
    const family = (field(Endpoint.Kind) & EndpointKind.Ipv6) === 0 ? 4 : 6;
    const rows = [field(Endpoint.EgressRow), field(Endpoint.IngressRow)].join('/');
    lines.push(
      `${kind} ${family} self ${field(Endpoint.Self)} object ${field(Endpoint.Object)} node ${field(Endpoint.Node)} rows ${rows}`,
    );
  }
  return lines;
}

const made = (policies: readonly Policy[] = [], dialect: Partial<Dialect> = {}): Program =>
  program(policies, SNAPSHOT, dialect);

test('every address has a record: what is outside, running pods, other pods, nodes, hostNetwork pods, Services, each address once', () => {
  const compiled = made([admit({})]);
  const subject = `rows ${Row.NotIsolated}/${Row.First}`;
  const nobody = `rows ${Row.NotSubject}/${Row.NotSubject}`;
  assert.deepEqual(recordsOf(compiled), [
    `outside 4 self -1 object -1 node -1 ${nobody}`,
    `outside 6 self -1 object -1 node -1 ${nobody}`,
    `outside 4 self -1 object -1 node -1 ${nobody}`,
    `pod 4 self 1 object 1 node 2 ${subject}`,
    `pod 6 self 1 object 1 node 2 ${subject}`,
    `pod 4 self 2 object 2 node -1 ${subject}`,
    `pod 4 self -1 object 3 node -1 ${subject}`,
    `pod 4 self 4 object 4 node 0 ${subject}`,
    `pod 4 self 0 object 0 node 1 ${subject}`,
    `pod 4 self 0 object 0 node 1 ${subject}`,
    `node 4 self -1 object -1 node -1 ${nobody}`,
    `node 4 self -1 object 0 node 0 ${nobody}`,
    `node 4 self -1 object 1 node 1 ${nobody}`,
    `node 6 self -1 object 1 node 1 ${nobody}`,
    `node 4 self -1 object -1 node -1 ${nobody}`,
    `service 4 self -1 object 0 node -1 ${nobody}`,
    `service 6 self -1 object 1 node -1 ${nobody}`,
    `service 4 self -1 object 1 node -1 ${nobody}`,
  ]);
  assert.deepEqual(
    [
      compiled.header[Header.OutsideNoAddress],
      compiled.header[Header.NodeNoAddress],
      compiled.header[Header.EndpointCount],
    ],
    [2, 10, 18],
  );
  const { podEndpointStart, podEndpoints } = compiled;
  assert.deepEqual(
    PODS.map((_, index) => [...podEndpoints.subarray(podEndpointStart[index], podEndpointStart[index + 1])]),
    [[8, 9], [3, 4], [5], [6], [7], [12, 14], [10], [], [], []],
  );
  // EP-03: of two with one address the running one, then the earlier; a pod before a node; a node before a Service.
  for (const [address, endpoint] of [
    ['10.0.0.1', 3],
    ['fd00::1', 4],
    ['10.0.0.5', 9],
    ['192.168.0.2', 11],
    ['192.168.0.1', 12],
    ['fd00::9', 13],
    ['192.168.0.7', 14],
    ['10.96.0.1', 15],
    ['fd00::3', 16],
    ['203.0.113.1', 17],
    ['10.0.0.9', 0],
    ['192.168.0.9', 0],
    ['fd00::2', 1],
  ] as const)
    assert.equal(endpointOfAddress(compiled, address as AddressText), endpoint, address);
  assert.deepEqual(
    [...numberNodes({ namespaces: [], endpointSlices: [], pods: PODS, nodes: NODES, services: [] })],
    [
      ['m', 0],
      ['n', 1],
      ['elsewhere', 2],
    ],
  );
});

test('EP-12: a backend is the pod’s endpoint of the entry’s family, else its first; an address is its own, or what lies there', () => {
  const { backends } = made();
  const pairs = Array.from({ length: backends.length / 2 }, (_, index) => backends[index * 2]!);
  // The pods of the selector, in the order of the input, without a family, of IPv4, and of IPv6.
  const pods4 = [8, 3, 5, 6, 7, 12, 10];
  const pods6 = [8, 4, 5, 6, 7, 12, 10];
  assert.deepEqual(pairs, [...pods4, ...pods4, ...pods6, 0, 3, 1, 3, 0, 3, 1, 4]);
});

test('addresses of nobody are told apart by the blocks of egress, of ingress and of nodes’ pods that hold them, in either family', () => {
  const egress = ['20.0.0.0/8', '20.16.0.0/12', '20.17.0.0/16', '30.0.0.0/8', 'fd20::/16', 'fd20:10::/28'];
  const ingress = ['20.17.0.0/24', '20.0.0.0/12', '30.8.0.0/13', 'fd20:10::/32', 'fd30::/16'];
  const podCidrs = ['20.17.0.0/25', '30.8.0.0/16', '40.0.0.0/8', 'fd20:10::/64'];
  const POLICIES: readonly Policy[] = [
    ...ingress.map((cidr, index) => ({
      ...admit({}, ruleOf({ peers: [block(cidr)], ports: tcp(index) })),
      name: `i${index}`,
    })),
    ...egress.map((cidr, index) => ({
      ...admit({}),
      name: `e${index}`,
      isolates: ['egress'] as const,
      ingress: [],
      egress: [ruleOf({ peers: [block(cidr)], ports: tcp(index) })],
    })),
  ];
  const asked: readonly [string, ...string[]][] = [
    ['1.0.0.1'],
    ['20.0.0.1', '20.0.0.0/8', '20.0.0.0/12'],
    ['20.15.255.255', '20.0.0.0/8', '20.0.0.0/12'],
    ['20.16.0.0', '20.0.0.0/8', '20.16.0.0/12'],
    ['20.17.0.127', '20.0.0.0/8', '20.16.0.0/12', '20.17.0.0/16', '20.17.0.0/24', '20.17.0.0/25'],
    ['20.17.0.128', '20.0.0.0/8', '20.16.0.0/12', '20.17.0.0/16', '20.17.0.0/24'],
    ['20.17.1.0', '20.0.0.0/8', '20.16.0.0/12', '20.17.0.0/16'],
    ['20.18.0.0', '20.0.0.0/8', '20.16.0.0/12'],
    ['20.32.0.0', '20.0.0.0/8'],
    ['30.0.0.0', '30.0.0.0/8'],
    ['30.8.0.0', '30.0.0.0/8', '30.8.0.0/13', '30.8.0.0/16'],
    ['30.9.0.0', '30.0.0.0/8', '30.8.0.0/13'],
    ['40.0.0.0', '40.0.0.0/8'],
    ['255.255.255.255'],
    ['fd10::'],
    ['fd20::', 'fd20::/16'],
    ['fd20:10::', 'fd20::/16', 'fd20:10::/28', 'fd20:10::/32', 'fd20:10::/64'],
    ['fd20:10:0:1::', 'fd20::/16', 'fd20:10::/28', 'fd20:10::/32'],
    ['fd20:11::', 'fd20::/16', 'fd20:10::/28'],
    ['fd20:20::', 'fd20::/16'],
    ['fd30::', 'fd30::/16'],
  ];
  const subject = { ...POD, addresses: addressed('10.0.0.1', 'fd00::1') };
  for (const ipBlockMatchesPods of [true, false]) {
    const compiled = program(
      POLICIES,
      { pods: [subject], nodes: [nodeOf('n', [], podCidrs)], services: [] },
      { ipBlockMatchesPods },
    );
    for (const [address, ...holding] of asked) {
      const endpoint = endpointOfAddress(compiled, address as AddressText);
      const kind = compiled.endpoints[endpoint * Endpoint.Stride + Endpoint.Kind]!;
      const isPod = podCidrs.some((cidr) => holding.includes(cidr));
      assert.equal(kind & EndpointKind.Mask, isPod ? EndpointKind.UnknownPod : EndpointKind.Outside, address);
      assert.equal((kind & EndpointKind.Ipv6) !== 0, address.includes(':'), address);
      const own = endpointOfAddress(compiled, subject.addresses[address.includes(':') ? 1 : 0]!);
      const isSeen = ipBlockMatchesPods || !isPod;
      // Where the other end is a pod that nobody knows, its own side is undecidable: only a deny of ours shows.
      const certain = isPod ? Verdict.Undecidable : Verdict.Allow;
      for (const [index, cidr] of egress.entries())
        assert.equal(
          decide(compiled, own, endpoint, 6, 1000 + index, -1) & 3,
          isSeen && holding.includes(cidr) ? certain : Verdict.Deny,
          `to ${address}, ${cidr}`,
        );
      for (const [index, cidr] of ingress.entries())
        assert.equal(
          decide(compiled, endpoint, own, 6, 1000 + index, -1) & 3,
          isSeen && holding.includes(cidr) ? certain : Verdict.Deny,
          `from ${address}, ${cidr}`,
        );
    }
  }
});

const tcp = (index: number) => [{ kind: 'range', protocol: 'TCP', first: 1000 + index, last: 1000 + index }] as const;

test('DI-01, DI-02: an end without an address may lie in any block, but for pods and nodes that blocks never match', () => {
  const policies: readonly Policy[] = [
    admit({}, ruleOf({ peers: [block('10.0.0.0/8')] })),
    {
      ...admit({}),
      name: 'out',
      isolates: ['egress'],
      ingress: [],
      egress: [ruleOf({ peers: [block('10.0.0.0/8')] })],
    },
  ];
  for (const isMatched of [true, false]) {
    const compiled = made(policies, { ipBlockMatchesPods: isMatched, ipBlockMatchesNodes: isMatched });
    const subject = endpointOfAddress(compiled, '10.0.0.1' as AddressText);
    const answer = (source: number, destination: number): readonly [number, boolean] => {
      const decision = decide(compiled, source, destination, 6, 80, -1);
      return [decision & 3, ((decision >>> 14) & MissingFact.NoAddress) !== 0];
    };
    const open = [Verdict.Undecidable, true];
    for (const [other, expected] of [
      [compiled.header[Header.OutsideNoAddress]!, open],
      [compiled.header[Header.NodeNoAddress]!, isMatched ? open : [Verdict.Deny, false]],
      [compiled.podEndpoints[compiled.podEndpointStart[3]!]!, isMatched ? open : [Verdict.Deny, false]],
    ] as const) {
      assert.deepEqual(answer(other, subject), expected, `from ${other}, ${isMatched}`);
      assert.deepEqual(answer(subject, other), expected, `to ${other}, ${isMatched}`);
    }
  }
});

test('DI-01, DI-02: pods and nodes lie in the blocks that hold their address, where blocks match them; Services’ addresses always', () => {
  const policies = [admit({}, ruleOf({ peers: [block('10.0.0.0/8'), block('192.168.0.0/16'), block('fd00::/16')] }))];
  for (const ipBlockMatchesPods of [true, false])
    for (const ipBlockMatchesNodes of [true, false]) {
      const compiled = compile(
        {
          namespaces: [],
          services: [],
          endpointSlices: [],
          nodes: NODES,
          pods: [...PODS.slice(1, 2), { ...POD, name: 'x', addresses: addressed('10.1.0.1', 'fd00::8') }],
        },
        policies,
        { ...DEFAULT_DIALECT, ipBlockMatchesPods, ipBlockMatchesNodes },
      );
      for (const [source, isMatched] of [
        ['10.1.0.1', ipBlockMatchesPods],
        ['fd00::8', ipBlockMatchesPods],
        ['192.168.0.2', ipBlockMatchesNodes],
        ['fd00::9', ipBlockMatchesNodes],
        ['10.77.0.1', true],
        ['fd00::77', true],
        ['11.0.0.1', false],
      ] as const) {
        const subject = source.includes(':') ? 'fd00::1' : '10.0.0.1';
        const [from, to] = [source, subject].map((own) => endpointOfAddress(compiled, own as AddressText));
        assert.equal(decide(compiled, from!, to!, 6, 80, -1) & 3, isMatched ? Verdict.Allow : Verdict.Deny, source);
      }
    }
});

test('hundreds of IPv6 addresses keep their endpoints, however the lists grow', () => {
  const pods = Array.from({ length: 300 }, (_, index) => ({
    ...POD,
    name: `p${index}`,
    addresses: addressed(`10.1.${index >> 8}.${index & 255}`, `fd00::1:${(index + 1).toString(16)}`),
  }));
  const compiled = program([], { pods, services: [] });
  const first = endpointOfAddress(compiled, pods[0]!.addresses[0]!);
  for (const [index, { addresses }] of pods.entries())
    assert.deepEqual(
      addresses.map((address) => endpointOfAddress(compiled, address)),
      [first + index * 2, first + index * 2 + 1],
    );
});

test('addresses are ordered as numbers are, of either family', () => {
  for (const [less, more] of [
    [1, 2],
    [1n, 1n << 100n],
    [9, 10],
  ] as const)
    assert.deepEqual([compareKeys(less, more), compareKeys(more, less), compareKeys(less, less)], [-1, 1, 0]);
});
