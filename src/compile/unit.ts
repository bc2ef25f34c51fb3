/**
 * Units: sets of pods that no policy can tell apart, being equal in namespace, labels and the named ports that policies ask
 * for. Selectors are resolved to units here, once each, from the most selective label inwards.
 */
import type { Namespace, Pod, Snapshot } from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { NamespaceScope, PodSet } from '../model/policy.ts';
import { append } from './multimap.ts';

/** A container port that some rule may name: `TCP/http` -> the numbers that carry it. */
export type NamedPorts = ReadonlyMap<string, readonly number[]>;

/** One unit, with a pod that stands for it. */
export interface Unit {
  readonly namespace: string;
  readonly labels: Labels;
  readonly namedPorts: NamedPorts;
}

/** Units of a snapshot and the indexes that selectors are resolved with. */
export interface UnitIndex {
  readonly units: readonly Unit[];
  /** [pods] unit of each pod of the snapshot; -1 for pods outside policy (hostNetwork, terminated). */
  readonly unitOfPod: Int32Array;
  /** The units that a pod set selects, ascending. The array is shared: do not change it. */
  select(set: PodSet): readonly number[];
}

/** `TCP/http`, the key of a named port. */
export function namedPortKey(protocol: string, name: string): string {
  return `${protocol}/${name}`;
}

/** True where a pod takes part in policy: it is not over, and it has an address of its own (or will have). */
export function isGoverned(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

/** Groups the governed pods of a snapshot into units. `names` holds the keys of the named ports that some rule asks for. */
export function indexUnits(snapshot: Snapshot, names: ReadonlySet<string>): UnitIndex {
  const units: Unit[] = [];
  const ids = new Map<string, number>();
  const unitOfPod = new Int32Array(snapshot.pods.length).fill(-1);
  snapshot.pods.forEach((pod, index) => {
    if (!isGoverned(pod)) return;
    const namedPorts = relevantPorts(pod, names);
    const key = unitKey(pod, namedPorts);
    let unit = ids.get(key);
    if (unit === undefined) {
      unit = units.push({ namespace: pod.namespace, labels: pod.labels, namedPorts }) - 1;
      ids.set(key, unit);
    }
    unitOfPod[index] = unit;
  });
  return { units, unitOfPod, select: createSelect(units, snapshot.namespaces) };
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

/** A selector's identity, whatever the order of its requirements. */
export function selectorKey(selector: Selector): string {
  if (selector.length === 0) return '';
  return selector
    .map(({ key, operator, values }) => `${key}\u0001${operator}\u0001${[...values].sort().join('\u0002')}`)
    .sort()
    .join('\u0003');
}

/** A namespace scope's identity. */
export function scopeKey(scope: NamespaceScope): string {
  return scope.kind === 'named' ? `=${scope.namespace}` : `~${selectorKey(scope.selector)}`;
}

function createSelect(units: readonly Unit[], namespaces: readonly Namespace[]): UnitIndex['select'] {
  const byNamespace = new Map<string, number[]>();
  const byLabel = new Map<string, Map<string, number[]>>();
  units.forEach(({ namespace, labels }, unit) => {
    append(byNamespace, namespace, unit);
    for (const [key, value] of labels) {
      let values = byLabel.get(key);
      if (values === undefined) byLabel.set(key, (values = new Map()));
      append(values, value, unit);
    }
  });
  // NP-19: a namespace without an object still has its name.
  const labelsOf = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  for (const name of byNamespace.keys())
    if (!labelsOf.has(name)) labelsOf.set(name, new Map([[NAMESPACE_NAME_LABEL, name]]));

  const scopes = new Map<string, ReadonlySet<string> | undefined>();
  const results = new Map<string, readonly number[]>();

  return ({ namespaces: scope, pods: selector }) => {
    const key = `${scopeKey(scope)}\u0004${selectorKey(selector)}`;
    let result = results.get(key);
    if (result === undefined) results.set(key, (result = compute(scope, selector)));
    return result;
  };

  /** Undefined: every namespace. */
  function namespacesOf(scope: NamespaceScope): ReadonlySet<string> | undefined {
    if (scope.kind === 'named') return new Set([scope.namespace]); // NP-03, NP-11
    if (scope.selector.length === 0) return undefined; // NP-12
    const key = selectorKey(scope.selector);
    if (!scopes.has(key)) {
      const names = [...labelsOf].filter(([, labels]) => matchesSelector(scope.selector, labels)).map(([name]) => name);
      scopes.set(key, new Set(names));
    }
    return scopes.get(key);
  }

  function compute(scope: NamespaceScope, selector: Selector): readonly number[] {
    const names = namespacesOf(scope);
    let best: readonly number[] | undefined;
    for (const { key, operator, values } of selector) {
      if (operator !== 'In') continue;
      const lists = values.map((value) => byLabel.get(key)?.get(value) ?? []);
      const size = lists.reduce((sum, list) => sum + list.length, 0);
      if (best === undefined || size < best.length)
        best = lists.length === 1 ? lists[0]! : [...new Set(lists.flat())].sort((a, b) => a - b);
    }
    if (names !== undefined) {
      let size = 0;
      for (const name of names) size += byNamespace.get(name)?.length ?? 0;
      if (best === undefined || size < best.length)
        best =
          names.size === 1
            ? (byNamespace.get([...names][0]!) ?? [])
            : [...names].flatMap((name) => byNamespace.get(name) ?? []).sort((a, b) => a - b);
    }
    const candidates = best ?? units.map((_, unit) => unit);
    // NP-13: namespace AND labels.
    return candidates.filter((unit) => {
      const { namespace, labels } = units[unit]!;
      return (names === undefined || names.has(namespace)) && matchesSelector(selector, labels);
    });
  }
}

function relevantPorts(pod: Pod, names: ReadonlySet<string>): NamedPorts {
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

function unitKey(pod: Pod, ports: NamedPorts): string {
  const labels = [...pod.labels].map(([key, value]) => `${key}\u0001${value}`).sort();
  const named = [...ports]
    .map(([key, numbers]) => `${key}\u0001${[...numbers].sort((a, b) => a - b).join(',')}`)
    .sort();
  return `${pod.namespace}\u0003${labels.join('\u0002')}\u0003${named.join('\u0002')}`;
}
