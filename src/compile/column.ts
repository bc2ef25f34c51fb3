/**
 * Columns: what a table tells apart on the peer's side. A column is a class of selector signatures (which `from`/`to`
 * selectors match) crossed with a class of addresses (which rules' ipBlocks contain it); only pairs that occur get a number.
 * Columns of one address class lie together, in the order of their pods: what one rule matches then fills pages or leaves them.
 */
import type { Peer, Policy, Rule } from '../model/policy.ts';
import { MissingFact } from '../model/verdict.ts';
import { type Block, type BlockClasses, classifyBlocks } from './block.ts';
import { Layout } from './layout.ts';
import { ColumnSets } from './column-set.ts';
import { append } from './multimap.ts';
import { createPartition, type Partition } from './partition.ts';
import { matchesSelector, type NamedPorts, type UnitIndex } from './unit.ts';
import type { Node } from '../model/cluster.ts';

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

/**
 * Columns that a rule's peers match: the union of `yes` for certain, those of `maybe` for want of facts perhaps, unless they are
 * in `yes` too. Sets are shared between rules, by their numbers in `FinishedColumns.sets`.
 */
export interface PeerColumns {
  /** Undefined: every column. */
  readonly yes: readonly number[] | undefined;
  readonly maybe: readonly { readonly missing: MissingFact; readonly set: number }[];
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
  /** Takes in the rules of one more policy, after `finish`. False: they tell apart what the columns do not. */
  admit(policy: Policy): boolean;
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
  /** The columns that a rule's peers match. */
  match(rule: Rule): PeerColumns;
  /** Columns by the named ports of their pods; `ports` undefined: unknown pods. Together they are every column in use. */
  readonly portGroups: readonly { readonly ports: NamedPorts | undefined; readonly bits: Uint32Array }[];
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

/** What one rule asks of its peers: numbers of selections, and of one set of blocks. */
interface Question {
  readonly selections: readonly number[];
  /** -1: no ipBlock. */
  readonly addresses: number;
  readonly hasDomains: boolean;
}

/** Builds the columns of one direction from the peers of its rules. */
export function buildColumns(
  policies: readonly Policy[],
  direction: 'ingress' | 'egress',
  index: UnitIndex,
  nodes: readonly Node[],
): Columns {
  const elements = numberElements(index.units.length, nodes.length);
  const partition = createPartition(initialClasses(elements, nodes.length));
  const selections: { readonly kind: 'pods' | 'nodes'; readonly members: Int32Array }[] = [];
  const selectionIds = new Map<number, number>();
  const sets: (readonly Block[])[] = [];
  const setIds = new Map<string, number>();
  const questionOf = new WeakMap<Rule, Question>();

  for (const policy of policies)
    for (const rule of policy[direction]) if (rule.peers !== undefined) questionOf.set(rule, intern(rule.peers));
  if (direction === 'egress') refineByPorts(partition, index);

  const classes = classifyBlocks(sets);
  const noAddress = classes.count;
  const ids = new Map<number, number>();
  let finished: FinishedColumns | undefined;
  const pairs: { readonly element: number; readonly selectorClass: number; readonly addressClass: number }[] = [];

  return {
    blocks: classes,
    noAddress,
    column(element, addressClass) {
      const selectorClass = partition.classOf[element]!;
      const key = pairKey(selectorClass, addressClass);
      let id = ids.get(key);
      if (id === undefined) ids.set(key, (id = pairs.push({ element, selectorClass, addressClass }) - 1));
      return id;
    },
    finish() {
      finished ??= number();
      const { length } = finished.finalOf;
      if (pairs.length === length) return finished;
      for (const { selectorClass, addressClass } of pairs.splice(length))
        ids.delete(pairKey(selectorClass, addressClass));
      return undefined;
    },
    admit(policy) {
      const rules = policy[direction].filter(({ peers }) => peers !== undefined);
      if (!rules.every(({ peers }) => isCovered(peers!))) return false;
      for (const rule of rules) questionOf.set(rule, intern(rule.peers!));
      return true;
    },
  };

  function pairKey(selectorClass: number, addressClass: number): number {
    return selectorClass * (noAddress + 1) + addressClass;
  }

  function isCovered(peers: readonly Peer[]): boolean {
    const blocks = peers.filter((peer) => peer.kind === 'ipBlock');
    if (blocks.length > 0 && !setIds.has(setKey(blocks))) return false;
    return peers.every((peer) => {
      if (peer.kind === 'ipBlock' || peer.kind === 'domains') return true;
      const key = selectionKey(peer);
      return selectionIds.has(key) || !partition.cuts(elementsOf(peer, key));
    });
  }

  function intern(peers: readonly Peer[]): Question {
    const blocks: Block[] = [];
    const chosen: number[] = [];
    let hasDomains = false;
    for (const peer of peers) {
      if (peer.kind === 'ipBlock') blocks.push(peer);
      else if (peer.kind === 'domains') hasDomains = true;
      else {
        const selection = selectionOf(peer);
        if (!chosen.includes(selection)) chosen.push(selection);
      }
    }
    let addresses = -1;
    if (blocks.length > 0) {
      const key = setKey(blocks);
      const known = setIds.get(key);
      addresses = known ?? sets.push(blocks) - 1;
      if (known === undefined) setIds.set(key, addresses);
    }
    return { selections: chosen, addresses, hasDomains };
  }

  function selectionOf(peer: Extract<Peer, { kind: 'pods' | 'nodes' }>): number {
    const key = selectionKey(peer);
    let id = selectionIds.get(key);
    if (id === undefined) {
      const members = elementsOf(peer, key);
      selectionIds.set(key, (id = selections.push({ kind: peer.kind, members }) - 1));
      partition.refine(members);
    }
    return id;
  }

  /** The identity of what a peer selects: pod sets from 0 up, nodes below. */
  function selectionKey(peer: Extract<Peer, { kind: 'pods' | 'nodes' }>): number {
    return peer.kind === 'pods' ? index.setNumber(peer) : -1 - index.selectorNumber(peer.selector);
  }

  function elementsOf(peer: Extract<Peer, { kind: 'pods' | 'nodes' }>, key: number): Int32Array {
    if (peer.kind === 'pods') return index.select(peer, key); // NP-11, NP-12, NP-13
    // TI-06
    return Int32Array.from(
      nodes.flatMap((node, at) => (matchesSelector(peer.selector, node.labels) ? [elements.firstNode + at] : [])),
    );
  }

  function number(): FinishedColumns {
    const ranks = rankClasses();
    const order = Int32Array.from(pairs, (_, id) => id).sort(
      (a, b) =>
        pairs[a]!.addressClass - pairs[b]!.addressClass ||
        ranks[pairs[a]!.selectorClass]! - ranks[pairs[b]!.selectorClass]!,
    );
    const finalOf = new Int32Array(pairs.length);
    const bySelectorClass: number[][] = [];
    const byAddressClass: number[][] = [];
    const sizes = new Map<number, number>();
    for (const { addressClass } of pairs) sizes.set(addressClass, (sizes.get(addressClass) ?? 0) + 1);
    let count = 0;
    let last = -1;
    for (const id of order) {
      const { selectorClass, addressClass } = pairs[id]!;
      // Large address classes begin with a page: where blocks do not matter, pages of one family are pages of the other.
      if (addressClass !== last && sizes.get(addressClass)! >= Layout.PageSize)
        count = Math.ceil(count / Layout.PageSize) * Layout.PageSize;
      last = addressClass;
      finalOf[id] = count;
      (bySelectorClass[selectorClass] ??= []).push(count);
      (byAddressClass[addressClass] ??= []).push(count);
      count++;
    }
    const words = Math.ceil(count / Layout.PageSize) * 2;
    const scratch = new Uint32Array(words);
    const stamps = new Int32Array(partition.count).fill(-1);
    const sets = new ColumnSets();
    const ofSelection: (number | undefined)[] = [];
    const ofBlocks: (number | undefined)[] = [];
    const every: PeerColumns = { yes: undefined, maybe: [] };
    const ofClass = (lists: readonly number[][], id: number): number => setOf((bits) => addBits(bits, lists[id]));
    const unknownPods = ofClass(bySelectorClass, partition.classOf[elements.unknownPod]!);
    const namelessNodes = ofClass(bySelectorClass, partition.classOf[elements.namelessNode]!);
    const withoutAddress = ofClass(byAddressClass, noAddress);
    const all = setOf((bits) => {
      for (let column = 0; column < count; column++) bits[column >>> 5]! |= 1 << (column & 31);
    });

    return { count, finalOf, sets, all, match, portGroups: groupByPorts() };

    function match(rule: Rule): PeerColumns {
      if (rule.peers === undefined) return every; // NP-08
      return answer(questionOf.get(rule)!);
    }

    /** NP-10, KL-02: one peer that matches is enough; one that cannot be asked for want of a fact is a possible match, with it. */
    function answer({ selections: chosen, addresses, hasDomains }: Question): PeerColumns {
      const yes = chosen.map((id) => (ofSelection[id] ??= setOfSelection(id)));
      const maybe: { missing: MissingFact; set: number }[] = [];
      if (chosen.some((id) => selections[id]!.kind === 'pods'))
        maybe.push({ missing: MissingFact.UnknownPod, set: unknownPods }); // EP-07
      if (chosen.some((id) => selections[id]!.kind === 'nodes'))
        maybe.push({ missing: MissingFact.NoAddress, set: namelessNodes });
      if (addresses >= 0) {
        // NP-20, NP-21: a class lies in these blocks or not, whatever other blocks except.
        yes.push(
          (ofBlocks[addresses] ??= setOf((bits) => {
            const own = classes.classesOfSet[addresses]!;
            for (let at = 0; at < own.length; at++) addBits(bits, byAddressClass[own[at]!]);
          })),
        );
        maybe.push({ missing: MissingFact.NoAddress, set: withoutAddress }); // EP-11
      }
      if (hasDomains) maybe.push({ missing: MissingFact.DomainName, set: all }); // TI-07
      // What matches for certain is not open, whatever else is missing.
      return {
        yes,
        maybe: maybe.map(({ missing, set }) => ({
          missing,
          set: yes.reduce((left, own) => sets.subtract(left, own), set),
        })),
      };
    }

    function setOfSelection(id: number): number {
      const { members } = selections[id]!;
      return setOf((bits) => {
        for (let at = 0; at < members.length; at++) {
          const selectorClass = partition.classOf[members[at]!]!;
          if (stamps[selectorClass] === id) continue;
          stamps[selectorClass] = id;
          addBits(bits, bySelectorClass[selectorClass]);
        }
      });
    }

    function setOf(fill: (bits: Uint32Array) => void): number {
      scratch.fill(0);
      fill(scratch);
      return sets.add(scratch);
    }

    /** Selector classes in the order of their columns: by namespace, those together of which namespace selectors say the same. */
    function rankClasses(): Int32Array {
      const firstOf = new Int32Array(partition.count).fill(-1);
      for (let element = elements.count - 1; element >= 0; element--) firstOf[partition.classOf[element]!] = element;
      const rankOf = index.rankNamespaces();
      const keyOf = (element: number): number => rankOf.get(index.units[element]?.namespace ?? '') ?? rankOf.size;
      const keys = firstOf.map((element) => keyOf(element));
      const byRank = firstOf.map((_, id) => id).sort((a, b) => keys[a]! - keys[b]! || firstOf[a]! - firstOf[b]!);
      const ranks = new Int32Array(partition.count);
      byRank.forEach((id, rank) => (ranks[id] = rank));
      return ranks;
    }

    function groupByPorts(): FinishedColumns['portGroups'] {
      const groups = new Map<number, Uint32Array>();
      pairs.forEach(({ element }, id) => {
        const column = finalOf[id]!;
        // -1: unknown pods, whose ports nobody knows. -2: what is no pod, and has no named port.
        const group = element === elements.unknownPod ? -1 : (index.units[element]?.portGroup ?? -2);
        let bits = groups.get(group);
        if (bits === undefined) groups.set(group, (bits = new Uint32Array(words)));
        bits[column >>> 5]! |= 1 << (column & 31);
      });
      const none: NamedPorts = new Map();
      return [...groups].map(([group, bits]) => ({
        ports: group === -1 ? undefined : group === -2 ? none : index.portGroups[group]!,
        bits,
      }));
    }
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
  const groups = new Map<number, number[]>();
  index.units.forEach(({ portGroup }, unit) => append(groups, portGroup, unit));
  for (const units of groups.values()) partition.refine(units);
}

function addBits(bits: Uint32Array, columns: readonly number[] | undefined): void {
  if (columns === undefined) return;
  for (let at = 0; at < columns.length; at++) bits[columns[at]! >>> 5]! |= 1 << (columns[at]! & 31);
}

/** The identity of a set of blocks, whatever their order. */
function setKey(blocks: readonly Block[]): string {
  return blocks.length === 1 ? blockKey(blocks[0]!) : [...new Set(blocks.map(blockKey))].sort().join('\u0001');
}

function blockKey(block: Block): string {
  return block.except.length === 0 ? block.cidr : `${block.cidr}!${[...block.except].sort().join()}`;
}
