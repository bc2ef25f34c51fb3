/** Trace files from the command line as streams of bytes, with progress and interruption on the way. */
import {
  accessSync,
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  read,
  readSync,
  type Stats,
  statSync,
} from 'node:fs';
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type Arena, createDictionary, type Dictionary, type FlowBatch } from '../model/flow.ts';
import { formatCount, formatPercent } from '../report/quantity.ts';
import { escapeControl } from '../report/escape.ts';
import type { TraceAccount } from '../trace/account.ts';
import { type ColumnarHead, readColumnarHead, SHARDED_FILE_HEADER_SIZE } from '../trace/binary-layout.ts';
import type { Chunks } from '../trace/chunk.ts';
import type { ClockOffset } from '../trace/clock-offset.ts';
import type { DirectFile, RandomAccess, Share } from '../trace/format.ts';
import type { CsvField, CsvMapping } from '../trace/mapping.ts';
import type { Bound, TimeWindow } from '../trace/window.ts';
import { Refusal } from './exit.ts';
import { readText, systemMessage } from './input.ts';
import { type Io, colorOf } from './terminal.ts';

/** What the command line says about traces. */
export interface TraceOptions {
  readonly format?: string;
  readonly mapping?: CsvMapping;
  /** Of `--fields`. */
  readonly fields?: string;
  /** Bounds of time as given: `--since` and `--until`. */
  readonly since?: string;
  readonly until?: string;
  /** `given`: one trace after another, whole batches; else rows of all traces in the order of their times. */
  readonly order?: 'given';
  /** Of each trace, the bytes that are read of it at most: of files that grow, several threads read as much. */
  readonly sizes?: readonly number[];
  /** Of whoever takes the rows; it serves one trace. */
  readonly arena?: Arena | undefined;
  /** Of a columnar trace in shards the part that is read; see `ReadOptions`. */
  readonly share?: Share;
  /** Rows of a batch. */
  readonly batchCapacity?: number;
  /** For a reading before the one that was asked for. */
  readonly progress?: 'none';
  /** `align`: times of files whose clocks differ are corrected; traces are read once more for it. */
  readonly clocks?: 'align';
}

/** The bounds out of a command's flags. */
export function windowOf({ since, until }: { readonly since?: string; readonly until?: string }): {
  readonly since?: string;
  readonly until?: string;
} {
  return { ...(since !== undefined && { since }), ...(until !== undefined && { until }) };
}

/** The flags that say how traces are read, as they were given. */
export interface TraceFlags {
  readonly format?: string;
  readonly map?: string;
  readonly fields?: string;
  readonly since?: string;
  readonly until?: string;
  readonly alignClocks?: true;
}

/** Flags as options; throws `Refusal`. */
export async function optionsOf(flags: TraceFlags, io: Io): Promise<TraceOptions> {
  const mapping = flags.map === undefined ? undefined : await readMapping(flags.map, io);
  return {
    ...(flags.format !== undefined && { format: flags.format }),
    ...(mapping && { mapping }),
    ...(flags.fields !== undefined && { fields: checkFields(flags.fields) }),
    ...windowOf(flags),
    ...(flags.alignClocks && { clocks: 'align' as const }),
  };
}

/** What an input is called in sentences. */
function nameOf(path: string): string {
  return path === '-' ? 'stdin' : path;
}

/** A path that can be read but once: stdin, a pipe, a socket, a terminal. */
function readOnce(paths: readonly string[], io: Io): string | undefined {
  const path = paths.find(
    (one) => one === '-' || statSync(resolve(io.cwd, one), { throwIfNoEntry: false })?.isFile() === false,
  );
  return path === '-' ? 'stdin (-)' : path;
}

/** The sizes of files that can be read again and again; undefined where one is a pipe, a device, nothing at all, or says that it is empty. */
export function sizesOf(paths: readonly string[], io: Io): number[] | undefined {
  const sizes: number[] = [];
  for (const path of paths) {
    const stat = path === '-' ? undefined : statOf(resolve(io.cwd, path));
    if (!stat?.isFile() || stat.size === 0) return undefined;
    sizes.push(stat.size);
  }
  return sizes;
}

