/**
 * One conversation, recorded by several tools at once (traces/several-tools): the same connections and the same forecast come
 * out of each, apart from what a tool cannot see, which is written down here.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Bench, createBench } from './harness.ts';

const folder = join(import.meta.dirname, '../../traces/several-tools');
const bench: Bench = createBench({});
after(() => bench.remove());

interface End {
  readonly address?: string;
  readonly workload?: { readonly name: string };
}

interface Group {
  readonly source: End;
  readonly destination: End;
  readonly protocol: string;
  readonly port?: number;
  readonly via?: string;
  readonly isPartial: boolean;
  readonly verdict: string;
  readonly connections: number;
  readonly records: number;
}

interface Output {
  readonly groups: readonly Group[];
}

async function replay(...files: string[]): Promise<Output> {
  const cluster = join(folder, 'cluster.yaml');
  const policy = join(folder, 'policy.yaml');
  const { code, stdout, stderr } = await bench.run([
    'replay',
    '-f',
    cluster,
    '-f',
    policy,
    '-o',
    'json',
    ...files.map((file) => join(folder, file)),
  ]);
  assert.equal(code, 1, stderr);
  return JSON.parse(stdout) as Output;
}

/** The forecast: who connects to what, how often, by which Service, and what the policy says. */
function forecastOf({ groups }: Output): string[] {
  const name = ({ workload, address }: End): string => workload?.name ?? address ?? '?';
  return groups
    .filter(({ connections }) => connections > 0)
    .map((group) => {
      const port = group.port === undefined ? '' : `/${group.port}`;
      const via = group.via === undefined ? '' : ` via ${group.via}`;
      const partial = group.isPartial ? ' partial' : '';
      return `${group.connections} ${name(group.source)} > ${name(group.destination)} ${group.protocol}${port}${via} ${group.verdict}${partial}`;
    })
    .sort();
}

const EVERYTHING = [
  '1 client > server ICMP deny',
  '1 client > server TCP/7777 deny',
  '1 client > server TCP/8080 via web.demo allow',
  '1 client > server TCP/9999 deny',
  '1 client > server UDP/4444 deny',
  '1 client > server UDP/5353 via dns.demo deny',
  '2 client > server TCP/8080 allow',
];

test('a capture shows every connection: translated ones at their backend, the refused and the silent one too', async () => {
  assert.deepEqual(forecastOf(await replay('capture.pcap')), EVERYTHING);
});

test('tcpdump text, taken at the same time, gives the same forecast from the same records', async () => {
  const [capture, text] = [await replay('capture.pcap'), await replay('tcpdump.txt')];
  assert.deepEqual(forecastOf(text), EVERYTHING);
  const records = ({ groups }: Output): string[] =>
    groups.map((group) => `${group.protocol}/${group.port} ${group.via} ${group.verdict} ${group.records}`).sort();
  assert.deepEqual(records(text), records(capture));
});

test('conntrack never confirmed the opening that the node dropped; everything else is the same', async () => {
  const unseen = '1 client > server TCP/9999 deny';
  assert.deepEqual(
    forecastOf(await replay('conntrack.txt')),
    EVERYTHING.filter((line) => line !== unseen),
  );
});

test('nfdump saw the Services in front of their translation, and the snapshot knows where they lead', async () => {
  assert.deepEqual(forecastOf(await replay('nfdump.csv')), EVERYTHING);
  assert.deepEqual(forecastOf(await replay('nfdump.json')), EVERYTHING);
});

test('the packet filter logs behind the translation: which Service a client asked is not in its lines', async () => {
  const behind = EVERYTHING.flatMap((line) => {
    if (line.includes(' via web.demo ')) return [];
    return [line.replace(' via dns.demo', '').replace('2 client > server TCP/8080', '3 client > server TCP/8080')];
  });
  assert.deepEqual(forecastOf(await replay('ulogd.log')), behind);
  assert.deepEqual(forecastOf(await replay('ulogd.json')), behind);
});

test('a capture beside the connection table of the same time: one recording, whose connections count once', async () => {
  for (const files of [
    ['capture.pcap', 'conntrack.txt'],
    ['conntrack.txt', 'capture.pcap'],
  ])
    assert.deepEqual(forecastOf(await replay(...files)), EVERYTHING, files.join());
});
