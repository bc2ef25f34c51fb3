/**
 * The WASM kernel of replay, in AssemblyScript: what `replay.ts` does with a packet, for the packets that are common, over
 * the same memory. It takes staged rows one after another and stops at the first that is not its business, before anything
 * was changed; TypeScript, the reference, takes that row and calls again. So there is nothing that only the kernel knows.
 */
import { Endpoint, EndpointKind, PortIndex } from '../compile/layout.ts';
import { Tables } from '../decide/table-layout.ts';
import { decideRows, find4 } from '../decide/row.as.ts';
import { decide, ENDPOINT_BYTES, findEndpoint4, findEndpoints6 } from '../decide/table.as.ts';
import { Orientation, OrientedBy, RecordedVerdict, RecordFlag, RecordKind, TcpFlag } from '../model/flow.ts';
import { ClockState, Tick } from '../track/clock.ts';
import { Block, Meta, Staged, Step, Word } from '../track/entry.ts';
import {
  advance,
  associate,
  beginOf,
  beginOfRecord,
  directionOf,
  find,
  hasEnded,
  insert,
  reopens,
  settle,
  stepUdp,
  takeUdp,
  TCP,
  timerOf,
  UDP,
} from '../track/table.as.ts';
import { TcpIndex } from '../track/tcp-state.ts';
import { TrackState } from '../track/state.ts';
import { PACKETS, RECORDS, stageBlock } from './block.as.ts';
import { Data, GroupCount, GroupKey, GroupSum } from './group.ts';
import { Column, Memo, MemoKey, Name, State } from './kernel-layout.ts';

/** Takes the staged rows `from` up to `to`; returns the one that it leaves to the reference, or `to`. */
export function run(state: i32, from: i32, to: i32): i32 {
  const rows = load<i32>(state, State.RowPtr * 4);
  for (let first = from; first < to; first += Block.Rows) {
    const end = min<i32>(to, first + Block.Rows);
    stageBlock(state, rows, first, end, RECORDS);
    const left = takeBlock(state, rows, first, end);
    addBlock(state, rows, first, left);
    if (left < end) return left;
  }
  return to;
}

/** Tracks the rows of a block and leaves the data of each one's connection; returns the row that is the reference's, or `to`. */
function takeBlock(state: i32, rows: i32, from: i32, to: i32): i32 {
  const ticks = load<i32>(state, Column.Tick * 4);
  const table = load<i32>(state, State.TablePtr * 4);
  const end = load<i32>(state, State.TableEnd * 4);
  const steps = load<i32>(state, State.StepPtr * 4);
  const timers = load<i32>(state, State.TimerPtr * 4);
  let staged = load<i32>(state, State.StagedPtr * 4);
  for (let taken = from; taken < to; taken++, staged += Staged.Bytes) {
    const row = load<i32>(rows + taken * 4);
    const tick = load<i32>(ticks + row * 4);
    let at = load<i32>(staged, Staged.At);
    if (load<i32>(at, Word.Expiry * 4) <= tick) at = find(table, end, tick, staged);
    if (at > 0) {
      const data = load<i32>(at, Word.Data * 4);
      const code = load<i32>(staged, Staged.Code);
      if (data != 0 && (advance(at, code, tick, steps) != 0 || takeUdp(at, code, tick, timers))) {
        store<i32>(staged, data, Staged.Data);
        continue;
      }
    }
    const data = takeRare(state, row, staged, at, tick);
    if (data == 0) return taken;
    store<i32>(staged, data, Staged.Data);
  }
  return to;
}

/** Where the block in hand ends at the latest. */
function endOf(state: i32): i32 {
  return load<i32>(state, State.StagedPtr * 4) + Block.Rows * Staged.Bytes;
}

/** Adds the rows of a block to the sums of their groups. */
function addBlock(state: i32, rows: i32, from: i32, to: i32): void {
  const times = load<i32>(state, Column.TimeUs * 4);
  const bytes = load<i32>(state, Column.Bytes * 4);
  const replyBytes = load<i32>(state, Column.ReplyBytes * 4);
  const sums = load<i32>(state, State.GroupSumPtr * 4);
  let staged = load<i32>(state, State.StagedPtr * 4);
  for (let taken = from; taken < to; taken++, staged += Staged.Bytes) {
    const row = load<i32>(rows + taken * 4);
    const sum = sumsOf(sums, load<i32>(staged, Staged.Data));
    // Less than nothing is nothing, and what is no number stays none.
    let sizes = v128.load64_lane(replyBytes + row * 8, v128.load64_zero(bytes + row * 8), 1);
    sizes = f64x2.pmax(sizes, f64x2.splat(0));
    const size = f64x2.add(sizes, i64x2.shuffle(sizes, sizes, 1, 0));
    const counted = i64x2.shuffle(f64x2.splat(1), size, 0, 2);
    v128.store(sum, f64x2.add(v128.load(sum, GroupSum.Records * 8), counted), GroupSum.Records * 8);
    const time = v128.load64_splat(times + row * 8);
    const span = v128.load(sum, GroupSum.FirstUs * 8);
    const stays = i64x2.shuffle(f64x2.le(span, time), f64x2.ge(span, time), 0, 3);
    v128.store(sum, v128.bitselect(span, time, v128.or(stays, f64x2.ne(time, time))), GroupSum.FirstUs * 8);
  }
}

