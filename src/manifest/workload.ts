/**
 * Owners and workloads. Pods fold into their top owner (Deployment over ReplicaSet over Pod, CronJob over Job over Pod); a workload
 * without any Pod object in the input stands for its pods.
 */
import type { Pod, Workload } from '../model/cluster.ts';
import type { Labels } from '../model/label.ts';
import type { Position } from '../model/policy.ts';
import { type RawPodSpec, readContainerPorts } from './cluster-object.ts';
import { type Maybe, type RawMeta, readLabels } from './meta.ts';

/** The pod template of a workload, with how many pods it asks for. */
export interface RawWorkload {
  readonly spec?: Maybe<{
    readonly replicas?: Maybe<number>;
    readonly parallelism?: Maybe<number>;
    readonly ordinals?: Maybe<{ readonly start?: Maybe<number> }>;
    readonly template?: Maybe<RawTemplate>;
    readonly jobTemplate?: Maybe<{
      readonly spec?: Maybe<{ readonly parallelism?: Maybe<number>; readonly template?: Maybe<RawTemplate> }>;
    }>;
  }>;
  readonly status?: Maybe<{
    readonly conditions?: Maybe<readonly Maybe<{ readonly type?: Maybe<string>; readonly status?: Maybe<string> }>[]>;
  }>;
}

interface RawTemplate {
  readonly metadata?: Maybe<{ readonly labels?: RawMeta['labels'] }>;
  readonly spec?: Maybe<RawPodSpec>;
}

/** An object that may own or be owned. */
export interface Owned {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly meta: RawMeta;
}

/** A workload object of the input. */
export interface WorkloadObject extends Owned {
  readonly raw: RawWorkload;
  readonly position: Position;
}

/** Chains are three long in practice; a longer or circular one stops here. */
const LONGEST_CHAIN = 10;

/** A StatefulSet stands as one pod an ordinal: more are not made, the input is untrusted. */
export const MOST_ORDINALS = 10_000;

/** The kinds that stand for pods. */
export const WORKLOAD_KINDS: ReadonlySet<string> = new Set([
  'Deployment',
  'ReplicaSet',
  'StatefulSet',
  'DaemonSet',
  'Job',
  'CronJob',
  'ReplicationController',
]);

/** `Kind/namespace/name`: how the objects of the input are found. */
export function objectKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

/**
 * RD-10: the top owner of an object. An owner that is not in the input ends the chain, with one exception: a ReplicaSet whose name ends
 * in the pod's `pod-template-hash` was made by the Deployment controller, so it folds into that Deployment although nobody listed it.
 */
export function topOwner(object: Owned, objects: ReadonlyMap<string, Owned>): Workload {
  let current: Owned = object;
  for (let depth = 0; depth < LONGEST_CHAIN; depth++) {
    const owners = current.meta.ownerReferences ?? [];
    const owner = owners.find((candidate) => candidate?.controller === true) ?? owners[0];
    const kind = owner?.kind ?? '';
    const name = owner?.name ?? '';
    // A mirror pod's owner is its Node, which is no workload.
    if (kind === '' || name === '' || kind === 'Node') break;
    const next = objects.get(objectKey(kind, current.namespace, name));
    if (next !== undefined) {
      current = next;
      continue;
    }
    const hash = kind === 'ReplicaSet' ? (object.meta.labels?.['pod-template-hash'] ?? '') : '';
    if (hash !== '' && name.endsWith(`-${hash}`) && name.length > hash.length + 1)
      return { kind: 'Deployment', namespace: current.namespace, name: name.slice(0, -hash.length - 1) };
    return { kind, namespace: current.namespace, name };
  }
  return { kind: current.kind, namespace: current.namespace, name: current.name };
}

/** How many pods a workload asks for, before any limit. */
export function replicaCount(workload: WorkloadObject, nodeCount: number): number {
  const { spec, status } = workload.raw;
  switch (workload.kind) {
    case 'DaemonSet':
      return Math.max(1, nodeCount);
    case 'CronJob':
      return spec?.jobTemplate?.spec?.parallelism ?? 1;
    case 'Job':
      // A finished Job keeps no pod running.
      if (
        (status?.conditions ?? []).some(
          (item) => (item?.type === 'Complete' || item?.type === 'Failed') && item.status === 'True',
        )
      )
        return 0;
      return spec?.parallelism ?? 1;
    default:
      return spec?.replicas ?? 1;
  }
}

/** RD-10: the pods that a workload stands for: one for all of them, or one an ordinal of a StatefulSet. */
export function standIns(workload: WorkloadObject, owner: Workload, nodeCount: number): Pod[] {
  const count = replicaCount(workload, nodeCount);
  if (count <= 0) return [];
  const template = workload.raw.spec?.template ?? workload.raw.spec?.jobTemplate?.spec?.template;
  const labels = readLabels(template?.metadata?.labels);
  const base = {
    namespace: workload.namespace,
    addresses: [],
    phase: 'Running' as const,
    hostNetwork: template?.spec?.hostNetwork ?? false,
    ...((template?.spec?.nodeName ?? '') === '' ? {} : { node: template!.spec!.nodeName! }),
    ports: readContainerPorts(template?.spec),
    workload: owner,
    isStandIn: true,
    position: workload.position,
  };
  if (workload.kind !== 'StatefulSet') return [{ ...base, name: workload.name, labels, count }];
  const start = workload.raw.spec?.ordinals?.start ?? 0;
  return Array.from({ length: Math.min(count, MOST_ORDINALS) }, (_, index) => {
    const name = `${workload.name}-${start + index}`;
    // The StatefulSet controller adds these two.
    const own: Labels = new Map([
      ...labels,
      ['statefulset.kubernetes.io/pod-name', name],
      ['apps.kubernetes.io/pod-index', String(start + index)],
    ]);
    return { ...base, name, labels: own, count: 1 };
  });
}
