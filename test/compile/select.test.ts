/**
 * Law: a pod set of a policy selects the units of exactly those pods that its selectors match, read as apimachinery has them. Worlds are
 * large enough that bitsets of units have several words, and selectors have several requirements of every operator.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PolicyBook, PolicyFlag, RuleField } from '../../src/compile/book.ts';
import { indexUnits } from '../../src/compile/unit.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { ContainerPort, Namespace, Pod, Snapshot } from '../../src/model/cluster.ts';
import {
  type Labels,
  NAMESPACE_NAME_LABEL,
  type Operator,
  type Requirement,
  type Selector,
} from '../../src/model/label.ts';
import type { Peer, PodSet, Policy, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { runs, seed } from '../law/seed.ts';
import { admit, POSITION, ruleOf } from '../decide/world.ts';

const NAMES = ['a', 'b', 'c', 'd', 'without'];
const KEYS = ['app', 'tier', 'x'];
const VALUES = ['1', '2', '3', ''];

const labels = fc
  .array(fc.tuple(fc.constantFrom(...KEYS, 'nobody-asks'), fc.constantFrom(...VALUES)), { maxLength: 4 })
  .map((pairs): Labels => new Map(pairs));

const requirement = (keys: readonly string[], values: readonly string[]): fc.Arbitrary<Requirement> =>
  fc
    .record({
      key: fc.constantFrom(...keys),
      operator: fc.constantFrom<Operator>('In', 'In', 'In', 'NotIn', 'Exists', 'DoesNotExist'),
      list: fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }),
    })
    .map(({ key, operator, list }) => ({
      key,
      operator,
      values: operator === 'In' || operator === 'NotIn' ? list : [],
    }));
const selector = (keys: readonly string[], values: readonly string[]): fc.Arbitrary<Selector> =>
  fc.array(requirement(keys, values), { maxLength: 3 });

const podSet: fc.Arbitrary<PodSet> = fc.record({
  namespaces: fc.oneof(
    fc.constantFrom(...NAMES, 'nowhere').map((namespace) => ({ kind: 'named', namespace }) as const),
    selector([NAMESPACE_NAME_LABEL, 'team'], [...NAMES, '1', '2']).map(
      (own) => ({ kind: 'selected', selector: own }) as const,
    ),
  ),
  pods: selector(KEYS, VALUES),
});

const world = fc.record({
  teams: fc.array(fc.option(fc.constantFrom('1', '2'), { nil: undefined }), { minLength: 4, maxLength: 4 }),
  pods: fc.array(fc.record({ namespace: fc.constantFrom(...NAMES), labels, isHost: fc.nat(9), port: fc.nat(6) }), {
    minLength: 30,
    maxLength: 90,
    size: 'max',
  }),
  sets: fc.array(podSet, { minLength: 1, maxLength: 30, size: 'max' }),
});

test(`a pod set selects the units of the pods that it matches, ascending, and of no others (seed ${seed})`, () => {
  const reached = { none: 0, some: 0, units: 0 };
  fc.assert(
    fc.property(world, ({ teams, pods, sets }) => {
      // The last name has no Namespace object: it has its name still (NP-19).
      const namespaces = teams.map((team, at): Namespace => {
        const name = NAMES[at]!;
        const own: [string, string][] = [[NAMESPACE_NAME_LABEL, name]];
        if (team !== undefined) own.push(['team', team]);
        return { name, labels: new Map(own) };
      });
      const snapshot = snapshotOf(
        namespaces,
        pods.map(({ isHost, port, ...own }, at) =>
          podOf(at, { ...own, hostNetwork: isHost === 0, ports: [{ name: 'web', port: 80 + port, protocol: 'TCP' }] }),
        ),
      );
      const book = new PolicyBook();
      for (const subject of sets) book.read({ ...admit({}), subject });
      book.read(admit({}, ruleOf({ ports: [{ kind: 'named', protocol: 'TCP', name: 'web' }] })));
      const index = indexUnits(snapshot, book);
      reached.units = Math.max(reached.units, index.count);
      const labelsOf = new Map(namespaces.map((own) => [own.name, own.labels]));
      sets.forEach((set, policy) => {
        for (let again = 0; again < 2; again++) {
          const { words, start, end } = index.select(book.subjects[policy]!);
          const selected = [...words.subarray(start, end)];
          assert.deepEqual(
            selected,
            [...new Set(selected)].sort((a, b) => a - b),
          );
          snapshot.pods.forEach((pod, at) => {
            const unit = index.unitOfPod[at]!;
            if (pod.hostNetwork) return assert.equal(unit, -1);
            const isHeld = holds(
              set,
              pod,
              labelsOf.get(pod.namespace) ?? new Map([[NAMESPACE_NAME_LABEL, pod.namespace]]),
            );
            reached[isHeld ? 'some' : 'none']++;
            assert.equal(selected.includes(unit), isHeld, JSON.stringify({ set, at }));
          });
          assert.ok(selected.every((unit) => index.unitOfPod.includes(unit)));
        }
      });
      // Pods that come later: units that there are, or none.
      assert.ok(index.isComplete());
      assert.deepEqual([...index.place(snapshot.pods)!], [...index.unitOfPod]);
    }),
    { seed, numRuns: runs(60) },
  );
  assert.ok(Math.min(reached.none, reached.some) > 1000 && reached.units > 40, JSON.stringify(reached));
});

function holds({ namespaces, pods }: PodSet, pod: Pod, ofNamespace: Labels): boolean {
  const isThere =
    namespaces.kind === 'named' ? namespaces.namespace === pod.namespace : meets(namespaces.selector, ofNamespace);
  return isThere && meets(pods, pod.labels);
}

function meets(own: Selector, of: Labels): boolean {
  return own.every(({ key, operator, values }) => {
    const value = of.get(key);
    if (operator === 'Exists') return value !== undefined;
    if (operator === 'DoesNotExist') return value === undefined;
    return (value !== undefined && values.includes(value)) === (operator === 'In');
  });
}

function podOf(at: number, part: Partial<Pod>): Pod {
  const name = `p${at}`;
  return {
    namespace: 'a',
    name,
    labels: new Map(),
    addresses: [`10.0.0.${at}` as AddressText],
    phase: 'Running',
    hostNetwork: false,
    ports: [],
    workload: { kind: 'Pod', namespace: 'a', name },
    count: 1,
    isStandIn: false,
    position: POSITION,
    ...part,
  };
}

function snapshotOf(namespaces: readonly Namespace[], pods: readonly Pod[]): Snapshot {
  return { namespaces, pods, nodes: [], services: [], endpointSlices: [] };
}

function readRules(...rules: readonly Partial<Rule>[]): PolicyBook {
  const book = new PolicyBook();
  book.read(admit({}, ...rules.map((rule) => ruleOf(rule))));
  return book;
}

/** The numbers of what rules ask of their peers and ports. */
function numbersOf(book: PolicyBook, field: RuleField): readonly number[] {
  const count = book.ruleStarts[book.policies.length * 2]!;
  return Array.from({ length: count }, (_, rule) => book.rules[rule * RuleField.Stride + field]!);
}

