/** The cluster's objects at one time, reduced to what decides a flow. Lists keep the order of the input. */
import type { AddressText } from './address.ts';
import type { Cidr } from './cidr.ts';
import type { Labels } from './label.ts';
import type { Position } from './policy.ts';
import type { PortProtocol } from './port.ts';

/** A Namespace; `labels` always holds `kubernetes.io/metadata.name`. */
export interface Namespace {
  readonly name: string;
  readonly labels: Labels;
}

/** The top owner of a pod (Deployment over ReplicaSet over Pod), or the pod itself where it has none. */
export interface Workload {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** `spec.containers[].ports[]`, init and sidecar containers apart (they do not resolve names). */
export interface ContainerPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: PortProtocol;
  readonly hostPort?: number;
}

/** `status.phase`; `Running` where the input has none. */
export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

/** A pod, or a workload that stands for pods which the input does not list. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  /** `status.podIPs`, both families; empty where the pod has none, or stands in for a workload. */
  readonly addresses: readonly AddressText[];
  readonly phase: PodPhase;
  readonly hostNetwork: boolean;
  readonly node?: string;
  readonly ports: readonly ContainerPort[];
  readonly workload: Workload;
  /** How many pods this object stands for: 1 for a Pod, `replicas` for a workload without Pod objects. */
  readonly count: number;
  /** True where no Pod object was in the input. */
  readonly isStandIn: boolean;
  /** `status.startTime`, else `metadata.creationTimestamp`, microseconds since 1970; absent where neither is stated. */
  readonly startedUs?: number;
  readonly position: Position;
}

/** A Node: addresses of `status.addresses`, blocks of `spec.podCIDRs`. */
export interface Node {
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly AddressText[];
  readonly podCidrs: readonly Cidr[];
}

/** `spec.ports[]` of a Service. */
export interface ServicePort {
  readonly name?: string;
  readonly protocol: PortProtocol;
  readonly port: number;
  /** A number, a container port's name, or undefined: the same as `port`. */
  readonly targetPort?: number | string;
  readonly nodePort?: number;
}

/** A Service; ExternalName and headless Services have no addresses. */
export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** `spec.clusterIPs`; empty for headless (`None`) and ExternalName. */
  readonly clusterAddresses: readonly AddressText[];
  /** `spec.externalIPs` and `status.loadBalancer.ingress[].ip`. */
  readonly externalAddresses: readonly AddressText[];
  readonly ports: readonly ServicePort[];
  /** Undefined: no selector, backends come from EndpointSlices alone. */
  readonly selector: Labels | undefined;
  readonly externalName?: string;
  readonly isHeadless: boolean;
  readonly position: Position;
}

/** One endpoint of an EndpointSlice that is not marked unready. */
export interface ServiceEndpoint {
  readonly addresses: readonly AddressText[];
  /** `targetRef` of kind Pod. */
  readonly pod?: { readonly namespace: string; readonly name: string };
}

/** `ports[]` of an EndpointSlice; an undefined port means every port. */
export interface EndpointPort {
  readonly name?: string;
  readonly protocol: PortProtocol;
  readonly port?: number;
}

/** discovery.k8s.io/v1 EndpointSlice; `service` is its label `kubernetes.io/service-name`. */
export interface EndpointSlice {
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  readonly family: 4 | 6;
  readonly endpoints: readonly ServiceEndpoint[];
  readonly ports: readonly EndpointPort[];
}

/** Everything that `compile` needs to know of a cluster. */
export interface Snapshot {
  readonly namespaces: readonly Namespace[];
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
}

/** `namespace/Kind/name`, exact. */
export function formatWorkload(workload: Workload): string {
  return `${workload.namespace}/${workload.kind}/${workload.name}`;
}

/** EP-02: a pod that is over takes part in nothing, and its address may be another's by now. */
export function hasEnded({ phase }: Pick<Pod, 'phase'>): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

/** True where a pod takes part in policy: it is not over, and it has an address of its own (or will have), not its node's. */
export function isGoverned(pod: Pick<Pod, 'phase' | 'hostNetwork'>): boolean {
  return !pod.hostNetwork && !hasEnded(pod);
}
