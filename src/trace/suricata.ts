/**
 * Suricata's EVE log: events of type `flow` (a connection, written when it ended) and `netflow` (one direction of one). Every other
 * event type is another sighting of a flow, and skipped.
 */
import { Orientation, OrientedBy, RecordKind, RecordedVerdict, TcpFlag, clearRow } from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { addUnknownValue, increment } from './account.ts';
import { isIcmpError } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createFieldDecoder, fillAddresses, readMember, type Complaint } from './json-field.ts';
import { asObject, shown, type Json } from './json-member.ts';
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
  return createFieldDecoder(context, (record, line) => {
    const { event_type: type } = record;
    if (type === 'flow' || type === 'netflow') return fill(context, record, type, line);
    increment(context.account.skipped, `event_type ${String(type).slice(0, 30)}`);
    return '';
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

function fill(context: ReadContext, record: Readonly<Json>, type: 'flow' | 'netflow', line: number): string {
  const { batch, account } = context;
  const row = batch.count;
  clearRow(batch, row);
  const wrong = fillAddresses(context, record, 'src_ip', 'dest_ip');
  if (wrong !== '') return wrong;
  const complaint: Complaint = { text: '' };
  const flow = asObject(record[type]) ?? {};
  const word = String(record['proto'] ?? '');
  const protocol = parseProtocol(word) ?? PROTOCOLS.get(word);
  if (protocol === undefined) addUnknownValue(account, 'proto', word);
  else batch.protocol[row] = protocol;
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
    const kind = readMember(record, 'icmp_type', 255, complaint);
    if (kind >= 0) batch.icmp[row] = (kind << 8) | Math.max(0, readMember(record, 'icmp_code', 255, complaint));
  } else if (protocol !== undefined && hasPorts(protocol)) {
    batch.srcPort[row] = readMember(record, 'src_port', 0xffff, complaint);
    batch.dstPort[row] = readMember(record, 'dest_port', 0xffff, complaint);
  }
  // The event's own time is that of its writing.
  const start = flow['start'] ?? record['timestamp'];
  if (start !== undefined) {
    batch.timeUs[row] = typeof start === 'string' ? parseTime(start) : NaN;
    if (Number.isNaN(batch.timeUs[row]!)) complaint.text ||= `start: expected a time, found ${shown(start)}`;
  }
  const most = Number.MAX_SAFE_INTEGER;
  const tcp = asObject(record['tcp']) ?? {};
  if (type === 'flow') {
    batch.kind[row] = RecordKind.Connection;
    batch.packets[row] = readMember(flow, 'pkts_toserver', most, complaint);
    batch.bytes[row] = readMember(flow, 'bytes_toserver', most, complaint);
    batch.replyPackets[row] = readMember(flow, 'pkts_toclient', most, complaint);
    batch.replyBytes[row] = readMember(flow, 'bytes_toclient', most, complaint);
    // The source is who was seen first: the initiator, unless the flow was met in the middle.
    const isMidstream =
      protocol === Protocol.Tcp && (tcpFlagsOf(tcp['tcp_flags_ts']) & TcpFlag.Syn) === 0 && tcp['syn'] !== true;
    batch.orientation[row] = isMidstream ? Orientation.Unknown : Orientation.Original;
    batch.orientedBy[row] = isMidstream ? OrientedBy.Assumed : OrientedBy.Stated;
  } else {
    batch.kind[row] = RecordKind.OneWay;
    batch.packets[row] = readMember(flow, 'pkts', most, complaint);
    batch.bytes[row] = readMember(flow, 'bytes', most, complaint);
    const flags = tcp['tcp_flags'] === undefined ? -1 : tcpFlagsOf(tcp['tcp_flags']);
    const opening = flags < 0 ? 0 : flags & (TcpFlag.Syn | TcpFlag.Ack);
    // Added up: SYN and ACK together are either side's.
    if (protocol === Protocol.Tcp && flags >= 0 && opening !== (TcpFlag.Syn | TcpFlag.Ack)) batch.tcpFlags[row] = flags;
  }
  if (flow['action'] === 'drop') batch.recordedVerdict[row] = RecordedVerdict.Drop;
  else if (flow['action'] !== undefined && flow['action'] !== 'pass' && flow['action'] !== 'accept')
    addUnknownValue(account, 'action', flow['action']);
  batch.line[row] = line;
  if (complaint.text !== '') return complaint.text;
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
