/** What Hubble's spellings mean: who opened a connection, which verdict is a policy's, what counts once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import type { EndpointFact } from '../../src/model/flow.ts';
import { readAll, type Result } from './build.ts';

type Json = Record<string, unknown>;

const FLOW: Json = {
  time: '2026-01-02T03:04:05.123456789Z',
  verdict: 'FORWARDED',
  IP: { source: '10.0.0.1', destination: '10.0.0.2', ipVersion: 'IPv4' },
  l4: { TCP: { source_port: 4000, destination_port: 80, flags: { PSH: true, ACK: true } } },
  source: { identity: 300, namespace: 'a', pod_name: 'p' },
  destination: { identity: 301, namespace: 'b', pod_name: 'q' },
  Type: 'L3_L4',
  event_type: { type: 4 },
};

async function read(...records: Json[]): Promise<Result> {
  const result = await readAll(Buffer.from(records.map((record) => JSON.stringify(record)).join('\n')));
  assert.ok(isBalanced(result.account));
  return result;
}

function flow(changes: Json): Json {
  return { flow: { ...FLOW, ...changes } };
}

test('is_reply is a statement, its absence is none; reply:true of 2021 is one too', async () => {
  const syn = { TCP: { source_port: 1, destination_port: 2, flags: { SYN: true } } };
  const cases: [Json, number, number][] = [
    [{ is_reply: true }, 1, 0],
    [{ is_reply: false }, 0, 0],
    [{}, 2, 4],
    [{ reply: true }, 1, 0],
    [{ reply: false }, 2, 4],
    [{ l4: syn }, 0, 1],
    [{ is_reply: false, emitter: { name: 'Retina' } }, 2, 4],
    [{ verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED', event_type: { type: 1 } }, 0, 0],
  ];
  for (const [changes, orientation, orientedBy] of cases) {
    const { rows } = await read(flow(changes));
    assert.deepEqual(
      [rows[0]!['orientation'], rows[0]!['orientedBy']],
      [orientation, orientedBy],
      JSON.stringify(changes),
    );
  }
});

test('a drop by policy is apart from other drops, and unknown verdicts are counted', async () => {
  const cases: [Json, number][] = [
    [{ verdict: 'FORWARDED' }, 1],
    [{ verdict: 'REDIRECTED' }, 1],
    [{ verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED' }, 2],
    [{ verdict: 'DROPPED', drop_reason: 181 }, 2],
    [{ verdict: 'DROPPED', event_type: { type: 5 } }, 2],
    [{ verdict: 'DROPPED', drop_reason_desc: 'CT_MAP_INSERTION_FAILED' }, 3],
    [{ verdict: 'AUDIT' }, 4],
    [{ verdict: 'ERROR' }, 5],
    [{ verdict: 'TRANSLATED' }, 0],
    [{ verdict: 2, drop_reason: 133 }, 2],
    [{ verdict: 15 }, 0],
  ];
  for (const [changes, verdict] of cases) {
    const { rows, account } = await read(flow(changes));
    assert.equal(rows[0]!['recordedVerdict'], verdict, JSON.stringify(changes));
    assert.deepEqual([...account.unknownValues.keys()], changes['verdict'] === 15 ? ['verdict=15'] : []);
  }
});

test('the two records of one policy drop are one decision; the next drop is another', async () => {
  const verdict = flow({ verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED', event_type: { type: 5 } });
  const drop = flow({ verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED', event_type: { type: 1, sub_type: 133 } });
  const { rows, account } = await read(verdict, drop, verdict, drop);
  assert.deepEqual(
    rows.map(({ kind }) => kind),
    [3, 3],
  );
  assert.deepEqual([...account.skipped], [['duplicate', 2]]);
});

test('what is no flow is skipped by its reason, and lost events are counted', async () => {
  const { account, rows } = await read(
    { agent_event: {}, time: 'x' },
    { debug_event: {} },
    { node_status: {} },
    { lost_events: { source: 'HUBBLE_RING_BUFFER', num_events_lost: '41' } },
    { lostEvents: {} },
    flow({ Type: 'SOCK', event_type: { type: 7 } }),
    flow({ IP: undefined, l4: undefined, ethernet: { source: 'x' } }),
    { flow: { time: '1970-01-01T00:00:01Z' } },
    flow({}),
    flow({ Type: 'L7', event_type: { type: 129 } }),
    flow({ event_type: { type: 130 } }),
  );
  assert.equal(rows.length, 1);
  assert.equal(account.lost, 42);
  assert.deepEqual(Object.fromEntries(account.skipped), {
    'agent-event': 1,
    'debug-event': 1,
    'node-status': 1,
    'lost-events': 2,
    sock: 1,
    'non-ip': 1,
    'no-endpoint': 1,
    l7: 1,
    'event-type 130': 1,
  });
});

test('endpoints: labels by their source, namespace labels apart, reserved identities by kind', async () => {
  const endpoint = {
    namespace: 'shop',
    pod_name: 'web-0',
    identity: 4000,
    labels: [
      'k8s:app=web',
      'k8s:io.cilium.k8s.namespace.labels.team=red',
      'k8s:io.kubernetes.pod.namespace=shop',
      'k8s:io.cilium.k8s.policy.cluster=default',
      'k8s:__proto__=x',
    ],
    workloads: [{ name: 'web', kind: 'StatefulSet' }],
  };
  const { rows } = await read(
    flow({ source: endpoint, destination: { identity: 2, labels: ['reserved:world'] } }),
    flow({ source: { identity: 1, labels: ['reserved:host'] }, destination: {} }),
  );
  assert.deepEqual(rows[0]!['srcEndpoint'], {
    kind: 'pod',
    namespace: 'shop',
    name: 'web-0',
    workload: 'web',
    workloadKind: 'StatefulSet',
    labels: new Map([['app', 'web'], ['__proto__', 'x']]), // prettier-ignore
    namespaceLabels: new Map([['team', 'red']]),
    areLabelsComplete: false,
  });
  assert.equal((rows[0]!['dstEndpoint'] as EndpointFact).kind, 'world');
  assert.equal((rows[1]!['srcEndpoint'] as EndpointFact).kind, 'node');
  assert.equal(rows[1]!['dstEndpoint'], undefined);
});

test('records without addresses keep their endpoints and family 0', async () => {
  const { rows } = await read(flow({ IP: undefined }));
  assert.equal(rows[0]!['family'], 0);
  assert.equal((rows[0]!['srcEndpoint'] as EndpointFact).name, 'p');
});

test('camelCase, bare legacy flows, pretty-printed and array files give the same row', async () => {
  const camel = {
    flow: {
      ...FLOW,
      l4: { TCP: { sourcePort: 4000, destinationPort: 80, flags: { PSH: true, ACK: true } } },
      source: { identity: 300, namespace: 'a', podName: 'p' },
      destination: { identity: 301, namespace: 'b', podName: 'q' },
      event_type: undefined,
      eventType: { type: 4 },
      isReply: true,
    },
  };
  const plain = flow({ is_reply: true });
  const expected = (await read(plain)).rows;
  assert.equal(expected[0]!['timeUs'], Date.UTC(2026, 0, 2, 3, 4, 5) * 1000 + 123_456);
  const texts = [
    JSON.stringify(camel),
    JSON.stringify(plain['flow']),
    JSON.stringify(plain, null, 2),
    JSON.stringify([plain]),
    JSON.stringify([plain], null, 1),
  ];
  for (const text of texts) {
    const { rows, account } = await readAll(Buffer.from(text));
    const withoutLine = (list: readonly Json[]): unknown[] => list.map(({ line: _line, ...rest }) => rest);
    assert.deepEqual(withoutLine(rows), withoutLine(expected), text);
    assert.ok(isBalanced(account));
  }
});

test('bad addresses, ports and JSON are malformed and cost their line only', async () => {
  const text = [
    flow({ IP: { source: '010.0.0.1', destination: '10.0.0.2' } }),
    flow({ l4: { TCP: { source_port: 70_000 } } }),
    flow({}),
  ].map((record) => JSON.stringify(record));
  const { rows, account } = await readAll(Buffer.from([...text.slice(0, 2), '{"flow":{', ...text.slice(2)].join('\n')));
  assert.equal(rows.length, 1);
  assert.deepEqual(Object.fromEntries(account.malformed), {
    'invalid-address': 1,
    'invalid-port': 1,
    'invalid-json': 1,
  });
  assert.deepEqual(
    account.diagnostics.map(({ line }) => line),
    [1, 2, 3],
  );
});
