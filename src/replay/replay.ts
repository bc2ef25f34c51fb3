/**
 * replay: batches of records in, one result out. For each record: find its connection, judge it if it is new, and add it
 * to the sums of its group.
 *
 * In mode `connections` the replay is counterfactual: the trace was recorded while traffic flowed, so the tracker follows
 * what was recorded, the opening of a connection is judged once, and whatever belongs to the connection afterwards is
 * counted under that verdict. In mode `packets` the tracker does what the kernel would have done with the packets; in mode
 * `stateless` every record is judged in its own direction.
 */
import type { Program } from '../compile/program.ts';
import { EndpointKind } from '../compile/layout.ts';
import { kindOf } from '../decide/decide.ts';
import {
  type Arena,
  type Dictionary,
  type FlowBatch,
  Orientation,
  RecordedVerdict,
  RecordFlag,
  RecordKind,
  TcpFlag,
} from '../model/flow.ts';
import type { Timeline } from '../model/timeline.ts';
import { hasPorts, isPortProtocol, Protocol } from '../model/port.ts';
import { packDecision, Reason, Verdict } from '../model/verdict.ts';
import type { TraceAccount } from '../trace/account.ts';
import { ICMP_ROLES, IcmpRole } from '../track/icmp.ts';
import { Clock, type TickSource } from '../track/clock.ts';
import { ConnectionDirection, InvalidCause, TrackState } from '../track/state.ts';
import { type Orienter, TableTracker } from '../track/tracker.ts';
import {
  Data,
  DEFAULT_GROUP_LIMIT,
  GroupCount,
  GroupKey,
  GroupSum,
  GroupTable,
  mapVia,
  overflowGroup,
  OVERFLOW_GROUPS,
  PART_GROUP_LIMIT,
} from './group.ts';
import { createEras, type Era, type Eras } from './era.ts';
import { keyRules, RuleSets } from './hit.ts';
import { createJudge, type Judge, type Question } from './judgement.ts';
import { createKernel, type Kernel } from './kernel.ts';
import { Namer } from './namer.ts';
import {
  type Guess,
  listens,
  orientMidstream,
  orientOpening,
  orientRecord,
  requestOf,
  SENDER_OPENED,
} from './orient.ts';
import { createParties, type PartyTable } from './party.ts';
import { createPlacer, endpointOf, type Place, type Placer } from './place.ts';
import type { ReplayMode, ReplayResult } from './result.ts';
import type { Part } from './part.ts';
import { type Buckets, isOwn } from './share.ts';
import { Samples } from './sample.ts';
import { summarize } from './summary.ts';
import { Testimony } from './testimony.ts';

/** How a replay is set up. */
export interface ReplayOptions {
  readonly program: Program;
  /** The same snapshot with the policies to compare with. */
  readonly baseline?: Program;
  readonly dictionary: Dictionary;
  readonly mode: ReplayMode;
  /** `nf_conntrack_max`; undefined: the table grows. */
  readonly conntrackMax?: number;
  /** INVALID packets: counted apart, or as drops. */
  readonly invalid: 'count' | 'drop';
  /**
   * Most groups kept apart. Beyond it outside addresses are pooled, so that groups are as many as workloads and ports ask
   * for; what is still too much is summed by verdict.
   */
  readonly groupLimit?: number;
  /**
   * `plain`: every row goes through TypeScript, the reference; `wasm`: the WASM kernel takes what it can. Unless told, it begins when there is
   * work enough for it, after some ten thousand rows, or when its `arena` is asked for.
   */
  readonly kernel?: 'plain' | 'wasm';
  /**
   * Address space that the WASM kernel takes when it begins; memory is only what it uses. 1 GiB unless told, which is ten million connections,
   * and at most 2 GiB. A table that outgrows it goes on in TypeScript. V8 counts all of it when it decides to collect garbage; see `close`.
   */
  readonly kernelBytes?: number;
  /**
   * The cluster over time: a connection is judged in the state of its opening's time. `program` and `baseline` are compiled of the first
   * state. Such a replay is `plain`, and on one thread.
   */
  readonly timeline?: Timeline;
}

/** A replay under way. */
export interface Replay {
  /**
   * Takes in rows `from` (0) up to `to` (all) of a batch; `account` is that of the file that it came from, or those of several, by
   * `FlowBatch.origin`. Rows of several files are given in the order of their times.
   */
  add(batch: FlowBatch, account: TraceAccount | readonly TraceAccount[], from?: number, to?: number): void;
  /** Memory for the reader of a single trace (`ReadOptions.arena`): columns in it are taken in where they lie. Undefined without WebAssembly. */
  readonly arena: Arena | undefined;
  /** Rows that the WASM kernel took so far; the others went through TypeScript. */
  readonly rowsByKernel: number;
  /** The result so far; `known`: what the caller knows beyond the accounts. */
  finish(accounts: readonly TraceAccount[], known?: Pick<ReplayResult, 'isComplete'>): ReplayResult;
  /**
   * Ends the replay and leaves the kernel's memory to the next one of this process, which need not wait until V8 has collected it. Results that
   * were had before stay good; nothing can be asked of the replay any more.
   */
  close(): void;
}

