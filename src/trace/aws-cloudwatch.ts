/**
 * VPC flow logs in the envelopes of CloudWatch Logs: subscription data (`logEvents`) and what `aws logs` prints (`events`).
 * Each event's `message` is a record. The strings are found in the bytes as they come, so that an envelope may be of any
 * size, pretty-printed, or one of many without a line end between them.
 */
import { addMalformed, increment } from './account.ts';
import { AWS_LIMITS, AwsVpcRecords } from './aws-vpc.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { decodeText, RECORD_SIZE_LIMIT } from './line.ts';

/** CloudWatch's envelopes around VPC flow logs. */
export const AWS_CLOUDWATCH: TraceFormat = {
  name: 'aws-vpc-cloudwatch',
  description: 'AWS VPC flow logs in a CloudWatch envelope',
  recognise: ({ json }) =>
    json !== undefined &&
    (json.top.has('logEvents') ||
      (json.top.has('events') &&
        ['nextForwardToken', 'searchedLogStreams', 'ingestionTime'].some((key) => json.all.has(key)))),
  isText: true,
  limits: AWS_LIMITS,
  open: openCloudWatch,
};

const QUOTE = 34;
const BACKSLASH = 92;
/** An event lies in an array in an object. */
const EVENT_DEPTH = 3;
const MESSAGE = 'message';

function openCloudWatch(context: ReadContext): TraceDecoder {
  const { batch, account } = context;
  const records = new AwsVpcRecords(context);
  let depth = 0;
  let offset = 0;
  let isValue = false;
  let isMessage = false;
  let isInGarbage = false;
  const decoder = {
    isStopped: false,
    decode(bytes: Uint8Array, start: number, end: number): number {
      let at = start;
      while (at < end && batch.count < batch.capacity) {
        const byte = bytes[at]!;
        if (byte === QUOTE) {
          const close = endOfString(bytes, at, end);
          if (close < 0) {
            if (end - at > RECORD_SIZE_LIMIT) {
              reject('too-long', `a text longer than ${RECORD_SIZE_LIMIT} bytes`, offset + at - start);
              decoder.isStopped = true;
            }
            break;
          }
          if (!isValue) isMessage = isMessageKey(bytes, at + 1, close);
          else if (isMessage && depth >= EVENT_DEPTH) takeMessage(bytes, at, close, offset + at - start);
          at = close + 1;
          continue;
        }
        if (byte === 123 || byte === 91) {
          depth++;
          isValue = isMessage = false;
        } else if (byte === 125 || byte === 93) {
          depth = Math.max(0, depth - 1);
          isValue = isMessage = false;
        } else if (byte === 58) isValue = true;
        else if (byte === 44) isValue = isMessage = false;
        else if (byte > 32 && !isLiteral(byte)) {
          if (!isInGarbage) reject('invalid-json', 'expected JSON', offset + at - start);
          isInGarbage = true;
          at++;
          continue;
        }
        if (byte > 32) isInGarbage = false;
        at++;
      }
      offset += at - start;
      return at;
    },
    finish(_bytes: Uint8Array, start: number, end: number): void {
      if (end > start || depth > 0) reject('truncated', 'the input ends inside an envelope', offset);
    },
  };
  const reject = (reason: string, detail: string, at: number): void => {
    account.read++;
    addMalformed(account, reason, { unit: 'record', number: account.read, offset: at }, detail);
  };
  const takeMessage = (bytes: Uint8Array, open: number, close: number, at: number): void => {
    account.read++;
    let text = bytes;
    let start = open + 1;
    let end = close;
    if (hasEscape(bytes, start, close)) {
      let value: unknown;
      try {
        value = JSON.parse(decodeText(bytes, open, close + 1));
      } catch {
        const place = { unit: 'record', number: account.read, offset: at } as const;
        return addMalformed(account, 'invalid-json', place, 'the text of a message is no JSON string');
      }
      text = Buffer.from(String(value));
      start = 0;
      end = text.length;
    }
    while (start < end && text[start]! <= 32) start++;
    if (start === end) return increment(account.skipped, 'empty-message');
    // What CloudWatch sends to see whether anyone listens.
    if (text[start] === 67 && decodeText(text, start, Math.min(end, start + 19)) === 'CWL CONTROL MESSAGE')
      return increment(account.skipped, 'control-message');
    if (records.takeHeader(text, start, end)) account.read--;
    else records.take(text, start, end, 'record', account.read, at);
  };
  return decoder;
}

function isMessageKey(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== MESSAGE.length) return false;
  for (let index = 0; index < MESSAGE.length; index++)
    if (bytes[start + index] !== MESSAGE.charCodeAt(index)) return false;
  return true;
}

/** The position of the quote that closes the string which `open` begins, or -1. */
function endOfString(bytes: Uint8Array, open: number, end: number): number {
  for (let at = open + 1; at < end; at++) {
    if (bytes[at] === BACKSLASH) at++;
    else if (bytes[at] === QUOTE) return at;
  }
  return -1;
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === BACKSLASH) return true;
  return false;
}

/** A byte of a number, `true`, `false` or `null`. */
function isLiteral(byte: number): boolean {
  return (
    (byte >= 97 && byte <= 122) ||
    (byte >= 48 && byte <= 57) ||
    byte === 43 ||
    byte === 45 ||
    byte === 46 ||
    byte === 69
  );
}
