/**
 * Sets of columns: triples of page, bits of its first 32 columns, bits of its last 32; pages ascend, no triple is empty. There are
 * more sets than rules, so they lie in one array and are known by their numbers: an array for each would have the collector
 * run all the time.
 */
import { grow } from './list.ts';

/** Keeps sets; they are numbered from 0 in order of arrival and never change. */
export class ColumnSets {
  /** Set `n` is `words[starts[n], starts[n + 1])`. Both arrays are replaced when they grow. */
  words: Int32Array = new Int32Array(0);
  starts: Int32Array = new Int32Array(1);
  private used = 0;
  private count = 0;

  /** The set of a bitset of two words a page. */
  add(bits: Uint32Array): number {
    for (let page = 0; page * 2 < bits.length; page++) this.push(page, bits[page * 2]!, bits[page * 2 + 1]!);
    return this.close();
  }

  /** The set of the pages `pages[0, count)` of a bitset, which need not ascend, each once. */
  addPages(bits: Uint32Array, pages: Int32Array, count: number): number {
    for (let at = 1; at < count; at++)
      if (pages[at]! < pages[at - 1]!) {
        pages.subarray(0, count).sort();
        break;
      }
    for (let at = 0; at < count; at++) this.push(pages[at]!, bits[pages[at]! * 2]!, bits[pages[at]! * 2 + 1]!);
    return this.close();
  }

  /** The columns of a set that are also in `bits`, two words a page. */
  intersect(set: number, bits: Uint32Array): number {
    const end = this.starts[set + 1]!;
    for (let at = this.starts[set]!; at < end; at += 3) {
      const page = this.words[at]!;
      this.push(page, this.words[at + 1]! & bits[page * 2]!, this.words[at + 2]! & bits[page * 2 + 1]!);
    }
    return this.close();
  }

  /** The columns of `set` that are not in `other`; `set` itself where they share none. */
  subtract(set: number, other: number): number {
    const first = this.used;
    const end = this.starts[set + 1]!;
    const otherEnd = this.starts[other + 1]!;
    let to = this.starts[other]!;
    let isCut = false;
    for (let at = this.starts[set]!; at < end; at += 3) {
      const page = this.words[at]!;
      while (to < otherEnd && this.words[to]! < page) to += 3;
      const isShared = to < otherEnd && this.words[to] === page;
      const low = isShared ? this.words[at + 1]! & this.words[to + 1]! : 0;
      const high = isShared ? this.words[at + 2]! & this.words[to + 2]! : 0;
      if ((low | high) !== 0) isCut = true;
      this.push(page, this.words[at + 1]! ^ low, this.words[at + 2]! ^ high);
    }
    if (isCut) return this.close();
    this.used = first;
    return set;
  }

  private push(page: number, low: number, high: number): void {
    if ((low | high) === 0) return;
    this.words = grow(this.words, this.used + 3);
    const { words } = this;
    words[this.used++] = page;
    words[this.used++] = low;
    words[this.used++] = high;
  }

  private close(): number {
    const set = this.count++;
    this.starts = grow(this.starts, set + 2);
    this.starts[set + 1] = this.used;
    return set;
  }
}
