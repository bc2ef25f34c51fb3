/**
 * Random clusters, small and mean: pods that share addresses and lack labels, nodes, Services and their slices. Every one is such
 * that the readers could have produced it.
 */
import * as fc from 'fast-check';
import { type AddressText, familyOf } from '../model/address.ts';
import type { Cidr } from '../model/cidr.ts';
import type {
  ContainerPort,
  EndpointSlice,
  Namespace,
  Node,
  Pod,
  Service,
  ServicePort,
  Snapshot,
} from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL } from '../model/label.ts';
import {
  NAMESPACES,
  HOMES,
  KEYS,
  VALUES,
  PORT_NAMES,
  PORT_NUMBERS,
  PROTOCOLS,
  positionAt,
  dropUndefined,
} from './vocabulary.ts';

const NODE_NAMES = ['n1', 'n2'];

const EXTERNAL: Readonly<Record<ServiceDraft['external'], (index: number) => AddressText[]>> = {
  none: () => [],
  own: (index) => [`198.51.100.${index + 2}` as AddressText],
  shared: () => ['198.51.100.1' as AddressText],
  node: () => ['192.168.0.1' as AddressText],
};

export function arbitrarySnapshot(): fc.Arbitrary<Snapshot> {
  return fc
    .record({
      namespaces: fc.subarray([...NAMESPACES]).chain((names) => fc.tuple(...names.map(arbitraryNamespace))),
      nodes: fc.subarray(NODE_NAMES).chain((names) => fc.tuple(...names.map(arbitraryNode))),
      pods: fc.array(arbitraryPod(), { minLength: 2, maxLength: 8, size: 'max' }),
      services: fc.array(arbitraryService(), { maxLength: 2, size: 'max' }),
      sliced: fc.array(fc.record({ service: fc.nat(1), pods: fc.subarray([0, 1, 2, 3]), isOpen: fc.boolean() }), {
        maxLength: 1,
      }),
    })
    .map(({ namespaces, nodes, pods, services, sliced }) => {
      const placed = pods.map((pod, index) => placePod(pod, index, nodes));
      const numbered = services.map(numberService);
      const endpointSlices = sliced.flatMap((slice) => {
        const service = numbered[slice.service];
        return service === undefined || service.type === 'ExternalName'
          ? []
          : [sliceOf(service, placed, slice.pods, slice.isOpen)];
      });
      return { namespaces, nodes, pods: placed, services: numbered, endpointSlices };
    });
}

function arbitraryLabels(): fc.Arbitrary<Labels> {
  return fc
    .tuple(
      ...KEYS.map((key) =>
        fc.option(fc.constantFrom(...VALUES), { nil: undefined }).map((value) => [key, value] as const),
      ),
    )
    .map((pairs) => new Map(pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined)));
}

function arbitraryNamespace(name: string): fc.Arbitrary<Namespace> {
  return arbitraryLabels().map((labels) => ({ name, labels: new Map([...labels, [NAMESPACE_NAME_LABEL, name]]) }));
}

function arbitraryNode(name: string): fc.Arbitrary<Node> {
  const number = NODE_NAMES.indexOf(name) + 1;
  return fc.record({
    name: fc.constant(name),
    labels: arbitraryLabels(),
    addresses: fc.subarray(
      [`192.168.0.${number}`, `fd00:192::${number}`].map((text) => text as AddressText),
      { minLength: 1 },
    ),
    podCidrs: fc.subarray([`10.0.${number - 1}.0/24`, `fd00::${number - 1}:0:0:0/80`].map((text) => text as Cidr)),
  });
}

/** A pod before it has a name and a place. */
interface PodDraft {
  readonly namespace: string;
  readonly labels: Labels;
  readonly families: readonly number[];
  readonly twin: boolean;
  readonly phase: Pod['phase'];
  readonly form: 'pod' | 'stand-in' | 'host-network';
  readonly node: string | undefined;
  readonly ports: readonly ContainerPort[];
  readonly owner: string | undefined;
  readonly count: number;
}

function arbitraryPod(): fc.Arbitrary<PodDraft> {
  return fc.record({
    namespace: fc.constantFrom(...HOMES),
    labels: arbitraryLabels(),
    families: fc.constantFrom([4], [4], [6], [4, 6], [6, 4]),
    twin: fc.integer({ min: 0, max: 7 }).map((number) => number === 1),
    phase: fc.constantFrom<Pod['phase']>('Running', 'Running', 'Running', 'Running', 'Pending', 'Succeeded', 'Failed'),
    form: fc.constantFrom<PodDraft['form']>('pod', 'pod', 'pod', 'pod', 'stand-in', 'host-network'),
    node: fc.option(fc.constantFrom(...NODE_NAMES), { nil: undefined }),
    ports: fc.uniqueArray(arbitraryContainerPort(), {
      maxLength: 3,
      selector: (port) => `${port.port}/${port.protocol}`,
    }),
    owner: fc.option(fc.constantFrom('w0', 'w1'), { nil: undefined }),
    count: fc.integer({ min: 1, max: 2 }),
  });
}

function arbitraryContainerPort(): fc.Arbitrary<ContainerPort> {
  return fc
    .record({
      name: fc.option(fc.constantFrom(...PORT_NAMES), { nil: undefined }),
      port: fc.constantFrom(...PORT_NUMBERS),
      protocol: fc.constantFrom(...PROTOCOLS),
      hostPort: fc.option(fc.constantFrom(443, 8443), { nil: undefined, freq: 8 }),
    })
    .map(dropUndefined);
}

