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
  private readonly differences = new Map<number, number>();

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
    const { words, starts } = this;
    const [start, end, otherStart, otherEnd] = [starts[set]!, starts[set + 1]!, starts[other]!, starts[other + 1]!];
    // Most sets lie wholly beside each other.
    if (start === end || otherStart === otherEnd) return set;
    if (words[end - 3]! < words[otherStart]! || words[otherEnd - 3]! < words[start]!) return set;
    const key = set * 2 ** 26 + other;
    let difference = this.differences.get(key);
    if (difference === undefined) {
      difference = this.shares(set, other) ? this.difference(set, other) : set;
      this.differences.set(key, difference);
    }
    return difference;
  }

  private shares(set: number, other: number): boolean {
    const { words, starts } = this;
    const end = starts[other + 1]!;
    let to = starts[other]!;
    for (let at = starts[set]!; at < starts[set + 1]!; at += 3) {
      while (to < end && words[to]! < words[at]!) to += 3;
      if (to === end) return false;
      if (words[to] !== words[at]) continue;
      if (((words[at + 1]! & words[to + 1]!) | (words[at + 2]! & words[to + 2]!)) !== 0) return true;
    }
    return false;
  }

  private difference(set: number, other: number): number {
    const end = this.starts[set + 1]!;
    const otherEnd = this.starts[other + 1]!;
    let to = this.starts[other]!;
    for (let at = this.starts[set]!; at < end; at += 3) {
      const page = this.words[at]!;
      while (to < otherEnd && this.words[to]! < page) to += 3;
      const isCut = to < otherEnd && this.words[to] === page;
      const low = isCut ? this.words[to + 1]! : 0;
      const high = isCut ? this.words[to + 2]! : 0;
      this.push(page, this.words[at + 1]! & ~low, this.words[at + 2]! & ~high);
    }
    return this.close();
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
