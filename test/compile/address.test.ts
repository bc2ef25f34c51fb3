/** Look-up of addresses: blocks to classes, classes and points to the IPv4 trie and the IPv6 search, against plain walks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  type AddressKey,
  addressKey,
  type Block,
  classifyBlocks,
  classOfAddress,
  orderNumbers,
} from '../../src/compile/block.ts';
import { Partition } from '../../src/compile/partition.ts';
import { Header, windowOf } from '../../src/compile/layout.ts';
import { buildLookup6 } from '../../src/compile/search6.ts';
import {
  buildFragments4,
  buildLookup4,
  buildTrie4,
  type Lookup4,
  overlayPoints,
  TRIE_BYTES_MAX,
  type ValueIntervals,
} from '../../src/compile/trie.ts';
import type { Program } from '../../src/compile/program.ts';
import { findEndpoint4, findEndpoint6 } from '../../src/decide/decide.ts';
import { formatCidr, maskWords, parseCidr } from '../../src/model/cidr.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import { runs, seed } from '../law/seed.ts';
import { classesOfSet } from './address-class.ts';

const LAST_4 = 2 ** 32 - 1;
const LAST_6 = (1n << 128n) - 1n;

/** Addresses that are interesting whatever the blocks are: the ends of the space and of the trie's levels. */
const CORNERS_4 = [
  0,
  1,
  255,
  256,
  65_535,
  65_536,
  65_537,
  0x7fffffff,
  0x80000000,
  LAST_4 - 65_536,
  LAST_4 - 256,
  LAST_4,
];

test('both IPv4 forms give the value of the interval, at both ends of the space and around every boundary', () => {
  fc.assert(
    fc.property(arbitraryIntervals4(), (intervals) => {
      const forms = [buildTrie4(intervals), buildFragments4(intervals)];
      for (const key of [...CORNERS_4, ...intervals.starts.flatMap(around4)])
        for (const form of forms) assert.equal(lookUp4(form, key), walk(intervals, key), String(key));
    }),
    { seed, numRuns: runs(40) },
  );
});

test('1,000,000 IPv4 prefixes, each with a value of its own, take fragments and fit 16 MiB', () => {
  const intervals = manyPrefixes4(1_000_000);
  assert.ok(intervals.starts.length > 1_200_000, `${intervals.starts.length} intervals`);
  const lookup = buildLookup4(intervals);
  assert.equal(lookup.mid4.length, 0);
  assert.ok(bytesOf(lookup) <= 16 * 2 ** 20, `${bytesOf(lookup)} bytes`);
  for (let index = 1; index < intervals.starts.length; index += 997) {
    const start = Number(intervals.starts[index]);
    assert.equal(lookUp4(lookup, start - 1), intervals.values[index - 1]);
    assert.equal(lookUp4(lookup, start), intervals.values[index]);
    assert.equal(
      lookUp4(lookup, start + 1),
      intervals.values[index + Number(intervals.starts[index + 1] === start + 1)],
    );
  }
});

test('1,000 IPv4 prefixes keep the trie, whose blocks stay below their limit', () => {
  const lookup = buildLookup4(manyPrefixes4(1000));
  assert.equal(lookup.starts4.length, 0);
  assert.ok(lookup.mid4.byteLength + lookup.leaf4.byteLength <= TRIE_BYTES_MAX);
});

