/**
 * How fast traces become columns, one thread, each format beside a named alternative in the same run on the same file:
 *
 *     node --import tsx bench/reader.ts [--size 200] [--runs 5] [--samples ../shared/samples] [--only vpc,hubble]
 *
 * Makes the files on first use (bench/data, `--size` MiB each), bundles the readers as they are shipped, and runs reader and
 * alternative in turn; the ratio is the median of the rounds' ratios. Reader and alternative get the same chunks: 1 MiB, read
 * synchronously into two buffers that take turns. Time is the processor time of the process, helper threads included: on a
 * machine with other work the clock on the wall measures that work too. `--source` measures the unbundled source, for a quick check that all of this still works.
 */
import { closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Dictionary, FlowBatch } from '../src/model/flow.ts';
import type { TraceAccount } from '../src/trace/account.ts';
import { formatEnvironment, readEnvironment } from './environment.ts';
import { bundleReaders, loadReaders } from './reader-bundle.ts';
import { makeHubble, makePcap, makePcapAny, makeVpc, type FileOptions, type TraceFile } from './reader-file.ts';
import { parseEach, scanBytes, splitFields, splitOnly } from './reader-loop.ts';

const CHUNK_SIZE = 1 << 20;
const SAMPLES = '../shared/samples';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '200' },
    runs: { type: 'string', default: '5' },
    samples: { type: 'string', default: existsSync(SAMPLES) ? SAMPLES : '' },
    only: { type: 'string', default: 'vpc,hubble,pcap,any,binary' },
    folder: { type: 'string', default: 'bench/data' },
    source: { type: 'boolean', default: false },
  },
});

/** What one pass over a file gave. */
interface Pass {
  readonly records: number;
  /** Equal for equal columns. */
  readonly sum: number;
}

interface Contender {
  readonly name: string;
  readonly run: (path: string) => Pass | Promise<Pass>;
}

interface Result {
  readonly name: string;
  readonly records: number;
  readonly megabytesPerSecond: number;
  readonly recordsPerSecond: number;
  readonly seconds: readonly number[];
  /** How many times as fast dropcast was. */
  readonly ratio: number;
}

const only = new Set(values.only.split(','));
const options: FileOptions = {
  folder: values.folder,
  size: Math.floor(Number(values.size) * (1 << 20)),
  samples: values.samples === '' ? undefined : values.samples,
};
mkdirSync(values.folder, { recursive: true });
const environment = readEnvironment();
console.log(formatEnvironment(environment));
console.log(
  `files of ${values.size} MiB made from ${options.samples ?? 'the traces of the project'}, ${values.runs} runs`,
);
if (!values.source) await bundleReaders();
const readers = await loadReaders(values.source ? 'source' : 'bundle');
const reader: Contender = { name: 'dropcast', run: readColumns };
const report: Record<string, readonly Result[]> = {};

if (only.has('vpc'))
  await compare('AWS VPC flow log, text', makeVpc(options), [
    reader,
    { name: "split('\\n'), split(' ')", run: (path) => splitOnly(chunksOf(path)) },
    { name: 'split, the same fields', run: (path) => splitFields(chunksOf(path)) },
  ]);
if (only.has('hubble'))
  await compare('Hubble JSON lines', makeHubble(options), [
    reader,
    { name: 'slice, JSON.parse, the same fields', run: (path) => parseEach(chunksOf(path)) },
  ]);
if (only.has('pcap'))
  await compare('pcap, one Ethernet interface', makePcap(options), [
    reader,
    { name: 'only reading the bytes', run: (path) => scanBytes(chunksOf(path)) },
  ]);
if (only.has('any'))
  await compare('pcap, all interfaces joined (SLL2)', makePcapAny(options), [
    reader,
    { name: 'only reading the bytes', run: (path) => scanBytes(chunksOf(path)) },
  ]);
if (only.has('binary'))
  await compare('columnar trace', await convert(makePcap(options)), [
    reader,
    { name: 'only reading the bytes', run: (path) => scanBytes(chunksOf(path)) },
  ]);

mkdirSync('bench/out', { recursive: true });
if (!values.source)
  writeFileSync(
    'bench/out/reader.json',
    `${JSON.stringify({ environment, loadAfter: readEnvironment().load, report }, null, 2)}\n`,
  );
console.log(formatEnvironment(readEnvironment()));

