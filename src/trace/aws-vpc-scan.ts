/**
 * The door to the WASM scanner of VPC flow logs (`aws-vpc-scan.as.ts`): windows of bytes go in, rows of columns come out. One
 * instance serves every reader of the process, because reading is synchronous and it keeps nothing from window to window; where
 * WebAssembly or its SIMD is missing there is none, and every line goes the way of the general reader.
 */
import type { FlowBatch } from '../model/flow.ts';
import { AWS_VPC_SCAN_CODE } from './aws-vpc-scan-code.ts';
import { Slot } from './observer.ts';
import { shareInstance, type WasmMemory } from './webassembly.ts';

/** Places in the scanner's memory, and sizes. */
export const enum Place {
  /** A 32-bit number for each role: its column, -1 without one; in place of `Role.None` how many columns there are. */
  Layout = 1024,
  /** Bytes of a lane. */
  Stride = 8192,
  Lanes = 2048,
  /** Records for the table of observers, a slot each (`observer.ts`), where there is a column of interfaces. */
  Records = 458_752,
  /** 16 bits each, behind every blank. */
  Ends = 133_120,
  /** Reading goes a few bytes to either side of the window. */
  Input = 264_704,
  /** The forms of an address: a byte for each set of places of its dots, and 32 bytes for each form. */
  Forms = 330_240,
  Shapes = 395_776,
}

/** Columns of the rows, `ROWS` values each. */
export const enum Lane {
  Src = 0,
  Dst = 1,
  SrcPort = 2,
  DstPort = 3,
  Protocol = 4,
  Packets = 5,
  Bytes = 6,
  TimeUs = 7,
  Verdict = 8,
  TcpFlags = 9,
  Orientation = 10,
  OrientedBy = 11,
  Line = 12,
  /** The caller's: not 0 for a row that `compact` drops. */
  Mark = 13,
}

/** Bytes of a window at most: places in it are 16 bits. */
const WINDOW = 65_472;
/** Rows of a read at most. */
const ROWS = Place.Stride / 8;
const NEWLINE = 10;

interface Exports {
  readonly memory: WasmMemory;
  prepare(): void;
  open(size: number): void;
  read(from: number, line: number, limit: number): number;
  stop(): number;
  compact(count: number): number;
}

/** Reads lines of the window that was opened last. */
export class AwsVpcScanner {
  readonly src: Uint32Array;
  readonly dst: Uint32Array;
  readonly srcPort: Int32Array;
  readonly dstPort: Int32Array;
  readonly protocol: Uint8Array;
  readonly verdict: Uint8Array;
  readonly mark: Uint8Array;
  readonly records: Int32Array;
  /** Where the window begins and ends in the caller's bytes. */
  begin = 0;
  end = 0;
  private readonly packets: Float64Array;
  private readonly bytes: Float64Array;
  private readonly timeUs: Float64Array;
  private readonly tcpFlags: Uint16Array;
  private readonly orientation: Uint8Array;
  private readonly orientedBy: Uint8Array;
  private readonly line: Float64Array;
  private readonly layout: Int32Array;
  private readonly input: Uint8Array;
  private readonly kernel: Exports;

  constructor(kernel: Exports) {
    const { buffer } = kernel.memory;
    const at = (lane: Lane): number => Place.Lanes + lane * Place.Stride;
    this.kernel = kernel;
    kernel.prepare();
    this.src = new Uint32Array(buffer, at(Lane.Src), ROWS);
    this.dst = new Uint32Array(buffer, at(Lane.Dst), ROWS);
    this.srcPort = new Int32Array(buffer, at(Lane.SrcPort), ROWS);
    this.dstPort = new Int32Array(buffer, at(Lane.DstPort), ROWS);
    this.protocol = new Uint8Array(buffer, at(Lane.Protocol), ROWS);
    this.packets = new Float64Array(buffer, at(Lane.Packets), ROWS);
    this.bytes = new Float64Array(buffer, at(Lane.Bytes), ROWS);
    this.timeUs = new Float64Array(buffer, at(Lane.TimeUs), ROWS);
    this.verdict = new Uint8Array(buffer, at(Lane.Verdict), ROWS);
    this.tcpFlags = new Uint16Array(buffer, at(Lane.TcpFlags), ROWS);
    this.orientation = new Uint8Array(buffer, at(Lane.Orientation), ROWS);
    this.orientedBy = new Uint8Array(buffer, at(Lane.OrientedBy), ROWS);
    this.line = new Float64Array(buffer, at(Lane.Line), ROWS);
    this.mark = new Uint8Array(buffer, at(Lane.Mark), ROWS);
    this.records = new Int32Array(buffer, Place.Records, ROWS * Slot.Stride);
    this.layout = new Int32Array(buffer, Place.Layout, 16);
    this.input = new Uint8Array(buffer, Place.Input, WINDOW);
  }

  /**
   * Takes over as many whole lines of `bytes[start, end)` as a window holds; false where it holds none. `layout` is that of
   * `Place.Layout`.
   */
  open(bytes: Uint8Array, start: number, end: number, layout: Int32Array): boolean {
    const stop = bytes.lastIndexOf(NEWLINE, Math.min(end, start + WINDOW) - 1) + 1;
    this.begin = start;
    this.end = Math.max(start, stop);
    if (stop <= start) return false;
    this.input.set(bytes.subarray(start, stop));
    this.layout.set(layout);
    this.kernel.open(stop - start);
    return true;
  }

  /** Reads lines from `start` on into the lanes, at most `limit`: returns how many. */
  read(start: number, line: number, limit: number): number {
    return this.kernel.read(start - this.begin, line, Math.min(limit, ROWS));
  }

  /** Where the line begins that was not read. */
  stop(): number {
    return this.begin + this.kernel.stop();
  }

  /** Drops the rows that are marked; returns how many are left. */
  compact(count: number): number {
    return this.kernel.compact(count);
  }

  /** Copies the first `count` rows behind those of the batch. */
  append(batch: FlowBatch, count: number): void {
    const row = batch.count;
    batch.src.set(this.src.subarray(0, count), row);
    batch.dst.set(this.dst.subarray(0, count), row);
    batch.srcPort.set(this.srcPort.subarray(0, count), row);
    batch.dstPort.set(this.dstPort.subarray(0, count), row);
    batch.protocol.set(this.protocol.subarray(0, count), row);
    batch.packets.set(this.packets.subarray(0, count), row);
    batch.bytes.set(this.bytes.subarray(0, count), row);
    batch.timeUs.set(this.timeUs.subarray(0, count), row);
    batch.recordedVerdict.set(this.verdict.subarray(0, count), row);
    batch.tcpFlags.set(this.tcpFlags.subarray(0, count), row);
    batch.orientation.set(this.orientation.subarray(0, count), row);
    batch.orientedBy.set(this.orientedBy.subarray(0, count), row);
    batch.line.set(this.line.subarray(0, count), row);
    batch.count = row + count;
  }
}

/** The scanner of this process; undefined where it cannot run here. */
export const shareAwsVpcScanner: () => AwsVpcScanner | undefined = shareInstance(
  AWS_VPC_SCAN_CODE,
  (exports) => new AwsVpcScanner(exports as Exports),
);
