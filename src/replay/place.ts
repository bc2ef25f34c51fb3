/**
 * Places: who a record means at one end. Most records carry an address and nothing that speaks against the snapshot: those
 * stay numbers. Where a record names somebody, the name is held against the snapshot here.
 */
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import {
  addressText,
  endpointWithoutAddress,
  factsOfDescription,
  factsOfEndpoint,
  type Facts,
} from '../decide/fact.ts';
import { placePod, podsNamed } from '../decide/resolve.ts';
import { findEndpoint4, findEndpoint6, kindOf } from '../decide/decide.ts';
import { hasEnded } from '../model/cluster.ts';
import { UnknownName } from '../model/evaluator.ts';
import type { Dictionary, EndpointFact } from '../model/flow.ts';

/** One end of a connection. `family` 0: no address; `word` is an IPv4 address or the id of an IPv6 one. */
export type Place =
  | { readonly kind: 'address'; readonly family: number; readonly word: number }
  /** Pods of the snapshot, by index, that the record names. */
  | { readonly kind: 'pods'; readonly pods: readonly number[]; readonly family: number; readonly word: number }
  /** Somebody whom only the record knows. */
  | { readonly kind: 'described'; readonly fact: EndpointFact; readonly family: number; readonly word: number }
  /** `network`: judged as outside, but where that is denied it may be the pod's own node. */
  | { readonly kind: 'outside' | 'node' | 'network' }
  | { readonly kind: 'service'; readonly index: number }
  /** Neither address nor name. */
  | { readonly kind: 'nobody' };

/** Finds places, and what they mean in a Program. */
export interface Placer {
  /** The place of one end of a row; `endpoint` is its id in the dictionary, 0 = the record names nobody. */
  place(family: number, word: number, endpoint: number): Place;
  /** What each Program knows of a place; several where a name stands for several pods. */
  facts(program: Program, place: Exclude<Place, { kind: 'service' | 'nobody' }>): readonly Facts[];
  /** Does a place's record name another pod than the snapshot has at the address? */
  isDisputed(place: Place): boolean;
}

