/**
 * Comma (or tab, or semicolon) separated values with a header: dropcast's own columns, a user's mapping of columns, or names
 * that other tools commonly use. A record may span lines inside quotes (RFC 4180). Labels, quotes of ICMP errors and SCTP
 * details have no columns; NDJSON and the binary format keep them.
 */
import { formatAddress, parseAddress, type Family } from '../model/address.ts';
import {
  Orientation,
  OrientedBy,
  RecordKind,
  clearRow,
  type Dictionary,
  type EndpointFact,
  type FlowBatch,
} from '../model/flow.ts';
import { formatProtocol, parseProtocol } from '../model/port.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createLineDecoder, type Place } from './line.ts';
import { internPod } from './ndjson.ts';
import { checkTime, formatTime, parseTime } from './time.ts';
import {
  KIND_WORDS,
  ORIENTATION_WORDS,
  ORIENTED_BY_WORDS,
  VERDICT_WORDS,
  formatTcpFlags,
  indexOfWord,
  parseTcpFlags,
  parseVerdict,
} from './word.ts';

/** What a column can hold; also the header of a file that dropcast writes, in this order. */
export const CSV_FIELDS = [
  'time',
  'kind',
  'src',
  'srcPort',
  'dst',
  'dstPort',
  'protocol',
  'icmpType',
  'icmpCode',
  'tcpFlags',
  'bytes',
  'packets',
  'replyBytes',
  'replyPackets',
  'orientation',
  'orientedBy',
  'verdict',
  'preDst',
  'preDstPort',
  'srcPod',
  'dstPod',
  'connections',
  'repeats',
] as const;

/** The name of a field. */
export type CsvField = (typeof CSV_FIELDS)[number];

/** Which column of a file holds which field. */
export interface CsvMapping {
  /** Field -> column name as in the header. Fields that are not named here are looked for under their usual names. */
  readonly columns: Readonly<Partial<Record<CsvField, string>>>;
  /** Unit of a numeric time; by default told by its size. */
  readonly timeUnit?: 's' | 'ms' | 'us' | 'ns';
  /** What a record stands for; by default a whole connection, or one direction where the columns say nothing of replies. */
  readonly kind?: 'packet' | 'flow' | 'conn' | 'decision' | 'aggregate';
}

/** Separated values with a header. */
export const CSV: TraceFormat = {
  name: 'csv',
  description: 'separated values with a header',
  recognise: isCsv,
  isText: true,
  limits: ['A CSV file carries no labels: what is known of an endpoint is its address and at most its name.'],
  open: openCsv,
};

/** Column names that other tools give a field, in lower case without blanks, `_`, `-`, `.` and `:`. */
const ALIASES: Readonly<Record<CsvField, readonly string[]>> = {
  time: [
    'time',
    'timestamp',
    'ts',
    't',
    'start',
    'starttime',
    'firstseen',
    'first',
    'datetime',
    'date',
    'timeflowstart',
  ],
  kind: ['kind', 'k'],
  src: [
    'src',
    'srcip',
    'source',
    'sourceip',
    'srcaddr',
    'srcaddress',
    'sourceaddress',
    'saddr',
    'sa',
    'ipsrc',
    'origh',
    'idorigh',
    'clientip',
    'initiator',
  ],
  srcPort: ['srcport', 'sport', 'sourceport', 'sp', 'portsrc', 'idorigp', 'clientport'],
  dst: [
    'dst',
    'dstip',
    'destination',
    'dest',
    'destip',
    'destinationip',
    'dstaddr',
    'dstaddress',
    'destinationaddress',
    'destaddress',
    'daddr',
    'da',
    'ipdst',
    'resph',
    'idresph',
    'serverip',
    'responder',
  ],
  dstPort: ['dstport', 'dport', 'destport', 'destinationport', 'dp', 'portdst', 'idrespp', 'serverport', 'port'],
  protocol: ['protocol', 'proto', 'pr', 'ipproto', 'transport', 'ipprotocol', 'protocolidentifier'],
  icmpType: ['icmptype'],
  icmpCode: ['icmpcode'],
  tcpFlags: ['tcpflags', 'flags', 'flg'],
  bytes: ['bytes', 'octets', 'ibyt', 'bytesfwd', 'bytessent', 'srcbytes', 'origbytes'],
  packets: ['packets', 'pkts', 'ipkt', 'packetsfwd', 'packetssent', 'origpkts'],
  replyBytes: ['replybytes', 'obyt', 'bytesrev', 'bytesreceived', 'dstbytes', 'respbytes'],
  replyPackets: ['replypackets', 'opkt', 'packetsrev', 'packetsreceived', 'resppkts'],
  orientation: ['orientation', 'orient'],
  orientedBy: ['orientedby', 'orientby'],
  verdict: ['verdict', 'action', 'decision', 'policyverdict'],
  preDst: ['predst', 'clusterip', 'destinationclusterip', 'serviceip', 'destinationserviceip'],
  preDstPort: ['predstport', 'predport', 'serviceport', 'destinationserviceport'],
  srcPod: ['srcpod', 'sourcepod'],
  dstPod: ['dstpod', 'destpod', 'destinationpod'],
  connections: ['connections'],
  repeats: ['repeats'],
};

