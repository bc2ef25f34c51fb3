/** The log of the AWS network policy agent: four spellings of one record, among everything else that the agent says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Orientation, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { countConnections, readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const Allow = RecordedVerdict.Allow;
const Deny = RecordedVerdict.Deny;

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text));
  assert.ok(isBalanced(result.account));
  return result;
}

async function fixture(name: string): Promise<Result> {
  return read(readFileSync(new URL(name, FIXTURES)));
}

const columns = ({ src, srcPort, dst, dstPort, protocol, ...row }: Result['rows'][number]): unknown[] => [
  src,
  srcPort,
  dst,
  dstPort,
  protocol,
  row['recordedVerdict'],
];

/** One line with a message. */
function message(text: string): string {
  return `${JSON.stringify({ level: 'info', ts: '2026-11-21T10:00:00Z', msg: text })}\n`;
}

test('members, text without and with colons, a tier, missing labels: each is a decision', async () => {
  const { account, rows } = await fixture('aws-network-policy-agent.log');
  assert.deepEqual([account.format, account.read], ['aws-network-policy-agent', 9]);
  assert.deepEqual(Object.fromEntries(account.skipped), { 'other-message': 2, 'conntrack-cleanup': 1 });
  assert.equal(account.malformed.size + account.unknownValues.size, 0);
  assert.deepEqual(rows.map(columns), [
    ['10.0.0.5', 40000, '10.0.1.6', 5432, 6, Allow],
    ['10.0.0.5', 40000, '10.0.1.6', 5432, 6, Deny],
    ['10.0.0.5', 40001, '8.8.8.8', 53, 17, Allow],
    ['fd00::5', 40002, 'fd00::', 443, 6, Deny],
    ['10.0.0.5', 40003, '10.0.1.6', 22, 6, Deny],
    ['10.0.0.5', -1, '10.0.1.6', -1, 1, Deny],
  ]);
  assert.equal(countConnections(rows), 4, 'both sides of a connection are one');
  for (const { kind, orientation } of rows)
    assert.deepEqual([kind, orientation], [RecordKind.Decision, Orientation.Unknown]);
  assert.deepEqual(
    rows.map((row) => row['timeUs']),
    [1, 3, 4, 5, 7, 8.5].map((second) => Date.UTC(2026, 10, 21, 10) * 1000 + second * 1e6),
  );
});

test('the audit stream of CloudWatch has neither time nor direction', async () => {
  const { account, rows } = await fixture('aws-network-policy-agent-audit.log');
  assert.deepEqual([account.format, account.read], ['aws-network-policy-agent', 2]);
  assert.deepEqual(rows.map(columns), [
    ['10.0.0.5', 40000, '10.0.1.6', 5432, 6, Allow],
    ['fd00::5', 40001, 'fd00::6', 53, 17, Deny],
  ]);
  assert.ok(rows.every((row) => Number.isNaN(row['timeUs'])));
});

test('plain text lines are read, with a time where one stands in front', async () => {
  const { account, rows } = await fixture('aws-network-policy-agent-text.log');
  assert.equal(account.format, 'aws-network-policy-agent');
  assert.deepEqual(
    rows.map((row) => [row['recordedVerdict'], row['timeUs']]),
    [
      [Deny, Date.UTC(2026, 10, 21, 10, 0, 1, 500) * 1000],
      [Allow, NaN],
    ],
  );
});

test('what a release printed without a place for it is found behind the text, whatever labels stand there', async () => {
  for (const tail of ['22', '22 Proto Verdict', '22 Proto: Verdict: ']) {
    const { rows } = await read(
      message(
        `Flow Info: Src IP: 10.0.0.5 Src Port: 1 Dest IP: 10.0.1.6 Dest Port: ${tail}%!(EXTRA string=TCP, string=DENY)`,
      ),
    );
    assert.deepEqual(rows.map(columns), [['10.0.0.5', 1, '10.0.1.6', 22, 6, Deny]], tail);
  }
});

test('a word that is not known is counted, a verdict that is missing is none', async () => {
  const { account, rows } = await read(
    message(
      'Flow Info: Src IP: 10.0.0.5 Src Port: 1 Dest IP: 10.0.1.6 Dest Port: 2 Proto IGMPX Verdict MAYBE Direction up, Tier NEXT',
    ) +
      message('Flow Info: Src IP: 10.0.0.5 Src Port: 1 Dest IP: 10.0.1.6 Dest Port: 2 Proto UNKNOWN Direction egress'),
  );
  assert.deepEqual([...account.unknownValues.keys()], ['protocol=IGMPX', 'verdict=MAYBE', 'direction=up', 'tier=NEXT']);
  assert.deepEqual(
    rows.map((row) => [row.protocol, row['recordedVerdict']]),
    [
      [255, 0],
      [255, 0],
    ],
  );
});

test('a record that is none is malformed with the field and what was found', async () => {
  const good = 'Flow Info: Src IP: 10.0.0.5 Src Port: 1 Dest IP: 10.0.1.6 Dest Port: 2 Proto TCP Verdict DENY';
  const cases: [string, RegExp][] = [
    [good.replace('10.0.0.5', '64.6.160'), /srcIp: expected an IP address, found 64\.6\.160/],
    [good.replace('Dest IP: 10.0.1.6 ', ''), /dstIp: expected an IP address, found nothing/],
    [good.replace('10.0.1.6', 'fd00::1'), /one family/],
    [good.replace('Src Port: 1', 'Src Port: 65536'), /srcPort: expected a port, found 65536/],
    [good.replace('Dest Port: 2', 'Dest Port: http'), /dstPort: expected a port, found http/],
  ];
  for (const [text, expected] of cases) {
    const { account, rows } = await read(message(text));
    assert.deepEqual([rows.length, account.malformed.get('invalid-field')], [0, 1], text);
    assert.match(account.diagnostics[0]!.message, expected);
  }
  const broken = await read(`${message(good)}{"msg":"Flow Info: \n`);
  assert.deepEqual([broken.rows.length, broken.account.malformed.get('invalid-json')], [1, 1]);
});
