/**
 * The policy store of a production cluster that Calico's policy checker is benchmarked with: 294 policies of 68 rules, 24.2 % of which name
 * one of 3,708 sets of together about 256,000 addresses, most sets small and one of 54,566. Calico's rules deny or pass as well; a
 * NetworkPolicy can only allow, so here every rule does: what it costs to hold and to look them up is the same.
 */
import { formatCidr } from '../model/cidr.ts';
import type { Snapshot } from '../model/cluster.ts';
import type { Peer, Policy, Rule } from '../model/policy.ts';
import { generateCluster } from './cluster.ts';
import { createRandom, type Random } from './random.ts';
import { OUTSIDE_FIRST } from './traffic.ts';

/** The published number of policies, and pods to go with them. */
export const STORE = { pods: 1000, policies: 294 } as const;

const RULES = 68;
const SET_PERCENT = 24.2;
/** How many sets have so many members: [from, to, count]. */
const SET_SIZES = [
  [0, 0, 4],
  [1, 9, 3035],
  [10, 99, 446],
  [100, 999, 64],
  [1000, 1040, 158],
  [54_566, 54_566, 1],
] as const;

/** The world; sets are as many as the policies ask for, in proportion. */
export function generateStore({ pods, policies: count, seed }: { pods: number; policies: number; seed: number }): {
  snapshot: Snapshot;
  policies: readonly Policy[];
} {
  const snapshot = generateCluster({ pods, seed, shape: 'production' });
  const random = createRandom(seed, 'store');
  const sizes = SET_SIZES.flatMap(([from, to, sets]) =>
    Array.from(
      { length: Math.round((sets * Math.min(count, STORE.policies)) / STORE.policies) },
      () => from + random.skewed(to - from + 1),
    ),
  );
  const sets = sizes.map((size) => makeSet(size, random));
  // Every set is named once before any is named again.
  let named = 0;
  const peersOf = (): readonly Peer[] => {
    const set = sets[named < sets.length ? named : random.below(sets.length)];
    named++;
    // An empty set admits nobody, which an empty list of peers would not say.
    return set === undefined || set.length === 0 ? [formatHost(0)] : set;
  };
  const policies = Array.from({ length: count }, (_, index): Policy => {
    const subject = random.pick(snapshot.pods);
    const position = { file: 'generated', line: index + 1, column: 1 };
    const rules = Array.from({ length: RULES }, (_unused, number): Rule => {
      const port = 1 + random.below(65_000);
      return {
        index: number,
        action: 'Accept',
        peers: random.chance(SET_PERCENT) ? peersOf() : [blockOf(random)],
        ports: [
          { kind: 'range', protocol: random.chance(80) ? 'TCP' : 'UDP', first: port, last: port + random.below(3) },
        ],
        position,
      };
    });
    return {
      kind: 'NetworkPolicy',
      namespace: subject.namespace,
      name: `baseline-${index + 1}`,
      tier: 'networkpolicy',
      priority: 0,
      subject: { namespaces: { kind: 'named', namespace: subject.namespace }, pods: [] },
      isolates: ['ingress'],
      ingress: rules,
      egress: [],
      position,
    };
  });
  return { snapshot, policies };
}

/** Addresses that lie near each other, as those of one service do. */
function makeSet(size: number, random: Random): readonly Peer[] {
  const base = random.below(0x0400_0000);
  const step = 1 + random.below(16);
  return Array.from({ length: size }, (_, member) => formatHost((base + member * step) % 0x0400_0000));
}

function formatHost(number: number): Peer {
  return { kind: 'ipBlock', cidr: formatCidr(4, [OUTSIDE_FIRST + number], 32), except: [] };
}

function blockOf(random: Random): Peer {
  const length = 8 + random.below(17);
  const size = 2 ** (32 - length);
  const address = OUTSIDE_FIRST + random.below(0x0400_0000);
  return { kind: 'ipBlock', cidr: formatCidr(4, [Math.floor(address / size) * size], length), except: [] };
}
