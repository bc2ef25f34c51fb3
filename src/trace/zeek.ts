/**
 * Zeek's conn.log, tab-separated with its own header or as JSON lines. One record is a whole connection, written when it has
 * ended. Zeek says who opened it; where it did not see the opening it guesses, and then so does the row.
 */
import { Orientation, OrientedBy, RecordKind, clearRow } from '../model/flow.ts';
import { Protocol, parseProtocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, parseDigitText, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createJsonDecoder, createLineDecoder, type Place } from './line.ts';
import { checkTime, parseTime } from './time.ts';

const LIMITS: readonly string[] = [
  'Zeek writes a connection when it has ended: one that was open when the log was cut is missing.',
  'Addresses are those at the place of the capture; a destination behind a translation is not shown. No pod names, labels or verdicts.',
];

/** conn.log as tab-separated values. */
export const ZEEK: TraceFormat = {
  name: 'zeek',
  description: 'a Zeek conn.log',
  recognise: isZeekConnection,
  isText: true,
  limits: LIMITS,
  open: openZeek,
};

/** conn.log as JSON lines. */
export const ZEEK_JSON: TraceFormat = {
  name: 'zeek-json',
  description: 'a Zeek conn.log in JSON',
  recognise: ({ json }) =>
    json !== undefined &&
    (json.top.has('id.orig_h') || json.top.has('id_orig_h')) &&
    (json.top.has('conn_state') || json.top.has('_path')),
  isText: true,
  limits: LIMITS,
  open: openZeekJson,
};

/** The fields that are asked for; `.` and `_` are one in their names. */
const FIELDS = [
  'ts',
  'id_orig_h',
  'id_orig_p',
  'id_resp_h',
  'id_resp_p',
  'proto',
  'ip_proto',
  'conn_state',
  'history',
  'orig_pkts',
  'resp_pkts',
  'orig_ip_bytes',
  'resp_ip_bytes',
  'orig_bytes',
  'resp_bytes',
] as const;

type Field = (typeof FIELDS)[number];

/** Values of one record; absent: unset. */
type Values = Map<Field, string>;

const FIELD_SET: ReadonlySet<string> = new Set(FIELDS);

function openZeek(context: ReadContext): TraceDecoder {
  const { account } = context;
  const values: Values = new Map();
  let separator = '\t';
  let unset = '-';
  let empty = '(empty)';
  let path = 'conn';
  let columns: readonly (Field | undefined)[] = [];
  const takeComment = (line: string): void => {
    if (line.startsWith('#separator ')) {
      separator = unescapeText(line.slice(11).trim()) || '\t';
      return;
    }
    const [name, ...rest] = line.split(separator);
    const first = rest[0] ?? '';
    if (name === '#unset_field') unset = unescapeText(first);
    else if (name === '#empty_field') empty = unescapeText(first);
    else if (name === '#path') path = first;
    else if (name === '#fields') columns = rest.map(fieldOf);
  };
  return createLineDecoder(context, (line, place) => {
    if (line.startsWith('#')) {
      // The header, which every part of a joined file has, is no record.
      account.read--;
      return takeComment(line);
    }
    if (path !== 'conn') return increment(account.skipped, `path ${path.slice(0, 30)}`);
    if (columns.length === 0)
      return addMalformed(account, 'no-header', place, 'expected a line #fields before the first record', line);
    const cells = line.split(separator);
    if (cells.length !== columns.length) {
      const detail = `expected ${columns.length} fields, found ${cells.length}`;
      return addMalformed(account, 'field-count', place, detail, line);
    }
    values.clear();
    for (let column = 0; column < cells.length; column++) {
      const field = columns[column];
      const cell = cells[column]!;
      if (field !== undefined && cell !== unset && cell !== empty) values.set(field, unescapeText(cell));
    }
    take(context, values, place, line);
  });
}

function openZeekJson(context: ReadContext): TraceDecoder {
  const values: Values = new Map();
  return createJsonDecoder(context, (record, place) => {
    const path = record['_path'];
    if (typeof path === 'string' && path !== 'conn')
      return increment(context.account.skipped, `path ${path.slice(0, 30)}`);
    values.clear();
    for (const key of Object.keys(record)) {
      const field = fieldOf(key);
      const value = record[key];
      if (field !== undefined && (typeof value === 'string' || typeof value === 'number'))
        values.set(field, String(value));
    }
    take(context, values, place, undefined);
  });
}

/** Accounts for one record: a row, or malformed. */
function take(context: ReadContext, values: Values, place: Place, text: string | undefined): void {
  const complaint = fill(context, values);
  if (complaint !== '') return addMalformed(context.account, 'invalid-field', place, complaint, text);
  context.batch.line[context.batch.count] = place.number;
  context.batch.count++;
}

const src: FieldAddress = { family: 0, value: 0 };
const dst: FieldAddress = { family: 0, value: 0 };

