/** Zeek's conn.log: who opened a connection, what is unset, and what is no conn.log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';
import { ZEEK_JSON_TEXT, ZEEK_TEXT } from './log.ts';

async function read(text: string, format?: string): Promise<Result> {
  const result = await readAll(Buffer.from(text), format === undefined ? {} : { format });
  assert.ok(isBalanced(result.account));
  return result;
}

/** A JSON record with some members changed. */
function record(changes: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({
    ts: 1700000000.5,
    'id.orig_h': '10.0.0.1',
    'id.orig_p': 4000,
    'id.resp_h': '10.0.0.2',
    'id.resp_p': 80,
    proto: 'tcp',
    conn_state: 'SF',
    ...changes,
  })}\n`;
}

test('a record is a connection with both its directions', async () => {
  const { account, rows } = await read(ZEEK_TEXT);
  assert.deepEqual([account.format, account.read, rows.length], ['zeek', 4, 4]);
  const { src, srcPort, dst, dstPort, protocol, kind, timeUs, packets, bytes, replyPackets, replyBytes } = rows[0]!;
  assert.deepEqual(
    [src, srcPort, dst, dstPort, protocol, kind, timeUs, packets, bytes, replyPackets, replyBytes],
    ['10.0.0.1', 4000, '10.0.0.2', 80, 6, 2, 1700000000000001, 6, 420, 5, 480],
  );
});

test('JSON says the same, in either spelling of keys and of times', async () => {
  const { account, rows } = await read(ZEEK_JSON_TEXT);
  assert.deepEqual([account.format, account.skipped.get('path dns')], ['zeek-json', 1]);
  const plain = (row: Result['rows'][number]): unknown => ({ ...row, line: 0 });
  assert.deepEqual(rows.map(plain), (await read(ZEEK_TEXT)).rows.slice(0, 2).map(plain));
});

test('what Zeek guessed is a guess: turned round by ports, the answering half only, met in the middle', async () => {
  const cases: [Readonly<Record<string, unknown>>, number, number][] = [
    [{}, 0, 0],
    [{ history: '^hADd' }, 0, 3],
    [{ conn_state: 'SHR' }, 0, 1],
    [{ conn_state: 'RSTRH' }, 0, 1],
    [{ conn_state: 'OTH' }, 2, 4],
    [{ conn_state: 'SHR', proto: 'udp' }, 0, 3],
    [{ conn_state: 'OTH', proto: 'icmp', 'id.orig_p': 8, 'id.resp_p': 0 }, 0, 0],
    [{ conn_state: 'NEW' }, 0, 0],
  ];
  for (const [changes, orientation, orientedBy] of cases) {
    const { account, rows } = await read(record(changes));
    assert.deepEqual([rows[0]!['orientation'], rows[0]!['orientedBy']], [orientation, orientedBy], record(changes));
    assert.deepEqual([...account.unknownValues.keys()], changes['conn_state'] === 'NEW' ? ['conn_state=NEW'] : []);
  }
});

test('ICMP types stand in the ports; the type of an answer is no code', async () => {
  const cases: [string, number, number, number, number][] = [
    ['10.0.0.', 8, 0, 1, 0x800],
    ['10.0.0.', 3, 3, 1, 0x303],
    ['10.0.0.', 13, 14, 1, 0xd00],
    ['fd00::', 128, 129, 58, 0x8000],
    ['fd00::', 1, 4, 58, 0x104],
  ];
  for (const [prefix, type, code, protocol, icmp] of cases) {
    const ends = { 'id.orig_h': `${prefix}1`, 'id.resp_h': `${prefix}2`, 'id.orig_p': type, 'id.resp_p': code };
    const { rows } = await read(record({ ...ends, proto: 'icmp' }));
    assert.deepEqual(
      [rows[0]!.protocol, rows[0]!['icmp'], rows[0]!.srcPort, rows[0]!.dstPort],
      [protocol, icmp, -1, -1],
    );
  }
});

test('what is unset is absent, and the protocol number goes before its name', async () => {
  const { rows } = await read(ZEEK_TEXT);
  assert.deepEqual([rows[1]!['replyPackets'], rows[1]!['replyBytes'], rows[2]!['packets']], [-1, -1, 0]);
  const named = await read(record({ proto: 'unknown_transport', ip_proto: 47, 'id.orig_p': 0, 'id.resp_p': 0 }));
  assert.deepEqual([named.rows[0]!.protocol, named.rows[0]!.srcPort], [47, -1]);
  const unknown = await read(record({ proto: 'odd' }));
  assert.deepEqual([unknown.rows[0]!.protocol, [...unknown.account.unknownValues.keys()]], [255, ['proto=odd']]);
});

test('the header rules: other separators and marks, a second one in a joined file, another log', async () => {
  const other = ZEEK_TEXT.replaceAll('\t', '|')
    .replace(String.raw`\x09`, String.raw`\x7c`)
    .replaceAll('|-', '|NULL');
  const { rows } = await read(other.replace('#unset_field|NULL', '#unset_field|NULL'));
  assert.deepEqual(rows, (await read(ZEEK_TEXT)).rows);
  const joined = await read(ZEEK_TEXT + ZEEK_TEXT);
  assert.deepEqual([joined.account.read, joined.rows.length], [8, 8]);
  const mixed = await read(`${ZEEK_TEXT}#path\tdns\n1\t2\n`);
  assert.equal(mixed.account.skipped.get('path dns'), 1);
  const dns = await read(ZEEK_TEXT.replace('#path\tconn', '#path\tdns'));
  assert.deepEqual([dns.account.format, dns.account.diagnostics[0]!.code], ['zeek-other', 'unsupported-format']);
  assert.match(dns.account.diagnostics[0]!.hint!, /conn\.log/);
});

test('a record that is none is malformed with the field and what was found', async () => {
  const cases: [Readonly<Record<string, unknown>>, RegExp][] = [
    [{ 'id.orig_h': 'localhost' }, /id_orig_h: expected an IP address, found localhost/],
    [{ 'id.resp_h': undefined }, /id_resp_h: expected an IP address, found nothing/],
    [{ 'id.resp_h': '::1' }, /one address family/],
    [{ 'id.resp_p': 65_536 }, /id_resp_p: expected a whole number from 0 to 65535/],
    [{ 'id.orig_p': 300, proto: 'icmp' }, /ICMP type/],
    [{ orig_pkts: -1 }, /orig_pkts: expected a whole number/],
    [{ ts: 'XXXXXXXXXX.XXXXXX' }, /ts: expected seconds/],
  ];
  for (const [changes, message] of cases) {
    const { account, rows } = await read(record(changes));
    assert.deepEqual([rows.length, account.malformed.get('invalid-field')], [0, 1], String(message));
    assert.match(account.diagnostics[0]!.message, message);
  }
  const short = await read(`${ZEEK_TEXT}1700000000.0\tC9\n`);
  assert.equal(short.account.malformed.get('field-count'), 1);
  assert.equal((await read('1\t2\n', 'zeek')).account.malformed.get('no-header'), 1);
});
