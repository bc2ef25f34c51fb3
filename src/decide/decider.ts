/**
 * Who decides a side: the policies that select its subject, and of their rules those that did what was decided. What explain shows
 * and what hits count is found here, once.
 */
import type { Program } from '../compile/program.ts';
import { isGoverning } from '../compile/book.ts';
import type { RuleReference, Ternary } from '../model/explanation.ts';
import type { Direction, Policy, Tier } from '../model/policy.ts';
import { Reason } from '../model/verdict.ts';
import type { Facts } from './fact.ts';
import { matchPodSet } from './match.ts';

/** A policy that selects a subject, for certain or perhaps. */
export interface Selecting {
  readonly policy: Policy;
  readonly selection: Ternary;
}

/**
 * The policies that select a subject, for certain or perhaps, in order of evaluation; kept by its facts, which are asked about for one peer
 * after another.
 */
export function selecting(program: Program, subject: Facts): readonly Selecting[] {
  const { selectingOf } = policyIndex(program);
  let known = selectingOf.get(subject);
  if (known === undefined) {
    const found: Selecting[] = [];
    for (const policy of candidates(program, subject)) {
      const selection = matchPodSet(policy.subject, subject);
      if (selection !== 'no') found.push({ policy, selection });
    }
    selectingOf.set(subject, (known = found));
  }
  return known;
}

/** Is a reason one that rules give? */
export function isByRule(reason: Reason): boolean {
  return reason === Reason.AllowedByRule || reason === Reason.DeniedByRule;
}

/** Where a policy stands in the order of evaluation. */
export function ordinalOf(program: Program, policy: Policy): number {
  return policyIndex(program).ordinals.get(policy)!;
}

/** The rules of the policies that certainly select a subject, in order of evaluation. */
export function certainRules(all: readonly Selecting[], direction: Direction): RuleReference[] {
  return all.flatMap(({ policy, selection }) =>
    selection === 'yes' && isGoverning(policy, direction) ? policy[direction].map((rule) => ({ policy, rule })) : [],
  );
}

/**
 * Of the rules in order of evaluation those that did what was decided: of a tier the first certain one, of NetworkPolicies every certain
 * one, as their order means nothing. `match` is asked for no more rules than the answer needs.
 */
export function decidersOf<T extends RuleReference>(
  rules: readonly T[],
  reason: Reason,
  match: (own: T) => Ternary,
): T[] {
  const found: T[] = [];
  const action = reason === Reason.AllowedByRule ? 'Accept' : reason === Reason.DeniedByRule ? 'Deny' : undefined;
  let passed: Tier | undefined;
  for (const own of rules) {
    const { policy, rule } = own;
    const isOrdered = policy.tier !== 'networkpolicy';
    if (isOrdered && found.length > 0) break;
    if (policy.tier === passed || match(own) !== 'yes') continue;
    if (rule.action === action) {
      found.push(own);
      if (isOrdered) break;
    }
    // TI-03: what settles a tier without deciding is a Pass.
    else if (isOrdered) passed = policy.tier;
  }
  return found;
}

interface PolicyIndex {
  readonly ordinals: ReadonlyMap<Policy, number>;
  readonly byNamespace: ReadonlyMap<string, readonly Policy[]>;
  readonly elsewhere: readonly Policy[];
  readonly merged: Map<string, readonly Policy[]>;
  readonly selectingOf: WeakMap<Facts, readonly Selecting[]>;
}

const indexes = new WeakMap<Program, PolicyIndex>();

function policyIndex(program: Program): PolicyIndex {
  let index = indexes.get(program);
  if (index === undefined) indexes.set(program, (index = indexPolicies(program.source.policies)));
  return index;
}

/** The policies that may select a subject, in order of evaluation: those of its namespace, put in between the others once. */
function candidates(program: Program, { namespace }: Facts): readonly Policy[] {
  const { byNamespace, elsewhere, ordinals, merged } = policyIndex(program);
  if (namespace === undefined) return program.source.policies;
  const own = byNamespace.get(namespace);
  if (own === undefined || elsewhere.length === 0) return own ?? elsewhere;
  let all = merged.get(namespace);
  if (all === undefined) {
    all = [...own, ...elsewhere].sort((a, b) => ordinals.get(a)! - ordinals.get(b)!);
    merged.set(namespace, all);
  }
  return all;
}

function indexPolicies(policies: readonly Policy[]): PolicyIndex {
  const byNamespace = new Map<string, Policy[]>();
  const elsewhere: Policy[] = [];
  for (const policy of policies) {
    const { namespaces } = policy.subject;
    if (namespaces.kind !== 'named') elsewhere.push(policy);
    else {
      const list = byNamespace.get(namespaces.namespace);
      if (list === undefined) byNamespace.set(namespaces.namespace, [policy]);
      else list.push(policy);
    }
  }
  return {
    ordinals: new Map(policies.map((policy, at) => [policy, at])),
    byNamespace,
    elsewhere,
    merged: new Map(),
    selectingOf: new WeakMap(),
  };
}
