/**
 * The world in which nothing can be shared: every pod has a label value of its own, and a policy of its own that admits one other
 * pod. Rows and columns are as many as pods; a dense table would have their product in cells.
 */
import { type AddressText, formatIpv4 } from '../src/model/address.ts';
import type { Pod, Snapshot } from '../src/model/cluster.ts';
import { NAMESPACE_NAME_LABEL, type Selector } from '../src/model/label.ts';
import type { Policy, Position } from '../src/model/policy.ts';

/** `count` pods with a policy each; pod i admits pod 7 i + 1 (modulo `count`) to TCP 80. */
export function adversarial(count: number): { snapshot: Snapshot; policies: readonly Policy[] } {
  const namespace = 'crowd';
  const here = { kind: 'named', namespace } as const;
  const position: Position = { file: 'adversarial', line: 1, column: 1 };
  const select = (index: number): Selector => [{ key: 'app', operator: 'In', values: [`app-${index}`] }];
  const pods = Array.from({ length: count }, (_, index): Pod => {
    const name = `pod-${index}`;
    return {
      namespace,
      name,
      labels: new Map([['app', `app-${index}`]]),
      addresses: [formatIpv4(0x0a00_0000 + index) as AddressText],
      phase: 'Running',
      hostNetwork: false,
      ports: [],
      workload: { kind: 'Pod', namespace, name },
      count: 1,
      isStandIn: false,
      position,
    };
  });
  const policies = pods.map((_, index): Policy => ({
    kind: 'NetworkPolicy',
    namespace,
    name: `policy-${index}`,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: here, pods: select(index) },
    isolates: ['ingress'],
    ingress: [
      {
        index: 0,
        action: 'Accept',
        peers: [{ kind: 'pods', namespaces: here, pods: select((index * 7 + 1) % count) }],
        ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 80 }],
        position,
      },
    ],
    egress: [],
    position,
  }));
  const labels = new Map([[NAMESPACE_NAME_LABEL, namespace]]);
  return {
    snapshot: { namespaces: [{ name: namespace, labels }], pods, nodes: [], services: [], endpointSlices: [] },
    policies,
  };
}
