/**
 * Suricata's EVE log: events of type `flow` (a connection, written when it ended) and `netflow` (one direction of one). Every other
 * event type is another sighting of a flow, and skipped.
 */
import { Orientation, OrientedBy, RecordKind, RecordedVerdict, TcpFlag, clearRow } from '../model/flow.ts';
import { Protocol, parseProtocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, hasPorts, isIcmpError, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { asObject } from './json-member.ts';
import { createJsonDecoder } from './line.ts';
import { parseTime } from './time.ts';

/** EVE JSON with flow or netflow events. */
export const SURICATA: TraceFormat = {
  name: 'suricata',
  description: 'a Suricata EVE log with flow events',
  recognise: ({ json }) =>
    json !== undefined && json.top.has('event_type') && (json.top.has('src_ip') || json.top.has('flow_id')),
  isText: true,
  limits: [
    'Suricata writes a flow when it has ended: one that was open when the log was cut is missing.',
    'Addresses are those at the place of the capture; a destination behind a translation is not shown. No pod names, labels or policy verdicts: a drop in this log is one of the intrusion prevention.',
  ],
  open: openSuricata,
};

function openSuricata(context: ReadContext): TraceDecoder {
  const src: FieldAddress = { family: 0, value: 0 };
  const dst: FieldAddress = { family: 0, value: 0 };
  return createJsonDecoder(context, (record, place) => {
    const { event_type: type } = record;
    if (type !== 'flow' && type !== 'netflow')
      return increment(context.account.skipped, `event_type ${String(type).slice(0, 30)}`);
    const complaint = fill(context, record, type, place.number, src, dst);
    if (complaint !== '')
      addMalformed(context.account, 'invalid-field', place, complaint, JSON.stringify(record).slice(0, 400));
  });
}

/** Words for protocols that `parseProtocol` does not know (Suricata's `known_proto`). */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['GRE', 47],
  ['ESP', 50],
  ['AH', 51],
  ['IPIP', 4],
  ['IPv6', 41],
]);

function fill(
  { batch, dictionary, account }: ReadContext,
  record: Readonly<Record<string, unknown>>,
  type: 'flow' | 'netflow',
  line: number,
  src: FieldAddress,
  dst: FieldAddress,
): string {
  let complaint = '';
  const flow = asObject(record[type]) ?? {};
  const number = (from: Readonly<Record<string, unknown>>, name: string, limit: number): number => {
    const value = from[name];
    if (value === undefined) return -1;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= limit) return value;
    complaint = `${name}: expected a whole number from 0 to ${limit}, found ${String(value).slice(0, 60)}`;
    return -1;
  };
  for (const [name, out] of [
    ['src_ip', src],
    ['dest_ip', dst],
  ] as const) {
    const value = record[name];
    if (typeof value !== 'string' || !readAddress(value, dictionary, out))
      return `${name}: expected an IP address, found ${String(value).slice(0, 60)}`;
  }
  if (src.family !== dst.family) return 'src_ip and dest_ip: expected one address family';
  const row = batch.count;
  clearRow(batch, row);
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  const word = String(record['proto'] ?? '');
  const protocol = parseProtocol(word) ?? PROTOCOLS.get(word);
  if (protocol === undefined) addUnknownValue(account, 'proto', word);
  else batch.protocol[row] = protocol;
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
    const kind = number(record, 'icmp_type', 255);
    if (kind >= 0) batch.icmp[row] = (kind << 8) | Math.max(0, number(record, 'icmp_code', 255));
  } else if (protocol !== undefined && hasPorts(protocol)) {
    batch.srcPort[row] = number(record, 'src_port', 0xffff);
    batch.dstPort[row] = number(record, 'dest_port', 0xffff);
  }
  // The event's own time is that of its writing.
  const start = flow['start'] ?? (type === 'netflow' ? flow['start'] : undefined) ?? record['timestamp'];
  if (start !== undefined) {
    batch.timeUs[row] = typeof start === 'string' ? parseTime(start) : NaN;
    if (Number.isNaN(batch.timeUs[row]!)) complaint = `start: expected a time, found ${String(start).slice(0, 60)}`;
  }
  const most = Number.MAX_SAFE_INTEGER;
  const tcp = asObject(record['tcp']) ?? {};
  if (type === 'flow') {
    batch.kind[row] = RecordKind.Connection;
    batch.packets[row] = number(flow, 'pkts_toserver', most);
    batch.bytes[row] = number(flow, 'bytes_toserver', most);
    batch.replyPackets[row] = number(flow, 'pkts_toclient', most);
    batch.replyBytes[row] = number(flow, 'bytes_toclient', most);
    // The source is who was seen first: the initiator, unless the flow was met in the middle.
    const isMidstream =
      protocol === Protocol.Tcp && (tcpFlagsOf(tcp['tcp_flags_ts']) & TcpFlag.Syn) === 0 && tcp['syn'] !== true;
    batch.orientation[row] = isMidstream ? Orientation.Unknown : Orientation.Original;
    batch.orientedBy[row] = isMidstream ? OrientedBy.Assumed : OrientedBy.Stated;
  } else {
    batch.kind[row] = RecordKind.OneWay;
    batch.packets[row] = number(flow, 'pkts', most);
    batch.bytes[row] = number(flow, 'bytes', most);
    const flags = tcp['tcp_flags'] === undefined ? -1 : tcpFlagsOf(tcp['tcp_flags']);
    const opening = flags < 0 ? 0 : flags & (TcpFlag.Syn | TcpFlag.Ack);
    // Added up: SYN and ACK together are either side's.
    if (protocol === Protocol.Tcp && flags >= 0 && opening !== (TcpFlag.Syn | TcpFlag.Ack)) batch.tcpFlags[row] = flags;
  }
  if (flow['action'] === 'drop') batch.recordedVerdict[row] = RecordedVerdict.Drop;
  else if (flow['action'] !== undefined && flow['action'] !== 'pass' && flow['action'] !== 'accept')
    addUnknownValue(account, 'action', flow['action']);
  batch.line[row] = line;
  if (complaint !== '') return complaint;
  // An error is about another flow, which the event does not name.
  if (protocol !== undefined && isIcmpError(protocol, batch.icmp[row]!)) increment(account.skipped, 'icmp-error');
  else batch.count = row + 1;
  return '';
}

/** Hexadecimal text, such as `1b`. */
function tcpFlagsOf(value: unknown): number {
  if (typeof value !== 'string' || value.length > 3) return 0;
  const flags = Number.parseInt(value, 16);
  return Number.isNaN(flags) ? 0 : flags & 0x1ff;
}
