/** What compile keeps numbers in, held against plain arrays, maps and sets: interned lists, grouped keys, sets of columns, partitions, pages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ColumnSets } from '../../src/compile/column-set.ts';
import { countKeys, groupByKey } from '../../src/compile/group.ts';
import { grow, growFilled, ListStore } from '../../src/compile/list.ts';
import { PageStore } from '../../src/compile/page.ts';
import { EVERYWHERE, PageBuilder } from '../../src/compile/page-builder.ts';
import { Partition } from '../../src/compile/partition.ts';
import { runs, seed } from '../law/seed.ts';

const PAGES = 4;
const PLACES = PAGES * 64;

test('growing keeps what was there, doubles, and fills what is new', () => {
  const words = Int32Array.of(7, 8, 9);
  assert.equal(grow(words, 3), words, 'where there is room nothing is copied');
  assert.equal(growFilled(words, 3, -1), words);
  assert.deepEqual([...grow(words, 4)], [7, 8, 9, 0, 0, 0]);
  assert.deepEqual([...grow(words, 8)], [7, 8, 9, 0, 0, 0, 0, 0]);
  assert.deepEqual([...growFilled(words, 4, -1)], [7, 8, 9, -1, -1, -1]);
});

test(`lists that are equal have one number, others another, and read back as they were (seed ${seed})`, () => {
  const word = fc.oneof(fc.nat(3), fc.integer());
  fc.assert(
    fc.property(fc.array(fc.array(word, { maxLength: 5 }), { minLength: 1, maxLength: 60, size: 'max' }), (lists) => {
      const store = new ListStore();
      const numbers = new Map<string, number>();
      for (const list of lists) {
        const source = Int32Array.from([...list, 99]);
        const key = list.join();
        const known = numbers.get(key);
        assert.equal(store.find(source, list.length), known ?? -1);
        const number = store.intern(source, list.length);
        assert.equal(number, known ?? numbers.size, 'numbered in order of arrival');
        numbers.set(key, number);
        assert.equal(store.count, numbers.size);
        assert.equal(store.find(source, list.length), number);
      }
      for (const [key, number] of numbers) {
        const list = key === '' && store.lengthOf(number) === 0 ? [] : key.split(',').map(Number);
        assert.equal(store.lengthOf(number), list.length);
        assert.deepEqual([...store.get(number)], list);
        const copy = new Int32Array(8).fill(77);
        assert.equal(store.copy(number, copy), list.length);
        assert.deepEqual([...copy], [...list, ...Array.from({ length: 8 - list.length }, () => 77)]);
        list.forEach((own, at) => {
          assert.equal(store.at(number, at), own);
          assert.ok(store.has(number, 0, own));
          assert.equal(store.has(number, at + 1, own), list.indexOf(own, at + 1) >= 0);
        });
        assert.equal(store.has(number, 0, 123_456_789), list.includes(123_456_789));
      }
    }),
    { seed, numRuns: runs(60) },
  );
});

test('thousands of lists are kept apart, as the table grows', () => {
  const store = new ListStore();
  const list = new Int32Array(3);
  for (let round = 0; round < 2; round++)
    for (let at = 0; at < 3000; at++) {
      list.set([at >> 6, at & 63, at % 3]);
      assert.equal(store.intern(list, 3), at);
    }
  assert.deepEqual([...store.get(2999)], [2999 >> 6, 2999 & 63, 2999 % 3]);
});

/** Words without order, the same ones every time; from here on two lists, and two pages, soon have one hash. */
function* scatter(): Generator<number, never> {
  for (let state = 7_000_021; ; state++) {
    let word = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
    word = Math.imul(word ^ (word >>> 13), 0x2c1b3c6d);
    yield word ^ (word >>> 16);
  }
}

