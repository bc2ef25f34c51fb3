/** A small made-up result that shows every part of a report: all verdicts, a baseline, recorded verdicts, hostile names. */
import type { Workload } from '../../src/model/cluster.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Explanation, ResolvedEndpoint, SideExplanation } from '../../src/model/explanation.ts';
import type { Policy, Rule } from '../../src/model/policy.ts';
import { MissingFact, Reason, Verdict } from '../../src/model/verdict.ts';
import type { FlowGroup, GroupDecision, GroupEndpoint, ReplayResult, Tally } from '../../src/replay/result.ts';
import { createAccount } from '../../src/trace/account.ts';

/** 2026-08-01T10:00:00Z in microseconds. */
export const START_US: number = Date.UTC(2026, 7, 1, 10) * 1000;

/** No connection carries a verdict. */
const NOTHING_RECORDED: ReplayResult['recorded'] = {
  allowAllow: 0,
  allowDeny: 0,
  denyAllow: 0,
  denyDeny: 0,
  undecidable: 0,
  otherDrop: 0,
  firewallAllow: 0,
  firewallDeny: 0,
};

/** A tally. */
export function tally(connections: number, records: number = connections * 4, bytes: number = records * 100): Tally {
  return { connections, records, bytes };
}

/** A Deployment in a namespace. */
export function workload(namespace: string, name: string): Workload {
  return { kind: 'Deployment', namespace, name };
}

/** A rule that admits pods of one label on one TCP port. */
export function rule(index: number, line: number, label: [string, string], port: number, namespace = 'app1'): Rule {
  const position = { file: 'policies.yaml', line, column: 5 };
  return {
    index,
    action: 'Accept',
    peers: [
      {
        kind: 'pods',
        namespaces: { kind: 'named', namespace },
        pods: [{ key: label[0], operator: 'In', values: [label[1]] }],
      },
    ],
    ports: [{ kind: 'range', protocol: 'TCP', first: port, last: port }],
    position,
    peerPositions: [{ ...position, line: line + 1 }],
    portPositions: [{ ...position, line: line + 2 }],
  };
}

/** A NetworkPolicy that isolates ingress of pods with `role=...`. */
export function policy(name: string, line: number, role: string, ingress: readonly Rule[], namespace = 'app1'): Policy {
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    tier: 'networkpolicy',
    priority: 0,
    subject: {
      namespaces: { kind: 'named', namespace },
      pods: [{ key: 'role', operator: 'In', values: [role] }],
    },
    isolates: ['ingress'],
    ingress,
    egress: [],
    position: { file: 'policies.yaml', line, column: 1 },
  };
}

/** A pod of a Deployment. */
export function pod(namespace: string, name: string, role: string, address: string): ResolvedEndpoint {
  return {
    kind: 'pod',
    address: address as AddressText,
    namespace,
    name: `${name}-1`,
    workload: workload(namespace, name),
    labels: new Map([
      ['app', namespace],
      ['role', role],
    ]),
    namespaceLabels: new Map([['kubernetes.io/metadata.name', namespace]]),
    areLabelsComplete: true,
  };
}

const frontend = pod('app1', 'frontend', 'frontend', '10.244.1.5');
const backend = pod('app1', 'backend', 'backend', '10.244.1.6');
const backendRule = rule(0, 21, ['role', 'web'], 5678);
const backendPolicy = policy('backend-policy', 12, 'backend', [backendRule]);

const dbPolicy = policy('db-policy', 31, 'db', [rule(0, 40, ['role', 'backend'], 3306)]);

const egressFree: SideExplanation = {
  direction: 'egress',
  subject: frontend,
  peer: backend,
  verdict: Verdict.Allow,
  reason: Reason.NotIsolated,
  missing: 0,
  policies: [],
};

/** frontend to backend, denied at ingress: the rule admits role=web. */
export const DENIED: Explanation = {
  source: frontend,
  destination: backend,
  protocol: 6,
  port: 5678,
  verdict: Verdict.Deny,
  missing: 0,
  egress: egressFree,
  ingress: {
    direction: 'ingress',
    subject: backend,
    peer: frontend,
    verdict: Verdict.Deny,
    reason: Reason.NoRuleMatches,
    missing: 0,
    policies: [
      {
        policy: backendPolicy,
        selectsSubject: 'yes',
        rules: [
          {
            rule: backendRule,
            action: 'Accept',
            match: 'no',
            peersMatch: 'no',
            portsMatch: 'yes',
            peers: [
              {
                peer: backendRule.peers![0]!,
                position: backendRule.peerPositions![0]!,
                match: 'no',
                why: 'admits role=web; the source is role=frontend',
              },
            ],
            ports: [{ port: backendRule.ports![0]!, match: 'yes', why: '' }],
          },
        ],
      },
    ],
    nearest: {
      policy: backendPolicy,
      rule: backendRule,
      peersMatch: 'no',
      portsMatch: 'yes',
      why: 'admits role=web; the source is role=frontend',
    },
  },
};

