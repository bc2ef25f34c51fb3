/**
 * Inputs that are small, or come in an endless stream, and would grow beyond every bound in a careless reader. Runs as a process of
 * its own, whose memory nobody else uses: one line of JSON for each bomb, with the memory at its peak so far.
 */
import {
  FORMATS,
  createAccount,
  createDictionary,
  loadManifests,
  readExpectations,
  readScenario,
  readTrace,
} from '#dropcast';
import { gzipSync } from 'node:zlib';
import { isBalanced } from '../../../src/trace/account.ts';
import { readMappingFile } from '../../../src/trace/mapping-file.ts';
import { runs } from '../seed.ts';
import { bytesOf, ethernet, ip, pcap, pcapng, repeat, tcp } from '../../trace/build.ts';

/** What became of a bomb. */
export interface BombReport {
  readonly name: string;
  /** What the reader said of it: codes of its diagnostics, reasons of its account. */
  readonly said: readonly string[];
  /** Bytes that the reader was given, before anything is unpacked. */
  readonly bytes: number;
  readonly ms: number;
  /** Most memory of the process until here, in MiB. */
  readonly peakMb: number;
}

interface Bomb {
  readonly name: string;
  /** Gives back what the reader said, and how many bytes it got. */
  explode(): Promise<{ said: string[]; bytes: number }>;
}

const MB = 1 << 20;
/** A long line is longer than a record may be; a long run takes a longer one. */
const LINE_MB = Math.min(100, runs(20));
/** A record of dropcast's own, then a line that does not end. */
const NDJSON_GZIP: Uint8Array = gzipSync('{"v":1,"src":"10.0.0.1","dst":"10.0.0.2","dport":80,"proto":"tcp"}\n');
const FRAME = ethernet(0x0800, ip('10.0.0.1', '10.0.0.2', 6, tcp(4000, 80, 2)));

function createBombs(): Bomb[] {
  return [
    ...manifestBombs(),
    trace('gzip: 2 GiB of one line in 2 MB', () => repeatChunk(gzipSync(Buffer.alloc(64 * MB, 'x')), 32, NDJSON_GZIP)),
    trace('gzip in gzip in gzip in gzip', () => once(gzipSync(gzipSync(gzipSync(gzipSync(Buffer.alloc(MB))))))),
    trace('zstd: 4 GiB of one line in 128 KB', () => once(zstdRuns(32_768))),
    trace('zstd: a window of terabytes', () => once(bytesOf(0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, repeat(0, 100)))),
    trace('zstd: a window of 1 GiB', () => once(bytesOf(0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, repeat(0, 100)))),
    trace('zstd: a content of 2^63 bytes', () => once(bytesOf(0x28, 0xb5, 0x2f, 0xfd, 0xe0, repeat(0x7f, 8), 1, 0, 0))),
    trace('pcap: a packet of 4 GiB', () => once(withLength(pcap(1, [{ frame: FRAME }]), 32))),
    trace('pcap: a million packets of no bytes', () => repeatChunk(Buffer.alloc(16 * 1000), 1000, pcap(1, []))),
    trace('pcapng: a block of 4 GiB', () => once(bytesOf(withLength(pcapng([1], [{ frame: FRAME }]), 4)))),
    trace('pcapng: blocks of no bytes', () => repeatChunk(Buffer.alloc(12 * 1000), 100, pcapng([1], []))),
    trace('pcapng: a million interfaces', () => repeatChunk(interfaceBlocks(1000), 1000, pcapng([1], []))),
    trace('JSON: a million brackets', () => once(Buffer.from(`{"v":1,"src":${'['.repeat(1e6)}`))),
    trace('JSON: a million brackets that close', () =>
      once(Buffer.from(`{"v":1,"src":${'['.repeat(1e6)}${']'.repeat(1e6)}}\n`)),
    ),
    trace('JSON: a million open objects', () => once(Buffer.from('{"v":1,"src":'.repeat(1e6)))),
    ...FORMATS.filter(({ open, isText }) => open !== undefined && isText).map(({ name }) =>
      trace(
        `${name}: a line of ${LINE_MB} MB`,
        () => repeatChunk(Buffer.alloc(MB, 'a b=1,'), LINE_MB, Buffer.from('x')),
        name,
      ),
    ),
    trace(`one object of ${LINE_MB} MB over many lines`, () =>
      repeatChunk(Buffer.from('"k": "a",\n'.repeat(MB / 10)), LINE_MB, Buffer.from('[{"v":1,"src":"10.0.0.1",\n')),
    ),
  ];
}

