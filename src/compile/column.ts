/**
 * Columns: what a table tells apart on the peer's side. A column is a class of selector signatures (which `from`/`to`
 * selectors match) crossed with a class of addresses (which rules' ipBlocks contain it); only pairs that occur get a number.
 * Columns of one address class lie together, in the order of their pods: what one rule matches then fills pages or leaves them.
 */
import type { Node } from '../model/cluster.ts';
import type { Direction } from '../model/policy.ts';
import { MissingFact } from '../model/verdict.ts';
import { type BlockClasses, classifyBlocks } from './block.ts';
import { DIRECTION_ORDINAL, type PolicyBook, RuleField } from './book.ts';
import { ColumnSets } from './column-set.ts';
import { groupByKey, type Groups } from './group.ts';
import { Layout } from './layout.ts';
import { grow, growFilled } from './list.ts';
import { EVERYWHERE } from './page-builder.ts';
import { Partition } from './partition.ts';
import { matchesSelector, type NamedPorts, type Selection, type UnitIndex } from './unit.ts';

/** Who a selector is asked about: a unit, or one of the elements that no unit stands for. */
export interface Elements {
  readonly unitCount: number;
  readonly outside: number;
  readonly unknownPod: number;
  /** Node `n` is element `firstNode + n`; addresses of hostNetwork pods that no Node object has share `otherNode`. */
  readonly firstNode: number;
  readonly otherNode: number;
  /** Some node, no address known. */
  readonly namelessNode: number;
  readonly count: number;
}

/** Columns whose pods have the same named ports. */
export interface PortGroup {
  readonly ports: NamedPorts | undefined;
  /** Two words a page. */
  readonly bits: Uint32Array;
}

/** Numbers the elements of a snapshot. */
export function numberElements(unitCount: number, nodeCount: number): Elements {
  return {
    unitCount,
    outside: unitCount,
    unknownPod: unitCount + 1,
    firstNode: unitCount + 2,
    otherNode: unitCount + 2 + nodeCount,
    namelessNode: unitCount + 3 + nodeCount,
    count: unitCount + 4 + nodeCount,
  };
}

/** The columns of one direction, made from the peers of all rules in a book. */
export class Columns {
  readonly blocks: BlockClasses;
  /** The address class that stands for "no address known". */
  readonly noAddress: number;
  readonly book: PolicyBook;
  readonly index: UnitIndex;
  readonly elements: Elements;
  readonly partition: Partition;
  /** Columns in the order of `column`, as triples: an element that has it, its class of selectors, its class of addresses. */
  pairs: Int32Array = new Int32Array(3);
  pairCount = 0;
  private readonly ordinal: 0 | 1;
  private readonly nodes: readonly Node[];
  private readonly ids = new Map<number, number>();
  /** Selections and questions of the book that are taken into the partition. */
  private readonly knownSelections = new Set<number>();
  private readonly knownQuestions = new Set<number>();
  private readonly nodeSelections = new Map<number, Int32Array>();
  /** Sets of blocks in the order of their first use, by their numbers in the book. */
  private readonly placeOfBlocks = new Map<number, number>();
  private finished: FinishedColumns | undefined;

  constructor(book: PolicyBook, direction: Direction, index: UnitIndex, nodes: readonly Node[]) {
    this.book = book;
    this.ordinal = DIRECTION_ORDINAL[direction];
    this.index = index;
    this.nodes = nodes;
    this.elements = numberElements(index.count, nodes.length);
    this.partition = new Partition(initialClasses(this.elements, nodes.length));
    for (let policy = 0; policy < book.policies.length; policy++) this.takeIn(policy);
    if (direction === 'egress') refineByPorts(this.partition, index);
    this.blocks = classifyBlocks(Array.from(this.placeOfBlocks.keys(), (number) => book.blockSets[number]!));
    this.noAddress = this.blocks.count;
  }

