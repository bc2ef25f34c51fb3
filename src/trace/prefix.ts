/**
 * Prefixes that container runtimes, kubectl and syslog put before every line of a log. One line in, at most one line out.
 */
import type { Head } from './head.ts';
import { doMostLines } from './head.ts';
import { RECORD_SIZE_LIMIT, decodeText } from './line.ts';
import { PartJoiner } from './part.ts';
import type { Layer, Unwrapper, Wrapper } from './wrapper.ts';

/** Takes the line `bytes[start, end)`, without its line end. */
export type LineTaker = (bytes: Uint8Array, start: number, end: number, line: number) => void;

/** Prefixes that no format's own lines have. */
export const PREFIXES: readonly Wrapper[] = [
  {
    name: 'cri',
    isLog: true,
    recognise: (head) =>
      doMostLines(head, (line) => {
        const bytes = Buffer.from(line.slice(0, 80));
        return criContent(bytes, 0, bytes.length) > 0;
      }),
    open: openCri,
  },
  stripping('kubectl-prefix', podPrefixEnd),
];

/** Prefixes that a format may have of its own: asked only where no format knows the lines as they are. */
export const WEAK_PREFIXES: readonly Wrapper[] = [
  stripping('timestamps', timePrefixEnd),
  stripping('syslog', syslogPrefixEnd),
];

/** Cuts a stream into lines for `take`; a line over the limit is one malformed record. */
export function createLineCutter(layer: Layer, take: LineTaker): Unwrapper {
  let held = new Uint8Array(0);
  let heldSize = 0;
  let line = 1;
  let isDiscarding = false;
  const hold = (bytes: Uint8Array): void => {
    if (isDiscarding) return;
    const size = heldSize + bytes.length;
    if (size > RECORD_SIZE_LIMIT) {
      layer.reject('too-long', line, `line longer than ${RECORD_SIZE_LIMIT} bytes`);
      isDiscarding = true;
      held = new Uint8Array(0);
      heldSize = 0;
      return;
    }
    if (size > held.length) {
      const grown = new Uint8Array(Math.max(size, held.length * 2, 4096));
      grown.set(held.subarray(0, heldSize));
      held = grown;
    }
    held.set(bytes, heldSize);
    heldSize = size;
  };
  const takeTrimmed = (bytes: Uint8Array, start: number, end: number): void => {
    const stop = end > start && bytes[end - 1] === 13 ? end - 1 : end;
    if (stop > start) take(bytes, start, stop, line);
  };
  return {
    push(chunk) {
      let at = 0;
      while (at < chunk.length) {
        const newline = chunk.indexOf(10, at);
        if (newline < 0) {
          hold(chunk.subarray(at));
          return;
        }
        if (heldSize > 0 || isDiscarding) {
          hold(chunk.subarray(at, newline));
          if (!isDiscarding) takeTrimmed(held, 0, heldSize);
        } else takeTrimmed(chunk, at, newline);
        heldSize = 0;
        isDiscarding = false;
        line++;
        at = newline + 1;
      }
    },
    finish() {
      if (heldSize > 0) takeTrimmed(held, 0, heldSize);
      heldSize = 0;
    },
  };
}

function openCri(layer: Layer): Unwrapper {
  const parts = new PartJoiner(layer);
  const cutter = createLineCutter(layer, (bytes, start, end, line) => {
    const content = criContent(bytes, start, end);
    if (content === 0) {
      layer.reject('not-wrapped', line, 'expected a CRI prefix: TIME stdout|stderr F|P', excerpt(bytes, start, end));
      return;
    }
    const stream = bytes[bytes.indexOf(32, start) + 4] === 111 ? 'stdout' : 'stderr';
    const flag = bytes[bytes.indexOf(32, start) + 8];
    parts.add(stream, bytes, Math.min(content, end), end, line, flag === 80 ? 'more' : 'last');
  });
  return {
    push: (chunk) => cutter.push(chunk),
    finish() {
      cutter.finish();
      parts.finish();
    },
  };
}

/** A wrapper that cuts off what `prefixEnd` finds: the position behind the prefix, 0 where there is none. */
function stripping(name: string, prefixEnd: (bytes: Uint8Array, start: number, end: number) => number): Wrapper {
  return {
    name,
    isLog: true,
    recognise: (head: Head) =>
      doMostLines(head, (line) => {
        const bytes = Buffer.from(line.slice(0, 300));
        return prefixEnd(bytes, 0, bytes.length) > 0;
      }),
    open: (layer) =>
      createLineCutter(layer, (bytes, start, end, line) => {
        const content = prefixEnd(bytes, start, end);
        if (content === 0)
          layer.reject('not-wrapped', line, `expected the prefix of ${name}`, excerpt(bytes, start, end));
        else if (content < end) layer.writeLine(bytes, content, end, line);
      }),
  };
}

