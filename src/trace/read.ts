/**
 * Reading a trace: bytes -> containers -> recognition -> decoder -> batches. The loop here owns windows of bytes and the
 * handing out of rows; what a record is belongs to the formats, one file each, listed below in the order of recognition.
 */
import {
  type Arena,
  createBatch,
  moveRows,
  resetBatch,
  DEFAULT_BATCH_CAPACITY,
  type Dictionary,
  type FlowBatch,
  type TimeExtent,
} from '../model/flow.ts';
import { increment, MALFORMED_SHOWN, originOf, type TraceAccount } from './account.ts';
import { AKS_NETWORK_LOG } from './aks-network-log.ts';
import { ANTREA_FLOW, ANTREA_FLOW_JSON } from './antrea-flow.ts';
import { ANTREA_POLICY } from './antrea-policy.ts';
import { AWS_VPC } from './aws-vpc.ts';
import { AWS_NETWORK_POLICY_AGENT } from './aws-network-policy-agent.ts';
import { AZURE_NSG, AZURE_VNET } from './azure.ts';
import { BINARY } from './binary.ts';
import { CALICO_FLOWLOG } from './calico-flowlog.ts';
import { CALICO_GOLDMANE, CALICO_WHISKER } from './calico-goldmane.ts';
import { addFailure, CONTAINER_DEPTH, countBytes, noteContainer, openContainers, type Peekable } from './container.ts';
import { CONNTRACK_SAVE } from './conntrack-save.ts';
import { CONNTRACK_XML } from './conntrack-xml.ts';
import { CONNTRACK } from './conntrack.ts';
import { CSV } from './csv.ts';
import { FOREIGN_BINARY, FOREIGN_TEXT } from './foreign.ts';
import type { DirectFile, RandomAccess, Share, TraceDecoder, TraceFormat } from './format.ts';
import { GCP_VPC, GKE_POLICY } from './gcp.ts';
import { HUBBLE } from './hubble.ts';
import { MAPPED_JSON } from './mapped-json.ts';
import { KUBE_NETWORK_POLICIES } from './kube-network-policies.ts';
import type { CsvMapping } from './mapping.ts';
import { PARQUET } from './parquet.ts';
import { HUBBLE_TEXT } from './hubble-text.ts';
import { NDJSON } from './ndjson.ts';
import { NETOBSERV } from './netobserv.ts';
import { NETFILTER_LOG } from './netfilter-log.ts';
import { NFDUMP_CSV } from './nfdump-csv.ts';
import { NFDUMP_JSON } from './nfdump-json.ts';
import { NFDUMP_TEXT } from './nfdump-text.ts';
import { OVN_ACL } from './ovn-acl.ts';
import { PCAP } from './pcap.ts';
import { PCAPNG } from './pcapng.ts';
import { readableNames, recogniseTrace } from './recognise.ts';
import { isTar, mayBeTar, readTar } from './tar.ts';
import { POLICY_ASSISTANT } from './policy-assistant.ts';
import { SURICATA } from './suricata.ts';
import { TCPDUMP_TEXT } from './tcpdump-text.ts';
import { ULOGD_JSON } from './ulogd-json.ts';
import { keepWindow, type TimeWindow } from './window.ts';
import { ZEEK, ZEEK_JSON } from './zeek.ts';

