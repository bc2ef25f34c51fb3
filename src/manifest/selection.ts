/**
 * Selectors that match no pod of the input, or only pods that share their node's network, which act as the node (EP-04): to the API server
 * they are as good as any, to people they are mostly a slip in a label or in a namespace's name. For `check`; labels are indexed, so that it costs about as much as there are labels and selectors.
 */
import { hasEnded, isGoverned, type Namespace, type Pod, type Snapshot } from '../model/cluster.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { formatSelector, type Labels, meetsAll, type Selector } from '../model/label.ts';
import type { Direction, NamespaceScope, PodSet, Policy, Position } from '../model/policy.ts';
import { findNearest } from './nearest.ts';

/** A note for each policy that applies to no pod and each peer that stands for none; nothing where the input has no pods. */
export function findEmptySelections(snapshot: Snapshot, policies: readonly Policy[]): Diagnostic[] {
  const world = indexWorld(snapshot);
  if (world.byNamespace.size === 0) return [];
  const notes: Diagnostic[] = [];
  const look = (policy: Policy, path: string, role: Role, set: PodSet, position: Position): void => {
    const { verb, whenHosts } = role;
    if (matches(world, set, isGoverned)) return;
    const isHosts = matches(world, set, ({ hostNetwork }) => hostNetwork);
    const hint = isHosts ? whenHosts.hint : hintOf(world, set);
    const found = isHosts ? `only host-network pods, which ${whenHosts.which}` : 'no pod of the input';
    notes.push({
      severity: 'note',
      code: 'selects-nothing',
      message: `${path} ${verb} ${found}: ${setText(set)}`,
      path,
      ...position,
      ...(hint !== undefined && { hint }),
      object: `${policy.kind} ${policy.namespace === undefined ? '' : `${policy.namespace}/`}${policy.name}`,
    });
  };
  for (const policy of policies) {
    const { kind, subject, position } = policy;
    const field = kind === 'NetworkPolicy' ? 'spec.podSelector' : 'spec.subject';
    look(policy, field, SUBJECT, subject, position);
    for (const direction of ['ingress', 'egress'] as const)
      for (const { index, peers = [], peerPositions = [], position: whole } of policy[direction])
        for (const [at, peer] of peers.entries()) {
          if (peer.kind !== 'pods') continue;
          const path = `spec.${direction}[${index}].${SIDES[direction]}[${at}]`;
          look(policy, path, PEER, peer, peerPositions[at] ?? whole);
        }
  }
  return notes;
}

const SIDES: Readonly<Record<Direction, string>> = { ingress: 'from', egress: 'to' };

/** What pods are selected for, and what is said where all of them share their node's network. */
interface Role {
  readonly verb: string;
  readonly whenHosts: { readonly which: string; readonly hint?: string };
}

const SUBJECT: Role = { verb: 'selects', whenHosts: { which: 'policies do not govern' } };
const PEER: Role = {
  verb: 'matches',
  whenHosts: {
    which: 'selectors do not find',
    hint: "they have their nodes' addresses, which an ipBlock can hold",
  },
};

/** What selectors are held against: pods that have not ended, and namespaces. */
interface World {
  readonly pods: LabelIndex<Pod>;
  readonly namespaces: LabelIndex<Namespace>;
  readonly byNamespace: ReadonlyMap<string, readonly Pod[]>;
  /** What has been found of scopes, by their text. */
  readonly scopes: Map<string, Scope>;
}

/** Namespaces, by name, and their pods. */
interface Scope {
  readonly names: ReadonlySet<string>;
  readonly pods: Lists<Pod>;
}

/** Things with labels: all of them, and by each label, `key=value`. */
interface LabelIndex<T> {
  readonly all: Lists<T>;
  readonly byLabel: ReadonlyMap<string, readonly T[]>;
}

/** Several lists, and how many elements they have together. */
interface Lists<T> {
  readonly lists: readonly (readonly T[])[];
  readonly count: number;
}

function indexWorld({ pods, namespaces }: Snapshot): World {
  const live = pods.filter((pod) => !hasEnded(pod));
  const byNamespace = new Map<string, Pod[]>();
  for (const pod of live) append(byNamespace, pod.namespace, pod);
  return { pods: indexLabels(live), namespaces: indexLabels(namespaces), byNamespace, scopes: new Map() };
}

