/**
 * Writing the columnar trace: batches of one dictionary become groups of rows. Each column is one value where all rows are equal, else its
 * elements as they are in memory. In shards (`binary-shard.ts`) rows are collected into larger groups first, of which each shard has as many
 * rows as a group otherwise.
 */
import {
  columnNames,
  copyQuote,
  createBatch,
  type Dictionary,
  type FlowBatch,
  type QuoteColumns,
  resetBatch,
} from '../model/flow.ts';
import {
  alignEight,
  BINARY_COLUMNS,
  BINARY_VERSION,
  bytesOf,
  type ColumnArray,
  columnOf,
  FILE_HEADER_SIZE,
  GROUP_MAGIC,
  GROUP_ROWS,
  GROUP_ROWS_MOST,
  MAGIC,
  partsOf,
  QUOTE_SIZE,
  SHARDED_FILE_HEADER_SIZE,
  SHARDED_VERSION,
} from './binary-layout.ts';
import {
  groupHeaderSize,
  type Sharder,
  type ShardHead,
  SHARDED_EXTENT_US,
  SHARDS_MOST,
  writeShardHead,
} from './binary-shard.ts';
import { endpointToJson, policiesToJson } from './ndjson.ts';

/** A writer of one file; it remembers which addresses and endpoints the file already has. */
export interface BinaryWriter {
  write(batch: FlowBatch): Uint8Array;
  end(): Uint8Array;
}

/**
 * Starts a file; ids of `dictionary` are rewritten to ids of the file in the order of their first use. With a `sharder` it is in shards. Throws a
 * RangeError on a number of shards that cannot be.
 */
export function createBinaryWriter(dictionary: Dictionary, sharder?: Sharder): BinaryWriter {
  const shards = sharder?.shards ?? 0;
  if (sharder !== undefined && !(shards >= 2 && shards <= SHARDS_MOST))
    throw new RangeError(`a trace has 2 to ${SHARDS_MOST} shards, not ${shards}`);
  const ids: FileIds = {
    addressIds: new Map(),
    endpointIds: new Map([[0, 0]]),
    policyIds: new Map([[0, 0]]),
  };
  const sort = sharder && createSorter(sharder);
  const collected = createBatch(sharder ? Math.min(GROUP_ROWS_MOST, sharder.groupRows ?? GROUP_ROWS * shards) : 0);
  const encode = (batch: FlowBatch, from: number, to: number): Uint8Array =>
    encodeGroup(batch, from, to, dictionary, ids, shards, sort);
  let isStarted = false;
  const start = (): Uint8Array[] => {
    if (isStarted) return [];
    isStarted = true;
    return [fileHeader(shards, collected.capacity)];
  };
  if (sharder === undefined)
    return {
      write(batch) {
        const parts = start();
        for (let from = 0; from < batch.count; from += GROUP_ROWS)
          parts.push(encode(batch, from, Math.min(batch.count, from + GROUP_ROWS)));
        return join(parts);
      },
      end: () => join(start()),
    };
  const flush = (): Uint8Array[] => {
    const groups = collected.count === 0 ? [] : [encode(collected, 0, collected.count)];
    resetBatch(collected);
    return groups;
  };
  return {
    write(batch) {
      const parts = start();
      for (let from = 0; from < batch.count;) {
        from += append(collected, batch, from);
        if (collected.count === collected.capacity) parts.push(...flush());
      }
      return join(parts);
    },
    end: () => join([...start(), ...flush()]),
  };
}

/** Appends rows of a batch from `from` on to another one, as many as it has room for; returns how many. */
function append(to: FlowBatch, batch: FlowBatch, from: number): number {
  const count = Math.min(batch.count - from, to.capacity - to.count);
  for (const name of columnNames()) to[name].set(batch[name].subarray(from, from + count), to.count);
  for (let row = to.count; row < to.count + count; row++) {
    const quoted = to.quote[row]!;
    if (quoted >= 0) to.quote[row] = copyQuote(to, batch.quotes, quoted);
  }
  to.count += count;
  return count;
}

