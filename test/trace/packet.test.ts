/** What packets become: link layers, tags, tunnels, fragments, truncation, sightings and translation. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isBalanced } from '../../src/trace/account.ts';
import {
  bytesOf,
  ethernet,
  ip,
  pcap,
  pcapng,
  readAll,
  repeat,
  sll2,
  tcp,
  u16,
  u32,
  udp,
  type Captured,
} from './build.ts';
import { seed } from '../law/seed.ts';

const SYN = 2;
const ACK = 16;
const A = '10.0.0.1';
const B = '10.0.0.2';
const VIP = '10.96.0.10';
const T0 = 1_700_000_000_000_000;

async function readFrames(linkType: number, ...frames: Uint8Array[]) {
  const result = await readAll(
    pcap(
      linkType,
      frames.map((frame, index) => ({ frame, timeUs: T0 + index })),
    ),
  );
  assert.ok(isBalanced(result.account));
  return result;
}

test('every byte order and unit of pcap and pcapng gives the same rows, in whole microseconds', async () => {
  const packets: Captured[] = [{ frame: ethernet(0x0800, ip(A, B, 6, tcp(4000, 80, SYN))), timeUs: T0 + 123_456 }];
  for (const endian of ['little', 'big'] as const)
    for (const unit of ['us', 'ns'] as const)
      for (const file of [pcap(1, packets, { endian, unit }), pcapng([1], packets, { endian, unit, dropped: 3 })]) {
        const { rows, account } = await readAll(file);
        assert.equal(rows.length, 1, `${endian} ${unit}`);
        const {
          src,
          dst,
          srcPort,
          dstPort,
          timeUs,
          tcpFlags,
          bytes,
          packets: count,
          orientation,
          orientedBy,
          line,
        } = rows[0]!;
        assert.deepEqual(
          { src, dst, srcPort, dstPort, timeUs, tcpFlags, bytes, count, orientation, orientedBy, line },
          {
            src: A,
            dst: B,
            srcPort: 4000,
            dstPort: 80,
            timeUs: T0 + 123_456,
            tcpFlags: SYN,
            bytes: 54,
            count: 1,
            orientation: 0,
            orientedBy: 1,
            line: 1,
          },
        );
        assert.equal(account.lost, account.format === 'pcapng' ? 3 : 0);
        assert.ok(isBalanced(account));
      }
});

test('SYN+ACK is a reply by flags, a bare ACK says nothing', async () => {
  const { rows } = await readFrames(101, ip(B, A, 6, tcp(80, 4000, SYN | ACK)), ip(A, B, 6, tcp(4000, 80, ACK)));
  assert.deepEqual(
    rows.map(({ orientation }) => orientation),
    [1, 2],
  );
});

test('all link types that are promised are read, others are skipped by number', async () => {
  const packet = ip(A, B, 17, udp(5000, 53));
  const packet6 = ip('fd00::1', 'fd00::2', 17, udp(5000, 53));
  const files: [number, Uint8Array][] = [
    [1, ethernet(0x0800, packet)],
    [1, ethernet(0x8100, bytesOf(u16(5), u16(0x0800), packet))],
    [1, ethernet(0x88a8, bytesOf(u16(5), u16(0x8100), u16(6), u16(0x86dd), packet6))],
    [1, ethernet(0x8847, bytesOf(0, 0, 0, 64, 0, 0, 1, 64, packet))],
    [12, packet],
    [14, packet6],
    [101, packet6],
    [228, packet],
    [229, packet6],
    [0, bytesOf(2, 0, 0, 0, packet)],
    [0, bytesOf(0, 0, 0, 30, packet6)],
    [108, bytesOf(0, 0, 0, 24, packet6)],
    [113, bytesOf(u16(0), u16(1), u16(6), repeat(1, 8), u16(0x0800), packet)],
    [276, sll2(3, 0, packet6)],
  ];
  for (const [linkType, frame] of files) {
    const { rows } = await readFrames(linkType, frame);
    assert.equal(rows.length, 1, `link type ${linkType}`);
    assert.deepEqual([rows[0]!.srcPort, rows[0]!.dstPort], [5000, 53]);
  }
  const { account } = await readFrames(147, packet);
  assert.deepEqual([...account.skipped], [['linktype 147', 1]]);
});

test('the inner packet of VXLAN, Geneve and IP-in-IP replaces the outer one and is counted', async () => {
  const inner = ip(A, B, 6, tcp(4000, 80, SYN));
  const vxlan = bytesOf(8, 0, 0, 0, 0, 0, 7, 0, ethernet(0x0800, inner));
  const geneve = bytesOf(0x01, 0, u16(0x6558), 0, 0, 7, 0, u32(0), ethernet(0x0800, inner));
  const { rows, account } = await readFrames(
    101,
    ip('192.0.2.1', '192.0.2.2', 17, udp(33_333, 8472, vxlan)),
    ip('192.0.2.1', '192.0.2.2', 17, udp(33_333, 4789, vxlan)),
    ip('192.0.2.1', '192.0.2.2', 17, udp(33_333, 6081, geneve)),
    ip('192.0.2.1', '192.0.2.2', 4, inner),
  );
  assert.deepEqual(
    rows.map(({ src, dst, dstPort }) => [src, dst, dstPort]),
    [0, 1, 2, 3].map(() => [A, B, 80]),
  );
  assert.ok(account.limits.some((limit) => limit.startsWith('4 packets were taken out')));
});

test('later fragments take the ports of the first for 30 seconds, without a first they have none', async () => {
  const body = udp(5000, 53, 'x'.repeat(24));
  const first = ip(A, B, 17, body.subarray(0, 16), { id: 9, hasMore: true });
  const later = ip(A, B, 17, body.subarray(16), { id: 9, fragmentOffset: 16 });
  const orphan = ip(A, B, 17, body.subarray(16), { id: 10, fragmentOffset: 16 });
  const { rows } = await readAll(
    pcap(101, [
      { frame: first, timeUs: T0 },
      { frame: later, timeUs: T0 + 10 },
      { frame: orphan, timeUs: T0 + 20 },
      { frame: later, timeUs: T0 + 31_000_000 },
    ]),
  );
  assert.deepEqual(
    rows.map(({ dstPort, flags }) => [dstPort, flags]),
    [[53, 0], [53, 8], [-1, 1], [-1, 1]],
  ); // prettier-ignore
});

test('IPv6 extension headers are walked, and ESP keeps its number without ports', async () => {
  const chain = bytesOf(60, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, tcp(1, 2, SYN));
  const { rows } = await readFrames(
    229,
    ip('fd00::1', 'fd00::2', 0, chain),
    ip('fd00::1', 'fd00::2', 50, bytesOf(1, 2, 3, 4)),
  );
  assert.deepEqual(rows.map(({ protocol, dstPort }) => [protocol, dstPort]), [[6, 2], [50, -1]]); // prettier-ignore
});

test('a packet cut by the capture is used with its ports, and skipped without them', async () => {
  const frame = ip(A, B, 6, tcp(4000, 80, SYN));
  const { rows, account } = await readAll(
    pcap(101, [
      { frame, captured: 24 },
      { frame, captured: 22 },
      { frame, captured: 10 },
    ]),
  );
  assert.deepEqual(
    rows.map(({ dstPort, flags, tcpFlags }) => [dstPort, flags, tcpFlags]),
    [[80, 2, 0xffff]],
  );
  assert.deepEqual([...account.skipped], [['truncated', 2]]);
  assert.ok(isBalanced(account));
});

test('ICMP: echo has its identifier, an error quotes the packet that caused it', async () => {
  const echo = bytesOf(8, 0, 0, 0, u16(4242), u16(1));
  const error = bytesOf(3, 3, 0, 0, u32(0), ip(A, B, 17, udp(5000, 4444)));
  const { rows } = await readFrames(101, ip(A, B, 1, echo), ip(B, A, 1, error));
  assert.deepEqual([rows[0]!['icmp'], rows[0]!.srcPort, rows[0]!.dstPort], [8 << 8, 4242, -1]);
  assert.equal(rows[1]!['icmp'], (3 << 8) | 3);
  assert.deepEqual(rows[1]!['quote'], { src: A, dst: B, srcPort: 5000, dstPort: 4444, protocol: 17, icmp: -1 });
});

test('SCTP: chunk types, verification tag and initiate tag', async () => {
  const init = bytesOf(u16(1), u16(2), u32(0), u32(0), 1, 0, u16(20), u32(0xdeadbeef), repeat(0, 12));
  const data = bytesOf(u16(1), u16(2), u32(77), u32(0), 3, 0, u16(4), 0, 0, u16(4), 200, 0, u16(4));
  const { rows } = await readFrames(101, ip(A, B, 132, init), ip(A, B, 132, data));
  assert.deepEqual(
    rows.map(({ sctpChunks, sctpTag, sctpInitTag }) => [sctpChunks, sctpTag, sctpInitTag]),
    [[2, 0, 0xdeadbeef], [(1 << 3) | 1 | (1 << 15), 77, 0]],
  ); // prettier-ignore
});

test('the same segment again on one interface is a retransmission, never a duplicate', async () => {
  const frame = ip(A, B, 6, tcp(4000, 80, 24, 100, 'hello'));
  for (const file of [
    pcap(101, [{ frame }, { frame, timeUs: 100 }]),
    pcap(276, [{ frame: sll2(1, 0, frame) }, { frame: sll2(1, 0, frame), timeUs: 100 }]),
  ]) {
    const { rows } = await readAll(file);
    assert.deepEqual(
      rows.map(({ flags }) => flags),
      [0, 4],
    );
  }
});

/** A connection through a ClusterIP, seen on its way in (interface 1) and out (interface 2), and back. */
function throughService(times: readonly number[]): Captured[] {
  const frames = [
    sll2(1, 0, ip(A, VIP, 6, tcp(4000, 80, SYN, 1000))),
    sll2(2, 4, ip(A, B, 6, tcp(4000, 8080, SYN, 1000))),
    sll2(2, 0, ip(B, A, 6, tcp(8080, 4000, SYN | ACK, 2000))),
    sll2(1, 4, ip(VIP, A, 6, tcp(80, 4000, SYN | ACK, 2000))),
  ];
  return frames.map((frame, index) => ({ frame, timeUs: T0 + times[index]! }));
}

