/** Partition refinement: elements stay together until a set tells them apart. Exact, no hashing. */
import { grow } from './list.ts';

/** Elements 0..n-1 in classes; `classOf` is the answer at any time. */
export interface Partition {
  readonly classOf: Int32Array;
  readonly count: number;
  /** Splits every class that the distinct elements `words[start, end)` cut. Takes time by their number. */
  refine(words: Int32Array, start: number, end: number): void;
  /** Would `refine` split a class? */
  cuts(words: Int32Array, start: number, end: number): boolean;
}

/** A partition that begins with the classes given: `initial[element]`, numbered 0.. without gaps. */
export function createPartition(initial: Int32Array): Partition {
  const classOf = Int32Array.from(initial);
  let count = 0;
  for (const id of classOf) count = Math.max(count, id + 1);
  let sizes = new Int32Array(Math.max(16, count));
  for (const id of classOf) sizes[id]!++;
  // [classes] members hit by the set at hand, then the class that they move to; -1: they stay.
  let hits = new Int32Array(sizes.length);
  let touched = new Int32Array(16);
  return {
    classOf,
    get count() {
      return count;
    },
    cuts(words, start, end) {
      const counts = new Map<number, number>();
      for (let at = start; at < end; at++) {
        const id = classOf[words[at]!]!;
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      for (const [id, hit] of counts) if (hit !== sizes[id]) return true;
      return false;
    },
    refine(words, start, end) {
      let touchedCount = 0;
      for (let at = start; at < end; at++) {
        const id = classOf[words[at]!]!;
        if (hits[id]!++ > 0) continue;
        if (touchedCount === touched.length) touched = grow(touched, touchedCount + 1);
        touched[touchedCount++] = id;
      }
      let hasSplit = false;
      for (let at = 0; at < touchedCount; at++) {
        const id = touched[at]!;
        const hit = hits[id]!;
        if (hit === sizes[id]) {
          hits[id] = -1;
          continue;
        }
        hasSplit = true;
        if (count === sizes.length) {
          sizes = grow(sizes, count + 1);
          hits = grow(hits, count + 1);
        }
        sizes[id]! -= hit;
        sizes[count] = hit;
        hits[id] = count++;
      }
      if (hasSplit)
        for (let at = start; at < end; at++) {
          const moved = hits[classOf[words[at]!]!]!;
          if (moved > 0) classOf[words[at]!] = moved;
        }
      for (let at = 0; at < touchedCount; at++) hits[touched[at]!] = 0;
    },
  };
}
