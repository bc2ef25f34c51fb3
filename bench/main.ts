/**
 * `npm run bench [-- --quick]`: rates of the engine's parts as shipped (dist/index.js), by policies and pods, and of its readers, each beside a named
 * alternative measured in the same run on the same rows. Prints a table and writes bench/out/bench.json and bench.md. Every case must
 * give the same verdicts each time it runs; their hashes are printed, and the naive evaluator's verdicts must be the engine's.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { BlockList, SocketAddress } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import b from 'benny';
import { generateCluster } from '../src/generate/cluster.ts';
import { generatePolicies } from '../src/generate/policy.ts';
import { formatIpv4 } from '../src/model/address.ts';
import type { Flow } from '../src/model/flow.ts';
import { Verdict } from '../src/model/verdict.ts';
import { formatEnvironment, readEnvironment } from './environment.ts';
import type { Job } from './limit/job.ts';
import { prepareHubble, prepareVpc } from './limit/whole.ts';
import { createNaive } from './peers/naive.ts';
import { eachLine, openJsonLoop } from './peers/trace.ts';
import { makeData, makeFlows, makeHandshakes } from './traffic.ts';

interface Row {
  readonly part: string;
  readonly world: string;
  /** Elements a second, from the median of benny's samples. */
  readonly perSecond: number;
  /** benny's relative margin of error, per cent. */
  readonly marginPercent: number;
  readonly samples: number;
  /** Hash of what one operation gave. */
  readonly hash: string;
  /** How many times as fast as the alternative, and what that is. */
  readonly ratio?: number;
  readonly against?: string;
}

/** One case: `run` works through `count` elements and returns a hash of what came out. */
interface Case {
  readonly part: string;
  readonly count: number;
  readonly run: () => number | Promise<number>;
  /** The part, in the same world, that is the alternative to this one. */
  readonly against?: string;
}

const SEED = 1;
const FLOWS = 65_536;
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const options = values.quick
  ? { minSamples: 3, maxTime: 0.3, minTime: 0.02 }
  : { minSamples: 5, maxTime: 0.6, minTime: 0.05 };
const sizes = values.quick
  ? [
      { pods: 100, policies: 10 },
      { pods: 1000, policies: 100 },
      { pods: 1000, policies: 1000 },
    ]
  : [100, 1000, 10_000, 100_000].flatMap((pods) => [10, 100, 1000, 10_000].map((policies) => ({ pods, policies })));

const BUNDLE = new URL('../dist/index.js', import.meta.url);
if (!existsSync(BUNDLE)) {
  console.error('dist/index.js is not there: the benchmark measures what is shipped; run `npm run build` first.');
  process.exit(2);
}
const {
  compile,
  createAccount,
  createDictionary,
  createTracker,
  decide,
  decideBatch,
  explain,
  findEndpoint4,
  loadManifests,
  readTrace,
} = (await import(BUNDLE.href)) as typeof import('../src/index.ts');

const environment = readEnvironment();
console.log(`${formatEnvironment(environment)}, seed ${SEED}${values.quick ? ', quick' : ''}\n`);
const rows: Row[] = [];
for (const { pods, policies } of sizes) await measure(`${pods} pods, ${policies} policies`, worldCases(pods, policies));
for (const live of values.quick ? [10_000] : [10_000, 1_000_000])
  await measure(`${live} live connections`, trackCases(live));
await measure('traces and manifests', readerCases());
console.log('\nWritten to bench/out/bench.json and bench/out/bench.md.');

