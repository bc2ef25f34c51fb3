/**
 * What a capture on several interfaces teaches about address translation: directed tuples as seen on some interface, and the
 * tuple that the policy point sees instead (before SNAT, after DNAT). Both directions of a connection come out as one tuple
 * and its reverse. A fixed four-way table; the least lately written entry of a bucket makes room.
 */
import type { FlowBatch } from '../model/flow.ts';

const BUCKETS = 32_768;
const WAYS = 4;
/** Words of an entry: meta, src, dst, ports, then the translation: src, dst, ports, preDst, preDstPort, age. */
const STRIDE = 10;

/** Observed tuple -> canonical tuple. */
export class TranslationTable {
  /** How many translations were learnt. */
  count = 0;
  /** Made with the first one: most inputs teach none. */
  private entries = new Uint32Array(0);
  private age = 0;

  /**
   * Learns a translated connection from one packet of its original direction: as it came (`src` -> `dst`) and as it left
   * (`outSrc` -> `outDst`); every port is -1 where there is none. All four directed views of it are then known.
   */
  learn(
    family: number,
    protocol: number,
    src: number,
    srcPort: number,
    dst: number,
    dstPort: number,
    outSrc: number,
    outSrcPort: number,
    outDst: number,
    outDstPort: number,
  ): void {
    if (this.count++ === 0) this.entries = new Uint32Array(BUCKETS * WAYS * STRIDE);
    const meta = 0x10000 | (family << 8) | protocol;
    const isDnat = dst !== outDst || dstPort !== outDstPort;
    const preDst = isDnat ? dst : 0;
    const preDstPort = isDnat ? dstPort & 0xffff : NO_PRE;
    const forward = pack(srcPort, outDstPort);
    const reverse = pack(outDstPort, srcPort);
    this.put(meta, src, dst, pack(srcPort, dstPort), src, outDst, forward, preDst, preDstPort);
    this.put(meta, outSrc, outDst, pack(outSrcPort, outDstPort), src, outDst, forward, preDst, preDstPort);
    this.put(meta, dst, src, pack(dstPort, srcPort), outDst, src, reverse, 0, NO_PRE);
    this.put(meta, outDst, outSrc, pack(outDstPort, outSrcPort), outDst, src, reverse, 0, NO_PRE);
  }

  /** True where the directed tuple, as observed, is known already. */
  has(family: number, protocol: number, src: number, srcPort: number, dst: number, dstPort: number): boolean {
    return this.count > 0 && this.find(0x10000 | (family << 8) | protocol, src, dst, pack(srcPort, dstPort)) >= 0;
  }

  /** Rewrites rows `[from, to)`, and the packets that they quote, to what the policy point sees. */
  translate(batch: FlowBatch, from: number, to: number): void {
    if (this.count === 0) return;
    const { family, protocol, src, dst, srcPort, dstPort, preDst, preDstPort, quote, quotes } = batch;
    const { entries } = this;
    for (let row = from; row < to; row++) {
      const quoted = quote[row]!;
      if (quoted >= 0) this.translateQuote(quotes, quoted);
      const meta = 0x10000 | (family[row]! << 8) | protocol[row]!;
      const at = this.find(meta, src[row]!, dst[row]!, pack(srcPort[row]!, dstPort[row]!));
      if (at < 0) continue;
      src[row] = entries[at + 4]!;
      dst[row] = entries[at + 5]!;
      const ports = entries[at + 6]!;
      if (srcPort[row]! >= 0) srcPort[row] = ports >>> 16;
      if (dstPort[row]! >= 0) dstPort[row] = ports & 0xffff;
      if (entries[at + 8] === NO_PRE) continue;
      preDst[row] = entries[at + 7]!;
      preDstPort[row] = entries[at + 8]!;
    }
  }

  private translateQuote(quotes: FlowBatch['quotes'], row: number): void {
    const { family, protocol, src, dst, srcPort, dstPort } = quotes;
    const meta = 0x10000 | (family[row]! << 8) | protocol[row]!;
    const at = this.find(meta, src[row]!, dst[row]!, pack(srcPort[row]!, dstPort[row]!));
    if (at < 0) return;
    const ports = this.entries[at + 6]!;
    src[row] = this.entries[at + 4]!;
    dst[row] = this.entries[at + 5]!;
    if (srcPort[row]! >= 0) srcPort[row] = ports >>> 16;
    if (dstPort[row]! >= 0) dstPort[row] = ports & 0xffff;
  }

  private find(meta: number, src: number, dst: number, ports: number): number {
    const { entries } = this;
    let at = bucketOf(src, dst, ports);
    for (let way = 0; way < WAYS; way++, at += STRIDE)
      if (entries[at] === meta && entries[at + 1] === src && entries[at + 2] === dst && entries[at + 3] === ports)
        return at;
    return -1;
  }

  private put(
    meta: number,
    src: number,
    dst: number,
    ports: number,
    newSrc: number,
    newDst: number,
    newPorts: number,
    preDst: number,
    preDstPort: number,
  ): void {
    const { entries } = this;
    let at = this.find(meta, src, dst, ports);
    if (at < 0) {
      at = bucketOf(src, dst, ports);
      let candidate = at;
      for (let way = 0; way < WAYS; way++, candidate += STRIDE)
        if (entries[candidate + 9]! < entries[at + 9]!) at = candidate;
    }
    entries[at] = meta;
    entries[at + 1] = src;
    entries[at + 2] = dst;
    entries[at + 3] = ports;
    entries[at + 4] = newSrc;
    entries[at + 5] = newDst;
    entries[at + 6] = newPorts;
    entries[at + 7] = preDst;
    entries[at + 8] = preDstPort;
    entries[at + 9] = ++this.age;
  }
}

/** No destination before DNAT. */
const NO_PRE = 0xffffffff;

function pack(srcPort: number, dstPort: number): number {
  return (((srcPort & 0xffff) << 16) | (dstPort & 0xffff)) >>> 0;
}

function bucketOf(src: number, dst: number, ports: number): number {
  let hash = Math.imul(src ^ ports, 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + dst, 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) & (BUCKETS - 1)) * WAYS * STRIDE;
}
