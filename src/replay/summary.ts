/** The end of a replay: sums and keys to the plain result. Explanations are made when they are asked for, not before. */
import type { Explanation } from '../model/explanation.ts';
import { formatWorkload, isGoverned, type Pod } from '../model/cluster.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import {
  decisionEgress,
  decisionIngress,
  decisionMissing,
  decisionVerdict,
  type Reason,
  Verdict,
} from '../model/verdict.ts';
import { isBalanced, total, type TraceAccount } from '../trace/account.ts';
import { INVALID_CAUSES } from '../track/state.ts';
import type { Tracker } from '../track/tracker.ts';
import {
  addTally,
  allowedCount,
  deniedCount,
  GroupCount,
  GroupKey,
  GroupSum,
  type GroupTable,
  OVERFLOW_GROUPS,
  readTally,
} from './group.ts';
import { countRules, foldClasses, type RuleSets } from './hit.ts';
import type { Judge, Question } from './judgement.ts';
import type { PartyTable } from './party.ts';
import type { Judges, ReplayCounters, ReplayOptions } from './replay.ts';
import type {
  Comparison,
  FlowGroup,
  GroupDecision,
  GroupEndpoint,
  PendingComparison,
  RecordedComparison,
  ReplayResult,
  Tally,
  UntouchedWorkload,
  VerdictTallies,
} from './result.ts';

/** The first connection of a group, kept so that it can be explained. */
export interface Sample {
  readonly question: Question;
  /** Number of the row among all rows of the replay. */
  readonly order: number;
  readonly file: string;
  readonly line: number;
  /** State of the cluster that the question was put in; 0 where there is one. */
  readonly state: number;
}

/** A policy trace whose staged policies see a group otherwise than the forecast, and the row that showed it. */
export interface Contradiction {
  /** Id of `Dictionary.policyTraces`. */
  readonly trace: number;
  readonly order: number;
}

/** Everything that a result is made of. */
export interface SummaryInput {
  readonly options: ReplayOptions;
  readonly groups: GroupTable;
  readonly samples: readonly Sample[];
  /** By group, the first one. */
  readonly contradictions: ReadonlyMap<number, Contradiction>;
  readonly parties: PartyTable;
  readonly ruleSets: RuleSets;
  /** The judges of a state that a sample was taken in. */
  readonly judgesOf: (state: number) => Judges;
  /** States of the timeline that records fell into. */
  readonly states: ReadonlySet<number>;
  readonly tracker: Pick<Tracker, 'peak' | 'refused' | 'evicted'>;
  readonly counters: ReplayCounters;
  readonly accounts: readonly TraceAccount[];
}

