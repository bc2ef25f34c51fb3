/**
 * Groups as people read them: those that differ only in an outside address become one item, so that a scan from a thousand
 * addresses is one line and not a thousand. Machine formats keep the groups themselves.
 */
import type { FlowGroup, GroupDecision, GroupEndpoint, ReplayMode, Tally } from '../replay/result.ts';
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

/** What a replay in a mode counts: connections, packets or records. */
export interface Unit {
  readonly singular: string;
  count(tally: Tally): number;
}

/** Where a group stands between two policy sets. */
export type Change = 'newly-dropped' | 'newly-allowed' | 'unchanged' | 'undecidable';

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

/** Folds groups into items, the largest first. */
export function foldGroups(groups: readonly FlowGroup[], unit: Unit): Item[] {
  const items = new Map<string, FlowGroup[]>();
  for (const [index, group] of groups.entries()) {
    const key = foldKey(group, index < EXPLAINED_GROUPS ? 'explained' : 'plain');
    const members = items.get(key);
    if (members === undefined) items.set(key, [group]);
    else members.push(group);
  }
  return [...items.values()].map(toItem).sort((a, b) => unit.count(b.tally) - unit.count(a.tally));
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

function toItem(groups: FlowGroup[]): Item {
  const times = groups.filter((group) => !Number.isNaN(group.firstUs));
  return {
    group: groups[0]!,
    sources: uniqueEndpoints(groups.map((group) => group.source)),
    destinations: uniqueEndpoints(groups.map((group) => group.destination)),
    tally: sumTallies(groups.map((group) => group.tally)),
    firstUs: times.reduce((least, group) => Math.min(least, group.firstUs), times.length > 0 ? Infinity : NaN),
    lastUs: times.reduce((most, group) => Math.max(most, group.lastUs), times.length > 0 ? -Infinity : NaN),
  };
}

/** Explaining costs more than grouping: groups beyond these, smallest last, are folded by their reasons alone. */
const EXPLAINED_GROUPS = 2_000;

/** Either side may be folded, never both: what stays must still say where to look. */
function foldKey(group: FlowGroup, depth: 'explained' | 'plain'): string {
  const source = endpointKey(group.source);
  const folded = isFoldable(group.source);
  const sides = folded
    ? [group.source.kind, endpointKey(group.destination)]
    : [source, isFoldable(group.destination) ? group.destination.kind : endpointKey(group.destination)];
  return JSON.stringify([
    ...sides,
    group.protocol,
    group.port,
    group.icmp,
    group.via,
    group.isPartial,
    decisionKey(group.decision, depth),
    group.baseline && decisionKey(group.baseline, depth),
  ]);
}

function isFoldable(endpoint: GroupEndpoint): boolean {
  return endpoint.kind === 'outside' || endpoint.kind === 'unknown-pod';
}

function endpointKey(endpoint: GroupEndpoint): string {
  return JSON.stringify(endpoint);
}

function uniqueEndpoints(endpoints: readonly GroupEndpoint[]): GroupEndpoint[] {
  return [...new Map(endpoints.map((endpoint) => [endpointKey(endpoint), endpoint])).values()];
}

function decisionKey(decision: GroupDecision, depth: 'explained' | 'plain'): string {
  const parts: unknown[] = [decision.verdict, decision.egress, decision.ingress, decision.missing];
  if (depth === 'plain') return JSON.stringify(parts);
  for (const direction of ['egress', 'ingress'] as const) {
    const side = decision.explanation?.[direction];
    for (const reference of [side?.decidedBy, side?.nearest])
      parts.push(reference?.policy.namespace, reference?.policy.name, reference?.rule.index);
  }
  return JSON.stringify(parts);
}
