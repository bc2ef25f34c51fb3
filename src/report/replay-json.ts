/**
 * A replay for machines: one JSON document, or NDJSON with a line for each group. Both follow docs/schema; every enumeration
 * is spelled by the name that docs and scenarios use, times are RFC 3339, counts are numbers.
 */
import type { FlowGroup, GroupDecision, GroupEndpoint, ReplayResult, Tally, VerdictTallies } from '../replay/result.ts';
import { formatProtocol } from '../model/port.ts';
import { REASONS, VERDICT_NAMES, Verdict, missingFactNames } from '../model/verdict.ts';
import { balanceOf, unknownValueText } from './account-text.ts';
import { type SideCause, sidesOf } from './cause.ts';
import { diagnosticJson } from './diagnostic.ts';
import { jsonText } from './escape.ts';
import { changeOf } from './item.ts';
import type { Names } from './name.ts';
import { policyJson, referenceJson } from './explanation-json.ts';
import { viaText } from './phrase.ts';
import { formatTime } from './quantity.ts';

/** Version of the shapes below: the first number changes when a reader of the old one could break. */
export const SCHEMA_VERSION = '1.0';

/** The whole result as one indented document. */
export function replayJson(result: ReplayResult, names: Names): string {
  const groups = result.groups.map((group) => groupJson(group, names));
  const rules = rulesJson(result, names);
  return `${jsonText({ schemaVersion: SCHEMA_VERSION, type: 'replay', ...summaryJson(result, names), rules, groups }, 'indented')}\n`;
}

/** A `replay` line with everything but groups and rules, then a `group` line for each, then a `rule` line for each. */
export function replayNdjson(result: ReplayResult, names: Names): string {
  const groups = result.groups.map((group) => jsonText({ type: 'group', ...groupJson(group, names) }, 'line'));
  const summary = jsonText({ schemaVersion: SCHEMA_VERSION, type: 'replay', ...summaryJson(result, names) }, 'line');
  const rules = rulesJson(result, names).map((rule) => jsonText({ type: 'rule', ...rule }, 'line'));
  return `${[summary, ...groups, ...rules].join('\n')}\n`;
}

function summaryJson(result: ReplayResult, names: Names): object {
  const { addsUp, ...balance } = balanceOf(result);
  return {
    mode: result.mode,
    isComplete: result.isComplete,
    totals: result.totals satisfies VerdictTallies,
    partial: result.partial,
    invalid: entries(result.invalid, (cause, tally: Tally) => ({ cause, ...tally })),
    related: result.related,
    unplaced: result.unplaced,
    comparison: result.comparison,
    recorded: result.recorded,
    pending: result.pending,
    oriented: result.oriented,
    disagreements: result.disagreements,
    disorder: result.disorder,
    timeline: result.timeline && {
      states: result.timeline.states,
      met: result.timeline.met,
      first: formatTime(result.timeline.firstUs),
      last: formatTime(result.timeline.lastUs),
      early: result.timeline.early,
    },
    tracking: result.tracking,
    pods: result.pods,
    untouched: result.untouched.map(({ workload, pods }) => ({ ...workloadJson(workload, names), pods })),
    ungrouped: result.ungrouped,
    rulesUncounted: result.ruleUsage.uncounted,
    accounting: { ...balance, addsUp: addsUp === 'yes' },
    accounts: result.accounts.map((account) => ({
      file: names.show('file', account.file),
      format: account.format,
      containers: account.containers,
      bytes: account.bytes,
      read: account.read,
      used: account.used,
      skipped: entries(account.skipped, (reason, count) => ({ reason, count })),
      malformed: entries(account.malformed, (reason, count) => ({ reason, count })),
      lost: account.lost,
      first: formatTime(account.firstUs),
      last: formatTime(account.lastUs),
      unknownValues: entries(account.unknownValues, (entry, count) => ({
        value: unknownValueText(entry, names),
        count,
      })),
      limits: account.limits.map((limit) => names.sentence(limit)),
      diagnostics: account.diagnostics.map((diagnostic) => diagnosticJson(diagnostic, names)),
    })),
  };
}

