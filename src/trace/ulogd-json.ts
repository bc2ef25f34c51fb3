/** JSON lines of ulogd's output plug-in JSON, one a packet that an NFLOG rule matched. */
import { Orientation, OrientedBy, RecordFlag, RecordKind, RecordedVerdict, TcpFlag, clearRow } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { increment } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { isIcmpError } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createFieldDecoder, fillAddresses, readMember, type Complaint } from './json-field.ts';
import { shown, type Json } from './json-member.ts';
import { NETFILTER_LIMITS, readPrefixVerdict } from './netfilter-log.ts';
import { parseTime } from './time.ts';

/** ulogd's JSON log. */
export const ULOGD_JSON: TraceFormat = {
  name: 'ulogd-json',
  description: "ulogd's JSON lines of NFLOG rules",
  recognise: ({ json }) =>
    json !== undefined && json.top.has('oob.prefix') && json.top.has('src_ip') && json.top.has('dest_ip'),
  isText: true,
  limits: NETFILTER_LIMITS,
  open: openUlogdJson,
};

/** In the order of the bits of `TcpFlag`. */
const FLAG_FIELDS = ['tcp.fin', 'tcp.syn', 'tcp.rst', 'tcp.psh', 'tcp.ack', 'tcp.urg'];

function openUlogdJson(context: ReadContext): TraceDecoder {
  return createFieldDecoder(context, (record, line) => fill(context, record, line));
}

function fill(context: ReadContext, record: Readonly<Json>, line: number): string {
  const { batch, account } = context;
  const row = batch.count;
  clearRow(batch, row);
  batch.kind[row] = RecordKind.OneWay;
  const wrong = fillAddresses(context, record, 'src_ip', 'dest_ip');
  if (wrong !== '') return wrong;
  const complaint: Complaint = { text: '' };
  const number = (name: string, limit: number): number => readMember(record, name, limit, complaint);
  const protocol = number('ip.protocol', 255);
  batch.protocol[row] = protocol < 0 ? Protocol.Unknown : protocol;
  if (hasPorts(protocol)) {
    batch.srcPort[row] = number('src_port', 0xffff);
    batch.dstPort[row] = number('dest_port', 0xffff);
    if (batch.dstPort[row]! < 0) batch.flags[row] = RecordFlag.NoPorts;
  }
  if (protocol === Protocol.Tcp && record['tcp.syn'] !== undefined) {
    let flags = 0;
    FLAG_FIELDS.forEach((name, bit) => {
      if (record[name] === 1) flags |= 1 << bit;
    });
    batch.tcpFlags[row] = flags;
    if ((flags & TcpFlag.Syn) !== 0) {
      batch.orientation[row] = (flags & TcpFlag.Ack) === 0 ? Orientation.Original : Orientation.Reply;
      batch.orientedBy[row] = OrientedBy.Flags;
    }
  }
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
    const name = protocol === Protocol.Icmp ? 'icmp' : 'icmpv6';
    const type = number(`${name}.type`, 255);
    if (type >= 0) batch.icmp[row] = (type << 8) | Math.max(0, number(`${name}.code`, 255));
    batch.srcPort[row] = number(`${name}.echoid`, 0xffff);
  }
  // Nothing says which connection an error is about.
  if (complaint.text === '' && isIcmpError(protocol, batch.icmp[row]!)) {
    increment(account.skipped, 'icmp-error');
    return '';
  }
  batch.packets[row] = 1;
  const payload = number('ip6.payloadlen', 0xffff_ffff);
  batch.bytes[row] = payload >= 0 ? payload + 40 : number('ip.totlen', 0xffff_ffff);
  const seconds = number('oob.time.sec', 1e11);
  const { timestamp, action } = record;
  if (seconds >= 0) batch.timeUs[row] = seconds * 1e6 + Math.max(0, number('oob.time.usec', 999_999));
  else if (typeof timestamp === 'string') {
    batch.timeUs[row] = parseTime(timestamp);
    if (Number.isNaN(batch.timeUs[row]!)) complaint.text ||= `timestamp: expected a time, found ${shown(timestamp)}`;
    if (!account.limits.includes(LOCAL_TIME_LIMIT)) account.limits.push(LOCAL_TIME_LIMIT);
  }
  // ulogd's own label of a group (numeric_label), else the words of the rule's prefix.
  batch.recordedVerdict[row] =
    action === 'blocked'
      ? RecordedVerdict.FirewallDeny
      : action === 'allowed'
        ? RecordedVerdict.FirewallAllow
        : readPrefixVerdict(String(record['oob.prefix'] ?? '').slice(0, 200));
  batch.line[row] = line;
  if (complaint.text === '') batch.count = row + 1;
  return complaint.text;
}
