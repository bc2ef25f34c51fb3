/**
 * Model -> YAML that `loadManifests` reads back equal, positions apart: for `generate`, for fuzz output and for bug reports. Texts are
 * quoted wherever kubectl's reader would see something else than text in them.
 */
import type { Pod, Service, Snapshot, Workload } from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { Peer, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { resolvePlain } from './scalar.ts';

/** A JSON value to print; undefined members are left out. */
type Printable =
  string | number | boolean | null | readonly Printable[] | { readonly [name: string]: Printable | undefined };

/** Every object of a snapshot, one document each; stand-ins become the workloads that they stand for. */
export function printSnapshot(snapshot: Snapshot): string {
  const objects: Printable[] = [];
  for (const { name, labels } of snapshot.namespaces) {
    const own = new Map([...labels].filter(([key]) => key !== NAMESPACE_NAME_LABEL));
    objects.push({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: labelObject(own) } });
  }
  for (const node of snapshot.nodes)
    objects.push({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: node.name, labels: labelObject(node.labels) },
      spec: optional({ podCIDRs: nonEmpty(node.podCidrs) }),
      status: optional({ addresses: nonEmpty(node.addresses.map((address) => ({ type: 'InternalIP', address }))) }),
    });
  for (const pod of snapshot.pods) if (!pod.isStandIn) objects.push(podObject(pod));
  objects.push(...standInObjects(snapshot.pods.filter((pod) => pod.isStandIn)));
  for (const service of snapshot.services) objects.push(serviceObject(service));
  for (const slice of snapshot.endpointSlices)
    objects.push({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: slice.name,
        namespace: slice.namespace,
        labels: slice.service === '' ? undefined : { 'kubernetes.io/service-name': slice.service },
      },
      addressType: slice.family === 4 ? 'IPv4' : 'IPv6',
      endpoints: slice.endpoints.map(({ addresses, pod }) => ({
        addresses,
        targetRef: pod === undefined ? undefined : { kind: 'Pod', namespace: pod.namespace, name: pod.name },
      })),
      ports: slice.ports.map(({ name, protocol, port }) => ({ name, protocol, port })),
    });
  return printDocuments(objects);
}

/** The NetworkPolicies among `policies`, one document each; other kinds have no manifest form here yet and are left out. */
export function printPolicies(policies: readonly Policy[]): string {
  return printDocuments(policies.filter(({ kind }) => kind === 'NetworkPolicy').map(policyObject));
}

function policyObject(policy: Policy): Printable {
  const namespace = policy.namespace ?? 'default';
  const rules = (list: readonly Rule[], side: 'from' | 'to'): Printable =>
    list.map((rule) => ({
      [side]: rule.peers?.map((peer) => peerObject(peer, namespace)),
      ports: rule.ports?.map(portObject),
    }));
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: policy.name, namespace },
    spec: {
      podSelector: selectorObject(policy.subject.pods),
      policyTypes: policy.isolates.map((direction) => (direction === 'ingress' ? 'Ingress' : 'Egress')),
      ingress: policy.ingress.length === 0 ? undefined : rules(policy.ingress, 'from'),
      egress: policy.egress.length === 0 ? undefined : rules(policy.egress, 'to'),
    },
  };
}

function peerObject(peer: Peer, own: string): Printable {
  if (peer.kind === 'ipBlock') return { ipBlock: { cidr: peer.cidr, except: nonEmpty(peer.except) } };
  if (peer.kind !== 'pods') return {};
  const { namespaces, pods } = peer;
  if (namespaces.kind === 'named' && namespaces.namespace === own) return { podSelector: selectorObject(pods) };
  const selector: Selector =
    namespaces.kind === 'selected'
      ? namespaces.selector
      : [{ key: NAMESPACE_NAME_LABEL, operator: 'In', values: [namespaces.namespace] }];
  return {
    namespaceSelector: selectorObject(selector),
    podSelector: pods.length === 0 ? undefined : selectorObject(pods),
  };
}

function portObject(port: PortMatch): Printable {
  switch (port.kind) {
    case 'any':
      return { protocol: port.protocol };
    case 'named':
      return { protocol: port.protocol, port: port.name };
    case 'range':
      return { protocol: port.protocol, port: port.first, endPort: port.last === port.first ? undefined : port.last };
  }
}

/** matchLabels for the leading `In [v]` requirements, matchExpressions for the rest: so the order comes back as it was. */
function selectorObject(selector: Selector): Printable {
  const labels: Record<string, string> = {};
  let index = 0;
  for (; index < selector.length; index++) {
    const { key, operator, values } = selector[index]!;
    // JavaScript moves keys that look like integers to the front of an object.
    if (operator !== 'In' || values.length !== 1 || Object.hasOwn(labels, key) || /^\d+$/.test(key)) break;
    labels[key] = values[0]!;
  }
  const expression = ({ key, operator, values }: Requirement): Printable => ({
    key,
    operator,
    values: nonEmpty(values),
  });
  return {
    matchLabels: index === 0 ? undefined : labels,
    matchExpressions: index === selector.length ? undefined : selector.slice(index).map(expression),
  };
}

function podObject(pod: Pod): Printable {
  const { kind } = pod.workload;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name,
      namespace: pod.namespace,
      labels: labelObject(pod.labels),
      ownerReferences: kind === 'Pod' ? undefined : [ownerObject(pod.workload)],
    },
    spec: podSpec(pod),
    status: {
      phase: pod.phase,
      podIP: pod.addresses[0],
      podIPs: nonEmpty(pod.addresses.map((ip) => ({ ip }))),
    },
  };
}

