/** VPC flow logs: whose addresses, whose verdict, and one flow that two interfaces report. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { parseAddress } from '../../src/model/address.ts';
import { RecordedVerdict, createDictionary } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { readAddressBytes } from '../../src/trace/field.ts';
import { OBSERVER_WINDOW_S, ObserverTable } from '../../src/trace/observer.ts';
import { readAll, type Result } from './build.ts';
import { AWS_CLOUDWATCH_TEXT, AWS_VPC_TEXT } from './log.ts';

const SEED = Number(process.env['FC_SEED'] ?? 20_261_121);

async function read(text: string, options: Parameters<typeof readAll>[1] = {}): Promise<Result> {
  const result = await readAll(Buffer.from(text), options);
  assert.ok(isBalanced(result.account));
  return result;
}

/** A record of version 2 in its default order. */
function record(
  changes: Partial<Record<'eni' | 'src' | 'dst' | 'ports' | 'protocol' | 'start' | 'action', string>>,
): string {
  const { eni = 'eni-0a', src = '10.0.0.1', dst = '10.0.0.2', ports = '4000 80' } = changes;
  const { protocol = '6', start = '1700000000', action = 'ACCEPT' } = changes;
  return `2 123456789010 ${eni} ${src} ${dst} ${ports} ${protocol} 20 4249 ${start} 1700000060 ${action} OK\n`;
}

test('the addresses of the packet go before those of the interface', async () => {
  const { account, rows } = await read(AWS_VPC_TEXT);
  assert.equal(account.format, 'aws-vpc');
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, protocol }) => [src, srcPort, dst, dstPort, protocol]),
    [
      ['10.0.0.11', 4000, '10.0.0.12', 80, 6],
      ['10.0.0.12', 80, '10.0.0.11', 4000, 6],
      ['fd00::1', -1, 'fd00::2', -1, 58],
    ],
  );
  assert.ok(!account.limits.some((limit) => limit.includes('that is nodes')));
  const plain = await read(record({}));
  assert.ok(plain.account.limits.some((limit) => limit.includes('that is nodes')));
  assert.ok(plain.account.limits.some((limit) => limit.includes('who opened a connection is inferred')));
});

test('a silent window is skipped, a gap is counted as lost, both ends of a flow are one', async () => {
  const { account, rows } = await read(AWS_VPC_TEXT);
  assert.deepEqual([account.read, rows.length, account.lost], [6, 3, 1]);
  assert.deepEqual(Object.fromEntries(account.skipped), { 'no-data': 1, 'skip-data': 1, duplicate: 1 });
});

test('SYN alone is who opened, SYN with ACK who answered; without flags nothing is claimed', async () => {
  const { rows } = await read(AWS_VPC_TEXT);
  const columns = ({ kind, orientation, orientedBy, tcpFlags }: Result['rows'][number]): unknown[] => [
    kind,
    orientation,
    orientedBy,
    tcpFlags,
  ];
  assert.deepEqual(rows.map(columns), [
    [1, 0, 1, 3],
    [1, 1, 1, 18],
    [1, 2, 4, 0xffff],
  ]);
  assert.deepEqual(columns((await read(record({}))).rows[0]!), [1, 2, 4, 0xffff]);
});

test('a verdict of the cloud is none of a policy, and the report says so', async () => {
  const actions = ['ACCEPT', 'REJECT', 'MAYBE', '-'];
  const { account, rows } = await read(actions.map((action, at) => record({ action, src: `10.0.1.${at}` })).join(''));
  assert.deepEqual(
    rows.map(({ recordedVerdict }) => recordedVerdict),
    [RecordedVerdict.FirewallAllow, RecordedVerdict.FirewallDeny, RecordedVerdict.None, RecordedVerdict.None],
  );
  assert.deepEqual([...account.unknownValues.keys()], ['action=MAYBE']);
  assert.ok(account.limits.some((limit) => limit.includes('not of a NetworkPolicy')));
});

test('what one end accepted and the other rejected is two records: the rejection is not lost as a duplicate', async () => {
  const lines = [record({ eni: 'eni-0a' }), record({ eni: 'eni-0b', action: 'REJECT' })];
  for (const text of [lines.join(''), lines.toReversed().join('')]) {
    const { rows } = await read(text);
    assert.deepEqual(rows.map(({ recordedVerdict }) => recordedVerdict).toSorted(), [6, 7]);
  }
});

