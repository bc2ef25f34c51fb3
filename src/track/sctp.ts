/**
 * The SCTP machine of nf_conntrack (net/netfilter/nf_conntrack_proto_sctp.c, Linux 6.18): states, verification tags,
 * heartbeats. A record has the set of its chunk types, not their order or flags: chunks are taken COOKIE first, then by
 * number, and ABORT and SHUTDOWN COMPLETE may carry either side's tag (rules CT-53, CT-55).
 */
import { ConnectionDirection } from './state.ts';
import { Meta, Outcome, Tag, Word } from './entry.ts';

/** States of an SCTP entry, numbered as the kernel does. */
export const enum SctpState {
  None = 0,
  Closed = 1,
  CookieWait = 2,
  CookieEchoed = 3,
  Established = 4,
  ShutdownSent = 5,
  ShutdownRecd = 6,
  ShutdownAckSent = 7,
  HeartbeatSent = 8,
  /** In the table: the chunk is impossible here. */
  Invalid = 9,
}

/** Bits of `FlowBatch.sctpChunks`: 1 << chunk type (RFC 9260, 3.2). */
export const enum SctpChunk {
  Data = 1 << 0,
  Init = 1 << 1,
  InitAck = 1 << 2,
  Heartbeat = 1 << 4,
  HeartbeatAck = 1 << 5,
  Abort = 1 << 6,
  Shutdown = 1 << 7,
  ShutdownAck = 1 << 8,
  Error = 1 << 9,
  CookieEcho = 1 << 10,
  CookieAck = 1 << 11,
  ShutdownComplete = 1 << 14,
  /** These travel alone in their packet. */
  Lonely = Init | InitAck | ShutdownComplete,
  /** Out of the blue these are never answered with state. */
  Homeless = Abort | ShutdownComplete | CookieAck,
  /** A packet with one of these is not held to the tag of its direction as a whole. */
  TagExempt = Init | ShutdownComplete | CookieEcho | Abort | ShutdownAck | Heartbeat | HeartbeatAck,
}

// CT-50. A row per chunk type 1..14, original direction then reply; '' = the chunk changes nothing. Columns: SctpState.
// C CLOSED, W COOKIE_WAIT, K COOKIE_ECHOED, E ESTABLISHED, S SHUTDOWN_SENT, R SHUTDOWN_RECD, A SHUTDOWN_ACK_SENT,
// H HEARTBEAT_SENT, - impossible.
const ROWS: readonly (readonly [string, string])[] = [
  ['CCWKECCAW', '-CWKESRA-'], // INIT
  ['CCWKESRAC', '-WWKESRA-'], // INIT ACK
  ['', ''], // SACK
  ['HCWKESRAH', '-CWKESRAH'], // HEARTBEAT
  ['CCWKESRAH', '-CWKESRAE'], // HEARTBEAT ACK
  ['CCCCCCCCC', '-CCCCCCC-'], // ABORT
  ['CCWKSSRAC', '-CWKRSRA-'], // SHUTDOWN
  ['ACWKEAAAA', '-CWKEAAA-'], // SHUTDOWN ACK
  ['CCWKESRAC', '-CWCESRA-'], // ERROR
  ['CCKKESRAC', '-CKKESRA-'], // COOKIE ECHO
  ['CCWEESRAC', '-CWEESRA-'], // COOKIE ACK
  ['', ''],
  ['', ''],
  ['CCWKESRCC', '-CWKESRC-'], // SHUTDOWN COMPLETE
];

/** Next state at `(direction * 16 + chunk type) * 9 + state`. */
const TABLE = createTable();

/** The order in which the chunks of one packet are applied. */
const ORDER = Uint8Array.of(10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15);

/** CT-53: can these chunks share a packet? */
export function isSctpBundle(chunks: number): boolean {
  const lonely = chunks & SctpChunk.Lonely;
  if (lonely !== 0 && chunks !== (lonely & -lonely)) return false;
  return (chunks & (SctpChunk.CookieEcho | SctpChunk.CookieAck)) !== (SctpChunk.CookieEcho | SctpChunk.CookieAck);
}

/**
 * Applies one packet to the entry at `at`, with its tags at `tagsAt`; an entry in state NONE is new and unconfirmed. Chunks before the one that
 * makes a packet invalid have had their effect, as in the kernel.
 */
