/**
 * A row from named texts: what tables, mapped JSON and Parquet have in common. Each field has one parser here, to a number; a text that
 * it does not understand is a complaint or an unknown value, never a guess. Rows are assembled from those numbers alone.
 */
import { parseAddress } from '../model/address.ts';
import { clearRow, Orientation, OrientedBy, RecordKind, type Dictionary } from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { addUnknownValue } from './account.ts';
import type { ReadContext } from './format.ts';
import { CSV_FIELDS, type CsvField, type CsvMapping, type TimeUnit } from './mapping.ts';
import { internPod } from './ndjson.ts';
import { checkTime, parseTime } from './time.ts';
import { indexOfWord, KIND_WORDS, ORIENTATION_WORDS, ORIENTED_BY_WORDS, parseTcpFlags, parseVerdict } from './word.ts';

/** A text that is no value of its field. */
export const INVALID: number = -Infinity;
/** A word that the field's closed set has not: the field is absent then, and the word is counted. */
export const UNKNOWN: number = Infinity;
/** Values of addresses from here on are ids of IPv6 addresses. */
export const IPV6_BASE = 0x1_0000_0000;

/** Positions of fields in the numbers of a row: those of `CSV_FIELDS`. */
export const enum Field {
  Time = 0,
  Kind = 1,
  Src = 2,
  SrcPort = 3,
  Dst = 4,
  DstPort = 5,
  Protocol = 6,
  IcmpType = 7,
  IcmpCode = 8,
  TcpFlags = 9,
  Bytes = 10,
  Packets = 11,
  ReplyBytes = 12,
  ReplyPackets = 13,
  Orientation = 14,
  OrientedBy = 15,
  Verdict = 16,
  PreDst = 17,
  PreDstPort = 18,
  SrcPod = 19,
  DstPod = 20,
  Connections = 21,
  Repeats = 22,
  Sampling = 23,
}

/** Greatest number of a field that is a plain number; 0: the field is something else. */
const LIMITS: readonly number[] = CSV_FIELDS.map((field) => {
  if (field === 'srcPort' || field === 'dstPort' || field === 'preDstPort') return 65_535;
  if (field === 'icmpType' || field === 'icmpCode') return 255;
  if (field === 'sampling') return 1e9;
  const isCount = /^(bytes|packets|replyBytes|replyPackets|connections|repeats)$/.test(field);
  return isCount ? Number.MAX_SAFE_INTEGER : 0;
});

/** DCCP has ports, and no tracker here. */
const DCCP = 33;
const SAMPLING_LIMIT =
  'Bytes and packets are estimates: what was sampled, times the recorded sampling rate. Short connections may be missing.';

const words = new Uint32Array(4);
const values = new Float64Array(CSV_FIELDS.length);

/** Fills a row from named texts; returns what is wrong with them, or the empty text. */
export function fillRow(context: ReadContext, at: number, cells: ReadonlyMap<CsvField, string>): string {
  const { dictionary, account, mapping } = context;
  values.fill(NaN);
  for (const [name, text] of cells) {
    const field = CSV_FIELDS.indexOf(name) as Field;
    const value = parseField(field, text, dictionary, mapping);
    if (value === INVALID) return complaintOf(field, text);
    if (value === UNKNOWN) addUnknownValue(account, name, text);
    else values[field] = value;
  }
  return assembleRow(context, at, values);
}