/** The endpoint of an address of a batch. */
export function endpointOf(program: Program, dictionary: Dictionary, family: number, word: number): number {
  if (family === 4) return findEndpoint4(program, word);
  const { words } = dictionary.addresses;
  const at = word * 4;
  return findEndpoint6(program, words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
}

/** A placer over the snapshot that `program` was compiled from. */
export function createPlacer(program: Program, dictionary: Dictionary): Placer {
  const { snapshot } = program.source;
  const named = new Map<number, readonly number[] | undefined>();
  /** [endpoint of the dictionary] the place that it had last. */
  const places: { readonly family: number; readonly word: number; readonly place: Place }[] = [];

  return {
    isDisputed(place) {
      if (place.kind === 'described') return place.family !== 0;
      if (place.kind !== 'pods' || place.family === 0) return false;
      const address = addressText(place.family, place.word, dictionary.addresses.words)!;
      return place.pods.every((pod) => {
        const { addresses } = snapshot.pods[pod]!;
        return addresses.length > 0 && !addresses.includes(address);
      });
    },
    place(family, word, endpoint) {
      const fact = dictionary.endpoints[endpoint];
      if (endpoint === 0 || fact === undefined)
        return family === 0 ? { kind: 'nobody' } : { kind: 'address', family, word };
      // A name mostly comes with one address, again and again.
      const known = places[endpoint];
      if (known !== undefined && known.family === family && known.word === word) return known.place;
      const place = placeOfFact(fact, family, word, endpoint);
      places[endpoint] = { family, word, place };
      return place;
    },
    facts(inProgram, place) {
      switch (place.kind) {
        case 'address':
          return [
            factsOfEndpoint(
              inProgram,
              endpointOf(inProgram, dictionary, place.family, place.word),
              addressText(place.family, place.word, dictionary.addresses.words),
            ),
          ];
        case 'pods': {
          const address = addressText(place.family, place.word, dictionary.addresses.words);
          const family = place.family === 0 ? undefined : (place.family as 4 | 6);
          return place.pods.map((pod) => {
            const placed = placePod(inProgram, pod, family);
            return factsOfEndpoint(inProgram, placed.endpoint, address ?? placed.address);
          });
        }
        case 'described':
          return [
            factsOfDescription(
              inProgram,
              place.fact,
              addressText(place.family, place.word, dictionary.addresses.words),
            ),
          ];
        default: {
          const kind = place.kind === 'node' ? 'node' : 'outside';
          return [factsOfEndpoint(inProgram, endpointWithoutAddress(inProgram, kind), undefined)];
        }
      }
    },
  };

  function placeOfFact(fact: EndpointFact, family: number, word: number, endpoint: number): Place {
    if (family === 0) return placeByName(fact, endpoint);
    if (fact.kind !== 'pod' || fact.namespace === undefined) return { kind: 'address', family, word };
    const there = endpointOf(program, dictionary, family, word);
    if (kindOf(program, there) === EndpointKind.Pod) {
      const pod = snapshot.pods[program.endpoints[there * Endpoint.Stride + Endpoint.Object]!]!;
      if (pod.namespace === fact.namespace && (fact.name === undefined || fact.name === pod.name))
        return { kind: 'address', family, word };
    }
    const pods = podsOf(fact, endpoint);
    return pods === undefined ? { kind: 'described', fact, family, word } : { kind: 'pods', pods, family, word };
  }

  function placeByName(fact: EndpointFact, endpoint: number): Place {
    switch (fact.kind) {
      case 'world':
        return { kind: 'outside' };
      case 'node':
      case 'network':
        return { kind: fact.kind };
      case 'service': {
        const index = snapshot.services.findIndex(
          ({ namespace, name }) => namespace === fact.namespace && name === fact.name,
        );
        return index < 0 ? { kind: 'nobody' } : { kind: 'service', index };
      }
      case 'unknown':
        return { kind: 'nobody' };
      default: {
        const pods = podsOf(fact, endpoint);
        if (pods !== undefined) return { kind: 'pods', pods, family: 0, word: 0 };
        return fact.namespace === undefined && fact.labels === undefined
          ? { kind: 'nobody' }
          : { kind: 'described', fact, family: 0, word: 0 };
      }
    }
  }

  /** The live pods of the snapshot that a record names: the pod itself, else those of its workload. */
  function podsOf(fact: EndpointFact, endpoint: number): readonly number[] | undefined {
    if (!named.has(endpoint)) named.set(endpoint, findPods(fact));
    return named.get(endpoint);
  }

  function findPods({ namespace, name, workload, workloadKind }: EndpointFact): readonly number[] | undefined {
    if (namespace === undefined) return undefined;
    const refs = [
      ...(name === undefined ? [] : [{ kind: 'workload' as const, namespace, workloadKind: 'Pod', name }]),
      ...(workload === undefined
        ? []
        : workloadKind === undefined
          ? [{ kind: 'name' as const, namespace, name: workload }]
          : [{ kind: 'workload' as const, namespace, workloadKind, name: workload }]),
    ];
    for (const ref of refs) {
      try {
        return podsNamed(program, ref);
      } catch (error) {
        if (!(error instanceof UnknownName)) throw error;
      }
    }
    return name === undefined && workload !== undefined ? podsOfPrefix(namespace, `${workload}-`) : undefined;
  }

  /** Live pods by what their owner generates their names from: some sources name a ReplicaSet, which no snapshot holds. */
  function podsOfPrefix(namespace: string, prefix: string): readonly number[] | undefined {
    const pods = snapshot.pods.flatMap((pod, index) =>
      pod.namespace === namespace &&
      !hasEnded(pod) &&
      pod.name.startsWith(prefix) &&
      !pod.name.slice(prefix.length).includes('-')
        ? [index]
        : [],
    );
    return pods.length === 0 ? undefined : pods;
  }
}
