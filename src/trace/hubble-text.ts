/**
 * What `hubble observe` prints for people: compact lines, the dictionary (several lines a flow) and the table. They lose the
 * year, labels and, unless names are switched off, addresses; what is left is brought into Hubble's own members and read there.
 * Cilium `hubble/pkg/printer/printer.go`.
 */
import { canonicalAddress } from '../model/address.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines, type Head } from './head.ts';
import { createFlowTaker } from './hubble.ts';
import type { Json } from './json-member.ts';
import { createLineDecoder, type Place } from './line.ts';
import { formatTime, parseTime } from './time.ts';

/** Compact, dictionary and table output. */
export const HUBBLE_TEXT: TraceFormat = {
  name: 'hubble-text',
  description: 'hubble observe output for people',
  recognise: isHubbleText,
  isText: true,
  isPrefixed: true,
  limits: [
    'Hubble text output has no labels, and addresses only where names are switched off (--ip-translation=false): record it with hubble observe -o jsonpb instead.',
    'Hubble aggregates the packets of a connection: record counts are not packet counts, and bytes are unknown.',
  ],
  open: openHubbleText,
};

const NO_YEAR =
  'The times of this trace have no year: they are read as UTC of 1970, and a year later where they go back by half a year.';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** `Nov 21 01:55:07.571`. */
const STAMP_LENGTH = 19;
const HALF_YEAR_US = 182 * 86_400 * 1e6;
const YEAR_MS = 365 * 86_400_000;

/** What a verdict is called in the three outputs, and what Hubble calls it. */
const VERDICTS: Readonly<Record<string, string>> = {
  FORWARDED: 'FORWARDED',
  ALLOWED: 'FORWARDED',
  DROPPED: 'DROPPED',
  DENIED: 'DROPPED',
  ERROR: 'ERROR',
  AUDIT: 'AUDIT',
  AUDITED: 'AUDIT',
  REDIRECTED: 'REDIRECTED',
  TRACED: 'TRACED',
  TRANSLATED: 'TRANSLATED',
  VERDICT_UNKNOWN: 'VERDICT_UNKNOWN',
};

/** The texts of the drop reasons that are a policy's doing; beside them `(PROTO)` and the like may stand. */
const POLICY_DROPS: readonly (readonly [string, string])[] = [
  ['policy denied by denylist', 'POLICY_DENY'],
  ['policy denied', 'POLICY_DENIED'],
  ['policy_denied', 'POLICY_DENIED'],
  ['policy_deny', 'POLICY_DENY'],
  ['authentication required', 'AUTH_REQUIRED'],
  ['auth_required', 'AUTH_REQUIRED'],
];

const RESERVED = new Map([
  ['host', 1],
  ['world', 2],
  ['unmanaged', 3],
  ['health', 4],
  ['init', 5],
  ['remote-node', 6],
  ['kube-apiserver', 7],
  ['ingress', 8],
  ['world-ipv4', 9],
  ['world-ipv6', 10],
  ['encrypted-overlay', 11],
]);

/** Types of ICMP by the names that Hubble prints; a code in parentheses is not kept. */
const ICMP_TYPES = new Map([
  ['EchoReply', 0],
  ['DestinationUnreachable', 3],
  ['SourceQuench', 4],
  ['Redirect', 5],
  ['EchoRequest', 8],
  ['RouterAdvertisement', 9],
  ['RouterSolicitation', 10],
  ['TimeExceeded', 11],
  ['ParameterProblem', 12],
  ['TimestampRequest', 13],
  ['TimestampReply', 14],
]);
const ICMPV6_TYPES = new Map([
  ['DestinationUnreachable', 1],
  ['PacketTooBig', 2],
  ['TimeExceeded', 3],
  ['ParameterProblem', 4],
  ['EchoRequest', 128],
  ['EchoReply', 129],
  ['RouterSolicitation', 133],
  ['RouterAdvertisement', 134],
  ['NeighborSolicitation', 135],
  ['NeighborAdvertisement', 136],
  ['Redirect', 137],
]);

