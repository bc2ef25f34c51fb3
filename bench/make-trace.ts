/**
 * Writes a large synthetic trace with the cluster and policies that it belongs to, in constant memory:
 *
 *     node --import tsx bench/make-trace.ts --records 10000000 --connections 1000000 --outside 100000 --out bench/data/x.pcap
 *
 * Beside `x.pcap` it leaves `x.cluster.json` and `x.policies.json` (as `kubectl get -o json` prints lists), and prints what it wrote as JSON.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { type ClusterShape, generateCluster } from '../src/generate/cluster.ts';
import { generatePolicies } from '../src/generate/policy.ts';
import { generateTraffic, type TrafficSummary } from '../src/generate/traffic.ts';
import { printPolicies, printSnapshot } from '../src/manifest/print.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '10000000' },
    connections: { type: 'string', default: '1000000' },
    outside: { type: 'string', default: '100000' },
    pods: { type: 'string', default: '1000' },
    policies: { type: 'string', default: '200' },
    shape: { type: 'string', default: 'production' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'bench/data/trace.pcap' },
  },
});
const seed = Number(values.seed);
const snapshot = generateCluster({ pods: Number(values.pods), seed, shape: values.shape as ClusterShape });
const policies = generatePolicies({ snapshot, count: Number(values.policies), seed });
const base = values.out.replace(/\.pcap$/, '');
await mkdir(dirname(values.out), { recursive: true });
await writeFile(`${base}.cluster.json`, toList(printSnapshot(snapshot)));
await writeFile(`${base}.policies.json`, toList(printPolicies(policies)));
const started = process.hrtime.bigint();
const summary = await writeTrace(values.out);
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
console.log(
  JSON.stringify({ out: values.out, seed, ...summary, seconds, rssBytes: process.memoryUsage.rss() }, null, 2),
);

async function writeTrace(path: string): Promise<TrafficSummary> {
  const file = createWriteStream(path);
  const chunks = generateTraffic({
    snapshot,
    seed,
    records: Number(values.records),
    connections: Number(values.connections),
    outside: Number(values.outside),
  });
  for (;;) {
    const { done, value } = chunks.next();
    if (done === true) {
      file.end();
      await finished(file);
      return value;
    }
    if (!file.write(value)) await once(file, 'drain');
  }
}

function toList(yaml: string): string {
  const items = parseAllDocuments(yaml).map((document) => document.toJS() as unknown);
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 1)}\n`;
}
