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
  ReplyPackets = 21,
  /** The tick of each row. */
  Tick = 22,
  Count = 23,
}

/** Words of the state block, 32 bits each; `...Ptr` are addresses. */
export const enum State {
  /** [`Column.Count`] addresses. */
  Columns = 0,
  /** Connection table: begin and end. */
  TablePtr = 23,
  TableEnd = 24,
  /** `TableState` of it. */
  Table = 25,
  /** [`Timer`] timeouts in ticks; [64] `TcpIndex` by flags; [100] TCP transitions. */
  TimerPtr = 31,
  IndexPtr = 32,
  TcpPtr = 33,
  /** Group table. */
  GroupKeyPtr = 34,
  GroupSumPtr = 35,
  GroupSlotPtr = 36,
  GroupSlotMask = 37,
  /** 1: no group may be added outside the reserve. */
  IsFull = 38,
  /** [endpoints] party, -1 where it is not known to be one. */
  PartyPtr = 39,
  /** Parties of IPv4 addresses that are no pods: open addressing, pairs of address and party + 1; capacity - 1. */
  AddressPtr = 40,
  AddressMask = 41,
  /** The party that outside addresses are pooled in. */
  OthersParty = 42,
  /** Ports on which pods listen: open addressing, pairs of endpoint + 1 and protocol << 17 | port; capacity - 1. */
  ListenPtr = 43,
  ListenMask = 44,
  /** [`Memo.Size`] openings that have been judged, by the kernel or by TypeScript. */
  MemoPtr = 45,
  /** Candidate and baseline tables, `Tables` each; 0 = there is no baseline. */
  CandidatePtr = 46,
  BaselinePtr = 47,
  /** 1: the sender of a NEW packet is the initiator, and a denied opening leaves no connection. */
  IsPacketMode = 48,
  /** [5] connections by `OrientedBy`, 64-bit floats. */
  OrientedPtr = 49,
  /** [rows to take] their places in the columns. */
  RowPtr = 50,
  /** [endpoints] class, as keys of groups have it. */
  ClassPtr = 51,
  /** [`Name.Size`] the address that each endpoint of the dictionary stands for, see `Name`. */
  NamePtr = 52,
  /** Of `pick`: its buckets. */
  FirstBucket = 53,
  EndBucket = 54,
  /** Groups that there are, and how many there may be before the table of groups has to grow, or is full; and with its reserve. */
  GroupCount = 55,
  GroupRoom = 56,
  PoolRoom = 57,
  /** [groups that the kernel made, in their order] the place of the row in the columns << 1 | its receiver is the initiator. */
  NewGroupPtr = 58,
  /** `Step` of TCP. */
  StepPtr = 59,
  /** [`Block.Rows`] `Staged`. */
  StagedPtr = 60,
  /** [`ClockState`] of `stampTicks`, 64-bit floats. */
  ClockPtr = 61,
  /** `GroupCount` of the groups. */
  GroupCountPtr = 62,
  Count = 63,
}

/** An end that a record names, in words: at which address its name says nothing that the snapshot does not know. */
export const enum Name {
  Address = 0,
  /** 4 or 6; 0 = at none yet. */
  Family = 1,
  Stride = 2,
  /** Names that are kept; who has a higher number is left to TypeScript. */
  Size = 65_536,
}

/** A judged opening, in words: the next one of the same ends and port is of the same group. */
export const enum Memo {
  Src = 0,
  Dst = 1,
  /** `memoKey`; 0 = empty. */
  Key = 2,
  Group = 3,
  SourceEndpoint = 4,
  /** 1: the destination listens on the port, 0: it does not, -1: nobody has asked. */
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
