/** Law: a Program that followed changes is the Program of the changed cluster, whatever was used again on the way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { Program } from '../../src/compile/program.ts';
import { applyChange, type Change, update, workOf } from '../../src/compile/update.ts';
import { explain } from '../../src/decide/explain.ts';
import { judge } from '../../src/decide/judge.ts';
import { arbitraryCase, type Case } from '../../src/fuzz/arbitrary-flow.ts';
import { generateCluster } from '../../src/generate/cluster.ts';
import { generatePolicies } from '../../src/generate/policy.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Pod } from '../../src/model/cluster.ts';
import { UnknownName } from '../../src/model/evaluator.ts';
import type { Flow } from '../../src/model/flow.ts';
import type { Policy } from '../../src/model/policy.ts';
import { runs, seed } from '../law/seed.ts';

/** One step: what to do, and to which of the objects there are. */
const arbitraryStep = fc.record({
  kind: fc.constantFrom(
    'remove-pod',
    'add-pod',
    'relabel',
    'move',
    'swap',
    'end',
    'remove-policy',
    'add-policy',
    'edit-policy',
  ),
  first: fc.nat(100),
  second: fc.nat(100),
});
type Step = typeof arbitraryStep extends fc.Arbitrary<infer T> ? T : never;

test(`updates one after another decide and explain as a fresh compilation of the changed cluster (seed ${seed})`, () => {
  const reached = { fresh: 0, again: 0, flows: 0 };
  const steps = fc.array(arbitraryStep, { minLength: 1, maxLength: 6, size: 'max' });
  fc.assert(
    fc.property(arbitraryCase({ tiers: 'all', dialect: 'any' }, 12), steps, ({ world, flows }, list) => {
      let program = compile(world.snapshot, world.policies, world.dialect);
      for (const step of list) {
        const change = changeOf(step, program, world);
        const { snapshot, policies } = applyChange(program, change);
        const before = flows.map((flow) => answer(program, flow));
        const next = update(program, change);
        if (workOf(next)!.isFresh) reached.fresh++;
        else reached.again++;
        const expected = compile(snapshot, policies, world.dialect);
        for (const flow of flows) {
          assert.deepEqual(
            answer(next, flow),
            answer(expected, flow),
            `${JSON.stringify(step)} ${JSON.stringify(flow)}`,
          );
          reached.flows++;
        }
        assert.deepEqual(
          flows.map((flow) => answer(program, flow)),
          before,
          'the Program before the change stays as it was',
        );
        // What a reader takes, whatever it was put together from.
        Program.from(next.buffer, next.source);
        program = next;
      }
    }),
    { seed, numRuns: runs(30) },
  );
  assert.ok(reached.fresh > 15 && reached.again > 15 && reached.flows > 300, JSON.stringify(reached));
});

test('a replica that comes, moves or goes builds no row; a policy that changes builds the rows of its own pods', () => {
  const snapshot = generateCluster({ pods: 300, seed: 3, shape: 'production' });
  const policies = generatePolicies({ snapshot, count: 200, seed: 3 });
  const begun = update(compile(snapshot, policies), {});
  const work = workOf(begun)!;
  assert.ok(work.isFresh && work.rowsBuilt > 50, JSON.stringify(work));

  const [pod] = snapshot.pods.filter(({ namespace }) => namespace !== 'kube-system');
  const replica: Pod = { ...pod!, name: `${pod!.name}-2`, addresses: [other(7)] };
  const grown = update(begun, { pods: { set: [replica] } });
  assert.deepEqual(workOf(grown), { isFresh: false, rowsBuilt: 0 });
  const moved = update(grown, { pods: { set: [{ ...replica, addresses: [other(8)] }] } });
  assert.deepEqual(workOf(moved), { isFresh: false, rowsBuilt: 0 });
  const shrunk = update(moved, { pods: { removed: [replica] } });
  assert.deepEqual(workOf(shrunk), { isFresh: false, rowsBuilt: 0 });
  assert.deepEqual(shrunk.endpoints, begun.endpoints);

  const policy = policies.find(
    ({ ingress, subject }) => ingress.length > 1 && subject.pods.some(({ values }) => values[0] !== 'retired'),
  )!;
  const edited: Policy = { ...policy, ingress: policy.ingress.slice(1) };
  const changed = update(shrunk, { policies: { set: [edited] } });
  const { isFresh, rowsBuilt } = workOf(changed)!;
  assert.ok(!isFresh && rowsBuilt > 0 && rowsBuilt < work.rowsBuilt / 10, JSON.stringify(workOf(changed)));
  // Back again: even those rows are known.
  assert.deepEqual(workOf(update(changed, { policies: { set: [policy] } })), { isFresh: false, rowsBuilt: 0 });
});

test('what is kept of rows that are gone stays below a bound', () => {
  const snapshot = generateCluster({ pods: 100, seed: 5, shape: 'production' });
  const policies = generatePolicies({ snapshot, count: 100, seed: 5 });
  let program = update(compile(snapshot, policies), {});
  const sizes = [program.buffer.byteLength];
  for (let round = 0; round < 90; round++) {
    const policy = policies[round % policies.length]!;
    // A rule less, or none; then as it was.
    const ingress = policy.ingress.slice(0, round % 3);
    program = update(program, { policies: { set: [{ ...policy, ingress }] } });
    sizes.push(program.buffer.byteLength);
  }
  assert.ok(Math.max(...sizes) < 3 * sizes[0]!, `${Math.max(...sizes)} of ${sizes[0]} bytes`);
});

