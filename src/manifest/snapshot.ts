/**
 * The set of objects -> snapshot: pods with their owners, stand-ins for workloads without pods, one live pod an address, and the
 * namespaces that nobody listed. What had to be assumed is said.
 */
import { hasEnded, isGoverned, type Namespace, type Pod, type Snapshot } from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL } from '../model/label.ts';
import type { Policy } from '../model/policy.ts';
import {
  type RawEndpointSlice,
  type RawNode,
  type RawPod,
  type RawService,
  readEndpointSlice,
  readNode,
  readUnlistedNodes,
  readPod,
  readService,
} from './cluster-object.ts';
import { readLabels } from './meta.ts';
import { type Entry, type Load, placeOf, report } from './object-set.ts';
import {
  MOST_ORDINALS,
  type RawWorkload,
  WORKLOAD_KINDS,
  type WorkloadObject,
  objectKey,
  replicaCount,
  standIns,
  topOwner,
} from './workload.ts';

/** The cluster that the objects of a set make. */
export function buildSnapshot(load: Load, entries: readonly Entry[]): Snapshot {
  const ofKind = (kind: string): Entry[] => entries.filter((entry) => entry.kind === kind);
  const owned = new Map(
    entries
      .filter(({ kind }) => WORKLOAD_KINDS.has(kind))
      .map((entry) => [objectKey(entry.kind, entry.namespace, entry.name), entry]),
  );
  const podEntries = ofKind('Pod');
  const listed = ofKind('Node').map((entry) => readNode(entry.raw as RawNode));
  const unlisted = readUnlistedNodes(
    podEntries.map(({ raw }) => raw as RawPod),
    listed,
  );
  const nodes = [...listed, ...unlisted];
  const pods: Pod[] = [];
  const owners = new Set<string>();
  for (const entry of podEntries) {
    const pod = podOf(entry, owned);
    const { workload } = pod;
    owners.add(objectKey(workload.kind, workload.namespace, workload.name));
    pods.push(pod);
  }
  const livePods = settleAddresses(load, pods);
  noteTerminated(load, livePods);
  const standing = addStandIns(load, [...owned.values()], owned, owners, nodes.length);
  const own = (entry: Entry): { namespace: string; name: string } => ({ namespace: entry.namespace, name: entry.name });
  return {
    namespaces: buildNamespaces(load, entries),
    pods: [...livePods, ...standing],
    nodes,
    services: ofKind('Service').map((entry) =>
      readService(entry.raw as RawService, { ...own(entry), position: placeOf(entry, []) }),
    ),
    endpointSlices: ofKind('EndpointSlice')
      .map((entry) => readEndpointSlice(entry.raw as RawEndpointSlice, own(entry)))
      .filter((slice) => slice !== undefined),
  };
}

/** A Pod object with its labels and the workload that owns it, itself where none in `owned` does. */
export function podOf(entry: Entry, owned: ReadonlyMap<string, Entry>): Pod {
  const { namespace, name } = entry;
  return readPod(entry.raw as RawPod, {
    namespace,
    name,
    labels: readLabels(entry.meta.labels),
    workload: topOwner(entry, owned),
    position: placeOf(entry, []),
  });
}

/** Workloads whose top owner has no Pod object. The top owner itself stands where it is in the input, else what it owns. */
function addStandIns(
  load: Load,
  entries: readonly Entry[],
  owned: ReadonlyMap<string, Entry>,
  owners: ReadonlySet<string>,
  nodeCount: number,
): Pod[] {
  const pods: Pod[] = [];
  for (const entry of entries) {
    const owner = topOwner(entry, owned);
    const key = objectKey(owner.kind, owner.namespace, owner.name);
    const isTop = owner.kind === entry.kind && owner.name === entry.name;
    if (owners.has(key) || (!isTop && owned.has(key))) continue;
    const workload: WorkloadObject = { ...entry, raw: entry.raw as RawWorkload, position: placeOf(entry, []) };
    if (entry.kind === 'StatefulSet' && replicaCount(workload, nodeCount) > MOST_ORDINALS)
      report(load, entry, ['spec', 'replicas'], 'value', {
        severity: 'warning',
        code: 'limit-exceeded',
        message: `only the first ${MOST_ORDINALS} pods of this StatefulSet are made`,
        path: 'spec.replicas',
      });
    pods.push(...standIns(workload, owner, nodeCount));
  }
  return pods;
}

