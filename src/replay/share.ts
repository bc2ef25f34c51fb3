/**
 * Which thread a row belongs to: all rows that can meet in one connection fall into the same bucket, in either direction, and an
 * ICMP error goes with the flow that it quotes.
 */
import { type FlowBatch, RecordFlag, RecordKind } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { ICMP_ROLES, IcmpRole } from '../track/icmp.ts';

/** Buckets that rows fall into by a hash: a thread has a run of them. */
export const enum Bucket {
  Count = 65_536,
}

/** Buckets `first` up to `end`. */
export interface Buckets {
  readonly first: number;
  readonly end: number;
}

/** The buckets of each of so many threads; of a trace in shards, all those of some shards, as `shardsOf` shares them out. */
export function shareBuckets(threads: number, shards: number = Bucket.Count): Buckets[] {
  const edge = (thread: number): number => Math.ceil((Bucket.Count * Math.floor((thread * shards) / threads)) / shards);
  return Array.from({ length: threads }, (_, thread) => ({ first: edge(thread), end: edge(thread + 1) }));
}

/** The shard of a row, of so many. */
export function shardOf(shards: number, batch: FlowBatch, row: number): number {
  return (bucketOf(batch, row) * shards) >>> 16;
}

/** Is a row one thread's? */
export function isOwn({ first, end }: Buckets, batch: FlowBatch, row: number): boolean {
  const bucket = bucketOf(batch, row);
  return bucket >= first && bucket < end;
}

/** The bucket of a row. Rows without addresses are known by names, and stay together. The kernel does the same for TCP and UDP. */
export function bucketOf(batch: FlowBatch, row: number): number {
  const family = batch.family[row]!;
  if (family === 0) return 0;
  const protocol = batch.protocol[row]!;
  const quote = batch.quote[row]!;
  // Only as a packet: a record, and a later fragment, are known by their own ends.
  const isPacket = batch.kind[row] === RecordKind.Packet && (batch.flags[row]! & RecordFlag.Fragment) === 0;
  if (quote >= 0 && isPacket && isError(protocol, batch.icmp[row]!)) {
    const { quotes } = batch;
    const quoted = quotes.protocol[quote]!;
    const hasQuotedPorts = hasPorts(quoted);
    return hashEnds(
      quotes.src[quote]! + quotes.dst[quote]!,
      hasQuotedPorts ? portOf(quotes.srcPort[quote]!) + portOf(quotes.dstPort[quote]!) : 0,
      quoted,
    );
  }
  return hashEnds(
    batch.src[row]! + batch.dst[row]!,
    hasPorts(protocol) ? portOf(batch.srcPort[row]!) + portOf(batch.dstPort[row]!) : 0,
    protocol,
  );
}

function isError(protocol: number, icmp: number): boolean {
  if (icmp < 0 || (protocol !== Protocol.Icmp && protocol !== Protocol.Icmpv6)) return false;
  const role = ICMP_ROLES[(protocol === Protocol.Icmpv6 ? 256 : 0) + (icmp >>> 8)];
  return role === IcmpRole.Error || role === IcmpRole.Redirect;
}

/** An absent port is 0 in the tracker's key. */
function portOf(port: number): number {
  return port < 0 ? 0 : port;
}

/** Of sums, which are the same in both directions. Every thread asks it of every row, so that it is short. */
function hashEnds(addresses: number, ports: number, protocol: number): number {
  const hash = Math.imul((addresses | 0) ^ Math.imul(ports + (protocol << 17), 0x2c1b3c6d), 0x85ebca6b);
  return Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) >>> 16;
}
