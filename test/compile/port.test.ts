/** Port classes and shapes against a plain model: which starts cut, which class each place of the table has, what each class is asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PortClass, PortIndex } from '../../src/compile/layout.ts';
import { classifyPorts, type PortRange, rangeOfMatch, type ResolvedPorts } from '../../src/compile/port.ts';
import { MissingFact } from '../../src/model/verdict.ts';
import { runs, seed } from '../law/seed.ts';

const PROTOCOLS = [0, 1, 2] as const;
/** Ends of ranges that leave classes of one port, of many, and both ends of the space. */
const ENDS = [0, 1, 2, 79, 80, 255, 256, 65_534, 65_535];
const EVERY: readonly PortRange[] = PROTOCOLS.flatMap((protocol) =>
  ENDS.flatMap((first) => ENDS.filter((last) => last >= first).map((last) => ({ protocol, first, last }))),
);

/** The ports at which a class of a protocol begins, ascending. */
function startsOf(ranges: readonly PortRange[], protocol: number): number[] {
  const own = ranges.filter((range) => range.protocol === protocol);
  const starts = new Set([0, ...own.map(({ first }) => first), ...own.map(({ last }) => last + 1)]);
  starts.delete(65_536);
  return [...starts].sort((a, b) => a - b);
}

/** What the classes are asked for: 0 a match, else the facts that are missing; classes that cannot match are left out. */
function expectedOf(all: readonly PortRange[], { ranges, unresolved }: ResolvedPorts): Map<number, number> {
  const asked = new Map<number, number>([[PortClass.UnknownProtocol, MissingFact.NoProtocol]]);
  let portClass: number = PortClass.First;
  for (const protocol of PROTOCOLS) {
    const own = ranges.filter((range) => range.protocol === protocol);
    const isOpen = unresolved.includes(protocol);
    const openFact = isOpen ? MissingFact.UnresolvedNamedPort : 0;
    if (own.some(({ first, last }) => first <= 1 && last === 65_535)) asked.set(PortClass.UnknownTcp + protocol, 0);
    else if (own.length > 0 || isOpen) asked.set(PortClass.UnknownTcp + protocol, MissingFact.NoPort | openFact);
    for (const start of startsOf(all, protocol)) {
      if (own.some(({ first, last }) => first <= start && start <= last)) asked.set(portClass, 0);
      else if (isOpen) asked.set(portClass, openFact);
      portClass++;
    }
  }
  return asked;
}

test(`the table gives every place its class: classes are numbered by protocol and port, none is empty (seed ${seed})`, () => {
  const range = fc
    .tuple(fc.constantFrom(...PROTOCOLS), fc.constantFrom(...ENDS), fc.constantFrom(...ENDS))
    .map(([protocol, a, b]): PortRange => ({ protocol, first: Math.min(a, b), last: Math.max(a, b) }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 6 }), (ranges) => {
      const expected = new Uint16Array(PortIndex.Count);
      let count: number = PortClass.First;
      for (const protocol of PROTOCOLS)
        for (const start of startsOf(ranges, protocol))
          expected.fill(count++, protocol * 65_536 + start, (protocol + 1) * 65_536);
      expected.fill(PortClass.NoPorts, PortIndex.Other, PortIndex.Other + 255);
      expected.set(
        [
          PortClass.UnknownProtocol,
          PortClass.UnknownTcp,
          PortClass.UnknownUdp,
          PortClass.UnknownSctp,
          PortClass.Exempt,
        ],
        PortIndex.Other + 255,
      );
      const made = classifyPorts(ranges);
      assert.equal(made.count, count);
      assert.ok(Buffer.from(made.table.buffer).equals(Buffer.from(expected.buffer)));
    }),
    { seed, numRuns: runs(20) },
  );
});

test('each range of every two ends, in each protocol, has a shape of its own: the classes that it holds, and what may be', () => {
  const { shape } = classifyPorts(EVERY);
  const ids = new Set<number>();
  for (const range of EVERY) {
    const ports: ResolvedPorts = { ranges: [range], unresolved: [] };
    const { id, matchesAll, yes, maybe } = shape(ports);
    ids.add(id);
    assert.equal(matchesAll, false);
    const expected = [...expectedOf(EVERY, ports)].sort(([a], [b]) => a - b);
    assert.deepEqual(
      yes,
      expected.flatMap(([portClass, missing]) => (missing === 0 ? [portClass] : [])),
    );
    assert.deepEqual(
      maybe,
      expected.flatMap(([portClass, missing]) => (missing === 0 ? [] : [{ portClass, missing }])),
    );
    assert.equal(shape({ ranges: [{ ...range }], unresolved: [] }).id, id);
  }
  assert.equal(ids.size, EVERY.length);
  const { id, ...all } = shape(undefined);
  assert.deepEqual(all, { matchesAll: true, yes: [], maybe: [] });
  assert.ok(!ids.has(id), 'every port is a shape of its own');
});

