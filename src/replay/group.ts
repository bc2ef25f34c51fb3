/**
 * Groups: connections that agree in who, what and verdict, with their sums. Open addressing over typed arrays, so that a
 * new connection costs a probe and a further record costs four additions. The first groups are reserved: they take the
 * connections beyond the limit, by verdict.
 */
import { Verdict } from '../model/verdict.ts';

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
  /** Party of the Service that was asked for + 1, << 1 | partial. */
  Flags = 6,
  Stride = 8,
}

/** Sums of a group. */
export const enum GroupSum {
  Connections = 0,
  Records = 1,
  Bytes = 2,
  FirstUs = 3,
  LastUs = 4,
  RecordedAllow = 5,
  RecordedDeny = 6,
  RecordedOther = 7,
  /** Verdicts of a cloud firewall, beside those of policies. */
  FirewallAllow = 8,
  FirewallDeny = 9,
  /** What staged policies would have done, as the trace records it. */
  PendingAllow = 10,
  PendingDeny = 11,
  Stride = 12,
}

/** Groups that stand for connections beyond the limit: partial x baseline x candidate verdict. */
export const OVERFLOW_GROUPS = 18;

/** The group number of an overflow. */
export function overflowGroup(partial: number, baseline: Verdict, candidate: Verdict): number {
  return partial * 9 + baseline * 3 + candidate;
}

/** The table; `key` is filled by the caller before `intern`. */
export class GroupTable {
  readonly key: Int32Array = new Int32Array(GroupKey.Stride);
  count: number = OVERFLOW_GROUPS;
  keys: Int32Array = new Int32Array(1024 * GroupKey.Stride);
  sums: Float64Array = new Float64Array(1024 * GroupSum.Stride);
  private slots = new Int32Array(2048).fill(-1);
  /** Most groups before pooling begins. */
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit + OVERFLOW_GROUPS;
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
    let slot = hashKey(key, 0) & mask;
    for (let group = slots[slot]!; group >= 0; group = slots[slot]!) {
      const at = group * GroupKey.Stride;
      let word = 0;
      while (word < GroupKey.Stride && keys[at + word] === key[word]) word++;
      if (word === GroupKey.Stride) return group;
      slot = (slot + 1) & mask;
    }
    if (this.count >= (reserve === 'pool' ? this.limit * 2 : this.limit)) return -1;
    const group = this.count++;
    slots[slot] = group;
    if (group * GroupKey.Stride === keys.length) this.grow();
    this.keys.set(key, group * GroupKey.Stride);
    this.clear(group);
    if (this.count * 2 > slots.length) this.rehash();
    return group;
  }

  private clear(group: number): void {
    const at = group * GroupSum.Stride;
    this.sums.fill(0, at, at + GroupSum.Stride);
    this.sums[at + GroupSum.FirstUs] = NaN;
    this.sums[at + GroupSum.LastUs] = NaN;
  }

  private grow(): void {
    const keys = new Int32Array(this.keys.length * 2);
    keys.set(this.keys);
    this.keys = keys;
    const sums = new Float64Array(this.sums.length * 2);
    sums.set(this.sums);
    this.sums = sums;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let group = OVERFLOW_GROUPS; group < this.count; group++) {
      let slot = hashKey(this.keys, group * GroupKey.Stride) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = group;
    }
    this.slots = slots;
  }
}

/**
 * Two sums of a group, what was let through and what was denied. Denials of connections that no row has let through are none
 * more than those that there are.
 */
export function gravePair(
  { sums }: GroupTable,
  group: number,
  allowSum: GroupSum,
): { readonly allow: number; readonly deny: number } {
  const at = group * GroupSum.Stride + allowSum;
  const excess = Math.max(0, -sums[at]!);
  return { allow: sums[at]! + excess, deny: sums[at + 1]! - excess };
}

function hashKey(words: Int32Array, offset: number): number {
  let hash = 0x9e3779b9;
  for (let word = offset; word < offset + GroupKey.Stride; word++) {
    hash = Math.imul(hash ^ words[word]!, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return hash;
}
