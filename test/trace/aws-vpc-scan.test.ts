/** The WASM scanner of VPC flow logs gives what the general reader gives, or leaves the line to it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createBatch, createDictionary, type Dictionary, resetBatch } from '../../src/model/flow.ts';
import { createAccount, isBalanced, type TraceAccount } from '../../src/trace/account.ts';
import { openAwsVpc } from '../../src/trace/aws-vpc.ts';
import { type AwsVpcScanner, shareAwsVpcScanner } from '../../src/trace/aws-vpc-scan.ts';
import { createHead } from '../../src/trace/head.ts';
import { runs, seed } from '../law/seed.ts';
import { type Row, toRow } from './build.ts';
import { AWS_VPC_TEXT } from './log.ts';

const SAMPLES = '../shared/samples/aws';
const DEFAULT =
  'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status';

interface Reading {
  readonly rows: readonly Row[];
  readonly dictionary: Dictionary;
  readonly account: TraceAccount;
}

/** How inputs are cut: rows of a batch, bytes of a call. */
interface Cut {
  readonly capacity: number;
  readonly chunkSize: number;
}

const scanner = shareAwsVpcScanner()!;

const order = fc.constantFrom(
  'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status',
  'interface-id pkt-srcaddr pkt-dstaddr srcaddr dstaddr dstport protocol tcp-flags start',
  'dstaddr srcaddr x y dstport srcport protocol tcp-flags bytes z',
  'srcaddr dstaddr srcaddr protocol',
  'srcport dstport protocol interface-id start log-status',
);
const values: Readonly<Record<string, readonly string[]>> = {
  'interface-id': ['eni-0a', 'eni-0b', 'eni-0a23456789abcdef0', '-', 'x'],
  action: ['ACCEPT', 'REJECT', 'ACCEPT', '-', 'REJECTED', 'ACCEPS'],
  'log-status': ['OK', 'OK', 'OK', 'NODATA', 'SKIPDATA', '-', 'OKAY'],
  protocol: ['6', '17', '1', '255', '256', '-', '06', 'x'],
  'tcp-flags': ['2', '18', '3', '0', '255', '256', '-'],
  start: ['1700000000', '1700000060', '1700000900', '4294967295', '4294967296', '-', '1'],
  end: ['1700000060', '-'],
  srcport: ['0', '80', '65535', '65536', '-', '40000', '123456789012345', '1234567890123456'],
  dstport: ['0', '443', '-', '8080', '1e3', '99999'],
  packets: ['1', '99', '10000', '123456789', '9007199254740', '-', '-1'],
};
const addresses = ['10.0.0.1', '10.0.0.2', '172.31.255.255', '255.1.2.3', '1.2.3.4', '10.0.0.256', '10.0.0.01', '1.2.3', '1.2.3.4.5', '1..2.3', '1.2.3.4444', 'fd00::1', '-', '10.0.0.1x']; // prettier-ignore
// Usual values and gaps most of the time: a line has many.
const often = (list: readonly string[], usual: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...list.slice(0, usual)) },
    { weight: 1, arbitrary: fc.constantFrom(...list) },
  );
const value = (name: string): fc.Arbitrary<string> => {
  if (name.endsWith('addr')) return often(addresses, 5);
  return often(values[name] ?? ['2', '-', 'word', 'ü', 'x'.repeat(40)], 3);
};
const blank = fc.oneof(
  { weight: 60, arbitrary: fc.constant(' ') },
  { weight: 1, arbitrary: fc.constantFrom('  ', '\t', '') },
);
const line = (names: string): fc.Arbitrary<string> =>
  fc
    .tuple(...names.split(' ').map((name) => fc.tuple(value(name), blank)))
    .map((fields) => fields.map(([text, gap], index) => (index === 0 ? text : gap + text)).join(''));
const cut = fc.record({
  capacity: fc.constantFrom(1, 16, 1000),
  chunkSize: fc.constantFrom(7, 200, 65_536, 1 << 20),
});

