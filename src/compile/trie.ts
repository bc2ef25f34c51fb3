/**
 * Address look-up. IPv4: a branch-free 16-8-8 trie of three loads; equal blocks are shared, so that a uniform /16 or /24
 * costs nothing. IPv6: sorted interval starts as four words each, searched once per new address.
 *
 *   leaf[mid[root[a >>> 16] + ((a >>> 8) & 255)] + (a & 255)]
 *
 * Root and mid hold offsets and are 32 bits wide: 16-bit block numbers would alias beyond 32,767 blocks.
 */
import type { AddressKey } from './block.ts';

/** Sorted disjoint intervals with the value of each; the first starts at 0. */
export interface ValueIntervals {
  readonly starts: readonly AddressKey[];
  readonly values: readonly number[];
}

/** The three levels. */
export interface Trie4 {
  readonly root4: Int32Array;
  readonly mid4: Int32Array;
  readonly leaf4: Int32Array;
}

/** Lays single addresses over intervals: each point becomes an interval of one address. Points are sorted, distinct. */
export function overlayPoints(
  intervals: ValueIntervals,
  points: readonly { readonly key: AddressKey; readonly value: number }[],
  limit: AddressKey,
): ValueIntervals {
  const starts: AddressKey[] = [];
  const values: number[] = [];
  let point = 0;
  const push = (start: AddressKey, value: number): void => {
    if (values.at(-1) === value && starts.length > 0) return;
    starts.push(start);
    values.push(value);
  };
  for (let index = 0; index < intervals.starts.length; index++) {
    let start = intervals.starts[index]!;
    const end = intervals.starts[index + 1] ?? limit;
    for (; point < points.length && points[point]!.key < end; point++) {
      const { key, value } = points[point]!;
      if (key > start) push(start, intervals.values[index]!);
      push(key, value);
      start = successor(key);
    }
    if (start < end) push(start, intervals.values[index]!);
  }
  return { starts, values };
}

/** Builds the trie of IPv4 intervals. */
export function buildTrie4({ starts, values }: ValueIntervals): Trie4 {
  const root4 = new Int32Array(65_536);
  const mid = createBlocks();
  const leaf = createBlocks();
  const last = starts.length - 1;
  let index = 0;
  for (let high = 0; high < 65_536; high++) {
    const base = high * 65_536;
    index = advance(base, index);
    if (index === last || starts[index + 1]! >= base + 65_536) {
      root4[high] = mid.uniform(leaf.uniform(values[index]!));
      continue;
    }
    root4[high] = mid.size();
    const row = mid.add();
    for (let middle = 0; middle < 256; middle++) {
      const from = base + middle * 256;
      index = advance(from, index);
      if (index === last || starts[index + 1]! >= from + 256) {
        mid.data()[row + middle] = leaf.uniform(values[index]!);
        continue;
      }
      const block = leaf.add();
      mid.data()[row + middle] = block;
      const cells = leaf.data();
      for (let low = 0; low < 256; low++) {
        index = advance(from + low, index);
        cells[block + low] = values[index]!;
      }
    }
  }
  return { root4, mid4: mid.data().slice(0, mid.size()), leaf4: leaf.data().slice(0, leaf.size()) };

  function advance(address: number, from: number): number {
    let at = from;
    while (at < last && starts[at + 1]! <= address) at++;
    return at;
  }
}

/** Lays IPv6 intervals out as words: [intervals x 4] starts, [intervals] values. */
export function buildSearch6({ starts, values }: ValueIntervals): { starts6: Uint32Array; values6: Int32Array } {
  const starts6 = new Uint32Array(starts.length * 4);
  starts.forEach((start, index) => {
    const key = BigInt(start);
    for (let word = 0; word < 4; word++)
      starts6[index * 4 + word] = Number((key >> BigInt(96 - 32 * word)) & 0xffffffffn);
  });
  return { starts6, values6: Int32Array.from(values) };
}

function successor(key: AddressKey): AddressKey {
  return typeof key === 'number' ? key + 1 : key + 1n;
}

/** A growing array of blocks of 256 cells; blocks of one value are made once. */
function createBlocks(): { add(): number; uniform(value: number): number; data(): Int32Array; size(): number } {
  let cells = new Int32Array(16 * 256);
  let used = 0;
  const uniforms = new Map<number, number>();
  const add = (): number => {
    if (used === cells.length) {
      const grown = new Int32Array(cells.length * 2);
      grown.set(cells);
      cells = grown;
    }
    used += 256;
    return used - 256;
  };
  return {
    add,
    uniform(value) {
      let block = uniforms.get(value);
      if (block === undefined) {
        block = add();
        cells.fill(value, block, block + 256);
        uniforms.set(value, block);
      }
      return block;
    },
    data: () => cells,
    size: () => used,
  };
}
