/**
 * The executable specification: what the API's text says of one flow, in the shortest TypeScript that says it. No index, no
 * cache, no engine code; every question walks the snapshot. It is compared with the engine and read beside docs/semantics.md,
 * whose ids stand at the lines. Names and Services are resolved here, sides are judged in `side.ts`, rules in `rule.ts`.
 */
import { type AddressText, familyOf } from '../model/address.ts';
import type { EndpointPort, Pod, Service, ServicePort } from '../model/cluster.ts';
import { type Evaluator, UnknownName, type World } from '../model/evaluator.ts';
import type { Decision, EndpointRef, Flow, Packet } from '../model/flow.ts';
import { batchPackets, type PacketAddresses } from '../model/packet.ts';
import { PORT_PROTOCOLS, Protocol } from '../model/port.ts';
import { MissingFact, Reason, Verdict, verdictOf } from '../model/verdict.ts';
import {
  type Endpoint,
  type FamilyHint,
  holderOf,
  livePods,
  nodesAt,
  placePod,
  podsNamed,
  servicesAt,
} from './endpoint.ts';
import { hasPorts, matchesSelector } from './rule.ts';
import { judgeSide, type Side } from './side.ts';
import { createSlowTracker } from './tracker.ts';

/** The oracle as an evaluator. */
export const oracle: Evaluator = {
  name: 'oracle',
  load: (world) => ({
    judge: (flow) => judge(world, flow),
    judgePackets: (packets) => judgePackets(world, packets),
  }),
};

/** Packets one by one: policy is asked for what is NEW, and a packet that it denies leaves no connection. */
function judgePackets(world: World, packets: readonly Packet[]): Decision[] {
  const tracker = createSlowTracker();
  const batch = batchPackets(packets, (packet) => addressesOf(world, packet));
  return packets.map((packet, row) => {
    const { state } = tracker.track(batch, row);
    if (state === 'ESTABLISHED') return decide(certain(Reason.Established), certain(Reason.Established));
    if (state === 'RELATED') return decide(certain(Reason.Related), certain(Reason.Related));
    if (state === 'INVALID') return decide(certain(Reason.InvalidState), certain(Reason.InvalidState));
    const decision = judge(world, packet);
    if (decision.verdict === Verdict.Deny) tracker.drop();
    return decision;
  });
}

/** The addresses that a packet travels between; a name is its first pod, a Service its own address. */
function addressesOf({ snapshot }: World, { src, dst }: Packet): PacketAddresses {
  const first = (ref: EndpointRef, family: FamilyHint): AddressText | undefined => {
    if (ref.kind === 'address') return ref.address;
    if (ref.kind !== 'service') return placePod(podsNamed(snapshot, ref)[0]!, family).address;
    const own = snapshot.services.find(({ namespace, name }) => namespace === ref.namespace && name === ref.name);
    return own?.clusterAddresses.find((address) => familyOf(address) === family) ?? own?.clusterAddresses[0];
  };
  const source = first(src, dst.kind === 'address' ? familyOf(dst.address) : undefined);
  return { src: source, dst: first(dst, source === undefined ? undefined : familyOf(source)) };
}

/** Where a flow arrives after translation: each backend with its port. */
interface Target {
  readonly endpoint: Endpoint;
  readonly port: number | undefined;
}

/** A destination as written: a pod, an address, or a Service that is yet to be translated. */
type Destination = Pod | (EndpointRef & { kind: 'address' }) | Service;

/** Judges one flow. Throws `UnknownName`. */
export function judge(world: World, flow: Flow): Decision {
  const { snapshot } = world;
  if (flow.src.kind === 'service')
    throw new UnknownName(
      `${flow.src.name}.${flow.src.namespace} has the form of a Service, which can be a destination, not a source; a pod or workload is ${flow.src.namespace}/${flow.src.name}`,
    );
  const sources = flow.src.kind === 'address' ? [flow.src] : podsNamed(snapshot, flow.src);
  const destinations: readonly Destination[] =
    flow.dst.kind === 'address'
      ? [flow.dst]
      : flow.dst.kind === 'service'
        ? [serviceNamed(world, flow.dst)]
        : podsNamed(snapshot, flow.dst);

  if (isExempt(world, flow)) return decide(certain(Reason.DialectExempt), certain(Reason.DialectExempt));
  const decisions = sources.flatMap((source) =>
    destinations.map((destination) => judgePair(world, flow, source, destination)),
  );
  return agree(decisions, MissingFact.SomePods); // EP-10
}

function isExempt({ dialect }: World, { protocol, icmp }: Flow): boolean {
  const type = (icmp ?? 0) >> 8;
  if (protocol === Protocol.Icmpv6 && type >= 133 && type <= 137 && dialect.neighborDiscovery === 'exempt') return true; // DI-08
  return !hasPorts(protocol) && dialect.icmp === 'always'; // DI-07
}

