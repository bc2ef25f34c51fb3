/**
 * Values of text fields: addresses into the row's column, numbers straight from bytes. Readers of logs share them; a field
 * that is not what it should be is told apart from one that is absent, so that neither becomes a zero.
 */
import { type Family, parseAddress } from '../model/address.ts';
import type { Dictionary } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { decodeText } from './line.ts';

/** Greatest number that `parseDigits` reads exactly. */
const DIGITS = 15;

/** The value of an address in the columns of a row. */
export interface FieldAddress {
  /** 0: the text was no address. */
  family: Family;
  /** IPv4: the address; IPv6: its id in the dictionary. */
  value: number;
}

const words = new Uint32Array(4);

/** Reads an address into `out`; false where the text is none. */
export function readAddress(text: string, dictionary: Dictionary, out: FieldAddress): boolean {
  const family = parseAddress(text, words);
  out.family = family;
  out.value = family === 6 ? dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!) : words[0]!;
  return family !== 0;
}

/** Reads the address `bytes[start, end)` into `out`, IPv4 without making a text of it; false where it is none. */
export function readAddressBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  dictionary: Dictionary,
  out: FieldAddress,
): boolean {
  let value = 0;
  let part = 0;
  let parts = 0;
  let first = start;
  for (let at = start; at <= end; at++) {
    const byte = at === end ? 46 : bytes[at]!;
    if (byte === 46) {
      const length = at - first;
      // A leading zero is octal to some and decimal to others: refused, as everywhere.
      if (length === 0 || length > 3 || part > 255 || (length > 1 && bytes[first] === 48) || parts === 4) break;
      value = value * 256 + part;
      part = 0;
      parts++;
      first = at + 1;
    } else if (byte >= 48 && byte <= 57) part = part * 10 + byte - 48;
    else return byte === 58 || isHex(byte) ? readAddress(decodeText(bytes, start, end), dictionary, out) : fail(out);
  }
  if (parts !== 4 || first !== end + 1) return fail(out);
  out.family = 4;
  out.value = value;
  return true;
}

/** The number that the digits `bytes[start, end)` say, or -1 where they are anything else or too many. */
export function parseDigits(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > DIGITS) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The same for a text. */
export function parseDigitText(text: string): number {
  if (text === '' || text.length > DIGITS) return -1;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** True for ICMP errors (RFC 792, RFC 4443): they are about another connection, and no opening of one. */
export function isIcmpError(protocol: number, icmp: number): boolean {
  if (icmp < 0) return false;
  const type = icmp >> 8;
  if (protocol === Protocol.Icmpv6) return type >= 1 && type <= 4;
  return protocol === Protocol.Icmp && (type === 3 || type === 4 || type === 5 || type === 11 || type === 12);
}

function fail(out: FieldAddress): false {
  out.family = 0;
  return false;
}

function isHex(byte: number): boolean {
  return (byte >= 97 && byte <= 102) || (byte >= 65 && byte <= 70);
}
