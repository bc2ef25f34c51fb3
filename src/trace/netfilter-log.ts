/**
 * Lines that Linux's packet filter writes for a LOG rule (iptables `LOG`, nftables `log`, Calico's action `Log`), as the kernel
 * log, journald and syslog keep them, and those of ulogd's LOGEMU for NFLOG rules. A line is a time, the rule's prefix, and
 * `KEY=value` words with TCP flags between them; what an ICMP error quotes stands in brackets.
 */
import {
  Orientation,
  OrientedBy,
  RecordFlag,
  RecordKind,
  RecordedVerdict,
  TcpFlag,
  addQuote,
  clearRow,
} from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { parseClock } from './conntrack.ts';
import { type FieldAddress, parseDigits, readAddressBytes } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines } from './head.ts';
import { createByteLineDecoder, decodeText } from './line.ts';
import { endOfDigits, endOfWord, findByte, findWord, hashRange, isWordAt, skipBlanks } from './scan.ts';
import { parseTime } from './time.ts';

/** What no log of the packet filter can show. */
export const NETFILTER_LIMITS: readonly string[] = [
  'A rule logs the packets that it matches, and often only some of them (limits of the rule, of ulogd, of the kernel log): the counts are lower bounds.',
  'The verdict is read from the words of the rule\'s prefix ("drop", "deny", "block", "reject", "accept", "allow"): it is a firewall\'s, not a policy\'s, and not compared with the forecast.',
  'A line shows addresses only, as they were at the place of the rule: which pod had an address is taken from the snapshot.',
];

/** Lines of LOG and NFLOG rules. */
export const NETFILTER_LOG: TraceFormat = {
  name: 'netfilter-log',
  description: 'lines of LOG and NFLOG rules (iptables, nftables, Calico, ulogd)',
  recognise: (head) => head.json === undefined && doMostLines(head, isLogLine),
  isText: true,
  isPrefixed: true,
  limits: NETFILTER_LIMITS,
  open: openNetfilterLog,
};

/** What the prefix of a rule says of the packet, by its words. */
export function readPrefixVerdict(prefix: string): RecordedVerdict {
  let word = '';
  for (const char of `${prefix.toLowerCase()} `) {
    if (char >= 'a' && char <= 'z') {
      word += char;
      continue;
    }
    const verdict = PREFIX_WORDS.get(word);
    if (verdict !== undefined) return verdict;
    word = '';
  }
  return RecordedVerdict.None;
}

const PREFIX_WORDS: ReadonlyMap<string, RecordedVerdict> = new Map([
  ['drop', RecordedVerdict.FirewallDeny],
  ['dropped', RecordedVerdict.FirewallDeny],
  ['deny', RecordedVerdict.FirewallDeny],
  ['denied', RecordedVerdict.FirewallDeny],
  ['block', RecordedVerdict.FirewallDeny],
  ['blocked', RecordedVerdict.FirewallDeny],
  ['reject', RecordedVerdict.FirewallDeny],
  ['rejected', RecordedVerdict.FirewallDeny],
  ['accept', RecordedVerdict.FirewallAllow],
  ['accepted', RecordedVerdict.FirewallAllow],
  ['allow', RecordedVerdict.FirewallAllow],
  ['allowed', RecordedVerdict.FirewallAllow],
]);

const YEARLESS_LIMIT =
  'The times of this trace have no year: they are read as UTC of 1970, and of a year later where they go back by more than half a year.';
const UPTIME_LIMIT = 'The times of this trace count from the start of the node: they are placed on 1970-01-01.';

const HALF_YEAR_US = 182 * 86_400e6;
const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

function isLogLine(line: string): boolean {
  const src = line.indexOf(' SRC=');
  return src > 0 && line.lastIndexOf('IN=', src) >= 0 && line.indexOf(' DST=', src) > 0;
}

function openNetfilterLog(context: ReadContext): TraceDecoder {
  const lines = new LogLines(context);
  return createByteLineDecoder(context, (bytes, start, end, line, offset) => {
    const complaint = lines.take(bytes, start, end, line);
    if (complaint === '') return;
    const place = { unit: 'line', number: line, offset } as const;
    addMalformed(
      context.account,
      'invalid-line',
      place,
      complaint,
      decodeText(bytes, start, Math.min(end, start + 400)),
    );
  });
}

/** One packet's words: the line's own, and those in brackets. */
interface Words {
  readonly src: FieldAddress;
  readonly dst: FieldAddress;
  protocol: number;
  srcPort: number;
  dstPort: number;
  icmpType: number;
  icmpCode: number;
  /** Of an echo; the word `ID` is the IP header's before `PROTO` and ICMP's behind `TYPE`. */
  icmpId: number;
  length: number;
  tcpFlags: number;
  /** `FRAG:n`: a later fragment. */
  isFragment: boolean;
}

