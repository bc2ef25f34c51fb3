/**
 * Parties: who is at each end of a connection, for grouping and for the report. Pods go under their workload, everything
 * else under its address or name. A party is a small number; the object behind it is made once.
 */
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import type { AddressText } from '../model/address.ts';
import { formatWorkload, type Pod } from '../model/cluster.ts';
import { kindOf } from './place.ts';
import type { GroupEndpoint } from './result.ts';

/** A party as another table knows it too. */
export interface NamedParty {
  /** Equal for the same party of every table over one dictionary. */
  readonly key: string;
  readonly party: GroupEndpoint;
}

/** Interns parties of one replay. */
export interface PartyTable {
  /** The party at an address, of family 4 or 6. */
  ofEndpoint(endpoint: number, family: number, word: number): number;
  /** True where an address has been given a party. Pods have theirs by their workload, and are not asked for here. */
  hasAddress(family: number, word: number): boolean;
  /** The workload of pods of the snapshot, by index; all are taken as touched. */
  ofPods(pods: readonly number[]): number;
  /** A Service of the snapshot, by index, wherever it was asked for. */
  ofService(index: number): number;
  ofDescription(namespace: string | undefined, name: string): number;
  /** All outside addresses beyond the group limit. */
  ofOthers(): number;
  get(party: number): GroupEndpoint;
  /** The party that one goes under in a group of many: outside addresses are one, everybody else stays apart. */
  pooled(party: number): number;
  /** All parties by number, for another table. */
  list(): NamedParty[];
  /** The party of another table. */
  ofNamed(named: NamedParty): number;
  /** [pods] 1 where some connection touched the pod. */
  readonly touched: Uint8Array;
  /** From now on indexes are those of another Program of the same cluster; parties stay who they are. */
  enter(program: Program): void;
  /** After an `enter`: did some connection touch the pod of this name? */
  hasTouched(pod: Pick<Pod, 'namespace' | 'name'>): boolean;
}

