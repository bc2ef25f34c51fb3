/**
 * Random worlds, small and mean: few names, so that labels overlap and are missing, port names mean different numbers, blocks
 * nest and repeat; addresses and ports of flows come from the edges of what the policies mention, and one beyond. Every
 * world is one that the readers could have produced. Feeds the laws of test/law and the fuzz command.
 */
import * as fc from 'fast-check';
import { type AddressText, canonicalAddress, familyOf, formatAddress } from '../model/address.ts';
import { type Cidr, parseCidr } from '../model/cidr.ts';
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
import { DEFAULT_DIALECT, DIALECT_CHOICES, type Dialect } from '../model/dialect.ts';
import type { World } from '../model/evaluator.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import { type EndpointRef, type Flow, type Packet, TcpFlag } from '../model/flow.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { Action, Direction, Peer, PodSet, Policy, Position, Rule } from '../model/policy.ts';
import { PORT_PROTOCOLS, type PortMatch, type PortProtocol, Protocol } from '../model/port.ts';
import { holdsPod } from '../oracle/rule.ts';

/** How wide worlds are: with the tiers of admin policies or without, with the dialect's knobs turned or at rest. */
export interface WorldOptions {
  readonly tiers: 'networkpolicy' | 'all';
  readonly dialect: 'default' | 'any';
}

/** A world and flows to ask in it. */
export interface Case {
  readonly world: World;
  readonly flows: readonly Flow[];
}

const NAMESPACES = ['a', 'b', 'c'];
/** Most pods and policies meet in one namespace. */
const HOMES = ['a', 'a', 'a', 'b', 'c'];
const KEYS = ['app', 'tier'];
const VALUES = ['x', 'x', 'y', ''];
const PORT_NAMES = ['http', 'dns'];
const PORT_NUMBERS = [53, 80, 81, 8080];
const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP'];
const NODE_NAMES = ['n1', 'n2'];
const EXTERNAL: Readonly<Record<ServiceDraft['external'], (index: number) => AddressText[]>> = {
  none: () => [],
  own: (index) => [`198.51.100.${index + 2}` as AddressText],
  shared: () => ['198.51.100.1' as AddressText],
  node: () => ['192.168.0.1' as AddressText],
};
const CIDRS = [
  ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.0.0.0/30', '10.0.0.2/32', '10.0.0.3/32'],
  ['::/0', 'fd00::/16', 'fd00::/126', 'fd00::2/128', 'fd00::8000:0:0:0/65'],
  ['192.168.0.0/24', '192.168.0.1/32', '203.0.113.0/24', '203.0.113.64/26', '203.0.113.64/27'],
].map((group) => group.map((text) => text as Cidr));

/** A world with flows that ask at its edges. */
export function arbitraryCase(options: WorldOptions, flowCount: number): fc.Arbitrary<Case> {
  return arbitraryWorld(options).chain((world) =>
    fc
      .array(arbitraryFlow(world), { minLength: 1, maxLength: flowCount, size: 'max' })
      .map((flows) => ({ world, flows })),
  );
}

/** A world on its own. */
export function arbitraryWorld(options: WorldOptions): fc.Arbitrary<World> {
  return fc.record({
    snapshot: arbitrarySnapshot(),
    policies: arbitraryPolicies(options.tiers),
    dialect: options.dialect === 'any' ? arbitraryDialect() : fc.constant(DEFAULT_DIALECT),
  });
}

