/**
 * Flow records as columns: what every trace reader writes and replay reads. One batch is a set of typed arrays of equal
 * capacity; row `i` of each is record `i`. No object, string or address text is made per record.
 */
import type { AddressText, AddressWords } from './address.ts';
import type { Labels } from './label.ts';
import type { PolicyTrace } from './recorded-policy.ts';
import type { Verdict } from './verdict.ts';

/** What one record stands for. */
export const enum RecordKind {
  /** One packet, with everything that connection tracking asks for. */
  Packet = 0,
  /** A sample or sum of packets of one direction of a connection. */
  OneWay = 1,
  /** A whole connection, both directions. */
  Connection = 2,
  /** A policy decision about a connection's opening. */
  Decision = 3,
  /** Connections that agree in ends, protocol and port, summed over a window: `connections` says how many. */
  Aggregate = 4,
}

/** Who opened the connection, as far as the record says. */
export const enum Orientation {
  /** `src` is the initiator. */
  Original = 0,
  /** `src` is the responder: the record belongs to the reply direction. */
  Reply = 1,
  Unknown = 2,
}

/** How the initiator came to be known; counted and reported by kind. */
export const enum OrientedBy {
  Stated = 0,
  Flags = 1,
  Paired = 2,
  Ports = 3,
  Assumed = 4,
}

/** The verdict that the source recorded, if any. */
export const enum RecordedVerdict {
  None = 0,
  Allow = 1,
  /** Denied by policy. */
  Deny = 2,
  /** Dropped for another reason than policy. */
  Drop = 3,
  Audit = 4,
  Error = 5,
  /** Accepted by a cloud's or a host's firewall (security group, network ACL, NSG, packet filter): no policy of Kubernetes said so. */
  FirewallAllow = 6,
  /** Rejected by one. */
  FirewallDeny = 7,
}

/** Bits of `FlowBatch.flags`. */
export const enum RecordFlag {
  /** A later fragment whose first one was never seen: that is why there are no ports. Who wants to know whether there are asks for them. */
  NoPorts = 1,
  /** The capture cut the packet before its transport header ended. */
  Truncated = 2,
  /** The same bytes were sent again (TCP sequence numbers say so). */
  Retransmission = 4,
  /** A later fragment of a packet; its ports are those of the first fragment. */
  Fragment = 8,
}

/** TCP flag bits as in the header; `TcpFlag.Absent` where the record has none. */
export const enum TcpFlag {
  Fin = 1,
  Syn = 2,
  Rst = 4,
  Psh = 8,
  Ack = 16,
  Urg = 32,
  Absent = 0xffff,
}

/** The packet that an ICMP error quotes; row `quote[i]` of these columns, address columns as in `FlowBatch`. */
export interface QuoteColumns {
  count: number;
  family: Uint8Array;
  protocol: Uint8Array;
  src: Uint32Array;
  dst: Uint32Array;
  /** For quoted ICMP echo: the identifier. */
  srcPort: Int32Array;
  dstPort: Int32Array;
  /** For quoted ICMP: type << 8 | code, else -1. */
  icmp: Int32Array;
}

/** The first and the last time in rows, in microseconds; Infinity and -Infinity where no row has a time. */
export interface TimeExtent {
  readonly firstUs: number;
  readonly lastUs: number;
}

/**
 * Which rows of a trace a batch stands for whose other rows are read by somebody else: `first` up to `end`, counted from 0. The clock of
 * connection tracking has come to `firstUs` at the first of them, to `lastUs` at the last, and at the rows of the batch to `clockUs`, where that is
 * not their time; microseconds.
 */
export interface BatchShare {
  readonly first: number;
  readonly end: number;
  readonly firstUs: number;
  readonly lastUs: number;
  /** [rows] */
  readonly clockUs: Float64Array | undefined;
}