  /** The column of an element at an address class; makes it if need be. Its number is for `finish` to translate. */
  column(element: number, addressClass: number): number {
    const selectorClass = this.partition.classOf[element]!;
    const key = this.pairKey(selectorClass, addressClass);
    let id = this.ids.get(key);
    if (id === undefined) {
      this.ids.set(key, (id = this.pairCount++));
      this.pairs = grow(this.pairs, id * 3 + 3);
      this.pairs[id * 3] = element;
      this.pairs[id * 3 + 1] = selectorClass;
      this.pairs[id * 3 + 2] = addressClass;
    }
    return id;
  }

  /**
   * Numbers the columns for good, once every endpoint has asked for its own. Undefined: `column` has made more since then, which are
   * forgotten.
   */
  finish(): FinishedColumns | undefined {
    this.finished ??= new FinishedColumns(this);
    const { length } = this.finished.finalOf;
    if (this.pairCount === length) return this.finished;
    while (this.pairCount > length) {
      const at = --this.pairCount * 3;
      this.ids.delete(this.pairKey(this.pairs[at + 1]!, this.pairs[at + 2]!));
    }
    return undefined;
  }

  /** Takes in the rules of one more policy of the book, after `finish`. False: they tell apart what the columns do not. */
  admit(policy: number): boolean {
    for (let rule = this.ruleStart(policy); rule < this.ruleEnd(policy); rule++)
      if (!this.covers(this.questionOf(rule))) return false;
    this.takeIn(policy);
    return true;
  }

  /** Where a set of blocks of the book stands among those of `blocks`. */
  blocksAt(number: number): number {
    return this.placeOfBlocks.get(number)!;
  }

  /** NP-11, NP-12, NP-13, and TI-06: the elements of a selection, see `PolicyBook.questions`. */
  select(selection: number): Selection {
    if ((selection & 1) === 0) return this.index.select(selection >> 1);
    let words = this.nodeSelections.get(selection);
    if (words === undefined) {
      const selector = this.book.selectorOf[selection >> 1]!;
      words = Int32Array.from(
        this.nodes.flatMap(({ labels }, at) =>
          matchesSelector(selector, labels) ? [this.elements.firstNode + at] : [],
        ),
      );
      this.nodeSelections.set(selection, words);
    }
    return { words, start: 0, end: words.length };
  }

  private pairKey(selectorClass: number, addressClass: number): number {
    return selectorClass * (this.noAddress + 1) + addressClass;
  }

  private ruleStart(policy: number): number {
    return this.book.ruleStarts[policy * 2 + this.ordinal]!;
  }

  private ruleEnd(policy: number): number {
    return this.book.ruleStarts[policy * 2 + this.ordinal + 1]!;
  }

  private questionOf(rule: number): number {
    return this.book.rules[rule * RuleField.Stride + RuleField.Question]!;
  }

  private takeIn(policy: number): void {
    const { questions } = this.book;
    for (let rule = this.ruleStart(policy); rule < this.ruleEnd(policy); rule++) {
      const question = this.questionOf(rule);
      if (question < 0 || this.knownQuestions.has(question)) continue;
      this.knownQuestions.add(question);
      const blocks = questions.at(question, 0);
      if (blocks >= 0 && !this.placeOfBlocks.has(blocks)) this.placeOfBlocks.set(blocks, this.placeOfBlocks.size);
      for (let at = 2, length = questions.lengthOf(question); at < length; at++) {
        const selection = questions.at(question, at);
        if (this.knownSelections.has(selection)) continue;
        this.knownSelections.add(selection);
        const { words, start, end } = this.select(selection);
        this.partition.refine(words, start, end);
      }
    }
  }

  private covers(question: number): boolean {
    if (question < 0) return true;
    const { questions } = this.book;
    const blocks = questions.at(question, 0);
    if (blocks >= 0 && !this.placeOfBlocks.has(blocks)) return false;
    for (let at = 2, length = questions.lengthOf(question); at < length; at++) {
      const selection = questions.at(question, at);
      if (this.knownSelections.has(selection)) continue;
      const { words, start, end } = this.select(selection);
      if (this.partition.cuts(words, start, end)) return false;
    }
    return true;
  }
}

