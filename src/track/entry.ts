/**
 * The layout of one connection in the tracker's table: eight 32-bit words. The key words hold the connection in one
 * normal form for both directions; everything that the protocols remember fits in the bits of the meta word, so that a
 * packet touches half a cache line.
 */

/** Words of an entry. */
export const enum Word {
  /** TCP, UDP, ...: the lower address. ICMP queries: the address that asks. */
  First = 0,
  /** The other address. */
  Second = 1,
  /** Port of `First` << 16 | port of `Second`. ICMP queries: identifier << 16 | request type << 8 | code. */
  Ports = 2,
  /** `Meta` bits. 0 = the slot has been empty since the last rehash. */
  Meta = 3,
  /** First tick at which the entry is no longer there. */
  Expiry = 4,
  /** The caller's word. */
  Data = 5,
  /** SCTP: verification tag of packets in the original direction. UDP: the tick after which replies make a stream. */
  TagOriginal = 6,
  /** SCTP: verification tag of packets in the reply direction. */
  TagReply = 7,
}

/** Bits of `Word.Meta`. TCP and SCTP share bits 18 to 24. */
export const enum Meta {
  ProtocolMask = 0xff,
  Ipv6 = 1 << 8,
  Live = 1 << 9,
  /** The entry was deleted; the slot keeps its probe chain together. */
  Grave = 1 << 10,
  /** What must be equal beside the key words for an entry to match. */
  KeyMask = 0x3ff,
  /** The originator is `Word.Second`. */
  Swapped = 1 << 11,
  /** A packet in the reply direction was accepted. */
  SeenReply = 1 << 12,
  /** nf_conntrack's ASSURED: not evicted from a full table while open. */
  Assured = 1 << 13,
  StateShift = 14,
  StateMask = 0xf << 14,
  /** TCP: `TcpIndex` of the last packet that was accepted or ignored. */
  LastIndexShift = 18,
  LastIndexMask = 7 << 18,
  /** TCP: its direction. SCTP: direction of the HEARTBEAT whose tag did not fit. */
  LastDirection = 1 << 21,
  /** TCP: a FIN began the close. */
  CloseInit = 1 << 22,
  /** TCP: an ignored SYN in LAST_ACK may draw a challenge ACK. */
  Challenge = 1 << 23,
  /** TCP: both sides sent a SYN. */
  Simultaneous = 1 << 24,
  /** SCTP: an INIT was seen in the original, in the reply direction. */
  InitOriginal = 1 << 18,
  InitReply = 1 << 19,
  /** SCTP: a HEARTBEAT came with a foreign tag. */
  HeartbeatFailed = 1 << 20,
  /** SCTP: taken over in mid-stream, tags unknown: they are not checked. */
  TagsUnknown = 1 << 22,
}

/** Words an entry occupies, as a shift. */
export const ENTRY_SHIFT = 3;

/** What a protocol's step did with a packet; the table acts on it. */
export const enum Outcome {
  /** Accepted; the timeout of the new state starts over. */
  Accept = 0,
  /** Let through, state and timeout stay. */
  Ignore = 1,
  Invalid = 2,
  /** The entry is dead and the packet opens a new one. */
  Reopen = 3,
  /** Accepted, and the entry is deleted. */
  Kill = 4,
  /** Invalid for its verification tag. */
  InvalidTag = 5,
}
