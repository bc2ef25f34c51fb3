/**
 * Tables of more than one page: a hundred and fifty pods, each with a policy, a peer and a port of its own, so that rows, columns and
 * port classes all pass 64. What each pair is told is worked out here in one line, and decide, explain and the rules that are
 * counted must say the same.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../../src/compile/compile.ts';
import { Endpoint, Header, Layout } from '../../src/compile/layout.ts';
import type { Program } from '../../src/compile/program.ts';
import { decide, decideBatch, findEndpoints6 } from '../../src/decide/decide.ts';
import { explain } from '../../src/decide/explain.ts';
import { listRules, type RuleHit, rulesOf, rulesOfExplanation } from '../../src/decide/hit.ts';
import { judge } from '../../src/decide/judge.ts';
import { endpointOfAddress } from '../../src/decide/resolve.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { Pod } from '../../src/model/cluster.ts';
import { createBatch, createDictionary, type Flow } from '../../src/model/flow.ts';
import type { Policy } from '../../src/model/policy.ts';
import { decisionEgress, decisionIngress, decisionVerdict, Reason, Verdict } from '../../src/model/verdict.ts';
import { admit, flowTo, ONE, peerOf, pod, program, ruleOf, SERVICE } from './world.ts';

const COUNT = 150;
const COUNTED = Array.from({ length: COUNT }, (_, index) => index);
const callerOf = (index: number): number => (index * 7 + 3) % COUNT;
const calledBy = (index: number): number => (index * 11 + 5) % COUNT;
const portOf = (index: number): number => 1000 + index * 2;
const labelsOf = (index: number): Readonly<Record<string, string>> => ({ id: `p${index}` });

const PODS: readonly Pod[] = COUNTED.map((index) => ({
  ...pod(`p${index}`, `10.0.0.${index + 1}`, labelsOf(index)),
  addresses: [`10.0.0.${index + 1}`, `fd00::${(index + 1).toString(16)}`] as AddressText[],
}));

/** Pod i: of callerOf(i) it takes its own port alone; to calledBy(i) it may send whatever it likes, to nobody else anything. */
const POLICIES: readonly Policy[] = COUNTED.flatMap((index): Policy[] => {
  const port = { kind: 'range', protocol: 'TCP', first: portOf(index), last: portOf(index) } as const;
  const ingress = admit(labelsOf(index), ruleOf({ peers: [peerOf(labelsOf(callerOf(index)))], ports: [port] }));
  return [
    { ...ingress, name: `in-${index}` },
    {
      ...ingress,
      name: `out-${index}`,
      isolates: ['egress'],
      ingress: [],
      egress: [ruleOf({ peers: [peerOf(labelsOf(calledBy(index)))] })],
    },
  ];
});

interface Wide {
  readonly compiled: Program;
  /** [IPv4, IPv6][pods] */
  readonly endpoints: readonly (readonly number[])[];
  formatHit(hit: RuleHit): string;
}

/** Made for each test anew, so that each is asked about what makes it. */
function wide(): Wide {
  const compiled = program(POLICIES, { pods: PODS, services: [] });
  return {
    compiled,
    endpoints: ([4, 6] as const).map((family) =>
      PODS.map(({ addresses }) => endpointOfAddress(compiled, addresses[family === 4 ? 0 : 1]!)),
    ),
    formatHit: ({ policy, direction, rule }) => `${compiled.source.policies[policy]!.name} ${direction} ${rule}`,
  };
}

test('the tables have several pages each way', () => {
  const { compiled } = wide();
  const { header } = compiled;
  const pages = [Header.EgressPagesPerRow, Header.IngressPagesPerRow, Header.PagesPerVector].map((at) => header[at]!);
  assert.ok(
    pages.every((count) => count > 2),
    String(pages),
  );
});

