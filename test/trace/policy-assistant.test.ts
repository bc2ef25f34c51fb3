/** policy-assistant's traffic.json: workloads, labels, addresses, and what a row cannot hold. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text as string));
  assert.ok(isBalanced(result.account));
  return result;
}

test('a question is a connection without counts: workloads by name, pods by labels that are all there are', async () => {
  const { account, rows } = await read(readFileSync(new URL('fixture/policy-assistant.json', import.meta.url)));
  assert.deepEqual([account.format, account.read, rows.length], ['policy-assistant', 3, 3]);
  const [byName, byAddress, fromOutside] = rows;
  assert.deepEqual(
    [byName!.protocol, byName!.dstPort, byName!['family'], byName!['packets'], byName!['timeUs']],
    [6, 5432, 0, -1, NaN],
  );
  assert.deepEqual(byName!['srcEndpoint'], {
    kind: 'workload', areLabelsComplete: false, namespace: 'shop', workloadKind: 'Deployment', workload: 'web',
  }); // prettier-ignore
  assert.deepEqual(byName!['dstEndpoint'], { kind: 'pod', areLabelsComplete: false, namespace: 'shop', name: 'db-1' });
  assert.deepEqual([byAddress!.src, byAddress!.dst, byAddress!.dstPort], ['10.0.0.1', '192.0.2.7', 53]);
  const pod = byAddress!['srcEndpoint'] as { areLabelsComplete: boolean; labels: Map<string, string> };
  assert.deepEqual([pod.areLabelsComplete, [...pod.labels]], [true, [['app', 'web']]]);
  // An address has no place beside a name: it is outside, and the account says what that costs.
  assert.deepEqual(fromOutside!['srcEndpoint'], { kind: 'world', areLabelsComplete: false });
  assert.ok(account.limits.some((limit) => limit.includes('ipBlock')));
});

test('an end that is none is malformed with what was expected', async () => {
  const ok = { Internal: { Workload: 'a/pod/b' } };
  for (const [source, extra, message] of [
    [{}, {}, /Source: expected Internal or IP/],
    [{ Internal: { Workload: 'a/b' } }, {}, /Workload: expected namespace\/kind\/name, found a\/b/],
    [{ Internal: { PodLabels: { a: 'b' } } }, {}, /expected Workload or Namespace/],
    [{ IP: 'ten' }, {}, /Source: expected an IP address, found ten/],
    ['x', {}, /Source: expected an object/],
    [ok, { ResolvedPort: '80' }, /ResolvedPort: expected a port, found "80"/],
    [ok, { ResolvedPort: 70_000 }, /ResolvedPort: expected a port/],
  ] as const) {
    const text = JSON.stringify([{ Source: source, Destination: ok, Protocol: 'TCP', ...extra }]);
    const { account, rows } = await read(text);
    assert.deepEqual([rows.length, account.malformed.get('invalid-field')], [0, 1], text);
    assert.match(account.diagnostics[0]!.message, message);
  }
});
