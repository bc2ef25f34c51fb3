/** Lists by key in two arrays instead of an array for each: list `k` is `items[starts[k], starts[k + 1])`. */

/** Lists by key. */
export interface Groups {
  readonly starts: Int32Array;
  readonly items: Int32Array;
}

/** The indexes of `keys` by their key, 0 to `count` - 1, ascending within each; those with a negative key are left out. */
export function groupByKey(keys: Int32Array, count: number): Groups {
  const starts = countKeys(keys, count);
  const next = starts.slice();
  const items = new Int32Array(starts[count]!);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index]!;
    if (key >= 0) items[next[key]!++] = index;
  }
  return { starts, items };
}

/** Where the list of each key begins, and at the end where the last one ends. */
export function countKeys(keys: Int32Array, count: number): Int32Array {
  const starts = new Int32Array(count + 1);
  for (let index = 0; index < keys.length; index++) if (keys[index]! >= 0) starts[keys[index]! + 1]!++;
  for (let key = 0; key < count; key++) starts[key + 1]! += starts[key]!;
  return starts;
}
