/**
 * Groups: connections that agree in who, what and verdict, with their sums. Open addressing over typed arrays, so that a
 * new connection costs a probe and a further record costs four additions. The first groups are reserved: they take the
 * connections beyond the limit, by verdict.
 */
import { Verdict } from '../model/verdict.ts';
import type { Tally } from './result.ts';

/** Fields of a group's key, in 32-bit words. */
export const enum GroupKey {
  Source = 0,
  Destination = 1,
  /** protocol << 17 | port + 1 (0: no port). */
  Port = 2,
  /** ICMP type << 8 | code; -1 elsewhere. */
  Icmp = 3,
  /** Packed decision of the candidate set, and of the baseline (-1 without one). */
  Decision = 4,
  Baseline = 5,
  /** Party of the Service or address that was asked for + 1, << 1 | partial. */
  Flags = 6,
  /** What the rules that decide follow from, see `RuleSets`: connections of one group are decided by the same rules. */
  SourceClass = 7,
  DestinationClass = 8,
  Stride = 9,
}

/** What every record adds to its group: half a cache line each, so that those of thousands of groups stay near. */
export const enum GroupSum {
  Records = 0,
  Bytes = 1,
  FirstUs = 2,
  LastUs = 3,
  Stride = 4,
}

/** What a group has of connections, a cache line each. */
export const enum GroupCount {
  Connections = 0,
  RecordedAllow = 1,
  RecordedDeny = 2,
  RecordedOther = 3,
  /** Verdicts of a cloud firewall, beside those of policies. */
  FirewallAllow = 4,
  FirewallDeny = 5,
  /** What staged policies would have done, as the trace records it. */
  PendingAllow = 6,
  PendingDeny = 7,
  Stride = 8,
}

/** What the tracker keeps for us with each connection: (group + 1) << 6 | what was recorded; 0 = not judged yet. */
export const enum Data {
  GroupShift = 6,
  RecordedMask = 63,
  /** `Recorded`, and above it twice two bits: 1 = a cloud firewall accepted, 2 = rejected; the same of staged policies. */
  PolicyMask = 3,
  FirewallShift = 2,
  PendingShift = 4,
}

/** Groups that stand for connections beyond the limit: partial x baseline x candidate verdict. */
export const OVERFLOW_GROUPS = 18;

/** Groups kept apart unless told otherwise. */
export const DEFAULT_GROUP_LIMIT = 20_000;

/** Groups that one thread of several keeps apart: which ones stay apart in the result is not its to say. */
export const PART_GROUP_LIMIT: number = (1 << 20) - OVERFLOW_GROUPS;

/** The group number of an overflow. */
export function overflowGroup(partial: number, baseline: Verdict, candidate: Verdict): number {
  return partial * 9 + baseline * 3 + candidate;
}

/** The arrays of a group table. */
export interface GroupArrays {
  /** [groups x 9], see `GroupKey`. */
  readonly keys: Int32Array;
  /** [groups x 4], see `GroupSum`. */
  readonly sums: Float64Array;
  /** [groups x 8], see `GroupCount`. */
  readonly counts: Float64Array;
  /** [a power of two] group, or -1. */
  readonly slots: Int32Array;
}

/** Groups with their sums, as whoever only reads them sees a table. */
export type Groups = Pick<GroupTable, 'keys' | 'sums' | 'counts' | 'count'>;

/** Makes larger arrays in place of others: all but the slots keep their contents. */
export type GroupStorage = (groups: number, slots: number, old: GroupArrays | undefined) => GroupArrays;

/** What is summed of groups. */
export type GroupSums = Pick<GroupArrays, 'sums' | 'counts'>;

/** The table; `key` is filled by the caller before `intern`. */
export class GroupTable implements GroupSums {
  readonly key: Int32Array = new Int32Array(GroupKey.Stride);
  count: number = OVERFLOW_GROUPS;
  keys: Int32Array;
  sums: Float64Array;
  counts: Float64Array;
  slots: Int32Array;
  /** Most groups before pooling begins. */
  private readonly limit: number;
  private storage: GroupStorage;
  private groupCapacity: number;
  private slotCapacity: number;

