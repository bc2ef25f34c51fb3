/** One rule against one flow: three values for each peer and port, the facts that are missing, and the sentence that says why not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts } from '../../src/decide/fact.ts';
import { findBlock, type FlowPort, matchRule } from '../../src/decide/match.ts';
import { explainRule, fareRule } from '../../src/decide/sentence.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import { DEFAULT_DIALECT, type Dialect } from '../../src/model/dialect.ts';
import type { Ternary } from '../../src/model/explanation.ts';
import type { Requirement, Selector } from '../../src/model/label.ts';
import type { Peer, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { missingFactNames } from '../../src/model/verdict.ts';
import { peerOf, POSITION, ruleOf } from './world.ts';

const ADDRESS = '10.0.0.9' as AddressText;

/** A pod of namespace `app`, labels `role=web,env=test`, of whose ports one has a name. */
const POD: Facts = {
  resolved: { kind: 'pod', areLabelsComplete: true },
  kind: 'pod',
  endpoint: 0,
  address: ADDRESS,
  namespace: 'app',
  labels: new Map([
    ['role', 'web'],
    ['env', 'test'],
  ]),
  namespaceLabels: new Map([['team', 'a']]),
  areLabelsComplete: true,
  areNamespaceLabelsComplete: true,
  ports: [
    { name: 'http', port: 8080, protocol: 'TCP' },
    { name: 'dns', port: 53, protocol: 'UDP' },
    { port: 9000, protocol: 'TCP' },
  ],
};
const { namespace: _namespace, address: _address, ...NOBODY } = POD;
const OUTSIDE: Facts = { ...POD, kind: 'outside' };
const NODE: Facts = { ...POD, kind: 'node', nodeLabels: new Map([['zone', 'a']]) };
const UNKNOWN_POD: Facts = { ...POD, kind: 'unknown-pod', ports: undefined };
/** What a record says: one label of perhaps more, no port names. */
const DESCRIBED: Facts = {
  ...POD,
  kind: 'described',
  labels: new Map([['role', 'web']]),
  areLabelsComplete: false,
  areNamespaceLabelsComplete: false,
  ports: undefined,
};

const TCP_80: FlowPort = { protocol: 6, port: 80, icmp: -1 };

interface Answer {
  readonly match: Ternary;
  readonly why: string;
  readonly missing: readonly string[];
}

function matchOnly(part: Partial<Rule>, ends: Partial<Record<'peer' | 'destination', Facts>>, flow = TCP_80): Answer {
  return matchIn(DEFAULT_DIALECT, part, ends, flow);
}

function matchIn(
  dialect: Dialect,
  part: Partial<Rule>,
  { peer = POD, destination = POD }: Partial<Record<'peer' | 'destination', Facts>>,
  flow = TCP_80,
): Answer {
  const { match, why, missing } = fareRule(ruleOf(part), peer, 'source', destination, flow, dialect);
  const explanation = explainRule(ruleOf(part), peer, 'source', destination, flow, dialect);
  assert.equal(explanation.match, match);
  assert.equal(matchRule(ruleOf(part), peer, destination, flow, dialect), match, 'with words or without');
  return { match, why: why?.() ?? '', missing: missingFactNames(missing) };
}

const no = (why: string): Answer => ({ match: 'no', why, missing: [] });
const unknown = (why: string, ...missing: readonly string[]): Answer => ({ match: 'unknown', why, missing });
const YES: Answer = { match: 'yes', why: '', missing: [] };

const requirement = (key: string, operator: Requirement['operator'], ...values: readonly string[]): Requirement => ({
  key,
  operator,
  values,
});
const podsWith = (...pods: Selector): Peer => ({ kind: 'pods', namespaces: { kind: 'named', namespace: 'app' }, pods });
const namespacesWith = (...selector: Selector): Peer => ({
  kind: 'pods',
  namespaces: { kind: 'selected', selector },
  pods: [],
});
const nodesWith = (...selector: Selector): Peer => ({ kind: 'nodes', selector });
const block = (cidr: string, ...except: readonly string[]): Peer => ({
  kind: 'ipBlock',
  cidr: cidr as Cidr,
  except: except as readonly Cidr[],
});

