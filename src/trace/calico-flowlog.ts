/**
 * The flow log of Calico Enterprise and Calico Cloud: `/var/log/calico/flowlogs/flows.log` of a node, or the same records
 * out of Elasticsearch. How much a record sums is its aggregation level: from the 5-tuple (0) by way of no source port (1)
 * to names without addresses (2) and without the destination port (3).
 */
import type { PolicyHit, PolicyTrace } from '../model/recorded-policy.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import { CALICO_LIMITS, type CalicoEnd, type CalicoType, createCalicoTaker, readAction, sortHits } from './calico.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { asObject, asText, type Json, readWhole } from './json-member.ts';
import { createJsonDecoder } from './line.ts';

/** Calico's flow log. */
export const CALICO_FLOWLOG: TraceFormat = {
  name: 'calico-flowlog',
  description: 'a Calico Enterprise or Cloud flow log',
  recognise: ({ json }) => json !== undefined && json.top.has('source_name_aggr') && json.top.has('dest_name_aggr'),
  isText: true,
  limits: [
    ...CALICO_LIMITS,
    'Calico leaves addresses out of what it sums (by default of all allowed traffic): rules with an ipBlock are undecidable there.',
  ],
  open: openFlowLog,
};

const TYPES: readonly CalicoType[] = ['wep', 'hep', 'ns', 'net'];

function openFlowLog(context: ReadContext): TraceDecoder {
  const { account } = context;
  const take = createCalicoTaker(context);
  return createJsonDecoder(context, (record, place) => {
    if (record['source_name_aggr'] === undefined && record['source_name'] === undefined) {
      const found = Object.keys(record).slice(0, 5).join(', ');
      return addMalformed(account, 'not-a-flow', place, `expected "source_name_aggr", found ${found}`);
    }
    const policies = asObject(record['policies']);
    take(
      {
        timeUs: readTimeUs(record),
        reporter: asText(record['reporter']),
        action: asText(record['action']),
        source: readEnd(context, record, 'source'),
        destination: readEnd(context, record, 'dest'),
        srcPort: record['source_port'],
        dstPort: record['dest_port'],
        protocol: record['proto'],
        bytesIn: record['bytes_in'],
        bytesOut: record['bytes_out'],
        packetsIn: record['packets_in'],
        packetsOut: record['packets_out'],
        ...readCounts(record),
        policies: readPolicies(context, policies),
      },
      place,
    );
  });
}

/** The window's beginning in seconds, else the time of the entry in milliseconds. */
function readTimeUs(record: Json): number {
  const start = readWhole(record['start_time'], 1e11);
  if (start > 0) return start * 1e6;
  const written = readWhole(record['@timestamp'], 1e14);
  return written > 0 ? written * 1e3 : NaN;
}

/** Flows of the window; one that goes on from the window before is in `num_flows` and not in `num_flows_started`. */
function readCounts(record: Json): { existed: number | undefined; started: number | undefined } {
  const flows = readWhole(record['num_flows'], Number.MAX_SAFE_INTEGER);
  const started = readWhole(record['num_flows_started'], Number.MAX_SAFE_INTEGER);
  const existed = Math.max(flows, started);
  return { existed: existed < 0 ? undefined : existed, started: started >= 0 ? started : Math.max(0, existed) };
}

function readEnd({ account }: ReadContext, record: Json, side: 'source' | 'dest'): CalicoEnd {
  const text = (name: string): string => {
    const value = asText(record[`${side}_${name}`]);
    return value === '-' ? '' : value;
  };
  const said = text('type');
  const type = TYPES.find((candidate) => candidate === said) ?? '';
  if (type !== said) addUnknownValue(account, `${side}_type`, said);
  const labels = asObject(record[`${side}_labels`])?.['labels'];
  return {
    type,
    namespace: text('namespace'),
    name: text('name'),
    group: text('name_aggr'),
    address: record[`${side}_ip`],
    labels: Array.isArray(labels) ? labels : undefined,
  };
}

/** Old releases have `all_policies` alone, which are those in force and, marked so, the staged ones. */
function readPolicies(context: ReadContext, policies: Json | undefined): PolicyTrace {
  if (policies === undefined) return { enforced: [], pending: [] };
  const list = (name: string): PolicyHit[] => readHits(context, policies[name]);
  const hasEnforced = Array.isArray(policies['enforced_policies']);
  return {
    enforced: hasEnforced ? list('enforced_policies') : list('all_policies').filter(({ isStaged }) => !isStaged),
    pending: list('pending_policies'),
  };
}

function readHits({ account }: ReadContext, list: unknown): PolicyHit[] {
  if (!Array.isArray(list)) return [];
  const hits: (readonly [number, PolicyHit])[] = [];
  for (const text of list as unknown[]) {
    const hit = typeof text === 'string' ? readHit(text) : undefined;
    if (hit === undefined) addUnknownValue(account, 'policy', text);
    else hits.push(hit);
  }
  return sortHits(hits);
}

/** `index|tier|policy|action|rule`. */
function readHit(text: string): readonly [number, PolicyHit] | undefined {
  const parts = text.split('|');
  const [index, tier, policy, action, rule] = parts;
  const verdict = readAction(action ?? '');
  if (parts.length < 4 || policy === '' || verdict === undefined) return undefined;
  const order = readWhole(index, 1e9);
  const place = Number(rule);
  return [
    order < 0 ? 1e9 : order,
    {
      ...readPolicyName(policy!, tier!),
      action: verdict,
      ...(rule !== undefined && Number.isInteger(place) && place >= -1 && { rule: place }),
    },
  ];
}

/**
 * The spellings of a policy's name: `tier.name` and `namespace/tier.name`; `namespace/knp.default.name` for a NetworkPolicy of
 * Kubernetes; `staged:` before the name, or between it and its tier; a kind and a colon before all of it in new releases.
 */
function readPolicyName(
  text: string,
  tier: string,
): Pick<PolicyHit, 'kind' | 'tier' | 'namespace' | 'name' | 'isStaged'> {
  let rest = text;
  let kind = '';
  const colon = rest.indexOf(':');
  const slash = rest.indexOf('/');
  const hasKind = colon > 0 && (slash < 0 || colon < slash) && !rest.slice(0, colon).endsWith('staged');
  if (hasKind) {
    kind = rest.slice(0, colon);
    rest = rest.slice(colon + 1);
  }
  const cut = rest.indexOf('/');
  const namespace = cut < 0 ? '' : rest.slice(0, cut);
  let name = rest.slice(cut + 1);
  const mark = name.indexOf('staged:');
  if (mark >= 0) name = name.slice(mark + 'staged:'.length);
  const isStaged = mark >= 0 || kind.toLowerCase().startsWith('s') || kind.startsWith('Staged');
  for (const [prefix, of] of PREFIXES)
    if (kind === '' && name.startsWith(prefix)) {
      kind = of;
      name = name.slice(prefix.length);
    }
  if (tier !== '' && name.startsWith(`${tier}.`)) name = name.slice(tier.length + 1);
  return {
    ...(kind !== '' && { kind }),
    ...(tier !== '' && { tier }),
    ...(namespace !== '' && { namespace }),
    name: name === '' ? text : name,
    isStaged,
  };
}

const PREFIXES: readonly (readonly [string, string])[] = [
  ['knp.default.', 'NetworkPolicy'],
  ['kanp.adminnetworkpolicy.', 'AdminNetworkPolicy'],
  ['kbanp.baselineadminnetworkpolicy.', 'BaselineAdminNetworkPolicy'],
  ['__PROFILE__.', 'Profile'],
];
