/**
 * Every reader of the project under one contract: seeds that it understands, and `read`, which takes any bytes and throws where the
 * reader breaks a promise: an exception that is not documented, an account that does not add up, a row that no batch may hold.
 * Trace formats come from `FORMATS`, so that a new one is here as soon as it is registered, and its seeds from the texts and
 * captures of test/trace; the library is taken through its own door, so that the bundle is tried as well.
 */
import {
  type AddressText,
  type Dictionary,
  FORMATS,
  type FlowBatch,
  InvalidProgram,
  Program,
  RecordKind,
  TcpFlag,
  UnknownName,
  compile,
  createAccount,
  createDictionary,
  createReplay,
  createWriter,
  formatReplay,
  judge,
  createTimeline,
  loadManifests,
  loadWatch,
  programFrom,
  readExpectations,
  readScenario,
  readTrace,
} from '#dropcast';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deflateRawSync, gzipSync } from 'node:zlib';
import type { Flow } from '../../../src/model/flow.ts';
import { DEFAULT_DIALECT } from '../../../src/model/dialect.ts';
import type { ReplayMode } from '../../../src/replay/result.ts';
import { isBalanced } from '../../../src/trace/account.ts';
import type { CsvMapping } from '../../../src/trace/mapping.ts';
import { readMappingFile } from '../../../src/trace/mapping-file.ts';
import * as build from '../../trace/build.ts';
import * as texts from '../../trace/log.ts';
import { readScenarioFiles } from '../../semantics/scenario-file.ts';
import type { Below } from './mutation.ts';