const peers: readonly (readonly [title: string, peer: Peer, facts: Facts, answer: Answer])[] = [
  ['NP-14 In', podsWith(requirement('role', 'In', 'db', 'web')), POD, YES],
  ['NP-14 In, no key', podsWith(requirement('a', 'In', 'b')), POD, no('admits a=b; the source has no label a')],
  ['NP-15 NotIn', podsWith(requirement('role', 'NotIn', 'db')), POD, YES],
  ['NP-15 NotIn, no key', podsWith(requirement('a', 'NotIn', 'b')), POD, YES],
  [
    'NP-15 NotIn, one of them',
    podsWith(requirement('role', 'NotIn', 'db', 'web')),
    POD,
    no('admits role notin (db,web); the source is role=web'),
  ],
  ['NP-16 Exists', podsWith(requirement('role', 'Exists')), POD, YES],
  ['NP-16 Exists, no key', podsWith(requirement('a', 'Exists')), POD, no('admits a; the source has no label a')],
  ['NP-16 DoesNotExist', podsWith(requirement('a', 'DoesNotExist')), POD, YES],
  [
    'NP-16 DoesNotExist, key',
    podsWith(requirement('role', 'DoesNotExist')),
    POD,
    no('admits !role; the source is role=web'),
  ],
  [
    'every requirement that fails is named',
    podsWith(requirement('role', 'In', 'db'), requirement('env', 'In', 'test'), requirement('a', 'Exists')),
    POD,
    no('admits role=db; the source is role=web; admits a; the source has no label a'),
  ],
  [
    'a label that the record may have left out is unknown, whatever asks for it',
    podsWith(requirement('env', 'DoesNotExist')),
    DESCRIBED,
    unknown('admits !env; the record does not show env', 'unknown-label'),
  ],
  [
    'every requirement that is open is named',
    podsWith(requirement('env', 'NotIn', 'b'), requirement('role', 'In', 'web'), requirement('a', 'Exists')),
    DESCRIBED,
    unknown('admits env!=b; the record does not show env; admits a; the record does not show a', 'unknown-label'),
  ],
  [
    'one requirement that fails decides over open ones',
    podsWith(requirement('env', 'In', 'b'), requirement('role', 'In', 'db')),
    DESCRIBED,
    no('admits role=db; the source is role=web'),
  ],
  ['a label that is there is certain, complete or not', podsWith(requirement('role', 'In', 'web')), DESCRIBED, YES],
  ['NP-12 a namespace by name', peerOf({}, 'app'), POD, YES],
  ['NP-12 another', peerOf({}, 'b'), POD, no('admits pods of namespace b; the source is in app')],
  [
    'NP-12 a record without one',
    peerOf({}, 'b'),
    NOBODY,
    unknown('admits namespace b; the record names none', 'unknown-label'),
  ],
  [
    'NP-12 and the wrong pod besides',
    peerOf({ role: 'db' }, 'b'),
    POD,
    no('admits pods of namespace b; the source is in app; admits role=db; the source is role=web'),
  ],
  [
    'NP-12 the wrong pod of the right namespace',
    peerOf({ role: 'db' }, 'app'),
    POD,
    no('admits role=db; the source is role=web'),
  ],
  [
    'NP-12 the wrong pod of a namespace that the record does not name',
    peerOf({ role: 'db' }, 'b'),
    NOBODY,
    no('admits role=db; the source is role=web'),
  ],
  [
    'both open',
    peerOf({ env: 'b' }, 'b'),
    { ...NOBODY, labels: new Map(), areLabelsComplete: false },
    unknown('admits namespace b; the record names none; admits env=b; the record does not show env', 'unknown-label'),
  ],
  [
    'the namespace open, the pod certain',
    peerOf({ role: 'web' }, 'b'),
    NOBODY,
    unknown('admits namespace b; the record names none', 'unknown-label'),
  ],
  ['NP-13 namespaces by label', namespacesWith(requirement('team', 'In', 'a')), POD, YES],
  [
    'NP-13 others',
    namespacesWith(requirement('team', 'In', 'b')),
    POD,
    no('admits namespaces with team=b; namespace app is team=a'),
  ],
  [
    'NP-13 of a record that names none',
    namespacesWith(requirement('x', 'In', 'b')),
    { ...NOBODY, areNamespaceLabelsComplete: true },
    no('admits namespaces with x=b; its namespace has no label x'),
  ],
  [
    'NP-13 labels of the namespace not known',
    namespacesWith(requirement('x', 'In', 'b')),
    DESCRIBED,
    unknown('admits namespaces with x=b; the record does not show x', 'unknown-label'),
  ],
  ['pods are not outside', podsWith(), OUTSIDE, no('admits pods; the source 10.0.0.9 is outside the cluster')],
  [
    'pods are not outside, address or none',
    podsWith(),
    { ...NOBODY, kind: 'outside' },
    no('admits pods; the source is outside the cluster'),
  ],
  ['pods are not nodes', podsWith(), NODE, no('admits pods; the source 10.0.0.9 is a node')],
  [
    'EP-08 a pod that nobody knows may be any',
    podsWith(),
    UNKNOWN_POD,
    unknown('the source 10.0.0.9 is a pod that the input does not hold', 'unknown-pod'),
  ],
  ['TI-06 nodes', nodesWith(requirement('zone', 'In', 'a')), NODE, YES],
  ['TI-06 other nodes', nodesWith(requirement('zone', 'In', 'b')), NODE, no('admits zone=b; the source is zone=a')],
  [
    'TI-06 a node without labels of its own has none that may be missing',
    nodesWith(requirement('b', 'In', 'b')),
    NODE,
    no('admits b=b; the source has no label b'),
  ],
  ['TI-06 pods are no nodes', nodesWith(), POD, no('admits nodes; the source is none of them')],
  ['TI-06 nor is what is outside', nodesWith(), OUTSIDE, no('admits nodes; the source is none of them')],
  [
    'TI-06 nor a host that no Node describes',
    nodesWith(),
    { ...POD, kind: 'node' },
    no('admits nodes; the source is none of them'),
  ],
  [
    'TI-06 which node is not known',
    nodesWith(),
    { ...NOBODY, kind: 'node' },
    unknown('admits nodes; the address of the source is not known', 'no-address'),
  ],
  [
    'TI-06 a pod of which no address is known is no node either',
    nodesWith(),
    NOBODY,
    no('admits nodes; the source is none of them'),
  ],
  [
    'TI-07 domains',
    { kind: 'domains', names: ['a.example', '*.b.example'] },
    OUTSIDE,
    unknown('whether 10.0.0.9 is a.example or *.b.example is not recorded', 'domain-name'),
  ],
  [
    'TI-07 domains of whom no address is known',
    { kind: 'domains', names: ['a.example'] },
    NOBODY,
    unknown('whether it is a.example is not recorded', 'domain-name'),
  ],
  ['NP-20 in the block', block('10.0.0.0/24'), OUTSIDE, YES],
  ['NP-20 not in it', block('10.0.1.0/24'), OUTSIDE, no('admits 10.0.1.0/24; the source is 10.0.0.9')],
  ['NP-20 beside the exception', block('10.0.0.0/24', '10.0.0.10/32', '10.0.0.8/32'), OUTSIDE, YES],
  [
    'NP-20 in the second exception',
    block('10.0.0.0/24', '10.0.0.10/32', '10.0.0.8/31'),
    OUTSIDE,
    no('admits 10.0.0.0/24 except 10.0.0.8/31; the source is 10.0.0.9'),
  ],
  ['NP-22 another family', block('::/0'), OUTSIDE, no('admits ::/0; the source is 10.0.0.9')],
  [
    'EP-11 no address',
    block('10.0.0.0/24'),
    NOBODY,
    unknown('admits 10.0.0.0/24; the address of the source is not known', 'no-address'),
  ],
];

