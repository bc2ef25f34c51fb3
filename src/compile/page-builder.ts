/**
 * Runs of pages put together from sets of places: a row of a table from the columns that its rules match, a vector from the
 * port classes that its rules match. What is added is pairs of a token and a set, 32 places a word, so that neither a dense run
 * nor a list of touched cells ever exists: pages that no token touches are one page, and pages in which the same tokens hold the
 * same places are found again before a single cell is looked at. A cell's value depends on the list of its tokens alone.
 */
import type { ColumnSets } from './column-set.ts';
import { Layout } from './layout.ts';
import { grow, growFilled, ListStore } from './list.ts';
import { PageStore } from './page.ts';

/** The set of every place. */
export const EVERYWHERE = -1;

/** The value of a cell: `list[0]` is the state of its run, `list[1..length)` its tokens. Called once for each list. */
export type ValueOf = (list: Int32Array, length: number) => number;

/** Above every place among what was added: token times this, plus the place, orders by token, then place. */
const PLACE = 2 ** 30;
const NONE = new Int32Array(1);

/** Builds runs, one after another: `begin`, `add` ..., `finish`. */
export class PageBuilder {
  readonly pagesPerRun: number;
  private readonly sets: ColumnSets;
  /** The number of the set of every place. */
  private readonly all: number;
  private readonly valueOf: ValueOf;
  readonly store: PageStore = new PageStore();
  private readonly cells = new Uint32Array(Layout.PageSize);
  private readonly uniforms = new Map<number, number>();
  /** States with the tokens that hold everywhere. */
  private readonly bases = new ListStore();
  private readonly signatures = new ListStore();
  private pageOfSignature: Int32Array = new Int32Array(0);
  private readonly lists = new ListStore();
  private valueOfList: Int32Array = new Int32Array(0);
  /** Groups of cells that hold the same tokens: their cells as two words. */
  private readonly lows = new Int32Array(Layout.PageSize);
  private readonly highs = new Int32Array(Layout.PageSize);
  private list: Int32Array = new Int32Array(1);
  private signature: Int32Array = new Int32Array(1);

  // The run at hand.
  private state = 0;
  private isSet = false;
  private count = 0;
  private tokensAdded: Int32Array = new Int32Array(0);
  private setsAdded: Int32Array = new Int32Array(0);
  private order: Float64Array = new Float64Array(0);
  /** Chains of (next, token, low bits, high bits), one for each page with a token; they end with -1. */
  private chains: Int32Array = new Int32Array(0);
  private readonly touched: Int32Array;
  private touchedCount = 0;
  private readonly first: Int32Array;
  private readonly last: Int32Array;
  private readonly stamp: Int32Array;
  private generation = 0;

  constructor(sets: ColumnSets, all: number, pagesPerRun: number, valueOf: ValueOf) {
    this.sets = sets;
    this.all = all;
    this.pagesPerRun = pagesPerRun;
    this.valueOf = valueOf;
    this.touched = new Int32Array(pagesPerRun);
    this.first = new Int32Array(pagesPerRun);
    this.last = new Int32Array(pagesPerRun);
    this.stamp = new Int32Array(pagesPerRun);
  }

  /** Begins a run. `order`: `set` where order and repetition of tokens mean nothing, `list` where they do. */
  begin(state: number, order: 'set' | 'list'): void {
    this.state = state;
    this.isSet = order === 'set';
    this.count = 0;
  }

  /** A token, less than 2^22, holds in a set, or `EVERYWHERE`. */
  add(token: number, set: number): void {
    const at = this.count++;
    this.tokensAdded = grow(this.tokensAdded, at + 1);
    this.setsAdded = grow(this.setsAdded, at + 1);
    this.tokensAdded[at] = token;
    this.setsAdded[at] = set;
  }

  /** The page numbers of the run: all of `target`. */
  finish(target: Int32Array | Uint32Array): void {
    if (this.isSet) this.sort();
    const base = this.lay();
    target.fill(this.uniform(this.valueOfCells(base, NONE, 1, 0, 0)));
    const { touched, touchedCount, first, chains } = this;
    for (let at = 0; at < touchedCount; at++) {
      const page = touched[at]!;
      let { signature } = this;
      let length = 1;
      signature[0] = base;
      for (let own = first[page]!; own >= 0; own = chains[own]!) {
        signature = this.signature = grow(signature, length + 3);
        signature[length] = chains[own + 1]!;
        signature[length + 1] = chains[own + 2]!;
        signature[length + 2] = chains[own + 3]!;
        length += 3;
      }
      target[page] = this.page(signature, length);
    }
  }

  /** The page that holds one value throughout. */
  uniform(value: number): number {
    let page = this.uniforms.get(value);
    if (page === undefined) this.uniforms.set(value, (page = this.store.intern(this.cells.fill(value))));
    return page;
  }