/** A batch of records. Arrays are reused by the reader: whoever keeps a value copies it. */
export interface FlowBatch {
  readonly capacity: number;
  /** Rows in use. */
  count: number;
  /**
   * Columns every element of which is one value, in use or not, as far as a reader keeps track of it; undefined: it does not, because
   * the consumer may write into the batch. Who does take this up and writes all the same takes the column out.
   */
  readonly uniform: Map<string, number> | undefined;
  /** Of all rows, where the reader knows it. Who changes times or leaves rows out takes it away. */
  extent: TimeExtent | undefined;
  /** Undefined: all rows are here. */
  share: BatchShare | undefined;
  /** `RecordKind`. */
  readonly kind: Uint8Array;
  /** 4, 6 or 0 = no addresses in the record. */
  readonly family: Uint8Array;
  /** IANA number; 255 unknown. */
  readonly protocol: Uint8Array;
  /** IPv4: the address itself. IPv6: an id of `Dictionary.addresses`. As the policy point sees it: after DNAT, before SNAT, when known. */
  readonly src: Uint32Array;
  readonly dst: Uint32Array;
  /** -1 absent. For ICMP echo, timestamp, ...: the identifier in `srcPort`, `dstPort` -1. */
  readonly srcPort: Int32Array;
  readonly dstPort: Int32Array;
  /** ICMP type << 8 | code; -1 absent. */
  readonly icmp: Int32Array;
  /** `TcpFlag` bits, or `TcpFlag.Absent`. A OneWay record has the OR of its packets. */
  readonly tcpFlags: Uint16Array;
  /** Microseconds since 1970-01-01 UTC; NaN absent. */
  readonly timeUs: Float64Array;
  /** Bytes and packets of this record, `src` to `dst`; -1 unknown. For a packet: its length on the wire, and 1. */
  readonly bytes: Float64Array;
  readonly packets: Float64Array;
  /** The other direction of a Connection record; -1 unknown, 0 elsewhere. */
  readonly replyBytes: Float64Array;
  readonly replyPackets: Float64Array;
  /** `Orientation` and, when it is known, `OrientedBy`. */
  readonly orientation: Uint8Array;
  readonly orientedBy: Uint8Array;
  /** `RecordedVerdict`. */
  readonly recordedVerdict: Uint8Array;
  /** Id of `Dictionary.endpoints`; 0 = the record names nobody. */
  readonly srcEndpoint: Uint32Array;
  readonly dstEndpoint: Uint32Array;
  /** Destination before DNAT (a ClusterIP, ...) in the family of the row; `preDstPort` -1 = not translated, or unknown. */
  readonly preDst: Uint32Array;
  readonly preDstPort: Int32Array;
  /** `RecordFlag` bits. */
  readonly flags: Uint16Array;
  /** 1-based line, or packet number, within its file. */
  readonly line: Float64Array;
  /** Where rows of several traces stand together: the number of the trace of each. */
  readonly origin?: Uint32Array;
  /** Row of `quotes`, or -1. */
  readonly quote: Int32Array;
  readonly quotes: QuoteColumns;
  /** SCTP: bit `t` set = the packet holds a chunk of type `t` (0..14); bit 15 = a type beyond. 0 elsewhere. */
  readonly sctpChunks: Uint16Array;
  /** SCTP verification tag of the packet, and the initiate tag of an INIT or INIT ACK chunk; 0 elsewhere. */
  readonly sctpTag: Uint32Array;
  readonly sctpInitTag: Uint32Array;
  /** Connections that the record opens: 1, or what an Aggregate counts; 0 = none that an earlier row has not counted. */
  readonly connections: Float64Array;
  /** Connections of an Aggregate that a row of another observer has counted already; 0 elsewhere. */
  readonly repeats: Float64Array;
  /** Id of `Dictionary.policyTraces`; 0 = the record names no policies. */
  readonly policies: Uint32Array;
}

/** Room in the WebAssembly memory of whoever takes in batches, for one reader: columns that are put there are used where they lie. It never moves. */
export interface Arena {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
}

