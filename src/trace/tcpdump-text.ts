/**
 * What tcpdump prints: `tcpdump` without -w, with any of -n, -t..-ttttt, -e, -v, -q, -x, -A, `-i any`. A line is a time, an
 * interface with a direction, a link layer, `IP` or `IP6`, and the packet; with -v the packet's ends stand on the next line.
 * Indented lines, and those of -A, belong to the packet before them and are no records.
 */
import { addMalformed, increment } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { parseDigits } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createByteLineDecoder, decodeText } from './line.ts';
import { endOfDigits, endOfWord, findWord, hashRange, isWordAt, skipBlanks } from './scan.ts';
import { PacketFate, TcpdumpPackets } from './tcpdump-packet.ts';

/** Packets as tcpdump prints them. */
export const TCPDUMP_TEXT: TraceFormat = {
  name: 'tcpdump-text',
  description: 'tcpdump text output',
  recognise: isTcpdumpText,
  isText: true,
  limits: [
    'tcpdump prints a packet for people: numbers that only a capture keeps (sequence numbers after the opening, later fragments without -v) are not in it. Record with -w where you can.',
    'A packet shows addresses only: which pod had an address is taken from the snapshot.',
    'Traffic that did not cross the captured interfaces is not in it, and what a policy already drops shows as unanswered attempts at most.',
  ],
  open: openTcpdumpText,
};

const DAY_US = 86_400e6;

const LIMIT_NO_DATE =
  'The times of this trace have no date (print it with tcpdump -tttt): they are read as UTC of 1970-01-01, and a day later where they go back by more than half a day.';
const LIMIT_RELATIVE =
  'The times of this trace count from its first packet or from packet to packet: they are placed on 1970-01-01.';
const LIMIT_NO_TIME =
  'The packets have no times (tcpdump -t): silences, and a packet that was seen on two interfaces, cannot be told.';

/** How the times of an input are meant, known from its first packet. */
const enum Clock {
  Unknown = 0,
  None = 1,
  /** Seconds since 1970. */
  Epoch = 2,
  Date = 3,
  TimeOfDay = 4,
  /** Since the packet before. */
  Delta = 5,
  /** Since the first packet. */
  Elapsed = 6,
}

/** What the next line may be. */
const enum Expect {
  Packet = 0,
  /** The two ends of a packet whose header was printed (-v). */
  Ends = 1,
  /** The packet in a tunnel. */
  Inner = 2,
  /** The ends of a packet that an ICMP error quotes. */
  QuotedEnds = 3,
}

function openTcpdumpText(context: ReadContext): TraceDecoder {
  const reader = new TextReader(context);
  const lines = createByteLineDecoder(context, (bytes, start, end, line, offset) =>
    reader.take(bytes, start, end, line, offset),
  );
  return {
    decode: (bytes, start, end) => lines.decode(bytes, start, end),
    finish(bytes, start, end) {
      lines.finish(bytes, start, end);
      reader.close();
    },
    countReady: () => reader.packets.countReady(),
    willHandOut: (count) => reader.packets.willHandOut(count),
  };
}

/** The lines of one input. */
class TextReader {
  readonly packets: TcpdumpPackets;
  private readonly context: ReadContext;
  private clock: Clock = Clock.Unknown;
  private lastUs = NaN;
  private dayUs = 0;
  private expect: Expect = Expect.Packet;
  /** Lines without a time are payload that was printed as text (-A). */
  private readonly printsPayload: boolean;
  private hasPacket = false;
  private readonly places = new Map<number, number>();

  constructor(context: ReadContext) {
    this.context = context;
    this.packets = new TcpdumpPackets(context);
    this.printsPayload = showsPayload(context.head);
  }

