/**
 * Threads of Node.js for a crew. This file is both sides: loaded as a worker it serves a crew, loaded by anyone else it can
 * start one. It is shipped twice, in the bundle of whoever starts and as a bundle of its own that is the worker.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type Answer, createCrew, createHand, type CrewReplay, type Mate, type Order } from './crew.ts';
import type { ReplayOptions } from './replay.ts';

/** Marks the workers that are ours: others may load the same bundle. */
const SERVICE = 'dropcast-replay';

/** Begins a replay on so many threads, this one among them. */
export function replayOnThreads(options: ReplayOptions, threads: number): CrewReplay {
  return createCrew(
    options,
    Array.from({ length: threads - 1 }, () => startThread()),
  );
}

/** The worker's file beside this one; the bundler knows its name in what is shipped. */
const WORKER = (globalThis as { DROPCAST_THREAD?: string }).DROPCAST_THREAD ?? './thread.ts';

function startThread(): Mate {
  const worker = new Worker(new URL(WORKER, import.meta.url), { workerData: SERVICE });
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    post: (message, buffers) => worker.postMessage(message, buffers),
    listen(hear, fail) {
      worker.on('message', (answer: Answer) => hear(answer));
      worker.on('error', fail);
      worker.on('messageerror', fail);
      worker.on('exit', (code) => fail(new Error(`a thread of the replay ended with code ${code}`)));
    },
    dismiss: () => void worker.terminate(),
  };
}

if (!isMainThread && workerData === SERVICE && parentPort !== null) {
  const port = parentPort;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const obey = createHand((answer, buffers) => port.postMessage(answer, buffers));
  port.on('message', (order: Order) => obey(order));
}