/** What the beginning of a regular file says of a columnar trace; undefined: it is none. */
export function columnarHeadOf(path: string, io: Io): ColumnarHead | undefined {
  const first = new Uint8Array(SHARDED_FILE_HEADER_SIZE);
  try {
    const file = openSync(resolve(io.cwd, path), 'r');
    try {
      readSync(file, first, 0, first.length, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
  return readColumnarHead(first);
}

/** Who reads the file says why there is none. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** How reading ended. */
export interface TraceReading {
  readonly accounts: TraceAccount[];
  readonly end: 'finished' | 'interrupted';
  /** Inputs that no reader takes, or that failed on the way, in sentences. */
  readonly refusals: string[];
}

/** Bytes of the first read of a file, by which the others are placed, and of one of a pipe. */
const FIRST_SIZE = 1 << 21;

/** Milliseconds between two lines of progress. */
const PROGRESS_MS = 200;

/** Takes rows `from` up to `to` of a batch; `accounts` are those of all traces, by `FlowBatch.origin`. */
export type TakeRows = (
  batch: FlowBatch,
  accounts: readonly TraceAccount[],
  from: number,
  to: number,
) => void | Promise<void>;

/** Reads traces into `take`, until the end or an interrupt. Throws `Refusal` before the first record where a path cannot be read. */
export async function readTraces(
  paths: readonly string[],
  dictionary: Dictionary,
  options: TraceOptions,
  io: Io,
  take: TakeRows,
): Promise<TraceReading> {
  checkPaths(paths, io);
  const interrupt = new AbortController();
  const forget = io.onInterrupt(() => interrupt.abort());
  try {
    return await readUntil(interrupt.signal, paths, dictionary, options, io, take);
  } finally {
    forget();
  }
}

/** One reading, or one before it: what is aborted reads no further, and nothing at all the next time. */
async function readUntil(
  signal: AbortSignal,
  paths: readonly string[],
  dictionary: Dictionary,
  options: TraceOptions,
  io: Io,
  take: TakeRows,
): Promise<TraceReading> {
  const [
    { readTrace },
    { createAccount },
    { concatenate, mergeByTime },
    { ClockOffsets, describeOffset },
    { FileSightings },
    { FileTranslations },
  ] = await Promise.all([
    import('../trace/read.ts'),
    import('../trace/account.ts'),
    import('../trace/merge.ts'),
    import('../trace/clock-offset.ts'),
    import('../trace/file-sighting.ts'),
    import('../trace/file-translation.ts'),
  ]);
  const offsets = options.clocks === 'align' ? await findOffsets(signal, paths, dictionary, options, io) : [];
  const window = await readWindow(signal, paths, options, io);
  const progress = createProgress(io, options.progress);
  const refusals: string[] = [];
  const opened: DirectReading[] = [];
  const { arena, ...others } = options;
  const inputs = paths.map((path, file) => {
    const offset = offsets.find((one) => one.file === file);
    const account = createAccount(path);
    const size = path === '-' ? 0 : statSync(resolve(io.cwd, path)).size;
    const limit = options.sizes?.[file];
    const source = path === '-' ? interruptible(io.stdin, signal) : fileSource(path, io, signal, limit);
    const access = path === '-' ? undefined : randomAccess(resolve(io.cwd, path), limit);
    const direct = access && new DirectReading(resolve(io.cwd, path), signal, limit);
    if (direct !== undefined) opened.push(direct);
    const reading = {
      ...others,
      file: path,
      dictionary,
      account,
      batchUse: 'read' as const,
      ...(access && { randomAccess: access }),
      ...(direct && { directFile: direct }),
      // Rows of one trace wait while those of another are taken.
      ...(arena && paths.length === 1 && { arena }),
      ...(window && { window }),
      ...(offset && { clockOffsetUs: offset.offsetUs }),
    };
    return { account, size, batches: readTrace(source, reading) };
  });
  const accounts = inputs.map(({ account }) => account);
  const areMerged = options.order !== 'given' && inputs.length > 1;
  const clocks = areMerged ? new ClockOffsets() : undefined;
  const translations = areMerged ? new FileTranslations() : undefined;
  const sightings = areMerged ? new FileSightings() : undefined;
  try {
    const traces = inputs.map(({ batches }) => batches);
    const rows = options.order === 'given' ? concatenate(traces) : mergeByTime(traces);
    for await (const merged of rows) {
      if ('error' in merged) {
        if (signal.aborted && merged.error === signal.reason) continue;
        if ((merged.error as NodeJS.ErrnoException).code === undefined) throw merged.error;
        refusals.push(`${nameOf(accounts[merged.origin]!.file)}: ${systemMessage(merged.error)}`);
        continue;
      }
      const { batch, from } = merged;
      const { account, size } = inputs[batch.origin?.[from] ?? 0]!;
      clocks?.observe(batch, from, merged.to);
      translations?.apply(batch, from, merged.to);
      const to = sightings?.keepNew(batch, from, merged.to, accounts) ?? merged.to;
      if (to > from || batch.share !== undefined) await take(batch, accounts, from, to);
      progress.show(account, size);
    }
  } finally {
    progress.clear();
    for (const direct of opened) direct.close();
  }
  const corrected = new Set(offsets.map(({ file }) => file));
  for (const offset of offsets) accounts[offset.file]!.limits.push(describeOffset(offset, paths, 'corrected'));
  for (const offset of clocks?.estimate() ?? [])
    if (!corrected.has(offset.file)) accounts[offset.file]!.limits.push(describeOffset(offset, paths, 'as it is'));
  for (const { file, diagnostics } of accounts)
    for (const { severity, message, hint } of diagnostics)
      if (severity === 'error') refusals.push(`${nameOf(file)}: ${message}${hint === undefined ? '' : ` (${hint})`}`);
  return { accounts, refusals, end: signal.aborted ? 'interrupted' : 'finished' };
}

/** `--fields`: names of VPC flow log fields, of which both addresses are needed. */
export function checkFields(text: string): string {
  const names = text.split(/[\s,${}]+/).map((name) => name.replaceAll('_', '-'));
  for (const end of ['srcaddr', 'dstaddr'])
    if (!names.includes(end) && !names.includes(`pkt-${end}`))
      throw new Refusal(`--fields: neither ${end} nor pkt-${end} is among "${text}"`);
  return text;
}

/** Traces one by one, for whoever reads only their beginnings. Throws `Refusal` where a path cannot be read. */
export function* openTraces(
  paths: readonly string[],
  io: Io,
): Generator<{ source: AsyncIterable<Uint8Array>; options: { file: string; randomAccess?: RandomAccess } }> {
  checkPaths(paths, io);
  const { signal } = new AbortController();
  for (const path of paths) {
    const access = path === '-' ? undefined : randomAccess(resolve(io.cwd, path));
    yield {
      source: path === '-' ? io.stdin : fileSource(path, io, signal),
      options: { file: path, ...(access && { randomAccess: access }) },
    };
  }
}

/**
 * `--map`: `src=SourceIP,dst=DestIP,timeUnit=ms`, a file that holds the same in lines or as JSON, or a mapping file in YAML. Throws
 * `Refusal`, for a mapping file with every error in it and its place.
 */
export async function readMapping(text: string, io: Io): Promise<CsvMapping> {
  const { CSV_FIELDS } = await import('../trace/mapping.ts');
  const isInline = text.includes('=');
  const source = isInline ? text : await readText(text, io);
  if (!isInline && (/\.ya?ml$/i.test(text) || /^[{\s]*"?fields"?\s*:/m.test(source)))
    return readRules(source, text, io);
  const columns: Partial<Record<CsvField, string>> = {};
  let timeUnit: CsvMapping['timeUnit'];
  let kind: CsvMapping['kind'];
  const seen = new Set<string>();
  for (const [key, value] of mappingPairs(source, text)) {
    if (seen.has(key)) throw new Refusal(`--map: ${key} is given twice`);
    seen.add(key);
    if (key === 'timeUnit') timeUnit = oneOf(key, value, ['s', 'ms', 'us', 'ns'] as const);
    else if (key === 'kind') kind = oneOf(key, value, ['packet', 'flow', 'conn', 'decision', 'aggregate'] as const);
    else if ((CSV_FIELDS as readonly string[]).includes(key)) columns[key as CsvField] = value;
    else throw new Refusal(`--map: no field is called "${key}"; there are ${CSV_FIELDS.join(', ')}, timeUnit`);
  }
  return { columns, ...(timeUnit && { timeUnit }), ...(kind && { kind }) };
}

/** How far the clocks of traces are apart, by reading them. */
async function findOffsets(
  signal: AbortSignal,
  paths: readonly string[],
  dictionary: Dictionary,
  { clocks: _clocks, since: _since, until: _until, ...options }: TraceOptions,
  io: Io,
): Promise<ClockOffset[]> {
  const once = readOnce(paths, io);
  if (once !== undefined) throw new Refusal(`${once} can be read once: --align-clocks reads traces twice`);
  const { ClockOffsets } = await import('../trace/clock-offset.ts');
  const clocks = new ClockOffsets();
  await readUntil(
    signal,
    paths,
    dictionary,
    { ...options, order: 'given', progress: 'none' },
    io,
    (batch, _accounts, from, to) => clocks.observe(batch, from, to),
  );
  return clocks.estimate();
}

/** The window of `--since` and `--until`; traces are read once more where a bound is counted from their own ends. */
async function readWindow(
  signal: AbortSignal,
  paths: readonly string[],
  options: TraceOptions,
  io: Io,
): Promise<TimeWindow | undefined> {
  if (options.since === undefined && options.until === undefined) return undefined;
  const { parseBound, resolveWindow } = await import('../trace/window.ts');
  const parse = (name: string, text: string | undefined): Bound | undefined => {
    const bound = text === undefined ? undefined : parseBound(text);
    if (text !== undefined && bound === undefined)
      throw new Refusal(
        `${name}: expected RFC 3339, a duration such as 15m or 1h30m before the last record, or start+15m; found "${text}"`,
      );
    return bound;
  };
  const since = parse('--since', options.since);
  const until = parse('--until', options.until);
  const extent = { firstUs: Infinity, lastUs: -Infinity };
  if ([since, until].some((bound) => bound !== undefined && bound.from !== 'time')) {
    const once = readOnce(paths, io);
    if (once !== undefined)
      throw new Refusal(
        `${once} can be read once: --since and --until take times there, not durations from the ends of the trace`,
      );
    const { since: _since, until: _until, ...rest } = options;
    const { accounts } = await readUntil(
      signal,
      paths,
      createDictionary(),
      { ...rest, order: 'given', progress: 'none' },
      io,
      () => {},
    );
    for (const { firstUs, lastUs } of accounts) {
      if (firstUs < extent.firstUs) extent.firstUs = firstUs;
      if (lastUs > extent.lastUs) extent.lastUs = lastUs;
    }
  }
  const window = resolveWindow(since, until, extent);
  if (window.fromUs > window.toUs && !signal.aborted)
    throw new Refusal('--since is later than --until: no record can be in between');
  return window;
}

async function readRules(source: string, file: string, io: Io): Promise<CsvMapping> {
  const [{ readMappingFile }, { formatDiagnostic }] = await Promise.all([
    import('../trace/mapping-file.ts'),
    import('../report/diagnostic.ts'),
  ]);
  const { mapping, diagnostics } = readMappingFile(source, file);
  if (mapping !== undefined) return mapping;
  const color = colorOf(io.stderr, io.env);
  for (const diagnostic of diagnostics) await io.stderr.write(`${formatDiagnostic(diagnostic, { color })}\n`);
  throw new Refusal(`--map ${file}: the mapping is not understood`);
}

function checkPaths(paths: readonly string[], io: Io): void {
  const problems: string[] = [];
  for (const path of paths) {
    if (path === '-') continue;
    try {
      const full = resolve(io.cwd, path);
      if (statSync(full).isDirectory()) problems.push(`${path}: is a folder; name the traces in it`);
      // Not opened to see: that would take a pipe's writer away.
      else accessSync(full, constants.R_OK);
    } catch (error) {
      problems.push(`${path}: ${systemMessage(error)} [unreadable-file]`);
    }
  }
  if (problems.length > 0) throw new Refusal(problems.join('\n'));
}

/**
 * A regular file in large reads, which are twice as fast as a stream; pipes and devices as a stream. Two reads are under way on other
 * threads while the chunk before them is worked on: a read from the cache of the system takes as long as the work on it, so that either
 * one would wait for the other by turns. Waiting gives signals and timers their turn. Throws the signal's reason once
 * it is aborted.
 */
async function* fileSource(
  path: string,
  io: Io,
  signal: AbortSignal,
  limit: number = Infinity,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const full = resolve(io.cwd, path);
  const file = openSync(full, 'r');
  if (!fstatSync(file).isFile()) {
    yield* interruptible(createReadStream(full, { fd: file, highWaterMark: FIRST_SIZE }), signal);
    return;
  }
  const ahead: AheadRead[] = [];
  let lent: Chunks | undefined;
  try {
    const first = Buffer.allocUnsafe(FIRST_SIZE);
    let size = readSync(file, first, 0, Math.min(FIRST_SIZE, limit), 0);
    const { takeChunks } = await import('../trace/chunk.ts');
    lent = takeChunks(first.subarray(0, size));
    const free = [...lent.chunks];
    let place = size;
    let chunk: Uint8Array = first;
    while (size > 0) {
      signal.throwIfAborted();
      for (let next = free.pop(); next !== undefined; next = free.pop()) {
        const most = Math.min(next.length, limit - place);
        ahead.push({ chunk: next, place, most, size: readAt(file, next, most, place) });
        place += most;
      }
      yield chunk.subarray(0, size);
      // Readers are done with a chunk when they ask for the next one.
      if (chunk !== first) free.push(chunk);
      const next = ahead[0]!;
      size = await next.size;
      ahead.shift();
      ({ chunk } = next);
      // The end, or what was the end a moment ago: reads behind it have begun in the wrong place.
      if (size < next.most) {
        await Promise.allSettled(ahead.map((late) => late.size));
        free.push(...ahead.splice(0).map((late) => late.chunk));
        place = next.place + size;
      }
    }
  } finally {
    // The file may only be closed when nobody reads it; how those reads end is nobody's matter any more.
    await Promise.allSettled(ahead.map((late) => late.size));
    lent?.release();
    closeSync(file);
  }
}

/** A read that is under way: of `most` bytes from `place` of its file on. */
interface AheadRead {
  readonly chunk: Uint8Array;
  readonly place: number;
  readonly most: number;
  /** How many bytes there were, 0 at the end. */
  readonly size: Promise<number>;
}

function readAt(file: number, chunk: Uint8Array, most: number, place: number): Promise<number> {
  const reading = new Promise<number>((resolve, reject) => {
    read(file, chunk, 0, most, place, (error, size) => (error === null ? resolve(size) : reject(error)));
  });
  // A read ahead may fail before anybody waits for it.
  reading.catch(() => {});
  return reading;
}

/** A regular file as bytes that can be read anywhere; undefined for pipes and devices. Opened for each piece: few are read. */
function randomAccess(path: string, limit: number = Infinity): RandomAccess | undefined {
  const stat = statSync(path);
  if (!stat.isFile()) return undefined;
  const byteLength = Math.min(stat.size, limit);
  return {
    byteLength,
    slice(start, end = byteLength) {
      const bytes = new Uint8Array(Math.max(0, end - start));
      const file = openSync(path, 'r');
      try {
        let size = 0;
        while (size < bytes.length) {
          const count = readSync(file, bytes, size, bytes.length - size, start + size);
          if (count === 0) break;
          size += count;
        }
      } finally {
        closeSync(file);
      }
      return Promise.resolve(bytes.buffer);
    },
  };
}

/** Milliseconds of reads that nobody waits for, after which signals and timers get their turn. */
const TURN_MS = 50;

/**
 * A regular file whose bytes are read where they are used, by whoever uses them: fetching them from another thread's cache takes longer than
 * the work that some formats are.
 */
class DirectReading implements DirectFile {
  private readonly path: string;
  private readonly signal: AbortSignal;
  private readonly limit: number;
  private at = 0;
  private file: number | undefined;
  private since = performance.now();

  constructor(path: string, signal: AbortSignal, limit: number = Infinity) {
    this.path = path;
    this.signal = signal;
    this.limit = limit;
  }

  read(place: Uint8Array): number {
    this.file ??= openSync(this.path, 'r');
    const size = readSync(this.file, place, 0, Math.min(place.length, this.limit - this.at), this.at);
    this.at += size;
    return size;
  }

  get left(): number {
    this.file ??= openSync(this.path, 'r');
    return Math.max(0, Math.min(this.limit, fstatSync(this.file).size) - this.at);
  }

  skip(size: number): void {
    this.at += size;
  }

  async turn(): Promise<boolean> {
    if (performance.now() - this.since > TURN_MS) {
      await setImmediate();
      this.since = performance.now();
    }
    return !this.signal.aborted;
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }
}

/**
 * Throws the signal's reason when it comes, also while the source waits for bytes. No race of promises: what has lost none, such as that of an
 * interrupt, keeps all that came before it, which is a whole capture of stdin.
 */
async function* interruptible(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  let interrupt = (_reason: unknown): void => {};
  signal.addEventListener('abort', () => interrupt(signal.reason), { once: true });
  for (;;) {
    signal.throwIfAborted();
    const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      interrupt = reject;
      iterator.next().then(resolve, reject);
    });
    if (next.done === true) return;
    yield next.value;
  }
}

function createProgress(
  io: Io,
  progress: 'none' | undefined,
): { show(account: TraceAccount, size: number): void; clear(): void } {
  if (!io.stderr.isTTY || progress === 'none') return { show: () => {}, clear: () => {} };
  const start = performance.now();
  let next = start + PROGRESS_MS;
  let isShown = false;
  return {
    show(account, size) {
      const now = performance.now();
      if (now < next) return;
      next = now + PROGRESS_MS;
      isShown = true;
      const part = size > 0 ? `${formatPercent(Math.min(account.bytes, size), size)}, ` : '';
      const rate = Math.round((1000 * account.read) / (now - start));
      void io.stderr.write(
        `\r\u001b[K${escapeControl(account.file)}: ${part}${formatCount(account.read)} records, ${formatCount(rate)}/s`,
      );
    },
    clear() {
      if (isShown) void io.stderr.write('\r\u001b[K');
    },
  };
}

function mappingPairs(source: string, name: string): [string, string][] {
  if (source.trimStart().startsWith('{')) {
    try {
      const { columns = {}, ...rest } = JSON.parse(source) as { columns?: object } & object;
      return [...Object.entries({ ...columns }), ...Object.entries(rest)].map(([key, value]) => {
        if (typeof value !== 'string') throw new Error(`${key}: expected a text, found ${JSON.stringify(value)}`);
        return [key, value];
      });
    } catch (error) {
      throw new Refusal(`--map ${name}: ${(error as Error).message}`);
    }
  }
  return source
    .split(/[,\n]/)
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && !pair.startsWith('#'))
    .map((pair) => {
      const at = pair.indexOf('=');
      if (at <= 0) throw new Refusal(`--map: "${pair}" is not FIELD=COLUMN`);
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    });
}

function oneOf<Value extends string>(key: string, value: string, values: readonly Value[]): Value {
  const found = values.find((one) => one === value);
  if (found === undefined) throw new Refusal(`--map: ${key} is one of ${values.join(', ')}, not "${value}"`);
  return found;
}
