/**
 * The connection table's part of the WASM kernel: the probe of `table.ts` and the step of `tcp.ts` over the same memory.
 * AssemblyScript. Only packets that change nothing but their entry's words are taken; for all others the caller hands the
 * row to the reference, which finds the table as it was.
 */
import { TcpFlag } from '../model/flow.ts';
import { Meta, Staged, Step, TableState, Timer, UdpMeta, Word } from './entry.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';

/** CT-30, in ticks. */
const STREAM_AGE: i32 = 200;
export const TCP: i32 = 6;
export const UDP: i32 = 17;
const SCTP: i32 = 132;
export const ENTRY_BYTES: i32 = Word.Count * 4;

/** The entry of a key, of two from `begin` on, or 0. It may have expired. Behind the table there are zeros. */
// @ts-ignore: decorator
@inline
export function probeTwo(begin: i32, key: v128): i32 {
  const mask = i32x4(-1, -1, -1, Meta.KeyMask);
  const pair = i16x8.narrow_i32x4_s(
    i32x4.eq(v128.and(v128.load(begin), mask), key),
    i32x4.eq(v128.and(v128.load(begin, ENTRY_BYTES), mask), key),
  );
  const found = i64x2.bitmask(i64x2.eq(pair, i64x2.splat(-1)));
  return select(begin + (found >> 1) * ENTRY_BYTES, 0, found);
}

/** The same of four. */
// @ts-ignore: decorator
@inline
export function probeFour(begin: i32, key: v128): i32 {
  const mask = i32x4(-1, -1, -1, Meta.KeyMask);
  const pair0 = i16x8.narrow_i32x4_s(
    i32x4.eq(v128.and(v128.load(begin), mask), key),
    i32x4.eq(v128.and(v128.load(begin, ENTRY_BYTES), mask), key),
  );
  const pair1 = i16x8.narrow_i32x4_s(
    i32x4.eq(v128.and(v128.load(begin, ENTRY_BYTES * 2), mask), key),
    i32x4.eq(v128.and(v128.load(begin, ENTRY_BYTES * 3), mask), key),
  );
  // A byte a word, so that all of an entry are a lane.
  const found = i32x4.bitmask(i32x4.eq(i8x16.narrow_i16x8_s(pair0, pair1), i32x4.splat(-1)));
  return select(begin + ctz(found) * ENTRY_BYTES, 0, found);
}

/**
 * `Settle` of the reference, for a table of `mask` + 1 slots: leaves the rest to it at an entry that comes round the end, or whose tags
 * have to move with it.
 */
export function settle(table: i32, mask: i32, from: i32, to: i32): i32 {
  const end = table + (mask + 1) * ENTRY_BYTES;
  let at = table + from * ENTRY_BYTES;
  for (let slot = from; slot < to; slot++, at += ENTRY_BYTES) {
    const meta = load<i32>(at, Word.Meta * 4);
    if (meta == 0) continue;
    if ((meta & Meta.ProtocolMask) == SCTP) return slot;
    store<i32>(at, 0, Word.Meta * 4);
    if ((meta & Meta.Live) == 0) continue;
    let place = table + (hashOf(at, meta & Meta.KeyMask) & mask) * ENTRY_BYTES;
    // Nobody has the same key, and what has expired is no longer live.
    while (place != end && (load<i32>(place, Word.Meta * 4) & Meta.Live) != 0) place += ENTRY_BYTES;
    store<i32>(at, meta, Word.Meta * 4);
    if (place == at) continue;
    if (place == end || place == table) return slot;
    v128.store(place, v128.load(at));
    store<i64>(place, load<i64>(at, Word.Expiry * 4), Word.Expiry * 4);
    store<i32>(at, 0, Word.Meta * 4);
  }
  return to;
}

/** The hash of `tracker.ts`, of an entry. */
// @ts-ignore: decorator
@inline
function hashOf(at: i32, keyMeta: i32): i32 {
  let hash =
    load<i32>(at, Word.First * 4) * 0x9e3779b1 +
    load<i32>(at, Word.Second * 4) * 0x85ebca6b +
    (load<i32>(at, Word.Ports * 4) * 0xc2b2ae35 + keyMeta);
  hash = (hash ^ (hash >>> 15)) * 0x2c1b3c6d;
  return hash ^ (hash >>> 13);
}

