/** What `check` says of selectors that match no pod, against every pod asked one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateCluster } from '../../src/generate/cluster.ts';
import { generatePolicies } from '../../src/generate/policy.ts';
import { loadManifests } from '../../src/manifest/load.ts';
import { findEmptySelections } from '../../src/manifest/selection.ts';
import { meetsAll } from '../../src/model/label.ts';
import type { PodSet } from '../../src/model/policy.ts';

const CLUSTER = `
{ apiVersion: v1, kind: Namespace, metadata: { name: shop, labels: { team: front } } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: web, namespace: shop, labels: { app: web } } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: old, namespace: shop, labels: { app: job } }, status: { phase: Succeeded } }
---
{ apiVersion: apps/v1, kind: Deployment, metadata: { name: db, namespace: shop }, spec: { replicas: 2, template: { metadata: { labels: { app: db } } } } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: probe, namespace: shop, labels: { app: probe } }, spec: { hostNetwork: true } }
`;

function notesOf(spec: string, namespace = 'shop', cluster = CLUSTER): [string, string | undefined][] {
  const policy = `{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p, namespace: ${namespace} }, spec: ${spec} }`;
  const { snapshot, policies } = loadManifests([{ path: 'f', text: `${cluster}\n---\n${policy}\n`, group: 0 }], {
    namespace: 'default',
    validate: 'strict',
    remove: [],
  });
  assert.equal(policies.length, 1);
  return findEmptySelections(snapshot, policies).map(({ severity, code, file, message, hint }) => {
    assert.deepEqual([severity, code, file], ['note', 'selects-nothing', 'f']);
    return [message, hint];
  });
}

test('a policy that applies to no pod is named, with the nearest value of the label', () => {
  assert.deepEqual(notesOf('{ podSelector: { matchLabels: { app: wbe } } }'), [
    ['spec.podSelector selects no pod of the input: app=wbe in namespace shop', 'did you mean app=web?'],
  ]);
  assert.deepEqual(notesOf('{ podSelector: {} }', 'shpo'), [
    ['spec.podSelector selects no pod of the input: any pod in namespace shpo', 'did you mean namespace shop?'],
  ]);
});

test('what selects a pod, or the pods of a workload, is passed over; pods that have ended are none', () => {
  assert.deepEqual(notesOf('{ podSelector: {} }'), []);
  assert.deepEqual(notesOf('{ podSelector: { matchLabels: { app: db } } }'), []);
  assert.deepEqual(
    notesOf('{ podSelector: { matchExpressions: [{ key: app, operator: NotIn, values: [web] }] } }'),
    [],
  );
  assert.deepEqual(notesOf('{ podSelector: { matchLabels: { app: job } } }'), [
    ['spec.podSelector selects no pod of the input: app=job in namespace shop', undefined],
  ]);
});

test('peers are named by their place, in both directions; blocks and peers that match are not', () => {
  const from =
    '{ ipBlock: { cidr: 203.0.113.0/24 } }, { podSelector: {} }, { podSelector: { matchLabels: { app: dbx } } }';
  const to =
    '{ namespaceSelector: { matchLabels: { team: back } } }, { namespaceSelector: { matchLabels: { team: front } } }';
  assert.deepEqual(notesOf(`{ podSelector: {}, ingress: [{ from: [${from}] }], egress: [{}, { to: [${to}] }] }`), [
    ['spec.ingress[0].from[2] matches no pod of the input: app=dbx in namespace shop', 'did you mean app=db?'],
    ['spec.egress[1].to[0] matches no pod of the input: any pod in namespaces team=back', undefined],
  ]);
});

test('EP-04: pods that share the network of their node are not governed, and no peer', () => {
  const probe = '{ matchLabels: { app: probe } }';
  const webs = '{ matchExpressions: [{ key: app, operator: In, values: [probe, web] }] }';
  assert.deepEqual(notesOf(`{ podSelector: ${probe}, ingress: [{ from: [{ podSelector: ${probe} }] }] }`), [
    [
      'spec.podSelector selects only host-network pods, which policies do not govern: app=probe in namespace shop',
      undefined,
    ],
    [
      'spec.ingress[0].from[0] matches only host-network pods, which selectors do not find: app=probe in namespace shop',
      "they have their nodes' addresses, which an ipBlock can hold",
    ],
  ]);
  assert.deepEqual(notesOf(`{ podSelector: ${webs}, ingress: [{ from: [{ podSelector: ${webs} }] }] }`), []);
});

test('policies alone say nothing of pods', () => {
  assert.deepEqual(
    notesOf(
      '{ podSelector: { matchLabels: { app: wbe } } }',
      'shop',
      '{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }',
    ),
    [],
  );
});

test('the index finds what asking every pod finds', () => {
  const { namespaces, ...snapshot } = generateCluster({ pods: 200, seed: 3, shape: 'production' });
  const policies = generatePolicies({ snapshot: { namespaces, ...snapshot }, count: 60, seed: 3 });
  // Without half of the pods, so that some selectors are left without one.
  const pods = snapshot.pods.filter((_, at) => at % 2 === 0 && at < 80);
  const labels = new Map(namespaces.map((namespace) => [namespace.name, namespace.labels]));
  const isEmpty = (set: PodSet): boolean =>
    !pods.some(
      (pod) =>
        (set.namespaces.kind === 'named'
          ? set.namespaces.namespace === pod.namespace
          : meetsAll(set.namespaces.selector, labels.get(pod.namespace)!)) && meetsAll(set.pods, pod.labels),
    );
  const sets = policies.flatMap(({ subject, ingress, egress }) => [
    subject,
    ...[...ingress, ...egress].flatMap(({ peers = [] }) => peers.filter((peer) => peer.kind === 'pods')),
  ]);
  const empty = sets.filter(isEmpty).length;
  assert.ok(empty > 0 && empty < sets.length, `${empty} of ${sets.length}`);
  assert.equal(findEmptySelections({ namespaces, ...snapshot, pods }, policies).length, empty);
});
