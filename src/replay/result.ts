/** What a replay found: plain data, complete, in no particular language. `report` turns it into text. */
import type { AddressText } from '../model/address.ts';
import type { Explanation } from '../model/explanation.ts';
import type { Service, Workload } from '../model/cluster.ts';
import type { Direction, Policy, Rule } from '../model/policy.ts';
import type { PolicyHit } from '../model/recorded-policy.ts';
import type { Reason, Verdict } from '../model/verdict.ts';
import type { TraceAccount } from '../trace/account.ts';

/** What was judged: whole connections (the forecast), packets as the kernel would, or every record without state. */
export type ReplayMode = 'connections' | 'packets' | 'stateless';

/** Counts of one verdict. In mode `connections` the connection is the unit, elsewhere the record. */
export interface Tally {
  readonly connections: number;
  readonly records: number;
  readonly bytes: number;
}

/** One side of a group: pods by their workload, others by address. */
export type GroupEndpoint =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'node'; readonly name: string; readonly address?: AddressText }
  | { readonly kind: 'service'; readonly service: Pick<Service, 'namespace' | 'name'>; readonly address?: AddressText }
  /** Without an address: all outside addresses beyond the group limit. */
  | { readonly kind: 'outside'; readonly address?: AddressText }
  | { readonly kind: 'unknown-pod'; readonly address: AddressText }
  /** Known only by what records say of it. */
  | { readonly kind: 'described'; readonly namespace?: string; readonly name: string };

/** The decision about a group's connections. */
export interface GroupDecision {
  readonly verdict: Verdict;
  readonly egress: Reason;
  readonly ingress: Reason;
  /** Mask of `MissingFact`. */
  readonly missing: number;
  /** One of the group's connections, explained; for groups that are not plainly allowed on both sets. */
  readonly explanation?: Explanation;
}

/** Connections that agree in source, destination, protocol, port and decision. */
export interface FlowGroup {
  readonly source: GroupEndpoint;
  readonly destination: GroupEndpoint;
  readonly protocol: number;
  /** Destination port as the policy sees it (after translation); -1 none or unknown. */
  readonly port: number;
  /** ICMP type << 8 | code; -1 elsewhere. */
  readonly icmp: number;
  /** The Service through which the connections went, where they did. */
  readonly via?: string;
  /** Their opening is not in the trace. */
  readonly isPartial: boolean;
  readonly decision: GroupDecision;
  /** The decision of the baseline set; present with `--baseline` alone. */
  readonly baseline?: GroupDecision;
  readonly tally: Tally;
  /** First and last time of a record, microseconds; NaN where records carry none. */
  readonly firstUs: number;
  readonly lastUs: number;
  /** Connections by the verdict that the source recorded. */
  readonly recorded: {
    readonly allow: number;
    readonly deny: number;
    readonly other: number;
    readonly firewallAllow: number;
    readonly firewallDeny: number;
  };
  /** Connections by what staged policies would have done; present where the source says. */
  readonly pending?: {
    readonly allow: number;
    readonly deny: number;
    /** Where some of them contradict the forecast: the rules that the first of those records names, in order. */
    readonly contradiction?: readonly PolicyHit[];
  };
  /** The first record of the group. */
  readonly sample: { readonly file: string; readonly line: number };
}

/** Verdict -> tally. */
export interface VerdictTallies {
  readonly allow: Tally;
  readonly deny: Tally;
  readonly undecidable: Tally;
}

/** Connections by baseline and candidate verdict. */
export interface Comparison {
  /** Allowed by the baseline, denied by the candidate. */
  readonly newlyDropped: Tally;
  /** Denied by the baseline, allowed by the candidate. */
  readonly newlyAllowed: Tally;
  /** Same verdict in both sets, allow or deny. */
  readonly unchanged: Tally;
  /** Undecidable in either set. */
  readonly undecidable: Tally;
}

/** Recorded verdict of a policy against forecast, in connections that carry one; and those that others than policies gave. */
export interface RecordedComparison {
  readonly allowAllow: number;
  readonly allowDeny: number;
  readonly denyAllow: number;
  readonly denyDeny: number;
  readonly undecidable: number;
  /** Dropped for another reason than policy. */
  readonly otherDrop: number;
  /** By a cloud firewall, which is no NetworkPolicy: counted, and not compared. */
  readonly firewallAllow: number;
  readonly firewallDeny: number;
}

