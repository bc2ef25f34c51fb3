/**
 * The table of connections: open addressing over one Int32Array, six words an entry, linear probing, one key for both directions. Expired
 * entries stay where they are until a probe, a rehash or a full table finds them; memory follows the live ones. Of protocols it knows what
 * their entries keep (when UDP began, SCTP's tags) and whom a full table gives up; what a packet does to its connection is `tracker.ts`.
 */
import { Protocol } from '../model/port.ts';
import { Tick } from './clock.ts';
import { Meta, TableState, Tag, UdpMeta, Word } from './entry.ts';
import { Key } from './key.ts';
import { isSctpClosing } from './sctp.ts';
import type { ConnectionDirection, Settle, TableStorage, TrackerOptions } from './state.ts';
import { isTcpClosing } from './tcp.ts';

const enum Size {
  SmallestCapacity = 1024,
  NoLimit = 0x7fff_ffff,
}

/** Connections by key. Offsets of entries are valid until the next `insert`. */
export class ConnectionTable {
  count = 0;
  peak = 0;
  expired = 0;
  refused = 0;
  evicted = 0;
  /** The time: what expires at this tick or before is not there any more. */
  tick = 0;
  /** [slots x 6], see `Word`. */
  words: Int32Array;
  /** [slots x 2] SCTP's tags; empty until the first association. */
  tags: Int32Array = new Int32Array(0);
  /** What the ticks have been set back by. */
  setBack = 0;

  private storage: TableStorage;
  private settle: Settle;
  private mask: number;
  private readonly smallestCapacity: number;
  /** Slots that are not empty. */
  private used = 0;
  private usedMost: number;
  private readonly limit: number;
  /** With a limit: no entry expires before this tick. */
  private firstExpiry = 0;
  private nextEviction = -1;
  /** Of an entry that a rehash moves. */
  private readonly moved = new Key();

  /** Throws RangeError on a limit below 1. */
  constructor(
    limit: number = Size.NoLimit,
    initialCapacity = 0,
    storage: TableStorage = takeTable,
    settle: Settle = settleNone,
  ) {
    if (!(limit >= 1)) throw new RangeError(`limit must be at least 1, not ${limit}`);
    this.limit = Math.min(Math.floor(limit), Size.NoLimit);
    let capacity: number = Size.SmallestCapacity;
    while (mostOf(capacity) < initialCapacity) capacity *= 2;
    this.smallestCapacity = capacity;
    this.storage = storage;
    this.settle = settle;
    this.words = storage(capacity * Word.Count, undefined);
    this.mask = capacity - 1;
    this.usedMost = mostOf(capacity);
  }

  get bytes(): number {
    return this.words.byteLength + this.tags.byteLength;
  }

  /** From now on the table lies elsewhere. */
  moveTo({ storage, settle }: Required<Pick<TrackerOptions, 'storage' | 'settle'>>): void {
    const { words } = this;
    this.storage = storage;
    this.settle = settle;
    this.words = storage(words.length, undefined);
    this.words.set(words);
  }

  /** Writes `TableState` to `state[at..]`. */
  writeState(state: Int32Array, at: number): void {
    state[at + TableState.Mask] = this.mask;
    state[at + TableState.Used] = this.used;
    state[at + TableState.UsedMost] = this.usedMost;
    state[at + TableState.Count] = this.count;
    state[at + TableState.Peak] = this.peak;
    state[at + TableState.Expired] = this.expired;
  }

  /** Takes over what somebody else has done to the table since `writeState`. */
  readState(state: Int32Array, at: number): void {
    this.used = state[at + TableState.Used]!;
    this.count = state[at + TableState.Count]!;
    this.peak = state[at + TableState.Peak]!;
    this.expired = state[at + TableState.Expired]!;
  }

  /** Offset of the entry of a key, or the complement of the offset at which to put it. */
  find({ first, second, ports, meta: keyMeta }: Key): number {
    const { words, mask, tick } = this;
    // The products do not wait for one another: this is the longest chain of a packet.
    let hash =
      (Math.imul(first, 0x9e3779b1) + Math.imul(second, 0x85ebca6b) + Math.imul(ports, 0xc2b2ae35) + keyMeta) | 0;
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let at = ((hash ^ (hash >>> 13)) & mask) * Word.Count;
    let free = -1;
    for (;;) {
      const meta = words[at + Word.Meta]!;
      if (meta === 0) return free >= 0 ? ~free : ~at;
      // CT-05: the clock never runs back, so that what has expired once stays expired.
      if ((meta & Meta.Live) !== 0 && words[at + Word.Expiry]! > tick) {
        if (
          words[at + Word.Ports] === ports &&
          words[at + Word.First] === first &&
          words[at + Word.Second] === second &&
          (meta & Meta.KeyMask) === keyMeta
        )
          return at;
      } else if (free < 0) free = at;
      at += Word.Count;
      if (at === words.length) at = 0;
    }
  }

