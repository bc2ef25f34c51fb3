/** Lists of words, each content kept once; the hash only finds candidates, equality is checked on the words. */

/** Interns lists; they are numbered from 0 in order of arrival. */
export class ListStore {
  private words = new Int32Array(1024);
  private starts = new Int32Array(256);
  private slots = new Int32Array(512).fill(-1);
  private used = 0;
  count = 0;

  /** The number of the list `source[0, length)`; it is new where `count` grew. */
  intern(source: Int32Array, length: number): number {
    const mask = this.slots.length - 1;
    let slot = hashList(source, 0, length) & mask;
    for (let id = this.slots[slot]!; id >= 0; id = this.slots[slot]!) {
      if (this.holds(id, source, length)) return id;
      slot = (slot + 1) & mask;
    }
    const id = this.count++;
    if (this.used + length > this.words.length) this.words = grow(this.words, this.used + length);
    for (let index = 0; index < length; index++) this.words[this.used + index] = source[index]!;
    this.used += length;
    if (id + 2 > this.starts.length) this.starts = grow(this.starts, id + 2);
    this.starts[id + 1] = this.used;
    this.slots[slot] = id;
    if (this.count * 2 > this.slots.length) this.rehash();
    return id;
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

  /** A list by its number; a view, valid until the next `intern`. */
  get(id: number): Int32Array {
    return this.words.subarray(this.starts[id]!, this.starts[id + 1]!);
  }

  private holds(id: number, source: Int32Array, length: number): boolean {
    const { words } = this;
    const start = this.starts[id]!;
    if (this.starts[id + 1]! - start !== length) return false;
    for (let index = 0; index < length; index++) if (words[start + index] !== source[index]) return false;
    return true;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let id = 0; id < this.count; id++) {
      const start = this.starts[id]!;
      let slot = hashList(this.words, start, this.starts[id + 1]! - start) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.slots = slots;
  }
}

/** A copy of at least `length` words, doubled. */
export function grow(words: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(Math.max(length, words.length * 2));
  grown.set(words);
  return grown;
}

function hashList(words: Int32Array, start: number, length: number): number {
  let hash = 0x811c9dc5 ^ length;
  for (let index = start; index < start + length; index++) {
    hash = Math.imul(hash ^ words[index]!, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return hash;
}
