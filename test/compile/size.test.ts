/** What compile promises to keep once, counted: lists of tokens, sets, columns, rows, vectors and what they are made of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classifyBlocks } from '../../src/compile/block.ts';
import { PolicyBook } from '../../src/compile/book.ts';
import { ColumnSets } from '../../src/compile/column-set.ts';
import { Columns } from '../../src/compile/column.ts';
import { PortClass } from '../../src/compile/layout.ts';
import { EVERYWHERE, PageBuilder } from '../../src/compile/page-builder.ts';
import { classifyPorts } from '../../src/compile/port.ts';
import { TableBuilder } from '../../src/compile/table.ts';
import { indexUnits } from '../../src/compile/unit.ts';
import { VectorStore } from '../../src/compile/vector.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import type { Requirement } from '../../src/model/label.ts';
import type { Peer, Policy } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { MissingFact } from '../../src/model/verdict.ts';
import { admit, peerOf, pod, ruleOf } from '../decide/world.ts';
import { classesOfSet } from './address-class.ts';

const bits = (...places: readonly number[]): Uint32Array => {
  const words = new Uint32Array(8);
  for (const place of places) words[place >>> 5]! |= 1 << (place & 31);
  return words;
};

/** The lists that a run of four pages asks values for; `parts`: a token and its places, none where it holds everywhere. */
function askedLists(
  order: 'set' | 'list',
  parts: readonly (readonly [token: number, places?: readonly number[]])[],
): readonly string[] {
  const sets = new ColumnSets();
  const all = sets.add(new Uint32Array(8).fill(0xffffffff));
  const asked: string[] = [];
  const builder = new PageBuilder(sets, all, 4, (list, length) => asked.push(list.subarray(0, length).join(' ')));
  // A run before leaves groups of cells behind.
  builder.begin(8, 'set');
  for (let token = 0; token < 6; token++)
    builder.add(token, sets.add(bits(...Array.from({ length: 9 }, (_, at) => at * 7 + token))));
  builder.finish(new Uint32Array(4));
  asked.length = 0;
  builder.begin(9, order);
  for (const [token, places] of parts)
    builder.add(token, places === undefined ? EVERYWHERE : sets.add(bits(...places)));
  builder.finish(new Uint32Array(4));
  return asked.sort();
}

test('a token that is added again, everywhere or in places that overlap, is in a list once', () => {
  assert.deepEqual(askedLists('set', [[3], [3], [1], [3]]), ['9 1 3']);
  assert.deepEqual(askedLists('list', [[3], [3], [1], [3]]).at(-1), '9 3 1 3');
  const overlapping = [
    [4, [1, 2, 70]],
    [4, [2, 3, 71]],
  ] as const;
  for (const order of ['set', 'list'] as const) assert.deepEqual(askedLists(order, overlapping), ['9', '9 4']);
  // Cells of either half of a page are told apart.
  assert.deepEqual(
    askedLists('set', [
      [1, [40, 50]],
      [2, [40]],
    ]),
    ['9', '9 1', '9 1 2'],
  );
  assert.deepEqual(
    askedLists('set', [
      [1, [4, 5, 40]],
      [2, [4, 40]],
    ]),
    ['9', '9 1', '9 1 2'],
  );
  // Between others its places are its own.
  assert.deepEqual(askedLists('list', [...overlapping, [5, [2]], [4, [2]]]), ['9', '9 4', '9 4 5 4']);
  // Of a set the order of coming does not matter, few or many.
  for (const count of [3, 39, 40, 41, 90]) {
    const parts = Array.from({ length: count }, (_, at) => [count - at, [at % 5 === 0 ? 7 : 8]] as const);
    const tokens = (isFive: boolean): string =>
      parts
        .filter(([, places]) => (places[0] === 7) === isFive)
        .map(([token]) => token)
        .sort((a, b) => a - b)
        .join(' ');
    assert.deepEqual(askedLists('set', parts), ['9', `9 ${tokens(true)}`, `9 ${tokens(false)}`].sort());
    // With one that holds everywhere.
    assert.deepEqual(
      askedLists('set', [...parts, [200]]),
      ['9 200', `9 ${tokens(true)} 200`, `9 ${tokens(false)} 200`].sort(),
    );
  }
});

