/**
 * Who opened a connection, where neither the record nor its flags say so: the side whose port is known to listen is the
 * responder, else the side with the well-known or non-ephemeral port. What remains is assumed.
 */
import type { Program } from '../compile/program.ts';
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import { findService } from '../decide/decide.ts';
import { Orientation, OrientedBy } from '../model/flow.ts';
import { formatProtocol } from '../model/port.ts';

/** A guess: `Orientation` and how it was come by. */
export interface Guess {
  readonly orientation: Orientation;
  readonly by: OrientedBy;
}

const ORIGINAL_BY_PORTS: Guess = { orientation: Orientation.Original, by: OrientedBy.Ports };
const REPLY_BY_PORTS: Guess = { orientation: Orientation.Reply, by: OrientedBy.Ports };
const ASSUMED: Guess = { orientation: Orientation.Original, by: OrientedBy.Assumed };

/** Linux's default `ip_local_port_range`. */
const enum Ephemeral {
  First = 32_768,
  Last = 60_999,
}

/** Guesses from both ends' endpoints and ports; a port of -1 tells nothing. */
export function orientByPorts(
  program: Program,
  source: number,
  srcPort: number,
  destination: number,
  dstPort: number,
  protocol: number,
): Guess {
  if (srcPort < 0 || dstPort < 0) return ASSUMED;
  const isSourceServer = listens(program, source, protocol, srcPort);
  const isDestinationServer = listens(program, destination, protocol, dstPort);
  if (isSourceServer !== isDestinationServer) return isDestinationServer ? ORIGINAL_BY_PORTS : REPLY_BY_PORTS;
  if (srcPort < 1024 !== dstPort < 1024) return dstPort < 1024 ? ORIGINAL_BY_PORTS : REPLY_BY_PORTS;
  const isSourceEphemeral = isEphemeral(srcPort);
  if (isSourceEphemeral !== isEphemeral(dstPort)) return isSourceEphemeral ? ORIGINAL_BY_PORTS : REPLY_BY_PORTS;
  return ASSUMED;
}

/** Does the snapshot say that this endpoint listens on this port? */
export function listens(program: Program, endpoint: number, protocol: number, port: number): boolean {
  if (endpoint < 0) return false;
  const at = endpoint * Endpoint.Stride;
  const kind = program.endpoints[at + Endpoint.Kind]! & EndpointKind.Mask;
  if (kind === EndpointKind.Pod) {
    const name = formatProtocol(protocol);
    return program.source.snapshot.pods[program.endpoints[at + Endpoint.Object]!]!.ports.some(
      (own) => own.port === port && own.protocol === name,
    );
  }
  return kind >= EndpointKind.Node && findService(program, endpoint, protocol, port) >= 0;
}

function isEphemeral(port: number): boolean {
  return port >= Ephemeral.First && port <= Ephemeral.Last;
}
