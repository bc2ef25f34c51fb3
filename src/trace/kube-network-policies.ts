/**
 * The JSON log of kube-network-policies (`--logging-format=json -v=2`), also in kindnet. A packet that opens a connection has a
 * line for each direction in which it is evaluated and one for the verdict, joined by `id`. The first makes the row; the
 * verdict is written into it, so rows wait in the batch for as long as it may still come.
 */
import { clearRow, type Dictionary, Orientation, OrientedBy, RecordedVerdict, RecordKind } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { fillAddresses } from './json-field.ts';
import { asObject, asText, type Json, NOT_A_NUMBER, podFact, readProtocol, readWhole, shown } from './json-member.ts';
import { createJsonDecoder, type Place } from './line.ts';
import { parseTime } from './time.ts';

/** The log of the reference implementation. */
export const KUBE_NETWORK_POLICIES: TraceFormat = {
  name: 'kube-network-policies',
  description: 'a kube-network-policies JSON log',
  recognise: ({ json, text }) =>
    json !== undefined &&
    json.top.has('msg') &&
    json.top.has('ts') &&
    [EVALUATING, ...VERDICTS.keys()].some((message) => text.includes(`"${message}"`)),
  isText: true,
  limits: [
    'kube-network-policies evaluates, and logs, packets of pods that a policy selects (or of all pods where it must), and only those that open a connection.',
    'The log names pods by namespace and name and carries no labels, no bytes and no ICMP types.',
  ],
  open: openLog,
};

const EVALUATING = 'Evaluating packet';

/** What ends a packet's evaluation. */
const VERDICTS: ReadonlyMap<string, RecordedVerdict> = new Map([
  ['Packet accepted by policy', RecordedVerdict.Allow],
  ['Packet denied by egress policy', RecordedVerdict.Deny],
  ['Packet denied by ingress policy', RecordedVerdict.Deny],
  ['Egress pipeline evaluation failed', RecordedVerdict.Error],
  ['Ingress pipeline evaluation failed', RecordedVerdict.Error],
]);

/** A packet whose verdict has not come. */
interface Open {
  row: number;
  /** What tells it from another node's packet of the same id. */
  readonly tuple: string;
}

function openLog(context: ReadContext): TraceDecoder {
  const { batch, account } = context;
  /** By id; several where logs of several nodes are mixed. */
  const packets = new Map<number, Open[]>();

  const close = (id: number, verdict: RecordedVerdict): void => {
    const waiting = packets.get(id);
    packets.delete(id);
    if (waiting === undefined) return increment(account.skipped, 'verdict-alone');
    // Two nodes' packets of one id: which of them is meant, the line does not say.
    if (waiting.length > 1) return increment(account.skipped, 'verdict-ambiguous');
    batch.recordedVerdict[waiting[0]!.row] = verdict;
    increment(account.skipped, 'verdict');
  };

  const decoder = createJsonDecoder(context, (record, place) => {
    const message = asText(record['msg']);
    const id = readWhole(record['id'], 0xffffffff);
    const verdict = VERDICTS.get(message);
    if (verdict !== undefined && id >= 0) return close(id, verdict);
    if (message !== EVALUATING || id < 0) return increment(account.skipped, 'other-message');
    const packet = asObject(record['packet']);
    if (packet === undefined) return addMalformed(account, 'no-packet', place, 'expected a member "packet"');
    const waiting = packets.get(id) ?? [];
    const tuple = ['SrcIP', 'SrcPort', 'DstIP', 'DstPort', 'Proto'].map((name) => String(packet[name])).join(' ');
    if (waiting.some((open) => open.tuple === tuple)) return increment(account.skipped, 'duplicate');
    if (!fill(context, record, packet, place)) return;
    waiting.push({ row: batch.count - 1, tuple });
    packets.set(id, waiting);
  });

  return Object.assign(decoder, {
    countReady: () => {
      let first = batch.count;
      for (const waiting of packets.values()) for (const { row } of waiting) if (row < first) first = row;
      return first;
    },
    willHandOut: (count: number) => {
      for (const [id, waiting] of packets) {
        for (const open of waiting) open.row -= count;
        const rest = waiting.filter(({ row }) => row >= 0);
        if (rest.length === 0) packets.delete(id);
        else if (rest.length < waiting.length) packets.set(id, rest);
      }
    },
  });
}

/** Appends the row of a packet; false where it is malformed. */
function fill(context: ReadContext, record: Json, packet: Json, place: Place): boolean {
  const { batch, account, dictionary } = context;
  const row = batch.count;
  clearRow(batch, row);
  let complaint = fillAddresses(context, packet, 'SrcIP', 'DstIP');
  if (complaint !== '') complaint = `packet.${complaint}`;
  const port = (name: string): number => {
    const value = readWhole(packet[name], 0xffff);
    if (value === NOT_A_NUMBER) complaint ||= `packet.${name}: expected a port, found ${shown(packet[name])}`;
    return value;
  };
  const srcPort = port('SrcPort');
  const dstPort = port('DstPort');
  if (complaint !== '') {
    addMalformed(account, 'invalid-field', place, complaint);
    return false;
  }
  // Protocols without ports are written as the empty text.
  const protocol = readProtocol(packet['Proto']);
  if (protocol === undefined) addUnknownValue(account, 'Proto', packet['Proto']);
  batch.kind[row] = RecordKind.Decision;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  batch.protocol[row] = protocol ?? Protocol.Unknown;
  if (hasPorts(batch.protocol[row]!)) {
    batch.srcPort[row] = srcPort;
    batch.dstPort[row] = dstPort;
  }
  batch.timeUs[row] = readTime(record['ts']);
  batch.srcEndpoint[row] = internNamed(dictionary, asText(record['srcPod']));
  batch.dstEndpoint[row] = internNamed(dictionary, asText(record['dstPod']));
  batch.line[row] = place.number;
  batch.count = row + 1;
  return true;
}

/** `namespace/name`; `external` and `none` name nobody. */
function internNamed(dictionary: Dictionary, text: string): number {
  const slash = text.indexOf('/');
  const fact = podFact(text.slice(0, Math.max(0, slash)), text.slice(slash + 1));
  return fact === undefined ? 0 : dictionary.internEndpoint(`knp\0${text}`, () => fact);
}

/** klog writes milliseconds in a number; other configurations RFC 3339. */
function readTime(value: unknown): number {
  if (typeof value === 'number') return value > 0 && value < 1e15 ? Math.floor(value * 1e3) : NaN;
  return parseTime(asText(value));
}
