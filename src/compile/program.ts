/**
 * The Program: the compiled tables as typed arrays over one buffer, immutable once built. It can be handed to a worker, kept
 * on disk, and is refused by a reader that does not know its magic and version.
 */
import type { Dialect } from '../model/dialect.ts';
import type { Policy } from '../model/policy.ts';
import type { Snapshot } from '../model/cluster.ts';
import { findFault } from './fault.ts';
import { Header, Layout, Section } from './layout.ts';
import { PageStore } from './page.ts';

/** What the tables were compiled from; decide does not touch it, explain and reports do. */
export interface ProgramSource {
  readonly snapshot: Snapshot;
  readonly policies: readonly Policy[];
  readonly dialect: Dialect;
}

/** Compiled tables. Shapes are given as [rows x columns] of elements; see `layout.ts` for the meaning of numbers. */
export interface Program {
  readonly buffer: ArrayBufferLike;
  readonly header: Uint32Array;
  /** Trie: [65,536] offset into mid4, by the first two octets. Fragments: [65,537] first interval of each run. */
  readonly root4: Int32Array;
  /** [blocks x 256] `TrieCell`, an offset into leaf4, by the third octet; empty in the form of fragments. */
  readonly mid4: Int32Array;
  /** [blocks x 256] endpoint, by the last octet; empty in the form of fragments. */
  readonly leaf4: Int32Array;
  /** [intervals] last two octets of each start, runs of root4 one after another; empty in the form of a trie. */
  readonly starts4: Uint16Array;
  /** [intervals] endpoint; empty in the form of a trie. */
  readonly values4: Int32Array;
  /** [2^Root6Bits + 1] IPv6 interval at the beginning of each slot; the last interval at the end. */
  readonly root6: Uint32Array;
  /** [intervals x 4] first address of each IPv6 interval, four words with their sign bits flipped, sorted. */
  readonly starts6: Int32Array;
  /** [intervals] endpoint. */
  readonly values6: Int32Array;
  /** [slots x 4] single IPv6 addresses, open addressing by `hashAddress6`. */
  readonly hosts6: Int32Array;
  /** [slots] endpoint; -1 marks an empty slot. */
  readonly hostValues6: Int32Array;
  /** [endpoints x 8], see `Endpoint`. */
  readonly endpoints: Int32Array;
  /** [rows x pages per row] page number. */
  readonly egressPageIndex: Uint32Array;
  /** [pages x 64] vector number; `Header.CellBytes` wide, as ingressPages. */
  readonly egressPages: Uint16Array | Uint32Array;
  readonly ingressPageIndex: Uint32Array;
  readonly ingressPages: Uint16Array | Uint32Array;
  /** [196,868] class of each (protocol, port), see `PortIndex`. */
  readonly portClasses: Uint16Array;
  /** [vectors x pages per vector] page number. */
  readonly vectorPageIndex: Uint32Array;
  /** [pages x 64] outcome number, by port class. */
  readonly vectorPages: Uint16Array;
  /** [outcomes], see `packOutcome`. */
  readonly outcomes: Uint32Array;
  /** [slots x 4], open addressing, see `ServiceSlot`. */
  readonly serviceSlots: Uint32Array;
  /** [backends x 2] endpoint, port. */
  readonly backends: Int32Array;
  /** [pods + 1] run of each pod of the snapshot in `podEndpoints`. */
  readonly podEndpointStart: Uint32Array;
  readonly podEndpoints: Uint32Array;
  readonly source: ProgramSource;
}

/** The arrays of a Program before they are laid out in one buffer. */
export type Tables = Omit<Program, 'buffer' | 'header' | 'source'>;

/** The same as compile has them: cells of both directions still lie where they were built. */
export type BuiltTables = Omit<Tables, 'egressPages' | 'ingressPages'> &
  Readonly<Record<'egressPages' | 'ingressPages', PageStore>>;

const HEAD_BYTES = (Header.Size + Section.Count * 3) * 4;

/** `cell`: u16 or u32, as `Header.CellBytes` says. */
type Element = 'i32' | 'u32' | 'u16' | 'cell';

/** Name and element type of each section, indexed by `Section`. */
const SECTIONS: readonly (readonly [keyof Tables, Element])[] = [
  ['root4', 'i32'],
  ['mid4', 'i32'],
  ['leaf4', 'i32'],
  ['starts4', 'u16'],
  ['values4', 'i32'],
  ['root6', 'u32'],
  ['starts6', 'i32'],
  ['values6', 'i32'],
  ['hosts6', 'i32'],
  ['hostValues6', 'i32'],
  ['endpoints', 'i32'],
  ['egressPageIndex', 'u32'],
  ['egressPages', 'cell'],
  ['ingressPageIndex', 'u32'],
  ['ingressPages', 'cell'],
  ['portClasses', 'u16'],
  ['vectorPageIndex', 'u32'],
  ['vectorPages', 'u16'],
  ['outcomes', 'u32'],
  ['serviceSlots', 'u32'],
  ['backends', 'i32'],
  ['podEndpointStart', 'u32'],
  ['podEndpoints', 'u32'],
];