/** Rows that TypeScript takes as quickly as a kernel is made, whose memory makes V8 look through the heap besides. */
const SMALL_ROWS = 16_384;

/** Begins a replay. */
export function createReplay(options: ReplayOptions): Replay {
  return new Replaying(options);
}

/** One thread's part of a replay. */
export interface PartReplay extends Pick<Replay, 'add' | 'arena' | 'close'> {
  /** Rows that were given so far, this thread's and others. */
  readonly seen: number;
  /** What has been found so far. */
  part(): Part;
}

/**
 * Begins one thread's part: it is given all rows, and takes in those of its buckets. `groupLimit` is of the whole: a part keeps its groups
 * apart.
 */
export function createPartReplay(options: ReplayOptions, buckets: Buckets): PartReplay {
  return new Replaying({ ...options, groupLimit: PART_GROUP_LIMIT }, buckets);
}

/** Where a row came from. */
type Source = Pick<TraceAccount, 'file'>;

/** Plain counters of a replay, exposed to the summary. */
export interface ReplayCounters {
  rows: number;
  readonly invalid: Map<InvalidCause, { records: number; bytes: number }>;
  readonly related: { records: number; bytes: number };
  readonly unplaced: { records: number; bytes: number };
  /** Connections of which an end is, by the record, another pod than the snapshot has there. */
  disagreements: number;
  /** See `ReplayResult.disorder`. */
  disorder: number;
  /** [OrientedBy] connections. */
  readonly oriented: Float64Array;
  /** Records older than the first state of the timeline. */
  early: number;
}

/** The judges of one state of the cluster. */
export interface Judges {
  readonly judge: Judge;
  readonly baseline: Judge | undefined;
}

/** What a replay asks of one state of the cluster. */
interface View extends Judges {
  readonly placer: Placer;
  readonly namer: Namer;
}

class Replaying implements Replay, PartReplay {
  /** Of this thread; undefined: there is no other one. */
  private readonly buckets: Buckets | undefined;
  seen = 0;
  private program: Program;
  private readonly dictionary: Dictionary;
  private readonly options: ReplayOptions;
  /** Of the row that `groupOf` saw last: does its record contradict the snapshot, or say no more than two addresses? */
  private isDisputed = false;
  private isPlain = false;
  private readonly clock = new Clock();
  /** Has a row told of a part of a connection? */
  private hasParts = false;
  /** The tick of the row in hand. */
  private readonly now: { tick: number; setBack: number } & TickSource = {
    tick: 0,
    setBack: 0,
    advance(): number {
      return this.tick;
    },
  };
  private kernel: Kernel | undefined;
  /** There may be a kernel, and nobody has asked for it yet. */
  private awaitsKernel: boolean;
  private isClosed = false;
  /** Has somebody a result, which looks its groups up? */
  private hasResult = false;
  rowsByKernel = 0;
  private readonly tracker: TableTracker;
  private readonly groups: GroupTable;
  private placer: Placer;
  private judge: Judge;
  private baseline: Judge | undefined;
  private namer: Namer;
  private readonly eras: Eras | undefined;
  private era: Era;
  /** What belongs to an era, while it is kept. */
  private readonly views = new WeakMap<Era, View>();
  /** Judges of the states of the cluster that samples were taken in, by state. */
  private readonly judges = new Map<number, Judges>();
  /** Numbers of the states that records fell into. */
  private readonly states = new Set<number>();
  private readonly parties: PartyTable;
  private readonly samples = new Samples();
  private readonly ruleSets = new RuleSets();
  private readonly testimony: Testimony;
  /** Asked for the first record of a connection alone: a guess costs more than all that a further one needs. */
  private readonly orienter: Orienter = {
    orient: (batch, row) => (this.guessed = orientRecord(batch, row, this.program, this.dictionary)).orientation,
  };
  /** What `orienter` said last. */
  private guessed = SENDER_OPENED;
  /** Number of the row in hand among all rows of the replay. */
  private order = 0;
  /** Connections without addresses: their ends and ports -> tracker data. */
  private readonly nameless = new Map<string, number>();
  private readonly counters: ReplayCounters = {
    rows: 0,
    invalid: new Map(),
    related: { records: 0, bytes: 0 },
    unplaced: { records: 0, bytes: 0 },
    disagreements: 0,
    disorder: 0,
    oriented: new Float64Array(5),
    early: 0,
  };