/**
 * Takes a row that opens a connection, moves one as packets rarely do, or says more of itself: the data of its connection, or 0 where it is
 * the reference's. `at` is what `find` has found.
 */
function takeRare(state: i32, row: i32, staged: i32, at: i32, tick: i32): i32 {
  if (at > 0 && load<i32>(at, Word.Data * 4) == 0) return 0;
  const code = load<i32>(staged, Staged.Code);
  if (code >>> Step.IndexShift == TcpIndex.Bad) return takeRecord(state, row, staged, at, tick);
  const isUdp = code >= Step.Udp;
  if (!isUdp) {
    at = takeTcp(state, code, at, tick);
    if (at >= 0) return at > 0 ? load<i32>(at, Word.Data * 4) : 0;
  }
  const family: i32 = load<u8>(load<i32>(state, Column.Family * 4) + row);
  return openEntry(state, row, staged, ~at, tick, RecordKind.Packet, isUdp ? TcpFlag.Absent : TcpFlag.Syn, isUdp ? UDP : TCP, family);
}

/** Opens a connection at the place of its entry: its data, or 0 where the reference has to. */
function openEntry(
  state: i32,
  row: i32,
  staged: i32,
  at: i32,
  tick: i32,
  kind: i32,
  bits: i32,
  protocol: i32,
  family: i32,
): i32 {
  const data = open(state, row, kind, bits, protocol, family);
  if (data == 0) return 0;
  const isPacket = kind == RecordKind.Packet;
  const begin = isPacket ? beginOf(protocol, tick) : beginOfRecord(protocol, tick);
  const timeout = isPacket ? load<i32>(load<i32>(state, State.TimerPtr * 4) + timerOf(protocol) * 4) : 1;
  if (!insert(state + State.Table * 4, at, tick, staged, endOf(state), isPacket ? 0 : reply, begin, timeout, data)) return 0;
  countOpening(state, data);
  return data;
}

/** Takes a row that is no plain packet: as `takeRare`. */
function takeRecord(state: i32, row: i32, staged: i32, at: i32, tick: i32): i32 {
  const kind: i32 = load<u8>(load<i32>(state, Column.Kind * 4) + row);
  const family: i32 = load<u8>(load<i32>(state, Column.Family * 4) + row);
  const protocol: i32 = load<u8>(load<i32>(state, Column.Protocol * 4) + row);
  const flags: i32 = load<u16>(load<i32>(state, Column.Flags * 4) + row * 2);
  const ports =
    load<i32>(load<i32>(state, Column.SrcPort * 4) + row * 4) | load<i32>(load<i32>(state, Column.DstPort * 4) + row * 4);
  if (
    kind == RecordKind.Aggregate ||
    family == 0 ||
    load<i32>(load<i32>(state, Column.Policies * 4) + row * 4) != 0 ||
    (flags & RecordFlag.Fragment) != 0 ||
    ports < 0 ||
    (protocol != TCP && protocol != UDP)
  )
    return 0;
  const bits: i32 = protocol == TCP ? load<u16>(load<i32>(state, Column.TcpFlags * 4) + row * 2) : TcpFlag.Absent;
  const timers = load<i32>(state, State.TimerPtr * 4);
  const isPacket = kind == RecordKind.Packet;
  let code = load<i32>(staged, Staged.Code) & 1;
  if (!isPacket) {
    if (at > 0 && bits != TcpFlag.Absent && (bits & (TcpFlag.Syn | TcpFlag.Ack)) == TcpFlag.Syn)
      if (hasEnded(load<i32>(at, Word.Meta * 4))) at = ~at;
  } else if (protocol == TCP) {
    if (bits == TcpFlag.Absent) return 0;
    code |= load<u8>(load<i32>(state, State.IndexPtr * 4) + (bits & 63)) << Step.IndexShift;
    at = takeTcp(state, code, at, tick);
    if (at == 0) return 0;
  } else if (at > 0) stepUdp(at, code, tick, timers);
  if (at < 0) {
    at = ~at;
    if (openEntry(state, row, staged, at, tick, kind, bits, protocol, family) == 0) return 0;
  }
  if (!isPacket) {
    const answered =
      kind == RecordKind.Connection && load<f64>(load<i32>(state, Column.ReplyPackets * 4) + row * 8) > 0;
    associate(at, code, protocol, bits, answered, tick, timers);
  }
  const data = load<i32>(at, Word.Data * 4);
  const verdict: i32 = load<u8>(load<i32>(state, Column.RecordedVerdict * 4) + row);
  if (verdict != RecordedVerdict.None)
    store<i32>(at, countRecorded(load<i32>(state, State.GroupCountPtr * 4), data, verdict), Word.Data * 4);
  return data;
}

