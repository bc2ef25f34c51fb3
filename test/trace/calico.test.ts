/** Calico's flows in their four spellings: both ends as one connection, sums, names without addresses, recorded policies. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createDictionary, RecordedVerdict, RecordKind } from '../../src/model/flow.ts';
import { pendingVerdict, type PolicyTrace } from '../../src/model/recorded-policy.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { ObserverCounts } from '../../src/trace/observer-count.ts';
import { readTrace } from '../../src/trace/read.ts';
import { createWriter } from '../../src/trace/write.ts';
import { chunksOf, readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/calico/', import.meta.url);
const skip = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';
const SPELLINGS = ['calico-goldmane.jsonl', 'calico-goldmane-protojson.jsonl', 'calico-whisker.jsonl'];

async function read(text: string | Uint8Array, options: Parameters<typeof readAll>[1] = {}): Promise<Result> {
  const result = await readAll(Buffer.from(text), options);
  assert.ok(isBalanced(result.account));
  return result;
}

function fixtureText(name: string): string {
  return readFileSync(new URL(name, FIXTURES), 'utf8');
}

function policiesOf(row: Result['rows'][number]): PolicyTrace {
  return row['policies'] as PolicyTrace;
}

function names(trace: PolicyTrace['enforced']): string[] {
  return trace.map(({ kind, tier, namespace, name, action, rule, isStaged }) =>
    [kind, tier, namespace, name, action, rule, isStaged ? 'staged' : ''].map((part) => part ?? '').join(' '),
  );
}

/** A flow log line with some members changed. */
function line(changes: Readonly<Record<string, unknown>>): string {
  const first = JSON.parse(fixtureText('calico-flowlog.jsonl').split('\n')[0]!) as object;
  return `${JSON.stringify({ ...first, ...changes })}\n`;
}

test('flow log: sums count their connections once, whichever end reports them', async () => {
  const { account, rows } = await read(fixtureText('calico-flowlog.jsonl'));
  assert.deepEqual([account.format, account.read, account.used], ['calico-flowlog', 9, 9]);
  assert.equal(account.unknownValues.size + account.skipped.size + account.malformed.size, 0);
  assert.deepEqual(
    rows.map(({ kind, connections, repeats, recordedVerdict }) => [kind, connections, repeats, recordedVerdict]),
    [
      [RecordKind.Aggregate, 3, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 0, 2, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 0, 1, RecordedVerdict.Deny],
      // The next window of the same flow: one of its two connections began in it.
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Allow],
      // With a source port a record is one connection, and replay joins the two ends by the tuple.
      [RecordKind.Connection, 1, 0, RecordedVerdict.Allow],
      [RecordKind.Connection, 1, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 4, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Allow],
      [RecordKind.Aggregate, 1, 0, RecordedVerdict.Allow],
    ],
  );
});

test('bytes are those of the end that came first, from source to destination', async () => {
  const { rows } = await read(fixtureText('calico-flowlog.jsonl'));
  const sums = rows.map(({ bytes, replyBytes, packets, replyPackets }) => [bytes, replyBytes, packets, replyPackets]);
  assert.deepEqual(sums[0], [1200, 9000, 20, 30]);
  assert.deepEqual(sums[1], [-1, -1, -1, -1]);
  const [atDestination] = (await read(line({ reporter: 'dst' }))).rows;
  assert.deepEqual([atDestination!['bytes'], atDestination!['replyBytes']], [9000, 1200]);
});