/** A flow as one of the outputs has it. */
interface Printed {
  readonly time: string;
  /** `namespace/pod:port (identity)`, in the direction of the packet. */
  readonly source: string;
  readonly destination: string;
  readonly type: string;
  readonly verdict: string;
  readonly summary: string;
  readonly isReply?: boolean;
}

function openHubbleText(context: ReadContext): TraceDecoder {
  const { account } = context;
  const taker = createFlowTaker(context);
  const clock = { latestUs: -Infinity, years: 0 };
  let fields: Map<string, string> | undefined;
  let begin: Place | undefined;
  let header: readonly string[] | undefined;

  const take = (printed: Printed, place: Place, line: string): void => {
    const timeUs = readStamp(printed.time, clock);
    if (clock.years >= 0 && isStamp(printed.time) && !account.limits.includes(NO_YEAR)) account.limits.push(NO_YEAR);
    const flow = flowOf(printed, timeUs);
    if (flow === 'non-ip') return increment(account.skipped, 'non-ip');
    if (typeof flow === 'string') return addMalformed(account, 'invalid-line', place, flow, line);
    if (flow.isVerdictUnknown) addUnknownValue(account, 'verdict', printed.verdict);
    taker.take({ flow: flow.members }, place);
  };
  const flush = (): void => {
    if (fields === undefined) return;
    account.read++;
    const text = (name: string): string => fields!.get(name) ?? '';
    const shown = [...fields].map(([name, value]) => `${name}: ${value}`).join(', ');
    if (fields.has('SOURCE') && fields.has('DESTINATION'))
      take(
        {
          time: text('TIMESTAMP'),
          source: text('SOURCE'),
          destination: text('DESTINATION'),
          type: text('TYPE'),
          verdict: text('VERDICT'),
          summary: text('SUMMARY'),
        },
        begin!,
        shown,
      );
    else if (fields.has('STATE') || fields.has('NODES')) increment(account.skipped, 'node-status');
    else addMalformed(account, 'invalid-line', begin!, 'expected SOURCE and DESTINATION', shown);
    fields = undefined;
  };

  const decoder = createLineDecoder(context, (colored, place) => {
    const line = withoutColor(colored);
    const entry = dictEntry(line);
    if (entry !== undefined || isSeparator(line)) {
      // A flow of several lines is one record, counted where it ends.
      account.read--;
      if (entry === undefined || entry[0] === 'TIMESTAMP') flush();
      if (entry === undefined) return;
      if (fields === undefined) begin = place;
      fields ??= new Map();
      fields.set(entry[0], entry[1]);
      return;
    }
    if (fields !== undefined) flush();
    if (line.startsWith('TIMESTAMP ')) {
      account.read--;
      header = cells(line);
      return;
    }
    if (skipNotice(context, line)) return;
    const printed = header === undefined ? readCompact(line) : readRow(line, header);
    if (typeof printed === 'string') return addMalformed(account, 'invalid-line', place, printed, line);
    take(printed, place, line);
  });
  return {
    decode: (bytes, start, end) => decoder.decode(bytes, start, end),
    finish(bytes, start, end) {
      decoder.finish(bytes, start, end);
      flush();
    },
    countReady: () => taker.countReady(),
    willHandOut: (count) => taker.willHandOut(count),
  };
}

/** `Nov 21 01:55:07.571 [node]: a (ID:1) -> b (ID:2) to-endpoint FORWARDED (TCP Flags: SYN)`; a text says what is wrong. */
function readCompact(line: string): Printed | string {
  const colon = line.indexOf(': ');
  if (colon < 0) return 'expected a time and a colon';
  let time = line.slice(0, colon);
  const node = time.indexOf(' [');
  if (node >= 0) time = time.slice(0, node);
  const words = line.slice(colon + 2).split(' ');
  const arrow = words.findIndex((word) => word === '->' || word === '<-' || word === '<>');
  if (arrow < 1) return 'expected two ends with ->, <- or <> between them';
  const verdict = words.findIndex((word, index) => index > arrow && Object.hasOwn(VERDICTS, word));
  if (verdict < 0) return 'expected a verdict';
  const left = words.slice(0, arrow).join(' ');
  const hasIdentity = words[arrow + 2]?.startsWith('(') === true;
  const right = words.slice(arrow + 1, arrow + (hasIdentity ? 3 : 2)).join(' ');
  const isReply = words[arrow] === '<-';
  const summary = words.slice(verdict + 1).join(' ');
  return {
    time,
    // The initiator stands on the left, whoever sent the packet.
    source: isReply ? right : left,
    destination: isReply ? left : right,
    type: words.slice(arrow + (hasIdentity ? 3 : 2), verdict).join(' '),
    verdict: words[verdict]!,
    summary: summary.slice(summary.indexOf('(') + 1, summary.endsWith(')') ? -1 : undefined),
    ...(words[arrow] !== '<>' && { isReply }),
  };
}

