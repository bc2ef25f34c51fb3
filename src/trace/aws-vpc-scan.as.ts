/**
 * AssemblyScript, compiled to WebAssembly by scripts/scan.mjs: lines of an AWS VPC flow log as bytes -> rows of columns. It takes
 * lines of version 4 addresses with every value in its usual form and one blank between them, and stops at the first other line,
 * which is for the general reader (`aws-vpc.ts`). Who else reported a flow is the caller's matter: `compact` drops what it marked.
 *
 * A window is read in two passes: where its words end, 64 bytes at a time, and then row by row without looking for an end again,
 * digits eight at a time whatever their number. Places of memory and lanes are those of `aws-vpc-scan.ts`.
 */
import { prepareAddresses, readAddress4 } from './address-scan.as.ts';
import { Orientation, OrientedBy, RecordedVerdict, TcpFlag } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { Role } from './aws-vpc-field.ts';
import { Lane, Place } from './aws-vpc-scan.ts';
import { Slot } from './observer.ts';

const INPUT: usize = Place.Input;
const STRIDE: usize = Place.Stride;

// Words as they lie in memory.
const ENI_: u32 = 0x2d696e65;
const ACCE: u32 = 0x45434341;
const REJE: u32 = 0x454a4552;
const PT: u32 = 0x5450;
const CT: u32 = 0x5443;
const OK: u32 = 0x4b4f;

/** What `readNumber` says of a value that is none of the usual form. */
const ODD: i64 = -2;

/** Behind the last of the places at `Place.Ends`. */
let lastEnd: usize = Place.Ends;
/** The place before the line that `read` takes next. */
let cursor: usize = Place.Ends;
/** Behind the last line that `read` took, from the begin of the window. */
let stopAt: i32 = 0;

/** Notes where the words of the window end, which holds `size` bytes and ends behind a line end. */
export function open(size: i32): void {
  let out: usize = Place.Ends;
  store<u16>(out, 0);
  out += 2;
  for (let at = 0; at < size; at += 64) {
    const p = INPUT + <usize>at;
    let found: u64 =
      blanksOf(p) | (blanksOf(p + 16) << 16) | (blanksOf(p + 32) << 32) | (blanksOf(p + 48) << 48);
    if (size - at < 64) found &= ((<u64>1) << (size - at)) - 1;
    // More are written than there are, and written over by the next ones.
    const next = out + (<usize>popcnt(found) << 1);
    // Seldom are there more than a dozen.
    do {
      for (let index = 0; index < 12; index++) {
        store<u16>(out, at + <i32>ctz(found) + 1);
        found &= found - 1;
        out += 2;
      }
    } while (out < next);
    out = next;
  }
  lastEnd = out;
  cursor = Place.Ends;
}

/**
 * Writes the rows of whole lines from `from` on, at most `limit` of them, the first one being line `line`. Returns how many; `stop`
 * says where the next line begins.
 */
