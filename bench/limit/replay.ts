/**
 * A whole stateful replay of a binary trace: connections that open, talk and close, 20,000 at a time, between the pods of a generated world
 * and with addresses outside; read, tracked, decided and summed by group.
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from '../../src/compile/compile.ts';
import { Endpoint, EndpointKind } from '../../src/compile/layout.ts';
import { findEndpoint4 } from '../../src/decide/decide.ts';
import { createRandom } from '../../src/generate/random.ts';
import { OUTSIDE_FIRST } from '../../src/generate/traffic.ts';
import { printPolicies, printSnapshot } from '../../src/manifest/print.ts';
import { parseAddress } from '../../src/model/address.ts';
import { formatWorkload } from '../../src/model/cluster.ts';
import { clearRow, createBatch, createDictionary, type FlowBatch, Orientation, TcpFlag } from '../../src/model/flow.ts';
import { PORT_PROTOCOLS } from '../../src/model/port.ts';
import { DEFAULT_GROUP_LIMIT } from '../../src/replay/group.ts';
import { createReplay, type Replay } from '../../src/replay/replay.ts';
import type { ReplayResult } from '../../src/replay/result.ts';
import { BINARY_COLUMNS, GROUP_ROWS } from '../../src/trace/binary-layout.ts';
import { createBinaryWriter } from '../../src/trace/binary-writer.ts';
import { createAccount } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';
import { writeColumn } from './column.ts';
import { makeWorld } from './decision.ts';
import { HASH_START, type Job, type JobOptions, mixHash, type OpenJob } from './job.ts';

/** What to prepare. */
export interface ReplaySize {
  readonly pods: number;
  readonly policies: number;
  readonly connections: number;
  readonly records: number;
}

/** The columns that replay.c reads, at their places in the file. */
const READ_IN_C = 'kind,family,protocol,src,dst,srcPort,dstPort,icmp,tcpFlags,timeUs,bytes,packets,replyBytes'.split(
  ',',
);
const START_US = 1.79e15;
const CONCURRENT = 20_000;
const OUTSIDE = 2_000;

/** Leaves trace.bin, widths.u8, program.bin, party.i32 (workload of each endpoint, -1 outside) and listen.u32 (ports of each endpoint, two words),
 * and the world as cluster.yaml and policies.yaml. */
