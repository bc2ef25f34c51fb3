/**
 * The service table: (address, protocol, port) -> backends, for ClusterIPs, load balancer and external addresses, node
 * ports and host ports; and the same by Service name. Backends are endpoints with the port that traffic arrives at.
 */
import { type AddressText, familyOf } from '../model/address.ts';
import {
  type EndpointPort,
  type EndpointSlice,
  hasEnded,
  isGoverned,
  type Pod,
  type Service,
  type ServicePort,
  type Snapshot,
} from '../model/cluster.ts';
import type { Dialect } from '../model/dialect.ts';
import type { Labels } from '../model/label.ts';
import type { PortProtocol } from '../model/port.ts';
import { ServiceSlot, ServiceTarget } from './layout.ts';
import { append } from './multimap.ts';
import { PROTOCOL_ORDINAL } from './port.ts';

/** The family of the flow that is translated; undefined where nothing tells. */
export type FlowFamily = 4 | 6 | undefined;

/** Where traffic to a Service port arrives: a pod by its index, or an address. */
export interface Backend {
  readonly pod?: number;
  readonly address?: AddressText;
  readonly port: number;
}

/** One entry of the table; `targets` are endpoint numbers or `ServiceTarget` values, all of one family. */
export interface ServiceEntry {
  readonly targets: readonly number[];
  readonly family: FlowFamily;
  readonly protocol: PortProtocol;
  readonly port: number;
  readonly backends: readonly Backend[];
}

/** Resolves the backends of Services from EndpointSlices, else from selectors. */
export interface ServiceIndex {
  /** SV-02, SV-03: backends of one Service port. */
  backends(service: Service, port: ServicePort, family: FlowFamily): readonly Backend[];
  /** Are a Service's backends others for other families? Those that a selector takes are not. */
  dependsOnFamily(service: Service): boolean;
  /** SV-07: the pods of a headless Service, on the port that is asked for. */
  members(service: Service, family: FlowFamily, port: number): readonly Backend[];
}

const FAMILIES = [4, 6] as const;

/** Indexes the Services of a snapshot. */
export function indexServices(snapshot: Snapshot): ServiceIndex {
  const slices = new Map<string, EndpointSlice[]>();
  for (const slice of snapshot.endpointSlices) append(slices, `${slice.namespace}/${slice.service}`, slice);
  const podsByNamespace = new Map<string, number[]>();
  snapshot.pods.forEach((pod, index) => {
    if (!hasEnded(pod)) append(podsByNamespace, pod.namespace, index); // EP-02
  });
  // By `namespace/name`; made when a slice asks.
  let podsByName: Map<string, number> | undefined;

  interface Member {
    readonly pod?: number;
    readonly address?: AddressText;
    readonly ports?: readonly EndpointPort[];
  }

  // The pods that a selector takes do not depend on port and family, which Services are asked for one after another.
  let selecting: Service | undefined;
  let selected: readonly Member[] = [];

  const list = (service: Service, family: FlowFamily): readonly Member[] => {
    const own = slices.size === 0 ? undefined : slices.get(`${service.namespace}/${service.name}`);
    if (own !== undefined) return listSlices(own, service, family);
    if (service !== selecting) {
      selecting = service;
      selected = select(service);
    }
    return selected;
  };

  const listSlices = (own: readonly EndpointSlice[], { namespace }: Service, family: FlowFamily): readonly Member[] =>
    own
      .filter((slice) => family === undefined || slice.family === family)
      .flatMap(({ endpoints, ports }) =>
        endpoints.flatMap(({ addresses, pod: target }): Member[] => {
          const pod = target?.namespace === namespace ? podNamed(target) : undefined;
          if (pod !== undefined) return [{ pod, ports }];
          // discovery.k8s.io/v1: consumers use the first address.
          return addresses[0] === undefined ? [] : [{ address: addresses[0], ports }];
        }),
      );

  const podNamed = ({ namespace, name }: { readonly namespace: string; readonly name: string }): number | undefined => {
    if (podsByName === undefined) {
      podsByName = new Map();
      for (const pods of podsByNamespace.values())
        for (const pod of pods) {
          const key = `${snapshot.pods[pod]!.namespace}/${snapshot.pods[pod]!.name}`;
          if (!podsByName.has(key)) podsByName.set(key, pod);
        }
    }
    return podsByName.get(`${namespace}/${name}`);
  };

  /** The live pods of the Service's namespace that have every label of its selector; none where it has no selector. */
  const select = ({ namespace, selector }: Service): readonly Member[] => {
    const own = podsByNamespace.get(namespace);
    if (own === undefined || selector === undefined || selector.size === 0) return [];
    const wanted = [...selector];
    const members: Member[] = [];
    for (let at = 0; at < own.length; at++)
      if (hasAll(snapshot.pods[own[at]!]!.labels, wanted)) members.push({ pod: own[at]! });
    return members;
  };

  return {
    backends(service, port, family) {
      const members = list(service, family);
      const backends: Backend[] = [];
      for (let at = 0; at < members.length; at++) {
        const { pod, address, ports } = members[at]!;
        const number = ports === undefined ? targetPortOf(port, snapshot.pods[pod!]!) : slicePortOf(port, ports);
        if (number === undefined) continue;
        backends.push(backendOf(pod, address, number));
      }
      return backends;
    },
    dependsOnFamily: ({ namespace, name }) => slices.size > 0 && slices.has(`${namespace}/${name}`),
    members: (service, family, port) => list(service, family).map(({ pod, address }) => backendOf(pod, address, port)),
  };
}

