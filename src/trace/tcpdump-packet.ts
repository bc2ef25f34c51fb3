/**
 * One packet as tcpdump words it -> one row: the header that -v adds, the two ends, and what stands behind the colon. The
 * reader of lines (`tcpdump-text.ts`) finds the time, the interface and the link layer, and hands the rest over here.
 */
import {
  Orientation,
  OrientedBy,
  RecordFlag,
  RecordKind,
  TcpFlag,
  addQuote,
  clearRow,
  type FlowBatch,
} from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, parseDigits, readAddress, readAddressBytes } from './field.ts';
import type { ReadContext } from './format.ts';
import { FragmentTable } from './fragment.ts';
import { decodeText } from './line.ts';
import { endOfDigits, endOfWord, findByte, findWord, hashRange, isWordAt } from './scan.ts';
import { SightingTable, type SightingKey } from './sighting.ts';
import { type IcmpText, readIcmpText } from './tcpdump-icmp.ts';

/** What became of a packet. `Inner`: it is a tunnel's, and the packet inside follows on the next line. */
export const enum PacketFate {
  Decided = 0,
  Inner = 1,
}

const TUNNEL_DEPTH = 4;
const RECENT = 4096;

/** The packets of one input. The fields are what the reader of lines knows of the packet that comes next. */
export class TcpdumpPackets {
  timeUs: number = NaN;
  /** Number of the interface and direction; -1 where the line names none. */
  place = -1;
  /** Length on the wire, which -e prints; -1 unknown. */
  wire = -1;
  family: 4 | 6 = 4;
  line = 0;
  offset = 0;
  /** The last row is an ICMP error whose quoted packet may follow (-v). */
  isQuoteOpen = false;
  private protocol = -1;
  private identification = -1;
  private fragmentOffset = 0;
  private hasMore = false;
  private ipLength = -1;
  private depth = 0;
  private readonly context: ReadContext;
  private readonly fragments = new FragmentTable();
  private sightings: SightingTable | undefined;
  private readonly key: SightingKey = { hash: 0, check: 0, isStrong: false };
  private readonly src: FieldAddress = { family: 0, value: 0 };
  private readonly dst: FieldAddress = { family: 0, value: 0 };
  private readonly about: FieldAddress = { family: 0, value: 0 };
  private port = -1;
  private complaint = '';
  private readonly icmpText: IcmpText = {
    icmp: -1,
    identifier: -1,
    isError: false,
    aboutProtocol: 0,
    aboutAddress: '',
    aboutPort: -1,
  };
  /** Datagrams seen lately, by hash of source, destination and destination port: an ICMP error does not name the source port. */
  private readonly recent = new Uint32Array(RECENT * 4);
  private decapsulated = 0;

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** Forgets what was said of the packet before. */
  begin(line: number, offset: number): void {
    this.line = line;
    this.offset = offset;
    this.place = -1;
    this.wire = -1;
    this.depth = 0;
    this.isQuoteOpen = false;
    this.clearHeader();
  }

  countReady(): number {
    const { batch } = this.context;
    const count = this.sightings === undefined ? batch.count : this.sightings.countReady(batch);
    return this.isQuoteOpen ? Math.min(count, batch.count - 1) : count;
  }

  willHandOut(count: number): void {
    this.sightings?.willHandOut(this.context.batch, count);
  }

  /** Says once what was found out about the whole text. */
  close(): void {
    if (this.decapsulated === 0) return;
    this.context.account.limits.push(
      `${this.decapsulated} packets were taken out of VXLAN, Geneve or IP-in-IP tunnels; the tunnels between nodes are not judged.`,
    );
    this.decapsulated = 0;
  }

