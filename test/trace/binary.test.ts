/**
 * Law: a columnar trace says the same however it is read: as a stream of chunks, as a file into the memory of its consumer, where WASM looks
 * at its values, and as older versions had it.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  type Arena,
  clearRow,
  createBatch,
  createDictionary,
  type Dictionary,
  type FlowBatch,
} from '../../src/model/flow.ts';
import { Heap } from '../../src/replay/heap.ts';
import { wasm } from '../../src/replay/webassembly.ts';
import { isBalanced, type TraceAccount } from '../../src/trace/account.ts';
import { BINARY_COLUMNS, type BinaryColumn, columnOf, partsOf } from '../../src/trace/binary-layout.ts';
import { createBinaryWriter } from '../../src/trace/binary-writer.ts';
import type { DirectFile } from '../../src/trace/format.ts';
import type { ReadOptions } from '../../src/trace/read.ts';
import { TIME_MAX_US } from '../../src/trace/time.ts';
import { runs, seed } from '../law/seed.ts';
import { readAll, repeat, type Row } from './build.ts';

const heap = new Heap(wasm!.Memory, [1 << 24]);
const ARENA: Arena = { memory: heap.memory, offset: heap.offsetOf(0), size: 1 << 24 };

/** A column's values: what it may hold, and what stands at the edge of that or beyond. */
const VALUES: Partial<Record<BinaryColumn, readonly [readonly number[], readonly number[]]>> = {
  kind: [repeat(0, 5).map((_, kind) => kind), [5, 255]],
  orientation: [[0, 1, 2], [3]],
  orientedBy: [
    [0, 4],
    [5, 128],
  ],
  recordedVerdict: [[0, 5], [8]],
  protocol: [[6, 17, 255], []],
  src: [[0, 1, 0xffff_ffff], []],
  dst: [[5, 0x8000_0000], []],
  srcPort: [
    [-1, 0, 65_535],
    [-2, 65_536, 0x7fff_ffff, -0x8000_0000],
  ],
  dstPort: [[-1, 80], [-2]],
  icmp: [[-1, 65_535], [65_536]],
  tcpFlags: [
    [0, 0x1ff, 0xffff],
    [0x200, 0xfffe],
  ],
  timeUs: [
    [0, 1.79e15, NaN, -TIME_MAX_US, TIME_MAX_US],
    [TIME_MAX_US * 1.001, -Infinity, Infinity],
  ],
  bytes: [
    [-1, 0, 1e300],
    [-1.5, NaN, Infinity],
  ],
  packets: [[0, 1], [-2]],
  replyBytes: [[0, -1], [NaN]],
  replyPackets: [[0], [-Infinity]],
  flags: [[0, 0xffff], []],
  sctpTag: [[0, 7], []],
  srcEndpoint: [[0], [1, 0xffff_ffff]],
  dstEndpoint: [[0], [1]],
};
const NAMES = Object.keys(VALUES) as BinaryColumn[];

/** Which values stand in which rows: `choices` pick them in turn. */
interface Draft {
  readonly rows: number;
  /** Columns that are not of one value. */
  readonly plain: readonly BinaryColumn[];
  readonly choices: readonly number[];
  /** A value that is none: where. */
  readonly odd: { readonly name: BinaryColumn; readonly row: number; readonly choice: number } | undefined;
}

const draft: fc.Arbitrary<Draft> = fc.record({
  rows: fc.integer({ min: 1, max: 70 }),
  plain: fc.subarray(NAMES),
  choices: fc.array(fc.nat(6), { minLength: 1, maxLength: 40 }),
  odd: fc.option(fc.record({ name: fc.constantFrom(...NAMES), row: fc.nat(69), choice: fc.nat(3) }), {
    nil: undefined,
    freq: 3,
  }),
});

