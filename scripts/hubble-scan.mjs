// Compiles the WASM tokenizer of Hubble records: src/trace/hubble-scan.as.ts (AssemblyScript) to src/trace/hubble-scan-code.ts,
// which is committed so that the source runs without a build. `npm run build` compiles it again and refuses what differs; a test
// looks at the hash of the source.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const ENTRY = 'src/trace/hubble-scan.as.ts';
const OUTPUT = 'src/trace/hubble-scan-code.ts';

/** The text of the generated module. Throws with the compiler's own messages. */
export async function compileHubbleScan() {
  let binary;
  const messages = [];
  const { error } = await main(
    [
      ENTRY,
      '--outFile',
      'scan.wasm',
      '-O3',
      '--converge',
      '--noAssert',
      '--runtime',
      'stub',
      '--enable',
      'simd',
    ].concat(['--initialMemory', '168', '--use', 'abort=']),
    {
      readFile: (name) => (name.replace(/\.ts\.ts$/, '.ts') === ENTRY ? readFileSync(ENTRY, 'utf8') : null),
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
  return `/**
 * The WASM tokenizer, ${binary.length} bytes. Made by \`npm run build:kernel\` from ${ENTRY}; not for editing.
 * Source: ${createHash('sha256').update(readFileSync(ENTRY)).digest('hex')}
 */
export const HUBBLE_SCAN_CODE: string = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
}

/** Throws where the committed module is not what the source gives. */
export async function checkHubbleScan() {
  if (readFileSync(OUTPUT, 'utf8') !== (await compileHubbleScan()))
    throw new Error(`${OUTPUT} is not what ${ENTRY} gives: run \`npm run build:kernel\``);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await compileHubbleScan();
  writeFileSync(OUTPUT, text);
  console.log(text.split('\n')[1]);
}
