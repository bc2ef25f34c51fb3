/**
 * Cilium Hubble flows as JSON lines: the exporter's files, `hubble observe -o jsonpb`, the bare flows of old CLIs, and
 * protojson in camelCase (Cilium `api/v1/flow/flow.proto`, `observer.proto`). Absent means the proto default, except
 * `is_reply`, a wrapper, where absent means unknown.
 */
import { ServiceSightings } from './service-sighting.ts';
import { parseAddress } from '../model/address.ts';
import {
  Orientation,
  OrientedBy,
  RecordedVerdict,
  RecordKind,
  TcpFlag,
  clearRow,
  type Dictionary,
  type EndpointFact,
  type FlowBatch,
} from '../model/flow.ts';
import { addMalformed, addUnknownValue, increment, type TraceAccount } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import {
  Event,
  HandleLimit,
  type HubbleScanner,
  Outcome,
  Scan,
  ScanVerdict,
  shareHubbleScanner,
} from './hubble-scan.ts';
import { type Json, asObject, asText } from './json-member.ts';
import {
  createByteLineDecoder,
  createJsonDecoder,
  decodeText,
  type LineRun,
  parseJsonRecord,
  type Place,
} from './line.ts';
import { ObserverCounts } from './observer-count.ts';
import { RecentTable } from './recent.ts';
import { type LoggedRows, RowLog } from './row-log.ts';
import { fillUnstated } from './scanned-row.ts';
import { parseTime } from './time.ts';

/** Hubble's JSON flows. */
export const HUBBLE: TraceFormat = {
  name: 'hubble',
  description: 'Cilium Hubble flows (JSON lines)',
  recognise: isHubble,
  isText: true,
  limits: [
    'Hubble aggregates the packets of a connection: record counts are not packet counts, and bytes are unknown.',
    'Hubble records carry the labels that matter to identities only: a label that a record lacks may exist on the pod.',
  ],
  open: (context) => openHubble(context, shareHubbleScanner()),
};

/** Said where records of aggregates turn up. */
const AGGREGATE_LIMIT =
  'Summed Hubble flows (AKS container network logs) have neither addresses nor times of their own, and count flows, not connections: each source, destination, port and verdict is taken for one connection.';

/** Two records of one policy drop are at most this far apart. */
const DROP_PAIR_US = 1_000_000;
/** How many drops wait for their second record. */
const DROP_PAIRS = 65_536;

const NEWLINE = 10;

/** How many connections are remembered for the sake of L7 records. */
const CONNECTIONS = 65_536;

const TCP_FLAGS: readonly (readonly [string, number])[] = [
  ['FIN', 1],
  ['SYN', 2],
  ['RST', 4],
  ['PSH', 8],
  ['ACK', 16],
  ['URG', 32],
  ['ECE', 64],
  ['CWR', 128],
];

const VERDICTS: readonly string[] = [
  'VERDICT_UNKNOWN',
  'FORWARDED',
  'DROPPED',
  'ERROR',
  'AUDIT',
  'REDIRECTED',
  'TRACED',
  'TRANSLATED',
];

/** Drop reasons that are a policy's doing (`pkg/monitor/api`): POLICY_DENIED, POLICY_DENY, AUTH_REQUIRED. */
const POLICY_DROPS: ReadonlySet<unknown> = new Set(['POLICY_DENIED', 'POLICY_DENY', 'AUTH_REQUIRED', 133, 181, 189]);

const words = new Uint32Array(4);
const otherWords = new Uint32Array(4);

function isHubble({ json }: Head): boolean {
  if (json === undefined) return false;
  const { top, all } = json;
  // Goldmane wraps its flows alike: a record that has only begun must show a member of Hubble's.
  if (top.has('flow') && !json.isWhole && !['time', 'verdict', 'IP', 'l4'].some((key) => all.has(key))) return false;
  if (top.has('flow')) return !all.has('Key') && !(all.has('key') && all.has('policies'));
  if (
    ['lost_events', 'lostEvents', 'agent_event', 'agentEvent', 'debug_event', 'debugEvent'].some((key) => top.has(key))
  )
    return true;
  if (top.has('node_status') || top.has('nodeStatus')) return true;
  return top.has('verdict') && (top.has('IP') || top.has('l4') || top.has('Type'));
}

/**
 * Makes the reader. With a scanner, records that it understands take no object and no text; the others, and all of them
 * without one, go through JSON.parse. Both ways give the same rows in the same order.
 */
export function openHubble(context: ReadContext, scanner: HubbleScanner | undefined): TraceDecoder {
  const reader = new HubbleReader(context);
  const decoder =
    scanner === undefined
      ? createJsonDecoder(context, (record, place) => reader.takeRecord(record, place))
      : openScanning(context, reader, scanner);
  return Object.assign(decoder, {
    countReady: () => reader.services.countReady(context.batch),
    willHandOut: (count: number) => reader.services.willHandOut(context.batch, count),
  });
}