test('the trie serves as many blocks as its limit has room for, as they are counted; one /16, /24 or value more takes fragments', () => {
  /** Intervals that begin with 0 and take two values in turn, so that whole blocks of them are few. */
  const cutAt = (...cuts: readonly number[]): ValueIntervals => {
    const starts = [0, ...cuts];
    return { starts, values: starts.map((_, index) => index % 2) };
  };
  const isTrie = (intervals: ValueIntervals): boolean => buildLookup4(intervals).starts4.length === 0;
  const list = (count: number, of: (index: number) => readonly number[]): readonly number[] =>
    Array.from({ length: count }, (_, index) => of(index)).flat();
  const high = (index: number): number => 65_536 * (index + 1);
  const blocks = TRIE_BYTES_MAX / 1024;
  // A /16 and a /24 each; cut again they are no more; three more for the two values that fill both sizes whole.
  const once = (count: number): ValueIntervals => cutAt(...list(count, (index) => [high(index) + 1, high(index) + 2]));
  const again = (count: number): ValueIntervals =>
    cutAt(...list(count, (index) => [1, 2, 100, 255].map((low) => high(index) + low)));
  const beside = (count: number): ValueIntervals =>
    cutAt(...list(count, (index) => [65_536 - 1, 65_536].map((low) => high(index) + low)));
  for (const form of [once, again, beside]) {
    assert.equal(isTrie(form(blocks / 2 - 2)), true);
    assert.equal(isTrie(form(blocks / 2 + 1)), false);
  }
  // Cut between /24s: only the /16 counts.
  const between = (count: number): ValueIntervals =>
    cutAt(...list(count, (index) => [256, 512].map((low) => high(index) + low)));
  assert.equal(isTrie(between(blocks - 4)), true);
  assert.equal(isTrie(between(blocks + 1)), false);
  // Nothing is cut, every value fills a /16, and so a /24, which is one cell of 256.
  const wholes = Math.floor((blocks * 256) / 257);
  const whole = (count: number): ValueIntervals => ({
    starts: list(count, (index) => [65_536 * index]),
    values: list(count, (index) => [index]),
  });
  assert.equal(isTrie(whole(wholes)), true);
  assert.equal(isTrie(whole(wholes + 1)), false);
});

test('blocks of the trie that are equal are kept once', () => {
  // The same pattern in 200 /24s of 200 /16s.
  const cuts = Array.from({ length: 200 }, (_, index) => index * 65_536 + 0x0a000000);
  const starts = [0, ...cuts.flatMap((base) => [base + 7, base + 9])];
  const { mid4, leaf4 } = buildTrie4({ starts, values: starts.map((_, index) => index % 2) });
  assert.deepEqual([mid4.length, leaf4.length], [2 * 256, 2 * 256]);
});

test('one value for everything needs one block a level', () => {
  const trie = buildTrie4({ starts: [0], values: [7] });
  assert.deepEqual([trie.mid4.length, trie.leaf4.length], [256, 256]);
  assert.deepEqual(
    [0, 0x0a000001, LAST_4].map((key) => lookUp4(trie, key)),
    [7, 7, 7],
  );
});

test('a /24 of one value is one cell, so that 65,536 of them keep the trie, in half a MiB', () => {
  const starts = Array.from({ length: 65_536 }, (_, index) => index * 256);
  const lookup = buildLookup4({ starts, values: starts.map((_, index) => index) });
  assert.deepEqual([lookup.mid4.length, lookup.leaf4.length], [257 * 256, 65_536]);
  for (let index = 0; index < starts.length; index += 101)
    for (const low of [0, 255]) assert.equal(lookUp4(lookup, index * 256 + low), index);
});

test('the trie grows with what is cut, not with what is covered', () => {
  // 256 single addresses in one /24 share one leaf block; the rest is uniform.
  const points = Array.from({ length: 256 }, (_, index) => ({ key: 0x0a000000 + index, value: 100 + index }));
  const trie = buildTrie4(overlayPoints({ starts: [0], values: [0] }, points, 2 ** 32));
  assert.deepEqual([trie.mid4.length, trie.leaf4.length], [2 * 256, 2 * 256]);
});

test('points lie over intervals and leave everything around them alone', () => {
  fc.assert(
    fc.property(
      arbitraryIntervals4(),
      fc.uniqueArray(fc.oneof(fc.constantFrom(...CORNERS_4), fc.nat(LAST_4)), { maxLength: 20 }),
      (intervals, keys) => {
        const points = keys.sort((a, b) => a - b).map((key, index) => ({ key, value: 1000 + index }));
        const over = overlayPoints(intervals, points, 2 ** 32);
        assert.equal(over.starts[0], 0);
        over.starts.forEach((start, index) => assert.ok(index === 0 || over.starts[index - 1]! < start, 'sorted'));
        for (const key of [...CORNERS_4, ...keys.flatMap(around4), ...intervals.starts.flatMap(around4)])
          assert.equal(
            walk(over, key),
            points.find((point) => point.key === key)?.value ?? walk(intervals, key),
            String(key),
          );
      },
    ),
    { seed, numRuns: runs(200) },
  );
});

