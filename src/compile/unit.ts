/**
 * Units: sets of pods that no policy can tell apart, being equal in namespace, in the named ports that policies ask for, and in
 * the labels as far as selectors ask for them: a label that nobody asks for, and a value that nobody names, make no unit of
 * their own. Selectors are resolved to units here, once each, from the shortest list of candidates inwards.
 */
import type { Namespace, Pod, Snapshot } from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Operator, type Requirement, type Selector } from '../model/label.ts';
import type { NamespaceScope, PodSet, Policy } from '../model/policy.ts';
import { grow, ListStore } from './list.ts';
import { append } from './multimap.ts';

/** A container port that some rule may name: `TCP/http` -> the numbers that carry it. */
export type NamedPorts = ReadonlyMap<string, readonly number[]>;

/** One unit, with what selectors may ask of its pods. */
export interface Unit {
  readonly namespace: string;
  /** The labels that selectors ask for; undefined stands for every value that none of them names. */
  readonly labels: ReadonlyMap<string, string | undefined>;
  /** Index into `UnitIndex.portGroups`. */
  readonly portGroup: number;
}

/** What the selectors and ports of a set of policies ask for: all that can tell two pods apart. */
export interface Questions {
  /** Keys of the named ports that some rule asks for, such as `TCP/http`; `*` where it leaves the protocol open. */
  readonly portNames: ReadonlySet<string>;
  /** By label key: the values that some requirement names. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Units of a snapshot and the indexes that selectors are resolved with. */
export interface UnitIndex {
  readonly units: readonly Unit[];
  /** Distinct sets of named ports; a unit's is `portGroups[unit.portGroup]`. */
  readonly portGroups: readonly NamedPorts[];
  /** [pods] unit of each pod that the index was built from; -1 for pods outside policy (hostNetwork, terminated). */
  readonly unitOfPod: Int32Array;
  /** The same for other pods; undefined where one of them is in no unit that there is. */
  place(pods: readonly Pod[]): Int32Array | undefined;
  /** Do these policies ask for nothing that the units do not tell apart? */
  covers(policies: readonly Policy[]): boolean;
  /** The number of a selector; equal selectors have one, whatever the order of their requirements. */
  selectorNumber(selector: Selector): number;
  /** The number of a pod set; equal ones have one. */
  setNumber(set: PodSet): number;
  /** The units that a pod set selects, ascending; `number` is its `setNumber`. The array is shared: do not change it. */
  select(set: PodSet, number: number): Int32Array;
  /** Namespaces in an order in which those lie together that the selections made so far take alike. */
  rankNamespaces(): ReadonlyMap<string, number>;
}

/** `TCP/http`, the key of a named port. */
export function namedPortKey(protocol: string, name: string): string {
  return `${protocol}/${name}`;
}

/** True where a pod takes part in policy: it is not over, and it has an address of its own (or will have). */
export function isGoverned(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

/** What a set of policies asks of pods. */
export function collectQuestions(policies: readonly Policy[]): Questions {
  const portNames = new Set<string>();
  const labels = new Map<string, Set<string>>();
  const ask = (selector: Selector): void => {
    for (let at = 0; at < selector.length; at++) {
      const { key, values } = selector[at]!;
      let known = labels.get(key);
      if (known === undefined) labels.set(key, (known = new Set()));
      for (let own = 0; own < values.length; own++) known.add(values[own]!);
    }
  };
  for (const { subject, ingress, egress } of policies) {
    ask(subject.pods);
    for (const rules of [ingress, egress])
      for (const rule of rules) {
        for (const peer of rule.peers ?? []) if (peer.kind === 'pods') ask(peer.pods);
        for (const port of rule.ports ?? [])
          if (port.kind === 'named') portNames.add(namedPortKey(port.protocol ?? '*', port.name));
      }
  }
  return { portNames, labels };
}

/** Groups the governed pods of a snapshot into units. */
export function indexUnits(snapshot: Snapshot, questions: Questions): UnitIndex {
  const units: Unit[] = [];
  const ids = new Map<string, number>();
  const portGroups: NamedPorts[] = [];
  const groupIds = new Map<string, number>();
  const unitOfPod = new Int32Array(snapshot.pods.length).fill(-1);
  const known = new Map<Labels, { key: string; labels: Unit['labels'] }>();
  snapshot.pods.forEach((pod, index) => {
    if (isGoverned(pod)) unitOfPod[index] = intern(pod);
  });
  known.clear();
  return { units, portGroups, unitOfPod, ...createSelect(units, snapshot.namespaces), place, covers };

  function intern(pod: Pod): number {
    const ports = relevantPorts(pod, questions.portNames);
    const portsKey = ports.size === 0 ? '' : namedPortsKey(ports);
    let portGroup = groupIds.get(portsKey);
    if (portGroup === undefined) groupIds.set(portsKey, (portGroup = portGroups.push(ports) - 1));
    const asked = ask(pod.labels);
    const key = unitKey(pod, portGroup, asked.key);
    let unit = ids.get(key);
    if (unit === undefined)
      ids.set(key, (unit = units.push({ namespace: pod.namespace, labels: asked.labels, portGroup }) - 1));
    return unit;
  }

  /** Pods of one workload often share one object. */
  function ask(labels: Labels): { key: string; labels: Unit['labels'] } {
    let asked = known.get(labels);
    if (asked === undefined) known.set(labels, (asked = askedLabels(labels, questions)));
    return asked;
  }

  function place(pods: readonly Pod[]): Int32Array | undefined {
    const placed = new Int32Array(pods.length).fill(-1);
    for (let index = 0; index < pods.length; index++) {
      const pod = pods[index]!;
      if (!isGoverned(pod)) continue;
      const ports = relevantPorts(pod, questions.portNames);
      const portGroup = groupIds.get(ports.size === 0 ? '' : namedPortsKey(ports));
      const unit = portGroup === undefined ? undefined : ids.get(unitKey(pod, portGroup, ask(pod.labels).key));
      if (unit === undefined) return undefined;
      placed[index] = unit;
    }
    known.clear();
    return placed;
  }

  function covers(policies: readonly Policy[]): boolean {
    const { portNames, labels } = collectQuestions(policies);
    for (const name of portNames) if (!questions.portNames.has(name)) return false;
    for (const [key, values] of labels) {
      const asked = questions.labels.get(key);
      if (asked === undefined) return false;
      for (const value of values) if (!asked.has(value)) return false;
    }
    return true;
  }
}

function unitKey({ namespace }: Pod, portGroup: number, labelsKey: string): string {
  return `${namespace}\u0003${portGroup}\u0003${labelsKey}`;
}

/** NP-18: does a set of labels meet every requirement? (apimachinery labels/selector.go: NotIn and DoesNotExist match a missing key.) */
export function matchesSelector(selector: Selector, labels: Labels): boolean {
  for (const requirement of selector) if (!meets(requirement, labels.get(requirement.key))) return false;
  return true;
}

/** Does a label value (undefined: the key is missing) meet a requirement? */
export function meets(requirement: Requirement, value: string | undefined): boolean {
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value); // NP-14
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value); // NP-15
    case 'Exists':
      return value !== undefined; // NP-16
    case 'DoesNotExist':
      return value === undefined; // NP-17
  }
}

