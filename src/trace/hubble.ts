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
  clearRow,
  type Dictionary,
  type EndpointFact,
} from '../model/flow.ts';
import { addMalformed, addUnknownValue, increment, type TraceAccount } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { createJsonDecoder, type Place } from './line.ts';
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
  open: openHubble,
};

/** Two records of one policy drop are at most this far apart. */
const DROP_PAIR_US = 1_000_000;
/** How many drops wait for their second record. */
const DROP_PAIRS = 65_536;

/** How many connections are remembered for the sake of L7 records. */
const CONNECTIONS = 65_536;

type Json = Record<string, unknown>;

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

/** `event_type.type` of the monitor API. */
const EVENT_DROP = 1;
const EVENT_TRACE = 4;
const EVENT_POLICY_VERDICT = 5;
const EVENT_SOCK = 7;
const EVENT_L7 = 129;

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

/** What of earlier records decides about later ones; bounded. */
interface Memory {
  /** Policy drops whose second record may come. */
  readonly drops: Map<string, { readonly event: number; readonly timeUs: number }>;
  /** Connections that were handed out, by their two ends in a fixed order. */
  readonly connections: Set<string>;
  /** What records on both sides of a Service's translation have taught. */
  readonly services: ServiceSightings;
}

function openHubble(context: ReadContext): TraceDecoder {
  const { account } = context;
  const services = new ServiceSightings();
  const memory: Memory = { drops: new Map(), connections: new Set(), services };
  const decoder = createJsonDecoder(context, (record, place) => {
    const flow = asObject(record['flow']);
    if (flow !== undefined) return takeFlow(context, flow, record, memory, place);
    const lost = asObject(get(record, 'lost_events', 'lostEvents'));
    if (lost !== undefined) {
      // An event that names no number still says that something is missing.
      account.lost += Math.max(1, asCount(get(lost, 'num_events_lost', 'numEventsLost')));
      return increment(account.skipped, 'lost-events');
    }
    if (get(record, 'agent_event', 'agentEvent') !== undefined) return increment(account.skipped, 'agent-event');
    if (get(record, 'debug_event', 'debugEvent') !== undefined) return increment(account.skipped, 'debug-event');
    if (get(record, 'node_status', 'nodeStatus') !== undefined) return increment(account.skipped, 'node-status');
    if (record['verdict'] !== undefined || record['IP'] !== undefined)
      return takeFlow(context, record, record, memory, place);
    addMalformed(account, 'not-a-flow', place, `expected "flow", found ${Object.keys(record).slice(0, 5).join(', ')}`);
  });
  return Object.assign(decoder, {
    countReady: () => services.countReady(context.batch),
    willHandOut: (count: number) => services.willHandOut(context.batch, count),
  });
}

function takeFlow(
  { batch, dictionary, account }: ReadContext,
  flow: Json,
  envelope: Json,
  { drops, connections, services }: Memory,
  place: Place,
): void {
  const eventType = asObject(get(flow, 'event_type', 'eventType'));
  const event = asCount(eventType?.['type']);
  const type = flow['Type'];
  const isL7 = type === 'L7' || type === 2 || event === EVENT_L7;
  if (type === 'SOCK' || type === 3 || event === EVENT_SOCK) return increment(account.skipped, 'sock');
  if (!isL7 && event !== 0 && event !== EVENT_DROP && event !== EVENT_TRACE && event !== EVENT_POLICY_VERDICT)
    return increment(account.skipped, `event-type ${event}`);

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
  batch.family[row] = family;
  if (family === 4) {
    batch.src[row] = words[0]!;
    batch.dst[row] = otherWords[0]!;
  } else if (family === 6) {
    batch.src[row] = dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!);
    batch.dst[row] = dictionary.addresses.intern(otherWords[0]!, otherWords[1]!, otherWords[2]!, otherWords[3]!);
  }
  batch.srcEndpoint[row] = srcEndpoint;
  batch.dstEndpoint[row] = dstEndpoint;
  batch.line[row] = place.number;
  const flags = readTransport(batch, row, l4, account);
  if (flags === INVALID_PORT)
    return addMalformed(account, 'invalid-port', place, 'expected ports from 0 to 65535', JSON.stringify(l4));

  // An L7 record is one more sighting of a connection. It counts only where nothing else has shown that connection.
  const connection = connectionKey(batch, row);
  if (isL7 && connections.has(connection)) return increment(account.skipped, 'l7');
  connections.add(connection);
  if (connections.size > CONNECTIONS) connections.delete(connections.keys().next().value!);

  const timeUs = readTime(flow['time'] ?? envelope['time']);
  batch.timeUs[row] = timeUs;
  // What a proxy refuses is no network policy's doing.
  const verdict = isL7 && flow['verdict'] === 'DROPPED' ? RecordedVerdict.None : readVerdict(flow, event, account);
  batch.recordedVerdict[row] = verdict;
  const isDrop = verdict === RecordedVerdict.Deny || verdict === RecordedVerdict.Drop;
  const isDecision = event === EVENT_POLICY_VERDICT || event === EVENT_DROP || (event === 0 && isDrop);
  batch.kind[row] = isDecision ? RecordKind.Decision : RecordKind.OneWay;
  orient(batch, row, flow, event, verdict, flags);

  // A policy drop is recorded as a policy verdict and as a drop.
  if (verdict === RecordedVerdict.Deny && event !== 0) {
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
  services.add(batch, row, service !== undefined, dictionary.endpoints[dstEndpoint]?.kind === 'pod');
  batch.count = row + 1;
}

