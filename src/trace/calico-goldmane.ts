/**
 * The flows of open-source Calico (3.30 and later) in their three spellings: what Goldmane's emitter pushes (Go's JSON of the
 * message, enumerations as numbers), protojson as gRPC clients print it (camelCase, names, 64-bit numbers as text), and the
 * REST answer of Whisker. None of them has addresses or source ports. Calico `goldmane/proto/api.proto`.
 */
import type { PolicyAction, PolicyHit } from '../model/recorded-policy.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import { CALICO_LIMITS, type CalicoEnd, type CalicoType, createCalicoTaker, readAction, sortHits } from './calico.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { asObject, asText, type Json, readWhole } from './json-member.ts';
import { createJsonDecoder } from './line.ts';
import { parseTime } from './time.ts';

const LIMITS: readonly string[] = [
  ...CALICO_LIMITS,
  'Goldmane has no addresses: rules with an ipBlock, and traffic with networks outside of the cluster, are mostly undecidable.',
];

/** Goldmane's own flows, in numbers or in names. */
export const CALICO_GOLDMANE: TraceFormat = {
  name: 'calico-goldmane',
  description: 'Calico Goldmane flows',
  recognise: ({ json }) => {
    if (json === undefined) return false;
    const { top, all } = json;
    const hasKey = all.has('Key') || (all.has('key') && all.has('policies'));
    return (
      hasKey &&
      (top.has('flow') || ((top.has('Key') || top.has('key')) && (top.has('start_time') || top.has('startTime'))))
    );
  },
  isText: true,
  limits: LIMITS,
  open: openGoldmane,
};

/** What Whisker's REST interface answers. */
export const CALICO_WHISKER: TraceFormat = {
  name: 'calico-whisker',
  description: 'Calico Whisker flows',
  recognise: ({ json }) =>
    json !== undefined && ['source_name', 'dest_name', 'reporter', 'protocol'].every((key) => json.top.has(key)),
  isText: true,
  limits: [
    ...LIMITS,
    "Whisker's answer does not count connections: each source, destination, port and verdict is taken for one.",
  ],
  open: openWhisker,
};

/** Of `EndpointType`, `Action`, `Reporter` and `PolicyKind`, by number; 0 is unspecified. */
const TYPES: readonly CalicoType[] = ['', 'wep', 'hep', 'ns', 'net'];
const TYPE_NAMES = ['', 'workloadendpoint', 'hostendpoint', 'networkset', 'network'];
const ACTIONS: readonly (PolicyAction | '')[] = ['', 'allow', 'deny', 'pass'];
const REPORTERS = ['', 'src', 'dst'];
const KINDS = [
  '',
  'CalicoNetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
  'NetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'Profile',
  'EndOfTier',
  'ClusterNetworkPolicy',
];

function openGoldmane(context: ReadContext): TraceDecoder {
  const { account } = context;
  const take = createCalicoTaker(context);
  return createJsonDecoder(context, (record, place) => {
    const flow = asObject(record['flow']) ?? record;
    const key = asObject(flow['Key']) ?? asObject(flow['key']);
    if (key === undefined) {
      const found = Object.keys(record).slice(0, 5).join(', ');
      return addMalformed(account, 'not-a-flow', place, `expected "Key", found ${found}`);
    }
    const count = (name: string, camel: string): number => Math.max(0, whole(get(flow, name, camel)));
    const started = count('num_connections_started', 'numConnectionsStarted');
    const ended = count('num_connections_completed', 'numConnectionsCompleted');
    const live = count('num_connections_live', 'numConnectionsLive');
    const policies = asObject(key['policies']);
    take(
      {
        timeUs: seconds(get(flow, 'start_time', 'startTime')),
        reporter: readWord(key['reporter'], REPORTERS, REPORTERS),
        action: readWord(key['action'], ACTIONS, ACTIONS),
        source: readEnd(context, flow, key, 'source'),
        destination: readEnd(context, flow, key, 'dest'),
        srcPort: undefined,
        dstPort: get(key, 'dest_port', 'destPort'),
        protocol: key['proto'],
        bytesIn: get(flow, 'bytes_in', 'bytesIn'),
        bytesOut: get(flow, 'bytes_out', 'bytesOut'),
        packetsIn: get(flow, 'packets_in', 'packetsIn'),
        packetsOut: get(flow, 'packets_out', 'packetsOut'),
        existed: Math.max(started, live + ended),
        started,
        policies: {
          enforced: readHits(context, policies && get(policies, 'enforced_policies', 'enforcedPolicies')),
          pending: readHits(context, policies && get(policies, 'pending_policies', 'pendingPolicies')),
        },
      },
      place,
    );
  });
}

