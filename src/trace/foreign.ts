/**
 * Formats that are recognised and refused by name, because a wrong guess or "unknown" would cost the user more. A format that
 * gets a reader moves from here to a file of its own. Order matters: the first that recognises the input wins.
 */
import type { TraceFormat } from './format.ts';
import { doMostLines, startsWith, type Head } from './head.ts';

/** Formats known by magic numbers. */
export const FOREIGN_BINARY: readonly TraceFormat[] = [
  binary('arrow', 'an Arrow file', (b) => startsWith(b, 0x41, 0x52, 0x52, 0x4f, 0x57, 0x31), 'export it as CSV'),
  binary('zip', 'a zip archive', (b) => startsWith(b, 0x50, 0x4b, 3, 4), 'unpack it first'),
  binary(
    'bzip2',
    'a bzip2 file',
    (b) => startsWith(b, 0x42, 0x5a, 0x68),
    'pipe it: bzip2 -dc FILE | dropcast replay ... -',
  ),
  binary(
    'xz',
    'an xz file',
    (b) => startsWith(b, 0xfd, 0x37, 0x7a, 0x58, 0x5a),
    'pipe it: xz -dc FILE | dropcast replay ... -',
  ),
  binary(
    'lz4',
    'an lz4 file',
    (b) => startsWith(b, 4, 0x22, 0x4d, 0x18),
    'pipe it: lz4 -dc FILE | dropcast replay ... -',
  ),
  binary('7z', 'a 7z archive', (b) => startsWith(b, 0x37, 0x7a, 0xbc, 0xaf), 'unpack it first'),
  binary(
    'nfcapd',
    'a binary nfdump file',
    (b) => startsWith(b, 0x0c, 0xa5) || startsWith(b, 0xa5, 0x0c),
    'export it: nfdump -r FILE -o csv',
  ),
  binary('ipfix', 'raw IPFIX or NetFlow', isRawFlowExport, 'collect it with nfcapd or a flow collector and export CSV'),
];

/** Formats known by their text, JSON ones first. */
export const FOREIGN_TEXT: readonly TraceFormat[] = [
  json(
    'zeek-other',
    'a Zeek log of another kind',
    (h) => hasTop(h, 'id.orig_h') || hasTop(h, 'id_orig_h'),
    'give its conn.log, where every connection is',
  ),
  json('envoy', 'an Envoy or Istio access log', (h) => hasAll(h, 'downstream_remote_address')),
  json('inspektor-gadget', 'Inspektor Gadget events', (h) => hasTop(h, 'src', 'dst') && hasAll(h, 'addr')),
  text(
    'zeek-other',
    'a Zeek log of another kind',
    // Not by #separator alone: which log it is stands in the lines behind it.
    (h) => h.rawLines.some((line) => line.startsWith('#path') || line.startsWith('#fields')),
    'give its conn.log, where every connection is',
  ),
  text(
    'kube-network-policies-text',
    'a kube-network-policies log in text',
    (h) => h.json === undefined && h.lines.some((line) => line.includes('"Evaluating packet" id=')),
    'log with --logging-format=json -v=2',
  ),
  lines('weave-npc', 'a Weave policy controller log', (line) => line.includes('blocked by Weave NPC')),
  lines('beyla', 'Beyla network flows', (line) => line.includes('network_flow: ')),
  lines(
    'envoy-text',
    'an Envoy or Istio access log',
    (line) => /^\[\d{4}-\d\d-\d\dT/.test(line) && line.includes('] "'),
  ),
];

type Test = (head: Head) => boolean;

function binary(name: string, description: string, test: (bytes: Uint8Array) => boolean, hint: string): TraceFormat {
  return { name, description, recognise: ({ bytes }) => test(bytes), limits: [], isText: false, hint };
}

function json(name: string, description: string, test: Test, hint?: string): TraceFormat {
  return text(name, description, (head) => head.json !== undefined && test(head), hint);
}

function lines(name: string, description: string, test: (line: string) => boolean, hint?: string): TraceFormat {
  return text(name, description, (head) => head.json === undefined && doMostLines(head, test), hint);
}

function text(name: string, description: string, recognise: Test, hint?: string): TraceFormat {
  return { name, description, recognise, limits: [], isText: true, ...(hint === undefined ? {} : { hint }) };
}

function hasTop({ json }: Head, ...keys: string[]): boolean {
  return keys.every((key) => json!.top.has(key));
}

function hasAll({ json }: Head, ...keys: string[]): boolean {
  return keys.every((key) => json!.all.has(key));
}

/** Version 5, 9 or 10 as two bytes; IPFIX says its length, the others a count of records that one datagram can hold. */
function isRawFlowExport(bytes: Uint8Array): boolean {
  if (bytes.length < 16 || bytes[0] !== 0) return false;
  const second = bytes[2]! * 256 + bytes[3]!;
  if (bytes[1] === 10) return second >= 16 && second <= 9000;
  return (bytes[1] === 5 || bytes[1] === 9) && second >= 1 && second <= 60;
}
