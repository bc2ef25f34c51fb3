/**
 * Synthetic clusters: namespaces, nodes, workloads with their pods, Services. The first thing that `generate` makes; policies and traffic
 * are made for it. Addresses: pods in 10.64.0.0/10 and fd64::/16 by node, Services in 10.32.0.0/12, nodes in 10.16.0.0/12; none occurs twice.
 */
import { type AddressText, formatAddress, formatIpv4 } from '../model/address.ts';
import { type Cidr, formatCidr } from '../model/cidr.ts';
import type { ContainerPort, Namespace, Node, Pod, Service, Snapshot } from '../model/cluster.ts';
import { type Labels, NAMESPACE_NAME_LABEL } from '../model/label.ts';
import type { Position } from '../model/policy.ts';
import { createRandom } from './random.ts';

/**
 * How pods spread over namespaces: `production` about 9 to a namespace (5,413 pods in 604 namespaces were published for one real
 * cluster), `wide` 4 (many tenants), `deep` 1,000 (few, large namespaces).
 */
export type ClusterShape = 'production' | 'wide' | 'deep';

/** What to make. */
export interface ClusterOptions {
  /** Pods of workloads, DNS included; at least 4. */
  readonly pods: number;
  readonly seed: number;
  readonly shape: ClusterShape;
}

/** What a pod of a tier listens on. */
interface Tier {
  readonly name: string;
  readonly port: ContainerPort;
}

const PODS_PER_NAMESPACE: Readonly<Record<ClusterShape, number>> = { production: 9, wide: 4, deep: 1000 };
const PODS_PER_NODE = 60;
const NODES_MAX = 16_384;
const TIERS: readonly Tier[] = [
  { name: 'frontend', port: { name: 'http', port: 8080, protocol: 'TCP' } },
  { name: 'backend', port: { name: 'api', port: 5678, protocol: 'TCP' } },
  { name: 'cache', port: { name: 'redis', port: 6379, protocol: 'TCP' } },
  { name: 'db', port: { name: 'sql', port: 5432, protocol: 'TCP' } },
  { name: 'metrics', port: { name: 'statsd', port: 8125, protocol: 'UDP' } },
];
const DNS_PORTS: readonly ContainerPort[] = [
  { name: 'dns', port: 53, protocol: 'UDP' },
  { name: 'dns-tcp', port: 53, protocol: 'TCP' },
];
const TEAMS = ['payments', 'search', 'media', 'identity', 'logistics', 'platform'] as const;
const STAGES = ['prod', 'prod', 'prod', 'staging', 'dev'] as const;

/** A cluster of the shape asked for; the same options give an equal snapshot. Throws where the address plan is too small. */
export function generateCluster({ pods: podCount, seed, shape }: ClusterOptions): Snapshot {
  const random = createRandom(seed, `cluster ${shape}`);
  const nodeCount = Math.ceil(podCount / PODS_PER_NODE);
  if (podCount < 4 || nodeCount > NODES_MAX) throw outOfRange(4, podCount);
  const namespaces: Namespace[] = [
    makeNamespace('kube-system', [
      ['team', 'platform'],
      ['stage', 'prod'],
    ]),
  ];
  const pods: Pod[] = [];
  const services: Service[] = [];

  const addWorkload = (
    namespace: string,
    name: string,
    size: number,
    labels: Labels,
    ports: readonly ContainerPort[],
  ) => {
    const workload = { kind: 'Deployment', namespace, name };
    for (let index = 0; index < size; index++) pods.push(makePod(pods.length, workload, labels, ports));
    const selector = new Map([...labels].filter(([key]) => key === 'app' || key === 'k8s-app'));
    services.push(makeService(services.length, namespace, name, selector, ports));
  };

  addWorkload('kube-system', 'kube-dns', 2, new Map([['k8s-app', 'kube-dns']]), DNS_PORTS);
  while (pods.length < podCount) {
    const namespace = `ns-${namespaces.length}`;
    const team = random.pick(TEAMS);
    namespaces.push(
      makeNamespace(namespace, [
        ['team', team],
        ['stage', random.pick(STAGES)],
      ]),
    );
    // Twice the mean minus one at most, so that the mean is kept and sizes differ.
    let left = Math.min(podCount - pods.length, 1 + random.below(2 * PODS_PER_NAMESPACE[shape] - 1));
    for (let number = 0; left > 0; number++) {
      const tier = TIERS[number % TIERS.length]!;
      const size = Math.min(left, 1 + random.skewed(shape === 'deep' ? 60 : 8));
      const name = number < TIERS.length ? tier.name : `${tier.name}-${Math.floor(number / TIERS.length)}`;
      const labels = new Map([
        ['app', name],
        ['tier', tier.name],
        ['version', `v${1 + random.skewed(4)}`],
      ]);
      addWorkload(namespace, name, size, labels, [tier.port]);
      left -= size;
    }
  }

  return { namespaces, pods, nodes: makeNodes(nodeCount), services, endpointSlices: [] };
}

