/**
 * Scenario files: text -> `Scenario` and back, one reader and one printer for tests, bug reports, fuzz output and
 * `dropcast explain`. The grammar is written down in docs/scenarios.md. Bad lines become diagnostics, all of them; the
 * manifests inside stay text here and are read by `load.ts`.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import { DIALECT_CHOICES, type Dialect } from '../model/dialect.ts';
import { formatEndpoint, parseEndpoint } from '../model/endpoint.ts';
import { type Packet, TcpFlag } from '../model/flow.ts';
import { Protocol, formatProtocol, parseProtocol } from '../model/port.ts';
import type { Expectation, Scenario } from '../model/scenario.ts';
import { MISSING_FACTS, REASONS, VERDICT_NAMES, type VerdictName, missingFactNames } from '../model/verdict.ts';

/** What reading a scenario file gives: no scenario where a diagnostic is an error. */
export interface ScenarioReading {
  readonly scenario?: Scenario;
  readonly diagnostics: readonly Diagnostic[];
}

/** The sections of a scenario file, in the order in which they are printed. */
const SECTIONS = ['cluster.yaml', 'policy.yaml', 'packets', 'expected', 'diagnostics'] as const;
type Section = (typeof SECTIONS)[number];

/** TCP flags by letter, in tcpdump's order. */
const FLAG_LETTERS: readonly (readonly [string, number])[] = [
  ['F', TcpFlag.Fin],
  ['S', TcpFlag.Syn],
  ['R', TcpFlag.Rst],
  ['P', TcpFlag.Psh],
  ['.', TcpFlag.Ack],
  ['U', TcpFlag.Urg],
];

/** A line of the file that is not empty and no comment. */
interface Line {
  readonly text: string;
  /** Counted from 1. */
  readonly number: number;
}

/** Reads one scenario file. `file` names it in diagnostics. */
export function readScenario(text: string, file: string): ScenarioReading {
  const diagnostics: Diagnostic[] = [];
  const refuse = (line: Line, message: string): undefined => {
    diagnostics.push({
      severity: 'error',
      code: 'invalid-scenario',
      message,
      file,
      line: line.number,
      column: 1,
      length: Math.max(1, line.text.length),
      excerpt: line.text,
    });
    return undefined;
  };

  const { header, bodies } = splitSections(text, refuse);
  const head = readHeader(header, refuse);
  const packets: Packet[] = [];
  for (const line of statements(bodies.get('packets'))) {
    const packet = readPacket(line, packets, refuse);
    if (packet !== undefined) packets.push(packet);
  }
  const expected = statements(bodies.get('expected')).map((line) => readExpectation(line, refuse));
  const refusals = statements(bodies.get('diagnostics')).map((line) => readDiagnostic(line, refuse));

  if (diagnostics.length === 0 && packets.length !== expected.length)
    refuse(
      bodies.get('expected')?.mark ?? header[0]!,
      `expected one line for each of ${packets.length} packets, found ${expected.length}`,
    );
  if (diagnostics.length === 0 && packets.length + refusals.length === 0)
    refuse(header[0]!, 'expected packets with what comes out for them, or diagnostics; found neither');
  if (diagnostics.length > 0) return { diagnostics };
  const scenario: Scenario = {
    ...head,
    cluster: manifestOf(bodies.get('cluster.yaml')),
    policy: manifestOf(bodies.get('policy.yaml')),
    packets,
    expected: expected.filter((item) => item !== undefined),
    diagnostics: refusals.filter((item) => item !== undefined),
  };
  return { scenario, diagnostics };
}

/** The text that `readScenario` reads back. Manifests must not hold a line that is a section mark. */
export function printScenario(scenario: Scenario): string {
  const { cluster, policy, packets, expected, diagnostics } = scenario;
  const head = [scenario.title, ''];
  if (scenario.covers.length > 0) head.push(`covers: ${scenario.covers.join(', ')}`);
  const knobs = Object.entries(scenario.dialect).filter(([knob]) => knob !== 'name');
  if (knobs.length > 0) head.push(`dialect: ${knobs.map(([knob, value]) => `${knob}=${String(value)}`).join(', ')}`);
  if (scenario.isTracked) head.push('tracked');
  if (head.at(-1) !== '') head.push('');

  const lines = [...head];
  const section = (name: Section, body: readonly string[]): void => {
    if (body.length > 0) lines.push(`-- ${name} --`, ...body);
  };
  section('cluster.yaml', manifestLines(cluster.text));
  section('policy.yaml', manifestLines(policy.text));
  section(
    'packets',
    packets.map((packet, index) => printPacket(packet, index === 0 ? 0 : packets[index - 1]!.timeS)),
  );
  section('expected', expected.map(printExpectation));
  section(
    'diagnostics',
    diagnostics.map(({ line, code, text }) => `${line} ${code} ${JSON.stringify(text)}`),
  );
  return `${lines.join('\n')}\n`;
}

