/**
 * Several traces as one: their rows in the order of their times, so that both ends of a connection, recorded in two files,
 * meet while the connection lives. Each trace is taken as ordered in itself; rows without a time go where they stand.
 */
import { RecordKind, type FlowBatch } from '../model/flow.ts';

/** One trace that is merged; `Key` is whatever the caller knows it by. */
export interface MergeInput<Key> {
  readonly key: Key;
  readonly batches: AsyncGenerator<FlowBatch>;
}

/** Rows `from` up to `to` of a batch, whose turn it is. */
export interface MergedRows<Key> {
  readonly key: Key;
  readonly batch: FlowBatch;
  readonly from: number;
  readonly to: number;
}

/** A trace that broke off; the others go on. */
export interface MergeFailure<Key> {
  readonly key: Key;
  readonly error: unknown;
}

/** Connection tables note a connection after its first packet was let through, and captures show that packet before: by less than this. */
const CONNECTION_LEAD_US = 10_000;

interface Cursor<Key> extends MergeInput<Key> {
  batch: FlowBatch | undefined;
  row: number;
}

/** Merges traces by time. A batch is its reader's until the next value is asked for. */
export async function* mergeByTime<Key>(
  inputs: readonly MergeInput<Key>[],
): AsyncGenerator<MergedRows<Key> | MergeFailure<Key>> {
  let cursors = inputs.map((input): Cursor<Key> => ({ ...input, batch: undefined, row: 0 }));
  for (;;) {
    for (const cursor of cursors) {
      while (cursor.batch === undefined || cursor.row >= cursor.batch.count) {
        try {
          const next = await cursor.batches.next();
          cursor.batch = next.done === true ? undefined : next.value;
          cursor.row = 0;
        } catch (error) {
          cursor.batch = undefined;
          yield { key: cursor.key, error };
        }
        if (cursor.batch === undefined) break;
      }
    }
    cursors = cursors.filter(({ batch }) => batch !== undefined);
    const first = cursors.reduce<Cursor<Key> | undefined>(
      (least, cursor) => (least === undefined || timeOf(cursor) < timeOf(least) ? cursor : least),
      undefined,
    );
    if (first === undefined) return;
    const limit = Math.min(...cursors.filter((cursor) => cursor !== first).map(timeOf), Infinity);
    const { batch, row: from } = first;
    let to = from + 1;
    if (limit === Infinity) to = batch!.count;
    while (to < batch!.count && turnOf(batch!, to) <= limit) to++;
    first.row = to;
    yield { key: first.key, batch: batch!, from, to };
  }
}

/** The same traces one after another, whole batches, as they were named. */
export async function* concatenate<Key>(
  inputs: readonly MergeInput<Key>[],
): AsyncGenerator<MergedRows<Key> | MergeFailure<Key>> {
  for (const { key, batches } of inputs)
    try {
      for await (const batch of batches) yield { key, batch, from: 0, to: batch.count };
    } catch (error) {
      yield { key, error };
    }
}

/** A row without a time has its turn at once, one of a whole connection before its packets. */
function timeOf({ batch, row }: Cursor<unknown>): number {
  return turnOf(batch!, row);
}

function turnOf({ kind, timeUs }: FlowBatch, row: number): number {
  const time = timeUs[row]!;
  if (Number.isNaN(time)) return -Infinity;
  return kind[row] === RecordKind.Connection ? time - CONNECTION_LEAD_US : time;
}