test('classes of addresses that are large begin with a page, and waste no more than one each', () => {
  const everywhere6 = ruleOf({ peers: [{ kind: 'ipBlock', cidr: 'fd00::/16' as Cidr, except: [] }] });
  const ofBlock: Policy = { ...admit({ id: 'p0' }), name: 'block', isolates: ['egress'], egress: [everywhere6] };
  const compiled = program([...POLICIES, ofBlock], { pods: PODS, services: [] });
  const { header } = compiled;
  // 150 pods in either family: three pages each, and one for what is no pod.
  const pages = header[Header.EgressPagesPerRow]!;
  assert.ok(pages >= 6 && pages <= 8, `${pages} pages`);
  const columns = [0, 1].map((family) =>
    PODS.map(({ addresses }) => {
      const endpoint = endpointOfAddress(compiled, addresses[family]!);
      return compiled.endpoints[endpoint * Endpoint.Stride + Endpoint.EgressColumn]!;
    }).sort((a, b) => a - b),
  );
  for (const [first, ...others] of columns) {
    assert.equal(first! % Layout.PageSize, 0, 'a page of its own');
    others.forEach((column, at) => assert.equal(column, first! + at + 1, 'one after another'));
  }
});

test('each pair of pods is told what its two policies say, and by which rules', () => {
  const { compiled, endpoints, formatHit } = wide();
  let allowed = 0;
  for (const ofFamily of endpoints)
    for (const from of COUNTED)
      for (const to of COUNTED) {
        if (from === to) continue;
        const mayLeave = to === calledBy(from);
        for (const port of [portOf(to), portOf(to) + 1, portOf(from)]) {
          const mayEnter = from === callerOf(to) && port === portOf(to);
          const [source, destination] = [ofFamily[from]!, ofFamily[to]!];
          const decision = decide(compiled, source, destination, 6, port, -1);
          const found = [decisionVerdict(decision), decisionEgress(decision), decisionIngress(decision)];
          if (
            found[0] !== (mayLeave && mayEnter ? Verdict.Allow : Verdict.Deny) ||
            found[1] !== (mayLeave ? Reason.AllowedByRule : Reason.NoRuleMatches) ||
            found[2] !== (mayEnter ? Reason.AllowedByRule : Reason.NoRuleMatches)
          )
            assert.fail(`${from} > ${to}:${port} is ${found}`);
          if (mayLeave && mayEnter) allowed++;
          if (!mayLeave && !mayEnter) continue;
          assert.deepEqual(
            rulesOf(compiled, source, destination, 6, port, -1).map(formatHit),
            [...(mayLeave ? [`out-${from} egress 0`] : []), ...(mayEnter ? [`in-${to} ingress 0`] : [])],
            `${from} > ${to}:${port}`,
          );
        }
      }
  assert.ok(allowed > 0, 'some pair may talk');
  for (const from of COUNTED) {
    const to = (from * 13 + 1) % COUNT;
    if (from === to || to === calledBy(from) || from === callerOf(to)) continue;
    assert.deepEqual(rulesOf(compiled, endpoints[0]![from]!, endpoints[0]![to]!, 6, portOf(to), -1), []);
  }
});

test('explain walks to the same answer, and shows the rule', () => {
  const { compiled, formatHit } = wide();
  for (const to of COUNTED) {
    const from = callerOf(to);
    if (from === to) continue;
    const flow: Flow = {
      src: { kind: 'name', namespace: 'app', name: `p${from}` },
      dst: { kind: 'address', address: PODS[to]!.addresses[to % 2]! },
      protocol: 6,
      port: portOf(to),
    };
    const explanation = explain(compiled, flow);
    assert.equal(explanation.ingress.decidedBy?.policy.name, `in-${to}`);
    assert.equal(explanation.ingress.policies.length, 1, 'policies of other subjects are not walked');
    assert.equal(judge(compiled, flow).ingress, Reason.AllowedByRule);
    assert.ok(rulesOfExplanation(compiled, explanation).map(formatHit).includes(`in-${to} ingress 0`));
  }
});

test('every rule has one number: policies in order of evaluation, egress before ingress', () => {
  const { compiled, formatHit } = wide();
  const rules = listRules(compiled);
  assert.deepEqual(
    rules.map(({ ordinal }) => ordinal),
    rules.map((_, at) => at),
  );
  const expected = compiled.source.policies.flatMap(({ name, egress, ingress }) => [
    ...egress.map((_, at) => `${name} egress ${at}`),
    ...ingress.map((_, at) => `${name} ingress ${at}`),
  ]);
  assert.deepEqual(rules.map(formatHit), expected);
  const both = admit({}, ruleOf({}), ruleOf({}));
  const of = program([{ ...both, isolates: ['ingress', 'egress'], egress: [ruleOf({}), ruleOf({ index: 1 })] }]);
  assert.deepEqual(
    listRules(of).map(({ direction, rule }) => `${direction} ${rule}`),
    ['egress 0', 'egress 1', 'ingress 0', 'ingress 1'],
  );
});

