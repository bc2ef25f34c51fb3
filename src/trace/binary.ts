/**
 * dropcast's columnar trace: what `convert -o binary` writes, so that a large log is parsed once and replayed many times.
 * Little-endian. A file header, then row groups; a group carries the addresses, endpoints and quotes that are new in it, then
 * each column as one value (all rows equal) or as plain elements, so that reading is one copy a column. The layout is in
 * docs/traces.md; a reader refuses a version that it does not know.
 */
import { addQuote, type Dictionary, type FlowBatch, type QuoteColumns, TcpFlag } from '../model/flow.ts';
import { addMalformed } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { startsWith } from './head.ts';
import { parseJson } from './line.ts';
import { endpointToJson, internEndpointJson, internPoliciesJson, policiesToJson } from './ndjson.ts';
import { TIME_MAX_US } from './time.ts';

/** The columnar trace. */
export const BINARY: TraceFormat = {
  name: 'binary',
  description: "dropcast's columnar trace",
  recognise: ({ bytes }) => isBinary(bytes),
  isText: false,
  limits: [],
  open: openBinary,
};

/** The version that is written; version 1 is read too. */
const BINARY_VERSION = 2;
/** Rows of a group, at most. */
export const GROUP_ROWS = 65_536;

/** Do these bytes begin like a columnar trace? */
export function isBinary(bytes: Uint8Array): boolean {
  return startsWith(bytes, ...MAGIC);
}

/** A writer of one file; it remembers which addresses and endpoints the file already has. */
export interface BinaryWriter {
  write(batch: FlowBatch): Uint8Array;
  end(): Uint8Array;
}

/** `DROPTRC` and a byte that text transfer would damage. */
const MAGIC: readonly number[] = [0x44, 0x52, 0x4f, 0x50, 0x54, 0x52, 0x43, 0x8a];
const HEADER_SIZE = 16;
const GROUP_MAGIC = 0x50555247; // 'GRUP'
const GROUP_HEADER_SIZE = 24;
/** A group with every column plain and generous tables stays far below this. */
const GROUP_SIZE_LIMIT = 256 * 1024 * 1024;

/** A column of a batch that the file keeps. */
export type BinaryColumn =
  | 'kind'
  | 'family'
  | 'protocol'
  | 'src'
  | 'dst'
  | 'srcPort'
  | 'dstPort'
  | 'icmp'
  | 'tcpFlags'
  | 'timeUs'
  | 'bytes'
  | 'packets'
  | 'replyBytes'
  | 'replyPackets'
  | 'orientation'
  | 'orientedBy'
  | 'recordedVerdict'
  | 'srcEndpoint'
  | 'dstEndpoint'
  | 'preDst'
  | 'preDstPort'
  | 'flags'
  | 'quote'
  | 'sctpChunks'
  | 'sctpTag'
  | 'sctpInitTag'
  | 'connections'
  | 'repeats'
  | 'policies';

/** The columns in file order; `line` is not kept: a row's line is its number in this file. */
export const BINARY_COLUMNS: readonly BinaryColumn[] = [
  'kind',
  'family',
  'protocol',
  'src',
  'dst',
  'srcPort',
  'dstPort',
  'icmp',
  'tcpFlags',
  'timeUs',
  'bytes',
  'packets',
  'replyBytes',
  'replyPackets',
  'orientation',
  'orientedBy',
  'recordedVerdict',
  'srcEndpoint',
  'dstEndpoint',
  'preDst',
  'preDstPort',
  'flags',
  'quote',
  'sctpChunks',
  'sctpTag',
  'sctpInitTag',
  'connections',
  'repeats',
  'policies',
];
/** Columns of version 1: without the last three, and its verdicts without those of cloud firewalls. */
const COLUMNS_1 = 26;
const QUOTE_SIZE = 22;

/** Columns that hold numbers of the file's own. */
const NUMBERED: readonly BinaryColumn[] = ['src', 'dst', 'preDst', 'srcEndpoint', 'dstEndpoint', 'policies'];

/** The first value that a closed set does not have. */
const BOUNDS = { kind: 5, orientation: 3, orientedBy: 5, recordedVerdict: 8 } as const;

