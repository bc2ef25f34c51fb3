/** The compiled engine under the contract that every evaluator keeps: compile once, then decide and track. */
import { compile } from '../compile/compile.ts';
import { judge } from '../decide/judge.ts';
import { resolvePairs } from '../decide/resolve.ts';
import type { Evaluator } from '../model/evaluator.ts';
import type { Decision, Packet } from '../model/flow.ts';
import { batchPackets, type PacketAddresses } from '../model/packet.ts';
import { Reason, Verdict, verdictOf } from '../model/verdict.ts';
import { TrackState } from '../track/state.ts';
import { createTracker } from '../track/tracker.ts';
import type { Program } from '../compile/program.ts';

/** The engine. */
export const engine: Evaluator = {
  name: 'engine',
  load({ snapshot, policies, dialect }) {
    const program = compile(snapshot, policies, dialect);
    return {
      judge: (flow) => judge(program, flow),
      judgePackets: (packets) => judgePackets(program, packets),
    };
  },
};

/** Packets as the kernel would treat them: policy is asked for what is NEW, and what it denies leaves nothing behind. */
function judgePackets(program: Program, packets: readonly Packet[]): Decision[] {
  const tracker = createTracker({});
  const batch = batchPackets(packets, (packet) => addressesOf(program, packet));
  return packets.map((packet, row) => {
    const state = tracker.track(batch, row);
    if (state === TrackState.Established) return onBothSides(Reason.Established);
    if (state === TrackState.Related) return onBothSides(Reason.Related);
    if (state === TrackState.Invalid) return onBothSides(Reason.InvalidState);
    const decision = judge(program, packet);
    if (decision.verdict === Verdict.Deny && tracker.created === 1) tracker.drop();
    return decision;
  });
}

function onBothSides(reason: Reason): Decision {
  return { verdict: verdictOf(reason), egress: reason, ingress: reason, missing: 0 };
}

function addressesOf(program: Program, packet: Packet): PacketAddresses {
  const { sourceAddress, destination, destinationAddress, family } = resolvePairs(program, packet)[0]!;
  if (typeof destination === 'number') return { src: sourceAddress, dst: destinationAddress };
  const own = destination.clusterAddresses;
  return { src: sourceAddress, dst: own.find((address) => address.includes(':') === (family === 6)) ?? own[0] };
}
