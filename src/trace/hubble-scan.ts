/**
 * The door to the WASM tokenizer of Hubble records (`hubble-scan.as.ts`): windows of bytes go in, numbers come out. One instance
 * serves every reader of the process, because reading is synchronous and what it remembers are bytes alone; where WebAssembly
 * or its SIMD is missing there is none, and every record goes the way of JSON.parse.
 */
import type { FlowBatch } from '../model/flow.ts';
import { HUBBLE_SCAN_CODE } from './hubble-scan-code.ts';
import { parseJson } from './line.ts';
import { shareInstance, type WasmMemory } from './webassembly.ts';

/** Places in the scanner's memory, and sizes. */
export const enum Place {
  /** 32 words, see `Scan`; the time of the record behind them. */
  Result = 1024,
  Time = 1152,
  Lanes = 8192,
  Members = 131_072,
  Prefixes = 274_432,
  Slots = 339_968,
  Entries = 471_040,
  Shapes = 663_552,
  Forms = 667_648,
  Arena = 786_432,
  ArenaSize = 8_388_608,
  /** The window; behind it, each in as much room as it, the three chunks that are lent. */
  Input = 9_175_040,
  InputSize = 2_162_688,
}

/** Words of `HubbleScanner.result`: the record of `Outcome.Record`, and what holds for the whole read. */
export const enum Scan {
  Event = 0,
  /** 1 L7, 2 SOCK. */
  Type = 1,
  /** `ScanVerdict`; 0 absent. */
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
  /** `Outcome`. */
  Outcome = 24,
  /** The caller's: handles of the emitter and the extensions whose records mean what they say of replies. */
  TrustedEmitter = 25,
  TrustedExtensions = 26,
}

/** Why a read ended. */
export const enum Outcome {
  /** There was no room for more rows, or for what they name. */
  More = 0,
  /** The next record is in the result, and is more than a row. */
  Record = 1,
  /** The next line is for JSON.parse. */
  Unread = 2,
}

/** Columns of the rows, `ROWS` values each. */
export const enum Lane {
  Kind = 0,
  Protocol = 1,
  Src = 2,
  Dst = 3,
  SrcPort = 4,
  DstPort = 5,
  Icmp = 6,
  TcpFlags = 7,
  TimeUs = 8,
  Verdict = 9,
  Orientation = 10,
  OrientedBy = 11,
  /** Handles, -1 absent. */
  Source = 12,
  Destination = 13,
  Line = 14,
}

/** `event_type.type` of the monitor API. */
export const enum Event {
  None = 0,
  Drop = 1,
  Trace = 4,
  PolicyVerdict = 5,
  Sock = 7,
  L7 = 129,
}

/** `Verdict` of `flow.proto`. */
export const enum ScanVerdict {
  None = 0,
  Forwarded = 1,
  Dropped = 2,
  Error = 3,
  Audit = 4,
  Redirected = 5,
  Traced = 6,
  Translated = 7,
}

/** Each lane has as many. */
export const enum LaneSize {
  Bytes = 8192,
}

/** Objects that the scanner remembers; it forgets them all when there are more. */
export const enum HandleLimit {
  /** Handles are below. */
  End = 16_000,
}

/** Rows of a read at most. */
const ROWS = LaneSize.Bytes / 8;
/** Zeros behind the bytes that are read, on which every loop of the tokenizer stops. */
const SLACK = 64;
/** Bytes of a window at most, and of a chunk that is lent. */
export const WINDOW_SIZE = 2_097_152;

interface Exports {
  readonly memory: WasmMemory;
  prepare(): void;
  objectOffset(handle: number): number;
  objectSize(handle: number): number;
  read(start: number, line: number, limit: number): number;
  stop(): number;
  recordStop(): number;
}

/** Columns that a record gives alone. */
type ColumnName =
  | 'kind'
  | 'protocol'
  | 'src'
  | 'dst'
  | 'srcPort'
  | 'dstPort'
  | 'icmp'
  | 'tcpFlags'
  | 'timeUs'
  | 'recordedVerdict'
  | 'orientation'
  | 'orientedBy'
  | 'line';

/** Reads records of the bytes that were loaded last. */
export class HubbleScanner {
  /** By `Scan`. */
  readonly result: Int32Array;
  /** Handles of the endpoints of the rows that were read last. */
  readonly source: Int32Array;
  readonly destination: Int32Array;
  private readonly time: Float64Array;
  private readonly bytes: Uint8Array;
  /** The lanes that are columns of a batch as they are. */
  private readonly columns: readonly (readonly [
    ColumnName,
    Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array,
  ])[];
  private readonly kernel: Exports;
  private isLent = false;
  /** What is added to a place in the caller's bytes. */
  private shift = 0;

