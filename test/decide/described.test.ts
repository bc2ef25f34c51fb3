/**
 * Pods that only a record describes: what it leaves out may be there. Law: an answer from part of what is true is the true answer,
 * or undecidable. Below it, which facts an answer wants, and when it can do without.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import type { Program } from '../../src/compile/program.ts';
import { explainFacts, explainSide } from '../../src/decide/explain.ts';
import { endpointWithoutAddress, type Facts, factsOfDescription, factsOfEndpoint } from '../../src/decide/fact.ts';
import { rulesOfExplanation } from '../../src/decide/hit.ts';
import { endpointOfAddress, placePod } from '../../src/decide/resolve.ts';
import { arbitraryWorld } from '../../src/fuzz/arbitrary-world.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { EndpointFact } from '../../src/model/flow.ts';
import { NAMESPACE_NAME_LABEL } from '../../src/model/label.ts';
import type { Action, Direction, Peer, Policy, Rule } from '../../src/model/policy.ts';
import { missingFactNames, REASONS, Verdict } from '../../src/model/verdict.ts';
import { runs, seed } from '../law/seed.ts';
import { admit, equals, FRONTEND, peerOf, POSITION, program, ruleOf } from './world.ts';

test(`less knowledge never turns an answer round (seed ${seed})`, () => {
  const reached = { allow: 0, deny: 0, undecidable: 0, lost: 0 };
  const cases = arbitraryWorld({ tiers: 'all', dialect: 'any' }).chain((world) =>
    fc.record({
      world: fc.constant(world),
      asked: fc.array(
        fc.record({
          source: fc.nat(),
          destination: fc.nat(),
          kept: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
          isNamespaceKnown: fc.boolean(),
          end: fc.constantFrom('source', 'destination'),
          port: fc.constantFrom(80, 81, 8080, 443),
        }),
        { minLength: 10, maxLength: 20, size: 'max' },
      ),
    }),
  );
  fc.assert(
    fc.property(cases, ({ world, asked }) => {
      const compiled = compile(world.snapshot, world.policies, world.dialect);
      const pods = world.snapshot.pods.flatMap((pod, at) => (pod.phase === 'Running' && !pod.hostNetwork ? [at] : []));
      if (pods.length < 2) return;
      for (const { source, destination, kept, isNamespaceKnown, end, port } of asked) {
        const [from, to] = [pods[source % pods.length]!, pods[destination % pods.length]!];
        if (from === to) continue;
        const flow = { protocol: 6, port, icmp: -1 };
        const [src, dst] = [factsOfPod(compiled, from), factsOfPod(compiled, to)];
        const truth = explainFacts(compiled, src, dst, flow).verdict;
        const pod = world.snapshot.pods[end === 'source' ? from : to]!;
        const labels = new Map([...pod.labels].filter((_, index) => kept[index]));
        const fact: EndpointFact = {
          kind: 'pod',
          labels,
          areLabelsComplete: labels.size === pod.labels.size && kept[7]!,
          ...(isNamespaceKnown && { namespace: pod.namespace }),
        };
        const described = factsOfDescription(compiled, fact, pod.addresses[0]);
        const answer =
          end === 'source'
            ? explainFacts(compiled, described, dst, flow)
            : explainFacts(compiled, src, described, flow);
        if (answer.verdict === Verdict.Undecidable) {
          reached.undecidable++;
          if (truth !== Verdict.Undecidable) reached.lost++;
          assert.notEqual(answer.missing, 0);
          continue;
        }
        assert.equal(answer.missing, 0);
        reached[answer.verdict === Verdict.Allow ? 'allow' : 'deny']++;
        // Two pods of which nobody knows the ports or addresses may be undecidable in truth too.
        if (truth !== Verdict.Undecidable) assert.equal(answer.verdict, truth, JSON.stringify({ from, to, end, fact }));
      }
    }),
    { seed, numRuns: runs(120) },
  );
  assert.ok(Math.min(reached.allow, reached.deny, reached.lost) >= 50, JSON.stringify(reached));
});

function factsOfPod(compiled: Program, pod: number): Facts {
  const { endpoint, address } = placePod(compiled, pod, undefined);
  return factsOfEndpoint(compiled, endpoint, address);
}

const SOMEBODY = '10.9.9.9' as AddressText;
/** A record's word: `role=web`, and perhaps more. */
const PARTLY: EndpointFact = {
  kind: 'pod',
  namespace: 'app',
  labels: new Map([['role', 'web']]),
  areLabelsComplete: false,
};
const FLOW = { protocol: 6, port: 80, icmp: -1 };
const OUTSIDER = '203.0.113.7' as AddressText;

