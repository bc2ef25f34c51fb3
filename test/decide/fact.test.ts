/** What is known of an endpoint: every field, as explanations show it and as selectors, blocks and port names ask for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Program } from '../../src/compile/program.ts';
import { addressText, endpointWithoutAddress, type Facts, factsOfEndpoint } from '../../src/decide/fact.ts';
import { explain } from '../../src/decide/explain.ts';
import { judge } from '../../src/decide/judge.ts';
import { endpointOfAddress, placePod, podsNamed, resolvePairs } from '../../src/decide/resolve.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Namespace, Node, Pod } from '../../src/model/cluster.ts';
import { UnknownName } from '../../src/model/evaluator.ts';
import type { EndpointRef, Flow } from '../../src/model/flow.ts';
import { NAMESPACE_NAME_LABEL } from '../../src/model/label.ts';
import { REASONS, VERDICT_NAMES } from '../../src/model/verdict.ts';
import { admit, flowTo, FRONTEND, ONE, peerOf, pod, program, ruleOf } from './world.ts';

const at = (text: string): AddressText => text as AddressText;
const NODE: Node = {
  name: 'n1',
  labels: new Map([['zone', 'a']]),
  addresses: [at('192.168.0.1')],
  podCidrs: ['10.1.0.0/16' as Cidr],
};
const NAMESPACES: readonly Namespace[] = [
  {
    name: 'app',
    labels: new Map([
      [NAMESPACE_NAME_LABEL, 'app'],
      ['team', 'a'],
    ]),
  },
  { name: 'app', labels: new Map([['team', 'b']]) },
];
const DUAL: Pod = {
  ...pod('dual', '10.0.0.7', { role: 'dual' }, { name: 'http', port: 80, protocol: 'TCP' }),
  addresses: [at('10.0.0.7'), at('fd00::7')],
  node: 'n1',
};
const HOST: Pod = { ...pod('host', '192.168.0.2', { role: 'host' }), hostNetwork: true, node: 'n2' };
const PENDING_HOST: Pod = { ...HOST, name: 'pending', addresses: [], phase: 'Pending', node: 'n3' };
const LOST: Pod = { ...pod('lost', '10.0.0.8', {}), namespace: 'b', addresses: [] };
/** Made for each test anew, so that each is asked about what makes it. */
const compile = (): Program =>
  program([], {
    namespaces: NAMESPACES,
    nodes: [NODE],
    pods: [FRONTEND, PENDING_HOST, HOST, DUAL, LOST],
  });

const factsIn = (compiled: Program, address: string): Facts =>
  factsOfEndpoint(compiled, endpointOfAddress(compiled, at(address)), at(address));

const NOTHING = {
  labels: new Map(),
  namespaceLabels: new Map(),
  areLabelsComplete: true,
  areNamespaceLabelsComplete: true,
  ports: [],
};

test('a pod: its labels, those of its namespace, its ports and the address that is meant', () => {
  const compiled = compile();
  const shared = {
    namespace: 'app',
    labels: DUAL.labels,
    namespaceLabels: NAMESPACES[0]!.labels,
    areLabelsComplete: true,
  };
  for (const address of DUAL.addresses) {
    const endpoint = endpointOfAddress(compiled, address);
    const expected = {
      ...shared,
      kind: 'pod',
      endpoint,
      areNamespaceLabelsComplete: true,
      ports: DUAL.ports,
      address,
      resolved: { ...shared, kind: 'pod', name: 'dual', workload: DUAL.workload, address, node: 'n1' },
    };
    assert.deepEqual(factsOfEndpoint(compiled, endpoint, address), expected);
    assert.deepEqual(factsOfEndpoint(compiled, endpoint, undefined), expected, 'an endpoint of a pod is one address');
  }
  assert.equal('node' in factsIn(compiled, '10.0.0.9').resolved, false);
});

test('a pod of which no address is known, in a namespace that the input does not hold', () => {
  const compiled = compile();
  const [index] = podsNamed(compiled, { kind: 'name', namespace: 'b', name: 'lost' });
  const { endpoint, address } = placePod(compiled, index!, 4);
  const facts = factsOfEndpoint(compiled, endpoint, address);
  assert.deepEqual([address, 'address' in facts, 'address' in facts.resolved], [undefined, false, false]);
  assert.deepEqual(facts.namespaceLabels, new Map([[NAMESPACE_NAME_LABEL, 'b']]));
  assert.equal(facts.resolved.namespaceLabels, facts.namespaceLabels);
});

