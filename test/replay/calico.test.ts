/** Calico's traces from bytes to the report: names without addresses, both ends as one connection, staged policies. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compile } from '../../src/compile/compile.ts';
import { createDictionary } from '../../src/model/flow.ts';
import type { Policy } from '../../src/model/policy.ts';
import { createReplay } from '../../src/replay/replay.ts';
import type { ReplayResult } from '../../src/replay/result.ts';
import { formatReplay } from '../../src/report/replay.ts';
import { createAccount } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';
import { connections, DENY_DB, SNAPSHOT, WEB_TO_DB } from './world.ts';

const FIXTURES = new URL('../trace/fixture/', import.meta.url);

async function replayFiles(files: readonly Uint8Array[], policies: readonly Policy[]): Promise<ReplayResult> {
  const dictionary = createDictionary();
  const program = compile(SNAPSHOT, policies);
  const replay = createReplay({ program, dictionary, mode: 'connections', invalid: 'count' });
  const accounts = files.map((_, index) => createAccount(`trace ${index}`));
  for (const [index, bytes] of files.entries()) {
    const account = accounts[index]!;
    const source = (async function* () {
      yield bytes;
    })();
    for await (const batch of readTrace(source, { file: account.file, dictionary, account }))
      replay.add(batch, account);
  }
  return replay.finish(accounts);
}

const GOLDMANE = readFileSync(new URL('calico-goldmane.jsonl', FIXTURES));
const FLOW_LOG = readFileSync(new URL('calico-flowlog.jsonl', FIXTURES));

test('Goldmane: connections of both ends count once, and staged policies are held against the forecast', async () => {
  const result = await replayFiles([GOLDMANE], WEB_TO_DB);
  // web to db 6, web to a network set 4; outside to db on another port 5: it has no address, and no rule could admit it.
  assert.deepEqual(connections(result.totals), [10, 5, 0]);
  assert.deepEqual(result.pending, { allowAllow: 9, denyAllow: 1, allowDeny: 5, denyDeny: 0, undecidable: 0 });
  assert.deepEqual([result.recorded.allowAllow, result.recorded.denyAllow, result.recorded.allowDeny], [9, 1, 5]);
  const web = result.groups.find(({ port }) => port === 5432)!;
  assert.deepEqual([web.source.kind, web.destination.kind], ['workload', 'workload']);
  assert.deepEqual([web.pending!.allow, web.pending!.deny], [5, 1]);
  const text = formatReplay(result, { format: 'text', color: 'never' });
  assert.match(text, /the staged policies would deny 1: StagedGlobalNetworkPolicy lockdown\s+\(deny\)/);
  const denied = await replayFiles([GOLDMANE], DENY_DB);
  assert.deepEqual(denied.pending, { allowAllow: 4, denyAllow: 0, allowDeny: 10, denyDeny: 1, undecidable: 0 });
});

test('flow log: one file of both nodes, or one of each in any order, gives the same connections and verdicts', async () => {
  const lines = FLOW_LOG.toString()
    .split('\n')
    .filter((line) => line !== '');
  const ofSource = Buffer.from(lines.filter((line) => line.includes('"reporter":"src"')).join('\n'));
  const ofDestination = Buffer.from(lines.filter((line) => line.includes('"reporter":"dst"')).join('\n'));
  const whole = await replayFiles([FLOW_LOG], WEB_TO_DB);
  assert.equal(
    connections(whole.totals).reduce((sum, count) => sum + count),
    11,
  );
  for (const files of [
    [ofSource, ofDestination],
    [ofDestination, ofSource],
  ]) {
    const parts = await replayFiles(files, WEB_TO_DB);
    assert.deepEqual(
      [parts.totals.allow.connections, parts.recorded],
      [whole.totals.allow.connections, whole.recorded],
    );
  }
});
