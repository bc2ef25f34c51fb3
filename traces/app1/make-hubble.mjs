#!/usr/bin/env node
/**
 * Writes hubble.jsonl: what Hubble's exporter would have written about the application of cluster.yaml, one JSON object a line. Synthetic and
 * the same on every run: no clock, no chance. Pods, addresses and labels are read from cluster.yaml.
 *
 * A connection becomes what Cilium's datapath reports of it: a policy verdict (`event_type` 5) on each side that a policy selects, trace
 * events (4) of each packet at several observation points, replies with `is_reply`; a refused one becomes a verdict and a drop
 * event (1). HTTP and DNS add records of the proxy (129). The cluster that is imagined here enforces the policies of `mended/`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const here = dirname(fileURLToPath(import.meta.url));
const objects = parseAllDocuments(readFileSync(join(here, 'cluster.yaml'), 'utf8')).map((document) => document.toJS());
const NODE = 'kind/worker-1';
const START_US = Date.UTC(2026, 9, 12, 9, 30) * 1000;

const identities = { frontend: 20411, backend: 35790, db: 50173, 'kube-dns': 11824 };
const pods = new Map(objects.filter((object) => object.kind === 'Pod').map((pod, index) => [pod.metadata.name, describePod(pod, index)]));
const services = new Map(objects.filter((object) => object.kind === 'Service').map((service) => [service.metadata.name, service]));
const lines = [];
let nowUs = START_US;
let nextPort = 41000;
let count = 0;

const frontends = podsOf('frontend');
const backends = podsOf('backend');
const [database] = podsOf('db');
const resolvers = podsOf('kube-dns');
const users = ['203.0.113.9', '203.0.113.10', '203.0.113.77'].map(outside);
const userV6 = outside('2001:db8:113::9');

for (let round = 0; round < 24; round++) {
  const family = round % 6 === 5 ? 6 : 4;
  const front = frontends[round % 2];
  const back = backends[(round >> 1) % 2];
  advance(350_000);
  http(family === 6 ? userV6 : users[round % 3], front, 80, family, round % 2 ? '/items' : '/', { ingress: family === 4 });
  if (round % 2 === 0) continue;
  lookUp(front, resolvers[round % 4 === 1 ? 0 : 1], 'backend-svc.app1-ns.svc.cluster.local.', family);
  http(front, back, 5678, family, '/items', { egress: true, ingress: true, service: 'backend-svc' });
  lookUp(back, resolvers[0], 'db-svc.app1-ns.svc.cluster.local.', family);
  tcp(back, database, 3306, family, { egress: true, ingress: true });
}
for (const front of frontends) tcp(front, database, 3306, 4, { egress: false });
tcp(database, backends[0], 5678, 4, { egress: false });
tcp(database, resolvers[0], 53, 4, { egress: false });
udp(database, resolvers[1], 53, 4, { egress: false });
for (const back of backends) tcp(back, frontends[0], 80, 4, { egress: false });
udp(backends[0], outside('198.51.100.20'), 8125, 4, { egress: false });
tcp(users[0], frontends[1], 443, 4, { ingress: false });
tcp(users[1], backends[1], 5678, 4, { ingress: false });
tcp(userV6, frontends[0], 80, 6, { ingress: false });
echo(users[2], frontends[0], { ingress: false });
echo(backends[0], database, { egress: false });
udp(resolvers[0], outside('198.51.100.53'), 53, 4, {});
tcp(nodeItself(), frontends[0], 80, 4, { host: true });
tcp(nodeItself(), backends[1], 5678, 4, { host: true });

writeFileSync(join(here, 'hubble.jsonl'), `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
console.log(`hubble.jsonl: ${lines.length} records of ${count} connections`);

/** A TCP connection: opening, one packet of data each way, end. `allowed` says what the enforcing cluster decided per side. */
function tcp(source, target, port, family, allowed, between = () => {}) {
  const flow = open(source, target, 'TCP', port, family, allowed);
  if (!decide(flow, { SYN: true })) return;
  packet(flow, false, { SYN: true });
  packet(flow, true, { SYN: true, ACK: true });
  packet(flow, false, { ACK: true });
  packet(flow, false, { PSH: true, ACK: true });
  between(flow);
  packet(flow, true, { PSH: true, ACK: true });
  packet(flow, false, { FIN: true, ACK: true });
  packet(flow, true, { FIN: true, ACK: true });
  packet(flow, false, { ACK: true });
}

