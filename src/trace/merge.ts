/**
 * Several traces as one: their rows in the order of their times, so that both ends of a connection, recorded in two files,
 * meet while the connection lives. Each trace is taken as ordered in itself; rows without a time go where they stand.
 * Rows that take turns are copied into one batch, since whoever takes rows in takes thousands as quickly as one.
 */
import { type ColumnName, columnNames, copyQuote, createBatch, type FlowBatch, RecordKind } from '../model/flow.ts';

/** Rows of a batch, whose turn it is; `FlowBatch.origin` says which of the inputs each is of, where there are several. */
export interface MergedRows {
  readonly batch: FlowBatch;
  readonly from: number;
  readonly to: number;
}

/** A trace that broke off; the others go on. */
export interface MergeFailure {
  /** Its number among the inputs. */
  readonly origin: number;
  readonly error: unknown;
}

/** Connection tables note a connection after its first packet was let through, and captures show that packet before: by less than this. */
const CONNECTION_LEAD_US = 10_000;

/** Rows that are copied into one batch, and how many of one trace in turn are taken where they lie. */
const COPIED_ROWS = 4096;
const LONG_RUN = 256;

/** A trace that has not ended. */
interface Cursor {
  readonly batches: AsyncGenerator<FlowBatch>;
  readonly origin: number;
  batch: FlowBatch;
  /** The next row of the batch, and its turn. */
  row: number;
  turn: number;
}

/** Merges traces by time. A batch is its reader's until the next value is asked for. */
export async function* mergeByTime(
  inputs: readonly AsyncGenerator<FlowBatch>[],
): AsyncGenerator<MergedRows | MergeFailure> {
  if (inputs.length === 1) return yield* concatenate(inputs);
  const copy = new Copy();
  const nothing = createBatch(0);
  let cursors = inputs.map((batches, origin): Cursor => ({ batches, origin, batch: nothing, row: 0, turn: 0 }));
  for (;;) {
    const open: Cursor[] = [];
    for (const cursor of cursors)
      try {
        if (cursor.row < cursor.batch.count || (await advance(cursor))) open.push(cursor);
      } catch (error) {
        yield { origin: cursor.origin, error };
      }
    cursors = open;
    if (cursors.length === 0) return;
    // No reader is asked for more before the rows of its batch have been taken.
    for (let hasRows = true; hasRows;) {
      const first = findFirst(cursors)!;
      const { batch, row: from, origin } = first;
      const to = endOfRun(first, findFirst(cursors, first));
      const isLong = to - from >= LONG_RUN;
      if (!isLong) copy.add(batch, origin, from, to);
      goTo(first, to);
      hasRows = to < batch.count;
      if (copy.count > 0 && (isLong || !hasRows || copy.count > COPIED_ROWS - LONG_RUN)) yield copy.take();
      if (isLong) yield { batch: withOrigin(batch, origin), from, to };
    }
  }
}

/** The same traces one after another, whole batches, as they were named. */
export async function* concatenate(
  inputs: readonly AsyncGenerator<FlowBatch>[],
): AsyncGenerator<MergedRows | MergeFailure> {
  for (const [origin, batches] of inputs.entries())
    try {
      for await (const batch of batches)
        yield { batch: inputs.length === 1 ? batch : withOrigin(batch, origin), from: 0, to: batch.count };
    } catch (error) {
      yield { origin, error };
    }
}

/** Reads on until there are rows; false at the end of the trace. */
async function advance(cursor: Cursor): Promise<boolean> {
  for (;;) {
    const next = await cursor.batches.next();
    if (next.done === true) return false;
    cursor.batch = next.value;
    goTo(cursor, 0);
    if (next.value.count > 0) return true;
  }
}

function goTo(cursor: Cursor, row: number): void {
  cursor.row = row;
  if (row < cursor.batch.count) cursor.turn = turnOf(cursor.batch, row);
}

/** Whose turn it is, but for one; where turns are the same, that of the trace that was named first. */
function findFirst(cursors: readonly Cursor[], but?: Cursor): Cursor | undefined {
  let first: Cursor | undefined;
  for (const cursor of cursors) if (cursor !== but && (first === undefined || cursor.turn < first.turn)) first = cursor;
  return first;
}

