/**
 * A block of rows on its way through the kernel, step by step: first the keys of all of them, four at a time, then the entries of all
 * of them. What one row waits for, the others do not wait for, and no step asks a question whose answer nobody can guess.
 * AssemblyScript.
 */
import { Meta, Staged, TableState } from '../track/entry.ts';
import { probe, TCP } from '../track/table.as.ts';
import { Column, State } from './kernel-layout.ts';

/**
 * Stages rows `from` up to `to`, at most `Staged.Most`, or those whose places stand in `rows`: their keys, and the entry of each whose
 * probe ends soon.
 */
export function stageBlock(state: i32, rows: i32, from: i32, to: i32): void {
  keyRows(state, rows, from, to);
  const end = load<i32>(state, State.TableEnd * 4);
  const last = load<i32>(state, State.StagedPtr * 4) + (to - from) * Staged.Bytes;
  for (let staged = load<i32>(state, State.StagedPtr * 4); staged < last; staged += Staged.Bytes)
    store<i32>(staged, probe(load<i32>(staged, Staged.Begin), end, v128.load(staged, Staged.Key)), Staged.At);
}

/** Keys, offsets in the table and codes. Rows behind the last are read up to a multiple of four, and what is made of them is nobody's. */
function keyRows(state: i32, rows: i32, from: i32, to: i32): void {
  const families = load<i32>(state, Column.Family * 4);
  const protocols = load<i32>(state, Column.Protocol * 4);
  const tcpFlags = load<i32>(state, Column.TcpFlags * 4);
  const sources = load<i32>(state, Column.Src * 4);
  const destinations = load<i32>(state, Column.Dst * 4);
  const sourcePorts = load<i32>(state, Column.SrcPort * 4);
  const destinationPorts = load<i32>(state, Column.DstPort * 4);
  const table = i32x4.splat(load<i32>(state, State.TablePtr * 4));
  const mask = i32x4.splat(load<i32>(state + State.Table * 4, TableState.Mask * 4));
  let staged = load<i32>(state, State.StagedPtr * 4);
  for (let at = from; at < to; at += 4, staged += 4 * Staged.Bytes) {
    let row0 = at;
    let row1 = at + 1;
    let row2 = at + 2;
    let row3 = at + 3;
    if (rows != 0) {
      const places = rows + at * 4;
      row0 = load<i32>(places);
      row1 = load<i32>(places, 4);
      row2 = load<i32>(places, 8);
      row3 = load<i32>(places, 12);
    }
    let src: v128;
    let dst: v128;
    let srcPort: v128;
    let dstPort: v128;
    let family: v128;
    let protocol: v128;
    let flags: v128;
    // Each by itself: places behind the last row are of any order.
    if (((row1 - row0) ^ 1 | (row2 - row0) ^ 2 | (row3 - row0) ^ 3) == 0) {
      src = v128.load(sources + row0 * 4);
      dst = v128.load(destinations + row0 * 4);
      srcPort = v128.load(sourcePorts + row0 * 4);
      dstPort = v128.load(destinationPorts + row0 * 4);
      family = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(families + row0)));
      protocol = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(protocols + row0)));
      flags = v128.load_ext<u16>(tcpFlags + row0 * 2);
    } else {
      src = gather<i32>(sources, row0, row1, row2, row3);
      dst = gather<i32>(destinations, row0, row1, row2, row3);
      srcPort = gather<i32>(sourcePorts, row0, row1, row2, row3);
      dstPort = gather<i32>(destinationPorts, row0, row1, row2, row3);
      family = gather<u8>(families, row0, row1, row2, row3);
      protocol = gather<u8>(protocols, row0, row1, row2, row3);
      flags = gather<u16>(tcpFlags, row0, row1, row2, row3);
    }
    const swapped = v128.or(
      i32x4.gt_s(src, dst),
      v128.and(i32x4.eq(src, dst), i32x4.gt_s(srcPort, dstPort)),
    );
    const first = v128.bitselect(dst, src, swapped);
    const second = v128.bitselect(src, dst, swapped);
    const ports = v128.or(
      i32x4.shl(v128.bitselect(dstPort, srcPort, swapped), 16),
      v128.bitselect(srcPort, dstPort, swapped),
    );
    const isIpv6 = i32x4.eq(family, i32x4.splat(6));
    const keyMeta = v128.or(v128.or(protocol, i32x4.splat(Meta.Live)), v128.and(isIpv6, i32x4.splat(Meta.Ipv6)));
    let hash = i32x4.add(
      i32x4.add(i32x4.mul(first, i32x4.splat(0x9e3779b1)), i32x4.mul(second, i32x4.splat(0x85ebca6b))),
      i32x4.add(i32x4.mul(ports, i32x4.splat(0xc2b2ae35)), keyMeta),
    );
    hash = i32x4.mul(v128.xor(hash, i32x4.shr_u(hash, 15)), i32x4.splat(0x2c1b3c6d));
    const slot = v128.and(v128.xor(hash, i32x4.shr_u(hash, 13)), mask);
    // Six words an entry.
    const begin = i32x4.add(table, i32x4.add(i32x4.shl(slot, 4), i32x4.shl(slot, 3)));
    const none = v128.or(
      v128.or(i32x4.shr_s(v128.or(srcPort, dstPort), 31), i32x4.eq(family, i32x4.splat(0))),
      i32x4.ne(protocol, i32x4.splat(TCP)),
    );
    const code = i32x4.sub(i32x4.shl(v128.and(v128.or(flags, none), i32x4.splat(63)), Staged.CodeShift), swapped);
    const low01 = i32x4.shuffle(first, second, 0, 4, 1, 5);
    const high01 = i32x4.shuffle(ports, keyMeta, 0, 4, 1, 5);
    const low23 = i32x4.shuffle(first, second, 2, 6, 3, 7);
    const high23 = i32x4.shuffle(ports, keyMeta, 2, 6, 3, 7);
    v128.store(staged, i64x2.shuffle(low01, high01, 0, 2));
    v128.store(staged, i64x2.shuffle(low01, high01, 1, 3), Staged.Bytes);
    v128.store(staged, i64x2.shuffle(low23, high23, 0, 2), Staged.Bytes * 2);
    v128.store(staged, i64x2.shuffle(low23, high23, 1, 3), Staged.Bytes * 3);
    store<i32>(staged, i32x4.extract_lane(begin, 0), Staged.Begin);
    store<i32>(staged, i32x4.extract_lane(begin, 1), Staged.Begin + Staged.Bytes);
    store<i32>(staged, i32x4.extract_lane(begin, 2), Staged.Begin + Staged.Bytes * 2);
    store<i32>(staged, i32x4.extract_lane(begin, 3), Staged.Begin + Staged.Bytes * 3);
    store<i32>(staged, i32x4.extract_lane(code, 0), Staged.Code);
    store<i32>(staged, i32x4.extract_lane(code, 1), Staged.Code + Staged.Bytes);
    store<i32>(staged, i32x4.extract_lane(code, 2), Staged.Code + Staged.Bytes * 2);
    store<i32>(staged, i32x4.extract_lane(code, 3), Staged.Code + Staged.Bytes * 3);
  }
}

/** Four elements of a column as 32-bit words. */
// @ts-ignore: decorator
@inline
function gather<T>(column: i32, row0: i32, row1: i32, row2: i32, row3: i32): v128 {
  let words = i32x4.splat(load<T>(column + row0 * sizeof<T>()));
  words = i32x4.replace_lane(words, 1, load<T>(column + row1 * sizeof<T>()));
  words = i32x4.replace_lane(words, 2, load<T>(column + row2 * sizeof<T>()));
  return i32x4.replace_lane(words, 3, load<T>(column + row3 * sizeof<T>()));
}