/** A row of the table, whose columns are at least three blanks apart. */
function readRow(line: string, header: readonly string[]): Printed | string {
  const isStamped = isStamp(line.slice(0, STAMP_LENGTH));
  const stop = isStamped ? STAMP_LENGTH : line.indexOf('  ');
  const row = cells(line.slice(stop));
  const cell = (name: string): string => row[header.indexOf(name) - 1] ?? '';
  // An empty summary leaves no cell.
  if (stop < 0 || row.length < header.length - 2) return `expected ${header.length} columns, found ${row.length + 1}`;
  return {
    time: line.slice(0, stop),
    source: cell('SOURCE'),
    destination: cell('DESTINATION'),
    type: cell('TYPE'),
    verdict: cell('VERDICT'),
    summary: cell('SUMMARY'),
  };
}

/** The flow in Hubble's members, `non-ip`, or what is wrong. */
function flowOf(printed: Printed, timeUs: number): { members: Json; isVerdictUnknown: boolean } | string {
  if (Number.isNaN(timeUs)) return `expected a time, found ${printed.time.slice(0, 40)}`;
  const source = readEnd(printed.source);
  const destination = readEnd(printed.destination);
  if (source === 'non-ip' || destination === 'non-ip') return 'non-ip';
  if (source === undefined) return `expected a host, found ${printed.source.slice(0, 60)}`;
  if (destination === undefined) return `expected a host, found ${printed.destination.slice(0, 60)}`;
  const hasAddresses = source.address !== undefined && destination.address !== undefined;
  const { event, type, dropReason } = readType(printed);
  const l4 = readTransport(printed, source.port, destination.port);
  const members: Json = {
    time: formatTime(timeUs),
    verdict: VERDICTS[printed.verdict] ?? 'VERDICT_UNKNOWN',
    ...(dropReason !== undefined && { drop_reason_desc: dropReason }),
    ...(hasAddresses && { IP: { source: source.address, destination: destination.address } }),
    ...(l4 !== undefined && { l4 }),
    source: endpointOf(source),
    destination: endpointOf(destination),
    ...(destination.isService && { destination_service: { namespace: destination.namespace, name: destination.name } }),
    Type: type,
    ...(event > 0 && { event_type: { type: event } }),
    ...(printed.isReply !== undefined && { is_reply: printed.isReply }),
  };
  return { members, isVerdictUnknown: !Object.hasOwn(VERDICTS, printed.verdict) };
}

/** One end of a flow. */
interface End {
  readonly address?: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** `world`, `ID:3418`, ...; empty where it is not printed. */
  readonly identity: string;
  /** A name in a namespace with an identity that is no pod's. */
  readonly isService: boolean;
}

function readEnd(text: string): End | 'non-ip' | undefined {
  const open = text.indexOf(' (');
  const host = open < 0 ? text : text.slice(0, open);
  const identity = open < 0 || !text.endsWith(')') ? '' : text.slice(open + 2, -1);
  if (host === '') return undefined;
  if (isMac(host)) return 'non-ip';
  const [name, port] = splitPort(host);
  const address = canonicalAddress(name);
  const slash = name.indexOf('/');
  if (Number.isNaN(port) || (address === undefined && name === '')) return undefined;
  return {
    ...(address !== undefined && { address }),
    namespace: slash < 0 || address !== undefined ? '' : name.slice(0, slash),
    name: address === undefined ? name.slice(slash + 1) : '',
    port,
    identity,
    isService: slash > 0 && RESERVED.has(identity),
  };
}

