/** The WASM tokenizer of Hubble records gives what JSON.parse gives, or leaves the record to it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createBatch, createDictionary, type Dictionary } from '../../src/model/flow.ts';
import { createAccount, isBalanced, type TraceAccount } from '../../src/trace/account.ts';
import { CHUNK_SIZE, takeChunks } from '../../src/trace/chunk.ts';
import { createHead } from '../../src/trace/head.ts';
import { openHubble } from '../../src/trace/hubble.ts';
import { type HubbleScanner, Outcome, Scan, shareHubbleScanner } from '../../src/trace/hubble-scan.ts';
import { readTrace } from '../../src/trace/read.ts';
import { RecentTable } from '../../src/trace/recent.ts';
import { seed } from '../law/seed.ts';
import { chunksOf, toRow, type Row } from './build.ts';

const SAMPLES = '../shared/samples/hubble';

interface Reading {
  readonly rows: readonly Row[];
  readonly dictionary: Dictionary;
  readonly account: TraceAccount;
}

const scanner = shareHubbleScanner()!;
const lines = realLines();

test('the committed tokenizer was compiled from the source as it is', () => {
  // Compiling takes seconds; `npm run build` does it and refuses what differs.
  const hash = createHash('sha256').update(readFileSync('src/trace/hubble-scan.as.ts')).digest('hex');
  assert.ok(readFileSync('src/trace/hubble-scan-code.ts', 'utf8').includes(hash));
});

test('the tokenizer takes every real record of a flow by itself, and reads it as JSON.parse does', () => {
  let taken = 0;
  for (const line of lines) {
    const bytes = Buffer.from(`${line}\n`);
    const isTaken = isRead(bytes);
    assert.equal(isTaken, line.includes('"flow":{'), line);
    if (isTaken) taken++;
  }
  assert.ok(taken > 1000, `only ${taken} records were taken`);
  assertSame(lines.join('\n'));
});

test('changed records: any change of keys, values, order and white space reads as JSON.parse reads it', () => {
  let taken = 0;
  const check = fc.property(fc.array(changedRecord(), { minLength: 1, maxLength: 8 }), (records) => {
    for (const record of records) {
      const bytes = Buffer.from(`${record}\n`);
      if (isRead(bytes)) taken++;
    }
    assertSame(records.join('\n'));
  });
  fc.assert(check, { seed, numRuns: 250 });
  assert.ok(taken > 60, `only ${taken} records were taken by the tokenizer`);
});

test('damaged bytes: cut, replaced, doubled and left out, they read as JSON.parse reads them', () => {
  const line = fc.constantFrom(...lines);
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom(...Buffer.from('{}[]",:\\ \t\r019-.eutfn\x00\x80\xff'))), { minLength: 1, maxLength: 3 }); // prettier-ignore
  const check = fc.property(fc.array(fc.tuple(line, damage), { minLength: 1, maxLength: 5 }), (records) => {
    const damaged = records.map(([text, changes]) => {
      let bytes = Buffer.from(text);
      for (const [where, how, byte] of changes) {
        const at = where % bytes.length;
        const [before, after] = [bytes.subarray(0, at), bytes.subarray(at + 1)];
        if (how === 0) bytes = Buffer.concat([before, Buffer.of(byte), after]);
        else if (how === 1) bytes = Buffer.concat([before, after]);
        else if (how === 2) bytes = Buffer.concat([before, Buffer.of(byte), bytes.subarray(at)]);
        else bytes = Buffer.from(before);
        if (bytes.length === 0) bytes = Buffer.from(' ');
      }
      return bytes;
    });
    assertSame(Buffer.concat(damaged.flatMap((bytes) => [bytes, Buffer.from('\n')])));
  });
  fc.assert(check, { seed, numRuns: 300 });
});

test('who wrote a record is looked at once: others of an emitter that knows replies are rows at once', () => {
  const record = (emitter: string): string =>
    `{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"is_reply":false,"emitter":{"name":"${emitter}"}}}\n`;
  const bytes = Buffer.from(record('Hubble').repeat(3) + record('Retina').repeat(2));
  read(bytes, scanner);
  scanner.load(bytes, 0, bytes.length);
  scanner.trust(-1, -1);
  assert.equal(scanner.read(0, 1, 9), 0);
  scanner.trust(scanner.result[Scan.Emitter]!, scanner.result[Scan.Extensions]!);
  assert.equal(scanner.read(0, 1, 9), 3);
  assert.equal(scanner.result[Scan.Outcome], Outcome.Record);
  assertSame(bytes);
});

test('keys of one object are not taken for those of another, whatever came before', () => {
  const records = Array.from({ length: 1000 }, (_, key) =>
    // What follows "p" here takes the place of what follows a port there, where the tokenizer remembers the two in one place.
    [`"k${key}":1`, '"source_port":999'].map(
      (member) =>
        `{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"destination_port":80,"source_port":40000}},"p":1,${member}}}`,
    ),
  );
  assertSame(records.flat().join('\n'));
});

test('a key is what all of its bytes say', () => {
  const keys = ['destination_service', 'destinationService', 'drop_reason_desc', 'dropReasonDesc', 'source_port'];
  const others = keys.flatMap((key) => [...key].map((_, at) => `${key.slice(0, at)}X${key.slice(at + 1)}`));
  const valueOf = (key: string): string =>
    key.endsWith('vice') ? '{"name":"s","namespace":"n"}' : key.startsWith('drop') ? '"POLICY_DENIED"' : '7';
  const record = (key: string): string =>
    `{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"destination_port":80,"${key}":7}},"verdict":"DROPPED","${key}":${valueOf(key)}}}`;
  assertSame([...keys, ...others].map(record).join('\n'));
});

test('more endpoints than the tokenizer remembers: it forgets all, and nothing is mixed up', () => {
  const record = (index: number): string =>
    `{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"UDP":{"source_port":${1 + (index % 60000)},"destination_port":53}},"source":{"namespace":"n","pod_name":"p${index % 16_500}"},"destination":{"namespace":"n","pod_name":"q${index % 7}"}}}`;
  assertSame(Array.from({ length: 17_500 }, (_, index) => record(index)).join('\n'));
});

test('what is known again is the same to its end: flags and numbers that begin alike, in turns', () => {
  const names = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
  const record = (flags: string, port: number): string =>
    `{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":${port},"destination_port":80,"flags":${flags}}}}}`;
  const sets = Array.from({ length: 512 }, (_, set) => {
    const shown = names.filter((_, bit) => (set & (1 << bit)) !== 0).map((name) => `"${name}":true`);
    return `{${shown.join(set < 256 ? ',' : ', ')}}`;
  });
  const odd = ['{"PSH":true,"ACK":false}', '{"PSH":true,"ACK":1}', '{"PSH":true,"ACK":true,"ACK":true}', '{"PSH":true'];
  const ports = [0, 7, 65, 535, 6553, 65_535, 65_536, 999_999, 9_999_999, 10_000_000, 123_456_789, 4_294_967_297];
  const turns = [...sets, ...odd, ...sets].flatMap((flags, turn) => [
    record(flags, ports[turn % 6]!),
    record('{}', turn),
  ]);
  assertSame([...turns, ...ports.map((port) => record('{"SYN":true}', port))].join('\n'));
});

test('what is known again is the same to its end: events that begin alike, in turns, and flags that are written like them', () => {
  const numbers = [0, 1, 4, 5, 7, 129, 131];
  const events = [
    '{}',
    ...numbers.flatMap((type) => [`{"type":${type}}`, `{"type": ${type}}`, `{"sub_type":3,"type":${type}}`]),
    ...numbers.flatMap((sub) => [4, 5].map((type) => `{"type":${type},"sub_type":${sub}}`)),
    ...numbers.map((last) => `{"type":4,"sub_type":1,"more":[1,2,3,${last}]}`),
    '{"type":4,"type":4}',
    '{"type":4',
    '{"SYN":true}',
  ];
  const record = (event: string, flags: string): string =>
    `{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":7,"destination_port":80,"flags":${flags}}},"event_type":${event}}}`;
  const turns = [...events, ...events.toReversed(), ...events].map((event, turn) =>
    record(event, turn % 3 === 0 ? event : '{"ACK":true}'),
  );
  assertSame(turns.join('\n'));
});

test('a window is of any size and its bytes are those of the caller', () => {
  const [first, last] = [lines[0]!, lines[1]!];
  const long = JSON.stringify({
    flow: { ...(JSON.parse(first) as { flow: object }).flow, Summary: 'x'.repeat(5 << 20) },
  });
  assertSame(`${first}\n${long}\n${last}`);
  // More than is loaded at once, cut where it may be; and a line that alone is more.
  const many = lines.concat(lines, lines);
  assertSame(many.join('\n'));
  assertSame([...many, long, ...lines].join('\n'));
});

test('what goes into chunks of the tokenizer is read as what comes in any others', async () => {
  const bytes = Buffer.from([...lines, ...lines, ...lines, ...lines].join('\n'));
  assert.ok(bytes.length > 2.5 * CHUNK_SIZE);
  const sum = async (source: AsyncIterable<Uint8Array>): Promise<unknown> => {
    const account = createAccount('test');
    const hash = createHash('sha256');
    for await (const batch of readTrace(source, { file: 'test', dictionary: createDictionary(), account }))
      for (const column of [batch.src, batch.dstPort, batch.timeUs, batch.srcEndpoint, batch.line])
        hash.update(column.slice(0, batch.count));
    return { account, rows: hash.digest('hex') };
  };
  const plain = await sum(chunksOf(bytes, 70_000));
  const lent = takeChunks(bytes);
  const [one, two] = lent.chunks as [Uint8Array, Uint8Array];
  assert.notEqual(one.buffer, takeChunks(bytes).chunks[0]!.buffer, 'one has them at a time');
  assert.ok(lent.chunks.length === 3 && lent.chunks.every(({ buffer }) => buffer === one.buffer));
  // A source fills the chunk that its reader is done with while the other one is read.
  async function* fill(size: number): AsyncGenerator<Uint8Array> {
    let [chunk, other] = [one, two];
    for (let at = 0; at < bytes.length; at += size, [chunk, other] = [other, chunk]) {
      other.fill(0x7d);
      yield chunk.subarray(0, bytes.copy(chunk, 0, at, at + size));
    }
  }
  for (const size of [CHUNK_SIZE, CHUNK_SIZE - 7, 1_000_000]) assert.deepEqual(await sum(fill(size)), plain);
  lent.release();
  const again = takeChunks(bytes);
  assert.equal(again.chunks[0]!.buffer, one.buffer);
  again.release();
});

test('the table of what was seen lately agrees with a plain map while nothing is forgotten', () => {
  const keys = fc.array(fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 5 })), { maxLength: 300 });
  fc.assert(
    fc.property(keys, (list) => {
      const table = new RecentTable(100_000, 1);
      const map = new Map<string, number>();
      for (const [index, [a, b]] of list.entries()) {
        const slot = table.find(a, b, 0, 0, -1);
        const known = map.get(`${a} ${b}`);
        assert.equal(slot < 0 ? undefined : table.values[slot], known);
        table.values[table.put(a, b, 0, 0, -1)] = index;
        map.set(`${a} ${b}`, index);
      }
    }),
    { seed },
  );
});

test('the table of what was seen lately knows at least its limit of keys, with their numbers', () => {
  const table = new RecentTable(1000, 2);
  for (let index = 0; index < 20_000; index++) {
    const at = table.put(index, 1, 2, 3, 4) * 2;
    table.values[at] = index;
    table.values[at + 1] = -index;
    const earlier = index - 499;
    // Finding counts as well: 499 keys were put since, and as many found.
    if (earlier < 0) continue;
    const slot = table.find(earlier, 1, 2, 3, 4);
    assert.ok(slot >= 0);
    assert.deepEqual([...table.values.subarray(slot * 2, slot * 2 + 2)], [earlier, -earlier]);
  }
  assert.equal(table.find(0, 1, 2, 3, 4), -1);
});

function realLines(): string[] {
  const paths = ['traces/app1/hubble.jsonl'];
  if (existsSync(SAMPLES)) paths.push(...readdirSync(SAMPLES).map((name) => `${SAMPLES}/${name}`));
  return paths.flatMap((path) => readFileSync(path, 'utf8').split('\n')).filter((line) => line !== '');
}

/** Does the scanner read a line to its end by itself? */
function isRead(bytes: Uint8Array): boolean {
  scanner.load(bytes, 0, bytes.length);
  const rows = scanner.read(0, 1, 1);
  if (rows === 0 && scanner.result[Scan.Outcome] === Outcome.Unread) return false;
  return (rows === 1 ? scanner.stop() : scanner.recordStop()) === bytes.length;
}

