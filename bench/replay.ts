/**
 * Measures the whole of `dropcast replay` on two pcap traces, one twice as long as the other, as its users run it: the shipped
 * bundle, a fresh process each time, the lengths in turn so that other load falls on both. Also checks that what was counted is right.
 *
 *     npm run build && node --import tsx bench/replay.ts [--records 10000000] [--connections 1000000] [--outside 100000] [--runs 3]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { formatEnvironment, readEnvironment } from './environment.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '10000000' },
    connections: { type: 'string', default: '1000000' },
    outside: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '3' },
    cli: { type: 'string', default: 'dist/cli.cjs' },
  },
});
const DATA = 'bench/data';
const OUT = 'bench/out';
const HOOK = `${OUT}/peak-memory.cjs`;

interface Trace {
  readonly base: string;
  readonly records: number;
  readonly connections: number;
}

interface Run {
  readonly seconds: number;
  readonly rssMib: number;
}

/** The parts of the JSON report that are checked. */
interface Counts {
  readonly totals: Readonly<Record<string, { readonly connections: number; readonly records: number }>>;
  readonly accounting: { readonly read: number; readonly used: number; readonly addsUp: boolean };
}

if (!existsSync(values.cli)) {
  console.error(`${values.cli} is not there: the benchmark measures what is shipped; run \`npm run build\` first.`);
  process.exit(2);
}
mkdirSync(DATA, { recursive: true });
mkdirSync(OUT, { recursive: true });
// Loaded into the child, which knows its own peak: `maxRSS` is in KiB.
writeFileSync(
  HOOK,
  `process.on('exit', () => require('node:fs').writeFileSync(process.env.DROPCAST_BENCH_PEAK, String(process.resourceUsage().maxRSS)));\n`,
);
const environment = readEnvironment();
console.log(formatEnvironment(environment));

const traces = [1, 2].map((factor) => makeTrace(factor));
const runs: Run[][] = traces.map(() => []);
for (let round = 0; round < Number(values.runs); round++)
  traces.forEach((trace, index) => {
    const run = replay(trace, 'text', `${OUT}/replay.txt`);
    runs[index]!.push(run);
    console.log(
      `${millions(trace.records)} records: ${run.seconds.toFixed(2)} s, ${millions(trace.records / run.seconds)} records/s, peak ${run.rssMib.toFixed(0)} MiB, load ${loadavg()[0]!.toFixed(2)}`,
    );
  });

const rows = traces.map(({ records, connections }, index) => {
  const seconds = median(runs[index]!.map((run) => run.seconds));
  const rssMib = median(runs[index]!.map((run) => run.rssMib));
  return {
    records,
    connections,
    outside: Number(values.outside),
    seconds,
    recordsPerSecond: records / seconds,
    rssMib,
  };
});
const rssRatio = rows[1]!.rssMib / rows[0]!.rssMib;
const checks = traces.map((trace) => checkCounts(trace));
const result = { environment, runs, rows, rssRatio, checks, loadAfter: loadavg() };
writeFileSync(`${OUT}/replay.json`, `${JSON.stringify(result, null, 2)}\n`);
for (const row of rows)
  console.log(
    `median of ${values.runs}: ${millions(row.records)} records in ${row.seconds.toFixed(2)} s = ${millions(row.recordsPerSecond)} records/s, peak ${row.rssMib.toFixed(0)} MiB`,
  );
console.log(`peak memory, twice the records: x ${rssRatio.toFixed(3)}`);
for (const check of checks) console.log(check.text);
if (checks.some(({ isRight }) => !isRight)) process.exitCode = 1;

function makeTrace(factor: number): Trace {
  const records = factor * Number(values.records);
  const connections = factor * Number(values.connections);
  const base = `${DATA}/replay-${records}-${connections}-${values.outside}`;
  // Written last: a trace whose making was cut short is not taken for a whole one.
  if (!existsSync(`${base}.done`)) {
    const { outside } = values;
    const size = ['--records', String(records), '--connections', String(connections), '--outside', outside];
    const made = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'bench/make-trace.ts', ...size, '--out', `${base}.pcap`],
      { encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(`bench/make-trace.ts failed: ${made.stderr}`);
    writeFileSync(`${base}.done`, made.stdout);
  }
  return { base, records, connections };
}

function replay({ base }: Trace, format: 'text' | 'json', out: string): Run {
  const peak = `${OUT}/peak.txt`;
  rmSync(peak, { force: true });
  const manifests = ['-f', `${base}.cluster.json`, '-f', `${base}.policies.json`];
  const stdout = openSync(out, 'w');
  const started = process.hrtime.bigint();
  const child = spawnSync(
    process.execPath,
    ['--require', `./${HOOK}`, values.cli, 'replay', `${base}.pcap`, ...manifests, '-o', format, '--fail-on', 'never'],
    { stdio: ['ignore', stdout, 'pipe'], encoding: 'utf8', env: { ...process.env, DROPCAST_BENCH_PEAK: peak } },
  );
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  closeSync(stdout);
  if (child.status !== 0) throw new Error(`replay exited with ${child.status ?? child.signal}: ${child.stderr}`);
  return { seconds, rssMib: Number(readFileSync(peak, 'utf8')) / 1024 };
}

/** One run more, for the counts: those of the generator must come out. It also shows what the JSON of every group costs. */
function checkCounts(trace: Trace): { readonly isRight: boolean; readonly text: string } & Run {
  const path = `${OUT}/replay-report.json`;
  const run = replay(trace, 'json', path);
  const { totals, accounting } = JSON.parse(readFileSync(path, 'utf8')) as Counts;
  rmSync(path);
  const made = JSON.parse(readFileSync(`${trace.base}.done`, 'utf8')) as { records: number; connections: number };
  const sum = (key: 'connections' | 'records'): number =>
    Object.values(totals).reduce((count, tally) => count + tally[key], 0);
  const isRight =
    accounting.addsUp &&
    accounting.read === made.records &&
    accounting.used === made.records &&
    sum('records') === made.records &&
    sum('connections') === made.connections;
  const text = `${isRight ? 'right' : 'WRONG'}: read ${accounting.read} of ${made.records} records, judged ${sum('connections')} of ${made.connections} connections (as JSON: ${run.seconds.toFixed(2)} s, peak ${run.rssMib.toFixed(0)} MiB)`;
  return { isRight, text, ...run };
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(2)} M`;
}
