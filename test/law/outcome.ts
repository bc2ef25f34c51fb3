/** What an evaluator says of a flow, as one value that two evaluators can be compared by, and counters of what was reached. */
import type { Session } from '../../src/model/evaluator.ts';
import type { Decision, Flow } from '../../src/model/flow.ts';
import { REASONS, VERDICT_NAMES, missingFactNames } from '../../src/model/verdict.ts';

/** A decision, or that the flow names nobody. */
export type Outcome = Decision | 'unknown-name';

/** Judges; `UnknownName` is an answer, every other exception is not. */
export function ask(session: Session, flow: Flow): Outcome {
  try {
    const { verdict, egress, ingress, missing } = session.judge(flow);
    return { verdict, egress, ingress, missing };
  } catch (error) {
    // By name: the bundle has a class of its own.
    if (error instanceof Error && error.name === 'UnknownName') return 'unknown-name';
    throw error;
  }
}

/** An outcome for people: `no-rule-matches not-isolated deny`. */
export function describeOutcome(outcome: Outcome): string {
  if (outcome === 'unknown-name') return outcome;
  const { egress, ingress, verdict, missing } = outcome;
  return [REASONS[egress]!.name, REASONS[ingress]!.name, VERDICT_NAMES[verdict], ...missingFactNames(missing)].join(
    ' ',
  );
}

/** Counts verdicts, reasons and missing facts that a law reached. */
export class Reached {
  readonly counts: Map<string, number> = new Map();
  total = 0;

  add(outcome: Outcome): void {
    if (outcome === 'unknown-name') return;
    this.total++;
    const names = new Set([
      VERDICT_NAMES[outcome.verdict]!,
      `egress ${REASONS[outcome.egress]!.name}`,
      `ingress ${REASONS[outcome.ingress]!.name}`,
      ...missingFactNames(outcome.missing),
    ]);
    for (const name of names) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  /** Of all decisions, how many had this. */
  share(name: string): number {
    return (this.counts.get(name) ?? 0) / Math.max(1, this.total);
  }

  toString(): string {
    const rows = [...this.counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${count}`);
    return `${this.total} decisions: ${rows.join(', ')}`;
  }
}
