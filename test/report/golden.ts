/** Golden texts: the expected output as a file beside the test; `UPDATE=1` writes them anew, and the diff is the review. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Compares a text with `golden/NAME`, or writes it under `UPDATE=1`. */
export function assertGolden(name: string, actual: string): void {
  const folder = new URL('./golden/', import.meta.url);
  const file = new URL(name, folder);
  if (process.env['UPDATE'] === '1') {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, actual);
  }
  assert.ok(existsSync(file), `no golden file ${name}: run with UPDATE=1 and review it`);
  assert.equal(actual, readFileSync(file, 'utf8'));
}