/** One reader. */
export interface ByteReader {
  readonly name: string;
  /** Inputs that it understands; none: it is tried with noise alone, which finds little. */
  readonly seeds: readonly Uint8Array[];
  /** Reads `bytes` and throws where a promise is broken. `below` chooses among ways of reading. */
  read(bytes: Uint8Array, below: Below): void | Promise<void>;
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** Seeds are cut to this size: damage to a long file mostly lands where it does nothing new. */
const SEED_SIZE_MAX = 8192;
const LOAD = { namespace: 'default', remove: [] } as const;
const MODES: readonly ReplayMode[] = ['connections', 'packets', 'stateless'];

/** All of them, in the order of the flow. */
export async function createReaders(): Promise<ByteReader[]> {
  const traces = await readTraceSeeds();
  return [...manifestReaders(), ...traceReaders(traces), programReader()];
}

/** Readers of formats that no seed was found for: a format is done when it has one. */
export function seedless(readers: readonly ByteReader[]): string[] {
  return readers.filter(({ seeds }) => seeds.length === 0).map(({ name }) => name);
}

// Manifests, scenario files, expectations.

function manifestReaders(): ByteReader[] {
  const scenarios = readScenarioFiles();
  const manifests = scenarios.flatMap(({ reading: { scenario } }) =>
    scenario === undefined ? [] : [`${scenario.cluster.text}\n---\n${scenario.policy.text}`],
  );
  const yaml = [...manifests, YAML_FORMS].map((text) => Buffer.from(text));
  const objects = yaml.flatMap((bytes) => {
    const { snapshot } = loadManifests([{ path: 'seed.yaml', text: text(bytes), group: 0 }], {
      ...LOAD,
      validate: 'ignore',
    });
    return snapshot.pods.length + snapshot.services.length === 0 ? [] : [bytes];
  });
  const json = JSON_FORMS.map((form) => Buffer.from(form));
  const load = (path: string, bytes: Uint8Array, below: Below): void => {
    const {
      snapshot,
      policies,
      diagnostics,
      objects: counts,
    } = loadManifests([{ path, text: text(bytes), group: 0, ...(below(8) === 0 && { take: 'policies' }) }], {
      ...LOAD,
      validate: (['strict', 'warn', 'ignore'] as const)[below(3)]!,
      cidr: (['strict', 'legacy'] as const)[below(2)]!,
    });
    for (const { severity, message, line, column } of diagnostics) {
      demand(severity === 'error' || severity === 'warning' || severity === 'note', `severity ${severity}`);
      demand(message !== '', 'a diagnostic says nothing');
      demand(line === undefined || line >= 1, `line ${line}`);
      demand(column === undefined || column >= 1, `column ${column}`);
    }
    demand(policies.length <= [...counts.values()].reduce((sum, count) => sum + count, 0), 'policies of no object');
    // What is accepted must compile.
    if (below(4) === 0) compile(snapshot, policies, DEFAULT_DIALECT);
  };
  return [
    { name: 'manifest (YAML)', seeds: yaml, read: (bytes, below) => load('damaged.yaml', bytes, below) },
    { name: 'manifest (JSON)', seeds: json, read: (bytes, below) => load('damaged.json', bytes, below) },
    { name: 'manifest (any name)', seeds: [...objects, ...json], read: (bytes, below) => load('-', bytes, below) },
    {
      name: 'watch events',
      seeds: WATCH_FORMS.map((form) => Buffer.from(form)),
      read(bytes) {
        const file = { path: 'watch.json', text: text(bytes), group: 0 };
        const watch = loadWatch(file, { ...LOAD, validate: 'strict' });
        if (watch === undefined) return;
        const empty = { namespaces: [], pods: [], nodes: [], services: [], endpointSlices: [] };
        const timeline = createTimeline(empty, [], watch.events);
        demand(timeline.fromUs.length <= watch.events.length * 2 + 1, 'more states than events make');
        for (const [state, fromUs] of timeline.fromUs.entries()) {
          demand(state === 0 || fromUs > timeline.fromUs[state - 1]!, `state ${state} is not in order`);
          compile(timeline.snapshotAt(state), [], DEFAULT_DIALECT);
        }
      },
    },
    {
      name: 'scenario',
      seeds: scenarios.map(({ text: own }) => Buffer.from(own)),
      read(bytes) {
        const { scenario, diagnostics } = readScenario(text(bytes), 'damaged.txt');
        const isRefused = diagnostics.some(({ severity }) => severity === 'error');
        demand(isRefused === (scenario === undefined), 'a scenario and errors exclude each other');
        if (scenario !== undefined) demand(scenario.title !== '', 'a scenario without a title');
      },
    },
    {
      name: 'expectations (CSV)',
      seeds: [Buffer.from(EXPECTATIONS)],
      read(bytes) {
        const { rows, diagnostics } = readExpectations(text(bytes), 'damaged.csv', 'default');
        demand(rows.length > 0 || diagnostics.length > 0 || countLines(text(bytes)) <= 1, 'rows are lost');
      },
    },
    {
      name: 'mapping file',
      seeds: [Buffer.from(MAPPING)],
      read(bytes) {
        const { mapping, diagnostics } = readMappingFile(text(bytes), 'damaged.yaml');
        demand((mapping === undefined) === diagnostics.length > 0, 'a mapping and errors exclude each other');
      },
    },
  ];
}

const MAPPING = `header: [time, from, to, transport, verdict, kib]
delimiter: blanks
kind: flow
fields:
  time: { from: time, unit: ms }
  src: { from: from, part: address }
  dst: &to { from: [to, other], part: address }
  protocol: { from: transport, values: { T: tcp, U: udp }, default: tcp }
  verdict:
    from: verdict
    values: { ok: allow, 'blocked': deny }
  bytes: { from: kib, times: 1024 }
`;

/** Every form of YAML that kubectl takes, in one file. */
const YAML_FORMS = `%YAML 1.1
---
# anchors, merges, block and flow forms, several documents
apiVersion: v1
kind: Pod
metadata: &meta { name: 'a', namespace: "n\\x61", labels: { app: web, "on": 'yes', n: '012' } }
spec:
  containers:
  - name: c
    ports: [{ name: http, containerPort: 8080 }, { containerPort: 53, protocol: UDP }]
    args:
      - |2-
          text
      - >+
        folded

status: { phase: Running, podIPs: [{ ip: 10.0.0.1 }, { ip: 'fd00::1' }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  <<: *meta
spec:
  podSelector: &all {}
  policyTypes: [ Ingress, Egress ]
  ingress:
  - from:
    - podSelector: *all
      namespaceSelector: { matchExpressions: [ { key: k, operator: NotIn, values: [ a, b ] } ] }
    - ipBlock: { cidr: 10.0.0.0/8, except: [ 10.1.0.0/16 ] }
    ports: [ { port: http }, { port: 80, endPort: 90, protocol: TCP } ]
  egress:
  - {}
...
`;

const JSON_FORMS: readonly string[] = [
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels: { k: 'v' } } },
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'n' },
        spec: { podCIDRs: ['10.0.0.0/24', 'fd00::/64'] },
        status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 's', namespace: 'a' },
        spec: { selector: { app: 'x' }, clusterIPs: ['10.96.0.1'], ports: [{ port: 80, targetPort: 'http' }] },
      },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 's-1', namespace: 'a', labels: { 'kubernetes.io/service-name': 's' } },
        addressType: 'IPv4',
        ports: [{ name: '', port: 8080 }],
        endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'd', namespace: 'a' },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: 'x' } },
          template: { metadata: { labels: { app: 'x' } } },
        },
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'p', namespace: 'a' },
        spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }] },
      },
    ],
  }),
  JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', namespace: 'a\u00e9' } }, null, 2),
];

