/**
 * Plain YAML scalars as kubectl takes them. kubectl reads YAML with sigs.k8s.io/yaml, whose parser is a fork of goyaml v2, then
 * hands JSON on; so the rules here are those of goyaml v2's `resolve` followed by Go's JSON encoder:
 *
 * - `y`, `yes`, `on`, `true` and `n`, `no`, `off`, `false` in three cases each are booleans; `''`, `~`, `null` are null;
 * - integers as Go literals: `0x`, `0o`, `0b`, leading zero = octal; `_` anywhere is dropped;
 * - what is no integer may be a decimal float (so `08` is 8 and `80.0` is 80 once it is JSON);
 * - no base 60 (`12:30` is text) and no dates (`2024-01-02` is text);
 * - `.inf` and `.nan` are floats that JSON cannot carry: an error.
 */

/** What a plain scalar means; `error` where kubectl refuses the document. */
export type ScalarResult = { readonly value: string | number | boolean | null } | { readonly error: string };

const WORDS: ReadonlyMap<string, boolean | null> = new Map<string, boolean | null>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
]);

const NOT_FINITE: ReadonlyMap<string, string> = new Map([
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, 'NaN'] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((word) => [word, '+Inf'] as const),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, '-Inf'] as const),
]);

const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

/** Longer scalars are text: no number that fits a field is written with so many digits. */
const LONGEST_NUMBER = 400;

/** The meaning of a plain (unquoted) scalar without a tag. */
export function resolvePlain(text: string): ScalarResult {
  if (text.length > LONGEST_NUMBER) return { value: text };
  const word = WORDS.get(text);
  if (word !== undefined) return { value: word };
  const notFinite = NOT_FINITE.get(text);
  if (notFinite !== undefined) return { error: `json: unsupported value: ${notFinite}` };
  const first = text.charCodeAt(0);
  const isDigitOrSign = (first >= 48 && first <= 57) || first === 43 || first === 45;
  if (!isDigitOrSign && first !== 46) return { value: text };
  const plain = isDigitOrSign ? text.replaceAll('_', '') : text;
  if (isDigitOrSign) {
    const integer = parseGoInteger(plain);
    if (integer !== undefined) return { value: integer };
  }
  if (FLOAT.test(plain)) {
    const number = Number(plain);
    if (Number.isFinite(number)) return { value: number };
  }
  return { value: text };
}

/** The meaning of a scalar with an explicit tag (long form, `tag:yaml.org,2002:int`); an unknown tag leaves text. */
export function resolveTagged(tag: string, text: string): ScalarResult {
  const short = tag.startsWith('tag:yaml.org,2002:') ? tag.slice('tag:yaml.org,2002:'.length) : '';
  switch (short) {
    case 'int':
    case 'float':
    case 'bool':
    case 'null': {
      const result = resolvePlain(text);
      if ('error' in result) return result;
      const { value } = result;
      const found =
        value === null
          ? 'null'
          : typeof value === 'boolean'
            ? 'bool'
            : typeof value === 'string'
              ? 'str'
              : Number.isInteger(value)
                ? 'int'
                : 'float';
      if (found === short || (short === 'float' && found === 'int')) return result;
      return { error: `yaml: cannot decode !!${found} \`${text}\` as a !!${short}` };
    }
    case 'binary':
      if (!/^[A-Za-z0-9+/=\s]*$/.test(text)) return { error: 'yaml: !!binary value contains invalid base64 data' };
      return { value: decodeBase64(text) };
    default:
      return { value: text };
  }
}

/** The text of a scalar that stands as a mapping key: JSON has only string keys. Undefined: kubectl refuses it (null). */
export function keyText(value: string | number | boolean | null): string | undefined {
  return value === null ? undefined : String(value);
}

/** Go's `strconv.ParseInt(text, 0, 64)` and its unsigned and big successors; a double once beyond 2^53. */
function parseGoInteger(text: string): number | undefined {
  const isNegative = text.startsWith('-');
  const digits = isNegative || text.startsWith('+') ? text.slice(1) : text;
  let literal = digits;
  if (digits.startsWith('0') && digits.length > 1) {
    if (/^0[0-7]+$/.test(digits)) literal = `0o${digits.slice(1)}`;
    else if (!/^0(?:[xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+)$/.test(digits)) return undefined;
  } else if (!/^[0-9]+$/.test(digits)) return undefined;
  const value = Number(literal);
  return isNegative && value !== 0 ? -value : value;
}

function decodeBase64(text: string): string {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const character of text) {
    const six = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'.indexOf(character);
    if (six < 0) continue;
    held = ((held << 6) | six) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >>> bits) & 255);
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
