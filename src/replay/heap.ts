/**
 * One WebAssembly memory in regions, one behind the other. Every region but the last is reserved at its greatest size, which
 * costs address space and no memory until it is written; the last one, the connection table, grows with the memory. Growth
 * detaches every view, so that `version` tells when to make new ones.
 */

import type { WasmMemory } from './webassembly.ts';

/** Bytes of a WebAssembly page. */
const PAGE = 65_536;

/** Bytes behind the last region that a kernel may read, and makes nothing of. */
const SLACK = 128;

/** The memory; offsets are bytes. */
export class Heap {
  readonly memory: WasmMemory;
  /** Changes whenever views of the memory became useless. */
  version = 0;
  private readonly offsets: number[] = [];
  private readonly end: number;

  /** `sizes` are the bytes of each region but the last. Throws a RangeError where the memory cannot be had. */
  constructor(
    Memory: new (limits: { readonly initial: number; readonly maximum: number }) => WasmMemory,
    sizes: readonly number[],
  ) {
    let offset = 64; // 0 means "none" to the kernel.
    for (const size of sizes) {
      this.offsets.push(offset);
      offset += Math.ceil(size / 64) * 64;
    }
    this.offsets.push(offset);
    this.end = offset;
    this.memory = new Memory({ initial: Math.ceil((offset + PAGE) / PAGE), maximum: PAGE });
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

  /** The last region with room for so many words. What it held is lost. */
  takeLast(length: number): Int32Array<ArrayBuffer> {
    const missing = this.end + length * 4 + SLACK - this.memory.buffer.byteLength;
    if (missing > 0) {
      this.memory.grow(Math.ceil(missing / PAGE));
      this.version++;
    }
    return this.words(this.offsets.length - 1, length).fill(0);
  }
}