test('a set less another is not cut by what lies behind that other', () => {
  const sets = new ColumnSets();
  const own = sets.add(bits(1, 2, 64, 65, 130));
  const other = sets.add(bits(1));
  sets.add(bits(64, 65, 130));
  const left = sets.subtract(own, other);
  const { words, starts } = sets;
  assert.deepEqual([...words.subarray(starts[left]!, starts[left + 1]!)], [0, 4, 0, 1, 3, 0, 2, 4, 0]);
  // Where nothing is shared the set stays, and none is made.
  const disjoint = [sets.add(bits()), sets.add(bits(3)), sets.add(bits(200)), sets.add(bits(66, 131))];
  for (const set of disjoint) {
    assert.equal(sets.subtract(own, set), own);
    assert.equal(sets.subtract(set, own), set);
  }
  assert.equal(sets.add(bits()), disjoint.at(-1)! + 1);
});

const block = (cidr: string, ...except: readonly string[]): Peer => ({
  kind: 'ipBlock',
  cidr: cidr as Cidr,
  except: except as readonly Cidr[],
});
const PODS = ['one', 'two', 'three'].map((role, at) => pod(role, `10.0.0.${at + 1}`, { role }));
const SNAPSHOT: Snapshot = { namespaces: [], pods: PODS, nodes: [], services: [], endpointSlices: [] };

function bookOf(...policies: readonly Policy[]): PolicyBook {
  const book = new PolicyBook();
  for (const policy of policies) book.read(policy);
  return book;
}

test('what policies say in another order, or twice, has the number that it had', () => {
  const book = bookOf();
  const before: Requirement[] = [
    { key: 'a', operator: 'In', values: ['1', '2', '3'] },
    { key: 'b', operator: 'Exists', values: [] },
    { key: 'c', operator: 'NotIn', values: ['5', '4'] },
  ];
  const after: Requirement[] = [before[2]!, before[1]!, { ...before[0]!, values: ['3', '1', '2'] }];
  const pods = (selector: readonly Requirement[]): Peer => ({ ...peerOf({}), pods: selector }) as Peer;
  const nodes = (selector: readonly Requirement[]): Peer => ({ kind: 'nodes', selector });
  const cidrs = [block('10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16'), block('192.0.2.0/24')];
  const again = [cidrs[1]!, block('10.0.0.0/8', '10.2.0.0/16', '10.1.0.0/16'), cidrs[1]!];
  const counts = (): readonly number[] => [
    book.requirements.count,
    book.selectors.count,
    book.selectorOf.length,
    book.sets.count,
    book.blockSets.length,
    book.questions.count,
    book.portsOf.length,
    book.keyCount,
  ];
  const ports = [{ kind: 'range', protocol: 'TCP', first: 80, last: 90 }] as const;
  const first = book.read(admit({}, ruleOf({ peers: [pods(before), ...cidrs, nodes(before)], ports })));
  const found = counts();
  assert.deepEqual(found, [3, 2, 2, 2, 1, 1, 1, 3]);
  const second = book.read(admit({}, ruleOf({ peers: [...again, nodes(after), pods(after), pods(after)], ports })));
  assert.deepEqual(counts(), found);
  assert.equal(book.subjects[first], book.subjects[second]);
  const labels = [
    new Map([
      ['a', '9'],
      ['b', '1'],
      ['c', '5'],
    ]),
    new Map([
      ['c', '5'],
      ['x', '1'],
      ['b', '1'],
      ['a', '9'],
    ]),
  ];
  const [numbers, others] = labels.map((own) => {
    const target = new Int32Array(6);
    return [...target.subarray(0, book.readLabels(own, target, 1))];
  });
  assert.deepEqual(numbers, others);
  assert.deepEqual(
    numbers,
    numbers!.toSorted((a, b) => a - b),
  );
  // One peer less, or an exception less, is something else.
  book.read(admit({}, ruleOf({ peers: [pods(before), ...cidrs] }), ruleOf({ peers: [block('10.0.0.0/8')] })));
  assert.deepEqual(counts(), [3, 2, 2, 2, 2, 3, 1, 3]);
});