/** What a record says about an endpoint, apart from its address. */
export interface EndpointFact {
  /** `network`: addresses that are no pod's, and that may be nodes' as well as outside ones. */
  readonly kind: 'pod' | 'workload' | 'node' | 'service' | 'world' | 'network' | 'unknown';
  readonly namespace?: string;
  readonly name?: string;
  readonly workloadKind?: string;
  readonly workload?: string;
  /** Labels in the record; undefined: the record carries none. */
  readonly labels?: Labels;
  /** Labels of its namespace that the record carries. */
  readonly namespaceLabels?: Labels;
  /** True only where the source states that no label is left out. */
  readonly areLabelsComplete: boolean;
}

/** Interned IPv6 addresses and endpoints of one replay; ids are stable, append only. */
export interface Dictionary {
  readonly addresses: AddressTable;
  /** Index 0 is unused. */
  readonly endpoints: readonly EndpointFact[];
  /** The id of an endpoint; equal facts under the same `key` share one. */
  internEndpoint(key: string, make: () => EndpointFact): number;
  /** Index 0 is unused. */
  readonly policyTraces: readonly PolicyTrace[];
  /** The id of a policy trace; equal ones under the same `key` share one. */
  internPolicies(key: string, make: () => PolicyTrace): number;
}

/** Append-only table of IPv6 addresses, open addressing over typed arrays. */
export class AddressTable {
  /** Addresses held. */
  count = 0;
  /** Four words an address, id-major. */
  words: Uint32Array = new Uint32Array(4 * 1024);
  private slots = new Int32Array(2048).fill(-1);

  /** The id of an address given as four words. */
  intern(w0: number, w1: number, w2: number, w3: number): number {
    const { words, slots } = this;
    const mask = slots.length - 1;
    let slot = hashWords(w0, w1, w2, w3) & mask;
    for (let id = slots[slot]!; id >= 0; id = slots[slot]!) {
      const at = id * 4;
      if (
        words[at] === w0 >>> 0 &&
        words[at + 1] === w1 >>> 0 &&
        words[at + 2] === w2 >>> 0 &&
        words[at + 3] === w3 >>> 0
      )
        return id;
      slot = (slot + 1) & mask;
    }
    const id = this.count++;
    slots[slot] = id;
    if (id * 4 === words.length) {
      this.words = new Uint32Array(words.length * 2);
      this.words.set(words);
    }
    this.words[id * 4] = w0;
    this.words[id * 4 + 1] = w1;
    this.words[id * 4 + 2] = w2;
    this.words[id * 4 + 3] = w3;
    if (this.count * 2 > slots.length) this.rehash();
    return id;
  }

  /** The four words of an address, a view: valid until the next `intern`. */
  get(id: number): AddressWords {
    return this.words.subarray(id * 4, id * 4 + 4);
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let id = 0; id < this.count; id++) {
      const at = id * 4;
      let slot = hashWords(this.words[at]!, this.words[at + 1]!, this.words[at + 2]!, this.words[at + 3]!) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.slots = slots;
  }
}

/** A dictionary for one replay; every reader of that replay writes into the same one. */
export function createDictionary(): Dictionary {
  const endpoints: EndpointFact[] = [{ kind: 'unknown', areLabelsComplete: false }];
  const policyTraces: PolicyTrace[] = [{ enforced: [], pending: [] }];
  return {
    addresses: new AddressTable(),
    endpoints,
    internEndpoint: createIntern(endpoints),
    policyTraces,
    internPolicies: createIntern(policyTraces),
  };
}

/** Rows of a batch unless the caller asks for another number. */
export const DEFAULT_BATCH_CAPACITY = 16_384;

