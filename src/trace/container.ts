/**
 * What wraps the bytes of a trace: gzip, zstd, UTF-16 and a byte order mark, peeled off until text, packets or an archive are
 * left. Everything streams; a damaged or truncated container ends the stream with a diagnostic and keeps what came out of it
 * before.
 */
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';
import type { TraceAccount } from './account.ts';
import { startsWith } from './head.ts';

/** How many containers may be nested. */
export const CONTAINER_DEPTH = 3;
/** Above this many bytes of output, more than `RATIO_LIMIT` times the input is taken for an attack. */
const RATIO_FREE_SIZE: number = 1024 ** 3;
/** Output over input. */
const RATIO_LIMIT = 200;
/** Compressed bytes that are unpacked at once, and the most that may come of them: 4 bytes of zstd can be a run of 128 KiB. */
const ZSTD_PIECE_SIZE: number = 1 << 14;
const ZSTD_PIECE_OUTPUT_MAX: number = 1 << 26;

/** How much may come out of little. */
export interface ContainerLimits {
  readonly freeSize: number;
  readonly ratio: number;
  /** Bytes that one piece of input may become before any of them is handed on. */
  readonly burstSize: number;
}

/** The limits of the shipped program. A piece is 64 KiB, and deflate cannot make more than 66 MiB of it; zstd can make 2 GiB. */
const CONTAINER_LIMITS: ContainerLimits = { freeSize: RATIO_FREE_SIZE, ratio: RATIO_LIMIT, burstSize: 1 << 28 };

/** A stream whose beginning can be looked at before it is read. */
export class Peekable {
  /** What was read so far and not handed on. */
  head: Uint8Array = new Uint8Array(0);
  /** No byte follows `head`. */
  isWhole = false;
  private readonly iterator: AsyncIterator<Uint8Array>;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** Waits for one more chunk. */
  async more(): Promise<void> {
    // The source may use its chunk again.
    if (this.head.length > 0) this.head = new Uint8Array(this.head);
    const next = await this.iterator.next();
    if (next.done === true) this.isWhole = true;
    else if (this.head.length === 0) this.head = next.value;
    else this.head = concat(this.head, next.value);
  }

  /** Reads no further. */
  async end(): Promise<void> {
    await this.iterator.return?.();
  }

  /** The whole stream, the head included; drops `skip` bytes of it. */
  async *read(skip = 0): AsyncGenerator<Uint8Array> {
    try {
      const head = this.head.subarray(skip);
      this.head = new Uint8Array(0);
      if (head.length > 0) yield head;
      for (;;) {
        const next = await this.iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await this.iterator.return?.();
    }
  }
}

/** Peels containers off a source and notes them in the account. `depth`: how many there are around the source already. */
export async function openContainers(
  source: AsyncIterable<Uint8Array>,
  account: TraceAccount,
  outerDepth = 0,
  limits: ContainerLimits = CONTAINER_LIMITS,
): Promise<Peekable> {
  let stream = new Peekable(source);
  for (let depth = outerDepth; ; depth++) {
    while (stream.head.length < 4 && !stream.isWhole) await stream.more();
    const container = recogniseContainer(stream.head);
    if (container === undefined) {
      // Only text begins with a byte order mark, and no reader wants it.
      if (!startsWith(stream.head, 0xef, 0xbb, 0xbf)) return stream;
      stream = new Peekable(stream.read(3));
      while (stream.head.length < 4 && !stream.isWhole) await stream.more();
      return stream;
    }
    if (depth === CONTAINER_DEPTH) {
      addFailure(account, 'limit-exceeded', `more than ${CONTAINER_DEPTH} containers around each other`);
      return new Peekable(nothing());
    }
    noteContainer(account, container, outerDepth);
    stream = new Peekable(unwrap(container, stream.read(), account, limits));
  }
}

/** Passes chunks on and counts them as taken from the file; as arrays whose `slice` is a copy, which a `Buffer`'s is not. */
export async function* countBytes(
  source: AsyncIterable<Uint8Array>,
  account: TraceAccount,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    if (chunk.length === 0) continue;
    account.bytes += chunk.length;
    yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
  }
}

/** Adds a container to the account; those in an archive, where members repeat them, once. */
export function noteContainer(account: TraceAccount, name: string, depth: number): void {
  if (depth === 0 || !account.containers.includes(name)) account.containers.push(name);
}

/** Ends what can be read of a file, with the reason. */
export function addFailure(account: TraceAccount, code: 'truncated-input' | 'limit-exceeded', message: string): void {
  account.diagnostics.push({
    severity: 'error',
    code,
    message: `${message} (after ${account.bytes} bytes of the file); what was read before counts`,
    file: account.file,
  });
}

