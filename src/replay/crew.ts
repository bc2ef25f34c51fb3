/**
 * A crew: a replay on several threads. The reader's thread hands all rows to all of them, with what only the order of all rows tells
 * (ticks, numbers); each takes those of its buckets, the reader's thread too where reading leaves it time; and at the end the parts are put
 * together. How threads are had is the caller's; to a worker everything is a message.
 */
import type { Dialect } from '../model/dialect.ts';
import type { AddressTable, Dictionary, EndpointFact, FlowBatch } from '../model/flow.ts';
import { createDictionary } from '../model/flow.ts';
import type { PolicyTrace } from '../model/recorded-policy.ts';
import { programFrom, type ProgramSource } from '../compile/program.ts';
import type { TraceAccount } from '../trace/account.ts';
import { Clock } from '../track/clock.ts';
import { appendRows, clearLane, createLane, isWhole, type Lane, viewLane } from './lane.ts';
import { mergeParts, type Part } from './part.ts';
import { createPartReplay, type PartReplay, type ReplayOptions } from './replay.ts';
import type { ReplayMode, ReplayResult } from './result.ts';
import { type Buckets, type Share, shareBuckets } from './share.ts';

/** The other end of a thread. */
export interface Mate {
  /** `buffers` are handed over. */
  post(message: Order, buffers: readonly ArrayBuffer[]): void;
  /** Called with everything that the thread says. */
  listen(hear: (message: Answer) => void, fail: (error: unknown) => void): void;
  /** Ends the thread. */
  dismiss(): void;
}

/** What a thread is told. */
export type Order =
  | {
      readonly kind: 'begin';
      readonly buffers: readonly ArrayBufferLike[];
      /** Of the candidate, and of the baseline where there is one. */
      readonly sources: readonly ProgramSource[];
      readonly dialect: Dialect;
      readonly mode: ReplayMode;
      readonly invalid: 'count' | 'drop';
      readonly kernel: 'plain' | 'wasm' | undefined;
    }
  | {
      readonly kind: 'rows';
      readonly lane: number;
      readonly buffer: ArrayBuffer;
      readonly runs: readonly Run[];
      readonly buckets: Buckets;
      readonly news: News;
    }
  | { readonly kind: 'end' };

/** Rows of a lane that follow one another while the clock is not set back: see `Share`. */
type Run = Pick<Share, 'from' | 'to' | 'setBack' | 'order'>;

/** What a thread says. */
export type Answer =
  | { readonly kind: 'done'; readonly lane: number; readonly buffer: ArrayBuffer }
  | { readonly kind: 'part'; readonly part: Part };

/** What the readers have learnt since the last rows: additions to the dictionary, and files. */
export interface News {
  /** Four words an address. */
  readonly addresses: Uint32Array;
  readonly endpoints: readonly EndpointFact[];
  readonly policyTraces: readonly PolicyTrace[];
  readonly files: readonly string[];
}

/** A replay whose rows are taken in by several threads. */
export interface CrewReplay {
  /**
   * A batch for a reader to fill, one at a time, and to give to `add` whole: its rows are not copied. Whoever fills it asks again for the
   * next one.
   */
  nextBatch(): FlowBatch;
  /** As `Replay.add`; waits while all lanes are in use. */
  add(batch: FlowBatch, account: TraceAccount, from?: number, to?: number): Promise<void>;
  finish(accounts: readonly TraceAccount[]): Promise<ReplayResult>;
  /** Ends the threads, finished or not. */
  dismiss(): void;
}

/** Rows of a lane: enough that a message for each costs nothing. */
const LANE_ROWS = 16_384;

/** What reading a row costs beside replaying it, by format; every other one costs more than replay. */
const READING: Readonly<Record<string, number>> = { binary: 0.4 };

/** Begins a replay on as many threads as there are mates, and this one. A limit of the connection table is not for crews. */
export function createCrew(options: ReplayOptions, mates: readonly Mate[]): CrewReplay {
  return new Crew(options, mates);
}

