/**
 * ipBlocks to classes of addresses. What a rule admits of addresses is one set, the union of its blocks; the boundaries of all
 * sets cut each family into intervals, and intervals that the same sets contain are one class: a rule of a thousand blocks makes
 * one class, not a thousand. `except` ranges are cut out of their own block only: they deny nothing elsewhere (NP-21).
 */
import { type CidrBits, parseCidr } from '../model/cidr.ts';
import type { Cidr } from '../model/cidr.ts';
import { grow, ListStore } from './list.ts';

/** IPv4 as a number, IPv6 as a bigint: compile time only. */
export type AddressKey = number | bigint;

/** A set of addresses of one family: a block less its exceptions. */
export interface Block {
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}

/** Sorted disjoint intervals of one family; interval `i` runs from `starts[i]` to `starts[i + 1]` and is of class `classes[i]`. */
export interface Intervals {
  readonly starts: readonly AddressKey[];
  readonly classes: readonly number[];
}

/** Address classes of a list of sets of blocks. Class 0 lies in no set. */
export interface BlockClasses {
  readonly count: number;
  readonly v4: Intervals;
  readonly v6: Intervals;
  /**
   * The classes that lie in a set, each once, as pairs of the first of a range and the one behind its last. Valid until the next
   * call.
   */
  rangesOfSet(set: number): Int32Array;
}

/** The order of addresses of one family, for sorting. */
export function compareKeys(a: AddressKey, b: AddressKey): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The class of an address. */
export function classOfAddress(intervals: Intervals, key: AddressKey): number {
  return intervals.classes[indexOfAddress(intervals.starts, key)]!;
}

/** The index of the last start that is not beyond `key`; starts[0] is 0. */
export function indexOfAddress(starts: readonly AddressKey[], key: AddressKey): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= key) low = middle;
    else high = middle;
  }
  return low;
}

/** Cuts both families along sets of blocks. */
export function classifyBlocks(sets: readonly (readonly Block[])[]): BlockClasses {
  const [blocks4, blocks6] = readBlocks(sets);
  const signatures = new Signatures(sets.length);
  const v4 = cut(listEvents(blocks4, firstOf4, behindOf4, 2 ** 32), signatures);
  // IPv6 goes by the ranks of its addresses: they are numbers, as those of IPv4 are.
  const cidrs6 = blocks6.flatMap(({ block, holes }) => [block, ...holes]);
  const places = [...new Set([0n, ...cidrs6.map(firstOf6), ...cidrs6.map(behindOf6)])].sort(compareKeys);
  const rankOf = new Map(places.map((place, rank) => [place, rank]));
  const first = (bits: CidrBits): number => rankOf.get(firstOf6(bits))!;
  const behind = (bits: CidrBits): number => rankOf.get(behindOf6(bits))!;
  const ranked = cut(listEvents(blocks6, first, behind, rankOf.get(END_6) ?? Infinity), signatures);
  const v6 = { ...ranked, starts: ranked.starts.map((rank) => places[rank]!) };
  let ranges: Int32Array = new Int32Array(64);
  return {
    count: signatures.count,
    v4,
    v6,
    rangesOfSet(set) {
      let length = 0;
      for (const { runs, firstRun, known } of [v4, v6])
        for (let run = firstRun[set]!; run >= 0; run = runs[run * 3 + 2]!) {
          // Classes that a run is the first to meet have numbers in a row, and the first that meets one is a run of each of its sets.
          ranges = grow(ranges, length + 2);
          ranges[length++] = known[runs[run * 3]!]!;
          ranges[length++] = known[runs[run * 3 + 1]!]!;
        }
      return ranges.subarray(0, length);
    },
  };
}

/** The key of an address in words. */
export function addressKey(family: 4 | 6, words: ArrayLike<number>): AddressKey {
  if (family === 4) return words[0]! >>> 0;
  let key = 0n;
  for (let word = 0; word < 4; word++) key = (key << 32n) | BigInt(words[word]! >>> 0);
  return key;
}