export function read(from: i32, line: f64, limit: i32): i32 {
  while (<i32>load<u16>(cursor) < from) cursor += 2;
  const size = <usize>layout(Role.None) << 1;
  const interfaceAt = layout(Role.Interface);
  const srcAt = layout(Role.Src);
  const dstAt = layout(Role.Dst);
  const srcPortAt = layout(Role.SrcPort);
  const dstPortAt = layout(Role.DstPort);
  const protocolAt = layout(Role.Protocol);
  const packetsAt = layout(Role.Packets);
  const bytesAt = layout(Role.Bytes);
  const startAt = layout(Role.Start);
  const actionAt = layout(Role.Action);
  const statusAt = layout(Role.Status);
  const flagsAt = layout(Role.Flags);
  let row: usize = 0;
  for (; row < <usize>limit; row++) {
    const last = cursor + size;
    if (last >= lastEnd || !hasShape(last)) break;

    const src = readAddress(beginOf(srcAt), endOf(srcAt));
    const dst = readAddress(beginOf(dstAt), endOf(dstAt));
    if ((src | dst) < 0) break;
    let srcPort = numberAt(srcPortAt);
    let dstPort = numberAt(dstPortAt);
    let protocol = numberAt(protocolAt);
    const packets = numberAt(packetsAt);
    const bytes = numberAt(bytesAt);
    const start = numberAt(startAt);
    const flags = numberAt(flagsAt);
    if (isBeyond(srcPort, 0xffff) | isBeyond(dstPort, 0xffff) | isBeyond(protocol, 0xff) | isBeyond(flags, 0xff)) break;
    if (isBeyond(start, 0xffffffff) | i32(packets == ODD) | i32(bytes == ODD)) break;
    if (statusAt >= 0 && (endOf(statusAt) - beginOf(statusAt) != 2 || load<u16>(beginOf(statusAt)) != OK)) break;
    let verdict: i32 = RecordedVerdict.None;
    if (actionAt >= 0) {
      verdict = readAction(beginOf(actionAt), endOf(actionAt));
      if (verdict < 0) break;
    }

    if (protocol < 0) protocol = Protocol.Unknown;
    // Elsewhere a port of 0 stands for none.
    if (protocol != Protocol.Tcp && protocol != Protocol.Udp && protocol != Protocol.Sctp && protocol != Protocol.UdpLite) {
      if (srcPort == 0) srcPort = -1;
      if (dstPort == 0) dstPort = -1;
    }
    const isTcp = protocol == Protocol.Tcp && flags >= 0;
    const isSyn = isTcp && (flags & TcpFlag.Syn) != 0;
    put<u32>(Lane.Src, row, <u32>src);
    put<u32>(Lane.Dst, row, <u32>dst);
    put<i32>(Lane.SrcPort, row, <i32>srcPort);
    put<i32>(Lane.DstPort, row, <i32>dstPort);
    put<u8>(Lane.Protocol, row, <u8>protocol);
    put<f64>(Lane.Packets, row, <f64>packets);
    put<f64>(Lane.Bytes, row, <f64>bytes);
    put<f64>(Lane.TimeUs, row, start < 0 ? NaN : <f64>start * 1e6);
    put<u8>(Lane.Verdict, row, <u8>verdict);
    put<u16>(Lane.TcpFlags, row, isTcp ? <u16>flags : <u16>TcpFlag.Absent);
    put<u8>(Lane.Orientation, row, isSyn ? (flags & TcpFlag.Ack) == 0 ? <u8>Orientation.Original : <u8>Orientation.Reply : <u8>Orientation.Unknown); // prettier-ignore
    put<u8>(Lane.OrientedBy, row, isSyn ? <u8>OrientedBy.Flags : <u8>OrientedBy.Assumed);
    put<f64>(Lane.Line, row, line + <f64>row);
    if (interfaceAt >= 0) {
      const record = Place.Records + row * (Slot.Stride * 4);
      store<u32>(record + Slot.Meta * 4, 0x10400 | <u32>protocol);
      store<u32>(record + Slot.Src * 4, <u32>src);
      store<u32>(record + Slot.Dst * 4, <u32>dst);
      store<u32>(record + Slot.Ports * 4, (<u32>srcPort << 16) | (<u32>dstPort & 0xffff));
      store<u32>(record + Slot.Observer * 4, nameOf(beginOf(interfaceAt), endOf(interfaceAt)));
      store<u32>(record + Slot.Last * 4, <u32>max<i64>(start, 0));
    }
    cursor = last;
  }
  stopAt = load<u16>(cursor);
  return <i32>row;
}

export function stop(): i32 {
  return stopAt;
}

/** Moves the rows without a mark together; returns how many there are. */
export function compact(count: i32): i32 {
  let to: usize = 0;
  for (let from: usize = 0; from < <usize>count; from++) {
    if (get<u8>(Lane.Mark, from) != 0) continue;
    put<u32>(Lane.Src, to, get<u32>(Lane.Src, from));
    put<u32>(Lane.Dst, to, get<u32>(Lane.Dst, from));
    put<i32>(Lane.SrcPort, to, get<i32>(Lane.SrcPort, from));
    put<i32>(Lane.DstPort, to, get<i32>(Lane.DstPort, from));
    put<u8>(Lane.Protocol, to, get<u8>(Lane.Protocol, from));
    put<f64>(Lane.Packets, to, get<f64>(Lane.Packets, from));
    put<f64>(Lane.Bytes, to, get<f64>(Lane.Bytes, from));
    put<f64>(Lane.TimeUs, to, get<f64>(Lane.TimeUs, from));
    put<u8>(Lane.Verdict, to, get<u8>(Lane.Verdict, from));
    put<u16>(Lane.TcpFlags, to, get<u16>(Lane.TcpFlags, from));
    put<u8>(Lane.Orientation, to, get<u8>(Lane.Orientation, from));
    put<u8>(Lane.OrientedBy, to, get<u8>(Lane.OrientedBy, from));
    put<f64>(Lane.Line, to, get<f64>(Lane.Line, from));
    to++;
  }
  return <i32>to;
}

// @ts-ignore: decorator
@inline
function layout(role: i32): i32 {
  return load<i32>(Place.Layout + (<usize>role << 2));
}

// @ts-ignore: decorator
@inline
function put<T>(lane: i32, row: usize, value: T): void {
  store<T>(Place.Lanes + <usize>lane * STRIDE + row * sizeof<T>(), value);
}

// @ts-ignore: decorator
@inline
function get<T>(lane: i32, row: usize): T {
  return load<T>(Place.Lanes + <usize>lane * STRIDE + row * sizeof<T>());
}

