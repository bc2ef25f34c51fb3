/**
 * The connection table with its whole TCP machine: so many connections are open, and packets of them come in no order, evenly drawn. One in
 * fifty draws begins to close its connection, which is then closed and opened again packet by packet, so that every state is passed.
 */
import { createRandom } from '../../src/generate/random.ts';
import { createBatch, TcpFlag } from '../../src/model/flow.ts';
import { createBulkTracker } from '../../src/replay/bulk.ts';
import { createTracker } from '../../src/track/tracker.ts';
import { setPacket, tupleOf } from '../traffic.ts';
import { readColumn, writeColumn } from './column.ts';
import { HASH_START, hashWords, type OpenJob } from './job.ts';

/** What to prepare. */
export interface ConnectionSize {
  readonly live: number;
  readonly packets: number;
}

/** Microseconds between packets, and from one pass to the next. */
const STEP_US = 1;
const START_US = 1.79e15;

/** How an open connection is closed and opened again: flags, and who sends. */
const CYCLE = [
  [TcpFlag.Fin | TcpFlag.Ack, 0],
  [TcpFlag.Ack, 1],
  [TcpFlag.Fin | TcpFlag.Ack, 1],
  [TcpFlag.Ack, 0],
  [TcpFlag.Syn, 0],
  [TcpFlag.Syn | TcpFlag.Ack, 1],
  [TcpFlag.Ack, 0],
] as const;

/** Leaves src.u32, dst.u32, ports.u32 (source << 16 | destination), flags.u16 and timeUs.f64. */
export function prepareConnections(folder: string, { live, packets }: ConnectionSize): void {
  const random = createRandom(1, `bench connections ${live}`);
  const phase = new Uint8Array(live);
  const src = new Uint32Array(packets);
  const dst = new Uint32Array(packets);
  const ports = new Uint32Array(packets);
  const flags = new Uint16Array(packets);
  const timeUs = new Float64Array(packets);
  for (let row = 0; row < packets; row++) {
    const connection = random.below(live);
    const { client, server, clientPort, serverPort } = tupleOf(connection);
    let isReply = random.chance(50);
    let flag: number = TcpFlag.Ack | TcpFlag.Psh;
    if (phase[connection]! > 0 || random.below(50) === 0) {
      const [own, side] = CYCLE[phase[connection]!]!;
      flag = own;
      isReply = side === 1;
      phase[connection] = (phase[connection]! + 1) % CYCLE.length;
    }
    src[row] = isReply ? server : client;
    dst[row] = isReply ? client : server;
    ports[row] = isReply ? (serverPort << 16) | clientPort : (clientPort << 16) | serverPort;
    flags[row] = flag;
    timeUs[row] = START_US + row * STEP_US;
  }
  writeColumn(folder, 'src.u32', src);
  writeColumn(folder, 'dst.u32', dst);
  writeColumn(folder, 'ports.u32', ports);
  writeColumn(folder, 'flags.u16', flags);
  writeColumn(folder, 'timeUs.f64', timeUs);
}

/** Microseconds from one pass to the next. */
export function spanUs(packets: number): number {
  return packets * STEP_US;
}

/** The engine's tracker in plain TypeScript. `values.live` connections are opened before the first pass. */
export const openPlainConnections: OpenJob = (folder, { sample, values }) => {
  const ports = readColumn(folder, 'ports.u32');
  const count = ports.length;
  const batch = createBatch(count);
  batch.family.fill(4);
  batch.protocol.fill(6);
  batch.src.set(readColumn(folder, 'src.u32'));
  batch.dst.set(readColumn(folder, 'dst.u32'));
  batch.tcpFlags.set(readColumn(folder, 'flags.u16'));
  batch.timeUs.set(readColumn(folder, 'timeUs.f64'));
  for (let row = 0; row < count; row++) {
    batch.srcPort[row] = ports[row]! >>> 16;
    batch.dstPort[row] = ports[row]! & 0xffff;
  }
  batch.count = count;
  const tracker = createTracker({});
  openAll(values['live']!, batch.timeUs[0]!, (opening, row) => tracker.track(opening, row));
  const out = new Int32Array(count);
  return {
    count,
    run: () => {
      for (let row = 0; row < count; row++) out[row] = tracker.track(batch, row);
    },
    digest: (hash) => {
      // Between two passes: the next one comes later.
      for (let row = 0; row < count; row++) batch.timeUs[row]! += spanUs(count);
      return hashWords(hash, out, count);
    },
    first: () => hashWords(HASH_START, out, Math.min(sample, count)),
    bytes: () => tracker.bytes,
  };
};

/** The same by WASM, on columns in its memory. */
export const openWasmConnections: OpenJob = (folder, { sample, values }) => {
  const ports = readColumn(folder, 'ports.u32');
  const count = ports.length;
  const bulk = createBulkTracker({}, count);
  const timeUs = readColumn(folder, 'timeUs.f64');
  openAll(values['live']!, timeUs[0]!, (opening, row) => bulk.tracker.track(opening, row));
  // The table has grown to its size, and the columns stay where they are from here on.
  bulk.track(0);
  const { batch } = bulk;
  batch.family.fill(4);
  batch.protocol.fill(6);
  batch.src.set(readColumn(folder, 'src.u32'));
  batch.dst.set(readColumn(folder, 'dst.u32'));
  batch.tcpFlags.set(readColumn(folder, 'flags.u16'));
  batch.timeUs.set(timeUs);
  for (let row = 0; row < count; row++) {
    batch.srcPort[row] = ports[row]! >>> 16;
    batch.dstPort[row] = ports[row]! & 0xffff;
  }
  return {
    count,
    run: () => bulk.track(count),
    digest: (hash) => {
      for (let row = 0; row < count; row++) bulk.batch.timeUs[row]! += spanUs(count);
      return hashWords(hash, Int32Array.from(bulk.states), count);
    },
    first: () => hashWords(HASH_START, Int32Array.from(bulk.states), Math.min(sample, count)),
    bytes: () => bulk.tracker.bytes,
  };
};

/** SYN of every connection, then SYN ACK, then ACK, all at one time. */
export function openAll(
  live: number,
  timeUs: number,
  track: (batch: ReturnType<typeof createBatch>, row: number) => void,
): void {
  const batch = createBatch(1);
  batch.count = 1;
  const flags = [TcpFlag.Syn, TcpFlag.Syn | TcpFlag.Ack, TcpFlag.Ack];
  for (let step = 0; step < 3; step++)
    for (let connection = 0; connection < live; connection++) {
      setPacket(batch, 0, connection, step === 1 ? 'reply' : 'original', flags[step]!);
      batch.timeUs[0] = timeUs;
      track(batch, 0);
    }
}
