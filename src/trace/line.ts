/**
 * Cutting text into records: lines, and JSON values that may span lines or sit in one array. Every record that is cut here
 * is counted as read here; the handler decides its fate and appends at most one row.
 */
import { addMalformed } from './account.ts';
import type { ReadContext, TraceDecoder } from './format.ts';

/** A record longer than this is malformed and dropped. */
export const RECORD_SIZE_LIMIT: number = 16 * 1024 * 1024;

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

/** Hands every line that is not blank to `handle`, without its line end. Lines end in LF or CRLF. */
export function createLineDecoder(context: ReadContext, handle: RecordHandler<string>): TraceDecoder {
  return createByteLineDecoder(context, (bytes, start, end, line, offset) =>
    handle(decodeText(bytes, start, end), { unit: 'line', number: line, offset }),
  );
}

/** The same without text or object for a line: for the formats of millions of short lines. */
export function createByteLineDecoder(context: ReadContext, handle: ByteLineHandler): TraceDecoder {
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
      while (at < end && batch.count < batch.capacity) {
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

/**
 * Hands every JSON object to `handle`: one a line where the input begins so, else by counting braces (pretty-printed objects,
 * or the elements of an array). A broken line costs that line only.
 */
export function createJsonDecoder(context: ReadContext, handle: RecordHandler<Record<string, unknown>>): TraceDecoder {
  const { account, head } = context;
  const parse: RecordHandler<string> = (text, place) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      addMalformed(account, 'invalid-json', place, `invalid JSON: ${(error as Error).message.slice(0, 200)}`, text);
      return;
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      handle(value as Record<string, unknown>, place);
    else addMalformed(account, 'not-an-object', place, 'expected a JSON object', text);
  };
  const spansLines = head.json !== undefined && (head.json.isInArray || head.json.isMultiLine);
  return spansLines ? createValueDecoder(context, parse) : createLineDecoder(context, parse);
}

/** Objects wherever they stand; commas, brackets and blanks between them are no records, other bytes are one malformed one. */
function createValueDecoder(context: ReadContext, handle: RecordHandler<string>): TraceDecoder {
  const { batch, account } = context;
  let line = 1;
  let offset = 0;
  let isInGarbage = false;

  const pass = (bytes: Uint8Array, start: number, end: number): void => {
    for (let at = start; at < end; at++) if (bytes[at] === NEWLINE) line++;
    offset += end - start;
  };
  const reject = (reason: string, detail: string): void => {
    account.read++;
    addMalformed(account, reason, { unit: 'line', number: line, offset }, detail);
  };

  return {
    decode(bytes, start, end) {
      let at = start;
      while (at < end && batch.count < batch.capacity) {
        const byte = bytes[at]!;
        if (byte !== 123) {
          if (byte > 32 && byte !== 44 && byte !== 91 && byte !== 93 && !isInGarbage) {
            isInGarbage = true;
            reject('invalid-json', 'expected a JSON object');
          }
          pass(bytes, at, at + 1);
          at++;
          continue;
        }
        isInGarbage = false;
        const stop = endOfObject(bytes, at, end);
        if (stop < 0) {
          if (end - at <= RECORD_SIZE_LIMIT) break;
          reject('too-long', `object longer than ${RECORD_SIZE_LIMIT} bytes`);
          isInGarbage = true;
          pass(bytes, at, at + 1);
          at++;
          continue;
        }
        account.read++;
        handle(decodeText(bytes, at, stop), { unit: 'line', number: line, offset });
        pass(bytes, at, stop);
        at = stop;
      }
      return at;
    },
    finish(_bytes, start, end) {
      if (end > start) reject('truncated', `the input ends inside an object, ${end - start} bytes after its beginning`);
    },
  };
}

/** The position behind the object that begins at `start`, or -1. */
function endOfObject(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      for (at++; at < end && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === 123 || byte === 91) depth++;
    else if ((byte === 125 || byte === 93) && --depth === 0) return at + 1;
  }
  return -1;
}

/** UTF-8 of `bytes[start, end)`; broken sequences become replacement characters. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at]! > 32) return false;
  return true;
}
