/**
 * How much memory there may be. V8 ends a program that finds no address space in the middle of anything, without a word of ours: who is about
 * to take much of it asks here first, and what fails in a way that can be heard is told in words.
 */
import { readFileSync } from 'node:fs';

/** Bytes of address space that a thread of a replay asks for at its start, with what its heap and its tables may grow to. */
const THREAD_BYTES = 4 * 2 ** 30;

/** How many threads of so many there is address space for, this one among them. */
export function affordThreads(threads: number): number {
  return Math.max(1, Math.min(threads, Math.floor(addressSpaceBytes() / THREAD_BYTES)));
}

/** Did something fail for want of memory, here or in a thread? */
export function isOutOfMemory(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY' || code === 'ERR_WORKER_INIT_FAILED') return true;
  return error instanceof RangeError && error.message === 'Array buffer allocation failed';
}

/** Bytes that `ulimit -v` allows this process; Infinity where it does not say, as anywhere but on Linux. */
function addressSpaceBytes(): number {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return Infinity;
  }
  const soft = /^Max address space {1,30}(\d{1,20})/m.exec(limits)?.[1];
  return soft === undefined ? Infinity : Number(soft);
}