test('the IPv6 look-up finds single addresses, else the last interval that does not begin beyond the address', () => {
  const word = fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff);
  const any = fc
    .tuple(word, word, word, word)
    .map((words) => words.reduce((sum, own) => (sum << 32n) | BigInt(own), 0n));
  // Starts that share a prefix of any length, as the blocks of one cluster do.
  const near = fc.tuple(any, fc.integer({ min: 1, max: 128 }), any).map(([base, length, low]) => {
    const free = (1n << BigInt(128 - length)) - 1n;
    return (base & ~free) | (low & free);
  });
  const shared = fc
    .tuple(any, fc.integer({ min: 1, max: 127 }), fc.array(any, { maxLength: 30 }))
    .map(([base, length, lows]) => {
      const free = (1n << BigInt(128 - length)) - 1n;
      return lows.map((low) => (base & ~free & LAST_6) | (low & free));
    });
  const cuts = fc.oneof(fc.array(any, { maxLength: 30 }), fc.array(near, { maxLength: 30 }), shared);
  fc.assert(
    fc.property(cuts, fc.uniqueArray(any, { maxLength: 10 }), (list, hosts) => {
      const starts = [...new Set([0n, ...list])].sort((a, b) => (a < b ? -1 : 1));
      const intervals = { starts, values: starts.map((_, index) => index + 10) };
      const points = hosts.map((key, index) => [key, 1000 + index] as const);
      const program = programOf6(lookupOf6(intervals, points));
      for (const key of [LAST_6, ...starts, ...hosts].flatMap(around6)) {
        const [w0, w1, w2, w3] = wordsOf(key) as [number, number, number, number];
        const expected = points.find((point) => point[0] === key)?.[1] ?? walk(intervals, key);
        assert.equal(findEndpoint6(program, w0, w1, w2, w3), expected, key.toString(16));
        assert.equal(findEndpoint6(program, w0 | 0, w1 | 0, w2 | 0, w3 | 0), expected, 'words may be signed');
      }
    }),
    { seed, numRuns: runs(300) },
  );
});

test('20,000 IPv6 hosts of one cluster leave the intervals alone, and 20,000 blocks fill the root index', () => {
  const at = (number: number): bigint => (0xfd64n << 112n) | (BigInt(number) << 64n);
  const hosts = Array.from({ length: 20_000 }, (_, index) => [at(index) + 5n, index] as const);
  const few = lookupOf6({ starts: [0n, at(0), at(20_000)], values: [0, 1, 2] }, hosts);
  assert.deepEqual([few.values6.length, few.hostValues6.length], [3, 65_536]);
  const starts = [0n, ...Array.from({ length: 20_000 }, (_, index) => at(index))];
  const many = lookupOf6({ starts, values: starts.map((_, index) => index) }, []);
  // The longest run that a search walks: the index goes behind what all starts share.
  let longest = 0;
  for (let slot = 1; slot < many.root6.length; slot++)
    longest = Math.max(longest, many.root6[slot]! - many.root6[slot - 1]!);
  assert.ok(longest <= 2, `${longest} intervals in one slot`);
});