const DELIMITERS = [',', '\t', ';'] as const;

const words = new Uint32Array(4);
const encoder = new TextEncoder();

/** The rows of a batch, behind the header in the first part. */
export function writeCsv(batch: FlowBatch, dictionary: Dictionary, part: 'first' | 'further'): Uint8Array {
  let text = part === 'first' ? `${CSV_FIELDS.join(',')}\n` : '';
  for (let row = 0; row < batch.count; row++) {
    text += `${CSV_FIELDS.map((field) => quoteCell(cellOf(batch, row, field, dictionary))).join(',')}\n`;
  }
  return encoder.encode(text);
}

function cellOf(batch: FlowBatch, row: number, field: CsvField, dictionary: Dictionary): string {
  const count = (value: number): string => (value < 0 ? '' : String(value));
  switch (field) {
    case 'time':
      return formatTime(batch.timeUs[row]!);
    case 'kind':
      return KIND_WORDS[batch.kind[row]!]!;
    case 'src':
      return addressText(dictionary, batch.family[row]! as Family, batch.src[row]!);
    case 'dst':
      return addressText(dictionary, batch.family[row]! as Family, batch.dst[row]!);
    case 'srcPort':
      return count(batch.srcPort[row]!);
    case 'dstPort':
      return count(batch.dstPort[row]!);
    case 'protocol':
      return batch.protocol[row] === 255 ? '' : formatProtocol(batch.protocol[row]!);
    case 'icmpType':
      return batch.icmp[row]! < 0 ? '' : String(batch.icmp[row]! >> 8);
    case 'icmpCode':
      return batch.icmp[row]! < 0 ? '' : String(batch.icmp[row]! & 255);
    case 'tcpFlags': {
      const flags = formatTcpFlags(batch.tcpFlags[row]!);
      return flags === '' ? '.' : (flags ?? '');
    }
    case 'bytes':
      return count(batch.bytes[row]!);
    case 'packets':
      return count(batch.packets[row]!);
    case 'replyBytes':
      return count(batch.replyBytes[row]!);
    case 'replyPackets':
      return count(batch.replyPackets[row]!);
    case 'orientation':
      return ORIENTATION_WORDS[batch.orientation[row]!]!;
    case 'orientedBy':
      return ORIENTED_BY_WORDS[batch.orientedBy[row]!]!;
    case 'verdict':
      return VERDICT_WORDS[batch.recordedVerdict[row]!]!;
    case 'preDst':
      return batch.preDstPort[row]! < 0
        ? ''
        : addressText(dictionary, batch.family[row]! as Family, batch.preDst[row]!);
    case 'preDstPort':
      return count(batch.preDstPort[row]!);
    case 'srcPod':
      return podName(dictionary.endpoints[batch.srcEndpoint[row]!]);
    case 'dstPod':
      return podName(dictionary.endpoints[batch.dstEndpoint[row]!]);
    case 'connections':
      return String(batch.connections[row]!);
    case 'repeats':
      return String(batch.repeats[row]!);
  }
}