/** What staged policies would have done by the record, against the forecast, in connections whose source says. */
export interface PendingComparison {
  readonly allowAllow: number;
  readonly allowDeny: number;
  readonly denyAllow: number;
  readonly denyDeny: number;
  readonly undecidable: number;
}

/** What became of a connection table with a limit. Without one nothing is refused. */
export interface TrackingReport {
  /** Openings that found the table full. */
  readonly refused: number;
  /** Closing connections that a full table gave up before their time. */
  readonly evicted: number;
  /** `nf_conntrack_max` as given, and the most entries ever held; absent without a limit. */
  readonly limit?: number;
  readonly peak?: number;
}

/** A cluster over time, as the records met it. */
export interface TimelineReport {
  /** States in which policies saw it differently, and those of them that records fell into. */
  readonly states: number;
  readonly met: number;
  /** When the first state with a time began, and the last one; microseconds since 1970. */
  readonly firstUs: number;
  readonly lastUs: number;
  /** Records older than the first state, which stands for the time before it. */
  readonly early: number;
}

/** Pods of a workload that no record touched. */
export interface UntouchedWorkload {
  readonly workload: Workload;
  readonly pods: number;
}

/** How much of a replay one rule decided on its side of the connections. */
export interface RuleCount {
  readonly policy: Policy;
  readonly direction: Direction;
  readonly rule: Rule;
  readonly tally: Tally;
}

/**
 * Hits of the rules of the candidate set, partial connections among them. Every NetworkPolicy rule that certainly admits a
 * connection counts it, as their order means nothing; of a tier the one rule that decided does. Where a connection may have
 * gone to several backends or pods, it counts for the rules of each.
 */
export interface RuleUsage {
  /** Every rule of every policy, in order of evaluation; of a policy the rules of egress first. */
  readonly rules: readonly RuleCount[];
  /** Connections beyond the group limit: their rules are not known, so a rule without hits may have been used by them. */
  readonly uncounted: Tally;
}

/** The whole result. */
export interface ReplayResult {
  readonly mode: ReplayMode;
  readonly accounts: readonly TraceAccount[];
  /** Rows that replay took in, counted by replay itself. */
  readonly rows: number;
  /** Connections whose opening was seen. */
  readonly totals: VerdictTallies;
  /** Connections whose opening is not in the trace. */
  readonly partial: VerdictTallies;
  /** Records that connection tracking calls INVALID, by what was wrong; outside drops unless asked for. */
  readonly invalid: ReadonlyMap<string, Tally>;
  /** ICMP errors about tracked connections. */
  readonly related: Tally;
  /** Records that carry neither address nor name on a side. */
  readonly unplaced: Tally;
  readonly comparison?: Comparison;
  readonly recorded: RecordedComparison;
  /** Present where a source records what staged policies would do. */
  readonly pending?: PendingComparison;
  /** Connections by how the initiator came to be known: stated, flags, paired, ports, assumed. */
  readonly oriented: {
    readonly stated: number;
    readonly flags: number;
    readonly paired: number;
    readonly ports: number;
    readonly assumed: number;
  };
  /** Every group, most connections first within a verdict. */
  readonly groups: readonly FlowGroup[];
  /**
   * Those of one verdict, in the same order, each made out only as far as it is looked at: for who looks at few. Not enumerable; a result
   * that was copied, or read from JSON, has none.
   */
  readonly views?: (verdict: Verdict) => readonly FlowGroup[];
  /** Connections beyond the group limit, summed. */
  readonly ungrouped: VerdictTallies;
  /** Connections whose recorded pod is not the snapshot's holder of the address. */
  readonly disagreements: number;
  /**
   * How often a record was more than a minute older than one before it, where there are records that tell of parts of connections: such a
   * trace is not in the order of time, and parts may not have met.
   */
  readonly disorder: number;
  /** How the cluster changed over time; present where snapshots or events of several times were given. */
  readonly timeline?: TimelineReport;
  readonly tracking: TrackingReport;
  readonly untouched: readonly UntouchedWorkload[];
  readonly ruleUsage: RuleUsage;
  /** Pods that policies can govern, and how many of them some connection touched. */
  readonly pods: { readonly total: number; readonly touched: number };
  /** Services of the input, in its first state. */
  readonly services: number;
  /** False where a source lost records, or was malformed. */
  readonly isComplete: boolean;
}
