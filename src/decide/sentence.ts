/**
 * One rule against one flow, as it is told: what `match.ts` found, the facts that are missing, how near a miss came, and the sentence for
 * every peer and port that does not match. Sentences cost a hundred times the answer, and are put together for what is printed alone.
 */
import type { Dialect } from '../model/dialect.ts';
import type { PeerExplanation, RuleExplanation, Ternary } from '../model/explanation.ts';
import { formatRequirement, type Labels, type Requirement, type Selector } from '../model/label.ts';
import type { NamespaceScope, Peer, PodSet, Position, Rule } from '../model/policy.ts';
import { formatPortMatch, formatProtocol, PORT_PROTOCOLS, type PortMatch } from '../model/port.ts';
import { MissingFact } from '../model/verdict.ts';
import { type BlockPeer, peersToAsk } from './block.ts';
import type { Facts } from './fact.ts';
import {
  both,
  either,
  findBlock,
  findPort,
  type FlowPort,
  matchLabels,
  matchNoPorts,
  matchPeer,
  matchPodSet,
  matchRequirement,
  matchScope,
  portsNamed,
} from './match.ts';

/** How a rule, or one of its peers or ports, fares. */
export interface Fare {
  readonly match: Ternary;
  /** Mask of the `MissingFact`s that it wants. */
  readonly missing: number;
  /** How near a miss came: 0..1 for one item. */
  readonly nearness: number;
  /** The sentence that says why not; undefined: there is nothing to say. Put together for who prints it alone. */
  readonly why: (() => string) | undefined;
}

/** How a rule fares; the sentence is that of the nearest item of each half. */
export interface RuleFare extends Fare {
  readonly rule: Rule;
  /** `yes` where the rule has no peers or ports of its own. */
  readonly peersMatch: Ternary;
  readonly portsMatch: Ternary;
}

/** Which end of the flow the peer is, for sentences. */
export type PeerRole = 'source' | 'destination';

/** `matchRule`, with the facts that are missing and what would have to be said. */
export function fareRule(
  rule: Rule,
  peer: Facts,
  role: PeerRole,
  destination: Facts,
  flow: FlowPort,
  dialect: Dialect,
): RuleFare {
  const asked = rule.peers && peersToAsk(rule.peers, peer.address);
  const peers = joinFares(asked, (item) => farePeer(item, peer, role, dialect), 'yes');
  const ports = joinFares(rule.ports, (item) => farePort(item, destination, flow), matchNoPorts(flow, dialect));
  const match = both(peers.match, ports.match);
  return {
    rule,
    match,
    peersMatch: peers.match,
    portsMatch: ports.match,
    missing: match === 'unknown' ? peers.missing | ports.missing : 0,
    nearness: nearnessOf(peers) + nearnessOf(ports),
    why: joinSentences(peers.nearest?.why, ports.nearest?.why),
  };
}

/** The same with a sentence for every peer and port. */
export function explainRule(
  rule: Rule,
  peer: Facts,
  role: PeerRole,
  destination: Facts,
  flow: FlowPort,
  dialect: Dialect,
): RuleExplanation {
  const { match, peersMatch, portsMatch } = fareRule(rule, peer, role, destination, flow, dialect);
  const { peerPositions, portPositions } = rule;
  return {
    rule,
    action: rule.action,
    match,
    peersMatch,
    portsMatch,
    peers: (rule.peers ?? []).map((item, index) => ({
      peer: item,
      ...explainItem(farePeer(item, peer, role, dialect), peerPositions?.[index]),
    })),
    ports: (rule.ports ?? []).map((item, index) => ({
      port: item,
      ...explainItem(farePort(item, destination, flow), portPositions?.[index]),
    })),
  };
}

/** `TCP/80`, or the protocol alone where no port is known. */
export function formatFlow(flow: FlowPort): string {
  return flow.port < 0 ? formatProtocol(flow.protocol) : `${formatProtocol(flow.protocol)}/${flow.port}`;
}

