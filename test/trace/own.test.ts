/** dropcast's own formats: what is written is what is read, a mapping names columns, unknown versions are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isBalanced } from '../../src/trace/account.ts';
import { createWriter, type WritableFormat } from '../../src/trace/write.ts';
import {
  addQuote,
  clearRow,
  createBatch,
  createDictionary,
  type Dictionary,
  type FlowBatch,
} from '../../src/model/flow.ts';
import { readAll, repeat, toRow, type Row } from './build.ts';

const SEED = Number(process.env['FC_SEED'] ?? 20_261_121);

interface Draft {
  readonly family: 0 | 4 | 6;
  readonly words: readonly number[];
  readonly ports: readonly number[];
  readonly protocol: number;
  readonly icmp: number;
  readonly tcpFlags: number;
  readonly timeUs: number;
  readonly counts: readonly number[];
  readonly sets: readonly number[];
  readonly label: string;
  readonly hasPre: boolean;
  readonly hasQuote: boolean;
  readonly sctp: number;
}

const port = fc.oneof(fc.constant(-1), fc.constantFrom(0, 1, 53, 80, 65_535), fc.integer({ min: 0, max: 65_535 }));
const word = fc.oneof(fc.constantFrom(0, 1, 0xffff, 0xffffffff), fc.nat(0xffffffff));
const draft: fc.Arbitrary<Draft> = fc.record({
  family: fc.constantFrom(0 as const, 4 as const, 6 as const),
  words: fc.array(word, { minLength: 12, maxLength: 12 }),
  ports: fc.array(port, { minLength: 4, maxLength: 4 }),
  protocol: fc.constantFrom(1, 2, 6, 17, 50, 58, 132, 255),
  icmp: fc.oneof(fc.constant(-1), fc.nat(0xffff)),
  tcpFlags: fc.oneof(fc.constant(0xffff), fc.nat(255)),
  timeUs: fc.oneof(fc.constant(NaN), fc.integer({ min: 0, max: 4e15 })),
  counts: fc.array(fc.oneof(fc.constant(-1), fc.nat(2 ** 48)), { minLength: 4, maxLength: 4 }),
  sets: fc.tuple(fc.nat(4), fc.nat(2), fc.nat(4), fc.nat(7), fc.nat(15)),
  label: fc.string({ maxLength: 8 }),
  hasPre: fc.boolean(),
  hasQuote: fc.boolean(),
  sctp: fc.nat(0xffff),
});

function fill(batch: FlowBatch, dictionary: Dictionary, value: Draft): void {
  const row = batch.count++;
  clearRow(batch, row);
  const address = (index: number): number => {
    const [a, b, c, d] = value.words.slice(index * 4, index * 4 + 4) as [number, number, number, number];
    // 2000::/3, so that no address is an IPv4-mapped one, which readers fold.
    return value.family === 6
      ? dictionary.addresses.intern((a | 0x20000000) >>> 0, b, c, d)
      : value.family === 4
        ? a
        : 0;
  };
  batch.family[row] = value.family;
  batch.src[row] = address(0);
  batch.dst[row] = address(1);
  [batch.srcPort[row], batch.dstPort[row]] = value.ports as [number, number];
  batch.protocol[row] = value.protocol;
  batch.icmp[row] = value.icmp;
  batch.tcpFlags[row] = value.tcpFlags;
  batch.timeUs[row] = value.timeUs;
  [batch.bytes[row], batch.packets[row], batch.replyBytes[row], batch.replyPackets[row]] = value.counts as [
    number,
    number,
    number,
    number,
  ];
  [batch.kind[row], batch.orientation[row], batch.orientedBy[row], batch.recordedVerdict[row], batch.flags[row]] =
    value.sets as [number, number, number, number, number];
  batch.sctpChunks[row] = value.sctp;
  batch.connections[row] = value.sctp;
  batch.repeats[row] = value.words[9]!;
  if (value.hasPre)
    batch.policies[row] = dictionary.internPolicies(`p${value.label}`, () => ({
      enforced: [
        { kind: 'NetworkPolicy', namespace: 'ns', name: value.label, action: 'pass', rule: -1, isStaged: false },
      ],
      pending: value.hasQuote ? [{ tier: 't', name: value.label, action: 'deny', isStaged: true }] : [],
    }));
  batch.sctpTag[row] = value.words[8]!;
  if (value.hasPre && value.family !== 0) {
    batch.preDst[row] = address(2);
    batch.preDstPort[row] = Math.max(0, value.ports[2]!);
  }
  const labels = new Map([[value.label, 'v'], ['app', value.label]]); // prettier-ignore
  batch.srcEndpoint[row] = dictionary.internEndpoint(`k${value.label}`, () => ({
    kind: 'pod',
    namespace: 'ns',
    name: value.label,
    labels,
    areLabelsComplete: value.hasPre,
  }));
  if (value.hasQuote && value.family !== 0) {
    const quote = addQuote(batch);
    const { quotes } = batch;
    batch.quote[row] = quote;
    quotes.family[quote] = value.family;
    quotes.protocol[quote] = 17;
    quotes.src[quote] = address(1);
    quotes.dst[quote] = address(0);
    quotes.srcPort[quote] = value.ports[3]!;
    quotes.dstPort[quote] = value.ports[0]!;
    quotes.icmp[quote] = value.icmp;
  }
}

function withoutLine(rows: readonly Row[]): unknown[] {
  return rows.map(({ line: _line, ...rest }) => rest);
}

for (const format of ['ndjson', 'binary'] as const)
  test(`${format}: every row that is written is read back the same, in any batch and chunk size`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(draft, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 5000 }),
        async (drafts, chunkSize) => {
          const dictionary = createDictionary();
          const batch = createBatch(64);
          const writer = createWriter(format, dictionary);
          for (const value of drafts) fill(batch, dictionary, value);
          const expected = drafts.map((_, row) => toRow(batch, row, dictionary));
          const file = Buffer.concat([writer.write(batch), writer.end()]);
          // A dictionary that already holds other things, so that ids of the file are not ids of the reader.
          const other = createDictionary();
          other.addresses.intern(1, 2, 3, 4);
          other.internEndpoint('x', () => ({ kind: 'world', areLabelsComplete: false }));
          const { rows, account } = await readAll(file, { dictionary: other, chunkSize, batchCapacity: 16 });
          assert.equal(account.format, format);
          assert.ok(isBalanced(account));
          assert.deepEqual(withoutLine(rows), withoutLine(expected));
        },
      ),
      { numRuns: 60, seed: SEED },
    );
  });

test('csv: what has a column comes back the same', async () => {
  const dictionary = createDictionary();
  const batch = createBatch(16);
  const base = {
    words: [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 1],
    icmp: 771,
    tcpFlags: 18,
    counts: [1, 2, 3, 4],
    hasQuote: false,
    sctp: 0,
  };
  fill(batch, dictionary, {
    ...base,
    family: 4,
    ports: [1, 2, 3, 4],
    protocol: 6,
    timeUs: 1.7e15 + 1,
    sets: [2, 1, 1, 2, 0],
    label: 'a',
    hasPre: true,
  });
  fill(batch, dictionary, {
    ...base,
    family: 6,
    ports: [-1, -1, 3, 4],
    protocol: 50,
    timeUs: NaN,
    sets: [0, 2, 4, 0, 0],
    label: '=cmd,"x"',
    hasPre: false,
    icmp: -1,
    tcpFlags: 0,
    counts: [-1, -1, 0, 0],
  });
  const expected = [0, 1].map((row) => toRow(batch, row, dictionary));
  const writer = createWriter('csv', dictionary);
  const file = Buffer.concat([writer.write(batch), writer.end()]);
  const { rows, account } = await readAll(file);
  assert.equal(account.format, 'csv');
  const columns = [
    'src',
    'dst',
    'srcPort',
    'dstPort',
    'protocol',
    'icmp',
    'tcpFlags',
    'timeUs',
    'bytes',
    'packets',
    'replyBytes',
    'replyPackets',
    'kind',
    'orientation',
    'orientedBy',
    'recordedVerdict',
    'preDst',
    'preDstPort',
  ];
  const pick = (row: Row): unknown[] => columns.map((column) => row[column]);
  assert.deepEqual(rows.map(pick), expected.map(pick));
  assert.deepEqual(
    rows.map(({ srcEndpoint }) => (srcEndpoint as { name: string }).name),
    ['a', '=cmd,"x"'],
  );
});

test('csv: usual column names are found, a mapping names others, and a quote may span lines', async () => {
  const usual =
    'Timestamp;Source IP;Destination IP;Destination Port;Protocol;Action;note\n1700000000;10.0.0.1;10.0.0.2;80;TCP;DENY;"a\nb;c"\n';
  const first = await readAll(Buffer.from(usual));
  assert.deepEqual([first.account.format, first.rows.length, first.account.read], ['csv', 1, 1]);
  const { src, dst, dstPort, protocol, recordedVerdict, timeUs, kind } = first.rows[0]!;
  assert.deepEqual(
    [src, dst, dstPort, protocol, recordedVerdict, timeUs, kind],
    ['10.0.0.1', '10.0.0.2', 80, 6, 2, 1.7e15, 2],
  );
  const odd = 'from,to,where,how,when\n10.0.0.1,10.0.0.2,53,17,1700000000123\n';
  const mapping = {
    columns: { src: 'from', dst: 'to', dstPort: 'where', protocol: 'how', time: 'when' },
    kind: 'flow',
  } as const;
  const second = await readAll(Buffer.from(odd), { mapping });
  assert.deepEqual(
    [second.rows[0]!.dstPort, second.rows[0]!.protocol, second.rows[0]!['timeUs'], second.rows[0]!['kind']],
    [53, 17, 1_700_000_000_123_000, 1],
  );
});

test('csv: wrong rows are malformed with their line, and the others are used', async () => {
  const { rows, account } = await readAll(
    Buffer.from(
      'src,dst,dstPort,protocol\n10.0.0.1,10.0.0.2,80,tcp\n010.0.0.1,10.0.0.2,80,tcp\n1.1.1.1,fd00::1,1,tcp\n1.1.1.1,2.2.2.2,65536,tcp\n1.1.1.1\n',
    ),
  );
  assert.equal(rows.length, 1);
  assert.deepEqual(Object.fromEntries(account.malformed), { 'invalid-field': 3, 'field-count': 1 });
  assert.deepEqual(
    account.diagnostics.map(({ line }) => line),
    [3, 4, 5, 6],
  );
  assert.ok(isBalanced(account));
});

test('ndjson: the short form of a hand-written record is a connection that its first end opened', async () => {
  const line = '{"v":1,"src":"10.0.0.1","dst":"10.0.0.2","dport":80,"proto":"tcp","srcPod":"ns/a","orient":"paired"}\n';
  const { rows } = await readAll(Buffer.from(line));
  const { kind, orientation, orientedBy, srcEndpoint } = rows[0]!;
  assert.deepEqual([kind, orientation, orientedBy], [2, 0, 2]);
  assert.deepEqual(srcEndpoint, { kind: 'pod', namespace: 'ns', name: 'a', areLabelsComplete: false });
});

test('binary: another version, and bytes that were changed, are refused without an exception', async () => {
  const dictionary = createDictionary();
  const batch = createBatch(16);
  fill(batch, dictionary, {
    family: 4,
    words: repeat(5, 12),
    ports: [1, 2, 3, 4],
    protocol: 6,
    icmp: -1,
    tcpFlags: 2,
    timeUs: 1,
    counts: [1, 1, 0, 0],
    sets: [0, 0, 0, 0, 0],
    label: 'a',
    hasPre: false,
    hasQuote: true,
    sctp: 0,
  });
  const file = createWriter('binary' satisfies WritableFormat, dictionary).write(batch);
  const other = file.slice();
  other[8] = 5;
  const refused = await readAll(other);
  assert.equal(refused.account.diagnostics[0]!.code, 'unsupported-format');
  assert.match(refused.account.diagnostics[0]!.message, /version 5 .* reads versions 1 to 4/);
  for (let at = 16; at < file.length; at++)
    for (const value of [0, 1, 127, 255]) {
      const damaged = file.slice();
      damaged[at] = value;
      const { account } = await readAll(damaged);
      assert.ok(isBalanced(account), `byte ${at} = ${value}`);
    }
});
