/**
 * The connection table of a replay: open addressing over one Int32Array, six words an entry, linear probing, one key
 * for both directions of a connection. Expired entries stay where they are until a probe, a rehash or a full table
 * finds them; memory follows the live ones. Nothing is allocated per packet.
 *
 * Every rule carries its id (docs/semantics/ct.md); src/oracle/tracker.ts implements the same rules in the plainest
 * form, and a law in test/track holds the two together.
 */
import { Orientation, RecordKind, TcpFlag, type FlowBatch } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import {
  ConnectionDirection,
  DEFAULT_TIMEOUTS,
  InvalidCause,
  TrackState,
  type TableStorage,
  type Timeouts,
  type TrackerOptions,
} from './state.ts';
import { Clock, Tick, type TickSource } from './clock.ts';
import { Meta, Outcome, TableState, Tag, Timer, UdpMeta, Word } from './entry.ts';
import { ICMP_QUERY, ICMP_ROLES, IcmpRole } from './icmp.ts';
import { SctpState, isSctpBundle, isSctpClosing, stepSctp } from './sctp.ts';
import { TCP_INDEX, isTcpClosing, openTcp, setLast, stepTcp } from './tcp.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';

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

const enum Limit {
  /** A timeout in ticks, so that no expiry leaves the range of small integers. */
  LongestTimeout = 0x0fff_ffff,
  /** The same for UDP, in seconds: its connections keep their beginning in fewer bits. */
  LongestUdpSeconds = 1300,
  /** CT-30: the age in ticks up to which replies make no stream. */
  StreamAge = 2 * Tick.PerSecond,
}

const enum Size {
  SmallestCapacity = 1024,
  NoLimit = 0x7fff_ffff,
}

/** The tracker with its table laid open, for a kernel that works on the same memory. */
export class TableTracker implements Tracker {
  entry = -1;
  direction: ConnectionDirection = ConnectionDirection.Original;
  created = 0;
  cause: InvalidCause = InvalidCause.None;
  count = 0;
  peak = 0;
  expired = 0;
  refused = 0;
  evicted = 0;

  /** [slots x 6], see `Word`. */
  words: Int32Array;
  /** [`Timer`] in ticks. */
  readonly timeouts: Int32Array;
  private readonly storage: TableStorage;
  private mask: number;
  private readonly smallestCapacity: number;
  /** Slots that are not empty. */
  private used = 0;
  private usedMost: number;
  private readonly limit: number;
  private readonly looseState: number;
  private readonly clock: TickSource;
  private tick = 0;
  /** What the table's ticks have been set back by. */
  private setBack = 0;
  /** [slots x 2] SCTP's tags; empty until the first association. */
  private tags = new Int32Array(0);
  /** With a limit: no entry expires before this tick. */
  private firstExpiry = 0;
  private nextEviction = -1;

  // The key of the row in hand, set by `keyPacket` and `keyQuote`.
  private first = 0;
  private second = 0;
  private ports = 0;
  private keyMeta = 0;
  /** 1 if the row travels from `second` to `first`. */
  private swapped = 0;

  constructor(options: TrackerOptions) {
    const limit = options.limit ?? Size.NoLimit;
    if (!(limit >= 1)) throw new RangeError(`limit must be at least 1, not ${limit}`);
    this.limit = Math.min(Math.floor(limit), Size.NoLimit);
    this.looseState = (options.isTcpLoose ?? true) ? TcpState.Established : TcpState.Invalid;
    this.clock = options.clock ?? new Clock();
    this.timeouts = createTimers({ ...DEFAULT_TIMEOUTS, ...options.timeouts });
    let capacity: number = Size.SmallestCapacity;
    while (mostOf(capacity) < (options.initialCapacity ?? 0)) capacity *= 2;
    this.smallestCapacity = capacity;
    this.storage = options.storage ?? takeTable;
    this.words = this.storage(capacity * Word.Count, undefined);
    this.mask = capacity - 1;
    this.usedMost = mostOf(capacity);
  }

  get bytes(): number {
    return this.words.byteLength + this.tags.byteLength;
  }

  /** Writes `TableState` to `state[at..]`. */
  writeState(state: Int32Array, at: number): void {
    state[at + TableState.Mask] = this.mask;
    state[at + TableState.Used] = this.used;
    state[at + TableState.UsedMost] = this.usedMost;
    state[at + TableState.Count] = this.count;
    state[at + TableState.Peak] = this.peak;
    state[at + TableState.Expired] = this.expired;
  }

  /** Takes over what somebody else has done to the table since `writeState`. */
  readState(state: Int32Array, at: number): void {
    this.used = state[at + TableState.Used]!;
    this.count = state[at + TableState.Count]!;
    this.peak = state[at + TableState.Peak]!;
    this.expired = state[at + TableState.Expired]!;
  }

