/** An explanation for machines, after docs/schema/explain.schema.json; also the references to policies and rules of a replay. */
import type { Explanation, ResolvedEndpoint, RuleReference, SideExplanation } from '../model/explanation.ts';
import type { Labels } from '../model/label.ts';
import type { Direction, Policy, Position } from '../model/policy.ts';
import { formatProtocol } from '../model/port.ts';
import { REASONS, VERDICT_NAMES, missingFactNames } from '../model/verdict.ts';
import { causeOfSide } from './cause.ts';
import type { Names } from './name.ts';
import { peerText, podSetText, portMatchText, translationText } from './phrase.ts';

/** A policy by kind, name and place. */
export function policyJson(policy: Policy, names: Names): object {
  return {
    kind: policy.kind,
    namespace: policy.namespace === undefined ? undefined : names.show('namespace', policy.namespace),
    name: names.show('policy', policy.name),
    ...positionJson(policy.position, names),
  };
}

/** A rule by its policy, index and place. */
export function referenceJson(direction: Direction, { policy, rule }: RuleReference, names: Names): object {
  return {
    policy: policyJson(policy, names),
    direction,
    index: rule.index,
    name: rule.name === undefined ? undefined : names.show('value', rule.name),
    action: rule.action,
    ...positionJson(rule.position, names),
  };
}

/** One explanation, both sides; backends of a Service below `via`. */
export function explanationJson(explanation: Explanation, names: Names): object {
  const { port, icmp, via } = explanation;
  return {
    source: endpointJson(explanation.source, names),
    destination: endpointJson(explanation.destination, names),
    protocol: formatProtocol(explanation.protocol),
    port,
    icmp: icmp === undefined || icmp < 0 ? undefined : { type: icmp >>> 8, code: icmp & 255 },
    verdict: VERDICT_NAMES[explanation.verdict],
    missing: missingFactNames(explanation.missing),
    egress: sideJson(explanation.egress, explanation, names),
    ingress: sideJson(explanation.ingress, explanation, names),
    via: via && {
      text: translationText(via, names),
      service: via.service && {
        namespace: names.show('namespace', via.service.namespace),
        name: names.show('service', via.service.name),
      },
      backends: via.backends.map((backend) => explanationJson(backend, names)),
    },
  };
}

function sideJson(side: SideExplanation, explanation: Explanation, names: Names): object {
  const cause = causeOfSide(side, explanation, names);
  return {
    verdict: VERDICT_NAMES[side.verdict],
    reason: REASONS[side.reason]!.name,
    missing: missingFactNames(side.missing),
    decidedBy: cause.decidedBy && referenceJson(side.direction, cause.decidedBy, names),
    nearest: cause.nearest && { ...referenceJson(side.direction, cause.nearest, names), why: cause.nearest.why },
    policies: side.policies.map(({ policy, selectsSubject, rules }) => ({
      ...policyJson(policy, names),
      subject: podSetText(policy.subject, names),
      selectsSubject,
      isIsolating: policy.isolates.includes(side.direction),
      rules: rules.map((rule) => ({
        index: rule.rule.index,
        name: rule.rule.name === undefined ? undefined : names.show('value', rule.rule.name),
        action: rule.action,
        ...positionJson(rule.rule.position, names),
        match: rule.match,
        peersMatch: rule.peersMatch,
        portsMatch: rule.portsMatch,
        peers: rule.peers.map((peer) => ({
          text: peerText(peer.peer, names),
          match: peer.match,
          why: whyText(peer.why, names),
          ...(peer.position && positionJson(peer.position, names)),
        })),
        ports: rule.ports.map((port) => ({
          text: portMatchText(port.port, names),
          match: port.match,
          why: whyText(port.why, names),
          ...(port.position && positionJson(port.position, names)),
        })),
      })),
    })),
  };
}

/** A redacted report gives the parts (text and match) and leaves out the sentence about them. */
function whyText(why: string, names: Names): string | undefined {
  return why === '' || names.mode === 'redacted' ? undefined : names.sentence(why);
}

function endpointJson(endpoint: ResolvedEndpoint, names: Names): object {
  const { workload } = endpoint;
  return {
    kind: endpoint.kind,
    namespace: endpoint.namespace === undefined ? undefined : names.show('namespace', endpoint.namespace),
    name:
      endpoint.name === undefined
        ? undefined
        : names.show(endpoint.kind === 'node' || endpoint.kind === 'service' ? endpoint.kind : 'pod', endpoint.name),
    address: endpoint.address && names.show('address', endpoint.address),
    workload: workload && {
      namespace: names.show('namespace', workload.namespace),
      kind: workload.kind,
      name: names.show('workload', workload.name),
    },
    labels: labelsJson(endpoint.labels, names),
    namespaceLabels: labelsJson(endpoint.namespaceLabels, names),
    areLabelsComplete: endpoint.areLabelsComplete,
    node: endpoint.node && names.show('node', endpoint.node),
  };
}

/** `Object.fromEntries` defines own properties: a label called `__proto__` stays a label. */
function labelsJson(labels: Labels | undefined, names: Names): object | undefined {
  if (labels === undefined) return undefined;
  return Object.fromEntries([...labels].map(([key, value]) => [names.show('label', key), names.show('label', value)]));
}

function positionJson(position: Position, names: Names): object {
  return { file: names.show('file', position.file), line: position.line, column: position.column };
}
