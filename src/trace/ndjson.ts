/**
 * dropcast's own record as one JSON object a line: everything that a row holds, in words. docs/traces.md lists the fields.
 * Writer and reader are each other's inverse for every row that a reader can make.
 */
import { formatAddress, parseAddress, type Family } from '../model/address.ts';
import {
  Orientation,
  OrientedBy,
  RecordFlag,
  RecordKind,
  addQuote,
  clearRow,
  type Dictionary,
  type EndpointFact,
  type FlowBatch,
} from '../model/flow.ts';
import { parseProtocol } from '../model/port.ts';
import type { PolicyAction, PolicyHit, PolicyTrace } from '../model/recorded-policy.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createJsonDecoder, type Place } from './line.ts';
import { checkTime, formatTime, parseTime } from './time.ts';
import {
  KIND_WORDS,
  ORIENTATION_WORDS,
  ORIENTED_BY_WORDS,
  VERDICT_WORDS,
  formatTcpFlags,
  indexOfWord,
  parseTcpFlags,
} from './word.ts';

/** The native record, version 1. */
export const NDJSON: TraceFormat = {
  name: 'ndjson',
  description: "dropcast's own records (JSON lines)",
  recognise: ({ json }) =>
    json !== undefined &&
    json.top.has('v') &&
    ['src', 'dst', 'srcPod', 'dstPod', 'srcEndpoint', 'dstEndpoint'].some((key) => json.top.has(key)),
  isText: true,
  limits: [],
  open: openNdjson,
};

/** Writes the rows of a batch, a line each. */
export function writeNdjson(batch: FlowBatch, dictionary: Dictionary): Uint8Array {
  let text = '';
  for (let row = 0; row < batch.count; row++) text += `${JSON.stringify(toRecord(batch, row, dictionary))}\n`;
  return new TextEncoder().encode(text);
}

type Json = Record<string, unknown>;

const NOTES: readonly (readonly [string, number])[] = [
  ['no-ports', RecordFlag.NoPorts],
  ['truncated', RecordFlag.Truncated],
  ['retransmission', RecordFlag.Retransmission],
  ['fragment', RecordFlag.Fragment],
];

const ENDPOINT_KINDS: readonly EndpointFact['kind'][] = [
  'pod',
  'workload',
  'node',
  'service',
  'world',
  'network',
  'unknown',
];
const ACTIONS: readonly PolicyAction[] = ['allow', 'deny', 'pass'];

const words = new Uint32Array(4);

function toRecord(batch: FlowBatch, row: number, dictionary: Dictionary): Json {
  const family = batch.family[row]! as Family;
  const port = (value: number): number | undefined => (value < 0 ? undefined : value);
  const known = (value: number): number | undefined => (value < 0 ? undefined : value);
  const icmp = batch.icmp[row]!;
  const flags = batch.flags[row]!;
  const kind = batch.kind[row]!;
  const notes = NOTES.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name);
  const quote = batch.quote[row]!;
  const hasPre = batch.preDstPort[row]! >= 0;
  const sctp = [batch.sctpChunks[row]!, batch.sctpTag[row]!, batch.sctpInitTag[row]!];
  // Members that are undefined are left out by JSON.stringify.
  return {
    v: 1,
    t: formatTime(batch.timeUs[row]!) || undefined,
    k: KIND_WORDS[kind],
    src: addressText(dictionary, family, batch.src[row]!),
    sport: port(batch.srcPort[row]!),
    dst: addressText(dictionary, family, batch.dst[row]!),
    dport: port(batch.dstPort[row]!),
    proto: batch.protocol[row] === 255 ? undefined : protocolWord(batch.protocol[row]!),
    icmp: icmp < 0 ? undefined : [icmp >> 8, icmp & 255],
    flags: formatTcpFlags(batch.tcpFlags[row]!),
    bytes: known(batch.bytes[row]!),
    packets: known(batch.packets[row]!),
    replyBytes: batch.replyBytes[row] === 0 ? undefined : batch.replyBytes[row]!,
    replyPackets: batch.replyPackets[row] === 0 ? undefined : batch.replyPackets[row]!,
    orient: ORIENTATION_WORDS[batch.orientation[row]!],
    orientBy: ORIENTED_BY_WORDS[batch.orientedBy[row]!],
    verdict: batch.recordedVerdict[row] === 0 ? undefined : VERDICT_WORDS[batch.recordedVerdict[row]!],
    preDst: hasPre ? addressText(dictionary, family, batch.preDst[row]!) : undefined,
    preDport: hasPre ? batch.preDstPort[row] : undefined,
    srcEndpoint: endpointRecord(dictionary, batch.srcEndpoint[row]!),
    dstEndpoint: endpointRecord(dictionary, batch.dstEndpoint[row]!),
    notes: notes.length === 0 ? undefined : notes,
    sctp: sctp.every((value) => value === 0) ? undefined : sctp,
    n: batch.connections[row] === 1 ? undefined : batch.connections[row]!,
    again: batch.repeats[row] === 0 ? undefined : batch.repeats[row]!,
    policies: batch.policies[row] === 0 ? undefined : policiesToJson(dictionary.policyTraces[batch.policies[row]!]!),
    quote: quote < 0 ? undefined : quoteRecord(batch, quote, dictionary),
  };
}

