/**
 * `npm run test:mutation [-- ROOM...] [--file PATH] [--sample SHARE] [--workers N]`: installs Stryker beside its own lockfile, mutates each room and says what
 * survived. Reports go to reports/mutation/ROOM.json; docs/mutation.md explains the survivors.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ROOMS } from './room.mjs';
import { isSampled } from './sample.mjs';

const HERE = 'test/mutation';
const CORE = `${HERE}/node_modules/@stryker-mutator/core`;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    file: { type: 'string', multiple: true },
    seed: { type: 'string', default: '20261121' },
    sample: { type: 'string', default: '1' },
    again: { type: 'boolean', default: false },
    workers: { type: 'string', default: '1' },
  },
});
const rooms = positionals.length === 0 ? Object.keys(ROOMS) : positionals;

install();
mkdirSync('reports/mutation', { recursive: true });
let isGood = true;
for (const room of rooms) isGood = mutate(room) && isGood;
process.exitCode = isGood ? 0 : 1;

function install() {
  const { version } = JSON.parse(readFileSync(`${HERE}/package-lock.json`, 'utf8')).packages[
    'node_modules/@stryker-mutator/core'
  ];
  if (existsSync(CORE) && JSON.parse(readFileSync(`${CORE}/package.json`, 'utf8')).version === version) return;
  run('npm', ['ci', '--prefix', HERE, '--ignore-scripts', '--no-audit', '--no-fund']);
}

function mutate(room) {
  if (ROOMS[room] === undefined)
    throw new Error(`no room is called ${room}; there are ${Object.keys(ROOMS).join(', ')}`);
  const report = `reports/mutation/${room}.json`;
  const config = `reports/mutation/${room}.config.json`;
  writeFileSync(
    config,
    JSON.stringify({
      mutate: values.file ?? [...ROOMS[room].mutate, '!**/*.as.ts', '!**/*-code.ts'],
      ignorers: ['wording'],
      testRunner: 'in-process',
      plugins: ['runner.mjs', 'wording.mjs'].map((name) => new URL(name, import.meta.url).pathname),
      buildCommand: `node ${HERE}/bundle.mjs ${room}`,
      coverageAnalysis: 'perTest',
      concurrency: Number(values.workers),
      dryRunTimeoutMinutes: 60,
      // Endless loops end by their number of hits; a machine that is busy must not turn a survivor into a time-out.
      timeoutMS: 20_000,
      timeoutFactor: 4,
      maxTestRunnerReuse: 0,
      reporters: ['json', 'progress-append-only'],
      jsonReporter: { fileName: report },
      tempDirName: `.stryker-tmp/${room}`,
      ignorePatterns: [
        '.stryker-tmp',
        'dist',
        'reports',
        'coverage',
        `${HERE}/node_modules`,
        'bench/data',
        'bench/out',
        'bench/peers',
        'traces/**/*.pcap',
      ],
      // TypeScript 7 has no API that Stryker could rewrite a tsconfig with; esbuild needs none.
      tsconfigFile: 'none.json',
      disableTypeChecks: false,
      checkers: [],
      allowEmpty: true,
      logLevel: 'warn',
    }),
  );
  // Those that survived the last run of the room, or were not done in time, with the tests of today; the others stay as they were.
  const earlier = values.again ? JSON.parse(readFileSync(report, 'utf8')) : undefined;
  const only = earlier === undefined ? '' : survivorsOf(earlier).join();
  run(process.execPath, [`${CORE}/bin/stryker.js`, 'run', config], {
    DROPCAST_SEED: values.seed,
    DROPCAST_RUNS: '1',
    DROPCAST_SAMPLE: values.sample,
    DROPCAST_ROOM: room,
    DROPCAST_ONLY: only,
  });
  const found = JSON.parse(readFileSync(report, 'utf8'));
  if (earlier !== undefined) {
    merge(found, earlier);
    writeFileSync(report, JSON.stringify(found));
  }
  return summarize(room, found);
}

function survivorsOf({ files }) {
  return Object.values(files).flatMap(({ mutants }) =>
    mutants
      .filter(({ id, status }) => isOpen(status) || (status === 'NoCoverage' && isSampled(id, values)))
      .map(({ id }) => id),
  );
}

/** Gives mutants that were not tried what they were found to be before. The sources must be the same. */
function merge(found, earlier) {
  for (const [file, { source, mutants }] of Object.entries(found.files)) {
    const before = earlier.files[file];
    if (before?.source !== source) throw new Error(`${file} has changed since the run that is to go on`);
    for (const mutant of mutants) {
      const known = before.mutants.find(({ id }) => id === mutant.id);
      if (!isOpen(known.status) && known.status !== 'NoCoverage') mutant.status = known.status;
    }
  }
}

function isOpen(status) {
  return status === 'Survived' || status === 'Timeout';
}

/** Prints the score and each survivor; true where the score is at least 90 %. */
function summarize(room, { files }) {
  const counts = {};
  const survivors = [];
  for (const [file, { source, mutants }] of Object.entries(files)) {
    const lines = source.split('\n');
    for (const { id, status: told, location, mutatorName, replacement } of mutants) {
      // What no test covers is never tried: the sample is drawn here.
      const status = told === 'NoCoverage' && !isSampled(id, values) ? 'RuntimeError' : told;
      counts[status] = (counts[status] ?? 0) + 1;
      if (status !== 'Survived' && status !== 'NoCoverage') continue;
      const { start } = location;
      const old = excerpt(lines, location);
      const text = `${file}:${start.line}:${start.column} ${mutatorName}: ${old} -> ${replacement ?? ''}`;
      survivors.push(`${status === 'Survived' ? ' ' : '-'} ${text.replaceAll(/\s+/g, ' ').slice(0, 220)}`);
    }
  }
  const of = (status) => counts[status] ?? 0;
  const detected = of('Killed') + of('Timeout');
  const valid = detected + of('Survived') + of('NoCoverage');
  console.log(survivors.join('\n'));
  console.log(
    `${room}: ${((100 * detected) / Math.max(1, valid)).toFixed(2)} % of ${valid} mutants: ${of('Killed')} killed, ${of('Timeout')} timed out, ${of('Survived')} survived, ${of('NoCoverage')} not covered (-); ${of('RuntimeError') + of('CompileError')} not in the sample`,
  );
  return detected >= 0.9 * valid;
}

function excerpt(lines, { start, end }) {
  if (start.line === end.line) return lines[start.line - 1].slice(start.column - 1, end.column - 1);
  return `${lines[start.line - 1].slice(start.column - 1)} ... (${end.line - start.line + 1} lines)`;
}

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}
