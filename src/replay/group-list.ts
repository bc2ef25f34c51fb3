/**
 * The groups of a result, in the order of a report. There are tens of thousands of them, and a report prints ten: so objects are made out
 * when somebody looks at them, all as plain data (`groups`), or one by one (`views`).
 */
import { formatWorkload } from '../model/cluster.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import type { Explanation } from '../model/explanation.ts';
import {
  decisionEgress,
  decisionIngress,
  decisionMissing,
  decisionVerdict,
  type Reason,
  type Verdict,
} from '../model/verdict.ts';
import { allowedCount, deniedCount, GroupCount, GroupKey, type Groups, GroupSum, OVERFLOW_GROUPS } from './group.ts';
import type { Judge, Question } from './judgement.ts';
import type { Judges } from './replay.ts';
import type { FlowGroup, GroupDecision, GroupEndpoint, Tally } from './result.ts';
import type { ShownGroups } from './hit.ts';
import type { Sample } from './sample.ts';
import type { SummaryInput } from './summary.ts';

/** What groups are made of. */
export interface GroupInput extends ShownGroups, Pick<SummaryInput, 'parties' | 'judgesOf' | 'options'> {}

/** Groups in order: most connections first within a verdict, denials before the rest; then by name, so that equal results print alike. */
export class GroupList {
  private readonly input: GroupInput;
  private seen: readonly FlowGroup[] | undefined;
  private copied: readonly FlowGroup[] | undefined;

  constructor(input: GroupInput) {
    this.input = input;
  }

  /** Every group, made out as far as it is looked at. */
  views(): readonly FlowGroup[] {
    return (this.seen ??= this.listViews());
  }

  /** The same as plain data. */
  groups(): readonly FlowGroup[] {
    return (this.copied ??= this.copyGroups());
  }

  private listViews(): FlowGroup[] {
    const views: FlowGroup[] = [];
    for (const group of orderGroups(this.input)) views.push(new GroupView(this.input, group));
    return views;
  }

  private copyGroups(): FlowGroup[] {
    const copies: FlowGroup[] = [];
    for (const view of this.views()) copies.push(copyGroup(view, copies.at(-1)));
    return copies;
  }
}

/** True where the opening of a group's connections is missing. */
export function isPartialGroup({ keys }: Groups, group: number): boolean {
  return (keys[group * GroupKey.Stride + GroupKey.Flags]! & 1) === 1;
}

/** The verdict in a word of a group's key. */
export function verdictAt({ keys }: Groups, group: number, word: GroupKey): Verdict {
  return decisionVerdict(keys[group * GroupKey.Stride + word]!);
}

/** The order of texts in results: by code units, the same everywhere. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A group that looks up what it is asked for. */
class GroupView implements FlowGroup {
  readonly #input: GroupInput;
  readonly #group: number;
  #decision: GroupDecision | undefined;
  #baseline: GroupDecision | undefined;

  constructor(input: GroupInput, group: number) {
    this.#input = input;
    this.#group = group;
  }

  get source(): GroupEndpoint {
    return this.#input.parties.get(this.#key(GroupKey.Source));
  }

  get destination(): GroupEndpoint {
    return this.#input.parties.get(this.#key(GroupKey.Destination));
  }