/** What a caller says about one input. */
export interface ReadOptions {
  /** Path as given, or `-`; only for messages. */
  readonly file: string;
  /** A name out of `FORMATS` instead of recognition. */
  readonly format?: string;
  /** Shared by all inputs of a replay. */
  readonly dictionary: Dictionary;
  /** Filled while reading; balanced when the generator has ended. */
  readonly account: TraceAccount;
  /** Column names of a CSV file with a header of its own. */
  readonly mapping?: CsvMapping;
  /** Names of the fields of a VPC flow log without a header, as in its format string. */
  readonly fields?: string;
  /** The same bytes as the source, where they can be read anywhere: Parquet is then read without holding the file. */
  readonly randomAccess?: RandomAccess;
  /** The same file again from its beginning, for formats that are read to where their bytes stay. */
  readonly directFile?: DirectFile;
  /** Records outside are skipped as `outside-window`. */
  readonly window?: TimeWindow;
  /** How far the clock of the input is ahead, microseconds: taken off its times, before the window looks at them. */
  readonly clockOffsetUs?: number;
  /** Memory of the consumer's, for this one input: columns that lie in it already need not be copied, see `Replay.arena`. */
  readonly arena?: Arena;
  /** Of a columnar trace in shards those of one of several readers; other traces, and rows that no shard has, are read in full. See `FlowBatch.share`. */
  readonly share?: Share;
  /** Rows of a batch. */
  readonly batchCapacity?: number;
  /** `read`: the consumer writes into no batch, so that what stands in it already need not be written again; see `FlowBatch.uniform`. */
  readonly batchUse?: 'read';
}

type Times = Pick<ReadOptions, 'window' | 'clockOffsetUs'>;

/** Every format that is known by name, readers and others, in the order in which they are asked. */
export const FORMATS: readonly TraceFormat[] = [
  PCAP,
  PCAPNG,
  BINARY,
  PARQUET,
  ...FOREIGN_BINARY,
  SURICATA,
  HUBBLE,
  NDJSON,
  AZURE_VNET,
  AZURE_NSG,
  GKE_POLICY,
  GCP_VPC,
  KUBE_NETWORK_POLICIES,
  AWS_NETWORK_POLICY_AGENT,
  ZEEK_JSON,
  ZEEK,
  CONNTRACK,
  CONNTRACK_SAVE,
  CONNTRACK_XML,
  AWS_VPC,
  ANTREA_FLOW_JSON,
  POLICY_ASSISTANT,
  ULOGD_JSON,
  NFDUMP_JSON,
  NFDUMP_CSV,
  NFDUMP_TEXT,
  NETFILTER_LOG,
  OVN_ACL,
  ANTREA_POLICY,
  ANTREA_FLOW,
  TCPDUMP_TEXT,
  CALICO_FLOWLOG,
  CALICO_GOLDMANE,
  CALICO_WHISKER,
  NETOBSERV,
  AKS_NETWORK_LOG,
  HUBBLE_TEXT,
  ...FOREIGN_TEXT,
  CSV,
  MAPPED_JSON,
];

/**
 * Reads one input. The batch is reused: the consumer is done with it before it asks for the next one; and so may `source` use its chunks
 * again. Bad input shows in the
 * account, never as an exception; an error of `source` itself is passed on, behind the rows of whole records before it. Rows are handed out after every chunk, so that a
 * stream which pauses has been judged up to its last whole record; formats that hold rows back hand out whole batches, so
 * that how the bytes arrive changes nothing.
 */
export async function* readTrace(source: AsyncIterable<Uint8Array>, options: ReadOptions): AsyncGenerator<FlowBatch> {
  yield* readInput(countBytes(source, options.account), options, undefined, 0);
}

