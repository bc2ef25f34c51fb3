/**
 * pcapng files (IETF draft-ietf-opsawg-pcapng): sections of either byte order, several interfaces with link types and clocks
 * of their own. Blocks that hold no packet are skipped by their length; TLS secrets are never looked at.
 */
import { addMalformed, increment } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { startsWith } from './head.ts';
import { PACKET_LIMITS, PacketDecoder, isAnyInterface } from './packet.ts';
import { PACKET_SIZE_LIMIT } from './pcap.ts';

/** Wireshark's and dumpcap's file format. */
export const PCAPNG: TraceFormat = {
  name: 'pcapng',
  description: 'a pcapng packet capture',
  recognise: ({ bytes }) => startsWith(bytes, 0x0a, 0x0d, 0x0d, 0x0a),
  isText: false,
  limits: PACKET_LIMITS,
  open: (context) => new PcapngDecoder(context),
};

const enum Block {
  Interface = 1,
  OldPacket = 2,
  SimplePacket = 3,
  Statistics = 5,
  EnhancedPacket = 6,
  Section = 0x0a0d0d0a,
}

interface Interface {
  /** Counted over all sections. */
  readonly id: number;
  readonly linkType: number;
  readonly snapLength: number;
  /** Units of a second are 10^digits or 2^bits. */
  readonly isBinary: boolean;
  readonly exponent: number;
  readonly offsetUs: number;
  /** Packets that the statistics block says were lost; the last block counts. */
  lost: number;
}

class PcapngDecoder implements TraceDecoder {
  isStopped = false;
  private readonly context: ReadContext;
  private readonly packets: PacketDecoder;
  private isLittleEndian = true;
  private isInSection = false;
  private interfaces: Interface[] = [];
  private interfaceCount = 0;
  private offset = 0;
  private number = 0;

  constructor(context: ReadContext) {
    this.context = context;
    this.packets = new PacketDecoder(context);
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    const { batch } = this.context;
    let at = start;
    while (at + 12 <= end && batch.count < batch.capacity) {
      const isSection = startsWith(bytes.subarray(at, at + 4), 0x0a, 0x0d, 0x0d, 0x0a);
      if (isSection) {
        if (bytes[at + 8] === 0x4d) this.isLittleEndian = true;
        else if (bytes[at + 8] === 0x1a) this.isLittleEndian = false;
        else return this.stop('section-header', 'expected a byte order magic', end);
      } else if (!this.isInSection) return this.stop('section-header', 'expected a section header', end);
      const type = this.u32(bytes, at);
      const length = this.u32(bytes, at + 4);
      if (length < 12 || length % 4 !== 0 || length > PACKET_SIZE_LIMIT + 65_536)
        return this.stop('block-length', `a block of ${length} bytes; nothing behind it can be found again`, end);
      if (at + length > end) break;
      if (this.u32(bytes, at + length - 4) !== length)
        return this.stop('block-length', 'the two lengths of a block differ', end);
      this.takeBlock(bytes, isSection ? Block.Section : type, at, length);
      at += length;
      this.offset += length;
    }
    return at;
  }

  finish(_bytes: Uint8Array, start: number, end: number): void {
    if (end > start)
      this.stop('truncated', `the file ends inside a block, ${end - start} bytes after its beginning`, end);
    this.packets.close();
  }

  countReady(): number {
    return this.packets.countReady();
  }

  willHandOut(count: number): void {
    this.packets.willHandOut(count);
  }

  private takeBlock(bytes: Uint8Array, type: number, at: number, length: number): void {
    switch (type) {
      case Block.Section:
        this.isInSection = true;
        this.interfaces = [];
        break;
      case Block.Interface:
        this.takeInterface(bytes, at, length);
        break;
      case Block.EnhancedPacket:
        if (length < 32) return this.refusePacket('block-length', 'a packet block without its header');
        this.takePacket(
          bytes,
          this.u32(bytes, at + 8),
          at + 28,
          at + length - 4,
          this.u32(bytes, at + 20),
          this.u32(bytes, at + 24),
          this.u32(bytes, at + 12),
          this.u32(bytes, at + 16),
        );
        break;
      case Block.OldPacket:
        if (length < 32) return this.refusePacket('block-length', 'a packet block without its header');
        this.takePacket(
          bytes,
          this.u16(bytes, at + 8),
          at + 28,
          at + length - 4,
          this.u32(bytes, at + 20),
          this.u32(bytes, at + 24),
          this.u32(bytes, at + 12),
          this.u32(bytes, at + 16),
        );
        break;
      case Block.SimplePacket: {
        if (length < 16) return this.refusePacket('block-length', 'a packet block without its header');
        const wire = this.u32(bytes, at + 8);
        const snapLength = this.interfaces[0]?.snapLength ?? 0;
        const held = Math.min(wire, length - 16, snapLength === 0 ? wire : snapLength);
        this.takePacket(bytes, 0, at + 12, at + length - 4, held, wire, -1, 0);
        break;
      }
      case Block.Statistics:
        this.takeStatistics(bytes, at, length);
        break;
    }
  }

  /** `high` -1: the block has no time. */
  private takePacket(
    bytes: Uint8Array,
    id: number,
    start: number,
    end: number,
    captured: number,
    wire: number,
    high: number,
    low: number,
  ): void {
    const source = this.interfaces[id];
    if (source === undefined) return this.refusePacket('unknown-interface', `interface ${id} was never described`);
    if (captured > end - start)
      return this.refusePacket('packet-length', `${captured} bytes do not fit into the block`);
    const timeUs = high < 0 ? NaN : toMicroseconds(source, high, low);
    const direction = high < 0 ? 0 : this.readDirection(bytes, start + ((captured + 3) & ~3), end);
    this.packets.take(
      bytes,
      start,
      captured,
      wire,
      source.linkType,
      timeUs,
      ++this.number,
      this.offset,
      source.id,
      direction,
    );
  }

