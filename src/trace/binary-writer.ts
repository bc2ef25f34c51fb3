/**
 * Writing the columnar trace: batches of one dictionary become groups of rows. Each column is one value where all rows are equal, else its
 * elements as they are in memory.
 */
import type { Dictionary, FlowBatch } from '../model/flow.ts';
import {
  alignEight,
  BINARY_COLUMNS,
  BINARY_VERSION,
  type ColumnArray,
  columnOf,
  FILE_HEADER_SIZE,
  GROUP_HEADER_SIZE,
  GROUP_MAGIC,
  GROUP_ROWS,
  MAGIC,
  partsOf,
  QUOTE_SIZE,
} from './binary-layout.ts';
import { endpointToJson, policiesToJson } from './ndjson.ts';

/** A writer of one file; it remembers which addresses and endpoints the file already has. */
export interface BinaryWriter {
  write(batch: FlowBatch): Uint8Array;
  end(): Uint8Array;
}

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
  const header = new Uint8Array(FILE_HEADER_SIZE);
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
  const quotes = encodeQuotes(batch, columns.get('quote')!, addressId);
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
    quotes: quotes.length / QUOTE_SIZE,
    columns: BINARY_COLUMNS.length,
  };
  const parts = partsOf(BINARY_VERSION, counts);
  const stored = BINARY_COLUMNS.map((name) => {
    const column = columns.get(name)!;
    return toBytes(isEverywhereEqual(column) ? column.subarray(0, 1) : column);
  });
  const group = new Uint8Array(stored.reduce((size, { length }) => size + alignEight(length), parts.columns));
  const view = new DataView(group.buffer);
  [GROUP_MAGIC, group.length, rows, counts.addresses, counts.facts, counts.quotes].forEach((word, index) =>
    view.setUint32(index * 4, word, true),
  );
  group.set(toBytes(addresses), parts.addresses);
  group.set(factText, parts.facts);
  group.set(quotes, parts.quotes);
  let at = parts.columns;
  stored.forEach((bytes, index) => {
    const { BYTES_PER_ELEMENT } = columns.get(BINARY_COLUMNS[index]!)!;
    group[GROUP_HEADER_SIZE + index] = rows > 1 && bytes.length > BYTES_PER_ELEMENT ? 1 : 0;
    group.set(bytes, at);
    at += alignEight(bytes.length);
  });
  return group;
}

/** The quotes that rows of the group point to, renumbered from 0. */
function encodeQuotes(batch: FlowBatch, quote: ColumnArray, addressId: (value: number) => number): Uint8Array {
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

function isEverywhereEqual(column: ColumnArray): boolean {
  const first = column[0]!;
  // NaN times are equal to each other here.
  for (let row = 1; row < column.length; row++) if (!Object.is(column[row], first)) return false;
  return true;
}

function toBytes(column: ColumnArray): Uint8Array {
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
