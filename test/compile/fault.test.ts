/** Every bound that a Program from outside is held to: the last value that is sound is taken, the next is refused, and by which sentence. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFault } from '../../src/compile/fault.ts';
import {
  Endpoint,
  EndpointKind,
  Header,
  Layout,
  packOutcome,
  Row,
  ServiceSlot,
  TrieCell,
} from '../../src/compile/layout.ts';
import type { Program, Tables } from '../../src/compile/program.ts';
import { buildFragments4 } from '../../src/compile/trie.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Node } from '../../src/model/cluster.ts';
import { REASONS } from '../../src/model/verdict.ts';
import { admit, BACKEND_ONE, FRONTEND, peerOf, pod, program, ruleOf, SERVICE } from '../decide/world.ts';

const NODE: Node = {
  name: 'n',
  labels: new Map(),
  addresses: ['192.168.0.1', 'fd00::9'] as AddressText[],
  podCidrs: [],
};
let made: Program | undefined;

/** Made when a test asks: what is made while a file loads is asked of by every test. */
function sound(): Program {
  return (made ??= program([admit({ role: 'one' }, ruleOf({ peers: [peerOf({ role: 'frontend' })] }))], {
    nodes: [NODE],
    pods: [
      { ...BACKEND_ONE, addresses: ['10.0.0.1', 'fd00::1'] as AddressText[] },
      pod('two', '10.0.0.2', { role: 'two' }),
      FRONTEND,
    ],
    services: [SERVICE],
  }));
}

const count = (): number => sound().header[Header.EndpointCount]!;

/** The program with one section, or the header, in another form. */
function altered(name: keyof Tables | 'header', change: (words: number[]) => number[] | void, of = sound()): Program {
  const view = of[name] as Int32Array | Uint32Array | Uint16Array;
  const words = Array.from(view);
  const list = change(words) ?? words;
  const Kind = view.constructor as new (list: readonly number[]) => typeof view;
  return { ...of, [name]: new Kind(list) } as Program;
}

const put =
  (at: number, value: number) =>
  (words: number[]): void => {
    words[at < 0 ? words.length + at : at] = value;
  };
const shorter = (words: number[]): number[] => words.slice(0, -1);
const longer = (words: number[]): number[] => [...words, 0];

function refuses(of: Program, fault: RegExp): void {
  assert.match(findFault(of, of.source) ?? 'taken', fault);
}

function takes(of: Program): void {
  assert.equal(findFault(of, of.source), undefined);
}

/** Numbers of a section that name one of `count` things: the last is taken, the one behind it and negative ones are refused, anywhere. */
function isBounded(name: keyof Tables, count: number, fault: RegExp, least = 0, of = sound()): void {
  const last = of[name].length - 1;
  for (const at of [0, last]) {
    takes(altered(name, put(at, count - 1), of));
    refuses(altered(name, put(at, count), of), fault);
    if (of[name] instanceof Int32Array) refuses(altered(name, put(at, least - 1), of), fault);
  }
}

test('what compile made is sound', () => takes(sound()));

test('the header: endpoints fill their section, and those that stand for others are some of them', () => {
  refuses(altered('endpoints', shorter), /do not fill their section/);
  refuses(altered('header', put(Header.EndpointCount, count() - 1)), /do not fill their section/);
  for (const word of [Header.OutsideNoAddress, Header.NodeNoAddress]) {
    takes(altered('header', put(word, count() - 1)));
    refuses(altered('header', put(word, count())), /endpoint of the header/);
  }
});

test('IPv4 as a trie: every level points into the next', () => {
  refuses(altered('root4', shorter), /65,536 entries/);
  refuses(altered('root4', longer), /65,536 entries/);
  refuses(
    altered('leaf4', (words) => words.slice(0, 255)),
    /mid4 points beside leaf4/,
  );
  const { mid4, leaf4 } = sound();
  for (const at of [0, -1]) {
    takes(altered('root4', put(at, mid4.length - 256)));
    for (const offset of [mid4.length - 255, -1])
      refuses(altered('root4', put(at, offset)), /root4 points beside mid4/);
    for (const cell of [(leaf4.length - 1) << TrieCell.Shift, ((leaf4.length - 256) << TrieCell.Shift) | TrieCell.Mask])
      takes(altered('mid4', put(at, cell)));
    for (const cell of [leaf4.length << TrieCell.Shift, ((leaf4.length - 255) << TrieCell.Shift) | TrieCell.Mask, -1])
      refuses(altered('mid4', put(at, cell)), /mid4 points beside leaf4/);
  }
  isBounded('leaf4', count(), /leaf4 names an endpoint/);
});

