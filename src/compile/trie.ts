/**
 * IPv4 look-up, in one of two forms over the same intervals. The trie is branch-free, three loads; equal blocks are shared, and
 * a /24 of one value is one cell, so that what is often asked for lies in few lines of the cache. Where its blocks would pass
 * `TRIE_BYTES_MAX`, fragments: the first 16 bits of the address give a run of 16-bit starts, searched without branches; six
 * bytes an interval.
 *
 *   trie       m = mid4[root4[a >>> 16] + ((a >>> 8) & 255)]: leaf4[(m >>> TrieCell.Shift) + (a & m & TrieCell.Mask)]
 *   fragments  the last i of root4[a >>> 16] .. root4[(a >>> 16) + 1] with starts4[i] <= a & 0xffff; values4[i]
 *
 * Root and mid hold offsets and are 32 bits wide: 16-bit block numbers would alias beyond 32,767 blocks. Of mid's 24 bits are the
 * offset, four times what `TRIE_BYTES_MAX` allows.
 */
import type { AddressKey } from './block.ts';
import { TrieCell } from './layout.ts';
import { ListStore } from './list.ts';

/** Sorted disjoint intervals with the value of each; the first starts at 0. */
export interface ValueIntervals {
  readonly starts: readonly AddressKey[];
  readonly values: readonly number[];
}

/** The sections of either form; those of the other are empty. */
export interface Lookup4 {
  /** Trie: [65,536] offsets into mid4. Fragments: [65,537] the first interval of each run. */
  readonly root4: Int32Array;
  readonly mid4: Int32Array;
  readonly leaf4: Int32Array;
  readonly starts4: Uint16Array;
  readonly values4: Int32Array;
}

/**
 * Most bytes of a trie's mid and leaf blocks. With Zipf's addresses a trie of 10,000 random prefixes (11 MiB) is twice as fast as
 * fragments (0.7 MiB): 202 against 98 million look-ups a second.
 */
export const TRIE_BYTES_MAX: number = 16 * 2 ** 20;

const CELLS = 256;
const BLOCK_BYTES = CELLS * 4;

/** Lays single addresses over intervals: each point becomes an interval of one address. Points are sorted, distinct. */
export function overlayPoints(
  intervals: ValueIntervals,
  points: readonly { readonly key: AddressKey; readonly value: number }[],
  limit: AddressKey,
): ValueIntervals {
  const starts: AddressKey[] = [];
  const values: number[] = [];
  let point = 0;
  const push = (start: AddressKey, value: number): void => {
    if (values.at(-1) === value) return;
    starts.push(start);
    values.push(value);
  };
  intervals.starts.forEach((first, index) => {
    let start = first;
    const end = intervals.starts[index + 1] ?? limit;
    for (; point < points.length && points[point]!.key < end; point++) {
      const { key, value } = points[point]!;
      if (key > start) push(start, intervals.values[index]!);
      push(key, value);
      start = successor(key);
    }
    if (start < end) push(start, intervals.values[index]!);
  });
  return { starts, values };
}

/** Builds the form that suits: the trie, or fragments where it would be large. */
export function buildLookup4(intervals: ValueIntervals): Lookup4 {
  return trieBytes(intervals) > TRIE_BYTES_MAX ? buildFragments4(intervals) : buildTrie4(intervals);
}

