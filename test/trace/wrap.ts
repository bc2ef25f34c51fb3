/** Wraps traces as those do who ship them; the tests of recognition read what comes out. */
import { gzipSync } from 'node:zlib';

/** One way to ship a text of lines; `containers`: what the account must say. */
export interface Shipping {
  readonly name: string;
  readonly containers: readonly string[];
  readonly wrap: (text: string) => Uint8Array;
  /** What it can carry: any bytes, any text, or JSON objects one a line. */
  readonly carries: 'bytes' | 'text' | 'json';
}

const TIME = '2026-01-02T03:04:05.123456789Z';

const linesOf = (text: string): string[] => {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
};
const eachLine =
  (wrap: (line: string, index: number) => string) =>
  (text: string): Uint8Array =>
    Buffer.from(
      linesOf(text)
        .map((line, index) => `${wrap(line, index)}\n`)
        .join(''),
    );
const json = (value: unknown): string => JSON.stringify(value);
const document =
  (make: (lines: string[]) => unknown, indent?: number) =>
  (text: string): Uint8Array =>
    Buffer.from(JSON.stringify(make(linesOf(text)), null, indent));
const objects = (lines: string[]): unknown[] => lines.map((line) => JSON.parse(line) as unknown);
const hits = (lines: string[]): unknown => ({
  took: 3,
  hits: {
    total: { value: lines.length },
    hits: objects(lines).map((_source, index) => ({ _index: 'x', _id: String(index), _source })),
  },
});
const loki = (lines: string[]): unknown => ({
  status: 'success',
  data: {
    resultType: 'streams',
    result: [{ stream: { app: 'x' }, values: lines.map((line, index) => [String(index), line]) }],
    stats: { summary: { execTime: 1 } },
  },
});
const cloudwatch = (lines: string[]): unknown => ({
  messageType: 'DATA_MESSAGE',
  logGroup: 'g',
  logEvents: lines.map((message, index) => ({ id: String(index), timestamp: 1, message })),
});