  constructor(options: ReplayOptions, buckets?: Buckets) {
    this.options = options;
    this.buckets = buckets;
    this.program = options.program;
    this.dictionary = options.dictionary;
    this.parties = createParties(options.program, options.dictionary);
    this.era = { state: 0, program: options.program, baseline: options.baseline };
    if (options.timeline !== undefined) {
      this.eras = createEras(options.timeline, this.era);
      this.parties.enter(options.program);
    }
    const { mode, conntrackMax, timeline } = options;
    // A full table gives up entries by rules of its own, and without a table there is nothing to be quick about.
    this.awaitsKernel =
      options.kernel !== 'plain' && mode !== 'stateless' && conntrackMax === undefined && timeline === undefined;
    this.tracker = new TableTracker({
      isTcpLoose: mode !== 'connections',
      clock: this.now,
      ...(conntrackMax !== undefined && { limit: conntrackMax }),
    });
    this.groups = new GroupTable(groupLimitOf(options));
    this.testimony = new Testimony(this.groups, options.dictionary);
    ({ placer: this.placer, judge: this.judge, baseline: this.baseline, namer: this.namer } = this.viewOf(this.era));
    this.judges.set(0, { judge: this.judge, baseline: this.baseline });
    if (options.kernel === 'wasm') this.beginKernel();
  }

  get arena(): Arena | undefined {
    this.beginKernel();
    return this.kernel?.arena;
  }

  add(batch: FlowBatch, account: TraceAccount | readonly TraceAccount[], from = 0, to: number = batch.count): void {
    this.refuseIfClosed();
    if (this.seen + to - from > SMALL_ROWS) this.beginKernel();
    const { kernel, clock, now, counters } = this;
    const { share, line } = batch;
    const buckets = share === undefined ? this.buckets : undefined;
    const timesUs = share?.clockUs ?? batch.timeUs;
    const { seen } = this;
    const orderOf = (row: number): number => (share === undefined ? seen + row - from : line[row]! - 1);
    if (share !== undefined) {
      clock.advance(share.firstUs);
      clock.prepare(share.lastUs);
    }
    const addRow = (row: number): void => {
      if (buckets !== undefined && !isOwn(buckets, batch, row)) return;
      counters.rows++;
      this.order = orderOf(row);
      this.addRow(batch, row, sourceOf(account, batch, row));
    };
    if (kernel !== undefined) {
      kernel.enter(batch);
      for (let first = from; first < to;) {
        const count = kernel.stage(batch, first, to, clock, buckets);
        const before = this.rowsByKernel;
        const keepSample = (group: number, row: number, orientation: Orientation): void => {
          const at = first + row;
          this.order = orderOf(at);
          this.keepSample(
            group,
            this.questionOf(batch, at, orientation),
            sourceOf(account, batch, at),
            batch.line[at]!,
          );
        };
        this.addStaged(kernel, (staged) => addRow(first + kernel.rowOf(staged)), keepSample);
        counters.rows += this.rowsByKernel - before;
        first += count;
      }
    } else
      for (let row = from; row < to; row++) {
        if (this.eras !== undefined) this.enterEraOf(this.eras, batch.timeUs[row]!);
        now.tick = clock.advance(timesUs[row]!);
        now.setBack = clock.setBack;
        addRow(row);
      }
    if (share !== undefined) clock.advance(share.lastUs);
    this.hasParts ||= holdsParts(batch, from, to);
    if (this.hasParts) counters.disorder = clock.turnsBack;
    this.seen = share === undefined ? seen + to - from : share.end;
  }

  part(): Part {
    this.refuseIfClosed();
    const { groups, samples, testimony, parties, ruleSets, counters, rowsByKernel } = this;
    return {
      keys: groups.keys.slice(0, groups.count * GroupKey.Stride),
      sums: groups.sums.slice(0, groups.count * GroupSum.Stride),
      counts: groups.counts.slice(0, groups.count * GroupCount.Stride),
      samples: samples.pack(groups.count),
      contradictions: testimony.contradictions,
      parties: parties.pack(),
      ruleSets: ruleSets.list,
      touched: parties.touched,
      counters,
      rowsByKernel,
    };
  }

