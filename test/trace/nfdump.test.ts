/** nfdump's CSV and JSON: every version's columns, what added-up flags can say, and exporters that saw the same flow. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { createDictionary } from '../../src/model/flow.ts';
import { createAccount } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';
import { createWriter } from '../../src/trace/write.ts';
import { chunksOf, readAll, type Result, type Row } from './build.ts';

const FIXTURES = new URL('fixture/', import.meta.url);
const RECORDED = new URL('../../traces/several-tools/', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/nfdump/', import.meta.url);
const noSamples = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';

async function read(bytes: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(bytes as string));
  assert.ok(isBalanced(result.account));
  return result;
}

const ends = (row: Row): unknown[] => [row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['icmp']];

test('CSV and JSON of one file are the same rows, up to the milliseconds that CSV leaves out', async () => {
  const csv = await read(readFileSync(new URL('nfdump.csv', RECORDED)));
  const json = await read(readFileSync(new URL('nfdump.json', RECORDED)));
  assert.deepEqual([csv.account.format, csv.account.read, csv.rows.length], ['nfdump-csv', 21, 17]);
  assert.deepEqual(Object.fromEntries(csv.account.skipped), { summary: 3, 'icmp-error': 1 });
  assert.deepEqual([json.account.format, json.account.read, json.rows.length], ['nfdump-json', 18, 17]);
  const plain = (row: Row): unknown => ({ ...row, line: 0, timeUs: Math.floor((row['timeUs'] as number) / 1e6) });
  assert.deepEqual(csv.rows.map(plain), json.rows.map(plain));
});

test('later columns: milliseconds since 1970, ICMP as type.code, translations, forwarding status, events', async () => {
  const fast = await read(readFileSync(new URL('nfdump-fast.csv', FIXTURES)));
  assert.deepEqual(
    fast.rows.map((row) => [...ends(row), row['timeUs'], row['packets'], row['bytes']]),
    [
      ['10.0.0.1', 45_500, '10.0.0.2', 8080, 6, -1, 1795226107584000, 3, 180],
      ['10.0.0.1', 45_501, '10.0.0.2', 53, 17, -1, 1795226107585000, 1, 60],
      ['fd00::1', -1, 'fd00::2', -1, 58, 0x8000, 1795226107586000, 1, 64],
    ],
  );
  const custom = await read(readFileSync(new URL('nfdump-custom.csv', FIXTURES)));
  assert.deepEqual(
    custom.rows.map((row) => [...ends(row), row.preDst, row.preDstPort, row['kind'], row['recordedVerdict']]),
    [
      ['10.0.0.1', 45_500, '10.0.0.2', 8080, 6, -1, '10.96.0.10', 80, 2, 0],
      ['10.0.0.1', -1, '10.0.0.2', -1, 1, 0x800, '', -1, 1, 0],
      ['10.0.0.3', 45_501, '10.0.0.2', 22, 6, -1, '', -1, 1, 3],
      ['10.0.0.4', 45_502, '10.0.0.2', 23, 6, -1, '', -1, 1, 7],
    ],
  );
  // The same flow from another exporter.
  assert.equal(custom.account.skipped.get('duplicate'), 1);
});

test('ndjson: bytes that cannot be bytes are absent, sampling is said, a second exporter adds nothing', async () => {
  const { account, rows } = await read(readFileSync(new URL('nfdump.ndjson', FIXTURES)));
  assert.deepEqual([account.read, rows.length, account.skipped.get('duplicate')], [3, 2, 1]);
  const { kind, bytes, replyBytes, replyPackets, preDst } = rows[0]!;
  assert.deepEqual([kind, bytes, replyPackets, replyBytes, preDst], [2, -1, 4, 293, '10.96.0.10']);
  assert.ok(account.limits.some((limit) => limit.includes('estimates')));
});

test('flags: a SYN alone opened it; SYN and ACK together say nothing; an ACK alone is the middle', async () => {
  const header = 'firstSeen,proto,srcAddr,srcPort,dstAddr,dstPort,flags\n';
  const flow = (flags: string): string => `${header}1795226107584,TCP,10.0.0.1,4000,10.0.0.2,80,${flags}\n`;
  for (const [flags, bits, orientation] of [
    ['......S.', 2, 0],
    ['...AP.SF', 0xffff, 2],
    ['...A....', 16, 2],
    ['C.UA.R..', 128 | 32 | 16 | 4, 2],
    ['0x12', 0xffff, 2],
  ] as const) {
    const { rows } = await read(flow(flags));
    assert.deepEqual([rows[0]!['tcpFlags'], rows[0]!['orientation']], [bits, orientation], flags);
  }
  const { account } = await read(flow('odd'));
  assert.deepEqual([...account.unknownValues.keys()], ['flags=odd']);
});

test('what is no record is malformed with its field, and joined exports have a header each', async () => {
  const header = 'firstSeen,proto,srcAddr,srcPort,dstAddr,dstPort,packets\n';
  const cases: [string, string, RegExp][] = [
    ['1795226107584,6,10.0.0.1,4000,10.0.0.2', 'field-count', /expected 7 fields, found 5/],
    ['1795226107584,6,ten,4000,10.0.0.2,80,1', 'invalid-field', /source: expected an IP address, found ten/],
    ['1795226107584,6,10.0.0.1,4000,fd00::1,80,1', 'invalid-field', /one family/],
    ['1795226107584,6,10.0.0.1,70000,10.0.0.2,80,1', 'invalid-field', /source port: expected a port, found 70000/],
    ['1795226107584,6,10.0.0.1,4000,10.0.0.2,http,1', 'invalid-field', /destination port/],
    ['yesterday,6,10.0.0.1,4000,10.0.0.2,80,1', 'invalid-field', /start: expected a time/],
    ['1795226107584,6,10.0.0.1,4000,10.0.0.2,80,many', 'invalid-field', /packets: expected a number/],
  ];
  for (const [line, reason, message] of cases) {
    const { account, rows } = await read(`${header}${line}\n`);
    assert.deepEqual([rows.length, account.malformed.get(reason)], [0, 1], line);
    assert.match(account.diagnostics[0]!.message, message);
  }
  const good = `${header}1795226107584,6,10.0.0.1,4000,10.0.0.2,80,1\n`;
  const joined = await read(good + good);
  assert.deepEqual([joined.account.read, joined.rows.length], [2, 2]);
  const json = await read('[{"type":"FLOW","export_sysid":0,"src4_addr":"10.0.0.1","dst4_addr":5}]');
  assert.match(json.account.diagnostics[0]!.message, /dst4_addr: expected an IP address, found 5/);
});

test('rows survive the way through the native record', async () => {
  for (const name of ['nfdump-custom.csv', 'nfdump.ndjson', 'nfdump.csv']) {
    const bytes = readFileSync(new URL(name, FIXTURES));
    const dictionary = createDictionary();
    const writer = createWriter('ndjson', dictionary);
    const parts: Uint8Array[] = [];
    const account = createAccount('x');
    for await (const batch of readTrace(chunksOf(bytes, 65_536), { file: 'x', dictionary, account }))
      parts.push(writer.write(batch).slice());
    parts.push(writer.end());
    const plain = (row: Row): unknown => ({ ...row, line: 0 });
    assert.deepEqual((await read(Buffer.concat(parts))).rows.map(plain), (await read(bytes)).rows.map(plain), name);
  }
});

test('text: the same flows as CSV, scaled counts, both directions, and what cannot be read', async () => {
  const head =
    'Date first seen             Duration     Proto      Src IP Addr:Port          Dst IP Addr:Port     Flags Tos  Packets    Bytes Flows\n';
  const flow =
    '2026-11-21 01:55:07.584     00:00:00.000 TCP         10.0.0.1:45500 ->       10.0.0.2:80    ......S.   0    1.2 M    2.5 G     1\n';
  const six =
    '2026-11-21 01:55:07.584     00:00:00.000 UDP         fd00::1.5000 ->       fd00::2.53    ........   0        1       33     1\n';
  const echo =
    '2026-11-21 01:55:07.584     00:00:00.000 ICMP         10.0.0.1:0 ->       10.0.0.2:8.0    ........   0        1       84     1\n';
  const { account, rows } = await read(`${head}${flow}${six}${echo}Summary: total flows: 3\n`);
  assert.deepEqual([account.format, account.read, account.skipped.get('summary')], ['nfdump-text', 4, 1]);
  assert.deepEqual(
    rows.map((row) => [...ends(row), row['tcpFlags'], row['packets'], row['bytes'], row['timeUs']]),
    [
      ['10.0.0.1', 45_500, '10.0.0.2', 80, 6, -1, 2, 1_200_000, 2_500_000_000, 1795226107584000],
      ['fd00::1', 5000, 'fd00::2', 53, 17, -1, 0xffff, 1, 33, 1795226107584000],
      ['10.0.0.1', -1, '10.0.0.2', -1, 1, 0x800, 0xffff, 1, 84, 1795226107584000],
    ],
  );
  const both = await read(
    'Date first seen             Duration     Proto      Src IP Addr:Port           Dst IP Addr:Port   Out Pkt   In Pkt Out Byte  In Byte Flows\n' +
      '2026-11-21 01:55:07.581     00:00:00.000 TCP         10.0.0.1:47582 <->       10.0.0.2:8080         4        5      293      286     2\n',
  );
  assert.deepEqual(
    both.rows.map((row) => [row['kind'], row['packets'], row['bytes'], row['replyPackets'], row['replyBytes']]),
    [[2, 5, 286, 4, 293]],
  );
  const bad = await read(`${head}${six.replace('fd00::1.5000', 'fd00..::1.5000')}${flow.replace(':80 ', ':80000 ')}\n`);
  assert.deepEqual([bad.rows.length, bad.account.malformed.get('invalid-line')], [0, 2]);
});

test('text that was recorded: every flow of both families, ICMP by type and code', async () => {
  const { account, rows } = await read(readFileSync(new URL('nfdump.txt', FIXTURES)));
  assert.deepEqual([account.read, rows.length, account.malformed.size], [21, 16, 0]);
  assert.deepEqual(Object.fromEntries(account.skipped), { summary: 4, 'icmp-error': 1 });
  assert.deepEqual(
    rows.filter(({ protocol }) => protocol === 1 || protocol === 58).map((row) => [row.dst, row['icmp']]),
    [['10.244.1.6', 0x800], ['10.244.1.5', 0], ['ff02::1:ff00:1', 135 << 8], ['fd00:10:244:1::5', 136 << 8]], // prettier-ignore
  );
  assert.equal(rows.filter(({ src, protocol }) => src.startsWith('fd00') && protocol === 6).length, 2);
});

test('recorded samples: eleven flows, or seven where nfdump paired them', { skip: noSamples }, async () => {
  for (const [name, total, used, connections] of [
    ['nfdump-1.7.1-csv.csv', 14, 10, 0],
    ['nfdump-1.7.1-bidir.csv', 10, 6, 4],
    ['nfdump-1.7.1.json', 11, 10, 0],
    ['nfdump-1.7.1-line.txt', 15, 10, 0],
    ['nfdump-1.7.1-extended.txt', 15, 10, 0],
  ] as const) {
    const { account, rows } = await read(readFileSync(new URL(name, SAMPLES)));
    assert.deepEqual([account.read, rows.length, account.malformed.size], [total, used, 0], name);
    assert.equal(account.skipped.get('icmp-error'), 1, name);
    assert.equal(rows.filter(({ kind }) => kind === 2).length, connections, name);
    const opened = rows.find(({ dstPort }) => dstPort === 9999)!;
    // Without flags in the line nothing says who opened it.
    const flags = name.includes('-line') ? [0xffff, 2] : [2, 0];
    assert.deepEqual([opened['tcpFlags'], opened['orientation'], opened['packets']], [...flags, 3], name);
  }
});

test('a count beyond every number is malformed, and said', async () => {
  const text = readFileSync(new URL('nfdump.txt', FIXTURES), 'utf8').replace(/ 1 +72 +1$/m, ' 1e999 72 1');
  const { account } = await read(text);
  assert.equal(account.malformed.size, 1);
  assert.match(account.diagnostics[0]!.message, /packets: expected a count, found 1e999/);
});