/** A flow between ends that the world knows, or nearly knows. */
export function arbitraryFlow(world: World): fc.Arbitrary<Flow> {
  const { snapshot } = world;
  const held = snapshot.pods.flatMap((pod) => [...pod.addresses]);
  const edge = fc.constantFrom(...edgeAddresses(world));
  const address = fc
    .oneof(edge, held.length === 0 ? edge : fc.constantFrom(...held))
    .map((text): EndpointRef => ({ kind: 'address', address: text }));
  const names = [
    ...new Set(snapshot.pods.flatMap((pod) => [pod.name, pod.workload.name].map((name) => `${pod.namespace}/${name}`))),
  ];
  const name =
    names.length === 0
      ? address
      : fc.constantFrom(...names).map((text): EndpointRef => {
          const [namespace = '', own = ''] = text.split('/');
          return { kind: 'name', namespace, name: own };
        });
  const workload =
    snapshot.pods.length === 0
      ? address
      : fc.constantFrom(...snapshot.pods).map(({ workload: own }): EndpointRef => ({
          kind: 'workload',
          namespace: own.namespace,
          workloadKind: own.kind,
          name: own.name,
        }));
  const service =
    snapshot.services.length === 0
      ? address
      : fc
          .constantFrom(...snapshot.services)
          .map((own): EndpointRef => ({ kind: 'service', namespace: own.namespace, name: own.name }));
  const source = fc.oneof(
    { weight: 6, arbitrary: address },
    { weight: 5, arbitrary: name },
    { weight: 1, arbitrary: workload },
  );
  const destination = fc.oneof(
    { weight: 6, arbitrary: address },
    { weight: 6, arbitrary: name },
    { weight: 1, arbitrary: workload },
    { weight: 1, arbitrary: service },
  );
  const plain = fc
    .record({ src: source, dst: destination, content: arbitraryContent(world), mayMeet: fc.nat(7) })
    // A pod that talks to itself is soon told.
    .filter(({ src, dst, mayMeet }) => mayMeet === 0 || formatEndpoint(src) !== formatEndpoint(dst))
    .map(({ src, dst, content }): Flow => ({ src, dst, ...content }));
  const kinds: fc.WeightedArbitrary<Flow>[] = [{ weight: 12, arbitrary: plain }];
  const open = snapshot.services.filter((own) => own.ports.length > 0);
  if (open.length > 0) kinds.push({ weight: 6, arbitrary: arbitraryServiceFlow(world, open, source) });
  const blocks = snapshot.nodes.flatMap((node) => [...node.podCidrs]);
  if (blocks.length > 0 && names.length > 0)
    kinds.push({ weight: 2, arbitrary: arbitraryUnknownPodFlow(blocks, name, arbitraryContent(world)) });
  const probes = listProbes(world);
  if (probes.length > 0) kinds.push({ weight: 10, arbitrary: fc.constantFrom(...probes).chain(arbitraryProbeFlow) });
  return fc.oneof(...kinds);
}

/** What to ask of one rule: of a subject of its policy, at the edges of the rule's peers and ports. */
interface Probe {
  readonly direction: Direction;
  readonly subjects: readonly EndpointRef[];
  readonly peers: readonly EndpointRef[];
  readonly contents: readonly Pick<Flow, 'protocol' | 'port'>[];
}

function arbitraryProbeFlow({ direction, subjects, peers, contents }: Probe): fc.Arbitrary<Flow> {
  return fc
    .record({
      subject: fc.constantFrom(...subjects),
      peer: fc.constantFrom(...peers),
      content: fc.constantFrom(...contents),
    })
    .map(({ subject, peer, content }) =>
      direction === 'ingress' ? { src: peer, dst: subject, ...content } : { src: subject, dst: peer, ...content },
    );
}

function listProbes(world: World): Probe[] {
  const { snapshot, policies } = world;
  const toPod = (pod: Pod): EndpointRef =>
    pod.addresses[0] === undefined
      ? { kind: 'workload', namespace: pod.namespace, workloadKind: pod.workload.kind, name: pod.workload.name }
      : { kind: 'address', address: pod.addresses[0] };
  const selectedBy = (set: PodSet): EndpointRef[] =>
    snapshot.pods.filter((pod) => pod.phase === 'Running' && holdsPod(set, pod, snapshot)).map(toPod);
  const anywhere = edgeAddresses(world).map((address): EndpointRef => ({ kind: 'address', address }));
  return policies.flatMap((policy) => {
    const subjects = selectedBy(policy.subject);
    if (subjects.length === 0) return [];
    const directions = policy.tier === 'networkpolicy' ? policy.isolates : (['ingress', 'egress'] as const);
    return directions.flatMap((direction) =>
      policy[direction].map((rule): Probe => {
        const peers = (rule.peers ?? []).flatMap((peer): EndpointRef[] =>
          peer.kind === 'pods'
            ? selectedBy(peer)
            : peer.kind === 'ipBlock'
              ? [peer.cidr, ...peer.except].flatMap(edgesOf).map((address) => ({ kind: 'address', address }))
              : [],
        );
        const contents = (rule.ports ?? []).flatMap((match) => probePorts(match, snapshot));
        return {
          direction,
          subjects,
          peers: peers.length > 0 ? peers : anywhere,
          contents: contents.length > 0 ? contents : [{ protocol: Protocol.Tcp, port: 80 }],
        };
      }),
    );
  });
}