/**
 * Takes a TCP packet with its code: its entry, the complement of where to put that of a SYN that opens a connection, or 0 where it is
 * the reference's.
 */
function takeTcp(state: i32, code: i32, at: i32, tick: i32): i32 {
  if (at > 0 && advance(at, code, tick, load<i32>(state, State.StepPtr * 4)) != 0) return at;
  if (code >>> Step.IndexShift != TcpIndex.Syn) return 0;
  if (at < 0) return at;
  const meta = load<i32>(at, Word.Meta * 4);
  return reopens(load<i32>(state, State.TcpPtr * 4), meta, directionOf(meta, code)) ? ~at : 0;
}

/**
 * Of the staged rows `0` up to `count` writes those to `State.RowPtr` that are of the thread's buckets, as `bucketOf` has them, and those
 * of which only the reference knows; returns how many.
 */
export function pick(state: i32, count: i32): i32 {
  const families = load<i32>(state, Column.Family * 4);
  const protocols = load<i32>(state, Column.Protocol * 4);
  const sources = load<i32>(state, Column.Src * 4);
  const destinations = load<i32>(state, Column.Dst * 4);
  const sourcePorts = load<i32>(state, Column.SrcPort * 4);
  const destinationPorts = load<i32>(state, Column.DstPort * 4);
  const first = load<i32>(state, State.FirstBucket * 4);
  const length = load<u32>(state, State.EndBucket * 4) - first;
  const rows = load<i32>(state, State.RowPtr * 4);
  let picked = rows;
  let row = 0;
  for (; row + 4 <= count; row += 4) {
    const protocol = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(protocols + row)));
    const family = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(families + row)));
    const sourcePort = v128.load(sourcePorts + row * 4);
    const port = v128.load(destinationPorts + row * 4);
    const known = v128.and(
      v128.or(i32x4.eq(protocol, i32x4.splat(TCP)), i32x4.eq(protocol, i32x4.splat(UDP))),
      i32x4.ge_s(v128.or(sourcePort, port), i32x4.splat(0)),
    );
    const addresses = i32x4.add(v128.load(sources + row * 4), v128.load(destinations + row * 4));
    const ports = i32x4.add(i32x4.add(sourcePort, port), i32x4.shl(protocol, 17));
    const hash = i32x4.mul(
      v128.xor(addresses, i32x4.mul(ports, i32x4.splat(0x2c1b3c6d))),
      i32x4.splat(0x85ebca6b),
    );
    const bucket = i32x4.shr_u(i32x4.mul(v128.xor(hash, i32x4.shr_u(hash, 15)), i32x4.splat(0xc2b2ae35)), 16);
    const isOwn = i32x4.lt_u(i32x4.sub(bucket, i32x4.splat(first)), i32x4.splat(length));
    const others = v128.or(v128.not(known), i32x4.eq(family, i32x4.splat(0)));
    const own = i32x4.bitmask(v128.or(isOwn, others));
    store<i32>(picked, row);
    picked += (own & 1) << 2;
    store<i32>(picked, row + 1);
    picked += (own & 2) << 1;
    store<i32>(picked, row + 2);
    picked += own & 4;
    store<i32>(picked, row + 3);
    picked += (own & 8) >> 1;
  }
  for (; row < count; row++) {
    const protocol: i32 = load<u8>(protocols + row);
    const sourcePort = load<i32>(sourcePorts + row * 4);
    const port = load<i32>(destinationPorts + row * 4);
    const known =
      i32(load<u8>(families + row) != 0) &
      (i32(protocol == TCP) | i32(protocol == UDP)) &
      i32((sourcePort | port) >= 0);
    const addresses = load<i32>(sources + row * 4) + load<i32>(destinations + row * 4);
    const hash = (addresses ^ ((sourcePort + port + (protocol << 17)) * 0x2c1b3c6d)) * 0x85ebca6b;
    const bucket = ((hash ^ (hash >>> 15)) * 0xc2b2ae35) >>> 16;
    store<i32>(picked, row);
    picked += (i32(u32(bucket - first) < length) | (known ^ 1)) << 2;
  }
  return (picked - rows) >>> 2;
}

