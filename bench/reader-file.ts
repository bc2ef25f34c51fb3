/**
 * Large trace files for bench/reader.ts, made from real records: pods, ports, sequence numbers and times are varied, the shape of
 * every record stays that of its seed. Seeds come from a folder of samples where one is given, else from the project's own
 * capture of a test cluster. Same seed number, same bytes.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createRandom, type Random } from '../src/generate/random.ts';
import type { RandomAccess } from '../src/trace/format.ts';

/** A file that was made, or was there already. */
export interface TraceFile {
  readonly path: string;
  readonly size: number;
}

/** Where seeds are and how much is wanted. */
export interface FileOptions {
  /** Folder of the made files. */
  readonly folder: string;
  /** Bytes at least. */
  readonly size: number;
  /** A folder with `aws`, `hubble` and `pcap` in it; undefined: the project's own traces. */
  readonly samples: string | undefined;
}

const OWN = 'traces/app1';
/** Endpoints that take part in a made Hubble trace, its connections at one time, and flows of a VPC one. */
const PODS = 400;
const LIVE = 4096;
const FLOWS = 20_000;
const BUFFER_SIZE = 1 << 20;

/** A Hubble export: the seeds' records between `PODS` pods, each with its own labels, name and address. */
export function makeHubble(options: FileOptions): TraceFile {
  return make(options, 'hubble.jsonl', (random, write) => {
    const seeds = hubbleSeeds(options).map((line) => JSON.parse(line) as HubbleRecord);
    const endpoints = seeds
      .flatMap(({ flow }) => [flow.source, flow.destination])
      .filter((endpoint) => endpoint?.['pod_name'] !== undefined) as Json[];
    const pods = Array.from({ length: PODS }, (_, index) => makePod(endpoints[index % endpoints.length]!, index));
    const live = Array.from({ length: LIVE }, () => makePair(random));
    let timeUs = Date.UTC(2026, 0, 2) * 1000;
    for (;;) {
      const record = structuredClone(seeds[random.below(seeds.length)]!);
      const { flow } = record;
      const slot = random.below(live.length);
      // A connection is seen in about seven records.
      if (random.below(7) === 0) live[slot] = makePair(random);
      const { from, to, port } = live[slot]!;
      vary(flow, 'source', pods[from]!);
      vary(flow, 'destination', pods[to]!);
      for (const part of Object.values(flow.l4 ?? {}))
        for (const key of ['source_port', 'destination_port']) if ((part[key] as number) > 32_000) part[key] = port;
      timeUs += random.below(400);
      const time = `${new Date(timeUs / 1000).toISOString().slice(0, 19)}.${String(timeUs % 1e6).padStart(6, '0')}${String(random.below(1000)).padStart(3, '0')}Z`;
      if (flow['time'] !== undefined) flow['time'] = time;
      if (record['time'] !== undefined) record['time'] = time;
      if (write(Buffer.from(`${JSON.stringify(record)}\n`)) === 'enough') return;
    }
  });
}

/** A VPC flow log with a header: `FLOWS` flows, each reported again in every window, by one interface or both. */
export function makeVpc(options: FileOptions): TraceFile {
  return make(options, 'vpc.log', (random, write) => {
    const [header, ...seeds] = vpcSeeds(options);
    write(Buffer.from(`${header}\n`));
    const columns = header!.split(' ');
    const at = (name: string): number => columns.indexOf(name);
    const flows = Array.from({ length: FLOWS }, () => {
      const fields = seeds[random.below(seeds.length)]!.split(' ');
      fields[at('interface-id')] = `eni-${hex(random, 17)}`;
      fields[at('srcaddr')] = `172.31.${random.below(64)}.${random.below(256)}`;
      fields[at('dstaddr')] = `172.31.${random.below(64)}.${random.below(256)}`;
      fields[at('srcport')] = String(32_768 + random.below(28_000));
      return fields;
    });
    for (let start = 1_767_312_000; ; start += 60)
      for (const fields of flows) {
        fields[at('packets')] = String(1 + random.below(500));
        fields[at('bytes')] = String(60 + random.below(500_000));
        fields[at('start')] = String(start + random.below(60));
        fields[at('end')] = String(start + 60);
        if (write(Buffer.from(`${fields.join(' ')}\n`)) === 'enough') return;
      }
  });
}

/** An Ethernet capture of one interface. */
export function makePcap(options: FileOptions): TraceFile {
  return makeCapture(options, 'ethernet.pcap', 'pcap/va_eth_ns.pcap', 14);
}

/** A capture on all interfaces (SLL2): forwarded packets are in it twice, in order. */
export function makePcapAny(options: FileOptions): TraceFile {
  return makeCapture(options, 'any.pcap', 'pcap/any_sll2.pcap', 20);
}

/** A file that can be read anywhere, as Parquet is. */
export function openFile(path: string): { readonly randomAccess: RandomAccess; readonly close: () => void } {
  const handle = openSync(path, 'r');
  const { size } = fstatSync(handle);
  const randomAccess: RandomAccess = {
    byteLength: size,
    slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      readSync(handle, bytes, 0, bytes.length, start);
      return Promise.resolve(bytes.buffer);
    },
  };
  return { randomAccess, close: () => closeSync(handle) };
}

type Json = Record<string, unknown>;

interface HubbleRecord extends Json {
  readonly flow: Json & {
    source?: Json;
    destination?: Json;
    readonly IP?: Json;
    readonly l4?: Record<string, Json>;
  };
}

