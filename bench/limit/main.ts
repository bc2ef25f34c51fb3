/**
 * How far each part is from its limit:
 *
 *     npm run bench:limit [-- NAME ...] [--quick] [--rounds N] [--page]
 *
 * Prints the table of goals, figures and spreads, keeps the rows in bench/out/limit.json beside those of earlier runs, and exits 1 where a goal
 * is missed, a ratio could not be measured or results differ. `--page` measures how cost grows too and writes docs/performance.md from
 * all rows that are kept; `--page` with the name `none` only writes.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatEnvironment, readEnvironment } from '../environment.ts';
import { makeGrowth, plotOf } from './growth.ts';
import { formatOutcomes, writePage } from './report.ts';
import type { Row, StoredRow } from './row.ts';
import { findCompiler, formatRate, runRow } from './run.ts';
import { makeRows } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    page: { type: 'boolean', default: false },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../out/limit');
const store = join(here, '../out/limit.json');
const scale = values.quick ? 'quick' : 'full';
mkdirSync(root, { recursive: true });
const rows = makeRows(scale);
const growth = makeGrowth(scale);
const named = (row: Row): boolean => positionals.length === 0 || positionals.some((part) => row.name.includes(part));
const wanted = rows.filter(named);
const grown = values.page ? growth.flatMap(({ places }) => places.map(({ row }) => row)).filter(named) : [];
if (wanted.length + grown.length === 0 && !values.page) {
  console.error(`no row is called ${positionals.join(' or ')}; there are ${rows.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
console.log(
  `${formatEnvironment(readEnvironment())}, ${findCompiler() ?? 'no C compiler'}${values.quick ? ', quick' : ''}\n`,
);
const results: StoredRow[] = [];
for (const row of wanted) results.push(await measure(row, Number(values.rounds ?? (values.quick ? 2 : 5))));
for (const row of grown) await measure(row, Number(values.rounds ?? (values.quick ? 1 : 3)));
if (values.page) {
  const kept = readStore();
  const plots = growth.map((own) => plotOf(own, kept)).filter(({ series }) => series.length > 0);
  writePage(
    join(here, '../../docs'),
    rows.flatMap(({ name }) => kept.get(name) ?? []),
    plots,
  );
  console.log('\nWrote docs/performance.md.');
}
console.log(`\n${formatOutcomes(results)}`);
const isFine = results.every(
  ({ isRight, outcomes }) => isRight && outcomes.every(({ state }) => state === 'reached' || state === 'shown'),
);
process.exitCode = isFine ? 0 : 1;

/** Runs a row and keeps it at once, so that a run that is stopped leaves what it has measured. */
async function measure(row: Row, rounds: number): Promise<StoredRow> {
  console.log(`${row.name}: ${row.title}`);
  const result = await runRow(row, {
    rounds,
    isQuick: values.quick,
    root,
    processes: 'fresh',
    log: (line) => console.log(line),
  });
  for (const { name, rate } of result.rates) console.log(`  ${name.padEnd(20)} ${formatRate(rate)}`);
  for (const problem of result.problems) console.log(`  ! ${problem}`);
  // Another run may have added rows since.
  const kept = readStore().set(row.name, result);
  writeFileSync(store, `${JSON.stringify([...kept], null, 1)}\n`);
  return result;
}

function readStore(): Map<string, StoredRow> {
  return new Map(existsSync(store) ? (JSON.parse(readFileSync(store, 'utf8')) as [string, StoredRow][]) : []);
}