  take(bytes: Uint8Array, start: number, end: number, line: number, offset: number): void {
    const { account } = this.context;
    const body = this.clockEnd(bytes, start, end);
    if (body >= 0 && !(this.clock === Clock.None && this.expect !== Expect.Packet)) {
      this.settle();
      this.hasPacket = true;
      this.packets.begin(line, offset);
      this.packets.timeUs = this.timeUs;
      return this.takeFrame(bytes, skipBlanks(bytes, body, end), end);
    }
    // Whatever follows belongs to the packet before it.
    const indent = bytes[start] === 32 || bytes[start] === 9;
    if (this.expect === Expect.Ends && indent) {
      account.read--;
      return this.takeEnds(bytes, skipBlanks(bytes, start, end), end);
    }
    if (this.expect === Expect.Inner) {
      account.read--;
      this.expect = Expect.Packet;
      return this.takeFrame(bytes, skipBlanks(bytes, start, end), end);
    }
    if (this.expect === Expect.QuotedEnds && indent) {
      account.read--;
      this.expect = Expect.Packet;
      return this.packets.takeQuote(bytes, skipBlanks(bytes, start, end), end);
    }
    if (indent && this.hasPacket) {
      account.read--;
      if (this.packets.isQuoteOpen && bytes[start] === 9) this.takeQuotedHeader(bytes, start + 1, end);
      return;
    }
    if (isToolMessage(bytes, start, end)) {
      const dropped = endOfDigits(bytes, start, end);
      if (
        isWordAt(bytes, dropped, end, ' packets dropped by kernel') ||
        isWordAt(bytes, dropped, end, ' packet dropped by kernel')
      )
        account.lost += Math.max(0, parseDigits(bytes, start, dropped));
      return increment(account.skipped, 'tool-message');
    }
    if (this.hasPacket && this.printsPayload) {
      account.read--;
      return;
    }
    const place = { unit: 'line', number: line, offset } as const;
    addMalformed(
      account,
      'not-a-packet',
      place,
      'expected a packet of tcpdump',
      decodeText(bytes, start, Math.min(end, start + 400)),
    );
  }

  close(): void {
    this.settle();
    this.packets.isQuoteOpen = false;
    this.packets.close();
  }

  private timeUs = NaN;

  /** Reads the time in front of a packet into `timeUs`; the position behind it, or -1 where the line begins no packet. */
  private clockEnd(bytes: Uint8Array, start: number, end: number): number {
    let at = skipBlanks(bytes, start, end);
    // --number: the packet's number, two blanks, the time.
    const numberEnd = endOfDigits(bytes, at, end);
    const isNumbered = numberEnd > at && bytes[numberEnd] === 32 && bytes[numberEnd + 1] === 32;
    const timeAt = isNumbered ? numberEnd + 2 : start;
    if (isNumbered) at = skipBlanks(bytes, timeAt, end);
    const isNegative = bytes[at] === 45;
    if (isNegative) at++;
    const isIndented = !isNumbered && !isNegative && at > start;
    const isRelative = isNegative || at === timeAt + 1;
    const word = endOfWord(bytes, at, end);
    const first = bytes[at]!;
    if (first >= 48 && first <= 57 && !isLinkAddress(bytes, at, end)) {
      if (word - at >= 8 && bytes[at + 2] === 58 && bytes[at + 5] === 58) {
        const dayTime = readDayTime(bytes, at, word);
        if (Number.isNaN(dayTime)) return -1;
        this.timeUs = this.place(isNegative ? -dayTime : dayTime, isRelative);
        return word;
      }
      if (word - at === 10 && bytes[at + 4] === 45 && bytes[at + 7] === 45) {
        const clock = word + 1;
        const clockWord = endOfWord(bytes, clock, end);
        const dayTime = readDayTime(bytes, clock, clockWord);
        const day = readDay(bytes, at);
        if (Number.isNaN(dayTime) || Number.isNaN(day)) return -1;
        this.setClock(Clock.Date);
        this.timeUs = day + dayTime;
        return clockWord;
      }
      const digits = endOfDigits(bytes, at, end);
      if (!isIndented && digits - at <= 11 && bytes[digits] === 46) {
        const fraction = endOfDigits(bytes, digits + 1, end);
        if (fraction !== word || (fraction - digits !== 7 && fraction - digits !== 10)) return -1;
        this.setClock(Clock.Epoch);
        this.timeUs = parseDigits(bytes, at, digits) * 1e6 + parseDigits(bytes, digits + 1, digits + 7);
        return word;
      }
      return -1;
    }
    // -t: no time at all.
    if (this.clock !== Clock.Unknown && this.clock !== Clock.None) return -1;
    if (isIndented || !this.beginsFrame(bytes, at, end)) return -1;
    this.setClock(Clock.None);
    this.timeUs = NaN;
    return at;
  }

