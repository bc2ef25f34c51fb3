/** Cluster objects -> model: pods, nodes, Services and EndpointSlices, each from an object that has passed its schema and its check. */
import type { AddressText } from '../model/address.ts';
import type { Cidr } from '../model/cidr.ts';
import type { ContainerPort, EndpointSlice, Node, Pod, PodPhase, Service, Workload } from '../model/cluster.ts';
import type { Labels } from '../model/label.ts';
import type { Position } from '../model/policy.ts';
import type { PortProtocol } from '../model/port.ts';
import { readAddress, readCidr } from './cidr.ts';
import { type Maybe, type RawMeta, readLabels } from './meta.ts';
import { startOf } from './moment.ts';
import { type Problem, invalid, unsupported } from './problem.ts';
import type { Path } from './source.ts';

/** The part of a PodSpec that decides a flow. */
export interface RawPodSpec {
  readonly nodeName?: Maybe<string>;
  readonly hostNetwork?: Maybe<boolean>;
  readonly containers?: Maybe<readonly Maybe<{ readonly ports?: Maybe<readonly Maybe<RawContainerPort>[]> }>[]>;
}

interface RawContainerPort {
  readonly name?: Maybe<string>;
  readonly containerPort?: Maybe<number>;
  readonly hostPort?: Maybe<number>;
  readonly protocol?: Maybe<string>;
}

/** v1 Pod. */
export interface RawPod {
  readonly spec?: Maybe<RawPodSpec>;
  readonly status?: Maybe<{
    readonly phase?: Maybe<string>;
    readonly podIP?: Maybe<string>;
    readonly podIPs?: Maybe<readonly Maybe<{ readonly ip?: Maybe<string> }>[]>;
    readonly hostIP?: Maybe<string>;
    readonly hostIPs?: Maybe<readonly Maybe<{ readonly ip?: Maybe<string> }>[]>;
  }>;
}

/** v1 Node. */
export interface RawNode {
  readonly metadata?: Maybe<RawMeta>;
  readonly spec?: Maybe<{ readonly podCIDR?: Maybe<string>; readonly podCIDRs?: Maybe<readonly Maybe<string>[]> }>;
  readonly status?: Maybe<{ readonly addresses?: Maybe<readonly Maybe<{ readonly address?: Maybe<string> }>[]> }>;
}

/** v1 Service. */
export interface RawService {
  readonly spec?: Maybe<{
    readonly type?: Maybe<string>;
    readonly clusterIP?: Maybe<string>;
    readonly clusterIPs?: Maybe<readonly Maybe<string>[]>;
    readonly externalIPs?: Maybe<readonly Maybe<string>[]>;
    readonly externalName?: Maybe<string>;
    readonly selector?: RawMeta['labels'];
    readonly ports?: Maybe<
      readonly Maybe<{
        readonly name?: Maybe<string>;
        readonly protocol?: Maybe<string>;
        readonly port?: Maybe<number>;
        readonly targetPort?: Maybe<number | string>;
        readonly nodePort?: Maybe<number>;
      }>[]
    >;
  }>;
  readonly status?: Maybe<{
    readonly loadBalancer?: Maybe<{ readonly ingress?: Maybe<readonly Maybe<{ readonly ip?: Maybe<string> }>[]> }>;
  }>;
}

/** discovery.k8s.io/v1 EndpointSlice. */
export interface RawEndpointSlice {
  readonly metadata?: Maybe<RawMeta>;
  readonly addressType?: Maybe<string>;
  readonly endpoints?: Maybe<
    readonly Maybe<{
      readonly addresses?: Maybe<readonly Maybe<string>[]>;
      readonly conditions?: Maybe<{ readonly ready?: Maybe<boolean> }>;
      readonly targetRef?: Maybe<{
        readonly kind?: Maybe<string>;
        readonly namespace?: Maybe<string>;
        readonly name?: Maybe<string>;
      }>;
    }>[]
  >;
  readonly ports?: Maybe<
    readonly Maybe<{
      readonly name?: Maybe<string>;
      readonly protocol?: Maybe<string>;
      readonly port?: Maybe<number>;
    }>[]
  >;
}

const PHASES: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];
const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP'];
const SERVICE_TYPES: readonly Service['type'][] = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'];
const RANGE_TEXT = 'must be between 1 and 65535, inclusive';

/** Address, phase and ports of a Pod. */
export function checkPod(pod: RawPod): Problem[] {
  const problems: Problem[] = [];
  checkPodSpec(pod.spec, ['spec'], problems);
  const phase = pod.status?.phase ?? '';
  if (phase !== '' && !(PHASES as readonly string[]).includes(phase))
    problems.push(unsupported(['status', 'phase'], phase, PHASES));
  checkAddress(pod.status?.podIP, ['status', 'podIP'], problems);
  for (const [index, item] of (pod.status?.podIPs ?? []).entries())
    checkAddress(item?.ip, ['status', 'podIPs', index, 'ip'], problems);
  return problems;
}

