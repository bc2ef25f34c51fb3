/**
 * Policies in numbers. Whatever is equal among labels, selectors, pod sets, peers and ports of all policies gets one number here, the
 * only place that looks at their texts: policies name their peers tens of thousands of times, and what follows compares
 * numbers. Policies, and their rules, are numbered in the order of reading.
 */
import type { ContainerPort } from '../model/cluster.ts';
import type { Labels, Operator, Requirement, Selector } from '../model/label.ts';
import type { Action, Direction, NamespaceScope, Peer, PodSet, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import type { Block } from './block.ts';
import { grow, ListStore } from './list.ts';
import { PROTOCOL_ORDINAL } from './port.ts';

/** A rule in `PolicyBook.rules`. */
export const enum RuleField {
  /** Number of its peers, see `question`; -1: every peer. */
  Question = 0,
  /** Number of its ports, see `portsOf`; -1: every port. */
  Ports = 1,
  Action = 2,
  Stride = 3,
}

/** What a policy is, in bits. */
export const enum PolicyFlag {
  /** Of the NetworkPolicy tier. */
  NetworkPolicy = 1,
  /** Says something about a direction, see `isGoverning`; shift by the direction's ordinal: egress 0, ingress 1. */
  Governs = 2,
  /** Isolates its subject in a direction; shifted alike. */
  Isolates = 8,
  /** Some ingress rule names a port. */
  NamedIngress = 32,
}

/** Ordinals of the directions. */
export const DIRECTION_ORDINAL: Readonly<Record<Direction, 0 | 1>> = { egress: 0, ingress: 1 };

/** By the number of `RuleField.Action`. */
export const ACTIONS: readonly Action[] = ['Accept', 'Deny', 'Pass'];

const OPERATORS: readonly Operator[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** One label key that some selector asks for, with the values that are named beside it: a number for each pair. */
interface LabelKey {
  readonly number: number;
  readonly values: Map<string, number>;
  /** The number of every value that nobody names. */
  readonly other: number;
}

/** How much has been asked for: all that can tell two pods apart. */
export interface Asked {
  readonly labels: number;
  readonly portNames: number;
}

/** Reads policies; numbers of everything count from 0. */
export class PolicyBook {
  readonly policies: Policy[] = [];
  /** [policies] `PolicyFlag` bits. */
  readonly flags: number[] = [];
  /** [policies] number of the subject's pod set. */
  readonly subjects: number[] = [];
  /** [rules x RuleField.Stride] */
  rules: Int32Array = new Int32Array(0);
  /** [2 x policies + 1] first rule of each policy's egress, then ingress. */
  ruleStarts: Int32Array = new Int32Array(1);
  /** Requirements by number: operator, key, numbers of (key, value) ascending. */
  readonly requirements: ListStore = new ListStore();
  /** Selectors by number: numbers of their requirements, ascending. */
  readonly selectors: ListStore = new ListStore();
  /** One spelling of each selector. */
  readonly selectorOf: Selector[] = [];
  /** Pod sets by number: scope, selector. A scope is 2 x the number of a namespace's name, or 2 x that of a selector + 1. */
  readonly sets: ListStore = new ListStore();
  /**
   * What rules ask of their peers, by number: number of the set of ipBlocks or -1, 1 where there are domains, then selections
   * ascending: 2 x a pod set, or 2 x a selector of nodes + 1.
   */
  readonly questions: ListStore = new ListStore();
  /** Sets of ipBlocks by number. */
  readonly blockSets: (readonly Block[])[] = [];
  /** One spelling of each list of ports. */
  readonly portsOf: (readonly PortMatch[])[] = [];
  /** [lists of ports] 1 where a port is named. */
  readonly isNamed: number[] = [];
  /** Names of ports that some rule asks for: their numbers, and bits of the protocols (by ordinal) that are asked for with them. */
  private readonly portNames = new Map<string, { readonly number: number; protocols: number }>();
  /** [namespaces] by number. */
  readonly namespaces: string[] = [];
  private readonly namespaceNumbers = new Map<string, number>();
  private readonly labels = new Map<string, LabelKey>();
  /** [labels] the key of each (key, value). */
  private readonly keyOfLabel: number[] = [];
  /** [labels] the selector that asks for this alone; -1: not met yet. */
  private readonly selectorOfLabel: number[] = [];
  private readonly blockSetNumbers = new Map<string, number>();
  private readonly portLists = new ListStore();
  private portNamesAsked = 0;
  private ruleCount = 0;
  private peerList: Int32Array = new Int32Array(2);
  private selectorList: Int32Array = new Int32Array(2);
  private valueList: Int32Array = new Int32Array(2);
  private portList: Int32Array = new Int32Array(2);
  private readonly pair = new Int32Array(2);

  /** Numbers of (key, value) so far, those of other values included. */
  get labelCount(): number {
    return this.keyOfLabel.length;
  }

  get keyCount(): number {
    return this.labels.size;
  }

  /** How much has been asked for so far. It grows when a policy asks for more, and for nothing else. */
  get asked(): Asked {
    return { labels: this.keyOfLabel.length, portNames: this.portNamesAsked };
  }

  /** Reads one more policy; returns its number. */
  read(policy: Policy): number {
    const number = this.policies.push(policy) - 1;
    this.subjects.push(this.set(policy.subject));
    let flags = policy.tier === 'networkpolicy' ? PolicyFlag.NetworkPolicy : 0;
    for (const direction of ['egress', 'ingress'] as const) {
      const ordinal = DIRECTION_ORDINAL[direction];
      if (isGoverning(policy, direction)) flags |= PolicyFlag.Governs << ordinal;
      if (flags & PolicyFlag.NetworkPolicy && policy.isolates.includes(direction))
        flags |= PolicyFlag.Isolates << ordinal;
      const rules = policy[direction];
      for (let at = 0; at < rules.length; at++) {
        const ports = this.readRule(rules[at]!);
        if (ordinal === 1 && ports >= 0 && this.isNamed[ports] === 1) flags |= PolicyFlag.NamedIngress;
      }
      const place = number * 2 + ordinal + 1;
      this.ruleStarts = grow(this.ruleStarts, place + 1);
      this.ruleStarts[place] = this.ruleCount;
    }
    this.flags.push(flags);
    return number;
  }

  /** Writes what is asked for of a pod's labels into `target` from `at` on, ascending; returns where they end. */
  readLabels(labels: Labels, target: Int32Array, at: number): number {
    let end = at;
    for (const [key, value] of labels) {
      const known = this.labels.get(key);
      if (known === undefined) continue;
      const label = known.values.get(value) ?? known.other;
      let place = end++;
      for (; place > at && target[place - 1]! > label; place--) target[place] = target[place - 1]!;
      target[place] = label;
    }
    return end;
  }

  /** A number for the name and protocol of a pod's port, where some rule asks for them; else -1. */
  numberOfPort({ name, protocol }: ContainerPort): number {
    // Rules name no port undefined.
    const known = this.portNames.get(name!);
    const ordinal = PROTOCOL_ORDINAL[protocol];
    return known !== undefined && (known.protocols >> ordinal) & 1 ? known.number * 4 + ordinal : -1;
  }

  /** The key of a (key, value) by number. */
  keyOf(label: number): number {
    return this.keyOfLabel[label]!;
  }

  private readRule({ peers, ports, action }: Rule): number {
    const at = this.ruleCount++ * RuleField.Stride;
    const question = peers === undefined ? -1 : this.question(peers);
    const list = ports === undefined ? -1 : this.ports(ports);
    this.rules = grow(this.rules, at + RuleField.Stride);
    this.rules[at + RuleField.Question] = question;
    this.rules[at + RuleField.Ports] = list;
    this.rules[at + RuleField.Action] = ACTIONS.indexOf(action);
    return list;
  }

  private question(peers: readonly Peer[]): number {
    this.peerList = grow(this.peerList, peers.length + 2);
    const list = this.peerList;
    let blocks: Block[] | undefined;
    let length = 2;
    list[1] = 0;
    for (let at = 0; at < peers.length; at++) {
      const peer = peers[at]!;
      if (peer.kind === 'pods') length = insert(list, 2, length, this.set(peer) * 2);
      else if (peer.kind === 'ipBlock') (blocks ??= []).push(peer);
      else if (peer.kind === 'domains') list[1] = 1;
      else length = insert(list, 2, length, this.selector(peer.selector) * 2 + 1);
    }
    list[0] = blocks === undefined ? -1 : this.blockSet(blocks);
    return this.questions.intern(list, length);
  }

  private set({ namespaces, pods }: PodSet): number {
    const scope = this.scope(namespaces);
    const selector = this.selector(pods);
    this.pair[0] = scope;
    this.pair[1] = selector;
    return this.sets.intern(this.pair, 2);
  }

  private scope(scope: NamespaceScope): number {
    if (scope.kind === 'selected') return this.selector(scope.selector) * 2 + 1;
    let number = this.namespaceNumbers.get(scope.namespace);
    if (number === undefined) {
      number = this.namespaces.push(scope.namespace) - 1;
      this.namespaceNumbers.set(scope.namespace, number);
    }
    return number * 2;
  }

  /** Equal selectors have one number, whatever the order of their requirements. */
  private selector(selector: Selector): number {
    if (selector.length === 1) {
      const { key, operator, values } = selector[0]!;
      // Most selectors.
      if (operator === 'In' && values.length === 1) {
        const label = this.label(this.key(key), values[0]!);
        const known = this.selectorOfLabel[label]!;
        return known >= 0 ? known : (this.selectorOfLabel[label] = this.internSelector(selector));
      }
    }
    return this.internSelector(selector);
  }

  private internSelector(selector: Selector): number {
    this.selectorList = grow(this.selectorList, selector.length);
    let length = 0;
    for (let at = 0; at < selector.length; at++)
      length = insert(this.selectorList, 0, length, this.requirement(selector[at]!));
    const number = this.selectors.intern(this.selectorList, length);
    if (number === this.selectorOf.length) this.selectorOf.push(selector);
    return number;
  }

  private requirement({ key: text, operator, values }: Requirement): number {
    this.valueList = grow(this.valueList, values.length + 2);
    const list = this.valueList;
    const key = this.key(text);
    list[0] = OPERATORS.indexOf(operator);
    list[1] = key.number;
    for (let at = 0; at < values.length; at++) list[at + 2] = this.label(key, values[at]!);
    list.subarray(2, values.length + 2).sort();
    return this.requirements.intern(list, values.length + 2);
  }

  private key(text: string): LabelKey {
    let key = this.labels.get(text);
    if (key === undefined) {
      const number = this.labels.size;
      this.labels.set(text, (key = { number, values: new Map(), other: this.addLabel(number) }));
    }
    return key;
  }

  private label({ number, values }: LabelKey, value: string): number {
    let label = values.get(value);
    if (label === undefined) values.set(value, (label = this.addLabel(number)));
    return label;
  }

  private addLabel(key: number): number {
    this.selectorOfLabel.push(-1);
    return this.keyOfLabel.push(key) - 1;
  }

  private blockSet(blocks: readonly Block[]): number {
    const key = blocks.length === 1 ? blockKey(blocks[0]!) : [...new Set(blocks.map(blockKey))].sort().join('\u0001');
    let number = this.blockSetNumbers.get(key);
    if (number === undefined) {
      number = this.blockSets.push(blocks) - 1;
      this.blockSetNumbers.set(key, number);
    }
    return number;
  }

  private ports(ports: readonly PortMatch[]): number {
    this.portList = grow(this.portList, ports.length * 3);
    const list = this.portList;
    let isNamed = 0;
    for (let at = 0; at < ports.length; at++) {
      const port = ports[at]!;
      const protocol = port.protocol === undefined ? 3 : PROTOCOL_ORDINAL[port.protocol];
      list[at * 3] = protocol * 2 + Number(port.kind === 'named');
      if (port.kind === 'named') {
        isNamed = 1;
        list[at * 3 + 1] = this.portName(port.name, port.protocol === undefined ? 7 : 1 << protocol);
        list[at * 3 + 2] = 0;
      } else {
        list[at * 3 + 1] = port.kind === 'any' ? 0 : port.first;
        list[at * 3 + 2] = port.kind === 'any' ? 65_535 : port.last;
      }
    }
    const number = this.portLists.intern(list, ports.length * 3);
    if (number === this.portsOf.length) {
      this.portsOf.push(ports);
      this.isNamed.push(isNamed);
    }
    return number;
  }

  private portName(name: string, protocols: number): number {
    let known = this.portNames.get(name);
    if (known === undefined) this.portNames.set(name, (known = { number: this.portNames.size, protocols: 0 }));
    if ((known.protocols | protocols) !== known.protocols) {
      known.protocols |= protocols;
      this.portNamesAsked++;
    }
    return known.number;
  }
}

/** Does a policy say anything about a direction? */
export function isGoverning(policy: Policy, direction: Direction): boolean {
  return policy.tier === 'networkpolicy' ? policy.isolates.includes(direction) : policy[direction].length > 0;
}

/** A number at its place in `list[from, length)`, which ascends; the new length. */
function insert(list: Int32Array, from: number, length: number, value: number): number {
  let at = length;
  while (at > from && list[at - 1]! >= value) at--;
  if (at < length && list[at] === value) return length;
  list.copyWithin(at + 1, at, length);
  list[at] = value;
  return length + 1;
}

/** The identity of a block, whatever the order of its exceptions. */
function blockKey(block: Block): string {
  return block.except.length === 0 ? block.cidr : `${block.cidr}!${[...block.except].sort().join()}`;
}
