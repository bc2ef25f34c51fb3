/**
 * What is read of every trace at hand: records, fates and connections by format, over the files of this repository and over samples that
 * lie beside it. docs/traces.md shows the sums, and a test holds them against the files.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from '../../src/compile/compile.ts';
import { createDictionary } from '../../src/model/flow.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import { createReplay } from '../../src/replay/replay.ts';
import { createAccount, isBalanced, total } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';
import { chunksOf } from './build.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Folders of traces in this repository. */
export const OWN: readonly string[] = ['test/trace/fixture', 'traces'].map((folder) => join(ROOT, folder));

/** Real records of other projects and of a lab, which are not part of this repository. */
export const SAMPLES: string = join(ROOT, '../shared/samples');

/** Sums over the files of one format. */
export interface Inventory {
  files: number;
  read: number;
  used: number;
  readonly skipped: Map<string, number>;
  malformed: number;
  /** As a replay counts them, without a cluster. */
  connections: number;
  /** Connections by how their initiator came to be known. */
  readonly oriented: { stated: number; flags: number; paired: number; ports: number; assumed: number };
}

/** Format -> sums, over all files in folders and below. Files that are no trace are left out. */
export async function takeInventory(folders: readonly string[]): Promise<Map<string, Inventory>> {
  const found = new Map<string, Inventory>();
  for (const folder of folders)
    if (existsSync(folder)) for (const file of listFiles(folder)) await addFile(found, file);
  return found;
}

async function addFile(found: Map<string, Inventory>, file: string): Promise<void> {
  const program = compile(
    { namespaces: [], pods: [], nodes: [], services: [], endpointSlices: [] },
    [],
    DEFAULT_DIALECT,
  );
  const dictionary = createDictionary();
  const account = createAccount(file);
  const replay = createReplay({ program, dictionary, mode: 'connections', invalid: 'count', kernel: 'plain' });
  const bytes = readFileSync(file);
  for await (const batch of readTrace(chunksOf(bytes, 1 << 16), { file, dictionary, account }))
    replay.add(batch, account);
  if (account.read === 0) return;
  if (!isBalanced(account)) throw new Error(`${file}: the account does not balance`);
  const { totals, partial, oriented } = replay.finish([account]);
  const sums = found.get(account.format) ?? {
    files: 0,
    read: 0,
    used: 0,
    skipped: new Map<string, number>(),
    malformed: 0,
    connections: 0,
    oriented: { stated: 0, flags: 0, paired: 0, ports: 0, assumed: 0 },
  };
  found.set(account.format, sums);
  sums.files++;
  sums.read += account.read;
  sums.used += account.used;
  sums.malformed += total(account.malformed);
  for (const [reason, count] of account.skipped) sums.skipped.set(reason, (sums.skipped.get(reason) ?? 0) + count);
  for (const tallies of [totals, partial])
    for (const { connections } of [tallies.allow, tallies.deny, tallies.undecidable]) sums.connections += connections;
  for (const by of Object.keys(oriented) as (keyof typeof oriented)[]) sums.oriented[by] += oriented[by];
}

/** The cells of a format in the table: files, records, rows, connections; then what was skipped; then how initiators were found. */
export function cellsOf(own: Inventory | undefined, samples: Inventory | undefined): string[] {
  const sum = (one: Inventory | undefined): string =>
    one === undefined ? '—' : [one.files, one.read, one.used, one.connections].join(' · ');
  const fates = (one: Inventory | undefined): string =>
    one === undefined
      ? ''
      : [
          ...[...one.skipped].sort(([a], [b]) => (a < b ? -1 : 1)).map(([reason, count]) => `${reason} ${count}`),
          ...(one.malformed > 0 ? [`malformed ${one.malformed}`] : []),
        ].join(', ');
  const oriented = (one: Inventory | undefined): string =>
    one === undefined
      ? ''
      : Object.entries(one.oriented)
          .filter(([, count]) => count > 0)
          .map(([by, count]) => `${by} ${count}`)
          .join(', ');
  const both = (of: (one: Inventory | undefined) => string): string =>
    [own, samples]
      .map(of)
      .filter((text) => text !== '')
      .join(' / ') || '—';
  return [sum(own), sum(samples), both(fates), both(oriented)];
}

function listFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.endsWith('expect.csv'))
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? listFiles(path) : [path]));
}
