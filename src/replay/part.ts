/**
 * Parts: what each thread of a replay has found, as plain data, and the result of them all. Rows that meet in a connection
 * are one thread's, sums of whole numbers do not care about order, and what does depend on the order of rows (which groups
 * are kept apart, which connection stands for a group) is decided here by the numbers of the rows. So the result is that
 * of one thread.
 */
import { Verdict } from '../model/verdict.ts';
import type { TraceAccount } from '../trace/account.ts';
import type { InvalidCause } from '../track/state.ts';
import {
  addSums,
  DEFAULT_GROUP_LIMIT,
  GroupKey,
  type GroupSums,
  GroupTable,
  mapParties,
  overflowGroup,
  OVERFLOW_GROUPS,
} from './group.ts';
import { keepFirst, RuleSets } from './hit.ts';
import { createJudge } from './judgement.ts';
import { createParties, type PackedParties, type PartyTable } from './party.ts';
import { createPlacer } from './place.ts';
import type { ReplayCounters, ReplayOptions } from './replay.ts';
import type { ReplayResult } from './result.ts';
import { orderOfSample, orderSamples, type PackedSamples, Samples } from './sample.ts';
import { type Contradiction, summarize } from './summary.ts';

/** Plain data: it can be posted to another thread. */
export interface Part extends GroupSums {
  /** [groups x 9], see `GroupKey`. */
  readonly keys: Int32Array;
  readonly samples: PackedSamples;
  readonly contradictions: ReadonlyMap<number, Contradiction>;
  /** As numbered in the keys. */
  readonly parties: PackedParties;
  /** By number, as in the keys: ordinals of rules. */
  readonly ruleSets: readonly (readonly number[])[];
  /** [pods] 1 where some connection touched the pod. */
  readonly touched: Uint8Array;
  readonly counters: ReplayCounters;
  readonly rowsByKernel: number;
}

/** The result of a replay that was split. */
export function mergeParts(
  parts: readonly Part[],
  options: ReplayOptions,
  accounts: readonly TraceAccount[],
  known?: Pick<ReplayResult, 'isComplete'>,
): ReplayResult {
  const { program, dictionary } = options;
  const placer = createPlacer(program, dictionary);
  const parties = createParties(program, dictionary);
  const limit = options.groupLimit ?? DEFAULT_GROUP_LIMIT;
  const most = parts.reduce((sum, { keys }) => sum + keys.length / GroupKey.Stride, 0);
  const expected = Math.min(limit, most);
  const groups = new GroupTable(limit, undefined, expected);
  const samples = new Samples(expected);
  const contradictions = new Map<number, Contradiction>();
  const ruleSets = new RuleSets();
  // By part: its parties, as far as they have been met, in the numbers of the result.
  const met = parts.map((part) => new Int32Array(part.parties.addresses.length / 3).fill(-1));
  eachGroup(parts, (part, index, group) => {
    const before = groups.count;
    const own = met[index]!;
    const partyOf = (party: number): number => {
      if (own[party]! < 0) own[party] = parties.ofPacked(part.parties, party);
      return own[party]!;
    };
    const target = internGroup(groups, parties, ruleSets, part, group, partyOf);
    if (groups.count > before) samples.copy(target, part.samples, group);
    addSums(groups, target, part, group);
    keepFirst(contradictions, target, part.contradictions.get(group));
  });
  for (const { touched } of parts) touched.forEach((isTouched, pod) => (parties.touched[pod]! |= isTouched));
  const judges = {
    judge: createJudge(program, dictionary, placer),
    baseline: options.baseline && createJudge(options.baseline, dictionary, placer),
  };
  const input = {
    options,
    groups,
    samples,
    contradictions,
    parties,
    ruleSets,
    judgesOf: () => judges,
    states: new Set<number>(),
    tracker: { peak: 0, refused: 0, evicted: 0 },
    counters: sumCounters(parts.map(({ counters }) => counters)),
    accounts,
  };
  return summarize(input, known);
}

/** Visits every group of every part, in the order of their first rows; those of the overflow first, which have no first row. */
function eachGroup(parts: readonly Part[], visit: (part: Part, index: number, group: number) => void): void {
  for (let group = 0; group < OVERFLOW_GROUPS; group++) parts.forEach((part, index) => visit(part, index, group));
  const ordered = parts.map(({ samples }) => orderSamples(samples));
  const next = new Int32Array(parts.length);
  for (;;) {
    let first = -1;
    let least = Infinity;
    for (let index = 0; index < parts.length; index++) {
      const groups = ordered[index]!;
      if (next[index] === groups.length) continue;
      const order = orderOfSample(parts[index]!.samples, groups[next[index]!]!);
      if (order < least) {
        least = order;
        first = index;
      }
    }
    if (first < 0) return;
    visit(parts[first]!, first, ordered[first]![next[first]!++]!);
  }
}

/** The group of the result: as it is, pooled, or summed by verdict, by the rules of `Replaying.groupOf`. */
function internGroup(
  groups: GroupTable,
  parties: PartyTable,
  ruleSets: RuleSets,
  part: Part,
  group: number,
  partyOf: (party: number) => number,
): number {
  if (group < OVERFLOW_GROUPS) return group;
  const { key } = groups;
  const at = group * GroupKey.Stride;
  for (let word = 0; word < GroupKey.Stride; word++) key[word] = part.keys[at + word]!;
  mapParties(key, partyOf);
  const set = ~key[GroupKey.SourceClass]!;
  if (set >= 0) key[GroupKey.SourceClass] = ~ruleSets.intern(part.ruleSets[set]!);
  const apart = groups.intern();
  if (apart >= 0) return apart;
  mapParties(key, parties.pooled);
  const pooled = groups.intern('pool');
  if (pooled >= 0) return pooled;
  const baseline = key[GroupKey.Baseline]!;
  return overflowGroup(
    key[GroupKey.Flags]! & 1,
    baseline < 0 ? Verdict.Allow : baseline & 3,
    key[GroupKey.Decision]! & 3,
  );
}

function sumCounters(parts: readonly ReplayCounters[]): ReplayCounters {
  const sum: ReplayCounters = {
    rows: 0,
    invalid: new Map<InvalidCause, { records: number; bytes: number }>(),
    related: { records: 0, bytes: 0 },
    unplaced: { records: 0, bytes: 0 },
    disagreements: 0,
    disorder: 0,
    oriented: new Float64Array(5),
    early: 0,
  };
  const add = (to: { records: number; bytes: number }, more: { records: number; bytes: number }): void => {
    to.records += more.records;
    to.bytes += more.bytes;
  };
  for (const part of parts) {
    sum.rows += part.rows;
    sum.disagreements += part.disagreements;
    // Each thread's clock sees all rows; whether it matters may be known to one alone.
    sum.disorder = Math.max(sum.disorder, part.disorder);
    add(sum.related, part.related);
    add(sum.unplaced, part.unplaced);
    part.oriented.forEach((count, by) => (sum.oriented[by]! += count));
    for (const [cause, tally] of part.invalid) {
      const known = sum.invalid.get(cause) ?? { records: 0, bytes: 0 };
      sum.invalid.set(cause, known);
      add(known, tally);
    }
  }
  return sum;
}