/** Makes the result. */
export function summarize(split: SummaryInput): ReplayResult {
  const input = { ...split, ...foldClasses(split) };
  const { options, groups, counters, accounts, tracker } = input;
  const isCompared = options.baseline !== undefined;
  const totals = new Sums();
  const partial = new Sums();
  const overflow = new Sums();
  const compared = new Sums();
  const recorded = {
    allowAllow: 0,
    allowDeny: 0,
    denyAllow: 0,
    denyDeny: 0,
    undecidable: 0,
    otherDrop: 0,
    firewallAllow: 0,
    firewallDeny: 0,
  };
  const pending = { allowAllow: 0, allowDeny: 0, denyAllow: 0, denyDeny: 0, undecidable: 0 };
  for (let group = 0; group < groups.count; group++) {
    const verdict = verdictAt(groups, group, GroupKey.Decision);
    (isPartialGroup(groups, group) ? partial : totals).add(verdict, groups, group);
    if (group < OVERFLOW_GROUPS) overflow.add(verdict, groups, group);
    if (isCompared) compared.add(compareVerdicts(verdictAt(groups, group, GroupKey.Baseline), verdict), groups, group);
    addRecorded(recorded, verdict, groups, group);
    addCompared(pending, verdict, groups, group, GroupCount.PendingAllow);
  }
  const [stated, flags, paired, ports, assumed] = counters.oriented as unknown as [
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    mode: options.mode,
    accounts,
    rows: counters.rows,
    totals: totals.verdicts(),
    partial: partial.verdicts(),
    invalid: new Map(
      [...counters.invalid].sort(([a], [b]) => a - b).map(([cause, sums]) => [INVALID_CAUSES[cause]!, tallyOf(sums)]),
    ),
    related: tallyOf(counters.related),
    unplaced: tallyOf(counters.unplaced),
    ...(isCompared && { comparison: comparisonOf(compared) }),
    recorded,
    ...(Object.values(pending).some((count) => count > 0) && { pending }),
    oriented: { stated, flags, paired, ports, assumed },
    groups: listGroups(input),
    ungrouped: overflow.verdicts(),
    disagreements: counters.disagreements,
    disorder: counters.disorder,
    ...timelineOf(input),
    tracking: {
      refused: tracker.refused,
      evicted: tracker.evicted,
      ...(options.conntrackMax !== undefined && { limit: options.conntrackMax, peak: tracker.peak }),
    },
    untouched: listUntouched(input),
    ruleUsage: countRules(split.groups, split.samples, options.program, split.judgesOf, split.ruleSets),
    pods: countPods(input),
    services: options.program.source.snapshot.services.length,
    isComplete: accounts.every(
      (account) =>
        account.lost === 0 &&
        total(account.malformed) === 0 &&
        isBalanced(account) &&
        account.diagnostics.every(({ severity }) => severity !== 'error'),
    ),
  };
}

/** Numbers of a comparison, kept apart from verdicts by their own names. */
const enum Change {
  NewlyDropped = 0,
  NewlyAllowed = 1,
  Unchanged = 2,
  Undecidable = 3,
}

/** Sums by a small number. */
class Sums {
  private readonly cells = new Float64Array(4 * 3);

  add(cell: number, groups: GroupTable, group: number): void {
    addTally(this.cells, cell, groups, group);
  }

  tally(cell: number): Tally {
    return readTally(this.cells, cell);
  }

  verdicts(): VerdictTallies {
    return {
      allow: this.tally(Verdict.Allow),
      deny: this.tally(Verdict.Deny),
      undecidable: this.tally(Verdict.Undecidable),
    };
  }
}

function comparisonOf(sums: Sums): Comparison {
  return {
    newlyDropped: sums.tally(Change.NewlyDropped),
    newlyAllowed: sums.tally(Change.NewlyAllowed),
    unchanged: sums.tally(Change.Unchanged),
    undecidable: sums.tally(Change.Undecidable),
  };
}

function compareVerdicts(baseline: Verdict, candidate: Verdict): Change {
  if (baseline === Verdict.Undecidable || candidate === Verdict.Undecidable) return Change.Undecidable;
  if (baseline === candidate) return Change.Unchanged;
  return candidate === Verdict.Deny ? Change.NewlyDropped : Change.NewlyAllowed;
}

function addRecorded(
  recorded: { -readonly [K in keyof RecordedComparison]: number },
  verdict: Verdict,
  groups: GroupTable,
  group: number,
): void {
  recorded.otherDrop += groups.counts[group * GroupCount.Stride + GroupCount.RecordedOther]!;
  recorded.firewallAllow += allowedCount(groups, group, GroupCount.FirewallAllow);
  recorded.firewallDeny += deniedCount(groups, group, GroupCount.FirewallAllow);
  addCompared(recorded, verdict, groups, group, GroupCount.RecordedAllow);
}

/** Adds a group's two sums, allowed and denied, to the cells of its forecast. */
function addCompared(
  compared: { -readonly [K in keyof PendingComparison]: number },
  verdict: Verdict,
  groups: GroupTable,
  group: number,
  first: GroupCount,
): void {
  const allowed = allowedCount(groups, group, first);
  const denied = deniedCount(groups, group, first);
  if (verdict === Verdict.Undecidable) compared.undecidable += allowed + denied;
  else if (verdict === Verdict.Allow) {
    compared.allowAllow += allowed;
    compared.denyAllow += denied;
  } else {
    compared.allowDeny += allowed;
    compared.denyDeny += denied;
  }
}