test('IPv4 as fragments: runs that are not empty span the intervals', () => {
  const fragments: Program = { ...sound(), ...buildFragments4({ starts: [0, 5, 65_536 * 3 + 7], values: [0, 1, 2] }) };
  takes(fragments);
  const change = (name: keyof Tables, edit: (words: number[]) => number[] | void): Program =>
    altered(name, edit, fragments);
  refuses(change('root4', shorter), /does not span/);
  refuses(change('root4', longer), /does not span/);
  refuses(change('root4', put(0, 1)), /does not span/);
  refuses(change('root4', put(-1, fragments.values4.length - 1)), /does not span/);
  refuses(change('values4', longer), /does not span/);
  refuses(change('starts4', shorter), /differ in length/);
  refuses(change('root4', put(1, 0)), /a run of root4 is empty/);
  refuses(change('root4', put(65_535, fragments.values4.length)), /a run of root4 is empty/);
  isBounded('values4', count(), /values4 names an endpoint/, 0, fragments);
});

test('IPv6: the index has the length that the header says, ascends, and points into the intervals; the hosts are a table', () => {
  const bits = sound().header[Header.Root6Bits]!;
  for (const value of [0, 17])
    refuses(altered('header', put(Header.Root6Bits, value)), /IPv6 addresses is out of range/);
  refuses(altered('header', put(Header.Root6Bits, bits === 16 ? 15 : bits + 1)), /root6 does not have the length/);
  takes(altered('header', put(Header.Prefix6Length, 63)));
  refuses(altered('header', put(Header.Prefix6Length, 64)), /IPv6 addresses is out of range/);
  for (const wide of [1, 16]) {
    const root6 = new Uint32Array(2 ** wide + 1);
    const of: Program = { ...altered('header', put(Header.Root6Bits, wide)), root6 };
    takes(of);
    refuses(altered('root6', longer, of), /root6 does not have the length/);
    refuses(altered('root6', put(0, 1), of), /root6 does not ascend/);
    refuses(
      altered('root6', (words) => words.fill(sound().values6.length, -2), of),
      /root6 points beside/,
    );
    takes(altered('root6', (words) => words.fill(sound().values6.length - 1, -2), of));
  }
  const none = altered('values6', () => []);
  refuses(
    altered('starts6', () => [], none),
    /starts6 and values6 differ/,
  );
  refuses(altered('starts6', longer), /starts6 and values6 differ/);
  isBounded('values6', count(), /values6 names an endpoint/);
  refuses(altered('hosts6', longer), /hosts6 is no table/);
  refuses(
    altered('hostValues6', (words) => [...words, -1, -1, -1].slice(0, words.length - 1)),
    /hosts6 is no table/,
  );
  const empty = altered('hostValues6', () => []);
  refuses(
    altered('hosts6', () => [], empty),
    /hosts6 is no table/,
  );
  const three = altered('hostValues6', () => [-1, -1, -1]);
  refuses(
    altered('hosts6', () => Array.from({ length: 12 }, () => 0), three),
    /hosts6 is no table/,
  );
  const one = altered('hostValues6', () => [-1]);
  takes(altered('hosts6', () => [0, 0, 0, 0], one));
  isBounded('hostValues6', count(), /hostValues6 names an endpoint/, -1);
  refuses(
    altered('hostValues6', (words) => words.fill(0)),
    /no empty slot/,
  );
});

