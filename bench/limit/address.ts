/**
 * Address look-up: sets of random prefixes, each with a value of its own (the worst case; the blocks of real policies fall into few
 * classes), flattened to disjoint intervals, and addresses with Zipf's popularity over 65,536 hosts, four in five of them inside.
 */
import { Header } from '../../src/compile/layout.ts';
import { buildLookup6 } from '../../src/compile/search6.ts';
import { buildLookup4 } from '../../src/compile/trie.ts';
import type { Program } from '../../src/compile/program.ts';
import { findEndpoint4, findEndpoint6 } from '../../src/decide/decide.ts';
import { createBulkFinder, createBulkFinder6, type Lookup6 } from '../../src/replay/bulk.ts';
import { createRandom, type Random } from '../../src/generate/random.ts';
import { readColumn, writeColumn } from './column.ts';
import { HASH_START, hashWords, type Job, type JobOptions, mixHash, type OpenJob } from './job.ts';
import { createZipf } from './zipf.ts';

/** What to prepare. */
export interface AddressSize {
  readonly prefixes: number;
  readonly addresses: number;
}

const HOSTS = 65_536;

/** A prefix as bits from the left; the words beyond its family's are 0. */
interface Prefix {
  readonly words: readonly number[];
  readonly length: number;
}

/** Leaves starts.u32, values.u32 (value 0: in no prefix), prefixes.u32 (address, length) and addresses.u32. */
export function prepareAddresses4(folder: string, { prefixes: count, addresses }: AddressSize): void {
  const random = createRandom(1, `bench prefixes ${count}`);
  const prefixes = Array.from({ length: count }, (): Prefix => {
    const length = random.chance(40) ? 24 : 8 + random.below(25);
    return { words: [maskTo(random.next(), length)], length };
  });
  const { starts, values } = flatten(prefixes, 32);
  writeColumn(folder, 'starts.u32', Uint32Array.from(starts, Number));
  writeColumn(folder, 'values.u32', Uint32Array.from(values));
  writeColumn(folder, 'prefixes.u32', Uint32Array.from(prefixes.flatMap(({ words, length }) => [words[0]!, length])));
  const hosts = Uint32Array.from({ length: HOSTS }, () => addressNear(random, prefixes, 1)[0]!);
  const draw = createZipf(random, HOSTS);
  writeColumn(
    folder,
    'addresses.u32',
    Uint32Array.from({ length: addresses }, () => hosts[draw()]!),
  );
}

/** The same for IPv6, four words each: starts6.u32, values6.u32, prefixes6.u32 (four words, length) and addresses6.u32. */
export function prepareAddresses6(folder: string, { prefixes: count, addresses }: AddressSize): void {
  const random = createRandom(1, `bench prefixes6 ${count}`);
  const prefixes = Array.from({ length: count }, (): Prefix => {
    const length = random.chance(40) ? 48 : random.chance(10) ? 128 : 20 + random.below(45);
    const words = [0x20000000 + (random.next() >>> 4), random.next(), random.next(), random.next()];
    return { words: words.map((word, index) => maskTo(word, Math.min(32, length - 32 * index))), length };
  });
  const whole = flatten(prefixes, 128);
  writeColumn(folder, 'starts6.u32', wordsOf(whole.starts));
  writeColumn(folder, 'values6.u32', Uint32Array.from(whole.values));
  // The engine keeps single addresses in a table of their own. The longest prefix wins, so they lie over everything else.
  const hosts = new Map(
    prefixes.flatMap(({ words, length }, index) => (length === 128 ? [[keyOf(words), index + 1] as const] : [])),
  );
  const others = flatten(
    prefixes.map((prefix) => (prefix.length === 128 ? undefined : prefix)),
    128,
  );
  writeColumn(folder, 'starts6-without-hosts.u32', wordsOf(others.starts));
  writeColumn(folder, 'values6-without-hosts.u32', Uint32Array.from(others.values));
  writeColumn(folder, 'hosts6.u32', wordsOf([...hosts.keys()]));
  writeColumn(folder, 'hostvalues6.u32', Uint32Array.from(hosts.values()));
  writeColumn(
    folder,
    'prefixes6.u32',
    Uint32Array.from(prefixes.flatMap(({ words: own, length }) => [...own, length])),
  );
  const clients = Array.from({ length: HOSTS }, () => addressNear(random, prefixes, 4));
  const draw = createZipf(random, HOSTS);
  const out = new Uint32Array(addresses * 4);
  for (let row = 0; row < addresses; row++) out.set(clients[draw()]!, row * 4);
  writeColumn(folder, 'addresses6.u32', out);
}