test('the IPv6 root has bits for four slots an interval, and says of each slot which interval holds its first address', () => {
  const shapes = [
    ...[1, 2, 3, 4, 7, 8, 100].map((count) => [count, 0xfd00n << 112n, 64n] as const),
    // Prefixes that end within either of the first two words, with bits set up to their end.
    ...[111n, 97n, 96n, 95n, 80n, 66n].map((shift) => [12, (LAST_6 >> (shift + 4n)) << (shift + 4n), shift] as const),
  ];
  for (const [count, base, shift] of shapes) {
    const starts = [0n, ...Array.from({ length: count - 1 }, (_, index) => base | (BigInt(index + 1) << shift))];
    const { root6, scalars } = lookupOf6({ starts, values: starts.map((_, index) => index) }, []);
    const word = (field: Header): bigint => BigInt(scalars.get(field)!);
    const length = scalars.get(Header.Prefix6Length)!;
    const bits = scalars.get(Header.Root6Bits)!;
    assert.equal(bits, Math.ceil(Math.log2(count + 1)) + 2);
    assert.equal(root6.length, 2 ** bits + 1);
    assert.equal(root6.at(-1), count - 1);
    const differing = ((starts[1] ?? 0n) ^ starts.at(-1)!).toString(2);
    assert.equal(
      length,
      count === 1 ? 0 : Math.min(63, differing === '0' ? 128 : 128 - differing.length),
      'all that is shared',
    );
    const prefix = ((starts[1] ?? 0n) >> BigInt(128 - length)) << BigInt(128 - length);
    assert.equal(
      (word(Header.Mask6Word0) << 32n) | word(Header.Mask6Word1),
      ((1n << BigInt(length)) - 1n) << BigInt(64 - length),
    );
    assert.equal((word(Header.Prefix6Word0) << 32n) | word(Header.Prefix6Word1), prefix >> 64n);
    if (count === 1) continue;
    for (let slot = 0; slot < 2 ** bits; slot++) {
      const first = prefix | (BigInt(slot) << BigInt(128 - length - bits));
      assert.equal(
        root6[slot],
        starts.findLastIndex((start) => start <= first),
        `${slot} of ${count}`,
      );
    }
  }
});

test('a class of addresses says exactly which blocks hold them, exceptions left out', () => {
  fc.assert(
    fc.property(fc.array(arbitraryBlock(), { maxLength: 8 }), (blocks) => {
      const classes = classifyBlocks(blocks.map((block) => [block]));
      for (const family of [4, 6] as const) {
        const intervals = family === 4 ? classes.v4 : classes.v6;
        for (const words of edgesOf(blocks, family)) {
          const found = classOfAddress(intervals, addressKey(family, words));
          const holding = blocks.flatMap((block, index) => (holds(block, family, words) ? [index] : []));
          const named = blocks.flatMap((_, index) => (classesOfSet(classes, index).includes(found) ? [index] : []));
          assert.deepEqual(named, holding, [...words].join());
          assert.equal(found === 0, holding.length === 0, 'class 0 lies in no block, and nothing else does');
        }
      }
    }),
    { seed, numRuns: runs(300) },
  );
});

test('a set of blocks is their union, wherever they overlap', () => {
  fc.assert(
    fc.property(fc.array(fc.array(arbitraryBlock(), { maxLength: 4 }), { maxLength: 4 }), (sets) => {
      const classes = classifyBlocks(sets);
      for (const family of [4, 6] as const)
        for (const words of edgesOf(sets.flat(), family)) {
          const found = classOfAddress(family === 4 ? classes.v4 : classes.v6, addressKey(family, words));
          sets.forEach((blocks, index) =>
            assert.equal(
              classesOfSet(classes, index).includes(found),
              blocks.some((block) => holds(block, family, words)),
              [...words].join(),
            ),
          );
        }
    }),
    { seed, numRuns: runs(150) },
  );
});

test('exceptions: nested, overlapping, repeated, whole, and outside of their block', () => {
  const classOf = (except: readonly string[], address: number): boolean => {
    const classes = classifyBlocks([[{ cidr: '10.0.0.0/24' as Cidr, except: except as readonly Cidr[] }]]);
    return classesOfSet(classes, 0).includes(classOfAddress(classes.v4, 0x0a000000 + address));
  };
  assert.equal(classOf([], 255), true);
  assert.equal(classOf(['10.0.0.0/25', '10.0.0.64/26'], 64), false);
  assert.equal(classOf(['10.0.0.64/26', '10.0.0.0/25'], 127), false);
  assert.equal(classOf(['10.0.0.0/25', '10.0.0.0/25'], 128), true);
  assert.equal(classOf(['10.0.0.0/24'], 7), false);
  assert.equal(classOf(['10.0.0.0/8'], 7), false);
  assert.equal(classOf(['10.0.1.0/24'], 7), true);
});

