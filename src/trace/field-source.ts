/**
 * Where each format keeps what a row says: for `convert --explain`, in the words of the source. Formats that are not listed name
 * their fields as dropcast does, or a mapping or header says it at run time.
 */
import type { CsvField } from './mapping.ts';

/** Field -> what the source calls it. */
export type FieldSources = Readonly<Partial<Record<CsvField, string>>>;

const CAPTURE: FieldSources = {
  time: 'time of the packet',
  src: 'IP header',
  dst: 'IP header',
  srcPort: 'transport header; for ICMP the identifier',
  dstPort: 'transport header',
  protocol: 'IP header',
  icmpType: 'ICMP header',
  icmpCode: 'ICMP header',
  tcpFlags: 'TCP header',
  bytes: 'length on the wire',
  preDst: 'sighting before translation',
  preDstPort: 'sighting before translation',
};

const CONNTRACK: FieldSources = {
  time: '-o timestamp, else [start=...]',
  src: 'original tuple src',
  srcPort: 'original tuple sport',
  dst: 'reply tuple src',
  dstPort: 'reply tuple sport',
  preDst: 'original tuple dst',
  preDstPort: 'original tuple dport',
  protocol: 'layer 4 name and number',
  icmpType: 'type',
  icmpCode: 'code',
  bytes: 'original counters',
  packets: 'original counters',
  replyBytes: 'reply counters',
  replyPackets: 'reply counters',
};

const ZEEK: FieldSources = {
  time: 'ts',
  src: 'id.orig_h',
  srcPort: 'id.orig_p',
  dst: 'id.resp_h',
  dstPort: 'id.resp_p',
  protocol: 'ip_proto, else proto',
  icmpType: 'id.orig_p',
  icmpCode: 'id.resp_p',
  bytes: 'orig_ip_bytes, else orig_bytes',
  packets: 'orig_pkts',
  replyBytes: 'resp_ip_bytes, else resp_bytes',
  replyPackets: 'resp_pkts',
  orientation: 'conn_state and history',
};

const AWS: FieldSources = {
  time: 'start',
  src: 'pkt-srcaddr, else srcaddr',
  srcPort: 'srcport',
  dst: 'pkt-dstaddr, else dstaddr',
  dstPort: 'dstport',
  protocol: 'protocol',
  tcpFlags: 'tcp-flags',
  bytes: 'bytes',
  packets: 'packets',
  orientation: 'tcp-flags',
  verdict: 'action',
};

const AZURE: FieldSources = {
  time: 'flow tuple 1',
  src: 'flow tuple 2',
  dst: 'flow tuple 3',
  srcPort: 'flow tuple 4',
  dstPort: 'flow tuple 5',
  protocol: 'flow tuple 6',
  verdict: 'decision and state of the flow tuple',
  bytes: 'counters of the flow tuple',
  packets: 'counters of the flow tuple',
  replyBytes: 'counters of the flow tuple',
  replyPackets: 'counters of the flow tuple',
};

const SOURCES: Readonly<Record<string, FieldSources>> = {
  pcap: CAPTURE,
  pcapng: CAPTURE,
  conntrack: CONNTRACK,
  'conntrack-xml': CONNTRACK,
  'conntrack-save': CONNTRACK,
  zeek: ZEEK,
  'zeek-json': ZEEK,
  'aws-vpc': AWS,
  'azure-nsg': AZURE,
  'azure-vnet': AZURE,
  hubble: {
    time: 'time',
    src: 'IP.source',
    srcPort: 'l4.*.source_port',
    dst: 'IP.destination',
    dstPort: 'l4.*.destination_port',
    protocol: 'l4',
    icmpType: 'l4.ICMPv4.type, l4.ICMPv6.type',
    icmpCode: 'l4.ICMPv4.code, l4.ICMPv6.code',
    tcpFlags: 'l4.TCP.flags',
    orientation: 'is_reply',
    verdict: 'verdict and drop_reason_desc',
    srcPod: 'source.namespace, source.pod_name',
    dstPod: 'destination.namespace, destination.pod_name',
  },
  'gcp-vpc': {
    time: 'jsonPayload.start_time',
    src: 'jsonPayload.connection.src_ip',
    srcPort: 'jsonPayload.connection.src_port',
    dst: 'jsonPayload.connection.dest_ip',
    dstPort: 'jsonPayload.connection.dest_port',
    protocol: 'jsonPayload.connection.protocol',
    bytes: 'jsonPayload.bytes_sent',
    packets: 'jsonPayload.packets_sent',
    srcPod: 'jsonPayload.src_gke_details.pod',
    dstPod: 'jsonPayload.dest_gke_details.pod',
  },
  'gke-policy': {
    time: 'timestamp',
    src: 'connection.src_ip',
    srcPort: 'connection.src_port',
    dst: 'connection.dest_ip',
    dstPort: 'connection.dest_port',
    protocol: 'connection.protocol',
    verdict: 'disposition',
    srcPod: 'src.namespace, src.pod_name',
    dstPod: 'dest.namespace, dest.pod_name',
  },
  netobserv: {
    time: 'TimeFlowStartMs',
    src: 'SrcAddr',
    srcPort: 'SrcPort',
    dst: 'DstAddr',
    dstPort: 'DstPort',
    protocol: 'Proto',
    icmpType: 'IcmpType',
    icmpCode: 'IcmpCode',
    tcpFlags: 'Flags',
    bytes: 'Bytes and Sampling',
    packets: 'Packets and Sampling',
    srcPod: 'SrcK8S_Namespace, SrcK8S_Name',
    dstPod: 'DstK8S_Namespace, DstK8S_Name',
  },
  'calico-flowlog': {
    time: 'start_time',
    src: 'source_ip',
    srcPort: 'source_port',
    dst: 'dest_ip',
    dstPort: 'dest_port',
    protocol: 'proto',
    verdict: 'action',
    srcPod: 'source_namespace, source_name',
    dstPod: 'dest_namespace, dest_name',
  },
};

/** What a format calls its fields; empty where it is not told. */
export function fieldSourcesOf(format: string): FieldSources {
  return SOURCES[format] ?? {};
}

/** The format of which an object has most members, and some that it lacks; undefined where it has fewer than two. */
export function nearestByKeys(
  keys: ReadonlySet<string>,
): { readonly format: string; readonly has: readonly string[]; readonly lacks: readonly string[] } | undefined {
  let nearest: { format: string; has: string[]; lacks: string[] } | undefined;
  for (const [format, fields] of Object.entries(SOURCES)) {
    if (!JSON_FORMATS.includes(format)) continue;
    const names = new Set(Object.values(fields).flatMap((text) => text.split(/, | and |, else /).map(lastStep)));
    const has = [...names].filter((name) => keys.has(name));
    const lacks = [...names].filter((name) => !keys.has(name));
    if (has.length >= 2 && has.length > (nearest?.has.length ?? 0)) nearest = { format, has, lacks };
  }
  return nearest;
}

const JSON_FORMATS = ['hubble', 'gcp-vpc', 'gke-policy', 'netobserv', 'calico-flowlog', 'zeek-json'];

/** `connection.src_ip` -> `src_ip`; `id.orig_h` is one key. */
function lastStep(path: string): string {
  return path.startsWith('id.') ? path : path.slice(path.lastIndexOf('.') + 1);
}