/** The engine's look-up in plain TypeScript. */
export const openPlain4: OpenJob = (folder, options) => {
  const starts = [...readColumn(folder, 'starts.u32')];
  const values = [...readColumn(folder, 'values.u32')];
  const lookup = buildLookup4({ starts, values });
  const program = lookup as unknown as Program;
  const addresses = readColumn(folder, 'addresses.u32');
  const out = new Uint32Array(addresses.length);
  return lookUpJob(out, options, bytesOf(lookup), () => {
    for (let row = 0; row < addresses.length; row++) out[row] = findEndpoint4(program, addresses[row]!);
  });
};

/** The same by WASM, on columns in its memory. */
export const openWasm4: OpenJob = (folder, options) => {
  const lookup = buildLookup4({
    starts: [...readColumn(folder, 'starts.u32')],
    values: [...readColumn(folder, 'values.u32')],
  });
  const addresses = readColumn(folder, 'addresses.u32');
  const finder = createBulkFinder(lookup, addresses.length);
  finder.addresses.set(addresses);
  return lookUpJob(
    new Uint32Array(finder.endpoints.buffer, finder.endpoints.byteOffset, addresses.length),
    options,
    bytesOf(lookup),
    () => finder.find(addresses.length),
  );
};

/** The engine's look-up of IPv6 in plain TypeScript. */
export const openPlain6: OpenJob = (folder, options) => {
  const { lookup, bytes } = readLookup6(folder);
  const addresses = readColumn(folder, 'addresses6.u32');
  const out = new Uint32Array(addresses.length / 4);
  return lookUpJob(out, options, bytes, () => {
    for (let row = 0; row < out.length; row++) {
      const at = row * 4;
      out[row] = findEndpoint6(lookup, addresses[at]!, addresses[at + 1]!, addresses[at + 2]!, addresses[at + 3]!);
    }
  });
};

/** The same by WASM, on columns in its memory. */
export const openWasm6: OpenJob = (folder, options) => {
  const { lookup, bytes } = readLookup6(folder);
  const addresses = readColumn(folder, 'addresses6.u32');
  const count = addresses.length / 4;
  const finder = createBulkFinder6(lookup, count);
  finder.addresses.set(addresses);
  const { buffer, byteOffset } = finder.endpoints;
  return lookUpJob(new Uint32Array(buffer, byteOffset, count), options, bytes, () => finder.find(count));
};

function readLookup6(folder: string): { readonly lookup: Lookup6; readonly bytes: number } {
  const hostValues = readColumn(folder, 'hostvalues6.u32');
  const lookup = buildLookup6(
    {
      starts: readKeys(folder, 'starts6-without-hosts.u32'),
      values: [...readColumn(folder, 'values6-without-hosts.u32')],
    },
    readColumn(folder, 'hosts6.u32'),
    hostValues,
  );
  const header = new Uint32Array(Header.Size);
  for (const [word, value] of lookup.scalars) header[word] = value;
  return { lookup: { ...lookup, header }, bytes: bytesOf(lookup) };
}

