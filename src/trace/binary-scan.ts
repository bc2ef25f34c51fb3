/**
 * The door to the WASM functions that look at the columns of a columnar trace (`binary-scan.as.ts`). They work on an arena, where the columns
 * are read to; a reader without one asks in TypeScript.
 */
import type { Arena } from '../model/flow.ts';
import { BINARY_SCAN_CODE } from './binary-scan-code.ts';
import { instantiate } from './webassembly.ts';

/** Addresses are bytes of the memory; answers are 1 and 0. */
export interface BinaryScanner {
  areBytesBelow(at: number, count: number, bound: number): number;
  areWordsBelow(at: number, count: number, bound: number): number;
  arePorts(at: number, count: number): number;
  areAmounts(at: number, count: number): number;
  areFlags(at: number, count: number): number;
  /** Leaves the first and the last of them to be asked for. */
  areTimes(at: number, count: number, most: number): number;
  firstTime(): number;
  lastTime(): number;
  /** The last place, or -1 where places do not ascend. */
  fillPlaces(at: number, places: number, count: number, start: number): number;
  fillLines(at: number, count: number, number: number): void;
}

/** A scanner of an arena's memory; undefined where WebAssembly, or its SIMD, is missing. */
export function createBinaryScanner({ memory }: Arena): BinaryScanner | undefined {
  return instantiate(BINARY_SCAN_CODE, { env: { memory } }) as BinaryScanner | undefined;
}