test('In and Out of one packet are one row that knows backend and ClusterIP, and replies have the reversed tuple', async () => {
  const later = sll2(1, 0, ip(A, VIP, 6, tcp(4000, 80, ACK, 1001)));
  const lone = sll2(1, 4, ip(VIP, A, 6, tcp(80, 4000, ACK, 2001)));
  const { rows, account } = await readAll(
    pcap(276, [
      ...throughService([0, 50, 90, 120]),
      { frame: later, timeUs: T0 + 9_000_000 },
      { frame: lone, timeUs: T0 + 9_000_100 },
    ]),
  );
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, preDst, preDstPort }) => [src, srcPort, dst, dstPort, preDst, preDstPort]),
    [
      [A, 4000, B, 8080, VIP, 80],
      [B, 8080, A, 4000, '', -1],
      [A, 4000, B, 8080, VIP, 80],
      [B, 8080, A, 4000, '', -1],
    ],
  );
  assert.equal(account.skipped.get('duplicate'), 2);
  assert.ok(isBalanced(account));
});

test('a source translated on the way out is the one before translation, in both directions', async () => {
  const outside = '192.0.2.80';
  const node = '198.51.100.1';
  const { rows } = await readAll(
    pcap(276, [
      { frame: sll2(1, 0, ip(A, outside, 6, tcp(4000, 443, SYN, 1))), timeUs: T0 },
      { frame: sll2(9, 4, ip(node, outside, 6, tcp(61_000, 443, SYN, 1))), timeUs: T0 + 20 },
      { frame: sll2(9, 0, ip(outside, node, 6, tcp(443, 61_000, SYN | ACK, 2))), timeUs: T0 + 900 },
      { frame: sll2(1, 4, ip(outside, A, 6, tcp(443, 4000, SYN | ACK, 2))), timeUs: T0 + 930 },
    ]),
  );
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, preDstPort }) => [src, srcPort, dst, dstPort, preDstPort]),
    [[A, 4000, outside, 443, -1], [outside, 443, A, 4000, -1]],
  ); // prettier-ignore
});