/** A spelling of a set of named ports that is equal for equal sets. */
export function namedPortsKey(ports: NamedPorts): string {
  return [...ports]
    .map(([key, numbers]) => `${key}=${[...numbers].sort((a, b) => a - b).join('+')}`)
    .sort()
    .join(';');
}

const NOBODY = new Int32Array(0);
const NO_PORTS: NamedPorts = new Map();

function createSelect(
  units: readonly Unit[],
  namespaces: readonly Namespace[],
): Pick<UnitIndex, 'selectorNumber' | 'setNumber' | 'select' | 'rankNamespaces'> {
  const numbers = createNumbers();
  const byNamespace = new Map<string, Int32Array>();
  const byLabel = new Map<string, { present: Int32Array; values: Map<string, Int32Array> }>();
  indexLists();
  // NP-19: a namespace without an object still has its name.
  const labelsOf = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  for (const name of byNamespace.keys())
    if (!labelsOf.has(name)) labelsOf.set(name, new Map([[NAMESPACE_NAME_LABEL, name]]));

  // Most selectors of namespaces ask for one by its name.
  const byNameLabel = new Map<string, string[]>();
  for (const name of byNamespace.keys()) {
    const value = labelsOf.get(name)!.get(NAMESPACE_NAME_LABEL);
    if (value !== undefined) append(byNameLabel, value, name);
  }

  interface Scope {
    /** Undefined: every namespace. */
    readonly units: Int32Array | undefined;
    bits: Uint32Array | undefined;
    /** Those of a namespace selector, for `rankNamespaces`. */
    readonly names: readonly string[];
    uses: number;
  }
  const everywhere: Scope = { units: undefined, bits: undefined, names: [], uses: 0 };
  const scopes = new Map<number, Scope>();
  const requirements: (Uint32Array | undefined)[] = [];
  const results: (Int32Array | undefined)[] = [];

  return {
    selectorNumber: numbers.ofSelector,
    setNumber: numbers.ofSet,
    select: ({ namespaces: scope, pods: selector }, number) => (results[number] ??= compute(scope, selector)),
    rankNamespaces,
  };

  /** By the most used selectors that take several namespaces, the first ahead; then as the pods came. */
  function rankNamespaces(): ReadonlyMap<string, number> {
    const wide = [...scopes.values()]
      .filter(({ names }) => names.length > 1)
      .sort((a, b) => b.uses * b.names.length - a.uses * a.names.length)
      .slice(0, 16);
    const signatures = new Map<string, number>();
    wide.forEach(({ names }, at) => {
      for (const name of names) signatures.set(name, (signatures.get(name) ?? 0) | (1 << (15 - at)));
    });
    const order = [...byNamespace.keys()].sort((a, b) => (signatures.get(b) ?? 0) - (signatures.get(a) ?? 0));
    return new Map(order.map((name, rank) => [name, rank]));
  }

  function indexLists(): void {
    const inNamespace = new Map<string, number[]>();
    const withKey = new Map<string, { present: number[]; values: Map<string, number[]> }>();
    units.forEach(({ namespace, labels }, unit) => {
      append(inNamespace, namespace, unit);
      for (const [key, value] of labels) {
        let lists = withKey.get(key);
        if (lists === undefined) withKey.set(key, (lists = { present: [], values: new Map() }));
        lists.present.push(unit);
        if (value !== undefined) append(lists.values, value, unit);
      }
    });
    for (const [namespace, list] of inNamespace) byNamespace.set(namespace, Int32Array.from(list));
    for (const [key, { present, values }] of withKey)
      byLabel.set(key, {
        present: Int32Array.from(present),
        values: new Map([...values].map(([value, list]) => [value, Int32Array.from(list)])),
      });
  }

  function scopeOf(scope: NamespaceScope): Scope {
    if (scope.kind === 'selected' && scope.selector.length === 0) return everywhere; // NP-12
    const key = numbers.ofScope(scope);
    let known = scopes.get(key);
    if (known === undefined) {
      // NP-03, NP-11, or by the namespace's labels.
      const names = scope.kind === 'named' ? [scope.namespace] : namesOf(scope.selector);
      const list = union(names.map((name) => byNamespace.get(name) ?? NOBODY));
      scopes.set(key, (known = { units: list, bits: undefined, names, uses: 0 }));
    }
    known.uses++;
    return known;
  }

  /** The namespaces with pods whose labels match, from the shortest list of candidates. */
  function namesOf(selector: Selector): string[] {
    const exact = selector.find(({ key, operator }) => key === NAMESPACE_NAME_LABEL && operator === 'In');
    const candidates =
      exact === undefined
        ? [...byNamespace.keys()]
        : [...new Set(exact.values)].flatMap((value) => byNameLabel.get(value) ?? []);
    return candidates.filter((name) => matchesSelector(selector, labelsOf.get(name)!));
  }

  /** NP-13: namespace AND labels. */
  function compute(namespaceScope: NamespaceScope, selector: Selector): Int32Array {
    const scope = scopeOf(namespaceScope);
    let best = scope.units;
    let from: Requirement | undefined;
    for (const requirement of selector) {
      const { key, operator, values } = requirement;
      if (operator !== 'In' || values.length !== 1) continue;
      const list = byLabel.get(key)?.values.get(values[0]!) ?? NOBODY;
      if (best !== undefined && list.length >= best.length) continue;
      best = list;
      from = requirement;
    }
    if (best !== undefined && best.length === 0) return NOBODY;
    const filters: Uint32Array[] = [];
    for (const requirement of selector) if (requirement !== from) filters.push(bitsOf(requirement));
    if (scope.units !== undefined && best !== scope.units) {
      if (namespaceScope.kind === 'named') {
        const { namespace } = namespaceScope;
        best = best!.filter((unit) => units[unit]!.namespace === namespace);
      } else filters.push((scope.bits ??= bitsOfList(scope.units)));
    }
    if (best === undefined) best = Int32Array.from(units, (_, unit) => unit);
    if (filters.length === 0) return best;
    return best.filter((unit) => {
      for (const bits of filters) if (((bits[unit >>> 5]! >>> (unit & 31)) & 1) === 0) return false;
      return true;
    });
  }

  /** The units that meet one requirement. */
  function bitsOf(requirement: Requirement): Uint32Array {
    const { key, operator, values } = requirement;
    const number = numbers.ofRequirement(requirement);
    let bits = requirements[number];
    if (bits === undefined) {
      const lists = byLabel.get(key);
      const isNamed = operator === 'In' || operator === 'NotIn';
      bits = new Uint32Array((units.length + 31) >>> 5);
      if (isNamed) for (const value of values) setBits(bits, lists?.values.get(value) ?? NOBODY);
      else setBits(bits, lists?.present ?? NOBODY);
      // NP-15, NP-17: a missing key meets the negation.
      if (operator === 'NotIn' || operator === 'DoesNotExist')
        for (let word = 0; word < bits.length; word++) bits[word] = ~bits[word]!;
      requirements[number] = bits;
    }
    return bits;
  }

  function bitsOfList(list: Int32Array): Uint32Array {
    const bits = new Uint32Array((units.length + 31) >>> 5);
    setBits(bits, list);
    return bits;
  }
}

