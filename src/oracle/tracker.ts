/**
 * Connection tracking as an executable specification: nf_conntrack's rules (docs/semantics/ct.md) in the plainest form,
 * maps of tuples as text, no packing, no speed. It shares no code with src/track, so that the two can be held against
 * each other; it is also what to read to learn the rules.
 */
import { Orientation, RecordKind, TcpFlag, type FlowBatch } from '../model/flow.ts';

/** The words of `ct state`. */
export type SlowState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID';

/** Which way a packet travels in its connection. */
export type SlowDirection = 'original' | 'reply';

/** What a call found. */
export interface SlowResult {
  readonly state: SlowState;
  readonly direction: SlowDirection;
  /** The reason of INVALID, in the tracker's names; `none` otherwise. */
  readonly cause: string;
  readonly created: boolean;
  /** Its connection, also of an INVALID packet; undefined: none. */
  readonly connection: SlowConnection | undefined;
}

/** One connection: what there is to know about it. */
export interface SlowConnection {
  readonly protocol: number;
  /** The two tuples under which it is found; `reply` is the mirror image of `original`. */
  readonly original: string;
  readonly reply: string;
  /** First tick at which it is gone. */
  expiry: number;
  readonly bornTick: number;
  seenReply: boolean;
  assured: boolean;
  /** TCP or SCTP state. */
  state: string;
  /** TCP: kind and direction of the last packet let through. */
  lastKind: string;
  lastDirection: SlowDirection;
  closeInit: boolean;
  expectsChallenge: boolean;
  simultaneousOpen: boolean;
  /** SCTP: the tag that packets of a direction carry; 0 not known. */
  tags: Record<SlowDirection, number>;
  inits: Record<SlowDirection, boolean>;
  heartbeatFailed: SlowDirection | undefined;
  areTagsUnknown: boolean;
}

/** Timeouts in seconds by sysctl name, the loose switch, and the limit; defaults of Linux 6.18. */
export interface SlowOptions {
  readonly limit?: number;
  readonly isTcpLoose?: boolean;
  readonly timeouts?: Readonly<Record<string, number>>;
}

/** The slow tracker. */
export interface SlowTracker {
  track(batch: FlowBatch, row: number): SlowResult;
  associate(batch: FlowBatch, row: number): SlowResult;
  adopt(batch: FlowBatch, row: number, direction: SlowDirection): SlowResult;
  drop(): void;
  /** Live connections. */
  count(): number;
  refused: number;
  evicted: number;
}

interface Packet {
  readonly family: number;
  readonly protocol: number;
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
}

interface Tuple {
  readonly own: string;
  readonly mirror: string;
}

const TICKS_PER_SECOND = 100;

const DEFAULTS: Readonly<Record<string, number>> = {
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
  gre: 30,
  greStream: 180,
};

// CT-14. One line a packet kind and direction, one word a state: the state afterwards, `invalid`, or `ignore`.
const TCP = readTable(`
original NONE        SYN_SENT  SYN_SENT2 SYN_RECV    ESTABLISHED FIN_WAIT   CLOSE_WAIT LAST_ACK  TIME_WAIT CLOSE
syn      SYN_SENT    SYN_SENT  SYN_SENT2 ignore      ignore      ignore     ignore     ignore    SYN_SENT  SYN_SENT
synack   invalid     invalid   SYN_RECV  SYN_RECV    invalid     invalid    invalid    invalid   invalid   invalid
fin      invalid     invalid   invalid   FIN_WAIT    FIN_WAIT    LAST_ACK   LAST_ACK   LAST_ACK  TIME_WAIT CLOSE
ack      ESTABLISHED invalid   invalid   ESTABLISHED ESTABLISHED CLOSE_WAIT CLOSE_WAIT TIME_WAIT TIME_WAIT CLOSE
rst      invalid     CLOSE     CLOSE     CLOSE       CLOSE       CLOSE      CLOSE      CLOSE     CLOSE     CLOSE
reply    NONE        SYN_SENT  SYN_SENT2 SYN_RECV    ESTABLISHED FIN_WAIT   CLOSE_WAIT LAST_ACK  TIME_WAIT CLOSE
syn      invalid     SYN_SENT2 SYN_SENT2 invalid     invalid     invalid    invalid    invalid   SYN_SENT  invalid
synack   invalid     SYN_RECV  SYN_RECV  ignore      ignore      ignore     ignore     ignore    ignore    ignore
fin      invalid     invalid   invalid   FIN_WAIT    FIN_WAIT    LAST_ACK   LAST_ACK   LAST_ACK  TIME_WAIT CLOSE
ack      invalid     ignore    ignore    SYN_RECV    ESTABLISHED CLOSE_WAIT CLOSE_WAIT TIME_WAIT TIME_WAIT CLOSE
rst      invalid     CLOSE     CLOSE     CLOSE       CLOSE       CLOSE      CLOSE      CLOSE     CLOSE     CLOSE
`);