test('what rules ask is one number for one meaning, whatever the order of peers, requirements, values and exceptions', () => {
  const pods = (...own: Selector): Peer => ({ kind: 'pods', namespaces: { kind: 'named', namespace: 'a' }, pods: own });
  const one: Requirement = { key: 'app', operator: 'In', values: ['1'] };
  const two: Requirement = { key: 'tier', operator: 'NotIn', values: ['2', '1'] };
  const three: Requirement = { key: 'app', operator: 'Exists', values: [] };
  const block = (cidr: string, ...except: readonly string[]): Peer => ({
    kind: 'ipBlock',
    cidr: cidr as Cidr,
    except: except as readonly Cidr[],
  });
  const domains: Peer = { kind: 'domains', names: ['a.example'] };
  const nodes: Peer = { kind: 'nodes', selector: [one] };
  const groups: readonly (readonly (readonly Peer[] | undefined)[])[] = [
    [undefined],
    [[]],
    [[pods()]],
    [[pods(one)], [pods(one), pods(one)], [pods(one, one)]],
    [[pods(one, two)], [pods(two, one)], [pods(one, { ...two, values: ['1', '2'] })]],
    [[pods(two)]],
    [[pods(three)]],
    [[pods({ ...three, operator: 'DoesNotExist' })]],
    [[pods({ ...one, operator: 'NotIn' })]],
    [[pods({ ...one, values: ['1', '2'] })], [pods({ ...one, values: ['2', '1'] })]],
    [[pods({ ...one, key: 'tier' })]],
    [
      [pods(one), pods(three)],
      [pods(three), pods(one)],
    ],
    [[nodes]],
    [
      [nodes, pods(one)],
      [pods(one), nodes],
    ],
    [[domains]],
    [
      [domains, pods(one)],
      [pods(one), domains],
    ],
    [[block('10.0.0.0/8')], [block('10.0.0.0/8'), block('10.0.0.0/8')]],
    [[block('10.0.0.0/9')]],
    [[block('10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16')], [block('10.0.0.0/8', '10.2.0.0/16', '10.1.0.0/16')]],
    [[block('10.0.0.0/8', '10.1.0.0/16')]],
    [
      [block('10.0.0.0/8'), block('11.0.0.0/8')],
      [block('11.0.0.0/8'), block('10.0.0.0/8')],
    ],
    [[{ ...pods(one), namespaces: { kind: 'selected', selector: [one] } } as Peer]],
    [[{ ...pods(one), namespaces: { kind: 'selected', selector: [] } } as Peer]],
    [[{ ...pods(one), namespaces: { kind: 'named', namespace: 'b' } } as Peer]],
  ];
  const numbers = numbersOf(readRules(...groups.flat().map((peers) => ({ peers }))), RuleField.Question);
  let at = 0;
  const ofGroups = groups.map((group) => group.map(() => numbers[at++]));
  assert.equal(ofGroups[0]![0], -1, 'every peer');
  for (const [index, own] of ofGroups.entries()) assert.equal(new Set(own).size, 1, `group ${index}`);
  assert.equal(new Set(ofGroups.map(([first]) => first)).size, groups.length);
});