/**
 * Writes the ticks of the staged rows `from` up to `to` as `Clock.advance` gives them; returns the row before which the clock has to begin, to be
 * set back or to begin anew, or `to`.
 */
export function stampTicks(state: i32, from: i32, to: i32): i32 {
  const times = load<i32>(state, Column.TimeUs * 4);
  const ticks = load<i32>(state, Column.Tick * 4);
  const clock = load<i32>(state, State.ClockPtr * 4);
  const epochUs = load<f64>(clock, ClockState.EpochUs * 8);
  let fromUs = load<f64>(clock, ClockState.FromUs * 8);
  let toUs = load<f64>(clock, ClockState.ToUs * 8);
  let tick = load<f64>(clock, ClockState.Tick * 8);
  let row = from;
  while (row < to) {
    row = stampWithin(times, ticks, row, to, fromUs, toUs, i32(tick));
    // The four among which time leaves the tick, one by one.
    for (const end = min(to, row + 4); row < end; row++) {
      const time = load<f64>(times + row * 8);
      if (!(time >= fromUs && time < toUs) && time - time == 0) {
        const next = floor((time - epochUs) / <f64>Tick.Us);
        if (!(next <= <f64>Tick.Highest && next >= tick - <f64>Tick.Back)) {
          leaveClock(clock, fromUs, toUs, tick);
          return row;
        }
        if (next >= tick) {
          tick = next;
          fromUs = epochUs + tick * <f64>Tick.Us;
          toUs = fromUs + <f64>Tick.Us;
        }
      }
      store<i32>(ticks + row * 4, i32(tick));
    }
  }
  leaveClock(clock, fromUs, toUs, tick);
  return to;
}

/** As many rows as fall into the tick, four at a time; returns where it stopped. */
function stampWithin(times: i32, ticks: i32, from: i32, to: i32, fromUs: f64, toUs: f64, tick: i32): i32 {
  const first = f64x2.splat(fromUs);
  const end = f64x2.splat(toUs);
  const same = i32x4.splat(tick);
  let row = from;
  for (; row + 4 <= to; row += 4) {
    const one = v128.load(times + row * 8);
    const other = v128.load(times + row * 8, 16);
    const inside = v128.and(
      v128.and(f64x2.ge(one, first), f64x2.lt(one, end)),
      v128.and(f64x2.ge(other, first), f64x2.lt(other, end)),
    );
    if (!i64x2.all_true(inside)) break;
    v128.store(ticks + row * 4, same);
  }
  return row;
}

function leaveClock(clock: i32, fromUs: f64, toUs: f64, tick: f64): void {
  store<f64>(clock, fromUs, ClockState.FromUs * 8);
  store<f64>(clock, toUs, ClockState.ToUs * 8);
  store<f64>(clock, tick, ClockState.Tick * 8);
}

/** Where the sums of a connection's group lie. */
// @ts-ignore: decorator
@inline
function sumsOf(sums: i32, data: i32): i32 {
  return sums + ((data >>> Data.GroupShift) - 1) * (GroupSum.Stride * 8);
}

/** Where its counts lie. */
// @ts-ignore: decorator
@inline
function countsOf(counts: i32, data: i32): i32 {
  return counts + ((data >>> Data.GroupShift) - 1) * (GroupCount.Stride * 8);
}

/** One more connection in a group, whose initiator is known by `by`. */
function countOpening(state: i32, data: i32): void {
  const opened = countsOf(load<i32>(state, State.GroupCountPtr * 4), data);
  store<f64>(opened, load<f64>(opened, GroupCount.Connections * 8) + 1, GroupCount.Connections * 8);
  const oriented = load<i32>(state, State.OrientedPtr * 4) + by * 8;
  store<f64>(oriented, load<f64>(oriented) + 1);
}

/** `countVerdict` of the reference: a connection's data with one more recorded verdict. */
function countRecorded(counts: i32, data: i32, verdict: i32): i32 {
  const own = countsOf(counts, data);
  const isFirewall = verdict >= RecordedVerdict.FirewallAllow;
  const shift: i32 = isFirewall ? Data.FirewallShift : 0;
  const first: i32 = isFirewall ? GroupCount.FirewallAllow : GroupCount.RecordedAllow;
  const had = (data >>> shift) & Data.PolicyMask;
  let said: i32;
  if (isFirewall) {
    said = verdict - RecordedVerdict.FirewallAllow + 1;
    if (said <= had) return data;
  } else {
    if (verdict == RecordedVerdict.Allow || verdict == RecordedVerdict.Audit) said = RECORDED_ALLOW;
    else said = verdict == RecordedVerdict.Deny ? RECORDED_DENY : RECORDED_OTHER;
    if (said == had || had == RECORDED_DENY || (had == RECORDED_ALLOW && said == RECORDED_OTHER)) return data;
  }
  const base = own + (first - 1) * 8;
  if (had != 0) store<f64>(base + had * 8, load<f64>(base + had * 8) - 1);
  store<f64>(base + said * 8, load<f64>(base + said * 8) + 1);
  return data + ((said - had) << shift);
}