test('addresses are put in order by number, few or millions', () => {
  for (const count of [0, 1, 2, 50, 2 ** 21, 2 ** 21 + 1]) {
    const numbers = Float64Array.from({ length: count }, (_, at) => (at % 2 === 0 ? LAST_4 - at : at));
    const order = orderNumbers(numbers);
    assert.equal(order.length, count);
    const seen = new Uint8Array(count);
    let last = 0;
    for (const at of order) {
      if (seen[at] === 1 || numbers[at]! < last) assert.fail(`${at} of ${count}`);
      seen[at] = 1;
      last = numbers[at]!;
    }
  }
});

test('an exception of one block takes nothing from another', () => {
  const classes = classifyBlocks([
    [{ cidr: '10.0.0.0/8' as Cidr, except: ['10.1.0.0/16' as Cidr] }],
    [{ cidr: '10.1.2.0/24' as Cidr, except: [] }],
  ]);
  const found = classOfAddress(classes.v4, 0x0a010203);
  assert.deepEqual(
    [0, 1].map((block) => classesOfSet(classes, block).includes(found)),
    [false, true],
  );
});

test('hundreds of sets are told apart, and exceptions of the other family except nothing', () => {
  // Set n: its own block, and all blocks of those that it divides.
  const count = 200;
  const cidrOf = (index: number): Cidr => `10.0.${index}.0/24` as Cidr;
  const sets = Array.from({ length: count }, (_, set) =>
    Array.from({ length: count }, (_unused, index) => index)
      .filter((index) => index % (set + 1) === 0)
      .map((index): Block => ({ cidr: cidrOf(index), except: [] })),
  );
  const told = classifyBlocks(sets);
  const classes = sets.map((_, set) => classesOfSet(told, set));
  for (let index = 0; index < count; index++) {
    const found = classOfAddress(told.v4, 0x0a000000 + index * 256 + 7);
    assert.deepEqual(
      classes.map((own) => own.includes(found)),
      sets.map((_, set) => index % (set + 1) === 0),
      `block ${index}`,
    );
  }
  for (const [cidr, except] of [
    ['10.0.0.0/8', '::/0'],
    ['fd00::/8', '0.0.0.0/0'],
  ] as const) {
    const one = classifyBlocks([[{ cidr: cidr as Cidr, except: [except as Cidr] }]]);
    const { family, first } = parseCidr(cidr as Cidr)!;
    assert.equal(classOfAddress(family === 4 ? one.v4 : one.v6, addressKey(family, first)), 1);
  }
});

test('thousands of sets are told apart, each by its own block, some by one that they share', () => {
  const count = 2100;
  const block = (cidr: string): Block => ({ cidr: cidr as Cidr, except: [] });
  const sets = Array.from({ length: count }, (_, set) => [
    block(`10.${set >> 8}.${set & 255}.0/24`),
    ...(set % 3 === 0 ? [block('192.168.0.0/16')] : []),
  ]);
  const told = classifyBlocks(sets);
  assert.equal(told.count, count + 2, 'none, all that share, and each alone');
  const shared = classOfAddress(told.v4, 0xc0a80007);
  for (let set = 0; set < count; set++) {
    const own = classOfAddress(told.v4, 0x0a000007 + set * 256);
    const expected = set % 3 === 0 ? [own, shared] : [own];
    assert.deepEqual(
      classesOfSet(told, set).sort((a, b) => a - b),
      expected.sort((a, b) => a - b),
    );
  }
});

test('intervals that lie beside each other differ, whatever is laid over them', () => {
  const { starts, values } = overlayPoints(
    { starts: [0, 10, 20, 30], values: [1, 1, 2, 2] },
    [
      { key: 10, value: 1 },
      { key: 15, value: 1 },
      { key: 19, value: 2 },
      { key: 25, value: 3 },
    ],
    2 ** 32,
  );
  assert.deepEqual(
    [starts, values],
    [
      [0, 19, 25, 26],
      [1, 2, 3, 2],
    ],
  );
});

