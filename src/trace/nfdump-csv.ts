/**
 * `nfdump -o csv`, `-o csv-fast` and `-o "csv:%ts,%sa,..."`: a header, a record a line, no quotes; up to version 1.7.1 a summary of
 * three lines at the end. Which column holds what is the header's to say. Read from the bytes: no text is made of a number.
 */
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { parseDigits, readAddressBytes } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createByteLineDecoder, decodeText } from './line.ts';
import { NFDUMP_LIMITS, NfdumpRecords, parseNfdumpFlags, parseNfdumpProtocol } from './nfdump-record.ts';
import { findByte, hashRange, isWordAt } from './scan.ts';
import { parseTime } from './time.ts';

/** nfdump's comma-separated output. */
export const NFDUMP_CSV: TraceFormat = {
  name: 'nfdump-csv',
  description: 'an nfdump CSV export',
  recognise: ({ json, lines }: Head) => json === undefined && isHeader((lines[0] ?? '').split(',')),
  isText: true,
  limits: NFDUMP_LIMITS,
  open: openNfdumpCsv,
};

/** What a column holds, as far as it is asked for. */
const enum Role {
  None = 0,
  Time = 1,
  Src = 2,
  Dst = 3,
  SrcPort = 4,
  DstPort = 5,
  Protocol = 6,
  Flags = 7,
  Forwarding = 8,
  Packets = 9,
  Bytes = 10,
  ReplyPackets = 11,
  ReplyBytes = 12,
  IcmpType = 13,
  IcmpCode = 14,
  Router = 15,
  Engine = 16,
  Exporter = 17,
  TranslatedDst = 18,
  TranslatedPort = 19,
  Event = 20,
  Count = 21,
}

/** Names of nfdump up to 1.7.1, then of later ones (its output modules `output_csv` and `output_csv_fast`). */
const ROLES: ReadonlyMap<string, Role> = new Map([
  ['ts', Role.Time],
  ['sa', Role.Src],
  ['da', Role.Dst],
  ['sp', Role.SrcPort],
  ['dp', Role.DstPort],
  ['pr', Role.Protocol],
  ['flg', Role.Flags],
  ['fwd', Role.Forwarding],
  ['ipkt', Role.Packets],
  ['ibyt', Role.Bytes],
  ['opkt', Role.ReplyPackets],
  ['obyt', Role.ReplyBytes],
  ['ra', Role.Router],
  ['eng', Role.Engine],
  ['exid', Role.Exporter],
  ['firstSeen', Role.Time],
  ['srcAddr', Role.Src],
  ['dstAddr', Role.Dst],
  ['srcPort', Role.SrcPort],
  ['dstPort', Role.DstPort],
  ['proto', Role.Protocol],
  ['flags', Role.Flags],
  ['fwdStatus', Role.Forwarding],
  ['packets', Role.Packets],
  ['inPackets', Role.Packets],
  ['bytes', Role.Bytes],
  ['inBytes', Role.Bytes],
  ['outPackets', Role.ReplyPackets],
  ['outBytes', Role.ReplyBytes],
  ['icmpTYpe', Role.IcmpType],
  ['icmpType', Role.IcmpType],
  ['icmpCode', Role.IcmpCode],
  ['routerIP', Role.Router],
  ['engine', Role.Engine],
  ['exporterID', Role.Exporter],
  ['dstXIP', Role.TranslatedDst],
  ['dstXPort', Role.TranslatedPort],
  ['event', Role.Event],
]);

const ROLE_NAMES: readonly string[] = [
  '', 'start', 'source', 'destination', 'source port', 'destination port', 'protocol', 'flags', 'forwarding status', 'packets', 'bytes',
  'packets back', 'bytes back', 'ICMP type', 'ICMP code', 'router', 'engine', 'exporter', 'translated destination',
  'translated port', 'event',
]; // prettier-ignore