function hubbleSeeds({ samples }: FileOptions): string[] {
  const paths =
    samples === undefined
      ? [`${OWN}/hubble.jsonl`]
      : ['tcp-first-80-in-order', 'tcp-mixed-2021-11', 'udp-dns-mixed-2021-11', 'icmpv4-2021-11', 'policy-verdict-redirected-2021-11'].map((name) => `${samples}/hubble/${name}.jsonl`); // prettier-ignore
  return paths
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => line.includes('"flow"') || line.includes('"verdict"'));
}

function vpcSeeds({ samples }: FileOptions): string[] {
  const text =
    samples === undefined
      ? 'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n' +
        '2 111122223333 eni-0 10.0.0.1 10.0.0.2 40000 443 6 10 4000 1 2 ACCEPT OK\n'
      : readFileSync(`${samples}/aws/vpc-v2-header.log`, 'utf8');
  return text.split('\n').filter((line) => line.trim() !== '');
}

interface Pair {
  readonly from: number;
  readonly to: number;
  readonly port: number;
}

function makePair(random: Random): Pair {
  return { from: random.below(PODS), to: random.below(PODS), port: 32_768 + random.below(28_000) };
}

interface Pod {
  readonly address: string;
  readonly endpoint: Json;
}

function makePod(seed: Json, index: number): Pod {
  const endpoint: Json = { ...seed, ID: 100 + index, identity: 5000 + index };
  endpoint['pod_name'] = `${String(seed['pod_name']).slice(0, -5)}${(index + 60_466_176).toString(36).slice(-5)}`;
  return { address: `10.244.${index >> 8}.${index & 255}`, endpoint };
}

function vary(flow: HubbleRecord['flow'], side: 'source' | 'destination', { address, endpoint }: Pod): void {
  if (flow[side]?.['pod_name'] === undefined) return;
  flow[side] = endpoint;
  if (flow.IP !== undefined && String(flow.IP[side]).includes('.')) flow.IP[side] = address;
}

/** The capture again and again; in each round addresses, client ports, sequence numbers and times move together. */
function makeCapture(options: FileOptions, name: string, sample: string, networkAt: number): TraceFile {
  return make(options, name, (random, write) => {
    const seed = readFileSync(options.samples === undefined ? `${OWN}/capture.pcap` : `${options.samples}/${sample}`);
    const header = Buffer.from(seed.subarray(0, 24));
    const link = options.samples === undefined ? seed.readUInt32LE(20) : 0;
    const skip = link === 276 ? 20 : networkAt;
    write(header);
    const isNanosecond = seed.readUInt32LE(0) === 0xa1b23c4d;
    const first = seed.readUInt32LE(24);
    for (let seconds = 1_767_312_000; ; seconds += 2) {
      const [site, ports, sequence] = [random.below(64), random.below(20_000), random.below(2 ** 31)];
      for (let at = 24; at < seed.length;) {
        const captured = seed.readUInt32LE(at + 8);
        const packet = Buffer.from(seed.subarray(at, at + 16 + captured));
        at += 16 + captured;
        packet.writeUInt32LE(seconds + Math.min(1, packet.readUInt32LE(0) - first), 0);
        if (isNanosecond) packet.writeUInt32LE(packet.readUInt32LE(4) - (packet.readUInt32LE(4) % 1000), 4);
        varyPacket(packet, 16 + skip, site, ports, sequence);
        if (write(packet) === 'enough') return;
      }
    }
  });
}

function varyPacket(packet: Buffer, at: number, site: number, ports: number, sequence: number): void {
  if (packet.length < at + 40 || packet[at] !== 0x45) return;
  packet[at + 14] = packet[at + 14]! ^ site;
  packet[at + 18] = packet[at + 18]! ^ site;
  if (packet[at + 9] !== 6 && packet[at + 9] !== 17) return;
  for (const port of [at + 20, at + 22]) {
    const value = packet.readUInt16BE(port);
    if (value >= 32_768) packet.writeUInt16BE(32_768 + ((value - 32_768 + ports) % 28_000), port);
  }
  if (packet[at + 9] === 6) packet.writeUInt32BE((packet.readUInt32BE(at + 24) + sequence) >>> 0, at + 24);
}

type Write = (bytes: Uint8Array) => 'enough' | 'more';

function make(
  { folder, size, samples }: FileOptions,
  name: string,
  fill: (random: Random, write: Write) => void,
): TraceFile {
  const path = `${folder}/${samples === undefined ? 'own' : 'sample'}-${size}-${name}`;
  if (!existsSync(path)) {
    const file = openSync(`${path}.partial`, 'w');
    let buffer = Buffer.alloc(BUFFER_SIZE + 65_536);
    let held = 0;
    let written = 0;
    fill(createRandom(1, name), (bytes) => {
      if (held + bytes.length > buffer.length) {
        writeSync(file, buffer, 0, held);
        held = 0;
        if (bytes.length > buffer.length) buffer = Buffer.alloc(bytes.length);
      }
      buffer.set(bytes, held);
      held += bytes.length;
      written += bytes.length;
      return written >= size ? 'enough' : 'more';
    });
    writeSync(file, buffer, 0, held);
    closeSync(file);
    renameSync(`${path}.partial`, path);
  }
  return { path, size: statSync(path).size };
}

function hex(random: Random, digits: number): string {
  let text = '';
  while (text.length < digits) text += random.below(16).toString(16);
  return text;
}