/** One live pod an address: of two, the running one keeps it, else the first (semantics 1.4). */
function settleAddresses(load: Load, pods: readonly Pod[]): Pod[] {
  const holders = new Map<string, number>();
  const lost = new Map<number, Set<string>>();
  for (const [index, pod] of pods.entries()) {
    // Terminated pods give their address back, hostNetwork pods share their node's.
    if (!isGoverned(pod)) continue;
    for (const address of pod.addresses) {
      const holder = holders.get(address);
      if (holder === undefined) {
        holders.set(address, index);
        continue;
      }
      const other = pods[holder]!;
      const isTaken = pod.phase === 'Running' && other.phase !== 'Running';
      const [keeper, loser] = isTaken ? [index, holder] : [holder, index];
      holders.set(address, keeper);
      const addresses = lost.get(loser) ?? new Set();
      addresses.add(address);
      lost.set(loser, addresses);
      const { position, namespace, name } = pods[loser]!;
      const kept = pods[keeper]!;
      load.diagnostics.push({
        severity: 'warning',
        code: 'address-conflict',
        message: `${address} belongs to two live pods; ${kept.namespace}/${kept.name} (${kept.position.file}:${kept.position.line}) keeps it`,
        ...position,
        object: `Pod ${namespace}/${name}`,
      });
    }
  }
  if (lost.size === 0) return [...pods];
  return pods.map((pod, index) => {
    const addresses = lost.get(index);
    return addresses === undefined
      ? pod
      : { ...pod, addresses: pod.addresses.filter((address) => !addresses.has(address)) };
  });
}

function noteTerminated(load: Load, pods: readonly Pod[]): void {
  const ended = pods.filter(hasEnded);
  const [first] = ended;
  if (first === undefined) return;
  load.diagnostics.push({
    severity: 'note',
    code: 'terminated-pod',
    message: `${ended.length} pod${ended.length === 1 ? ' has' : 's have'} terminated and take${ended.length === 1 ? 's' : ''} no part, first ${first.namespace}/${first.name}`,
    ...first.position,
  });
}

/** Namespaces of the input, then one for each namespace that objects name and nobody defined. */
function buildNamespaces(load: Load, entries: readonly Entry[]): Namespace[] {
  const namespaces = new Map<string, Namespace>();
  for (const entry of entries) {
    if (entry.kind !== 'Namespace') continue;
    const labels: Labels = new Map([...readLabels(entry.meta.labels), [NAMESPACE_NAME_LABEL, entry.name]]);
    namespaces.set(entry.name, { name: entry.name, labels });
  }
  const areListed = namespaces.size > 0;
  for (const entry of entries) {
    if (entry.namespace === '' || namespaces.has(entry.namespace)) continue;
    namespaces.set(entry.namespace, {
      name: entry.namespace,
      labels: new Map([[NAMESPACE_NAME_LABEL, entry.namespace]]),
    });
    // Where no Namespace is listed at all only selectors that ask for labels want them; where some are, this one may be a slip.
    if (areListed)
      report(load, entry, ['metadata', 'namespace'], 'value', {
        severity: 'note',
        code: 'unknown-namespace',
        message: `no Namespace ${entry.namespace} in the input: it is taken to exist without labels of its own`,
        object: `${entry.kind} ${entry.namespace}/${entry.name}`,
      });
  }
  return [...namespaces.values()];
}

/** Labels that nobody listed are taken to be missing, which decides what asks for them: said once, at the first that does. */
export function warnOfNamespaceLabels(load: Load, policies: readonly Policy[]): void {
  for (const { kind, namespace, name, ingress, egress } of policies)
    for (const { peers = [], peerPositions = [], position } of [...ingress, ...egress])
      for (const [index, peer] of peers.entries()) {
        if (peer.kind !== 'pods' || peer.namespaces.kind !== 'selected') continue;
        const asked = peer.namespaces.selector.find(({ key }) => key !== NAMESPACE_NAME_LABEL);
        if (asked === undefined) continue;
        load.diagnostics.push({
          severity: 'warning',
          code: 'unknown-namespace',
          message: `no Namespace in the input, and a policy asks for their label ${asked.key}: all are taken to exist without labels of their own`,
          ...(peerPositions[index] ?? position),
          hint: 'add them: kubectl get namespaces -o json',
          object: `${kind} ${namespace}/${name}`,
        });
        return;
      }
}
