/**
 * Groups as people read them: those that differ only in an outside address become one item, so that a scan from a thousand
 * addresses is one line and not a thousand. Machine formats keep the groups themselves.
 */
import type { FlowGroup, GroupDecision, GroupEndpoint, ReplayMode, ReplayResult, Tally } from '../replay/result.ts';
import { Verdict } from '../model/verdict.ts';
import type { Names } from './name.ts';
import { groupEndpointText } from './phrase.ts';
import { formatCount } from './quantity.ts';

/** One or more groups that agree in everything but an outside address. */
export interface Item {
  /** The first of them: it stands for the others in everything that they share. */
  readonly group: FlowGroup;
  /** Every endpoint of that side; one element unless the side is folded. */
  readonly sources: readonly GroupEndpoint[];
  readonly destinations: readonly GroupEndpoint[];
  readonly tally: Tally;
  readonly firstUs: number;
  readonly lastUs: number;
}

/** The largest items of some groups, and what the others come to. */
export interface Folded {
  readonly items: readonly Item[];
  /** How many items are beyond those, and their sum. */
  readonly hidden: number;
  readonly rest: Tally;
}

/** What a replay in a mode counts: connections, packets or records. */
export interface Unit {
  readonly singular: string;
  count(tally: Tally): number;
}

/** Where a group stands between two policy sets. */
export type Change = 'newly-dropped' | 'newly-allowed' | 'unchanged' | 'undecidable';

/** All verdicts in the order of groups. */
const VERDICTS: readonly Verdict[] = [Verdict.Deny, Verdict.Undecidable, Verdict.Allow];

/** The groups of some verdicts, in their order, for who prints few: what is not asked of one is not worked out. */
export function groupsOf(result: ReplayResult, verdicts: readonly Verdict[] = VERDICTS): readonly FlowGroup[] {
  const { views } = result;
  if (views === undefined) return result.groups.filter(({ decision }) => verdicts.includes(decision.verdict));
  return verdicts.length === 1 ? views(verdicts[0]!) : verdicts.flatMap((verdict) => views(verdict));
}

/** The unit of a mode. */
export function unitOf(mode: ReplayMode): Unit {
  if (mode === 'connections') return { singular: 'connection', count: (tally) => tally.connections };
  return { singular: mode === 'packets' ? 'packet' : 'record', count: (tally) => tally.records };
}

/** Candidate against baseline; undefined without a baseline. */
export function changeOf(group: FlowGroup): Change | undefined {
  if (group.baseline === undefined) return undefined;
  const before = group.baseline.verdict;
  const after = group.decision.verdict;
  if (before === Verdict.Undecidable || after === Verdict.Undecidable) return 'undecidable';
  if (before === after) return 'unchanged';
  return after === Verdict.Deny ? 'newly-dropped' : 'newly-allowed';
}

/**
 * Folds groups into items, the largest first, and makes `top` of them. Groups are explained only where others agree with them in
 * everything cheaper: an explanation costs more than a thousand look-ups.
 */
export function foldGroups(groups: readonly FlowGroup[], unit: Unit, top: number = Infinity): Folded {
  const numberOf = createNumbering();
  // A fold goes by its first group; mostly that is all of it.
  const folds: number[] = [];
  const membersOf = new Map<number, readonly number[]>();
  const talliesOf = (first: number): readonly Tally[] =>
    (membersOf.get(first) ?? [first]).map((index) => groups[index]!.tally);
  const counts = new Float64Array(groups.length);
  const add = (members: readonly number[]): void => {
    const [first] = members as readonly [number];
    folds.push(first);
    if (members.length > 1) membersOf.set(first, members);
    counts[first] = unit.count(sumTallies(talliesOf(first)));
  };
  /** Those that are explained, and those beyond, which are folded by their reasons alone. */
  const alike = [new Map<string, number[]>(), new Map<string, number[]>()] as const;
  for (let index = 0; index < groups.length; index++) {
    const group = groups[index]!;
    if (isAlone(group)) {
      folds.push(index);
      counts[index] = unit.count(group.tally);
      continue;
    }
    const buckets = alike[index < EXPLAINED_GROUPS ? 0 : 1];
    const key = foldKey(group, numberOf);
    const members = buckets.get(key);
    if (members === undefined) buckets.set(key, [index]);
    else members.push(index);
  }
  for (const members of alike[0].values())
    if (members.length === 1) add(members);
    else splitByCause(members, groups).forEach(add);
  for (const members of alike[1].values()) add(members);
  folds.sort((a, b) => counts[b]! - counts[a]! || a - b);
  const hidden = folds.slice(top);
  return {
    items: folds.slice(0, top).map((first) =>
      toItem(
        (membersOf.get(first) ?? [first]).map((index) => groups[index]!),
        sumTallies(talliesOf(first)),
        numberOf,
      ),
    ),
    hidden: hidden.length,
    rest: sumTallies(hidden.flatMap(talliesOf)),
  };
}