test('tables: rows of pages, pages of vectors, vectors of pages, pages of outcomes, and every port in a class', () => {
  const perVector = sound().header[Header.PagesPerVector]!;
  const vectors = sound().vectorPageIndex.length / perVector;
  refuses(altered('header', put(Header.PagesPerVector, 0)), /vectors do not fill/);
  const wide = altered('header', put(Header.PagesPerVector, 2));
  refuses(
    altered('vectorPageIndex', (words) => (words.length % 2 === 0 ? longer(words) : words), wide),
    /vectors do not fill/,
  );
  const pairs = altered('vectorPageIndex', (words) => [...words, ...words], wide);
  isBounded('egressPages', vectors, /a page names a vector/, 0, pairs);
  isBounded('portClasses', 2 * Layout.PageSize, /a port class is beyond/, 0, pairs);
  for (const [index, pages, word] of [
    ['egressPageIndex', 'egressPages', Header.EgressPagesPerRow],
    ['ingressPageIndex', 'ingressPages', Header.IngressPagesPerRow],
  ] as const) {
    const perRow = sound().header[word]!;
    refuses(altered('header', put(word, 0)), /rows do not fill/);
    const doubled = altered('header', put(word, 2));
    const zeros = (length: number): number[] => Array.from({ length }, () => 0);
    takes(altered(index, () => zeros(20), doubled));
    refuses(
      altered(index, () => zeros(21), doubled),
      /rows do not fill/,
    );
    refuses(
      altered(index, (words) => words.slice(0, Row.First * perRow - 1)),
      /rows do not fill/,
    );
    refuses(altered(pages, shorter), /a row names a page/);
    isBounded(index, sound()[pages].length / Layout.PageSize, /a row names a page/);
    isBounded(pages, vectors, /a page names a vector/);
  }
  refuses(altered('vectorPages', shorter), /a vector names a page/);
  isBounded('vectorPageIndex', sound().vectorPages.length / Layout.PageSize, /a vector names a page/);
  isBounded('vectorPages', sound().outcomes.length, /a vector names an outcome/);
  refuses(altered('portClasses', shorter), /does not have every protocol/);
  refuses(altered('portClasses', longer), /does not have every protocol/);
  isBounded('portClasses', perVector * Layout.PageSize, /a port class is beyond/);
});

test('outcomes: a reason and a verdict that there are, and facts of 16 bits', () => {
  for (const at of [0, -1]) {
    for (const outcome of [packOutcome(0, 0, 0), packOutcome(REASONS.length - 1, 2, 0xffff)])
      takes(altered('outcomes', put(at, outcome)));
    for (const outcome of [
      packOutcome(REASONS.length, 0, 0),
      packOutcome(63, 0, 0),
      packOutcome(0, 3, 0),
      1 << 24,
      2 ** 31,
    ])
      refuses(altered('outcomes', put(at, outcome)), /an outcome has no meaning/);
  }
});

test('endpoints: rows and columns that there are, of a known kind', () => {
  const fault = /a row or column/;
  const { egressPageIndex, ingressPageIndex, header } = sound();
  const limits = [
    [Endpoint.EgressRow, egressPageIndex.length / header[Header.EgressPagesPerRow]!],
    [Endpoint.EgressColumn, header[Header.EgressPagesPerRow]! * Layout.PageSize],
    [Endpoint.IngressRow, ingressPageIndex.length / header[Header.IngressPagesPerRow]!],
    [Endpoint.IngressColumn, header[Header.IngressPagesPerRow]! * Layout.PageSize],
  ] as const;
  for (const base of [(count() - 1) * Endpoint.Stride]) {
    for (const [field, limit] of limits) {
      takes(altered('endpoints', put(base + field, limit - 1)));
      refuses(altered('endpoints', put(field, limit)), fault);
      refuses(altered('endpoints', put(base + field, limit)), fault);
      refuses(altered('endpoints', put(base + field, -1)), fault);
    }
    const kind = base + Endpoint.Kind;
    for (const own of [EndpointKind.Outside, EndpointKind.UnknownPod | EndpointKind.Ipv6])
      takes(
        altered('endpoints', (words) => {
          words[kind] = own;
          words[base + Endpoint.Object] = -1;
        }),
      );
    for (const own of [5, 7, 13, 16, -8, EndpointKind.Service + 16])
      refuses(altered('endpoints', put(kind, own)), /of no known kind/);
  }
});