  /** Makes the kernel, if there may be one and it can be had, and moves what there is into its memory. */
  private beginKernel(): void {
    if (!this.awaitsKernel) return;
    this.awaitsKernel = false;
    const { options, tracker, groups, parties } = this;
    const kernel = createKernel({
      program: options.program,
      baseline: options.baseline,
      mode: options.mode,
      groupMost: (groupLimitOf(options) + OVERFLOW_GROUPS) * 2,
      others: parties.ofOthers(),
      memoryBytes: options.kernelBytes ?? 2 ** 30,
    });
    if (kernel === undefined) return;
    tracker.table.moveTo(kernel.table);
    groups.moveTo(kernel.groupStorage);
    kernel.attach(tracker, groups);
    this.kernel = this.namer.kernel = kernel;
  }

  /** The kernel takes what it knows of the staged rows; what it stops at goes through TypeScript. */
  private addStaged(
    kernel: Kernel,
    addRow: (staged: number) => void,
    keepSample: (group: number, row: number, orientation: Orientation) => void,
  ): void {
    const { now, tracker } = this;
    const count = kernel.selected;
    now.setBack = kernel.setBack;
    tracker.catchUp();
    this.rowsByKernel += count;
    for (let staged = 0; ; staged++) {
      staged = kernel.take(staged, count);
      kernel.addGroups(keepSample);
      if (staged >= count) break;
      this.rowsByKernel--;
      now.tick = kernel.tickOf(staged);
      addRow(staged);
    }
    kernel.drainOriented(this.counters.oriented);
  }

  /** From now on the cluster is as it was at a time; connections that are open keep their verdict and their group. */
  private enterEraOf(eras: Eras, timeUs: number): void {
    if (timeUs < this.options.timeline!.fromUs[0]!) this.counters.early++;
    if (!eras.holds(this.era, timeUs)) {
      const era = (this.era = eras.at(timeUs));
      ({ placer: this.placer, judge: this.judge, baseline: this.baseline, namer: this.namer } = this.viewOf(era));
      const { program } = era;
      this.program = program;
      this.parties.enter(program);
    }
    this.states.add(this.era.state);
  }

  private viewOf(era: Era): View {
    const { dictionary } = this;
    const { program, baseline } = era;
    let view = this.views.get(era);
    if (view === undefined) {
      const placer = createPlacer(program, dictionary);
      view = {
        placer,
        judge: createJudge(program, dictionary, placer),
        baseline: baseline && createJudge(baseline, dictionary, placer),
        namer: new Namer(program, dictionary, this.parties, this.kernel),
      };
      this.views.set(era, view);
    }
    return view;
  }

  close(): void {
    const { kernel, groups } = this;
    this.isClosed = true;
    this.awaitsKernel = false;
    if (kernel === undefined) return;
    if (this.hasResult) groups.moveTo();
    this.kernel = undefined;
    kernel.giveBack();
  }

  private refuseIfClosed(): void {
    if (this.isClosed) throw new Error('the replay is closed');
  }

  private addRow(batch: FlowBatch, row: number, account: Source): void {
    if (this.options.mode === 'stateless') this.addStateless(batch, row, account);
    else if (batch.kind[row] === RecordKind.Aggregate)
      this.openAlone(batch, row, account, orientRecord(batch, row, this.program, this.dictionary));
    else if (batch.family[row] === 0) this.addNameless(batch, row, account);
    else if (batch.kind[row] === RecordKind.Packet) this.addPacket(batch, row, account);
    else this.addRecord(batch, row, account);
  }

  finish(accounts: readonly TraceAccount[], known?: Pick<ReplayResult, 'isComplete'>): ReplayResult {
    this.refuseIfClosed();
    this.hasResult = true;
    const { options, groups, samples, testimony, parties, ruleSets, judges, states, tracker, counters } = this;
    const input = {
      options,
      groups,
      samples,
      contradictions: testimony.contradictions,
      parties,
      ruleSets,
      judgesOf: (state: number): Judges => judges.get(state)!,
      states,
      tracker,
      counters,
      accounts,
    };
    return summarize(input, known);
  }

  /** A packet: connection tracking says what it is. */
  private addPacket(batch: FlowBatch, row: number, account: Source): void {
    const { tracker } = this;
    if ((batch.flags[row]! & RecordFlag.Fragment) !== 0) return this.addFragment(batch, row);
    const { refused } = tracker;
    const state = tracker.track(batch, row);
    if (state === TrackState.Established) return this.addTo(tracker.entry, batch, row);
    if (state === TrackState.New) {
      if (tracker.created === 0 && tracker.entry >= 0) return this.addAgain(batch, row, account);
      if (tracker.refused > refused) return this.countInvalid(InvalidCause.TableFull, batch, row);
      if (tracker.entry < 0) return this.addUntracked(batch, row, account);
      return this.open(batch, row, account, this.orientNew(batch, row));
    }
    if (state === TrackState.Related) return this.addRelated(batch, row);
    this.addInvalid(batch, row, account);
  }

