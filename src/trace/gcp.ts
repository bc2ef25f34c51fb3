/**
 * Google Cloud: VPC Flow Logs and the policy log of GKE Dataplane V2, as entries of Cloud Logging (one a line, or the array
 * that gcloud prints), rows of a BigQuery export, or, for the policy log, the lines of the node's file. A flow record is one
 * direction of a connection in an interval, reported by the source, the destination or both; a policy record is a decision
 * about a connection's opening on one side.
 */
import {
  clearRow,
  type Dictionary,
  type EndpointFact,
  Orientation,
  OrientedBy,
  RecordedVerdict,
  RecordKind,
} from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment, type TraceAccount } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import type { Head } from './head.ts';
import { type Complaint, fillAddresses, readMember } from './json-field.ts';
import { asObject, asText, type Json, podFact, readProtocol, shown } from './json-member.ts';
import { createJsonDecoder, parseJson, type Place } from './line.ts';
import { ObserverTable } from './observer.ts';
import { parseTime } from './time.ts';

const FLOW_LIMITS: readonly string[] = [
  'VPC Flow Logs sample packets: a short connection may be missing, and bytes (of the payload) and packets are estimates.',
  'VPC Flow Logs carry no verdict, no TCP flags and no ICMP types: who opened a connection is inferred, and what a policy already drops is not in this trace.',
  'Traffic between pods of one node is in this trace only if the cluster has intranode visibility.',
];
const POLICY_LIMITS: readonly string[] = [
  'The GKE policy log folds denied attempts of one connection into one record and is limited per node: its records are fewer than the attempts.',
  'What the NetworkLogging of the cluster does not ask for (allowed or denied connections, policies without the annotation) is not in the GKE policy log.',
];

/** VPC Flow Logs. */
export const GCP_VPC: TraceFormat = {
  name: 'gcp-vpc',
  description: 'GCP VPC flow logs',
  recognise: isFlowLog,
  isText: true,
  limits: FLOW_LIMITS,
  open: openGcp,
};

/** The policy log of GKE Dataplane V2. */
export const GKE_POLICY: TraceFormat = {
  name: 'gke-policy',
  description: 'a GKE Dataplane V2 policy log',
  recognise: ({ json }) => json !== undefined && json.all.has('connection') && json.all.has('disposition'),
  isText: true,
  limits: POLICY_LIMITS,
  open: openGcp,
};

/** Entries whose `insertId` is remembered: exports overlap by minutes, not by days. */
const ENTRIES = 1 << 17;

/** Who may report a flow; the index + 1 names the observer. */
const REPORTERS = ['SRC', 'DEST', 'SRC_GATEWAY', 'DEST_GATEWAY'];

/** Names in front of a member where a query has flattened the record. */
const PREFIXES = ['jsonPayload.', 'jsonPayload_', 'json_payload.', 'json_payload_', 'connection.', 'connection_'];

/** Between the parts of a key; no name holds it. */
const BETWEEN = '\0';

function openGcp(context: ReadContext): TraceDecoder {
  const { account } = context;
  const observers = new ObserverTable();
  const entries = new Set<string>();
  return createJsonDecoder(context, (entry, place) => {
    const payload = payloadOf(entry);
    const connection = asObject(payload['connection']) ?? (payload['src_ip'] === undefined ? undefined : payload);
    if (connection === undefined) {
      if (entry['logName'] !== undefined || entry['insertId'] !== undefined)
        return increment(account.skipped, 'other-log');
      const found = Object.keys(entry).slice(0, 5).join(', ');
      return addMalformed(account, 'not-a-flow', place, `expected "connection", found ${found}`);
    }
    if (isRepeated(entry, entries)) return increment(account.skipped, 'duplicate');
    if (payload['disposition'] === undefined) takeFlow(context, entry, payload, connection, observers, place);
    else takePolicy(context, entry, payload, connection, place);
  });
}

/** One direction of a connection in an interval. */
function takeFlow(
  context: ReadContext,
  entry: Json,
  payload: Json,
  connection: Json,
  observers: ObserverTable,
  place: Place,
): void {
  const { batch, account, dictionary } = context;
  sayLimits(account, FLOW_LIMITS);
  const row = batch.count;
  clearRow(batch, row);
  const complaint = { text: '' };
  fillConnection(context, connection, complaint);
  batch.timeUs[row] = readTime(payload['start_time'] ?? payload['timestamp'] ?? entry['timestamp'], complaint);
  batch.bytes[row] = readMember(payload, 'bytes_sent', Number.MAX_SAFE_INTEGER, complaint);
  batch.packets[row] = readMember(payload, 'packets_sent', Number.MAX_SAFE_INTEGER, complaint);
  if (complaint.text !== '') return addMalformed(account, 'invalid-field', place, complaint.text);

  const reporter = payload['reporter'];
  const observer = REPORTERS.indexOf(asText(reporter)) + 1;
  if (observer === 0 && reporter !== undefined) addUnknownValue(account, 'reporter', reporter);
  const timeS = batch.timeUs[row]! / 1e6;
  if (
    observer > 0 &&
    observers.isDuplicate(
      batch.family[row]!,
      batch.protocol[row]!,
      batch.src[row]!,
      batch.srcPort[row]!,
      batch.dst[row]!,
      batch.dstPort[row]!,
      observer,
      Number.isNaN(timeS) ? 0 : Math.max(0, Math.floor(timeS)),
    )
  )
    return increment(account.skipped, 'duplicate');
  batch.kind[row] = RecordKind.OneWay;
  batch.srcEndpoint[row] = internGke(dictionary, asObject(payload['src_gke_details']));
  batch.dstEndpoint[row] = internGke(dictionary, asObject(payload['dest_gke_details']));
  batch.line[row] = place.number;
  batch.count = row + 1;
}