  /**
   * Reads the header in parentheses that -v prints, where one begins at `at`. Returns the position behind it, `end` where
   * the ends follow on the next line; -1 where it is never closed.
   */
  takeHeader(bytes: Uint8Array, at: number, end: number): number {
    if (at >= end || bytes[at] !== 40) return at;
    let depth = 0;
    let close = at;
    for (; close < end; close++) {
      if (bytes[close] === 40) depth++;
      else if (bytes[close] === 41 && --depth === 0) break;
    }
    if (close >= end) return -1;
    const number = (word: string): number => {
      const found = findWord(bytes, word, at, close);
      if (found < 0) return -1;
      const start = found + word.length;
      return parseDigits(bytes, start, endOfDigits(bytes, start, close));
    };
    if (this.family === 4) {
      this.identification = number(', id ');
      this.fragmentOffset = Math.max(0, number(', offset '));
      this.hasMore = findWord(bytes, 'flags [+', at, close) >= 0;
      this.ipLength = number(', length ');
    } else {
      const payload = number('payload length: ');
      this.ipLength = payload < 0 ? -1 : payload + 40;
    }
    const name = this.family === 4 ? ', proto ' : 'next-header ';
    const named = findWord(bytes, name, at, close);
    if (named >= 0) {
      const open = findByte(bytes, 40, named, close);
      if (open >= 0) this.protocol = parseDigits(bytes, open + 1, endOfDigits(bytes, open + 1, close));
    }
    return close + 1 < end && bytes[close + 1] === 32 ? close + 2 : end;
  }

  /** Takes `A.port > B.port: ...` and decides the fate of the packet. */
  take(bytes: Uint8Array, start: number, end: number): PacketFate {
    let at = start;
    if (isWordAt(bytes, at, end, 'truncated-ip')) {
      const mark = findWord(bytes, '! ', at, end);
      if (mark >= 0) at = mark + 2;
    }
    const srcEnd = endOfWord(bytes, at, end);
    if (!isWordAt(bytes, srcEnd, end, ' > '))
      return this.refuse('invalid-packet', 'expected "source > destination:"', bytes, start, end);
    const dstStart = srcEnd + 3;
    const dstWord = endOfWord(bytes, dstStart, end);
    const dstEnd = dstWord > dstStart && bytes[dstWord - 1] === 58 ? dstWord - 1 : dstWord;
    const { src, dst } = this;
    if (!this.readEnd(bytes, at, srcEnd, src)) return this.refuse('no-address', this.complaint, bytes, start, end);
    const srcPort = this.port;
    if (!this.readEnd(bytes, dstStart, dstEnd, dst))
      return this.refuse('no-address', this.complaint, bytes, start, end);
    if (src.family !== dst.family)
      return this.refuse('invalid-packet', 'expected addresses of one family', bytes, start, end);
    return this.takeRest(bytes, Math.min(end, dstWord + 1), end, srcPort, this.port);
  }

