// Compiles the WASM kernel: AssemblyScript in src/**/*.as.ts, which sees of other files their enums alone, to
// src/replay/kernel-code.ts, which is committed so that the source runs without a build. A test compiles it again and compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const ENTRY = 'src/replay/kernel.as.ts';
export const OUTPUT = 'src/replay/kernel-code.ts';

/** The text of the generated module. Throws with the compiler's own messages. */
export async function compileKernel() {
  let binary;
  const messages = [];
  const { error } = await main(
    [
      ENTRY,
      '--outFile',
      'kernel.wasm',
      '-O3',
      '--converge',
      '--noAssert',
      '--runtime',
      'stub',
      '--importMemory',
      '--memoryBase',
      '0',
      '--use',
      'abort=',
    ],
    {
      readFile: readSource,
      writeFile: (_, contents) => void (binary = contents),
      listFiles: () => [],
      stdout: { write: (text) => messages.push(String(text)) },
      stderr: { write: (text) => messages.push(String(text)) },
    },
  );
  if (error !== null || binary === undefined) throw new Error(messages.join('') || String(error));
  const lines = Buffer.from(binary)
    .toString('base64')
    .match(/.{1,110}/g);
  return `/** The WASM kernel, ${binary.length} bytes. Made by \`npm run build:kernel\` from ${ENTRY}; not for editing. */
export const KERNEL_CODE: string = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
}

/** The compiler adds an extension of its own, and knows nothing of what is not AssemblyScript. */
function readSource(name) {
  const path = name.replace(/\.ts\.ts$/, '.ts');
  if (!path.startsWith('src/') || name.endsWith('.ts/index.ts')) return null;
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  if (path.endsWith('.as.ts')) return text;
  return (text.match(/^export const enum [^}]*\}/gm) ?? []).join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await compileKernel();
  writeFileSync(OUTPUT, text);
  console.log(text.split('\n')[0]);
}