function assertSame(input: string | Buffer): void {
  const bytes = Buffer.from(input as string);
  const scanned = read(bytes, scanner);
  const parsed = read(bytes, undefined);
  assert.deepEqual(scanned.rows, parsed.rows);
  assert.deepEqual(scanned.dictionary.endpoints, parsed.dictionary.endpoints);
  assert.deepEqual(scanned.account, parsed.account);
  assert.ok(isBalanced(scanned.account));
}

function read(bytes: Buffer, by: HubbleScanner | undefined): Reading {
  const [dictionary, account, batch] = [
    createDictionary(),
    createAccount('test'),
    createBatch(bytes.length < 100_000 ? 64 : 20_000),
  ];
  const head = createHead(Buffer.from('{"flow":{}}\n'), false);
  const decoder = openHubble({ batch, dictionary, account, head, mapping: undefined, fields: undefined }, by);
  const stop = decoder.decode(bytes, 0, bytes.length);
  decoder.finish(bytes, stop, bytes.length);
  decoder.willHandOut!(batch.count);
  account.used = batch.count;
  const rows = Array.from({ length: batch.count }, (_, row) => toRow(batch, row, dictionary));
  return { rows, dictionary, account };
}

/** A real record as another text: members changed, left out, doubled, in another order, with blanks. */
function changedRecord(): fc.Arbitrary<string> {
  const place = fc.constantFrom<readonly string[]>(
    ['flow'],
    ['flow', 'IP'],
    ['flow', 'l4'],
    ['flow', 'l4', 'TCP'],
    ['flow', 'l4', 'UDP'],
    ['flow', 'l4', 'TCP', 'flags'],
    ['flow', 'source'],
    ['flow', 'destination'],
    ['flow', 'event_type'],
    [], // prettier-ignore
  );
  const key = fc.constantFrom(
    'time',
    'verdict',
    'IP',
    'l4',
    'source',
    'destination',
    'Type',
    'event_type',
    'eventType',
    'is_reply',
    'isReply',
    'reply',
    'drop_reason',
    'drop_reason_desc',
    'dropReasonDesc',
    'emitter',
    'extensions',
    'ethernet',
    'flow',
    'destination_service',
    'destinationService',
    'source_port',
    'sourcePort',
    'destination_port',
    'type',
    'code',
    'flags',
    'SYN',
    'TCP',
    'UDP',
    'SCTP',
    'ICMPv4',
    'ICMPv6',
    'labels',
    'pod_name',
    'namespace',
    'name',
    '__proto__',
    'x',
    '', // prettier-ignore
  );
  const value = fc.constantFrom(
    '0',
    '1',
    '4',
    '5',
    '7',
    '129',
    '133',
    '01',
    '-1',
    '1.5',
    '1e3',
    '65535',
    '65536',
    '123456789012',
    'true',
    'false',
    'null',
    'tru',
    '""',
    '"L7"',
    '"SOCK"',
    '"L3_L4"',
    '"DROPPED"',
    '"FORWARDED"',
    '"AUDIT"',
    '"TRANSLATED"',
    '"OTHER"',
    '"POLICY_DENIED"',
    '"POLICY_DENY"',
    '"AUTH_REQUIRED"',
    '"INVALID_PACKET"',
    '"10.0.0.1"',
    '"10.0.0.01"',
    '"10.0.0.256"',
    '"10.0.0"',
    '"fd00::1"',
    '"::ffff:1.2.3.4"',
    '"x\\u0041"',
    '"a\\"b"',
    '"a\\qb"',
    '"\\ud83d\\u12"',
    '"ü"',
    '{}',
    '[]',
    '[1,{"a":[true,null]}]',
    '[1,]',
    '{"type":4}',
    '{"type":7,"type":1}',
    '{"name":"Retina"}',
    '{"name":"Hubble","version":"1"}',
    '{"@type":"type.googleapis.com/google.protobuf.Struct"}',
    '{"name":"svc","namespace":"n"}',
    '{"SYN":true}',
    '{"SYN":true,"ACK":false}',
    '{"SYN":1}',
    '{"source_port":80,"destination_port":0}',
    '{"type":8,"code":1}',
    '{"source":"10.0.0.9","destination":"10.0.0.8"}',
    '{"source":"fd00::9","destination":"fd00::8"}',
    '{"TCP":{"source_port":1,"destination_port":2},"UDP":{}}',
    '{"SCTP":{"sourcePort":1,"destinationPort":2}}',
    '"2026-01-02T03:04:05Z"',
    '"2026-02-31T23:59:60.123456789Z"',
    '"2026-01-02T03:04:05.1234567891Z"',
    '"2026-01-02T03:04:05+02:00"',
    '"0099-01-02T03:04:05Z"',
    '"2026-13-02T03:04:05Z"',
    '"2000-02-29T00:00:00.5Z"',
    '{"seconds":"12","nanos":5000}',
    '{"identity":2,"labels":["reserved:world"]}',
    '{"namespace":"a","pod_name":"b","labels":["k8s:a=b","k8s:io.cilium.k8s.namespace.labels.c=d"]}', // prettier-ignore
  );
  const blank = fc.constantFrom('', '', '', '', '', '', '', ' ', '\t', '  ', ' ', '\t', '\r', '\v');
  const change = fc.record({ place, key, value, how: fc.constantFrom('set', 'set', 'drop', 'double', 'turn') });
  return fc
    .tuple(
      fc.constantFrom(...lines),
      fc.array(change, { maxLength: 3 }),
      fc.array(blank, { minLength: 7, maxLength: 7 }),
    )
    .map(([line, changes, blanks]) => {
      const tree = toTree(JSON.parse(line) as unknown);
      for (const { place: path, key: name, value: text, how } of changes) changeTree(tree, path, name, text, how);
      return printTree(tree, blanks, 0);
    });
}

