/**
 * A compilation that goes on: other pods and policies over the same columns and port classes decide as a fresh compilation of them,
 * and where they ask for something new there is no next one. One case for each thing that can be new.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, type Compilation, createCompilation } from '../../src/compile/compile.ts';
import type { Program } from '../../src/compile/program.ts';
import { decide } from '../../src/decide/decide.ts';
import { endpointOfAddress } from '../../src/decide/resolve.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import type { Peer, Policy, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { admit, equals, peerOf, pod, ruleOf } from '../decide/world.ts';

const range = (first: number, last = first, protocol: 'TCP' | 'UDP' | 'SCTP' = 'TCP'): PortMatch => ({
  kind: 'range',
  protocol,
  first,
  last,
});
const block = (cidr: string): Peer => ({ kind: 'ipBlock', cidr: cidr as Cidr, except: [] });

const PODS: readonly Pod[] = ['one', 'two', 'three'].map((role, index) =>
  pod(role, `10.0.0.${index + 1}`, { role }, { name: 'web', port: 8080 + index, protocol: 'TCP' }),
);
const SNAPSHOT: Snapshot = {
  namespaces: [],
  pods: PODS,
  nodes: [{ name: 'n', labels: new Map([['zone', 'a']]), addresses: ['192.168.0.1' as AddressText], podCidrs: [] }],
  services: [],
  endpointSlices: [],
};
const into = (name: string, role: string, ...rules: readonly Partial<Rule>[]): Policy => ({
  ...admit({ role }, ...rules.map(ruleOf)),
  name,
});
const POLICIES: readonly Policy[] = [
  into('a', 'one', { peers: [peerOf({ role: 'two' })], ports: [range(80, 90)] }),
  into('b', 'two', { peers: [block('203.0.113.0/24')] }, { ports: [range(100, 65_535), range(53, 53, 'UDP')] }),
  {
    ...into('c', 'three', { peers: [peerOf({ role: 'three' })], ports: [{ kind: 'any', protocol: 'SCTP' }] }),
    isolates: ['egress'],
    ingress: [],
    egress: [ruleOf({ peers: [block('198.51.100.0/24'), { kind: 'nodes', selector: equals({ zone: 'a' }) }] })],
  },
];

const ASKED = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '192.168.0.1', '203.0.113.7', '198.51.100.7', '8.8.8.8'];
const PORTS = [
  ...[79, 80, 85, 90, 91, 99, 100, 8080, 8081, 65_535, -1].map((port) => [6, port] as const),
  ...[52, 53, 54, -1].map((port) => [17, port] as const),
  [132, 80],
  [1, -1],
  [255, -1],
] as const;

function answers(of: Program): readonly number[] {
  const ends = ASKED.map((address) => endpointOfAddress(of, address as AddressText));
  return ends.flatMap((source) =>
    ends.flatMap((destination) => PORTS.map(([protocol, port]) => decide(of, source, destination, protocol, port, -1))),
  );
}

const begin = (): Compilation => createCompilation(SNAPSHOT, POLICIES, DEFAULT_DIALECT);

/** What comes next decides as if it were compiled afresh, and builds so many rows. */
function goesOn(from: Compilation, policies: readonly Policy[], rows: number, pods: readonly Pod[] = PODS): void {
  const snapshot = { ...SNAPSHOT, pods };
  const before = from.work.rowsBuilt;
  const next = from.next(snapshot, policies);
  assert.ok(next !== undefined, 'nothing new is asked for');
  assert.deepEqual(answers(next), answers(compile(snapshot, policies)));
  assert.equal(from.work.rowsBuilt - before, rows);
  assert.ok(from.work.pagesKept > 0);
  assert.equal(next.source.snapshot, snapshot);
}

test('policies that come, go and are put in another order: rows that are known are not built again', () => {
  const from = begin();
  assert.deepEqual(answers(from.first), answers(compile(SNAPSHOT, POLICIES)));
  goesOn(from, POLICIES, 0);
  goesOn(from, [...POLICIES].reverse(), 0);
  goesOn(from, POLICIES.slice(0, 2), 0);
  goesOn(from, [], 0);
  goesOn(from, POLICIES.slice(1), 0);
  const [a] = POLICIES;
  // Of the same columns and ports; its row is new.
  const other = into('d', 'two', { peers: [peerOf({ role: 'two' })], ports: [range(80, 90)] });
  goesOn(from, [a!, other], 1);
  goesOn(from, [a!, other], 0);
  goesOn(from, [...POLICIES, other], 1);
});

