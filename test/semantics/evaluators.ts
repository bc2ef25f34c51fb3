/**
 * Every evaluator that must give the same answers: the oracle from the source, and the engine through the package's own door,
 * `#dropcast`. That is the source in `npm test` and the shipped bundle in `npm run test:built`. Case tables and laws run over
 * this list.
 */
import { engine } from '#dropcast';
import type { Evaluator } from '../../src/model/evaluator.ts';
import { oracle } from '../../src/oracle/oracle.ts';

/** An evaluator with the name that tests print. */
export interface Candidate {
  readonly name: string;
  readonly evaluator: Evaluator;
  /** Why it is left out; undefined: it is not. */
  readonly skip?: string;
}

/** The oracle first. */
export const candidates: readonly Candidate[] = [
  { name: 'oracle', evaluator: oracle },
  { name: isBuilt() ? 'bundled engine' : 'engine', evaluator: engine },
];

/** The evaluators alone. */
export const evaluators: readonly Evaluator[] = candidates.map(({ evaluator }) => evaluator);

/** True where `#dropcast` is the bundle. */
export function isBuilt(): boolean {
  return import.meta.resolve('#dropcast').includes('/dist/');
}
