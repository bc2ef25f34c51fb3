/** Classic pcap files (IETF draft-ietf-opsawg-pcap): six magics, both byte orders, micro- and nanoseconds, one link type. */
import { addMalformed } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { PACKET_LIMITS, PacketDecoder, isAnyInterface } from './packet.ts';

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
      at += FILE_HEADER_SIZE;
      this.offset += FILE_HEADER_SIZE;
    }
    const { batch } = this.context;
    const { variant, linkType, packets, sizeLimit } = this;
    const { isLittleEndian, recordHeaderSize } = variant;
    const perMicrosecond = variant.isNanosecond ? 1000 : 1;
    const { capacity } = batch;
    const isOrdinary = isLittleEndian && recordHeaderSize === 16 && packets.isOrdinary(linkType);
    const view = isOrdinary ? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) : undefined;
    if (isOrdinary) packets.prepareOrdinary(end - at);
    while (batch.count < capacity && at + recordHeaderSize <= end) {
      if (view !== undefined) {
        const stop = packets.takeOrdinary(bytes, view, at, end, linkType, sizeLimit, perMicrosecond, this.number);
        this.number += packets.runCount;
        this.offset += stop - at;
        at = stop;
        if (batch.count >= capacity || at + recordHeaderSize > end) break;
      }
      const seconds = isLittleEndian ? readLittle(bytes, at) : readBig(bytes, at);
      const fraction = isLittleEndian ? readLittle(bytes, at + 4) : readBig(bytes, at + 4);
      const captured = isLittleEndian ? readLittle(bytes, at + 8) : readBig(bytes, at + 8);
      const wire = isLittleEndian ? readLittle(bytes, at + 12) : readBig(bytes, at + 12);
      if (captured > sizeLimit)
        return this.stop('packet-length', `a packet of ${captured} bytes; nothing behind it can be found again`, end);
      const next = at + recordHeaderSize + captured;
      if (next > end) break;
      const timeUs = seconds * 1e6 + (perMicrosecond === 1 ? fraction : Math.floor(fraction / 1000));
      packets.take(bytes, at + recordHeaderSize, captured, wire, linkType, timeUs, ++this.number, this.offset, 0, 0);
      this.offset += next - at;
      at = next;
    }
    return at;
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