  /** Packet by packet whoever sends what connection tracking calls NEW is the initiator, as to the kernel. */
  private orientNew(batch: FlowBatch, row: number): Guess {
    if (this.options.mode === 'packets') return SENDER_OPENED;
    return orientOpening(batch, row, this.program, this.dictionary);
  }

  /** A later fragment: the kernel puts packets together before it looks, so it only adds to its connection. */
  private addFragment(batch: FlowBatch, row: number): void {
    const { tracker } = this;
    tracker.associate(batch, row);
    const data = tracker.entry < 0 ? 0 : tracker.getData(tracker.entry);
    if (data !== 0) return this.addTo(tracker.entry, batch, row);
    if (tracker.created === 1) tracker.drop();
    this.countInvalid(InvalidCause.NoTransport, batch, row);
  }

  /** A packet that connection tracking leaves alone (neighbour discovery): judged, and no connection. */
  private addUntracked(batch: FlowBatch, row: number, account: Source): void {
    const group = this.groupOf(batch, row, account, Orientation.Original, 0);
    if (group >= 0) this.addSums(group, batch, row);
  }

  /** A NEW packet of a known connection: a retransmission. The kernel asks the policy again; the forecast does not. */
  private addAgain(batch: FlowBatch, row: number, account: Source): void {
    const { tracker } = this;
    if (tracker.getData(tracker.entry) === 0) return this.open(batch, row, account, this.orientNew(batch, row));
    this.addTo(tracker.entry, batch, row);
  }

  /** A record that is no packet: a sample, a sum or a decision about a connection. */
  private addRecord(batch: FlowBatch, row: number, account: Source): void {
    const { tracker } = this;
    if (isUntracked(batch, row)) return this.addUntracked(batch, row, account);
    if (!hasIdentity(batch.protocol[row]!, batch.srcPort[row]!))
      return this.openAlone(batch, row, account, orientRecord(batch, row, this.program, this.dictionary));
    tracker.associate(batch, row, this.orienter);
    if (tracker.entry >= 0 && tracker.created === 0 && tracker.getData(tracker.entry) !== 0)
      return this.addTo(tracker.entry, batch, row);
    this.open(
      batch,
      row,
      account,
      tracker.created === 1 ? this.guessed : orientRecord(batch, row, this.program, this.dictionary),
    );
  }

  /** A record that cannot be told from others of its ends: connections of its own. */
  private openAlone(batch: FlowBatch, row: number, account: Source, guess: Guess): void {
    const group = this.openGroup(batch, row, account, guess, guess.orientation === Orientation.Reply);
    if (group >= 0) this.testimony.countSummed(group, batch, row, this.order);
  }

  /** A record without addresses: its ends' names and its ports are its connection. */
  private addNameless(batch: FlowBatch, row: number, account: Source): void {
    const guess = orientRecord(batch, row, this.program, this.dictionary);
    const isReply = guess.orientation === Orientation.Reply;
    const [from, to] = isReply
      ? [batch.dstEndpoint[row]!, batch.srcEndpoint[row]!]
      : [batch.srcEndpoint[row]!, batch.dstEndpoint[row]!];
    const [fromPort, toPort] = isReply
      ? [batch.dstPort[row]!, batch.srcPort[row]!]
      : [batch.srcPort[row]!, batch.dstPort[row]!];
    const isTellable = hasIdentity(batch.protocol[row]!, fromPort);
    const icmp = isReply ? requestOf(batch.protocol[row]!, batch.icmp[row]!) : batch.icmp[row]!;
    const key = `${from},${to},${fromPort},${toPort},${batch.protocol[row]!},${icmp}`;
    const known = isTellable ? this.nameless.get(key) : undefined;
    if (known !== undefined) {
      const next = this.addToData(known, batch, row);
      if (next !== known) this.nameless.set(key, next);
      return;
    }
    const group = this.openGroup(batch, row, account, guess, isReply);
    if (group < 0) return;
    const data = dataOf(group, this.testimony.count(group, 0, batch, row, this.order));
    if (isTellable) this.nameless.set(key, data);
  }

  /** Every record on its own, in its own direction, as a stateless filter would see it. */
  private addStateless(batch: FlowBatch, row: number, account: Source): void {
    const group = this.groupOf(batch, row, account, Orientation.Original, 0);
    if (group < 0) return this.count(this.counters.unplaced, batch, row);
    this.countConnection(group, batch, row);
    this.testimony.countSummed(group, batch, row, this.order);
    this.addSums(group, batch, row);
  }