test('the committed scanner was compiled from the source as it is', () => {
  // Compiling takes seconds; `npm run build` does it and refuses what differs.
  const hash = createHash('sha256').update(readFileSync('src/trace/aws-vpc-scan.as.ts')).digest('hex');
  assert.ok(readFileSync('src/trace/aws-vpc-scan-code.ts', 'utf8').includes(hash));
});

test('the scanner takes every usual line by itself, over windows, reads and batches of any size', () => {
  const lines = Array.from({ length: 4000 }, (_, index) => usual(index));
  const bytes = Buffer.from(lines.join(''));
  const layout = Int32Array.of(14, 2, 3, 4, -1, -1, 5, 6, 7, 8, 9, 10, 12, 13, -1);
  let at = 0;
  let count = 0;
  while (at < bytes.length) {
    assert.ok(scanner.open(bytes, at, bytes.length, layout));
    while (at < scanner.end) {
      count += scanner.read(at, count + 1, 700);
      at = scanner.stop();
    }
  }
  assert.equal(count, lines.length);
  for (const capacity of [1000, 8192]) assertSame(bytes, DEFAULT, { capacity, chunkSize: 1 << 20 });
});

test('lines in every state, in any order of fields, read as the general reader reads them', () => {
  const input = order.chain((names) =>
    fc.tuple(fc.constant(names), fc.array(line(names), { minLength: 1, maxLength: 12 })),
  );
  let used = 0;
  const check = fc.property(input, fc.constantFrom('\n', '\n', '\r\n', '\n\n'), cut, ([names, lines], end, where) => {
    used += assertSame(Buffer.from(lines.join(end) + end), names, where);
  });
  fc.assert(check, { seed, numRuns: runs(300) });
  assert.ok(used > 200, String(used));
});

test('damaged bytes: cut, replaced, doubled and left out, they read as the general reader reads them', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom(...Buffer.from(' \n\r\t.-019:/aev$\x00\x80\xff', 'latin1'))), { minLength: 1, maxLength: 4 }); // prettier-ignore
  const check = fc.property(fc.nat(), fc.nat({ max: 12 }), damage, cut, (first, count, changes, where) => {
    let bytes = Buffer.from(Array.from({ length: count + 1 }, (_, index) => usual(first + index)).join(''));
    for (const [place, how, byte] of changes) {
      const at = place % bytes.length;
      const [before, after] = [bytes.subarray(0, at), bytes.subarray(at + 1)];
      if (how === 0) bytes = Buffer.concat([before, Buffer.of(byte), after]);
      else if (how === 1) bytes = Buffer.concat([before, after]);
      else if (how === 2) bytes = Buffer.concat([before, Buffer.of(byte), bytes.subarray(at)]);
      else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(place % 7 === 0 ? bytes.length : at)]);
      if (bytes.length === 0) bytes = Buffer.from('\n');
    }
    assertSame(bytes, DEFAULT, where);
  });
  fc.assert(check, { seed, numRuns: runs(400) });
});

test('addresses and numbers of every length, in and out of their ranges, read as the general reader reads them', () => {
  const part = fc.oneof(fc.nat({ max: 320 }).map(String), fc.constantFrom('', '00', '01', '010', '1000', 'a', '-'));
  const address = fc.oneof(
    fc.ipV4(),
    fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.')),
  );
  const number = fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 17n }).map(String), fc.nat({ max: 70_000 }).map(String));
  const names = 'srcaddr dstaddr srcport dstport protocol packets bytes start tcp-flags';
  const record = fc.tuple(address, address, number, number, fc.nat({ max: 300 }).map(String), number, number, number, fc.nat({ max: 300 }).map(String)); // prettier-ignore
  const check = fc.property(fc.array(record, { minLength: 1, maxLength: 6 }), cut, (records, where) => {
    assertSame(Buffer.from(records.map((fields) => `${fields.join(' ')}\n`).join('')), names, where);
  });
  fc.assert(check, { seed, numRuns: runs(400) });
});

test("the project's log and real ones read as the general reader reads them; a header may change the fields in between", () => {
  const real = ['vpc-ecs-custom-header.log', 'vpc-v2-header.log'].map((name) => `${SAMPLES}/${name}`);
  const texts = [AWS_VPC_TEXT, ...real.filter((path) => existsSync(path)).map((path) => readFileSync(path, 'utf8'))];
  for (const chunkSize of [50, 1 << 20])
    assertSame(Buffer.from(texts.join('\n')), DEFAULT, { capacity: 64, chunkSize });
});

