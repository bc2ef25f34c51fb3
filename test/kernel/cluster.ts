/**
 * Random clusters and policies as plain Kubernetes objects, and packets that ask at their edges. Pods live at addresses that the
 * lab routes (frame.ts); both the ruleset of the kernel and the manifests of the engine are made from these objects.
 */
import type { Row } from '../track/row.ts';
import type { Random } from './traffic.ts';

/** `metadata.labels`. */
export type RawLabels = Readonly<Record<string, string>>;

/** meta/v1.LabelSelector. */
export interface RawSelector {
  readonly matchLabels?: RawLabels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

/** NetworkPolicyPeer. */
export interface RawPeer {
  readonly podSelector?: RawSelector;
  readonly namespaceSelector?: RawSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

/** NetworkPolicyPort. */
export interface RawPort {
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
  readonly port?: number | string;
  readonly endPort?: number;
}

/** One rule; `peers` is `from` or `to`. */
export interface RawRule {
  readonly peers?: readonly RawPeer[];
  readonly ports?: readonly RawPort[];
}

/** A policy, before it is written as a manifest. */
export interface RawPolicy {
  readonly namespace: string;
  readonly podSelector: RawSelector;
  readonly policyTypes?: readonly ('Ingress' | 'Egress')[];
  readonly ingress?: readonly RawRule[];
  readonly egress?: readonly RawRule[];
}

/** A pod; `number` is its IPv4 address, `families` those that it has an address of. */
export interface RawPod {
  readonly name: string;
  readonly namespace: string;
  readonly labels: RawLabels;
  readonly number: number;
  readonly families: readonly (4 | 6)[];
  readonly phase: 'Running' | 'Pending' | 'Succeeded' | 'Failed';
  readonly ports: readonly { readonly name: string; readonly containerPort: number; readonly protocol: string }[];
}

/** A cluster with its policies. */
export interface RawCluster {
  readonly namespaces: readonly { readonly name: string; readonly labels: RawLabels }[];
  readonly pods: readonly RawPod[];
  readonly policies: readonly RawPolicy[];
}

const KEYS = ['app', 'tier'];
const VALUES = ['x', 'y', ''];
const NAMES = ['http', 'dns'];
const NUMBERS = [53, 80, 81, 8080];
const SIDES = [0x0a4e_0000, 0x0a4f_0000] as const;
const PODS_PER_SIDE = 6;
/** Addresses that no pod has, inside and outside of the blocks. */
const STRANGERS = [0x0001, 0x0107];
const BLOCKS: readonly (readonly string[])[] = [
  ['0.0.0.0/0', '10.78.0.0/15', '10.78.0.0/16', '10.78.1.0/29', '10.78.1.2/31', '10.78.1.2/32'],
  ['0.0.0.0/0', '10.79.0.0/16', '10.79.1.0/28', '10.79.1.4/30', '10.79.1.5/32'],
  ['::/0', 'fd4e::/16', 'fd4e::a4e:100/125', 'fd4e::a4e:102/127', 'fd4e::a4e:103/128'],
  ['::/0', 'fd00::/8', 'fd4f::/16', 'fd4f::a4f:100/126', 'fd4f::a4f:101/128'],
];

/** The text of an address in a family, as `frameOf` writes it. */
export function addressText(number: number, family: 4 | 6): string {
  const [high, low] = [number >>> 16, number & 0xffff];
  if (family === 4) return [high >>> 8, high & 255, low >>> 8, low & 255].join('.');
  return `fd${(high & 255).toString(16)}::${high.toString(16)}:${low.toString(16)}`;
}

/** A cluster of a dozen pods and up to seven policies. */
export function createCluster(random: Random): RawCluster {
  const namespaces = ['a', 'b', 'c'].map((name) => ({ name, labels: createLabels(random) }));
  const pods = SIDES.flatMap((side, which) =>
    Array.from({ length: PODS_PER_SIDE }, (_, index): RawPod => ({
      name: `p${which}${index}`,
      namespace: random.pick(['a', 'a', 'a', 'a', 'b', 'c']),
      labels: createLabels(random),
      number: side + 0x0100 + index,
      families: random.pick([[4, 6], [4, 6], [4, 6], [4], [6]] as const),
      phase: random.pick(['Running', 'Running', 'Running', 'Running', 'Pending', 'Succeeded', 'Failed'] as const),
      ports: NAMES.flatMap((name) =>
        random.below(2) === 0
          ? []
          : [{ name, containerPort: random.pick(NUMBERS), protocol: random.pick(['TCP', 'TCP', 'UDP']) }],
      ),
    })),
  );
  const policies = Array.from({ length: 2 + random.below(6) }, () => createPolicy(random));
  return { namespaces, pods, policies };
}

/** Packets across the lab, each an opening; ports are those that rules and pods mention, and their neighbours. */
export function createPackets(random: Random, { pods, policies }: RawCluster, count: number): Row[] {
  const ends = SIDES.map((side, which) => [
    ...pods.filter(({ number }) => number >>> 16 === SIDES[which]! >>> 16).map(({ number }) => number),
    ...STRANGERS.map((low) => side + low),
  ]);
  const ports = [...NUMBERS];
  for (const { ingress = [], egress = [] } of policies)
    for (const { ports: list = [] } of [...ingress, ...egress])
      for (const { port, endPort } of list)
        if (typeof port === 'number') ports.push(port - 1, port, endPort ?? port, (endPort ?? port) + 1);
  const legal = ports.filter((port) => port > 0 && port < 65_536);
  return Array.from({ length: count }, (): Row => {
    const from = random.below(2);
    const family = random.pick([4, 6] as const);
    const protocol = random.pick([6, 6, 6, 6, 17, 17, 132, family === 4 ? 1 : 58]);
    const base: Row = { protocol, family, src: random.pick(ends[from]!), dst: random.pick(ends[1 - from]!) };
    if (protocol === 1 || protocol === 58) return { ...base, icmp: (protocol === 1 ? 8 : 128) << 8, srcPort: 7 };
    const own: Row = { ...base, srcPort: random.pick([...legal, 40_000]), dstPort: random.pick(legal) };
    if (protocol === 6) return { ...own, flags: 'S' };
    return protocol === 132 ? { ...own, chunks: [1], tag: 0, initTag: 0x11 } : own;
  });
}

/** The manifests of a cluster: a JSON list, as kubectl prints one. */
export function writeManifest({ namespaces, pods, policies }: RawCluster): string {
  const rule = (side: 'from' | 'to', { peers, ports }: RawRule): object => ({
    ...(peers !== undefined && { [side]: peers }),
    ...(ports !== undefined && { ports }),
  });
  const items = [
    ...namespaces.map((metadata) => ({ apiVersion: 'v1', kind: 'Namespace', metadata })),
    ...pods.map(({ name, namespace, labels, number, families, phase, ports }) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels },
      spec: { containers: [{ name: 'main', image: 'main', ports }] },
      status: { phase, podIPs: families.map((family) => ({ ip: addressText(number, family) })) },
    })),
    ...policies.map(({ namespace, podSelector, policyTypes, ingress, egress }, index) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `policy-${index}`, namespace },
      spec: {
        podSelector,
        ...(policyTypes !== undefined && { policyTypes }),
        ...(ingress !== undefined && { ingress: ingress.map((own) => rule('from', own)) }),
        ...(egress !== undefined && { egress: egress.map((own) => rule('to', own)) }),
      },
    })),
  ];
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

