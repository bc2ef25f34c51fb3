// Builds what is shipped: the library, the browser's door and the CLI as esbuild bundles, and the type declarations.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { build } from 'esbuild';
import { BUNDLE } from './bundle.mjs';
import { buildCli, keepCompiled } from './cli.mjs';
import { checkScans } from './scan.mjs';

await checkScans();
rmSync('dist', { recursive: true, force: true });
mkdirSync('dist', { recursive: true });
await Promise.all([
  build({
    ...BUNDLE,
    entryPoints: ['src/index.ts'],
    outfile: 'dist/index.js',
    platform: 'node',
    format: 'esm',
    banner: { js: requireBanner() },
  }),
  build({ ...BUNDLE, entryPoints: ['src/engine.ts'], outfile: 'dist/engine.js', platform: 'neutral', format: 'esm' }),
  buildCli('dist'),
]);
await keepCompiled('dist');
writeNotices();
emitTypes();

// CommonJS packages inside an ESM bundle ask for `require`.
function requireBanner() {
  return "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";
}

// The bundles hold other people's code: their licences travel with them.
function writeNotices() {
  const texts = ['yaml', 'ipaddr.js', 'ip-num', 'commander', 'fzstd', 'hyparquet', 'fast-check'].flatMap((name) => {
    const folder = `node_modules/${name}`;
    const file = ['LICENSE', 'LICENSE.md', 'LICENCE', 'license']
      .map((leaf) => `${folder}/${leaf}`)
      .find((path) => existsSync(path));
    if (file === undefined) throw new Error(`${name} has no licence file to ship`);
    const manifest = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    return [`${name} ${manifest.version}\n${'-'.repeat(40)}\n${readFileSync(file, 'utf8').trim()}\n`];
  });
  writeFileSync('dist/THIRD-PARTY-LICENSES.txt', texts.join('\n\n'));
}

function emitTypes() {
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  // Declarations name their neighbours by .ts, which packages cannot resolve; and the enums of the hot path, which are
  // inlined here, are ordinary objects to whoever imports the bundle.
  for (const file of readdirSync('dist/types', { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.d.ts')) continue;
    const path = `dist/types/${file}`;
    const text = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      text.replaceAll(/(['"])(\.[^'"]*)\.ts\1/g, '$1$2.js$1').replaceAll('declare const enum', 'declare enum'),
    );
  }
}
