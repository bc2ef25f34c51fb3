/**
 * A production cluster that was published as counts: 5,413 pods, 604 namespaces, 13,678 NetworkPolicies (npinaeva/k8s-netpol-scale,
 * yaml-analysis). Its histograms are kept exactly at that size and in proportion at any other: how many pods a policy selects, how many
 * CIDRs or selectors a rule names, how many pods those are, and how many ports. What is not published (addresses, names, which rule stands
 * in which policy, directions) is drawn.
 */
import type { Cidr } from '../model/cidr.ts';
import { formatCidr } from '../model/cidr.ts';
import type { Snapshot } from '../model/cluster.ts';
import { NAMESPACE_NAME_LABEL, type Requirement } from '../model/label.ts';
import type { Direction, Peer, Policy, Position, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { assembleCluster } from './cluster.ts';
import { dealHistogram, type Histogram } from './histogram.ts';
import { createRandom, type Random } from './random.ts';
import { OUTSIDE_FIRST } from './traffic.ts';

/** The published size. */
export const PUBLISHED = { pods: 5413, policies: 13_678 } as const;

const NAMESPACES = 604;
const EMPTY = 3559;
const DENY_ONLY = 495;
const RULES = 15_423;

/** Pods that a policy with rules selects. */
const LOCAL_PODS: Histogram = [
  [1, 1436], [2, 559], [3, 54], [4, 243], [5, 2512], [6, 496], [7, 927], [8, 196], [9, 240], [10, 211], [11, 572], [12, 482], [13, 60],
  [14, 33], [15, 47], [16, 57], [17, 100], [18, 39], [19, 84], [20, 99], [21, 116], [22, 136], [23, 30], [24, 50], [25, 339], [26, 41],
  [27, 9], [28, 2], [33, 2], [34, 2], [36, 1], [38, 2], [53, 1], [58, 2], [80, 1], [81, 1], [87, 2], [127, 431], [154, 9],
]; // prettier-ignore
/** CIDRs of a rule; 0: it names selectors. */
const CIDRS: Histogram = [[0, 9208], [1, 5521], [2, 72], [3, 346], [4, 7], [5, 1], [6, 263], [7, 2], [14, 2], [21, 1]]; // prettier-ignore
/** Pods that the selectors of a rule name together. */
const PEER_PODS: Histogram = [
  [1, 590], [2, 4621], [3, 393], [4, 649], [5, 868], [6, 433], [7, 384], [8, 62], [9, 63], [10, 75], [11, 18], [12, 75], [13, 346],
  [14, 10], [15, 10], [16, 12], [17, 22], [18, 10], [19, 20], [20, 25], [21, 27], [22, 33], [23, 10], [24, 15], [25, 12], [26, 10],
  [27, 3], [28, 1], [34, 1], [36, 1], [42, 6], [58, 1], [80, 40], [94, 1], [127, 288], [154, 3], [3578, 70],
]; // prettier-ignore
/** Rules with two selectors, of those with any. */
const TWO_SELECTORS = 418;
const CIDR_PORTS: Histogram = [[0, 1147], [1, 4710], [2, 341], [4, 1], [5, 16]]; // prettier-ignore
const SELECTOR_PORTS: Histogram = [[0, 6370], [1, 2417], [2, 416], [3, 3], [4, 1], [5, 1]]; // prettier-ignore
const CIDR_RANGES: Histogram = [[0, 6194], [1, 21]]; // prettier-ignore
const SELECTOR_RANGES: Histogram = [[0, 9206], [1, 2]]; // prettier-ignore

/** The rule that names most pods, and the labels that make it exact: two selectors, half of them each. */
const MESH_PODS = 3578;

interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly size: number;
}