test('lists of ports are one number where they say the same', () => {
  const range = (protocol: 'TCP' | 'UDP', first: number, last: number): PortMatch => ({
    kind: 'range',
    protocol,
    first,
    last,
  });
  const any = { kind: 'any', protocol: 'TCP' } as const;
  const named = { kind: 'named', protocol: 'TCP', name: 'web' } as const;
  const lists: readonly (readonly PortMatch[] | undefined)[] = [
    undefined,
    [range('TCP', 80, 80)],
    [range('TCP', 80, 81)],
    [range('TCP', 79, 80)],
    [range('UDP', 80, 80)],
    [any],
    [named],
    [{ ...named, name: 'dns' }],
    [{ ...named, protocol: undefined }],
    [range('TCP', 80, 80), range('UDP', 80, 80)],
    [],
  ];
  const book = readRules(...[...lists, ...lists, [range('TCP', 0, 65_535)]].map((ports) => ({ ports })));
  const numbers = numbersOf(book, RuleField.Ports);
  assert.equal(numbers[0], -1, 'every port');
  assert.equal(new Set(numbers.slice(0, lists.length)).size, lists.length);
  assert.deepEqual(numbers.slice(lists.length, lists.length * 2), numbers.slice(0, lists.length));
  assert.equal(numbers.at(-1), numbers[5], 'every port of a protocol, spelt as a range');
  assert.deepEqual(
    numbers.slice(1, lists.length).map((number) => book.isNamed[number]),
    lists.slice(1).map((list) => Number(list!.some(({ kind }) => kind === 'named'))),
  );
});

test('what a policy is, in bits: tier, directions that it governs and isolates, named ports of its ingress', () => {
  const { namespace: _, ...rest } = admit({});
  const named = ruleOf({ ports: [{ kind: 'named', protocol: 'TCP', name: 'web' }] });
  const plain = ruleOf({ ports: [{ kind: 'any', protocol: 'TCP' }] });
  const { NetworkPolicy, Governs, Isolates, NamedIngress } = {
    NetworkPolicy: PolicyFlag.NetworkPolicy,
    Governs: PolicyFlag.Governs,
    Isolates: PolicyFlag.Isolates,
    NamedIngress: PolicyFlag.NamedIngress,
  };
  const cases: readonly (readonly [Policy, number])[] = [
    [admit({}), NetworkPolicy | (Governs << 1) | (Isolates << 1)],
    [{ ...admit({}), isolates: ['egress'] }, NetworkPolicy | Governs | Isolates],
    [
      { ...admit({}), isolates: ['egress', 'ingress'] },
      NetworkPolicy | Governs | Isolates | (Governs << 1) | (Isolates << 1),
    ],
    [{ ...admit({}, plain), isolates: [] }, NetworkPolicy],
    [admit({}, plain, named, plain), NetworkPolicy | (Governs << 1) | (Isolates << 1) | NamedIngress],
    [{ ...admit({}), egress: [named] }, NetworkPolicy | (Governs << 1) | (Isolates << 1)],
    [{ ...rest, tier: 'admin', isolates: [] }, 0],
    [{ ...rest, tier: 'admin', isolates: ['ingress', 'egress'], egress: [plain] }, Governs],
    [{ ...rest, tier: 'baseline', isolates: [], ingress: [plain] }, Governs << 1],
    [
      { ...rest, tier: 'baseline', isolates: [], ingress: [named], egress: [plain] },
      Governs | (Governs << 1) | NamedIngress,
    ],
  ];
  const book = new PolicyBook();
  cases.forEach(([policy], at) => assert.equal(book.read(policy), at));
  assert.deepEqual(
    book.flags,
    cases.map(([, flags]) => flags),
  );
  // Rules lie by policy, egress first.
  const counts = cases.flatMap(([{ egress, ingress }]) => [egress.length, ingress.length]);
  assert.deepEqual(
    [...book.ruleStarts.subarray(1, counts.length + 1)],
    counts.map((_, at) => counts.slice(0, at + 1).reduce((sum, count) => sum + count, 0)),
  );
});