function addressText(dictionary: Dictionary, family: Family, value: number): string | undefined {
  if (family === 0) return undefined;
  if (family === 4) words[0] = value;
  return formatAddress(family, family === 4 ? words : dictionary.addresses.get(value));
}

function protocolWord(protocol: number): string | number {
  switch (protocol) {
    case 1:
      return 'icmp';
    case 6:
      return 'tcp';
    case 17:
      return 'udp';
    case 58:
      return 'icmpv6';
    case 132:
      return 'sctp';
    default:
      return protocol;
  }
}

function endpointRecord(dictionary: Dictionary, id: number): Json | undefined {
  return id === 0 ? undefined : endpointToJson(dictionary.endpoints[id]!);
}

/** An endpoint as plain JSON; the binary format keeps the same shape. */
export function endpointToJson(fact: EndpointFact): Record<string, unknown> {
  return {
    kind: fact.kind,
    namespace: fact.namespace,
    name: fact.name,
    workloadKind: fact.workloadKind,
    workload: fact.workload,
    labels: fact.labels === undefined ? undefined : Object.fromEntries(fact.labels),
    namespaceLabels: fact.namespaceLabels === undefined ? undefined : Object.fromEntries(fact.namespaceLabels),
    labelsComplete: fact.areLabelsComplete ? true : undefined,
  };
}

/** A policy trace as plain JSON; the binary format keeps the same shape. */
export function policiesToJson({ enforced, pending }: PolicyTrace): Record<string, unknown> {
  const plain = ({ isStaged, ...hit }: PolicyHit): object => ({ ...hit, staged: isStaged ? true : undefined });
  return { enforced: enforced.map(plain), pending: pending.length === 0 ? undefined : pending.map(plain) };
}

/** The id of the policy trace that `policiesToJson` makes; what is no rule is dropped. */
export function internPoliciesJson(dictionary: Dictionary, value: Readonly<Record<string, unknown>>): number {
  const trace = { enforced: readHits(value['enforced']), pending: readHits(value['pending']) };
  if (trace.enforced.length + trace.pending.length === 0) return 0;
  return dictionary.internPolicies(JSON.stringify(['own', trace.enforced, trace.pending]), () => trace);
}

function readHits(value: unknown): PolicyHit[] {
  if (!Array.isArray(value)) return [];
  return (value as unknown[]).flatMap((item): PolicyHit[] => {
    if (typeof item !== 'object' || item === null) return [];
    const hit = item as Json;
    const action = ACTIONS.find((candidate) => candidate === hit['action']);
    if (action === undefined || typeof hit['name'] !== 'string') return [];
    const texts = Object.fromEntries(
      ['kind', 'tier', 'namespace'].flatMap((key) => (typeof hit[key] === 'string' ? [[key, hit[key]]] : [])),
    );
    const { rule } = hit;
    return [
      {
        ...texts,
        name: hit['name'],
        action,
        ...(Number.isInteger(rule) ? { rule: rule as number } : {}),
        isStaged: hit['staged'] === true,
      },
    ];
  });
}

function quoteRecord(batch: FlowBatch, index: number, dictionary: Dictionary): Json {
  const { quotes } = batch;
  const family = quotes.family[index]! as Family;
  const icmp = quotes.icmp[index]!;
  return {
    src: addressText(dictionary, family, quotes.src[index]!),
    sport: quotes.srcPort[index]! < 0 ? undefined : quotes.srcPort[index],
    dst: addressText(dictionary, family, quotes.dst[index]!),
    dport: quotes.dstPort[index]! < 0 ? undefined : quotes.dstPort[index],
    proto: protocolWord(quotes.protocol[index]!),
    icmp: icmp < 0 ? undefined : [icmp >> 8, icmp & 255],
  };
}