  /**
   * Puts a key at `at`, which `find` named, for a row that travels in `direction`. A live entry there is the last connection of the same
   * ends, whose place this one takes. Returns the offset, another one after growth, or -1 if the table is full.
   */
  insert(at: number, key: Key, direction: ConnectionDirection): number {
    if (!this.isLive(at)) {
      if (this.count >= this.limit && !this.makeRoom()) {
        this.refused++; // CT-08
        return -1;
      }
      if (this.words[at + Word.Meta] === 0 && this.used >= this.usedMost) {
        this.rehash();
        at = ~this.find(key);
      }
      const meta = this.words[at + Word.Meta]!;
      if (meta === 0) this.used++;
      if ((meta & Meta.Live) === 0) this.count++;
      else this.expired++;
      if (this.count > this.peak) this.peak = this.count;
    }
    const { words } = this;
    words[at + Word.First] = key.first;
    words[at + Word.Second] = key.second;
    words[at + Word.Ports] = key.ports;
    words[at + Word.Meta] = key.metaFor(direction);
    words[at + Word.Expiry] = this.tick + 1;
    words[at + Word.Data] = 0;
    const protocol = key.meta & Meta.ProtocolMask;
    if (protocol === Protocol.Udp) words[at + Word.Meta] = beginUdp(words[at + Word.Meta]!, this.tick);
    else if (protocol === Protocol.Sctp) this.tags.fill(0, this.tagsOf(at), this.tagsOf(at) + Tag.Count);
    return at;
  }

  /** Deletes an entry; its words, the caller's among them, can be read until the next call. */
  bury(at: number): void {
    const { words } = this;
    const next = at + Word.Count;
    if (words[(next === words.length ? 0 : next) + Word.Meta] === 0) {
      words[at + Word.Meta] = 0;
      this.used--;
    } else words[at + Word.Meta] = Meta.Grave;
    this.count--;
  }

  /** CT-05: from now on an entry lives for so many ticks. */
  setExpiry(at: number, ticks: number): void {
    const expiry = this.tick + ticks;
    this.words[at + Word.Expiry] = expiry;
    if (expiry < this.firstExpiry) this.firstExpiry = expiry;
  }

  /** Sets the ticks back with the clock, which has been set back by so many in all; what was to expire by then is expired. */
  follow(setBack: number): void {
    const { words } = this;
    const ticks = setBack - this.setBack;
    for (let at = 0; at < words.length; at += Word.Count) {
      const meta = words[at + Word.Meta]!;
      if ((meta & Meta.Live) === 0) continue;
      words[at + Word.Expiry] = Math.max(words[at + Word.Expiry]! - ticks, 0);
      if ((meta & Meta.ProtocolMask) === Protocol.Udp)
        words[at + Word.Meta] = beginUdp(meta, (meta >>> UdpMeta.BeginShift) - ticks);
    }
    this.firstExpiry = 0;
    this.nextEviction = Math.max(this.nextEviction - ticks, 0);
    this.setBack = setBack;
  }

  /** Offset of an entry's tags; makes the table of tags when it is first asked for. */
  tagsOf(at: number): number {
    const size = (this.mask + 1) * Tag.Count;
    if (this.tags.length !== size) this.tags = new Int32Array(size);
    return Math.trunc(at / Word.Count) * Tag.Count;
  }

  private isLive(at: number): boolean {
    return (this.words[at + Word.Meta]! & Meta.Live) !== 0 && this.words[at + Word.Expiry]! > this.tick;
  }

  /** CT-08: expired entries go; then, once a second at most, what nf_conntrack's collector gives up above 95 %. */
  private makeRoom(): boolean {
    if (this.tick >= this.firstExpiry) this.sweep();
    if (this.count >= this.limit && this.tick >= this.nextEviction) {
      this.nextEviction = this.tick + Tick.PerSecond;
      const { words } = this;
      for (let at = 0; at < words.length; at += Word.Count) {
        const meta = words[at + Word.Meta]!;
        if ((meta & Meta.Live) !== 0 && isExpendable(meta)) {
          words[at + Word.Meta] = Meta.Grave;
          this.count--;
          this.evicted++;
        }
      }
    }
    return this.count < this.limit;
  }

