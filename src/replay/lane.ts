/**
 * Lanes: batches whose columns lie in one buffer, so that they go from thread to thread without being copied. A reader fills one itself, or
 * rows of its batches are copied into one, with the tick and the file of each; then one thread after another has it.
 *
 * The memory is handed on, not shared: typed arrays over shared memory are four times slower to copy to and from.
 */
import { createBatch, type FlowBatch, type QuoteColumns } from '../model/flow.ts';

/** A batch over one buffer, and its columns beside. */
export interface Lane {
  readonly buffer: ArrayBuffer;
  readonly batch: FlowBatch;
  /** [capacity] tick, and number of the file, of each row. */
  readonly ticks: Int32Array;
  readonly files: Int32Array;
  /** The columns of quotes, which a batch that runs out of room for them exchanges for others elsewhere. */
  readonly quotes: Omit<QuoteColumns, 'count'>;
}

/** An empty lane of so many rows. */
export function createLane(capacity: number): Lane {
  return viewLane(new ArrayBuffer(layOut(capacity, undefined).bytes), capacity);
}

/** Views a lane that has come from another thread. */
export function viewLane(buffer: ArrayBuffer, capacity: number): Lane {
  return layOut(capacity, buffer).lane!;
}

/** Empties a lane for whoever fills it next. */
export function clearLane({ batch, quotes }: Lane): void {
  batch.count = 0;
  Object.assign(batch.quotes, quotes, { count: 0 });
}

/** True where all of a lane's batch is in its buffer. */
export function isWhole({ batch, quotes }: Lane): boolean {
  return batch.quotes.family === quotes.family;
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
function layOut(capacity: number, buffer: ArrayBuffer | undefined): { readonly bytes: number; readonly lane?: Lane } {
  // A batch as it is anywhere else says what its arrays are called, and how wide they are.
  const model = createBatch(1);
  let bytes = 0;
  const take = <T extends Column>(
    Array: { new (buffer: ArrayBuffer, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
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
  const quotes = viewAll(model.quotes) as unknown as Lane['quotes'];
  const batch = { ...viewAll(model), capacity, count: 0, quotes: { ...quotes, count: 0 } };
  const lane = {
    buffer: buffer!,
    batch: batch as unknown as FlowBatch,
    ticks: take(Int32Array, capacity),
    files: take(Int32Array, capacity),
    quotes,
  };
  return buffer === undefined ? { bytes } : { bytes, lane };
}