/** One file, or one member of an archive. `depth`: archives around it. */
async function* readInput(
  source: AsyncIterable<Uint8Array>,
  options: ReadOptions,
  member: string | undefined,
  depth: number,
): AsyncGenerator<FlowBatch> {
  const { account, dictionary, mapping } = options;
  const bytes = await openContainers(source, account, depth);
  while (mayBeTar(bytes.head) && !bytes.isWhole) await bytes.more();
  if (isTar(bytes.head)) {
    noteContainer(account, 'tar', depth);
    if (depth === CONTAINER_DEPTH)
      addFailure(account, 'limit-exceeded', `more than ${CONTAINER_DEPTH} archives in each other`);
    else yield* readMembers(bytes, options, member, depth);
    return;
  }
  const asked = {
    asked: options.format ?? (options.fields === undefined ? undefined : AWS_VPC.name),
    isMapped: mapping !== undefined,
  };
  const found = await recogniseTrace(
    bytes,
    { formats: FORMATS, ...asked, account, member },
    (message, hint, severity) => addUnrecognised(account, member, 'unknown-format', message, hint, severity),
  );
  if (found === undefined) return;
  const { format, head, stream } = found;
  const isPlainFile = member === undefined && account.containers.length === 0;
  if (format.openFile !== undefined) {
    noteFormat(account, format, member);
    const batch = createBatch(Math.max(16, options.batchCapacity ?? DEFAULT_BATCH_CAPACITY), options.batchUse);
    const file =
      isPlainFile && options.randomAccess !== undefined ? options.randomAccess : await collect(stream, account);
    if (file === undefined) return;
    const context = { batch, dictionary, account, head, mapping, fields: options.fields };
    for await (const _ of format.openFile(context, file)) yield* handOut(batch, ALL_READY, account, 'all', options);
    if (isPlainFile) account.bytes = file.byteLength;
    return;
  }
  if (format.open === undefined) {
    const message = `this is ${format.description} (${format.name}), which dropcast does not read yet`;
    const hint = format.hint ?? `dropcast reads ${readableNames(FORMATS)} today`;
    if (account.format === 'unknown') account.format = format.name;
    addUnrecognised(account, member, 'unsupported-format', message, hint);
    return;
  }
  noteFormat(account, format, member);
  const batch = createBatch(Math.max(16, options.batchCapacity ?? DEFAULT_BATCH_CAPACITY), options.batchUse);
  const context = {
    batch,
    dictionary,
    account,
    head,
    mapping,
    fields: options.fields,
    arena: options.arena,
    share: options.share,
  };
  if (format.openDirect !== undefined && isPlainFile && options.directFile !== undefined) {
    await stream.end();
    account.bytes = 0;
    for await (const _ of format.openDirect(context, options.directFile))
      yield* handOut(batch, ALL_READY, account, 'all', options);
  } else yield* pump(stream.read(), format.open(context), context, options);
}

/** For rows that nobody holds back. */
const ALL_READY: TraceDecoder = { decode: (_bytes, _start, end) => end, finish() {} };

/** Bytes held for a format that cannot be streamed, where the source is no file. */
const COLLECT_LIMIT = 1 << 30;

async function collect(stream: Peekable, account: TraceAccount): Promise<RandomAccess | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream.read()) {
    chunks.push(chunk.slice());
    size += chunk.length;
    if (size <= COLLECT_LIMIT) continue;
    addFailure(account, 'limit-exceeded', 'more than 1 GiB of Parquet in a stream or container; name the file itself');
    return undefined;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return {
    byteLength: size,
    slice: (start, end = size) => Promise.resolve(bytes.buffer.slice(start, end)),
  };
}

/** The members of an archive, each recognised by itself; those that are no traces are named and passed over. */
async function* readMembers(
  bytes: Peekable,
  options: ReadOptions,
  outer: string | undefined,
  depth: number,
): AsyncGenerator<FlowBatch> {
  const { account } = options;
  let count = 0;
  for await (const { name, size, bytes: content } of readTar(bytes.read(), (message) =>
    addFailure(account, 'truncated-input', message),
  )) {
    if (size === 0) continue;
    count++;
    yield* readInput(content, options, outer === undefined ? name : `${outer}/${name}`, depth + 1);
  }
  if (count === 0) addUnrecognised(account, undefined, 'unknown-format', 'the archive holds no files', '');
  else if (depth === 0 && account.read === 0 && !account.diagnostics.some(({ severity }) => severity === 'error'))
    addUnrecognised(
      account,
      undefined,
      'unknown-format',
      'no file in the archive is a trace with records',
      `dropcast reads ${readableNames(FORMATS)}`,
    );
}

