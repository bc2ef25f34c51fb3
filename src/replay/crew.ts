/**
 * A crew: a replay on several threads. Here rows are dealt out, with what only the order of all rows tells (ticks, numbers),
 * and at the end the parts are put together. How threads are had is the caller's; to a worker everything is a message.
 */
import type { Dialect } from '../model/dialect.ts';
import type { AddressTable, Dictionary, EndpointFact, FlowBatch } from '../model/flow.ts';
import { createDictionary } from '../model/flow.ts';
import type { PolicyTrace } from '../model/recorded-policy.ts';
import { programFrom, type ProgramSource } from '../compile/program.ts';
import type { TraceAccount } from '../trace/account.ts';
import { Clock } from '../track/clock.ts';
import { appendRows, createLaneBuffer, type Lane, type LaneBuffer, viewLane } from './lane.ts';
import { mergeParts, type Part } from './part.ts';
import { createPartReplay, type ReplayOptions } from './replay.ts';
import type { ReplayMode, ReplayResult } from './result.ts';
import { shareOf } from './share.ts';

/** The other end of a thread. */
export interface Mate {
  post(message: Order): void;
  /** Called with everything that the thread says. */
  listen(hear: (message: Answer) => void, fail: (error: unknown) => void): void;
  /** Ends the thread. */
  dismiss(): void;
}

/** What a thread is told. */
export type Order =
  | {
      readonly kind: 'begin';
      readonly number: number;
      readonly lanes: readonly LaneBuffer[];
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
      readonly count: number;
      readonly quotes: number;
      readonly setBack: number;
      readonly order: number;
      readonly news: News;
    }
  | { readonly kind: 'end' };

/** What a thread says. */
export type Answer = { readonly kind: 'done'; readonly lane: number } | { readonly kind: 'part'; readonly part: Part };

/** What the readers have learnt since the last rows: additions to the dictionary, and files. */
export interface News {
  /** Four words an address. */
  readonly addresses: Uint32Array;
  readonly endpoints: readonly EndpointFact[];
  readonly policyTraces: readonly PolicyTrace[];
  readonly files: readonly string[];
}

/** A replay whose rows are taken in by others. */
export interface CrewReplay {
  /** As `Replay.add`; waits while all lanes are in use. */
  add(batch: FlowBatch, account: TraceAccount, from?: number, to?: number): Promise<void>;
  finish(accounts: readonly TraceAccount[]): Promise<ReplayResult>;
  /** Ends the threads, finished or not. */
  dismiss(): void;
}

/** Rows of a lane: enough that a message for each costs nothing. */
const LANE_ROWS = 16_384;

/** Begins a replay on so many threads as there are mates. A limit of the connection table is not for crews. */
export function createCrew(options: ReplayOptions, mates: readonly Mate[]): CrewReplay {
  return new Crew(options, mates);
}

class Crew implements CrewReplay {
  private readonly options: ReplayOptions;
  private readonly mates: readonly Mate[];
  private readonly lanes: readonly Lane[];
  /** Threads that still read a lane. */
  private readonly readers: Int32Array;
  private readonly clock = new Clock();
  private readonly files: string[] = [];
  private readonly parts: Part[] = [];
  private current = 0;
  /** Rows handed out before the lane in hand. */
  private order = 0;
  private setBack = 0;
  private told = { addresses: 0, endpoints: 1, policyTraces: 1, files: 0 };
  private wake: (() => void) | undefined;
  private failure: { readonly error: unknown } | undefined;

  constructor(options: ReplayOptions, mates: readonly Mate[]) {
    this.options = options;
    this.mates = mates;
    const buffers = Array.from({ length: mates.length + 2 }, () => createLaneBuffer(LANE_ROWS, mates.length));
    this.lanes = buffers.map(viewLane);
    this.readers = new Int32Array(buffers.length);
    const programs = [options.program, ...(options.baseline === undefined ? [] : [options.baseline])];
    mates.forEach((mate, number) => {
      mate.listen(
        (answer) => this.hear(answer),
        (error) => {
          this.failure ??= { error };
          this.wake?.();
        },
      );
      mate.post({
        kind: 'begin',
        number,
        lanes: buffers,
        buffers: programs.map(({ buffer }) => buffer),
        sources: programs.map(({ source }) => source),
        dialect: options.program.source.dialect,
        mode: options.mode,
        invalid: options.invalid,
        kernel: options.kernel,
      });
    });
  }