/** A Deployment and the like for each stand-in; the ordinals of a StatefulSet become one object. */
function standInObjects(pods: readonly Pod[]): Printable[] {
  const objects: Printable[] = [];
  const ordinals = new Map<string, Pod[]>();
  for (const pod of pods) {
    if (pod.workload.kind === 'StatefulSet') {
      const key = `${pod.workload.namespace}/${pod.workload.name}`;
      const group = ordinals.get(key);
      if (group === undefined) ordinals.set(key, [pod]);
      else group.push(pod);
      continue;
    }
    objects.push(workloadObject(pod, pod.count));
  }
  for (const group of ordinals.values()) objects.push(workloadObject(group[0]!, group.length));
  return objects;
}

function workloadObject(pod: Pod, count: number): Printable {
  const { workload } = pod;
  const isStateful = workload.kind === 'StatefulSet';
  // A ReplicaSet that stands for a Deployment which nobody listed.
  const isOwned = !isStateful && pod.name !== workload.name;
  const kind = isOwned ? (workload.kind === 'CronJob' ? 'Job' : 'ReplicaSet') : workload.kind;
  const labels = isStateful
    ? new Map(
        [...pod.labels].filter(
          ([key]) => key !== 'statefulset.kubernetes.io/pod-name' && key !== 'apps.kubernetes.io/pod-index',
        ),
      )
    : pod.labels;
  const template: Printable = { metadata: { labels: labelObject(labels) }, spec: podSpec(pod) };
  const metadata: Printable = {
    name: isStateful ? workload.name : pod.name,
    namespace: pod.namespace,
    ownerReferences: isOwned ? [ownerObject(workload)] : undefined,
  };
  const apiVersion =
    kind === 'ReplicationController' ? 'v1' : kind === 'Job' || kind === 'CronJob' ? 'batch/v1' : 'apps/v1';
  if (kind === 'CronJob')
    return { apiVersion, kind, metadata, spec: { jobTemplate: { spec: { parallelism: count, template } } } };
  const start = isStateful ? Number(pod.name.slice(workload.name.length + 1)) : 0;
  const spec =
    kind === 'Job'
      ? { parallelism: count, template }
      : kind === 'DaemonSet'
        ? { template }
        : { replicas: count, ordinals: start === 0 ? undefined : { start }, template };
  return { apiVersion, kind, metadata, spec };
}

function ownerObject({ kind, name }: Workload): Printable {
  return { kind, name, controller: true };
}

function podSpec(pod: Pod): Printable {
  const ports = pod.ports.map(({ name, port, protocol, hostPort }) => ({
    name,
    containerPort: port,
    protocol,
    hostPort,
  }));
  return {
    nodeName: pod.node,
    hostNetwork: pod.hostNetwork ? true : undefined,
    containers: ports.length === 0 ? undefined : [{ name: 'main', ports }],
  };
}

function serviceObject(service: Service): Printable {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: service.name, namespace: service.namespace },
    spec: {
      type: service.type,
      clusterIP: service.isHeadless ? 'None' : service.clusterAddresses[0],
      clusterIPs: service.isHeadless ? undefined : nonEmpty(service.clusterAddresses),
      externalIPs: nonEmpty(service.externalAddresses),
      externalName: service.externalName,
      selector: service.selector === undefined ? undefined : labelObject(service.selector),
      ports: nonEmpty(
        service.ports.map(({ name, protocol, port, targetPort, nodePort }) => ({
          name,
          protocol,
          port,
          targetPort,
          nodePort,
        })),
      ),
    },
  };
}

function labelObject(labels: Labels): Printable | undefined {
  return labels.size === 0 ? undefined : Object.fromEntries(labels);
}

function nonEmpty<T extends Printable>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function optional(object: { readonly [name: string]: Printable | undefined }): Printable | undefined {
  return Object.values(object).every((value) => value === undefined) ? undefined : object;
}

function printDocuments(objects: readonly Printable[]): string {
  return objects.map((object) => `${printBlock(object, 0)}`).join('---\n');
}

/** Block style for what has members, flow style for what is empty. */
function printBlock(value: Printable, indent: number): string {
  const pad = ' '.repeat(indent);
  if (isList(value)) return value.map((item) => `${pad}- ${printInline(item, indent + 2)}`).join('');
  if (typeof value !== 'object' || value === null) return `${pad}${printScalar(value)}\n`;
  return entriesOf(value)
    .map(
      ([name, member]) =>
        `${pad}${printScalar(name)}:${isEmptyOrScalar(member) ? ` ${printFlow(member)}\n` : `\n${printBlock(member, indent + 2)}`}`,
    )
    .join('');
}

/** What follows `- ` on its line. */
function printInline(value: Printable, indent: number): string {
  return isEmptyOrScalar(value) ? `${printFlow(value)}\n` : printBlock(value, indent).slice(indent);
}

function printFlow(value: Printable): string {
  if (isList(value)) return '[]';
  return typeof value === 'object' && value !== null ? '{}' : printScalar(value);
}

function isEmptyOrScalar(value: Printable): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return isList(value) ? value.length === 0 : entriesOf(value).length === 0;
}

function isList(value: Printable): value is readonly Printable[] {
  return Array.isArray(value);
}

function entriesOf(value: { readonly [name: string]: Printable | undefined }): [string, Printable][] {
  return Object.entries(value).filter((entry): entry is [string, Printable] => entry[1] !== undefined);
}

/** A text stays plain where the reader takes it for the same text; JSON's quoting is YAML's. */
function printScalar(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return String(value);
  const plain = resolvePlain(value);
  const isPlain = /^[A-Za-z0-9][-A-Za-z0-9_./]*$/.test(value) && 'value' in plain && plain.value === value;
  return isPlain ? value : JSON.stringify(value);
}