/** An empty batch; every column has `capacity` elements. `use`: `read` where nobody but its reader will write into it. */
export function createBatch(capacity: number = DEFAULT_BATCH_CAPACITY, use: 'read' | 'write' = 'write'): FlowBatch {
  return {
    capacity,
    count: 0,
    uniform: use === 'read' ? new Map<string, number>() : undefined,
    extent: undefined,
    share: undefined,
    kind: new Uint8Array(capacity),
    family: new Uint8Array(capacity),
    protocol: new Uint8Array(capacity),
    src: new Uint32Array(capacity),
    dst: new Uint32Array(capacity),
    srcPort: new Int32Array(capacity),
    dstPort: new Int32Array(capacity),
    icmp: new Int32Array(capacity),
    tcpFlags: new Uint16Array(capacity),
    timeUs: new Float64Array(capacity),
    bytes: new Float64Array(capacity),
    packets: new Float64Array(capacity),
    replyBytes: new Float64Array(capacity),
    replyPackets: new Float64Array(capacity),
    orientation: new Uint8Array(capacity),
    orientedBy: new Uint8Array(capacity),
    recordedVerdict: new Uint8Array(capacity),
    srcEndpoint: new Uint32Array(capacity),
    dstEndpoint: new Uint32Array(capacity),
    preDst: new Uint32Array(capacity),
    preDstPort: new Int32Array(capacity),
    flags: new Uint16Array(capacity),
    line: new Float64Array(capacity),
    quote: new Int32Array(capacity),
    quotes: createQuotes(64),
    sctpChunks: new Uint16Array(capacity),
    sctpTag: new Uint32Array(capacity),
    sctpInitTag: new Uint32Array(capacity),
    connections: new Float64Array(capacity),
    repeats: new Float64Array(capacity),
    policies: new Uint32Array(capacity),
  };
}

/** Sets row `row` to "nothing known": absent everywhere, kind Packet, orientation unknown. */
export function clearRow(batch: FlowBatch, row: number): void {
  batch.kind[row] = RecordKind.Packet;
  batch.family[row] = 0;
  batch.protocol[row] = 255;
  batch.src[row] = 0;
  batch.dst[row] = 0;
  batch.srcPort[row] = -1;
  batch.dstPort[row] = -1;
  batch.icmp[row] = -1;
  batch.tcpFlags[row] = TcpFlag.Absent;
  batch.timeUs[row] = NaN;
  batch.bytes[row] = -1;
  batch.packets[row] = -1;
  batch.replyBytes[row] = 0;
  batch.replyPackets[row] = 0;
  batch.orientation[row] = Orientation.Unknown;
  batch.orientedBy[row] = OrientedBy.Assumed;
  batch.recordedVerdict[row] = RecordedVerdict.None;
  batch.srcEndpoint[row] = 0;
  batch.dstEndpoint[row] = 0;
  batch.preDst[row] = 0;
  batch.preDstPort[row] = -1;
  batch.flags[row] = 0;
  batch.line[row] = 0;
  batch.quote[row] = -1;
  batch.sctpChunks[row] = 0;
  batch.sctpTag[row] = 0;
  batch.sctpInitTag[row] = 0;
  batch.connections[row] = 1;
  batch.repeats[row] = 0;
  batch.policies[row] = 0;
}

/** What a row of `FlowBatch.quotes` is made of. */
export const QUOTE_COLUMNS: readonly Exclude<keyof QuoteColumns, 'count'>[] = [
  'family',
  'protocol',
  'src',
  'dst',
  'srcPort',
  'dstPort',
  'icmp',
];

/** The number of a fresh quote row, grown where needed; the caller fills it. */
export function addQuote(batch: FlowBatch): number {
  const { quotes } = batch;
  if (quotes.count === quotes.family.length) {
    const grown = createQuotes(quotes.count * 2);
    for (const column of QUOTE_COLUMNS) {
      grown[column].set(quotes[column]);
      (quotes[column] as Int32Array) = grown[column] as Int32Array;
    }
  }
  return quotes.count++;
}

/** Quotes a packet that rows of another batch, or of this one, quote; returns the number of its row here. */
export function copyQuote(batch: FlowBatch, from: QuoteColumns, row: number): number {
  const own = addQuote(batch);
  for (const column of QUOTE_COLUMNS) batch.quotes[column][own] = from[column][row]!;
  return own;
}

/** Name of a column of batches. */
export type ColumnName = keyof {
  [Name in keyof FlowBatch as FlowBatch[Name] extends ArrayBufferView ? Name : never]: 0;
};

