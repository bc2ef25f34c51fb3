/**
 * `npm run bench:limit [-- NAME ...] [--quick] [--rounds N]`: how far each part is from its limit. Prints the table of goals, figures and
 * spreads, leaves bench/out/limit.json, and exits 1 where a goal is missed, a ratio could not be measured or results differ.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatEnvironment, readEnvironment } from '../environment.ts';
import { formatOutcomes } from './report.ts';
import type { RowResult } from './row.ts';
import { findCompiler, formatRate, runRow } from './run.ts';
import { makeRows } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, rounds: { type: 'string' } },
});
const root = join(dirname(fileURLToPath(import.meta.url)), '../out/limit');
mkdirSync(root, { recursive: true });
const rows = makeRows(values.quick ? 'quick' : 'full');
const wanted =
  positionals.length === 0 ? rows : rows.filter(({ name }) => positionals.some((part) => name.includes(part)));
if (wanted.length === 0) {
  console.error(`no row is called ${positionals.join(' or ')}; there are ${rows.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const environment = readEnvironment();
console.log(
  `${formatEnvironment(environment)}, ${findCompiler() ?? 'no C compiler'}${values.quick ? ', quick' : ''}\n`,
);
const results: RowResult[] = [];
for (const row of wanted) {
  console.log(`${row.name}: ${row.title}`);
  const result = await runRow(row, {
    rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
    root,
    processes: 'fresh',
    log: (line) => console.log(line),
  });
  results.push(result);
  for (const { name, rate } of result.rates) console.log(`  ${name.padEnd(20)} ${formatRate(rate)}`);
  for (const problem of result.problems) console.log(`  ! ${problem}`);
}
writeFileSync(
  join(root, '../limit.json'),
  `${JSON.stringify({ environment, isQuick: values.quick, results: results.map(plain) }, null, 1)}\n`,
);
console.log(`\n${formatOutcomes(results)}`);
const isFine = results.every(
  ({ isRight, outcomes }) => isRight && outcomes.every(({ state }) => state === 'reached' || state === 'shown'),
);
process.exitCode = isFine ? 0 : 1;

function plain({ row, outcomes, rates, problems, isRight }: RowResult): unknown {
  return {
    name: row.name,
    title: row.title,
    isRight,
    problems,
    rates,
    outcomes: outcomes.map(({ goal: { text, atLeast, atMost }, median, low, high, state }) => ({
      text,
      atLeast,
      atMost,
      median,
      low,
      high,
      state,
    })),
  };
}
