/** The log of the last rows: whoever reads it is told of every row in order, and of the last ones alone where nobody asked before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBatch } from '../../src/model/flow.ts';
import { RowLog } from '../../src/trace/row-log.ts';

/** What the ring holds. */
const KEPT = 1 << 16;

/** A log into which rows 0 up to a number go, each with that number for its address; and who reads it. */
function createLog(): { log: RowLog; fillTo(end: number): void } {
  const log = new RowLog();
  const batch = createBatch(10_000);
  const fillTo = (end: number): void => {
    while (log.count < end) {
      const count = Math.min(batch.capacity, end - log.count);
      for (let row = 0; row < count; row++) batch.src[row] = log.count + row;
      log.append(batch, 0, count);
    }
  };
  return { log, fillTo };
}

test('readers are told of every row once, in order, each when it catches up', () => {
  const { log, fillTo } = createLog();
  const [first, second]: [number[], number[]] = [[], []];
  const [early, late] = [first, second].map((told) => log.reader(({ src }, at) => told.push(src[at]!)));
  fillTo(5);
  assert.deepEqual(first, []);
  early!.catchUp();
  fillTo(8);
  early!.catchUp();
  early!.catchUp();
  late!.catchUp();
  assert.deepEqual(first, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(second, first);
  fillTo(10);
  early!.skip();
  fillTo(11);
  early!.catchUp();
  assert.deepEqual(first.slice(8), [10]);
});

test('who never asked is told of the last rows, who did misses none', () => {
  const { log, fillTo } = createLog();
  const counts = { asleep: 0, awake: 0 };
  let [next, first] = [0, -1];
  const asleep = log.reader(({ src }, at) => {
    if (first < 0) first = src[at]!;
    counts.asleep++;
  });
  const awake = log.reader(({ src }, at) => {
    assert.equal(src[at], next++);
    counts.awake++;
  });
  fillTo(3);
  awake.catchUp();
  fillTo(200_000);
  asleep.catchUp();
  awake.catchUp();
  assert.deepEqual(counts, { asleep: KEPT, awake: 200_000 });
  assert.equal(first, 200_000 - KEPT);
});
