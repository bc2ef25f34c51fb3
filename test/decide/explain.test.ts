/**
 * Law: explain agrees with decide. The two share no evaluation: decide reads tables, explain walks the policies themselves.
 * Below it, the sentences that the report lives on.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import type { Program } from '../../src/compile/program.ts';
import { explain } from '../../src/decide/explain.ts';
import { judge } from '../../src/decide/judge.ts';
import { arbitraryCase, type Case } from '../../src/fuzz/arbitrary-flow.ts';
import type { WorldOptions } from '../../src/fuzz/arbitrary-world.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import { UnknownName } from '../../src/model/evaluator.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import type { Decision, Flow } from '../../src/model/flow.ts';
import type { Policy, Rule } from '../../src/model/policy.ts';
import { MissingFact, missingFactNames, REASONS, Verdict, VERDICT_NAMES } from '../../src/model/verdict.ts';
import { Reached } from '../law/outcome.ts';
import { runs, seed } from '../law/seed.ts';
import { admit, CLUSTER_ADDRESS, flowTo, ONE, peerOf, program, ruleOf, SERVICE } from './world.ts';

/** Alternatives that disagree have no reason of their own: explain shows the one that denies. */
const MIXED = MissingFact.SomePods | MissingFact.SomeBackends;

const laws: readonly { name: string; options: WorldOptions; reaches: readonly string[] }[] = [
  {
    name: 'NetworkPolicy in the default dialect',
    options: { tiers: 'networkpolicy', dialect: 'default' },
    reaches: [
      ...['not-subject', 'not-isolated', 'allowed-by-rule', 'no-rule-matches', 'same-pod', 'undecidable'].flatMap(
        (reason) => [`egress ${reason}`, `ingress ${reason}`],
      ),
      'ingress own-node',
      'some-pods',
      'unknown-pod',
      'no-address',
      'no-port',
      'no-backend',
    ],
  },
  {
    name: 'all tiers in any dialect',
    options: { tiers: 'all', dialect: 'any' },
    reaches: ['egress denied-by-rule', 'ingress denied-by-rule', 'egress own-node', 'domain-name'],
  },
];

for (const { name, options, reaches } of laws)
  test(`explain agrees with decide: ${name} (seed ${seed})`, () => {
    const reached = new Reached();
    fc.assert(
      fc.property(arbitraryCase(options, 30), (item) => compare(item, reached)),
      { seed, numRuns: runs(400) },
    );
    assert.ok(reached.share('allow') >= 0.1 && reached.share('deny') >= 0.1, String(reached));
    assert.deepEqual(
      reaches.filter((what) => !reached.counts.has(what)),
      [],
      `the law held without ever reaching these: ${reached}`,
    );
  });

test(`every explanation is whole: its own parts give its verdict (seed ${seed})`, () => {
  let decided = 0;
  fc.assert(
    fc.property(arbitraryCase({ tiers: 'all', dialect: 'any' }, 20), ({ world, flows }) => {
      const program = compile(world.snapshot, world.policies, world.dialect);
      for (const flow of flows) {
        const explanation = known(() => explain(program, flow));
        if (explanation === undefined) continue;
        for (const side of [explanation.egress, explanation.ingress]) {
          if (side.decidedBy === undefined) continue;
          decided++;
          const { policy, rule } = side.decidedBy;
          const shown = side.policies.find((item) => item.policy === policy)?.rules.find((item) => item.rule === rule);
          assert.equal(shown?.match, 'yes', 'the rule that decides matches for certain');
          assert.equal(rule.action, side.verdict === 2 ? 'Accept' : 'Deny');
        }
      }
    }),
    { seed, numRuns: runs(200) },
  );
  assert.ok(decided > 50, `only ${decided} sides were decided by a rule`);
});

function compare({ world, flows }: Case, reached: Reached): void {
  const program = compile(world.snapshot, world.policies, world.dialect);
  for (const flow of flows) {
    const decision = known(() => judge(program, flow));
    const explanation = known(() => explain(program, flow));
    if (decision === undefined || explanation === undefined) {
      assert.equal(explanation, decision, 'a name means nothing to both or to neither');
      continue;
    }
    reached.add(decision);
    assert.equal(describeExplanation(explanation), describeDecision(decision), describeCase(program, flow));
  }
}

function describeDecision({ verdict, egress, ingress, missing }: Decision): string {
  return describe(verdict, egress, ingress, missing);
}

function describeExplanation({ verdict, egress, ingress, missing }: Explanation): string {
  return describe(verdict, egress.reason, ingress.reason, missing);
}

function describe(verdict: number, egress: number, ingress: number, missing: number): string {
  const reasons = (missing & MIXED) === 0 ? [REASONS[egress]!.name, REASONS[ingress]!.name] : ['mixed'];
  return [VERDICT_NAMES[verdict], ...reasons, ...missingFactNames(missing)].join(' ');
}

function describeCase(program: Program, flow: Flow): string {
  const text = (_: string, value: unknown): unknown => (value instanceof Map ? Object.fromEntries(value) : value);
  return JSON.stringify({ flow, ...program.source }, text);
}

