/**
 * Units: sets of pods that no policy can tell apart, being equal in namespace, in the named ports that policies ask for, and in
 * the labels as far as selectors ask for them: a label that nobody asks for, and a value that nobody names, make no unit of
 * their own. Selectors are resolved to units here, once each, from the shortest list of candidates inwards.
 */
import { isGoverned, type Namespace, type Pod, type Snapshot } from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { PolicyBook } from './book.ts';
import { groupByKey } from './group.ts';
import { grow, growFilled, ListStore } from './list.ts';
import { append } from './multimap.ts';

/** Container ports that some rule may name: `TCP/http` -> the numbers that carry it. */
export type NamedPorts = ReadonlyMap<string, readonly number[]>;

/** Units of a snapshot, and the selectors of a book resolved to them. */
export interface UnitIndex {
  readonly count: number;
  /** [units] index into `portGroups`. */
  readonly portGroupOf: Int32Array;
  /** Distinct sets of named ports. */
  readonly portGroups: readonly NamedPorts[];
  /** [pods] unit of each pod that the index was built from; -1 for pods outside policy (hostNetwork, terminated). */
  readonly unitOfPod: Int32Array;
  /** The same for other pods, while the book is complete; undefined where one of them is in no unit that there is. */
  place(pods: readonly Pod[]): Int32Array | undefined;
  /** Does the book ask for nothing more than when the units were made? */
  isComplete(): boolean;
  /** The units that a pod set of the book selects, ascending. */
  select(set: number): Selection;
  /** [units] a rank of their namespaces, in which those lie together that the selections made so far take alike. */
  rankNamespaces(): Int32Array;
}

/** Elements, ascending: `words[start, end)`. */
export interface Selection {
  readonly words: Int32Array;
  readonly start: number;
  readonly end: number;
}

/** `TCP/http`, the key of a named port. */
export function namedPortKey(protocol: string, name: string): string {
  return `${protocol}/${name}`;
}

/** Groups the governed pods of a snapshot into units, by what the policies in a book ask for. */
export function indexUnits(snapshot: Snapshot, book: PolicyBook): UnitIndex {
  const { asked } = book;
  // Units by number: namespace, group of ports, labels ascending.
  const units = new ListStore();
  const namespaces = new Map<string, number>();
  const portGroups: NamedPorts[] = [];
  // Groups by number: pairs of name and protocol, and port, ascending.
  const groups = new ListStore();
  let list: Int32Array = new Int32Array(64);
  let ports: Int32Array = new Int32Array(64);
  const unitOfPod = placeAll(snapshot.pods, true)!;
  const namespaceOf = new Int32Array(units.count);
  const portGroupOf = new Int32Array(units.count);
  for (let unit = 0; unit < units.count; unit++) {
    namespaceOf[unit] = units.at(unit, 0);
    portGroupOf[unit] = units.at(unit, 1);
  }

  return {
    count: units.count,
    portGroupOf,
    portGroups,
    unitOfPod,
    place: (pods) => placeAll(pods, false),
    isComplete: () => book.asked.labels === asked.labels && book.asked.portNames === asked.portNames,
    ...createSelect(book, units, namespaceOf, [...namespaces.keys()], snapshot.namespaces),
  };

  /** `isNew`: units may be made; otherwise undefined where one would have to be. */
  function placeAll(pods: readonly Pod[], isNew: boolean): Int32Array | undefined {
    const placed = new Int32Array(pods.length).fill(-1);
    for (let index = 0; index < pods.length; index++) {
      const pod = pods[index]!;
      if (!isGoverned(pod)) continue;
      const length = describe(pod);
      const unit = isNew ? units.intern(list, length) : units.find(list, length);
      if (unit < 0) return undefined;
      placed[index] = unit;
    }
    return placed;

    /** Fills `list` with what makes a pod's unit; returns its length. */
    function describe(pod: Pod): number {
      let namespace = namespaces.get(pod.namespace);
      if (namespace === undefined) namespaces.set(pod.namespace, (namespace = namespaces.size));
      list = grow(list, pod.labels.size + 2);
      list[0] = namespace;
      list[1] = groupOf(pod);
      return book.readLabels(pod.labels, list, 2);
    }

    /** -1: there is none like it, nor a unit. */
    function groupOf({ ports: own }: Pod): number {
      let length = 0;
      ports = grow(ports, own.length * 2);
      for (let at = 0; at < own.length; at++) {
        const name = book.numberOfPort(own[at]!);
        if (name >= 0) length = insertPair(ports, length, name, own[at]!.port);
      }
      if (!isNew) return groups.find(ports, length);
      const group = groups.intern(ports, length);
      if (group === portGroups.length) portGroups.push(namedPortsOf(own, book));
      return group;
    }
  }
}

