/** The command line as it is shipped: in several bundles, so that a start does not wait for what commands need. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { flagsOfV8 } from '../../src/cli/compiled.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = new URL('../../scripts/cli.mjs', import.meta.url);

describe('the bundles of the command line', () => {
  let folder: string;
  let bundles: { buildCli(outdir: string): Promise<void>; keepCompiled(outdir: string): Promise<void> };
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

  /** Of every script that a command loads with what V8 has made of it, whether V8 refused that. */
  const isRejected = (...argv: string[]): (boolean | undefined)[] => {
    const cli = JSON.stringify(join(folder, 'cli.cjs'));
    const code = `
      const vm = require('node:vm');
      const { Script } = vm;
      const scripts = [];
      vm.Script = function (...values) { const script = new Script(...values); scripts.push(script); return script; };
      process.on('exit', () => process.stderr.write(JSON.stringify(scripts.map((one) => one.cachedDataRejected))));
      process.argv.splice(1, 0, ${cli});
      require(${cli});`;
    const { stderr } = spawnSync(process.execPath, ['-e', code, ...argv], { encoding: 'utf8', cwd: folder });
    return JSON.parse(stderr) as (boolean | undefined)[];
  };

  it('recognise a refusal that comes from the other one', () => {
    const { status, stderr } = run('replay', '-f', 'nothing-here.yaml', 'trace.pcap');
    assert.equal(status, 2, stderr);
    assert.match(stderr, /^dropcast: nothing-here.yaml/);
    assert.doesNotMatch(stderr, /defect/);
  });

  it('set flags of V8 that it has: it would complain of others on stderr', () => {
    const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
    for (const flag of flagsOfV8(process.versions.v8))
      assert.ok(stdout.includes(`  ${flag.slice(0, flag.indexOf('='))} `), flag);
    assert.ok(flagsOfV8('11.3.244.8-node.38').length > 0);
    // Of Node 22.
    assert.deepEqual(flagsOfV8('12.4.254.21-node.57'), []);
  });

  it('answer at once, and without any other, what the long way says', () => {
    const help = run('help');
    assert.match(help.stdout, /^Usage: dropcast/);
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const known = { status: 0, stdout: `${version}\n`, stderr: '' };
    assert.deepEqual(run('--version', '--version'), known);
    renameSync(join(folder, 'main.cjs'), join(folder, 'away.cjs'));
    try {
      for (const option of ['--help', '-h']) assert.deepEqual(run(option), help);
      for (const option of ['--version', '-V']) assert.deepEqual(run(option), known);
      assert.equal(run('help').status, 1);
    } finally {
      renameSync(join(folder, 'away.cjs'), join(folder, 'main.cjs'));
    }
  });

  it('leave out of the first every command that argv can name', () => {
    const commands = /COMMANDS = \[([^\]]+)\]/.exec(readFileSync(script, 'utf8'))?.[1]?.match(/\w+/g) ?? [];
    const imported = [...readFileSync(join(root, 'src/cli/main.ts'), 'utf8').matchAll(/import\('\.\/(\w+)\.ts'\)/g)];
    assert.deepEqual(imported.map(([, name]) => name).sort(), [...commands].sort());
    assert.ok(statSync(join(folder, 'cli.cjs')).size < 20_000, 'it has grown: it is read on every start');
    assert.ok(statSync(join(folder, 'main.cjs')).size < 200_000, 'it has grown: what is in it is read on every start');
  });

  it('do the same with what V8 has compiled before, without it, and with something that is no such thing', async () => {
    const file = join(folder, 'command-code.cjs');
    const kept = `${file}.cache`;
    const check = (): unknown => run('check', '-f', join(root, 'traces/app1/policies'));
    const without = check();
    await bundles.keepCompiled(folder);
    const compiled = readFileSync(kept);
    assert.ok(compiled.length > 100_000);
    assert.equal(compiled.includes(folder), false, 'who runs it is told of folders that only the build had');
    assert.deepEqual(check(), without);
    assert.deepEqual(isRejected('check', '-f', join(root, 'traces/app1/policies')), [false]);
    writeFileSync(kept, compiled.subarray(0, 5000));
    assert.deepEqual(check(), without);
    for (const at of [0, 60, 5000, compiled.length - 100]) {
      const damaged = Buffer.from(compiled);
      damaged.fill(0x5a, at, at + 8);
      writeFileSync(kept, damaged);
      assert.deepEqual(check(), without, `with other bytes at ${at}`);
    }
    writeFileSync(kept, 'no code');
    assert.deepEqual(check(), without);
    // As many characters of other code: V8 would not know it from the code that it has compiled.
    const code = readFileSync(file, 'latin1');
    writeFileSync(kept, compiled);
    writeFileSync(file, code.replaceAll(' never used', ' NEVER USED'));
    const replay = ['-f', 'cluster.yaml', '-f', 'policies', 'hubble.jsonl'].map((part) =>
      part === '-f' ? part : join(root, 'traces/app1', part),
    );
    assert.match(run('replay', ...replay, '--fail-on', 'never').stdout, / NEVER USED/);
    writeFileSync(file, code);
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