/** The container ports of a pod or of a workload's template. */
export function checkPodSpec(spec: Maybe<RawPodSpec>, path: Path, problems: Problem[]): void {
  for (const [index, container] of (spec?.containers ?? []).entries())
    for (const [at, port] of (container?.ports ?? []).entries()) {
      const where = [...path, 'containers', index, 'ports', at];
      checkPort(port?.containerPort ?? 0, [...where, 'containerPort'], problems);
      checkProtocol(port?.protocol, [...where, 'protocol'], problems);
    }
}

/** A pod of the model; `own` gives what its metadata says. */
export function readPod(
  pod: RawPod,
  own: { namespace: string; name: string; labels: Labels; workload: Workload; position: Position },
): Pod {
  const { namespace, name, labels, workload, position } = own;
  const { spec, status } = pod;
  const node = spec?.nodeName ?? '';
  const startedUs = startOf(pod);
  // Pods are many: each is written out whole, as spreading into it costs ten times as much.
  const made: { -readonly [Key in keyof Pod]: Pod[Key] } = {
    namespace,
    name,
    labels,
    addresses: readAddresses([status?.podIP, ...(status?.podIPs ?? []).map((item) => item?.ip)]),
    phase: ((status?.phase ?? '') || 'Running') as PodPhase,
    hostNetwork: spec?.hostNetwork ?? false,
    ports: readContainerPorts(spec),
    workload,
    count: 1,
    isStandIn: false,
    position,
  };
  if (node !== '') made.node = node;
  if (!Number.isNaN(startedUs)) made.startedUs = startedUs;
  return made;
}

/** RD-09: ports of `spec.containers` alone: names of init containers do not resolve. */
export function readContainerPorts(spec: Maybe<RawPodSpec>): ContainerPort[] {
  const ports: ContainerPort[] = [];
  for (const container of spec?.containers ?? [])
    for (const port of container?.ports ?? []) {
      const made: { -readonly [Key in keyof ContainerPort]: ContainerPort[Key] } = {
        port: port?.containerPort ?? 0,
        protocol: ((port?.protocol ?? '') || 'TCP') as PortProtocol,
      };
      if ((port?.name ?? '') !== '') made.name = port!.name!;
      if ((port?.hostPort ?? 0) !== 0) made.hostPort = port!.hostPort!;
      ports.push(made);
    }
  return ports;
}

