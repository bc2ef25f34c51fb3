/**
 * Why a decision came out as it did, cut down to what a report shows: the side that decided, its policies, the rule that
 * matched or came nearest. Every output format reads causes from here, so that they agree.
 */
import type { Explanation, RuleReference, SideExplanation } from '../model/explanation.ts';
import type { Direction, Policy } from '../model/policy.ts';
import type { GroupDecision } from '../replay/result.ts';
import { type Reason, VERDICT_NAMES, Verdict, verdictOf } from '../model/verdict.ts';
import type { Names } from './name.ts';
import { labelsText, peerText, portMatchText, serviceText, shortEndpointText, translationText } from './phrase.ts';

/** One side of a decision. */
export interface SideCause {
  readonly direction: Direction;
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly missing: number;
  /** Policies that isolate the subject in this direction. */
  readonly isolating: readonly Policy[];
  readonly decidedBy?: RuleReference;
  readonly nearest?: RuleReference & { readonly why: string };
  /** Present where the decision was explained. */
  readonly side?: SideExplanation;
}

/** Both sides of a decision, egress first; without an explanation the reasons alone. */
export function sidesOf(decision: GroupDecision, names: Names): [SideCause, SideCause] {
  const { explanation } = decision;
  return [
    sideOf('egress', decision.egress, decision, explanation, names),
    sideOf('ingress', decision.ingress, decision, explanation, names),
  ];
}

/** The sides that made the verdict: the denied ones of a deny, the undecidable ones, or both of an allow. */
export function decidingSides(decision: GroupDecision, names: Names): SideCause[] {
  const sides = sidesOf(decision, names);
  const deciding = sides.filter((side) => side.verdict === decision.verdict);
  return deciding.length > 0 ? deciding : sides;
}

/** Where backends of a Service disagree and no side alone is undecidable: which backend gives which verdict. */
export function splitBackendsText(explanation: Explanation, names: Names): string | undefined {
  const { via, verdict, egress, ingress } = explanation;
  if (via === undefined || verdict !== Verdict.Undecidable) return undefined;
  if (egress.verdict === Verdict.Undecidable || ingress.verdict === Verdict.Undecidable) return undefined;
  const each = via.backends
    .slice(0, 4)
    .map((backend) => `${shortEndpointText(backend.destination, names)} ${VERDICT_NAMES[backend.verdict]}`);
  const rest = via.backends.length > 4 ? ', ...' : '';
  const count = (wanted: Verdict): number => via.backends.filter((backend) => backend.verdict === wanted).length;
  const split = `${count(Verdict.Allow)} would allow it, ${count(Verdict.Deny)} deny`;
  return `some of ${via.backends.length} backends of ${translationText(via, names)} (${split}): ${each.join(', ')}${rest}`;
}

/** The cause of one explained side. */
export function causeOfSide(side: SideExplanation, explanation: Explanation, names: Names): SideCause {
  return {
    direction: side.direction,
    verdict: side.verdict,
    reason: side.reason,
    missing: side.missing,
    isolating: side.policies
      .filter(({ policy, selectsSubject }) => selectsSubject !== 'no' && policy.isolates.includes(side.direction))
      .map(({ policy }) => policy),
    decidedBy: side.decidedBy,
    nearest: side.nearest && { ...side.nearest, why: nearestText(side, explanation, names) },
    side,
  };
}

function sideOf(
  direction: Direction,
  reason: Reason,
  decision: GroupDecision,
  explanation: Explanation | undefined,
  names: Names,
): SideCause {
  if (explanation !== undefined && explanation[direction].reason === reason)
    return causeOfSide(explanation[direction], explanation, names);
  const verdict = verdictOf(reason);
  return { direction, verdict, reason, missing: verdict === Verdict.Undecidable ? decision.missing : 0, isolating: [] };
}

/** The sentence of the nearest miss. Redacted, it is built anew from the rule's parts. */
function nearestText(side: SideExplanation, explanation: Explanation, names: Names): string {
  const nearest = side.nearest!;
  if (names.mode === 'plain') return names.sentence(nearest.why);
  const role = side.direction === 'ingress' ? 'source' : 'destination';
  const parts: string[] = [];
  if (nearest.peersMatch !== 'yes') {
    const admitted = (nearest.rule.peers ?? []).map((peer) => peerText(peer, names)).join(' or ');
    const labels = side.peer.labels === undefined ? '' : ` with ${labelsText(side.peer.labels, names)}`;
    parts.push(`admits ${admitted}; the ${role} is ${shortEndpointText(side.peer, names)}${labels}`);
  }
  if (nearest.portsMatch !== 'yes') {
    const admitted = (nearest.rule.ports ?? []).map((port) => portMatchText(port, names)).join(', ');
    parts.push(`admits ${admitted}; this is ${serviceText(explanation.protocol, explanation.port, explanation.icmp)}`);
  }
  return parts.join('; ');
}