/** The number that a text means in a field; `INVALID` or `UNKNOWN` where it means none. */
export function parseField(
  field: Field,
  text: string,
  dictionary: Dictionary,
  mapping: CsvMapping | undefined,
): number {
  switch (field) {
    case Field.Src:
    case Field.Dst:
    case Field.PreDst: {
      const family = parseAddress(text, words);
      if (family === 4) return words[0]!;
      return family === 0
        ? INVALID
        : IPV6_BASE + dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!);
    }
    case Field.SrcPod:
    case Field.DstPod: {
      const slash = text.indexOf('/');
      const isName = slash > 0 && slash < text.length - 1;
      return isName ? internPod(dictionary, text.slice(0, slash), text.slice(slash + 1)) : INVALID;
    }
    case Field.Time: {
      const time = readTime(text, mapping?.rules?.fields.get('time')?.unit ?? mapping?.timeUnit);
      return Number.isNaN(time) ? INVALID : time;
    }
    case Field.Protocol:
      return parseProtocol(text) ?? UNKNOWN;
    case Field.TcpFlags: {
      const flags = parseTcpFlags(text);
      return flags < 0 ? UNKNOWN : flags;
    }
    case Field.Verdict:
      return parseVerdict(text) ?? UNKNOWN;
    case Field.Kind:
      return wordOf(KIND_WORDS, text);
    case Field.Orientation:
      return wordOf(ORIENTATION_WORDS, text);
    case Field.OrientedBy:
      return wordOf(ORIENTED_BY_WORDS, text);
    default:
      return checkNumber(field, Number(text));
  }
}

/** A number that a field holds as a number; undefined for fields that are read from texts. */
export function parseNumber(field: Field, value: number, mapping: CsvMapping | undefined): number | undefined {
  if (LIMITS[field]! > 0) return checkNumber(field, value);
  if (field === Field.Time) {
    const time = timeOfNumber(value, mapping?.rules?.fields.get('time')?.unit ?? mapping?.timeUnit);
    return Number.isNaN(time) ? INVALID : time;
  }
  if (field === Field.Protocol) return Number.isInteger(value) && value >= 0 && value <= 255 ? value : UNKNOWN;
  if (field === Field.TcpFlags) return Number.isInteger(value) && value >= 0 && value < 512 ? value : UNKNOWN;
  return undefined;
}

/** What is wrong with a text that a field does not take. */
export function complaintOf(field: Field, text: string): string {
  return `${CSV_FIELDS[field]!}: expected ${expectationOf(field)}, found ${text}`;
}

/**
 * Fills a row from the numbers of its fields, NaN where one is absent; returns what is wrong with them together, or the empty text.
 */
