/**
 * Cutting text into records: lines, and JSON objects one a line. Every record that is cut here is counted as read here; the
 * handler decides its fate and appends at most one row.
 */
import { addMalformed, type TraceAccount } from './account.ts';
import type { ReadContext, TraceDecoder } from './format.ts';

/** A record longer than this is malformed and dropped. */
export const RECORD_SIZE_LIMIT: number = 16 * 1024 * 1024;

/** JSON values inside each other beyond this are no record: whoever walks or prints one would need a stack without end. */
const JSON_DEPTH_LIMIT = 200;

/** Where a record begins. */
export interface Place {
  readonly unit: 'line';
  readonly number: number;
  readonly offset: number;
}

/** Takes one record: counts it as used (by a row), skipped or malformed. */
export type RecordHandler<T> = (record: T, place: Place) => void;

const NEWLINE = 10;
const QUOTE = 34;
const BACKSLASH = 92;

/** Takes one line, `bytes[start, end)` without its line end; the bytes are the reader's and change after the call. */
export type ByteLineHandler = (bytes: Uint8Array, start: number, end: number, line: number, offset: number) => void;

/** Takes many ordinary lines at once and leaves the others to the handler. */
export interface LineRun {
  /** How many lines the last call of `takeRun` took. */
  readonly lines: number;
  /** `takeRun` is asked about `bytes[start, end)` next, in order, until the next call. */
  open(bytes: Uint8Array, start: number, end: number): void;
  /**
   * Takes whole lines from `start` on and accounts for them; `line` is the number of the first. Returns the beginning of the first
   * line that it did not take.
   */
  takeRun(start: number, line: number): number;
}

/** Hands every line that is not blank to `handle`, without its line end. Lines end in LF or CRLF. */
export function createLineDecoder(context: ReadContext, handle: RecordHandler<string>): TraceDecoder {
  return createByteLineDecoder(context, (bytes, start, end, line, offset) =>
    handle(decodeText(bytes, start, end), { unit: 'line', number: line, offset }),
  );
}

/** The same without text or object for a line: for the formats of millions of short lines, where `run` may take most of them. */
export function createByteLineDecoder(context: ReadContext, handle: ByteLineHandler, run?: LineRun): TraceDecoder {
  const { batch, account } = context;
  let line = 1;
  let offset = 0;
  let isDiscarding = false;

  const take = (bytes: Uint8Array, start: number, end: number): void => {
    const stop = end > start && bytes[end - 1] === 13 ? end - 1 : end;
    if (isBlank(bytes, start, stop)) return;
    account.read++;
    handle(bytes, start, stop, line, offset);
  };

  return {
    decode(bytes, start, end) {
      let at = start;
      run?.open(bytes, start, end);
      while (at < end && batch.count < batch.capacity) {
        if (run !== undefined && !isDiscarding) {
          const stop = run.takeRun(at, line);
          line += run.lines;
          offset += stop - at;
          at = stop;
          if (at === end || batch.count >= batch.capacity) break;
        }
        const newline = bytes.indexOf(NEWLINE, at);
        if (newline < 0 || newline >= end) {
          if (!isDiscarding && end - at <= RECORD_SIZE_LIMIT) break;
          if (!isDiscarding) {
            isDiscarding = true;
            account.read++;
            const place = { unit: 'line', number: line, offset } as const;
            addMalformed(account, 'too-long', place, `line longer than ${RECORD_SIZE_LIMIT} bytes`);
          }
          offset += end - at;
          return end;
        }
        if (isDiscarding) isDiscarding = false;
        else take(bytes, at, newline);
        offset += newline + 1 - at;
        line++;
        at = newline + 1;
      }
      return at;
    },
    finish(bytes, start, end) {
      if (end > start && !isDiscarding) take(bytes, start, end);
    },
  };
}

/** Hands every JSON object to `handle`, one a line: arrays and pretty-printed objects are cut to lines before a reader sees them. */
export function createJsonDecoder(context: ReadContext, handle: RecordHandler<Record<string, unknown>>): TraceDecoder {
  const { account } = context;
  return createLineDecoder(context, (text, place) => parseJsonRecord(account, text, place, handle));
}

/** Hands the JSON object that a text holds to `handle`; a text that is none is malformed. */
export function parseJsonRecord(
  account: TraceAccount,
  text: string,
  place: Place,
  handle: RecordHandler<Record<string, unknown>>,
): void {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    addMalformed(account, 'invalid-json', place, `invalid JSON: ${(error as Error).message.slice(0, 200)}`, text);
    return;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    handle(value as Record<string, unknown>, place);
  else addMalformed(account, 'not-an-object', place, 'expected a JSON object', text);
}

/** JSON.parse for what comes from outside. Throws a SyntaxError, also where values are nested deeper than `JSON_DEPTH_LIMIT`. */
export function parseJson(text: string): unknown {
  // A level takes two characters at least, and a few thousand levels harm nobody: short texts need no look.
  if (text.length > 4096 && isDeep(text)) throw new SyntaxError(`values nested deeper than ${JSON_DEPTH_LIMIT}`);
  return JSON.parse(text);
}

/** UTF-8 of `bytes[start, end)`; broken sequences become replacement characters. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at]! > 32) return false;
  return true;
}

function isDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      for (at++; at < text.length && text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at++;
    } else if (code === 123 || code === 91) {
      if (++depth > JSON_DEPTH_LIMIT) return true;
    } else if (code === 125 || code === 93) depth--;
  }
  return false;
}