  private beginsFrame(bytes: Uint8Array, at: number, end: number): boolean {
    if (isWordAt(bytes, at, end, 'IP ') || isWordAt(bytes, at, end, 'IP6 ') || isWordAt(bytes, at, end, 'ARP, '))
      return true;
    if (isLinkAddress(bytes, at, end)) return true;
    const word = endOfWord(bytes, at, end);
    const second = skipBlanks(bytes, word, end);
    return second > word && isDirection(bytes, second, endOfWord(bytes, second, end));
  }

  /** Where a time of day, or one without a beginning, lies. */
  private place(dayTimeUs: number, isRelative: boolean): number {
    if (this.clock === Clock.Unknown || this.clock === Clock.None) {
      if (isRelative || dayTimeUs === 0) this.setClock(tellRelativeClock(this.context.head));
      else this.setClock(Clock.TimeOfDay);
    }
    if (this.clock === Clock.Delta) {
      this.lastUs = Number.isNaN(this.lastUs) ? 0 : this.lastUs + dayTimeUs;
      return this.lastUs;
    }
    if (this.clock === Clock.TimeOfDay) {
      if (dayTimeUs < this.lastUs - DAY_US / 2) this.dayUs += DAY_US;
      this.lastUs = dayTimeUs;
      return this.dayUs + dayTimeUs;
    }
    return dayTimeUs;
  }

  private setClock(clock: Clock): void {
    if (this.clock === clock) return;
    this.clock = clock;
    const { limits } = this.context.account;
    const limit =
      clock === Clock.None
        ? LIMIT_NO_TIME
        : clock === Clock.Date
          ? LOCAL_TIME_LIMIT
          : clock === Clock.TimeOfDay
            ? LIMIT_NO_DATE
            : clock === Clock.Epoch
              ? ''
              : LIMIT_RELATIVE;
    if (limit !== '' && !limits.includes(limit)) limits.push(limit);
  }

  /** Behind the time: interface and direction, link layer, network layer. */
  private takeFrame(bytes: Uint8Array, start: number, end: number): void {
    const { account } = this.context;
    const { packets } = this;
    let at = start;
    const word = endOfWord(bytes, at, end);
    if (isDirection(bytes, at, word)) {
      // Before 4.99 -e prints the direction and the sender's link address, and no interface.
      const address = skipBlanks(bytes, word, end);
      packets.place = this.placeOf(hashRange(bytes, at, endOfWord(bytes, address, end)));
      at = address;
    } else {
      const second = skipBlanks(bytes, word, end);
      const secondEnd = endOfWord(bytes, second, end);
      if (second > word && isDirection(bytes, second, secondEnd)) {
        packets.place = this.placeOf(hashRange(bytes, second, secondEnd, hashRange(bytes, at, word)));
        at = skipBlanks(bytes, secondEnd, end);
      }
    }
    if (isWordAt(bytes, at, end, 'IP6 ')) {
      packets.family = 6;
      at += 4;
    } else if (isWordAt(bytes, at, end, 'IP ')) {
      packets.family = 4;
      at += 3;
    } else if (bytes[at] === 40 && at < end) packets.family = findWord(bytes, 'next-header', at, end) < 0 ? 4 : 6;
    else if (isWordAt(bytes, at, end, 'ARP')) return increment(account.skipped, 'arp');
    else {
      at = this.skipLink(bytes, at, end);
      if (at < 0) return;
    }
    const behind = packets.takeHeader(bytes, at, end);
    if (behind < 0) return this.refuse('a header that is never closed', bytes, at, end);
    if (behind >= end && behind > at) {
      this.expect = Expect.Ends;
      return;
    }
    this.takeEnds(bytes, behind, end);
  }

