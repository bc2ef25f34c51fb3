/**
 * Columnar traces in shards: the rows of a group stand shard by shard, so that each thread of a replay reads what is its own and nothing else.
 * Which shard a row belongs to is the writer's to be told (`Sharder`): all rows that can meet in one connection are of one. In a group of
 * version 4 the header goes on with `ShardHead`, and its columns are as many blocks as there are shards, each laid out as the columns of
 * version 3; behind each stand the places that its rows had (16 bits a row) and, where times are not in order, the clock (64 bits a row).
 * Rows stand in their order within a shard. A group whose rows cannot do without one another's order is written as in version 3.
 */
import type { FlowBatch } from '../model/flow.ts';
import { alignEight, GROUP_HEADER_SIZE } from './binary-layout.ts';
import type { Share } from './format.ts';

/** Most shards of a trace. */
export const SHARDS_MOST = 64;

/** Longest time that a group in shards may cover, microseconds: a day. The clock is moved over it at once. */
export const SHARDED_EXTENT_US = 86_400e6;

/** How a trace is cut into shards, by whoever knows what belongs together. */
export interface Sharder {
  /** How many: 2 to `SHARDS_MOST`. */
  readonly shards: number;
  /** Rows of a group, at most; where absent, a group's rows for each shard. */
  readonly groupRows?: number;
  /** Which one a row is of. */
  readonly shardOf: (batch: FlowBatch, row: number) => number;
  /** The clock of connection tracking, which sees all rows in their order. */
  readonly clock: {
    /** Changes where a time cannot be reached by going on. */
    readonly turnsBack: number;
    readonly setBack: number;
    advance(timeUs: number): number;
  };
}

/** What the header of a group says of its shards. */
export interface ShardHead {
  /** The row before which each shard ends. */
  readonly ends: readonly number[];
  /** Do rows have a clock beside their time? */
  readonly hasClock: boolean;
  /** The clock at the first row and at the last: the latest time of a row so far, microseconds. */
  readonly firstUs: number;
  readonly lastUs: number;
}

const enum Flag {
  IsSharded = 1,
  HasClock = 2,
}

/** Bytes of a group's header in a trace of so many shards; 0: of an earlier version. */
export function groupHeaderSize(shards: number): number {
  return shards === 0 ? GROUP_HEADER_SIZE : GROUP_HEADER_SIZE + 24 + alignEight(shards * 4);
}

/** Writes what `readShardHead` reads; undefined: the rows stand as they came. */
export function writeShardHead(view: DataView, head: ShardHead | undefined): void {
  if (head === undefined) return;
  view.setUint32(GROUP_HEADER_SIZE, Flag.IsSharded | (head.hasClock ? Flag.HasClock : 0), true);
  view.setFloat64(GROUP_HEADER_SIZE + 8, head.firstUs, true);
  view.setFloat64(GROUP_HEADER_SIZE + 16, head.lastUs, true);
  head.ends.forEach((end, shard) => view.setUint32(GROUP_HEADER_SIZE + 24 + shard * 4, end, true));
}

/** The shards of a group of `rows` rows; undefined where they stand as they came; a sentence where the header cannot be. */
export function readShardHead(view: DataView, shards: number, rows: number): ShardHead | string | undefined {
  const flags = view.getUint32(GROUP_HEADER_SIZE, true);
  if (flags === 0) return undefined;
  const firstUs = view.getFloat64(GROUP_HEADER_SIZE + 8, true);
  const lastUs = view.getFloat64(GROUP_HEADER_SIZE + 16, true);
  const ends = Array.from({ length: shards }, (_, shard) => view.getUint32(GROUP_HEADER_SIZE + 24 + shard * 4, true));
  if (flags > (Flag.IsSharded | Flag.HasClock) || (flags & Flag.IsSharded) === 0)
    return 'its shards have unknown flags';
  if (!(lastUs - firstUs >= 0 && lastUs - firstUs <= SHARDED_EXTENT_US)) return 'its clock runs back, or too far';
  if (ends.at(-1) !== rows || ends.some((end, shard) => end < (ends[shard - 1] ?? 0)))
    return 'its shards do not add up to its rows';
  return { ends, hasClock: (flags & Flag.HasClock) !== 0, firstUs, lastUs };
}