test('a batch is decided as far as it is filled, and no further', () => {
  const { compiled, endpoints } = wide();
  const batch = createBatch(8);
  const { addresses } = createDictionary();
  const [from, to] = [10, calledBy(10)];
  for (let row = 0; row < 8; row++) {
    batch.family[row] = 4;
    batch.src[row] = 0x0a000001 + from;
    batch.dst[row] = 0x0a000001 + to;
    batch.protocol[row] = 6;
    batch.dstPort[row] = portOf(to);
  }
  batch.count = 3;
  const out = new Int32Array(8).fill(-7);
  decideBatch(compiled, batch, findEndpoints6(compiled, addresses, new Int32Array(0), 0), out);
  const one = decide(compiled, endpoints[0]![from]!, endpoints[0]![to]!, 6, portOf(to), -1);
  assert.deepEqual([...out], [one, one, one, -7, -7, -7, -7, -7]);
});

test('a table of IPv6 endpoints that is large enough is used again', () => {
  const { compiled, endpoints } = wide();
  const { addresses } = createDictionary();
  addresses.intern(0xfd000000, 0, 0, 1);
  const known = new Int32Array(1).fill(-7);
  assert.equal(findEndpoints6(compiled, addresses, known, 0), known);
  assert.equal(known[0], endpoints[1]![0]);
});

test('rules are counted where addresses are many: in fragments, and beyond the first of a run', () => {
  const addresses = Array.from({ length: 17_000 }, (_, at) => `11.${at >> 8}.${at & 255}.7` as AddressText);
  const nodes = [{ name: 'n', labels: new Map(), addresses, podCidrs: [] }];
  const blocks = [0, 16, 32, 48, 64]
    .map((octet) => `11.${octet}.0.0/12`)
    .map((cidr) => ruleOf({ peers: [{ kind: 'ipBlock', cidr: cidr as Cidr, except: [] }] }));
  const policy: Policy = { ...admit({ role: 'frontend' }), isolates: ['egress'], egress: blocks };
  const scattered = program([policy], { nodes });
  assert.equal(scattered.mid4.length, 0, 'in fragments');
  const source = endpointOfAddress(scattered, '10.0.0.9' as AddressText);
  for (const [at, address] of addresses.entries()) {
    if (at % 3 > 0) continue;
    const destination = endpointOfAddress(scattered, address);
    const hits = rulesOf(scattered, source, destination, 6, 80, -1).map(({ rule }) => rule);
    if (hits.length !== 1 || hits[0] !== at >> 12) assert.fail(`${address} ${hits}`);
  }
});

