/**
 * What was seen lately, by exact keys of five words, without an object or text a key. Two generations: when the newer one is
 * full it becomes the older one, and what was not asked for meanwhile is forgotten with it.
 */

/** 32-bit words of a key. */
const WORDS = 5;
/** Slots that a table begins with; it doubles up to its limit. */
const FIRST_SLOTS = 1024;

interface Generation {
  /** Key words of each slot. */
  keys: Uint32Array;
  /** 1 where the slot is taken. */
  taken: Uint8Array;
  values: Float64Array;
  count: number;
}

/** A set of keys, each with `width` numbers. At least the last `limit` keys that were put or found are known, never more than four times as many. */
export class RecentTable {
  /** Numbers of the slots that `find` and `put` name, `width` each. */
  values: Float64Array;
  private newer: Generation;
  private older: Generation | undefined;
  private readonly limit: number;
  private readonly width: number;

  constructor(limit: number, width: number) {
    this.limit = limit;
    this.width = width;
    this.newer = createGeneration(FIRST_SLOTS, width);
    this.values = this.newer.values;
  }

  /** The slot of a key, or -1. */
  find(k0: number, k1: number, k2: number, k3: number, k4: number): number {
    const slot = probe(this.newer, k0, k1, k2, k3, k4);
    if (this.newer.taken[slot] === 1) return slot;
    const { older, width } = this;
    if (older === undefined || older.count === 0) return -1;
    const from = probe(older, k0, k1, k2, k3, k4);
    if (older.taken[from] !== 1) return -1;
    const values = older.values.slice(from * width, from * width + width);
    const to = this.put(k0, k1, k2, k3, k4);
    this.values.set(values, to * width);
    return to;
  }

  /** The slot of a key, taken now if it was not; its numbers are for the caller to set. */
  put(k0: number, k1: number, k2: number, k3: number, k4: number): number {
    let slot = probe(this.newer, k0, k1, k2, k3, k4);
    if (this.newer.taken[slot] === 1) return slot;
    if (this.newer.count * 2 >= this.newer.taken.length) {
      this.makeRoom();
      slot = probe(this.newer, k0, k1, k2, k3, k4);
    }
    const { keys, taken } = this.newer;
    const at = slot * WORDS;
    keys[at] = k0;
    keys[at + 1] = k1;
    keys[at + 2] = k2;
    keys[at + 3] = k3;
    keys[at + 4] = k4;
    taken[slot] = 1;
    this.newer.count++;
    return slot;
  }

  private makeRoom(): void {
    const { newer, width } = this;
    if (newer.count < this.limit) {
      const grown = createGeneration(newer.taken.length * 2, width);
      for (let from = 0; from < newer.taken.length; from++) {
        if (newer.taken[from] !== 1) continue;
        const key = newer.keys.subarray(from * WORDS, from * WORDS + WORDS);
        const to = probe(grown, key[0]!, key[1]!, key[2]!, key[3]!, key[4]!);
        grown.keys.set(key, to * WORDS);
        grown.taken[to] = 1;
        for (let index = 0; index < width; index++)
          grown.values[to * width + index] = newer.values[from * width + index]!;
      }
      grown.count = newer.count;
      this.newer = grown;
    } else {
      // The one that is forgotten is used again.
      const { older } = this;
      if (older !== undefined && older.taken.length === newer.taken.length) {
        older.taken.fill(0);
        older.count = 0;
        this.newer = older;
      } else this.newer = createGeneration(newer.taken.length, width);
      this.older = newer;
    }
    this.values = this.newer.values;
  }
}

function createGeneration(slots: number, width: number): Generation {
  return {
    keys: new Uint32Array(slots * WORDS),
    taken: new Uint8Array(slots),
    values: new Float64Array(slots * width),
    count: 0,
  };
}

/** The slot that holds the key, or the free one where it belongs. */
function probe({ keys, taken }: Generation, k0: number, k1: number, k2: number, k3: number, k4: number): number {
  const mask = taken.length - 1;
  let hash = Math.imul(k0 ^ 0x9e3779b9, 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 15)) + k1, 0xc2b2ae35);
  hash = Math.imul((hash ^ (hash >>> 13)) + k2, 0x27d4eb2f);
  hash = Math.imul((hash ^ (hash >>> 16)) + k3, 0x165667b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + k4, 0x9e3779b1);
  let slot = (hash ^ (hash >>> 15)) & mask;
  while (taken[slot] === 1) {
    const at = slot * WORDS;
    if (
      keys[at] === k0 >>> 0 &&
      keys[at + 1] === k1 >>> 0 &&
      keys[at + 2] === k2 >>> 0 &&
      keys[at + 3] === k3 >>> 0 &&
      keys[at + 4] === k4 >>> 0
    )
      return slot;
    slot = (slot + 1) & mask;
  }
  return slot;
}