/** What a connection's records said of its fate, as the reference numbers it. */
const RECORDED_ALLOW: i32 = 1;
const RECORDED_DENY: i32 = 2;
const RECORDED_OTHER: i32 = 3;

/** Of the opening in hand: its `OrientedBy`, `GUESS` until its ports have been looked at, and 1 where the receiver is the initiator. */
let by: i32 = 0;
let reply: i32 = 0;
const GUESS: i32 = -1;

/** Who opened the connection of a row, as far as it says so itself: sets `by` and `reply`. */
function orient(state: i32, row: i32, kind: i32, bits: i32, protocol: i32): void {
  by = OrientedBy.Flags;
  reply = 0;
  const isPacket = kind == RecordKind.Packet;
  if (isPacket && load<i32>(state, State.IsPacketMode * 4) != 0) return;
  const orientation: i32 = load<u8>(load<i32>(state, Column.Orientation * 4) + row);
  if (orientation != Orientation.Unknown) {
    by = load<u8>(load<i32>(state, Column.OrientedBy * 4) + row);
    reply = i32(orientation == Orientation.Reply);
  } else if (bits != TcpFlag.Absent && (bits & TcpFlag.Syn) != 0) reply = isPacket ? 0 : i32((bits & TcpFlag.Ack) != 0);
  else if (protocol == UDP || !isPacket) by = GUESS;
}

/** Plain addresses, no translation, one connection? */
function isPlain(state: i32, row: i32, src: i32, dst: i32, family: i32): bool {
  const absent =
    load<i32>(load<i32>(state, Column.PreDstPort * 4) + row * 4) &
    load<i32>(load<i32>(state, Column.Icmp * 4) + row * 4);
  return (
    absent == -1 &&
    load<f64>(load<i32>(state, Column.Connections * 4) + row * 8) == 1 &&
    isPlainName(state, load<i32>(load<i32>(state, Column.SrcEndpoint * 4) + row * 4), src, family) &&
    isPlainName(state, load<i32>(load<i32>(state, Column.DstEndpoint * 4) + row * 4), dst, family)
  );
}

/** Does the name of an end, if any, say nothing that the snapshot does not know of the address? */
function isPlainName(state: i32, name: i32, address: i32, family: i32): bool {
  if (name == 0) return true;
  if (name < 0 || name >= Name.Size) return false;
  const at = load<i32>(state, State.NamePtr * 4) + name * (Name.Stride * 4);
  return load<i32>(at, Name.Address * 4) == address && load<i32>(at, Name.Family * 4) == family;
}

