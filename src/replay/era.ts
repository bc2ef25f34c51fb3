/**
 * Eras: a cluster over time as Programs. The Program of a state is made when a record of its time comes, from the one before it as
 * far as only pods changed; few are kept, and those that an explanation may be asked of.
 */
import { compile } from '../compile/compile.ts';
import type { Program } from '../compile/program.ts';
import { update } from '../compile/update.ts';
import type { Pod, Snapshot } from '../model/cluster.ts';
import { stateAt, type Timeline } from '../model/timeline.ts';

/** The Programs of one state. */
export interface Era {
  readonly state: number;
  readonly program: Program;
  readonly baseline: Program | undefined;
}

/** Follows a timeline. */
export interface Eras {
  /** The era of a time; rows need not come in order. */
  at(timeUs: number): Era;
  /** Does the era hold at a time? Then there is no need to ask for another one. */
  holds(era: Era, timeUs: number): boolean;
}

/** Eras kept beside those that somebody else keeps: records are out of order by minutes, not by days. */
const ERAS_KEPT = 8;

/** Follows a timeline with the policies of Programs that were compiled of its first state. */
export function createEras(timeline: Timeline, first: Era): Eras {
  const { fromUs } = timeline;
  const kept = new Map<number, Era>([[first.state, first]]);
  let latest = first;
  return {
    holds({ state }, timeUs) {
      // Without a time a record is of the time of the one before it.
      if (timeUs !== timeUs) return true;
      return (state === 0 || fromUs[state]! <= timeUs) && (state + 1 === fromUs.length || timeUs < fromUs[state + 1]!);
    },
    at(timeUs) {
      const state = stateAt(timeline, timeUs);
      let era = kept.get(state);
      if (era === undefined) {
        const snapshot = timeline.snapshotAt(state);
        era = {
          state,
          program: follow(latest.program, snapshot),
          baseline: latest.baseline && follow(latest.baseline, snapshot),
        };
      } else kept.delete(state);
      // The last one used goes to the end, and the first one goes out.
      kept.set(state, era);
      if (kept.size > ERAS_KEPT) kept.delete(kept.keys().next().value!);
      return (latest = era);
    },
  };
}

/** The Program of another snapshot with the same policies. */
function follow(program: Program, snapshot: Snapshot): Program {
  const { snapshot: before, policies, dialect } = program.source;
  const arePodsAll =
    before.namespaces === snapshot.namespaces &&
    before.nodes === snapshot.nodes &&
    before.services === snapshot.services &&
    before.endpointSlices === snapshot.endpointSlices;
  const change = arePodsAll ? changeOf(before.pods, snapshot.pods) : undefined;
  return change === undefined ? compile(snapshot, policies, dialect) : update(program, { pods: change });
}

/** What `update` is told; undefined where names do not tell pods apart (stand-ins of two kinds of workload). */
function changeOf(
  before: readonly Pod[],
  after: readonly Pod[],
): { removed: readonly Pod[]; set: readonly Pod[] } | undefined {
  const gone = new Map(before.map((pod) => [nameOf(pod), pod]));
  const names = new Set(after.map(nameOf));
  if (gone.size < before.length || names.size < after.length) return undefined;
  const set: Pod[] = [];
  for (const pod of after) {
    const name = nameOf(pod);
    if (gone.get(name) !== pod) set.push(pod);
    gone.delete(name);
  }
  return { removed: [...gone.values()], set };
}

function nameOf({ namespace, name }: Pod): string {
  return `${namespace}/${name}`;
}