function openWhisker(context: ReadContext): TraceDecoder {
  const { account } = context;
  const take = createCalicoTaker(context);
  return createJsonDecoder(context, (record, place) => {
    if (record['source_name'] === undefined || record['dest_name'] === undefined) {
      const found = Object.keys(record).slice(0, 5).join(', ');
      return addMalformed(account, 'not-a-flow', place, `expected "source_name", found ${found}`);
    }
    const policies = asObject(record['policies']);
    take(
      {
        timeUs: parseTime(asText(record['start_time'])),
        reporter: asText(record['reporter']).toLowerCase(),
        action: asText(record['action']),
        source: whiskerEnd(record, 'source'),
        destination: whiskerEnd(record, 'dest'),
        srcPort: undefined,
        dstPort: record['dest_port'],
        protocol: record['protocol'],
        bytesIn: record['bytes_in'],
        bytesOut: record['bytes_out'],
        packetsIn: record['packets_in'],
        packetsOut: record['packets_out'],
        existed: undefined,
        started: undefined,
        policies: {
          enforced: readHits(context, policies?.['enforced']),
          pending: readHits(context, policies?.['pending']),
        },
      },
      place,
    );
  });
}

function readEnd({ account }: ReadContext, flow: Json, key: Json, side: 'source' | 'dest'): CalicoEnd {
  const said = get(key, `${side}_type`, `${side}Type`);
  const word = readWord(said, TYPES, TYPE_NAMES);
  const type = TYPES.find((candidate) => candidate === word) ?? '';
  if (type !== word) addUnknownValue(account, `${side}_type`, said);
  const labels = get(flow, `${side}_labels`, `${side}Labels`);
  return {
    type,
    namespace: namespaceOf(get(key, `${side}_namespace`, `${side}Namespace`)),
    name: '',
    group: groupOf(get(key, `${side}_name`, `${side}Name`)),
    address: undefined,
    labels: Array.isArray(labels) ? labels : undefined,
  };
}

/** Whisker does not say what an end is: only its namespace and name do. */
function whiskerEnd(record: Json, side: 'source' | 'dest'): CalicoEnd {
  const labels = asText(record[`${side}_labels`]);
  const group = groupOf(record[`${side}_name`]);
  return {
    type: group === 'pub' || group === 'pvt' ? 'net' : '',
    namespace: namespaceOf(record[`${side}_namespace`]),
    name: '',
    group,
    address: undefined,
    labels: labels === '' ? undefined : labels.split(' | '),
  };
}

function namespaceOf(value: unknown): string {
  const text = asText(value);
  return text === '-' || text === 'Global' ? '' : text;
}

function groupOf(value: unknown): string {
  const text = asText(value);
  if (text === 'PUBLIC NETWORK') return 'pub';
  return text === 'PRIVATE NETWORK' ? 'pvt' : text === '-' ? '' : text;
}

function readHits({ account }: ReadContext, list: unknown): PolicyHit[] {
  if (!Array.isArray(list)) return [];
  const hits: (readonly [number, PolicyHit])[] = [];
  for (const value of list as unknown[]) {
    const hit = asObject(value);
    const action = hit && readAction(readWord(hit['action'], ACTIONS, ACTIONS));
    if (hit === undefined || action === undefined) {
      addUnknownValue(account, 'policy', hit === undefined ? value : hit['action']);
      continue;
    }
    // The end of a tier is the doing of the policy that selected the flow there.
    const policy = asObject(hit['trigger']) ?? hit;
    const kind = readWord(policy['kind'], KINDS, KINDS);
    const namespace = asText(policy['namespace']);
    const tier = asText(hit['tier']);
    const isRuleless = readWord(hit['kind'], KINDS, KINDS) === 'EndOfTier';
    const rule = Number(get(hit, 'rule_index', 'ruleIndex') ?? 0);
    hits.push([
      Math.max(0, whole(get(hit, 'policy_index', 'policyIndex'))),
      {
        ...(kind !== '' && { kind }),
        ...(tier !== '' && { tier }),
        ...(namespace !== '' && { namespace }),
        name: asText(policy['name']),
        action,
        rule: isRuleless || !Number.isInteger(rule) || rule < 0 ? -1 : rule,
        isStaged: kind.startsWith('Staged'),
      },
    ]);
  }
  return sortHits(hits);
}

/** A member of an enumeration by number, or by name in any case; names that are not known stay as they are. */
function readWord(value: unknown, words: readonly string[], names: readonly string[]): string {
  if (typeof value === 'number') return words[value] ?? String(value);
  const text = asText(value);
  const index = names.findIndex((name) => name.toLowerCase() === text.toLowerCase());
  return index < 0 ? text : words[index]!;
}

function seconds(value: unknown): number {
  const number = readWhole(value, 1e11);
  return number > 0 ? number * 1e6 : NaN;
}

function whole(value: unknown): number {
  return readWhole(value, Number.MAX_SAFE_INTEGER);
}

/** A field under its proto name or in camelCase. */
function get(object: Json, name: string, camel: string): unknown {
  return object[name] ?? object[camel];
}