/** One source and one destination: translates what is a Service's, and judges each backend. */
function judgePair(
  world: World,
  flow: Flow,
  from: Pod | (EndpointRef & { kind: 'address' }),
  to: Destination,
): Decision {
  const { snapshot } = world;
  // EP-12
  const asked: FamilyHint = 'address' in to ? familyOf(to.address) : undefined;
  const source = 'address' in from ? holderOf(snapshot, from.address) : placePod(from, asked);
  const family: FamilyHint = asked ?? (source.address === undefined ? undefined : familyOf(source.address));

  const isService = 'clusterAddresses' in to;
  const endpoint = isService ? undefined : 'address' in to ? holderOf(snapshot, to.address) : placePod(to, family);
  const port = hasPorts(flow.protocol) ? flow.port : undefined;
  const targets = isService
    ? serviceTargets(world, to, to.isHeadless, flow, family)
    : translate(world, flow, endpoint!);

  if (targets === undefined) return judgeEnds(world, source, endpoint!, flow.protocol, port, 'direct');
  if (typeof targets === 'number') return undecidable(targets);
  if (targets.length === 0) return undecidable(MissingFact.NoBackend); // SV-05
  const decisions = targets.map(
    (target) => judgeEnds(world, source, target.endpoint, flow.protocol, target.port, 'translated'), // SV-01
  );
  return agree(decisions, MissingFact.SomeBackends); // SV-04
}

/** Both sides of a flow whose ends are settled. */
function judgeEnds(
  world: World,
  source: Endpoint,
  destination: Endpoint,
  protocol: number,
  port: number | undefined,
  path: 'direct' | 'translated',
): Decision {
  const { snapshot, dialect } = world;
  const isSamePod =
    source.kind === 'pod' && destination.kind === 'pod' && source.pod === destination.pod && source.pod.count === 1;
  if (isSamePod && (path === 'direct' || dialect.hairpin === 'allow'))
    // EP-13, DI-05
    return decide(certain(Reason.SamePod), certain(Reason.SamePod));

  const question = { snapshot, dialect, destination, protocol, port };
  const egress =
    dialect.ownNodeEgress === 'allow' && isOwnNode(world, source, destination)
      ? certain(Reason.OwnNode) // DI-04
      : judgeSide(world, 'egress', source, { ...question, peer: destination });
  const ingress =
    dialect.ownNodeIngress === 'allow' && isOwnNode(world, destination, source)
      ? certain(Reason.OwnNode) // DI-03
      : judgeSide(world, 'ingress', destination, { ...question, peer: source });
  return decide(egress, ingress);
}

/** Whether `other` is the node that `subject` runs on. */
function isOwnNode({ snapshot }: World, subject: Endpoint, other: Endpoint): boolean {
  if (subject.kind !== 'pod' || other.kind !== 'node') return false;
  return nodesAt(snapshot, other.address).some((node) => node.name === subject.pod.node);
}

/** Backends of a flow to an address that is translated; undefined where it is not. */
function translate(world: World, flow: Flow, endpoint: Endpoint): Target[] | undefined {
  const { snapshot } = world;
  if (endpoint.kind === 'pod' || endpoint.address === undefined) return undefined;
  const family = familyOf(endpoint.address); // EP-12: translation stays within a family
  const isNode = endpoint.kind === 'node';
  const open = isNode ? snapshot.services.map((service) => ({ service, port: nodePort(service, flow) })) : []; // SV-06
  const held = servicesAt(snapshot, endpoint.address).map((service) => ({ service, port: servicePort(service, flow) }));
  for (const { service, port } of [...open, ...held])
    if (port !== undefined) return portTargets(world, service, port, family);
  if (isNode) return hostPortTargets(world, flow, endpoint, family);
  return held.length > 0 ? [] : undefined; // SV-05
}

/** The pods of a node that listen on one of its own ports; undefined where there are none. */
function hostPortTargets(world: World, flow: Flow, node: Endpoint, family: FamilyHint): Target[] | undefined {
  const { snapshot, dialect } = world;
  if (dialect.hostPort === 'ignore') return undefined; // DI-06
  const names = nodesAt(snapshot, node.address).map(({ name }) => name);
  const targets = livePods(snapshot)
    .filter((pod) => !pod.hostNetwork && pod.node !== undefined && names.includes(pod.node))
    .flatMap((pod) =>
      pod.ports
        .filter(({ hostPort }) => hostPort !== undefined && hostPort === flow.port)
        .filter((own) => isOf(own, flow))
        .map(({ port }) => ({ endpoint: placePod(pod, family), port })),
    );
  return targets.length > 0 ? targets : undefined;
}