/** A bit for each of 16 bytes that is a blank or a control character. */
// @ts-ignore: decorator
@inline
function blanksOf(p: usize): u64 {
  return <u64>i8x16.bitmask(i8x16.le_u(v128.load(p), i8x16.splat(32)));
}

// @ts-ignore: decorator
@inline
function beginOf(column: i32): usize {
  return INPUT + <usize>load<u16>(cursor + (<usize>column << 1));
}

// @ts-ignore: decorator
@inline
function endOf(column: i32): usize {
  return INPUT - 1 + <usize>load<u16>(cursor + (<usize>column << 1) + 2);
}

/** Every word has a byte, a blank behind it, and the last one a line end; and the line is no header. */
// @ts-ignore: decorator
@inline
function hasShape(last: usize): bool {
  let begin = <i32>load<u16>(cursor);
  const lead = load<u8>(INPUT + <usize>begin);
  // A letter may begin a header, but no header begins with `eni-`.
  if (lead > 57 && load<u32>(INPUT + <usize>begin) != ENI_) return false;
  let odd: i32 = 0;
  for (let p = cursor + 2; p < last; p += 2) {
    const next = <i32>load<u16>(p);
    odd |= (<i32>load<u8>(INPUT - 1 + <usize>next) ^ 32) | ((next - begin - 2) >>> 31);
    begin = next;
  }
  const next = <i32>load<u16>(last);
  odd |= (<i32>load<u8>(INPUT - 1 + <usize>next) ^ 10) | ((next - begin - 2) >>> 31);
  return odd == 0;
}

/** The digits of a column; -1 where it is absent or `-`. */
// @ts-ignore: decorator
@inline
function numberAt(column: i32): i64 {
  return column < 0 ? -1 : readNumber(beginOf(column), endOf(column));
}

// @ts-ignore: decorator
@inline
function isBeyond(value: i64, limit: i64): i32 {
  return i32(value > limit) | i32(value == ODD);
}

// @ts-ignore: decorator
@inline
function readNumber(begin: usize, end: usize): i64 {
  const size = <u32>(end - begin);
  if (size > 8) return readLong(end, size);
  const value = digitsOf(load<u64>(end - 8), size);
  return value < 0 && size == 1 && load<u8>(begin) == 45 ? -1 : value;
}

function readLong(end: usize, size: u32): i64 {
  if (size > 15) return ODD;
  const high = digitsOf(load<u64>(end - 16), size - 8);
  const low = digitsOf(load<u64>(end - 8), 8);
  return (high | low) < 0 ? ODD : high * 100_000_000 + low;
}

/** The number that the last `size` of eight bytes say, 1 to 8. */
// @ts-ignore: decorator
@inline
function digitsOf(bytes: u64, size: u32): i64 {
  const shift = <u64>(64 - size * 8);
  const digits = ((bytes ^ 0x3030303030303030) >> shift) << shift;
  if ((((digits + 0x0606060606060606) | digits) & 0xf0f0f0f0f0f0f0f0) != 0) return ODD;
  const pairs = digits * 10 + (digits >> 8);
  return (
    ((pairs & 0xff000000ff) * 0xf424000000064 + ((pairs >> 16) & 0xff000000ff) * 0x271000000001) >> 32
  );
}

/** A version 4 address; -1 where it is none. */
// @ts-ignore: decorator
@inline
function readAddress(begin: usize, end: usize): i64 {
  return readAddress4(begin, <u32>(end - begin), Place.Forms, Place.Shapes);
}

/** Makes the tables of addresses. Called once. */
export function prepare(): void {
  prepareAddresses(Place.Forms, Place.Shapes);
}

/** `ACCEPT` or `REJECT`; -1 for anything else. */
// @ts-ignore: decorator
@inline
function readAction(begin: usize, end: usize): i32 {
  const word = load<u32>(begin);
  const rest = <u32>load<u16>(begin + 4);
  if (end - begin != 6) return -1;
  if (word == ACCE && rest == PT) return RecordedVerdict.FirewallAllow;
  return word == REJE && rest == CT ? RecordedVerdict.FirewallDeny : -1;
}

/** `nameOf` of `aws-vpc.ts`. */
// @ts-ignore: decorator
@inline
function nameOf(begin: usize, end: usize): u32 {
  let name: u32 = 0;
  let p = begin;
  for (; p + 4 <= end; p += 4) name = mix(name ^ load<u32>(p));
  const rest = <u32>(end - p);
  return rest == 0 ? name : mix(name ^ (load<u32>(p) & ((1 << (rest * 8)) - 1)));
}

// @ts-ignore: decorator
@inline
function mix(name: u32): u32 {
  const value = name * 0x9e3779b1;
  return value ^ (value >> 15);
}
