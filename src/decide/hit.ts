/**
 * Which rules decided: for two endpoints and a port, the rules that admit or deny the flow on each side. The answer depends on
 * row, column and port class alone, and is worked out once for each of them without a word, so that counting the hits of every rule
 * over a replay costs a look-up for each group of connections, and nothing for a record.
 */
import { isGoverning } from '../compile/book.ts';
import { Endpoint, EndpointKind, Header, Layout, portIndexOf, ServiceSlot, TrieCell } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { type RuleMatches, ruleMatchesOf } from '../compile/rule-match.ts';
import { type AddressText, formatAddress } from '../model/address.ts';
import type { Explanation, RuleReference, Ternary } from '../model/explanation.ts';
import type { Direction, Policy, Position, Rule } from '../model/policy.ts';
import { decisionEgress, decisionIngress, Reason } from '../model/verdict.ts';
import { decideBackend, decideDirect, findService, kindOf } from './decide.ts';
import { certainRules, decidersOf, isByRule, selecting } from './decider.ts';
import { type Facts, factsOfEndpoint } from './fact.ts';
import { type FlowPort, matchPeers, matchPorts, type PortHolder } from './match.ts';

/** A rule that decided; one object for each rule of a Program, so that it can be a key of counts. */
export interface RuleHit {
  /** Index into `program.source.policies`. */
  readonly policy: number;
  /** Number among all rules of the Program, see `listRules`. */
  readonly ordinal: number;
  readonly direction: Direction;
  /** Index into the policy's `ingress` or `egress`. */
  readonly rule: number;
  readonly position: Position;
}

/**
 * The rules that decide a flow between two endpoints, in order of evaluation, egress before ingress; through a Service, of every
 * backend. A side that NetworkPolicies allow has each rule that certainly admits the flow, as their order means nothing; a side that a
 * tier decides has the one rule that did. A side that no rule decided has none. `port` -1: not known; `icmp` is type << 8 | code.
 */
export function rulesOf(
  program: Program,
  source: number,
  destination: number,
  protocol: number,
  port: number,
  icmp: number,
): readonly RuleHit[] {
  const index = indexOf(program);
  const slot = findService(program, destination, protocol, port);
  if (slot >= 0) return rulesOfBackends(index, source, slot, protocol);
  if (kindOf(program, destination) === EndpointKind.Service) return [];
  const decision = decideDirect(program, source, destination, portIndexOf(protocol, port, icmp));
  return rulesOfSides(index, source, destination, { protocol, port, icmp }, decision);
}

/** Adds to `into` what `rulesOf` would list, and keeps no answer: for who asks about each class of flows once. */
export function addRulesOf(
  program: Program,
  source: number,
  destination: number,
  protocol: number,
  port: number,
  icmp: number,
  into: RuleHit[],
): void {
  const index = indexOf(program);
  if (kindOf(program, destination) >= EndpointKind.Node) {
    // Something may translate it.
    into.push(...rulesOf(program, source, destination, protocol, port, icmp));
    return;
  }
  const decision = decideDirect(program, source, destination, portIndexOf(protocol, port, icmp));
  const flow = { protocol, port, icmp };
  const outward = decisionEgress(decision);
  const inward = decisionIngress(decision);
  if (isByRule(outward)) addSide(index, sideOf(index, 'egress', source, destination, flow), outward, into);
  if (isByRule(inward)) addSide(index, sideOf(index, 'ingress', destination, source, flow), inward, into);
}

/** False where, by its decision, rules decided neither side of a flow that nothing translates: `rulesOf` has none for it. */
export function isDecidedByRules(decision: number): boolean {
  return isByRule(decisionEgress(decision)) || isByRule(decisionIngress(decision));
}

/** Every rule of a Program by its ordinal: by policy in order of evaluation, the rules of egress before those of ingress. */
export function listRules(program: Program): readonly RuleHit[] {
  return indexOf(program).rules;
}

/** The rules that an explained flow was decided by, of every backend where there are some: `rulesOf` for flows with names. */
export function rulesOfExplanation(program: Program, { egress, ingress, via }: Explanation): readonly RuleHit[] {
  const index = indexOf(program);
  const sides = via === undefined ? [egress, ingress] : via.backends.flatMap((own) => [own.egress, own.ingress]);
  // A verdict that was taken back has no reason of rules any more.
  const hits = sides.flatMap(({ direction, deciders = [], reason }) =>
    isByRule(reason) ? deciders.map(({ policy, rule }) => hitOf(index, direction, policy, rule)) : [],
  );
  return [...new Set(hits)];
}