const TCP_TIMEOUTS: Readonly<Record<string, string>> = {
  SYN_SENT: 'tcpSynSent',
  SYN_SENT2: 'tcpSynSent',
  SYN_RECV: 'tcpSynRecv',
  ESTABLISHED: 'tcpEstablished',
  FIN_WAIT: 'tcpFinWait',
  CLOSE_WAIT: 'tcpCloseWait',
  LAST_ACK: 'tcpLastAck',
  TIME_WAIT: 'tcpTimeWait',
  CLOSE: 'tcpClose',
};

const TCP_CLOSING = ['FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT', 'CLOSE'];

// CT-50. `=` = stays as it is. ECHOED is COOKIE_ECHOED, WAIT is COOKIE_WAIT, SENT, RECD and ACKED are the SHUTDOWN_ states.
const SCTP = readTable(`
original     NONE   CLOSED  WAIT    ECHOED      ESTABLISHED SENT   RECD   ACKED  HEARTBEAT
init         CLOSED =       =       =           =           CLOSED CLOSED =      WAIT
initack      CLOSED =       =       =           =           =      =      =      CLOSED
abort        CLOSED =       CLOSED  CLOSED      CLOSED      CLOSED CLOSED CLOSED CLOSED
shutdown     CLOSED =       =       =           SENT        =      =      =      CLOSED
shutdownack  ACKED  =       =       =           =           ACKED  ACKED  =      ACKED
error        CLOSED =       =       =           =           =      =      =      CLOSED
cookieecho   CLOSED =       ECHOED  =           =           =      =      =      CLOSED
cookieack    CLOSED =       =       ESTABLISHED =           =      =      =      CLOSED
complete     CLOSED =       =       =           =           =      =      CLOSED CLOSED
heartbeat    HEARTBEAT =    =       =           =           =      =      =      =
heartbeatack CLOSED =       =       =           =           =      =      =      =
reply        NONE   CLOSED  WAIT    ECHOED      ESTABLISHED SENT   RECD   ACKED  HEARTBEAT
init         invalid =      =       =           =           =      =      =      invalid
initack      invalid WAIT   =       =           =           =      =      =      invalid
abort        invalid =      CLOSED  CLOSED      CLOSED      CLOSED CLOSED CLOSED invalid
shutdown     invalid =      =       =           RECD        =      =      =      invalid
shutdownack  invalid =      =       =           =           ACKED  ACKED  =      invalid
error        invalid =      =       CLOSED      =           =      =      =      invalid
cookieecho   invalid =      ECHOED  =           =           =      =      =      invalid
cookieack    invalid =      =       ESTABLISHED =           =      =      =      invalid
complete     invalid =      =       =           =           =      =      CLOSED invalid
heartbeat    invalid =      =       =           =           =      =      =      =
heartbeatack invalid =      =       =           =           =      =      =      ESTABLISHED
`);

const SCTP_TIMEOUTS: Readonly<Record<string, string>> = {
  CLOSED: 'sctpClosed',
  WAIT: 'sctpCookieWait',
  ECHOED: 'sctpCookieEchoed',
  ESTABLISHED: 'sctpEstablished',
  SENT: 'sctpShutdownSent',
  RECD: 'sctpShutdownRecd',
  ACKED: 'sctpShutdownAckSent',
  HEARTBEAT: 'sctpHeartbeatSent',
};

// CT-53: names of chunk types, COOKIE ECHO and COOKIE ACK first, as they travel.
const SCTP_CHUNKS: readonly (readonly [number, string])[] = [
  [10, 'cookieecho'],
  [11, 'cookieack'],
  [0, 'data'],
  [1, 'init'],
  [2, 'initack'],
  [3, 'sack'],
  [4, 'heartbeat'],
  [5, 'heartbeatack'],
  [6, 'abort'],
  [7, 'shutdown'],
  [8, 'shutdownack'],
  [9, 'error'],
  [12, 'ecne'],
  [13, 'cwr'],
  [14, 'complete'],
  [15, 'other'],
];

