/** A small cluster for replay's tests, records as people write them, and one call that replays them. */
import { compile } from '../../src/compile/compile.ts';
import type { Program } from '../../src/compile/program.ts';
import { type AddressText, parseAddress } from '../../src/model/address.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { ContainerPort, Pod, Service, Snapshot } from '../../src/model/cluster.ts';
import {
  addQuote,
  clearRow,
  createBatch,
  createDictionary,
  type Dictionary,
  type EndpointFact,
  type FlowBatch,
  Orientation,
  OrientedBy,
  RecordedVerdict,
  RecordKind,
  TcpFlag,
} from '../../src/model/flow.ts';
import type { Selector } from '../../src/model/label.ts';
import type { Peer, Policy, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import type { PolicyTrace } from '../../src/model/recorded-policy.ts';
import { createReplay, type ReplayOptions } from '../../src/replay/replay.ts';
import type { ReplayResult, Tally, VerdictTallies } from '../../src/replay/result.ts';
import { createAccount, type TraceAccount } from '../../src/trace/account.ts';
import { flagsOf } from '../track/row.ts';

const POSITION = { file: 'world.yaml', line: 1, column: 1 };
const SHOP = 'shop';

/** `matchLabels`. */
export function equals(labels: Readonly<Record<string, string>>): Selector {
  return Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] }));
}

/** A pod of namespace `shop`; its workload is a Deployment called by its label `app`. */
export function podOf(
  name: string,
  app: string,
  addresses: readonly string[],
  ports: readonly ContainerPort[] = [],
): Pod {
  return {
    namespace: SHOP,
    name,
    labels: new Map([['app', app]]),
    addresses: addresses as readonly AddressText[],
    phase: 'Running',
    hostNetwork: false,
    node: 'n1',
    ports,
    workload: { kind: 'Deployment', namespace: SHOP, name: app },
    count: 1,
    isStandIn: false,
    position: POSITION,
  };
}

/** web and db have two pods each, idle one that nobody calls; a Service stands before db. */
export const PODS: readonly Pod[] = [
  podOf('web-1', 'web', ['10.0.0.1', 'fd00::1']),
  podOf('web-2', 'web', ['10.0.0.2', 'fd00::2']),
  podOf('db-1', 'db', ['10.0.0.11', 'fd00::11'], [{ name: 'sql', port: 5432, protocol: 'TCP' }]),
  podOf('db-2', 'db', ['10.0.0.12', 'fd00::12'], [{ name: 'sql', port: 5432, protocol: 'TCP' }]),
  podOf('idle-1', 'idle', ['10.0.0.21']),
];

const DB_SERVICE: Service = {
  namespace: SHOP,
  name: 'db',
  type: 'ClusterIP',
  clusterAddresses: ['10.96.0.5' as AddressText],
  externalAddresses: [],
  ports: [{ protocol: 'TCP', port: 5000, targetPort: 5432 }],
  selector: new Map([['app', 'db']]),
  isHeadless: false,
  position: POSITION,
};

/** The cluster. 10.0.0.0/24 is the pod block of its one node. */
export const SNAPSHOT: Snapshot = {
  namespaces: [{ name: SHOP, labels: new Map([['kubernetes.io/metadata.name', SHOP]]) }],
  pods: PODS,
  nodes: [
    { name: 'n1', labels: new Map(), addresses: ['192.168.0.1' as AddressText], podCidrs: ['10.0.0.0/24' as Cidr] },
  ],
  services: [DB_SERVICE],
  endpointSlices: [],
};

/** Pods of `shop` with these labels, as a peer. */
export function pods(labels: Readonly<Record<string, string>>): Peer {
  return { kind: 'pods', namespaces: { kind: 'named', namespace: SHOP }, pods: equals(labels) };
}

/** An ipBlock, as a peer. */
export function block(cidr: string): Peer {
  return { kind: 'ipBlock', cidr: cidr as Cidr, except: [] };
}

/** One TCP port. */
export function tcp(port: number): PortMatch {
  return { kind: 'range', protocol: 'TCP', first: port, last: port };
}

/** What a policy admits: rules of one direction; none isolates alone. */
export interface Admission {
  readonly to?: Readonly<Record<string, string>>;
  readonly direction?: 'ingress' | 'egress';
  readonly rules?: readonly { readonly peers?: readonly Peer[]; readonly ports?: readonly PortMatch[] }[];
}

