/** Azure's NSG and VNet flow logs: every version, both interfaces, states and their counts, documents of any shape and size. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { OrientedBy, Orientation, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { seed } from '../law/seed.ts';
import { countConnections, readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/azure/', import.meta.url);
const skip = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';

async function read(text: string | Uint8Array, options: Parameters<typeof readAll>[1] = {}): Promise<Result> {
  const result = await readAll(Buffer.from(text), options);
  assert.ok(isBalanced(result.account));
  return result;
}

async function fixture(name: string): Promise<Result> {
  return read(readFileSync(new URL(name, FIXTURES)));
}

/** A VNet document of these tuples. */
function vnet(...tuples: string[]): string {
  return JSON.stringify({
    records: [{ macAddress: 'AB', flowRecords: { flows: [{ flowGroups: [{ flowTuples: tuples }] }] } }],
  });
}

/** A VNet tuple with some fields replaced. */
function tuple(changes: Readonly<Record<number, string>> = {}): string {
  const fields = '1795255201500,10.1.0.4,10.1.0.5,40000,443,6,O,C,NX,10,1000,8,8000'.split(',');
  for (const [at, value] of Object.entries(changes)) fields[Number(at)] = value;
  return fields.join(',');
}

const flow = ({ src, srcPort, dst, dstPort, protocol }: Result['rows'][number]): unknown[] => [
  src,
  srcPort,
  dst,
  dstPort,
  protocol,
];
const counts = (row: Result['rows'][number]): unknown[] => [
  row['packets'],
  row['bytes'],
  row['replyPackets'],
  row['replyBytes'],
];
const FirewallAllow = RecordedVerdict.FirewallAllow;
const FirewallDeny = RecordedVerdict.FirewallDeny;

test('NSG version 1: a tuple is a flow that a rule let begin, or a denial; a record in a record is read', async () => {
  const { account, rows } = await fixture('azure-nsg-v1.json');
  assert.deepEqual([account.format, account.read, account.malformed.size], ['azure-nsg', 2, 0]);
  assert.deepEqual(rows.map(flow), [
    ['203.0.113.9', 51529, '10.1.0.4', 5358, 6],
    ['10.1.0.4', 40000, '10.1.0.5', 53, 17],
  ]);
  assert.deepEqual(
    rows.map((row) => [row['kind'], row['recordedVerdict'], row['timeUs'], ...counts(row)]),
    [
      [RecordKind.Decision, FirewallDeny, 1795255201e6, -1, -1, 0, 0],
      [RecordKind.Connection, FirewallAllow, 1795255202e6, -1, -1, -1, -1],
    ],
  );
  for (const { orientation, orientedBy } of rows)
    assert.deepEqual([orientation, orientedBy], [Orientation.Original, OrientedBy.Stated]);
});

test('NSG version 2: beginning, traffic and end are rows of one connection, and what the other interface saw is no other', async () => {
  const { account, rows } = await fixture('azure-nsg-v2.json');
  assert.deepEqual([account.format, account.read, account.skipped.get('duplicate')], ['azure-nsg', 6, 2]);
  assert.equal(countConnections(rows), 2);
  assert.deepEqual(rows.map(counts), [
    [-1, -1, -1, -1],
    [10, 1000, 8, 8000],
    [2, 200, 1, 52],
    [-1, -1, 0, 0],
  ]);
  assert.deepEqual(
    rows.map((row) => row['recordedVerdict']),
    [FirewallAllow, FirewallAllow, FirewallAllow, FirewallDeny],
  );
});

