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
  Verdict,
} from '../model/verdict.ts';
import { allowedCount, deniedCount, GroupCount, GroupKey, type Groups, GroupSum, OVERFLOW_GROUPS } from './group.ts';
import type { FlowGroup, GroupDecision, GroupEndpoint, Tally } from './result.ts';
import type { ShownGroups } from './hit.ts';
import type { Sample } from './sample.ts';
import type { SummaryInput } from './summary.ts';

/** What groups are made of. */
export interface GroupInput extends ShownGroups, Pick<SummaryInput, 'parties' | 'judgesOf' | 'options'> {}

/** Groups in order: most connections first within a verdict, denials before the rest; then by name, so that equal results print alike. */
export class GroupList {
  private readonly input: GroupInput;
  private readonly seen = new Map<Verdict, readonly FlowGroup[]>();
  private copied: readonly FlowGroup[] | undefined;

  constructor(input: GroupInput) {
    this.input = input;
  }

  /** The groups of one verdict, each made out as far as it is looked at. */
  views(verdict: Verdict): readonly FlowGroup[] {
    let views = this.seen.get(verdict);
    if (views === undefined) this.seen.set(verdict, (views = this.listViews(verdict)));
    return views;
  }

  /** Every group as plain data. */
  groups(): readonly FlowGroup[] {
    return (this.copied ??= this.copyGroups());
  }

  private listViews(verdict: Verdict): FlowGroup[] {
    const views: FlowGroup[] = [];
    for (const group of orderGroups(this.input, verdict)) views.push(new GroupView(this.input, group));
    return views;
  }

  private copyGroups(): FlowGroup[] {
    const copies: FlowGroup[] = [];
    for (const verdict of [Verdict.Deny, Verdict.Undecidable, Verdict.Allow])
      for (const view of this.views(verdict)) copies.push(copyGroup(view, copies.at(-1)));
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
    return this.#input.parties.get(keyAt(this.#input, this.#group, GroupKey.Source));
  }

  get destination(): GroupEndpoint {
    return this.#input.parties.get(keyAt(this.#input, this.#group, GroupKey.Destination));
  }

