/**
 * Connection tracking: what a packet or a record does to its connection, which `key.ts` identifies and `table.ts` keeps. Nothing is
 * allocated per packet.
 *
 * Every rule carries its id (docs/semantics/ct.md); src/oracle/tracker.ts implements the same rules in the plainest
 * form, and a law in test/track holds the two together.
 */
import { Orientation, RecordKind, TcpFlag, type FlowBatch } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { Clock, Tick, type TickSource } from './clock.ts';
import { Meta, Outcome, Timer, UdpMeta, Word } from './entry.ts';
import { ICMP_ROLES, IcmpRole, icmpKind } from './icmp.ts';
import { Key } from './key.ts';
import { SctpState, isSctpBundle, stepSctp } from './sctp.ts';
import { ConnectionDirection, InvalidCause, TrackState, type TrackerOptions } from './state.ts';
import { ConnectionTable } from './table.ts';
import { TCP_INDEX, isTcpClosing, openTcp, setLast, stepTcp } from './tcp.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';
import { createTimers, simpleTimer } from './timer.ts';

/** Says who opened a connection of which only records are seen. */
export interface Orienter {
  orient(batch: FlowBatch, row: number): Orientation;
}

/** Tracks one stream of records. The fields speak of the last call and are valid until the next. */
export interface Tracker {
  /**
   * Tracks row `row` as one packet: applies the transition to its connection, or opens one for a NEW packet. A packet
   * that is not tracked at all (no addresses, ICMPv6 neighbour discovery) and one that a full table refused are New
   * with `entry` -1.
   */
  track(batch: FlowBatch, row: number): TrackState;
  /**
   * Finds the connection of a record that is no packet (OneWay, Connection, Decision), in either direction, or opens it
   * with the row's orientation, or with that which `orienter` gives it. Never Invalid.
   */
  associate(batch: FlowBatch, row: number, orienter?: Orienter): TrackState;
  /**
   * Takes over a connection that was open before the trace began, after `track` found the packet INVALID for want of
   * one. `direction` says which way this packet travels. Where the connection is known already, or the packet can
   * belong to none, nothing changes.
   */
  adopt(batch: FlowBatch, row: number, direction: ConnectionDirection): void;
  /** Undoes the entry that the last call created: policy dropped the packet, so nothing is left of it. */
  drop(): void;
  /** Handle of the connection (for Related: of the quoted one), also when the packet was INVALID in it; -1 none. */
  readonly entry: number;
  /** Way of the row within its connection; Original where there is none. */
  readonly direction: ConnectionDirection;
  /** 1 if the call made the entry, else 0. */
  readonly created: number;
  readonly cause: InvalidCause;
  /** The caller's signed 32-bit word of an entry; 0 in a new one. */
  getData(entry: number): number;
  setData(entry: number, value: number): void;
  /** Entries held now, those included that have expired and that nobody has asked for since. */
  readonly count: number;
  readonly peak: number;
  /** Entries found expired and reclaimed. */
  readonly expired: number;
  /** Connections that a full table did not take. */
  readonly refused: number;
  /** Entries that a full table gave up before their time. */
  readonly evicted: number;
  /** Size of the table. */
  readonly bytes: number;
}

/** A tracker with nothing in it. Throws RangeError on a limit below 1 or a timeout that is no positive number. */
export function createTracker(options: TrackerOptions): Tracker {
  return new TableTracker(options);
}

/** CT-30: the age in ticks up to which replies make no stream. */
const STREAM_AGE = 2 * Tick.PerSecond;

/** The tracker with its table laid open, for a kernel that works on the same memory. */
export class TableTracker implements Tracker {
  entry = -1;
  direction: ConnectionDirection = ConnectionDirection.Original;
  created = 0;
  cause: InvalidCause = InvalidCause.None;

  readonly table: ConnectionTable;
  /** [`Timer`] in ticks. */
  readonly timeouts: Int32Array;
  private readonly looseState: number;
  private readonly clock: TickSource;
  /** Of the row in hand. */
  private readonly key = new Key();

