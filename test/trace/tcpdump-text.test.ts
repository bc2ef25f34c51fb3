/** tcpdump's text: every spelling of a capture says what the capture says, and what it leaves out is said. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result, type Row } from './build.ts';

const FIXTURES = new URL('../../traces/several-tools/tcpdump/', import.meta.url);
const CAPTURE = new URL('../../traces/several-tools/capture.pcap', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/', import.meta.url);
const noSamples = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';

/** All that text and capture both have; a repeated segment cannot be told from text. */
const COLUMNS = [
  'kind', 'family', 'protocol', 'src', 'dst', 'srcPort', 'dstPort', 'icmp', 'tcpFlags', 'timeUs', 'orientation', 'orientedBy',
  'preDst', 'preDstPort', 'packets', 'quote',
]; // prettier-ignore

function plain(rows: readonly Row[], ...without: string[]): unknown[] {
  return rows.map((row) =>
    Object.fromEntries(COLUMNS.filter((name) => !without.includes(name)).map((name) => [name, row[name]])),
  );
}

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text as string));
  assert.ok(isBalanced(result.account));
  return result;
}

async function readFixture(name: string): Promise<Result> {
  return read(readFileSync(new URL(name, FIXTURES)));
}

test('each spelling of a capture gives the rows of the capture', async () => {
  const capture = await read(readFileSync(CAPTURE));
  assert.deepEqual([capture.account.read, capture.rows.length], [86, 48]);
  const wants: Record<string, string[]> = {
    'nn.txt': ['timeUs'],
    'nn-tt-e.txt': [],
    'nn-tttt-v.txt': [],
    'nn-ttt.txt': ['timeUs'],
    'nn-ttttt-S-number.txt': ['timeUs'],
    'tt-N.txt': [],
    'nn-tt-A.txt': [],
    'nn-tt-vv-x-e.txt': [],
  };
  for (const [name, without] of Object.entries(wants)) {
    const { account, rows } = await readFixture(name);
    assert.deepEqual([account.format, account.read], ['tcpdump-text', 86], name);
    assert.deepEqual(Object.fromEntries(account.skipped), { duplicate: 38 }, name);
    assert.deepEqual(plain(rows, ...without), plain(capture.rows, ...without), name);
  }
  // Lengths: on the wire with -e, of the IP packet with -v, else unknown.
  const bytes = async (name: string): Promise<unknown[]> => (await readFixture(name)).rows.map((row) => row['bytes']);
  assert.deepEqual(
    await bytes('nn-tt-e.txt'),
    capture.rows.map((row) => row['bytes']),
  );
  assert.deepEqual(
    await bytes('nn-tttt-v.txt'),
    capture.rows.map((row) => (row['bytes'] as number) - 20),
  );
  assert.ok((await bytes('nn.txt')).every((value) => value === -1));
});

test('-q says nothing of flags: segments become samples of their connections', async () => {
  const capture = await read(readFileSync(CAPTURE));
  const { rows } = await readFixture('nn-tt-q.txt');
  const isTcp = (row: Row): boolean => row.protocol === 6;
  assert.deepEqual(plain(rows.filter((row) => !isTcp(row))), plain(capture.rows.filter((row) => !isTcp(row))));
  const tcp = rows.filter(isTcp);
  assert.ok(tcp.length > 20 && tcp.every((row) => row['kind'] === 1 && row['tcpFlags'] === 0xffff));
  const tuples = (of: readonly Row[]): string[] =>
    of.map((row) => `${row.src} ${row.srcPort} ${row.dst} ${row.dstPort}`);
  assert.deepEqual(new Set(tuples(tcp)), new Set(tuples(capture.rows.filter(isTcp))));
});

test('-t says no time: nothing is joined, and the account says so', async () => {
  const { account, rows } = await readFixture('nn-t.txt');
  assert.deepEqual([account.read, rows.length, account.skipped.size], [86, 86, 0]);
  assert.ok(rows.every((row) => Number.isNaN(row['timeUs'])));
  assert.ok(account.limits.some((limit) => limit.includes('tcpdump -t')));
});

