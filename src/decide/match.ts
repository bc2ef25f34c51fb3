/**
 * One rule against one flow, in words: three-valued, with a sentence for every peer and port that does not match. The slow
 * twin of what compile puts into columns and port classes.
 */
import type { AddressText } from '../model/address.ts';
import { parseAddress } from '../model/address.ts';
import { type Cidr, maskWords, parseCidr } from '../model/cidr.ts';
import type { Dialect } from '../model/dialect.ts';
import type { PeerExplanation, PortExplanation, RuleExplanation, Ternary } from '../model/explanation.ts';
import { formatRequirement, type Labels, type Requirement, type Selector } from '../model/label.ts';
import type { NamespaceScope, Peer, PodSet, Rule } from '../model/policy.ts';
import { formatPortMatch, formatProtocol, PORT_PROTOCOLS, type PortMatch, Protocol } from '../model/port.ts';
import { MissingFact } from '../model/verdict.ts';
import type { Facts } from './fact.ts';

/** What a flow asks for at its destination; `port` -1: not known. */
export interface FlowPort {
  readonly protocol: number;
  readonly port: number;
  readonly icmp: number;
}

/** A match with the facts that it wants, and how near a miss came (0..1). */
export interface Match<T> {
  readonly explanation: T;
  readonly missing: number;
  readonly nearness: number;
}

/** Which end of the flow the peer is, for sentences. */
export type PeerRole = 'source' | 'destination';

