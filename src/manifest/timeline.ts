/**
 * Snapshots and watch events -> a timeline. Each pod has a history of versions; a state is everybody's version at a time. What does not
 * change what policies see (a probe that fails, an annotation) makes no state. Of two pods with one address, the later one holds it.
 */
import {
  formatWorkload,
  isGoverned,
  type EndpointSlice,
  type Namespace,
  type Node,
  type Pod,
  type Snapshot,
} from '../model/cluster.ts';
import { NAMESPACE_NAME_LABEL } from '../model/label.ts';
import type { Timeline } from '../model/timeline.ts';
import type { Loaded, WatchEvent } from './load.ts';

/** A snapshot and when it was taken. */
export interface TimedSnapshot {
  /** Microseconds since 1970. */
  readonly timeUs: number;
  readonly loaded: Pick<Loaded, 'snapshot' | 'objects'>;
}

/**
 * The cluster of `base` over time. A snapshot replaces the objects of every kind that it holds, and leaves the other kinds as they
 * were; an event replaces or removes one pod. Without snapshots of pods, the base's pods hold until events say otherwise.
 */
export function createTimeline(
  base: Snapshot,
  snapshots: readonly TimedSnapshot[],
  events: readonly WatchEvent[],
): Timeline {
  const building = new Building();
  const changes = [...snapshotChanges(snapshots), ...eventChanges(events)].sort((a, b) => a.timeUs - b.timeUs);
  const [first] = changes;
  // What was there before the first snapshot is not known: the first snapshot stands for it.
  const isSnapshotFirst = first !== undefined && 'snapshot' in first && first.hasPods;
  if (!isSnapshotFirst) {
    building.begin(-Infinity, base);
    for (const pod of base.pods) building.set(pod, undefined);
  }
  for (const change of changes) {
    if (!('snapshot' in change)) {
      if (building.set(change.pod, change.timeUs, change.isGone))
        building.hold({ ...building.objects, endpointSlices: withoutStale(building.objects) });
      continue;
    }
    const objects = mergeObjects(building.isEmpty ? base : building.objects, change);
    if (building.isEmpty) building.begin(change.timeUs, objects);
    else building.hold(objects, change.timeUs);
    if (!change.hasPods) continue;
    const present = new Set(change.snapshot.pods.map(podKey));
    for (const pod of building.livePods()) if (!present.has(podKey(pod))) building.set(pod, change.timeUs, true);
    for (const pod of change.snapshot.pods) building.set(pod, change.timeUs);
  }
  return building.finish();
}

/** Everything of a snapshot but its pods. */
type Objects = Omit<Snapshot, 'pods'>;

interface SnapshotChange {
  readonly timeUs: number;
  readonly snapshot: Snapshot;
  readonly objects: ReadonlyMap<string, number>;
  readonly hasPods: boolean;
}

interface PodChange {
  readonly timeUs: number;
  readonly pod: Pod;
  readonly isGone: boolean;
}

/** Snapshots in order, each after the pods that it shows first and that were started since the one before. */
function snapshotChanges(snapshots: readonly TimedSnapshot[]): (SnapshotChange | PodChange)[] {
  const ordered = [...snapshots].sort((a, b) => a.timeUs - b.timeUs);
  const changes: (SnapshotChange | PodChange)[] = [];
  let before: SnapshotChange | undefined;
  for (const { timeUs, loaded } of ordered) {
    const { snapshot, objects } = loaded;
    const change: SnapshotChange = { timeUs, snapshot, objects, hasPods: snapshot.pods.length > 0 };
    if (before !== undefined && change.hasPods) {
      const known = new Set(before.snapshot.pods.map(podKey));
      for (const pod of snapshot.pods) {
        const started = pod.startedUs ?? NaN;
        if (!known.has(podKey(pod)) && started > before.timeUs && started < timeUs)
          changes.push({ timeUs: started, pod, isGone: false });
      }
    }
    changes.push(change);
    if (change.hasPods) before = change;
  }
  return changes;
}