/** One packet as a line; `previousS` is the time of the packet before, which the line leaves out where it is the same. */
export function printPacket(packet: Packet, previousS: number): string {
  const { src, dst, protocol, port, icmp, timeS, srcPort, tcpFlags, quotes } = packet;
  const words: string[] = [];
  if (timeS !== previousS) words.push(`@${printTime(timeS)}`);
  const source = formatEndpoint(src);
  if (srcPort === undefined) words.push(source);
  else words.push(source.includes(':') ? `[${source}]:${srcPort}` : `${source}:${srcPort}`);
  words.push('->', formatEndpoint(dst), `${formatProtocol(protocol)}${port === undefined ? '' : `/${port}`}`);
  if (icmp !== undefined) words.push(`${icmp >> 8}/${icmp & 255}`);
  if (tcpFlags !== undefined) words.push(`[${printFlags(tcpFlags)}]`);
  if (quotes !== undefined) words.push('quotes', String(quotes + 1));
  return words.join(' ');
}

/** One expectation as a line. */
export function printExpectation({ egress, ingress, verdict, missing }: Expectation): string {
  const reason = (value: number | undefined): string => (value === undefined ? '*' : REASONS[value]!.name);
  const facts = missing === undefined ? [] : [missing === 0 ? 'none' : missingFactNames(missing).join(',')];
  return [reason(egress), reason(ingress), VERDICT_NAMES[verdict]!, ...facts].join(' ');
}

type Refuse = (line: Line, message: string) => undefined;

interface Body {
  readonly mark: Line;
  readonly lines: readonly string[];
}

function splitSections(text: string, refuse: Refuse): { header: Line[]; bodies: Map<Section, Body> } {
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (lines.at(-1) === '') lines.pop();
  const header: Line[] = [];
  const bodies = new Map<Section, { mark: Line; lines: string[] }>();
  let current: string[] | undefined;
  lines.forEach((content, index) => {
    const line = { text: content, number: index + 1 };
    const name = index === 0 ? undefined : sectionName(content);
    const section = SECTIONS.find((known) => known === name);
    if (section !== undefined) {
      if (bodies.has(section)) refuse(line, `expected each section once, found "${section}" again`);
      current = [];
      bodies.set(section, { mark: line, lines: current });
    } else if (current !== undefined) current.push(content);
    else if (name !== undefined) refuse(line, `expected a section of ${SECTIONS.join(', ')}; found "${name}"`);
    else header.push(line);
  });
  if (header.length === 0) header.push({ text: '', number: 1 });
  return { header, bodies };
}

function sectionName(line: string): string | undefined {
  const trimmed = line.trimEnd();
  return trimmed.length > 6 && trimmed.startsWith('-- ') && trimmed.endsWith(' --') ? trimmed.slice(3, -3) : undefined;
}