/** Takes flows that another format has brought into the members of `flow.proto`, in an envelope as the exporter writes it. */
export interface FlowTaker extends Pick<Required<TraceDecoder>, 'countReady' | 'willHandOut'> {
  /** Accounts for one record, which was counted as read. */
  take(record: Json, place: Place): void;
}

/** A taker with the memory of one input; its decoder hands rows out as the taker says. */
export function createFlowTaker(context: ReadContext): FlowTaker {
  const reader = new HubbleReader(context);
  return {
    take: (record, place) => reader.takeRecord(record, place),
    countReady: () => reader.services.countReady(context.batch),
    willHandOut: (count) => reader.services.willHandOut(context.batch, count),
  };
}

function openScanning(context: ReadContext, reader: HubbleReader, scanner: HubbleScanner): TraceDecoder {
  return createByteLineDecoder(
    context,
    (bytes, start, end, line, offset) => {
      const place = { unit: 'line', number: line, offset } as const;
      parseJsonRecord(context.account, decodeText(bytes, start, end), place, (record) =>
        reader.takeRecord(record, place),
      );
    },
    new ScannedLines(context, reader, scanner),
  );
}

/** Lines that the scanner understands; the others are for JSON.parse. */
class ScannedLines implements LineRun {
  lines = 0;
  private readonly context: ReadContext;
  private readonly reader: HubbleReader;
  private readonly scanner: HubbleScanner;
  private readonly handles: HandleTable;
  private bytes: Uint8Array = new Uint8Array(0);
  private end = 0;
  /** What of the bytes the scanner has. */
  private windowStart = 0;
  private windowEnd = 0;

  constructor(context: ReadContext, reader: HubbleReader, scanner: HubbleScanner) {
    this.context = context;
    this.reader = reader;
    this.scanner = scanner;
    this.handles = new HandleTable(context.dictionary, scanner);
  }

  open(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.end = end;
    this.windowStart = this.windowEnd = start;
  }

  takeRun(start: number, first: number): number {
    const { reader, scanner, handles } = this;
    const { batch, account } = this.context;
    let at = start;
    let line = first;
    while (batch.count < batch.capacity) {
      if (at >= this.windowEnd && !this.loadFrom(at)) break;
      const count = scanner.read(at, line, batch.capacity - batch.count);
      if (count > 0) reader.takeRows(scanner, handles, count);
      line += count;
      at = scanner.stop();
      const outcome = scanner.result[Scan.Outcome]!;
      if (outcome === Outcome.More) continue;
      if (outcome === Outcome.Unread) {
        if (this.isCut(at) && this.loadFrom(at)) continue;
        break;
      }
      if (!reader.takeScanned(scanner, handles, line)) break;
      at = scanner.recordStop();
      line++;
    }
    this.lines = line - first;
    account.read += this.lines;
    return at;
  }

  /** Gives the scanner what follows from `at` on; false where nothing does. */
  private loadFrom(at: number): boolean {
    this.windowStart = at;
    this.windowEnd = this.scanner.load(this.bytes, at, this.end);
    return at < this.windowEnd;
  }

  /** Does the window end within the line at `at`, which is not the first one in it? */
  private isCut(at: number): boolean {
    if (this.windowEnd === this.end || at === this.windowStart) return false;
    const newline = this.bytes.indexOf(NEWLINE, at);
    return newline < 0 || newline >= this.windowEnd;
  }
}

/** What the scanner's handles mean to one reader; each object is parsed once. */
class HandleTable {
  private readonly dictionary: Dictionary;
  private readonly scanner: HubbleScanner;
  private generation = -1;
  /** [handle + 1] ids of the dictionary plus 1; 0 not asked yet. */
  private readonly endpoints = new Uint32Array(HandleLimit.End + 1);
  private readonly backed = new Map<number, number>();
  private readonly retina = new Map<number, boolean>();

  constructor(dictionary: Dictionary, scanner: HubbleScanner) {
    this.dictionary = dictionary;
    this.scanner = scanner;
  }

  /** The endpoint of a side; `service` -1: without one. */
  endpointOf(endpoint: number, service: number): number {
    if (service >= 0) return this.backedEndpointOf(endpoint, service);
    if (endpoint < 0) return 0;
    const known = this.endpoints[endpoint + 1]!;
    if (known !== 0) return known - 1;
    const id = internEndpoint(this.dictionary, this.scanner.objectOf(endpoint), undefined);
    this.endpoints[endpoint + 1] = id + 1;
    return id;
  }

