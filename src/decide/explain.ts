/**
 * explain: the same answer as decide, with every policy and rule that took part and why each did or did not match. It walks
 * the policies themselves, in three values, and so also judges endpoints that only a record describes.
 */
import { DialectFlag, Endpoint, EndpointKind, Header, PortClass, portIndexOf } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { isGoverning } from '../compile/table.ts';
import { evaluateIsolated, evaluateSide, type StageResult, type TierMatch } from '../compile/tier.ts';
import type { AddressText } from '../model/address.ts';
import type { Service } from '../model/cluster.ts';
import type {
  Explanation,
  PolicyExplanation,
  ResolvedEndpoint,
  RuleExplanation,
  SideExplanation,
  Ternary,
} from '../model/explanation.ts';
import type { Flow } from '../model/flow.ts';
import type { Direction, Policy, Rule } from '../model/policy.ts';
import { formatProtocol } from '../model/port.ts';
import { MissingFact, Reason, Verdict, verdictOf } from '../model/verdict.ts';
import { type BackendPlace, backendsOf, headlessMembers } from './backend.ts';
import { findService } from './decide.ts';
import { decidersShown, ordinalOf, type Selecting, selecting } from './decider.ts';
import { type Facts, factsOfEndpoint } from './fact.ts';
import { serviceTarget } from './judge.ts';
import type { FlowPort } from './match.ts';
import { isKind, resolvePairs } from './resolve.ts';
import { explainRule } from './sentence.ts';

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
  const isAddressed = destination.endpoint >= 0 && destination.kind !== 'pod' && !isExempt(program, flow);
  if (isAddressed) {
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
  if (isExempt(program, flow)) return explainEnds(program, source, stranger(resolved), flow, 'direct');
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
  const side = (direction: Direction): SideExplanation => ({
    direction,
    subject: direction === 'egress' ? source.resolved : destination,
    peer: direction === 'egress' ? destination : source.resolved,
    verdict: Verdict.Undecidable,
    reason: Reason.Undecidable,
    missing,
    policies: [],
  });
  return {
    ...describeFlow(source.resolved, destination, flow),
    verdict: Verdict.Undecidable,
    missing,
    egress: side('egress'),
    ingress: side('ingress'),
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
  const egress =
    fixed === undefined
      ? explainSide(program, 'egress', source, destination, destination, flow)
      : settled('egress', source, destination, fixed);
  const ingress =
    fixed === undefined
      ? explainSide(program, 'ingress', destination, source, destination, flow)
      : settled('ingress', destination, source, fixed);
  const verdict: Verdict = Math.min(egress.verdict, ingress.verdict);
  return {
    ...describeFlow(source.resolved, destination.resolved, flow),
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

function settled(direction: Direction, subject: Facts, peer: Facts, reason: Reason): SideExplanation {
  return {
    direction,
    subject: subject.resolved,
    peer: peer.resolved,
    verdict: verdictOf(reason),
    reason,
    missing: 0,
    policies: [],
  };
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
  if (subject.kind === 'outside' || subject.kind === 'node')
    return settled(direction, subject, peer, Reason.NotSubject);
  const flag = direction === 'ingress' ? DialectFlag.OwnNodeIngress : DialectFlag.OwnNodeEgress;
  if (hasFlag(program, flag) && isOwnNode(program, subject, peer))
    return settled(direction, subject, peer, Reason.OwnNode);
  if (subject.kind === 'unknown-pod' && !policies.some((policy) => isGoverning(policy, direction)))
    return settled(direction, subject, peer, Reason.NotIsolated);

  const role = direction === 'ingress' ? 'source' : 'destination';
  const walked = selecting(program, subject).map(({ policy, selection }): WalkedPolicy => {
    const rules = isGoverning(policy, direction)
      ? policy[direction].map((rule) => explainRule(rule, peer, role, destination, flow, dialect))
      : [];
    return { policy, ordinal: ordinalOf(program, policy), selection, rules };
  });
  const result =
    subject.kind === 'unknown-pod'
      ? { reason: Reason.Undecidable, missing: MissingFact.UnknownPod } // EP-06
      : evaluateSide(
          tierMatches(walked, 'admin', direction),
          networkPolicyStage(walked, direction, dialect.networkPolicyScope),
          tierMatches(walked, 'baseline', direction),
        );
  const verdict = verdictOf(result.reason);
  const policiesShown = walked
    .filter(({ policy }) => isGoverning(policy, direction))
    .map(({ policy, selection, rules }): PolicyExplanation => ({
      policy,
      selectsSubject: selection,
      rules: rules.map(({ explanation }) => explanation),
    }));
  const [decidedBy] = decidersShown(policiesShown, result.reason);
  const nearest =
    result.reason === Reason.NoRuleMatches || verdict === Verdict.Undecidable
      ? findNearest(walked, direction)
      : undefined;
  return {
    direction,
    subject: subject.resolved,
    peer: peer.resolved,
    verdict,
    reason: result.reason,
    missing: result.missing,
    policies: policiesShown,
    ...(decidedBy !== undefined && { decidedBy }),
    ...(nearest !== undefined && { nearest }),
  };
}

interface WalkedPolicy extends Selecting {
  readonly ordinal: number;
  readonly rules: readonly {
    readonly explanation: RuleExplanation;
    readonly missing: number;
    readonly nearness: number;
    readonly why: string;
  }[];
}

function tierMatches(walked: readonly WalkedPolicy[], tier: 'admin' | 'baseline', direction: Direction): TierMatch[] {
  return walked.flatMap(({ policy, ordinal, selection, rules }) =>
    policy.tier === tier && isGoverning(policy, direction)
      ? rules
          .filter(({ explanation }) => explanation.match !== 'no')
          .map(({ explanation, missing }) => ({
            priority: policy.priority,
            policy: ordinal,
            action: explanation.action,
            missing: missing | (selection === 'unknown' ? MissingFact.UnknownLabel : 0),
          }))
      : [],
  );
}

/**
 * NP-01, NP-02, NP-04 for a subject whose selection may be unknown: it may be denied where the policies that surely select it
 * (or, if none does, one that may) admit nothing for certain; it may be allowed where some rule may match, or nothing
 * surely selects it.
 */
function networkPolicyStage(
  walked: readonly WalkedPolicy[],
  direction: Direction,
  scope: 'per-direction' | 'per-pod',
): StageResult {
  const all = walked.filter(({ policy }) => policy.tier === 'networkpolicy');
  const isolating = all.filter(({ policy }) => policy.isolates.includes(direction));
  if (isolating.length === 0) {
    // DI-09
    const isFinal = scope === 'per-pod' && all.some(({ selection }) => selection === 'yes');
    return isFinal
      ? { reasons: [Reason.NotIsolated], missing: 0, isOpen: false }
      : { reasons: [], missing: 0, isOpen: true };
  }
  const admits = ({ rules }: WalkedPolicy): Ternary =>
    rules.some(({ explanation }) => explanation.match === 'yes')
      ? 'yes'
      : rules.some(({ explanation }) => explanation.match === 'unknown')
        ? 'unknown'
        : 'no';
  const certain = isolating.filter(({ selection }) => selection === 'yes');
  // Where the pod is isolated for certain, whether one more policy selects it matters only if that one may admit.
  const facts = isolating.reduce((mask, policy) => {
    const isOpen = policy.selection === 'unknown' && (certain.length === 0 || admits(policy) !== 'no');
    return policy.rules.reduce((own, { missing }) => own | missing, mask) | (isOpen ? MissingFact.UnknownLabel : 0);
  }, 0);
  const answers = isolating.map(admits);
  if (certain.length > 0) {
    if (certain.some((policy) => admits(policy) === 'yes')) return evaluateIsolated('yes', 0);
    return evaluateIsolated(answers.every((answer) => answer === 'no') ? 'no' : 'unknown', facts);
  }
  // KL-02: where every policy that may isolate the pod also admits the flow, it is allowed either way.
  if (answers.every((answer) => answer === 'yes')) return { reasons: [Reason.AllowedByRule], missing: 0, isOpen: true };
  return { reasons: [Reason.AllowedByRule, Reason.NoRuleMatches], missing: facts, isOpen: true };
}

/** The rule that came nearest to matching, and what it lacked. */
function findNearest(
  walked: readonly WalkedPolicy[],
  direction: Direction,
): { policy: Policy; rule: Rule; why: string } | undefined {
  let best: { policy: Policy; rule: Rule; why: string } | undefined;
  let nearness = 0;
  for (const { policy, rules } of walked) {
    if (!isGoverning(policy, direction)) continue;
    for (const rule of rules)
      if (rule.why !== '' && rule.explanation.action === 'Accept' && rule.nearness > nearness) {
        nearness = rule.nearness;
        best = { policy, rule: rule.explanation.rule, why: rule.why };
      }
  }
  return best;
}

function describeTarget(program: Program, destination: Facts, flow: FlowPort): Via {
  const { snapshot } = program.source;
  const where = `${destination.address ?? destination.resolved.name ?? 'a node'} ${formatFlow(flow)}`;
  const protocol = formatProtocol(flow.protocol);
  const holds = (service: Service, address: AddressText): boolean =>
    service.clusterAddresses.includes(address) || service.externalAddresses.includes(address);
  const held =
    destination.address === undefined
      ? undefined
      : snapshot.services.find((service) => holds(service, destination.address!));
  const byNodePort =
    destination.kind === 'node'
      ? snapshot.services.find(({ ports }) =>
          ports.some((port) => port.nodePort === flow.port && port.protocol === protocol),
        )
      : undefined;
  const service = byNodePort ?? held;
  if (service === undefined) return { text: `host port ${where}` };
  const what =
    byNodePort !== undefined
      ? 'node port'
      : service.clusterAddresses.includes(destination.address!)
        ? 'ClusterIP'
        : 'external address';
  return { service, text: `${what} ${where} of Service ${service.namespace}/${service.name}` };
}

function describeFlow(
  source: ResolvedEndpoint,
  destination: ResolvedEndpoint,
  flow: FlowPort,
): Pick<Explanation, 'source' | 'destination' | 'protocol' | 'port' | 'icmp'> {
  return {
    source,
    destination,
    protocol: flow.protocol,
    ...(flow.port >= 0 && { port: flow.port }),
    ...(flow.icmp >= 0 && { icmp: flow.icmp }),
  };
}

function formatFlow(flow: FlowPort): string {
  return flow.port < 0 ? formatProtocol(flow.protocol) : `${formatProtocol(flow.protocol)}/${flow.port}`;
}

/** A destination of which nothing is asked. */
function stranger(resolved: ResolvedEndpoint): Facts {
  const none = new Map<string, string>();
  return {
    resolved,
    kind: 'outside',
    endpoint: -1,
    labels: none,
    namespaceLabels: none,
    areLabelsComplete: true,
    areNamespaceLabelsComplete: true,
    ports: [],
  };
}

function isExempt(program: Program, flow: FlowPort): boolean {
  return program.portClasses[portIndexOf(flow.protocol, flow.port, flow.icmp)] === PortClass.Exempt; // DI-07, DI-08
}

function isOwnNode(program: Program, pod: Facts, node: Facts): boolean {
  const number = pod.kind === 'pod' ? field(program, pod, Endpoint.Node) : -1;
  return number >= 0 && node.kind === 'node' && number === field(program, node, Endpoint.Node);
}

function field(program: Program, facts: Facts, at: Endpoint): number {
  return facts.endpoint < 0 ? -1 : program.endpoints[facts.endpoint * Endpoint.Stride + at]!;
}

function hasFlag(program: Program, flag: DialectFlag): boolean {
  return (program.header[Header.Dialect]! & flag) !== 0;
}