function worldCases(pods: number, count: number): Case[] {
  const snapshot = generateCluster({ pods, seed: SEED, shape: 'production' });
  const policies = generatePolicies({ snapshot, count, seed: SEED });
  const program = compile(snapshot, policies);
  const flows = makeFlows(snapshot, FLOWS, SEED);
  const { src, dst, protocol, dstPort, icmp } = flows;
  const out = new Int32Array(FLOWS);
  const noAddresses6 = new Int32Array(0);
  const naive = createNaive(snapshot, policies);
  // So few that an operation takes some milliseconds where rules are walked; benny's overhead is far below that.
  const few = Math.max(16, Math.min(4096, Math.floor(100_000 / count)));
  const objects: Flow[] = Array.from({ length: few }, (_, row) => ({
    src: { kind: 'address', address: formatIpv4(src[row]!) },
    dst: { kind: 'address', address: formatIpv4(dst[row]!) },
    protocol: protocol[row]!,
    port: dstPort[row]!,
  }));
  const blocks = new BlockList();
  for (const policy of policies)
    for (const rule of [...policy.ingress, ...policy.egress])
      for (const peer of rule.peers ?? [])
        // Not /0, which would answer every question at once.
        if (peer.kind === 'ipBlock' && !peer.cidr.endsWith('/0')) {
          const [address, length] = peer.cidr.split('/');
          blocks.addSubnet(address!, Number(length), 'ipv4');
        }
  const sockets = Array.from(src.subarray(0, few), (word) => new SocketAddress({ address: formatIpv4(word) }));

  decideBatch(program, flows, noAddresses6, out);
  let denied = 0;
  for (let row = 0; row < FLOWS; row++) if ((out[row]! & 3) === Verdict.Deny) denied++;
  for (let row = 0; row < few; row++) {
    const verdict = out[row]! & 3;
    if (verdict === Verdict.Undecidable) continue;
    const isAllowed = naive(src[row]!, dst[row]!, protocol[row]!, dstPort[row]!);
    if (isAllowed !== (verdict === Verdict.Allow)) throw new Error(`flow ${row}: the naive evaluator disagrees`);
  }
  console.log(`${pods} pods, ${count} policies: ${((100 * denied) / FLOWS).toFixed(1)} % of flows denied`);

  return [
    {
      part: 'decideBatch',
      count: FLOWS,
      against: 'naive',
      run: () => {
        decideBatch(program, flows, noAddresses6, out);
        return hashOf(out);
      },
    },
    {
      part: 'decide',
      count: FLOWS,
      against: 'naive',
      run: () => {
        for (let row = 0; row < FLOWS; row++) {
          const source = findEndpoint4(program, src[row]!);
          const destination = findEndpoint4(program, dst[row]!);
          out[row] = decide(program, source, destination, protocol[row]!, dstPort[row]!, icmp[row]!);
        }
        return hashOf(out);
      },
    },
    {
      part: 'IPv4 look-up',
      count: FLOWS,
      against: 'node:net BlockList',
      run: () => {
        let hash = 0x811c9dc5;
        for (let row = 0; row < FLOWS; row++) hash = mix(hash, findEndpoint4(program, src[row]!));
        return hash;
      },
    },
    {
      part: 'explain',
      count: few,
      run: () => {
        let hash = 0x811c9dc5;
        for (const flow of objects) hash = mix(hash, explain(program, flow).verdict);
        return hash;
      },
    },
    { part: 'compile', count: 1, run: () => hashOf(new Int32Array(compile(snapshot, policies).buffer)) },
    {
      part: 'naive',
      count: few,
      run: () => {
        let hash = 0x811c9dc5;
        for (let row = 0; row < few; row++)
          hash = mix(hash, Number(naive(src[row]!, dst[row]!, protocol[row]!, dstPort[row]!)));
        return hash;
      },
    },
    {
      part: 'node:net BlockList',
      count: few,
      run: () => {
        let hash = 0x811c9dc5;
        for (const socket of sockets) hash = mix(hash, Number(blocks.check(socket)));
        return hash;
      },
    },
  ];
}

function trackCases(live: number): Case[] {
  const handshakes = makeHandshakes(live);
  const data = makeData(live, FLOWS, SEED);
  const tracker = createTracker({});
  const map = new Map<string, { timeUs: number; packets: number }>();
  for (let row = 0; row < handshakes.count; row++) tracker.track(handshakes, row);
  const { src, dst, srcPort, dstPort, protocol, timeUs } = data;
  const keyOf = (row: number): string => `${protocol[row]}/${src[row]}:${srcPort[row]}-${dst[row]}:${dstPort[row]}`;
  const openings = makeHandshakes(Math.ceil(FLOWS / 3));
  return [
    {
      part: 'track, established',
      count: FLOWS,
      against: 'Map of strings',
      run: () => {
        let hash = 0x811c9dc5;
        for (let row = 0; row < FLOWS; row++) hash = mix(hash, tracker.track(data, row));
        return hash;
      },
    },
    {
      part: 'track, opening',
      count: openings.count,
      run: () => {
        const fresh = createTracker({});
        let hash = 0x811c9dc5;
        for (let row = 0; row < openings.count; row++) hash = mix(hash, fresh.track(openings, row));
        return hash;
      },
    },
    {
      part: 'Map of strings',
      count: FLOWS,
      // Looks an entry up and moves its timer, one key for each direction: less than a state machine does.
      run: () => {
        for (let row = 0; row < FLOWS; row++) {
          const key = keyOf(row);
          const entry = map.get(key);
          if (entry === undefined) map.set(key, { timeUs: timeUs[row]!, packets: 1 });
          else {
            entry.timeUs = timeUs[row]!;
            entry.packets++;
          }
        }
        return map.size;
      },
    },
  ];
}