test('columns of small classes of addresses lie one after another, each pair once', () => {
  const book = bookOf(admit({ role: 'one' }, ruleOf({ peers: [block('10.0.0.0/8'), peerOf({ role: 'two' })] })));
  const columns = new Columns(book, 'ingress', indexUnits(SNAPSHOT, book), []);
  const { elements, noAddress } = columns;
  const asked = [0, 1, noAddress].flatMap((addressClass) =>
    [0, 1, elements.outside, elements.unknownPod].map((element) => columns.column(element, addressClass)),
  );
  assert.deepEqual(
    asked,
    Array.from(asked, (_, at) => at),
  );
  assert.equal(columns.column(1, 1), asked[5]);
  const finished = columns.finish()!;
  assert.equal(finished.count, asked.length);
  assert.deepEqual(
    [...finished.finalOf].sort((a, b) => a - b),
    asked,
  );
  assert.equal(columns.finish(), finished);
  for (const element of [elements.namelessNode, elements.otherNode, elements.namelessNode])
    for (const addressClass of [0, noAddress, 1]) {
      columns.column(element, addressClass);
      columns.column(elements.namelessNode, addressClass);
      assert.equal(columns.finish(), undefined, 'as new as before');
    }
  assert.deepEqual(
    [0, 1, elements.outside, elements.unknownPod].map((element) => columns.column(element, noAddress)),
    asked.slice(8),
  );
  assert.equal(columns.finish(), finished, 'what was asked for in vain is forgotten');
});

test('without pods there is no class of pods; a class of addresses is in a set once, and what is no block is in none', () => {
  const empty = bookOf();
  const none = new Columns(empty, 'ingress', indexUnits({ ...SNAPSHOT, pods: [] }, empty), []);
  assert.equal(none.partition.count, 4);
  assert.equal(new Columns(empty, 'ingress', indexUnits(SNAPSHOT, empty), []).partition.count, 5);
  const cidrs = (...list: readonly string[]): Parameters<typeof classifyBlocks>[0][number] =>
    list.map((cidr) => ({ cidr: cidr as Cidr, except: [] }));
  const blocks = classifyBlocks([
    cidrs('10.0.0.0/8', 'fd00::/16'),
    cidrs('10.64.0.0/16', '10.80.0.0/16', 'fd00:1::/32', 'fd00:3::/32'),
    cidrs('nonsense', '10.0.0.0/99'),
  ]);
  const [all, holes, nothing] = [0, 1, 2].map((set) => classesOfSet(blocks, set));
  assert.ok(holes!.every((own) => all!.includes(own)) && holes!.length < all!.length);
  assert.deepEqual(nothing, []);
});

test('a row, a vector and a page are kept once, however often they are asked for', () => {
  const rules = [ruleOf({ peers: [peerOf({ role: 'two' })] }), ruleOf({ peers: [peerOf({ role: 'three' })] })];
  const book = bookOf(
    admit({ role: 'one' }, ...rules),
    admit({ role: 'one' }, ...rules.toReversed()),
    admit({ role: 'one' }, rules[0]!),
  );
  const index = indexUnits(SNAPSHOT, book);
  const columns = new Columns(book, 'ingress', index, []);
  for (let element = 0; element <= columns.elements.unknownPod; element++) columns.column(element, 0);
  const ports = classifyPorts([]);
  const vectors = new VectorStore(ports.count, 'by-ports-absent');
  const builder = new TableBuilder({
    direction: 'ingress',
    book,
    subjectPorts: index.portGroups,
    columns: columns.finish()!,
    ports,
    vectors,
  });
  const rowOf = (...key: readonly number[]): number => builder.row(Int32Array.from([...key, 77]), key.length);
  const rows = [rowOf(-1, 0), rowOf(-1, 1), rowOf(-1, 2), rowOf(-1, 0, 1), rowOf(-1, 0)];
  assert.deepEqual(rows, [0, 1, 2, 3, 0]);
  assert.equal(builder.rowCount, 0);
  const { pageIndex, pagesPerRow } = builder.build(Int32Array.from([0, 1, 2, 3]), true);
  assert.equal(pagesPerRow, 1);
  assert.equal(builder.rowCount, 4);
  const [notSubject, notIsolated, unknownPod, ...own] = pageIndex;
  // Those three, the page where no rule matches, the rows that say the same, and the one that says less.
  assert.deepEqual([notSubject, notIsolated, unknownPod], [0, 1, 2]);
  assert.deepEqual(own, [4, 4, 5, 4]);
  assert.equal(builder.pageCount, 6);
  // Not a subject, not isolated, unknown, which is also what a rule says of a pod that is not known; allowed; denied.
  assert.equal(vectors.count, 5);
  const later = builder.build(Int32Array.from([3, rowOf(-1, 2, 1), 2]), true);
  assert.deepEqual([...later.pageIndex], [0, 1, 2, 4, 4, 5]);
  assert.equal(builder.rowCount, 5, 'those that were built before are copied');
  assert.equal(builder.pageCount, 6);
  const { vectorPageIndex, vectorPages, outcomes } = vectors.finish();
  assert.equal(vectors.pagesPerVector, Math.ceil(ports.count / 64));
  assert.equal(vectorPageIndex.length, 5 * vectors.pagesPerVector);
  assert.equal(vectorPages.length % 64, 0);
  assert.equal(new Set(outcomes).size, outcomes.length);
  assert.equal(new Set(vectorPages).size, outcomes.length, 'each is some vector’s');
  assert.ok(ports.count > PortClass.First);
});