  /** Writes the endpoints of the scanner's first rows to those of the batch. */
  putEndpoints({ srcEndpoint, dstEndpoint, count: from }: FlowBatch, count: number): void {
    const { endpoints } = this;
    const { source, destination } = this.scanner;
    for (let row = 0; row < count; row++) {
      const [src, dst] = [source[row]!, destination[row]!];
      srcEndpoint[from + row] = (endpoints[src + 1]! || this.endpointOf(src, -1) + 1) - 1;
      dstEndpoint[from + row] = (endpoints[dst + 1]! || this.endpointOf(dst, -1) + 1) - 1;
    }
  }

  /** `isRetina` by the two objects that tell. */
  isRetina(emitter: number, extensions: number): boolean {
    if (emitter < 0 && extensions < 0) return false;
    const key = (emitter + 1) * 65_536 + extensions + 1;
    let known = this.retina.get(key);
    if (known === undefined) {
      known = isRetina({
        ...(emitter < 0 ? {} : { emitter: this.scanner.objectOf(emitter) }),
        ...(extensions < 0 ? {} : { extensions: this.scanner.objectOf(extensions) }),
      });
      this.retina.set(key, known);
    }
    return known;
  }

  /** Forgets handles of an earlier generation. */
  renew(generation: number): void {
    if (generation === this.generation) return;
    this.generation = generation;
    this.endpoints.fill(0);
    this.backed.clear();
    this.retina.clear();
  }

  private backedEndpointOf(endpoint: number, service: number): number {
    const key = (endpoint + 1) * 65_536 + service;
    let id = this.backed.get(key);
    if (id === undefined) {
      const object = endpoint < 0 ? undefined : this.scanner.objectOf(endpoint);
      id = internEndpoint(this.dictionary, object, this.scanner.objectOf(service));
      this.backed.set(key, id);
    }
    return id;
  }
}

/** What a record says, beside the columns that are in its row already. */
interface Saying {
  event: number;
  isL7: boolean;
  verdict: RecordedVerdict;
  /** Undefined: the record does not say. */
  isReply: boolean | undefined;
  /** TCP flags, -1 where there are none. */
  flags: number;
  timeUs: number;
  hasService: boolean;
}

/** The recorded verdicts of Hubble's by their numbers, `DROPPED` apart. */
const SCANNED_VERDICTS: readonly RecordedVerdict[] = [
  RecordedVerdict.None,
  RecordedVerdict.Allow,
  RecordedVerdict.Drop,
  RecordedVerdict.Error,
  RecordedVerdict.Audit,
  RecordedVerdict.Allow,
  RecordedVerdict.None,
  RecordedVerdict.None,
];

/** Records of one input, and what of earlier ones decides about later ones; bounded. */
class HubbleReader {
  /** What records on both sides of a Service's translation have taught. */
  readonly services: ServiceSightings = new ServiceSightings();
  /** Of aggregates, what each direction has shown. */
  private readonly counts = new ObserverCounts();
  /** Policy drops whose second record may come. */
  private readonly drops = new Map<string, { readonly event: number; readonly timeUs: number }>();
  /** Rows that were taken, for the tables that only some inputs ask for. */
  private readonly log = new RowLog();
  /** Connections of those rows, by their two ends in a fixed order; for L7 records. */
  private readonly connections = new RecentTable(CONNECTIONS, 0);
  private readonly toConnections = this.log.reader((rows, at) => {
    const [meta, from, fromPort, to, toPort] = connectionOf(rows, at);
    this.connections.put(meta, from, fromPort, to, toPort);
  });
  private readonly toServices = this.log.reader((rows, at) => this.services.meet(rows, at, this.isToPod(rows, at)));
  private readonly context: ReadContext;
  private readonly saying: Saying = {
    event: 0,
    isL7: false,
    verdict: RecordedVerdict.None,
    isReply: undefined,
    flags: -1,
    timeUs: NaN,
    hasService: false,
  };

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** Accounts for one record. */
  takeRecord(record: Json, place: Place): void {
    const { account } = this.context;
    const flow = asObject(record['flow']);
    if (flow !== undefined) return this.takeFlow(flow, record, place);
    const lost = asObject(get(record, 'lost_events', 'lostEvents'));
    if (lost !== undefined) {
      // An event that names no number still says that something is missing.
      account.lost += Math.max(1, asCount(get(lost, 'num_events_lost', 'numEventsLost')));
      return increment(account.skipped, 'lost-events');
    }
    if (get(record, 'agent_event', 'agentEvent') !== undefined) return increment(account.skipped, 'agent-event');
    if (get(record, 'debug_event', 'debugEvent') !== undefined) return increment(account.skipped, 'debug-event');
    if (get(record, 'node_status', 'nodeStatus') !== undefined) return increment(account.skipped, 'node-status');
    if (record['verdict'] !== undefined || record['IP'] !== undefined) return this.takeFlow(record, record, place);
    addMalformed(account, 'not-a-flow', place, `expected "flow", found ${Object.keys(record).slice(0, 5).join(', ')}`);
  }