  /** An ICMP error about a connection: apart, unless the connection is denied and the error would never have come. */
  private addRelated(batch: FlowBatch, row: number): void {
    const { tracker } = this;
    const data = tracker.entry < 0 ? 0 : tracker.getData(tracker.entry);
    if (data !== 0 && this.isDenied(groupOfData(data))) return this.addTo(tracker.entry, batch, row);
    this.count(this.counters.related, batch, row);
  }

  private addInvalid(batch: FlowBatch, row: number, account: Source): void {
    const { tracker } = this;
    const { cause } = tracker;
    if (this.options.mode === 'connections') {
      // Whatever follows a denied opening is counted under the denial and never judged again.
      if (tracker.entry >= 0) {
        const data = tracker.getData(tracker.entry);
        if (data !== 0 && this.isDenied(groupOfData(data))) return this.addTo(tracker.entry, batch, row);
      } else if (
        cause === InvalidCause.TcpNoConnection ||
        cause === InvalidCause.SctpNoConnection ||
        cause === InvalidCause.IcmpNoRequest
      ) {
        const guess = orientMidstream(batch, row, this.program, this.dictionary);
        if (guess !== undefined) {
          const { refused } = tracker;
          tracker.adopt(
            batch,
            row,
            guess.orientation === Orientation.Reply ? ConnectionDirection.Reply : ConnectionDirection.Original,
          );
          if (tracker.created === 1) return this.open(batch, row, account, guess, 1);
          if (tracker.refused > refused) return this.countInvalid(InvalidCause.TableFull, batch, row);
        }
      }
    }
    this.countInvalid(cause, batch, row);
    if (this.options.invalid === 'count') return;
    const group = this.groupOf(
      batch,
      row,
      account,
      Orientation.Original,
      0,
      packDecision(Verdict.Deny, Reason.InvalidState, Reason.InvalidState, 0),
    );
    if (group >= 0) this.addSums(group, batch, row);
  }

  /** Judges a new connection and begins its sums. */
  private open(
    batch: FlowBatch,
    row: number,
    account: Source,
    guess: Guess,
    partial = this.partialOf(batch, row, guess),
  ): void {
    const { tracker } = this;
    const group = this.openGroup(batch, row, account, guess, guess.orientation === Orientation.Reply, partial);
    if (group < 0) return;
    // What an earlier row has counted is not counted again, and nothing that follows moves it.
    const isCounted = batch.connections[row] === 0;
    const recorded = isCounted ? Data.RecordedMask : this.testimony.count(group, 0, batch, row, this.order);
    if (tracker.entry < 0) return;
    if (this.options.mode === 'packets' && this.isDenied(group)) {
      if (tracker.created === 1) tracker.drop();
      return;
    }
    tracker.setData(tracker.entry, dataOf(group, recorded));
    if (this.kernel !== undefined && partial === 0 && guess.orientation === Orientation.Original)
      this.remember(this.kernel, batch, row, group);
  }

  /** Lets the kernel open the next connection of the same ends and port by itself, where nothing but those decided. */
  private remember(kernel: Kernel, batch: FlowBatch, row: number, group: number): void {
    const { program, dictionary } = this;
    const protocol = batch.protocol[row]!;
    if ((protocol !== Protocol.Tcp && protocol !== Protocol.Udp) || batch.preDstPort[row]! >= 0) return;
    if (!this.isPlain) return;
    const family = batch.family[row]!;
    const source = endpointOf(program, dictionary, family, batch.src[row]!);
    // Whether a node or a Service sends from a port that it listens on, only TypeScript knows.
    if (kindOf(this.program, source) >= EndpointKind.Node) return;
    const destination = endpointOf(program, dictionary, family, batch.dst[row]!);
    // Between others the kernel looks at the tables itself.
    if (family === 4 && kindOf(this.program, destination) < EndpointKind.Node) return;
    kernel.remember(batch, row, group, source, listens(program, destination, protocol, batch.dstPort[row]!));
  }

  private openGroup(
    batch: FlowBatch,
    row: number,
    account: Source,
    guess: Guess,
    isReply: boolean,
    partial = this.partialOf(batch, row, guess),
  ): number {
    const group = this.groupOf(batch, row, account, isReply ? Orientation.Reply : Orientation.Original, partial);
    if (group < 0) {
      this.count(this.counters.unplaced, batch, row);
      return -1;
    }
    this.counters.oriented[guess.by]! += batch.connections[row]!;
    this.countConnection(group, batch, row);
    this.addSums(group, batch, row);
    return group;
  }

  /** The connections that a row opens, for the group that `groupOf` gave last. */
  private countConnection(group: number, { connections }: FlowBatch, row: number): void {
    const count = connections[row]!;
    this.groups.counts[group * GroupCount.Stride + GroupCount.Connections]! += count;
    if (this.isDisputed) this.counters.disagreements += count;
  }