test('Services: a power of two of slots, one of them empty, with backends that there are', () => {
  const { serviceSlots, backends, header } = sound();
  const slots = serviceSlots.length / ServiceSlot.Stride;
  refuses(altered('header', put(Header.ServiceMask, header[Header.ServiceMask]! - 1)), /power of two of slots/);
  const more = altered('serviceSlots', (words) => [...words, 0, 0, 0, 0]);
  refuses(altered('header', put(Header.ServiceMask, slots), more), /power of two of slots/);
  const none = altered('serviceSlots', () => []);
  refuses(altered('header', put(Header.ServiceMask, -1), none), /power of two of slots/);
  refuses(altered('backends', longer), /half a backend/);
  const filled = Array.from({ length: slots }, (_, slot) => slot * ServiceSlot.Stride).filter(
    (at) => serviceSlots[at + ServiceSlot.CountPlusOne]! > 0,
  );
  assert.ok(filled.length > 1 && filled.length < slots);
  for (const at of [filled[0]!, filled.at(-1)!]) {
    const run = (start: number, count: number): Program =>
      altered('serviceSlots', (words) => {
        words[at + ServiceSlot.Start] = start;
        words[at + ServiceSlot.CountPlusOne] = count + 1;
      });
    const { length } = { length: backends.length / 2 };
    takes(run(0, length));
    takes(run(length - 1, 1));
    takes(run(length, 0));
    refuses(run(0, length + 1), /backends that there are not/);
    refuses(run(length, 1), /backends that there are not/);
  }
  refuses(
    altered('serviceSlots', (words) => {
      for (let at = ServiceSlot.CountPlusOne; at < words.length; at += ServiceSlot.Stride) words[at] = 1;
    }),
    /no empty slot/,
  );
  for (const at of [0, backends.length - 2]) {
    takes(altered('backends', put(at, count() - 1)));
    takes(altered('backends', put(at, 0)));
    for (const value of [-1, count()]) refuses(altered('backends', put(at, value)), /a backend names/);
    for (const value of [-1, 0, 65_535]) takes(altered('backends', put(at + 1, value)));
    for (const value of [-2, 65_536]) refuses(altered('backends', put(at + 1, value)), /a backend names/);
  }
});

test('pods: their runs begin at 0, ascend, and span endpoints that there are', () => {
  refuses(
    altered('podEndpointStart', () => []),
    /does not begin at 0/,
  );
  refuses(altered('podEndpointStart', put(0, 1)), /does not begin at 0/);
  refuses(altered('podEndpointStart', put(1, 4)), /does not ascend/);
  refuses(altered('podEndpointStart', put(-2, 5)), /does not ascend/);
  refuses(altered('podEndpointStart', put(-1, 5)), /does not span/);
  refuses(altered('podEndpoints', shorter), /does not span/);
  isBounded('podEndpoints', count(), /a pod names an endpoint/);
});

test('the source has what the tables name: as many pods, and the object of every endpoint', () => {
  const { pods } = sound().source.snapshot;
  for (const other of [pods.slice(1), [...pods, FRONTEND]]) {
    const source = { ...sound().source, snapshot: { ...sound().source.snapshot, pods: other } };
    assert.match(findFault(sound(), source) ?? 'taken', /another number of pods/);
    assert.equal(findFault(sound(), undefined), undefined, 'without a source nothing is asked');
  }
  const kinds: readonly (readonly [EndpointKind, least: number, count: number])[] = [
    [EndpointKind.Outside, -1, 0],
    [EndpointKind.Pod, 0, pods.length],
    [EndpointKind.UnknownPod, -1, 0],
    [EndpointKind.Node, -1, 1],
    [EndpointKind.Service, 0, 1],
  ];
  for (const [kind, least, count] of kinds)
    for (const [object, isSound] of [
      [least, true],
      [count - 1, true],
      [least - 1, false],
      [count, false],
    ] as const) {
      const of = altered('endpoints', (words) => {
        words[words.length - Endpoint.Stride + Endpoint.Kind] = kind | (isSound ? EndpointKind.Ipv6 : 0);
        words[words.length - Endpoint.Stride + Endpoint.Object] = object;
      });
      if (isSound) takes(of);
      else refuses(of, /an object that the source does not have/);
    }
});
