/**
 * Flows through a random world: their addresses and ports come from the edges of what the policies mention, and one beyond, and
 * some are aimed at one rule, a Service, or a pod that is not there.
 */
import * as fc from 'fast-check';
import { type AddressText, formatAddress } from '../model/address.ts';
import { type Cidr, parseCidr } from '../model/cidr.ts';
import type { Pod, Service, Snapshot } from '../model/cluster.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import type { World } from '../model/evaluator.ts';
import type { EndpointRef, Flow } from '../model/flow.ts';
import type { Direction, PodSet } from '../model/policy.ts';
import { PORT_PROTOCOLS, type PortMatch, Protocol } from '../model/port.ts';
import { holdsPod } from '../oracle/rule.ts';
import { type WorldOptions, arbitraryWorld } from './arbitrary-world.ts';
import { edgeAddresses, edgePorts, edgesOf, lastOf } from './edge.ts';
import { PORT_NUMBERS, PROTOCOLS, dropUndefined } from './vocabulary.ts';

/** A world and flows to ask in it. */
export interface Case {
  readonly world: World;
  readonly flows: readonly Flow[];
}

/** A world with flows that ask at its edges. */
export function arbitraryCase(options: WorldOptions, flowCount: number): fc.Arbitrary<Case> {
  return arbitraryWorld(options).chain((world) =>
    fc
      .array(arbitraryFlow(world), { minLength: 1, maxLength: flowCount, size: 'max' })
      .map((flows) => ({ world, flows })),
  );
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
