/** The contract of everything that answers "what happens to this flow": oracle, compiled engine, foreign programs. */
import type { Snapshot } from './cluster.ts';
import type { Dialect } from './dialect.ts';
import type { Decision, EndpointRef, Flow, Packet } from './flow.ts';
import type { Policy } from './policy.ts';

/** One world to judge flows in. */
export interface World {
  readonly snapshot: Snapshot;
  readonly policies: readonly Policy[];
  readonly dialect: Dialect;
}

/** An evaluator that has read one world. */
export interface Session {
  /** One connection attempt on its own, without state. Throws `UnknownName` where a name of the flow means nothing. */
  judge(flow: Flow): Decision;
  /** A sequence of packets, judged one by one as the kernel would: tracked, policy on NEW. */
  judgePackets?(packets: readonly Packet[]): Decision[];
}

/** An evaluator: the oracle, the compiled engine, or an adapter of a foreign program. */
export interface Evaluator {
  readonly name: string;
  load(world: World): Session;
}

/** A flow names a pod, workload or Service that the snapshot does not hold. */
export class UnknownName extends Error {
  override readonly name = 'UnknownName';
  /** The end of the flow that is unknown, for who can suggest another; undefined where its form is wrong. */
  readonly end: EndpointRef | undefined;

  constructor(message: string, end?: EndpointRef) {
    super(message);
    this.end = end;
  }
}
