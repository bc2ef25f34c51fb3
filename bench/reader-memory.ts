/**
 * How much memory reading takes, on a short file and on a long one: it must not follow the length.
 *
 *     node --import tsx bench/reader-memory.ts [--sizes 50,400] [--samples ../shared/samples] [FILE...]
 *
 * Makes the files of bench/reader.ts in each size (MiB), or takes those that are named, and reads each in a process of its own, which says
 * the most memory that it held. What it holds without any file is printed too.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatEnvironment, readEnvironment } from './environment.ts';
import { bundleReaders, loadReaders } from './reader-bundle.ts';
import { makeHubble, makePcap, makePcapAny, makeVpc, openFile } from './reader-file.ts';

const CHUNK_SIZE = 1 << 20;
const SAMPLES = '../shared/samples';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sizes: { type: 'string', default: '50,400' },
    samples: { type: 'string', default: existsSync(SAMPLES) ? SAMPLES : '' },
    folder: { type: 'string', default: 'bench/data' },
    inside: { type: 'boolean', default: false },
  },
});
if (values.inside) await read(positionals[0]);
else {
  mkdirSync(values.folder, { recursive: true });
  await bundleReaders();
  console.log(formatEnvironment(readEnvironment()));
  console.log(`no file: ${measure(undefined)}`);
  for (const path of positionals.length > 0 ? positionals : makeFiles())
    console.log(`${path}, ${(statSync(path).size / 1e6).toFixed(1)} MB: ${measure(path)}`);
}

function* makeFiles(): Generator<string> {
  for (const make of [makePcap, makePcapAny, makeVpc, makeHubble])
    for (const size of values.sizes.split(','))
      yield make({
        folder: values.folder,
        size: Math.floor(Number(size) * (1 << 20)),
        samples: values.samples === '' ? undefined : values.samples,
      }).path;
}

function measure(path: string | undefined): string {
  const script = ['--import', 'tsx', fileURLToPath(import.meta.url), '--inside', ...(path === undefined ? [] : [path])];
  const { stdout, stderr, status } = spawnSync(process.execPath, script, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

async function read(path: string | undefined): Promise<void> {
  const { createAccount, createDictionary, isBalanced, readTrace } = await loadReaders('bundle');
  let records = 0;
  if (path !== undefined) {
    const account = createAccount(path);
    const dictionary = createDictionary();
    const { randomAccess, close } = openFile(path);
    for await (const batch of readTrace(chunksOf(path), { file: path, account, dictionary, randomAccess }))
      records += batch.count;
    close();
    if (!isBalanced(account) || records !== account.used) throw new Error(`${path}: the account is out of balance`);
  }
  console.log(`${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB, ${records} rows`);
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const file = openSync(path, 'r');
  const buffer = Buffer.allocUnsafe(CHUNK_SIZE);
  for (;;) {
    const size = readSync(file, buffer, 0, CHUNK_SIZE, null);
    if (size === 0) break;
    yield buffer.subarray(0, size);
  }
  closeSync(file);
}
