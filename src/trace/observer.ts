/**
 * One flow, two observers: both ends of a flow log it, each for itself and with windows of its own. A directed tuple belongs
 * to the observer that reported it first, for as long as that one goes on; what others report of it meanwhile is a duplicate.
 * An exact table over one typed array, open addressing; when it is full, what is long past is forgotten.
 */

/** An observer that has been silent for longer no longer owns the tuple: a window of 600 s and the lag of another. */
export const OBSERVER_WINDOW_S = 900;

/** Slots at most; half of them are used. */
const SLOT_LIMIT = 1 << 19;

/** Places in a slot, 32 bits each. */
export const enum Slot {
  /** 0 where the slot is free. */
  Meta = 0,
  Src = 1,
  Dst = 2,
  Ports = 3,
  Observer = 4,
  /** Seconds since 1970. */
  Last = 5,
  Stride = 6,
}

/** Directed tuple -> the observer that reports it. */
export class ObserverTable {
  /** Signed, so that keys are compared as the integers they are. */
  private slots = new Int32Array(1024 * Slot.Stride);
  /** Slots, less one. */
  private mask = 1023;
  private count = 0;
  private latestS = 0;
  /** The record that `isDuplicate` is asked about. */
  private readonly key = new Int32Array(Slot.Stride);

  /**
   * Is this record one of another observer's flow? `observer` is any 32-bit name of who reports; two that share one name
   * are taken for one, so that a clash keeps a duplicate and never loses a flow. Ports are -1 where there are none.
   */
  isDuplicate(
    family: number,
    protocol: number,
    src: number,
    srcPort: number,
    dst: number,
    dstPort: number,
    observer: number,
    timeS: number,
  ): boolean {
    const { key } = this;
    key[Slot.Meta] = 0x10000 | (family << 8) | protocol;
    key[Slot.Src] = src;
    key[Slot.Dst] = dst;
    key[Slot.Ports] = ((srcPort & 0xffff) << 16) | (dstPort & 0xffff);
    key[Slot.Observer] = observer;
    key[Slot.Last] = timeS;
    return this.isDuplicateAt(key, 0);
  }

  /** The same for a record as a slot has it: `records[at, at + Slot.Stride)`. */
  isDuplicateAt(records: Int32Array, at: number): boolean {
    if (this.count * 2 > this.mask) this.makeRoom();
    const { slots, mask } = this;
    const meta = records[at]!;
    const src = records[at + Slot.Src]!;
    const dst = records[at + Slot.Dst]!;
    const ports = records[at + Slot.Ports]!;
    const observer = records[at + Slot.Observer]!;
    const timeS = records[at + Slot.Last]! >>> 0;
    if (timeS > this.latestS) this.latestS = timeS;
    for (let place = (hash(meta, src, dst, ports) & mask) * Slot.Stride; ;) {
      const found = slots[place]!;
      if (found === 0) {
        slots[place] = meta;
        slots[place + Slot.Src] = src;
        slots[place + Slot.Dst] = dst;
        slots[place + Slot.Ports] = ports;
        slots[place + Slot.Observer] = observer;
        slots[place + Slot.Last] = timeS;
        this.count++;
        return false;
      }
      if (
        found === meta &&
        slots[place + Slot.Src] === src &&
        slots[place + Slot.Dst] === dst &&
        slots[place + Slot.Ports] === ports
      ) {
        const last = slots[place + Slot.Last]! >>> 0;
        const isOwner = slots[place + Slot.Observer] === observer;
        if (!isOwner && Math.abs(timeS - last) <= OBSERVER_WINDOW_S) return true;
        if (!isOwner) slots[place + Slot.Observer] = observer;
        if (!isOwner || timeS > last) slots[place + Slot.Last] = timeS;
        return false;
      }
      place = place === mask * Slot.Stride ? 0 : place + Slot.Stride;
    }
  }

  /** Doubles the table; at its limit keeps what is recent, or nothing where all of it is. */
  private makeRoom(): void {
    const old = this.slots;
    const slotCount = old.length / Slot.Stride;
    const isFull = slotCount >= SLOT_LIMIT;
    const slots = new Int32Array(isFull ? old.length : old.length * 2);
    const mask = slots.length / Slot.Stride - 1;
    const earliest = isFull ? this.latestS - OBSERVER_WINDOW_S : 0;
    let count = 0;
    for (let from = 0; from < old.length; from += Slot.Stride) {
      if (old[from] === 0 || old[from + Slot.Last]! >>> 0 < earliest) continue;
      let slot = hash(old[from]!, old[from + Slot.Src]!, old[from + Slot.Dst]!, old[from + Slot.Ports]!) & mask;
      while (slots[slot * Slot.Stride] !== 0) slot = (slot + 1) & mask;
      slots.set(old.subarray(from, from + Slot.Stride), slot * Slot.Stride);
      count++;
    }
    if (isFull && count * 4 > slotCount) {
      slots.fill(0);
      count = 0;
    }
    this.slots = slots;
    this.mask = mask;
    this.count = count;
  }
}

function hash(meta: number, src: number, dst: number, ports: number): number {
  let value = Math.imul(src ^ 0x9e3779b9, 0x85ebca6b);
  value = Math.imul((value ^ (value >>> 15)) + dst, 0xc2b2ae35);
  value = Math.imul((value ^ (value >>> 13)) + ports, 0x27d4eb2f);
  value = Math.imul((value ^ (value >>> 16)) + meta, 0x165667b1);
  return value ^ (value >>> 15);
}