/** Rows of a group in shards. */
interface Order {
  readonly head: ShardHead;
  /** [rows] their places as they came, shard by shard. */
  readonly places: Uint16Array;
  /** [rows] the clock, by place. */
  readonly clockUs: Float64Array;
}

/** Sorts one group after the other; undefined: the rows of this one have to stay as they came. */
type Sorter = (group: FlowBatch) => Order | undefined;

function createSorter({ shards, shardOf, clock }: Sharder): Sorter {
  let latestUs = NaN;
  return (batch) => {
    const rows = batch.count;
    const { turnsBack } = clock;
    const clockUs = new Float64Array(rows);
    const own = new Uint8Array(rows);
    const next = new Uint32Array(shards + 1);
    let hasClock = false;
    for (let row = 0; row < rows; row++) {
      const time = batch.timeUs[row]!;
      const turns = clock.turnsBack;
      clock.advance(time);
      if (!(latestUs >= time) && time - time === 0) latestUs = time;
      if (clock.turnsBack > turns) latestUs = time;
      clockUs[row] = latestUs;
      hasClock ||= latestUs !== time;
      next[(own[row] = shardOf(batch, row)) + 1]!++;
    }
    const firstUs = clockUs[0]!;
    if (clock.turnsBack > turnsBack || !(latestUs - firstUs <= SHARDED_EXTENT_US)) return undefined;
    for (let shard = 0; shard < shards; shard++) next[shard + 1]! += next[shard]!;
    const ends = [...next.subarray(1)];
    const places = new Uint16Array(rows);
    for (let row = 0; row < rows; row++) places[next[own[row]!]!++] = row;
    return { head: { ends, hasClock, firstUs, lastUs: latestUs }, places, clockUs };
  };
}

/** Ids of the dictionary -> ids of the file. */
interface FileIds {
  readonly addressIds: Map<number, number>;
  readonly endpointIds: Map<number, number>;
  readonly policyIds: Map<number, number>;
}

function fileHeader(shards: number, groupRows: number): Uint8Array {
  const header = new Uint8Array(shards === 0 ? FILE_HEADER_SIZE : SHARDED_FILE_HEADER_SIZE);
  header.set(MAGIC);
  const view = new DataView(header.buffer);
  view.setUint32(8, shards === 0 ? BINARY_VERSION : SHARDED_VERSION, true);
  view.setUint32(12, BINARY_COLUMNS.length, true);
  if (shards > 0) {
    view.setUint32(16, shards, true);
    view.setUint32(20, groupRows, true);
  }
  return header;
}

function encodeGroup(
  batch: FlowBatch,
  from: number,
  to: number,
  dictionary: Dictionary,
  { addressIds, endpointIds, policyIds }: FileIds,
  shards: number,
  sort: Sorter | undefined,
): Uint8Array {
  const rows = to - from;
  const newAddresses: number[] = [];
  const newEndpoints: number[] = [];
  const newPolicies: number[] = [];
  const columns = new Map<string, ColumnArray>();
  for (const name of BINARY_COLUMNS) columns.set(name, columnOf(batch, name).slice(from, to));
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
  const quotes = quotesOf(batch, columns.get('quote')!, addressId);
  // By ids of the file, as whoever reads it will ask.
  const order = sort?.({ ...batch, ...Object.fromEntries(columns), count: rows, quotes });
  const addresses = new Uint32Array(newAddresses.length * 4);
  newAddresses.forEach((value, index) => addresses.set(dictionary.addresses.get(value), index * 4));
  const facts = {
    endpoints: newEndpoints.map((id) => endpointToJson(dictionary.endpoints[id]!)),
    policies: newPolicies.map((id) => policiesToJson(dictionary.policyTraces[id]!)),
  };
  const areNew = newEndpoints.length + newPolicies.length > 0;
  const factText = new TextEncoder().encode(areNew ? JSON.stringify(facts) : '');

  const counts = {
    addresses: newAddresses.length,
    facts: factText.length,
    quotes: quotes.count,
    columns: BINARY_COLUMNS.length,
  };
  const headerSize = groupHeaderSize(shards);
  const parts = partsOf(BINARY_VERSION, counts, headerSize);
  const isConstant = BINARY_COLUMNS.map((name) => isEverywhereEqual(columns.get(name)!));
  const blocks = blocksOf(
    BINARY_COLUMNS.map((name) => columns.get(name)!),
    isConstant,
    order,
  );
  const group = new Uint8Array(blocks.reduce((size, bytes) => size + alignEight(bytes.length), parts.columns));
  const view = new DataView(group.buffer);
  [GROUP_MAGIC, group.length, rows, counts.addresses, counts.facts, counts.quotes].forEach((word, index) =>
    view.setUint32(index * 4, word, true),
  );
  writeShardHead(view, order?.head);
  isConstant.forEach((isOne, index) => (group[headerSize + index] = isOne ? 0 : 1));
  group.set(bytesOf(addresses), parts.addresses);
  group.set(factText, parts.facts);
  group.set(encodeQuotes(quotes), parts.quotes);
  let at = parts.columns;
  for (const bytes of blocks) {
    group.set(bytes, at);
    at += alignEight(bytes.length);
  }
  return group;
}

