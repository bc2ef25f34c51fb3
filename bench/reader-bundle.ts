/** The readers as one module, bundled as they are shipped; or their source, for a quick check that a benchmark still works. */
import { build } from 'esbuild';

/** What benchmarks of readers use. */
export interface Readers {
  readonly readTrace: typeof import('../src/trace/read.ts').readTrace;
  readonly createAccount: typeof import('../src/trace/account.ts').createAccount;
  readonly isBalanced: typeof import('../src/trace/account.ts').isBalanced;
  readonly createDictionary: typeof import('../src/model/flow.ts').createDictionary;
  readonly createWriter: typeof import('../src/trace/write.ts').createWriter;
}

const MODULES = ['../src/trace/read.ts', '../src/trace/account.ts', '../src/model/flow.ts', '../src/trace/write.ts'];

/** Leaves the bundle in bench/out. */
export async function bundleReaders(): Promise<void> {
  await build({
    stdin: {
      contents: MODULES.map((path) => `export * from '${path}';`).join('\n'),
      resolveDir: import.meta.dirname,
    },
    outfile: 'bench/out/reader.mjs',
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    define: { 'globalThis.DROPCAST_VERIFY': 'false' },
  });
}

/** The bundle that `bundleReaders` left, or the source. */
export async function loadReaders(from: 'bundle' | 'source'): Promise<Readers> {
  if (from === 'bundle') return (await import(new URL('out/reader.mjs', import.meta.url).href)) as Readers;
  return Object.assign({}, ...(await Promise.all(MODULES.map((path) => import(path) as Promise<object>)))) as Readers;
}
