/**
 * Does a rule match a flow? Labels, peers and ports, each as the API's field comments say, in three values. Asked by
 * `side.ts` for each rule of each policy; knows nothing of policies, order or verdicts.
 */
import type { Namespace, Pod, Snapshot } from '../model/cluster.ts';
import type { Dialect } from '../model/dialect.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { Peer, PodSet, Rule } from '../model/policy.ts';
import { PORT_PROTOCOLS, type PortMatch, Protocol } from '../model/port.ts';
import { MissingFact } from '../model/verdict.ts';
import { contains } from './block.ts';
import { type Endpoint, nodesAt } from './endpoint.ts';
import { type Truth, and, certainly, or } from './kleene.ts';

/** What is asked of a rule: the other end, and the destination with protocol and port. */
export interface Question {
  readonly snapshot: Snapshot;
  readonly dialect: Dialect;
  readonly peer: Endpoint;
  /** The subject for ingress, the peer for egress. */
  readonly destination: Endpoint;
  readonly protocol: number;
  readonly port: number | undefined;
}

/** Whether a protocol has ports; one that is not known may have. */
export function hasPorts(protocol: number): boolean {
  return protocol === Protocol.Unknown || Object.values(PORT_PROTOCOLS).includes(protocol);
}

/** Peers AND ports. */
export function matchesRule(rule: Rule, question: Question): Truth {
  if (!hasPorts(question.protocol) && question.dialect.icmp === 'never') return 'no'; // DI-07
  // NP-08, NP-09, NP-10
  const peers = rule.peers === undefined ? 'yes' : or(rule.peers.map((peer) => matchesPeer(peer, question)));
  const ports = rule.ports === undefined ? 'yes' : or(rule.ports.map((port) => matchesPort(port, question)));
  return and([peers, ports]);
}

/** Whether a set of pods holds a pod of the snapshot: namespace AND labels. */
export function holdsPod({ namespaces, pods }: PodSet, pod: Pod, snapshot: Snapshot): boolean {
  const isInScope =
    namespaces.kind === 'named'
      ? namespaces.namespace === pod.namespace // NP-03, NP-11
      : matchesSelector(namespaces.selector, namespaceLabels(pod.namespace, snapshot)); // NP-12
  return isInScope && matchesSelector(pods, pod.labels); // NP-13
}

/** All requirements must hold; none at all always hold. */
export function matchesSelector(selector: Selector, labels: Labels): boolean {
  return selector.every((requirement) => matchesRequirement(requirement, labels)); // NP-18
}

function matchesRequirement({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = labels.get(key);
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value); // NP-14
    case 'NotIn':
      return value === undefined || !values.includes(value); // NP-15
    case 'Exists':
      return value !== undefined; // NP-16
    case 'DoesNotExist':
      return value === undefined; // NP-17
  }
}

function namespaceLabels(name: string, snapshot: Snapshot): Labels {
  const namespace: Namespace | undefined = snapshot.namespaces.find((object) => object.name === name);
  return new Map([...(namespace?.labels ?? []), [NAMESPACE_NAME_LABEL, name]]); // NP-19
}

function matchesPeer(peer: Peer, question: Question): Truth {
  const { peer: other, snapshot } = question;
  switch (peer.kind) {
    case 'pods':
      if (other.kind === 'unknown-pod') return MissingFact.UnknownPod; // EP-07
      return certainly(other.kind === 'pod' && holdsPod(peer, other.pod, snapshot)); // EP-04, EP-05, EP-08
    case 'ipBlock':
      return matchesBlock(peer, question);
    case 'nodes':
      if (other.kind !== 'node') return 'no'; // TI-06
      if (other.address === undefined) return MissingFact.NoAddress;
      return certainly(nodesAt(snapshot, other.address).some((node) => matchesSelector(peer.selector, node.labels)));
    case 'domains':
      return MissingFact.DomainName; // TI-07
  }
}

function matchesBlock(block: Peer & { kind: 'ipBlock' }, { peer, dialect }: Question): Truth {
  const isPod = peer.kind === 'pod' || peer.kind === 'unknown-pod';
  if (isPod && !dialect.ipBlockMatchesPods) return 'no'; // DI-01
  if (peer.kind === 'node' && !dialect.ipBlockMatchesNodes) return 'no'; // DI-02
  const { address } = peer;
  if (address === undefined) return MissingFact.NoAddress; // EP-11
  // NP-20, NP-21
  return certainly(contains(block.cidr, address) && !block.except.some((cidr) => contains(cidr, address)));
}

function matchesPort(match: PortMatch, { protocol, port, destination }: Question): Truth {
  if (!hasPorts(protocol)) return 'no'; // DI-07
  if (protocol === Protocol.Unknown) return MissingFact.NoProtocol; // KL-06
  if (match.protocol !== undefined && PORT_PROTOCOLS[match.protocol] !== protocol) return 'no'; // NP-24
  switch (match.kind) {
    case 'any':
      return 'yes'; // NP-24
    case 'range':
      if (port === undefined) return match.first === 1 && match.last === 65535 ? 'yes' : MissingFact.NoPort; // KL-05
      return certainly(match.first <= port && port <= match.last); // NP-23, NP-25
    case 'named': {
      if (destination.kind === 'unknown-pod')
        // EP-07
        return MissingFact.UnresolvedNamedPort | (port === undefined ? MissingFact.NoPort : 0);
      if (destination.kind !== 'pod') return 'no'; // NP-27
      const named = destination.pod.ports.filter(
        (own) => own.name === match.name && PORT_PROTOCOLS[own.protocol] === protocol, // NP-26, NP-27
      );
      if (port === undefined) return named.length > 0 ? MissingFact.NoPort : 'no'; // KL-05
      return certainly(named.some((own) => own.port === port));
    }
  }
}