/** The sum of some tallies. */
export function sumTallies(tallies: readonly Tally[]): Tally {
  let connections = 0;
  let records = 0;
  let bytes = 0;
  for (const tally of tallies) {
    connections += tally.connections;
    records += tally.records;
    bytes += tally.bytes;
  }
  return { connections, records, bytes };
}

/** One side of an item: a name, or the first addresses and how many more. */
export function endpointsText(endpoints: readonly GroupEndpoint[], names: Names): string {
  if (endpoints.length === 1) return groupEndpointText(endpoints[0]!, names);
  const kind = endpoints[0]!.kind === 'outside' ? 'outside addresses' : 'addresses without a known pod';
  const shown = endpoints
    .slice(0, 2)
    .map((endpoint) => ('address' in endpoint ? names.show('address', endpoint.address ?? '') : ''));
  const rest = endpoints.length > 2 ? ', ...' : '';
  const isPooled = endpoints.some((endpoint) => endpoint.kind === 'outside' && endpoint.address === undefined);
  const count = isPooled ? `more than ${formatCount(endpoints.length - 1)}` : formatCount(endpoints.length);
  return `${count} ${kind} (${shown.filter((text) => text !== '').join(', ')}${rest})`;
}

/** Explaining costs more than grouping: groups beyond these, smallest last, are folded by their reasons alone. */
const EXPLAINED_GROUPS = 2_000;

/** The number of an endpoint, the same for equal ones. */
type Numbering = (endpoint: GroupEndpoint) => number;

/** Endpoints are mostly shared objects, so that few are looked into. */
function createNumbering(): Numbering {
  const known = new Map<GroupEndpoint, number>();
  const byContent = new Map<string, number>();
  return (endpoint) => {
    let number = known.get(endpoint);
    if (number === undefined) {
      const content = JSON.stringify(endpoint);
      number = byContent.get(content) ?? byContent.size;
      byContent.set(content, number);
      known.set(endpoint, number);
    }
    return number;
  };
}

/** Either side may be folded, never both: what stays must still say where to look. */
function foldKey(group: FlowGroup, numberOf: Numbering): string {
  const { source, destination, protocol, port, icmp, via, isPartial, decision, baseline } = group;
  const isSourceFolded = isFoldable(source);
  const from = isSourceFolded ? source.kind : numberOf(source);
  const to = !isSourceFolded && isFoldable(destination) ? destination.kind : numberOf(destination);
  const before = baseline === undefined ? '' : decisionKey(baseline);
  const asked = via === undefined ? '' : `>${via}`;
  return `${from},${to},${protocol},${port},${icmp},${isPartial},${decisionKey(decision)},${before}${asked}`;
}

/** Workloads are named and not folded: a group between two of them, with no Service that others may be called like, is the only one of its key. */
function isAlone({ source, destination, via }: FlowGroup): boolean {
  return source.kind === 'workload' && destination.kind === 'workload' && via === undefined;
}

function isFoldable(endpoint: GroupEndpoint): boolean {
  return endpoint.kind === 'outside' || endpoint.kind === 'unknown-pod';
}

function decisionKey({ verdict, egress, ingress, missing }: GroupDecision): string {
  return `${verdict}.${egress}.${ingress}.${missing}`;
}

/** Apart what other rules decided, or came nearest. */
function splitByCause(members: readonly number[], groups: readonly FlowGroup[]): readonly (readonly number[])[] {
  const split = new Map<string, number[]>();
  for (const index of members) {
    const { decision, baseline } = groups[index]!;
    const key = JSON.stringify([causeKey(decision), baseline && causeKey(baseline)]);
    const same = split.get(key);
    if (same === undefined) split.set(key, [index]);
    else same.push(index);
  }
  return [...split.values()];
}

function causeKey({ explanation }: GroupDecision): unknown[] {
  return [explanation?.egress, explanation?.ingress].flatMap((side) =>
    [side?.decidedBy, side?.nearest].map(
      (reference) => reference && [reference.policy.namespace, reference.policy.name, reference.rule.index],
    ),
  );
}

function toItem(groups: readonly FlowGroup[], tally: Tally, numberOf: Numbering): Item {
  const [group] = groups as readonly [FlowGroup];
  if (groups.length === 1) {
    const { source, destination, firstUs, lastUs } = group;
    return { group, sources: [source], destinations: [destination], tally, firstUs, lastUs };
  }
  const times = groups.filter(({ firstUs }) => !Number.isNaN(firstUs));
  return {
    group,
    sources: uniqueEndpoints(
      groups.map(({ source }) => source),
      numberOf,
    ),
    destinations: uniqueEndpoints(
      groups.map(({ destination }) => destination),
      numberOf,
    ),
    tally,
    firstUs: times.reduce((least, { firstUs }) => Math.min(least, firstUs), times.length > 0 ? Infinity : NaN),
    lastUs: times.reduce((most, { lastUs }) => Math.max(most, lastUs), times.length > 0 ? -Infinity : NaN),
  };
}

function uniqueEndpoints(endpoints: readonly GroupEndpoint[], numberOf: Numbering): readonly GroupEndpoint[] {
  return [...new Map(endpoints.map((endpoint) => [numberOf(endpoint), endpoint])).values()];
}
