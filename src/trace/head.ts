/**
 * The beginning of an input as recognition sees it: bytes, the first lines, and the keys of the first JSON value. Built once
 * and asked by every format; nothing here runs a regular expression over input.
 */

/** How much of an input is looked at before it is called unknown. */
export const HEAD_SIZE: number = 64 * 1024;

/** The first bytes of an input, in the views that formats ask for. */
export interface Head {
  readonly bytes: Uint8Array;
  /** True where the input ends with these bytes. */
  readonly isWhole: boolean;
  /** Decoded text without byte order mark; empty where the bytes hold a NUL, which no text format has. */
  readonly text: string;
  /** The first lines, at most 50, without blank and comment (`#`) lines; an unfinished last line only where it is all there is. */
  readonly lines: readonly string[];
  /** The first lines with comments. */
  readonly rawLines: readonly string[];
  /** Keys of the first JSON object; undefined where the text does not begin with one. */
  readonly json: JsonKeys | undefined;
}

/** Keys of the first JSON object of a text, whole or not. */
export interface JsonKeys {
  /** At its top level. */
  readonly top: ReadonlySet<string>;
  /** At any depth, outermost first. */
  readonly all: ReadonlySet<string>;
  /** Values of string members at any depth that recognition asks for, as `key=value`. */
  readonly pairs: ReadonlySet<string>;
  /** The text begins with `[`: the object is the first element. */
  readonly isInArray: boolean;
  /** The object ended within the text. */
  readonly isWhole: boolean;
  /** The object spans several lines. */
  readonly isMultiLine: boolean;
}

/** Views the first bytes; `isWhole` says that there are no more. */
export function createHead(bytes: Uint8Array, isWhole: boolean): Head {
  const text = bytes.subarray(0, 1024).includes(0) ? '' : new TextDecoder().decode(bytes.subarray(0, 16 * HEAD_SIZE));
  const rawLines = cutLines(text, isWhole);
  return {
    bytes,
    isWhole,
    text,
    rawLines,
    lines: rawLines.filter((line) => !line.startsWith('#')),
    json: readKeys(text),
  };
}

/** True where `bytes` begin with the numbers of `magic`. */
export function startsWith(bytes: Uint8Array, ...magic: number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, index) => bytes[index] === byte);
}

/** True where at least 60 % of the lines satisfy the test, and there is one. */
export function doMostLines(head: Head, test: (line: string) => boolean): boolean {
  const { lines } = head;
  let count = 0;
  for (const line of lines) if (test(line)) count++;
  return count > 0 && count * 10 >= lines.length * 6;
}

function cutLines(text: string, isWhole: boolean): string[] {
  const lines: string[] = [];
  let start = 0;
  while (lines.length < 50 && start < text.length) {
    let end = text.indexOf('\n', start);
    if (end < 0) {
      if (!isWhole && lines.length > 0) break;
      end = text.length;
    }
    const stop = end > start && text.charCodeAt(end - 1) === 13 ? end - 1 : end;
    const line = text.slice(start, Math.min(stop, start + 4096));
    if (line.trim() !== '') lines.push(line);
    start = end + 1;
  }
  return lines;
}

/** One pass with a depth counter; a text that is not JSON gives whatever keys it seems to have, which match no format. */
function readKeys(text: string): JsonKeys | undefined {
  let index = skipSpace(text, 0);
  const isInArray = text[index] === '[';
  if (isInArray) index = skipSpace(text, index + 1);
  if (text[index] !== '{') return undefined;
  const top = new Set<string>();
  const all = new Set<string>();
  const pairs = new Set<string>();
  const start = index;
  let depth = 0;
  let key = '';
  for (; index < text.length; index++) {
    const char = text[index]!;
    if (char === '"') {
      const end = endOfString(text, index);
      if (end < 0) break;
      const value = text.slice(index + 1, end);
      const next = skipSpace(text, end + 1);
      if (text[next] === ':') {
        key = value;
        if (all.size < 5000) all.add(value);
        if (depth === 1) top.add(value);
        index = next;
      } else {
        if (key !== '' && value.length < 200 && pairs.size < 5000) pairs.add(`${key}=${value}`);
        key = '';
        index = end;
      }
    } else if (char === '{' || char === '[') depth++;
    else if ((char === '}' || char === ']') && --depth === 0) break;
  }
  const isWhole = index < text.length && depth === 0;
  return { top, all, pairs, isInArray, isWhole, isMultiLine: text.slice(start, index).includes('\n') };
}

function endOfString(text: string, quote: number): number {
  for (let index = quote + 1; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 92) index++;
    else if (code === 34) return index;
  }
  return -1;
}

function skipSpace(text: string, index: number): number {
  while (index < text.length && text.charCodeAt(index) <= 32) index++;
  return index;
}