/** The cluster and its policies; other sizes than the published one are scaled. */
export function generatePublished(options: { pods: number; policies: number; seed: number }): {
  snapshot: Snapshot;
  policies: readonly Policy[];
} {
  const random = createRandom(options.seed, 'published');
  const workloads = makeWorkloads(options.pods, random);
  const meshPods = Math.floor((MESH_PODS * options.pods) / PUBLISHED.pods / 2) * 2;
  const snapshot = assembleCluster([...new Set(workloads.map(({ namespace }) => namespace))], workloads, (pod) =>
    pod >= meshPods ? [] : [['mesh', pod < meshPods / 2 ? 'a' : 'b']],
  );
  return { snapshot, policies: makePolicies(options.policies, workloads, meshPods, random) };
}

/** A workload of every size that the histograms name, as far as the pods reach, then ordinary ones; every namespace has one. */
function makeWorkloads(pods: number, random: Random): Workload[] {
  const scale = pods / PUBLISHED.pods;
  const namespaces = Math.max(1, Math.round(NAMESPACES * scale));
  const needed = [...new Set([...LOCAL_PODS, ...PEER_PODS].map(([value]) => value))].filter((size) => size < MESH_PODS);
  const sizes: number[] = [];
  let left = pods;
  for (const size of needed.sort((a, b) => a - b))
    // Small clusters have no room for the large ones.
    if (size <= left / 3) {
      sizes.push(size);
      left -= size;
    }
  const common = [1, 2, 2, 5, 5, 5, 6, 7, 11, 12];
  while (left > 0) {
    const size = Math.min(left, random.pick(common));
    sizes.push(size);
    left -= size;
  }
  return sizes.map((size, index) => {
    const own = index < namespaces ? index : random.below(namespaces);
    return { namespace: `ns-${own + 1}`, name: `app-${index + 1}`, size };
  });
}

function makePolicies(count: number, workloads: readonly Workload[], meshPods: number, random: Random): Policy[] {
  const scale = count / PUBLISHED.policies;
  const empty = Math.round(EMPTY * scale);
  const denyOnly = Math.round(DENY_ONLY * scale);
  const ruled = count - empty - denyOnly;
  const rules = dealRules(Math.max(ruled, Math.round(RULES * scale)), workloads, meshPods, random);
  const locals = dealHistogram(LOCAL_PODS, ruled, random);
  const bySize = groupBySize(workloads);
  // One rule each, and the others where chance has it.
  const extra = new Uint32Array(ruled);
  for (let number = ruled; number < rules.length; number++) extra[random.below(ruled)]! += 1;
  let taken = 0;
  return Array.from({ length: count }, (_, index): Policy => {
    const at: Position = { file: 'generated', line: index + 1, column: 1 };
    const hasRules = index < ruled;
    const subject = hasRules ? ofSize(bySize, locals[index]!, random) : random.pick(workloads);
    const direction: Direction = random.chance(60) ? 'ingress' : 'egress';
    const own = hasRules ? rules.slice(taken, (taken += 1 + extra[index]!)) : [];
    const list = own.map(({ peers, ports }, number): Rule => ({
      index: number,
      action: 'Accept',
      peers,
      ports,
      position: at,
    }));
    const isEmpty = index >= ruled + denyOnly;
    return {
      kind: 'NetworkPolicy',
      namespace: subject.namespace,
      name: `policy-${index + 1}`,
      tier: 'networkpolicy',
      priority: 0,
      subject: {
        namespaces: { kind: 'named', namespace: subject.namespace },
        pods: [isOneOf('app', isEmpty ? 'retired' : subject.name)],
      },
      isolates: [direction],
      ingress: direction === 'ingress' ? list : [],
      egress: direction === 'egress' ? list : [],
      position: at,
    };
  });
}