  /** -e: the link layer up to the network layer, or -1 where the packet is no IP packet. */
  private skipLink(bytes: Uint8Array, start: number, end: number): number {
    const { account } = this.context;
    const { packets } = this;
    const length = findWord(bytes, ', length ', start, end);
    for (const [name, family] of [
      ['ethertype IPv4', 4],
      ['ethertype IPv6', 6],
    ] as const) {
      let at = findWord(bytes, name, start, end);
      if (at < 0) continue;
      at += name.length;
      packets.family = family;
      if (length >= 0 && packets.wire < 0) {
        const digits = length + ', length '.length;
        packets.wire = parseDigits(bytes, digits, endOfDigits(bytes, digits, end));
      }
      if (isWordAt(bytes, at, end, ' (0x')) at = endOfWord(bytes, at + 1, end);
      while (at < end && (bytes[at] === 44 || bytes[at] === 32 || bytes[at] === 58)) at++;
      if (isWordAt(bytes, at, end, 'length ')) {
        const colon = findWord(bytes, ': ', at, end);
        at = colon < 0 ? end : colon + 2;
      }
      return at;
    }
    increment(account.skipped, findWord(bytes, 'ethertype ARP', start, end) >= 0 ? 'arp' : 'non-ip');
    return -1;
  }

  private takeEnds(bytes: Uint8Array, at: number, end: number): void {
    this.expect = this.packets.take(bytes, at, end) === PacketFate.Inner ? Expect.Inner : Expect.Packet;
  }

  /** `IP (tos ...` behind an ICMP error: the header of the packet that it quotes. */
  private takeQuotedHeader(bytes: Uint8Array, start: number, end: number): void {
    const { packets } = this;
    const isSix = isWordAt(bytes, start, end, 'IP6 ');
    if (!isSix && !isWordAt(bytes, start, end, 'IP ')) return;
    packets.family = isSix ? 6 : 4;
    const behind = packets.takeHeader(bytes, start + (isSix ? 4 : 3), end);
    if (behind < 0) return;
    if (behind >= end) this.expect = Expect.QuotedEnds;
    else packets.takeQuote(bytes, behind, end);
  }

  /** A packet whose second half never came. */
  private settle(): void {
    const { expect, packets } = this;
    this.expect = Expect.Packet;
    if (expect === Expect.Ends || expect === Expect.Inner) {
      const place = { unit: 'line', number: packets.line, offset: packets.offset } as const;
      const detail =
        expect === Expect.Ends ? 'the line with its addresses is missing' : 'the packet in its tunnel is missing';
      addMalformed(this.context.account, 'truncated', place, detail);
    }
  }

  private refuse(detail: string, bytes: Uint8Array, start: number, end: number): void {
    const { packets } = this;
    const place = { unit: 'line', number: packets.line, offset: packets.offset } as const;
    addMalformed(
      this.context.account,
      'invalid-packet',
      place,
      detail,
      decodeText(bytes, start, Math.min(end, start + 400)),
    );
  }

  private placeOf(hash: number): number {
    const { places } = this;
    let place = places.get(hash);
    if (place === undefined) {
      // A node has some hundred interfaces; a hostile text has more.
      place = Math.min(places.size, 4095);
      if (places.size < 4096) places.set(hash, place);
    }
    return place;
  }
}

/** `01:55:07.571090` in microseconds, or NaN. */
function readDayTime(bytes: Uint8Array, start: number, end: number): number {
  const hour = parseDigits(bytes, start, start + 2);
  const minute = parseDigits(bytes, start + 3, start + 5);
  const second = parseDigits(bytes, start + 6, Math.min(end, start + 8));
  if (
    hour < 0 ||
    minute < 0 ||
    second < 0 ||
    minute > 59 ||
    second > 60 ||
    bytes[start + 2] !== 58 ||
    bytes[start + 5] !== 58
  )
    return NaN;
  let fraction = 0;
  if (end > start + 8) {
    if (bytes[start + 8] !== 46) return NaN;
    let scale = 100_000;
    for (let at = start + 9; at < end; at++) {
      const digit = bytes[at]! - 48;
      if (digit < 0 || digit > 9) return NaN;
      fraction += digit * Math.floor(scale);
      scale /= 10;
    }
  }
  return ((hour * 60 + minute) * 60 + second) * 1e6 + fraction;
}

