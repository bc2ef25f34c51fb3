/**
 * AWS VPC flow logs as text (as Parquet: `parquet-aws.ts`): fields in the order of a header line, of `fields`, or as the values
 * show. A record is one direction of a connection on one network interface in a window. Read from the bytes: no text is made of a field. `takeRun` reads the
 * lines that have nothing unusual, `take` any line; both give the same rows.
 */
import { Orientation, OrientedBy, RecordedVerdict, RecordKind, TcpFlag, clearRow } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import {
  Role,
  ROLE_NAMES,
  guessFields,
  inferFields,
  isFieldName,
  isAwsHeader,
  normaliseField,
  rolesOf,
  splitFields,
} from './aws-vpc-field.ts';
import { type FieldAddress, hasPorts, parseDigits, readAddressBytes } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createByteLineDecoder, decodeText, type LineRun } from './line.ts';
import { ObserverTable } from './observer.ts';

/** What no VPC flow log can show, whatever its fields. */
export const AWS_LIMITS: readonly string[] = [
  'ACCEPT and REJECT are verdicts of security groups and network ACLs, not of a NetworkPolicy: they are not compared with the forecast, and what a policy already drops is not in this trace.',
  'Traffic between pods of one node never reaches a network interface: this trace does not show it.',
  'A record carries no pod names or labels, and no ICMP types.',
];

/** Text of VPC flow logs. */
export const AWS_VPC: TraceFormat = {
  name: 'aws-vpc',
  description: 'AWS VPC flow logs (text)',
  recognise: isAwsVpc,
  isText: true,
  limits: AWS_LIMITS,
  open: openAwsVpc,
};

/** Where in the input a record stands. */
export interface RecordPlace {
  readonly unit: 'line' | 'record';
  readonly number: number;
  readonly offset: number;
}

/** For `append`: the record does not say which interface saw it. */
export const NO_OBSERVER = -1;

/** Records of one input: knows the order of the fields and which flows were seen. */
export class AwsVpcRecords implements LineRun {
  lines = 0;
  private roles: Uint8Array = new Uint8Array(0);
  private columnCount = 0;
  /** The roles as `takeRun` asks for them: what another column says better is not read. */
  private quickRoles: Uint8Array = new Uint8Array(0);
  private quickSrc: Role = Role.Src;
  private quickDst: Role = Role.Dst;
  private hasInterface = false;
  /** Values of the line that `readLine` read, by role; -1 absent. */
  private readonly values = new Float64Array(Role.Count);
  /** Of ten. */
  private readonly powers = Int32Array.of(1, 10, 100, 1000);
  private readonly starts = new Int32Array(Role.Count);
  private readonly ends = new Int32Array(Role.Count);
  /** The addresses of the record at hand. */
  readonly src: FieldAddress = { family: 0, value: 0 };
  readonly dst: FieldAddress = { family: 0, value: 0 };
  private readonly observers = new ObserverTable();
  private readonly context: ReadContext;

  constructor(context: ReadContext) {
    this.context = context;
    if (context.fields !== undefined) this.setFields(splitFields(context.fields));
  }

  /** Takes a header line as such; false where the line is a record. */
  takeHeader(bytes: Uint8Array, start: number, end: number): boolean {
    const first = bytes[start]!;
    // A record begins with its version, an interface or a number: only letters and `${` are worth a look.
    if (first !== 36 && (first < 97 || first > 122)) return false;
    let stop = start;
    while (stop < end && bytes[stop]! > 32) stop++;
    if (!isFieldName(decodeText(bytes, start, Math.min(stop, start + 64)))) return false;
    const names = splitFields(decodeText(bytes, start, end));
    if (!isAwsHeader(names)) return false;
    this.setFields(names);
    return true;
  }

