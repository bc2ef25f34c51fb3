/** Recorded samples with counts from outside: tcpdump's, and those that the captures were made with. Need `../shared`. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { countConnections, readAll, type Result } from './build.ts';

const ROOT = new URL('../../../shared/samples/', import.meta.url);
const skip = existsSync(ROOT) ? false : 'the samples (../shared/samples) are not here';

async function read(name: string): Promise<Result> {
  const result = await readAll(readFileSync(new URL(name, ROOT)));
  assert.ok(isBalanced(result.account), name);
  return result;
}

test('packet totals equal those of tcpdump', { skip }, async () => {
  const totals: Record<string, number> = {
    'any_sll1.pcap': 63,
    'any_sll2.pcap': 63,
    'any_v6_icmp_frag_sll2.pcap': 55,
    'fq-dhcp_big_endian.pcapng': 4,
    'fq-ipv4frags.pcap': 3,
    'fq-link_type_raw.pcap': 1,
    // tcpdump refuses mixed link types: counted by its packet blocks.
    'fq-many_interfaces.pcapng': 64,
    'fq-ns.pcap': 1,
    'fq-sll2_tcp.pcap': 5,
    'tcpdump-LINKTYPE_IPV6.pcap': 1,
    'tcpdump-LINKTYPE_RAW_ipv6.pcap': 1,
    'tcpdump-geneve-gcp.pcap': 1,
    'tcpdump-vxlan.pcap': 10,
    'two_if.pcapng': 63,
    'va_eth_ns.pcap': 33,
  };
  for (const [name, total] of Object.entries(totals)) {
    const { account } = await read(`pcap/${name}`);
    assert.equal(account.read, total, name);
    assert.equal(account.malformed.size, 0, name);
  }
});

test('three captures of one traffic agree: 63 records, 8 ARP, 6 connections, and the same rows', { skip }, async () => {
  const tuples: unknown[] = [];
  for (const name of ['any_sll1.pcap', 'any_sll2.pcap', 'two_if.pcapng']) {
    const { account, rows } = await read(`pcap/${name}`);
    assert.equal(account.read, 63);
    assert.deepEqual(Object.fromEntries(account.skipped), { arp: 8, duplicate: 26 });
    assert.equal(countConnections(rows), 6);
    const services = new Set(
      rows
        .filter(({ preDstPort }) => preDstPort >= 0)
        .map((row) => `${row.preDst}:${row.preDstPort} -> ${row.dst}:${row.dstPort}`),
    );
    assert.deepEqual([...services].sort(), ['10.96.0.10:80 -> 10.244.1.6:8080', '10.96.0.11:53 -> 10.244.1.6:5353']);
    assert.ok(rows.every(({ src, dst }) => !src.startsWith('10.96.') && !dst.startsWith('10.96.')));
    tuples.push(
      rows.map(({ src, srcPort, dst, dstPort, protocol, preDst }) => [src, srcPort, dst, dstPort, protocol, preDst]),
    );
  }
  assert.deepEqual(tuples[1], tuples[0]);
  assert.deepEqual(new Set((tuples[2] as unknown[]).map(String)), new Set((tuples[0] as unknown[]).map(String)));
});

test('fragments of a forwarded datagram: two later ones with the ports of the first', { skip }, async () => {
  const { rows } = await read('pcap/any_v6_icmp_frag_sll2.pcap');
  const big = rows.filter(
    ({ protocol, srcPort, dstPort }) => protocol === 17 && srcPort === 36_083 && dstPort === 5353,
  );
  assert.deepEqual(
    big.map(({ flags }) => flags),
    [0, 8, 8],
  );
});

test(
  'Hubble: 80 records, 15 connections; 14 records are L7, one of them the only trace of its connection',
  { skip },
  async () => {
    const { account, rows } = await read('hubble/tcp-first-80-in-order.jsonl');
    assert.equal(account.read, 80);
    assert.equal(account.skipped.get('l7'), 13);
    assert.equal(rows.length, 67);
    assert.equal(countConnections(rows), 15);
  },
);

test('every Hubble sample is understood completely', { skip }, async () => {
  for (const name of readdirSync(new URL('hubble/', ROOT))) {
    const { account } = await read(`hubble/${name}`);
    assert.equal(account.format, 'hubble', name);
    const lines = readFileSync(new URL(`hubble/${name}`, ROOT), 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    assert.equal(account.read, lines.length, name);
    assert.equal(account.malformed.size + account.unknownValues.size, 0, name);
  }
});

test('each sample without a reader is refused by its name', { skip }, async () => {
  const expected: Record<string, RegExp> = {
    antrea: /^$/,
    misc: /^(beyla|weave-npc)$/,
    nfdump: /^nfcapd$/,
  };
  for (const [folder, pattern] of Object.entries(expected))
    for (const name of readdirSync(new URL(`${folder}/`, ROOT))) {
      if (name.startsWith('nfdump') || (folder === 'antrea' && !name.endsWith('.txt'))) continue;
      const { account, rows } = await read(`${folder}/${name}`);
      assert.equal(rows.length, 0);
      assert.equal(account.diagnostics.length, 1, name);
      // A list of column names, no log; an answer of Loki without streams.
      if (name === 'theia-clickhouse-flows-columns.txt' || name === 'loki-flow_records_dropped.json') {
        assert.equal(account.diagnostics[0]!.code, 'unknown-format');
        continue;
      }
      assert.match(account.format, pattern, name);
      assert.equal(account.diagnostics[0]!.code, 'unsupported-format');
      assert.match(account.diagnostics[0]!.hint!, /\S/);
    }
});

test(
  'conntrack: nine outputs of one traffic show the same connections, each with its translation',
  { skip },
  async () => {
    const samples: Record<string, [read: number, rows: number]> = {
      'ct_E_ext.txt': [17, 5],
      'ct_E_plain.txt': [17, 5],
      'ct_L_ext.txt': [4, 4],
      'ct_L_ktimestamp.txt': [4, 4],
      'ct_L_plain.txt': [4, 4],
      'proc_nf_conntrack.txt': [4, 4],
      'ct_L_save.txt': [4, 4],
      'ct_L.xml': [4, 4],
      'ct_E.xml': [17, 5],
    };
    for (const [name, [total, used]] of Object.entries(samples)) {
      const { account, rows } = await read(`conntrack/${name}`);
      assert.deepEqual(
        [account.format, account.read, rows.length, account.malformed.size],
        [
          name.endsWith('.xml') ? 'conntrack-xml' : name.includes('save') ? 'conntrack-save' : 'conntrack',
          total,
          used,
          0,
        ],
      );
      const tuples = new Set(rows.map((row) => `${row.src}:${row.srcPort} ${row.preDst} ${row.dst}:${row.dstPort}`));
      for (const tuple of [
        '10.244.1.5:45500 10.96.0.10 10.244.1.6:8080',
        '10.244.1.5:47582  10.244.1.6:8080',
        '10.244.1.5:55972 10.96.0.11 10.244.1.6:5353',
        '10.244.1.5:47160  10.244.1.6:4444',
      ])
        assert.ok(tuples.has(tuple), `${name}: ${tuple}`);
      // The dump was made after this one had been closed.
      assert.equal(tuples.has('10.244.1.5:33648  10.244.1.6:7777'), name.startsWith('ct_E'), name);
    }
  },
);

test('conntrack: IPv6 and echoes', { skip }, async () => {
  const samples: Record<string, [read: number, rows: number]> = {
    'ct_E_v6_icmp.txt': [12, 4],
    'ct_L_all_ext.txt': [4, 4],
    'ct_L_v6.txt': [2, 2],
    'proc_nf_conntrack_v6.txt': [4, 4],
  };
  for (const [name, [total, used]] of Object.entries(samples)) {
    const { account, rows } = await read(`conntrack/${name}`);
    assert.deepEqual([account.read, rows.length, account.malformed.size], [total, used, 0], name);
    const echo = rows.find(({ protocol }) => protocol === 58)!;
    assert.deepEqual([echo.src, echo.srcPort, echo['icmp']], ['fd00:10:244:1::5', 4242, 128 << 8], name);
  }
});

test(
  'VPC flow logs: a header, a longer header, and CloudWatch messages whose fields show what they are',
  { skip },
  async () => {
    const samples: Record<string, [format: string, rows: unknown[]]> = {
      'vpc-v2-header.log': [
        'aws-vpc',
        [
          ['172.31.16.139', 20_641, '172.31.16.21', 22, 6],
          ['172.31.9.69', 49_761, '172.31.9.12', 3389, 6],
        ],
      ],
      'vpc-ecs-custom-header.log': ['aws-vpc', [['10.0.1.100', 49_152, '10.0.2.200', 22, 6]]],
      'cloudwatch-subscription-custom.json': [
        'aws-vpc',
        [
          ['172.31.16.139', -1, '172.31.16.21', -1, 255],
          ['172.31.9.69', -1, '172.31.9.12', -1, 255],
        ],
      ],
    };
    for (const [name, [format, expected]] of Object.entries(samples)) {
      const { account, rows } = await read(`aws/${name}`);
      assert.deepEqual([account.format, account.read, account.malformed.size], [format, expected.length, 0], name);
      assert.deepEqual(
        rows.map(({ src, srcPort, dst, dstPort, protocol }) => [src, srcPort, dst, dstPort, protocol]),
        expected,
        name,
      );
    }
  },
);

test(
  'Zeek: masked times are malformed, each with its line; with times every connection is there',
  { skip },
  async () => {
    const samples: Record<string, [rows: number, first: unknown[]]> = {
      'core.cisco-fabric-path.conn.log': [64, ['1.1.1.6', 57_005, '2.2.2.2', 48_879, 6, 0, 0]],
      'core.history-flip.conn.log': [1, ['141.42.64.125', 56_730, '125.190.109.199', 80, 6, 0, 3]],
      'core.local-flip.conn.log': [1, ['127.0.0.1', 1080, '44.1.1.1', 8000, 6, 0, 3]],
      'core.q-in-q.conn.log': [2, ['172.19.51.37', 47_808, '172.19.51.63', 47_808, 17, 0, 0]],
    };
    for (const [name, [count, expected]] of Object.entries(samples)) {
      const masked = await read(`zeek/${name}`);
      assert.deepEqual([masked.account.format, masked.account.read, masked.rows.length], ['zeek', count, 0], name);
      assert.match(masked.account.diagnostics[0]!.message, /^line 10, .*ts: expected seconds/);
      const text = readFileSync(new URL(`zeek/${name}`, ROOT), 'utf8').replaceAll(
        'XXXXXXXXXX.XXXXXX',
        '1600000000.000001',
      );
      const { account, rows } = await readAll(Buffer.from(text));
      assert.deepEqual([account.read, rows.length, account.unknownValues.size], [count, count, 0], name);
      const first = rows[0]!;
      assert.deepEqual(
        [first.src, first.srcPort, first.dst, first.dstPort, first.protocol, first['orientation'], first['orientedBy']],
        expected,
        name,
      );
      assert.equal(first['timeUs'], 1600000000000001);
    }
    const { account, rows } = await read('zeek/conn-json-docs.log');
    assert.deepEqual([account.format, account.read, rows.length], ['zeek-json', 2, 2]);
    assert.deepEqual(
      [rows[1]!.dst, rows[1]!['bytes'], rows[1]!['replyBytes'], rows[1]!['timeUs']],
      ['31.3.245.133', 397, 511, 1591367999430166],
    );
  },
);