/** The end of the rows of a cursor, from its own on, that come before the row of another. */
function endOfRun({ batch, row, origin }: Cursor, next: Cursor | undefined): number {
  if (next === undefined) return batch.count;
  const { turn: limit } = next;
  const isNamedFirst = origin < next.origin;
  let to = row + 1;
  for (; to < batch.count; to++) {
    const turn = turnOf(batch, to);
    if (turn > limit || (turn === limit && !isNamedFirst)) break;
  }
  return to;
}

/** A row without a time has its turn at once, one of a whole connection before its packets. */
function turnOf({ kind, timeUs }: FlowBatch, row: number): number {
  const time = timeUs[row]!;
  if (Number.isNaN(time)) return -Infinity;
  return kind[row] === RecordKind.Connection ? time - CONNECTION_LEAD_US : time;
}

function withOrigin(batch: FlowBatch, origin: number): FlowBatch {
  return { ...batch, origin: new Uint32Array(batch.capacity).fill(origin) };
}

/** Rows of several batches, noted one by one and copied column by column. */
class Copy {
  count = 0;
  private readonly batch: FlowBatch & Required<Pick<FlowBatch, 'origin'>> = {
    ...createBatch(COPIED_ROWS, 'read'),
    origin: new Uint32Array(COPIED_ROWS),
  };
  private readonly names = columnNames();
  /** [row] its place in the batch that it is of. */
  private readonly rows = new Uint32Array(COPIED_ROWS);
  /** [origin] the batch of the rows that were noted. */
  private batches: FlowBatch[] = [];

  /** Notes rows `from` up to `to` of a batch; there must be room for them. */
  add(batch: FlowBatch, origin: number, from: number, to: number): void {
    this.batches[origin] = batch;
    for (let row = from; row < to; row++) {
      this.rows[this.count] = row;
      this.batch.origin[this.count++] = origin;
    }
  }

  /** The rows that were noted. */
  take(): MergedRows {
    const { batch, batches, count } = this;
    const sources = Object.values(batches);
    for (const name of this.names) {
      const value = sources[0]!.uniform?.get(name);
      if (value !== undefined && sources.every(({ uniform }) => Object.is(uniform?.get(name), value))) {
        if (!Object.is(batch.uniform!.get(name), value)) batch[name].fill(value);
        batch.uniform!.set(name, value);
      } else {
        batch.uniform!.delete(name);
        this.copyColumn(
          batch[name],
          batches.map((one) => one[name]),
        );
      }
    }
    if (!batch.uniform!.has('quote')) this.copyQuotes();
    batch.count = count;
    this.batches = [];
    this.count = 0;
    return { batch, from: 0, to: count };
  }

  private copyColumn(to: FlowBatch[ColumnName], columns: readonly FlowBatch[ColumnName][]): void {
    const { count, rows } = this;
    const { origin } = this.batch;
    const own = wordsOf(to);
    const others = columns.map(wordsOf);
    for (let row = 0; row < count; row++) own[row] = others[origin[row]!]![rows[row]!]!;
  }

  private copyQuotes(): void {
    const { batch, batches } = this;
    batch.quotes.count = 0;
    for (let row = 0; row < this.count; row++) {
      const quoted = batch.quote[row]!;
      if (quoted < 0) continue;
      batch.quote[row] = copyQuote(batch, batches[batch.origin[row]!]!.quotes, quoted);
    }
  }
}

/** A column as words of its width, in one array type for each: V8 keeps no more than four apart. */
function wordsOf({ buffer, byteOffset, length, BYTES_PER_ELEMENT }: FlowBatch[ColumnName]): Words {
  const View = [Uint8Array, Uint16Array, Int32Array, Float64Array][31 - Math.clz32(BYTES_PER_ELEMENT)]!;
  return new View(buffer as ArrayBuffer, byteOffset, length);
}

type Words = Uint8Array | Uint16Array | Int32Array | Float64Array;
