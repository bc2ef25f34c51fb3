/**
 * The paired runner: every round starts each contender in a fresh process, in an order that turns, so that other load falls on all of them;
 * a ratio is taken within a round, and its median and spread over the rounds. Hashes of what came out must agree.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type JobResult, runJob } from './job.ts';
import { JOBS } from './jobs.ts';
import { readEnvironment } from '../environment.ts';
import type { Contender, Data, Goal, Measured, Row, StoredOutcome, StoredRow } from './row.ts';

/** How rows are run. */
export interface RunOptions {
  readonly rounds: number;
  /** Small parameters: kept with the figures. */
  readonly isQuick: boolean;
  /** Where data is prepared and binaries are built. */
  readonly root: string;
  readonly log: (line: string) => void;
  /** `shared`: contenders in TypeScript run in this process, from source; for tests, where time is not measured. */
  readonly processes: 'fresh' | 'shared';
}

const HERE = dirname(fileURLToPath(import.meta.url));

/** Is there a C compiler? */
export function findCompiler(): string | undefined {
  return spawnSync('cc', ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0];
}

/** Runs one row: prepares its data, then round after round. */
export async function runRow(row: Row, options: RunOptions): Promise<StoredRow> {
  const environment = readEnvironment();
  const problems: string[] = [];
  const present = row.contenders.filter((contender) => {
    const reason = contender.absent?.();
    if (reason !== undefined) problems.push(`${contender.name}: ${reason}`);
    return reason === undefined;
  });
  const rounds: Map<string, Measured>[] = [];
  const hashes: { all: Map<string, string>; first: Map<string, string> } = { all: new Map(), first: new Map() };
  let isRight = true;
  for (let round = 0; round < options.rounds; round++) {
    const measured = new Map<string, Measured>();
    for (let turn = 0; turn < present.length; turn++) {
      const contender = present[(turn + round) % present.length]!;
      try {
        const result = await runContender(contender, options);
        measured.set(contender.name, measure(result));
        const key = contender.data.key;
        isRight = agree(hashes.all, key, result.all, contender, problems) && isRight;
        isRight = agree(hashes.first, `${key} ${contender.sample}`, result.first, contender, problems) && isRight;
      } catch (error) {
        problems.push(`${contender.name}: ${reasonOf(error as Error)}`);
      }
    }
    rounds.push(measured);
    options.log(
      `  round ${round + 1}: ${[...measured].map(([name, { rate }]) => `${name} ${formatRate(rate)}`).join(', ')}`,
    );
  }
  const rates = present.flatMap(({ name }) => {
    const own = rounds.flatMap((round) => round.get(name) ?? []);
    if (own.length === 0) return [];
    return [
      {
        name,
        rate: median(own.map(({ rate }) => rate)),
        seconds: median(own.map(({ seconds }) => seconds)),
        ...(own[0]!.bytes !== undefined && { bytes: own[0]!.bytes }),
      },
    ];
  });
  return {
    name: row.name,
    title: row.title,
    ...(row.note !== undefined && { note: row.note }),
    outcomes: row.goals.map((goal) => judgeGoal(goal, rounds)),
    rates,
    problems: [...new Set(problems)],
    isRight,
    environment,
    isQuick: options.isQuick,
  };
}

/** The line of a process's last words that says what went wrong. */
function reasonOf({ message }: Error): string {
  const lines = message.trim().split('\n');
  return lines.find((line) => /Error: /.test(line)) ?? lines[0]!;
}

/** Elements a second for people. */
export function formatRate(rate: number): string {
  if (rate >= 1e6) return `${(rate / 1e6).toPrecision(3)} M/s`;
  if (rate >= 1e3) return `${(rate / 1e3).toPrecision(3)} k/s`;
  return `${rate.toPrecision(3)} /s`;
}

/** The middle of a list. */
export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A goal is missed where no round reached it: the spread is from the lowest to the highest round. */
function judgeGoal(goal: Goal, rounds: readonly Map<string, Measured>[]): StoredOutcome {
  const { text, atLeast, atMost, figure, ceiling } = goal;
  const figures = figuresOf(figure, rounds);
  const best = ceiling === undefined ? [] : figuresOf(ceiling.figure, rounds);
  const bound = { text, ...(atLeast !== undefined && { atLeast }), ...(atMost !== undefined && { atMost }) };
  const isBound = atLeast !== undefined || atMost !== undefined;
  if (figures.length === 0) return { ...bound, state: isBound ? 'not measured' : 'shown' };
  const low = Math.min(...figures);
  const high = Math.max(...figures);
  const isReached = (atLeast === undefined || high >= atLeast) && (atMost === undefined || low <= atMost);
  const state = !isBound ? 'shown' : isReached ? 'reached' : 'missed';
  return {
    ...bound,
    median: median(figures),
    low,
    high,
    state,
    ...(ceiling !== undefined && best.length > 0 && { ceiling: { who: ceiling.who, median: median(best) } }),
  };
}