test('times: each spelling, midnight without a date, and what is said of them', async () => {
  const packet = 'IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [S], seq 1, win 1, length 0\n';
  const times = async (...stamps: string[]): Promise<[unknown[], string]> => {
    const { account, rows } = await read(stamps.map((stamp) => stamp + packet).join(''));
    return [rows.map((row) => row['timeUs']), account.limits.join(' ')];
  };
  assert.deepEqual((await times('1795226107.571090 '))[0], [1795226107571090]);
  assert.deepEqual((await times('1795226107.571090123 '))[0], [1795226107571090]);
  const [dated, ofDate] = await times('2026-11-21 01:55:07.571090 ');
  assert.deepEqual(dated, [1795226107571090]);
  assert.match(ofDate, /local times/);
  const [clock, ofClock] = await times('23:59:59.500000 ', '00:00:00.250000 ', '00:00:01.000000 ');
  assert.deepEqual(clock, [86399500000, 86400250000, 86401000000]);
  assert.match(ofClock, /no date/);
  const [deltas, ofDelta] = await times(
    ' 00:00:00.000000 ',
    ' 00:00:02.000000 ',
    '-00:00:00.000003 ',
    ' 00:00:01.000000 ',
  );
  assert.deepEqual(deltas, [0, 2000000, 1999997, 2999997]);
  assert.match(ofDelta, /from packet to packet/);
  assert.deepEqual(
    (await times(' 00:00:00.000000 ', ' 00:00:02.000000 ', ' 00:00:02.500000 '))[0],
    [0, 2000000, 2500000],
  );
});

test('ends: IPv6 with a port behind its last dot, mapped addresses, known port names, and names are refused', async () => {
  const { rows } = await read(
    [
      '1.000000 IP6 fd00::5.53156 > fd00::6.8080: Flags [S.], seq 1, length 0',
      '1.000000 IP6 ::ffff:10.0.0.1.53156 > ::ffff:10.0.0.2.8080: Flags [P.U], seq 1, length 9',
      '1.000000 IP 10.0.0.1.5353 > 10.0.0.2.domain: 4660+ A? a. (20)',
      '1.000000 IP 10.0.0.1 > 10.0.0.2: ip-proto-47',
    ]
      .map((line) => line.replace('1.000000', '1795226107.000000'))
      .join('\n'),
  );
  assert.deepEqual(
    rows.map((row) => [row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['tcpFlags']]),
    [
      ['fd00::5', 53_156, 'fd00::6', 8080, 6, 18],
      ['10.0.0.1', 53_156, '10.0.0.2', 8080, 6, 56],
      ['10.0.0.1', 5353, '10.0.0.2', 53, 17, 0xffff],
      ['10.0.0.1', -1, '10.0.0.2', -1, 47, 0xffff],
    ],
  );
  const named = await read('01:00:00.000000 IP client.4000 > 10.0.0.2.80: Flags [S], seq 1, length 0\n');
  assert.equal(named.account.malformed.get('no-address'), 1);
  assert.match(named.account.diagnostics[0]!.message, /found client.*tcpdump -nn/);
});

test('ICMP: types and codes of both families, and the packet that an error is about', async () => {
  const cases: [string, number][] = [
    ['IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 64', 8 << 8],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable, length 92', 0x301],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - admin prohibited filter, length 92', 0x30d],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP net 10.0.0.9 unreachable, length 92', 0x300],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 protocol 47 unreachable, length 92', 0x302],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 unreachable - need to frag (mtu 1400), length 92', 0x304],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded in-transit, length 92', 0xb00],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP redirect 10.0.0.9 to host 10.0.0.3, length 92', 0x501],
    ['IP 10.0.0.1 > 10.0.0.2: ICMP type-#42, length 92', 0x2a00],
    ['IP6 fd00::1 > fd00::2: ICMP6, echo reply, id 7, seq 1, length 64', 129 << 8],
    ['IP6 fd00::1 > fd00::2: ICMP6, packet too big, mtu 1280, length 600', 0x200],
    ['IP6 fd00::1 > ff02::16: HBH ICMP6, multicast listener report v2, 2 group record(s), length 48', 143 << 8],
  ];
  for (const [line, icmp] of cases) {
    const { account, rows } = await read(`01:00:00.000000 ${line}\n`);
    assert.deepEqual([rows[0]!['icmp'], account.unknownValues.size], [icmp, 0], line);
  }
  for (const [a, b, icmp] of [
    ['10.0.0.1', '10.0.0.2', 'ICMP 10.0.0.2 udp port 4444 unreachable, length 41'],
    ['fd00::1', 'fd00::2', 'ICMP6, destination unreachable, unreachable port, fd00::2 udp port 4444, length 61'],
  ] as const) {
    const word = a.includes(':') ? 'IP6' : 'IP';
    const { rows } = await read(
      `01:00:00.000000 ${word} ${a}.5000 > ${b}.4444: UDP, length 5\n01:00:00.100000 ${word} ${b} > ${a}: ${icmp}\n`,
    );
    assert.deepEqual(rows[1]!['quote'], { src: a, dst: b, srcPort: 5000, dstPort: 4444, protocol: 17, icmp: -1 });
  }
});

