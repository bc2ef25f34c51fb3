/** Timeouts: from seconds by sysctl name to ticks by `Timer`, and which of them a protocol without a machine has. */
import { Protocol } from '../model/port.ts';
import { Tick } from './clock.ts';
import { Timer } from './entry.ts';
import { SctpState } from './sctp.ts';
import { DEFAULT_TIMEOUTS, type Timeouts } from './state.ts';
import { TcpState } from './tcp-state.ts';

const enum Limit {
  /** A timeout in ticks, so that no expiry leaves the range of small integers. */
  LongestTimeout = 0x0fff_ffff,
  /** The same for UDP, in seconds: its connections keep their beginning in fewer bits. */
  LongestUdpSeconds = 1300,
}

/** [`Timer`] in ticks. Throws RangeError on a timeout that is no positive number, or too long for UDP. */
export function createTimers(own: Partial<Timeouts> | undefined): Int32Array {
  const timeouts = { ...DEFAULT_TIMEOUTS, ...own };
  const seconds: [number, number][] = [
    [Timer.Tcp + TcpState.SynSent, timeouts.tcpSynSent],
    [Timer.Tcp + TcpState.SynSent2, timeouts.tcpSynSent],
    [Timer.Tcp + TcpState.SynRecv, timeouts.tcpSynRecv],
    [Timer.Tcp + TcpState.Established, timeouts.tcpEstablished],
    [Timer.Tcp + TcpState.FinWait, timeouts.tcpFinWait],
    [Timer.Tcp + TcpState.CloseWait, timeouts.tcpCloseWait],
    [Timer.Tcp + TcpState.LastAck, timeouts.tcpLastAck],
    [Timer.Tcp + TcpState.TimeWait, timeouts.tcpTimeWait],
    [Timer.Tcp + TcpState.Close, timeouts.tcpClose],
    [Timer.TcpUnanswered, Math.min(timeouts.tcpEstablished, timeouts.tcpUnacknowledged)],
    [Timer.Sctp + SctpState.Closed, timeouts.sctpClosed],
    [Timer.Sctp + SctpState.CookieWait, timeouts.sctpCookieWait],
    [Timer.Sctp + SctpState.CookieEchoed, timeouts.sctpCookieEchoed],
    [Timer.Sctp + SctpState.Established, timeouts.sctpEstablished],
    [Timer.Sctp + SctpState.ShutdownSent, timeouts.sctpShutdownSent],
    [Timer.Sctp + SctpState.ShutdownRecd, timeouts.sctpShutdownRecd],
    [Timer.Sctp + SctpState.ShutdownAckSent, timeouts.sctpShutdownAckSent],
    [Timer.Sctp + SctpState.HeartbeatSent, timeouts.sctpHeartbeatSent],
    [Timer.Udp, timeouts.udp],
    [Timer.UdpStream, timeouts.udpStream],
    [Timer.Icmp, timeouts.icmp],
    [Timer.Icmpv6, timeouts.icmpv6],
    [Timer.Generic, timeouts.generic],
    // CT-31: nf_conntrack_gre_timeout and _stream.
    [Timer.Gre, 30],
    [Timer.GreStream, 180],
    [Timer.Record, timeouts.generic],
    [Timer.TcpRecord, Math.max(timeouts.tcpEstablished, timeouts.generic)],
  ];
  const timers = new Int32Array(Timer.Count);
  for (const [timer, value] of seconds) {
    if (!(value > 0)) throw new RangeError(`a timeout must be a positive number of seconds, not ${value}`);
    // A connection is looked at before the bits that hold its beginning come round.
    if ((timer === Timer.Udp || timer === Timer.UdpStream || timer === Timer.Record) && value > Limit.LongestUdpSeconds)
      throw new RangeError(`a timeout of UDP must be at most ${Limit.LongestUdpSeconds} seconds, not ${value}`);
    timers[timer] = Math.min(Math.max(Math.round(value * Tick.PerSecond), 1), Limit.LongestTimeout);
  }
  return timers;
}

/** The timer of a protocol without a machine, as a stream or before it is one. */
export function simpleTimer(protocol: number, isStream: boolean): Timer {
  switch (protocol) {
    case Protocol.Udp: // CT-30
    case Protocol.UdpLite: // CT-31
      return isStream ? Timer.UdpStream : Timer.Udp;
    case Protocol.Gre: // CT-31
      return isStream ? Timer.GreStream : Timer.Gre;
    case Protocol.Icmp:
      return Timer.Icmp;
    case Protocol.Icmpv6:
      return Timer.Icmpv6;
    default: // CT-60
      return Timer.Generic;
  }
}
