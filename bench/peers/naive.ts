/**
 * The evaluator that one writes first, as the alternative that bench/main.ts and bench/limit name: pods in a Map by address, and then, for every flow,
 * every policy, rule and peer in turn, labels compared as strings and CIDRs read from their text. It covers what the flows of the
 * benchmark ask (IPv4, pods and outside addresses, NetworkPolicy); on those its verdicts must be those of the engine.
 */
import { parseAddress } from '../../src/model/address.ts';
import { parseCidr } from '../../src/model/cidr.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import type { Labels, Selector } from '../../src/model/label.ts';
import type { Direction, Peer, PodSet, Policy, Rule } from '../../src/model/policy.ts';
import { PORT_PROTOCOLS, type PortMatch } from '../../src/model/port.ts';

/** True where the flow is allowed; addresses as unsigned 32-bit numbers, `protocol` an IANA number. */
export type NaiveEvaluator = (source: number, destination: number, protocol: number, port: number) => boolean;

/** Reads the world once; the evaluator then works on its objects. */
export function createNaive(snapshot: Snapshot, policies: readonly Policy[]): NaiveEvaluator {
  const { namespaces, pods } = indexWorld(snapshot);

  const isIn = ({ namespaces: scope, pods: selector }: PodSet, pod: Pod): boolean =>
    (scope.kind === 'named'
      ? scope.namespace === pod.namespace
      : matches(scope.selector, namespaces.get(pod.namespace) ?? new Map())) && matches(selector, pod.labels);
  const isPeer = (peer: Peer, pod: Pod | undefined, address: number): boolean =>
    peer.kind === 'ipBlock'
      ? isInBlock(peer.cidr, address) && !peer.except.some((hole) => isInBlock(hole, address))
      : peer.kind === 'pods' && pod !== undefined && isIn(peer, pod);

  const agrees = (
    direction: Direction,
    subject: Pod | undefined,
    other: number,
    accepts: (rule: Rule) => boolean,
  ): boolean => {
    if (subject === undefined) return true;
    let isIsolated = false;
    for (const policy of policies) {
      if (!policy.isolates.includes(direction) || !isIn(policy.subject, subject)) continue;
      isIsolated = true;
      for (const rule of policy[direction])
        if (accepts(rule) && (rule.peers?.some((peer) => isPeer(peer, pods.get(other), other)) ?? true)) return true;
    }
    return !isIsolated;
  };

  return (source, destination, protocol, port) => {
    const accepts = ({ ports }: Rule): boolean =>
      ports?.some((match) => isPort(match, pods.get(destination), protocol, port)) ?? true;
    return (
      source === destination ||
      (agrees('egress', pods.get(source), destination, accepts) &&
        agrees('ingress', pods.get(destination), source, accepts))
    );
  };
}

/** The labels of namespaces by name, and pods by their IPv4 addresses. */
export function indexWorld(snapshot: Snapshot): {
  readonly namespaces: ReadonlyMap<string, Labels>;
  readonly pods: ReadonlyMap<number, Pod>;
} {
  const words = new Uint32Array(4);
  const pods = new Map<number, Pod>();
  for (const pod of snapshot.pods)
    for (const address of pod.addresses) if (parseAddress(address, words) === 4) pods.set(words[0]!, pod);
  return { namespaces: new Map(snapshot.namespaces.map(({ name, labels }) => [name, labels])), pods };
}

/** All requirements of a selector against labels that are known. */
export function matches(selector: Selector, labels: Labels): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = labels.get(key);
    if (operator === 'Exists') return value !== undefined;
    if (operator === 'DoesNotExist') return value === undefined;
    return (value !== undefined && values.includes(value)) === (operator === 'In');
  });
}

/** Is an IPv4 address in a block, read from its text? */
export function isInBlock(cidr: string, address: number): boolean {
  const { family, first, length } = parseCidr(cidr)!;
  return family === 4 && (length === 0 || (address ^ first[0]!) >>> (32 - length) === 0);
}

/** Does an item of `ports` admit a destination port? */
export function isPort(match: PortMatch, destination: Pod | undefined, protocol: number, port: number): boolean {
  if (match.protocol !== undefined && PORT_PROTOCOLS[match.protocol] !== protocol) return false;
  if (match.kind === 'any') return true;
  if (match.kind === 'range') return match.first <= port && port <= match.last;
  return (
    destination?.ports.some(
      (item) => item.name === match.name && item.port === port && PORT_PROTOCOLS[item.protocol] === protocol,
    ) ?? false
  );
}
