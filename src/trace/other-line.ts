/**
 * Other lines of the program that wrote the records: a log holds banners and messages between them. A line passes if the format
 * knows it by itself, or if it begins like one that did; everything else is skipped and counted, not malformed.
 */
import { createHead } from './head.ts';
import { decodeText } from './line.ts';
import { createLineCutter } from './prefix.ts';
import type { TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import type { Layer, Unwrapper } from './wrapper.ts';

/** Beginnings that are remembered; a log with more kinds of lines is only slower. */
const SHAPE_LIMIT = 512;
/** Bytes of a text line whose shape is looked at. */
const SHAPE_SIZE = 32;
/** Bytes of a line by which the format is asked. */
const LINE_SIZE = 16_384;

/** True where the format knows its lines one by one: without a header that stands once, and without the lines around. */
export function knowsSingleLines(format: TraceFormat, head: Head): boolean {
  // What stands behind the first line must be known without it; the first one may be a header.
  const lines = head.lines.slice(1, 20).filter((line) => line.length < LINE_SIZE);
  const count = lines.filter((line) => knowsLine(format, line)).length;
  if (lines.length === 0) return head.json !== undefined;
  return count * 2 >= lines.length || (head.json !== undefined && count > 0);
}

/** True where one line by itself is recognised. */
export function knowsLine(format: TraceFormat, line: string): boolean {
  return format.isText && format.recognise(lineHead(line));
}

/** One line as an input of its own. */
export function lineHead(line: string): Head {
  return createHead(Buffer.from(line), true);
}

/** Passes the lines of `format` on, and comments. */
export function openOtherLineFilter(format: TraceFormat, layer: Layer): Unwrapper {
  const known = new Set<number>();
  return createLineCutter(layer, (bytes, start, end, line) => {
    const shape = shapeOf(bytes, start, end);
    if (bytes[start] === 35 || known.has(shape)) return layer.writeLine(bytes, start, end, line);
    if (!knowsLine(format, decodeText(bytes, start, Math.min(end, start + LINE_SIZE)))) {
      // A record that is cut or broken is for its reader to reject: what begins as one, and ends too early to tell.
      if (bytes[start] !== 123 || bytes[end - 1] === 125) return layer.skip('other-line');
    } else if (known.size < SHAPE_LIMIT) known.add(shape);
    layer.writeLine(bytes, start, end, line);
  });
}

/**
 * A number for how a line begins: of JSON everything up to the first member's value, of text the classes of its first characters, runs of
 * letters and digits taken together.
 */
function shapeOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  if (bytes[start] === 123) {
    const stop = Math.min(end, start + 64);
    for (let at = start; at < stop && bytes[at] !== 58; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    return hash;
  }
  let last = 0;
  let count = 0;
  for (let at = start; at < end && count < SHAPE_SIZE; at++) {
    const byte = bytes[at]!;
    const isWord =
      (byte >= 48 && byte <= 57) || (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || byte === 95;
    const group = isWord ? 1 : byte;
    if (group === last) continue;
    last = group;
    count++;
    hash = Math.imul(hash ^ group, 0x01000193);
  }
  return hash;
}