  /** Fills the quote of the last row from `A.port > B.port: ...`, the packet that an ICMP error is about. */
  takeQuote(bytes: Uint8Array, at: number, end: number): void {
    this.isQuoteOpen = false;
    const srcEnd = endOfWord(bytes, at, end);
    if (!isWordAt(bytes, srcEnd, end, ' > ')) return;
    const dstWord = endOfWord(bytes, srcEnd + 3, end);
    const dstEnd = bytes[dstWord - 1] === 58 ? dstWord - 1 : dstWord;
    const { src, dst } = this;
    if (!this.readEnd(bytes, at, srcEnd, src)) return;
    const srcPort = this.port;
    if (!this.readEnd(bytes, srcEnd + 3, dstEnd, dst) || src.family !== dst.family) return;
    const dstPort = this.port;
    let { protocol } = this;
    const rest = Math.min(end, dstWord + 1);
    let icmp = -1;
    let identifier = srcPort;
    if (protocol < 0) protocol = this.guessProtocol(bytes, rest, end, dstPort);
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
      this.readIcmp(bytes, rest, end);
      ({ icmp, identifier } = this.icmpText);
    }
    this.addQuote(protocol, src, dst, identifier, dstPort, icmp);
  }

  private clearHeader(): void {
    this.protocol = -1;
    this.identification = -1;
    this.fragmentOffset = 0;
    this.hasMore = false;
    this.ipLength = -1;
  }

  /** An address with or without a port behind its last dot; `port` -1 where there is none. */
  private readEnd(bytes: Uint8Array, start: number, end: number, out: FieldAddress): boolean {
    const { dictionary } = this.context;
    let dots = 0;
    let lastDot = -1;
    let hasColon = false;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 46) {
        dots++;
        lastDot = at;
      } else if (byte === 58) hasColon = true;
    }
    const hasPort = hasColon ? dots === 1 || dots === 4 : dots === 4;
    this.port = -1;
    const addressEnd = hasPort ? lastDot : end;
    if (!readAddressBytes(bytes, start, addressEnd, dictionary, out)) {
      const found = decodeText(bytes, start, Math.min(end, start + 60));
      this.complaint = `expected an IP address, found ${found === '' ? 'nothing' : found}: print numbers with tcpdump -nn`;
      return false;
    }
    if (!hasPort) return true;
    const port = parseDigits(bytes, lastDot + 1, end);
    this.port = port >= 0 ? port : (PORT_NAMES.get(decodeText(bytes, lastDot + 1, Math.min(end, lastDot + 40))) ?? -1);
    if (this.port >= 0 && this.port <= 0xffff) return true;
    const found = decodeText(bytes, lastDot + 1, Math.min(end, lastDot + 40));
    this.complaint = `expected a port, found ${found}: print numbers with tcpdump -nn`;
    return false;
  }

  private takeRest(bytes: Uint8Array, from: number, end: number, endSrcPort: number, endDstPort: number): PacketFate {
    const { context, src, dst } = this;
    const { account, batch } = context;
    let at = from;
    let srcPort = endSrcPort;
    let dstPort = endDstPort;
    // Checksum notes and extension headers in front of the protocol.
    let isLaterFragment = this.fragmentOffset > 0;
    for (let steps = 0; steps < 8; steps++) {
      if (bytes[at] === 91 && bytes[at + 1] !== 124 && at < end) {
        const close = findByte(bytes, 93, at, end);
        if (close < 0) break;
        at = Math.min(end, close + 2);
      } else if (isWordAt(bytes, at, end, 'frag (')) {
        const bar = findByte(bytes, 124, at, end);
        const close = findByte(bytes, 41, at, end);
        if (bar < 0 || close < bar) break;
        const colon = findByte(bytes, 58, at, bar);
        const offsetStart = colon < 0 ? at + 6 : colon + 1;
        isLaterFragment = parseDigits(bytes, offsetStart, bar) > 0;
        at = Math.min(end, close + 2);
        // The ports of a first fragment stand behind: `36083 > 5353: UDP`.
        const arrow = findWord(bytes, ' > ', at, end);
        const stop = arrow < 0 ? -1 : findByte(bytes, 58, arrow, end);
        if (stop > 0) {
          srcPort = parseDigits(bytes, at, arrow);
          dstPort = parseDigits(bytes, arrow + 3, stop);
          if (srcPort >= 0) at = Math.min(end, stop + 2);
        }
      } else if (isWordAt(bytes, at, end, 'HBH ') || isWordAt(bytes, at, end, 'DSTOPT ')) {
        const icmp = findWord(bytes, 'ICMP6', at, end);
        at = icmp < 0 ? endOfWord(bytes, at, end) + 1 : icmp;
      } else break;
    }
    let protocol = this.protocol;
    // Extension headers have numbers too: what stands behind them goes first.
    if (protocol < 0 || protocol === 0 || protocol === 43 || protocol === 44 || protocol === 60)
      protocol = this.guessProtocol(bytes, at, end, dstPort);
    // Behind a first fragment there is the protocol's number or name, and nothing else.
    if (
      hasTransport(protocol) &&
      (isWordAt(bytes, at, end, 'ip-proto-') || (dstPort < 0 && endOfWord(bytes, at, end) === end))
    )
      isLaterFragment = true;

    const inner = this.enterTunnel(bytes, at, end, protocol, dstPort);
    if (inner !== undefined) return inner;

    const row = batch.count;
    clearRow(batch, row);
    batch.kind[row] = RecordKind.Packet;
    batch.family[row] = src.family;
    batch.protocol[row] = protocol < 0 ? Protocol.Unknown : protocol;
    batch.src[row] = src.value;
    batch.dst[row] = dst.value;
    batch.timeUs[row] = this.timeUs;
    batch.bytes[row] = this.wire >= 0 ? this.wire : this.ipLength;
    batch.packets[row] = 1;
    batch.line[row] = this.line;
    let hash = Math.imul(protocol + 1, 0x9e3779b1) ^ this.identification;
    let isStrong = false;
    let isError = false;
    if (isLaterFragment) {
      this.fillFragment(batch, row, protocol);
      hash = mix(hash, this.fragmentOffset);
    } else if (protocol === Protocol.Tcp) {
      batch.srcPort[row] = srcPort;
      batch.dstPort[row] = dstPort;
      hash = mix(hash, this.fillTcp(batch, row, bytes, at, end));
      isStrong = this.hasSequence;
    } else if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
      this.readIcmp(bytes, at, end);
      const { icmpText } = this;
      batch.icmp[row] = icmpText.icmp;
      batch.srcPort[row] = icmpText.identifier;
      if (icmpText.icmp < 0) addUnknownValue(account, 'icmp', decodeText(bytes, at, Math.min(end, at + 50)));
      ({ isError } = icmpText);
      hash = mix(mix(hash, icmpText.icmp), icmpText.identifier);
      // An error about a translated packet names another address and port on either side of the translation.
      if (isError) hash = mix(hash, numberBehind(bytes, ', length ', at, end));
      else hash = mix(hash, hashRange(bytes, at, end));
    } else {
      if (hasPorts(protocol)) {
        batch.srcPort[row] = srcPort;
        batch.dstPort[row] = dstPort;
      }
      if (protocol === Protocol.Sctp) fillSctp(batch, row, bytes, at, end);
      if (protocol === Protocol.Udp) this.rememberDatagram(srcPort, dstPort);
      hash = mix(hash, payloadLength(bytes, at, end));
    }
    if (protocol < 0)
      addUnknownValue(account, 'protocol', decodeText(bytes, at, Math.min(endOfWord(bytes, at, end), at + 30)));
    if (this.hasMore && this.fragmentOffset === 0)
      this.fragments.add(
        src.family,
        protocol,
        src.value,
        dst.value,
        this.identification,
        this.timeUs,
        batch.srcPort[row]!,
        batch.dstPort[row]!,
        batch.icmp[row]!,
      );
    if (this.place >= 0 && !isLinkLocal(batch, row)) {
      this.sightings ??= new SightingTable(0);
      const { key } = this;
      key.hash = hash ^ (hash >>> 15);
      key.check = Math.imul(hash ^ 0x5bd1e995, 0x27d4eb2f);
      key.isStrong = isStrong;
      if (this.sightings.isDuplicate(batch, row, this.place, key)) {
        increment(account.skipped, 'duplicate');
        return PacketFate.Decided;
      }
    }
    batch.count = row + 1;
    if (isError) this.quoteByText();
    return PacketFate.Decided;
  }

  /** The packet in a tunnel takes the place of the one around it. Undefined: no tunnel. */
  private enterTunnel(
    bytes: Uint8Array,
    at: number,
    end: number,
    protocol: number,
    dstPort: number,
  ): PacketFate | undefined {
    if (this.depth >= TUNNEL_DEPTH) return undefined;
    const isVxlan =
      protocol === Protocol.Udp && (dstPort === 4789 || dstPort === 8472) && isWordAt(bytes, at, end, 'VXLAN,');
    const isGeneve = protocol === Protocol.Udp && isWordAt(bytes, at, end, 'Geneve,');
    const isIpInIp =
      (protocol === 4 || protocol === 41) && (isWordAt(bytes, at, end, 'IP ') || isWordAt(bytes, at, end, 'IP6 '));
    if (!isVxlan && !isGeneve && !isIpInIp) return undefined;
    if (this.depth === 0) this.decapsulated++;
    this.depth++;
    this.clearHeader();
    let start = -1;
    if (isIpInIp) start = at;
    else if (isGeneve) {
      for (const word of [': IP ', ': IP6 ', ': ']) {
        const found = findWord(bytes, word, at, end);
        if (found >= 0) {
          start = found + 2;
          break;
        }
      }
    }
    if (start < 0) return PacketFate.Inner;
    this.family = isWordAt(bytes, start, end, 'IP6 ') ? 6 : 4;
    if (isWordAt(bytes, start, end, 'IP')) start = endOfWord(bytes, start, end) + 1;
    const behind = this.takeHeader(bytes, start, end);
    if (behind < 0) return this.refuse('invalid-packet', 'a header that is never closed', bytes, start, end);
    return behind >= end ? PacketFate.Inner : this.take(bytes, behind, end);
  }

  private guessProtocol(bytes: Uint8Array, at: number, end: number, port: number): number {
    if (isWordAt(bytes, at, end, 'Flags [') || isWordAt(bytes, at, end, 'tcp ') || isWordAt(bytes, at, end, '[|tcp]'))
      return Protocol.Tcp;
    if (isWordAt(bytes, at, end, 'ICMP6')) return Protocol.Icmpv6;
    if (isWordAt(bytes, at, end, 'ICMP ')) return Protocol.Icmp;
    if (isWordAt(bytes, at, end, 'sctp')) return Protocol.Sctp;
    if (isWordAt(bytes, at, end, 'ip-proto-')) return parseDigits(bytes, at + 9, endOfDigits(bytes, at + 9, end));
    const word = decodeText(bytes, at, Math.min(endOfWord(bytes, at, end), at + 12));
    const known = PROTOCOL_WORDS.get(word);
    if (known !== undefined) return known;
    // Whatever has ports and says nothing else is a datagram, which tcpdump decodes by its port.
    return port >= 0 ? Protocol.Udp : -1;
  }

  private fillFragment(batch: FlowBatch, row: number, protocol: number): void {
    const { src, dst, fragments } = this;
    if (
      this.identification >= 0 &&
      fragments.find(src.family, protocol, src.value, dst.value, this.identification, this.timeUs)
    ) {
      batch.srcPort[row] = fragments.srcPort;
      batch.dstPort[row] = fragments.dstPort;
      batch.icmp[row] = fragments.icmp;
      batch.flags[row] = RecordFlag.Fragment;
    } else if (hasTransport(protocol)) batch.flags[row] = RecordFlag.NoPorts;
  }

  /** True where the segment that `fillTcp` read carries numbers that no other one has. */
  private hasSequence = false;

  /** Flags and orientation of a segment; returns a hash of what both of its sightings have in common. */
  private fillTcp(batch: FlowBatch, row: number, bytes: Uint8Array, at: number, end: number): number {
    this.hasSequence = false;
    const open = isWordAt(bytes, at, end, 'Flags [') ? at + 7 : -1;
    const close = open < 0 ? -1 : findByte(bytes, 93, open, end);
    if (close < 0) {
      // -q: a segment of whose flags nothing is said is a sample of its connection.
      batch.kind[row] = RecordKind.OneWay;
      if (bytes[at] === 91) batch.flags[row] = RecordFlag.Truncated;
      return numberBehind(bytes, 'tcp ', at, end);
    }
    let flags = 0;
    if (!isWordAt(bytes, open, close, 'none'))
      for (let index = open; index < close; index++) flags |= FLAG_BITS[bytes[index]! & 127]!;
    batch.tcpFlags[row] = flags;
    if ((flags & TcpFlag.Syn) !== 0) {
      batch.orientation[row] = (flags & TcpFlag.Ack) === 0 ? Orientation.Original : Orientation.Reply;
      batch.orientedBy[row] = OrientedBy.Flags;
    }
    // Sequence numbers are absolute or counted from the opening, as tcpdump has seen it by then; stamps and SYNs never change.
    let hash = mix(flags, numberBehind(bytes, ', length ', close, end));
    const stamp = findWord(bytes, 'TS val ', close, end);
    if (stamp >= 0) {
      hash = mix(mix(hash, numberBehind(bytes, 'TS val ', stamp, end)), numberBehind(bytes, ' ecr ', stamp, end));
      this.hasSequence = true;
    }
    if ((flags & TcpFlag.Syn) !== 0) {
      hash = mix(hash, numberBehind(bytes, ', seq ', close, end));
      this.hasSequence = true;
    }
    return hash;
  }

  private readIcmp(bytes: Uint8Array, at: number, end: number): void {
    const start = isWordAt(bytes, at, end, 'ICMP6, ') ? at + 7 : isWordAt(bytes, at, end, 'ICMP ') ? at + 5 : at;
    readIcmpText(decodeText(bytes, start, Math.min(end, start + 400)), this.src.family === 6 ? 6 : 4, this.icmpText);
  }

  /**
   * The quote of an ICMP error that was just committed, as far as its own text says: protocol, destination and port. The
   * source is whom the error goes to, its port the one that sent there last. With -v the packet itself follows and replaces it.
   */
  private quoteByText(): void {
    this.isQuoteOpen = true;
    const { icmpText, about, dst } = this;
    if (icmpText.aboutProtocol === 0) return;
    if (!readAddress(icmpText.aboutAddress, this.context.dictionary, about) || about.family !== dst.family) return;
    const { recent } = this;
    const slot = slotOf(dst.value, about.value, icmpText.aboutPort) * 4;
    const isKnown =
      recent[slot] === dst.value && recent[slot + 1] === about.value && recent[slot + 2] === icmpText.aboutPort;
    const srcPort = isKnown && icmpText.aboutProtocol === Protocol.Udp ? recent[slot + 3]! - 1 : -1;
    this.addQuote(icmpText.aboutProtocol, dst, about, srcPort, icmpText.aboutPort, -1);
  }

  private addQuote(
    protocol: number,
    src: FieldAddress,
    dst: FieldAddress,
    srcPort: number,
    dstPort: number,
    icmp: number,
  ): void {
    const { batch } = this.context;
    const row = batch.count - 1;
    const index = batch.quote[row]! >= 0 ? batch.quote[row]! : addQuote(batch);
    const { quotes } = batch;
    quotes.family[index] = src.family;
    quotes.protocol[index] = protocol < 0 ? Protocol.Unknown : protocol;
    quotes.src[index] = src.value;
    quotes.dst[index] = dst.value;
    quotes.srcPort[index] = srcPort;
    quotes.dstPort[index] = dstPort;
    quotes.icmp[index] = icmp;
    batch.quote[row] = index;
  }

  private rememberDatagram(srcPort: number, dstPort: number): void {
    const { recent, src, dst } = this;
    if (srcPort < 0 || dstPort < 0) return;
    const slot = slotOf(src.value, dst.value, dstPort) * 4;
    recent[slot] = src.value;
    recent[slot + 1] = dst.value;
    recent[slot + 2] = dstPort;
    recent[slot + 3] = srcPort + 1;
  }

  private refuse(reason: string, detail: string, bytes: Uint8Array, start: number, end: number): PacketFate {
    const place = { unit: 'line', number: this.line, offset: this.offset } as const;
    addMalformed(this.context.account, reason, place, detail, decodeText(bytes, start, Math.min(end, start + 400)));
    return PacketFate.Decided;
  }
}

