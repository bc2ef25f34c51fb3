/** Mapping files: what they say is what is read, and what is wrong in them is said with its line. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Orientation, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { readMappingFile } from '../../src/trace/mapping-file.ts';
import type { CsvMapping } from '../../src/trace/mapping.ts';
import { readAll, type Result } from './build.ts';

function mappingOf(text: string): CsvMapping {
  const { mapping, diagnostics } = readMappingFile(text, 'map.yaml');
  assert.deepEqual(diagnostics, []);
  return mapping!;
}

const read = (text: string, mapping: string): Promise<Result> =>
  readAll(Buffer.from(text), { mapping: mappingOf(mapping) });

const DOCUMENT = readFileSync(new URL('../../docs/traces.md', import.meta.url), 'utf8');

/** The examples of docs/traces.md: fenced blocks, a mapping and then what it reads. */
function examplesOf(heading: string): string[] {
  const section = DOCUMENT.slice(DOCUMENT.indexOf(`### ${heading}`));
  return [
    ...section
      .split('\n### ')[0]!
      .split('\n## ')[0]!
      .matchAll(/```\w*\n([\s\S]*?)```/g),
  ].map((match) => match[1]!);
}

test('first example of docs/traces.md: a table without a header, addresses with ports, words of its own', async () => {
  const [mapping, table] = examplesOf('Example: a table');
  const { account, rows } = await read(table!, mapping!);
  assert.deepEqual([account.format, rows.length, account.malformed.size, account.unknownValues.size], ['csv', 2, 0, 0]);
  const [first, second] = rows;
  assert.deepEqual(
    [first!.src, first!.srcPort, first!.dst, first!.dstPort, first!.protocol, first!['timeUs'], first!['bytes']],
    ['10.0.0.1', 40001, '10.0.0.2', 443, 6, 1_795_255_201_500_000, 2048],
  );
  assert.deepEqual([first!['recordedVerdict'], first!['kind']], [RecordedVerdict.Allow, RecordKind.OneWay]);
  assert.deepEqual([second!.src, second!.dstPort, second!['recordedVerdict']], ['fd00::1', 53, RecordedVerdict.Deny]);
  assert.ok(isBalanced(account));
});

test('second example of docs/traces.md: JSON lines with paths, other objects between them', async () => {
  const [mapping, lines] = examplesOf('Example: JSON');
  const { account, rows } = await read(lines!, mapping!);
  assert.deepEqual([account.format, account.read, rows.length], ['json', 3, 2]);
  assert.equal(account.skipped.get('no-field'), 1);
  assert.deepEqual(
    rows.map(({ srcEndpoint }) => (srcEndpoint as { name: string } | undefined)?.name),
    ['web-0', undefined],
  );
  assert.deepEqual(
    rows.map(({ protocol }) => protocol),
    [6, 17],
  );
  assert.deepEqual(
    rows.map((row) => row['orientation']),
    [Orientation.Original, Orientation.Reply],
  );
  // Behind a wrapper, and pretty-printed, it is the same.
  const wrapped = lines!
    .trim()
    .split('\n')
    .map((line) => JSON.stringify({ log: `${line}\n`, stream: 'stdout', time: 't' }))
    .join('\n');
  assert.deepEqual((await read(wrapped, mapping!)).rows, rows);
});

test('what rules do: alternatives, constants, defaults, absence, factors, positions', async () => {
  const mapping = `
delimiter: pipe
kind: flow
fields:
  src: [client, source]
  dst: {from: 3}
  dstPort: {from: port, default: 53}
  protocol: {value: udp}
  packets: {from: n, times: 10}
  verdict: {from: v, values: {A: allow, X: ~}}
  srcPod: [ns, pod]
`;
  const table = 'client|source|x|port|n|v|ns|pod\n|10.0.0.1|10.0.0.2||3|A|a|p\n10.0.0.9|10.0.0.1|10.0.0.2|80||X||p\n';
  const { account, rows } = await read(table, mapping);
  assert.deepEqual(account.diagnostics, []);
  assert.deepEqual(
    rows.map((row) => [
      row.src,
      row.dst,
      row.dstPort,
      row.protocol,
      row['packets'],
      row['recordedVerdict'],
      row['srcEndpoint'] !== undefined,
    ]),
    [
      ['10.0.0.1', '10.0.0.2', 53, 17, 30, RecordedVerdict.Allow, true],
      ['10.0.0.9', '10.0.0.2', 80, 17, -1, RecordedVerdict.None, false],
    ],
  );
  const missing = await read('a,b\n10.0.0.1,10.0.0.2\n', 'fields: {src: a, dst: b, dstPort: nope}');
  assert.deepEqual(
    [missing.rows.length, missing.account.diagnostics[0]!.message],
    [1, 'dstPort: the table has no column "nope"'],
  );
  const columns = { src: 'a', dst: 'b', dstPort: 'nope' };
  const mistyped = await readAll(Buffer.from('a,b,dstPort\n10.0.0.1,10.0.0.2,80\n'), { mapping: { columns } });
  assert.deepEqual(
    mistyped.account.diagnostics.map(({ message }) => message),
    ['dstPort: the table has no column "nope"'],
    'also of columns that are named on the command line',
  );
});