/** Lines of one input. */
class LogLines {
  private readonly context: ReadContext;
  private readonly outer: Words = createWords();
  private readonly inner: Words = createWords();
  private complaint = '';
  private yearUs = 0;
  private lastUs = -Infinity;
  private readonly verdicts = new Map<number, RecordedVerdict>();

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** Takes one line; returns what is wrong with it, or the empty text. */
  take(bytes: Uint8Array, start: number, end: number, line: number): string {
    const { context, outer, inner } = this;
    this.complaint = '';
    clearWords(outer);
    clearWords(inner);
    const anchor = findWord(bytes, ' SRC=', start, end);
    if (anchor < 0) return 'expected IN=, SRC= and DST=';
    let begin = anchor;
    while (begin > start && !(isWordAt(bytes, begin, end, 'IN=') && (begin === start || bytes[begin - 1]! <= 32)))
      begin--;
    if (!isWordAt(bytes, begin, end, 'IN=')) return 'expected IN=, SRC= and DST=';
    const bracket = findWord(bytes, ' [SRC=', anchor, end);
    this.readWords(bytes, begin, bracket < 0 ? end : bracket, outer);
    if (bracket >= 0) {
      const close = findByte(bytes, 93, bracket, end);
      this.readWords(bytes, bracket + 2, close < 0 ? end : close, inner);
    }
    if (this.complaint !== '') return this.complaint;
    const { src, dst, protocol } = outer;
    if (src.family === 0 || dst.family === 0) return 'expected SRC= and DST= with addresses';
    if (src.family !== dst.family) return 'expected addresses of one family';
    const { batch } = context;
    const row = batch.count;
    clearRow(batch, row);
    const isIcmp = protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
    const isError = isIcmp && inner.src.family !== 0;
    // An error belongs to the connection that it quotes, which connection tracking of packets knows how to find.
    batch.kind[row] = isError ? RecordKind.Packet : RecordKind.OneWay;
    batch.family[row] = src.family;
    batch.protocol[row] = protocol;
    batch.src[row] = src.value;
    batch.dst[row] = dst.value;
    if (isIcmp) {
      if (outer.icmpType >= 0) batch.icmp[row] = (outer.icmpType << 8) | Math.max(0, outer.icmpCode);
      batch.srcPort[row] = outer.icmpId;
    } else if (hasPorts(protocol)) {
      batch.srcPort[row] = outer.srcPort;
      batch.dstPort[row] = outer.dstPort;
      if (outer.dstPort < 0) batch.flags[row] = outer.isFragment ? RecordFlag.NoPorts : RecordFlag.Truncated;
    }
    if (protocol === Protocol.Tcp && outer.dstPort >= 0) {
      batch.tcpFlags[row] = outer.tcpFlags;
      if ((outer.tcpFlags & TcpFlag.Syn) !== 0) {
        batch.orientation[row] = (outer.tcpFlags & TcpFlag.Ack) === 0 ? Orientation.Original : Orientation.Reply;
        batch.orientedBy[row] = OrientedBy.Flags;
      }
    }
    batch.packets[row] = 1;
    batch.bytes[row] = outer.length;
    const prefixAt = this.readTimes(bytes, start, begin, row);
    batch.recordedVerdict[row] = this.verdictOf(bytes, prefixAt, begin);
    batch.line[row] = line;
    if (isError && inner.dst.family === inner.src.family) this.addQuote(row);
    batch.count = row + 1;
    return '';
  }

  private readWords(bytes: Uint8Array, start: number, end: number, out: Words): void {
    let at = start;
    while (at < end) {
      at = skipBlanks(bytes, at, end);
      const stop = endOfWord(bytes, at, end);
      this.readWord(bytes, at, stop, out);
      at = stop;
    }
  }