/** NP-18: does a set of labels meet every requirement? (apimachinery labels/selector.go: NotIn and DoesNotExist match a missing key.) */
export function matchesSelector(selector: Selector, labels: Labels): boolean {
  for (const requirement of selector) if (!meets(requirement, labels.get(requirement.key))) return false;
  return true;
}

/** Does a label value (undefined: the key is missing) meet a requirement? */
export function meets(requirement: Requirement, value: string | undefined): boolean {
  switch (requirement.operator) {
    // A key that is missing has none of the values.
    case 'In':
      return requirement.values.includes(value!); // NP-14
    case 'NotIn':
      return !requirement.values.includes(value!); // NP-15
    case 'Exists':
      return value !== undefined; // NP-16
    case 'DoesNotExist':
      return value === undefined; // NP-17
  }
}

/** In the order of `OPERATORS` in the book. */
const enum OperatorCode {
  In = 0,
  NotIn = 1,
  Exists = 2,
  DoesNotExist = 3,
}

function createSelect(
  book: PolicyBook,
  units: ListStore,
  namespaceOf: Int32Array,
  names: readonly string[],
  namespaces: readonly Namespace[],
): Pick<UnitIndex, 'select' | 'rankNamespaces'> {
  const { count } = units;
  const labelCount = book.labelCount;
  const labelStarts = countLabels((label) => label, labelCount);
  const keyStarts = countLabels((label) => book.keyOf(label), book.keyCount);
  const ofNamespace = groupByKey(namespaceOf, names.length);
  // Every list of units one after another: all, by namespace, by label, by key, then what was selected.
  const namespaceBase = count;
  const labelBase = namespaceBase + count;
  const keyBase = labelBase + labelStarts[labelCount]!;
  let used = keyBase + keyStarts[book.keyCount]!;
  let words: Int32Array = new Int32Array(used + 4 * count + 1024);
  layLists();
  // [pod sets] -1: not selected yet.
  let starts: Int32Array = new Int32Array(book.sets.count).fill(-1);
  let ends: Int32Array = new Int32Array(book.sets.count);

  const numberOfName = new Map(names.map((name, number) => [name, number]));
  // NP-19: a namespace without an object still has its name.
  const labelsOf = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  for (const name of names) if (!labelsOf.has(name)) labelsOf.set(name, new Map([[NAMESPACE_NAME_LABEL, name]]));
  // Most selectors of namespaces ask for one by its name.
  const byNameLabel = new Map<string | undefined, number[]>();
  names.forEach((name, number) => append(byNameLabel, labelsOf.get(name)!.get(NAMESPACE_NAME_LABEL), number));

  interface Scope {
    readonly start: number;
    readonly end: number;
    /** The namespace, where there is one; -1: see `names`. */
    readonly namespace: number;
    /** Those of a namespace selector. */
    readonly names: readonly number[];
    bits: Uint32Array | undefined;
    uses: number;
  }
  const everywhere: Scope = { start: 0, end: count, namespace: -1, names: [], bits: undefined, uses: 0 };
  const scopes = new Map<number, Scope>();
  const requirements = new Map<number, Uint32Array>();
  // Of the pod set at hand.
  const filters: Uint32Array[] = [];
  let filterCount = 0;
  let labels: Int32Array = new Int32Array(4);
  let labelsAsked = 0;

  return {
    select(set) {
      starts = growFilled(starts, set + 1, -1);
      ends = grow(ends, set + 1);
      if (starts[set]! < 0) compute(set);
      return { words, start: starts[set]!, end: ends[set]! };
    },
    rankNamespaces,
  };

  /** By the most used selectors that take several namespaces, the first ahead; then as the pods came. */
  function rankNamespaces(): Int32Array {
    const signatures = new Int32Array(names.length);
    [...scopes.values()]
      .filter((scope) => scope.names.length > 1)
      .sort((a, b) => b.uses * b.names.length - a.uses * a.names.length)
      .slice(0, 16)
      .forEach((scope, at) => {
        for (const name of scope.names) signatures[name]! |= 1 << (15 - at);
      });
    const rankOf = new Int32Array(names.length);
    Array.from(names, (_, name) => name)
      .sort((a, b) => signatures[b]! - signatures[a]!)
      .forEach((name, rank) => (rankOf[name] = rank));
    return namespaceOf.map((name) => rankOf[name]!);
  }

  /** Where the list of each label, or of each key of labels, begins. */
  function countLabels(keyOf: (label: number) => number, keyCount: number): Int32Array {
    const counted = new Int32Array(keyCount + 1);
    for (let unit = 0; unit < count; unit++)
      for (let at = 2, length = units.lengthOf(unit); at < length; at++) counted[keyOf(units.at(unit, at)) + 1]!++;
    for (let key = 0; key < keyCount; key++) counted[key + 1]! += counted[key]!;
    return counted;
  }

  function layLists(): void {
    const nextOfLabel = labelStarts.slice();
    const nextOfKey = keyStarts.slice();
    for (let unit = 0; unit < count; unit++) {
      words[unit] = unit;
      for (let at = 2, length = units.lengthOf(unit); at < length; at++) {
        const label = units.at(unit, at);
        words[labelBase + nextOfLabel[label]!++] = unit;
        words[keyBase + nextOfKey[book.keyOf(label)]!++] = unit;
      }
    }
    words.set(ofNamespace.items, namespaceBase);
  }

  function scopeOf(number: number): Scope {
    let scope = scopes.get(number);
    if (scope === undefined)
      scopes.set(number, (scope = number & 1 ? selectScope(number >> 1) : nameScope(number >> 1)));
    scope.uses++;
    return scope;
  }

  /** NP-03 */
  function nameScope(number: number): Scope {
    const namespace = numberOfName.get(book.namespaces[number]!) ?? -1;
    const start = namespace < 0 ? 0 : namespaceBase + ofNamespace.starts[namespace]!;
    const end = namespace < 0 ? 0 : namespaceBase + ofNamespace.starts[namespace + 1]!;
    return { start, end, namespace, names: [], bits: undefined, uses: 0 };
  }

  /** NP-11: by the namespace's labels. */
  function selectScope(number: number): Scope {
    const selector = book.selectorOf[number]!;
    if (selector.length === 0) return everywhere; // NP-12
    const chosen = namesOf(selector);
    const start = used;
    for (const name of chosen)
      for (let at = ofNamespace.starts[name]!; at < ofNamespace.starts[name + 1]!; at++) push(ofNamespace.items[at]!);
    words.subarray(start, used).sort();
    return { start, end: used, namespace: -1, names: chosen, bits: undefined, uses: 0 };
  }

  /** The namespaces with pods whose labels match, from the shortest list of candidates. */
  function namesOf(selector: Selector): number[] {
    const exact = selector.find(({ key, operator }) => key === NAMESPACE_NAME_LABEL && operator === 'In');
    const candidates =
      exact === undefined
        ? names.map((_, number) => number)
        : [...new Set(exact.values)].flatMap((value) => byNameLabel.get(value) ?? []);
    return candidates.filter((name) => matchesSelector(selector, labelsOf.get(names[name]!)!));
  }

  /** NP-13: namespace AND labels. */
  function compute(set: number): void {
    const scope = scopeOf(book.sets.at(set, 0));
    const selector = book.sets.at(set, 1);
    let { start, end } = scope;
    let from = -1;
    filterCount = 0;
    labelsAsked = 0;
    for (let at = 0, length = book.selectors.lengthOf(selector); at < length; at++) {
      const requirement = book.selectors.at(selector, at);
      if (book.requirements.lengthOf(requirement) !== 3 || book.requirements.at(requirement, 0) !== OperatorCode.In) {
        filters[filterCount++] = bitsOf(requirement);
        continue;
      }
      let label = book.requirements.at(requirement, 2);
      const first = labelBase + labelStarts[label]!;
      const last = labelBase + labelStarts[label + 1]!;
      if (last - first < end - start) {
        const known = from;
        from = label;
        label = known;
        start = first;
        end = last;
      }
      if (label < 0) continue;
      labels = grow(labels, labelsAsked + 1);
      labels[labelsAsked++] = label;
    }
    const isInScope = from < 0 || scope === everywhere;
    if (!isInScope && scope.namespace < 0) filters[filterCount++] = scope.bits ??= bitsOfList(scope.start, scope.end);
    const namespace = isInScope ? -1 : scope.namespace;
    if (filterCount > 0 || labelsAsked > 0 || namespace >= 0) {
      const first = used;
      for (let at = start; at < end; at++) {
        const unit = words[at]!;
        if ((namespace < 0 || namespaceOf[unit] === namespace) && passes(unit)) push(unit);
      }
      start = first;
      end = used;
    }
    starts[set] = start;
    ends[set] = end;
  }

  /** Does a unit have every one of `labels`, and lie in every one of `filters`? */
  function passes(unit: number): boolean {
    for (let at = 0; at < filterCount; at++) if (((filters[at]![unit >>> 5]! >>> (unit & 31)) & 1) === 0) return false;
    for (let at = 0; at < labelsAsked; at++) if (!units.has(unit, 2, labels[at]!)) return false;
    return true;
  }

  /** The units that meet one requirement. */
  function bitsOf(requirement: number): Uint32Array {
    let bits = requirements.get(requirement);
    if (bits === undefined) {
      const operator = book.requirements.at(requirement, 0);
      const key = book.requirements.at(requirement, 1);
      bits = new Uint32Array((count + 31) >>> 5);
      if (operator === OperatorCode.In || operator === OperatorCode.NotIn)
        for (let at = 2, length = book.requirements.lengthOf(requirement); at < length; at++) {
          const label = book.requirements.at(requirement, at);
          setBits(bits, labelBase + labelStarts[label]!, labelBase + labelStarts[label + 1]!);
        }
      else setBits(bits, keyBase + keyStarts[key]!, keyBase + keyStarts[key + 1]!);
      // NP-15, NP-17: a missing key meets the negation.
      if (operator === OperatorCode.NotIn || operator === OperatorCode.DoesNotExist) bits = bits.map((word) => ~word);
      requirements.set(requirement, bits);
    }
    return bits;
  }

  function bitsOfList(start: number, end: number): Uint32Array {
    const bits = new Uint32Array((count + 31) >>> 5);
    setBits(bits, start, end);
    return bits;
  }

  function setBits(bits: Uint32Array, start: number, end: number): void {
    for (let at = start; at < end; at++) bits[words[at]! >>> 5]! |= 1 << (words[at]! & 31);
  }

  function push(unit: number): void {
    words = grow(words, used + 1);
    words[used++] = unit;
  }
}

/** A pair at its place in `list[0, length)`, pairs ascending, each once; the new length. */
function insertPair(list: Int32Array, length: number, first: number, second: number): number {
  let at = length;
  // Nothing lies before the first pair.
  while (list[at - 2]! > first || (list[at - 2] === first && list[at - 1]! > second)) at -= 2;
  if (list[at - 2] === first && list[at - 1] === second) return length;
  list.copyWithin(at + 2, at, length);
  list[at] = first;
  list[at + 1] = second;
  return length + 2;
}

function namedPortsOf(ports: Pod['ports'], book: PolicyBook): NamedPorts {
  const named = new Map<string, number[]>();
  for (const own of ports) {
    if (book.numberOfPort(own) < 0) continue;
    const key = namedPortKey(own.protocol, own.name!);
    if (!named.get(key)?.includes(own.port)) append(named, key, own.port);
  }
  return named;
}
