/** Streams of packets through a random world, in step and out of it, for what only connection tracking can tell apart. */
import * as fc from 'fast-check';
import { type AddressText, familyOf } from '../model/address.ts';
import type { World } from '../model/evaluator.ts';
import { type EndpointRef, type Packet, TcpFlag } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { type WorldOptions, arbitraryWorld } from './arbitrary-world.ts';
import { edgeAddresses } from './edge.ts';
import { PORT_NUMBERS } from './vocabulary.ts';

/** A world and a stream of packets through it. */
export interface PacketCase {
  readonly world: World;
  readonly packets: readonly Packet[];
}

/** A world with a stream of packets between a few ends, in and out of step: openings, answers, resets, errors, silences. */
export function arbitraryPacketCase(options: WorldOptions, packetCount: number): fc.Arbitrary<PacketCase> {
  return arbitraryWorld(options).chain((world) =>
    arbitraryPackets(world, packetCount).map((packets) => ({ world, packets })),
  );
}

/** What may come next: a packet of one of the conversations, or an ICMP error about an earlier packet. */
interface PacketDraft {
  readonly conversation: number;
  readonly way: 'forth' | 'back';
  readonly flags: number;
  readonly waitS: number;
  readonly errorAbout: number | undefined;
  readonly isErrorAstray: boolean;
}

interface Conversation {
  readonly ends: readonly [AddressText, AddressText];
  readonly protocol: Protocol;
  readonly port: number;
}

function arbitraryPackets(world: World, packetCount: number): fc.Arbitrary<Packet[]> {
  const held = world.snapshot.pods.flatMap((pod) => [...pod.addresses]);
  const groups = ([4, 6] as const)
    .map((family) => [...held, ...held, ...edgeAddresses(world)].filter((own) => familyOf(own) === family))
    .filter((group) => new Set(group).size > 1);
  const conversation = fc.constantFrom(...groups).chain((group) =>
    fc
      .record({
        ends: fc.tuple(fc.constantFrom(...group), fc.constantFrom(...group)).filter(([one, other]) => one !== other),
        protocol: fc.constantFrom(Protocol.Tcp, Protocol.Tcp, Protocol.Udp, Protocol.Icmp),
        port: fc.constantFrom(...PORT_NUMBERS),
      })
      .map((draft): Conversation => draft),
  );
  const { Syn, Ack, Fin, Rst, Psh } = {
    Syn: TcpFlag.Syn,
    Ack: TcpFlag.Ack,
    Fin: TcpFlag.Fin,
    Rst: TcpFlag.Rst,
    Psh: TcpFlag.Psh,
  };
  const step = fc.record<PacketDraft>({
    conversation: fc.nat(1),
    way: fc.constantFrom('forth', 'forth', 'back'),
    flags: fc.constantFrom<number>(
      Syn,
      Syn,
      Syn | Ack,
      Syn | Ack,
      Ack,
      Psh | Ack,
      Fin | Ack,
      Rst,
      Rst | Ack,
      Syn | Fin,
    ),
    waitS: fc.constantFrom(0, 0, 0, 1, 3, 31, 130),
    errorAbout: fc.option(fc.nat(4), { nil: undefined, freq: 5 }),
    isErrorAstray: fc.nat(2).map((number) => number === 1),
  });
  return fc
    .record({
      conversations: fc.tuple(conversation, conversation),
      steps: fc.array(step, { minLength: 1, maxLength: packetCount, size: 'max' }),
    })
    .map(({ conversations, steps }) => {
      const packets: Packet[] = [];
      let timeS = 0;
      for (const draft of steps) {
        timeS += draft.waitS;
        packets.push(packetOf(draft, conversations, packets, timeS));
      }
      return packets;
    });
}

function packetOf(
  draft: PacketDraft,
  conversations: readonly Conversation[],
  earlier: readonly Packet[],
  timeS: number,
): Packet {
  const address = (own: AddressText): EndpointRef => ({ kind: 'address', address: own });
  const number = conversations.length > 1 ? draft.conversation : 0;
  const { ends, protocol, port } = conversations[number]!;
  const quoted = draft.errorAbout === undefined ? undefined : earlier[earlier.length - 1 - draft.errorAbout];
  if (quoted !== undefined && quoted.quotes === undefined && quoted.src.kind === 'address') {
    const is6 = familyOf(quoted.src.address) === 6;
    return {
      src: draft.isErrorAstray ? quoted.src : quoted.dst,
      dst: draft.isErrorAstray ? quoted.dst : quoted.src,
      protocol: is6 ? Protocol.Icmpv6 : Protocol.Icmp,
      icmp: is6 ? 1 << 8 : (3 << 8) | 1,
      quotes: earlier.indexOf(quoted),
      timeS,
    };
  }
  const [near, far] = draft.way === 'forth' ? ends : ([ends[1], ends[0]] as const);
  const base = { src: address(near), dst: address(far), timeS };
  const own = 40_000 + number;
  if (protocol === Protocol.Icmp) {
    const is6 = familyOf(near) === 6;
    const request = is6 ? 128 : 8;
    const reply = is6 ? 129 : 0;
    return {
      ...base,
      protocol: is6 ? Protocol.Icmpv6 : Protocol.Icmp,
      icmp: (draft.way === 'forth' ? request : reply) << 8,
      srcPort: own,
    };
  }
  const [srcPort, dstPort] = draft.way === 'forth' ? [own, port] : [port, own];
  return {
    ...base,
    protocol,
    srcPort,
    port: dstPort,
    ...(protocol === Protocol.Tcp && { tcpFlags: draft.flags }),
  };
}
