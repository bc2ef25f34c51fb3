/** The benchmarks do not rot: every row of bench/limit runs on small parameters, and all who take part give the same results. No timing is judged. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findCompiler, runRow } from '../../bench/limit/run.ts';
import { makeRows } from '../../bench/limit/table.ts';

test('engine, references in C and peers give the same results on every row, each figure comes out', async (context) => {
  const compiler = findCompiler();
  if (compiler === undefined) context.diagnostic('there is no C compiler: the references in C are not compared');
  const root = mkdtempSync(join(tmpdir(), 'dropcast-bench-'));
  try {
    const rows = makeRows('test');
    assert.ok(rows.length >= 7, `${rows.length} rows`);
    const results = await Promise.all(
      rows.map((row) => runRow(row, { rounds: 1, isQuick: true, root, log: () => {}, processes: 'shared' })),
    );
    for (const [index, { name, isRight, problems, outcomes, rates }] of results.entries()) {
      // What a test does not make: binaries without a compiler, the shipped bundle, downloads, and options to come.
      const missing = problems.filter((problem) => /no C compiler|not built|not installed|no --threads/.test(problem));
      assert.deepEqual([name, problems, isRight], [name, missing, true]);
      assert.equal(rates.length + missing.length, rows[index]!.contenders.length, name);
      // Of so small a replay nothing may be left on a busy machine when the start is taken off.
      if (missing.length === 0 && name !== 'whole-threads')
        for (const { text, median } of outcomes) assert.ok(median !== undefined && median > 0, `${name}: ${text}`);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});
