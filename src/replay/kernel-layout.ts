/**
 * What the WASM kernel and TypeScript share in one memory: rows in, pointers and counters beside. The kernel is
 * compiled from the same enums.
 */

/** Columns of a `FlowBatch` that the kernel reads, in the order of their addresses in the state block. */
export const enum Column {
  Kind = 0,
  Family = 1,
  Protocol = 2,
  RecordedVerdict = 3,
  Orientation = 4,
  OrientedBy = 5,
  Flags = 6,
  TcpFlags = 7,
  Src = 8,
  Dst = 9,
  SrcPort = 10,
  DstPort = 11,
  Icmp = 12,
  PreDstPort = 13,
  SrcEndpoint = 14,
  DstEndpoint = 15,
  TimeUs = 16,
  Bytes = 17,
  ReplyBytes = 18,
  Policies = 19,
  Connections = 20,
  /** The tick of each row. */
  Tick = 21,
  Count = 22,
}

/** Words of the state block, 32 bits each; `...Ptr` are addresses. */
export const enum State {
  /** [`Column.Count`] addresses. */
  Columns = 0,
  /** Connection table: begin and end. */
  TablePtr = 22,
  TableEnd = 23,
  /** `TableState` of it. */
  Table = 24,
  /** [`Timer`] timeouts in ticks; [64] `TcpIndex` by flags; [100] TCP transitions. */
  TimerPtr = 30,
  IndexPtr = 31,
  TcpPtr = 32,
  /** Group table. */
  GroupKeyPtr = 33,
  GroupSumPtr = 34,
  GroupSlotPtr = 35,
  GroupSlotMask = 36,
  /** 1: no group may be added outside the reserve. */
  IsFull = 37,
  /** [endpoints] party, -1 where it is not known to be one. */
  PartyPtr = 38,
  /** Parties of IPv4 addresses that are no pods: open addressing, pairs of address and party + 1; capacity - 1. */
  AddressPtr = 39,
  AddressMask = 40,
  /** The party that outside addresses are pooled in. */
  OthersParty = 41,
  /** UDP ports on which pods listen: open addressing, pairs of endpoint + 1 and port; capacity - 1. */
  ListenPtr = 42,
  ListenMask = 43,
  /** [`Memo.Size`] openings that TypeScript has judged. */
  MemoPtr = 44,
  /** Candidate and baseline tables, `Tables` each; 0 = there is no baseline. */
  CandidatePtr = 45,
  BaselinePtr = 46,
  /** 1: the sender of a NEW packet is the initiator, and a denied opening leaves no connection. */
  IsPacketMode = 47,
  /** [5] connections by `OrientedBy`, 64-bit floats. */
  OrientedPtr = 48,
  /** [rows to take] their places in the columns. */
  RowPtr = 49,
  /** [endpoints] class, as keys of groups have it. */
  ClassPtr = 50,
  Count = 51,
}

/** A judged opening, in words: the next one of the same ends and port is of the same group. */
export const enum Memo {
  Src = 0,
  Dst = 1,
  /** `memoKey`; 0 = empty. */
  Key = 2,
  Group = 3,
  SourceEndpoint = 4,
  /** 1: the destination listens on the port. */
  IsServer = 5,
  Stride = 8,
  Size = 32_768,
}

/** Part of a memo's key: the address words are ids of IPv6 addresses. */
export const enum MemoKey {
  Ipv6 = 1 << 25,
  /** Protocol << 17 | port + 1 stands below. */
  PortShift = 17,
}

/** Room of `decideRows`: what is known of a block of rows, two words each. */
export const enum Scratch {
  Rows = 256,
  /** Of the second column, in bytes. */
  Second = 1024,
  Bytes = 2048,
}