/** The data of a connection that a row opens, or 0 where the reference is asked. Sets `by` and `reply`. */
function open(
  state: i32,
  row: i32,
  kind: i32,
  bits: i32,
  protocol: i32,
  family: i32,
): i32 {
  const src = load<i32>(load<i32>(state, Column.Src * 4) + row * 4);
  const dst = load<i32>(load<i32>(state, Column.Dst * 4) + row * 4);
  const sourcePort = load<i32>(load<i32>(state, Column.SrcPort * 4) + row * 4);
  let port = load<i32>(load<i32>(state, Column.DstPort * 4) + row * 4);
  if (!isPlain(state, row, src, dst, family)) return 0;
  orient(state, row, kind, bits, protocol);
  const isPacketMode = load<i32>(state, State.IsPacketMode * 4) != 0;
  // A record of packets in between: the opening is not in the trace.
  const isMidstream =
    !isPacketMode && kind == RecordKind.OneWay && bits != TcpFlag.Absent && (bits & TcpFlag.Syn) == 0;
  const known = isMidstream || reply != 0 ? 0 : remembered(state, src, dst, sourcePort, port, protocol, family);
  if (known != 0 || family != 4) return known;
  const candidate = load<i32>(state, State.CandidatePtr * 4);
  const endpoints = load<i32>(candidate, Tables.Endpoints * 4);
  let source = findEndpoint4(candidate, src);
  let destination = findEndpoint4(candidate, dst);
  let sourceKind = load<i32>(endpoints + source * ENDPOINT_BYTES, Endpoint.Kind * 4) & EndpointKind.Mask;
  let destinationKind = load<i32>(endpoints + destination * ENDPOINT_BYTES, Endpoint.Kind * 4) & EndpointKind.Mask;
  if (max(sourceKind, destinationKind) >= EndpointKind.Node) return 0;
  let isServer: i32 = UNASKED;
  if (by == GUESS) {
    isServer = i32(listens(state, destination, protocol, port));
    reply = i32(!guess(state, source, sourcePort, isServer != 0, protocol, port));
  }
  if (reply != 0 && kind == RecordKind.Packet) return 0;
  let initiator = src;
  let responder = dst;
  if (reply != 0) {
    const end = source;
    const endKind = sourceKind;
    source = destination;
    sourceKind = destinationKind;
    destination = end;
    destinationKind = endKind;
    initiator = dst;
    responder = src;
    port = sourcePort;
  }
  const from = partyOf(state, source, sourceKind, initiator);
  const to = partyOf(state, destination, destinationKind, responder);
  if (from == UNNAMED || to == UNNAMED) return 0;
  const portIndex = (protocol == TCP ? PortIndex.Tcp : PortIndex.Udp) + port;
  const decision = decide(candidate, source, destination, portIndex);
  const other = load<i32>(state, State.BaselinePtr * 4);
  let baseline = -1;
  if (other != 0)
    baseline = decide(other, findEndpoint4(other, initiator), findEndpoint4(other, responder), portIndex);
  if (isPacketMode && (decision & 3) == 0) return 0;
  const key = (protocol << MemoKey.PortShift) | (port + 1);
  const partial = i32(isMidstream || (reply != 0 && !isPacketMode));
  const classes = load<i32>(state, State.ClassPtr * 4);
  const sourceClass = load<i32>(classes + source * 4);
  const destinationClass = load<i32>(classes + destination * 4);
  if (from >= 0 && to >= 0) {
    const found = findGroup(state, from, to, key, decision, baseline, partial, sourceClass, destinationClass);
    if (found != 0) {
      if (partial == 0 && reply == 0) remember(state, src, dst, key, found, source, isServer);
      return found;
    }
    if (load<i32>(state, State.GroupCount * 4) < load<i32>(state, State.GroupRoom * 4))
      return addGroup(state, row, from, to, key, decision, baseline, partial, sourceClass, destinationClass);
  }
  if (load<i32>(state, State.IsFull * 4) == 0) return 0;
  const others = load<i32>(state, State.OthersParty * 4);
  const pooledFrom = sourceKind == EndpointKind.Outside ? others : from;
  const pooledTo = destinationKind == EndpointKind.Outside ? others : to;
  const pooled = findGroup(
    state,
    pooledFrom,
    pooledTo,
    key,
    decision,
    baseline,
    partial,
    sourceClass,
    destinationClass,
  );
  if (pooled != 0) return pooled;
  if (load<i32>(state, State.GroupCount * 4) >= load<i32>(state, State.PoolRoom * 4)) return 0;
  return addGroup(state, row, pooledFrom, pooledTo, key, decision, baseline, partial, sourceClass, destinationClass);
}

/** The data of a connection in the group of the last one of the same ends and port, where that is remembered, or 0. */
function remembered(
  state: i32,
  src: i32,
  dst: i32,
  sourcePort: i32,
  port: i32,
  protocol: i32,
  family: i32,
): i32 {
  const key = (protocol << MemoKey.PortShift) | (port + 1) | (family == 6 ? MemoKey.Ipv6 : 0);
  const at = memoOf(state, src, dst, key);
  if (load<i32>(at, Memo.Key * 4) != key || load<i32>(at, Memo.Src * 4) != src || load<i32>(at, Memo.Dst * 4) != dst)
    return 0;
  if (by == GUESS) {
    const isServer = load<i32>(at, Memo.IsServer * 4);
    if (isServer == UNASKED) return 0;
    if (!guess(state, load<i32>(at, Memo.SourceEndpoint * 4), sourcePort, isServer != 0, protocol, port)) {
      by = GUESS;
      return 0;
    }
  }
  return (load<i32>(at, Memo.Group * 4) + 1) << Data.GroupShift;
}

/** Remembers the group of a connection whose sender is the initiator. */
function remember(state: i32, src: i32, dst: i32, key: i32, data: i32, source: i32, isServer: i32): void {
  const at = memoOf(state, src, dst, key);
  store<i32>(at, src, Memo.Src * 4);
  store<i32>(at, dst, Memo.Dst * 4);
  store<i32>(at, key, Memo.Key * 4);
  store<i32>(at, (data >>> Data.GroupShift) - 1, Memo.Group * 4);
  store<i32>(at, source, Memo.SourceEndpoint * 4);
  store<i32>(at, isServer, Memo.IsServer * 4);
}

/** Of the memo: nobody has asked whether the receiver listens on the port. */
const UNASKED: i32 = -1;