/** `2026-01-02T03:04:05.123456789Z stdout F `: a time, a stream and tags, of which the first says whether the line is whole. */
function criContent(bytes: Uint8Array, start: number, end: number): number {
  const first = timeEnd(bytes, start, end);
  if (first === 0 || first + 9 >= end + 1) return 0;
  const isOut = matches(bytes, first, ' stdout ');
  if (!isOut && !matches(bytes, first, ' stderr ')) return 0;
  const tag = first + 8;
  if (bytes[tag] !== 70 && bytes[tag] !== 80) return 0;
  let at = tag + 1;
  if (bytes[at] === 58) while (at < end && bytes[at] !== 32) at++;
  if (at < end && bytes[at] !== 32) return 0;
  return at + 1;
}

/** `[pod/NAME/CONTAINER] ` of `kubectl logs --prefix`. */
function podPrefixEnd(bytes: Uint8Array, start: number, end: number): number {
  if (!matches(bytes, start, '[pod/')) return 0;
  // Names have at most 253 characters each.
  const close = bytes.subarray(start, Math.min(end, start + 520)).indexOf(93);
  if (close < 0) return 0;
  return start + close + 1 < end ? start + close + 2 : end;
}

/** `2026-01-02T03:04:05.123456789Z ` of `kubectl logs --timestamps` and others. */
function timePrefixEnd(bytes: Uint8Array, start: number, end: number): number {
  const stop = timeEnd(bytes, start, end);
  return stop > 0 && (stop === end || bytes[stop] === 32) ? Math.min(end, stop + 1) : 0;
}

/** RFC 3164 (`<13>Jan  2 03:04:05 host tag: `), RFC 5424 (`<13>1 TIME host app proc id data `), or an RFC 3339 time, host and tag. */
function syslogPrefixEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (bytes[at] === 60) {
    const close = bytes.subarray(at, Math.min(end, at + 5)).indexOf(62);
    if (close < 2) return 0;
    at += close + 1;
  }
  if (bytes[at] === 49 && bytes[at + 1] === 32 && at > start) return structuredEnd(bytes, at + 2, end);
  const time = timeEnd(bytes, at, end);
  if (time > 0) at = time;
  else {
    if (!isLetter(bytes[at]) || bytes[at + 3] !== 32 || bytes[at + 9] !== 58 || bytes[at + 12] !== 58) return 0;
    at += 15;
  }
  if (bytes[at] !== 32) return 0;
  // Host, then a tag that ends in a colon.
  const host = bytes.indexOf(32, at + 1);
  if (host < 0 || host >= end) return 0;
  const tag = bytes.indexOf(32, host + 1);
  if (tag < 0 || tag > end || bytes[tag - 1] !== 58) return 0;
  return Math.min(end, tag + 1);
}

function structuredEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = timeEnd(bytes, start, end);
  if (at === 0) return 0;
  // Host, application, process and message id.
  for (let field = 0; field < 4; field++) {
    at = bytes.indexOf(32, at + 1);
    if (at < 0 || at >= end) return 0;
  }
  at++;
  if (bytes[at] === 45) return Math.min(end, at + 2);
  while (bytes[at] === 91) {
    const close = bytes.indexOf(93, at);
    if (close < 0 || close >= end) return 0;
    at = close + 1;
  }
  return Math.min(end, at + 1);
}

/** The position behind an RFC 3339 time with zone, 0 where there is none. */
function timeEnd(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 20 || bytes[start + 4] !== 45 || bytes[start + 10] !== 84 || bytes[start + 13] !== 58) return 0;
  for (const at of [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]) if (!isDigit(bytes[start + at])) return 0;
  let at = start + 19;
  if (bytes[at] === 46) {
    at++;
    while (at < end && at < start + 30 && isDigit(bytes[at])) at++;
  }
  if (bytes[at] === 90) return at + 1;
  if (bytes[at] !== 43 && bytes[at] !== 45) return 0;
  const isColon = bytes[at + 3] === 58;
  const stop = at + (isColon ? 6 : 5);
  return stop <= end && isDigit(bytes[at + 1]) && isDigit(bytes[stop - 1]) ? stop : 0;
}

function matches(bytes: Uint8Array, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) if (bytes[at + index] !== text.charCodeAt(index)) return false;
  return true;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57;
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 65 && byte <= 90;
}

function excerpt(bytes: Uint8Array, start: number, end: number): string {
  return decodeText(bytes, start, Math.min(end, start + 240));
}
