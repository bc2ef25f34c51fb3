/** "Did you mean" for the ends of a flow: what the cluster holds that is written like a name that it does not hold. */
import type { Snapshot } from '../model/cluster.ts';
import type { UnknownName } from '../model/evaluator.ts';
import type { EndpointRef } from '../model/flow.ts';
import { findNearest } from '../manifest/nearest.ts';

/** The error in words, with the nearest name of `known` where there is one. */
export function unknownNameText({ message, end }: UnknownName, known: Snapshot | undefined): string {
  const near = end === undefined || known === undefined ? undefined : suggest(end, known);
  return near === undefined ? message : `${message}; did you mean "${near}"?`;
}

function suggest(end: EndpointRef, { pods, services }: Snapshot): string | undefined {
  if (end.kind === 'address') return undefined;
  // A Service is written the other way round.
  const service = services.find(({ namespace, name }) => namespace === end.namespace && name === end.name);
  if (service !== undefined) return `${service.name}.${service.namespace}`;
  const isService = end.kind === 'service';
  // Workloads first: their pods are called alike.
  const known = isService ? services : [...pods.map(({ workload }) => workload), ...pods];
  const text = (namespace: string, name: string): string =>
    isService ? `${name}.${namespace}` : `${namespace}/${name}`;
  const elsewhere = known.find(({ name }) => name === end.name);
  if (elsewhere !== undefined && end.kind !== 'workload') return text(elsewhere.namespace, elsewhere.name);
  const namespaces = new Set(known.map(({ namespace }) => namespace));
  const namespace = namespaces.has(end.namespace) ? end.namespace : findNearest(end.namespace, [...namespaces]);
  if (namespace === undefined) return undefined;
  const names = new Set(known.filter((one) => one.namespace === namespace).map(({ name }) => name));
  const name =
    (names.has(end.name) ? end.name : undefined) ??
    findNearest(end.name, [...names]) ??
    [...names].find((one) => one.startsWith(`${end.name}-`));
  return name === undefined ? undefined : text(namespace, name);
}