test('lists and pages of one hash are kept apart', () => {
  const words = scatter();
  const lists = new ListStore();
  const list = new Int32Array(3);
  for (let at = 0; at < 60_000; at++) {
    list.set([at, words.next().value, at & 1023]);
    assert.equal(lists.intern(list, 2 + (at % 2)), at);
  }
  const pages = new PageStore();
  const page = new Uint32Array(64);
  for (let at = 0; at < 50_000; at++) {
    page[at & 63] = words.next().value;
    assert.equal(pages.intern(page), at);
  }
});

test(`groups hold the indexes of each key in order, and none of a negative one (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -2, max: 6 }), { maxLength: 40 }), fc.nat(3), (keys, more) => {
      const count = 7 + more;
      const { starts, items } = groupByKey(Int32Array.from(keys), count);
      assert.deepEqual([...starts], [...countKeys(Int32Array.from(keys), count)]);
      assert.equal(starts.length, count + 1);
      assert.equal(items.length, keys.filter((key) => key >= 0).length);
      for (let key = 0; key < count; key++)
        assert.deepEqual(
          [...items.subarray(starts[key]!, starts[key + 1]!)],
          keys.flatMap((own, index) => (own === key ? [index] : [])),
        );
    }),
    { seed, numRuns: runs(100) },
  );
});

/** Places near the edges of words and pages. */
const place = fc.oneof(fc.constantFrom(0, 31, 32, 63, 64, 95, 127, 128, 191, 255), fc.nat(PLACES - 1));
/** A set of places, mostly of a few pages. */
const places = fc
  .tuple(fc.uniqueArray(place, { maxLength: 24 }), fc.constantFrom(1, 2, PAGES))
  .map(([list, pages]) => [...new Set(list.map((own) => own % (pages * 64)))].sort((a, b) => a - b));

function bitsOf(list: readonly number[]): Uint32Array {
  const bits = new Uint32Array(PAGES * 2);
  for (const own of list) bits[own >>> 5]! |= 1 << (own & 31);
  return bits;
}

function placesOf({ words, starts }: ColumnSets, set: number): number[] {
  const list: number[] = [];
  let last = -1;
  for (let at = starts[set]!; at < starts[set + 1]!; at += 3) {
    const page = words[at]!;
    assert.ok(page > last, 'pages ascend');
    assert.ok((words[at + 1]! | words[at + 2]!) !== 0, 'no page is empty');
    last = page;
    for (let bit = 0; bit < 64; bit++)
      if ((words[at + 1 + (bit >>> 5)]! >>> (bit & 31)) & 1) list.push(page * 64 + bit);
  }
  return list;
}

test(`sets of columns hold what they were made of; differences and shares are those of sets (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(places, { minLength: 2, maxLength: 8 }), fc.boolean(), (lists, isReversed) => {
      const sets = new ColumnSets();
      const numbers = lists.map((list, at) => {
        if (at % 2 === 0) return sets.add(bitsOf(list));
        const pages = [...new Set(list.map((own) => own >>> 6))];
        if (isReversed) pages.reverse();
        return sets.addPages(bitsOf(list), Int32Array.from([...pages, 0, 0]), pages.length);
      });
      lists.forEach((list, at) => assert.deepEqual(placesOf(sets, numbers[at]!), list));
      for (const [a, first] of lists.entries())
        for (const [b, second] of lists.entries()) {
          assert.deepEqual(
            placesOf(sets, sets.intersect(numbers[a]!, bitsOf(second))),
            first.filter((own) => second.includes(own)),
          );
          const difference = sets.subtract(numbers[a]!, numbers[b]!);
          const left = first.filter((own) => !second.includes(own));
          assert.deepEqual(placesOf(sets, difference), left);
          if (left.length === first.length) assert.equal(difference, numbers[a], 'a set less nothing is itself');
        }
      lists.forEach((list, at) => assert.deepEqual(placesOf(sets, numbers[at]!), list, 'sets never change'));
    }),
    { seed, numRuns: runs(100) },
  );
});