/** A TCP connection with the proxy's records of one request between. */
function http(source, target, port, family, path, allowed) {
  tcp(source, target, port, family, allowed, (flow) => {
    if (allowed.ingress === false) return;
    const message = { method: 'GET', url: `http://app1${path}`, protocol: 'HTTP/1.1' };
    proxy(flow, false, { type: 'REQUEST', http: message }, `HTTP/1.1 GET http://app1${path}`);
    advance(900);
    const answer = { type: 'RESPONSE', latency_ns: '900000', http: { ...message, code: 200 } };
    proxy(flow, true, answer, `HTTP/1.1 200 1ms (GET http://app1${path})`);
  });
}

function udp(source, target, port, family, allowed, between = () => {}) {
  const flow = open(source, target, 'UDP', port, family, allowed);
  if (!decide(flow)) return;
  packet(flow, false);
  between(flow);
  packet(flow, true);
}

function lookUp(source, target, query, family) {
  udp(source, target, 53, family, { egress: true, service: 'kube-dns' }, (flow) => {
    const dns = { query, rcode: 0, observation_source: 'proxy', qtypes: ['A'] };
    proxy(flow, false, { type: 'REQUEST', dns: { query, observation_source: 'proxy', qtypes: ['A'] } }, `DNS Query ${query} A`);
    proxy(flow, true, { type: 'RESPONSE', latency_ns: '210000', dns: { ...dns, ips: ['10.96.102.224'], ttl: 5 } }, `DNS Answer`);
  });
}

function echo(source, target, allowed) {
  const flow = open(source, target, 'ICMPv4', 0, 4, allowed);
  if (!decide(flow)) return;
  packet(flow, false);
  packet(flow, true);
}

function open(source, target, protocol, port, family, allowed) {
  count++;
  advance(4_000);
  return { source, target, protocol, port, family, allowed, sourcePort: nextPort++, reached: '' };
}

/** The policy verdicts of the opening packet; false where one of them refuses it. Without a policy there is no verdict event. */
function decide(flow, flags) {
  for (const [side, direction] of [['egress', 'EGRESS'], ['ingress', 'INGRESS']]) {
    const isAllowed = flow.allowed[side];
    if (isAllowed === undefined) continue;
    const extra = { event_type: { type: 5 }, traffic_direction: direction };
    advance(12);
    if (isAllowed) {
      const match = flow.source.pod && flow.target.pod ? 2 : 4;
      emit(flow, false, flags, { ...extra, verdict: 'FORWARDED', policy_match_type: match, is_reply: false });
      continue;
    }
    const dropped = { ...extra, verdict: 'DROPPED', drop_reason: 133, drop_reason_desc: 'POLICY_DENIED' };
    if (side === 'ingress') trace(flow, false, flags, flow.source.pod ? ['FROM_ENDPOINT', 5] : ['FROM_NETWORK', 10], 'INGRESS');
    emit(flow, false, flags, dropped);
    advance(3);
    emit(flow, false, flags, { ...dropped, event_type: { type: 1, sub_type: 133 } });
    return false;
  }
  return true;
}

/** One packet at the points that it passes: out of an endpoint or the network, into an endpoint or the stack. */
function packet(flow, isReply, flags) {
  const from = isReply ? flow.target : flow.source;
  const to = isReply ? flow.source : flow.target;
  advance(60);
  if (!isReply && flow.allowed.service && flow.family === 4 && !flow.reached) serviceSighting(flow, flags);
  flow.reached = 'yes';
  const start = from.pod ? ['FROM_ENDPOINT', 5] : from.isNode ? ['FROM_HOST', 7] : ['FROM_NETWORK', 10];
  const direction = flow.source.pod ? 'EGRESS' : 'INGRESS';
  trace(flow, isReply, flags, start, from.pod ? (isReply ? 'INGRESS' : 'EGRESS') : direction);
  advance(25);
  const end = to.pod ? ['TO_ENDPOINT', 0] : ['TO_STACK', 3];
  trace(flow, isReply, flags, end, to.pod ? (isReply ? 'EGRESS' : 'INGRESS') : isReply ? 'INGRESS' : 'EGRESS');
}

/** The first sighting of a connection through a Service: still addressed to its ClusterIP. */
function serviceSighting(flow, flags) {
  const service = services.get(flow.allowed.service);
  const { name, namespace } = service.metadata;
  emit(flow, false, flags, {
    verdict: 'FORWARDED',
    event_type: { type: 4, sub_type: 5 },
    traffic_direction: 'EGRESS',
    trace_observation_point: 'FROM_ENDPOINT',
    is_reply: false,
    IP: { source: addressOf(flow.source, 4), destination: service.spec.clusterIPs[0], ipVersion: 'IPv4' },
    destination: { identity: 2, labels: ['reserved:world'] },
    destination_service: { name, namespace },
  });
  advance(9);
}