const END_6 = 1n << 128n;

/** A block of a set in bits, with those of its exceptions that are of its family. */
interface BlockBits {
  readonly set: number;
  readonly block: CidrBits;
  readonly holes: readonly CidrBits[];
}

/** Nodes below one. */
const BRANCHES = 8;

/**
 * Numbers for sets of sets, one set coming or going at a time. The bits of all sets are the leaves of a tree in which equal parts are
 * one node, so that a change costs a path, not the set, and equal nodes are equal sets for certain.
 */
class Signatures {
  readonly setCount: number;
  private readonly nodes = new ListStore();
  /** From the bits, 32 a word, up to one node. */
  private readonly levels: Int32Array[] = [];
  private readonly below = new Int32Array(BRANCHES);
  private readonly classOfRoot = new Map<number, number>();

  constructor(setCount: number) {
    this.setCount = setCount;
    // Nothing is in: eight empty words are node 0, and so are eight nodes 0, all the way up.
    this.nodes.intern(this.below, BRANCHES);
    for (let width = Math.ceil(setCount / 32); ; width /= BRANCHES) {
      const length = Math.ceil(width);
      this.levels.push(new Int32Array(Math.ceil(length / BRANCHES) * BRANCHES));
      if (length <= 1) break;
    }
    this.number();
  }

  /** Classes so far. */
  get count(): number {
    return this.classOfRoot.size;
  }

  /** A set comes or goes. */
  toggle(set: number): void {
    const { levels, below } = this;
    let at = set >>> 5;
    levels[0]![at]! ^= 1 << (set & 31);
    for (let level = 1; level < levels.length; level++) {
      const children = levels[level - 1]!;
      at = Math.floor(at / BRANCHES);
      for (let branch = 0; branch < BRANCHES; branch++) below[branch] = children[at * BRANCHES + branch]!;
      levels[level]![at] = this.nodes.intern(below, BRANCHES);
    }
  }

  /** The number of the sets that are in; 0: none. */
  number(): number {
    const root = this.levels.at(-1)![0]!;
    let id = this.classOfRoot.get(root);
    if (id === undefined) this.classOfRoot.set(root, (id = this.classOfRoot.size));
    return id;
  }
}

/** Blocks of sets begin (1) or have ended (-1) at addresses. */
interface Events {
  readonly starts: number[];
  readonly sets: number[];
  readonly steps: (1 | -1)[];
}

/** Numbers below 2^32 by their indexes, in their order. Below 2^21 of them a number holds both. */
export function orderNumbers(numbers: ArrayLike<number>): Int32Array {
  const scale = 2 ** 21;
  const order = new Int32Array(numbers.length);
  if (numbers.length > scale) {
    for (let index = 0; index < order.length; index++) order[index] = index;
    return order.sort((a, b) => numbers[a]! - numbers[b]!);
  }
  const keys = new Float64Array(numbers.length);
  for (let index = 0; index < keys.length; index++) keys[index] = numbers[index]! * scale + index;
  keys.sort();
  for (let at = 0; at < keys.length; at++) order[at] = keys[at]! % scale;
  return order;
}

/** Intervals, with the runs of them that lie in each set. */
interface Cut {
  readonly starts: readonly number[];
  readonly classes: readonly number[];
  /** Triples of first interval, the one behind the last, next run of the set or -1. */
  readonly runs: readonly number[];
  /** [sets] a run of the set; -1: none. */
  readonly firstRun: Int32Array;
  /** [intervals + 1] the lowest class that had no number yet: classes are numbered in the order of their first interval. */
  readonly known: Int32Array;
}

