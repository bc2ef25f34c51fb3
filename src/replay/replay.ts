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
import { Endpoint, EndpointKind, ServiceSlot } from '../compile/layout.ts';
import { findService } from '../decide/decide.ts';
import {
  type Dictionary,
  type FlowBatch,
  Orientation,
  OrientedBy,
  RecordedVerdict,
  RecordFlag,
  RecordKind,
  TcpFlag,
} from '../model/flow.ts';
import type { Snapshot } from '../model/cluster.ts';
import type { Timeline } from '../model/timeline.ts';
import { formatProtocol, isPortProtocol, Protocol } from '../model/port.ts';
import { pendingVerdict } from '../model/recorded-policy.ts';
import { packDecision, Reason, Verdict } from '../model/verdict.ts';
import type { TraceAccount } from '../trace/account.ts';
import { ICMP_ROLES, IcmpRole } from '../track/icmp.ts';
import { Clock, type TickSource } from '../track/clock.ts';
import { ConnectionDirection, InvalidCause, TrackState } from '../track/state.ts';
import { type Orienter, TableTracker } from '../track/tracker.ts';
import {
  Data,
  DEFAULT_GROUP_LIMIT,
  GroupKey,
  GroupSum,
  GroupTable,
  overflowGroup,
  OVERFLOW_GROUPS,
  PART_GROUP_LIMIT,
} from './group.ts';
import { createEras, type Era, type Eras } from './era.ts';
import { keyRules, RuleSets } from './hit.ts';
import { createJudge, type Judge, type Question } from './judgement.ts';
import { createKernel, type Kernel } from './kernel.ts';
import { type Guess, listens, orientByPorts } from './orient.ts';
import { createParties, type PartyTable } from './party.ts';
import { createPlacer, endpointOf, type Place, type Placer } from './place.ts';
import type { ReplayMode, ReplayResult } from './result.ts';
import type { Part } from './part.ts';
import { type Buckets, isOwn } from './share.ts';
import { type Contradiction, type Sample, summarize } from './summary.ts';

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
  /** `plain`: every row goes through TypeScript, the reference. Else the WASM kernel takes what it can. */
  readonly kernel?: 'plain' | 'wasm';
  /**
   * The cluster over time: a connection is judged in the state of its opening's time. `program` and `baseline` are compiled of the first
   * state. Such a replay is `plain`, and on one thread.
   */
  readonly timeline?: Timeline;
}

/** A replay under way. */
export interface Replay {
  /**
   * Takes in rows `from` (0) up to `to` (all) of a batch; `account` is the account of the file that it came from. Rows of
   * several files are given in the order of their times.
   */
  add(batch: FlowBatch, account: TraceAccount, from?: number, to?: number): void;
  /** Rows that the WASM kernel took so far; the others went through TypeScript. */
  readonly rowsByKernel: number;
  /** The result so far. */
  finish(accounts: readonly TraceAccount[]): ReplayResult;
}

/** Begins a replay. */
export function createReplay(options: ReplayOptions): Replay {
  return new Replaying(options);
}

