/** Several files of one time: a packet that two nodes captured counts once, and clocks that differ are found and corrected. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Bench, createBench } from './harness.ts';

const CLUSTER = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.2}
`;

const START_US = 1_795_255_200_000_000;

/** Packets of connections from web to db as one node sees them: SYN, SYN ACK, ACK and two equal segments. */
function capture(offsetUs: number, connections: number, lose: (packet: number) => boolean = () => false): string {
  const lines: string[] = [];
  for (let index = 0; index < connections; index++)
    for (const [packet, flags] of ['S', 'SA', 'A', 'PA', 'PA'].entries()) {
      if (lose(index * 5 + packet)) continue;
      const timeUs = START_US + index * 1_000_000 + packet * 300 + offsetUs + ((index * 37) % 90);
      const there = { src: '10.0.0.1', sport: 40_000 + index, dst: '10.0.0.2', dport: 5432 };
      const back = { src: there.dst, sport: there.dport, dst: there.src, dport: there.sport };
      lines.push(
        JSON.stringify({
          v: 1,
          k: 'packet',
          t: time(timeUs),
          ...(flags === 'SA' ? back : there),
          proto: 'tcp',
          flags,
          bytes: 60,
          packets: 1,
        }),
      );
    }
  return lines.join('\n');
}

function time(us: number): string {
  return `${new Date(Math.floor(us / 1000)).toISOString().slice(0, -1)}${String(us % 1000).padStart(3, '0')}Z`;
}

const bench: Bench = createBench({ 'cluster.yaml': CLUSTER });
after(() => bench.remove());

interface Output {
  readonly totals: { readonly allow: { readonly connections: number; readonly records: number } };
  readonly accounting: { readonly addsUp: boolean };
  readonly accounts: readonly {
    readonly used: number;
    readonly skipped: readonly { readonly reason: string; readonly count: number }[];
    readonly limits: readonly string[];
    readonly first: string;
  }[];
}

async function replay(...argv: string[]): Promise<Output> {
  const { code, stdout, stderr } = await bench.run(['replay', '-f', 'cluster.yaml', '-o', 'json', ...argv]);
  assert.equal(code, 0, stderr);
  const output = JSON.parse(stdout) as Output;
  assert.ok(output.accounting.addsUp);
  return output;
}

test('a packet that two files hold is one record: as many as the file that saw most of them', async () => {
  bench.write('a.ndjson', capture(0, 20));
  bench.write(
    'b.ndjson',
    capture(700, 20, (packet) => packet % 7 === 0),
  );
  for (const files of [
    ['a.ndjson', 'b.ndjson'],
    ['b.ndjson', 'a.ndjson'],
    ['a.ndjson', 'b.ndjson', 'a.ndjson'],
  ]) {
    const { totals, accounts } = await replay(...files);
    assert.deepEqual([totals.allow.connections, totals.allow.records], [20, 100], files.join());
    const duplicates = accounts.flatMap(({ skipped }) => skipped).reduce((sum, { count }) => sum + count, 0);
    const used = accounts.reduce((sum, one) => sum + one.used, 0);
    assert.deepEqual([used, duplicates], [100, files.length === 2 ? 85 : 185]);
  }
});

test('columnar traces that are read in turns keep their rows apart', async () => {
  bench.write('a.ndjson', capture(0, 20));
  bench.write(
    'b.ndjson',
    capture(6_000, 30, (packet) => packet % 7 === 0),
  );
  for (const name of ['a', 'b']) {
    const { code, stderr } = await bench.run(['convert', `${name}.ndjson`, '-o', `${name}.bin`, '--to', 'binary']);
    assert.equal(code, 0, stderr);
  }
  const expected = await replay('a.ndjson', 'b.ndjson');
  assert.deepEqual((await replay('a.bin', 'b.bin')).totals, expected.totals);
  assert.deepEqual((await replay('a.bin', 'b.ndjson')).totals, expected.totals);
});

test('what differs in more than its file is no duplicate: ports, flags, direction, 5 ms', async () => {
  bench.write('a.ndjson', capture(0, 20));
  bench.write('later.ndjson', capture(6_000, 20));
  const { totals, accounts } = await replay('a.ndjson', 'later.ndjson');
  assert.deepEqual([totals.allow.connections, totals.allow.records], [20, 200]);
  assert.deepEqual(
    accounts.flatMap(({ skipped }) => skipped),
    [],
  );
  bench.write('repeated.ndjson', `${capture(0, 1)}\n${capture(1500, 1)}`);
  assert.equal((await replay('repeated.ndjson')).totals.allow.records, 10);
});

test('clocks that differ are told of, and corrected on request: then the packets of both files are one', async () => {
  bench.write('a.ndjson', capture(0, 20));
  bench.write('ahead.ndjson', capture(1_250_000, 20));
  const found = await replay('a.ndjson', 'ahead.ndjson');
  assert.deepEqual(
    found.accounts[0]!.limits.filter((limit) => limit.includes('clock')),
    [],
  );
  assert.match(
    found.accounts[1]!.limits.join(),
    /clock of ahead\.ndjson is 1250 ms ahead of that of a\.ndjson .*openings of 20 connections.*--align-clocks/,
  );
  const aligned = await replay('--align-clocks', 'a.ndjson', 'ahead.ndjson');
  assert.match(aligned.accounts[1]!.limits.join(), /its times are corrected by that/);
  assert.equal(aligned.accounts[1]!.first, aligned.accounts[0]!.first);
  assert.deepEqual([aligned.totals.allow.connections, aligned.totals.allow.records], [20, 100]);
  const behind = await replay('ahead.ndjson', 'a.ndjson');
  assert.match(behind.accounts[1]!.limits.join(), /1250 ms behind that of ahead\.ndjson/);
});

test('clocks that agree, or that too few connections tell of, are left alone', async () => {
  bench.write('a.ndjson', capture(0, 20));
  bench.write('near.ndjson', capture(3_000, 20));
  bench.write('few.ndjson', capture(2_000_000, 2));
  for (const file of ['near.ndjson', 'few.ndjson'])
    for (const { limits } of (await replay('--align-clocks', 'a.ndjson', file)).accounts)
      assert.ok(!limits.some((limit) => limit.includes('clock')), file);
  const { code, stderr } = await bench.run(['replay', '-f', 'cluster.yaml', '--align-clocks', 'a.ndjson', '-']);
  assert.equal(code, 2);
  assert.match(stderr, /--align-clocks reads traces twice/);
});