  /** Takes over the first rows of the scanner. */
  takeRows(scanner: HubbleScanner, handles: HandleTable, count: number): void {
    const { batch } = this.context;
    const [from, to] = [batch.count, batch.count + count];
    fillUnstated(batch, RecordKind.OneWay, from, to);
    batch.flags.fill(0, from, to);
    batch.bytes.fill(-1, from, to);
    batch.packets.fill(-1, from, to);
    scanner.append(batch, count);
    handles.renew(scanner.result[Scan.Generation]!);
    handles.putEndpoints(batch, count);
    batch.count = to;
    this.noteRows(from, to);
  }

  /** Accounts for the record that the scanner has in its result; false where it is better parsed after all. */
  takeScanned(scanner: HubbleScanner, handles: HandleTable, line: number): boolean {
    const { result } = scanner;
    const { batch, dictionary, account } = this.context;
    const { saying } = this;
    const event = result[Scan.Event]!;
    saying.event = event;
    saying.isL7 = result[Scan.Type] === 1 || event === Event.L7;
    if (this.isOtherEvent(event, saying.isL7, result[Scan.Type] === 2)) return true;

    const srcKind = result[Scan.Src]!;
    const family = srcKind < 0 ? 0 : srcKind === 4 && result[Scan.Dst] === 4 ? 4 : 6;
    if (family === 6 && !readScannedAddresses(scanner)) return false;
    handles.renew(result[Scan.Generation]!);
    const srcEndpoint = handles.endpointOf(result[Scan.Source]!, -1);
    const dstEndpoint = handles.endpointOf(result[Scan.Destination]!, result[Scan.Service]!);
    const protocol = result[Scan.Protocol]!;
    if (family === 0) {
      if (protocol < 0 && result[Scan.HasEthernet] === 1) increment(account.skipped, 'non-ip');
      else if (srcEndpoint === 0 && dstEndpoint === 0) increment(account.skipped, 'no-endpoint');
      if ((protocol < 0 && result[Scan.HasEthernet] === 1) || (srcEndpoint === 0 && dstEndpoint === 0)) return true;
    }

    const row = batch.count;
    clearRow(batch, row);
    if (family === 4) {
      batch.family[row] = 4;
      batch.src[row] = result[Scan.Src + 1]!;
      batch.dst[row] = result[Scan.Dst + 1]!;
    } else if (family === 6) setAddresses(batch, row, 6, dictionary);
    batch.srcEndpoint[row] = srcEndpoint;
    batch.dstEndpoint[row] = dstEndpoint;
    batch.line[row] = line;
    saying.flags = -1;
    if (protocol >= 0) {
      batch.protocol[row] = protocol;
      batch.srcPort[row] = result[Scan.SrcPort]!;
      batch.dstPort[row] = result[Scan.DstPort]!;
      batch.icmp[row] = result[Scan.Icmp]!;
      saying.flags = result[Scan.TcpFlags]!;
      if (saying.flags >= 0) batch.tcpFlags[row] = saying.flags;
    }
    saying.timeUs = scanner.timeUs;
    const drop = result[Scan.Drop]!;
    const verdict = result[Scan.Verdict]!;
    if (verdict !== ScanVerdict.Dropped) saying.verdict = SCANNED_VERDICTS[verdict]!;
    else if (saying.isL7) saying.verdict = RecordedVerdict.None;
    else
      saying.verdict =
        drop === 1 || (drop === 0 && event === Event.PolicyVerdict) ? RecordedVerdict.Deny : RecordedVerdict.Drop;
    const isReply = result[Scan.IsReply]!;
    saying.isReply = isReply === 0 ? (result[Scan.Reply] === 2 ? true : undefined) : isReply === 2;
    const [emitter, extensions] = [result[Scan.Emitter]!, result[Scan.Extensions]!];
    if (!handles.isRetina(emitter, extensions)) scanner.trust(emitter, extensions);
    else if (saying.isReply === false) saying.isReply = undefined;
    saying.hasService = result[Scan.Service]! >= 0;
    this.commit(row);
    return true;
  }

