/**
 * Testimony: what records say became of their connections, summed beside the forecast. Policies, cloud firewalls and staged
 * policies are kept apart; of what several observers say of one connection a denial counts, once.
 */
import { type Dictionary, type FlowBatch, RecordedVerdict } from '../model/flow.ts';
import { pendingVerdict } from '../model/recorded-policy.ts';
import { Verdict } from '../model/verdict.ts';
import { Data, GroupCount, GroupKey, type GroupTable } from './group.ts';
import type { Contradiction } from './summary.ts';

/** What a connection's records said of its fate. */
const enum Recorded {
  None = 0,
  Allow = 1,
  Deny = 2,
  Other = 3,
}

/** The testimony of one replay; sums go to the groups. */
export class Testimony {
  /** Group -> the first policy trace whose staged policies see it otherwise than the forecast. */
  readonly contradictions: Map<number, Contradiction> = new Map();
  private readonly groups: GroupTable;
  private readonly dictionary: Dictionary;
  /** Verdict of the staged policies of a policy trace, by its id. */
  private readonly pendingVerdicts: RecordedVerdict[] = [];

  constructor(groups: GroupTable, dictionary: Dictionary) {
    this.groups = groups;
    this.dictionary = dictionary;
  }

  /**
   * Keeps one verdict of each kind a connection: a denial outweighs what other observers let through. `known` is what its earlier
   * rows said, as bits of `Data.RecordedMask`; the same with this row is returned. `order` is the row's number in the replay.
   */
  count(group: number, known: number, batch: FlowBatch, row: number, order: number): number {
    const verdict = batch.recordedVerdict[row]!;
    const trace = batch.policies[row]!;
    const next = verdict === RecordedVerdict.None ? known : this.countVerdict(group, known, verdict);
    if (trace === 0) return next;
    const pending = this.pendingOf(group, trace, order);
    return this.countGraver(group, next, Data.PendingShift, GroupCount.PendingAllow, pending);
  }

  /** The same for a row that stands for many connections: its own, and denials of what another end let through. */
  countSummed(group: number, batch: FlowBatch, row: number, order: number): void {
    const verdict = batch.recordedVerdict[row]!;
    const trace = batch.policies[row]!;
    const connections = batch.connections[row]!;
    const repeats = batch.repeats[row]!;
    const said = recordedOf(verdict);
    if (verdict >= RecordedVerdict.FirewallAllow) {
      const isDenied = verdict === RecordedVerdict.FirewallDeny;
      this.addGraver(group, GroupCount.FirewallAllow, isDenied ? 2 : 1, connections, repeats);
    } else if (said === Recorded.Other)
      this.groups.counts[group * GroupCount.Stride + GroupCount.RecordedOther]! += connections;
    else if (said !== Recorded.None) this.addGraver(group, GroupCount.RecordedAllow, said, connections, repeats);
    if (trace !== 0)
      this.addGraver(group, GroupCount.PendingAllow, this.pendingOf(group, trace, order), connections, repeats);
  }

  private countVerdict(group: number, known: number, verdict: RecordedVerdict): number {
    if (verdict >= RecordedVerdict.FirewallAllow) {
      const said = verdict - RecordedVerdict.FirewallAllow + 1;
      return this.countGraver(group, known, Data.FirewallShift, GroupCount.FirewallAllow, said);
    }
    const had = known & Data.PolicyMask;
    const said = recordedOf(verdict);
    if (said === Recorded.None || said === had || had === Recorded.Deny) return known;
    if (had === Recorded.Allow && said === Recorded.Other) return known;
    const { counts } = this.groups;
    const base = group * GroupCount.Stride + GroupCount.RecordedAllow - 1;
    if (had !== Recorded.None) counts[base + had]! -= 1;
    counts[base + said]! += 1;
    return known - had + said;
  }

  /** Of two sums, "let through" (1) and "denied" (2), that a connection counts in: a denial outweighs the other end. */
  private countGraver(group: number, known: number, shift: number, first: GroupCount, said: number): number {
    const had = (known >> shift) & 3;
    if (said <= had) return known;
    const { counts } = this.groups;
    const base = group * GroupCount.Stride + first - 1;
    if (had !== 0) counts[base + had]! -= 1;
    counts[base + said]! += 1;
    return known + ((said - had) << shift);
  }

  private addGraver(group: number, first: GroupCount, said: number, connections: number, repeats: number): void {
    if (said === 0) return;
    const { counts } = this.groups;
    const base = group * GroupCount.Stride + first;
    counts[base + said - 1]! += connections;
    if (said !== 2) return;
    // The other end's row may come later: the sum may be negative until then, and `deniedSum` sees to the rest.
    counts[base]! -= repeats;
    counts[base + 1]! += repeats;
  }

  /** 0 where the trace does not say, 1 where its staged policies would let through, 2 where they would deny. */
  private pendingOf(group: number, trace: number, order: number): number {
    const verdict = (this.pendingVerdicts[trace] ??= pendingVerdict(this.dictionary.policyTraces[trace]!));
    if (verdict === RecordedVerdict.None) return 0;
    const forecast = this.groups.keys[group * GroupKey.Stride + GroupKey.Decision]! & 3;
    const isDenied = verdict === RecordedVerdict.Deny;
    if (forecast !== Verdict.Undecidable && isDenied !== (forecast === Verdict.Deny) && !this.contradictions.has(group))
      this.contradictions.set(group, { trace, order });
    return isDenied ? 2 : 1;
  }
}

function recordedOf(verdict: RecordedVerdict): Recorded {
  switch (verdict) {
    case RecordedVerdict.None:
      return Recorded.None;
    case RecordedVerdict.Allow:
    case RecordedVerdict.Audit:
      return Recorded.Allow;
    case RecordedVerdict.Deny:
      return Recorded.Deny;
    default:
      return Recorded.Other;
  }
}
