/**
 * Connections to ask about in a generated world: between pods, and between pods and addresses at the edges of the blocks that
 * policies name, on ports that pods and policies name and their neighbours, where evaluators go wrong.
 */
import { type AddressText, familyOf, formatAddress } from '../model/address.ts';
import { parseCidr } from '../model/cidr.ts';
import type { Pod, Snapshot } from '../model/cluster.ts';
import type { EndpointRef, Flow } from '../model/flow.ts';
import type { Policy, Rule } from '../model/policy.ts';
import { PORT_PROTOCOLS } from '../model/port.ts';
import { createRandom, type Random } from './random.ts';

/** What to ask about, and how often. */
export interface FlowOptions {
  readonly snapshot: Snapshot;
  readonly policies: readonly Policy[];
  readonly count: number;
  readonly seed: number;
}

/** TCP, UDP and SCTP connections between addresses of one family, one end a pod; the same options give equal flows. */
export function generateFlows({ snapshot, policies, count, seed }: FlowOptions): Flow[] {
  const random = createRandom(seed, 'flow');
  const pods = snapshot.pods.filter(({ addresses, hostNetwork }) => addresses.length > 0 && !hostNetwork);
  const rules = policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]);
  const outside = edgesOf(rules);
  const ports = portsOf(rules);
  const flows: Flow[] = [];
  if (pods.length === 0) return flows;
  while (flows.length < count) {
    const pod = pick(random, pods);
    const own = pick(random, pod.addresses);
    const family = familyOf(own);
    const isOutside = random.below(3) === 0;
    const others = outside.filter((address) => familyOf(address) === family);
    const peer = pick(random, pods);
    const met =
      isOutside && others.length > 0
        ? pick(random, others)
        : (peer.addresses.find((address) => familyOf(address) === family) ?? own);
    const isOutbound = random.below(2) === 0;
    const [src, dst] = isOutbound ? [own, met] : [met, own];
    const target = isOutbound ? (isOutside ? undefined : peer) : pod;
    flows.push({ src: endOf(src), dst: endOf(dst), ...contentOf(random, target, ports) });
  }
  return flows;
}

function endOf(address: AddressText): EndpointRef {
  return { kind: 'address', address };
}

/** Mostly a port that the destination declares. */
function contentOf(
  random: Random,
  target: Pod | undefined,
  ports: readonly number[],
): { readonly protocol: number; readonly port: number } {
  if (target !== undefined && target.ports.length > 0 && random.below(4) > 0) {
    const { protocol, port } = pick(random, target.ports);
    return { protocol: PORT_PROTOCOLS[protocol], port };
  }
  const protocol = pick(random, [PORT_PROTOCOLS.TCP, PORT_PROTOCOLS.TCP, PORT_PROTOCOLS.UDP, PORT_PROTOCOLS.SCTP]);
  return { protocol, port: pick(random, ports) };
}

/** First and last address of every block. */
function edgesOf(rules: readonly Rule[]): AddressText[] {
  const found = new Set<AddressText>(['203.0.113.9' as AddressText, '2001:db8::9' as AddressText]);
  for (const { peers = [] } of rules)
    for (const peer of peers) {
      if (peer.kind !== 'ipBlock') continue;
      for (const cidr of [peer.cidr, ...peer.except]) {
        const bits = parseCidr(cidr)!;
        found.add(formatAddress(bits.family, bits.first));
        const width = bits.family === 4 ? 1 : 4;
        const last = bits.first.map((word, index) => {
          const kept = Math.min(32, Math.max(0, bits.length - 32 * index));
          return index >= width || kept === 32 ? word : word | (0xffffffff >>> kept);
        });
        found.add(formatAddress(bits.family, last));
      }
    }
  return [...found];
}

/** Every number that a rule names, and its neighbours. */
function portsOf(rules: readonly Rule[]): number[] {
  const found = new Set([53, 80, 443]);
  for (const { ports = [] } of rules)
    for (const port of ports)
      if (port.kind === 'range')
        for (const near of [port.first - 1, port.first, port.last, port.last + 1])
          if (near >= 1 && near <= 65_535) found.add(near);
  return [...found];
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)]!;
}
