/** What hubble observe prints for people: the same flows as its JSON, as far as the print says. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Orientation, OrientedBy, RecordedVerdict } from '../../src/model/flow.ts';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

const FIXTURES = new URL('./fixture/', import.meta.url);
const SAMPLES = new URL('../../../shared/samples/hubble/', import.meta.url);
const skip = existsSync(SAMPLES) ? false : 'the samples (../shared/samples) are not here';

async function read(text: string | Uint8Array, format?: string): Promise<Result> {
  const result = await readAll(Buffer.from(text), format === undefined ? {} : { format });
  assert.ok(isBalanced(result.account));
  return result;
}

function fixture(name: string): string {
  return readFileSync(new URL(name, FIXTURES), 'utf8');
}

function nameOf(fact: unknown): string {
  const { namespace, name, kind } = fact as Record<string, string>;
  return name === undefined ? kind! : `${namespace}/${name}`;
}

const shown = (row: Result['rows'][number]): string =>
  `${row.src || nameOf(row['srcEndpoint'])}:${row.srcPort}>${row.dst || nameOf(row['dstEndpoint'])}:${row.dstPort}/${row.protocol}`;

test('compact: the initiator stands on the left, the arrow says whose packet it was, a policy drop counts once', async () => {
  const { account, rows } = await read(fixture('hubble-compact.txt'));
  assert.deepEqual([account.format, account.read, account.lost], ['hubble-text', 13, 5]);
  assert.deepEqual(Object.fromEntries(account.skipped), { duplicate: 1, sock: 1, 'non-ip': 1, 'lost-events': 1 });
  assert.equal(account.unknownValues.size + account.malformed.size, 0);
  assert.deepEqual(
    rows.map((row) => [shown(row), row['orientation'], row['recordedVerdict']]),
    [
      ['shop/web-1:45500>shop/db-1:5432/6', Orientation.Original, RecordedVerdict.Allow],
      ['shop/db-1:5432>shop/web-1:45500/6', Orientation.Reply, RecordedVerdict.Allow],
      ['shop/web-1:45501>shop/db-1:5433/6', Orientation.Original, RecordedVerdict.Deny],
      ['shop/web-1:45502>world:443/6', Orientation.Original, RecordedVerdict.Allow],
      ['shop/web-1:45503>kube-system/coredns-1:53/17', Orientation.Original, RecordedVerdict.Allow],
      ['10.0.0.1:45504>10.0.0.11:5432/6', Orientation.Original, RecordedVerdict.Allow],
      ['fd00::1:45505>fd00::11:53/17', Orientation.Original, RecordedVerdict.Allow],
      ['10.0.0.1:-1>10.0.0.11:-1/1', Orientation.Original, RecordedVerdict.Allow],
      ['10.0.0.1:-1>10.0.0.11:-1/1', Orientation.Original, RecordedVerdict.Drop],
    ],
  );
  assert.deepEqual(rows.map(({ tcpFlags }) => tcpFlags).slice(0, 6), [2, 18, 2, 2, 0xffff, 24]);
  assert.deepEqual([rows[7]!['icmp'], rows[8]!['icmp']], [0x800, 0x300]);
});

test('the dictionary is a record of several lines, the table a line each; neither says who replies', async () => {
  const dict = await read(fixture('hubble-dict.txt'));
  const table = await read(fixture('hubble-table.txt'));
  for (const { account, rows } of [dict, table]) {
    assert.deepEqual([account.format, account.read, rows.length], ['hubble-text', 3, 3]);
    assert.deepEqual(
      rows.slice(0, 2).map((row) => [shown(row), row['orientation'], row['orientedBy'], row['recordedVerdict']]),
      [
        ['shop/web-1:45500>shop/db-1:5432/6', Orientation.Original, OrientedBy.Flags, RecordedVerdict.Allow],
        ['shop/web-1:45501>shop/db-1:5433/6', Orientation.Original, OrientedBy.Stated, RecordedVerdict.Deny],
      ],
    );
  }
  assert.deepEqual([dict.rows[1]!['line'], dict.rows[2]!['line']], [8, 16]);
  // A public address without an identity is outside; of a private one nothing is said.
  assert.equal(nameOf(dict.rows[2]!['dstEndpoint']), 'world');
  const hidden = await read(fixture('hubble-dict.txt').replace('203.0.113.7', '10.9.9.9'));
  assert.equal(hidden.rows[2]!['dstEndpoint'], undefined);
});

test('times have no year, unless they are printed so; a new year begins where they go back', async () => {
  const line = (time: string): string => `${time}: a/b:1 (ID:1) -> a/c:2 (ID:2) to-endpoint FORWARDED (UDP)\n`;
  const { rows, account } = await read(
    line('Dec 31 23:59:59.000') + line('Jan  1 00:00:00.000') + line('Jan  1 00:00:01.000'),
  );
  const [first, ...rest] = rows.map(({ timeUs }) => timeUs as number);
  assert.equal(first, Date.UTC(1970, 11, 31, 23, 59, 59) * 1000);
  assert.deepEqual(rest.map((timeUs) => timeUs - first!), [1e6, 2e6]); // prettier-ignore
  assert.ok(account.limits.some((limit) => limit.includes('no year')));
  const dated = await read(line('2026-11-21T01:55:07.571Z'));
  assert.equal(dated.rows[0]!['timeUs'], Date.UTC(2026, 10, 21, 1, 55, 7, 571) * 1000);
  assert.ok(!dated.account.limits.some((limit) => limit.includes('no year')));
});

test('a line that is no flow is malformed with what is missing, and colors change nothing', async () => {
  const good = fixture('hubble-compact.txt').split('\n')[0]!;
  const cases: [string, RegExp][] = [
    ['garbage', /expected a time and a colon/],
    [good.replace('->', 'to'), /expected two ends/],
    [good.replace('FORWARDED', 'WAVED'), /expected a verdict/],
    [good.replace('Nov 21 01', 'Nov 21 99'), /expected a time, found Nov 21 99/],
    [good.replace('5432', '99999'), /expected a host/],
  ];
  for (const [line, message] of cases) {
    const { account, rows } = await read(`${line}\n`, 'hubble-text');
    assert.equal(rows.length, 0, line);
    assert.match(account.diagnostics[0]!.message, message);
  }
  const colored = good
    .replace('FORWARDED', '\u001b[32mFORWARDED\u001b[0m')
    .replace('shop/', '\u001b[36mshop/\u001b[0m');
  assert.deepEqual((await read(`${colored}\n`)).rows, (await read(`${good}\n`)).rows);
  const open = await read('  TIMESTAMP: Nov 21 01:55:07.571\n       TYPE: x\n');
  assert.deepEqual([open.account.read, open.account.malformed.get('invalid-line')], [1, 1]);
});

test(
  'printed without names, the samples give the rows of their JSON: tuple, flags, verdict, who opened',
  { skip },
  async () => {
    let compared = 0;
    for (const name of readdirSync(SAMPLES)) {
      if (!name.startsWith('tcp-') && !name.startsWith('udp-') && !name.startsWith('icmp')) continue;
      const lines = readFileSync(new URL(name, SAMPLES), 'utf8')
        .split('\n')
        .filter((line) => line !== '');
      const printed = lines.map((line) => print((JSON.parse(line) as { flow: Flow }).flow)).join('');
      const text = await read(printed);
      const json = await read(lines.join('\n'));
      const pick = ({ src, srcPort, dst, dstPort, protocol, ...row }: Result['rows'][number]): unknown[] => [
        [src, srcPort, dst, dstPort, protocol],
        [row['tcpFlags'], row['icmp'], row['recordedVerdict'], row['orientation'], row['kind']],
      ];
      assert.equal(text.account.format, 'hubble-text', name);
      assert.deepEqual(text.rows.map(pick), json.rows.map(pick), name);
      compared += text.rows.length;
    }
    assert.equal(compared, 127);
  },
);

interface Flow {
  readonly time: string;
  readonly verdict: string;
  readonly IP: { readonly source: string; readonly destination: string };
  readonly l4: Readonly<
    Record<string, { source_port?: number; destination_port?: number; flags?: object; type?: number }>
  >;
  readonly source: { readonly identity: number };
  readonly destination: { readonly identity: number };
  readonly is_reply?: boolean;
  readonly event_type?: { readonly type: number };
  readonly traffic_direction?: string;
  readonly l7?: { readonly type: string; readonly dns?: object };
  readonly trace_observation_point?: string;
  readonly Summary: string;
}

/** A flow as `hubble observe -o compact --ip-translation=false --time-format RFC3339Nano` prints it. */
function print(flow: Flow): string {
  const { source_port: srcPort = 0, destination_port: dstPort = 0 } = Object.values(flow.l4)[0]!;
  const end = (address: string, port: number, { identity }: { identity: number }): string => {
    const known = ['', 'host', 'world', 'unmanaged', 'health', 'init', 'remote-node'][identity];
    const host = port === 0 ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    return `${host} (${known ?? `ID:${identity}`})`;
  };
  const from = end(flow.IP.source, srcPort, flow.source);
  const to = end(flow.IP.destination, dstPort, flow.destination);
  const isReply = flow.is_reply;
  const ends = isReply === undefined ? `${from} <> ${to}` : isReply ? `${to} <- ${from}` : `${from} -> ${to}`;
  const l7 = flow.l7 === undefined ? '' : `${flow.l7.dns === undefined ? 'http' : 'dns'}-${flow.l7.type.toLowerCase()}`;
  const point = (flow.trace_observation_point ?? 'TO_ENDPOINT').toLowerCase().replace('_', '-');
  const isPolicy = flow.event_type?.type === 5;
  const type = isPolicy ? `policy-verdict:L3-L4 ${flow.traffic_direction}` : l7 === '' ? point : l7;
  const verdict = isPolicy && flow.verdict === 'FORWARDED' ? 'ALLOWED' : flow.verdict;
  return `${flow.time}: ${ends} ${type} ${verdict} (${flow.Summary})\n`;
}
