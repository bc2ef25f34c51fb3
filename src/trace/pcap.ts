/** Classic pcap files (IETF draft-ietf-opsawg-pcap): six magics, both byte orders, micro- and nanoseconds, one link type. */
import { addMalformed, increment } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { PACKET_LIMITS, PacketDecoder, isAnyInterface } from './packet.ts';
import { sharePcapScanner, Size, type PcapLayout } from './pcap-scan.ts';

/** tcpdump's and libpcap's file format. */
export const PCAP: TraceFormat = {
  name: 'pcap',
  description: 'a pcap packet capture',
  recognise: ({ bytes }: Head) => readMagic(bytes, 0) !== undefined,
  isText: false,
  limits: PACKET_LIMITS,
  open: (context) => new PcapDecoder(context),
};

/** A packet longer than this is a broken length: no interface sends such. */
export const PACKET_SIZE_LIMIT: number = 16 * 1024 * 1024;

const FILE_HEADER_SIZE = 24;
const ROW_LIMIT_LEAST = 16;

interface Variant {
  readonly isLittleEndian: boolean;
  readonly isNanosecond: boolean;
  readonly recordHeaderSize: number;
}

function readMagic(bytes: Uint8Array, at: number): Variant | undefined {
  if (bytes.length < at + 4) return undefined;
  const big = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  const little = ((bytes[at + 3]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 1]! << 8) | bytes[at]!) >>> 0;
  for (const magic of [big, little]) {
    const isLittleEndian = magic === little;
    if (magic === 0xa1b2c3d4) return { isLittleEndian, isNanosecond: false, recordHeaderSize: 16 };
    if (magic === 0xa1b23c4d) return { isLittleEndian, isNanosecond: true, recordHeaderSize: 16 };
    // Kuznetzov's patched libpcap has an interface index, protocol and packet type behind each header.
    if (magic === 0xa1b2cd34) return { isLittleEndian, isNanosecond: false, recordHeaderSize: 24 };
  }
  return undefined;
}

class PcapDecoder implements TraceDecoder {
  isStopped = false;
  private readonly context: ReadContext;
  private readonly packets: PacketDecoder;
  private variant: Variant | undefined;
  private linkType = 0;
  private sizeLimit = PACKET_SIZE_LIMIT;
  /** Of a file that the scanner can read. */
  private layout: PcapLayout | undefined;
  /** Rows that the scanner reads at a time. */
  private rowLimit = ROW_LIMIT_LEAST;
  private offset = 0;
  private number = 0;