test(`several ranges and open names: classes ascend, and lists that say the same are one shape, whatever their order (seed ${seed})`, () => {
  const { shape } = classifyPorts(EVERY);
  const shapes = new Map<string, number>();
  const ports = fc.record({
    ranges: fc.uniqueArray(fc.constantFrom(...EVERY), { maxLength: 4 }),
    unresolved: fc.uniqueArray(fc.constantFrom(...PROTOCOLS)),
  });
  fc.assert(
    fc.property(ports, ({ ranges, unresolved }) => {
      const { id, yes, maybe } = shape({ ranges, unresolved });
      const expected = [...expectedOf(EVERY, { ranges, unresolved })].sort(([a], [b]) => a - b);
      const found = [
        ...yes.map((portClass) => [portClass, 0] as const),
        ...maybe.map(({ portClass, missing }) => [portClass, missing] as const),
      ];
      const classes = found.map(([portClass]) => portClass);
      assert.deepEqual(
        classes,
        [...yes.toSorted((a, b) => a - b), ...maybe.map((own) => own.portClass).toSorted((a, b) => a - b)],
        'both lists ascend',
      );
      assert.deepEqual(
        found.toSorted(([a], [b]) => a - b),
        expected,
      );
      assert.equal(shape({ ranges: ranges.toReversed(), unresolved: unresolved.toReversed() }).id, id);
      const key = JSON.stringify([ranges.map((range) => EVERY.indexOf(range)).toSorted(), unresolved.toSorted()]);
      assert.equal(shapes.get(key) ?? id, id);
      assert.ok(shapes.has(key) || ![...shapes.values()].includes(id), 'another list has another number');
      shapes.set(key, id);
    }),
    { seed, numRuns: runs(150) },
  );
});

test('two ranges are one shape in either order, and another than others that hold the same numbers', () => {
  const tcp = (first: number, last: number, protocol = 0): PortRange => ({ protocol, first, last });
  const { shape } = classifyPorts(
    [1, 2, 3, 11, 12, 23].flatMap((port) => PROTOCOLS.map((own) => tcp(port, port, own))),
  );
  const idOf = (ranges: readonly PortRange[], unresolved: readonly number[] = []): number =>
    shape({ ranges, unresolved }).id;
  const lists: readonly (readonly [ranges: readonly PortRange[], unresolved?: readonly number[]])[] = [
    [[tcp(1, 1), tcp(23, 23)]],
    [[tcp(1, 12), tcp(3, 3)]],
    [[tcp(1, 1), tcp(23, 23, 1)]],
    [[tcp(1, 1, 1), tcp(23, 23)]],
    [[tcp(1, 2), tcp(3, 3)]],
    [[tcp(1, 1)], [0]],
    [[tcp(1, 1)], [1]],
    [[tcp(1, 1)], [0, 1]],
    [[], [0, 1]],
    [[], [0]],
    [[tcp(1, 1)]],
    [[]],
  ];
  assert.equal(new Set(lists.map(([ranges, unresolved]) => idOf(ranges, unresolved))).size, lists.length);
  for (const [ranges, unresolved = []] of lists)
    assert.equal(idOf(ranges.toReversed(), unresolved.toReversed()), idOf(ranges, unresolved));
});

test('NP-24, NP-25: a match without a number is every port of its protocol, both ends included', () => {
  for (const [protocol, name] of (['TCP', 'UDP', 'SCTP'] as const).entries()) {
    assert.deepEqual(rangeOfMatch({ kind: 'any', protocol: name }), { protocol, first: 0, last: 65_535 });
    assert.deepEqual(rangeOfMatch({ kind: 'range', protocol: name, first: 7, last: 9 }), {
      protocol,
      first: 7,
      last: 9,
    });
  }
});

test('65,535 classes of ports fit, one more does not', () => {
  const cuts = (count: number): PortRange[] =>
    Array.from({ length: count }, (_, index) => {
      const port = (index % 65_535) + 1;
      return { protocol: Math.floor(index / 65_535), first: port, last: 65_535 };
    });
  const most = 65_535 - PortClass.First - PROTOCOLS.length;
  assert.equal(classifyPorts(cuts(most)).count, 65_535);
  assert.throws(() => classifyPorts(cuts(most + 1)), RangeError);
});
