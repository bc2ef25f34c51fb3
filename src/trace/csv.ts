/**
 * Comma (or tab, or semicolon) separated values with a header: dropcast's own columns, a user's mapping of columns, or names
 * that other tools commonly use. A record may span lines inside quotes (RFC 4180). Labels, quotes of ICMP errors and SCTP
 * details have no columns; NDJSON and the binary format keep them.
 */
import { formatAddress, type Family } from '../model/address.ts';
import { type Dictionary, type EndpointFact, type FlowBatch } from '../model/flow.ts';
import { formatProtocol } from '../model/port.ts';
import { addMalformed, noteSource } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createLineDecoder, type Place } from './line.ts';
import { fillRow } from './mapped-row.ts';
import {
  applyRule,
  CSV_FIELDS,
  isAbsent,
  sourceText,
  WRITTEN_FIELDS,
  type CsvField,
  type CsvMapping,
  type FieldRule,
  type MappingRules,
} from './mapping.ts';
import { formatTime } from './time.ts';
import { KIND_WORDS, ORIENTATION_WORDS, ORIENTED_BY_WORDS, VERDICT_WORDS, formatTcpFlags } from './word.ts';

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
  sampling: ['sampling', 'samplingrate', 'samplerate', 'samplinginterval'],
};

const DELIMITERS = [',', '\t', ';'] as const;

const words = new Uint32Array(4);
const encoder = new TextEncoder();

/** The rows of a batch, behind the header in the first part. */
export function writeCsv(batch: FlowBatch, dictionary: Dictionary, part: 'first' | 'further'): Uint8Array {
  let text = part === 'first' ? `${WRITTEN_FIELDS.join(',')}\n` : '';
  for (let row = 0; row < batch.count; row++) {
    text += `${WRITTEN_FIELDS.map((field) => quoteCell(fieldText(batch, row, field, dictionary))).join(',')}\n`;
  }
  return encoder.encode(text);
}

/** The cell of a field, empty where it is absent. */
export function fieldText(batch: FlowBatch, row: number, field: CsvField, dictionary: Dictionary): string {
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
    case 'sampling':
      return '';
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
  // Half a header may be another table's.
  if (!head.isWhole && !head.bytes.includes(10)) return false;
  const fields = matchHeader(head.lines[0]!, undefined);
  if (fields === undefined) return false;
  const has = (field: CsvField): boolean => fields.columns.includes(field);
  const hasEnds = (has('src') && has('dst')) || (has('srcPod') && has('dstPod'));
  return hasEnds && (has('protocol') || has('dstPort'));
}

interface Header {
  readonly delimiter: string;
  /** What each column holds by its name. */
  readonly columns: readonly (CsvField | undefined)[];
  /** What rules take from which columns. */
  readonly rules: readonly MappedColumns[];
  /** Columns that the mapping names and the header has not. */
  readonly missing: readonly MissingColumn[];
}

interface MissingColumn {
  readonly field: CsvField;
  readonly name: string;
  /** True where others may hold the field. */
  readonly hasOthers: boolean;
}

interface MappedColumns {
  readonly field: CsvField;
  readonly rule: FieldRule;
  readonly indexes: readonly number[];
}

function matchHeader(line: string, mapping: CsvMapping | undefined): Header | undefined {
  const rules = mapping?.rules;
  for (const delimiter of rules?.delimiter === undefined ? DELIMITERS : [rules.delimiter]) {
    if (rules?.delimiter === undefined && !line.includes(delimiter)) continue;
    const names = rules?.header ?? splitCells(line, delimiter);
    if (names === undefined) return undefined;
    if (rules !== undefined)
      return matchRules(rules, names, rules.header === undefined ? names.length : undefined, delimiter);
    const columns: (CsvField | undefined)[] = names.map(() => undefined);
    const missing: MissingColumn[] = [];
    for (const field of CSV_FIELDS) {
      const mapped = mapping?.columns[field];
      const index =
        mapped === undefined
          ? names.findIndex((name, at) => columns[at] === undefined && ALIASES[field].includes(normaliseName(name)))
          : names.indexOf(mapped);
      if (index >= 0) columns[index] = field;
      else if (mapped !== undefined) missing.push({ field, name: mapped, hasOthers: false });
    }
    return { delimiter, columns, rules: [], missing };
  }
  return undefined;
}