type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** Starts a file; ids of `dictionary` are rewritten to ids of the file in the order of their first use. */
export function createBinaryWriter(dictionary: Dictionary): BinaryWriter {
  const addressIds = new Map<number, number>();
  const endpointIds = new Map<number, number>([[0, 0]]);
  const policyIds = new Map<number, number>([[0, 0]]);
  let isStarted = false;
  const start = (): Uint8Array[] => {
    if (isStarted) return [];
    isStarted = true;
    return [fileHeader()];
  };
  return {
    write(batch) {
      const parts = start();
      for (let from = 0; from < batch.count; from += GROUP_ROWS)
        parts.push(
          encodeGroup(batch, from, Math.min(batch.count, from + GROUP_ROWS), dictionary, {
            addressIds,
            endpointIds,
            policyIds,
          }),
        );
      return join(parts);
    },
    end: () => join(start()),
  };
}

function fileHeader(): Uint8Array {
  const header = new Uint8Array(HEADER_SIZE);
  header.set(MAGIC);
  new DataView(header.buffer).setUint32(8, BINARY_VERSION, true);
  new DataView(header.buffer).setUint32(12, BINARY_COLUMNS.length, true);
  return header;
}

/** Ids of the dictionary -> ids of the file. */
interface FileIds {
  readonly addressIds: Map<number, number>;
  readonly endpointIds: Map<number, number>;
  readonly policyIds: Map<number, number>;
}

function encodeGroup(
  batch: FlowBatch,
  from: number,
  to: number,
  dictionary: Dictionary,
  { addressIds, endpointIds, policyIds }: FileIds,
): Uint8Array {
  const rows = to - from;
  const newAddresses: number[] = [];
  const newEndpoints: number[] = [];
  const newPolicies: number[] = [];
  const columns = new Map<string, Column>();
  for (const name of BINARY_COLUMNS) columns.set(name, (batch[name] as Column).slice(from, to));
  const idOf = (ids: Map<number, number>, added: number[], value: number): number => {
    let id = ids.get(value);
    if (id === undefined) {
      id = ids.size;
      ids.set(value, id);
      added.push(value);
    }
    return id;
  };
  const addressId = (value: number): number => idOf(addressIds, newAddresses, value);
  const family = columns.get('family')!;
  const src = columns.get('src')!;
  const dst = columns.get('dst')!;
  const preDst = columns.get('preDst')!;
  const preDstPort = columns.get('preDstPort')!;
  const srcEndpoint = columns.get('srcEndpoint')!;
  const dstEndpoint = columns.get('dstEndpoint')!;
  const policies = columns.get('policies')!;
  for (let row = 0; row < rows; row++) {
    if (family[row] === 6) {
      src[row] = addressId(src[row]!);
      dst[row] = addressId(dst[row]!);
      preDst[row] = preDstPort[row]! >= 0 ? addressId(preDst[row]!) : 0;
    }
    srcEndpoint[row] = idOf(endpointIds, newEndpoints, srcEndpoint[row]!);
    dstEndpoint[row] = idOf(endpointIds, newEndpoints, dstEndpoint[row]!);
    policies[row] = idOf(policyIds, newPolicies, policies[row]!);
  }
  const quotes = encodeQuotes(batch, columns.get('quote')!, addressId);
  const addresses = new Uint32Array(newAddresses.length * 4);
  newAddresses.forEach((value, index) => addresses.set(dictionary.addresses.get(value), index * 4));
  const facts = {
    endpoints: newEndpoints.map((id) => endpointToJson(dictionary.endpoints[id]!)),
    policies: newPolicies.map((id) => policiesToJson(dictionary.policyTraces[id]!)),
  };
  const endpointText = new TextEncoder().encode(JSON.stringify(facts));

  const header = new Uint8Array(GROUP_HEADER_SIZE);
  const parts: Uint8Array[] = [header, toBytes(addresses), endpointText, quotes];
  for (const name of BINARY_COLUMNS) {
    const column = columns.get(name)!;
    const isConstant = isEverywhereEqual(column);
    parts.push(Uint8Array.of(isConstant ? 0 : 1), toBytes(isConstant ? column.subarray(0, 1) : column));
  }
  const group = join(parts);
  const view = new DataView(group.buffer);
  view.setUint32(0, GROUP_MAGIC, true);
  view.setUint32(4, group.length, true);
  view.setUint32(8, rows, true);
  view.setUint32(12, addresses.length / 4, true);
  view.setUint32(16, endpointText.length, true);
  view.setUint32(20, quotes.length / QUOTE_SIZE, true);
  return group;
}

