/** A small cluster for the tests of decide: three pods of one namespace, a Service, and short spellings of policies and flows. */
import { compile } from '../../src/compile/compile.ts';
import type { Program } from '../../src/compile/program.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { ContainerPort, Pod, Service, Snapshot } from '../../src/model/cluster.ts';
import { DEFAULT_DIALECT, type Dialect } from '../../src/model/dialect.ts';
import type { EndpointRef, Flow } from '../../src/model/flow.ts';
import type { Selector } from '../../src/model/label.ts';
import type { Peer, Policy, Position, Rule } from '../../src/model/policy.ts';

/** Where everything of these tests was written. */
export const POSITION: Position = { file: 'policy.yaml', line: 1, column: 1 };

/** A pod of namespace `app` whose workload is a Deployment of the same name. */
export function pod(
  name: string,
  address: string,
  labels: Readonly<Record<string, string>>,
  port?: ContainerPort,
): Pod {
  return {
    namespace: 'app',
    name,
    labels: new Map(Object.entries(labels)),
    addresses: [address as AddressText],
    phase: 'Running',
    hostNetwork: false,
    ports: port === undefined ? [] : [port],
    workload: { kind: 'Deployment', namespace: 'app', name },
    count: 1,
    isStandIn: false,
    position: POSITION,
  };
}

/** A backend of `SERVICE` that names a port. */
export const BACKEND_ONE: Pod = pod(
  'one',
  '10.0.0.1',
  { role: 'one', tier: 'backend' },
  { name: 'http', port: 8080, protocol: 'TCP' },
);
/** A backend that does not. */
export const BACKEND_TWO: Pod = pod('two', '10.0.0.2', { role: 'two', tier: 'backend' });
/** The caller. */
export const FRONTEND: Pod = pod('frontend', '10.0.0.9', { role: 'frontend', env: 'test' });
/** Port 80 of a ClusterIP, 8080 of the pods of `tier=backend`. */
export const SERVICE: Service = {
  namespace: 'app',
  name: 'backend',
  type: 'ClusterIP',
  clusterAddresses: ['10.96.0.10' as AddressText],
  externalAddresses: [],
  ports: [{ protocol: 'TCP', port: 80, targetPort: 8080 }],
  selector: new Map([['tier', 'backend']]),
  isHeadless: false,
  position: POSITION,
};

/** `matchLabels`. */
export function equals(labels: Readonly<Record<string, string>>): Selector {
  return Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] }));
}

/** A rule that admits everything, but for what is given. */
export function ruleOf(part: Partial<Rule>): Rule {
  return { index: 0, action: 'Accept', peers: undefined, ports: undefined, position: POSITION, ...part };
}

/** An ingress policy of namespace `app`. */
export function admit(subject: Readonly<Record<string, string>>, ...rules: readonly Rule[]): Policy {
  return {
    kind: 'NetworkPolicy',
    namespace: 'app',
    name: 'admit',
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: { kind: 'named', namespace: 'app' }, pods: equals(subject) },
    isolates: ['ingress'],
    ingress: rules.map((rule, index) => ({ ...rule, index })),
    egress: [],
    position: POSITION,
  };
}

/** The three pods and their Service, and what is given instead, compiled. */
export function program(
  policies: readonly Policy[],
  part: Partial<Snapshot> = {},
  dialect: Partial<Dialect> = {},
): Program {
  return compile(
    {
      namespaces: [{ name: 'app', labels: new Map([['kubernetes.io/metadata.name', 'app']]) }],
      pods: [BACKEND_ONE, BACKEND_TWO, FRONTEND],
      nodes: [],
      services: [SERVICE],
      endpointSlices: [],
      ...part,
    },
    policies,
    { ...DEFAULT_DIALECT, ...dialect },
  );
}

/** Pods of a namespace, by labels. */
export function peerOf(labels: Readonly<Record<string, string>>, namespace = 'app'): Peer {
  return { kind: 'pods', namespaces: { kind: 'named', namespace }, pods: equals(labels) };
}

/** TCP of a pod of `app`. */
export function flowTo(destination: EndpointRef, port: number | undefined = 8080, source = 'frontend'): Flow {
  return {
    src: { kind: 'name', namespace: 'app', name: source },
    dst: destination,
    protocol: 6,
    ...(port !== undefined && { port }),
  };
}

/** The first backend by name. */
export const ONE: EndpointRef = { kind: 'name', namespace: 'app', name: 'one' };
/** The Service's ClusterIP. */
export const CLUSTER_ADDRESS: EndpointRef = { kind: 'address', address: '10.96.0.10' as AddressText };
