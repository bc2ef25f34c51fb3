/**
 * Parties: who is at each end of a connection, for grouping and for the report. Pods go under their workload, everything
 * else under its address or name. A party is a small number; the object behind it is made once.
 */
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import type { AddressText } from '../model/address.ts';
import { formatWorkload } from '../model/cluster.ts';
import type { GroupEndpoint } from './result.ts';

/** A party as another table knows it too. */
export interface NamedParty {
  /** Equal for the same party of every table over one dictionary. */
  readonly key: string;
  readonly party: GroupEndpoint;
}

/** Interns parties of one replay. */
export interface PartyTable {
  /** The party at an address, or, family 0, of an endpoint without one. */
  ofEndpoint(endpoint: number, family: number, word: number): number;
  /** True where an address has been given a party. Pods have theirs by their workload, and are not asked for here. */
  hasAddress(family: number, word: number): boolean;
  /** The workload of pods of the snapshot, by index; all are taken as touched. */
  ofPods(pods: readonly number[]): number;
  ofService(index: number, address: AddressText | undefined): number;
  ofDescription(namespace: string | undefined, name: string): number;
  /** All outside addresses beyond the group limit. */
  ofOthers(): number;
  get(party: number): GroupEndpoint;
  /** All parties by number, for another table. */
  list(): NamedParty[];
  /** The party of another table. */
  ofNamed(named: NamedParty): number;
  /** [pods] 1 where some connection touched the pod. */
  readonly touched: Uint8Array;
}

/** A table for the pods, nodes and Services of a Program. */
export function createParties(
  program: Program,
  addressOf: (family: number, word: number) => AddressText | undefined,
): PartyTable {
  const { snapshot } = program.source;
  // Parties at addresses are many, and few of them are printed: the object is made when it is asked for.
  const parties: (GroupEndpoint | (() => GroupEndpoint))[] = [];
  /** Keys of `ids`, or family and address word where there is no text yet. */
  const keys: (string | readonly [number, number])[] = [];
  const ids = new Map<string, number>();
  const byAddress4 = new Map<number, number>();
  const byAddress6 = new Map<number, number>();
  const partyOfPod = new Int32Array(snapshot.pods.length).fill(-1);
  const touched = new Uint8Array(snapshot.pods.length);

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

  const ofPod = (pod: number): number => {
    touched[pod] = 1;
    const known = partyOfPod[pod]!;
    if (known >= 0) return known;
    const { workload } = snapshot.pods[pod]!;
    return (partyOfPod[pod] = intern(`w${formatWorkload(workload)}`, () => ({ kind: 'workload', workload })));
  };

  return {
    touched,
    get,
    list: () =>
      keys.map((key, party) => ({ key: typeof key === 'string' ? key : `i${key[0]},${key[1]}`, party: get(party) })),
    ofNamed: ({ key, party }) => intern(key, () => party),
    hasAddress: (family, word) => (family === 4 ? byAddress4 : byAddress6).has(word),
    ofEndpoint(endpoint, family, word) {
      const at = endpoint * Endpoint.Stride;
      const kind = program.endpoints[at + Endpoint.Kind]! & EndpointKind.Mask;
      const object = program.endpoints[at + Endpoint.Object]!;
      if (kind === EndpointKind.Pod) return ofPod(object);
      const make = (): GroupEndpoint => {
        const text = addressOf(family, word);
        const place = text === undefined ? {} : { address: text };
        if (kind === EndpointKind.Node) return { kind: 'node', name: snapshot.nodes[object]?.name ?? '', ...place };
        if (kind === EndpointKind.Service) {
          const { namespace, name } = snapshot.services[object]!;
          return { kind: 'service', service: { namespace, name }, ...place };
        }
        if (text === undefined) return { kind: 'described', name: 'outside' };
        return { kind: kind === EndpointKind.UnknownPod ? 'unknown-pod' : 'outside', address: text };
      };
      if (family === 0) return intern(`a${kind},${object}`, make);
      const byAddress = family === 4 ? byAddress4 : byAddress6;
      let id = byAddress.get(word);
      if (id === undefined) {
        id = parties.push(make) - 1;
        keys.push([family, word]);
        byAddress.set(word, id);
      }
      return id;
    },
    ofPods: (pods) => pods.map(ofPod)[0]!,
    ofService(index, address) {
      return intern(`s${index}`, () => {
        const { namespace, name } = snapshot.services[index]!;
        return { kind: 'service', service: { namespace, name }, ...(address !== undefined && { address }) };
      });
    },
    ofOthers: () => intern('others', () => ({ kind: 'outside' })),
    ofDescription(namespace, name) {
      return intern(`d${namespace ?? ''}/${name}`, () => ({
        kind: 'described',
        name,
        ...(namespace !== undefined && { namespace }),
      }));
    },
  };
}