/** The quotes that rows of the group point to, renumbered from 0. */
function encodeQuotes(batch: FlowBatch, quote: Column, addressId: (value: number) => number): Uint8Array {
  const rows: number[] = [];
  for (let row = 0; row < quote.length; row++) if (quote[row]! >= 0) quote[row] = rows.push(quote[row]!) - 1;
  const bytes = new Uint8Array(rows.length * QUOTE_SIZE);
  const view = new DataView(bytes.buffer);
  const { quotes } = batch;
  rows.forEach((row, index) => {
    const at = index * QUOTE_SIZE;
    const isIpv6 = quotes.family[row] === 6;
    view.setUint8(at, quotes.family[row]!);
    view.setUint8(at + 1, quotes.protocol[row]!);
    view.setUint32(at + 2, isIpv6 ? addressId(quotes.src[row]!) : quotes.src[row]!, true);
    view.setUint32(at + 6, isIpv6 ? addressId(quotes.dst[row]!) : quotes.dst[row]!, true);
    view.setInt32(at + 10, quotes.srcPort[row]!, true);
    view.setInt32(at + 14, quotes.dstPort[row]!, true);
    view.setInt32(at + 18, quotes.icmp[row]!, true);
  });
  return bytes;
}

function isEverywhereEqual(column: Column): boolean {
  const first = column[0]!;
  // NaN times are equal to each other here.
  for (let row = 1; row < column.length; row++) if (!Object.is(column[row], first)) return false;
  return true;
}

function openBinary(context: ReadContext): TraceDecoder {
  return new BinaryDecoder(context);
}

/** A group that has been understood up to its columns; its rows go out in slices. */
interface OpenGroup {
  readonly rows: number;
  readonly size: number;
  /** Offsets of the columns from the group's start, in the order of `BINARY_COLUMNS`, and whether each is one value. */
  readonly offsets: readonly number[];
  readonly isConstant: readonly boolean[];
  /** File ids -> ids of the dictionary. */
  readonly quotesOffset: number;
  readonly quotes: number;
  next: number;
}

class BinaryDecoder implements TraceDecoder {
  isStopped = false;
  private readonly context: ReadContext;
  private isHeaderRead = false;
  private offset = 0;
  private rowsRead = 0;
  private group: OpenGroup | undefined;
  private addressIds = new Uint32Array(1024);
  private addressCount = 0;
  private endpointIds = new Uint32Array(1024);
  private endpointCount = 1;
  private policyIds = new Uint32Array(256);
  private policyCount = 1;
  /** Those that the file's version has. */
  private columns: readonly (typeof BINARY_COLUMNS)[number][] = BINARY_COLUMNS;
  /** True while ids of the file are ids of the dictionary. */
  private areIdsEqual = true;

  constructor(context: ReadContext) {
    this.context = context;
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    const { batch, account } = this.context;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = start;
    if (!this.isHeaderRead) {
      if (end - at < HEADER_SIZE) return at;
      const version = view.getUint32(at + 8, true);
      const isKnown = isBinary(bytes.subarray(at, end));
      if (version === 1) this.columns = BINARY_COLUMNS.slice(0, COLUMNS_1);
      const isUnknown =
        version < 1 || version > BINARY_VERSION || view.getUint32(at + 12, true) !== this.columns.length;
      if (!isKnown || isUnknown) {
        this.isStopped = true;
        account.diagnostics.push({
          severity: 'error',
          code: 'unsupported-format',
          message: isKnown
            ? `this is version ${version} of the columnar trace; this dropcast reads versions 1 to ${BINARY_VERSION}`
            : 'this is no columnar trace',
          file: account.file,
          hint: 'convert the original trace again',
        });
        return end;
      }
      this.isHeaderRead = true;
      at += HEADER_SIZE;
      this.offset += HEADER_SIZE;
    }
    while (at < end && batch.count < batch.capacity) {
      if (this.group === undefined) {
        if (end - at < GROUP_HEADER_SIZE) return at;
        const size = view.getUint32(at + 4, true);
        const rows = view.getUint32(at + 8, true);
        if (view.getUint32(at, true) !== GROUP_MAGIC || size > GROUP_SIZE_LIMIT || rows > GROUP_ROWS || rows === 0)
          return this.stop('group-header', 'expected a row group', end);
        if (end - at < size) return at;
        const complaint = this.openGroup(bytes, view, at, size, rows);
        if (complaint !== '') return this.stop('row-group', complaint, end);
      }
      const group = this.group!;
      this.copyRows(bytes, view, at, group);
      if (group.next < group.rows) return at;
      this.group = undefined;
      at += group.size;
      this.offset += group.size;
    }
    return at;
  }

