/** OVN's ACL log: names that hold anything, both families, packets of connections that were there before. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { readAll, type Result } from './build.ts';

const SAMPLE = new URL('../../../shared/samples/ovn/acl_log.txt', import.meta.url);
const noSample = existsSync(SAMPLE) ? false : 'the samples (../shared/samples) are not here';

async function read(text: string | Uint8Array): Promise<Result> {
  const result = await readAll(Buffer.from(text as string));
  assert.ok(isBalanced(result.account));
  return result;
}

test('a line is a decision about an opening, or a sample of a connection; other lines are skipped', async () => {
  const { account, rows } = await read(readFileSync(new URL('fixture/ovn-acl.log', import.meta.url)));
  assert.deepEqual([account.format, account.read], ['ovn-acl', 7]);
  assert.deepEqual(Object.fromEntries(account.skipped), { 'other-line': 1, 'icmp-error': 1 });
  assert.deepEqual(
    rows.map((row) => [
      row.src, row.srcPort, row.dst, row.dstPort, row.protocol, row['icmp'], row['kind'], row['orientation'], row['recordedVerdict'],
    ]), // prettier-ignore
    [
      ['10.0.0.1', 45_500, '10.0.0.2', 8080, 6, -1, 3, 0, 1],
      ['fd00::1', 5000, 'fd00::2', 53, 17, -1, 3, 0, 2],
      ['10.0.0.3', 45_501, '10.0.0.2', 22, 6, -1, 3, 0, 2],
      ['10.0.0.2', 22, '10.0.0.3', 45_501, 6, -1, 1, 1, 0],
      ['fd00::1', -1, 'fd00::2', -1, 58, 0x8000, 3, 0, 2],
    ],
  );
  assert.equal(rows[0]!['timeUs'], 1795226107571000);
});

test('syslog in front changes nothing; what is cut or odd is malformed or counted', async () => {
  const line = (flow: string, verdict = 'drop'): string =>
    `2026-11-21T01:55:07.571Z|1|acl_log(ovn_pinctrl0)|INFO|name="NP:a", verdict=${verdict}, severity=info, direction=to-lport: ${flow}\n`;
  const good = 'udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=2';
  const prefixed = await read(`Nov 21 01:55:07 worker-1 ovn-controller: ${line(good)}`);
  assert.deepEqual([prefixed.rows.length, prefixed.rows[0]!['timeUs']], [1, 1795226107571000]);
  for (const [flow, message] of [
    ['udp,nw_src=10.0.0,nw_dst=10.0.0.2', /expected a source address, found 10.0.0/],
    ['udp,nw_src=10.0.0.1', /expected a destination address, found nothing/],
    ['udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=70000', /tp_src: expected a whole number/],
  ] as const) {
    const { account } = await read(line(good) + line(flow) + line(good));
    assert.equal(account.malformed.get('invalid-line'), 1, flow);
    assert.match(account.diagnostics[0]!.message, message);
  }
  const odd = await read(line(good, 'mirror') + line('arp,arp_spa=10.0.0.1'));
  assert.deepEqual([...odd.account.unknownValues.keys(), odd.account.skipped.get('arp')], ['verdict=mirror', 1]);
  assert.equal(odd.rows[0]!['recordedVerdict'], 0);
});

test(
  'recorded sample: three packets of connections that were there before, one denied echo',
  { skip: noSample },
  async () => {
    const { account, rows } = await read(readFileSync(SAMPLE));
    assert.deepEqual([account.read, rows.length], [4, 4]);
    assert.deepEqual(
      rows.map((row) => [row['kind'], row['recordedVerdict'], row['icmp']]),
      [[1, 1, -1], [1, 1, -1], [1, 1, -1], [3, 2, 0x800]], // prettier-ignore
    );
  },
);
