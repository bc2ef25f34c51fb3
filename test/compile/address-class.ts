/** Classes of addresses as tests ask for them. */
import type { BlockClasses } from '../../src/compile/block.ts';

/** The classes that lie in a set of blocks, each once, in the order of the ranges that name them. */
export function classesOfSet({ rangesOfSet }: BlockClasses, set: number): number[] {
  const ranges = rangesOfSet(set);
  const found = new Set<number>();
  for (let at = 0; at < ranges.length; at += 2)
    for (let own = ranges[at]!; own < ranges[at + 1]!; own++) found.add(own);
  return [...found];
}