/** The names of all columns of batches, but for `origin`, which few have. */
export function columnNames(): ColumnName[] {
  return Object.entries(createBatch(0)).flatMap(([name, column]: [string, unknown]) =>
    ArrayBuffer.isView(column) ? [name as ColumnName] : [],
  );
}

/** Moves those of rows `from` up to `to` that are kept to the front of that range, in their order; returns its new end. */
export function keepRows(batch: FlowBatch, from: number, to: number, isKept: (row: number) => boolean): number {
  let kept = from;
  for (let row = from; row < to; row++) {
    const first = row;
    while (row < to && isKept(row)) row++;
    if (first > kept) moveRows(batch, kept, first, row);
    kept += row - first;
  }
  return kept;
}

/** Moves rows `from` up to `to` forward, to `place` and behind it. The packets that they quote stay where they are. */
export function moveRows(batch: FlowBatch, place: number, from: number, to: number): void {
  if (to === from) return;
  for (const column of Object.values(batch) as unknown[])
    if (ArrayBuffer.isView(column)) (column as Uint8Array).copyWithin(place, from, to);
}

/** Empties a batch for reuse. */
export function resetBatch(batch: FlowBatch): void {
  batch.count = 0;
  batch.quotes.count = 0;
}

/** One side of a flow as people and tests name it. */
export type EndpointRef =
  | { readonly kind: 'address'; readonly address: AddressText }
  /** `namespace/name`: a pod, else a top owner. */
  | { readonly kind: 'name'; readonly namespace: string; readonly name: string }
  /** `namespace/Kind/name`, exact; kind `Pod` names a pod. */
  | { readonly kind: 'workload'; readonly namespace: string; readonly workloadKind: string; readonly name: string }
  /** `service.namespace`; destinations only. */
  | { readonly kind: 'service'; readonly namespace: string; readonly name: string };

/** One connection attempt, the convenient form: tests, `explain`, scenario files. */
export interface Flow {
  readonly src: EndpointRef;
  readonly dst: EndpointRef;
  /** IANA number. */
  readonly protocol: number;
  /** Destination port; undefined where the protocol has none, or it is unknown. */
  readonly port?: number;
  /** ICMP type << 8 | code. */
  readonly icmp?: number;
}

/** A packet of a scenario: a flow with what connection tracking asks for. */
export interface Packet extends Flow {
  /** Seconds since the scenario began. */
  readonly timeS: number;
  readonly srcPort?: number;
  /** `TcpFlag` bits. */
  readonly tcpFlags?: number;
  /** For ICMP errors: the index of the packet that it quotes. */
  readonly quotes?: number;
}

/** What any evaluator answers for one flow. */
export interface Decision {
  readonly verdict: Verdict;
  readonly egress: number;
  readonly ingress: number;
  /** Mask of `MissingFact`. */
  readonly missing: number;
}

function createQuotes(capacity: number): QuoteColumns {
  return {
    count: 0,
    family: new Uint8Array(capacity),
    protocol: new Uint8Array(capacity),
    src: new Uint32Array(capacity),
    dst: new Uint32Array(capacity),
    srcPort: new Int32Array(capacity),
    dstPort: new Int32Array(capacity),
    icmp: new Int32Array(capacity),
  };
}

function createIntern<T>(values: T[]): (key: string, make: () => T) => number {
  const ids = new Map<string, number>();
  return (key, make) => {
    let id = ids.get(key);
    if (id === undefined) {
      id = values.push(make()) - 1;
      ids.set(key, id);
    }
    return id;
  };
}

function hashWords(w0: number, w1: number, w2: number, w3: number): number {
  let hash = Math.imul(w0 ^ 0x9e3779b9, 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 15)) + w1, 0xc2b2ae35);
  hash = Math.imul((hash ^ (hash >>> 13)) + w2, 0x27d4eb2f);
  hash = Math.imul((hash ^ (hash >>> 16)) + w3, 0x165667b1);
  return hash ^ (hash >>> 15);
}
