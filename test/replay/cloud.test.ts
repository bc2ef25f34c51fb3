/** Logs of clouds and policy agents: whatever reporters, interfaces, sides and intervals a connection has, it is one. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compile } from '../../src/compile/compile.ts';
import { createDictionary } from '../../src/model/flow.ts';
import { createReplay } from '../../src/replay/replay.ts';
import type { ReplayResult } from '../../src/replay/result.ts';
import { createAccount } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';
import { SNAPSHOT, sum } from './world.ts';

/** Replays fixtures of the trace room, one after another, without policies. */
async function replayFixtures(...names: string[]): Promise<ReplayResult> {
  const dictionary = createDictionary();
  const replaying = createReplay({ program: compile(SNAPSHOT, []), dictionary, mode: 'connections', invalid: 'count' });
  const accounts = names.map(createAccount);
  for (const account of accounts) {
    const bytes = readFileSync(new URL(`../trace/fixture/${account.file}`, import.meta.url));
    async function* source(): AsyncGenerator<Uint8Array> {
      yield bytes;
    }
    for await (const batch of readTrace(source(), { file: account.file, dictionary, account }))
      replaying.add(batch, account);
  }
  return replaying.finish(accounts);
}

function countConnections({ totals, partial }: ReplayResult): number {
  return sum([...Object.values(totals), ...Object.values(partial)]).connections;
}

const CONNECTIONS: readonly [files: readonly string[], connections: number][] = [
  // There, back, again; an echo; a question over IPv6.
  [['gcp-vpc.ndjson'], 3],
  [['gcp-vpc-array.json'], 1],
  [['gcp-vpc-bigquery.ndjson'], 1],
  [['gcp-vpc-flat.ndjson'], 1],
  [['gcp-vpc.ndjson', 'gcp-vpc-array.json', 'gcp-vpc-bigquery.ndjson', 'gcp-vpc-flat.ndjson'], 3],
  [['gke-policy.log'], 4],
  [['azure-nsg-v1.json'], 2],
  [['azure-nsg-v2.json'], 2],
  [['azure-vnet.json'], 3],
  [['azure-vnet.json', 'azure-vnet.ndjson'], 3],
  [['aws-network-policy-agent.log'], 5],
  [['aws-network-policy-agent.log', 'aws-network-policy-agent-text.log'], 6],
  [['kube-network-policies.jsonl'], 4],
];

for (const [files, expected] of CONNECTIONS)
  test(`${files.join(' and ')}: ${expected} connections`, async () => {
    const result = await replayFixtures(...files);
    assert.equal(countConnections(result), expected);
    assert.equal(result.isComplete, true);
  });

test('verdicts of policies are compared with the forecast, those of cloud firewalls are counted apart', async () => {
  const cloud = (await replayFixtures('azure-nsg-v1.json', 'azure-vnet.json')).recorded;
  assert.deepEqual([cloud.firewallAllow, cloud.firewallDeny], [3, 2]);
  assert.equal(cloud.allowAllow + cloud.allowDeny + cloud.denyAllow + cloud.denyDeny + cloud.undecidable, 0);
  const gke = (await replayFixtures('gke-policy.log')).recorded;
  assert.deepEqual([gke.allowAllow + gke.undecidable, gke.denyAllow, gke.firewallDeny], [3, 1, 0]);
  const agent = (await replayFixtures('kube-network-policies.jsonl')).recorded;
  assert.deepEqual([agent.allowAllow, agent.denyAllow, agent.otherDrop], [1, 1, 1]);
});