test('rules are counted where addresses are few, in either family: of nodes, of what is outside, of the first address of all', () => {
  const spread = COUNTED.map((index) => `${20 + (index % 3)}.${index % 50}.${(index * 7) % 256}.${(index * 13) % 256}`);
  const spread6 = COUNTED.map((index) => `fd00:${index + 1}::${index + 1}`);
  const addresses = [...spread, ...spread6] as AddressText[];
  const nodes = [{ name: 'n', labels: new Map(), addresses, podCidrs: ['fd01::/64' as Cidr, '30.0.0.0/24' as Cidr] }];
  const blocks = [
    '20.0.0.0/8',
    '21.0.0.0/8',
    '22.0.0.0/8',
    '0.0.0.0/8',
    '30.0.0.0/8',
    'fd00::/27',
    'fd00:20::/27',
    '::/16',
    '2001:db8::/33',
    'fd01::/16',
  ];
  const egress = blocks.map((cidr, index) =>
    ruleOf({ index, peers: [{ kind: 'ipBlock', cidr: cidr as Cidr, except: [] }] }),
  );
  const pods = [...PODS.slice(0, 3), pod('v4', '20.200.0.1', {}), pod('v6', 'fd00:ffff::1', {})];
  const of = program([{ ...admit({ id: 'p0' }), isolates: ['egress'], egress }], { nodes, pods });
  assert.ok(of.mid4.length > 0, 'in a trie');
  const source = endpointOfAddress(of, '10.0.0.1' as AddressText);
  const hitsOf = (address: string): readonly number[] =>
    rulesOf(of, source, endpointOfAddress(of, address as AddressText), 6, 80, -1).map(({ rule }) => rule);
  for (const [index, address] of spread.entries()) assert.deepEqual(hitsOf(address), [index % 3], address);
  for (const [index, address] of spread6.entries()) {
    const group = Number.parseInt(String(index + 1), 16);
    assert.deepEqual(hitsOf(address), group < 0x20 ? [5] : group < 0x40 ? [6] : [], address);
  }
  for (const [address, rules] of [
    ['0.0.0.0', [3]],
    ['0.1.2.3', [3]],
    ['1.0.0.0', []],
    ['20.1.1.1', [0]],
    ['20.200.0.1', [0]],
    ['30.0.0.7', [4]],
    ['30.1.0.7', [4]],
    ['255.255.255.255', []],
    ['::', [7]],
    ['::1', [7]],
    ['1::', []],
    ['2001:db8::1', [8]],
    ['2001:db8:7fff:ffff::', [8]],
    ['2001:db8:8000::', []],
    ['fd01::7', [9]],
    ['fd01:1::7', [9]],
    ['fd00:ffff::1', []],
    ['ffff:ffff::', []],
  ] as const)
    assert.deepEqual(hitsOf(address), rules, address);
});

test('rules are counted by the direction that has the more columns', () => {
  const out = POLICIES.filter(({ isolates }) => isolates.includes('egress'));
  const of = program([...out, admit(labelsOf(0), ruleOf({}))], { pods: PODS, services: [] });
  assert.ok(of.header[Header.EgressPagesPerRow]! > of.header[Header.IngressPagesPerRow]! + 1);
  for (const from of COUNTED)
    for (const to of COUNTED) {
      if (from === to) continue;
      const [source, destination] = [from, to].map((index) => endpointOfAddress(of, PODS[index]!.addresses[0]!));
      const hits = rulesOf(of, source!, destination!, 6, 80, -1).map(({ policy }) => of.source.policies[policy]!.name);
      const expected = [...(to === calledBy(from) ? [`out-${from}`] : []), ...(to === 0 ? ['admit'] : [])];
      if (hits.join() !== expected.join()) assert.fail(`${from} > ${to}: ${hits}`);
    }
});

test('a port by name is resolved where the flow arrives, for every pair, and its hits are counted by that', () => {
  const namedPort = (index: number): Pod => ({
    ...PODS[index]!,
    ports: [{ name: 'web', port: 2000 + (index % 3), protocol: 'TCP' }],
  });
  const pods = [0, 1, 2, 3, 4, 5].map(namedPort);
  const web = { kind: 'named', protocol: 'TCP', name: 'web' } as const;
  const into = { ...admit({}, ruleOf({ ports: [web] }), ruleOf({ index: 1 })), name: 'into' };
  const out: Policy = { ...into, name: 'out', isolates: ['egress'], ingress: [], egress: into.ingress };
  const of = program([into, out], { pods, services: [] });
  for (const [from, source] of pods.entries())
    for (const [to, destination] of pods.entries()) {
      if (from === to) continue;
      const ends = [source, destination].map(({ addresses }) => endpointOfAddress(of, addresses[0]!));
      for (const port of [2000, 2001, 2002, 2003]) {
        const hits = rulesOf(of, ends[0]!, ends[1]!, 6, port, -1).map(({ direction, rule }) => `${direction} ${rule}`);
        const isWeb = port === 2000 + (to % 3);
        assert.deepEqual(
          hits,
          isWeb ? ['egress 0', 'egress 1', 'ingress 0', 'ingress 1'] : ['egress 1', 'ingress 1'],
          `${from} > ${to}:${port}`,
        );
      }
    }
});