// CT-40, CT-45: query and reply types.
const ICMP_PAIRS: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  4: [
    [8, 0],
    [13, 14],
    [15, 16],
    [17, 18],
  ],
  6: [
    [128, 129],
    [139, 140],
  ],
};
// CT-47: listener queries and reports, router and neighbour solicitations and advertisements.
const ICMPV6_UNTRACKED = [130, 131, 132, 133, 134, 135, 136, 143];

/** An empty slow tracker. */
export function createSlowTracker(options: SlowOptions = {}): SlowTracker {
  const ways = new Map<string, { connection: SlowConnection; direction: SlowDirection }>();
  const timeouts: Readonly<Record<string, number>> = { ...DEFAULTS, ...options.timeouts };
  const limit = options.limit ?? Infinity;
  let epochUs: number | undefined;
  let now = 0;
  let nextEviction = -1;
  let last: SlowConnection | undefined;
  const tracker: SlowTracker = { track, associate, adopt, drop, count, refused: 0, evicted: 0 };
  return tracker;

  function track(batch: FlowBatch, row: number): SlowResult {
    tellTime(batch.timeUs[row]!);
    const packet = readPacket(batch, row);
    if (packet.family === 0) return fresh(undefined); // CT-09
    if (packet.protocol === 1 || packet.protocol === 58) return trackIcmp(batch, row, packet);
    const needsPorts = [6, 17, 132, 136].includes(packet.protocol);
    if (needsPorts && (packet.srcPort < 0 || packet.dstPort < 0)) return invalid('no-transport'); // CT-07
    if (packet.protocol === 6) {
      const flags = batch.tcpFlags[row]!;
      if (flags === TcpFlag.Absent) return invalid('no-transport'); // CT-07
      return trackTcp(tupleOf(packet), flags);
    }
    if (packet.protocol === 132) {
      const chunks = batch.sctpChunks[row]!;
      if (chunks === 0) return invalid('no-transport'); // CT-07
      return trackSctp(tupleOf(packet), chunks, batch.sctpTag[row]!, batch.sctpInitTag[row]!);
    }
    return trackSimple(tupleOf(packet), packet.protocol);
  }

  function trackTcp(tuple: Tuple, flags: number): SlowResult {
    const kind = kindOf(flags);
    const way = find(tuple);
    if (way === undefined) {
      if (kind === undefined) return invalid('tcp-flags'); // CT-10
      // CT-11 SYN, CT-12 ACK, CT-13 all others
      const state = TCP.original[kind]!['NONE']!;
      if (state === 'invalid' || (kind === 'ack' && options.isTcpLoose === false)) return invalid('tcp-no-connection');
      const connection = open(tuple, 6); // CT-02
      if (connection === undefined) return fresh(undefined);
      connection.state = state;
      connection.lastKind = kind;
      refreshTcp(connection);
      return fresh(connection);
    }
    const { connection, direction } = way;
    if (kind === undefined) return invalid('tcp-flags', way); // CT-10
    const before = connection.state;
    let after = TCP[direction][kind]![before]!;
    if (after === 'SYN_SENT' && (before === 'TIME_WAIT' || before === 'CLOSE')) {
      // CT-17, CT-18
      if (connection.closeInit || (connection.lastKind === 'rst' && connection.lastDirection === direction)) {
        forget(connection);
        return trackTcp(tuple, flags);
      }
      after = 'ignore';
    }
    if (after === 'invalid') return invalid('tcp-transition', way); // CT-03, CT-14
    const answersSyn = connection.lastKind === 'syn' && connection.lastDirection !== direction;
    let previous = before;
    if (after === 'ignore' && kind === 'synack' && answersSyn) {
      // CT-16
      previous = 'SYN_SENT';
      after = 'SYN_RECV';
      connection.expectsChallenge = false;
      connection.closeInit = false;
    }
    if (after === 'ignore') {
      // CT-15
      connection.lastKind = kind;
      connection.lastDirection = direction;
      if (kind === 'syn' && direction === 'original') {
        connection.expectsChallenge = before === 'LAST_ACK'; // CT-20
        connection.simultaneousOpen = false; // CT-19
      }
      return accepted(way);
    }
    if (before === 'LAST_ACK' && after === 'TIME_WAIT' && kind === 'ack' && answersSyn && connection.expectsChallenge) {
      connection.expectsChallenge = false; // CT-20
      return accepted(way);
    }
    // CT-19
    if (after === 'SYN_SENT2') connection.simultaneousOpen = true;
    if (after === 'SYN_RECV' && direction === 'reply' && kind === 'ack' && connection.simultaneousOpen)
      after = 'ESTABLISHED';
    connection.lastKind = kind;
    connection.lastDirection = direction;
    connection.state = after;
    if (after === 'FIN_WAIT' && previous !== 'FIN_WAIT') connection.closeInit = true;
    if (!connection.seenReply && kind === 'rst') {
      const result = accepted(way);
      forget(connection); // CT-21
      return result;
    }
    const isConfirmedOpen = previous === 'SYN_RECV' || previous === 'ESTABLISHED';
    if (connection.seenReply && isConfirmedOpen && after === 'ESTABLISHED') connection.assured = true; // CT-25
    refreshTcp(connection);
    return accepted(way);
  }

  // CT-24; that RST always ends in CLOSE, and no other timeout is ever used, is CT-22 and CT-23.
  function refreshTcp(connection: SlowConnection): void {
    let seconds = timeouts[TCP_TIMEOUTS[connection.state]!]!;
    if (connection.state === 'ESTABLISHED' && !connection.seenReply)
      seconds = Math.min(seconds, timeouts['tcpUnacknowledged']!);
    refresh(connection, seconds);
  }

  function trackSctp(tuple: Tuple, mask: number, tag: number, initTag: number): SlowResult {
    const chunks = SCTP_CHUNKS.filter(([type]) => (mask & (1 << type)) !== 0).map(([, name]) => name);
    const way = find(tuple);
    const isAlone = chunks.length === 1;
    const isBundle =
      (isAlone || !chunks.some((chunk) => ['init', 'initack', 'complete'].includes(chunk))) &&
      !(chunks.includes('cookieecho') && chunks.includes('cookieack'));
    if (!isBundle) return invalid('sctp-transition', way); // CT-53
    if (way !== undefined) {
      const outcome = stepSctp(way.connection, way.direction, chunks, tag, initTag);
      if (outcome === 'sctp-tag' || outcome === 'sctp-transition') return invalid(outcome, way);
      if (outcome === 'accept') refresh(way.connection, timeouts[SCTP_TIMEOUTS[way.connection.state]!]!);
      return accepted(way);
    }
    const connection = open(tuple, 132);
    if (connection === undefined) return fresh(undefined);
    const outcome = openSctp(connection, chunks, tag, initTag);
    if (outcome !== 'accept' && outcome !== 'ignore') {
      forget(connection);
      return invalid(outcome === 'sctp-tag' ? 'sctp-tag' : 'sctp-no-connection');
    }
    refresh(connection, timeouts[SCTP_TIMEOUTS[connection.state]!]!);
    return fresh(connection);
  }

  function trackIcmp(batch: FlowBatch, row: number, packet: Packet): SlowResult {
    if (packet.icmpType < 0) return invalid('no-transport'); // CT-07
    if ((packet.family === 6) !== (packet.protocol === 58)) return invalid('icmp-type'); // CT-42
    const { icmpType } = packet;
    if (packet.family === 6 && ICMPV6_UNTRACKED.includes(icmpType)) return fresh(undefined); // CT-47
    const quote = batch.quote[row]!;
    const isRedirect = icmpType === (packet.family === 6 ? 137 : 5);
    const isError = packet.family === 6 ? icmpType < 128 : [3, 4, 11, 12].includes(icmpType); // CT-43, CT-46
    if (isError || (isRedirect && quote >= 0)) {
      if (quote < 0) return invalid('icmp-unknown-quote');
      const quoted = readQuote(batch, quote);
      // CT-43: the error must go to whoever sent the quoted packet.
      if (quoted.family !== packet.family || quoted.src !== packet.dst) return invalid('icmp-unknown-quote');
      if ([6, 17, 132, 136].includes(quoted.protocol) && (quoted.srcPort < 0 || quoted.dstPort < 0))
        return invalid('icmp-unknown-quote');
      if (quoted.protocol === 1 || quoted.protocol === 58) {
        const isOwnFamily = (quoted.family === 6) === (quoted.protocol === 58);
        if (!isOwnFamily || pairOf(quoted) === undefined) return invalid('icmp-unknown-quote');
      }
      const way = find(tupleOf(quoted));
      if (way === undefined) return invalid('icmp-unknown-quote');
      // CT-44: nothing is created, nothing refreshed.
      const direction = opposite(way.direction);
      return { state: 'RELATED', direction, cause: 'none', created: false, connection: way.connection };
    }
    const pair = pairOf(packet);
    if (pair === undefined) return invalid('icmp-type'); // CT-42
    const tuple = tupleOf(packet);
    if (icmpType === pair[1] && find(tuple) === undefined) return invalid('icmp-no-request'); // CT-41
    return trackSimple(tuple, packet.protocol);
  }

  function trackSimple(tuple: Tuple, protocol: number): SlowResult {
    const way = find(tuple);
    if (way === undefined) {
      const connection = open(tuple, protocol);
      if (connection !== undefined) refresh(connection, simpleTimeout(protocol, false));
      return fresh(connection);
    }
    const { connection } = way;
    let isStream = connection.seenReply;
    // CT-30
    if (protocol === 17 && now - connection.bornTick <= 2 * TICKS_PER_SECOND) isStream = false;
    if (isStream && [17, 136, 47].includes(protocol)) connection.assured = true; // CT-25
    refresh(connection, simpleTimeout(protocol, isStream));
    return accepted(way);
  }

  function simpleTimeout(protocol: number, isStream: boolean): number {
    if (protocol === 17 || protocol === 136) return timeouts[isStream ? 'udpStream' : 'udp']!; // CT-30, CT-31
    if (protocol === 47) return timeouts[isStream ? 'greStream' : 'gre']!; // CT-31
    if (protocol === 1) return timeouts['icmp']!;
    if (protocol === 58) return timeouts['icmpv6']!;
    return timeouts['generic']!; // CT-60
  }

  function associate(batch: FlowBatch, row: number): SlowResult {
    tellTime(batch.timeUs[row]!);
    const packet = readRecord(batch, row); // CT-73
    if (packet.family === 0) return fresh(undefined); // CT-09
    const flags = packet.protocol === 6 ? batch.tcpFlags[row]! : TcpFlag.Absent;
    const has = (flag: number): boolean => flags !== TcpFlag.Absent && (flags & flag) !== 0;
    const tuple = tupleOf(packet);
    let way = find(tuple);
    if (way !== undefined && has(TcpFlag.Syn) && !has(TcpFlag.Ack)) {
      // CT-72
      const { connection } = way;
      if (connection.closeInit || TCP_CLOSING.includes(connection.state)) {
        forget(connection);
        way = undefined;
      }
    }
    let created = false;
    if (way === undefined) {
      // CT-70
      const stated = batch.orientation[row] === Orientation.Reply ? 'reply' : 'original';
      const direction = directionByType(packet) ?? stated;
      const connection = open(direction === 'original' ? tuple : flip(tuple), packet.protocol);
      if (connection === undefined) return fresh(undefined);
      if (packet.protocol === 6 || packet.protocol === 132) connection.state = 'ESTABLISHED';
      if (packet.protocol === 132) connection.areTagsUnknown = true;
      way = { connection, direction };
      created = true;
    }
    const { connection, direction } = way;
    const isNew = created || (direction === 'original' && !connection.seenReply);
    const isWhole = batch.kind[row] === RecordKind.Connection;
    if (direction === 'reply' || (isWhole && batch.replyPackets[row]! > 0)) {
      connection.seenReply = true;
      connection.assured = true;
    }
    if (has(TcpFlag.Fin | TcpFlag.Rst)) connection.closeInit = true;
    // CT-71
    const isOpenTcp = packet.protocol === 6 && !connection.closeInit;
    const seconds = timeouts['generic']!;
    refresh(connection, isOpenTcp ? Math.max(seconds, timeouts['tcpEstablished']!) : seconds);
    return { state: isNew ? 'NEW' : 'ESTABLISHED', direction, cause: 'none', created, connection };
  }

  // CT-74
  function adopt(batch: FlowBatch, row: number, direction: SlowDirection): SlowResult {
    tellTime(batch.timeUs[row]!);
    const packet = readRecord(batch, row);
    const nothing = fresh(undefined);
    if (packet.family === 0) return nothing;
    const isIcmp = packet.protocol === 1 || packet.protocol === 58;
    if (isIcmp && (packet.icmpType < 0 || pairOf(packet) === undefined)) return nothing;
    const tuple = tupleOf(packet);
    const way = find(tuple);
    if (way !== undefined) return { ...nothing, state: 'ESTABLISHED', ...way };
    const travels = directionByType(packet) ?? direction;
    const connection = open(travels === 'original' ? tuple : flip(tuple), packet.protocol);
    if (connection === undefined) return nothing;
    connection.seenReply = true;
    connection.assured = true;
    if (packet.protocol === 6) {
      const flags = batch.tcpFlags[row]!;
      const kind = flags === TcpFlag.Absent ? 'ack' : (kindOf(flags) ?? 'bad');
      const states: Record<string, string> = { fin: 'FIN_WAIT', rst: 'CLOSE', synack: 'SYN_RECV' };
      connection.state = states[kind] ?? 'ESTABLISHED';
      connection.closeInit = kind === 'fin';
      connection.lastKind = kind;
      connection.lastDirection = travels;
      refresh(connection, timeouts[TCP_TIMEOUTS[connection.state]!]!);
    } else if (packet.protocol === 132) {
      connection.state = 'ESTABLISHED';
      connection.areTagsUnknown = true;
      refresh(connection, timeouts['sctpEstablished']!);
    } else refresh(connection, simpleTimeout(packet.protocol, false));
    return { state: 'ESTABLISHED', direction: travels, cause: 'none', created: true, connection };
  }

  // CT-04
  function drop(): void {
    if (last !== undefined) forget(last);
    last = undefined;
  }

  function count(): number {
    return connections().filter((connection) => connection.expiry > now).length;
  }

  function connections(): SlowConnection[] {
    return [...new Set([...ways.values()].map((way) => way.connection))];
  }

  // CT-06
  function tellTime(timeUs: number): void {
    last = undefined;
    if (!Number.isFinite(timeUs)) return;
    epochUs ??= timeUs;
    const tick = Math.floor((timeUs - epochUs) / 10_000);
    if (tick >= now) now = tick;
    else if (now - tick > 60 * TICKS_PER_SECOND) epochUs = timeUs - now * 10_000;
  }

  function find(tuple: Tuple): { connection: SlowConnection; direction: SlowDirection } | undefined {
    const way = ways.get(tuple.own);
    return way !== undefined && way.connection.expiry > now ? way : undefined; // CT-05
  }

  function open(tuple: Tuple, protocol: number): SlowConnection | undefined {
    for (const connection of connectionsAt(tuple)) forget(connection);
    if (!hasRoom()) {
      tracker.refused++; // CT-08
      return undefined;
    }
    const connection: SlowConnection = {
      protocol,
      original: tuple.own,
      reply: tuple.mirror,
      expiry: Infinity,
      bornTick: now,
      seenReply: false,
      assured: false,
      state: 'NONE',
      lastKind: 'none',
      lastDirection: 'original',
      closeInit: false,
      expectsChallenge: false,
      simultaneousOpen: false,
      tags: { original: 0, reply: 0 },
      inits: { original: false, reply: false },
      heartbeatFailed: undefined,
      areTagsUnknown: false,
    };
    ways.set(tuple.mirror, { connection, direction: 'reply' });
    ways.set(tuple.own, { connection, direction: 'original' });
    last = connection;
    return connection;
  }

  // CT-08
  function hasRoom(): boolean {
    if (limit === Infinity) return true;
    for (const connection of connections()) if (connection.expiry <= now) forget(connection);
    if (connections().length >= limit && now >= nextEviction) {
      nextEviction = now + TICKS_PER_SECOND;
      for (const connection of connections()) {
        const isClosing =
          connection.protocol === 6
            ? TCP_CLOSING.includes(connection.state)
            : connection.protocol === 132 && ['SENT', 'RECD', 'ACKED'].includes(connection.state);
        if (connection.assured && !isClosing) continue;
        forget(connection);
        tracker.evicted++;
      }
    }
    return connections().length < limit;
  }

  function connectionsAt(tuple: Tuple): SlowConnection[] {
    return [ways.get(tuple.own), ways.get(tuple.mirror)].flatMap((way) => (way === undefined ? [] : [way.connection]));
  }

  function forget(connection: SlowConnection): void {
    ways.delete(connection.original);
    ways.delete(connection.reply);
  }

  // CT-05
  function refresh(connection: SlowConnection, seconds: number): void {
    connection.expiry = now + Math.max(1, Math.round(seconds * TICKS_PER_SECOND));
  }
}