function indexLabels<T extends { readonly labels: Labels }>(all: readonly T[]): LabelIndex<T> {
  const byLabel = new Map<string, T[]>();
  for (const one of all) for (const [key, value] of one.labels) append(byLabel, `${key}=${value}`, one);
  return { all: listsOf([all]), byLabel };
}

function append<T>(index: Map<string, T[]>, key: string, value: T): void {
  const list = index.get(key);
  if (list === undefined) index.set(key, [value]);
  else list.push(value);
}

function listsOf<T>(found: readonly (readonly T[] | undefined)[]): Lists<T> {
  const lists = found.filter((list) => list !== undefined);
  return { lists, count: lists.reduce((sum, { length }) => sum + length, 0) };
}

/** The shortest lists that hold everything in `most` that a selector matches: those of a label that it asks for, or `most` itself. */
function narrow<T>({ byLabel }: LabelIndex<T>, selector: Selector, most: Lists<T>): Lists<T>['lists'] {
  let best = most;
  for (const { key, operator, values } of selector) {
    if (operator !== 'In') continue;
    const labelled = listsOf(values.map((value) => byLabel.get(`${key}=${value}`)));
    if (labelled.count < best.count) best = labelled;
  }
  return best.lists;
}

/** Does a set hold one of the pods that are asked for? */
function matches(world: World, set: PodSet, isAsked: (pod: Pod) => boolean): boolean {
  const scope = scopeOf(world, set.namespaces);
  const isIn = (pod: Pod): boolean => scope.names.has(pod.namespace) && meetsAll(set.pods, pod.labels) && isAsked(pod);
  return narrow(world.pods, set.pods, scope.pods).some((list) => list.some(isIn));
}

function scopeOf({ namespaces, byNamespace, scopes }: World, wanted: NamespaceScope): Scope {
  const text = scopeText(wanted);
  let scope = scopes.get(text);
  if (scope === undefined) {
    const names = wanted.kind === 'named' ? [wanted.namespace] : selectedBy(wanted.selector, namespaces);
    scope = { names: new Set(names), pods: listsOf(names.map((name) => byNamespace.get(name))) };
    scopes.set(text, scope);
  }
  return scope;
}

function selectedBy(selector: Selector, namespaces: LabelIndex<Namespace>): string[] {
  return narrow(namespaces, selector, namespaces.all).flatMap((list) =>
    list.flatMap(({ name, labels }) => (meetsAll(selector, labels) ? [name] : [])),
  );
}

/** `app=web in namespace shop`. */
function setText({ namespaces, pods }: PodSet): string {
  return `${pods.length === 0 ? 'any pod' : formatSelector(pods)} in ${scopeText(namespaces)}`;
}

function scopeText(scope: NamespaceScope): string {
  if (scope.kind === 'named') return `namespace ${scope.namespace}`;
  return scope.selector.length === 0 ? 'any namespace' : `namespaces ${formatSelector(scope.selector)}`;
}

/** The nearest namespace with pods, or value of a label in that namespace or of namespaces, where the one asked for does not occur. */
function hintOf({ byNamespace, namespaces }: World, set: PodSet): string | undefined {
  if (set.namespaces.kind === 'selected') return nearestLabel(set.namespaces.selector, namespaces.all.lists.flat());
  const { namespace } = set.namespaces;
  const pods = byNamespace.get(namespace);
  if (pods !== undefined) return nearestLabel(set.pods, pods);
  const near = nearestOf(namespace, byNamespace.keys());
  return near === undefined ? undefined : `did you mean namespace ${near}?`;
}

function nearestLabel(selector: Selector, known: readonly { readonly labels: Labels }[]): string | undefined {
  for (const { key, operator, values } of selector) {
    if (operator !== 'In' || values.length !== 1) continue;
    const near = nearestOf(values[0]!, valuesOf(key, known));
    if (near !== undefined && near !== values[0]) return `did you mean ${key}=${near}?`;
  }
  return undefined;
}

function* valuesOf(key: string, known: readonly { readonly labels: Labels }[]): Generator<string> {
  for (const { labels } of known) {
    const value = labels.get(key);
    if (value !== undefined) yield value;
  }
}

/** Of very many words some are always near, and none of them is meant. */
const MOST_WORDS = 200;

function nearestOf(word: string, known: Iterable<string>): string | undefined {
  const words = new Set<string>();
  for (const each of known) if (words.add(each).size > MOST_WORDS) return undefined;
  return findNearest(word, [...words]);
}