  /** Sets the table back with its clock, before somebody else works on it. */
  catchUp(): void {
    if (this.clock.setBack !== this.setBack) this.follow(this.clock.setBack - this.setBack);
  }

  getData(entry: number): number {
    return this.words[entry + Word.Data]!;
  }

  setData(entry: number, value: number): void {
    this.words[entry + Word.Data] = value;
  }

  track(batch: FlowBatch, row: number): TrackState {
    this.begin(batch.timeUs[row]!);
    const family = batch.family[row]!;
    if (family === 0) return TrackState.New; // CT-09
    const protocol = batch.protocol[row]!;
    if (protocol === Protocol.Tcp) return this.trackTcp(batch, row);
    if (protocol === Protocol.Udp || protocol === Protocol.UdpLite) {
      if (batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0) return this.refuse(InvalidCause.NoTransport); // CT-07
      this.keyPorts(batch, row);
      return this.trackSimple(protocol);
    }
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) return this.trackIcmp(batch, row);
    if (protocol === Protocol.Sctp) return this.trackSctp(batch, row);
    this.keyAddresses(batch, row);
    return this.trackSimple(protocol);
  }

  associate(batch: FlowBatch, row: number, orienter?: Orienter): TrackState {
    this.begin(batch.timeUs[row]!);
    if (batch.family[row] === 0) return TrackState.New; // CT-09
    const protocol = batch.protocol[row]!;
    const flags = batch.tcpFlags[row]!;
    const isTcp = protocol === Protocol.Tcp;
    const saysFlags = isTcp && flags !== TcpFlag.Absent;
    this.keyRecord(batch, row);
    let at = this.find();
    const { words } = this;
    if (at >= 0 && saysFlags && (flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn) {
      // CT-72: a lone SYN after the end is the next connection of the same ports.
      const meta = words[at + Word.Meta]!;
      if ((meta & Meta.CloseInit) !== 0 || isTcpClosing((meta & Meta.StateMask) >>> Meta.StateShift)) {
        at = ~at;
      }
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
        this.words[at + Word.Meta]! |=
          (TcpState.Established << Meta.StateShift) | (TcpIndex.Bad << Meta.LastIndexShift);
      else if (protocol === Protocol.Sctp)
        this.words[at + Word.Meta] |= (SctpState.Established << Meta.StateShift) | Meta.TagsUnknown;
    }
    const table = this.words;
    let meta = table[at + Word.Meta]!;
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
    table[at + Word.Meta] = meta;
    // CT-71: records come in intervals, so silence says little.
    const isOpenTcp = isTcp && (meta & Meta.CloseInit) === 0;
    this.setExpiry(at, this.timeouts[isOpenTcp ? Timer.TcpRecord : Timer.Record]!);
    return state;
  }

  adopt(batch: FlowBatch, row: number, direction: ConnectionDirection): void {
    this.begin(batch.timeUs[row]!);
    if (batch.family[row] === 0) return;
    const protocol = batch.protocol[row]!;
    const icmp = batch.icmp[row]!;
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
      const role = ICMP_ROLES[(batch.family[row] === 6 ? 256 : 0) + (icmp >>> 8)]!;
      if (role !== IcmpRole.Query && role !== IcmpRole.Reply) return;
    }
    this.keyRecord(batch, row);
    const found = this.find();
    if (found >= 0) {
      this.setEntry(found, this.words[found + Word.Meta]!);
      return;
    }
    const at = this.insert(~found, this.travels(batch, row, direction));
    if (at < 0) return;
    // CT-74: both directions are taken as seen.
    const { words, timeouts } = this;
    let meta = words[at + Word.Meta]! | Meta.SeenReply | Meta.Assured;
    let timer = simpleTimer(protocol, false);
    if (protocol === Protocol.Tcp) {
      const flags = batch.tcpFlags[row]!;
      const index = flags === TcpFlag.Absent ? TcpIndex.Ack : TCP_INDEX[flags & 63]!;
      let state: TcpState = TcpState.Established;
      if (index === TcpIndex.Fin) state = TcpState.FinWait;
      else if (index === TcpIndex.Rst) state = TcpState.Close;
      else if (index === TcpIndex.SynAck) state = TcpState.SynRecv;
      meta = setLast(meta | (state << Meta.StateShift), index, this.directionOf(meta));
      if (state === TcpState.FinWait) meta |= Meta.CloseInit;
      timer = Timer.Tcp + state;
    } else if (protocol === Protocol.Sctp) {
      meta |= (SctpState.Established << Meta.StateShift) | Meta.TagsUnknown;
      timer = Timer.Sctp + SctpState.Established;
    }
    words[at + Word.Meta] = meta;
    this.setEntry(at, meta);
    this.setExpiry(at, timeouts[timer]!);
  }

  drop(): void {
    if (this.created === 0) return;
    this.bury(this.entry); // CT-04
    this.entry = -1;
    this.created = 0;
  }

  private trackTcp(batch: FlowBatch, row: number): TrackState {
    const flags = batch.tcpFlags[row]!;
    if (flags === TcpFlag.Absent || batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0)
      return this.refuse(InvalidCause.NoTransport); // CT-07
    this.keyPorts(batch, row);
    const index = TCP_INDEX[flags & 63]!;
    let at = this.find();
    if (at >= 0) {
      const { words } = this;
      const meta = words[at + Word.Meta]!;
      this.setEntry(at, meta);
      if (index === TcpIndex.Bad) return this.refuse(InvalidCause.TcpFlags); // CT-10
      const { direction } = this;
      const outcome = stepTcp(words, at, direction, index);
      if (outcome !== Outcome.Reopen) {
        if (outcome === Outcome.Invalid) return this.refuse(InvalidCause.TcpTransition); // CT-03, CT-14
        if (outcome === Outcome.Accept) this.refreshTcp(at, direction);
        else if (outcome === Outcome.Ignore) this.confirm(at, direction);
        else this.bury(at); // CT-21
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
    const { words } = this;
    words[at + Word.Meta] = words[at + Word.Meta]! | (state << Meta.StateShift) | (index << Meta.LastIndexShift);
    this.refreshTcp(at, ConnectionDirection.Original);
    return TrackState.New;
  }

  private trackSctp(batch: FlowBatch, row: number): TrackState {
    const chunks = batch.sctpChunks[row]!;
    if (chunks === 0 || batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0)
      return this.refuse(InvalidCause.NoTransport); // CT-07
    this.keyPorts(batch, row);
    const tag = batch.sctpTag[row]! | 0;
    const initTag = batch.sctpInitTag[row]! | 0;
    let at = this.find();
    if (at >= 0) {
      const meta = this.words[at + Word.Meta]!;
      this.setEntry(at, meta);
      const { direction } = this;
      if (!isSctpBundle(chunks)) return this.refuse(InvalidCause.SctpTransition); // CT-53
      const outcome = stepSctp(this.words, at, this.tags, this.tagsOf(at), direction, chunks, tag, initTag);
      if (outcome === Outcome.InvalidTag) return this.refuse(InvalidCause.SctpTag);
      if (outcome === Outcome.Invalid) return this.refuse(InvalidCause.SctpTransition);
      if (outcome === Outcome.Accept) {
        const state = (this.words[at + Word.Meta]! & Meta.StateMask) >>> Meta.StateShift;
        this.setExpiry(at, this.timeouts[Timer.Sctp + state]!);
      }
      this.confirm(at, direction);
      return stateOf(meta, direction);
    }
    if (!isSctpBundle(chunks)) return this.refuse(InvalidCause.SctpTransition); // CT-53
    at = this.insert(~at, ConnectionDirection.Original);
    if (at < 0) return TrackState.New;
    const outcome = stepSctp(
      this.words,
      at,
      this.tags,
      this.tagsOf(at),
      ConnectionDirection.Original,
      chunks,
      tag,
      initTag,
    );
    if (outcome === Outcome.Accept || outcome === Outcome.Ignore) {
      const state = (this.words[at + Word.Meta]! & Meta.StateMask) >>> Meta.StateShift;
      this.setExpiry(at, this.timeouts[Timer.Sctp + state]!);
      return TrackState.New;
    }
    this.drop();
    return this.refuse(outcome === Outcome.InvalidTag ? InvalidCause.SctpTag : InvalidCause.SctpNoConnection);
  }

  private trackIcmp(batch: FlowBatch, row: number): TrackState {
    const icmp = batch.icmp[row]!;
    if (icmp < 0) return this.refuse(InvalidCause.NoTransport); // CT-07
    const family = batch.family[row]!;
    const protocol = batch.protocol[row]!;
    // CT-42: ICMP within IPv6 or the other way round.
    if ((family === 6) !== (protocol === Protocol.Icmpv6)) return this.refuse(InvalidCause.IcmpType);
    const kind = (family === 6 ? 256 : 0) + (icmp >>> 8);
    const role = ICMP_ROLES[kind]!;
    if (role === IcmpRole.Untracked) return TrackState.New; // CT-47
    if (role === IcmpRole.Error || (role === IcmpRole.Redirect && batch.quote[row]! >= 0))
      return this.trackError(batch, row);
    if (role === IcmpRole.Other || role === IcmpRole.Redirect) return this.refuse(InvalidCause.IcmpType); // CT-42
    this.keyQuery(batch.src[row]!, batch.dst[row]!, batch.srcPort[row]!, kind, icmp, keyMetaOf(family, protocol));
    if (role === IcmpRole.Reply) {
      const at = this.find();
      if (at < 0) return this.refuse(InvalidCause.IcmpNoRequest); // CT-41
    }
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
      !this.keyQuote(batch, quote)
    )
      return this.refuse(InvalidCause.IcmpUnknownQuote);
    const at = this.find();
    if (at < 0) return this.refuse(InvalidCause.IcmpUnknownQuote);
    this.swapped ^= 1;
    this.setEntry(at, this.words[at + Word.Meta]!); // CT-44: nothing else changes
    return TrackState.Related;
  }

  /** Protocols without a machine: NEW until answered, and a timeout. */
  private trackSimple(protocol: number): TrackState {
    let at = this.find();
    if (at >= 0) {
      const { words } = this;
      let meta = words[at + Word.Meta]!;
      if (protocol === Protocol.Udp) meta = this.age(meta);
      this.setEntry(at, meta);
      const { direction } = this;
      // CT-30: the first reply itself does not count, and the connection must be older than two seconds.
      const isStream = (meta & Meta.SeenReply) !== 0 && (protocol !== Protocol.Udp || (meta & UdpMeta.Aged) !== 0);
      words[at + Word.Meta] = isStream && isStreamProtocol(protocol) ? meta | Meta.Assured : meta; // CT-25
      this.setExpiry(at, this.timeouts[simpleTimer(protocol, isStream)]!);
      this.confirm(at, direction);
      return stateOf(meta, direction);
    }
    at = this.insert(~at, ConnectionDirection.Original);
    if (at < 0) return TrackState.New;
    this.setExpiry(at, this.timeouts[simpleTimer(protocol, false)]!);
    return TrackState.New;
  }

  private begin(timeUs: number): void {
    this.entry = -1;
    this.direction = ConnectionDirection.Original;
    this.created = 0;
    this.cause = InvalidCause.None;
    this.tick = this.clock.advance(timeUs); // CT-06
    this.catchUp();
  }

  private refuse(cause: InvalidCause): TrackState {
    this.cause = cause;
    return TrackState.Invalid;
  }

  private setEntry(at: number, meta: number): void {
    this.entry = at;
    this.direction = this.directionOf(meta);
  }

  private directionOf(meta: number): ConnectionDirection {
    return ((meta & Meta.Swapped) === 0 ? 0 : 1) === this.swapped
      ? ConnectionDirection.Original
      : ConnectionDirection.Reply;
  }

  /** CT-30: a UDP connection's meta word, marked once it is older than two seconds. */
  private age(meta: number): number {
    const age = (this.tick - (meta >>> UdpMeta.BeginShift)) & UdpMeta.BeginMask;
    return age > Limit.StreamAge ? meta | UdpMeta.Aged : meta;
  }

  /** CT-01: an accepted packet in the reply direction answers the connection. */
  private confirm(at: number, direction: number): void {
    if (direction === ConnectionDirection.Reply) this.words[at + Word.Meta]! |= Meta.SeenReply;
  }

  private refreshTcp(at: number, direction: number): void {
    const { words } = this;
    const meta = words[at + Word.Meta]!;
    const state = (meta & Meta.StateMask) >>> Meta.StateShift;
    // CT-24
    const timer =
      state === TcpState.Established && (meta & Meta.SeenReply) === 0 ? Timer.TcpUnanswered : Timer.Tcp + state;
    this.setExpiry(at, this.timeouts[timer]!);
    if (direction === ConnectionDirection.Reply) words[at + Word.Meta] = meta | Meta.SeenReply;
  }

  /** CT-05 */
  private setExpiry(at: number, ticks: number): void {
    const expiry = this.tick + ticks;
    this.words[at + Word.Expiry] = expiry;
    if (expiry < this.firstExpiry) this.firstExpiry = expiry;
  }

  // Keys ------------------------------------------------------------------------------------------------------------

  private keyPorts(batch: FlowBatch, row: number): void {
    this.keySorted(
      batch.src[row]! | 0,
      batch.dst[row]! | 0,
      batch.srcPort[row]!,
      batch.dstPort[row]!,
      keyMetaOf(batch.family[row]!, batch.protocol[row]!),
    );
  }

  private keyAddresses(batch: FlowBatch, row: number): void {
    const meta = keyMetaOf(batch.family[row]!, batch.protocol[row]!);
    this.keySorted(batch.src[row]! | 0, batch.dst[row]! | 0, 0, 0, meta);
  }

  private keySorted(src: number, dst: number, srcPort: number, dstPort: number, keyMeta: number): void {
    this.keyMeta = keyMeta;
    if (src < dst || (src === dst && srcPort <= dstPort)) {
      this.first = src;
      this.second = dst;
      this.ports = (srcPort << 16) | dstPort;
      this.swapped = 0;
    } else {
      this.first = dst;
      this.second = src;
      this.ports = (dstPort << 16) | srcPort;
      this.swapped = 1;
    }
  }

  /** CT-40: the type says which way a message travels, so that nothing needs sorting. */
  private keyQuery(src: number, dst: number, id: number, kind: number, icmp: number, keyMeta: number): void {
    this.keyMeta = keyMeta;
    this.ports = ((id < 0 ? 0 : id) << 16) | (ICMP_QUERY[kind]! << 8) | (icmp & 0xff);
    if (ICMP_ROLES[kind] === IcmpRole.Reply) {
      this.first = dst | 0;
      this.second = src | 0;
      this.swapped = 1;
    } else {
      this.first = src | 0;
      this.second = dst | 0;
      this.swapped = 0;
    }
  }

  /** CT-73: what a record does not tell is zero in the key. */
  private keyRecord(batch: FlowBatch, row: number): void {
    const family = batch.family[row]!;
    const protocol = batch.protocol[row]!;
    const meta = keyMetaOf(family, protocol);
    const src = batch.src[row]!;
    const dst = batch.dst[row]!;
    const isIcmp = protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
    const icmp = batch.icmp[row]!;
    if (isIcmp && icmp >= 0) {
      const kind = (family === 6 ? 256 : 0) + (icmp >>> 8);
      if (ICMP_QUERY[kind] !== 0) this.keyQuery(src, dst, batch.srcPort[row]!, kind, icmp, meta);
      else {
        this.keyMeta = meta;
        this.first = src | 0;
        this.second = dst | 0;
        // Not 0, which is what a record without a type has.
        this.ports = (1 << 16) | icmp;
        this.swapped = 0;
      }
    } else if (hasPorts(protocol))
      this.keySorted(
        src | 0,
        dst | 0,
        batch.srcPort[row]! < 0 ? 0 : batch.srcPort[row]!,
        batch.dstPort[row]! < 0 ? 0 : batch.dstPort[row]!,
        meta,
      );
    else this.keySorted(src | 0, dst | 0, 0, 0, meta);
  }

  /** The way a row travels in a connection that it opens: what is stated, but an ICMP message knows better. */
  private travels(batch: FlowBatch, row: number, stated: ConnectionDirection): ConnectionDirection {
    const protocol = batch.protocol[row]!;
    const icmp = batch.icmp[row]!;
    if ((protocol !== Protocol.Icmp && protocol !== Protocol.Icmpv6) || icmp < 0) return stated;
    const role = ICMP_ROLES[(batch.family[row] === 6 ? 256 : 0) + (icmp >>> 8)]!;
    if (role === IcmpRole.Query) return ConnectionDirection.Original;
    return role === IcmpRole.Reply ? ConnectionDirection.Reply : stated;
  }

  private keyQuote(batch: FlowBatch, quote: number): boolean {
    const { quotes } = batch;
    const protocol = quotes.protocol[quote]!;
    const family = quotes.family[quote]!;
    const meta = keyMetaOf(family, protocol);
    const src = quotes.src[quote]!;
    const dst = quotes.dst[quote]!;
    const srcPort = quotes.srcPort[quote]!;
    const dstPort = quotes.dstPort[quote]!;
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
      const icmp = quotes.icmp[quote]!;
      if (icmp < 0 || (family === 6) !== (protocol === Protocol.Icmpv6)) return false;
      const kind = (family === 6 ? 256 : 0) + (icmp >>> 8);
      if (ICMP_QUERY[kind] === 0) return false;
      this.keyQuery(src, dst, srcPort, kind, icmp, meta);
      return true;
    }
    if (hasPorts(protocol)) {
      if (srcPort < 0 || dstPort < 0) return false;
      this.keySorted(src | 0, dst | 0, srcPort, dstPort, meta);
    } else this.keySorted(src | 0, dst | 0, 0, 0, meta);
    return true;
  }

  // The table -------------------------------------------------------------------------------------------------------

  /** Offset of the entry of the key in hand, or the complement of the offset at which to put it. */
  private find(): number {
    const { words, mask, tick, first, second, ports, keyMeta } = this;
    // The products do not wait for one another: this is the longest chain of a packet.
    let hash =
      (Math.imul(first, 0x9e3779b1) + Math.imul(second, 0x85ebca6b) + Math.imul(ports, 0xc2b2ae35) + keyMeta) | 0;
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let at = ((hash ^ (hash >>> 13)) & mask) * Word.Count;
    let free = -1;
    for (;;) {
      const meta = words[at + Word.Meta]!;
      if (meta === 0) return free >= 0 ? ~free : ~at;
      // CT-05: the clock never runs back, so that what has expired once stays expired.
      if ((meta & Meta.Live) !== 0 && words[at + Word.Expiry]! > tick) {
        if (
          words[at + Word.Ports] === ports &&
          words[at + Word.First] === first &&
          words[at + Word.Second] === second &&
          (meta & Meta.KeyMask) === keyMeta
        )
          return at;
      } else if (free < 0) free = at;
      at += Word.Count;
      if (at === words.length) at = 0;
    }
  }

  /**
   * Puts the key in hand at `at`, which `find` named, for a row that travels in `direction`; sets `entry` and the rest. A live entry
   * there is the last connection of the same ends, whose place this one takes. Returns the offset, another one after growth, or -1 if
   * the table is full.
   */
  private insert(at: number, direction: ConnectionDirection): number {
    if (!this.isLive(at)) {
      if (this.count >= this.limit && !this.makeRoom()) {
        this.refused++; // CT-08
        return -1;
      }
      if (this.words[at + Word.Meta] === 0 && this.used >= this.usedMost) {
        this.rehash();
        at = ~this.find();
      }
      const meta = this.words[at + Word.Meta]!;
      if (meta === 0) this.used++;
      if ((meta & Meta.Live) === 0) this.count++;
      else this.expired++;
      if (this.count > this.peak) this.peak = this.count;
    }
    const { words } = this;
    words[at + Word.First] = this.first;
    words[at + Word.Second] = this.second;
    words[at + Word.Ports] = this.ports;
    const isSwapped = (this.swapped === 1) === (direction === ConnectionDirection.Original);
    words[at + Word.Meta] = this.keyMeta | (isSwapped ? Meta.Swapped : 0);
    words[at + Word.Expiry] = this.tick + 1;
    words[at + Word.Data] = 0;
    if ((this.keyMeta & Meta.ProtocolMask) === Protocol.Udp)
      words[at + Word.Meta] = beginUdp(words[at + Word.Meta]!, this.tick);
    else if ((this.keyMeta & Meta.ProtocolMask) === Protocol.Sctp)
      this.tags.fill(0, this.tagsOf(at), this.tagsOf(at) + Tag.Count);
    this.entry = at;
    this.direction = direction;
    this.created = 1;
    return at;
  }

  private isLive(at: number): boolean {
    return (this.words[at + Word.Meta]! & Meta.Live) !== 0 && this.words[at + Word.Expiry]! > this.tick;
  }

  /** Deletes an entry; its words, the caller's among them, can be read until the next call. */
  private bury(at: number): void {
    const { words } = this;
    const next = at + Word.Count;
    if (words[(next === words.length ? 0 : next) + Word.Meta] === 0) {
      words[at + Word.Meta] = 0;
      this.used--;
    } else words[at + Word.Meta] = Meta.Grave;
    this.count--;
  }

  /** CT-08: expired entries go; then, once a second at most, what nf_conntrack's collector gives up above 95 %. */
  private makeRoom(): boolean {
    if (this.tick >= this.firstExpiry) this.sweep();
    if (this.count >= this.limit && this.tick >= this.nextEviction) {
      this.nextEviction = this.tick + Tick.PerSecond;
      const { words } = this;
      for (let at = 0; at < words.length; at += Word.Count) {
        const meta = words[at + Word.Meta]!;
        if ((meta & Meta.Live) !== 0 && isExpendable(meta)) {
          words[at + Word.Meta] = Meta.Grave;
          this.count--;
          this.evicted++;
        }
      }
    }
    return this.count < this.limit;
  }

  private sweep(): void {
    const { words, tick } = this;
    let earliest: number = Size.NoLimit;
    for (let at = 0; at < words.length; at += Word.Count) {
      if ((words[at + Word.Meta]! & Meta.Live) === 0) continue;
      const expiry = words[at + Word.Expiry]!;
      if (expiry > tick) {
        if (expiry < earliest) earliest = expiry;
        continue;
      }
      words[at + Word.Meta] = Meta.Grave;
      this.count--;
      this.expired++;
    }
    this.firstExpiry = earliest;
  }

  /** Leaves graves and expired entries behind; grows only if the living need it, and shrinks when few are left. */
  private rehash(): void {
    this.sweep();
    const before = this.mask + 1;
    let capacity = before;
    while (this.count > capacity * 0.5) capacity *= 2;
    while (capacity > this.smallestCapacity && this.count < capacity * 0.1) capacity /= 2;
    const { first, second, ports, keyMeta, tags: oldTags } = this;
    if (capacity >= before) this.words = this.storage(capacity * Word.Count, this.words);
    // Where the table does not shrink, entries find their new places where they lie: from an empty slot on each one goes to its own slot, to
    // one that was left before it, or to the new half. Those before that slot, and who comes round the end, are put aside.
    const aside: { readonly slot: number; readonly entry: Int32Array }[] = [];
    const isShrunk = capacity < before;
    let start = 0;
    for (; start < before; start++) {
      if (!isShrunk && this.words[start * Word.Count + Word.Meta] === 0) break;
      this.lift(start, aside);
    }
    if (isShrunk) this.words = this.storage(capacity * Word.Count, this.words);
    this.tags = new Int32Array(0);
    this.mask = capacity - 1;
    this.usedMost = mostOf(capacity);
    this.used = this.count;
    const { words } = this;
    for (let slot = start; slot < before; slot++) {
      const from = slot * Word.Count;
      const meta = words[from + Word.Meta]!;
      if (meta === 0) continue;
      words[from + Word.Meta] = 0;
      if ((meta & Meta.Live) === 0) continue;
      this.keyEntry(words, from, meta);
      const to = ~this.find();
      words[from + Word.Meta] = meta;
      if (to === 0) this.lift(slot, aside);
      else if (to !== from) {
        for (let word = 0; word < Word.Count; word++) words[to + word] = words[from + word]!;
        words[from + Word.Meta] = 0;
      }
      if (to !== 0) this.moveTags(meta, oldTags, slot, to);
    }
    for (const { slot, entry } of aside) {
      const meta = entry[Word.Meta]!;
      this.keyEntry(entry, 0, meta);
      const to = ~this.find();
      words.set(entry, to);
      this.moveTags(meta, oldTags, slot, to);
    }
    this.first = first;
    this.second = second;
    this.ports = ports;
    this.keyMeta = keyMeta;
  }

  /** Takes an entry out of the table, if there is one. */
  private lift(slot: number, aside: { readonly slot: number; readonly entry: Int32Array }[]): void {
    const at = slot * Word.Count;
    const entry = this.words.slice(at, at + Word.Count);
    this.words[at + Word.Meta] = 0;
    if ((entry[Word.Meta]! & Meta.Live) !== 0) aside.push({ slot, entry });
  }

  /** Takes the key of an entry in hand. */
  private keyEntry(words: Int32Array, at: number, meta: number): void {
    this.first = words[at + Word.First]!;
    this.second = words[at + Word.Second]!;
    this.ports = words[at + Word.Ports]!;
    this.keyMeta = meta & Meta.KeyMask;
  }

  private moveTags(meta: number, oldTags: Int32Array, slot: number, to: number): void {
    if ((meta & Meta.ProtocolMask) !== Protocol.Sctp) return;
    const at = this.tagsOf(to);
    for (let word = 0; word < Tag.Count; word++) this.tags[at + word] = oldTags[slot * Tag.Count + word]!;
  }

  /** Sets the table's ticks back with the clock; what was to expire by then is expired. */
  private follow(ticks: number): void {
    const { words } = this;
    for (let at = 0; at < words.length; at += Word.Count) {
      const meta = words[at + Word.Meta]!;
      if ((meta & Meta.Live) === 0) continue;
      words[at + Word.Expiry] = Math.max(words[at + Word.Expiry]! - ticks, 0);
      if ((meta & Meta.ProtocolMask) === Protocol.Udp)
        words[at + Word.Meta] = beginUdp(meta, (meta >>> UdpMeta.BeginShift) - ticks);
    }
    this.firstExpiry = 0;
    this.nextEviction = Math.max(this.nextEviction - ticks, 0);
    this.setBack += ticks;
  }

  /** Offset of an entry's tags; makes the table of tags when it is first asked for. */
  private tagsOf(at: number): number {
    const size = (this.mask + 1) * Tag.Count;
    if (this.tags.length !== size) this.tags = new Int32Array(size);
    return Math.trunc(at / Word.Count) * Tag.Count;
  }
}

