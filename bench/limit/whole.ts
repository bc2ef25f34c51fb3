/**
 * Whole processes: the shipped command line on files, with everything that a user waits for. Made here: a generated cluster with a Hubble
 * export of its traffic (the field set of Cilium's exporter, labels and workloads included), or with 10,000 policies and a VPC flow log.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandom, type Random } from '../../src/generate/random.ts';
import { OUTSIDE_FIRST } from '../../src/generate/traffic.ts';
import { printPolicies, printSnapshot } from '../../src/manifest/print.ts';
import { formatIpv4 } from '../../src/model/address.ts';
import type { Pod } from '../../src/model/cluster.ts';
import { makeWorld } from './decision.ts';
import { HASH_START, type JobResult, mixHash } from './job.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const CLI = join(HERE, '../../dist/cli.cjs');
/** Lets `--threads` be for short traces, too. */
const THREADS = ['-r', join(HERE, 'whole-threads.cjs')];
/** Without the certificates that some machines name here: Node parses all of them at every start, 144 in 40 ms, whoever asks for them. */
const ENVIRONMENT = { ...process.env, NODE_EXTRA_CA_CERTS: undefined };
const START_MS = Date.UTC(2026, 0, 2);

/** What a Hubble export is made of. */
export interface HubbleSize {
  readonly pods: number;
  readonly policies: number;
  /** Of the export. */
  readonly bytes: number;
}

/** Leaves cluster.yaml, policies.yaml and flows.jsonl. */
export function prepareHubble(folder: string, { pods, policies, bytes }: HubbleSize): void {
  const world = makeWorld({ pods, policies });
  writeFileSync(join(folder, 'cluster.yaml'), printSnapshot(world.snapshot));
  writeFileSync(join(folder, 'policies.yaml'), printPolicies(world.policies));
  const random = createRandom(1, 'bench hubble');
  const ends = world.snapshot.pods.map((pod, index) => hubbleEndpoint(pod, index));
  const live = Array.from({ length: 4096 }, () => openPair(random, ends.length));
  writeLines(join(folder, 'flows.jsonl'), (write) => {
    for (let size = 0, number = 0; size < bytes; number++) {
      const slot = random.below(live.length);
      const pair = live[slot]!;
      const line = hubbleLine(random, pair, ends, number);
      if (++pair.step === 8) live[slot] = openPair(random, ends.length);
      size += line.length + 1;
      write(line);
    }
  });
}

/** What a VPC flow log is made of. */
export interface VpcSize {
  readonly pods: number;
  readonly policies: number;
  readonly records: number;
}

/** Leaves cluster.yaml, policies.yaml and vpc.log: 20,000 flows, both directions, window after window. */
export function prepareVpc(folder: string, { pods, policies, records }: VpcSize): void {
  const world = makeWorld({ pods, policies });
  writeFileSync(join(folder, 'cluster.yaml'), printSnapshot(world.snapshot));
  writeFileSync(join(folder, 'policies.yaml'), printPolicies(world.policies));
  const random = createRandom(1, 'bench vpc');
  const flows = Array.from({ length: Math.min(20_000, records) }, () => {
    const server = random.pick(world.snapshot.pods);
    const client = random.chance(60) ? random.pick(world.snapshot.pods).addresses[0]! : outsideAddress(random);
    const protocol = server.ports[0]?.protocol === 'UDP' ? 17 : 6;
    return {
      client,
      server: server.addresses[0]!,
      clientPort: 32_768 + random.below(28_000),
      port: server.ports[0]?.port ?? 80,
      protocol,
    };
  });
  writeLines(join(folder, 'vpc.log'), (write) => {
    write(
      'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status',
    );
    for (let number = 0; number < records; number++) {
      const { client, server, clientPort, port, protocol } = flows[(number >> 1) % flows.length]!;
      const isReply = number % 2 === 1;
      const start = START_MS / 1000 + 60 * Math.floor(number / (2 * flows.length));
      const ends = isReply ? `${server} ${client} ${port} ${clientPort}` : `${client} ${server} ${clientPort} ${port}`;
      write(
        `2 111122223333 eni-0a1b2c3d4e5f67890 ${ends} ${protocol} ${1 + random.below(500)} ${60 + random.below(500_000)} ${start} ${start + 59} ACCEPT OK`,
      );
    }
  });
}

/** `dropcast replay` of a folder's trace as a process; its elements are the records that its report says it read. */
export function replayProcess(trace: string, options: readonly string[] = []): (folder: string) => Promise<JobResult> {
  return async (folder) => {
    const argv = ['replay', trace, '-f', 'cluster.yaml', '-f', 'policies.yaml', '--fail-on', 'never', ...options];
    const first = options.includes('--threads') ? THREADS : [];
    const { seconds, stdout } = await timeProcess([...first, CLI, ...argv], folder);
    const read = Number(/([\d,]+) read = /.exec(stdout)?.[1]?.replaceAll(',', ''));
    if (!(read > 0)) throw new Error(`the report does not say what was read: ${stdout.slice(0, 200)}`);
    // The same trace may be in files of several names and sizes.
    const lines = stdout.split('\n').filter((line) => !line.trimStart().startsWith(trace));
    const report = lines.join('\n');
    let all = HASH_START;
    for (let at = 0; at < report.length; at++) all = mixHash(all, report.charCodeAt(at));
    return { count: read, seconds: [seconds], all: hex(all), first: hex(read) };
  };
}

