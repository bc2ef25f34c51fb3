/**
 * Azure flow logs: NSG (versions 1 and 2) and VNet (version 4). A blob is one JSON document, of any size, in which the flows
 * are short texts (`flowTuples`); other exports hold its records singly, a line each. The texts are found in the bytes and
 * read there: nothing of the document is kept but where the scan stands. A tuple is a connection's beginning, its traffic
 * since the last tuple, or a denial, as one network interface saw it.
 */
import { clearRow, Orientation, OrientedBy, RecordedVerdict, RecordKind } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, parseDigits, readAddressBytes } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { decodeText, RECORD_SIZE_LIMIT } from './line.ts';
import { ObserverTable } from './observer.ts';

const LIMITS: readonly string[] = [
  'Allowed and denied are verdicts of network security groups and of Virtual Network Manager, not of a NetworkPolicy: they are not compared with the forecast, and what a policy already drops is not in this trace.',
  'Flows are seen at network interfaces of nodes: traffic inside a node is missing, and with an overlay network plugin pods appear as their nodes.',
  'A flow tuple carries no pod names or labels, no TCP flags and no ICMP types.',
];

/** NSG flow logs, versions 1 and 2. */
export const AZURE_NSG: TraceFormat = {
  name: 'azure-nsg',
  description: 'Azure NSG flow logs',
  recognise: ({ json }) =>
    json !== undefined && ((json.all.has('properties') && json.all.has('flows')) || json.all.has('flowTuples')),
  isText: true,
  isDocument: true,
  limits: LIMITS,
  open: openAzure,
};

/** VNet flow logs, version 4. */
export const AZURE_VNET: TraceFormat = {
  name: 'azure-vnet',
  description: 'Azure VNet flow logs',
  recognise: ({ json }) => json !== undefined && json.all.has('flowRecords'),
  isText: true,
  isDocument: true,
  limits: LIMITS,
  open: openAzure,
};

/** A tuple of version 1 ends behind its decision; the others have counts. */
const FIELD_COUNT_V1 = 8;
const FIELD_COUNT = 13;

/** Positions in a tuple. */
const enum Field {
  Time = 0,
  Src = 1,
  Dst = 2,
  SrcPort = 3,
  DstPort = 4,
  Protocol = 5,
  Direction = 6,
  /** NSG: A or D, then the state. VNet: the state, then the encryption. */
  Decision = 7,
  State = 8,
  Packets = 9,
  Bytes = 10,
  ReplyPackets = 11,
  ReplyBytes = 12,
}

/** What a key announces. */
const enum Member {
  Other = 0,
  Tuples = 1,
  /** Of the interface that saw the flows. */
  Mac = 2,
}

/** The field `encryption` of VNet flow logs: encrypted, or why not. */
const ENCRYPTIONS: ReadonlySet<string> = new Set([
  'X',
  'NX',
  'NX_HW_NOT_SUPPORTED',
  'NX_SW_NOT_READY',
  'NX_NOT_ACCEPTED',
  'NX_NOT_SUPPORTED',
  'NX_LOCAL_DST',
  'NX_FALLBACK',
]);

/** Seconds have ten digits until the year 2286, milliseconds thirteen. */
const SECONDS_DIGITS = 11;

const QUOTE = 34;
const BACKSLASH = 92;

