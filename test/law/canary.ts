/**
 * Canaries: evaluators that are wrong on purpose, each by one mistake that implementations have made or that is easily made. Laws
 * and scenarios must notice every one of them; a canary that lives shows what they do not look at. Most are the oracle in a
 * world that is rewritten in front of it, so that the mistake and nothing else is wrong.
 */
import { batchPackets } from '../../src/model/packet.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import type { Dialect } from '../../src/model/dialect.ts';
import type { Evaluator, World } from '../../src/model/evaluator.ts';
import { type Decision, type EndpointRef, type Flow, type Packet, TcpFlag } from '../../src/model/flow.ts';
import { NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../../src/model/label.ts';
import type { Direction, Peer, PodSet, Policy, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { MissingFact, Reason, Verdict, verdictOf } from '../../src/model/verdict.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { holdsPod } from '../../src/oracle/rule.ts';
import { createSlowTracker, type SlowOptions } from '../../src/oracle/tracker.ts';

/** A wrong evaluator, and where its mistake shows: in single flows, or in streams of packets. */
export interface Canary {
  readonly evaluator: Evaluator;
  readonly shows: 'flows' | 'packets';
}

/** All of them. */
export const canaries: readonly Canary[] = [...wrongReadings(), ...wrongAnswers(), ...wrongTrackers()];

/** Worlds misread: policies, labels and clusters. */
function wrongReadings(): Canary[] {
  return [
    reading('except is ignored', (world) => mapBlocks(world, (block) => [{ ...block, except: [] }])),
    reading('except denies across rules', (world) => {
      const blocks = world.policies.flatMap(({ ingress, egress }) =>
        [...ingress, ...egress].flatMap(({ peers }) =>
          (peers ?? []).flatMap((peer) => (peer.kind === 'ipBlock' ? [peer] : [])),
        ),
      );
      const except = [...new Set(blocks.flatMap((block) => [...block.except]))];
      return mapBlocks(world, (block) => [{ ...block, except: [...block.except, ...except] }]);
    }),
    reading('endPort is exclusive', (world) =>
      mapPorts(world, (match) =>
        match.kind === 'range' && match.last > match.first ? [{ ...match, last: match.last - 1 }] : [match],
      ),
    ),
    reading('endPort is ignored', (world) =>
      mapPorts(world, (match) => [match.kind === 'range' ? { ...match, last: match.first } : match]),
    ),
    reading('an empty from matches nobody', (world) =>
      mapRules(world, (rule) => [{ ...rule, peers: rule.peers ?? [] }]),
    ),
    reading('an empty ports matches nothing', (world) =>
      mapRules(world, (rule) => [{ ...rule, ports: rule.ports ?? [] }]),
    ),
    reading('a rule without ports means TCP alone', (world) =>
      mapRules(world, (rule) => [{ ...rule, ports: rule.ports ?? [{ kind: 'any', protocol: 'TCP' }] }]),
    ),
    reading('peers or ports are enough', (world) =>
      mapRules(world, (rule) =>
        rule.peers === undefined || rule.ports === undefined
          ? [rule]
          : [
              { ...rule, ports: undefined },
              { ...rule, peers: undefined },
            ],
      ),
    ),
    reading('a port without protocol means any', (world) =>
      mapPorts(world, (match) =>
        match.protocol === 'TCP'
          ? (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({ ...match, protocol }))
          : [match],
      ),
    ),
    reading('NotIn needs the key', (world) =>
      mapSelectors(world, (one) =>
        one.operator === 'NotIn' ? [{ ...one, operator: 'Exists', values: [] }, one] : [one],
      ),
    ),
    reading('In looks at the key alone', (world) =>
      mapSelectors(world, (one) =>
        one.operator === 'In' && one.key !== NAMESPACE_NAME_LABEL
          ? [{ ...one, operator: 'Exists', values: [] }]
          : [one],
      ),
    ),
    reading('DoesNotExist is taken for Exists', (world) =>
      mapSelectors(world, (one) => [one.operator === 'DoesNotExist' ? { ...one, operator: 'Exists' } : one]),
    ),
    reading('one requirement is enough', (world) => mapSets(world, (set) => ({ ...set, pods: set.pods.slice(0, 1) }))),
    reading('podSelector crosses namespaces', (world) =>
      mapPeerSets(world, (set) => [{ ...set, namespaces: { kind: 'selected', selector: [] } }], 'named'),
    ),
    reading('namespaceSelector or podSelector', (world) =>
      mapPeerSets(
        world,
        (set) =>
          set.pods.length === 0
            ? [set]
            : [
                { ...set, pods: [] },
                { ...set, namespaces: { kind: 'selected', selector: [] } },
              ],
        'selected',
      ),
    ),
    reading('an empty namespaceSelector is the own namespace', (world) => ({
      ...world,
      policies: world.policies.map((policy) =>
        mapPolicyPeers(policy, (peer) =>
          peer.kind === 'pods' &&
          peer.namespaces.kind === 'selected' &&
          peer.namespaces.selector.length === 0 &&
          policy.namespace !== undefined
            ? [{ ...peer, namespaces: { kind: 'named', namespace: policy.namespace } }]
            : [peer],
        ),
      ),
    })),
    reading('an empty podSelector selects nobody', (world) =>
      mapPolicies(world, (policy) => (policy.subject.pods.length > 0 ? [policy] : [])),
    ),
    reading('namespaces do not carry their name', (world) =>
      mapSelectors(world, (one) => [one.key === NAMESPACE_NAME_LABEL ? { ...one, key: 'name' } : one]),
    ),
    reading('policyTypes is ignored: both, always', (world) =>
      mapPolicies(world, (policy) => [isPlain(policy) ? { ...policy, isolates: ['ingress', 'egress'] } : policy]),
    ),
    reading('policyTypes is ignored: what has rules', (world) =>
      mapPolicies(world, (policy) => {
        const isolates = (['ingress', 'egress'] as const).filter((direction) => policy[direction].length > 0);
        return [isPlain(policy) ? { ...policy, isolates } : policy];
      }),
    ),
    reading('egress is not looked at', (world) =>
      mapPolicies(world, (policy) => [{ ...policy, isolates: without(policy.isolates, 'egress'), egress: [] }]),
    ),
    reading('ingress is not looked at', (world) =>
      mapPolicies(world, (policy) => [{ ...policy, isolates: without(policy.isolates, 'ingress'), ingress: [] }]),
    ),
    reading('the first policy wins', firstPolicyWins),
    reading('an IPv4 block matches IPv6', (world) =>
      mapBlocks(world, (block) =>
        block.cidr.endsWith('/0') && !block.cidr.includes(':')
          ? [block, { kind: 'ipBlock', cidr: '::/0' as Cidr, except: [] }]
          : [block],
      ),
    ),
    reading('terminated pods count', (world) => mapPods(world, (pod) => ({ ...pod, phase: 'Running' }))),
    reading('hostNetwork pods are selected', (world) => mapPods(world, (pod) => ({ ...pod, hostNetwork: false }))),
    reading('addresses of pod blocks are outside', (world) =>
      mapSnapshot(world, (snapshot) => ({
        ...snapshot,
        nodes: snapshot.nodes.map((node) => ({ ...node, podCidrs: [] })),
      })),
    ),
    reading('a Service is judged on its own port', (world) =>
      mapSnapshot(world, (snapshot) => ({
        ...snapshot,
        services: snapshot.services.map((service) => ({
          ...service,
          ports: service.ports.map(({ targetPort: _, ...port }) => port),
        })),
      })),
    ),
    reading('the address of a Service is left as it is', (world) =>
      mapSnapshot(world, (snapshot) => ({
        ...snapshot,
        services: snapshot.services.map((service) => ({ ...service, clusterAddresses: [], externalAddresses: [] })),
      })),
    ),
    reading('EndpointSlices are ignored', (world) =>
      mapSnapshot(world, (snapshot) => ({ ...snapshot, endpointSlices: [] })),
    ),
    dialect('a pod behind its own Service is let through', { hairpin: 'allow' }),
    dialect('the own node is denied', { ownNodeIngress: 'judge' }),
    dialect('ipBlock never matches pods', { ipBlockMatchesPods: false }),
    dialect('ICMP matches no rule', { icmp: 'never' }),
    dialect('neighbour discovery is judged', { neighborDiscovery: 'judge' }),
  ];
}

/** Right readings, and answers spoilt. */
function wrongAnswers(): Canary[] {
  return [
    answering('each policy has to allow', (world, flow) => {
      const alone = world.policies.map((policy) => judge({ ...world, policies: [policy] }, flow));
      return least(alone) ?? judge(world, flow);
    }),
    answering('all ports of a rule have to match', (world, flow) => {
      const most = Math.max(
        1,
        ...world.policies.flatMap(({ ingress, egress }) =>
          [...ingress, ...egress].map(({ ports }) => ports?.length ?? 1),
        ),
      );
      const each = Array.from({ length: most }, (_, index) =>
        judge(
          mapRules(world, (rule) => [{ ...rule, ports: rule.ports && [rule.ports[index % rule.ports.length]!] }]),
          flow,
        ),
      );
      return least(each)!;
    }),
    answering('one side is enough', (world, flow) => {
      const decision = judge(world, flow);
      return { ...decision, verdict: Math.max(verdictOf(decision.egress), verdictOf(decision.ingress)) };
    }),
    answering('a named port is looked up at the source', (world, flow) => {
      const [source, destination] = [podOf(world, flow.src), podOf(world, flow.dst)];
      if (source === undefined || destination === undefined) return judge(world, flow);
      return judge(
        mapPods(world, (pod) => (pod === destination ? { ...pod, ports: source.ports } : pod)),
        flow,
      );
    }),
    answering('what is not known is allowed', (world, flow) => {
      const decision = judge(world, flow);
      return decision.verdict === Verdict.Undecidable ? { ...decision, verdict: Verdict.Allow } : decision;
    }),
    answering('what is not known is denied', (world, flow) => {
      const decision = judge(world, flow);
      return decision.verdict === Verdict.Undecidable ? { ...decision, verdict: Verdict.Deny } : decision;
    }),
    answering('one backend that is allowed is enough', (world, flow) => {
      const decision = judge(world, flow);
      return (decision.missing & MissingFact.SomeBackends) === 0 ? decision : { ...decision, verdict: Verdict.Allow };
    }),
  ];
}

/** Connection tracking with a mistake: rules of the tracker, and what is done with its answer. */
function wrongTrackers(): Canary[] {
  return [
    tracking('replies need a rule', {
      answer: (state, judged) => (state === 'ESTABLISHED' ? judged() : undefined),
    }),
    tracking('nothing is related', { answer: (state) => (state === 'RELATED' ? of(Reason.InvalidState) : undefined) }),
    tracking('INVALID packets are asked like new ones', {
      answer: (state, judged) => (state === 'INVALID' ? judged() : undefined),
    }),
    tracking('a denied packet leaves state', { keepsDenied: 'yes' }),
    tracking('the middle of a stream is never picked up', { options: { isTcpLoose: false } }),
    tracking('a second UDP request is established', {
      answer: (state, _, packet, earlier) =>
        state === 'NEW' && packet.protocol === 17 && earlier.some((own) => isRepeat(own, packet))
          ? of(Reason.Established)
          : undefined,
    }),
    tracking('a second SYN is established', {
      answer: (state, _, packet, earlier) =>
        state === 'NEW' && packet.protocol === 6 && earlier.some((own) => isRepeat(own, packet))
          ? of(Reason.Established)
          : undefined,
    }),
    tracking('RST keeps the state', {
      rewrite: (packet, wasKnown) => (isRst(packet) && wasKnown ? { ...packet, tcpFlags: TcpFlag.Ack } : packet),
    }),
    tracking('FIN and RST open connections', {
      rewrite: (packet) =>
        ((packet.tcpFlags ?? 0) & (TcpFlag.Fin | TcpFlag.Rst)) === 0 ? packet : { ...packet, tcpFlags: TcpFlag.Ack },
    }),
    tracking('an ICMP error in the own direction is related', {
      answer: (state, _, packet, earlier) => {
        const quoted = packet.quotes === undefined ? undefined : earlier[packet.quotes];
        return state === 'INVALID' && quoted !== undefined && quoted.isLetThrough ? of(Reason.Related) : undefined;
      },
    }),
    tracking('connections never end by time', { rewrite: (packet) => ({ ...packet, timeS: 0 }) }),
    tracking('UDP ends after a second', { options: { timeouts: { udp: 1, udpStream: 1 } } }),
    tracking('ICMP replies need no request', {
      answer: (state, _, { icmp }) =>
        state === 'INVALID' && (icmp === 0 || icmp === 129 << 8) ? of(Reason.Established) : undefined,
    }),
  ];
}

function reading(name: string, rewrite: (world: World) => World): Canary {
  return { shows: 'flows', evaluator: { name, load: (world) => oracle.load(rewrite(world)) } };
}

function dialect(name: string, choice: Partial<Dialect>): Canary {
  return reading(name, (world) => ({ ...world, dialect: { ...world.dialect, ...choice } }));
}

function answering(name: string, answer: (world: World, flow: Flow) => Decision): Canary {
  return { shows: 'flows', evaluator: { name, load: (world) => ({ judge: (flow) => answer(world, flow) }) } };
}

/** A packet that went before, and whether it was let through. */
type Past = Packet & { readonly isLetThrough: boolean };

interface Mistake {
  readonly options?: SlowOptions;
  readonly keepsDenied?: 'yes';
  /** What the tracker is shown in place of the packet; `wasKnown`: the right tracker does not call it INVALID. */
  rewrite?(packet: Packet, wasKnown: boolean): Packet;
  /** Another decision than the right one for this state; undefined: the right one. */
  answer?(state: string, judged: () => Decision, packet: Packet, earlier: readonly Past[]): Decision | undefined;
}

function tracking(name: string, mistake: Mistake): Canary {
  const load: Evaluator['load'] = (world) => ({
    judge: (flow) => judge(world, flow),
    judgePackets: (packets) => track(world, packets, mistake),
  });
  return { shows: 'packets', evaluator: { name, load } };
}

function track(world: World, packets: readonly Packet[], mistake: Mistake): Decision[] {
  const right = oracle.load(world).judgePackets!(packets);
  const shown = packets.map(
    (packet, index) => mistake.rewrite?.(packet, right[index]!.egress !== Reason.InvalidState) ?? packet,
  );
  const addressOf = (ref: EndpointRef): AddressText | undefined =>
    ref.kind === 'address' ? ref.address : podOf(world, ref)?.addresses[0];
  const batch = batchPackets(shown, ({ src, dst }) => ({ src: addressOf(src), dst: addressOf(dst) }));
  const tracker = createSlowTracker(mistake.options ?? {});
  const earlier: Past[] = [];
  return packets.map((packet, row) => {
    const { state } = tracker.track(batch, row);
    const judged = (): Decision => judge(world, packet);
    const usual: Readonly<Record<string, () => Decision>> = {
      NEW: judged,
      ESTABLISHED: () => of(Reason.Established),
      RELATED: () => of(Reason.Related),
      INVALID: () => of(Reason.InvalidState),
    };
    const decision = mistake.answer?.(state, judged, packet, earlier) ?? usual[state]!();
    if (state === 'NEW' && decision.verdict === Verdict.Deny && mistake.keepsDenied === undefined) tracker.drop();
    earlier.push({ ...packet, isLetThrough: decision.verdict === Verdict.Allow });
    return decision;
  });
}

function judge(world: World, flow: Flow): Decision {
  return oracle.load(world).judge(flow);
}

function of(reason: Reason): Decision {
  return { verdict: verdictOf(reason), egress: reason, ingress: reason, missing: 0 };
}

function least(decisions: readonly Decision[]): Decision | undefined {
  return decisions.reduce<Decision | undefined>(
    (low, next) => (low === undefined || next.verdict < low.verdict ? next : low),
    undefined,
  );
}

function isRepeat(own: Past, packet: Packet): boolean {
  const key = ({ src, dst, srcPort, port, protocol, tcpFlags }: Packet): string =>
    JSON.stringify([src, dst, srcPort, port, protocol, tcpFlags]);
  return own.isLetThrough && packet.timeS - own.timeS < 30 && key(own) === key(packet);
}

function isRst({ tcpFlags = 0 }: Packet): boolean {
  return (tcpFlags & TcpFlag.Rst) !== 0;
}

/** The one pod that an end is, by address or by name. */
function podOf({ snapshot }: World, ref: EndpointRef): Pod | undefined {
  return snapshot.pods.find((pod) =>
    ref.kind === 'address'
      ? pod.addresses.includes(ref.address)
      : ref.kind === 'name' && pod.namespace === ref.namespace && pod.name === ref.name,
  );
}

/** Every pod keeps the first policy that selects it, and loses the others. */
function firstPolicyWins(world: World): World {
  const { snapshot } = world;
  const mark = 'canary/pod';
  const free = new Set(snapshot.pods.keys());
  const policies = world.policies.map((policy): Policy => {
    if (!isPlain(policy)) return policy;
    const own = [...free].filter((index) => holdsPod(policy.subject, snapshot.pods[index]!, snapshot));
    for (const index of own) free.delete(index);
    const pods: Selector = [{ key: mark, operator: 'In', values: own.map(String) }];
    return { ...policy, subject: { namespaces: { kind: 'selected', selector: [] }, pods } };
  });
  const pods = snapshot.pods.map((pod, index) => ({ ...pod, labels: new Map([...pod.labels, [mark, String(index)]]) }));
  return { ...world, policies, snapshot: { ...snapshot, pods } };
}

function isPlain({ tier }: Policy): boolean {
  return tier === 'networkpolicy';
}

function without(directions: readonly Direction[], one: Direction): Direction[] {
  return directions.filter((direction) => direction !== one);
}

function mapSnapshot(world: World, change: (snapshot: Snapshot) => Snapshot): World {
  return { ...world, snapshot: change(world.snapshot) };
}

/** Copies only the pods that change, so that names and twins stay what they are. */
function mapPods(world: World, change: (pod: Pod) => Pod): World {
  return mapSnapshot(world, (snapshot) => ({ ...snapshot, pods: snapshot.pods.map(change) }));
}

function mapPolicies(world: World, change: (policy: Policy) => Policy[]): World {
  return { ...world, policies: world.policies.flatMap(change) };
}

function mapRules(world: World, change: (rule: Rule) => Rule[]): World {
  return mapPolicies(world, (policy) => [
    { ...policy, ingress: policy.ingress.flatMap(change), egress: policy.egress.flatMap(change) },
  ]);
}

function mapPolicyPeers(policy: Policy, change: (peer: Peer) => Peer[]): Policy {
  const rule = (own: Rule): Rule => ({ ...own, peers: own.peers?.flatMap(change) });
  return { ...policy, ingress: policy.ingress.map(rule), egress: policy.egress.map(rule) };
}

function mapPeers(world: World, change: (peer: Peer) => Peer[]): World {
  return mapPolicies(world, (policy) => [mapPolicyPeers(policy, change)]);
}

function mapBlocks(world: World, change: (block: Peer & { kind: 'ipBlock' }) => Peer[]): World {
  return mapPeers(world, (peer) => (peer.kind === 'ipBlock' ? change(peer) : [peer]));
}

function mapPorts(world: World, change: (match: PortMatch) => PortMatch[]): World {
  return mapRules(world, (rule) => [{ ...rule, ports: rule.ports?.flatMap(change) }]);
}

function mapPeerSets(world: World, change: (set: PodSet) => PodSet[], scope: PodSet['namespaces']['kind']): World {
  return mapPeers(world, (peer) =>
    peer.kind === 'pods' && peer.namespaces.kind === scope
      ? change(peer).map((set): Peer => ({ ...set, kind: 'pods' }))
      : [peer],
  );
}

/** Subjects and peers. */
function mapSets(world: World, change: (set: PodSet) => PodSet): World {
  const peers = mapPeers(world, (peer) => [peer.kind === 'pods' ? { ...change(peer), kind: 'pods' } : peer]);
  return mapPolicies(peers, (policy) => [{ ...policy, subject: change(policy.subject) }]);
}

function mapSelectors(world: World, change: (requirement: Requirement) => Requirement[]): World {
  return mapSets(world, ({ namespaces, pods }) => ({
    namespaces:
      namespaces.kind === 'named' ? namespaces : { ...namespaces, selector: namespaces.selector.flatMap(change) },
    pods: pods.flatMap(change),
  }));
}
