/** The command line as it is shipped: in three bundles, so that a start does not wait for what commands need. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = new URL('../../scripts/cli.mjs', import.meta.url);

describe('the bundles of the command line', () => {
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dropcast-cli-'));
    const { buildCli } = (await import(script.href)) as { buildCli: (outdir: string) => Promise<void> };
    await buildCli(folder);
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (...argv: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [join(folder, 'cli.cjs'), ...argv], { encoding: 'utf8', cwd: folder });

  it('recognise a refusal that comes from the other one', () => {
    const { status, stderr } = run('replay', '-f', 'nothing-here.yaml', 'trace.pcap');
    assert.equal(status, 2, stderr);
    assert.match(stderr, /^dropcast: nothing-here.yaml/);
    assert.doesNotMatch(stderr, /defect/);
  });

  it('leave out of the first every command that argv can name', () => {
    const commands = /COMMANDS = \[([^\]]+)\]/.exec(readFileSync(script, 'utf8'))?.[1]?.match(/\w+/g) ?? [];
    const imported = [...readFileSync(join(root, 'src/cli/main.ts'), 'utf8').matchAll(/import\('\.\/(\w+)\.ts'\)/g)];
    assert.deepEqual(imported.map(([, name]) => name).sort(), [...commands].sort());
    assert.ok(statSync(join(folder, 'cli.cjs')).size < 200_000, 'it has grown: what is in it is read on every start');
  });

  it('print version and help from the first alone', () => {
    rmSync(join(folder, 'command.cjs'));
    assert.equal(run('--version').status, 0);
    for (const argv of [['--help'], ['help', 'replay'], ['replay', '--help']]) {
      const { status, stdout, stderr } = run(...argv);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /Usage: dropcast/);
    }
  });
});
