/**
 * Namer: whom a connection is reported between. A place becomes a party; behind a Service stand its backends, where they are of one
 * workload and port, and the Service is what the connection went through.
 */
import { Endpoint, EndpointKind, ServiceSlot } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { findService, kindOf } from '../decide/decide.ts';
import type { Snapshot } from '../model/cluster.ts';
import { type Dictionary, type FlowBatch, Orientation } from '../model/flow.ts';
import { formatProtocol } from '../model/port.ts';
import type { Question } from './judgement.ts';
import type { Kernel } from './kernel.ts';
import type { PartyTable } from './party.ts';
import { endpointOf, type Place } from './place.ts';

/** Where a translated connection arrives. */
export interface Target {
  readonly party: number;
  readonly port: number;
  /** The party of the Service. */
  readonly via: number;
}

type AddressPlace = Extract<Place, { kind: 'address' }>;

/** Names the ends of connections in one state of the cluster. */
export class Namer {
  private readonly program: Program;
  private readonly dictionary: Dictionary;
  private readonly parties: PartyTable;
  /** Is told whom it may group by itself. */
  kernel: Pick<Kernel, 'learnParty'> | undefined;
  /** `TCP/31000` -> the Service whose node port it is. */
  private readonly nodePorts: ReadonlyMap<string, number>;

  /** `parties` are asked only while they are in `program`; `kernel` is told whom it may group by itself. */
  constructor(
    program: Program,
    dictionary: Dictionary,
    parties: PartyTable,
    kernel: Pick<Kernel, 'learnParty'> | undefined,
  ) {
    this.program = program;
    this.dictionary = dictionary;
    this.parties = parties;
    this.kernel = kernel;
    this.nodePorts = indexNodePorts(program.source.snapshot);
  }

  /** The party that a place is grouped and reported under. */
  partyOf(place: Place): number {
    const { parties, program, dictionary } = this;
    switch (place.kind) {
      case 'address': {
        const { family, word } = place;
        const endpoint = endpointOf(program, dictionary, family, word);
        const party = parties.ofEndpoint(endpoint, family, word);
        this.kernel?.learnParty(endpoint, family, word, party);
        return party;
      }
      case 'pods':
        return parties.ofPods(place.pods);
      case 'described':
        return parties.ofDescription(place.fact.namespace, place.fact.workload ?? place.fact.name ?? 'unnamed');
      case 'service':
        return parties.ofService(place.index);
      default:
        return parties.ofDescription(
          undefined,
          place.kind === 'node' ? 'a node' : place.kind === 'network' ? 'outside or a node' : 'outside',
        );
    }
  }

  /** Where a translated connection arrives: the backends' workload and port where they share one, and the Service. */
  targetOf({ destination, protocol, port }: Question): Target | undefined {
    const { program, dictionary } = this;
    if (destination.kind !== 'address') return undefined;
    const endpoint = endpointOf(program, dictionary, destination.family, destination.word);
    if (kindOf(program, endpoint) < EndpointKind.Node) return undefined;
    const slot = findService(program, endpoint, protocol, port);
    if (slot < 0) return undefined;
    const { serviceSlots, backends } = program;
    const start = serviceSlots[slot * ServiceSlot.Stride + ServiceSlot.Start]! * 2;
    const count = serviceSlots[slot * ServiceSlot.Stride + ServiceSlot.CountPlusOne]! - 1;
    const via = this.partyOfService(destination, protocol, port);
    let shared = -2;
    let sharedPort = -2;
    for (let index = 0; index < count; index++) {
      const backend = backends[start + index * 2]!;
      const party = this.partyOfBackend(backend);
      shared = shared === -2 || shared === party ? party : -1;
      const backendPort = backends[start + index * 2 + 1]!;
      sharedPort = sharedPort === -2 || sharedPort === backendPort ? backendPort : -1;
    }
    if (shared < 0 || sharedPort < 0) return undefined;
    return { party: shared, port: sharedPort, via };
  }

  /** What the initiator asked for, where the record shows that it was translated; -1 elsewhere. */
  viaOf(batch: FlowBatch, row: number, orientation: Orientation, strangers: 'named' | 'pooled'): number {
    if (orientation !== Orientation.Original || batch.preDstPort[row]! < 0) return -1;
    const asked: AddressPlace = { kind: 'address', family: batch.family[row]!, word: batch.preDst[row]! };
    if (strangers === 'pooled' && !this.isKnown(asked)) return this.parties.ofOthers();
    return this.partyOfService(asked, batch.protocol[row]!, batch.preDstPort[row]!);
  }

  /** Has a place a party, or one of few? False for an outside address that was not named yet. */
  isKnown(place: Place): boolean {
    return !this.isStranger(place) || (place.kind === 'address' && this.parties.hasAddress(place.family, place.word));
  }

  /** Is a place an outside address, one of very many? */
  isStranger(place: Place): boolean {
    if (place.kind !== 'address') return false;
    const { program, dictionary } = this;
    return kindOf(program, endpointOf(program, dictionary, place.family, place.word)) === EndpointKind.Outside;
  }

  /** The Service behind an address and port: on a node that of the node port, else whoever has the address. */
  private partyOfService(place: AddressPlace, protocol: number, port: number): number {
    const { program, dictionary, parties } = this;
    const endpoint = endpointOf(program, dictionary, place.family, place.word);
    const kind = kindOf(program, endpoint);
    if (kind === EndpointKind.Service)
      return parties.ofService(program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!);
    if (kind !== EndpointKind.Node) return this.partyOf(place);
    const service = this.nodePorts.get(`${formatProtocol(protocol)}/${port}`);
    return service === undefined ? this.partyOf(place) : parties.ofService(service);
  }

  private partyOfBackend(endpoint: number): number {
    const { program, parties } = this;
    if (kindOf(program, endpoint) !== EndpointKind.Pod) return -1;
    return parties.ofPods([program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!]);
  }
}

/** The Service of each node port; the first keeps it, as in the service table. */
function indexNodePorts({ services }: Snapshot): ReadonlyMap<string, number> {
  const index = new Map<string, number>();
  services.forEach(({ ports }, at) => {
    for (const { protocol, nodePort } of ports)
      if (nodePort !== undefined && !index.has(`${protocol}/${nodePort}`)) index.set(`${protocol}/${nodePort}`, at);
  });
  return index;
}
