/** `dropcast generate`: a synthetic cluster, its policies, traffic, and verdicts to hold other tools against. */
import { closeSync, mkdirSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Shape } from '../generate/shape.ts';
import type { Snapshot } from '../model/cluster.ts';
import { DEFAULT_DIALECT } from '../model/dialect.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import type { Session } from '../model/evaluator.ts';
import type { Flow } from '../model/flow.ts';
import { formatProtocol } from '../model/port.ts';
import { VERDICT_NAMES } from '../model/verdict.ts';
import { formatCount, formatCounted } from '../report/quantity.ts';
import { ExitCode, Refusal } from './exit.ts';
import { refuseSystem } from './input.ts';
import type { Io } from './terminal.ts';

/** Flags as parsed; see `dropcast generate --help`. */
export interface GenerateFlags {
  readonly out: string;
  readonly pods?: number;
  readonly policies?: number;
  readonly seed: number;
  readonly shape?: Shape;
  readonly worlds?: number;
  readonly records?: number;
  readonly connections?: number;
  /** True: the usual number. */
  readonly expectations?: number | true;
}

const DEFAULT_EXPECTATIONS = 1_000;

/** What a failure to write is told under. */
const OUT = '--out';

/** Addresses outside the cluster that traffic may come from or go to. */
const OUTSIDE_COUNT = 200;

/** Runs the command; what was written is listed on stdout. */
export async function runGenerate(flags: GenerateFlags, io: Io): Promise<ExitCode> {
  return flags.worlds === undefined ? generateOne(flags, io) : generateMany(flags, flags.worlds, io);
}

async function generateOne(flags: GenerateFlags, io: Io): Promise<ExitCode> {
  const { pods, policies: count, seed, shape = 'production', expectations } = flags;
  // A connection sends ten packets unless both numbers are given.
  const records = flags.records ?? (flags.connections === undefined ? undefined : 10 * flags.connections);
  const connections = flags.connections ?? Math.max(1, Math.floor((records ?? 0) / 10));
  if (records !== undefined && connections > records)
    throw new Refusal(`--records ${records} is less than --connections ${connections}: each has a packet at least`);
  const [{ generateWorld }, { policyObjects, snapshotObjects }] = await Promise.all([
    import('../generate/shape.ts'),
    import('../fuzz/manifest.ts'),
  ]);
  const size = { ...(pods !== undefined && { pods }), ...(count !== undefined && { policies: count }) };
  const { snapshot, policies } = refuseRange(() => generateWorld({ shape, seed, ...size }));
  const folder = createFolder(flags.out, io);
  const written: string[] = [];
  const write = (name: string, text: string, what: string): void => {
    refuseSystem(OUT, () => writeFileSync(join(folder, name), text));
    written.push(`${name}: ${what}`);
  };
  write('cluster.json', listOf(snapshotObjects(snapshot)), `${formatCount(snapshot.pods.length)} pods`);
  write('policies.json', listOf(policyObjects(policies)), formatCounted(policies.length, 'policy', 'policies'));
  if (records !== undefined) {
    const trace = { seed, records, connections };
    written.push(`trace.pcap: ${await writeTrace(join(folder, 'trace.pcap'), snapshot, trace)}`);
  }
  if (expectations !== undefined) {
    const rows = expectations === true ? DEFAULT_EXPECTATIONS : expectations;
    const [{ generateFlows }, { oracle }] = await Promise.all([
      import('../generate/flow.ts'),
      import('../oracle/oracle.ts'),
    ]);
    const world = { snapshot, policies, dialect: DEFAULT_DIALECT };
    const tally: Tally = new Map();
    const flows = generateFlows({ ...world, count: rows, seed });
    write('expectations.csv', expectationsOf(oracle.load(world), flows, tally), describeTally(flows.length, tally));
  }
  await io.stdout.write(`${written.join('\n')}\n`);
  return ExitCode.Fine;
}

