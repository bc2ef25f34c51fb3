/** The edges of a world: every address and port that it mentions, and their neighbours, where a wrong comparison shows. */
import { type AddressText, canonicalAddress, familyOf, formatAddress } from '../model/address.ts';
import { type Cidr, parseCidr } from '../model/cidr.ts';
import type { World } from '../model/evaluator.ts';
import { PORT_NUMBERS } from './vocabulary.ts';

/** Every address that a world mentions, and those just inside and outside of every block. */
export function edgeAddresses(world: World): AddressText[] {
  const { snapshot, policies } = world;
  const found = new Set<AddressText>(['203.0.113.9', '2001:db8::9', '10.0.0.77'].map((text) => text as AddressText));
  for (const pod of snapshot.pods) for (const own of pod.addresses) found.add(own);
  for (const node of snapshot.nodes) for (const own of node.addresses) found.add(own);
  for (const service of snapshot.services)
    for (const own of [...service.clusterAddresses, ...service.externalAddresses]) found.add(own);
  const blocks = snapshot.nodes.flatMap((node) => [...node.podCidrs]);
  for (const policy of policies)
    for (const rule of [...policy.ingress, ...policy.egress])
      for (const peer of rule.peers ?? []) if (peer.kind === 'ipBlock') blocks.push(peer.cidr, ...peer.except);
  for (const cidr of blocks) for (const address of edgesOf(cidr)) found.add(address);
  return [...found];
}

/** Every port that a world mentions, and its neighbours. */
export function edgePorts(world: World): number[] {
  const ports = new Set<number>([1, 65_535, ...PORT_NUMBERS]);
  const add = (port: number | undefined): void => {
    if (port === undefined) return;
    for (const near of [port - 1, port, port + 1]) if (near >= 0 && near <= 65_535) ports.add(near);
  };
  for (const service of world.snapshot.services) for (const own of service.ports) [own.port, own.nodePort].forEach(add);
  for (const pod of world.snapshot.pods) for (const own of pod.ports) [own.port, own.hostPort].forEach(add);
  for (const policy of world.policies)
    for (const rule of [...policy.ingress, ...policy.egress])
      for (const match of rule.ports ?? []) if (match.kind === 'range') [match.first, match.last].forEach(add);
  return [...ports];
}

/** The first and last address of a block, and those just outside. */
export function edgesOf(cidr: Cidr): AddressText[] {
  const { family, first, length } = parseCidr(cidr)!;
  const last = lastOf(first, length, family);
  const steps: readonly (readonly [Uint32Array, number])[] = [
    [first, 0],
    [first, -1],
    [last, 0],
    [last, 1],
  ];
  return (
    steps
      .map(([words, step]) => formatAddress(family, addTo(words, step, family)))
      // ::ffff:0:0/96 is IPv4 written as IPv6; no reader gives it.
      .filter((text) => familyOf(text) === family && canonicalAddress(text) === text)
  );
}

export function isInside(inner: Cidr, outer: Cidr): boolean {
  const a = parseCidr(inner)!;
  const b = parseCidr(outer)!;
  if (a.length <= b.length) return false;
  const last = lastOf(b.first, b.length, b.family);
  return compareWords(b.first, a.first) <= 0 && compareWords(a.first, last) <= 0;
}

function compareWords(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let word = 0; word < 4; word++) if (a[word] !== b[word]) return a[word]! - b[word]!;
  return 0;
}

export function lastOf(first: Uint32Array, length: number, family: 4 | 6): Uint32Array {
  const last = Uint32Array.from(first);
  for (let bit = length; bit < (family === 4 ? 32 : 128); bit++) last[bit >> 5]! |= 1 << (31 - (bit & 31));
  return last;
}

/** An address and a step of -1, 0 or 1, around the ends of the family's space. */
function addTo(words: Uint32Array, step: number, family: 4 | 6): Uint32Array {
  const sum = Uint32Array.from(words);
  for (let word = family === 4 ? 0 : 3; word >= 0 && step !== 0; word--) {
    const value = sum[word]! + step;
    sum[word] = value;
    step = value < 0 ? -1 : value > 0xffffffff ? 1 : 0;
  }
  return sum;
}
