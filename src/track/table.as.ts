/**
 * The connection table's part of the WASM kernel: the probe of `tracker.ts` and the step of `tcp.ts` over the same memory.
 * AssemblyScript. Only packets that change nothing but their entry's words are taken; for all others the caller hands the
 * row to the reference, which finds the table as it was.
 */
import { TcpFlag } from '../model/flow.ts';
import { Meta, TableState, Timer, UdpMeta, Word } from './entry.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';

/** CT-30, in ticks. */
const STREAM_AGE: i32 = 200;
export const TCP: i32 = 6;
export const UDP: i32 = 17;

/** True where a packet's key has its ends changed over, as `tracker.ts` orders them. */
// @ts-ignore: decorator
@inline
export function isSwapped(src: i32, dst: i32, srcPort: i32, dstPort: i32): i32 {
  return i32(src > dst) | (i32(src == dst) & i32(srcPort > dstPort));
}

/** What must be equal in the meta word of an entry beside its key words. */
// @ts-ignore: decorator
@inline
export function keyMetaOf(protocol: i32, family: i32): i32 {
  return protocol | Meta.Live | (family == 6 ? Meta.Ipv6 : 0);
}

/** The ports of a row as the key has them. */
// @ts-ignore: decorator
@inline
function portsOf(srcPort: i32, dstPort: i32, swapped: i32): i32 {
  return select((dstPort << 16) | srcPort, (srcPort << 16) | dstPort, swapped);
}

/** Where the probe for a key begins. */
// @ts-ignore: decorator
@inline
function placeOf(table: i32, mask: i32, first: i32, second: i32, ports: i32, keyMeta: i32): i32 {
  let hash = first * 0x9e3779b1 + second * 0x85ebca6b + ports * 0xc2b2ae35 + keyMeta;
  hash = (hash ^ (hash >>> 15)) * 0x2c1b3c6d;
  return table + ((hash ^ (hash >>> 13)) & mask) * (Word.Count * 4);
}

/** Loads a word of where the probe for a row's ends begins, so that it is in the cache when its turn comes. */
// @ts-ignore: decorator
@inline
export function touch(
  table: i32,
  mask: i32,
  src: i32,
  dst: i32,
  srcPort: i32,
  dstPort: i32,
  keyMeta: i32,
): i32 {
  const swapped = isSwapped(src, dst, srcPort, dstPort);
  const ports = portsOf(srcPort, dstPort, swapped);
  const at = placeOf(table, mask, select(dst, src, swapped), select(src, dst, swapped), ports, keyMeta);
  return load<i32>(at, Word.Meta * 4);
}

/** Address of the entry of a row's ends, or, negative, the complement of the address at which to put it. */
// @ts-ignore: decorator
@inline
export function find(
  table: i32,
  end: i32,
  mask: i32,
  tick: i32,
  src: i32,
  dst: i32,
  srcPort: i32,
  dstPort: i32,
  swapped: i32,
  keyMeta: i32,
): i32 {
  const first = select(dst, src, swapped);
  const second = select(src, dst, swapped);
  const ports = portsOf(srcPort, dstPort, swapped);
  let at = placeOf(table, mask, first, second, ports, keyMeta);
  let free = 0;
  while (true) {
    const meta = load<i32>(at, Word.Meta * 4);
    if (meta == 0) {
      at = free != 0 ? ~free : ~at;
      break;
    }
    if ((meta & Meta.Live) != 0 && load<i32>(at, Word.Expiry * 4) > tick) {
      const difference =
        (load<i32>(at, Word.Ports * 4) ^ ports) |
        (load<i32>(at, Word.First * 4) ^ first) |
        (load<i32>(at, Word.Second * 4) ^ second) |
        ((meta & Meta.KeyMask) ^ keyMeta);
      if (difference == 0) break;
    } else if (free == 0) free = at;
    at += Word.Count * 4;
    if (at == end) at = table;
  }
  return at;
}

/** `find`, where a SYN may end the entry that it finds and open the next connection of the same ends: the place of that. */
// @ts-ignore: decorator
@inline
export function findForTcp(
  table: i32,
  end: i32,
  mask: i32,
  tick: i32,
  src: i32,
  dst: i32,
  srcPort: i32,
  dstPort: i32,
  swapped: i32,
  keyMeta: i32,
  index: i32,
  transitions: i32,
  state: i32,
): i32 {
  let at = find(table, end, mask, tick, src, dst, srcPort, dstPort, swapped, keyMeta);
  if (at > 0 && index == TcpIndex.Syn) {
    const meta = load<i32>(at, Word.Meta * 4);
    if (reopens(transitions, meta, directionOf(meta, swapped))) {
      // The reference does the same first, so that it may take the row from here.
      bury(table, end, at, state);
      at = findAgain(table, end, mask, tick, src, dst, srcPort, dstPort, swapped, keyMeta);
    }
  }
  return at;
}

/** `find` where it is seldom asked. */
export function findAgain(
  table: i32,
  end: i32,
  mask: i32,
  tick: i32,
  src: i32,
  dst: i32,
  srcPort: i32,
  dstPort: i32,
  swapped: i32,
  keyMeta: i32,
): i32 {
  return find(table, end, mask, tick, src, dst, srcPort, dstPort, swapped, keyMeta);
}

