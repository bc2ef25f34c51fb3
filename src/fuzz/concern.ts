/**
 * Which rules of docs/semantics.md a reduced trial is about. A guess, and a good one: what a reduction left standing is what the
 * disagreement needs, so the rules of the most special things that are left come first, and the general ones only where nothing
 * special is.
 */
import { hasEnded, type Pod } from '../model/cluster.ts';
import { DEFAULT_DIALECT, type Dialect } from '../model/dialect.ts';
import type { EndpointRef } from '../model/flow.ts';
import { NAMESPACE_NAME_LABEL, type Selector } from '../model/label.ts';
import type { Peer, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { REASONS, Reason } from '../model/verdict.ts';
import { type Answer, type Trial, answerKey } from './trial.ts';

const DIALECT_RULES: Readonly<Partial<Record<keyof Dialect, string>>> = {
  ipBlockMatchesPods: 'DI-01',
  ipBlockMatchesNodes: 'DI-02',
  ownNodeIngress: 'DI-03',
  ownNodeEgress: 'DI-04',
  hairpin: 'DI-05',
  hostPort: 'DI-06',
  icmp: 'DI-07',
  neighborDiscovery: 'DI-08',
  networkPolicyScope: 'DI-09',
};

const OPERATOR_RULES = { In: 'NP-14', NotIn: 'NP-15', Exists: 'NP-16', DoesNotExist: 'NP-17' } as const;

/** Ids of the rules in question, the likeliest first; `expected` is the oracle's answer to the last packet. */
export function concernedRules(trial: Trial, expected: Answer): string[] {
  const special = new Set<string>();
  const general = new Set<string>();
  const { snapshot, policies, dialect } = trial.world;
  if (trial.mode === 'tracked') special.add('CT-01');
  for (const [knob, id] of Object.entries(DIALECT_RULES) as [keyof Dialect, string][])
    if (dialect[knob] !== DEFAULT_DIALECT[knob]) special.add(id);
  if (expected.kind === 'decision') addReasons([expected.egress, expected.ingress], special);
  for (const policy of policies) addPolicy(policy, special, general);
  addEnds(trial, special);
  if (snapshot.services.length > 0) special.add('SV-01');
  if (policies.length > 1) general.add('NP-04');
  if (policies.length === 0) general.add('NP-01');
  return [...(special.size > 0 ? special : general)];
}

/** Knobs under which the oracle would have said what the subject said, as `knob=value`: then it is a reading, and no mistake. */
export function explainingKnobs(
  { world }: Trial,
  found: Answer,
  askOracle: (dialect: Dialect) => Answer,
  choices: Readonly<Record<string, readonly unknown[]>>,
): string[] {
  return Object.entries(choices).flatMap(([knob, values]) =>
    values
      .filter((value) => value !== world.dialect[knob as keyof Dialect])
      .filter((value) => answerKey(askOracle({ ...world.dialect, [knob]: value })) === answerKey(found))
      .map((value) => `${knob}=${String(value)}`),
  );
}

function addReasons(reasons: readonly number[], special: Set<string>): void {
  for (const reason of reasons) {
    if (reason === Reason.SamePod) special.add('EP-13');
    if (reason === Reason.OwnNode) special.add('DI-03');
    if (REASONS[reason]?.name === 'undecidable') special.add('KL-01');
  }
}

function addPolicy(policy: Policy, special: Set<string>, general: Set<string>): void {
  addSelector(policy.subject.pods, special);
  for (const direction of ['ingress', 'egress'] as const) {
    const rules = policy[direction];
    if (!policy.isolates.includes(direction)) {
      if (rules.length > 0) special.add('RD-02');
      continue;
    }
    if (rules.length === 0) general.add('NP-07');
    if (rules.length > 1) general.add('NP-04');
    for (const rule of rules) addRule(rule, policy, special, general);
  }
  general.add('NP-02');
}

function addRule({ peers, ports }: Rule, policy: Policy, special: Set<string>, general: Set<string>): void {
  if (peers === undefined) general.add('NP-08');
  if (ports === undefined) general.add('NP-09');
  if (peers !== undefined && ports !== undefined) general.add('NP-10');
  for (const peer of peers ?? []) addPeer(peer, policy, special, general);
  for (const port of ports ?? []) addPort(port, special);
}

function addPeer(peer: Peer, { namespace }: Policy, special: Set<string>, general: Set<string>): void {
  if (peer.kind === 'ipBlock') {
    special.add('NP-20');
    if (peer.except.length > 0) special.add('NP-21');
    return;
  }
  if (peer.kind !== 'pods') return;
  addSelector(peer.pods, special);
  if (peer.namespaces.kind === 'named') {
    (peer.namespaces.namespace === namespace ? general : special).add('NP-11');
    return;
  }
  general.add(peer.pods.length > 0 ? 'NP-13' : 'NP-12');
  addSelector(peer.namespaces.selector, special);
}

function addSelector(selector: Selector, special: Set<string>): void {
  for (const { key, operator } of selector) {
    special.add(OPERATOR_RULES[operator]);
    if (key === NAMESPACE_NAME_LABEL) special.add('NP-19');
  }
  if (selector.length > 1) special.add('NP-18');
}

function addPort(port: PortMatch, special: Set<string>): void {
  if (port.kind === 'named') special.add('NP-26').add('NP-27');
  else special.add(port.kind === 'range' && port.last > port.first ? 'NP-25' : 'NP-24');
}

function addEnds({ world, packets }: Trial, special: Set<string>): void {
  const packet = packets.at(-1)!;
  for (const end of [packet.src, packet.dst])
    for (const pod of world.snapshot.pods.filter((one) => stands(one, end))) {
      if (hasEnded(pod)) special.add('EP-02');
      if (pod.hostNetwork) special.add('EP-04');
      if (pod.isStandIn) special.add('EP-09');
    }
}

function stands(pod: Pod, end: EndpointRef): boolean {
  if (end.kind === 'address') return pod.addresses.includes(end.address);
  return end.kind !== 'service' && pod.namespace === end.namespace && [pod.name, pod.workload.name].includes(end.name);
}
