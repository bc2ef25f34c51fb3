/**
 * Columns: what a table tells apart on the peer's side. A column is a class of selector signatures (which `from`/`to`
 * selectors match) crossed with a class of addresses (which rules' ipBlocks contain it); only pairs that occur get a number.
 * Columns of one address class lie together, in the order of their pods: what one rule matches then fills pages or leaves them.
 */
import type { Node } from '../model/cluster.ts';
import type { Direction } from '../model/policy.ts';
import { MissingFact } from '../model/verdict.ts';
import { type Block, type BlockClasses, classifyBlocks } from './block.ts';
import { DIRECTION_ORDINAL, type PolicyBook, RuleField } from './book.ts';
import { ColumnSets } from './column-set.ts';
import { groupByKey, type Groups } from './group.ts';
import { Layout } from './layout.ts';
import { grow, growFilled } from './list.ts';
import { EVERYWHERE } from './page-builder.ts';
import { createPartition, type Partition } from './partition.ts';
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

/** The columns of one direction. */
export interface Columns {
  readonly blocks: BlockClasses;
  /** The address class that stands for "no address known". */
  readonly noAddress: number;
  /** The column of an element at an address class; makes it if need be. Its number is for `finish` to translate. */
  column(element: number, addressClass: number): number;
  /** Numbers the columns for good, once every endpoint has asked for its own. Undefined: `column` has made more since then,
   * which are forgotten. */
  finish(): FinishedColumns | undefined;
  /** Takes in the rules of one more policy of the book, after `finish`. False: they tell apart what the columns do not. */
  admit(policy: number): boolean;
}

/** Columns under their final numbers. */
export interface FinishedColumns {
  /** The last number + 1; some below are not in use. */
  readonly count: number;
  /** [numbers that `column` gave] final number. */
  readonly finalOf: Int32Array;
  readonly sets: ColumnSets;
  /** The set of every column. */
  readonly all: number;
  /**
   * The columns that peers match, by the number of their question (-1: every peer), as pairs of missing facts and set: what matches
   * for certain (0) first; what may match for want of facts is not in those. Shared: do not change it.
   */
  match(question: number): Matched;
  /** Columns by the named ports of their pods; `ports` undefined: unknown pods. Together they are every column in use. */
  portGroups(): readonly { readonly ports: NamedPorts | undefined; readonly bits: Uint32Array }[];
}

/** Pairs of missing facts and set: `words[start, end)`. */
export type Matched = Selection;

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

