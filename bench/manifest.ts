/**
 * Measures how fast manifests load: the quick YAML reader against the `yaml` package on the same text, and `loadManifests` whole, for a
 * stream of documents, for one `kind: List` and for JSON. The world is seeded; values of all readers must agree.
 *
 *     node --import tsx bench/manifest.ts [--policies 10000] [--rounds 5] [--seed 1]
 *
 * Prints one JSON object; exits 1 where the readers disagree or the goal of 15 x `yaml` is missed.
 */
import { cpus } from 'node:os';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { generateCluster } from '../src/generate/cluster.ts';
import { generatePolicies } from '../src/generate/policy.ts';
import { loadManifests } from '../src/manifest/load.ts';
import { printPolicies } from '../src/manifest/print.ts';
import { createSource } from '../src/manifest/source.ts';
import { BlockReader } from '../src/manifest/yaml-block.ts';
import { readYaml } from '../src/manifest/yaml-document.ts';
import { PlaceTable } from '../src/manifest/yaml-place.ts';

const GOAL = 15;

const { values } = parseArgs({
  options: {
    policies: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed);
const rounds = Number(values.rounds);
const snapshot = generateCluster({ pods: 2000, seed, shape: 'production' });
const stream = printPolicies(generatePolicies({ snapshot, count: Number(values.policies), seed }));
const bodies = stream.split(/^---\n/m).filter((body) => body.trim() !== '');
const list = `apiVersion: v1\nitems:\n${bodies.map(toItem).join('')}kind: List\nmetadata:\n  resourceVersion: ""\n`;

// Both sides of the ratio in one process, on one text; the slow side is too slow for more than one round.
const quickMs = measure(() => readYaml(createSource('bench.yaml', stream)));
const listMs = measure(() => readYaml(createSource('bench.yaml', list)));
const yamlStart = performance.now();
const slow = parseAllDocuments(stream).map((document) => document.toJS() as unknown);
const yamlMs = performance.now() - yamlStart;

const quick = readYaml(createSource('bench.yaml', stream)).documents.map(({ value }) => value);
const [listed] = readYaml(createSource('bench.yaml', list)).documents;
const isSame =
  isDeepStrictEqual(quick, slow) && isDeepStrictEqual((listed?.value as { items: unknown[] } | undefined)?.items, slow);
const json = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: slow }, null, 4);
const handedOver = bodies.filter(
  (body) => new BlockReader(body, new PlaceTable()).read(0, body.length) === undefined,
).length;
const ratio = yamlMs / quickMs.median;
process.stdout.write(
  `${JSON.stringify(
    {
      environment: `${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
      documents: bodies.length,
      megabytes: round(stream.length / 1e6),
      handedOver,
      isSame,
      yaml: { ms: round(yamlMs), megabytesPerSecond: round(stream.length / yamlMs / 1e3) },
      quick: { ...quickMs, megabytesPerSecond: round(stream.length / quickMs.median / 1e3) },
      quickList: { ...listMs, megabytesPerSecond: round(list.length / listMs.median / 1e3) },
      ratio: round(ratio),
      goal: GOAL,
      loadYaml: measure(() => load(stream)),
      loadYamlList: measure(() => load(list)),
      loadJson: { ...measure(() => load(json)), megabytes: round(json.length / 1e6) },
    },
    null,
    2,
  )}\n`,
);
if (!isSame || ratio < GOAL) process.exitCode = 1;

function load(text: string): void {
  const { policies, diagnostics } = loadManifests([{ path: 'bench', text, group: 0 }], {
    namespace: 'default',
    validate: 'strict',
    remove: [],
  });
  if (policies.length !== bodies.length || diagnostics.some(({ severity }) => severity === 'error'))
    throw new Error(`${policies.length} of ${bodies.length} policies loaded`);
}

/** Milliseconds over all rounds, the first (cold) one apart. */
function measure(body: () => unknown): { readonly cold: number; readonly median: number; readonly worst: number } {
  const times: number[] = [];
  for (let index = 0; index <= rounds; index++) {
    const start = performance.now();
    body();
    times.push(performance.now() - start);
  }
  const [cold, ...warm] = times as [number, ...number[]];
  warm.sort((a, b) => a - b);
  return { cold: round(cold), median: round(warm[warm.length >> 1]!), worst: round(warm.at(-1)!) };
}

/** A document as kubectl prints it inside a list. */
function toItem(body: string): string {
  const lines = body.trimEnd().split('\n');
  return lines.map((line, index) => `${index === 0 ? '- ' : '  '}${line}\n`).join('');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