test(`however a columnar trace is read, its rows and what is wrong with it are the same (seed ${seed})`, async () => {
  const reached = { used: 0, odd: 0, changed: 0 };
  const property = fc.asyncProperty(
    fc.array(draft, { minLength: 1, maxLength: 4 }),
    fc.integer({ min: 1, max: 4000 }),
    fc.constantFrom(16, 40, 1000),
    fc.option(fc.tuple(fc.nat(), fc.nat(255)), { nil: undefined }),
    async (drafts, chunkSize, batchCapacity, change) => {
      const file = writeFile(drafts);
      // A byte behind the file's header, which other readers than this one would look at.
      if (change !== undefined) file[16 + (change[0] % (file.length - 16))] = change[1];
      const [expected, ...others] = [
        await read(file, { chunkSize, batchCapacity }),
        await read(file, { chunkSize, batchCapacity, arena: ARENA }),
        await read(file, { batchCapacity, directFile: directOf(file) }),
        await read(file, { batchCapacity, directFile: directOf(file), arena: ARENA, batchUse: 'read' }),
      ];
      // Where reading ends early, a file was read less far.
      const bytes = 0;
      for (const { rows, account } of others)
        assert.deepEqual(
          { rows, account: { ...account, bytes } },
          { ...expected!, account: { ...expected!.account, bytes } },
        );
      if (change !== undefined) reached.changed++;
      reached.used += expected!.account.used;
      reached.odd += expected!.account.malformed.get('value-range') ?? 0;
    },
  );
  await fc.assert(property, { seed, numRuns: runs(120), includeErrorInReport: true });
  assert.ok(reached.used > 1000 && reached.odd > 300 && reached.changed > 20, JSON.stringify(reached));
});

