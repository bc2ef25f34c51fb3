/** Columns on disk: raw little-endian arrays, the type as the name's ending, so that a reference in C reads what a contender in TypeScript reads. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Arrays by the ending of a column's file name. */
interface Columns {
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;
  i32: Int32Array;
  f64: Float64Array;
}

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i32: Int32Array, f64: Float64Array };

/** Writes one column; `name` is like `src.u32`. */
export function writeColumn<Ending extends keyof Columns>(
  folder: string,
  name: `${string}.${Ending}`,
  column: Columns[Ending],
): void {
  writeFileSync(join(folder, name), new Uint8Array(column.buffer, column.byteOffset, column.byteLength));
}

/** Reads one column into an array of its own, aligned. */
export function readColumn<Ending extends keyof Columns>(folder: string, name: `${string}.${Ending}`): Columns[Ending] {
  const bytes = readFileSync(join(folder, name));
  const buffer = new ArrayBuffer(bytes.byteLength);
  new Uint8Array(buffer).set(bytes);
  const ending = name.slice(name.lastIndexOf('.') + 1) as Ending;
  return new ARRAYS[ending](buffer) as Columns[Ending];
}
