/** The table of TCP steps, against the machine that it is made from: everything that an entry can remember, and every packet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Meta, Outcome, Step, Timer, Word } from '../../src/track/entry.ts';
import { createSteps } from '../../src/track/step.ts';
import { TcpIndex, TcpState } from '../../src/track/tcp-state.ts';
import { stepTcp } from '../../src/track/tcp.ts';

const BITS = [
  Meta.Swapped,
  Meta.SeenReply,
  Meta.Assured,
  Meta.LastDirection,
  Meta.CloseInit,
  Meta.Challenge,
  Meta.Simultaneous,
];

test('where the table of steps calls a packet ordinary, it says what the TCP machine does', () => {
  // A timeout of its own for each state, so that none stands for another.
  const timeouts = Int32Array.from({ length: Timer.Count }, (_, timer) => 1000 + timer);
  const steps = createSteps(timeouts);
  const entry = new Int32Array(Word.Count);
  const told = { ordinary: 0, other: 0, missed: 0 };
  for (let bits = 0; bits < 1 << BITS.length; bits++)
    for (let state: number = TcpState.SynSent; state <= TcpState.SynSent2; state++)
      for (let last: number = TcpIndex.Syn; last <= TcpIndex.Bad; last++) {
        const flags = BITS.reduce<number>((sum, bit, index) => sum | ((bits & (1 << index)) === 0 ? 0 : bit), 0);
        const meta = 6 | Meta.Live | flags | (state << Meta.StateShift) | (last << Meta.LastIndexShift);
        for (let index: number = TcpIndex.Syn; index <= TcpIndex.Bad; index++)
          for (const swapped of [0, 1]) {
            const at = ((index << Step.IndexShift) | (((meta >>> Step.MetaShift) ^ swapped) & Step.Mask)) * Step.Stride;
            const set = steps[at + Step.Bits]!;
            const direction = swapped ^ ((meta & Meta.Swapped) === 0 ? 0 : 1);
            entry[Word.Meta] = meta;
            const outcome = index === TcpIndex.Bad ? Outcome.Invalid : stepTcp(entry, 0, direction, index);
            if ((set & meta & (Meta.Live | Meta.Challenge)) !== 0) {
              told.other++;
              if (outcome === Outcome.Accept) told.missed++;
              continue;
            }
            told.ordinary++;
            const name = `state ${state}, bits ${bits.toString(2)}, last ${last}, index ${index}, direction ${direction}`;
            assert.equal(outcome, Outcome.Accept, name);
            const after = entry[Word.Meta]! | (direction === 0 ? 0 : Meta.SeenReply);
            assert.equal((meta & ~Step.Replaced) | (set & ~Meta.Challenge), after, name);
            const next = (after & Meta.StateMask) >>> Meta.StateShift;
            const isUnanswered = next === TcpState.Established && (meta & Meta.SeenReply) === 0;
            assert.equal(steps[at + Step.Ticks], timeouts[isUnanswered ? Timer.TcpUnanswered : next], name);
          }
      }
  // What is accepted and yet not ordinary is rare: the table would be of no use otherwise.
  assert.ok(told.ordinary > 5 * told.missed, JSON.stringify(told));
});
