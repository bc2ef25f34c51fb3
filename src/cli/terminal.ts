/** The world as commands see it: streams, environment and interrupts, passed in so that tests can run commands in process. */
import type { ColorMode } from '../report/layout.ts';
import { Refusal } from './exit.ts';
import { systemMessage } from './input.ts';

/** Where text and bytes go. */
export interface Sink {
  readonly isTTY: boolean;
  /**
   * Resolves when more may follow; `closed` once the other end is gone (EPIPE), and then nothing more is written. Rejects with a `Refusal`
   * where the bytes cannot be written for another reason, such as a full disk.
   */
  write(chunk: string | Uint8Array): Promise<'open' | 'closed'>;
}

/** Everything that a command may touch beside the file system. */
export interface Io {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls `handler` on SIGINT; the function that comes back removes it. */
  onInterrupt(handler: () => void): () => void;
}

/** Colour for a sink: https://no-color.org, then FORCE_COLOR, then whether it is a terminal that can. */
export function colorOf(sink: Sink, env: Io['env']): ColorMode {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return 'never';
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0') return 'always';
  return sink.isTTY && env['TERM'] !== 'dumb' ? 'always' : 'never';
}

/** The `Io` of this process. */
export function processIo(): Io {
  return {
    stdout: streamSink(process.stdout, 'stdout'),
    // Nobody is left to be told that nothing can be told.
    stderr: streamSink(process.stderr, undefined),
    get stdin() {
      return process.stdin;
    },
    get cwd() {
      try {
        return process.cwd();
      } catch (error) {
        throw new Refusal(`the current folder: ${systemMessage(error)}`);
      }
    },
    env: process.env,
    onInterrupt(handler) {
      process.once('SIGINT', handler);
      return () => process.removeListener('SIGINT', handler);
    },
  };
}

/** A reader such as `head` may go away at any time; that is no error of ours. */
const GONE: ReadonlySet<string | undefined> = new Set([
  'EPIPE',
  'ECONNRESET',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
]);

/** `name` is what a failure is told under; without one failures are not told. */
function streamSink(stream: NodeJS.WriteStream, name: string | undefined): Sink {
  let state: 'open' | 'closed' = 'open';
  stream.on('error', () => {
    state = 'closed';
  });
  return {
    isTTY: stream.isTTY === true,
    write(chunk) {
      if (state === 'closed') return Promise.resolve(state);
      return new Promise((resolve, reject) => {
        stream.write(chunk, (error) => {
          if (error) state = 'closed';
          if (!error || name === undefined || GONE.has((error as NodeJS.ErrnoException).code)) resolve(state);
          else reject(new Refusal(`${name}: ${systemMessage(error)}`));
        });
      });
    },
  };
}
