/**
 * Bundles the tests of a room with the sources that Stryker has instrumented, in the sandbox: one script an entry, which runner.mjs
 * evaluates anew for each mutant. `node test/mutation/bundle.mjs ROOM`
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ROOMS } from './room.mjs';

const { build } = createRequire(`${process.cwd()}/package.json`)('esbuild');
const { entries } = ROOMS[process.argv[2]];
// As deep below the root as a test is, so that what tests find from import.meta.url is found.
const folder = 'test/mutant';
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const tests = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'));
for (const [index, patterns] of entries.entries()) {
  const files = patterns.flatMap((pattern) => tests.filter((file) => matches(pattern, file)).sort());
  if (files.length === 0) continue;
  await build({
    stdin: { contents: files.map((file) => `import '../${file}';`).join('\n'), resolveDir: folder, loader: 'ts' },
    outfile: `${folder}/${index}.cjs`,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: [
      'fast-check',
      'yaml',
      'ipaddr.js',
      'ip-num',
      'fzstd',
      'hyparquet',
      'ajv',
      'commander',
      'esbuild',
      'assemblyscript',
      'assemblyscript/*',
    ],
    alias: { 'node:test': `${process.cwd()}/test/mutation/node-test.mjs` },
    define: { 'import.meta.url': '__url', 'import.meta.resolve': '__resolve' },
    logLevel: 'error',
  });
}

function matches(pattern, file) {
  const [before, after] = pattern.split('*');
  if (after === undefined) return file === pattern;
  return file.startsWith(before) && file.endsWith(after) && file.length >= before.length + after.length;
}
