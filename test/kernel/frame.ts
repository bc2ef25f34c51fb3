/**
 * Rows -> Ethernet frames for the lab. Addresses: 10.78/16 and fd4e::/16 live behind end a, 10.79/16 and fd4f::/16
 * behind b; a row has the IPv4 number in both families. Transport checksums stay zero: the router does not verify them.
 */
import { flagsOf, type Row } from '../track/row.ts';
import { MACS, type Frame } from './lab.ts';

/** Sequence numbers are always the ones that both ends expect: windows are not what is tested. */
const ISNS = [0x1000_0000, 0x2000_0000] as const;

/** What the tracker does not need to know but the wire does. */
export interface WireDetail {
  /** The T bit of SCTP ABORT and SHUTDOWN COMPLETE: the tag is the sender's own. */
  readonly isTagReflected: boolean;
}

/** The end behind which an address lives. */
export function sideOf(address: number): 0 | 1 {
  return address >>> 16 === 0x0a4f ? 1 : 0;
}

/** The frame of `row`, number `number` of its batch, sent by the end of its source. */
export function frameOf(row: Row, number: number, detail: WireDetail): Frame {
  const side = sideOf(row.src);
  const packet = packetOf(row, number, detail);
  const bytes = new Uint8Array(14 + packet.length);
  bytes.set(macOf(MACS.legs[side]), 0);
  bytes.set(macOf(MACS.ends[side]), 6);
  bytes.set(row.family === 6 ? [0x86, 0xdd] : [0x08, 0x00], 12);
  bytes.set(packet, 14);
  return { side, bytes };
}

function packetOf(row: Row, number: number, detail: WireDetail): Uint8Array {
  const payload = payloadOf(row, detail);
  if (row.family === 6) {
    const bytes = new Uint8Array(40 + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, (6 << 28) | number);
    view.setUint16(4, payload.length);
    bytes[6] = row.protocol;
    bytes[7] = 64;
    for (const [at, address] of [
      [8, row.src],
      [24, row.dst],
    ] as const) {
      view.setUint16(at, 0xfd00 | ((address >>> 16) & 0xff));
      view.setUint32(at + 12, address);
    }
    bytes.set(payload, 40);
    return bytes;
  }
  const bytes = new Uint8Array(20 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x45;
  view.setUint16(2, bytes.length);
  view.setUint16(4, number);
  view.setUint16(6, 0x4000);
  bytes[8] = 64;
  bytes[9] = row.protocol;
  view.setUint32(12, row.src);
  view.setUint32(16, row.dst);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(10, ~sum & 0xffff);
  bytes.set(payload, 20);
  return bytes;
}

function payloadOf(row: Row, detail: WireDetail): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  const putPorts = (): void => {
    view.setUint16(0, row.srcPort!);
    view.setUint16(2, row.dstPort!);
  };
  switch (row.protocol) {
    case 6: {
      putPorts();
      const side = sideOf(row.src);
      const flags = flagsOf(row.flags!);
      view.setUint32(4, ISNS[side] + ((flags & 2) === 0 ? 1 : 0));
      view.setUint32(8, ISNS[1 - side]! + 1);
      bytes[12] = 5 << 4;
      bytes[13] = flags;
      view.setUint16(14, 64_000);
      return bytes.subarray(0, 20);
    }
    case 17:
    case 136:
      putPorts();
      view.setUint16(4, row.protocol === 17 ? 12 : 0);
      view.setUint16(6, row.protocol === 17 ? 0 : 1);
      return bytes.subarray(0, 12);
    case 132: {
      putPorts();
      view.setUint32(4, row.tag!);
      let at = 12;
      for (const type of row.chunks!) {
        const hasTag = type === 1 || type === 2;
        const length = hasTag ? 20 : type === 0 ? 17 : 8;
        bytes[at] = type;
        bytes[at + 1] = type === 0 ? 3 : (type === 6 || type === 14) && detail.isTagReflected ? 1 : 0;
        view.setUint16(at + 2, length);
        if (hasTag) view.setUint32(at + 4, row.initTag!);
        at += (length + 3) & ~3;
      }
      return bytes.subarray(0, at);
    }
    case 1:
    case 58: {
      bytes[0] = row.icmp! >>> 8;
      bytes[1] = row.icmp! & 0xff;
      if (row.quote === undefined) {
        view.setUint16(4, row.srcPort ?? 0);
        return bytes.subarray(0, 16);
      }
      const quoted = packetOf(row.quote, 1, detail).subarray(0, row.quote.family === 6 ? 48 : 28);
      bytes.set(quoted, 8);
      return bytes.subarray(0, 8 + quoted.length);
    }
    default:
      return bytes.subarray(0, 8);
  }
}

function macOf(text: string): number[] {
  return text.split(':').map((part) => Number.parseInt(part, 16));
}