function openNdjson(context: ReadContext): TraceDecoder {
  return createJsonDecoder(context, (record, place) => takeRecord(context, record, place));
}

/** Fields of a record that were no good, as `name: expected ...`. */
type Complaint = { text: string };

function takeRecord({ batch, dictionary, account }: ReadContext, record: Json, place: Place): void {
  const refuse = (detail: string): void =>
    addMalformed(account, 'invalid-field', place, detail, JSON.stringify(record));
  if (record['v'] !== undefined && record['v'] !== 1)
    return addMalformed(account, 'unknown-version', place, `expected v 1, found ${JSON.stringify(record['v'])}`);
  const row = batch.count;
  const complaint: Complaint = { text: '' };
  clearRow(batch, row);

  const family = readPair(batch, row, record, dictionary, complaint);
  batch.family[row] = family;
  batch.srcEndpoint[row] = readEndpoint(dictionary, record['srcEndpoint'], record['srcPod'], complaint);
  batch.dstEndpoint[row] = readEndpoint(dictionary, record['dstEndpoint'], record['dstPod'], complaint);
  batch.srcPort[row] = readNumber(record, 'sport', 65535, complaint);
  batch.dstPort[row] = readNumber(record, 'dport', 65535, complaint);
  batch.protocol[row] = readProtocol(record['proto'], complaint);
  batch.icmp[row] = readIcmp(record['icmp'], complaint);
  batch.bytes[row] = readNumber(record, 'bytes', Number.MAX_SAFE_INTEGER, complaint);
  batch.packets[row] = readNumber(record, 'packets', Number.MAX_SAFE_INTEGER, complaint);
  const kind = readWord(record['k'], KIND_WORDS, RecordKind.Connection, (value) =>
    addUnknownValue(account, 'k', value),
  );
  batch.kind[row] = kind;
  batch.replyBytes[row] =
    record['replyBytes'] === -1
      ? -1
      : Math.max(0, readNumber(record, 'replyBytes', Number.MAX_SAFE_INTEGER, complaint));
  batch.replyPackets[row] =
    record['replyPackets'] === -1
      ? -1
      : Math.max(0, readNumber(record, 'replyPackets', Number.MAX_SAFE_INTEGER, complaint));
  readOrientation(batch, row, record, kind, (value) => addUnknownValue(account, 'orient', value));
  batch.recordedVerdict[row] = readWord(record['verdict'], VERDICT_WORDS, 0, (value) =>
    addUnknownValue(account, 'verdict', value),
  );
  const { t, flags, notes, sctp, quote } = record;
  if (t !== undefined) {
    batch.timeUs[row] =
      typeof t === 'string' ? parseTime(t) : typeof t === 'number' ? checkTime(Math.floor(t * 1e6)) : NaN;
    if (Number.isNaN(batch.timeUs[row]!))
      complaint.text = `t: expected an RFC 3339 time or seconds, found ${JSON.stringify(t)}`;
  }
  if (flags !== undefined) {
    const bits =
      typeof flags === 'string' ? parseTcpFlags(flags) : typeof flags === 'number' ? parseTcpFlags(String(flags)) : -1;
    if (bits < 0) complaint.text = `flags: expected letters of FSRPAUEW, found ${JSON.stringify(flags)}`;
    else batch.tcpFlags[row] = bits;
  }
  if (Array.isArray(notes))
    for (const [name, bit] of NOTES) if (notes.includes(name)) batch.flags[row] = batch.flags[row]! | bit;
  if (Array.isArray(sctp)) {
    batch.sctpChunks[row] = Number(sctp[0]);
    batch.sctpTag[row] = Number(sctp[1]);
    batch.sctpInitTag[row] = Number(sctp[2]);
  }
  batch.connections[row] = record['n'] === undefined ? 1 : readNumber(record, 'n', Number.MAX_SAFE_INTEGER, complaint);
  batch.repeats[row] = Math.max(0, readNumber(record, 'again', Number.MAX_SAFE_INTEGER, complaint));
  const { policies } = record;
  if (typeof policies === 'object' && policies !== null)
    batch.policies[row] = internPoliciesJson(dictionary, policies as Json);
  readPreDestination(batch, row, record, family, dictionary, complaint);
  if (family === 0 && batch.srcEndpoint[row] === 0 && batch.dstEndpoint[row] === 0 && complaint.text === '')
    complaint.text = 'expected src and dst, or endpoints';
  if (complaint.text !== '') return refuse(complaint.text);
  if (typeof quote === 'object' && quote !== null) {
    const detail = takeQuote(batch, row, quote as Json, dictionary);
    if (detail !== '') return refuse(`quote: ${detail}`);
  }
  batch.line[row] = place.number;
  batch.count = row + 1;
}