/** Every entry of a snapshot, in order of precedence; `endpointOf` numbers an address. */
export function listServices(
  snapshot: Snapshot,
  dialect: Dialect,
  endpointOf: (address: AddressText) => number,
): ServiceEntry[] {
  const index = indexServices(snapshot);
  const entries: ServiceEntry[] = [];
  for (let at = 0; at < snapshot.services.length; at++) {
    const service = snapshot.services[at]!;
    const targets4 = [ServiceTarget.ByName4 + at];
    const targets6 = [ServiceTarget.ByName6 + at];
    for (const list of [service.clusterAddresses, service.externalAddresses])
      for (const address of list) (familyOf(address) === 4 ? targets4 : targets6).push(endpointOf(address));
    const isPerFamily = index.dependsOnFamily(service);
    for (let number = 0; number < service.ports.length; number++) {
      const own = service.ports[number]!;
      const { protocol, port, nodePort } = own;
      const backends = index.backends(service, own, undefined);
      entries.push({ targets: [ServiceTarget.ByName + at], family: undefined, protocol, port, backends });
      for (const family of FAMILIES) {
        const reached = isPerFamily ? index.backends(service, own, family) : backends;
        entries.push({ targets: family === 4 ? targets4 : targets6, family, protocol, port, backends: reached });
        if (nodePort !== undefined) {
          const targets = [family === 4 ? ServiceTarget.AnyNode4 : ServiceTarget.AnyNode6];
          entries.push({ targets, family, protocol, port: nodePort, backends: reached });
        }
      }
    }
  }
  if (dialect.hostPort === 'translate') entries.push(...listHostPorts(snapshot, endpointOf)); // DI-06
  return entries;
}

