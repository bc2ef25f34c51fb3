/**
 * Synthetic NetworkPolicies for a cluster, in the proportions that one production cluster published: a quarter selects nobody, a few only
 * deny, most admit some pods to a few ports, half as many name CIDRs as pods. Every construct of the API occurs: exceptions,
 * expressions, named ports, ranges, other namespaces, both directions.
 */
import type { Cidr } from '../model/cidr.ts';
import { formatCidr } from '../model/cidr.ts';
import type { Pod, Snapshot } from '../model/cluster.ts';
import { NAMESPACE_NAME_LABEL, type Requirement, type Selector } from '../model/label.ts';
import type { Direction, Peer, Policy, Position, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { createRandom, type Random } from './random.ts';
import { OUTSIDE_FIRST } from './traffic.ts';

/** What to make, and for which cluster. */
export interface PolicyOptions {
  readonly snapshot: Snapshot;
  readonly count: number;
  readonly seed: number;
}

/** Policies for a cluster, each in the namespace of a pod drawn at random; the same options give equal policies. */
export function generatePolicies({ snapshot, count, seed }: PolicyOptions): readonly Policy[] {
  const random = createRandom(seed, 'policy');
  const workloads = firstPods(snapshot.pods);
  const policies: Policy[] = [];
  for (let index = 0; index < count; index++) policies.push(makePolicy(index, random, workloads));
  return policies;
}

function makePolicy(index: number, random: Random, pods: readonly Pod[]): Policy {
  const subject = random.pick(pods);
  const position: Position = { file: 'generated', line: index + 1, column: 1 };
  const kind = random.below(100);
  const isolates: readonly Direction[] = kind < 70 ? ['ingress'] : kind < 85 ? ['egress'] : ['ingress', 'egress'];
  const rules = (direction: Direction): readonly Rule[] => {
    if (!isolates.includes(direction)) return [];
    // Four in a hundred deny only.
    if (random.chance(4)) return [];
    const list: Rule[] = [];
    for (let number = random.below(3) + 1; number > 0; number--)
      list.push(makeRule(list.length, direction, subject, random, pods, position));
    if (direction === 'egress') list.push(dnsRule(list.length, position));
    return list;
  };
  const ingress = rules('ingress');
  const egress = rules('egress');
  return {
    kind: 'NetworkPolicy',
    namespace: subject.namespace,
    name: `policy-${index}`,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: { kind: 'named', namespace: subject.namespace }, pods: subjectSelector(subject, random) },
    isolates,
    ingress,
    egress,
    position,
  };
}

/** A quarter selects nobody, some the whole namespace, most one application. */
function subjectSelector(pod: Pod, random: Random): Selector {
  const kind = random.below(100);
  if (kind < 25) return [isOneOf('app', ['retired'])];
  if (kind < 32) return [];
  if (kind < 40) return [{ key: 'tier', operator: 'NotIn', values: ['db'] }];
  return podSelector(pod, random);
}

function makeRule(
  index: number,
  direction: Direction,
  subject: Pod,
  random: Random,
  pods: readonly Pod[],
  position: Position,
): Rule {
  const peers: Peer[] = [];
  let target = subject;
  for (let number = random.skewed(3) + 1; number > 0; number--) {
    if (random.chance(direction === 'ingress' ? 35 : 20)) {
      peers.push(blockPeer(random));
      continue;
    }
    const pod = random.pick(pods);
    const peer = random.chance(70) ? random.pick(podsOf(pods, subject.namespace)) : pod;
    if (direction === 'egress') target = peer;
    peers.push(podPeer(peer, subject, random));
  }
  const ports = random.chance(15) ? undefined : makePorts(target, random);
  return { index, action: 'Accept', peers, ports, position };
}

