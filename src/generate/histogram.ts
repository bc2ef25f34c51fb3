/** Published histograms as decks: so many cards of each value, scaled to any size, dealt by chance. At the published size every count is exact. */
import type { Random } from './random.ts';

/** How often each value occurs. */
export type Histogram = readonly (readonly [value: number, count: number])[];

/** `size` values in the proportions of a histogram (largest remainders), shuffled. */
export function dealHistogram(histogram: Histogram, size: number, random: Random): number[] {
  const total = sumOf(histogram);
  const shares = histogram.map(([value, count]) => {
    const exact = (count * size) / total;
    return { value, whole: Math.floor(exact), rest: exact - Math.floor(exact) };
  });
  const missing = size - shares.reduce((sum, { whole }) => sum + whole, 0);
  const byRest = shares.map((_, index) => index).sort((a, b) => shares[b]!.rest - shares[a]!.rest || a - b);
  const deck: number[] = [];
  shares.forEach(({ value, whole }, index) => {
    const extra = byRest.indexOf(index) < missing ? 1 : 0;
    for (let card = 0; card < whole + extra; card++) deck.push(value);
  });
  for (let last = deck.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    [deck[last], deck[other]] = [deck[other]!, deck[last]!];
  }
  return deck;
}

/** How many a histogram counts. */
export function sumOf(histogram: Histogram): number {
  return histogram.reduce((sum, [, count]) => sum + count, 0);
}