test('another interface reports the same flow until the first one falls silent', async () => {
  const lines = [
    record({ eni: 'eni-0a', start: '1700000000' }),
    record({ eni: 'eni-0b', start: '1700000030' }),
    record({ eni: 'eni-0a', start: '1700000060' }),
    record({ eni: 'eni-0b', start: String(1700000060 + OBSERVER_WINDOW_S + 1) }),
    record({ eni: 'eni-0a', start: String(1700000060 + OBSERVER_WINDOW_S + 61) }),
  ];
  const { rows, account } = await read(lines.join(''));
  assert.deepEqual(
    rows.map(({ timeUs }) => (timeUs as number) / 1e6 - 1700000000),
    [0, 60, 60 + OBSERVER_WINDOW_S + 1],
  );
  assert.equal(account.skipped.get('duplicate'), 2);
});

test('the table of observers agrees with a plain map, over its growth and its limit', () => {
  const table = new ObserverTable();
  const plain = new Map<number, { observer: number; last: number }>();
  let duplicates = 0;
  for (let step = 0; step < 120_000; step++) {
    const src = (step * 7919) % 50_000;
    const observer = 1 + ((step * 31) % 3);
    const timeS = 1_700_000_000 + (step >> 7);
    const known = plain.get(src);
    const isDuplicate = known !== undefined && known.observer !== observer && timeS - known.last <= OBSERVER_WINDOW_S;
    if (isDuplicate) duplicates++;
    else plain.set(src, { observer, last: timeS });
    assert.equal(table.isDuplicate(4, 6, src, 1, 2, 3, observer, timeS), isDuplicate, `step ${step}`);
  }
  assert.ok(duplicates > 1_000, String(duplicates));
  for (let src = 0; src < 600_000; src++) table.isDuplicate(4, 17, src, 1, 2, 3, 1, 1_700_001_000);
  assert.equal(table.isDuplicate(4, 17, 599_999, 1, 2, 3, 2, 1_700_001_000), true);
});

test('fields: a header in any order and spelling, one a joined file, names from outside, or the default', async () => {
  const custom = await read(
    '${dstaddr} ${srcaddr} ${pkt_srcaddr}  ${dstport} ${protocol}\n10.0.0.2 10.0.0.1 -  53 17\n' +
      `version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n${record({})}`,
  );
  assert.deepEqual(
    custom.rows.map(({ src, dst, dstPort, protocol }) => [src, dst, dstPort, protocol]),
    [
      ['10.0.0.1', '10.0.0.2', 53, 17],
      ['10.0.0.1', '10.0.0.2', 80, 6],
    ],
  );
  assert.equal(custom.account.read, 2);
  const named = await read('10.0.0.2 10.0.0.1 17 53\n', {
    format: 'aws-vpc',
    fields: 'dstaddr srcaddr protocol dstport',
  });
  assert.deepEqual([named.rows[0]!.src, named.rows[0]!.dstPort, named.rows[0]!['packets']], ['10.0.0.1', 53, -1]);
  assert.equal((await read(record({}))).account.format, 'aws-vpc');
  const inferred = await read('2 eni-0a 10.0.0.1 10.0.0.2\n');
  assert.deepEqual([inferred.account.format, inferred.rows[0]!.dst, inferred.rows[0]!.protocol], ['aws-vpc', '10.0.0.2', 255]); // prettier-ignore
});

test('gzip around it changes nothing', async () => {
  const { account, rows } = await readAll(gzipSync(AWS_VPC_TEXT), { chunkSize: 11 });
  assert.deepEqual([account.containers, rows], [['gzip'], (await read(AWS_VPC_TEXT)).rows]);
});

test('messages in CloudWatch envelopes are records, whatever lies around them', async () => {
  const { account, rows } = await read(AWS_CLOUDWATCH_TEXT);
  assert.deepEqual([account.format, account.containers], ['aws-vpc', ['cloudwatch']]);
  assert.deepEqual([account.read, rows.length, account.skipped.get('control-message')], [3, 2, 1]);
  assert.deepEqual(rows.map(({ src }) => src), ['10.0.0.1', '10.0.0.3']); // prettier-ignore
  const printed = { events: [{ timestamp: 1, message: record({}).trim(), ingestionTime: 2 }], nextForwardToken: 'f/1' };
  assert.equal((await read(JSON.stringify(printed, null, 2))).rows.length, 1);
  const cut = await read(AWS_CLOUDWATCH_TEXT.slice(0, 200));
  assert.equal(cut.account.malformed.get('truncated'), 1);
  const odd = await read(`{"logEvents":[{"message":"${record({}).trim()}"},{"message":"2 eni-0a"},{"message":"\\x"}]}`);
  assert.deepEqual(Object.fromEntries(odd.account.malformed), { 'field-count': 1, 'invalid-json': 1 });
});

