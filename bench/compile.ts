/**
 * `node --import tsx bench/compile.ts [--world NAME]`: what the shipped compiler (dist/engine.js) needs for three worlds, each in a
 * process of its own, cold: seconds, the Program's bytes, peak memory of the process (with the world itself), rows and columns in
 * use. The goals are those of a quiet machine; the load stands beside the figures.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Endpoint, Header } from '../src/compile/layout.ts';
import type { Program } from '../src/compile/program.ts';
import { generateCluster } from '../src/generate/cluster.ts';
import { generatePolicies } from '../src/generate/policy.ts';
import type { Snapshot } from '../src/model/cluster.ts';
import type { Policy } from '../src/model/policy.ts';
import { adversarial } from './adversarial.ts';
import { formatEnvironment, readEnvironment } from './environment.ts';

interface World {
  readonly name: string;
  readonly goal: string;
  readonly make: () => { readonly snapshot: Snapshot; readonly policies: readonly Policy[] };
}

const SEED = 1;
const MIB = 2 ** 20;
const WORLDS: readonly World[] = [
  { name: '10000x10000', goal: '<= 0.6 s, 16 MiB', make: () => production(10_000, 10_000) },
  { name: 'adversarial-10000', goal: '<= 1.2 s, 16 MiB', make: () => adversarial(10_000) },
  { name: '100000x75000', goal: '<= 30 s, 4 GB in all', make: () => production(100_000, 75_000) },
];

const BUNDLE = new URL('../dist/engine.js', import.meta.url);
const { values } = parseArgs({ options: { world: { type: 'string' } } });
if (!existsSync(BUNDLE)) {
  console.error('dist/engine.js is not there: the benchmark measures what is shipped; run `npm run build` first.');
  process.exit(2);
}
if (values.world === undefined) runAll();
else await measure(values.world);

/** One process a world, so that none finds compiled code or a heap that another has grown. */
function runAll(): void {
  console.log(`${formatEnvironment(readEnvironment())}, seed ${SEED}`);
  for (const { name } of WORLDS) {
    const args = ['--import', 'tsx', '--max-old-space-size=8192', fileURLToPath(import.meta.url), '--world', name];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0) process.exit(1);
  }
}

async function measure(name: string): Promise<void> {
  const world = WORLDS.find((own) => own.name === name);
  if (world === undefined) throw new RangeError(`--world: expected ${WORLDS.map((own) => own.name).join(', ')}`);
  const { compile } = (await import(BUNDLE.href)) as typeof import('../src/engine.ts');
  const { snapshot, policies } = world.make();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const program = compile(snapshot, policies);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const sides = [countSide(program, 'egress'), countSide(program, 'ingress')];
  console.log(
    [
      name.padEnd(18),
      `${seconds.toFixed(2)} s (${((user + system) / 1e6).toFixed(2)} s of processor)`,
      `${(program.buffer.byteLength / MIB).toFixed(1)} MiB`,
      `peak ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`,
      ...sides,
      `goal ${world.goal}`,
    ].join('  '),
  );
}

/** Rows and columns of a table; columns are counted where an endpoint has them. */
function countSide(program: Program, direction: 'egress' | 'ingress'): string {
  const { endpoints, header } = program;
  const [index, perRow, field] =
    direction === 'egress'
      ? [program.egressPageIndex, header[Header.EgressPagesPerRow]!, Endpoint.EgressColumn]
      : [program.ingressPageIndex, header[Header.IngressPagesPerRow]!, Endpoint.IngressColumn];
  const columns = new Set<number>();
  for (let at = 0; at < endpoints.length; at += Endpoint.Stride) columns.add(endpoints[at + field]!);
  return `${direction} ${index.length / perRow} x ${columns.size}`;
}

function production(pods: number, count: number): { snapshot: Snapshot; policies: readonly Policy[] } {
  const snapshot = generateCluster({ pods, seed: SEED, shape: 'production' });
  return { snapshot, policies: generatePolicies({ snapshot, count, seed: SEED }) };
}
