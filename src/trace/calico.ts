/**
 * Calico's flows, whatever they are spelled like: the log of Calico Enterprise and Cloud, Goldmane's API and Whisker's. The
 * formats bring their records into the members below; here they become rows. A record sums connections over a window, at one
 * end: `src` and `dst` report the same connections, each with the verdict and the policies of its side alone.
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
import type { PolicyAction, PolicyHit, PolicyTrace } from '../model/recorded-policy.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import { type FieldAddress, readAddress } from './field.ts';
import type { ReadContext } from './format.ts';
import { NOT_A_NUMBER, readProtocol, readWhole, shown } from './json-member.ts';
import type { Place } from './line.ts';
import { ObserverCounts } from './observer-count.ts';

/** What one end is: pods, a host, a network set, or addresses that Calico does not know. */
export type CalicoType = 'wep' | 'hep' | 'ns' | 'net' | '';

/** One end of a flow; empty texts are absent. */
export interface CalicoEnd {
  readonly type: CalicoType;
  readonly namespace: string;
  /** The pod's own name, where it was not summed away. */
  readonly name: string;
  /** What the names of the pods begin with and `*`, a host or network set, or `pub` and `pvt`. */
  readonly group: string;
  readonly address: unknown;
  readonly labels: readonly unknown[] | undefined;
}

/** One record in the members that all spellings share; values are as the record has them. */
export interface CalicoFlow {
  /** Microseconds; NaN absent. */
  readonly timeUs: number;
  readonly reporter: string;
  readonly action: string;
  readonly source: CalicoEnd;
  readonly destination: CalicoEnd;
  readonly srcPort: unknown;
  readonly dstPort: unknown;
  readonly protocol: unknown;
  /** As the reporting end sees them: `in` towards it. */
  readonly bytesIn: unknown;
  readonly bytesOut: unknown;
  readonly packetsIn: unknown;
  readonly packetsOut: unknown;
  /** Connections of the window, and those that began in it; undefined where the spelling has no such counts. */
  readonly existed: number | undefined;
  readonly started: number | undefined;
  readonly policies: PolicyTrace;
}

/** Takes flows of one input. */
export type CalicoTaker = (flow: CalicoFlow, place: Place) => void;

/** Limits that every spelling shares. */
export const CALICO_LIMITS: readonly string[] = [
  'Calico sums connections over a window: times are those of windows, and the order within a window is not known.',
  'Calico records labels that all pods of a record share: a label that a record lacks may exist on the pod.',
];

/** Nodes write a log each: the two ends of a connection stand in two inputs of one replay, which share the dictionary. */
const memories = new WeakMap<Dictionary, ObserverCounts>();

/** A taker that remembers what the inputs of one replay have counted. */
export function createCalicoTaker(context: ReadContext): CalicoTaker {
  const counts = memories.get(context.dictionary) ?? new ObserverCounts();
  memories.set(context.dictionary, counts);
  return (flow, place) => takeFlow(context, counts, flow, place);
}

/** A trace from hits with their places in it; the lists come in any order. */
export function sortHits(hits: readonly (readonly [order: number, hit: PolicyHit])[]): PolicyHit[] {
  return hits
    .map((item, index) => ({ item, index }))
    .sort((a, b) => a.item[0] - b.item[0] || a.index - b.index)
    .map(({ item }) => item[1]);
}

/** `allow`, `Deny`, ...; undefined for anything else. */
export function readAction(value: string): PolicyAction | undefined {
  const word = value.toLowerCase();
  return word === 'allow' || word === 'deny' || word === 'pass' ? word : undefined;
}

const src: FieldAddress = { family: 0, value: 0 };
const dst: FieldAddress = { family: 0, value: 0 };

function takeFlow(context: ReadContext, counts: ObserverCounts, flow: CalicoFlow, place: Place): void {
  const { batch, account, dictionary } = context;
  const row = batch.count;
  clearRow(batch, row);
  const complaint = fillTuple(context, flow);
  if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint);
  const { source, destination, reporter } = flow;
  batch.srcEndpoint[row] = internEnd(dictionary, source);
  batch.dstEndpoint[row] = internEnd(dictionary, destination);
  if (batch.family[row] === 0 && (batch.srcEndpoint[row] === 0 || batch.dstEndpoint[row] === 0))
    return addMalformed(account, 'no-endpoint', place, 'expected a name or an address of both ends');

  // A source port makes a record one connection, which both ends' records share; the rest are sums.
  const isOne = batch.family[row] !== 0 && batch.srcPort[row]! >= 0;
  const key = keyOf(source, destination, batch.protocol[row]!, batch.dstPort[row]!);
  const { fresh, repeated, isOwner } = isOne
    ? counts.add(`${key} one`, reporter, flow.action, 0, 0)
    : counts.add(key, reporter, flow.action, Math.max(1, flow.existed ?? 1), flow.started ?? 0);
  batch.kind[row] = isOne ? RecordKind.Connection : RecordKind.Aggregate;
  batch.connections[row] = isOne ? 1 : fresh;
  batch.repeats[row] = isOne ? 0 : repeated;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  batch.timeUs[row] = flow.timeUs;
  readSums(context, flow, isOwner);
  if (reporter !== 'src' && reporter !== 'dst' && reporter !== 'fwd') addUnknownValue(account, 'reporter', reporter);
  const action = readAction(flow.action);
  if (action === 'allow') batch.recordedVerdict[row] = RecordedVerdict.Allow;
  else if (action === 'deny') batch.recordedVerdict[row] = RecordedVerdict.Deny;
  else if (action === undefined) addUnknownValue(account, 'action', flow.action);
  batch.policies[row] = internTrace(dictionary, flow.policies);
  batch.line[row] = place.number;
  batch.count = row + 1;
}