/** Builds the trie of IPv4 intervals. */
export function buildTrie4({ starts, values }: ValueIntervals): Lookup4 {
  const middles = new Int32Array(CELLS);
  const lows = new Int32Array(CELLS);
  // Blocks by number, each content once; a /24 of one value is a single cell, numbered too.
  const mids = new ListStore();
  const leaves = new ListStore();
  const singles = new Map<number, number>();
  let index = 0;
  const root4 = lay(new Int32Array(65_536), 0, 65_536, whole16, cut16);
  // Single cells lie ahead of the blocks, whose offsets are known now.
  const room = Math.ceil(singles.size / CELLS) * CELLS;
  const blocks = leaves.all();
  const leaf4 = new Int32Array(room + blocks.length);
  leaf4.set([...singles.keys()]);
  leaf4.set(blocks, room);
  return {
    root4,
    mid4: mids.all().map((cell) => ((cell & TrieCell.Mask) === 0 ? cell : cell + (room << TrieCell.Shift))),
    leaf4,
    starts4: new Uint16Array(0),
    values4: new Int32Array(0),
  };

  /** Fills cells of `width` addresses each from `base` on, a run of cells at a time: an interval mostly goes on. */
  function lay(
    cells: Int32Array,
    base: number,
    width: number,
    whole: (value: number) => number,
    cut: (from: number) => number,
  ): Int32Array {
    for (let at = 0; at < cells.length;) {
      const from = base + at * width;
      while ((starts[index + 1] as number) <= from) index++;
      const until = Math.floor((Number(starts[index + 1] ?? 2 ** 32) - base) / width);
      if (until > at) cells.fill(whole(values[index]!), at, until);
      else cells[at] = cut(from);
      at = Math.max(until, at + 1);
    }
    return cells;
  }

  function whole16(value: number): number {
    return mids.intern(middles.fill(single(value)), CELLS) * CELLS;
  }

  function cut16(from: number): number {
    return mids.intern(lay(middles, from, CELLS, single, cut24), CELLS) * CELLS;
  }

  function cut24(from: number): number {
    return ((leaves.intern(lay(lows, from, 1, itself, itself), CELLS) * CELLS) << TrieCell.Shift) | TrieCell.Mask;
  }

  function single(value: number): number {
    let cell = singles.get(value);
    if (cell === undefined) singles.set(value, (cell = singles.size));
    return cell << TrieCell.Shift;
  }

  function itself(value: number): number {
    return value;
  }
}

/** Builds the fragments of IPv4 intervals. Every run has at least one interval, and its first start is 0. */
export function buildFragments4({ starts, values }: ValueIntervals): Lookup4 {
  const root4 = new Int32Array(65_537);
  // An interval gives a start to its own run, and one more to each run that it is open at the beginning of.
  const starts4 = new Uint16Array(starts.length + 65_536);
  const values4 = new Int32Array(starts.length + 65_536);
  let used = 0;
  let index = 0;
  for (let high = 0; high < 65_536; high++) {
    const base = high * 65_536;
    root4[high] = used;
    while ((starts[index + 1] as number) <= base) index++;
    values4[used++] = values[index]!;
    while ((starts[index + 1] as number) < base + 65_536) {
      index++;
      starts4[used] = (starts[index] as number) - base;
      values4[used++] = values[index]!;
    }
  }
  root4[65_536] = used;
  return {
    root4,
    mid4: new Int32Array(0),
    leaf4: new Int32Array(0),
    starts4: starts4.slice(0, used),
    values4: values4.slice(0, used),
  };
}

/**
 * What a trie's blocks take at most: one for each /16 and each /24 that is cut, one for each value that fills a /16 whole, and a
 * cell for each that fills a /24. Cut blocks that are equal are counted twice.
 */
function trieBytes({ starts, values }: ValueIntervals): number {
  const whole24 = new Set<number>();
  const whole16 = new Set<number>();
  let cuts = 0;
  let high = -1;
  let middle = -1;
  for (let index = 0; index < starts.length; index++) {
    const start = starts[index] as number;
    const end = Number(starts[index + 1] ?? 2 ** 32);
    if (start % 65_536 !== 0 && Math.floor(start / 65_536) !== high) {
      high = Math.floor(start / 65_536);
      cuts++;
    }
    if (start % CELLS !== 0 && Math.floor(start / CELLS) !== middle) {
      middle = Math.floor(start / CELLS);
      cuts++;
    }
    if (Math.ceil(start / CELLS) < Math.floor(end / CELLS)) whole24.add(values[index]!);
    if (Math.ceil(start / 65_536) < Math.floor(end / 65_536)) whole16.add(values[index]!);
  }
  return (cuts + whole16.size + Math.ceil(whole24.size / CELLS)) * BLOCK_BYTES;
}

function successor(key: AddressKey): AddressKey {
  return typeof key === 'number' ? key + 1 : key + 1n;
}