/** Events of one pod come in the order of their arrival, whatever their times say. */
function eventChanges(events: readonly WatchEvent[]): PodChange[] {
  const latest = new Map<string, number>();
  return events.flatMap(({ type, pod, timeUs: stated }): PodChange[] => {
    const key = podKey(pod);
    const before = latest.get(key);
    const timeUs = Math.max(stated, before ?? -Infinity);
    latest.set(key, timeUs);
    const change = { timeUs, pod, isGone: type === 'DELETED' };
    // A watch without the list of what was there (--watch-only) tells of such a pod late: it was there since its start.
    const isLate = before === undefined && type !== 'ADDED' && pod.startedUs !== undefined && pod.startedUs < timeUs;
    return isLate ? [{ timeUs: pod.startedUs, pod, isGone: false }, change] : [change];
  });
}

function mergeObjects(before: Objects, { snapshot, objects, hasPods }: SnapshotChange): Objects {
  const services = objects.has('Service') ? snapshot.services : before.services;
  return {
    namespaces: objects.has('Namespace') ? snapshot.namespaces : before.namespaces,
    nodes: objects.has('Node') ? snapshot.nodes : withUnlisted(before.nodes, snapshot.nodes),
    services,
    endpointSlices: objects.has('EndpointSlice')
      ? snapshot.endpointSlices
      : hasPods
        ? withoutStale({ ...before, services })
        : before.endpointSlices,
  };
}

/** Nodes that pods alone tell of (RD-11) join those that are known. */
function withUnlisted(known: readonly Node[], told: readonly Node[]): readonly Node[] {
  const names = new Set(known.map(({ name }) => name));
  const fresh = told.filter(({ name }) => !names.has(name));
  return fresh.length === 0 ? known : [...known, ...fresh];
}

/** EndpointSlices of other times name pods of other times: the backends of Services with a selector are then its pods. */
function withoutStale({ endpointSlices, services }: Objects): readonly EndpointSlice[] {
  const selecting = new Set(
    services.filter(({ selector }) => selector !== undefined).map(({ namespace, name }) => `${namespace}/${name}`),
  );
  const kept = endpointSlices.filter(({ namespace, service }) => !selecting.has(`${namespace}/${service}`));
  return kept.length === endpointSlices.length ? endpointSlices : kept;
}

interface Version {
  readonly state: number;
  readonly pod: Pod | undefined;
}

class Building {
  /** The objects of the last state. */
  objects!: Objects;
  private readonly fromUs: number[] = [];
  private readonly objectsOf: Objects[] = [];
  private readonly histories = new Map<string, Version[]>();

  get isEmpty(): boolean {
    return this.fromUs.length === 0;
  }

  begin(fromUs: number, objects: Objects): void {
    this.fromUs.push(fromUs);
    this.objectsOf.push((this.objects = objects));
  }

  /** The last state has these objects, or, where a time is given, a state from then on. */
  hold(objects: Objects, timeUs?: number): void {
    if (timeUs !== undefined && !isSameObjects(this.objects, objects)) this.stateFrom(timeUs);
    this.objectsOf[this.objectsOf.length - 1] = this.objects = objects;
  }

  /** A pod is so from a time on (undefined: in the last state). False where that is nothing new. */
  set(pod: Pod, timeUs: number | undefined, isGone = false): boolean {
    const key = podKey(pod);
    const history = this.histories.get(key) ?? [];
    this.histories.set(key, history);
    const last = history.at(-1);
    if (history.length === 0 && isGone && timeUs !== undefined) {
      // Its beginning was not recorded: it was there all along.
      history.push({ state: 0, pod });
    } else if (isGone ? last?.pod === undefined : last?.pod !== undefined && isSamePod(last.pod, pod)) return false;
    const state = timeUs === undefined ? this.fromUs.length - 1 : this.stateFrom(timeUs);
    if (history.at(-1)?.state === state) history.pop();
    history.push({ state, pod: isGone ? undefined : pod });
    return true;
  }

  livePods(): Pod[] {
    return [...this.histories.values()].flatMap((history) => history.at(-1)?.pod ?? []);
  }

