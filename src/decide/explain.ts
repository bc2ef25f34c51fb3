/**
 * explain: the same answer as decide, with every policy and rule that took part and why each did or did not match. It walks
 * the policies themselves, in three values, and so also judges endpoints that only a record describes.
 */
import { DialectFlag, Endpoint, EndpointKind, Header, PortClass, portIndexOf } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { isGoverning } from '../compile/book.ts';
import { evaluateIsolated, evaluateSide, type SideResult, type StageResult, type TierMatch } from '../compile/tier.ts';
import type { Service } from '../model/cluster.ts';
import type {
  Explanation,
  PolicyExplanation,
  ResolvedEndpoint,
  RuleExplanation,
  RuleReference,
  SideExplanation,
  Ternary,
} from '../model/explanation.ts';
import type { Flow } from '../model/flow.ts';
import type { Direction, Policy } from '../model/policy.ts';
import { formatProtocol } from '../model/port.ts';
import { MissingFact, Reason, Verdict, verdictOf } from '../model/verdict.ts';
import { rulesToAsk } from './block.ts';
import { type BackendPlace, backendsOf, headlessMembers } from './backend.ts';
import { findService } from './decide.ts';
import { decidersOf, isByRule, ordinalOf, type Selecting, selecting } from './decider.ts';
import { type Facts, factsOfEndpoint } from './fact.ts';
import { serviceTarget } from './judge.ts';
import { either, type FlowPort } from './match.ts';
import { isKind, resolvePairs } from './resolve.ts';
import { explainRule, fareRule, formatFlow, type RuleFare } from './sentence.ts';

/** Explains a flow. Where names stand for several pods, the pair that decides is shown. Throws `UnknownName`. */
export function explain(program: Program, flow: Flow): Explanation {
  const port: FlowPort = { protocol: flow.protocol, port: flow.port ?? -1, icmp: flow.icmp ?? -1 };
  const explanations = resolvePairs(program, flow).map((pair) => {
    const source = factsOfEndpoint(program, pair.source, pair.sourceAddress);
    return typeof pair.destination === 'number'
      ? explainFacts(program, source, factsOfEndpoint(program, pair.destination, pair.destinationAddress), port)
      : explainService(program, source, pair.destination, pair.family, port);
  });
  return combineExplanations(explanations, MissingFact.SomePods);
}

/** Explains a flow between two endpoints whose facts are at hand; translates Services on the way. */
export function explainFacts(program: Program, source: Facts, destination: Facts, flow: FlowPort): Explanation {
  if (destination.endpoint >= 0 && !isExempt(program, flow)) {
    const slot = findService(program, destination.endpoint, flow.protocol, flow.port);
    if (slot >= 0)
      return explainBackends(
        program,
        source,
        destination.resolved,
        backendsOf(program, slot),
        flow,
        describeTarget(program, destination, flow),
      );
    if (isKind(program, destination.endpoint, EndpointKind.Service))
      return explainNobody(
        source,
        { ...destination.resolved, kind: 'service' },
        flow,
        MissingFact.NoBackend,
        describeTarget(program, destination, flow),
      );
  }
  return explainEnds(program, source, destination, flow, 'direct');
}

/** Explains a flow whose record says that it was translated to this destination, which is not asked for a Service again. */
export function explainTranslated(program: Program, source: Facts, destination: Facts, flow: FlowPort): Explanation {
  return explainEnds(program, source, destination, flow, 'translated');
}

/** Explains a flow to a Service that is called by name; `family` is the source's, where it is known. */
export function explainService(
  program: Program,
  source: Facts,
  service: Service,
  family: 4 | 6 | undefined,
  flow: FlowPort,
): Explanation {
  const { namespace, name } = service;
  const resolved: ResolvedEndpoint = { kind: 'service', namespace, name, areLabelsComplete: true };
  const text = `Service ${namespace}/${name} ${formatFlow(flow)}`;
  if (isExempt(program, flow)) return explainSettled(source.resolved, resolved, flow, certain(Reason.DialectExempt));
  if (service.type === 'ExternalName')
    return explainNobody(source, resolved, flow, MissingFact.DomainName, { service, text });
  const slot = findService(program, serviceTarget(program, service, family), flow.protocol, flow.port);
  const backends =
    slot >= 0
      ? backendsOf(program, slot)
      : service.isHeadless
        ? headlessMembers(program, service, family, flow.port)
        : [];
  return explainBackends(program, source, resolved, backends, flow, { service, text });
}

