/** Suricata's EVE: flow and netflow events; the flow's own time, and who opened it only where that was seen. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text as string));
  assert.ok(isBalanced(result.account));
  return result;
}

const TEXT = readFileSync(new URL('fixture/suricata.json', import.meta.url), 'utf8');

test('a flow is a connection at its beginning, a netflow one direction; other events are other sightings', async () => {
  const { account, rows } = await read(TEXT);
  assert.deepEqual([account.format, account.read], ['suricata', 6]);
  assert.deepEqual(Object.fromEntries(account.skipped), { 'event_type alert': 1, 'icmp-error': 1 });
  assert.deepEqual(
    rows.map((row) => [
      row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['icmp'], row['kind'], row['orientation'], row['packets'],
      row['replyPackets'], row['timeUs'], row['recordedVerdict'],
    ]), // prettier-ignore
    [
      ['10.0.0.1', 45_500, '10.0.0.2', 80, 6, -1, 2, 0, 5, 4, 1795226107571090, 0],
      ['10.0.0.3', 45_501, '10.0.0.2', 80, 6, -1, 2, 2, 2, 1, 1795226109000000, 0],
      ['fd00::1', -1, 'fd00::2', -1, 58, 0x8000, 2, 0, 1, 1, 1795226110000000, 3],
      ['10.0.0.4', 5000, '10.0.0.2', 53, 17, -1, 1, 2, 1, 0, 1795226111000000, 0],
    ],
  );
});

test('what is no flow is malformed with its field; protocols that nobody knows are counted', async () => {
  const first = TEXT.split('\n')[0]!;
  for (const [from, to, message] of [
    ['"src_ip":"10.0.0.1"', '"src_ip":"host"', /src_ip: expected an IP address, found "host"/],
    ['"dest_port":80', '"dest_port":"http"', /dest_port: expected a whole number/],
    ['"dest_port":80', '"dest_port":80000', /dest_port: expected a whole number/],
    ['"pkts_toserver":5', '"pkts_toserver":-5', /pkts_toserver: expected a whole number/],
    ['"start":"2026-11-21T01:55:07.571090+0000"', '"start":"now"', /start: expected a time, found "now"/],
  ] as const) {
    const { account, rows } = await read(`${first.replace(from, to)}\n`);
    assert.deepEqual([rows.length, account.malformed.get('invalid-field')], [0, 1], to);
    assert.match(account.diagnostics[0]!.message, message);
  }
  const odd = await read(`${first.replace('"TCP"', '"ODD"')}\n`);
  assert.deepEqual([odd.rows[0]!.protocol, [...odd.account.unknownValues.keys()]], [255, ['proto=ODD']]);
});
