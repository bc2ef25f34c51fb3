/** Results as plain values that can be compared. */
import type { ReplayResult } from '../../src/replay/result.ts';

/** Everything of a result but its explanations, which are made when they are asked for. */
export function summaryOf(result: ReplayResult): Record<string, unknown> {
  const { rows, totals, partial, invalid, related, unplaced, comparison, recorded, disagreements, disorder, pods } =
    result;
  return {
    rows,
    totals,
    partial,
    related,
    unplaced,
    comparison,
    recorded,
    disagreements,
    disorder,
    pods,
    invalid: [...invalid],
    oriented: Object.values(result.oriented),
    rules: result.ruleUsage.rules.map(({ tally }) => tally),
    uncounted: result.ruleUsage.uncounted,
    ungrouped: Object.values(result.ungrouped),
    groups: result.groups.map(({ decision, baseline, ...group }) => ({
      ...group,
      decision: { ...decision, explanation: undefined },
      baseline: baseline && { ...baseline, explanation: undefined },
    })),
  };
}
