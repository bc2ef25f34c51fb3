/**
 * One packet, several sightings: a capture on all interfaces records a forwarded packet on its way in and on its way out, and
 * between the two its addresses may have been translated. The first sighting becomes the row, the others are duplicates that
 * teach the translation. Sightings within one interface are never joined: those are retransmissions.
 *
 * Rule for the tuple that a policy sees: the source as the first sighting in time has it (before SNAT, and in a reply before
 * the backend's address is hidden), the destination as the last one has it (after DNAT, and after SNAT was undone).
 */
import type { FlowBatch } from '../model/flow.ts';
import { TranslationTable } from './nat.ts';

/** Sightings of one packet are at most this far apart. */
const SIGHTING_WINDOW_US = 5_000;
/** Rows wait for sightings on an interface that lags behind, at most this long in capture time. */
export const LAG_LIMIT_US = 10_000_000;

const RING = 16_384;
const HEADS = 16_384;
/** Interfaces kept of one packet; it crosses few. */
const PLACES = 6;

/** What identifies a packet apart from its addresses; filled by the packet decoder for each row. */
export interface SightingKey {
  /** Two independent hashes of the fields that translation leaves alone. */
  hash: number;
  check: number;
  /** True where those fields are unlike in any two packets (TCP): addresses need not agree. */
  isStrong: boolean;
}

/** Joins sightings over the rows that are still held back. */
export class SightingTable {
  readonly translations: TranslationTable = new TranslationTable();
  private next = 0;
  private readonly heads = new Int32Array(HEADS).fill(-1);
  /** Number of the previous entry in the chain; entry `n` lies at `n % RING` and is gone when `n + RING <= next`. */
  private readonly links = new Int32Array(RING);
  private readonly checks = new Int32Array(RING);
  private readonly metas = new Uint16Array(RING);
  private readonly places = new Uint16Array(RING * PLACES);
  private readonly placeCounts = new Uint8Array(RING);
  private readonly firstUs = new Float64Array(RING);
  private readonly lastUs = new Float64Array(RING);
  /** Tuples of the first and the last sighting in time: src, dst, srcPort, dstPort. */
  private readonly firstTuples = new Int32Array(RING * 4);
  private readonly lastTuples = new Int32Array(RING * 4);
  /** Latest time of each place that was declared or seen. */
  private readonly placeUs: number[] = [];
  private readonly lagLimitUs: number;

  /** `lagLimitUs`: 0 where one writer kept the packets of all interfaces in order, else `LAG_LIMIT_US`. */
  constructor(lagLimitUs: number) {
    this.lagLimitUs = lagLimitUs;
  }

  /** An interface that the file declares: rows wait for it although it may come later. */
  declare(place: number): void {
    while (this.placeUs.length <= place) this.placeUs.push(-Infinity);
  }

  /**
   * Looks at the packet that the decoder has just put into `row` (not committed yet), seen at `place`. True where it is a
   * further sighting of an earlier row.
   */
  isDuplicate(batch: FlowBatch, row: number, place: number, key: SightingKey): boolean {
    const time = batch.timeUs[row]!;
    if (place >= this.placeUs.length) this.declare(place);
    if (time > this.placeUs[place]!) this.placeUs[place] = time;
    const head = key.hash & (HEADS - 1);
    const meta = (batch.family[row]! << 8) | batch.protocol[row]!;
    let found = -1;
    let isFoundExact = false;
    for (let number = this.heads[head]!, steps = 0; number >= 0 && number + RING > this.next && steps < 64; steps++) {
      const slot = number & (RING - 1);
      if (
        this.checks[slot] === key.check &&
        this.metas[slot] === meta &&
        Math.abs(time - this.firstUs[slot]!) <= SIGHTING_WINDOW_US &&
        !this.wasAt(slot, place)
      ) {
        const likeness = this.compare(slot, batch, row);
        // The oldest one that fits, so that repeated packets pair up in order; the same tuple before a translated one.
        const isExact = likeness === 4;
        if ((likeness >= 2 || key.isStrong) && (isExact || !isFoundExact)) {
          found = slot;
          isFoundExact = isExact;
        }
      }
      number = this.links[slot]!;
    }
    if (found >= 0) {
      this.join(found, batch, row, place, time);
      return true;
    }
    this.add(head, key.check, meta, batch, row, place, time);
    return false;
  }

  /** How many rows from the front no later sighting can change. */
  countReady(batch: FlowBatch): number {
    let slowest = Infinity;
    let fastest = -Infinity;
    for (const time of this.placeUs) {
      if (time < slowest) slowest = time;
      if (time > fastest) fastest = time;
    }
    const limit = Math.max(slowest, fastest - this.lagLimitUs) - SIGHTING_WINDOW_US;
    const { timeUs } = batch;
    let row = 0;
    while (row < batch.count && !(timeUs[row]! > limit)) row++;
    return row;
  }

  /** Translates the rows that go out by everything that was learnt until now. */
  willHandOut(batch: FlowBatch, count: number): void {
    this.translations.translate(batch, 0, count);
  }

  private wasAt(slot: number, place: number): boolean {
    const first = slot * PLACES;
    for (let index = first; index < first + this.placeCounts[slot]!; index++)
      if (this.places[index] === place) return true;
    return false;
  }

