/**
 * Parquet: the columns are the records of the text. The fixtures are synthetic, written by pyarrow 26: one table of flow logs in each
 * compression with its text beside it, one of nested columns for a mapping, one of usual names.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { RecordedVerdict } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { readMappingFile } from '../../src/trace/mapping-file.ts';
import { bytesOf, readAll } from './build.ts';
import { TAR_END, tar } from './wrap.ts';

const fixture = (name: string): Uint8Array => readFileSync(new URL(`fixture/${name}`, import.meta.url));
/** Those that other tests do not damage: other compressions, and what is read by a mapping or never. */
const apart = (name: string): Uint8Array => readFileSync(new URL(`parquet/${name}`, import.meta.url));

for (const codec of ['snappy', 'gzip', 'zstd', 'none'])
  test(`VPC flow logs in ${codec}: the rows, duplicates, gaps and complaints of the text`, async () => {
    const text = await readAll(fixture('aws-vpc-parquet.log'));
    const bytes = codec === 'snappy' ? fixture('aws-vpc-snappy.parquet') : apart(`aws-vpc-${codec}.parquet`);
    for (const batchCapacity of [16, 16_384]) {
      const { account, rows } = await readAll(bytes, { batchCapacity });
      const numbered = (all: typeof rows): unknown[] => all.map((row) => ({ ...row, line: 0 }));
      assert.deepEqual(numbered(rows), numbered(text.rows));
      assert.deepEqual(
        rows.map(({ line }) => line),
        [1, 3, 4, 7],
      );
      assert.deepEqual([account.format, account.read, account.lost], ['parquet', 8, 1]);
      assert.deepEqual(account.skipped, text.account.skipped);
      assert.deepEqual(account.malformed, text.account.malformed);
      assert.match(account.diagnostics[0]!.message, /^record 8, .*dstaddr: .*nowhere/);
      assert.ok(isBalanced(account));
      assert.ok(text.account.limits.every((limit) => account.limits.includes(limit)));
    }
  });

test('a mapping finds members of structs, halves of texts, timestamps and factors', async () => {
  const { mapping } = readMappingFile(
    `
kind: flow
fields:
  time: when
  src: {from: flow.client, part: address}
  srcPort: {from: flow.client, part: port}
  dst: {from: flow.server, part: address}
  dstPort: {from: flow.server, part: port}
  protocol: {from: proto, values: {T: tcp, U: udp}}
  bytes: {from: kib, times: 1024, default: 7}
  verdict: {from: verdict, values: {ok: allow, blocked: deny}}
  srcPod: [ns, pod]
`,
    'x',
  );
  const { account, rows } = await readAll(apart('mapped.parquet'), { mapping: mapping! });
  assert.deepEqual([account.format, account.read, rows.length], ['parquet', 3, 2]);
  assert.deepEqual(
    rows.map((row) => [row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['bytes'], row['timeUs']]),
    [
      ['10.0.0.1', 40001, '10.0.0.2', 443, 6, 2048, 1_795_226_107_500_000],
      ['fd00::1', 5353, 'fd00::2', 53, 17, 7, 1_795_226_108_000_000],
    ],
  );
  assert.deepEqual(
    rows.map((row) => row['recordedVerdict']),
    [RecordedVerdict.Allow, RecordedVerdict.Deny],
  );
  assert.deepEqual(
    rows.map((row) => (row['srcEndpoint'] as { name: string } | undefined)?.name),
    ['web-0', undefined],
  );
  assert.match(account.diagnostics[0]!.message, /record 3.*dst: expected an IP address, found x/);
  assert.deepEqual([...account.unknownValues], [['protocol=Z', 1]]);
});

test('usual names need no mapping; other columns are refused with their names', async () => {
  const { account, rows } = await readAll(fixture('usual-names.parquet'));
  assert.deepEqual(
    rows.map((row) => [row.src, row.dst, row.dstPort, row.protocol, row['recordedVerdict'], row['timeUs']]),
    [
      ['10.0.0.1', '10.0.0.3', 80, 6, RecordedVerdict.Allow, 1_795_255_201_500_000],
      ['10.0.0.2', '10.0.0.4', 53, 17, RecordedVerdict.Deny, 1_795_255_202_000_000],
    ],
  );
  assert.ok(isBalanced(account));
  const other = await readAll(apart('mapped.parquet'));
  assert.match(other.account.diagnostics[0]!.message, /no columns are known .* among when, flow\.client/);
});

test('in gzip, in an archive, and by random access it is the same', async () => {
  const bytes = fixture('aws-vpc-snappy.parquet');
  const { rows } = await readAll(bytes);
  assert.deepEqual((await readAll(gzipSync(bytes), { chunkSize: 100 })).rows, rows);
  assert.deepEqual((await readAll(bytesOf(tar('a.parquet', bytes), TAR_END))).rows, rows);
  const randomAccess = {
    byteLength: bytes.length,
    slice: (start: number, end?: number) => Promise.resolve(Uint8Array.from(bytes.subarray(start, end)).buffer),
  };
  assert.deepEqual((await readAll(bytes.subarray(0, 64), { randomAccess })).rows, rows);
});

test('cut, damaged and unknown compressions are diagnostics, and keep the balance', async () => {
  const brotli = await readAll(apart('brotli.parquet'));
  assert.match(brotli.account.diagnostics[0]!.message, /BROTLI/);
  assert.ok(isBalanced(brotli.account));
  const bytes = fixture('aws-vpc-snappy.parquet');
  for (let length = 4; length < bytes.length; length += 61) {
    const { account } = await readAll(bytes.subarray(0, length));
    assert.ok(isBalanced(account) && account.diagnostics.length > 0, String(length));
  }
  for (let at = 4; at < bytes.length; at += 29) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] = damaged[at]! ^ 0x55;
    const { account } = await readAll(damaged);
    assert.ok(isBalanced(account), String(at));
    for (const { message } of account.diagnostics)
      assert.doesNotMatch(message, /of undefined|not a function/, String(at));
  }
});