  private readWord(bytes: Uint8Array, at: number, end: number, out: Words): void {
    const equals = findByte(bytes, 61, at, end);
    if (equals < 0) {
      // All of them have three letters.
      const bit = end - at === 3 ? flagOf(bytes, at, end) : -1;
      if (bit >= 0) out.tcpFlags |= 1 << bit;
      else if (isWordAt(bytes, at, end, 'FRAG:')) out.isFragment = true;
      return;
    }
    const value = equals + 1;
    const { dictionary, account } = this.context;
    // The length decides first: most words are none of these.
    switch (equals - at) {
      case 2:
        if (isWordAt(bytes, at, end, 'ID') && out.icmpType >= 0)
          out.icmpId = this.number(bytes, at, value, end, 0xffff);
        break;
      case 3:
        if (isWordAt(bytes, at, end, 'SRC')) {
          if (!readAddressBytes(bytes, value, end, dictionary, out.src)) this.refuseAddress(bytes, at, end);
        } else if (isWordAt(bytes, at, end, 'DST')) {
          if (!readAddressBytes(bytes, value, end, dictionary, out.dst)) this.refuseAddress(bytes, at, end);
        } else if (isWordAt(bytes, at, end, 'SPT')) out.srcPort = this.number(bytes, at, value, end, 0xffff);
        else if (isWordAt(bytes, at, end, 'DPT')) out.dstPort = this.number(bytes, at, value, end, 0xffff);
        else if (isWordAt(bytes, at, end, 'LEN') && out.length < 0 && end > value)
          out.length = this.number(bytes, at, value, end, 0xffff_ffff);
        break;
      case 4:
        if (isWordAt(bytes, at, end, 'TYPE')) out.icmpType = this.number(bytes, at, value, end, 255);
        else if (isWordAt(bytes, at, end, 'CODE')) out.icmpCode = this.number(bytes, at, value, end, 255);
        break;
      case 5:
        if (isWordAt(bytes, at, end, 'PROTO')) {
          const text = decodeText(bytes, value, Math.min(end, value + 20));
          const protocol = PROTOCOLS.get(text) ?? parseProtocol(text);
          if (protocol === undefined) addUnknownValue(account, 'PROTO', text);
          else out.protocol = protocol;
        }
        break;
    }
  }

  private number(bytes: Uint8Array, at: number, value: number, end: number, limit: number): number {
    const parsed = parseDigits(bytes, value, end);
    if (parsed >= 0 && parsed <= limit) return parsed;
    this.complaint = `expected a number from 0 to ${limit}, found ${decodeText(bytes, at, Math.min(end, at + 60))}`;
    return -1;
  }

  private refuseAddress(bytes: Uint8Array, at: number, end: number): void {
    this.complaint = `expected an IP address, found ${decodeText(bytes, at, Math.min(end, at + 60))}`;
  }

  /** Sets the time of the row from what stands in front of the prefix; returns where the prefix begins. */
  private readTimes(bytes: Uint8Array, start: number, end: number, row: number): number {
    const { batch } = this.context;
    let at = start;
    if (bytes[at] === 60) {
      const close = findByte(bytes, 62, at, Math.min(end, at + 5));
      if (close > 0) at = close + 1;
    }
    if (bytes[at] !== 91) {
      const stop = endOfWord(bytes, at, end);
      const digits = endOfDigits(bytes, at, stop);
      if (stop - at >= 19 && bytes[at + 4] === 45 && bytes[at + 10] === 84) {
        batch.timeUs[row] = parseTime(decodeText(bytes, at, Math.min(stop, at + 40)));
        at = this.skipHost(bytes, stop, end);
      } else if (digits - at === 10 && bytes[digits] === 46 && endOfDigits(bytes, digits + 1, stop) === stop) {
        const micros = parseDigits(bytes, digits + 1, Math.min(stop, digits + 7));
        batch.timeUs[row] = parseDigits(bytes, at, digits) * 1e6 + Math.max(0, micros);
        at = this.skipHost(bytes, stop, end);
      } else if (
        stop - at === 3 &&
        bytes[at + 3] === 32 &&
        at + 15 < end &&
        bytes[at + 9] === 58 &&
        bytes[at + 12] === 58
      ) {
        batch.timeUs[row] = this.readYearless(bytes, at);
        at = this.skipHost(bytes, at + 15, end);
      }
    }
    // The kernel's own stamp may stand behind the host: it counts from the start, and is used where there is nothing better.
    at = skipBlanks(bytes, at, end);
    if (bytes[at] === 91) {
      const close = findByte(bytes, 93, at, Math.min(end, at + 40));
      if (close > 0) {
        const time = this.readStamp(bytes, skipBlanks(bytes, at + 1, close), close);
        if (!Number.isNaN(time)) {
          if (Number.isNaN(batch.timeUs[row]!)) batch.timeUs[row] = time;
          at = close + 1;
        }
      }
    }
    return at;
  }