function probePorts(match: PortMatch, snapshot: Snapshot): Pick<Flow, 'protocol' | 'port'>[] {
  const protocol = PORT_PROTOCOLS[match.protocol ?? 'TCP'];
  const numbers =
    match.kind === 'any'
      ? [80]
      : match.kind === 'range'
        ? [match.first - 1, match.first, match.last, match.last + 1]
        : snapshot.pods.flatMap(({ ports }) => ports.filter(({ name }) => name === match.name).map(({ port }) => port));
  return numbers.filter((port) => port >= 0 && port <= 65_535).map((port) => ({ protocol, port }));
}

/** A flow that a Service translates: to its name, one of its addresses, or a node port of a node. */
function arbitraryServiceFlow(
  { snapshot }: World,
  services: readonly Service[],
  source: fc.Arbitrary<EndpointRef>,
): fc.Arbitrary<Flow> {
  const nodes = snapshot.nodes.flatMap((node) => [...node.addresses]);
  return fc.constantFrom(...services).chain((service) =>
    fc.constantFrom(...service.ports).chain((port) => {
      const toAddress = (address: AddressText): { dst: EndpointRef; port: number } => ({
        dst: { kind: 'address', address },
        port: port.port,
      });
      const ways = [
        {
          dst: { kind: 'service', namespace: service.namespace, name: service.name } satisfies EndpointRef,
          port: port.port,
        },
        ...service.clusterAddresses.map(toAddress),
        ...service.externalAddresses.map(toAddress),
        ...(port.nodePort === undefined ? [] : nodes.map((node) => ({ ...toAddress(node), port: port.nodePort! }))),
      ];
      return fc
        .record({ src: source, way: fc.constantFrom(...ways) })
        .map(({ src, way }): Flow => ({ src, ...way, protocol: PORT_PROTOCOLS[port.protocol] }));
    }),
  );
}

/** A flow of a pod to an address of a pod block, which mostly no pod holds. */
function arbitraryUnknownPodFlow(
  blocks: readonly Cidr[],
  source: fc.Arbitrary<EndpointRef>,
  content: fc.Arbitrary<Pick<Flow, 'protocol' | 'port' | 'icmp'>>,
): fc.Arbitrary<Flow> {
  const address = fc.constantFrom(...blocks).map((cidr) => {
    const { family, first, length } = parseCidr(cidr)!;
    return formatAddress(family, lastOf(first, length, family));
  });
  return fc
    .record({ src: source, address, content })
    .map(({ src, address: own, content: rest }): Flow => ({ src, dst: { kind: 'address', address: own }, ...rest }));
}

/** A world and a stream of packets through it. */
export interface PacketCase {
  readonly world: World;
  readonly packets: readonly Packet[];
}

/** A world with a stream of packets between a few ends, in and out of step: openings, answers, resets, errors, silences. */
export function arbitraryPacketCase(options: WorldOptions, packetCount: number): fc.Arbitrary<PacketCase> {
  return arbitraryWorld(options).chain((world) =>
    arbitraryPackets(world, packetCount).map((packets) => ({ world, packets })),
  );
}

/** Every address that a world mentions, and those just inside and outside of every block. */
export function edgeAddresses(world: World): AddressText[] {
  const { snapshot, policies } = world;
  const found = new Set<AddressText>(['203.0.113.9', '2001:db8::9', '10.0.0.77'].map((text) => text as AddressText));
  for (const pod of snapshot.pods) for (const own of pod.addresses) found.add(own);
  for (const node of snapshot.nodes) for (const own of node.addresses) found.add(own);
  for (const service of snapshot.services)
    for (const own of [...service.clusterAddresses, ...service.externalAddresses]) found.add(own);
  const blocks = snapshot.nodes.flatMap((node) => [...node.podCidrs]);
  for (const policy of policies)
    for (const rule of [...policy.ingress, ...policy.egress])
      for (const peer of rule.peers ?? []) if (peer.kind === 'ipBlock') blocks.push(peer.cidr, ...peer.except);
  for (const cidr of blocks) for (const address of edgesOf(cidr)) found.add(address);
  return [...found];
}