for (const [title, peer, facts, answer] of peers)
  test(`peer: ${title}`, () => {
    assert.deepEqual(matchOnly({ peers: [peer] }, { peer: facts }), answer);
  });

test('DI-01, DI-02: where blocks match no pods or no nodes, each is told so, and what is outside is judged by its address', () => {
  const rule = { peers: [block('0.0.0.0/0')] };
  const blind = { ...DEFAULT_DIALECT, ipBlockMatchesPods: false, ipBlockMatchesNodes: false };
  const pod = no('admits 0.0.0.0/0; the source is a pod, which blocks do not match');
  for (const kind of ['pod', 'described', 'unknown-pod'] as const)
    assert.deepEqual(matchIn(blind, rule, { peer: { ...POD, kind } }), pod, kind);
  const node = no('admits 0.0.0.0/0; the source is a node, which blocks do not match');
  assert.deepEqual(matchIn(blind, rule, { peer: NODE }), node);
  assert.deepEqual(matchIn(blind, rule, { peer: OUTSIDE }), YES);
  // Without an address too: it would change nothing.
  assert.deepEqual(matchIn(blind, rule, { peer: NOBODY }), pod);
  for (const facts of [POD, NODE, OUTSIDE, DESCRIBED, UNKNOWN_POD])
    assert.deepEqual(matchOnly(rule, { peer: facts }), YES, facts.kind);
  assert.deepEqual(matchIn({ ...blind, ipBlockMatchesPods: true }, rule, { peer: POD }), YES);
  assert.deepEqual(matchIn({ ...blind, ipBlockMatchesNodes: true }, rule, { peer: NODE }), YES);
});

