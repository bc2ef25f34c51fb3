/**
 * Three-valued truth: yes, no, or "that depends on facts which are missing", given as a mask of `MissingFact`. The bottom of
 * the oracle: every question about a rule is answered in these values and combined by `or` and `and` alone.
 */

/** A positive number is "unknown": the mask of the facts that would tell. */
export type Truth = 'yes' | 'no' | number;

/** A plain boolean as a truth. */
export function certainly(holds: boolean): Truth {
  return holds ? 'yes' : 'no';
}

/** One yes is enough; else everything unknown counts; nothing at all is a no. */
export function or(truths: readonly Truth[]): Truth {
  if (truths.includes('yes')) return 'yes'; // KL-02
  return unknown(truths) || 'no';
}

/** One no is enough; else everything unknown counts; nothing at all is a yes. */
export function and(truths: readonly Truth[]): Truth {
  if (truths.includes('no')) return 'no'; // KL-03
  return unknown(truths) || 'yes';
}

function unknown(truths: readonly Truth[]): number {
  return truths.reduce<number>((mask, truth) => (typeof truth === 'number' ? mask | truth : mask), 0);
}