/** The same for both directions. */
function connectionKey(batch: ReadContext['batch'], row: number): string {
  const { family, src, dst, srcPort, dstPort, protocol, srcEndpoint, dstEndpoint } = batch;
  // Endpoints stand in for addresses; where both are there, the names can differ from record to record.
  const isNamed = family[row] === 0;
  const from = `${isNamed ? srcEndpoint[row] : src[row]} ${srcPort[row]}`;
  const to = `${isNamed ? dstEndpoint[row] : dst[row]} ${dstPort[row]}`;
  return from < to ? `${protocol[row]} ${from} ${to}` : `${protocol[row]} ${to} ${from}`;
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
      return reason === undefined && event === EVENT_POLICY_VERDICT ? RecordedVerdict.Deny : RecordedVerdict.Drop;
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

/**
 * Who opened the connection. Cilium states `is_reply` where its connection tracking told; a policy verdict is only made for an
 * opening. `reply: true` of 2021 is a statement, its absence is none.
 */
function orient(
  batch: ReadContext['batch'],
  row: number,
  flow: Json,
  event: number,
  verdict: RecordedVerdict,
  flags: number,
): void {
  let isReply = get(flow, 'is_reply', 'isReply');
  if (isReply === undefined && flow['reply'] === true) isReply = true;
  // Retina writes false where it does not know.
  if (isReply === false && isRetina(flow)) isReply = undefined;
  let orientation = Orientation.Unknown;
  let orientedBy = OrientedBy.Assumed;
  if (typeof isReply === 'boolean') {
    orientation = isReply ? Orientation.Reply : Orientation.Original;
    orientedBy = OrientedBy.Stated;
  } else if (event === EVENT_POLICY_VERDICT || verdict === RecordedVerdict.Deny) {
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
  const hasLabels = labels.size > 0 || namespaceLabels.size > 0;
  const base = {
    ...(ns === '' ? {} : { namespace: ns }),
    ...(workloadName === '' ? {} : { workload: workloadName, workloadKind: asText(workload?.['kind']) }),
    ...(hasLabels ? { labels, namespaceLabels } : {}),
    areLabelsComplete: false,
  };
  if (pod !== '') return { ...base, kind: 'pod', name: pod };
  if (workloadName !== '') return { ...base, kind: 'workload', name: workloadName };
  if (reserved.has('host') || reserved.has('remote-node') || identity === 1 || identity === 6)
    return { ...base, kind: 'node' };
  if (serviceName !== '')
    return {
      ...base,
      kind: 'service',
      name: serviceName,
      ...(serviceNamespace === '' ? {} : { namespace: serviceNamespace }),
    };
  const isWorld = ['world', 'world-ipv4', 'world-ipv6'].some((name) => reserved.has(name));
  if (isWorld || isCidr || identity === 2 || identity === 9 || identity === 10) return { ...base, kind: 'world' };
  return { ...base, kind: 'unknown' };
}

const NAMESPACE_LABEL_PREFIX = 'io.cilium.k8s.namespace.labels.';

/** A field under its proto name or in camelCase. */
function get(object: Json, name: string, camel: string): unknown {
  return object[name] ?? object[camel] ?? undefined;
}

function asObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A number that proto JSON may write as text; 0 where it is absent or none. */
function asCount(value: unknown): number {
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) && number > 0 ? number : 0;
}
