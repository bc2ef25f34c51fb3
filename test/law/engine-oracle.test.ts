/** Law: engine = oracle. Both judge the same flows in the same random worlds, and must agree on verdict, reasons and missing facts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Case, arbitraryCase, type WorldOptions } from '../../src/fuzz/arbitrary.ts';
import type { Evaluator } from '../../src/model/evaluator.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { candidates } from '../semantics/evaluators.ts';
import { Reached, ask, describeOutcome } from './outcome.ts';
import { runs, seed } from './seed.ts';

/** Sides can give these for a single flow; the tracker's reasons have laws of their own. */
const REASONS_OF_POLICY = [
  'not-isolated',
  'allowed-by-rule',
  'no-rule-matches',
  'same-pod',
  'dialect-exempt',
  'undecidable',
];
const FACTS = [
  'unknown-pod',
  'no-address',
  'no-port',
  'no-protocol',
  'unresolved-named-port',
  'some-backends',
  'no-backend',
  'domain-name',
  'some-pods',
];
/** Fewer than this many of something is luck, not a law. */
const LEAST = 5;

const laws: readonly { name: string; options: WorldOptions; reaches: readonly string[] }[] = [
  {
    name: 'NetworkPolicy in the default dialect',
    options: { tiers: 'networkpolicy', dialect: 'default' },
    reaches: [
      ...REASONS_OF_POLICY.flatMap((name) => [`egress ${name}`, `ingress ${name}`]),
      'egress not-subject',
      'ingress own-node',
      ...FACTS,
    ],
  },
  {
    name: 'all tiers in any dialect',
    options: { tiers: 'all', dialect: 'any' },
    reaches: [...FACTS, 'egress denied-by-rule', 'ingress denied-by-rule', 'egress own-node', 'equal-priority'],
  },
];

for (const { name, evaluator, skip } of candidates.slice(1))
  for (const law of laws)
    test(`${name} = oracle: ${law.name} (seed ${seed})`, { skip }, (context) => {
      const reached = new Reached();
      const property = fc.property(arbitraryCase(law.options, 40), (item) => compare(evaluator!, item, reached));
      fc.assert(property, { seed, numRuns: runs(900) });
      context.diagnostic(String(reached));
      assert.ok(reached.share('allow') >= 0.1, `allow is rare: ${reached.share('allow')}`);
      assert.ok(reached.share('deny') >= 0.1, `deny is rare: ${reached.share('deny')}`);
      const missed = law.reaches.filter((what) => (reached.counts.get(what) ?? 0) < LEAST);
      assert.deepEqual(missed, [], `the law held and met these fewer than ${LEAST} times`);
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