/** `src` and `dst` into the row; returns the family, 0 where the record has neither. */
function readPair(batch: FlowBatch, row: number, record: Json, dictionary: Dictionary, complaint: Complaint): Family {
  const { src, dst } = record;
  if (src === undefined && dst === undefined) return 0;
  const family = typeof src === 'string' ? parseAddress(src, words) : 0;
  if (family !== 0) batch.src[row] = keepAddress(dictionary, family);
  const other = typeof dst === 'string' ? parseAddress(dst, words) : 0;
  if (other !== 0) batch.dst[row] = keepAddress(dictionary, other);
  if (family === 0) complaint.text = `src: expected an IP address, found ${JSON.stringify(src)}`;
  else if (other === 0) complaint.text = `dst: expected an IP address, found ${JSON.stringify(dst)}`;
  else if (family !== other) complaint.text = 'src and dst: expected one address family';
  return family;
}

/** The column value of the address in `words`. */
function keepAddress(dictionary: Dictionary, family: Family): number {
  return family === 4 ? words[0]! : dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!);
}

function readNumber(record: Json, name: string, limit: number, complaint: Complaint): number {
  const value = record[name];
  if (value === undefined || value === null) return -1;
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= limit) return number;
  complaint.text = `${name}: expected a whole number from 0 to ${limit}, found ${JSON.stringify(value)}`;
  return -1;
}

function readProtocol(value: unknown, complaint: Complaint): number {
  if (value === undefined || value === null) return 255;
  const protocol = typeof value === 'string' || typeof value === 'number' ? parseProtocol(String(value)) : undefined;
  if (protocol !== undefined) return protocol;
  complaint.text = `proto: expected a protocol, found ${JSON.stringify(value)}`;
  return 255;
}

function readIcmp(value: unknown, complaint: Complaint): number {
  if (value === undefined || value === null) return -1;
  const isByte = (part: unknown): part is number =>
    Number.isInteger(part) && (part as number) >= 0 && (part as number) <= 255;
  if (Array.isArray(value) && isByte(value[0]) && (value[1] === undefined || isByte(value[1])))
    return (value[0] << 8) | ((value[1] as number | undefined) ?? 0);
  complaint.text = `icmp: expected [type, code], found ${JSON.stringify(value)}`;
  return -1;
}

function readWord(value: unknown, set: readonly string[], absent: number, note: (value: unknown) => void): number {
  if (value === undefined || value === null) return absent;
  const index = typeof value === 'string' ? indexOfWord(set, value) : -1;
  if (index >= 0) return index;
  note(value);
  return absent;
}

/** `orient` is a direction (`original`, ...), or says only how it is known (`stated`); a packet or flow may leave both out. */
function readOrientation(
  batch: FlowBatch,
  row: number,
  record: Json,
  kind: number,
  note: (value: unknown) => void,
): void {
  const namesInitiator = kind >= RecordKind.Connection;
  let orientation = namesInitiator ? Orientation.Original : Orientation.Unknown;
  let orientedBy = namesInitiator ? OrientedBy.Stated : OrientedBy.Assumed;
  const { orient, orientBy } = record;
  if (typeof orient === 'string') {
    const direction = indexOfWord(ORIENTATION_WORDS, orient);
    const how = indexOfWord(ORIENTED_BY_WORDS, orient);
    if (direction >= 0) {
      orientation = direction;
      orientedBy = direction === (Orientation.Unknown as number) ? OrientedBy.Assumed : OrientedBy.Stated;
    } else if (how >= 0) {
      orientation = Orientation.Original;
      orientedBy = how;
    } else note(orient);
  }
  if (typeof orientBy === 'string') {
    const how = indexOfWord(ORIENTED_BY_WORDS, orientBy);
    if (how >= 0) orientedBy = how;
    else note(orientBy);
  }
  batch.orientation[row] = orientation;
  batch.orientedBy[row] = orientedBy;
}

