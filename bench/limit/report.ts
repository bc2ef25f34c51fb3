/** What runs say: the table for people, and docs/performance.md with its plots. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Plot, drawPlot } from './plot.ts';
import type { StoredOutcome, StoredRow } from './row.ts';
import { formatRate } from './run.ts';

/** Goal, figure and spread of every row, one line each. */
export function formatOutcomes(rows: readonly StoredRow[]): string {
  const lines = rows.flatMap(({ name, outcomes, isRight }) => [
    ...outcomes.map((outcome) => [name, ...cellsOf(outcome)]),
    ...(isRight ? [] : [[name, 'results', 'agree', 'differ', '', 'missed']]),
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

/** Writes docs/performance.md and docs/performance/*.svg below `docs`. */
export function writePage(docs: string, rows: readonly StoredRow[], plots: readonly Plot[]): void {
  const folder = join(docs, 'performance');
  mkdirSync(folder, { recursive: true });
  for (const plot of plots) writeFileSync(join(folder, `${plot.name}.svg`), drawPlot(plot));
  writeFileSync(join(docs, 'performance.md'), formatPage(rows, plots));
}

/** The page as Markdown. */
export function formatPage(rows: readonly StoredRow[], plots: readonly Plot[]): string {
  const open = rows.flatMap((row) =>
    row.outcomes
      .filter(({ state }) => state === 'missed' || state === 'not measured')
      .map((outcome) => {
        const [text, goal, median, spread] = cellsOf(outcome);
        const reason =
          outcome.state === 'missed'
            ? `${median} (${spread})${beyond(outcome)}`
            : `not measured${row.problems.length > 0 ? `: ${row.problems.join('; ')}` : ''}`;
        return `* ${row.title}: ${text} ${goal}, is ${reason}`;
      }),
  );
  const judged = rows.flatMap(({ outcomes }) => outcomes.filter(({ state }) => state !== 'shown')).length;
  return `# Performance

This page is written by \`npm run bench:limit -- --page\`; [bench/README.md](../bench/README.md) says how it measures. Every figure is a
ratio that was taken in one run on the same data, with results that agree by hash, or a limit that stands beside it. *C* is a reference of
the same structure in \`bench/limit\`, built with \`cc -O3 -march=native\`, which takes the fastest form on the machine that it runs on. The
median and the spread (lowest to highest) are over rounds of fresh processes that take turns; a goal is missed where no round reached it.

${environmentsOf(rows)}

${judged - open.length} of ${judged} goals are reached.

| part | figure | goal | median | spread | |
|---|---|---|---|---|---|
${rows.flatMap((row) => row.outcomes.map((outcome) => `| ${row.title} | ${cellsOf(outcome).join(' | ')} |`)).join('\n')}

## What is not yet at its goal

${open.length === 0 ? 'Nothing.' : open.join('\n')}

## How cost grows

${plots.map(({ name, title }) => `![${title}](performance/${name}.svg)`).join('\n\n')}

Both axes are logarithmic. *plain* is the engine in plain TypeScript, as bundled; *naive* and *Map* are what one writes first
(bench/peers).

## Who took part

Rates of the median round.

| part | ${'rates'} |
|---|---|
${rows.map(({ title, rates }) => `| ${title} | ${rates.map(({ name, rate, seconds }) => `${name} ${rate < 20 ? `${formatFigure(seconds * 1000)} ms` : formatRate(rate)}`).join(', ')} |`).join('\n')}

${rows
  .filter(({ note }) => note !== undefined)
  .map(({ title, note }) => `* ${title}: ${note}`)
  .join('\n')}
`;
}

/** Rows may come from several runs: machine and load, and which rows are small. */
function environmentsOf(rows: readonly StoredRow[]): string {
  const machines = new Map<string, StoredRow[]>();
  for (const row of rows) {
    const { node, platform, cpu, cores, memoryGib } = row.environment;
    const text = `Node ${node}, ${platform}, ${cpu}, ${cores} cores, ${memoryGib} GiB`;
    machines.set(text, [...(machines.get(text) ?? []), row]);
  }
  return [...machines]
    .map(([text, own]) => {
      const loads = own.map(({ environment }) => environment.load[0]!);
      const dates = own.map(({ environment }) => environment.date.slice(0, 16).replace('T', ' ')).sort();
      const small = own.filter(({ isQuick }) => isQuick).map(({ name }) => name);
      // Contenders with threads of their own, and V8's, load a machine by a little more than their turn.
      const isBusy = Math.max(...loads) > own[0]!.environment.cores * 1.25;
      return [
        `* ${text}; ${dates[0]} to ${dates.at(-1)} UTC, load ${Math.min(...loads)} to ${Math.max(...loads)}.`,
        ...(isBusy
          ? [
              '* Other work kept this machine busy: figures of whole processes are far too high, ratios rough. They are to be taken again when it is idle.',
            ]
          : []),
        ...(small.length > 0
          ? [
              `* With small parameters, for which goals are not meant: ${small.length === own.length ? 'all rows' : small.join(', ')}.`,
            ]
          : []),
      ].join('\n');
    })
    .join('\n');
}

/** What a reference reached of a missed goal, and whether that would have done. */
function beyond({ ceiling, atLeast }: StoredOutcome): string {
  if (ceiling === undefined) return '';
  const isBeyond = atLeast !== undefined && ceiling.median < atLeast;
  return `; ${ceiling.who}: ${formatFigure(ceiling.median)}${isBeyond ? ', short of the goal too' : ''}`;
}

/** Figure, goal, median, spread and state. */
function cellsOf({
  text,
  atLeast,
  atMost,
  median,
  low,
  high,
  state,
}: StoredOutcome): [string, string, string, string, string] {
  const goal = atLeast !== undefined ? `>= ${atLeast}` : atMost === undefined ? '' : `<= ${atMost}`;
  const isKnown = median !== undefined && low !== undefined && high !== undefined;
  return [
    text,
    goal,
    isKnown ? formatFigure(median) : 'not measured',
    isKnown ? `${formatFigure(low)} to ${formatFigure(high)}` : '',
    state === 'shown' ? '' : state,
  ];
}

function formatFigure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
