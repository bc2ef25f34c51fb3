/**
 * IP addresses as the engine holds them: IPv4 as one unsigned 32-bit number, IPv6 as four. Text is read and written here,
 * by hand, so that a hot loop never meets a string, a BigInt or an object. Canonical text (RFC 5952 for IPv6, no leading
 * zeros, IPv4-mapped IPv6 folded to IPv4) is what every other room keeps.
 */

/** An address in canonical text. */
export type AddressText = string & { readonly __address: unique symbol };

/** 4, 6, or 0 where a record carries no address. */
export type Family = 0 | 4 | 6;

/** Four 32-bit words, most significant first; an IPv4 address lies in word 0, words 1..3 are 0. */
export type AddressWords = Uint32Array;

const scratch = new Uint32Array(4);
/** The groups of the IPv6 address that is being read. */
const parsed = new Uint16Array(8);

/**
 * Reads an address in any usual spelling into `out` (length >= 4) and returns its family, or 0 where the text is no address.
 * IPv4 is strict: four decimal numbers without leading zeros. A zone (`%eth0`) and brackets are not part of an address: refused.
 * IPv4-mapped IPv6 (`::ffff:10.0.0.1`) is returned as IPv4.
 */
export function parseAddress(text: string, out: AddressWords): Family {
  out[1] = out[2] = out[3] = 0;
  if (text.indexOf(':') < 0) {
    const address = parseIpv4(text, 0, text.length);
    if (address < 0) return 0;
    out[0] = address;
    return 4;
  }
  if (!parseIpv6(text, out)) return 0;
  if (out[0] === 0 && out[1] === 0 && out[2] === 0xffff) {
    out[0] = out[3]!;
    out[2] = out[3] = 0;
    return 4;
  }
  return 6;
}

/** The canonical text of an address in words; family 0 gives the empty string. */
export function formatAddress(family: Family, words: ArrayLike<number>): AddressText {
  if (family === 4) return formatIpv4(words[0]!);
  if (family === 6) return formatIpv6(words);
  return '' as AddressText;
}

/** Dotted decimal of an unsigned 32-bit number. */
export function formatIpv4(address: number): AddressText {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}` as AddressText;
}

/** Dotted decimal, which is canonical as it stands. */
const IPV4 = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** The canonical spelling of an address text, or undefined where it is none. */
export function canonicalAddress(text: string): AddressText | undefined {
  if (IPV4.test(text)) return text as AddressText;
  const family = parseAddress(text, scratch);
  return family === 0 ? undefined : formatAddress(family, scratch);
}

/** The family of a canonical address text. */
export function familyOf(text: AddressText): 4 | 6 {
  return text.indexOf(':') < 0 ? 4 : 6;
}

/** The unsigned 32-bit value of `text[start, end)` as dotted decimal, or -1. */
function parseIpv4(text: string, start: number, end: number): number {
  let value = 0;
  let parts = 0;
  let index = start;
  while (parts < 4) {
    let part = 0;
    const first = index;
    while (index < end && index - first < 3) {
      const digit = text.charCodeAt(index) - 48;
      if (digit < 0 || digit > 9) break;
      part = part * 10 + digit;
      index++;
    }
    const length = index - first;
    if (length === 0 || part > 255 || (length > 1 && text.charCodeAt(first) === 48)) return -1;
    value = value * 256 + part;
    parts++;
    if (parts < 4 && text.charCodeAt(index++) !== 46) return -1;
  }
  return index === end ? value : -1;
}

function parseIpv6(text: string, out: AddressWords): boolean {
  let count = 0;
  let gap = -1;
  let index = 0;
  const end = text.length;
  if (text.charCodeAt(0) === 58 && text.charCodeAt(1) === 58) {
    gap = 0;
    index = 2;
  }
  while (index < end) {
    if (count >= 8) return false;
    let value = 0;
    const first = index;
    while (index < end && index - first < 5) {
      const digit = hexDigit(text.charCodeAt(index));
      if (digit < 0) break;
      value = value * 16 + digit;
      index++;
    }
    const length = index - first;
    if (index < end && text.charCodeAt(index) === 46) {
      const address = parseIpv4(text, first, end);
      if (address < 0 || count > 6) return false;
      parsed[count++] = address >>> 16;
      parsed[count++] = address & 0xffff;
      index = end;
      break;
    }
    if (length === 0 || length > 4) return false;
    parsed[count++] = value;
    if (index === end) break;
    if (text.charCodeAt(index) !== 58) return false;
    index++;
    if (index === end) return false;
    if (text.charCodeAt(index) === 58) {
      if (gap >= 0) return false;
      gap = count;
      index++;
    }
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  if (gap >= 0) {
    parsed.copyWithin(8 - (count - gap), gap, count);
    parsed.fill(0, gap, 8 - (count - gap));
  }
  for (let word = 0; word < 4; word++) out[word] = ((parsed[2 * word]! << 16) | parsed[2 * word + 1]!) >>> 0;
  return true;
}

function formatIpv6(words: ArrayLike<number>): AddressText {
  const groups: number[] = [];
  for (let word = 0; word < 4; word++) groups.push(words[word]! >>> 16, words[word]! & 0xffff);
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  const text = bestStart < 0 ? hex(0, 8) : `${hex(0, bestStart)}::${hex(bestStart + bestLength, 8)}`;
  return text as AddressText;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