test(`older versions of the columnar trace are read as this one (seed ${seed})`, async () => {
  const property = fc.asyncProperty(
    fc.array(draft, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(1, 2),
    async (drafts, version) => {
      const file = writeFile(drafts.map((one) => ({ ...one, odd: undefined })));
      const old = asVersion(file, version);
      assert.equal(old[8], version);
      const expected = await read(file, {});
      for (const options of [{}, { arena: ARENA, directFile: directOf(old) }]) {
        const { rows, account } = await read(old, options);
        assert.deepEqual(rows, expected.rows);
        assert.deepEqual([account.read, account.used], [expected.account.read, expected.account.used]);
      }
    },
  );
  await fc.assert(property, { seed, numRuns: runs(40), includeErrorInReport: true });
});

test('columns of a file are where it was read to, and those of one value are filled once', async () => {
  const file = writeFile([{ rows: 50, plain: ['src', 'bytes', 'tcpFlags'], choices: [0, 1, 2], odd: undefined }]);
  const { readTrace } = await import('../../src/trace/read.ts');
  const { createAccount } = await import('../../src/trace/account.ts');
  let rows = 0;
  for await (const batch of readTrace(chunksOf(file), {
    file: 'test',
    dictionary: createDictionary(),
    account: createAccount('test'),
    directFile: directOf(file),
    arena: ARENA,
    batchUse: 'read',
  })) {
    rows += batch.count;
    for (const name of ['src', 'bytes', 'tcpFlags', 'line'] as const)
      assert.equal(batch[name].buffer, ARENA.memory.buffer, name);
    assert.notEqual(batch.dst.buffer, ARENA.memory.buffer);
    assert.equal(batch.uniform!.get('dst'), 5);
    assert.deepEqual(batch.extent, { firstUs: 0, lastUs: 0 });
  }
  assert.equal(rows, 50);
});

test('a file that ends inside a group says where', async () => {
  const file = writeFile([{ rows: 5, plain: ['src'], choices: [0, 1], odd: undefined }]);
  for (const size of [17, 40, 41, 60, 90, file.length - 1]) {
    const cut = file.subarray(0, size);
    const { account } = await read(cut, { directFile: directOf(cut), arena: ARENA });
    assert.deepEqual([account.read, account.used, account.malformed.get('truncated'), account.bytes], [1, 0, 1, size]);
    assert.match(account.diagnostics[0]!.message, new RegExp(`inside a row group, ${size - 16} bytes after`));
  }
});

test('the WASM functions of the columnar trace are those of their source', () => {
  const hash = createHash('sha256').update(readFileSync('src/trace/binary-scan.as.ts')).digest('hex');
  assert.ok(readFileSync('src/trace/binary-scan-code.ts', 'utf8').includes(hash));
});

async function read(
  bytes: Uint8Array,
  options: Partial<ReadOptions> & { readonly chunkSize?: number },
): Promise<{ rows: Row[]; account: TraceAccount }> {
  // Numbers of the file are not those of the dictionary.
  const dictionary = createDictionary();
  dictionary.addresses.intern(9, 9, 9, 9);
  const { rows, account } = await readAll(bytes, { ...options, dictionary });
  assert.ok(isBalanced(account));
  return { rows, account };
}

/** A group for each draft. */
function writeFile(drafts: readonly Draft[]): Uint8Array {
  const dictionary = createDictionary();
  const writer = createBinaryWriter(dictionary);
  const parts = drafts.map((one) => writer.write(batchOf(one, dictionary)));
  return new Uint8Array(Buffer.concat([...parts, writer.end()]));
}

function batchOf({ rows, plain, choices, odd }: Draft, { addresses }: Dictionary): FlowBatch {
  const batch = createBatch(rows);
  batch.count = rows;
  let turn = 0;
  const choose = (values: readonly number[]): number => values[choices[turn++ % choices.length]! % values.length]!;
  for (let row = 0; row < rows; row++) clearRow(batch, row);
  batch.family.fill(4);
  for (const name of NAMES) {
    const [values] = VALUES[name]!;
    if (plain.includes(name) && rows > 1)
      for (let row = 0; row < rows; row++) columnOf(batch, name)[row] = choose(values);
    else columnOf(batch, name).fill(values[0]!);
  }
  // Now and then an address of version 6.
  if (choices[0] === 6) [batch.family[0], batch.src[0], batch.dst[0]] = [6, addresses.intern(0x20000000, 0, 0, 1), 0];
  if (choices[0] === 6) batch.dst[0] = batch.src[0]!;
  const beyond = odd && VALUES[odd.name]![1];
  if (odd !== undefined && beyond!.length > 0 && !odd.name.endsWith('Endpoint'))
    columnOf(batch, odd.name)[odd.row % rows] = beyond![odd.choice % beyond!.length]!;
  return batch;
}

/** The file as an older version had it: unaligned, the encoding of a column before it; in the first one three columns less and a list of endpoints. */
function asVersion(file: Uint8Array, version: number): Uint8Array {
  const from = new DataView(file.buffer);
  const model = createBatch(1);
  const names = version === 1 ? BINARY_COLUMNS.slice(0, -3) : BINARY_COLUMNS;
  const header = Buffer.from(file.subarray(0, 16));
  header.writeUInt32LE(version, 8);
  header.writeUInt32LE(names.length, 12);
  const out: Uint8Array[] = [header];
  for (let group = 16; group < file.length; group += from.getUint32(group + 4, true)) {
    const [rows, addresses, facts, quotes] = [8, 12, 16, 20].map((at) => from.getUint32(group + at, true)) as [
      number,
      number,
      number,
      number,
    ];
    const parts = partsOf(3, { addresses, facts, quotes, columns: BINARY_COLUMNS.length });
    const cut = (at: number, size: number): Uint8Array => file.subarray(group + at, group + at + size);
    const { endpoints, policies } = JSON.parse(
      Buffer.from(cut(parts.facts, facts)).toString() || '{"endpoints":[],"policies":[]}',
    ) as Record<string, unknown>;
    const text = Buffer.from(JSON.stringify(version === 1 ? endpoints : { endpoints, policies }));
    const own = Buffer.from(cut(0, 24));
    const columns: Uint8Array[] = [];
    let at = parts.columns;
    BINARY_COLUMNS.forEach((name, index) => {
      const encoding = file[group + 24 + index]!;
      const size = columnOf(model, name).BYTES_PER_ELEMENT * (encoding === 0 ? 1 : rows);
      if (names.includes(name)) columns.push(Uint8Array.of(encoding), cut(at, size));
      at += Math.ceil(size / 8) * 8;
    });
    const body = Buffer.concat([
      cut(parts.addresses, addresses * 16),
      text,
      cut(parts.quotes, quotes * 22),
      ...columns,
    ]);
    own.writeUInt32LE(24 + body.length, 4);
    own.writeUInt32LE(text.length, 16);
    out.push(own, body);
  }
  return new Uint8Array(Buffer.concat(out));
}

/** As little at a time as a slow disk gives. */
function directOf(bytes: Uint8Array): DirectFile {
  let at = 0;
  return {
    read(place) {
      const size = Math.min(place.length, 1 + (at % 900), bytes.length - at);
      place.set(bytes.subarray(at, at + size));
      at += size;
      return size;
    },
    get left() {
      return bytes.length - at;
    },
    skip(size) {
      at += size;
    },
    turn: () => Promise.resolve(true),
  };
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