/** A NetworkPolicy in namespace `shop`. */
export function policyOf({ to = {}, direction = 'ingress', rules = [] }: Admission): Policy {
  const list = rules.map((rule, index): Rule => ({
    index,
    action: 'Accept',
    peers: rule.peers,
    ports: rule.ports,
    position: POSITION,
  }));
  return {
    kind: 'NetworkPolicy',
    namespace: SHOP,
    name: `policy-${Object.values(to).join('-')}-${direction}`,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: { kind: 'named', namespace: SHOP }, pods: equals(to) },
    isolates: [direction],
    ingress: direction === 'ingress' ? list : [],
    egress: direction === 'egress' ? list : [],
    position: POSITION,
  };
}

/** Nobody may call db. */
export const DENY_DB: readonly Policy[] = [policyOf({ to: { app: 'db' } })];
/** db may be called by web on 5432, and by nobody else. */
export const WEB_TO_DB: readonly Policy[] = [
  policyOf({ to: { app: 'db' }, rules: [{ peers: [pods({ app: 'web' })], ports: [tcp(5432)] }] }),
];

/** A record; whatever is left out is absent. Addresses are text; ends are `address:port` or `address`. */
export interface TraceRecord {
  readonly kind?: RecordKind;
  readonly protocol?: number;
  /** `10.0.0.1:40000`, `10.0.0.1`, `[fd00::1]:40000`, or nothing. */
  readonly src?: string;
  readonly dst?: string;
  /** Ports of a record without addresses. */
  readonly srcPort?: number;
  readonly dstPort?: number;
  readonly flags?: string;
  readonly icmp?: number;
  readonly timeS?: number;
  readonly bytes?: number;
  readonly stated?: Orientation;
  readonly recorded?: RecordedVerdict;
  readonly from?: EndpointFact;
  readonly to?: EndpointFact;
  /** Destination before translation. */
  readonly before?: string;
  readonly chunks?: readonly number[];
  readonly tag?: number;
  readonly initTag?: number;
  readonly quote?: TraceRecord;
  readonly connections?: number;
  readonly repeats?: number;
  readonly policies?: PolicyTrace;
}

/** A pod that a record names. */
export function named(name: string | undefined, part: Partial<EndpointFact> = {}): EndpointFact {
  return { kind: 'pod', namespace: SHOP, ...(name !== undefined && { name }), areLabelsComplete: false, ...part };
}

/** A TCP packet between two ends. */
export function packet(
  src: string,
  dst: string,
  flags: string,
  timeS = 0,
  part: Partial<TraceRecord> = {},
): TraceRecord {
  return { protocol: 6, src, dst, flags, timeS, bytes: 100, ...part };
}

/** The packets of a TCP connection that opens, speaks and closes: nine. */
export function session(src: string, dst: string, timeS = 0): TraceRecord[] {
  const there = (flags: string, at: number): TraceRecord => packet(src, dst, flags, timeS + at);
  const back = (flags: string, at: number): TraceRecord => packet(dst, src, flags, timeS + at);
  return [
    there('S', 0),
    back('SA', 0.1),
    there('A', 0.2),
    there('PA', 0.3),
    back('A', 0.4),
    back('PA', 0.5),
    there('FA', 0.6),
    back('FA', 0.7),
    there('A', 0.8),
  ];
}

/** Options of a run that have a usual value. */
export interface Run extends Partial<Omit<ReplayOptions, 'program' | 'baseline' | 'dictionary'>> {
  readonly policies?: readonly Policy[];
  readonly baseline?: readonly Policy[];
  readonly snapshot?: Snapshot;
  /** Rows of a batch; more than one batch has to give the same result. */
  readonly batchRows?: number;
  readonly account?: Partial<Pick<TraceAccount, 'lost' | 'malformed'>>;
}

/** Replays records; every record is a row that its account calls used. */
export function replay(records: readonly TraceRecord[], run: Run = {}): ReplayResult {
  const { policies = [], baseline, snapshot = SNAPSHOT, batchRows = 1000, account: part, ...options } = run;
  const dictionary = createDictionary();
  const program: Program = compile(snapshot, policies);
  const replaying = createReplay({
    mode: 'connections',
    invalid: 'count',
    ...options,
    program,
    dictionary,
    ...(baseline !== undefined && { baseline: compile(snapshot, baseline) }),
  });
  const account = Object.assign(createAccount('trace'), part);
  account.read = account.used = records.length;
  for (let start = 0; start < records.length; start += batchRows)
    replaying.add(batchOf(records.slice(start, start + batchRows), dictionary, start), account);
  return replaying.finish([account]);
}

/** Records as rows of one batch. */
export function batchOf(records: readonly TraceRecord[], dictionary: Dictionary, firstLine = 0): FlowBatch {
  const batch = createBatch(Math.max(1, records.length));
  records.forEach((record, row) => fill(batch, row, record, dictionary, firstLine + row + 1));
  batch.count = records.length;
  return batch;
}

