/**
 * A flow record of Antrea's Flow Aggregator, whichever way it was written, and how it becomes a row: a connection with the pods at
 * both ends and what the rules on either side did. Counts are those since the record before (delta), so that the records of a
 * long connection add up.
 */
import { Orientation, OrientedBy, RecordKind, RecordedVerdict, clearRow } from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { addUnknownValue } from './account.ts';
import { type FieldAddress, parseDigitText, readAddress } from './field.ts';
import type { ReadContext } from './format.ts';
import { internEndpointJson } from './ndjson.ts';
import { parseTime } from './time.ts';
import { parseJson } from './line.ts';

/** What no flow record of Antrea shows. */
export const ANTREA_FLOW_LIMITS: readonly string[] = [
  'Antrea exports what its agents poll from connection tracking: a connection that came and went between two polls is missing, and denied ones are there only where the agent recorded the denial.',
  'A record of a flow between nodes that was not joined has the names of one side only.',
];

/** The names of Antrea's information elements that are asked for, in the order of its tables. */
export const ANTREA_FIELDS = [
  'flowStartSeconds',
  'sourceIP',
  'destinationIP',
  'sourceTransportPort',
  'destinationTransportPort',
  'protocolIdentifier',
  'packetDeltaCount',
  'octetDeltaCount',
  'reversePacketDeltaCount',
  'reverseOctetDeltaCount',
  'sourcePodName',
  'sourcePodNamespace',
  'destinationPodName',
  'destinationPodNamespace',
  'destinationClusterIP',
  'destinationServiceIP',
  'destinationServicePort',
  'ingressNetworkPolicyRuleAction',
  'egressNetworkPolicyRuleAction',
  'sourcePodLabels',
  'destinationPodLabels',
] as const;

/** One of them. */
export type AntreaField = (typeof ANTREA_FIELDS)[number];

const src: FieldAddress = { family: 0, value: 0 };
const dst: FieldAddress = { family: 0, value: 0 };
const service: FieldAddress = { family: 0, value: 0 };

/** Appends the row of a record; returns what is wrong with it, or the empty text. */
export function takeAntreaFlow(
  { batch, dictionary, account }: ReadContext,
  values: ReadonlyMap<AntreaField, string>,
  line: number,
): string {
  let complaint = '';
  const text = (field: AntreaField): string => values.get(field) ?? '';
  const number = (field: AntreaField, limit: number): number => {
    const value = text(field);
    if (value === '') return -1;
    const parsed = parseDigitText(value);
    if (parsed >= 0 && parsed <= limit) return parsed;
    complaint = `${field}: expected a whole number from 0 to ${limit}, found ${value.slice(0, 60)}`;
    return -1;
  };
  for (const [field, out] of [
    ['sourceIP', src],
    ['destinationIP', dst],
  ] as const)
    if (!readAddress(text(field), dictionary, out))
      return `${field}: expected an IP address, found ${text(field).slice(0, 60) || 'nothing'}`;
  if (src.family !== dst.family) return 'sourceIP and destinationIP: expected one address family';
  const row = batch.count;
  clearRow(batch, row);
  batch.kind[row] = RecordKind.Connection;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  const word = text('protocolIdentifier');
  const protocol =
    word === 'Unknown Protocol' ? Protocol.Unknown : parseProtocol(word === 'IPv6-ICMP' ? 'ipv6-icmp' : word);
  if (protocol === undefined) addUnknownValue(account, 'protocolIdentifier', word);
  else batch.protocol[row] = protocol;
  const srcPort = number('sourceTransportPort', 0xffff);
  const dstPort = number('destinationTransportPort', 0xffff);
  const ports = protocol !== undefined && hasPorts(protocol);
  batch.srcPort[row] = ports ? srcPort : -1;
  batch.dstPort[row] = ports ? dstPort : -1;
  const start = text('flowStartSeconds');
  if (start !== '') {
    const seconds = parseDigitText(start);
    batch.timeUs[row] = seconds >= 0 ? seconds * 1e6 : parseTime(start);
    if (Number.isNaN(batch.timeUs[row]!)) complaint = `flowStartSeconds: expected a time, found ${start.slice(0, 60)}`;
  }
  const most = Number.MAX_SAFE_INTEGER;
  batch.packets[row] = number('packetDeltaCount', most);
  batch.bytes[row] = number('octetDeltaCount', most);
  batch.replyPackets[row] = number('reversePacketDeltaCount', most);
  batch.replyBytes[row] = number('reverseOctetDeltaCount', most);
  const name = text('destinationServiceIP') || text('destinationClusterIP');
  const port = number('destinationServicePort', 0xffff);
  if (name !== '' && readAddress(name, dictionary, service) && service.family === src.family && port > 0) {
    batch.preDst[row] = service.value;
    batch.preDstPort[row] = port;
  }
  batch.srcEndpoint[row] = endpoint(text('sourcePodNamespace'), text('sourcePodName'), text('sourcePodLabels'));
  batch.dstEndpoint[row] = endpoint(
    text('destinationPodNamespace'),
    text('destinationPodName'),
    text('destinationPodLabels'),
  );
  const egress = action('egressNetworkPolicyRuleAction');
  const ingress = action('ingressNetworkPolicyRuleAction');
  batch.recordedVerdict[row] =
    egress === RecordedVerdict.Deny || ingress === RecordedVerdict.Deny
      ? RecordedVerdict.Deny
      : Math.max(egress, ingress);
  batch.line[row] = line;
  if (complaint === '') batch.count = row + 1;
  return complaint;

  function endpoint(namespace: string, pod: string, labels: string): number {
    if (namespace === '' || pod === '') return 0;
    return internEndpointJson(dictionary, { kind: 'pod', namespace, name: pod, labels: readLabels(labels) });
  }

  /** 0 none, 1 Allow, 2 Drop, 3 Reject, as numbers or pretty-printed. */
  function action(field: AntreaField): RecordedVerdict {
    const value = text(field);
    switch (value) {
      case '':
      case '0':
        return RecordedVerdict.None;
      case '1':
      case 'Allow':
        return RecordedVerdict.Allow;
      case '2':
      case '3':
      case 'Drop':
      case 'Reject':
        return RecordedVerdict.Deny;
      default:
        addUnknownValue(account, field, value);
        return RecordedVerdict.None;
    }
  }
}

/** A JSON object in a text; undefined where it is none. */
function readLabels(text: string): unknown {
  if (!text.startsWith('{') || text.length > 65_536) return undefined;
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