test('a record that is none is malformed with the field and what was found', async () => {
  const cases: [string, RegExp][] = [
    [record({ src: '64.6.160' }), /srcaddr: expected an IP address, found 64\.6\.160/],
    [record({ dst: '010.0.0.1' }), /dstaddr: expected an IP address/],
    [record({ dst: 'fd00::1' }), /one family/],
    [record({ ports: '4000 65536' }), /dstport: expected a port, found 65536/],
    [record({ ports: '-1 80' }), /srcport: expected a port, found -1/],
    [record({ protocol: '256' }), /protocol: expected a protocol number/],
    [record({ start: 'soon' }), /start: expected seconds/],
    [`${record({}).trim()} more\n`, /expected 14 fields, found 15/],
    ['2 3\n', /expected 14 fields, found 2/],
  ];
  for (const [line, message] of cases) {
    const { account, rows } = await read(line, { format: 'aws-vpc' });
    assert.deepEqual([rows.length, account.malformed.size], [0, 1], line);
    assert.match(account.diagnostics[0]!.message, message);
  }
});

test('an address read from bytes is the one read from text', () => {
  const dictionary = createDictionary();
  const out = { family: 0 as 0 | 4 | 6, value: 0 };
  const words = new Uint32Array(4);
  const part = fc.oneof(
    fc.nat(300).map(String),
    fc.constantFrom('', '0', '00', '01', '255', '256', '-', 'a', '1:', ':'),
  );
  const text = fc.oneof(
    fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')),
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom('::ffff:10.0.0.1', 'abc', 'f', '1.2.3.4.', '.1.2.3.4'),
  );
  fc.assert(
    fc.property(text, (address) => {
      const bytes = Buffer.from(`x${address}y`);
      const isAddress = readAddressBytes(bytes, 1, bytes.length - 1, dictionary, out);
      const family = parseAddress(address, words);
      assert.deepEqual([isAddress, out.family], [family !== 0, family], address);
      if (family === 4) assert.equal(out.value, words[0]);
      if (family === 6) assert.deepEqual([...dictionary.addresses.get(out.value)], [...words]);
    }),
    { seed: SEED, numRuns: 2_000 },
  );
});

test('all fields of a version without a header are known by their number and the form of their values', async () => {
  const fields = {
    3: 'vpc-0a subnet-0b - 18 IPv4 10.1.0.1 10.1.0.2',
    4: 'us-east-1 use1-az1 - -',
    5: '- - egress 1',
    7: '- - - - - - - - - -',
    8: '-',
    9: 'eni-0a',
    10: '0',
  };
  let line = record({}).trim();
  for (const [version, more] of Object.entries(fields)) {
    line = `${version}${line.slice(line.indexOf(' '))} ${more}`;
    const { account, rows } = await read(`${line}\n`);
    assert.deepEqual([account.format, rows[0]?.src, rows[0]?.dst, rows[0]?.['tcpFlags']], ['aws-vpc', '10.1.0.1', '10.1.0.2', 18], version); // prettier-ignore
  }
  // The same number of fields in another order is not guessed at.
  const { account } = await read(line.replace('vpc-0a subnet-0b', 'subnet-0b vpc-0a'));
  assert.notEqual(account.used, 1);
});

test('Firehose: records in base64 and lines of messages are unwrapped', async () => {
  const message = JSON.stringify({ message: record({}).trim() });
  const lines = await read(`${message}\n${message.replace('10.0.0.2', '10.0.0.3')}\n`);
  assert.deepEqual([lines.account.format, lines.rows.length], ['aws-vpc', 2]);
  const data = Buffer.from(`${message}\n`).toString('base64');
  const request = { requestId: 'r', timestamp: 1, records: [{ data }] };
  const { account, rows } = await read(JSON.stringify(request));
  assert.deepEqual([account.format, rows.length], ['aws-vpc', 1]);
});
