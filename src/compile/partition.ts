/** Partition refinement: elements stay together until a set tells them apart. Exact, no hashing. */

/** Elements 0..n-1 in classes; `classOf` is the answer at any time. */
export interface Partition {
  readonly classOf: Int32Array;
  readonly count: number;
  /** Splits every class that `members` (distinct elements) cuts. O(members). */
  refine(members: readonly number[]): void;
}

/** A partition that begins with the classes given: `initial[element]`, numbered 0.. without gaps. */
export function createPartition(initial: Int32Array): Partition {
  const classOf = Int32Array.from(initial);
  const sizes: number[] = [];
  for (const id of classOf) sizes[id] = (sizes[id] ?? 0) + 1;
  const hit = new Map<number, number>();
  return {
    classOf,
    get count() {
      return sizes.length;
    },
    refine(members) {
      hit.clear();
      for (const element of members) hit.set(classOf[element]!, (hit.get(classOf[element]!) ?? 0) + 1);
      const target = new Map<number, number>();
      for (const [id, count] of hit) {
        if (count === sizes[id]) continue;
        sizes[id]! -= count;
        target.set(id, sizes.push(count) - 1);
      }
      if (target.size === 0) return;
      for (const element of members) {
        const moved = target.get(classOf[element]!);
        if (moved !== undefined) classOf[element] = moved;
      }
    },
  };
}
