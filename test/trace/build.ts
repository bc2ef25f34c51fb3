/** Builders of tiny captures and the reading of whole inputs, for the tests of this room. */
import { createAccount, type TraceAccount } from '../../src/trace/account.ts';
import { readTrace, type ReadOptions } from '../../src/trace/read.ts';
import { formatAddress, parseAddress, type Family } from '../../src/model/address.ts';
import { createDictionary, type Dictionary, type FlowBatch } from '../../src/model/flow.ts';

/** A row as plain values. */
export interface Row {
  [column: string]: unknown;
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly protocol: number;
  readonly flags: number;
  readonly preDst: string;
  readonly preDstPort: number;
}

export interface Result {
  readonly account: TraceAccount;
  readonly rows: Row[];
  readonly dictionary: Dictionary;
  readonly batches: number;
}

/** Rows of a batch where a test does not ask: the usual size is made for large files, and its columns cost more than small ones do. */
const BATCH_CAPACITY = 256;

/** Reads a whole input, pushed in chunks of `chunkSize`. */
export async function readAll(
  bytes: Uint8Array,
  options: Partial<ReadOptions> & { readonly chunkSize?: number } = {},
): Promise<Result> {
  const dictionary = options.dictionary ?? createDictionary();
  const account = createAccount('test');
  const rows: Row[] = [];
  let batches = 0;
  const source = chunksOf(bytes, options.chunkSize ?? 65_536);
  for await (const batch of readTrace(source, {
    batchCapacity: BATCH_CAPACITY,
    ...options,
    file: 'test',
    dictionary,
    account,
  })) {
    batches++;
    for (let row = 0; row < batch.count; row++) rows.push(toRow(batch, row, dictionary));
  }
  return { account, rows, dictionary, batches };
}

/** Bytes in chunks as whoever reads a file gives them: all in one place, which is another chunk's by then, and a `Buffer`, whose slice is no copy. */
export async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const place = Buffer.alloc(Math.min(size, bytes.length));
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = bytes.subarray(at, at + size);
    place.set(chunk);
    yield place.subarray(0, chunk.length);
    place.fill(0xa5);
  }
}

/** Every column of a row but `line`, with texts for addresses and facts for endpoints. */
export function toRow(batch: FlowBatch, row: number, dictionary: Dictionary): Row {
  const family = batch.family[row]! as Family;
  const text = (of: Family, value: number): string =>
    formatAddress(of, of === 6 ? dictionary.addresses.get(value) : Uint32Array.of(value, 0, 0, 0));
  const values: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(batch) as [string, unknown][])
    if (ArrayBuffer.isView(column)) values[name] = (column as Uint8Array)[row];
  const quote = batch.quote[row]!;
  const { quotes } = batch;
  return {
    ...values,
    src: text(family, batch.src[row]!),
    dst: text(family, batch.dst[row]!),
    preDst: batch.preDstPort[row]! < 0 ? '' : text(family, batch.preDst[row]!),
    srcEndpoint: batch.srcEndpoint[row] === 0 ? undefined : dictionary.endpoints[batch.srcEndpoint[row]!],
    dstEndpoint: batch.dstEndpoint[row] === 0 ? undefined : dictionary.endpoints[batch.dstEndpoint[row]!],
    policies: batch.policies[row] === 0 ? undefined : dictionary.policyTraces[batch.policies[row]!],
    quote:
      quote < 0
        ? undefined
        : {
            src: text(quotes.family[quote]! as Family, quotes.src[quote]!),
            dst: text(quotes.family[quote]! as Family, quotes.dst[quote]!),
            srcPort: quotes.srcPort[quote],
            dstPort: quotes.dstPort[quote],
            protocol: quotes.protocol[quote],
            icmp: quotes.icmp[quote],
          },
  } as unknown as Row;
}

/** Distinct connections of TCP and UDP rows, both directions as one. */
export function countConnections(rows: readonly Row[]): number {
  const keys = new Set<string>();
  for (const { src, dst, srcPort, dstPort, protocol } of rows)
    if (protocol === 6 || protocol === 17)
      keys.add([`${src} ${srcPort}`, `${dst} ${dstPort}`].sort().join(' ') + protocol);
  return keys.size;
}

export function bytesOf(...parts: (number | readonly number[] | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...part])));
}

/** `value`, `count` times. */
export function repeat(value: number, count: number): number[] {
  return Array.from({ length: count }, () => value);
}

export function u16(value: number): number[] {
  return [(value >> 8) & 255, value & 255];
}

export function u32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function little(bytes: readonly number[]): number[] {
  return [...bytes].reverse();
}

function addressBytes(text: string): number[] {
  const words = new Uint32Array(4);
  const family = parseAddress(text, words);
  return family === 4 ? u32(words[0]!) : [...words].flatMap((word) => u32(word));
}

export interface IpOptions {
  readonly id?: number;
  /** In bytes. */
  readonly fragmentOffset?: number;
  readonly hasMore?: boolean;
}