/** Columns by name; a number that is no name is a position, counted from 1. */
function matchRules(
  { fields }: MappingRules,
  names: readonly string[],
  count: number | undefined,
  delimiter: string,
): Header {
  const rules = [...fields].map(([field, rule]) => ({
    field,
    rule,
    indexes: rule.from.map((name) => {
      const index = names.indexOf(name);
      return index < 0 && /^[1-9]\d{0,3}$/.test(name) ? Number(name) - 1 : index;
    }),
  }));
  const missing = rules.flatMap(({ field, rule, indexes }) =>
    rule.from
      .filter((_, at) => indexes[at]! < 0)
      .map((name): MissingColumn => ({ field, name, hasOthers: rule.from.length > 1 })),
  );
  return { delimiter, columns: Array.from({ length: count ?? names.length }, () => undefined), rules, missing };
}

/** The field that a column of this name commonly holds. */
export function fieldOfName(name: string): CsvField | undefined {
  const plain = normaliseName(name);
  return CSV_FIELDS.find((field) => ALIASES[field].includes(plain));
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
      if (line.startsWith('#')) {
        account.read--;
        return;
      }
      header = matchHeader(line, mapping);
      if (header !== undefined) {
        addMissingColumns(context, header, place);
        noteColumns(context, header, line);
      }
      // The header is no record, unless the mapping says the names.
      if (header === undefined || mapping?.rules?.header === undefined) account.read--;
      if (header !== undefined && mapping?.rules?.header === undefined) return;
    }
    if (header === undefined) {
      header = { delimiter: ',', columns: [], rules: [], missing: [] };
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
export function splitCells(text: string, delimiter: string): string[] | undefined {
  if (delimiter === 'blanks') return text.trim().split(/[ \t]+/);
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

/** What the columns of the fields are called. */
function noteColumns({ account }: ReadContext, { columns, rules, delimiter }: Header, line: string): void {
  const names = columns.some((field) => field !== undefined) ? (splitCells(line, delimiter) ?? []) : [];
  for (const [index, field] of columns.entries())
    if (field !== undefined) noteSource(account, field, `column ${names[index] ?? index + 1}`);
  for (const { field, rule } of rules) noteSource(account, field, sourceText(rule));
}

/** Columns that a mapping names and the table has not: their fields are absent, which somebody should know. */
function addMissingColumns({ account }: ReadContext, { missing }: Header, place: Place): void {
  for (const { field, name, hasOthers } of missing)
    account.diagnostics.push({
      severity: hasOthers ? 'note' : 'warning',
      code: 'unknown-name',
      message: `${field}: the table has no column "${name}"`,
      file: account.file,
      line: place.number,
    });
}

function takeCells(context: ReadContext, header: Header, cells: readonly string[], place: Place, text: string): void {
  const { account, batch } = context;
  row.clear();
  for (let index = 0; index < cells.length; index++) {
    const field = header.columns[index];
    if (field !== undefined && !isAbsent(cells[index])) row.set(field, cellText(cells[index]!));
  }
  for (const { field, rule, indexes } of header.rules) {
    const found = applyRule(
      rule,
      field,
      indexes.map((index) => (cells[index] === undefined ? undefined : cellText(cells[index]))),
    );
    if (found !== undefined) row.set(field, found);
  }
  const complaint = fillRow(context, batch.count, row);
  if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint, text);
  batch.line[batch.count] = place.number;
  batch.count++;
}

/** A cell without the apostrophe that keeps spreadsheets from taking it for a formula. */
function cellText(cell: string): string {
  return cell.length > 1 && cell[0] === "'" && '=+-@\t\r'.includes(cell[1]!) ? cell.slice(1) : cell;
}
