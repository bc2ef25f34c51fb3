/** A world as Kubernetes objects, the form in which foreign programs and generated files get it: what a manifest of it would say. */
import type { Snapshot } from '../model/cluster.ts';
import type { Policy } from '../model/policy.ts';
import { printPolicies, printSnapshot } from '../manifest/print.ts';
import { createSource } from '../manifest/source.ts';
import { readYaml } from '../manifest/yaml-document.ts';

/** Namespaces, Nodes, Pods, Services and EndpointSlices as the objects of `kubectl get -o json`. */
export function snapshotObjects(snapshot: Snapshot): unknown[] {
  return objectsOf(printSnapshot(snapshot));
}

/** NetworkPolicies as objects; other kinds have no manifest form. */
export function policyObjects(policies: readonly Policy[]): unknown[] {
  return objectsOf(printPolicies(policies));
}

function objectsOf(yaml: string): unknown[] {
  return readYaml(createSource('', yaml)).documents.map(({ value }) => value);
}
