/**
 * A block of rows on its way through the kernel, step by step: first the keys of all of them, four at a time, then the entries of all
 * of them. What one row waits for, the others do not wait for, and no step asks a question whose answer nobody can guess.
 * AssemblyScript.
 */
import { RecordFlag, TcpFlag } from '../model/flow.ts';
import { Block, Meta, Staged, Step, TableState, Word } from '../track/entry.ts';
import { ENTRY_BYTES, probeFour, probeTwo, TCP, UDP } from '../track/table.as.ts';
import { TcpIndex } from '../track/tcp-state.ts';
import { Column, State } from './kernel-layout.ts';

/** Of which columns a block is made: those of a packet, or all that may set a record apart. */
export const PACKETS: i32 = 0;
export const RECORDS: i32 = 1;

/**
 * Stages rows `from` up to `to`, at most `Block.Rows`, or those whose places stand in `rows`: their keys, and the entry of each whose
 * probe ends soon. To a row that is no plain TCP packet no step is ordinary.
 */
// @ts-ignore: decorator
@inline
export function stageBlock(state: i32, rows: i32, from: i32, to: i32, columns: i32): void {
  const block = load<i32>(state, State.StagedPtr * 4);
  const table = i32x4.splat(load<i32>(state, State.TablePtr * 4));
  const mask = i32x4.splat(load<i32>(state + State.Table * 4, TableState.Mask * 4));
  const indices = load<i32>(state, State.IndexPtr * 4);
  // PSH never matters, so that two times sixteen are all that there are.
  const indices0 = v128.load64_lane(indices, v128.load64_zero(indices), 1, 16);
  const indices1 = v128.load64_lane(indices, v128.load64_zero(indices, 32), 1, 48);
  let staged = block;
  // Rows behind the last are read up to a multiple of four, and what is made of them is nobody's.
  for (let at = from; at < to; at += 4, staged += 4 * Staged.Bytes) {
    let src: v128;
    let dst: v128;
    let srcPort: v128;
    let dstPort: v128;
    let family: v128;
    let protocol: v128;
    let flags: v128;
    let special = i32x4.splat(0);
    const places = rows + at * 4;
    const row = columns == RECORDS ? load<i32>(places) : at;
    if (columns == PACKETS || isRun(places, row)) {
      src = v128.load(load<i32>(state, Column.Src * 4) + row * 4);
      dst = v128.load(load<i32>(state, Column.Dst * 4) + row * 4);
      srcPort = v128.load(load<i32>(state, Column.SrcPort * 4) + row * 4);
      dstPort = v128.load(load<i32>(state, Column.DstPort * 4) + row * 4);
      family = loadBytes(load<i32>(state, Column.Family * 4) + row);
      protocol = loadBytes(load<i32>(state, Column.Protocol * 4) + row);
      flags = v128.load_ext<u16>(load<i32>(state, Column.TcpFlags * 4) + row * 2);
      if (columns == RECORDS) {
        special = v128.and(v128.load_ext<u16>(load<i32>(state, Column.Flags * 4) + row * 2), i32x4.splat(RecordFlag.Fragment));
        special = v128.or(special, v128.load(load<i32>(state, Column.Policies * 4) + row * 4));
        special = v128.or(special, loadBytes(load<i32>(state, Column.Kind * 4) + row));
        special = v128.or(special, loadBytes(load<i32>(state, Column.RecordedVerdict * 4) + row));
      }
    } else {
      src = gather<i32>(state, Column.Src, places);
      dst = gather<i32>(state, Column.Dst, places);
      srcPort = gather<i32>(state, Column.SrcPort, places);
      dstPort = gather<i32>(state, Column.DstPort, places);
      family = gather<u8>(state, Column.Family, places);
      protocol = gather<u8>(state, Column.Protocol, places);
      flags = gather<u16>(state, Column.TcpFlags, places);
      special = v128.and(gather<u16>(state, Column.Flags, places), i32x4.splat(RecordFlag.Fragment));
      special = v128.or(special, gather<i32>(state, Column.Policies, places));
      special = v128.or(special, gather<u8>(state, Column.Kind, places));
      special = v128.or(special, gather<u8>(state, Column.RecordedVerdict, places));
    }
    const swapped = v128.or(i32x4.gt_s(src, dst), v128.and(i32x4.eq(src, dst), i32x4.gt_s(srcPort, dstPort)));
    const first = i32x4.min_s(src, dst);
    const second = i32x4.max_s(src, dst);
    const turned = v128.and(v128.xor(srcPort, dstPort), swapped);
    const ports = v128.or(i32x4.shl(v128.xor(srcPort, turned), 16), v128.xor(dstPort, turned));
    // Of 4 and 6 only 6 has the bit that becomes this one.
    const ipv6 = v128.and(i32x4.shl(family, 7), i32x4.splat(Meta.Ipv6));
    const keyMeta = v128.or(v128.or(protocol, i32x4.splat(Meta.Live)), ipv6);
    // The hash of `table.ts`.
    let hash = i32x4.add(
      i32x4.add(i32x4.mul(first, i32x4.splat(0x9e3779b1)), i32x4.mul(second, i32x4.splat(0x85ebca6b))),
      i32x4.add(i32x4.mul(ports, i32x4.splat(0xc2b2ae35)), keyMeta),
    );
    hash = i32x4.mul(v128.xor(hash, i32x4.shr_u(hash, 15)), i32x4.splat(0x2c1b3c6d));
    const slot = v128.and(v128.xor(hash, i32x4.shr_u(hash, 13)), mask);
    const begin = i32x4.add(table, i32x4.mul(slot, i32x4.splat(Word.Count * 4)));
    let isBad = v128.or(i32x4.shr_s(v128.or(srcPort, dstPort), 31), i32x4.eq(family, i32x4.splat(0)));
    const isUdp = i32x4.eq(protocol, i32x4.splat(UDP));
    isBad = v128.or(isBad, v128.not(v128.or(isUdp, i32x4.eq(protocol, i32x4.splat(TCP)))));
    if (columns == RECORDS) isBad = v128.or(isBad, i32x4.ne(special, i32x4.splat(0)));
    const isOther = v128.or(isBad, isUdp);
    const other = i32x4.add(i32x4.splat(Step.Udp >> Step.IndexShift), isBad);
    const index = v128.bitselect(other, indexOf(indices0, indices1, flags), isOther);
    const code = i32x4.sub(i32x4.shl(index, Step.IndexShift), swapped);
    const low01 = i32x4.shuffle(first, second, 0, 4, 1, 5);
    const high01 = i32x4.shuffle(ports, keyMeta, 0, 4, 1, 5);
    const low23 = i32x4.shuffle(first, second, 2, 6, 3, 7);
    const high23 = i32x4.shuffle(ports, keyMeta, 2, 6, 3, 7);
    const rest01 = i32x4.shuffle(begin, code, 0, 4, 1, 5);
    const rest23 = i32x4.shuffle(begin, code, 2, 6, 3, 7);
    v128.store(staged, i64x2.shuffle(low01, high01, 0, 2), Staged.Key);
    v128.store(staged, i64x2.shuffle(low01, high01, 1, 3), Staged.Key + Staged.Bytes);
    v128.store(staged, i64x2.shuffle(low23, high23, 0, 2), Staged.Key + Staged.Bytes * 2);
    v128.store(staged, i64x2.shuffle(low23, high23, 1, 3), Staged.Key + Staged.Bytes * 3);
    v128.store64_lane(staged, rest01, 0, Staged.Begin);
    v128.store64_lane(staged, rest01, 1, Staged.Begin + Staged.Bytes);
    v128.store64_lane(staged, rest23, 0, Staged.Begin + Staged.Bytes * 2);
    v128.store64_lane(staged, rest23, 1, Staged.Begin + Staged.Bytes * 3);
  }
  const last = block + (to - from) * Staged.Bytes;
  if (load<i32>(state + State.Table * 4, TableState.Mask * 4) < LARGE_TABLE) probeNear(block, last);
  else probeFar(block, last);
}

