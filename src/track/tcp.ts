/**
 * The TCP machine of nf_conntrack (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.18) without window tracking, that is
 * as it behaves with nf_conntrack_tcp_be_liberal=1 (CT-23) for endpoints whose sequence numbers are right. The transition
 * table was compared packet by packet with the kernel (`npm run test:kernel`).
 */
import { TcpFlag } from '../model/flow.ts';
import { ConnectionDirection } from './state.ts';
import { Meta, Outcome, Word } from './entry.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';

/** `TcpIndex` by the six flag bits of the header. */
export const TCP_INDEX: Uint8Array = createIndex();

// CT-14. Rows: SYN, SYN/ACK, FIN, ACK, RST of the original direction, then of the reply direction. Columns: TcpState.
// A letter a state: S SYN_SENT, R SYN_RECV, E ESTABLISHED, F FIN_WAIT, C CLOSE_WAIT, L LAST_ACK, T TIME_WAIT, X CLOSE,
// 2 SYN_SENT2; - impossible, . ignored.
const ROWS = [
  'SS.....SS2',
  '--R------R',
  '--FFLLLTX-',
  'E-EECCTTX-',
  '-XXXXXXXXX',
  '-2-----S-2',
  '-R.......R',
  '--FFLLLTX-',
  '-.RECCTTX.',
  '-XXXXXXXXX',
];

/** Next state at `(direction * 5 + index) * 10 + state`. */
export const TCP_TABLE: Uint8Array = createTable();

/** The state in which a packet without a connection would begin one, or `TcpState.Invalid`. */
export function openTcp(index: number): number {
  // CT-11 (SYN), CT-12 (ACK), CT-13 (the rest).
  return index === TcpIndex.Bad ? TcpState.Invalid : TCP_TABLE[index * 10]!;
}

/**
 * Applies one packet with valid flags to the entry at `at`, and changes its meta word. The seen-reply bit is the
 * caller's: it is set after the packet was accepted or ignored.
 */
export function stepTcp(words: Int32Array, at: number, direction: number, index: number): Outcome {
  let meta = words[at + Word.Meta]!;
  const old = (meta & Meta.StateMask) >>> Meta.StateShift;
  let next = TCP_TABLE[(direction * 5 + index) * 10 + old]!;
  if (next === TcpState.SynSent) {
    if (old >= TcpState.TimeWait) {
      // CT-17, CT-18: after an orderly close, or after the RST of the side that now sends the SYN.
      if (
        (meta & Meta.CloseInit) !== 0 ||
        (getLastDirection(meta) === direction && getLastIndex(meta) === TcpIndex.Rst)
      )
        return Outcome.Reopen;
      next = TcpState.Ignore;
    }
  }
  if (next === TcpState.Ignore) {
    if (index === TcpIndex.SynAck && getLastIndex(meta) === TcpIndex.Syn && getLastDirection(meta) !== direction) {
      // CT-16: the answer to a SYN that was ignored shows that both ends are in step and the entry was not.
      next = TcpState.SynRecv;
      meta &= ~(Meta.Challenge | Meta.CloseInit);
    } else {
      // CT-15
      meta = setLast(meta, index, direction);
      if (index === TcpIndex.Syn) {
        // The originator's: that of the responder in TIME_WAIT always reopens, since a FIN has led there.
        // CT-19: this also forgets a simultaneous open. CT-20: the answer may be a challenge.
        meta &= ~(Meta.Challenge | Meta.Simultaneous);
        if (old === TcpState.LastAck) meta |= Meta.Challenge;
      }
      words[at + Word.Meta] = meta;
      return Outcome.Ignore;
    }
  } else if (next === TcpState.Invalid) {
    return Outcome.Invalid; // CT-14
  } else if (next === TcpState.TimeWait) {
    if ((meta & Meta.Challenge) !== 0 && getLastIndex(meta) === TcpIndex.Syn && getLastDirection(meta) !== direction) {
      // CT-20: a challenge ACK acknowledges no FIN. Behind such a SYN this is LAST_ACK, from where only an ACK leads on.
      words[at + Word.Meta] = meta & ~Meta.Challenge;
      return Outcome.Ignore;
    }
  } else if (next === TcpState.SynSent2) {
    meta |= Meta.Simultaneous; // CT-19
  } else if (
    next === TcpState.SynRecv &&
    direction === ConnectionDirection.Reply &&
    index === TcpIndex.Ack &&
    (meta & Meta.Simultaneous) !== 0
  ) {
    next = TcpState.Established; // CT-19
  }
  // CT-22: an RST always fits, so that the table's CLOSE holds.
  meta = setLast(meta, index, direction);
  meta = (meta & ~Meta.StateMask) | (next << Meta.StateShift);
  if (next === TcpState.FinWait) meta |= Meta.CloseInit;
  if ((meta & Meta.SeenReply) === 0) {
    words[at + Word.Meta] = meta;
    return index === TcpIndex.Rst ? Outcome.Kill : Outcome.Accept; // CT-21
  }
  // CT-25: the table leads there from SYN_RECV and from ESTABLISHED alone.
  if (next === TcpState.Established) meta |= Meta.Assured;
  words[at + Word.Meta] = meta;
  return Outcome.Accept;
}

/** The meta word with the last packet replaced. */
export function setLast(meta: number, index: number, direction: number): number {
  return (
    (meta & ~(Meta.LastIndexMask | Meta.LastDirection)) |
    (index << Meta.LastIndexShift) |
    (direction === ConnectionDirection.Reply ? Meta.LastDirection : 0)
  );
}

/** CT-08: may a full table give this state up early? */
export function isTcpClosing(state: number): boolean {
  return state >= TcpState.FinWait && state <= TcpState.Close;
}

function getLastIndex(meta: number): number {
  return (meta & Meta.LastIndexMask) >>> Meta.LastIndexShift;
}

function getLastDirection(meta: number): number {
  return (meta & Meta.LastDirection) === 0 ? ConnectionDirection.Original : ConnectionDirection.Reply;
}

/** CT-10: PSH never matters, URG only beside SYN or ACK. */
function createIndex(): Uint8Array {
  const indices = new Uint8Array(64).fill(TcpIndex.Bad);
  const { Fin, Syn, Rst, Psh, Ack, Urg } = {
    Fin: TcpFlag.Fin,
    Syn: TcpFlag.Syn,
    Rst: TcpFlag.Rst,
    Psh: TcpFlag.Psh,
    Ack: TcpFlag.Ack,
    Urg: TcpFlag.Urg,
  };
  const valid: readonly (readonly [number, TcpIndex])[] = [
    [Syn, TcpIndex.Syn],
    [Syn | Urg, TcpIndex.Syn],
    [Syn | Ack, TcpIndex.SynAck],
    [Fin | Ack, TcpIndex.Fin],
    [Fin | Ack | Urg, TcpIndex.Fin],
    [Ack, TcpIndex.Ack],
    [Ack | Urg, TcpIndex.Ack],
    [Rst, TcpIndex.Rst],
    [Rst | Ack, TcpIndex.Rst],
  ];
  for (const [flags, index] of valid) {
    indices[flags] = index;
    indices[flags | Psh] = index;
  }
  return indices;
}

function createTable(): Uint8Array {
  const letters = ' SREFCLTX2-.';
  return Uint8Array.from(ROWS.join(''), (letter) => letters.indexOf(letter));
}