test('the window of an IPv6 address is its bits behind the prefix, wherever words end', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(word, word, word, fc.nat(63), fc.integer({ min: 1, max: 16 }), (w0, w1, w2, length, bits) => {
      const all = (BigInt(w0) << 64n) | (BigInt(w1) << 32n) | BigInt(w2);
      const expected = (all >> BigInt(96 - length - bits)) & ((1n << BigInt(bits)) - 1n);
      assert.equal(windowOf(w0, w1, w2, length, bits), Number(expected));
      assert.equal(windowOf(w0 | 0, w1 | 0, w2 | 0, length, bits), Number(expected));
    }),
    { seed, numRuns: runs(300) },
  );
});

test('blocks of one set that touch or overlap make one interval, in either family', () => {
  const set = [
    '10.0.0.0/25',
    '10.0.0.128/25',
    '10.0.0.64/27',
    '0.0.0.0/32',
    'fd00::/17',
    'fd00:8000::/17',
    'fd00::1/128',
  ];
  const { v4, v6, count } = classifyBlocks([set.map((cidr) => ({ cidr: cidr as Cidr, except: [] }))]);
  assert.deepEqual(
    [v4.starts, v4.classes],
    [
      [0, 1, 0x0a000000, 0x0a000100],
      [1, 0, 1, 0],
    ],
  );
  assert.deepEqual(
    [v6.starts, v6.classes],
    [
      [0n, 0xfd00n << 112n, 0xfd01n << 112n],
      [0, 1, 0],
    ],
  );
  assert.equal(count, 2);
});

test('equal sets of blocks are one class, wherever they lie', () => {
  const blocks = Array.from({ length: 50 }, (_, index) => ({ cidr: `10.${index}.0.0/16` as Cidr, except: [] }));
  const { count } = classifyBlocks([[{ cidr: '10.0.0.0/8' as Cidr, except: blocks.map(({ cidr }) => cidr) }]]);
  assert.equal(count, 2, 'in the block, and not');
  assert.equal(classifyBlocks([blocks]).count, 2, 'in a set of many blocks, and not');
});

test('refining keeps together what no set tells apart, and nothing else', () => {
  const members = fc.uniqueArray(fc.nat(29), { maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(members, { maxLength: 10 }),
      fc.array(fc.nat(2), { minLength: 30, maxLength: 30 }),
      (sets, kinds) => {
        const numbers = [...new Set(kinds)];
        const partition = new Partition(Int32Array.from(kinds, (kind) => numbers.indexOf(kind)));
        for (const set of sets) partition.refine(Int32Array.from(set), 0, set.length);
        const signature = (element: number): string =>
          `${kinds[element]}|${sets.map((set) => Number(set.includes(element))).join('')}`;
        const elements = Array.from({ length: 30 }, (_, element) => element);
        for (const a of elements)
          for (const b of elements)
            assert.equal(partition.classOf[a] === partition.classOf[b], signature(a) === signature(b));
        assert.equal(partition.count, new Set(elements.map(signature)).size);
      },
    ),
    { seed, numRuns: runs(100) },
  );
});

function arbitraryIntervals4(): fc.Arbitrary<ValueIntervals> {
  const cut = fc.oneof(
    fc.constantFrom(...CORNERS_4),
    fc.nat(LAST_4),
    fc.nat(65_535).map((high) => high * 65_536),
    fc.nat(600).map((low) => 0x0a000000 + low),
  );
  return fc.array(fc.tuple(cut, fc.nat(5)), { maxLength: 30 }).map((cuts) => {
    const values = new Map([[0, 9], ...cuts]);
    const starts = [...values.keys()].sort((a, b) => a - b);
    return { starts, values: starts.map((start) => values.get(start)!) };
  });
}

