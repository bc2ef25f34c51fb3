/**
 * The one entry of `npm test`: bundles every `*.test.ts` below this folder and runs them in the order of the flow. A folder of its own
 * (`kernel`) has an entry of its own. Arguments are path fragments: only files that contain one run. Without arguments a second process
 * takes the rooms of `SECOND_HALF` where there is a processor for it, and what it printed follows at the end.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlePrograms } from './bundle.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));
const order = [
  'model',
  'manifest',
  'trace',
  'generate',
  'compile',
  'decide',
  'track',
  'replay',
  'oracle',
  'fuzz',
  'report',
  'cli',
];
/**
 * For V8. Other threads that collect and compile would take time from the other half of the tests, and of so much code that runs for a
 * moment less is worth being optimised: a fifth of all processor time. Half of the largest heap is how much may be reserved outside of it
 * before everything is collected at once: a replay reserves 1 GiB of addresses.
 */
const LEAN = ['--single-threaded', '--max-old-space-size=16384'];
// That of Node 22 has no such flag, and would not begin with it.
if (process.versions.v8.startsWith('11.')) LEAN.push('--interrupt-budget=400000');
/** Rooms that take about as long as all others. */
const SECOND_HALF = ['bench', 'cli', 'fuzz', 'law', 'report', 'semantics', 'structure'];

const named = process.argv.slice(2);
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.test.ts') && (named.length === 0 || named.some((part) => file.includes(part))))
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
if (files.length === 0) throw new Error(`no test file matches ${named.join(' ') || relative(process.cwd(), root)}`);

const halves = named.length === 0 && availableParallelism() > 1 ? [false, true] : [undefined];
const parts = halves.map((isSecond) =>
  files
    .filter((file) => isSecond === undefined || SECOND_HALF.includes(roomOf(file)) === isSecond)
    .map((file) => join(root, file)),
);
const bundles = await bundlePrograms(...parts);
const outputs = bundles.map((bundle, index) => run(bundle, index === 0 ? 'inherit' : 'pipe'));
for (const output of outputs) process.stdout.write(await output);

/** Runs the tests of a bundle and gives what it printed, unless that went to our own output already. */
function run(bundle, stdout) {
  const reporter = process.stdout.isTTY ? ['--test-reporter=spec'] : [];
  const flags = [...process.execArgv, '--enable-source-maps', ...LEAN, ...reporter];
  const child = spawn(process.execPath, [...flags, bundle], { stdio: ['inherit', stdout, 'inherit'] });
  const output = [];
  child.stdout?.on('data', (chunk) => void output.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) process.exitCode = 1;
      resolve(Buffer.concat(output));
    });
  });
}

function roomOf(file) {
  return file.split('/')[0];
}

function rank(file) {
  const index = order.indexOf(roomOf(file));
  return index < 0 ? order.length : index;
}