/** A rule that may decide, as counts know it. */
interface Candidate extends RuleReference {
  readonly hit: RuleHit;
  /** It admits the port on every destination. */
  readonly isPortCertain: boolean;
  /** See `RuleMatches`; where there are none, -1. */
  readonly question: number;
}

/** The rules of a row that may admit a port class, whoever the peer is, in order of evaluation. */
interface Candidates {
  readonly rules: readonly Candidate[];
  /** Only questions decide which of them admit a flow: all are of NetworkPolicies, and certain of the port. */
  readonly isPlain: boolean;
}

/** One side of a flow. */
interface Side {
  readonly direction: Direction;
  /** Endpoints. */
  readonly subject: number;
  readonly peer: number;
  readonly row: number;
  readonly column: number;
  readonly portClass: number;
  readonly flow: FlowPort;
}

interface HitIndex {
  readonly program: Program;
  /** Undefined: rules are matched by facts. */
  readonly matches: RuleMatches | undefined;
  readonly ordinals: ReadonlyMap<Policy, number>;
  /** By ordinal. */
  readonly rules: readonly RuleHit[];
  /** [policies] ordinal of the first rule. */
  readonly starts: readonly number[];
  /** By source and slot of the service table. */
  readonly services: Map<number, readonly RuleHit[]>;
  /** By row: the rules of the policies that certainly select its subjects, in order of evaluation. */
  readonly rowRules: Readonly<Record<Direction, Map<number, readonly RuleHit[]>>>;
  /** By row and port class. */
  readonly candidates: Readonly<Record<Direction, Map<number, Candidates>>>;
  /** By direction, row, column and port class. */
  readonly sides: Map<number, readonly RuleHit[]>;
  readonly facts: Map<number, Facts>;
  addresses: readonly (AddressText | undefined)[] | undefined;
}

const NO_RULES: readonly RuleHit[] = [];

/** A destination that may have every named port. */
const ANYBODY: PortHolder = { ports: undefined };

const indexes = new WeakMap<Program, HitIndex>();

function indexOf(program: Program): HitIndex {
  let index = indexes.get(program);
  if (index === undefined) {
    const { policies } = program.source;
    index = {
      program,
      matches: ruleMatchesOf(program),
      ordinals: new Map(policies.map((policy, at) => [policy, at])),
      ...numberRules(policies),
      services: new Map(),
      rowRules: { egress: new Map(), ingress: new Map() },
      candidates: { egress: new Map(), ingress: new Map() },
      sides: new Map(),
      facts: new Map(),
      addresses: undefined,
    };
    indexes.set(program, index);
  }
  return index;
}

function numberRules(policies: readonly Policy[]): Pick<HitIndex, 'rules' | 'starts'> {
  const rules: RuleHit[] = [];
  const starts: number[] = [];
  for (let policy = 0; policy < policies.length; policy++) {
    starts.push(rules.length);
    for (const direction of ['egress', 'ingress'] as const) {
      const own = policies[policy]![direction];
      for (let rule = 0; rule < own.length; rule++)
        rules.push({ policy, ordinal: rules.length, direction, rule, position: own[rule]!.position });
    }
  }
  return { rules, starts };
}

/** Answers about Services that are kept before they are thrown away: as many as pairs of ends. */
const SERVICE_LIMIT = 100_000;

function rulesOfBackends(index: HitIndex, source: number, slot: number, protocol: number): readonly RuleHit[] {
  const { services, program } = index;
  const key = source * (program.serviceSlots.length / ServiceSlot.Stride) + slot;
  let rules = services.get(key);
  if (rules === undefined) {
    if (services.size >= SERVICE_LIMIT) services.clear();
    services.set(key, (rules = listBackendRules(index, source, slot, protocol)));
  }
  return rules;
}

function listBackendRules(index: HitIndex, source: number, slot: number, protocol: number): readonly RuleHit[] {
  const { serviceSlots, backends } = index.program;
  const at = slot * ServiceSlot.Stride;
  const start = serviceSlots[at + ServiceSlot.Start]! * 2;
  const end = start + (serviceSlots[at + ServiceSlot.CountPlusOne]! - 1) * 2;
  const rules = new Set<RuleHit>();
  for (let own = start; own < end; own += 2) {
    const backend = backends[own]!;
    const port = backends[own + 1]!;
    const decision = decideBackend(index.program, source, backend, portIndexOf(protocol, port, -1));
    for (const hit of rulesOfSides(index, source, backend, { protocol, port, icmp: -1 }, decision)) rules.add(hit);
  }
  return [...rules];
}