/** What `FinishedColumns.match` has answered so far; the arrays stay as they are, whatever is asked later. */
export interface ColumnAnswers {
  /** Pairs of missing facts and set. */
  readonly answers: Int32Array;
  /** [questions] the answer's pairs in `answers`; -1: not asked. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Sets, see `ColumnSets`. */
  readonly words: Int32Array;
  readonly setStarts: Int32Array;
}

/** Columns under their final numbers. */
export class FinishedColumns {
  /** The last number + 1; some below are not in use. */
  readonly count: number;
  /** [numbers that `column` gave] final number. */
  readonly finalOf: Int32Array;
  readonly sets: ColumnSets = new ColumnSets();
  /** The set of every column. */
  readonly all: number;
  private readonly columns: Columns;
  private groups: readonly PortGroup[] | undefined;
  /** Places in the order of the final numbers, by class of selectors; [places] the final number. */
  private readonly bySelectorClass: Groups;
  private readonly columnAt: Int32Array;
  /** [address classes + 1] their places, one class after another. */
  private readonly addressStarts: Int32Array;
  /** The bits of all columns in use. */
  private readonly inUse: Uint32Array;
  /** The set at hand. */
  private readonly scratch: Uint32Array;
  private readonly pages: Int32Array;
  private pageCount = 0;
  private readonly stamps: Int32Array;
  private ofSelection: Int32Array = new Int32Array(0);
  private ofBlocks: Int32Array = new Int32Array(0);
  private readonly unknownPods: number;
  private readonly namelessNodes: number;
  private readonly withoutAddress: number;
  /** Answers by question, one after another; -1: not asked yet. The first is for every peer (NP-08). */
  private answers: Int32Array = Int32Array.of(0, EVERYWHERE);
  private answerEnd = 2;
  private starts: Int32Array = new Int32Array(0);
  private ends: Int32Array = new Int32Array(0);

  constructor(columns: Columns) {
    const { partition, elements, noAddress, pairs, pairCount } = columns;
    this.columns = columns;
    const selectorClasses = new Int32Array(pairCount);
    this.finalOf = new Int32Array(pairCount);
    this.columnAt = new Int32Array(pairCount);
    const { items: order, starts: addressStarts } = orderPairs(columns);
    let count = 0;
    for (let at = 0, last = -1; at < pairCount; at++) {
      const id = order[at]!;
      const addressClass = pairs[id * 3 + 2]!;
      // Large address classes begin with a page: where blocks do not matter, pages of one family are pages of the other.
      if (addressClass !== last && addressStarts[addressClass + 1]! - addressStarts[addressClass]! >= Layout.PageSize)
        count = Math.ceil(count / Layout.PageSize) * Layout.PageSize;
      last = addressClass;
      selectorClasses[at] = pairs[id * 3 + 1]!;
      this.finalOf[id] = this.columnAt[at] = count++;
    }
    this.count = count;
    this.bySelectorClass = groupByKey(selectorClasses, partition.count);
    this.addressStarts = addressStarts;
    const pageCount = Math.ceil(count / Layout.PageSize);
    this.scratch = new Uint32Array(pageCount * 2);
    this.pages = new Int32Array(pageCount);
    this.inUse = new Uint32Array(pageCount * 2);
    for (let at = 0; at < pairCount; at++) this.inUse[this.columnAt[at]! >>> 5]! |= 1 << (this.columnAt[at]! & 31);
    this.stamps = new Int32Array(partition.count).fill(-1);
    this.addClass(partition.classOf[elements.unknownPod]!);
    this.unknownPods = this.close();
    this.addClass(partition.classOf[elements.namelessNode]!);
    this.namelessNodes = this.close();
    this.addAddresses(noAddress, noAddress + 1);
    this.withoutAddress = this.close();
    for (let column = 0; column < count; column++) this.addBits(column >>> 5, 1 << (column & 31));
    this.all = this.close();
  }

  /**
   * The columns that peers match, by the number of their question (-1: every peer), as pairs of missing facts and set: what matches
   * for certain (0) first; what may match for want of facts is not in those.
   */
  match(question: number): Selection {
    if (question < 0) return { words: this.answers, start: 0, end: 2 };
    this.starts = growFilled(this.starts, question + 1, -1);
    this.ends = grow(this.ends, question + 1);
    if (this.starts[question]! < 0) {
      this.starts[question] = this.answerEnd;
      this.answer(question);
      this.ends[question] = this.answerEnd;
    }
    return { words: this.answers, start: this.starts[question]!, end: this.ends[question]! };
  }

