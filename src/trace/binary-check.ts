/**
 * Which values the columns of a columnar trace may have: asked of every element that is read, by WASM where the columns lie in an arena, by its
 * twin in TypeScript elsewhere. What depends on another column is asked by the reader.
 */
import { type FlowBatch, TcpFlag } from '../model/flow.ts';
import type { BinaryColumn } from './binary-layout.ts';
import type { BinaryScanner } from './binary-scan.ts';
import { TIME_MAX_US } from './time.ts';

/** The first numbers that the file does not have. */
export interface FileBounds {
  readonly endpoints: number;
  readonly policies: number;
  readonly quotes: number;
}

/** A column's elements where WASM looks at them: an address of its memory. */
export interface ScannedColumn {
  readonly scanner: BinaryScanner;
  readonly at: number;
}

/** The first value that a closed set does not have. */
const BOUNDS = { kind: 5, orientation: 3, orientedBy: 5, recordedVerdict: 8 } as const;

/** Are the first `count` elements of a column in their range? Of times that WASM looks at it notes the extent in the batch. */
export function isColumnValid(
  batch: FlowBatch,
  name: BinaryColumn,
  count: number,
  { endpoints, policies, quotes }: FileBounds,
  scan: ScannedColumn | undefined,
): boolean {
  switch (name) {
    case 'kind':
    case 'orientation':
    case 'orientedBy':
    case 'recordedVerdict':
      if (scan !== undefined) return scan.scanner.areBytesBelow(scan.at, count, BOUNDS[name]) !== 0;
      return isBelow(batch[name], count, BOUNDS[name]);
    case 'srcEndpoint':
    case 'dstEndpoint':
    case 'policies': {
      const bound = name === 'policies' ? policies : endpoints;
      if (scan !== undefined) return scan.scanner.areWordsBelow(scan.at, count, bound) !== 0;
      return isBelow(batch[name], count, bound);
    }
    case 'srcPort':
    case 'dstPort':
    case 'preDstPort':
    case 'icmp':
      return scan === undefined ? arePorts(batch[name], count) : scan.scanner.arePorts(scan.at, count) !== 0;
    case 'bytes':
    case 'packets':
    case 'replyBytes':
    case 'replyPackets':
      return scan === undefined ? areAmounts(batch[name], count) : scan.scanner.areAmounts(scan.at, count) !== 0;
    case 'connections':
    case 'repeats':
      return areCounts(batch[name], count);
    case 'family':
      return areFamilies(batch.family, count);
    case 'tcpFlags':
      return scan === undefined ? areFlags(batch.tcpFlags, count) : scan.scanner.areFlags(scan.at, count) !== 0;
    case 'timeUs':
      if (scan === undefined) return areTimes(batch.timeUs, count);
      if (scan.scanner.areTimes(scan.at, count, TIME_MAX_US) === 0) return false;
      batch.extent = { firstUs: scan.scanner.firstTime(), lastUs: scan.scanner.lastTime() };
      return true;
    case 'quote':
      return areQuotes(batch.quote, count, quotes);
    default:
      // Addresses, protocols, flags and tags: any value.
      return true;
  }
}

/** Small functions of their own, because each column type wants a loop that the compiler knows it by. */
function isBelow(column: Uint8Array | Uint32Array, count: number, bound: number): boolean {
  if (column instanceof Uint8Array) {
    for (let row = 0; row < count; row++) if (column[row]! >= bound) return false;
  } else for (let row = 0; row < count; row++) if (column[row]! >= bound) return false;
  return true;
}

function arePorts(column: Int32Array, count: number): boolean {
  for (let row = 0; row < count; row++) if (!isPort(column[row]!)) return false;
  return true;
}

function areAmounts(column: Float64Array, count: number): boolean {
  for (let row = 0; row < count; row++) if (!(column[row]! >= -1 && column[row]! < Infinity)) return false;
  return true;
}

function areFlags(column: Uint16Array, count: number): boolean {
  for (let row = 0; row < count; row++) {
    const value = column[row]!;
    if (value > 0x1ff && value !== TcpFlag.Absent) return false;
  }
  return true;
}

/** A time that is absent is NaN. */
function areTimes(column: Float64Array, count: number): boolean {
  for (let row = 0; row < count; row++) {
    const value = column[row]!;
    if (value > TIME_MAX_US || value < -TIME_MAX_US) return false;
  }
  return true;
}

/** Numbers of connections, which sums of them stay exact with. */
function areCounts(column: Float64Array, count: number): boolean {
  for (let row = 0; row < count; row++) if (!(Number.isSafeInteger(column[row]!) && column[row]! >= 0)) return false;
  return true;
}

function areFamilies(column: Uint8Array, count: number): boolean {
  for (let row = 0; row < count; row++) if (column[row] !== 4 && column[row] !== 6 && column[row] !== 0) return false;
  return true;
}

function areQuotes(column: Int32Array, count: number, quotes: number): boolean {
  for (let row = 0; row < count; row++) if (column[row]! >= quotes || column[row]! < -1) return false;
  return true;
}

/** A port, or an ICMP type and code; -1 none. */
function isPort(value: number): boolean {
  return (value + 1) >>> 0 <= 65_536;
}
