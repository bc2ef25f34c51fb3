/** Law: engine = oracle. Both judge the same flows in the same random worlds, and must agree on verdict, reasons and missing facts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Case, arbitraryCase } from '../../src/fuzz/arbitrary-flow.ts';
import type { WorldOptions } from '../../src/fuzz/arbitrary-world.ts';
import type { Evaluator } from '../../src/model/evaluator.ts';
import { MISSING_FACTS, REASONS } from '../../src/model/verdict.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { candidates } from '../semantics/evaluators.ts';
import { Reached, ask, describeOutcome } from './outcome.ts';
import { REACHES } from './reach.ts';
import { runs, seed } from './seed.ts';

/** Fewer than this many of something is luck, not a law. */
const LEAST = 5;

const laws: readonly { name: string; options: WorldOptions; reaches: readonly string[] }[] = [
  {
    name: 'NetworkPolicy in the default dialect',
    options: { tiers: 'networkpolicy', dialect: 'default' },
    reaches: REACHES.networkPolicy,
  },
  { name: 'all tiers in any dialect', options: { tiers: 'all', dialect: 'any' }, reaches: REACHES.tiers },
];

for (const { name, evaluator, skip } of candidates.slice(1))
  for (const law of laws)
    test(`${name} = oracle: ${law.name} (seed ${seed})`, { skip }, (context) => {
      const reached = new Reached();
      const property = fc.property(arbitraryCase(law.options, 40), (item) => compare(evaluator, item, reached));
      fc.assert(property, { seed, numRuns: runs(900) });
      context.diagnostic(String(reached));
      assert.ok(reached.share('allow') >= 0.1, `allow is rare: ${reached.share('allow')}`);
      assert.ok(reached.share('deny') >= 0.1, `deny is rare: ${reached.share('deny')}`);
      const missed = law.reaches.filter((what) => (reached.counts.get(what) ?? 0) < LEAST);
      assert.deepEqual(missed, [], `the law held and met these fewer than ${LEAST} times`);
    });

test('together the laws reach every reason, and every fact that one flow can lack', () => {
  const all = new Set<string>(Object.values(REACHES).flat());
  const sides = REASONS.filter(({ name }) => !all.has(`egress ${name}`) || !all.has(`ingress ${name}`));
  assert.deepEqual(
    sides.map(({ name }) => name),
    [],
  );
  const ofRecords = ['unknown-label', 'translated-address'];
  assert.deepEqual(
    MISSING_FACTS.map(({ name }) => name).filter((name) => !all.has(name)),
    ofRecords,
  );
});

function compare(evaluator: Evaluator, { world, flows }: Case, reached: Reached): void {
  const specified = oracle.load(world);
  const session = evaluator.load(world);
  for (const flow of flows) {
    const expected = ask(specified, flow);
    reached.add(expected);
    assert.equal(describeOutcome(ask(session, flow)), describeOutcome(expected), JSON.stringify(flow));
  }
}
