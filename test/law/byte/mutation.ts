/**
 * Damaged bytes: what the byte law feeds to readers. Seeds are whole inputs that a reader understands; a mutation is a few
 * edits of one of them, so that most of it still makes sense and the reader gets far. Everything comes from one random source:
 * the same seed gives the same inputs in the same order.
 */

/** A whole number from 0 up to and without `bound`. */
export type Below = (bound: number) => number;

/** A 32-bit generator (mulberry32) under a seed. */
export function createBelow(seed: number): Below {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound);
  };
}

/** Inputs are kept this short, so that a budget tries many. */
export const INPUT_SIZE_MAX: number = 1 << 16;

/** One damaged input: mostly a seed with one to eight edits, now and then a splice of two seeds or mere noise. */
export function mutate(below: Below, seeds: readonly Uint8Array[]): Uint8Array {
  if (seeds.length === 0 || below(25) === 0) return noise(below, below(300));
  let bytes: Uint8Array = Uint8Array.from(pick(below, seeds));
  if (below(20) === 0) {
    const other = pick(below, seeds);
    bytes = splice(bytes, below(bytes.length + 1), bytes.length, other.subarray(below(other.length + 1)));
  }
  for (let edits = 1 + below(8); edits > 0; edits--) bytes = pick(below, EDITS)(below, bytes);
  return bytes.subarray(0, INPUT_SIZE_MAX);
}

type Edit = (below: Below, bytes: Uint8Array) => Uint8Array;

/** Numbers at which readers go wrong, as 16- and 32-bit fields of either order. */
const FIELDS: readonly number[] = [
  0, 1, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/** Texts at which readers go wrong: numbers, keys of prototypes, structure, control, bytes that are no UTF-8. */
const TEXTS: readonly Uint8Array[] = [
  ['0', '-1', '65536', '4294967296', '99999999999999999999', '1e999', '-0', '0x10', '1.5', 'NaN', '010.0.0.1'],
  ['__proto__', 'constructor', 'toString', 'null', 'true', '""', '{}', '[]', '{', '}', '[', ']', '"', "'", ',', ':'],
  ['\n', '\r\n', '\r', '\t', ' ', '\\', '\\u0000', '\\ud800', '-', '--', '---\n', '...\n', '- ', ': ', '? ', '# '],
  ['&a ', '*a ', '<<: *a\n', '!!binary ', '|2\n', '>-\n', '%YAML 1.1\n', '=', '/', '::', '0.0.0.0/0', '::ffff:1.2.3.4'],
  ['<', '>', '</', '&amp;', '<!--', '\u0000', '\ufeff', '\u2028', '\ud83d\ude00', '-- packets --\n', '@1 ', ' -> '],
  [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf8, 0x88]],
]
  .flat()
  .map((text) => (typeof text === 'string' ? Buffer.from(text) : Uint8Array.from(text)));

const EDITS: readonly Edit[] = [
  // A bit, a byte, a field, a text in the place of what was there.
  (below, bytes) => change(below, bytes, (old) => old ^ (1 << below(8))),
  (below, bytes) => change(below, bytes, () => below(256)),
  (below, bytes) => change(below, bytes, () => pick(below, [0, 9, 10, 13, 32, 34, 44, 45, 58, 91, 123, 127, 128, 255])),
  (below, bytes) => {
    const at = below(bytes.length + 1);
    const value = pick(below, FIELDS) + pick(below, [0, 0, -1, 1]);
    const field = [value >>> 24, value >>> 16, value >>> 8, value].map((part) => part & 255).slice(pick(below, [0, 2]));
    return splice(bytes, at, at + field.length, Uint8Array.from(below(2) === 0 ? field : field.reverse()));
  },
  (below, bytes) => {
    const at = below(bytes.length + 1);
    const text = pick(below, TEXTS);
    return splice(bytes, at, at + pick(below, [0, 0, 1, text.length]), text);
  },
  replaceNumber,
  replaceNumber,
  // Pieces lost, doubled, moved, repeated, cut off.
  (below, bytes) => {
    const [from, to] = range(below, bytes);
    return splice(bytes, from, to, new Uint8Array(0));
  },
  (below, bytes) => {
    const [from, to] = range(below, bytes);
    const at = below(bytes.length + 1);
    return splice(bytes, at, at, bytes.slice(from, to));
  },
  (below, bytes) => {
    const [from, to] = range(below, bytes);
    const at = below(bytes.length + 1);
    return splice(bytes, at, at + to - from, bytes.slice(from, to));
  },
  (below, bytes) => {
    const [from, to] = range(below, bytes);
    const piece = bytes.slice(from, Math.min(to, from + 40));
    const count = Math.min(pick(below, [2, 20, 500]), Math.ceil(INPUT_SIZE_MAX / Math.max(1, piece.length)));
    return splice(bytes, from, from, Buffer.concat(Array.from({ length: count }, () => piece)));
  },
  (below, bytes) => bytes.slice(0, below(bytes.length + 1)),
  (below, bytes) => {
    const at = below(bytes.length + 1);
    return splice(bytes, at, at, noise(below, 1 + below(20)));
  },
];

/** Another number in the place of a run of digits: text formats say ports, times and lengths so. */
function replaceNumber(below: Below, bytes: Uint8Array): Uint8Array {
  const isDigit = (at: number): boolean => bytes[at]! >= 48 && bytes[at]! <= 57;
  let from = below(bytes.length + 1);
  while (from < bytes.length && !isDigit(from)) from++;
  let to = from;
  while (to < bytes.length && isDigit(to)) to++;
  return from === to ? bytes : splice(bytes, from, to, pick(below, TEXTS.slice(0, 11)));
}

function change(below: Below, bytes: Uint8Array, to: (old: number) => number): Uint8Array {
  if (bytes.length === 0) return bytes;
  const at = below(bytes.length);
  bytes[at] = to(bytes[at]!);
  return bytes;
}

function range(below: Below, bytes: Uint8Array): [number, number] {
  const from = below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + below(pick(below, [4, 40, 400])))];
}

function splice(bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array {
  return Uint8Array.from(Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(Math.min(to, bytes.length))]));
}

function noise(below: Below, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => below(256));
}

function pick<T>(below: Below, items: readonly T[]): T {
  return items[below(items.length)]!;
}