test('a port by name is another for each policy and each pod that it selects', () => {
  const groups = 5;
  const pods = Array.from({ length: groups }, (_, index) => ({
    ...PODS[index]!,
    ports: [{ name: 'web', port: 2000 + index, protocol: 'TCP' as const }],
  }));
  const callers = Array.from({ length: 16 }, (_, index) =>
    pod(`c${index}`, `10.0.9.${index}`, { caller: `c${index}` }),
  );
  const web = { kind: 'named', protocol: 'TCP', name: 'web' } as const;
  const policies = callers.map(({ name }): Policy => ({
    ...admit({}, ruleOf({ peers: [peerOf({ caller: name })], ports: [web] })),
    name,
  }));
  const of = program(policies, { pods: [...pods, ...callers], services: [] });
  for (const caller of callers)
    for (const [to, { addresses }] of pods.entries())
      for (let index = 0; index < groups; index++) {
        const ends = [caller.addresses[0]!, addresses[0]!].map((address) => endpointOfAddress(of, address));
        const decision = decide(of, ends[0]!, ends[1]!, 6, 2000 + index, -1);
        assert.equal(decisionVerdict(decision), index === to ? Verdict.Allow : Verdict.Deny);
      }
});

test('whoever calls the same Service has hits of its own', () => {
  const out = COUNTED.map((index): Policy => ({
    ...admit(labelsOf(index)),
    name: `out-${index}`,
    isolates: ['egress'],
    egress: [ruleOf({})],
  }));
  const services = ['10.96.0.10', '10.96.0.11'].map((address, index) => ({
    ...SERVICE,
    name: `s${index}`,
    clusterAddresses: [address as AddressText],
    selector: new Map([['id', `p${index}`]]),
  }));
  const into = [0, 1].map((index): Policy => ({ ...admit(labelsOf(index), ruleOf({})), name: `in-${index}` }));
  const of = program([...out, ...into], { pods: PODS, services });
  for (const { addresses, name } of PODS.slice(2))
    for (const [index, { clusterAddresses }] of services.entries()) {
      const [source, target] = [addresses[0]!, clusterAddresses[0]!].map((address) => endpointOfAddress(of, address));
      const hits = rulesOf(of, source!, target!, 6, 80, -1).map(({ policy }) => of.source.policies[policy]!.name);
      assert.deepEqual(hits, [`out-${name.slice(1)}`, `in-${index}`]);
    }
});

test('rules of a direction that their policy does not isolate decide nothing, nor does a tier behind the one that did', () => {
  const away: Policy = { ...admit({}, ruleOf({})), name: 'away', isolates: ['egress'], egress: [ruleOf({})] };
  const near = { ...admit({}, ruleOf({})), name: 'near' };
  const { namespace: _, ...cluster } = admit({}, ruleOf({}));
  const behind: Policy = { ...cluster, name: 'behind', tier: 'baseline', isolates: [], egress: [ruleOf({})] };
  const of = program([away, near, behind]);
  const [source, destination] = ['10.0.0.9', '10.0.0.1'].map((address) =>
    endpointOfAddress(of, address as AddressText),
  );
  const hits = rulesOf(of, source!, destination!, 6, 80, -1).map(({ policy }) => of.source.policies[policy]!.name);
  assert.deepEqual(hits, ['away', 'near']);
  const explanation = explain(of, flowTo(ONE));
  assert.deepEqual(
    rulesOfExplanation(of, explanation).map(({ policy }) => of.source.policies[policy]!.name),
    hits,
  );
  assert.deepEqual(
    explanation.ingress.policies.map(({ policy }) => policy.name),
    ['near', 'behind'],
  );
});

test('compiling keeps the fewest: pods that policies tell apart in nothing share their answers', () => {
  const { compiled } = wide();
  const replicas = COUNTED.map((index) => pod(`r${index}`, `10.0.1.${index + 1}`, { role: 'one' }));
  const same = compile({ ...compiled.source.snapshot, pods: replicas }, [admit({ role: 'one' }, ruleOf({}))]);
  const hits = replicas.map(({ addresses }) =>
    rulesOf(same, endpointOfAddress(same, '10.0.0.9' as AddressText), endpointOfAddress(same, addresses[0]!), 6, 1, -1),
  );
  assert.ok(hits.every((own) => own === hits[0]));
});
