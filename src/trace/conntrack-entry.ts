/**
 * An entry of Linux's connection tracking table, whichever way it was printed, and how entries become rows: one row for each
 * connection, whatever events and zones it shows in. The two tuples of an entry hold the translation: the reply comes from
 * where the packets really went, so its source is the backend behind a Service, and what the client asked for stays beside it.
 */
import { Orientation, OrientedBy, RecordKind, clearRow, type Dictionary } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { addMalformed, increment } from './account.ts';
import { type FieldAddress, parseDigitText, readAddress } from './field.ts';
import type { ReadContext } from './format.ts';
import type { Place } from './line.ts';

/** What no listing of the table can show. */
export const CONNTRACK_LIMITS: readonly string[] = [
  'A connection that was dropped before it was confirmed has no conntrack entry: this trace shows allowed traffic, and no attempt that a policy already drops.',
  'Connections between two looks at the table, and those of a CNI that tracks connections itself (Cilium), are not in it.',
  'An entry has no pod names, labels or verdicts.',
];

/** Said once where the times of a trace are local times of the node. */
export const LOCAL_TIME_LIMIT =
  'The times of this trace are local times of its node without a zone; they are read as UTC.';

/** Connections remembered for the joining of events and zones; beyond, the oldest is forgotten. */
const CONNECTIONS = 1 << 20;

/** What the line says of the entry. `Dump`: it is there. */
export const enum EntryEvent {
  Dump = 0,
  New = 1,
  Update = 2,
  Destroy = 3,
}

/** One direction as the table has it; -1 and family 0 where the line has none. */
export interface EntryTuple {
  readonly src: FieldAddress;
  readonly dst: FieldAddress;
  srcPort: number;
  dstPort: number;
  icmpType: number;
  icmpCode: number;
  icmpId: number;
  packets: number;
  bytes: number;
}

/** Where a reader collects what a line says; `clear` before, `take` after. */
export class ConntrackEntries {
  event: EntryEvent = EntryEvent.Dump;
  timeUs: number = NaN;
  protocol: number = Protocol.Unknown;
  isUnreplied = false;
  /** Text of the zones; empty is the default zone 0. */
  zone = '';
  readonly original: EntryTuple = createTuple();
  readonly reply: EntryTuple = createTuple();
  /** Connection -> the zones in which it is open. */
  private readonly open = new Map<string, string[]>();
  private readonly context: ReadContext;

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** Forgets the last line. */
  clear(): void {
    this.event = EntryEvent.Dump;
    this.timeUs = NaN;
    this.protocol = Protocol.Unknown;
    this.isUnreplied = false;
    this.zone = '';
    clearTuple(this.original);
    clearTuple(this.reply);
  }

  /** Appends a row for a connection that is new, and accounts for the line. */
  take(place: Place, text: string): void {
    const { original, reply } = this;
    const { account } = this.context;
    const complaint = this.complain();
    if (complaint !== '') return addMalformed(account, 'invalid-entry', place, complaint, text);
    const isIcmp = this.protocol === Protocol.Icmp || this.protocol === Protocol.Icmpv6;
    const srcPort = isIcmp ? original.icmpId : original.srcPort;
    const dstPort = isIcmp ? -1 : reply.srcPort;
    const icmp = isIcmp && original.icmpType >= 0 ? (original.icmpType << 8) | Math.max(0, original.icmpCode) : -1;
    const skipped = this.remember(
      `${original.src.family} ${this.protocol} ${original.src.value} ${srcPort} ${reply.src.value} ${dstPort} ${icmp}`,
    );
    if (skipped !== '') return increment(account.skipped, skipped);
    this.append(place, srcPort, dstPort, icmp);
  }

  private complain(): string {
    const { original, reply } = this;
    if (original.src.family === 0 || original.dst.family === 0)
      return 'expected src= and dst= of the original direction';
    if (reply.src.family === 0 || reply.dst.family === 0) return 'expected src= and dst= of the reply direction';
    if (
      original.dst.family !== original.src.family ||
      reply.src.family !== original.src.family ||
      reply.dst.family !== original.src.family
    )
      return 'expected addresses of one family';
    for (const port of [original.srcPort, original.dstPort, reply.srcPort, reply.dstPort])
      if (port > 0xffff) return `expected ports up to 65535, found ${port}`;
    if (original.icmpType > 255 || original.icmpCode > 255) return 'expected an ICMP type and code up to 255';
    if (original.icmpId > 0xffff) return `expected an ICMP identifier up to 65535, found ${original.icmpId}`;
    return '';
  }

