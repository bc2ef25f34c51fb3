/**
 * The seed of a run of laws: DROPCAST_SEED where given, else from the commit, so that a push is checked with worlds of its own
 * and a failure can be had again. Printed by every law.
 */
import { execFileSync } from 'node:child_process';

/** 32 bits. */
export const seed: number = Number(process.env['DROPCAST_SEED'] ?? commitSeed());

/** How many worlds a law tries; DROPCAST_RUNS multiplies it for long runs. */
export function runs(usual: number): number {
  return Math.ceil(usual * Number(process.env['DROPCAST_RUNS'] ?? 1));
}

function commitSeed(): number {
  try {
    const hash = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return Number.parseInt(hash.slice(0, 7), 16);
  } catch {
    return 1;
  }
}
