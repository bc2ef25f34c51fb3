/**
 * The contract of the layers that stand between a file and its format: log prefixes, envelopes, arrays. A wrapper takes the
 * bytes of one layer and writes the lines of the next; what it cannot unwrap it accounts for itself, and it holds no more than
 * one line or value.
 */
import { addMalformedAt, increment, type TraceAccount } from './account.ts';
import type { Head } from './head.ts';
import { LineMap } from './line-map.ts';

/** One kind of wrapping. */
export interface Wrapper {
  /** What `TraceAccount.containers` says. */
  readonly name: string;
  /** True where the input is wrapped so. */
  readonly recognise: (head: Head) => boolean;
  /** True where other lines of the same program are to be expected between the records. */
  readonly isLog: boolean;
  /** True where it is JSON's own layout and no shipper's: a reader of documents takes it as it is. */
  readonly isLayout?: true;
  readonly open: (layer: Layer, head: Head) => Unwrapper;
}

/** Takes the bytes of a layer. */
export interface Unwrapper {
  push(chunk: Uint8Array): void;
  finish(): void;
  /** Gave up: nothing more comes out. */
  readonly isStopped?: boolean;
}

/** What an unwrapper writes to: the lines of the next layer, and the account of the file. */
export class Layer {
  /** From the lines written here to the lines of this layer's input. */
  readonly map: LineMap = new LineMap();
  private readonly account: TraceAccount;
  private readonly outer: readonly LineMap[];
  private bytes = new Uint8Array(1 << 16);
  private size = 0;

  /** `outer`: the maps of the layers around this one, outermost first. */
  constructor(account: TraceAccount, outer: readonly LineMap[]) {
    this.account = account;
    this.outer = outer;
  }

  /** Writes one line. A line end inside of it becomes a blank. `line` is where it began in the input. */
  writeLine(bytes: Uint8Array, start: number, end: number, line: number): void {
    const at = this.reserve(end - start + 1);
    const out = this.bytes;
    for (let from = start, to = at; from < end; from++, to++) out[to] = bytes[from] === 10 ? 32 : bytes[from]!;
    out[this.size - 1] = 10;
    this.map.add(line);
  }

  /** Writes text as it is, which may be several lines, and ends the last one. All of them began on `line`. */
  writeText(bytes: Uint8Array, start: number, end: number, line: number): void {
    const stop = end > start && bytes[end - 1] === 10 ? end - 1 : end;
    const at = this.reserve(stop - start + 1);
    this.bytes.set(bytes.subarray(start, stop), at);
    this.bytes[this.size - 1] = 10;
    for (let next = start; next >= 0 && next <= stop;) {
      this.map.add(line);
      const newline = bytes.subarray(0, stop).indexOf(10, next);
      next = newline < 0 ? -1 : newline + 1;
    }
  }

  /** What was written since the last call; undefined where nothing was. */
  takeBytes(): Uint8Array | undefined {
    if (this.size === 0) return undefined;
    const taken = this.bytes.subarray(0, this.size);
    this.bytes = new Uint8Array(Math.max(1 << 16, Math.min(this.bytes.length, 1 << 21)));
    this.size = 0;
    return taken;
  }

  /** Counts a record that the wrapper read and skipped. */
  skip(reason: string): void {
    this.account.read++;
    increment(this.account.skipped, reason);
  }

  /** Counts a record that the wrapper could not unwrap. */
  reject(reason: string, line: number, detail: string, excerpt?: string): void {
    this.account.read++;
    addMalformedAt(this.account, reason, `line ${mapLine(this.outer, line)}: ${detail}`, {
      line: mapLine(this.outer, line),
      ...(excerpt !== undefined && { excerpt }),
    });
  }

  private reserve(count: number): number {
    const at = this.size;
    if (at + count > this.bytes.length) {
      const grown = new Uint8Array(Math.max(at + count, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
    }
    this.size = at + count;
    return at;
  }
}

/** The line of the file for a line behind the layers of `maps`, outermost first. */
export function mapLine(maps: readonly LineMap[], line: number): number {
  let mapped = line;
  for (let index = maps.length - 1; index >= 0; index--) mapped = maps[index]!.lineOf(mapped);
  return mapped;
}

/** The next layer's bytes: all that `wrapper` takes out of `source`. */
export async function* unwrapLayer(
  source: AsyncIterable<Uint8Array>,
  unwrapper: Unwrapper,
  layer: Layer,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    // By pieces, so that what comes out at once stays small.
    for (let start = 0; start < chunk.length; start += 1 << 18) {
      unwrapper.push(chunk.subarray(start, Math.min(chunk.length, start + (1 << 18))));
      const bytes = layer.takeBytes();
      if (bytes !== undefined) yield bytes;
    }
    if (unwrapper.isStopped === true) break;
  }
  unwrapper.finish();
  const rest = layer.takeBytes();
  if (rest !== undefined) yield rest;
}
