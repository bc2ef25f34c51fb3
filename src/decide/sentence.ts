/**
 * One rule against one flow, in words: what `match.ts` found, with a sentence for every peer and port that does not match, the
 * facts that are missing, and how near a miss came. Made for what is printed alone: sentences cost a hundred times the answer.
 */
import type { Dialect } from '../model/dialect.ts';
import type { PeerExplanation, PortExplanation, RuleExplanation, Ternary } from '../model/explanation.ts';
import { formatRequirement, type Labels, type Selector } from '../model/label.ts';
import type { NamespaceScope, Peer, PodSet, Rule } from '../model/policy.ts';
import { formatPortMatch, formatProtocol, PORT_PROTOCOLS, type PortMatch } from '../model/port.ts';
import { MissingFact } from '../model/verdict.ts';
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

/** A match with the facts that it wants, and how near a miss came (0..1). */
export interface Match<T> {
  readonly explanation: T;
  readonly missing: number;
  readonly nearness: number;
}

/** Which end of the flow the peer is, for sentences. */
export type PeerRole = 'source' | 'destination';

/** `matchRule` with everything that can be said about it. */
export function explainRule(
  rule: Rule,
  peer: Facts,
  role: PeerRole,
  destination: Facts,
  flow: FlowPort,
  dialect: Dialect,
): Match<RuleExplanation> & { readonly why: string } {
  const peers =
    rule.peers?.map((item, index) => explainPeer(item, peer, role, dialect, rule.peerPositions?.[index])) ?? [];
  const ports =
    rule.ports?.map((item, index) => explainPort(item, destination, flow, rule.portPositions?.[index])) ?? [];
  const peersMatch = rule.peers === undefined ? 'yes' : any(peers);
  const portsMatch = rule.ports === undefined ? matchNoPorts(flow, dialect) : any(ports);
  const match = both(peersMatch, portsMatch);
  let missing = 0;
  if (match === 'unknown') {
    if (peersMatch === 'unknown') for (const item of peers) missing |= item.missing;
    if (portsMatch === 'unknown') for (const item of ports) missing |= item.missing;
  }
  const nearestPeer = nearest(peers);
  const nearestPort = nearest(ports);
  // What matches is the nearest of its half, and has no sentence.
  const reasons = [nearestPeer?.explanation.why, nearestPort?.explanation.why];
  return {
    why: reasons.filter((why) => why !== undefined && why !== '').join('; '),
    explanation: {
      rule,
      action: rule.action,
      match,
      peersMatch,
      portsMatch,
      peers: peers.map(({ explanation }) => explanation),
      ports: ports.map(({ explanation }) => explanation),
    },
    missing,
    nearness:
      (peersMatch === 'yes' ? 2 : (nearestPeer?.nearness ?? 0)) +
      (portsMatch === 'yes' ? 2 : (nearestPort?.nearness ?? 0)),
  };
}

/** How one item fared, before its position is added. */
type Fare = Match<{ match: Ternary; why: string }>;

const HIT: Fare = { explanation: { match: 'yes', why: '' }, missing: 0, nearness: 1 };

function explainPeer(
  peer: Peer,
  facts: Facts,
  role: PeerRole,
  dialect: Dialect,
  position: PeerExplanation['position'],
): Match<PeerExplanation> {
  const fare = farePeer(peer, facts, role, dialect);
  return { ...fare, explanation: { peer, ...(position !== undefined && { position }), ...fare.explanation } };
}

