/**
 * The connection table's part of the WASM kernel: the probe of `tracker.ts` and the step of `tcp.ts` over the same memory.
 * AssemblyScript. Only packets that change nothing but their entry's words are taken; for all others the caller hands the
 * row to the reference, which finds the table as it was.
 */
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

/** Address of the entry of a key, or, negative, the complement of the address at which to put it. */
// @ts-ignore: decorator
@inline
export function find(
  table: i32,
  end: i32,
  mask: i32,
  tick: i32,
  first: i32,
  second: i32,
  ports: i32,
  keyMeta: i32,
): i32 {
  let hash = first * 0x9e3779b1 + second * 0x85ebca6b + ports * 0xc2b2ae35 + keyMeta;
  hash = (hash ^ (hash >>> 15)) * 0x2c1b3c6d;
  let at = table + ((hash ^ (hash >>> 13)) & mask) * (Word.Count * 4);
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

/** Which way a packet travels in its entry: 0 original, 1 reply. */
// @ts-ignore: decorator
@inline
export function directionOf(meta: i32, swapped: i32): i32 {
  return ((meta >>> 11) & 1) ^ swapped;
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
    (direction << 21) |
    (next << Meta.StateShift);
  if (next == TcpState.FinWait && old != next) meta |= Meta.CloseInit;
  if ((meta & Meta.SeenReply) == 0) return index == TcpIndex.Rst ? 0 : meta;
  if (next == TcpState.Established && (old == TcpState.SynRecv || old == TcpState.Established)) meta |= Meta.Assured;
  return meta;
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

/** Puts a key at `at` for a SYN or a UDP packet; false where the table has to grow first. */
export function insert(
  state: i32,
  at: i32,
  tick: i32,
  first: i32,
  second: i32,
  ports: i32,
  swapped: i32,
  keyMeta: i32,
  protocol: i32,
  timers: i32,
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
  let next = keyMeta | (swapped != 0 ? Meta.Swapped : 0);
  let timer: i32 = Timer.Udp;
  if (protocol == TCP) {
    next |= (TcpState.SynSent << Meta.StateShift) | (TcpIndex.Syn << Meta.LastIndexShift);
    timer = Timer.Tcp + TcpState.SynSent;
  } else next |= (tick & UdpMeta.BeginMask) << UdpMeta.BeginShift;
  store<i32>(at, first, Word.First * 4);
  store<i32>(at, second, Word.Second * 4);
  store<i32>(at, ports, Word.Ports * 4);
  store<i32>(at, next, Word.Meta * 4);
  store<i32>(at, tick + load<i32>(timers + timer * 4), Word.Expiry * 4);
  store<i32>(at, data, Word.Data * 4);
  return true;
}
