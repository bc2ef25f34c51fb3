/**
 * Who is at an end of a flow: which pod, node, Service or stranger an address or a name stands for. Every look-up walks the
 * snapshot's lists; nothing is indexed or remembered. Behind it lies the question what policies say of the two ends.
 */
import { type AddressText, familyOf } from '../model/address.ts';
import type { Node, Pod, Service, Snapshot } from '../model/cluster.ts';
import { UnknownName } from '../model/evaluator.ts';
import type { EndpointRef } from '../model/flow.ts';
import { contains } from './block.ts';

/** One end of a flow that is judged. A pod or node may lack an address where only a name was given. */
export type Endpoint =
  | { readonly kind: 'pod'; readonly pod: Pod; readonly address: AddressText | undefined }
  | { readonly kind: 'node'; readonly address: AddressText | undefined }
  | { readonly kind: 'unknown-pod' | 'outside'; readonly address: AddressText };

/** The family that both ends should use; undefined where nothing tells. */
export type FamilyHint = 4 | 6 | undefined;

/** Pods that count: neither finished nor failed. */
export function livePods(snapshot: Snapshot): Pod[] {
  return snapshot.pods.filter((pod) => pod.phase !== 'Succeeded' && pod.phase !== 'Failed'); // EP-02
}

/** The nodes that have an address. */
export function nodesAt(snapshot: Snapshot, address: AddressText | undefined): Node[] {
  return snapshot.nodes.filter((node) => address !== undefined && node.addresses.includes(address));
}

/** The Services that have an address, cluster or external, in the order of the input. */
export function servicesAt(snapshot: Snapshot, address: AddressText | undefined): Service[] {
  if (address === undefined) return [];
  return snapshot.services.filter(
    (service) => service.clusterAddresses.includes(address) || service.externalAddresses.includes(address),
  );
}

/** Who holds an address; Services apart, which hold none of their own. */
export function holderOf(snapshot: Snapshot, address: AddressText): Endpoint {
  const holders = livePods(snapshot).filter((pod) => pod.addresses.includes(address)); // EP-01
  const own = holders.filter((pod) => !pod.hostNetwork);
  const pod = own.find((holder) => holder.phase === 'Running') ?? own[0]; // EP-03
  if (pod !== undefined) return { kind: 'pod', pod, address };
  if (holders.length > 0 || nodesAt(snapshot, address).length > 0) return { kind: 'node', address }; // EP-05
  if (snapshot.nodes.some((node) => node.podCidrs.some((cidr) => contains(cidr, address))))
    return { kind: 'unknown-pod', address }; // EP-06
  return { kind: 'outside', address }; // EP-08
}

/** A pod as an endpoint, with its address of the wanted family, else its first. */
export function placePod(pod: Pod, family: FamilyHint): Endpoint {
  const address = pod.addresses.find((own) => familyOf(own) === family) ?? pod.addresses[0]; // EP-12
  return pod.hostNetwork ? { kind: 'node', address } : { kind: 'pod', pod, address }; // EP-04
}

/** The pods that a name stands for, at least one. Throws `UnknownName`. */
export function podsNamed(snapshot: Snapshot, ref: EndpointRef & { kind: 'name' | 'workload' }): Pod[] {
  const inNamespace = snapshot.pods.filter((pod) => pod.namespace === ref.namespace);
  const live = livePods(snapshot).filter((pod) => pod.namespace === ref.namespace);
  // A workload's stand-in has no name of its own, unless it is the ordinal of a StatefulSet.
  const isNamed = (pod: Pod): boolean => pod.name === ref.name && !(pod.isStandIn && pod.name === pod.workload.name);
  const isOwned = ({ workload }: Pod): boolean =>
    workload.namespace === ref.namespace &&
    workload.name === ref.name &&
    (ref.kind === 'name' || isSameKind(workload.kind, ref.workloadKind));

  // EP-09
  const isPodRef = ref.kind === 'name' || isSameKind('Pod', ref.workloadKind);
  const pod = isPodRef ? live.find(isNamed) : undefined;
  if (pod !== undefined) return [pod];
  const owned = live.filter(isOwned);
  if (owned.length > 0) return owned;

  const text =
    ref.kind === 'name' ? `${ref.namespace}/${ref.name}` : `${ref.namespace}/${ref.workloadKind}/${ref.name}`;
  const isOver = inNamespace.some((other) => (isPodRef && isNamed(other)) || isOwned(other));
  throw new UnknownName(isOver ? `${text} has terminated` : `no pod or workload is called ${text}`);
}

/** Kinds as people type them: in any case. */
function isSameKind(kind: string, written: string): boolean {
  return kind.toLowerCase() === written.toLowerCase();
}