test('rows of several pages that are built later are as long as those that were built first', () => {
  const count = 200;
  const role = (at: number): string => `r${at % count}`;
  const pods = Array.from({ length: count }, (_, at) => pod(role(at), `10.1.0.${at}`, { role: role(at) }));
  const snapshot = { ...SNAPSHOT, pods };
  const from = (at: number, step: number): Policy =>
    into(`${at}-${step}`, role(at), { peers: [peerOf({ role: role(at + step) })] });
  const policies = pods.map((_, at) => from(at, 1));
  const compilation = createCompilation(snapshot, policies, DEFAULT_DIALECT);
  const verdicts = (of: Program): readonly number[] => {
    const ends = pods.map(({ addresses }) => endpointOfAddress(of, addresses[0]!));
    return ends.flatMap((source) => ends.map((destination) => decide(of, source, destination, 6, 80, -1)));
  };
  // More new rows than a chunk has, then some more.
  for (const [step, rows] of [
    [150, 40],
    [7, 3],
  ] as const) {
    for (let at = 0; at < rows; at++) policies.push(from(at * 5, step));
    const next = compilation.next(snapshot, policies)!;
    assert.deepEqual(verdicts(next), verdicts(compile(snapshot, policies)));
  }
});

test('pods that come into units that there are, change their address, or go', () => {
  const from = begin();
  const again = (address: string, role: string): Pod => pod(`${role}-2`, address, { role });
  goesOn(from, POLICIES, 0, [...PODS, { ...again('10.0.0.4', 'one'), ports: PODS[0]!.ports }]);
  goesOn(from, POLICIES, 0, PODS.slice(1));
  goesOn(from, POLICIES, 0, [PODS[1]!, { ...PODS[0]!, addresses: ['10.0.0.4' as AddressText] }]);
  const stranger = pod('stranger', '10.0.0.4', { role: 'four' });
  assert.equal(from.next({ ...SNAPSHOT, pods: [...PODS, stranger] }, POLICIES), undefined, 'no unit is like it');
  goesOn(from, POLICIES, 0, PODS.slice(1));
  // An address that blocks tell from those that its unit had needs a column of its own.
  const away = { ...PODS[0]!, addresses: ['203.0.113.9' as AddressText] };
  const elsewhere = { ...PODS[0]!, addresses: ['198.51.100.9' as AddressText] };
  // Asked again it is as new as before: what one question would need is not kept for the next.
  for (const own of [away, elsewhere, away, elsewhere])
    assert.equal(from.next({ ...SNAPSHOT, pods: [own, ...PODS.slice(1)] }, POLICIES), undefined);
  goesOn(from, POLICIES, 0);
});

const news: readonly (readonly [what: string, Policy])[] = [
  ['a label value', into('x', 'one', { peers: [peerOf({ role: 'nine' })] })],
  ['a label key', into('x', 'one', { peers: [peerOf({ other: '1' })] })],
  ['a label of its subject', into('x', 'nine', {})],
  ['a set of blocks', into('x', 'one', { peers: [block('203.0.112.0/24')] })],
  ['a set of two blocks', into('x', 'one', { peers: [block('203.0.113.0/24'), block('198.51.100.0/24')] })],
  ['a block that the other direction has', into('x', 'one', { peers: [block('198.51.100.0/24')] })],
  [
    'nodes that the direction does not tell apart',
    into('x', 'one', { peers: [{ kind: 'nodes', selector: equals({ zone: 'a' }) }] }),
  ],
  ['pods that the direction does not tell apart', into('x', 'one', { peers: [peerOf({ role: 'three' })] })],
  ['a first port', into('x', 'one', { ports: [range(81, 90)] })],
  ['a last port', into('x', 'one', { ports: [range(80, 89)] })],
  ['a protocol', into('x', 'one', { ports: [range(80, 90, 'UDP')] })],
  ['a second range', into('x', 'one', { ports: [range(80, 90), range(81, 90)] })],
  ['ports of egress', { ...into('x', 'one'), isolates: ['egress'], egress: [ruleOf({ ports: [range(7)] })] }],
  ['a port by name', into('x', 'one', { ports: [{ kind: 'named', protocol: 'TCP', name: 'web' }] })],
];