  private takeFlow(flow: Json, envelope: Json, place: Place): void {
    const { batch, dictionary, account } = this.context;
    const { saying } = this;
    const eventType = asObject(get(flow, 'event_type', 'eventType'));
    const event = asCount(eventType?.['type']);
    const type = flow['Type'];
    const isL7 = type === 'L7' || type === 2 || event === Event.L7;
    if (this.isOtherEvent(event, isL7, type === 'SOCK' || type === 3)) return;

    const srcEndpoint = internEndpoint(dictionary, asObject(flow['source']), undefined);
    const service = asObject(get(flow, 'destination_service', 'destinationService'));
    const dstEndpoint = internEndpoint(dictionary, asObject(flow['destination']), service);
    const ip = asObject(flow['IP']);
    const l4 = asObject(flow['l4']);
    let family = 0;
    if (ip !== undefined && (ip['source'] !== undefined || ip['destination'] !== undefined)) {
      family = parseAddress(asText(ip['source']), words);
      const other = parseAddress(asText(ip['destination']), otherWords);
      if (family === 0 || family !== other) {
        const found = `${asText(ip['source'])} and ${asText(ip['destination'])}`;
        return addMalformed(account, 'invalid-address', place, `expected two addresses of one family, found ${found}`);
      }
    } else {
      if (l4 === undefined && flow['ethernet'] !== undefined) return increment(account.skipped, 'non-ip');
      if (srcEndpoint === 0 && dstEndpoint === 0) return increment(account.skipped, 'no-endpoint');
    }

    const row = batch.count;
    clearRow(batch, row);
    setAddresses(batch, row, family, dictionary);
    batch.srcEndpoint[row] = srcEndpoint;
    batch.dstEndpoint[row] = dstEndpoint;
    batch.line[row] = place.number;
    const flags = readTransport(batch, row, l4, account);
    if (flags === INVALID_PORT)
      return addMalformed(account, 'invalid-port', place, 'expected ports from 0 to 65535', JSON.stringify(l4));
    saying.event = event;
    saying.isL7 = isL7;
    saying.flags = flags;
    saying.hasService = service !== undefined;
    saying.timeUs = readTime(flow['time'] ?? envelope['time']);
    // What a proxy refuses is no network policy's doing.
    saying.verdict = isL7 && flow['verdict'] === 'DROPPED' ? RecordedVerdict.None : readVerdict(flow, event, account);
    saying.isReply = readReply(flow);
    const aggregate = asObject(flow['aggregate']);
    if (aggregate === undefined) this.commit(row);
    else this.commitAggregate(row, aggregate);
  }

  /** Skips what is no flow of packets or of a proxy, and says so. */
  private isOtherEvent(event: number, isL7: boolean, isSock: boolean): boolean {
    const { skipped } = this.context.account;
    if (isSock || event === Event.Sock) {
      increment(skipped, 'sock');
      return true;
    }
    if (isL7 || event === Event.None || event === Event.Drop || event === Event.Trace || event === Event.PolicyVerdict)
      return false;
    increment(skipped, `event-type ${event}`);
    return true;
  }

  /** Completes the row, whose addresses, ports and endpoints are set, and commits it unless it is one more sighting. */
  private commit(row: number): void {
    const { batch, account } = this.context;
    const { event, isL7, verdict, timeUs, hasService } = this.saying;
    // An L7 record is one more sighting of a connection. It counts only where nothing else has shown that connection.
    if (isL7 && this.isKnownConnection(row)) return increment(account.skipped, 'l7');
    batch.timeUs[row] = timeUs;
    batch.recordedVerdict[row] = verdict;
    const isDrop = verdict === RecordedVerdict.Deny || verdict === RecordedVerdict.Drop;
    const isDecision = event === Event.PolicyVerdict || event === Event.Drop || (event === Event.None && isDrop);
    batch.kind[row] = isDecision ? RecordKind.Decision : RecordKind.OneWay;
    orient(batch, row, this.saying);

    // A policy drop is recorded as a policy verdict and as a drop.
    if (verdict === RecordedVerdict.Deny && event !== Event.None) {
      const { drops } = this;
      const key = tupleKey(batch, row);
      const waiting = drops.get(key);
      if (waiting !== undefined && waiting.event !== event && !(Math.abs(waiting.timeUs - timeUs) > DROP_PAIR_US)) {
        drops.delete(key);
        return increment(account.skipped, 'duplicate');
      }
      drops.delete(key);
      drops.set(key, { event, timeUs });
      if (drops.size > DROP_PAIRS) drops.delete(drops.keys().next().value!);
    }
    batch.count = row + 1;
    if (hasService && batch.orientation[row] !== Orientation.Reply) {
      this.toServices.catchUp();
      this.services.ask(batch, row);
      this.log.append(batch, row, row + 1);
      this.toServices.skip();
    } else this.noteRows(row, row + 1);
  }

  /** Remembers rows of the batch that have gone to where they say. */
  private noteRows(from: number, to: number): void {
    this.log.append(this.context.batch, from, to);
    if (this.services.isWaiting) this.toServices.catchUp();
  }

  private isToPod({ dstEndpoint }: LoggedRows, at: number): boolean {
    return this.context.dictionary.endpoints[dstEndpoint[at]!]?.kind === 'pod';
  }