test('a node by its Node, by a hostNetwork pod, and one of which no address is known', () => {
  const compiled = compile();
  assert.deepEqual(factsIn(compiled, '192.168.0.1'), {
    ...NOTHING,
    kind: 'node',
    endpoint: endpointOfAddress(compiled, at('192.168.0.1')),
    address: '192.168.0.1',
    nodeLabels: NODE.labels,
    resolved: { kind: 'node', name: 'n1', address: '192.168.0.1', areLabelsComplete: true },
  });
  assert.deepEqual(factsIn(compiled, '192.168.0.2'), {
    ...NOTHING,
    kind: 'node',
    endpoint: endpointOfAddress(compiled, at('192.168.0.2')),
    address: '192.168.0.2',
    resolved: { kind: 'node', name: 'n2', address: '192.168.0.2', areLabelsComplete: true },
  });
  // A pending pod has no address either, and its node is not the one that is meant.
  const endpoint = endpointWithoutAddress(compiled, 'node');
  assert.deepEqual(factsOfEndpoint(compiled, endpoint, undefined), {
    ...NOTHING,
    kind: 'node',
    endpoint,
    resolved: { kind: 'node', areLabelsComplete: true },
  });
});

test('what is outside, a Service’s address, and a pod that the input does not hold', () => {
  const compiled = compile();
  for (const address of ['203.0.113.7', '10.96.0.10'])
    assert.deepEqual(factsIn(compiled, address), {
      ...NOTHING,
      kind: 'outside',
      endpoint: endpointOfAddress(compiled, at(address)),
      address,
      resolved: { kind: 'outside', address, areLabelsComplete: true },
    });
  const endpoint = endpointWithoutAddress(compiled, 'outside');
  assert.deepEqual(factsOfEndpoint(compiled, endpoint, undefined), {
    ...NOTHING,
    kind: 'outside',
    endpoint,
    resolved: { kind: 'outside', areLabelsComplete: true },
  });
  assert.deepEqual(factsIn(compiled, '10.1.2.3'), {
    ...NOTHING,
    kind: 'unknown-pod',
    endpoint: endpointOfAddress(compiled, at('10.1.2.3')),
    areLabelsComplete: false,
    areNamespaceLabelsComplete: false,
    ports: undefined,
    address: '10.1.2.3',
    resolved: { kind: 'unknown-pod', address: '10.1.2.3', areLabelsComplete: false },
  });
});

test('addresses of a batch as text', () => {
  const words = [0, 0, 0, 0, 0xfd000000, 0, 0, 7];
  assert.equal(addressText(4, 0x0a000007, words), '10.0.0.7');
  assert.equal(addressText(6, 1, words), 'fd00::7');
  assert.equal(addressText(6, 0, words), '::');
  assert.equal(addressText(0, 1, words), undefined);
});

test('the address that a pod of two families is asked at is that of the flow, else its first', () => {
  const compiled = compile();
  const dual: EndpointRef = { kind: 'name', namespace: 'app', name: 'dual' };
  const ends = (src: EndpointRef, dst: EndpointRef): unknown =>
    resolvePairs(compiled, { src, dst, protocol: 6 }).map((pair) => [
      pair.sourceAddress,
      pair.destinationAddress,
      pair.family,
    ]);
  const to = (address: string): EndpointRef => ({ kind: 'address', address: at(address) });
  assert.deepEqual(ends(dual, to('203.0.113.7')), [['10.0.0.7', '203.0.113.7', 4]]);
  assert.deepEqual(ends(dual, to('2001:db8::1')), [['fd00::7', '2001:db8::1', 6]]);
  assert.deepEqual(ends(to('2001:db8::1'), dual), [['2001:db8::1', 'fd00::7', 6]]);
  assert.deepEqual(ends(dual, dual), [['10.0.0.7', '10.0.0.7', 4]]);
  assert.deepEqual(ends(dual, { kind: 'name', namespace: 'app', name: 'frontend' }), [['10.0.0.7', '10.0.0.9', 4]]);
  assert.deepEqual(ends({ kind: 'name', namespace: 'b', name: 'lost' }, dual), [[undefined, '10.0.0.7', undefined]]);
});

