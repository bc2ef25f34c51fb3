/**
 * Synthetic traffic of a cluster as a pcap file, written in constant memory: a fixed number of connections is open at any time, each sends its next
 * packet in turn, and one that has ended makes room for the next. Time advances evenly with records, so a trace twice as long has as many
 * connections open as a short one. Every packet is seen once, as on the link of the pod that it concerns.
 */
import { parseAddress } from '../model/address.ts';
import type { Snapshot } from '../model/cluster.ts';
import { createRandom, type Random } from './random.ts';

/** What to make, and for which cluster. */
export interface TrafficOptions {
  readonly snapshot: Snapshot;
  readonly seed: number;
  /** Packets in all, exact. */
  readonly records: number;
  /** Connections in all, exact; at most `records`. */
  readonly connections: number;
  /** Addresses outside the cluster, each of which occurs where `connections` allows it (about half of these lead in or out); at most 2^26. */
  readonly outside: number;
  /** Connections that send in turn. With `recordsPerSecond`, how long one lives: default 20,000 and 2,800 give about a minute. */
  readonly concurrent?: number;
  readonly recordsPerSecond?: number;
  /** Of the connections with outside addresses so many in a hundred use IPv6, where the pod has such an address; default 0. */
  readonly ipv6OutsidePercent?: number;
}

/** What was written; `outside` counts addresses that occurred. */
export interface TrafficSummary {
  readonly records: number;
  readonly connections: number;
  readonly tcp: number;
  readonly udp: number;
  readonly ipv6: number;
  readonly throughService: number;
  readonly outside: number;
  readonly bytes: number;
}

/** The first address outside: 20.0.0.0/6, which no generated pod, node or Service has. */
export const OUTSIDE_FIRST = 0x1400_0000;

const OUTSIDE6_FIRST = 0x2600_0000;
const OUTSIDE_BITS = 26;
const CHUNK_BYTES = 1 << 20;
/** pcap record header, Ethernet, IPv6, TCP: the longest record. */
const RECORD_BYTES_MAX = 16 + 14 + 40 + 20;
const START_S = 1_790_000_000;

const enum Plan {
  /** Opening, data both ways, closing. */
  Tcp = 0,
  /** Opening answered by RST, or not at all. */
  TcpRefused = 1,
  Udp = 2,
}

const enum Flag {
  Fin = 1,
  Syn = 2,
  Rst = 4,
  Psh = 8,
  Ack = 16,
}

/** Yields the file in chunks, each a buffer of its own; the generator's return value says what was written. */
export function* generateTraffic(options: TrafficOptions): Generator<Uint8Array, TrafficSummary> {
  const { records, connections, outside, seed } = options;
  if (connections < 1 || connections > records || outside < 1 || outside > 2 ** OUTSIDE_BITS)
    throw new RangeError('expected 1 <= connections <= records, and 1 <= outside <= 2^26');
  const stepUs = 1_000_000 / (options.recordsPerSecond ?? 2_800);
  const world = describeWorld(options.snapshot);
  const table = createTable(Math.min(options.concurrent ?? 20_000, connections));
  const opener = new Opener(world, table, createRandom(seed, 'traffic'), options);
  const random = createRandom(seed, 'packet');

  let buffer = new Uint8Array(CHUNK_BYTES);
  let view = new DataView(buffer.buffer);
  let at = writeFileHeader(view);
  let bytes = 0;
  let open = table.size;
  for (let slot = 0; slot < open; slot++) opener.open(slot);
  for (let written = 0, slot = 0; written < records; written++) {
    if (at + RECORD_BYTES_MAX > CHUNK_BYTES) {
      bytes += at;
      yield buffer.subarray(0, at);
      buffer = new Uint8Array(CHUNK_BYTES);
      view = new DataView(buffer.buffer);
      at = 0;
    }
    if (slot >= open) slot = 0;
    at = writeRecord(view, at, START_S * 1_000_000 + Math.floor(written * stepUs), world, table, slot, random, written);
    if (++table.sent[slot]! < table.length[slot]!) {
      slot++;
      continue;
    }
    if (opener.opened < connections) {
      opener.open(slot);
      slot++;
    } else copySlot(table, --open, slot);
  }
  bytes += at;
  yield buffer.subarray(0, at);
  return { ...opener.summary(), records, connections, bytes };
}

/** What addresses there are: pods by number, and for each what it listens on and the Service in front of it. */
interface World {
  readonly count: number;
  readonly v4: Uint32Array;
  /** Four words a pod. */
  readonly v6: Uint32Array;
  readonly port: Uint16Array;
  readonly isUdp: Uint8Array;
  /** ClusterIP of the pod's Service, 0 where it has none. */
  readonly service: Uint32Array;
  /** First pod and number of pods of the namespace that the pod is in; pods of a namespace follow one another. */
  readonly first: Uint32Array;
  readonly siblings: Uint32Array;
  /** Pods 0 up to here serve DNS. */
  readonly dnsCount: number;
}