function manifestBombs(): Bomb[] {
  const levels = 'bcdefghij'.split('');
  const laughs = levels.reduce(
    (text, name, index) =>
      `${text}${name}: &${name} [${repeatText(`*${index === 0 ? 'a' : levels[index - 1]!}`, 9)}]\n`,
    'a: &a [x, x, x, x, x, x, x, x, x]\n',
  );
  const merges = levels.reduce((text, name, index) => {
    const before = `*${index === 0 ? 'a' : levels[index - 1]!}`;
    return `${text}${name}: &${name}\n  <<: [${repeatText(before, 9)}]\n  k${name}: [${repeatText(before, 9)}]\n`;
  }, 'a: &a { k: v }\n');
  const item = 'x, '.repeat(5000);
  return [
    manifest('YAML: a billion laughs', laughs),
    manifest('YAML: merges of merges', merges),
    manifest('YAML: 5,000 aliases of 5,000 items', `a: &a [${item}]\nb: [${repeatText('*a', 5000)}]\n`),
    manifest('YAML: 100,000 brackets', '['.repeat(100_000)),
    manifest('YAML: 100,000 dashes', '- '.repeat(100_000)),
    manifest('YAML: 3,000 levels of blocks', levelsOf(3000)),
    manifest('YAML: 20,000 documents', '---\na: b\n'.repeat(20_000)),
    manifest(
      'YAML: a scalar of 10 MB',
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: ${'x'.repeat(10 * MB)}\n`,
    ),
    manifest('YAML: 20,000 anchors', `a:\n${Array.from({ length: 20_000 }, (_, at) => `- &a${at} x\n`).join('')}`),
    manifest('YAML: tags and quotes without end', `a: !!binary "${'\\x41'.repeat(200_000)}`),
    manifest('JSON: 1,000,000 brackets', '['.repeat(1e6), 'bomb.json'),
    manifest('JSON: 1,000,000 objects', '{"a":'.repeat(1e6), 'bomb.json'),
    manifest('JSON: 200,000 closed brackets', `${'['.repeat(2e5)}${']'.repeat(2e5)}`, 'bomb.json'),
    manifest(
      'JSON: a List of Lists of Lists',
      `${'{"kind":"List","apiVersion":"v1","items":['.repeat(1e4)}${']}'.repeat(1e4)}`,
      'bomb.json',
    ),
    mapping('mapping: a billion laughs', `fields:\n${laughs.replaceAll(/^/gm, '  ')}`),
    mapping('mapping: 100,000 brackets', '['.repeat(100_000)),
    mapping('mapping: 100,000 dashes', '- '.repeat(100_000)),
    mapping('mapping: brackets that close', `fields: ${'['.repeat(20_000)}${']'.repeat(20_000)}`),
    {
      name: 'scenario: a line of 5 MB',
      explode: () => {
        const text = `A title.\n\n-- packets --\n${'10.0.0.1 -> '.repeat(4e5)}\n-- expected --\n${' '.repeat(MB)}*\n`;
        return Promise.resolve({ said: readScenario(text, 'bomb.txt').diagnostics.map(codeOf), bytes: text.length });
      },
    },
    {
      name: 'expectations: a million quotes',
      explode: () => {
        const text = `src,dst,protocol,port,expect\n${'"",'.repeat(2e5)}\n${'"'.repeat(6e5 + 1)}`;
        return Promise.resolve({
          said: readExpectations(text, 'bomb.csv', 'default').diagnostics.map(codeOf),
          bytes: text.length,
        });
      },
    },
  ];
}

function manifest(name: string, text: string, path = 'bomb.yaml'): Bomb {
  return {
    name,
    explode: () => {
      const { diagnostics, skipped } = loadManifests([{ path, text, group: 0 }], {
        namespace: 'default',
        validate: 'strict',
        remove: [],
      });
      return Promise.resolve({
        said: [...new Set([...diagnostics.map(codeOf), ...[...skipped.keys()].map((kind) => `skipped ${kind}`)])],
        bytes: text.length,
      });
    },
  };
}

function mapping(name: string, text: string): Bomb {
  return {
    name,
    explode: () =>
      Promise.resolve({
        said: [...new Set(readMappingFile(text, 'bomb.yaml').diagnostics.map(codeOf))],
        bytes: text.length,
      }),
  };
}

function trace(name: string, source: () => AsyncIterable<Uint8Array>, format?: string): Bomb {
  return {
    name,
    async explode() {
      const account = createAccount('bomb');
      const options = {
        file: 'bomb',
        dictionary: createDictionary(),
        account,
        ...(format !== undefined && { format }),
      };
      for await (const batch of readTrace(source(), options)) void batch.count;
      if (!isBalanced(account)) throw new Error(`${name}: the account is not balanced`);
      const { diagnostics, malformed, skipped, bytes } = account;
      return { said: [...new Set([...diagnostics.map(codeOf), ...malformed.keys(), ...skipped.keys()])], bytes };
    },
  };
}

function codeOf({ code }: { readonly code: string }): string {
  return code;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* repeatChunk(chunk: Uint8Array, count: number, first: Uint8Array): AsyncGenerator<Uint8Array> {
  yield first;
  for (let index = 0; index < count; index++) yield chunk.slice();
}

/** A zstd frame of runs of 128 KiB of one letter each (RFC 8878, 3.1.1.2: RLE blocks), after a raw block with a record. */
function zstdRuns(count: number): Uint8Array {
  const record = Buffer.from('{"v":1,"src":"10.0.0.1","dst":"10.0.0.2","dport":80,"proto":"tcp"}\n');
  const size = 128 * 1024;
  const block = (kind: number, length: number): number[] => {
    const word = (length << 3) | (kind << 1);
    return [word & 255, (word >> 8) & 255, (word >> 16) & 255];
  };
  const run = Uint8Array.from([...block(1, size), 120]);
  const head = bytesOf(0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, block(0, record.length), record);
  return Buffer.concat([head, ...Array.from({ length: count }, () => run)]);
}

/** 0xffffff00 in the place of a 32-bit length. */
function withLength(bytes: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed.set([0x00, 0xff, 0xff, 0xff], at);
  return changed;
}

function interfaceBlocks(count: number): Uint8Array {
  const block = bytesOf(1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 20, 0, 0, 0);
  return Buffer.concat(Array.from({ length: count }, () => block));
}

function repeatText(text: string, count: number): string {
  return Array.from({ length: count }, () => text).join(', ');
}

function levelsOf(count: number): string {
  return Array.from({ length: count }, (_, depth) => `${' '.repeat(depth)}a:\n`).join('');
}

for (const { name, explode } of createBombs()) {
  const started = performance.now();
  const { said, bytes } = await explode();
  const report: BombReport = {
    name,
    said,
    bytes,
    ms: Math.round(performance.now() - started),
    peakMb: Math.round(process.resourceUsage().maxRSS / 1024),
  };
  console.log(JSON.stringify(report));
}