/** What the policies of one side said of a connection's opening. */
function takePolicy(context: ReadContext, entry: Json, payload: Json, connection: Json, place: Place): void {
  const { batch, account, dictionary } = context;
  sayLimits(account, POLICY_LIMITS);
  const row = batch.count;
  clearRow(batch, row);
  const complaint = { text: '' };
  fillConnection(context, connection, complaint);
  batch.timeUs[row] = readTime(payload['timestamp'] ?? entry['timestamp'], complaint);
  const count = readMember(payload, 'count', Number.MAX_SAFE_INTEGER, complaint);
  if (complaint.text !== '') return addMalformed(account, 'invalid-field', place, complaint.text);
  batch.kind[row] = RecordKind.Decision;
  // Denials of the same ends and ports within seconds are one entry: what was denied is the same opening, sent again.
  if (payload['disposition'] === 'deny') batch.packets[row] = count;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  switch (payload['disposition']) {
    case 'allow':
      batch.recordedVerdict[row] = RecordedVerdict.Allow;
      break;
    case 'deny':
      batch.recordedVerdict[row] = RecordedVerdict.Deny;
      break;
    default:
      addUnknownValue(account, 'disposition', payload['disposition']);
  }
  batch.policies[row] = internPolicies(dictionary, payload['policies'], payload['disposition']);
  batch.srcEndpoint[row] = internPolicyParty(dictionary, asObject(payload['src']));
  batch.dstEndpoint[row] = internPolicyParty(dictionary, asObject(payload['dest']));
  batch.line[row] = place.number;
  batch.count = row + 1;
}

/** Addresses, protocol and ports into the row that is being filled. */
function fillConnection(context: ReadContext, connection: Json, complaint: Complaint): void {
  const { batch, account } = context;
  const row = batch.count;
  complaint.text ||= fillAddresses(context, connection, 'src_ip', 'dest_ip');
  if (complaint.text !== '') return;
  const protocol = readProtocol(connection['protocol']);
  if (protocol === undefined) addUnknownValue(account, 'protocol', connection['protocol']);
  batch.protocol[row] = protocol === Protocol.Icmp && batch.family[row] === 6 ? Protocol.Icmpv6 : (protocol ?? 255);
  const srcPort = readMember(connection, 'src_port', 0xffff, complaint);
  const dstPort = readMember(connection, 'dest_port', 0xffff, complaint);
  if (!hasPorts(batch.protocol[row]!)) return;
  batch.srcPort[row] = srcPort;
  batch.dstPort[row] = dstPort;
}

/** RFC 3339, or as BigQuery prints a TIMESTAMP: with a blank and `UTC`, or in seconds. */
function readTime(value: unknown, complaint: Complaint): number {
  if (value === undefined || value === null) return NaN;
  const time = typeof value === 'string' ? parseTime(value) : NaN;
  if (!Number.isNaN(time)) return time;
  const seconds = typeof value === 'string' && value.trim() === '' ? NaN : Number(value);
  if (!(seconds >= 0 && seconds < 1e11)) complaint.text = `expected an RFC 3339 time, found ${shown(value)}`;
  return Math.round(seconds * 1e6);
}

/** The record in an entry; one that a query has flattened gets its members back under their own names. */
function payloadOf(entry: Json): Json {
  const payload = entry['jsonPayload'] ?? entry['json_payload'];
  if (typeof payload === 'string') return parseObject(payload) ?? entry;
  const object = asObject(payload);
  if (object !== undefined) return object;
  if (entry['connection'] !== undefined || entry['src_ip'] !== undefined) return entry;
  const flat = new Map<string, unknown>();
  for (const key of Object.keys(entry)) {
    let name = key;
    for (const prefix of PREFIXES) if (name.startsWith(prefix)) name = name.slice(prefix.length);
    if (!flat.has(name)) flat.set(name, entry[key]);
  }
  return Object.fromEntries(flat);
}

function parseObject(text: string): Json | undefined {
  try {
    return asObject(parseJson(text));
  } catch {
    return undefined;
  }
}

/** Overlapping exports hold an entry twice. */
function isRepeated(entry: Json, entries: Set<string>): boolean {
  const id = asText(entry['insertId'] ?? entry['insert_id']);
  if (id === '') return false;
  const key = `${id} ${asText(entry['timestamp'])}`;
  if (entries.has(key)) return true;
  entries.add(key);
  if (entries.size > ENTRIES) entries.delete(entries.keys().next().value!);
  return false;
}

