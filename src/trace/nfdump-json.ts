/** `nfdump -o json` (one array, pretty-printed) and `-o ndjson` (a record a line). */
import { addUnknownValue } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { type Complaint, createFieldDecoder, readMember } from './json-field.ts';
import { shown } from './json-member.ts';
import { NFDUMP_LIMITS, NfdumpRecords, parseNfdumpFlags, parseNfdumpProtocol } from './nfdump-record.ts';
import { parseTime } from './time.ts';

/** nfdump's JSON output. */
export const NFDUMP_JSON: TraceFormat = {
  name: 'nfdump-json',
  description: 'an nfdump JSON export',
  recognise: ({ json }) =>
    json !== undefined &&
    (json.top.has('src4_addr') ||
      json.top.has('src6_addr') ||
      (json.pairs.has('type=FLOW') && json.top.has('export_sysid'))),
  isText: true,
  limits: NFDUMP_LIMITS,
  open: openNfdumpJson,
};

const SAMPLED_LIMIT =
  'The exporter sampled packets: the counts were multiplied by the rate when the flows were collected, so they are estimates.';

function openNfdumpJson(context: ReadContext): TraceDecoder {
  const { account } = context;
  const records = new NfdumpRecords(context);
  const say = (limit: string): void => {
    if (!account.limits.includes(limit)) account.limits.push(limit);
  };
  return createFieldDecoder(context, (record, line) => {
    records.clear();
    return fill(context, records, record, say) || records.take(line);
  });
}

function fill(
  { dictionary, account }: ReadContext,
  records: NfdumpRecords,
  record: Readonly<Record<string, unknown>>,
  say: (limit: string) => void,
): string {
  const complaint: Complaint = { text: '' };
  const number = (name: string, limit: number): number => readMember(record, name, limit, complaint);
  for (const [names, out] of [
    [['src4_addr', 'src6_addr'], records.src],
    [['dst4_addr', 'dst6_addr'], records.dst],
    [['dst4_xlt_ip', 'dst6_xlt_ip'], records.translated],
  ] as const) {
    const name = names.find((candidate) => record[candidate] !== undefined);
    const value = name === undefined ? undefined : record[name];
    if (value === undefined) continue;
    if (typeof value !== 'string' || !readAddress(value, dictionary, out))
      return `${name}: expected an IP address, found ${shown(value)}`;
  }
  const { proto } = record;
  if (proto !== undefined) {
    const protocol = parseNfdumpProtocol(String(proto));
    if (protocol === undefined) addUnknownValue(account, 'proto', proto);
    else records.protocol = protocol;
  }
  records.srcPort = number('src_port', 0xffff);
  records.dstPort = number('dst_port', 0xffff);
  const type = number('icmp_type', 255);
  if (type >= 0) records.icmp = (type << 8) | Math.max(0, number('icmp_code', 255));
  const most = Number.MAX_SAFE_INTEGER;
  records.packets = number('in_packets', most);
  records.bytes = number('in_bytes', most);
  records.replyPackets = Math.max(0, number('out_packets', most));
  records.replyBytes = Math.max(0, number('out_bytes', most));
  records.forwarding = Math.max(0, number('fwd_status', 255));
  records.translatedPort = number('dst_xlt_port', 0xffff);
  const { tcp_flags: flags, first, event } = record;
  if (typeof flags === 'string') {
    const parsed = parseNfdumpFlags(flags);
    if (parsed < 0) addUnknownValue(account, 'tcp_flags', flags);
    else records.tcpFlags = parsed;
  }
  if (first !== undefined) {
    records.timeUs = typeof first === 'string' ? parseTime(first) : NaN;
    if (Number.isNaN(records.timeUs)) complaint.text ||= `first: expected a time, found ${shown(first)}`;
    else if (!String(first).endsWith('Z')) say(LOCAL_TIME_LIMIT);
  }
  if (typeof event === 'string') records.isDenied = event.startsWith('DEN');
  if (record['sampled'] === 1) say(SAMPLED_LIMIT);
  const exporter = number('export_sysid', most);
  const router = record['ip4_router'] ?? record['ip6_router'];
  if (exporter >= 0 || typeof router === 'string') records.observer = nameOf(`${String(router)} ${exporter}`);
  return complaint.text;
}

/** FNV-1a. */
function nameOf(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