export function assembleRow({ batch, account, mapping }: ReadContext, at: number, value: Float64Array): string {
  clearRow(batch, at);
  const src = value[Field.Src]!;
  const dst = value[Field.Dst]!;
  const family = Number.isNaN(src) ? 0 : src < IPV6_BASE ? 4 : 6;
  const other = Number.isNaN(dst) ? 0 : dst < IPV6_BASE ? 4 : 6;
  if (family !== other) return 'src and dst: expected two addresses of one family';
  const srcPod = or(value[Field.SrcPod]!, 0);
  const dstPod = or(value[Field.DstPod]!, 0);
  if (family === 0 && srcPod === 0 && dstPod === 0) return 'expected addresses or pods';
  batch.family[at] = family;
  if (family !== 0) {
    batch.src[at] = family === 4 ? src : src - IPV6_BASE;
    batch.dst[at] = family === 4 ? dst : dst - IPV6_BASE;
  }
  batch.srcEndpoint[at] = srcPod;
  batch.dstEndpoint[at] = dstPod;
  const protocol = or(value[Field.Protocol]!, Protocol.Unknown);
  batch.protocol[at] = protocol;
  // Exports write port 0 for protocols that have none.
  const isPorted = hasPorts(protocol) || protocol === DCCP;
  const srcPort = or(value[Field.SrcPort]!, -1);
  const dstPort = or(value[Field.DstPort]!, -1);
  batch.srcPort[at] = srcPort === 0 && !isPorted ? -1 : srcPort;
  batch.dstPort[at] = dstPort === 0 && !isPorted ? -1 : dstPort;
  const icmpType = value[Field.IcmpType]!;
  if (icmpType >= 0) batch.icmp[at] = (icmpType << 8) | or(value[Field.IcmpCode]!, 0);
  batch.bytes[at] = or(value[Field.Bytes]!, -1);
  batch.packets[at] = or(value[Field.Packets]!, -1);
  const flags = value[Field.TcpFlags]!;
  if (flags >= 0) batch.tcpFlags[at] = flags;
  batch.timeUs[at] = value[Field.Time]!;
  const defaultKind = mapping?.kind === undefined ? RecordKind.Connection : indexOfWord(KIND_WORDS, mapping.kind);
  const kind = or(value[Field.Kind]!, defaultKind);
  batch.kind[at] = kind;
  const isConnection = kind === RecordKind.Connection || kind === RecordKind.Aggregate;
  const absent = isConnection ? -1 : 0;
  batch.replyBytes[at] = or(value[Field.ReplyBytes]!, absent);
  batch.replyPackets[at] = or(value[Field.ReplyPackets]!, absent);
  const orientation = or(
    value[Field.Orientation]!,
    kind >= RecordKind.Connection ? Orientation.Original : Orientation.Unknown,
  );
  batch.orientation[at] = orientation;
  batch.orientedBy[at] = or(
    value[Field.OrientedBy]!,
    orientation === Orientation.Unknown ? OrientedBy.Assumed : OrientedBy.Stated,
  );
  batch.recordedVerdict[at] = or(value[Field.Verdict]!, batch.recordedVerdict[at]!);
  batch.connections[at] = or(value[Field.Connections]!, batch.connections[at]!);
  batch.repeats[at] = or(value[Field.Repeats]!, 0);
  // One packet in so many was looked at; 0 and 1 are all of them.
  const rate = or(value[Field.Sampling]!, 1);
  if (rate > 1) {
    for (const column of [batch.bytes, batch.packets, batch.replyBytes, batch.replyPackets])
      if (column[at]! > 0) column[at]! *= rate;
    if (!account.limits.includes(SAMPLING_LIMIT)) account.limits.push(SAMPLING_LIMIT);
  }
  const preDst = value[Field.PreDst]!;
  if (!Number.isNaN(preDst) && (preDst < IPV6_BASE ? 4 : 6) === family) {
    batch.preDst[at] = family === 4 ? preDst : preDst - IPV6_BASE;
    batch.preDstPort[at] = or(value[Field.PreDstPort]!, Math.max(0, batch.dstPort[at]!));
  }
  return '';
}

/** Microseconds; a number's unit by its size: seconds have 10 digits until the year 2286, milliseconds 13, microseconds 16. */
function timeOfNumber(number: number, unit: TimeUnit | undefined): number {
  const size = Math.abs(number);
  const chosen = unit ?? (size < 1e11 ? 's' : size < 1e14 ? 'ms' : size < 1e17 ? 'us' : 'ns');
  switch (chosen) {
    case 's':
      return checkTime(Math.round(number * 1e6));
    case 'ms':
      return checkTime(Math.round(number * 1e3));
    case 'us':
      return checkTime(Math.floor(number));
    case 'ns':
      return checkTime(Math.floor(number / 1e3));
  }
}

function readTime(text: string, unit: TimeUnit | undefined): number {
  const number = Number(text);
  return Number.isNaN(number) ? parseTime(text) : timeOfNumber(number, unit);
}

function or(value: number, absent: number): number {
  return Number.isNaN(value) ? absent : value;
}

function wordOf(set: readonly string[], text: string): number {
  const index = indexOfWord(set, text);
  return index < 0 ? UNKNOWN : index;
}

function checkNumber(field: Field, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= LIMITS[field]!) return value;
  // A rate that is none says nothing against the record.
  return field === Field.Sampling ? UNKNOWN : INVALID;
}

function expectationOf(field: Field): string {
  if (LIMITS[field]! > 0) return `a whole number from 0 to ${LIMITS[field]}`;
  if (field === Field.Time) return 'RFC 3339 or a number';
  return field === Field.SrcPod || field === Field.DstPod ? 'namespace/name' : 'an IP address';
}