// CT-50 to CT-56
function openSctp(connection: SlowConnection, chunks: readonly string[], tag: number, initTag: number): string {
  // CT-51
  if (chunks.some((chunk) => ['abort', 'complete', 'cookieack'].includes(chunk))) return 'sctp-no-connection';
  for (const chunk of chunks) {
    if (SCTP.original[chunk] === undefined) return 'sctp-no-connection';
    if (chunk === 'init') {
      if (tag !== 0) return 'sctp-tag';
      connection.tags.reply = initTag;
    } else if (chunk === 'heartbeat') connection.tags.original = tag;
    else if (chunk === 'shutdownack') connection.tags.reply = tag;
  }
  return stepSctp(connection, 'original', chunks, tag, initTag);
}

function stepSctp(
  connection: SlowConnection,
  direction: SlowDirection,
  chunks: readonly string[],
  tag: number,
  initTag: number,
): string {
  const { tags, inits } = connection;
  const other = opposite(direction);
  const fits = (): boolean => connection.areTagsUnknown || tag === tags[direction];
  const fitsOther = (): boolean => connection.areTagsUnknown || tag === tags[other];
  const exempt = ['init', 'complete', 'cookieecho', 'abort', 'shutdownack', 'heartbeat', 'heartbeatack'];
  if (!fits() && !chunks.some((chunk) => exempt.includes(chunk))) return 'sctp-tag'; // CT-52
  const isUnconfirmed = connection.state === 'NONE';
  let isIgnored = false;
  for (const chunk of chunks) {
    if (chunk === 'init' && tag !== 0) return 'sctp-tag'; // CT-52
    if ((chunk === 'abort' || chunk === 'complete') && !fits() && !fitsOther()) return 'sctp-tag'; // CT-55
    if (chunk === 'cookieecho' && !fits()) return 'sctp-tag'; // CT-52
    if (chunk === 'cookieack') inits.original = inits.reply = false;
    if (chunk === 'heartbeat' || chunk === 'heartbeatack') {
      // CT-54
      if (tags[direction] === 0) tags[direction] = tag;
      else if (connection.areTagsUnknown || tag === tags[direction]) connection.heartbeatFailed = undefined;
      else if (chunks.includes('data') || isIgnored) return 'sctp-tag';
      else if (chunk === 'heartbeat') {
        connection.heartbeatFailed = direction;
        isIgnored = true;
        continue;
      } else if (connection.heartbeatFailed !== other) return 'sctp-tag';
      else {
        connection.heartbeatFailed = undefined;
        tags[direction] = tag;
        tags[other] = 0;
      }
    }
    const before = connection.state;
    const word = SCTP[direction][chunk]?.[before] ?? '=';
    if (word === 'invalid') return 'sctp-transition'; // CT-50
    const after = word === '=' ? before : word;
    if (chunk === 'init') {
      // CT-57
      if (isUnconfirmed || tags[other] !== initTag) {
        if (inits.original && inits.reply) inits[other] = false;
        inits[direction] = true;
        tags[other] = initTag;
      }
      if (before === 'CLOSED' && after === 'CLOSED' && !isUnconfirmed) isIgnored = true; // CT-56
    }
    if (chunk === 'initack' && !connection.areTagsUnknown) {
      const isStrange = tags[other] !== initTag;
      if (isStrange && !inits[other] && tags[other] !== 0) return 'sctp-tag';
      if (isStrange && inits[other] && inits[direction]) return 'sctp-tag';
      tags[other] = initTag;
    }
    connection.state = after;
    if (after === 'ESTABLISHED' && before !== after) connection.assured = true; // CT-25
  }
  return isIgnored ? 'ignore' : 'accept';
}

