/** Numbers of the TCP machine. The WASM kernel is compiled from the same enums. */

/** States of a TCP entry, numbered as the kernel does. */
export const enum TcpState {
  None = 0,
  SynSent = 1,
  SynRecv = 2,
  Established = 3,
  FinWait = 4,
  CloseWait = 5,
  LastAck = 6,
  TimeWait = 7,
  Close = 8,
  /** SYNs of both sides. */
  SynSent2 = 9,
  /** In the table: the packet is impossible here. */
  Invalid = 10,
  /** In the table: let it pass, believe nothing. */
  Ignore = 11,
}

/** What a packet is to the machine. */
export const enum TcpIndex {
  Syn = 0,
  SynAck = 1,
  Fin = 2,
  Ack = 3,
  Rst = 4,
  /** No combination that a TCP sends. */
  Bad = 5,
}