const EXPECTATIONS = `src,dst,protocol,port,expect,note
default/web,default/db,TCP,5432,allow,"a ""quoted"", note"
10.0.0.1,[fd00::1],icmp,,deny,
fd00::1,db.default,UDP,53,undecidable,x
`;

const WATCHED = (name: string, ip: string): string =>
  `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"${name}","namespace":"a","creationTimestamp":"2026-11-21T01:55:07Z"},"spec":{},"status":{"podIP":"${ip}","startTime":"2026-11-21T01:55:08Z"}}`;
const WATCH_FORMS: readonly string[] = [
  `{"type":"ADDED","object":${WATCHED('p', '10.0.0.1')}}\n{"type":"ADDED","time":1795226110.5,"object":${WATCHED('q', '10.0.0.2')}}\n` +
    `{"type":"DELETED","time":"2026-11-21T02:00:00Z","object":${WATCHED('p', '10.0.0.1')}}\n{"type":"MODIFIED","object":${WATCHED('q', '10.0.0.1')}}\n`,
  `type: ADDED\nobject: ${WATCHED('p', '10.0.0.1')}\n---\ntype: DELETED\nobject: ${WATCHED('p', '10.0.0.1')}\n`,
];

// Traces.

/** For the format that only a mapping explains. */
export const MAPPED: { readonly text: string; readonly mapping: CsvMapping } = {
  text: `${JSON.stringify({ at: 1_700_000_000, from: { ip: '10.0.0.1', pod: ['a', 'a/web-0'] }, to: ['10.0.0.2', '80'], l4: 'tcp' })}\n{"other":1}\n`,
  mapping: {
    columns: { time: 'at', src: 'from.ip', srcPod: 'from.pod[1]', dst: 'to[0]', dstPort: 'to[1]', protocol: 'l4' },
  },
};

/** Format -> seeds. */
export type TraceSeeds = ReadonlyMap<string, readonly Uint8Array[]>;

function traceReaders(seeds: TraceSeeds): ByteReader[] {
  const program = createProgram();
  const formats = FORMATS.filter(({ open }) => open !== undefined);
  const all = [...seeds.values()].flat();
  return [
    ...formats.map(({ name }): ByteReader => {
      const own = seeds.get(name) ?? [];
      return {
        name: `trace ${name}`,
        seeds: own,
        // Recognised, or so called: a reader may be given anything.
        read: (bytes, below) => readOne(bytes, below, program, below(3) === 0 ? undefined : name),
      };
    }),
    {
      name: 'trace (containers)',
      seeds: all.flatMap((bytes, index) => (index % 5 === 0 ? wrap(bytes) : [])),
      read: (bytes, below) => readOne(bytes, below, program, undefined),
    },
  ];
}