function createLabels(random: Random): RawLabels {
  return Object.fromEntries(
    KEYS.flatMap((key): [string, string][] => (random.below(3) === 0 ? [] : [[key, random.pick(VALUES)]])),
  );
}

function createSelector(random: Random): RawSelector {
  const matchLabels: RawLabels = { [random.pick(KEYS)]: random.pick(VALUES) };
  const operator = random.pick(['In', 'NotIn', 'NotIn', 'Exists', 'DoesNotExist'] as const);
  const values =
    operator === 'In' || operator === 'NotIn' ? { values: [random.pick(VALUES), random.pick(VALUES)] } : {};
  const matchExpressions = [{ key: random.pick(KEYS), operator, ...values }];
  return random.pick([
    {},
    {},
    { matchLabels },
    { matchLabels },
    { matchExpressions },
    { matchLabels, matchExpressions },
  ]);
}

function createPeer(random: Random): RawPeer {
  const podSelector = createSelector(random);
  const byName = { matchLabels: { 'kubernetes.io/metadata.name': random.pick(['a', 'b', 'c']) } };
  const namespaceSelector = random.below(3) === 0 ? byName : createSelector(random);
  const group = random.pick(BLOCKS);
  const at = random.below(group.length);
  const except = group.slice(at + 1).filter(() => random.below(3) === 0);
  const ipBlock = { cidr: group[at]!, ...(except.length > 0 && { except }) };
  return random.pick<RawPeer>([
    { podSelector },
    { namespaceSelector },
    { podSelector, namespaceSelector },
    { ipBlock },
    { ipBlock },
  ]);
}

function createPort(random: Random): RawPort {
  const protocol = random.pick([undefined, undefined, 'TCP', 'UDP', 'SCTP'] as const);
  const port = random.pick([undefined, ...NUMBERS, ...NUMBERS, ...NAMES]);
  const endPort = typeof port === 'number' && random.below(3) === 0 ? port + random.pick([0, 1, 20]) : undefined;
  return {
    ...(protocol !== undefined && { protocol }),
    ...(port !== undefined && { port }),
    ...(endPort !== undefined && { endPort }),
  };
}

function createRules(random: Random): RawRule[] | undefined {
  const list = <T>(make: (random: Random) => T): T[] | undefined =>
    random.pick([
      undefined,
      [],
      ...[1, 1, 1, 1, 2, 2].map((count) => Array.from({ length: count }, () => make(random))),
    ]);
  const rule = (): RawRule => {
    const [peers, ports] = [list(createPeer), list(createPort)];
    return { ...(peers !== undefined && { peers }), ...(ports !== undefined && { ports }) };
  };
  return random.pick([undefined, [], [rule()], [rule()], [rule(), rule()]]);
}

function createPolicy(random: Random): RawPolicy {
  const policyTypes = random.pick([undefined, [], ['Ingress'], ['Egress'], ['Ingress', 'Egress']] as const);
  const [ingress, egress] = [createRules(random), createRules(random)];
  return {
    namespace: random.pick(['a', 'a', 'a', 'a', 'b', 'c']),
    podSelector: random.below(2) === 0 ? {} : createSelector(random),
    ...(policyTypes !== undefined && { policyTypes }),
    ...(ingress !== undefined && { ingress }),
    ...(egress !== undefined && { egress }),
  };
}
