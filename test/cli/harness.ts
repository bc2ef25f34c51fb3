/** Runs commands in process, with captured streams and a folder of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../../src/cli/main.ts';
import type { Sink } from '../../src/cli/terminal.ts';

/** What a command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run. */
export interface Setting {
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly env?: Readonly<Record<string, string>>;
  /** Streams that pretend to be terminals. */
  readonly terminals?: readonly ('stdout' | 'stderr')[];
  /** Is given the interrupt handler when the command installs one. */
  readonly onInterrupt?: (handler: () => void) => void;
}

/** A folder with files, a runner in it, and its end. */
export interface Bench {
  readonly folder: string;
  write(path: string, text: string): void;
  run(argv: readonly string[], setting?: Setting): Promise<Outcome>;
  remove(): void;
}

/** Makes a folder with the given files. */
export function createBench(files: Readonly<Record<string, string>>): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'dropcast-cli-'));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  return {
    folder,
    write,
    remove: () => rmSync(folder, { recursive: true, force: true }),
    async run(argv, { stdin, env = {}, terminals = [], onInterrupt } = {}) {
      const stdout = createSink(terminals.includes('stdout') ? 'terminal' : 'pipe');
      const stderr = createSink(terminals.includes('stderr') ? 'terminal' : 'pipe');
      const code = await run(argv, {
        stdout: stdout.sink,
        stderr: stderr.sink,
        stdin: stdin ?? textStream(''),
        cwd: folder,
        env,
        onInterrupt(handler) {
          onInterrupt?.(handler);
          return () => {};
        },
      });
      return { code, stdout: stdout.text(), stderr: stderr.text() };
    },
  };
}

/** A text as a stream of one chunk. */
export async function* textStream(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield new TextEncoder().encode(text);
}

function createSink(kind: 'terminal' | 'pipe'): { sink: Sink; text(): string } {
  const chunks: Buffer[] = [];
  return {
    text: () => Buffer.concat(chunks).toString('utf8'),
    sink: {
      isTTY: kind === 'terminal',
      write(chunk) {
        chunks.push(Buffer.from(chunk as Uint8Array));
        return Promise.resolve('open');
      },
    },
  };
}
