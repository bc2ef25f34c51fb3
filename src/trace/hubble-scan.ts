/**
 * The door to the WASM tokenizer of Hubble records (`hubble-scan.as.ts`): windows of bytes go in, numbers come out. One instance
 * serves every reader of the process, because reading is synchronous and what it remembers are bytes alone; where WebAssembly
 * or its SIMD is missing there is none, and every record goes the way of JSON.parse.
 */
import { HUBBLE_SCAN_CODE } from './hubble-scan-code.ts';
import { parseJson } from './line.ts';
import { shareInstance, type WasmMemory } from './webassembly.ts';

/** Places in `HubbleScanner.result`. */
export const enum Scan {
  Event = 0,
  /** 1 L7, 2 SOCK. */
  Type = 1,
  /** The number of `flow.proto`; 0 absent. */
  Verdict = 2,
  /** 0 no reason, 1 a policy's, 2 another. */
  Drop = 3,
  /** 0 absent, 1 false, 2 true; so is `Reply`. */
  IsReply = 4,
  Reply = 5,
  HasEthernet = 6,
  /** -1: no `l4`. */
  Protocol = 7,
  SrcPort = 8,
  DstPort = 9,
  TcpFlags = 10,
  Icmp = 11,
  /** -1 absent; 4, address; 6, place and length of a text. */
  Src = 12,
  Dst = 15,
  /** Handles, -1 absent. */
  Source = 18,
  Destination = 19,
  Service = 20,
  Emitter = 21,
  Extensions = 22,
  /** Handles of another generation name other objects. */
  Generation = 23,
}

/** Where the result lies in memory, and in it the time. */
const RESULT = 1024;
const TIME = RESULT + 4 * 24;
/** Zeros behind the window, on which every loop of the tokenizer stops. */
const SLACK = 64;
const PAGE = 65_536;

interface Exports {
  readonly memory: WasmMemory;
  inputOffset(): number;
  objectOffset(handle: number): number;
  objectSize(handle: number): number;
  scan(start: number): number;
}

/** Reads records of the window that was loaded last. */
export class HubbleScanner {
  /** Of the record that `scan` took, by `Scan`. */
  result!: Int32Array;
  private time!: Float64Array;
  private bytes!: Uint8Array;
  private readonly kernel: Exports;
  private readonly inputOffset: number;
  /** What is added to a place in the caller's bytes. */
  private shift = 0;

  constructor(kernel: Exports) {
    this.kernel = kernel;
    this.inputOffset = kernel.inputOffset();
    this.view();
  }

  /** Takes over `bytes[start, end)`: places keep the caller's numbers. */
  load(bytes: Uint8Array, start: number, end: number): void {
    const { inputOffset } = this;
    const needed = inputOffset + (end - start) + SLACK;
    if (needed > this.bytes.length) {
      this.kernel.memory.grow(Math.ceil((needed - this.bytes.length) / PAGE));
      this.view();
    }
    this.bytes.set(bytes.subarray(start, end), inputOffset);
    this.bytes.fill(0, needed - SLACK, needed);
    this.shift = inputOffset - start;
  }

  /** Where the line behind the one at `start` begins, whose record is understood then; below 0 where it is for JSON.parse. */
  scan(start: number): number {
    const next = this.kernel.scan(start + this.shift);
    return next === 0 ? -1 : next - this.shift;
  }

  /** Microseconds; NaN absent. */
  get timeUs(): number {
    return this.time[0]!;
  }

  /** The text of an address at `place`. */
  textAt(place: number, size: number): string {
    return this.decode(this.inputOffset + place, size);
  }

  /** An object by its handle. */
  objectOf(handle: number): Record<string, unknown> {
    const text = this.decode(this.kernel.objectOffset(handle), this.kernel.objectSize(handle));
    return parseJson(text) as Record<string, unknown>;
  }

  private decode(at: number, size: number): string {
    return Buffer.from(this.bytes.buffer, at, size).toString('utf8');
  }

  private view(): void {
    const { buffer } = this.kernel.memory;
    this.result = new Int32Array(buffer, RESULT, 32);
    this.time = new Float64Array(buffer, TIME, 1);
    this.bytes = new Uint8Array(buffer);
  }
}

/** The tokenizer of this process; undefined where it cannot run here. */
export const shareHubbleScanner: () => HubbleScanner | undefined = shareInstance(
  HUBBLE_SCAN_CODE,
  (exports) => new HubbleScanner(exports as Exports),
);
