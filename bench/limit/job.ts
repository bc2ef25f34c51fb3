/**
 * A job: what one contender does in one process, pass by pass. What comes out of a pass is written to arrays and hashed outside of the
 * timing, so that no chain of hashes hides how fast the work is.
 */
/** One contender's work on prepared data. */
export interface Job {
  /** Elements of one pass. */
  readonly count: number;
  /** Does the work of one pass; timed. */
  run(pass: number): void | Promise<void>;
  /** After a pass, untimed: what it takes to tell what came out. */
  readonly settle?: () => Promise<void>;
  /** Seconds that the last pass would have taken beyond what it did: slow contenders do a part and scale it. */
  readonly extraSeconds?: number;
  /** Goes on with a hash over everything that the last pass gave; absent where a contender does less than all. */
  readonly digest?: (hash: number) => number;
  /** After the first pass: a hash of what every contender of the row can tell, over its first elements. */
  readonly first: () => number;
  /** Size of the tables, where that is part of the comparison. */
  readonly bytes?: () => number;
}

/**
 * What passes are timed by. `processor`: the time that this process had on processors, so that waiting for the turn of other work on a
 * busy machine is not part of it; for loops on one thread. `wall`: what a user waits for.
 */
export type Clock = 'processor' | 'wall';

/** What a process is told beside the folder of its data. */
export interface JobOptions {
  readonly passes: number;
  /** Elements that `first` covers; slow contenders do no more than these. */
  readonly sample: number;
  /** The row's own numbers: live connections, ... */
  readonly values: Readonly<Record<string, number>>;
}

/** Begins a job on the data of a folder; untimed. */
export type OpenJob = (folder: string, options: JobOptions) => Job | Promise<Job>;

/** What a process prints: one line of JSON. The references in C print the same. */
export interface JobResult {
  readonly count: number;
  /** Of each pass. */
  readonly seconds: readonly number[];
  readonly all?: string;
  readonly first: string;
  readonly bytes?: number;
}

/** Where hashes begin: FNV-1a over 32-bit words. */
export const HASH_START = 0x811c9dc5;

/** One step of the hash. */
export function mixHash(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193);
}

/** The hash of words. */
export function hashWords(hash: number, words: Int32Array | Uint32Array | Uint8Array, count: number): number {
  let mixed = hash;
  for (let index = 0; index < count; index++) mixed = mixHash(mixed, words[index]!);
  return mixed;
}

/** Runs a job to its end. */
export async function runJob(job: Job, passes: number, clock: Clock): Promise<JobResult> {
  const seconds: number[] = [];
  let all = HASH_START;
  let first = 0;
  for (let pass = 0; pass < passes; pass++) {
    const began = readSeconds(clock);
    const running = job.run(pass);
    if (running !== undefined) await running;
    seconds.push(readSeconds(clock) - began + (job.extraSeconds ?? 0));
    await job.settle?.();
    if (pass === 0) first = job.first();
    if (job.digest !== undefined) all = job.digest(all);
  }
  return {
    count: job.count,
    seconds,
    ...(job.digest !== undefined && { all: hex(all) }),
    first: hex(first),
    ...(job.bytes !== undefined && { bytes: job.bytes() }),
  };
}

function readSeconds(clock: Clock): number {
  if (clock === 'wall') return Number(process.hrtime.bigint()) / 1e9;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function hex(hash: number): string {
  return (hash >>> 0).toString(16).padStart(8, '0');
}
