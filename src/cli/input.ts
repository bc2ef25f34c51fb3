/** Manifest files from the command line: paths, folders and stdin become texts, in a stable order. */
import { readFileSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { ManifestFile } from '../manifest/load.ts';
import { Refusal } from './exit.ts';
import type { Io } from './terminal.ts';

/** What folders are searched for. */
const MANIFEST_ENDINGS = ['.yaml', '.yml', '.json'];

/**
 * Reads every `-f`: each is one group, `firstGroup` the number of the first. A folder gives its manifests, recursively and
 * sorted by path. All unreadable paths are named before the command gives up.
 */
export async function readManifests(
  paths: readonly string[],
  io: Io,
  options: { readonly firstGroup?: number; readonly take?: 'all' | 'policies' } = {},
): Promise<ManifestFile[]> {
  if (paths.filter((path) => path === '-').length > 1) throw new Refusal('stdin (-) can be read once');
  const files: ManifestFile[] = [];
  const problems: string[] = [];
  for (const [index, path] of paths.entries()) {
    const group = (options.firstGroup ?? 0) + index;
    const add = (name: string, text: string): void => {
      if (isBinary(text))
        problems.push(`${name}: is binary, not YAML or JSON; -f is for manifests, traces have no option`);
      else files.push({ path: name, text, group, ...(options.take === undefined ? {} : { take: options.take }) });
    };
    const attempt = <T>(name: string, read: () => T): T | undefined => {
      try {
        return read();
      } catch (error) {
        problems.push(`${name}: ${systemMessage(error)} [unreadable-file]`);
        return undefined;
      }
    };
    if (path === '-') {
      const text = await readStdin(io);
      // What a pipe was to bring did not come: without it, a gate would pass.
      if (text.trim() === '') problems.push('-: stdin is empty: no manifests came');
      else add('-', text);
      continue;
    }
    const found = attempt(path, () => listManifests(path, io.cwd, new Set()));
    if (found?.length === 0) problems.push(`${path}: the folder holds no ${MANIFEST_ENDINGS.join(', ')} files`);
    for (const name of found ?? []) {
      const text = attempt(name, () => decodeText(readFileSync(resolve(io.cwd, name))));
      if (text !== undefined) add(name, text);
    }
  }
  if (problems.length > 0) throw new Refusal(problems.join('\n'));
  return files;
}

/** One text file, named in the refusal where it cannot be read; `-` is stdin. */
export async function readText(path: string, io: Io): Promise<string> {
  let text: string;
  try {
    text = path === '-' ? await readStdin(io) : decodeText(readFileSync(resolve(io.cwd, path)));
  } catch (error) {
    throw new Refusal(`${path}: ${systemMessage(error)} [unreadable-file]`);
  }
  if (isBinary(text)) throw new Refusal(`${path}: is binary, not text`);
  return text;
}

/** Runs a call to the system; where that fails, throws `Refusal` with the path as it was given. */
export function refuseSystem<T>(shown: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new Refusal(`${shown}: ${systemMessage(error)}`);
  }
}

/** A system error in words; others as they are. */
export function systemMessage(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return 'no such file or folder';
    case 'EACCES':
      return 'permission denied';
    case 'EISDIR':
      return 'is a folder';
    default:
      return getSystemErrorMap().get(errno ?? 0)?.[1] ?? message;
  }
}

/** UTF-8, or UTF-16 where a byte order mark says so: PowerShell's `>` writes it. */
function decodeText(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  return bytes.toString('utf8');
}

/** As git tells it: a NUL near the beginning. */
function isBinary(text: string): boolean {
  return text.slice(0, 8000).includes('\0');
}

function listManifests(path: string, cwd: string, seen: Set<string>): string[] {
  const full = resolve(cwd, path);
  if (!statSync(full).isDirectory()) return [path];
  const real = realpathSync(full);
  if (seen.has(real)) return [];
  seen.add(real);
  return readdirSync(full)
    .sort()
    .flatMap((name) => {
      const child = join(path, name);
      const isFolder = statSync(resolve(cwd, child), { throwIfNoEntry: false })?.isDirectory() === true;
      if (isFolder) return listManifests(child, cwd, seen);
      return MANIFEST_ENDINGS.some((ending) => name.toLowerCase().endsWith(ending)) ? [child] : [];
    });
}

async function readStdin(io: Io): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of io.stdin) chunks.push(chunk);
  return decodeText(Buffer.concat(chunks));
}
