/** Scenario packets as batch rows, for whoever tracks them. */
import { type AddressText, parseAddress } from './address.ts';
import {
  addQuote,
  clearRow,
  createBatch,
  createDictionary,
  type Dictionary,
  type FlowBatch,
  type Packet,
  QUOTE_COLUMNS,
  TcpFlag,
} from './flow.ts';

/** Addresses of a packet's ends; undefined where the snapshot gives a name none. */
export interface PacketAddresses {
  readonly src: AddressText | undefined;
  readonly dst: AddressText | undefined;
}

/** One batch of all packets, in order. Rows without two addresses of one family have family 0. */
export function batchPackets(packets: readonly Packet[], addressesOf: (packet: Packet) => PacketAddresses): FlowBatch {
  const batch = createBatch(Math.max(1, packets.length));
  const dictionary = createDictionary();
  packets.forEach((packet, row) => fillRow(batch, dictionary, row, packet, addressesOf(packet)));
  batch.count = packets.length;
  return batch;
}

function fillRow(
  batch: FlowBatch,
  dictionary: Dictionary,
  row: number,
  packet: Packet,
  { src, dst }: PacketAddresses,
): void {
  clearRow(batch, row);
  const from = wordOf(dictionary, src);
  const to = wordOf(dictionary, dst);
  if (from !== undefined && to !== undefined && from.family === to.family) {
    batch.family[row] = from.family;
    batch.src[row] = from.word;
    batch.dst[row] = to.word;
  }
  batch.protocol[row] = packet.protocol;
  batch.srcPort[row] = packet.srcPort ?? -1;
  batch.dstPort[row] = packet.port ?? -1;
  batch.icmp[row] = packet.icmp ?? -1;
  batch.tcpFlags[row] = packet.tcpFlags ?? TcpFlag.Absent;
  batch.timeUs[row] = packet.timeS * 1e6;
  batch.bytes[row] = 0;
  batch.packets[row] = 1;
  batch.line[row] = row + 1;
  if (packet.quotes !== undefined && packet.quotes < row) batch.quote[row] = quoteRow(batch, packet.quotes);
}

function quoteRow(batch: FlowBatch, quoted: number): number {
  const quote = addQuote(batch);
  for (const column of QUOTE_COLUMNS) batch.quotes[column][quote] = batch[column][quoted]!;
  return quote;
}

function wordOf(
  dictionary: Dictionary,
  address: AddressText | undefined,
): { family: number; word: number } | undefined {
  if (address === undefined) return undefined;
  const words = new Uint32Array(4);
  const family = parseAddress(address, words);
  const word = family === 6 ? dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!) : words[0]!;
  return { family, word };
}