function describeWorld({ pods, services }: Snapshot): World {
  const count = pods.length;
  const world: World = {
    count,
    v4: new Uint32Array(count),
    v6: new Uint32Array(4 * count),
    port: new Uint16Array(count),
    isUdp: new Uint8Array(count),
    service: new Uint32Array(count),
    first: new Uint32Array(count),
    siblings: new Uint32Array(count),
    dnsCount: pods.filter(({ namespace }) => namespace === 'kube-system').length,
  };
  const words = new Uint32Array(4);
  const clusterAddress = new Map<string, number>();
  for (const { namespace, name, clusterAddresses } of services)
    if (clusterAddresses[0] !== undefined && parseAddress(clusterAddresses[0], words) === 4)
      clusterAddress.set(`${namespace}/${name}`, words[0]!);
  let first = 0;
  for (let index = 0; index < count; index++) {
    const pod = pods[index]!;
    for (const address of pod.addresses)
      if (parseAddress(address, words) === 4) world.v4[index] = words[0]!;
      else world.v6.set(words, 4 * index);
    world.port[index] = pod.ports[0]?.port ?? 80;
    world.isUdp[index] = pod.ports[0]?.protocol === 'UDP' ? 1 : 0;
    world.service[index] = clusterAddress.get(`${pod.namespace}/${pod.workload.name}`) ?? 0;
    if (pod.namespace !== pods[first]!.namespace) first = index;
    world.first[index] = first;
  }
  for (let index = count - 1, end = count; index >= 0; index--) {
    world.siblings[index] = end - world.first[index]!;
    if (index === world.first[index]) end = index;
  }
  return world;
}

/** Connections that are open, one a slot. Addresses of family 6 are pod numbers; from `World.count` on, addresses outside. */
interface Table {
  readonly size: number;
  readonly plan: Uint8Array;
  readonly family: Uint8Array;
  readonly client: Uint32Array;
  readonly server: Uint32Array;
  readonly clientPort: Uint16Array;
  readonly serverPort: Uint16Array;
  readonly clientSeq: Uint32Array;
  readonly serverSeq: Uint32Array;
  readonly sent: Int32Array;
  readonly length: Int32Array;
}

function createTable(size: number): Table {
  const words = (): Uint32Array => new Uint32Array(size);
  return {
    size,
    plan: new Uint8Array(size),
    family: new Uint8Array(size),
    client: words(),
    server: words(),
    clientPort: new Uint16Array(size),
    serverPort: new Uint16Array(size),
    clientSeq: words(),
    serverSeq: words(),
    sent: new Int32Array(size),
    length: new Int32Array(size),
  };
}

function copySlot(table: Table, from: number, to: number): void {
  table.plan[to] = table.plan[from]!;
  table.family[to] = table.family[from]!;
  table.client[to] = table.client[from]!;
  table.server[to] = table.server[from]!;
  table.clientPort[to] = table.clientPort[from]!;
  table.serverPort[to] = table.serverPort[from]!;
  table.clientSeq[to] = table.clientSeq[from]!;
  table.serverSeq[to] = table.serverSeq[from]!;
  table.sent[to] = table.sent[from]!;
  table.length[to] = table.length[from]!;
}

/** Opens connections: who, with whom, over what, and how many packets, so that the sums come out exactly. */
class Opener {
  opened = 0;
  private recordsLeft: number;
  private outsideUsed = 0;
  private tcp = 0;
  private udp = 0;
  private ipv6 = 0;
  private throughService = 0;

  constructor(
    private readonly world: World,
    private readonly table: Table,
    private readonly random: Random,
    private readonly options: TrafficOptions,
  ) {
    this.recordsLeft = options.records;
  }

  open(slot: number): void {
    const { world, table, random } = this;
    let isUdp = false;
    table.family[slot] = 4;
    const kind = random.below(100);
    if (kind < 40) {
      const pod = random.skewed(world.count);
      this.setEnds(slot, 'inbound', pod);
      isUdp = world.isUdp[pod] === 1;
      // A scan now and then, over TCP: its flags say who asks.
      table.serverPort[slot] = isUdp || random.chance(95) ? world.port[pod]! : 1 + random.below(65_535);
    } else if (kind < 50) {
      this.setEnds(slot, 'outbound', random.below(world.count));
      table.serverPort[slot] = 443;
    } else isUdp = this.openInside(slot, kind >= 85);
    // Above every port that a pod listens on. One comes round again after three minutes at the default rate, when trackers have
    // forgotten its last connection.
    table.clientPort[slot] = 10_240 + (this.opened % 55_000);
    table.clientSeq[slot] = random.next();
    table.serverSeq[slot] = random.next();
    table.sent[slot] = 0;
    this.takeLength(slot, isUdp);
    this.opened++;
    if (isUdp) this.udp++;
    else this.tcp++;
  }