test('EP-02, EP-09: names stand for live pods, pods before owners; who has terminated is said to have', () => {
  const owned = (name: string, kind: string, owner: string, part: Partial<Pod> = {}): Pod => ({
    ...pod(name, '10.0.0.20', {}),
    workload: { kind, namespace: 'app', name: owner },
    ...part,
  });
  const named = program([], {
    pods: [
      owned('web-1', 'Deployment', 'web'),
      owned('web-2', 'Deployment', 'web'),
      owned('db-0', 'StatefulSet', 'db', { isStandIn: true }),
      owned('agent', 'DaemonSet', 'agent', { isStandIn: true }),
      owned('both', 'Deployment', 'web'),
      owned('x', 'Deployment', 'both'),
      owned('over-1', 'Job', 'over', { phase: 'Succeeded' }),
      owned('failed', 'Pod', 'failed', { phase: 'Failed' }),
      owned('half-1', 'Job', 'half', { phase: 'Failed' }),
      owned('half-2', 'Job', 'half'),
      owned('web-1', 'Pod', 'web-1'),
    ],
  });
  const ask = (name: string, workloadKind?: string): unknown => {
    try {
      return podsNamed(
        named,
        workloadKind === undefined
          ? { kind: 'name', namespace: 'app', name }
          : { kind: 'workload', namespace: 'app', workloadKind, name },
      );
    } catch (error) {
      assert.ok(error instanceof UnknownName);
      return [error.message, error.end?.kind];
    }
  };
  assert.deepEqual(ask('web'), [0, 1, 4]);
  assert.deepEqual(ask('web', 'deployment'), [0, 1, 4]);
  assert.deepEqual(ask('web', 'Deployment'), [0, 1, 4]);
  assert.deepEqual(ask('web', 'StatefulSet'), ['no pod or workload is called app/StatefulSet/web', 'workload']);
  assert.deepEqual(ask('web-1'), [0], 'of two pods with one name the first');
  assert.deepEqual(ask('web-1', 'Pod'), [0]);
  assert.deepEqual(ask('web-1', 'Deployment'), ['no pod or workload is called app/Deployment/web-1', 'workload']);
  assert.deepEqual(ask('both'), [4]);
  assert.deepEqual(ask('both', 'Deployment'), [5]);
  assert.deepEqual(ask('db-0'), [2], 'the ordinal of a StatefulSet');
  assert.deepEqual(ask('agent'), [3]);
  assert.deepEqual(ask('agent', 'Pod'), ['no pod or workload is called app/Pod/agent', 'workload']);
  for (const [name, kind] of [['over'], ['over', 'Job'], ['over-1'], ['over-1', 'Pod'], ['failed'], ['failed', 'Pod']])
    assert.deepEqual(ask(name!, kind), [
      `app/${kind === undefined ? '' : `${kind}/`}${name} has terminated`,
      undefined,
    ]);
  assert.deepEqual(ask('half'), [9]);
  assert.deepEqual(ask('half-1'), ['app/half-1 has terminated', undefined]);
  assert.deepEqual(ask('nobody'), ['no pod or workload is called app/nobody', 'name']);
});

test('a Service is no source, and one that is not there is nobody; the end that is unknown is told', () => {
  const compiled = compile();
  const service = { kind: 'service', namespace: 'app', name: 'backend' } as const;
  for (const ask of [judge, explain]) {
    assert.throws(
      () => ask(compiled, { src: service, dst: ONE, protocol: 6 }),
      (error) =>
        error instanceof UnknownName &&
        error.message.startsWith('backend.app has the form of a Service') &&
        error.message.endsWith('app/backend') &&
        error.end === undefined,
    );
    for (const part of [{ name: 'other' }, { namespace: 'b' }]) {
      const end = { ...service, ...part };
      const { name, namespace } = end;
      assert.throws(
        () => ask(compiled, flowTo(end, 80)),
        (error) =>
          error instanceof UnknownName &&
          error.message === `no Service is called ${name} in namespace ${namespace}` &&
          error.end === end,
      );
    }
  }
});

