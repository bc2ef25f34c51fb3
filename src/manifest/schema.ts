/**
 * The fields of every object kind that is read, as data. `closed` objects are the policy kinds: every field of the API is
 * listed and any other is unknown. `open` objects list only what the forecast needs; the rest passes unseen. The Go names
 * are there because the API server's type errors speak of them.
 */

/** How one value must look; `go` is the type's name in the API server's messages. */
export type Schema =
  | { readonly type: 'string' | 'boolean' | 'time' | 'intOrString' | 'any'; readonly go: string }
  | { readonly type: 'integer'; readonly go: string; readonly bits: 32 | 64 }
  | { readonly type: 'list'; readonly go: string; readonly item: Schema }
  | { readonly type: 'map'; readonly go: string; readonly value: Schema }
  | ObjectSchema;

/** An object with named fields. */
export interface ObjectSchema {
  readonly type: 'object';
  readonly go: string;
  /** Without package, as in `Go struct field NetworkPolicySpec.spec...`. */
  readonly name: string;
  readonly fields: Readonly<Record<string, Schema>>;
  /** Of the fields. */
  readonly names: readonly string[];
  readonly extent: 'closed' | 'open';
}

const text: Schema = { type: 'string', go: 'string' };
const boolean: Schema = { type: 'boolean', go: 'bool' };
const int32: Schema = { type: 'integer', go: 'int32', bits: 32 };
const int64: Schema = { type: 'integer', go: 'int64', bits: 64 };
const time: Schema = { type: 'time', go: 'v1.Time' };
const any: Schema = { type: 'any', go: 'interface {}' };
const intOrString: Schema = { type: 'intOrString', go: 'intstr.IntOrString' };
const textMap: Schema = { type: 'map', go: 'map[string]string', value: text };

const closed = (name: string, fields: Record<string, Schema>): ObjectSchema => ({
  type: 'object',
  go: `v1.${name}`,
  name,
  fields,
  names: Object.keys(fields),
  extent: 'closed',
});
const open = (name: string, fields: Record<string, Schema>): ObjectSchema => ({
  ...closed(name, fields),
  extent: 'open',
});
const list = (item: Schema): Schema => ({ type: 'list', go: `[]${item.go}`, item });
const named = (go: string): Schema => ({ type: 'string', go });

/** meta/v1.ObjectMeta in full, with what old dumps still carry (`clusterName`, `initializers` are long gone: unknown). */
const objectMeta = closed('ObjectMeta', {
  name: text,
  generateName: text,
  namespace: text,
  selfLink: text,
  uid: named('types.UID'),
  resourceVersion: text,
  generation: int64,
  creationTimestamp: time,
  deletionTimestamp: time,
  deletionGracePeriodSeconds: int64,
  labels: textMap,
  annotations: textMap,
  ownerReferences: list(
    closed('OwnerReference', {
      apiVersion: text,
      kind: text,
      name: text,
      uid: named('types.UID'),
      controller: boolean,
      blockOwnerDeletion: boolean,
    }),
  ),
  finalizers: list(text),
  managedFields: list(
    closed('ManagedFieldsEntry', {
      manager: text,
      operation: named('v1.ManagedFieldsOperationType'),
      apiVersion: text,
      time,
      fieldsType: text,
      fieldsV1: any,
      subresource: text,
    }),
  ),
});

const labelSelector = closed('LabelSelector', {
  matchLabels: textMap,
  matchExpressions: list(
    closed('LabelSelectorRequirement', { key: text, operator: named('v1.LabelSelectorOperator'), values: list(text) }),
  ),
});

const policyPort = closed('NetworkPolicyPort', { protocol: named('v1.Protocol'), port: intOrString, endPort: int32 });
const policyPeer = closed('NetworkPolicyPeer', {
  podSelector: labelSelector,
  namespaceSelector: labelSelector,
  ipBlock: closed('IPBlock', { cidr: text, except: list(text) }),
});

/** networking.k8s.io/v1 NetworkPolicy; `status` was there from 1.24 to 1.27. */
export const NETWORK_POLICY: ObjectSchema = closed('NetworkPolicy', {
  apiVersion: text,
  kind: text,
  metadata: objectMeta,
  spec: closed('NetworkPolicySpec', {
    podSelector: labelSelector,
    policyTypes: list(named('v1.PolicyType')),
    ingress: list(closed('NetworkPolicyIngressRule', { from: list(policyPeer), ports: list(policyPort) })),
    egress: list(closed('NetworkPolicyEgressRule', { to: list(policyPeer), ports: list(policyPort) })),
  }),
  status: any,
});

const openMeta = open('ObjectMeta', {
  name: text,
  generateName: text,
  namespace: text,
  labels: textMap,
  ownerReferences: list(open('OwnerReference', { apiVersion: text, kind: text, name: text, controller: boolean })),
});