const range = (first: number, last = first, protocol: 'TCP' | 'UDP' | 'SCTP' = 'TCP'): PortMatch => ({
  kind: 'range',
  protocol,
  first,
  last,
});
const named = (name: string, protocol?: 'TCP' | 'UDP'): PortMatch => ({ kind: 'named', protocol, name }) as PortMatch;
const tcp = (port: number): FlowPort => ({ protocol: 6, port, icmp: -1 });
const flow = (protocol: number, port = -1): FlowPort => ({ protocol, port, icmp: -1 });

const ports: readonly (readonly [title: string, port: PortMatch, flow: FlowPort, answer: Answer, facts?: Facts])[] = [
  ['NP-24 any', { kind: 'any', protocol: 'TCP' }, tcp(1), YES],
  ['NP-24 any of another protocol', { kind: 'any', protocol: 'UDP' }, tcp(1), no('admits UDP; the flow is TCP/1')],
  ['NP-24 any, port not known', { kind: 'any', protocol: 'TCP' }, flow(6), YES],
  ['NP-25 below the range', range(80, 90), tcp(79), no('admits TCP/80-90; the flow is TCP/79')],
  ['NP-25 its first', range(80, 90), tcp(80), YES],
  ['NP-25 its last', range(80, 90), tcp(90), YES],
  ['NP-25 beyond', range(80, 90), tcp(91), no('admits TCP/80-90; the flow is TCP/91')],
  ['NP-25 port 0', range(0), tcp(0), YES],
  ['NP-25 port 0 is a port', range(1, 65_535), tcp(0), no('admits TCP/1-65535; the flow is TCP/0')],
  ['NP-25 SCTP', range(80, 80, 'SCTP'), flow(132, 80), YES],
  ['NP-25 UDP is not SCTP', range(80, 80, 'SCTP'), flow(17, 80), no('admits SCTP/80; the flow is UDP/80')],
  [
    'the port is not known',
    range(80, 65_535),
    flow(6),
    unknown('admits TCP/80-65535; the record carries no port', 'no-port'),
  ],
  [
    'the port is not known, and not every one is admitted',
    range(1, 65_534),
    flow(6),
    unknown('admits TCP/1-65534; the record carries no port', 'no-port'),
  ],
  ['the port is not known, and every one is admitted', range(1, 65_535), flow(6), YES],
  ['NP-23 a protocol without ports', range(80), flow(1), no('admits TCP/80; the flow is ICMP')],
  ['NP-23 one that has no name', { kind: 'any', protocol: 'TCP' }, flow(47), no('admits TCP; the flow is 47')],
  [
    'the protocol is not known',
    { kind: 'any', protocol: 'TCP' },
    flow(255),
    unknown('admits TCP; the record does not say which protocol', 'no-protocol'),
  ],
  ['NP-26 by name', named('http', 'TCP'), tcp(8080), YES],
  ['NP-26 another number', named('http', 'TCP'), tcp(80), no('admits TCP/http (8080 there); the flow is TCP/80')],
  [
    'NP-26 the name is of another protocol there',
    named('dns', 'TCP'),
    tcp(53),
    no('admits TCP/dns; the destination has no container port of that name'),
  ],
  [
    'NP-26 a name, and another protocol',
    named('http', 'TCP'),
    flow(17, 8080),
    no('admits TCP/http; the flow is UDP/8080'),
  ],
  [
    'NP-27 no such name',
    named('web', 'TCP'),
    tcp(80),
    no('admits TCP/web; the destination has no container port of that name'),
  ],
  [
    'NP-27 outside has no names',
    named('http', 'TCP'),
    tcp(80),
    no('admits TCP/http; the destination has no container port of that name'),
    { ...OUTSIDE, ports: [] },
  ],
  ['a name of any protocol', named('dns'), flow(17, 53), YES],
  ['a name of any protocol, and another one', named('dns'), tcp(53), no('admits dns; the flow is TCP/53')],
  [
    'EP-07 names not known',
    named('http', 'TCP'),
    tcp(80),
    unknown('admits TCP/http; the container ports of the destination are not known', 'unresolved-named-port'),
    DESCRIBED,
  ],
  [
    'EP-07 names not known, the port neither',
    named('http'),
    flow(6),
    unknown('admits http; the container ports of the destination are not known', 'no-port', 'unresolved-named-port'),
    DESCRIBED,
  ],
  [
    'EP-07 names not known, port 0',
    named('http'),
    tcp(0),
    unknown('admits http; the container ports of the destination are not known', 'unresolved-named-port'),
    DESCRIBED,
  ],
  [
    'EP-07 names not known, but the protocol is another',
    named('http', 'TCP'),
    flow(17, 80),
    no('admits TCP/http; the flow is UDP/80'),
    DESCRIBED,
  ],
  [
    'a name, and no port',
    named('http', 'TCP'),
    flow(6),
    unknown('admits TCP/http; the record carries no port', 'no-port'),
  ],
];