/** One thread's part of a replay. */
export interface PartReplay extends Pick<Replay, 'add'> {
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

/** RFC 9260: who sends which chunk of the handshake, as bits of `sctpChunks`. */
const enum HandshakeChunk {
  /** COOKIE ECHO. */
  FromInitiator = 1 << 10,
  /** INIT ACK, COOKIE ACK. */
  FromResponder = (1 << 2) | (1 << 11),
}

/** What a connection's records said of its fate. */
const enum Recorded {
  None = 0,
  Allow = 1,
  Deny = 2,
  Other = 3,
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
  /** The tick of the row in hand. */
  private readonly now: { tick: number; setBack: number } & TickSource = {
    tick: 0,
    setBack: 0,
    advance(): number {
      return this.tick;
    },
  };
  private readonly kernel: Kernel | undefined;
  rowsByKernel = 0;
  private readonly tracker: TableTracker;
  private readonly groups: GroupTable;
  private placer: Placer;
  private judge: Judge;
  private baseline: Judge | undefined;
  private readonly eras: Eras | undefined;
  private era: Era;
  /** What belongs to an era, while it is kept. */
  private readonly views = new WeakMap<Era, Judges & { placer: Placer; nodePorts: ReadonlyMap<string, number> }>();
  /** Judges of the states of the cluster that samples were taken in, by state. */
  private readonly judges = new Map<number, Judges>();
  /** Numbers of the states that records fell into. */
  private readonly states = new Set<number>();
  private readonly parties: PartyTable;
  private readonly samples: Sample[] = [];
  private readonly ruleSets = new RuleSets();
  /** Verdict of the staged policies of a policy trace, by its id. */
  private readonly pendingVerdicts: RecordedVerdict[] = [];
  /** Group -> the first policy trace whose staged policies see it otherwise than the forecast. */
  private readonly contradictions = new Map<number, Contradiction>();
  /** Asked for the first record of a connection alone: a guess costs more than all that a further one needs. */
  private readonly orienter: Orienter = {
    orient: (batch, row) => (this.guessed = this.orientRecord(batch, row)).orientation,
  };
  /** What `orienter` said last. */
  private guessed = SENDER_OPENED;
  /** Number of the row in hand among all rows of the replay. */
  private order = 0;
  /** Connections without addresses: their ends and ports -> tracker data. */
  private readonly nameless = new Map<string, number>();
  /** `TCP/31000` -> the Service whose node port it is. */
  private nodePorts: ReadonlyMap<string, number>;
  private readonly counters: ReplayCounters = {
    rows: 0,
    invalid: new Map(),
    related: { records: 0, bytes: 0 },
    unplaced: { records: 0, bytes: 0 },
    disagreements: 0,
    oriented: new Float64Array(5),
    early: 0,
  };

  constructor(options: ReplayOptions, buckets?: Buckets) {
    this.options = options;
    this.buckets = buckets;
    this.program = options.program;
    this.dictionary = options.dictionary;
    this.placer = createPlacer(options.program, options.dictionary);
    const { placer } = this;
    this.parties = createParties(options.program, (family, word) => placer.address(family, word));
    this.era = { state: 0, program: options.program, baseline: options.baseline };
    if (options.timeline !== undefined) {
      this.eras = createEras(options.timeline, this.era);
      this.parties.enter(options.program);
    }
    const groupLimit = options.groupLimit ?? DEFAULT_GROUP_LIMIT;
    const { program, baseline, mode, conntrackMax, timeline } = options;
    // A full table gives up entries by rules of its own, and without a table there is nothing to be quick about.
    if (options.kernel !== 'plain' && mode !== 'stateless' && conntrackMax === undefined && timeline === undefined)
      this.kernel = createKernel({
        program,
        baseline,
        mode,
        groupMost: groupLimit * 2 + OVERFLOW_GROUPS,
        others: this.parties.ofOthers(),
      });
    const { kernel } = this;
    this.tracker = new TableTracker({
      isTcpLoose: mode !== 'connections',
      clock: this.now,
      ...(conntrackMax !== undefined && { limit: conntrackMax }),
      ...(kernel && { storage: kernel.tableStorage }),
    });
    this.groups = new GroupTable(groupLimit, kernel?.groupStorage);
    kernel?.attach(this.tracker, this.groups);
    this.judge = createJudge(options.program, options.dictionary, this.placer);
    this.baseline = options.baseline && createJudge(options.baseline, options.dictionary, this.placer);
    this.nodePorts = indexNodePorts(options.program.source.snapshot);
    this.judges.set(0, { judge: this.judge, baseline: this.baseline });
    this.views.set(this.era, {
      placer,
      judge: this.judge,
      baseline: this.baseline,
      nodePorts: this.nodePorts,
    });
  }

  add(batch: FlowBatch, account: TraceAccount, from = 0, to: number = batch.count): void {
    const { kernel, clock, now, counters, buckets } = this;
    const order = this.seen - from;
    const addRow = (row: number): void => {
      if (buckets !== undefined && !isOwn(buckets, batch, row)) return;
      counters.rows++;
      this.order = order + row;
      this.addRow(batch, row, account);
    };
    if (kernel !== undefined)
      for (let first = from; first < to;) {
        const count = kernel.stage(batch, first, to, clock, buckets);
        const before = this.rowsByKernel;
        this.addStaged(kernel, (staged) => addRow(first + kernel.rowOf(staged)));
        counters.rows += this.rowsByKernel - before;
        first += count;
      }
    else
      for (let row = from; row < to; row++) {
        if (this.eras !== undefined) this.enterEraOf(this.eras, batch.timeUs[row]!);
        now.tick = clock.advance(batch.timeUs[row]!);
        now.setBack = clock.setBack;
        addRow(row);
      }
    this.seen += to - from;
  }

  part(): Part {
    const { groups, samples, contradictions, parties, ruleSets, counters, rowsByKernel } = this;
    return {
      keys: groups.keys.slice(0, groups.count * GroupKey.Stride),
      sums: groups.sums.slice(0, groups.count * GroupSum.Stride),
      samples,
      contradictions,
      parties: parties.list(),
      ruleSets: ruleSets.list,
      touched: parties.touched,
      counters,
      rowsByKernel,
    };
  }

  /** The kernel takes what it knows of the staged rows; what it stops at goes through TypeScript. */
  private addStaged(kernel: Kernel, addRow: (staged: number) => void): void {
    const { now, tracker } = this;
    const count = kernel.selected;
    now.setBack = kernel.setBack;
    tracker.catchUp();
    this.rowsByKernel += count;
    for (let staged = 0; (staged = kernel.take(staged, count)) < count; staged++) {
      this.rowsByKernel--;
      now.tick = kernel.tickOf(staged);
      addRow(staged);
    }
    kernel.drainOriented(this.counters.oriented);
  }

  /** From now on the cluster is as it was at a time; connections that are open keep their verdict and their group. */
  private enterEraOf(eras: Eras, timeUs: number): void {
    const { options, dictionary } = this;
    if (timeUs < options.timeline!.fromUs[0]!) this.counters.early++;
    if (!eras.holds(this.era, timeUs)) {
      const era = (this.era = eras.at(timeUs));
      const { program, baseline } = era;
      let view = this.views.get(era);
      if (view === undefined) {
        const placer = createPlacer(program, dictionary);
        view = {
          placer,
          judge: createJudge(program, dictionary, placer),
          baseline: baseline && createJudge(baseline, dictionary, placer),
          nodePorts: indexNodePorts(program.source.snapshot),
        };
        this.views.set(era, view);
      }
      ({ placer: this.placer, judge: this.judge, baseline: this.baseline, nodePorts: this.nodePorts } = view);
      this.program = program;
      this.parties.enter(program);
    }
    this.states.add(this.era.state);
  }

  private addRow(batch: FlowBatch, row: number, account: Source): void {
    if (this.options.mode === 'stateless') this.addStateless(batch, row, account);
    else if (batch.kind[row] === RecordKind.Aggregate)
      this.openAlone(batch, row, account, this.orientRecord(batch, row));
    else if (batch.family[row] === 0) this.addNameless(batch, row, account);
    else if (batch.kind[row] === RecordKind.Packet) this.addPacket(batch, row, account);
    else this.addRecord(batch, row, account);
  }

  finish(accounts: readonly TraceAccount[]): ReplayResult {
    const { options, groups, samples, contradictions, parties, ruleSets, judges, states, tracker, counters } = this;
    return summarize({
      options,
      groups,
      samples,
      contradictions,
      parties,
      ruleSets,
      judgesOf: (state) => judges.get(state)!,
      states,
      tracker,
      counters,
      accounts,
    });
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
    if (isPortProtocol(batch.protocol[row]!) && batch.srcPort[row]! < 0)
      return this.openAlone(batch, row, account, this.orientRecord(batch, row));
    tracker.associate(batch, row, this.orienter);
    if (tracker.entry >= 0 && tracker.created === 0 && tracker.getData(tracker.entry) !== 0)
      return this.addTo(tracker.entry, batch, row);
    this.open(batch, row, account, tracker.created === 1 ? this.guessed : this.orientRecord(batch, row));
  }

  /** A record that cannot be told from others of its ends: connections of its own. */
  private openAlone(batch: FlowBatch, row: number, account: Source, guess: Guess): void {
    const group = this.openGroup(batch, row, account, guess, guess.orientation === Orientation.Reply);
    if (group >= 0) this.countSummed(group, batch, row);
  }

  /** A record without addresses: its ends' names and its ports are its connection. */
  private addNameless(batch: FlowBatch, row: number, account: Source): void {
    const guess = this.orientRecord(batch, row);
    const isReply = guess.orientation === Orientation.Reply;
    const [from, to] = isReply
      ? [batch.dstEndpoint[row]!, batch.srcEndpoint[row]!]
      : [batch.srcEndpoint[row]!, batch.dstEndpoint[row]!];
    const [fromPort, toPort] = isReply
      ? [batch.dstPort[row]!, batch.srcPort[row]!]
      : [batch.srcPort[row]!, batch.dstPort[row]!];
    const hasIdentity = !isPortProtocol(batch.protocol[row]!) || fromPort >= 0;
    const icmp = isReply ? requestOf(batch.protocol[row]!, batch.icmp[row]!) : batch.icmp[row]!;
    const key = `${from},${to},${fromPort},${toPort},${batch.protocol[row]!},${icmp}`;
    const known = hasIdentity ? this.nameless.get(key) : undefined;
    if (known !== undefined) {
      const next = this.addToData(known, batch, row);
      if (next !== known) this.nameless.set(key, next);
      return;
    }
    const group = this.openGroup(batch, row, account, guess, isReply);
    if (group < 0) return;
    const data = dataOf(group, this.countRecorded(group, Recorded.None, batch, row));
    if (hasIdentity) this.nameless.set(key, data);
  }

  /** Every record on its own, in its own direction, as a stateless filter would see it. */
  private addStateless(batch: FlowBatch, row: number, account: Source): void {
    const group = this.groupOf(batch, row, account, Orientation.Original, 0);
    if (group < 0) return this.count(this.counters.unplaced, batch, row);
    this.countConnection(group, batch, row);
    this.countSummed(group, batch, row);
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
        const guess = this.orientMidstream(batch, row);
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
    const recorded = isCounted ? Data.RecordedMask : this.countRecorded(group, Recorded.None, batch, row);
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
    if (this.kindOf(source) >= EndpointKind.Node) return;
    const destination = endpointOf(program, dictionary, family, batch.dst[row]!);
    // Between others the kernel looks at the tables itself.
    if (family === 4 && this.kindOf(destination) < EndpointKind.Node) return;
    kernel.remember(batch, row, group, source, listens(program, destination, protocol, batch.dstPort[row]!));
  }

  private kindOf(endpoint: number): EndpointKind {
    return this.program.endpoints[endpoint * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Mask;
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
    this.groups.sums[group * GroupSum.Stride + GroupSum.Connections]! += count;
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
    const { groups } = this;
    const question = this.questionOf(batch, row, orientation);
    const { source, destination } = question;
    if (source.kind === 'nobody' || destination.kind === 'nobody') return -1;
    this.isPlain = source.kind === 'address' && destination.kind === 'address';
    this.isDisputed = this.placer.isDisputed(source) || this.placer.isDisputed(destination);
    const decision = forced ?? this.judge.judge(question);
    const baseline = this.baseline === undefined ? -1 : (forced ?? this.baseline.judge(question));
    const target = this.targetOf(question);
    const party = target === undefined ? -1 : target.party;
    const via = target === undefined ? this.viaOf(batch, row, orientation) : target.via;
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
    // An outside address is named only where a group may be made for it: there may be more of them than memory.
    if (!groups.isFull || (this.isKnown(source) && (party >= 0 || this.isKnown(destination)))) {
      key[GroupKey.Source] = this.partyOf(source);
      key[GroupKey.Destination] = party >= 0 ? party : this.partyOf(destination);
      group = groups.intern();
    }
    if (group < 0) group = this.pool(source, destination, party);
    if (group < 0) return overflowGroup(partial, baseline < 0 ? Verdict.Allow : baseline & 3, decision & 3);
    if (groups.count > before) {
      const { state } = this.era;
      this.samples[group] = { question, order: this.order, file: account.file, line: batch.line[row]!, state };
      if (!this.judges.has(state)) this.judges.set(state, { judge: this.judge, baseline: this.baseline });
    }
    return group;
  }

  /** The group of the key with outside addresses left out of it. */
  private pool(source: Place, destination: Place, target: number): number {
    const { groups, parties } = this;
    const { key } = groups;
    key[GroupKey.Source] = this.isStranger(source) ? parties.ofOthers() : this.partyOf(source);
    if (target >= 0) key[GroupKey.Destination] = target;
    else key[GroupKey.Destination] = this.isStranger(destination) ? parties.ofOthers() : this.partyOf(destination);
    return groups.intern('pool');
  }

  private isKnown(place: Place): boolean {
    return !this.isStranger(place) || (place.kind === 'address' && this.parties.hasAddress(place.family, place.word));
  }

  private isStranger(place: Place): boolean {
    if (place.kind !== 'address') return false;
    const endpoint = endpointOf(this.program, this.dictionary, place.family, place.word);
    return this.kindOf(endpoint) === EndpointKind.Outside;
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
    return {
      source: here,
      destination: there,
      protocol,
      port: isPortProtocol(protocol) ? batch.dstPort[row]! : -1,
      icmp,
    };
  }

  private placeOf(family: number, word: number, name: number): Place {
    const place = this.placer.place(family, word, name);
    if (name !== 0 && place.kind === 'address') this.kernel?.learnName(name, family, word);
    return place;
  }

  /** Where a translated connection arrives: the backends' workload and port where they share one, and the Service. */
  private targetOf({
    destination,
    protocol,
    port,
  }: Question): { party: number; port: number; via: number } | undefined {
    const { program, dictionary } = this;
    if (destination.kind !== 'address') return undefined;
    const endpoint = endpointOf(program, dictionary, destination.family, destination.word);
    if (this.kindOf(endpoint) < EndpointKind.Node) return undefined;
    const slot = findService(program, endpoint, protocol, port);
    if (slot < 0) return undefined;
    const { serviceSlots, backends } = program;
    const start = serviceSlots[slot * ServiceSlot.Stride + ServiceSlot.Start]! * 2;
    const count = serviceSlots[slot * ServiceSlot.Stride + ServiceSlot.CountPlusOne]! - 1;
    const via = this.partyOfService(destination, protocol, port);
    let shared = -2;
    let sharedPort = -2;
    for (let index = 0; index < count; index++) {
      const backend = backends[start + index * 2]!;
      const party = this.partyOfBackend(backend);
      shared = shared === -2 || shared === party ? party : -1;
      const backendPort = backends[start + index * 2 + 1]!;
      sharedPort = sharedPort === -2 || sharedPort === backendPort ? backendPort : -1;
    }
    if (shared < 0 || sharedPort < 0) return undefined;
    return { party: shared, port: sharedPort, via };
  }

  private partyOfBackend(endpoint: number): number {
    const object = this.program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!;
    return this.kindOf(endpoint) === EndpointKind.Pod ? this.parties.ofPods([object]) : -1;
  }

  /** What the initiator asked for, where the record shows that it was translated. */
  private viaOf(batch: FlowBatch, row: number, orientation: Orientation): number {
    if (orientation !== Orientation.Original || batch.preDstPort[row]! < 0) return -1;
    const asked: Place = { kind: 'address', family: batch.family[row]!, word: batch.preDst[row]! };
    return this.partyOfService(asked, batch.protocol[row]!, batch.preDstPort[row]!);
  }

  /** The Service behind an address and port: on a node that of the node port, else whoever has the address. */
  private partyOfService(place: Extract<Place, { kind: 'address' }>, protocol: number, port: number): number {
    const { program, dictionary, parties } = this;
    const endpoint = endpointOf(program, dictionary, place.family, place.word);
    const kind = this.kindOf(endpoint);
    if (kind === EndpointKind.Service)
      return parties.ofService(program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!, undefined);
    if (kind !== EndpointKind.Node) return this.partyOf(place);
    const key = `${formatProtocol(protocol)}/${port}`;
    const service = this.nodePorts.get(key);
    return service === undefined ? this.partyOf(place) : parties.ofService(service, undefined);
  }

  private partyOf(place: Place): number {
    const { parties, program, dictionary } = this;
    switch (place.kind) {
      case 'address': {
        const { family, word } = place;
        const endpoint = endpointOf(program, dictionary, family, word);
        const party = parties.ofEndpoint(endpoint, family, word);
        this.kernel?.learnParty(endpoint, family, word, party);
        return party;
      }
      case 'pods':
        return parties.ofPods(place.pods);
      case 'described':
        return parties.ofDescription(place.fact.namespace, place.fact.workload ?? place.fact.name ?? 'unnamed');
      case 'service':
        return parties.ofService(place.index, undefined);
      default:
        return parties.ofDescription(
          undefined,
          place.kind === 'node' ? 'a node' : place.kind === 'network' ? 'outside or a node' : 'outside',
        );
    }
  }

  /** Who opened a connection whose first packet this is. */
  private orientNew(batch: FlowBatch, row: number): Guess {
    if (this.options.mode === 'packets') return SENDER_OPENED;
    const stated = batch.orientation[row]!;
    if (stated !== Orientation.Unknown) return { orientation: stated, by: batch.orientedBy[row]! };
    if (batch.protocol[row] !== Protocol.Udp) return SENDER_OPENED;
    return this.guess(batch, row);
  }

  /** The same for a connection that was open before; undefined where the packet speaks of none (a lone RST). */
  private orientMidstream(batch: FlowBatch, row: number): Guess | undefined {
    const protocol = batch.protocol[row]!;
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) return RECEIVER_OPENED;
    const flags = batch.tcpFlags[row]!;
    if (protocol === Protocol.Tcp && (flags & TcpFlag.Rst) !== 0) return undefined;
    const stated = batch.orientation[row]!;
    if (stated !== Orientation.Unknown) return { orientation: stated, by: batch.orientedBy[row]! };
    if (protocol === Protocol.Tcp && (flags & TcpFlag.Syn) !== 0) return RECEIVER_OPENED;
    const chunks = batch.sctpChunks[row]!;
    if (protocol === Protocol.Sctp && (chunks & HandshakeChunk.FromResponder) !== 0) return RECEIVER_OPENED;
    if (protocol === Protocol.Sctp && (chunks & HandshakeChunk.FromInitiator) !== 0) return SENDER_OPENED;
    return this.guess(batch, row);
  }

  /** The same for a record that is no packet: its own statement, its flags, its ports. */
  private orientRecord(batch: FlowBatch, row: number): Guess {
    const stated = batch.orientation[row]!;
    if (stated !== Orientation.Unknown) return { orientation: stated, by: batch.orientedBy[row]! };
    const flags = batch.tcpFlags[row]!;
    if (batch.protocol[row] === Protocol.Tcp && flags !== TcpFlag.Absent && (flags & TcpFlag.Syn) !== 0)
      return (flags & TcpFlag.Ack) === 0 ? SENDER_OPENED : RECEIVER_OPENED;
    const icmp = batch.icmp[row]!;
    if (icmp >= 0) return requestOf(batch.protocol[row]!, icmp) === icmp ? SENDER_OPENED : RECEIVER_OPENED;
    return this.guess(batch, row);
  }

  private guess(batch: FlowBatch, row: number): Guess {
    const { program, dictionary } = this;
    const family = batch.family[row]!;
    const source = family === 0 ? -1 : endpointOf(program, dictionary, family, batch.src[row]!);
    const destination = family === 0 ? -1 : endpointOf(program, dictionary, family, batch.dst[row]!);
    return orientByPorts(program, source, batch.srcPort[row]!, destination, batch.dstPort[row]!, batch.protocol[row]!);
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
    return dataOf(group, this.countRecorded(group, data & Data.RecordedMask, batch, row));
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

  /** Keeps one recorded verdict a connection: a denial outweighs what other observers let through. */
  private countRecorded(group: number, known: number, batch: FlowBatch, row: number): number {
    const verdict = batch.recordedVerdict[row]!;
    const trace = batch.policies[row]!;
    const next = verdict === RecordedVerdict.None ? known : this.countVerdict(group, known, verdict);
    if (trace === 0) return next;
    const pending = this.pendingOf(group, trace);
    return this.countGraver(group, next, Data.PendingShift, GroupSum.PendingAllow, pending);
  }

  private countVerdict(group: number, known: number, verdict: RecordedVerdict): number {
    if (verdict >= RecordedVerdict.FirewallAllow) {
      const said = verdict - RecordedVerdict.FirewallAllow + 1;
      return this.countGraver(group, known, Data.FirewallShift, GroupSum.FirewallAllow, said);
    }
    const had = known & Data.PolicyMask;
    const said = recordedOf(verdict);
    if (said === Recorded.None || said === had || had === Recorded.Deny) return known;
    if (had === Recorded.Allow && said === Recorded.Other) return known;
    const { sums } = this.groups;
    const base = group * GroupSum.Stride + GroupSum.RecordedAllow - 1;
    if (had !== Recorded.None) sums[base + had]! -= 1;
    sums[base + said]! += 1;
    return known - had + said;
  }

  /** Of two sums, "let through" (1) and "denied" (2), that a connection counts in: a denial outweighs the other end. */
  private countGraver(group: number, known: number, shift: number, firstSum: GroupSum, said: number): number {
    const had = (known >> shift) & 3;
    if (said <= had) return known;
    const { sums } = this.groups;
    const base = group * GroupSum.Stride + firstSum - 1;
    if (had !== 0) sums[base + had]! -= 1;
    sums[base + said]! += 1;
    return known + ((said - had) << shift);
  }

  /** The same for a row that stands for many connections: its own, and denials of what another end let through. */
  private countSummed(group: number, batch: FlowBatch, row: number): void {
    const verdict = batch.recordedVerdict[row]!;
    const trace = batch.policies[row]!;
    const connections = batch.connections[row]!;
    const repeats = batch.repeats[row]!;
    const said = recordedOf(verdict);
    if (verdict >= RecordedVerdict.FirewallAllow) {
      const isDenied = verdict === RecordedVerdict.FirewallDeny;
      this.addGraver(group, GroupSum.FirewallAllow, isDenied ? 2 : 1, connections, repeats);
    } else if (said === Recorded.Other)
      this.groups.sums[group * GroupSum.Stride + GroupSum.RecordedOther]! += connections;
    else if (said !== Recorded.None) this.addGraver(group, GroupSum.RecordedAllow, said, connections, repeats);
    if (trace !== 0) this.addGraver(group, GroupSum.PendingAllow, this.pendingOf(group, trace), connections, repeats);
  }

  private addGraver(group: number, firstSum: GroupSum, said: number, connections: number, repeats: number): void {
    if (said === 0) return;
    const { sums } = this.groups;
    const base = group * GroupSum.Stride + firstSum;
    sums[base + said - 1]! += connections;
    if (said !== 2) return;
    // The other end's row may come later: the sum may be negative until then, and `gravePair` sees to the rest.
    sums[base]! -= repeats;
    sums[base + 1]! += repeats;
  }

  /** 0 where the trace does not say, 1 where its staged policies would let through, 2 where they would deny. */
  private pendingOf(group: number, trace: number): number {
    const verdict = (this.pendingVerdicts[trace] ??= pendingVerdict(this.dictionary.policyTraces[trace]!));
    if (verdict === RecordedVerdict.None) return 0;
    const forecast = this.groups.keys[group * GroupKey.Stride + GroupKey.Decision]! & 3;
    const isDenied = verdict === RecordedVerdict.Deny;
    if (forecast !== Verdict.Undecidable && isDenied !== (forecast === Verdict.Deny) && !this.contradictions.has(group))
      this.contradictions.set(group, { trace, order: this.order });
    return isDenied ? 2 : 1;
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

function dataOf(group: number, recorded: number): number {
  return ((group + 1) << Data.GroupShift) | recorded;
}

function groupOfData(data: number): number {
  return (data >>> Data.GroupShift) - 1;
}

const SENDER_OPENED: Guess = { orientation: Orientation.Original, by: OrientedBy.Flags };
const RECEIVER_OPENED: Guess = { orientation: Orientation.Reply, by: OrientedBy.Flags };

/** The Service of each node port; the first keeps it, as in the service table. */
function indexNodePorts({ services }: Snapshot): ReadonlyMap<string, number> {
  const index = new Map<string, number>();
  services.forEach(({ ports }, at) => {
    for (const { protocol, nodePort } of ports)
      if (nodePort !== undefined && !index.has(`${protocol}/${nodePort}`)) index.set(`${protocol}/${nodePort}`, at);
  });
  return index;
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

/** The ICMP request that a reply answers, type << 8; anything else is itself. */
function requestOf(protocol: number, icmp: number): number {
  const type = icmp >> 8;
  if (protocol === Protocol.Icmpv6) return type === 129 || type === 140 ? (type - 1) << 8 : icmp;
  if (protocol !== Protocol.Icmp || icmp < 0) return icmp;
  switch (type) {
    case 0:
      return 8 << 8;
    case 14:
    case 16:
    case 18:
      return (type - 1) << 8;
    default:
      return icmp;
  }
}

function recordedOf(verdict: RecordedVerdict): Recorded {
  switch (verdict) {
    case RecordedVerdict.None:
      return Recorded.None;
    case RecordedVerdict.Allow:
    case RecordedVerdict.Audit:
      return Recorded.Allow;
    case RecordedVerdict.Deny:
      return Recorded.Deny;
    default:
      return Recorded.Other;
  }
}

function bytesOf(batch: FlowBatch, row: number): number {
  return Math.max(0, batch.bytes[row]!) + Math.max(0, batch.replyBytes[row]!);
}
