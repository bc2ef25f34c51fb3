/**
 * The chain from sentence to test: every id of docs/semantics.md and docs/semantics/*.md has one row, a line of the oracle, a
 * line of the engine (or of the reader) and a scenario; and no line cites an id that has no row.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readScenarioFiles } from './scenario-file.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const ID = /\b(?:RD|NP|EP|SV|DI|KL|TI|CT)-\d{2}\b/g;

/** Where the two implementations of a rule are; no oracle where manifests are read: it begins at the model. */
const HOMES: Readonly<
  Record<string, { oracle: readonly string[]; engine: readonly string[]; tests: readonly string[] }>
> = {
  RD: { oracle: [], engine: ['src/manifest'], tests: [] },
  // Tiered policies have no reader yet, and packets of a scenario have no chunks, tags or fields left out: tests in code may
  // cover these by naming the id in a title or a comment.
  TI: { oracle: ['src/oracle'], engine: ['src/compile', 'src/decide'], tests: ['test/semantics'] },
  CT: {
    oracle: ['src/oracle'],
    engine: ['src/track', 'src/replay'],
    tests: ['test/track'],
  },
};
const USUAL = { oracle: ['src/oracle'], engine: ['src/compile', 'src/decide', 'src/manifest'], tests: [] };

const pages = ['docs/semantics.md', ...filesBelow('docs/semantics', '.md')];
const rows = pages.flatMap((page) => [...read(page).matchAll(/^\| ([A-Z]{2}-\d{2}) +\|/gm)].map((match) => match[1]!));
const cited = new Map<string, Set<string>>();
for (const folder of [
  'src/oracle',
  'src/compile',
  'src/decide',
  'src/manifest',
  'src/track',
  'src/replay',
  'test/track',
  'test/kernel',
  'test/semantics',
])
  cited.set(folder, new Set(filesBelow(folder, '.ts').flatMap((file) => read(file).match(ID) ?? [])));
const covered = new Set(readScenarioFiles().flatMap(({ reading }) => reading.scenario?.covers ?? []));

test('there are rules, and each has one row', () => {
  assert.ok(rows.length >= 70, `found ${rows.length} ids`);
  assert.deepEqual(
    rows.filter((id, index) => rows.indexOf(id) !== index),
    [],
    'ids with two rows',
  );
});

test('every rule has a line in the oracle', () => {
  assert.deepEqual(
    rows.filter((id) => homeOf(id).oracle.length > 0 && !isCited(id, homeOf(id).oracle)),
    [],
  );
});

test('every rule has a line in the engine, or in the reader', () => {
  assert.deepEqual(
    rows.filter((id) => !isCited(id, homeOf(id).engine)),
    [],
  );
});

test('every rule is covered by a scenario, those of tiers by one or by a test that names it', () => {
  assert.deepEqual(
    uncovered().filter((id) => !id.startsWith('CT-')),
    [],
  );
});

test('every rule of connection tracking is covered by a scenario, or by a test of test/track that names it', () => {
  assert.deepEqual(
    uncovered().filter((id) => id.startsWith('CT-')),
    [],
  );
});

test('no line and no scenario cites a rule that is not written down', () => {
  const all = new Set([...covered, ...[...cited.values()].flatMap((ids) => [...ids])]);
  assert.ok(all.size > 0, 'nothing cites any rule');
  assert.deepEqual(
    [...all].filter((id) => !rows.includes(id)),
    [],
  );
});

function uncovered(): string[] {
  return rows.filter((id) => !covered.has(id) && !isCited(id, homeOf(id).tests));
}

function homeOf(id: string): (typeof HOMES)[string] {
  return HOMES[id.slice(0, 2)] ?? USUAL;
}

function isCited(id: string, folders: readonly string[]): boolean {
  return folders.some((folder) => cited.get(folder)!.has(id));
}

function read(file: string): string {
  return readFileSync(root + file, 'utf8');
}

function filesBelow(folder: string, extension: string): string[] {
  try {
    return readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith(extension))
      .map((file) => `${folder}/${file}`);
  } catch {
    return [];
  }
}
