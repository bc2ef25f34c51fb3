/**
 * JSON around records: arrays, pretty-printed objects, and the envelopes of those who ship logs. Each says where its records
 * stand; the scan takes them out, one line each, without holding the document.
 */
import { gunzipSync } from 'node:zlib';
import type { Head, JsonKeys } from './head.ts';
import { createJsonScan, type ScanNode } from './json-scan.ts';
import { decodeText, parseJson, RECORD_SIZE_LIMIT } from './line.ts';
import { PartJoiner } from './part.ts';
import type { Layer, Unwrapper, Wrapper } from './wrapper.ts';

/** Envelopes that are certain, in the order in which they are asked. */
export const ENVELOPES: readonly Wrapper[] = [
  envelope(
    'docker-json',
    'log',
    keys({ log: { take: 'text' }, stream: { take: 'stream' } }),
    ({ top }) => hasAll(top, 'log', 'stream', 'time') && top.size <= 4,
  ),
  envelope('fluent-bit', 'log', member('log'), ({ top }) => top.has('log') && hasSome(top, 'stream', 'kubernetes')),
  envelope(
    'elasticsearch',
    'log',
    keys({ hits: keys({ hits: each(member('_source')) }) }),
    ({ top, all }) => top.has('hits') && all.has('_source'),
  ),
  envelope('elasticsearch', 'log', member('_source'), ({ top }) => top.has('_source')),
  envelope(
    'elasticsearch-bulk',
    'log',
    { take: 'bulk' },
    ({ top, all }) =>
      top.size === 1 && hasSome(top, 'index', 'create') && (all.size === 1 || hasSome(all, '_index', '_id')),
  ),
  envelope(
    'loki',
    'log',
    keys({ data: keys({ result: each(lokiStream()) }) }),
    ({ top, all, pairs }) =>
      top.has('data') && (pairs.has('resultType=streams') || (all.has('stream') && all.has('values'))),
  ),
  envelope(
    'loki',
    'log',
    keys({ streams: each(lokiStream()) }),
    ({ top, all }) => top.has('streams') && all.has('stream') && all.has('values'),
  ),
  envelope('loki', 'log', keys({ labels: { take: 'labels' }, line: { take: 'text' } }), ({ top }) =>
    hasAll(top, 'labels', 'line'),
  ),
  envelope('cloudwatch', 'log', keys({ logEvents: each(member('message')) }), ({ top }) => top.has('logEvents')),
  envelope(
    'cloudwatch',
    'log',
    keys({ events: each(member('message')) }),
    ({ top, all }) => top.has('events') && hasSome(all, 'nextForwardToken', 'searchedLogStreams', 'ingestionTime'),
  ),
  envelope(
    'firehose',
    'records',
    keys({ records: each(keys({ data: { take: 'base64' } })) }),
    ({ top, all }) => top.has('records') && all.has('data') && hasSome(all, 'recordId', 'requestId'),
  ),
  // What Firehose delivers to S3 of logs that are no JSON.
  envelope('message', 'log', member('message'), ({ top }) => top.size === 1 && top.has('message')),
  envelope('journald', 'log', member('MESSAGE'), ({ top }) => hasAll(top, 'MESSAGE', '__CURSOR')),
  envelope(
    'gcp-log-entry',
    'log',
    member('textPayload'),
    ({ top }) => top.has('textPayload') && hasSome(top, 'logName', 'insertId'),
  ),
  envelope(
    'filebeat',
    'log',
    member('message'),
    ({ top }) => hasAll(top, '@timestamp', 'message') && hasSome(top, 'agent', 'ecs', 'input', 'kubernetes', 'host'),
  ),
  envelope(
    'records',
    'records',
    keys({ records: each({ take: 'record' }) }),
    ({ top }) => top.has('records') && top.size === 1,
  ),
  envelope(
    'items',
    'records',
    keys({ items: each({ take: 'record' }) }),
    ({ top, all }) => top.has('items') && !hasSome(top, 'apiVersion', 'kind') && hasSome(all, 'policies', 'flow'),
  ),
  // What gRPC clients print of Goldmane's list.
  envelope(
    'flows',
    'records',
    keys({ flows: each({ take: 'record' }) }),
    ({ top, all }) => top.has('flows') && all.has('flow') && hasSome(all, 'Key', 'key'),
  ),
  {
    name: 'json-array',
    isLog: false,
    isLayout: true,
    recognise: ({ json }) => json !== undefined && json.isInArray,
    open: (layer, head) => openEnvelope('json-array', { take: 'record' }, layer, head),
  },
  {
    name: 'pretty-json',
    isLog: false,
    isLayout: true,
    recognise: ({ json }) => json !== undefined && json.isMultiLine,
    open: (layer, head) => openEnvelope('pretty-json', { take: 'record' }, layer, head),
  },
];

/** Keys of envelopes that are one document with many records. */
export const DOCUMENT_KEYS: readonly string[] = [
  'records',
  'items',
  'flows',
  'hits',
  'data',
  'events',
  'logEvents',
  'streams',
];

/** Text or an object; which of them shows in the value. */
function member(name: string): ScanNode {
  return keys({ [name]: { take: 'text' } });
}

function keys(nodes: Readonly<Record<string, ScanNode>>): ScanNode {
  return { keys: nodes };
}

function each(node: ScanNode): ScanNode {
  return { each: node };
}

/** Labels stand before the values: the API sorts its keys. */
function lokiStream(): ScanNode {
  return keys({ stream: { take: 'labels' }, values: each({ at: [1, { take: 'text' }] }) });
}

