/**
 * Law: a trace in shards says what the same trace says without, whether it is read whole or each thread reads its own shards; and threads that
 * do find what one thread finds, bit for bit.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { memoryFile } from '../../bench/memory-file.ts';
import { compile } from '../../src/compile/compile.ts';
import { createDictionary, type Dictionary, type FlowBatch } from '../../src/model/flow.ts';
import { mergeParts } from '../../src/replay/part.ts';
import { createPartReplay, createReplay, type Replay, type ReplayOptions } from '../../src/replay/replay.ts';
import { shardOf, shareBuckets } from '../../src/replay/share.ts';
import { createAccount, isBalanced, type TraceAccount } from '../../src/trace/account.ts';
import { createBinaryWriter } from '../../src/trace/binary-writer.ts';
import { isClock, type Sharder } from '../../src/trace/binary-shard.ts';
import { writeNdjson } from '../../src/trace/ndjson.ts';
import { readTrace, type ReadOptions } from '../../src/trace/read.ts';
import { Clock, Tick } from '../../src/track/clock.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream } from './stream.ts';
import { summaryOf } from './summary.ts';

test(`threads on shards = one thread on the trace (seed ${seed})`, async (context) => {
  const reached = { groups: 0, shared: 0, withClock: 0, empty: 0 };
  const property = fc.asyncProperty(
    fc.oneof(arbitraryStream(300), arbitraryStream(300, 'networkpolicy', 'records')),
    fc.constantFrom('connections', 'packets', 'stateless'),
    fc.constantFrom(2, 20_000),
    fc.integer({ min: 2, max: 5 }),
    fc.integer({ min: 2, max: 4 }),
    fc.constantFrom(3, 20, 70, undefined),
    fc.constantFrom('plain', 'wasm'),
    fc.constantFrom(true, false, false),
    async (stream, mode, groupLimit, shards, threads, groupRows, kernel, isLate) => {
      const { snapshot, policies, dialect } = stream.world;
      const { batch, dictionary } = batchStream(stream);
      for (let row = 0; row < batch.count; row++) {
        batch.line[row] = row + 1;
        // Half-way the clock has to be set back, amid a group whose times are not in order.
        if (isLate && row > 0)
          batch.timeUs[row] = batch.timeUs[0]! + Tick.Highest * Tick.Us + (row - batch.count / 2 - 3 * (row % 3)) * 2e4;
        // No reader makes a quote without addresses, and the file has none.
        if (batch.quote[row]! >= 0 && batch.quotes.family[batch.quote[row]!] === 0) batch.quote[row] = -1;
      }
      const files = [undefined, sharderOf(shards, groupRows)].map((sharder) => {
        const writer = createBinaryWriter(dictionary, sharder);
        return Buffer.concat([writer.write(batch), writer.end()]);
      });
      const [plain, sharded] = files as [Buffer, Buffer];
      const optionsOf = (own: Dictionary): ReplayOptions => ({
        program: compile(snapshot, policies, dialect),
        baseline: compile(snapshot, policies.slice(1), dialect),
        dictionary: own,
        mode,
        groupLimit,
        invalid: 'drop',
        kernel,
      });
      const whole = createDictionary();
      const single = createReplay(optionsOf(whole));
      const account = await read(plain, whole, single.arena, {}, (own, one) => single.add(own, one));
      const expected = summaryOf(single.finish([account]));

      // Whole: the rows come as they came.
      const texts = await Promise.all(files.map(textOf));
      assert.equal(texts[1], texts[0]);

      const count = Math.min(threads, shards);
      const dictionaries: Dictionary[] = [];
      const parts = [];
      let rows = 0;
      for (const [index, buckets] of shareBuckets(count, shards).entries()) {
        const own = createDictionary();
        const part = createPartReplay(optionsOf(own), buckets);
        const share = { index, count };
        await read(sharded, own, part.arena, { share, batchCapacity: 65_536 }, (batch, one) => {
          part.add(batch, one);
          reached.groups++;
          if (batch.share === undefined) return;
          reached.shared++;
          rows += batch.count;
          if (batch.count === 0) reached.empty++;
          if (batch.share.clockUs !== undefined) reached.withClock++;
        });
        assert.equal(part.seen, batch.count);
        dictionaries.push(own);
        parts.push(structuredClone(part.part()));
      }
      assert.ok(rows <= batch.count, 'a row was read by two threads');
      const merged = summaryOf(mergeParts(parts, optionsOf(dictionaries[0]!), [account]));
      for (const part of Object.keys(expected)) assert.deepEqual(merged[part], expected[part], part);
    },
  );
  await fc.assert(property, { seed, numRuns: runs(40), includeErrorInReport: true, endOnFailure: true });
  context.diagnostic(JSON.stringify(reached));
  assert.ok(reached.shared > reached.groups / 4 && reached.withClock > 0 && reached.empty > 0, JSON.stringify(reached));
});

test('a damaged trace in shards throws nothing, whole or in parts, and its account adds up', async () => {
  const { batch, dictionary } = batchStream(fc.sample(arbitraryStream(40), { seed, numRuns: 1 })[0]!);
  batch.quote.fill(-1);
  const writer = createBinaryWriter(dictionary, sharderOf(2, 20));
  const file = Buffer.concat([writer.write(batch), writer.end()]);
  let told = 0;
  for (let at = 16; at < file.length; at += 7 + (at % 5))
    for (const value of [0, 1, 127, 255]) {
      const damaged = Uint8Array.from(file);
      damaged[at] = value;
      const cut = value === 127 ? damaged.subarray(0, at) : damaged;
      for (const share of [undefined, { index: 0, count: 2 }, { index: 1, count: 2 }]) {
        const account = createAccount('trace.bin');
        const options = { file: 'trace.bin', dictionary: createDictionary(), account, batchCapacity: 65_536 };
        const chunks = (async function* () {
          yield cut;
        })();
        const reading = { ...options, directFile: memoryFile(cut), ...(share && { share }) };
        for await (const { share: part } of readTrace(chunks, reading))
          assert.ok(part === undefined || share !== undefined);
        if (share === undefined) assert.ok(isBalanced(account), `byte ${at} = ${value}`);
        if (account.diagnostics.length > 0) told++;
      }
    }
  assert.ok(told > 100, `${told}`);
});

test('a clock that runs back, leaves what the header says, or is no number is none', () => {
  const head = { ends: [3], hasClock: true, firstUs: 10, lastUs: 20 };
  const isFine = (...clockUs: number[]): boolean => isClock(Float64Array.from(clockUs), head);
  assert.deepEqual([isFine(), isFine(10, 10, 20), isFine(11)], [true, true, true]);
  assert.deepEqual([isFine(9, 12), isFine(12, 11), isFine(12, 21), isFine(12, NaN), isFine(NaN)], Array(5).fill(false));
});

function sharderOf(shards: number, groupRows: number | undefined): Sharder {
  return {
    shards,
    ...(groupRows !== undefined && { groupRows }),
    shardOf: (batch, row) => shardOf(shards, batch, row),
    clock: new Clock(),
  };
}

async function read(
  bytes: Uint8Array,
  dictionary: Dictionary,
  arena: Replay['arena'],
  options: Partial<ReadOptions>,
  take: (batch: FlowBatch, account: TraceAccount) => void,
): Promise<TraceAccount> {
  const account = createAccount('trace.bin');
  const chunks = (async function* () {
    yield bytes;
  })();
  const all = {
    file: 'trace.bin',
    dictionary,
    account,
    directFile: memoryFile(bytes),
    ...options,
    ...(arena && { arena }),
  };
  for await (const batch of readTrace(chunks, { ...all, batchUse: 'read' })) take(batch, account);
  assert.deepEqual(account.diagnostics, []);
  assert.equal(account.bytes, bytes.length);
  if (options.share === undefined) assert.ok(isBalanced(account));
  return account;
}

/** What a file says, read as a stream. */
async function textOf(bytes: Uint8Array): Promise<string> {
  const dictionary = createDictionary();
  const account = createAccount('trace.bin');
  const chunks = (async function* () {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  })();
  let text = '';
  for await (const batch of readTrace(chunks, { file: 'trace.bin', dictionary, account }))
    text += `${Buffer.from(writeNdjson(batch, dictionary)).toString()}${batch.line.subarray(0, batch.count).join()}\n`;
  assert.deepEqual(account.diagnostics, []);
  assert.ok(isBalanced(account));
  return text.replace(/\n[\d,]+\n/g, '\n');
}