/** Workloads of given sizes, each with pods, one label `app` and a Service; for shapes that say exactly what is where. */
export function assembleCluster(
  namespaceNames: readonly string[],
  workloads: readonly { readonly namespace: string; readonly name: string; readonly size: number }[],
  labelsOf: (pod: number) => readonly (readonly [string, string])[],
): Snapshot {
  const podCount = workloads.reduce((sum, { size }) => sum + size, 0);
  const nodeCount = Math.ceil(podCount / PODS_PER_NODE);
  if (podCount < 1 || nodeCount > NODES_MAX) throw outOfRange(1, podCount);
  const pods: Pod[] = [];
  const services: Service[] = [];
  workloads.forEach(({ namespace, name, size }, index) => {
    const { port } = TIERS[index % TIERS.length]!;
    const workload = { kind: 'Deployment', namespace, name };
    const shared = [['app', name] as const];
    for (let member = 0; member < size; member++) {
      const own = labelsOf(pods.length);
      pods.push(
        makePod(pods.length, workload, own.length === 0 ? new Map(shared) : new Map([...shared, ...own]), [port]),
      );
    }
    services.push(makeService(services.length, namespace, name, new Map(shared), [port]));
  });
  const namespaces = namespaceNames.map((name) => makeNamespace(name, []));
  return { namespaces, pods, nodes: makeNodes(nodeCount), services, endpointSlices: [] };
}

function makePod(number: number, workload: Pod['workload'], labels: Labels, ports: readonly ContainerPort[]): Pod {
  return {
    namespace: workload.namespace,
    name: `${workload.name}-${suffix(number)}`,
    labels,
    addresses: podAddresses(number),
    phase: 'Running',
    hostNetwork: false,
    node: `node-${Math.floor(number / PODS_PER_NODE)}`,
    ports,
    workload,
    count: 1,
    isStandIn: false,
    position: position(number),
  };
}

function makeService(
  number: number,
  namespace: string,
  name: string,
  selector: Labels,
  ports: readonly ContainerPort[],
): Service {
  return {
    namespace,
    name,
    type: 'ClusterIP',
    clusterAddresses: [formatIpv4(0x0a200000 + number + 1)],
    externalAddresses: [],
    ports: ports.map((port) => ({
      ...(port.name === undefined ? {} : { name: port.name }),
      protocol: port.protocol,
      port: port.port,
      targetPort: port.port,
    })),
    selector,
    isHeadless: false,
    position: position(number),
  };
}

function makeNodes(count: number): Node[] {
  return Array.from({ length: count }, (_, number) => makeNode(number));
}

function makeNamespace(name: string, labels: readonly (readonly [string, string])[]): Namespace {
  return { name, labels: new Map([[NAMESPACE_NAME_LABEL, name], ...labels]) };
}

function makeNode(number: number): Node {
  const v4 = new Uint32Array([0x0a400000 + (number << 8), 0, 0, 0]);
  const v6 = new Uint32Array([0xfd640000, number, 0, 0]);
  const podCidrs: readonly Cidr[] = [formatCidr(4, v4, 24), formatCidr(6, v6, 64)];
  const labels = new Map([['kubernetes.io/hostname', `node-${number}`]]);
  return { name: `node-${number}`, labels, addresses: [formatIpv4(0x0a100000 + number + 1)], podCidrs };
}

function podAddresses(number: number): readonly AddressText[] {
  const node = Math.floor(number / PODS_PER_NODE);
  const host = (number % PODS_PER_NODE) + 2;
  return [formatIpv4(0x0a400000 + (node << 8) + host), formatAddress(6, [0xfd640000, node, 0, host])];
}

/** Five letters out of an alphabet like that of generated pod names, different for every number below 20^5. */
function suffix(number: number): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz';
  let text = '';
  for (let rest = number, place = 0; place < 5; place++, rest = Math.floor(rest / 20)) text += alphabet[rest % 20];
  return text;
}

function position(number: number): Position {
  return { file: 'generated', line: number + 1, column: 1 };
}

function outOfRange(least: number, found: number): RangeError {
  return new RangeError(`pods: expected ${least} to ${NODES_MAX * PODS_PER_NODE}, found ${found}`);
}
