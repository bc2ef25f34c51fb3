/** Law: where nobody writes into the batches of a columnar trace, columns of one value are written once; the result is the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { createDictionary, type FlowBatch } from '../../src/model/flow.ts';
import { createReplay } from '../../src/replay/replay.ts';
import { createAccount } from '../../src/trace/account.ts';
import { createBinaryWriter } from '../../src/trace/binary-writer.ts';
import { readTrace, type ReadOptions } from '../../src/trace/read.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream, type Stream } from './stream.ts';
import { summaryOf } from './summary.ts';

test(`batches that are only read replay as others do (seed ${seed})`, async (context) => {
  const reached = { uniform: 0, changed: 0 };
  const property = fc.asyncProperty(
    arbitraryStream(120, 'networkpolicy', 'records'),
    // Short groups: whether a column is of one value changes from one to the next, and so does the value.
    fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
    fc.constantFrom<Partial<ReadOptions>>(
      {},
      { clockOffsetUs: 5_000_000 },
      { window: { fromUs: 1.7e15, toUs: 1.7e15 + 9e6 } },
    ),
    fc.boolean(),
    async (stream, sizes, options, isDictionaryUsed) => {
      const bytes = writeGroups(stream, sizes);
      const [kept, other] = [
        await replay(stream, bytes, { ...options, batchUse: 'read' }, isDictionaryUsed, reached),
        await replay(stream, bytes, options, isDictionaryUsed, reached),
      ];
      for (const part of Object.keys(other)) assert.deepEqual(kept[part], other[part], part);
    },
  );
  await fc.assert(property, { seed, numRuns: runs(60), includeErrorInReport: true });
  context.diagnostic(JSON.stringify(reached));
  assert.ok(
    reached.uniform > 100 && reached.changed > 100,
    'columns were of one value, and then of another or of several',
  );
});

/** A columnar trace of groups of these sizes, again and again. */
function writeGroups(stream: Stream, sizes: readonly number[]): Uint8Array {
  const { batch, dictionary } = batchStream(stream);
  const writer = createBinaryWriter(dictionary);
  const parts: Uint8Array[] = [];
  for (let from = 0, group = 0; from < batch.count; group++) {
    const to = Math.min(batch.count, from + sizes[group % sizes.length]!);
    const columns = Object.entries(batch).map(([name, column]: [string, unknown]) => [
      name,
      ArrayBuffer.isView(column) ? (column as Uint8Array).slice(from, to) : column,
    ]);
    parts.push(writer.write({ ...(Object.fromEntries(columns) as FlowBatch), count: to - from }));
    from = to;
  }
  parts.push(writer.end());
  return Buffer.concat(parts);
}

async function replay(
  { world: { snapshot, policies, dialect } }: Stream,
  bytes: Uint8Array,
  options: Partial<ReadOptions>,
  isDictionaryUsed: boolean,
  reached: { uniform: number; changed: number },
): Promise<Record<string, unknown>> {
  const dictionary = createDictionary();
  // The numbers of the file are then not those of the dictionary.
  if (isDictionaryUsed) {
    dictionary.addresses.intern(1, 2, 3, 4);
    dictionary.internEndpoint('x/y', () => ({ kind: 'pod', namespace: 'x', name: 'y', areLabelsComplete: false }));
  }
  const account = createAccount('trace');
  const replayed = createReplay({
    program: compile(snapshot, policies, dialect),
    dictionary,
    mode: 'connections',
    invalid: 'count',
  });
  let known: ReadonlyMap<string, number> = new Map();
  const source = (async function* () {
    // As a stream that pauses: rows are handed out behind every piece.
    for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
  })();
  for await (const batch of readTrace(source, {
    file: 'trace',
    dictionary,
    account,
    batchCapacity: 16,
    ...options,
  })) {
    for (const [name, value] of known) if (!Object.is(batch.uniform?.get(name), value)) reached.changed++;
    known = new Map(batch.uniform);
    reached.uniform += known.size;
    for (const [name, value] of known) {
      const column = batch[name as 'src'];
      assert.ok(
        column.every((own) => Object.is(own, value)),
        name,
      );
    }
    replayed.add(batch, account);
  }
  return {
    ...summaryOf(replayed.finish([account])),
    account: { ...account, malformed: Object.fromEntries(account.malformed) },
  };
}