/** The title is the first line, whatever it says, and all that follow until one with a keyword. */
function readHeader(
  header: readonly Line[],
  refuse: Refuse,
): Pick<Scenario, 'title' | 'covers' | 'dialect' | 'isTracked'> {
  const title: string[] = [];
  const covers: string[] = [];
  const dialect: Record<string, unknown> = {};
  let isTracked = false;
  let isInTitle = true;
  header.forEach((line, index) => {
    const text = line.text.trim();
    if (index > 0 && text.startsWith('covers:')) {
      isInTitle = false;
      covers.push(...listed(text.slice(7)));
    } else if (index > 0 && text.startsWith('dialect:')) {
      isInTitle = false;
      for (const item of listed(text.slice(8))) readKnob(item, dialect, line, refuse);
    } else if (index > 0 && text === 'tracked') {
      isInTitle = false;
      isTracked = true;
    } else if (text !== '') {
      if (isInTitle) title.push(...text.split(/\s+/));
      else refuse(line, 'expected "covers:", "dialect:", "tracked" or a section');
    }
  });
  if (title.length === 0) refuse(header[0]!, 'expected a sentence that says what the scenario shows; found none');
  const bad = covers.find((id) => !/^[A-Z]{2,4}-\d{2,3}$/.test(id));
  if (bad !== undefined) refuse(header[0]!, `expected ids such as NP-07 after "covers:", found "${bad}"`);
  return { title: title.join(' '), covers, dialect: dialect as Partial<Dialect>, isTracked };
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function readKnob(item: string, dialect: Record<string, unknown>, line: Line, refuse: Refuse): void {
  const [knob = '', spelled = ''] = item.split('=', 2).map((part) => part.trim());
  if (!Object.hasOwn(DIALECT_CHOICES, knob)) {
    refuse(line, `expected one of ${Object.keys(DIALECT_CHOICES).join(', ')}; found "${knob}"`);
    return;
  }
  const choices: readonly unknown[] = DIALECT_CHOICES[knob as keyof typeof DIALECT_CHOICES];
  const value = choices.find((choice) => String(choice) === spelled);
  if (value === undefined) refuse(line, `expected ${knob}=${choices.join('|')}, found "${spelled}"`);
  else dialect[knob] = value;
}

/** Lines that say something: neither empty nor a comment. */
function statements(body: Body | undefined): Line[] {
  if (body === undefined) return [];
  return body.lines
    .map((text, index) => ({ text, number: body.mark.number + 1 + index }))
    .filter(({ text }) => text.trim() !== '' && !text.trimStart().startsWith('#'));
}

function readPacket(line: Line, before: readonly Packet[], refuse: Refuse): Packet | undefined {
  const words = line.text.trim().split(/\s+/);
  let timeS = before.at(-1)?.timeS ?? 0;
  if (words[0]!.startsWith('@')) {
    const text = words.shift()!.slice(1);
    if (!/^\d{1,10}(?:\.\d{1,6})?$/.test(text)) return refuse(line, `expected seconds after "@", found "${text}"`);
    timeS = Number(text);
  }
  const [sourceText, arrow, destinationText, protocolText, ...rest] = words;
  if (sourceText === undefined || arrow !== '->' || destinationText === undefined || protocolText === undefined)
    return refuse(line, 'expected "SOURCE -> DESTINATION PROTOCOL/PORT"');

  const source = readSource(sourceText);
  if (source === undefined)
    return refuse(line, `expected an address or a name, with ":PORT" or without; found "${sourceText}"`);
  const dst = parseEndpoint(destinationText, 'default');
  if (dst === undefined) return refuse(line, `expected an address or a name, found "${destinationText}"`);
  const slash = protocolText.indexOf('/');
  const protocolName = slash < 0 ? protocolText : protocolText.slice(0, slash);
  const protocol = protocolName === 'unknown' ? Protocol.Unknown : parseProtocol(protocolName);
  if (protocol === undefined)
    return refuse(line, `expected a protocol such as TCP, ICMP, 47 or unknown; found "${protocolName}"`);
  const port = slash < 0 ? undefined : readNumber(protocolText.slice(slash + 1), 65_535);
  if (slash >= 0 && port === undefined) return refuse(line, `expected a port after "${protocolName}/"`);

  let icmp: number | undefined;
  let tcpFlags: number | undefined;
  let quotes: number | undefined;
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === 'quotes') {
      const number = readNumber(rest.shift() ?? '', before.length);
      if (number === undefined || number === 0)
        return refuse(line, 'expected the number of an earlier packet after "quotes", counted from 1');
      quotes = number - 1;
    } else if (word.startsWith('[')) {
      tcpFlags = readFlags(word);
      if (tcpFlags === undefined)
        return refuse(line, `expected TCP flags such as [S], [S.], [.] or [none]; found "${word}"`);
    } else {
      const [type, code] = word.split('/', 2).map((part) => readNumber(part, 255));
      if (type === undefined || code === undefined)
        return refuse(line, `expected TYPE/CODE, [FLAGS] or "quotes N"; found "${word}"`);
      icmp = (type << 8) | code;
    }
  }
  const packet: Packet = {
    timeS,
    src: source.ref,
    dst,
    protocol,
    ...(source.port !== undefined && { srcPort: source.port }),
    ...(port !== undefined && { port }),
    ...(icmp !== undefined && { icmp }),
    ...(tcpFlags !== undefined && { tcpFlags }),
    ...(quotes !== undefined && { quotes }),
  };
  return packet;
}