  /**
   * Why the line is no new connection, or the empty text. A connection is open in a zone from its first line to its DESTROY.
   * A NEW in a zone where it is open already is another connection (its DESTROY was not recorded); in another zone it is the
   * same one, seen again. A DESTROY of a connection that nothing else showed is the only sight of it.
   */
  private remember(key: string): string {
    const { open, event, zone } = this;
    const zones = open.get(key);
    if (zones === undefined) {
      if (event === EntryEvent.Destroy) return '';
      if (open.size >= CONNECTIONS) for (const oldest of open.keys()) if (open.delete(oldest)) break;
      open.set(key, [zone]);
      return '';
    }
    const index = zones.indexOf(zone);
    if (event === EntryEvent.Destroy) {
      if (index >= 0) zones.splice(index, 1);
      if (zones.length === 0) open.delete(key);
      return 'destroy';
    }
    if (event === EntryEvent.New && index >= 0) {
      open.set(key, [zone]);
      return '';
    }
    // The zones of a node are few; a hostile file must not make the list long.
    if (index < 0 && zones.length < 64) zones.push(zone);
    return event === EntryEvent.Update ? 'update' : 'duplicate';
  }

  private append(place: Place, srcPort: number, dstPort: number, icmp: number): void {
    const { batch } = this.context;
    const { original, reply } = this;
    const row = batch.count;
    clearRow(batch, row);
    batch.kind[row] = RecordKind.Connection;
    batch.orientation[row] = Orientation.Original;
    batch.orientedBy[row] = OrientedBy.Stated;
    batch.family[row] = original.src.family;
    batch.protocol[row] = this.protocol;
    batch.src[row] = original.src.value;
    batch.dst[row] = reply.src.value;
    batch.srcPort[row] = srcPort;
    batch.dstPort[row] = dstPort;
    batch.icmp[row] = icmp;
    if (original.dst.value !== reply.src.value || (dstPort >= 0 && original.dstPort !== dstPort)) {
      batch.preDst[row] = original.dst.value;
      batch.preDstPort[row] = Math.max(0, original.dstPort);
    }
    batch.timeUs[row] = this.timeUs;
    batch.packets[row] = original.packets;
    batch.bytes[row] = original.bytes;
    // Without counters an entry still says whether an answer came, except at its very beginning.
    const isSilent = this.isUnreplied && this.event !== EntryEvent.New && reply.packets < 0;
    batch.replyPackets[row] = isSilent ? 0 : reply.packets;
    batch.replyBytes[row] = isSilent ? 0 : reply.bytes;
    batch.line[row] = place.number;
    batch.count = row + 1;
  }
}

function createTuple(): EntryTuple {
  return {
    src: { family: 0, value: 0 },
    dst: { family: 0, value: 0 },
    srcPort: -1,
    dstPort: -1,
    icmpType: -1,
    icmpCode: -1,
    icmpId: -1,
    packets: -1,
    bytes: -1,
  };
}

function clearTuple(tuple: EntryTuple): void {
  tuple.src.family = tuple.dst.family = 0;
  tuple.src.value = tuple.dst.value = 0;
  tuple.srcPort = tuple.dstPort = -1;
  tuple.icmpType = tuple.icmpCode = tuple.icmpId = -1;
  tuple.packets = tuple.bytes = -1;
}

/** Puts one named value of an entry into its tuple; false where the value is none. Names that a tuple does not have are let by. */
export function takeTupleMember(dictionary: Dictionary, tuple: EntryTuple, key: string, value: string): boolean {
  switch (key) {
    case 'src':
      return readAddress(value, dictionary, tuple.src);
    case 'dst':
      return readAddress(value, dictionary, tuple.dst);
    case 'sport':
      return (tuple.srcPort = parseDigitText(value)) >= 0;
    case 'dport':
      return (tuple.dstPort = parseDigitText(value)) >= 0;
    case 'type':
      return (tuple.icmpType = parseDigitText(value)) >= 0;
    case 'code':
      return (tuple.icmpCode = parseDigitText(value)) >= 0;
    case 'id':
      return (tuple.icmpId = parseDigitText(value)) >= 0;
    case 'packets':
      return (tuple.packets = parseDigitText(value)) >= 0;
    case 'bytes':
      return (tuple.bytes = parseDigitText(value)) >= 0;
    default:
      return true;
  }
}