  /** 1 where the opening is missing. Packet by packet there are no openings to miss: the kernel takes what comes. */
  private partialOf(batch: FlowBatch, row: number, guess: Guess): number {
    return this.options.mode !== 'packets' && isPartial(batch, row, guess) ? 1 : 0;
  }

  /** The group of a row's connection, initiator first; -1 where an end is nobody. */
  private groupOf(
    batch: FlowBatch,
    row: number,
    account: Source,
    orientation: Orientation,
    partial: number,
    forced?: number,
  ): number {
    const { groups, namer } = this;
    const question = this.questionOf(batch, row, orientation);
    const { source, destination } = question;
    if (source.kind === 'nobody' || destination.kind === 'nobody') return -1;
    this.isPlain = source.kind === 'address' && destination.kind === 'address';
    this.isDisputed = this.placer.isDisputed(source) || this.placer.isDisputed(destination);
    const decision = forced ?? this.judge.judge(question);
    const baseline = this.baseline === undefined ? -1 : (forced ?? this.baseline.judge(question));
    const target = namer.targetOf(question);
    const party = target === undefined ? -1 : target.party;
    // An outside address is named only where a group may be made for it: there may be more of them than memory.
    const strangers = groups.isFull ? 'pooled' : 'named';
    const via = target === undefined ? namer.viaOf(batch, row, orientation, strangers) : target.via;
    const { key } = groups;
    key[GroupKey.Port] = (question.protocol << 17) | ((target ?? question).port + 1);
    key[GroupKey.Icmp] = question.icmp;
    key[GroupKey.Decision] = decision;
    key[GroupKey.Baseline] = baseline;
    key[GroupKey.Flags] = ((via + 1) << 1) | partial;
    if (forced === undefined) {
      const ends = this.eras === undefined ? 'by-class' : 'by-rule';
      keyRules(key, question, ends, this.program, this.dictionary, this.judge, this.ruleSets);
    } else {
      key[GroupKey.SourceClass] = ~RuleSets.None;
      key[GroupKey.DestinationClass] = 0;
    }
    const before = groups.count;
    let group = -1;
    if (!groups.isFull || (namer.isKnown(source) && (party >= 0 || namer.isKnown(destination)))) {
      key[GroupKey.Source] = namer.partyOf(source);
      key[GroupKey.Destination] = party >= 0 ? party : namer.partyOf(destination);
      group = groups.intern();
    }
    if (group < 0) group = this.pool(source, destination, party);
    if (group < 0) return overflowGroup(partial, baseline < 0 ? Verdict.Allow : baseline & 3, decision & 3);
    if (groups.count > before) this.keepSample(group, question, account, batch.line[row]!);
    return group;
  }

  /** The row in hand is the first one of a group. */
  private keepSample(group: number, question: Question, { file }: Source, line: number): void {
    const { state } = this.era;
    this.samples.set(group, { question, order: this.order, file, line, state });
    if (!this.judges.has(state)) this.judges.set(state, { judge: this.judge, baseline: this.baseline });
  }

  /** The group of the key with outside addresses left out of it. */
  private pool(source: Place, destination: Place, target: number): number {
    const { groups, parties, namer } = this;
    const { key } = groups;
    key[GroupKey.Source] = namer.isStranger(source) ? parties.ofOthers() : namer.partyOf(source);
    if (target >= 0) key[GroupKey.Destination] = target;
    else key[GroupKey.Destination] = namer.isStranger(destination) ? parties.ofOthers() : namer.partyOf(destination);
    mapVia(key, parties.pooled);
    return groups.intern('pool');
  }

  private questionOf(batch: FlowBatch, row: number, orientation: Orientation): Question {
    const family = batch.family[row]!;
    const protocol = batch.protocol[row]!;
    const here = this.placeOf(family, batch.src[row]!, batch.srcEndpoint[row]!);
    const there = this.placeOf(family, batch.dst[row]!, batch.dstEndpoint[row]!);
    const icmp = batch.icmp[row]!;
    if (orientation === Orientation.Reply)
      return {
        source: there,
        destination: here,
        protocol,
        port: isPortProtocol(protocol) ? batch.srcPort[row]! : -1,
        icmp: requestOf(protocol, icmp),
      };
    const isHairpin =
      batch.preDstPort[row]! >= 0 &&
      here.kind === 'address' &&
      there.kind === 'address' &&
      here.word === there.word &&
      // Who asked for its own address needed no translation to meet itself.
      batch.preDst[row] !== here.word &&
      kindOf(this.program, endpointOf(this.program, this.dictionary, family, here.word)) === EndpointKind.Pod;
    return {
      source: here,
      destination: there,
      protocol,
      port: isPortProtocol(protocol) ? batch.dstPort[row]! : -1,
      icmp,
      ...(isHairpin && { isHairpin }),
    };
  }

