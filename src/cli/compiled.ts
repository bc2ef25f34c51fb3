/**
 * Code and what V8 has made of it before: the build runs a replay once and keeps the outcome (scripts/cli.mjs). V8 takes it back where its
 * version and flags are the same, so that nothing is parsed again that a replay calls, and compiles anew where they are not: nothing
 * depends on it but the time of a start.
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** The exports of a CommonJS file in ASCII, for a neighbour with its `require`; what V8 made of it lies beside it in `.cache`, if anywhere. */
export function requireCompiled(file: string, require: NodeJS.Require): unknown {
  const head = '(function (exports, require, module, __filename, __dirname) {';
  const code = `${head}${readFileSync(file, 'latin1')}\n})`;
  const cachedData = readCache(`${file}.cache`);
  const script = new Script(code, { filename: file, ...(cachedData && { cachedData }) });
  const module = { exports: {} };
  const run = script.runInThisContext() as (...values: unknown[]) => void;
  run.call(module.exports, module.exports, require, module, file, dirname(file));
  return module.exports;
}

function readCache(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