/** Which way a packet travels in its entry: 0 original, 1 reply. */
// @ts-ignore: decorator
@inline
export function directionOf(meta: i32, swapped: i32): i32 {
  return i32((meta & Meta.Swapped) != 0) ^ swapped;
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

/** The meta word of an entry after a packet that `tcp.ts` accepts or ignores; 0 where it does neither. */
// @ts-ignore: decorator
@inline
export function stepTcp(transitions: i32, meta: i32, direction: i32, index: i32): i32 {
  const old = (meta & Meta.StateMask) >>> Meta.StateShift;
  const next: i32 = load<u8>(transitions + (direction * 5 + index) * 10 + old);
  // What is out of the ordinary is the reference's.
  if (next >= TcpState.SynSent2) return 0;
  if (next == TcpState.TimeWait && (meta & Meta.Challenge) != 0) return 0;
  if (next == TcpState.SynSent && old >= TcpState.TimeWait) return 0;
  if (next == TcpState.SynRecv && direction == 1 && index == TcpIndex.Ack) return 0;
  meta =
    (meta & ~(Meta.LastIndexMask | Meta.LastDirection | Meta.StateMask)) |
    (index << Meta.LastIndexShift) |
    bitOf(Meta.LastDirection, direction) |
    (next << Meta.StateShift);
  if (next == TcpState.FinWait && old != next) meta |= Meta.CloseInit;
  if ((meta & Meta.SeenReply) == 0) return index == TcpIndex.Rst ? 0 : meta;
  if (next == TcpState.Established && (old == TcpState.SynRecv || old == TcpState.Established)) meta |= Meta.Assured;
  return meta;
}

/**
 * Takes a packet of a known entry, of which `meta` is the meta word: writes its new meta word and when it expires. False where the
 * packet is the reference's, and nothing was written.
 */
// @ts-ignore: decorator
@inline
export function advance(
  at: i32,
  meta: i32,
  direction: i32,
  protocol: i32,
  index: i32,
  tick: i32,
  transitions: i32,
  timers: i32,
): bool {
  let timer: i32;
  if (protocol == TCP) {
    meta = index == TcpIndex.Bad ? 0 : stepTcp(transitions, meta, direction, index);
    if (meta == 0) return false;
    const next = (meta & Meta.StateMask) >>> Meta.StateShift;
    timer = next == TcpState.Established && (meta & Meta.SeenReply) == 0 ? Timer.TcpUnanswered : Timer.Tcp + next;
  } else {
    meta = ageUdp(meta, tick);
    timer = Timer.Udp;
    if ((meta & Meta.SeenReply) != 0 && (meta & UdpMeta.Aged) != 0) {
      meta |= Meta.Assured;
      timer = Timer.UdpStream;
    }
  }
  store<i32>(at, meta | bitOf(Meta.SeenReply, direction), Word.Meta * 4);
  store<i32>(at, tick + load<i32>(timers + timer * 4), Word.Expiry * 4);
  return true;
}

/**
 * Takes a record that is no packet, of a known entry: its meta word and when it expires. `bits` are its TCP flags, or `TcpFlag.Absent`;
 * `answered`: the record speaks of both directions.
 */
export function associate(
  at: i32,
  direction: i32,
  protocol: i32,
  bits: i32,
  answered: bool,
  tick: i32,
  timers: i32,
): void {
  let meta = load<i32>(at, Word.Meta * 4);
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

/** Deletes an entry. `state` is that of the table, `TableState`. */
export function bury(table: i32, end: i32, at: i32, state: i32): void {
  const next = at + Word.Count * 4;
  if (load<i32>(next == end ? table : next, Word.Meta * 4) == 0) {
    store<i32>(at, 0, Word.Meta * 4);
    store<i32>(state, load<i32>(state, TableState.Used * 4) - 1, TableState.Used * 4);
  } else store<i32>(at, Meta.Grave, Word.Meta * 4);
  store<i32>(state, load<i32>(state, TableState.Count * 4) - 1, TableState.Count * 4);
}

/** Puts the key of a row's ends at `at`, its sender as the initiator unless `reply` is 1; false where the table has to grow first. */
export function insert(
  state: i32,
  at: i32,
  tick: i32,
  src: i32,
  dst: i32,
  srcPort: i32,
  dstPort: i32,
  swapped: i32,
  reply: i32,
  keyMeta: i32,
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
  } else store<i32>(state, load<i32>(state, TableState.Expired * 4) + 1, TableState.Expired * 4);
  store<i32>(at, select(dst, src, swapped), Word.First * 4);
  store<i32>(at, select(src, dst, swapped), Word.Second * 4);
  store<i32>(at, portsOf(srcPort, dstPort, swapped), Word.Ports * 4);
  store<i32>(at, keyMeta | begin | bitOf(Meta.Swapped, swapped ^ reply), Word.Meta * 4);
  store<i32>(at, tick + timeout, Word.Expiry * 4);
  store<i32>(at, data, Word.Data * 4);
  return true;
}