function farePeer(peer: Peer, facts: Facts, role: PeerRole, dialect: Dialect): Fare {
  switch (peer.kind) {
    case 'pods':
      return farePodSet(peer, facts, role);
    case 'ipBlock':
      return fareBlock(peer, facts, role, dialect);
    case 'nodes': {
      if (matchPeer(peer, facts, dialect) === 'unknown')
        return unknown(`admits nodes; the address of the ${role} is not known`, MissingFact.NoAddress);
      if (facts.nodeLabels === undefined) return miss(`admits nodes; the ${role} is none of them`, 0);
      const { match, why, nearness } = fareLabels(peer.selector, facts.nodeLabels, true, `the ${role}`, '');
      return { explanation: { match, why }, missing: 0, nearness };
    }
    case 'domains':
      return unknown(
        `whether ${facts.address ?? 'it'} is ${peer.names.join(' or ')} is not recorded`,
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
    return miss(`admits pods; ${who}${facts.address === undefined ? '' : ` ${facts.address}`} is ${what}`, 0);
  }
  if (facts.kind === 'unknown-pod')
    return unknown(`${who} ${facts.address} is a pod that the input does not hold`, MissingFact.UnknownPod);
  const namespace = fareScope(set.namespaces, facts, who);
  const pods = fareLabels(set.pods, facts.labels, facts.areLabelsComplete, who, '');
  const why = [namespace, pods].filter((part) => part.match === match).map((part) => part.why);
  return {
    explanation: { match, why: why.join('; ') },
    missing: match === 'unknown' ? MissingFact.UnknownLabel : 0,
    nearness: (namespace.nearness + pods.nearness) / 2.01,
  };
}

function fareBlock(peer: Extract<Peer, { kind: 'ipBlock' }>, facts: Facts, role: PeerRole, dialect: Dialect): Fare {
  const finding = findBlock(peer, facts, dialect);
  const { cidr } = peer;
  switch (finding) {
    case 'in':
      return HIT;
    case 'pods exempt':
      return miss(`admits ${cidr}; the ${role} is a pod, which blocks do not match`, 0);
    case 'nodes exempt':
      return miss(`admits ${cidr}; the ${role} is a node, which blocks do not match`, 0);
    case 'no address':
      return unknown(`admits ${cidr}; the address of the ${role} is not known`, MissingFact.NoAddress);
    case 'elsewhere':
      return miss(`admits ${cidr}; the ${role} is ${facts.address}`, 0.1);
    default:
      return miss(`admits ${cidr} except ${finding.hole}; the ${role} is ${facts.address}`, 0.9);
  }
}

function explainPort(
  port: PortMatch,
  destination: Facts,
  flow: FlowPort,
  position: PortExplanation['position'],
): Match<PortExplanation> {
  const fare = farePort(port, destination, flow);
  return { ...fare, explanation: { port, ...(position !== undefined && { position }), ...fare.explanation } };
}

function farePort(port: PortMatch, destination: Facts, flow: FlowPort): Fare {
  const finding = findPort(port, destination, flow);
  const wanted = formatPortMatch(port);
  const found = flow.port < 0 ? formatProtocol(flow.protocol) : `${formatProtocol(flow.protocol)}/${flow.port}`;
  switch (finding) {
    case 'admitted':
      return HIT;
    case 'protocol without ports':
      return miss(`admits ${wanted}; the flow is ${found}`, 0);
    case 'protocol unknown':
      return unknown(`admits ${wanted}; the record does not say which protocol`, MissingFact.NoProtocol);
    case 'no such name': {
      const isProtocol = port.protocol === undefined || PORT_PROTOCOLS[port.protocol] === flow.protocol;
      return miss(`admits ${wanted}; the destination has no container port of that name`, isProtocol ? 0.4 : 0.1);
    }
    case 'other protocol':
      return miss(`admits ${wanted}; the flow is ${found}`, 0.2);
    case 'names unknown':
      return unknown(
        `admits ${wanted}; the container ports of the destination are not known`,
        MissingFact.UnresolvedNamedPort | (flow.port < 0 ? MissingFact.NoPort : 0),
      );
    case 'port unknown':
      return unknown(`admits ${wanted}; the record carries no port`, MissingFact.NoPort);
    case 'other port': {
      const own =
        port.kind === 'named'
          ? portsNamed(port, destination)!.filter(({ protocol }) => PORT_PROTOCOLS[protocol] === flow.protocol)
          : [];
      const resolved = own.length > 0 ? `${wanted} (${own.map((item) => item.port).join(', ')} there)` : wanted;
      return miss(`admits ${resolved}; the flow is ${found}`, 0.5);
    }
  }
}

interface LabelFare {
  readonly match: Ternary;
  readonly why: string;
  readonly nearness: number;
}

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
      return { match, why: '', nearness: 1 };
    case 'no':
      return {
        match,
        why: `admits pods of namespace ${scope.namespace}; ${who} is in ${facts.namespace}`,
        nearness: 0,
      };
    default:
      return { match, why: `admits namespace ${scope.namespace}; the record names none`, nearness: 0.5 };
  }
}

function fareLabels(selector: Selector, labels: Labels, areComplete: boolean, who: string, prefix: string): LabelFare {
  const match = matchLabels(selector, labels, areComplete);
  if (match === 'yes') return { match, why: '', nearness: 1 };
  const missed = selector.filter((requirement) => matchRequirement(requirement, labels, areComplete) === match);
  const why = missed.map((requirement) => {
    const text = `admits ${prefix}${formatRequirement(requirement)}`;
    const { key } = requirement;
    if (match === 'unknown') return `${text}; the record does not show ${key}`;
    return `${text}; ${who} ${labels.has(key) ? `is ${key}=${labels.get(key)}` : `has no label ${key}`}`;
  });
  const nearness = match === 'unknown' ? 0.5 : (selector.length - missed.length) / selector.length;
  return { match, why: why.join('; '), nearness };
}

function miss(why: string, nearness: number): Fare {
  return { explanation: { match: 'no', why }, missing: 0, nearness };
}

function unknown(why: string, missing: number): Fare {
  return { explanation: { match: 'unknown', why }, missing, nearness: 0.5 };
}

function any(items: readonly Match<{ readonly match: Ternary }>[]): Ternary {
  return items.reduce<Ternary>((found, { explanation }) => either(found, explanation.match), 'no');
}

/** The first of the items that came nearest. */
function nearest<T>(items: readonly Match<T>[]): Match<T> | undefined {
  return items.reduce<Match<T> | undefined>(
    (best, item) => (best === undefined || item.nearness > best.nearness ? item : best),
    undefined,
  );
}
