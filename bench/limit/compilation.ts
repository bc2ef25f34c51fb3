/** Compilation of large worlds, each in a fresh process: what a user waits for includes code that is not yet optimised. */
import { compile } from '../../src/compile/compile.ts';
import { generateCluster } from '../../src/generate/cluster.ts';
import type { Snapshot } from '../../src/model/cluster.ts';
import type { Policy } from '../../src/model/policy.ts';
import { makeWorld } from './decision.ts';
import { HASH_START, mixHash, type OpenJob } from './job.ts';

/** `values.pods`, `values.policies`; `values.adversarial` 1: one policy a pod, which admits one other pod. */
export const openCompile: OpenJob = (_, { values }) => {
  const pods = values['pods']!;
  const { snapshot, policies } =
    values['adversarial'] === 1 ? makeAdversarial(pods) : makeWorld({ pods, policies: values['policies']! });
  let bytes = 0;
  let endpoints = 0;
  return {
    count: policies.length,
    run: () => {
      const program = compile(snapshot, policies);
      bytes = program.buffer.byteLength;
      endpoints = program.endpoints.length;
    },
    first: () => mixHash(HASH_START, endpoints),
    bytes: () => bytes,
  };
};

/** Every pod has a label of its own and a policy that selects it and admits its neighbour alone: nothing can be shared. */
function makeAdversarial(count: number): { snapshot: Snapshot; policies: readonly Policy[] } {
  const cluster = generateCluster({ pods: count, seed: 1, shape: 'deep' });
  const own = (index: number): string => `pod-${index}`;
  const snapshot = {
    ...cluster,
    pods: cluster.pods.map((pod, index) => ({ ...pod, labels: new Map([...pod.labels, ['own', own(index)]]) })),
  };
  const policies = snapshot.pods.map((pod, index): Policy => {
    const other = (index + 1) % snapshot.pods.length;
    const position = { file: 'adversarial', line: index + 1, column: 1 };
    const selects = (pods: number): Policy['subject'] => ({
      namespaces: { kind: 'named', namespace: snapshot.pods[pods]!.namespace },
      pods: [{ key: 'own', operator: 'In', values: [own(pods)] }],
    });
    return {
      kind: 'NetworkPolicy',
      namespace: pod.namespace,
      name: own(index),
      tier: 'networkpolicy',
      priority: 0,
      subject: selects(index),
      isolates: ['ingress'],
      ingress: [
        { index: 0, action: 'Accept', peers: [{ kind: 'pods', ...selects(other) }], ports: undefined, position },
      ],
      egress: [],
      position,
    };
  });
  return { snapshot, policies };
}