/** Refuses an input; in an archive only the member, and only the first few by name. */
function addUnrecognised(
  account: TraceAccount,
  member: string | undefined,
  code: 'unknown-format' | 'unsupported-format',
  message: string,
  hint: string,
  severity: 'error' | 'warning' = 'error',
): void {
  const told = account.diagnostics.filter((one) => one.code === code).length;
  if (member !== undefined && told >= MALFORMED_SHOWN) return;
  account.diagnostics.push({
    severity: member === undefined ? severity : 'warning',
    code,
    message: member === undefined ? message : `${member}: ${message}; not read`,
    file: account.file,
    ...(hint !== '' && { hint }),
  });
}

/** An archive may hold several formats: all are named, each with what it cannot show. */
function noteFormat(account: TraceAccount, { name, limits }: TraceFormat, member: string | undefined): void {
  const names = member === undefined || account.format === 'unknown' ? [] : account.format.split(' + ');
  if (!names.includes(name)) account.format = [...names, name].join(' + ');
  for (const limit of limits) if (!account.limits.includes(limit)) account.limits.push(limit);
}

async function* pump(
  source: AsyncGenerator<Uint8Array>,
  decoder: TraceDecoder,
  context: { readonly batch: FlowBatch; readonly account: TraceAccount },
  options: Times,
): AsyncGenerator<FlowBatch> {
  const { account } = context;
  /** The record that is cut by a chunk's end: `tail[0, tailLength)`, in a buffer that grows by doubling. */
  let tail = new Uint8Array(1 << 16);
  let tailLength = 0;
  let failure: { readonly error: unknown } | undefined;
  const chunks = endAtFailure(source, (error) => {
    failure = { error };
    // The record was not cut by the trace.
    tailLength = 0;
  });
  try {
    for await (const chunk of chunks) {
      let at = 0;
      while (tailLength > 0 && at < chunk.length && !hasStopped(decoder)) {
        // Only as much of the chunk as is likely to complete the cut record is copied behind it.
        const taken = Math.min(chunk.length - at, Math.max(1 << 14, tailLength));
        if (tailLength + taken > tail.length) tail = grow(tail, tailLength + taken);
        tail.set(chunk.subarray(at, at + taken), tailLength);
        const length = tailLength + taken;
        // Whoever looks for the end of a record looks no further than there are bytes.
        const held = tail.subarray(0, length);
        let done = 0;
        for (;;) {
          done = decoder.decode(held, done, length);
          if (hasRoom(context, decoder) || hasStopped(decoder)) break;
          yield* handOut(context.batch, decoder, account, 'full', options);
        }
        if (done >= tailLength) {
          at += done - tailLength;
          tailLength = 0;
        } else {
          at += taken;
          if (done > 0) tail.copyWithin(0, done, length);
          tailLength = length - done;
        }
      }
      while (!hasStopped(decoder)) {
        at = decoder.decode(chunk, at, chunk.length);
        if (hasRoom(context, decoder)) break;
        yield* handOut(context.batch, decoder, account, 'full', options);
      }
      if (hasStopped(decoder)) break;
      if (at < chunk.length) {
        const rest = chunk.length - at;
        if (rest > tail.length) tail = grow(tail, rest);
        tail.set(chunk.subarray(at), 0);
        tailLength = rest;
      }
      // What is learnt later may change rows that wait: handed out by chunks, the result would depend on their size.
      if (decoder.willHandOut === undefined) yield* handOut(context.batch, decoder, account, 'ready', options);
    }
    if (!hasStopped(decoder)) {
      if (!hasRoom(context, decoder)) yield* handOut(context.batch, decoder, account, 'full', options);
      decoder.finish(tail, 0, tailLength);
    }
    yield* handOut(context.batch, decoder, account, 'all', options);
    if (failure !== undefined) throw failure.error;
  } finally {
    // Only where the consumer stopped early.
    const { count } = context.batch;
    if (count > 0) increment(account.skipped, 'not-delivered', count);
  }
}

