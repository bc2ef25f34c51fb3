/** A cluster over time: who held which address when. Made of snapshots and recorded watch events, asked by replay. */
import type { Snapshot } from './cluster.ts';

/** States of one cluster, in the order of time. */
export interface Timeline {
  /**
   * Time from which each state holds, microseconds since 1970, ascending; at least one. The first one also holds before its time, and may
   * be -Infinity.
   */
  readonly fromUs: readonly number[];
  /** The cluster in a state. Lists and pods that did not change are the same objects as in the state before. */
  snapshotAt(state: number): Snapshot;
}

/** The state that holds at a time. */
export function stateAt({ fromUs }: Pick<Timeline, 'fromUs'>, timeUs: number): number {
  let low = 0;
  let high = fromUs.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fromUs[middle]! <= timeUs) low = middle;
    else high = middle;
  }
  return low;
}
