/**
 * NetworkPolicy -> nftables, as a CNI would do it: labels are resolved to addresses here, in a few lines of their own that share
 * nothing with src/, and blocks, exceptions, families, protocols and ports are left to the kernel. One chain for each pod
 * and direction: a rule that matches returns, what falls through is dropped.
 */
import {
  type RawCluster,
  type RawPeer,
  type RawPod,
  type RawPolicy,
  type RawRule,
  type RawSelector,
  addressText,
} from './cluster.ts';

type Direction = 'ingress' | 'egress';

/** The part of a line that matches the other end; `family` undefined: both. */
interface Match {
  readonly family?: 4 | 6;
  readonly text: string;
}

/**
 * The ruleset of a cluster, replacing what was loaded before. `tracked`: policies are asked for what is NEW, and whatever
 * comes out carries its state in its DSCP: 1 new, 2 established, 3 related, 4 invalid, which no policy drops.
 */
export function createRuleset(cluster: RawCluster, state: 'none' | 'tracked' = 'none'): string {
  const live = cluster.pods.filter(({ phase }) => phase === 'Running' || phase === 'Pending');
  const chains: string[] = [];
  const jumps: string[] = [];
  for (const direction of ['egress', 'ingress'] as const)
    for (const pod of live) {
      const policies = cluster.policies.filter(
        (policy) =>
          policy.namespace === pod.namespace &&
          selects(policy.podSelector, pod.labels) &&
          typesOf(policy).includes(direction),
      );
      if (policies.length === 0) continue;
      const name = `${direction}_${pod.name}`;
      const lines = policies.flatMap((policy) =>
        (policy[direction] ?? []).flatMap((rule) => linesOf(cluster, live, policy, pod, rule, direction)),
      );
      chains.push(`  chain ${name} {\n${[...lines, 'drop'].map((line) => `    ${line}`).join('\n')}\n  }`);
      const field = direction === 'ingress' ? 'daddr' : 'saddr';
      for (const family of pod.families)
        jumps.push(`    ${protocolOf(family)} ${field} ${addressText(pod.number, family)} jump ${name}`);
    }
  const lines = state === 'none' ? jumps : [...STATES.flatMap(markState), ...jumps, ...markState(['new', 1])];
  const forward = `  chain forward {\n    type filter hook forward priority filter; policy accept;\n${lines.join('\n')}\n  }`;
  return `flush ruleset\ntable inet dropcast {\n${[...chains, forward].join('\n')}\n}\n`;
}

const STATES = [
  ['established', 2],
  ['related', 3],
  ['invalid', 4],
] as const;

function markState([state, mark]: readonly [string, number]): string[] {
  return ['ip', 'ip6'].map((family) => `    ct state ${state} ${family} dscp set ${mark} accept`);
}

/** Every line that lets something through: one for each peer, port and family. */
function linesOf(
  cluster: RawCluster,
  live: readonly RawPod[],
  policy: RawPolicy,
  subject: RawPod,
  { peers = [], ports = [] }: RawRule,
  direction: Direction,
): string[] {
  const others: readonly Match[] =
    peers.length === 0 ? [{ text: '' }] : peers.flatMap((peer) => matchesOf(cluster, live, policy, peer, direction));
  if (ports.length === 0) return others.map(({ text }) => `${text} return`);
  return ports.flatMap(({ protocol = 'TCP', port, endPort }) => {
    const l4 = protocol.toLowerCase();
    if (port === undefined) return others.map(({ text }) => `${text} meta l4proto ${l4} return`);
    if (typeof port === 'number')
      return others.map(({ text }) => `${text} ${l4} dport ${port}-${endPort ?? port} return`);
    // A name means what each destination says it means.
    const destinations = direction === 'ingress' ? [subject] : live;
    return destinations.flatMap((pod) =>
      pod.ports
        .filter((own) => own.name === port && own.protocol === protocol)
        .flatMap(({ containerPort }) =>
          pod.families.flatMap((family) =>
            others
              .filter((other) => (other.family ?? family) === family)
              .map(({ text }) => {
                const daddr = `${protocolOf(family)} daddr ${addressText(pod.number, family)}`;
                return `${text} ${daddr} ${l4} dport ${containerPort} return`;
              }),
          ),
        ),
    );
  });
}

function matchesOf(
  cluster: RawCluster,
  live: readonly RawPod[],
  policy: RawPolicy,
  { podSelector, namespaceSelector, ipBlock }: RawPeer,
  direction: Direction,
): Match[] {
  const field = direction === 'ingress' ? 'saddr' : 'daddr';
  if (ipBlock !== undefined) {
    const family = ipBlock.cidr.includes(':') ? 6 : 4;
    const { except = [] } = ipBlock;
    const outside = except.map((cidr) => ` ${protocolOf(family)} ${field} != ${cidr}`).join('');
    // nft drops a match on /0, and the family with it.
    const inside = ipBlock.cidr.endsWith('/0') ? '' : ` ${protocolOf(family)} ${field} ${ipBlock.cidr}`;
    return [{ family, text: `meta nfproto ipv${family}${inside}${outside}` }];
  }
  const pods = live.filter(({ namespace, labels }) => {
    const own = cluster.namespaces.find(({ name }) => name === namespace)!;
    const isInScope =
      namespaceSelector === undefined
        ? namespace === policy.namespace
        : selects(namespaceSelector, { ...own.labels, 'kubernetes.io/metadata.name': namespace });
    return isInScope && selects(podSelector ?? {}, labels);
  });
  return ([4, 6] as const).flatMap((family) => {
    const held = pods.filter(({ families }) => families.includes(family));
    if (held.length === 0) return [];
    const addresses = held.map(({ number }) => addressText(number, family)).join(', ');
    return [{ family, text: `${protocolOf(family)} ${field} { ${addresses} }` }];
  });
}

/** Without policyTypes: ingress always, egress with at least one egress rule. */
function typesOf({ policyTypes = [], egress = [] }: RawPolicy): Direction[] {
  if (policyTypes.length > 0) return policyTypes.map((type) => (type === 'Ingress' ? 'ingress' : 'egress'));
  return egress.length > 0 ? ['ingress', 'egress'] : ['ingress'];
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: RawSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const isListed = value !== undefined && values.includes(value);
      return operator === 'In' ? isListed : !isListed;
    })
  );
}

function protocolOf(family: 4 | 6): string {
  return family === 4 ? 'ip' : 'ip6';
}