interface Side {
  readonly reason: string;
  readonly missing: readonly string[];
  readonly decidedBy: string | undefined;
}

/** The ingress side of a flow from outside to a pod that a record describes. */
function ingressOf(compiled: Program, fact: EndpointFact = PARTLY): Side {
  const subject = factsOfDescription(compiled, fact, SOMEBODY);
  const peer = factsOfEndpoint(compiled, endpointOfAddress(compiled, OUTSIDER), OUTSIDER);
  const { reason, missing, decidedBy } = explainSide(compiled, 'ingress', subject, peer, subject, FLOW);
  return { reason: REASONS[reason]!.name, missing: missingFactNames(missing), decidedBy: decidedBy?.policy.name };
}

const side = (reason: string, ...missing: readonly string[]): Side => ({ reason, missing, decidedBy: undefined });
const OPEN = ruleOf({});
const MAYBE = ruleOf({ peers: [{ kind: 'domains', names: ['a.example'] }] });
const ELSEWHERE = ruleOf({ peers: [{ kind: 'ipBlock', cidr: '10.0.0.0/8' as Cidr, except: [] }] });
const surely = (...rules: readonly Rule[]): Policy => ({ ...admit({ role: 'web' }, ...rules), name: 'surely' });
const perhaps = (...rules: readonly Rule[]): Policy => ({ ...admit({ x: '1' }, ...rules), name: 'perhaps' });
const perhapsToo = (...rules: readonly Rule[]): Policy => ({ ...admit({ y: '1' }, ...rules), name: 'too' });
const never = (...rules: readonly Rule[]): Policy => ({ ...admit({ role: 'db' }, ...rules), name: 'never' });

const stages: readonly (readonly [title: string, policies: readonly Policy[], Side])[] = [
  ['no policy', [], side('not-isolated')],
  ['a policy that surely does not', [never()], side('not-isolated')],
  ['a policy that may isolate', [perhaps()], side('undecidable', 'unknown-label')],
  ['a policy that surely isolates', [surely()], side('no-rule-matches')],
  ['one surely, another perhaps, neither admits', [surely(), perhaps(ELSEWHERE)], side('no-rule-matches')],
  ['one surely, and who may admit only perhaps', [surely(), perhaps(OPEN)], side('undecidable', 'unknown-label')],
  [
    'one surely, and who may admit only perhaps, and only perhaps does',
    [surely(), perhaps(MAYBE)],
    side('undecidable', 'domain-name', 'unknown-label'),
  ],
  [
    'one surely that may admit; whether another selects that admits nobody is no matter',
    [surely(MAYBE), perhaps(ELSEWHERE)],
    side('undecidable', 'domain-name'),
  ],
  [
    'one surely admits, whatever the others do',
    [surely(OPEN), perhaps(), perhapsToo(MAYBE)],
    { ...side('allowed-by-rule'), decidedBy: 'surely' },
  ],
  ['KL-02 all that may isolate admit', [perhaps(OPEN), perhapsToo(OPEN)], side('not-isolated')],
  ['one of those that may isolate does not', [perhaps(OPEN), perhapsToo()], side('undecidable', 'unknown-label')],
  [
    'one of those that may isolate admits perhaps',
    [perhaps(OPEN), perhapsToo(MAYBE)],
    side('undecidable', 'domain-name', 'unknown-label'),
  ],
];