function rulesOfSides(
  index: HitIndex,
  source: number,
  destination: number,
  flow: FlowPort,
  decision: number,
): readonly RuleHit[] {
  const egress = rulesOfSide(index, 'egress', source, destination, flow, decisionEgress(decision));
  const ingress = rulesOfSide(index, 'ingress', destination, source, flow, decisionIngress(decision));
  if (ingress.length === 0) return egress;
  return egress.length === 0 ? ingress : [...egress, ...ingress];
}

function rulesOfSide(
  index: HitIndex,
  direction: Direction,
  subject: number,
  peer: number,
  flow: FlowPort,
  reason: Reason,
): readonly RuleHit[] {
  if (!isByRule(reason)) return NO_RULES;
  const side = sideOf(index, direction, subject, peer, flow);
  const { header } = index.program;
  // Mixed radix: port classes are 16 bits wide, columns fill no more than their pages.
  const columns = Math.max(header[Header.EgressPagesPerRow]!, header[Header.IngressPagesPerRow]!) << Layout.PageBits;
  const key = ((side.row * columns + side.column) * 65_536 + side.portClass) * 2 + (direction === 'egress' ? 0 : 1);
  let rules = index.sides.get(key);
  if (rules === undefined) {
    const found: RuleHit[] = [];
    addSide(index, side, reason, found);
    index.sides.set(key, (rules = found));
  }
  return rules;
}

function sideOf(index: HitIndex, direction: Direction, subject: number, peer: number, flow: FlowPort): Side {
  const { endpoints, portClasses } = index.program;
  const isEgress = direction === 'egress';
  return {
    direction,
    subject,
    peer,
    row: endpoints[subject * Endpoint.Stride + (isEgress ? Endpoint.EgressRow : Endpoint.IngressRow)]!,
    column: endpoints[peer * Endpoint.Stride + (isEgress ? Endpoint.EgressColumn : Endpoint.IngressColumn)]!,
    portClass: portClasses[portIndexOf(flow.protocol, flow.port, flow.icmp)]!,
    flow,
  };
}

/** Adds the rules that decided a side for a reason, which is one of rules. */
function addSide(index: HitIndex, side: Side, reason: Reason, into: RuleHit[]): void {
  const { rules, isPlain } = candidatesOf(index, side);
  if (!isPlain) {
    for (const { hit } of decidersOf(rules, reason, (own) => matchCandidate(index, own, side))) into.push(hit);
    return;
  }
  const { direction, column } = side;
  for (let at = 0; at < rules.length; at++) {
    const { question, hit } = rules[at]!;
    if (index.matches!.matches(direction, question, column)) into.push(hit);
  }
}

/** Does a candidate certainly admit a flow? */
function matchCandidate(index: HitIndex, { rule, isPortCertain, question }: Candidate, side: Side): Ternary {
  const { matches, program } = index;
  const { dialect } = program.source;
  const { direction, peer, column, flow } = side;
  if (
    matches === undefined
      ? matchPeers(rule, factsOf(index, peer), dialect) !== 'yes'
      : !matches.matches(direction, question, column)
  )
    return 'no';
  return isPortCertain ? 'yes' : matchPorts(rule, destinationOf(index, side), flow, dialect);
}

function destinationOf(index: HitIndex, { direction, subject, peer }: Side): Facts {
  return factsOf(index, direction === 'egress' ? peer : subject);
}

function candidatesOf(index: HitIndex, side: Side): Candidates {
  const { direction, row, portClass } = side;
  const known = index.candidates[direction];
  const key = row * 65_536 + portClass;
  let candidates = known.get(key);
  if (candidates === undefined) known.set(key, (candidates = listCandidates(index, side)));
  return candidates;
}

function listCandidates(index: HitIndex, side: Side): Candidates {
  const { direction, flow } = side;
  const { matches } = index;
  const { policies, dialect } = index.program.source;
  const destination = direction === 'egress' ? ANYBODY : destinationOf(index, side);
  const rules: Candidate[] = [];
  let isPlain = matches !== undefined;
  for (const hit of rulesOfRow(index, side)) {
    const policy = policies[hit.policy]!;
    const rule = policy[direction][hit.rule]!;
    const match = matchPorts(rule, destination, flow, dialect);
    if (match === 'no') continue;
    const question = matches === undefined ? -1 : matches.questionOf(direction, hit.policy, hit.rule);
    rules.push({ policy, rule, hit, isPortCertain: match === 'yes', question });
    isPlain &&= match === 'yes' && policy.tier === 'networkpolicy';
  }
  return { rules, isPlain };
}