/** Most connections first within a verdict, denials before the rest; then by name, so that equal results print alike. */
function listGroups(input: SummaryInput): FlowGroup[] {
  const { groups, parties } = input;
  const { keys, sums, counts } = groups;
  const names: string[] = [];
  const nameOf = (group: number, word: GroupKey): string => {
    const party = keys[group * GroupKey.Stride + word]!;
    return (names[party] ??= `${nameParty(parties.get(party))}>`);
  };
  const plainPorts = new Map<number, string>();
  const portNameOf = (group: number): string => {
    const at = group * GroupKey.Stride;
    if (keys[at + GroupKey.Icmp]! !== -1 || keys[at + GroupKey.Flags]! > 1) return portName(input, group);
    const port = keys[at + GroupKey.Port]!;
    let name = plainPorts.get(port);
    if (name === undefined) plainPorts.set(port, (name = portName(input, group)));
    return name;
  };
  const more = (a: number, b: number): number => b - a;
  let order = new Int32Array(groups.count - OVERFLOW_GROUPS);
  for (let index = 0; index < order.length; index++) order[index] = index + OVERFLOW_GROUPS;
  // What matters most comes last, as each sort keeps the order of those before it.
  order = sortBy(order, portNameOf, compareText);
  order = sortBy(order, (group) => nameOf(group, GroupKey.Destination), compareText);
  order = sortBy(order, (group) => nameOf(group, GroupKey.Source), compareText);
  order = sortBy(order, (group) => sums[group * GroupSum.Stride + GroupSum.Records]!, more);
  order = sortBy(order, (group) => counts[group * GroupCount.Stride + GroupCount.Connections]!, more);
  order = sortBy(
    order,
    (group) => verdictAt(groups, group, GroupKey.Decision),
    (a, b) => a - b,
  );
  const listed: FlowGroup[] = [];
  for (let index = 0; index < order.length; index++)
    listed.push(makeGroup(input, order[index]!, listed[index - 1] ?? NO_NEIGHBOUR));
  return listed;
}

/**
 * Numbers by what each stands for; equal ones keep their order. Groups are many and what they have in common is not: the
 * distinct values are sorted, and everything is counted into place.
 */
function sortBy<Value>(
  numbers: Int32Array<ArrayBuffer>,
  valueOf: (number: number) => Value,
  compare: (a: Value, b: Value) => number,
): Int32Array<ArrayBuffer> {
  const { length } = numbers;
  const known = new Map<Value, number>();
  const classes = new Int32Array(length);
  for (let index = 0; index < length; index++) {
    const value = valueOf(numbers[index]!);
    let found = known.get(value);
    if (found === undefined) known.set(value, (found = known.size));
    classes[index] = found;
  }
  /** [class] where its next number goes. */
  const places = new Int32Array(known.size);
  for (let index = 0; index < length; index++) places[classes[index]!]!++;
  let place = 0;
  for (const value of [...known.keys()].sort(compare)) {
    const own = known.get(value)!;
    const size = places[own]!;
    places[own] = place;
    place += size;
  }
  const sorted = new Int32Array(length);
  for (let index = 0; index < length; index++) sorted[places[classes[index]!]!++] = numbers[index]!;
  return sorted;
}

/** What tells groups of the same ends apart, as text. */
function portName(input: SummaryInput, group: number): string {
  const { keys } = input.groups;
  const at = group * GroupKey.Stride;
  const { protocol, port } = portOf(keys[at + GroupKey.Port]!);
  return `${protocol},${port},${keys[at + GroupKey.Icmp]!}>${viaOf(input, group) ?? ''}`;
}

/** What a group may share with the one before it. */
type Neighbour = Pick<FlowGroup, 'tally' | 'recorded'>;