/** The place of the memo at which an opening may be remembered. */
function memoOf(state: i32, src: i32, dst: i32, key: i32): i32 {
  const hash = ((src * 0x9e3779b1) ^ dst) * 0x85ebca6b + key * 0xc2b2ae35;
  const slot = (hash ^ (hash >>> 15)) & (Memo.Size - 1);
  return load<i32>(state, State.MemoPtr * 4) + slot * (Memo.Stride * 4);
}

/** `orientByPorts`, setting `by`; false where the receiver opened the connection. */
function guess(state: i32, source: i32, sourcePort: i32, isServer: bool, protocol: i32, port: i32): bool {
  by = OrientedBy.Ports;
  if (listens(state, source, protocol, sourcePort) != isServer) return isServer;
  const isSourceLow = sourcePort < 1024;
  if (isSourceLow != port < 1024) return !isSourceLow;
  const isSourceEphemeral = isEphemeral(sourcePort);
  if (isSourceEphemeral != isEphemeral(port)) return isSourceEphemeral;
  by = OrientedBy.Assumed;
  return true;
}

function isEphemeral(port: i32): bool {
  return port >= 32_768 && port <= 60_999;
}

function listens(state: i32, endpoint: i32, protocol: i32, port: i32): bool {
  const mask = load<i32>(state, State.ListenMask * 4);
  const slots = load<i32>(state, State.ListenPtr * 4);
  const asked = (protocol << MemoKey.PortShift) | port;
  let slot = ((endpoint * 0x85ebca6b) ^ (asked * 0xc2b2ae35)) & mask;
  while (true) {
    const at = slots + slot * 8;
    const key = load<i32>(at);
    if (key == 0) return false;
    if (key == endpoint + 1 && load<i32>(at, 4) == asked) return true;
    slot = (slot + 1) & mask;
  }
}

/** An end whom TypeScript has to name first, and an outside address that has no party. */
const UNNAMED: i32 = -1;
const STRANGER: i32 = -2;

/** The party at an end. */
function partyOf(state: i32, endpoint: i32, kind: i32, address: u32): i32 {
  if (kind == EndpointKind.Pod) return load<i32>(load<i32>(state, State.PartyPtr * 4) + endpoint * 4);
  const mask = load<i32>(state, State.AddressMask * 4);
  const slots = load<i32>(state, State.AddressPtr * 4);
  let slot = ((address * 0x9e3779b1) >>> 8) & mask;
  while (true) {
    const at = slots + slot * 8;
    const party = load<i32>(at, 4) - 1;
    if (party < 0) return kind == EndpointKind.Outside ? STRANGER : UNNAMED;
    if (load<u32>(at) == address) return party;
    slot = (slot + 1) & mask;
  }
}

/** Where `findGroup` did not find the group, the place in the slots where it belongs. */
let freeSlot: i32 = 0;

/** `GroupTable.intern` for a group that is there: the data of a connection in it, or 0. */
function findGroup(
  state: i32,
  from: i32,
  to: i32,
  port: i32,
  decision: i32,
  baseline: i32,
  partial: i32,
  sourceClass: i32,
  destinationClass: i32,
): i32 {
  let hash: i32 = 0x9e3779b9;
  hash = mix(hash, from);
  hash = mix(hash, to);
  hash = mix(hash, port);
  hash = mix(hash, -1);
  hash = mix(hash, decision);
  hash = mix(hash, baseline);
  hash = mix(hash, partial);
  hash = mix(hash, sourceClass);
  hash = mix(hash, destinationClass);
  const mask = load<i32>(state, State.GroupSlotMask * 4);
  const slots = load<i32>(state, State.GroupSlotPtr * 4);
  const keys = load<i32>(state, State.GroupKeyPtr * 4);
  let slot = hash & mask;
  while (true) {
    const group = load<i32>(slots + slot * 4);
    if (group < 0) {
      freeSlot = slots + slot * 4;
      return 0;
    }
    const at = keys + group * (GroupKey.Stride * 4);
    if (
      load<i32>(at, GroupKey.Source * 4) == from &&
      load<i32>(at, GroupKey.Destination * 4) == to &&
      load<i32>(at, GroupKey.Port * 4) == port &&
      load<i32>(at, GroupKey.Icmp * 4) == -1 &&
      load<i32>(at, GroupKey.Decision * 4) == decision &&
      load<i32>(at, GroupKey.Baseline * 4) == baseline &&
      load<i32>(at, GroupKey.Flags * 4) == partial &&
      load<i32>(at, GroupKey.SourceClass * 4) == sourceClass &&
      load<i32>(at, GroupKey.DestinationClass * 4) == destinationClass
    )
      return (group + 1) << Data.GroupShift;
    slot = (slot + 1) & mask;
  }
}