function cut({ starts: keys, sets, steps }: Events, signatures: Signatures): Cut {
  const order = orderNumbers(keys);
  const starts = [0];
  const firstNew = signatures.count;
  const classes: number[] = [0];
  const runs: number[] = [];
  const firstRun = new Int32Array(signatures.setCount).fill(-1);
  // How many blocks of each set hold the addresses at hand, and since which interval.
  const depths = new Int32Array(signatures.setCount);
  const since = new Int32Array(signatures.setCount).fill(-1);
  for (let index = 0; index < order.length;) {
    const at = keys[order[index]!]!;
    const first = index;
    for (; keys[order[index]!] === at; index++) depths[sets[order[index]!]!]! += steps[order[index]!]!;
    const interval = at === 0 ? 0 : starts.length;
    let isChanged = false;
    for (let own = first; own < index; own++) {
      const set = sets[order[own]!]!;
      if (depths[set]! > 0 === since[set]! >= 0) continue;
      isChanged = true;
      signatures.toggle(set);
      if (depths[set]! > 0) since[set] = interval;
      else close(set, interval);
    }
    if (!isChanged) continue;
    starts[interval] = at;
    classes[interval] = signatures.number();
  }
  // What lasts to the end of the family.
  for (let set = 0; set < since.length; set++)
    if (since[set]! >= 0) {
      signatures.toggle(set);
      close(set, starts.length);
    }
  const known = new Int32Array(classes.length + 1).fill(firstNew);
  for (let at = 0; at < classes.length; at++) known[at + 1] = Math.max(known[at]!, classes[at]! + 1);
  return { starts, classes, runs, firstRun, known };

  function close(set: number, interval: number): void {
    firstRun[set] = runs.push(since[set]!, interval, firstRun[set]!) / 3 - 1;
    since[set] = -1;
  }
}

/** The blocks of all sets, IPv4 and IPv6 (NP-22). */
function readBlocks(sets: readonly (readonly Block[])[]): readonly [BlockBits[], BlockBits[]] {
  const read: readonly [BlockBits[], BlockBits[]] = [[], []];
  for (let set = 0; set < sets.length; set++)
    for (let at = 0; at < sets[set]!.length; at++) {
      const { cidr, except } = sets[set]![at]!;
      const block = parseCidr(cidr);
      if (block === undefined) continue;
      const holes: CidrBits[] = [];
      for (let hole = 0; hole < except.length; hole++) {
        const bits = parseCidr(except[hole]!);
        if (bits?.family === block.family) holes.push(bits);
      }
      read[block.family === 4 ? 0 : 1].push({ set, block, holes });
    }
  return read;
}

/** NP-20: the disjoint ranges of blocks less their exceptions, in order, as events. What lasts to `limit` does not end. */
function listEvents(
  blocks: readonly BlockBits[],
  firstOf: (bits: CidrBits) => number,
  behindOf: (bits: CidrBits) => number,
  limit: number,
): Events {
  const events: Events = { starts: [], sets: [], steps: [] };
  for (let at = 0; at < blocks.length; at++) {
    const { set, block, holes } = blocks[at]!;
    let start = firstOf(block);
    const end = behindOf(block);
    if (holes.length > 0)
      for (const hole of holes.toSorted((a, b) => firstOf(a) - firstOf(b))) {
        const first = firstOf(hole);
        const behind = behindOf(hole);
        if (behind <= start || first >= end) continue;
        if (first > start) add(set, start, first);
        start = behind;
      }
    if (start < end) add(set, start, end);
  }
  return events;

  function add(set: number, start: number, end: number): void {
    push(set, start, 1);
    if (end < limit) push(set, end, -1);
  }

  function push(set: number, at: number, step: 1 | -1): void {
    events.starts.push(at);
    events.sets.push(set);
    events.steps.push(step);
  }
}

function firstOf4({ first }: CidrBits): number {
  return first[0]!;
}

function behindOf4({ first, length }: CidrBits): number {
  return first[0]! + 2 ** (32 - length);
}

function firstOf6({ first }: CidrBits): bigint {
  return addressKey(6, first) as bigint;
}

function behindOf6({ first, length }: CidrBits): bigint {
  return firstOf6({ family: 6, first, length }) + (1n << BigInt(128 - length));
}
