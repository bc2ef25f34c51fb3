/** bench/reader.ts on small files: it runs to its end, and its readers read every record of what it makes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

test('the benchmark of the readers makes its files, reads them whole and prints a ratio for each', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dropcast-reader-'));
  try {
    const options = ['--source', '--size', '0.2', '--runs', '1', '--samples', '', '--folder', folder];
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', 'bench/reader.ts', ...options], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const titles = ['AWS VPC', 'Hubble', 'pcap, one', 'pcap, all', 'columnar'];
    for (const title of titles) assert.match(stdout, new RegExp(`^${title}.*: 0\\.\\d MB, [1-9]\\d* records$`, 'm'));
    assert.ok((stdout.match(/; dropcast is \d+\.\d\d x as fast/g) ?? []).length >= titles.length, stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