/** Alternatives as one: the first that denies, else the first undecidable, else the first; the verdict as decide has it. */
export function combineExplanations(explanations: readonly Explanation[], fact: MissingFact): Explanation {
  const shown = explanations.reduce((worst, next) => (next.verdict < worst.verdict ? next : worst));
  const isMixed = explanations.some(({ verdict }) => verdict !== shown.verdict);
  const missing = explanations.reduce((mask, next) => mask | next.missing, 0);
  return isMixed ? { ...shown, verdict: Verdict.Undecidable, missing: missing | fact } : { ...shown, missing };
}

interface Via {
  readonly service?: Service;
  readonly text: string;
}

function explainBackends(
  program: Program,
  source: Facts,
  destination: ResolvedEndpoint,
  backends: readonly BackendPlace[],
  flow: FlowPort,
  via: Via,
): Explanation {
  if (backends.length === 0) return explainNobody(source, destination, flow, MissingFact.NoBackend, via);
  const explanations = backends.map(({ endpoint, address, port }) =>
    explainEnds(program, source, factsOfEndpoint(program, endpoint, address), { ...flow, port }, 'translated'),
  );
  return { ...combineExplanations(explanations, MissingFact.SomeBackends), via: { ...via, backends: explanations } };
}

/** SV-05, SV-08: there is nobody to judge. */
function explainNobody(
  source: Facts,
  destination: ResolvedEndpoint,
  flow: FlowPort,
  missing: MissingFact,
  via: Via,
): Explanation {
  return {
    ...explainSettled(source.resolved, destination, flow, { reason: Reason.Undecidable, missing }),
    via: { ...via, backends: [] },
  };
}

/** Both sides of a flow whose ends are settled. */
function explainEnds(
  program: Program,
  source: Facts,
  destination: Facts,
  flow: FlowPort,
  path: 'direct' | 'translated',
): Explanation {
  const fixed = settledReason(program, source, destination, flow, path);
  if (fixed !== undefined) return explainSettled(source.resolved, destination.resolved, flow, certain(fixed));
  const egress = explainSide(program, 'egress', source, destination, destination, flow);
  const ingress = explainSide(program, 'ingress', destination, source, destination, flow);
  return joinSides(source.resolved, destination.resolved, flow, egress, ingress);
}

/** One result for both sides, before any policy is asked. */
function explainSettled(
  source: ResolvedEndpoint,
  destination: ResolvedEndpoint,
  flow: FlowPort,
  result: SideResult,
): Explanation {
  const egress = settled('egress', source, destination, result);
  const ingress = settled('ingress', destination, source, result);
  return joinSides(source, destination, flow, egress, ingress);
}

function joinSides(
  source: ResolvedEndpoint,
  destination: ResolvedEndpoint,
  flow: FlowPort,
  egress: SideExplanation,
  ingress: SideExplanation,
): Explanation {
  const verdict: Verdict = Math.min(egress.verdict, ingress.verdict);
  return {
    source,
    destination,
    protocol: flow.protocol,
    ...(flow.port >= 0 && { port: flow.port }),
    ...(flow.icmp >= 0 && { icmp: flow.icmp }),
    verdict,
    missing: verdict === Verdict.Undecidable ? egress.missing | ingress.missing : 0, // KL-04
    egress,
    ingress,
  };
}

/** What decides before any policy is asked, on both sides at once. */
function settledReason(
  program: Program,
  source: Facts,
  destination: Facts,
  flow: FlowPort,
  path: 'direct' | 'translated',
): Reason | undefined {
  if (isExempt(program, flow)) return Reason.DialectExempt;
  const self = field(program, source, Endpoint.Self);
  const isSame = self >= 0 && self === field(program, destination, Endpoint.Self);
  return isSame && (path === 'direct' || hasFlag(program, DialectFlag.HairpinAllow)) ? Reason.SamePod : undefined;
}

function settled(
  direction: Direction,
  subject: ResolvedEndpoint,
  peer: ResolvedEndpoint,
  { reason, missing }: SideResult,
): SideExplanation {
  return { direction, subject, peer, verdict: verdictOf(reason), reason, missing, policies: [] };
}

function certain(reason: Reason): SideResult {
  return { reason, missing: 0 };
}