function openAzure(context: ReadContext): TraceDecoder {
  const { batch, account } = context;
  const tuples = new AzureTuples(context);
  let depth = 0;
  let offset = 0;
  let member: Member = Member.Other;
  let isValue = false;
  let isInTuples = false;
  /** The interface of the object that is open at `macDepth`; 0: not said so far. */
  let mac = 0;
  let macDepth = 0;
  let isInGarbage = false;

  const reject = (reason: string, detail: string, at: number): void => {
    account.read++;
    addMalformed(account, reason, { unit: 'record', number: account.read, offset: at }, detail);
  };
  const garbage = (at: number, detail: string, reason = 'invalid-json'): void => {
    if (!isInGarbage) reject(reason, detail, at);
    isInGarbage = true;
  };

  return {
    decode(bytes, start, end) {
      let at = start;
      while (at < end && batch.count < batch.capacity) {
        const byte = bytes[at]!;
        if (byte === QUOTE) {
          const close = isInTuples ? tuples.scan(bytes, at, end) : endOfString(bytes, at, end);
          if (close === end) {
            if (end - at <= RECORD_SIZE_LIMIT) break;
            garbage(offset + at - start, `a text longer than ${RECORD_SIZE_LIMIT} bytes`, 'too-long');
            at++;
            continue;
          }
          if (bytes[close] !== QUOTE) {
            // No text goes over a line end: what follows is read from there on.
            isInGarbage = false;
            garbage(offset + at - start, 'a text without an end');
            at = close;
            continue;
          }
          isInGarbage = false;
          if (isInTuples) tuples.take(bytes, at + 1, close, mac, offset + at - start);
          else if (!isValue) member = memberOf(bytes, at + 1, close);
          else if (member === Member.Mac) {
            mac = hashBytes(bytes, at + 1, close);
            macDepth = depth;
          }
          at = close + 1;
          continue;
        }
        if (byte === 123 || byte === 91) {
          depth++;
          isInTuples = byte === 91 && isValue && member === Member.Tuples;
          isValue = false;
          member = Member.Other;
        } else if (byte === 125 || byte === 93) {
          if (depth > 0) depth--;
          if (depth < macDepth) mac = macDepth = 0;
          isInTuples = isValue = false;
        } else if (byte === 58) isValue = true;
        else if (byte === 44) isValue = false;
        else if (byte > 32 && !isLiteral(byte)) {
          garbage(offset + at - start, 'expected JSON');
          at++;
          continue;
        }
        if (byte > 32) isInGarbage = false;
        at++;
      }
      offset += at - start;
      return at;
    },
    finish(_bytes, start, end) {
      // A blob that is copied while Azure appends to it ends anywhere.
      if (end > start || depth > 0) reject('truncated', 'the input ends inside the document', offset);
    },
  };
}

const src: FieldAddress = { family: 0, value: 0 };
const dst: FieldAddress = { family: 0, value: 0 };