  /** `expected`: groups that there is room for from the beginning. */
  constructor(limit: number, storage: GroupStorage = takeArrays, expected = 1024) {
    this.limit = limit + OVERFLOW_GROUPS;
    this.storage = storage;
    this.groupCapacity = 1024;
    while (this.groupCapacity < expected) this.groupCapacity *= 2;
    this.slotCapacity = this.groupCapacity * 2;
    ({
      keys: this.keys,
      sums: this.sums,
      counts: this.counts,
      slots: this.slots,
    } = storage(this.groupCapacity, this.slotCapacity, undefined));
    this.slots.fill(-1);
    for (let group = 0; group < OVERFLOW_GROUPS; group++) {
      this.keys[group * GroupKey.Stride + GroupKey.Decision] = group % 3;
      this.keys[group * GroupKey.Stride + GroupKey.Baseline] = Math.trunc(group / 3) % 3;
      this.keys[group * GroupKey.Stride + GroupKey.Flags] = Math.trunc(group / 9);
      this.clear(group);
    }
  }

  /**
   * The group of `key`, made where it is new; -1 where it would be one too many. Groups that are made to take others in
   * may use the reserve.
   */
  intern(reserve: 'none' | 'pool' = 'none'): number {
    const { key, keys, slots } = this;
    const mask = slots.length - 1;
    let slot = hashKey(key, 0, GroupKey.Stride) & mask;
    for (let group = slots[slot]!; group >= 0; group = slots[slot]!) {
      const at = group * GroupKey.Stride;
      let word = 0;
      while (word < GroupKey.Stride && keys[at + word] === key[word]) word++;
      if (word === GroupKey.Stride) return group;
      slot = (slot + 1) & mask;
    }
    if (this.count >= this.mostOf(reserve)) return -1;
    const group = this.count++;
    slots[slot] = group;
    if (group === this.groupCapacity) {
      this.groupCapacity *= 2;
      this.renew();
    }
    for (let word = 0; word < GroupKey.Stride; word++) this.keys[group * GroupKey.Stride + word] = key[word]!;
    this.clear(group);
    if (this.count * 2 > this.slotCapacity) this.rehash();
    return group;
  }

  /** True where a new key finds no room outside the reserve. */
  get isFull(): boolean {
    return this.count >= this.limit;
  }

  /** How many groups there may be before `intern` makes the arrays larger, or refuses a new key. */
  room(reserve: 'none' | 'pool'): number {
    return Math.min(this.mostOf(reserve), this.groupCapacity, this.slotCapacity / 2);
  }

  /** The arrays anew, where the storage has moved or more is wanted. */
  private renew(): void {
    const { groupCapacity, slotCapacity } = this;
    ({
      keys: this.keys,
      sums: this.sums,
      counts: this.counts,
      slots: this.slots,
    } = this.storage(groupCapacity, slotCapacity, this));
  }

  /** From now on the groups lie elsewhere; unless told, in arrays of their own. */
  moveTo(storage: GroupStorage = takeArrays): void {
    const { keys, sums, counts, slots } = this;
    this.storage = storage;
    this.renew();
    this.keys.set(keys);
    this.sums.set(sums);
    this.counts.set(counts);
    this.slots.set(slots);
  }

  private mostOf(reserve: 'none' | 'pool'): number {
    return reserve === 'pool' ? this.limit * 2 : this.limit;
  }

  private clear(group: number): void {
    const { sums, counts } = this;
    const at = group * GroupSum.Stride;
    sums.fill(0, at, at + GroupSum.Stride);
    sums.fill(NaN, at + GroupSum.FirstUs, at + GroupSum.LastUs + 1);
    counts.fill(0, group * GroupCount.Stride, (group + 1) * GroupCount.Stride);
  }

  private rehash(): void {
    this.slotCapacity *= 2;
    this.renew();
    const { slots, keys } = this;
    slots.fill(-1);
    const mask = slots.length - 1;
    for (let group = OVERFLOW_GROUPS; group < this.count; group++) {
      let slot = hashKey(keys, group * GroupKey.Stride, GroupKey.Stride) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = group;
    }
  }
}

/** Replaces the parties of a key: both ends and, where there is one, the Service. */
export function mapParties(key: Int32Array, replace: (party: number) => number): void {
  key[GroupKey.Source] = replace(key[GroupKey.Source]!);
  key[GroupKey.Destination] = replace(key[GroupKey.Destination]!);
  mapVia(key, replace);
}