/** Rules in the published proportions, in an order of chance. */
function dealRules(
  count: number,
  workloads: readonly Workload[],
  meshPods: number,
  random: Random,
): { peers: readonly Peer[]; ports: readonly PortMatch[] | undefined }[] {
  const cidrs = dealHistogram(CIDRS, count, random);
  const selecting = cidrs.filter((own) => own === 0).length;
  const blocked = count - selecting;
  const peerPods = dealHistogram(PEER_PODS, selecting, random);
  const decks = {
    cidr: { ports: dealHistogram(CIDR_PORTS, blocked, random), ranges: dealHistogram(CIDR_RANGES, blocked, random) },
    pods: {
      ports: dealHistogram(SELECTOR_PORTS, selecting, random),
      ranges: dealHistogram(SELECTOR_RANGES, selecting, random),
    },
  };
  const bySize = groupBySize(workloads);
  // The widest rules have two selectors; so do others, as long as some are left.
  let twoLeft = Math.round((TWO_SELECTORS * selecting) / 9208) - peerPods.filter((own) => own === MESH_PODS).length;
  return cidrs.map((number) => {
    const deck = number > 0 ? decks.cidr : decks.pods;
    const ports = makePorts(deck.ports.pop()!, deck.ranges.pop()!, random);
    if (number > 0) return { peers: Array.from({ length: number }, () => blockPeer(random)), ports };
    const pods = peerPods.pop()!;
    if (pods === MESH_PODS && meshPods > 0)
      return { peers: ['a', 'b'].map((half) => anywhere([isOneOf('mesh', half)])), ports };
    if (pods > 1 && twoLeft > 0) {
      const [first, second] = [ofSize(bySize, pods - 1, random), ofSize(bySize, 1, random)];
      if (first !== second && first.size + second.size === pods) {
        twoLeft--;
        return { peers: [inWorkload(first), inWorkload(second)], ports };
      }
    }
    return { peers: [inWorkload(ofSize(bySize, pods, random))], ports };
  });
}

function makePorts(singles: number, ranges: number, random: Random): readonly PortMatch[] | undefined {
  if (singles + ranges === 0) return undefined;
  const ports: PortMatch[] = [];
  const first = random.pick([80, 443, 5432, 5678, 6379, 8080, 8443, 9090]);
  for (let number = 0; number < singles; number++)
    ports.push({ kind: 'range', protocol: 'TCP', first: first + number, last: first + number });
  for (let number = 0; number < ranges; number++)
    ports.push({ kind: 'range', protocol: 'TCP', first: 30_000, last: 30_000 + 1 + random.below(2767) });
  return ports;
}

/** /32 mostly, as outside services are named, else something wider; canonical. */
function blockPeer(random: Random): Peer {
  const length = random.chance(60) ? 32 : 8 + random.below(20);
  const size = 2 ** (32 - length);
  const address = OUTSIDE_FIRST + random.below(0x0400_0000);
  return { kind: 'ipBlock', cidr: formatCidr(4, [Math.floor(address / size) * size], length) as Cidr, except: [] };
}

function inWorkload({ namespace, name }: Workload): Peer {
  return {
    kind: 'pods',
    namespaces: { kind: 'selected', selector: [isOneOf(NAMESPACE_NAME_LABEL, namespace)] },
    pods: [isOneOf('app', name)],
  };
}

function anywhere(pods: readonly Requirement[]): Peer {
  return { kind: 'pods', namespaces: { kind: 'selected', selector: [] }, pods };
}

function isOneOf(key: string, value: string): Requirement {
  return { key, operator: 'In', values: [value] };
}

function groupBySize(workloads: readonly Workload[]): ReadonlyMap<number, readonly Workload[]> {
  const groups = new Map<number, Workload[]>();
  for (const workload of workloads) {
    const group = groups.get(workload.size);
    if (group === undefined) groups.set(workload.size, [workload]);
    else group.push(workload);
  }
  return groups;
}

/** A workload of that size, or of the next smaller one that there is. */
function ofSize(groups: ReadonlyMap<number, readonly Workload[]>, size: number, random: Random): Workload {
  for (let own = size; own > 0; own--) {
    const group = groups.get(own);
    if (group !== undefined) return random.pick(group);
  }
  return random.pick([...groups.values()][0]!);
}