/** The same process so many times at once, done when the last one is. */
export function replayAtOnce(processes: number, run: (folder: string) => Promise<JobResult>): typeof run {
  return async (folder) => {
    const results = await Promise.all(Array.from({ length: processes }, () => run(folder)));
    return { ...results[0]!, seconds: [Math.max(...results.map(({ seconds }) => seconds[0]!))] };
  };
}

/** Any command of this Node: how long it takes, and nothing else. */
export function startProcess(argv: readonly string[], starts: number): (folder: string) => Promise<JobResult> {
  return async (folder) => {
    const seconds: number[] = [];
    for (let turn = 0; turn < starts; turn++) seconds.push((await timeProcess(argv, folder)).seconds);
    return { count: 1, seconds, first: '00000000' };
  };
}

/** The path of the shipped command line. */
export function cliPath(): string {
  return CLI;
}

async function timeProcess(argv: readonly string[], cwd: string): Promise<{ seconds: number; stdout: string }> {
  const began = process.hrtime.bigint();
  const child = spawn(process.execPath, argv, { cwd, env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let error = '';
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  if (code !== 0) throw new Error(`ended with ${code}: ${error}`);
  return { seconds, stdout: Buffer.concat(chunks).toString() };
}

interface Pair {
  readonly client: number;
  readonly server: number;
  readonly port: number;
  step: number;
}

function openPair(random: Random, count: number): Pair {
  return { client: random.below(count), server: random.skewed(count), port: 32_768 + random.below(28_000), step: 0 };
}

interface HubbleEndpoint {
  readonly address: string;
  readonly port: number;
  readonly l4: 'TCP' | 'UDP';
  readonly json: string;
}

function hubbleEndpoint(pod: Pod, index: number): HubbleEndpoint {
  const labels = [
    ...[...pod.labels].map(([key, value]) => `k8s:${key}=${value}`),
    `k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=${pod.namespace}`,
    'k8s:io.cilium.k8s.policy.cluster=default',
    'k8s:io.cilium.k8s.policy.serviceaccount=default',
    `k8s:io.kubernetes.pod.namespace=${pod.namespace}`,
  ];
  const json = JSON.stringify({
    ID: 100 + index,
    identity: 5000 + index,
    namespace: pod.namespace,
    labels,
    pod_name: pod.name,
    workloads: [{ name: pod.workload.name, kind: pod.workload.kind }],
  });
  return {
    address: pod.addresses[0]!,
    port: pod.ports[0]?.port ?? 80,
    l4: pod.ports[0]?.protocol === 'UDP' ? 'UDP' : 'TCP',
    json,
  };
}

function hubbleLine(
  random: Random,
  { client, server, port, step }: Pair,
  ends: readonly HubbleEndpoint[],
  number: number,
): string {
  const [from, to] = step % 2 === 1 ? [ends[server]!, ends[client]!] : [ends[client]!, ends[server]!];
  const { l4, port: listening } = ends[server]!;
  const isReply = step % 2 === 1;
  const ports = isReply
    ? `"source_port":${listening},"destination_port":${port}`
    : `"source_port":${port},"destination_port":${listening}`;
  const flags = ['"SYN":true', '"SYN":true,"ACK":true', '"ACK":true'][step] ?? '"PSH":true,"ACK":true';
  const time = `${new Date(START_MS + Math.floor(number / 8)).toISOString().slice(0, 23)}${String(random.below(1_000_000)).padStart(6, '0')}Z`;
  const node = `"node_name":"kind-worker${client % 3}"`;
  return `{"flow":{"time":"${time}","uuid":"5a2f1c1e-0f0b-4e39-9d4c-${String(number).padStart(12, '0')}","verdict":"FORWARDED","ethernet":{"source":"d2:d9:76:de:f4:90","destination":"6e:3c:ce:d3:9e:a6"},"IP":{"source":"${from.address}","destination":"${to.address}","ipVersion":"IPv4"},"l4":{"${l4}":{${ports}${l4 === 'TCP' ? `,"flags":{${flags}}` : ''}}},"source":${from.json},"destination":${to.json},"Type":"L3_L4",${node},"event_type":{"type":4,"sub_type":${isReply ? 3 : 1}},"traffic_direction":"${isReply ? 'INGRESS' : 'EGRESS'}","trace_observation_point":"TO_ENDPOINT","trace_reason":"${step < 2 ? 'NEW' : 'ESTABLISHED'}","is_reply":${isReply},"interface":{"index":${10 + (client % 40)},"name":"lxc${(4096 + client).toString(16)}"},"Summary":"${l4}"},${node},"time":"${time}"}`;
}

function outsideAddress(random: Random): string {
  return formatIpv4(OUTSIDE_FIRST + random.below(0x0400_0000));
}

function writeLines(path: string, fill: (write: (line: string) => void) => void): void {
  const file = openSync(path, 'w');
  let lines: string[] = [];
  const flush = (): void => {
    writeSync(file, lines.join(''));
    lines = [];
  };
  fill((line) => {
    lines.push(`${line}\n`);
    if (lines.length === 8192) flush();
  });
  flush();
  closeSync(file);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
