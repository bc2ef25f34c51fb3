/**
 * Reading dropcast's columnar trace: what `convert -o binary` writes, so that a large log is parsed once and replayed many times. A group of
 * rows is put into memory as it lies in the file, by the reader of a file or out of the chunks of a stream, and the columns of its batch
 * are views of that memory. Columns of one value are arrays that are filled once; those of older versions, which are not aligned, are copied.
 */
import { addQuote, type Arena, type FlowBatch, type QuoteColumns } from '../model/flow.ts';
import { addMalformed } from './account.ts';
import {
  BINARY_COLUMNS,
  BINARY_VERSION,
  type BinaryColumn,
  type ColumnArray,
  columnOf,
  alignEight,
  COLUMNS_1,
  FILE_HEADER_SIZE,
  GROUP_HEADER_SIZE,
  GROUP_MAGIC,
  GROUP_ROWS_MOST,
  type GroupParts,
  isBinary,
  partsOf,
  QUOTE_SIZE,
} from './binary-layout.ts';
import { isColumnValid } from './binary-check.ts';
import { type BinaryScanner, createBinaryScanner } from './binary-scan.ts';
import type { DirectFile, ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { parseJson } from './line.ts';
import { internEndpointJson, internPoliciesJson } from './ndjson.ts';

/** The columnar trace. */
export const BINARY: TraceFormat = {
  name: 'binary',
  description: "dropcast's columnar trace",
  recognise: ({ bytes }) => isBinary(bytes),
  isText: false,
  limits: [],
  open: (context) => new BinaryDecoder(context),
  openDirect: readFile,
};

/** A group with every column plain and generous tables stays far below this. */
const GROUP_SIZE_LIMIT = 256 * 1024 * 1024;
/** Bytes of the tables that are made room for at once: who says that there are more has to bring them. */
const TABLE_STEP = 1 << 20;

/** The place of the times. */
const TIME = BINARY_COLUMNS.indexOf('timeUs');

/** Columns that hold numbers of the file's own. */
const NUMBERED: readonly BinaryColumn[] = ['src', 'dst', 'preDst', 'srcEndpoint', 'dstEndpoint', 'policies'];

/** What is read next. */
const enum Part {
  FileHeader = 0,
  GroupHeader = 1,
  Tables = 2,
  Columns = 3,
  /** The group is there, and its rows are handed out. */
  Rows = 4,
}

/** A group whose header is known. */
interface Group {
  readonly size: number;
  readonly rows: number;
  readonly addresses: number;
  readonly factSize: number;
  readonly quotes: number;
  readonly parts: GroupParts;
}

/** Memory for the columns of a group, and for the lines of its rows where the memory is an arena. */
interface Room {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly scanner: BinaryScanner | undefined;
}

/** A file is read to where its columns stay. */
async function* readFile(context: ReadContext, file: DirectFile): AsyncGenerator<void> {
  const decoder = new BinaryDecoder(context);
  const { account } = context;
  for (let isOver = false; !isOver && !decoder.isStopped && (await file.turn());) {
    while (!isOver && decoder.wants()) {
      const size = file.read(decoder.place());
      account.bytes += size;
      if (size === 0) isOver = true;
      else decoder.take(size);
    }
    while (decoder.fillBatch()) yield;
    if (isOver) decoder.finish();
  }
}

class BinaryDecoder implements TraceDecoder {
  isStopped = false;
  private readonly context: ReadContext;
  private version = BINARY_VERSION;
  private part = Part.FileHeader;
  /** Of the part that is read: bytes that are there, and all of it. */
  private held = 0;
  private wanted = FILE_HEADER_SIZE;
  /** A header, or a group up to its columns. */
  private head = new Uint8Array(1024);
  private group: Group | undefined;
  private room = roomOf(new Uint8Array(0));
  /** Offsets of the columns in the room, in the order of `BINARY_COLUMNS`, and whether each is one value. */
  private readonly offsets: number[] = [];
  private readonly isConstant: boolean[] = [];
  /** Rows of the group that were handed out. */
  private next = 0;
  /** The batch's own columns: for what cannot be a view. */
  private readonly own: FlowBatch;
  /** Where the file's group begins. */
  private offset = 0;
  private rowsRead = 0;
  private addressIds = new Uint32Array(1024);
  private addressCount = 0;
  private endpointIds = new Uint32Array(1024);
  private endpointCount = 1;
  private policyIds = new Uint32Array(256);
  private policyCount = 1;
  /** Those that the file's version has. */
  private columns: readonly BinaryColumn[] = BINARY_COLUMNS;
  /** True while ids of the file are ids of the dictionary. */
  private areIdsEqual = true;

  constructor(context: ReadContext) {
    this.context = context;
    const { batch, arena } = context;
    if (arena !== undefined) this.enter(arena);
    this.own = { ...batch };
  }

  /** A batch holds rows of one group. */
  get isFull(): boolean {
    return this.context.batch.count > 0;
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (!this.isFull && !this.fillBatch() && this.wants()) {
      const size = Math.min(end - at, this.wanted - this.held);
      if (size === 0) return at;
      const place = this.place();
      const taken = Math.min(size, place.length);
      place.set(bytes.subarray(at, at + taken));
      at += taken;
      this.take(taken);
    }
    return this.isStopped ? end : at;
  }

  finish(): void {
    const { part, held } = this;
    const size = held + (part === Part.Columns ? this.group!.parts.columns : 0);
    if (size > 0) this.stop('truncated', `the file ends inside a row group, ${size} bytes after its beginning`);
  }

  /** Is there more to be read before rows can be handed out? */
  wants(): boolean {
    return this.part !== Part.Rows && !this.isStopped;
  }

  /** Where the next bytes of the file belong. */
  place(): Uint8Array {
    const { part, held, wanted } = this;
    if (part === Part.Columns) return this.room.bytes.subarray(held, wanted);
    const size = Math.min(wanted, held + TABLE_STEP);
    if (this.head.length < size) {
      const grown = new Uint8Array(Math.max(size, this.head.length * 2));
      grown.set(this.head.subarray(0, held));
      this.head = grown;
    }
    return this.head.subarray(held, size);
  }

  /** So many bytes have been put there. */
  take(size: number): void {
    this.held += size;
    if (this.held < this.wanted) return;
    switch (this.part) {
      case Part.FileHeader:
        return this.openTrace();
      case Part.GroupHeader:
        return this.openGroup();
      case Part.Tables:
        return this.readTables();
      default:
        return this.openRows();
    }
  }

  /** Puts rows of the group into the empty batch, as many as it has room for; false: there is no group, or no rows are left in it. */
  fillBatch(): boolean {
    const { batch } = this.context;
    while (this.part === Part.Rows) {
      const count = Math.min(batch.capacity, this.group!.rows - this.next);
      if (count > 0) this.takeRows(count);
      else {
        this.offset += this.group!.size;
        this.expect(Part.GroupHeader, GROUP_HEADER_SIZE);
      }
      if (batch.count > 0) return true;
    }
    return false;
  }

  private expect(part: Part, wanted: number, held = 0): void {
    this.part = part;
    this.held = held;
    this.wanted = wanted;
    // There may be nothing in it.
    if (held === wanted) this.take(0);
  }

  private openTrace(): void {
    const { account } = this.context;
    const view = viewOf(this.head);
    const version = view.getUint32(8, true);
    const isKnown = isBinary(this.head);
    if (version === 1) this.columns = BINARY_COLUMNS.slice(0, COLUMNS_1);
    if (!isKnown || version < 1 || version > BINARY_VERSION || view.getUint32(12, true) !== this.columns.length) {
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
      return;
    }
    this.version = version;
    this.offset = FILE_HEADER_SIZE;
    this.expect(Part.GroupHeader, GROUP_HEADER_SIZE);
  }

  private openGroup(): void {
    const view = viewOf(this.head);
    const [magic, size, rows, addresses, factSize, quotes] = [0, 4, 8, 12, 16, 20].map((at) =>
      view.getUint32(at, true),
    ) as [number, number, number, number, number, number];
    if (magic !== GROUP_MAGIC || size > GROUP_SIZE_LIMIT || rows > GROUP_ROWS_MOST || rows === 0)
      return this.stop('group-header', 'expected a row group');
    const counts = { addresses, facts: factSize, quotes, columns: this.columns.length };
    const parts = partsOf(this.version, counts);
    if (parts.columns > size) return this.stop('row-group', 'its tables are longer than the group');
    if (size - parts.columns > this.sizeOfColumns(rows, () => false))
      return this.stop('row-group', 'its columns are longer than its rows');
    this.group = { size, rows, addresses, factSize, quotes, parts };
    this.expect(Part.Tables, parts.columns, GROUP_HEADER_SIZE);
  }

  /** Takes over the tables. Nothing of a bad group is handed out. */
  private readTables(): void {
    const { dictionary } = this.context;
    const { size, rows, addresses, factSize, quotes, parts } = this.group!;
    const { head } = this;
    const view = viewOf(head);
    if (this.version >= 3) {
      const encodings = head.subarray(GROUP_HEADER_SIZE, GROUP_HEADER_SIZE + this.columns.length);
      const odd = encodings.findIndex((encoding) => encoding > 1);
      if (odd >= 0)
        return this.stop('row-group', `column ${this.columns[odd]!} has the unknown encoding ${encodings[odd]!}`);
      const all = parts.columns + this.sizeOfColumns(rows, (column) => encodings[column] === 0);
      if (all !== size) return this.stop('row-group', `its parts have ${all} bytes, the group says ${size}`);
    }
    for (let index = 0; index < addresses; index++) {
      const word = parts.addresses + index * 16;
      const id = dictionary.addresses.intern(
        view.getUint32(word, true),
        view.getUint32(word + 4, true),
        view.getUint32(word + 8, true),
        view.getUint32(word + 12, true),
      );
      this.addressIds = push(this.addressIds, this.addressCount, id);
      if (id !== this.addressCount++) this.areIdsEqual = false;
    }
    const complaint = this.readFacts(head.subarray(parts.facts, parts.facts + factSize));
    if (complaint !== '') return this.stop('row-group', complaint);
    for (let index = 0; index < quotes; index++) {
      const quote = parts.quotes + index * QUOTE_SIZE;
      const family = head[quote]!;
      if (family !== 4 && family !== 6) return this.stop('row-group', `a quote has the family ${family}`);
      if (
        family === 6 &&
        Math.max(view.getUint32(quote + 2, true), view.getUint32(quote + 6, true)) >= this.addressCount
      )
        return this.stop('row-group', 'a quote has an address that the file does not list');
    }
    const columnSize = size - parts.columns;
    if (this.room.bytes.length < columnSize)
      this.room = roomOf(new Uint8Array(Math.max(columnSize, this.room.bytes.length * 2)));
    this.expect(Part.Columns, columnSize);
  }

  /** Endpoints and policy traces; version 1 has a list of endpoints alone. */
  private readFacts(text: Uint8Array): string {
    // Nothing is new in most groups.
    if (text.length === 0) return '';
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

  /** Bytes of the columns of so many rows. */
  private sizeOfColumns(rows: number, isConstant: (column: number) => boolean): number {
    const { own, version } = this;
    return this.columns.reduce((size, name, column) => {
      const width = columnOf(own, name).BYTES_PER_ELEMENT;
      const bytes = isConstant(column) ? width : width * rows;
      return size + (version < 3 ? 1 + bytes : alignEight(bytes));
    }, 0);
  }

  /** Finds the columns in the room. Before version 3 each has its encoding before it. */
  private openRows(): void {
    const { own, version, head, wanted, room } = this;
    const { rows } = this.group!;
    let at = 0;
    for (let column = 0; column < this.columns.length; column++) {
      const name = this.columns[column]!;
      const width = columnOf(own, name).BYTES_PER_ELEMENT;
      if (version < 3 && at + 1 + width > wanted)
        return this.stop('row-group', 'its columns are longer than the group');
      const encoding = version < 3 ? room.bytes[at++]! : head[GROUP_HEADER_SIZE + column]!;
      if (encoding > 1) return this.stop('row-group', `column ${name} has the unknown encoding ${encoding}`);
      this.offsets[column] = at;
      this.isConstant[column] = encoding === 0;
      const bytes = encoding === 0 ? width : width * rows;
      at += version < 3 ? bytes : alignEight(bytes);
    }
    const { size, parts } = this.group!;
    if (at !== wanted)
      return this.stop('row-group', `its parts have ${parts.columns + at} bytes, the group says ${size}`);
    this.context.account.read += rows;
    this.next = 0;
    this.part = Part.Rows;
    this.held = 0;
  }

  /** The next rows of the group; those of a slice with values out of range are counted as malformed and left out. */
  private takeRows(count: number): void {
    const { batch, account } = this.context;
    const { own, room } = this;
    const start = this.rowsRead + 1;
    batch.extent = undefined;
    for (let index = 0; index < this.columns.length; index++) this.takeColumn(index, count);
    if (this.columns.length === COLUMNS_1) {
      batch.connections.fill(1, 0, count);
      batch.repeats.fill(0, 0, count);
      batch.policies.fill(0, 0, count);
    }
    if (room.scanner !== undefined && own.line.buffer === room.bytes.buffer)
      room.scanner.fillLines(own.line.byteOffset, count, start);
    else for (let row = 0; row < count; row++) own.line[row] = start + row;
    const first = this.next;
    this.next += count;
    this.rowsRead += count;
    if (this.areRowsValid(first, count)) {
      if (!this.areIdsEqual) this.translateIds(count);
      if (this.group!.quotes > 0) this.copyQuotes(count);
      const time = batch.timeUs[0]!;
      if (this.isConstant[TIME]! && time === time) batch.extent = { firstUs: time, lastUs: time };
      batch.count = count;
      return;
    }
    // One bad value costs the slice: the file was not written by dropcast.
    for (let row = 0; row < count; row++)
      addMalformed(
        account,
        'value-range',
        { unit: 'record', number: start + row, offset: this.offset },
        'a value is out of its range',
      );
  }

  /** A column of the batch: filled, a view of the group, or a copy where the group's is not aligned. */
  private takeColumn(index: number, count: number): void {
    const { batch } = this.context;
    const { own, room } = this;
    const name = this.columns[index]!;
    const column = columnOf(own, name);
    const width = column.BYTES_PER_ELEMENT;
    const { buffer, byteOffset } = room.bytes;
    const at = this.offsets[index]!;
    if (this.isConstant[index]!) {
      setColumn(batch, name, column);
      return fillColumn(batch, name, readElement(room.view, at, column), count);
    }
    batch.uniform?.delete(name);
    const source = byteOffset + at + this.next * width;
    if (source % width === 0) {
      const known = columnOf(batch, name);
      if (known.buffer === buffer && known.byteOffset === source && known.length === count) return;
      const View = column.constructor as Uint8ArrayConstructor;
      return setColumn(batch, name, new View(buffer, source, count));
    }
    setColumn(batch, name, column);
    new Uint8Array(column.buffer, column.byteOffset, count * width).set(new Uint8Array(buffer, source, count * width));
  }

  /** Whether every value is in its range. */
  private areRowsValid(first: number, count: number): boolean {
    const { columns, room } = this;
    const { batch } = this.context;
    const bounds = { endpoints: this.endpointCount, policies: this.policyCount, quotes: this.group!.quotes };
    for (let index = 0; index < columns.length; index++) {
      const name = columns[index]!;
      // A column that is one value everywhere is looked at once, and that in the batch.
      const isConstant = this.isConstant[index]!;
      const at = room.bytes.byteOffset + this.offsets[index]! + first * columnOf(batch, name).BYTES_PER_ELEMENT;
      const scan = isConstant || room.scanner === undefined ? undefined : { scanner: room.scanner, at };
      if (!isColumnValid(batch, name, isConstant ? 1 : count, bounds, scan)) return false;
    }
    const { family, src, dst, preDst, preDstPort } = batch;
    const { addressCount } = this;
    // Addresses of version 6 are ids; one look is enough where all rows are of one other version.
    const familyEnd = this.isConstant[columns.indexOf('family')]! && family[0] !== 6 ? 0 : count;
    for (let row = 0; row < familyEnd; row++) {
      if (family[row] !== 6) continue;
      if (src[row]! >= addressCount || dst[row]! >= addressCount) return false;
      if (preDstPort[row]! >= 0 && preDst[row]! >= addressCount) return false;
    }
    return true;
  }

  private translateIds(count: number): void {
    const { family, src, dst, preDst, preDstPort, srcEndpoint, dstEndpoint, policies, uniform } = this.context.batch;
    const { addressIds, endpointIds, policyIds } = this;
    for (const name of NUMBERED) uniform?.delete(name);
    for (let row = 0; row < count; row++) {
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

  private copyQuotes(count: number): void {
    const { batch } = this.context;
    const view = viewOf(this.head);
    batch.uniform?.delete('quote');
    for (let row = 0; row < count; row++) {
      const source = batch.quote[row]!;
      if (source < 0) continue;
      const at = this.group!.parts.quotes + source * QUOTE_SIZE;
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

  /** Columns, and lines behind them, are put where the consumer uses them. */
  private enter(arena: Arena): void {
    const { batch } = this.context;
    const scanner = createBinaryScanner(arena);
    const columns = BINARY_COLUMNS.reduce(
      (size, name) => size + alignEight(columnOf(batch, name).BYTES_PER_ELEMENT * GROUP_ROWS_MOST) + 8,
      0,
    );
    const lines = Math.min(batch.capacity, GROUP_ROWS_MOST);
    if (scanner === undefined || columns + lines * 8 > arena.size) return;
    this.room = roomOf(new Uint8Array(arena.memory.buffer, arena.offset, columns), scanner);
    (batch as { line: Float64Array }).line = new Float64Array(arena.memory.buffer, arena.offset + columns, lines);
  }

  /** What cannot be read any more counts as one malformed record: how many rows it had is not known. */
  private stop(reason: string, detail: string): void {
    const { account } = this.context;
    account.read++;
    addMalformed(account, reason, { unit: 'record', number: this.rowsRead + 1, offset: this.offset }, detail);
    this.isStopped = true;
    this.held = 0;
  }
}

function roomOf(bytes: Uint8Array, scanner?: BinaryScanner): Room {
  return { bytes, view: viewOf(bytes), scanner };
}

function setColumn(batch: FlowBatch, name: BinaryColumn, column: ColumnArray): void {
  (batch as Record<BinaryColumn, ColumnArray>)[name] = column;
}

/** One value in the first `count` rows; in the whole column, once, where it is known what the others hold. */
function fillColumn(batch: FlowBatch, name: BinaryColumn, value: number, count: number): void {
  const { uniform } = batch;
  if (Object.is(uniform?.get(name), value)) return;
  columnOf(batch, name).fill(value, 0, uniform === undefined ? count : batch.capacity);
  uniform?.set(name, value);
}

function readElement(view: DataView, at: number, column: ColumnArray): number {
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

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