/** `10.0.0.1`, `10.0.0.1:40000`, `2001:db8::1`, `[2001:db8::1]:40000`, `ns/pod`, `ns/pod:40000`. */
function readSource(text: string): { ref: Packet['src']; port: number | undefined } | undefined {
  const whole = parseEndpoint(text, 'default');
  if (whole !== undefined) return { ref: whole, port: undefined };
  const colon = text.lastIndexOf(':');
  const port = readNumber(text.slice(colon + 1), 65_535);
  if (colon < 0 || port === undefined) return undefined;
  const left = text.slice(0, colon);
  const ref = parseEndpoint(left.startsWith('[') && left.endsWith(']') ? left.slice(1, -1) : left, 'default');
  return ref && { ref, port };
}

function readExpectation(line: Line, refuse: Refuse): Expectation | undefined {
  const [egressText = '', ingressText = '', verdictText = '', factText, more] = line.text.trim().split(/\s+/);
  const egress = readReason(egressText);
  const ingress = readReason(ingressText);
  const verdict = VERDICT_NAMES.indexOf(verdictText as VerdictName);
  if (egress === null || ingress === null || verdict < 0 || more !== undefined)
    return refuse(
      line,
      'expected "EGRESS-REASON INGRESS-REASON VERDICT", a reason or "*" each, and missing facts if any',
    );
  let missing: number | undefined;
  if (factText !== undefined) {
    missing = 0;
    for (const name of factText === 'none' ? [] : factText.split(',')) {
      const fact = MISSING_FACTS.find((known) => known.name === name);
      if (fact === undefined)
        return refuse(
          line,
          `expected facts of ${MISSING_FACTS.map((known) => known.name).join(', ')}; found "${name}"`,
        );
      missing |= fact.bit;
    }
  }
  return { egress, ingress, verdict, ...(missing !== undefined && { missing }) };
}

/** A reason's number, undefined for `*`, null where the text is neither. */
function readReason(text: string): number | undefined | null {
  if (text === '*') return undefined;
  const reason = REASONS.findIndex((row) => row.name === text);
  return reason < 0 ? null : reason;
}

function readDiagnostic(line: Line, refuse: Refuse): Scenario['diagnostics'][number] | undefined {
  const text = line.text.trim();
  const first = text.indexOf(' ');
  const second = text.indexOf(' ', first + 1);
  const number = readNumber(text.slice(0, Math.max(0, first)), 1_000_000_000);
  const fragment = second < 0 ? undefined : readQuoted(text.slice(second + 1).trim());
  if (number === undefined || fragment === undefined) return refuse(line, 'expected LINE CODE "TEXT"');
  return { line: number, code: text.slice(first + 1, second), text: fragment };
}

function readQuoted(text: string): string | undefined {
  if (!text.startsWith('"')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function readNumber(text: string, max: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

function readFlags(word: string): number | undefined {
  if (word === '[none]') return 0;
  if (!word.endsWith(']') || word.length < 3) return undefined;
  let flags = 0;
  for (const letter of word.slice(1, -1)) {
    const flag = FLAG_LETTERS.find(([known]) => known === letter);
    if (flag === undefined || (flags & flag[1]) !== 0) return undefined;
    flags |= flag[1];
  }
  return flags;
}

function printFlags(flags: number): string {
  const letters = FLAG_LETTERS.filter(([, bit]) => (flags & bit) !== 0).map(([letter]) => letter);
  return letters.length === 0 ? 'none' : letters.join('');
}

/** Plain decimal with at most six places. */
function printTime(timeS: number): string {
  const text = timeS.toFixed(6);
  let end = text.length;
  while (text[end - 1] === '0') end--;
  return text.slice(0, text[end - 1] === '.' ? end - 1 : end);
}

function manifestOf(body: Body | undefined): { text: string; line: number } {
  if (body === undefined || body.lines.length === 0) return { text: '', line: (body?.mark.number ?? 0) + 1 };
  return { text: `${body.lines.join('\n')}\n`, line: body.mark.number + 1 };
}

function manifestLines(text: string): string[] {
  if (text === '') return [];
  return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
}