test('a line longer than a window is for the general reader, and those behind it are read as before', () => {
  const long = usual(1).replace('123456789010', '1'.repeat(70_000));
  const bytes = Buffer.from(usual(0) + long + usual(2) + usual(3));
  assert.equal(assertSame(bytes, DEFAULT, { capacity: 64, chunkSize: 1 << 20 }), 4);
});

test('two readers in turn share the scanner and nothing else', () => {
  const [one, other] = [open(DEFAULT, 64, scanner), open('dstaddr srcaddr protocol', 64, scanner)];
  const bytes = Buffer.from(usual(5));
  one.decoder.decode(bytes, 0, bytes.length);
  other.decoder.decode(Buffer.from('10.0.0.1 10.0.0.2 17\n'), 0, 21);
  one.decoder.decode(bytes, 0, bytes.length);
  assert.deepEqual([one.batch.count, one.batch.src[0], one.batch.src[1]], [2, 0x0a_00_00_05, 0x0a_00_00_05]);
  assert.deepEqual([other.batch.count, other.batch.src[0], other.batch.protocol[0]], [1, 0x0a_00_00_02, 17]);
});

/** A record of the default fields; every seventh is one that another interface has reported. */
function usual(index: number): string {
  const flow = index % 7 === 6 ? index - 1 : index;
  const [source, port] = [`10.0.${(flow >> 8) & 255}.${flow & 255}`, 1024 + (flow % 60_000)];
  const action = index % 11 === 0 ? 'REJECT' : 'ACCEPT';
  return `2 123456789010 eni-${index % 7 === 6 ? '0b' : '0a23456789abcdef0'} ${source} 172.31.255.9 ${port} 443 6 ${1 + (index % 12_345)} ${60 + ((index * 7919) % 9_000_000)} ${1_700_000_000 + (index % 60)} 1700000060 ${action} OK\n`;
}

/** Reads both ways and compares; returns how many rows there were. */
function assertSame(bytes: Buffer, fields: string, where: Cut): number {
  const scanned = read(bytes, fields, where, scanner);
  const plain = read(bytes, fields, where, undefined);
  assert.deepEqual(scanned.rows, plain.rows);
  assert.deepEqual(scanned.dictionary.addresses.words, plain.dictionary.addresses.words);
  assert.deepEqual(scanned.account, plain.account);
  assert.ok(isBalanced(scanned.account));
  return scanned.rows.length;
}

function open(fields: string, capacity: number, by: AwsVpcScanner | undefined) {
  const [batch, dictionary, account] = [createBatch(capacity), createDictionary(), createAccount('test')];
  const head = createHead(new Uint8Array(0), false);
  const decoder = openAwsVpc({ batch, dictionary, account, head, mapping: undefined, fields }, by);
  return { batch, dictionary, account, decoder };
}

function read(bytes: Buffer, fields: string, { capacity, chunkSize }: Cut, by: AwsVpcScanner | undefined): Reading {
  const { batch, dictionary, account, decoder } = open(fields, capacity, by);
  const rows: Row[] = [];
  const empty = (): void => {
    for (let row = 0; row < batch.count; row++) rows.push(toRow(batch, row, dictionary));
    account.used += batch.count;
    resetBatch(batch);
  };
  // One buffer for all chunks: what a reader keeps of an earlier one would show.
  const buffer = Buffer.alloc(bytes.length);
  let rest = 0;
  for (let from = 0; from < bytes.length; from += chunkSize) {
    const chunk = bytes.subarray(from, from + chunkSize);
    buffer.set(chunk, rest);
    const end = rest + chunk.length;
    let at = 0;
    for (;;) {
      at = decoder.decode(buffer, at, end);
      const isFull = batch.count === batch.capacity;
      empty();
      if (!isFull) break;
    }
    buffer.copyWithin(0, at, end);
    rest = end - at;
  }
  decoder.finish(buffer, 0, rest);
  empty();
  return { rows, dictionary, account };
}
