// Compiles the WASM kernel: AssemblyScript in src/**/*.as.ts to src/replay/kernel-code.ts, which is committed. With `--check` it writes
// nothing, and fails where the source gives something else: a test asks.
import { readFileSync, writeFileSync } from 'node:fs';
import { compileAssembly } from './assembly.mjs';

const ENTRY = 'src/replay/kernel.as.ts';
const OUTPUT = 'src/replay/kernel-code.ts';

const text = await compileAssembly(
  ENTRY,
  ['--enable', 'simd', '--importMemory', '--memoryBase', '0'],
  'KERNEL_CODE',
  (size) => `/** The WASM kernel, ${size} bytes. Made by \`npm run build:kernel\` from ${ENTRY}; not for editing. */`,
);
if (!process.argv.includes('--check')) {
  writeFileSync(OUTPUT, text);
  console.log(text.split('\n')[0]);
} else if (text !== readFileSync(OUTPUT, 'utf8')) {
  throw new Error(`${OUTPUT} is not what its source gives: run \`npm run build:kernel\``);
}