function arbitraryBlock(): fc.Arbitrary<Block> {
  const cidr = fc.oneof(
    fc
      .tuple(fc.constantFrom(0x0a000000, 0x0a0000ff, 0, LAST_4, 0x0a010203), fc.integer({ min: 0, max: 32 }))
      .map(([word, length]) => cidrOf(4, [word, 0, 0, 0], length)),
    fc
      .tuple(
        fc.constantFrom(
          [0xfd000000, 0, 0, 1],
          [0xfd000000, 0xffffffff, 0, 0],
          [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
        ),
        fc.integer({ min: 0, max: 128 }),
      )
      .map(([words, length]) => cidrOf(6, words, length)),
  );
  return fc.record({ cidr, except: fc.array(cidr, { maxLength: 3 }) });
}

function cidrOf(family: 4 | 6, words: readonly number[], length: number): Cidr {
  const first = Uint32Array.from(words);
  maskWords(first, length);
  return formatCidr(family, first, length);
}

/** First, last and both neighbours of every block and exception of a family. */
function edgesOf(blocks: readonly Block[], family: 4 | 6): Uint32Array[] {
  const limit = family === 4 ? 2n ** 32n : 1n << 128n;
  const keys = new Set<bigint>([0n, limit - 1n]);
  for (const text of blocks.flatMap(({ cidr, except }) => [cidr, ...except])) {
    const bits = parseCidr(text)!;
    if (bits.family !== family) continue;
    const first = BigInt(addressKey(family, bits.first));
    const last = first + (1n << BigInt((family === 4 ? 32 : 128) - bits.length)) - 1n;
    for (const key of [first - 1n, first, last, last + 1n]) if (key >= 0n && key < limit) keys.add(key);
  }
  return [...keys].map((key) => Uint32Array.from(family === 4 ? [Number(key), 0, 0, 0] : wordsOf(key)));
}

function holds({ cidr, except }: Block, family: 4 | 6, words: Uint32Array): boolean {
  const isIn = (text: Cidr): boolean => {
    const bits = parseCidr(text)!;
    if (bits.family !== family) return false;
    const masked = Uint32Array.from(words);
    maskWords(masked, bits.length);
    return masked.every((word, index) => word === bits.first[index]);
  };
  return isIn(cidr) && !except.some(isIn);
}

function lookUp4(lookup: Lookup4, key: number): number {
  return findEndpoint4(lookup as Program, key);
}

function lookupOf6(
  intervals: ValueIntervals,
  points: readonly (readonly [key: bigint, value: number])[],
): ReturnType<typeof buildLookup6> {
  return buildLookup6(
    intervals,
    Uint32Array.from(points.flatMap(([key]) => wordsOf(key))),
    points.map(([, value]) => value),
  );
}

/** A Program that holds an IPv6 look-up alone. */
function programOf6({ scalars, ...sections }: ReturnType<typeof buildLookup6>): Program {
  const header = new Uint32Array(Header.Size);
  for (const [word, value] of scalars) header[word] = value;
  return { ...sections, header } as unknown as Program;
}

/** The boundaries of random prefixes of /12 to /32, every interval with a value of its own. */
function manyPrefixes4(count: number): ValueIntervals {
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const edges = new Float64Array(count * 2);
  for (let index = 0; index < count; index++) {
    const size = 2 ** (20 - ((random() >>> 16) % 21));
    const first = Math.floor(random() / size) * size;
    edges[index * 2] = first;
    edges[index * 2 + 1] = first + size;
  }
  edges.sort();
  const starts = [0];
  for (const edge of edges) if (edge !== starts.at(-1) && edge < 2 ** 32) starts.push(edge);
  return { starts, values: starts.map((_, index) => index) };
}

function bytesOf(lookup: Lookup4): number {
  return Object.values(lookup as unknown as Record<string, ArrayBufferView>).reduce(
    (sum, own) => sum + own.byteLength,
    0,
  );
}

function around6(key: bigint): bigint[] {
  return [key - 1n, key, key + 1n].filter((own) => own >= 0n && own <= LAST_6);
}

/** The value of an address by looking at every interval. */
function walk({ starts, values }: ValueIntervals, key: AddressKey): number {
  let value = values[0]!;
  starts.forEach((start, index) => {
    if (start <= key) value = values[index]!;
  });
  return value;
}

function around4(key: AddressKey): number[] {
  return [Number(key) - 1, Number(key), Number(key) + 1].filter((near) => near >= 0 && near <= LAST_4);
}

function wordsOf(key: bigint): number[] {
  return [96n, 64n, 32n, 0n].map((shift) => Number((key >> shift) & 0xffffffffn));
}
