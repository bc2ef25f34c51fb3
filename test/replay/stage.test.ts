/** Law: of the rows that the kernel stages, ticks and threads are those that the reference gives them one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { clearRow, createBatch, type FlowBatch } from '../../src/model/flow.ts';
import { GroupTable } from '../../src/replay/group.ts';
import { createKernel, type Kernel } from '../../src/replay/kernel.ts';
import { bucketOf } from '../../src/replay/share.ts';
import { Clock } from '../../src/track/clock.ts';
import { TableTracker } from '../../src/track/tracker.ts';
import { runs, seed } from '../law/seed.ts';
import { SNAPSHOT, WEB_TO_DB } from './world.ts';

const kernel = makeKernel();
/** Seconds: steps within a tick, over ticks, back, and so far that the clock is set back or begins anew. */
const SECONDS = [
  5,
  5.004,
  5.01,
  4,
  7,
  7,
  NaN,
  6.99,
  30,
  100,
  99,
  20,
  21,
  21.5,
  2e7,
  2e7 + 1,
  Infinity,
  4e7,
  4e7 + 0.02,
];

test(`the ticks of staged rows are those of the clock, row by row (seed ${seed})`, () => {
  const time = fc.oneof(fc.constantFrom(...SECONDS), fc.double({ min: 4, max: 8, noNaN: true }));
  // The same time again and again: as many rows as the kernel takes at once.
  const times = fc.array(fc.tuple(time, fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 60 });
  let setBack = 0;
  const property = fc.property(times, (list) => {
    const seconds = list.flatMap(([one, count]) => Array<number>(count).fill(one));
    const batch = makeBatch(seconds.length);
    seconds.forEach((second, row) => (batch.timeUs[row] = second * 1e6));
    kernel.enter(batch);
    const [one, all] = [new Clock(), new Clock()];
    const expected = Array.from(batch.timeUs, (timeUs) => one.advance(timeUs));
    const found: number[] = [];
    while (found.length < batch.count) {
      const from = found.length;
      const count = kernel.stage(batch, from, batch.count, all, undefined);
      assert.ok(count > 0 && count === kernel.selected);
      for (let staged = 0; staged < count; staged++) found.push(kernel.tickOf(staged));
    }
    assert.deepEqual(found, expected);
    assert.deepEqual([all.tick, all.setBack, all.turnsBack], [one.tick, one.setBack, one.turnsBack]);
    setBack += one.setBack;
  });
  fc.assert(property, { seed, numRuns: runs(100) });
  assert.ok(setBack > 0);
});

test(`a thread is given the rows of its buckets, and those that the reference has to look at (seed ${seed})`, () => {
  const row = fc.record({
    family: fc.constantFrom(4, 4, 4, 6, 0),
    protocol: fc.constantFrom(6, 6, 17, 17, 132, 1, 255),
    src: fc.integer({ min: 0, max: 0xffff_ffff }),
    dst: fc.integer({ min: 0, max: 0xffff_ffff }),
    srcPort: fc.integer({ min: -1, max: 65_535 }),
    dstPort: fc.integer({ min: -1, max: 65_535 }),
    flags: fc.constantFrom(0, 0, 0, 1, 8),
  });
  const edges = fc.tuple(fc.integer({ min: 0, max: 65_536 }), fc.integer({ min: 0, max: 65_536 }));
  const property = fc.property(fc.array(row, { minLength: 1, maxLength: 40 }), edges, (rows, between) => {
    const [first, end] = between.sort((a, b) => a - b) as [number, number];
    const batch = makeBatch(rows.length);
    rows.forEach((fields, at) => {
      for (const [name, value] of Object.entries(fields)) batch[name as 'src'][at] = value;
    });
    kernel.enter(batch);
    kernel.stage(batch, 0, rows.length, new Clock(), { first, end });
    const found = Array.from({ length: kernel.selected }, (_, staged) => kernel.rowOf(staged));
    const expected = rows.flatMap(({ family, protocol, srcPort, dstPort }, at) => {
      // Whether there are ports, the ports say, whatever is noted beside them.
      const isKnown = family !== 0 && (protocol === 6 || protocol === 17) && srcPort >= 0 && dstPort >= 0;
      const bucket = bucketOf(batch, at);
      return !isKnown || (bucket >= first && bucket < end) ? [at] : [];
    });
    assert.deepEqual(found, expected);
  });
  fc.assert(property, { seed, numRuns: runs(200) });
});

function makeBatch(count: number): FlowBatch {
  const batch = createBatch(count);
  for (let row = 0; row < count; row++) clearRow(batch, row);
  batch.count = count;
  return batch;
}

function makeKernel(): Kernel {
  const program = compile(SNAPSHOT, WEB_TO_DB);
  const made = createKernel({
    program,
    baseline: undefined,
    mode: 'connections',
    groupMost: 100,
    others: 0,
    memoryBytes: 2 ** 26,
  });
  assert.ok(made !== undefined);
  made.attach(new TableTracker({ storage: made.table.storage }), new GroupTable(10, made.groupStorage));
  return made;
}