/** Every port that a world mentions, and its neighbours. */
export function edgePorts(world: World): number[] {
  const ports = new Set<number>([1, 65_535, ...PORT_NUMBERS]);
  const add = (port: number | undefined): void => {
    if (port === undefined) return;
    for (const near of [port - 1, port, port + 1]) if (near >= 0 && near <= 65_535) ports.add(near);
  };
  for (const service of world.snapshot.services) for (const own of service.ports) [own.port, own.nodePort].forEach(add);
  for (const pod of world.snapshot.pods) for (const own of pod.ports) [own.port, own.hostPort].forEach(add);
  for (const policy of world.policies)
    for (const rule of [...policy.ingress, ...policy.egress])
      for (const match of rule.ports ?? []) if (match.kind === 'range') [match.first, match.last].forEach(add);
  return [...ports];
}

/** What may come next: a packet of one of the conversations, or an ICMP error about an earlier packet. */
interface PacketDraft {
  readonly conversation: number;
  readonly way: 'forth' | 'back';
  readonly flags: number;
  readonly waitS: number;
  readonly errorAbout: number | undefined;
  readonly isErrorAstray: boolean;
}

interface Conversation {
  readonly ends: readonly [AddressText, AddressText];
  readonly protocol: Protocol;
  readonly port: number;
}

function arbitraryPackets(world: World, packetCount: number): fc.Arbitrary<Packet[]> {
  const held = world.snapshot.pods.flatMap((pod) => [...pod.addresses]);
  const groups = ([4, 6] as const)
    .map((family) => [...held, ...held, ...edgeAddresses(world)].filter((own) => familyOf(own) === family))
    .filter((group) => new Set(group).size > 1);
  const conversation = fc.constantFrom(...groups).chain((group) =>
    fc
      .record({
        ends: fc.tuple(fc.constantFrom(...group), fc.constantFrom(...group)).filter(([one, other]) => one !== other),
        protocol: fc.constantFrom(Protocol.Tcp, Protocol.Tcp, Protocol.Udp, Protocol.Icmp),
        port: fc.constantFrom(...PORT_NUMBERS),
      })
      .map((draft): Conversation => draft),
  );
  const { Syn, Ack, Fin, Rst, Psh } = {
    Syn: TcpFlag.Syn,
    Ack: TcpFlag.Ack,
    Fin: TcpFlag.Fin,
    Rst: TcpFlag.Rst,
    Psh: TcpFlag.Psh,
  };
  const step = fc.record<PacketDraft>({
    conversation: fc.nat(1),
    way: fc.constantFrom('forth', 'forth', 'back'),
    flags: fc.constantFrom<number>(
      Syn,
      Syn,
      Syn | Ack,
      Syn | Ack,
      Ack,
      Psh | Ack,
      Fin | Ack,
      Rst,
      Rst | Ack,
      Syn | Fin,
    ),
    waitS: fc.constantFrom(0, 0, 0, 1, 3, 31, 130),
    errorAbout: fc.option(fc.nat(4), { nil: undefined, freq: 5 }),
    isErrorAstray: fc.nat(2).map((number) => number === 1),
  });
  return fc
    .record({
      conversations: fc.tuple(conversation, conversation),
      steps: fc.array(step, { minLength: 1, maxLength: packetCount, size: 'max' }),
    })
    .map(({ conversations, steps }) => {
      const packets: Packet[] = [];
      let timeS = 0;
      for (const draft of steps) {
        timeS += draft.waitS;
        packets.push(packetOf(draft, conversations, packets, timeS));
      }
      return packets;
    });
}

