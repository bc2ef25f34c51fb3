/** Law: a replay on several threads is the same as on one, bit for bit: parts, each of which is given all rows, put together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { createDictionary } from '../../src/model/flow.ts';
import { mergeParts } from '../../src/replay/part.ts';
import { createPartReplay, createReplay, type ReplayOptions } from '../../src/replay/replay.ts';
import { bucketOf, shareBuckets } from '../../src/replay/share.ts';
import { createAccount } from '../../src/trace/account.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream } from './stream.ts';
import { summaryOf } from './summary.ts';
import { batchOf, DENY_DB, packet, SNAPSHOT, type TraceRecord } from './world.ts';

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

test('an ICMP error is of the thread that has the flow which it quotes, whoever sends it', () => {
  const flows: readonly (readonly [TraceRecord, TraceRecord])[] = [
    [
      packet('10.0.0.1:40000', '10.0.0.11:5432', 'S'),
      { protocol: 1, src: '192.168.0.1', dst: '10.0.0.1', icmp: 3 << 8 },
    ],
    [
      packet('[fd00::1]:40000', '[fd00::11]:5432', 'S'),
      { protocol: 58, src: '[fd00::9]', dst: '[fd00::1]', icmp: 1 << 8 },
    ],
  ];
  for (const [flow, error] of flows) {
    const batch = batchOf([flow, { ...error, quote: flow }, error], createDictionary());
    assert.equal(bucketOf(batch, 1), bucketOf(batch, 0));
    assert.notEqual(bucketOf(batch, 2), bucketOf(batch, 0));
  }
});

test('threads = one thread where a baseline denies what finds no group', () => {
  const trace = Array.from({ length: 60 }, (_, port) => packet('10.0.0.1:40000', `10.0.0.11:${port + 1}`, 'S', port));
  const dictionary = createDictionary();
  const options: ReplayOptions = {
    program: compile(SNAPSHOT, []),
    baseline: compile(SNAPSHOT, DENY_DB),
    dictionary,
    mode: 'connections',
    groupLimit: 0,
    invalid: 'count',
  };
  const account = createAccount('trace');
  const single = createReplay(options);
  const parts = shareBuckets(2).map((buckets) => createPartReplay(options, buckets));
  for (const one of [single, ...parts]) one.add(batchOf(trace, dictionary), account);
  const expected = single.finish([account]);
  assert.equal(expected.comparison!.newlyAllowed.connections, 60);
  const merged = mergeParts(
    parts.map((one) => one.part()),
    options,
    [account],
  );
  assert.deepEqual(summaryOf(merged), summaryOf(expected));
});