  constructor(context: ReadContext) {
    this.context = context;
    this.packets = new PacketDecoder(context);
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.variant === undefined) {
      if (end - at < FILE_HEADER_SIZE) return at;
      this.variant = readMagic(bytes, at);
      if (this.variant === undefined) return this.stop('file-header', 'expected a pcap file header', end);
      const read = this.variant.isLittleEndian ? readLittle : readBig;
      const snapLength = read(bytes, at + 16);
      // The upper half of the word tells the length of a frame check sequence.
      this.linkType = read(bytes, at + 20) & 0xffff;
      this.sizeLimit = Math.min(PACKET_SIZE_LIMIT, Math.max(snapLength, 262_144));
      if (isAnyInterface(this.linkType)) this.packets.joinSightings('ordered');
      if (this.variant.isLittleEndian && this.variant.recordHeaderSize === Size.Record)
        this.layout = this.packets.layoutOf(this.linkType, this.sizeLimit, this.variant.isNanosecond ? 1000 : 1);
      at += FILE_HEADER_SIZE;
      this.offset += FILE_HEADER_SIZE;
    }
    const { batch } = this.context;
    const { variant, sizeLimit } = this;
    const { isLittleEndian, recordHeaderSize } = variant;
    if (this.layout !== undefined) at = this.scan(bytes, at, end, this.layout);
    while (batch.count < batch.capacity && at + recordHeaderSize <= end) {
      const captured = isLittleEndian ? readLittle(bytes, at + 8) : readBig(bytes, at + 8);
      if (captured > sizeLimit) {
        // The file header of another capture has been read as a packet of no bytes.
        const isJoined = at >= 16 && readMagic(bytes, at - 16) !== undefined;
        const what = isJoined ? 'another capture begins before it' : 'nothing behind it can be found again';
        const advice = isJoined ? ': name captures one by one instead of joining them' : '';
        return this.stop('packet-length', `a packet of ${captured} bytes; ${what}${advice}`, end);
      }
      const next = at + recordHeaderSize + captured;
      if (next > end) break;
      this.take(bytes, at, ++this.number, this.offset);
      this.offset += next - at;
      at = next;
    }
    return at;
  }

  /** Takes whole records as long as the batch has room, many at a time; returns where it stopped. */
  private scan(bytes: Uint8Array, start: number, end: number, layout: PcapLayout): number {
    const scanner = sharePcapScanner();
    if (scanner === undefined) return start;
    const { account, batch } = this.context;
    const base = this.offset - start;
    let oddEnd = start;
    const takeOdd = (record: number, number: number): void => {
      this.take(bytes, record, number, base + record);
      oddEnd = record + Size.Record + readLittle(bytes, record + 8);
    };
    let at = start;
    scanner.open(bytes, at, end, batch.capacity - batch.count);
    while (batch.count < batch.capacity) {
      const room = Math.min(batch.capacity - batch.count, this.rowLimit);
      const count = scanner.read(at, room, this.number, layout);
      const taken = this.packets.takeRows(scanner, count, takeOdd);
      const isPart = taken < count;
      // Where a packet gave no row, what is behind it is read again; the less at a time, the more such packets there are.
      this.rowLimit = isPart ? Math.max(ROW_LIMIT_LEAST, room >> 2) : Math.min(scanner.capacity, this.rowLimit * 2);
      const arp = isPart ? scanner.line[taken - 1]! - this.number - taken : scanner.arpCount;
      account.read += arp;
      if (arp > 0) increment(account.skipped, 'arp', arp);
      this.number += taken + arp;
      at = isPart ? oddEnd : scanner.stop();
      if (isPart) continue;
      if (scanner.end < end && scanner.isCut()) scanner.open(bytes, at, end, batch.capacity - batch.count);
      else if (count < room) break;
    }
    this.offset = base + at;
    return at;
  }

  /** One record, which is whole. */
  private take(bytes: Uint8Array, at: number, number: number, offset: number): void {
    const { isLittleEndian, isNanosecond, recordHeaderSize } = this.variant!;
    const read = isLittleEndian ? readLittle : readBig;
    const fraction = read(bytes, at + 4);
    const timeUs = read(bytes, at) * 1e6 + (isNanosecond ? Math.floor(fraction / 1000) : fraction);
    const captured = read(bytes, at + 8);
    const wire = read(bytes, at + 12);
    const frame = at + recordHeaderSize;
    this.packets.take(bytes, frame, captured, wire, this.linkType, timeUs, number, offset, 0, 0);
  }

  finish(_bytes: Uint8Array, start: number, end: number): void {
    if (end > start)
      this.stop('truncated', `the file ends inside a packet, ${end - start} bytes after its beginning`, end);
    this.packets.close();
  }

  countReady(): number {
    return this.packets.countReady();
  }

  willHandOut(count: number): void {
    this.packets.willHandOut(count);
  }

  private stop(reason: string, detail: string, end: number): number {
    this.context.account.read++;
    addMalformed(
      this.context.account,
      reason,
      { unit: 'packet', number: this.number + 1, offset: this.offset },
      detail,
    );
    this.isStopped = true;
    this.packets.close();
    return end;
  }
}

function readLittle(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 3]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 1]! << 8) | bytes[at]!) >>> 0;
}

function readBig(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
