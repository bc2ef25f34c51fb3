/**
 * Parties: who is at each end of a connection, for grouping and for the report. Pods go under their workload, everything
 * else under its address or name. A party is a small number; the object behind it is made once.
 */
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { kindOf } from '../decide/decide.ts';
import { addressText } from '../decide/fact.ts';
import type { AddressText } from '../model/address.ts';
import { formatWorkload, type Pod } from '../model/cluster.ts';
import type { Dictionary } from '../model/flow.ts';
import type { GroupEndpoint } from './result.ts';

/** The parties of a table for another one over the same Program and dictionary. Plain data: it can be posted. */
export interface PackedParties {
  /** [parties x 3] family, word and endpoint of the address that a party goes by; family 0: it goes by a name. */
  readonly addresses: Uint32Array;
  /** By party, the others, with keys that are equal for the same party of every table. */
  readonly named: ReadonlyMap<number, NamedParty>;
}

interface NamedParty {
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
  /** All parties, for another table. */
  pack(): PackedParties;
  /** The same party as one of another table; not after an `enter`. */
  ofPacked(packed: PackedParties, party: number): number;
  /** [pods] 1 where some connection touched the pod. */
  readonly touched: Uint8Array;
  /** From now on indexes are those of another Program of the same cluster; parties stay who they are. */
  enter(program: Program): void;
  /** After an `enter`: did some connection touch the pod of this name? */
  hasTouched(pod: Pick<Pod, 'namespace' | 'name'>): boolean;
}

/** A table for the pods, nodes and Services of a Program. Results keep it, so that it holds nothing of their replay. */
export function createParties(first: Program, dictionary: Dictionary): PartyTable {
  let program = first;
  let { snapshot } = program.source;
  // Parties at addresses are many, and few of them are printed: the object is made when it is asked for.
  const parties: (GroupEndpoint | undefined)[] = [];
  /** Keys of `ids`; undefined: the party goes by its address. */
  const keys: (string | undefined)[] = [];
  /** Family, word and endpoint of the address that each party goes by; 0 elsewhere. */
  const addresses: number[] = [];
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
      addresses.push(0, 0, 0);
      ids.set(key, id);
    }
    return id;
  };

  const addressAt = (family: number, word: number): AddressText =>
    addressText(family, word, dictionary.addresses.words)!;

  const get = (party: number): GroupEndpoint =>
    (parties[party] ??= makeAt(addresses[party * 3]!, addresses[party * 3 + 1]!, addresses[party * 3 + 2]!));

  /** Who is at an address that goes by itself: of a cluster that changes, somebody outside. */
  const makeAt = (family: number, word: number, endpoint: number): GroupEndpoint => {
    const address = addressAt(family, word);
    return touchedNames === undefined ? describe(endpoint, address) : { kind: 'outside', address };
  };

  const describe = (endpoint: number, address: AddressText): GroupEndpoint => {
    const kind = kindOf(program, endpoint);
    const object = program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!;
    if (kind === EndpointKind.Node) return { kind: 'node', name: snapshot.nodes[object]?.name ?? '', address };
    if (kind === EndpointKind.Service) {
      const { namespace, name } = snapshot.services[object]!;
      return { kind: 'service', service: { namespace, name }, address };
    }
    return { kind: kind === EndpointKind.UnknownPod ? 'unknown-pod' : 'outside', address };
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

  /** Not the way of pods. */
  const ofAddress = (endpoint: number, family: number, word: number): number => {
    const byAddress = family === 4 ? byAddress4 : byAddress6;
    if (touchedNames !== undefined && kindOf(program, endpoint) !== EndpointKind.Outside) {
      const party = describe(endpoint, addressAt(family, word));
      return intern(addressKey(party, family, word), () => party);
    }
    let id = byAddress.get(word);
    if (id === undefined) {
      id = parties.push(undefined) - 1;
      keys.push(undefined);
      addresses.push(family, word, endpoint);
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
        touchedNames = new Set();
        for (const [index, pod] of snapshot.pods.entries()) if (touched[index] === 1) touchedNames.add(podName(pod));
      }
      program = next;
      ({ snapshot } = program.source);
    },
    get,
    pack() {
      const named = new Map<number, NamedParty>();
      for (let party = 0; party < keys.length; party++)
        if (keys[party] !== undefined) named.set(party, { key: keys[party]!, party: get(party) });
      return { addresses: Uint32Array.from(addresses), named };
    },
    ofPacked(packed, party) {
      const family = packed.addresses[party * 3]!;
      if (family !== 0) return ofAddress(packed.addresses[party * 3 + 2]!, family, packed.addresses[party * 3 + 1]!);
      const { key, party: known } = packed.named.get(party)!;
      return intern(key, () => known);
    },
    hasAddress: (family, word) => (family === 4 ? byAddress4 : byAddress6).has(word),
    ofEndpoint(endpoint, family, word) {
      if (kindOf(program, endpoint) === EndpointKind.Pod)
        return ofPod(program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!);
      return ofAddress(endpoint, family, word);
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