test('ends: pods by name, what generates their names, hosts, networks; labels of Calico itself are none of the pod', async () => {
  const { rows } = await read(fixtureText('calico-flowlog.jsonl'));
  const labels = new Map([
    ['app', 'web'],
    ['pod-template-hash', '6d4cf56db6'],
  ]);
  const more = { namespace: 'shop', labels, areLabelsComplete: false };
  assert.deepEqual(rows[0]!['srcEndpoint'], { kind: 'workload', workload: 'web', ...more });
  assert.deepEqual(rows[2]!['srcEndpoint'], { kind: 'pod', name: 'web-6d4cf56db6-abcde', workload: 'web', ...more });
  assert.deepEqual(rows[6]!['srcEndpoint'], { kind: 'world', areLabelsComplete: false });
  assert.deepEqual(rows[7]!['srcEndpoint'], { kind: 'network', areLabelsComplete: false });
  assert.deepEqual(rows[8]!['dstEndpoint'], { kind: 'node', name: 'n1', areLabelsComplete: false });
  const [unlabelled] = (await read(line({ source_labels: null }))).rows;
  assert.deepEqual(unlabelled!['srcEndpoint'], {
    kind: 'workload',
    workload: 'web-6d4cf56db6',
    namespace: 'shop',
    areLabelsComplete: false,
  });
});

test('policies: in the order of their index, in every spelling of a name', async () => {
  const cases: [string, string][] = [
    ['0|tier1|ns1/tier1.policy1|pass|3', ' tier1 ns1 policy1 pass 3 '],
    ['0|t|t.all|deny|-1', ' t  all deny -1 '],
    ['0|default|ns/knp.default.web|allow|0', 'NetworkPolicy default ns web allow 0 '],
    ['0|default|ns/staged:knp.default.web|deny|0', 'NetworkPolicy default ns web deny 0 staged'],
    ['0|t|ns/staged:t.web|deny|0', ' t ns web deny 0 staged'],
    ['0|t|ns/t.staged:web|deny|0', ' t ns web deny 0 staged'],
    ['0|t|t.staged:web|deny|0', ' t  web deny 0 staged'],
    ['0|a|kanp.adminnetworkpolicy.x|deny|1', 'AdminNetworkPolicy a  x deny 1 '],
    ['0|__PROFILE__|__PROFILE__.kns.shop|allow|0', 'Profile __PROFILE__  kns.shop allow 0 '],
    ['0|t|sgnp:t.web|deny|2', 'sgnp t  web deny 2 staged'],
    ['0|t|np:ns/web|allow|-2', 'np t ns web allow  '],
    ['0|app|ns/app.checkout|deny', ' app ns checkout deny  '],
  ];
  for (const [text, expected] of cases) {
    const { rows, account } = await read(line({ policies: { enforced_policies: [text] } }));
    assert.deepEqual(names(policiesOf(rows[0]!).enforced), [expected], text);
    assert.equal(account.unknownValues.size, 0);
  }
  const enforced_policies = ['10|b|b.last|allow|0', '2|a|a.first|pass|0', 'nonsense', 7];
  const { rows, account } = await read(line({ policies: { enforced_policies } }));
  assert.deepEqual(
    policiesOf(rows[0]!).enforced.map(({ name }) => name),
    ['first', 'last'],
  );
  assert.deepEqual([...account.unknownValues.keys()], ['policy=nonsense', 'policy=7']);
  const old = await read(line({ policies: { all_policies: ['1|s|s.staged:x|deny|0', '0|t|t.y|allow|0'] } }));
  assert.deepEqual(names(policiesOf(old.rows[0]!).enforced), [' t  y allow 0 ']);
});

test('Goldmane: numbers, protojson and Whisker say the same of ends, verdicts, bytes and policies', async () => {
  const [numbers, named, whisker] = await Promise.all(SPELLINGS.map(async (name) => read(fixtureText(name))));
  assert.deepEqual(
    [numbers!, named!, whisker!].map(({ account }) => [account.format, account.used, account.unknownValues.size]),
    [
      ['calico-goldmane', 6, 0],
      ['calico-goldmane', 6, 0],
      ['calico-whisker', 6, 0],
    ],
  );
  assert.deepEqual(named!.rows, numbers!.rows);
  const columns = [
    'srcEndpoint',
    'dstEndpoint',
    'dstPort',
    'protocol',
    'timeUs',
    'recordedVerdict',
    'policies',
    'kind',
  ];
  const pick = ({ rows }: Result): unknown[] => rows.map((row) => columns.map((column) => row[column]));
  assert.deepEqual(pick(whisker!), pick(numbers!));
});

