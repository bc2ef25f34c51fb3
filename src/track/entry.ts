/**
 * The layout of one connection in the tracker's table: six 32-bit words, 40 bytes a connection where three slots of five are
 * taken. The key words hold the connection in one normal form for both directions; what the protocols remember fits in the
 * bits of the meta word. Only SCTP needs more, its verification tags, and has them in a table beside.
 * The WASM kernel is compiled from the same enums.
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
  Count = 6,
}

/** Words of an entry in the table of SCTP's verification tags. */
export const enum Tag {
  /** Tag of packets in the original direction, in the reply direction. */
  Original = 0,
  Reply = 1,
  Count = 2,
}

/** Bits of `Word.Meta`. TCP and SCTP share the bits from 14 on; UDP has its own, `UdpMeta`. */
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

/** UDP's bits of `Word.Meta`, where others have their state. */
export const enum UdpMeta {
  /** Lower bits of the tick at which the connection began. */
  BeginShift = 14,
  BeginMask = 0x1ffff,
  /** A packet has come later than the time after which replies make a stream. */
  Aged = 1 << 31,
}

/**
 * The table of TCP steps: two words for each `TcpIndex` and `Mask` + 1 bits of the meta word, of which the lowest, `Swapped`, is turned
 * over where the packet travels from `Word.Second`, and so is its direction.
 */
export const enum Step {
  /** Bits that the packet sets in the meta word. With `Meta.Live` among them it is not ordinary, with `Meta.Challenge` not where that is set. */
  Bits = 0,
  /** How long the entry lives from here on. */
  Ticks = 1,
  Stride = 2,
  MetaShift = 11,
  Mask = 127,
  IndexShift = 7,
  /** The least code of UDP: its packets are told from others here, and have no step of this table. */
  Udp = 6 << 7,
  Count = 7 * 128,
  /** Bits of the meta word that a packet replaces: state, and last packet. */
  Replaced = (0xf << 14) | (7 << 18) | (1 << 21),
}

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

/** Slots of the timeout table; TCP and SCTP states follow one another from their base. */
export const enum Timer {
  Tcp = 0,
  Sctp = 10,
  TcpUnanswered = 19,
  Udp = 20,
  UdpStream = 21,
  Icmp = 22,
  Icmpv6 = 23,
  Generic = 24,
  Gre = 25,
  GreStream = 26,
  /** Least silence after which a connection known from records other than packets ends. */
  Record = 27,
  TcpRecord = 28,
  Count = 29,
}

/** The block of packets that the kernel takes at a time. */
export const enum Block {
  /** Enough for their loads to overlap, and a multiple of four. */
  Rows = 32,
}

/** A packet of the block that the kernel has in hand, in bytes. */
export const enum Staged {
  /** Key words and what must be equal in the meta word: 16 bytes, as an entry has them. */
  Key = 0,
  /** Address at which the probe of the table begins. */
  Begin = 16,
  /** `TcpIndex` << `Step.IndexShift` (`Bad`: no plain packet), or `Step.Udp`, | 1 where the sender is `Word.Second`. */
  Code = 20,
  /** Address of the entry that was found, 0 = none; it may expire by the packet's time. */
  At = 24,
  /** The connection's data. */
  Data = 28,
  Bytes = 32,
}

/** What a table remembers beside its words, for whoever works on the same memory. */
export const enum TableState {
  /** Capacity - 1. */
  Mask = 0,
  /** Entries that are not empty, and how many may be before the table grows. */
  Used = 1,
  UsedMost = 2,
  Count = 3,
  Peak = 4,
  Expired = 5,
  Size = 6,
}
