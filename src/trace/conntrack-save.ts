/**
 * `conntrack -o save`: an entry as the options that would make it again. `-g` (DNAT) stands for the reply's source where it
 * was translated, `-n` (SNAT) for its destination.
 */
import { Protocol, parseProtocol } from '../model/port.ts';
import { addMalformed, addUnknownValue } from './account.ts';
import { CONNTRACK_LIMITS, ConntrackEntries, EntryEvent } from './conntrack-entry.ts';
import { parseDigitText, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines } from './head.ts';
import { createLineDecoder } from './line.ts';

/** The table as options of the conntrack tool. */
export const CONNTRACK_SAVE: TraceFormat = {
  name: 'conntrack-save',
  description: 'conntrack -o save output',
  recognise: (head) => doMostLines(head, (line) => line.startsWith('-A -t ')),
  isText: true,
  limits: CONNTRACK_LIMITS,
  open: openConntrackSave,
};

function openConntrackSave(context: ReadContext): TraceDecoder {
  const { account } = context;
  const entries = new ConntrackEntries(context);
  return createLineDecoder(context, (line, place) => {
    const words = line.split(' ').filter((word) => word !== '');
    entries.clear();
    if (words[0] === '-U') entries.event = EntryEvent.Update;
    else if (words[0] === '-D') entries.event = EntryEvent.Destroy;
    else if (words[0] !== '-A') return addMalformed(account, 'invalid-entry', place, 'expected -A, -U or -D', line);
    for (let index = 1; index < words.length; index += 2) {
      const option = words[index]!;
      const value = words[index + 1] ?? '';
      if (!takeOption(context, entries, option, value)) {
        const detail = `${option.slice(0, 30)}: unexpected value ${value.slice(0, 60)}`;
        return addMalformed(account, 'invalid-entry', place, detail, line);
      }
    }
    entries.take(place, line);
  });
}

function takeOption(
  { account, dictionary }: ReadContext,
  entries: ConntrackEntries,
  option: string,
  value: string,
): boolean {
  const { original, reply } = entries;
  switch (option) {
    case '-s':
      return readAddress(value, dictionary, original.src);
    case '-d':
      return readAddress(value, dictionary, original.dst);
    case '-r':
    case '-g':
      return readAddress(value, dictionary, reply.src);
    case '-q':
    case '-n':
      return readAddress(value, dictionary, reply.dst);
    case '-p': {
      const protocol = PROTOCOLS.get(value) ?? parseProtocol(value);
      if (protocol === undefined) addUnknownValue(account, 'protocol', value);
      entries.protocol = protocol ?? Protocol.Unknown;
      return true;
    }
    case '--sport':
      return (original.srcPort = parseDigitText(value)) >= 0;
    case '--dport':
      return (original.dstPort = parseDigitText(value)) >= 0;
    case '--reply-port-src':
      return (reply.srcPort = parseDigitText(value)) >= 0;
    case '--reply-port-dst':
      return (reply.dstPort = parseDigitText(value)) >= 0;
    case '--icmp-type':
    case '--icmpv6-type':
      return (original.icmpType = parseDigitText(value)) >= 0;
    case '--icmp-code':
    case '--icmpv6-code':
      return (original.icmpCode = parseDigitText(value)) >= 0;
    case '--icmp-id':
    case '--icmpv6-id':
      return (original.icmpId = parseDigitText(value)) >= 0;
    case '-u':
      entries.isUnreplied = value.startsWith('UNSET');
      return true;
    case '-w':
    case '--orig-zone':
    case '--reply-zone':
      if (value !== '0') entries.zone += `${option}=${value.slice(0, 10)} `;
      return true;
    default:
      return true;
  }
}

/** Names of the tool beside those of the model. */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['dccp', 33],
  ['gre', 47],
  ['udplite', 136],
]);
