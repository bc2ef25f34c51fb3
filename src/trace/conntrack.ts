/**
 * Listings of Linux's connection tracking table as text: `conntrack -L` and `-E` with any of `-o extended,timestamp,ktimestamp,id`,
 * and /proc/net/nf_conntrack. A line is: time and event (-E), family (extended, /proc), protocol, timeout, TCP state, then
 * `key=value` of the original tuple and, from the second `src=` on, of the reply tuple.
 */
import { addMalformed, addUnknownValue, increment } from './account.ts';
import {
  CONNTRACK_LIMITS,
  ConntrackEntries,
  type EntryTuple,
  takeTupleMember,
  EntryEvent,
  LOCAL_TIME_LIMIT,
} from './conntrack-entry.ts';
import { parseDigitText } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines } from './head.ts';
import { createLineDecoder } from './line.ts';

/** `conntrack -L`, `conntrack -E` and /proc/net/nf_conntrack. */
export const CONNTRACK: TraceFormat = {
  name: 'conntrack',
  description: 'a conntrack listing or its events',
  recognise: (head) => head.json === undefined && doMostLines(head, isConntrack),
  isText: true,
  limits: CONNTRACK_LIMITS,
  open: openConntrack,
};

/** Milliseconds since 1970 read as UTC of a date as ctime(3) prints it (`Sat Nov 21 01:55:07 2026`), or NaN. */
export function parseClock(text: string): number {
  const parts = text.split(' ').filter((part) => part !== '');
  const month = MONTHS.indexOf(parts[1] ?? '');
  const day = parseDigitText(parts[2] ?? '');
  const clock = (parts[3] ?? '').split(':').map(parseDigitText);
  const year = parseDigitText(parts[4] ?? '');
  const [hour = -1, minute = -1, second = -1] = clock;
  if (parts.length !== 5 || month < 0 || day < 1 || day > 31 || year < 1970 || year > 9999) return NaN;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return NaN;
  return Date.UTC(year, month, day, hour, minute, second);
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** What the tool says beside its records, where its error output was kept too. */
const TOOL_MESSAGES = [
  'conntrack v',
  'This message means that the current netlink socket',
  'Please, check --buffer-size',
];

function isConntrack(line: string): boolean {
  const first = line.indexOf('src=');
  if (first < 0 || line.indexOf(' dst=', first) < 0) return false;
  return line.indexOf('src=', first + 4) > 0;
}

function openConntrack(context: ReadContext): TraceDecoder {
  const { account } = context;
  const entries = new ConntrackEntries(context);
  let isLocalTime = false;
  return createLineDecoder(context, (line, place) => {
    if (line.startsWith('WARNING: We have hit ENOBUFS')) {
      account.lost++;
      return increment(account.skipped, 'lost-events');
    }
    if (TOOL_MESSAGES.some((message) => line.startsWith(message))) return increment(account.skipped, 'tool-message');
    const parser = new LineParser(line, entries, context);
    if (!parser.parse()) return addMalformed(account, 'invalid-entry', place, parser.complaint, line);
    if (parser.hasLocalTime && !isLocalTime) {
      isLocalTime = true;
      account.limits.push(LOCAL_TIME_LIMIT);
    }
    entries.take(place, line);
  });
}

/** One line, word by word. */
class LineParser {
  complaint = '';
  hasLocalTime = false;
  private at = 0;
  private readonly line: string;
  private readonly entries: ConntrackEntries;
  private readonly context: ReadContext;

  constructor(line: string, entries: ConntrackEntries, context: ReadContext) {
    this.line = line;
    this.entries = entries;
    this.context = context;
  }

  parse(): boolean {
    const { entries } = this;
    entries.clear();
    let word = this.next();
    while (word.startsWith('[')) {
      if (!this.takePrefix(word)) return false;
      word = this.next();
    }
    if (word === 'ipv4' || word === 'ipv6') {
      this.next();
      word = this.next();
    }
    const number = parseDigitText(this.next());
    if (word === '' || word.includes('=') || number < 0 || number > 255)
      return this.fail('expected a protocol and its number');
    entries.protocol = number;
    return this.takeTuples();
  }

  /** `[1795226107.572549]`, or `[NEW]`, `[UPDATE]`, `[DESTROY]`. */
  private takePrefix(word: string): boolean {
    const { entries } = this;
    switch (word) {
      case '[NEW]':
        entries.event = EntryEvent.New;
        return true;
      case '[UPDATE]':
        entries.event = EntryEvent.Update;
        return true;
      case '[DESTROY]':
        entries.event = EntryEvent.Destroy;
        return true;
    }
    // Old versions fill the fraction with blanks behind it: `[1795226107.52    ]` is 52 microseconds.
    const text = word.endsWith(']') ? word.slice(1, -1) : word.slice(1);
    if (!word.endsWith(']') && this.next() !== ']') return this.fail(`expected a time or an event, found ${word}`);
    const point = text.indexOf('.');
    const seconds = parseDigitText(point < 0 ? text : text.slice(0, point));
    const micros = point < 0 ? 0 : parseDigitText(text.slice(point + 1));
    if (seconds < 0 || seconds > 1e11 || micros < 0 || micros > 999_999)
      return this.fail(`expected a time or an event, found ${word}`);
    entries.timeUs = seconds * 1e6 + micros;
    return true;
  }

  private takeTuples(): boolean {
    const { entries, line } = this;
    let tuple: EntryTuple | undefined;
    /** The word before was an ICMP code: an `id=` behind it belongs to the tuple, any other is the entry's. */
    let isBehindCode = false;
    for (let word = this.next(); word !== ''; word = this.next()) {
      if (word.startsWith('[')) {
        if (word === '[UNREPLIED]') entries.isUnreplied = true;
        const start = this.at - word.length;
        const close = line.indexOf(']', start);
        if (close < 0) return this.fail(`${word.slice(0, 20)} is never closed`);
        if (word.startsWith('[start=')) this.takeStart(line.slice(start + 7, close));
        this.at = close + 1;
        continue;
      }
      const equals = word.indexOf('=');
      // The timeout and the state stand in front of the tuples.
      if (equals < 0) continue;
      const key = word.slice(0, equals);
      const value = word.slice(equals + 1);
      if (key === 'src') {
        if (tuple === entries.reply) return this.fail('expected two tuples, found more');
        tuple = tuple === undefined ? entries.original : entries.reply;
      }
      const isTaken = tuple === undefined || this.takeMember(tuple, key, value, isBehindCode);
      if (!isTaken) return this.fail(`${key}: unexpected value ${value.slice(0, 60)}`);
      isBehindCode = key === 'code';
    }
    return true;
  }

  private takeMember(tuple: EntryTuple, key: string, value: string, isBehindCode: boolean): boolean {
    const { entries, context } = this;
    if (key === 'id' && !isBehindCode) return true;
    if (key === 'zone' || key === 'zone-orig' || key === 'zone-reply') {
      if (value !== '0') entries.zone += `${key}=${value.slice(0, 10)} `;
      return true;
    }
    return takeTupleMember(context.dictionary, tuple, key, value);
  }

  /** When the kernel made the entry; an event's own time is exact and goes first. */
  private takeStart(text: string): void {
    const ms = parseClock(text.slice(0, 40));
    if (Number.isNaN(ms)) addUnknownValue(this.context.account, 'start', text.slice(0, 40));
    else if (Number.isNaN(this.entries.timeUs)) {
      this.entries.timeUs = ms * 1000;
      this.hasLocalTime = true;
    }
  }

  /** The next word, empty at the end of the line. */
  private next(): string {
    const { line } = this;
    let start = this.at;
    while (start < line.length && line.charCodeAt(start) <= 32) start++;
    let end = start;
    while (end < line.length && line.charCodeAt(end) > 32) end++;
    this.at = end;
    return line.slice(start, end);
  }

  private fail(complaint: string): false {
    this.complaint = complaint;
    return false;
  }
}
