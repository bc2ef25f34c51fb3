/**
 * CIDR blocks in canonical text: host bits masked, lengths without leading zeros, one spelling a block. The manifest room
 * brings every spelling that the API server takes into this form (semantics 1.6) before any other room sees it.
 */
import { type AddressWords, type Family, formatAddress, parseAddress } from './address.ts';

/** A block in canonical text, such as `10.0.0.0/8` or `2001:db8::/32`. */
export type Cidr = string & { readonly __cidr: unique symbol };

/** A block in bits: `first` is the network address (host bits 0), `length` the prefix length. */
export interface CidrBits {
  readonly family: 4 | 6;
  readonly first: AddressWords;
  readonly length: number;
}

/** Reads a block in canonical text; undefined where it is none. Host bits, if any, are masked. */
export function parseCidr(text: string): CidrBits | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const first = new Uint32Array(4);
  const family: Family = parseAddress(text.slice(0, slash), first);
  const length = parseLength(text, slash + 1);
  if (family === 0 || length < 0 || length > (family === 4 ? 32 : 128)) return undefined;
  maskWords(first, length);
  return { family, first, length };
}

/** The canonical text of a block. */
export function formatCidr(family: 4 | 6, first: ArrayLike<number>, length: number): Cidr {
  return `${formatAddress(family, first)}/${length}` as Cidr;
}

/** Clears every bit of `words` beyond the first `length`. */
export function maskWords(words: AddressWords, length: number): void {
  for (let word = 0; word < 4; word++) {
    const kept = length - 32 * word;
    if (kept < 32) words[word] = kept <= 0 ? 0 : words[word]! & (0xffffffff << (32 - kept));
  }
}

/** The number that one to three digits at the end of a text, from `start` on, spell; -1 where it is anything else. */
function parseLength(text: string, start: number): number {
  const digits = text.length - start;
  if (digits < 1 || digits > 3) return -1;
  let length = 0;
  for (let at = start; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}