  /** Accounts for one record that was read: a row, or why it is none. */
  take(bytes: Uint8Array, start: number, end: number, unit: 'line' | 'record', number: number, offset: number): void {
    const { starts, ends } = this;
    const { account } = this.context;
    if (this.columnCount === 0) this.setFields(guessFields(decodeText(bytes, start, end)));
    const { roles, columnCount } = this;
    let column = 0;
    let at = start;
    for (;;) {
      while (at < end && bytes[at]! <= 32) at++;
      if (at === end) break;
      const role = column < columnCount ? roles[column]! : Role.None;
      starts[role] = at;
      while (at < end && bytes[at]! > 32) at++;
      ends[role] = at;
      column++;
    }
    if (column !== columnCount) {
      const detail = `expected ${columnCount} fields, found ${column}`;
      return this.refuse('field-count', { unit, number, offset }, detail, bytes, start, end);
    }
    if (ends[Role.Status]! > 0) {
      const first = bytes[starts[Role.Status]!]!;
      const length = ends[Role.Status]! - starts[Role.Status]!;
      if (first === 78 && length === 6) return increment(account.skipped, 'no-data');
      if (first === 83 && length === 8) {
        // How many records the source gave up is not said: one gap.
        account.lost++;
        return increment(account.skipped, 'skip-data');
      }
    }
    const complaint = this.fill(bytes, number);
    if (complaint !== '') return this.refuse('invalid-field', { unit, number, offset }, complaint, bytes, start, end);
  }

  /** Writes what is the same in every row of `takeRun` into the next rows; returns behind which of them it has. */
  private prepare(from: number): number {
    const { batch } = this.context;
    const to = Math.min(batch.capacity, from + PREPARED_ROWS);
    batch.kind.fill(RecordKind.OneWay, from, to);
    batch.family.fill(4, from, to);
    batch.icmp.fill(-1, from, to);
    batch.replyBytes.fill(0, from, to);
    batch.replyPackets.fill(0, from, to);
    batch.srcEndpoint.fill(0, from, to);
    batch.dstEndpoint.fill(0, from, to);
    batch.preDst.fill(0, from, to);
    batch.preDstPort.fill(-1, from, to);
    batch.flags.fill(0, from, to);
    batch.quote.fill(-1, from, to);
    batch.sctpChunks.fill(0, from, to);
    batch.sctpTag.fill(0, from, to);
    batch.sctpInitTag.fill(0, from, to);
    batch.connections.fill(1, from, to);
    batch.repeats.fill(0, from, to);
    batch.policies.fill(0, from, to);
    return to;
  }

  /**
   * Takes whole lines from `start` on for as long as each is a record of version 4 addresses with its values in the usual form,
   * one blank between them. Every line of `bytes[start, end)` has its end there.
   */
  takeRun(bytes: Uint8Array, view: DataView, start: number, end: number, first: number): number {
    const { account, batch } = this.context;
    const { capacity } = batch;
    const before = batch.count;
    let prepared = before;
    let lines = 0;
    let position = start;
    while (position < end && batch.count < capacity && this.quickRoles.length > 0) {
      const next = this.readLine(bytes, view, position);
      if (next < 0) break;
      if (batch.count === prepared) prepared = this.prepare(prepared);
      if (!this.addLine(first + lines)) break;
      position = next;
      lines++;
    }
    account.read += lines;
    const duplicates = lines - (batch.count - before);
    if (duplicates > 0) increment(account.skipped, 'duplicate', duplicates);
    this.lines = lines;
    return position;
  }