/** Every rule, whether some connection used it or none did. */
function rulesJson({ ruleUsage }: ReplayResult, names: Names): object[] {
  return ruleUsage.rules.map(({ policy, direction, rule, tally }) => ({
    ...referenceJson(direction, { policy, rule }, names),
    ...tally,
  }));
}

function groupJson(group: FlowGroup, names: Names): object {
  return {
    source: endpointJson(group.source, names),
    destination: endpointJson(group.destination, names),
    protocol: formatProtocol(group.protocol),
    port: group.port < 0 ? undefined : group.port,
    icmp: group.icmp < 0 ? undefined : { type: group.icmp >>> 8, code: group.icmp & 255 },
    via: group.via === undefined ? undefined : viaText(group.via, names),
    isPartial: group.isPartial,
    verdict: VERDICT_NAMES[group.decision.verdict],
    change: changeOf(group),
    decision: decisionJson(group.decision, names),
    baseline: group.baseline && decisionJson(group.baseline, names),
    ...group.tally,
    first: formatTime(group.firstUs),
    last: formatTime(group.lastUs),
    recorded: group.recorded,
    pending: group.pending && pendingJson(group.pending, names),
    sample: { file: names.show('file', group.sample.file), line: group.sample.line },
  };
}

function pendingJson({ allow, deny, contradiction }: NonNullable<FlowGroup['pending']>, names: Names): object {
  const policies = contradiction?.map((hit) => ({
    kind: hit.kind,
    tier: hit.tier,
    namespace: hit.namespace === undefined ? undefined : names.show('namespace', hit.namespace),
    name: names.show('policy', hit.name),
    action: hit.action,
    rule: hit.rule,
    isStaged: hit.isStaged,
  }));
  return { allow, deny, contradiction: policies };
}

function decisionJson(decision: GroupDecision, names: Names): object {
  const [egress, ingress] = sidesOf(decision, names);
  return {
    verdict: VERDICT_NAMES[decision.verdict],
    missing: missingFactNames(decision.missing),
    egress: sideJson(egress, names),
    ingress: sideJson(ingress, names),
  };
}

function sideJson(side: SideCause, names: Names): object {
  return {
    verdict: VERDICT_NAMES[side.verdict],
    reason: REASONS[side.reason]!.name,
    missing: side.verdict === Verdict.Undecidable ? missingFactNames(side.missing) : [],
    policies: side.isolating.map((policy) => policyJson(policy, names)),
    decidedBy: side.decidedBy && referenceJson(side.direction, side.decidedBy, names),
    nearest: side.nearest && { ...referenceJson(side.direction, side.nearest, names), why: side.nearest.why },
  };
}

function endpointJson(endpoint: GroupEndpoint, names: Names): object {
  switch (endpoint.kind) {
    case 'workload':
      return { kind: 'workload', workload: workloadJson(endpoint.workload, names) };
    case 'node':
      return {
        kind: 'node',
        name: names.show('node', endpoint.name),
        address: endpoint.address && names.show('address', endpoint.address),
      };
    case 'service':
      return {
        kind: 'service',
        namespace: names.show('namespace', endpoint.service.namespace),
        name: names.show('service', endpoint.service.name),
        address: endpoint.address && names.show('address', endpoint.address),
      };
    case 'outside':
    case 'unknown-pod':
      return { kind: endpoint.kind, address: endpoint.address && names.show('address', endpoint.address) };
    case 'described':
      return {
        kind: 'described',
        namespace: endpoint.namespace === undefined ? undefined : names.show('namespace', endpoint.namespace),
        name: names.show('pod', endpoint.name),
      };
  }
}

function workloadJson(workload: { namespace: string; kind: string; name: string }, names: Names): object {
  return {
    namespace: names.show('namespace', workload.namespace),
    kind: workload.kind,
    name: names.show('workload', workload.name),
  };
}

function entries<Value>(map: ReadonlyMap<string, Value>, make: (key: string, value: Value) => object): object[] {
  return [...map].map(([key, value]) => make(key, value));
}