/**
 * Lays the tables out in one fresh buffer. `scalars` fills the header beyond its first four words, `Header.CellBytes` included. Throws a
 * RangeError where the buffer would be beyond 4 GiB.
 */
export function buildProgram(
  tables: BuiltTables,
  scalars: ReadonlyMap<Header, number>,
  source: ProgramSource,
): Program {
  const cellBytes = scalars.get(Header.CellBytes)!;
  let bytes = Header.Size * 4 + Section.Count * 12;
  const offsets = SECTIONS.map(([name]) => {
    bytes = align(bytes);
    const offset = bytes;
    const table = tables[name];
    bytes += table instanceof PageStore ? table.length * cellBytes : table.byteLength;
    return offset;
  });
  if (bytes > 0xffffffff) throw new RangeError(`a Program of ${bytes} bytes does not fit its 32-bit offsets`);
  const buffer = new ArrayBuffer(align(bytes));
  const words = new Uint32Array(buffer, 0, Header.Size + Section.Count * 3);
  words[Header.Magic] = Layout.Magic;
  words[Header.Version] = Layout.Version;
  words[Header.Bytes] = buffer.byteLength;
  words[Header.Sections] = Section.Count;
  for (const [word, value] of scalars) words[word] = value;
  SECTIONS.forEach(([name], section) => {
    const table = tables[name];
    const offset = offsets[section]!;
    words.set([section, offset, table.length], Header.Size + section * 3);
    if (table instanceof PageStore)
      table.copy(new (cellBytes === 2 ? Uint16Array : Uint32Array)(buffer, offset, table.length));
    else
      new Uint8Array(buffer, offset, table.byteLength).set(
        new Uint8Array(table.buffer, table.byteOffset, table.byteLength),
      );
  });
  return viewBuffer(buffer, source);
}

/** A buffer is no Program that this version can read, or its tables contradict themselves. */
export class InvalidProgram extends RangeError {
  override readonly name = 'InvalidProgram';
}

/**
 * A Program from its buffer, which a worker got, or a disk kept. Nothing is copied; every index in the tables is checked once, so
 * that whatever was taken decides without reading beside its tables. `source` is what it was compiled from: names, judge and
 * explain need it; without it they throw InvalidProgram, and look-ups by address and decide work. Throws InvalidProgram.
 */
export function programFrom(buffer: ArrayBufferLike, source?: ProgramSource): Program {
  const program = viewBuffer(buffer, source);
  const fault = findFault(program, source);
  if (fault !== undefined) throw new InvalidProgram(`not a sound Program: ${fault}`);
  return program;
}

/** `Program.from(buffer, source)` is `programFrom`. */
export const Program: { readonly from: (buffer: ArrayBufferLike, source?: ProgramSource) => Program } = {
  from: programFrom,
};

/** The sections of a buffer, after checks that they lie in it. */
function viewBuffer(buffer: ArrayBufferLike, source: ProgramSource | undefined): Program {
  if (buffer.byteLength < HEAD_BYTES)
    throw new InvalidProgram(`a Program has a header of ${HEAD_BYTES} bytes, found ${buffer.byteLength}`);
  const header = new Uint32Array(buffer, 0, Header.Size);
  if (header[Header.Magic] !== Layout.Magic) throw new InvalidProgram('not a Program: the magic number is missing');
  if (header[Header.Version] !== Layout.Version)
    throw new InvalidProgram(
      `a Program of version ${Layout.Version} is expected, found version ${header[Header.Version]}`,
    );
  if (header[Header.Bytes]! > buffer.byteLength || header[Header.Sections] !== Section.Count)
    throw new InvalidProgram(`a Program of ${header[Header.Bytes]} bytes is expected, found ${buffer.byteLength}`);
  const cellBytes = header[Header.CellBytes]!;
  if (cellBytes !== 2 && cellBytes !== 4)
    throw new InvalidProgram(`cells of 2 or 4 bytes are expected, found ${cellBytes}`);
  const directory = new Uint32Array(buffer, Header.Size * 4, Section.Count * 3);
  const views = SECTIONS.map(([name, element], section) => {
    const offset = directory[section * 3 + 1]!;
    const count = directory[section * 3 + 2]!;
    const bytes = element === 'u16' ? 2 : element === 'cell' ? cellBytes : 4;
    if (directory[section * 3] !== section || offset % 8 !== 0 || offset + count * bytes > buffer.byteLength)
      throw new InvalidProgram(`a Program's section ${name} is cut, or not where it should be`);
    const view =
      element === 'i32'
        ? new Int32Array(buffer, offset, count)
        : bytes === 4
          ? new Uint32Array(buffer, offset, count)
          : new Uint16Array(buffer, offset, count);
    return [name, view] as const;
  });
  const tables = Object.fromEntries(views) as unknown as Tables;
  if (source !== undefined) return { buffer, header, ...tables, source };
  return {
    buffer,
    header,
    ...tables,
    get source(): never {
      throw new InvalidProgram('this Program was read without its source, which names, judge and explain need');
    },
  };
}

function align(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
