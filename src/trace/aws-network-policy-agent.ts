/**
 * The log of the AWS VPC CNI's network policy agent: a record is a decision about one packet that its connection tracking did
 * not know. Four spellings: members of a JSON line (until 1.2.1), text with and without colons (IPv6 and IPv4, from 1.2.2, with
 * a tier from 1.3), alone or as the message of a JSON line, and the audit stream in CloudWatch. Everything else that the agent
 * says stands in the same file.
 */
import { clearRow, RecordedVerdict, RecordKind } from '../model/flow.ts';
import { hasPorts, parseProtocol, Protocol } from '../model/port.ts';
import { addMalformed, addUnknownValue, increment } from './account.ts';
import { type FieldAddress, parseDigitText, readAddress } from './field.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines, type Head } from './head.ts';
import { asObject, asText, type Json } from './json-member.ts';
import { createLineDecoder, parseJson, type Place } from './line.ts';
import { parseTime } from './time.ts';

/** The agent's log. */
export const AWS_NETWORK_POLICY_AGENT: TraceFormat = {
  name: 'aws-network-policy-agent',
  description: 'an AWS network policy agent log',
  recognise: isAgentLog,
  isText: true,
  isPrefixed: true,
  limits: [
    'The AWS network policy agent logs what it accepts only at debug level: without that, this trace has denied attempts alone.',
    'The agent logs no pod names or labels, and nothing of pods that no policy selects; in CloudWatch it gives neither time nor direction.',
  ],
  open: openAgentLog,
};

/** What a record can say; texts as they stand in it, absent where they do not. */
type AgentField = 'srcIp' | 'srcPort' | 'dstIp' | 'dstPort' | 'protocol' | 'verdict' | 'direction' | 'tier';
type Fields = Map<AgentField, string>;

const FLOW_INFO = 'Flow Info:';

/** Members of the oldest spelling. */
const MEMBERS: Readonly<Record<string, AgentField>> = {
  'Src IP': 'srcIp',
  'Src Port': 'srcPort',
  'Dest IP': 'dstIp',
  'Dest Port': 'dstPort',
  Proto: 'protocol',
  Verdict: 'verdict',
};

/** Names in the audit stream. */
const AUDIT_NAMES: ReadonlyMap<string, AgentField> = new Map([
  ['SIP', 'srcIp'],
  ['SPORT', 'srcPort'],
  ['DIP', 'dstIp'],
  ['DPORT', 'dstPort'],
  ['PROTOCOL', 'protocol'],
  ['PolicyVerdict', 'verdict'],
  ['Tier', 'tier'],
]);

/** Labels in the text; those of two words are joined here. */
const LABELS: ReadonlyMap<string, AgentField> = new Map([
  ['Src IP', 'srcIp'],
  ['Src Port', 'srcPort'],
  ['Dest IP', 'dstIp'],
  ['Dest Port', 'dstPort'],
  ['Proto', 'protocol'],
  ['Verdict', 'verdict'],
  ['Direction', 'direction'],
  ['Tier', 'tier'],
]);

/** What Go's formatting prints of arguments that it was given no place for: `%!(EXTRA string=TCP, string=DENY)`. */
const EXTRA = '%!(EXTRA ';

/** What one release printed so, in this order. */
const UNLABELLED: readonly AgentField[] = ['protocol', 'verdict', 'direction', 'tier'];

const TIERS: ReadonlySet<string> = new Set(['ADMIN', 'NETWORK_POLICY', 'BASELINE', 'DEFAULT', 'ERROR']);

const src: FieldAddress = { family: 0, value: 0 };
const dst: FieldAddress = { family: 0, value: 0 };

function openAgentLog(context: ReadContext): TraceDecoder {
  const { account } = context;
  const fields: Fields = new Map();
  return createLineDecoder(context, (line, place) => {
    fields.clear();
    let timeUs = NaN;
    if (line.startsWith('{')) {
      let record: Json | undefined;
      try {
        record = asObject(parseJson(line));
      } catch (error) {
        const detail = `invalid JSON: ${(error as Error).message.slice(0, 200)}`;
        return addMalformed(account, 'invalid-json', place, detail, line);
      }
      readMembers(record ?? {}, fields);
      timeUs = readTime(record?.['ts'] ?? record?.['timestamp']);
    } else {
      readText(line, fields);
      timeUs = readTime(line.slice(0, endOfWord(line)));
    }
    if (fields.size === 0) return increment(account.skipped, 'other-message');
    if (fields.get('verdict') === 'EXPIRED/DELETED') return increment(account.skipped, 'conntrack-cleanup');
    take(context, fields, timeUs, place, line);
  });
}

/** Accounts for one decision: a row, or malformed. */
function take(context: ReadContext, fields: Fields, timeUs: number, place: Place, line: string): void {
  const { batch, account } = context;
  const complaint = fill(context, fields);
  if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint, line);
  batch.timeUs[batch.count] = timeUs;
  batch.line[batch.count] = place.number;
  batch.count++;
}

