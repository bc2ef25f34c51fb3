/**
 * The connection table's part of the WASM kernel: the probe of `tracker.ts` and the step of `tcp.ts` over the same memory.
 * AssemblyScript. Only packets that change nothing but their entry's words are taken; for all others the caller hands the
 * row to the reference, which finds the table as it was.
 */
import { Meta, Word } from './entry.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';

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