/** Letters of tcpdump's flags (tcp(1)): `.` is ACK, `e` the accurate ECN bit. */
const FLAG_BITS: Uint16Array = ((): Uint16Array => {
  const bits = new Uint16Array(128);
  for (const [letter, bit] of [
    ['F', 1],
    ['S', 2],
    ['R', 4],
    ['P', 8],
    ['.', 16],
    ['U', 32],
    ['E', 64],
    ['W', 128],
    ['e', 256],
  ] as const)
    // prettier-ignore
    bits[letter.charCodeAt(0)] = bit;
  return bits;
})();

/** First words of what has no ports, and of what -n was not asked to print as a number. */
const PROTOCOL_WORDS: ReadonlyMap<string, number> = new Map([
  ['UDP,', Protocol.Udp],
  ['udp', Protocol.Udp],
  ['tcp', Protocol.Tcp],
  ['icmp', Protocol.Icmp],
  ['ipv6-icmp', Protocol.Icmpv6],
  ['igmp', 2],
  ['IP', 4],
  ['IP6', 41],
  ['GREv0,', 47],
  ['GREv1,', 47],
  ['GREv0', 47],
  ['PIMv2,', 103],
  ['OSPFv2,', 89],
  ['OSPFv3,', 89],
  ['VRRPv2,', 112],
  ['VRRPv3,', 112],
]);

