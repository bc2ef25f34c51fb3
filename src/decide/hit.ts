/**
 * Which rules decided: for two endpoints and a port, the rules that admit or deny the flow on each side. The answer depends on
 * row, column and port class alone, and is worked out once for each of them without a word, so that counting the hits of every rule
 * over a replay costs a look-up for each group of connections, and nothing for a record.
 */
import { Endpoint, EndpointKind, Header, Layout, portIndexOf, ServiceSlot, TrieCell } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { type AddressText, formatAddress } from '../model/address.ts';
import type { Explanation } from '../model/explanation.ts';
import type { Direction, Policy, Position, Rule } from '../model/policy.ts';
import { decisionEgress, decisionIngress, Reason } from '../model/verdict.ts';
import { decideBackend, decideDirect, findService } from './decide.ts';
import { certainRules, type Decider, decidersOf, decidersShown, selecting } from './decider.ts';
import { type Facts, factsOfEndpoint } from './fact.ts';
import { type FlowPort, matchPeers, matchPorts, matchRule, type PortHolder } from './match.ts';

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
  const portIndex = portIndexOf(protocol, port, icmp);
  const kind = program.endpoints[destination * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Mask;
  const slot = findService(program, destination, protocol, port);
  if (slot >= 0) return rulesOfBackends(index, source, slot, protocol);
  if (kind === EndpointKind.Service) return [];
  const decision = decideDirect(program, source, destination, portIndex);
  return rulesOfSides(index, source, destination, { protocol, port, icmp }, decision);
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
  const shown = sides.flatMap(({ direction, policies, reason }) =>
    decidersShown(policies, reason).map(({ policy, rule }) => hitOf(index, direction, policy, rule)),
  );
  return [...new Set(shown)];
}

/** A rule that may decide, as counts know it. */
interface Candidate extends Decider {
  readonly hit: RuleHit;
  /** It admits the port on every destination. */
  readonly isPortCertain: boolean;
}

interface HitIndex {
  readonly program: Program;
  readonly ordinals: ReadonlyMap<Policy, number>;
  /** By ordinal. */
  readonly rules: readonly RuleHit[];
  /** [policies] ordinal of the first rule. */
  readonly starts: readonly number[];
  /** By source and slot of the service table. */
  readonly services: Map<number, readonly RuleHit[]>;
  /** By row and port class. */
  readonly candidates: Readonly<Record<Direction, Map<number, readonly Candidate[]>>>;
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
      ordinals: new Map(policies.map((policy, at) => [policy, at])),
      ...numberRules(policies),
      services: new Map(),
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
  const starts = policies.map((owner, policy) => {
    const start = rules.length;
    for (const direction of ['egress', 'ingress'] as const)
      owner[direction].forEach(({ position }, rule) =>
        rules.push({ policy, ordinal: rules.length, direction, rule, position }),
      );
    return start;
  });
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
  const outward = decisionEgress(decision);
  const inward = decisionIngress(decision);
  const egress = isByRule(outward) ? rulesOfSide(index, 'egress', source, destination, flow, outward) : NO_RULES;
  if (!isByRule(inward)) return egress;
  const ingress = rulesOfSide(index, 'ingress', destination, source, flow, inward);
  return egress.length === 0 ? ingress : [...egress, ...ingress];
}

function isByRule(reason: Reason): boolean {
  return reason === Reason.AllowedByRule || reason === Reason.DeniedByRule;
}

function rulesOfSide(
  index: HitIndex,
  direction: Direction,
  subject: number,
  peer: number,
  flow: FlowPort,
  reason: Reason,
): readonly RuleHit[] {
  const { endpoints, portClasses, header } = index.program;
  const [rowField, columnField] =
    direction === 'egress'
      ? [Endpoint.EgressRow, Endpoint.EgressColumn]
      : [Endpoint.IngressRow, Endpoint.IngressColumn];
  const row = endpoints[subject * Endpoint.Stride + rowField]!;
  const column = endpoints[peer * Endpoint.Stride + columnField]!;
  const portClass = portClasses[portIndexOf(flow.protocol, flow.port, flow.icmp)]!;
  // Mixed radix: port classes are 16 bits wide, columns fill no more than their pages.
  const columns = Math.max(header[Header.EgressPagesPerRow]!, header[Header.IngressPagesPerRow]!) << Layout.PageBits;
  const key = ((row * columns + column) * 65_536 + portClass) * 2 + (direction === 'egress' ? 0 : 1);
  let rules = index.sides.get(key);
  if (rules === undefined) {
    const { program } = index;
    const { dialect } = program.source;
    const ofSubject = factsOf(index, subject);
    const ofPeer = factsOf(index, peer);
    const destination = direction === 'egress' ? ofPeer : ofSubject;
    const candidates = candidatesOf(index, direction, ofSubject, row * 65_536 + portClass, flow);
    const deciders = decidersOf(candidates, reason, ({ rule, isPortCertain }) =>
      isPortCertain ? matchPeers(rule, ofPeer, dialect) : matchRule(rule, ofPeer, destination, flow, dialect),
    );
    index.sides.set(key, (rules = deciders.map(({ hit }) => hit)));
  }
  return rules;
}

/** The rules of a subject's row that may admit a port class, whoever the peer is; `key` is both. */
function candidatesOf(
  { program, candidates, ...index }: HitIndex,
  direction: Direction,
  subject: Facts,
  key: number,
  flow: FlowPort,
): readonly Candidate[] {
  const known = candidates[direction].get(key);
  if (known !== undefined) return known;
  const { dialect } = program.source;
  const destination = direction === 'egress' ? ANYBODY : subject;
  const found: Candidate[] = [];
  for (const { policy, rule } of certainRules(selecting(program, subject), direction)) {
    const match = matchPorts(rule, destination, flow, dialect);
    if (match !== 'no')
      found.push({ policy, rule, isPortCertain: match === 'yes', hit: hitOf(index, direction, policy, rule) });
  }
  candidates[direction].set(key, found);
  return found;
}

function hitOf(
  index: Pick<HitIndex, 'ordinals' | 'starts' | 'rules'>,
  direction: Direction,
  owner: Policy,
  rule: Rule,
): RuleHit {
  const policy = index.ordinals.get(owner)!;
  const start = index.starts[policy]! + (direction === 'egress' ? 0 : owner.egress.length);
  return index.rules[start + owner[direction].indexOf(rule)]!;
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
  const kind = program.endpoints[endpoint * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Mask;
  if (kind === EndpointKind.Pod) return undefined;
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
      const leaf = cell & TrieCell.Offset;
      const length = cell < 0 ? 256 : 1;
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
