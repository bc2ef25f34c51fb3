/** Law: the rules that a verdict class is counted under are those that explain shows, for every endpoint and port of the class. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { type Program, programFrom } from '../../src/compile/program.ts';
import { explain } from '../../src/decide/explain.ts';
import { addRulesOf, type RuleHit, rulesOf } from '../../src/decide/hit.ts';
import { endpointOfAddress } from '../../src/decide/resolve.ts';
import { arbitraryCase } from '../../src/fuzz/arbitrary-flow.ts';
import type { WorldOptions } from '../../src/fuzz/arbitrary-world.ts';
import type { Explanation, SideExplanation } from '../../src/model/explanation.ts';
import { Protocol } from '../../src/model/port.ts';
import { Reason } from '../../src/model/verdict.ts';
import { runs, seed } from '../law/seed.ts';
import { admit, BACKEND_ONE, FRONTEND, program as compileSmall, ruleOf } from './world.ts';

const laws: readonly { name: string; options: WorldOptions }[] = [
  { name: 'NetworkPolicy in the default dialect', options: { tiers: 'networkpolicy', dialect: 'default' } },
  { name: 'all tiers in any dialect', options: { tiers: 'all', dialect: 'any' } },
];

let translated = 0;

for (const { name, options } of laws)
  test(`rules that decide are those that explain shows: ${name} (seed ${seed})`, () => {
    const reached = { none: 0, one: 0, several: 0, denied: 0, translated: 0 };
    fc.assert(
      fc.property(arbitraryCase(options, 40), ({ world, flows }) => {
        const program = compile(world.snapshot, world.policies, world.dialect);
        // What compile has found out about rules stays behind: there they are matched one by one.
        const read = programFrom(program.buffer, program.source);
        for (const flow of flows) {
          if (flow.src.kind !== 'address' || flow.dst.kind !== 'address') continue;
          const source = endpointOfAddress(program, flow.src.address);
          const destination = endpointOfAddress(program, flow.dst.address);
          const rules = rulesOf(program, source, destination, flow.protocol, flow.port ?? -1, flow.icmp ?? -1);
          const explanation = explain(program, flow);
          assert.deepEqual(rules.map(formatHit).sort(), shown(program, explanation).sort(), JSON.stringify(flow));
          for (const same of [program, read]) {
            const added: RuleHit[] = [];
            addRulesOf(same, source, destination, flow.protocol, flow.port ?? -1, flow.icmp ?? -1, added);
            assert.deepEqual(added, rules, JSON.stringify(flow));
          }
          if (rules.length === 0) reached.none++;
          else if (rules.length === 1) reached.one++;
          else reached.several++;
          if (explanation.via !== undefined && rules.length > 0) reached.translated++;
          if (explanation.ingress.reason === Reason.DeniedByRule) reached.denied++;
          for (const hit of rules) {
            const rule = program.source.policies[hit.policy]![hit.direction][hit.rule]!;
            assert.equal(hit.position, rule.position);
          }
          // One rule is one object, so that it can be a key of counts.
          assert.deepEqual(
            rulesOf(program, source, destination, flow.protocol, flow.port ?? -1, flow.icmp ?? -1).map((hit) =>
              rules.indexOf(hit),
            ),
            rules.map((_, at) => at),
          );
        }
      }),
      { seed, numRuns: runs(200) },
    );
    const { none, one, several, denied } = reached;
    translated += reached.translated;
    assert.ok(Math.min(none, one, several) >= 10, JSON.stringify(reached));
    assert.ok(options.tiers === 'networkpolicy' || denied >= 10, JSON.stringify(reached));
  });

test('some of those flows went through a Service', () => {
  assert.ok(translated >= 2, `${translated}`);
});

test('TI-02: a rule of the admin tier that decides leaves those of later tiers uncounted', () => {
  const admin = { ...admit({}, ruleOf({})), kind: 'ClusterNetworkPolicy', tier: 'admin', isolates: [] } as const;
  const program = compileSmall([admit({}, ruleOf({})), admin, { ...admin, tier: 'baseline' }]);
  const [source, destination] = [FRONTEND, BACKEND_ONE].map(({ addresses }) =>
    endpointOfAddress(program, addresses[0]!),
  );
  const hits = rulesOf(program, source!, destination!, Protocol.Tcp, 80, -1);
  assert.deepEqual(
    hits.map(({ policy }) => program.source.policies[policy]!.tier),
    ['admin'],
  );
});

/** What an explanation shows, of every backend where there are some. */
function shown(program: Program, { egress, ingress, via }: Explanation): string[] {
  const sides = via === undefined ? [egress, ingress] : via.backends.flatMap((own) => [own.egress, own.ingress]);
  return [...new Set(sides.flatMap((side) => shownOnSide(program, side)))];
}

function shownOnSide(program: Program, { direction, reason, policies, decidedBy }: SideExplanation): string[] {
  if (decidedBy === undefined || (reason !== Reason.AllowedByRule && reason !== Reason.DeniedByRule)) return [];
  const list = policies.flatMap(({ policy, selectsSubject, rules }) =>
    rules
      .filter(({ rule, match }) =>
        decidedBy.policy.tier === 'networkpolicy'
          ? policy.tier === 'networkpolicy' && selectsSubject === 'yes' && match === 'yes'
          : policy === decidedBy.policy && rule === decidedBy.rule,
      )
      .map(({ rule }) => ({
        policy: program.source.policies.indexOf(policy),
        direction,
        rule: policy[direction].indexOf(rule),
        position: rule.position,
      })),
  );
  return list.map(formatHit);
}

function formatHit({ policy, direction, rule }: Pick<RuleHit, 'policy' | 'direction' | 'rule'>): string {
  return `${direction} ${policy}[${rule}]`;
}