/** Reads one trace, checks its account and every row, and replays it: whatever a reader hands out must be fit to be judged. */
async function readOne(bytes: Uint8Array, below: Below, program: Program, format: string | undefined): Promise<void> {
  const dictionary = createDictionary();
  const account = createAccount('damaged');
  const mode = MODES[below(MODES.length)]!;
  const replay =
    below(3) === 0 ? createReplay({ program, baseline: program, dictionary, mode, invalid: 'count' }) : undefined;
  let rows = 0;
  const options = {
    file: 'damaged',
    dictionary,
    account,
    batchCapacity: [16, 64, 4096][below(3)]!,
    ...(format !== undefined && { format }),
    ...(format === 'json' && { mapping: MAPPED.mapping }),
  };
  for await (const batch of readTrace(build.chunksOf(bytes, [bytes.length + 1, 1000, 61][below(3)]!), options)) {
    checkRows(batch, dictionary);
    rows += batch.count;
    replay?.add(batch, account);
  }
  demand(isBalanced(account), `read ${account.read}, used ${account.used}, and what else is in the account`);
  demand(account.used === rows, `${rows} rows handed out, ${account.used} counted`);
  demand(account.bytes <= bytes.length, `${account.bytes} bytes counted of ${bytes.length}`);
  const counts = [...account.skipped.values(), ...account.malformed.values(), account.read, account.lost];
  demand(
    counts.every((count) => Number.isInteger(count) && count >= 0),
    `counts ${counts.join(' ')}`,
  );
  demand(account.diagnostics.length < 1000, `${account.diagnostics.length} diagnostics`);
  demand(account.unknownValues.size < 1000, `${account.unknownValues.size} unknown values`);
  if (replay === undefined) return;
  const result = replay.finish([account]);
  demand(result.rows === rows, `${result.rows} rows replayed of ${rows}`);
  if (below(3) === 0) {
    const parsed = JSON.parse(formatReplay(result, { format: 'json', color: 'never' })) as object;
    demand(Object.keys(parsed).length > 0, 'an empty report');
    formatReplay(result, { format: 'text', color: 'never' });
  }
}

/** What model/flow.ts says of each column. */
function checkRows(batch: FlowBatch, dictionary: Dictionary): void {
  const { addresses, endpoints } = dictionary;
  for (let row = 0; row < batch.count; row++) {
    const is = (holds: boolean, what: string): void => demand(holds, `row ${row} of ${batch.count}: ${what}`);
    const family = batch.family[row]!;
    is(family === 0 || family === 4 || family === 6, `family ${family}`);
    if (family === 6)
      for (const id of [batch.src[row]!, batch.dst[row]!])
        is(id < addresses.count, `address ${id} of ${addresses.count}`);
    if (family === 6 && batch.preDstPort[row]! >= 0) is(batch.preDst[row]! < addresses.count, 'translated address');
    for (const port of [batch.srcPort[row]!, batch.dstPort[row]!, batch.preDstPort[row]!, batch.icmp[row]!])
      is(port >= -1 && port <= 65_535, `port or type ${port}`);
    const flags = batch.tcpFlags[row]!;
    is(flags === TcpFlag.Absent || flags <= 0x1ff, `TCP flags ${flags}`);
    is(
      batch.kind[row]! <= RecordKind.Aggregate && batch.orientation[row]! <= 2 && batch.orientedBy[row]! <= 4,
      'a value of no enum',
    );
    is(Number.isNaN(batch.timeUs[row]!) || Number.isFinite(batch.timeUs[row]!), `time ${batch.timeUs[row]}`);
    for (const column of ['bytes', 'packets', 'replyBytes', 'replyPackets'] as const) {
      const value = batch[column][row]!;
      is(value >= -1 && Number.isFinite(value), `${column} ${value}`);
    }
    for (const id of [batch.srcEndpoint[row]!, batch.dstEndpoint[row]!]) is(id < endpoints.length, `endpoint ${id}`);
    const [connections, repeats] = [batch.connections[row]!, batch.repeats[row]!];
    is(Number.isSafeInteger(connections) && connections >= 0, `${connections} connections`);
    is(Number.isSafeInteger(repeats) && repeats >= 0, `${repeats} repeats`);
    is(batch.policies[row]! < dictionary.policyTraces.length, `policies ${batch.policies[row]}`);
    is(batch.line[row]! >= 1, `line ${batch.line[row]}`);
    const quote = batch.quote[row]!;
    is(quote >= -1 && quote < batch.quotes.count, `quote ${quote} of ${batch.quotes.count}`);
  }
}

