/**
 * A record of nfdump, whichever way it was printed, and how it becomes a row. A record is one direction of a connection in an
 * export interval of one exporter, or both directions where nfdump paired them (-b, -B) or the exporter did.
 */
import { Orientation, OrientedBy, RecordKind, RecordedVerdict, TcpFlag, clearRow } from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { increment } from './account.ts';
import { type FieldAddress, isIcmpError } from './field.ts';
import type { ReadContext } from './format.ts';
import { ObserverTable } from './observer.ts';

/** What no export of nfdump can show. */
export const NFDUMP_LIMITS: readonly string[] = [
  'A flow record has no pod names, labels or policy verdicts, and what a policy already drops is in it only where the exporter stood before the drop.',
  'A destination behind a translation is not shown unless the exporter reports it.',
];

/** The record that a reader fills, field by field; -1, NaN and family 0 where it says nothing. */
export class NfdumpRecords {
  timeUs: number = NaN;
  protocol: number = Protocol.Unknown;
  readonly src: FieldAddress = { family: 0, value: 0 };
  readonly dst: FieldAddress = { family: 0, value: 0 };
  /** Destination behind a translation (NEL, NSEL). */
  readonly translated: FieldAddress = { family: 0, value: 0 };
  translatedPort = -1;
  srcPort = -1;
  dstPort = -1;
  /** ICMP type << 8 | code. */
  icmp = -1;
  tcpFlags: number = TcpFlag.Absent;
  packets = -1;
  bytes = -1;
  replyPackets = 0;
  replyBytes = 0;
  /** RFC 7270, 4.12: the two upper bits are 1 forwarded, 2 dropped, 3 consumed. */
  forwarding = 0;
  isDenied = false;
  /** Any 32-bit name of the exporter; undefined: the record does not say. */
  observer: number | undefined;
  private readonly observers = new ObserverTable();
  private readonly context: ReadContext;

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** Forgets the last record. */
  clear(): void {
    this.timeUs = NaN;
    this.protocol = Protocol.Unknown;
    this.src.family = this.dst.family = this.translated.family = 0;
    this.translatedPort = this.srcPort = this.dstPort = this.icmp = -1;
    this.tcpFlags = TcpFlag.Absent;
    this.packets = this.bytes = -1;
    this.replyPackets = this.replyBytes = 0;
    this.forwarding = 0;
    this.isDenied = false;
    this.observer = undefined;
  }

  /** Appends the row of the record, or counts why it is none; returns what is wrong with it, or the empty text. */
  take(line: number): string {
    const { src, dst, context, protocol } = this;
    const { account, batch } = context;
    if (src.family === 0 || dst.family === 0) return 'expected a source and a destination address';
    if (src.family !== dst.family) return 'expected addresses of one family';
    const isIcmp = protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
    if (isIcmp && this.icmp < 0) this.icmp = this.dstPort;
    if (isIcmp || (!hasPorts(protocol) && this.srcPort <= 0 && this.dstPort <= 0)) this.srcPort = this.dstPort = -1;
    // An IP header has 20 bytes: some versions print the packets in the place of the bytes.
    if (this.bytes < this.packets * 20) this.bytes = -1;
    if (isIcmp && isIcmpError(protocol, this.icmp)) {
      increment(account.skipped, 'icmp-error');
      return '';
    }
    if (
      this.observer !== undefined &&
      !this.isDenied &&
      this.observers.isDuplicate(
        src.family,
        protocol,
        src.value,
        this.srcPort,
        dst.value,
        isIcmp ? this.icmp : this.dstPort,
        this.observer,
        Number.isNaN(this.timeUs) ? 0 : Math.floor(this.timeUs / 1e6),
      )
    ) {
      increment(account.skipped, 'duplicate');
      return '';
    }
    const row = batch.count;
    clearRow(batch, row);
    const isPaired = this.replyPackets > 0;
    batch.kind[row] = isPaired ? RecordKind.Connection : RecordKind.OneWay;
    batch.family[row] = src.family;
    batch.protocol[row] = protocol;
    batch.src[row] = src.value;
    batch.dst[row] = dst.value;
    batch.srcPort[row] = this.srcPort;
    batch.dstPort[row] = this.dstPort;
    batch.icmp[row] = isIcmp ? this.icmp : -1;
    batch.timeUs[row] = this.timeUs;
    batch.packets[row] = this.packets;
    batch.bytes[row] = this.bytes;
    batch.replyPackets[row] = this.replyPackets;
    batch.replyBytes[row] = this.replyBytes;
    if (protocol === Protocol.Tcp) {
      const { tcpFlags } = this;
      const opening = tcpFlags === TcpFlag.Absent ? 0 : tcpFlags & (TcpFlag.Syn | TcpFlag.Ack);
      // Flags are added up over the record. A SYN alone is an opening; SYN and ACK are either side's, while a reader of
      // the row would take them for those of one answer: then it is better to say nothing.
      if (opening !== (TcpFlag.Syn | TcpFlag.Ack)) batch.tcpFlags[row] = tcpFlags;
      if (opening === TcpFlag.Syn) {
        batch.orientation[row] = Orientation.Original;
        batch.orientedBy[row] = OrientedBy.Flags;
      }
    }
    if (this.isDenied) batch.recordedVerdict[row] = RecordedVerdict.FirewallDeny;
    else if (this.forwarding >> 6 === 2) batch.recordedVerdict[row] = RecordedVerdict.Drop;
    const { translated } = this;
    const isTranslated =
      translated.family === src.family &&
      translated.value !== 0 &&
      (translated.value !== dst.value || (this.translatedPort > 0 && this.translatedPort !== this.dstPort));
    if (isTranslated) {
      batch.preDst[row] = dst.value;
      batch.preDstPort[row] = Math.max(0, this.dstPort);
      batch.dst[row] = translated.value;
      if (this.translatedPort > 0) batch.dstPort[row] = this.translatedPort;
    }
    batch.line[row] = line;
    batch.count = row + 1;
    return '';
  }
}

/** The number of a protocol as nfdump prints it: a number, or its name of /etc/protocols in capitals; undefined where unknown. */
export function parseNfdumpProtocol(text: string): number | undefined {
  return parseProtocol(text) ?? PROTOCOLS.get(text);
}

/** `...AP.SF`, eight places `CEUAPRSF`, or a number; -1 where the text is neither. */
export function parseNfdumpFlags(text: string): number {
  if (text.startsWith('0x')) {
    const value = Number(text);
    return value >= 0 && value < 512 ? value : -1;
  }
  let flags = 0;
  for (const letter of text) {
    if (letter === '.') continue;
    const bit = 'FSRPAUEC'.indexOf(letter);
    if (bit < 0) return -1;
    flags |= 1 << bit;
  }
  return flags;
}

const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['IGMP', 2],
  ['IPIP', 4],
  ['IPv6', 41],
  ['RSVP', 46],
  ['GRE', 47],
  ['ESP', 50],
  ['AH', 51],
  ['OSPF', 89],
  ['PIM', 103],
  ['VRRP', 112],
  ['UDPLt', 136],
]);
