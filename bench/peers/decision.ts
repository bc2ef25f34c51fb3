/** Evaluators to hold decisions against: the naive one, and the project's own oracle (a row without a goal: it is written to be read). */
import { formatIpv4 } from '../../src/model/address.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import { Verdict } from '../../src/model/verdict.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { makeWorld, readFlows } from '../limit/decision.ts';
import { HASH_START, hashWords, type OpenJob } from '../limit/job.ts';
import { createEveryRule } from './every-rule.ts';
import { createNaive } from './naive.ts';

/** Objects in memory, rules walked and labels compared for each flow. */
export const openNaive: OpenJob = openEvaluator(createNaive);

/** The same without an early end. */
export const openEveryRule: OpenJob = openEvaluator(createEveryRule);

function openEvaluator(create: typeof createNaive): OpenJob {
  return (folder, { sample, values }) => {
    const world = makeWorld({ pods: values['pods']!, policies: values['policies']! });
    const { src, dst, protocol, dstPort, count: all } = readFlows(folder);
    const evaluate = create(world.snapshot, world.policies);
    const count = Math.min(sample, all);
    const out = new Uint8Array(count);
    return {
      count,
      run: () => {
        for (let row = 0; row < count; row++)
          out[row] = Number(evaluate(src[row]!, dst[row]!, protocol[row]!, dstPort[row]!));
      },
      first: () => hashWords(HASH_START, out, count),
    };
  };
}

/** The executable specification. */
export const openOracle: OpenJob = (folder, { sample, values }) => {
  const world = makeWorld({ pods: values['pods']!, policies: values['policies']! });
  const { src, dst, protocol, dstPort, count: all } = readFlows(folder);
  const session = oracle.load({ ...world, dialect: DEFAULT_DIALECT });
  const count = Math.min(sample, all);
  const out = new Uint8Array(count);
  return {
    count,
    run: () => {
      for (let row = 0; row < count; row++) {
        const { verdict } = session.judge({
          src: { kind: 'address', address: formatIpv4(src[row]!) },
          dst: { kind: 'address', address: formatIpv4(dst[row]!) },
          protocol: protocol[row]!,
          port: dstPort[row]!,
        });
        out[row] = Number(verdict === Verdict.Allow);
      }
    },
    first: () => hashWords(HASH_START, out, count),
  };
};