test('tokens that do the same are one; one thing else makes another', () => {
  const ports = classifyPorts([{ protocol: 0, first: 80, last: 80 }]);
  const vectors = new VectorStore(ports.count, 'by-ports-absent');
  const [every, some] = [
    ports.shape(undefined),
    ports.shape({ ranges: [{ protocol: 0, first: 80, last: 80 }], unresolved: [] }),
  ];
  const policy = admit({});
  const admin: Policy = { ...policy, tier: 'admin', priority: 3 };
  const asked = [
    vectors.token(policy, 0, 0, every, 0),
    vectors.token(policy, 0, 0, some, 0),
    vectors.token(policy, 0, 0, every, 1),
    vectors.token(admin, 0, 0, every, 0),
    vectors.token(admin, 1, 0, every, 0),
    vectors.token(admin, 0, 1, every, 0),
    vectors.token({ ...admin, priority: 4 }, 0, 0, every, 0),
    vectors.token({ ...admin, tier: 'baseline' }, 0, 0, every, 0),
  ];
  assert.deepEqual(asked, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(vectors.token({ ...admin }, 0, 1, every, 0), 5);
  const lists = [[1, 0], [1, 1], [1, 2], [0], [1], [0, 3], [0, 5]].map((list) =>
    vectors.ofRules(Int32Array.from(list), list.length),
  );
  assert.equal(new Set(lists).size, lists.length - 1);
  assert.equal(lists[5], lists[0], 'vectors are what is answered, whoever says it');
  const count = vectors.count;
  // In the NetworkPolicy tier neither order nor repetition means anything, and what matches for certain is not open.
  for (const list of [
    [1, 0, 0],
    [1, 1, 0],
    [1, 2, 0],
    [1, 0, 2, 1],
  ])
    assert.equal(vectors.ofRules(Int32Array.from(list), list.length), lists[0]);
  assert.equal(vectors.count, count);
});

test('lists of ports are told apart by each of their ports: by name, number, protocol and end', () => {
  const book = bookOf();
  const web: PortMatch = { kind: 'named', protocol: 'TCP', name: 'web' };
  const first: PortMatch = { kind: 'range', protocol: 'TCP', first: 0, last: 0 };
  const lists: readonly (readonly PortMatch[])[] = [
    [web],
    [first],
    [first, web],
    [first, { ...web, name: 'other' }],
    [first, { ...web, protocol: 'UDP' }],
    [first, first],
    [first, { ...first, last: 1 }],
    [first, { ...first, first: 1, last: 1 }],
    [first, { kind: 'any', protocol: 'TCP' }],
    [first, { kind: 'any', protocol: 'SCTP' }],
  ];
  for (const [at, ports] of [...lists, ...lists].entries()) {
    book.read(admit({}, ruleOf({ ports })));
    assert.equal(book.portsOf.length, Math.min(at + 1, lists.length));
  }
  assert.deepEqual(
    book.isNamed,
    lists.map((ports) => Number(ports.some(({ kind }) => kind === 'named'))),
  );
});

test('what is asked of peers is the columns that match, and those that may for want of a fact', () => {
  const selector = [{ key: 'zone', operator: 'In', values: ['a'] }] as const;
  const nodes = ['a', 'b', 'a'].map((zone, at) => ({
    name: `n${at}`,
    labels: new Map([['zone', zone]]),
    addresses: [`192.168.0.${at + 1}` as AddressText],
    podCidrs: [],
  }));
  const web: PortMatch = { kind: 'named', protocol: 'TCP', name: 'web' };
  const rules = [
    [peerOf({ role: 'two' })],
    [{ kind: 'nodes', selector } as const],
    [block('10.0.0.0/8')],
    [{ kind: 'domains', names: ['a.example'] } as const],
    [peerOf({ role: 'two' }), { kind: 'nodes', selector } as const, block('10.0.0.0/8')],
  ].map((peers) => ruleOf({ peers, ports: [web] }));
  const book = bookOf({ ...admit({ role: 'one' }), isolates: ['egress'], egress: rules });
  const pods = PODS.map((own, at) =>
    at === 0 ? { ...own, ports: [{ name: 'web', port: 80, protocol: 'TCP' as const }] } : own,
  );
  const index = indexUnits({ ...SNAPSHOT, pods }, book);
  const columns = new Columns(book, 'egress', index, nodes);
  const { elements, noAddress, partition } = columns;
  const { outside, unknownPod, firstNode, otherNode, namelessNode } = elements;
  const classOf = (element: number): number => partition.classOf[element]!;
  const kinds = [0, 1, 2, outside, unknownPod, firstNode, otherNode, namelessNode];
  assert.equal(new Set(kinds.map(classOf)).size, kinds.length, 'kinds of elements never share a class');
  assert.equal(classOf(firstNode), classOf(firstNode + 2));
  assert.equal(classOf(firstNode + 1), classOf(otherNode), 'no selector tells these apart');
  assert.equal(partition.count, kinds.length);

  const inBlock = classesOfSet(columns.blocks, 0)[0]!;
  const beside = [0, 1].find((own) => own !== inBlock)!;
  const names = ['pod0', 'pod1', 'pod2', 'outside', 'unknown', 'node', 'other', 'nameless'];
  const nameOf = new Map<number, string>();
  const asked = new Map<number, string>();
  for (const [at, element] of kinds.entries())
    for (const [where, addressClass] of [
      ['in', inBlock],
      ['out', beside],
      ['none', noAddress],
    ] as const)
      asked.set(columns.column(element, addressClass), `${names[at]} ${where}`);
  const finished = columns.finish()!;
  for (const [id, name] of asked) nameOf.set(finished.finalOf[id]!, name);
  assert.equal(finished.count, nameOf.size);
  const named = (places: Iterable<number>): readonly string[] => [...places].map((own) => nameOf.get(own)!).sort();
  const placesOf = function* (set: number): Generator<number> {
    const { words, starts } = finished.sets;
    for (let at = starts[set]!; at < starts[set + 1]!; at += 3)
      for (let bit = 0; bit < 64; bit++)
        if ((words[at + 1 + (bit >>> 5)]! >>> (bit & 31)) & 1) yield words[at]! * 64 + bit;
  };
  const all = named(nameOf.keys());
  assert.deepEqual(named(placesOf(finished.all)), all);
  const matched = (question: number): readonly (readonly [number, readonly string[]])[] => {
    const { words, start, end } = finished.match(question);
    assert.equal(finished.match(question).start, start, 'worked out once');
    return Array.from({ length: (end - start) / 2 }, (_, at) => [
      words[start + at * 2]!,
      named(placesOf(words[start + at * 2 + 1]!)),
    ]);
  };
  const like = (...parts: readonly string[]): readonly string[] =>
    all.filter((name) => parts.some((part) => name.startsWith(`${part} `) || name.endsWith(` ${part}`)));
  const less = (list: readonly string[], ...others: readonly string[]): readonly string[] =>
    list.filter((name) => !like(...others).includes(name));
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(matched(0), [
      [0, like('pod1')],
      [MissingFact.UnknownPod, like('unknown')],
    ]);
    assert.deepEqual(matched(1), [
      [0, like('node')],
      [MissingFact.NoAddress, like('nameless')],
    ]);
    // The same blocks are one set, whatever else is asked for.
    assert.equal(
      finished.match(4).words[finished.match(4).start + 5],
      finished.match(2).words[finished.match(2).start + 1],
    );
    assert.deepEqual(matched(2), [
      [0, like('in')],
      [MissingFact.NoAddress, like('none')],
    ]);
    assert.deepEqual(matched(3), [[MissingFact.DomainName, all]]);
    assert.deepEqual(matched(4), [
      [0, like('pod1')],
      [0, like('node')],
      [0, like('in')],
      [MissingFact.UnknownPod, less(like('unknown'), 'in')],
      [MissingFact.NoAddress, less(like('nameless'), 'in')],
      [MissingFact.NoAddress, less(like('none'), 'pod1', 'node')],
    ]);
    const { words, start, end } = finished.match(-1);
    assert.deepEqual([...words.subarray(start, end)], [0, EVERYWHERE]);
  }
  const groups = finished.portGroups().map(({ ports, bits: own }) => ({
    ports: ports === undefined ? undefined : [...ports],
    names: named([...nameOf.keys()].filter((place) => (own[place >>> 5]! >>> (place & 31)) & 1)),
  }));
  const group = (ports: unknown, ...parts: readonly string[]): unknown => ({ ports, names: like(...parts) });
  assert.deepEqual(groups, [
    group([['TCP/web', [80]]], 'pod0'),
    group([], 'pod1', 'pod2'),
    group([], 'outside', 'node', 'other', 'nameless'),
    group(undefined, 'unknown'),
  ]);
});

