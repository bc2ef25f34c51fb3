/** Pages of 64 words, each content kept once; the hash only finds candidates, equality is checked on the words. */
import { Layout } from './layout.ts';
import { grow } from './list.ts';

/** Interns pages; page numbers count from 0 in order of arrival. */
export class PageStore {
  private words = new Uint32Array(64 * Layout.PageSize);
  private slots = new Int32Array(256).fill(-1);
  private hashes = new Int32Array(256);
  private count = 0;

  /** The number of the page that holds `source[offset, offset + 64)`. */
  intern(source: Uint32Array, offset: number): number {
    const mask = this.slots.length - 1;
    const hash = hashPage(source, offset);
    let slot = hash & mask;
    for (let page = this.slots[slot]!; page >= 0; page = this.slots[slot]!) {
      if (this.hashes[page] === hash && this.holds(page, source, offset)) return page;
      slot = (slot + 1) & mask;
    }
    const page = this.count++;
    if (this.count * Layout.PageSize > this.words.length) {
      const grown = new Uint32Array(this.words.length * 2);
      grown.set(this.words);
      this.words = grown;
    }
    this.words.set(source.subarray(offset, offset + Layout.PageSize), page * Layout.PageSize);
    this.hashes[page] = hash;
    this.slots[slot] = page;
    if (this.count * 2 > this.slots.length) this.rehash();
    return page;
  }

  /** Pages kept. */
  get size(): number {
    return this.count;
  }

  /** All pages, one after another; a view, valid until the next `intern`. */
  data(): Uint32Array {
    return this.words.subarray(0, this.count * Layout.PageSize);
  }

  private holds(page: number, source: Uint32Array, offset: number): boolean {
    const { words } = this;
    const base = page * Layout.PageSize;
    for (let index = 0; index < Layout.PageSize; index++)
      if (words[base + index] !== source[offset + index]) return false;
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
function hashPage(words: Uint32Array, offset: number): number {
  let hash = 0x811c9dc5;
  for (let index = offset; index < offset + Layout.PageSize; index++)
    hash = Math.imul(hash ^ words[index]!, 0x01000193);
  return hash ^ (hash >>> 15);
}
