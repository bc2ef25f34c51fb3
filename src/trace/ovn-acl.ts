/**
 * OVN's ACL log, as OVN-Kubernetes writes it for namespaces and policies with `k8s.ovn.org/acl-logging`: lines of ovn-controller with
 * the rule, its verdict, and the packet as OVS describes flows. Other lines of that file are skipped.
 */
import { Orientation, OrientedBy, RecordKind, RecordedVerdict, TcpFlag, clearRow } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, isIcmpError, parseDigitText, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines } from './head.ts';
import { createLineDecoder } from './line.ts';
import { parseTime } from './time.ts';

/** Lines of ovn-controller's acl_log. */
export const OVN_ACL: TraceFormat = {
  name: 'ovn-acl',
  description: 'an OVN ACL log',
  recognise: (head) => head.json === undefined && doMostLines(head, (line) => line.includes('|acl_log(')),
  isText: true,
  isPrefixed: true,
  limits: [
    'Only rules with logging are in this log, at most 20 lines a second and node (acl-logging-rate-limit): the counts are lower bounds, and packets of connections that were allowed before are not in it.',
    'A line shows addresses only, after load balancing: which pod had an address is taken from the snapshot.',
    'Verdicts of egress firewalls (EF:) and other ACLs stand among those of policies.',
  ],
  open: openOvnAcl,
};

const VERDICTS: ReadonlyMap<string, RecordedVerdict> = new Map([
  ['allow', RecordedVerdict.Allow],
  ['allow-related', RecordedVerdict.Allow],
  ['allow-stateless', RecordedVerdict.Allow],
  ['drop', RecordedVerdict.Deny],
  ['reject', RecordedVerdict.Deny],
  // The next tier decides.
  ['pass', RecordedVerdict.None],
]);

/** How OVS calls the flows of a packet (ovs-fields(7)). */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['tcp', Protocol.Tcp],
  ['tcp6', Protocol.Tcp],
  ['udp', Protocol.Udp],
  ['udp6', Protocol.Udp],
  ['sctp', Protocol.Sctp],
  ['sctp6', Protocol.Sctp],
  ['icmp', Protocol.Icmp],
  ['icmp6', Protocol.Icmpv6],
]);

/** In the order of the bits of `TcpFlag`. */
const FLAG_WORDS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns'];

function openOvnAcl(context: ReadContext): TraceDecoder {
  const { account } = context;
  const src: FieldAddress = { family: 0, value: 0 };
  const dst: FieldAddress = { family: 0, value: 0 };
  const fields = new Map<string, string>();
  return createLineDecoder(context, (line, place) => {
    if (!line.includes('|acl_log(')) return increment(account.skipped, 'other-line');
    const complaint = fill(context, line, fields, place.number, src, dst);
    if (complaint === 'arp') return increment(account.skipped, 'arp');
    if (complaint !== '') addMalformed(account, 'invalid-line', place, complaint, line);
  });
}

function fill(
  { batch, dictionary, account }: ReadContext,
  line: string,
  fields: Map<string, string>,
  number: number,
  src: FieldAddress,
  dst: FieldAddress,
): string {
  // The name is quoted and may hold anything: what follows is found behind it.
  const named = line.indexOf('name="');
  const behind = named < 0 ? line.indexOf('|acl_log(') : line.indexOf('"', named + 6);
  const verdictAt = line.indexOf('verdict=', behind);
  const colon = line.indexOf(': ', verdictAt);
  if (behind < 0 || verdictAt < 0 || colon < 0) return 'expected name, verdict, direction and a flow';
  const verdictEnd = line.indexOf(',', verdictAt);
  const word = line.slice(verdictAt + 8, verdictEnd < 0 || verdictEnd > colon ? colon : verdictEnd);
  const [kind = '', ...rest] = line.slice(colon + 2).split(',');
  if (kind === 'arp') return 'arp';
  fields.clear();
  for (const part of rest) {
    const equals = part.indexOf('=');
    if (equals > 0) fields.set(part.slice(0, equals), part.slice(equals + 1));
  }
  const from = fields.get('nw_src') ?? fields.get('ipv6_src') ?? '';
  const to = fields.get('nw_dst') ?? fields.get('ipv6_dst') ?? '';
  if (!readAddress(from, dictionary, src)) return `expected a source address, found ${from.slice(0, 60) || 'nothing'}`;
  if (!readAddress(to, dictionary, dst)) return `expected a destination address, found ${to.slice(0, 60) || 'nothing'}`;
  if (src.family !== dst.family) return 'expected addresses of one family';
  let complaint = '';
  const value = (name: string, limit: number): number => {
    const text = fields.get(name);
    if (text === undefined) return -1;
    const parsed = parseDigitText(text);
    if (parsed >= 0 && parsed <= limit) return parsed;
    complaint = `${name}: expected a whole number from 0 to ${limit}, found ${text.slice(0, 60)}`;
    return -1;
  };
  const row = batch.count;
  clearRow(batch, row);
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  const protocol = PROTOCOLS.get(kind) ?? value('nw_proto', 255);
  if (protocol < 0) addUnknownValue(account, 'protocol', kind);
  else batch.protocol[row] = protocol;
  batch.kind[row] = RecordKind.Decision;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  if (hasPorts(protocol)) {
    batch.srcPort[row] = value('tp_src', 0xffff);
    batch.dstPort[row] = value('tp_dst', 0xffff);
  }
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
    const type = value('icmp_type', 255);
    if (type < 0) return complaint || 'expected icmp_type';
    batch.icmp[row] = (type << 8) | Math.max(0, value('icmp_code', 255));
  }
  if (protocol === Protocol.Tcp && fields.has('tcp_flags')) {
    const flags = readFlags(fields.get('tcp_flags')!);
    batch.tcpFlags[row] = flags;
    const opening = flags & (TcpFlag.Syn | TcpFlag.Ack);
    if (opening !== TcpFlag.Syn) {
      // A packet of a connection that was there before: a sample of it, and who opened it is not said.
      batch.kind[row] = RecordKind.OneWay;
      batch.orientation[row] = (opening & TcpFlag.Syn) === 0 ? Orientation.Unknown : Orientation.Reply;
      batch.orientedBy[row] = (opening & TcpFlag.Syn) === 0 ? OrientedBy.Assumed : OrientedBy.Flags;
    }
  }
  const bar = line.indexOf('|');
  const stamp = line.slice(Math.max(0, line.lastIndexOf(' ', bar) + 1), bar);
  batch.timeUs[row] = parseTime(stamp);
  if (Number.isNaN(batch.timeUs[row]!)) return `expected a time, found ${stamp.slice(0, 60)}`;
  batch.packets[row] = 1;
  const verdict = VERDICTS.get(word);
  if (verdict === undefined) addUnknownValue(account, 'verdict', word);
  else batch.recordedVerdict[row] = verdict;
  batch.line[row] = number;
  if (complaint !== '') return complaint;
  // An error is about another connection, which the line does not name.
  if (isIcmpError(protocol, batch.icmp[row]!)) increment(account.skipped, 'icmp-error');
  else batch.count = row + 1;
  return '';
}

/** `psh|ack`, or a number. */
function readFlags(text: string): number {
  if (text.startsWith('0x')) return (Number(text) || 0) & 0x1ff;
  let flags = 0;
  for (const word of text.split('|')) {
    const bit = FLAG_WORDS.indexOf(word);
    if (bit >= 0) flags |= 1 << bit;
  }
  return flags;
}
