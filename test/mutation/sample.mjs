/**
 * Which mutants a run tries: a share of 0 to 1, the same ones for the same seed, or those of the list `only`. The others are given to Stryker as errors, which it
 * leaves out of the score.
 */
export function isSampled(id, { sample = 1, seed = 1, only = '' }) {
  if (only !== '') return only.split(',').includes(id);
  let hash = Number(id) ^ Number(seed);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000 < Number(sample);
}