  private placeOf(family: number, word: number, name: number): Place {
    const place = this.placer.place(family, word, name);
    if (name !== 0 && place.kind === 'address') this.kernel?.learnName(name, family, word);
    return place;
  }

  private isDenied(group: number): boolean {
    return (this.groups.keys[group * GroupKey.Stride + GroupKey.Decision]! & 3) === Verdict.Deny;
  }

  /** Adds a row to its connection's group. */
  private addTo(entry: number, batch: FlowBatch, row: number): void {
    const data = this.tracker.getData(entry);
    const next = this.addToData(data, batch, row);
    if (next !== data) this.tracker.setData(entry, next);
  }

  /** Adds a row to the group of a connection's data; returns the data with what the row recorded. */
  private addToData(data: number, batch: FlowBatch, row: number): number {
    const group = groupOfData(data);
    this.addSums(group, batch, row);
    if (batch.recordedVerdict[row] === RecordedVerdict.None && batch.policies[row] === 0) return data;
    return dataOf(group, this.testimony.count(group, data & Data.RecordedMask, batch, row, this.order));
  }

  private addSums(group: number, batch: FlowBatch, row: number): void {
    const { sums } = this.groups;
    const at = group * GroupSum.Stride;
    const time = batch.timeUs[row]!;
    sums[at + GroupSum.Records]! += 1;
    sums[at + GroupSum.Bytes]! += bytesOf(batch, row);
    if (time !== time) return;
    // NaN compares false: the first time is always taken.
    if (!(sums[at + GroupSum.FirstUs]! <= time)) sums[at + GroupSum.FirstUs] = time;
    if (!(sums[at + GroupSum.LastUs]! >= time)) sums[at + GroupSum.LastUs] = time;
  }

  private countInvalid(cause: InvalidCause, batch: FlowBatch, row: number): void {
    const tally = this.counters.invalid.get(cause) ?? { records: 0, bytes: 0 };
    this.counters.invalid.set(cause, tally);
    this.count(tally, batch, row);
  }

  private count(tally: { records: number; bytes: number }, batch: FlowBatch, row: number): void {
    tally.records += 1;
    tally.bytes += bytesOf(batch, row);
  }
}

function groupLimitOf({ groupLimit = DEFAULT_GROUP_LIMIT }: ReplayOptions): number {
  return groupLimit;
}

function sourceOf(account: Source | readonly Source[], { origin }: FlowBatch, row: number): Source {
  return isList(account) ? account[origin?.[row] ?? 0]! : account;
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function dataOf(group: number, recorded: number): number {
  return ((group + 1) << Data.GroupShift) | recorded;
}

function groupOfData(data: number): number {
  return (data >>> Data.GroupShift) - 1;
}

/** Is there a row that tells of a part of a connection, so that others have to be found for it in time? */
function holdsParts({ kind, uniform }: FlowBatch, from: number, to: number): boolean {
  const end = uniform?.has('kind') ? Math.min(to, from + 1) : to;
  for (let row = from; row < end; row++)
    if (kind[row] === RecordKind.Packet || kind[row] === RecordKind.OneWay) return true;
  return false;
}

/** Can a record's connection be told from others of its ends? By the initiator's port, where its protocol has ports or is not known. */
function hasIdentity(protocol: number, initiatorPort: number): boolean {
  return initiatorPort >= 0 || !(hasPorts(protocol) || protocol === Protocol.Unknown);
}

/** CT-47: connection tracking leaves neighbour discovery and multicast listeners alone, whoever counted them. */
function isUntracked(batch: FlowBatch, row: number): boolean {
  const icmp = batch.icmp[row]!;
  return batch.protocol[row] === Protocol.Icmpv6 && icmp >= 0 && ICMP_ROLES[256 + (icmp >>> 8)] === IcmpRole.Untracked;
}

/** Is a connection's opening missing from the trace, as far as its first record shows? */
function isPartial(batch: FlowBatch, row: number, guess: Guess): boolean {
  if (guess.orientation === Orientation.Reply) return true;
  if (batch.kind[row] === RecordKind.Decision || batch.kind[row] === RecordKind.Connection) return false;
  const flags = batch.tcpFlags[row]!;
  return batch.protocol[row] === Protocol.Tcp && flags !== TcpFlag.Absent && (flags & TcpFlag.Syn) === 0;
}

function bytesOf(batch: FlowBatch, row: number): number {
  return Math.max(0, batch.bytes[row]!) + Math.max(0, batch.replyBytes[row]!);
}