for (const [title, policies, answer] of stages)
  test(`a subject of which a record shows some labels: ${title}`, () => {
    assert.deepEqual(ingressOf(program(policies)), answer);
    assert.deepEqual(ingressOf(program([...policies].reverse())), answer, 'in any order');
  });

test('a record that shows every label leaves nothing open', () => {
  const complete = { ...PARTLY, areLabelsComplete: true };
  assert.deepEqual(ingressOf(program([perhaps()]), complete), side('not-isolated'));
  assert.deepEqual(ingressOf(program([surely(), perhaps(OPEN)]), complete), side('no-rule-matches'));
});

const EVERYWHERE = { namespaces: { kind: 'selected', selector: [] }, pods: [] } as const;

function tiered(
  name: string,
  tier: 'admin' | 'baseline',
  part: Partial<Policy>,
  ...actions: readonly Action[]
): Policy {
  const { namespace: _, ...rest } = admit({}, ...actions.map((action) => ruleOf({ action })));
  return { ...rest, kind: 'ClusterNetworkPolicy', name, tier, subject: EVERYWHERE, isolates: [], ...part };
}

const X: Partial<Policy> = { subject: { namespaces: { kind: 'selected', selector: [] }, pods: equals({ x: '1' }) } };

const tiers: readonly (readonly [title: string, policies: readonly Policy[], Side])[] = [
  ['may deny', [tiered('a', 'admin', X, 'Deny')], side('undecidable', 'unknown-label')],
  ['may accept what is allowed anyhow', [tiered('a', 'admin', X, 'Accept')], side('not-isolated')],
  [
    'may deny before one that surely does',
    [tiered('a', 'admin', X, 'Deny'), tiered('b', 'admin', { priority: 1 }, 'Deny')],
    { ...side('denied-by-rule'), decidedBy: 'b' },
  ],
  [
    'may pass by one that denies',
    [tiered('a', 'admin', X, 'Pass'), tiered('b', 'admin', { priority: 1 }, 'Deny')],
    side('undecidable', 'unknown-label'),
  ],
  [
    'surely passes by one that denies, and the baseline denies',
    [
      tiered('a', 'admin', {}, 'Pass', 'Deny'),
      tiered('b', 'admin', { priority: 1 }, 'Deny'),
      tiered('c', 'baseline', {}, 'Deny'),
    ],
    { ...side('denied-by-rule'), decidedBy: 'c' },
  ],
  [
    'surely passes by one that accepts, and a NetworkPolicy admits',
    [tiered('a', 'admin', {}, 'Pass'), tiered('b', 'admin', { priority: 1 }, 'Accept'), surely(OPEN)],
    { ...side('allowed-by-rule'), decidedBy: 'surely' },
  ],
];

for (const [title, policies, answer] of tiers)
  test(`a tier that ${title}`, () => {
    assert.deepEqual(ingressOf(program(policies)), answer);
  });

test('DI-09: per pod, a NetworkPolicy of the other direction ends the evaluation, where it surely selects', () => {
  const away = (policy: Policy): Policy => ({ ...policy, isolates: ['egress'] });
  const baseline = tiered('c', 'baseline', {}, 'Deny');
  const perPod = { networkPolicyScope: 'per-pod' } as const;
  assert.deepEqual(ingressOf(program([away(surely()), baseline], {}, perPod)), side('not-isolated'));
  assert.deepEqual(ingressOf(program([away(surely()), baseline])), { ...side('denied-by-rule'), decidedBy: 'c' });
  assert.deepEqual(ingressOf(program([away(never()), baseline], {}, perPod)), {
    ...side('denied-by-rule'),
    decidedBy: 'c',
  });
});

