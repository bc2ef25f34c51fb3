/** Pages of 64 words, each content kept once; the hash only finds candidates, equality is checked on the words. */
import { Layout } from './layout.ts';
import { grow } from './list.ts';

/** Pages lie in chunks: one array for all would be copied, and left to the collector, whenever it grows. */
const CHUNK_BITS = 12;
const CHUNK_PAGES = 2 ** CHUNK_BITS;
/** Pages of the first chunk at first. */
const FIRST_PAGES = 64;

/** Interns pages; page numbers count from 0 in order of arrival. */
export class PageStore {
  /** As narrow as what they hold. */
  private chunks: (Uint16Array | Uint32Array)[] = [];
  private isWide = false;
  private slots: Int32Array = new Int32Array(256).fill(-1);
  private hashes: Int32Array = new Int32Array(256);
  private count = 0;

  /** The number of the page that holds `source[0, 64)`. In one piece, as `ListStore.intern`. */
  intern(source: Uint32Array): number {
    // FNV-1a over every fourth word, four times: multiplications of one hash wait for each other.
    let one = 0x811c9dc5;
    let two = 0;
    let three = 0;
    let four = 0;
    let bits = 0;
    for (let index = 0; index < Layout.PageSize; index += 4) {
      const a = source[index]!;
      const b = source[index + 1]!;
      const c = source[index + 2]!;
      const d = source[index + 3]!;
      bits |= a | b | c | d;
      one = Math.imul(one ^ a, 0x01000193);
      two = Math.imul(two ^ b, 0x01000193);
      three = Math.imul(three ^ c, 0x01000193);
      four = Math.imul(four ^ d, 0x01000193);
    }
    let hash = one ^ Math.imul(two, 0x85ebca6b) ^ Math.imul(three, 0xc2b2ae35) ^ Math.imul(four, 0x27d4eb2f);
    hash ^= hash >>> 15;
    const { slots, hashes } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let known = slots[slot]!; known >= 0; known = slots[slot]!) {
      if (hashes[known] === hash) {
        const words = this.chunks[known >>> CHUNK_BITS]!;
        const start = (known % CHUNK_PAGES) * Layout.PageSize;
        let index = 0;
        while (index < Layout.PageSize && words[start + index] === source[index]) index++;
        if (index === Layout.PageSize) return known;
      }
      slot = (slot + 1) & mask;
    }
    const page = this.count++;
    const base = (page % CHUNK_PAGES) * Layout.PageSize;
    const chunk = this.room(page >>> CHUNK_BITS, base, bits);
    for (let index = 0; index < Layout.PageSize; index++) chunk[base + index] = source[index]!;
    hashes[page] = hash;
    slots[slot] = page;
    if (this.count * 2 > slots.length) this.rehash();
    return page;
  }

  /** Pages kept. */
  get size(): number {
    return this.count;
  }

  /** Words of all pages. */
  get length(): number {
    return this.count * Layout.PageSize;
  }

  /** All pages, one after another: `length` words. Throws a RangeError where `target` is shorter. */
  copy<T extends Uint16Array | Uint32Array>(target: T): T {
    const { length } = this;
    for (let at = 0, chunk = 0; at < length; at += CHUNK_PAGES * Layout.PageSize, chunk++)
      target.set(this.chunks[chunk]!.subarray(0, length - at), at);
    return target;
  }

  /** A chunk with room for a page at `base`, whose words have these bits together. */
  private room(chunk: number, base: number, bits: number): Uint16Array | Uint32Array {
    if (!this.isWide && bits >>> 16 !== 0) {
      this.isWide = true;
      this.chunks = this.chunks.map((words) => Uint32Array.from(words));
    }
    if (chunk === this.chunks.length) this.chunks.push(this.make(chunk === 0 ? FIRST_PAGES : CHUNK_PAGES));
    const words = this.chunks[chunk]!;
    if (base < words.length) return words;
    // Most Programs have few pages: the first chunk begins small.
    const grown = this.make((2 * base) / Layout.PageSize);
    grown.set(words);
    return (this.chunks[chunk] = grown);
  }

  private make(pages: number): Uint16Array | Uint32Array {
    return this.isWide ? new Uint32Array(pages * Layout.PageSize) : new Uint16Array(pages * Layout.PageSize);
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let page = 0; page < this.count; page++) {
      let slot = this.hashes[page]! & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = page;
    }
    this.slots = slots;
    this.hashes = grow(this.hashes, slots.length);
  }
}