function recogniseContainer(head: Uint8Array): string | undefined {
  if (startsWith(head, 0x1f, 0x8b)) return 'gzip';
  if (startsWith(head, 0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  // A skippable frame (RFC 8878, 3.1.2) can come first.
  if (head.length >= 4 && (head[0]! & 0xf0) === 0x50 && startsWith(head.subarray(1), 0x2a, 0x4d, 0x18)) return 'zstd';
  if (startsWith(head, 0xff, 0xfe)) return 'utf-16le';
  if (startsWith(head, 0xfe, 0xff)) return 'utf-16be';
  return undefined;
}

function unwrap(
  container: string,
  source: AsyncGenerator<Uint8Array>,
  account: TraceAccount,
  limits: ContainerLimits,
): AsyncGenerator<Uint8Array> {
  if (container === 'gzip') return limitRatio(gunzip(source, account), account, limits);
  if (container === 'zstd') return limitRatio(unzstd(source, account, limits), account, limits);
  return decodeUtf16(source, container);
}

/** Input goes in by small pieces and each is waited for, so that output is bounded and is out before an error shows. */
async function* gunzip(source: AsyncIterable<Uint8Array>, account: TraceAccount): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: 1 << 20 });
  let output: Uint8Array[] = [];
  let failure: Error | undefined;
  stream.on('data', (chunk: Uint8Array) => output.push(chunk));
  stream.on('error', (error: Error) => (failure = error));
  const ended = new Promise<void>((resolve) => {
    stream.on('end', resolve);
    stream.on('close', resolve);
    stream.on('error', () => resolve());
  });
  try {
    for await (const chunk of source) {
      for (let start = 0; start < chunk.length; start += 1 << 16) {
        // Damaged input ends the stream without an answer to the write.
        await Promise.race([
          ended,
          new Promise<void>((resolve) => stream.write(chunk.subarray(start, start + (1 << 16)), () => resolve())),
        ]);
        const taken = output;
        output = [];
        yield* taken;
        if (failure !== undefined) break;
      }
      if (failure !== undefined) break;
    }
    if (failure === undefined) {
      stream.end();
      await ended;
      yield* output;
    }
  } finally {
    stream.destroy();
  }
  if (failure !== undefined) addFailure(account, 'truncated-input', `gzip: ${failure.message}`);
}

async function* unzstd(
  source: AsyncIterable<Uint8Array>,
  account: TraceAccount,
  { burstSize }: ContainerLimits,
): AsyncGenerator<Uint8Array> {
  let output: Uint8Array[] = [];
  let size = 0;
  let outputSize = 0;
  let code: 'truncated-input' | 'limit-exceeded' = 'truncated-input';
  // fzstd hands out views of its window: they are copied because the window goes on moving.
  const stream = new Decompress((chunk) => {
    outputSize += chunk.length;
    if (outputSize > ZSTD_PIECE_OUTPUT_MAX) {
      code = 'limit-exceeded';
      throw new Error(`${ZSTD_PIECE_SIZE} bytes give more than ${ZSTD_PIECE_OUTPUT_MAX}; stopped`);
    }
    size += chunk.length;
    if (size > burstSize) throw new Error(`${BURST}: more than ${burstSize} bytes of one piece of input`);
    if (chunk.length > 0) output.push(chunk.slice());
  });
  const push = (chunk: Uint8Array, isLast: boolean): Error | undefined => {
    size = 0;
    try {
      stream.push(chunk, isLast);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  };
  let failure: Error | undefined;
  for await (const chunk of source) {
    for (let start = 0; start < chunk.length && failure === undefined; start += ZSTD_PIECE_SIZE) {
      outputSize = 0;
      failure = push(chunk.slice(start, start + ZSTD_PIECE_SIZE), false);
      const taken = output;
      output = [];
      yield* taken;
    }
    if (failure !== undefined) break;
  }
  if (failure === undefined) failure = push(new Uint8Array(0), true);
  yield* output;
  if (failure !== undefined) addFailure(account, code, `zstd: ${failure.message}`);
}

async function* decodeUtf16(source: AsyncIterable<Uint8Array>, label: string): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(label);
  const encoder = new TextEncoder();
  for await (const chunk of source) {
    const text = encoder.encode(decoder.decode(chunk, { stream: true }));
    if (text.length > 0) yield text;
  }
  const rest = encoder.encode(decoder.decode());
  if (rest.length > 0) yield rest;
}

/** What the error of a burst begins with. */
const BURST = 'too much';

async function* limitRatio(
  source: AsyncGenerator<Uint8Array>,
  account: TraceAccount,
  { freeSize, ratio }: ContainerLimits,
): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > freeSize && size > account.bytes * ratio) {
      addFailure(account, 'limit-exceeded', `decompression gives more than ${ratio} times the input; stopped`);
      return;
    }
    yield chunk;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function concat(left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}
