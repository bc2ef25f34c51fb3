/**
 * Address translation that one file states and another lacks: a conntrack table or event says which backend a Service's address led
 * a connection to, and a capture taken in front of the translation shows that address alone. Runs over merged rows, behind the readers and in front
 * of `FileSightings`: from the row on that states a translation, the rows of every file have the addresses that a policy sees.
 */
import { Orientation, type FlowBatch } from '../model/flow.ts';
import { TranslationTable } from './nat.ts';

/** Knows the translations that rows have stated so far, at most 131,072 directed tuples, in the order of their turns. */
export class FileTranslations {
  private readonly table = new TranslationTable();

  /** Takes rows `[from, to)` of a batch: learns from those that state a translation, and rewrites the others where theirs is known. */
  apply(batch: FlowBatch, from: number, to: number): void {
    const { preDstPort } = batch;
    batch.uniform?.clear();
    let start = from;
    for (let row = from; row < to; row++) {
      if (preDstPort[row]! < 0 || !isOpening(batch, row)) continue;
      this.table.translate(batch, start, row);
      this.learn(batch, row);
      start = row + 1;
    }
    this.table.translate(batch, start, to);
  }

  private learn({ family, protocol, src, srcPort, dst, dstPort, preDst, preDstPort }: FlowBatch, row: number): void {
    const [from, fromPort] = [src[row]!, srcPort[row]!];
    // The source behind the translation is not in the row: rows that show it keep it.
    this.table.learn(
      family[row]!,
      protocol[row]!,
      from,
      fromPort,
      preDst[row]!,
      preDstPort[row]!,
      from,
      fromPort,
      dst[row]!,
      dstPort[row]!,
    );
  }
}

/** Original direction, with both ports: without them a tuple is not one connection's. */
function isOpening({ family, orientation, srcPort, dstPort }: FlowBatch, row: number): boolean {
  return family[row] !== 0 && orientation[row] === Orientation.Original && srcPort[row]! >= 0 && dstPort[row]! >= 0;
}
