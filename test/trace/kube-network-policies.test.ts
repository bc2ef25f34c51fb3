/** The JSON log of kube-network-policies: lines of one packet joined by its id, whatever stands between them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { OrientedBy, Orientation, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

const FIXTURE = readFileSync(new URL('./fixture/kube-network-policies.jsonl', import.meta.url));

async function read(text: string | Uint8Array, options: Parameters<typeof readAll>[1] = {}): Promise<Result> {
  const result = await readAll(Buffer.from(text), options);
  assert.ok(isBalanced(result.account));
  return result;
}

/** What evaluates a packet of `id` from port `srcPort`. */
function evaluation(id: number, srcPort = 4000, packet: object = {}): string {
  return `${JSON.stringify({
    ts: 1795255201000.25,
    msg: 'Evaluating packet',
    id,
    direction: 'Egress',
    srcPod: 'a/b',
    dstPod: 'external',
    packet: {
      ID: id,
      Family: 'IPv4',
      SrcIP: '10.0.0.1',
      DstIP: '10.0.0.2',
      Proto: 'TCP',
      SrcPort: srcPort,
      DstPort: 80,
      ...packet,
    },
  })}\n`;
}

function verdict(id: number, word: 'accepted by' | 'denied by egress' | 'denied by ingress'): string {
  return `${JSON.stringify({ ts: 1795255201001, msg: `Packet ${word} policy`, v: 2, id })}\n`;
}

test('evaluations and verdict of a packet are one row, wherever its lines stand', async () => {
  const { account, rows } = await read(FIXTURE);
  assert.deepEqual([account.format, account.read, rows.length], ['kube-network-policies', 10, 4]);
  assert.deepEqual(Object.fromEntries(account.skipped), {
    'other-message': 1,
    'verdict-alone': 1,
    duplicate: 1,
    verdict: 3,
  });
  assert.equal(account.malformed.size + account.unknownValues.size, 0);
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, protocol, ...row }) => [
      src,
      srcPort,
      dst,
      dstPort,
      protocol,
      row['recordedVerdict'],
    ]),
    [
      ['10.0.0.5', 40000, '10.0.1.6', 5432, 6, RecordedVerdict.Allow],
      ['10.0.0.5', 40001, '8.8.8.8', 53, 17, RecordedVerdict.Deny],
      ['fd00::5', -1, 'fd00::6', -1, 255, RecordedVerdict.Error],
      ['10.0.0.5', 40002, '10.0.1.6', 5432, 6, RecordedVerdict.None],
    ],
  );
  for (const { kind, orientation, orientedBy } of rows)
    assert.deepEqual([kind, orientation, orientedBy], [RecordKind.Decision, Orientation.Original, OrientedBy.Stated]);
  assert.equal(rows[0]!['timeUs'], 1795255201000250);
  assert.deepEqual(rows[0]!['dstEndpoint'], { kind: 'pod', namespace: 'shop', name: 'db-1', areLabelsComplete: false });
  assert.equal(rows[1]!['dstEndpoint'], undefined, 'external');
  assert.equal(rows[2]!['srcEndpoint'], undefined, 'none');
});

test('a log of evaluations alone has its packets, without verdicts', async () => {
  const { account, rows } = await read(evaluation(1) + evaluation(2, 4001));
  assert.equal(account.format, 'kube-network-policies');
  assert.deepEqual(
    rows.map((row) => [row.srcPort, row['recordedVerdict']]),
    [
      [4000, 0],
      [4001, 0],
    ],
  );
});

test('the text log is refused by name, with what to do instead', async () => {
  const line = 'I0712 09:53:52.257809       1 logging.go:67] "Evaluating packet" id=9 direction="Egress" packet=<\n';
  const { account, rows } = await read(`${line}\t[9] 10.0.1.3:40243 10.0.2.2:8080 TCP\n >\n`);
  assert.deepEqual([rows.length, account.format], [0, 'kube-network-policies-text']);
  assert.match(account.diagnostics[0]!.hint!, /--logging-format=json/);
});

test('an id that comes again after its verdict is another packet', async () => {
  const { rows } = await read(
    evaluation(1) + verdict(1, 'accepted by') + evaluation(1, 4001) + verdict(1, 'denied by ingress'),
  );
  assert.deepEqual(
    rows.map((row) => [row.srcPort, row['recordedVerdict']]),
    [
      [4000, RecordedVerdict.Allow],
      [4001, RecordedVerdict.Deny],
    ],
  );
});

test("two packets of one id at one time: the verdict is nobody's", async () => {
  const { account, rows } = await read(
    evaluation(1) + evaluation(1, 4001) + verdict(1, 'denied by egress') + verdict(1, 'accepted by'),
  );
  assert.deepEqual(
    rows.map((row) => row['recordedVerdict']),
    [0, 0],
  );
  assert.deepEqual(Object.fromEntries(account.skipped), { 'verdict-ambiguous': 1, 'verdict-alone': 1 });
});

test('a verdict finds its packet across batches, and one that comes too late changes nothing', async () => {
  const near = await read(
    Array.from({ length: 100 }, (_, id) => evaluation(id, 4000 + id) + verdict(id, 'denied by egress')).join(''),
    { batchCapacity: 16, chunkSize: 777 },
  );
  assert.ok(near.rows.every((row) => row['recordedVerdict'] === RecordedVerdict.Deny));
  const ids = Array.from({ length: 100 }, (_, id) => id);
  const far = await read(
    ids.map((id) => evaluation(id, 4000 + id)).join('') + ids.map((id) => verdict(id, 'denied by egress')).join(''),
    { batchCapacity: 16 },
  );
  assert.equal(far.rows.length, 100);
  const known = far.rows.filter((row) => row['recordedVerdict'] === RecordedVerdict.Deny).length;
  assert.deepEqual(
    [far.account.skipped.get('verdict'), far.account.skipped.get('verdict-alone')],
    [known, 100 - known],
  );
  assert.deepEqual(
    far.rows.map(({ srcPort }) => srcPort),
    ids.map((id) => 4000 + id),
  );
});

test('a packet that is none is malformed with the member and what was found', async () => {
  const cases: [object, RegExp][] = [
    [{ SrcIP: '10.0.0' }, /packet\.SrcIP: expected an IP address, found "10\.0\.0"/],
    [{ DstIP: null }, /packet\.DstIP: expected an IP address/],
    [{ DstIP: 'fd00::1' }, /one address family/],
    [{ SrcPort: 70000 }, /packet\.SrcPort: expected a port, found 70000/],
    [{ DstPort: 'http' }, /packet\.DstPort: expected a port, found "http"/],
  ];
  for (const [packet, message] of cases) {
    const { account, rows } = await read(evaluation(1, 4000, packet));
    assert.deepEqual([rows.length, account.malformed.get('invalid-field')], [0, 1], String(message));
    assert.match(account.diagnostics[0]!.message, message);
  }
  const bare = await read(`${evaluation(1)}{"ts":1,"msg":"Evaluating packet","id":2,"srcPod":"a/b"}\n`);
  assert.equal(bare.account.malformed.get('no-packet'), 1);
});
