/** Rows for the tracker's tests: a packet as people write it -> one row of a batch. */
import {
  Orientation,
  RecordKind,
  TcpFlag,
  addQuote,
  clearRow,
  createBatch,
  resetBatch,
  type FlowBatch,
} from '../../src/model/flow.ts';

/** A packet or record; whatever is left out is absent. */
export interface Row {
  readonly kind?: RecordKind;
  readonly family?: 0 | 4 | 6;
  readonly protocol: number;
  readonly src: number;
  readonly dst: number;
  readonly srcPort?: number;
  readonly dstPort?: number;
  /** type << 8 | code */
  readonly icmp?: number;
  /** Letters of FSRPAU; undefined = absent. */
  readonly flags?: string;
  /** Seconds; undefined = the record has no time. */
  readonly timeS?: number | undefined;
  readonly orientation?: Orientation;
  readonly recordFlags?: number;
  readonly replyPackets?: number;
  readonly chunks?: readonly number[];
  readonly tag?: number;
  readonly initTag?: number;
  /** The packet that an ICMP error quotes. */
  readonly quote?: Row | undefined;
}

const LETTERS: Readonly<Record<string, number>> = {
  F: TcpFlag.Fin,
  S: TcpFlag.Syn,
  R: TcpFlag.Rst,
  P: TcpFlag.Psh,
  A: TcpFlag.Ack,
  U: TcpFlag.Urg,
};

/** TCP flag bits from letters. */
export function flagsOf(letters: string): number {
  return [...letters].reduce((bits, letter) => bits | LETTERS[letter]!, 0);
}

/** A batch whose row 0 is `row`; the batch is one and the same at every call unless given. */
export function batchOf(row: Row, batch: FlowBatch = SHARED): FlowBatch {
  resetBatch(batch);
  batch.count = 1;
  clearRow(batch, 0);
  batch.kind[0] = row.kind ?? RecordKind.Packet;
  batch.family[0] = row.family ?? 4;
  batch.protocol[0] = row.protocol;
  batch.src[0] = row.src;
  batch.dst[0] = row.dst;
  batch.srcPort[0] = row.srcPort ?? -1;
  batch.dstPort[0] = row.dstPort ?? -1;
  batch.icmp[0] = row.icmp ?? -1;
  batch.tcpFlags[0] = row.flags === undefined ? TcpFlag.Absent : flagsOf(row.flags);
  batch.timeUs[0] = row.timeS === undefined ? NaN : row.timeS * 1e6;
  batch.orientation[0] = row.orientation ?? Orientation.Unknown;
  batch.flags[0] = row.recordFlags ?? 0;
  batch.replyPackets[0] = row.replyPackets ?? 0;
  batch.sctpChunks[0] = (row.chunks ?? []).reduce((bits, type) => bits | (1 << Math.min(type, 15)), 0);
  batch.sctpTag[0] = row.tag ?? 0;
  batch.sctpInitTag[0] = row.initTag ?? 0;
  if (row.quote !== undefined) {
    const { quote } = row;
    const at = addQuote(batch);
    const { quotes } = batch;
    quotes.family[at] = quote.family ?? 4;
    quotes.protocol[at] = quote.protocol;
    quotes.src[at] = quote.src;
    quotes.dst[at] = quote.dst;
    quotes.srcPort[at] = quote.srcPort ?? -1;
    quotes.dstPort[at] = quote.dstPort ?? -1;
    quotes.icmp[at] = quote.icmp ?? -1;
    batch.quote[0] = at;
  }
  return batch;
}

/** The packet that answers `row` with the same flags, turned round. */
export function reversed(row: Row): Row {
  return { ...row, src: row.dst, dst: row.src, srcPort: row.dstPort ?? -1, dstPort: row.srcPort ?? -1 };
}

const SHARED = createBatch(1);