// CT-01
function accepted(way: { connection: SlowConnection; direction: SlowDirection }): SlowResult {
  const { connection, direction } = way;
  const isAnswered = connection.seenReply || direction === 'reply';
  if (direction === 'reply') connection.seenReply = true;
  return { state: isAnswered ? 'ESTABLISHED' : 'NEW', direction, cause: 'none', created: false, connection };
}

function fresh(connection: SlowConnection | undefined): SlowResult {
  return { state: 'NEW', direction: 'original', cause: 'none', created: connection !== undefined, connection };
}

// CT-03
function invalid(cause: string, way?: { connection: SlowConnection; direction: SlowDirection }): SlowResult {
  const direction = way?.direction ?? 'original';
  return { state: 'INVALID', direction, cause, created: false, connection: way?.connection };
}

// CT-10
function kindOf(flags: number): string | undefined {
  const letters: [number, string][] = [
    [TcpFlag.Syn, 'S'],
    [TcpFlag.Ack, 'A'],
    [TcpFlag.Fin, 'F'],
    [TcpFlag.Rst, 'R'],
    [TcpFlag.Urg, 'U'],
  ];
  const text = letters.flatMap(([flag, letter]) => ((flags & flag) === 0 ? [] : [letter])).join('');
  const kinds: Record<string, string> = {
    S: 'syn',
    SU: 'syn',
    SA: 'synack',
    AF: 'fin',
    AFU: 'fin',
    A: 'ack',
    AU: 'ack',
    R: 'rst',
    AR: 'rst',
  };
  return kinds[text];
}