/**
 * Numbers for what is equal among requirements, selectors, scopes and pod sets. Made of numbers again, not of spellings: policies
 * name their peers tens of thousands of times.
 */
interface Numbers {
  ofRequirement(requirement: Requirement): number;
  ofSelector(selector: Selector): number;
  /** Even for a namespace by its name, odd for a selector. */
  ofScope(scope: NamespaceScope): number;
  ofSet(set: PodSet): number;
}

function createNumbers(): Numbers {
  const operators: readonly Operator[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];
  const texts = new Map<string, number>();
  const requirements = new ListStore();
  const selectors = new ListStore();
  const sets = new ListStore();
  let list = new Int32Array(16);
  const pair = new Int32Array(2);

  return { ofRequirement, ofSelector, ofScope, ofSet };

  function ofText(text: string): number {
    let number = texts.get(text);
    if (number === undefined) texts.set(text, (number = texts.size));
    return number;
  }

  function ofRequirement({ key, operator, values }: Requirement): number {
    if (values.length + 2 > list.length) list = grow(list, values.length + 2);
    list[0] = ofText(key);
    list[1] = operators.indexOf(operator);
    for (let at = 0; at < values.length; at++) list[at + 2] = ofText(values[at]!);
    if (values.length > 1) list.subarray(2, values.length + 2).sort();
    return requirements.intern(list, values.length + 2);
  }

  function ofSelector(selector: Selector): number {
    if (selector.length === 1) {
      pair[0] = ofRequirement(selector[0]!);
      return selectors.intern(pair, 1);
    }
    const own = Int32Array.from(selector, ofRequirement).sort();
    return selectors.intern(own, own.length);
  }

  function ofScope(scope: NamespaceScope): number {
    return scope.kind === 'named' ? ofText(scope.namespace) * 2 : ofSelector(scope.selector) * 2 + 1;
  }

  function ofSet({ namespaces, pods }: PodSet): number {
    const scope = ofScope(namespaces);
    const selector = ofSelector(pods);
    pair[0] = scope;
    pair[1] = selector;
    return sets.intern(pair, 2);
  }
}