/** `allow/deny/undecidable` of connections. */
export function connections({ allow, deny, undecidable }: VerdictTallies): [allow: number, deny: number, open: number] {
  return [allow.connections, deny.connections, undecidable.connections];
}

/** `allow/deny/undecidable` of records. */
export function records({ allow, deny, undecidable }: VerdictTallies): [allow: number, deny: number, open: number] {
  return [allow.records, deny.records, undecidable.records];
}

/** Sum of tallies. */
export function sum(tallies: Iterable<Tally>): Tally {
  const all = { connections: 0, records: 0, bytes: 0 };
  for (const tally of tallies) {
    all.connections += tally.connections;
    all.records += tally.records;
    all.bytes += tally.bytes;
  }
  return all;
}

function fill(batch: FlowBatch, row: number, record: TraceRecord, dictionary: Dictionary, line: number): void {
  clearRow(batch, row);
  const src = endOf(record.src, dictionary);
  const dst = endOf(record.dst, dictionary);
  batch.kind[row] = record.kind ?? RecordKind.Packet;
  batch.protocol[row] = record.protocol ?? 6;
  batch.family[row] = src?.family ?? 0;
  batch.src[row] = src?.word ?? 0;
  batch.dst[row] = dst?.word ?? 0;
  batch.srcPort[row] = record.srcPort ?? src?.port ?? -1;
  batch.dstPort[row] = record.dstPort ?? dst?.port ?? -1;
  batch.icmp[row] = record.icmp ?? -1;
  batch.tcpFlags[row] = record.flags === undefined ? TcpFlag.Absent : flagsOf(record.flags);
  batch.timeUs[row] = record.timeS === undefined ? NaN : record.timeS * 1e6;
  batch.bytes[row] = record.bytes ?? -1;
  batch.packets[row] = 1;
  batch.orientation[row] = record.stated ?? Orientation.Unknown;
  batch.orientedBy[row] = record.stated === undefined ? OrientedBy.Assumed : OrientedBy.Stated;
  batch.recordedVerdict[row] = record.recorded ?? RecordedVerdict.None;
  batch.srcEndpoint[row] = internFact(record.from, dictionary);
  batch.dstEndpoint[row] = internFact(record.to, dictionary);
  const before = endOf(record.before, dictionary);
  if (before !== undefined) {
    batch.preDst[row] = before.word;
    batch.preDstPort[row] = before.port;
  }
  batch.sctpChunks[row] = (record.chunks ?? []).reduce((bits, type) => bits | (1 << type), 0);
  batch.sctpTag[row] = record.tag ?? 0;
  batch.sctpInitTag[row] = record.initTag ?? 0;
  batch.connections[row] = record.connections ?? 1;
  batch.repeats[row] = record.repeats ?? 0;
  if (record.policies !== undefined)
    batch.policies[row] = dictionary.internPolicies(JSON.stringify(record.policies), () => record.policies!);
  batch.line[row] = line;
  if (record.quote !== undefined) batch.quote[row] = quote(batch, record.quote, dictionary);
}

function quote(batch: FlowBatch, record: TraceRecord, dictionary: Dictionary): number {
  const at = addQuote(batch);
  const src = endOf(record.src, dictionary)!;
  const dst = endOf(record.dst, dictionary)!;
  const { quotes } = batch;
  quotes.family[at] = src.family;
  quotes.protocol[at] = record.protocol ?? 6;
  quotes.src[at] = src.word;
  quotes.dst[at] = dst.word;
  quotes.srcPort[at] = src.port;
  quotes.dstPort[at] = dst.port;
  quotes.icmp[at] = record.icmp ?? -1;
  return at;
}

function internFact(fact: EndpointFact | undefined, dictionary: Dictionary): number {
  if (fact === undefined) return 0;
  const key = JSON.stringify([fact, [...(fact.labels ?? [])], [...(fact.namespaceLabels ?? [])]]);
  return dictionary.internEndpoint(key, () => fact);
}

function endOf(
  text: string | undefined,
  dictionary: Dictionary,
): { family: 4 | 6; word: number; port: number } | undefined {
  if (text === undefined) return undefined;
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d+))?$/.exec(text) ?? [];
  const words = new Uint32Array(4);
  const family = parseAddress(bracketed ?? plain ?? '', words);
  if (family === 0) throw new Error(`no end: ${text}`);
  const word = family === 4 ? words[0]! : dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!);
  return { family, word, port: port === undefined ? -1 : Number(port) };
}