  finish(_bytes: Uint8Array, start: number, end: number): void {
    if (end > start)
      this.stop('truncated', `the file ends inside a row group, ${end - start} bytes after its beginning`, end);
  }

  /** What cannot be read any more counts as one malformed record: how many rows it had is not known. */
  private stop(reason: string, detail: string, end: number): number {
    const { account } = this.context;
    account.read++;
    addMalformed(account, reason, { unit: 'record', number: this.rowsRead + 1, offset: this.offset }, detail);
    this.isStopped = true;
    return end;
  }

  /** Reads tables and finds the columns; returns what is wrong. Nothing of a bad group is handed out. */
  private openGroup(bytes: Uint8Array, view: DataView, start: number, size: number, rows: number): string {
    const { batch, dictionary, account } = this.context;
    const addresses = view.getUint32(start + 12, true);
    const endpointSize = view.getUint32(start + 16, true);
    const quotes = view.getUint32(start + 20, true);
    const addressOffset = GROUP_HEADER_SIZE;
    const endpointOffset = addressOffset + addresses * 16;
    const quotesOffset = endpointOffset + endpointSize;
    let at = quotesOffset + quotes * QUOTE_SIZE;
    const offsets: number[] = [];
    const isConstant: boolean[] = [];
    for (const name of this.columns) {
      const width = (batch[name] as Column).BYTES_PER_ELEMENT;
      if (at + 1 + width > size) return 'its columns are longer than the group';
      const encoding = bytes[start + at]!;
      if (encoding > 1) return `column ${name} has the unknown encoding ${encoding}`;
      offsets.push(at + 1);
      isConstant.push(encoding === 0);
      at += 1 + (encoding === 0 ? width : width * rows);
    }
    if (at !== size) return `its parts have ${at} bytes, the group says ${size}`;
    for (let index = 0; index < addresses; index++) {
      const word = start + addressOffset + index * 16;
      const id = dictionary.addresses.intern(
        view.getUint32(word, true),
        view.getUint32(word + 4, true),
        view.getUint32(word + 8, true),
        view.getUint32(word + 12, true),
      );
      this.addressIds = push(this.addressIds, this.addressCount, id);
      if (id !== this.addressCount++) this.areIdsEqual = false;
    }
    const complaint = this.readFacts(bytes.subarray(start + endpointOffset, start + quotesOffset));
    if (complaint !== '') return complaint;
    for (let index = 0; index < quotes; index++) {
      const quote = start + quotesOffset + index * QUOTE_SIZE;
      const family = bytes[quote]!;
      if (family !== 4 && family !== 6) return `a quote has the family ${family}`;
      if (
        family === 6 &&
        Math.max(view.getUint32(quote + 2, true), view.getUint32(quote + 6, true)) >= this.addressCount
      )
        return 'a quote has an address that the file does not list';
    }
    this.group = { rows, size, offsets, isConstant, quotesOffset, quotes, next: 0 };
    account.read += rows;
    return '';
  }

  /** Endpoints and policy traces; version 1 has a list of endpoints alone. */
  private readFacts(text: Uint8Array): string {
    let facts: unknown;
    try {
      facts = parseJson(new TextDecoder().decode(text));
    } catch {
      return 'its endpoints are no JSON';
    }
    const { dictionary } = this.context;
    const lists = Array.isArray(facts) ? { endpoints: facts as unknown, policies: [] } : facts;
    if (typeof lists !== 'object' || lists === null) return 'its endpoints are no list';
    const { endpoints, policies } = lists as Record<string, unknown>;
    if (!Array.isArray(endpoints) || !Array.isArray(policies)) return 'its endpoints are no list';
    for (const endpoint of endpoints as unknown[]) {
      if (typeof endpoint !== 'object' || endpoint === null) return 'an endpoint is no object';
      const id = internEndpointJson(dictionary, endpoint as Record<string, unknown>);
      this.endpointIds = push(this.endpointIds, this.endpointCount, id);
      if (id !== this.endpointCount++) this.areIdsEqual = false;
    }
    for (const trace of policies as unknown[]) {
      if (typeof trace !== 'object' || trace === null) return 'a policy trace is no object';
      const id = internPoliciesJson(dictionary, trace as Record<string, unknown>);
      this.policyIds = push(this.policyIds, this.policyCount, id);
      if (id !== this.policyCount++) this.areIdsEqual = false;
    }
    return '';
  }