for (const [title, port, asked, answer, facts] of ports)
  test(`port: ${title}`, () => {
    assert.deepEqual(matchOnly({ ports: [port] }, facts === undefined ? {} : { destination: facts }, asked), answer);
  });

test('NP-26: two container ports of one name are both meant', () => {
  const destination = {
    ...POD,
    ports: [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'http', port: 8081, protocol: 'TCP' },
      { name: 'http', port: 8082, protocol: 'UDP' },
    ],
  } as const;
  const rule = { ports: [named('http')] };
  for (const port of [8080, 8081]) assert.deepEqual(matchOnly(rule, { destination }, tcp(port)), YES);
  assert.deepEqual(matchOnly(rule, { destination }, flow(17, 8082)), YES);
  assert.deepEqual(
    matchOnly(rule, { destination }, tcp(8082)),
    no('admits http (8080, 8081 there); the flow is TCP/8082'),
  );
});

test('DI-07: a rule without ports admits protocols that have none, unless the dialect never does', () => {
  const never: Dialect = { ...DEFAULT_DIALECT, icmp: 'never' };
  for (const protocol of [1, 58, 47]) {
    assert.deepEqual(matchOnly({}, {}, flow(protocol)), YES);
    assert.deepEqual(matchIn(never, {}, {}, flow(protocol)), no(''), `${protocol}`);
  }
  for (const protocol of [6, 17, 132, 255])
    assert.deepEqual(matchIn(never, {}, {}, flow(protocol)), YES, `${protocol}`);
});