/** Names that only nfdump gives to a column; a table with other headers is read as CSV. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  'sa',
  'da',
  'firstSeen',
  'lastSeen',
  'fwdStatus',
  'inPackets',
  'srcXIP',
]);

function isHeader(names: readonly string[]): boolean {
  const roles = names.map((name) => ROLES.get(name) ?? Role.None);
  return roles.includes(Role.Src) && roles.includes(Role.Dst) && names.some((name) => OWN_NAMES.has(name));
}

function openNfdumpCsv(context: ReadContext): TraceDecoder {
  const { account } = context;
  const rows = new CsvRows(context);
  /** Lines of the summary that are still to come. */
  let summary = 0;
  return createByteLineDecoder(context, (bytes, start, end, line, offset) => {
    if (summary > 0) {
      summary--;
      return increment(account.skipped, 'summary');
    }
    if (isWordAt(bytes, start, end, 'Summary')) {
      if (end - start === 7) summary = 2;
      return increment(account.skipped, 'summary');
    }
    if (isWordAt(bytes, start, end, 'No matched flows') || isWordAt(bytes, start, end, 'No matching flows'))
      return increment(account.skipped, 'tool-message');
    if (rows.takeHeader(bytes, start, end)) {
      // Joined files have a header each, and none of them is a record.
      account.read--;
      return;
    }
    const complaint = rows.take(bytes, start, end, line);
    if (complaint === '') return;
    const place = { unit: 'line', number: line, offset } as const;
    const reason = complaint.includes(' fields, found ') ? 'field-count' : 'invalid-field';
    addMalformed(account, reason, place, complaint, decodeText(bytes, start, Math.min(end, start + 400)));
  });
}

/** Cuts lines into the fields of a record. */
class CsvRows {
  private roles = new Uint8Array(0);
  private readonly starts = new Int32Array(Role.Count);
  private readonly ends = new Int32Array(Role.Count);
  private readonly records: NfdumpRecords;
  private readonly context: ReadContext;
  private readonly protocols = new Map<number, number>();
  private hasLocalTime = false;

  constructor(context: ReadContext) {
    this.context = context;
    this.records = new NfdumpRecords(context);
  }

  takeHeader(bytes: Uint8Array, start: number, end: number): boolean {
    const first = bytes[start]!;
    // A record begins with a time, a number or an address.
    if (first < 97 || first > 122) return false;
    const names = decodeText(bytes, start, Math.min(end, start + 8192)).split(',');
    if (!isHeader(names)) return false;
    if (names.at(-1) === '') names.pop();
    this.roles = Uint8Array.from(names, (name) => ROLES.get(name) ?? Role.None);
    return true;
  }

  /** Takes one record; returns what is wrong with it, or the empty text. */
  take(bytes: Uint8Array, start: number, end: number, line: number): string {
    const { roles, starts, ends } = this;
    if (roles.length === 0) return 'expected a header before the first record';
    starts.fill(0);
    ends.fill(0);
    let column = 0;
    for (let at = start; ;) {
      const comma = findByte(bytes, 44, at, end);
      const stop = comma < 0 ? end : comma;
      if (column < roles.length) {
        const role = roles[column]!;
        starts[role] = at;
        ends[role] = stop;
      }
      column++;
      if (comma < 0) break;
      at = comma + 1;
    }
    if (column === roles.length + 1 && bytes[end - 1] === 44) column--;
    if (column !== roles.length) return `expected ${roles.length} fields, found ${column}`;
    return this.fill(bytes, line);
  }

  private fill(bytes: Uint8Array, line: number): string {
    const { records, context, starts, ends } = this;
    const { dictionary } = context;
    records.clear();
    if (!readAddressBytes(bytes, starts[Role.Src]!, ends[Role.Src]!, dictionary, records.src))
      return this.expected(bytes, Role.Src, 'an IP address');
    if (!readAddressBytes(bytes, starts[Role.Dst]!, ends[Role.Dst]!, dictionary, records.dst))
      return this.expected(bytes, Role.Dst, 'an IP address');
    if (this.isGiven(Role.Protocol)) records.protocol = this.readProtocol(bytes);
    if (this.isGiven(Role.Time)) {
      records.timeUs = this.readTime(bytes);
      if (Number.isNaN(records.timeUs)) return this.expected(bytes, Role.Time, 'a time');
    }
    records.srcPort = this.number(bytes, Role.SrcPort, 0xffff);
    if (records.srcPort === INVALID) return this.expected(bytes, Role.SrcPort, 'a port');
    const complaint = this.readDstPort(bytes);
    if (complaint !== '') return complaint;
    for (const role of [Role.Packets, Role.Bytes, Role.ReplyPackets, Role.ReplyBytes]) {
      const value = this.number(bytes, role, Number.MAX_SAFE_INTEGER);
      if (value === INVALID) return this.expected(bytes, role, 'a number');
      if (role === Role.Packets) records.packets = value;
      else if (role === Role.Bytes) records.bytes = value;
      else if (role === Role.ReplyPackets) records.replyPackets = Math.max(0, value);
      else records.replyBytes = Math.max(0, value);
    }
    if (this.isGiven(Role.Flags)) this.readFlags(bytes);
    records.forwarding = Math.max(0, this.number(bytes, Role.Forwarding, 255));
    if (this.isGiven(Role.TranslatedDst))
      readAddressBytes(bytes, starts[Role.TranslatedDst]!, ends[Role.TranslatedDst]!, dictionary, records.translated);
    records.translatedPort = this.number(bytes, Role.TranslatedPort, 0xffff);
    if (this.isGiven(Role.Event)) records.isDenied = isWordAt(bytes, starts[Role.Event]!, ends[Role.Event]!, 'DEN');
    if (this.isGiven(Role.Router) || this.isGiven(Role.Exporter)) {
      let name = hashRange(bytes, starts[Role.Router]!, ends[Role.Router]!);
      name = hashRange(bytes, starts[Role.Exporter]!, ends[Role.Exporter]!, name);
      records.observer = hashRange(bytes, starts[Role.Engine]!, ends[Role.Engine]!, name);
    }
    return records.take(line);
  }

