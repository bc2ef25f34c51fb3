/**
 * Rows for the micro-benchmarks, seeded: flows to decide and packets to track, IPv4, as columns. Flows ask between pods and outside
 * addresses, mostly for ports that somebody listens on, so that allow and deny both occur.
 */
import { parseAddress } from '../src/model/address.ts';
import type { Snapshot } from '../src/model/cluster.ts';
import { clearRow, createBatch, type FlowBatch, TcpFlag } from '../src/model/flow.ts';
import { PORT_PROTOCOLS, Protocol } from '../src/model/port.ts';
import { createRandom } from '../src/generate/random.ts';
import { OUTSIDE_FIRST } from '../src/generate/traffic.ts';

/** Flows between pods (three in five) or with one side outside the cluster. */
export function makeFlows(snapshot: Snapshot, count: number, seed: number): FlowBatch {
  const random = createRandom(seed, 'bench flows');
  const words = new Uint32Array(4);
  const pods = snapshot.pods.map((pod) => {
    const address = pod.addresses.find((text) => parseAddress(text, words) === 4);
    if (address === undefined) throw new Error(`${pod.name} has no IPv4 address`);
    parseAddress(address, words);
    return { address: words[0]!, port: pod.ports[0]! };
  });
  const ports = [53, 80, 443, 5432, 5678, 6379, 8080, 8443];
  const batch = createBatch(count);
  for (let row = 0; row < count; row++) {
    clearRow(batch, row);
    const source = random.pick(pods);
    const destination = random.pick(pods);
    const kind = random.below(10);
    const outside = OUTSIDE_FIRST + random.below(0x0400_0000);
    batch.family[row] = 4;
    batch.src[row] = kind < 2 ? outside : source.address;
    batch.dst[row] = kind >= 8 ? outside : destination.address;
    const isListening = random.chance(70);
    batch.protocol[row] = isListening ? PORT_PROTOCOLS[destination.port.protocol] : Protocol.Tcp;
    batch.dstPort[row] = isListening ? destination.port.port : random.pick(ports);
  }
  batch.count = count;
  return batch;
}

/** The opening handshakes of `count` TCP connections, three rows each, in rounds: all SYN, all SYN ACK, all ACK. */
export function makeHandshakes(count: number): FlowBatch {
  const batch = createBatch(3 * count);
  const flags = [TcpFlag.Syn, TcpFlag.Syn | TcpFlag.Ack, TcpFlag.Ack];
  for (let row = 0; row < 3 * count; row++) {
    const step = Math.floor(row / count);
    setPacket(batch, row, row % count, step === 1 ? 'reply' : 'original', flags[step]!);
  }
  batch.count = 3 * count;
  return batch;
}

/** Data packets, in either direction, of connections drawn evenly from the `connections` of `makeHandshakes`. */
export function makeData(connections: number, count: number, seed: number): FlowBatch {
  const random = createRandom(seed, 'bench packets');
  const batch = createBatch(count);
  for (let row = 0; row < count; row++)
    setPacket(
      batch,
      row,
      random.below(connections),
      random.chance(50) ? 'reply' : 'original',
      TcpFlag.Ack | TcpFlag.Psh,
    );
  batch.count = count;
  return batch;
}

/** The five-tuple of a connection by its number: 4,096 servers and as many clients as it takes, no two alike. */
export function tupleOf(connection: number): {
  client: number;
  server: number;
  clientPort: number;
  serverPort: number;
} {
  return {
    client: 0x0a400000 + (Math.imul(connection, 0x9e3779b1) >>> 12),
    server: 0x0a800000 + (connection & 4095),
    clientPort: 32_768 + Math.floor(connection / 4096),
    serverPort: 8080,
  };
}

/** One TCP packet of a connection; times advance with rows. */
export function setPacket(
  batch: FlowBatch,
  row: number,
  connection: number,
  direction: 'original' | 'reply',
  flags: number,
): void {
  clearRow(batch, row);
  const { client, server, clientPort, serverPort } = tupleOf(connection);
  const isReply = direction === 'reply';
  batch.family[row] = 4;
  batch.protocol[row] = Protocol.Tcp;
  batch.src[row] = isReply ? server : client;
  batch.dst[row] = isReply ? client : server;
  batch.srcPort[row] = isReply ? serverPort : clientPort;
  batch.dstPort[row] = isReply ? clientPort : serverPort;
  batch.tcpFlags[row] = flags;
  batch.timeUs[row] = 1.79e15 + row;
  batch.bytes[row] = 100;
  batch.packets[row] = 1;
}