test('NP-08, NP-09, NP-10: peers or, ports or, both and; the answer holds what each half said', () => {
  const web = peerOf({ role: 'web' });
  const db = peerOf({ role: 'db' });
  const maybe: Peer = { kind: 'domains', names: ['a.example'] };
  const values: readonly [Peer, Ternary][] = [
    [web, 'yes'],
    [db, 'no'],
    [maybe, 'unknown'],
  ];
  const portValues: readonly [PortMatch, Ternary][] = [
    [range(80), 'yes'],
    [range(81), 'no'],
    [named('http', 'TCP'), 'unknown'],
  ];
  const or = (a: Ternary, b: Ternary): Ternary =>
    a === 'yes' || b === 'yes' ? 'yes' : a === 'no' && b === 'no' ? 'no' : 'unknown';
  const and = (a: Ternary, b: Ternary): Ternary =>
    a === 'no' || b === 'no' ? 'no' : a === 'yes' && b === 'yes' ? 'yes' : 'unknown';
  const destination = DESCRIBED;
  for (const [firstPeer, a] of values)
    for (const [secondPeer, b] of values)
      for (const [firstPort, c] of portValues)
        for (const [secondPort, d] of portValues) {
          const rule = ruleOf({ peers: [firstPeer, secondPeer], ports: [firstPort, secondPort] });
          const { missing } = fareRule(rule, POD, 'source', destination, TCP_80, DEFAULT_DIALECT);
          const explanation = explainRule(rule, POD, 'source', destination, TCP_80, DEFAULT_DIALECT);
          const { match, peersMatch, portsMatch, peers: ofPeers, ports: ofPorts } = explanation;
          assert.deepEqual([peersMatch, portsMatch, match], [or(a, b), or(c, d), and(or(a, b), or(c, d))]);
          assert.deepEqual([explanation.rule, explanation.action], [rule, 'Accept']);
          assert.deepEqual(
            ofPeers.map(({ peer, match: own }) => [peer, own]),
            [
              [firstPeer, a],
              [secondPeer, b],
            ],
          );
          assert.deepEqual(
            ofPorts.map(({ port, match: own }) => [port, own]),
            [
              [firstPort, c],
              [secondPort, d],
            ],
          );
          // What is missing is what would settle the half that is open.
          assert.deepEqual(
            missingFactNames(missing),
            match !== 'unknown'
              ? []
              : [
                  ...(portsMatch === 'unknown' ? ['unresolved-named-port'] : []),
                  ...(peersMatch === 'unknown' ? ['domain-name'] : []),
                ],
          );
        }
  const explanation = explainRule(ruleOf({}), POD, 'source', POD, TCP_80, DEFAULT_DIALECT);
  assert.deepEqual(
    [explanation.peersMatch, explanation.portsMatch, explanation.peers, explanation.ports],
    ['yes', 'yes', [], []],
  );
  assert.deepEqual(matchOnly({ peers: [], ports: [] }, {}), no(''), 'an empty list admits nobody; the API has none');
});

test('a half that matches needs no sentence, whatever its other items say', () => {
  const peersOfRule = [peerOf({ role: 'db' }), peerOf({ role: 'web' })];
  assert.deepEqual(matchOnly({ peers: peersOfRule, ports: [range(81)] }, {}), no('admits TCP/81; the flow is TCP/80'));
  assert.deepEqual(
    matchOnly({ peers: [peerOf({ role: 'db' })], ports: [range(81), range(80)] }, {}),
    no('admits role=db; the source is role=web'),
  );
});

test('positions of peers and ports are handed on, where the source has them', () => {
  const at = (line: number): typeof POSITION => ({ ...POSITION, line });
  const rule = ruleOf({
    peers: [peerOf({}), peerOf({})],
    ports: [range(80), range(81)],
    peerPositions: [at(3)],
    portPositions: [at(5)],
  });
  const explanation = explainRule(rule, POD, 'source', POD, TCP_80, DEFAULT_DIALECT);
  assert.deepEqual([explanation.peers[0]!.position, explanation.ports[0]!.position], [at(3), at(5)]);
  assert.deepEqual(['position' in explanation.peers[1]!, 'position' in explanation.ports[1]!], [false, false]);
});

const nearnessOf = (peer: Peer, facts: Facts = POD): number =>
  fareRule(ruleOf({ peers: [peer] }), facts, 'source', POD, TCP_80, DEFAULT_DIALECT).nearness;

/** Peers that do not match, from far to near; whoever shares nothing is no nearer than a rule without peers would be. */
const peersByNearness: readonly (readonly [Peer, string])[] = [
  [nodesWith(), 'none of them'],
  [block('11.0.0.0/8'), 'admits 11.0.0.0/8'],
  [peerOf({ role: 'db' }), 'role=db'],
  [peerOf({ role: 'db', env: 'test' }), 'role=db'],
  [block('10.0.0.0/8', '10.0.0.8/30'), 'except'],
];

test('of peers that do not match the nearest is named: the same namespace, the most labels, the block around an exception', () => {
  peersByNearness.forEach(([near, text], index) => {
    for (const [far] of peersByNearness.slice(0, index)) {
      assert.ok(nearnessOf(far) < nearnessOf(near));
      for (const both of [
        [far, near],
        [near, far],
      ])
        assert.ok(matchOnly({ peers: both }, {}).why.includes(text), text);
    }
  });
  const ofNothing = nearnessOf(nodesWith());
  assert.equal(nearnessOf(peerOf({ role: 'db' }, 'b')), ofNothing);
  assert.ok(peersByNearness.every(([peer]) => nearnessOf(peer) < nearnessOf(peerOf({ role: 'web' }))));
  const { why } = matchOnly({ peers: [peerOf({ role: 'a' }), peerOf({ role: 'b' })] }, {});
  assert.equal(why, 'admits role=a; the source is role=web', 'of equals the first');
});

