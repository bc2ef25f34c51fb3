/**
 * tar: the members of an archive as streams, one after another (POSIX ustar and pax, GNU long names and base-256 sizes). Nothing is
 * unpacked to disk, names are for messages only, and a member's bytes pass through.
 */
import { startsWith } from './head.ts';

/** A regular file in an archive. Its bytes must be taken, or passed over, before the next member comes. */
export interface TarMember {
  readonly name: string;
  readonly size: number;
  readonly bytes: AsyncGenerator<Uint8Array>;
}

/** Reports what is wrong with the archive. */
export type TarFailure = (message: string) => void;

const BLOCK_SIZE = 512;
/** Bytes of an extended header: real ones hold names. */
const HEADER_LIMIT = 1 << 20;

/** True where the bytes begin with a tar header: the magic word at 257, or NUL padding and a checksum that holds (before POSIX). */
export function isTar(bytes: Uint8Array): boolean {
  if (bytes.length < 262) return false;
  if (startsWith(bytes.subarray(257), 0x75, 0x73, 0x74, 0x61, 0x72)) return true;
  return bytes.length >= BLOCK_SIZE && bytes[0] !== 0 && bytes[99] === 0 && hasChecksum(bytes.subarray(0, BLOCK_SIZE));
}

/** True where a tar header may be coming, so that it is worth waiting for: a printable name and then NULs. */
export function mayBeTar(bytes: Uint8Array): boolean {
  return bytes.length < BLOCK_SIZE && bytes[0]! > 32 && bytes.subarray(0, 100).includes(0);
}

/** The regular files of an archive in their order. */
export async function* readTar(source: AsyncIterable<Uint8Array>, fail: TarFailure): AsyncGenerator<TarMember> {
  const reader = new BlockReader(source);
  let longName = '';
  let longSize = -1;
  try {
    for (;;) {
      const header = await reader.take(BLOCK_SIZE);
      if (header.length === 0) return;
      if (header.length < BLOCK_SIZE) return fail('tar: the archive ends inside a header');
      if (header.every((byte) => byte === 0)) return;
      if (!hasChecksum(header)) return fail('tar: a header has a wrong checksum; what follows is not read');
      const size = longSize >= 0 ? longSize : parseSize(header.subarray(124, 136));
      if (!(size >= 0 && size <= Number.MAX_SAFE_INTEGER)) return fail('tar: a header has no valid size');
      const padded = Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
      const type = String.fromCharCode(header[156] === 0 ? 48 : header[156]!);
      if (type === 'L' || type === 'x' || type === 'K' || type === 'g') {
        if (size > HEADER_LIMIT) return fail(`tar: an extended header of ${size} bytes`);
        const content = (await reader.take(padded)).subarray(0, size);
        if (content.length < size) return fail('tar: the archive ends inside a header');
        if (type === 'L') longName = parseText(content);
        if (type === 'x') ({ name: longName = longName, size: longSize = longSize } = parsePax(content));
        continue;
      }
      const name = longName || memberName(header);
      longName = '';
      longSize = -1;
      let rest = padded;
      let content = size;
      const bytes = async function* (): AsyncGenerator<Uint8Array> {
        while (content > 0) {
          const chunk = await reader.some(content);
          if (chunk.length === 0) break;
          rest -= chunk.length;
          content -= chunk.length;
          yield chunk;
        }
      };
      // Links and devices hold nothing, and folders are no traces.
      if (type === '0' || type === '7') yield { name, size, bytes: bytes() };
      while (rest > 0) {
        const chunk = await reader.some(rest);
        if (chunk.length === 0) return fail(`tar: the archive ends inside ${name}`);
        rest -= chunk.length;
      }
    }
  } finally {
    await reader.close();
  }
}

/** Takes exact numbers of bytes from a stream of chunks. */
class BlockReader {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** At least one byte and at most `limit`; none at the end. */
  async some(limit: number): Promise<Uint8Array> {
    while (this.chunk.length === 0) {
      const next = await this.iterator.next();
      if (next.done === true) return this.chunk;
      this.chunk = next.value;
    }
    const taken = this.chunk.subarray(0, Math.min(limit, this.chunk.length));
    this.chunk = this.chunk.subarray(taken.length);
    return taken;
  }

  /** `count` bytes, fewer at the end. */
  async take(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    let size = 0;
    while (size < count) {
      const chunk = await this.some(count - size);
      if (chunk.length === 0) break;
      bytes.set(chunk, size);
      size += chunk.length;
    }
    return bytes.subarray(0, size);
  }

  async close(): Promise<void> {
    await this.iterator.return?.();
  }
}

/** The sum of all bytes with the checksum's own as blanks (POSIX.1-1988, `chksum`). */
function hasChecksum(header: Uint8Array): boolean {
  let sum = 0;
  for (let at = 0; at < BLOCK_SIZE; at++) sum += at >= 148 && at < 156 ? 32 : header[at]!;
  return parseOctal(header.subarray(148, 156)) === sum;
}

/** Octal digits, or GNU's base 256 where the first bit is set. */
function parseSize(field: Uint8Array): number {
  if ((field[0]! & 0x80) === 0) return parseOctal(field);
  let size = field[0]! & 0x7f;
  for (let at = 1; at < field.length; at++) size = size * 256 + field[at]!;
  return size;
}

function parseOctal(field: Uint8Array): number {
  let value = 0;
  let count = 0;
  for (const byte of field) {
    if (byte === 32 && count === 0) continue;
    if (byte < 48 || byte > 55) break;
    value = value * 8 + byte - 48;
    count++;
  }
  return count === 0 ? -1 : value;
}

function memberName(header: Uint8Array): string {
  const name = parseText(header.subarray(0, 100));
  const prefix = header[262] === 0 ? parseText(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Records of `LENGTH KEY=VALUE\n` (POSIX.1-2001, pax). */
function parsePax(bytes: Uint8Array): { name?: string; size?: number } {
  const found: { name?: string; size?: number } = {};
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(32, at);
    if (blank < 0 || blank - at > 10) break;
    const length = Number(parseText(bytes.subarray(at, blank)));
    if (!(length > blank - at + 1 && at + length <= bytes.length)) break;
    const record = parseText(bytes.subarray(blank + 1, at + length - 1));
    if (record.startsWith('path=')) found.name = record.slice(5);
    if (record.startsWith('size=') && /^\d{1,15}$/.test(record.slice(5))) found.size = Number(record.slice(5));
    at += length;
  }
  return found;
}

function parseText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)).slice(0, 4096);
}
