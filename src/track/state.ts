/** States and options of connection tracking: nf_conntrack's words. */
import type { TickSource } from './clock.ts';

/** What the tracker calls a packet: `ct state` of nftables. */
export const enum TrackState {
  New = 0,
  Established = 1,
  Related = 2,
  Invalid = 3,
}

/** Why a packet is INVALID; part of the report. */
export const enum InvalidCause {
  None = 0,
  /** A TCP flag combination that the kernel refuses (NULL, SYN+FIN, ...). */
  TcpFlags = 1,
  /** A TCP packet that its connection's state does not admit. */
  TcpTransition = 2,
  /** A TCP packet without a connection that cannot open one. */
  TcpNoConnection = 3,
  SctpNoConnection = 4,
  SctpTransition = 5,
  SctpTag = 6,
  /** An ICMP reply without a request. */
  IcmpNoRequest = 7,
  /** An ICMP error that quotes nothing known, or travels in its flow's own direction. */
  IcmpUnknownQuote = 8,
  /** An ICMP type that is neither request, reply nor error (redirect without a quote, ...). */
  IcmpType = 9,
  /** Ports are missing: a fragment without its first, or a cut header. */
  NoTransport = 10,
  /** The connection table is full: the packet is dropped, and its connection never comes to be. */
  TableFull = 11,
}

/** Names of `InvalidCause`, indexed by it. */
export const INVALID_CAUSES: readonly string[] = [
  'none',
  'tcp-flags',
  'tcp-transition',
  'tcp-no-connection',
  'sctp-no-connection',
  'sctp-transition',
  'sctp-tag',
  'icmp-no-request',
  'icmp-unknown-quote',
  'icmp-type',
  'no-transport',
  'table-full',
];

/** Which direction of its connection a packet travels in. */
export const enum ConnectionDirection {
  Original = 0,
  Reply = 1,
}

/** Timeouts in seconds, by nf_conntrack's sysctl names; defaults of Linux 6.18. */
export interface Timeouts {
  readonly tcpSynSent: number;
  readonly tcpSynRecv: number;
  readonly tcpEstablished: number;
  readonly tcpFinWait: number;
  readonly tcpCloseWait: number;
  readonly tcpLastAck: number;
  readonly tcpTimeWait: number;
  readonly tcpClose: number;
  readonly tcpUnacknowledged: number;
  readonly udp: number;
  readonly udpStream: number;
  readonly icmp: number;
  readonly icmpv6: number;
  readonly generic: number;
  readonly sctpClosed: number;
  readonly sctpCookieWait: number;
  readonly sctpCookieEchoed: number;
  readonly sctpEstablished: number;
  readonly sctpShutdownSent: number;
  readonly sctpShutdownRecd: number;
  readonly sctpShutdownAckSent: number;
  readonly sctpHeartbeatSent: number;
}

/** The defaults of Linux 6.18 (nf_conntrack-sysctl.rst, measured). */
export const DEFAULT_TIMEOUTS: Timeouts = {
  tcpSynSent: 120,
  tcpSynRecv: 60,
  tcpEstablished: 432_000,
  tcpFinWait: 120,
  tcpCloseWait: 60,
  tcpLastAck: 30,
  tcpTimeWait: 120,
  tcpClose: 10,
  tcpUnacknowledged: 300,
  udp: 30,
  udpStream: 120,
  icmp: 30,
  icmpv6: 30,
  generic: 600,
  sctpClosed: 10,
  sctpCookieWait: 3,
  sctpCookieEchoed: 3,
  sctpEstablished: 210,
  sctpShutdownSent: 3,
  sctpShutdownRecd: 3,
  sctpShutdownAckSent: 3,
  sctpHeartbeatSent: 30,
};

/** How a tracker is set up. */
export interface TrackerOptions {
  /** Most entries held (`nf_conntrack_max`); undefined: the table grows. */
  readonly limit?: number;
  readonly timeouts?: Partial<Timeouts>;
  /** `nf_conntrack_tcp_loose`: may a plain ACK open a connection in mid-stream? Default true. */
  readonly isTcpLoose?: boolean;
  /** Who knows the time; a clock of its own unless given. */
  readonly clock?: TickSource;
  /** Entries that fit before the first growth. */
  readonly initialCapacity?: number;
  /** Where the table lies; memory of its own unless given. */
  readonly storage?: TableStorage;
  /** Who helps when the table grows where it lies; nobody unless given. */
  readonly settle?: Settle;
}

/**
 * Gives a table of so many 32-bit words in place of another one, `old`, which nobody uses any more: what it held comes first, as far as
 * there is room, and zeros behind it.
 */
export type TableStorage = (length: number, old: Int32Array | undefined) => Int32Array;

/**
 * Moves entries of a table's slots `from` up to `to` to where their probes find them in the whole of it, in that order; those that have
 * expired are graves by then, and go. Returns the first slot that it leaves to the tracker, or `to`.
 */
export type Settle = (words: Int32Array, from: number, to: number) => number;
