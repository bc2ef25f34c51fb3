/**
 * The one entry of `npm test`: imports every `*.test.ts` below this folder, in the order of the flow. A folder of its own (`kernel`)
 * has an entry of its own. Arguments are path fragments: only files that contain one run. Without arguments a second process
 * takes the rooms of `SECOND_HALF` where there is a processor for it, and what it printed follows at the end.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
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
/** Rooms that take about as long as all others. */
const SECOND_HALF = ['bench', 'cli', 'fuzz', 'law', 'report', 'semantics'];
const SECOND = '--second-half';

const named = process.argv.slice(2).filter((argument) => argument !== SECOND);
const isSecond = process.argv.includes(SECOND);
const isFirst = !isSecond && named.length === 0 && availableParallelism() > 1;

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && (named.length === 0 || named.some((part) => file.includes(part))))
  .filter((file) => (!isFirst && !isSecond) || SECOND_HALF.includes(roomOf(file)) === isSecond)
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
if (files.length === 0) throw new Error(`no test file matches ${named.join(' ') || relative(process.cwd(), root)}`);
if (isFirst) startSecondHalf();
for (const file of files) await import(pathToFileURL(join(root, file)).href);

function startSecondHalf(): void {
  const reporter = process.stdout.isTTY ? ['--test-reporter=spec'] : [];
  const child = spawn(process.execPath, [...process.execArgv, ...reporter, fileURLToPath(import.meta.url), SECOND], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => void output.push(chunk));
  child.on('close', (code) => {
    process.stdout.write(Buffer.concat(output));
    if (code !== 0) process.exitCode = 1;
  });
}

function roomOf(file: string): string {
  return file.split(/[\\/]/)[0]!;
}

function rank(file: string): number {
  const index = order.indexOf(roomOf(file));
  return index < 0 ? order.length : index;
}