/** NP-08, NP-09, NP-10: peers OR, ports OR, both AND; a missing half matches. */
export function matchRule(
  rule: Rule,
  peer: Facts,
  role: PeerRole,
  destination: Facts,
  flow: FlowPort,
  dialect: Dialect,
): Match<RuleExplanation> & { readonly why: string } {
  const peers =
    rule.peers?.map((item, index) => matchPeer(item, peer, role, dialect, rule.peerPositions?.[index])) ?? [];
  const ports = rule.ports?.map((item, index) => matchPort(item, destination, flow, rule.portPositions?.[index])) ?? [];
  const peersMatch = rule.peers === undefined ? 'yes' : any(peers.map(({ explanation }) => explanation.match));
  const portsMatch =
    rule.ports === undefined ? matchNoPorts(flow, dialect) : any(ports.map(({ explanation }) => explanation.match));
  const match = both(peersMatch, portsMatch);
  let missing = 0;
  if (match === 'unknown') {
    if (peersMatch === 'unknown') for (const item of peers) missing |= item.missing;
    if (portsMatch === 'unknown') for (const item of ports) missing |= item.missing;
  }
  const nearestPeer = nearest(peers);
  const nearestPort = nearest(ports);
  const reasons = [
    peersMatch === 'yes' ? '' : (nearestPeer?.explanation.why ?? ''),
    portsMatch === 'yes' ? '' : (nearestPort?.explanation.why ?? ''),
  ];
  return {
    why: reasons.filter((why) => why !== '').join('; '),
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

/** NP-11, NP-12, NP-13: does a pod set hold an endpoint? The sentence says why not. */
export function matchPodSet(
  set: PodSet,
  facts: Facts,
  role: PeerRole | 'subject',
): Match<{ match: Ternary; why: string }> {
  const who = role === 'subject' ? 'the pod' : `the ${role}`;
  if (facts.kind === 'outside' || facts.kind === 'node') {
    const what = facts.kind === 'node' ? 'a node' : 'outside the cluster';
    return miss(`admits pods; ${who}${facts.address === undefined ? '' : ` ${facts.address}`} is ${what}`, 0);
  }
  if (facts.kind === 'unknown-pod')
    return {
      explanation: { match: 'unknown', why: `${who} ${facts.address} is a pod that the input does not hold` },
      missing: MissingFact.UnknownPod,
      nearness: 0.5,
    };
  const namespace = matchScope(set.namespaces, facts, who);
  const pods = matchLabels(set.pods, facts.labels, facts.areLabelsComplete, who, '');
  const match = both(namespace.match, pods.match);
  if (match === 'yes') return { explanation: { match, why: '' }, missing: 0, nearness: 1 };
  const why =
    match === 'no'
      ? [namespace, pods].filter((part) => part.match === 'no')
      : [namespace, pods].filter((part) => part.match === 'unknown');
  return {
    explanation: { match, why: why.map((part) => part.why).join('; ') },
    missing: match === 'unknown' ? MissingFact.UnknownLabel : 0,
    nearness: (namespace.nearness + pods.nearness) / 2.01,
  };
}

/** Is an address in a block? Both canonical. */
export function isInBlock(address: AddressText, cidr: Cidr): boolean {
  const words = new Uint32Array(4);
  const family = parseAddress(address, words);
  const block = parseCidr(cidr);
  if (block === undefined || block.family !== family) return false;
  maskWords(words, block.length);
  return words.every((word, index) => word === block.first[index]);
}

function matchPeer(
  peer: Peer,
  facts: Facts,
  role: PeerRole,
  dialect: Dialect,
  position: PeerExplanation['position'],
): Match<PeerExplanation> {
  const result = matchPeerOnly(peer, facts, role, dialect);
  return { ...result, explanation: { peer, ...(position !== undefined && { position }), ...result.explanation } };
}

function matchPeerOnly(
  peer: Peer,
  facts: Facts,
  role: PeerRole,
  dialect: Dialect,
): Match<{ match: Ternary; why: string }> {
  switch (peer.kind) {
    case 'pods':
      return matchPodSet(peer, facts, role);
    case 'ipBlock':
      return matchBlock(peer, facts, role, dialect);
    case 'nodes': {
      if (facts.kind === 'node' && facts.address === undefined)
        return {
          explanation: { match: 'unknown', why: `admits nodes; the address of the ${role} is not known` },
          missing: MissingFact.NoAddress,
          nearness: 0.5,
        };
      if (facts.kind !== 'node' || facts.nodeLabels === undefined)
        return miss(`admits nodes; the ${role} is none of them`, 0);
      const { match, why, nearness } = matchLabels(peer.selector, facts.nodeLabels, true, `the ${role}`, '');
      return { explanation: { match, why }, missing: 0, nearness };
    }
    case 'domains':
      return {
        explanation: {
          match: 'unknown',
          why: `whether ${facts.address ?? 'it'} is ${peer.names.join(' or ')} is not recorded`,
        },
        missing: MissingFact.DomainName,
        nearness: 0.5,
      };
  }
}

/** NP-20, NP-22: in the block and in none of its exceptions; families never match each other. */
function matchBlock(
  peer: Extract<Peer, { kind: 'ipBlock' }>,
  facts: Facts,
  role: PeerRole,
  dialect: Dialect,
): Match<{ match: Ternary; why: string }> {
  const isPod = facts.kind === 'pod' || facts.kind === 'described' || facts.kind === 'unknown-pod';
  if (isPod && !dialect.ipBlockMatchesPods)
    return miss(`admits ${peer.cidr}; the ${role} is a pod, which blocks do not match`, 0);
  if (facts.kind === 'node' && !dialect.ipBlockMatchesNodes)
    return miss(`admits ${peer.cidr}; the ${role} is a node, which blocks do not match`, 0);
  if (facts.address === undefined)
    return {
      explanation: { match: 'unknown', why: `admits ${peer.cidr}; the address of the ${role} is not known` },
      missing: MissingFact.NoAddress,
      nearness: 0.5,
    };
  const { address } = facts;
  if (!isInBlock(address, peer.cidr)) return miss(`admits ${peer.cidr}; the ${role} is ${address}`, 0.1);
  const hole = peer.except.find((cidr) => isInBlock(address, cidr));
  if (hole !== undefined) return miss(`admits ${peer.cidr} except ${hole}; the ${role} is ${address}`, 0.9);
  return { explanation: { match: 'yes', why: '' }, missing: 0, nearness: 1 };
}

/** DI-07: what a rule without `ports` says to protocols that have none. */
function matchNoPorts(flow: FlowPort, dialect: Dialect): Ternary {
  return dialect.icmp !== 'never' || hasPorts(flow.protocol) || flow.protocol === Protocol.Unknown ? 'yes' : 'no';
}

/** NP-24 to NP-27: protocol, and a number, a range or a name on the destination. */
function matchPort(
  port: PortMatch,
  destination: Facts,
  flow: FlowPort,
  position: PortExplanation['position'],
): Match<PortExplanation> {
  const result = matchPortOnly(port, destination, flow);
  return { ...result, explanation: { port, ...(position !== undefined && { position }), ...result.explanation } };
}

function matchPortOnly(port: PortMatch, destination: Facts, flow: FlowPort): Match<{ match: Ternary; why: string }> {
  const wanted = formatPortMatch(port);
  const found = flow.port < 0 ? formatProtocol(flow.protocol) : `${formatProtocol(flow.protocol)}/${flow.port}`;
  if (!hasPorts(flow.protocol) && flow.protocol !== Protocol.Unknown)
    return miss(`admits ${wanted}; the flow is ${found}`, 0);
  if (flow.protocol === Protocol.Unknown)
    return {
      explanation: { match: 'unknown', why: `admits ${wanted}; the record does not say which protocol` },
      missing: MissingFact.NoProtocol,
      nearness: 0.5,
    };
  const numbers = numbersOf(port, destination);
  if (numbers === 'none')
    return miss(
      `admits ${wanted}; the destination has no container port of that name`,
      port.protocol === undefined || PORT_PROTOCOLS[port.protocol] === flow.protocol ? 0.4 : 0.1,
    );
  if (port.protocol !== undefined && PORT_PROTOCOLS[port.protocol] !== flow.protocol)
    return miss(`admits ${wanted}; the flow is ${found}`, 0.2);
  if (numbers === 'unknown')
    return {
      explanation: { match: 'unknown', why: `admits ${wanted}; the container ports of the destination are not known` },
      missing: MissingFact.UnresolvedNamedPort | (flow.port < 0 ? MissingFact.NoPort : 0),
      nearness: 0.5,
    };
  const own = numbers.filter(({ protocol }) => protocol === flow.protocol);
  if (own.length === 0) return miss(`admits ${wanted}; the flow is ${found}`, 0.2);
  if (flow.port < 0) {
    if (own.some(({ first, last }) => first <= 1 && last === 65_535))
      return { explanation: { match: 'yes', why: '' }, missing: 0, nearness: 1 };
    return {
      explanation: { match: 'unknown', why: `admits ${wanted}; the record carries no port` },
      missing: MissingFact.NoPort,
      nearness: 0.5,
    };
  }
  if (own.some(({ first, last }) => first <= flow.port && flow.port <= last))
    return { explanation: { match: 'yes', why: '' }, missing: 0, nearness: 1 };
  const resolved = port.kind === 'named' ? `${wanted} (${own.map(({ first }) => first).join(', ')} there)` : wanted;
  return miss(`admits ${resolved}; the flow is ${found}`, 0.5);
}

interface NumberRange {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

function numbersOf(port: PortMatch, destination: Facts): readonly NumberRange[] | 'none' | 'unknown' {
  if (port.kind === 'any') return [{ protocol: PORT_PROTOCOLS[port.protocol], first: 0, last: 65_535 }];
  if (port.kind === 'range') return [{ protocol: PORT_PROTOCOLS[port.protocol], first: port.first, last: port.last }];
  if (destination.ports === undefined) return 'unknown'; // EP-07
  const named = destination.ports.filter(
    ({ name, protocol }) => name === port.name && (port.protocol === undefined || port.protocol === protocol),
  );
  if (named.length === 0) return 'none';
  return named.map((item) => ({ protocol: PORT_PROTOCOLS[item.protocol], first: item.port, last: item.port }));
}

function matchScope(
  scope: NamespaceScope,
  facts: Facts,
  who: string,
): { match: Ternary; why: string; nearness: number } {
  if (scope.kind === 'selected') {
    const where = facts.namespace === undefined ? 'its namespace' : `namespace ${facts.namespace}`;
    return matchLabels(
      scope.selector,
      facts.namespaceLabels,
      facts.areNamespaceLabelsComplete,
      where,
      'namespaces with ',
    );
  }
  if (facts.namespace === undefined)
    return { match: 'unknown', why: `admits namespace ${scope.namespace}; the record names none`, nearness: 0.5 };
  if (facts.namespace === scope.namespace) return { match: 'yes', why: '', nearness: 1 };
  return {
    match: 'no',
    why: `admits pods of namespace ${scope.namespace}; ${who} is in ${facts.namespace}`,
    nearness: 0,
  };
}

/** NP-14 to NP-18: all requirements; a missing key is unknown where the labels may be incomplete. */
function matchLabels(
  selector: Selector,
  labels: Labels,
  areComplete: boolean,
  who: string,
  prefix: string,
): { match: Ternary; why: string; nearness: number } {
  const failed: string[] = [];
  const open: string[] = [];
  for (const requirement of selector) {
    const value = labels.get(requirement.key);
    const text = formatRequirement(requirement);
    if (value === undefined && !areComplete)
      open.push(`admits ${prefix}${text}; the record does not show ${requirement.key}`);
    else if (!meetsRequirement(requirement, value))
      failed.push(
        `admits ${prefix}${text}; ${who} ${value === undefined ? `has no label ${requirement.key}` : `is ${requirement.key}=${value}`}`,
      );
  }
  const nearness = selector.length === 0 ? 1 : (selector.length - failed.length) / selector.length;
  if (failed.length > 0) return { match: 'no', why: failed.join('; '), nearness };
  if (open.length > 0) return { match: 'unknown', why: open.join('; '), nearness: 0.5 };
  return { match: 'yes', why: '', nearness: 1 };
}

function meetsRequirement({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function hasPorts(protocol: number): boolean {
  return protocol === Protocol.Tcp || protocol === Protocol.Udp || protocol === Protocol.Sctp;
}

function miss(why: string, nearness: number): Match<{ match: Ternary; why: string }> {
  return { explanation: { match: 'no', why }, missing: 0, nearness };
}

function any(matches: readonly Ternary[]): Ternary {
  return matches.includes('yes') ? 'yes' : matches.includes('unknown') ? 'unknown' : 'no';
}

function both(a: Ternary, b: Ternary): Ternary {
  return a === 'no' || b === 'no' ? 'no' : a === 'yes' && b === 'yes' ? 'yes' : 'unknown';
}

/** The first of the items that came nearest. */
function nearest<T>(items: readonly Match<T>[]): Match<T> | undefined {
  return items.reduce<Match<T> | undefined>(
    (best, item) => (best === undefined || item.nearness > best.nearness ? item : best),
    undefined,
  );
}