  /** All answers of `match` so far. */
  answered(): ColumnAnswers {
    const { answers, starts, ends, sets } = this;
    return { answers, starts, ends, words: sets.words, setStarts: sets.starts };
  }

  /** Columns by the named ports of their pods; `ports` undefined: unknown pods. Together they are every column in use. */
  portGroups(): readonly PortGroup[] {
    return (this.groups ??= this.groupByPorts());
  }

  private groupByPorts(): readonly PortGroup[] {
    const { index, elements, pairs } = this.columns;
    const groups = new Map<number, Uint32Array>();
    for (let id = 0; id < this.finalOf.length; id++) {
      const element = pairs[id * 3]!;
      const column = this.finalOf[id]!;
      // -1: unknown pods, whose ports nobody knows. -2: what is no pod, and has no named port.
      const group = element < index.count ? index.portGroupOf[element]! : element === elements.unknownPod ? -1 : -2;
      let bits = groups.get(group);
      if (bits === undefined) groups.set(group, (bits = new Uint32Array(this.scratch.length)));
      bits[column >>> 5]! |= 1 << (column & 31);
    }
    const none: NamedPorts = new Map();
    return [...groups].map(([group, bits]) => ({
      ports: group === -2 ? none : index.portGroups[group],
      bits,
    }));
  }

  /** NP-10, KL-02: one peer that matches is enough; one that cannot be asked for want of a fact is a possible match, with it. */
  private answer(question: number): void {
    const { questions } = this.columns.book;
    const first = this.answerEnd;
    let hasPods = false;
    let hasNodes = false;
    for (let at = 2, length = questions.lengthOf(question); at < length; at++) {
      const selection = questions.at(question, at);
      if (selection & 1) hasNodes = true;
      else hasPods = true;
      this.push(0, this.setOfSelection(selection));
    }
    const blocks = questions.at(question, 0);
    if (blocks >= 0) this.push(0, this.setOfBlocks(this.columns.blocksAt(blocks)));
    const last = this.answerEnd;
    if (hasPods) this.pushOpen(MissingFact.UnknownPod, this.unknownPods, first, last); // EP-07
    if (hasNodes) this.pushOpen(MissingFact.NoAddress, this.namelessNodes, first, last);
    if (blocks >= 0) this.pushOpen(MissingFact.NoAddress, this.withoutAddress, first, last); // EP-11
    if (questions.at(question, 1) === 1) this.pushOpen(MissingFact.DomainName, this.all, first, last); // TI-07
  }

  /** What matches for certain, `answers[first, last)`, is not open, whatever else is missing. */
  private pushOpen(missing: MissingFact, set: number, first: number, last: number): void {
    let left = set;
    for (let at = first; at < last; at += 2) left = this.sets.subtract(left, this.answers[at + 1]!);
    this.push(missing, left);
  }

  private push(missing: number, set: number): void {
    this.answers = grow(this.answers, this.answerEnd + 2);
    this.answers[this.answerEnd++] = missing;
    this.answers[this.answerEnd++] = set;
  }

  private setOfSelection(selection: number): number {
    this.ofSelection = growFilled(this.ofSelection, selection + 1, -1);
    if (this.ofSelection[selection]! >= 0) return this.ofSelection[selection]!;
    const { classOf } = this.columns.partition;
    const { stamps } = this;
    const { words, start, end } = this.columns.select(selection);
    for (let at = start; at < end; at++) {
      const selectorClass = classOf[words[at]!]!;
      if (stamps[selectorClass] === selection) continue;
      stamps[selectorClass] = selection;
      this.addClass(selectorClass);
    }
    return (this.ofSelection[selection] = this.close());
  }