test('Goldmane: connections that live on are counted once; a denial at the destination is among those of the source', async () => {
  const { rows } = await read(fixtureText('calico-goldmane.jsonl'));
  assert.deepEqual(
    rows.map(({ connections, repeats, recordedVerdict }) => [connections, repeats, recordedVerdict]),
    [
      [4, 0, 1],
      [0, 3, 1],
      [0, 1, 2],
      [2, 0, 1],
      [5, 0, 1],
      [4, 0, 1],
    ],
  );
  assert.ok(rows.every(({ src, srcPort, kind }) => src === '' && srcPort === -1 && kind === RecordKind.Aggregate));
});

test('Whisker has no counts: each source, destination, port and verdict is one connection', async () => {
  const { rows, account } = await read(fixtureText('calico-whisker.jsonl'));
  assert.deepEqual(
    rows.map(({ connections, repeats }) => [connections, repeats]),
    [
      [1, 0],
      [0, 1],
      [1, 0],
      [0, 0],
      [1, 0],
      [1, 0],
    ],
  );
  assert.ok(account.limits.some((limit) => limit.includes('does not count connections')));
});

test('what staged policies would do is the last pending rule; the end of a tier is named by the policy behind it', async () => {
  for (const name of SPELLINGS) {
    const { rows } = await read(fixtureText(name));
    assert.deepEqual(rows.slice(0, 3).map((row) => pendingVerdict(policiesOf(row))), [1, 1, 2]); // prettier-ignore
    assert.deepEqual(names(policiesOf(rows[1]!).pending), [
      'StagedGlobalNetworkPolicy security  lockdown pass 0 staged',
      'NetworkPolicy default shop web-to-db allow 0 ',
    ]);
    assert.deepEqual(names(policiesOf(rows[2]!).enforced), ['NetworkPolicy default shop web-to-db deny -1 ']);
  }
});

test('the answers of both interfaces are one document with many flows, in one line or in many', async () => {
  for (const [name, key] of [
    ['calico-goldmane-protojson.jsonl', 'flows'],
    ['calico-whisker.jsonl', 'items'],
  ] as const) {
    const lines = fixtureText(name).trim().split('\n');
    const answer = { meta: { totalPages: 1 }, [key]: lines.map((text) => JSON.parse(text) as unknown) };
    const expected = (await read(lines.join('\n'))).rows.map(({ line: _, ...row }) => row);
    for (const text of [JSON.stringify(answer), JSON.stringify(answer, undefined, 2)]) {
      const { account, rows } = await read(text);
      assert.deepEqual([account.containers[0], rows.length], [key, lines.length]);
      assert.deepEqual(rows.map(({ line: _, ...row }) => row), expected); // prettier-ignore
    }
  }
});

test('recorded policies, counts and names survive a conversion to NDJSON and to the columnar trace', async () => {
  for (const name of ['calico-flowlog.jsonl', ...SPELLINGS])
    for (const to of ['ndjson', 'binary'] as const) {
      const dictionary = createDictionary();
      const writer = createWriter(to, dictionary);
      const parts: Uint8Array[] = [];
      const { account } = await read(fixtureText(name));
      for await (const batch of readTrace(chunksOf(Buffer.from(fixtureText(name)), 999), {
        file: name,
        dictionary,
        account,
      }))
        parts.push(writer.write(batch));
      const back = await read(Buffer.concat([...parts, writer.end()]));
      assert.deepEqual(back.rows, (await read(fixtureText(name))).rows, `${name} ${to}`);
    }
});