function packetOf(
  draft: PacketDraft,
  conversations: readonly Conversation[],
  earlier: readonly Packet[],
  timeS: number,
): Packet {
  const address = (own: AddressText): EndpointRef => ({ kind: 'address', address: own });
  const number = conversations.length > 1 ? draft.conversation : 0;
  const { ends, protocol, port } = conversations[number]!;
  const quoted = draft.errorAbout === undefined ? undefined : earlier[earlier.length - 1 - draft.errorAbout];
  if (quoted !== undefined && quoted.quotes === undefined && quoted.src.kind === 'address') {
    const is6 = familyOf(quoted.src.address) === 6;
    return {
      src: draft.isErrorAstray ? quoted.src : quoted.dst,
      dst: draft.isErrorAstray ? quoted.dst : quoted.src,
      protocol: is6 ? Protocol.Icmpv6 : Protocol.Icmp,
      icmp: is6 ? 1 << 8 : (3 << 8) | 1,
      quotes: earlier.indexOf(quoted),
      timeS,
    };
  }
  const [near, far] = draft.way === 'forth' ? ends : ([ends[1], ends[0]] as const);
  const base = { src: address(near), dst: address(far), timeS };
  const own = 40_000 + number;
  if (protocol === Protocol.Icmp) {
    const is6 = familyOf(near) === 6;
    const request = is6 ? 128 : 8;
    const reply = is6 ? 129 : 0;
    return {
      ...base,
      protocol: is6 ? Protocol.Icmpv6 : Protocol.Icmp,
      icmp: (draft.way === 'forth' ? request : reply) << 8,
      srcPort: own,
    };
  }
  const [srcPort, dstPort] = draft.way === 'forth' ? [own, port] : [port, own];
  return {
    ...base,
    protocol,
    srcPort,
    port: dstPort,
    ...(protocol === Protocol.Tcp && { tcpFlags: draft.flags }),
  };
}

function arbitraryContent(world: World): fc.Arbitrary<Pick<Flow, 'protocol' | 'port' | 'icmp'>> {
  const port = fc.oneof(fc.constantFrom(...edgePorts(world)), fc.constantFrom(...PORT_NUMBERS));
  const withPort = fc.record({
    protocol: fc.constantFrom(...PROTOCOLS.map((name) => PORT_PROTOCOLS[name]), PORT_PROTOCOLS.TCP, PORT_PROTOCOLS.TCP),
    port,
  });
  return fc.oneof(
    { weight: 12, arbitrary: withPort },
    { weight: 1, arbitrary: withPort.map(({ protocol }) => ({ protocol })) },
    {
      weight: 1,
      arbitrary: fc
        .record({ protocol: fc.constant(Protocol.Unknown), port: fc.option(port, { nil: undefined }) })
        .map(dropUndefined),
    },
    {
      weight: 2,
      arbitrary: fc
        .record({
          protocol: fc.constantFrom(Protocol.Icmp, Protocol.Icmpv6),
          icmp: fc.option(
            fc.constantFrom(8 << 8, 128 << 8, 132 << 8, 133 << 8, 135 << 8, 137 << 8, 138 << 8, (3 << 8) | 3),
            { nil: undefined },
          ),
        })
        .map(dropUndefined),
    },
    { weight: 1, arbitrary: fc.constantFrom({ protocol: 47 }, { protocol: 0 }, { protocol: 253 }) },
  );
}

function arbitraryDialect(): fc.Arbitrary<Dialect> {
  const knobs = Object.fromEntries(
    Object.entries(DIALECT_CHOICES).map(([knob, choices]) => [knob, fc.constantFrom<unknown>(...choices)]),
  );
  return fc.record(knobs).map((chosen) => ({ ...DEFAULT_DIALECT, ...chosen, name: 'arbitrary' }));
}

