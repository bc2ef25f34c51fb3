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

  /** The number of the page that holds `source[0, 64)`. */
  intern(source: Uint32Array): number {
    const mask = this.slots.length - 1;
    const hash = hashPage(source);
    let slot = hash & mask;
    for (let page = this.slots[slot]!; page >= 0; page = this.slots[slot]!) {
      if (this.hashes[page] === hash && this.holds(page, source)) return page;
      slot = (slot + 1) & mask;
    }
    const page = this.count++;
    const base = (page % CHUNK_PAGES) * Layout.PageSize;
    const chunk = this.room(page >>> CHUNK_BITS, base, source);
    for (let index = 0; index < Layout.PageSize; index++) chunk[base + index] = source[index]!;
    this.hashes[page] = hash;
    this.slots[slot] = page;
    if (this.count * 2 > this.slots.length) this.rehash();
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

  /** A chunk with room for a page at `base`. */
  private room(chunk: number, base: number, source: Uint32Array): Uint16Array | Uint32Array {
    if (!this.isWide && isBeyond16(source)) {
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

  private holds(page: number, source: Uint32Array): boolean {
    const words = this.chunks[page >>> CHUNK_BITS]!;
    const base = (page % CHUNK_PAGES) * Layout.PageSize;
    for (let index = 0; index < Layout.PageSize; index++) if (words[base + index] !== source[index]) return false;
    return true;
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

function isBeyond16(words: Uint32Array): boolean {
  let bits = 0;
  for (let index = 0; index < Layout.PageSize; index++) bits |= words[index]!;
  return bits >>> 16 !== 0;
}

/** FNV-1a over every fourth word, four times: multiplications of one hash wait for each other. */
function hashPage(words: Uint32Array): number {
  let [one, two, three, four] = [0x811c9dc5, 0, 0, 0];
  for (let index = 0; index < Layout.PageSize; index += 4) {
    one = Math.imul(one ^ words[index]!, 0x01000193);
    two = Math.imul(two ^ words[index + 1]!, 0x01000193);
    three = Math.imul(three ^ words[index + 2]!, 0x01000193);
    four = Math.imul(four ^ words[index + 3]!, 0x01000193);
  }
  const hash = one ^ Math.imul(two, 0x85ebca6b) ^ Math.imul(three, 0xc2b2ae35) ^ Math.imul(four, 0x27d4eb2f);
  return hash ^ (hash >>> 15);
}
