/**
 * The door to the WASM scanner of packet captures (`pcap-scan.as.ts`): windows of bytes go in, rows of columns come out. One
 * instance serves every reader of the process, because reading is synchronous and it keeps nothing from window to window; where
 * WebAssembly is missing there is none, and every packet goes the way of `PacketDecoder.take`.
 */
import { RecordFlag, RecordKind, RecordedVerdict, type FlowBatch } from '../model/flow.ts';
import { PCAP_SCAN_CODE } from './pcap-scan-code.ts';
import { fillUnstated } from './scanned-row.ts';
import { shareInstance, type WasmMemory } from './webassembly.ts';

/** Places in the scanner's memory, and sizes. */
export const enum Place {
  Lanes = 1024,
  /** Bytes of a lane. */
  Stride = 16_384,
  /** Two numbers for each row that is the caller's: which, and where its record begins in the window. */
  Odds = 263_168,
  Input = 279_616,
}

/** Columns of the rows, `ROWS` values each. */
export const enum Lane {
  Src = 0,
  Dst = 1,
  SrcPort = 2,
  DstPort = 3,
  Protocol = 4,
  TcpFlags = 5,
  TimeUs = 6,
  Bytes = 7,
  Orientation = 8,
  OrientedBy = 9,
  Line = 10,
  /** Of a TCP segment that may be one again: its slot of `SegmentMemory`, and what is there if it is; 0 for every other packet. */
  Slot = 11,
  Mark = 12,
  /** Of a capture on all interfaces: what a packet's sightings have in common, and where it was seen, as in `PacketDecoder.take`. */
  Hash = 13,
  Check = 14,
  PlaceKey = 15,
}

/** Bytes of headers. */
export const enum Size {
  Udp = 8,
  /** Of a record of the file. */
  Record = 16,
  /** IPv4's, without options. */
  Ip = 20,
  /** How much of a payload takes part in recognising a packet again. */
  Hashed = 64,
}

/** Bytes in front of the IP header. */
export const enum LinkSize {
  Ethernet = 14,
  Sll2 = 20,
}

/** What is the same for all packets of a file. */
export interface PcapLayout {
  readonly linkSize: LinkSize;
  /** A longer packet is a broken length. */
  readonly sizeLimit: number;
  /** Units of the time's fraction in a microsecond. */
  readonly ticks: number;
}

/** Bytes of a window at most, and rows of a read. */
const WINDOW = 131_072;
const ROWS = Place.Stride / 8;

interface Exports {
  readonly memory: WasmMemory;
  read(
    start: number,
    end: number,
    limit: number,
    number: number,
    linkSize: number,
    sizeLimit: number,
    ticks: number,
  ): number;
  stop(): number;
  odds(): number;
  arp(): number;
  cut(): number;
}

/** Reads packets of the window that was opened last. */
export class PcapScanner {
  /** Rows of a read at most. */
  readonly capacity: number = ROWS;
  /** Rows of the last read that are left to the caller. */
  oddCount = 0;
  /** Records of it that were ARP. */
  arpCount = 0;
  /** Where the window begins and ends in the caller's bytes. */
  begin = 0;
  end = 0;
  readonly line: Float64Array;
  readonly slot: Uint16Array;
  readonly mark: Int32Array;
  readonly hash: Int32Array;
  readonly check: Int32Array;
  readonly placeKey: Float64Array;
  private readonly src: Uint32Array;
  private readonly dst: Uint32Array;
  private readonly srcPort: Int32Array;
  private readonly dstPort: Int32Array;
  private readonly protocol: Uint8Array;
  private readonly tcpFlags: Uint16Array;
  private readonly timeUs: Float64Array;
  private readonly bytes: Float64Array;
  private readonly orientation: Uint8Array;
  private readonly orientedBy: Uint8Array;
  private readonly odds: Int32Array;
  private readonly input: Uint8Array;
  private readonly kernel: Exports;

  constructor(kernel: Exports) {
    const { buffer } = kernel.memory;
    const at = (lane: Lane): number => Place.Lanes + lane * Place.Stride;
    this.kernel = kernel;
    this.src = new Uint32Array(buffer, at(Lane.Src), ROWS);
    this.dst = new Uint32Array(buffer, at(Lane.Dst), ROWS);
    this.srcPort = new Int32Array(buffer, at(Lane.SrcPort), ROWS);
    this.dstPort = new Int32Array(buffer, at(Lane.DstPort), ROWS);
    this.protocol = new Uint8Array(buffer, at(Lane.Protocol), ROWS);
    this.tcpFlags = new Uint16Array(buffer, at(Lane.TcpFlags), ROWS);
    this.timeUs = new Float64Array(buffer, at(Lane.TimeUs), ROWS);
    this.bytes = new Float64Array(buffer, at(Lane.Bytes), ROWS);
    this.orientation = new Uint8Array(buffer, at(Lane.Orientation), ROWS);
    this.orientedBy = new Uint8Array(buffer, at(Lane.OrientedBy), ROWS);
    this.line = new Float64Array(buffer, at(Lane.Line), ROWS);
    this.slot = new Uint16Array(buffer, at(Lane.Slot), ROWS);
    this.mark = new Int32Array(buffer, at(Lane.Mark), ROWS);
    this.hash = new Int32Array(buffer, at(Lane.Hash), ROWS);
    this.check = new Int32Array(buffer, at(Lane.Check), ROWS);
    this.placeKey = new Float64Array(buffer, at(Lane.PlaceKey), ROWS);
    this.odds = new Int32Array(buffer, Place.Odds, ROWS * 2);
    this.input = new Uint8Array(buffer, Place.Input, WINDOW);
  }