/** Undefined where a name means nothing. */
function known<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof UnknownName) return undefined;
    throw error;
  }
}

// Directed: what random worlds reach too rarely, and the sentences.

test('backends that disagree are undecidable, and explained one by one', () => {
  const compiled = program([admit({ role: 'one' })]);
  for (const destination of [CLUSTER_ADDRESS, { kind: 'service', namespace: 'app', name: 'backend' } as const]) {
    const flow = flowTo(destination, 80);
    const { verdict, missing } = judge(compiled, flow);
    assert.deepEqual([verdict, missingFactNames(missing)], [Verdict.Undecidable, ['some-backends']]);
    const explanation = explain(compiled, flow);
    assert.deepEqual([explanation.verdict, explanation.missing], [verdict, missing]);
    assert.deepEqual(
      explanation.via?.backends.map((backend) => [
        backend.destination.name,
        VERDICT_NAMES[backend.verdict],
        backend.port,
      ]),
      [
        ['one', 'deny', 8080],
        ['two', 'allow', 8080],
      ],
    );
  }
});

test('a backend outside of the cluster is explained by its address, as it is decided', () => {
  const block = (cidr: string): Policy => ({
    ...admit({ role: 'frontend' }),
    isolates: ['egress'],
    ingress: [],
    egress: [ruleOf({ peers: [{ kind: 'ipBlock', cidr: cidr as Cidr, except: [] }] })],
  });
  const services = [{ ...SERVICE, selector: undefined }];
  const endpointSlices = [
    {
      namespace: 'app',
      name: 'backend-1',
      service: 'backend',
      family: 4 as const,
      endpoints: [{ addresses: ['203.0.113.7' as AddressText] }],
      ports: [{ protocol: 'TCP' as const, port: 443 }],
    },
  ];
  for (const [cidr, verdict] of [
    ['203.0.113.0/29', Verdict.Allow],
    ['203.0.113.8/29', Verdict.Deny],
  ] as const) {
    const compiled = program([block(cidr)], { services, endpointSlices });
    assert.equal(judge(compiled, flowTo(CLUSTER_ADDRESS, 80)).verdict, verdict);
    const explanation = explain(compiled, flowTo(CLUSTER_ADDRESS, 80));
    assert.equal(explanation.verdict, verdict);
    assert.equal(explanation.destination.address, '203.0.113.7');
    if (verdict === Verdict.Deny)
      assert.equal(explanation.egress.nearest?.why, 'admits 203.0.113.8/29; the destination is 203.0.113.7');
  }
});