/** `host`, `host:port`, `[fd00::1]:port`, `fd00::1`; -1 without a port, NaN for one that is none. */
function splitPort(host: string): readonly [string, number] {
  if (host.startsWith('[')) {
    const close = host.indexOf(']');
    if (close < 0) return [host, NaN];
    return [host.slice(1, close), close === host.length - 1 ? -1 : readPort(host.slice(close + 2))];
  }
  const colon = host.lastIndexOf(':');
  if (colon < 0 || host.indexOf(':') !== colon) return [host, -1];
  return [host.slice(0, colon), readPort(host.slice(colon + 1))];
}

function readPort(text: string): number {
  const port = Number(text);
  return text !== '' && Number.isInteger(port) && port >= 0 && port <= 0xffff ? port : NaN;
}

/** What Hubble would have said of an end: the pod, or the reserved identity; of a lone address, whether it is a public one. */
function endpointOf({ address, namespace, name, identity, isService }: End): Json {
  const reserved = RESERVED.get(identity);
  const number = identity.startsWith('ID:') ? Number(identity.slice(3)) : 0;
  if (reserved !== undefined) return isService ? {} : { identity: reserved, labels: [`reserved:${identity}`] };
  // Identities of blocks of addresses are local to a node.
  if (number >= 1 << 24) return { identity: number, labels: ['cidr:'] };
  if (namespace !== '') return { identity: number, namespace, pod_name: name };
  if (number > 0) return { identity: number };
  return address !== undefined && isPublic(address) ? { labels: ['reserved:world'] } : {};
}

/** Event and layer by the words of the type column. */
function readType({ type, verdict }: Printed): { event: number; type: string; dropReason?: string } {
  const word = type.toLowerCase();
  if (word.startsWith('policy-verdict') || verdict === 'DENIED' || verdict === 'ALLOWED')
    return { event: 5, type: 'L3_L4' };
  if (verdict === 'TRACED' || verdict === 'TRANSLATED' || word.includes('xlate')) return { event: 7, type: 'SOCK' };
  if (['http-', 'dns-', 'kafka-', 'l7-'].some((prefix) => word.startsWith(prefix))) return { event: 129, type: 'L7' };
  if (verdict === 'DROPPED') {
    const known = POLICY_DROPS.find(([text]) => word.startsWith(text));
    return { event: 1, type: 'L3_L4', dropReason: known?.[1] ?? type };
  }
  return { event: word.startsWith('to-') || word.startsWith('from-') ? 4 : 0, type: 'L3_L4' };
}

/** The protocol and its details out of the summary; of layer 7, what its protocol runs on (DNS: taken for UDP). */
function readTransport({ summary, type }: Printed, srcPort: number, dstPort: number): Json | undefined {
  const ports = { source_port: Math.max(0, srcPort), destination_port: Math.max(0, dstPort) };
  const [word, detail = ''] = summary.split(' ');
  if (word === 'TCP' || type.startsWith('http-') || type.startsWith('kafka-')) {
    const marker = 'TCP Flags: ';
    const names = summary.startsWith(marker) ? summary.slice(marker.length).split(', ') : [];
    const flags = Object.fromEntries(names.filter((name) => name !== '').map((name) => [name, true]));
    return { TCP: { ...ports, ...(Object.keys(flags).length > 0 && { flags }) } };
  }
  if (type.startsWith('dns-')) return { UDP: ports };
  if (word === 'UDP' || word === 'SCTP') return { [word]: ports };
  if (word !== 'ICMPv4' && word !== 'ICMPv6') return undefined;
  const open = detail.indexOf('(');
  const known = (word === 'ICMPv4' ? ICMP_TYPES : ICMPV6_TYPES).get(open < 0 ? detail : detail.slice(0, open));
  return known === undefined ? undefined : { [word]: { type: known, code: 0 } };
}

/** Notices between the flows; true where the line is one, and has been accounted for. */
function skipNotice({ account }: ReadContext, line: string): boolean {
  const lost = line.indexOf('EVENTS LOST: ');
  if (lost >= 0) {
    const count = Number(line.slice(line.lastIndexOf(' ') + 1));
    account.lost += Number.isInteger(count) && count > 0 ? count : 1;
    increment(account.skipped, 'lost-events');
    return true;
  }
  const isStatus = ['Receiving flows from ', ' nodes are unavailable', ' nodes removed from cluster', ': Error '];
  if (line.includes(' -> ') || !isStatus.some((words) => line.includes(words))) return false;
  increment(account.skipped, 'node-status');
  return true;
}

