/**
 * NetObserv's flows (OpenShift's network observability): one object a line, as its Kafka and stdout exporters write them, or as
 * Loki returns them with the labels of their stream among the members. A record is one direction of a flow in an interval, as
 * one node's agent saw it on its interfaces; both nodes of a flow report it, and so do several interfaces in old versions.
 */
import {
  clearRow,
  type Dictionary,
  type EndpointFact,
  Orientation,
  OrientedBy,
  RecordedVerdict,
  RecordKind,
  TcpFlag,
} from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import type { PolicyHit } from '../model/recorded-policy.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { fillAddresses } from './json-field.ts';
import { asObject, asText, type Json, NOT_A_NUMBER, podFact, readProtocol, readWhole, shown } from './json-member.ts';
import { createJsonDecoder, type Place } from './line.ts';
import { ObserverTable } from './observer.ts';
import { ServiceSightings } from './service-sighting.ts';

/** NetObserv's flow and conversation records. */
export const NETOBSERV: TraceFormat = {
  name: 'netobserv',
  description: 'NetObserv flows',
  recognise: ({ json }) => json !== undefined && json.top.has('SrcAddr') && json.top.has('DstAddr'),
  isText: true,
  limits: [
    'NetObserv samples packets unless it is told not to: short connections may be missing.',
    'NetObserv records each direction by itself: who opened a connection is inferred where no SYN was among its packets.',
    'NetObserv has a verdict only where it records network events (OVN-Kubernetes) or packet drops.',
  ],
  open: openNetObserv,
};

/** Where the records say how they were sampled. */
const SAMPLING_LIMIT =
  'Bytes and packets of NetObserv are estimates: what was sampled, times the recorded sampling rate.';

/** Bits of the agent for two flags on one packet, and what they stand for. */
const DOUBLE_FLAGS: readonly (readonly [name: string, bit: number, flags: number])[] = [
  ['SYN_ACK', 0x100, TcpFlag.Syn | TcpFlag.Ack],
  ['FIN_ACK', 0x200, TcpFlag.Fin | TcpFlag.Ack],
  ['RST_ACK', 0x400, TcpFlag.Rst | TcpFlag.Ack],
];
const SYN_ACK = 0x100;
const FLAG_NAMES = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];

/** EtherTypes of IP. */
const IP_TYPES: ReadonlySet<unknown> = new Set([0x0800, 0x86dd]);

const translated: FieldAddress = { family: 0, value: 0 };

/** What one input has shown so far. */
interface Memory {
  readonly observers: ObserverTable;
  readonly services: ServiceSightings;
  /** Flow records are there beside those of conversations, which sum them up. */
  hasFlows: boolean;
}

function openNetObserv(context: ReadContext): TraceDecoder {
  const services = new ServiceSightings();
  const memory: Memory = { observers: new ObserverTable(), services, hasFlows: false };
  const decoder = createJsonDecoder(context, (record, place) => takeRecord(context, memory, record, place));
  return Object.assign(decoder, {
    countReady: () => services.countReady(context.batch),
    willHandOut: (count: number) => services.willHandOut(context.batch, count),
  });
}

