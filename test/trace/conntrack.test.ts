/** Connection tracking tables: translation out of the two tuples, and one row for a connection in whatever it shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';
import { CONNTRACK_DUMP, CONNTRACK_EVENTS, CONNTRACK_PROC, CONNTRACK_SAVED, CONNTRACK_XML_TEXT } from './log.ts';

async function read(text: string, format?: string): Promise<Result> {
  const result = await readAll(Buffer.from(text), format === undefined ? {} : { format });
  assert.ok(isBalanced(result.account));
  return result;
}

/** An entry of a TCP connection from 10.0.0.1:4000 to the backend 10.0.0.2:8080. */
function entry(asked: string, port: number, rest = ''): string {
  return `tcp 6 60 ESTABLISHED src=10.0.0.1 dst=${asked} sport=4000 dport=${port} src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=4000 ${rest}\n`;
}

test('the backend is the destination, and what the client asked for stays beside it', async () => {
  const { account, rows } = await read(CONNTRACK_EVENTS);
  assert.equal(account.format, 'conntrack');
  assert.deepEqual(
    rows.map(({ src, srcPort, dst, dstPort, preDst, preDstPort }) => [src, srcPort, dst, dstPort, preDst, preDstPort]),
    [
      ['10.0.0.1', 4000, '10.0.0.2', 8080, '10.96.0.10', 80],
      ['fd00::1', 4242, 'fd00::2', -1, '', -1],
      ['10.0.0.3', 5000, '10.0.0.4', 53, '', -1],
    ],
  );
  assert.ok(rows.every(({ kind, orientation, orientedBy }) => kind === 2 && orientation === 0 && orientedBy === 0));
});

test('a source that was hidden behind a node is the one before: SNAT is in the reply tuple alone', async () => {
  const { rows } = await read(CONNTRACK_DUMP);
  assert.deepEqual([rows[0]!.src, rows[0]!.srcPort, rows[0]!.dst, rows[0]!.preDst], ['10.0.0.1', 4000, '10.0.0.2', '10.96.0.10']); // prettier-ignore
});

test('a port alone can be translated', async () => {
  const { rows } = await read(entry('10.0.0.2', 80));
  assert.deepEqual([rows[0]!.dst, rows[0]!.dstPort, rows[0]!.preDst, rows[0]!.preDstPort], ['10.0.0.2', 8080, '10.0.0.2', 80]); // prettier-ignore
});

test('the events of a connection are one row; one that only ends in the trace is a row too', async () => {
  const { account, rows } = await read(CONNTRACK_EVENTS);
  assert.deepEqual([account.read, rows.length], [5, 3]);
  assert.deepEqual(Object.fromEntries(account.skipped), { update: 1, destroy: 1 });
  assert.deepEqual([rows[2]!['packets'], rows[2]!['bytes'], rows[2]!['replyBytes']], [1, 60, 90]);
});

test('after its DESTROY, or with a second NEW in one zone, a tuple is another connection', async () => {
  const one = (event: string, rest = ''): string => `${event} ${entry('10.96.0.10', 80, rest)}`;
  const again = await read(one('[NEW]') + one('[DESTROY]') + one('[NEW]') + one('[UPDATE]'));
  assert.deepEqual([again.rows.length, again.account.skipped.get('update')], [2, 1]);
  const only = await read(one('[NEW]') + one('[NEW]'));
  assert.equal(only.rows.length, 2);
});

test('a connection in several zones is one, until it has gone from all', async () => {
  const dump = await read(entry('10.96.0.10', 80, 'zone=1 use=1') + entry('10.0.0.2', 8080, 'zone=2 use=1'));
  assert.deepEqual([dump.rows.length, dump.account.skipped.get('duplicate')], [1, 1]);
  const line = (event: string, zone: number): string => `${event} ${entry('10.0.0.2', 8080, `zone=${zone}`)}`;
  const events = await read(
    [line('[NEW]', 1), line('[NEW]', 2), line('[DESTROY]', 1), line('[UPDATE]', 2), line('[DESTROY]', 2)].join('') +
      line('[NEW]', 1),
  );
  assert.equal(events.rows.length, 2);
  assert.deepEqual(Object.fromEntries(events.account.skipped), { duplicate: 1, destroy: 2, update: 1 });
});

test('times: the event, else the start as UTC with a word on it, else none', async () => {
  const events = await read(CONNTRACK_EVENTS);
  assert.deepEqual([events.rows[0]!['timeUs'], events.account.firstUs], [1795226107572549, 1795226107572549]);
  assert.ok(!events.account.limits.some((limit) => limit.includes('local times')));
  const dump = await read(CONNTRACK_DUMP);
  assert.deepEqual(
    dump.rows.map(({ timeUs }) => timeUs),
    [Date.UTC(2026, 10, 21, 1, 55, 7) * 1000, Date.UTC(2026, 10, 1, 1, 55, 7) * 1000],
  );
  assert.equal(dump.account.limits.filter((limit) => limit.includes('local times')).length, 1);
  assert.ok(Number.isNaN((await read(CONNTRACK_PROC)).rows[0]!['timeUs']));
  const old = await read(`[1795226107.52    ]\t[NEW] ${entry('10.0.0.2', 8080)}`);
  assert.equal(old.rows[0]!['timeUs'], 1795226107000052);
  const odd = await read(entry('10.0.0.2', 8080, '[start=yesterday]'));
  assert.deepEqual([...odd.account.unknownValues.keys()], ['start=yesterday']);
});