test('what stands around the packets is no packet: banners, totals, hex; losses are counted', async () => {
  const { account, rows } = await read(
    [
      'tcpdump: verbose output suppressed, use -v[v]... for full protocol decode',
      'listening on any, link-type LINUX_SLL2 (Linux cooked v2), snapshot length 262144 bytes',
      '01:00:00.000000 eth0  In  IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [S], seq 1, win 1, length 0',
      '\t0x0000:  4500 003c',
      '01:00:00.000001 eth0  In  ARP, Request who-has 10.0.0.1 tell 10.0.0.2, length 28',
      '01:00:00.000002 STP 802.1d, Config, Flags [none], length 35',
      '3 packets captured',
      '8 packets received by filter',
      '5 packets dropped by kernel',
      'something else',
    ].join('\n'),
  );
  assert.deepEqual([account.read, rows.length, account.lost], [9, 1, 5]);
  assert.deepEqual(Object.fromEntries(account.skipped), { 'tool-message': 5, arp: 1, 'non-ip': 1 });
  assert.deepEqual(Object.fromEntries(account.malformed), { 'not-a-packet': 1 });
});

test('a packet without its second half is malformed, with its line', async () => {
  const header = '01:00:00.000000 IP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto TCP (6), length 60)\n';
  const ends = '    10.0.0.1.4000 > 10.0.0.2.80: Flags [S], cksum 0x1 (correct), seq 1, win 1, length 0\n';
  const { account, rows } = await read(header + header + ends + header);
  assert.deepEqual([account.read, rows.length, account.malformed.get('truncated')], [3, 1, 2]);
  assert.match(account.diagnostics[0]!.message, /^line 1, byte 0: the line with its addresses is missing/);
});

test('a real application: text and capture agree packet by packet', async (context) => {
  const capture = new URL('../../traces/app1/capture.pcap', import.meta.url);
  const tool = spawnSync('tcpdump', ['-nn', '-tt', '-v', '-r', capture.pathname], {
    env: { ...process.env, TZ: 'UTC' },
    maxBuffer: 1 << 26,
  });
  if (tool.error !== undefined || tool.status !== 0) return context.skip('tcpdump is not installed');
  const [text, packets] = [await read(tool.stdout), await read(readFileSync(capture))];
  assert.deepEqual([text.account.read, text.rows.length], [8508, packets.rows.length]);
  assert.equal(text.account.malformed.size, 0);
  let different = 0;
  const [a, b] = [plain(text.rows), plain(packets.rows)];
  for (let row = 0; row < a.length; row++) if (JSON.stringify(a[row]) !== JSON.stringify(b[row])) different++;
  assert.equal(different, 0);
});

test('recorded samples: packets as tcpdump counted them', { skip: noSamples }, async () => {
  const wants: Record<string, [read: number, rows: number, pcap: string]> = {
    'nn-any.txt': [63, 29, 'any_sll2.pcap'],
    'nn-any-v6-icmp-frag.txt': [55, 29, 'any_v6_icmp_frag_sll2.pcap'],
    'nn-tt-q.txt': [33, 29, 'va_eth_ns.pcap'],
    'nn-tttt-e-eth.txt': [33, 29, 'va_eth_ns.pcap'],
    'nn-v-multiline.txt': [33, 29, 'va_eth_ns.pcap'],
  };
  assert.deepEqual(readdirSync(new URL('tcpdump-text/', SAMPLES)).sort(), Object.keys(wants).sort());
  for (const [name, [total, used, pcap]] of Object.entries(wants)) {
    const { account, rows } = await read(readFileSync(new URL(`tcpdump-text/${name}`, SAMPLES)));
    assert.deepEqual(
      [account.format, account.read, rows.length, account.malformed.size],
      ['tcpdump-text', total, used, 0],
      name,
    );
    const packets = await read(readFileSync(new URL(`pcap/${pcap}`, SAMPLES)));
    const tuples = (of: readonly Row[]): string[] =>
      of.map(
        (row) => `${row.src} ${row.dst} ${row.preDst} ${row.protocol} ${(row.flags & 9) === 0 ? row.dstPort : ''}`,
      );
    assert.deepEqual(tuples(rows), tuples(packets.rows), name);
  }
});