  private refusePacket(reason: string, detail: string): void {
    this.context.account.read++;
    addMalformed(this.context.account, reason, { unit: 'packet', number: ++this.number, offset: this.offset }, detail);
  }

  private takeInterface(bytes: Uint8Array, at: number, length: number): void {
    const { account } = this.context;
    if (length < 20) return increment(account.unknownValues, 'interface-block=short');
    let isBinary = false;
    let exponent = 6;
    let offsetUs = 0;
    this.eachOption(bytes, at + 16, at + length - 4, (code, value, size) => {
      if (code === 9 && size >= 1) {
        isBinary = (bytes[value]! & 128) !== 0;
        exponent = bytes[value]! & 127;
      } else if (code === 14 && size >= 8) {
        const low = this.u32(bytes, this.isLittleEndian ? value : value + 4);
        const high = this.u32(bytes, this.isLittleEndian ? value + 4 : value) | 0;
        offsetUs = (high * 0x1_0000_0000 + low) * 1e6;
      }
    });
    const linkType = this.u16(bytes, at + 8);
    const id = this.interfaceCount++;
    this.interfaces.push({ id, linkType, snapLength: this.u32(bytes, at + 12), isBinary, exponent, offsetUs, lost: 0 });
    if (this.interfaceCount === 1 && isAnyInterface(linkType)) this.packets.joinSightings('ordered');
    // dumpcap writes the interfaces' packets as its threads deliver them, not in time order.
    if (this.interfaceCount === 2) {
      this.packets.joinSightings('unordered');
      if (!isAnyInterface(linkType)) this.packets.declareInterface(id - 1);
    }
    if (this.interfaceCount >= 2 && !isAnyInterface(linkType)) this.packets.declareInterface(id);
  }

  private takeStatistics(bytes: Uint8Array, at: number, length: number): void {
    if (length < 24) return;
    const source = this.interfaces[this.u32(bytes, at + 8)];
    if (source === undefined) return;
    let lost = 0;
    // isb_ifdrop and isb_osdrop.
    this.eachOption(bytes, at + 20, at + length - 4, (code, value, size) => {
      if ((code !== 5 && code !== 7) || size < 8) return;
      const low = this.u32(bytes, this.isLittleEndian ? value : value + 4);
      const high = this.u32(bytes, this.isLittleEndian ? value + 4 : value);
      lost += high * 0x1_0000_0000 + low;
    });
    this.context.account.lost += lost - source.lost;
    source.lost = lost;
  }

  /** Bits 0 and 1 of epb_flags. */
  private readDirection(bytes: Uint8Array, start: number, end: number): number {
    if (start + 8 > end) return 0;
    let direction = 0;
    this.eachOption(bytes, start, end, (code, value, size) => {
      if (code === 2 && size >= 4) direction = this.u32(bytes, value) & 3;
    });
    return direction;
  }

  private eachOption(
    bytes: Uint8Array,
    start: number,
    end: number,
    visit: (code: number, value: number, size: number) => void,
  ): void {
    for (let at = start; at + 4 <= end;) {
      const code = this.u16(bytes, at);
      const size = this.u16(bytes, at + 2);
      if (code === 0 || at + 4 + size > end) return;
      visit(code, at + 4, size);
      at += 4 + ((size + 3) & ~3);
    }
  }

  private stop(reason: string, detail: string, end: number): number {
    this.refusePacket(reason, detail);
    this.isStopped = true;
    this.packets.close();
    return end;
  }

  private u32(bytes: Uint8Array, at: number): number {
    return this.isLittleEndian
      ? ((bytes[at + 3]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 1]! << 8) | bytes[at]!) >>> 0
      : ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  private u16(bytes: Uint8Array, at: number): number {
    return this.isLittleEndian ? bytes[at]! | (bytes[at + 1]! << 8) : (bytes[at]! << 8) | bytes[at + 1]!;
  }
}

/** A 64-bit count of the interface's units to whole microseconds; the product never leaves 53 bits where it matters. */
function toMicroseconds({ isBinary, exponent, offsetUs }: Interface, high: number, low: number): number {
  if (isBinary) {
    const unit = 2 ** exponent;
    const lowSeconds = Math.floor(low / unit);
    if (exponent <= 32) {
      const rest = (low - lowSeconds * unit) / unit;
      return (high * 2 ** (32 - exponent) + lowSeconds) * 1e6 + Math.floor(rest * 1e6) + offsetUs;
    }
    const highUnit = 2 ** (exponent - 32);
    const seconds = Math.floor(high / highUnit);
    const rest = ((high - seconds * highUnit) * 0x1_0000_0000 + low) / unit;
    return seconds * 1e6 + Math.floor(rest * 1e6) + offsetUs;
  }
  if (exponent <= 6) return (high * 0x1_0000_0000 + low) * 10 ** (6 - exponent) + offsetUs;
  const divisor = 10 ** (exponent - 6);
  const quotient = Math.floor(0x1_0000_0000 / divisor);
  const remainder = 0x1_0000_0000 - quotient * divisor;
  return high * quotient + Math.floor((high * remainder + low) / divisor) + offsetUs;
}