  /**
   * Completes a row that sums flows of a window and commits it. Flows are no connections: each pair of ends, port and verdict
   * is taken for one. Replies are in a record of their own, without the port that was asked for; requests say enough.
   */
  private commitAggregate(row: number, aggregate: Json): void {
    const { batch, account } = this.context;
    const { verdict, isReply, timeUs, flags } = this.saying;
    if (!account.limits.includes(AGGREGATE_LIMIT)) account.limits.push(AGGREGATE_LIMIT);
    if (isReply === true) return increment(account.skipped, 'reply');
    const isEgress = asCount(get(aggregate, 'egress_flow_count', 'egressFlowCount')) > 0;
    const { srcEndpoint, dstEndpoint, src, dst, protocol, dstPort } = batch;
    const key = `${protocol[row]} ${dstPort[row]} ${srcEndpoint[row]} ${dstEndpoint[row]} ${src[row]} ${dst[row]}`;
    const { fresh, repeated } = this.counts.add(key, isEgress ? 'egress' : 'ingress', String(verdict), 1, 0);
    batch.kind[row] = RecordKind.Aggregate;
    batch.connections[row] = fresh;
    batch.repeats[row] = repeated;
    batch.srcPort[row] = -1;
    if (flags >= 0) batch.tcpFlags[row] = TcpFlag.Absent;
    batch.timeUs[row] = timeUs;
    batch.recordedVerdict[row] = verdict;
    batch.replyBytes[row] = batch.replyPackets[row] = -1;
    // What is dropped is taken for a request, as Cilium does.
    if (isReply === false || verdict === RecordedVerdict.Deny || verdict === RecordedVerdict.Drop) {
      batch.orientation[row] = Orientation.Original;
      batch.orientedBy[row] = isReply === false ? OrientedBy.Stated : OrientedBy.Assumed;
    }
    batch.count = row + 1;
  }

  /** Whether the row's connection was seen, in either direction. */
  private isKnownConnection(row: number): boolean {
    this.toConnections.catchUp();
    const [meta, from, fromPort, to, toPort] = connectionOf(this.context.batch, row);
    return this.connections.find(meta, from, fromPort, to, toPort) >= 0;
  }
}

/** A key of the row's connection that is the same for both directions. */
function connectionOf(rows: LoggedRows, row: number): [number, number, number, number, number] {
  const { family, src, dst, srcPort, dstPort, protocol, srcEndpoint, dstEndpoint } = rows;
  // Endpoints stand in for addresses; where both are there, the names can differ from record to record.
  const isNamed = family[row] === 0;
  const from = isNamed ? srcEndpoint[row]! : src[row]!;
  const to = isNamed ? dstEndpoint[row]! : dst[row]!;
  const meta = (family[row]! << 8) | protocol[row]!;
  const fromPort = srcPort[row]!;
  const toPort = dstPort[row]!;
  const isForward = from === to ? fromPort <= toPort : from < to;
  return isForward ? [meta, from, fromPort, to, toPort] : [meta, to, toPort, from, fromPort];
}

function setAddresses(batch: ReadContext['batch'], row: number, family: number, { addresses }: Dictionary): void {
  batch.family[row] = family;
  if (family === 4) {
    batch.src[row] = words[0]!;
    batch.dst[row] = otherWords[0]!;
  } else if (family === 6) {
    batch.src[row] = addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!);
    batch.dst[row] = addresses.intern(otherWords[0]!, otherWords[1]!, otherWords[2]!, otherWords[3]!);
  }
}

/** Addresses that are no plain IPv4, into `words`; false where they are not two of version 6. */
function readScannedAddresses(scanner: HubbleScanner): boolean {
  const { result } = scanner;
  if (result[Scan.Src] !== 6 || result[Scan.Dst] !== 6) return false;
  const src = scanner.textAt(result[Scan.Src + 1]!, result[Scan.Src + 2]!);
  const dst = scanner.textAt(result[Scan.Dst + 1]!, result[Scan.Dst + 2]!);
  return parseAddress(src, words) === 6 && parseAddress(dst, otherWords) === 6;
}

function tupleKey(batch: ReadContext['batch'], row: number): string {
  const { src, dst, srcPort, dstPort, protocol, icmp, srcEndpoint, dstEndpoint } = batch;
  return `${src[row]} ${dst[row]} ${srcPort[row]} ${dstPort[row]} ${protocol[row]} ${icmp[row]} ${srcEndpoint[row]} ${dstEndpoint[row]}`;
}

/** `readTransport` found a port outside of 16 bits. */
const INVALID_PORT = -2;