/** A tar archive of one member. */
export function tar(name: string, bytes: Uint8Array, type = '0'): Uint8Array {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** The end of an archive. */
export const TAR_END: Uint8Array = Buffer.alloc(1024);

/** Bytes that carry whatever there is. */
export const SHIPPINGS: readonly Shipping[] = [
  { name: 'gzip', containers: ['gzip'], carries: 'bytes', wrap: (text) => gzipSync(Buffer.from(text, 'latin1')) },
  {
    name: 'tar.gz',
    containers: ['gzip', 'tar'],
    carries: 'bytes',
    wrap: (text) => gzipSync(Buffer.concat([tar('a/trace', Buffer.from(text, 'latin1')), TAR_END])),
  },
  { name: 'crlf', containers: [], carries: 'text', wrap: (text) => Buffer.from(`${linesOf(text).join('\r\n')}\r\n`) },
  {
    name: 'utf-16',
    containers: ['utf-16le'],
    carries: 'text',
    wrap: (text) => Buffer.from(`\ufeff${text}`, 'utf16le'),
  },
  { name: 'byte order mark', containers: [], carries: 'text', wrap: (text) => Buffer.from(`\ufeff${text}`) },
  { name: 'CRI', containers: ['cri'], carries: 'text', wrap: eachLine((line) => `${TIME} stdout F ${line}`) },
  {
    name: 'CRI in parts',
    containers: ['cri'],
    carries: 'text',
    wrap: eachLine(
      (line) => `${TIME} stdout P ${line.slice(0, 9)}\n${TIME} stderr F \n${TIME} stdout F ${line.slice(9)}`,
    ),
  },
  {
    name: 'docker',
    containers: ['docker-json'],
    carries: 'text',
    wrap: eachLine((line) => json({ log: `${line}\n`, stream: 'stdout', time: TIME })),
  },
  {
    name: 'docker in parts',
    containers: ['docker-json'],
    carries: 'text',
    wrap: eachLine((line, index) =>
      index === 0
        ? json({ log: `${line}\n`, stream: 'stdout', time: TIME })
        : `${json({ log: line.slice(0, 9), stream: 'stdout', time: TIME })}\n${json({ log: `${line.slice(9)}\n`, stream: 'stdout', time: TIME })}`,
    ),
  },
  {
    name: 'kubectl --prefix',
    containers: ['kubectl-prefix'],
    carries: 'text',
    wrap: eachLine((line) => `[pod/web-0/agent] ${line}`),
  },
  {
    name: 'kubectl --timestamps',
    containers: ['timestamps'],
    carries: 'text',
    wrap: eachLine((line) => `${TIME} ${line}`),
  },
  {
    name: 'kubectl --prefix --timestamps',
    containers: ['kubectl-prefix', 'timestamps'],
    carries: 'text',
    wrap: eachLine((line) => `[pod/web-0/agent] ${TIME} ${line}`),
  },
  {
    name: 'syslog',
    containers: ['syslog'],
    carries: 'text',
    wrap: eachLine((line) => `<13>Jan  2 03:04:05 node-1 agent[7]: ${line}`),
  },
  { name: 'Loki', containers: ['loki'], carries: 'text', wrap: document(loki) },
  { name: 'Loki, pretty', containers: ['loki'], carries: 'text', wrap: document(loki, 2) },
  {
    name: 'logcli jsonl',
    containers: ['loki'],
    carries: 'text',
    wrap: eachLine((line) => json({ labels: { app: 'x' }, line, timestamp: TIME })),
  },
  { name: 'CloudWatch', containers: ['cloudwatch'], carries: 'text', wrap: document(cloudwatch) },
  {
    name: 'Firehose',
    containers: ['firehose', 'cloudwatch'],
    carries: 'text',
    wrap: document((lines) => ({
      requestId: 'r',
      records: [{ recordId: '1', data: gzipSync(json(cloudwatch(lines))).toString('base64') }],
    })),
  },
  {
    name: 'CloudWatch documents without a line end between them',
    containers: ['cloudwatch'],
    carries: 'text',
    wrap: (text) =>
      Buffer.from(
        linesOf(text)
          .map((line) => json(cloudwatch([line])))
          .join(''),
      ),
  },
  {
    name: 'filebeat',
    containers: ['filebeat'],
    carries: 'text',
    wrap: eachLine((message) => json({ '@timestamp': TIME, agent: { type: 'filebeat' }, message })),
  },
  {
    name: 'fluent-bit of CRI',
    containers: ['fluent-bit', 'cri'],
    carries: 'text',
    wrap: eachLine((line) => json({ log: `${TIME} stdout F ${line}`, kubernetes: { pod_name: 'p' } })),
  },
  {
    name: 'docker of kubectl',
    containers: ['docker-json', 'kubectl-prefix'],
    carries: 'text',
    wrap: eachLine((line) => json({ log: `[pod/web-0/agent] ${line}\n`, stream: 'stdout', time: TIME })),
  },
  { name: 'array', containers: ['json-array'], carries: 'json', wrap: document(objects) },
  { name: 'pretty array', containers: ['json-array'], carries: 'json', wrap: document(objects, 2) },
  {
    name: 'pretty objects',
    containers: ['pretty-json'],
    carries: 'json',
    wrap: eachLine((line) => JSON.stringify(JSON.parse(line), null, 2)),
  },
  { name: 'Elasticsearch hits', containers: ['elasticsearch'], carries: 'json', wrap: document(hits) },
  { name: 'Elasticsearch hits, pretty', containers: ['elasticsearch'], carries: 'json', wrap: document(hits, 1) },
  {
    name: 'Elasticsearch lines',
    containers: ['elasticsearch'],
    carries: 'json',
    wrap: eachLine((line) => `{"_index":"x","_source":${line}}`),
  },
  {
    name: 'Elasticsearch bulk',
    containers: ['elasticsearch-bulk'],
    carries: 'json',
    wrap: eachLine((line) => `{"index":{"_index":"x"}}\n${line}`),
  },
];