test('a baseline that denies: certain where no policy that may isolate admits, else a matter of the labels', () => {
  const denied = { ...side('denied-by-rule'), decidedBy: 'c' };
  const open = side('undecidable', 'unknown-label');
  const baseline = tiered('c', 'baseline', {}, 'Deny');
  assert.deepEqual(ingressOf(program([perhaps(), perhapsToo(ELSEWHERE), baseline])), denied);
  assert.deepEqual(ingressOf(program([perhaps(OPEN), baseline])), open);
  assert.deepEqual(ingressOf(program([perhaps(OPEN), perhapsToo(), baseline])), open);
  // DI-09: whether the policy selects the pod at all is what ends the evaluation.
  const perPod = { networkPolicyScope: 'per-pod' } as const;
  const away = (policy: Policy): Policy => ({ ...policy, isolates: ['egress'] });
  assert.deepEqual(ingressOf(program([away(perhaps()), baseline])), denied);
  assert.deepEqual(ingressOf(program([away(perhaps()), baseline], {}, perPod)), open);
  assert.deepEqual(ingressOf(program([away(surely()), perhaps(OPEN), baseline], {}, perPod)), side('not-isolated'));
  assert.deepEqual(ingressOf(program([away(surely()), perhaps(), baseline], {}, perPod)), open);
});

test('a record without a namespace may mean any: policies of every namespace are asked', () => {
  const { namespace: _, ...nowhere } = PARTLY;
  assert.deepEqual(ingressOf(program([surely()]), nowhere), side('undecidable', 'unknown-label'));
  assert.deepEqual(ingressOf(program([never()]), nowhere), side('not-isolated'));
  assert.deepEqual(
    ingressOf(program([{ ...surely(), name: 'x' }]), { ...PARTLY, namespace: 'b' }),
    side('not-isolated'),
  );
});

test('namespaces of a record: labels of the snapshot where it has the namespace, else what the record says', () => {
  const compiled = program([]);
  const known = factsOfDescription(compiled, PARTLY, SOMEBODY);
  assert.deepEqual(known, {
    kind: 'described',
    endpoint: -1,
    namespace: 'app',
    labels: PARTLY.labels,
    namespaceLabels: new Map([[NAMESPACE_NAME_LABEL, 'app']]),
    areLabelsComplete: false,
    areNamespaceLabelsComplete: true,
    ports: undefined,
    address: SOMEBODY,
    resolved: {
      kind: 'described',
      labels: PARTLY.labels,
      areLabelsComplete: false,
      namespace: 'app',
      address: SOMEBODY,
    },
  });
  const elsewhere = factsOfDescription(
    compiled,
    {
      kind: 'pod',
      namespace: 'b',
      namespaceLabels: new Map([['team', 'a']]),
      name: 'p',
      workload: 'w',
      areLabelsComplete: true,
    },
    undefined,
  );
  assert.deepEqual(elsewhere, {
    kind: 'described',
    endpoint: -1,
    namespace: 'b',
    labels: new Map(),
    namespaceLabels: new Map([
      ['team', 'a'],
      [NAMESPACE_NAME_LABEL, 'b'],
    ]),
    areLabelsComplete: true,
    areNamespaceLabelsComplete: false,
    ports: undefined,
    resolved: { kind: 'described', labels: new Map(), areLabelsComplete: true, namespace: 'b', name: 'p' },
  });
  const bare = factsOfDescription(compiled, { kind: 'pod', workload: 'w', areLabelsComplete: false }, undefined);
  assert.deepEqual(
    [bare.namespaceLabels, 'namespace' in bare, 'address' in bare, bare.areNamespaceLabelsComplete],
    [new Map(), false, false, false],
  );
  assert.deepEqual(bare.resolved, { kind: 'described', labels: new Map(), areLabelsComplete: false, name: 'w' });
});