/** Rows of flow tuples. */
class AzureTuples {
  private readonly context: ReadContext;
  private readonly observers = new ObserverTable();
  /** Where the fields of the tuple at hand begin and end, and how many it has. */
  private readonly starts = new Int32Array(FIELD_COUNT);
  private readonly ends = new Int32Array(FIELD_COUNT);
  private count = 0;

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** Finds the fields of the tuple whose quote `open` is; returns what `endOfString` would. */
  scan(bytes: Uint8Array, open: number, end: number): number {
    const { starts, ends } = this;
    let count = 0;
    let from = open + 1;
    let at = from;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte !== 44) {
        // No tuple has an escape: whatever comes behind one is no field.
        if (byte === QUOTE || byte === 10) break;
        if (byte === BACKSLASH) at++;
        continue;
      }
      if (count < FIELD_COUNT) {
        starts[count] = from;
        ends[count] = at;
      }
      count++;
      from = at + 1;
    }
    if (at >= end) return end;
    if (count < FIELD_COUNT) {
      starts[count] = from;
      ends[count] = at;
    }
    this.count = count + 1;
    return at;
  }

  /** Accounts for the tuple `bytes[start, end)` that was scanned last; `mac` names the interface, 0 = unknown. */
  take(bytes: Uint8Array, start: number, end: number, mac: number, offset: number): void {
    const { starts, count } = this;
    const { account } = this.context;
    account.read++;
    const isNsg = count > Field.Protocol && !isDigit(bytes[starts[Field.Protocol]!]!);
    const isWhole = count === FIELD_COUNT || (isNsg && count === FIELD_COUNT_V1);
    const complaint = isWhole
      ? this.fill(bytes, isNsg, count, mac)
      : `expected ${FIELD_COUNT} fields, or ${FIELD_COUNT_V1} in version 1, found ${count}`;
    if (complaint === '') return;
    const place = { unit: 'record', number: account.read, offset } as const;
    const excerpt = decodeText(bytes, start, Math.min(end, start + 400));
    addMalformed(account, isWhole ? 'invalid-field' : 'field-count', place, complaint, excerpt);
  }

  /** Appends the row of the tuple; returns what is wrong with it, or the empty text. */
  private fill(bytes: Uint8Array, isNsg: boolean, count: number, mac: number): string {
    const { starts, ends } = this;
    const { batch, account, dictionary } = this.context;
    const digits = ends[Field.Time]! - starts[Field.Time]!;
    const time = parseDigits(bytes, starts[Field.Time]!, ends[Field.Time]!);
    if (time < 0) return this.expected(bytes, Field.Time, 'a time in seconds or milliseconds');
    if (!readAddressBytes(bytes, starts[Field.Src]!, ends[Field.Src]!, dictionary, src))
      return this.expected(bytes, Field.Src, 'an IP address');
    if (!readAddressBytes(bytes, starts[Field.Dst]!, ends[Field.Dst]!, dictionary, dst))
      return this.expected(bytes, Field.Dst, 'an IP address');
    if (src.family !== dst.family) return 'expected addresses of one family';
    const srcPort = parseDigits(bytes, starts[Field.SrcPort]!, ends[Field.SrcPort]!);
    if (srcPort < 0 || srcPort > 0xffff) return this.expected(bytes, Field.SrcPort, 'a port');
    const dstPort = parseDigits(bytes, starts[Field.DstPort]!, ends[Field.DstPort]!);
    if (dstPort < 0 || dstPort > 0xffff) return this.expected(bytes, Field.DstPort, 'a port');
    const protocol = isNsg
      ? protocolOf(this.letter(bytes, Field.Protocol))
      : parseDigits(bytes, starts[Field.Protocol]!, ends[Field.Protocol]!);
    if (protocol < 0 || protocol > 255) return this.expected(bytes, Field.Protocol, 'T, U or a protocol number');
    const hasState = count === FIELD_COUNT;
    // Version 1 ends before the counts.
    const packets = hasState ? this.number(bytes, Field.Packets) : -1;
    if (packets === INVALID) return this.expected(bytes, Field.Packets, 'a number');
    const size = hasState ? this.number(bytes, Field.Bytes) : -1;
    if (size === INVALID) return this.expected(bytes, Field.Bytes, 'a number');
    const replyPackets = hasState ? this.number(bytes, Field.ReplyPackets) : -1;
    if (replyPackets === INVALID) return this.expected(bytes, Field.ReplyPackets, 'a number');
    const replySize = hasState ? this.number(bytes, Field.ReplyBytes) : -1;
    if (replySize === INVALID) return this.expected(bytes, Field.ReplyBytes, 'a number');

    const direction = this.letter(bytes, Field.Direction);
    if (direction !== Letter.Inbound && direction !== Letter.Outbound)
      this.addUnknown(bytes, Field.Direction, 'direction');
    if (!isNsg) this.checkEncryption(bytes);
    const verdict = isNsg ? this.readDecision(bytes) : this.readState(bytes, Field.Decision);
    // The state of an NSG tuple says nothing of the verdict.
    if (isNsg && hasState) this.readState(bytes, Field.State);
    const timeUs = time * (digits <= SECONDS_DIGITS ? 1e6 : 1e3);

    // What one end denies, the other may have let out: that is no duplicate.
    if (
      verdict !== RecordedVerdict.FirewallDeny &&
      this.observers.isDuplicate(
        src.family,
        protocol,
        src.value,
        srcPort,
        dst.value,
        dstPort,
        // Outbound is one end, inbound the other; further interfaces on the way see either.
        (mac ^ direction) >>> 0,
        Math.floor(timeUs / 1e6),
      )
    ) {
      increment(account.skipped, 'duplicate');
      return '';
    }
    const row = batch.count;
    clearRow(batch, row);
    batch.kind[row] = verdict === RecordedVerdict.FirewallDeny ? RecordKind.Decision : RecordKind.Connection;
    batch.recordedVerdict[row] = verdict;
    batch.orientation[row] = Orientation.Original;
    batch.orientedBy[row] = OrientedBy.Stated;
    batch.timeUs[row] = timeUs;
    batch.family[row] = src.family;
    batch.src[row] = src.value;
    batch.dst[row] = dst.value;
    batch.protocol[row] = protocol;
    if (hasPorts(protocol)) {
      batch.srcPort[row] = srcPort;
      batch.dstPort[row] = dstPort;
    }
    // Counts are those since the last tuple: at its beginning and at a denial a flow has none, whatever is written.
    const state = this.letter(bytes, isNsg ? Field.State : Field.Decision);
    const hasCounts = hasState && (state === Letter.Continuing || state === Letter.Ended);
    batch.packets[row] = hasCounts ? packets : -1;
    batch.bytes[row] = hasCounts ? size : -1;
    if (verdict !== RecordedVerdict.FirewallDeny) {
      batch.replyPackets[row] = hasCounts ? replyPackets : -1;
      batch.replyBytes[row] = hasCounts ? replySize : -1;
    }
    batch.line[row] = account.read;
    batch.count = row + 1;
    return '';
  }

  /** The number in a field, -1 where it is empty, `INVALID` where it is something else. */
  private number(bytes: Uint8Array, field: number): number {
    const start = this.starts[field]!;
    const end = this.ends[field]!;
    if (start === end) return -1;
    const value = parseDigits(bytes, start, end);
    return value < 0 ? INVALID : value;
  }

  /** The byte of a field that is one letter; 0 for any other. */
  private letter(bytes: Uint8Array, field: Field): number {
    const start = this.starts[field]!;
    return this.ends[field] === start + 1 ? bytes[start]! : 0;
  }

  /** NSG: A or D. */
  private readDecision(bytes: Uint8Array): RecordedVerdict {
    const letter = this.letter(bytes, Field.Decision);
    if (letter === Letter.Allowed) return RecordedVerdict.FirewallAllow;
    if (letter === Letter.Denied) return RecordedVerdict.FirewallDeny;
    this.addUnknown(bytes, Field.Decision, 'decision');
    return RecordedVerdict.None;
  }

  /** B, C and E of a flow that is let through; in VNet logs D of one that is not. */
  private readState(bytes: Uint8Array, field: Field): RecordedVerdict {
    const letter = this.letter(bytes, field);
    if (letter === Letter.Begun || letter === Letter.Continuing || letter === Letter.Ended)
      return RecordedVerdict.FirewallAllow;
    if (letter === Letter.Denied) return RecordedVerdict.FirewallDeny;
    this.addUnknown(bytes, field, 'state');
    return RecordedVerdict.None;
  }

  private checkEncryption(bytes: Uint8Array): void {
    const start = this.starts[Field.State]!;
    const length = this.ends[Field.State]! - start;
    const isPlain = length === 2 && bytes[start] === 78 && bytes[start + 1] === 88;
    if (isPlain || ENCRYPTIONS.has(this.text(bytes, Field.State))) return;
    this.addUnknown(bytes, Field.State, 'encryption');
  }

  private addUnknown(bytes: Uint8Array, field: Field, name: string): void {
    addUnknownValue(this.context.account, name, this.text(bytes, field));
  }

  private text(bytes: Uint8Array, field: Field): string {
    return decodeText(bytes, this.starts[field]!, Math.min(this.ends[field]!, this.starts[field]! + 60));
  }

  private expected(bytes: Uint8Array, field: number, what: string): string {
    const found = this.text(bytes, field);
    return `field ${field + 1}: expected ${what}, found ${found === '' ? 'nothing' : found}`;
  }
}

