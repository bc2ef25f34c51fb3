/** A cluster over time: when it changed, who held an address when, and where times come from. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadManifests, loadWatch, type LoadOptions } from '../../src/manifest/load.ts';
import { momentInName, momentInText, momentOfEvent } from '../../src/manifest/moment.ts';
import { createTimeline } from '../../src/manifest/timeline.ts';
import type { Snapshot } from '../../src/model/cluster.ts';
import { stateAt, type Timeline } from '../../src/model/timeline.ts';

const OPTIONS: LoadOptions = { namespace: 'default', validate: 'strict', remove: [] };
const us = (time: string): number => Date.parse(`2026-11-21T${time}Z`) * 1000;

interface PodText {
  readonly ip?: string;
  readonly started?: string;
  readonly phase?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

function podObject(name: string, { ip, started, phase = 'Running', labels = { app: name } }: PodText): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: { containers: [{ name: 'c' }] },
    status: { phase, ...(ip && { podIP: ip }), ...(started && { startTime: `2026-11-21T${started}Z` }) },
  };
}

function load(...objects: object[]): ReturnType<typeof loadManifests> {
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const loaded = loadManifests([{ path: 'cluster.json', text, group: 0 }], OPTIONS);
  assert.deepEqual(
    loaded.diagnostics.filter(({ severity }) => severity === 'error'),
    [],
  );
  return loaded;
}

const NOTHING: Snapshot = { namespaces: [], pods: [], nodes: [], services: [], endpointSlices: [] };

function holderAt(timeline: Timeline, time: string, address: string): string | undefined {
  const { pods } = timeline.snapshotAt(stateAt(timeline, us(time)));
  return pods.find(({ addresses }) => (addresses as readonly string[]).includes(address))?.name;
}

test('a snapshot holds until the next one, the first one also before its time', () => {
  const timeline = createTimeline(
    NOTHING,
    [
      { timeUs: us('02:00:00'), loaded: load(podObject('b', { ip: '10.0.0.1' })) },
      { timeUs: us('01:00:00'), loaded: load(podObject('a', { ip: '10.0.0.1' })) },
    ],
    [],
  );
  assert.deepEqual(timeline.fromUs, [us('01:00:00'), us('02:00:00')]);
  assert.deepEqual(
    ['00:00:00', '01:59:59', '02:00:00', '23:00:00'].map((time) => holderAt(timeline, time, '10.0.0.1')),
    ['a', 'a', 'b', 'b'],
  );
});

test('nodes that only pods tell of join those that are known, and none is forgotten with its pods', () => {
  const on = (node: string, hostIP: string): object => ({
    ...podObject(`p-${node}`, {}),
    spec: { nodeName: node, containers: [{ name: 'c' }] },
    status: { phase: 'Running', hostIP },
  });
  const timeline = createTimeline(
    load(on('n1', '192.168.0.1')).snapshot,
    [
      { timeUs: us('01:00:00'), loaded: load(on('n2', '192.168.0.2')) },
      { timeUs: us('02:00:00'), loaded: load(on('n1', '192.168.0.1'), podObject('a', { ip: '10.0.0.1' })) },
    ],
    [],
  );
  const nodesAt = (time: string): string[] =>
    timeline.snapshotAt(stateAt(timeline, us(time))).nodes.map(({ name, addresses }) => `${name} ${addresses.join()}`);
  assert.deepEqual(nodesAt('01:30:00'), ['n1 192.168.0.1', 'n2 192.168.0.2']);
  assert.deepEqual(nodesAt('02:30:00'), ['n1 192.168.0.1', 'n2 192.168.0.2']);
});

test('between two snapshots a pod is there since its start, and has its address from then on', () => {
  const timeline = createTimeline(
    NOTHING,
    [
      { timeUs: us('01:00:00'), loaded: load(podObject('a', { ip: '10.0.0.1', started: '00:10:00' })) },
      { timeUs: us('02:00:00'), loaded: load(podObject('b', { ip: '10.0.0.1', started: '01:30:00' })) },
    ],
    [],
  );
  assert.deepEqual(
    ['01:29:59', '01:30:00'].map((time) => holderAt(timeline, time, '10.0.0.1')),
    ['a', 'b'],
  );
});

test('a snapshot replaces the kinds that it holds and leaves the others; what changes nothing is no state', () => {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'x' } } };
  const base = load(namespace, podObject('old', { ip: '10.0.0.9' })).snapshot;
  const timeline = createTimeline(
    base,
    [
      { timeUs: us('01:00:00'), loaded: load(podObject('a', { ip: '10.0.0.1' })) },
      { timeUs: us('02:00:00'), loaded: load(podObject('a', { ip: '10.0.0.1' })) },
    ],
    [],
  );
  assert.equal(timeline.fromUs.length, 1);
  const { namespaces, pods } = timeline.snapshotAt(0);
  assert.equal(namespaces.find(({ name }) => name === 'shop')!.labels.get('team'), 'x');
  assert.deepEqual(
    pods.map(({ name }) => name),
    ['a'],
  );
});

test('watch events: printed over several lines, in their order; bookmarks and other kinds are passed over', () => {
  const events = [
    { type: 'ADDED', object: podObject('a', { ip: '10.0.0.1', started: '00:10:00' }) },
    { type: 'BOOKMARK', object: { apiVersion: 'v1', kind: 'Pod', metadata: { resourceVersion: '7' } } },
    { type: 'ADDED', time: '2026-11-21T01:00:00Z', object: podObject('b', { phase: 'Pending' }) },
    { type: 'DELETED', time: us('01:00:10') / 1e6, object: podObject('a', { ip: '10.0.0.1' }) },
    { type: 'MODIFIED', time: '2026-11-21T01:00:20Z', object: podObject('b', { ip: '10.0.0.1', started: '01:00:01' }) },
    { type: 'MODIFIED', time: '2026-11-21T01:00:21Z', object: podObject('b', { ip: '10.0.0.1', started: '01:00:01' }) },
    { type: 'ADDED', object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } } },
  ];
  const text = events.map((event) => JSON.stringify(event, null, 4)).join('\n');
  const watch = loadWatch({ path: 'watch.json', text, group: 0 }, OPTIONS)!;
  assert.deepEqual(watch.diagnostics, []);
  assert.deepEqual(
    [...watch.skipped],
    [
      ['BOOKMARK', 1],
      ['Namespace', 1],
    ],
  );
  assert.equal(watch.events.length, 5);
  const timeline = createTimeline(NOTHING, [], watch.events);
  assert.deepEqual(timeline.fromUs.slice(1), ['00:10:00', '01:00:00', '01:00:10', '01:00:20'].map(us));
  assert.deepEqual(
    ['00:00:00', '00:10:00', '01:00:09', '01:00:15', '01:00:20'].map((time) => holderAt(timeline, time, '10.0.0.1')),
    [undefined, 'a', 'a', undefined, 'b'],
  );
});

test('a watch that began late: a pod whose first event is no ADDED was there since its start', () => {
  const text = JSON.stringify({
    type: 'DELETED',
    time: '2026-11-21T03:00:00Z',
    object: podObject('a', { ip: '10.0.0.1', started: '00:10:00' }),
  });
  const timeline = createTimeline(NOTHING, [], loadWatch({ path: 'w', text, group: 0 }, OPTIONS)!.events);
  assert.deepEqual(
    ['00:09:59', '02:00:00', '03:00:00'].map((time) => holderAt(timeline, time, '10.0.0.1')),
    [undefined, 'a', undefined],
  );
});

test('of two pods with one address the one that started later holds it', () => {
  const event = (name: string, started: string, time: string): string =>
    JSON.stringify({
      type: 'ADDED',
      time: `2026-11-21T${time}Z`,
      object: podObject(name, { ip: '10.0.0.1', started }),
    });
  const text = [event('z', '00:10:00', '00:20:00'), event('a', '01:00:00', '01:00:05')].join('\n');
  const timeline = createTimeline(NOTHING, [], loadWatch({ path: 'w', text, group: 0 }, OPTIONS)!.events);
  assert.deepEqual(
    ['00:30:00', '01:00:00'].map((time) => holderAt(timeline, time, '10.0.0.1')),
    ['z', 'a'],
  );
  assert.equal(timeline.snapshotAt(timeline.fromUs.length - 1).pods.length, 2);
});

test('a broken event is refused with its place; a text that is no watch is none', () => {
  const text = `${JSON.stringify({ type: 'ADDED', object: podObject('a', { ip: '10.0.0.1' }) })}\n{"kind":"Pod"}`;
  const { diagnostics } = loadWatch({ path: 'w.json', text, group: 0 }, OPTIONS)!;
  assert.deepEqual(
    diagnostics.map(({ severity, code, line }) => [severity, code, line]),
    [
      ['error', 'required-value', 1],
      ['error', 'not-an-object', 2],
    ],
  );
  assert.equal(loadWatch({ path: 'p.json', text: JSON.stringify(podObject('a', {})), group: 0 }, OPTIONS), undefined);
});

test('times in names, in first lines and in events', () => {
  const time = us('01:55:07');
  for (const name of [
    '2026-11-21T01:55:07Z',
    'pods-2026-11-21T01-55-07Z.json',
    '20261121T015507Z.yaml',
    'cluster_2026-11-21_01.55.07.yaml',
    '2026-11-21T02:55:07+01:00.json',
    '2026-11-21T02-55-07+0100',
  ])
    assert.equal(momentInName(name), time, name);
  assert.equal(momentInName('2026-11-21T01-55-07.250Z'), time + 250_000);
  for (const name of ['cluster.yaml', '2026-11-21.yaml', '2026-13-41T01-55-07Z', '12026-11-21T01-55-071'])
    assert.ok(Number.isNaN(momentInName(name)), name);
  assert.equal(momentInText('# time: 2026-11-21T01:55:07Z\nkind: Pod\n'), time);
  assert.ok(Number.isNaN(momentInText('kind: Pod\n# time: 2026-11-21T01:55:07Z\n')));
  const object = {
    metadata: { creationTimestamp: '2026-11-21T01:00:00Z', deletionTimestamp: '2026-11-21T04:00:00Z' },
    status: {
      startTime: '2026-11-21T01:00:01Z',
      conditions: [{ lastTransitionTime: '2026-11-21T02:00:00Z' }, null, 7],
      containerStatuses: [{ state: { terminated: { finishedAt: '2026-11-21T03:00:00Z' } } }],
    },
  };
  assert.equal(momentOfEvent({ type: 'ADDED', object }), us('01:00:01'));
  assert.equal(momentOfEvent({ type: 'MODIFIED', object }), us('03:00:00'));
  assert.equal(momentOfEvent({ type: 'DELETED', object }), us('04:00:00'));
  assert.equal(momentOfEvent({ type: 'DELETED', time: '2026-11-21T03:30:00Z', object }), us('03:30:00'));
  assert.ok(Number.isNaN(momentOfEvent({ type: 'MODIFIED', object: 7 })));
});