test('a named port makes units of its own where some rule asks for its name and protocol, and nowhere else', () => {
  const pod = (at: number, ...ports: readonly ContainerPort[]): Pod => podOf(at, { ports });
  const web = (port: number, protocol: ContainerPort['protocol'] = 'TCP'): ContainerPort => ({
    name: 'web',
    port,
    protocol,
  });
  const pods = [
    pod(0),
    pod(1, web(80)),
    pod(2, web(81)),
    pod(3, web(80, 'UDP')),
    pod(4, { name: 'dns', port: 80, protocol: 'TCP' }),
    pod(5, web(81), web(80)),
    pod(6, web(80), web(81), web(80)),
    pod(7, { port: 80, protocol: 'TCP' }),
  ];
  const unitsOf = (...ports: readonly PortMatch[]): readonly number[] => {
    const index = indexUnits(snapshotOf([], pods), readRules({ ports }));
    // How each unit's named ports read.
    for (const [at, unit] of index.unitOfPod.entries()) {
      const named = index.portGroups[index.portGroupOf[unit]!]!;
      for (const [key, numbers] of named) {
        assert.ok(
          ports.some((port) => port.kind === 'named' && (port.protocol ?? key.split('/')[0]) === key.split('/')[0]),
        );
        const own = pods[at]!.ports.filter(({ name, protocol }) => `${protocol}/${name}` === key).map(
          ({ port }) => port,
        );
        assert.deepEqual([...numbers].sort(), [...new Set(own)].sort());
      }
    }
    return [...index.unitOfPod];
  };
  const named = (name: string, protocol: 'TCP' | 'UDP' | undefined): PortMatch =>
    ({ kind: 'named', name, protocol }) as PortMatch;
  assert.deepEqual(unitsOf({ kind: 'any', protocol: 'TCP' }), [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(unitsOf(named('web', 'TCP')), [0, 1, 2, 0, 0, 3, 3, 0]);
  assert.deepEqual(unitsOf(named('web', 'UDP')), [0, 0, 0, 1, 0, 0, 0, 0]);
  assert.deepEqual(unitsOf(named('web', undefined)), [0, 1, 2, 3, 0, 4, 4, 0]);
  assert.deepEqual(unitsOf(named('dns', undefined)), [0, 0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(unitsOf(named('web', 'TCP'), named('web', 'UDP')), [0, 1, 2, 3, 0, 4, 4, 0]);
  assert.deepEqual(unitsOf(named('web', 'TCP'), named('dns', 'TCP')), [0, 1, 2, 0, 3, 4, 4, 0]);
});

test('pods that come later are placed in units that there are, while nothing more is asked for', () => {
  const book = readRules({
    peers: [
      {
        kind: 'pods',
        namespaces: { kind: 'named', namespace: 'a' },
        pods: [{ key: 'app', operator: 'Exists', values: [] }],
      },
    ],
  });
  const pods = [podOf(0, { labels: new Map([['app', '1']]) }), podOf(1, {}), podOf(2, { namespace: 'b' })];
  const index = indexUnits(snapshotOf([], pods), book);
  const place = (...later: readonly Partial<Pod>[]): readonly number[] | undefined => {
    const found = index.place(later.map((part, at) => podOf(10 + at, part)));
    return found && [...found];
  };
  assert.deepEqual(
    place({}, { labels: new Map([['app', '9']]) }, { hostNetwork: true }, { phase: 'Failed' }),
    [1, 0, -1, -1],
  );
  assert.deepEqual(place({ namespace: 'b', labels: new Map([['x', '1']]) }), [2]);
  assert.equal(place({ namespace: 'c' }), undefined);
  assert.equal(place({ namespace: 'b', labels: new Map([['app', '1']]) }), undefined);
  assert.ok(index.isComplete());
  const policy = (rule: Partial<Rule>): Policy => admit({}, ruleOf(rule));
  book.read(policy({ ports: [{ kind: 'any', protocol: 'TCP' }] }));
  assert.ok(index.isComplete());
  book.read(policy({ ports: [{ kind: 'named', protocol: 'TCP', name: 'web' }] }));
  assert.equal(index.isComplete(), false);
  const later = indexUnits(snapshotOf([], pods), book);
  book.read(policy({ ports: [{ kind: 'named', protocol: 'UDP', name: 'web' }] }));
  assert.equal(later.isComplete(), false);
  const last = indexUnits(snapshotOf([], pods), book);
  book.read(policy({ ports: [{ kind: 'named', protocol: undefined, name: 'web' }] }));
  assert.equal(last.isComplete(), false);
  const again = indexUnits(snapshotOf([], pods), book);
  book.read(policy({ ports: [{ kind: 'named', protocol: 'UDP', name: 'web' }] }));
  assert.ok(again.isComplete());
  book.read({
    ...policy({}),
    subject: { namespaces: { kind: 'named', namespace: 'a' }, pods: [{ key: 'y', operator: 'Exists', values: [] }] },
  });
  assert.equal(again.isComplete(), false);
});

test('what has been asked for is counted once each: values of a key, one number for all others, names of ports by protocol', () => {
  const book = new PolicyBook();
  const ask = (...pods: Selector): void => {
    book.read({ ...admit({}), subject: { namespaces: { kind: 'named', namespace: 'a' }, pods } });
  };
  const counts = (): readonly number[] => [book.asked.labels, book.labelCount, book.keyCount, book.asked.portNames];
  assert.deepEqual(counts(), [0, 0, 0, 0]);
  ask({ key: 'app', operator: 'In', values: ['1'] });
  assert.deepEqual(counts(), [2, 2, 1, 0]);
  ask({ key: 'app', operator: 'NotIn', values: ['2', '1', '2'] });
  assert.deepEqual(counts(), [3, 3, 1, 0]);
  ask({ key: 'tier', operator: 'Exists', values: [] }, { key: 'app', operator: 'DoesNotExist', values: [] });
  assert.deepEqual(counts(), [4, 4, 2, 0]);
  assert.deepEqual(
    [0, 1, 2, 3].map((label) => book.keyOf(label)),
    [0, 0, 0, 1],
  );
  const named = (protocol: 'TCP' | undefined): PortMatch => ({ kind: 'named', name: 'web', protocol }) as PortMatch;
  for (const [protocol, expected] of [
    ['TCP', 1],
    ['TCP', 1],
    [undefined, 2],
    ['TCP', 2],
  ] as const) {
    book.read(admit({}, ruleOf({ ports: [named(protocol)] })));
    assert.deepEqual(counts(), [4, 4, 2, expected]);
  }
  // As many more of each: lists grow, and numbers stay what they were.
  const values = Array.from({ length: 40 }, (_, at) => `v${at}`);
  ask(
    { key: 'app', operator: 'In', values },
    ...values.map((key): Requirement => ({ key, operator: 'Exists', values: [] })),
  );
  assert.deepEqual(counts(), [84, 84, 42, 2]);
});

test('pods with hundreds of labels and ports are told apart by the last of them', () => {
  const count = 200;
  const pairs = (last: string): [string, string][] =>
    Array.from({ length: count }, (_, at) => [`key-${at}`, at === count - 1 ? last : 'same']);
  const ports = (last: number): readonly ContainerPort[] =>
    Array.from({ length: count }, (_, at) => ({
      name: `port-${at}`,
      port: at === count - 1 ? last : 80,
      protocol: 'TCP',
    }));
  const pods = [
    podOf(0, { labels: new Map(pairs('one')), ports: ports(81) }),
    podOf(1, { labels: new Map(pairs('two')), ports: ports(81) }),
    podOf(2, { labels: new Map(pairs('two')), ports: ports(82) }),
    podOf(3, { labels: new Map(pairs('one').toReversed()), ports: ports(81).toReversed() }),
  ];
  const book = new PolicyBook();
  const named = ports(0).map(({ name }): PortMatch => ({ kind: 'named', protocol: 'TCP', name: name! }));
  book.read(admit({}, ruleOf({ ports: named })));
  const every = pairs('one').map(([key, value]): Requirement => ({ key, operator: 'In', values: [value] }));
  book.read({ ...admit({}), subject: { namespaces: { kind: 'named', namespace: 'a' }, pods: every } });
  const index = indexUnits(snapshotOf([], pods), book);
  assert.deepEqual([...index.unitOfPod], [0, 1, 2, 0]);
  const { words, start, end } = index.select(book.subjects[1]!);
  assert.deepEqual([...words.subarray(start, end)], [0]);
  assert.deepEqual(
    index.portGroups.map((group) => group.get(`TCP/port-${count - 1}`)),
    [[81], [82]],
  );
});