test('sightings more than 5 ms apart, or within one interface, are different packets', async () => {
  const far = await readAll(pcap(276, throughService([0, 6000, 20_000, 26_000])));
  assert.equal(far.rows.length, 4);
  const frame = ip(A, B, 17, udp(5000, 53, 'query'));
  const same = await readAll(pcapng([101], [{ frame }, { frame, timeUs: 10 }]));
  assert.equal(same.rows.length, 2);
});

test('pcapng with two interfaces that lie one behind the other in the file are joined by time', async () => {
  const strip = (packet: Captured, interfaceId: number): Captured => ({
    ...packet,
    frame: packet.frame.subarray(20),
    interfaceId,
  });
  const [request, requestOut, reply, replyOut] = throughService([0, 50, 90, 120]) as [
    Captured,
    Captured,
    Captured,
    Captured,
  ];
  const { rows } = await readAll(
    pcapng([101, 101], [strip(request, 0), strip(replyOut, 0), strip(requestOut, 1), strip(reply, 1)]),
  );
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, preDst }) => [src, srcPort, dst, dstPort, preDst]),
    [[A, 4000, B, 8080, VIP], [B, 8080, A, 4000, '']],
  ); // prettier-ignore
});

test('rows that are held back for a second sighting survive small batches', async () => {
  const packets: Captured[] = [];
  for (let index = 0; index < 200; index++)
    packets.push(
      { frame: sll2(1, 0, ip(A, VIP, 17, udp(5000 + index, 53, `q${index}`))), timeUs: T0 + index * 1000 },
      { frame: sll2(2, 4, ip(A, B, 17, udp(5000 + index, 5353, `q${index}`))), timeUs: T0 + index * 1000 + 50 },
    );
  const { rows, account } = await readAll(pcap(276, packets), { batchCapacity: 16, chunkSize: 777 });
  assert.deepEqual(
    rows.map(({ srcPort, dst, dstPort, preDst }) => [srcPort, dst, dstPort, preDst]),
    Array.from({ length: 200 }, (_, index) => [5000 + index, B, 5353, VIP]),
  );
  assert.equal(account.skipped.get('duplicate'), 200);
  assert.ok(isBalanced(account));
});

