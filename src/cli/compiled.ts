/**
 * Code and what V8 has made of it before: the build runs a replay once and keeps the outcome (scripts/cli.mjs), so that nothing is parsed
 * again that a replay calls. V8 itself asks only for its version, its flags and the length of the code, and breaks down over the rest;
 * so a digest stands before what is kept. Where it does not fit, the code is compiled anew: nothing depends on it but the time of a start.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const DIGEST_SIZE = 32;

/**
 * The exports of a CommonJS file in ASCII, for a neighbour in the same folder with its `require`; what V8 made of it lies beside it in
 * `.cache`, if anywhere. V8 keeps the name with that, so the folder, which is of the build, is left out of it.
 */
export function requireCompiled(folder: string, name: string, require: NodeJS.Require): unknown {
  const file = join(folder, name);
  const bytes = readFileSync(file);
  const code = `(function (exports, require, module, __filename, __dirname) {${bytes.toString('latin1')}\n})`;
  const cachedData = readCache(`${file}.cache`, bytes);
  const script = new Script(code, { filename: name, ...(cachedData && { cachedData }) });
  const module = { exports: {} };
  const run = script.runInThisContext() as (...values: unknown[]) => void;
  run.call(module.exports, module.exports, require, module, file, folder);
  return module.exports;
}

/**
 * From now on V8 optimises later and smaller: a replay of a second had as much work done for it by V8's threads as it did itself, most of it for
 * functions that were nearly done, and on two processors the replay waited for them. Only after code is loaded: V8 takes no code that was
 * compiled under other flags.
 */
export function tuneV8(): void {
  for (const flag of flagsOfV8(process.versions.v8)) setFlagsFromString(flag);
}

/** The flags of `tuneV8` for a version of V8. It complains on stderr of a flag that it does not know. */
export function flagsOfV8(version: string): readonly string[] {
  // Node 20 has V8 11; that of Node 22 counts calls in place of bytes, and nobody has measured it.
  if (!version.startsWith('11.')) return [];
  // By default 67,584 bytes of bytecode between two looks at a function, 920 of other functions in one, and room for new objects that doubles.
  return ['--interrupt-budget=135168', '--max-inlined-bytecode-size-cumulative=300', '--semi-space-growth-factor=4'];
}

/** A `.cache` of what V8 made of a file of these bytes. */
export function sealCompiled(code: Uint8Array, compiled: Uint8Array): Buffer {
  return Buffer.concat([digestOf(code, compiled), compiled]);
}

function readCache(file: string, code: Uint8Array): Buffer | undefined {
  try {
    const kept = readFileSync(file);
    const compiled = kept.subarray(DIGEST_SIZE);
    return digestOf(code, compiled).equals(kept.subarray(0, DIGEST_SIZE)) ? compiled : undefined;
  } catch {
    return undefined;
  }
}

/** Code of one Node is no other's, nor that of one processor. */
function digestOf(code: Uint8Array, compiled: Uint8Array): Buffer {
  const { version, platform, arch } = process;
  return createHash('sha256')
    .update(`${version} ${platform} ${arch} ${code.length} `)
    .update(code)
    .update(compiled)
    .digest();
}