  /** Takes over as much of `bytes[start, end)` as a window holds, and as `rows` are likely to need. */
  open(bytes: Uint8Array, start: number, end: number, rows: number): void {
    this.begin = start;
    this.end = Math.min(end, start + Math.min(WINDOW, 4096 + rows * 128));
    this.input.set(bytes.subarray(start, this.end));
  }

  /** Reads packets from `start` on into the lanes, at most `limit`, `number` being that of the record before: returns how many. */
  read(start: number, limit: number, number: number, { linkSize, sizeLimit, ticks }: PcapLayout): number {
    const { begin, end, kernel } = this;
    const count = kernel.read(start - begin, end - begin, Math.min(limit, ROWS), number, linkSize, sizeLimit, ticks);
    this.oddCount = kernel.odds();
    this.arpCount = kernel.arp();
    return count;
  }

  /** Where the record begins that was not read. */
  stop(): number {
    return this.begin + this.kernel.stop();
  }

  /** True where that record goes on behind the window: one that begins there may have it whole. */
  isCut(): boolean {
    return this.kernel.cut() === 1 && this.stop() > this.begin;
  }

  /** Which row is left to the caller, in order of `index`. */
  oddRow(index: number): number {
    return this.odds[index * 2]!;
  }

  /** Where its record begins. */
  oddStart(index: number): number {
    return this.begin + this.odds[index * 2 + 1]!;
  }

  /** Copies the first `count` rows behind those of the batch, which stays as long as it is. */
  copy(batch: FlowBatch, count: number): void {
    const row = batch.count;
    prepareRows(batch, count);
    batch.src.set(this.src.subarray(0, count), row);
    batch.dst.set(this.dst.subarray(0, count), row);
    batch.srcPort.set(this.srcPort.subarray(0, count), row);
    batch.dstPort.set(this.dstPort.subarray(0, count), row);
    batch.protocol.set(this.protocol.subarray(0, count), row);
    batch.tcpFlags.set(this.tcpFlags.subarray(0, count), row);
    batch.timeUs.set(this.timeUs.subarray(0, count), row);
    batch.bytes.set(this.bytes.subarray(0, count), row);
    batch.orientation.set(this.orientation.subarray(0, count), row);
    batch.orientedBy.set(this.orientedBy.subarray(0, count), row);
    batch.line.set(this.line.subarray(0, count), row);
  }

  /** Copies one row to row `row` of the batch, which `prepareRows` has prepared. */
  copyRow(batch: FlowBatch, index: number, row: number): void {
    batch.src[row] = this.src[index]!;
    batch.dst[row] = this.dst[index]!;
    batch.srcPort[row] = this.srcPort[index]!;
    batch.dstPort[row] = this.dstPort[index]!;
    batch.protocol[row] = this.protocol[index]!;
    batch.tcpFlags[row] = this.tcpFlags[index]!;
    batch.timeUs[row] = this.timeUs[index]!;
    batch.bytes[row] = this.bytes[index]!;
    batch.orientation[row] = this.orientation[index]!;
    batch.orientedBy[row] = this.orientedBy[index]!;
    batch.line[row] = this.line[index]!;
  }
}

/** The TCP segments seen last, one a slot. */
export type SegmentMemory = Int32Array;

/** An empty memory. */
export function createSegmentMemory(): SegmentMemory {
  return new Int32Array(65_536);
}

/** The flags of a segment that lies in `slot` with `mark`, and remembers it. A wrong match needs 32 equal bits within the lifetime of a slot. */
export function noteSegment(seen: SegmentMemory, slot: number, mark: number): RecordFlag | 0 {
  if (mark === 0) return 0;
  if (seen[slot] === mark) return RecordFlag.Retransmission;
  seen[slot] = mark;
  return 0;
}

/** A hash of a TCP segment. `ports`: source << 16 | destination; `shape`: length * 4, its FIN and SYN. */
export function hashSegment(sequence: number, ports: number, src: number, dst: number, shape: number): number {
  const hash = mix(Math.imul(sequence ^ ports, 0x9e3779b1), src);
  return Math.imul((hash ^ (hash >>> 13)) + dst + shape, 0xc2b2ae35);
}

/** The slot and the mark of a segment with the hash `segment`. */
export function slotOf(segment: number): number {
  return (segment ^ (segment >>> 16)) & 0xffff;
}
export function markOf(segment: number, sequence: number, ports: number): number {
  return Math.imul(segment, 0x27d4eb2f) ^ sequence ^ (ports & 0xffff);
}

/** An interface and direction as a word of a hash; `placeKey` is index * 8 + direction. */
export function placeWord(placeKey: number): number {
  return (placeKey | 0) ^ Math.floor(placeKey / 0x1_0000_0000);
}

/** One more word of a hash. */
export function mix(hash: number, value: number): number {
  return Math.imul((hash ^ (hash >>> 15)) + value, 0x85ebca6b);
}

/** Writes the columns that are the same for every ordinary packet into the next `count` rows. */
export function prepareRows(batch: FlowBatch, count: number): void {
  const from = batch.count;
  const to = from + count;
  fillUnstated(batch, RecordKind.Packet, from, to);
  batch.packets.fill(1, from, to);
  batch.recordedVerdict.fill(RecordedVerdict.None, from, to);
}

/** The scanner of this process; undefined where it cannot run here. */
export const sharePcapScanner: () => PcapScanner | undefined = shareInstance(
  PCAP_SCAN_CODE,
  (exports) => new PcapScanner(exports as Exports),
);