/** Bytes of what stands behind the columns of a block: places, and the clock. */
export function blockTailSize(rows: number, hasClock: boolean): number {
  return alignEight(rows * 2) + (hasClock ? rows * 8 : 0);
}

/** Rows of the blocks of some shards, from the first up to the second number; who has no rows has no block. */
export function blockRows({ ends }: ShardHead, [first, end]: readonly [number, number]): number[] {
  const counts = ends.slice(first, end).map((own, index) => own - (ends[first + index - 1] ?? 0));
  return counts.filter((count) => count > 0);
}

/** The shards of one of several readers who share a trace: those from the first up to the second number. */
export function shardsOf(shards: number, { index, count }: Share): [number, number] {
  return [Math.floor((index * shards) / count), Math.floor(((index + 1) * shards) / count)];
}

/** Does a clock keep within what the group's header says, and never run back? Its readers set theirs to both ends of it. */
export function isClock(clockUs: Float64Array, { firstUs, lastUs }: ShardHead): boolean {
  let latestUs = firstUs;
  for (let row = 0; row < clockUs.length; row++) {
    // NaN is not it either.
    if (!(clockUs[row]! >= latestUs)) return false;
    latestUs = clockUs[row]!;
  }
  return latestUs <= lastUs;
}

/** Writes the lines of rows: the first of their group's and the place of each; returns the last place, or -1 where places do not ascend. */
export function fillPlaces(lines: Float64Array, places: Uint16Array, start: number): number {
  for (let row = 0; row < places.length; row++) lines[row] = start + places[row]!;
  return areInOrder(places) ? places[places.length - 1]! : -1;
}

/**
 * [block][row] where the rows of blocks go, when they stand in the order of their places again: `places` are those of each block, of a group
 * of `rows`. Undefined where they are no places, or not in order within a block.
 */
export function orderOfPlaces(places: readonly Uint16Array[], rows: number): Uint32Array[] | undefined {
  const isTaken = new Uint8Array(rows);
  for (const block of places) {
    if (!areInOrder(block) || block[block.length - 1]! >= rows) return undefined;
    for (let row = 0; row < block.length; row++) isTaken[block[row]!]!++;
  }
  // [place] how many before it are taken.
  const before = new Uint32Array(rows);
  let sum = 0;
  for (let place = 0; place < rows; place++) {
    if (isTaken[place]! > 1) return undefined;
    before[place] = sum;
    sum += isTaken[place]!;
  }
  return places.map((block) => {
    const order = new Uint32Array(block.length);
    for (let row = 0; row < block.length; row++) order[row] = before[block[row]!]!;
    return order;
  });
}

/** Moves elements of a width from `at` on to where each goes, counted in elements from `to` on. A loop for each width: V8 has them apart, then. */
export function scatter(
  target: Uint8Array,
  to: number,
  source: Uint8Array,
  at: number,
  width: number,
  order: Uint32Array,
): void {
  const rows = order.length;
  const [into, from] = [target.byteOffset + to, source.byteOffset + at];
  if (width === 1) {
    const own = source.subarray(at, at + rows);
    const bytes = target.subarray(to);
    for (let row = 0; row < rows; row++) bytes[order[row]!] = own[row]!;
  } else if (width === 2) {
    const own = new Uint16Array(source.buffer, from, rows);
    const words = new Uint16Array(target.buffer, into);
    for (let row = 0; row < rows; row++) words[order[row]!] = own[row]!;
  } else if (width === 4) {
    const own = new Int32Array(source.buffer, from, rows);
    const words = new Int32Array(target.buffer, into);
    for (let row = 0; row < rows; row++) words[order[row]!] = own[row]!;
  } else {
    const own = new Float64Array(source.buffer, from, rows);
    const words = new Float64Array(target.buffer, into);
    for (let row = 0; row < rows; row++) words[order[row]!] = own[row]!;
  }
}

function areInOrder(places: Uint16Array): boolean {
  let isFine = true;
  for (let row = 1; row < places.length; row++) isFine = isFine && places[row]! > places[row - 1]!;
  return isFine;
}