const misses: readonly {
  title: string;
  rules: readonly Rule[];
  flow?: Flow;
  why: string | undefined;
  rule?: number;
}[] = [
  {
    title: 'a label of another value',
    rules: [ruleOf({ peers: [peerOf({ role: 'web' })] })],
    why: 'admits role=web; the source is role=frontend',
  },
  {
    title: 'a label that is not there',
    rules: [ruleOf({ peers: [peerOf({ zone: 'a' })] })],
    why: 'admits zone=a; the source has no label zone',
  },
  {
    title: 'another namespace',
    rules: [ruleOf({ peers: [peerOf({}, 'shop')] })],
    why: 'admits pods of namespace shop; the source is in app',
  },
  {
    title: 'another port',
    rules: [ruleOf({ ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 90 }] })],
    why: 'admits TCP/80-90; the flow is TCP/8080',
  },
  {
    title: 'another protocol',
    rules: [ruleOf({ ports: [{ kind: 'range', protocol: 'UDP', first: 8080, last: 8080 }] })],
    why: 'admits UDP/8080; the flow is TCP/8080',
  },
  {
    title: 'a port name that means another number there',
    rules: [ruleOf({ ports: [{ kind: 'named', protocol: 'TCP', name: 'http' }] })],
    flow: flowTo(ONE, 81),
    why: 'admits TCP/http (8080 there); the flow is TCP/81',
  },
  {
    title: 'a port name that the destination does not have',
    rules: [ruleOf({ ports: [{ kind: 'named', protocol: 'TCP', name: 'metrics' }] })],
    why: 'admits TCP/metrics; the destination has no container port of that name',
  },
  {
    title: 'an address in an exception',
    rules: [ruleOf({ peers: [{ kind: 'ipBlock', cidr: '10.0.0.0/8' as Cidr, except: ['10.0.0.8/30' as Cidr] }] })],
    why: 'admits 10.0.0.0/8 except 10.0.0.8/30; the source is 10.0.0.9',
  },
  {
    title: 'peer and port, both',
    rules: [
      ruleOf({ peers: [peerOf({ role: 'web' })], ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 80 }] }),
    ],
    why: 'admits role=web; the source is role=frontend; admits TCP/80; the flow is TCP/8080',
  },
  {
    title: 'of two rules the nearer one',
    rules: [
      ruleOf({
        peers: [peerOf({ role: 'web' }, 'shop')],
        ports: [{ kind: 'range', protocol: 'TCP', first: 1, last: 1 }],
      }),
      ruleOf({ peers: [peerOf({ env: 'test', role: 'web' })] }),
    ],
    why: 'admits role=web; the source is role=frontend',
    rule: 1,
  },
  {
    title: 'of two rules that are equally near the first',
    rules: [ruleOf({ peers: [peerOf({ role: 'a' })] }), ruleOf({ peers: [peerOf({ role: 'b' })] })],
    why: 'admits role=a; the source is role=frontend',
  },
  {
    title: 'of a rule that shares nothing, nothing',
    rules: [
      ruleOf({
        peers: [{ kind: 'nodes', selector: [] }],
        ports: [{ kind: 'any', protocol: 'TCP' }],
      }),
      ruleOf({ peers: [{ kind: 'nodes', selector: [] }], ports: [{ kind: 'any', protocol: 'UDP' }] }),
    ],
    why: 'admits nodes; the source is none of them',
  },
  {
    title: 'a rule whose peer matches before one that misses both halves by little',
    rules: [
      ruleOf({
        peers: [{ kind: 'ipBlock', cidr: '10.0.0.0/8' as Cidr, except: ['10.0.0.8/30' as Cidr] }],
        ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 80 }],
      }),
      ruleOf({ peers: [peerOf({ role: 'frontend' })], ports: [{ kind: 'any', protocol: 'UDP' }] }),
    ],
    why: 'admits UDP; the flow is TCP/8080',
    rule: 1,
  },
  {
    title: 'a rule whose port matches before one that misses both halves by little',
    rules: [
      ruleOf({
        peers: [{ kind: 'ipBlock', cidr: '10.0.0.0/8' as Cidr, except: ['10.0.0.8/30' as Cidr] }],
        ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 80 }],
      }),
      ruleOf({ peers: [{ kind: 'nodes', selector: [] }], ports: [{ kind: 'any', protocol: 'TCP' }] }),
    ],
    why: 'admits nodes; the source is none of them',
    rule: 1,
  },
  {
    title: 'of rules with one peer that with the nearer port',
    rules: [
      ruleOf({ peers: [peerOf({ role: 'web' })], ports: [{ kind: 'any', protocol: 'UDP' }] }),
      ruleOf({ peers: [peerOf({ role: 'web' })], ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 80 }] }),
    ],
    why: 'admits role=web; the source is role=frontend; admits TCP/80; the flow is TCP/8080',
    rule: 1,
  },
  { title: 'nothing, where there is no rule', rules: [], why: undefined },
];

for (const { title, rules, flow = flowTo(ONE), why, rule = 0 } of misses)
  test(`a denial names its nearest miss: ${title}`, () => {
    const { ingress, verdict } = explain(program([admit({ role: 'one' }, ...rules)]), flow);
    assert.equal(verdict, Verdict.Deny);
    assert.equal(REASONS[ingress.reason]!.name, 'no-rule-matches');
    assert.equal(ingress.nearest?.why, why);
    if (why !== undefined) assert.equal(ingress.nearest?.rule.index, rule);
  });

test('what comes nearest would have admitted the flow: a rule that denies, passes, matches or governs the other direction is none', () => {
  const wrong = peerOf({ role: 'web' });
  const { namespace: _, ...cluster } = admit({});
  const tiered = (name: string, ...rules: readonly Rule[]): Policy => ({
    ...cluster,
    kind: 'ClusterNetworkPolicy',
    name,
    tier: 'admin',
    isolates: [],
    ingress: rules,
  });
  const away: Policy = { ...admit({ role: 'one' }, ruleOf({ peers: [wrong] })), name: 'away', isolates: ['egress'] };
  const refusing = tiered(
    'refusing',
    ruleOf({ action: 'Deny', peers: [wrong] }),
    ruleOf({ action: 'Pass', peers: [wrong] }),
  );
  const denied = (...policies: readonly Policy[]): string | undefined => {
    const { ingress, verdict } = explain(program([admit({ role: 'one' }), ...policies]), flowTo(ONE));
    assert.equal(verdict, Verdict.Deny);
    return ingress.nearest?.policy.name;
  };
  assert.equal(denied(refusing, away), undefined);
  assert.equal(denied(refusing, tiered('accepting', ruleOf({ peers: [wrong] }))), 'accepting');
  // A side that is allowed, or denied by a rule, needs none.
  const allowed = explain(program([admit({ role: 'one' }, ruleOf({}), ruleOf({ peers: [wrong] }))]), flowTo(ONE));
  assert.deepEqual([allowed.verdict, allowed.ingress.nearest], [Verdict.Allow, undefined]);
  const byRule = explain(
    program([tiered('deny', ruleOf({ action: 'Deny' })), admit({}, ruleOf({ peers: [wrong] }))]),
    flowTo(ONE),
  );
  assert.deepEqual([byRule.ingress.decidedBy?.policy.name, byRule.ingress.nearest], ['deny', undefined]);
});
