/** What a run says: the table for people, as text and as Markdown. */
import type { Outcome, RowResult } from './row.ts';

/** Goal, figure and spread of every row, one line each. */
export function formatOutcomes(results: readonly RowResult[]): string {
  const lines = results.flatMap(({ row, outcomes, isRight }) => [
    ...outcomes.map((outcome) => [
      row.name,
      outcome.goal.text,
      goalOf(outcome),
      figureOf(outcome),
      spreadOf(outcome),
      outcome.state,
    ]),
    ...(isRight ? [] : [[row.name, 'results', 'agree', 'differ', '', 'missed']]),
  ]);
  const head = ['row', 'figure', 'goal', 'median', 'spread', ''];
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]!.length)));
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The bound as text; empty where there is none. */
export function goalOf({ goal: { atLeast, atMost } }: Outcome): string {
  if (atLeast !== undefined) return `>= ${atLeast}`;
  return atMost === undefined ? '' : `<= ${atMost}`;
}

/** The median over the rounds. */
export function figureOf({ median }: Outcome): string {
  return median === undefined ? 'not measured' : formatFigure(median);
}

/** Lowest and highest round. */
export function spreadOf({ median, low, high }: Outcome): string {
  return median === undefined ? '' : `${formatFigure(low)} to ${formatFigure(high)}`;
}

/** Three digits. */
export function formatFigure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