test('an identifier belongs to an echo only behind its code; the entry has one of its own', async () => {
  const icmp = 'src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=7 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=7';
  for (const line of [
    `icmp 1 30 ${icmp}`,
    `icmp 1 30 ${icmp} mark=0 use=1 id=493090829`,
    `icmp 1 30 ${icmp} id=4930`,
  ]) {
    const { rows } = await read(`${line}\n`);
    assert.deepEqual([rows[0]!.srcPort, rows[0]!.dstPort, rows[0]!['icmp']], [7, -1, 0x800], line);
  }
});

test('counters that are absent are not zero; no answer is, once it could have come', async () => {
  const columns = async (line: string): Promise<unknown[]> => {
    const { rows } = await read(line);
    return [rows[0]!['packets'], rows[0]!['bytes'], rows[0]!['replyPackets'], rows[0]!['replyBytes']];
  };
  assert.deepEqual(await columns(entry('10.0.0.2', 8080)), [-1, -1, -1, -1]);
  assert.deepEqual(await columns(entry('10.0.0.2', 8080, '[UNREPLIED]')), [-1, -1, 0, 0]);
  assert.deepEqual(await columns(`[NEW] ${entry('10.0.0.2', 8080, '[UNREPLIED]')}`), [-1, -1, -1, -1]);
});

test('/proc: full IPv6 addresses, and a protocol without ports', async () => {
  const { account, rows } = await read(CONNTRACK_PROC);
  assert.equal(account.format, 'conntrack');
  assert.deepEqual(
    rows.map(({ src, dst, srcPort, dstPort, protocol }) => [src, dst, srcPort, dstPort, protocol]),
    [
      ['fd00::1', 'fd00::2', 4000, 80, 6],
      ['10.0.0.1', '10.0.0.2', -1, -1, 47],
    ],
  );
});

test("the tool's own words are no records; lost events are counted as lost", async () => {
  const { account, rows } = await read(
    `${entry('10.0.0.2', 8080)}${entry('10.0.0.9', 80)}WARNING: We have hit ENOBUFS! We are losing events.\n` +
      'conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.\n',
    'conntrack',
  );
  assert.deepEqual([rows.length, account.lost, account.read], [1, 1, 4]);
  assert.deepEqual(Object.fromEntries(account.skipped), { duplicate: 1, 'lost-events': 1, 'tool-message': 1 });
});

test('a line that is no entry is malformed with what was expected', async () => {
  const cases: [string, RegExp][] = [
    ['tcp 6 60 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2', /reply direction/],
    [entry('10.0.0', 80), /dst: unexpected value 10\.0\.0/],
    [entry('010.0.0.1', 80), /dst: unexpected value/],
    [entry('fd00::1', 80), /one family/],
    [entry('10.0.0.2', 65_536), /65535/],
    [entry('10.0.0.2', -1), /dport: unexpected value -1/],
    [`tcp six ${entry('10.0.0.2', 1).slice(6)}`, /expected a protocol/],
    [`[ODD] ${entry('10.0.0.2', 80)}`, /expected a time or an event/],
    [entry('10.0.0.2', 80, '[start=never'), /never closed/],
    [entry('10.0.0.2', 80, 'src=10.0.0.1'), /found more/],
    ['x=1', /expected a protocol/],
  ];
  for (const [line, message] of cases) {
    const { account, rows } = await read(line, 'conntrack');
    assert.deepEqual([rows.length, account.malformed.get('invalid-entry')], [0, 1], line);
    assert.match(account.diagnostics[0]!.message, message);
  }
});

test('-o save and -o xml say the same as a listing', async () => {
  const columns = ({ src, srcPort, dst, dstPort, preDst, preDstPort, protocol }: Result['rows'][number]): unknown[] => [
    src,
    srcPort,
    dst,
    dstPort,
    preDst,
    preDstPort,
    protocol,
  ];
  const [first] = (await read(CONNTRACK_EVENTS)).rows;
  const saved = await read(CONNTRACK_SAVED);
  assert.deepEqual([saved.account.format, saved.rows.length], ['conntrack-save', 2]);
  assert.deepEqual(columns(saved.rows[0]!), columns(first!));
  assert.deepEqual([saved.rows[1]!['icmp'], saved.rows[1]!.srcPort, saved.rows[1]!['replyPackets']], [0x800, 7, 0]);
  const odd = await read(CONNTRACK_SAVED.replace('-p tcp', '-p __proto__').replace('-p icmp', '-p gre'));
  assert.deepEqual(
    [odd.rows[0]!.protocol, odd.rows[1]!.protocol, [...odd.account.unknownValues.keys()]],
    [255, 47, ['protocol=__proto__']],
  );
  const xml = await read(CONNTRACK_XML_TEXT);
  assert.deepEqual([xml.account.format, xml.account.read, xml.rows.length], ['conntrack-xml', 2, 1]);
  assert.deepEqual(columns(xml.rows[0]!), columns(first!));
  assert.equal(xml.rows[0]!['timeUs'], Date.UTC(2026, 10, 21, 1, 55, 7) * 1000);
  assert.ok(xml.account.limits.some((limit) => limit.includes('local times')));
});