class Crew implements CrewReplay {
  private readonly options: ReplayOptions;
  private readonly mates: readonly Mate[];
  private readonly lanes: Lane[];
  /** [lanes] what mates are to take of a lane that is under way; undefined: it is here. */
  private readonly tasks: ({ readonly runs: readonly Run[]; mate: number } | undefined)[];
  private readonly clock = new Clock();
  private readonly files: string[] = [];
  private readonly parts: Part[] = [];
  /** What this thread takes itself. */
  private readonly own: PartReplay;
  /** Of each thread, this one first; settled by the first file. */
  private buckets: readonly Buckets[] = [];
  /** Numbers of the lane that a reader fills, and of the one that rows are copied into; -1 = none. */
  private lent = -1;
  private filled = -1;
  /** Rows handed out. */
  private order = 0;
  private setBack = 0;
  /** Of each mate. */
  private readonly told: { addresses: number; endpoints: number; policyTraces: number; files: number }[];
  private wake: (() => void) | undefined;
  private failure: { readonly error: unknown } | undefined;

  constructor(options: ReplayOptions, mates: readonly Mate[]) {
    this.options = options;
    this.mates = mates;
    this.lanes = Array.from({ length: mates.length + 3 }, () => createLane(LANE_ROWS));
    this.tasks = this.lanes.map(() => undefined);
    this.told = mates.map(() => ({ addresses: 0, endpoints: 1, policyTraces: 1, files: 0 }));
    const programs = [options.program, ...(options.baseline === undefined ? [] : [options.baseline])];
    this.own = createPartReplay(options);
    mates.forEach((mate) => {
      mate.listen(
        (answer) => this.hear(answer),
        (error) => {
          this.failure ??= { error };
          this.wake?.();
        },
      );
      const begin: Order = {
        kind: 'begin',
        buffers: programs.map(({ buffer }) => buffer),
        sources: programs.map(({ source }) => source),
        dialect: options.program.source.dialect,
        mode: options.mode,
        invalid: options.invalid,
        kernel: options.kernel,
      };
      mate.post(begin, []);
    });
  }

  nextBatch(): FlowBatch {
    if (this.lent < 0) this.lent = this.findFree();
    return this.lanes[this.lent]!.batch;
  }

  async add(batch: FlowBatch, account: TraceAccount, from = 0, to: number = batch.count): Promise<void> {
    if (this.buckets.length === 0) this.buckets = shareBuckets(this.mates.length + 1, READING[account.format] ?? 1);
    const file = this.fileOf(account.file);
    const lent = this.lanes[this.lent];
    if (lent?.batch === batch && isWhole(lent) && from === 0 && to === batch.count) {
      this.flush();
      lent.files.fill(file, 0, to);
      this.spread(this.lent, to);
      this.lent = await this.waitForFree();
      return;
    }
    for (let row = from; row < to;) {
      if (this.filled < 0) this.filled = await this.waitForFree();
      const lane = this.lanes[this.filled]!;
      const { count } = lane.batch;
      const next = Math.min(to, row + LANE_ROWS - count);
      appendRows(lane, batch, row, next);
      lane.files.fill(file, count, lane.batch.count);
      row = next;
      if (lane.batch.count === LANE_ROWS) this.flush();
    }
  }

  async finish(accounts: readonly TraceAccount[]): Promise<ReplayResult> {
    this.flush();
    await this.until(() => this.tasks.every((task) => task === undefined));
    for (const mate of this.mates) mate.post({ kind: 'end' }, []);
    await this.until(() => this.parts.length === this.mates.length);
    return mergeParts([this.own.part(), ...this.parts], this.options, accounts);
  }

  dismiss(): void {
    for (const mate of this.mates) mate.dismiss();
  }

  /** Hands out what has been copied so far. */
  private flush(): void {
    if (this.filled < 0) return;
    this.spread(this.filled, this.lanes[this.filled]!.batch.count);
    this.filled = -1;
  }

  /** Gives a lane's rows their ticks, takes this thread's, and hands the lane on. */
  private spread(number: number, count: number): void {
    if (count === 0) return;
    const { clock } = this;
    const { batch, ticks, files } = this.lanes[number]!;
    const { timeUs } = batch;
    const runs: Run[] = [];
    const { order } = this;
    let from = 0;
    const addRun = (to: number): void => {
      if (to > from) runs.push({ from, to, setBack: this.setBack, order });
      this.setBack = clock.setBack;
      from = to;
    };
    for (let row = 0; row < count; row++) {
      ticks[row] = clock.advance(timeUs[row]!);
      if (clock.setBack !== this.setBack) addRun(row);
    }
    addRun(count);
    this.order += count;
    const buckets = this.buckets[0]!;
    if (buckets.end > buckets.first)
      for (const run of runs)
        this.own.addShare(batch, { ...run, buckets, ticks }, (row) => ({ file: this.files[files[row]!]! }));
    this.tasks[number] = { runs, mate: 0 };
    this.pass(number);
  }