/** Elements are records, for YAML documents. Files are made here; the naive readers are those of bench/peers. */
function readerCases(): Case[] {
  const folder = mkdtempSync(join(tmpdir(), 'dropcast-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const [hubble, vpc] = ['hubble', 'vpc'].map((name) => join(folder, name));
  const records = values.quick ? 5000 : 50_000;
  const count = values.quick ? 300 : 3000;
  for (const own of [hubble!, vpc!]) mkdirSync(own);
  prepareHubble(hubble!, { pods: 200, policies: 20, bytes: records * 1400 });
  prepareVpc(vpc!, { pods: 200, policies: count, records });
  const yaml = readFileSync(join(vpc!, 'policies.yaml'), 'utf8');
  const read = (path: string): (() => Promise<number>) => {
    const bytes = readFileSync(path);
    return async () => {
      let seen = 0;
      const account = createAccount(path);
      for await (const batch of readTrace(once(bytes), { file: path, account, dictionary: createDictionary() }))
        seen += batch.count;
      return seen;
    };
  };
  const naive = openJsonLoop(hubble!, { passes: 1, sample: 0, values: {} }) as Job;
  void naive.run(0);
  const lines = naive.count;
  return [
    { part: 'read Hubble', count: lines, against: 'JSON.parse loop', run: read(join(hubble!, 'flows.jsonl')) },
    {
      part: 'JSON.parse loop',
      count: lines,
      run: () => {
        void naive.run(0);
        return naive.count;
      },
    },
    { part: 'read VPC', count: records, against: 'split loop', run: read(join(vpc!, 'vpc.log')) },
    {
      part: 'split loop',
      count: records,
      run: () => {
        let fields = 0;
        eachLine(join(vpc!, 'vpc.log'), (line) => (fields += line.split(' ').length));
        return fields;
      },
    },
    {
      part: 'load YAML',
      count,
      run: () => {
        const files = [{ path: 'policies.yaml', text: yaml, group: 0 }];
        return loadManifests(files, { namespace: 'default', validate: 'strict', remove: [] }).policies.length;
      },
    },
  ];
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** After every world, so that a run that is stopped leaves what it has measured. */
function save(): void {
  mkdirSync('bench/out', { recursive: true });
  const result = { environment, seed: SEED, isQuick: values.quick, rows };
  writeFileSync('bench/out/bench.json', `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync('bench/out/bench.md', markdown());
}

async function measure(world: string, cases: readonly Case[]): Promise<void> {
  const hashes: number[] = [];
  for (const { run } of cases) hashes.push(await warmUp(run));
  const suite = await b.suite(
    world,
    ...cases.map(({ part, run }, index) =>
      b.add(
        part,
        async () => {
          if ((await run()) !== hashes[index]) throw new Error(`${world}, ${part}: two runs on the same rows differ`);
        },
        options,
      ),
    ),
  );
  const medians = new Map(suite.results.map((result) => [result.name, result]));
  const rateOf = (part: string, count: number): number => count / (medians.get(part)?.details.median ?? NaN);
  cases.forEach(({ part, count, against }, index) => {
    const { margin, samples } = medians.get(part)!;
    const perSecond = rateOf(part, count);
    const other = cases.find((candidate) => candidate.part === against);
    const comparison = other && { ratio: perSecond / rateOf(other.part, other.count), against: other.part };
    const row: Row = {
      part,
      world,
      perSecond,
      marginPercent: margin,
      samples,
      hash: (hashes[index]! >>> 0).toString(16).padStart(8, '0'),
      ...comparison,
    };
    if (!Number.isFinite(perSecond)) throw new Error(`${world}, ${part}: not measured`);
    rows.push(row);
    console.log(
      `  ${part.padEnd(20)} ${rateText(perSecond).padStart(10)}/s  +-${margin.toFixed(1).padStart(5)} %  ${row.hash}  ${ratioText(row)}`,
    );
  });
  save();
}

/** Runs for a while, so that what is measured is compiled code; returns the first hash. */
async function warmUp(run: Case['run']): Promise<number> {
  const end = performance.now() + (values.quick ? 30 : 100);
  const hash = await run();
  while (performance.now() < end) await run();
  return hash;
}

function markdown(): string {
  const lines = rows.map(
    (row) =>
      `| ${row.world} | ${row.part} | ${rateText(row.perSecond)}/s | ${row.marginPercent.toFixed(1)} % | ${ratioText(row)} | ${row.hash} |`,
  );
  const head = '| world | part | rate | margin | ratio | hash |\n|---|---|---|---|---|---|';
  return `# Rates of the shipped engine\n\n${formatEnvironment(environment)}, seed ${SEED}.\n\n${head}\n${lines.join('\n')}\n`;
}

function ratioText({ ratio, against }: Row): string {
  return ratio === undefined ? '' : `${ratio < 100 ? ratio.toPrecision(2) : Math.round(ratio)} x ${against}`;
}

function rateText(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toPrecision(3)} M`;
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toPrecision(3)} k`;
  return perSecond.toPrecision(3);
}

/** One step of FNV-1a over words. */
function mix(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193);
}

function hashOf(words: Int32Array): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index++) hash = mix(hash, words[index]!);
  return hash;
}