/** A figure in each round that has it. */
function figuresOf(figure: Goal['figure'], rounds: readonly Map<string, Measured>[]): number[] {
  return rounds.flatMap((round) => figure((name) => round.get(name)) ?? []);
}

/** The fastest pass after the warm-up: what slows a pass down is other load. Medians are taken over processes. */
function measure({ count, seconds, bytes }: JobResult): Measured {
  const own = Math.min(...seconds.slice(seconds.length >> 1));
  return { rate: count / own, seconds: own, bytes };
}

function agree(
  known: Map<string, string>,
  key: string,
  hash: string | undefined,
  { name }: Contender,
  problems: string[],
): boolean {
  if (hash === undefined) return true;
  const other = known.get(key);
  if (other === undefined) known.set(key, hash);
  else if (other !== hash) {
    problems.push(`${name}: its results differ from those of the others`);
    return false;
  }
  return true;
}

/** One fresh process. */
async function runContender(contender: Contender, options: RunOptions): Promise<JobResult> {
  const folder = await prepareData(contender.data, options);
  const { start, passes, sample, values } = contender;
  if (start.kind === 'command') return start.run(folder);
  if (start.kind === 'job' && start.needs === undefined && options.processes === 'shared')
    return runJob(await JOBS[start.job]!(folder, { passes, sample, values }), passes, contender.clock);
  const [command, ...rest] =
    start.kind === 'go'
      ? [start.binary, '-row', folder, String(passes), String(sample)]
      : start.kind === 'c'
        ? [
            compileReference(start.source, options),
            folder,
            String(passes),
            ...start.options.map((option) => (option === 'SAMPLE' ? String(sample) : option)),
          ]
        : [
            process.execPath,
            '--max-old-space-size=8192',
            await bundleContender(options),
            start.job,
            folder,
            String(passes),
            String(sample),
            JSON.stringify(values),
            contender.clock,
          ];
  return JSON.parse(await capture(command!, rest)) as JobResult;
}

/** Standard output of a process that ends well; throws with its standard error. */
export async function capture(command: string, options: readonly string[]): Promise<string> {
  const child = spawn(command, options, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let error = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (error += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`ended with ${code}: ${error}`);
  return out;
}

/** Makes the data of a folder once; one whose making was cut short is made again. */
export async function prepareData({ key, prepare }: Data, { root, log }: RunOptions): Promise<string> {
  const folder = join(root, 'data', key);
  const done = join(folder, 'done');
  if (existsSync(done)) return folder;
  log(`  preparing ${key}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await prepare(folder);
  writeFileSync(done, '');
  return folder;
}

const compiled = new Map<string, string>();

function compileReference(source: string, { root }: RunOptions): string {
  const known = compiled.get(`${root} ${source}`);
  if (known !== undefined) return known;
  mkdirSync(root, { recursive: true });
  const binary = join(root, source.replace(/\.c$/, ''));
  const { status, stderr, error } = spawnSync(
    'cc',
    ['-O3', '-march=native', '-fno-strict-aliasing', '-o', binary, join(HERE, source), '-lm'],
    {
      encoding: 'utf8',
    },
  );
  if (error !== undefined || status !== 0) throw new Error(`cc: ${error?.message ?? stderr}`);
  compiled.set(`${root} ${source}`, binary);
  return binary;
}

const bundles = new Map<string, Promise<string>>();

/** The contenders as one bundle, made with the options of the shipped ones. */
function bundleContender({ root }: RunOptions): Promise<string> {
  let bundle = bundles.get(root);
  if (bundle === undefined) bundles.set(root, (bundle = makeBundle(join(root, 'contender.mjs'))));
  return bundle;
}

async function makeBundle(outfile: string): Promise<string> {
  const { BUNDLE } = (await import(new URL('../../scripts/bundle.mjs', import.meta.url).href)) as {
    BUNDLE: Record<string, unknown>;
  };
  await build({
    ...BUNDLE,
    entryPoints: [join(HERE, 'contender.ts')],
    outfile,
    platform: 'node',
    format: 'esm',
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  });
  return outfile;
}
