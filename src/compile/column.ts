/**
 * Columns: what a table tells apart on the peer's side. A column is a class of selector signatures (which `from`/`to`
 * selectors match) crossed with a class of addresses (which ipBlocks contain it); only pairs that occur get a number.
 */
import type { Peer, Policy, Rule } from '../model/policy.ts';
import { MissingFact } from '../model/verdict.ts';
import { type Block, type BlockClasses, classifyBlocks } from './block.ts';
import { append } from './multimap.ts';
import { createPartition, type Partition } from './partition.ts';
import { matchesSelector, type NamedPorts, selectorKey, scopeKey, type UnitIndex } from './unit.ts';
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

/** Columns that a rule's peers match; `all` where it has none. Lists are ascending; `missing` runs beside `maybe`. */
export interface PeerColumns {
  readonly isAll: boolean;
  readonly yes: readonly number[];
  readonly maybe: readonly number[];
  readonly missing: readonly number[];
}

/** The columns of one direction. */
export interface Columns {
  readonly blocks: BlockClasses;
  /** The address class that stands for "no address known". */
  readonly noAddress: number;
  /** The column of an element at an address class; makes it if need be. Call for every endpoint before `match`. */
  column(element: number, addressClass: number): number;
  /** The columns that a rule's peers match. */
  match(rule: Rule): PeerColumns;
  /** [columns] the named ports of the pods of a column; undefined for unknown pods. */
  namedPorts(column: number): NamedPorts | undefined;
  readonly count: number;
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

/** Builds the columns of one direction from the peers of its rules. */
export function buildColumns(
  policies: readonly Policy[],
  direction: 'ingress' | 'egress',
  index: UnitIndex,
  nodes: readonly Node[],
): Columns {
  const elements = numberElements(index.units.length, nodes.length);
  const partition = createPartition(initialClasses(elements, nodes.length));
  const blocks: Block[] = [];
  const blockIds = new Map<string, number>();
  const members = new Map<string, readonly number[]>();

  for (const policy of policies)
    for (const rule of policy[direction])
      for (const peer of rule.peers ?? []) {
        if (peer.kind === 'ipBlock') {
          const key = blockKey(peer);
          if (!blockIds.has(key)) blockIds.set(key, blocks.push(peer) - 1);
        } else if (peer.kind !== 'domains') {
          const key = selectionKey(peer);
          if (members.has(key)) continue;
          const list = elementsOf(peer);
          members.set(key, list);
          partition.refine(list);
        }
      }
  if (direction === 'egress') refineByPorts(partition, index);

  const classes = classifyBlocks(blocks);
  const noAddress = classes.count;
  const ids = new Map<number, number>();
  const bySelectorClass = new Map<number, number[]>();
  const byAddressClass = new Map<number, number[]>();
  const sampleElement: number[] = [];
  const memo = new Map<string, PeerColumns>();
  const every: PeerColumns = { isAll: true, yes: [], maybe: [], missing: [] };

  return {
    blocks: classes,
    noAddress,
    get count() {
      return ids.size;
    },
    column(element, addressClass) {
      const selectorClass = partition.classOf[element]!;
      const key = selectorClass * (noAddress + 1) + addressClass;
      let id = ids.get(key);
      if (id === undefined) {
        id = ids.size;
        ids.set(key, id);
        append(bySelectorClass, selectorClass, id);
        append(byAddressClass, addressClass, id);
        sampleElement.push(element);
      }
      return id;
    },
    match(rule) {
      if (rule.peers === undefined) return every; // NP-08
      const key = rule.peers.map(peerKey).sort().join('\u0007');
      let result = memo.get(key);
      if (result === undefined) memo.set(key, (result = columnsOf(rule.peers)));
      return result;
    },
    namedPorts(column) {
      const element = sampleElement[column]!;
      if (element === elements.unknownPod) return undefined;
      return element < elements.unitCount ? index.units[element]!.namedPorts : new Map();
    },
  };

  function elementsOf(peer: Extract<Peer, { kind: 'pods' | 'nodes' }>): readonly number[] {
    if (peer.kind === 'pods') return index.select(peer); // NP-11, NP-12, NP-13
    // TI-06
    return nodes.flatMap((node, at) => (matchesSelector(peer.selector, node.labels) ? [elements.firstNode + at] : []));
  }

  /** NP-10, KL-02: one peer that matches is enough; one that cannot be asked for want of a fact is a possible match, with it. */
  function columnsOf(peers: readonly Peer[]): PeerColumns {
    const yes = new Set<number>();
    const maybe = new Map<number, number>();
    const possible = (columns: Iterable<number>, fact: MissingFact): void => {
      for (const column of columns) maybe.set(column, (maybe.get(column) ?? 0) | fact);
    };
    for (const peer of peers) {
      if (peer.kind === 'ipBlock') {
        // NP-20, NP-21: a class lies in this block or not, whatever other blocks except.
        for (const id of classes.classesOfBlock[blockIds.get(blockKey(peer))!]!)
          for (const column of byAddressClass.get(id) ?? []) yes.add(column);
        possible(byAddressClass.get(noAddress) ?? [], MissingFact.NoAddress); // EP-11
      } else if (peer.kind === 'domains') {
        possible(ids.values(), MissingFact.DomainName); // TI-07
      } else {
        const selected = new Set(members.get(selectionKey(peer))!.map((element) => partition.classOf[element]!));
        for (const id of selected) for (const column of bySelectorClass.get(id) ?? []) yes.add(column);
        if (peer.kind === 'pods')
          possible(bySelectorClass.get(partition.classOf[elements.unknownPod]!) ?? [], MissingFact.UnknownPod); // EP-07
        else possible(bySelectorClass.get(partition.classOf[elements.namelessNode]!) ?? [], MissingFact.NoAddress);
      }
    }
    for (const column of yes) maybe.delete(column);
    const open = [...maybe].sort((a, b) => a[0] - b[0]);
    return {
      isAll: false,
      yes: [...yes].sort((a, b) => a - b),
      maybe: open.map(([column]) => column),
      missing: open.map(([, facts]) => facts),
    };
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
  const groups = new Map<string, number[]>();
  index.units.forEach(({ namedPorts }, unit) => {
    const key = [...namedPorts]
      .map(([name, numbers]) => `${name}=${[...numbers].sort().join()}`)
      .sort()
      .join(';');
    append(groups, key, unit);
  });
  for (const units of groups.values()) partition.refine(units);
}

function peerKey(peer: Peer): string {
  switch (peer.kind) {
    case 'ipBlock':
      return `b${blockKey(peer)}`;
    case 'domains':
      return `d${peer.names.join()}`;
    default:
      return selectionKey(peer);
  }
}

function blockKey(block: Block): string {
  return `${block.cidr}!${[...block.except].sort().join()}`;
}

function selectionKey(peer: Extract<Peer, { kind: 'pods' | 'nodes' }>): string {
  return peer.kind === 'pods'
    ? `p${scopeKey(peer.namespaces)}\u0004${selectorKey(peer.pods)}`
    : `n${selectorKey(peer.selector)}`;
}