/** Protocol, ports, flags and ICMP type; returns the TCP flags, -1 where there are none, or `INVALID_PORT`. */
function readTransport(batch: ReadContext['batch'], row: number, l4: Json | undefined, account: TraceAccount): number {
  if (l4 === undefined) return -1;
  for (const name of Object.keys(l4)) {
    const part = asObject(l4[name]);
    if (part === undefined) continue;
    switch (name) {
      case 'TCP':
      case 'UDP':
      case 'SCTP': {
        batch.protocol[row] = name === 'TCP' ? 6 : name === 'UDP' ? 17 : 132;
        const srcPort = readPort(get(part, 'source_port', 'sourcePort'));
        const dstPort = readPort(get(part, 'destination_port', 'destinationPort'));
        if (srcPort === INVALID_PORT || dstPort === INVALID_PORT) return INVALID_PORT;
        batch.srcPort[row] = srcPort;
        batch.dstPort[row] = dstPort;
        const named = asObject(part['flags']);
        if (name !== 'TCP' || named === undefined) return -1;
        let bits = 0;
        for (const [flag, bit] of TCP_FLAGS) if (named[flag] === true) bits |= bit;
        batch.tcpFlags[row] = bits;
        return bits;
      }
      case 'ICMPv4':
      case 'ICMPv6':
        batch.protocol[row] = name === 'ICMPv4' ? 1 : 58;
        batch.icmp[row] = ((asCount(part['type']) & 255) << 8) | (asCount(part['code']) & 255);
        return -1;
      case 'VRRP':
        batch.protocol[row] = 112;
        return -1;
      case 'IGMP':
        batch.protocol[row] = 2;
        return -1;
      default:
        addUnknownValue(account, 'l4', name);
    }
  }
  return -1;
}

/** Port 0 stands for an absent one: proto3 leaves zeros out. */
function readPort(value: unknown): number {
  if (value === undefined || value === null) return -1;
  const port = Number(value);
  if (!Number.isInteger(port) || port < 0 || port > 65535) return INVALID_PORT;
  return port === 0 ? -1 : port;
}

function readVerdict(flow: Json, event: number, account: TraceAccount): RecordedVerdict {
  const raw = flow['verdict'];
  const name = typeof raw === 'number' ? VERDICTS[raw] : raw;
  switch (name) {
    case 'FORWARDED':
    case 'REDIRECTED':
      return RecordedVerdict.Allow;
    case 'AUDIT':
      return RecordedVerdict.Audit;
    case 'ERROR':
      return RecordedVerdict.Error;
    case 'DROPPED': {
      const reason = get(flow, 'drop_reason_desc', 'dropReasonDesc') ?? get(flow, 'drop_reason', 'dropReason');
      if (POLICY_DROPS.has(reason)) return RecordedVerdict.Deny;
      return reason === undefined && event === Event.PolicyVerdict ? RecordedVerdict.Deny : RecordedVerdict.Drop;
    }
    case 'TRACED':
    case 'TRANSLATED':
    case 'VERDICT_UNKNOWN':
    case undefined:
      if (raw === undefined || name !== undefined) return RecordedVerdict.None;
  }
  addUnknownValue(account, 'verdict', raw);
  return RecordedVerdict.None;
}

/** `is_reply` where it is a statement. `reply: true` of 2021 is one too, its absence is none. */
function readReply(flow: Json): boolean | undefined {
  let isReply = get(flow, 'is_reply', 'isReply');
  if (isReply === undefined && flow['reply'] === true) isReply = true;
  // Retina writes false where it does not know.
  if (isReply === false && isRetina(flow)) isReply = undefined;
  return typeof isReply === 'boolean' ? isReply : undefined;
}

/** Who opened the connection. Cilium states it where its connection tracking told; a policy verdict is only made for an opening. */
function orient(batch: ReadContext['batch'], row: number, { isReply, event, verdict, flags }: Saying): void {
  let orientation = Orientation.Unknown;
  let orientedBy = OrientedBy.Assumed;
  if (isReply !== undefined) {
    orientation = isReply ? Orientation.Reply : Orientation.Original;
    orientedBy = OrientedBy.Stated;
  } else if (event === Event.PolicyVerdict || verdict === RecordedVerdict.Deny) {
    orientation = Orientation.Original;
    orientedBy = OrientedBy.Stated;
  } else if (flags >= 0 && (flags & 2) !== 0) {
    orientation = (flags & 16) === 0 ? Orientation.Original : Orientation.Reply;
    orientedBy = OrientedBy.Flags;
  } else if (verdict === RecordedVerdict.Drop) {
    orientation = Orientation.Original;
  }
  batch.orientation[row] = orientation;
  batch.orientedBy[row] = orientedBy;
}

function isRetina(flow: Json): boolean {
  const emitter = asObject(flow['emitter']);
  if (typeof emitter?.['name'] === 'string' && emitter['name'].toLowerCase().includes('retina')) return true;
  return asObject(flow['extensions'])?.['@type'] === 'type.googleapis.com/google.protobuf.Struct';
}