  private sweep(): void {
    const { words, tick } = this;
    let earliest: number = Size.NoLimit;
    for (let at = 0; at < words.length; at += Word.Count) {
      if ((words[at + Word.Meta]! & Meta.Live) === 0) continue;
      const expiry = words[at + Word.Expiry]!;
      if (expiry > tick) {
        if (expiry < earliest) earliest = expiry;
        continue;
      }
      words[at + Word.Meta] = Meta.Grave;
      this.count--;
      this.expired++;
    }
    this.firstExpiry = earliest;
  }

  /** Leaves graves and expired entries behind; grows only if the living need it, and shrinks when few are left. */
  private rehash(): void {
    this.sweep();
    const before = this.mask + 1;
    let capacity = before;
    while (this.count > capacity * 0.5) capacity *= 2;
    while (capacity > this.smallestCapacity && this.count < capacity * 0.1) capacity /= 2;
    const { tags: oldTags } = this;
    if (capacity >= before) this.words = this.storage(capacity * Word.Count, this.words);
    // Where the table does not shrink, entries find their new places where they lie: from an empty slot on each one goes to its own slot, to
    // one that was left before it, or to the new half. Those before that slot, and who comes round the end, are put aside.
    const aside: { readonly slot: number; readonly entry: Int32Array }[] = [];
    const isShrunk = capacity < before;
    let start = 0;
    for (; start < before; start++) {
      if (!isShrunk && this.words[start * Word.Count + Word.Meta] === 0) break;
      this.lift(start, aside);
    }
    if (isShrunk) this.words = this.storage(capacity * Word.Count, this.words);
    this.tags = new Int32Array(0);
    this.mask = capacity - 1;
    this.usedMost = mostOf(capacity);
    this.used = this.count;
    const { words, moved } = this;
    for (let slot = start; (slot = this.settle(words, slot, before)) < before; slot++) {
      const from = slot * Word.Count;
      const meta = words[from + Word.Meta]!;
      if (meta === 0) continue;
      words[from + Word.Meta] = 0;
      if ((meta & Meta.Live) === 0) continue;
      moved.takeEntry(words, from, meta);
      const to = ~this.find(moved);
      words[from + Word.Meta] = meta;
      if (to === 0) this.lift(slot, aside);
      else if (to !== from) {
        for (let word = 0; word < Word.Count; word++) words[to + word] = words[from + word]!;
        words[from + Word.Meta] = 0;
      }
      if (to !== 0) this.moveTags(meta, oldTags, slot, to);
    }
    for (const { slot, entry } of aside) {
      const meta = entry[Word.Meta]!;
      moved.takeEntry(entry, 0, meta);
      const to = ~this.find(moved);
      words.set(entry, to);
      this.moveTags(meta, oldTags, slot, to);
    }
  }

  /** Takes an entry out of the table, if there is one. */
  private lift(slot: number, aside: { readonly slot: number; readonly entry: Int32Array }[]): void {
    const at = slot * Word.Count;
    const entry = this.words.slice(at, at + Word.Count);
    this.words[at + Word.Meta] = 0;
    if ((entry[Word.Meta]! & Meta.Live) !== 0) aside.push({ slot, entry });
  }

  private moveTags(meta: number, oldTags: Int32Array, slot: number, to: number): void {
    if ((meta & Meta.ProtocolMask) !== Protocol.Sctp) return;
    const at = this.tagsOf(to);
    for (let word = 0; word < Tag.Count; word++) this.tags[at + word] = oldTags[slot * Tag.Count + word]!;
  }
}

function settleNone(_words: Int32Array, from: number): number {
  return from;
}

function takeTable(length: number, old: Int32Array | undefined): Int32Array {
  const table = new Int32Array(length);
  if (old !== undefined) table.set(old.subarray(0, length));
  return table;
}

/** Slots of so many that may be taken: a probe for what is not there looks at four then, and at six where it is seven of ten. */
function mostOf(capacity: number): number {
  return Math.floor(capacity * 0.625);
}

/** A UDP connection's meta word with another beginning. */
function beginUdp(meta: number, tick: number): number {
  return (meta & ~(UdpMeta.BeginMask << UdpMeta.BeginShift)) | ((tick & UdpMeta.BeginMask) << UdpMeta.BeginShift);
}

/** CT-08: not ASSURED, or on its way out. */
function isExpendable(meta: number): boolean {
  if ((meta & Meta.Assured) === 0) return true;
  const state = (meta & Meta.StateMask) >>> Meta.StateShift;
  const protocol = meta & Meta.ProtocolMask;
  if (protocol === Protocol.Tcp) return isTcpClosing(state);
  return protocol === Protocol.Sctp && isSctpClosing(state);
}