  /**
   * How alike the tuples are: 4 the same, 2 one side translated, 0 neither. Translation changes the server's side, or keeps
   * the port of the client's: two clients who ask one server the same question are two packets.
   */
  private compare(slot: number, { src, dst, srcPort, dstPort }: FlowBatch, row: number): number {
    const { firstTuples } = this;
    const at = slot * 4;
    const isSrc = firstTuples[at] === (src[row]! | 0) && firstTuples[at + 2] === srcPort[row];
    const isDst = firstTuples[at + 1] === (dst[row]! | 0) && firstTuples[at + 3] === dstPort[row];
    if (isSrc && isDst) return 4;
    if (isSrc) return isTranslation(firstTuples[at + 3]!, dstPort[row]!, srcPort[row]!) ? 2 : 0;
    if (isDst) return isTranslation(firstTuples[at + 2]!, srcPort[row]!, dstPort[row]!) ? 2 : 0;
    return 0;
  }

  private add(
    head: number,
    check: number,
    meta: number,
    batch: FlowBatch,
    row: number,
    place: number,
    time: number,
  ): void {
    const number = this.next++;
    const slot = number & (RING - 1);
    this.links[slot] = this.heads[head]!;
    this.heads[head] = number;
    this.checks[slot] = check;
    this.metas[slot] = meta;
    this.places[slot * PLACES] = place;
    this.placeCounts[slot] = 1;
    this.firstUs[slot] = this.lastUs[slot] = time;
    setTuple(this.firstTuples, slot, batch, row);
    setTuple(this.lastTuples, slot, batch, row);
    // Numbers are kept in 32 bits: start again long before they end. What is forgotten is older than any window.
    if (this.next === 2 ** 31 - 1) {
      this.heads.fill(-1);
      this.next = 0;
    }
  }

  private join(slot: number, batch: FlowBatch, row: number, place: number, time: number): void {
    const count = this.placeCounts[slot]!;
    if (count < PLACES) {
      this.places[slot * PLACES + count] = place;
      this.placeCounts[slot] = count + 1;
    }
    if (time < this.firstUs[slot]!) {
      this.firstUs[slot] = time;
      setTuple(this.firstTuples, slot, batch, row);
    }
    if (time >= this.lastUs[slot]!) {
      this.lastUs[slot] = time;
      setTuple(this.lastTuples, slot, batch, row);
    }
    const at = slot * 4;
    const { firstTuples: first, lastTuples: last } = this;
    if (
      first[at] === last[at] &&
      first[at + 1] === last[at + 1] &&
      first[at + 2] === last[at + 2] &&
      first[at + 3] === last[at + 3]
    )
      return;
    this.learn(slot, batch.family[row]!, batch.protocol[row]!, batch.tcpFlags[row]!);
  }

  /** Decides which direction the pair of sightings belongs to, and learns the translation in the original one. */
  private learn(slot: number, family: number, protocol: number, tcpFlags: number): void {
    const at = slot * 4;
    const { firstTuples, lastTuples, translations } = this;
    const src = firstTuples[at]! >>> 0;
    const dst = firstTuples[at + 1]! >>> 0;
    const srcPort = firstTuples[at + 2]!;
    const dstPort = firstTuples[at + 3]!;
    const outSrc = lastTuples[at]! >>> 0;
    const outDst = lastTuples[at + 1]! >>> 0;
    const outSrcPort = lastTuples[at + 2]!;
    const outDstPort = lastTuples[at + 3]!;
    if (
      translations.has(family, protocol, src, srcPort, dst, dstPort) &&
      translations.has(family, protocol, outSrc, outSrcPort, outDst, outDstPort)
    )
      return;
    if (isReplyPair(protocol, tcpFlags, srcPort, dstPort, src !== outSrc || srcPort !== outSrcPort)) {
      // A reply leaves with the addresses that the client knows, and came with those of the backend.
      translations.learn(family, protocol, outDst, outDstPort, outSrc, outSrcPort, dst, dstPort, src, srcPort);
    } else {
      translations.learn(family, protocol, src, srcPort, dst, dstPort, outSrc, outSrcPort, outDst, outDstPort);
    }
  }
}

/** May one side's port have become another? It stays with SNAT; with DNAT one of the two is a server's, below the other side's. */
function isTranslation(before: number, after: number, otherSide: number): boolean {
  return before === after || Math.min(before, after) < otherSide;
}

/**
 * Where the opening was not captured: a changed source is a reply on its way back through DNAT if it is the server's side, by
 * its port; a changed destination is DNAT if that is the server's side.
 */
function isReplyPair(
  protocol: number,
  tcpFlags: number,
  srcPort: number,
  dstPort: number,
  isSrcChanged: boolean,
): boolean {
  if (protocol === 6 && (tcpFlags & 2) !== 0) return (tcpFlags & 16) !== 0;
  if (srcPort < 0 || dstPort < 0) return isSrcChanged;
  return srcPort < dstPort;
}

function setTuple(tuples: Int32Array, slot: number, { src, dst, srcPort, dstPort }: FlowBatch, row: number): void {
  const at = slot * 4;
  tuples[at] = src[row]!;
  tuples[at + 1] = dst[row]!;
  tuples[at + 2] = srcPort[row]!;
  tuples[at + 3] = dstPort[row]!;
}