function explainItem(
  { match, why }: Fare,
  position: Position | undefined,
): Pick<PeerExplanation, 'position' | 'match' | 'why'> {
  return { ...(position !== undefined && { position }), match, why: why?.() ?? '' };
}

/** Half of a rule: any of its items may match. */
interface Half {
  readonly match: Ternary;
  readonly missing: number;
  /** The first of the items that came nearest; where one matches, it does. */
  readonly nearest: Fare | undefined;
}

/** `without`: what a rule means that has no such half. */
function joinFares<T>(items: readonly T[] | undefined, fareOf: (item: T) => Fare, without: Ternary): Half {
  let match: Ternary = items === undefined ? without : 'no';
  let missing = 0;
  let nearest: Fare | undefined;
  for (const item of items ?? []) {
    const fare = fareOf(item);
    match = either(match, fare.match);
    missing |= fare.missing;
    if (nearest === undefined || fare.nearness > nearest.nearness) nearest = fare;
  }
  return { match, missing: match === 'unknown' ? missing : 0, nearest };
}

function nearnessOf({ match, nearest }: Half): number {
  return match === 'yes' ? 2 : (nearest?.nearness ?? 0);
}

function joinSentences(first: Fare['why'], second: Fare['why']): Fare['why'] {
  return first === undefined || second === undefined ? (first ?? second) : () => `${first()}; ${second()}`;
}

const HIT: Fare = { match: 'yes', missing: 0, nearness: 1, why: undefined };

function farePeer(peer: Peer, facts: Facts, role: PeerRole, dialect: Dialect): Fare {
  switch (peer.kind) {
    case 'pods':
      return farePodSet(peer, facts, role);
    case 'ipBlock':
      return fareBlock(peer, facts, role, dialect);
    case 'nodes': {
      if (matchPeer(peer, facts, dialect) === 'unknown')
        return unknown(() => `admits nodes; the address of the ${role} is not known`, MissingFact.NoAddress);
      if (facts.nodeLabels === undefined) return miss(() => `admits nodes; the ${role} is none of them`, 0);
      const { match, why, nearness } = fareLabels(peer.selector, facts.nodeLabels, true, `the ${role}`, '');
      return { match, missing: 0, nearness, why };
    }
    case 'domains':
      return unknown(
        () => `whether ${facts.address ?? 'it'} is ${peer.names.join(' or ')} is not recorded`,
        MissingFact.DomainName,
      );
  }
}

function farePodSet(set: PodSet, facts: Facts, role: PeerRole): Fare {
  const match = matchPodSet(set, facts);
  if (match === 'yes') return HIT;
  const who = `the ${role}`;
  if (facts.kind === 'outside' || facts.kind === 'node') {
    const what = facts.kind === 'node' ? 'a node' : 'outside the cluster';
    return miss(() => `admits pods; ${who}${facts.address === undefined ? '' : ` ${facts.address}`} is ${what}`, 0);
  }
  if (facts.kind === 'unknown-pod')
    return unknown(() => `${who} ${facts.address} is a pod that the input does not hold`, MissingFact.UnknownPod);
  const namespace = fareScope(set.namespaces, facts, who);
  const pods = fareLabels(set.pods, facts.labels, facts.areLabelsComplete, who, '');
  return {
    match,
    missing: match === 'unknown' ? MissingFact.UnknownLabel : 0,
    nearness: (namespace.nearness + pods.nearness) / 2.01,
    why: joinSentences(
      namespace.match === match ? namespace.why : undefined,
      pods.match === match ? pods.why : undefined,
    ),
  };
}

function fareBlock(peer: BlockPeer, facts: Facts, role: PeerRole, dialect: Dialect): Fare {
  const finding = findBlock(peer, facts, dialect);
  const { cidr } = peer;
  switch (finding) {
    case 'in':
      return HIT;
    case 'pods exempt':
      return miss(() => `admits ${cidr}; the ${role} is a pod, which blocks do not match`, 0);
    case 'nodes exempt':
      return miss(() => `admits ${cidr}; the ${role} is a node, which blocks do not match`, 0);
    case 'no address':
      return unknown(() => `admits ${cidr}; the address of the ${role} is not known`, MissingFact.NoAddress);
    case 'elsewhere':
      return miss(() => `admits ${cidr}; the ${role} is ${facts.address}`, 0.1);
    default:
      return miss(() => `admits ${cidr} except ${finding.hole}; the ${role} is ${facts.address}`, 0.9);
  }
}

