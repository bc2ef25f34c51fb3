/**
 * The identity of a connection: one key for both directions, made from a packet, a record or the quote of an ICMP error. There is one key
 * in hand at a time, which the table is asked for; nothing is allocated for it.
 */
import type { FlowBatch } from '../model/flow.ts';
import { hasPorts, Protocol } from '../model/port.ts';
import { Meta, Word } from './entry.ts';
import { ICMP_QUERY, ICMP_ROLES, IcmpRole, icmpKind } from './icmp.ts';
import { ConnectionDirection } from './state.ts';

/** The key in hand, in the words of an entry, and which way its row travels. */
export class Key {
  first = 0;
  second = 0;
  ports = 0;
  /** What must be equal in the meta word: `Meta.KeyMask`. */
  meta = 0;
  /** 1 if the row travels from `second` to `first`. */
  swapped = 0;

  /** Of a packet with ports, both of which it has. */
  takePorts(batch: FlowBatch, row: number): void {
    this.sort(
      batch.src[row]! | 0,
      batch.dst[row]! | 0,
      batch.srcPort[row]!,
      batch.dstPort[row]!,
      metaOf(batch.family[row]!, batch.protocol[row]!),
    );
  }

  /** Of a packet whose protocol has no ports. */
  takeAddresses(batch: FlowBatch, row: number): void {
    const meta = metaOf(batch.family[row]!, batch.protocol[row]!);
    this.sort(batch.src[row]! | 0, batch.dst[row]! | 0, 0, 0, meta);
  }

  /** Of an ICMP query or its reply. */
  takeQuery(batch: FlowBatch, row: number): void {
    const meta = metaOf(batch.family[row]!, batch.protocol[row]!);
    this.setQuery(batch.src[row]!, batch.dst[row]!, batch.srcPort[row]!, batch.icmp[row]!, meta);
  }

  /** CT-73: of a record, or of a packet that may lack anything: what it does not tell is zero in the key. */
  takeRecord(batch: FlowBatch, row: number): void {
    const family = batch.family[row]!;
    const protocol = batch.protocol[row]!;
    const meta = metaOf(family, protocol);
    const src = batch.src[row]!;
    const dst = batch.dst[row]!;
    const isIcmp = protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
    const icmp = batch.icmp[row]!;
    if (isIcmp && icmp >= 0) {
      if (ICMP_QUERY[icmpKind(family, icmp)] !== 0) this.setQuery(src, dst, batch.srcPort[row]!, icmp, meta);
      else {
        this.meta = meta;
        this.first = src | 0;
        this.second = dst | 0;
        // Not 0, which is what a record without a type has.
        this.ports = (1 << 16) | icmp;
        this.swapped = 0;
      }
    } else if (hasPorts(protocol))
      this.sort(
        src | 0,
        dst | 0,
        batch.srcPort[row]! < 0 ? 0 : batch.srcPort[row]!,
        batch.dstPort[row]! < 0 ? 0 : batch.dstPort[row]!,
        meta,
      );
    else this.sort(src | 0, dst | 0, 0, 0, meta);
  }

  /** Of the packet that an ICMP error quotes; false where the quote says too little, or what belongs to no connection. */
  takeQuote(batch: FlowBatch, quote: number): boolean {
    const { quotes } = batch;
    const protocol = quotes.protocol[quote]!;
    const family = quotes.family[quote]!;
    const meta = metaOf(family, protocol);
    const src = quotes.src[quote]!;
    const dst = quotes.dst[quote]!;
    const srcPort = quotes.srcPort[quote]!;
    const dstPort = quotes.dstPort[quote]!;
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) {
      const icmp = quotes.icmp[quote]!;
      if (icmp < 0 || (family === 6) !== (protocol === Protocol.Icmpv6)) return false;
      if (ICMP_QUERY[icmpKind(family, icmp)] === 0) return false;
      this.setQuery(src, dst, srcPort, icmp, meta);
      return true;
    }
    if (hasPorts(protocol)) {
      if (srcPort < 0 || dstPort < 0) return false;
      this.sort(src | 0, dst | 0, srcPort, dstPort, meta);
    } else this.sort(src | 0, dst | 0, 0, 0, meta);
    return true;
  }

  /** Of an entry at `at`, whose meta word need not stand there. */
  takeEntry(words: Int32Array, at: number, meta: number): void {
    this.first = words[at + Word.First]!;
    this.second = words[at + Word.Second]!;
    this.ports = words[at + Word.Ports]!;
    this.meta = meta & Meta.KeyMask;
  }

  /** Which way the row travels in a connection with the same key, by its meta word. */
  directionIn(meta: number): ConnectionDirection {
    return ((meta & Meta.Swapped) === 0 ? 0 : 1) === this.swapped
      ? ConnectionDirection.Original
      : ConnectionDirection.Reply;
  }

  /** Bits of the meta word of a connection that the row opens travelling in a direction. */
  metaFor(direction: ConnectionDirection): number {
    const isSwapped = (this.swapped === 1) === (direction === ConnectionDirection.Original);
    return this.meta | (isSwapped ? Meta.Swapped : 0);
  }

  private sort(src: number, dst: number, srcPort: number, dstPort: number, meta: number): void {
    this.meta = meta;
    if (src < dst || (src === dst && srcPort <= dstPort)) {
      this.first = src;
      this.second = dst;
      this.ports = (srcPort << 16) | dstPort;
      this.swapped = 0;
    } else {
      this.first = dst;
      this.second = src;
      this.ports = (dstPort << 16) | srcPort;
      this.swapped = 1;
    }
  }

  /** CT-40: the type says which way a message travels, so that nothing needs sorting. */
  private setQuery(src: number, dst: number, id: number, icmp: number, meta: number): void {
    const kind = icmpKind((meta & Meta.Ipv6) === 0 ? 4 : 6, icmp);
    this.meta = meta;
    this.ports = ((id < 0 ? 0 : id) << 16) | (ICMP_QUERY[kind]! << 8) | (icmp & 0xff);
    if (ICMP_ROLES[kind] === IcmpRole.Reply) {
      this.first = dst | 0;
      this.second = src | 0;
      this.swapped = 1;
    } else {
      this.first = src | 0;
      this.second = dst | 0;
      this.swapped = 0;
    }
  }
}

function metaOf(family: number, protocol: number): number {
  return protocol | Meta.Live | (family === 6 ? Meta.Ipv6 : 0);
}
