/**
 * What a source says of policies beside its verdict: the rules that it names, those in force and those that are only staged.
 * Rows point to a trace by its number in `Dictionary.policyTraces`, because few traces stand behind many records.
 */
import { RecordedVerdict } from './flow.ts';

/** One rule that a source names, in its own words. */
export interface PolicyHit {
  /** Kind of the policy as the source spells it, such as `NetworkPolicy` or `StagedGlobalNetworkPolicy`. */
  readonly kind?: string;
  readonly tier?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly action: PolicyAction;
  /** Place of the rule in its policy, from 0; -1 no rule of it (a tier's end). Absent: the source does not say. */
  readonly rule?: number;
  /** The policy is staged: recorded, and not in force. */
  readonly isStaged: boolean;
}

/** What a rule does; `pass` hands over to the next tier. */
export type PolicyAction = 'allow' | 'deny' | 'pass';

/** The rules behind one record, each list in the order of evaluation. */
export interface PolicyTrace {
  /** In force when the record was made. */
  readonly enforced: readonly PolicyHit[];
  /** The rules that would have been met with the staged policies in force; empty: the source does not say. */
  readonly pending: readonly PolicyHit[];
}

/** What the staged policies would have done: the action of the last rule, None where there is none that decides. */
export function pendingVerdict({ pending }: PolicyTrace): RecordedVerdict {
  switch (pending.at(-1)?.action) {
    case 'allow':
      return RecordedVerdict.Allow;
    case 'deny':
      return RecordedVerdict.Deny;
    default:
      return RecordedVerdict.None;
  }
}
