/** Windows of time: which records count, and how the bounds are spelled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBalanced } from '../../src/trace/account.ts';
import { parseBound, resolveWindow } from '../../src/trace/window.ts';
import { createBench } from '../cli/harness.ts';
import { readAll } from './build.ts';

const line = (second: number, port = second): string =>
  `{"v":1,"t":"2026-01-02T03:00:${String(second).padStart(2, '0')}Z","src":"10.0.0.1","sport":${4000 + port},"dst":"10.0.0.2","dport":80,"proto":"tcp"}`;
const TRACE = `${[5, 0, 10, 20, 59].map((second) => line(second)).join('\n')}\n{"v":1,"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp"}\n`;

test('bounds: times, durations before the end, after the start', () => {
  const extent = { firstUs: 1_000e6, lastUs: 2_000e6 };
  const from = (text: string): number => resolveWindow(parseBound(text)!, undefined, extent).fromUs;
  assert.deepEqual(
    ['15m', '1h30m', '90s', '500ms', '2d', 'end-10s', 'start+10s'].map(from),
    [1_100e6, -3_400e6, 1_910e6, 1_999.5e6, -170_800e6, 1_990e6, 1_010e6],
  );
  assert.deepEqual(parseBound('2026-01-02T03:04:05+01:00'), { from: 'time', us: Date.UTC(2026, 0, 2, 2, 4, 5) * 1000 });
  for (const text of ['', '15', 'm', '5 m', 'yesterday', '-5m', 'start-5m', '1.5h', '99999999999s', 'end+1s'])
    assert.equal(parseBound(text), undefined, text);
});

test('records outside are skipped by reason, in any order and batch size; those without a time stay', async () => {
  const at = (second: number): number => Date.UTC(2026, 0, 2, 3, 0, second) * 1000;
  for (const batchCapacity of [16, 1000])
    for (const chunkSize of [50, 65_536]) {
      const text = TRACE.repeat(30);
      const window = { fromUs: at(5), toUs: at(20) };
      const { account, rows } = await readAll(Buffer.from(text), { window, batchCapacity, chunkSize });
      assert.deepEqual([account.used, account.skipped.get('outside-window')], [120, 60]);
      assert.deepEqual(
        rows.slice(0, 4).map(({ srcPort }) => srcPort),
        [4005, 4010, 4020, -1],
      );
      assert.deepEqual(
        rows.slice(0, 4).map((row) => row['line']),
        [1, 3, 4, 6],
      );
      assert.deepEqual([account.firstUs, account.lastUs, isBalanced(account)], [at(5), at(20), true]);
    }
});

test('convert takes windows, counted from the ends of all traces; stdin takes times alone', async () => {
  const bench = createBench({ 'a.ndjson': TRACE, 'b.ndjson': `${line(40)}\n` });
  try {
    const rows = async (...flags: string[]): Promise<number> => {
      const { code, stdout, stderr } = await bench.run([
        'convert',
        'a.ndjson',
        'b.ndjson',
        '-o',
        '-',
        '--to',
        'ndjson',
        ...flags,
      ]);
      assert.equal(code, 0, stderr);
      return stdout.trim().split('\n').length;
    };
    assert.equal(await rows(), 7);
    assert.equal(await rows('--since', '20s'), 3);
    assert.equal(await rows('--since', 'start+10s', '--until', '2026-01-02T03:00:20Z'), 3);
    assert.equal(await rows('--until', '50s'), 3);
    const refused = await bench.run(['convert', '-', '-o', '-', '--to', 'csv', '--since', '5m']);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /stdin \(-\) can be read once/);
    assert.match(
      (await bench.run(['convert', 'a.ndjson', '-o', '-', '--to', 'csv', '--since', 'soon'])).stderr,
      /--since: expected RFC 3339/,
    );
    const empty = await bench.run(['convert', 'a.ndjson', '-o', '-', '--to', 'csv', '--since', '1s', '--until', '2s']);
    assert.match(empty.stderr, /--since is later than --until/);
  } finally {
    bench.remove();
  }
});