  finish(): Timeline {
    const { fromUs, objectsOf, histories } = this;
    const implied = new Map<string, Namespace>();
    for (const history of histories.values())
      for (const { pod } of history)
        if (pod !== undefined && !implied.has(pod.namespace))
          implied.set(pod.namespace, {
            name: pod.namespace,
            labels: new Map([[NAMESPACE_NAME_LABEL, pod.namespace]]),
          });
    // One list for equal lists: whoever follows a timeline compares them by identity.
    const completed = new Map<readonly Namespace[], readonly Namespace[]>();
    const complete = (namespaces: readonly Namespace[]): readonly Namespace[] => {
      const known = new Set(namespaces.map(({ name }) => name));
      const list = completed.get(namespaces) ?? [
        ...namespaces,
        ...[...implied.values()].filter(({ name }) => !known.has(name)),
      ];
      completed.set(namespaces, list);
      return list;
    };
    return {
      fromUs,
      snapshotAt(state) {
        const objects = objectsOf[state]!;
        return {
          namespaces: complete(objects.namespaces),
          nodes: objects.nodes,
          services: objects.services,
          endpointSlices: objects.endpointSlices,
          pods: podsAt(histories, state),
        };
      },
    };
  }

  private stateFrom(timeUs: number): number {
    const last = this.fromUs.length - 1;
    if (this.fromUs[last]! >= timeUs) return last;
    this.fromUs.push(timeUs);
    this.objectsOf.push(this.objects);
    return last + 1;
  }
}

/** The pods of a state: stand-ins make room for the pods that they stood for, and an address is the latest holder's. */
function podsAt(histories: ReadonlyMap<string, readonly Version[]>, state: number): readonly Pod[] {
  const versions: Version[] = [];
  for (const history of histories.values()) {
    const version = history.findLast((each) => each.state <= state);
    if (version?.pod !== undefined) versions.push(version);
  }
  const real = new Set(versions.flatMap(({ pod }) => (pod!.isStandIn ? [] : formatWorkload(pod!.workload))));
  const present = versions.filter(({ pod }) => !pod!.isStandIn || !real.has(formatWorkload(pod!.workload)));
  const holders = new Map<string, Version>();
  let isContested = false;
  for (const version of present) {
    const { pod } = version;
    if (!isGoverned(pod!)) continue;
    for (const address of pod!.addresses) {
      const other = holders.get(address);
      if (other === undefined || since(version) >= since(other)) holders.set(address, version);
      isContested ||= other !== undefined;
    }
  }
  if (!isContested) return present.map(({ pod }) => pod!);
  return present.map((version) => {
    const pod = version.pod!;
    if (!isGoverned(pod)) return pod;
    const addresses = pod.addresses.filter((address) => holders.get(address) === version);
    return addresses.length === pod.addresses.length ? pod : { ...pod, addresses };
  });
}

/** Orders two pods by when they came to their address: by their own start, where the states do not tell. */
function since({ state, pod }: Version): number {
  return pod!.startedUs ?? state;
}

function isSameObjects(a: Objects, b: Objects): boolean {
  return (
    a.namespaces === b.namespaces &&
    a.nodes === b.nodes &&
    a.services === b.services &&
    a.endpointSlices === b.endpointSlices
  );
}

/** Equal in everything that decides a flow or names a pod. */
function isSamePod(a: Pod, b: Pod): boolean {
  return a === b || describePod(a) === describePod(b);
}

function describePod(pod: Pod): string {
  const labels = [...pod.labels].sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0));
  const { addresses, phase, hostNetwork, node, ports, workload, count, isStandIn } = pod;
  return JSON.stringify([labels, addresses, phase, hostNetwork, node, ports, workload, count, isStandIn]);
}

/** Pods have names of their own; stand-ins of a Deployment and of a DaemonSet may share one. */
function podKey({ namespace, name, isStandIn, workload }: Pod): string {
  return isStandIn ? `${namespace}/${workload.kind}/${name}` : `${namespace}/${name}`;
}