/** Builds the columns of one direction from the peers of all rules in a book. */
export function buildColumns(
  book: PolicyBook,
  direction: Direction,
  index: UnitIndex,
  nodes: readonly Node[],
): Columns {
  const elements = numberElements(index.count, nodes.length);
  const partition = createPartition(initialClasses(elements, nodes.length));
  // [selections and questions of the book] 1: taken into the partition.
  const known = { selections: new Uint8Array(0), questions: new Uint8Array(0) };
  const nodeSelections = new Map<number, Int32Array>();
  // Sets of blocks in the order of their first use, by their numbers in the book.
  const blockSets: (readonly Block[])[] = [];
  const placeOfBlocks = new Map<number, number>();
  makeRoom();
  for (let policy = 0; policy < book.policies.length; policy++) eachQuestion(policy, takeIn);
  if (direction === 'egress') refineByPorts(partition, index);

  const classes = classifyBlocks(blockSets);
  const noAddress = classes.count;
  const ids = new Map<number, number>();
  let finished: FinishedColumns | undefined;
  // Columns by number: an element that has it, its class of selectors, its class of addresses.
  let pairs: Int32Array = new Int32Array(3 * 1024);
  let pairCount = 0;

  return {
    blocks: classes,
    noAddress,
    column(element, addressClass) {
      const selectorClass = partition.classOf[element]!;
      const key = pairKey(selectorClass, addressClass);
      let id = ids.get(key);
      if (id === undefined) {
        ids.set(key, (id = pairCount++));
        if (pairCount * 3 > pairs.length) pairs = grow(pairs, pairCount * 3);
        pairs[id * 3] = element;
        pairs[id * 3 + 1] = selectorClass;
        pairs[id * 3 + 2] = addressClass;
      }
      return id;
    },
    finish() {
      finished ??= number();
      const { length } = finished.finalOf;
      if (pairCount === length) return finished;
      while (pairCount > length) {
        pairCount--;
        ids.delete(pairKey(pairs[pairCount * 3 + 1]!, pairs[pairCount * 3 + 2]!));
      }
      return undefined;
    },
    admit(policy) {
      makeRoom();
      let isCovered = true;
      eachQuestion(policy, (question) => (isCovered &&= covers(question)));
      if (isCovered) eachQuestion(policy, takeIn);
      return isCovered;
    },
  };

  function pairKey(selectorClass: number, addressClass: number): number {
    return selectorClass * (noAddress + 1) + addressClass;
  }

  /** The book may have grown. */
  function makeRoom(): void {
    const selections = 2 * Math.max(book.sets.count, book.selectors.count);
    if (selections > known.selections.length) known.selections = growBytes(known.selections, selections);
    if (book.questions.count > known.questions.length)
      known.questions = growBytes(known.questions, book.questions.count);
  }

  function eachQuestion(policy: number, visit: (question: number) => void): void {
    const place = policy * 2 + DIRECTION_ORDINAL[direction];
    for (let rule = book.ruleStarts[place]!; rule < book.ruleStarts[place + 1]!; rule++) {
      const question = book.rules[rule * RuleField.Stride + RuleField.Question]!;
      if (question >= 0) visit(question);
    }
  }

  function takeIn(question: number): void {
    if (known.questions[question] === 1) return;
    known.questions[question] = 1;
    const blocks = book.questions.at(question, 0);
    if (blocks >= 0 && !placeOfBlocks.has(blocks))
      placeOfBlocks.set(blocks, blockSets.push(book.blockSets[blocks]!) - 1);
    for (let at = 2, length = book.questions.lengthOf(question); at < length; at++) {
      const selection = book.questions.at(question, at);
      if (known.selections[selection] === 1) continue;
      known.selections[selection] = 1;
      const { words, start, end } = select(selection);
      partition.refine(words, start, end);
    }
  }

  function covers(question: number): boolean {
    const blocks = book.questions.at(question, 0);
    if (blocks >= 0 && !placeOfBlocks.has(blocks)) return false;
    for (let at = 2, length = book.questions.lengthOf(question); at < length; at++) {
      const selection = book.questions.at(question, at);
      if (known.selections[selection] === 1) continue;
      const { words, start, end } = select(selection);
      if (partition.cuts(words, start, end)) return false;
    }
    return true;
  }

  /** NP-11, NP-12, NP-13, and TI-06: the elements of a selection, see `PolicyBook.questions`. */
  function select(selection: number): Selection {
    if ((selection & 1) === 0) return index.select(selection >> 1);
    let words = nodeSelections.get(selection);
    if (words === undefined) {
      const selector = book.selectorOf[selection >> 1]!;
      words = Int32Array.from(
        nodes.flatMap(({ labels }, at) => (matchesSelector(selector, labels) ? [elements.firstNode + at] : [])),
      );
      nodeSelections.set(selection, words);
    }
    return { words, start: 0, end: words.length };
  }

  function number(): FinishedColumns {
    const total = pairCount;
    const selectorClasses = new Int32Array(total);
    const addressClasses = new Int32Array(total);
    const finalOf = new Int32Array(total);
    const columnAt = new Int32Array(total);
    const { items: order, starts: addressStarts } = orderPairs();
    let count = 0;
    for (let at = 0, last = -1; at < total; at++) {
      const id = order[at]!;
      const addressClass = pairs[id * 3 + 2]!;
      // Large address classes begin with a page: where blocks do not matter, pages of one family are pages of the other.
      if (addressClass !== last && addressStarts[addressClass + 1]! - addressStarts[addressClass]! >= Layout.PageSize)
        count = Math.ceil(count / Layout.PageSize) * Layout.PageSize;
      last = addressClass;
      selectorClasses[at] = pairs[id * 3 + 1]!;
      addressClasses[at] = addressClass;
      finalOf[id] = columnAt[at] = count++;
    }
    // Both by place in `order`.
    const bySelectorClass = groupByKey(selectorClasses, partition.count);
    const byAddressClass = groupByKey(addressClasses, noAddress + 1);

    const pageCount = Math.ceil(count / Layout.PageSize);
    const scratch = new Uint32Array(pageCount * 2);
    const pages = new Int32Array(pageCount);
    let used = 0;
    const stamps = new Int32Array(partition.count).fill(-1);
    const sets = new ColumnSets();
    let ofSelection: Int32Array = new Int32Array(0);
    const ofBlocks = new Int32Array(blockSets.length).fill(-1);
    addClass(bySelectorClass, partition.classOf[elements.unknownPod]!);
    const unknownPods = close();
    addClass(bySelectorClass, partition.classOf[elements.namelessNode]!);
    const namelessNodes = close();
    addClass(byAddressClass, noAddress);
    const withoutAddress = close();
    for (let column = 0; column < count; column++) addColumn(column);
    const all = close();

    // Answers by question, one after another; -1: not asked yet. The first is for every peer.
    let answers: Int32Array = new Int32Array(4096);
    let starts: Int32Array = new Int32Array(256).fill(-1);
    let ends: Int32Array = new Int32Array(256);
    let answered = 2;
    answers[1] = EVERYWHERE; // NP-08

    return { count, finalOf, sets, all, match, portGroups };

    function match(question: number): Matched {
      if (question < 0) return { words: answers, start: 0, end: 2 };
      if (question >= starts.length) {
        starts = growFilled(starts, question + 1, -1);
        ends = grow(ends, question + 1);
      }
      if (starts[question]! < 0) {
        starts[question] = answered;
        answer(question);
        ends[question] = answered;
      }
      return { words: answers, start: starts[question]!, end: ends[question]! };
    }

    /** NP-10, KL-02: one peer that matches is enough; one that cannot be asked for want of a fact is a possible match, with it. */
    function answer(question: number): void {
      const first = answered;
      let hasPods = false;
      let hasNodes = false;
      for (let at = 2, length = book.questions.lengthOf(question); at < length; at++) {
        const selection = book.questions.at(question, at);
        if (selection & 1) hasNodes = true;
        else hasPods = true;
        push(0, setOfSelection(selection));
      }
      const blocks = book.questions.at(question, 0);
      if (blocks >= 0) push(0, setOfBlocks(placeOfBlocks.get(blocks)!));
      const last = answered;
      if (hasPods) pushOpen(MissingFact.UnknownPod, unknownPods, first, last); // EP-07
      if (hasNodes) pushOpen(MissingFact.NoAddress, namelessNodes, first, last);
      if (blocks >= 0) pushOpen(MissingFact.NoAddress, withoutAddress, first, last); // EP-11
      if (book.questions.at(question, 1) === 1) pushOpen(MissingFact.DomainName, all, first, last); // TI-07
    }

    /** What matches for certain, `answers[first, last)`, is not open, whatever else is missing. */
    function pushOpen(missing: MissingFact, set: number, first: number, last: number): void {
      let left = set;
      for (let at = first; at < last; at += 2) left = sets.subtract(left, answers[at + 1]!);
      push(missing, left);
    }

    function push(missing: number, set: number): void {
      if (answered + 2 > answers.length) answers = grow(answers, answered + 2);
      answers[answered++] = missing;
      answers[answered++] = set;
    }

    function setOfSelection(selection: number): number {
      if (selection >= ofSelection.length) ofSelection = growFilled(ofSelection, selection + 1, -1);
      if (ofSelection[selection]! >= 0) return ofSelection[selection]!;
      const { words, start, end } = select(selection);
      for (let at = start; at < end; at++) {
        const selectorClass = partition.classOf[words[at]!]!;
        if (stamps[selectorClass] === selection) continue;
        stamps[selectorClass] = selection;
        addClass(bySelectorClass, selectorClass);
      }
      return (ofSelection[selection] = close());
    }

    /** NP-20, NP-21: a class lies in these blocks or not, whatever other blocks except. */
    function setOfBlocks(place: number): number {
      if (ofBlocks[place]! >= 0) return ofBlocks[place]!;
      const own = classes.classesOfSet(place);
      for (let at = 0; at < own.length; at++) addClass(byAddressClass, own[at]!);
      return (ofBlocks[place] = close());
    }

    function addClass({ starts: from, items }: Groups, id: number): void {
      for (let at = from[id]!; at < from[id + 1]!; at++) addColumn(columnAt[items[at]!]!);
    }

    function addColumn(column: number): void {
      const page = column >>> Layout.PageBits;
      if ((scratch[page * 2]! | scratch[page * 2 + 1]!) === 0) pages[used++] = page;
      scratch[column >>> 5]! |= 1 << (column & 31);
    }

    /** The set of what was added since the last one. */
    function close(): number {
      const set = sets.addPages(scratch, pages, used);
      for (let at = 0; at < used; at++) scratch.fill(0, pages[at]! * 2, pages[at]! * 2 + 2);
      used = 0;
      return set;
    }

    function portGroups(): ReturnType<FinishedColumns['portGroups']> {
      const groups = new Map<number, Uint32Array>();
      for (let id = 0; id < total; id++) {
        const element = pairs[id * 3]!;
        const column = finalOf[id]!;
        // -1: unknown pods, whose ports nobody knows. -2: what is no pod, and has no named port.
        const group = element < index.count ? index.portGroupOf[element]! : element === elements.unknownPod ? -1 : -2;
        let bits = groups.get(group);
        if (bits === undefined) groups.set(group, (bits = new Uint32Array(pageCount * 2)));
        bits[column >>> 5]! |= 1 << (column & 31);
      }
      const none: NamedPorts = new Map();
      return [...groups].map(([group, bits]) => ({
        ports: group === -1 ? undefined : group === -2 ? none : index.portGroups[group]!,
        bits,
      }));
    }
  }

  /** Columns by their class of addresses, and in the order of their pods: by namespace, those together of which namespace
   * selectors say the same. */
  function orderPairs(): Groups {
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

function growBytes(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const grown = new Uint8Array(length);
  grown.set(bytes);
  return grown;
}
