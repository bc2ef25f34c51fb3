/**
 * Bundles tests, and programs that tests start, from TypeScript: the engine then runs as it does in what is shipped, and no loader goes
 * through hundreds of files. Packages and scripts stay outside and are loaded by Node. Each file still finds its neighbours from
 * `import.meta.url`, and stacks name the sources where Node runs with `--enable-source-maps`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Conditions of the doors in package.json that Node was started with: with `built` they lead to the shipped bundles. */
const CONDITIONS = process.execArgv.flatMap((flag) => /^--conditions=(.+)$/.exec(flag)?.[1] ?? []);

export async function bundlePrograms(...programs) {
  // Inside of the project, where packages and its own doors are found.
  mkdirSync(join(ROOT, 'reports'), { recursive: true });
  const outdir = mkdtempSync(join(ROOT, 'reports/test-'));
  process.on('exit', () => rmSync(outdir, { recursive: true, force: true }));
  const entries = programs.map((files, index) => {
    const entry = join(outdir, `${index}.ts`);
    writeFileSync(entry, files.map((file) => `import ${JSON.stringify(file)};\n`).join(''));
    return entry;
  });
  await build({
    entryPoints: entries,
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    conditions: CONDITIONS,
    packages: 'external',
    external: CONDITIONS.includes('built') ? ['#*'] : [],
    sourcemap: true,
    sourcesContent: false,
    define: { 'import.meta.url': 'ownUrl', 'import.meta.dirname': 'ownFolder' },
    plugins: [KEEP_PLACE, KEEP_SCRIPTS_OUT],
    logLevel: 'warning',
  });
  return entries.map((entry) => entry.replace(/ts$/, 'mjs'));
}

const KEEP_PLACE = {
  name: 'keep-place',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      if (!text.includes('import.meta.')) return undefined;
      const [url, folder] = [pathToFileURL(path).href, dirname(path)].map((place) => JSON.stringify(place));
      // On the first line: the others keep their numbers.
      return { loader: 'ts', contents: `const ownUrl = ${url}, ownFolder = ${folder}; ${text}` };
    });
  },
};

const KEEP_SCRIPTS_OUT = {
  name: 'keep-scripts-out',
  setup({ onResolve }) {
    onResolve({ filter: /^\..*\.mjs$/ }, ({ path, resolveDir }) => ({
      path: pathToFileURL(resolve(resolveDir, path)).href,
      external: true,
    }));
  },
};
