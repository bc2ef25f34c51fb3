/** Decisions: a generated world, compiled once; every contender reads the same Program buffer and the same flows as columns. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from '../../src/compile/compile.ts';
import { type Program, programFrom, type ProgramSource } from '../../src/compile/program.ts';
import { decideBatch } from '../../src/decide/decide.ts';
import { policyObjects, snapshotObjects } from '../../src/fuzz/manifest.ts';
import { generateCluster } from '../../src/generate/cluster.ts';
import { generatePolicies } from '../../src/generate/policy.ts';
import type { Snapshot } from '../../src/model/cluster.ts';
import { clearRow, createBatch, createDictionary, type FlowBatch } from '../../src/model/flow.ts';
import type { Policy } from '../../src/model/policy.ts';
import { Verdict } from '../../src/model/verdict.ts';
import { createBulkDecider } from '../../src/replay/bulk.ts';
import { makeFlows } from '../traffic.ts';
import { readColumn, writeColumn } from './column.ts';
import { HASH_START, hashWords, mixHash, type OpenJob } from './job.ts';

/** What to prepare. */
export interface DecisionSize {
  readonly pods: number;
  readonly policies: number;
  readonly flows: number;
}

/** The world of a size; the same in every process. */
export function makeWorld({ pods, policies }: Pick<DecisionSize, 'pods' | 'policies'>): {
  snapshot: Snapshot;
  policies: readonly Policy[];
} {
  const snapshot = generateCluster({ pods, seed: 1, shape: 'production' });
  return { snapshot, policies: generatePolicies({ snapshot, count: policies, seed: 1 }) };
}

/** Leaves program.bin and the columns src.u32, dst.u32, protocol.u8, port.i32. */
export function prepareDecision(folder: string, size: DecisionSize): void {
  const world = makeWorld(size);
  const flows = makeFlows(world.snapshot, size.flows, 1);
  writeFileSync(join(folder, 'program.bin'), new Uint8Array(compile(world.snapshot, world.policies).buffer));
  writeColumn(folder, 'src.u32', flows.src);
  writeColumn(folder, 'dst.u32', flows.dst);
  writeColumn(folder, 'protocol.u8', flows.protocol);
  writeColumn(folder, 'port.i32', flows.dstPort);
}

/** Leaves objects.jsonl: the world as Kubernetes objects, for evaluators that read nothing else. */
export function writeObjects(folder: string, size: DecisionSize): void {
  const { snapshot, policies } = makeWorld(size);
  const objects = [...snapshotObjects(snapshot), ...policyObjects(policies)];
  writeFileSync(join(folder, 'objects.jsonl'), objects.map((object) => `${JSON.stringify(object)}\n`).join(''));
}

/** The engine in plain TypeScript. */
export const openPlainDecision: OpenJob = (folder, { sample }) => {
  const program = readProgram(folder);
  const batch = readFlows(folder);
  const out = new Int32Array(batch.count);
  const noAddresses6 = new Int32Array(0);
  return {
    count: batch.count,
    run: () => decideBatch(program, batch, noAddresses6, out),
    digest: () => hashWords(HASH_START, out, out.length),
    first: () => {
      let hash = HASH_START;
      for (let row = 0; row < Math.min(sample, out.length); row++)
        hash = mixHash(hash, Number((out[row]! & 3) === Verdict.Allow));
      return hash;
    },
    bytes: () => program.buffer.byteLength,
  };
};

/** The same by WASM, on columns in its memory. */
export const openWasmDecision: OpenJob = (folder, { sample }) => {
  const program = readProgram(folder);
  const flows = readFlows(folder);
  const { count } = flows;
  const { batch, decisions, decide } = createBulkDecider(program, createDictionary(), count);
  for (const name of ['family', 'src', 'dst', 'protocol', 'dstPort', 'icmp'] as const) batch[name].set(flows[name]);
  return {
    count,
    run: () => decide(count),
    digest: () => hashWords(HASH_START, decisions, count),
    first: () => {
      let hash = HASH_START;
      for (let row = 0; row < Math.min(sample, count); row++)
        hash = mixHash(hash, Number((decisions[row]! & 3) === Verdict.Allow));
      return hash;
    },
    bytes: () => program.buffer.byteLength,
  };
};

/** The Program that `prepareDecision` left, without what it was compiled from. */
export function readProgram(folder: string): Program {
  const bytes = readFileSync(join(folder, 'program.bin'));
  const buffer = new ArrayBuffer(bytes.byteLength);
  new Uint8Array(buffer).set(bytes);
  return programFrom(buffer, undefined as unknown as ProgramSource);
}

/** The flows that `prepareDecision` left. */
export function readFlows(folder: string): FlowBatch {
  const src = readColumn(folder, 'src.u32');
  const batch = createBatch(src.length);
  for (let row = 0; row < src.length; row++) clearRow(batch, row);
  batch.family.fill(4);
  batch.src.set(src);
  batch.dst.set(readColumn(folder, 'dst.u32'));
  batch.protocol.set(readColumn(folder, 'protocol.u8'));
  batch.dstPort.set(readColumn(folder, 'port.i32'));
  batch.count = src.length;
  return batch;
}