test('of one name, what is set replaces, what is removed goes, what is new comes last', () => {
  const snapshot = generateCluster({ pods: 6, seed: 1, shape: 'production' });
  const program = compile(snapshot, []);
  const [a, b, c, ...rest] = snapshot.pods as [Pod, Pod, Pod, ...Pod[]];
  const later: Pod = { ...b, phase: 'Failed' };
  const fresh: Pod = { ...c, name: 'fresh' };
  const { snapshot: changed } = applyChange(program, { pods: { removed: [a], set: [fresh, later] } });
  assert.deepEqual(changed.pods, [later, c, ...rest, fresh]);
  // Removed and set at once: it comes again, as a new one.
  assert.deepEqual(applyChange(program, { pods: { removed: [a], set: [a] } }).snapshot.pods, [b, c, ...rest, a]);
});

test('names are told apart by namespace and kind, and one name stands once', () => {
  const snapshot = generateCluster({ pods: 6, seed: 1, shape: 'production' });
  const [policy] = generatePolicies({ snapshot, count: 1, seed: 1 }) as [Policy];
  const named = (kind: Policy['kind'], namespace: string | undefined, priority: number): Policy => {
    const { namespace: _, ...rest } = policy;
    return { ...rest, ...(namespace === undefined ? {} : { namespace }), kind, name: 'same', priority };
  };
  const policies = [
    named('NetworkPolicy', 'a', 1),
    named('NetworkPolicy', 'b', 2),
    named('AdminNetworkPolicy', undefined, 3),
    named('ClusterNetworkPolicy', undefined, 4),
  ] as const;
  const program = compile(snapshot, policies);
  const prioritiesAfter = (change: Change['policies']): number[] =>
    applyChange(program, { policies: change! }).policies.map(({ priority }) => priority);
  assert.deepEqual(prioritiesAfter({ removed: [{ kind: 'NetworkPolicy', namespace: 'b', name: 'same' }] }), [1, 3, 4]);
  assert.deepEqual(prioritiesAfter({ removed: [{ kind: 'ClusterNetworkPolicy', name: 'same' }] }), [1, 2, 3]);
  assert.deepEqual(
    prioritiesAfter({ removed: [{ kind: 'NetworkPolicy', namespace: 'b', name: 'other' }] }),
    [1, 2, 3, 4],
  );
  assert.deepEqual(prioritiesAfter({ set: [named('AdminNetworkPolicy', undefined, 5)] }), [1, 2, 5, 4]);
  // An empty namespace is none.
  assert.deepEqual(prioritiesAfter({ set: [named('AdminNetworkPolicy', '', 6)] }), [1, 2, 6, 4]);
  // Said twice: the last one holds.
  assert.deepEqual(
    prioritiesAfter({ set: [named('NetworkPolicy', 'c', 7), named('NetworkPolicy', 'c', 8)] }),
    [1, 2, 3, 4, 8],
  );
  assert.equal(applyChange(program, {}).policies, program.source.policies);
  assert.equal(applyChange(program, {}).snapshot.pods, program.source.snapshot.pods);
  assert.equal(workOf(program), undefined);

  const [pod, ...others] = snapshot.pods as [Pod, ...Pod[]];
  const twice = compile({ ...snapshot, pods: [pod, ...others, pod] }, []);
  const podsAfter = (pods: Change['pods']): readonly Pod[] => applyChange(twice, { pods: pods! }).snapshot.pods;
  const later: Pod = { ...pod, phase: 'Failed' };
  assert.deepEqual(podsAfter({ set: [later] }), [later, ...others]);
  assert.deepEqual(podsAfter({ removed: [pod] }), others);
  const elsewhere: Pod = { ...pod, namespace: 'elsewhere' };
  assert.deepEqual(podsAfter({ set: [elsewhere] }), [pod, ...others, pod, elsewhere]);
});

function changeOf({ kind, first, second }: Step, program: Program, world: Case['world']): Change {
  const { snapshot, policies } = program.source;
  const pod = snapshot.pods[first % Math.max(1, snapshot.pods.length)];
  const peer = snapshot.pods[second % Math.max(1, snapshot.pods.length)];
  const policy = policies[first % Math.max(1, policies.length)];
  const original = world.policies[second % world.policies.length]!;
  switch (kind) {
    case 'remove-pod':
      return pod === undefined ? {} : { pods: { removed: [pod] } };
    case 'add-pod':
      return peer === undefined
        ? {}
        : { pods: { set: [{ ...peer, name: `new-${first}`, addresses: [other(first)] }] } };
    case 'relabel':
      return pod === undefined ? {} : { pods: { set: [{ ...pod, labels: peer!.labels }] } };
    case 'move':
      return pod === undefined ? {} : { pods: { set: [{ ...pod, addresses: [other(second)] }] } };
    case 'swap':
      return pod === undefined || pod === peer
        ? {}
        : {
            pods: {
              set: [
                { ...pod, addresses: peer!.addresses },
                { ...peer!, addresses: pod.addresses },
              ],
            },
          };
    case 'end':
      return pod === undefined ? {} : { pods: { set: [{ ...pod, phase: 'Succeeded' }] } };
    case 'remove-policy':
      return policy === undefined ? {} : { policies: { removed: [policy] } };
    case 'add-policy':
      return { policies: { set: [{ ...original, name: `new-${first % 3}` }] } };
    case 'edit-policy':
      return policy === undefined
        ? {}
        : { policies: { set: [{ ...policy, ingress: policy.egress, egress: policy.ingress.slice(1) }] } };
  }
}

/** What a Program says of a flow, in both ways. */
function answer(program: Program, flow: Flow): unknown {
  try {
    return [judge(program, flow), explain(program, flow)];
  } catch (error) {
    if (error instanceof UnknownName) return error.message;
    throw error;
  }
}

function other(number: number): AddressText {
  return `10.0.77.${number}` as AddressText;
}