function takeTable(length: number, old: Int32Array | undefined): Int32Array {
  const table = new Int32Array(length);
  if (old !== undefined) table.set(old.subarray(0, length));
  return table;
}

/** Slots of so many that may be taken: a probe for what is not there looks at four then, and at six where it is seven of ten. */
function mostOf(capacity: number): number {
  return Math.floor(capacity * 0.625);
}

/** CT-01 */
function stateOf(meta: number, direction: number): TrackState {
  return direction === ConnectionDirection.Reply || (meta & Meta.SeenReply) !== 0
    ? TrackState.Established
    : TrackState.New;
}

/** A UDP connection's meta word with another beginning. */
function beginUdp(meta: number, tick: number): number {
  return (meta & ~(UdpMeta.BeginMask << UdpMeta.BeginShift)) | ((tick & UdpMeta.BeginMask) << UdpMeta.BeginShift);
}

function keyMetaOf(family: number, protocol: number): number {
  return protocol | Meta.Live | (family === 6 ? Meta.Ipv6 : 0);
}

function isStreamProtocol(protocol: number): boolean {
  return protocol === Protocol.Udp || protocol === Protocol.UdpLite || protocol === Protocol.Gre;
}

function simpleTimer(protocol: number, isStream: boolean): Timer {
  switch (protocol) {
    case Protocol.Udp: // CT-30
    case Protocol.UdpLite: // CT-31
      return isStream ? Timer.UdpStream : Timer.Udp;
    case Protocol.Gre: // CT-31
      return isStream ? Timer.GreStream : Timer.Gre;
    case Protocol.Icmp:
      return Timer.Icmp;
    case Protocol.Icmpv6:
      return Timer.Icmpv6;
    default: // CT-60
      return Timer.Generic;
  }
}