  get protocol(): number {
    return protocolOf(this.#key(GroupKey.Port));
  }

  get port(): number {
    return portOf(this.#key(GroupKey.Port));
  }

  get icmp(): number {
    return this.#key(GroupKey.Icmp);
  }

  get via(): string | undefined {
    return viaOf(this.#input, this.#group);
  }

  get isPartial(): boolean {
    return isPartialGroup(this.#input.groups, this.#group);
  }

  get decision(): GroupDecision {
    return (this.#decision ??= this.#decided(GroupKey.Decision, this.#judges().judge));
  }

  get baseline(): GroupDecision | undefined {
    const { baseline } = this.#judges();
    return baseline && (this.#baseline ??= this.#decided(GroupKey.Baseline, baseline));
  }

  get tally(): Tally {
    return {
      connections: this.#count(GroupCount.Connections),
      records: this.#sum(GroupSum.Records),
      bytes: this.#sum(GroupSum.Bytes),
    };
  }

  get firstUs(): number {
    return this.#sum(GroupSum.FirstUs);
  }

  get lastUs(): number {
    return this.#sum(GroupSum.LastUs);
  }

  get recorded(): FlowGroup['recorded'] {
    const { groups } = this.#input;
    return {
      allow: allowedCount(groups, this.#group, GroupCount.RecordedAllow),
      deny: deniedCount(groups, this.#group, GroupCount.RecordedAllow),
      other: this.#count(GroupCount.RecordedOther),
      firewallAllow: allowedCount(groups, this.#group, GroupCount.FirewallAllow),
      firewallDeny: deniedCount(groups, this.#group, GroupCount.FirewallAllow),
    };
  }

  get pending(): FlowGroup['pending'] {
    const { groups, contradictions, options } = this.#input;
    const allow = allowedCount(groups, this.#group, GroupCount.PendingAllow);
    const deny = deniedCount(groups, this.#group, GroupCount.PendingAllow);
    if (allow + deny === 0) return undefined;
    const found = contradictions.get(this.#group);
    const contradiction = found && options.dictionary.policyTraces[found.trace]!.pending;
    return { allow, deny, ...(contradiction !== undefined && { contradiction }) };
  }

  get sample(): FlowGroup['sample'] {
    const { file, line } = this.#sample();
    return { file, line };
  }

  #key(word: GroupKey): number {
    return this.#input.groups.keys[this.#group * GroupKey.Stride + word]!;
  }

  #sum(sum: GroupSum): number {
    return this.#input.groups.sums[this.#group * GroupSum.Stride + sum]!;
  }

  #count(count: GroupCount): number {
    return this.#input.groups.counts[this.#group * GroupCount.Stride + count]!;
  }

  #sample(): Sample {
    return this.#input.samples.get(this.#input.firstOf[this.#group]!);
  }

  #judges(): Judges {
    return this.#input.judgesOf(this.#input.samples.stateOf(this.#input.firstOf[this.#group]!));
  }

  #decided(word: GroupKey, judge: Judge): GroupDecision {
    return new LazyDecision(this.#key(word), judge, this.#sample().question);
  }
}

/**
 * A group as plain data. Groups may be many: their objects are written out whole, as spreading into them costs ten times their memory, and
 * share what the one before has, too: in their order neighbours mostly have the same counts.
 */
function copyGroup(view: FlowGroup, before: FlowGroup | undefined): FlowGroup {
  const { tally, recorded, via, baseline, pending } = view;
  const copy: { -readonly [K in keyof FlowGroup]: FlowGroup[K] } = {
    source: view.source,
    destination: view.destination,
    protocol: view.protocol,
    port: view.port,
    icmp: view.icmp,
    isPartial: view.isPartial,
    decision: view.decision,
    tally: before !== undefined && hasSame(before.tally, tally) ? before.tally : tally,
    firstUs: view.firstUs,
    lastUs: view.lastUs,
    recorded: before !== undefined && hasSame(before.recorded, recorded) ? before.recorded : recorded,
    sample: view.sample,
  };
  if (via !== undefined) copy.via = via;
  if (baseline !== undefined) copy.baseline = baseline;
  if (pending !== undefined) copy.pending = pending;
  return copy;
}

/** Are two objects of the same numbers equal? */
function hasSame<Counts extends object>(a: Counts, b: Counts): boolean {
  for (const name in a) if (a[name] !== b[name]) return false;
  return true;
}

/** Of a key's `GroupKey.Port`. */
function protocolOf(packed: number): number {
  return packed >>> 17;
}

function portOf(packed: number): number {
  return (packed & 0x1ffff) - 1;
}

/** Name of the Service that was asked for. */
function viaOf({ groups, parties }: GroupInput, group: number): string | undefined {
  const via = (groups.keys[group * GroupKey.Stride + GroupKey.Flags]! >> 1) - 1;
  return via < 0 ? undefined : nameParty(parties.get(via));
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

/** Groups by their numbers in the order of a report. */
function orderGroups(input: GroupInput): Int32Array {
  const { groups } = input;
  const { keys, sums, counts, count } = groups;
  const parties = rankParties(input);
  let order: Int32Array = new Int32Array(count - OVERFLOW_GROUPS);
  for (let index = 0; index < order.length; index++) order[index] = index + OVERFLOW_GROUPS;
  const ranks = new Int32Array(count);
  // What matters most comes last, as each sort keeps the order of those before it.
  order = sortByRank(order, rankBy(count, portNames(input), compareText));
  for (const word of [GroupKey.Destination, GroupKey.Source]) {
    for (let group = OVERFLOW_GROUPS; group < count; group++)
      ranks[group] = parties[keys[group * GroupKey.Stride + word]!]!;
    order = sortByRank(order, ranks);
  }
  const more = (a: number, b: number): number => b - a;
  const recordsOf = (group: number): number => sums[group * GroupSum.Stride + GroupSum.Records]!;
  order = sortByRank(order, rankBy(count, recordsOf, more));
  const connectionsOf = (group: number): number => counts[group * GroupCount.Stride + GroupCount.Connections]!;
  order = sortByRank(order, rankBy(count, connectionsOf, more));
  for (let group = OVERFLOW_GROUPS; group < count; group++) ranks[group] = verdictAt(groups, group, GroupKey.Decision);
  return sortByRank(order, ranks);
}

/** [parties] their place in the order of names, equal for equal ones; of those at the ends of groups. */
function rankParties({ groups, parties }: GroupInput): Int32Array {
  const { keys, count } = groups;
  const names: string[] = [];
  let length = 0;
  for (let group = OVERFLOW_GROUPS; group < count; group++)
    for (let word = GroupKey.Source; word <= GroupKey.Destination; word++) {
      const party = keys[group * GroupKey.Stride + word]!;
      // As the beginning of a longer text, so that names that others begin with come where they would in one text.
      names[party] ??= `${nameParty(parties.get(party))}>`;
      if (party >= length) length = party + 1;
    }
  return rankBy(length, (party) => names[party] ?? '', compareText);
}

/** Ranks of the numbers below `length` by what each stands for; equal ones share one. What they have in common is much: distinct values are sorted. */
function rankBy<Value>(
  length: number,
  valueOf: (number: number) => Value,
  compare: (a: Value, b: Value) => number,
): Int32Array {
  const ranks = new Map<Value, number>();
  const classes = new Int32Array(length);
  for (let number = 0; number < length; number++) {
    const value = valueOf(number);
    let known = ranks.get(value);
    if (known === undefined) ranks.set(value, (known = ranks.size));
    classes[number] = known;
  }
  const rankOf = new Int32Array(ranks.size);
  let rank = 0;
  for (const value of [...ranks.keys()].sort(compare)) rankOf[ranks.get(value)!] = rank++;
  for (let number = 0; number < length; number++) classes[number] = rankOf[classes[number]!]!;
  return classes;
}

/** Numbers by their ranks; equal ones keep their order. Everything is counted into place. */
function sortByRank(numbers: Int32Array, rankOf: Int32Array): Int32Array {
  let most = 0;
  for (let number = 0; number < rankOf.length; number++) if (rankOf[number]! > most) most = rankOf[number]!;
  /** [rank + 1] where its next number goes. */
  const places = new Int32Array(most + 2);
  for (let index = 0; index < numbers.length; index++) places[rankOf[numbers[index]!]! + 1]!++;
  for (let rank = 0; rank <= most; rank++) places[rank + 1]! += places[rank]!;
  const sorted = new Int32Array(numbers.length);
  for (let index = 0; index < numbers.length; index++) sorted[places[rankOf[numbers[index]!]!]!++] = numbers[index]!;
  return sorted;
}

/** What tells groups of the same ends apart, as text. */
function portNames(input: GroupInput): (group: number) => string {
  const { keys } = input.groups;
  const plain = new Map<number, string>();
  return (group) => {
    const at = group * GroupKey.Stride;
    if (keys[at + GroupKey.Icmp]! !== -1 || keys[at + GroupKey.Flags]! > 1) return portName(input, group);
    const port = keys[at + GroupKey.Port]!;
    let name = plain.get(port);
    if (name === undefined) plain.set(port, (name = portName(input, group)));
    return name;
  };
}

function portName(input: GroupInput, group: number): string {
  const { keys } = input.groups;
  const at = group * GroupKey.Stride;
  const port = keys[at + GroupKey.Port]!;
  return `${protocolOf(port)},${portOf(port)},${keys[at + GroupKey.Icmp]!}>${viaOf(input, group) ?? ''}`;
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