/** One side: the policies that select the subject, each rule matched, and what follows from them. */
export function explainSide(
  program: Program,
  direction: Direction,
  subject: Facts,
  peer: Facts,
  destination: Facts,
  flow: FlowPort,
): SideExplanation {
  const { policies, dialect } = program.source;
  const settle = (reason: Reason): SideExplanation =>
    settled(direction, subject.resolved, peer.resolved, certain(reason));
  if (subject.kind === 'outside' || subject.kind === 'node') return settle(Reason.NotSubject);
  const flag = direction === 'ingress' ? DialectFlag.OwnNodeIngress : DialectFlag.OwnNodeEgress;
  if (hasFlag(program, flag) && isOwnNode(program, subject, peer)) return settle(Reason.OwnNode);
  if (!policies.some((policy) => isGoverning(policy, direction))) return settle(Reason.NotIsolated);

  const role = direction === 'ingress' ? 'source' : 'destination';
  const walked = selecting(program, subject).map(({ policy, selection }): WalkedPolicy => ({
    policy,
    ordinal: ordinalOf(program, policy),
    selection,
    fares: rulesToAsk(policy[direction], peer.address).map((rule) =>
      fareRule(rule, peer, role, destination, flow, dialect),
    ),
  }));
  const governing = walked.filter(({ policy }) => isGoverning(policy, direction));
  const result =
    subject.kind === 'unknown-pod'
      ? { reason: Reason.Undecidable, missing: MissingFact.UnknownPod } // EP-06
      : evaluateSide(
          tierMatches(governing, 'admin'),
          networkPolicyStage(walked, direction, dialect.networkPolicyScope),
          tierMatches(governing, 'baseline'),
        );
  const verdict = verdictOf(result.reason);
  const deciders = findDeciders(governing, result.reason);
  const nearest =
    result.reason === Reason.NoRuleMatches || verdict === Verdict.Undecidable ? findNearest(governing) : undefined;
  return {
    direction,
    subject: subject.resolved,
    peer: peer.resolved,
    verdict,
    reason: result.reason,
    missing: result.missing,
    policies: governing.map(({ policy, selection }) =>
      explainPolicy(policy, selection, () =>
        policy[direction].map((rule) => explainRule(rule, peer, role, destination, flow, dialect)),
      ),
    ),
    ...(deciders.length > 0 && { decidedBy: deciders[0]!, deciders }),
    ...(nearest !== undefined && { nearest }),
  };
}

interface WalkedPolicy extends Selecting {
  readonly ordinal: number;
  /** Of the rules that tell how all of them fare, see `rulesToAsk`. */
  readonly fares: readonly RuleFare[];
}

/** An explanation is data like any other, to copy and to compare, but for the time at which the rules of a policy are put into words. */
function explainPolicy(
  policy: Policy,
  selectsSubject: Ternary,
  explainRules: () => readonly RuleExplanation[],
): PolicyExplanation {
  let known: readonly RuleExplanation[] | undefined;
  return {
    policy,
    selectsSubject,
    get rules() {
      return (known ??= explainRules());
    },
  };
}

function findDeciders(governing: readonly WalkedPolicy[], reason: Reason): RuleReference[] {
  if (!isByRule(reason)) return [];
  const certain = governing.flatMap(({ policy, selection, fares }) =>
    selection === 'yes' ? fares.filter(({ match }) => match === 'yes').map(({ rule }) => ({ policy, rule })) : [],
  );
  return decidersOf(certain, reason, () => 'yes');
}

function tierMatches(walked: readonly WalkedPolicy[], tier: 'admin' | 'baseline'): TierMatch[] {
  return walked
    .filter(({ policy }) => policy.tier === tier)
    .flatMap(({ policy, ordinal, selection, fares }) =>
      fares
        .filter(({ match }) => match !== 'no')
        .map(({ rule, missing }) => ({
          priority: policy.priority,
          policy: ordinal,
          action: rule.action,
          missing: missing | (selection === 'unknown' ? MissingFact.UnknownLabel : 0),
        })),
    );
}

/**
 * NP-01, NP-02, NP-04 for a subject whose selection may be unknown. Where a policy surely isolates it, whoever else selects it can
 * only admit more. Where some only may, every result that some of them would have is possible, and that none isolates it.
 */
