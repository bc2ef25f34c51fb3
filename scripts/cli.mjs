// The command line as three bundles, so that `dropcast --version` and `--help` read only the first: cli.cjs parses argv, command.cjs holds
// what the commands need (nine tenths of the code), and exit.cjs what both must share, because one class is recognised across them.
import { chmodSync } from 'node:fs';
import { build } from 'esbuild';
import { BUNDLE, THREAD } from './bundle.mjs';

const COMMANDS = ['replay', 'explain', 'test', 'check', 'convert', 'generate', 'fuzz'];
// `import()` of a CommonJS file would have Node look for the names of its exports in all of its text first: `require` does not.
const CLI = {
  ...BUNDLE,
  platform: 'node',
  format: 'cjs',
  minifySyntax: true,
  supported: { 'dynamic-import': false },
};

/** CommonJS has no `import.meta`, and who starts threads asks where it lies. */
const OWN_URL = {
  define: { ...CLI.define, 'import.meta.url': 'ownUrl' },
  banner: { js: "const ownUrl = require('node:url').pathToFileURL(__filename).href;" },
};

/** Leaves the three files, and the threads' own, in `outdir`. */
export async function buildCli(outdir) {
  const main = `${outdir}/cli.cjs`;
  await Promise.all([
    build({
      ...CLI,
      entryPoints: ['src/cli/bin.ts'],
      outfile: main,
      banner: { js: '#!/usr/bin/env node' },
      plugins: [
        keepOut(/^\.\/exit\.ts$/, './exit.cjs'),
        keepOut(new RegExp(`^\\./(${COMMANDS.join('|')})\\.ts$`), './command.cjs', 'main.ts'),
      ],
    }),
    build({
      ...CLI,
      stdin: {
        contents: COMMANDS.map((name) => `export * from './src/cli/${name}.ts';`).join('\n'),
        resolveDir: process.cwd(),
        loader: 'ts',
      },
      outfile: `${outdir}/command.cjs`,
      ...OWN_URL,
      plugins: [keepOut(/^\.\/exit\.ts$/, './exit.cjs')],
    }),
    build({ ...CLI, entryPoints: ['src/cli/exit.ts'], outfile: `${outdir}/exit.cjs` }),
    build({ ...CLI, ...OWN_URL, entryPoints: ['src/cli/thread.ts'], outfile: `${outdir}/${THREAD}` }),
  ]);
  chmodSync(main, 0o755);
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