  /** Hands a lane to the next mate, if any. */
  private pass(lane: number): void {
    const task = this.tasks[lane]!;
    const mate = task.mate++;
    if (mate === this.mates.length) {
      this.tasks[lane] = undefined;
      return;
    }
    const { buffer } = this.lanes[lane]!;
    const { runs } = task;
    const order: Order = { kind: 'rows', lane, buffer, runs, buckets: this.buckets[mate + 1]!, news: this.tell(mate) };
    this.mates[mate]!.post(order, [buffer]);
  }

  private async waitForFree(): Promise<number> {
    await this.until(() => this.findFree() >= 0);
    const free = this.findFree();
    clearLane(this.lanes[free]!);
    return free;
  }

  /** A lane that nobody has; -1 = none. */
  private findFree(): number {
    return this.tasks.findIndex((task, lane) => task === undefined && lane !== this.lent && lane !== this.filled);
  }

  /** What a mate has not been told. */
  private tell(mate: number): News {
    const { dictionary } = this.options;
    const { files } = this;
    const told = this.told[mate]!;
    const { addresses, endpoints, policyTraces } = dictionary;
    const news: News = {
      addresses: addresses.words.slice(told.addresses * 4, addresses.count * 4),
      endpoints: endpoints.slice(told.endpoints),
      policyTraces: policyTraces.slice(told.policyTraces),
      files: files.slice(told.files),
    };
    this.told[mate] = {
      addresses: addresses.count,
      endpoints: endpoints.length,
      policyTraces: policyTraces.length,
      files: files.length,
    };
    return news;
  }

  private hear(answer: Answer): void {
    if (answer.kind === 'part') this.parts.push(answer.part);
    else {
      this.lanes[answer.lane] = viewLane(answer.buffer, LANE_ROWS);
      this.pass(answer.lane);
    }
    this.wake?.();
  }

  private async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.failure !== undefined) throw this.failure.error;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    this.wake = undefined;
  }

  private fileOf(file: string): number {
    const known = this.files.lastIndexOf(file);
    return known >= 0 ? known : this.files.push(file) - 1;
  }
}

/** A thread's side: what to do with each order. */
export function createHand(answer: (message: Answer, buffers: readonly ArrayBuffer[]) => void): (order: Order) => void {
  const dictionary = createDictionary();
  const files: string[] = [];
  let replay: ReturnType<typeof createPartReplay> | undefined;
  return (order) => {
    switch (order.kind) {
      case 'begin': {
        const [program, baseline] = order.buffers.map((buffer, index) => programFrom(buffer, order.sources[index]!));
        replay = createPartReplay({
          program: program!,
          ...(baseline && { baseline }),
          dictionary,
          mode: order.mode,
          invalid: order.invalid,
          ...(order.kernel && { kernel: order.kernel }),
        });
        return;
      }
      case 'rows': {
        learn(dictionary, files, order.news);
        const { lane, buffer, runs, buckets } = order;
        const { batch, ticks, files: fileNumbers } = viewLane(buffer, LANE_ROWS);
        for (const run of runs)
          replay!.addShare(batch, { ...run, buckets, ticks }, (row) => ({ file: files[fileNumbers[row]!]! }));
        answer({ kind: 'done', lane, buffer }, [buffer]);
        return;
      }
      default:
        answer({ kind: 'part', part: replay!.part() }, []);
    }
  };
}

/** Ids are given in order, so that the same additions give the same ids. */
function learn(dictionary: Dictionary, files: string[], news: News): void {
  const { addresses, endpoints, policyTraces } = dictionary;
  const { addresses: words } = news;
  for (let at = 0; at < words.length; at += 4) addAddress(addresses, words, at);
  for (const fact of news.endpoints) dictionary.internEndpoint(String(endpoints.length), () => fact);
  for (const trace of news.policyTraces) dictionary.internPolicies(String(policyTraces.length), () => trace);
  files.push(...news.files);
}

function addAddress(addresses: AddressTable, words: Uint32Array, at: number): void {
  addresses.intern(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
}