test('every error of a mapping file is told with its line, in one run', () => {
  const { mapping, diagnostics } = readMappingFile(
    `kind: connection
fields:
  source: a
  src: {from: a, unit: ms}
  dst: {form: b}
  verdict: {from: v, values: {A: accepted}}
  bytes: {from: b, times: -1}
  time: {from: t, unit: minutes}
  protocol: {from: p, value: tcp}
  dstPort: {default: 80}
headers: [a]
`,
    'map.yaml',
  );
  assert.equal(mapping, undefined);
  assert.deepEqual(
    diagnostics.map(({ line, code }) => [line, code]),
    [
      [1, 'unsupported-value'],
      [3, 'unknown-field'],
      [4, 'forbidden'],
      [5, 'unknown-field'],
      [5, 'required-value'],
      [6, 'unsupported-value'],
      [7, 'invalid-value'],
      [8, 'unsupported-value'],
      [9, 'forbidden'],
      [10, 'required-value'],
      [11, 'unknown-field'],
    ],
  );
  assert.ok(diagnostics.every(({ file, excerpt }) => file === 'map.yaml' && excerpt !== ''));
  for (const text of [
    '',
    'a',
    '[]',
    'fields: 3',
    'fields: {src: a}',
    'fields: [',
    '"',
    'fields: {src: {from: []}, dst: b}',
  ])
    assert.ok(readMappingFile(text, 'x').diagnostics.length > 0, text);
});

test('hostile paths and keys: no prototype, no walk without end', async () => {
  const { rows, account } = await read(
    '{"__proto__":{"a":"10.0.0.1"},"b":"10.0.0.2"}\n{"a":"10.0.0.1","b":"10.0.0.2"}\n',
    'fields: {src: [__proto__.a, a], dst: b, dstPort: constructor.name, srcPort: b.length}',
  );
  assert.deepEqual([rows.length, rows[1]!.srcPort], [2, -1]);
  assert.ok(isBalanced(account));
});

test('a recorded sampling rate multiplies bytes and packets of tables, JSON and Parquet, and the report says so', async () => {
  const table = await readAll(
    Buffer.from(
      'src,dst,dstPort,proto,bytes,packets,reply_bytes,sampling_rate\n' +
        '10.0.0.1,10.0.0.2,80,tcp,100,2,-,64\n10.0.0.1,10.0.0.3,80,tcp,100,2,7,0\n10.0.0.1,10.0.0.4,80,tcp,100,2,7,0.5\n',
    ),
  );
  const counts = ({ rows }: Result) => rows.map((row) => [row['bytes'], row['packets'], row['replyBytes']]);
  assert.deepEqual(counts(table), [
    [6400, 128, -1],
    [100, 2, 7],
    [100, 2, 7],
  ]);
  assert.ok(table.account.limits.some((limit) => limit.includes('estimates')));
  assert.deepEqual([...table.account.unknownValues], [['sampling=0.5', 1]]);
  const json = await read(
    '{"a":"10.0.0.1","b":"10.0.0.2","n":3,"every":1000}\n',
    'fields: { src: a, dst: b, packets: n, sampling: every }\n',
  );
  assert.deepEqual(counts(json), [[-1, 3000, -1]]);
  const bytes = readFileSync(new URL('fixture/usual-names.parquet', import.meta.url));
  const fields = 'src: source_ip, dst: dest_ip, packets: { value: 2 }, sampling: dest_port, protocol: action';
  const parquet = await readAll(bytes, { mapping: mappingOf(`fields: { ${fields} }\n`) });
  assert.deepEqual(counts(parquet), [
    [-1, 160, -1],
    [-1, 106, -1],
  ]);
  // A word that is no protocol leaves it unknown.
  assert.deepEqual(
    parquet.rows.map(({ protocol }) => protocol),
    [255, 255],
  );
});