/** The columns of a group, block after block, and what stands behind those of a shard. */
function blocksOf(
  columns: readonly ColumnArray[],
  isConstant: readonly boolean[],
  order: Order | undefined,
): Uint8Array[] {
  const stored = (column: ColumnArray, index: number): Uint8Array =>
    bytesOf(isConstant[index]! ? column.subarray(0, 1) : column);
  if (order === undefined) return columns.map(stored);
  const { head, places, clockUs } = order;
  return head.ends.flatMap((end, shard) => {
    const own = places.subarray(head.ends[shard - 1] ?? 0, end);
    if (own.length === 0) return [];
    const pick = <T extends ColumnArray>(column: T): T => {
      const picked = column.slice(0, own.length) as T;
      own.forEach((place, row) => (picked[row] = column[place]!));
      return picked;
    };
    return [
      ...columns.map((column, index) => stored(isConstant[index]! ? column : pick(column), index)),
      bytesOf(own),
      ...(head.hasClock ? [bytesOf(pick(clockUs))] : []),
    ];
  });
}

/** The quotes that rows of the group point to, renumbered from 0, with ids of the file. */
function quotesOf(batch: FlowBatch, quote: ColumnArray, addressId: (value: number) => number): QuoteColumns {
  const rows: number[] = [];
  for (let row = 0; row < quote.length; row++) if (quote[row]! >= 0) quote[row] = rows.push(quote[row]!) - 1;
  const { quotes } = batch;
  const idOf = (address: number, row: number): number => (quotes.family[row] === 6 ? addressId(address) : address);
  return {
    count: rows.length,
    family: Uint8Array.from(rows, (row) => quotes.family[row]!),
    protocol: Uint8Array.from(rows, (row) => quotes.protocol[row]!),
    src: Uint32Array.from(rows, (row) => idOf(quotes.src[row]!, row)),
    dst: Uint32Array.from(rows, (row) => idOf(quotes.dst[row]!, row)),
    srcPort: Int32Array.from(rows, (row) => quotes.srcPort[row]!),
    dstPort: Int32Array.from(rows, (row) => quotes.dstPort[row]!),
    icmp: Int32Array.from(rows, (row) => quotes.icmp[row]!),
  };
}

function encodeQuotes({ count, family, protocol, src, dst, srcPort, dstPort, icmp }: QuoteColumns): Uint8Array {
  const bytes = new Uint8Array(count * QUOTE_SIZE);
  const view = new DataView(bytes.buffer);
  for (let row = 0; row < count; row++) {
    const at = row * QUOTE_SIZE;
    view.setUint8(at, family[row]!);
    view.setUint8(at + 1, protocol[row]!);
    view.setUint32(at + 2, src[row]!, true);
    view.setUint32(at + 6, dst[row]!, true);
    view.setInt32(at + 10, srcPort[row]!, true);
    view.setInt32(at + 14, dstPort[row]!, true);
    view.setInt32(at + 18, icmp[row]!, true);
  }
  return bytes;
}

function isEverywhereEqual(column: ColumnArray): boolean {
  const first = column[0]!;
  // NaN times are equal to each other here.
  for (let row = 1; row < column.length; row++) if (!Object.is(column[row], first)) return false;
  return true;
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
