/** The command line as it is shipped: in several bundles, so that a start does not wait for what commands need. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = new URL('../../scripts/cli.mjs', import.meta.url);

describe('the bundles of the command line', () => {
  let folder: string;
  let bundles: { buildCli(outdir: string): Promise<void>; keepCompiled(outdir: string): void };
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dropcast-cli-'));
    bundles = (await import(script.href)) as typeof bundles;
    await bundles.buildCli(folder);
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (...argv: string[]): { status: number | null; stdout: string; stderr: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'cli.cjs'), ...argv], {
      encoding: 'utf8',
      cwd: folder,
    });
    return { status, stdout, stderr };
  };

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

  it('do the same with what V8 has compiled before, without it, and with something that is no such thing', () => {
    const kept = join(folder, 'command-code.cjs.cache');
    const check = (): unknown => run('check', '-f', join(root, 'traces/app1/policies'));
    const without = check();
    bundles.keepCompiled(folder);
    assert.ok(statSync(kept).size > 100_000);
    assert.deepEqual(check(), without);
    writeFileSync(kept, readFileSync(kept).subarray(0, 5000));
    assert.deepEqual(check(), without);
    writeFileSync(kept, 'no code');
    assert.deepEqual(check(), without);
  });

  it('read no library for manifests and traces that are plain, and each when it is asked for', () => {
    const flowMap = join(folder, 'flow-map.yaml');
    writeFileSync(flowMap, 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: &name a\n  labels: {app: *name}\n');
    const app = join(root, 'traces/app1');
    const replay = ['replay', '-f', join(app, 'cluster.yaml'), '--fail-on', 'never', join(app, 'hubble.jsonl')];
    const withLibraries = [run(...replay), run('check', '-f', flowMap)];
    assert.deepEqual(withLibraries.map(({ status }) => status), [0, 0]); // prettier-ignore
    renameSync(join(folder, 'library'), join(folder, 'elsewhere'));
    assert.deepEqual(run(...replay), withLibraries[0]);
    assert.notEqual(run('check', '-f', flowMap).status, 0);
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