function readPreDestination(
  batch: FlowBatch,
  row: number,
  record: Json,
  family: Family,
  dictionary: Dictionary,
  complaint: Complaint,
): void {
  const { preDst } = record;
  if (preDst === undefined || preDst === null) return;
  const found = typeof preDst === 'string' ? parseAddress(preDst, words) : 0;
  if (found === 0 || found !== family) {
    complaint.text = `preDst: expected an IP address of the record's family, found ${JSON.stringify(preDst)}`;
    return;
  }
  batch.preDst[row] = keepAddress(dictionary, found);
  const port = readNumber(record, 'preDport', 65535, complaint);
  batch.preDstPort[row] = port >= 0 ? port : Math.max(0, batch.dstPort[row]!);
}

function takeQuote(batch: FlowBatch, row: number, quote: Json, dictionary: Dictionary): string {
  const complaint: Complaint = { text: '' };
  const { src, dst } = quote;
  const family = typeof src === 'string' ? parseAddress(src, words) : 0;
  const srcValue = family === 0 ? 0 : keepAddress(dictionary, family);
  const other = typeof dst === 'string' ? parseAddress(dst, words) : 0;
  const dstValue = other === 0 ? 0 : keepAddress(dictionary, other);
  if (family === 0 || family !== other) return 'expected src and dst of one family';
  const srcPort = readNumber(quote, 'sport', 65535, complaint);
  const dstPort = readNumber(quote, 'dport', 65535, complaint);
  const protocol = readProtocol(quote['proto'], complaint);
  const icmp = readIcmp(quote['icmp'], complaint);
  if (complaint.text !== '') return complaint.text;
  const index = addQuote(batch);
  const { quotes } = batch;
  quotes.family[index] = family;
  quotes.src[index] = srcValue;
  quotes.dst[index] = dstValue;
  quotes.srcPort[index] = srcPort;
  quotes.dstPort[index] = dstPort;
  quotes.protocol[index] = protocol;
  quotes.icmp[index] = icmp;
  batch.quote[row] = index;
  return '';
}

function readEndpoint(dictionary: Dictionary, value: unknown, pod: unknown, complaint: Complaint): number {
  if (typeof value === 'object' && value !== null) return internEndpointJson(dictionary, value as Json);
  if (typeof pod !== 'string' || pod === '') return 0;
  const slash = pod.indexOf('/');
  if (slash <= 0 || slash === pod.length - 1) {
    complaint.text = `expected a pod as namespace/name, found ${JSON.stringify(pod)}`;
    return 0;
  }
  return internPod(dictionary, pod.slice(0, slash), pod.slice(slash + 1));
}

/** The endpoint id of a pod that is known by its name alone. */
export function internPod(dictionary: Dictionary, namespace: string, name: string): number {
  return internEndpointJson(dictionary, { kind: 'pod', namespace, name });
}

/** The endpoint id of the plain JSON shape that `endpointToJson` makes; fields of a wrong type are dropped. */
export function internEndpointJson(dictionary: Dictionary, value: Readonly<Record<string, unknown>>): number {
  const text = (name: string): string | undefined => (typeof value[name] === 'string' ? value[name] : undefined);
  const kind = ENDPOINT_KINDS.find((candidate) => candidate === value['kind']) ?? 'unknown';
  const labels = readLabels(value['labels']);
  const namespaceLabels = readLabels(value['namespaceLabels']);
  const names = {
    namespace: text('namespace'),
    name: text('name'),
    workloadKind: text('workloadKind'),
    workload: text('workload'),
  };
  const areLabelsComplete = value['labelsComplete'] === true;
  const key = JSON.stringify([
    'own',
    kind,
    Object.entries(names),
    labels && [...labels],
    namespaceLabels && [...namespaceLabels],
    areLabelsComplete,
  ]);
  return dictionary.internEndpoint(key, () => {
    const fact: { -readonly [K in keyof EndpointFact]: EndpointFact[K] } = { kind, areLabelsComplete };
    if (names.namespace !== undefined) fact.namespace = names.namespace;
    if (names.name !== undefined) fact.name = names.name;
    if (names.workloadKind !== undefined) fact.workloadKind = names.workloadKind;
    if (names.workload !== undefined) fact.workload = names.workload;
    if (labels !== undefined) fact.labels = labels;
    if (namespaceLabels !== undefined) fact.namespaceLabels = namespaceLabels;
    return fact;
  });
}

function readLabels(value: unknown): Map<string, string> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const labels = new Map<string, string>();
  for (const [key, label] of Object.entries(value)) if (typeof label === 'string') labels.set(key, label);
  return labels;
}