/** Names of /etc/services that show where ports were not printed as numbers. */
const PORT_NAMES: ReadonlyMap<string, number> = new Map([
  ['ftp', 21],
  ['ssh', 22],
  ['telnet', 23],
  ['smtp', 25],
  ['domain', 53],
  ['bootps', 67],
  ['bootpc', 68],
  ['http', 80],
  ['kerberos', 88],
  ['pop3', 110],
  ['sunrpc', 111],
  ['ntp', 123],
  ['imap2', 143],
  ['snmp', 161],
  ['bgp', 179],
  ['ldap', 389],
  ['https', 443],
  ['submission', 587],
  ['ldaps', 636],
  ['domain-s', 853],
  ['imaps', 993],
  ['ms-sql-s', 1433],
  ['nfs', 2049],
  ['mysql', 3306],
  ['mdns', 5353],
  ['postgresql', 5432],
  ['amqp', 5672],
  ['redis', 6379],
  ['http-alt', 8080],
  ['webmin', 10_000],
  ['memcached', 11_211],
  ['mongodb', 27_017],
]);

/** Neighbour discovery and multicast listeners (RFC 4861, RFC 2710, RFC 3810) are never forwarded: no two of them are one packet. */
function isLinkLocal({ protocol, icmp }: FlowBatch, row: number): boolean {
  const type = icmp[row]! >> 8;
  return protocol[row] === Protocol.Icmpv6 && ((type >= 130 && type <= 137) || type === 143);
}