/** Pod blocks of a Node. */
export function checkNode(node: RawNode): Problem[] {
  const problems: Problem[] = [];
  for (const [index, text] of (node.spec?.podCIDRs ?? []).entries())
    if (readCidr(text ?? '') === undefined)
      problems.push(
        invalid(['spec', 'podCIDRs', index], text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'),
      );
  return problems;
}

/** A node of the model; host names among its addresses are left out. */
export function readNode(node: RawNode): Node {
  const blocks = new Set<Cidr>();
  for (const text of [node.spec?.podCIDR, ...(node.spec?.podCIDRs ?? [])]) {
    const read = readCidr(text ?? '');
    if (read !== undefined) blocks.add(read.cidr);
  }
  return {
    name: node.metadata?.name ?? '',
    labels: readLabels(node.metadata?.labels),
    addresses: readAddresses((node.status?.addresses ?? []).map((item) => item?.address)),
    podCidrs: [...blocks],
  };
}

/** RD-11: nodes that no Node object describes, with the addresses that pods on them state. */
export function readUnlistedNodes(pods: readonly RawPod[], listed: readonly Node[]): Node[] {
  const known = new Set(listed.map(({ name }) => name));
  const stated = new Map<string, Set<string>>();
  for (const { spec, status } of pods) {
    const name = spec?.nodeName ?? '';
    if (name === '' || known.has(name)) continue;
    const addresses = stated.get(name) ?? new Set();
    for (const text of [status?.hostIP, ...(status?.hostIPs ?? []).map((item) => item?.ip)])
      if ((text ?? '') !== '') addresses.add(text!);
    if (addresses.size > 0) stated.set(name, addresses);
  }
  return [...stated].map(([name, texts]) => ({
    name,
    labels: new Map(),
    addresses: readAddresses([...texts]),
    podCidrs: [],
  }));
}

/** Type, addresses and ports of a Service. */
export function checkService(service: RawService): Problem[] {
  const problems: Problem[] = [];
  const type = service.spec?.type ?? '';
  if (type !== '' && !(SERVICE_TYPES as readonly string[]).includes(type))
    problems.push(unsupported(['spec', 'type'], type, SERVICE_TYPES));
  for (const [index, port] of (service.spec?.ports ?? []).entries()) {
    checkPort(port?.port ?? 0, ['spec', 'ports', index, 'port'], problems);
    checkProtocol(port?.protocol, ['spec', 'ports', index, 'protocol'], problems);
  }
  if (service.spec?.clusterIP !== 'None') checkAddress(service.spec?.clusterIP, ['spec', 'clusterIP'], problems);
  for (const [index, text] of (service.spec?.externalIPs ?? []).entries())
    checkAddress(text, ['spec', 'externalIPs', index], problems);
  return problems;
}

/** A Service of the model. */
export function readService(
  service: RawService,
  own: { namespace: string; name: string; position: Position },
): Service {
  const { spec } = service;
  const type = ((spec?.type ?? '') || 'ClusterIP') as Service['type'];
  const isNamed = type === 'ExternalName';
  const texts = [spec?.clusterIP, ...(spec?.clusterIPs ?? [])];
  const isHeadless = !isNamed && texts.includes('None');
  const selector = readLabels(spec?.selector);
  return {
    ...own,
    type,
    clusterAddresses: isNamed || isHeadless ? [] : readAddresses(texts),
    externalAddresses: isNamed
      ? []
      : readAddresses([
          ...(spec?.externalIPs ?? []),
          ...(service.status?.loadBalancer?.ingress ?? []).map((item) => item?.ip),
        ]),
    ports: (spec?.ports ?? []).map((port) => ({
      ...((port?.name ?? '') === '' ? {} : { name: port!.name! }),
      protocol: ((port?.protocol ?? '') || 'TCP') as PortProtocol,
      port: port?.port ?? 0,
      ...(port?.targetPort === null || port?.targetPort === undefined || port.targetPort === 0 || port.targetPort === ''
        ? {}
        : { targetPort: port.targetPort }),
      ...((port?.nodePort ?? 0) === 0 ? {} : { nodePort: port!.nodePort! }),
    })),
    selector: isNamed || selector.size === 0 ? undefined : selector,
    ...(isNamed && (spec?.externalName ?? '') !== '' ? { externalName: spec!.externalName! } : {}),
    isHeadless,
  };
}

/** An EndpointSlice of the model; undefined for slices of host names, which no address of a trace can match. */
export function readEndpointSlice(
  slice: RawEndpointSlice,
  own: { namespace: string; name: string },
): EndpointSlice | undefined {
  if (slice.addressType !== 'IPv4' && slice.addressType !== 'IPv6') return undefined;
  return {
    ...own,
    service: slice.metadata?.labels?.['kubernetes.io/service-name'] ?? '',
    family: slice.addressType === 'IPv4' ? 4 : 6,
    endpoints: (slice.endpoints ?? [])
      // Unknown readiness counts as ready (discovery/v1 EndpointConditions.ready).
      .filter((endpoint) => endpoint?.conditions?.ready !== false)
      .map((endpoint) => {
        const target = endpoint?.targetRef;
        const addresses = readAddresses(endpoint?.addresses ?? []);
        if (target?.kind !== 'Pod') return { addresses };
        return { addresses, pod: { namespace: (target.namespace ?? '') || own.namespace, name: target.name ?? '' } };
      }),
    ports: (slice.ports ?? []).map((port) => ({
      ...((port?.name ?? '') === '' ? {} : { name: port!.name! }),
      protocol: ((port?.protocol ?? '') || 'TCP') as PortProtocol,
      ...(port?.port === null || port?.port === undefined ? {} : { port: port.port }),
    })),
  };
}

function readAddresses(texts: readonly Maybe<string>[]): AddressText[] {
  const addresses = new Set<AddressText>();
  for (const text of texts) {
    const address = text === null || text === undefined || text === '' ? undefined : readAddress(text);
    if (address !== undefined) addresses.add(address);
  }
  return [...addresses];
}

function checkAddress(text: Maybe<string>, path: Path, problems: Problem[]): void {
  if (text === null || text === undefined || text === '' || readAddress(text) !== undefined) return;
  problems.push(invalid(path, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'));
}

function checkPort(port: number, path: Path, problems: Problem[]): void {
  if (port < 1 || port > 65535) problems.push(invalid(path, port, RANGE_TEXT));
}

function checkProtocol(protocol: Maybe<string>, path: Path, problems: Problem[]): void {
  if (
    protocol !== null &&
    protocol !== undefined &&
    protocol !== '' &&
    !(PROTOCOLS as readonly string[]).includes(protocol)
  )
    problems.push(unsupported(path, protocol, PROTOCOLS));
}
