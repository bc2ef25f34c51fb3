/** Laws of a cluster over time: each record is judged by the state of its time, and a cluster that stays as it is changes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import { stateAt, type Timeline } from '../../src/model/timeline.ts';
import { createReplay, type ReplayOptions } from '../../src/replay/replay.ts';
import type { ReplayResult } from '../../src/replay/result.ts';
import { createAccount } from '../../src/trace/account.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream, type Stream } from './stream.ts';
import { summaryOf } from './summary.ts';
import { packet, replay as replayRecords, SNAPSHOT } from './world.ts';

/** Streams over worlds in which no two pods share a name, as in any cluster. */
function arbitraryNamed(length: number): fc.Arbitrary<Stream> {
  return arbitraryStream(length).map(({ world, drafts }) => {
    const { snapshot } = world;
    const pods = [...new Map(snapshot.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod])).values()];
    return { drafts, world: { ...world, snapshot: { ...snapshot, pods } } };
  });
}

/** The cluster of a stream where every pod has the addresses of the one before it, every `periodUs`; Services and nodes change places. */
function rotating({ world: { snapshot } }: Stream, periodUs: number): Timeline {
  const { pods, services, nodes } = snapshot;
  const states = Array.from({ length: 5 }, (_, turn): Snapshot => {
    const turned = pods.map((pod, index): Pod => ({
      ...pod,
      addresses: pods[(index + turn) % pods.length]!.addresses,
    }));
    // One state without the last pod and the first Service, so that they come and go as well.
    return {
      ...snapshot,
      pods: turn === 2 ? turned.slice(0, -1) : turned,
      services: turn === 2 ? services.slice(1) : turn % 2 === 1 ? services.toReversed() : services,
      nodes: turn % 2 === 1 ? nodes.toReversed() : nodes,
    };
  });
  return {
    fromUs: states.map((_, turn) => (turn === 0 ? -Infinity : 1.7e15 + turn * periodUs)),
    snapshotAt: (state) => states[state]!,
  };
}

function replay(
  stream: Stream,
  timeline: Timeline | undefined,
  options: Pick<ReplayOptions, 'mode'> & { readonly isCompared?: boolean },
): ReplayResult {
  const { batch, dictionary } = batchStream(stream);
  const { policies, dialect } = stream.world;
  const snapshot = timeline?.snapshotAt(0) ?? stream.world.snapshot;
  const account = createAccount('stream');
  const replaying = createReplay({
    program: compile(snapshot, policies, dialect),
    ...(options.isCompared && { baseline: compile(snapshot, policies.slice(1), dialect) }),
    mode: options.mode,
    dictionary,
    invalid: 'count',
    ...(timeline ? { timeline } : { kernel: 'plain' as const }),
  });
  replaying.add(batch, account);
  return replaying.finish([account]);
}

test(`a cluster that stays as it is: with a timeline = without (seed ${seed})`, () => {
  const property = fc.property(
    arbitraryNamed(80),
    fc.constantFrom('connections', 'packets', 'stateless'),
    fc.boolean(),
    (stream, mode, isCompared) => {
      const { snapshot } = stream.world;
      // Equal objects, and equal copies of them: followed by update and by compile.
      const timeline = {
        fromUs: [-Infinity, 1.7e15 + 2000, 1.7e15 + 5000, 1.7e15 + 40e6],
        snapshotAt: (state: number) =>
          state % 2 === 0 ? { ...snapshot, pods: snapshot.pods.map((pod) => ({ ...pod })) } : structuredClone(snapshot),
      };
      assert.deepEqual(
        summaryOf(replay(stream, timeline, { mode, isCompared })),
        summaryOf(replay(stream, undefined, { mode, isCompared })),
      );
    },
  );
  fc.assert(property, { seed, numRuns: runs(40) });
});

test(`record by record, a changing cluster = each state by itself with the records of its time (seed ${seed})`, () => {
  let met = 0;
  let moved = 0;
  const property = fc.property(arbitraryNamed(60), fc.constantFrom(1000, 50_000), (stream, periodUs) => {
    const timeline = rotating(stream, periodUs);
    const whole = replay(stream, timeline, { mode: 'stateless' });
    const { batch, dictionary } = batchStream(stream);
    const { policies, dialect } = stream.world;
    const sums = new Map<string, number>();
    let state = 0;
    const stateOf = Array.from({ length: batch.count }, (_, row) => {
      const time = batch.timeUs[row]!;
      return (state = Number.isNaN(time) ? state : stateAt(timeline, time));
    });
    for (const one of new Set(stateOf)) {
      const program = compile(timeline.snapshotAt(one), policies, dialect);
      const part = createReplay({ program, dictionary, mode: 'stateless', invalid: 'count', kernel: 'plain' });
      stateOf.forEach((at, row) => {
        if (at === one) part.add(batch, createAccount('stream'), row, row + 1);
      });
      addGroups(sums, part.finish([]));
    }
    const found = new Map<string, number>();
    addGroups(found, whole);
    assert.deepEqual([...found].sort(), [...sums].sort());
    assert.equal(whole.timeline!.met, new Set(stateOf).size);
    for (const { decision } of whole.groups)
      if (decision.explanation !== undefined) assert.equal(decision.explanation.verdict, decision.verdict);
    met += whole.timeline!.met;
    const still = new Map<string, number>();
    addGroups(still, replay(stream, undefined, { mode: 'stateless' }));
    if (JSON.stringify([...still].sort()) !== JSON.stringify([...found].sort())) moved++;
  });
  fc.assert(property, { seed, numRuns: runs(40) });
  assert.ok(met > 60, 'hardly more than one state was ever met');
  assert.ok(moved > 5, 'the moves hardly ever mattered');
});

test('a Service keeps its name when another one comes before it in the list', () => {
  const [db] = SNAPSHOT.services;
  const fresh = { ...db!, name: 'alpha', clusterAddresses: ['10.96.0.6' as AddressText] };
  const states = [SNAPSHOT, { ...SNAPSHOT, services: [fresh, db!] }];
  const timeline: Timeline = { fromUs: [-Infinity, 50e6], snapshotAt: (state) => states[state]! };
  const { groups } = replayRecords(
    [
      packet('10.0.0.1:40000', '10.96.0.5:5000', 'S', 1),
      packet('10.0.0.1:40001', '10.96.0.6:5000', 'S', 60),
      packet('10.0.0.1:40002', '10.96.0.5:5000', 'S', 61),
    ],
    { timeline },
  );
  const found = groups.map(({ via, tally }) => [via, tally.connections]);
  assert.deepEqual(found.sort(), [
    ['alpha.shop', 1],
    ['db.shop', 2],
  ]);
});

function addGroups(sums: Map<string, number>, { groups, unplaced }: ReplayResult): void {
  for (const { source, destination, protocol, port, icmp, via, decision, tally } of groups) {
    const { verdict, egress, ingress, missing } = decision;
    const key = JSON.stringify([source, destination, protocol, port, icmp, via, verdict, egress, ingress, missing]);
    sums.set(key, (sums.get(key) ?? 0) + tally.records);
  }
  sums.set('unplaced', (sums.get('unplaced') ?? 0) + unplaced.records);
}
