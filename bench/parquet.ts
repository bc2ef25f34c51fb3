/**
 * Parquet against DuckDB: one file of VPC flow logs, into columns of numbers, in turns in one process each. DuckDB's driver is no
 * dependency of dropcast. Processor time of both, in one thread, so that what else the machine does matters less: `node --import tsx bench/parquet.ts FILE FOLDER`, where FOLDER is one in which `npm i @duckdb/node-api` was run.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDictionary } from '../src/model/flow.ts';
import { createAccount } from '../src/trace/account.ts';
import type { RandomAccess } from '../src/trace/format.ts';
import { readTrace } from '../src/trace/read.ts';

const ROUNDS = 7;
const ids = new Map<string, number>();
const COLUMNS = ['srcaddr', 'dstaddr', 'pkt_srcaddr', 'pkt_dstaddr', 'interface_id', 'action', 'log_status'];
const NUMBERS = ['srcport', 'dstport', 'protocol', 'packets', 'bytes', 'start', 'tcp_flags'];

const [, , file, folder, one] = process.argv;
if (file === undefined || folder === undefined) throw new Error('usage: bench/parquet.ts FILE FOLDER');
if (one === undefined) compare(file, folder);
else {
  const start = process.cpuUsage();
  const rows = one === 'dropcast' ? await readOurs(file) : await readTheirs(file, folder);
  const { user, system } = process.cpuUsage(start);
  console.log(JSON.stringify({ rows, ms: (user + system) / 1000 }));
}

/** Fresh processes in turns; the median of the ratios of neighbours. */
function compare(path: string, peers: string): void {
  const ratios: number[] = [];
  const times: Record<string, number[]> = { dropcast: [], duckdb: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const pair = (round % 2 === 0 ? ['dropcast', 'duckdb'] : ['duckdb', 'dropcast']).map((name) => {
      const script = fileURLToPath(import.meta.url);
      const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', script, path, peers, name], {
        encoding: 'utf8',
      });
      if (stdout === '') throw new Error(stderr);
      const { ms, rows } = JSON.parse(stdout) as { ms: number; rows: number };
      times[name]!.push(ms);
      console.log(`${name}: ${rows} rows, ${ms.toFixed(0)} ms`);
      return [name, ms] as const;
    });
    const of = Object.fromEntries(pair);
    ratios.push(of['dropcast']! / of['duckdb']!);
  }
  console.log(
    `median: dropcast ${median(times['dropcast']!).toFixed(0)} ms, duckdb ${median(times['duckdb']!).toFixed(0)} ms, ratio ${median(ratios).toFixed(2)} (goal: at most 1.5)`,
  );
}

async function readOurs(path: string): Promise<number> {
  const account = createAccount(path);
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  const randomAccess: RandomAccess = {
    byteLength: size,
    slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      readSync(file, bytes, 0, bytes.length, start);
      return Promise.resolve(bytes.buffer);
    },
  };
  async function* head(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(await randomAccess.slice(0, 64));
  }
  let rows = 0;
  for await (const batch of readTrace(head(), { file: path, dictionary: createDictionary(), account, randomAccess }))
    rows += batch.count;
  closeSync(file);
  return account.read === rows ? rows : account.read;
}

/** The same columns as arrays: numbers as typed arrays, texts as the driver gives them. One thread, as ours. */
async function readTheirs(path: string, peers: string): Promise<number> {
  const { DuckDBInstance } = createRequire(join(resolve(peers), 'x.js'))('@duckdb/node-api') as {
    DuckDBInstance: { create(path: string, options: object): Promise<{ connect(): Promise<Connection> }> };
  };
  interface Vector {
    readonly items?: unknown;
    getItem(index: number): unknown;
  }
  interface Chunk {
    readonly rowCount: number;
    getColumnVector(index: number): Vector;
  }
  interface Connection {
    stream(sql: string): Promise<{ fetchChunk(): Promise<Chunk | null> }>;
  }
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  const casts = NUMBERS.map((name) => `${name}::DOUBLE`);
  const result = await connection.stream(
    `SELECT ${[...COLUMNS, ...casts].join(', ')} FROM read_parquet('${path.replaceAll("'", "''")}')`,
  );
  let rows = 0;
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const { rowCount } = chunk;
    for (let column = 0; column < COLUMNS.length; column++) {
      const vector = chunk.getColumnVector(column);
      const ids = new Uint32Array(rowCount);
      for (let row = 0; row < rowCount; row++) ids[row] = idOf(vector.getItem(row) as string);
    }
    for (let column = 0; column < NUMBERS.length; column++) {
      const vector = chunk.getColumnVector(COLUMNS.length + column);
      // The driver's own typed array where it shows it: the quickest way there is.
      const numbers = vector.items instanceof Float64Array ? vector.items.slice() : new Float64Array(rowCount);
      if (!(vector.items instanceof Float64Array))
        for (let row = 0; row < rowCount; row++) numbers[row] = vector.getItem(row) as number;
    }
    rows += rowCount;
  }
  return rows;
}

/** Texts as numbers, as a typed array holds them. */
function idOf(text: string): number {
  let id = ids.get(text);
  if (id === undefined) ids.set(text, (id = ids.size));
  return id;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