/** From far to near, for TCP to port 80 of POD. */
const portsByNearness: readonly (readonly [PortMatch, string])[] = [
  [named('zzz', 'UDP'), 'UDP/zzz'],
  [range(80, 80, 'UDP'), 'UDP/80'],
  [named('zzz', 'TCP'), 'TCP/zzz'],
  [range(81), 'TCP/81'],
];

test('of ports that do not match the nearest is named: the right protocol before the wrong one, a number before a name', () => {
  portsByNearness.forEach(([near, text], index) => {
    for (const [far] of portsByNearness.slice(0, index))
      for (const both of [
        [far, near],
        [near, far],
      ]) {
        const { why } = matchOnly({ ports: both }, {});
        assert.ok(why.includes(text), `${why} instead of ${text}`);
      }
  });
  // A name of any protocol that is missing counts as the right one; a name of another protocol there as a wrong one.
  assert.match(matchOnly({ ports: [range(80, 80, 'UDP'), named('zzz')] }, {}).why, /zzz/);
  assert.match(matchOnly({ ports: [named('dns'), named('zzz')] }, {}).why, /zzz/);
});

test('what is open is nearer than what is far, and farther than a match', () => {
  const open: readonly (readonly [Facts, Peer])[] = [
    [DESCRIBED, podsWith(requirement('env', 'In', 'a'))],
    [UNKNOWN_POD, podsWith()],
    [NOBODY, block('10.0.0.0/8')],
    [NOBODY, { kind: 'domains', names: ['a.example'] }],
    [{ ...NOBODY, kind: 'node' }, nodesWith()],
  ];
  for (const [facts, peer] of open) {
    const found = nearnessOf(peer, facts);
    assert.ok(found > nearnessOf(nodesWith()) && found < nearnessOf(podsWith()), `${facts.kind} ${peer.kind} ${found}`);
  }
});

test('whom a sentence is about is called by the role; of a peer of which one half matches, the other is nearer than none', () => {
  const peer = peerOf({ role: 'web' });
  for (const role of ['source', 'destination'] as const) {
    const stranger = { ...POD, labels: new Map() };
    const { why } = fareRule(ruleOf({ peers: [peer] }), stranger, role, POD, TCP_80, DEFAULT_DIALECT);
    assert.equal(why?.(), `admits role=web; the ${role} has no label role`);
  }
  assert.ok(nearnessOf(peerOf({ role: 'db' }, 'b')) < nearnessOf(peerOf({ role: 'db' })));
});

test('an address is in a block by its first bits, in its own family alone', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['10.0.0.9', '10.0.0.9/32', true],
    ['10.0.0.8', '10.0.0.9/32', false],
    ['10.0.0.9', '10.0.0.8/31', true],
    ['10.0.0.10', '10.0.0.8/31', false],
    ['10.0.0.9', '0.0.0.0/0', true],
    ['10.0.0.9', '::/0', false],
    ['fd00::1', '::/0', true],
    ['fd00::1', '0.0.0.0/0', false],
    ['fd00::1:0:0:1', 'fd00::1:0:0:0/64', true],
    ['fd00:0:0:1::1', 'fd00::/64', false],
    ['fd00:0:0:1::1', 'fd00::/63', true],
    ['fd00::1', 'fd00::1/128', true],
    ['fd00::2', 'fd00::1/128', false],
    ['10.0.0.9', 'no block', false],
  ];
  for (const [address, cidr, isIn] of cases) {
    const facts = { ...OUTSIDE, address: address as AddressText };
    const peer = { kind: 'ipBlock', cidr: cidr as Cidr, except: [] } as const;
    assert.equal(findBlock(peer, facts, DEFAULT_DIALECT), isIn ? 'in' : 'elsewhere', `${address} ${cidr}`);
    const around = { ...peer, cidr: (address.includes(':') ? '::/0' : '0.0.0.0/0') as Cidr, except: [peer.cidr] };
    assert.deepEqual(findBlock(around, facts, DEFAULT_DIALECT), isIn ? { hole: cidr } : 'in', `${address} ${cidr}`);
  }
});