/** A small cluster at the addresses of the seeds, with policies of every sort. */
function createProgram(): Program {
  const { snapshot, policies } = loadManifests(
    [
      { path: 'forms.yaml', text: YAML_FORMS, group: 0 },
      { path: 'forms.json', text: JSON_FORMS[0]!, group: 1 },
    ],
    { ...LOAD, validate: 'strict' },
  );
  return compile(snapshot, policies, DEFAULT_DIALECT);
}

/** Inputs by the format that takes them: what test/trace has as texts and files, and the samples beside the project where they are. */
/** Format -> inputs that it understands; samples from outside come on top. */
export async function readTraceSeeds(): Promise<TraceSeeds> {
  const inputs: Uint8Array[] = [...captures(), ...Object.values(texts).map((text) => Buffer.from(text))];
  for (const place of ['test/trace/fixture', 'traces/app1'])
    for (const file of listFiles(`${ROOT}${place}`)) inputs.push(readFileSync(file));
  const ownCount = inputs.length;
  for (const file of listFiles(`${ROOT}../shared/samples`)) inputs.push(readFileSync(file));
  const seeds = new Map<string, Uint8Array[]>();
  for (const [index, bytes] of inputs.entries()) {
    const whole = await build.readAll(bytes.subarray(0, 1 << 18));
    const { format } = whole.account;
    if (whole.rows.length === 0) continue;
    const list = seeds.get(format) ?? [];
    // Samples from outside come on top: where they are not, the project's own must do.
    if (index >= ownCount && list.length === 0) continue;
    seeds.set(format, list);
    if (list.length < 30) list.push(bytes.subarray(0, SEED_SIZE_MAX));
  }
  seeds.set('json', [Buffer.from(MAPPED.text)]);
  // What dropcast itself writes, of one capture.
  for (const format of ['binary', 'ndjson', 'csv'] as const) {
    const written = await rewrite(captures()[0]!, format);
    seeds.set(format, [...(seeds.get(format) ?? []), written]);
  }
  return seeds;
}

function captures(): Uint8Array[] {
  const { ethernet, ip, pcap, pcapng, sll2, tcp, udp } = build;
  const quoted = ip('10.0.0.1', '10.0.0.2', 17, udp(4000, 53));
  const packets = [
    ip('10.0.0.1', '10.0.0.2', 6, tcp(4000, 80, 2)),
    ip('10.0.0.1', '10.0.0.2', 17, udp(4000, 53, 'q'), { id: 4, hasMore: true }),
    ip('10.0.0.1', '10.0.0.2', 17, build.bytesOf(1, 2, 3), { id: 4, fragmentOffset: 16 }),
    ip('10.0.0.2', '10.0.0.1', 1, build.bytesOf(3, 3, 0, 0, 0, 0, 0, 0, quoted)),
    ip('fd00::1', 'fd00::2', 58, build.bytesOf(128, 0, 0, 0, 0, 7, 0, 1)),
    ip('10.0.0.1', '10.0.0.2', 132, build.bytesOf(build.repeat(0, 12), 1, 0, 0, 20, build.repeat(1, 16))),
    // VXLAN around the first one.
    ip(
      '192.168.0.1',
      '192.168.0.2',
      17,
      udp(5000, 4789, build.bytesOf(8, build.repeat(0, 7), ethernet(0x0800, quoted))),
    ),
  ];
  const frames = packets.map((body, index) => ({
    frame: ethernet(body[0]! >> 4 === 6 ? 0x86dd : 0x0800, body),
    timeUs: 1e15 + index,
  }));
  const cooked = packets.map((body, index) => ({
    frame: sll2(1, index % 2 === 0 ? 0 : 4, body),
    timeUs: 1e15 + index,
  }));
  return [
    pcap(1, frames),
    pcap(1, frames, { endian: 'big', unit: 'ns' }),
    pcap(276, cooked),
    pcap(
      101,
      packets.map((frame) => ({ frame })),
    ),
    pcapng([1, 1], frames, { unit: 'ns', dropped: 1 }),
    pcapng([276], cooked, { endian: 'big' }),
  ];
}

