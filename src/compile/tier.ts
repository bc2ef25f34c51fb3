/**
 * The order of the tiers over rules that are already matched: what vectors are made of, and what explain walks through.
 *
 * Kleene's logic is kept as the set of results that are still possible: a certain match closes the set, an uncertain one
 * adds to it and goes on. One possible verdict is a decision; two are undecidable.
 */
import type { Action } from '../model/policy.ts';
import { MissingFact, Reason, verdictOf } from '../model/verdict.ts';

/** A tier rule that matches: for certain (`missing` 0), or perhaps, for want of these facts. */
export interface TierMatch {
  readonly priority: number;
  /** Ordinal of the policy. */
  readonly policy: number;
  readonly action: Action;
  readonly missing: number;
}

/** What is still possible after a stage. */
export interface StageResult {
  readonly reasons: readonly Reason[];
  readonly missing: number;
  /** The evaluation may go on to the next stage. */
  readonly isOpen: boolean;
}

/** One side's answer. */
export interface SideResult {
  readonly reason: Reason;
  /** 0 unless the reason is Undecidable. */
  readonly missing: number;
}

/** TI-01: admin tier, NetworkPolicy, baseline tier, then allow. */
export function evaluateSide(
  admin: readonly TierMatch[],
  networkPolicy: StageResult,
  baseline: readonly TierMatch[],
): SideResult {
  const stages = [
    (): StageResult => evaluateTier(admin),
    (): StageResult => networkPolicy,
    (): StageResult => evaluateTier(baseline),
  ];
  const reasons: Reason[] = [];
  let missing = 0;
  // Ends with the first stage that closes.
  const isOpen = stages.every((stage) => {
    const result = stage();
    reasons.push(...result.reasons);
    missing |= result.missing;
    return result.isOpen;
  });
  if (isOpen) reasons.push(Reason.NotIsolated);
  // TI-09: results of one verdict are a decision, with the reason of the certain one, which comes last.
  return new Set(reasons.map(verdictOf)).size === 1
    ? { reason: reasons.at(-1)!, missing: 0 }
    : { reason: Reason.Undecidable, missing };
}

/** NP-04, TI-08: an isolated pod is allowed what some rule allows, and nothing else; there is no order and no deny. KL-02. */
export function evaluateIsolated(isAllowed: 'yes' | 'no' | 'unknown', missing: number): StageResult {
  if (isAllowed === 'yes') return { reasons: [Reason.AllowedByRule], missing: 0, isOpen: false };
  if (isAllowed === 'no') return { reasons: [Reason.NoRuleMatches], missing: 0, isOpen: false };
  return { reasons: [Reason.AllowedByRule, Reason.NoRuleMatches], missing, isOpen: false };
}

/**
 * TI-02 to TI-05: objects by priority, as they come here, rules in order, first match wins; Pass leaves the tier. Objects of equal
 * priority have no order: where they disagree the result is open.
 */
export function evaluateTier(matching: readonly TierMatch[]): StageResult {
  const reasons: Reason[] = [];
  let missing = 0;
  let canPass = false;
  for (const priority of new Set(matching.map((match) => match.priority))) {
    const group = matching.filter((match) => match.priority === priority);
    const policies = [...new Set(group.map(({ policy }) => policy))];
    const actions = new Set<Action>();
    let canFallThrough = true;
    for (const policy of policies) {
      for (const match of group) {
        if (match.policy !== policy) continue;
        actions.add(match.action);
        missing |= match.missing;
        if (match.missing === 0) {
          canFallThrough = false;
          break;
        }
      }
    }
    // TI-04
    if (actions.size > 1 && policies.length > 1) missing |= MissingFact.EqualPriority;
    if (actions.has('Accept')) reasons.push(Reason.AllowedByRule);
    if (actions.has('Deny')) reasons.push(Reason.DeniedByRule);
    canPass ||= actions.has('Pass'); // TI-03
    if (!canFallThrough) return { reasons, missing, isOpen: canPass };
  }
  return { reasons, missing, isOpen: true };
}
