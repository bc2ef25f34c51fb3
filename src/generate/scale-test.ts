/**
 * The worlds that Antrea's controller is tested on at scale: 25,000 namespaces of 4 pods with a default deny and two policies (`tenants`),
 * 100 namespaces of 1,000 pods and 101 policies (`crowds`), one namespace whose 10,000 policies all select its 10,000 pods (`heap`).
 */
import type { Snapshot } from '../model/cluster.ts';
import { formatCidr } from '../model/cidr.ts';
import { NAMESPACE_NAME_LABEL } from '../model/label.ts';
import type { Direction, Peer, Policy, Rule } from '../model/policy.ts';
import { assembleCluster } from './cluster.ts';
import { createRandom, type Random } from './random.ts';
import { OUTSIDE_FIRST } from './traffic.ts';

/** Names of these shapes. */
export type ScaleTest = 'tenants' | 'crowds' | 'heap';

/** Pods and policies of one namespace, and workloads that its pods belong to. */
const NAMESPACE = {
  tenants: { pods: 4, policies: 3, workloads: 2 },
  crowds: { pods: 1000, policies: 101, workloads: 100 },
  heap: { pods: Infinity, policies: Infinity, workloads: 50 },
} as const;

/** The world; the number of namespaces follows the pods, and policies go to them in turn. */
export function generateScaleTest(
  shape: ScaleTest,
  { pods, policies: count, seed }: { pods: number; policies: number; seed: number },
): { snapshot: Snapshot; policies: readonly Policy[] } {
  const random = createRandom(seed, `scale test ${shape}`);
  const kind = NAMESPACE[shape];
  const perNamespace = Math.min(kind.pods, pods);
  const namespaces = Array.from({ length: Math.ceil(pods / perNamespace) }, (_, index) => `ns-${index + 1}`);
  const workloads = namespaces.flatMap((namespace, index) => {
    const own = Math.min(perNamespace, pods - index * perNamespace);
    const parts = Math.min(kind.workloads, own);
    return Array.from({ length: parts }, (_, part) => ({
      namespace,
      name: `app-${part + 1}`,
      size: Math.floor(own / parts) + (part < own % parts ? 1 : 0),
    }));
  });
  const snapshot = assembleCluster(namespaces, workloads, () => []);
  const policies = Array.from({ length: count }, (_, index): Policy => {
    const namespace = namespaces[shape === 'heap' ? 0 : Math.floor(index / kind.policies) % namespaces.length]!;
    const number = shape === 'heap' ? index + 1 : index % kind.policies;
    const apps = workloads.length < kind.workloads ? workloads.length : kind.workloads;
    return makePolicy(shape, namespace, index, number, apps, random);
  });
  return { snapshot, policies };
}

/** Number 0 denies by default; the others admit a workload of the namespace, now and then addresses outside. */
function makePolicy(
  shape: ScaleTest,
  namespace: string,
  index: number,
  number: number,
  apps: number,
  random: Random,
): Policy {
  const position = { file: 'generated', line: index + 1, column: 1 };
  const direction: Direction = number % 2 === 0 ? 'egress' : 'ingress';
  const app = (): string => `app-${1 + random.below(apps)}`;
  const isOneOf = (key: string, value: string) => ({ key, operator: 'In', values: [value] }) as const;
  const peer = (): Peer =>
    random.chance(10)
      ? { kind: 'ipBlock', cidr: formatCidr(4, [OUTSIDE_FIRST + (random.below(1 << 18) << 8)], 24), except: [] }
      : {
          kind: 'pods',
          namespaces: { kind: 'selected', selector: [isOneOf(NAMESPACE_NAME_LABEL, namespace)] },
          pods: [isOneOf('app', app())],
        };
  const port = 8000 + random.below(100);
  const rules: readonly Rule[] =
    number === 0
      ? []
      : [
          {
            index: 0,
            action: 'Accept',
            peers: [peer()],
            ports: [{ kind: 'range', protocol: 'TCP', first: port, last: port }],
            position,
          },
        ];
  const selectsAll = number === 0 || shape === 'heap';
  return {
    kind: 'NetworkPolicy',
    namespace,
    name: `policy-${index + 1}`,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: { kind: 'named', namespace }, pods: selectsAll ? [] : [isOneOf('app', app())] },
    isolates: number === 0 ? ['ingress', 'egress'] : [direction],
    ingress: direction === 'ingress' ? rules : [],
    egress: direction === 'egress' ? rules : [],
    position,
  };
}