  /** As many rows as the batch has room for; rows with values out of range are counted as malformed and left out. */
  private copyRows(bytes: Uint8Array, view: DataView, start: number, group: OpenGroup): void {
    const { batch, account } = this.context;
    const from = batch.count;
    const count = Math.min(batch.capacity - from, group.rows - group.next);
    if (this.columns.length === COLUMNS_1) {
      batch.connections.fill(1, from, from + count);
      batch.repeats.fill(0, from, from + count);
      batch.policies.fill(0, from, from + count);
    }
    for (let index = 0; index < this.columns.length; index++) {
      const column = batch[this.columns[index]!] as Column;
      const width = column.BYTES_PER_ELEMENT;
      const at = start + group.offsets[index]!;
      if (group.isConstant[index]!) fillColumn(batch, this.columns[index]!, readElement(view, at, column), from, count);
      else {
        batch.uniform?.delete(this.columns[index]!);
        const source = at + group.next * width;
        new Uint8Array(column.buffer, column.byteOffset + from * width, count * width).set(
          bytes.subarray(source, source + count * width),
        );
      }
    }
    const { line } = batch;
    for (let row = 0; row < count; row++) line[from + row] = this.rowsRead + row + 1;
    this.rowsRead += count;
    group.next += count;
    if (this.areRowsValid(from, count, group)) {
      if (!this.areIdsEqual) this.translateIds(from, count);
      if (group.quotes > 0) this.copyQuotes(view, start + group.quotesOffset, from, count);
      batch.count = from + count;
      return;
    }
    // One bad value costs the slice: the file was not written by dropcast.
    for (let row = 0; row < count; row++) {
      const number = line[from + row]!;
      addMalformed(
        account,
        'value-range',
        { unit: 'record', number, offset: this.offset },
        'a value is out of its range',
      );
    }
  }

  /** Whether every value is in its range. A column that is one value everywhere is looked at once. */
  private areRowsValid(from: number, count: number, group: OpenGroup): boolean {
    const { columns } = this;
    const { batch } = this.context;
    const to = from + count;
    for (let index = 0; index < columns.length; index++) {
      const name = columns[index]!;
      const end = group.isConstant[index]! ? from + 1 : to;
      if (!this.isColumnValid(name, from, end, group.quotes)) return false;
    }
    const { family, src, dst, preDst, preDstPort } = batch;
    const { addressCount } = this;
    // Addresses of version 6 are ids; one look is enough where all rows are of one other version.
    const familyEnd = group.isConstant[columns.indexOf('family')]! && family[from] !== 6 ? from : to;
    for (let row = from; row < familyEnd; row++) {
      if (family[row] !== 6) continue;
      if (src[row]! >= addressCount || dst[row]! >= addressCount) return false;
      if (preDstPort[row]! >= 0 && preDst[row]! >= addressCount) return false;
    }
    return true;
  }

  private isColumnValid(name: BinaryColumn, from: number, to: number, quotes: number): boolean {
    const { batch } = this.context;
    switch (name) {
      case 'kind':
      case 'orientation':
      case 'orientedBy':
      case 'recordedVerdict':
        return isBelow(batch[name], from, to, BOUNDS[name]);
      case 'srcEndpoint':
      case 'dstEndpoint':
        return isBelow(batch[name], from, to, this.endpointCount);
      case 'policies':
        return isBelow(batch[name], from, to, this.policyCount);
      case 'srcPort':
      case 'dstPort':
      case 'preDstPort':
      case 'icmp':
        return arePorts(batch[name], from, to);
      case 'bytes':
      case 'packets':
      case 'replyBytes':
      case 'replyPackets':
        return areAmounts(batch[name], from, to);
      case 'connections':
      case 'repeats': {
        const column = batch[name];
        for (let row = from; row < to; row++) if (!isCount(column[row]!)) return false;
        return true;
      }
      case 'family': {
        const { family } = batch;
        for (let row = from; row < to; row++)
          if (family[row] !== 4 && family[row] !== 6 && family[row] !== 0) return false;
        return true;
      }
      case 'tcpFlags':
        return areFlags(batch.tcpFlags, from, to);
      case 'timeUs':
        return areTimes(batch.timeUs, from, to);
      case 'quote': {
        const { quote } = batch;
        for (let row = from; row < to; row++) if (quote[row]! >= quotes || quote[row]! < -1) return false;
        return true;
      }
      default:
        // Addresses, protocols, flags and tags: any value.
        return true;
    }
  }

