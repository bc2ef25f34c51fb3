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

/** The key in hand, as `tracker.ts` makes it. */
export let first: i32 = 0;
export let second: i32 = 0;
export let ports: i32 = 0;
export let swapped: i32 = 0;

/** Makes the key of a packet with ports, both directions alike. */
export function keySorted(src: i32, dst: i32, srcPort: i32, dstPort: i32): void {
  if (src < dst || (src == dst && srcPort <= dstPort)) {
    first = src;
    second = dst;
    ports = (srcPort << 16) | dstPort;
    swapped = 0;
  } else {
    first = dst;
    second = src;
    ports = (dstPort << 16) | srcPort;
    swapped = 1;
  }
}

/** Address of the entry of the key in hand, or, negative, the complement of the address at which to put it. */
export function find(table: i32, end: i32, mask: i32, tick: i32, keyMeta: i32): i32 {
  const a = first;
  const b = second;
  const p = ports;
  let hash = (a ^ (p * 0x2c1b3c6d)) * 0x85ebca6b;
  hash = ((hash ^ (hash >>> 15)) + b) * 0xc2b2ae35;
  hash = ((hash ^ (hash >>> 13)) + keyMeta) * 0x27d4eb2f;
  let at = table + ((hash ^ (hash >>> 15)) & mask) * (Word.Count * 4);
  let free = 0;
  while (true) {
    const meta = load<i32>(at, Word.Meta * 4);
    if (meta == 0) return free != 0 ? ~free : ~at;
    if ((meta & Meta.Live) != 0 && load<i32>(at, Word.Expiry * 4) > tick) {
      if (
        load<i32>(at, Word.Ports * 4) == p &&
        load<i32>(at, Word.First * 4) == a &&
        load<i32>(at, Word.Second * 4) == b &&
        (meta & Meta.KeyMask) == keyMeta
      )
        return at;
    } else if (free == 0) free = at;
    at += Word.Count * 4;
    if (at == end) at = table;
  }
}

/** Which way a packet with the key in hand travels in its entry: 0 original, 1 reply. */
export function directionOf(meta: i32): i32 {
  return i32(((meta & Meta.Swapped) != 0 ? 1 : 0) != swapped);
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
    (direction != 0 ? Meta.LastDirection : 0) |
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

/** Puts the key in hand at `at` for a SYN or a UDP packet; false where the table has to grow first. */
export function insert(state: i32, at: i32, tick: i32, keyMeta: i32, protocol: i32, timers: i32, data: i32): bool {
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
