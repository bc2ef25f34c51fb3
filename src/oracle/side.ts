/**
 * What policies say of one side of a flow: the egress of its source or the ingress of its destination. Walks the tiers in
 * order and collects every outcome that is possible with what is known; outcomes that agree are the answer.
 */
import type { Pod } from '../model/cluster.ts';
import type { World } from '../model/evaluator.ts';
import type { Action, Direction, Policy } from '../model/policy.ts';
import { MissingFact, Reason, verdictOf } from '../model/verdict.ts';
import type { Endpoint } from './endpoint.ts';
import { or } from './kleene.ts';
import { holdsPod, matchesRule, type Question } from './rule.ts';

/** The reason of one side; `missing` is 0 unless it is `Undecidable`. */
export interface Side {
  readonly reason: Reason;
  readonly missing: number;
}

/** What one policy, or all of one priority, may do with the flow; `none`: no rule matches. */
interface Answer {
  readonly actions: ReadonlySet<Action | 'none'>;
  readonly missing: number;
}

/** Judges `subject` in one direction. */
export function judgeSide(world: World, direction: Direction, subject: Endpoint, question: Question): Side {
  if (subject.kind === 'unknown-pod') {
    const couldApply = (policy: Policy): boolean =>
      policy.tier === 'networkpolicy' ? policy.isolates.includes(direction) : policy[direction].length > 0;
    return world.policies.some(couldApply)
      ? { reason: Reason.Undecidable, missing: MissingFact.UnknownPod } // EP-06
      : { reason: Reason.NotIsolated, missing: 0 };
  }
  if (subject.kind !== 'pod') return { reason: Reason.NotSubject, missing: 0 }; // NP-06
  return judgePod(world, direction, subject.pod, question);
}

function judgePod(world: World, direction: Direction, pod: Pod, question: Question): Side {
  const selecting = world.policies.filter((policy) => holdsPod(policy.subject, pod, world.snapshot));
  const possible: Reason[] = [];
  let missing = 0;

  /** Adds what a tier may settle, and returns whether the flow may go on to the next one. */
  const askTier = (tier: 'admin' | 'baseline'): boolean => {
    const policies = selecting.filter((policy) => policy.tier === tier);
    const priorities = [...new Set(policies.map((policy) => policy.priority))].sort((a, b) => a - b); // TI-02
    let mayPass = false;
    for (const priority of priorities) {
      const answer = askPriority(
        policies.filter((policy) => policy.priority === priority),
        direction,
        question,
      );
      missing |= answer.missing;
      if (answer.actions.has('Accept')) possible.push(Reason.AllowedByRule);
      if (answer.actions.has('Deny')) possible.push(Reason.DeniedByRule);
      mayPass ||= answer.actions.has('Pass'); // TI-03
      if (!answer.actions.has('none')) return mayPass;
    }
    return true; // TI-05
  };

  /** The same for NetworkPolicies, which end the evaluation of a pod that they isolate. */
  const askNetworkPolicies = (): boolean => {
    const policies = selecting.filter((policy) => policy.tier === 'networkpolicy');
    const isolating = policies.filter((policy) => policy.isolates.includes(direction)); // NP-02
    if (isolating.length === 0) {
      if (policies.length === 0 || world.dialect.networkPolicyScope === 'per-direction') return true;
      possible.push(Reason.NotIsolated); // DI-09
      return false;
    }
    const rules = isolating.flatMap((policy) => policy[direction]); // NP-04
    const match = or(rules.map((rule) => matchesRule(rule, question))); // KL-02
    if (match !== 'no') possible.push(Reason.AllowedByRule);
    if (match !== 'yes') possible.push(Reason.NoRuleMatches); // NP-07
    if (typeof match === 'number') missing |= match;
    return false; // TI-08
  };

  // TI-01; nothing settled it: NP-01
  if (askTier('admin') && askNetworkPolicies() && askTier('baseline')) possible.push(Reason.NotIsolated);

  const verdicts = new Set(possible.map(verdictOf));
  return verdicts.size === 1 ? { reason: possible.at(-1)!, missing: 0 } : { reason: Reason.Undecidable, missing }; // TI-09
}

/** What policies of equal priority may do together: they have no order, so where two may differ, either may prevail. */
function askPriority(policies: readonly Policy[], direction: Direction, question: Question): Answer {
  const answers = policies.map((policy) => askPolicy(policy, direction, question));
  const actions = new Set(answers.flatMap((answer) => [...answer.actions]));
  if (answers.some((answer) => !answer.actions.has('none'))) actions.delete('none');
  const isTie = answers.some((one) =>
    answers.some((other) => one !== other && settling(one).some((a) => settling(other).some((b) => a !== b))),
  );
  const missing = answers.reduce((mask, answer) => mask | answer.missing, isTie ? MissingFact.EqualPriority : 0); // TI-04
  return { actions, missing };
}

function settling(answer: Answer): (Action | 'none')[] {
  return [...answer.actions].filter((action) => action !== 'none');
}

/** The first rule that matches settles; one that may match leaves both ways open. */
function askPolicy(policy: Policy, direction: Direction, question: Question): Answer {
  const actions = new Set<Action | 'none'>();
  let missing = 0;
  for (const rule of policy[direction]) {
    const match = matchesRule(rule, question);
    if (match === 'no') continue;
    actions.add(rule.action);
    if (match === 'yes') return { actions, missing };
    missing |= match;
  }
  actions.add('none');
  return { actions, missing };
}