/** Slots of a table that is larger than the second-level cache with what lies beside it. */
const LARGE_TABLE: i32 = 1 << 15;

/** Finds the entries of staged rows in a table that lies in the cache: four looked at together cost less than a question. */
function probeNear(first: i32, last: i32): void {
  for (let staged = first; staged < last; staged += Staged.Bytes)
    store<i32>(staged, probeFour(load<i32>(staged, Staged.Begin), v128.load(staged, Staged.Key)), Staged.At);
}

/**
 * The same of a larger table, where every line of it costs: most entries are the first or the second from where the probe begins, and
 * only of the other rows four more are looked at.
 */
function probeFar(first: i32, last: i32): void {
  let other = first;
  for (let staged = first; staged < last; staged += Staged.Bytes) {
    const at = probeTwo(load<i32>(staged, Staged.Begin), v128.load(staged, Staged.Key));
    store<i32>(staged, at, Staged.At);
    // Nobody needs the place of the data before the rows are taken.
    store<i32>(other, staged, Staged.Data);
    other += select(0, Staged.Bytes as i32, at);
  }
  for (let each = first; each < other; each += Staged.Bytes) {
    const staged = load<i32>(each, Staged.Data);
    store<i32>(staged, probeFour(load<i32>(staged, Staged.Begin) + 2 * ENTRY_BYTES, v128.load(staged, Staged.Key)), Staged.At);
  }
}

/** `TcpIndex` of flags; that of those without URG, and with it. */
// @ts-ignore: decorator
@inline
function indexOf(indices0: v128, indices1: v128, flags: v128): v128 {
  const low = v128.and(flags, i32x4.splat(TcpFlag.Psh - 1));
  const high = v128.and(i32x4.shr_u(flags, 1), i32x4.splat((TcpFlag.Ack | TcpFlag.Urg) >> 1));
  // Bytes that say 16 or more choose nothing.
  const place = v128.or(v128.or(low, high), i32x4.splat(~0xff));
  return v128.or(
    v128.swizzle(indices0, place),
    v128.swizzle(indices1, v128.xor(place, i32x4.splat(16))),
  );
}

/** Four bytes as 32-bit words. */
// @ts-ignore: decorator
@inline
function loadBytes(at: i32): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

/** Do four places follow one another, the first of them `row`? Each by itself: those behind the last row are of any order. */
// @ts-ignore: decorator
@inline
function isRun(places: i32, row: i32): bool {
  const run = i32x4.add(i32x4.splat(row), i32x4(0, 1, 2, 3));
  return !v128.any_true(v128.xor(v128.load(places), run));
}

/** Elements of a column at four places as 32-bit words. */
function gather<T>(state: i32, column: i32, places: i32): v128 {
  const start = load<i32>(state + column * 4);
  let words = i32x4.splat(load<T>(start + load<i32>(places) * sizeof<T>()));
  words = i32x4.replace_lane(words, 1, load<T>(start + load<i32>(places, 4) * sizeof<T>()));
  words = i32x4.replace_lane(words, 2, load<T>(start + load<i32>(places, 8) * sizeof<T>()));
  return i32x4.replace_lane(words, 3, load<T>(start + load<i32>(places, 12) * sizeof<T>()));
}