/** CT-08: not ASSURED, or on its way out. */
function isExpendable(meta: number): boolean {
  if ((meta & Meta.Assured) === 0) return true;
  const state = (meta & Meta.StateMask) >>> Meta.StateShift;
  const protocol = meta & Meta.ProtocolMask;
  if (protocol === Protocol.Tcp) return isTcpClosing(state);
  return protocol === Protocol.Sctp && isSctpClosing(state);
}

function createTimers(timeouts: Timeouts): Int32Array {
  const seconds: [number, number][] = [
    [Timer.Tcp + TcpState.SynSent, timeouts.tcpSynSent],
    [Timer.Tcp + TcpState.SynSent2, timeouts.tcpSynSent],
    [Timer.Tcp + TcpState.SynRecv, timeouts.tcpSynRecv],
    [Timer.Tcp + TcpState.Established, timeouts.tcpEstablished],
    [Timer.Tcp + TcpState.FinWait, timeouts.tcpFinWait],
    [Timer.Tcp + TcpState.CloseWait, timeouts.tcpCloseWait],
    [Timer.Tcp + TcpState.LastAck, timeouts.tcpLastAck],
    [Timer.Tcp + TcpState.TimeWait, timeouts.tcpTimeWait],
    [Timer.Tcp + TcpState.Close, timeouts.tcpClose],
    [Timer.TcpUnanswered, Math.min(timeouts.tcpEstablished, timeouts.tcpUnacknowledged)],
    [Timer.Sctp + SctpState.Closed, timeouts.sctpClosed],
    [Timer.Sctp + SctpState.CookieWait, timeouts.sctpCookieWait],
    [Timer.Sctp + SctpState.CookieEchoed, timeouts.sctpCookieEchoed],
    [Timer.Sctp + SctpState.Established, timeouts.sctpEstablished],
    [Timer.Sctp + SctpState.ShutdownSent, timeouts.sctpShutdownSent],
    [Timer.Sctp + SctpState.ShutdownRecd, timeouts.sctpShutdownRecd],
    [Timer.Sctp + SctpState.ShutdownAckSent, timeouts.sctpShutdownAckSent],
    [Timer.Sctp + SctpState.HeartbeatSent, timeouts.sctpHeartbeatSent],
    [Timer.Udp, timeouts.udp],
    [Timer.UdpStream, timeouts.udpStream],
    [Timer.Icmp, timeouts.icmp],
    [Timer.Icmpv6, timeouts.icmpv6],
    [Timer.Generic, timeouts.generic],
    // CT-31: nf_conntrack_gre_timeout and _stream.
    [Timer.Gre, 30],
    [Timer.GreStream, 180],
    [Timer.Record, timeouts.generic],
    [Timer.TcpRecord, Math.max(timeouts.tcpEstablished, timeouts.generic)],
  ];
  const timers = new Int32Array(Timer.Count);
  for (const [timer, value] of seconds) {
    if (!(value > 0)) throw new RangeError(`a timeout must be a positive number of seconds, not ${value}`);
    // A connection is looked at before the bits that hold its beginning come round.
    if ((timer === Timer.Udp || timer === Timer.UdpStream || timer === Timer.Record) && value > Limit.LongestUdpSeconds)
      throw new RangeError(`a timeout of UDP must be at most ${Limit.LongestUdpSeconds} seconds, not ${value}`);
    timers[timer] = Math.min(Math.max(Math.round(value * Tick.PerSecond), 1), Limit.LongestTimeout);
  }
  return timers;
}
