/**
 * The naive evaluator as explaining evaluators go about it: nothing is left out because the answer is known already. Every policy is asked
 * by its labels, all rules and peers of those that select the pod are walked, and ingress is asked where egress denies, too: one who
 * wants to say which rules allow a flow has to. With no goal; it says what order and early ends are worth to naive.ts.
 */
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import type { Direction, Peer, PodSet, Policy, Rule } from '../../src/model/policy.ts';
import { indexWorld, isInBlock, isPort, matches, type NaiveEvaluator } from './naive.ts';

/** Reads the world once; the evaluator then works on its objects. */
export function createEveryRule(snapshot: Snapshot, policies: readonly Policy[]): NaiveEvaluator {
  const { namespaces, pods } = indexWorld(snapshot);

  const isIn = ({ namespaces: scope, pods: selector }: PodSet, pod: Pod): boolean => {
    const hasLabels = matches(selector, pod.labels);
    const isInScope =
      scope.kind === 'named'
        ? scope.namespace === pod.namespace
        : matches(scope.selector, namespaces.get(pod.namespace) ?? new Map());
    return hasLabels && isInScope;
  };
  const isPeer = (peer: Peer, pod: Pod | undefined, address: number): boolean =>
    peer.kind === 'ipBlock'
      ? isInBlock(peer.cidr, address) && !peer.except.some((hole) => isInBlock(hole, address))
      : peer.kind === 'pods' && pod !== undefined && isIn(peer, pod);

  return (source, destination, protocol, port) => {
    const target = pods.get(destination);
    const allows = ({ peers, ports }: Rule, other: number): boolean => {
      const pod = pods.get(other);
      let hasPeer = peers === undefined;
      for (const peer of peers ?? []) if (isPeer(peer, pod, other)) hasPeer = true;
      let hasPort = ports === undefined;
      for (const match of ports ?? []) if (isPort(match, target, protocol, port)) hasPort = true;
      return hasPeer && hasPort;
    };
    const agrees = (direction: Direction, subject: Pod | undefined, other: number): boolean => {
      if (subject === undefined) return true;
      let isIsolated = false;
      let isAllowed = false;
      for (const policy of policies) {
        if (!policy.isolates.includes(direction) || !isIn(policy.subject, subject)) continue;
        isIsolated = true;
        for (const rule of policy[direction]) if (allows(rule, other)) isAllowed = true;
      }
      return isAllowed || !isIsolated;
    };
    const egress = agrees('egress', pods.get(source), destination);
    const ingress = agrees('ingress', target, source);
    return source === destination || (egress && ingress);
  };
}