function addressText(dictionary: Dictionary, family: Family, value: number): string {
  if (family === 4) words[0] = value;
  return formatAddress(family, family === 6 ? dictionary.addresses.get(value) : words);
}

function podName(fact: EndpointFact | undefined): string {
  return fact?.kind === 'pod' && fact.namespace !== undefined && fact.name !== undefined
    ? `${fact.namespace}/${fact.name}`
    : '';
}

/** Quotes where RFC 4180 asks for it; a cell that a spreadsheet would take for a formula gets an apostrophe in front. */
function quoteCell(cell: string): string {
  const first = cell.charCodeAt(0);
  const isFormula = first === 61 || first === 43 || first === 45 || first === 64 || first === 9 || first === 13;
  const safe = isFormula ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function isCsv(head: Head): boolean {
  if (head.json !== undefined || head.lines.length === 0) return false;
  const fields = matchHeader(head.lines[0]!, undefined);
  if (fields === undefined) return false;
  const has = (field: CsvField): boolean => fields.columns.includes(field);
  const hasEnds = (has('src') && has('dst')) || (has('srcPod') && has('dstPod'));
  return hasEnds && (has('protocol') || has('dstPort'));
}

interface Header {
  readonly delimiter: string;
  /** What each column holds. */
  readonly columns: readonly (CsvField | undefined)[];
}

function matchHeader(line: string, mapping: CsvMapping | undefined): Header | undefined {
  for (const delimiter of DELIMITERS) {
    if (!line.includes(delimiter)) continue;
    const names = splitCells(line, delimiter);
    if (names === undefined) return undefined;
    const columns: (CsvField | undefined)[] = names.map(() => undefined);
    for (const field of CSV_FIELDS) {
      const mapped = mapping?.columns[field];
      const index =
        mapped === undefined
          ? names.findIndex((name, at) => columns[at] === undefined && ALIASES[field].includes(normaliseName(name)))
          : names.indexOf(mapped);
      if (index >= 0) columns[index] = field;
    }
    return { delimiter, columns };
  }
  return undefined;
}

function normaliseName(name: string): string {
  let text = '';
  for (const char of name.slice(0, 60).toLowerCase()) if (!' _-.:'.includes(char)) text += char;
  return text;
}

function openCsv(context: ReadContext): TraceDecoder {
  const { account, mapping } = context;
  let header: Header | undefined;
  let isHeaderBad = false;
  /** The beginning of a record whose quotes are still open. */
  let open = '';
  let openPlace: Place | undefined;
  const lines = createLineDecoder(context, (line, place) => {
    if (header === undefined) {
      // The header is no record.
      account.read--;
      if (line.startsWith('#')) return;
      header = matchHeader(line, mapping);
      if (header !== undefined) return;
      header = { delimiter: ',', columns: [] };
      isHeaderBad = true;
      account.diagnostics.push({
        severity: 'error',
        code: 'malformed-record',
        message: 'expected a header with the names of the columns',
        file: account.file,
        line: place.number,
        excerpt: line.slice(0, 120),
      });
      return;
    }
    if (isHeaderBad) return addMalformed(account, 'no-header', place, 'the file has no header to read it by');
    if (openPlace !== undefined) account.read--;
    const start = openPlace ?? place;
    const text = openPlace === undefined ? line : `${open}\n${line}`;
    const cells = splitCells(text, header.delimiter);
    if (cells === undefined && text.length < 65_536) {
      open = text;
      openPlace = start;
      return;
    }
    open = '';
    openPlace = undefined;
    if (cells === undefined) return addMalformed(account, 'open-quote', start, 'a quote is never closed', text);
    if (cells.length !== header.columns.length)
      return addMalformed(
        account,
        'field-count',
        start,
        `expected ${header.columns.length} fields, found ${cells.length}`,
        text,
      );
    takeCells(context, header, cells, start, text);
  });
  return {
    decode: (bytes, start, end) => lines.decode(bytes, start, end),
    finish(bytes, start, end) {
      lines.finish(bytes, start, end);
      if (openPlace !== undefined) addMalformed(account, 'open-quote', openPlace, 'a quote is never closed', open);
    },
  };
}

/** The cells of a record, or undefined where a quote is open at its end. */
function splitCells(text: string, delimiter: string): string[] | undefined {
  const cells: string[] = [];
  let index = 0;
  for (;;) {
    if (text.charCodeAt(index) === 34) {
      let cell = '';
      for (;;) {
        const close = text.indexOf('"', index + 1);
        if (close < 0) return undefined;
        cell += text.slice(index + 1, close);
        index = close + 1;
        if (text.charCodeAt(index) !== 34) break;
        cell += '"';
      }
      const next = text.indexOf(delimiter, index);
      cells.push(cell);
      if (next < 0) return cells;
      index = next + 1;
    } else {
      const next = text.indexOf(delimiter, index);
      cells.push(text.slice(index, next < 0 ? undefined : next).trim());
      if (next < 0) return cells;
      index = next + 1;
    }
  }
}

const row = new Map<CsvField, string>();

function takeCells(context: ReadContext, header: Header, cells: readonly string[], place: Place, text: string): void {
  const { account, batch } = context;
  row.clear();
  for (let index = 0; index < cells.length; index++) {
    const field = header.columns[index];
    const cell = cells[index]!;
    if (field !== undefined && cell !== '' && cell !== '-')
      row.set(field, cell.length > 1 && cell[0] === "'" && '=+-@\t\r'.includes(cell[1]!) ? cell.slice(1) : cell);
  }
  const complaint = fillRow(context, batch.count, row);
  if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint, text);
  batch.line[batch.count] = place.number;
  batch.count++;
}