  get protocol(): number {
    return protocolOf(keyAt(this.#input, this.#group, GroupKey.Port));
  }

  get port(): number {
    return portOf(keyAt(this.#input, this.#group, GroupKey.Port));
  }

  get icmp(): number {
    return keyAt(this.#input, this.#group, GroupKey.Icmp);
  }

  get via(): string | undefined {
    return viaOf(this.#input, this.#group);
  }

  get isPartial(): boolean {
    return isPartialGroup(this.#input.groups, this.#group);
  }

  get decision(): GroupDecision {
    return (this.#decision ??= new LazyDecision(this.#input, this.#group, GroupKey.Decision));
  }

  get baseline(): GroupDecision | undefined {
    if (this.#input.options.baseline === undefined) return undefined;
    return (this.#baseline ??= new LazyDecision(this.#input, this.#group, GroupKey.Baseline));
  }

  get tally(): Tally {
    return {
      connections: countAt(this.#input, this.#group, GroupCount.Connections),
      records: sumAt(this.#input, this.#group, GroupSum.Records),
      bytes: sumAt(this.#input, this.#group, GroupSum.Bytes),
    };
  }

  get firstUs(): number {
    return sumAt(this.#input, this.#group, GroupSum.FirstUs);
  }

  get lastUs(): number {
    return sumAt(this.#input, this.#group, GroupSum.LastUs);
  }

  get recorded(): FlowGroup['recorded'] {
    const { groups } = this.#input;
    return {
      allow: allowedCount(groups, this.#group, GroupCount.RecordedAllow),
      deny: deniedCount(groups, this.#group, GroupCount.RecordedAllow),
      other: countAt(this.#input, this.#group, GroupCount.RecordedOther),
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
    const { file, line } = sampleOf(this.#input, this.#group);
    return { file, line };
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

/**
 * A decision whose explanation is worked out whenever it is asked for, and kept by nobody else: it names every rule and block that did not
 * match, a megabyte where policies are large, and a report asks for those of thousands of groups. Of one shape, as there are many and few are asked.
 */
class LazyDecision implements GroupDecision {
  readonly verdict: Verdict;
  readonly egress: Reason;
  readonly ingress: Reason;
  readonly missing: number;
  readonly #input: GroupInput;
  readonly #group: number;
  readonly #word: GroupKey.Decision | GroupKey.Baseline;

  constructor(input: GroupInput, group: number, word: GroupKey.Decision | GroupKey.Baseline) {
    const packed = keyAt(input, group, word);
    this.verdict = decisionVerdict(packed);
    this.egress = decisionEgress(packed);
    this.ingress = decisionIngress(packed);
    this.missing = decisionMissing(packed);
    this.#input = input;
    this.#group = group;
    this.#word = word;
  }

  get explanation(): Explanation | undefined {
    const { question, state } = sampleOf(this.#input, this.#group);
    const { judge, baseline } = this.#input.judgesOf(state);
    return (this.#word === GroupKey.Decision ? judge : baseline!).explain(question);
  }
}

function keyAt({ groups }: GroupInput, group: number, word: GroupKey): number {
  return groups.keys[group * GroupKey.Stride + word]!;
}

function sumAt({ groups }: GroupInput, group: number, sum: GroupSum): number {
  return groups.sums[group * GroupSum.Stride + sum]!;
}

function countAt({ groups }: GroupInput, group: number, count: GroupCount): number {
  return groups.counts[group * GroupCount.Stride + count]!;
}

function sampleOf({ samples, firstOf }: GroupInput, group: number): Sample {
  return samples.get(firstOf[group]!);
}

/** The groups of a verdict by their numbers, in the order of a report. */
function orderGroups(input: GroupInput, verdict: Verdict): Int32Array {
  const { groups } = input;
  const found: number[] = [];
  for (let group = OVERFLOW_GROUPS; group < groups.count; group++)
    if (verdictAt(groups, group, GroupKey.Decision) === verdict) found.push(group);
  let order: Int32Array = Int32Array.from(found);
  const parties = rankParties(input, order);
  const more = (a: number, b: number): number => b - a;
  // What matters most comes last, as each sort keeps the order of those before it.
  order = sortByRank(order, rankBy(order, portNames(input), compareText));
  for (const word of [GroupKey.Destination, GroupKey.Source]) {
    const ranks = new Int32Array(order.length);
    for (let at = 0; at < order.length; at++) ranks[at] = parties[keyAt(input, order[at]!, word)]!;
    order = sortByRank(order, ranks);
  }
  order = sortByRank(
    order,
    rankBy(order, (group) => sumAt(input, group, GroupSum.Records), more),
  );
  return sortByRank(
    order,
    rankBy(order, (group) => countAt(input, group, GroupCount.Connections), more),
  );
}

/** [parties] their place in the order of names, equal for equal ones; of those at the ends of some groups. */
function rankParties(input: GroupInput, groups: Int32Array): Int32Array {
  const { parties } = input;
  const names: string[] = [];
  const met: number[] = [];
  for (let at = 0; at < groups.length; at++)
    for (let word = GroupKey.Source; word <= GroupKey.Destination; word++) {
      const party = keyAt(input, groups[at]!, word);
      if (names[party] !== undefined) continue;
      // As the beginning of a longer text, so that names that others begin with come where they would in one text.
      names[party] = `${nameParty(parties.get(party))}>`;
      met.push(party);
    }
  const ranks = rankBy(Int32Array.from(met), (party) => names[party]!, compareText);
  const byParty = new Int32Array(names.length);
  for (let at = 0; at < met.length; at++) byParty[met[at]!] = ranks[at]!;
  return byParty;
}

/** [numbers] ranks by what each stands for; equal ones share one. What they have in common is much: distinct values are sorted. */
function rankBy<Value>(
  numbers: Int32Array,
  valueOf: (number: number) => Value,
  compare: (a: Value, b: Value) => number,
): Int32Array {
  const classes = new Map<Value, number>();
  const ranks = new Int32Array(numbers.length);
  for (let at = 0; at < numbers.length; at++) {
    const value = valueOf(numbers[at]!);
    let known = classes.get(value);
    if (known === undefined) classes.set(value, (known = classes.size));
    ranks[at] = known;
  }
  const rankOf = new Int32Array(classes.size);
  let rank = 0;
  for (const value of [...classes.keys()].sort(compare)) rankOf[classes.get(value)!] = rank++;
  for (let at = 0; at < ranks.length; at++) ranks[at] = rankOf[ranks[at]!]!;
  return ranks;
}

/** Numbers by their ranks, which are [numbers] too; equal ones keep their order. Everything is counted into place. */
function sortByRank(numbers: Int32Array, ranks: Int32Array): Int32Array {
  let most = 0;
  for (let at = 0; at < ranks.length; at++) if (ranks[at]! > most) most = ranks[at]!;
  /** [rank + 1] where its next number goes. */
  const places = new Int32Array(most + 2);
  for (let at = 0; at < ranks.length; at++) places[ranks[at]! + 1]!++;
  for (let rank = 0; rank <= most; rank++) places[rank + 1]! += places[rank]!;
  const sorted = new Int32Array(numbers.length);
  for (let at = 0; at < numbers.length; at++) sorted[places[ranks[at]!]!++] = numbers[at]!;
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
