/** Synthetic worlds: the same seed gives the same bytes in every release, the sums are exact, and every reader takes them without complaint. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type ClusterShape, generateCluster } from '../../src/generate/cluster.ts';
import { generatePolicies } from '../../src/generate/policy.ts';
import { createRandom } from '../../src/generate/random.ts';
import { generateWorld, type Shape, SHAPES } from '../../src/generate/shape.ts';
import { generateTraffic, type TrafficOptions, type TrafficSummary } from '../../src/generate/traffic.ts';
import { loadManifests } from '../../src/manifest/load.ts';
import { printPolicies, printSnapshot } from '../../src/manifest/print.ts';
import type { Selector } from '../../src/model/label.ts';
import type { Policy } from '../../src/model/policy.ts';
import { createDictionary } from '../../src/model/flow.ts';
import { createAccount, isBalanced } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';

const world = (seed: number): string => {
  const snapshot = generateCluster({ pods: 120, seed, shape: 'production' });
  return printSnapshot(snapshot) + printPolicies(generatePolicies({ snapshot, count: 60, seed }));
};

test('a seed gives the same numbers, manifests and packets in every release', () => {
  const random = createRandom(1, 'pinned');
  const snapshot = generateCluster({ pods: 120, seed: 1, shape: 'production' });
  const traffic = collect({ snapshot, seed: 1, records: 5_000, connections: 500, outside: 100 });
  assert.deepEqual([random.next(), random.next(), random.below(1000)], [3352169507, 1576177753, 582]);
  const policies = generatePolicies({ snapshot, count: 60, seed: 1 });
  assert.equal(digest(JSON.stringify({ snapshot, policies }, plain)), '9ad06e924c3b882d');
  assert.equal(digest(traffic.bytes), 'e87e547026c2ef0d');
});

test('every shape gives the same world in every release, at any size', () => {
  const digests = SHAPES.map(({ name }) => {
    const { snapshot, policies } = generateWorld({ shape: name, seed: 1, pods: 160, policies: 80 });
    assert.deepEqual([snapshot.pods.length, policies.length], [160, 80], name);
    return [name, digest(JSON.stringify({ snapshot, policies }, plain))];
  });
  assert.deepEqual(digests, [
    ['production', 'f76e6df54e9df6ec'],
    ['wide', '913fb2878290e124'],
    ['deep', '43ec7b26ee826038'],
    ['published', 'ef4038a195f51d7c'],
    ['store', '54bde31f864e3be7'],
    ['tenants', '4dfaa1fe88258aae'],
    ['crowds', 'd015758c9a7839fa'],
    ['heap', 'e1681358cb202cf0'],
  ]);
});

test('the published cluster has the published counts: pods that policies select, CIDRs, selectors, pods and ports of their rules', () => {
  const { snapshot, policies } = generateWorld({ shape: 'published', seed: 1 });
  assert.deepEqual([snapshot.pods.length, snapshot.namespaces.length, policies.length], [5413, 604, 13_678]);
  const counted = new Map<string, number>();
  const sizeOf = (selector: Selector, namespace: string | undefined): number => {
    const { key, values } = selector[0]!;
    const id = `${namespace} ${key} ${values[0]}`;
    if (!counted.has(id))
      counted.set(
        id,
        snapshot.pods.filter(
          (pod) => (namespace === undefined || pod.namespace === namespace) && pod.labels.get(key) === values[0],
        ).length,
      );
    return counted.get(id)!;
  };
  const tally = (values: readonly number[]): Map<number, number> => {
    const counts = new Map<number, number>();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
  };
  const rulesOf = ({ ingress, egress }: Policy) => [...ingress, ...egress];
  const selected = policies.map(({ subject, namespace }) => sizeOf(subject.pods, namespace));
  const local = tally(selected.filter((_, index) => rulesOf(policies[index]!).length > 0));
  assert.deepEqual([local.get(5), local.get(1), local.get(127), local.get(154)], [2512, 1436, 431, 9]);
  assert.equal(selected.filter((size) => size === 0).length, 3559);
  assert.equal(policies.filter((policy, index) => selected[index]! > 0 && rulesOf(policy).length === 0).length, 495);
  const rules = policies.flatMap(rulesOf);
  assert.equal(rules.length, 15_423);
  const cidrs = tally(rules.map(({ peers }) => peers!.filter(({ kind }) => kind === 'ipBlock').length));
  assert.deepEqual([cidrs.get(0), cidrs.get(1), cidrs.get(6), cidrs.get(21)], [9208, 5521, 263, 1]);
  const selecting = rules.filter(({ peers }) => peers![0]!.kind === 'pods');
  assert.deepEqual(tally(selecting.map(({ peers }) => peers!.length)), new Map([[1, 8790], [2, 418]])); // prettier-ignore
  const pods = tally(
    selecting.map(({ peers }) =>
      peers!.reduce((sum, peer) => {
        if (peer.kind !== 'pods' || peer.namespaces.kind !== 'selected') throw new Error('not a selector');
        return sum + sizeOf(peer.pods, peer.namespaces.selector[0]?.values[0]);
      }, 0),
    ),
  );
  assert.deepEqual([pods.get(2), pods.get(127), pods.get(3578), pods.get(80)], [4621, 288, 70, 40]);
  const singles = tally(
    selecting.map(({ ports = [] }) => ports.filter((port) => port.kind === 'range' && port.first === port.last).length),
  );
  assert.deepEqual([singles.get(0), singles.get(1), singles.get(2), singles.get(5)], [6370, 2417, 416, 1]);
  const ranges = rules.filter(({ ports = [] }) =>
    ports.some((port) => port.kind === 'range' && port.first !== port.last),
  );
  assert.equal(ranges.length, 21 + 2);
});

test('IPv6 connections lead outside too where that is asked for, and nothing else changes', async () => {
  const snapshot = generateCluster({ pods: 50, seed: 4, shape: 'production' });
  const { summary } = collect({
    snapshot,
    seed: 4,
    records: 4000,
    connections: 400,
    outside: 50,
    ipv6OutsidePercent: 50,
  });
  const without = collect({ snapshot, seed: 4, records: 4000, connections: 400, outside: 50 }).summary;
  assert.ok(summary.ipv6 > without.ipv6 + 50, `${summary.ipv6} of ${without.ipv6}`);
});

test('another seed gives another world, the same seed an equal one', () => {
  assert.equal(world(7), world(7));
  assert.notEqual(world(7), world(8));
  assert.notEqual(createRandom(7, 'a').next(), createRandom(7, 'b').next());
});

test('generated manifests are accepted by the reader without a diagnostic and come back complete, in every shape', () => {
  for (const shape of ['production', 'wide', 'deep'] satisfies ClusterShape[]) {
    const snapshot = generateCluster({ pods: 90, seed: 3, shape });
    const policies = generatePolicies({ snapshot, count: 80, seed: 3 });
    const files = [printSnapshot(snapshot), printPolicies(policies)].map((text, group) => ({
      path: `${group}.yaml`,
      text,
      group,
    }));
    const loaded = loadManifests(files, { namespace: 'default', validate: 'strict', remove: [] });
    assert.deepEqual(
      loaded.diagnostics.filter(({ severity }) => severity !== 'note'),
      [],
      shape,
    );
    assert.equal(loaded.snapshot.pods.length, 90);
    assert.equal(loaded.snapshot.services.length, snapshot.services.length);
    assert.equal(loaded.policies.length, 80);
    assert.equal(new Set(snapshot.pods.flatMap(({ addresses }) => addresses)).size, 180, 'an address occurs twice');
    assert.equal(new Set(snapshot.pods.map(({ namespace, name }) => `${namespace}/${name}`)).size, 90);
    const peers = policies
      .flatMap(({ ingress, egress }) => [...ingress, ...egress])
      .flatMap((rule) => rule.peers ?? []);
    assert.deepEqual(new Set(peers.map(({ kind }) => kind)), new Set(['pods', 'ipBlock']));
  }
});

test('worlds of the other shapes are accepted by the reader too', () => {
  for (const shape of ['published', 'store', 'tenants', 'crowds', 'heap'] satisfies Shape[]) {
    const { snapshot, policies } = generateWorld({ shape, seed: 3, pods: 90, policies: shape === 'store' ? 2 : 80 });
    const files = [printSnapshot(snapshot), printPolicies(policies)].map((text, group) => ({
      path: `${group}.yaml`,
      text,
      group,
    }));
    const loaded = loadManifests(files, { namespace: 'default', validate: 'strict', remove: [] });
    const refused = loaded.diagnostics.filter(({ severity }) => severity !== 'note');
    assert.deepEqual([shape, refused, loaded.snapshot.pods.length], [shape, [], 90]);
    assert.equal(loaded.policies.length, policies.length, shape);
  }
});

test('traffic has exactly the records, connections and outside addresses that were asked for, counted by their openings', () => {
  const snapshot = generateCluster({ pods: 200, seed: 5, shape: 'production' });
  for (const [records, connections, outside, concurrent] of [
    [20_000, 2_000, 300, 250],
    [999, 999, 5, 10],
    [1, 1, 1, 1],
    [5_000, 3, 2, 20_000],
  ] as const) {
    const { bytes, summary } = collect({ snapshot, seed: 5, records, connections, outside, concurrent });
    const counted = count(bytes);
    assert.equal(counted.records, records);
    assert.equal(counted.connections, connections);
    assert.equal(summary.tcp + summary.udp, connections);
    assert.equal(summary.bytes, bytes.length);
    assert.equal(counted.outside, summary.outside);
    if (connections === 2_000) assert.equal(counted.outside, outside);
    assert.ok(counted.isOrdered, 'time goes back');
  }
});

test('the trace reader takes every generated packet, TCP and UDP of both families', async () => {
  const snapshot = generateCluster({ pods: 200, seed: 5, shape: 'production' });
  const { bytes } = collect({ snapshot, seed: 5, records: 20_000, connections: 2_000, outside: 300 });
  const account = createAccount('generated');
  const dictionary = createDictionary();
  const kinds = new Set<string>();
  const source = (async function* () {
    yield bytes;
  })();
  for await (const batch of readTrace(source, { file: 'generated', account, dictionary }))
    for (let row = 0; row < batch.count; row++) kinds.add(`${batch.family[row]} ${batch.protocol[row]}`);
  assert.ok(isBalanced(account));
  assert.deepEqual([account.read, account.used, account.malformed.size], [20_000, 20_000, 0]);
  assert.deepEqual([...kinds].sort(), ['4 17', '4 6', '6 17', '6 6']);
});

test('the traffic of a longer trace begins as that of a shorter one lives: as many connections are open at a time', () => {
  const snapshot = generateCluster({ pods: 50, seed: 2, shape: 'wide' });
  const peak = (records: number): number =>
    count(collect({ snapshot, seed: 2, records, connections: records / 10, outside: 50, concurrent: 100 }).bytes)
      .openPeak;
  assert.equal(peak(10_000), peak(20_000));
});

function collect(options: TrafficOptions): { bytes: Uint8Array; summary: TrafficSummary } {
  const chunks: Uint8Array[] = [];
  const generator = generateTraffic(options);
  for (;;) {
    const { done, value } = generator.next();
    if (done === true) return { bytes: Buffer.concat(chunks), summary: value };
    chunks.push(value);
  }
}

/** A second, plain reading of the file: endpoints as text, connections by their unordered pair. */
function count(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seen = new Map<string, { first: number; last: number }>();
  const outside = new Set<number>();
  let records = 0;
  let lastTime = 0;
  let isOrdered = true;
  for (let at = 24; at < bytes.length; records++) {
    const time = view.getUint32(at, true) * 1e6 + view.getUint32(at + 4, true);
    isOrdered &&= time >= lastTime;
    lastTime = time;
    const ip = at + 30;
    const isV6 = view.getUint8(ip) >> 4 === 6;
    const size = isV6 ? 16 : 4;
    const first = ip + (isV6 ? 8 : 12);
    const l4 = ip + (isV6 ? 40 : 20);
    const hex = (from: number): string => Buffer.from(bytes.subarray(from, from + size)).toString('hex');
    const ends = [`${hex(first)} ${view.getUint16(l4)}`, `${hex(first + size)} ${view.getUint16(l4 + 2)}`];
    const protocol = view.getUint8(isV6 ? ip + 6 : ip + 9);
    if (!isV6)
      for (const address of [view.getUint32(first), view.getUint32(first + 4)])
        if (address >>> 26 === 0x14000000 >>> 26) outside.add(address);
    const key = `${protocol} ${ends.sort().join(' ')}`;
    const entry = seen.get(key);
    if (entry === undefined) seen.set(key, { first: records, last: records });
    else entry.last = records;
    at += 16 + view.getUint32(at + 8, true);
  }
  const changes = [...seen.values()].flatMap(({ first, last }) => [[first, 1] as const, [last + 1, -1] as const]);
  changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let open = 0;
  let openPeak = 0;
  for (const [, change] of changes) openPeak = Math.max(openPeak, (open += change));
  return { records, connections: seen.size, outside: outside.size, isOrdered, openPeak };
}

function plain(_: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : value;
}

function digest(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16);
}
