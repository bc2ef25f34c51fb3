/**
 * AWS VPC flow logs as text (as Parquet: `parquet-aws.ts`): fields in the order of a header line, of `fields`, or as the values
 * show. A record is one direction of a connection on one network interface in a window. Read from the bytes: no text is made of a
 * field. `takeRun` has the lines that have nothing unusual read by a WASM scanner (`aws-vpc-scan.ts`), `take` reads any line; both
 * give the same rows.
 */
import { Orientation, OrientedBy, RecordedVerdict, RecordKind, TcpFlag, clearRow } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
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
import { type AwsVpcScanner, shareAwsVpcScanner } from './aws-vpc-scan.ts';
import { type FieldAddress, parseDigits, readAddressBytes } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createByteLineDecoder, decodeText, type LineRun } from './line.ts';
import { ObserverTable, Slot } from './observer.ts';
import { fillUnstated } from './scanned-row.ts';

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
  describeLack: ({ lines }) => {
    const words = lines[0]?.split(/[ \t]+/) ?? [];
    const isNear =
      words.some((word) => word.startsWith('eni-')) &&
      words.some((word) => /^(ACCEPT|REJECT|NODATA|SKIPDATA)$/.test(word));
    return isNear
      ? `its lines have interfaces and actions, but ${words.length} fields in no order that is known without a header: name them with --fields "version interface-id srcaddr ..."`
      : undefined;
  },
  isText: true,
  limits: AWS_LIMITS,
  open: (context) => openAwsVpc(context, shareAwsVpcScanner()),
};

/** Makes the reader. Without a scanner every line goes the general way; both give the same rows. */
export function openAwsVpc(context: ReadContext, scanner: AwsVpcScanner | undefined): TraceDecoder {
  const { account } = context;
  const records = new AwsVpcRecords(context, scanner);
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
  /** The column of each role as the scanner takes it: what another column says better is not read. Empty: it takes no line. */
  private layout: Int32Array = new Int32Array(0);
  private readonly scanner: AwsVpcScanner | undefined;
  /** What `takeRun` is asked about; what of it the scanner has in its window is to be had there while `isOpen`. */
  private bytes: Uint8Array = new Uint8Array(0);
  private end = 0;
  private isOpen = false;
  private readonly starts = new Int32Array(Role.Count);
  private readonly ends = new Int32Array(Role.Count);
  /** The addresses of the record at hand. */
  readonly src: FieldAddress = { family: 0, value: 0 };
  readonly dst: FieldAddress = { family: 0, value: 0 };
  private readonly observers = new ObserverTable();
  private readonly context: ReadContext;

  /** Without a scanner every line is for `take`. */
  constructor(context: ReadContext, scanner: AwsVpcScanner | undefined) {
    this.context = context;
    this.scanner = scanner;
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

  open(bytes: Uint8Array, _start: number, end: number): void {
    this.bytes = bytes;
    this.end = end;
    this.isOpen = false;
  }

  /** Takes whole lines from `start` on for as long as each is a record of version 4 addresses in the usual form. */
  takeRun(start: number, first: number): number {
    const { scanner, bytes, end } = this;
    const { account, batch } = this.context;
    let lines = 0;
    let duplicates = 0;
    let position = start;
    this.lines = 0;
    if (scanner === undefined || this.layout.length === 0) return start;
    while (position < end && batch.count < batch.capacity) {
      if (!this.isOpen || position >= scanner.end) {
        this.isOpen = scanner.open(bytes, position, end, this.layout);
        if (!this.isOpen) break;
      }
      const count = scanner.read(position, first + lines, batch.capacity - batch.count);
      // An unusual line is next.
      if (count === 0) break;
      lines += count;
      position = scanner.stop();
      const marked = this.markDuplicates(scanner, count);
      duplicates += marked;
      if (marked > 0) scanner.compact(count);
      const to = batch.count + count - marked;
      fillUnstated(batch, RecordKind.OneWay, batch.count, to);
      batch.flags.fill(0, batch.count, to);
      scanner.append(batch, count - marked);
    }
    account.read += lines;
    if (duplicates > 0) increment(account.skipped, 'duplicate', duplicates);
    this.lines = lines;
    return position;
  }

  /** Marks the rows of which another observer's have been there; returns how many. */
  private markDuplicates(scanner: AwsVpcScanner, count: number): number {
    if (this.layout[Role.Interface]! < 0) return 0;
    const { observers } = this;
    const { records, verdict, mark } = scanner;
    let marked = 0;
    for (let row = 0; row < count; row++) {
      // What one end rejects the other end accepted: the rejection is no duplicate.
      const isDuplicate =
        verdict[row] !== RecordedVerdict.FirewallDeny && observers.isDuplicateAt(records, row * Slot.Stride);
      mark[row] = isDuplicate ? 1 : 0;
      if (isDuplicate) marked++;
    }
    return marked;
  }

  /** Says which fields the records have, in their order, and what is missing among them. */
  setFields(names: readonly string[]): void {
    const { account } = this.context;
    this.roles = rolesOf(names);
    this.columnCount = names.length;
    this.layout = layoutOf(this.roles);
    this.isOpen = false;
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

function isAwsVpc({ lines, json }: Head): boolean {
  if (json !== undefined) return false;
  const fields = (lines[0] ?? '').split(' ').filter((field) => field !== '');
  return isAwsHeader(fields.map(normaliseField)) || inferFields(fields) !== undefined;
}

/** The layout for the scanner, the packet's own addresses before the interface's. */
function layoutOf(roles: Uint8Array): Int32Array {
  const layout = new Int32Array(Role.Count).fill(-1);
  for (const [column, role] of roles.entries()) {
    if (role === Role.None) continue;
    // A role that two columns have is for the other reader.
    if (layout[role]! >= 0) return new Int32Array(0);
    layout[role] = column;
  }
  if (layout[Role.PacketSrc]! >= 0) layout[Role.Src] = layout[Role.PacketSrc]!;
  if (layout[Role.PacketDst]! >= 0) layout[Role.Dst] = layout[Role.PacketDst]!;
  layout[Role.None] = roles.length;
  return layout[Role.Src]! < 0 || layout[Role.Dst]! < 0 ? new Int32Array(0) : layout;
}

/** A 32-bit name of an interface: four bytes at a time, as the scanner has it. */
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
