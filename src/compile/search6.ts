/**
 * IPv6 look-up: single addresses in an exact table, intervals by a search. Almost every address of a trace is a pod's or a
 * node's and is found by one probe; the rest goes through root6, which indexes the bits after the prefix that all interval
 * starts share, to a search without branches over four words.
 */
import type { AddressKey } from './block.ts';
import { hashAddress6, Header, windowOf } from './layout.ts';
import type { ValueIntervals } from './trie.ts';

/** The sections of the IPv6 look-up, and the header words that go with them. */
export interface Lookup6 {
  /** [2^bits + 1] the interval that holds the first address of each slot; the last entry is the last interval. */
  readonly root6: Uint32Array;
  /** [intervals x 4] first address of each interval, sorted; the sign bit of each word is flipped, so that they order as i32. */
  readonly starts6: Int32Array;
  readonly values6: Int32Array;
  /** [slots x 4] the words of an address, open addressing. */
  readonly hosts6: Int32Array;
  /** [slots] endpoint; -1 marks an empty slot. */
  readonly hostValues6: Int32Array;
  readonly scalars: ReadonlyMap<Header, number>;
}

const ROOT_BITS_MAX = 16;
/** The window behind the prefix must end within the first 96 bits. */
const PREFIX_MAX = 63;

/** Builds the look-up of intervals with single addresses laid over them: `words` of four for each of `values`, distinct. */
export function buildLookup6(intervals: ValueIntervals, words: Uint32Array, values: ArrayLike<number>): Lookup6 {
  const starts = intervals.starts.map((key) => wordsOf(key));
  const starts6 = new Int32Array(starts.length * 4);
  starts.forEach((start, index) => starts6.set(start.map(flip), index * 4));
  return {
    ...buildRoot(starts),
    starts6,
    values6: Int32Array.from(intervals.values),
    ...buildHosts(words, values),
  };
}

function buildRoot(starts: readonly Uint32Array[]): { root6: Uint32Array; scalars: ReadonlyMap<Header, number> } {
  const count = starts.length;
  const low = starts[1] ?? new Uint32Array(4);
  const high = count > 1 ? starts[count - 1]! : low;
  const length = count > 1 ? Math.min(PREFIX_MAX, sharedBits(low, high)) : 0;
  const bits = Math.max(1, Math.min(ROOT_BITS_MAX, Math.ceil(Math.log2(count + 1)) + 2));
  const mask = [maskWord(length), maskWord(length - 32)] as const;
  const root6 = new Uint32Array(2 ** bits + 1);
  let index = 0;
  for (let slot = 0; slot < 2 ** bits; slot++) {
    // The slot's first address has the prefix, the slot's bits and zeros.
    while (index + 1 < count && isWithin(starts[index + 1]!, slot)) index++;
    root6[slot] = index;
  }
  root6[2 ** bits] = count - 1;
  return {
    root6,
    scalars: new Map<Header, number>([
      [Header.Prefix6Length, length],
      [Header.Root6Bits, bits],
      [Header.Prefix6Word0, (low[0]! & mask[0]) >>> 0],
      [Header.Prefix6Word1, (low[1]! & mask[1]) >>> 0],
      [Header.Mask6Word0, mask[0] >>> 0],
      [Header.Mask6Word1, mask[1] >>> 0],
    ]),
  };

  /** Is a start at or before the first address of a slot? */
  function isWithin(words: Uint32Array, slot: number): boolean {
    const own = windowOf(words[0]!, words[1]!, words[2]!, length, bits);
    return own < slot || (own === slot && !hasBitsBehind(words, length + bits));
  }
}

function buildHosts(words: Uint32Array, values: ArrayLike<number>): { hosts6: Int32Array; hostValues6: Int32Array } {
  let size = 2;
  while (size < values.length * 2) size *= 2;
  const hosts6 = new Int32Array(size * 4);
  const hostValues6 = new Int32Array(size).fill(-1);
  for (let point = 0; point < values.length; point++) {
    const from = point * 4;
    let slot = hashAddress6(words[from]!, words[from + 1]!, words[from + 2]!, words[from + 3]!) & (size - 1);
    while (hostValues6[slot]! >= 0) slot = (slot + 1) & (size - 1);
    for (let word = 0; word < 4; word++) hosts6[slot * 4 + word] = words[from + word]!;
    hostValues6[slot] = values[point]!;
  }
  return { hosts6, hostValues6 };
}

function wordsOf(key: AddressKey): Uint32Array {
  const wide = BigInt(key);
  return Uint32Array.of(
    Number(wide >> 96n),
    Number((wide >> 64n) & 0xffffffffn),
    Number((wide >> 32n) & 0xffffffffn),
    Number(wide & 0xffffffffn),
  );
}

function flip(word: number): number {
  return word ^ 0x80000000;
}

/** A word whose first `length` bits are set; `length` may lie outside of 0 to 32. */
function maskWord(length: number): number {
  return length <= 0 ? 0 : length >= 32 ? -1 : -1 << (32 - length);
}

function sharedBits(a: Uint32Array, b: Uint32Array): number {
  for (let word = 0; word < 4; word++) if (a[word] !== b[word]) return word * 32 + Math.clz32(a[word]! ^ b[word]!);
  return 128;
}

/** Is any bit set behind the first `length`? */
function hasBitsBehind(words: Uint32Array, length: number): boolean {
  return words.some((word, index) => (word & ~maskWord(length - index * 32)) !== 0);
}
