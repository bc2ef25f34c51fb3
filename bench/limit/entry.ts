/** What rows are put together from: contenders by kind, and goals over their figures. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JobResult } from './job.ts';
import type { Contender, Data, Goal, Look } from './row.ts';
import { findCompiler } from './run.ts';
import { cliPath } from './whole.ts';

/** How large everything is: `full` for figures, `quick` for a look, `test` for a test that looks at hashes alone. */
export type Scale = 'full' | 'quick' | 'test';

/** Raise it when what a `prepare` writes changes, so that old data is not taken for new. */
export const DATA_VERSION = 7;

/** A reference in C, compiled where there is a compiler. */
export function reference(
  name: string,
  data: Data,
  source: string,
  passes: number,
  sample: number,
  options: readonly string[],
): Contender {
  return {
    name,
    data,
    passes,
    sample,
    values: {},
    clock: 'processor',
    start: { kind: 'c', source, options },
    absent: () => (findCompiler() === undefined ? 'there is no C compiler (cc)' : undefined),
  };
}

/** The same for a loop on one thread. */
export function loop(...options: Parameters<typeof job>): Contender {
  return { ...job(...options), clock: 'processor' };
}

/** A contender in TypeScript, by its name in jobs.ts. */
export function job(
  name: string,
  data: Data,
  own: string,
  passes: number,
  sample: number,
  values: Contender['values'] = {},
): Contender {
  return { name, data, passes, sample, values, clock: 'wall', start: { kind: 'job', job: own } };
}

/** How many times as fast `who` is as `other`; `bulk` is what replay uses by default. */
export function ratio(who: string, other: string, atLeast?: number): Goal {
  return {
    text: who === 'bulk' ? `x ${other}` : `${who} x ${other}`,
    ...(atLeast !== undefined && { atLeast }),
    figure: (look) => divide(rateOf(look, who), rateOf(look, other)),
  };
}

/** The same ratio, beside what `best` reaches of it. */
export function ratioBelow(best: string, who: string, other: string, atLeast: number): Goal {
  return { ...ratio(who, other, atLeast), ceiling: { who: best, figure: ratio(best, other).figure } };
}

/** The size of a contender's tables, at most so many MiB. */
export function size(who: string, atMost: number): Goal {
  return {
    text: 'MiB',
    atMost,
    figure: (look) => divide((who === 'bulk' ? bulkOf(look) : look(who))?.bytes, 2 ** 20),
  };
}

/** WASM where a row has it, else plain TypeScript. */
export function bulkOf(look: Look): ReturnType<Look> {
  return look('wasm') ?? look('plain');
}

/** Elements a second of a contender, or of what is used in bulk. */
export function rateOf(look: Look, name: string): number | undefined {
  return (name === 'bulk' ? bulkOf(look) : look(name))?.rate;
}

/** A quotient, where both sides were measured. */
export function divide(value: number | undefined, by: number | undefined): number | undefined {
  return value === undefined || by === undefined ? undefined : value / by;
}

/** The shipped command line, or another process. */
export function command(
  name: string,
  data: Data,
  run: (folder: string) => Promise<JobResult>,
  scale: Scale,
): Contender {
  return {
    name,
    data,
    passes: 1,
    sample: 0,
    values: {},
    clock: 'wall',
    start: { kind: 'command', run },
    absent: () => cliReason(scale),
  };
}

/** An evaluator in Go, by its folder in bench/peers: built where there is Go. Tests build nothing, and take one that is built. */
export function evaluator(name: string, data: Data, passes: number, sample: number, scale: Scale): Contender {
  const folder = fileURLToPath(new URL(`../peers/${name}`, import.meta.url));
  const binary = join(folder, 'peer');
  return {
    name,
    data,
    passes,
    sample,
    values: {},
    clock: 'processor',
    start: { kind: 'go', binary },
    absent: () => {
      if (scale === 'test') return existsSync(binary) ? undefined : 'not built';
      const { status, error, stderr } = spawnSync('go', ['build', '-o', 'peer', '.'], {
        cwd: folder,
        encoding: 'utf8',
      });
      if (error !== undefined) return 'there is no Go (go)';
      return status === 0 ? undefined : `go build: ${stderr.trim().split('\n')[0]}`;
    },
  };
}

/** A contender that needs the packages of bench/peers. */
export function needsPeers(contender: Contender, scale: Scale): Contender {
  return { ...contender, absent: () => peersReason(scale) };
}

/** Why the command line cannot run; tests may come before a build. */
export function cliReason(scale: Scale): string | undefined {
  if (existsSync(cliPath())) return undefined;
  return scale === 'test' ? 'not built' : 'dist/cli.cjs is not there: run `npm run build`';
}

let threads: boolean | undefined;

/** Does the command line know --threads? */
export function hasThreads(): boolean {
  threads ??= spawnSync(process.execPath, [cliPath(), 'replay', '--help'], { encoding: 'utf8' }).stdout.includes(
    '--threads',
  );
  return threads;
}

let installed: string | undefined | null = null;

/**
 * Installs bench/peers from its own lockfile, once, and says why not; tests download nothing. Not `npm ci`: it refuses a lockfile without
 * the driver's binaries for other systems.
 */
export function peersReason(scale: Scale): string | undefined {
  const folder = fileURLToPath(new URL('../peers', import.meta.url));
  if (existsSync(join(folder, 'node_modules'))) return undefined;
  if (scale === 'test') return 'bench/peers is not installed';
  if (installed === null) {
    const options = ['install', '--no-save', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'];
    const { status } = spawnSync('npm', options, { stdio: 'ignore' });
    installed = status === 0 ? undefined : 'the packages of bench/peers could not be installed';
  }
  return installed;
}