/** Seconds and nanoseconds of a Timestamp message are accepted beside RFC 3339 text. */
function readTime(value: unknown): number {
  if (typeof value === 'string') return parseTime(value);
  const parts = asObject(value);
  if (parts === undefined) return NaN;
  return asCount(parts['seconds']) * 1e6 + Math.floor(asCount(parts['nanos']) / 1000);
}

function internEndpoint(dictionary: Dictionary, endpoint: Json | undefined, service: Json | undefined): number {
  if (endpoint === undefined && service === undefined) return 0;
  const labels = Array.isArray(endpoint?.['labels']) ? (endpoint['labels'] as unknown[]).map(asText) : [];
  const namespace = asText(endpoint?.['namespace']);
  const pod = asText(endpoint === undefined ? undefined : get(endpoint, 'pod_name', 'podName'));
  const identity = asCount(endpoint?.['identity']);
  const workloads = endpoint?.['workloads'];
  const workload = Array.isArray(workloads) ? asObject(workloads[0]) : undefined;
  const serviceName = pod === '' ? asText(service?.['name']) : '';
  if (
    namespace === '' &&
    pod === '' &&
    labels.length === 0 &&
    identity === 0 &&
    workload === undefined &&
    serviceName === ''
  )
    return 0;
  const workloadName = asText(workload?.['name']);
  const key = JSON.stringify(['hubble', namespace, pod, identity, workloadName, serviceName, labels]);
  return dictionary.internEndpoint(key, () =>
    makeEndpoint(namespace, pod, identity, workload, labels, serviceName, asText(service?.['namespace'])),
  );
}

function makeEndpoint(
  namespace: string,
  pod: string,
  identity: number,
  workload: Json | undefined,
  sourceLabels: readonly string[],
  serviceName: string,
  serviceNamespace: string,
): EndpointFact {
  const labels = new Map<string, string>();
  const namespaceLabels = new Map<string, string>();
  const reserved = new Set<string>();
  let isCidr = false;
  let namespaceOfLabel = '';
  for (const label of sourceLabels) {
    const colon = label.indexOf(':');
    const source = colon < 0 ? '' : label.slice(0, colon);
    const rest = label.slice(colon + 1);
    const equals = rest.indexOf('=');
    const key = equals < 0 ? rest : rest.slice(0, equals);
    const value = equals < 0 ? '' : rest.slice(equals + 1);
    if (source === 'reserved') reserved.add(key);
    else if (source === 'cidr') isCidr = true;
    else if (source !== 'k8s') continue;
    else if (key === 'io.kubernetes.pod.namespace') namespaceOfLabel = value;
    else if (key.startsWith(NAMESPACE_LABEL_PREFIX))
      namespaceLabels.set(key.slice(NAMESPACE_LABEL_PREFIX.length), value);
    else if (!key.startsWith('io.cilium.k8s.policy.')) labels.set(key, value);
  }
  const workloadName = asText(workload?.['name']);
  const ns = namespace === '' ? namespaceOfLabel : namespace;
  const made: { -readonly [Key in keyof EndpointFact]: EndpointFact[Key] } = {
    kind: 'unknown',
    areLabelsComplete: false,
  };
  if (ns !== '') made.namespace = ns;
  if (workloadName !== '') {
    made.workload = workloadName;
    made.workloadKind = asText(workload?.['kind']);
  }
  if (labels.size > 0 || namespaceLabels.size > 0) {
    made.labels = labels;
    made.namespaceLabels = namespaceLabels;
  }
  if (pod !== '') {
    made.kind = 'pod';
    made.name = pod;
  } else if (workloadName !== '') {
    made.kind = 'workload';
    made.name = workloadName;
  } else if (reserved.has('host') || reserved.has('remote-node') || identity === 1 || identity === 6)
    made.kind = 'node';
  else if (serviceName !== '') {
    made.kind = 'service';
    made.name = serviceName;
    if (serviceNamespace !== '') made.namespace = serviceNamespace;
  } else if (isCidr || WORLD_IDENTITIES.has(identity) || WORLDS.some((name) => reserved.has(name))) made.kind = 'world';
  return made;
}

const WORLDS = ['world', 'world-ipv4', 'world-ipv6'];
const WORLD_IDENTITIES: ReadonlySet<number> = new Set([2, 9, 10]);

const NAMESPACE_LABEL_PREFIX = 'io.cilium.k8s.namespace.labels.';

/** A field under its proto name or in camelCase. */
function get(object: Json, name: string, camel: string): unknown {
  return object[name] ?? object[camel] ?? undefined;
}

/** A number that proto JSON may write as text; 0 where it is absent or none. */
function asCount(value: unknown): number {
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) && number > 0 ? number : 0;
}
