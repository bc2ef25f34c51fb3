/**
 * Who opened a connection, as its first row shows: by what the record states, else by its flags, else by its ports: the side whose
 * port is known to listen is the responder, else the side with the well-known or non-ephemeral port. What remains is assumed.
 */
import type { Program } from '../compile/program.ts';
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import { findService, kindOf } from '../decide/decide.ts';
import { type Dictionary, type FlowBatch, Orientation, OrientedBy, TcpFlag } from '../model/flow.ts';
import { formatProtocol, Protocol } from '../model/port.ts';
import { endpointOf } from './place.ts';

/** A guess: `Orientation` and how it was come by. */
export interface Guess {
  readonly orientation: Orientation;
  readonly by: OrientedBy;
}

/** Nothing speaks against it: whoever sent the row opened the connection. */
export const SENDER_OPENED: Guess = { orientation: Orientation.Original, by: OrientedBy.Flags };
const RECEIVER_OPENED: Guess = { orientation: Orientation.Reply, by: OrientedBy.Flags };
const ORIGINAL_BY_PORTS: Guess = { orientation: Orientation.Original, by: OrientedBy.Ports };
const REPLY_BY_PORTS: Guess = { orientation: Orientation.Reply, by: OrientedBy.Ports };
const ASSUMED: Guess = { orientation: Orientation.Original, by: OrientedBy.Assumed };

/** RFC 9260: who sends which chunk of the handshake, as bits of `sctpChunks`. */
const enum HandshakeChunk {
  /** COOKIE ECHO. */
  FromInitiator = 1 << 10,
  /** INIT ACK, COOKIE ACK. */
  FromResponder = (1 << 2) | (1 << 11),
}

/** Linux's default `ip_local_port_range`. */
const enum Ephemeral {
  First = 32_768,
  Last = 60_999,
}

/** Who opened a connection whose first packet this is, by connection tracking. */
export function orientOpening(batch: FlowBatch, row: number, program: Program, dictionary: Dictionary): Guess {
  const stated = batch.orientation[row]!;
  if (stated !== Orientation.Unknown) return { orientation: stated, by: batch.orientedBy[row]! };
  if (batch.protocol[row] !== Protocol.Udp) return SENDER_OPENED;
  return orientByPorts(batch, row, program, dictionary);
}

/** The same for a connection that was open before; undefined where the packet speaks of none (a lone RST). */
export function orientMidstream(
  batch: FlowBatch,
  row: number,
  program: Program,
  dictionary: Dictionary,
): Guess | undefined {
  const protocol = batch.protocol[row]!;
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) return RECEIVER_OPENED;
  const flags = batch.tcpFlags[row]!;
  if (protocol === Protocol.Tcp && (flags & TcpFlag.Rst) !== 0) return undefined;
  const stated = batch.orientation[row]!;
  if (stated !== Orientation.Unknown) return { orientation: stated, by: batch.orientedBy[row]! };
  if (protocol === Protocol.Tcp && (flags & TcpFlag.Syn) !== 0) return RECEIVER_OPENED;
  const chunks = batch.sctpChunks[row]!;
  if (protocol === Protocol.Sctp && (chunks & HandshakeChunk.FromResponder) !== 0) return RECEIVER_OPENED;
  if (protocol === Protocol.Sctp && (chunks & HandshakeChunk.FromInitiator) !== 0) return SENDER_OPENED;
  return orientByPorts(batch, row, program, dictionary);
}

/** The same for a record that is no packet: its own statement, its flags, its ports. */
export function orientRecord(batch: FlowBatch, row: number, program: Program, dictionary: Dictionary): Guess {
  const stated = batch.orientation[row]!;
  if (stated !== Orientation.Unknown) return { orientation: stated, by: batch.orientedBy[row]! };
  const flags = batch.tcpFlags[row]!;
  if (batch.protocol[row] === Protocol.Tcp && flags !== TcpFlag.Absent && (flags & TcpFlag.Syn) !== 0)
    return (flags & TcpFlag.Ack) === 0 ? SENDER_OPENED : RECEIVER_OPENED;
  const icmp = batch.icmp[row]!;
  if (icmp >= 0) return requestOf(batch.protocol[row]!, icmp) === icmp ? SENDER_OPENED : RECEIVER_OPENED;
  return orientByPorts(batch, row, program, dictionary);
}

/** The ICMP request that a reply answers, type << 8; anything else is itself. */
export function requestOf(protocol: number, icmp: number): number {
  const type = icmp >> 8;
  if (protocol === Protocol.Icmpv6) return type === 129 || type === 140 ? (type - 1) << 8 : icmp;
  if (protocol !== Protocol.Icmp || icmp < 0) return icmp;
  switch (type) {
    case 0:
      return 8 << 8;
    case 14:
    case 16:
    case 18:
      return (type - 1) << 8;
    default:
      return icmp;
  }
}

/** Does the snapshot say that this endpoint listens on this port? */
export function listens(program: Program, endpoint: number, protocol: number, port: number): boolean {
  if (endpoint < 0) return false;
  const kind = kindOf(program, endpoint);
  if (kind === EndpointKind.Pod) {
    const name = formatProtocol(protocol);
    return program.source.snapshot.pods[program.endpoints[endpoint * Endpoint.Stride + Endpoint.Object]!]!.ports.some(
      (own) => own.port === port && own.protocol === name,
    );
  }
  return kind >= EndpointKind.Node && findService(program, endpoint, protocol, port) >= 0;
}

/** From both ends' endpoints and ports; a port of -1 tells nothing. */
function orientByPorts(batch: FlowBatch, row: number, program: Program, dictionary: Dictionary): Guess {
  const family = batch.family[row]!;
  const srcPort = batch.srcPort[row]!;
  const dstPort = batch.dstPort[row]!;
  if (srcPort < 0 || dstPort < 0) return ASSUMED;
  const isServer = (word: number, port: number): boolean =>
    family !== 0 && listens(program, endpointOf(program, dictionary, family, word), batch.protocol[row]!, port);
  const isSourceServer = isServer(batch.src[row]!, srcPort);
  const isDestinationServer = isServer(batch.dst[row]!, dstPort);
  if (isSourceServer !== isDestinationServer) return isDestinationServer ? ORIGINAL_BY_PORTS : REPLY_BY_PORTS;
  if (srcPort < 1024 !== dstPort < 1024) return dstPort < 1024 ? ORIGINAL_BY_PORTS : REPLY_BY_PORTS;
  const isSourceEphemeral = isEphemeral(srcPort);
  if (isSourceEphemeral !== isEphemeral(dstPort)) return isSourceEphemeral ? ORIGINAL_BY_PORTS : REPLY_BY_PORTS;
  return ASSUMED;
}

function isEphemeral(port: number): boolean {
  return port >= Ephemeral.First && port <= Ephemeral.Last;
}