  /** NP-20, NP-21: a class lies in these blocks or not, whatever other blocks except. */
  private setOfBlocks(place: number): number {
    this.ofBlocks = growFilled(this.ofBlocks, place + 1, -1);
    if (this.ofBlocks[place]! >= 0) return this.ofBlocks[place]!;
    const ranges = this.columns.blocks.rangesOfSet(place);
    for (let at = 0; at < ranges.length; at += 2) this.addAddresses(ranges[at]!, ranges[at + 1]!);
    return (this.ofBlocks[place] = this.close());
  }

  private addClass(id: number): void {
    const { starts, items } = this.bySelectorClass;
    for (let at = starts[id]!; at < starts[id + 1]!; at++) {
      const column = this.columnAt[items[at]!]!;
      this.addBits(column >>> 5, 1 << (column & 31));
    }
  }

  /** The columns of the classes of addresses from `first` to before `end`. */
  private addAddresses(first: number, end: number): void {
    const from = this.addressStarts[first]!;
    const to = this.addressStarts[end]! - 1;
    if (to < from) return;
    const low = this.columnAt[from]!;
    const high = this.columnAt[to]!;
    for (let word = low >>> 5; word <= high >>> 5; word++) {
      let bits = this.inUse[word]!;
      if (word === low >>> 5) bits &= -1 << (low & 31);
      if (word === high >>> 5) bits &= -1 >>> (31 - (high & 31));
      if (bits !== 0) this.addBits(word, bits);
    }
  }

  private addBits(word: number, bits: number): void {
    const { scratch } = this;
    if ((scratch[word & ~1]! | scratch[word | 1]!) === 0) this.pages[this.pageCount++] = word >>> 1;
    scratch[word]! |= bits;
  }

  /** The set of what was added since the last one. */
  private close(): number {
    const { scratch, pages, pageCount } = this;
    const set = this.sets.addPages(scratch, pages, pageCount);
    for (let at = 0; at < pageCount; at++) {
      scratch[pages[at]! * 2] = 0;
      scratch[pages[at]! * 2 + 1] = 0;
    }
    this.pageCount = 0;
    return set;
  }
}

/** Columns by their class of addresses, and in the order of their pods: by namespace, those together of which namespace selectors
 * say the same. */
function orderPairs({ partition, elements, index, pairs, pairCount, noAddress }: Columns): Groups {
  const firstOf = new Int32Array(partition.count).fill(-1);
  for (let element = elements.count - 1; element >= 0; element--) firstOf[partition.classOf[element]!] = element;
  const rankOf = index.rankNamespaces();
  const keys = Float64Array.from(firstOf, (element) => {
    const rank = element < index.count ? rankOf[element]! : elements.count;
    return rank * elements.count + element;
  });
  // Elements tell classes apart: sorted keys give them back.
  keys.sort();
  const rankOfClass = new Int32Array(partition.count);
  keys.forEach((key, rank) => (rankOfClass[partition.classOf[key % elements.count]!] = rank));
  const ranks = Int32Array.from({ length: pairCount }, (_, id) => rankOfClass[pairs[id * 3 + 1]!]!);
  const byRank = groupByKey(ranks, partition.count).items;
  const byAddress = groupByKey(
    byRank.map((id) => pairs[id * 3 + 2]!),
    noAddress + 1,
  );
  return { starts: byAddress.starts, items: byAddress.items.map((at) => byRank[at]!) };
}

/** Pods, the outside, unknown pods and nodes never share a class. */
function initialClasses(elements: Elements, nodeCount: number): Int32Array {
  const initial = new Int32Array(elements.count);
  const firstOther = elements.unitCount > 0 ? 1 : 0;
  initial[elements.outside] = firstOther;
  initial[elements.unknownPod] = firstOther + 1;
  for (let node = 0; node <= nodeCount; node++) initial[elements.firstNode + node] = firstOther + 2;
  initial[elements.namelessNode] = firstOther + 3;
  return initial;
}

/** Egress resolves a port's name on the peer: pods that resolve it differently are different peers. */
function refineByPorts(partition: Partition, index: UnitIndex): void {
  const { starts, items } = groupByKey(index.portGroupOf, index.portGroups.length);
  for (let group = 0; group < index.portGroups.length; group++)
    partition.refine(items, starts[group]!, starts[group + 1]!);
}