function takeRecord(context: ReadContext, memory: Memory, record: Json, place: Place): void {
  const { batch, account, dictionary } = context;
  const kind = asText(record['_RecordType']);
  if (kind === 'heartbeat') return increment(account.skipped, 'heartbeat');
  const isConversation = kind === 'newConnection' || kind === 'endConnection';
  if (!isConversation && kind !== '' && kind !== 'flowLog') addUnknownValue(account, '_RecordType', kind);
  if (record['Duplicate'] === true) return increment(account.skipped, 'duplicate');
  if (record['SrcAddr'] === undefined && record['DstAddr'] === undefined) {
    const type = record['Etype'];
    if (type !== undefined && !IP_TYPES.has(type)) return increment(account.skipped, 'non-ip');
    const found = Object.keys(record).slice(0, 5).join(', ');
    return addMalformed(account, 'not-a-flow', place, `expected "SrcAddr", found ${found}`);
  }
  const row = batch.count;
  clearRow(batch, row);
  const complaint = fillTuple(context, record);
  if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint);
  batch.timeUs[row] = readTimeUs(record);
  batch.srcEndpoint[row] = internEnd(dictionary, record, 'Src');
  batch.dstEndpoint[row] = internEnd(dictionary, record, 'Dst');
  readFlags(context, record, isConversation);
  readSums(context, record);
  readVerdict(context, record);
  const isDenied = batch.recordedVerdict[row] === RecordedVerdict.Deny;
  if (isConversation) {
    batch.kind[row] = RecordKind.Connection;
    // A conversation's sums are those of all its flow records; which direction they belong to is not said.
    if (kind === 'newConnection' || memory.hasFlows) batch.bytes[row] = batch.packets[row] = -1;
    batch.replyBytes[row] = batch.replyPackets[row] = -1;
  } else {
    memory.hasFlows = true;
    batch.kind[row] = RecordKind.OneWay;
    if (isRepeated(context, memory, record)) {
      // What an end denied, the other end's record cannot say.
      if (!isDenied) return increment(account.skipped, 'duplicate');
      batch.bytes[row] = batch.packets[row] = -1;
    }
  }
  // A Service's own address answers, and never asks.
  if (asText(record['SrcK8S_Type']) !== 'Service') {
    const isService = asText(record['DstK8S_Type']) === 'Service' && batch.preDstPort[row]! < 0;
    memory.services.add(batch, row, isService, !isService);
  }
  batch.line[row] = place.number;
  batch.count = row + 1;
}

/** Addresses, protocol, ports and translation into the row; returns what is wrong. */
function fillTuple(context: ReadContext, record: Json): string {
  const { batch, dictionary, account } = context;
  const row = batch.count;
  const complaint = fillAddresses(context, record, 'SrcAddr', 'DstAddr');
  if (complaint !== '') return complaint;
  const protocol = readProtocol(record['Proto']);
  if (protocol === undefined) addUnknownValue(account, 'Proto', record['Proto']);
  batch.protocol[row] = protocol ?? Protocol.Unknown;
  const ports: number[] = [];
  for (const name of ['SrcPort', 'DstPort', 'XlatDstPort']) {
    const port = readWhole(record[name], 0xffff);
    if (port === NOT_A_NUMBER) return `${name}: expected a port, found ${shown(record[name])}`;
    ports.push(port);
  }
  const [srcPort, dstPort, xlatPort] = ports as [number, number, number];
  const isIcmp = batch.protocol[row] === Protocol.Icmp || batch.protocol[row] === Protocol.Icmpv6;
  const type = readWhole(record['IcmpType'], 255);
  if (isIcmp && type >= 0) batch.icmp[row] = (type << 8) | Math.max(0, readWhole(record['IcmpCode'], 255));
  if (!hasPorts(batch.protocol[row]!)) return '';
  batch.srcPort[row] = srcPort;
  batch.dstPort[row] = dstPort;
  const behind = asText(record['XlatDstAddr']);
  if (behind === '' || !readAddress(behind, dictionary, translated) || translated.family !== batch.family[row])
    return '';
  const before = batch.dst[row]!;
  const port = xlatPort > 0 ? xlatPort : dstPort;
  if (translated.value === before && port === dstPort) return '';
  batch.preDst[row] = before;
  batch.preDstPort[row] = Math.max(0, dstPort);
  batch.dst[row] = translated.value;
  batch.dstPort[row] = port;
  return '';
}

/** When the interval began, in milliseconds; else when it ended, or in seconds when it was received. */
function readTimeUs(record: Json): number {
  for (const [name, scale] of [
    ['TimeFlowStartMs', 1e3],
    ['TimeFlowEndMs', 1e3],
    ['TimeReceived', 1e6],
  ] as const) {
    const time = readWhole(record[name], 1e14);
    if (time > 0) return time * scale;
  }
  return NaN;
}

