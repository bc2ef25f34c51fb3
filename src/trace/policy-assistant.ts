/**
 * traffic.json of policy-assistant (network-policy-api): an array of questions, each a source, a destination, a protocol and a
 * port. An end is a workload of the cluster, labels of a pod in a namespace, or an address outside. Nothing was recorded: each
 * question is one connection without counts or time.
 */
import { Orientation, OrientedBy, RecordKind, clearRow, type Dictionary } from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { addUnknownValue } from './account.ts';
import { type FieldAddress, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createFieldDecoder } from './json-field.ts';
import { asObject, NOT_A_NUMBER, readWhole, shown } from './json-member.ts';
import { internEndpointJson } from './ndjson.ts';

/** policy-assistant's questions. */
export const POLICY_ASSISTANT: TraceFormat = {
  name: 'policy-assistant',
  description: 'traffic.json of policy-assistant',
  recognise: ({ json }) =>
    json !== undefined &&
    json.top.has('Source') &&
    json.top.has('Destination') &&
    (json.top.has('ResolvedPort') || json.top.has('Protocol')),
  isText: true,
  limits: [
    'The file asks questions: nothing in it was recorded, so there are no times, counts or verdicts, and one question is one connection.',
    'Ports are numbers here; the name of a port (ResolvedPortName) is taken from the pods of the snapshot instead.',
  ],
  open: openPolicyAssistant,
};

const OUTSIDE_LIMIT =
  'Some questions have an address at one end and a name at the other: the address counts as outside, and what an ipBlock says of it is undecidable. Give both ends an address (Pods[].IP) to have it judged.';

/** The kinds that the tool takes, in lower case, as the API spells them. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['pod', 'Pod'],
  ['deployment', 'Deployment'],
  ['replicaset', 'ReplicaSet'],
  ['daemonset', 'DaemonSet'],
  ['statefulset', 'StatefulSet'],
  ['job', 'Job'],
  ['cronjob', 'CronJob'],
]);

interface End {
  readonly address: FieldAddress;
  endpoint: number;
}

function openPolicyAssistant(context: ReadContext): TraceDecoder {
  const src: End = { address: { family: 0, value: 0 }, endpoint: 0 };
  const dst: End = { address: { family: 0, value: 0 }, endpoint: 0 };
  return createFieldDecoder(context, (record, line) => fill(context, record, line, src, dst));
}

function fill(
  { batch, dictionary, account }: ReadContext,
  record: Readonly<Record<string, unknown>>,
  line: number,
  src: End,
  dst: End,
): string {
  for (const [name, end] of [
    ['Source', src],
    ['Destination', dst],
  ] as const) {
    const complaint = readEnd(dictionary, record[name], end);
    if (complaint !== '') return `${name}: ${complaint}`;
  }
  if (src.address.family !== 0 && dst.address.family !== 0 && src.address.family !== dst.address.family)
    return 'Source and Destination: expected addresses of one family';
  const row = batch.count;
  clearRow(batch, row);
  batch.kind[row] = RecordKind.Connection;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  batch.replyPackets[row] = batch.replyBytes[row] = -1;
  // A row has two addresses or none.
  const hasBoth = src.address.family !== 0 && dst.address.family !== 0;
  if (hasBoth) {
    batch.family[row] = src.address.family;
    batch.src[row] = src.address.value;
    batch.dst[row] = dst.address.value;
  }
  batch.srcEndpoint[row] = src.endpoint;
  batch.dstEndpoint[row] = dst.endpoint;
  // A single address beside a name has no place in a row: that it is outside is all that stays of it.
  if (!hasBoth) {
    if (src.endpoint === 0) batch.srcEndpoint[row] = internEndpointJson(dictionary, { kind: 'world' });
    if (dst.endpoint === 0) batch.dstEndpoint[row] = internEndpointJson(dictionary, { kind: 'world' });
    if ((src.endpoint === 0 || dst.endpoint === 0) && !account.limits.includes(OUTSIDE_LIMIT))
      account.limits.push(OUTSIDE_LIMIT);
  }
  const { Protocol: word, ResolvedPort: port } = record;
  const protocol = word === undefined || word === '' ? Protocol.Tcp : parseProtocol(String(word));
  if (protocol === undefined) addUnknownValue(account, 'Protocol', word);
  else batch.protocol[row] = protocol;
  // The tool takes no number that is written as text.
  const number = readWhole(typeof port === 'string' ? NaN : port, 0xffff);
  if (number === NOT_A_NUMBER) return `ResolvedPort: expected a port, found ${shown(port)}`;
  if (protocol !== undefined && hasPorts(protocol)) batch.dstPort[row] = number;
  batch.line[row] = line;
  batch.count = row + 1;
  return '';
}

/** `{Internal: {Workload} | {PodLabels, NamespaceLabels, Namespace}, IP}`. */
function readEnd(dictionary: Dictionary, value: unknown, end: End): string {
  end.address.family = 0;
  end.endpoint = 0;
  const peer = asObject(value);
  if (peer === undefined) return 'expected an object';
  const internal = asObject(peer['Internal']);
  const pod = Array.isArray(internal?.['Pods']) ? asObject(internal['Pods'][0]) : undefined;
  const address = typeof peer['IP'] === 'string' && peer['IP'] !== '' ? peer['IP'] : pod?.['IP'];
  if (typeof address === 'string' && address !== '' && !readAddress(address, dictionary, end.address))
    return `expected an IP address, found ${address.slice(0, 60)}`;
  if (internal === undefined) return end.address.family === 0 ? 'expected Internal or IP' : '';
  const { Workload: workload, Namespace: namespace, PodLabels: labels, NamespaceLabels: namespaceLabels } = internal;
  if (typeof workload === 'string' && workload !== '') {
    const [space = '', kind = '', name = '', ...rest] = workload.split('/');
    if (space === '' || kind === '' || name === '' || rest.length > 0)
      return `Workload: expected namespace/kind/name, found ${workload.slice(0, 60)}`;
    const workloadKind = KINDS.get(kind.toLowerCase()) ?? kind;
    end.endpoint = internEndpointJson(
      dictionary,
      workloadKind === 'Pod'
        ? { kind: 'pod', namespace: space, name }
        : { kind: 'workload', namespace: space, workloadKind, workload: name },
    );
    return '';
  }
  if (typeof namespace !== 'string' || namespace === '') return 'Internal: expected Workload or Namespace';
  // The tool judges by these labels alone: there are no others.
  end.endpoint = internEndpointJson(dictionary, {
    kind: 'pod',
    namespace,
    labels: asObject(labels) ?? {},
    ...(asObject(namespaceLabels) === undefined ? {} : { namespaceLabels }),
    labelsComplete: true,
  });
  return '';
}
