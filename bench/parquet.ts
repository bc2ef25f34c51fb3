/**
 * Parquet against DuckDB: one file of VPC flow logs into columns of numbers, in turns in fresh processes:
 *
 *     node --import tsx bench/parquet.ts [--size 200] [--runs 5] [--samples ../shared/samples]
 *
 * On first use it makes the file: the flow log of bench/reader.ts (`--size` MiB of text) as DuckDB writes it, gzip inside as AWS's are, with
 * addresses behind those of the interfaces. DuckDB comes from bench/peers. Both use one thread; the time is the processor time of the
 * fastest of three passes in a process; the ratio is the median of the rounds' ratios.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatEnvironment, readEnvironment } from './environment.ts';
import { peersReason } from './limit/entry.ts';
import { bundleReaders, loadReaders } from './reader-bundle.ts';
import { makeVpc, openFile } from './reader-file.ts';

const SAMPLES = '../shared/samples';
const PASSES = 3;
const TEXTS = ['srcaddr', 'dstaddr', 'pkt_srcaddr', 'pkt_dstaddr', 'interface_id', 'action', 'log_status'];
const NUMBERS = ['srcport', 'dstport', 'protocol', 'packets', 'bytes', 'start', 'tcp_flags'];

interface Vector {
  readonly items?: unknown;
  getItem(index: number): unknown;
}
interface Chunk {
  readonly rowCount: number;
  getColumnVector(index: number): Vector;
}
interface Connection {
  run(sql: string): Promise<unknown>;
  stream(sql: string): Promise<{ fetchChunk(): Promise<Chunk | null> }>;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '200' },
    runs: { type: 'string', default: '5' },
    samples: { type: 'string', default: existsSync(SAMPLES) ? SAMPLES : '' },
    folder: { type: 'string', default: 'bench/data' },
  },
});
const [contender, file] = positionals;
if (contender === undefined) await compare(Number(values.runs));
else await measure(contender, file!);

/** Fresh processes in turns. */
async function compare(rounds: number): Promise<void> {
  const reason = peersReason('full');
  if (reason !== undefined) throw new Error(reason);
  mkdirSync(values.folder, { recursive: true });
  await bundleReaders();
  const path = await makeParquet();
  console.log(formatEnvironment(readEnvironment()));
  console.log(`${path}: ${(statSync(path).size / 1e6).toFixed(1)} MB`);
  const times = new Map<string, number[]>([
    ['dropcast', []],
    ['DuckDB', []],
  ]);
  const counts = new Set<number>();
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 === 0 ? times.keys() : [...times.keys()].reverse()) {
      const script = ['--import', 'tsx', fileURLToPath(import.meta.url), name, path];
      const { stdout, stderr } = spawnSync(process.execPath, script, { encoding: 'utf8' });
      if (stdout === '') throw new Error(stderr);
      const { rows, seconds } = JSON.parse(stdout) as { rows: number; seconds: number };
      counts.add(rows);
      times.get(name)!.push(seconds);
      console.log(`  ${name}: ${rows} rows, ${seconds.toFixed(3)} s`);
    }
  if (counts.size !== 1) throw new Error('they did not read the same number of rows');
  const ours = times.get('dropcast')!;
  const ratio = median(times.get('DuckDB')!.map((seconds, round) => ours[round]! / seconds));
  const rate = [...counts][0]! / median(ours) / 1e6;
  console.log(`dropcast: ${rate.toFixed(2)} M rows/s, ${ratio.toFixed(2)} x the time of DuckDB (goal: at most 1.5)`);
  console.log(formatEnvironment(readEnvironment()));
}

async function measure(name: string, path: string): Promise<void> {
  const read = name === 'dropcast' ? await openOurs() : await openTheirs();
  let least = Infinity;
  let rows = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    const start = process.cpuUsage();
    rows = await read(path);
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, (user + system) / 1e6);
  }
  console.log(JSON.stringify({ rows, seconds: least }));
}

type Read = (path: string) => Promise<number>;

async function openOurs(): Promise<Read> {
  const { createAccount, createDictionary, readTrace } = await loadReaders('bundle');
  return async (path) => {
    const account = createAccount(path);
    const { randomAccess, close } = openFile(path);
    async function* head(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(await randomAccess.slice(0, 64));
    }
    const options = { file: path, dictionary: createDictionary(), account, randomAccess };
    for await (const _ of readTrace(head(), options));
    close();
    return account.read;
  };
}

/** The same columns as arrays: numbers as the driver holds them, texts by number in the order of their first appearance. */
async function openTheirs(): Promise<Read> {
  const connection = await openDuck();
  return async (path) => {
    const ids = new Map<string, number>();
    const casts = NUMBERS.map((name) => `${name}::DOUBLE`);
    const result = await connection.stream(
      `SELECT ${[...TEXTS, ...casts].join(', ')} FROM read_parquet(${quote(path)})`,
    );
    let rows = 0;
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) return rows;
      const { rowCount } = chunk;
      for (let column = 0; column < TEXTS.length; column++) {
        const vector = chunk.getColumnVector(column);
        const numbers = new Uint32Array(rowCount);
        for (let row = 0; row < rowCount; row++) {
          const text = vector.getItem(row) as string;
          let id = ids.get(text);
          if (id === undefined) ids.set(text, (id = ids.size));
          numbers[row] = id;
        }
      }
      for (let column = 0; column < NUMBERS.length; column++) {
        const vector = chunk.getColumnVector(TEXTS.length + column);
        // The driver's own typed array where it shows it: the quickest way there is.
        if (vector.items instanceof Float64Array) vector.items.slice();
        else Float64Array.from({ length: rowCount }, (_, row) => vector.getItem(row) as number);
      }
      rows += rowCount;
    }
  };
}

/** The flow log of bench/reader.ts as AWS delivers it in Parquet. */
async function makeParquet(): Promise<string> {
  const { path: text } = makeVpc({
    folder: values.folder,
    size: Math.floor(Number(values.size) * (1 << 20)),
    samples: values.samples === '' ? undefined : values.samples,
  });
  const path = `${text}.parquet`;
  if (existsSync(path)) return path;
  const connection = await openDuck();
  const names =
    'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status';
  const columns = [
    ...names.split(' ').map((name) => `"${name}" AS "${name.replaceAll('-', '_')}"`),
    'srcaddr AS pkt_srcaddr',
    'dstaddr AS pkt_dstaddr',
    '(CASE protocol WHEN 6 THEN (srcport % 3) * 9 ELSE 0 END)::INTEGER AS tcp_flags',
  ];
  await connection.run(
    `COPY (SELECT ${columns.join(', ')} FROM read_csv(${quote(text)}, delim = ' ', header = true)) ` +
      `TO ${quote(`${path}.partial`)} (FORMAT parquet, COMPRESSION gzip)`,
  );
  renameSync(`${path}.partial`, path);
  return path;
}

async function openDuck(): Promise<Connection> {
  const { DuckDBInstance } = createRequire(new URL('peers/', import.meta.url))('@duckdb/node-api') as {
    DuckDBInstance: { create(path: string, options: object): Promise<{ connect(): Promise<Connection> }> };
  };
  return (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1]!;
}