function networkPolicyStage(
  walked: readonly WalkedPolicy[],
  direction: Direction,
  scope: 'per-direction' | 'per-pod',
): StageResult {
  const all = walked.filter(({ policy }) => policy.tier === 'networkpolicy');
  const isolating = all.filter(({ policy }) => policy.isolates.includes(direction));
  const isIsolated = isolating.some(({ selection }) => selection === 'yes');
  const answers = isolating.map(({ fares }) => fares.reduce<Ternary>((found, { match }) => either(found, match), 'no'));
  const facts = isolating.reduce((mask, { selection, fares }, at) => {
    // Where the pod is isolated anyhow, whether one more policy selects it matters only if that one may admit.
    const isOpen = selection === 'unknown' && (!isIsolated || answers[at] !== 'no');
    return fares.reduce((own, { missing }) => own | missing, mask) | (isOpen ? MissingFact.UnknownLabel : 0);
  }, 0);
  if (isIsolated) {
    const certain = answers.filter((_, at) => isolating[at]!.selection === 'yes');
    if (certain.includes('yes')) return evaluateIsolated('yes', 0);
    return evaluateIsolated(answers.every((answer) => answer === 'no') ? 'no' : 'unknown', facts);
  }
  // KL-02: where every policy that may isolate the pod also admits the flow, none of them denies it.
  const reasons: Reason[] = [];
  if (answers.some((answer) => answer !== 'no')) reasons.push(Reason.AllowedByRule);
  if (answers.some((answer) => answer !== 'yes')) reasons.push(Reason.NoRuleMatches);
  // DI-09: per pod, a policy that selects it ends the evaluation, whichever direction it isolates.
  const ending =
    scope === 'per-pod' ? all.reduce<Ternary>((found, { selection }) => either(found, selection), 'no') : 'no';
  if (ending !== 'no') reasons.push(Reason.NotIsolated);
  return {
    reasons,
    missing: facts | (ending === 'unknown' ? MissingFact.UnknownLabel : 0),
    isOpen: ending !== 'yes',
  };
}

/** The rule that came nearest to matching, and what it lacked. */
function findNearest(governing: readonly WalkedPolicy[]): SideExplanation['nearest'] {
  let best: { readonly policy: Policy; readonly fare: RuleFare; readonly why: () => string } | undefined;
  for (const { policy, fares } of governing)
    for (const fare of fares) {
      const { rule, why, nearness } = fare;
      if (why !== undefined && rule.action === 'Accept' && nearness > (best?.fare.nearness ?? 0))
        best = { policy, fare, why };
    }
  if (best === undefined) return undefined;
  const { policy, fare, why } = best;
  return { policy, rule: fare.rule, peersMatch: fare.peersMatch, portsMatch: fare.portsMatch, why: why() };
}

/** What a destination is that something translates, or a Service's where nobody listens: both have an address (SV-06). */
function describeTarget(program: Program, destination: Facts, flow: FlowPort): Via {
  const { services } = program.source.snapshot;
  const address = destination.address!;
  const where = `${address} ${formatFlow(flow)}`;
  const protocol = formatProtocol(flow.protocol);
  const has = (service: Service, key: 'port' | 'nodePort'): boolean =>
    service.ports.some((port) => port[key] === flow.port && port.protocol === protocol);
  const isNode = destination.kind === 'node';
  const byNodePort = isNode ? services.find((service) => has(service, 'nodePort')) : undefined;
  const holders = services.filter(
    ({ clusterAddresses, externalAddresses }) =>
      clusterAddresses.includes(address) || externalAddresses.includes(address),
  );
  // Services may share an address, each with ports of its own.
  const service = byNodePort ?? holders.find((own) => has(own, 'port')) ?? (isNode ? undefined : holders[0]);
  if (service === undefined) return { text: `host port ${where}` };
  const what =
    byNodePort !== undefined
      ? 'node port'
      : service.clusterAddresses.includes(address)
        ? 'ClusterIP'
        : 'external address';
  return { service, text: `${what} ${where} of Service ${service.namespace}/${service.name}` };
}

function isExempt(program: Program, flow: FlowPort): boolean {
  return program.portClasses[portIndexOf(flow.protocol, flow.port, flow.icmp)] === PortClass.Exempt; // DI-07, DI-08
}

function isOwnNode(program: Program, pod: Facts, node: Facts): boolean {
  const number = field(program, pod, Endpoint.Node);
  return number >= 0 && node.kind === 'node' && number === field(program, node, Endpoint.Node);
}

/** -1 for a pod that only a record describes. */
function field(program: Program, { endpoint }: Facts, at: Endpoint): number {
  return program.endpoints[endpoint * Endpoint.Stride + at] ?? -1;
}

function hasFlag(program: Program, flag: DialectFlag): boolean {
  return (program.header[Header.Dialect]! & flag) !== 0;
}
