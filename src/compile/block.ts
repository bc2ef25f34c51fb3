/**
 * ipBlocks to classes of addresses. What a rule admits of addresses is one set, the union of its blocks; the boundaries of all
 * sets cut each family into intervals, and intervals that the same sets contain are one class: a rule of a thousand blocks makes
 * one class, not a thousand. `except` ranges are cut out of their own block only: they deny nothing elsewhere (NP-21).
 */
import { type CidrBits, parseCidr } from '../model/cidr.ts';
import type { Cidr } from '../model/cidr.ts';

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
  /** [sets] the classes that lie in each set, ascending. */
  readonly classesOfSet: readonly Int32Array[];
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
  const classes = createClasses();
  const events: readonly [Event[], Event[]] = [[], []];
  sets.forEach((blocks, set) => {
    for (const block of blocks) addEvents(block, set, events);
  });
  const v4 = cut(events[0], 0, sets.length, classes.intern);
  const v6 = cut(events[1], 0n, sets.length, classes.intern);
  return { count: classes.members.length, v4, v6, classesOfSet: invert(classes.members, sets.length) };
}

/** [sets] the classes whose members have the set. Wide blocks hold thousands of classes: one array for all of them. */
function invert(members: readonly Int32Array[], setCount: number): Int32Array[] {
  const starts = new Int32Array(setCount + 1);
  for (const list of members) for (let at = 0; at < list.length; at++) starts[list[at]! + 1]!++;
  for (let set = 0; set < setCount; set++) starts[set + 1]! += starts[set]!;
  const ends = starts.slice();
  const classes = new Int32Array(starts[setCount]!);
  members.forEach((list, id) => {
    for (let at = 0; at < list.length; at++) classes[ends[list[at]!]!++] = id;
  });
  return Array.from({ length: setCount }, (_, set) => classes.subarray(starts[set]!, starts[set + 1]!));
}

/** The key of an address in words. */
export function addressKey(family: 4 | 6, words: ArrayLike<number>): AddressKey {
  if (family === 4) return words[0]! >>> 0;
  let key = 0n;
  for (let word = 0; word < 4; word++) key = (key << 32n) | BigInt(words[word]! >>> 0);
  return key;
}

const END_6 = 1n << 128n;

interface Range {
  readonly start: AddressKey;
  readonly end: AddressKey;
}

/** Interns lists of set numbers; equality is checked on the sets themselves, the hash only finds candidates. */
function createClasses(): { members: Int32Array[]; intern: (active: ReadonlySet<number>, hash: number) => number } {
  const members: Int32Array[] = [new Int32Array(0)];
  const byHash = new Map<number, number[]>([[0, [0]]]);
  return {
    members,
    intern(active, hash) {
      const candidates = byHash.get(hash) ?? [];
      for (const id of candidates) if (members[id]!.length === active.size && isSubset(members[id]!, active)) return id;
      const list = new Int32Array(active.size);
      let used = 0;
      active.forEach((set) => (list[used++] = set));
      const id = members.push(list) - 1;
      byHash.set(hash, [...candidates, id]);
      return id;
    },
  };
}

function isSubset(list: Int32Array, set: ReadonlySet<number>): boolean {
  for (let at = 0; at < list.length; at++) if (!set.has(list[at]!)) return false;
  return true;
}

/** A block of a set begins (1) or has ended (-1) at an address. */
interface Event {
  readonly at: AddressKey;
  readonly set: number;
  readonly step: 1 | -1;
}

function cut(
  events: Event[],
  zero: AddressKey,
  setCount: number,
  intern: (active: ReadonlySet<number>, hash: number) => number,
): Intervals {
  events.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const starts: AddressKey[] = [zero];
  const classes: number[] = [0];
  // How many blocks of each set hold the addresses at hand.
  const depths = new Int32Array(setCount);
  const active = new Set<number>();
  let hash = 0;
  for (let index = 0; index < events.length;) {
    const { at } = events[index]!;
    const first = index;
    for (; index < events.length && events[index]!.at === at; index++)
      depths[events[index]!.set]! += events[index]!.step;
    for (let own = first; own < index; own++) {
      const { set } = events[own]!;
      if (depths[set]! > 0 === active.has(set)) continue;
      if (!active.delete(set)) active.add(set);
      hash ^= mix(set);
    }
    const id = intern(active, hash);
    if (at === zero) classes[0] = id;
    else if (id !== classes.at(-1)) {
      starts.push(at);
      classes.push(id);
    }
  }
  return { starts, classes };
}

/** NP-20: the disjoint ranges of a block less its exceptions, in order, as events of its family (NP-22). */
function addEvents({ cidr, except }: Block, set: number, events: readonly [Event[], Event[]]): void {
  const bits = parseCidr(cidr);
  if (bits === undefined) return;
  const list = events[bits.family === 4 ? 0 : 1]!;
  const limit = bits.family === 4 ? 2 ** 32 : END_6;
  const add = (start: AddressKey, end: AddressKey): void => {
    list.push({ at: start, set, step: 1 });
    if (end < limit) list.push({ at: end, set, step: -1 });
  };
  const whole = rangeOf(bits);
  let { start } = whole;
  if (except.length > 0) {
    const holes = except
      .map(parseCidr)
      .filter((hole): hole is CidrBits => hole !== undefined && hole.family === bits.family)
      .map(rangeOf)
      .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    for (const hole of holes) {
      if (hole.end <= start || hole.start >= whole.end) continue;
      if (hole.start > start) add(start, hole.start);
      start = hole.end;
    }
  }
  if (start < whole.end) add(start, whole.end);
}

function rangeOf({ family, first, length }: CidrBits): Range {
  const start = addressKey(family, first);
  return family === 4
    ? { start, end: (start as number) + 2 ** (32 - length) }
    : { start, end: (start as bigint) + (1n << BigInt(128 - length)) };
}

/** A fixed 32-bit scramble of a small number (the finaliser of MurmurHash3). */
function mix(value: number): number {
  let hash = Math.imul(value + 0x9e3779b9, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