test('VNet: milliseconds, protocol numbers, a denial is no duplicate of what the sender let out', async () => {
  const { account, rows } = await fixture('azure-vnet.json');
  assert.deepEqual([account.format, account.read, account.skipped.get('duplicate')], ['azure-vnet', 7, 1]);
  assert.equal(account.unknownValues.size, 0);
  assert.deepEqual(
    rows.map((row) => [...flow(row), row['recordedVerdict'], row['kind']]),
    [
      ['10.1.0.4', 40000, '10.1.0.5', 443, 6, FirewallAllow, RecordKind.Connection],
      ['10.1.0.4', 40000, '10.1.0.5', 443, 6, FirewallAllow, RecordKind.Connection],
      ['10.1.0.4', 40000, '10.1.0.5', 443, 6, FirewallAllow, RecordKind.Connection],
      ['10.1.0.4', 40001, '10.1.0.5', 22, 6, FirewallAllow, RecordKind.Connection],
      ['10.1.0.4', 40001, '10.1.0.5', 22, 6, FirewallDeny, RecordKind.Decision],
      ['fd00::4', -1, 'fd00::5', -1, 58, FirewallAllow, RecordKind.Connection],
    ],
  );
  assert.deepEqual(rows.slice(0, 3).map(counts), [
    [-1, -1, -1, -1],
    [10, 1000, 8, 8000],
    [2, 200, 1, 52],
  ]);
  assert.equal(rows[0]!['timeUs'], 1795255201500e3);
});

test('a flow between two pods of one interface is logged twice there, and is one', async () => {
  const { account, rows } = await read(vnet(tuple(), tuple({ 6: 'I' }), tuple({ 0: '1795255301500', 7: 'E' })));
  assert.deepEqual([rows.length, account.skipped.get('duplicate')], [2, 1]);
});

test('records one a line, with their keys in any order, are the document', async () => {
  const document = await fixture('azure-vnet.json');
  const lines = await fixture('azure-vnet.ndjson');
  assert.equal(lines.account.format, 'azure-vnet');
  assert.deepEqual(lines.rows, document.rows);
  const pretty = JSON.stringify(JSON.parse(readFileSync(new URL('azure-vnet.json', FIXTURES), 'utf8')), null, 2);
  for (const text of [pretty, pretty.replaceAll('\n', '\r\n')])
    assert.deepEqual((await read(text)).rows, document.rows);
});

test('ten digits are seconds, thirteen milliseconds', async () => {
  const { rows } = await read(vnet(tuple({ 0: '1795255201' }), tuple({ 0: '1795255201500' })));
  assert.deepEqual(
    rows.map((row) => row['timeUs']),
    [1795255201e6, 1795255201500e3],
  );
});

test('words that are not known are counted, and their tuple is kept', async () => {
  const { account, rows } = await read(
    vnet(
      tuple({ 6: 'X' }),
      tuple({ 3: '1', 7: 'Q' }),
      tuple({ 3: '2', 8: 'MAYBE' }),
      tuple({ 3: '3', 8: 'NX_NOT_ACCEPTED' }),
    ),
  );
  assert.equal(rows.length, 4);
  assert.deepEqual([...account.unknownValues.keys()], ['direction=X', 'state=Q', 'encryption=MAYBE']);
  assert.equal(rows[1]!['recordedVerdict'], RecordedVerdict.None);
});

test('a tuple that is none is malformed with the field and what was found', async () => {
  const cases: [string, string, RegExp][] = [
    ['field-count', '1,2', /expected 13 fields, or 8 in version 1, found 2/],
    ['field-count', `${tuple()},1`, /found 14/],
    ['invalid-field', tuple({ 0: 'soon' }), /field 1: expected a time in seconds or milliseconds, found soon/],
    ['invalid-field', tuple({ 1: '10.1.0' }), /field 2: expected an IP address, found 10\.1\.0/],
    ['invalid-field', tuple({ 2: '' }), /field 3: expected an IP address, found nothing/],
    ['invalid-field', tuple({ 2: 'fd00::1' }), /one family/],
    ['invalid-field', tuple({ 3: '65536' }), /field 4: expected a port/],
    ['invalid-field', tuple({ 5: '256' }), /field 6: expected T, U or a protocol number/],
    ['invalid-field', tuple({ 5: 'X', 7: 'A', 8: 'B' }), /field 6: expected T, U or a protocol number/],
    ['invalid-field', tuple({ 12: 'many' }), /field 13: expected a number, found many/],
  ];
  for (const [reason, text, message] of cases) {
    const { account, rows } = await read(vnet(text));
    assert.deepEqual([rows.length, account.malformed.get(reason)], [0, 1], text);
    assert.match(account.diagnostics[0]!.message, message);
  }
});

