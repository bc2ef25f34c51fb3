/** Merged traces: every row in its turn, whole, and its reader's batch left alone until it was taken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  addQuote,
  clearRow,
  createBatch,
  type FlowBatch,
  QUOTE_COLUMNS,
  RecordKind,
  resetBatch,
} from '../../src/model/flow.ts';
import { concatenate, mergeByTime } from '../../src/trace/merge.ts';
import { runs, seed } from '../law/seed.ts';

/** A row as the test has made it; its number stands in several columns. */
interface Made {
  readonly timeUs: number;
  readonly kind: RecordKind;
  readonly number: number;
  readonly isQuoting: boolean;
}

interface Taken extends Made {
  readonly origin: number;
}

/** As a reader does it: one batch for all, one value where a column is of one value. */
async function* readMade(sizes: readonly number[], rows: readonly Made[]): AsyncGenerator<FlowBatch> {
  const batch = createBatch(1024, 'read');
  for (let at = 0, turn = 0; at < rows.length; turn++) {
    resetBatch(batch);
    const size = Math.min(sizes[turn % sizes.length]!, rows.length - at);
    for (let row = 0; row < 1024; row++) clearRow(batch, row);
    for (let row = 0; row < size; row++) fillRow(batch, row, rows[at + row]!);
    batch.uniform!.set('family', 0).set('protocol', 255).set('icmp', -1);
    if (size === 1) batch.protocol.fill(batch.uniform!.set('protocol', 6).get('protocol')!);
    batch.count = size;
    at += size;
    yield batch;
  }
}

function fillRow(batch: FlowBatch, row: number, { timeUs, kind, number, isQuoting }: Made): void {
  batch.timeUs[row] = timeUs;
  batch.kind[row] = kind;
  batch.line[row] = number;
  batch.src[row] = -number;
  batch.srcPort[row] = -number;
  batch.tcpFlags[row] = number;
  if (!isQuoting) return;
  batch.quote[row] = addQuote(batch);
  for (const name of QUOTE_COLUMNS) batch.quotes[name][batch.quote[row]!] = number;
}

function takeRow(batch: FlowBatch, row: number, origin: number): Taken {
  const number = batch.line[row]!;
  assert.equal(batch.src[row], -number >>> 0);
  assert.equal(batch.srcPort[row], -number);
  assert.equal(batch.tcpFlags[row], number & 0xffff);
  assert.equal(batch.icmp[row], -1);
  const quote = batch.quote[row]!;
  if (quote >= 0) {
    assert.ok(quote < batch.quotes.count);
    assert.equal(batch.quotes.dst[quote], number);
    assert.equal(batch.quotes.protocol[quote], number & 0xff);
  }
  return { timeUs: batch.timeUs[row]!, kind: batch.kind[row]!, number, isQuoting: quote >= 0, origin };
}

/** The rule, one row at a time: whose next row is due first, and whose was named first where several are. */
function mergePlainly(traces: readonly (readonly Made[])[]): Taken[] {
  const left = traces.map((rows) => [...rows]);
  const taken: Taken[] = [];
  const turnOf = ({ timeUs, kind }: Made): number =>
    Number.isNaN(timeUs) ? -Infinity : kind === RecordKind.Connection ? timeUs - 10_000 : timeUs;
  for (;;) {
    let first = -1;
    left.forEach((rows, origin) => {
      if (rows.length > 0 && (first < 0 || turnOf(rows[0]!) < turnOf(left[first]![0]!))) first = origin;
    });
    if (first < 0) return taken;
    taken.push({ ...left[first]!.shift()!, origin: first });
  }
}

const trace = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 1024 }), { minLength: 1, maxLength: 3 }),
  stretches: fc.array(
    fc.record({
      rows: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 200, max: 700 })),
      stepUs: fc.constantFrom(0, 1, 7, 20_000),
      gapUs: fc.constantFrom(0, 50, 100_000),
      marks: fc.integer({ min: 0, max: 3 }),
    }),
    { maxLength: 6 },
  ),
});

test('merged rows come in the order of their turns, whole, with their quotes, and each is known to be of its trace', async () => {
  let copied = 0;
  let lying = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(trace, { minLength: 1, maxLength: 4 }), async (traces) => {
      let number = 0;
      const made = traces.map(({ stretches }) => {
        let timeUs = 1e15;
        return stretches.flatMap(({ rows, stepUs, gapUs, marks }) => {
          timeUs += gapUs;
          return Array.from({ length: rows }, (_, row): Made => {
            timeUs += stepUs;
            return {
              timeUs: marks === 1 && row % 5 === 0 ? NaN : timeUs,
              kind: marks === 2 && row % 3 === 0 ? RecordKind.Connection : RecordKind.Packet,
              number: ++number,
              isQuoting: marks === 3 && row % 4 === 0,
            };
          });
        });
      });
      const readers = made.map((rows, origin) => readMade(traces[origin]!.sizes, rows));
      const taken: Taken[] = [];
      for await (const merged of mergeByTime(readers)) {
        assert.ok('batch' in merged);
        const { batch, from, to } = merged;
        assert.ok(to > from && to <= batch.count);
        for (let row = from; row < to; row++) taken.push(takeRow(batch, row, batch.origin?.[row] ?? 0));
        if (new Set(batch.origin?.subarray(from, to)).size > 1) copied++;
        else lying++;
      }
      assert.deepEqual(taken, mergePlainly(made));
    }),
    { seed, numRuns: runs(30) },
  );
  assert.ok(copied > 0 && lying > 0, 'both ways were taken');
});

test('a trace that breaks off is named, and the others go on', async () => {
  async function* broken(): AsyncGenerator<FlowBatch> {
    yield* readMade([1], [{ timeUs: 5, kind: RecordKind.Packet, number: 1, isQuoting: false }]);
    throw new Error('torn');
  }
  const rows = [3, 4, 9].map((timeUs, index) => ({
    timeUs,
    kind: RecordKind.Packet,
    number: 2 + index,
    isQuoting: false,
  }));
  for (const [join, numbers] of [
    [mergeByTime, [2, 3, 1, 4]],
    [concatenate, [1, 2, 3, 4]],
  ] as const) {
    const found: (number | string)[] = [];
    for await (const merged of join([broken(), readMade([2], rows)]))
      if ('error' in merged) found.push(`${merged.origin}: ${String(merged.error)}`);
      else for (let row = merged.from; row < merged.to; row++) found.push(merged.batch.line[row]!);
    assert.deepEqual(
      found.filter((one) => typeof one === 'number'),
      numbers,
    );
    assert.deepEqual(
      found.filter((one) => typeof one === 'string'),
      ['0: Error: torn'],
    );
  }
});
