/**
 * One WebAssembly memory in regions, one behind the other, which never moves: growing a memory detaches every view of it, so all that it may
 * come to is reserved at the beginning. That costs address space, and memory only where something is written. A table that outgrows it goes
 * on outside, where no kernel sees it. A heap that nobody uses any more serves the next one with the same regions: what it has touched
 * is there already, and V8 need not find out that it is free.
 */

import type { WasmMemory } from './webassembly.ts';

/** Bytes of a WebAssembly page. */
const PAGE_BYTES = 65_536;
/** Bytes of the largest memory: addresses in it are positive as 32-bit integers, which the kernel makes use of. */
const MOST_BYTES = 2 ** 31;

/** `WasmApi.Memory`. */
type MemoryConstructor = new (limits: { readonly initial: number; readonly maximum: number }) => WasmMemory;

/** Zeros behind what is taken of the last region: a kernel may look at a few entries beyond the last one. */
const SLACK_BYTES = 192;

/** The heap that was given back last. */
let spare: Heap | undefined;

/** A heap as its constructor makes it; or the one that was given back, if it is such a one, with zeros in as many regions as are `blank`. */
export function takeHeap(Memory: MemoryConstructor, sizes: readonly number[], blank: number, most: number): Heap {
  const heap = spare;
  if (heap === undefined || !heap.isMadeOf(sizes, most)) return new Heap(Memory, sizes, most);
  spare = undefined;
  heap.bytes(0, heap.offsetOf(blank) - heap.offsetOf(0)).fill(0);
  return heap;
}

/** Leaves a heap to the next `takeHeap`; views of it are not to be used any more. */
export function returnHeap(heap: Heap): void {
  spare = heap;
}

/** The memory; offsets are bytes. */
export class Heap {
  readonly memory: WasmMemory;
  private readonly sizes: readonly number[];
  private readonly most: number;
  private readonly offsets: number[] = [];
  /** Words of the last region that have ever been taken. */
  private taken = 0;

  /**
   * `sizes` are the bytes of each region; behind them is a last one, of all that is left of `most` bytes, or of as much as can be had.
   * Throws a RangeError where the others find no room.
   */
  constructor(Memory: MemoryConstructor, sizes: readonly number[], most = 0) {
    this.sizes = sizes;
    this.most = most;
    let offset = 64; // 0 means "none" to the kernel.
    for (const size of sizes) {
      this.offsets.push(offset);
      offset += Math.ceil(size / 64) * 64;
    }
    this.offsets.push(offset);
    const least = Math.ceil((offset + PAGE_BYTES) / PAGE_BYTES);
    this.memory = reserve(Memory, least, Math.floor(Math.min(most, MOST_BYTES) / PAGE_BYTES));
  }

  /** Was it made with these arguments? */
  isMadeOf(sizes: readonly number[], most: number): boolean {
    return (
      most === this.most && sizes.length === this.sizes.length && sizes.every((size, at) => size === this.sizes[at])
    );
  }

  /** Where a region begins. */
  offsetOf(region: number): number {
    return this.offsets[region]!;
  }

  /** The region's beginning as 32-bit words. */
  words(region: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.memory.buffer, this.offsetOf(region), length);
  }

  /** The region's beginning as bytes. */
  bytes(region: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer, this.offsetOf(region), length);
  }

  /** The region's beginning as 64-bit floats. */
  floats(region: number, length: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.memory.buffer, this.offsetOf(region), length);
  }

  /** A table of so many words in place of `old`, whose words come first, and zeros: in the last region, or, once there is no room, outside. */
  takeLast(length: number, old: Int32Array | undefined): Int32Array {
    const offset = this.offsetOf(this.offsets.length - 1);
    if (offset + length * 4 + SLACK_BYTES > this.memory.buffer.byteLength || (old !== undefined && !this.holds(old))) {
      const table = new Int32Array(length);
      if (old !== undefined) table.set(old.subarray(0, length));
      return table;
    }
    const words = this.words(this.offsets.length - 1, length + SLACK_BYTES / 4);
    // What nobody has taken yet is zero; writing there would only make the machine find memory for it.
    const from = Math.min(old?.length ?? 0, length);
    if (from < this.taken) words.fill(0, from, Math.min(this.taken, words.length));
    this.taken = Math.max(this.taken, length);
    return words.subarray(0, length);
  }

  /** Does a table lie here? */
  holds(table: Int32Array): boolean {
    return table.buffer === this.memory.buffer;
  }
}

/** As many pages as can be had of `most`, by halves: a machine may refuse to promise more than it has. */
function reserve(Memory: MemoryConstructor, least: number, most: number): WasmMemory {
  for (let pages = Math.max(least, most); pages > least; pages = Math.max(least, pages >> 1))
    try {
      return new Memory({ initial: pages, maximum: pages });
    } catch {
      // Half of it, then.
    }
  return new Memory({ initial: least, maximum: least });
}
