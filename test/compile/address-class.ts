/** Classes of addresses as tests ask for them. */
import assert from 'node:assert/strict';
import type { BlockClasses } from '../../src/compile/block.ts';

/** The classes that lie in a set of blocks, in the order of the ranges that name them; they must name each once. */
export function classesOfSet({ rangesOfSet }: BlockClasses, set: number): number[] {
  const ranges = rangesOfSet(set);
  const found: number[] = [];
  for (let at = 0; at < ranges.length; at += 2)
    for (let own = ranges[at]!; own < ranges[at + 1]!; own++) found.push(own);
  assert.equal(new Set(found).size, found.length);
  return found;
}
