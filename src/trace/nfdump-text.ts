/**
 * nfdump's output for people (`-o line`, `long`, `extended`, and no -o at all): a heading, a record a line, ends as `address:port` with
 * an arrow between them, numbers scaled (`1.2 M`). What stands behind the ends is told by the heading.
 */
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { type FieldAddress, parseDigitText, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createLineDecoder } from './line.ts';
import { NFDUMP_LIMITS, NfdumpRecords, parseNfdumpFlags, parseNfdumpProtocol } from './nfdump-record.ts';
import { parseTime } from './time.ts';

/** nfdump's text. */
export const NFDUMP_TEXT: TraceFormat = {
  name: 'nfdump-text',
  description: 'nfdump text output',
  recognise: ({ json, lines }) => json === undefined && isHeading(lines[0] ?? ''),
  isText: true,
  limits: [
    ...NFDUMP_LIMITS,
    LOCAL_TIME_LIMIT,
    'Numbers are printed for people: counts with a unit are rounded, and IPv6 addresses that were shortened (without -6) are refused.',
  ],
  open: openNfdumpText,
};

const TOTALS = ['Summary:', 'Time window:', 'Total flows', 'Sys:', 'No matched flows', 'No matching flows'];

function isHeading(line: string): boolean {
  return line.startsWith('Date first seen') && line.includes('Src IP Addr:Port');
}

function openNfdumpText(context: ReadContext): TraceDecoder {
  const { account } = context;
  const records = new NfdumpRecords(context);
  let hasFlags = false;
  return createLineDecoder(context, (line, place) => {
    if (line.startsWith('Date first seen')) {
      // The heading, which every part of a joined file has, is no record.
      account.read--;
      hasFlags = line.includes(' Flags ');
      return;
    }
    if (TOTALS.some((total) => line.startsWith(total))) return increment(account.skipped, 'summary');
    records.clear();
    const complaint = fill(context, records, line, hasFlags);
    const wrong = complaint === '' ? records.take(place.number) : complaint;
    if (wrong !== '') addMalformed(account, 'invalid-line', place, wrong, line);
  });
}

function fill({ dictionary, account }: ReadContext, records: NfdumpRecords, line: string, hasFlags: boolean): string {
  const words = line.split(' ').filter((word) => word !== '');
  const arrow = words.indexOf('->');
  const back = words.indexOf('<->');
  const middle = arrow < 0 ? back : arrow;
  if (middle < 4) return 'expected a time, a protocol and "source -> destination"';
  records.timeUs = parseTime(`${words[0]} ${words[1]}`);
  if (Number.isNaN(records.timeUs)) return `expected a time, found ${words[0]!.slice(0, 60)}`;
  const protocol = parseNfdumpProtocol(words[middle - 2]!);
  if (protocol === undefined) addUnknownValue(account, 'proto', words[middle - 2]);
  else records.protocol = protocol;
  const from = readEnd(words[middle - 1]!, records.src);
  if (from === undefined) return `expected address:port, found ${words[middle - 1]!.slice(0, 60)}`;
  const to = readEnd(words[middle + 1] ?? '', records.dst);
  if (to === undefined) return `expected address:port, found ${(words[middle + 1] ?? 'nothing').slice(0, 60)}`;
  const port = parseDigitText(from);
  records.srcPort = port <= 0xffff ? port : -1;
  const dot = to.indexOf('.');
  if (dot >= 0) {
    const type = parseDigitText(to.slice(0, dot));
    const code = parseDigitText(to.slice(dot + 1));
    if (type < 0 || type > 255 || code < 0 || code > 255)
      return `expected an ICMP type and code, found ${to.slice(0, 60)}`;
    records.icmp = (type << 8) | code;
  } else {
    records.dstPort = parseDigitText(to);
    if (records.dstPort > 0xffff) return `expected a port, found ${to.slice(0, 60)}`;
  }
  let at = middle + 2;
  if (hasFlags) {
    const flags = parseNfdumpFlags(words[at] ?? '');
    if (flags < 0) addUnknownValue(account, 'flags', words[at]);
    else records.tcpFlags = flags;
    at += 2;
  }
  const counts =
    back < 0 ? (['packets', 'bytes'] as const) : (['replyPackets', 'packets', 'replyBytes', 'bytes'] as const);
  for (const field of counts) {
    const scale = SCALES.get(words[at + 1] ?? '');
    const value = Number(words[at]);
    if (value * (scale ?? 1) > Number.MAX_SAFE_INTEGER)
      return `${field}: expected a count, found ${String(words[at]).slice(0, 60)}`;
    records[field] = value >= 0 ? Math.round(value * (scale ?? 1)) : field.startsWith('reply') ? 0 : -1;
    at += scale === undefined ? 1 : 2;
  }
  return '';

  /** The port's text behind the colon, or for IPv6 behind the first dot; of ICMP it is `type.code`. */
  function readEnd(text: string, out: FieldAddress): string | undefined {
    const colons = text.split(':').length - 1;
    const split = text.indexOf(colons > 1 ? '.' : ':');
    if (split < 0) return readAddress(text, dictionary, out) ? '' : undefined;
    return readAddress(text.slice(0, split), dictionary, out) ? text.slice(split + 1) : undefined;
  }
}

const SCALES: ReadonlyMap<string, number> = new Map([
  ['K', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
]);
