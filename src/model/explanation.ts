/**
 * The slow twin of a decision: every policy and rule that took part, and why each did or did not match. Plain data, printed
 * by report and compared with decide by tests.
 */
import type { AddressText } from './address.ts';
import type { Labels } from './label.ts';
import type { Action, Direction, Peer, Policy, Position, Rule } from './policy.ts';
import type { PortMatch } from './port.ts';
import type { Reason, Verdict } from './verdict.ts';
import type { Service, Workload } from './cluster.ts';

/** Yes, no, or not known: Kleene's values for one match. */
export type Ternary = 'yes' | 'no' | 'unknown';

/** What an endpoint turned out to be. */
export interface ResolvedEndpoint {
  readonly kind: 'pod' | 'node' | 'outside' | 'unknown-pod' | 'service' | 'described';
  readonly address?: AddressText;
  readonly namespace?: string;
  /** Pod, node or Service name; for `described`, what the record says. */
  readonly name?: string;
  readonly workload?: Workload;
  readonly labels?: Labels;
  readonly namespaceLabels?: Labels;
  readonly node?: string;
  /** False where labels come from a record that may leave some out. */
  readonly areLabelsComplete: boolean;
}

/** How one peer of a rule fared. */
export interface PeerExplanation {
  readonly peer: Peer;
  readonly position?: Position;
  readonly match: Ternary;
  /** A sentence, such as `admits role=web; the source is role=frontend`. Empty where it matches. */
  readonly why: string;
}

/** How one port match of a rule fared. */
export interface PortExplanation {
  readonly port: PortMatch;
  readonly position?: Position;
  readonly match: Ternary;
  readonly why: string;
}

/** How one rule fared: `match` is peers AND ports. */
export interface RuleExplanation {
  readonly rule: Rule;
  readonly action: Action;
  readonly match: Ternary;
  /** `yes` where the rule has no peers or ports of its own. */
  readonly peersMatch: Ternary;
  readonly portsMatch: Ternary;
  readonly peers: readonly PeerExplanation[];
  readonly ports: readonly PortExplanation[];
}

/** A rule with its policy. */
export interface RuleReference {
  readonly policy: Policy;
  readonly rule: Rule;
}

/** One policy that selects (or may select) the subject. */
export interface PolicyExplanation {
  readonly policy: Policy;
  readonly selectsSubject: Ternary;
  /** Put into words when it is first asked for: a policy may have thousands of peers, and a report asks for none. */
  readonly rules: readonly RuleExplanation[];
}

/** One side of a flow. */
export interface SideExplanation {
  readonly direction: Direction;
  readonly subject: ResolvedEndpoint;
  readonly peer: ResolvedEndpoint;
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Mask of `MissingFact`. */
  readonly missing: number;
  /** In order of evaluation: admin tier, NetworkPolicy, baseline tier. */
  readonly policies: readonly PolicyExplanation[];
  /** The rule that decided (first certain match), where one did. */
  readonly decidedBy?: RuleReference;
  /** Every rule that did what was decided, that one first: of a tier no other, of NetworkPolicies all that certainly match. */
  readonly deciders?: readonly RuleReference[];
  /** For a deny without a match: the rule that came nearest, how its halves fared, and what it lacked. */
  readonly nearest?: RuleReference &
    Pick<RuleExplanation, 'peersMatch' | 'portsMatch'> & {
      readonly why: string;
    };
}

/** A flow, both sides. */
export interface Explanation {
  readonly source: ResolvedEndpoint;
  readonly destination: ResolvedEndpoint;
  readonly protocol: number;
  /** After translation; undefined where unknown or without ports. */
  readonly port?: number;
  readonly icmp?: number;
  readonly verdict: Verdict;
  readonly missing: number;
  /** Without `via`: the two sides. With it: those of the backend that decides (the first denied, else undecidable, else any). */
  readonly egress: SideExplanation;
  readonly ingress: SideExplanation;
  /** The flow went to a Service (or node port, host port): every backend on its own. */
  readonly via?: {
    readonly service?: Service;
    /** What the translation was: `ClusterIP 10.96.0.10:80`, `node port 31000`, ... */
    readonly text: string;
    readonly backends: readonly Explanation[];
  };
}
