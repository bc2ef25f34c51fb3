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
  bytesOf,
  type BinaryColumn,
  type ColumnArray,
  columnOf,
  alignEight,
  COLUMNS_1,
  FILE_HEADER_SIZE,
  GROUP_MAGIC,
  GROUP_ROWS_MOST,
  type GroupParts,
  isBinary,
  partsOf,
  QUOTE_SIZE,
  readColumnarHead,
  SHARDED_FILE_HEADER_SIZE,
  SHARDED_VERSION,
} from './binary-layout.ts';
import {
  blockRows,
  blockTailSize,
  fillPlaces,
  groupHeaderSize,
  isClock,
  orderOfPlaces,
  readShardHead,
  scatter,
  type ShardHead,
  SHARDS_MOST,
  shardsOf,
} from './binary-shard.ts';
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
  /** Undefined: its rows are one block, as they came. */
  readonly shards: ShardHead | undefined;
}

/** Memory for the columns of a group, and for the lines of its rows where the memory is an arena. */
interface Room {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly scanner: BinaryScanner | undefined;
}

/** A file is read to where its columns stay. */
async function* readFile(context: ReadContext, file: DirectFile): AsyncGenerator<void> {
  const decoder = new BinaryDecoder(context, file);
  const { account } = context;
  for (let isOver = false; !isOver && !decoder.isStopped && (await file.turn());) {
    while (!isOver && decoder.wants()) {
      account.bytes += decoder.passOver();
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
  private readonly file: DirectFile | undefined;
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
  /** Rows of the group that were handed out, and those that are to be. */
  private next = 0;
  private rows = 0;
  /** Shards of the trace, 0: it has none; and those that are read. */
  private shards = 0;
  private groupRowsMost: number = GROUP_ROWS_MOST;
  private range: readonly [number, number] = [0, 0];
  /** Bytes of others' shards before the next that are read, and behind those. */
  private gap = 0;
  private gapBehind = 0;
  /** [rows] where the rows that are read stood in the group; undefined: they are all of it. */
  private places: Uint16Array | undefined;
  /** [rows] */
  private clockUs: Float64Array | undefined;
  /** Where blocks are read to that have to be put together first, and whether the group's are such. */
  private blocks = new Uint8Array(0);
  private isApart = false;
  /** Is there a part of a group that the consumer has to hear of, though it may have no rows? */
  private owesBatch = false;
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

  /** `file`: where parts of the trace can be passed over. */
  constructor(context: ReadContext, file?: DirectFile) {
    this.context = context;
    this.file = file;
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
    if (size > 0 && !this.isStopped)
      this.stop('truncated', `the file ends inside a row group, ${size} bytes after its beginning`);
  }

  /** Is there more to be read before rows can be handed out? */
  wants(): boolean {
    return this.part !== Part.Rows && !this.isStopped;
  }

  /** Passes over what is others' before the next bytes; returns how many bytes. */
  passOver(): number {
    const { gap } = this;
    if (gap > 0) this.file!.skip(gap);
    this.gap = 0;
    return gap;
  }

  /** Where the next bytes of the file belong. */
  place(): Uint8Array {
    const { part, held, wanted } = this;
    if (part === Part.Columns) return (this.isApart ? this.blocks : this.room.bytes).subarray(held, wanted);
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
      const count = Math.min(batch.capacity, this.rows - this.next);
      if (count > 0) this.takeRows(count);
      else if (this.owesBatch) {
        this.noteShare();
        return true;
      } else this.endGroup();
      if (batch.count > 0) return true;
    }
    return false;
  }

  private endGroup(): void {
    const { size, rows } = this.group!;
    this.offset += size;
    this.rowsRead += rows;
    this.gap += this.gapBehind;
    this.gapBehind = 0;
    this.expect(Part.GroupHeader, groupHeaderSize(this.shards));
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
    const isSharded = isKnown && version === SHARDED_VERSION;
    if (isSharded && this.held < SHARDED_FILE_HEADER_SIZE)
      return this.expect(Part.FileHeader, SHARDED_FILE_HEADER_SIZE, FILE_HEADER_SIZE);
    if (!isKnown || version < 1 || version > SHARDED_VERSION || view.getUint32(12, true) !== this.columns.length) {
      this.isStopped = true;
      account.diagnostics.push({
        severity: 'error',
        code: 'unsupported-format',
        message: isKnown
          ? `this is version ${version} of the columnar trace; this dropcast reads versions 1 to ${SHARDED_VERSION}`
          : 'this is no columnar trace',
        file: account.file,
        hint: 'convert the original trace again',
      });
      return;
    }
    this.version = version;
    this.offset = this.held;
    if (isSharded) {
      const { shards, groupRows } = readColumnarHead(this.head)!;
      this.shards = shards;
      this.groupRowsMost = groupRows;
      if (this.shards < 2 || this.shards > SHARDS_MOST)
        return this.stop('file-header', `expected 2 to ${SHARDS_MOST} shards, found ${this.shards}`);
      const share = this.file && this.context.share;
      // A group is one batch to whoever reads a part of it.
      const isShared = share !== undefined && this.context.batch.capacity >= this.groupRowsMost;
      this.range = isShared ? shardsOf(this.shards, share) : [0, this.shards];
    }
    this.expect(Part.GroupHeader, groupHeaderSize(this.shards));
  }

  /** Are parts of groups left to other readers? */
  private get isShared(): boolean {
    return this.range[1] - this.range[0] < this.shards;
  }

  private openGroup(): void {
    const view = viewOf(this.head);
    const [magic, size, rows, addresses, factSize, quotes] = [0, 4, 8, 12, 16, 20].map((at) =>
      view.getUint32(at, true),
    ) as [number, number, number, number, number, number];
    if (magic !== GROUP_MAGIC || size > GROUP_SIZE_LIMIT || rows > this.groupRowsMost || rows === 0)
      return this.stop('group-header', 'expected a row group');
    const counts = { addresses, facts: factSize, quotes, columns: this.columns.length };
    const parts = partsOf(this.version, counts, this.wanted);
    const shards = this.shards === 0 ? undefined : readShardHead(view, this.shards, rows);
    if (typeof shards === 'string') return this.stop('row-group', shards);
    if (parts.columns > size) return this.stop('row-group', 'its tables are longer than the group');
    this.group = { size, rows, addresses, factSize, quotes, parts, shards };
    if (size - parts.columns > this.sizeOfBlocks([0, this.shards], () => false))
      return this.stop('row-group', 'its columns are longer than its rows');
    this.expect(Part.Tables, parts.columns, this.wanted);
  }

  /** Takes over the tables. Nothing of a bad group is handed out. */
  private readTables(): void {
    const { dictionary } = this.context;
    const { size, addresses, factSize, quotes, parts, shards } = this.group!;
    const { head } = this;
    const view = viewOf(head);
    const encodings = this.version < 3 ? undefined : this.encodings;
    const isConstant = (column: number): boolean => encodings![column] === 0;
    if (encodings !== undefined) {
      const odd = encodings.findIndex((encoding) => encoding > 1);
      if (odd >= 0)
        return this.stop('row-group', `column ${this.columns[odd]!} has the unknown encoding ${encodings[odd]!}`);
      const all = parts.columns + this.sizeOfBlocks([0, this.shards], isConstant);
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
    let columnSize = size - parts.columns;
    let blockCount = 1;
    if (shards !== undefined) {
      // All readers of it see that it is cut off, whichever shards are missing.
      if (this.isShared && this.file!.left < columnSize) {
        this.held = parts.columns + this.file!.left;
        this.context.account.bytes += this.file!.left;
        return this.finish();
      }
      const [first, end] = this.range;
      columnSize = this.sizeOfBlocks(this.range, isConstant);
      this.gap += this.sizeOfBlocks([0, first], isConstant);
      this.gapBehind = this.sizeOfBlocks([end, this.shards], isConstant);
      blockCount = blockRows(shards, this.range).length;
    }
    this.isApart = blockCount > 1;
    if (this.isApart && this.blocks.length < columnSize) this.blocks = new Uint8Array(columnSize);
    if (this.room.bytes.length < columnSize)
      this.room = roomOf(new Uint8Array(Math.max(columnSize, this.room.bytes.length * 2)));
    this.expect(Part.Columns, columnSize);
  }

  /** [column] of the group, since version 3. */
  private get encodings(): Uint8Array {
    const at = groupHeaderSize(this.shards);
    return this.head.subarray(at, at + this.columns.length);
  }

  /** Bytes of the columns of some of the group's shards, with what stands behind them; all of them where it has none. */
  private sizeOfBlocks(range: readonly [number, number], isConstant: (column: number) => boolean): number {
    const { rows, shards } = this.group!;
    if (shards === undefined) return this.sizeOfColumns(rows, isConstant);
    let size = 0;
    for (const own of blockRows(shards, range))
      size += this.sizeOfColumns(own, isConstant) + blockTailSize(own, shards.hasClock);
    return size;
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

  /** The group's rows are there. */
  private openRows(): void {
    const { group, wanted, room } = this;
    const { rows, shards } = group!;
    this.places = this.clockUs = undefined;
    this.rows = rows;
    if (shards === undefined) {
      const at = this.findColumns(room.bytes, 0, rows);
      if (at < 0) return;
      if (at !== wanted)
        return this.stop(
          'row-group',
          `its parts have ${group!.parts.columns + at} bytes, the group says ${group!.size}`,
        );
    } else if (!this.isApart) {
      this.rows = blockRows(shards, this.range)[0] ?? 0;
      const at = this.rows === 0 ? 0 : this.findColumns(room.bytes, 0, this.rows);
      ({ places: this.places, clockUs: this.clockUs } = tailOf(room.bytes, at, this.rows, shards));
    } else if (!this.joinBlocks(shards)) return this.stop('row-group', 'its rows have no order');
    this.context.account.read += rows;
    this.next = 0;
    this.owesBatch = this.isShared && shards !== undefined;
    this.part = Part.Rows;
    this.held = 0;
  }

  /**
   * Finds the columns of so many rows from an offset of these bytes on; returns where they end, or -1 where they cannot be. Before version 3 each
   * has its encoding before it.
   */
  private findColumns(bytes: Uint8Array, from: number, rows: number): number {
    const { version, wanted } = this;
    const encodings = version < 3 ? undefined : this.encodings;
    let at = from;
    for (let column = 0; column < this.columns.length; column++) {
      const name = this.columns[column]!;
      const width = columnOf(this.own, name).BYTES_PER_ELEMENT;
      if (encodings === undefined && at + 1 + width > wanted) {
        this.stop('row-group', 'its columns are longer than the group');
        return -1;
      }
      const encoding = encodings === undefined ? bytes[at++]! : encodings[column]!;
      if (encoding > 1) {
        this.stop('row-group', `column ${name} has the unknown encoding ${encoding}`);
        return -1;
      }
      this.offsets[column] = at;
      this.isConstant[column] = encoding === 0;
      const size = encoding === 0 ? width : width * rows;
      at += version < 3 ? size : alignEight(size);
    }
    return at;
  }

  /** Puts the rows of several shards into the room in the order in which they came; false: they have none. */
  private joinBlocks(shards: ShardHead): boolean {
    const { columns, blocks, room } = this;
    const starts: number[][] = [];
    const tails: ReturnType<typeof tailOf>[] = [];
    let from = 0;
    for (const count of blockRows(shards, this.range)) {
      const end = this.findColumns(blocks, from, count);
      starts.push([...this.offsets]);
      tails.push(tailOf(blocks, end, count, shards));
      from = end + blockTailSize(count, shards.hasClock);
    }
    const places = tails.map((tail) => tail.places);
    const order = orderOfPlaces(places, this.group!.rows);
    if (order === undefined) return false;
    this.rows = order.reduce((sum, { length }) => sum + length, 0);
    this.findColumns(room.bytes, 0, this.rows);
    for (let column = 0; column < columns.length; column++) {
      const { BYTES_PER_ELEMENT: width } = columnOf(this.own, columns[column]!);
      const to = this.offsets[column]!;
      const at = starts[0]![column]!;
      if (this.isConstant[column]!) room.bytes.set(blocks.subarray(at, at + width), to);
      else order.forEach((own, block) => scatter(room.bytes, to, blocks, starts[block]![column]!, width, own));
    }
    if (!this.isShared) return true;
    this.places = new Uint16Array(this.rows);
    if (shards.hasClock) this.clockUs = new Float64Array(this.rows);
    for (const [block, own] of order.entries()) {
      scatter(bytesOf(this.places), 0, bytesOf(places[block]!), 0, 2, own);
      if (shards.hasClock) scatter(bytesOf(this.clockUs!), 0, bytesOf(tails[block]!.clockUs!), 0, 8, own);
    }
    return true;
  }

  /** The next rows of the group; those of a slice with values out of range are counted as malformed and left out. */
  private takeRows(count: number): void {
    const { batch, account } = this.context;
    const start = this.rowsRead + this.next + 1;
    this.noteShare();
    batch.extent = undefined;
    for (let index = 0; index < this.columns.length; index++) this.takeColumn(index, count);
    if (this.columns.length === COLUMNS_1) {
      batch.connections.fill(1, 0, count);
      batch.repeats.fill(0, 0, count);
      batch.policies.fill(0, 0, count);
    }
    const areInOrder = this.fillLines(count);
    const first = this.next;
    this.next += count;
    if (areInOrder && this.areRowsValid(first, count)) {
      if (!this.areIdsEqual) this.translateIds(count);
      if (this.group!.quotes > 0) this.copyQuotes(count);
      const time = batch.timeUs[0]!;
      if (this.isConstant[TIME]! && time === time) batch.extent = { firstUs: time, lastUs: time };
      batch.count = count;
      return;
    }
    if (this.isShared) {
      // Others do not see it, and would go on.
      this.rows = this.next = 0;
      return areInOrder
        ? this.stop('value-range', 'a value is out of its range')
        : this.stop('row-group', 'its rows have no order');
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

  /** The lines of the next rows; false where those of a part, or their clock, are in no order. */
  private fillLines(count: number): boolean {
    const { own, room, group, places, clockUs, next, rowsRead } = this;
    const scanner = own.line.buffer === room.bytes.buffer ? room.scanner : undefined;
    const start = rowsRead + next + 1;
    if (places !== undefined) {
      const last =
        scanner !== undefined && places.buffer === own.line.buffer
          ? scanner.fillPlaces(own.line.byteOffset, places.byteOffset, count, start)
          : fillPlaces(own.line, places, start);
      return last >= 0 && last < group!.rows && (clockUs === undefined || isClock(clockUs, group!.shards!));
    }
    if (scanner !== undefined) scanner.fillLines(own.line.byteOffset, count, start);
    else for (let row = 0; row < count; row++) own.line[row] = start + row;
    return true;
  }

  /** Says what the batch stands for, where others read the rest. */
  private noteShare(): void {
    const { group, rowsRead, clockUs } = this;
    this.owesBatch = false;
    this.context.batch.share = undefined;
    if (!this.isShared || group!.shards === undefined) return;
    const { firstUs, lastUs } = group!.shards;
    this.context.batch.share = { first: rowsRead, end: rowsRead + group!.rows, firstUs, lastUs, clockUs };
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

/** What stands behind the columns of a block. */
function tailOf(
  { buffer, byteOffset }: Uint8Array,
  at: number,
  rows: number,
  { hasClock }: ShardHead,
): { places: Uint16Array; clockUs: Float64Array | undefined } {
  const places = byteOffset + at;
  const clock = places + blockTailSize(rows, false);
  return {
    places: new Uint16Array(buffer, places, rows),
    clockUs: hasClock && rows > 0 ? new Float64Array(buffer, clock, rows) : undefined,
  };
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