/** The same after the mended policy. */
export const ALLOWED: Explanation = {
  ...DENIED,
  verdict: Verdict.Allow,
  ingress: {
    ...DENIED.ingress,
    verdict: Verdict.Allow,
    reason: Reason.AllowedByRule,
    nearest: undefined,
    decidedBy: { policy: backendPolicy, rule: backendRule },
    policies: [
      {
        ...DENIED.ingress.policies[0]!,
        rules: [{ ...DENIED.ingress.policies[0]!.rules[0]!, match: 'yes', peersMatch: 'yes', peers: [] }],
      },
    ],
  },
};

/** Through a Service with two backends that disagree. */
export const SPLIT: Explanation = {
  ...DENIED,
  verdict: Verdict.Undecidable,
  missing: MissingFact.SomeBackends,
  destination: {
    kind: 'service',
    namespace: 'app1',
    name: 'backend-svc',
    address: '10.96.102.224' as AddressText,
    areLabelsComplete: true,
  },
  via: { text: 'ClusterIP 10.96.102.224:80 of Service app1/backend-svc', backends: [DENIED, ALLOWED] },
};

const deny: GroupDecision = {
  verdict: Verdict.Deny,
  egress: Reason.NotIsolated,
  ingress: Reason.NoRuleMatches,
  missing: 0,
  explanation: DENIED,
};
const allow: GroupDecision = {
  verdict: Verdict.Allow,
  egress: Reason.NotIsolated,
  ingress: Reason.AllowedByRule,
  missing: 0,
};
const unknown: GroupDecision = {
  verdict: Verdict.Undecidable,
  egress: Reason.NotIsolated,
  ingress: Reason.Undecidable,
  missing: MissingFact.NoAddress | MissingFact.UnknownLabel,
};

/** A group with the usual parts. */
export function group(
  source: GroupEndpoint,
  destination: GroupEndpoint,
  port: number,
  decision: GroupDecision,
  connections: number,
  more: Partial<FlowGroup> = {},
): FlowGroup {
  return {
    source,
    destination,
    protocol: 6,
    port,
    icmp: -1,
    isPartial: false,
    decision,
    tally: tally(connections),
    firstUs: START_US + 3e6,
    lastUs: START_US + 179e6,
    recorded: { allow: 0, deny: 0, other: 0, firewallAllow: 0, firewallDeny: 0 },
    sample: { file: 'app1.pcapng', line: 17 },
    ...more,
  };
}

const at = (namespace: string, name: string): GroupEndpoint => ({
  kind: 'workload',
  workload: workload(namespace, name),
});
const outside = (address: string): GroupEndpoint => ({ kind: 'outside', address: address as AddressText });

/** The usual result; `change` replaces parts of it. */
export function result(change: Partial<ReplayResult> = {}): ReplayResult {
  const account = createAccount('app1.pcapng');
  account.format = 'pcapng';
  account.bytes = 412_331;
  account.read = 3912;
  account.used = 3800;
  account.skipped.set('duplicate', 92).set('not-ip', 8);
  account.malformed.set('truncated', 12);
  account.diagnostics.push({
    severity: 'warning',
    code: 'malformed-record',
    message: 'packet 77, byte 9120: the IPv4 header ends after 12 bytes',
    file: 'app1.pcapng',
  });
  account.firstUs = START_US;
  account.lastUs = START_US + 192e6;
  account.limits.push('A capture on one machine shows the pods of that machine alone.');
  return {
    mode: 'connections',
    accounts: [account],
    rows: 3800,
    totals: { allow: tally(150, 3012), deny: tally(52, 700), undecidable: tally(12, 48) },
    partial: { allow: tally(2), deny: tally(1), undecidable: tally(0) },
    invalid: new Map([
      ['tcp-no-connection', tally(0, 3)],
      ['icmp-no-request', tally(0, 2)],
    ]),
    related: tally(0, 4),
    unplaced: tally(0, 1),
    recorded: NOTHING_RECORDED,
    oriented: { stated: 0, flags: 200, paired: 5, ports: 8, assumed: 4 },
    groups: [
      group(at('app1', 'frontend'), at('app1', 'backend'), 5678, deny, 48, { via: 'app1/backend-svc' }),
      group(outside('203.0.113.7'), at('app1', 'frontend'), 22, { ...deny, explanation: undefined }, 2),
      group(outside('203.0.113.8'), at('app1', 'frontend'), 22, { ...deny, explanation: undefined }, 1),
      group(outside('2001:db8::7'), at('app1', 'frontend'), 22, { ...deny, explanation: undefined }, 1),
      group(at('app1', 'frontend'), at('app1', 'backend'), 5678, deny, 1, { isPartial: true }),
      group({ kind: 'described', namespace: 'ops', name: 'probe' }, at('app1', 'db'), 3306, unknown, 12),
      group(at('app1', 'backend'), at('app1', 'db'), 3306, allow, 150),
    ],
    ungrouped: { allow: tally(0), deny: tally(0), undecidable: tally(0) },
    disagreements: 2,
    disorder: 0,
    tracking: { refused: 0, evicted: 0 },
    untouched: [{ workload: workload('ops', 'cron'), pods: 2 }],
    ruleUsage: {
      rules: [
        { policy: backendPolicy, direction: 'ingress', rule: backendRule, tally: tally(0) },
        { policy: dbPolicy, direction: 'ingress', rule: dbPolicy.ingress[0]!, tally: tally(150) },
      ],
      uncounted: tally(0),
    },
    pods: { total: 9, touched: 7 },
    services: 2,
    isComplete: false,
    ...change,
  };
}