/** Backends of a Service given by name, or the fact that is missing. */
function serviceTargets(
  world: World,
  service: Service,
  isHeadless: boolean,
  flow: Flow,
  family: FamilyHint,
): Target[] | number {
  if (service.type === 'ExternalName') return MissingFact.DomainName; // SV-08
  const port = servicePort(service, flow);
  if (port !== undefined) return portTargets(world, service, port, family);
  if (!isHeadless) return [];
  const own = hasPorts(flow.protocol) ? flow.port : undefined;
  return backends(world, service, family).map(({ endpoint }) => ({ endpoint, port: own })); // SV-07
}

/** The backends of one port of a Service, each with the port that it listens on. */
function portTargets(world: World, service: Service, port: ServicePort, family: FamilyHint): Target[] {
  return backends(world, service, family).flatMap(({ endpoint, pod, ports }) => {
    // SV-03
    if (ports !== undefined) {
      const own = ports.find(({ protocol, name }) => protocol === port.protocol && (name ?? '') === (port.name ?? ''));
      if (own === undefined) return [];
      return [{ endpoint, port: own.port ?? (typeof port.targetPort === 'number' ? port.targetPort : port.port) }];
    }
    if (typeof port.targetPort !== 'string') return [{ endpoint, port: port.targetPort ?? port.port }];
    const named = pod?.ports.find((own) => own.name === port.targetPort && own.protocol === port.protocol);
    return named === undefined ? [] : [{ endpoint, port: named.port }];
  });
}

/** An endpoint behind a Service, with the ports of its EndpointSlice where it comes from one, else with its pod. */
interface Backend {
  readonly endpoint: Endpoint;
  readonly pod?: Pod;
  readonly ports?: readonly EndpointPort[];
}

function backends({ snapshot }: World, service: Service, family: FamilyHint): Backend[] {
  const pods = livePods(snapshot).filter((pod) => pod.namespace === service.namespace);
  const slices = snapshot.endpointSlices.filter(
    (slice) => slice.namespace === service.namespace && slice.service === service.name,
  );
  // SV-02
  if (slices.length === 0) {
    const { selector } = service;
    if (selector === undefined || selector.size === 0) return [];
    const requirements = [...selector].map(([key, value]) => ({ key, operator: 'In' as const, values: [value] }));
    const selected = pods.filter((pod) => matchesSelector(requirements, pod.labels));
    return selected.map((pod) => ({ endpoint: placePod(pod, family), pod }));
  }
  return slices
    .filter((slice) => family === undefined || slice.family === family)
    .flatMap(({ endpoints, ports }) =>
      endpoints.flatMap(({ addresses, pod: target }): Backend[] => {
        const pod = pods.find((own) => own.namespace === target?.namespace && own.name === target.name);
        if (pod !== undefined) return [{ endpoint: placePod(pod, family), ports }];
        return addresses[0] === undefined ? [] : [{ endpoint: holderOf(snapshot, addresses[0]), ports }];
      }),
    );
}

function servicePort(service: Service, flow: Flow): ServicePort | undefined {
  return service.ports.find((own) => own.port === flow.port && isOf(own, flow));
}

function nodePort(service: Service, flow: Flow): ServicePort | undefined {
  if (flow.port === undefined) return undefined;
  return service.ports.find((own) => own.nodePort === flow.port && isOf(own, flow));
}

function isOf(port: Pick<ServicePort, 'protocol'>, flow: Flow): boolean {
  return PORT_PROTOCOLS[port.protocol] === flow.protocol;
}

function serviceNamed({ snapshot }: World, ref: EndpointRef & { kind: 'service' }): Service {
  const service = snapshot.services.find((own) => own.namespace === ref.namespace && own.name === ref.name);
  if (service === undefined) throw new UnknownName(`no Service is called ${ref.name} in namespace ${ref.namespace}`);
  return service;
}

/** KL-01: verdicts are ordered deny, undecidable, allow, and the flow has the least of its sides'. NP-05 */
function decide(egress: Side, ingress: Side): Decision {
  const verdict: Verdict = Math.min(verdictOf(egress.reason), verdictOf(ingress.reason));
  const missing = verdict === Verdict.Undecidable ? egress.missing | ingress.missing : 0; // KL-04
  return { verdict, egress: egress.reason, ingress: ingress.reason, missing };
}

/** One decision for several: their verdict where they share one, else undecidable for `fact` and all that they miss. */
function agree(decisions: readonly Decision[], fact: MissingFact): Decision {
  const first = decisions[0]!;
  const missing = decisions.reduce((mask, decision) => mask | decision.missing, 0);
  return decisions.every(({ verdict }) => verdict === first.verdict)
    ? { ...first, missing }
    : undecidable(missing | fact);
}

function undecidable(missing: number): Decision {
  return { verdict: Verdict.Undecidable, egress: Reason.Undecidable, ingress: Reason.Undecidable, missing };
}

function certain(reason: Reason): Side {
  return { reason, missing: 0 };
}
