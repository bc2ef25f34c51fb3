/**
 * CIDR blocks as the API server takes them, brought into canonical text (semantics 1.6). Go's lenient parser reads leading zeros as
 * decimal, masks host bits and folds IPv4-mapped IPv6 into IPv4; ipaddr.js reads leading zeros as octal and takes `10.1/16`.
 * So what is not canonical already is normalised here first, and ipaddr.js sees only plain spellings.
 */
import ipaddr from 'ipaddr.js';
import { type AddressText, canonicalAddress } from '../model/address.ts';
import { type Cidr, formatCidr, maskWords, parseCidr } from '../model/cidr.ts';

/** `legacy` is the API server without StrictIPCIDRValidation, today's default; `strict` is with it. */
export type CidrReading = 'legacy' | 'strict';

/** A block that could be read: its canonical text, and what the API server has to say about the spelling. */
export interface ReadCidr {
  readonly cidr: Cidr;
  /** Why the strict reading refuses it, in its words; empty where it does not. */
  readonly refusals: readonly string[];
  /** The API server's warning about a spelling that it still takes. */
  readonly warning?: string;
}

/** Blocks that were read: every one is checked, then taken, and policies share many. */
const readBefore = new Map<string, ReadCidr>();
const LARGEST_MEMO = 100_000;

/** RD-06: reads a block in any spelling that Go's ParseCIDRSloppy takes; undefined where that fails. */
export function readCidr(text: string): ReadCidr | undefined {
  const known = readBefore.get(text);
  if (known !== undefined) return known;
  const read = readSpelling(text);
  if (read !== undefined && readBefore.size < LARGEST_MEMO) readBefore.set(text, read);
  return read;
}

function readSpelling(text: string): ReadCidr | undefined {
  // Nearly all are canonical already: what the model reads and spells as it stands is nothing that Go reads otherwise, or speaks of.
  const bits = parseCidr(text);
  if (bits !== undefined && formatCidr(bits.family, bits.first, bits.length) === text)
    return { cidr: text as Cidr, refusals: [] };
  return readOddSpelling(text);
}

function readOddSpelling(text: string): ReadCidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = normaliseAddress(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (address === undefined || !/^[0-9]{1,20}$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  const bits = address.includes(':') ? 128 : 32;
  if (length > bits) return undefined;
  const parsed = ipaddr.parse(address);
  const isMapped = parsed.kind() === 'ipv6' && (parsed as ipaddr.IPv6).isIPv4MappedAddress();
  // Go masks the sixteen bytes and prints four when they still form a mapped address; below /96 the prefix is not mapped any more.
  const isFolded = isMapped && length >= 96;
  const bytes = isFolded ? (parsed as ipaddr.IPv6).toIPv4Address().toByteArray() : parsed.toByteArray();
  const family = bytes.length === 4 ? 4 : 6;
  const prefixLength = isFolded ? length - 96 : length;
  const words = toWords(bytes);
  const hasHostBits = hasBitsBeyond(words, prefixLength, family);
  const masked = words.slice();
  maskWords(masked, prefixLength);
  const canonical = formatCidr(family, masked, prefixLength);
  const hasZeros = address !== text.slice(0, slash) || (lengthText.length > 1 && lengthText.startsWith('0'));
  const refusals: string[] = [];
  if (hasZeros) refusals.push('must not have leading 0s in IP or prefix length');
  if (isMapped) refusals.push('must not have an IPv4-mapped IPv6 address');
  if (hasHostBits) refusals.push('must not have bits set beyond the prefix length');
  const warning = describeSpelling(text, canonical, {
    hasHostBits,
    isNonStandard: hasZeros || isMapped,
    words,
    family,
  });
  return { cidr: canonical, refusals, ...(warning === undefined ? {} : { warning }) };
}

/** True where `inner` lies in `outer` and is smaller: what an `except` must be. */
export function isStrictSubset(inner: Cidr, outer: Cidr): boolean {
  const small = parseCidr(inner);
  const large = parseCidr(outer);
  if (small === undefined || large === undefined || small.family !== large.family || small.length <= large.length)
    return false;
  maskWords(small.first, large.length);
  return small.first.every((word, index) => word === large.first[index]);
}

/** Addresses that were read: pods and Services write each of theirs twice, and both are checked before they are taken. */
const addressesRead = new Map<string, AddressText | undefined>();

/** An address in the spellings that Go's ParseIPSloppy takes, in canonical text; undefined where that fails. */
export function readAddress(text: string): AddressText | undefined {
  const known = addressesRead.get(text);
  if (known !== undefined || addressesRead.has(text)) return known;
  // Nearly all are plain already, and the model's reader takes nothing that Go reads otherwise.
  let read = canonicalAddress(text);
  const plain = read === undefined ? normaliseAddress(text) : undefined;
  if (plain !== undefined) read = canonicalAddress(plain);
  if (addressesRead.size < LARGEST_MEMO) addressesRead.set(text, read);
  return read;
}

/** The text with leading zeros of decimal numbers dropped; undefined where it is no address. */
function normaliseAddress(text: string): string | undefined {
  if (text.length > 64) return undefined;
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  let plain = text;
  if (tail.includes('.')) {
    const parts = tail.split('.');
    if (parts.length !== 4 || !parts.every((part) => /^[0-9]+$/.test(part))) return undefined;
    plain = text.slice(0, lastColon + 1) + parts.map((part) => part.replace(/^0+(?=[0-9])/, '')).join('.');
  } else if (lastColon < 0) return undefined;
  // The model's reader is the strict one: four decimal numbers, or RFC 4291 text without a zone.
  return canonicalAddress(plain) === undefined ? undefined : plain;
}

function describeSpelling(
  text: string,
  canonical: Cidr,
  facts: { hasHostBits: boolean; isNonStandard: boolean; words: Uint32Array; family: 4 | 6 },
): string | undefined {
  const warnings: string[] = [];
  if (facts.hasHostBits) {
    const single = formatCidr(facts.family, facts.words, facts.family === 4 ? 32 : 128);
    warnings.push(
      `CIDR value ${JSON.stringify(text)} is ambiguous in this context (should be "${canonical}" or "${single}"?)`,
    );
  }
  if (facts.isNonStandard)
    warnings.push(
      `non-standard CIDR value ${JSON.stringify(text)} will be considered invalid in a future Kubernetes release: use "${canonical}"`,
    );
  if (warnings.length === 0 && facts.family === 6 && canonical !== text)
    warnings.push(`IPv6 CIDR value ${JSON.stringify(text)} should be in RFC 5952 canonical format ("${canonical}")`);
  return warnings.length === 0 ? undefined : warnings.join('; ');
}

function toWords(bytes: readonly number[]): Uint32Array {
  const words = new Uint32Array(4);
  for (const [index, byte] of bytes.entries()) words[index >>> 2] = (words[index >>> 2]! << 8) | byte;
  return words;
}

function hasBitsBeyond(words: Uint32Array, length: number, family: 4 | 6): boolean {
  for (let bit = length; bit < (family === 4 ? 32 : 128); bit++)
    if (((words[bit >>> 5]! >>> (31 - (bit & 31))) & 1) === 1) return true;
  return false;
}