async function rewrite(bytes: Uint8Array, format: 'binary' | 'ndjson' | 'csv'): Promise<Uint8Array> {
  const dictionary = createDictionary();
  const writer = createWriter(format, dictionary);
  const parts: Uint8Array[] = [];
  const account = createAccount('seed');
  for await (const batch of readTrace(build.chunksOf(bytes, bytes.length), { file: 'seed', dictionary, account }))
    parts.push(writer.write(batch));
  return Buffer.concat([...parts, writer.end()]);
}

/** Each container around an input; zstd has no writer here, so that a frame of one raw block stands for it. */
function wrap(bytes: Uint8Array): Uint8Array[] {
  const raw = bytes.subarray(0, 2000);
  const zstd = build.bytesOf(
    0x28,
    0xb5,
    0x2f,
    0xfd,
    0,
    0x58,
    [1, (raw.length << 3) | 1, raw.length >> 5, raw.length >> 13].slice(1),
    raw,
  );
  const utf16 = Buffer.from(`\ufeff${Buffer.from(raw).toString('latin1')}`, 'utf16le');
  return [gzipSync(raw), gzipSync(gzipSync(raw)), zstd, utf16, Buffer.from(utf16).swap16(), deflateRawSync(raw)];
}

// A Program.

function programReader(): ByteReader {
  const program = createProgram();
  const seed = new Uint8Array(program.buffer as ArrayBuffer).slice();
  const flows = programFlows();
  return {
    name: 'Program',
    seeds: [seed],
    // A Program is larger than other inputs: its damage is drawn here, from what was drawn there.
    read(damage, below) {
      const bytes = seed.slice(0, below(10) === 0 ? below(seed.length) : seed.length);
      const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
      for (let edits = 1 + below(8); edits > 0; edits--) {
        const at = below(2) === 0 ? below(80) : below(words.length);
        if (at < words.length) words[at] = below(2) === 0 ? (damage[below(damage.length)] ?? 0) : below(0x1_0000_0000);
      }
      let damaged: Program;
      try {
        damaged = programFrom(bytes.buffer, program.source);
      } catch (error) {
        if (error instanceof InvalidProgram) return;
        throw error;
      }
      // What was taken decides, whatever it says.
      for (const flow of flows) {
        try {
          judge(damaged, flow);
        } catch (error) {
          if (!(error instanceof UnknownName)) throw error;
        }
      }
    },
  };
}

function programFlows(): Flow[] {
  const ends = ['10.0.0.1', 'fd00::1', '10.96.0.1', '192.168.0.1', '8.8.8.8', '2001:db8::1'].map(
    (address): Flow['src'] => ({
      kind: 'address',
      address: address as AddressText,
    }),
  );
  ends.push({ kind: 'name', namespace: 'na', name: 'a' });
  const service: Flow['src'] = { kind: 'service', namespace: 'a', name: 's' };
  return ends.flatMap((src) =>
    [...ends, service].flatMap((dst): Flow[] => [
      { src, dst, protocol: 6, port: 80 },
      { src, dst, protocol: 17, port: 53 },
      { src, dst, protocol: 1, icmp: 8 << 8 },
    ]),
  );
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name}`)
      .filter((path) => statSync(path).isFile())
      .sort();
  } catch {
    return [];
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

/** Lines that are neither blank nor comments. */
function countLines(own: string): number {
  return own.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#')).length;
}

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(`a promise is broken: ${what}`);
}