test('DI-03, DI-04: a pod and its own node, as the dialect has it; never another node, nor a node of which nothing says whose it is', () => {
  const pods = [{ ...FRONTEND, node: 'n1' }, { ...DUAL, node: 'n2' }, PENDING_HOST, pod('loose', '10.0.0.30', {})];
  const nodes = [NODE, { ...NODE, name: 'n2', addresses: [at('192.168.0.2')], podCidrs: [] }];
  const closed = { ...admit({}), isolates: ['ingress', 'egress'] } as const;
  const node: EndpointRef = { kind: 'address', address: at('192.168.0.1') };
  const name = (own: string): EndpointRef => ({ kind: 'name', namespace: 'app', name: own });
  const ask = (flow: Pick<Flow, 'src' | 'dst'>, dialect: Parameters<typeof program>[2]): unknown => {
    const asked = program([closed], { pods, nodes }, dialect);
    const { verdict, egress, ingress } = judge(asked, { ...flow, protocol: 6, port: 80 });
    const explained = explain(asked, { ...flow, protocol: 6, port: 80 });
    assert.deepEqual(
      [explained.verdict, explained.egress.reason, explained.ingress.reason],
      [verdict, egress, ingress],
    );
    return [VERDICT_NAMES[verdict], REASONS[egress]!.name, REASONS[ingress]!.name];
  };
  const both = { ownNodeIngress: 'allow', ownNodeEgress: 'allow' } as const;
  const neither = { ownNodeIngress: 'judge', ownNodeEgress: 'judge' } as const;
  const toPod = { src: node, dst: name('frontend') };
  const fromPod = { src: name('frontend'), dst: node };
  assert.deepEqual(ask(toPod, both), ['allow', 'not-subject', 'own-node']);
  assert.deepEqual(ask(fromPod, both), ['allow', 'own-node', 'not-subject']);
  assert.deepEqual(ask(toPod, neither), ['deny', 'not-subject', 'no-rule-matches']);
  assert.deepEqual(ask(fromPod, neither), ['deny', 'no-rule-matches', 'not-subject']);
  for (const other of ['dual', 'loose']) {
    assert.deepEqual(ask({ src: node, dst: name(other) }, both), ['deny', 'not-subject', 'no-rule-matches']);
    assert.deepEqual(ask({ src: name(other), dst: node }, both), ['deny', 'no-rule-matches', 'not-subject']);
  }
  assert.deepEqual(ask({ src: name('pending'), dst: name('frontend') }, both), [
    'deny',
    'not-subject',
    'no-rule-matches',
  ]);
});

test('an explanation is whole: both ends, each side’s policies with every rule, what decided and what came nearest', () => {
  const open = ruleOf({ index: 1 });
  const wrong = ruleOf({ peers: [peerOf({ role: 'x' })] });
  const into = { ...admit({ role: 'dual' }, wrong, open), name: 'into' };
  const other = { ...admit({ role: 'other' }, open), name: 'other' };
  const out = {
    ...admit({ role: 'frontend' }, ruleOf({})),
    name: 'out',
    isolates: ['egress'],
    ingress: [],
    egress: [wrong],
  } as const;
  const whole = program([other, into, out], { pods: [FRONTEND, DUAL], namespaces: NAMESPACES });
  const flow = flowTo({ kind: 'name', namespace: 'app', name: 'dual' }, 80);
  const { source, destination, egress, ingress, ...rest } = explain(whole, flow);
  assert.deepEqual(rest, { protocol: 6, port: 80, verdict: 0, missing: 0 });
  assert.deepEqual(
    [source.name, source.address, destination.name, destination.address],
    ['frontend', '10.0.0.9', 'dual', '10.0.0.7'],
  );
  const matched = { action: 'Accept', peersMatch: 'yes', portsMatch: 'yes', peers: [], ports: [], match: 'yes' };
  const missed = (who: string, value: string): object => ({
    ...matched,
    match: 'no',
    peersMatch: 'no',
    peers: [{ peer: peerOf({ role: 'x' }), match: 'no', why: `admits role=x; the ${who} is role=${value}` }],
  });
  const [first, second] = whole.source.policies.find(({ name }) => name === 'into')!.ingress;
  assert.deepEqual(ingress, {
    direction: 'ingress',
    subject: destination,
    peer: source,
    verdict: 2,
    reason: 2,
    missing: 0,
    policies: [
      {
        policy: into,
        selectsSubject: 'yes',
        rules: [
          { ...missed('source', 'frontend'), rule: first },
          { ...matched, rule: second },
        ],
      },
    ],
    decidedBy: { policy: into, rule: second },
    deciders: [{ policy: into, rule: second }],
  });
  assert.deepEqual(egress, {
    direction: 'egress',
    subject: source,
    peer: destination,
    verdict: 0,
    reason: 3,
    missing: 0,
    policies: [{ policy: out, selectsSubject: 'yes', rules: [{ ...missed('destination', 'dual'), rule: wrong }] }],
    nearest: {
      policy: out,
      rule: wrong,
      peersMatch: 'no',
      portsMatch: 'yes',
      why: 'admits role=x; the destination is role=dual',
    },
  });
});