test('blocks that hold nobody match no column', () => {
  const book = bookOf(admit({}, ruleOf({ peers: [block('10.0.0.0/8')] }), ruleOf({ peers: [block('192.0.2.0/24')] })));
  const columns = new Columns(book, 'ingress', indexUnits(SNAPSHOT, book), []);
  const [first] = classesOfSet(columns.blocks, 0);
  const [second] = classesOfSet(columns.blocks, 1);
  const asked = columns.column(0, second!);
  const { sets, finalOf, ...finished } = columns.finish()!;
  const matched = [0, 1].map((question) => {
    const { words, start } = columns.finish()!.match(question);
    const set = words[start + 1]!;
    return [...sets.words.subarray(sets.starts[set]!, sets.starts[set + 1]!)];
  });
  assert.deepEqual([first, second, finished.count, finalOf[asked]], [1, 2, 1, 0]);
  assert.deepEqual(matched, [[], [0, 1, 0]]);
});

test('pods whose named ports are listed in another order are one unit; namespaces that a selector takes lie together', () => {
  const named = (...names: readonly string[]): readonly Pod['ports'][number][] =>
    names.map((name) => ({ name, port: 100 - name.length * 10, protocol: 'TCP' }));
  const asked = ['a', 'bb', 'ccc'].map((name): PortMatch => ({ kind: 'named', protocol: 'TCP', name }));
  const taken = { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['n1', 'n4'] } as const;
  const peer = { kind: 'pods', namespaces: { kind: 'selected', selector: [taken] }, pods: [] } as Peer;
  const book = bookOf(admit({}, ruleOf({ ports: asked, peers: [peer] })));
  const pods = [
    ...[0, 1, 2, 3, 4, 5].map((at) => ({ ...pod(`p${at}`, `10.0.0.${at + 1}`, {}), namespace: `n${at}` })),
    ...[
      [{ name: 'unasked', port: 7, protocol: 'TCP' as const }, ...named('ccc', 'ccc', 'a', 'bb')],
      named('a', 'bb', 'ccc', 'a'),
      [...named('bb', 'ccc', 'unasked', 'a'), { port: 7, protocol: 'TCP' as const }],
      named('a', 'bb'),
    ].map((ports, at) => ({ ...pod(`q${at}`, `10.0.1.${at + 1}`, {}), namespace: 'n0', ports })),
  ];
  const index = indexUnits({ ...SNAPSHOT, pods }, book);
  assert.deepEqual([...index.unitOfPod], [0, 1, 2, 3, 4, 5, 6, 6, 6, 7]);
  assert.deepEqual(
    index.portGroups.map((group) => [...group].sort()),
    [
      [],
      [
        ['TCP/a', [90]],
        ['TCP/bb', [80]],
        ['TCP/ccc', [70]],
      ],
      [
        ['TCP/a', [90]],
        ['TCP/bb', [80]],
      ],
    ],
    'what is asked for, each once',
  );
  assert.deepEqual([...index.rankNamespaces()], [0, 1, 2, 3, 4, 5, 0, 0], 'nothing selected yet: as they came');
  const question = book.questions.at(0, 2) >> 1;
  const { words, start, end } = index.select(question);
  assert.deepEqual([...words.subarray(start, end)], [1, 4]);
  assert.deepEqual([...index.rankNamespaces()], [2, 0, 3, 4, 1, 5, 2, 2]);
  // Columns follow: those that the selector takes lie ahead of the others.
  const columns = new Columns(book, 'ingress', index, []);
  const ofUnits = Array.from({ length: index.count }, (_, unit) => columns.column(unit, 0));
  const { finalOf } = columns.finish()!;
  assert.ok(
    Math.max(finalOf[ofUnits[1]!]!, finalOf[ofUnits[4]!]!) <
      Math.min(...[0, 2, 3, 5].map((unit) => finalOf[ofUnits[unit]!]!)),
  );
  const stranger = { ...pods[0]!, namespace: 'n9' };
  assert.equal(index.place([stranger]), undefined);
  assert.deepEqual([...index.place([pods[9]!, { ...pods[1]!, hostNetwork: true }])!], [7, -1]);
});