  /** Behind `host`, and `tag:` where there is one. */
  private skipHost(bytes: Uint8Array, at: number, end: number): number {
    const host = skipBlanks(bytes, at, end);
    const behindHost = endOfWord(bytes, host, end);
    const tag = skipBlanks(bytes, behindHost, end);
    const behindTag = endOfWord(bytes, tag, end);
    const isTag =
      isWordAt(bytes, tag, end, 'kernel:') ||
      isWordAt(bytes, tag, end, 'kernel[') ||
      isWordAt(bytes, tag, end, 'ulogd');
    return isTag ? behindTag : behindHost;
  }

  /** `12042.672390`, or `Sat Nov 21 06:47:29 2026` of dmesg -T. */
  private readStamp(bytes: Uint8Array, start: number, end: number): number {
    const digits = endOfDigits(bytes, start, end);
    if (digits > start && bytes[digits] === 46 && endOfDigits(bytes, digits + 1, end) === end) {
      const micros = parseDigits(bytes, digits + 1, Math.min(end, digits + 7));
      this.say(UPTIME_LIMIT);
      return parseDigits(bytes, start, digits) * 1e6 + Math.max(0, micros);
    }
    const ms = parseClock(decodeText(bytes, start, end));
    if (!Number.isNaN(ms)) this.say(LOCAL_TIME_LIMIT);
    return ms * 1000;
  }

  /** `Nov 21 06:46:32`, without a year. */
  private readYearless(bytes: Uint8Array, at: number): number {
    const month = MONTHS.indexOf(decodeText(bytes, at, at + 3));
    const day = parseDigits(bytes, bytes[at + 4] === 32 ? at + 5 : at + 4, at + 6);
    const hour = parseDigits(bytes, at + 7, at + 9);
    const minute = parseDigits(bytes, at + 10, at + 12);
    const second = parseDigits(bytes, at + 13, at + 15);
    if (month < 0 || month % 3 !== 0 || day < 1 || hour < 0 || minute < 0 || second < 0) return NaN;
    this.say(YEARLESS_LIMIT);
    const time = Date.UTC(1970, month / 3, day, hour, minute, second) * 1000;
    if (time < this.lastUs - HALF_YEAR_US) this.yearUs += 365 * 86_400e6;
    this.lastUs = time;
    return this.yearUs + time;
  }

  private say(limit: string): void {
    const { limits } = this.context.account;
    if (!limits.includes(limit)) limits.push(limit);
  }

  private verdictOf(bytes: Uint8Array, start: number, end: number): RecordedVerdict {
    const key = hashRange(bytes, start, end);
    let verdict = this.verdicts.get(key);
    if (verdict === undefined) {
      verdict = readPrefixVerdict(decodeText(bytes, start, Math.min(end, start + 200)));
      if (this.verdicts.size < 4096) this.verdicts.set(key, verdict);
    }
    return verdict;
  }

  private addQuote(row: number): void {
    const { batch } = this.context;
    const { inner } = this;
    const index = addQuote(batch);
    const { quotes } = batch;
    quotes.family[index] = inner.src.family;
    quotes.protocol[index] = inner.protocol;
    quotes.src[index] = inner.src.value;
    quotes.dst[index] = inner.dst.value;
    const isIcmp = inner.protocol === Protocol.Icmp || inner.protocol === Protocol.Icmpv6;
    quotes.srcPort[index] = isIcmp ? inner.icmpId : inner.srcPort;
    quotes.dstPort[index] = isIcmp ? -1 : inner.dstPort;
    quotes.icmp[index] = inner.icmpType < 0 ? -1 : (inner.icmpType << 8) | Math.max(0, inner.icmpCode);
    batch.quote[row] = index;
  }
}

/** In the order of the bits of `TcpFlag`. */
const FLAG_WORDS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];

function flagOf(bytes: Uint8Array, at: number, end: number): number {
  for (let bit = 0; bit < FLAG_WORDS.length; bit++) if (isWordAt(bytes, at, end, FLAG_WORDS[bit]!)) return bit;
  return -1;
}

const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['UDPLITE', 136],
  ['AH', 51],
  ['ESP', 50],
]);

function createWords(): Words {
  return {
    src: { family: 0, value: 0 },
    dst: { family: 0, value: 0 },
    protocol: Protocol.Unknown,
    srcPort: -1,
    dstPort: -1,
    icmpType: -1,
    icmpCode: -1,
    icmpId: -1,
    length: -1,
    tcpFlags: 0,
    isFragment: false,
  };
}

function clearWords(words: Words): void {
  words.src.family = words.dst.family = 0;
  words.protocol = Protocol.Unknown;
  words.srcPort = words.dstPort = words.icmpType = words.icmpCode = words.icmpId = words.length = -1;
  words.tcpFlags = 0;
  words.isFragment = false;
}