  /** Orders what was added by token. */
  private sort(): void {
    const { count, tokensAdded, setsAdded } = this;
    if (count > this.order.length) this.order = new Float64Array(tokensAdded.length);
    const { order } = this;
    for (let at = 0; at < count; at++) order[at] = tokensAdded[at]! * PLACE + setsAdded[at]! + 1;
    order.subarray(0, count).sort();
    for (let at = 0; at < count; at++) {
      const token = Math.floor(order[at]! / PLACE);
      tokensAdded[at] = token;
      setsAdded[at] = order[at]! - token * PLACE - 1;
    }
  }

  /** Chains what was added to its pages; returns the base: what holds in all of them. */
  private lay(): number {
    const { count, tokensAdded, setsAdded, isSet, stamp, last, first, touched } = this;
    const { words, starts } = this.sets;
    const generation = ++this.generation;
    let { list, chains } = this;
    list[0] = this.state;
    let shared = 1;
    let used = 0;
    let touchedCount = 0;
    for (let at = 0; at < count; at++) {
      const token = tokensAdded[at]!;
      if (setsAdded[at] === EVERYWHERE && isSet) {
        if (shared > 1 && list[shared - 1] === token) continue;
        list = this.list = grow(list, shared + 1);
        list[shared++] = token;
        continue;
      }
      const set = setsAdded[at] === EVERYWHERE ? this.all : setsAdded[at]!;
      const end = starts[set + 1]!;
      chains = this.chains = grow(chains, used + (end - starts[set]!) * 2);
      for (let part = starts[set]!; part < end; part += 3) {
        const page = words[part]!;
        if (stamp[page] === generation) {
          const tail = last[page]!;
          // The parts of one rule, and rules that say the same, are one record.
          if (chains[tail + 1] === token) {
            chains[tail + 2]! |= words[part + 1]!;
            chains[tail + 3]! |= words[part + 2]!;
            continue;
          }
          chains[tail] = used;
        } else {
          stamp[page] = generation;
          touched[touchedCount++] = page;
          first[page] = used;
        }
        last[page] = used;
        chains[used] = -1;
        chains[used + 1] = token;
        chains[used + 2] = words[part + 1]!;
        chains[used + 3] = words[part + 2]!;
        used += 4;
      }
    }
    this.touchedCount = touchedCount;
    return this.bases.intern(list, shared);
  }

  /** The page of a signature: base, then triples of token and bits. */
  private page(signature: Int32Array, length: number): number {
    const id = this.signatures.intern(signature, length);
    this.pageOfSignature = growFilled(this.pageOfSignature, id + 1, -1);
    let page = this.pageOfSignature[id]!;
    if (page < 0) page = this.pageOfSignature[id] = this.build(signature, length);
    return page;
  }

  private build(signature: Int32Array, length: number): number {
    const { lows, highs, cells } = this;
    const base = signature[0]!;
    let count = 1;
    lows[0] = -1;
    highs[0] = -1;
    for (let at = 1; at < length; at += 3) {
      const low = signature[at + 1]!;
      const high = signature[at + 2]!;
      for (let group = 0, end = count; group < end; group++) {
        const inLow = lows[group]! & low;
        const inHigh = highs[group]! & high;
        if ((inLow | inHigh) === 0 || (inLow === lows[group] && inHigh === highs[group])) continue;
        lows[count] = lows[group]! & ~low;
        highs[count++] = highs[group]! & ~high;
        lows[group] = inLow;
        highs[group] = inHigh;
      }
    }
    for (let group = 0; group < count; group++) {
      const value = this.valueOfCells(base, signature, length, lows[group]!, highs[group]!);
      if (count === 1) return this.uniform(value);
      for (let low = lows[group]!; low !== 0; low &= low - 1) cells[31 - Math.clz32(low & -low)] = value;
      for (let high = highs[group]!; high !== 0; high &= high - 1) cells[63 - Math.clz32(high & -high)] = value;
    }
    return this.store.intern(cells);
  }

  /** The value of a group of cells: the tokens of the base, and those of the signature that hold the group. */
  private valueOfCells(base: number, signature: Int32Array, length: number, low: number, high: number): number {
    const shared = this.bases.lengthOf(base);
    this.list = grow(this.list, shared + length);
    const { list } = this;
    let used = this.bases.copy(base, list);
    for (let at = 1; at < length; at += 3)
      if ((low & signature[at + 1]!) !== 0 || (high & signature[at + 2]!) !== 0) list[used++] = signature[at]!;
    // With a base the run is a set. Sorted, so that it is found again whoever put it together.
    if (shared > 1) list.subarray(1, used).sort();
    const id = this.lists.intern(list, used);
    this.valueOfList = growFilled(this.valueOfList, id + 1, -1);
    let value = this.valueOfList[id]!;
    if (value < 0) value = this.valueOfList[id] = this.valueOf(list, used);
    return value;
  }
}
