/**
 * One packet in several files: captures of two nodes both hold what went from one to the other. Rows of different files that agree in
 * addresses, ports, protocol, TCP flags and ICMP type, at most 5 ms apart, are one packet; within a file nothing is joined here. Runs
 * over merged rows, behind the readers. Rows with a recorded verdict are kept: they say more than that a packet was there.
 */
import { type FlowBatch, keepRows, RecordedVerdict, RecordKind } from '../model/flow.ts';
import { increment, type TraceAccount } from './account.ts';
import { type SightingKey, SightingTable } from './sighting.ts';

/** Knows the packets of the last 5 ms of all files. */
export class FileSightings {
  private readonly table = new SightingTable(0);
  private readonly key: SightingKey = { hash: 0, check: 0, isStrong: false };

  /**
   * Takes rows `[from, to)` of a batch, and moves those that no other file has shown to the front of that range. Returns
   * its new end; the others are skipped as `duplicate` in the accounts of their files.
   */
  keepNew(batch: FlowBatch, from: number, to: number, accounts: readonly TraceAccount[]): number {
    return keepRows(batch, from, to, (row) => {
      const file = batch.origin?.[row] ?? 0;
      const isRepeated = this.isRepeated(batch, row, file);
      if (isRepeated) {
        accounts[file]!.used--;
        increment(accounts[file]!.skipped, 'duplicate');
      }
      return !isRepeated;
    });
  }

  private isRepeated(batch: FlowBatch, row: number, file: number): boolean {
    if (batch.kind[row] !== RecordKind.Packet || batch.recordedVerdict[row] !== RecordedVerdict.None) return false;
    if (batch.family[row] === 0 || Number.isNaN(batch.timeUs[row])) return false;
    const { key } = this;
    const ports = Math.imul(batch.srcPort[row]! + 1, 65_539) ^ batch.dstPort[row]!;
    let hash = Math.imul(batch.src[row]! ^ 0x9e3779b9, 0x85ebca6b) ^ batch.dst[row]!;
    hash = Math.imul((hash ^ (hash >>> 15)) + ports, 0xc2b2ae35);
    hash = Math.imul((hash ^ (hash >>> 13)) + batch.tcpFlags[row]!, 0x27d4eb2f);
    hash = Math.imul((hash ^ (hash >>> 16)) + batch.icmp[row]! + (batch.flags[row]! << 20), 0x165667b1);
    key.hash = hash ^ (hash >>> 15);
    // The table also takes tuples for one that differ in one end: not here, where nothing tells that it was translated.
    key.check = (Math.imul(batch.src[row]! ^ ports, 0xcc9e2d51) + Math.imul(batch.dst[row]! ^ hash, 0x1b873593)) | 0;
    return this.table.isDuplicate(batch, row, file, key);
  }
}
