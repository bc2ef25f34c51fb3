/** What the scanners of bytes leave to be filled in: an ordinary row of theirs is IPv4, and says nothing in most columns. */
import type { FlowBatch, RecordKind } from '../model/flow.ts';

/** Writes, for rows `from` up to `to`, the kind, the family and every column that no ordinary row of any scanner states. */
export function fillUnstated(batch: FlowBatch, kind: RecordKind, from: number, to: number): void {
  batch.kind.fill(kind, from, to);
  batch.family.fill(4, from, to);
  batch.icmp.fill(-1, from, to);
  batch.replyBytes.fill(0, from, to);
  batch.replyPackets.fill(0, from, to);
  batch.srcEndpoint.fill(0, from, to);
  batch.dstEndpoint.fill(0, from, to);
  batch.preDst.fill(0, from, to);
  batch.preDstPort.fill(-1, from, to);
  batch.quote.fill(-1, from, to);
  batch.sctpChunks.fill(0, from, to);
  batch.sctpTag.fill(0, from, to);
  batch.sctpInitTag.fill(0, from, to);
  batch.connections.fill(1, from, to);
  batch.repeats.fill(0, from, to);
  batch.policies.fill(0, from, to);
}
