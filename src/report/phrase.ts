/** The words of the model as people read them: endpoints, selectors, peers, policies, rules. Built from parts, never parsed. */
import type { Explanation, ResolvedEndpoint } from '../model/explanation.ts';
import type { EndpointRef } from '../model/flow.ts';
import type { Labels, Requirement, Selector } from '../model/label.ts';
import type { Direction, Peer, PodSet, Policy, Position, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import type { Workload } from '../model/cluster.ts';
import type { GroupEndpoint } from '../replay/result.ts';
import { parseEndpoint } from '../model/endpoint.ts';
import { formatProtocol, isPortProtocol } from '../model/port.ts';
import { MISSING_FACTS } from '../model/verdict.ts';
import type { Names } from './name.ts';

/** `app1/frontend`, `203.0.113.9 (outside)`, `node worker-1`: one side of a group. */
export function groupEndpointText(endpoint: GroupEndpoint, names: Names): string {
  switch (endpoint.kind) {
    case 'workload':
      return workloadText(endpoint.workload, names);
    case 'node':
      return `node ${names.show('node', endpoint.name)}${addressText(endpoint.address, names)}`;
    case 'service':
      return `Service ${scoped('service', endpoint.service.namespace, endpoint.service.name, names)}${addressText(endpoint.address, names)}`;
    case 'outside':
      return endpoint.address === undefined
        ? 'other outside addresses'
        : `${names.show('address', endpoint.address)} (outside)`;
    case 'unknown-pod':
      return `${names.show('address', endpoint.address)} (no known pod)`;
    case 'described':
      return `${scoped('pod', endpoint.namespace, endpoint.name, names)} (as recorded)`;
  }
}

/** `app1/frontend`. */
export function workloadText(workload: Workload, names: Names): string {
  return scoped('workload', workload.namespace, workload.name, names);
}

/** One side of an explained flow: what it is and what it is part of. */
export function resolvedEndpointText(endpoint: ResolvedEndpoint, names: Names): string {
  const name = endpoint.name ?? '';
  const at = endpoint.address === undefined ? '' : names.show('address', endpoint.address);
  switch (endpoint.kind) {
    case 'pod': {
      const { workload } = endpoint;
      const own = scoped('pod', endpoint.namespace, name, names);
      if (workload === undefined || workload.kind === 'Pod') return `pod ${own}${at && ` (${at})`}`;
      const owner = `${workload.kind} ${workloadText(workload, names)}`;
      if (workload.name === name) return `${owner}${at && ` (${at})`}`;
      return `pod ${own} of ${owner}${at && ` (${at})`}`;
    }
    case 'node':
      return `node ${names.show('node', name)}${at && ` (${at})`}`;
    case 'service':
      return `Service ${scoped('service', endpoint.namespace, name, names)}${at && ` (${at})`}`;
    case 'unknown-pod':
      return `${at}, in a node's pod block, held by no pod of the input`;
    case 'outside':
      return at === '' ? 'an endpoint outside the cluster' : `${at}, outside the cluster`;
    case 'described':
      return `${scoped('pod', endpoint.namespace, name, names)}${at && ` (${at})`}, known by the record alone`;
  }
}

/** The short name of one side of an explained flow: its workload, else its name, else its address. */
export function shortEndpointText(endpoint: ResolvedEndpoint, names: Names): string {
  if (endpoint.kind === 'pod' && endpoint.workload !== undefined) return workloadText(endpoint.workload, names);
  if (endpoint.name !== undefined && endpoint.name !== '')
    return scoped(
      endpoint.kind === 'node' || endpoint.kind === 'service' ? endpoint.kind : 'pod',
      endpoint.namespace,
      endpoint.name,
      names,
    );
  return endpoint.address === undefined ? 'an unnamed endpoint' : names.show('address', endpoint.address);
}

/** An endpoint as the user wrote it. */
export function endpointRefText(ref: EndpointRef, names: Names): string {
  switch (ref.kind) {
    case 'address':
      return names.show('address', ref.address);
    case 'name':
      return scoped('pod', ref.namespace, ref.name, names);
    case 'workload':
      return `${names.show('namespace', ref.namespace)}/${ref.workloadKind}/${names.show('workload', ref.name)}`;
    case 'service':
      return `${names.show('service', ref.name)}.${names.show('namespace', ref.namespace)}`;
  }
}

/** `TCP/5678`, `TCP/?`, `ICMP/8` (type, and code where it is not 0). Ports and ICMP types absent: -1 or undefined. */
export function serviceText(protocol: number, port: number | undefined, icmp: number | undefined): string {
  const name = formatProtocol(protocol);
  if (port !== undefined && port >= 0) return `${name}/${port}`;
  if (icmp !== undefined && icmp >= 0) return `${name}/${icmp >>> 8}${(icmp & 255) === 0 ? '' : `/${icmp & 255}`}`;
  return isPortProtocol(protocol) ? `${name}/?` : name;
}

/** `role=web,tier in (a,b)`, or `every pod` in the given noun. */
export function selectorText(selector: Selector, everything: string, names: Names): string {
  return selector.length === 0
    ? everything
    : selector.map((requirement) => requirementText(requirement, names)).join(',');
}

/** `app=web,role=db` in order of keys, or `no labels`. */
export function labelsText(labels: Labels | undefined, names: Names): string {
  if (labels === undefined) return 'labels unknown';
  if (labels.size === 0) return 'no labels';
  return [...labels]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${names.show('label', key)}=${names.show('label', value)}`)
    .join(',');
}

/** A peer as a noun phrase: `pods role=web in app1`, `10.0.0.0/8 except 10.1.0.0/16`. */
export function peerText(peer: Peer, names: Names): string {
  switch (peer.kind) {
    case 'pods':
      return podSetText(peer, names);
    case 'ipBlock': {
      const except = peer.except.map((cidr) => names.show('cidr', cidr)).join(', ');
      return names.show('cidr', peer.cidr) + (except === '' ? '' : ` except ${except}`);
    }
    case 'nodes':
      return `nodes ${selectorText(peer.selector, '(all)', names)}`;
    case 'domains':
      return `domains ${peer.names.map((name) => names.show('domain', name)).join(', ')}`;
  }
}

/** Pods of namespaces as a noun phrase. */
export function podSetText(set: PodSet, names: Names): string {
  const pods = set.pods.length === 0 ? 'every pod' : `pods ${selectorText(set.pods, '', names)}`;
  if (set.namespaces.kind === 'named') return `${pods} in ${names.show('namespace', set.namespaces.namespace)}`;
  if (set.namespaces.selector.length === 0) return `${pods} in every namespace`;
  return `${pods} in namespaces ${selectorText(set.namespaces.selector, '', names)}`;
}

/** `TCP/80`, `TCP/80-90`, `UDP`, `TCP/http`. */
export function portMatchText(match: PortMatch, names: Names): string {
  switch (match.kind) {
    case 'any':
      return match.protocol;
    case 'range':
      return `${match.protocol}/${match.first}${match.last === match.first ? '' : `-${match.last}`}`;
    case 'named': {
      const name = names.show('port', match.name);
      return match.protocol === undefined ? name : `${match.protocol}/${name}`;
    }
  }
}

/** `app1/backend-policy`; kinds other than NetworkPolicy are said. */
export function policyText(policy: Policy, names: Names): string {
  const name = scoped('policy', policy.namespace, policy.name, names);
  return policy.kind === 'NetworkPolicy' ? name : `${policy.kind} ${name}`;
}

/** `ingress[0]`, with the rule's name where it has one. */
export function ruleText(direction: Direction, rule: Rule, names: Names): string {
  return `${direction}[${rule.index}]${rule.name === undefined ? '' : ` "${names.show('value', rule.name)}"`}`;
}

/** `file:line`. */
export function positionText(position: Position, names: Names): string {
  return `${names.show('file', position.file)}:${position.line}`;
}

/** `FlowGroup.via`: the spelling of an endpoint. */
export function viaText(via: string, names: Names): string {
  if (names.mode === 'plain') return names.sentence(via);
  const ref = parseEndpoint(via, '');
  return ref === undefined ? names.show('service', via) : endpointRefText(ref, names);
}

/** `Explanation.via`: a sentence of the engine's; redacted, the Service alone. */
export function translationText(via: NonNullable<Explanation['via']>, names: Names): string {
  if (names.mode === 'plain') return names.sentence(via.text);
  if (via.service === undefined) return 'a translated address';
  return `Service ${scoped('service', via.service.namespace, via.service.name, names)}`;
}

/** The facts of a mask in sentences. */
export function missingTexts(mask: number): string[] {
  return MISSING_FACTS.filter((fact) => (mask & fact.bit) !== 0).map((fact) => fact.text);
}

/** `namespace/name`, the name alone where there is no namespace. */
export function scoped(
  kind: 'workload' | 'pod' | 'service' | 'policy' | 'node',
  namespace: string | undefined,
  name: string,
  names: Names,
): string {
  const own = names.show(kind, name);
  return namespace === undefined || namespace === '' ? own : `${names.show('namespace', namespace)}/${own}`;
}

function addressText(address: string | undefined, names: Names): string {
  return address === undefined ? '' : ` (${names.show('address', address)})`;
}

function requirementText({ key, operator, values }: Requirement, names: Names): string {
  const label = names.show('label', key);
  const shown = values.map((value) => names.show('label', value));
  switch (operator) {
    case 'In':
      return shown.length === 1 ? `${label}=${shown[0]}` : `${label} in (${shown.join(',')})`;
    case 'NotIn':
      return shown.length === 1 ? `${label}!=${shown[0]}` : `${label} notin (${shown.join(',')})`;
    case 'Exists':
      return label;
    case 'DoesNotExist':
      return `!${label}`;
  }
}
