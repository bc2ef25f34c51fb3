/** Names to endpoints: what commands, expectations and scenario files call the ends of a flow. */
import { EndpointKind } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { type AddressText, familyOf, parseAddress } from '../model/address.ts';
import { hasEnded, type Service } from '../model/cluster.ts';
import { UnknownName } from '../model/evaluator.ts';
import type { EndpointRef, Flow } from '../model/flow.ts';
import { findEndpoint4, findEndpoint6, kindOf } from './decide.ts';

/** One source and one destination of a flow: endpoints, or a Service called by name. */
export interface Pair {
  readonly source: number;
  readonly sourceAddress: AddressText | undefined;
  readonly destination: number | Service;
  readonly destinationAddress: AddressText | undefined;
  /** EP-12: the family that both ends use, where something tells. */
  readonly family: 4 | 6 | undefined;
}

/** Every pair that a flow stands for, at least one. Throws `UnknownName`. */
export function resolvePairs(program: Program, flow: Flow): Pair[] {
  if (flow.src.kind === 'service')
    throw new UnknownName(
      `${flow.src.name}.${flow.src.namespace} has the form of a Service, which can be a destination, not a source; a pod or workload is ${flow.src.namespace}/${flow.src.name}`,
    );
  const { src, dst } = flow;
  const asked = dst.kind === 'address' ? familyOf(dst.address) : undefined;
  const sources =
    src.kind === 'address'
      ? [placeAddress(program, src.address)]
      : podsNamed(program, src).map((pod) => placePod(program, pod, asked));
  return sources.flatMap(({ endpoint: source, address: sourceAddress }): Pair[] => {
    const family = asked ?? (sourceAddress === undefined ? undefined : familyOf(sourceAddress));
    const base = { source, sourceAddress, family };
    if (dst.kind === 'service')
      return [{ ...base, destination: serviceNamed(program, dst), destinationAddress: undefined }];
    const places =
      dst.kind === 'address'
        ? [placeAddress(program, dst.address)]
        : podsNamed(program, dst).map((pod) => placePod(program, pod, family));
    return places.map(({ endpoint, address }) => ({ ...base, destination: endpoint, destinationAddress: address }));
  });
}

/** The endpoint of an address in canonical text. */
export function endpointOfAddress(program: Program, address: AddressText): number {
  const words = new Uint32Array(4);
  return parseAddress(address, words) === 4
    ? findEndpoint4(program, words[0]!)
    : findEndpoint6(program, words[0]!, words[1]!, words[2]!, words[3]!);
}

/** The live pods that a name stands for, as indexes of the snapshot, at least one. EP-09. Throws `UnknownName`. */
export function podsNamed(
  program: Program,
  ref: Extract<EndpointRef, { kind: 'name' | 'workload' }>,
): readonly number[] {
  const { pods, owned, over } = nameIndex(program);
  const key = `${ref.namespace}/${ref.name}`;
  const kind = ref.kind === 'workload' ? ref.workloadKind.toLowerCase() : undefined;
  const exact = kind === undefined ? undefined : `${ref.namespace}/${kind}/${ref.name}`;
  const pod = kind === undefined || kind === 'pod' ? pods.get(key) : undefined;
  if (pod !== undefined) return [pod];
  const members = owned.get(exact ?? key);
  if (members !== undefined) return members;
  const text = ref.kind === 'workload' ? `${ref.namespace}/${ref.workloadKind}/${ref.name}` : key;
  if (over.has(exact ?? key)) throw new UnknownName(`${text} has terminated`);
  throw new UnknownName(`no pod or workload is called ${text}`, ref);
}

/** A Service by name. Throws `UnknownName`. */
function serviceNamed(program: Program, ref: Extract<EndpointRef, { kind: 'service' }>): Service {
  const service = program.source.snapshot.services.find(
    ({ namespace, name }) => namespace === ref.namespace && name === ref.name,
  );
  if (service === undefined)
    throw new UnknownName(`no Service is called ${ref.name} in namespace ${ref.namespace}`, ref);
  return service;
}

/** The endpoint of a pod in a family, else its first, with its address. EP-04, EP-12. */
export function placePod(
  program: Program,
  pod: number,
  family: 4 | 6 | undefined,
): { endpoint: number; address: AddressText | undefined } {
  const { addresses } = program.source.snapshot.pods[pod]!;
  const at = Math.max(
    0,
    addresses.findIndex((address) => familyOf(address) === family),
  );
  return { endpoint: program.podEndpoints[program.podEndpointStart[pod]! + at]!, address: addresses[at] };
}

/** Is an endpoint of this kind? */
export function isKind(program: Program, endpoint: number, kind: EndpointKind): boolean {
  return kindOf(program, endpoint) === kind;
}

function placeAddress(program: Program, address: AddressText): { endpoint: number; address: AddressText } {
  return { endpoint: endpointOfAddress(program, address), address };
}

interface NameIndex {
  /** `namespace/name` -> live pod. */
  readonly pods: ReadonlyMap<string, number>;
  /** `namespace/name` and `namespace/kind/name`, the kind in lower case -> live pods of that top owner. */
  readonly owned: ReadonlyMap<string, readonly number[]>;
  /** Names of pods and owners whose pods are all over. */
  readonly over: ReadonlySet<string>;
}

const indexes = new WeakMap<Program, NameIndex>();

function nameIndex(program: Program): NameIndex {
  let index = indexes.get(program);
  if (index === undefined) indexes.set(program, (index = buildIndex(program)));
  return index;
}

function buildIndex(program: Program): NameIndex {
  const pods = new Map<string, number>();
  const owned = new Map<string, number[]>();
  const over = new Set<string>();
  program.source.snapshot.pods.forEach((pod, at) => {
    const { namespace, name, workload, isStandIn } = pod;
    const owners = [
      `${workload.namespace}/${workload.name}`,
      `${workload.namespace}/${workload.kind.toLowerCase()}/${workload.name}`,
    ];
    if (hasEnded(pod)) {
      for (const key of [`${namespace}/${name}`, `${namespace}/pod/${name}`, ...owners]) over.add(key); // EP-02
      return;
    }
    // EP-09: a workload's stand-in has no name of its own, unless it is the ordinal of a StatefulSet.
    const isNamed = !isStandIn || name !== workload.name;
    if (isNamed && !pods.has(`${namespace}/${name}`)) pods.set(`${namespace}/${name}`, at);
    for (const key of owners) {
      const list = owned.get(key);
      if (list === undefined) owned.set(key, [at]);
      else list.push(at);
    }
  });
  return { pods, owned, over };
}