const NO_NEIGHBOUR: Neighbour = {
  tally: { connections: 0, records: 0, bytes: 0 },
  recorded: { allow: 0, deny: 0, other: 0, firewallAllow: 0, firewallDeny: 0 },
};

/**
 * Groups may be many: their objects are written out whole, as spreading into them costs ten times their memory, and in their order
 * neighbours mostly have the same counts.
 */
function makeGroup(input: SummaryInput, group: number, before: Neighbour): FlowGroup {
  const { groups, parties, samples } = input;
  const { keys, sums } = groups;
  const at = group * GroupKey.Stride;
  const from = group * GroupSum.Stride;
  const { protocol, port } = portOf(keys[at + GroupKey.Port]!);
  const { question, file, line, state } = samples[group]!;
  const judges = input.judgesOf(state);
  const made: { -readonly [K in keyof FlowGroup]: FlowGroup[K] } = {
    source: parties.get(keys[at + GroupKey.Source]!),
    destination: parties.get(keys[at + GroupKey.Destination]!),
    protocol,
    port,
    icmp: keys[at + GroupKey.Icmp]!,
    isPartial: isPartialGroup(groups, group),
    decision: new LazyDecision(keys[at + GroupKey.Decision]!, judges.judge, question),
    tally: tallyAt(groups, group, before.tally),
    firstUs: sums[from + GroupSum.FirstUs]!,
    lastUs: sums[from + GroupSum.LastUs]!,
    recorded: recordedAt(groups, group, before.recorded),
    sample: { file, line },
  };
  const via = viaOf(input, group);
  if (via !== undefined) made.via = via;
  if (judges.baseline !== undefined)
    made.baseline = new LazyDecision(keys[at + GroupKey.Baseline]!, judges.baseline, question);
  const pending = pendingOf(input, group);
  if (pending !== undefined) made.pending = pending;
  return made;
}

function tallyAt({ sums, counts }: GroupTable, group: number, before: Tally): Tally {
  const connections = counts[group * GroupCount.Stride + GroupCount.Connections]!;
  const records = sums[group * GroupSum.Stride + GroupSum.Records]!;
  const bytes = sums[group * GroupSum.Stride + GroupSum.Bytes]!;
  return before.connections === connections && before.records === records && before.bytes === bytes
    ? before
    : { connections, records, bytes };
}

function recordedAt(groups: GroupTable, group: number, before: FlowGroup['recorded']): FlowGroup['recorded'] {
  const allow = allowedCount(groups, group, GroupCount.RecordedAllow);
  const deny = deniedCount(groups, group, GroupCount.RecordedAllow);
  const firewallAllow = allowedCount(groups, group, GroupCount.FirewallAllow);
  const firewallDeny = deniedCount(groups, group, GroupCount.FirewallAllow);
  const other = groups.counts[group * GroupCount.Stride + GroupCount.RecordedOther]!;
  return before.allow === allow &&
    before.deny === deny &&
    before.other === other &&
    before.firewallAllow === firewallAllow &&
    before.firewallDeny === firewallDeny
    ? before
    : { allow, deny, other, firewallAllow, firewallDeny };
}

function timelineOf({ options: { timeline }, states, counters }: SummaryInput): Pick<ReplayResult, 'timeline'> {
  if (timeline === undefined) return {};
  const { fromUs } = timeline;
  const firstUs = fromUs.find((time) => time > -Infinity) ?? NaN;
  return {
    timeline: { states: fromUs.length, met: states.size, firstUs, lastUs: fromUs.at(-1)!, early: counters.early },
  };
}

/** A key's `GroupKey.Port`, taken apart. */
function portOf(packed: number): { readonly protocol: number; readonly port: number } {
  return { protocol: packed >>> 17, port: (packed & 0x1ffff) - 1 };
}

/** Name of the Service that was asked for. */
function viaOf({ groups, parties }: SummaryInput, group: number): string | undefined {
  const via = (groups.keys[group * GroupKey.Stride + GroupKey.Flags]! >> 1) - 1;
  return via < 0 ? undefined : nameParty(parties.get(via));
}