test('a length that no packet has stops the reading, with the place, and keeps what was read', async () => {
  const good = pcap(101, [{ frame: ip(A, B, 17, udp(1, 2)) }]);
  const file = bytesOf(good, u32(0), u32(0), u32(0xffffffff), u32(0), 1, 2, 3);
  const { rows, account } = await readAll(file);
  assert.equal(rows.length, 1);
  assert.deepEqual([...account.malformed], [['packet-length', 1]]);
  assert.match(account.diagnostics[0]!.message, new RegExp(`^packet 2, byte ${good.length}: `));
  assert.ok(isBalanced(account));
});

test('captures that were joined byte by byte are told as what they are, in either byte order', async () => {
  for (const endian of ['little', 'big'] as const) {
    const file = pcap(101, [{ frame: ip(A, B, 17, udp(1, 2)), timeUs: T0 }], { endian });
    const { rows, account } = await readAll(bytesOf(file, file));
    assert.equal(rows.length, 1);
    const { message } = account.diagnostics.at(-1)!;
    assert.match(message, /another capture begins before it: name captures one by one/);
    assert.ok(isBalanced(account));
  }
});

test('the committed scanner of captures is what its source gives', () => {
  const hash = createHash('sha256').update(readFileSync('src/trace/pcap-scan.as.ts')).digest('hex');
  assert.ok(readFileSync('src/trace/pcap-scan-code.ts', 'utf8').includes(hash));
});