function farePort(port: PortMatch, destination: Facts, flow: FlowPort): Fare {
  const finding = findPort(port, destination, flow);
  const wanted = (): string => formatPortMatch(port);
  const found = (): string => formatFlow(flow);
  switch (finding) {
    case 'admitted':
      return HIT;
    case 'protocol without ports':
      return miss(() => `admits ${wanted()}; the flow is ${found()}`, 0);
    case 'protocol unknown':
      return unknown(() => `admits ${wanted()}; the record does not say which protocol`, MissingFact.NoProtocol);
    case 'no such name': {
      const isProtocol = port.protocol === undefined || PORT_PROTOCOLS[port.protocol] === flow.protocol;
      return miss(
        () => `admits ${wanted()}; the destination has no container port of that name`,
        isProtocol ? 0.4 : 0.1,
      );
    }
    case 'other protocol':
      return miss(() => `admits ${wanted()}; the flow is ${found()}`, 0.2);
    case 'names unknown':
      return unknown(
        () => `admits ${wanted()}; the container ports of the destination are not known`,
        MissingFact.UnresolvedNamedPort | (flow.port < 0 ? MissingFact.NoPort : 0),
      );
    case 'port unknown':
      return unknown(() => `admits ${wanted()}; the record carries no port`, MissingFact.NoPort);
    case 'other port': {
      const there = (): string => {
        if (port.kind !== 'named') return '';
        const own = portsNamed(port, destination)!.filter(({ protocol }) => PORT_PROTOCOLS[protocol] === flow.protocol);
        return ` (${own.map((item) => item.port).join(', ')} there)`;
      };
      return miss(() => `admits ${wanted()}${there()}; the flow is ${found()}`, 0.5);
    }
  }
}

/** What its asker knows to be missing. */
type LabelFare = Omit<Fare, 'missing'>;

function fareScope(scope: NamespaceScope, facts: Facts, who: string): LabelFare {
  if (scope.kind === 'selected') {
    const where = facts.namespace === undefined ? 'its namespace' : `namespace ${facts.namespace}`;
    return fareLabels(
      scope.selector,
      facts.namespaceLabels,
      facts.areNamespaceLabelsComplete,
      where,
      'namespaces with ',
    );
  }
  const match = matchScope(scope, facts);
  switch (match) {
    case 'yes':
      return HIT;
    case 'no':
      return {
        match,
        why: () => `admits pods of namespace ${scope.namespace}; ${who} is in ${facts.namespace}`,
        nearness: 0,
      };
    default:
      return { match, why: () => `admits namespace ${scope.namespace}; the record names none`, nearness: 0.5 };
  }
}

function fareLabels(selector: Selector, labels: Labels, areComplete: boolean, who: string, prefix: string): LabelFare {
  const match = matchLabels(selector, labels, areComplete);
  if (match === 'yes') return HIT;
  const missed = selector.filter((requirement) => matchRequirement(requirement, labels, areComplete) === match);
  const say = (requirement: Requirement): string => {
    const text = `admits ${prefix}${formatRequirement(requirement)}`;
    const { key } = requirement;
    if (match === 'unknown') return `${text}; the record does not show ${key}`;
    return `${text}; ${who} ${labels.has(key) ? `is ${key}=${labels.get(key)}` : `has no label ${key}`}`;
  };
  const nearness = match === 'unknown' ? 0.5 : (selector.length - missed.length) / selector.length;
  return { match, nearness, why: () => missed.map(say).join('; ') };
}

function miss(why: () => string, nearness: number): Fare {
  return { match: 'no', missing: 0, nearness, why };
}

function unknown(why: () => string, missing: number): Fare {
  return { match: 'unknown', missing, nearness: 0.5, why };
}