/** Alternately, so that what else happens on the machine happens to all of them. */
async function compare(title: string, file: TraceFile, contenders: readonly Contender[]): Promise<void> {
  const times = contenders.map((): number[] => []);
  const passes: Pass[] = [];
  // Once without a clock, for the compiler and the page cache.
  for (const [index, { run }] of contenders.entries()) passes[index] = await run(file.path);
  for (let round = 0; round < Number(values.runs); round++)
    for (const [index, { name, run }] of contenders.entries()) {
      const start = process.cpuUsage();
      const pass = await run(file.path);
      const { user, system } = process.cpuUsage(start);
      times[index]!.push((user + system) / 1e6);
      if (!Object.is(pass.sum, passes[index]!.sum)) throw new Error(`${title}: ${name} gave something else this time`);
    }
  console.log(`\n${title}: ${(file.size / 1e6).toFixed(1)} MB, ${passes[0]!.records} records`);
  const results = contenders.map(({ name }, index): Result => {
    const { records } = passes[index]!;
    const seconds = median(times[index]!);
    return {
      name,
      records,
      seconds: times[index]!,
      megabytesPerSecond: file.size / 1e6 / seconds,
      recordsPerSecond: records / seconds,
      ratio: median(times[index]!.map((time, round) => time / times[0]![round]!)),
    };
  });
  for (const { name, megabytesPerSecond, recordsPerSecond, ratio } of results) {
    const rate = recordsPerSecond === 0 ? '' : `, ${(recordsPerSecond / 1e6).toFixed(3)} M records/s`;
    const against = name === reader.name ? '' : `; dropcast is ${ratio.toFixed(2)} x as fast`;
    console.log(`  ${name}: ${megabytesPerSecond.toFixed(0)} MB/s${rate}${against}`);
  }
  report[title] = results;
}

async function readColumns(path: string): Promise<Pass> {
  const account = readers.createAccount(path);
  const dictionary = readers.createDictionary();
  const sum = await sumOf(path, account, dictionary);
  if (!readers.isBalanced(account) || account.malformed.size > 0 || account.used === 0)
    throw new Error(`${path}: used ${account.used} of ${account.read} records`);
  return { records: account.read, sum };
}

/** Touches one value of each column a batch, no more: what a replay does with the rows is not measured here. */
async function sumOf(path: string, account: TraceAccount, dictionary: Dictionary): Promise<number> {
  let sum = 0;
  for await (const batch of readers.readTrace(chunkStream(path), { file: path, account, dictionary })) {
    const row = batch.count - 1;
    for (const column of columnsOf(batch)) sum = (sum * 31 + (Number.isNaN(column[row]!) ? 1 : column[row]!)) % 2 ** 40;
  }
  return sum;
}

function columnsOf(batch: FlowBatch): Float64Array[] {
  return Object.values(batch).filter((column) => ArrayBuffer.isView(column)) as Float64Array[];
}

/** The same rows in dropcast's columnar trace. */
async function convert(file: TraceFile): Promise<TraceFile> {
  const path = `${file.path}.bin`;
  if (!existsSync(path)) {
    const account = readers.createAccount(path);
    const dictionary = readers.createDictionary();
    const writer = readers.createWriter('binary', dictionary);
    const out = openSync(path, 'w');
    const write = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.length;) at += writeSync(out, bytes, at);
    };
    for await (const batch of readers.readTrace(chunkStream(file.path), {
      file: file.path,
      account,
      dictionary,
      batchCapacity: 65_536,
    }))
      write(writer.write(batch));
    write(writer.end());
    closeSync(out);
  }
  return { path, size: sizeOf(path) };
}

function sizeOf(path: string): number {
  let size = 0;
  for (const chunk of chunksOf(path)) size += chunk.length;
  return size;
}

function* chunksOf(path: string): Generator<Buffer> {
  const file = openSync(path, 'r');
  const buffers = [Buffer.allocUnsafe(CHUNK_SIZE), Buffer.allocUnsafe(CHUNK_SIZE)];
  for (let turn = 0; ; turn ^= 1) {
    const size = readSync(file, buffers[turn]!, 0, CHUNK_SIZE, null);
    if (size === 0) break;
    yield buffers[turn]!.subarray(0, size);
  }
  closeSync(file);
}

async function* chunkStream(path: string): AsyncGenerator<Uint8Array> {
  yield* chunksOf(path);
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