  constructor(kernel: Exports) {
    this.kernel = kernel;
    const { buffer } = kernel.memory;
    const at = (lane: Lane): number => Place.Lanes + lane * LaneSize.Bytes;
    this.result = new Int32Array(buffer, Place.Result, 32);
    this.time = new Float64Array(buffer, Place.Time, 1);
    this.bytes = new Uint8Array(buffer);
    this.source = new Int32Array(buffer, at(Lane.Source), ROWS);
    this.destination = new Int32Array(buffer, at(Lane.Destination), ROWS);
    this.columns = [
      ['kind', new Uint8Array(buffer, at(Lane.Kind), ROWS)],
      ['protocol', new Uint8Array(buffer, at(Lane.Protocol), ROWS)],
      ['src', new Uint32Array(buffer, at(Lane.Src), ROWS)],
      ['dst', new Uint32Array(buffer, at(Lane.Dst), ROWS)],
      ['srcPort', new Int32Array(buffer, at(Lane.SrcPort), ROWS)],
      ['dstPort', new Int32Array(buffer, at(Lane.DstPort), ROWS)],
      ['icmp', new Int32Array(buffer, at(Lane.Icmp), ROWS)],
      ['tcpFlags', new Uint16Array(buffer, at(Lane.TcpFlags), ROWS)],
      ['timeUs', new Float64Array(buffer, at(Lane.TimeUs), ROWS)],
      ['recordedVerdict', new Uint8Array(buffer, at(Lane.Verdict), ROWS)],
      ['orientation', new Uint8Array(buffer, at(Lane.Orientation), ROWS)],
      ['orientedBy', new Uint8Array(buffer, at(Lane.OrientedBy), ROWS)],
      ['line', new Float64Array(buffer, at(Lane.Line), ROWS)],
    ];
    kernel.prepare();
    this.trust(-1, -1);
  }

  /**
   * Takes over `bytes[start, end)`, or as much of it as there is room for: returns where that ends. Places keep the caller's numbers. Bytes of a
   * chunk that was lent are read where they are.
   */
  load(bytes: Uint8Array, start: number, end: number): number {
    if (bytes.buffer === this.bytes.buffer && this.isFree(bytes.byteOffset + end)) {
      this.shift = bytes.byteOffset;
      return end;
    }
    const stop = Math.min(end, start + WINDOW_SIZE);
    const behind = Place.Input + stop - start;
    this.bytes.set(bytes.subarray(start, stop), Place.Input);
    this.bytes.fill(0, behind, behind + SLACK);
    this.shift = Place.Input - start;
    return stop;
  }

  /**
   * Chunks of the scanner's memory, to be filled in turn: what a source reads into them need not be copied. One borrower at a time has
   * them, until `takeBack`; undefined for others.
   */
  lend(): readonly Uint8Array[] | undefined {
    if (this.isLent) return undefined;
    this.isLent = true;
    const chunk = (number: number): Uint8Array =>
      new Uint8Array(this.bytes.buffer, Place.Input + number * Place.InputSize, WINDOW_SIZE);
    return [chunk(1), chunk(2), chunk(3)];
  }

  takeBack(): void {
    this.isLent = false;
  }

  /** Reads lines from `start` on into the lanes, at most `limit`: returns how many. `Scan.Outcome` says why no more. */
  read(start: number, line: number, limit: number): number {
    return this.kernel.read(start + this.shift, line, Math.min(limit, ROWS));
  }

  /** Where the first line begins of which there is no row. */
  stop(): number {
    return this.kernel.stop() - this.shift;
  }

  /** Where the line behind that one begins, after `Outcome.Record`. */
  recordStop(): number {
    return this.kernel.recordStop() - this.shift;
  }

  /** What the record in the result says of replies is what it means: others of its emitter may be rows at once. */
  trust(emitter: number, extensions: number): void {
    this.result[Scan.TrustedEmitter] = emitter;
    this.result[Scan.TrustedExtensions] = extensions;
  }

  /** Copies the first `count` rows behind those of the batch, without their endpoints; they are not counted yet. */
  append(batch: FlowBatch, count: number): void {
    for (const [name, lane] of this.columns) batch[name].set(lane.subarray(0, count), batch.count);
  }

  /** Of the record in the result, microseconds; NaN absent. */
  get timeUs(): number {
    return this.time[0]!;
  }

  /** The text of an address at `place`. */
  textAt(place: number, size: number): string {
    return this.decode(Place.Input + place, size);
  }

  /** An object by its handle. */
  objectOf(handle: number): Record<string, unknown> {
    const text = this.decode(this.kernel.objectOffset(handle), this.kernel.objectSize(handle));
    return parseJson(text) as Record<string, unknown>;
  }

  /** Are there zeros behind `end`, as behind a chunk that was filled to its end? */
  private isFree(end: number): boolean {
    for (let at = end; at < end + SLACK; at++) if (this.bytes[at] !== 0) return false;
    return true;
  }

  private decode(at: number, size: number): string {
    return Buffer.from(this.bytes.buffer, at, size).toString('utf8');
  }
}

/** The tokenizer of this process; undefined where it cannot run here. */
export const shareHubbleScanner: () => HubbleScanner | undefined = shareInstance(
  HUBBLE_SCAN_CODE,
  (exports) => new HubbleScanner(exports as Exports),
);