/** Names a pod and gives it addresses: its own, those of an earlier pod, or those of its node. */
function placePod(draft: PodDraft, index: number, nodes: readonly Node[]): Pod {
  const isStandIn = draft.form === 'stand-in';
  const hostNetwork = draft.form === 'host-network';
  const number = draft.twin ? Math.max(0, index - 1) : index;
  const own = draft.families.map(
    (family) => (family === 4 ? `10.0.0.${number + 1}` : `fd00::${number + 1}`) as AddressText,
  );
  const node = nodes.find((known) => known.name === draft.node);
  const name = isStandIn && draft.owner !== undefined ? draft.owner : `p${index}`;
  const kind = isStandIn || draft.owner !== undefined ? 'Deployment' : 'Pod';
  return {
    namespace: draft.namespace,
    name,
    labels: draft.labels,
    addresses: isStandIn ? [] : hostNetwork ? (node?.addresses ?? []) : own,
    phase: isStandIn ? 'Running' : draft.phase,
    hostNetwork,
    ...(!isStandIn && draft.node !== undefined && { node: draft.node }),
    ports: hostNetwork || isStandIn ? draft.ports.map(({ hostPort: _, ...port }) => port) : draft.ports,
    workload: { kind, namespace: draft.namespace, name: draft.owner ?? name },
    count: isStandIn ? draft.count : 1,
    isStandIn,
    position: positionAt(100 + index),
  };
}

interface ServiceDraft {
  readonly namespace: string;
  readonly type: Service['type'];
  readonly isHeadless: boolean;
  readonly families: readonly number[];
  /** Two Services may have one external address, and it may be a node's. */
  readonly external: 'none' | 'own' | 'shared' | 'node';
  readonly ports: readonly ServicePort[];
  readonly selector: Labels | undefined;
}

function arbitraryService(): fc.Arbitrary<ServiceDraft> {
  const port = fc
    .record({
      protocol: fc.constantFrom(...PROTOCOLS),
      port: fc.constantFrom(...PORT_NUMBERS),
      targetPort: fc.option(fc.constantFrom<number | string>(...PORT_NUMBERS, ...PORT_NAMES), { nil: undefined }),
    })
    .map((own) => dropUndefined<ServicePort>(own));
  return fc.record({
    namespace: fc.constantFrom(...HOMES),
    type: fc.constantFrom<Service['type']>('ClusterIP', 'ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
    isHeadless: fc.integer({ min: 0, max: 4 }).map((number) => number === 1),
    families: fc.constantFrom([4], [6], [4, 6]),
    external: fc.constantFrom<ServiceDraft['external']>('none', 'none', 'own', 'shared', 'node'),
    ports: fc.uniqueArray(port, { minLength: 1, maxLength: 2, selector: (own) => `${own.port}/${own.protocol}` }),
    selector: fc.option(
      fc.oneof(
        { weight: 1, arbitrary: arbitraryLabels() },
        { weight: 3, arbitrary: fc.constantFrom<Labels>(new Map([['app', 'x']]), new Map([['tier', 'x']])) },
      ),
      { nil: undefined, freq: 6 },
    ),
  });
}

function numberService(draft: ServiceDraft, index: number): Service {
  const isExternal = draft.type === 'ExternalName';
  const isHeadless = draft.isHeadless && draft.type === 'ClusterIP';
  const hasNodePorts = draft.type === 'NodePort' || draft.type === 'LoadBalancer';
  const isNamed = draft.ports.length > 1;
  const ports = draft.ports.map((port, at) => ({
    ...port,
    ...(isNamed && { name: `port-${at}` }),
    ...(hasNodePorts && { nodePort: 31_000 + 10 * index + at }),
  }));
  return {
    namespace: draft.namespace,
    name: `s${index}`,
    type: draft.type,
    clusterAddresses:
      isExternal || isHeadless
        ? []
        : draft.families.map(
            (family) => (family === 4 ? `10.96.0.${index + 1}` : `fd00:96::${index + 1}`) as AddressText,
          ),
    externalAddresses: isExternal || isHeadless ? [] : EXTERNAL[draft.external](index),
    ports: isExternal ? [] : ports,
    selector: isExternal ? undefined : draft.selector,
    ...(isExternal && { externalName: 'far.example.com' }),
    isHeadless,
    position: positionAt(200 + index),
  };
}

/** An IPv4 slice over some pods of the Service's namespace and one stranger. */
function sliceOf(service: Service, pods: readonly Pod[], chosen: readonly number[], isOpen: boolean): EndpointSlice {
  const endpoints = chosen.flatMap((index) => {
    const pod = pods[index];
    const address = pod?.addresses.find((own) => familyOf(own) === 4);
    if (pod === undefined || address === undefined || pod.namespace !== service.namespace) return [];
    return [{ addresses: [address], ...(index % 2 === 0 && { pod: { namespace: pod.namespace, name: pod.name } }) }];
  });
  return {
    namespace: service.namespace,
    name: `${service.name}-slice`,
    service: service.name,
    family: 4,
    endpoints: isOpen ? [...endpoints, { addresses: ['203.0.113.70' as AddressText] }] : endpoints,
    ports: service.ports.map((port) => ({
      ...(port.name !== undefined && { name: port.name }),
      protocol: port.protocol,
      port: typeof port.targetPort === 'number' ? port.targetPort : port.port,
    })),
  };
}