  summary(): Pick<TrafficSummary, 'tcp' | 'udp' | 'ipv6' | 'throughService' | 'outside'> {
    const { tcp, udp, ipv6, throughService, options } = this;
    return { tcp, udp, ipv6, throughService, outside: Math.min(this.outsideUsed, options.outside) };
  }

  /** Pod to pod, mostly within a namespace, or to DNS; a third through the Service, a tenth over IPv6. True for UDP. */
  private openInside(slot: number, isLookUp: boolean): boolean {
    const { world, table, random } = this;
    const client = random.below(world.count);
    const near = world.first[client]! + random.skewed(world.siblings[client]!);
    let server = isLookUp ? random.below(world.dnsCount) : random.chance(75) ? near : random.skewed(world.count);
    // A pod that talks to itself is seen on no link.
    if (server === client) server = (client + 1) % world.count;
    table.serverPort[slot] = world.port[server]!;
    if (random.chance(10)) {
      table.family[slot] = 6;
      table.client[slot] = client;
      table.server[slot] = server;
      this.ipv6++;
    } else {
      table.client[slot] = world.v4[client]!;
      const isTranslated = world.service[server] !== 0 && random.chance(isLookUp ? 100 : 33);
      table.server[slot] = isTranslated ? world.service[server]! : world.v4[server]!;
      if (isTranslated) this.throughService++;
    }
    return world.isUdp[server] === 1;
  }

  /** One end a pod, the other outside; both of one family. */
  private setEnds(slot: number, way: 'inbound' | 'outbound', pod: number): void {
    const { world, table, random, options } = this;
    const percent = options.ipv6OutsidePercent ?? 0;
    const isV6 = percent > 0 && world.v6[4 * pod] !== 0 && random.chance(percent);
    const outside = this.outsideAddress();
    const own = isV6 ? pod : world.v4[pod]!;
    const other = isV6 ? world.count + (outside - OUTSIDE_FIRST) : outside;
    if (isV6) {
      table.family[slot] = 6;
      this.ipv6++;
    }
    table.client[slot] = way === 'inbound' ? other : own;
    table.server[slot] = way === 'inbound' ? own : other;
  }

  /** Each address once first, then some often and most rarely. An odd factor permutes the numbers below 2^26. */
  private outsideAddress(): number {
    const { outside } = this.options;
    const number = this.outsideUsed < outside ? this.outsideUsed : this.random.skewed(outside);
    this.outsideUsed++;
    return OUTSIDE_FIRST + ((Math.imul(number, 0x9e3779b1) >>> (32 - OUTSIDE_BITS)) << 0);
  }

  /** About the mean of what is left, so that errors do not add up; the last connection takes the rest. */
  private takeLength(slot: number, isUdp: boolean): void {
    const { random, table, options } = this;
    const others = options.connections - this.opened - 1;
    const mean = this.recordsLeft / (others + 1);
    let length: number;
    let plan: Plan = isUdp ? Plan.Udp : Plan.Tcp;
    if (others === 0) length = this.recordsLeft;
    else if (isUdp) length = 2 + 2 * random.below(2);
    else if (random.chance(3)) {
      plan = Plan.TcpRefused;
      length = 1 + random.below(2);
    } else length = Math.round(mean * 1.3) - 2 + random.below(5);
    length = Math.max(1, Math.min(length, this.recordsLeft - others));
    table.plan[slot] = plan;
    table.length[slot] = length;
    this.recordsLeft -= length;
  }
}

function writeFileHeader(view: DataView): number {
  view.setUint32(0, 0xa1b2c3d4, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, 96, true);
  view.setUint32(20, 1, true);
  return 24;
}

