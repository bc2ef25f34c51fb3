/**
 * Antrea's log of policy decisions, /var/log/antrea/networkpolicy/np.log: a packet that a rule with logging met, equal ones of a second
 * folded into one line. Fields are separated by blanks and differ by version; the action stands between what names the rule and what
 * names the packet.
 */
import { Orientation, OrientedBy, RecordKind, RecordedVerdict, clearRow } from '../model/flow.ts';
import { hasPorts, parseProtocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { LOCAL_TIME_LIMIT } from './conntrack-entry.ts';
import { type FieldAddress, parseDigitText, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines } from './head.ts';
import { createLineDecoder } from './line.ts';
import { internPod } from './ndjson.ts';
import { parseTime } from './time.ts';

/** np.log of an Antrea agent. */
export const ANTREA_POLICY: TraceFormat = {
  name: 'antrea-np',
  description: 'an Antrea network policy log',
  recognise: (head) => head.json === undefined && doMostLines(head, isDecision),
  isText: true,
  limits: [
    'Only rules with logging are in this log, with the packets that met them on one node, and equal packets of one second are one line.',
    'A line names the pod that the policy applies to; the other end is an address.',
    'A line has no ICMP type.',
    LOCAL_TIME_LIMIT,
  ],
  open: openAntreaPolicy,
};

const ACTIONS: ReadonlyMap<string, RecordedVerdict> = new Map([
  ['Allow', RecordedVerdict.Allow],
  ['Drop', RecordedVerdict.Deny],
  ['Reject', RecordedVerdict.Deny],
  ['Redirect', RecordedVerdict.Allow],
  ['Pass', RecordedVerdict.None],
]);

/** Absent, in the words of the log. */
const NIL = '<nil>';

function isDecision(line: string): boolean {
  const words = line.split(' ', 9);
  return words.length >= 8 && isDate(words[0]!) && words[1]![2] === ':' && words.some((word) => ACTIONS.has(word));
}

function isDate(text: string): boolean {
  return text.length === 10 && text[4] === '/' && text[7] === '/' && parseDigitText(text.slice(0, 4)) > 0;
}

function openAntreaPolicy(context: ReadContext): TraceDecoder {
  const { account } = context;
  const src: FieldAddress = { family: 0, value: 0 };
  const dst: FieldAddress = { family: 0, value: 0 };
  return createLineDecoder(context, (line, place) => {
    const words = line.split(' ').filter((word) => word !== '');
    if (!isDate(words[0] ?? '')) return increment(account.skipped, 'other-line');
    const complaint = fill(context, words, place.number, src, dst);
    if (complaint !== '') addMalformed(account, 'invalid-line', place, complaint, line);
  });
}

function fill(
  { batch, dictionary, account }: ReadContext,
  words: readonly string[],
  line: number,
  src: FieldAddress,
  dst: FieldAddress,
): string {
  // Behind the policy, which may be called like an action itself: table, policy, rule, direction, action.
  let at = words.findIndex((word, index) => index >= 4 && ACTIONS.has(word));
  if (at < 0) return 'expected an action (Allow, Drop, Reject)';
  const verdict = ACTIONS.get(words[at]!)!;
  const direction = words[at - 1];
  // The priority, then the pod since 1.13, then the packet.
  at += 2;
  const pod = words[at]?.includes('/') === true && words[at + 1] !== undefined ? words[at++]! : '';
  const isOld = words[at] === 'SRC:';
  const packet = isOld
    ? [words[at + 1], NIL, words[at + 3], NIL, words[at + 5], words[at + 4]]
    : words.slice(at, at + 6);
  const [from = '', fromPort = '', to = '', toPort = '', protocolWord = '', lengthWord = ''] = packet;
  if (!readAddress(from, dictionary, src)) return `expected a source address, found ${from.slice(0, 60) || 'nothing'}`;
  if (!readAddress(to, dictionary, dst)) return `expected a destination address, found ${to.slice(0, 60) || 'nothing'}`;
  if (src.family !== dst.family) return 'expected addresses of one family';
  const row = batch.count;
  clearRow(batch, row);
  batch.kind[row] = RecordKind.Decision;
  batch.orientation[row] = Orientation.Original;
  batch.orientedBy[row] = OrientedBy.Stated;
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  const protocol = parseProtocol(protocolWord.toLowerCase() === 'icmp' && src.family === 6 ? 'icmpv6' : protocolWord);
  if (protocol === undefined) addUnknownValue(account, 'protocol', protocolWord);
  else batch.protocol[row] = protocol;
  for (const [word, column] of [
    [fromPort, batch.srcPort],
    [toPort, batch.dstPort],
  ] as const) {
    if (word === NIL || protocol === undefined || !hasPorts(protocol)) continue;
    const port = parseDigitText(word);
    if (port < 0 || port > 0xffff) return `expected a port, found ${word.slice(0, 60)}`;
    column[row] = port;
  }
  const packets = foldedPackets(words);
  const length = parseDigitText(lengthWord);
  batch.packets[row] = packets;
  batch.bytes[row] = length < 0 ? -1 : length * packets;
  batch.timeUs[row] = parseTime(`${words[0]!.replaceAll('/', '-')} ${words[1]}`);
  if (Number.isNaN(batch.timeUs[row]!)) return `expected a time, found ${words[0]} ${words[1]}`;
  batch.recordedVerdict[row] = verdict;
  const slash = pod.indexOf('/');
  if (slash > 0) {
    const endpoint = internPod(dictionary, pod.slice(0, slash), pod.slice(slash + 1));
    if (direction === 'Ingress') batch.dstEndpoint[row] = endpoint;
    else if (direction === 'Egress') batch.srcEndpoint[row] = endpoint;
  }
  batch.line[row] = line;
  batch.count = row + 1;
  return '';
}

/** `[2 packets in 1.000855539s]` at the end of a line; 1 where there is none. */
function foldedPackets(words: readonly string[]): number {
  const at = words.findIndex(
    (word, index) => word.startsWith('[') && words[index + 1] === 'packets' && words[index + 2] === 'in',
  );
  const count = at < 0 ? 1 : parseDigitText(words[at]!.slice(1));
  return count < 1 ? 1 : count;
}