function arbitrarySnapshot(): fc.Arbitrary<Snapshot> {
  return fc
    .record({
      namespaces: fc.subarray(NAMESPACES).chain((names) => fc.tuple(...names.map(arbitraryNamespace))),
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
    position: at(100 + index),
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
    position: at(200 + index),
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

function arbitrarySelector(): fc.Arbitrary<Selector> {
  const key = fc.constantFrom(...KEYS);
  const values = fc.uniqueArray(fc.constantFrom(...VALUES), { minLength: 1, maxLength: 2, size: 'xsmall' });
  const requirement = fc.oneof(
    { weight: 4, arbitrary: fc.record({ key, operator: fc.constant('In' as const), values }) },
    { weight: 1, arbitrary: fc.record({ key, operator: fc.constant('NotIn' as const), values }) },
    {
      weight: 1,
      arbitrary: fc.record({
        key,
        operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
        values: fc.constant([]),
      }),
    },
  );
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant<Selector>([]) },
    { weight: 3, arbitrary: fc.array<Requirement>(requirement, { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array<Requirement>(requirement, { minLength: 2, maxLength: 2 }) },
  );
}

function arbitraryNamespaceSelector(): fc.Arbitrary<Selector> {
  const byName = fc
    .constantFrom(...NAMESPACES)
    .map((name): Selector => [{ key: NAMESPACE_NAME_LABEL, operator: 'In', values: [name] }]);
  return fc.oneof({ weight: 3, arbitrary: arbitrarySelector() }, { weight: 1, arbitrary: byName });
}

function arbitraryPodSet(namespace: string): fc.Arbitrary<PodSet> {
  const namespaces = fc.oneof(
    fc.constant({ kind: 'named' as const, namespace }),
    arbitraryNamespaceSelector().map((selector) => ({ kind: 'selected' as const, selector })),
  );
  return fc.record({ namespaces, pods: arbitrarySelector() });
}

function arbitraryBlock(): fc.Arbitrary<Peer> {
  return fc.constantFrom(...CIDRS).chain((group) =>
    fc.integer({ min: 0, max: group.length - 1 }).chain((first) => {
      const inner = group.slice(first + 1).filter((cidr) => isInside(cidr, group[first]!));
      return fc
        .subarray(inner, { maxLength: Math.min(2, inner.length) })
        .map((except): Peer => ({ kind: 'ipBlock', cidr: group[first]!, except }));
    }),
  );
}

function arbitraryPeer(namespace: string, tier: Policy['tier']): fc.Arbitrary<Peer> {
  const pods = arbitraryPodSet(namespace).map((set): Peer => ({ kind: 'pods', ...set }));
  const usual = [
    { weight: 6, arbitrary: pods },
    { weight: 4, arbitrary: arbitraryBlock() },
  ];
  if (tier === 'networkpolicy') return fc.oneof(...usual);
  return fc.oneof(
    ...usual,
    { weight: 1, arbitrary: arbitrarySelector().map((selector): Peer => ({ kind: 'nodes', selector })) },
    { weight: 1, arbitrary: fc.constant<Peer>({ kind: 'domains', names: ['far.example.com'] }) },
  );
}

function arbitraryPortMatch(tier: Policy['tier']): fc.Arbitrary<PortMatch> {
  const protocol = fc.constantFrom(...PROTOCOLS, 'TCP' as const, 'TCP' as const);
  const first = fc.constantFrom(...PORT_NUMBERS, 1);
  const named = fc.record({
    kind: fc.constant('named' as const),
    protocol: protocol as fc.Arbitrary<PortProtocol>,
    name: fc.constantFrom(...PORT_NAMES),
  });
  const anyProtocol = named.map(({ name }): PortMatch => ({ kind: 'named', protocol: undefined, name }));
  return fc.oneof<fc.WeightedArbitrary<PortMatch>[]>(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('any' as const), protocol }) },
    {
      weight: 3,
      arbitrary: fc
        .record({ protocol, first, more: fc.constantFrom(0, 0, 1, 20, 65_535) })
        .map(({ protocol: own, first: low, more }): PortMatch => ({
          kind: 'range',
          protocol: own,
          first: low,
          last: Math.min(65_535, low + more),
        })),
    },
    { weight: 2, arbitrary: named },
    ...(tier === 'networkpolicy' ? [] : [{ weight: 1, arbitrary: anyProtocol }]),
  );
}

function arbitraryRules(namespace: string, tier: Policy['tier']): fc.Arbitrary<Rule[]> {
  const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[] | undefined> =>
    fc.option(fc.array(item, { minLength: 1, maxLength: 2, size: 'max' }), { nil: undefined, freq: 3 });
  const action =
    tier === 'networkpolicy'
      ? fc.constant<Action>('Accept')
      : fc.constantFrom<Action>('Deny', 'Accept', 'Deny', 'Pass');
  const rule = fc.record({
    action,
    peers: list(arbitraryPeer(namespace, tier)),
    ports: list(arbitraryPortMatch(tier)),
  });
  return fc
    .oneof(
      { weight: 3, arbitrary: fc.array(rule, { minLength: 1, maxLength: 3, size: 'max' }) },
      { weight: 1, arbitrary: fc.constant<Omit<Rule, 'index' | 'position'>[]>([]) },
    )
    .map((rules) => rules.map((draft, index) => ({ index, ...draft, position: at(10 + index) })));
}

