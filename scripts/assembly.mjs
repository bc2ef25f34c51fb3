// Compiles AssemblyScript to the text of a module that holds the WASM as base64: such modules are committed, so that the source
// runs without a build. Of files that are not AssemblyScript the compiler sees the enums alone.
import { readFileSync } from 'node:fs';
import { main } from 'assemblyscript/asc';

/** The text of the module that exports `name`, a comment of what it is before it. Throws with the compiler's own messages. */
export async function compileAssembly(entry, options, name, describe) {
  let binary;
  const messages = [];
  const common = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--use', 'abort='];
  const { error } = await main([entry, '--outFile', 'module.wasm', ...common, ...options], {
    readFile: readSource,
    writeFile: (_, contents) => void (binary = contents),
    listFiles: () => [],
    stdout: { write: (text) => messages.push(String(text)) },
    stderr: { write: (text) => messages.push(String(text)) },
  });
  if (error !== null || binary === undefined) throw new Error(messages.join('') || String(error));
  const lines = Buffer.from(binary)
    .toString('base64')
    .match(/.{1,110}/g);
  return `${describe(binary.length)}
export const ${name}: string = [
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
