/** The table of docs/traces.md says what is read of every trace at hand; it is held against the files themselves. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cellsOf, OWN, SAMPLES, takeInventory } from './inventory.ts';

const HEADER = '| format | of this repository | samples |';

/** Format -> its cells. */
function readTable(): Map<string, string[]> {
  const lines = readFileSync(join(import.meta.dirname, '../../docs/traces.md'), 'utf8').split('\n');
  const start = lines.findIndex((line) => line.startsWith(HEADER));
  assert.ok(start >= 0, 'docs/traces.md has lost its table');
  const rows = new Map<string, string[]>();
  for (let line = start + 2; lines[line]!.startsWith('|'); line++) {
    const cells = lines[line]!.split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    rows.set(cells[0]!.replaceAll('`', ''), cells.slice(1));
  }
  return rows;
}

test('docs/traces.md: records, connections and accounting of each format are what the files give', async (context) => {
  const areSamplesHere = existsSync(SAMPLES);
  if (!areSamplesHere)
    context.diagnostic('the samples (../shared/samples) are not here: their numbers are not checked');
  const own = await takeInventory(OWN);
  const samples = await takeInventory([SAMPLES]);
  const table = readTable();
  const formats = new Set([...own.keys(), ...samples.keys()]);
  if (areSamplesHere) assert.deepEqual([...table.keys()].sort(), [...formats].sort());
  for (const format of formats) {
    const cells = table.get(format);
    assert.ok(cells !== undefined, `${format} has no row`);
    const expected = cellsOf(own.get(format), samples.get(format));
    if (areSamplesHere)
      assert.deepEqual(cells.slice(0, expected.length), expected, `| ${format} | ${expected.join(' | ')} |`);
    else assert.equal(cells[0], expected[0], format);
    assert.notEqual(cells[expected.length], '', `${format}: what cannot be known is not said`);
  }
});
