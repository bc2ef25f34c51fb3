// Compiles the WASM kernel: AssemblyScript in src/**/*.as.ts to src/replay/kernel-code.ts, which is committed. A test compiles it
// again and compares.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileAssembly } from './assembly.mjs';

const ENTRY = 'src/replay/kernel.as.ts';
export const OUTPUT = 'src/replay/kernel-code.ts';

/** The text of the generated module. Throws with the compiler's own messages. */
export function compileKernel() {
  return compileAssembly(
    ENTRY,
    ['--enable', 'simd', '--importMemory', '--memoryBase', '0'],
    'KERNEL_CODE',
    (size) => `/** The WASM kernel, ${size} bytes. Made by \`npm run build:kernel\` from ${ENTRY}; not for editing. */`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await compileKernel();
  writeFileSync(OUTPUT, text);
  console.log(text.split('\n')[0]);
}