/** Fills the next row; returns what is wrong with it, or the empty text. Who opened the connection is not said. */
function fill({ batch, dictionary, account }: ReadContext, fields: Fields): string {
  const row = batch.count;
  clearRow(batch, row);
  if (!readAddress(fields.get('srcIp') ?? '', dictionary, src)) return expected(fields, 'srcIp', 'an IP address');
  if (!readAddress(fields.get('dstIp') ?? '', dictionary, dst)) return expected(fields, 'dstIp', 'an IP address');
  if (src.family !== dst.family) return 'expected addresses of one family';
  const srcPort = readPort(fields.get('srcPort'));
  if (srcPort === INVALID) return expected(fields, 'srcPort', 'a port');
  const dstPort = readPort(fields.get('dstPort'));
  if (dstPort === INVALID) return expected(fields, 'dstPort', 'a port');
  const word = fields.get('protocol') ?? 'UNKNOWN';
  let protocol = word === 'UNKNOWN' ? Protocol.Unknown : parseProtocol(word);
  if (protocol === undefined) {
    addUnknownValue(account, 'protocol', word);
    protocol = Protocol.Unknown;
  }
  batch.kind[row] = RecordKind.Decision;
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  batch.protocol[row] = protocol === Protocol.Icmp && src.family === 6 ? Protocol.Icmpv6 : protocol;
  if (hasPorts(protocol)) {
    batch.srcPort[row] = srcPort;
    batch.dstPort[row] = dstPort;
  }
  const verdict = fields.get('verdict');
  if (verdict === 'ACCEPT') batch.recordedVerdict[row] = RecordedVerdict.Allow;
  else if (verdict === 'DENY') batch.recordedVerdict[row] = RecordedVerdict.Deny;
  else if (verdict !== undefined) addUnknownValue(account, 'verdict', verdict);
  const direction = fields.get('direction');
  if (direction !== undefined && direction !== 'ingress' && direction !== 'egress')
    addUnknownValue(account, 'direction', direction);
  const tier = fields.get('tier');
  if (tier !== undefined && !TIERS.has(tier)) addUnknownValue(account, 'tier', tier);
  return '';
}

const INVALID = -2;

function readPort(text: string | undefined): number {
  if (text === undefined) return -1;
  const port = parseDigitText(text);
  return port < 0 || port > 0xffff ? INVALID : port;
}

function expected(fields: Fields, field: AgentField, what: string): string {
  const found = fields.get(field) ?? '';
  return `${field}: expected ${what}, found ${found === '' ? 'nothing' : found.slice(0, 60)}`;
}

/** A JSON line: members of its own, or a text in its message. */
function readMembers(record: Json, fields: Fields): void {
  const message = asText(record['msg'] ?? record['message']);
  const isFlow = message.startsWith(FLOW_INFO);
  // Other messages of the agent name addresses too.
  if (isFlow && record['Src IP'] !== undefined)
    for (const [name, field] of Object.entries(MEMBERS)) {
      const value = record[name];
      if (typeof value === 'string' || typeof value === 'number') fields.set(field, String(value));
    }
  else readText(message, fields);
}

/** The text spellings; leaves `fields` empty where the text is neither. */
function readText(text: string, fields: Fields): void {
  const at = text.indexOf(FLOW_INFO);
  if (at >= 0) return readLabels(text, at + FLOW_INFO.length, fields);
  const audit = text.indexOf('SIP: ');
  if (audit < 0 || !text.includes('DIP: ')) return;
  for (const part of text.slice(audit).split(';')) {
    const colon = part.indexOf(':');
    const field = AUDIT_NAMES.get(part.slice(0, Math.max(0, colon)).trim());
    if (field !== undefined) fields.set(field, part.slice(colon + 1).trim());
  }
}

/** `Src IP: 10.0.0.1 Src Port: 4000 ... Proto TCP Verdict DENY Direction egress, Tier DEFAULT`, colons or none. */
function readLabels(text: string, from: number, fields: Fields): void {
  const extra = text.indexOf(EXTRA, from);
  let side = '';
  let field: AgentField | undefined;
  for (const word of text.slice(from, extra < 0 ? undefined : extra).split(' ')) {
    if (word === '') continue;
    const label = word.endsWith(':') ? word.slice(0, -1) : word;
    if (field !== undefined && !isLabel(label)) {
      fields.set(field, word.endsWith(',') ? word.slice(0, -1) : word);
      field = undefined;
    } else if (label === 'Src' || label === 'Dest') {
      side = `${label} `;
      field = undefined;
    } else {
      field = LABELS.get(side + label);
      side = '';
    }
  }
  if (extra < 0) return;
  const values = text.slice(extra + EXTRA.length).split(' ');
  for (const name of UNLABELLED) {
    if (fields.has(name)) continue;
    const value = values.shift();
    // `string=TCP,` and at the end `string=DENY)`.
    if (value?.startsWith('string=') === true) fields.set(name, value.slice('string='.length, -1));
  }
}

/** A label where a value should be: the one before it has none. */
function isLabel(word: string): boolean {
  return word === 'Src' || word === 'Dest' || LABELS.has(word);
}

/** RFC 3339, or the logger's default: seconds, in a number. */
function readTime(value: unknown): number {
  if (typeof value === 'number') return value > 0 && value < 1e11 ? Math.round(value * 1e6) : NaN;
  return parseTime(asText(value));
}

function endOfWord(line: string): number {
  let at = 0;
  while (at < line.length && line.charCodeAt(at) > 32) at++;
  return at;
}

function isAgentLog(head: Head): boolean {
  const { json, text } = head;
  if (json !== undefined) return (json.top.has('Src IP') && json.top.has('Dest IP')) || text.includes(`"${FLOW_INFO}`);
  return doMostLines(
    head,
    (line) => line.includes(`${FLOW_INFO} Src`) || (line.includes('SIP: ') && line.includes('DIP: ')),
  );
}