/** Protocols whose header may have been in another fragment. */
function hasTransport(protocol: number): boolean {
  return hasPorts(protocol) || protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
}

/** Chunks stand in brackets: `sctp (1) [INIT] ...`. Without tags it cannot be tracked as a packet. */
function fillSctp(batch: FlowBatch, row: number, bytes: Uint8Array, at: number, end: number): void {
  batch.kind[row] = RecordKind.OneWay;
  if (findWord(bytes, '[INIT]', at, end) >= 0) batch.orientation[row] = Orientation.Original;
  else if (findWord(bytes, '[INIT ACK]', at, end) >= 0) batch.orientation[row] = Orientation.Reply;
  else return;
  batch.orientedBy[row] = OrientedBy.Flags;
}

/** `length 5`, or `(44)` at the end of a decoded datagram; -1 unknown. */
function payloadLength(bytes: Uint8Array, at: number, end: number): number {
  if (end > at && bytes[end - 1] === 41) {
    let open = end - 1;
    while (open > at && bytes[open] !== 40) open--;
    return parseDigits(bytes, open + 1, end - 1);
  }
  return numberBehind(bytes, 'length ', at, end);
}

/** The number behind the first `word`, or -1. */
function numberBehind(bytes: Uint8Array, word: string, start: number, end: number): number {
  const found = findWord(bytes, word, start, end);
  if (found < 0) return -1;
  const at = found + word.length;
  return parseDigits(bytes, at, endOfDigits(bytes, at, end));
}

function slotOf(src: number, dst: number, port: number): number {
  return mix(mix(src, dst), port) & (RECENT - 1);
}

function mix(hash: number, value: number): number {
  return Math.imul((hash ^ (hash >>> 15)) + value, 0x85ebca6b);
}