function isStamp(text: string): boolean {
  return MONTHS.includes(text.slice(0, 3)) && text[3] === ' ';
}

/** Microseconds; a stamp without a year is of 1970, or of a later year than the one before it. */
function readStamp(text: string, clock: { latestUs: number; years: number }): number {
  if (!isStamp(text)) return parseTime(text);
  const month = String(MONTHS.indexOf(text.slice(0, 3)) + 1).padStart(2, '0');
  const day = text.slice(4, 6).trim().padStart(2, '0');
  const timeUs = parseTime(`1970-${month}-${day}T${text.slice(7)}Z`) + clock.years * YEAR_MS * 1000;
  if (timeUs < clock.latestUs - HALF_YEAR_US) {
    clock.years++;
    return readStamp(text, clock);
  }
  if (timeUs > clock.latestUs) clock.latestUs = timeUs;
  return timeUs;
}

/** `    SUMMARY: x` as name and value; the keys are aligned to the right. */
function dictEntry(line: string): readonly [string, string] | undefined {
  const colon = line.indexOf(': ');
  const name = colon < 0 || colon > 12 ? '' : line.slice(0, colon).trim();
  return DICT_KEYS.has(name) ? [name, line.slice(colon + 2).trim()] : undefined;
}

const DICT_KEYS: ReadonlySet<string> = new Set([
  'TIMESTAMP',
  'NODE',
  'SOURCE',
  'DESTINATION',
  'TYPE',
  'VERDICT',
  'SUMMARY',
  'STATE',
  'NODES',
  'MESSAGE',
]);

function isSeparator(line: string): boolean {
  const text = line.trim();
  return text.length >= 8 && text === '-'.repeat(text.length);
}

/** Cells that are at least two blanks apart. */
function cells(line: string): string[] {
  return line
    .split('  ')
    .map((cell) => cell.trim())
    .filter((cell) => cell !== '');
}

/** Without the escape sequences of a terminal's colors. */
function withoutColor(line: string): string {
  let text = '';
  let from = 0;
  for (let at = line.indexOf('\u001b['); at >= 0; at = line.indexOf('\u001b[', from)) {
    text += line.slice(from, at);
    const end = line.indexOf('m', at);
    from = end < 0 ? line.length : end + 1;
  }
  return from === 0 ? line : text + line.slice(from);
}

function isMac(text: string): boolean {
  return text.length === 17 && [2, 5, 8, 11, 14].every((at) => text[at] === ':');
}

/** Not of a network that a cluster or its site would use for itself. */
function isPublic(address: string): boolean {
  if (address.includes(':')) return !['f', '::1', '::'].some((prefix) => address.startsWith(prefix));
  const [a, b] = address.split('.').map(Number) as [number, number];
  if (a === 10 || a === 127 || a === 0 || a >= 224) return false;
  return !(
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 169 && b === 254) ||
    (a === 100 && b >= 64 && b < 128)
  );
}

function isHubbleText(head: Head): boolean {
  if (head.json !== undefined) return false;
  const first = withoutColor(head.lines[0] ?? '');
  if (first.startsWith('TIMESTAMP') && first.includes('SOURCE') && first.includes('DESTINATION')) return true;
  if (first.startsWith('  TIMESTAMP: ')) return true;
  return doMostLines(head, (colored) => {
    const line = withoutColor(colored);
    const hasEnds = [' -> ', ' <- ', ' <> '].some((arrow) => line.includes(arrow));
    return (
      hasEnds &&
      typeof readCompact(line) !== 'string' &&
      !Number.isNaN(readStamp(line.slice(0, Math.max(0, endOfTime(line))), { latestUs: -Infinity, years: 0 }))
    );
  });
}

function endOfTime(line: string): number {
  const colon = line.indexOf(': ');
  const node = line.indexOf(' [');
  return node >= 0 && node < colon ? node : colon;
}
