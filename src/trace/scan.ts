/**
 * Words in bytes: what the readers of line-oriented logs look for without making a text of the line. Every search has an end,
 * so that none runs past its record.
 */

/** True where `bytes[at, end)` begins with the ASCII text `word`. */
export function isWordAt(bytes: Uint8Array, at: number, end: number, word: string): boolean {
  const { length } = word;
  if (at + length > end) return false;
  for (let index = 0; index < length; index++) if (bytes[at + index] !== word.charCodeAt(index)) return false;
  return true;
}

/** Where the ASCII text `word` begins in `bytes[start, end)`, or -1. */
export function findWord(bytes: Uint8Array, word: string, start: number, end: number): number {
  const first = word.charCodeAt(0);
  const last = end - word.length;
  for (let at = start; at <= last; at++) if (bytes[at] === first && isWordAt(bytes, at, end, word)) return at;
  return -1;
}

/** Where `byte` stands in `bytes[start, end)`, or -1. */
export function findByte(bytes: Uint8Array, byte: number, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === byte) return at;
  return -1;
}

/** Behind the word that begins at `at`: the next blank, or `end`. */
export function endOfWord(bytes: Uint8Array, at: number, end: number): number {
  let index = at;
  while (index < end && bytes[index]! > 32) index++;
  return index;
}

/** The first byte at or behind `at` that is no blank, or `end`. */
export function skipBlanks(bytes: Uint8Array, at: number, end: number): number {
  let index = at;
  while (index < end && bytes[index]! <= 32) index++;
  return index;
}

/** Behind the digits that begin at `at`. */
export function endOfDigits(bytes: Uint8Array, at: number, end: number): number {
  let index = at;
  while (index < end && bytes[index]! >= 48 && bytes[index]! <= 57) index++;
  return index;
}

/** A 32-bit name of `bytes[start, end)`: FNV-1a, going on from `seed`. */
export function hashRange(bytes: Uint8Array, start: number, end: number, seed = 0x811c9dc5): number {
  let value = seed;
  for (let at = start; at < end; at++) value = Math.imul(value ^ bytes[at]!, 0x01000193);
  return value >>> 0;
}
