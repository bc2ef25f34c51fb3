/**
 * A lane: one field of all rows of a group as numbers. Columns of numbers are copied; texts are read once each and remembered, because
 * columns repeat theirs.
 */
import { INVALID, UNKNOWN } from './mapped-row.ts';
import { textAtPath } from './mapping.ts';

/** How a lane is made. */
export interface LaneSpec {
  /** For messages. */
  readonly name: string;
  /** Columns, or members of structs as `a.b`. */
  readonly columns: readonly string[];
  /** The number of a row's texts, in the order of the columns; NaN where it is absent, or as `parseField`. */
  readonly parse: (texts: readonly (string | undefined)[]) => number;
  /** The same for a single column of numbers; absent, or undefined: as text. */
  readonly parseNumber?: (value: number) => number | undefined;
  /** True where a word that is not known is counted. */
  readonly isWord: boolean;
  /** What a text was read as; kept across row groups. */
  readonly memo: Map<string, number>;
}

/** The numbers of a field, and what went wrong. */
export interface Lane {
  readonly values: Float64Array;
  /** Texts of the first rows with `INVALID`. */
  readonly invalid: ReadonlyMap<number, string>;
  /** Words that are not known -> how often. */
  readonly unknown: ReadonlyMap<string, number>;
}

const MEMO_LIMIT = 1 << 18;
const INVALID_SHOWN = 20;
const UNKNOWN_SHOWN = 100;

/** Makes the lane of `count` rows. */
export function readLane(spec: LaneSpec, sources: readonly ArrayLike<unknown>[], count: number): Lane {
  const values = new Float64Array(count);
  const invalid = new Map<number, string>();
  const unknown = new Map<string, number>();
  const only = sources.length === 1 && !spec.columns[0]!.includes('.') ? sources[0] : undefined;
  const numbers = only === undefined || spec.parseNumber === undefined ? undefined : numbersOf(only);
  if (numbers !== undefined && spec.parseNumber!(0) !== undefined) {
    const parse = spec.parseNumber!;
    for (let row = 0; row < count; row++) {
      const value = parse(numbers[row]!)!;
      values[row] = value;
      if (value === INVALID || value === UNKNOWN) note(row, String(numbers[row]), value);
    }
    return { values, invalid, unknown };
  }
  const { memo, columns } = spec;
  const texts: (string | undefined)[] = [];
  for (let row = 0; row < count; row++) {
    let key: string;
    if (only !== undefined) {
      const value = only[row];
      key = typeof value === 'string' ? value : (textOf(value) ?? '');
      texts[0] = key;
    } else {
      for (let index = 0; index < sources.length; index++) {
        const path = columns[index]!;
        const dot = path.indexOf('.');
        const value = sources[index]![row];
        texts[index] = dot < 0 ? textOf(value) : textAtPath(value, path.slice(dot + 1));
      }
      key = texts.join('\u0000');
    }
    let value = memo.get(key);
    if (value === undefined) {
      value = spec.parse(texts);
      if (memo.size >= MEMO_LIMIT) memo.clear();
      memo.set(key, value);
    }
    values[row] = value;
    if (value === INVALID || value === UNKNOWN) note(row, texts.filter((text) => text !== undefined).join(' '), value);
  }
  return { values, invalid, unknown };

  function note(row: number, text: string, value: number): void {
    if (value === INVALID) {
      if (invalid.size < INVALID_SHOWN) invalid.set(row, text);
      return;
    }
    values[row] = NaN;
    const key = unknown.has(text) || unknown.size < UNKNOWN_SHOWN ? text : '(other)';
    unknown.set(key, (unknown.get(key) ?? 0) + 1);
  }
}

/** The column as numbers, NaN for null; undefined where it holds something else. */
function numbersOf(source: ArrayLike<unknown>): ArrayLike<number> | undefined {
  if (source instanceof BigInt64Array || source instanceof BigUint64Array) {
    // A BigInt for each value costs more than the two halves; beyond 2^53 the number is not exact in either way.
    const halves = new Int32Array(source.buffer, source.byteOffset, source.length * 2);
    const numbers = new Float64Array(source.length);
    for (let index = 0; index < numbers.length; index++)
      numbers[index] = halves[2 * index + 1]! * 0x1_0000_0000 + (halves[2 * index]! >>> 0);
    return numbers;
  }
  if (ArrayBuffer.isView(source)) return source as unknown as ArrayLike<number>;
  const numbers = new Float64Array(source.length);
  for (let index = 0; index < source.length; index++) {
    const value = source[index];
    if (typeof value === 'number') numbers[index] = value;
    else if (typeof value === 'bigint') numbers[index] = Number(value);
    else if (value === null || value === undefined) numbers[index] = NaN;
    else return undefined;
  }
  return numbers;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return undefined;
}
