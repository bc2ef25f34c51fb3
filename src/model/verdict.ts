/**
 * Verdicts and the closed table of reasons. A side is one direction of one flow: egress of the source, ingress of the
 * destination. Sides combine as Kleene's logic: a deny on either side decides, else an undecidable one, else allow.
 */

/** Kleene's three values, in the order of `min` = conjunction: deny < undecidable < allow. */
export const enum Verdict {
  Deny = 0,
  Undecidable = 1,
  Allow = 2,
}

/** The reason of one side. Numbers are part of the Program's layout: append, never renumber. */
export const enum Reason {
  /** The side is not a pod that policy can select (outside, node, hostNetwork): it has no policy and agrees. */
  NotSubject = 0,
  /** No policy isolates the pod in this direction. */
  NotIsolated = 1,
  /** At least one rule certainly allows it. */
  AllowedByRule = 2,
  /** The pod is isolated and no rule matches. */
  NoRuleMatches = 3,
  /** A Deny rule of the admin or baseline tier matches first. */
  DeniedByRule = 4,
  /** A pod reaching its own address. */
  SamePod = 5,
  /** Traffic between a pod and its own node. */
  OwnNode = 6,
  /** The dialect exempts it (neighbour discovery, ...). */
  DialectExempt = 7,
  /** A packet of a connection that was allowed, in either direction. */
  Established = 8,
  /** An ICMP error about a tracked connection. */
  Related = 9,
  /** Connection tracking calls the packet INVALID. */
  InvalidState = 10,
  /** Facts are missing; see `MissingFact`. */
  Undecidable = 11,
}

/** One row of the reason table: what docs, scenarios and outputs call it. */
export interface ReasonRow {
  readonly name: string;
  readonly verdict: Verdict;
  /** The exact condition. */
  readonly condition: string;
}

/** Indexed by `Reason`. */
export const REASONS: readonly ReasonRow[] = [
  {
    name: 'not-subject',
    verdict: Verdict.Allow,
    condition: 'the side is not a pod that policy can select: outside, node or hostNetwork',
  },
  { name: 'not-isolated', verdict: Verdict.Allow, condition: 'no policy isolates the pod in this direction' },
  { name: 'allowed-by-rule', verdict: Verdict.Allow, condition: 'a rule certainly allows it' },
  { name: 'no-rule-matches', verdict: Verdict.Deny, condition: 'the pod is isolated and no rule can match' },
  { name: 'denied-by-rule', verdict: Verdict.Deny, condition: 'a Deny rule of a tier matches first' },
  { name: 'same-pod', verdict: Verdict.Allow, condition: 'a pod reaches its own address' },
  {
    name: 'own-node',
    verdict: Verdict.Allow,
    condition: "traffic between a pod and its own node, exempt by the dialect's default",
  },
  { name: 'dialect-exempt', verdict: Verdict.Allow, condition: 'the dialect exempts this traffic from policy' },
  {
    name: 'established',
    verdict: Verdict.Allow,
    condition: 'the packet belongs to a tracked connection that was allowed',
  },
  { name: 'related', verdict: Verdict.Allow, condition: 'an ICMP error that quotes a packet of a tracked connection' },
  { name: 'invalid-state', verdict: Verdict.Deny, condition: 'connection tracking calls the packet INVALID' },
  { name: 'undecidable', verdict: Verdict.Undecidable, condition: 'a fact that would decide is missing' },
];

/** Facts whose absence makes a side undecidable, as bits of a mask. */
export const enum MissingFact {
  /** The address lies in a node's pod block, and no pod of the snapshot holds it. */
  UnknownPod = 1,
  /** The record carries no address, and an ipBlock asks for one. */
  NoAddress = 2,
  /** The record carries no destination port, and a rule asks for one. */
  NoPort = 4,
  /** The record does not say which protocol, and a rule asks for it. */
  NoProtocol = 8,
  /** A rule names a container port, and the destination's ports are not known. */
  UnresolvedNamedPort = 16,
  /** The Service's backends do not agree. */
  SomeBackends = 32,
  /** The Service has no backend, or not this port. */
  NoBackend = 64,
  /** A rule names a DNS domain. */
  DomainName = 128,
  /** A selector asks for a label that the record does not carry; its labels may be incomplete. */
  UnknownLabel = 256,
  /** The name stands for pods that policy tells apart, and they do not agree. */
  SomePods = 512,
  /** Two tier rules of equal priority disagree; their order is undefined. */
  EqualPriority = 1024,
  /** The destination is a translated address (a Service, a node port) whose backend the record does not show. */
  TranslatedAddress = 2048,
}

/** Names of the bits, lowest first. */
export const MISSING_FACTS: readonly { readonly bit: number; readonly name: string; readonly text: string }[] = [
  { bit: 1, name: 'unknown-pod', text: "the address lies in a node's pod block, and no pod in the input holds it" },
  { bit: 2, name: 'no-address', text: 'an ipBlock asks for an address, and the record carries none' },
  { bit: 4, name: 'no-port', text: 'a rule asks for a port, and the record carries none' },
  { bit: 8, name: 'no-protocol', text: 'a rule asks for a protocol, and the record does not say which' },
  {
    bit: 16,
    name: 'unresolved-named-port',
    text: "a rule names a container port, and the destination's ports are not known",
  },
  { bit: 32, name: 'some-backends', text: "some of the Service's backends would allow it, others not" },
  { bit: 64, name: 'no-backend', text: 'the Service has no known backend for this port' },
  { bit: 128, name: 'domain-name', text: 'a rule, or the Service itself, names a DNS domain' },
  { bit: 256, name: 'unknown-label', text: 'a selector asks for a label that the record does not carry' },
  { bit: 512, name: 'some-pods', text: 'the name stands for pods that policies tell apart, and they do not agree' },
  { bit: 1024, name: 'equal-priority', text: 'rules of equal priority disagree, and their order is undefined' },
  {
    bit: 2048,
    name: 'translated-address',
    text: 'the destination is translated, and the record does not show to what',
  },
];

/** `allow`, `deny` or `undecidable`. */
export type VerdictName = 'allow' | 'deny' | 'undecidable';

/** Indexed by `Verdict`. */
export const VERDICT_NAMES: readonly VerdictName[] = ['deny', 'undecidable', 'allow'];

/** The names of the bits set in a mask of `MissingFact`. */
export function missingFactNames(mask: number): string[] {
  return MISSING_FACTS.filter((fact) => (mask & fact.bit) !== 0).map((fact) => fact.name);
}

/** The verdict that a reason stands for. */
export function verdictOf(reason: Reason): Verdict {
  return REASONS[reason]!.verdict;
}

/** A whole decision in one 32-bit number: verdict (bits 0-1), egress reason (2-7), ingress reason (8-13), missing facts (14-29). */
export function packDecision(verdict: Verdict, egress: Reason, ingress: Reason, missing: number): number {
  return verdict | (egress << 2) | (ingress << 8) | (missing << 14);
}

/** The verdict of a packed decision. */
export function decisionVerdict(decision: number): Verdict {
  return decision & 3;
}

/** The egress reason of a packed decision. */
export function decisionEgress(decision: number): Reason {
  return (decision >>> 2) & 63;
}

/** The ingress reason of a packed decision. */
export function decisionIngress(decision: number): Reason {
  return (decision >>> 8) & 63;
}

/** The missing facts of a packed decision, a mask of `MissingFact`; 0 unless the verdict is undecidable. */
export function decisionMissing(decision: number): number {
  return decision >>> 14;
}