  private translateIds(from: number, count: number): void {
    const { family, src, dst, preDst, preDstPort, srcEndpoint, dstEndpoint, policies, uniform } = this.context.batch;
    const { addressIds, endpointIds, policyIds } = this;
    for (const name of NUMBERED) uniform?.delete(name);
    for (let row = from; row < from + count; row++) {
      if (family[row] === 6) {
        src[row] = addressIds[src[row]!]!;
        dst[row] = addressIds[dst[row]!]!;
        if (preDstPort[row]! >= 0) preDst[row] = addressIds[preDst[row]!]!;
      }
      srcEndpoint[row] = endpointIds[srcEndpoint[row]!]!;
      dstEndpoint[row] = endpointIds[dstEndpoint[row]!]!;
      policies[row] = policyIds[policies[row]!]!;
    }
  }

  private copyQuotes(view: DataView, start: number, from: number, count: number): void {
    const { batch } = this.context;
    batch.uniform?.delete('quote');
    for (let row = from; row < from + count; row++) {
      const source = batch.quote[row]!;
      if (source < 0) continue;
      const at = start + source * QUOTE_SIZE;
      const index = addQuote(batch);
      const quotes: QuoteColumns = batch.quotes;
      const isIpv6 = view.getUint8(at) === 6;
      const src = view.getUint32(at + 2, true);
      const dst = view.getUint32(at + 6, true);
      quotes.family[index] = view.getUint8(at);
      quotes.protocol[index] = view.getUint8(at + 1);
      quotes.src[index] = isIpv6 ? this.addressIds[src]! : src;
      quotes.dst[index] = isIpv6 ? this.addressIds[dst]! : dst;
      quotes.srcPort[index] = view.getInt32(at + 10, true);
      quotes.dstPort[index] = view.getInt32(at + 14, true);
      quotes.icmp[index] = view.getInt32(at + 18, true);
      batch.quote[row] = index;
    }
  }
}

/** One value in `count` rows from `from` on; in the whole column, once, where it is known what the others hold. */
function fillColumn(batch: FlowBatch, name: BinaryColumn, value: number, from: number, count: number): void {
  const column = batch[name] as Column;
  const { uniform } = batch;
  if (Object.is(uniform?.get(name), value)) return;
  const isWhole = uniform !== undefined && from === 0;
  column.fill(value, from, isWhole ? batch.capacity : from + count);
  if (isWhole) uniform.set(name, value);
  else uniform?.delete(name);
}

/** Small functions of their own, because each column type wants a loop that the compiler knows it by. */
function isBelow(column: Uint8Array | Uint32Array, from: number, to: number, bound: number): boolean {
  if (column instanceof Uint8Array) {
    for (let row = from; row < to; row++) if (column[row]! >= bound) return false;
  } else for (let row = from; row < to; row++) if (column[row]! >= bound) return false;
  return true;
}

function arePorts(column: Int32Array, from: number, to: number): boolean {
  for (let row = from; row < to; row++) if (!isPort(column[row]!)) return false;
  return true;
}

function areAmounts(column: Float64Array, from: number, to: number): boolean {
  for (let row = from; row < to; row++) if (!(column[row]! >= -1 && column[row]! < Infinity)) return false;
  return true;
}

function areFlags(column: Uint16Array, from: number, to: number): boolean {
  for (let row = from; row < to; row++) {
    const value = column[row]!;
    if (value > 0x1ff && value !== TcpFlag.Absent) return false;
  }
  return true;
}

/** A time that is absent is NaN. */
function areTimes(column: Float64Array, from: number, to: number): boolean {
  for (let row = from; row < to; row++) {
    const value = column[row]!;
    if (value > TIME_MAX_US || value < -TIME_MAX_US) return false;
  }
  return true;
}

/** A number of connections, which sums of them stay exact with. */
function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** A port, or an ICMP type and code; -1 none. */
function isPort(value: number): boolean {
  return (value + 1) >>> 0 <= 65_536;
}

function readElement(view: DataView, at: number, column: Column): number {
  switch (column.BYTES_PER_ELEMENT) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true);
    case 4:
      return column instanceof Int32Array ? view.getInt32(at, true) : view.getUint32(at, true);
    default:
      return view.getFloat64(at, true);
  }
}

function push(ids: Uint32Array, index: number, id: number): Uint32Array<ArrayBuffer> {
  let grown = ids as Uint32Array<ArrayBuffer>;
  if (index >= ids.length) {
    grown = new Uint32Array(ids.length * 2);
    grown.set(ids);
  }
  grown[index] = id;
  return grown;
}

function toBytes(column: Column): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
