/**
 * Every evaluator that must give the same answers: the oracle, and the engine where it can be loaded. Case tables and laws
 * run over this list; one that cannot be loaded is skipped with the reason, never left out in silence.
 */
import { existsSync } from 'node:fs';
import type { Evaluator } from '../../src/model/evaluator.ts';
import { oracle } from '../../src/oracle/oracle.ts';

/** An evaluator, or why there is none. */
export interface Candidate {
  readonly name: string;
  readonly evaluator?: Evaluator;
  readonly skip?: string;
}

/** The oracle first. */
export const candidates: readonly Candidate[] = [
  { name: 'oracle', evaluator: oracle },
  await find('engine', '../../src/replay/session.ts'),
];

/** The evaluators that could be loaded. */
export const evaluators: readonly Evaluator[] = candidates.flatMap(({ evaluator }) => evaluator ?? []);

async function find(name: string, path: string): Promise<Candidate> {
  const url = new URL(path, import.meta.url);
  if (!existsSync(url)) return { name, skip: `${path} does not exist yet` };
  const module = (await import(url.href)) as Record<string, unknown>;
  const evaluator = module[name] as Evaluator | undefined;
  return evaluator === undefined ? { name, skip: `${path} exports no ${name}` } : { name, evaluator };
}