  /** Puts the values of the line at `start` into `values`; returns where the next one begins, -1 where this one is unusual. */
  private readLine(bytes: Uint8Array, view: DataView, start: number): number {
    const { quickRoles: roles, values, powers } = this;
    const last = roles.length - 1;
    const lead = bytes[start]!;
    // A letter may begin a header, but no header begins with `eni-`.
    if (lead > 57 && !(lead === 101 && bytes[start + 1] === 110 && bytes[start + 3] === 45)) return -1;
    let at = start;
    for (let column = 0; column <= last; column++) {
      const role = roles[column]!;
      if (role === Role.None) {
        // Four bytes at a time: is one of them a blank or a line end?
        const begin = at;
        let word = view.getInt32(at, true);
        let found = (word - 0x21212121) & ~word & 0x80808080;
        while (found === 0) {
          at += 4;
          word = view.getInt32(at, true);
          found = (word - 0x21212121) & ~word & 0x80808080;
        }
        at += (31 - Math.clz32(found & -found)) >> 3;
        if (at === begin) return -1;
      } else if (role === Role.Interface) {
        const begin = at;
        let observer = 0;
        let word = view.getInt32(at, true);
        let found = (word - 0x21212121) & ~word & 0x80808080;
        while (found === 0) {
          observer = Math.imul(observer ^ word, 0x9e3779b1);
          observer ^= observer >>> 15;
          at += 4;
          word = view.getInt32(at, true);
          found = (word - 0x21212121) & ~word & 0x80808080;
        }
        const rest = (31 - Math.clz32(found & -found)) >> 3;
        if (rest > 0) {
          observer = Math.imul(observer ^ (word & ((1 << (rest * 8)) - 1)), 0x9e3779b1);
          observer ^= observer >>> 15;
        }
        at += rest;
        if (at === begin) return -1;
        values[Role.Interface] = observer >>> 0;
      } else if (role <= Role.PacketDst) {
        let value = 0;
        let parts = 0;
        for (;;) {
          // The digits of one part, without asking one by one how many they are.
          const word = view.getInt32(at, true) ^ 0x30303030;
          const other = ((word + 0x06060606) | word) & 0xf0f0f0f0;
          const digits = (31 - Math.clz32(other & -other)) >> 3;
          // None, four, or a leading zero.
          if (other === 0 || digits === 0 || (digits > 1 && (word & 0xff) === 0)) return -1;
          const shifted = word << (32 - digits * 8);
          const pairs = Math.imul(shifted, 10) + (shifted >>> 8);
          const part = (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
          if (part > 255) return -1;
          value = (value << 8) | part;
          at += digits;
          if (++parts === 4) break;
          if (bytes[at] !== 46) return -1;
          at++;
        }
        values[role] = value >>> 0;
      } else if (role === Role.Status) {
        // `OK`; the others say that something is missing.
        if (bytes[at] !== 79 || bytes[at + 1] !== 75) return -1;
        at += 2;
      } else if (role === Role.Action) {
        const word = view.getInt32(at, true);
        if (word === ACCE && bytes[at + 4] === 80 && bytes[at + 5] === 84)
          values[Role.Action] = RecordedVerdict.FirewallAllow;
        else if (word === REJE && bytes[at + 4] === 67 && bytes[at + 5] === 84)
          values[Role.Action] = RecordedVerdict.FirewallDeny;
        else return -1;
        at += 6;
      } else if (bytes[at] === 45) {
        values[role] = -1;
        at++;
      } else {
        let value = 0;
        const begin = at;
        for (;;) {
          const word = view.getInt32(at, true) ^ 0x30303030;
          const other = ((word + 0x06060606) | word) & 0xf0f0f0f0;
          if (other === 0) {
            const pairs = Math.imul(word, 10) + (word >>> 8);
            value = value * 10_000 + (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
            at += 4;
            continue;
          }
          const digits = (31 - Math.clz32(other & -other)) >> 3;
          if (digits === 0) break;
          const shifted = word << (32 - digits * 8);
          const pairs = Math.imul(shifted, 10) + (shifted >>> 8);
          value = value * powers[digits]! + (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
          at += digits;
          break;
        }
        if (at === begin || at - begin > 15) return -1;
        values[role] = value;
      }
      // The last column alone ends the line.
      if (bytes[at] !== (column === last ? 10 : 32)) return -1;
      at++;
    }
    return at;
  }

  /** Appends the row of `values` unless another observer's has been there; false where a value is out of its range. */
  private addLine(number: number): boolean {
    const { values, quickSrc, quickDst } = this;
    const { batch } = this.context;
    const source = values[quickSrc]!;
    const destination = values[quickDst]!;
    const given = values[Role.Protocol]!;
    const protocol = given < 0 ? Protocol.Unknown : given;
    let from = values[Role.SrcPort]!;
    let to = values[Role.DstPort]!;
    const startS = values[Role.Start]!;
    const flags = values[Role.Flags]!;
    const verdict = values[Role.Action]!;
    if (protocol > 255 || from > 0xffff || to > 0xffff || startS > 0xffffffff || flags > 0xff) return false;
    if (from === 0 && !hasPorts(protocol)) from = -1;
    if (to === 0 && !hasPorts(protocol)) to = -1;
    if (this.hasInterface && verdict !== RecordedVerdict.FirewallDeny) {
      const observer = values[Role.Interface]!;
      const time = startS < 0 ? 0 : startS;
      if (this.observers.isDuplicate(4, protocol, source, from, destination, to, observer, time)) return true;
    }
    const row = batch.count;
    batch.src[row] = source;
    batch.dst[row] = destination;
    batch.srcPort[row] = from;
    batch.dstPort[row] = to;
    batch.protocol[row] = protocol;
    batch.packets[row] = values[Role.Packets]!;
    batch.bytes[row] = values[Role.Bytes]!;
    batch.timeUs[row] = startS < 0 ? NaN : startS * 1e6;
    batch.recordedVerdict[row] = verdict;
    const isTcp = protocol === 6 && flags >= 0;
    const isSyn = isTcp && (flags & TcpFlag.Syn) !== 0;
    batch.tcpFlags[row] = isTcp ? flags : TcpFlag.Absent;
    batch.orientation[row] = !isSyn
      ? Orientation.Unknown
      : (flags & TcpFlag.Ack) === 0
        ? Orientation.Original
        : Orientation.Reply;
    batch.orientedBy[row] = isSyn ? OrientedBy.Flags : OrientedBy.Assumed;
    batch.line[row] = number;
    batch.count = row + 1;
    return true;
  }

  /** Says which fields the records have, in their order, and what is missing among them. */
  setFields(names: readonly string[]): void {
    const { account } = this.context;
    this.roles = rolesOf(names);
    this.columnCount = names.length;
    this.quickRoles = quickRolesOf(this.roles);
    this.quickSrc = this.quickRoles.includes(Role.PacketSrc) ? Role.PacketSrc : Role.Src;
    this.quickDst = this.quickRoles.includes(Role.PacketDst) ? Role.PacketDst : Role.Dst;
    this.hasInterface = this.quickRoles.includes(Role.Interface);
    this.values.fill(-1);
    this.values[Role.Action] = RecordedVerdict.None;
    this.starts.fill(0);
    this.ends.fill(0);
    const say = (limit: string): void => {
      if (!account.limits.includes(limit)) account.limits.push(limit);
    };
    if (!names.includes('pkt-srcaddr') || !names.includes('pkt-dstaddr'))
      say(
        'The log has no pkt-srcaddr and pkt-dstaddr: its addresses are the primary ones of network interfaces, that is nodes, and no pods that share them.',
      );
    if (!names.includes('tcp-flags')) say('The log has no tcp-flags: who opened a connection is inferred.');
    if (!names.includes('interface-id'))
      say('The log has no interface-id: what both ends of a flow report cannot be told from two windows of it.');
  }

  /** Appends the row of the record in `starts` and `ends`; returns what is wrong with it, or the empty text. */
  private fill(bytes: Uint8Array, number: number): string {
    const { starts, ends, src, dst } = this;
    const { account, dictionary } = this.context;
    const srcRole = this.isGiven(bytes, Role.PacketSrc) ? Role.PacketSrc : Role.Src;
    const dstRole = this.isGiven(bytes, Role.PacketDst) ? Role.PacketDst : Role.Dst;
    if (!this.isGiven(bytes, srcRole) && !this.isGiven(bytes, dstRole)) {
      increment(account.skipped, 'no-endpoint');
      return '';
    }
    if (!readAddressBytes(bytes, starts[srcRole]!, ends[srcRole]!, dictionary, src))
      return this.expected(bytes, srcRole, 'an IP address');
    if (!readAddressBytes(bytes, starts[dstRole]!, ends[dstRole]!, dictionary, dst))
      return this.expected(bytes, dstRole, 'an IP address');
    if (src.family !== dst.family) return 'expected addresses of one family';

    const protocolNumber = this.number(bytes, Role.Protocol);
    if (protocolNumber === INVALID || protocolNumber > 255)
      return this.expected(bytes, Role.Protocol, 'a protocol number');
    const protocol: number = protocolNumber < 0 ? Protocol.Unknown : protocolNumber;
    const srcPort = this.number(bytes, Role.SrcPort);
    if (srcPort === INVALID || srcPort > 0xffff) return this.expected(bytes, Role.SrcPort, 'a port');
    const dstPort = this.number(bytes, Role.DstPort);
    if (dstPort === INVALID || dstPort > 0xffff) return this.expected(bytes, Role.DstPort, 'a port');
    const packets = this.number(bytes, Role.Packets);
    if (packets === INVALID) return this.expected(bytes, Role.Packets, 'a number');
    const size = this.number(bytes, Role.Bytes);
    if (size === INVALID) return this.expected(bytes, Role.Bytes, 'a number');
    const startS = this.number(bytes, Role.Start);
    if (startS === INVALID || startS > 0xffffffff) return this.expected(bytes, Role.Start, 'seconds since 1970');
    const flags = this.number(bytes, Role.Flags);
    if (flags === INVALID || flags > 0xff) return this.expected(bytes, Role.Flags, 'TCP flags');
    const verdict = this.isGiven(bytes, Role.Action) ? this.readAction(bytes) : RecordedVerdict.None;

    const observer =
      ends[Role.Interface]! > 0 ? nameOf(bytes, starts[Role.Interface]!, ends[Role.Interface]!) : NO_OBSERVER;
    this.append(protocol, srcPort, dstPort, packets, size, startS, flags, verdict, observer, number);
    return '';
  }

  /**
   * Appends a row for a record between `src` and `dst`, or counts it as another interface's. Numbers are -1 where the record has
   * none; `observer` is any number of the interface, or `NO_OBSERVER`.
   */
  append(
    protocol: number,
    givenSrcPort: number,
    givenDstPort: number,
    packets: number,
    size: number,
    startS: number,
    flags: number,
    verdict: RecordedVerdict,
    observer: number,
    number: number,
  ): void {
    const { src, dst, observers } = this;
    const { batch, account } = this.context;
    const isPortless = !hasPorts(protocol);
    const srcPort = isPortless && givenSrcPort === 0 ? -1 : givenSrcPort;
    const dstPort = isPortless && givenDstPort === 0 ? -1 : givenDstPort;
    // What one end rejects the other end accepted: the rejection is no duplicate.
    if (
      observer !== NO_OBSERVER &&
      verdict !== RecordedVerdict.FirewallDeny &&
      observers.isDuplicate(src.family, protocol, src.value, srcPort, dst.value, dstPort, observer, Math.max(0, startS))
    )
      return increment(account.skipped, 'duplicate');
    const row = batch.count;
    clearRow(batch, row);
    batch.kind[row] = RecordKind.OneWay;
    batch.family[row] = src.family;
    batch.protocol[row] = protocol;
    batch.src[row] = src.value;
    batch.dst[row] = dst.value;
    batch.srcPort[row] = srcPort;
    batch.dstPort[row] = dstPort;
    batch.packets[row] = packets;
    batch.bytes[row] = size;
    batch.recordedVerdict[row] = verdict;
    if (startS >= 0) batch.timeUs[row] = startS * 1e6;
    if (protocol === Protocol.Tcp && flags >= 0) {
      batch.tcpFlags[row] = flags;
      // Flags of a window are added up, and ACK counts only together with SYN: 2 is who opened, 18 who answered.
      if ((flags & TcpFlag.Syn) !== 0) {
        batch.orientation[row] = (flags & TcpFlag.Ack) === 0 ? Orientation.Original : Orientation.Reply;
        batch.orientedBy[row] = OrientedBy.Flags;
      }
    }
    batch.line[row] = number;
    batch.count = row + 1;
  }

  /** The column exists and is not `-`. */
  private isGiven(bytes: Uint8Array, role: Role): boolean {
    const start = this.starts[role]!;
    const length = this.ends[role]! - start;
    return length > 1 || (length === 1 && bytes[start] !== 45);
  }

  /** The number in a column, -1 where there is none, `INVALID` where it is something else. */
  private number(bytes: Uint8Array, role: Role): number {
    if (!this.isGiven(bytes, role)) return -1;
    const value = parseDigits(bytes, this.starts[role]!, this.ends[role]!);
    return value < 0 ? INVALID : value;
  }

  /** ACCEPT and REJECT alone are known; neither is a matter of policy. */
  private readAction(bytes: Uint8Array): RecordedVerdict {
    const start = this.starts[Role.Action]!;
    const end = this.ends[Role.Action]!;
    const first = bytes[start]!;
    if (end - start === 6 && first === 65) return RecordedVerdict.FirewallAllow;
    if (end - start === 6 && first === 82) return RecordedVerdict.FirewallDeny;
    addUnknownValue(this.context.account, 'action', decodeText(bytes, start, Math.min(end, start + 60)));
    return RecordedVerdict.None;
  }

  private expected(bytes: Uint8Array, role: Role, what: string): string {
    const start = this.starts[role]!;
    const found = decodeText(bytes, start, Math.min(this.ends[role]!, start + 60));
    return `${ROLE_NAMES[role]!}: expected ${what}, found ${found === '' ? 'nothing' : found}`;
  }

  private refuse(
    reason: string,
    place: RecordPlace,
    detail: string,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    addMalformed(this.context.account, reason, place, detail, decodeText(bytes, start, Math.min(end, start + 400)));
  }
}

const INVALID = -2;
/** How many rows are prepared at once. */
const PREPARED_ROWS = 512;
/** `ACCE` and `REJE` as they lie in bytes. */
const ACCE = 0x45434341;
const REJE = 0x454a4552;

function openAwsVpc(context: ReadContext): TraceDecoder {
  const { account } = context;
  const records = new AwsVpcRecords(context);
  return createByteLineDecoder(
    context,
    (bytes, start, end, line, offset) => {
      // Joined files have a header each, and none of them is a record.
      if (records.takeHeader(bytes, start, end)) account.read--;
      else records.take(bytes, start, end, 'line', line, offset);
    },
    records,
  );
}

function isAwsVpc({ lines, json }: Head): boolean {
  if (json !== undefined) return false;
  const fields = (lines[0] ?? '').split(' ').filter((field) => field !== '');
  return isAwsHeader(fields.map(normaliseField)) || inferFields(fields) !== undefined;
}

/** Roles without the interface's addresses where the packet's own are there. Empty: not both addresses are there. */
function quickRolesOf(roles: Uint8Array): Uint8Array {
  const has = (role: Role): boolean => roles.includes(role);
  // A role that two columns have is for the other reader.
  for (let role: number = Role.Interface; role < Role.Count; role++)
    if (roles.indexOf(role) !== roles.lastIndexOf(role)) return new Uint8Array(0);
  if (!(has(Role.Src) || has(Role.PacketSrc)) || !(has(Role.Dst) || has(Role.PacketDst))) return new Uint8Array(0);
  return new Uint8Array(roles).map((role) =>
    (role === Role.Src && has(Role.PacketSrc)) || (role === Role.Dst && has(Role.PacketDst)) ? Role.None : role,
  );
}

/** A 32-bit name of an interface, never 0: four bytes at a time, as `takeRun` has them. */
function nameOf(bytes: Uint8Array, start: number, end: number): number {
  let name = 0;
  for (let at = start; at < end; at += 4) {
    let word = 0;
    for (let index = 0; index < 4 && at + index < end; index++) word |= bytes[at + index]! << (index * 8);
    name = Math.imul(name ^ word, 0x9e3779b1);
    name ^= name >>> 15;
  }
  return name >>> 0;
}