  private isGiven(role: Role): boolean {
    return this.ends[role]! > this.starts[role]!;
  }

  /** The number in a column, -1 where there is none, `INVALID` where it is something else. */
  private number(bytes: Uint8Array, role: Role, limit: number): number {
    if (!this.isGiven(role)) return -1;
    const value = parseDigits(bytes, this.starts[role]!, this.ends[role]!);
    return value < 0 || value > limit ? INVALID : value;
  }

  /** A port; of ICMP the type and code: `771`, or `3.3` in later versions. */
  private readDstPort(bytes: Uint8Array): string {
    const { records, starts, ends } = this;
    const type = this.number(bytes, Role.IcmpType, 255);
    const code = this.number(bytes, Role.IcmpCode, 255);
    if (type >= 0) records.icmp = (type << 8) | Math.max(0, code);
    const dot = findByte(bytes, 46, starts[Role.DstPort]!, ends[Role.DstPort]!);
    if (dot >= 0) {
      const high = parseDigits(bytes, starts[Role.DstPort]!, dot);
      const low = parseDigits(bytes, dot + 1, ends[Role.DstPort]!);
      if (high < 0 || low < 0 || high > 255 || low > 255) return this.expected(bytes, Role.DstPort, 'a port');
      if (records.icmp < 0) records.icmp = (high << 8) | low;
      return '';
    }
    records.dstPort = this.number(bytes, Role.DstPort, 0xffff);
    return records.dstPort === INVALID ? this.expected(bytes, Role.DstPort, 'a port') : '';
  }

  private readProtocol(bytes: Uint8Array): number {
    const start = this.starts[Role.Protocol]!;
    const end = this.ends[Role.Protocol]!;
    const key = hashRange(bytes, start, end);
    const known = this.protocols.get(key);
    if (known !== undefined) return known;
    const text = decodeText(bytes, start, Math.min(end, start + 40)).trim();
    const protocol = parseNfdumpProtocol(text);
    if (protocol === undefined) {
      addUnknownValue(this.context.account, 'proto', text);
      return this.records.protocol;
    }
    if (this.protocols.size < 1024) this.protocols.set(key, protocol);
    return protocol;
  }

  private readFlags(bytes: Uint8Array): void {
    const start = this.starts[Role.Flags]!;
    const text = decodeText(bytes, start, Math.min(this.ends[Role.Flags]!, start + 20)).trim();
    const flags = parseNfdumpFlags(text);
    if (flags < 0) addUnknownValue(this.context.account, 'flags', text);
    else this.records.tcpFlags = flags;
  }

  /** `2026-11-21 01:55:07.584` in local time, milliseconds or seconds since 1970. */
  private readTime(bytes: Uint8Array): number {
    const start = this.starts[Role.Time]!;
    const end = this.ends[Role.Time]!;
    if (end - start > 4 && bytes[start + 4] === 45) {
      if (!this.hasLocalTime) {
        this.hasLocalTime = true;
        this.context.account.limits.push(LOCAL_TIME_LIMIT);
      }
      return parseTime(decodeText(bytes, start, Math.min(end, start + 40)));
    }
    const dot = findByte(bytes, 46, start, end);
    if (dot < 0) {
      const value = parseDigits(bytes, start, end);
      return value < 0 ? NaN : value < 1e11 ? value * 1e6 : value * 1e3;
    }
    const seconds = parseDigits(bytes, start, dot);
    const fraction = parseDigits(bytes, dot + 1, end);
    return seconds < 0 || fraction < 0 ? NaN : seconds * 1e6 + Math.floor((fraction / 10 ** (end - dot - 1)) * 1e6);
  }

  private expected(bytes: Uint8Array, role: Role, what: string): string {
    const start = this.starts[role]!;
    const found = decodeText(bytes, start, Math.min(this.ends[role]!, start + 60));
    return `${ROLE_NAMES[role]!}: expected ${what}, found ${found === '' ? 'nothing' : found}`;
  }
}

const INVALID = -2;