/** The same for a group that was not found: makes it for a row, whose number is left to TypeScript. */
function addGroup(
  state: i32,
  row: i32,
  from: i32,
  to: i32,
  port: i32,
  decision: i32,
  baseline: i32,
  partial: i32,
  sourceClass: i32,
  destinationClass: i32,
): i32 {
  const group = load<i32>(state, State.GroupCount * 4);
  store<i32>(state, group + 1, State.GroupCount * 4);
  store<i32>(freeSlot, group);
  const at = load<i32>(state, State.GroupKeyPtr * 4) + group * (GroupKey.Stride * 4);
  store<i32>(at, from, GroupKey.Source * 4);
  store<i32>(at, to, GroupKey.Destination * 4);
  store<i32>(at, port, GroupKey.Port * 4);
  store<i32>(at, -1, GroupKey.Icmp * 4);
  store<i32>(at, decision, GroupKey.Decision * 4);
  store<i32>(at, baseline, GroupKey.Baseline * 4);
  store<i32>(at, partial, GroupKey.Flags * 4);
  store<i32>(at, sourceClass, GroupKey.SourceClass * 4);
  store<i32>(at, destinationClass, GroupKey.DestinationClass * 4);
  const sums = load<i32>(state, State.GroupSumPtr * 4) + group * (GroupSum.Stride * 8);
  v128.store(sums, f64x2.splat(0), GroupSum.Records * 8);
  v128.store(sums, f64x2.splat(NaN), GroupSum.FirstUs * 8);
  memory.fill(load<i32>(state, State.GroupCountPtr * 4) + group * (GroupCount.Stride * 8), 0, GroupCount.Stride * 8);
  const added = load<i32>(state, State.NewGroupPtr * 4);
  store<i32>(added, (row << 1) | reply);
  store<i32>(state, added + 4, State.NewGroupPtr * 4);
  return (group + 1) << Data.GroupShift;
}

function mix(hash: i32, word: i32): i32 {
  hash = (hash ^ word) * 0x85ebca6b;
  return hash ^ (hash >>> 15);
}

/**
 * Tracks rows `from` up to `to` and writes the `TrackState` of each to `State.RowPtr` + their number; returns the row that it
 * leaves to the reference, or `to`. Of the columns it reads what a packet has.
 */
export function track(state: i32, from: i32, to: i32): i32 {
  for (let row = from; row < to; row += Block.Rows) {
    const end = min<i32>(to, row + Block.Rows);
    stageBlock(state, 0, row, end, PACKETS);
    const left = trackBlock(state, row, end);
    if (left < end) return left;
  }
  return to;
}

function trackBlock(state: i32, from: i32, to: i32): i32 {
  const ticks = load<i32>(state, Column.Tick * 4);
  const out = load<i32>(state, State.RowPtr * 4);
  const table = load<i32>(state, State.TablePtr * 4);
  const end = load<i32>(state, State.TableEnd * 4);
  const steps = load<i32>(state, State.StepPtr * 4);
  let staged = load<i32>(state, State.StagedPtr * 4);
  for (let row = from; row < to; row++, staged += Staged.Bytes) {
    const tick = load<i32>(ticks + row * 4);
    let at = load<i32>(staged, Staged.At);
    if (load<i32>(at, Word.Expiry * 4) <= tick) at = find(table, end, tick, staged);
    let meta = at > 0 ? advance(at, load<i32>(staged, Staged.Code), tick, steps) : 0;
    if (meta == 0) {
      at = trackRare(state, row, staged, at, tick);
      if (at == 0) return row;
      meta = load<i32>(at, Word.Meta * 4);
    }
    // A reply has been seen, this one or an earlier one.
    store<u8>(out + row, (meta & Meta.SeenReply) != 0 ? TrackState.Established : TrackState.New);
  }
  return to;
}

/** Tracks a packet that opens a connection, or moves one as packets rarely do: its entry, or 0 where it is the reference's. `at` is what `find` has found. */
function trackRare(state: i32, row: i32, staged: i32, at: i32, tick: i32): i32 {
  const code = load<i32>(staged, Staged.Code);
  const isUdp = code >= Step.Udp;
  if (!isUdp) at = takeTcp(state, code, at, tick);
  else if (at > 0) stepUdp(at, code, tick, load<i32>(state, State.TimerPtr * 4));
  if (at >= 0) return at;
  const protocol = isUdp ? UDP : TCP;
  const timeout = load<i32>(load<i32>(state, State.TimerPtr * 4) + timerOf(protocol) * 4);
  return insert(state + State.Table * 4, ~at, tick, staged, endOf(state), 0, beginOf(protocol, tick), timeout, 0) ? ~at : 0;
}

export { findEndpoints6 as find6, settle };
export { decideRows, find4 };