test(`a partition keeps together what no set has told apart, and nothing else (seed ${seed})`, () => {
  const elements = 12;
  const subset = fc.uniqueArray(fc.nat(elements - 1), { maxLength: elements });
  fc.assert(
    fc.property(
      fc.array(subset, { maxLength: 8 }),
      fc.array(fc.nat(2), { minLength: 12, maxLength: 12 }),
      (sets, raw) => {
        const known = [...new Set(raw)];
        const initial = raw.map((id) => known.indexOf(id));
        const partition = new Partition(Int32Array.from(initial));
        const signatures = initial.map(String);
        assert.equal(partition.count, known.length);
        for (const list of sets) {
          const words = Int32Array.from([77, ...list, 78]);
          const next = signatures.map((text, element) => `${text}${list.includes(element) ? '+' : '-'}`);
          const isCut = new Set(next).size > new Set(signatures).size;
          assert.equal(partition.cuts(words, 1, list.length + 1), isCut);
          partition.refine(words, 1, list.length + 1);
          next.forEach((text, element) => (signatures[element] = text));
          assert.equal(partition.count, new Set(signatures).size);
          assert.equal(partition.cuts(words, 1, list.length + 1), false, 'what has cut, cuts no more');
          for (let a = 0; a < elements; a++)
            for (let b = 0; b < a; b++)
              assert.equal(partition.classOf[a] === partition.classOf[b], signatures[a] === signatures[b]);
          for (const id of partition.classOf) assert.ok(id >= 0 && id < partition.count);
        }
      },
    ),
    { seed, numRuns: runs(100) },
  );
});

/** A run: a state, tokens with their places (undefined: everywhere), and whether order means something. */
const run = fc.record({
  state: fc.nat(2),
  order: fc.constantFrom<'set' | 'list'>('set', 'list'),
  parts: fc.array(fc.record({ token: fc.nat(4), places: fc.option(places, { nil: undefined, freq: 4 }) }), {
    maxLength: 9,
  }),
});