const container = open('Container', {
  ports: list(
    open('ContainerPort', { name: text, containerPort: int32, hostPort: int32, protocol: named('v1.Protocol') }),
  ),
});
const podSpec = open('PodSpec', { nodeName: text, hostNetwork: boolean, containers: list(container) });
const podTemplate = open('PodTemplateSpec', { metadata: open('ObjectMeta', { labels: textMap }), spec: podSpec });

const kind = (name: string, fields: Record<string, Schema>): ObjectSchema =>
  open(name, { apiVersion: text, kind: text, metadata: openMeta, ...fields });
const scaled = (name: string): ObjectSchema =>
  kind(name, { spec: open(`${name}Spec`, { replicas: int32, template: podTemplate }) });
const jobSpec = open('JobSpec', { parallelism: int32, suspend: boolean, template: podTemplate });

/** A kind that is read. */
export interface Kind {
  /** The one that an object must have. */
  readonly apiVersion: string;
  readonly scope: 'cluster' | 'namespace';
  readonly schema: ObjectSchema;
}

/** The kinds read, by name. */
export const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['Namespace', { apiVersion: 'v1', scope: 'cluster', schema: kind('Namespace', {}) }],
  [
    'Node',
    {
      apiVersion: 'v1',
      scope: 'cluster',
      schema: kind('Node', {
        spec: open('NodeSpec', { podCIDR: text, podCIDRs: list(text) }),
        status: open('NodeStatus', { addresses: list(open('NodeAddress', { type: text, address: text })) }),
      }),
    },
  ],
  [
    'Pod',
    {
      apiVersion: 'v1',
      scope: 'namespace',
      schema: kind('Pod', {
        spec: podSpec,
        status: open('PodStatus', {
          phase: named('v1.PodPhase'),
          podIP: text,
          podIPs: list(open('PodIP', { ip: text })),
          hostIP: text,
          hostIPs: list(open('HostIP', { ip: text })),
        }),
      }),
    },
  ],
  [
    'Service',
    {
      apiVersion: 'v1',
      scope: 'namespace',
      schema: kind('Service', {
        spec: open('ServiceSpec', {
          type: named('v1.ServiceType'),
          clusterIP: text,
          clusterIPs: list(text),
          externalIPs: list(text),
          externalName: text,
          selector: textMap,
          ports: list(
            open('ServicePort', {
              name: text,
              protocol: named('v1.Protocol'),
              port: int32,
              targetPort: intOrString,
              nodePort: int32,
            }),
          ),
        }),
        status: open('ServiceStatus', {
          loadBalancer: open('LoadBalancerStatus', { ingress: list(open('LoadBalancerIngress', { ip: text })) }),
        }),
      }),
    },
  ],
  [
    'EndpointSlice',
    {
      apiVersion: 'discovery.k8s.io/v1',
      scope: 'namespace',
      schema: kind('EndpointSlice', {
        addressType: named('v1.AddressType'),
        endpoints: list(
          open('Endpoint', {
            addresses: list(text),
            conditions: open('EndpointConditions', { ready: boolean }),
            targetRef: open('ObjectReference', { kind: text, namespace: text, name: text }),
          }),
        ),
        ports: list(open('EndpointPort', { name: text, protocol: named('v1.Protocol'), port: int32 })),
      }),
    },
  ],
  ['ReplicationController', { apiVersion: 'v1', scope: 'namespace', schema: scaled('ReplicationController') }],
  ['Deployment', { apiVersion: 'apps/v1', scope: 'namespace', schema: scaled('Deployment') }],
  ['ReplicaSet', { apiVersion: 'apps/v1', scope: 'namespace', schema: scaled('ReplicaSet') }],
  [
    'StatefulSet',
    {
      apiVersion: 'apps/v1',
      scope: 'namespace',
      schema: kind('StatefulSet', {
        spec: open('StatefulSetSpec', {
          replicas: int32,
          template: podTemplate,
          ordinals: open('StatefulSetOrdinals', { start: int32 }),
        }),
      }),
    },
  ],
  ['DaemonSet', { apiVersion: 'apps/v1', scope: 'namespace', schema: scaled('DaemonSet') }],
  [
    'Job',
    {
      apiVersion: 'batch/v1',
      scope: 'namespace',
      schema: kind('Job', {
        spec: jobSpec,
        status: open('JobStatus', { conditions: list(open('JobCondition', { type: text, status: text })) }),
      }),
    },
  ],
  [
    'CronJob',
    {
      apiVersion: 'batch/v1',
      scope: 'namespace',
      schema: kind('CronJob', {
        spec: open('CronJobSpec', { jobTemplate: open('JobTemplateSpec', { spec: jobSpec }) }),
      }),
    },
  ],
  ['NetworkPolicy', { apiVersion: 'networking.k8s.io/v1', scope: 'namespace', schema: NETWORK_POLICY }],
]);