function pendingOf({ groups, contradictions, options }: SummaryInput, group: number): FlowGroup['pending'] {
  const allow = allowedCount(groups, group, GroupCount.PendingAllow);
  const deny = deniedCount(groups, group, GroupCount.PendingAllow);
  if (allow + deny === 0) return undefined;
  const found = contradictions.get(group);
  const contradiction = found && options.dictionary.policyTraces[found.trace]!.pending;
  return { allow, deny, ...(contradiction !== undefined && { contradiction }) };
}

/** A decision whose explanation is worked out when it is asked for; of one shape, as there are many and few are asked. */
class LazyDecision implements GroupDecision {
  readonly verdict: Verdict;
  readonly egress: Reason;
  readonly ingress: Reason;
  readonly missing: number;
  readonly #judge: Judge;
  readonly #question: Question;
  #known: { readonly value: Explanation | undefined } | undefined;

  constructor(packed: number, judge: Judge, question: Question) {
    this.verdict = decisionVerdict(packed);
    this.egress = decisionEgress(packed);
    this.ingress = decisionIngress(packed);
    this.missing = decisionMissing(packed);
    this.#judge = judge;
    this.#question = question;
  }

  get explanation(): Explanation | undefined {
    return (this.#known ??= { value: this.#judge.explain(this.#question) }).value;
  }
}

/** The pods that policies govern, in any state that records fell into, and whether some connection touched each. */
function listPods({ options, parties, states }: SummaryInput): { readonly pod: Pod; readonly isTouched: boolean }[] {
  const { timeline, program } = options;
  if (timeline === undefined || states.size === 0)
    return program.source.snapshot.pods
      .map((pod, index) => ({ pod, isTouched: parties.touched[index] === 1 }))
      .filter(({ pod }) => isGoverned(pod));
  const pods = new Map<string, Pod>();
  for (const state of states)
    for (const pod of timeline.snapshotAt(state).pods)
      if (isGoverned(pod)) pods.set(`${pod.isStandIn ? pod.workload.kind : ''}/${pod.namespace}/${pod.name}`, pod);
  return [...pods.values()].map((pod) => ({ pod, isTouched: parties.hasTouched(pod) }));
}

function countPods(input: SummaryInput): { total: number; touched: number } {
  let total = 0;
  let touched = 0;
  for (const { pod, isTouched } of listPods(input)) {
    total += pod.count;
    if (isTouched) touched += pod.count;
  }
  return { total, touched };
}

/** Pods that no connection touched, by workload. */
function listUntouched(input: SummaryInput): UntouchedWorkload[] {
  const counts = new Map<string, { workload: UntouchedWorkload['workload']; pods: number }>();
  for (const { pod, isTouched } of listPods(input)) {
    if (isTouched) continue;
    const key = formatWorkload(pod.workload);
    const entry = counts.get(key) ?? { workload: pod.workload, pods: 0 };
    counts.set(key, { ...entry, pods: entry.pods + pod.count });
  }
  return [...counts].sort(([a], [b]) => compareText(a, b)).map(([, entry]) => entry);
}

function nameParty(party: GroupEndpoint): string {
  switch (party.kind) {
    case 'workload':
      return formatWorkload(party.workload);
    case 'service':
      return formatEndpoint({ kind: 'service', ...party.service });
    case 'node':
      return party.name === '' ? (party.address ?? 'a node') : party.name;
    case 'described':
      return party.namespace === undefined ? party.name : `${party.namespace}/${party.name}`;
    default:
      return party.address ?? 'other outside addresses';
  }
}

function isPartialGroup({ keys }: GroupTable, group: number): boolean {
  return (keys[group * GroupKey.Stride + GroupKey.Flags]! & 1) === 1;
}

function verdictAt({ keys }: GroupTable, group: number, word: GroupKey): Verdict {
  return decisionVerdict(keys[group * GroupKey.Stride + word]!);
}

function tallyOf({ records, bytes }: { readonly records: number; readonly bytes: number }): Tally {
  return { connections: 0, records, bytes };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