export function stepSctp(
  words: Int32Array,
  at: number,
  tags: Int32Array,
  tagsAt: number,
  direction: number,
  chunks: number,
  tag: number,
  initTag: number,
): Outcome {
  let meta = words[at + Word.Meta]!;
  let state = (meta & Meta.StateMask) >>> Meta.StateShift;
  const isNew = state === SctpState.None;
  if (isNew) {
    if ((chunks & SctpChunk.Homeless) !== 0) return Outcome.Invalid; // CT-51
    for (let i = 0; i < 16; i++) {
      const type = ORDER[i]!;
      const chunk = 1 << type;
      if ((chunks & chunk) === 0) continue;
      if (TABLE[type * 9] === SctpState.None) return Outcome.Invalid; // CT-51: DATA, SACK, ... open nothing
      if (chunk === SctpChunk.Init) {
        if (tag !== 0) return Outcome.InvalidTag; // CT-52
        tags[tagsAt + Tag.Reply] = initTag;
      } else if (chunk === SctpChunk.Heartbeat) tags[tagsAt + Tag.Original] = tag;
      else if (chunk === SctpChunk.ShutdownAck) tags[tagsAt + Tag.Reply] = tag;
    }
  }
  const own = tagsAt + (direction === ConnectionDirection.Original ? Tag.Original : Tag.Reply);
  const other = tagsAt + (direction === ConnectionDirection.Original ? Tag.Reply : Tag.Original);
  const isChecked = (meta & Meta.TagsUnknown) === 0;
  if (isChecked && (chunks & SctpChunk.TagExempt) === 0 && tag !== tags[own]) return Outcome.InvalidTag; // CT-52
  const initOwn = direction === ConnectionDirection.Original ? Meta.InitOriginal : Meta.InitReply;
  const initOther = direction === ConnectionDirection.Original ? Meta.InitReply : Meta.InitOriginal;
  let isIgnored = false;
  let outcome: Outcome = Outcome.Accept;
  for (let i = 0; i < 16; i++) {
    const type = ORDER[i]!;
    const chunk = 1 << type;
    if ((chunks & chunk) === 0) continue;
    if (chunk === SctpChunk.Init) {
      if (tag !== 0) outcome = Outcome.InvalidTag; // CT-52
    } else if (chunk === SctpChunk.Abort || chunk === SctpChunk.ShutdownComplete) {
      if (isChecked && tag !== tags[own] && tag !== tags[other]) outcome = Outcome.InvalidTag; // CT-55
    } else if (chunk === SctpChunk.CookieEcho) {
      if (isChecked && tag !== tags[own]) outcome = Outcome.InvalidTag; // CT-52
    } else if (chunk === SctpChunk.CookieAck) {
      meta &= ~(Meta.InitOriginal | Meta.InitReply);
    } else if (chunk === SctpChunk.Heartbeat) {
      // CT-54
      if (tags[own] === 0) tags[own] = tag;
      else if (tag === tags[own] || !isChecked) meta &= ~Meta.HeartbeatFailed;
      else if ((chunks & SctpChunk.Data) !== 0 || isIgnored) outcome = Outcome.InvalidTag;
      else {
        meta = (meta | Meta.HeartbeatFailed) & ~Meta.LastDirection;
        if (direction === ConnectionDirection.Reply) meta |= Meta.LastDirection;
        isIgnored = true;
        continue;
      }
    } else if (chunk === SctpChunk.HeartbeatAck) {
      // CT-54
      if (tags[own] === 0) tags[own] = tag;
      else if (tag === tags[own] || !isChecked) meta &= ~Meta.HeartbeatFailed;
      else {
        const last = (meta & Meta.LastDirection) === 0 ? ConnectionDirection.Original : ConnectionDirection.Reply;
        if ((chunks & SctpChunk.Data) !== 0 || isIgnored || (meta & Meta.HeartbeatFailed) === 0 || last === direction)
          outcome = Outcome.InvalidTag;
        else {
          meta &= ~Meta.HeartbeatFailed;
          tags[own] = tag;
          tags[other] = 0;
        }
      }
    }
    if (outcome !== Outcome.Accept) break;
    const row = (direction * 16 + type) * 9;
    const isIdle = TABLE[row] === SctpState.None;
    const next = isIdle ? state : TABLE[row + state]!;
    if (next === SctpState.Invalid) {
      outcome = Outcome.Invalid; // CT-50
      break;
    }
    if (chunk === SctpChunk.Init) {
      // CT-57: an INIT that says again what is known opens no handshake (6.18.y and later).
      if (isNew || tags[other] !== initTag) {
        if ((meta & initOwn) !== 0) meta &= ~initOther;
        meta |= initOwn;
        tags[other] = initTag;
      }
      // CT-56: an INIT sent again must not keep a dead entry alive.
      if (next === SctpState.Closed && state === SctpState.Closed && !isNew) isIgnored = true;
    } else if (chunk === SctpChunk.InitAck && isChecked) {
      const expected = tags[other]!;
      const isAsked = (meta & initOther) !== 0;
      if (expected !== initTag && ((!isAsked && expected !== 0) || (isAsked && (meta & initOwn) !== 0))) {
        outcome = Outcome.InvalidTag; // CT-52
        break;
      }
      tags[other] = initTag;
    }
    if (next === SctpState.Established && state !== next) meta |= Meta.Assured; // CT-25
    state = next;
  }
  words[at + Word.Meta] = (meta & ~Meta.StateMask) | (state << Meta.StateShift);
  if (outcome !== Outcome.Accept) return outcome;
  return isIgnored ? Outcome.Ignore : Outcome.Accept;
}

/** CT-08: may a full table give this state up early? */
export function isSctpClosing(state: number): boolean {
  return state >= SctpState.ShutdownSent && state <= SctpState.ShutdownAckSent;
}

function createTable(): Uint8Array {
  const letters = ' CWKESRAH-';
  const table = new Uint8Array(2 * 16 * 9);
  ROWS.forEach((row, i) =>
    row.forEach((text, direction) => {
      for (let state = 0; state < text.length; state++)
        table[(direction * 16 + i + 1) * 9 + state] = letters.indexOf(text[state]!);
    }),
  );
  return table;
}