/** JSON with its members in order and as often as they come. */
type Tree = string | Tree[] | { members: [string, Tree][] };

function toTree(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(toTree);
  if (typeof value === 'object' && value !== null)
    return { members: Object.entries(value).map(([name, member]): [string, Tree] => [name, toTree(member)]) };
  return JSON.stringify(value);
}

function changeTree(tree: Tree, path: readonly string[], name: string, text: string, how: string): void {
  let node: Tree | undefined = tree;
  for (const step of path) {
    if (typeof node === 'string' || Array.isArray(node)) return;
    node = node?.members.find(([key]) => key === step)?.[1];
  }
  if (node === undefined || typeof node === 'string' || Array.isArray(node)) return;
  const { members } = node;
  const at = members.findIndex(([key]) => key === name);
  if (how === 'turn') members.reverse();
  else if (how === 'drop') members.splice(Math.max(0, at), 1);
  else if (how === 'double' || at < 0) members.push([name, text]);
  else members[at] = [name, text];
}

function printTree(tree: Tree, blanks: readonly string[], depth: number): string {
  const blank = blanks[depth % blanks.length]!;
  if (typeof tree === 'string') return tree;
  if (Array.isArray(tree))
    return `[${blank}${tree.map((item) => printTree(item, blanks, depth + 1)).join(`,${blank}`)}]`;
  const members = tree.members.map(([name, value]) => `${JSON.stringify(name)}${blank}:${blank}${printTree(value, blanks, depth + 1)}`); // prettier-ignore
  return `{${blank}${members.join(`${blank},`)}${blank}}`;
}