for (const [what, policy] of news)
  test(`there is no next compilation for ${what} that is new`, () => {
    const from = begin();
    const isTold = what.startsWith('nodes') || what.startsWith('pods');
    const next = from.next(SNAPSHOT, [...POLICIES, policy]);
    // What one selector less would tell apart may be told apart already: then it decides as a fresh one does.
    if (isTold && next !== undefined)
      assert.deepEqual(answers(next), answers(compile(SNAPSHOT, [...POLICIES, policy])));
    else assert.equal(next, undefined);
    assert.equal(from.next(SNAPSHOT, [policy]) === undefined, next === undefined, 'nor where it is asked again');
  });

const old: readonly (readonly [what: string, Policy])[] = [
  [
    'ranges that end where others do',
    into('x', 'one', { ports: [range(80, 99), range(91, 99), range(0, 79), range(100, 65_535)] }),
  ],
  ['every port', into('x', 'one', { ports: [{ kind: 'any', protocol: 'UDP' }] })],
  ['a rule without peers and ports', into('x', 'one', {})],
  ['peers without any', into('x', 'one', { peers: [] })],
  [
    'a block that is known, with pods that are',
    into('x', 'one', { peers: [block('203.0.113.0/24'), peerOf({ role: 'two' })] }),
  ],
  ['domains', into('x', 'one', { peers: [{ kind: 'domains', names: ['a.example'] }] })],
];

for (const [what, policy] of old)
  test(`a policy with ${what} asks for nothing new`, () => {
    goesOn(begin(), [...POLICIES, policy], 1);
  });

test('pods that are taken together for the first time are no news where nothing new is told apart', () => {
  const either = (...values: readonly string[]): Peer =>
    ({ ...peerOf({}), pods: [{ key: 'role', operator: 'In', values }] }) as Peer;
  const from = begin();
  const subject = { ...into('x', 'one', {}), subject: either('one', 'two') as Policy['subject'] };
  goesOn(from, [...POLICIES, subject], 2);
  // Ingress tells two from the others, and nobody else.
  const peer = into('y', 'two', { peers: [either('one', 'three')] });
  goesOn(from, [...POLICIES, subject, peer], 1);
});

test('what the other direction has told apart is new where a direction has not', () => {
  // Of egress alone: the first question of all, whose block and pods ingress has not met.
  const peers = [block('203.0.113.0/24'), peerOf({ role: 'three' })];
  const out: Policy = { ...into('out', 'one'), isolates: ['egress'], ingress: [], egress: [ruleOf({ peers })] };
  const pods = { ...out, egress: [ruleOf({ peers: peers.slice(1) })] };
  for (const first of [out, pods]) {
    const policies = [first, into('a', 'two', { ports: [range(80)] })];
    const from = createCompilation(SNAPSHOT, policies, DEFAULT_DIALECT);
    const same = into('same', 'two', { peers: first.egress[0]!.peers });
    assert.equal(from.next(SNAPSHOT, [...policies, same]), undefined);
    assert.notEqual(from.next(SNAPSHOT, policies), undefined);
  }
});

test('pods share a row unless an ingress rule names a port that they have under other numbers', () => {
  const rowsOf = (port: PortMatch): number => {
    const ports = [port];
    const policy: Policy = {
      ...admit({}, ruleOf({ ports })),
      isolates: ['ingress', 'egress'],
      egress: [ruleOf({ ports })],
    };
    return createCompilation(SNAPSHOT, [policy], DEFAULT_DIALECT).work.rowsBuilt;
  };
  assert.equal(rowsOf(range(80)), 2);
  assert.equal(rowsOf({ kind: 'named', protocol: 'TCP', name: 'web' }), PODS.length + 1, 'egress asks the other side');
});
