/** `convert --explain`: what was understood of the first records, before anything is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { EXPLAINED_ROWS, explainTrace, type ExplainedField } from '../../src/trace/explain.ts';
import { createBench } from '../cli/harness.ts';
import { chunksOf } from './build.ts';
import { CONNTRACK_DUMP } from './log.ts';

const TABLE = `client;server;proto;when\n${'10.0.0.1:4000;10.0.0.2:80;tcp;1700000000\n'.repeat(3)}nowhere;10.0.0.2:80;tcp;1\n`;
const MAPPING = `fields:
  src: {from: client, part: address}
  srcPort: {from: client, part: port}
  dst: {from: server, part: address}
  protocol: proto
  verdict: {value: allow}
  time: {from: when, unit: s}
`;

test('fields with their sources and samples, what is absent, what was inferred', async () => {
  const { account, description, rows, extent, fields, orientedBy } = await explainTrace(
    chunksOf(gzipSync(CONNTRACK_DUMP), 100),
    { file: 'x' },
  );
  assert.deepEqual([account.format, account.containers, extent], ['conntrack', ['gzip'], 'whole']);
  assert.match(description, /conntrack|connection/i);
  const of = (name: string): ExplainedField => fields.find(({ field }) => field === name)!;
  assert.equal(of('src').source, 'original tuple src');
  assert.equal(of('src').present, rows);
  assert.ok(of('src').samples.length > 0 && of('src').samples.length <= 3);
  assert.deepEqual([of('verdict').present, of('srcPod').present], [0, 0]);
  assert.deepEqual([...orientedBy], [['stated', rows]]);
});

test('a long input is read no further than the first rows', async () => {
  const line = '{"v":1,"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp"}\n';
  let taken = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      taken++;
      yield Buffer.from(line.repeat(100));
    }
  }
  const { rows, extent } = await explainTrace(endless(), { file: '-' });
  assert.deepEqual([rows, extent], [EXPLAINED_ROWS, 'beginning']);
  assert.ok(taken < 20, String(taken));
});

test('the command prints it as text and as JSON, with a mapping, and exits 2 where nothing is understood', async () => {
  const bench = createBench({
    'flows.txt': TABLE,
    'map.yaml': MAPPING,
    'x.txt': 'a b\nc d\n',
    'bad.yaml': 'fields: {source: a}\n',
  });
  try {
    const text = await bench.run(['convert', '--explain', 'flows.txt', '--map', 'map.yaml']);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^flows\.txt: csv\n/);
    assert.match(text.stdout, / {2}srcPort +all {2}client \(port\) -> 4000\n/);
    assert.match(text.stdout, / {2}verdict +all {2}the mapping: allow -> allow\n/);
    assert.match(text.stdout, /malformed: invalid-field 1\n/);
    const json = await bench.run(['convert', '--explain', 'flows.txt', 'x.txt', '--map', 'map.yaml', '-o', 'json']);
    const { traces } = JSON.parse(json.stdout) as {
      traces: { fields: { field: string; source: string }[]; read: number }[];
    };
    assert.equal(traces[0]!.read, 4);
    assert.equal(traces[0]!.fields.find(({ field }) => field === 'dst')!.source, 'server (address)');
    const unknown = await bench.run(['convert', '--explain', 'x.txt']);
    assert.deepEqual([unknown.code, unknown.stdout.includes('[unknown-format]')], [2, true]);
    const bad = await bench.run(['convert', '--explain', 'flows.txt', '--map', 'bad.yaml']);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /bad\.yaml:1:10: error: fields: nothing is called "source" \[unknown-field\]/);
    assert.equal((await bench.run(['convert', 'flows.txt'])).code, 2);
  } finally {
    bench.remove();
  }
});
