/** RFC 3339 times to and from microseconds, by hand: readers meet one a record. */

/**
 * Microseconds since 1970-01-01 UTC of an RFC 3339 time with 0 to 9 fraction digits (further precision is dropped), or NaN.
 * A blank instead of `T` and an offset without a colon (`-0600`) are accepted, as log shippers write them; no offset means UTC.
 */
export function parseTime(text: string): number {
  if (text.length < 19) return NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  const second = digits(text, 17, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31) return NaN;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return NaN;
  const separator = text[10];
  if (text[4] !== '-' || text[7] !== '-' || text[13] !== ':' || text[16] !== ':') return NaN;
  if (separator !== 'T' && separator !== 't' && separator !== ' ') return NaN;
  let index = 19;
  let fraction = 0;
  if (text[index] === '.' || text[index] === ',') {
    let scale = 100_000;
    const first = ++index;
    for (; index < text.length; index++) {
      const digit = text.charCodeAt(index) - 48;
      if (digit < 0 || digit > 9) break;
      if (scale >= 1) fraction += digit * scale;
      scale /= 10;
    }
    if (index === first) return NaN;
  }
  const offset = parseOffset(text, index);
  if (Number.isNaN(offset)) return NaN;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second) - offset * 60_000;
  return ms * 1000 + Math.floor(fraction);
}

/** Beyond this many microseconds from 1970 there are no dates (ECMA-262: 100,000,000 days on either side). */
export const TIME_MAX_US = 8.64e18;

/** Microseconds as they are where a date can have them, else NaN. */
export function checkTime(timeUs: number): number {
  return Math.abs(timeUs) <= TIME_MAX_US ? timeUs : NaN;
}

/** RFC 3339 in UTC with six fraction digits, empty outside of the years 0 to 9999; `parseTime` gives whole microseconds back. */
export function formatTime(timeUs: number): string {
  const ms = Math.floor(timeUs / 1000);
  const micro = Math.floor(timeUs - ms * 1000);
  const date = new Date(ms);
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) return '';
  return `${date.toISOString().slice(0, -1)}${String(micro).padStart(3, '0')}Z`;
}

/** Minutes east of UTC, or NaN. */
function parseOffset(text: string, index: number): number {
  const rest = text.slice(index).trim();
  if (rest === '' || rest === 'Z' || rest === 'z' || rest === 'UTC') return 0;
  const sign = rest[0] === '+' ? 1 : rest[0] === '-' ? -1 : 0;
  if (sign === 0) return NaN;
  const hours = digits(rest, 1, 2);
  const at = rest[3] === ':' ? 4 : 3;
  const minutes = rest.length === at ? 0 : digits(rest, at, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || rest.length > at + 2) return NaN;
  return sign * (hours * 60 + minutes);
}

function digits(text: string, start: number, count: number): number {
  let value = 0;
  for (let index = start; index < start + count; index++) {
    const digit = text.charCodeAt(index) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}