function podPeer(peer: Pod, subject: Pod, random: Random): Peer {
  if (peer.namespace === subject.namespace)
    return {
      kind: 'pods',
      namespaces: { kind: 'named', namespace: subject.namespace },
      pods: random.chance(20) ? [] : podSelector(peer, random),
    };
  const selector: Selector = random.chance(30)
    ? [isOneOf('stage', ['prod'])]
    : [isOneOf(NAMESPACE_NAME_LABEL, [peer.namespace])];
  return { kind: 'pods', namespaces: { kind: 'selected', selector }, pods: podSelector(peer, random) };
}

function podSelector(pod: Pod, random: Random): Selector {
  const tier = pod.labels.get('tier');
  const app = pod.labels.get('app');
  if (tier === undefined || app === undefined) return [isOneOf('k8s-app', ['kube-dns'])];
  switch (random.below(5)) {
    case 0:
      return [isOneOf('tier', [tier])];
    case 1:
      return [{ key: 'tier', operator: 'In', values: [tier, 'frontend'] }];
    case 2:
      return [isOneOf('app', [app]), { key: 'version', operator: 'Exists', values: [] }];
    default:
      return [isOneOf('app', [app])];
  }
}

/** A part of the addresses that synthetic traffic comes from outside, or everything, at times with a hole. */
function blockPeer(random: Random): Peer {
  if (random.chance(40)) return { kind: 'ipBlock', cidr: '0.0.0.0/0' as Cidr, except: [] };
  const length = 8 + random.below(17);
  const address = OUTSIDE_FIRST + random.below(0x0400_0000);
  const cidr = block(address, length);
  const except = random.chance(25) ? [block(address, Math.min(32, length + 1 + random.below(8)))] : [];
  return { kind: 'ipBlock', cidr, except };
}

function block(address: number, length: number): Cidr {
  const size = 2 ** (32 - length);
  return formatCidr(4, [Math.floor(address / size) * size], length);
}

function makePorts(pod: Pod, random: Random): readonly PortMatch[] {
  const port = pod.ports[0]!;
  switch (random.below(10)) {
    case 0:
      return [{ kind: 'named', protocol: port.protocol, name: port.name ?? 'http' }];
    case 1:
      return [
        {
          kind: 'range',
          protocol: port.protocol,
          first: Math.max(1, port.port - random.below(20)),
          last: port.port + 1 + random.below(100),
        },
      ];
    case 2:
      return [{ kind: 'range', protocol: 'TCP', first: 443, last: 443 }];
    case 3:
      return [{ kind: 'any', protocol: port.protocol }];
    default:
      return [{ kind: 'range', protocol: port.protocol, first: port.port, last: port.port }];
  }
}

function dnsRule(index: number, position: Position): Rule {
  const peer: Peer = {
    kind: 'pods',
    namespaces: { kind: 'selected', selector: [isOneOf(NAMESPACE_NAME_LABEL, ['kube-system'])] },
    pods: [isOneOf('k8s-app', ['kube-dns'])],
  };
  const ports: readonly PortMatch[] = [
    { kind: 'range', protocol: 'UDP', first: 53, last: 53 },
    { kind: 'range', protocol: 'TCP', first: 53, last: 53 },
  ];
  return { index, action: 'Accept', peers: [peer], ports, position };
}

function isOneOf(key: string, values: readonly string[]): Requirement {
  return { key, operator: 'In', values };
}

const byNamespace = new WeakMap<readonly Pod[], ReadonlyMap<string, readonly Pod[]>>();

/** The pods of a namespace, in order; a list is indexed once, or large worlds would take time by its square. */
function podsOf(pods: readonly Pod[], namespace: string): readonly Pod[] {
  let index = byNamespace.get(pods);
  if (index === undefined) {
    const lists = new Map<string, Pod[]>();
    for (const pod of pods) {
      const list = lists.get(pod.namespace);
      if (list === undefined) lists.set(pod.namespace, [pod]);
      else list.push(pod);
    }
    byNamespace.set(pods, (index = lists));
  }
  return index.get(namespace)!;
}

function firstPods(pods: readonly Pod[]): readonly Pod[] {
  const seen = new Set<unknown>();
  return pods.filter(({ workload }) => !seen.has(workload) && seen.add(workload));
}