/** Lays the entries out as an open-addressing table of a power of two slots, at most half full. */
export function buildServiceTable(
  entries: readonly ServiceEntry[],
  endpointOfBackend: (backend: Backend, family: FlowFamily) => number,
): { serviceSlots: Uint32Array; backends: Int32Array } {
  let targetCount = 0;
  let backendCount = 0;
  for (let entry = 0; entry < entries.length; entry++) {
    targetCount += entries[entry]!.targets.length;
    backendCount += entries[entry]!.backends.length;
  }
  let size = 2;
  while (size < targetCount * 2) size *= 2;
  const serviceSlots = new Uint32Array(size * ServiceSlot.Stride);
  const backends = new Int32Array(backendCount * 2);
  let used = 0;
  for (let entry = 0; entry < entries.length; entry++) {
    const { targets, family, protocol, port, backends: list } = entries[entry]!;
    const start = used / 2;
    for (let own = 0; own < list.length; own++) {
      backends[used++] = endpointOfBackend(list[own]!, family);
      backends[used++] = list[own]!.port;
    }
    const key = ((PROTOCOL_ORDINAL[protocol] << 16) | port) >>> 0;
    for (let own = 0; own < targets.length; own++) {
      const target = targets[own]!;
      let slot = hashService(target, key) & (size - 1);
      let at = slot * ServiceSlot.Stride;
      while (serviceSlots[at + ServiceSlot.CountPlusOne] !== 0) {
        if (serviceSlots[at + ServiceSlot.Target] === target >>> 0 && serviceSlots[at + ServiceSlot.Port] === key)
          break;
        slot = (slot + 1) & (size - 1);
        at = slot * ServiceSlot.Stride;
      }
      // SV-06: the first that claims an address and port keeps it; entries come in order of precedence.
      if (serviceSlots[at + ServiceSlot.CountPlusOne] !== 0) continue;
      serviceSlots[at + ServiceSlot.Target] = target >>> 0;
      serviceSlots[at + ServiceSlot.Port] = key;
      serviceSlots[at + ServiceSlot.Start] = start;
      serviceSlots[at + ServiceSlot.CountPlusOne] = list.length + 1;
    }
  }
  return { serviceSlots, backends };
}

/** The hash of a service slot; decide probes with the same one. */
export function hashService(target: number, key: number): number {
  const hash = Math.imul(target ^ Math.imul(key, 0x85ebca6b), 0xc2b2ae35);
  return hash ^ (hash >>> 15);
}

/** A pod, else the address that a slice gives instead. */
function backendOf(pod: number | undefined, address: AddressText | undefined, port: number): Backend {
  return pod === undefined ? { address: address!, port } : { pod, port };
}

function hasAll(labels: Labels, wanted: readonly (readonly [string, string])[]): boolean {
  for (let at = 0; at < wanted.length; at++) if (labels.get(wanted[at]![0]) !== wanted[at]![1]) return false;
  return true;
}

/** A number, a name resolved on the backend (undefined: the backend has none such), or the Service's own port. */
function targetPortOf(port: ServicePort, pod: Pod): number | undefined {
  if (typeof port.targetPort !== 'string') return port.targetPort ?? port.port;
  for (const own of pod.ports) if (own.name === port.targetPort && own.protocol === port.protocol) return own.port;
  return undefined;
}

/** The slice's port of the same protocol and name; a slice without a number leaves it to the Service. */
function slicePortOf(port: ServicePort, ports: readonly EndpointPort[]): number | undefined {
  const own = ports.find(({ protocol, name }) => protocol === port.protocol && (name ?? '') === (port.name ?? ''));
  if (own === undefined) return undefined;
  return own.port ?? (typeof port.targetPort === 'number' ? port.targetPort : port.port);
}

/** A hostPort sends traffic for the pod's node to the pod; pods of one node that share it are alternatives. */
function listHostPorts(snapshot: Snapshot, endpointOf: (address: AddressText) => number): ServiceEntry[] {
  const entries: ServiceEntry[] = [];
  const podsByNode = new Map<string, number[]>();
  snapshot.pods.forEach((pod, index) => {
    if (isGoverned(pod) && pod.node !== undefined && pod.ports.some(({ hostPort }) => hostPort !== undefined))
      append(podsByNode, pod.node, index);
  });
  for (const node of snapshot.nodes) {
    const backends = new Map<string, Backend[]>();
    for (const pod of podsByNode.get(node.name) ?? [])
      for (const { hostPort, port, protocol } of snapshot.pods[pod]!.ports)
        if (hostPort !== undefined) append(backends, `${protocol}/${hostPort}`, { pod, port });
    for (const family of [4, 6] as const) {
      const targets = node.addresses.filter((address) => familyOf(address) === family).map(endpointOf);
      for (const [key, list] of backends) {
        const [protocol, port] = key.split('/') as [PortProtocol, string];
        entries.push({ targets, family, protocol, port: Number(port), backends: list });
      }
    }
  }
  return entries;
}