/**
 * Flags, and who opened the connection: the agent keeps a SYN and a SYN+ACK apart, so that one of them alone tells, although
 * the flags of all packets are in one number. A conversation's source is its initiator.
 */
function readFlags({ batch, account }: ReadContext, record: Json, isConversation: boolean): void {
  const row = batch.count;
  const bits = batch.protocol[row] === Protocol.Tcp ? flagBits(record['Flags']) : -1;
  if (bits === NOT_A_NUMBER) addUnknownValue(account, 'Flags', record['Flags']);
  if (bits >= 0) {
    let flags = bits & 0xff;
    for (const [, bit, both] of DOUBLE_FLAGS) if ((bits & bit) !== 0) flags |= both;
    batch.tcpFlags[row] = flags;
  }
  const isOpening = bits >= 0 && (bits & TcpFlag.Syn) !== 0;
  const isAnswer = bits >= 0 && (bits & SYN_ACK) !== 0;
  const isFromService = asText(record['SrcK8S_Type']) === 'Service';
  const isToService = asText(record['DstK8S_Type']) === 'Service' || batch.preDstPort[row]! >= 0;
  if (isConversation || isFromService !== isToService) {
    batch.orientation[row] = isFromService && !isConversation ? Orientation.Reply : Orientation.Original;
    batch.orientedBy[row] = OrientedBy.Stated;
  } else if (isOpening !== isAnswer) {
    batch.orientation[row] = isAnswer ? Orientation.Reply : Orientation.Original;
    batch.orientedBy[row] = OrientedBy.Flags;
  } else if (batch.protocol[row] === Protocol.Tcp) {
    // Without a SYN, or with both, the flags must not tell replay anything.
    batch.tcpFlags[row] = bits < 0 ? TcpFlag.Absent : batch.tcpFlags[row]! & ~TcpFlag.Syn;
  }
}

/** A number, or the names of a decoded one; -1 absent. */
function flagBits(value: unknown): number {
  if (!Array.isArray(value)) return readWhole(value, 0xffff);
  let bits = 0;
  for (const name of value as unknown[]) {
    const double = DOUBLE_FLAGS.find(([known]) => known === name);
    const index = FLAG_NAMES.indexOf(asText(name));
    if (double === undefined && index < 0) return NOT_A_NUMBER;
    bits |= double === undefined ? 1 << index : double[1];
  }
  return bits;
}

/** Bytes and packets, times the sampling rate. */
function readSums({ batch, account }: ReadContext, record: Json): void {
  const row = batch.count;
  const sampling = readWhole(record['Sampling'], 1e9);
  const rate = Math.max(1, sampling);
  if (sampling === NOT_A_NUMBER) addUnknownValue(account, 'Sampling', record['Sampling']);
  if (rate > 1 && !account.limits.includes(SAMPLING_LIMIT)) account.limits.push(SAMPLING_LIMIT);
  for (const [name, column] of [
    ['Bytes', batch.bytes],
    ['Packets', batch.packets],
  ] as const) {
    const value = readWhole(record[name], Number.MAX_SAFE_INTEGER / 1e9);
    if (value === NOT_A_NUMBER) addUnknownValue(account, name, record[name]);
    column[row] = value < 0 ? -1 : value * rate;
  }
}

