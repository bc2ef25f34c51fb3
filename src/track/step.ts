/**
 * The TCP machine as one table, for a kernel that takes ordinary packets without a branch: what `stepTcp` makes of an entry
 * depends on little of its meta word, and where it depends on more, the table says that the packet is not ordinary. The table
 * is made by asking `stepTcp`; a test asks it about all that the table leaves out.
 */
import { ConnectionDirection } from './state.ts';
import { Meta, Outcome, Step, Timer, Word } from './entry.ts';
import { setLast, stepTcp } from './tcp.ts';
import { TcpIndex, TcpState } from './tcp-state.ts';

/** [`TcpIndex`][`Step.Mask` + 1] pairs of words, see `Step`, for timeouts by `Timer`, in ticks. */
export function createSteps(timeouts: Int32Array): Int32Array {
  const steps = new Int32Array(Step.Count * Step.Stride);
  for (let step = 0; step < Step.Count; step++) {
    const at = step * Step.Stride;
    const index = step >>> Step.IndexShift;
    const bits = step & Step.Mask;
    const direction = bits & 1;
    // Of an entry whose originator stands first: then the direction says who sends.
    const meta = setLast(Meta.Live | ((bits & ~1) << Step.MetaShift), TcpIndex.Bad, direction);
    const plain = index < TcpIndex.Bad ? ask(meta, direction, index) : Meta.Live;
    if ((plain & Meta.Live) !== 0 || ask(meta | Meta.Simultaneous, direction, index) !== plain) {
      steps[at + Step.Bits] = Meta.Live;
      continue;
    }
    const challenged = setLast(meta | Meta.Challenge, TcpIndex.Syn, direction ^ 1);
    steps[at + Step.Bits] = ask(challenged, direction, index) === plain ? plain : plain | Meta.Challenge;
    const next = (plain & Meta.StateMask) >>> Meta.StateShift;
    const isUnanswered = next === TcpState.Established && (meta & Meta.SeenReply) === 0;
    steps[at + Step.Ticks] = timeouts[isUnanswered ? Timer.TcpUnanswered : Timer.Tcp + next]!;
  }
  return steps;
}

const ENTRY = new Int32Array(Word.Count);

/** The bits that a packet sets in an entry's meta word, those of the last packet and of the state among them; `Meta.Live` where it is not accepted. */
function ask(meta: number, direction: number, index: number): number {
  ENTRY[Word.Meta] = meta;
  const state = (meta & Meta.StateMask) >>> Meta.StateShift;
  const isState = state >= TcpState.SynSent && state <= TcpState.SynSent2;
  if (!isState || stepTcp(ENTRY, 0, direction, index) !== Outcome.Accept) return Meta.Live;
  const after = ENTRY[Word.Meta]!;
  return (after & ~(meta & ~Step.Replaced)) | (direction === ConnectionDirection.Reply ? Meta.SeenReply : 0);
}