function pairOf(packet: Packet): readonly [number, number] | undefined {
  return ICMP_PAIRS[packet.family]?.find((pair) => pair.includes(packet.icmpType));
}

function directionByType(packet: Packet): SlowDirection | undefined {
  if (packet.icmpType < 0) return undefined;
  const pair = pairOf(packet);
  if (pair === undefined) return undefined;
  return packet.icmpType === pair[0] ? 'original' : 'reply';
}

/** The tuple of a packet and its mirror image, as text. */
function tupleOf(packet: Packet): Tuple {
  const { family, protocol, src, dst, icmpType, icmpCode } = packet;
  const text = (from: unknown, fromPort: unknown, to: unknown, toPort: unknown): string =>
    [family, protocol, from, fromPort, to, toPort].join(' ');
  if (icmpType >= 0) {
    const pair = pairOf(packet);
    // CT-73: a message that is half of no pair is a connection of its own, without an answer.
    if (pair === undefined) {
      const own = text(src, 0, dst, `${icmpType}/${icmpCode}`);
      return { own, mirror: `answer to ${own}` };
    }
    const id = Math.max(packet.srcPort, 0);
    const mirrorType = icmpType === pair[0] ? pair[1] : pair[0];
    return {
      own: text(src, id, dst, `${icmpType}/${icmpCode}`),
      mirror: text(dst, id, src, `${mirrorType}/${icmpCode}`),
    };
  }
  return {
    own: text(src, packet.srcPort, dst, packet.dstPort),
    mirror: text(dst, packet.dstPort, src, packet.srcPort),
  };
}

