/** Lists of words, each content kept once; the hash only finds candidates, equality is checked on the words. */

const HASH_START = 0x811c9dc5;
const HASH_FACTOR = 0x85ebca6b;

/** Interns lists; they are numbered from 0 in order of arrival. */
export class ListStore {
  private words: Int32Array = new Int32Array(0);
  private starts: Int32Array = new Int32Array(1);
  /** Pairs of hash and number; number -1: empty. */
  private slots: Int32Array = new Int32Array(4).fill(-1);
  private used = 0;
  count = 0;

  /**
   * The number of the list `source[0, length)`; it is new where `count` grew. In one piece: of smaller ones V8 puts a copy into each of their
   * callers, and translates it there, a score of times.
   */
  intern(source: Int32Array, length: number): number {
    let hash = HASH_START ^ length;
    for (let index = 0; index < length; index++) {
      hash = Math.imul(hash ^ source[index]!, HASH_FACTOR);
      hash ^= hash >>> 15;
    }
    const { slots, used } = this;
    const mask = slots.length - 1;
    let slot = (hash * 2) & mask;
    for (let known = slots[slot + 1]!; known >= 0; known = slots[slot + 1]!) {
      if (slots[slot] === hash) {
        const { words, starts } = this;
        const start = starts[known]!;
        let equal = starts[known + 1]! - start === length ? 0 : -1;
        while (equal >= 0 && equal < length) equal = words[start + equal] === source[equal] ? equal + 1 : -1;
        if (equal === length) return known;
      }
      slot = (slot + 2) & mask;
    }
    const id = this.count++;
    const end = used + length;
    if (end > this.words.length) this.words = grow(this.words, end);
    if (id + 2 > this.starts.length) this.starts = grow(this.starts, id + 2);
    const { words, starts } = this;
    for (let index = 0; index < length; index++) words[used + index] = source[index]!;
    this.used = end;
    starts[id + 1] = end;
    slots[slot] = hash;
    slots[slot + 1] = id;
    if (this.count * 4 > slots.length) this.rehash();
    return id;
  }

  /** The number of the list `source[0, length)`; -1 where it was never interned. */
  find(source: Int32Array, length: number): number {
    return this.slots[this.probe(source, length, hashList(source, length)) + 1]!;
  }

  /** Copies a list into `target`; returns its length. */
  copy(id: number, target: Int32Array): number {
    const start = this.starts[id]!;
    const length = this.starts[id + 1]! - start;
    for (let index = 0; index < length; index++) target[index] = this.words[start + index]!;
    return length;
  }

  /** How long a list is. */
  lengthOf(id: number): number {
    return this.starts[id + 1]! - this.starts[id]!;
  }

  /** One word of a list. */
  at(id: number, index: number): number {
    return this.words[this.starts[id]! + index]!;
  }

  /** Is a word in a list, from `first` on? */
  has(id: number, first: number, word: number): boolean {
    for (let at = this.starts[id]! + first, end = this.starts[id + 1]!; at < end; at++)
      if (this.words[at] === word) return true;
    return false;
  }

  /** A list by its number; a view, valid until the next `intern`. */
  get(id: number): Int32Array {
    return this.words.subarray(this.starts[id]!, this.starts[id + 1]!);
  }

  /** All lists, one after another; a view, valid until the next `intern`. */
  all(): Int32Array {
    return this.words.subarray(0, this.used);
  }

  /** The slot of a list, or the empty one where it belongs. */
  private probe(source: Int32Array, length: number, hash: number): number {
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = (hash * 2) & mask;
    for (let id = slots[slot + 1]!; id >= 0; id = slots[slot + 1]!) {
      if (slots[slot] === hash && this.holds(id, source, length)) break;
      slot = (slot + 2) & mask;
    }
    return slot;
  }

  private holds(id: number, source: Int32Array, length: number): boolean {
    const { words } = this;
    const start = this.starts[id]!;
    if (this.starts[id + 1]! - start !== length) return false;
    for (let index = 0; index < length; index++) if (words[start + index] !== source[index]) return false;
    return true;
  }

  private rehash(): void {
    const { slots: old } = this;
    const slots = new Int32Array(old.length * 4).fill(-1);
    const mask = slots.length - 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1]! < 0) continue;
      let slot = (old[at]! * 2) & mask;
      while (slots[slot + 1]! >= 0) slot = (slot + 2) & mask;
      slots[slot] = old[at]!;
      slots[slot + 1] = old[at + 1]!;
    }
    this.slots = slots;
  }
}

/** At least `length` words: the same where there are so many, else a copy, doubled. */
export function grow(words: Int32Array, length: number): Int32Array {
  if (length <= words.length) return words;
  const grown = new Int32Array(Math.max(length, words.length * 2));
  grown.set(words);
  return grown;
}

/** The same; what is new is `value`. */
export function growFilled(words: Int32Array, length: number, value: number): Int32Array {
  if (length <= words.length) return words;
  return grow(words, length).fill(value, words.length);
}

function hashList(words: Int32Array, length: number): number {
  let hash = HASH_START ^ length;
  for (let index = 0; index < length; index++) {
    hash = Math.imul(hash ^ words[index]!, HASH_FACTOR);
    hash ^= hash >>> 15;
  }
  return hash;
}