/** Addresses, protocol and ports into the row; returns what is wrong. */
function fillTuple({ batch, dictionary, account }: ReadContext, flow: CalicoFlow): string {
  const row = batch.count;
  for (const [name, { address }, out] of [
    ['source_ip', flow.source, src],
    ['dest_ip', flow.destination, dst],
  ] as const) {
    out.family = 0;
    if (address === undefined || address === null || address === '' || address === '-') continue;
    if (typeof address !== 'string' || !readAddress(address, dictionary, out))
      return `${name}: expected an IP address, found ${shown(address)}`;
  }
  if (src.family !== 0 && dst.family !== 0) {
    if (src.family !== dst.family) return 'source_ip and dest_ip: expected one address family';
    batch.family[row] = src.family;
    batch.src[row] = src.value;
    batch.dst[row] = dst.value;
  }
  const protocol = readProtocol(flow.protocol);
  if (protocol === undefined) addUnknownValue(account, 'proto', flow.protocol);
  batch.protocol[row] = protocol === Protocol.Icmp && src.family === 6 ? Protocol.Icmpv6 : (protocol ?? 255);
  const srcPort = readWhole(flow.srcPort, 0xffff);
  const dstPort = readWhole(flow.dstPort, 0xffff);
  if (srcPort === NOT_A_NUMBER) return `source_port: expected a port, found ${shown(flow.srcPort)}`;
  if (dstPort === NOT_A_NUMBER) return `dest_port: expected a port, found ${shown(flow.dstPort)}`;
  if (!hasPorts(batch.protocol[row]!)) return '';
  // 0 stands for a port that was summed away.
  batch.srcPort[row] = srcPort === 0 ? -1 : srcPort;
  batch.dstPort[row] = dstPort === 0 ? -1 : dstPort;
  return '';
}

/** Bytes and packets, from the end that owns the flow: the other has counted the same ones. */
function readSums({ batch, account }: ReadContext, flow: CalicoFlow, isOwner: boolean): void {
  const row = batch.count;
  const read = (name: string, value: unknown): number => {
    const number = readWhole(value, Number.MAX_SAFE_INTEGER);
    if (number === NOT_A_NUMBER) addUnknownValue(account, name, value);
    return isOwner ? Math.max(-1, number) : -1;
  };
  const bytesIn = read('bytes_in', flow.bytesIn);
  const bytesOut = read('bytes_out', flow.bytesOut);
  const packetsIn = read('packets_in', flow.packetsIn);
  const packetsOut = read('packets_out', flow.packetsOut);
  const isAtSource = flow.reporter === 'src';
  batch.bytes[row] = isAtSource ? bytesOut : bytesIn;
  batch.replyBytes[row] = isAtSource ? bytesIn : bytesOut;
  batch.packets[row] = isAtSource ? packetsOut : packetsIn;
  batch.replyPackets[row] = isAtSource ? packetsIn : packetsOut;
}

/** The coarsest name of both ends: one end may keep pods and addresses that the other has summed away. */
function keyOf(source: CalicoEnd, destination: CalicoEnd, protocol: number, port: number): string {
  const name = ({ namespace, group, name: own, address }: CalicoEnd): string =>
    `${namespace}/${group || own || String(address)}`;
  return `${protocol} ${port} ${name(source)} ${name(destination)}`;
}

function internEnd(dictionary: Dictionary, end: CalicoEnd): number {
  const { type, namespace, name, group, labels } = end;
  if (namespace === '' && name === '' && group === '') return 0;
  const key = JSON.stringify(['calico', type, namespace, name, group, labels ?? null]);
  return dictionary.internEndpoint(key, () => factOf(end));
}

function factOf({ type, namespace, name, group, labels: list }: CalicoEnd): EndpointFact {
  const areLabelsComplete = false;
  if (group === 'pub' && namespace === '') return { kind: 'world', areLabelsComplete };
  if (type === 'hep') return { kind: 'node', name: name || group, areLabelsComplete };
  // A network set, or `pvt`: whose addresses these are is not said. A name without a namespace is no pod's.
  if (type === 'ns' || type === 'net' || namespace === '') return { kind: 'network', areLabelsComplete };
  const labels = list === undefined ? undefined : readLabels(list);
  const more = { namespace, ...(labels !== undefined && { labels }), areLabelsComplete };
  const isPrefix = group.endsWith('-*');
  const workload = isPrefix ? workloadOf(group.slice(0, -2), labels) : '';
  const own = name || (isPrefix ? '' : group);
  const owner = workload === '' ? {} : { workload };
  return own === '' ? { kind: 'workload', ...owner, ...more } : { kind: 'pod', name: own, ...owner, ...more };
}

/** What generates the names of pods: of a ReplicaSet, the Deployment, where the label that says so is there. */
function workloadOf(base: string, labels: ReadonlyMap<string, string> | undefined): string {
  const hash = labels?.get('pod-template-hash');
  return hash !== undefined && hash !== '' && base.endsWith(`-${hash}`) ? base.slice(0, -hash.length - 1) : base;
}

/** `key=value` each; those that Calico itself gives to an endpoint are no labels of the pod. */
function readLabels(list: readonly unknown[]): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const item of list) {
    if (typeof item !== 'string') continue;
    const equals = item.indexOf('=');
    const key = equals < 0 ? item : item.slice(0, equals);
    if (key !== '' && !key.startsWith('projectcalico.org/')) labels.set(key, equals < 0 ? '' : item.slice(equals + 1));
  }
  return labels;
}

function internTrace(dictionary: Dictionary, trace: PolicyTrace): number {
  if (trace.enforced.length + trace.pending.length === 0) return 0;
  return dictionary.internPolicies(JSON.stringify(['calico', trace]), () => trace);
}
