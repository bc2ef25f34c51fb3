/**
 * Greedy reduction: drops objects, rules, peers, ports, labels and packets of a trial, one at a time, as long as the same
 * disagreement shows. fast-check shrinks what it drew; this shrinks what it means. Every step is a world that manifests can say.
 */
import { DEFAULT_DIALECT } from '../model/dialect.ts';
import type { Pod, Service, Snapshot } from '../model/cluster.ts';
import type { World } from '../model/evaluator.ts';
import type { Packet } from '../model/flow.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Selector } from '../model/label.ts';
import type { Peer, PodSet, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import type { Trial } from './trial.ts';

/** Attempts after which a reduction is content with what it has: a bound that is the same on every machine. */
const ATTEMPTS_MAX = 6_000;

/** The smallest trial that can be reached in which `shows` still holds; `trial` itself must hold. */
export async function reduce(trial: Trial, shows: (candidate: Trial) => Promise<boolean>): Promise<Trial> {
  let best = trial;
  let attempts = 0;
  for (;;) {
    let next: Trial | undefined;
    for (const candidate of smallerTrials(best)) {
      if (attempts++ >= ATTEMPTS_MAX) return best;
      if (!(await shows(candidate))) continue;
      next = candidate;
      break;
    }
    if (next === undefined) return best;
    best = next;
  }
}

/** Every trial that is one step smaller, big steps first. */
export function* smallerTrials(trial: Trial): Generator<Trial> {
  for (const packets of fewerPackets(trial.packets)) yield { ...trial, packets };
  for (const world of smallerWorlds(trial.world)) yield { ...trial, world };
}

function* smallerWorlds(world: World): Generator<World> {
  const { snapshot, policies, dialect } = world;
  for (const fewer of shorter(policies)) yield { ...world, policies: fewer };
  for (const smaller of smallerSnapshots(snapshot)) yield { ...world, snapshot: smaller };
  for (const changed of eachItem(policies, smallerPolicies)) yield { ...world, policies: changed };
  for (const knob of Object.keys(DEFAULT_DIALECT) as (keyof typeof DEFAULT_DIALECT)[])
    if (dialect[knob] !== DEFAULT_DIALECT[knob])
      yield { ...world, dialect: { ...dialect, [knob]: DEFAULT_DIALECT[knob] } };
}

function* smallerSnapshots(snapshot: Snapshot): Generator<Snapshot> {
  for (const list of ['services', 'endpointSlices', 'pods', 'nodes', 'namespaces'] as const)
    for (const fewer of shorter<unknown>(snapshot[list])) yield { ...snapshot, [list]: fewer };
  for (const pods of eachItem(snapshot.pods, smallerPods)) yield { ...snapshot, pods };
  for (const services of eachItem(snapshot.services, smallerServices)) yield { ...snapshot, services };
  for (const endpointSlices of eachItem(snapshot.endpointSlices, function* (slice) {
    for (const endpoints of shorter(slice.endpoints)) yield { ...slice, endpoints };
    for (const ports of shorter(slice.ports)) yield { ...slice, ports };
  }))
    yield { ...snapshot, endpointSlices };
  for (const namespaces of eachItem(snapshot.namespaces, function* (namespace) {
    for (const labels of fewerLabels(namespace.labels)) yield { ...namespace, labels };
  }))
    yield { ...snapshot, namespaces };
  for (const nodes of eachItem(snapshot.nodes, function* (node) {
    for (const addresses of shorter(node.addresses)) if (addresses.length > 0) yield { ...node, addresses };
    for (const podCidrs of shorter(node.podCidrs)) yield { ...node, podCidrs };
    for (const labels of fewerLabels(node.labels)) yield { ...node, labels };
  }))
    yield { ...snapshot, nodes };
}

function* smallerPods(pod: Pod): Generator<Pod> {
  for (const ports of shorter(pod.ports)) yield { ...pod, ports };
  for (const labels of fewerLabels(pod.labels)) yield { ...pod, labels };
  if (pod.isStandIn) {
    if (pod.count > 1) yield { ...pod, count: 1 };
    return;
  }
  if (pod.node !== undefined) {
    const { node: _, ...rest } = pod;
    yield rest;
  }
  if (pod.phase !== 'Running') yield { ...pod, phase: 'Running' };
  for (const addresses of shorter(pod.addresses)) if (addresses.length > 0) yield { ...pod, addresses };
  if (pod.workload.kind !== 'Pod')
    yield { ...pod, workload: { kind: 'Pod', namespace: pod.namespace, name: pod.name } };
}

function* smallerServices(service: Service): Generator<Service> {
  for (const ports of shorter(service.ports)) if (ports.length > 0) yield { ...service, ports };
  for (const externalAddresses of shorter(service.externalAddresses)) yield { ...service, externalAddresses };
  for (const clusterAddresses of shorter(service.clusterAddresses))
    if (clusterAddresses.length > 0) yield { ...service, clusterAddresses };
  if (service.selector !== undefined)
    for (const selector of fewerLabels(service.selector)) if (selector.size > 0) yield { ...service, selector };
}

function* smallerPolicies(policy: Policy): Generator<Policy> {
  // An empty policyTypes would come back as the default.
  for (const isolates of shorter(policy.isolates)) if (isolates.length > 0) yield { ...policy, isolates };
  for (const side of ['ingress', 'egress'] as const) {
    for (const rules of shorter(policy[side])) yield { ...policy, [side]: renumber(rules) };
    for (const rules of eachItem(policy[side], smallerRules)) yield { ...policy, [side]: rules };
  }
  for (const subject of smallerPodSets(policy.subject)) yield { ...policy, subject };
}

function* smallerRules(rule: Rule): Generator<Rule> {
  const { peers, ports } = rule;
  if (peers !== undefined) {
    yield { ...rule, peers: undefined };
    for (const fewer of shorter(peers)) if (fewer.length > 0) yield { ...rule, peers: fewer };
    for (const changed of eachItem(peers, smallerPeers)) yield { ...rule, peers: changed };
  }
  if (ports !== undefined) {
    yield { ...rule, ports: undefined };
    for (const fewer of shorter(ports)) if (fewer.length > 0) yield { ...rule, ports: fewer };
    for (const changed of eachItem(ports, smallerPorts)) yield { ...rule, ports: changed };
  }
}

function* smallerPeers(peer: Peer): Generator<Peer> {
  if (peer.kind === 'ipBlock') for (const except of shorter(peer.except)) yield { ...peer, except };
  if (peer.kind === 'pods') for (const set of smallerPodSets(peer)) yield { kind: 'pods', ...set };
}

function* smallerPodSets({ namespaces, pods }: PodSet): Generator<PodSet> {
  for (const smaller of smallerSelectors(pods)) yield { namespaces, pods: smaller };
  if (namespaces.kind === 'selected')
    for (const selector of smallerSelectors(namespaces.selector))
      yield { namespaces: { kind: 'selected', selector }, pods };
}

function* smallerSelectors(selector: Selector): Generator<Selector> {
  yield* shorter(selector);
  yield* eachItem(selector, function* (requirement) {
    for (const values of shorter(requirement.values)) if (values.length > 0) yield { ...requirement, values };
  });
}

function* smallerPorts(port: PortMatch): Generator<PortMatch> {
  if (port.kind === 'range' && port.last > port.first) {
    yield { ...port, last: port.first };
    yield { ...port, first: port.last };
    // A wide range says less at a glance than one of two ports.
    if (port.last > port.first + 1) yield { ...port, last: port.first + 1 };
  }
}

function* fewerLabels(labels: Labels): Generator<Labels> {
  const own = [...labels].filter(([key]) => key !== NAMESPACE_NAME_LABEL);
  const name = labels.get(NAMESPACE_NAME_LABEL);
  for (const fewer of shorter(own))
    yield new Map(name === undefined ? fewer : [...fewer, [NAMESPACE_NAME_LABEL, name]]);
}

/** Without one or some packets; never none, and quotes follow their packet. */
function* fewerPackets(packets: readonly Packet[]): Generator<Packet[]> {
  for (const kept of shorter([...packets.keys()])) {
    if (kept.length === 0) continue;
    const places = new Map(kept.map((index, place) => [index, place]));
    const fewer = kept.map((index) => packets[index]!);
    if (fewer.some(({ quotes }) => quotes !== undefined && !places.has(quotes))) continue;
    yield fewer.map((packet) =>
      packet.quotes === undefined ? packet : { ...packet, quotes: places.get(packet.quotes)! },
    );
  }
}

/** Nothing, each half, then all but one item. */
function* shorter<T>(list: readonly T[]): Generator<T[]> {
  if (list.length === 0) return;
  if (list.length > 1) yield [];
  const half = list.length >> 1;
  if (list.length > 3) {
    yield list.slice(0, half);
    yield list.slice(half);
  }
  for (let index = list.length - 1; index >= 0; index--) yield list.toSpliced(index, 1);
}

/** The list with one item made smaller. */
function* eachItem<T>(list: readonly T[], smaller: (item: T) => Iterable<T>): Generator<T[]> {
  for (const [index, item] of list.entries()) for (const changed of smaller(item)) yield list.with(index, changed);
}

function renumber(rules: readonly Rule[]): Rule[] {
  return rules.map((rule, index) => ({ ...rule, index }));
}
