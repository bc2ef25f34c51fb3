/** The text forms of endpoints and flows, as commands, expectations and scenario files spell them. */
import { canonicalAddress } from './address.ts';
import type { EndpointRef } from './flow.ts';

/**
 * Reads one side of a flow: an address; `namespace/name` (a pod, else a top owner); `namespace/Kind/name` (exact);
 * `service.namespace`, also with `.svc` or `.svc.cluster.local` behind it; or a bare name in `namespace`.
 * Undefined where it is none of these.
 */
export function parseEndpoint(text: string, namespace: string): EndpointRef | undefined {
  const trimmed = text.trim();
  const address = canonicalAddress(trimmed);
  if (address !== undefined) return { kind: 'address', address };
  if (trimmed === '' || /[\s:]/.test(trimmed)) return undefined;
  const parts = trimmed.split('/');
  if (parts.some((part) => part === '')) return undefined;
  if (parts.length === 3) return { kind: 'workload', namespace: parts[0]!, workloadKind: parts[1]!, name: parts[2]! };
  if (parts.length === 2) return { kind: 'name', namespace: parts[0]!, name: parts[1]! };
  if (parts.length > 3) return undefined;
  const service = /^([^.]+)\.([^.]+)(?:\.svc(?:\.cluster\.local)?)?$/.exec(trimmed);
  if (service !== null && !/^[\d.]+$/.test(trimmed))
    return { kind: 'service', name: service[1]!, namespace: service[2]! };
  return trimmed.includes('.') ? undefined : { kind: 'name', namespace, name: trimmed };
}

/** The text that `parseEndpoint` reads back. */
export function formatEndpoint(ref: EndpointRef): string {
  switch (ref.kind) {
    case 'address':
      return ref.address;
    case 'name':
      return `${ref.namespace}/${ref.name}`;
    case 'workload':
      return `${ref.namespace}/${ref.workloadKind}/${ref.name}`;
    case 'service':
      return `${ref.name}.${ref.namespace}`;
  }
}
