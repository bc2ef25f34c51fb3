/** Protocols and port matches. Numbers are IANA's (Assigned Internet Protocol Numbers). */

/** The protocols that the simulator treats by name; any other number is carried as it is. */
export const enum Protocol {
  Icmp = 1,
  Tcp = 6,
  Udp = 17,
  Gre = 47,
  Icmpv6 = 58,
  Sctp = 132,
  /** RFC 3828. */
  UdpLite = 136,
  /** The record does not say, or says something unknown. */
  Unknown = 255,
}

/** A protocol that a rule can name in `ports[].protocol`. */
export type PortProtocol = 'TCP' | 'UDP' | 'SCTP';

/** The numbers of those. */
export const PORT_PROTOCOLS: Readonly<Record<PortProtocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/**
 * What one `ports[]` item matches on the destination: every port of the protocol, an inclusive range (a single port is a
 * range of one), or a container port's name, resolved for each destination pod.
 */
export type PortMatch =
  | { readonly kind: 'any'; readonly protocol: PortProtocol }
  | { readonly kind: 'range'; readonly protocol: PortProtocol; readonly first: number; readonly last: number }
  | { readonly kind: 'named'; readonly protocol: PortProtocol; readonly name: string }
  /** ClusterNetworkPolicy `destinationNamedPort`: the name decides, whatever its protocol. */
  | { readonly kind: 'named'; readonly protocol: undefined; readonly name: string };

/** True for the protocols that a rule can name, whose ports it can ask for. */
export function isPortProtocol(protocol: number): boolean {
  return protocol === Protocol.Tcp || protocol === Protocol.Udp || protocol === Protocol.Sctp;
}

/** True for the protocols that the simulator reads ports of, by which their connections are told apart. */
export function hasPorts(protocol: number): boolean {
  return isPortProtocol(protocol) || protocol === Protocol.UdpLite;
}

/** `TCP`, `ICMP`, ..., or the number in text. */
export function formatProtocol(protocol: number): string {
  switch (protocol) {
    case Protocol.Icmp:
      return 'ICMP';
    case Protocol.Tcp:
      return 'TCP';
    case Protocol.Udp:
      return 'UDP';
    case Protocol.Icmpv6:
      return 'ICMPv6';
    case Protocol.Sctp:
      return 'SCTP';
    case Protocol.Unknown:
      return 'unknown';
    default:
      return String(protocol);
  }
}

/** The number of a protocol in any usual spelling (`tcp`, `TCP`, `6`, `ICMPv6`, `ipv6-icmp`, `icmp6`); undefined where unknown. */
export function parseProtocol(text: string): number | undefined {
  switch (text.toLowerCase()) {
    case 'tcp':
      return Protocol.Tcp;
    case 'udp':
      return Protocol.Udp;
    case 'sctp':
      return Protocol.Sctp;
    case 'icmp':
    case 'icmpv4':
      return Protocol.Icmp;
    case 'icmpv6':
    case 'icmp6':
    case 'ipv6-icmp':
      return Protocol.Icmpv6;
    default: {
      if (!/^\d{1,3}$/.test(text)) return undefined;
      const number = Number(text);
      return number < 255 ? number : undefined;
    }
  }
}

/** A port match as people write it: `TCP/80`, `TCP/80-90`, `TCP/http`, `UDP`. */
export function formatPortMatch(match: PortMatch): string {
  switch (match.kind) {
    case 'any':
      return match.protocol;
    case 'range':
      return `${match.protocol}/${match.first}${match.last === match.first ? '' : `-${match.last}`}`;
    case 'named':
      return match.protocol === undefined ? match.name : `${match.protocol}/${match.name}`;
  }
}
