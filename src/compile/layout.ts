/**
 * The layout of a Program's buffer: every number that compile writes and decide reads. Members are `const enum` so that the
 * bundle holds literals. Change anything here and raise `Layout.Version`.
 *
 *   header   24 words: magic, version, byte size, section count, then scalars (see `Header`)
 *   sections directory of (id, byte offset, element count), then the arrays themselves, each 8-byte aligned
 *
 * How a decision reads them:
 *
 *   IPv4 address --> endpoint, one of two forms (`mid4` is empty in the second):
 *     trie       m = mid4[root4[a >>> 16] + ((a >>> 8) & 255)]: leaf4[(m >>> TrieCell.Shift) + (a & m & TrieCell.Mask)]
 *     fragments  run root4[a >>> 16] up to root4[(a >>> 16) + 1] of starts4 and values4: the last start <= a & 0xffff
 *   IPv6 address --> endpoint: hosts6, an exact table of single addresses, then the intervals of starts6 through root6
 *   endpoint --stride 8--> egress row, egress column, ingress row, ingress column, ...
 *   row x column --page index--> page of 64 cells, each a vector number of `Header.CellBytes` bytes --> vector
 *   (protocol, port) --> port class;  vector x port class --page of 64--> outcome (reason, verdict, missing facts)
 */

export const enum Layout {
  /** "DCP1" read as a little-endian word. */
  Magic = 0x31504344,
  Version = 4,
  /** Columns of a table page, and port classes of a vector page. */
  PageBits = 6,
  PageSize = 64,
  PageMask = 63,
}

/** A cell of mid4: an offset into leaf4, and the bits of the last octet that go on from there: all, or none where a single cell is meant. */
export const enum TrieCell {
  Shift = 8,
  Mask = 255,
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
  /** Width of a cell of egressPages and ingressPages: 2 where 65,536 vectors suffice, else 4. */
  CellBytes = 12,
  /**
   * root6: the first `Prefix6Length` (0 to 63) bits of every IPv6 interval start but the first are `Prefix6` & `Mask6` (words 0
   * and 1 of the address), and the `Root6Bits` (1 to 16) bits after them are the index into root6.
   */
  Prefix6Length = 13,
  Root6Bits = 14,
  Prefix6Word0 = 15,
  Prefix6Word1 = 16,
  Mask6Word0 = 17,
  Mask6Word1 = 18,
  Size = 24,
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
  Starts4 = 3,
  Values4 = 4,
  Root6 = 5,
  Starts6 = 6,
  Values6 = 7,
  Hosts6 = 8,
  HostValues6 = 9,
  Endpoints = 10,
  EgressPageIndex = 11,
  EgressPages = 12,
  IngressPageIndex = 13,
  IngressPages = 14,
  PortClasses = 15,
  VectorPageIndex = 16,
  VectorPages = 17,
  Outcomes = 18,
  ServiceSlots = 19,
  Backends = 20,
  PodEndpointStart = 21,
  PodEndpoints = 22,
  Count = 23,
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

/** The hash of an IPv6 address, given as four words, signed or not: where hosts6 begins to probe. */
export function hashAddress6(w0: number, w1: number, w2: number, w3: number): number {
  let hash = Math.imul(w0 ^ 0x9e3779b9, 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 15)) + w1, 0xc2b2ae35);
  hash = Math.imul((hash ^ (hash >>> 13)) + w2, 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 15)) + w3, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** The `bits` (1 to 16) bits of an address behind its first `length` (0 to 63). */
export function windowOf(w0: number, w1: number, w2: number, length: number, bits: number): number {
  const first = length < 32 ? w0 : w1;
  const second = length < 32 ? w1 : w2;
  const shift = length & 31;
  return ((first << shift) | ((second >>> 1) >>> (31 - shift))) >>> (32 - bits);
}
