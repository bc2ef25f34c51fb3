/** Popularity after Zipf's law with exponent 1, as traffic has it: the n-th element is drawn 1/n as often as the first. */
import type { Random } from '../../src/generate/random.ts';

/** A drawer of indexes below `count`. */
export function createZipf(random: Random, count: number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let index = 0; index < count; index++) sums[index] = sum += 1 / (index + 1);
  return () => {
    const at = (random.next() / 2 ** 32) * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > at) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