/** Address of the entry of a staged packet, or, negative, the complement of the address at which to put it. */
export function find(table: i32, end: i32, tick: i32, staged: i32): i32 {
  let at = load<i32>(staged, Staged.Begin);
  let free = 0;
  while (true) {
    const meta = load<i32>(at, Word.Meta * 4);
    if (meta == 0) return free != 0 ? ~free : ~at;
    if ((meta & Meta.Live) != 0 && load<i32>(at, Word.Expiry * 4) > tick) {
      const difference = v128.xor(v128.load(at), v128.load(staged, Staged.Key));
      if (!v128.any_true(v128.and(difference, i32x4(-1, -1, -1, Meta.KeyMask)))) return at;
    } else if (free == 0) free = at;
    at += ENTRY_BYTES;
    if (at == end) at = table;
  }
}

/** Which way a packet travels in its entry, by the lowest bit of its code: 0 original, 1 reply. */
// @ts-ignore: decorator
@inline
export function directionOf(meta: i32, code: i32): i32 {
  return i32((meta & Meta.Swapped) != 0) ^ (code & 1);
}

/** The bit where the direction is reply, else nothing. */
// @ts-ignore: decorator
@inline
export function bitOf(bit: i32, direction: i32): i32 {
  return direction * bit;
}

/** CT-17, CT-18: does a SYN end this entry, and open the next connection of the same ports? */
export function reopens(transitions: i32, meta: i32, direction: i32): bool {
  const old = (meta & Meta.StateMask) >>> Meta.StateShift;
  if (old < TcpState.TimeWait || load<u8>(transitions + (direction * 5 + TcpIndex.Syn) * 10 + old) != TcpState.SynSent)
    return false;
  if ((meta & Meta.CloseInit) != 0) return true;
  const lastIndex = (meta & Meta.LastIndexMask) >>> Meta.LastIndexShift;
  return lastIndex == TcpIndex.Rst && ((meta & Meta.LastDirection) != 0 ? 1 : 0) == direction;
}

/**
 * Takes a TCP packet of a known entry by its code: writes and returns its new meta word, and when it expires. 0 where the packet is not
 * ordinary, and nothing was written.
 */
// @ts-ignore: decorator
@inline
export function advance(at: i32, code: i32, tick: i32, steps: i32): i32 {
  const meta = load<i32>(at, Word.Meta * 4);
  const step = steps + (((meta >>> Step.MetaShift) & Step.Mask) ^ code) * (Step.Stride * 4);
  const bits = load<i32>(step, Step.Bits * 4);
  if ((bits & meta & (Meta.Live | Meta.Challenge)) != 0) return 0;
  const next = (meta & ~Step.Replaced) | (bits & ~Meta.Challenge);
  store<i32>(at, next, Word.Meta * 4);
  store<i32>(at, tick + load<i32>(step, Step.Ticks * 4), Word.Expiry * 4);
  return next;
}

/** Takes a packet of a known entry if its code is UDP's. */
// @ts-ignore: decorator
@inline
export function takeUdp(at: i32, code: i32, tick: i32, timers: i32): bool {
  if (code < Step.Udp) return false;
  stepUdp(at, code, tick, timers);
  return true;
}

/** Takes a UDP packet of a known entry. */
export function stepUdp(at: i32, code: i32, tick: i32, timers: i32): void {
  const direction = directionOf(load<i32>(at, Word.Meta * 4), code);
  let meta = ageUdp(load<i32>(at, Word.Meta * 4), tick);
  let timer: i32 = Timer.Udp;
  if ((meta & Meta.SeenReply) != 0 && (meta & UdpMeta.Aged) != 0) {
    meta |= Meta.Assured;
    timer = Timer.UdpStream;
  }
  store<i32>(at, meta | bitOf(Meta.SeenReply, direction), Word.Meta * 4);
  store<i32>(at, tick + load<i32>(timers + timer * 4), Word.Expiry * 4);
}

/**
 * Takes a record that is no packet, of a known entry: its meta word and when it expires. `bits` are its TCP flags, or `TcpFlag.Absent`;
 * `answered`: the record speaks of both directions.
 */