const INVALID = -2;

/** The letters of a tuple. */
const enum Letter {
  Allowed = 65,
  Begun = 66,
  Continuing = 67,
  Denied = 68,
  Ended = 69,
  Inbound = 73,
  Outbound = 79,
  Tcp = 84,
  Udp = 85,
}

function protocolOf(letter: number): number {
  if (letter === Letter.Tcp) return Protocol.Tcp;
  return letter === Letter.Udp ? Protocol.Udp : -1;
}

function memberOf(bytes: Uint8Array, start: number, end: number): Member {
  if (isText(bytes, start, end, 'flowTuples')) return Member.Tuples;
  return isText(bytes, start, end, 'mac') || isText(bytes, start, end, 'macAddress') ? Member.Mac : Member.Other;
}

function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** Where the string that `open` begins ends: at its quote, at a line end (which is an error), or at `end` (not yet). */
function endOfString(bytes: Uint8Array, open: number, end: number): number {
  for (let at = open + 1; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE || byte === 10) return at;
    if (byte === BACKSLASH) at++;
  }
  return end;
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

/** A byte of a number, `true`, `false` or `null`. */
function isLiteral(byte: number): boolean {
  return (byte >= 97 && byte <= 122) || isDigit(byte) || byte === 43 || byte === 45 || byte === 46 || byte === 69;
}

/** FNV-1a; never 0. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let value = 0x811c9dc5;
  for (let at = start; at < end; at++) value = Math.imul(value ^ bytes[at]!, 0x01000193);
  return value >>> 0 || 1;
}