test('a pod set is resolved once; one that asks for nothing is the list of all units', () => {
  const everywhere = { kind: 'selected', selector: [] } as const;
  const book = bookOf({ ...admit({}), subject: { namespaces: everywhere, pods: [] } }, admit({ role: 'one' }), {
    ...admit({}),
    subject: { namespaces: everywhere, pods: [{ key: 'role', operator: 'In', values: ['two'] }] },
  });
  const index = indexUnits(SNAPSHOT, book);
  const [all, one, two] = book.subjects.map((set) => index.select(set));
  assert.deepEqual([all!.start, all!.end], [0, PODS.length]);
  assert.deepEqual(
    book.subjects.map((set) => index.select(set).start),
    [all!.start, one!.start, two!.start],
  );
});

test('namespaces that the most used selectors take come first, those of one namespace left aside', () => {
  const take = (...values: readonly string[]): Policy['subject']['namespaces'] => ({
    kind: 'selected',
    selector: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values }],
  });
  const pods = Array.from({ length: 10 }, (_, at) => ({
    ...pod(`p${at}`, `10.0.0.${at + 1}`, {}),
    namespace: `n${at}`,
  }));
  const sets: readonly Policy['subject'][] = [
    // One namespace, more often than all others; five, once; three, once; two, twice.
    ...['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((key) => ({
      namespaces: take('n5'),
      pods: [{ key, operator: 'DoesNotExist', values: [] } as const],
    })),
    { namespaces: take('n0', 'n6', 'n7', 'n8', 'n9'), pods: [] },
    { namespaces: take('n2', 'n3', 'n4'), pods: [] },
    { namespaces: take('n1', 'n4'), pods: [] },
    { namespaces: take('n1', 'n4'), pods: [{ key: 'a', operator: 'DoesNotExist', values: [] }] },
  ];
  const book = bookOf(...sets.map((subject) => ({ ...admit({}), subject })));
  const index = indexUnits({ ...SNAPSHOT, pods }, book);
  for (const set of book.subjects) index.select(set);
  // The five are taken most, by namespaces and uses. n4 is in both of the others, n1 in the one that is used twice, n2 and n3 in the last.
  assert.deepEqual([...index.rankNamespaces()], [0, 6, 7, 8, 5, 9, 1, 2, 3, 4]);
});
