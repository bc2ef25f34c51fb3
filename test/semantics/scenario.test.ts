/** Every scenario file, over every evaluator: expected reasons, verdict and missing facts of each packet, or expected diagnostics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printExpectation, printPacket } from '../../src/manifest/scenario.ts';
import { loadScenarioWorld } from '../../src/manifest/scenario-world.ts';
import type { Session } from '../../src/model/evaluator.ts';
import type { Decision } from '../../src/model/flow.ts';
import type { Expectation, Scenario } from '../../src/model/scenario.ts';
import { candidates } from './evaluators.ts';
import { readScenarioFiles } from './scenario-file.ts';

const files = readScenarioFiles();

test('there are scenario files, and each can be read', () => {
  assert.ok(files.length >= 60, `found ${files.length}`);
  for (const { name, reading } of files) assert.deepEqual(reading.diagnostics, [], name);
});

test('manifests of a scenario are accepted, or refused with exactly the diagnostics that it lists', () => {
  for (const { name, reading } of files) {
    const { scenario } = reading;
    if (scenario === undefined) continue;
    const { diagnostics } = loadScenarioWorld(scenario, name);
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    const found = errors.map(({ line, code }) => `${line} ${code}`).sort();
    const said = errors.map(({ line, code, message, hint }) => `${line} ${code} ${message} ${hint ?? ''}`);
    assert.deepEqual(
      found,
      scenario.diagnostics.map(({ line, code }) => `${line} ${code}`).sort(),
      `${name}: ${said.join('\n')}`,
    );
    for (const { line, code, text } of scenario.diagnostics)
      assert.ok(
        said.some((words) => words.startsWith(`${line} ${code} `) && words.includes(text)),
        `${name}: no diagnostic of line ${line} says "${text}", but ${said.join('\n')}`,
      );
  }
});

for (const { name: evaluatorName, evaluator, skip } of candidates)
  test(`${evaluatorName} judges every packet of every scenario as expected`, { skip }, (context) => {
    const wrong: string[] = [];
    let packets = 0;
    let untracked = 0;
    for (const { name, reading } of files) {
      const { scenario } = reading;
      if (scenario === undefined || scenario.packets.length === 0) continue;
      const { world } = loadScenarioWorld(scenario, name);
      const decisions = decide(evaluator!.load(world), scenario);
      if (decisions === undefined) {
        untracked++;
        continue;
      }
      decisions.forEach((decision, index) => {
        packets++;
        const expected = scenario.expected[index]!;
        const packet = scenario.packets[index]!;
        const found = describe(decision, expected);
        if (found !== printExpectation(expected))
          wrong.push(`${name}: ${printPacket(packet, 0)}: expected ${printExpectation(expected)}, found ${found}`);
      });
    }
    context.diagnostic(
      `${packets} packets; ${untracked} tracked scenarios need a tracker, which this evaluator does not have`,
    );
    assert.deepEqual(wrong, []);
    assert.ok(packets > 200);
  });

/** Undefined: the scenario is one stream, and the evaluator keeps no state. */
function decide(session: Session, scenario: Scenario): readonly Decision[] | undefined {
  if (scenario.isTracked) return session.judgePackets?.(scenario.packets);
  return scenario.packets.map((packet) => session.judge(packet));
}

/** A decision in the words of an expectation, with what the expectation leaves open left open. */
function describe({ verdict, egress, ingress, missing }: Decision, expected: Expectation): string {
  return printExpectation({
    verdict,
    egress: expected.egress === undefined ? undefined : egress,
    ingress: expected.ingress === undefined ? undefined : ingress,
    ...(expected.missing !== undefined && { missing }),
  });
}