test('two logs of one replay share the count: the other node has counted the same connections', async () => {
  const dictionary = createDictionary();
  const first = await read(line({}), { dictionary });
  const second = await read(line({ reporter: 'dst' }), { dictionary });
  assert.deepEqual([first, second].map(({ rows }) => rows[0]!['connections']), [3, 0]); // prettier-ignore
});

test('the count of two observers is the greater one, in any order and with any windows', () => {
  const counts = new ObserverCounts();
  const add = (observer: string, existed: number, started = existed): number[] => {
    const { fresh, repeated, isOwner } = counts.add('k', observer, 'allow', existed, started);
    return [fresh, repeated, Number(isOwner)];
  };
  assert.deepEqual([add('dst', 4), add('src', 10), add('dst', 9, 6), add('src', 1)], [
    [4, 0, 0 + 1],
    [6, 4, 0],
    [0, 6, 1],
    [1, 0, 0],
  ]); // prettier-ignore
});

test('a record that is none is malformed with the member and what was found; a missing end too', async () => {
  const cases: [Readonly<Record<string, unknown>>, RegExp][] = [
    [{ source_ip: '10.0.0.300' }, /source_ip: expected an IP address, found "10.0.0.300"/],
    [{ dest_ip: 7 }, /dest_ip: expected an IP address, found 7/],
    [{ source_ip: '10.0.0.1', dest_ip: 'fd00::1' }, /one address family/],
    [{ source_port: 65_536 }, /source_port: expected a port/],
    [{ dest_port: 'http' }, /dest_port: expected a port/],
    [{ source_name_aggr: '-', source_namespace: '-' }, /a name or an address of both ends/],
    [{ source_name: undefined, source_name_aggr: undefined }, /expected "source_name_aggr"/],
  ];
  for (const [changes, message] of cases) {
    const { account, rows } = await read(line(changes), { format: 'calico-flowlog' });
    assert.equal(rows.length, 0, String(message));
    assert.match(account.diagnostics[0]!.message, message);
  }
  const odd = await read(line({ reporter: 'x', action: 'log', proto: 'odd', source_type: 'pod' }));
  assert.deepEqual([...odd.account.unknownValues.keys()].sort(), [
    'action=log',
    'proto=odd',
    'reporter=x',
    'source_type=pod',
  ]);
  assert.deepEqual([odd.rows[0]!['recordedVerdict'], odd.rows[0]!.protocol], [0, 255]);
});

test('the samples of the documentation: three records, read completely', { skip }, async () => {
  const cases: [string, number, string, string, number[]][] = [
    [
      'enterprise-flowlog-level0-docs.json',
      RecordKind.Connection,
      '192.168.47.9 42106',
      '192.168.138.79 80',
      [388, 1113],
    ],
    ['enterprise-flowlog-forwarded-docs-0.json', RecordKind.Aggregate, '10.0.0.1 -1', '192.168.1.10 22', [1234, 5678]],
    [
      'enterprise-flowlog-forwarded-docs-1.json',
      RecordKind.Aggregate,
      '34.0.113.100 -1',
      '66.11.155.1 30080',
      [2048, 4096],
    ],
  ];
  for (const [name, kind, src, dst, bytes] of cases) {
    const { account, rows } = await read(readFileSync(new URL(name, SAMPLES)));
    assert.deepEqual([account.format, account.read, rows.length, account.malformed.size], ['calico-flowlog', 1, 1, 0]);
    const row = rows[0]!;
    assert.deepEqual([row['kind'], `${row.src} ${row.srcPort}`, `${row.dst} ${row.dstPort}`], [kind, src, dst]);
    assert.deepEqual([row['bytes'], row['replyBytes'], row['recordedVerdict']], [...bytes, RecordedVerdict.Allow]);
  }
  const { rows } = await read(readFileSync(new URL(cases[0]![0], SAMPLES)));
  assert.equal(pendingVerdict(policiesOf(rows[0]!)), RecordedVerdict.Deny);
});