/** A table for the pods, nodes and Services of a Program. */
export function createParties(
  first: Program,
  addressOf: (family: number, word: number) => AddressText | undefined,
): PartyTable {
  let program = first;
  let { snapshot } = program.source;
  // Parties at addresses are many, and few of them are printed: the object is made when it is asked for.
  const parties: (GroupEndpoint | (() => GroupEndpoint))[] = [];
  /** Keys of `ids`, or family and address word where there is no text yet. */
  const keys: (string | readonly [number, number])[] = [];
  const ids = new Map<string, number>();
  const byAddress4 = new Map<number, number>();
  const byAddress6 = new Map<number, number>();
  const partyOfPod = new Int32Array(snapshot.pods.length).fill(-1);
  const touched = new Uint8Array(snapshot.pods.length);
  /** Of a cluster that changes: parties by pod, which keeps its identity while it stays as it is, and names of touched pods. */
  const partyOfObject = new WeakMap<Pod, number>();
  let touchedNames: Set<string> | undefined;

  const intern = (key: string, make: () => GroupEndpoint): number => {
    let id = ids.get(key);
    if (id === undefined) {
      id = parties.push(make()) - 1;
      keys.push(key);
      ids.set(key, id);
    }
    return id;
  };

  const get = (party: number): GroupEndpoint => {
    const known = parties[party]!;
    return typeof known === 'function' ? (parties[party] = known()) : known;
  };

  const ofChangingPod = (pod: Pod, touchedNames: Set<string>): number => {
    let id = partyOfObject.get(pod);
    if (id === undefined) {
      const { workload } = pod;
      touchedNames.add(podName(pod));
      id = intern(`w${formatWorkload(workload)}`, () => ({ kind: 'workload', workload }));
      partyOfObject.set(pod, id);
    }
    return id;
  };

  const ofPod = (pod: number): number => {
    if (touchedNames !== undefined) return ofChangingPod(snapshot.pods[pod]!, touchedNames);
    touched[pod] = 1;
    const known = partyOfPod[pod]!;
    if (known >= 0) return known;
    const { workload } = snapshot.pods[pod]!;
    return (partyOfPod[pod] = intern(`w${formatWorkload(workload)}`, () => ({ kind: 'workload', workload })));
  };

  /** Not the way of pods: closures are made here. */
  const ofPlace = (kind: EndpointKind, object: number, family: number, word: number): number => {
    const make = (): GroupEndpoint => {
      const place = { address: addressOf(family, word)! };
      if (kind === EndpointKind.Node) return { kind: 'node', name: snapshot.nodes[object]?.name ?? '', ...place };
      if (kind === EndpointKind.Service) {
        const { namespace, name } = snapshot.services[object]!;
        return { kind: 'service', service: { namespace, name }, ...place };
      }
      return { kind: kind === EndpointKind.UnknownPod ? 'unknown-pod' : 'outside', ...place };
    };
    const byAddress = family === 4 ? byAddress4 : byAddress6;
    if (touchedNames !== undefined && kind !== EndpointKind.Outside) {
      const party = make();
      return intern(addressKey(party, family, word), () => party);
    }
    let id = byAddress.get(word);
    if (id === undefined) {
      id = parties.push(make) - 1;
      keys.push([family, word]);
      byAddress.set(word, id);
    }
    return id;
  };

  const ofOthers = (): number => intern('others', () => ({ kind: 'outside' }));

  return {
    get touched() {
      return touched;
    },
    hasTouched(pod) {
      return touchedNames?.has(podName(pod)) === true;
    },
    enter(next) {
      if (touchedNames === undefined) {
        touchedNames = new Set();
        for (const [index, pod] of snapshot.pods.entries()) if (touched[index] === 1) touchedNames.add(podName(pod));
        // An outside address stays one. Another may be somebody else's from now on: those go by who has them.
        for (const [family, byAddress] of [
          [4, byAddress4],
          [6, byAddress6],
        ] as const)
          for (const [word, id] of byAddress) {
            const party = get(id);
            if (party.kind === 'outside') continue;
            byAddress.delete(word);
            ids.set(addressKey(party, family, word), id);
          }
      }
      program = next;
      ({ snapshot } = program.source);
    },
    get,
    list: () =>
      keys.map((key, party) => ({ key: typeof key === 'string' ? key : `i${key[0]},${key[1]}`, party: get(party) })),
    ofNamed: ({ key, party }) => intern(key, () => party),
    hasAddress: (family, word) => (family === 4 ? byAddress4 : byAddress6).has(word),
    ofEndpoint(endpoint, family, word) {
      const kind = kindOf(program, endpoint);
      const object = program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!;
      if (kind === EndpointKind.Pod) return ofPod(object);
      return ofPlace(kind, object, family, word);
    },
    ofPods: (pods) => pods.map(ofPod)[0]!,
    ofService(index) {
      const { namespace, name } = snapshot.services[index]!;
      return intern(`s${namespace}/${name}`, () => ({ kind: 'service', service: { namespace, name } }));
    },
    ofOthers,
    pooled: (party) => (isStranger(get(party)) ? ofOthers() : party),
    ofDescription(namespace, name) {
      return intern(`d${namespace ?? ''}/${name}`, () => ({
        kind: 'described',
        name,
        ...(namespace !== undefined && { namespace }),
      }));
    },
  };
}

/** One of very many outside addresses? */
function isStranger(party: GroupEndpoint): boolean {
  return party.kind === 'outside' && party.address !== undefined;
}

/** What tells parties at one address of a changing cluster apart. */
function addressKey(party: GroupEndpoint, family: number, word: number): string {
  const name =
    party.kind === 'service'
      ? `${party.service.namespace}/${party.service.name}`
      : party.kind === 'node'
        ? party.name
        : '';
  return `i${family},${word},${party.kind},${name}`;
}

function podName({ namespace, name }: Pick<Pod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}