function lookUpJob(out: Uint32Array, { sample }: JobOptions, bytes: number, run: () => void): Job {
  return {
    count: out.length,
    run,
    digest: () => hashWords(HASH_START, out, out.length),
    first: () => {
      let hash = HASH_START;
      for (let row = 0; row < Math.min(sample, out.length); row++) hash = mixHash(hash, Number(out[row] !== 0));
      return hash;
    },
    bytes: () => bytes,
  };
}

/** Disjoint intervals: the most specific prefix that contains an address gives its value, the last of equal ones. */
function flatten(
  prefixes: readonly (Prefix | undefined)[],
  bits: number,
): { starts: bigint[] | number[]; values: number[] } {
  const isWide = bits === 128;
  const keyed = prefixes.flatMap((prefix, index) => {
    if (prefix === undefined) return [];
    const { words, length } = prefix;
    const first = isWide ? keyOf(words) : words[0]!;
    const size = isWide ? 1n << BigInt(bits - length) : 2 ** (bits - length);
    const end = isWide ? (first as bigint) + (size as bigint) : (first as number) + (size as number);
    return [{ first, end, length, value: index + 1 }];
  });
  keyed.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : a.length - b.length || a.value - b.value));
  const limit = isWide ? 1n << 128n : 2 ** 32;
  const starts: (bigint | number)[] = [];
  const values: number[] = [];
  const push = (start: bigint | number, value: number): void => {
    if (starts.length > 0 && starts.at(-1) === start) {
      starts.pop();
      values.pop();
    }
    if (values.at(-1) === value) return;
    starts.push(start);
    values.push(value);
  };
  const open: (typeof keyed)[number][] = [];
  const closeUpTo = (address: bigint | number): void => {
    while (open.length > 0 && open.at(-1)!.end <= address) {
      const { end } = open.pop()!;
      while (open.length > 0 && open.at(-1)!.end <= end) open.pop();
      if (end < limit) push(end, open.at(-1)?.value ?? 0);
    }
  };
  push(isWide ? 0n : 0, 0);
  for (const prefix of keyed) {
    closeUpTo(prefix.first);
    push(prefix.first, prefix.value);
    open.push(prefix);
  }
  closeUpTo(limit);
  return { starts: starts as bigint[] | number[], values };
}

/** Four in five addresses lie inside of a prefix. */
function addressNear(random: Random, prefixes: readonly Prefix[], width: number): readonly number[] {
  const free = Array.from({ length: width }, () => random.next());
  if (width === 4) free[0] = 0x20000000 + (free[0]! >>> 4);
  if (!random.chance(80)) return free;
  const { words, length } = random.pick(prefixes);
  return free.map((word, index) => {
    const kept = Math.max(0, Math.min(32, length - 32 * index));
    return (words[index]! | (kept === 32 ? 0 : word & (0xffffffff >>> kept))) >>> 0;
  });
}

function maskTo(word: number, length: number): number {
  return length <= 0 ? 0 : (word & (0xffffffff << (32 - length))) >>> 0;
}

function keyOf(words: ArrayLike<number>): bigint {
  let key = 0n;
  for (let index = 0; index < words.length; index++) key = (key << 32n) | BigInt(words[index]!);
  return key;
}

function readKeys(folder: string, name: 'starts6-without-hosts.u32' | 'hosts6.u32'): bigint[] {
  const words = readColumn(folder, name);
  return Array.from({ length: words.length / 4 }, (_, at) => keyOf(words.subarray(at * 4, at * 4 + 4)));
}

/** Four words each. */
function wordsOf(keys: readonly (bigint | number)[]): Uint32Array {
  return Uint32Array.from(
    keys.flatMap((key) => [96n, 64n, 32n, 0n].map((shift) => Number((BigInt(key) >> shift) & 0xffffffffn))),
  );
}

function bytesOf(tables: object): number {
  return Object.values(tables).reduce<number>(
    (sum, table) => sum + (ArrayBuffer.isView(table) ? table.byteLength : 0),
    0,
  );
}
