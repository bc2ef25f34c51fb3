/**
 * The layout of a Program's buffer: every number that compile writes and decide reads. Members are `const enum` so that the
 * bundle holds literals. Change anything here and raise `Layout.Version`.
 *
 *   header   16 words: magic, version, byte size, section count, then scalars (see `Header`)
 *   sections directory of (id, byte offset, element count), then the arrays themselves, each 8-byte aligned
 *
 * How a decision reads them:
 *
 *   address --root/mid/leaf--> endpoint --stride 8--> egress row, egress column, ingress row, ingress column, ...
 *   row x column --page index--> page of 64 vector numbers --> vector
 *   (protocol, port) --> port class;  vector x port class --page of 64--> outcome (reason, verdict, missing facts)
 */

export const enum Layout {
  /** "DCP1" read as a little-endian word. */
  Magic = 0x31504344,
  Version = 1,
  /** Columns of a table page, and port classes of a vector page. */
  PageBits = 6,
  PageSize = 64,
  PageMask = 63,
}

/** Words of the header. */
export const enum Header {
  Magic = 0,
  Version = 1,
  Bytes = 2,
  Sections = 3,
  EgressPagesPerRow = 4,
  IngressPagesPerRow = 5,
  PagesPerVector = 6,
  EndpointCount = 7,
  /** Endpoints that stand for what has no entry of its own. */
  OutsideNoAddress = 8,
  NodeNoAddress = 9,
  ServiceMask = 10,
  /** `DialectFlag` bits that decide reads. */
  Dialect = 11,
  Size = 16,
}

/** Bits of `Header.Dialect`. */
export const enum DialectFlag {
  OwnNodeIngress = 1,
  OwnNodeEgress = 2,
  HairpinAllow = 4,
}

/** Fields of an endpoint, a record of `Endpoint.Stride` 32-bit words. */
export const enum Endpoint {
  EgressRow = 0,
  EgressColumn = 1,
  IngressRow = 2,
  IngressColumn = 3,
  /** A number that is equal for endpoints of one pod, -1 where "the same pod" has no meaning. */
  Self = 4,
  /** `EndpointKind`. */
  Kind = 5,
  /** Index of the pod, node or service in the snapshot; -1 none. */
  Object = 6,
  /** For pods and nodes: number of the node by name; -1 unknown. */
  Node = 7,
  Stride = 8,
}

/** What an endpoint is; `Endpoint.Kind` less its `Ipv6` bit. */
export const enum EndpointKind {
  Outside = 0,
  Pod = 1,
  UnknownPod = 2,
  /** From here on decide takes the slow branch: own node, node ports, translation. */
  Node = 3,
  Service = 4,
  /** The bits of the kind itself. */
  Mask = 7,
  /** Set beside the kind where the endpoint's address is IPv6. */
  Ipv6 = 8,
}

/** Rows that every table has, in this order. */
export const enum Row {
  NotSubject = 0,
  NotIsolated = 1,
  UnknownPod = 2,
  First = 3,
}

/** Where (protocol, port) lies in the port class table. */
export const enum PortIndex {
  Tcp = 0,
  Udp = 65_536,
  Sctp = 131_072,
  /** + IANA number: protocols without ports; 255 = the protocol is not known. */
  Other = 196_608,
  /** + 0, 1, 2: TCP, UDP, SCTP whose port is not known. */
  UnknownPort = 196_864,
  /** Exempt from policy by the dialect. */
  Exempt = 196_867,
  Count = 196_868,
}

/** The first port classes have fixed meaning. */
export const enum PortClass {
  Exempt = 0,
  NoPorts = 1,
  UnknownProtocol = 2,
  UnknownTcp = 3,
  UnknownUdp = 4,
  UnknownSctp = 5,
  First = 6,
}

/** Sections of the buffer; element types in `program.ts`. */
export const enum Section {
  Root4 = 0,
  Mid4 = 1,
  Leaf4 = 2,
  Starts6 = 3,
  Values6 = 4,
  Endpoints = 5,
  EgressPageIndex = 6,
  EgressPages = 7,
  IngressPageIndex = 8,
  IngressPages = 9,
  PortClasses = 10,
  VectorPageIndex = 11,
  VectorPages = 12,
  Outcomes = 13,
  ServiceSlots = 14,
  Backends = 15,
  PodEndpointStart = 16,
  PodEndpoints = 17,
  Count = 18,
}

/** One slot of the service table: destination, protocol and port, then its run of backends. */
export const enum ServiceSlot {
  /** Endpoint of the address, or one of `ServiceTarget`. */
  Target = 0,
  /** Protocol ordinal (TCP 0, UDP 1, SCTP 2) << 16 | port. */
  Port = 1,
  /** First backend, in records of two words: endpoint, port. */
  Start = 2,
  /** Number of backends + 1; 0 marks an empty slot. */
  CountPlusOne = 3,
  Stride = 4,
}

/** Values of `ServiceSlot.Target` that are no endpoint. A target's backends are those of one family (EP-12). */
export const enum ServiceTarget {
  /** Any IPv4 node address: node ports. */
  AnyNode4 = 0xffffffff,
  AnyNode6 = 0xfffffffe,
  /** + index of the Service: reached by name from a source whose family is not known, IPv4, or IPv6. */
  ByName = 0x80000000,
  ByName4 = 0xa0000000,
  ByName6 = 0xc0000000,
}

/** An outcome word: reason (bits 0-5), verdict (6-7), missing facts (8-23). */
export function packOutcome(reason: number, verdict: number, missing: number): number {
  return reason | (verdict << 6) | (missing << 8);
}

/** Where a flow's protocol, destination port and ICMP type lie in the port class table (NP-23). Port -1: not known. */
export function portIndexOf(protocol: number, port: number, icmp: number): number {
  switch (protocol) {
    case 6:
      return port < 0 ? PortIndex.UnknownPort : PortIndex.Tcp + port;
    case 17:
      return port < 0 ? PortIndex.UnknownPort + 1 : PortIndex.Udp + port;
    case 132:
      return port < 0 ? PortIndex.UnknownPort + 2 : PortIndex.Sctp + port;
    case 58: {
      const type = icmp >> 8;
      return type >= 133 && type <= 137 ? PortIndex.Exempt : PortIndex.Other + 58;
    }
    default:
      return PortIndex.Other + protocol;
  }
}