function arbitraryPolicies(tiers: WorldOptions['tiers']): fc.Arbitrary<Policy[]> {
  const networkPolicy = fc.constantFrom(...HOMES).chain((namespace) =>
    fc.record({
      namespace: fc.constant(namespace),
      tier: fc.constant('networkpolicy' as const),
      priority: fc.constant(0),
      subject: arbitrarySelector().map((pods): PodSet => ({ namespaces: { kind: 'named', namespace }, pods })),
      isolates: fc.constantFrom<readonly Direction[]>(['ingress'], ['egress'], ['ingress', 'egress']),
      ingress: arbitraryRules(namespace, 'networkpolicy'),
      egress: arbitraryRules(namespace, 'networkpolicy'),
    }),
  );
  const tiered = fc.constantFrom('admin' as const, 'baseline' as const).chain((tier) =>
    fc.record({
      namespace: fc.constant(undefined),
      tier: fc.constant(tier),
      priority: fc.constantFrom(0, 0, 1),
      subject: arbitraryNamespaceSelector().chain((selector) =>
        arbitrarySelector().map((pods): PodSet => ({ namespaces: { kind: 'selected', selector }, pods })),
      ),
      isolates: fc.constant<readonly Direction[]>([]),
      ingress: arbitraryRules('a', tier),
      egress: arbitraryRules('a', tier),
    }),
  );
  const policy =
    tiers === 'all'
      ? fc.oneof<fc.WeightedArbitrary<Omit<Policy, 'kind' | 'name' | 'position'>>[]>(
          { weight: 1, arbitrary: networkPolicy },
          { weight: 1, arbitrary: tiered as never },
        )
      : networkPolicy;
  return fc.array(policy, { minLength: 1, maxLength: tiers === 'all' ? 8 : 6, size: 'max' }).map((drafts) =>
    drafts.map(({ namespace, ...draft }, index): Policy => ({
      kind: draft.tier === 'networkpolicy' ? 'NetworkPolicy' : 'ClusterNetworkPolicy',
      name: `policy-${index}`,
      ...(namespace !== undefined && { namespace }),
      ...draft,
      position: at(300 + index),
    })),
  );
}

function at(line: number): Position {
  return { file: 'world', line, column: 1 };
}

/** The first and last address of a block, and those just outside. */
function edgesOf(cidr: Cidr): AddressText[] {
  const { family, first, length } = parseCidr(cidr)!;
  const last = lastOf(first, length, family);
  const steps: readonly (readonly [Uint32Array, number])[] = [
    [first, 0],
    [first, -1],
    [last, 0],
    [last, 1],
  ];
  return (
    steps
      .map(([words, step]) => formatAddress(family, addTo(words, step, family)))
      // ::ffff:0:0/96 is IPv4 written as IPv6; no reader gives it.
      .filter((text) => familyOf(text) === family && canonicalAddress(text) === text)
  );
}

function isInside(inner: Cidr, outer: Cidr): boolean {
  const a = parseCidr(inner)!;
  const b = parseCidr(outer)!;
  if (a.length <= b.length) return false;
  const last = lastOf(b.first, b.length, b.family);
  return compareWords(b.first, a.first) <= 0 && compareWords(a.first, last) <= 0;
}

function compareWords(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let word = 0; word < 4; word++) if (a[word] !== b[word]) return a[word]! - b[word]!;
  return 0;
}

function lastOf(first: Uint32Array, length: number, family: 4 | 6): Uint32Array {
  const last = Uint32Array.from(first);
  for (let bit = length; bit < (family === 4 ? 32 : 128); bit++) last[bit >> 5]! |= 1 << (31 - (bit & 31));
  return last;
}

/** An address and a step of -1, 0 or 1, around the ends of the family's space. */
function addTo(words: Uint32Array, step: number, family: 4 | 6): Uint32Array {
  const sum = Uint32Array.from(words);
  for (let word = family === 4 ? 0 : 3; word >= 0 && step !== 0; word--) {
    const value = sum[word]! + step;
    sum[word] = value;
    step = value < 0 ? -1 : value > 0xffffffff ? 1 : 0;
  }
  return sum;
}

/** A copy without the keys whose value is undefined. */
function dropUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