test('EP-06: a pod that nobody knows is undecidable where a policy governs the direction, whichever', () => {
  const nodes = [{ name: 'n', labels: new Map(), addresses: [], podCidrs: ['10.9.9.0/24' as Cidr] }];
  const ask = (policies: readonly Policy[], direction: Direction): Side => {
    const compiled = program(policies, { nodes });
    const subject = factsOfEndpoint(compiled, endpointOfAddress(compiled, SOMEBODY), SOMEBODY);
    assert.equal(subject.kind, 'unknown-pod');
    const peer = factsOfEndpoint(compiled, endpointWithoutAddress(compiled, 'outside'), undefined);
    const { reason, missing, policies: shown } = explainSide(compiled, direction, subject, peer, peer, FLOW);
    if (REASONS[reason]!.name === 'not-isolated') assert.deepEqual(shown, []);
    else
      assert.deepEqual(
        shown.map(({ policy, selectsSubject }) => [policy.name, selectsSubject]),
        [['admit', 'unknown']],
      );
    return { reason: REASONS[reason]!.name, missing: missingFactNames(missing), decidedBy: undefined };
  };
  assert.deepEqual(ask([], 'ingress'), side('not-isolated'));
  assert.deepEqual(ask([admit({}, OPEN)], 'ingress'), side('undecidable', 'unknown-pod'));
  assert.deepEqual(ask([admit({}, OPEN)], 'egress'), side('not-isolated'));
});

test('rules that decide for a described pod: those that certainly admit; where all may isolate and all admit, none', () => {
  const ask = (policies: readonly Policy[]): readonly number[] => {
    const compiled = program(policies);
    const peer = factsOfEndpoint(compiled, endpointOfAddress(compiled, OUTSIDER), OUTSIDER);
    const explanation = explainFacts(compiled, peer, factsOfDescription(compiled, PARTLY, SOMEBODY), FLOW);
    return rulesOfExplanation(compiled, explanation).map(({ ordinal }) => ordinal);
  };
  assert.deepEqual(ask([perhaps(OPEN), perhapsToo(OPEN)]), []);
  assert.deepEqual(ask([perhaps(OPEN), surely(ELSEWHERE, OPEN, OPEN)]), [2, 3]);
  assert.deepEqual(ask([surely()]), []);
});

test('a described pod as a peer: what its labels leave open is missing, and named as the nearest', () => {
  const peer = (labels: Readonly<Record<string, string>>): Peer => peerOf(labels);
  const compiled = program([
    admit({ role: 'frontend' }, ruleOf({ peers: [peer({ role: 'db' })] }), ruleOf({ peers: [peer({ x: '1' })] })),
  ]);
  const subject = factsOfEndpoint(compiled, endpointOfAddress(compiled, FRONTEND.addresses[0]!), FRONTEND.addresses[0]);
  const described = factsOfDescription(compiled, PARTLY, SOMEBODY);
  const { ingress, egress, missing } = explainFacts(compiled, described, subject, FLOW);
  assert.deepEqual(missingFactNames(missing), ['unknown-label']);
  assert.equal(ingress.nearest?.why, 'admits x=1; the record does not show x');
  assert.equal(ingress.nearest.rule.index, 1);
  assert.deepEqual([ingress.peer.kind, egress.subject.kind, egress.reason], ['described', 'described', 1]);
  assert.deepEqual(POSITION, ingress.nearest.rule.position);
});

test('a rule that surely admits is not what is missing, where it is open whether its policy selects', () => {
  const compiled = program([perhaps(OPEN), perhapsToo(OPEN), admit({ z: '1' })]);
  const subject = factsOfDescription(compiled, PARTLY, SOMEBODY);
  const peer = factsOfEndpoint(compiled, endpointOfAddress(compiled, OUTSIDER), OUTSIDER);
  const { verdict, nearest } = explainSide(compiled, 'ingress', subject, peer, subject, FLOW);
  assert.deepEqual([verdict, nearest], [Verdict.Undecidable, undefined]);
});

test('DI-09: per pod and without any NetworkPolicy the baseline is asked', () => {
  const perPod = { networkPolicyScope: 'per-pod' } as const;
  assert.deepEqual(ingressOf(program([tiered('c', 'baseline', {}, 'Deny')], {}, perPod)), {
    ...side('denied-by-rule'),
    decidedBy: 'c',
  });
});
