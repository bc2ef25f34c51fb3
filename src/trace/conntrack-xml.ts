/**
 * `conntrack -o xml`: an entry or event a line, in elements without free text. Tags are walked, not parsed as XML: no
 * entities, no DTD, nothing that a hostile document could make grow.
 */
import { addMalformed } from './account.ts';
import {
  CONNTRACK_LIMITS,
  ConntrackEntries,
  EntryEvent,
  type EntryTuple,
  takeTupleMember,
  LOCAL_TIME_LIMIT,
} from './conntrack-entry.ts';
import { parseDigitText } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createLineDecoder } from './line.ts';

/** The table, or its events, in XML. */
export const CONNTRACK_XML: TraceFormat = {
  name: 'conntrack-xml',
  description: 'conntrack -o xml output',
  recognise: ({ text }) => text.startsWith('<?xml') && text.includes('<conntrack>'),
  isText: true,
  limits: CONNTRACK_LIMITS,
  open: openConntrackXml,
};

function openConntrackXml(context: ReadContext): TraceDecoder {
  const { account } = context;
  const entries = new ConntrackEntries(context);
  let isLocalTime = false;
  return createLineDecoder(context, (line, place) => {
    const text = line.trim();
    // The document around the entries is no record.
    if (text.startsWith('<?xml') || text === '<conntrack>' || text === '</conntrack>') {
      account.read--;
      return;
    }
    if (!text.startsWith('<flow') || !text.endsWith('</flow>'))
      return addMalformed(account, 'invalid-entry', place, 'expected <flow>...</flow> on one line', text);
    entries.clear();
    const complaint = takeFlow(context, entries, text);
    if (complaint !== '') return addMalformed(account, 'invalid-entry', place, complaint, text);
    if (!isLocalTime && !Number.isNaN(entries.timeUs)) {
      isLocalTime = true;
      account.limits.push(LOCAL_TIME_LIMIT);
    }
    entries.take(place, text);
  });
}

/** Members of `<when>`, in the order of `Date.UTC`. */
const CLOCK = ['year', 'month', 'day', 'hour', 'min', 'sec'];

/** Reads one flow into `entries`; returns what is wrong with it, or the empty text. */
function takeFlow(context: ReadContext, entries: ConntrackEntries, text: string): string {
  const clock = CLOCK.map(() => -1);
  let tuple: EntryTuple | undefined;
  for (let open = text.indexOf('<'); open >= 0; open = text.indexOf('<', open + 1)) {
    const close = text.indexOf('>', open);
    if (close < 0) return 'a tag is never closed';
    const tag = text.slice(open + 1, close);
    const next = text.indexOf('<', close);
    const value = next < 0 ? '' : text.slice(close + 1, next);
    if (tag.startsWith('flow')) entries.event = eventOf(tag);
    else if (tag.startsWith('meta '))
      tuple = tag.includes('"original"') ? entries.original : tag.includes('"reply"') ? entries.reply : undefined;
    else if (tag.startsWith('layer4 ')) {
      const number = parseDigitText(attribute(tag, 'protonum'));
      if (number < 0 || number > 255) return 'layer4: expected a protocol number';
      entries.protocol = number;
    } else if (tag === 'unreplied/') entries.isUnreplied = true;
    else if (tag === 'zone' && value !== '0') entries.zone += `zone=${value.slice(0, 10)} `;
    else if (CLOCK.includes(tag)) clock[CLOCK.indexOf(tag)] = parseDigitText(value);
    else if (tuple !== undefined && !takeTupleMember(context.dictionary, tuple, tag, value))
      return `${tag.slice(0, 30)}: unexpected value ${value.slice(0, 60)}`;
  }
  const [year = -1, month = -1, day = -1, hour = -1, minute = -1, second = -1] = clock;
  if (year >= 1970 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour >= 0 && hour <= 23)
    entries.timeUs = Date.UTC(year, month - 1, day, hour, Math.max(0, minute), Math.max(0, second)) * 1000;
  return '';
}

function eventOf(tag: string): EntryEvent {
  switch (attribute(tag, 'type')) {
    case 'new':
      return EntryEvent.New;
    case 'update':
      return EntryEvent.Update;
    case 'destroy':
      return EntryEvent.Destroy;
    default:
      return EntryEvent.Dump;
  }
}

/** The value of an attribute, empty where there is none. */
function attribute(tag: string, name: string): string {
  const start = tag.indexOf(`${name}="`);
  if (start < 0) return '';
  const first = start + name.length + 2;
  const end = tag.indexOf('"', first);
  return end < 0 ? '' : tag.slice(first, end);
}