/** The GKE annotation of one end: its pod, else the Service whose address it is. */
function internGke(dictionary: Dictionary, details: Json | undefined): number {
  if (details === undefined) return 0;
  const pod = asObject(details['pod']);
  if (pod === undefined) {
    const service = serviceFact(details['service']);
    if (service === undefined) return 0;
    return dictionary.internEndpoint(['gcp-service', service.namespace, service.name].join(BETWEEN), () => service);
  }
  const owner = asObject(pod['pod_workload']);
  const namespace = asText(pod['pod_namespace']);
  return internParty(dictionary, {
    namespace,
    name: asText(pod['pod_name']),
    // The kind is spelled in capitals, unlike any kind of Kubernetes: the name alone is used.
    kind: '',
    workload: asText(owner?.['workload_name']),
  });
}

/** An address of two Services, or of more (`MANY_SERVICES`), names none of them. */
function serviceFact(value: unknown): EndpointFact | undefined {
  const services = Array.isArray(value) ? value : [value];
  const service = services.length === 1 ? asObject(services[0]) : undefined;
  const name = asText(service?.['service_name']);
  const namespace = asText(service?.['service_namespace']);
  if (name === '' || namespace === '') return undefined;
  return { kind: 'service', namespace, name, areLabelsComplete: false };
}

/** One end in the policy log: a pod, a node, or an address outside. */
function internPolicyParty(dictionary: Dictionary, party: Json | undefined): number {
  if (party === undefined) return 0;
  const node = asText(party['node_name']);
  if (node !== '')
    return dictionary.internEndpoint(`gcp-node${BETWEEN}${node}`, () => ({
      kind: 'node',
      name: node,
      areLabelsComplete: false,
    }));
  if (asText(party['instance']) !== '')
    return dictionary.internEndpoint('gcp-world', () => ({ kind: 'world', areLabelsComplete: false }));
  return internParty(dictionary, {
    namespace: asText(party['pod_namespace']) || asText(party['namespace']),
    name: asText(party['pod_name']),
    kind: asText(party['workload_kind']),
    workload: asText(party['workload_name']),
  });
}

interface Party {
  readonly namespace: string;
  readonly name: string;
  readonly kind: string;
  readonly workload: string;
}

/** A pod, or a workload where no pod is named; 0 for neither. */
function internParty(dictionary: Dictionary, { namespace, name, kind, workload }: Party): number {
  if (namespace === '' || (name === '' && workload === '')) return 0;
  return dictionary.internEndpoint(
    `gcp${BETWEEN}${namespace}${BETWEEN}${name}${BETWEEN}${kind}${BETWEEN}${workload}`,
    () =>
      podFact(namespace, name, { kind, name: workload }) ?? {
        kind: 'workload',
        namespace,
        name: workload,
        workload,
        ...(kind !== '' && { workloadKind: kind }),
        areLabelsComplete: false,
      },
  );
}

/** The policies that allowed a connection; a denial has none, and an allowance may have none that the log could tell. */
function internPolicies(dictionary: Dictionary, policies: unknown, disposition: unknown): number {
  if (!Array.isArray(policies) || (disposition !== 'allow' && disposition !== 'deny')) return 0;
  const none = `gke${BETWEEN}${disposition}`;
  let key = none;
  for (const policy of policies) {
    const { kind, namespace, name } = policyName(policy);
    if (name !== '') key += `${BETWEEN}${kind}${BETWEEN}${namespace}${BETWEEN}${name}`;
  }
  if (key === none) return 0;
  return dictionary.internPolicies(key, () => ({
    enforced: policies
      .map(policyName)
      .filter(({ name }) => name !== '')
      .map(({ kind, namespace, name }) => ({
        ...(kind !== '' && { kind }),
        ...(namespace !== '' && { namespace }),
        name,
        action: disposition,
        isStaged: false,
      })),
    pending: [],
  }));
}

function policyName(policy: unknown): { readonly kind: string; readonly namespace: string; readonly name: string } {
  const object = asObject(policy);
  return { kind: asText(object?.['kind']), namespace: asText(object?.['namespace']), name: asText(object?.['name']) };
}

/** A file may hold both logs: what either cannot show is said where it turns up. */
function sayLimits(account: TraceAccount, limits: readonly string[]): void {
  if (account.limits.includes(limits[0]!)) return;
  account.limits.push(...limits);
}

function isFlowLog({ json }: Head): boolean {
  if (json === undefined) return false;
  const { all } = json;
  if (all.has('disposition')) return false;
  const has = (name: string): boolean =>
    all.has(name) ||
    PREFIXES.some(
      (prefix) =>
        all.has(prefix + name) || all.has(`${prefix}connection.${name}`) || all.has(`${prefix}connection_${name}`),
    );
  return (
    (has('src_ip') && has('dest_ip') && has('reporter')) ||
    ((all.has('jsonPayload') || all.has('json_payload')) && all.has('connection'))
  );
}