/** Fills a row from named texts; returns what is wrong with them, or the empty text. */
function fillRow(
  { batch, dictionary, account, mapping }: ReadContext,
  at: number,
  cells: ReadonlyMap<CsvField, string>,
): string {
  clearRow(batch, at);
  let complaint = '';
  const number = (field: CsvField, limit: number): number => {
    const cell = cells.get(field);
    if (cell === undefined) return -1;
    const value = Number(cell);
    if (Number.isInteger(value) && value >= 0 && value <= limit) return value;
    complaint = `${field}: expected a whole number from 0 to ${limit}, found ${cell}`;
    return -1;
  };
  const word = (field: CsvField, set: readonly string[], absent: number): number => {
    const cell = cells.get(field);
    if (cell === undefined) return absent;
    const index = indexOfWord(set, cell);
    if (index >= 0) return index;
    addUnknownValue(account, field, cell);
    return absent;
  };
  const pod = (field: CsvField): number => {
    const cell = cells.get(field);
    if (cell === undefined) return 0;
    const slash = cell.indexOf('/');
    if (slash > 0 && slash < cell.length - 1) return internPod(dictionary, cell.slice(0, slash), cell.slice(slash + 1));
    complaint = `${field}: expected namespace/name, found ${cell}`;
    return 0;
  };
  const address = (field: CsvField): Family => {
    const cell = cells.get(field);
    if (cell === undefined) return 0;
    const family = parseAddress(cell, words);
    if (family === 0) complaint = `${field}: expected an IP address, found ${cell}`;
    return family;
  };
  const keep = (family: Family): number =>
    family === 6 ? dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!) : words[0]!;

  const family = address('src');
  if (family !== 0) batch.src[at] = keep(family);
  const other = address('dst');
  if (other !== 0) batch.dst[at] = keep(other);
  if (complaint === '' && family !== other) complaint = 'src and dst: expected two addresses of one family';
  batch.family[at] = family;
  batch.srcEndpoint[at] = pod('srcPod');
  batch.dstEndpoint[at] = pod('dstPod');
  if (complaint === '' && family === 0 && batch.srcEndpoint[at] === 0 && batch.dstEndpoint[at] === 0)
    complaint = 'expected addresses or pods';

  const protocol = cells.get('protocol');
  if (protocol !== undefined) {
    const parsed = parseProtocol(protocol);
    if (parsed === undefined) addUnknownValue(account, 'protocol', protocol);
    else batch.protocol[at] = parsed;
  }
  // Exports write port 0 for protocols that have none.
  const hasPorts = [6, 17, 132, 136, 33].includes(batch.protocol[at]!);
  const srcPort = number('srcPort', 65535);
  const dstPort = number('dstPort', 65535);
  batch.srcPort[at] = srcPort === 0 && !hasPorts ? -1 : srcPort;
  batch.dstPort[at] = dstPort === 0 && !hasPorts ? -1 : dstPort;
  const icmpType = number('icmpType', 255);
  if (icmpType >= 0) batch.icmp[at] = (icmpType << 8) | Math.max(0, number('icmpCode', 255));
  batch.bytes[at] = number('bytes', Number.MAX_SAFE_INTEGER);
  batch.packets[at] = number('packets', Number.MAX_SAFE_INTEGER);
  const flags = cells.get('tcpFlags');
  if (flags !== undefined) {
    const bits = parseTcpFlags(flags);
    if (bits < 0) addUnknownValue(account, 'tcpFlags', flags);
    else batch.tcpFlags[at] = bits;
  }
  const time = cells.get('time');
  if (time !== undefined) {
    batch.timeUs[at] = readTime(time, mapping?.timeUnit);
    if (Number.isNaN(batch.timeUs[at]!)) complaint = `time: expected RFC 3339 or a number, found ${time}`;
  }
  const defaultKind = mapping?.kind === undefined ? RecordKind.Connection : indexOfWord(KIND_WORDS, mapping.kind);
  const kind = word('kind', KIND_WORDS, defaultKind);
  batch.kind[at] = kind;
  const isConnection = kind === RecordKind.Connection || kind === RecordKind.Aggregate;
  const replyBytes = number('replyBytes', Number.MAX_SAFE_INTEGER);
  const replyPackets = number('replyPackets', Number.MAX_SAFE_INTEGER);
  batch.replyBytes[at] = isConnection ? replyBytes : Math.max(0, replyBytes);
  batch.replyPackets[at] = isConnection ? replyPackets : Math.max(0, replyPackets);
  const namesInitiator = kind >= RecordKind.Connection;
  const orientation = word(
    'orientation',
    ORIENTATION_WORDS,
    namesInitiator ? Orientation.Original : Orientation.Unknown,
  );
  batch.orientation[at] = orientation;
  batch.orientedBy[at] = word(
    'orientedBy',
    ORIENTED_BY_WORDS,
    orientation === Orientation.Unknown ? OrientedBy.Assumed : OrientedBy.Stated,
  );
  const verdict = cells.get('verdict');
  if (verdict !== undefined) {
    const parsed = parseVerdict(verdict);
    if (parsed === undefined) addUnknownValue(account, 'verdict', verdict);
    else batch.recordedVerdict[at] = parsed;
  }
  const connections = number('connections', Number.MAX_SAFE_INTEGER);
  if (connections >= 0) batch.connections[at] = connections;
  batch.repeats[at] = Math.max(0, number('repeats', Number.MAX_SAFE_INTEGER));
  const preFamily = address('preDst');
  if (preFamily !== 0 && preFamily === family) {
    batch.preDst[at] = keep(preFamily);
    const port = number('preDstPort', 65535);
    batch.preDstPort[at] = port >= 0 ? port : Math.max(0, batch.dstPort[at]!);
  }
  return complaint;
}

/** A number's unit by its size: seconds have 10 digits until the year 2286, milliseconds 13, microseconds 16. */
function readTime(text: string, unit: CsvMapping['timeUnit']): number {
  const number = Number(text);
  if (Number.isNaN(number)) return parseTime(text);
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