/** `2026-11-21` in microseconds since 1970, or NaN. */
function readDay(bytes: Uint8Array, at: number): number {
  const year = parseDigits(bytes, at, at + 4);
  const month = parseDigits(bytes, at + 5, at + 7);
  const day = parseDigits(bytes, at + 8, at + 10);
  return year < 0 || month < 1 || month > 12 || day < 1 || day > 31 ? NaN : Date.UTC(year, month - 1, day) * 1000;
}

/** -ttt counts from packet to packet, -ttttt from the first one: only the former goes back. */
function tellRelativeClock({ rawLines }: Head): Clock {
  let last = -1;
  for (const line of rawLines) {
    const text = line.trimStart();
    const bytes = Buffer.from(text.slice(0, 18));
    const blank = bytes.indexOf(32);
    const time = readDayTime(bytes, 0, blank < 0 ? bytes.length : blank);
    if (Number.isNaN(time)) continue;
    if (time < last) return Clock.Delta;
    last = time;
  }
  return Clock.Elapsed;
}

/** -A: the line behind a packet begins with the first byte of an IP header, an E or a backquote. */
function showsPayload({ rawLines }: Head): boolean {
  let isBehindPacket = false;
  for (const line of rawLines) {
    const isPacket = startsWithTime(line.trimStart()) || startsFrame(line);
    if (isBehindPacket && !isPacket && (line.startsWith('E') || line.startsWith('`'))) return true;
    isBehindPacket = isPacket;
  }
  return false;
}

function isDirection(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length === 1) return bytes[start] === 66 || bytes[start] === 77 || bytes[start] === 80;
  return (length === 2 && isWordAt(bytes, start, end, 'In')) || (length === 3 && isWordAt(bytes, start, end, 'Out'));
}

/** `aa:bb:cc:dd:ee:ff > ` */
function isLinkAddress(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    endOfWord(bytes, at, end) - at === 17 &&
    bytes[at + 2] === 58 &&
    bytes[at + 14] === 58 &&
    isWordAt(bytes, at + 17, end, ' > ')
  );
}

const TOOL_MESSAGES = ['tcpdump: ', 'reading from ', 'listening on ', 'Warning: interface names', 'dropped privs'];

function isToolMessage(bytes: Uint8Array, start: number, end: number): boolean {
  if (TOOL_MESSAGES.some((message) => isWordAt(bytes, start, end, message))) return true;
  const digits = endOfDigits(bytes, start, end);
  return digits > start && isWordAt(bytes, digits, end, ' packet');
}

/** A packet line carries a protocol word behind its time; continuation lines are indented. */
function isTcpdumpText(head: Head): boolean {
  if (head.json !== undefined) return false;
  let packets = 0;
  let others = 0;
  for (const line of head.rawLines) {
    const text = line.trimStart();
    if (startsWithTime(text) || startsFrame(text)) {
      if (FRAME_WORDS.some((word) => text.startsWith(word.trimStart()) || text.includes(word))) packets++;
      else others++;
    } else if (line === text && packets === 0 && !TOOL_MESSAGES.some((message) => line.startsWith(message)))
      return false;
  }
  return packets > 0 && packets * 10 >= (packets + others) * 6;
}

const FRAME_WORDS = [' IP ', ' IP6 ', ' ARP, ', 'ethertype '];

function startsFrame(text: string): boolean {
  if (text.startsWith('IP ') || text.startsWith('IP6 ') || text.startsWith('ARP, '))
    return text.includes(' > ') || text.includes('ARP') || text.includes('(tos') || text.includes('next-header');
  if (text.length > 37 && text[2] === ':' && text.startsWith(' > ', 17)) return text.includes('ethertype ');
  const words = text
    .slice(0, 60)
    .split(' ')
    .filter((word) => word !== '');
  return (
    ['In', 'Out', 'B', 'M', 'P'].includes(words[1] ?? '') && ['IP', 'IP6', 'ARP,', 'ifindex'].includes(words[2] ?? '')
  );
}

/** Any of the five spellings, with the packet's number in front or not. */
function startsWithTime(text: string): boolean {
  return (
    /^(?:\d{1,9} {2,3})?-?\d\d:\d\d:\d\d\.\d/.test(text) ||
    /^(?:\d{1,9} {2})?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d/.test(text) ||
    /^(?:\d{1,9} {2})?\d{9,11}\.\d{6}/.test(text)
  );
}
