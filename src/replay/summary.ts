/** The end of a replay: sums and keys to the plain result. Explanations are made when they are asked for, not before. */
import { formatWorkload, isGoverned, type Pod } from '../model/cluster.ts';
import { Verdict } from '../model/verdict.ts';
import { isBalanced, total, type TraceAccount } from '../trace/account.ts';
import { INVALID_CAUSES } from '../track/state.ts';
import type { Tracker } from '../track/tracker.ts';
import {
  addTally,
  allowedCount,
  deniedCount,
  GroupCount,
  GroupKey,
  type Groups,
  OVERFLOW_GROUPS,
  readTally,
} from './group.ts';
import { compareText, GroupList, isPartialGroup, verdictAt } from './group-list.ts';
import { countRules, foldClasses, type RuleSets } from './hit.ts';
import type { PartyTable } from './party.ts';
import type { Judges, ReplayCounters, ReplayOptions } from './replay.ts';
import type { Samples } from './sample.ts';
import type {
  Comparison,
  PendingComparison,
  RecordedComparison,
  ReplayResult,
  Tally,
  UntouchedWorkload,
  VerdictTallies,
} from './result.ts';

/** A policy trace whose staged policies see a group otherwise than the forecast, and the row that showed it. */
export interface Contradiction {
  /** Id of `Dictionary.policyTraces`. */
  readonly trace: number;
  readonly order: number;
}

/** Everything that a result is made of. */
export interface SummaryInput {
  readonly options: ReplayOptions;
  readonly groups: Groups;
  readonly samples: Samples;
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

/** Makes the result; `isComplete` where the caller knows better than the accounts. Groups are made out when somebody looks at them. */
export function summarize(split: SummaryInput, known?: Pick<ReplayResult, 'isComplete'>): ReplayResult {
  const { options, counters, accounts, tracker, parties, judgesOf } = split;
  const shown = foldClasses(split);
  const { groups } = shown;
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
    if (!hasTestimony(groups, group)) continue;
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
  // A result may be kept for long: it holds what its groups are made of, and neither the table of connections nor the replay.
  const list = new GroupList({ ...shown, parties, judgesOf, options });
  const result: ReplayResult = {
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
    get groups() {
      return list.groups();
    },
    ungrouped: overflow.verdicts(),
    disagreements: counters.disagreements,
    disorder: counters.disorder,
    ...timelineOf(split),
    tracking: {
      refused: tracker.refused,
      evicted: tracker.evicted,
      ...(options.conntrackMax !== undefined && { limit: options.conntrackMax, peak: tracker.peak }),
    },
    untouched: listUntouched(split),
    ruleUsage: countRules(split.groups, split.samples, options.program, split.judgesOf, split.ruleSets),
    pods: countPods(split),
    services: options.program.source.snapshot.services.length,
    ...(known ?? { isComplete: isCompleteBy(accounts) }),
  };
  // The same once more: whoever copies or compares a result has no use for it.
  return Object.defineProperty(result, 'views', { value: (verdict: Verdict) => list.views(verdict) });
}

function isCompleteBy(accounts: readonly TraceAccount[]): boolean {
  return accounts.every(
    (account) =>
      account.lost === 0 &&
      total(account.malformed) === 0 &&
      isBalanced(account) &&
      account.diagnostics.every(({ severity }) => severity !== 'error'),
  );
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

  add(cell: number, groups: Groups, group: number): void {
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

/** Did a record of a group say what became of its connection? Mostly none does. */
function hasTestimony({ counts }: Groups, group: number): boolean {
  const at = group * GroupCount.Stride;
  for (let count = at + GroupCount.RecordedAllow; count <= at + GroupCount.PendingDeny; count++)
    if (counts[count] !== 0) return true;
  return false;
}

function addRecorded(
  recorded: { -readonly [K in keyof RecordedComparison]: number },
  verdict: Verdict,
  groups: Groups,
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
  groups: Groups,
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

function timelineOf({ options: { timeline }, states, counters }: SummaryInput): Pick<ReplayResult, 'timeline'> {
  if (timeline === undefined) return {};
  const { fromUs } = timeline;
  const firstUs = fromUs.find((time) => time > -Infinity) ?? NaN;
  return {
    timeline: { states: fromUs.length, met: states.size, firstUs, lastUs: fromUs.at(-1)!, early: counters.early },
  };
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

function tallyOf({ records, bytes }: { readonly records: number; readonly bytes: number }): Tally {
  return { connections: 0, records, bytes };
}
