// The command line as several bundles, so that a start reads no more than it needs: cli.cjs answers `--version` and `--help`, main.cjs parses
// argv, command.cjs loads command-code.cjs, which holds what the commands need, and exit.cjs is what they must share, because one class is
// recognised across them. Libraries that most runs never ask for have a file each. Names are kept whole, so that a stack says where it was.
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE, THREAD } from './bundle.mjs';

/** Libraries that are read when something of them is first used. */
const LAZY = ['yaml', 'hyparquet', 'fast-check', 'ip-num'];
const COMMANDS = ['replay', 'explain', 'test', 'check', 'convert', 'generate', 'fuzz'];
// `import()` of a CommonJS file would have Node look for the names of its exports in all of its text first: `require` does not.
const CLI = {
  ...BUNDLE,
  platform: 'node',
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 160,
  supported: { 'dynamic-import': false },
};

/** CommonJS has no `import.meta`, and who starts threads asks where it lies. */
const OWN_URL = {
  define: { ...CLI.define, 'import.meta.url': 'ownUrl' },
  banner: { js: "const ownUrl = require('node:url').pathToFileURL(__filename).href;" },
};

/** Leaves the files, and the threads' own, in `outdir`. */
export async function buildCli(outdir) {
  const main = `${outdir}/cli.cjs`;
  const exit = keepOut(/^\.\/exit\.ts$/, './exit.cjs');
  const late = readLate(await namesOfLibraries());
  await Promise.all([
    build({
      ...CLI,
      entryPoints: ['src/cli/main.ts'],
      outfile: `${outdir}/main.cjs`,
      plugins: [exit, keepOut(new RegExp(`^\\./(${COMMANDS.join('|')})\\.ts$`), './command.cjs', 'main.ts')],
    }),
    build({
      ...CLI,
      stdin: {
        contents: COMMANDS.map((name) => `export * from './src/cli/${name}.ts';`).join('\n'),
        resolveDir: process.cwd(),
        loader: 'ts',
      },
      outfile: `${outdir}/command-code.cjs`,
      ...OWN_URL,
      plugins: [exit, late],
    }),
    build({
      ...CLI,
      stdin: {
        contents: `
          const { requireCompiled, tuneV8 } = require('./src/cli/compiled.ts');
          module.exports = requireCompiled(__dirname, 'command-code.cjs', require);
          tuneV8();`,
        resolveDir: process.cwd(),
      },
      outfile: `${outdir}/command.cjs`,
    }),
    ...LAZY.map((name) =>
      build({
        ...CLI,
        stdin: { contents: `export * from '${name}';`, resolveDir: process.cwd() },
        outfile: `${outdir}/library/${name}.cjs`,
      }),
    ),
    build({ ...CLI, entryPoints: ['src/cli/exit.ts'], outfile: `${outdir}/exit.cjs` }),
    build({
      ...CLI,
      ...OWN_URL,
      entryPoints: ['src/cli/thread.ts'],
      outfile: `${outdir}/${THREAD}`,
      plugins: [late],
    }),
  ]);
  await build({
    ...CLI,
    entryPoints: ['src/cli/bin.ts'],
    outfile: main,
    banner: { js: '#!/usr/bin/env node' },
    define: { ...CLI.define, 'globalThis.DROPCAST_HELP': JSON.stringify(helpOf(`${outdir}/main.cjs`)) },
    plugins: [exit, keepOut(/^\.\/main\.ts$/, './main.cjs', 'bin.ts')],
  });
  chmodSync(main, 0o755);
}

/** What `--help` prints, which does not depend on the terminal. */
function helpOf(main) {
  const code = `
    const print = (text) => Promise.resolve(process.stdout.write(text) && 'open');
    require(${JSON.stringify(resolve(main))}).run(['--help'], { stdout: { write: print }, stderr: { write: print } });`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
  if (status !== 0 || stdout === '') throw new Error(`the help could not be had: ${stderr}`);
  return stdout;
}

/** Runs commands of the bundles in `outdir` and keeps what V8 has compiled for them; it need not be there. */
export async function keepCompiled(outdir) {
  const file = resolve(outdir, 'command-code.cjs');
  const kept = `${file}.cache`;
  const columns = resolve(outdir, 'columns.bin');
  const cluster = ['-f', 'traces/app1/cluster.yaml', '-f', 'traces/app1/policies', '--fail-on', 'never'];
  const commands = [
    ['convert', 'traces/app1/capture.pcap', '--to', 'binary', '-o', columns],
    ...[columns, 'traces/app1/capture.pcap', 'traces/app1/hubble.jsonl'].map((trace) => ['replay', ...cluster, trace]),
  ];
  const code = `
    const vm = require('node:vm');
    const { Script } = vm;
    let made;
    // What is kept is kept with the flags of its making, and is loaded before the command changes any.
    require('node:v8').setFlagsFromString = () => {};
    vm.Script = function (...values) { return (made = new Script(...values)); };
    const sink = { isTTY: false, write: () => Promise.resolve('open') };
    const io = { stdout: sink, stderr: sink, cwd: process.cwd(), env: {}, onInterrupt: () => () => {} };
    const { run } = require(process.env.MAIN);
    (async () => {
      for (const command of JSON.parse(process.env.COMMANDS))
        if ((await run(command, io)) !== 0) throw new Error(command.join(' '));
      require('node:fs').writeFileSync(process.env.KEPT, made.createCachedData());
      process.exit(0);
    })();`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', code], {
    encoding: 'utf8',
    env: { ...process.env, MAIN: resolve(outdir, 'main.cjs'), COMMANDS: JSON.stringify(commands), KEPT: kept },
  });
  rmSync(columns, { force: true });
  if (status !== 0) throw new Error(`the commands that are run for their code ended with ${status}: ${stderr}`);
  const { sealCompiled } = await importSource('src/cli/compiled.ts');
  writeFileSync(kept, sealCompiled(readFileSync(file), readFileSync(kept)));
}

/** The exports of a file in TypeScript. */
async function importSource(path) {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  return import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
}

/** Imports that match, of files of src/cli (or of one of them), are left to another bundle. */
function keepOut(filter, path, importer = '.ts') {
  return {
    name: 'keep-out',
    setup(bundle) {
      bundle.onResolve({ filter }, (args) =>
        /[\\/]src[\\/]cli[\\/][^\\/]+$/.test(args.importer) && args.importer.endsWith(importer)
          ? { path, external: true }
          : undefined,
      );
    },
  };
}

/** Library -> what it exports. */
async function namesOfLibraries() {
  const names = new Map();
  for (const name of LAZY) names.set(name, Object.keys(await import(name)));
  return names;
}

/** Puts in the place of a library an object that reads its file when one of its exports is asked for. */
function readLate(names) {
  return {
    name: 'read-late',
    setup(bundle) {
      bundle.onResolve({ filter: new RegExp(`^(${LAZY.join('|')})$`) }, ({ path }) => ({ path, namespace: 'late' }));
      bundle.onResolve({ filter: /./, namespace: 'late' }, ({ path }) => ({ path, external: true }));
      bundle.onLoad({ filter: /./, namespace: 'late' }, ({ path }) => ({
        contents: names
          .get(path)
          .map(
            (name) =>
              `Object.defineProperty(exports, '${name}', { enumerable: true, get: () => require('./library/${path}.cjs').${name} });`,
          )
          .join('\n'),
      }));
    },
  };
}