function envelope(
  name: string,
  content: 'log' | 'records',
  root: ScanNode,
  test: (json: JsonKeys) => boolean,
): Wrapper {
  return {
    name,
    isLog: content === 'log',
    ...(name === 'records' && { isLayout: true }),
    recognise: ({ json }) => json !== undefined && test(json),
    open: (layer, head) => openEnvelope(name, root, layer, head),
  };
}

function openEnvelope(name: string, root: ScanNode, layer: Layer, { json, text }: Head): Unwrapper {
  // A document holds many records and may come in any layout, the next one in another.
  const isDocument = DOCUMENT_KEYS.some((key) => root.keys?.[key] !== undefined);
  const isLineWise = json !== undefined && !json.isInArray && !json.isMultiLine && !isDocument;
  const isPlain = name === 'json-array' || name === 'pretty-json';
  // Docker cuts lines at 16 KiB: only the last part ends with the line end. Shippers that drop it drop it everywhere.
  const joinsParts = name === 'docker-json' && text.includes('\\n"');
  const parts = new PartJoiner(layer);
  let labels = '';
  let pending: { text: Uint8Array; line: number } | undefined;
  let stream = '';

  const takeText = (bytes: Uint8Array, start: number, end: number, line: number): void => {
    if (bytes[start] !== 34) {
      if (bytes[start] === 123) writeRecord(bytes, start, end, line);
      else layer.skip('empty-message');
      return;
    }
    const content = stringContent(bytes, start, end);
    if (content === undefined) return layer.reject('invalid-json', line, 'the text of a message is no JSON string');
    if (joinsParts) {
      pending = { text: content.slice(), line };
      return;
    }
    if (isBlank(content)) return layer.skip('empty-message');
    // What CloudWatch sends to see whether anyone listens.
    if (
      name === 'cloudwatch' &&
      decodeText(content, 0, Math.min(content.length, 24)).trim().startsWith('CWL CONTROL MESSAGE')
    )
      return layer.skip('control-message');
    if (labels !== '' && content[0] === 123) writeRecord(content, 0, content.length, line);
    else layer.writeText(content, 0, content.length, line);
  };

  const writeRecord = (bytes: Uint8Array, start: number, end: number, line: number): void => {
    if (labels === '') return layer.writeLine(bytes, start, end, line);
    // Labels first: a member that the record has too goes before them, as the last one of its name.
    const rest = decodeText(bytes, start + 1, end).trimStart();
    const merged = Buffer.from(rest.startsWith('}') ? labels : `${labels.slice(0, -1)},${rest}`);
    layer.writeLine(merged, 0, merged.length, line);
  };

  const scan = createJsonScan(root, isLineWise ? 'one' : 'any', {
    value(kind, bytes, start, end, line) {
      if (kind === 'record') layer.writeLine(bytes, start, end, line);
      else if (kind === 'text') takeText(bytes, start, end, line);
      else if (kind === 'labels') labels = recordLabels(decodeText(bytes, start, end));
      else if (kind === 'stream') stream = decodeText(bytes, start, end).slice(0, 16);
      else if (kind === 'bulk') {
        if (isBulkAction(bytes, start, end)) layer.skip('bulk-action');
        else layer.writeLine(bytes, start, end, line);
      } else if (kind === 'base64') {
        const content = decodeBase64(decodeText(bytes, start + 1, end - 1));
        if (typeof content === 'string') layer.reject('invalid-data', line, content);
        else layer.writeText(content, 0, content.length, line);
      }
    },
    object(count) {
      if (count === 0 && isLineWise && !isPlain) layer.skip('other-line');
      if (pending !== undefined)
        parts.add(stream, pending.text, 0, pending.text.length, pending.line, endsLine(pending.text));
      pending = undefined;
      stream = '';
    },
    malformed(reason, detail, line) {
      pending = undefined;
      layer.reject(reason, line, detail);
    },
  });
  return {
    get isStopped() {
      return scan.isStopped;
    },
    push: (chunk) => scan.push(chunk),
    finish() {
      scan.finish();
      parts.finish();
    },
  };
}

function endsLine(text: Uint8Array): 'last' | 'more' {
  return text[text.length - 1] === 10 ? 'last' : 'more';
}

/** The bytes of a JSON string given with its quotes; undefined where it is none. */
function stringContent(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
  const content = bytes.subarray(start + 1, end - 1);
  if (!content.includes(92)) return content;
  try {
    return Buffer.from(String(parseJson(decodeText(bytes, start, end))));
  } catch {
    return undefined;
  }
}

/** NetObserv keeps half of a record in the labels of its stream; labels of any other stream are nothing of the record's. */
function recordLabels(text: string): string {
  const isOfRecord = ['"SrcK8S_', '"DstK8S_', '"FlowDirection"', '"_RecordType"'].some((name) => text.includes(name));
  if (!isOfRecord) return '';
  try {
    return JSON.stringify(parseJson(text));
  } catch {
    return '';
  }
}

function isBulkAction(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > 4096) return false;
  const text = decodeText(bytes, start, end);
  try {
    const names = Object.keys(parseJson(text) as object);
    return names.length === 1 && ['index', 'create', 'update', 'delete'].includes(names[0]!);
  } catch {
    return false;
  }
}

/** The bytes that were encoded, gunzipped where they are gzip; or what is wrong with them. */
function decodeBase64(text: string): Uint8Array | string {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0) return 'expected base64';
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: 4 * RECORD_SIZE_LIMIT });
  } catch (error) {
    return `gzip: ${(error as Error).message}`;
  }
}

function isBlank(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte > 32) return false;
  return true;
}

function hasAll(set: ReadonlySet<string>, ...names: string[]): boolean {
  return names.every((name) => set.has(name));
}

function hasSome(set: ReadonlySet<string>, ...names: string[]): boolean {
  return names.some((name) => set.has(name));
}