test('a blob that was copied while it grew is truncated, and what came before counts', async () => {
  const text = readFileSync(new URL('azure-vnet.json', FIXTURES), 'utf8');
  const { account, rows } = await read(text.slice(0, text.indexOf('443,6,I,B')));
  assert.deepEqual([rows.length, account.malformed.get('truncated')], [4, 1]);
});

test('what is no JSON costs its place, not the rest of the document', async () => {
  const text = vnet(tuple({ 3: '1' }), tuple({ 3: '2' }), tuple({ 3: '3' }));
  const odd = await read(
    text.replace('],', '] ?? ,').replace(`,"${tuple({ 3: '2' })}`, `,\u0001 ? "${tuple({ 3: '2' })}`),
  );
  assert.deepEqual([odd.rows.length, odd.account.malformed.get('invalid-json')], [3, 1]);
  const open = await read(`${text.replace('"}', '')}\n${text}`.replace(`${tuple({ 3: '3' })}"`, tuple({ 3: '3' })));
  assert.ok(open.rows.length >= 3);
  assert.ok(open.account.malformed.size > 0);
});

test('any document of tuples gives their rows, however it is cut and laid out', async () => {
  const addresses = fc.constantFrom('10.1.0.4', '10.1.0.5', 'fd00::4', '203.0.113.9');
  const port = fc.nat(65_535).map(String);
  const value = fc
    .tuple(addresses, addresses, port, port, fc.constantFrom('6', '17', '1'), fc.constantFrom('B', 'C', 'E', 'D'))
    .filter(([a, b]) => a.includes(':') === b.includes(':'));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(value, { maxLength: 4 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(0, 2),
      async (groups, chunkSize, indent) => {
        const records = groups.map((tuples) => ({
          flowRecords: {
            flows: [
              {
                flowGroups: [
                  {
                    flowTuples: tuples.map(([a, b, s, d, p, state]) =>
                      tuple({ 1: a, 2: b, 3: s, 4: d, 5: p, 7: state }),
                    ),
                  },
                ],
              },
            ],
          },
        }));
        const { account, rows } = await read(JSON.stringify({ records }, null, indent), {
          chunkSize,
          format: 'azure-vnet',
        });
        assert.equal(account.malformed.size, 0);
        // One interface: nothing is a duplicate.
        assert.deepEqual(
          rows.map((row) => [row.src, row.dst]),
          groups.flat().map(([a, b]) => [a, b]),
        );
      },
    ),
    { numRuns: 100, seed },
  );
});

test('the samples: tuples and connections as their page has them', { skip }, async () => {
  const expected: Record<string, readonly [format: string, tuples: number, connections: number, denied: number]> = {
    'nsg-flow-v1-docs.json': ['azure-nsg', 3, 3, 1],
    'nsg-flow-v2-docs.json': ['azure-nsg', 9, 9, 5],
    'vnet-flow-v4-docs.json': ['azure-vnet', 7, 5, 3],
  };
  for (const [name, [format, tuples, connections, denied]] of Object.entries(expected)) {
    const { account, rows } = await read(readFileSync(new URL(name, SAMPLES)));
    assert.deepEqual([account.format, account.read, rows.length, countConnections(rows)], [format, tuples, tuples, connections], name); // prettier-ignore
    assert.equal(rows.filter((row) => row['recordedVerdict'] === FirewallDeny).length, denied, name);
    assert.equal(account.skipped.size + account.malformed.size + account.unknownValues.size, 0, name);
  }
});