/** Network events are verdicts of policies; packets that the kernel dropped for any reason are a drop where all were. */
function readVerdict({ batch, account, dictionary }: ReadContext, record: Json): void {
  const row = batch.count;
  const events = record['NetworkEvents'];
  const hits: PolicyHit[] = [];
  for (const value of Array.isArray(events) ? (events as unknown[]) : []) {
    const event = asObject(value);
    if (event === undefined) continue;
    const action = readAction(asText(event['Action']));
    if (action === undefined) {
      addUnknownValue(account, 'Action', event['Action']);
      continue;
    }
    const kind = asText(event['Type']);
    const namespace = asText(event['Namespace']);
    hits.push({
      ...(kind !== '' && { kind }),
      ...(namespace !== '' && { namespace }),
      name: asText(event['Name']),
      action,
      isStaged: false,
    });
  }
  if (hits.length > 0) {
    const trace = { enforced: hits, pending: [] };
    batch.policies[row] = dictionary.internPolicies(JSON.stringify(['netobserv', hits]), () => trace);
    if (hits.some(({ action }) => action === 'deny')) batch.recordedVerdict[row] = RecordedVerdict.Deny;
    else if (hits.some(({ action }) => action === 'allow')) batch.recordedVerdict[row] = RecordedVerdict.Allow;
    return;
  }
  const drops = asObject(record['PktDrop']);
  const dropped = readWhole(record['PktDropPackets'] ?? drops?.['Packets'], Number.MAX_SAFE_INTEGER);
  if (dropped > 0 && dropped >= readWhole(record['Packets'], Number.MAX_SAFE_INTEGER))
    batch.recordedVerdict[row] = RecordedVerdict.Drop;
}

function readAction(word: string): PolicyHit['action'] | undefined {
  switch (word) {
    case 'allow':
    case 'allow-related':
    case 'allow-stateless':
      return 'allow';
    case 'drop':
    case 'reject':
      return 'deny';
    case 'pass':
      return 'pass';
    default:
      return undefined;
  }
}

/**
 * Is the flow another observer's? An agent that lists `Interfaces` has made one record of what it saw on all of them; one that
 * names its one `Interface` has made a record for each.
 */
function isRepeated({ batch }: ReadContext, { observers }: Memory, record: Json): boolean {
  const row = batch.count;
  const agent = asText(record['AgentIP']) || `direction ${String(record['FlowDirection'])}`;
  const observer = hashText(`${agent} ${Array.isArray(record['Interfaces']) ? '' : asText(record['Interface'])}`);
  const timeS = batch.timeUs[row]! / 1e6;
  const isTranslated = batch.preDstPort[row]! >= 0;
  return observers.isDuplicate(
    batch.family[row]!,
    batch.protocol[row]!,
    batch.src[row]!,
    batch.srcPort[row]!,
    isTranslated ? batch.preDst[row]! : batch.dst[row]!,
    readWhole(record['DstPort'], 0xffff),
    observer,
    Number.isNaN(timeS) ? 0 : Math.floor(timeS),
  );
}

function internEnd(dictionary: Dictionary, record: Json, side: 'Src' | 'Dst'): number {
  const text = (name: string): string => asText(record[`${side}K8S_${name}`]);
  const [type, namespace, name] = [text('Type'), text('Namespace'), text('Name')];
  const [ownerKind, owner] = [text('OwnerType'), text('OwnerName')];
  const fact = factOf(type, namespace, name, ownerKind, owner);
  if (fact === undefined) return 0;
  return dictionary.internEndpoint(JSON.stringify(['netobserv', type, namespace, name, ownerKind, owner]), () => fact);
}

function factOf(
  type: string,
  namespace: string,
  name: string,
  ownerKind: string,
  owner: string,
): EndpointFact | undefined {
  switch (type) {
    case 'Pod':
      return (
        podFact(namespace, name, { kind: ownerKind, name: owner }) ??
        (namespace === '' || owner === ''
          ? undefined
          : {
              kind: 'workload',
              namespace,
              workload: owner,
              ...(ownerKind !== '' && { workloadKind: ownerKind }),
              areLabelsComplete: false,
            })
      );
    case 'Node':
      return name === '' ? undefined : { kind: 'node', name, areLabelsComplete: false };
    case 'Service':
      return namespace === '' || name === ''
        ? undefined
        : { kind: 'service', namespace, name, areLabelsComplete: false };
    default:
      return undefined;
  }
}

/** FNV-1a. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