function setBits(bits: Uint32Array, list: Int32Array): void {
  for (let at = 0; at < list.length; at++) bits[list[at]! >>> 5]! |= 1 << (list[at]! & 31);
}

/** Disjoint ascending lists as one. */
function union(lists: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(lists.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all.sort();
}

/** The labels of a pod as far as somebody asks for them, and a spelling of them that is equal for equal sets. */
function askedLabels(labels: Labels, { labels: asked }: Questions): { key: string; labels: Unit['labels'] } {
  const kept: [key: string, value: string | undefined][] = [];
  for (const [key, value] of labels) {
    const values = asked.get(key);
    if (values !== undefined) kept.push([key, values.has(value) ? value : undefined]);
  }
  kept.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return {
    key: kept.map(([key, value]) => (value === undefined ? key : `${key}\u0001${value}`)).join('\u0002'),
    labels: new Map(kept),
  };
}

function relevantPorts(pod: Pod, names: ReadonlySet<string>): NamedPorts {
  if (names.size === 0 || pod.ports.length === 0) return NO_PORTS;
  const ports = new Map<string, number[]>();
  for (const { name, port, protocol } of pod.ports) {
    if (name === undefined) continue;
    const key = namedPortKey(protocol, name);
    if (names.has(key) || names.has(namedPortKey('*', name))) {
      const numbers = ports.get(key) ?? [];
      if (!numbers.includes(port)) numbers.push(port);
      ports.set(key, numbers);
    }
  }
  return ports;
}
