/**
 * A row from named texts: what tables and mapped JSON have in common. Each field has one parser here, and a text that it does not
 * understand is a complaint or an unknown value, never a guess.
 */
import { parseAddress, type Family } from '../model/address.ts';
import { clearRow, Orientation, OrientedBy, RecordKind } from '../model/flow.ts';
import { parseProtocol } from '../model/port.ts';
import { addUnknownValue } from './account.ts';
import type { CsvField } from './csv.ts';
import type { ReadContext } from './format.ts';
import type { TimeUnit } from './mapping.ts';
import { internPod } from './ndjson.ts';
import { checkTime, parseTime } from './time.ts';
import { indexOfWord, KIND_WORDS, ORIENTATION_WORDS, ORIENTED_BY_WORDS, parseTcpFlags, parseVerdict } from './word.ts';

const words = new Uint32Array(4);

/** Fills a row from named texts; returns what is wrong with them, or the empty text. */
export function fillRow(
  { batch, dictionary, account, mapping }: ReadContext,
  at: number,
  cells: ReadonlyMap<CsvField, string>,
): string {
  clearRow(batch, at);
  let complaint = '';
  const number = (field: CsvField, limit: number): number => {
    const cell = cells.get(field);
    if (cell === undefined) return -1;
    const value = Number(cell);
    if (Number.isInteger(value) && value >= 0 && value <= limit) return value;
    complaint = `${field}: expected a whole number from 0 to ${limit}, found ${cell}`;
    return -1;
  };
  const word = (field: CsvField, set: readonly string[], absent: number): number => {
    const cell = cells.get(field);
    if (cell === undefined) return absent;
    const index = indexOfWord(set, cell);
    if (index >= 0) return index;
    addUnknownValue(account, field, cell);
    return absent;
  };
  const pod = (field: CsvField): number => {
    const cell = cells.get(field);
    if (cell === undefined) return 0;
    const slash = cell.indexOf('/');
    if (slash > 0 && slash < cell.length - 1) return internPod(dictionary, cell.slice(0, slash), cell.slice(slash + 1));
    complaint = `${field}: expected namespace/name, found ${cell}`;
    return 0;
  };
  const address = (field: CsvField): Family => {
    const cell = cells.get(field);
    if (cell === undefined) return 0;
    const family = parseAddress(cell, words);
    if (family === 0) complaint = `${field}: expected an IP address, found ${cell}`;
    return family;
  };
  const keep = (family: Family): number =>
    family === 6 ? dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!) : words[0]!;

  const family = address('src');
  if (family !== 0) batch.src[at] = keep(family);
  const other = address('dst');
  if (other !== 0) batch.dst[at] = keep(other);
  if (complaint === '' && family !== other) complaint = 'src and dst: expected two addresses of one family';
  batch.family[at] = family;
  batch.srcEndpoint[at] = pod('srcPod');
  batch.dstEndpoint[at] = pod('dstPod');
  if (complaint === '' && family === 0 && batch.srcEndpoint[at] === 0 && batch.dstEndpoint[at] === 0)
    complaint = 'expected addresses or pods';

  const protocol = cells.get('protocol');
  if (protocol !== undefined) {
    const parsed = parseProtocol(protocol);
    if (parsed === undefined) addUnknownValue(account, 'protocol', protocol);
    else batch.protocol[at] = parsed;
  }
  // Exports write port 0 for protocols that have none.
  const hasPorts = [6, 17, 132, 136, 33].includes(batch.protocol[at]!);
  const srcPort = number('srcPort', 65535);
  const dstPort = number('dstPort', 65535);
  batch.srcPort[at] = srcPort === 0 && !hasPorts ? -1 : srcPort;
  batch.dstPort[at] = dstPort === 0 && !hasPorts ? -1 : dstPort;
  const icmpType = number('icmpType', 255);
  if (icmpType >= 0) batch.icmp[at] = (icmpType << 8) | Math.max(0, number('icmpCode', 255));
  batch.bytes[at] = number('bytes', Number.MAX_SAFE_INTEGER);
  batch.packets[at] = number('packets', Number.MAX_SAFE_INTEGER);
  const flags = cells.get('tcpFlags');
  if (flags !== undefined) {
    const bits = parseTcpFlags(flags);
    if (bits < 0) addUnknownValue(account, 'tcpFlags', flags);
    else batch.tcpFlags[at] = bits;
  }
  const time = cells.get('time');
  if (time !== undefined) {
    batch.timeUs[at] = readTime(time, mapping?.rules?.fields.get('time')?.unit ?? mapping?.timeUnit);
    if (Number.isNaN(batch.timeUs[at]!)) complaint = `time: expected RFC 3339 or a number, found ${time}`;
  }
  const defaultKind = mapping?.kind === undefined ? RecordKind.Connection : indexOfWord(KIND_WORDS, mapping.kind);
  const kind = word('kind', KIND_WORDS, defaultKind);
  batch.kind[at] = kind;
  const isConnection = kind === RecordKind.Connection || kind === RecordKind.Aggregate;
  const replyBytes = number('replyBytes', Number.MAX_SAFE_INTEGER);
  const replyPackets = number('replyPackets', Number.MAX_SAFE_INTEGER);
  batch.replyBytes[at] = isConnection ? replyBytes : Math.max(0, replyBytes);
  batch.replyPackets[at] = isConnection ? replyPackets : Math.max(0, replyPackets);
  const namesInitiator = kind >= RecordKind.Connection;
  const orientation = word(
    'orientation',
    ORIENTATION_WORDS,
    namesInitiator ? Orientation.Original : Orientation.Unknown,
  );
  batch.orientation[at] = orientation;
  batch.orientedBy[at] = word(
    'orientedBy',
    ORIENTED_BY_WORDS,
    orientation === Orientation.Unknown ? OrientedBy.Assumed : OrientedBy.Stated,
  );
  const verdict = cells.get('verdict');
  if (verdict !== undefined) {
    const parsed = parseVerdict(verdict);
    if (parsed === undefined) addUnknownValue(account, 'verdict', verdict);
    else batch.recordedVerdict[at] = parsed;
  }
  const connections = number('connections', Number.MAX_SAFE_INTEGER);
  if (connections >= 0) batch.connections[at] = connections;
  batch.repeats[at] = Math.max(0, number('repeats', Number.MAX_SAFE_INTEGER));
  const preFamily = address('preDst');
  if (preFamily !== 0 && preFamily === family) {
    batch.preDst[at] = keep(preFamily);
    const port = number('preDstPort', 65535);
    batch.preDstPort[at] = port >= 0 ? port : Math.max(0, batch.dstPort[at]!);
  }
  return complaint;
}

/** A number's unit by its size: seconds have 10 digits until the year 2286, milliseconds 13, microseconds 16. */
export function readTime(text: string, unit: TimeUnit | undefined): number {
  const number = Number(text);
  if (Number.isNaN(number)) return parseTime(text);
  const size = Math.abs(number);
  const chosen = unit ?? (size < 1e11 ? 's' : size < 1e14 ? 'ms' : size < 1e17 ? 'us' : 'ns');
  switch (chosen) {
    case 's':
      return checkTime(Math.round(number * 1e6));
    case 'ms':
      return checkTime(Math.round(number * 1e3));
    case 'us':
      return checkTime(Math.floor(number));
    case 'ns':
      return checkTime(Math.floor(number / 1e3));
  }
}