/** The small worlds of `dropcast fuzz --against`, one folder each, for tools that read files and do not speak its protocol. */
async function generateMany(flags: GenerateFlags, count: number, io: Io): Promise<ExitCode> {
  const { seed, expectations } = flags;
  const other = (['pods', 'policies', 'shape', 'records', 'connections'] as const).find(
    (key) => flags[key] !== undefined,
  );
  if (other !== undefined)
    throw new Refusal(`--${other} does not go with --worlds, which are as dropcast fuzz draws them`);
  const [{ sampleTrials }, { policyObjects, snapshotObjects }, { oracle }] = await Promise.all([
    import('../fuzz/run.ts'),
    import('../fuzz/manifest.ts'),
    import('../oracle/oracle.ts'),
  ]);
  const tally: Tally = new Map();
  let rows = 0;
  for (const [index, { world, packets }] of sampleTrials(seed, count).entries()) {
    const folder = createFolder(join(flags.out, String(index + 1).padStart(String(count).length, '0')), io);
    const flows = expectations === undefined ? [] : packets.slice(0, expectations === true ? undefined : expectations);
    rows += flows.length;
    const files = {
      'cluster.json': listOf(snapshotObjects(world.snapshot)),
      'policies.json': listOf(policyObjects(world.policies)),
      ...(expectations !== undefined && { 'expectations.csv': expectationsOf(oracle.load(world), flows, tally) }),
    };
    refuseSystem(OUT, () => {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    });
  }
  const asked = expectations === undefined ? '' : `: ${describeTally(rows, tally)}`;
  await io.stdout.write(`${formatCounted(count, 'world')}${asked}\n`);
  return ExitCode.Fine;
}

function listOf(items: readonly unknown[]): string {
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, undefined, 1)}\n`;
}

async function writeTrace(
  path: string,
  snapshot: Snapshot,
  trace: { readonly seed: number; readonly records: number; readonly connections: number },
): Promise<string> {
  const { generateTraffic } = await import('../generate/traffic.ts');
  const outside = Math.min(OUTSIDE_COUNT, trace.connections);
  const chunks = generateTraffic({ snapshot, outside, ipv6OutsidePercent: 10, ...trace });
  // Options are checked when the first chunk is asked for: before that no file is touched.
  let chunk = refuseRange(() => chunks.next());
  const file = refuseSystem(OUT, () => openSync(path, 'w'));
  try {
    for (; chunk.done !== true; chunk = chunks.next()) {
      const bytes = chunk.value;
      refuseSystem(OUT, () => {
        for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      });
    }
    return `${formatCounted(chunk.value.records, 'packet')} of ${formatCounted(chunk.value.connections, 'connection')}`;
  } finally {
    closeSync(file);
  }
}

/** Verdict -> how often. */
type Tally = Map<string, number>;

/** Rows as `dropcast test` reads them, added to `tally`. */
function expectationsOf(session: Session, flows: readonly Flow[], tally: Tally): string {
  const rows = flows.map((flow) => {
    const verdict = VERDICT_NAMES[session.judge(flow).verdict]!;
    tally.set(verdict, (tally.get(verdict) ?? 0) + 1);
    const { src, dst, protocol, port } = flow;
    return [formatEndpoint(src), formatEndpoint(dst), formatProtocol(protocol), port, verdict].join(',');
  });
  return `${['src,dst,protocol,port,expect', ...rows].join('\n')}\n`;
}

function describeTally(rows: number, tally: Tally): string {
  return [
    formatCounted(rows, 'connection'),
    ...[...tally].map(([name, count]) => `${formatCount(count)} ${name}`),
  ].join(', ');
}

function createFolder(out: string, io: Io): string {
  const folder = resolve(io.cwd, out);
  refuseSystem(OUT, () => makeFolders(folder));
  return folder;
}

/** Node's own recursion does not end in a file system that takes no folders, such as /proc. */
function makeFolders(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  makeFolders(dirname(folder));
  mkdirSync(folder);
}

/** The generators refuse what they cannot make by a RangeError. */
function refuseRange<Value>(call: () => Value): Value {
  try {
    return call();
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal(error.message);
    throw error;
  }
}
