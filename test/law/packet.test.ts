/** Law: engine = oracle, packet by packet. Both track the same random streams and must agree on every decision. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { arbitraryPacketCase } from '../../src/fuzz/arbitrary-packet.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { candidates } from '../semantics/evaluators.ts';
import { Reached, describeOutcome } from './outcome.ts';
import { REACHES } from './reach.ts';
import { runs, seed } from './seed.ts';

for (const { name, evaluator, skip } of candidates.slice(1))
  test(`${name} = oracle: packet streams (seed ${seed})`, { skip }, (context) => {
    const reached = new Reached();
    const property = fc.property(
      arbitraryPacketCase({ tiers: 'networkpolicy', dialect: 'default' }, 30),
      ({ world, packets }) => {
        const expected = oracle.load(world).judgePackets!(packets);
        const found = evaluator.load(world).judgePackets!(packets);
        expected.forEach((decision, index) => {
          reached.add(decision);
          assert.equal(describeOutcome(found[index]!), describeOutcome(decision), `packet ${index}`);
        });
      },
    );
    fc.assert(property, { seed, numRuns: runs(400) });
    context.diagnostic(String(reached));
    assert.ok(reached.share('allow') >= 0.1 && reached.share('deny') >= 0.1, String(reached));
    const missed = REACHES.packets.filter((what) => (reached.counts.get(what) ?? 0) < 10);
    assert.deepEqual(missed, [], 'the law held and hardly reached these');
  });
