/**
 * The contract between the reading loop and the formats: a format is one object in one file, listed in `read.ts`. It says
 * how it is recognised and, where there is a reader, how bytes become rows. A decoder is a synchronous state machine that is
 * pushed windows of bytes; it never waits, never throws on input and keeps no bytes between calls.
 */
import type { Arena, Dictionary, FlowBatch } from '../model/flow.ts';
import type { TraceAccount } from './account.ts';
import type { CsvMapping } from './mapping.ts';
import type { Head } from './head.ts';

/** One trace format: its name, how to know it, and its reader if there is one. */
export interface TraceFormat {
  /** What `--format` and the account say, such as `pcapng`. */
  readonly name: string;
  /** A few words for the list of formats. */
  readonly description: string;
  /** True where the beginning of the input is of this format. Formats are asked in the order of the list. */
  readonly recognise: (head: Head) => boolean;
  /** What a trace of this format cannot show, in sentences (ends up in `TraceAccount.limits`). */
  readonly limits: readonly string[];
  /** True where the bytes are text: a byte order mark is dropped and UTF-16 is decoded before the decoder sees them. */
  readonly isText: boolean;
  /**
   * True where the reader itself wants the RFC 3339 time or the syslog header before a line, as the time of its record; elsewhere
   * such a prefix is a shipper's and is cut off before the reader sees the line.
   */
  readonly isPrefixed?: true;
  /** True where the reader takes whole JSON documents of any layout: they are not cut into their records for it. */
  readonly isDocument?: true;
  /** Makes the reader; absent: recognised, and refused by name. */
  readonly open?: (context: ReadContext) => TraceDecoder;
  /**
   * Instead of `open`, for formats that must be read out of order: fills the batch and yields where it is to be handed out. Never
   * throws on input.
   */
  readonly openFile?: (context: ReadContext, file: RandomAccess) => AsyncGenerator<void>;
  /** Beside `open`, the same for a file, where the reader knows where it wants the bytes. */
  readonly openDirect?: (context: ReadContext, file: DirectFile) => AsyncGenerator<void>;
  /** For a format without a reader: what the user can do instead. */
  readonly hint?: string;
  /** Of an input that nothing recognises: what it lacks to be of this format, where it is near. */
  readonly describeLack?: (head: Head) => string | undefined;
}

/** Bytes that can be read anywhere. */
export interface RandomAccess {
  readonly byteLength: number;
  /** The bytes `[start, end)`, or to the end. */
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** A file that is read to where its bytes are wanted. */
export interface DirectFile {
  /** Puts the next bytes into `place`; gives how many, 0 where there are no more. */
  read(place: Uint8Array): number;
  /** Bytes that have not been read. */
  readonly left: number;
  /** Passes over so many bytes, which are left. */
  skip(size: number): void;
  /** Lets others have their turn between pieces of work; false: reading is to end. */
  turn(): Promise<boolean>;
}

/** One of several readers who share a trace out among themselves. */
export interface Share {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** What a decoder writes to. */
export interface ReadContext {
  /** The same one throughout, unless the format follows it. */
  readonly batch: FlowBatch;
  readonly dictionary: Dictionary;
  readonly account: TraceAccount;
  readonly head: Head;
  readonly mapping: CsvMapping | undefined;
  /** Where columns may be put that the consumer then need not copy. */
  readonly arena?: Arena | undefined;
  /** The part that is read of a trace in shards; absent: all. */
  readonly share?: Share | undefined;
  /** Names of the fields of a record, for formats whose files do not always say them. */
  readonly fields: string | undefined;
}

/** Bytes to rows, one window at a time. */
export interface TraceDecoder {
  /**
   * Takes whole records of `bytes[start, end)` and appends rows to the batch. Returns where it stopped: at a record that
   * is not complete yet, or where the batch is full. The caller repeats the bytes from there in the next window.
   */
  decode(bytes: Uint8Array, start: number, end: number): number;
  /** The input is over; `bytes[start, end)` is the rest that held no whole record. The batch has room for at least one row. */
  finish(bytes: Uint8Array, start: number, end: number): void;
  /** How many rows from the front may be handed out; absent: all. A decoder that holds rows back has `willHandOut` too. */
  countReady?(): number;
  /** The first `count` rows are handed out next, and then the others move to the front. */
  willHandOut?(count: number): void;
  /** No further row fits into the batch, though it may have room. */
  readonly isFull?: boolean;
  /** Gave up: the rest of the input cannot be read. */
  readonly isStopped?: boolean;
}