function flip(tuple: Tuple): Tuple {
  return { own: tuple.mirror, mirror: tuple.own };
}

function opposite(direction: SlowDirection): SlowDirection {
  return direction === 'original' ? 'reply' : 'original';
}

function readPacket(batch: FlowBatch, row: number): Packet {
  const protocol = batch.protocol[row]!;
  const icmp = protocol === 1 || protocol === 58 ? batch.icmp[row]! : -1;
  const hasPorts = [6, 17, 132, 136].includes(protocol) || icmp >= 0;
  return {
    family: batch.family[row]!,
    protocol,
    src: batch.src[row]!,
    dst: batch.dst[row]!,
    srcPort: hasPorts ? batch.srcPort[row]! : 0,
    dstPort: hasPorts ? batch.dstPort[row]! : 0,
    icmpType: icmp < 0 ? -1 : icmp >> 8,
    icmpCode: icmp < 0 ? -1 : icmp & 255,
  };
}

// CT-73: what is not told counts as zero.
function readRecord(batch: FlowBatch, row: number): Packet {
  const packet = readPacket(batch, row);
  return { ...packet, srcPort: Math.max(packet.srcPort, 0), dstPort: Math.max(packet.dstPort, 0) };
}

function readQuote(batch: FlowBatch, quote: number): Packet {
  const { quotes } = batch;
  const protocol = quotes.protocol[quote]!;
  const icmp = protocol === 1 || protocol === 58 ? quotes.icmp[quote]! : -1;
  const hasPorts = [6, 17, 132, 136].includes(protocol) || icmp >= 0;
  return {
    family: quotes.family[quote]!,
    protocol,
    src: quotes.src[quote]!,
    dst: quotes.dst[quote]!,
    srcPort: hasPorts ? quotes.srcPort[quote]! : 0,
    dstPort: hasPorts ? quotes.dstPort[quote]! : 0,
    icmpType: icmp < 0 ? -1 : icmp >> 8,
    icmpCode: icmp < 0 ? -1 : icmp & 255,
  };
}

type Table = Record<SlowDirection, Record<string, Record<string, string>>>;

function readTable(text: string): Table {
  const table: Table = { original: {}, reply: {} };
  let direction: SlowDirection = 'original';
  let states: string[] = [];
  for (const line of text.trim().split('\n')) {
    const [name, ...words] = line.trim().split(/ +/);
    if (name === 'original' || name === 'reply') {
      direction = name;
      states = words;
    } else table[direction][name!] = Object.fromEntries(states.map((state, i) => [state, words[i]!]));
  }
  return table;
}