/** The chunks of a source up to its error, of which `note` hears: what came before it counts. */
async function* endAtFailure(
  source: AsyncGenerator<Uint8Array>,
  note: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    note(error);
  }
}

function hasRoom({ batch }: { readonly batch: FlowBatch }, { isFull }: TraceDecoder): boolean {
  return batch.count < batch.capacity && isFull !== true;
}

/** A function, because decoding changes what the compiler believes to know of the property. */
function hasStopped({ isStopped }: TraceDecoder): boolean {
  return isStopped === true;
}

/** `ready`: what the decoder lets go; `full`: at least half of the batch; `all`: everything. */
function* handOut(
  batch: FlowBatch,
  decoder: TraceDecoder,
  account: TraceAccount,
  extent: 'ready' | 'full' | 'all',
  { window, clockOffsetUs = 0 }: Times,
): Generator<FlowBatch> {
  const held = batch.count;
  let count = decoder.countReady?.() ?? held;
  if (extent === 'full') count = Math.max(count, held >> 1);
  if (extent === 'all') count = held;
  // A part of a trace tells how far it has come.
  if (count === 0 && batch.share === undefined) return;
  decoder.willHandOut?.(count);
  if (clockOffsetUs !== 0) {
    batch.uniform?.delete('timeUs');
    batch.extent = undefined;
    for (let row = 0; row < count; row++) batch.timeUs[row]! -= clockOffsetUs;
  }
  const kept = window === undefined ? count : keepWindow(batch, count, window);
  if (kept < count) {
    increment(account.skipped, 'outside-window', count - kept);
    batch.extent = undefined;
  }
  batch.count = kept;
  account.used += kept;
  if (kept > 0) {
    noteTimes(batch, account);
    noteLines(batch, account);
  }
  try {
    if (kept > 0 || batch.share !== undefined) yield batch;
  } finally {
    batch.count = held - count;
    moveToFront(batch, count, held - count);
  }
}

function noteTimes(batch: FlowBatch, account: TraceAccount): void {
  const { firstUs, lastUs } = batch.extent ?? extentOf(batch);
  if (lastUs < firstUs) return;
  // What is NaN is not less or more.
  if (!(account.firstUs <= firstUs)) account.firstUs = firstUs;
  if (!(account.lastUs >= lastUs)) account.lastUs = lastUs;
}

function extentOf({ timeUs, count }: FlowBatch): TimeExtent {
  let first = Infinity;
  let last = -Infinity;
  // Absent times are NaN, which is neither.
  for (let row = 0; row < count; row++) {
    const time = timeUs[row]!;
    if (time < first) first = time;
    if (time > last) last = time;
  }
  return { firstUs: first, lastUs: last };
}

/** Rows say lines of the file, whatever was unwrapped on the way. */
function noteLines({ line, count }: FlowBatch, account: TraceAccount): void {
  const lineOf = originOf(account)?.lineOf;
  if (lineOf !== undefined) for (let row = 0; row < count; row++) line[row] = lineOf(line[row]!);
}

function moveToFront(batch: FlowBatch, from: number, count: number): void {
  if (count === 0) {
    resetBatch(batch);
    return;
  }
  moveRows(batch, 0, from, from + count);
  // Rows that quote packets keep their quotes, in the order of the rows; a quote's row never lies before its new place.
  const { quote, quotes } = batch;
  let next = 0;
  for (let row = 0; row < count; row++) {
    const old = quote[row]!;
    if (old < 0) continue;
    for (const column of Object.values(quotes) as unknown[]) {
      if (ArrayBuffer.isView(column)) (column as Uint8Array)[next] = (column as Uint8Array)[old]!;
    }
    quote[row] = next++;
  }
  quotes.count = next;
}

function grow(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const grown = new Uint8Array(Math.max(size, bytes.length * 2));
  grown.set(bytes);
  return grown;
}