/** An IP packet around a transport part. */
export function ip(src: string, dst: string, protocol: number, body: Uint8Array, options: IpOptions = {}): Uint8Array {
  if (src.includes(':'))
    return bytesOf(0x60, 0, 0, 0, u16(body.length), protocol, 64, addressBytes(src), addressBytes(dst), body);
  const fragment = ((options.hasMore ?? false) ? 0x2000 : 0) | ((options.fragmentOffset ?? 0) >> 3);
  return bytesOf(
    0x45, 0, u16(20 + body.length), u16(options.id ?? 0), u16(fragment), 64, protocol, 0, 0,
    addressBytes(src), addressBytes(dst), body,
  ); // prettier-ignore
}

export function tcp(srcPort: number, dstPort: number, flags: number, sequence = 1, payload = ''): Uint8Array {
  return bytesOf(
    u16(srcPort), u16(dstPort), u32(sequence), u32(0), 0x50, flags, 0, 0, 0, 0, 0, 0,
    new TextEncoder().encode(payload),
  ); // prettier-ignore
}

export function udp(srcPort: number, dstPort: number, payload: Uint8Array | string = ''): Uint8Array {
  const body = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  return bytesOf(u16(srcPort), u16(dstPort), u16(8 + body.length), 0, 0, body);
}

export function ethernet(etherType: number, body: Uint8Array): Uint8Array {
  return bytesOf(repeat(2, 12), u16(etherType), body);
}

/** An SLL2 frame; `type` 0 is incoming, 4 outgoing. */
export function sll2(index: number, type: number, body: Uint8Array): Uint8Array {
  const etherType = body[0]! >> 4 === 6 ? 0x86dd : 0x0800;
  return bytesOf(u16(etherType), 0, 0, u32(index), 0, 1, type, 6, repeat(0, 8), body);
}

export interface Captured {
  readonly frame: Uint8Array;
  readonly timeUs?: number;
  /** Bytes kept of it. */
  readonly captured?: number;
  readonly interfaceId?: number;
}

export interface PcapOptions {
  readonly endian?: 'little' | 'big';
  readonly unit?: 'us' | 'ns';
}

/** A pcap file. */
export function pcap(linkType: number, packets: readonly Captured[], options: PcapOptions = {}): Uint8Array {
  const order = options.endian === 'big' ? (bytes: number[]): number[] => bytes : little;
  const isNano = options.unit === 'ns';
  const parts = [
    bytesOf(order(u32(isNano ? 0xa1b23c4d : 0xa1b2c3d4)), order(u16(2)), order(u16(4)), u32(0), u32(0)),
    bytesOf(order(u32(65_535)), order(u32(linkType))),
  ];
  packets.forEach(({ frame, timeUs = 0, captured = frame.length }) => {
    const seconds = Math.floor(timeUs / 1e6);
    const fraction = (timeUs - seconds * 1e6) * (isNano ? 1000 : 1) + (isNano ? 7 : 0);
    parts.push(bytesOf(order(u32(seconds)), order(u32(fraction)), order(u32(captured)), order(u32(frame.length))));
    parts.push(frame.subarray(0, captured));
  });
  return bytesOf(...parts);
}

/** A pcapng file with an interface for each of `linkTypes`; nanosecond clocks if `unit` says so. */
export function pcapng(
  linkTypes: readonly number[],
  packets: readonly Captured[],
  options: PcapOptions & { readonly dropped?: number } = {},
): Uint8Array {
  const order = options.endian === 'big' ? (bytes: number[]): number[] => bytes : little;
  const isNano = options.unit === 'ns';
  const block = (type: number, body: Uint8Array): Uint8Array => {
    const padded = bytesOf(body, repeat(0, (4 - (body.length % 4)) % 4));
    const length = order(u32(padded.length + 12));
    return bytesOf(order(u32(type)), length, padded, length);
  };
  const parts = [block(0x0a0d0d0a, bytesOf(order(u32(0x1a2b3c4d)), order(u16(1)), order(u16(0)), repeat(255, 8)))];
  const clock = isNano ? bytesOf(order(u16(9)), order(u16(1)), 9, 0, 0, 0, 0, 0, 0, 0) : bytesOf();
  for (const linkType of linkTypes) parts.push(block(1, bytesOf(order(u16(linkType)), 0, 0, order(u32(0)), clock)));
  parts.push(block(10, bytesOf(order(u32(0x544c534b)), order(u32(4)), 1, 2, 3, 4)));
  for (const { frame, timeUs = 0, captured = frame.length, interfaceId = 0 } of packets) {
    const time = BigInt(timeUs) * (isNano ? 1000n : 1n);
    const words = [Number(time >> 32n), Number(time & 0xffffffffn), captured, frame.length];
    parts.push(
      block(6, bytesOf(order(u32(interfaceId)), ...words.map((word) => order(u32(word))), frame.subarray(0, captured))),
    );
  }
  if (options.dropped !== undefined) {
    const low = order(u32(options.dropped));
    const value = options.endian === 'big' ? bytesOf(u32(0), low) : bytesOf(low, u32(0));
    parts.push(block(5, bytesOf(order(u32(0)), u32(0), u32(0), order(u16(5)), order(u16(8)), value, u32(0))));
  }
  return bytesOf(...parts);
}
