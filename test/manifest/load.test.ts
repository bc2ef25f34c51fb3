/** The set of objects: lists, groups, removal, namespaces, owners, stand-ins, Services, and what is passed over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { isStrictSubset, readCidr } from '../../src/manifest/cidr.ts';
import { readExpectations } from '../../src/manifest/expectation.ts';
import { type LoadOptions, type ManifestFile, loadManifests } from '../../src/manifest/load.ts';
import { printPolicies, printSnapshot } from '../../src/manifest/print.ts';
import { type Cidr, formatCidr, maskWords } from '../../src/model/cidr.ts';
import type { Policy } from '../../src/model/policy.ts';
import { runs, seed } from '../law/seed.ts';

type Json = { [name: string]: unknown };
const text = (...objects: Json[]): string => objects.map((object) => JSON.stringify(object)).join('\n');
const load = (files: string | ManifestFile[], options: Partial<LoadOptions> = {}) =>
  loadManifests(typeof files === 'string' ? [{ path: 'f', text: files, group: 0 }] : files, {
    namespace: 'default',
    validate: 'strict',
    remove: [],
    ...options,
  });
const pod = (name: string, extra: Json = {}, meta: Json = {}): Json => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...meta },
  ...extra,
});
const workload = (kind: string, name: string, spec: Json = {}, meta: Json = {}): Json => ({
  apiVersion: kind.endsWith('Job') ? 'batch/v1' : kind === 'ReplicationController' ? 'v1' : 'apps/v1',
  kind,
  metadata: { name, ...meta },
  spec,
});
const template = {
  metadata: { labels: { app: 'x' } },
  spec: { containers: [{ ports: [{ containerPort: 80, name: 'http' }] }] },
};
const policy = (spec: Json, name = 'p'): Json => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name },
  spec,
});
const codes = (files: Parameters<typeof load>[0], options: Partial<LoadOptions> = {}) =>
  load(files, options).diagnostics.map(({ code }) => code);
const owner = (kind: string, name: string): Json => ({
  ownerReferences: [{ kind, name, controller: true, apiVersion: 'v1', uid: 'u' }],
});

test('List and typed lists are taken apart; items of a typed list take its kind', () => {
  const { objects, snapshot } = load(
    text(
      {
        apiVersion: 'v1',
        kind: 'List',
        items: [pod('a'), { kind: 'PodList', apiVersion: 'v1', items: [{ metadata: { name: 'b' } }] }],
      },
      { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicyList', items: [{ metadata: { name: 'p' } }] },
      { apiVersion: 'v1', kind: 'PodList', items: null },
    ),
  );
  assert.deepEqual(
    snapshot.pods.map(({ name }) => name),
    ['a', 'b'],
  );
  assert.deepEqual(
    [...objects],
    [
      ['Pod', 2],
      ['NetworkPolicy', 1],
    ],
  );
});

test('other kinds are counted; policies of others and dead versions are named', () => {
  const { skipped, diagnostics } = load(
    text(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } },
      { apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata: { name: 'c' } },
      { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'c' } },
      { apiVersion: 'extensions/v1beta1', kind: 'NetworkPolicy', metadata: { name: 'c' } },
      { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolcy', metadata: { name: 'c' } },
      { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'c' } },
      { kind: 'Pod', metadata: { name: 'c' } },
      { apiVersion: 'v1' },
    ),
  );
  assert.deepEqual(
    [...skipped],
    [
      ['ConfigMap', 1],
      ['Service.serving.knative.dev', 1],
      ['CiliumNetworkPolicy.cilium.io', 1],
      ['Ingress', 1],
    ],
  );
  assert.deepEqual(
    diagnostics.map(({ code, severity, line }) => [code, severity, line]),
    [
      ['unsupported-version', 'warning', 3],
      ['unsupported-version', 'error', 4],
      ['unsupported-version', 'error', 5],
      ['required-value', 'error', 7],
      ['required-value', 'error', 8],
    ],
  );
});

test('a later group replaces with a note; a duplicate within one group is an error that names the first', () => {
  const a = text(pod('a', {}, { labels: { v: '1' } }));
  const b = text(pod('a', {}, { labels: { v: '2' } }));
  const replaced = load([
    { path: 'live', text: a, group: 0 },
    { path: 'change', text: b, group: 1 },
  ]);
  assert.deepEqual(
    replaced.diagnostics.map(({ code, severity, file }) => [code, severity, file]),
    [['replaced-object', 'note', 'change']],
  );
  assert.equal(replaced.snapshot.pods[0]?.labels.get('v'), '2');
  const twice = load([
    { path: 'one', text: a, group: 0 },
    { path: 'two', text: b, group: 0 },
  ]).diagnostics;
  assert.deepEqual(
    twice.map(({ code, severity, file }) => [code, severity, file]),
    [['duplicate-object', 'error', 'two']],
  );
  assert.match(twice[0]!.message, /one:1/);
});

test('removal takes KIND/NS/NAME, KIND/NAME, any case and short names; what is not there is an error with a near name', () => {
  const input = text(pod('a'), policy({}, 'deny-all'), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'default' },
  });
  const { policies, snapshot, diagnostics } = load(input, { remove: ['netpol/deny-all', 'POD/default/a'] });
  assert.deepEqual([policies.length, snapshot.pods.length, diagnostics.length], [0, 0, 0]);
  for (const target of [
    'NetworkPolicy/default/deny-al',
    'NetworkPolicy',
    'Nonsense/a',
    'Pod/other/a',
    'Pod//a',
    'constructor/a',
  ])
    assert.deepEqual(codes(input, { remove: [target] }), ['nothing-to-delete'], target);
  assert.equal(load(input, { remove: ['netpol/deny-al'] }).diagnostics[0]?.hint, 'did you mean "deny-all"?');
});

test('take policies leaves everything else alone, also its errors', () => {
  const { policies, snapshot, diagnostics } = load([
    { path: 'b', text: text(pod('A'), policy({})), group: 0, take: 'policies' },
  ]);
  assert.deepEqual([policies.length, snapshot.pods.length, diagnostics.length], [1, 0, 0]);
});

test('namespaces get their name label, refuse another, and are made up where missing', () => {
  const namespace = (name: string, labels: Json): Json => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  const { snapshot, diagnostics } = load(text(namespace('a', { t: '1' }), pod('p', {}, { namespace: 'b' })), {
    namespace: 'z',
  });
  assert.deepEqual(
    snapshot.namespaces.map(({ name, labels }) => [name, Object.fromEntries(labels)]),
    [
      ['a', { t: '1', 'kubernetes.io/metadata.name': 'a' }],
      ['b', { 'kubernetes.io/metadata.name': 'b' }],
    ],
  );
  assert.deepEqual(
    diagnostics.map(({ code, severity }) => [code, severity]),
    [['unknown-namespace', 'note']],
  );
  const asking = (selector: Json): Json => policy({ ingress: [{ from: [{ namespaceSelector: selector }] }] });
  const warned = (...objects: Json[]): string[] => load(text(...objects)).diagnostics.map(({ message }) => message);
  const byTeam = asking({ matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] });
  assert.match(warned(pod('p'), byTeam).join(), /^no Namespace in the input, and a policy asks for their label team/);
  assert.deepEqual(warned(pod('p'), asking({ matchLabels: { 'kubernetes.io/metadata.name': 'b' } })), []);
  assert.deepEqual(warned(pod('p'), namespace('default', {}), byTeam), []);
  assert.deepEqual(warned(byTeam), [], 'policies alone are checked in peace');
  const [refused] = load(text(namespace('a', { 'kubernetes.io/metadata.name': 'x' }))).diagnostics;
  assert.match(refused!.message, /must be a$/);
  assert.equal(load(text(pod('p')), { namespace: 'z' }).snapshot.pods[0]?.namespace, 'z');
});

test('pods: addresses merged and canonical, phases, hostNetwork, ports of main containers, null for missing', () => {
  const { snapshot } = load(
    text(
      pod('a', {
        spec: {
          hostNetwork: true,
          nodeName: 'n',
          initContainers: [{ ports: [{ containerPort: 1 }] }],
          containers: [{ ports: [{ containerPort: 53, protocol: 'UDP', name: 'dns' }] }, { ports: null }, null],
        },
        status: { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: '2001:DB8:0::1' }], phase: 'Succeeded' },
      }),
    ),
  );
  const [read] = snapshot.pods;
  assert.deepEqual(read?.addresses, ['10.0.0.1', '2001:db8::1']);
  assert.deepEqual(
    [read?.phase, read?.hostNetwork, read?.node, read?.count, read?.isStandIn],
    ['Succeeded', true, 'n', 1, false],
  );
  assert.deepEqual(read?.ports, [{ name: 'dns', port: 53, protocol: 'UDP' }]);
  assert.deepEqual(read?.workload, { kind: 'Pod', namespace: 'default', name: 'a' });
});

test('of two live pods with one address the running one keeps it, terminated pods do not count', () => {
  const at = (phase: string): Json => ({ status: { podIP: '10.0.0.1', phase } });
  const { snapshot, diagnostics } = load(
    text(pod('a', at('Pending')), pod('b', at('Running')), pod('c', at('Failed'))),
  );
  assert.deepEqual(
    snapshot.pods.map(({ addresses }) => addresses.length),
    [0, 1, 1],
  );
  assert.deepEqual(
    diagnostics.map(({ code, severity }) => [code, severity]),
    [
      ['address-conflict', 'warning'],
      ['terminated-pod', 'note'],
    ],
  );
});

test('pods fold into their top owner, listed or told by the template hash; owned workloads do not count twice', () => {
  const { snapshot } = load(
    text(
      workload('Deployment', 'web', { replicas: 3, template }),
      workload('ReplicaSet', 'web-1', { replicas: 3, template }, owner('Deployment', 'web')),
      pod('web-1-a', {}, owner('ReplicaSet', 'web-1')),
      pod('api-77-a', {}, { ...owner('ReplicaSet', 'api-77'), labels: { 'pod-template-hash': '77' } }),
      pod('raw-a', {}, owner('ReplicaSet', 'raw')),
      pod('mirror', {}, owner('Node', 'n')),
      workload('CronJob', 'cron', { jobTemplate: { spec: { template } } }),
      workload('Job', 'cron-1', { template }, owner('CronJob', 'cron')),
      pod('loop', {}, owner('ReplicaSet', 'l1')),
      workload('ReplicaSet', 'l1', { template }, owner('ReplicaSet', 'l2')),
      workload('ReplicaSet', 'l2', { template }, owner('ReplicaSet', 'l1')),
    ),
  );
  const seen = snapshot.pods
    .filter(({ workload: { name } }) => !name.startsWith('l'))
    .map((read) => `${read.name} ${read.workload.kind}/${read.workload.name} ${read.isStandIn}`);
  assert.deepEqual(seen, [
    'web-1-a Deployment/web false',
    'api-77-a Deployment/api false',
    'raw-a ReplicaSet/raw false',
    'mirror Pod/mirror false',
    'cron CronJob/cron true',
  ]);
});

test('workloads without pods stand for them: replicas, ordinals, nodes, parallelism, none for 0 or a finished job', () => {
  const node = (name: string): Json => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const { snapshot } = load(
    text(
      node('n1'),
      node('n2'),
      workload('Deployment', 'd', { template }),
      workload('ReplicaSet', 'gone-1', { replicas: 2, template }, owner('Deployment', 'gone')),
      workload('Deployment', 'zero', { replicas: 0, template }),
      workload('StatefulSet', 's', { replicas: 2, ordinals: { start: 5 }, template }),
      workload('DaemonSet', 'ds', { template }),
      workload('Job', 'j', { parallelism: 4, template }),
      { ...workload('Job', 'done', { template }), status: { conditions: [{ type: 'Complete', status: 'True' }] } },
      workload('ReplicationController', 'rc', { replicas: 7, template }),
    ),
  );
  assert.deepEqual(
    snapshot.pods.map(({ name, count, workload: { name: top } }) => [name, count, top]),
    [
      ['d', 1, 'd'],
      ['gone-1', 2, 'gone'],
      ['s-5', 1, 's'],
      ['s-6', 1, 's'],
      ['ds', 2, 'ds'],
      ['j', 4, 'j'],
      ['rc', 7, 'rc'],
    ],
  );
  assert.ok(
    snapshot.pods.every(
      ({ isStandIn, labels, ports }) => isStandIn && labels.get('app') === 'x' && ports[0]?.name === 'http',
    ),
  );
  assert.equal(snapshot.pods[2]?.labels.get('apps.kubernetes.io/pod-index'), '5');
  assert.equal(snapshot.pods[2]?.labels.get('statefulset.kubernetes.io/pod-name'), 's-5');
  assert.deepEqual(codes(text(workload('StatefulSet', 's', { replicas: 2_000_000_000 }))), ['limit-exceeded']);
  assert.deepEqual(codes(text(workload('Deployment', 's', { replicas: -1 }))), ['invalid-value']);
});

test('Services of every type, EndpointSlices and Nodes', () => {
  const service = (name: string, spec: Json, status: Json = {}): Json => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec,
    status,
  });
  const { snapshot, diagnostics } = load(
    text(
      service('c', {
        clusterIP: '10.96.0.1',
        clusterIPs: ['10.96.0.1', 'fd00::1'],
        selector: { a: 'b' },
        ports: [
          { port: 80, targetPort: 'http' },
          { port: 53, protocol: 'UDP', nodePort: 30053, targetPort: 5353 },
        ],
      }),
      service('h', { clusterIP: 'None', selector: { a: 'b' } }),
      service('e', { type: 'ExternalName', externalName: 'example.com' }),
      service(
        'l',
        { type: 'LoadBalancer', externalIPs: ['192.0.2.1'] },
        { loadBalancer: { ingress: [{ ip: '192.0.2.2' }, { hostname: 'x' }] } },
      ),
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'c-1', labels: { 'kubernetes.io/service-name': 'c' } },
        addressType: 'IPv4',
        endpoints: [
          { addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'p' } },
          { addresses: ['10.0.0.2'], conditions: { ready: false } },
        ],
        ports: [{ name: 'http', port: 8080 }],
      },
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'n' },
        spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24', 'fd00:1::/64'] },
        status: {
          addresses: [
            { type: 'Hostname', address: 'n' },
            { type: 'InternalIP', address: '172.18.0.2' },
          ],
        },
      },
    ),
  );
  assert.deepEqual(diagnostics, []);
  const [c, h, e, l] = snapshot.services;
  assert.deepEqual([c?.type, c?.clusterAddresses, c?.selector?.get('a')], ['ClusterIP', ['10.96.0.1', 'fd00::1'], 'b']);
  assert.deepEqual(c?.ports, [
    { protocol: 'TCP', port: 80, targetPort: 'http' },
    { protocol: 'UDP', port: 53, targetPort: 5353, nodePort: 30053 },
  ]);
  assert.deepEqual(
    [h?.isHeadless, h?.clusterAddresses, e?.externalName, e?.selector],
    [true, [], 'example.com', undefined],
  );
  assert.deepEqual(l?.externalAddresses, ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual(snapshot.endpointSlices[0]?.endpoints, [
    { addresses: ['10.0.0.1'], pod: { namespace: 'default', name: 'p' } },
  ]);
  assert.deepEqual(
    [snapshot.nodes[0]?.addresses, snapshot.nodes[0]?.podCidrs],
    [['172.18.0.2'], ['10.244.0.0/24', 'fd00:1::/64']],
  );
});

test('policyTypes default as the API server defaults them; dead rules stay', () => {
  const isolates = (spec: Json): string => load(text(policy(spec))).policies[0]!.isolates.join();
  assert.equal(isolates({}), 'ingress');
  assert.equal(isolates({ policyTypes: [], egress: [] }), 'ingress');
  assert.equal(isolates({ egress: [{}] }), 'ingress,egress');
  assert.equal(isolates({ policyTypes: ['Egress'], ingress: [{}] }), 'egress');
  assert.equal(load(text(policy({ policyTypes: ['Egress'], ingress: [{}] }))).policies[0]!.ingress.length, 1);
  assert.equal(load(text({ ...policy({}), spec: null })).policies[0]!.isolates.length, 1);
});

test('empty and missing peers and ports are all, a lone podSelector is of its own namespace, a port defaults to TCP', () => {
  const [read] = load(
    text(
      policy({
        ingress: [
          { from: [], ports: null },
          {
            from: [
              { podSelector: null, namespaceSelector: {} },
              {
                podSelector: {
                  matchLabels: null,
                  matchExpressions: [{ key: 'k', operator: 'NotIn', values: ['', 'a'] }],
                },
              },
            ],
            ports: [{}, { port: 'dns', protocol: 'UDP' }, { port: 5, endPort: 7 }],
          },
        ],
      }),
    ),
  ).policies;
  assert.deepEqual([read?.ingress[0]?.peers, read?.ingress[0]?.ports], [undefined, undefined]);
  assert.deepEqual(read?.ingress[1]?.peers, [
    { kind: 'pods', namespaces: { kind: 'selected', selector: [] }, pods: [] },
    {
      kind: 'pods',
      namespaces: { kind: 'named', namespace: 'default' },
      pods: [{ key: 'k', operator: 'NotIn', values: ['', 'a'] }],
    },
  ]);
  assert.deepEqual(read?.ingress[1]?.ports, [
    { kind: 'any', protocol: 'TCP' },
    { kind: 'named', protocol: 'UDP', name: 'dns' },
    { kind: 'range', protocol: 'TCP', first: 5, last: 7 },
  ]);
});

const REFUSED: readonly (readonly [string, Json, string])[] = [
  [
    'protocol',
    { ports: [{ protocol: 'tcp' }] },
    'spec.ingress[0].ports[0].protocol: Unsupported value: "tcp": supported values: "TCP", "UDP", "SCTP"',
  ],
  [
    'port 0',
    { ports: [{ port: 0 }] },
    'spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
  ],
  [
    'port as text',
    { ports: [{ port: '80' }] },
    'spec.ingress[0].ports[0].port: Invalid value: "80": must contain at least one letter (a-z)',
  ],
  [
    'endPort below port',
    { ports: [{ port: 80, endPort: 79 }] },
    'spec.ingress[0].ports[0].endPort: Invalid value: 79: must be greater than or equal to `port`',
  ],
  [
    'endPort with a name',
    { ports: [{ port: 'a', endPort: 79 }] },
    'spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is non-numeric',
  ],
  ['empty peer', { from: [{}] }, 'spec.ingress[0].from[0]: Required value: must specify a peer'],
  [
    'ipBlock and selector',
    { from: [{ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }] },
    'spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer',
  ],
  ['no cidr', { from: [{ ipBlock: {} }] }, 'spec.ingress[0].from[0].ipBlock.cidr: Required value'],
  [
    'cidr without length',
    { from: [{ ipBlock: { cidr: '10.0.0.0' } }] },
    'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
  ],
  [
    'except outside',
    { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/9'] } }] },
    'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/9": must be a strict subset of `cidr`',
  ],
  [
    'operator',
    { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'in', values: ['b'] }] } }] },
    'spec.ingress[0].from[0].podSelector.matchExpressions[0].operator: Invalid value: "in": not a valid selector operator',
  ],
  [
    'In without values',
    { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }] },
    "spec.ingress[0].from[0].podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
  ],
  [
    'Exists with values',
    { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] } }] },
    "spec.ingress[0].from[0].podSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
  ],
];
for (const [name, rule, message] of REFUSED)
  test(`refused in the API server's words: ${name}`, () => {
    const { policies, diagnostics } = load(text(policy({ ingress: [rule] })));
    assert.deepEqual(
      diagnostics.map((found) => found.message),
      [message],
    );
    assert.equal(policies.length, 0);
  });

test('every error of a policy is shown, and unknown policyTypes get a hint', () => {
  const found = load(
    text(
      policy({
        policyTypes: ['ingress'],
        ingress: [{ from: [{}], ports: [{ port: 70000 }] }],
        podSelector: { matchLabels: { 'a b': '-' } },
      }),
    ),
  ).diagnostics;
  assert.equal(found.length, 5);
  assert.ok(found.some(({ hint }) => hint === 'did you mean "Ingress"?'));
  assert.match(load(text(policy({ policyTypes: ['a', 'b', 'c'] }))).diagnostics[0]!.message, /more than two/);
  assert.match(load(text(policy({}, 'Upper'))).diagnostics[0]!.message, /RFC 1123 subdomain/);
});

const CIDRS: readonly (readonly [string, string | undefined, number])[] = [
  ['10.0.0.0/8', '10.0.0.0/8', 0],
  ['10.0.0.5/8', '10.0.0.0/8', 1],
  ['010.0.0.0/8', '10.0.0.0/8', 1],
  ['10.0.0.0/08', '10.0.0.0/8', 1],
  ['001.002.003.000/0', '0.0.0.0/0', 2],
  ['::ffff:10.0.0.0/104', '10.0.0.0/8', 1],
  ['::ffff:a00:1/128', '10.0.0.1/32', 1],
  ['::ffff:10.0.0.0/64', '::/64', 2],
  ['2001:DB8:0::/48', '2001:db8::/48', 0],
  ['2001:db8::1/32', '2001:db8::/32', 1],
  ['::/0', '::/0', 0],
  ['10.1/16', undefined, 0],
  ['10.0.0.0/33', undefined, 0],
  ['10.0.0.0', undefined, 0],
  ['10.0.0.0/-1', undefined, 0],
  ['0x0a.0.0.0/8', undefined, 0],
  ['fe80::1%eth0/64', undefined, 0],
  ['256.0.0.0/8', undefined, 0],
  [' ', undefined, 0],
];
for (const [spelling, canonical, refusals] of CIDRS)
  test(`the block ${JSON.stringify(spelling)} reads as ${canonical ?? 'none'}, refused ${refusals} times by the strict reading`, () => {
    const read = readCidr(spelling);
    assert.equal(read?.cidr, canonical);
    assert.equal(read?.refusals.length ?? 0, refusals);
  });

test(`a canonical block is read as it stands, and as ipaddr.js reads it (seed ${seed})`, () => {
  const words = fc.array(fc.constantFrom(0, 1, 0xffff, 0x0a000000, 0xfd000000, 0xffffffff), {
    minLength: 4,
    maxLength: 4,
  });
  fc.assert(
    fc.property(fc.constantFrom(4 as const, 6 as const), words, fc.nat(128), (family, drawn, some) => {
      const length = family === 4 ? some % 33 : some;
      const first = Uint32Array.from(family === 4 ? [drawn[0]!, 0, 0, 0] : drawn);
      maskWords(first, length);
      const cidr = formatCidr(family, first, length);
      const [address, bits] = ipaddr.parseCIDR(cidr);
      assert.deepEqual([address.kind(), bits], [`ipv${family}`, length]);
      const bytes = [...first].flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]);
      assert.deepEqual(address.toByteArray(), bytes.slice(0, family === 4 ? 4 : 16));
      // What Go folds into IPv4 has no canonical text of its own.
      if (family === 6 && (address as ipaddr.IPv6).isIPv4MappedAddress()) return;
      assert.deepEqual(readCidr(cidr), { cidr, refusals: [] });
    }),
    { seed, numRuns: runs(300) },
  );
});

test('warnings about blocks are in the API server words, strict refuses, except is a strict subset', () => {
  assert.equal(
    readCidr('10.0.0.5/8')?.warning,
    'CIDR value "10.0.0.5/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.5/32"?)',
  );
  assert.match(readCidr('2001:DB8::/48')?.warning ?? '', /RFC 5952 canonical format \("2001:db8::\/48"\)/);
  const input = text(policy({ ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.5/8' } }] }] }));
  assert.deepEqual(codes(input), ['non-canonical-cidr']);
  assert.deepEqual(codes(input, { cidr: 'strict' }), ['invalid-cidr']);
  const subset = (inner: string, outer: string): boolean => isStrictSubset(inner as Cidr, outer as Cidr);
  assert.deepEqual(
    [
      subset('10.1.0.0/16', '10.0.0.0/8'),
      subset('10.0.0.0/8', '10.0.0.0/8'),
      subset('11.0.0.0/16', '10.0.0.0/8'),
      subset('::/1', '0.0.0.0/0'),
    ],
    [true, false, false, false],
  );
});

test('expectations: columns in any order, quotes, CRLF, comments and blank lines; ICMP leaves the port empty', () => {
  const { rows, diagnostics } = readExpectations(
    '# note\r\nexpect,port,protocol,dst,src,note\r\n\r\nallow,80,tcp,"web",203.0.113.9,"a ""b"", c"\r\nDeny,,ICMP,n/Deployment/x,svc.ns,\r\n',
    'e.csv',
    'here',
  );
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(
    rows.map(({ line, src, dst, protocol, port, expect }) => [line, src.kind, dst, protocol, port, expect]),
    [
      [4, 'address', { kind: 'name', namespace: 'here', name: 'web' }, 6, 80, 'allow'],
      [5, 'service', { kind: 'workload', namespace: 'n', workloadKind: 'Deployment', name: 'x' }, 1, undefined, 'deny'],
    ],
  );
});

test('an expectation that cannot be read is an error, never a pass', () => {
  const errors = (csv: string): (number | undefined)[] =>
    readExpectations(csv, 'e.csv', 'd').diagnostics.map(({ line }) => line);
  assert.deepEqual(errors(''), [1]);
  assert.deepEqual(errors('src,dst,protocol,port\n'), [1]);
  assert.deepEqual(
    errors(
      'src,dst,protocol,port,expect\na,b,TCP,,allow\na,b,TCP,80,alow\na,b,ICMP,8,deny\na,b,XYZ,1,deny\na,b,TCP,65536,deny\na b,b,TCP,1,deny\na,b,TCP,1\n"a,b,TCP,1,deny\n',
    ),
    [2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test('what is printed reads back equal, texts that look like numbers and booleans included', () => {
  const word = fc.constantFrom('a', 'yes', '0777', '1e3', 'null', '80', 'x-y.z', '1_0', 'on', 'true');
  const labels = fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true });
  const selector = fc.record({
    matchLabels: labels,
    matchExpressions: fc.array(
      fc.oneof(
        fc.record({
          key: word,
          operator: fc.constantFrom('In', 'NotIn'),
          values: fc.array(word, { minLength: 1, maxLength: 3 }),
        }),
        fc.record({ key: word, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
      ),
      { maxLength: 2 },
    ),
  });
  const peer = fc.oneof(
    fc.record({ podSelector: selector }),
    fc.record({ namespaceSelector: selector, podSelector: selector }),
    fc.constant({ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }),
    fc.constant({ ipBlock: { cidr: '2001:db8::/32' } }),
  );
  const port = fc.oneof(
    fc.constant({}),
    fc.record({ port: fc.integer({ min: 1, max: 65535 }), protocol: fc.constantFrom('UDP', 'SCTP') }),
    fc.constant({ port: 'http' }),
    fc.constant({ port: 5, endPort: 9 }),
  );
  const rules = (side: string) =>
    fc.array(fc.record({ [side]: fc.array(peer, { maxLength: 2 }), ports: fc.array(port, { maxLength: 2 }) }), {
      maxLength: 2,
    });
  const withoutPlaces = (policies: readonly Policy[]): unknown =>
    JSON.parse(JSON.stringify(policies, (key, value: unknown) => (/position/i.test(key) ? undefined : value)));
  fc.assert(
    fc.property(
      selector,
      rules('from'),
      rules('to'),
      fc.subarray(['Ingress', 'Egress'], { minLength: 1 }),
      (podSelector, ingress, egress, policyTypes) => {
        const first = load(text(policy({ podSelector, ingress, egress, policyTypes })));
        assert.deepEqual(first.diagnostics, []);
        const again = load(printPolicies(first.policies));
        assert.deepEqual(again.diagnostics, []);
        assert.deepEqual(withoutPlaces(again.policies), withoutPlaces(first.policies));
      },
    ),
    { numRuns: 150 },
  );
  const world = load(
    text(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: { a: 'yes', '1': '0777' } } },
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'n', labels: { on: 'off' } },
        spec: { podCIDRs: ['10.244.0.0/24'] },
        status: { addresses: [{ address: '172.18.0.2' }] },
      },
      pod(
        'a',
        {
          spec: {
            nodeName: 'n',
            hostNetwork: true,
            containers: [{ ports: [{ containerPort: 80, name: 'http', hostPort: 8080 }] }],
          },
          status: { podIP: '10.0.0.1', phase: 'Pending' },
        },
        owner('Job', 'j'),
      ),
      workload('Deployment', 'd', { replicas: 3, template }),
      workload('ReplicaSet', 'gone-1', { replicas: 2, template }, owner('Deployment', 'gone')),
      workload('StatefulSet', 's', { replicas: 2, ordinals: { start: 1 }, template }),
      workload('DaemonSet', 'ds', { template }),
      workload('CronJob', 'c', { jobTemplate: { spec: { parallelism: 2, template } } }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 's' },
        spec: { clusterIP: '10.96.0.1', selector: { a: 'b' }, ports: [{ port: 80, targetPort: 'http' }] },
      },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 's-1', labels: { 'kubernetes.io/service-name': 's' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'a' } }],
        ports: [{ port: 80 }],
      },
    ),
  );
  const printed = load(printSnapshot(world.snapshot));
  assert.deepEqual([world.diagnostics, printed.diagnostics], [[], []]);
  const bare = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (key, member: unknown) =>
        key === 'position' ? undefined : member instanceof Map ? [...member].sort() : member,
      ),
    );
  const sorted = (snapshot: typeof world.snapshot): unknown =>
    bare({ ...snapshot, pods: [...snapshot.pods].sort((a, b) => (a.name < b.name ? -1 : 1)) });
  assert.deepEqual(sorted(printed.snapshot), sorted(world.snapshot));
});