function trace(flow, isReply, flags, [point, sub], direction) {
  emit(flow, isReply, flags, {
    verdict: 'FORWARDED',
    event_type: sub === 0 ? { type: 4 } : { type: 4, sub_type: sub },
    traffic_direction: direction,
    trace_observation_point: point,
    trace_reason: isReply ? 'REPLY' : flags?.SYN || !flow.reached ? 'NEW' : 'ESTABLISHED',
    is_reply: isReply,
  });
}

function proxy(flow, isReply, l7, summary) {
  advance(40);
  const direction = flow.source.pod ? 'EGRESS' : 'INGRESS';
  const extra = { verdict: 'FORWARDED', event_type: { type: 129 }, traffic_direction: direction, is_reply: isReply };
  emit(flow, isReply, undefined, { ...extra, Type: 'L7', l7, Summary: summary });
}

function emit(flow, isReply, flags, extra) {
  const [from, to] = isReply ? [flow.target, flow.source] : [flow.source, flow.target];
  const ports = isReply
    ? { source_port: flow.port, destination_port: flow.sourcePort }
    : { source_port: flow.sourcePort, destination_port: flow.port };
  const l4 =
    flow.protocol === 'ICMPv4'
      ? { ICMPv4: isReply ? {} : { type: 8 } }
      : { [flow.protocol]: flags ? { ...ports, flags } : ports };
  const names = Object.keys(flags ?? {}).join(', ');
  const summary = flow.protocol === 'TCP' ? `TCP Flags: ${names}` : flow.protocol === 'UDP' ? 'UDP' : `ICMPv4 Echo${isReply ? 'Reply' : 'Request'}`;
  const time = timeText();
  const record = {
    time,
    uuid: `00000000-0000-4000-8000-${String(lines.length).padStart(12, '0')}`,
    verdict: undefined,
    IP: { source: addressOf(from, flow.family), destination: addressOf(to, flow.family), ipVersion: `IPv${flow.family}` },
    l4,
    source: from.endpoint,
    destination: to.endpoint,
    Type: 'L3_L4',
    node_name: NODE,
    Summary: summary,
    ...extra,
  };
  lines.push({ flow: record, node_name: NODE, time });
}

function describePod(pod, index) {
  const { name, namespace, labels, ownerReferences } = pod.metadata;
  const role = labels.role ?? labels['k8s-app'];
  const owner = ownerReferences[0];
  const workload =
    owner.kind === 'ReplicaSet'
      ? { name: owner.name.slice(0, owner.name.lastIndexOf('-')), kind: 'Deployment' }
      : { name: owner.name, kind: owner.kind };
  const own = Object.entries(labels).filter(([key]) => !key.includes('pod-template-hash') && !key.includes('pod-name'));
  const all = [
    ...own.map(([key, value]) => `k8s:${key}=${value}`),
    `k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=${namespace}`,
    ...(namespace === 'app1-ns' ? ['k8s:io.cilium.k8s.namespace.labels.app=app1'] : []),
    'k8s:io.cilium.k8s.policy.cluster=kind',
    'k8s:io.cilium.k8s.policy.serviceaccount=default',
    `k8s:io.kubernetes.pod.namespace=${namespace}`,
  ].sort();
  const endpoint = { ID: 1200 + index, identity: identities[role], cluster_name: 'kind', namespace, labels: all, pod_name: name, workloads: [workload] };
  return { pod: true, role, addresses: pod.status.podIPs.map((item) => item.ip), endpoint };
}

function podsOf(role) {
  return [...pods.values()].filter((pod) => pod.role === role);
}

function outside(address) {
  const label = address.includes(':') ? 'reserved:world-ipv6' : 'reserved:world-ipv4';
  const identity = address.includes(':') ? 10 : 9;
  return { addresses: [address, address], endpoint: { identity, labels: ['reserved:world', label] } };
}

function nodeItself() {
  const node = objects.find((object) => object.kind === 'Node');
  return { isNode: true, addresses: node.status.addresses.map((item) => item.address), endpoint: { identity: 1, labels: ['reserved:host'] } };
}

function addressOf(endpoint, family) {
  return endpoint.addresses[family === 6 ? 1 : 0];
}

function advance(us) {
  nowUs += us;
}

/** RFC 3339 with nanoseconds, as the exporter prints it. */
function timeText() {
  return new Date(Math.floor(nowUs / 1000)).toISOString().replace('Z', `${String(nowUs % 1000).padStart(3, '0')}000Z`);
}
