/**
 * The byte law's own thread: tries every reader with damaged inputs for its share of time, and writes each input into shared
 * memory before it is read, so that whoever waits for the thread can say what it hangs on.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { createBelow, mutate } from './mutation.ts';
import { createReaders, seedless } from './reader.ts';

/** What the thread is told. */
export interface ByteTask {
  readonly seed: number;
  /** Milliseconds for each reader. */
  readonly budgetMs: number;
  /** Inputs that each reader is tried with, whatever the time. */
  readonly inputsMin: number;
  /** Inputs that once broke a reader; every reader gets them first. */
  readonly fixtures: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  /** `State` words, then the input. */
  readonly shared: SharedArrayBuffer;
}

/** Words at the front of the shared memory. */
export const enum State {
  Reader = 0,
  /** Grows by one with each input. */
  Count = 1,
  Length = 2,
  Size = 4,
}

/** What was tried with one reader. */
export interface ByteReport {
  readonly reader: string;
  readonly inputs: number;
  readonly bytes: number;
  readonly slowestMs: number;
  readonly failures: readonly { readonly error: string; readonly input: Uint8Array }[];
}

/** The last message: readers without seeds. */
export interface ByteEnd {
  readonly seedless: readonly string[];
}

const FAILURES_MAX = 3;

if (parentPort !== null) await run(parentPort, workerData as ByteTask);

async function run(port: MessagePort, task: ByteTask): Promise<void> {
  const { seed, budgetMs, inputsMin, fixtures, shared } = task;
  const state = new Uint32Array(shared, 0, State.Size);
  const room = new Uint8Array(shared, State.Size * 4);
  const readers = await createReaders();
  for (const [index, reader] of readers.entries()) {
    const below = createBelow(seed + index * 7919);
    const failures: { error: string; input: Uint8Array }[] = [];
    let [inputs, bytes, slowestMs] = [0, 0, 0];
    state[State.Reader] = index;
    const attempt = async (input: Uint8Array): Promise<void> => {
      room.set(input.subarray(0, room.length));
      state[State.Length] = input.length;
      state[State.Count]!++;
      const started = performance.now();
      inputs++;
      bytes += input.length;
      try {
        await reader.read(input, below);
      } catch (error) {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        failures.push({ error: text, input });
      }
      slowestMs = Math.max(slowestMs, performance.now() - started);
    };
    for (const fixture of fixtures) await attempt(fixture.bytes);
    for (const input of reader.seeds) await attempt(input);
    const end = performance.now() + budgetMs;
    for (let left = inputsMin; left > 0 || performance.now() < end; left--) {
      if (failures.length >= FAILURES_MAX) break;
      await attempt(mutate(below, reader.seeds));
    }
    port.postMessage({ reader: reader.name, inputs, bytes, slowestMs, failures } satisfies ByteReport);
  }
  port.postMessage({ seedless: seedless(readers) } satisfies ByteEnd);
}
