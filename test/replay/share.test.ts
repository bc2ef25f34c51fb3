/** Law: a replay on several threads is the same as on one, bit for bit: parts, each of which is given all rows, put together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { mergeParts } from '../../src/replay/part.ts';
import { createPartReplay, createReplay, type ReplayOptions } from '../../src/replay/replay.ts';
import { shareBuckets } from '../../src/replay/share.ts';
import { createAccount } from '../../src/trace/account.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream } from './stream.ts';
import { summaryOf } from './summary.ts';

test(`threads = one thread (seed ${seed})`, (context) => {
  const reached = { busyThreads: 0, runs: 0 };
  const property = fc.property(
    fc.oneof(arbitraryStream(300), arbitraryStream(300, 'networkpolicy', 'records')),
    fc.constantFrom('connections', 'packets', 'stateless'),
    fc.constantFrom(0, 2, 5, 20_000),
    fc.integer({ min: 2, max: 4 }),
    fc.array(fc.nat(60), { minLength: 1, maxLength: 8 }),
    fc.constantFrom('plain', 'wasm'),
    (stream, mode, groupLimit, threads, cuts, kernel) => {
      const { snapshot, policies, dialect } = stream.world;
      // Each thread has read the traces by itself.
      const readings = Array.from({ length: threads }, () => batchStream(stream));
      const optionsOf = (thread: number): ReplayOptions => ({
        program: compile(snapshot, policies, dialect),
        baseline: compile(snapshot, policies.slice(1), dialect),
        dictionary: readings[thread]!.dictionary,
        mode,
        groupLimit,
        invalid: 'drop',
        kernel,
      });
      const accounts = ['one', 'two'].map(createAccount);
      const single = createReplay(optionsOf(0));
      const shares = shareBuckets(threads);
      const parts = shares.map((buckets, thread) => createPartReplay(optionsOf(thread), buckets));
      const { count } = readings[0]!.batch;
      for (let from = 0, part = 0; from < count; part++) {
        const to = Math.min(count, from + 1 + cuts[part % cuts.length]!);
        const account = accounts[part % 2]!;
        single.add(readings[0]!.batch, account, from, to);
        parts.forEach((one, thread) => one.add(readings[thread]!.batch, account, from, to));
        from = to;
      }
      const found = parts.map((part) => structuredClone(part.part()));
      assert.deepEqual(
        parts.map(({ seen }) => seen),
        parts.map(() => count),
      );
      const expected = summaryOf(single.finish(accounts));
      const merged = summaryOf(mergeParts(found, optionsOf(0), accounts));
      for (const part of Object.keys(expected)) assert.deepEqual(merged[part], expected[part], part);
      reached.busyThreads += found.filter(({ counters }) => counters.rows > 0).length;
      reached.runs++;
    },
  );
  fc.assert(property, { seed, numRuns: runs(25), includeErrorInReport: true, endOnFailure: true });
  context.diagnostic(JSON.stringify(reached));
  assert.ok(reached.busyThreads > 1.5 * reached.runs, 'hardly ever did two threads have something to do');
});
