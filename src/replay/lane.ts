/**
 * Lanes: batches in memory that threads share. The reader's thread fills one with rows of any batches, with the tick, the
 * file and the thread of each; then all threads read it, each its own rows, until the last one gives it back.
 */
import { createBatch, type FlowBatch } from '../model/flow.ts';

/** A shared batch and its columns beside. */
export interface Lane {
  readonly batch: FlowBatch;
  /** [capacity] tick, and number of the file, of each row. */
  readonly ticks: Int32Array;
  readonly files: Int32Array;
  /** [threads][capacity] rows of each thread, and [threads] how many. */
  readonly rows: readonly Int32Array[];
  readonly counts: Int32Array;
}

/** Where the arrays of a lane lie: what another thread needs to view the same lane. */
export interface LaneBuffer {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly threads: number;
}

/** Memory for a lane of so many rows. */
export function createLaneBuffer(capacity: number, threads: number): LaneBuffer {
  return { buffer: new SharedArrayBuffer(layOut(capacity, threads, undefined).bytes), capacity, threads };
}

/** Views a lane. */
export function viewLane({ buffer, capacity, threads }: LaneBuffer): Lane {
  return layOut(capacity, threads, buffer).lane!;
}

/** Copies rows of a batch to the end of a lane that has room for them, quotes included. */
export function appendRows(lane: Lane, batch: FlowBatch, from: number, to: number): void {
  const { batch: shared } = lane;
  const at = shared.count;
  for (const name of columnNames(shared)) columnOf(shared, name).set(columnOf(batch, name).subarray(from, to), at);
  const { quotes } = batch;
  if (quotes.count > 0)
    for (let row = from; row < to; row++) {
      const quote = batch.quote[row]!;
      if (quote < 0) continue;
      const next = shared.quotes.count++;
      for (const name of columnNames(quotes)) columnOf(shared.quotes, name)[next] = columnOf(quotes, name)[quote]!;
      shared.quote[at + row - from] = next;
    }
  shared.count += to - from;
}

type Column = Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

const names = new WeakMap<object, readonly string[]>();

/** The names of an object's typed arrays. */
function columnNames(columns: object): readonly string[] {
  let known = names.get(columns);
  if (known === undefined) {
    known = Object.keys(columns).filter((name) => ArrayBuffer.isView((columns as Record<string, unknown>)[name]));
    names.set(columns, known);
  }
  return known;
}

function columnOf(columns: object, name: string): Column {
  return (columns as Record<string, Column>)[name]!;
}

/** The bytes of a lane, and, with a buffer, its views. */
function layOut(
  capacity: number,
  threads: number,
  buffer: SharedArrayBuffer | undefined,
): { readonly bytes: number; readonly lane?: Lane } {
  // A batch as it is anywhere else says what its arrays are called, and how wide they are.
  const model = createBatch(1);
  let bytes = 0;
  const take = <T extends Column>(
    Array: { new (buffer: SharedArrayBuffer, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
    length: number,
  ): T => {
    const offset = bytes;
    bytes = Math.ceil((bytes + length * Array.BYTES_PER_ELEMENT) / 8) * 8;
    return buffer === undefined ? (undefined as unknown as T) : new Array(buffer, offset, length);
  };
  const viewAll = (columns: object): Record<string, Column> =>
    Object.fromEntries(
      columnNames(columns).map((name) => [name, take(columnOf(columns, name).constructor as never, capacity)]),
    );
  const quotes = { ...viewAll(model.quotes), count: 0 };
  const batch = { ...viewAll(model), capacity, count: 0, quotes };
  const lane = {
    batch: batch as unknown as FlowBatch,
    ticks: take(Int32Array, capacity),
    files: take(Int32Array, capacity),
    rows: Array.from({ length: threads }, () => take(Int32Array, capacity)),
    counts: take(Int32Array, threads),
  };
  return buffer === undefined ? { bytes } : { bytes, lane };
}