function fill({ batch, dictionary, account }: ReadContext, values: Values): string {
  const row = batch.count;
  clearRow(batch, row);
  let complaint = '';
  const number = (field: Field, limit: number): number => {
    const value = values.get(field);
    if (value === undefined) return -1;
    const parsed = parseDigitText(value);
    if (parsed >= 0 && parsed <= limit) return parsed;
    complaint = `${field}: expected a whole number from 0 to ${limit}, found ${value.slice(0, 60)}`;
    return -1;
  };
  for (const [field, out] of [
    ['id_orig_h', src],
    ['id_resp_h', dst],
  ] as const) {
    const value = values.get(field) ?? '';
    if (!readAddress(value, dictionary, out))
      return `${field}: expected an IP address, found ${value === '' ? 'nothing' : value.slice(0, 60)}`;
  }
  if (src.family !== dst.family) return 'id_orig_h and id_resp_h: expected one address family';
  batch.kind[row] = RecordKind.Connection;
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  const protocol = readProtocol(values, src.family, number('ip_proto', 255));
  if (protocol === undefined) addUnknownValue(account, 'proto', values.get('proto'));
  else batch.protocol[row] = protocol;
  const origPort = number('id_orig_p', 0xffff);
  const respPort = number('id_resp_p', 0xffff);
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
    if (origPort > 255 || respPort > 255) return 'id_orig_p and id_resp_p: expected an ICMP type and code';
    // For a request Zeek has the type of the answer in the place of the code, which is 0 for all of them.
    if (origPort >= 0)
      batch.icmp[row] =
        (origPort << 8) | (respPort === ICMP_ANSWERS[`${src.family} ${origPort}`] ? 0 : Math.max(0, respPort));
  } else {
    const hasNone = protocol !== Protocol.Tcp && protocol !== Protocol.Udp && protocol !== Protocol.Sctp;
    batch.srcPort[row] = hasNone && origPort === 0 ? -1 : origPort;
    batch.dstPort[row] = hasNone && respPort === 0 ? -1 : respPort;
  }
  const ts = values.get('ts');
  if (ts !== undefined) {
    batch.timeUs[row] = readTime(ts);
    if (Number.isNaN(batch.timeUs[row]!))
      complaint = `ts: expected seconds or an RFC 3339 time, found ${ts.slice(0, 60)}`;
  }
  const most = Number.MAX_SAFE_INTEGER;
  batch.packets[row] = number('orig_pkts', most);
  batch.replyPackets[row] = number('resp_pkts', most);
  // With headers, as every other source counts; payload is all that old logs have.
  batch.bytes[row] = values.has('orig_ip_bytes') ? number('orig_ip_bytes', most) : number('orig_bytes', most);
  batch.replyBytes[row] = values.has('resp_ip_bytes') ? number('resp_ip_bytes', most) : number('resp_bytes', most);
  const state = values.get('conn_state');
  if (state !== undefined && !STATES.includes(state)) addUnknownValue(account, 'conn_state', state);
  const orientedBy = orientBy(values, state);
  batch.orientedBy[row] = orientedBy;
  batch.orientation[row] = orientedBy === OrientedBy.Assumed ? Orientation.Unknown : Orientation.Original;
  return complaint;
}

/** `ip_proto` is exact and new; `proto` says `icmp` for both families. */
function readProtocol(values: Values, family: number, number: number): number | undefined {
  if (number >= 0) return number;
  const word = values.get('proto');
  if (word === undefined || word === 'unknown_transport') return Protocol.Unknown;
  const protocol = parseProtocol(word);
  return protocol === Protocol.Icmp && family === 6 ? Protocol.Icmpv6 : protocol;
}

/** Types of requests and of their answers: RFC 792, 950, 1256, 4443, 4861, 2710, 4620. */
const ICMP_ANSWERS: Readonly<Record<string, number>> = {
  '4 8': 0,
  '4 13': 14,
  '4 15': 16,
  '4 17': 18,
  '4 10': 9,
  '6 128': 129,
  '6 133': 134,
  '6 135': 136,
  '6 130': 131,
  '6 139': 140,
};

const STATES = ['S0', 'S1', 'S2', 'S3', 'SF', 'REJ', 'RSTO', 'RSTR', 'RSTOS0', 'RSTRH', 'SH', 'SHR', 'OTH'];

/**
 * Stated, unless Zeek says that it turned the connection round by its ports (`^` in the history), that only the responder's
 * half was seen (RSTRH, SHR: a SYN+ACK tells, or else the ports), or that it met a TCP connection in the middle (OTH).
 */
function orientBy(values: Values, state: string | undefined): OrientedBy {
  const isTcp = (values.get('proto') ?? 'tcp') === 'tcp';
  if (state === 'OTH' && isTcp) return OrientedBy.Assumed;
  if (values.get('history')?.includes('^') === true) return OrientedBy.Ports;
  if (state === 'RSTRH' || state === 'SHR') return isTcp ? OrientedBy.Flags : OrientedBy.Ports;
  return OrientedBy.Stated;
}

function readTime(text: string): number {
  const seconds = Number(text);
  if (Number.isNaN(seconds)) return parseTime(text);
  // A time in seconds has ten digits until the year 2286; writers in milliseconds exist.
  return checkTime(Math.round(Math.abs(seconds) < 1e11 ? seconds * 1e6 : seconds * 1e3));
}

function fieldOf(name: string): Field | undefined {
  const field = name.replaceAll('.', '_');
  return FIELD_SET.has(field) ? (field as Field) : undefined;
}

/** `\x2c` and its like; anything else behind a backslash stays as it is. */
function unescapeText(text: string): string {
  let at = text.indexOf('\\x');
  if (at < 0) return text;
  let out = '';
  let from = 0;
  for (; at >= 0; at = text.indexOf('\\x', from)) {
    const code = Number.parseInt(text.slice(at + 2, at + 4), 16);
    out += text.slice(from, at) + (Number.isNaN(code) ? '\\x' : String.fromCharCode(code));
    from = Number.isNaN(code) ? at + 2 : at + 4;
  }
  return out + text.slice(from);
}

function isZeekConnection({ rawLines, json }: Head): boolean {
  if (json !== undefined) return false;
  const path = rawLines.find((line) => line.startsWith('#path'));
  if (path !== undefined) return path.endsWith('conn') && path.length <= '#path'.length + 2 + 'conn'.length;
  const fields = rawLines.find((line) => line.startsWith('#fields'));
  return fields !== undefined && fields.includes('orig_h') && fields.includes('conn_state');
}