/** The rules of the policies that certainly select a row's subjects, in order of evaluation. */
function rulesOfRow(index: HitIndex, side: Side): readonly RuleHit[] {
  const { direction, row } = side;
  const known = index.rowRules[direction];
  let rules = known.get(row);
  if (rules === undefined) known.set(row, (rules = listRowRules(index, side)));
  return rules;
}

function listRowRules(index: HitIndex, { direction, row, subject }: Side): readonly RuleHit[] {
  const { program, matches } = index;
  if (matches === undefined)
    return certainRules(selecting(program, factsOf(index, subject)), direction).map(({ policy, rule }) =>
      hitOf(index, direction, policy, rule),
    );
  const found: RuleHit[] = [];
  for (const at of matches.policiesOf(direction, row)) {
    const policy = program.source.policies[at]!;
    if (!isGoverning(policy, direction)) continue;
    const start = firstOrdinal(index, direction, at, policy);
    for (let rule = 0; rule < policy[direction].length; rule++) found.push(index.rules[start + rule]!);
  }
  return found;
}

function hitOf(
  index: Pick<HitIndex, 'ordinals' | 'starts' | 'rules'>,
  direction: Direction,
  owner: Policy,
  rule: Rule,
): RuleHit {
  const policy = index.ordinals.get(owner)!;
  return index.rules[firstOrdinal(index, direction, policy, owner) + owner[direction].indexOf(rule)]!;
}

/** The ordinal of a policy's first rule in a direction. */
function firstOrdinal(
  { starts }: Pick<HitIndex, 'starts'>,
  direction: Direction,
  policy: number,
  owner: Policy,
): number {
  return starts[policy]! + (direction === 'egress' ? 0 : owner.egress.length);
}

function factsOf(index: HitIndex, endpoint: number): Facts {
  let facts = index.facts.get(endpoint);
  if (facts === undefined) {
    facts = factsOfEndpoint(index.program, endpoint, addressOf(index, endpoint));
    index.facts.set(endpoint, facts);
  }
  return facts;
}

/** One address that leads to an endpoint; undefined: none does, or it is a pod, whose own addresses are its facts. */
function addressOf(index: HitIndex, endpoint: number): AddressText | undefined {
  const { program } = index;
  if (kindOf(program, endpoint) === EndpointKind.Pod) return undefined;
  index.addresses ??= listAddresses(program);
  return index.addresses[endpoint];
}

/** [endpoints] one address that leads to each; which one means nothing to policies. Undefined: none does. */
function listAddresses(program: Program): readonly (AddressText | undefined)[] {
  const { root4, mid4, leaf4, starts4, values4, starts6, values6, hosts6, hostValues6 } = program;
  const addresses: (AddressText | undefined)[] = [];
  const add4 = (endpoint: number, address: number): void => {
    addresses[endpoint] ??= formatAddress(4, [address >>> 0]);
  };
  const add6 = (endpoint: number, words: Int32Array): void => {
    addresses[endpoint] ??= formatAddress(6, Uint32Array.from(words));
  };
  const seen = new Set<number>();
  const seenCells = new Set<number>();
  for (let high = 0; high < 65_536; high++) {
    if (mid4.length === 0) {
      for (let at = root4[high]!; at < root4[high + 1]!; at++) add4(values4[at]!, high * 65_536 + starts4[at]!);
      continue;
    }
    // Shared blocks are walked where they first occur.
    const mid = root4[high]!;
    if (seen.has(mid)) continue;
    seen.add(mid);
    for (let middle = 0; middle < 256; middle++) {
      const cell = mid4[mid + middle]!;
      if (seenCells.has(cell)) continue;
      seenCells.add(cell);
      const leaf = cell >>> TrieCell.Shift;
      const length = (cell & TrieCell.Mask) + 1;
      for (let low = 0; low < length; low++) add4(leaf4[leaf + low]!, high * 65_536 + middle * 256 + low);
    }
  }
  for (let slot = 0; slot < hostValues6.length; slot++)
    if (hostValues6[slot]! >= 0) add6(hostValues6[slot]!, hosts6.subarray(slot * 4, slot * 4 + 4));
  for (let at = 0; at < values6.length; at++)
    add6(
      values6[at]!,
      starts6.subarray(at * 4, at * 4 + 4).map((word) => word ^ 0x80000000),
    );
  return addresses;
}
