/**
 * One rule against one flow, three-valued and without a word: what explain puts into sentences (`sentence.ts`), and what hits are
 * counted by. The slow twin of what compile puts into columns and port classes.
 */
import type { Cidr } from '../model/cidr.ts';
import type { Dialect } from '../model/dialect.ts';
import type { Ternary } from '../model/explanation.ts';
import { type Labels, meets, type Requirement, type Selector } from '../model/label.ts';
import type { NamespaceScope, Peer, PodSet, Rule } from '../model/policy.ts';
import { isPortProtocol, PORT_PROTOCOLS, type PortMatch, Protocol } from '../model/port.ts';
import { bitsOfAddress, bitsOfBlock, type BlockPeer, isIn, peersToAsk } from './block.ts';
import type { Facts } from './fact.ts';

/** What a flow asks for at its destination; `port` -1: not known. */
export interface FlowPort {
  readonly protocol: number;
  readonly port: number;
  readonly icmp: number;
}

/** An address against an ipBlock: `in` it, in one of its exceptions, or what keeps it from being asked. */
export type BlockFinding = 'in' | 'pods exempt' | 'nodes exempt' | 'no address' | 'elsewhere' | { readonly hole: Cidr };

/** A flow against one `ports[]` item: `admitted`, or what does not fit or is not known. */
export type PortFinding =
  | 'admitted'
  | 'protocol without ports'
  | 'protocol unknown'
  | 'no such name'
  | 'other protocol'
  | 'names unknown'
  | 'port unknown'
  | 'other port';

/** Whoever has container ports, or, where those are not known, may have any. */
export type PortHolder = Pick<Facts, 'ports'>;

/** NP-08, NP-09, NP-10: peers OR, ports OR, both AND; a missing half matches. */
export function matchRule(rule: Rule, peer: Facts, destination: Facts, flow: FlowPort, dialect: Dialect): Ternary {
  const ports = matchPorts(rule, destination, flow, dialect);
  return ports === 'no' ? 'no' : both(matchPeers(rule, peer, dialect), ports);
}

/** The half of a rule that speaks of peers. */
export function matchPeers({ peers }: Rule, peer: Facts, dialect: Dialect): Ternary {
  if (peers === undefined) return 'yes';
  const asked = peersToAsk(peers, peer.address);
  let match: Ternary = 'no';
  for (let at = 0; at < asked.length && match !== 'yes'; at++)
    match = either(match, matchPeer(asked[at]!, peer, dialect));
  return match;
}

/** The half of a rule that speaks of ports. */
export function matchPorts({ ports }: Rule, destination: PortHolder, flow: FlowPort, dialect: Dialect): Ternary {
  if (ports === undefined) return matchNoPorts(flow, dialect);
  let match: Ternary = 'no';
  for (let at = 0; at < ports.length && match !== 'yes'; at++)
    match = either(match, matchOfPort(findPort(ports[at]!, destination, flow)));
  return match;
}

/** Does a peer of a rule hold an endpoint? */
export function matchPeer(peer: Peer, facts: Facts, dialect: Dialect): Ternary {
  switch (peer.kind) {
    case 'pods':
      return matchPodSet(peer, facts);
    case 'ipBlock':
      return matchOfBlock(findBlock(peer, facts, dialect));
    case 'nodes':
      if (facts.kind === 'node' && facts.address === undefined) return 'unknown';
      if (facts.nodeLabels === undefined) return 'no';
      return matchLabels(peer.selector, facts.nodeLabels, true);
    case 'domains':
      return 'unknown';
  }
}

/** NP-11, NP-12, NP-13: does a pod set hold an endpoint? */
export function matchPodSet(set: PodSet, facts: Facts): Ternary {
  if (facts.kind === 'outside' || facts.kind === 'node') return 'no';
  if (facts.kind === 'unknown-pod') return 'unknown';
  const namespace = matchScope(set.namespaces, facts);
  return namespace === 'no' ? 'no' : both(namespace, matchLabels(set.pods, facts.labels, facts.areLabelsComplete));
}

/** The namespace of an endpoint against those that a selector looks into. */
export function matchScope(scope: NamespaceScope, facts: Facts): Ternary {
  if (scope.kind === 'selected')
    return matchLabels(scope.selector, facts.namespaceLabels, facts.areNamespaceLabelsComplete);
  if (facts.namespace === undefined) return 'unknown';
  return facts.namespace === scope.namespace ? 'yes' : 'no';
}