/** One packet of a slot's connection: headers alone, as a capture with a short snap length keeps them. Returns the next offset. */
function writeRecord(
  view: DataView,
  start: number,
  timeUs: number,
  world: World,
  table: Table,
  slot: number,
  random: Random,
  number: number,
): number {
  const isUdp = table.plan[slot] === Plan.Udp;
  const isV6 = table.family[slot] === 6;
  const step = table.sent[slot]!;
  const flags = isUdp ? 0 : tcpFlags(table.plan[slot]!, step, table.length[slot]!);
  const isReply = isUdp ? step % 2 === 1 : isTcpReply(table.plan[slot]!, step, table.length[slot]!);
  const payload = isUdp ? 40 + random.below(400) : (flags & Flag.Psh) !== 0 ? 1 + random.below(1400) : 0;
  const transport = isUdp ? 8 : 20;
  const network = isV6 ? 40 : 20;
  const kept = 14 + network + transport;

  const seconds = Math.floor(timeUs / 1_000_000);
  view.setUint32(start, seconds, true);
  view.setUint32(start + 4, timeUs - seconds * 1_000_000, true);
  view.setUint32(start + 8, kept, true);
  view.setUint32(start + 12, kept + payload, true);
  const frame = start + 16;
  view.setUint32(frame, 0x02000000);
  view.setUint16(frame + 4, isReply ? 1 : 2);
  view.setUint32(frame + 6, 0x02000000);
  view.setUint16(frame + 10, isReply ? 2 : 1);
  view.setUint16(frame + 12, isV6 ? 0x86dd : 0x0800);

  const ip = frame + 14;
  const from = isReply ? table.server[slot]! : table.client[slot]!;
  const to = isReply ? table.client[slot]! : table.server[slot]!;
  if (isV6) {
    view.setUint32(ip, 0x60000000);
    view.setUint16(ip + 4, transport + payload);
    view.setUint16(ip + 6, ((isUdp ? 17 : 6) << 8) | 63);
    for (let word = 0; word < 4; word++) {
      view.setUint32(ip + 8 + 4 * word, wordOf(world, from, word));
      view.setUint32(ip + 24 + 4 * word, wordOf(world, to, word));
    }
  } else {
    const length = network + transport + payload;
    view.setUint16(ip, 0x4500);
    view.setUint16(ip + 2, length);
    view.setUint16(ip + 4, number & 0xffff);
    view.setUint16(ip + 6, 0x4000);
    view.setUint16(ip + 8, (63 << 8) | (isUdp ? 17 : 6));
    view.setUint32(ip + 12, from);
    view.setUint32(ip + 16, to);
    const sum = 0x4500 + length + (number & 0xffff) + 0x4000 + ((63 << 8) | (isUdp ? 17 : 6));
    view.setUint16(ip + 10, checksum(sum + (from >>> 16) + (from & 0xffff) + (to >>> 16) + (to & 0xffff)));
  }

  const l4 = ip + network;
  view.setUint16(l4, isReply ? table.serverPort[slot]! : table.clientPort[slot]!);
  view.setUint16(l4 + 2, isReply ? table.clientPort[slot]! : table.serverPort[slot]!);
  if (isUdp) view.setUint16(l4 + 4, transport + payload);
  else writeTcp(view, l4, table, slot, isReply ? 'reply' : 'original', flags, payload, random);
  return l4 + transport;
}

/** A word of an IPv6 address by its number: a pod's, or one of 2600::/64 outside. */
function wordOf(world: World, number: number, word: number): number {
  if (number < world.count) return world.v6[4 * number + word]!;
  return word === 0 ? OUTSIDE6_FIRST : word === 3 ? number - world.count : 0;
}

/** Sequence numbers advance with what is sent; one data packet in two hundred is sent under its old number again. */
function writeTcp(
  view: DataView,
  at: number,
  table: Table,
  slot: number,
  direction: 'original' | 'reply',
  flags: number,
  payload: number,
  random: Random,
): void {
  const [own, peer] = direction === 'reply' ? [table.serverSeq, table.clientSeq] : [table.clientSeq, table.serverSeq];
  view.setUint32(at + 4, own[slot]!);
  view.setUint32(at + 8, (flags & Flag.Ack) === 0 ? 0 : peer[slot]!);
  view.setUint16(at + 12, 0x5000 | flags);
  view.setUint16(at + 14, 64_240);
  if (payload > 0 && random.chance(0.5)) return;
  own[slot] = own[slot]! + payload + ((flags & (Flag.Syn | Flag.Fin)) === 0 ? 0 : 1);
}

/** SYN, SYN/ACK, ACK, data in turns, FIN, FIN/ACK, ACK; a connection too short for that stays open, or ends with RST. */
function tcpFlags(plan: number, step: number, length: number): number {
  if (step === 0) return Flag.Syn;
  if (plan === Plan.TcpRefused) return Flag.Rst | Flag.Ack;
  if (step === 1) return Flag.Syn | Flag.Ack;
  if (step === 2) return Flag.Ack;
  if (length < 7) return Flag.Psh | Flag.Ack;
  const left = length - step;
  if (left > 3) return Flag.Psh | Flag.Ack;
  return left === 1 ? Flag.Ack : Flag.Fin | Flag.Ack;
}

function isTcpReply(plan: number, step: number, length: number): boolean {
  if (step < 3 || plan === Plan.TcpRefused) return step === 1;
  if (length >= 7 && length - step <= 3) return length - step === 2;
  return step % 2 === 0;
}

function checksum(sum: number): number {
  const once = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~((once & 0xffff) + (once >>> 16)) & 0xffff;
}
