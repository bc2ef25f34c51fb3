/**
 * AKS container network logs as rows of their Log Analytics table (`ContainerNetworkLogs`, before `RetinaNetworkFlowLogs`), one
 * JSON object a row. A row is a Hubble flow under other names, so it is brought into Hubble's and read there. The files on the
 * nodes (`/var/log/acns/hubble/events.log`) are Hubble's own format and need nothing of this.
 */
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createFlowTaker } from './hubble.ts';
import { asObject, asText, type Json } from './json-member.ts';
import { createJsonDecoder, parseJson } from './line.ts';

/** Rows of the table. */
export const AKS_NETWORK_LOG: TraceFormat = {
  name: 'aks-network-log',
  description: 'AKS container network logs (Log Analytics rows)',
  recognise: ({ json }) => {
    if (json === undefined) return false;
    const names = new Set([...json.top].map(plainName));
    return (
      ['sourcenamespace', 'destinationnamespace', 'verdict'].every((name) => names.has(name)) && names.has('layer4')
    );
  },
  isText: true,
  limits: [
    'Rows of container network logs are those that a filter chose, and throttled: what is not in them may have happened.',
  ],
  open: openAksNetworkLog,
};

function openAksNetworkLog(context: ReadContext): TraceDecoder {
  const { take, ...hold } = createFlowTaker(context);
  return Object.assign(
    createJsonDecoder(context, (row, place) => take(flowOf(row), place)),
    hold,
  );
}

/** The row as `{flow}`; what it does not have is left out. */
function flowOf(row: Json): Json {
  const columns = new Map<string, unknown>();
  for (const name of Object.keys(row)) columns.set(plainName(name), row[name]);
  const value = (...names: string[]): unknown => names.map((name) => columns.get(name)).find(isPresent);
  const ip = parsed(value('ip'));
  const l4 = parsed(value('layer4', 'l4'));
  const aggregate = parsed(value('aggregate')) ?? counts(value);
  const source = endpointOf(value, 'source');
  const destination = endpointOf(value, 'destination');
  // A row of anything else has no layer 4 and no ends: it is said to be no flow.
  if (ip === undefined && l4 === undefined && source === undefined && destination === undefined) return row;
  return {
    flow: {
      time: value('time', 'flowtime', 'timegenerated'),
      verdict: value('verdict'),
      drop_reason_desc: value('dropreasondesc', 'dropreason'),
      ...(ip !== undefined && { IP: addressesOf(ip) }),
      ...(l4 !== undefined && { l4 }),
      ...(source !== undefined && { source }),
      ...(destination !== undefined && { destination }),
      Type: value('flowtype') ?? (isPresent(parsed(value('layer7'))) ? 'L7' : 'L3_L4'),
      traffic_direction: value('trafficdirection'),
      is_reply: booleanOf(value('isreply', 'reply')),
      ...(aggregate !== undefined && { aggregate }),
    },
  };
}

type Value = (...names: string[]) => unknown;

function endpointOf(value: Value, side: 'source' | 'destination'): Json | undefined {
  const workloads = parsedList(value(`${side}workloads`));
  const labels = parsedList(value(`${side}labels`));
  const endpoint = {
    namespace: asText(value(`${side}namespace`)),
    pod_name: asText(value(`${side}podname`)),
    identity: value(`${side}identity`),
    workloads,
    labels,
  };
  const isNamed = endpoint.namespace !== '' || endpoint.pod_name !== '' || endpoint.identity !== undefined;
  return isNamed || workloads.length + labels.length > 0 ? endpoint : undefined;
}

/** Tables spell the members of `IP` with capitals. */
function addressesOf(ip: Json): Json {
  const source = ip['source'] ?? ip['Source'];
  const destination = ip['destination'] ?? ip['Destination'];
  return { ...(isPresent(source) && { source }), ...(isPresent(destination) && { destination }) };
}

function counts(value: Value): Json | undefined {
  const ingress = value('ingressflowcount');
  const egress = value('egressflowcount');
  const unknown = value('unknowndirectionflowcount');
  if (ingress === undefined && egress === undefined && unknown === undefined) return undefined;
  return { ingress_flow_count: ingress, egress_flow_count: egress, unknown_direction_flow_count: unknown };
}

/** A dynamic column, which exports also write as the text of its JSON. */
function parsed(value: unknown): Json | undefined {
  return asObject(typeof value === 'string' ? parseColumn(value) : value);
}

function parsedList(value: unknown): readonly unknown[] {
  const list = typeof value === 'string' ? parseColumn(value) : value;
  return Array.isArray(list) ? list : [];
}

function parseColumn(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function booleanOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  const word = asText(value).toLowerCase();
  return word === 'true' ? true : word === 'false' ? false : undefined;
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** `SourcePodName`, `source_pod_name` and `sourcePodName` are one. */
function plainName(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}
