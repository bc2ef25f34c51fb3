/**
 * The layout of dropcast's columnar trace, which reader and writer share; docs/traces.md describes it for others. A file header, then groups
 * of rows; a group has a header, tables of what is new in it, and its columns. Since version 3 every part begins at a multiple of eight
 * bytes, so that columns can be used where they were read to. A trace in shards (version 4) is one more header and a group's columns shard by
 * shard, see `binary-shard.ts`; without shards version 3 is written.
 */
import type { FlowBatch } from '../model/flow.ts';
import { startsWith } from './head.ts';

/** The version that is written; older ones are read too. */
export const BINARY_VERSION = 3;
/** The version of a trace in shards. */
export const SHARDED_VERSION = 4;
/** Rows of a group, at most. */
export const GROUP_ROWS_MOST = 65_536;
/** Rows of a written group: the columns of so many stay in the second-level cache. */
export const GROUP_ROWS = 16_384;

/** Do these bytes begin like a columnar trace? */
export function isBinary(bytes: Uint8Array): boolean {
  return startsWith(bytes, ...MAGIC);
}

/** What a file's header says; `shards` is 0 where it has none. */
export interface ColumnarHead {
  readonly shards: number;
  /** Of a trace in shards: most rows of a group. */
  readonly groupRows: number;
}

/** Reads a file's header, of which all bytes are there; undefined: it is another file's. */
export function readColumnarHead(bytes: Uint8Array): ColumnarHead | undefined {
  if (!isBinary(bytes)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(8, true) !== SHARDED_VERSION) return { shards: 0, groupRows: GROUP_ROWS_MOST };
  return { shards: view.getUint32(16, true), groupRows: Math.min(GROUP_ROWS_MOST, view.getUint32(20, true)) };
}

/** `DROPTRC` and a byte that text transfer would damage. */
export const MAGIC: readonly number[] = [0x44, 0x52, 0x4f, 0x50, 0x54, 0x52, 0x43, 0x8a];
/** Bytes of the file header, and of that of a trace in shards, which ends with their number and the most rows of a group. */
export const FILE_HEADER_SIZE = 16;
export const SHARDED_FILE_HEADER_SIZE = 24;
/** The first word of a group, 'GRUP'. */
export const GROUP_MAGIC = 0x50555247;
/** Bytes of a group's header, without its encodings. */
export const GROUP_HEADER_SIZE = 24;
/** Bytes of an address, and of a quote. */
export const ADDRESS_SIZE = 16;
export const QUOTE_SIZE = 22;

/** The columns in file order; `line` is not kept: a row's line is its number in this file. */
export const BINARY_COLUMNS = [
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
] as const;

/** A column of a batch that the file keeps. */
export type BinaryColumn = (typeof BINARY_COLUMNS)[number];

/** Columns of version 1: without the last three, and its verdicts without those of cloud firewalls. */
export const COLUMNS_1 = 26;

/** An array of any column. */
export type ColumnArray = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** Where the parts of a group begin, in bytes from its own beginning. */
export interface GroupParts {
  readonly addresses: number;
  readonly facts: number;
  readonly quotes: number;
  readonly columns: number;
}

/** The parts of a group with so many addresses, bytes of facts, quotes and columns, in a version, behind a header of so many bytes. */
export function partsOf(
  version: number,
  { addresses, facts, quotes, columns }: Readonly<Record<'addresses' | 'facts' | 'quotes' | 'columns', number>>,
  headerSize: number = GROUP_HEADER_SIZE,
): GroupParts {
  const align = version < 3 ? (offset: number) => offset : alignEight;
  const first = version < 3 ? headerSize : alignEight(headerSize + columns);
  const second = first + addresses * ADDRESS_SIZE;
  const third = align(second + facts);
  return { addresses: first, facts: second, quotes: third, columns: align(third + quotes * QUOTE_SIZE) };
}

/** The next multiple of eight. */
export function alignEight(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}

/** A column as bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: ColumnArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A column of a batch as what it is. */
export function columnOf(batch: FlowBatch, name: BinaryColumn): ColumnArray {
  return batch[name];
}
