/**
 * Parquet: AWS VPC flow logs, tables whose columns have usual names, and any other by a mapping. Row group by row group, column by column:
 * a column becomes numbers at once (`parquet-lane.ts`), and rows are put together from those; no object is made per row. The footer
 * stands at the end, so the file must be one that can be read anywhere, or fit into memory.
 */
import { gunzipSync } from 'node:zlib';
import { addMalformed, increment } from './account.ts';
import { createAwsAssembler, isAwsTable } from './parquet-aws.ts';
import { createMappedAssembler } from './parquet-mapped.ts';
import { readLane, type Lane, type LaneSpec } from './parquet-lane.ts';
import type { RandomAccess, ReadContext, TraceFormat } from './format.ts';
import { startsWith } from './head.ts';

/** Puts the rows of one file together. */
export interface Assembler {
  readonly lanes: readonly LaneSpec[];
  /** Takes row `row` of the group: a row in the batch, or counted. `number` counts rows of the file from 1. */
  take(lanes: readonly Lane[], row: number, number: number): void;
}

/** Parquet files. */
export const PARQUET: TraceFormat = {
  name: 'parquet',
  description: 'a Parquet file',
  recognise: ({ bytes }) => startsWith(bytes, 0x50, 0x41, 0x52, 0x31),
  isText: false,
  limits: ['A Parquet file is read by its columns: what no column holds (labels, as a rule) is not known of a record.'],
  openFile: readParquet,
};

/** Bytes of a page after decompression: writers make pages of about a megabyte. */
const PAGE_LIMIT = 1 << 28;
/** Rows of a group: writers make groups of about a million at most. */
const GROUP_LIMIT = 1 << 25;

type Hyparquet = typeof import('hyparquet');

async function* readParquet(context: ReadContext, file: RandomAccess): AsyncGenerator<void> {
  const { account, batch } = context;
  // Loaded when it is needed: most traces are no Parquet.
  const library = await import('hyparquet');
  const fail = (message: string): void => {
    account.diagnostics.push({
      severity: 'error',
      code: 'truncated-input',
      message: `parquet: ${message}`,
      file: account.file,
    });
  };
  let scan: Awaited<ReturnType<Hyparquet['parquetScan']>>;
  let assembler: Assembler | string;
  try {
    const metadata = await library.parquetMetadataAsync(file);
    scan = await library.parquetScan({
      file,
      metadata,
      compressors: await createCompressors(library),
      parsers: {
        // Microseconds, as the columns of dropcast have them; precision beyond is dropped.
        timestampFromMilliseconds: (time) => Number(time) * 1e3,
        timestampFromMicroseconds: (time) => Number(time),
        timestampFromNanoseconds: (time) => Number(time) / 1e3,
        dateFromDays: (days) => days * 86_400e6,
      },
      useOffsetIndex: false,
    });
    assembler = assemblerOf(context, columnsOf(library.parquetSchema(metadata)));
  } catch (error) {
    return fail(`${causeOf(error)}; the footer stands at the end of a whole file`);
  }
  if (typeof assembler === 'string') return fail(assembler);
  let number = 1;
  for (const { rowStart, rowEnd } of scan.ranges) {
    const count = rowEnd - rowStart;
    if (count > GROUP_LIMIT) return fail(`a row group of ${count} rows; at most ${GROUP_LIMIT} are read`);
    const lanes: Lane[] = [];
    try {
      for (const spec of assembler.lanes) {
        const sources: ArrayLike<unknown>[] = [];
        for (const column of spec.columns)
          sources.push(await scan.readColumn({ column: column.split('.')[0]!, rowStart, rowEnd }));
        if (sources.some((source) => source.length !== count))
          throw new Error(`column ${spec.columns.join(', ')} is short`);
        lanes.push(readLane(spec, sources, count));
      }
    } catch (error) {
      account.read++;
      const place = { unit: 'record', number, offset: 0 } as const;
      return addMalformed(account, 'broken-group', place, `parquet: ${causeOf(error)}; what follows is not read`);
    }
    for (const [index, { name, isWord }] of assembler.lanes.entries())
      if (isWord) for (const [text, times] of lanes[index]!.unknown) countUnknown(context, name, text, times);
    for (let row = 0; row < count; row++) {
      account.read++;
      assembler.take(lanes, row, number++);
      if (batch.count === batch.capacity) yield;
    }
    if (batch.count > 0) yield;
  }
}

/** In words: what the library stumbles over without a word is damage. */
function causeOf(error: unknown): string {
  return error instanceof TypeError ? 'its structure is damaged' : (error as Error).message;
}

/** A column of the file, or a member of a struct, as `a.b`. */
export interface Column {
  readonly name: string;
  /** Timestamps come as microseconds. */
  readonly isTime: boolean;
}

function assemblerOf(context: ReadContext, columns: readonly Column[]): Assembler | string {
  if (context.mapping === undefined && isAwsTable(columns)) return createAwsAssembler(context, columns);
  return createMappedAssembler(context, columns);
}

function columnsOf(schema: ReturnType<Hyparquet['parquetSchema']>): Column[] {
  const columns: Column[] = [];
  const walk = (node: typeof schema, prefix: string, depth: number): void => {
    for (const child of node.children) {
      const { element } = child;
      // A damaged footer may hold anything.
      if (typeof element.name !== 'string') continue;
      const name = prefix === '' ? element.name : `${prefix}.${element.name}`;
      const isTime =
        element.logical_type?.type === 'TIMESTAMP' || (element.converted_type ?? '').startsWith('TIMESTAMP');
      if (child.children.length === 0) columns.push({ name, isTime });
      else if (depth < 8) walk(child, name, depth + 1);
    }
  };
  walk(schema, '', 0);
  return columns;
}

/** Snappy by the library, gzip by zlib, zstd by fzstd; brotli, LZO and LZ4 are refused by name. */
async function createCompressors(
  library: Hyparquet,
): Promise<Record<string, (input: Uint8Array, size: number) => Uint8Array>> {
  const { decompress } = await import('fzstd');
  const check = (size: number): void => {
    if (!(size >= 0 && size <= PAGE_LIMIT)) throw new Error(`a page of ${size} bytes`);
  };
  return {
    SNAPPY(input, size) {
      check(size);
      const output = new Uint8Array(size);
      library.snappyUncompress(input, output);
      return output;
    },
    GZIP(input, size) {
      check(size);
      return gunzipSync(input, { maxOutputLength: Math.max(1, size) });
    },
    ZSTD(input, size) {
      check(size);
      return decompress(input, new Uint8Array(size));
    },
  };
}

function countUnknown({ account }: ReadContext, field: string, text: string, times: number): void {
  const key = `${field}=${text.slice(0, 60)}`;
  increment(
    account.unknownValues,
    account.unknownValues.has(key) || account.unknownValues.size < 100 ? key : `${field}=(other)`,
    times,
  );
}