  async add(batch: FlowBatch, account: TraceAccount, from = 0, to: number = batch.count): Promise<void> {
    const file = this.fileOf(account.file);
    for (let row = from; row < to;) {
      const lane = this.lanes[this.current]!;
      const taken = this.deal(lane, batch, row, to, file);
      row += taken;
      // Full, or the clock is about to be set back.
      if (row < to || lane.batch.count === LANE_ROWS) await this.hand();
    }
  }

  async finish(accounts: readonly TraceAccount[]): Promise<ReplayResult> {
    if (this.lanes[this.current]!.batch.count > 0) await this.hand();
    for (const mate of this.mates) mate.post({ kind: 'end' });
    await this.until(() => this.parts.length === this.mates.length);
    return mergeParts(this.parts, this.options, accounts);
  }

  dismiss(): void {
    for (const mate of this.mates) mate.dismiss();
  }

  /** Deals rows out as far as the lane reaches and the clock is not set back; returns how many. */
  private deal(lane: Lane, batch: FlowBatch, from: number, to: number, file: number): number {
    const { clock, mates } = this;
    const { ticks, files, rows, counts } = lane;
    const at = lane.batch.count;
    const end = Math.min(to, from + LANE_ROWS - at);
    let row = from;
    for (; row < end; row++) {
      const place = at + row - from;
      ticks[place] = clock.advance(batch.timeUs[row]!);
      if (clock.setBack !== this.setBack) {
        if (place > 0) break;
        this.setBack = clock.setBack;
      }
      files[place] = file;
      const thread = shareOf(batch, row, mates.length);
      rows[thread]![counts[thread]!++] = place;
    }
    appendRows(lane, batch, from, row);
    return row - from;
  }

  /** Hands the lane in hand to everyone, and waits for an empty one. */
  private async hand(): Promise<void> {
    const lane = this.lanes[this.current]!;
    const { batch } = lane;
    const order: Order = {
      kind: 'rows',
      lane: this.current,
      count: batch.count,
      quotes: batch.quotes.count,
      setBack: this.setBack,
      order: this.order,
      news: this.tell(),
    };
    this.readers[this.current] = this.mates.length;
    for (const mate of this.mates) mate.post(order);
    this.order += batch.count;
    this.setBack = this.clock.setBack;
    this.current = (this.current + 1) % this.lanes.length;
    await this.until(() => this.readers[this.current] === 0);
    const next = this.lanes[this.current]!;
    next.batch.count = 0;
    next.batch.quotes.count = 0;
    next.counts.fill(0);
  }

  private tell(): News {
    const { dictionary } = this.options;
    const { told, files } = this;
    const { addresses, endpoints, policyTraces } = dictionary;
    const news: News = {
      addresses: addresses.words.slice(told.addresses * 4, addresses.count * 4),
      endpoints: endpoints.slice(told.endpoints),
      policyTraces: policyTraces.slice(told.policyTraces),
      files: files.slice(told.files),
    };
    this.told = {
      addresses: addresses.count,
      endpoints: endpoints.length,
      policyTraces: policyTraces.length,
      files: files.length,
    };
    return news;
  }

  private hear(answer: Answer): void {
    if (answer.kind === 'part') this.parts.push(answer.part);
    else this.readers[answer.lane]! -= 1;
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
export function createHand(answer: (message: Answer) => void): (order: Order) => void {
  const dictionary = createDictionary();
  const files: string[] = [];
  let lanes: readonly Lane[] = [];
  let number = 0;
  let replay: ReturnType<typeof createPartReplay> | undefined;
  return (order) => {
    switch (order.kind) {
      case 'begin': {
        const [program, baseline] = order.buffers.map((buffer, index) => programFrom(buffer, order.sources[index]!));
        lanes = order.lanes.map(viewLane);
        ({ number } = order);
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
        const { batch, rows, counts, ticks, files: fileNumbers } = lanes[order.lane]!;
        batch.count = order.count;
        batch.quotes.count = order.quotes;
        const share = {
          rows: rows[number]!,
          count: counts[number]!,
          ticks,
          setBack: order.setBack,
          order: order.order,
        };
        replay!.addShare(batch, share, (row) => ({ file: files[fileNumbers[row]!]! }));
        answer({ kind: 'done', lane: order.lane });
        return;
      }
      default:
        answer({ kind: 'part', part: replay!.part() });
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