test(`a run of pages gives each cell the tokens that hold it: as a set, or in the order in which they were added (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(run, { minLength: 1, maxLength: 8 }), (drawn) => {
      const sets = new ColumnSets();
      const all = sets.add(new Uint32Array(PAGES * 2).fill(0xffffffff));
      const values = new Map<string, number>();
      const asked: string[] = [];
      const builder = new PageBuilder(sets, all, PAGES, (list, length) => {
        const key = list.subarray(0, length).join();
        asked.push(key);
        if (!values.has(key)) values.set(key, 1000 + values.size);
        return values.get(key)!;
      });
      const valueOf = (key: string): number | undefined => values.get(key);
      const read = new Map<string, string>();
      for (const { state, order, parts } of [...drawn, ...drawn]) {
        builder.begin(state, order);
        for (const { token, places: own } of parts)
          builder.add(token, own === undefined ? EVERYWHERE : sets.add(bitsOf(own)));
        const target = new Uint32Array(PAGES);
        builder.finish(target);
        const kept = cellsOf(builder);
        const cells = [...target].flatMap((page) => [...kept.subarray(page * 64, page * 64 + 64)]);
        assert.equal(cells.length, PLACES);
        const text = JSON.stringify({ state, order, parts });
        assert.equal(read.get(text) ?? target.join(), target.join(), 'the same again is the same pages');
        read.set(text, target.join());
        cells.forEach((cell, at) => {
          const holding = parts
            .filter(({ places: own }) => own === undefined || own.includes(at))
            .map(({ token }) => token);
          const distinct = [...new Set(holding)].sort((a, b) => a - b);
          const found = [...values]
            .find(([, value]) => value === cell)![0]
            .split(',')
            .map(Number);
          assert.equal(found[0], state);
          const tokens = found.slice(1);
          if (order === 'set')
            assert.deepEqual(
              [...new Set(tokens)].sort((a, b) => a - b),
              distinct,
            );
          // Repeated at once a token may be named once: nothing else lies between.
          else assert.deepEqual(squeeze(tokens), squeeze(holding));
        });
      }
      assert.equal(new Set(asked).size, asked.length, 'each list is asked for once');
      assert.ok(asked.every((key) => valueOf(key) !== undefined));
      const kept = cellsOf(builder);
      const pages = Array.from({ length: builder.store.size }, (_, page) =>
        kept.subarray(page * 64, page * 64 + 64).join(),
      );
      assert.equal(new Set(pages).size, pages.length, 'each page is kept once');
    }),
    { seed, numRuns: runs(60) },
  );
});

test('thousands of pages are kept once each, in order of arrival, beyond the first chunk', () => {
  const store = new PageStore();
  assert.deepEqual(store.copy(new Uint32Array(2)), new Uint32Array(2));
  const page = new Uint32Array(64);
  const count = 9000;
  for (let round = 0; round < 2; round++)
    for (let at = 0; at < count; at++) {
      page.fill(at >> 7);
      page[at & 63] = 70_000 + (at & 64);
      assert.equal(store.intern(page), at);
      assert.equal(store.size, round === 0 ? at + 1 : count);
      // Where a chunk ends, and beside it.
      if (round === 0 && (at & 4095) >= 4094) assert.equal(store.copy(new Uint32Array(at * 64 + 64))[at * 64], at >> 7);
    }
  const kept = store.copy(new Uint32Array(count * 64));
  for (let at = 0; at < count; at++)
    for (let place = 0; place < 64; place++)
      if (kept[at * 64 + place] !== (place === (at & 63) ? 70_000 + (at & 64) : at >> 7))
        assert.fail(`page ${at}, word ${place}`);
});

test('pages that come when words need more than 16 bits leave those before as they were', () => {
  const words = [0, 1, 65_535, 65_536, 0xffffffff];
  for (const before of [0, 1, 63, 64, 4095, 4096, 5000]) {
    const store = new PageStore();
    const page = (at: number, word: number): Uint32Array =>
      new Uint32Array(64).fill(at).fill(word, at & 63, (at & 63) + 1);
    for (let at = 0; at < before; at++) assert.equal(store.intern(page(at, 65_535)), at);
    words.forEach((word, at) => assert.equal(store.intern(page(before + at, word)), before + at));
    // All of them are found again, and one word more is another page.
    for (let at = 0; at < before; at++) assert.equal(store.intern(page(at, 65_535)), at);
    words.forEach((word, at) => assert.equal(store.intern(page(before + at, word)), before + at));
    assert.equal(store.size, before + words.length);
    const kept = store.copy(new Uint32Array(store.length));
    const expected = [...Array.from({ length: before }, () => 65_535), ...words];
    expected.forEach((word, at) =>
      assert.deepEqual(kept.subarray(at * 64, at * 64 + 64), page(at, word), `page ${at} of ${before}`),
    );
  }
});

test('where order means nothing, one set of tokens is one list, in whatever order they came', () => {
  const sets = new ColumnSets();
  const all = sets.add(new Uint32Array(PAGES * 2).fill(0xffffffff));
  for (const count of [5, 60]) {
    const asked: string[] = [];
    const builder = new PageBuilder(sets, all, PAGES, (list, length) => {
      asked.push(list.subarray(1, length).join());
      return asked.length;
    });
    const tokens = Array.from({ length: count }, (_, token) => token);
    const orders = [tokens, tokens.toReversed(), tokens.toSorted((a, b) => (a % 7) - (b % 7) || b - a)];
    const found = orders.map((own) => {
      builder.begin(0, 'set');
      for (const token of own) builder.add(token, sets.add(bitsOf([1, 70 + (token % 2)])));
      const target = new Uint32Array(PAGES);
      builder.finish(target);
      return target.join();
    });
    assert.equal(new Set(found).size, 1);
    const parity = (odd: number): string => tokens.filter((own) => own % 2 === odd).join();
    assert.deepEqual(asked.sort(), ['', tokens.join(), parity(0), parity(1)].sort());
  }
});

function squeeze(list: readonly number[]): readonly number[] {
  return list.filter((own, at) => own !== list[at - 1]);
}

/** Every page of a builder, one after another. */
function cellsOf({ store }: PageBuilder): Uint32Array {
  return store.copy(new Uint32Array(store.size * 64));
}
