/** Pages of 64 words, each content kept once; the hash only finds candidates, equality is checked on the words. */
import { Layout } from './layout.ts';
import { grow } from './list.ts';

/** Pages lie in chunks of 1 MiB: one array for all would be copied, and left to the collector, whenever it grows. */
const CHUNK_PAGES = 4096;

/** Interns pages; page numbers count from 0 in order of arrival. */
export class PageStore {
  private readonly chunks: Uint32Array[] = [];
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
    const chunk = this.room(Math.floor(page / CHUNK_PAGES), base);
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

  /** All pages, one after another: `size` x 64 words. Throws a RangeError where `target` is shorter. */
  copy<T extends Uint16Array | Uint32Array>(target: T): T {
    const length = this.count * Layout.PageSize;
    for (let at = 0, chunk = 0; at < length; at += CHUNK_PAGES * Layout.PageSize, chunk++)
      target.set(this.chunks[chunk]!.subarray(0, length - at), at);
    return target;
  }

  /** A chunk with room for a page at `base`. */
  private room(chunk: number, base: number): Uint32Array {
    const words = this.chunks[chunk];
    if (words !== undefined && base < words.length) return words;
    // Most Programs have few pages.
    const grown = new Uint32Array(Math.max(2 * base, 64 * Layout.PageSize));
    grown.set(words ?? []);
    this.chunks[chunk] = grown;
    return grown;
  }

  private holds(page: number, source: Uint32Array): boolean {
    const words = this.chunks[Math.floor(page / CHUNK_PAGES)]!;
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

/** FNV-1a over words, with a final mix. */
function hashPage(words: Uint32Array): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < Layout.PageSize; index++) hash = Math.imul(hash ^ words[index]!, 0x01000193);
  return hash ^ (hash >>> 15);
}
