/** Law: a replay on several threads is the same as on one, bit for bit, whatever thread has its turn when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { type Answer, createCrew, createHand, type Mate, type Order } from '../../src/replay/crew.ts';
import { addQuote, type FlowBatch } from '../../src/model/flow.ts';
import { createReplay, type ReplayOptions } from '../../src/replay/replay.ts';
import { createAccount } from '../../src/trace/account.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream } from './stream.ts';
import { summaryOf } from './summary.ts';

test(`threads = one thread (seed ${seed})`, async (context) => {
  const reached = { busyThreads: 0, readers: 0, runs: 0 };
  const property = fc.asyncProperty(
    fc.oneof(arbitraryStream(300), arbitraryStream(300, 'networkpolicy', 'records')),
    fc.constantFrom('connections', 'packets', 'stateless'),
    fc.constantFrom(0, 2, 5, 20_000),
    fc.integer({ min: 2, max: 4 }),
    fc.array(fc.nat(60), { minLength: 1, maxLength: 8 }),
    fc.infiniteStream(fc.nat(99)),
    // Of the one format a reader's thread replays too; readers fill shared batches themselves, or theirs are copied.
    fc.constantFrom('binary', 'pcap'),
    fc.boolean(),
    fc.constantFrom('plain', 'wasm'),
    async (stream, mode, groupLimit, threads, cuts, turns, format, isLent, kernel) => {
      const { snapshot, policies, dialect } = stream.world;
      const { batch, dictionary } = batchStream(stream);
      const options: ReplayOptions = {
        program: compile(snapshot, policies, dialect),
        baseline: compile(snapshot, policies.slice(1), dialect),
        dictionary,
        mode,
        groupLimit,
        invalid: 'drop',
        kernel,
      };
      const accounts = ['one', 'two'].map((file) => Object.assign(createAccount(file), { format }));
      const single = createReplay(options);
      const mates = new Mates(threads - 1, turns);
      const crew = createCrew(options, mates.list);
      let from = 0;
      for (let part = 0; from < batch.count; part++) {
        const to = Math.min(batch.count, from + 1 + cuts[part % cuts.length]!);
        single.add(batch, accounts[part % 2]!, from, to);
        if (isLent) await crew.add(copyRows(batch, crew.nextBatch(), from, to), accounts[part % 2]!);
        else await crew.add(batch, accounts[part % 2]!, from, to);
        from = to;
      }
      const expected = summaryOf(single.finish(accounts));
      const found = summaryOf(await crew.finish(accounts));
      for (const part of Object.keys(expected)) assert.deepEqual(found[part], expected[part], part);
      reached.busyThreads += mates.busy();
      if (format === 'binary') reached.readers++;
      reached.runs++;
    },
  );
  await fc.assert(property, { seed, numRuns: runs(25), includeErrorInReport: true, endOnFailure: true });
  context.diagnostic(JSON.stringify(reached));
  assert.ok(reached.busyThreads + reached.readers > reached.runs, 'hardly ever did two threads have something to do');
});

/** What a reader does: rows into an empty batch. */
function copyRows(from: FlowBatch, to: FlowBatch, first: number, end: number): FlowBatch {
  assert.equal(to.count, 0);
  const copy = (source: object, target: object, at: number, until: number): void => {
    for (const [name, column] of Object.entries(source))
      if (ArrayBuffer.isView(column))
        (target as Record<string, Uint8Array>)[name]!.set((column as Uint8Array).subarray(at, until));
  };
  copy(from, to, first, end);
  while (to.quotes.count < from.quotes.count) addQuote(to);
  copy(from.quotes, to.quotes, 0, from.quotes.count);
  to.count = end - first;
  return to;
}

/** Threads that are none: each keeps its orders until it has its turn, and messages are copies as between threads. */
class Mates {
  readonly list: readonly Mate[];
  private readonly queues: Order[][];
  private readonly rows: number[];

  constructor(count: number, turns: Iterator<number>) {
    this.queues = Array.from({ length: count }, () => []);
    this.rows = this.queues.map(() => 0);
    this.list = this.queues.map((queue, number) => {
      let obey: (order: Order) => void = () => {};
      let fail: (error: unknown) => void = () => {};
      return {
        listen(hear: (answer: Answer) => void, onFail: (error: unknown) => void) {
          fail = onFail;
          obey = createHand((answer, buffers) => {
            if (answer.kind === 'part') this.heard(number, answer.part.counters.rows);
            hear(structuredClone(answer, { transfer: [...buffers] }));
          });
        },
        heard: (thread: number, rows: number) => void (this.rows[thread] = rows),
        post: (order: Order, buffers: readonly ArrayBuffer[]) => {
          queue.push(structuredClone(order, { transfer: [...buffers] }));
          setImmediate(() => this.turn(turns));
        },
        obey(order: Order) {
          try {
            obey(order);
          } catch (error) {
            fail(error);
          }
        },
        dismiss() {},
      };
    });
  }

  /** Threads that had rows. */
  busy(): number {
    return this.rows.filter((rows) => rows > 0).length;
  }

  private turn(turns: Iterator<number>): void {
    const waiting = this.queues.flatMap((queue, number) => (queue.length > 0 ? [number] : []));
    if (waiting.length === 0) return;
    const number = waiting[(turns.next().value as number) % waiting.length]!;
    (this.list[number] as Mate & { obey(order: Order): void }).obey(this.queues[number]!.shift()!);
  }
}