  constructor({
    limit,
    isTcpLoose = true,
    clock = new Clock(),
    timeouts,
    initialCapacity,
    storage,
    settle,
  }: TrackerOptions) {
    this.looseState = isTcpLoose ? TcpState.Established : TcpState.Invalid;
    this.clock = clock;
    this.timeouts = createTimers(timeouts);
    this.table = new ConnectionTable(limit, initialCapacity, storage, settle);
  }

  get count(): number {
    return this.table.count;
  }

  get peak(): number {
    return this.table.peak;
  }

  get expired(): number {
    return this.table.expired;
  }

  get refused(): number {
    return this.table.refused;
  }

  get evicted(): number {
    return this.table.evicted;
  }

  get bytes(): number {
    return this.table.bytes;
  }

  /** Sets the table back with its clock, before somebody else works on it. */
  catchUp(): void {
    if (this.clock.setBack !== this.table.setBack) this.table.follow(this.clock.setBack);
  }

  getData(entry: number): number {
    return this.table.words[entry + Word.Data]!;
  }

  setData(entry: number, value: number): void {
    this.table.words[entry + Word.Data] = value;
  }

  track(batch: FlowBatch, row: number): TrackState {
    this.begin(batch.timeUs[row]!);
    const family = batch.family[row]!;
    if (family === 0) return TrackState.New; // CT-09
    const protocol = batch.protocol[row]!;
    if (protocol === Protocol.Tcp) return this.trackTcp(batch, row);
    if (protocol === Protocol.Udp || protocol === Protocol.UdpLite) {
      if (batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0) return this.refuse(InvalidCause.NoTransport); // CT-07
      this.key.takePorts(batch, row);
      return this.trackSimple(protocol);
    }
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) return this.trackIcmp(batch, row);
    if (protocol === Protocol.Sctp) return this.trackSctp(batch, row);
    this.key.takeAddresses(batch, row);
    return this.trackSimple(protocol);
  }

  associate(batch: FlowBatch, row: number, orienter?: Orienter): TrackState {
    this.begin(batch.timeUs[row]!);
    if (batch.family[row] === 0) return TrackState.New; // CT-09
    const protocol = batch.protocol[row]!;
    const flags = batch.tcpFlags[row]!;
    const isTcp = protocol === Protocol.Tcp;
    const saysFlags = isTcp && flags !== TcpFlag.Absent;
    const { key, table } = this;
    key.takeRecord(batch, row);
    let at = table.find(key);
    if (at >= 0 && saysFlags && (flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn) {
      // CT-72: a lone SYN after the end is the next connection of the same ports.
      const meta = table.words[at + Word.Meta]!;
      if ((meta & Meta.CloseInit) !== 0 || isTcpClosing((meta & Meta.StateMask) >>> Meta.StateShift)) at = ~at;
    }
    let state: TrackState = TrackState.Established;
    if (at < 0) {
      const orientation = orienter === undefined ? batch.orientation[row] : orienter.orient(batch, row);
      const stated = orientation === Orientation.Reply ? ConnectionDirection.Reply : ConnectionDirection.Original;
      at = this.insert(~at, this.travels(batch, row, stated));
      if (at < 0) return TrackState.New;
      state = TrackState.New;
      // CT-70: the opening handshake is not in question; FIN and RST are.
      if (isTcp)
        table.words[at + Word.Meta]! |=
          (TcpState.Established << Meta.StateShift) | (TcpIndex.Bad << Meta.LastIndexShift);
      else if (protocol === Protocol.Sctp)
        table.words[at + Word.Meta] |= (SctpState.Established << Meta.StateShift) | Meta.TagsUnknown;
    }
    const { words } = table;
    let meta = words[at + Word.Meta]!;
    if (protocol === Protocol.Udp) meta = this.age(meta);
    this.setEntry(at, meta);
    // CT-01
    if (this.direction === ConnectionDirection.Original && (meta & Meta.SeenReply) === 0) state = TrackState.New;
    if (
      this.direction === ConnectionDirection.Reply ||
      (batch.kind[row] === RecordKind.Connection && batch.replyPackets[row]! > 0)
    )
      meta |= Meta.SeenReply | Meta.Assured;
    if (saysFlags && (flags & (TcpFlag.Fin | TcpFlag.Rst)) !== 0) meta |= Meta.CloseInit;
    words[at + Word.Meta] = meta;
    // CT-71: records come in intervals, so silence says little.
    const isOpenTcp = isTcp && (meta & Meta.CloseInit) === 0;
    table.setExpiry(at, this.timeouts[isOpenTcp ? Timer.TcpRecord : Timer.Record]!);
    return state;
  }

  adopt(batch: FlowBatch, row: number, direction: ConnectionDirection): void {
    this.begin(batch.timeUs[row]!);
    if (batch.family[row] === 0) return;
    const protocol = batch.protocol[row]!;
    const icmp = batch.icmp[row]!;
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
      const role = ICMP_ROLES[icmpKind(batch.family[row]!, icmp)]!;
      if (role !== IcmpRole.Query && role !== IcmpRole.Reply) return;
    }
    const { key, table, timeouts } = this;
    key.takeRecord(batch, row);
    const found = table.find(key);
    if (found >= 0) {
      this.setEntry(found, table.words[found + Word.Meta]!);
      return;
    }
    const at = this.insert(~found, this.travels(batch, row, direction));
    if (at < 0) return;
    // CT-74: both directions are taken as seen.
    const { words } = table;
    let meta = words[at + Word.Meta]! | Meta.SeenReply | Meta.Assured;
    let timer = simpleTimer(protocol, false);
    if (protocol === Protocol.Tcp) {
      const flags = batch.tcpFlags[row]!;
      const index = flags === TcpFlag.Absent ? TcpIndex.Ack : TCP_INDEX[flags & 63]!;
      let state: TcpState = TcpState.Established;
      if (index === TcpIndex.Fin) state = TcpState.FinWait;
      else if (index === TcpIndex.Rst) state = TcpState.Close;
      else if (index === TcpIndex.SynAck) state = TcpState.SynRecv;
      meta = setLast(meta | (state << Meta.StateShift), index, key.directionIn(meta));
      if (state === TcpState.FinWait) meta |= Meta.CloseInit;
      timer = Timer.Tcp + state;
    } else if (protocol === Protocol.Sctp) {
      meta |= (SctpState.Established << Meta.StateShift) | Meta.TagsUnknown;
      timer = Timer.Sctp + SctpState.Established;
    }
    words[at + Word.Meta] = meta;
    this.setEntry(at, meta);
    table.setExpiry(at, timeouts[timer]!);
  }

  drop(): void {
    if (this.created === 0) return;
    this.table.bury(this.entry); // CT-04
    this.entry = -1;
    this.created = 0;
  }

  private trackTcp(batch: FlowBatch, row: number): TrackState {
    const flags = batch.tcpFlags[row]!;
    if (flags === TcpFlag.Absent || batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0)
      return this.refuse(InvalidCause.NoTransport); // CT-07
    const { key, table } = this;
    key.takePorts(batch, row);
    const index = TCP_INDEX[flags & 63]!;
    let at = table.find(key);
    if (at >= 0) {
      const { words } = table;
      const meta = words[at + Word.Meta]!;
      this.setEntry(at, meta);
      if (index === TcpIndex.Bad) return this.refuse(InvalidCause.TcpFlags); // CT-10
      const { direction } = this;
      const outcome = stepTcp(words, at, direction, index);
      if (outcome !== Outcome.Reopen) {
        if (outcome === Outcome.Invalid) return this.refuse(InvalidCause.TcpTransition); // CT-03, CT-14
        if (outcome === Outcome.Accept) this.refreshTcp(at, direction);
        else if (outcome === Outcome.Ignore) this.confirm(at, direction);
        else table.bury(at); // CT-21
        return stateOf(meta, direction);
      }
      at = ~at;
    }
    this.entry = -1;
    this.direction = ConnectionDirection.Original;
    if (index === TcpIndex.Bad) return this.refuse(InvalidCause.TcpFlags); // CT-10
    let state = openTcp(index);
    if (state === TcpState.Established) state = this.looseState; // CT-12
    if (state === TcpState.Invalid) return this.refuse(InvalidCause.TcpNoConnection); // CT-12, CT-13
    at = this.insert(~at, ConnectionDirection.Original); // CT-02
    if (at < 0) return TrackState.New;
    const { words } = table;
    words[at + Word.Meta] = words[at + Word.Meta]! | (state << Meta.StateShift) | (index << Meta.LastIndexShift);
    this.refreshTcp(at, ConnectionDirection.Original);
    return TrackState.New;
  }

  private trackSctp(batch: FlowBatch, row: number): TrackState {
    const chunks = batch.sctpChunks[row]!;
    if (chunks === 0 || batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0)
      return this.refuse(InvalidCause.NoTransport); // CT-07
    const { key, table } = this;
    key.takePorts(batch, row);
    const found = table.find(key);
    if (found >= 0) this.setEntry(found, table.words[found + Word.Meta]!);
    if (!isSctpBundle(chunks)) return this.refuse(InvalidCause.SctpTransition); // CT-53
    const at = found >= 0 ? found : this.insert(~found, ConnectionDirection.Original);
    if (at < 0) return TrackState.New;
    const { words } = table;
    const { direction, created } = this;
    const meta = words[at + Word.Meta]!;
    const tag = batch.sctpTag[row]! | 0;
    const initTag = batch.sctpInitTag[row]! | 0;
    const outcome = stepSctp(words, at, table.tags, table.tagsOf(at), direction, chunks, tag, initTag);
    if (outcome === Outcome.Invalid || outcome === Outcome.InvalidTag) {
      this.drop();
      if (outcome === Outcome.InvalidTag) return this.refuse(InvalidCause.SctpTag);
      return this.refuse(created === 1 ? InvalidCause.SctpNoConnection : InvalidCause.SctpTransition);
    }
    if (outcome === Outcome.Accept || created === 1) {
      const state = (words[at + Word.Meta]! & Meta.StateMask) >>> Meta.StateShift;
      table.setExpiry(at, this.timeouts[Timer.Sctp + state]!);
    }
    this.confirm(at, direction);
    return stateOf(meta, direction);
  }

  private trackIcmp(batch: FlowBatch, row: number): TrackState {
    const icmp = batch.icmp[row]!;
    if (icmp < 0) return this.refuse(InvalidCause.NoTransport); // CT-07
    const family = batch.family[row]!;
    const protocol = batch.protocol[row]!;
    // CT-42: ICMP within IPv6 or the other way round.
    if ((family === 6) !== (protocol === Protocol.Icmpv6)) return this.refuse(InvalidCause.IcmpType);
    const role = ICMP_ROLES[icmpKind(family, icmp)]!;
    if (role === IcmpRole.Untracked) return TrackState.New; // CT-47
    if (role === IcmpRole.Error || (role === IcmpRole.Redirect && batch.quote[row]! >= 0))
      return this.trackError(batch, row);
    if (role === IcmpRole.Other || role === IcmpRole.Redirect) return this.refuse(InvalidCause.IcmpType); // CT-42
    this.key.takeQuery(batch, row);
    if (role === IcmpRole.Reply && this.table.find(this.key) < 0) return this.refuse(InvalidCause.IcmpNoRequest); // CT-41
    return this.trackSimple(protocol);
  }

  /** CT-43: related to a connection if the quoted packet belongs to one and the error goes back to its sender. */
  private trackError(batch: FlowBatch, row: number): TrackState {
    // Where there is none, it is of no family.
    const quote = batch.quote[row]!;
    const { quotes } = batch;
    if (
      quotes.family[quote] !== batch.family[row] ||
      quotes.src[quote] !== batch.dst[row] ||
      !this.key.takeQuote(batch, quote)
    )
      return this.refuse(InvalidCause.IcmpUnknownQuote);
    const at = this.table.find(this.key);
    if (at < 0) return this.refuse(InvalidCause.IcmpUnknownQuote);
    this.key.swapped ^= 1;
    this.setEntry(at, this.table.words[at + Word.Meta]!); // CT-44: nothing else changes
    return TrackState.Related;
  }

  /** Protocols without a machine: NEW until answered, and a timeout. */
  private trackSimple(protocol: number): TrackState {
    let at = this.table.find(this.key);
    if (at >= 0) {
      const { words } = this.table;
      let meta = words[at + Word.Meta]!;
      if (protocol === Protocol.Udp) meta = this.age(meta);
      this.setEntry(at, meta);
      const { direction } = this;
      // CT-30: the first reply itself does not count, and the connection must be older than two seconds.
      const isStream = (meta & Meta.SeenReply) !== 0 && (protocol !== Protocol.Udp || (meta & UdpMeta.Aged) !== 0);
      words[at + Word.Meta] = isStream && isStreamProtocol(protocol) ? meta | Meta.Assured : meta; // CT-25
      this.table.setExpiry(at, this.timeouts[simpleTimer(protocol, isStream)]!);
      this.confirm(at, direction);
      return stateOf(meta, direction);
    }
    at = this.insert(~at, ConnectionDirection.Original);
    if (at < 0) return TrackState.New;
    this.table.setExpiry(at, this.timeouts[simpleTimer(protocol, false)]!);
    return TrackState.New;
  }

  private begin(timeUs: number): void {
    this.entry = -1;
    this.direction = ConnectionDirection.Original;
    this.created = 0;
    this.cause = InvalidCause.None;
    const { clock, table } = this;
    table.tick = clock.advance(timeUs); // CT-06
    // As `catchUp` does: a call less.
    if (clock.setBack !== table.setBack) table.follow(clock.setBack);
  }

  private refuse(cause: InvalidCause): TrackState {
    this.cause = cause;
    return TrackState.Invalid;
  }

  private setEntry(at: number, meta: number): void {
    this.entry = at;
    this.direction = this.key.directionIn(meta);
  }

  /** CT-30: a UDP connection's meta word, marked once it is older than two seconds. */
  private age(meta: number): number {
    const age = (this.table.tick - (meta >>> UdpMeta.BeginShift)) & UdpMeta.BeginMask;
    return age > STREAM_AGE ? meta | UdpMeta.Aged : meta;
  }

  /** CT-01: an accepted packet in the reply direction answers the connection. */
  private confirm(at: number, direction: number): void {
    if (direction === ConnectionDirection.Reply) this.table.words[at + Word.Meta]! |= Meta.SeenReply;
  }

  private refreshTcp(at: number, direction: number): void {
    const { table } = this;
    const { words } = table;
    const meta = words[at + Word.Meta]!;
    const state = (meta & Meta.StateMask) >>> Meta.StateShift;
    // CT-24
    const timer =
      state === TcpState.Established && (meta & Meta.SeenReply) === 0 ? Timer.TcpUnanswered : Timer.Tcp + state;
    table.setExpiry(at, this.timeouts[timer]!);
    if (direction === ConnectionDirection.Reply) words[at + Word.Meta] = meta | Meta.SeenReply;
  }

  /** Makes an entry of the key in hand at `at`, which `find` named, and takes it in hand; where it is, or -1. See `ConnectionTable.insert`. */
  private insert(at: number, direction: ConnectionDirection): number {
    const made = this.table.insert(at, this.key, direction);
    if (made < 0) return made;
    this.entry = made;
    this.direction = direction;
    this.created = 1;
    return made;
  }

  /** The way a row travels in a connection that it opens: what is stated, but an ICMP message knows better. */
  private travels(batch: FlowBatch, row: number, stated: ConnectionDirection): ConnectionDirection {
    const protocol = batch.protocol[row]!;
    const icmp = batch.icmp[row]!;
    if ((protocol !== Protocol.Icmp && protocol !== Protocol.Icmpv6) || icmp < 0) return stated;
    const role = ICMP_ROLES[icmpKind(batch.family[row]!, icmp)]!;
    if (role === IcmpRole.Query) return ConnectionDirection.Original;
    return role === IcmpRole.Reply ? ConnectionDirection.Reply : stated;
  }
}

/** CT-01 */
function stateOf(meta: number, direction: number): TrackState {
  return direction === ConnectionDirection.Reply || (meta & Meta.SeenReply) !== 0
    ? TrackState.Established
    : TrackState.New;
}

function isStreamProtocol(protocol: number): boolean {
  return protocol === Protocol.Udp || protocol === Protocol.UdpLite || protocol === Protocol.Gre;
}