/** Replaces the party that a connection of a key went through, where there is one. */
export function mapVia(key: Int32Array, replace: (party: number) => number): void {
  const via = (key[GroupKey.Flags]! >> 1) - 1;
  if (via >= 0) key[GroupKey.Flags] = ((replace(via) + 1) << 1) | (key[GroupKey.Flags]! & 1);
}

/** Adds what is summed of one group to another. */
export function addSums({ sums, counts }: GroupSums, target: number, more: GroupSums, group: number): void {
  for (let count = 0; count < GroupCount.Stride; count++)
    counts[target * GroupCount.Stride + count]! += more.counts[group * GroupCount.Stride + count]!;
  const to = target * GroupSum.Stride;
  const from = group * GroupSum.Stride;
  sums[to + GroupSum.Records]! += more.sums[from + GroupSum.Records]!;
  sums[to + GroupSum.Bytes]! += more.sums[from + GroupSum.Bytes]!;
  const first = more.sums[from + GroupSum.FirstUs]!;
  const last = more.sums[from + GroupSum.LastUs]!;
  // NaN compares false: what has no time changes nothing, and the first time is always taken.
  if (first === first && !(sums[to + GroupSum.FirstUs]! <= first)) sums[to + GroupSum.FirstUs] = first;
  if (last === last && !(sums[to + GroupSum.LastUs]! >= last)) sums[to + GroupSum.LastUs] = last;
}

/** Writes a group over another one, which may be of another table. */
export function copyGroup(groups: Groups, target: number, more: Groups, group: number): void {
  for (let word = 0; word < GroupKey.Stride; word++)
    groups.keys[target * GroupKey.Stride + word] = more.keys[group * GroupKey.Stride + word]!;
  for (let sum = 0; sum < GroupSum.Stride; sum++)
    groups.sums[target * GroupSum.Stride + sum] = more.sums[group * GroupSum.Stride + sum]!;
  for (let count = 0; count < GroupCount.Stride; count++)
    groups.counts[target * GroupCount.Stride + count] = more.counts[group * GroupCount.Stride + count]!;
}

/** Of two counts of a group, what was let through and what was denied, the first. */
export function allowedCount({ counts }: GroupSums, group: number, allow: GroupCount): number {
  return Math.max(0, counts[group * GroupCount.Stride + allow]!);
}

/** The other one: denials of connections that no row has let through are none more than those that there are. */
export function deniedCount({ counts }: GroupSums, group: number, allow: GroupCount): number {
  const at = group * GroupCount.Stride + allow;
  return counts[at + 1]! + Math.min(0, counts[at]!);
}

/** Adds a group to sums of connections, records and bytes, the one of number `cell`. */
export function addTally(cells: Float64Array, cell: number, { sums, counts }: GroupSums, group: number): void {
  cells[cell * 3]! += counts[group * GroupCount.Stride + GroupCount.Connections]!;
  cells[cell * 3 + 1]! += sums[group * GroupSum.Stride + GroupSum.Records]!;
  cells[cell * 3 + 2]! += sums[group * GroupSum.Stride + GroupSum.Bytes]!;
}

/** A sum that `addTally` has made. */
export function readTally(cells: Float64Array, cell: number): Tally {
  return { connections: cells[cell * 3]!, records: cells[cell * 3 + 1]!, bytes: cells[cell * 3 + 2]! };
}

function takeArrays(groups: number, slots: number, old: GroupArrays | undefined): GroupArrays {
  const keys = new Int32Array(groups * GroupKey.Stride);
  const sums = new Float64Array(groups * GroupSum.Stride);
  const counts = new Float64Array(groups * GroupCount.Stride);
  if (old === undefined) return { keys, sums, counts, slots: new Int32Array(slots) };
  keys.set(old.keys);
  sums.set(old.sums);
  counts.set(old.counts);
  return { keys, sums, counts, slots: slots === old.slots.length ? old.slots : new Int32Array(slots) };
}

/** A hash of the words from `offset` on, so many. */
export function hashKey(words: Int32Array, offset: number, length: number): number {
  let hash = 0x9e3779b9;
  for (let word = offset; word < offset + length; word++) {
    hash = Math.imul(hash ^ words[word]!, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return hash;
}
