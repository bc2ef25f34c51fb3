/**
 * The scenario file: the unit of test, of bug report and of fuzz output. One text file: a sentence, `covers:` lines, then
 * `-- cluster.yaml --`, `-- policy.yaml --`, `-- packets --` (one line a packet) and `-- expected --` (one line a packet).
 */
import type { Packet } from './flow.ts';
import type { Reason, Verdict } from './verdict.ts';
import type { Dialect } from './dialect.ts';

/** What must come out for one packet. `reason` undefined: not asserted (`*` in the file). */
export interface Expectation {
  readonly egress: Reason | undefined;
  readonly ingress: Reason | undefined;
  readonly verdict: Verdict;
  /** Mask of `MissingFact` that must come out exactly; undefined: not asserted. */
  readonly missing?: number;
}

/** A scenario as read; the manifests stay text, the manifest room reads them. */
export interface Scenario {
  /** What it shows, in a sentence or more. */
  readonly title: string;
  /** Rule ids of docs/semantics.md, such as `NP-07`. */
  readonly covers: readonly string[];
  /** Knobs that differ from the default dialect. */
  readonly dialect: Partial<Dialect>;
  /** Text of the manifests and the line of the scenario file on which each begins, counted from 1. */
  readonly cluster: { readonly text: string; readonly line: number };
  readonly policy: { readonly text: string; readonly line: number };
  /** True: packets are one stream through the tracker; false: each is judged alone. */
  readonly isTracked: boolean;
  readonly packets: readonly Packet[];
  readonly expected: readonly Expectation[];
  /** For scenarios of refused manifests: `line code` of each diagnostic expected, instead of packets. */
  readonly diagnostics: readonly { readonly line: number; readonly code: string; readonly text: string }[];
}