test('the scanner of ordinary packets gives what the general reader gives: damaged frames in either byte order', async () => {
  // Big-endian files go through the general reader alone. A batch of 16 is left early, one of 64 holds all.
  const frames = [
    ethernet(0x0800, ip('10.0.0.1', '10.0.0.2', 6, tcp(40_000, 80, 2, 7))),
    ethernet(0x0800, ip('10.0.0.2', '10.0.0.1', 6, tcp(80, 40_000, 18, 9))),
    ethernet(0x0800, ip('10.0.0.1', '10.0.0.2', 6, tcp(40_000, 80, 24, 8, 'GET /'))),
    ethernet(0x0800, ip('10.0.0.1', '10.0.0.3', 17, udp(5353, 53, 'query'))),
    ethernet(0x0800, ip('10.0.0.1', '10.0.0.3', 17, udp(5353, 4789, 'tunnel, perhaps a long one'))),
    ethernet(0x0806, Uint8Array.from(repeat(1, 28))),
    ethernet(0x0800, ip('10.0.0.1', '10.0.0.3', 1, bytesOf(8, 0, 0, 0, 0, 7, 0, 1))),
    ethernet(0x86dd, ip('fd00::1', 'fd00::2', 6, tcp(1, 2, 16))),
    ethernet(0x88cc, Uint8Array.from(repeat(1, 60))),
  ];
  const frame = fc
    .tuple(fc.constantFrom(...frames), fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 2 }), fc.nat())
    .map(([whole, changes, cut]) => {
      const damaged = Uint8Array.from(whole);
      // Behind the link addresses: EtherType, lengths, fragments, protocols, ports.
      for (const [where, byte] of changes) damaged[12 + (where % (damaged.length - 12))] = byte;
      return { frame: damaged, captured: cut % 4 === 0 ? cut % (damaged.length + 1) : damaged.length };
    });
  const check = fc.asyncProperty(
    fc.array(frame, { maxLength: 40 }),
    fc.constantFrom('us', 'ns'),
    fc.constantFrom(16, 64),
    async (list, unit, batchCapacity) => {
      const packets = list.map((packet, index) => ({ ...packet, timeUs: 1_767_312_000_123_456 + index * 1500 }));
      const little = await readAll(pcap(1, packets, { endian: 'little', unit }), { batchCapacity });
      const big = await readAll(pcap(1, packets, { endian: 'big', unit }), { batchCapacity });
      assert.deepEqual(little.rows, big.rows);
      assert.deepEqual(little.account, big.account);
      assert.ok(isBalanced(little.account));
    },
  );
  await fc.assert(check, { seed, numRuns: 300 });
});

test('the same of a capture on all interfaces: sightings join alike in either byte order', async () => {
  const bodies = [
    ip(A, VIP, 6, tcp(40_000, 80, SYN, 7)),
    ip(A, B, 6, tcp(40_000, 8080, SYN, 7)),
    ip(B, A, 6, tcp(8080, 40_000, SYN | ACK, 9)),
    ip(VIP, A, 6, tcp(80, 40_000, SYN | ACK, 9)),
    ip(A, B, 17, udp(5353, 53, 'query of some length'), { id: 3 }),
    ip(A, '10.0.0.9', 17, udp(5353, 53, 'query of some length'), { id: 3 }),
    ip(A, B, 17, udp(5353, 4789, 'no tunnel, though')),
    ip(A, B, 1, bytesOf(8, 0, 0, 0, 0, 7, 0, 1)),
  ];
  const frame = fc
    .tuple(fc.constantFrom(...bodies), fc.nat({ max: 3 }), fc.constantFrom(0, 4), fc.nat({ max: 200 }))
    .map(([body, index, type, damage]) => {
      const whole = sll2(index, type, body);
      if (damage < 20) whole[20 + (damage % body.length)] = damage;
      return { frame: whole, captured: damage === 50 ? whole.length - 3 : whole.length };
    });
  const check = fc.asyncProperty(fc.array(frame, { maxLength: 30 }), fc.nat({ max: 3000 }), async (list, gapUs) => {
    const packets = list.map((packet, index) => ({ ...packet, timeUs: T0 + index * gapUs }));
    const little = await readAll(pcap(276, packets, { endian: 'little' }), { batchCapacity: 16 });
    const big = await readAll(pcap(276, packets, { endian: 'big' }), { batchCapacity: 16 });
    assert.deepEqual(little.rows, big.rows);
    assert.deepEqual([...little.account.skipped].sort(), [...big.account.skipped].sort());
    assert.deepEqual({ ...little.account, skipped: 0 }, { ...big.account, skipped: 0 });
    assert.ok(isBalanced(little.account));
  });
  await fc.assert(check, { seed, numRuns: 300 });
});