export function prepareReplay(folder: string, size: ReplaySize): void {
  const { snapshot, policies } = makeWorld(size);
  const program = compile(snapshot, policies);
  writeFileSync(join(folder, 'program.bin'), new Uint8Array(program.buffer));
  writeFileSync(join(folder, 'cluster.yaml'), printSnapshot(snapshot));
  writeFileSync(join(folder, 'policies.yaml'), printPolicies(policies));
  const count = program.endpoints.length / Endpoint.Stride;
  const party = new Int32Array(count).fill(-1);
  const listen = new Uint32Array(count * 2);
  const words = new Uint32Array(4);
  const workloads = new Map<string, number>();
  const pods = snapshot.pods.map((pod) => {
    const address = pod.addresses.find((text) => parseAddress(text, words) === 4)!;
    parseAddress(address, words);
    const endpoint = findEndpoint4(program, words[0]!);
    const name = formatWorkload(pod.workload);
    if (!workloads.has(name)) workloads.set(name, workloads.size);
    party[endpoint] = workloads.get(name)!;
    pod.ports.slice(0, 2).forEach(({ protocol, port }, index) => {
      listen[2 * endpoint + index] = (PORT_PROTOCOLS[protocol] << 16) | port;
    });
    return { word: words[0]!, namespace: pod.namespace, port: pod.ports[0]! };
  });
  for (let endpoint = 0; endpoint < count; endpoint++)
    if (party[endpoint]! < 0) {
      const kind = program.endpoints[endpoint * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Mask;
      if (kind === EndpointKind.Pod && listen[2 * endpoint] !== 0) throw new Error(`endpoint ${endpoint} has no party`);
    }
  writeColumn(folder, 'party.i32', party);
  writeColumn(folder, 'listen.u32', listen);
  if (READ_IN_C.some((name, at) => BINARY_COLUMNS[at] !== name)) throw new Error('replay.c reads other columns');
  const sample = createBatch(1);
  writeColumn(
    folder,
    'widths.u8',
    Uint8Array.from(BINARY_COLUMNS, (name) => sample[name].BYTES_PER_ELEMENT),
  );
  writeTrace(join(folder, 'trace.bin'), pods, size);
}

interface Listener {
  readonly word: number;
  readonly namespace: string;
  readonly port: { readonly protocol: 'TCP' | 'UDP' | 'SCTP'; readonly port: number };
}

/** Slots of open connections send in turn; one that has ended makes room for the next. */
function writeTrace(path: string, pods: readonly Listener[], { connections, records }: ReplaySize): void {
  const random = createRandom(1, 'bench replay');
  const slots = Math.min(CONCURRENT, connections);
  const length = Math.max(2, Math.floor(records / connections));
  const client = new Uint32Array(slots);
  const server = new Uint32Array(slots);
  const clientPort = new Uint16Array(slots);
  const serverPort = new Uint16Array(slots);
  const protocol = new Uint8Array(slots);
  const sent = new Int32Array(slots);
  let opened = 0;
  const open = (slot: number): void => {
    // Clients have a few servers each: as in a cluster, connections are many and groups of them are not.
    const peer = random.below(pods.length);
    const kind = random.below(10);
    const stranger = kind === 9 ? (peer * 31 + random.skewed(3)) % OUTSIDE : random.skewed(OUTSIDE);
    const outside = OUTSIDE_FIRST + (Math.imul(stranger, 0x9e3779b1) >>> 6);
    const from = kind < 3 ? stranger : peer;
    const target = pods[(from * 7919 + random.skewed(4) * 104_729 + (kind < 3 ? 0 : 1)) % pods.length]!;
    const listener = kind === 9 ? undefined : target;
    client[slot] = kind < 3 ? outside : pods[peer]!.word;
    server[slot] = listener?.word ?? outside;
    protocol[slot] = listener?.port.protocol === 'UDP' ? 17 : 6;
    serverPort[slot] = listener?.port.port ?? 443;
    // Ephemeral; one comes round again long after its last connection has closed.
    clientPort[slot] = 32_768 + (opened % 28_000);
    sent[slot] = 0;
    opened++;
  };
  for (let slot = 0; slot < slots; slot++) open(slot);
  const writer = createBinaryWriter(createDictionary());
  const batch = createBatch(GROUP_ROWS);
  for (let row = 0; row < GROUP_ROWS; row++) clearRow(batch, row);
  batch.family.fill(4);
  batch.packets.fill(1);
  batch.orientation.fill(Orientation.Unknown);
  const file = openSync(path, 'w');
  let written = 0;
  for (let slot = 0; written < records; written++, slot = (slot + 1) % slots) {
    const row = batch.count++;
    const step = sent[slot]!;
    const isUdp = protocol[slot] === 17;
    const isReply = isUdp ? step % 2 === 1 : isTcpReply(step, length);
    batch.protocol[row] = protocol[slot]!;
    batch.src[row] = isReply ? server[slot]! : client[slot]!;
    batch.dst[row] = isReply ? client[slot]! : server[slot]!;
    batch.srcPort[row] = isReply ? serverPort[slot]! : clientPort[slot]!;
    batch.dstPort[row] = isReply ? clientPort[slot]! : serverPort[slot]!;
    batch.tcpFlags[row] = isUdp ? TcpFlag.Absent : flagsOf(step, length);
    batch.timeUs[row] = START_US + written * 25;
    batch.bytes[row] = 60 + random.below(1400);
    if (++sent[slot]! >= length) open(slot);
    if (batch.count === GROUP_ROWS || written + 1 === records) {
      writeSync(file, writer.write(batch));
      batch.count = 0;
    }
  }
  writeSync(file, writer.end());
  closeSync(file);
}

/** SYN, SYN ACK, ACK, data both ways, FIN ACK of both sides, last ACK. */
function flagsOf(step: number, length: number): number {
  if (step === 0) return TcpFlag.Syn;
  if (step === 1) return TcpFlag.Syn | TcpFlag.Ack;
  if (step === 2) return TcpFlag.Ack;
  if (length >= 8 && step >= length - 3) return step === length - 1 ? TcpFlag.Ack : TcpFlag.Fin | TcpFlag.Ack;
  return TcpFlag.Ack | TcpFlag.Psh;
}

function isTcpReply(step: number, length: number): boolean {
  if (step < 3) return step === 1;
  if (length >= 8 && step >= length - 3) return step === length - 2;
  return step % 2 === 1;
}

/** The engine on one thread, from the bytes of the trace to the sums, every row in TypeScript. */
export const openPlainReplay: OpenJob = (folder, options) => openReplay(folder, options, 'plain');

/** The same as it is by default: the WASM kernel takes what it can. */
export const openWasmReplay: OpenJob = (folder, options) => openReplay(folder, options, 'wasm');

function openReplay(folder: string, { values, passes }: JobOptions, kernel: 'plain' | 'wasm'): Job {
  const { snapshot, policies } = makeWorld({ pods: values['pods']!, policies: values['policies']! });
  const program = compile(snapshot, policies);
  const bytes = readFileSync(join(folder, 'trace.bin'));
  let last: Replay | undefined;
  const digest = (): number => hashOfResult(HASH_START, last!.finish([]));
  let passed = 0;
  return {
    count: values['records']!,
    run: async () => {
      // As the reference in C, which frees what a pass has made and takes it again.
      last?.close();
      const dictionary = createDictionary();
      const account = createAccount('trace.bin');
      const replay = (last = createReplay({
        program,
        dictionary,
        mode: 'connections',
        invalid: 'count',
        kernel,
      }));
      for await (const batch of readTrace(chunksOf(bytes), {
        file: 'trace.bin',
        account,
        dictionary,
        batchCapacity: GROUP_ROWS,
        batchUse: 'read',
        ...(replay.arena && { arena: replay.arena }),
      }))
        replay.add(batch as FlowBatch, account);
    },
    // What is compiled for a result, and left behind by it, would be part of the next pass: the last one answers for all, as in C.
    digest: (hash) => (++passed < passes ? hash : digest()),
    first: digest,
  };
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1 << 20) yield bytes.subarray(at, at + (1 << 20));
}

/** What contenders of a replay must agree on. */
export function hashOfResult(start: number, { totals, groups, invalid, partial }: ReplayResult): number {
  if (groups.length >= DEFAULT_GROUP_LIMIT) throw new Error('the reference pools no groups');
  let hash = start;
  for (const verdict of ['deny', 'undecidable', 'allow'] as const) {
    const { connections, records, bytes } = totals[verdict];
    const rest = partial[verdict];
    for (const sum of [connections + rest.connections, records + rest.records, bytes + rest.bytes])
      hash = mixHash(hash, (sum % 2 ** 32) | 0);
  }
  hash = mixHash(hash, groups.length);
  return mixHash(
    hash,
    [...invalid.values()].reduce((sum, { records }) => sum + records, 0),
  );
}
