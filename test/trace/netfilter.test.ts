/** Lines of LOG and NFLOG rules: the kernel's own, in every keeper's spelling, and ulogd's. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readPrefixVerdict } from '../../src/trace/netfilter-log.ts';
import { readAll, type Result } from './build.ts';

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text as string));
  assert.ok(isBalanced(result.account));
  return result;
}

async function readFixture(name: string): Promise<Result> {
  return read(readFileSync(new URL(`fixture/${name}`, import.meta.url)));
}

test('the kernel log: both families, flags, an echo, errors with the packet that they quote', async () => {
  const { account, rows } = await readFixture('netfilter-kernel.txt');
  assert.deepEqual([account.format, account.read, rows.length, account.containers], ['netfilter-log', 13, 13, []]);
  assert.deepEqual(
    rows.map((row) => [row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['tcpFlags'], row['orientation']]),
    [
      ['10.244.1.5', 32_956, '10.244.1.6', 8080, 6, 2, 0],
      ['10.244.1.6', 8080, '10.244.1.5', 32_956, 6, 18, 1],
      ['10.244.1.5', 32_956, '10.244.1.6', 8080, 6, 16, 2],
      ['fd00:10:244:1::5', 54_852, 'fd00:10:244:1::6', 8080, 6, 2, 0],
      ['fd00:10:244:1::6', 8080, 'fd00:10:244:1::5', 54_852, 6, 18, 1],
      ['10.244.1.5', 52_675, '10.244.1.6', 4444, 17, 0xffff, 2],
      ['10.244.1.6', -1, '10.244.1.5', -1, 1, 0xffff, 2],
      ['fd00:10:244:1::5', 39_172, 'fd00:10:244:1::6', 4444, 17, 0xffff, 2],
      ['fd00:10:244:1::6', -1, 'fd00:10:244:1::5', -1, 58, 0xffff, 2],
      ['10.244.1.5', 59_772, '10.244.1.6', 9999, 6, 2, 0],
      ['10.244.1.5', 59_772, '10.244.1.6', 9999, 6, 2, 0],
      ['10.244.1.5', 4242, '10.244.1.6', -1, 1, 0xffff, 2],
      ['10.244.1.6', 4242, '10.244.1.5', -1, 1, 0xffff, 2],
    ],
  );
  assert.deepEqual(
    rows.map((row) => row['icmp']),
    [-1, -1, -1, -1, -1, -1, 0x303, -1, 0x104, -1, -1, 0x800, 0],
  );
  assert.deepEqual(rows[6]!['quote'], {
    src: '10.244.1.5', dst: '10.244.1.6', srcPort: 52_675, dstPort: 4444, protocol: 17, icmp: -1,
  }); // prettier-ignore
  assert.deepEqual(
    rows.map((row) => row['recordedVerdict']),
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 0, 0],
  );
  assert.deepEqual([rows[0]!['timeUs'], rows[0]!['bytes'], rows[0]!['packets']], [12042672390, 60, 1]);
  assert.ok(account.limits.some((limit) => limit.includes('start of the node')));
});

test('times of syslog, journald and dmesg, and the words of prefixes', async () => {
  const { account, rows } = await readFixture('netfilter-syslog.txt');
  assert.deepEqual(
    rows.map((row) => [row.protocol, row['timeUs'], row['recordedVerdict'], row.flags]),
    [
      [6, Date.UTC(1970, 11, 31, 23, 59, 59) * 1000, 0, 0],
      [17, Date.UTC(1971, 0, 1, 0, 0, 1) * 1000, 7, 0],
      [1, Date.UTC(2025, 11, 31, 23, 0, 2) * 1000 + 123_456, 6, 0],
      [17, 12042672390, 0, 1],
      [132, Date.UTC(2026, 10, 21, 6, 47, 29) * 1000, 7, 0],
      [47, 1795226107571090, 7, 0],
    ],
  );
  assert.ok(account.limits.some((limit) => limit.includes('no year')));
  const cases: [string, number][] = [
    ['calico-packet: ', 0],
    ['[UFW BLOCK] ', 7],
    ['nft drop-all: ', 7],
    ['backdrop ', 0],
    ['FINAL_REJECT: ', 7],
    ['allow-web ', 6],
  ];
  for (const [prefix, verdict] of cases) assert.equal(readPrefixVerdict(prefix), verdict, prefix);
});

test("ulogd's two outputs of one traffic: the same packets", async () => {
  const recorded = new URL('../../traces/several-tools/', import.meta.url);
  const text = await read(readFileSync(new URL('ulogd.log', recorded)));
  const json = await read(readFileSync(new URL('ulogd.json', recorded)));
  assert.deepEqual([text.account.format, text.rows.length], ['netfilter-log', 11]);
  assert.deepEqual([json.account.format, json.rows.length], ['ulogd-json', 9]);
  const plain = ({ rows }: Result): unknown[] =>
    rows
      .filter((row) => row['recordedVerdict'] === 0)
      .map((row) => [
        row.src,
        row.srcPort,
        row.dst,
        row.dstPort,
        row.protocol,
        row['icmp'],
        row['tcpFlags'],
        row['bytes'],
      ]);
  assert.deepEqual(plain(text), plain(json));
  assert.equal(text.rows.filter((row) => row['recordedVerdict'] === 7).length, 2);
  const labelled = await read(
    '{"oob.prefix":"x","timestamp":"2026-11-21T06:46:32.5","action":"blocked","ip.protocol":6,"src_ip":"10.0.0.1","dest_ip":"10.0.0.2","src_port":1,"dest_port":2}\n' +
      '{"oob.prefix":"x","ip.protocol":1,"icmp.type":3,"icmp.code":1,"src_ip":"10.0.0.1","dest_ip":"10.0.0.2"}\n',
  );
  assert.deepEqual([labelled.rows.length, labelled.account.skipped.get('icmp-error')], [1, 1]);
  assert.deepEqual([labelled.rows[0]!['recordedVerdict'], labelled.rows[0]!['tcpFlags']], [7, 0xffff]);
});

test('a line that is broken is malformed; lines of other programs are skipped', async () => {
  const line = (words: string): string => `[1.000000] x IN=a OUT=b ${words}\n`;
  const good = line('SRC=10.0.0.1 DST=10.0.0.2 LEN=60 PROTO=TCP SPT=1 DPT=2 SYN');
  const cases: [string, RegExp][] = [
    ['SRC=ten DST=10.0.0.2 PROTO=TCP SPT=1 DPT=2', /found SRC=ten/],
    ['SRC=10.0.0.1 DST=fd00::1 PROTO=TCP SPT=1 DPT=2', /one family/],
    ['SRC=10.0.0.1 DST=10.0.0.2 PROTO=TCP SPT=70000 DPT=2', /found SPT=70000/],
    ['SRC=10.0.0.1 LEN=60 DST= PROTO=TCP', /found DST=/],
  ];
  for (const [words, message] of cases) {
    const { account, rows } = await read(good + line(words) + good);
    assert.deepEqual([rows.length, account.malformed.get('invalid-line')], [2, 1], words);
    assert.match(account.diagnostics[0]!.message, message);
  }
});
