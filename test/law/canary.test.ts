/**
 * Every canary is caught: by the law engine = oracle (a random world in which its verdict differs from the oracle's) and by the
 * scenarios (a packet whose verdict is not the one expected). For single flows verdicts alone count, a wrong reason is not enough;
 * of a tracked packet the reason is the state, and counts.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { arbitraryCase } from '../../src/fuzz/arbitrary-flow.ts';
import { arbitraryPacketCase } from '../../src/fuzz/arbitrary-packet.ts';
import { loadScenarioWorld } from '../../src/manifest/scenario-world.ts';
import { type Evaluator, type Session, UnknownName, type World } from '../../src/model/evaluator.ts';
import type { Flow, Packet } from '../../src/model/flow.ts';
import type { Reason, Verdict } from '../../src/model/verdict.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { readScenarioFiles } from '../semantics/scenario-file.ts';
import { canaries } from './canary.ts';
import { runs, seed } from './seed.ts';

interface Answer {
  readonly verdict: Verdict | 'unknown-name';
  /** Of a tracked packet; undefined: not asked for. */
  readonly reason?: Reason | undefined;
}

interface Question {
  readonly name: string;
  readonly world: World;
  /** Asked of the session that is right, or written in a scenario. */
  readonly expected: readonly Answer[];
  readonly ask: (session: Session) => readonly Answer[];
}

const OPTIONS = { tiers: 'networkpolicy', dialect: 'default' } as const;

describe('canaries', () => {
  const scenarios = readScenarios();
  // Not kept for longer than they are asked: they are tens of megabytes.
  let laws: Readonly<Record<'flows' | 'packets', Question[]>>;
  before(() => {
    laws = { flows: sampleFlows(), packets: samplePackets() };
  });
  after(() => {
    laws = { flows: [], packets: [] };
  });

  it(`all ${canaries.length} of them are caught by the laws and by the scenarios (seed ${seed})`, (context) => {
    assert.ok(canaries.length >= 25);
    const alive: string[] = [];
    for (const { evaluator, shows } of canaries) {
      const byLaw = catches(evaluator, laws[shows]);
      const byScenario = catches(evaluator, scenarios);
      context.diagnostic(`${evaluator.name}: ${byLaw ?? 'NO LAW'}; ${byScenario ?? 'NO SCENARIO'}`);
      if (byLaw === undefined) alive.push(`no law catches "${evaluator.name}"`);
      if (byScenario === undefined) alive.push(`no scenario catches "${evaluator.name}"`);
    }
    assert.deepEqual(alive, []);
  });

  it('the oracle itself is caught by nothing', () => {
    assert.equal(catches(oracle, [...laws.flows, ...laws.packets, ...scenarios]), undefined);
  });
});

/** The first question that it answers wrongly. */
function catches(evaluator: Evaluator, questions: readonly Question[]): string | undefined {
  return questions.find(({ world, expected, ask }) => {
    const found = ask(evaluator.load(world));
    return found.some(({ verdict, reason }, index) => {
      const right = expected[index]!;
      return verdict !== right.verdict || (right.reason !== undefined && reason !== right.reason);
    });
  })?.name;
}

function readScenarios(): Question[] {
  return readScenarioFiles().flatMap(({ name, reading: { scenario } }): Question[] => {
    if (scenario === undefined || scenario.packets.length === 0) return [];
    const { world } = loadScenarioWorld(scenario, name);
    const { packets, isTracked } = scenario;
    const expected = scenario.expected.map(({ verdict, egress }) => ({
      verdict,
      ...(isTracked && { reason: egress }),
    }));
    const ask = (session: Session): Question['expected'] => {
      if (!isTracked) return packets.map((packet) => judge(session, packet));
      // A canary of single flows has no tracker to be wrong with.
      return session.judgePackets === undefined ? expected : judgeAll(session, packets);
    };
    return [{ name, world, expected, ask }];
  });
}

function sampleFlows(): Question[] {
  return fc.sample(arbitraryCase(OPTIONS, 40), { seed, numRuns: runs(1500) }).map(({ world, flows }, index) => {
    const ask = (session: Session): Question['expected'] => flows.map((flow) => judge(session, flow));
    return { name: `world ${index}`, world, expected: ask(oracle.load(world)), ask };
  });
}

function samplePackets(): Question[] {
  return fc.sample(arbitraryPacketCase(OPTIONS, 30), { seed, numRuns: runs(400) }).map(({ world, packets }, index) => {
    const ask = (session: Session): Question['expected'] => judgeAll(session, packets);
    return { name: `stream ${index}`, world, expected: ask(oracle.load(world)), ask };
  });
}

function judgeAll(session: Session, packets: readonly Packet[]): Answer[] {
  return session.judgePackets!(packets).map(({ verdict, egress }) => ({ verdict, reason: egress }));
}

function judge(session: Session, flow: Flow): Answer {
  try {
    return { verdict: session.judge(flow).verdict };
  } catch (error) {
    if (error instanceof UnknownName) return { verdict: 'unknown-name' };
    throw error;
  }
}