/** NP-14 to NP-18: all requirements; a missing key is unknown where the labels may be incomplete. */
export function matchLabels(selector: Selector, labels: Labels, areComplete: boolean): Ternary {
  let match: Ternary = 'yes';
  for (const requirement of selector) {
    const own = matchRequirement(requirement, labels, areComplete);
    if (own === 'no') return 'no';
    if (own === 'unknown') match = 'unknown';
  }
  return match;
}

/** One requirement of a selector. */
export function matchRequirement(
  { key, operator, values }: Requirement,
  labels: Labels,
  areComplete: boolean,
): Ternary {
  const value = labels.get(key);
  if (value === undefined && !areComplete) return 'unknown';
  return meets(operator, values, value) ? 'yes' : 'no';
}

/** NP-20, NP-22: in the block and in none of its exceptions; families never match each other. */
export function findBlock(peer: BlockPeer, facts: Facts, dialect: Dialect): BlockFinding {
  const isPod = facts.kind === 'pod' || facts.kind === 'described' || facts.kind === 'unknown-pod';
  if (isPod && !dialect.ipBlockMatchesPods) return 'pods exempt';
  if (facts.kind === 'node' && !dialect.ipBlockMatchesNodes) return 'nodes exempt';
  if (facts.address === undefined) return 'no address';
  const { block, holes } = bitsOfBlock(peer);
  const address = bitsOfAddress(facts.address);
  if (!isIn(address, block)) return 'elsewhere';
  const hole = holes.findIndex((own) => isIn(address, own));
  return hole < 0 ? 'in' : { hole: peer.except[hole]! };
}

/** What a finding about a block means. */
export function matchOfBlock(finding: BlockFinding): Ternary {
  return finding === 'in' ? 'yes' : finding === 'no address' ? 'unknown' : 'no';
}

/** DI-07: what a rule without `ports` says to protocols that have none. */
export function matchNoPorts(flow: FlowPort, dialect: Dialect): Ternary {
  return dialect.icmp !== 'never' || isPortProtocol(flow.protocol) || flow.protocol === Protocol.Unknown ? 'yes' : 'no';
}

/** NP-24 to NP-27: protocol, and a number, a range or a name on the destination. */
export function findPort(port: PortMatch, destination: PortHolder, flow: FlowPort): PortFinding {
  if (!isPortProtocol(flow.protocol) && flow.protocol !== Protocol.Unknown) return 'protocol without ports';
  if (flow.protocol === Protocol.Unknown) return 'protocol unknown';
  const isOther = port.protocol !== undefined && PORT_PROTOCOLS[port.protocol] !== flow.protocol;
  if (port.kind === 'named') {
    const named = portsNamed(port, destination);
    if (named?.length === 0) return 'no such name';
    if (isOther) return 'other protocol';
    if (named === undefined) return 'names unknown'; // EP-07
    const own = named.filter(({ protocol }) => PORT_PROTOCOLS[protocol] === flow.protocol);
    if (own.length === 0) return 'other protocol';
    if (flow.port < 0) return 'port unknown';
    return own.some((item) => item.port === flow.port) ? 'admitted' : 'other port';
  }
  if (isOther) return 'other protocol';
  const [first, last] = port.kind === 'any' ? [0, 65_535] : [port.first, port.last];
  if (flow.port < 0) return first <= 1 && last === 65_535 ? 'admitted' : 'port unknown';
  return first <= flow.port && flow.port <= last ? 'admitted' : 'other port';
}

/** What a finding about a port means. */
export function matchOfPort(finding: PortFinding): Ternary {
  switch (finding) {
    case 'admitted':
      return 'yes';
    case 'protocol unknown':
    case 'names unknown':
    case 'port unknown':
      return 'unknown';
    default:
      return 'no';
  }
}

/** The container ports that a name means at a destination; undefined: not known. */
export function portsNamed(
  port: Extract<PortMatch, { kind: 'named' }>,
  { ports }: PortHolder,
): NonNullable<Facts['ports']> | undefined {
  return ports?.filter(
    ({ name, protocol }) => name === port.name && (port.protocol === undefined || port.protocol === protocol),
  );
}

/** Kleene's OR. */
export function either(a: Ternary, b: Ternary): Ternary {
  return a === 'yes' || b === 'yes' ? 'yes' : a === 'no' && b === 'no' ? 'no' : 'unknown';
}

/** Kleene's AND. */
export function both(a: Ternary, b: Ternary): Ternary {
  return a === 'no' || b === 'no' ? 'no' : a === 'yes' && b === 'yes' ? 'yes' : 'unknown';
}
