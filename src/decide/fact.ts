/**
 * What is known of one endpoint of a flow, for the slow twin of decide: everything a selector, an ipBlock or a port's name
 * can ask, and whether the answer is certain.
 */
import { Endpoint, EndpointKind, Header } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import type { AddressText } from '../model/address.ts';
import type { ContainerPort, Namespace, Pod } from '../model/cluster.ts';
import type { ResolvedEndpoint } from '../model/explanation.ts';
import type { EndpointFact } from '../model/flow.ts';
import { type Labels, NAMESPACE_NAME_LABEL } from '../model/label.ts';
import { formatAddress } from '../model/address.ts';

/** One endpoint as the evaluation sees it. */
export interface Facts {
  readonly resolved: ResolvedEndpoint;
  /** `described`: a pod that only a record speaks of. */
  readonly kind: 'pod' | 'node' | 'outside' | 'unknown-pod' | 'described';
  /** Number in the Program; -1 for `described`. */
  readonly endpoint: number;
  readonly address?: AddressText;
  readonly namespace?: string;
  readonly labels: Labels;
  readonly namespaceLabels: Labels;
  /** False: a missing key may still be there. */
  readonly areLabelsComplete: boolean;
  readonly areNamespaceLabelsComplete: boolean;
  /** Undefined: not known. */
  readonly ports: readonly ContainerPort[] | undefined;
  readonly nodeLabels?: Labels;
}

const NO_LABELS: Labels = new Map();

/** The facts of an endpoint of the Program; `address` where the flow has one that the endpoint does not fix. */
export function factsOfEndpoint(program: Program, endpoint: number, address: AddressText | undefined): Facts {
  const { snapshot } = program.source;
  const at = endpoint * Endpoint.Stride;
  const kind: EndpointKind = program.endpoints[at + Endpoint.Kind]! & EndpointKind.Mask;
  const object = program.endpoints[at + Endpoint.Object]!;
  if (kind === EndpointKind.Pod) return factsOfPod(program, snapshot.pods[object]!, endpoint, address);
  const shared = {
    endpoint,
    labels: NO_LABELS,
    namespaceLabels: NO_LABELS,
    areLabelsComplete: true,
    areNamespaceLabelsComplete: true,
    ports: [],
    ...(address !== undefined && { address }),
  };
  const place = { areLabelsComplete: true, ...(address !== undefined && { address }) };
  if (kind === EndpointKind.Node) {
    const node = snapshot.nodes[object];
    const name = node?.name ?? nodeName(program, endpoint);
    return {
      ...shared,
      kind: 'node',
      resolved: { kind: 'node', ...place, ...(name !== undefined && { name }) },
      ...(node !== undefined && { nodeLabels: node.labels }),
    };
  }
  if (kind === EndpointKind.UnknownPod)
    return {
      ...shared,
      kind: 'unknown-pod',
      areLabelsComplete: false,
      areNamespaceLabelsComplete: false,
      ports: undefined,
      resolved: { kind: 'unknown-pod', ...place, areLabelsComplete: false },
    };
  return { ...shared, kind: 'outside', resolved: { kind: 'outside', ...place } };
}

/** The facts of a pod that the snapshot does not hold, as a record describes it. */
export function factsOfDescription(program: Program, fact: EndpointFact, address: AddressText | undefined): Facts {
  const known = fact.namespace === undefined ? undefined : namespaceNamed(program, fact.namespace);
  const recorded = new Map(fact.namespaceLabels ?? []);
  if (fact.namespace !== undefined) recorded.set(NAMESPACE_NAME_LABEL, fact.namespace);
  const labels = fact.labels ?? NO_LABELS;
  const name = fact.name ?? fact.workload;
  return {
    kind: 'described',
    endpoint: -1,
    labels,
    namespaceLabels: known?.labels ?? recorded,
    areLabelsComplete: fact.areLabelsComplete,
    areNamespaceLabelsComplete: known !== undefined,
    ports: undefined,
    ...(fact.namespace !== undefined && { namespace: fact.namespace }),
    ...(address !== undefined && { address }),
    resolved: {
      kind: 'described',
      labels,
      areLabelsComplete: fact.areLabelsComplete,
      ...(fact.namespace !== undefined && { namespace: fact.namespace }),
      ...(name !== undefined && { name }),
      ...(address !== undefined && { address }),
    },
  };
}

/** The text of an address of a batch row: IPv4 in `word`, IPv6 by id. */
export function addressText(family: number, word: number, words6: ArrayLike<number>): AddressText | undefined {
  if (family === 4) return formatAddress(4, [word]);
  return family === 6 ? formatAddress(6, Array.prototype.slice.call(words6, word * 4, word * 4 + 4)) : undefined;
}

/** The endpoint that stands for "outside" or "a node" where no address is known. */
export function endpointWithoutAddress(program: Program, kind: 'outside' | 'node'): number {
  return program.header[kind === 'outside' ? Header.OutsideNoAddress : Header.NodeNoAddress]!;
}

function factsOfPod(program: Program, pod: Pod, endpoint: number, address: AddressText | undefined): Facts {
  const namespace = namespaceNamed(program, pod.namespace);
  const namespaceLabels = namespace?.labels ?? new Map([[NAMESPACE_NAME_LABEL, pod.namespace]]);
  const own = address ?? addressOf(program, pod, endpoint);
  return {
    kind: 'pod',
    endpoint,
    namespace: pod.namespace,
    labels: pod.labels,
    namespaceLabels,
    areLabelsComplete: true,
    areNamespaceLabelsComplete: true,
    ports: pod.ports,
    ...(own !== undefined && { address: own }),
    resolved: {
      kind: 'pod',
      namespace: pod.namespace,
      name: pod.name,
      workload: pod.workload,
      labels: pod.labels,
      namespaceLabels,
      areLabelsComplete: true,
      ...(own !== undefined && { address: own }),
      ...(pod.node !== undefined && { node: pod.node }),
    },
  };
}

const namespaces = new WeakMap<Program, ReadonlyMap<string, Namespace>>();

function namespaceNamed(program: Program, name: string): Namespace | undefined {
  let index = namespaces.get(program);
  if (index === undefined) {
    // Of two with one name the first.
    index = new Map([...program.source.snapshot.namespaces].reverse().map((own) => [own.name, own]));
    namespaces.set(program, index);
  }
  return index.get(name);
}

/** Endpoints of a pod lie in the order of its addresses. */
function addressOf(program: Program, pod: Pod, endpoint: number): AddressText | undefined {
  const index = program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!;
  const start = program.podEndpointStart[index]!;
  const at = program.podEndpoints.subarray(start, program.podEndpointStart[index + 1]).indexOf(endpoint);
  return pod.addresses[at];
}

/** The node that a hostNetwork pod says it runs on; without an address nobody knows which node is meant. */
function nodeName(program: Program, endpoint: number): string | undefined {
  if (endpoint === program.header[Header.NodeNoAddress]) return undefined;
  return program.source.snapshot.pods.find(
    ({ hostNetwork }, index) =>
      hostNetwork &&
      program.podEndpoints
        .subarray(program.podEndpointStart[index], program.podEndpointStart[index + 1])
        .includes(endpoint),
  )?.node;
}