/** A trace that records what staged policies would do; in one group they and the forecast differ. */
export function pendingResult(name = 'next-policy'): ReplayResult {
  const hit = { kind: 'StagedNetworkPolicy', tier: 'default', namespace: 'app1', rule: 0, isStaged: true } as const;
  const contradiction = [
    { ...hit, name: 'first', action: 'pass' as const },
    { ...hit, name, action: 'allow' as const },
  ];
  return result({
    pending: { allowAllow: 140, allowDeny: 48, denyAllow: 0, denyDeny: 4, undecidable: 12 },
    groups: result().groups.map((one, index) =>
      index === 0 ? { ...one, pending: { allow: 48, deny: 0, contradiction } } : one,
    ),
  });
}

/** The same traffic with a baseline that had allowed the frontend. */
export function comparedResult(): ReplayResult {
  const base = result();
  return result({
    comparison: {
      newlyDropped: tally(48),
      newlyAllowed: tally(150),
      unchanged: tally(4),
      undecidable: tally(12),
    },
    recorded: {
      allowAllow: 140,
      allowDeny: 48,
      denyAllow: 2,
      denyDeny: 4,
      undecidable: 12,
      otherDrop: 3,
      firewallAllow: 31,
      firewallDeny: 5,
    },
    groups: base.groups.map((one, index) => ({
      ...one,
      baseline: index === 0 ? allow : index === base.groups.length - 1 ? deny : one.decision,
    })),
  });
}

/** Names that attack the medium: escapes, bidi overrides, formulas, Markdown, prototype keys. */
export const HOSTILE = '=cmd|\u001b[31m\u202e`<b>`,"x"\n@all\u0085';

/** The usual result with hostile names wherever input can put one. */
export function hostileResult(): ReplayResult {
  const base = result();
  const first = base.groups[0]!;
  const evil: ResolvedEndpoint = {
    ...DENIED.source,
    name: HOSTILE,
    workload: workload(HOSTILE, HOSTILE),
    labels: new Map([
      ['__proto__', HOSTILE],
      [HOSTILE, 'constructor'],
    ]),
  };
  const nearest = DENIED.ingress.nearest!;
  const evilPolicy: Policy = { ...nearest.policy, name: HOSTILE, position: { file: HOSTILE, line: 1, column: 1 } };
  const ingress: SideExplanation = {
    ...DENIED.ingress,
    peer: evil,
    nearest: { ...nearest, policy: evilPolicy, why: `admits x; the source is ${HOSTILE}` },
    policies: [{ ...DENIED.ingress.policies[0]!, policy: evilPolicy }],
  };
  const account = {
    ...base.accounts[0]!,
    file: HOSTILE,
    limits: [HOSTILE],
    unknownValues: new Map([[`f=${HOSTILE}`, 1]]),
  };
  return {
    ...base,
    accounts: [account],
    untouched: [{ workload: workload(HOSTILE, HOSTILE), pods: 1 }],
    groups: [
      {
        ...first,
        source: at(HOSTILE, HOSTILE),
        via: HOSTILE,
        decision: { ...deny, explanation: { ...DENIED, source: evil, ingress } },
        sample: { file: HOSTILE, line: 1 },
      },
      { ...first, source: { kind: 'described', namespace: HOSTILE, name: HOSTILE } },
    ],
  };
}