export function associate(
  at: i32,
  code: i32,
  protocol: i32,
  bits: i32,
  answered: bool,
  tick: i32,
  timers: i32,
): void {
  let meta = load<i32>(at, Word.Meta * 4);
  const direction = directionOf(meta, code);
  if (protocol == UDP) meta = ageUdp(meta, tick);
  if (direction != 0 || answered) meta |= Meta.SeenReply | Meta.Assured;
  if (bits != TcpFlag.Absent && (bits & (TcpFlag.Fin | TcpFlag.Rst)) != 0) meta |= Meta.CloseInit;
  store<i32>(at, meta, Word.Meta * 4);
  // CT-71
  const timer: i32 = protocol == TCP && (meta & Meta.CloseInit) == 0 ? Timer.TcpRecord : Timer.Record;
  store<i32>(at, tick + load<i32>(timers + timer * 4), Word.Expiry * 4);
}

/** CT-72: has the connection of an entry ended, so that a lone SYN is the next one's? */
export function hasEnded(meta: i32): bool {
  const state = (meta & Meta.StateMask) >>> Meta.StateShift;
  return (meta & Meta.CloseInit) != 0 || (state >= TcpState.FinWait && state <= TcpState.Close);
}

/** The bits of an entry's meta word that an opening begins with: those of a SYN or of a UDP packet. */
// @ts-ignore: decorator
@inline
export function beginOf(protocol: i32, tick: i32): i32 {
  return protocol == TCP
    ? (TcpState.SynSent << Meta.StateShift) | (TcpIndex.Syn << Meta.LastIndexShift)
    : (tick & UdpMeta.BeginMask) << UdpMeta.BeginShift;
}

/** How long an entry lives that a SYN or a UDP packet has opened: `Timer`. */
// @ts-ignore: decorator
@inline
export function timerOf(protocol: i32): i32 {
  return protocol == TCP ? Timer.Tcp + TcpState.SynSent : Timer.Udp;
}

/** `beginOf` for a record: the handshake is not in question (CT-70). */
export function beginOfRecord(protocol: i32, tick: i32): i32 {
  return protocol == TCP
    ? (TcpState.Established << Meta.StateShift) | (TcpIndex.Bad << Meta.LastIndexShift)
    : beginOf(protocol, tick);
}

/** The meta word of a UDP entry after a packet; `Aged` where replies make a stream by now (CT-30). */
export function ageUdp(meta: i32, tick: i32): i32 {
  return ((tick - (meta >>> UdpMeta.BeginShift)) & UdpMeta.BeginMask) > STREAM_AGE ? meta | UdpMeta.Aged : meta;
}

/**
 * Puts the key of a staged packet at `at`, its sender as the initiator unless `reply` is 1, as `table.ts` does; false where the table
 * has to grow first. `last`: the end of the block, whose packets may have found an entry there that has expired.
 */
export function insert(
  state: i32,
  at: i32,
  tick: i32,
  staged: i32,
  last: i32,
  reply: i32,
  begin: i32,
  timeout: i32,
  data: i32,
): bool {
  const meta = load<i32>(at, Word.Meta * 4);
  if (meta == 0) {
    const used = load<i32>(state, TableState.Used * 4);
    if (used >= load<i32>(state, TableState.UsedMost * 4)) return false;
    store<i32>(state, used + 1, TableState.Used * 4);
  }
  if ((meta & Meta.Live) == 0) {
    const count = load<i32>(state, TableState.Count * 4) + 1;
    store<i32>(state, count, TableState.Count * 4);
    if (count > load<i32>(state, TableState.Peak * 4)) store<i32>(state, count, TableState.Peak * 4);
  } else if (load<i32>(at, Word.Expiry * 4) <= tick) {
    store<i32>(state, load<i32>(state, TableState.Expired * 4) + 1, TableState.Expired * 4);
    for (let other = staged; other < last; other += Staged.Bytes)
      if (load<i32>(other, Staged.At) == at) store<i32>(other, 0, Staged.At);
  }
  const key = v128.load(staged, Staged.Key);
  v128.store(at, key);
  const swapped = (load<i32>(staged, Staged.Code) & 1) ^ reply;
  store<i32>(at, i32x4.extract_lane(key, 3) | begin | bitOf(Meta.Swapped, swapped), Word.Meta * 4);
  store<i32>(at, tick + timeout, Word.Expiry * 4);
  store<i32>(at, data, Word.Data * 4);
  return true;
}
