/**
 * Damaged traces of every format, through the command line: the result is printed all the same, every record has its fate, and the exit code
 * is 3 exactly where more records are malformed than --max-malformed allows, or where a container breaks off.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FORMATS } from '../../src/trace/read.ts';
import { MAPPED, readTraceSeeds } from '../law/byte/reader.ts';
import { type Bench, createBench } from './harness.ts';

const bench: Bench = createBench({
  'cluster.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n',
});
after(() => bench.remove());

interface Output {
  readonly isComplete: boolean;
  readonly accounting: { readonly addsUp: boolean };
  readonly accounts: readonly {
    readonly read: number;
    readonly used: number;
    readonly lost: number;
    readonly skipped: readonly { readonly count: number }[];
    readonly malformed: readonly { readonly count: number }[];
    readonly diagnostics: readonly { readonly severity: string; readonly message: string }[];
  }[];
}

interface Reading {
  readonly code: number;
  readonly used: number;
  readonly skipped: number;
  readonly malformed: number;
  readonly lost: number;
  /** The input itself was refused, or broke off: not a record's fault. */
  readonly isBroken: boolean;
  readonly total: string;
}

const sum = (entries: readonly { readonly count: number }[]): number =>
  entries.reduce((all, { count }) => all + count, 0);

async function replay(format: string, bytes: Uint8Array, label: string, mostMalformed = 0): Promise<Reading> {
  writeFileSync(join(bench.folder, 'trace'), bytes);
  const map = format === 'json' ? ['--map', 'map.yaml'] : ['--format', format];
  const { code, stdout, stderr } = await bench.run([
    'replay',
    '-f',
    'cluster.yaml',
    '-o',
    'json',
    '--fail-on',
    'never',
    // Reading is what is tried here.
    '--stateless',
    '--max-malformed',
    String(mostMalformed),
    ...map,
    'trace',
  ]);
  assert.ok(!stderr.includes('defect'), `${label}: ${stderr}`);
  assert.notEqual(stdout, '', `${label}: no result was printed; ${stderr}`);
  const { accounts, accounting, isComplete } = JSON.parse(stdout) as Output;
  const [account] = accounts;
  const { read, used, lost, diagnostics } = account!;
  const skipped = sum(account!.skipped);
  const malformed = sum(account!.malformed);
  assert.equal(read, used + skipped + malformed, label);
  assert.ok(accounting.addsUp, label);
  assert.ok(malformed === 0 || diagnostics.length > 0, `${label}: malformed, and nobody says where`);
  const isBroken = diagnostics.some(({ severity }) => severity === 'error');
  const isMuch = malformed > mostMalformed;
  if (isBroken) assert.ok(code === 2 || code === 3, `${label}: ${code}`);
  else assert.equal(code, lost > 0 || isMuch ? 3 : 0, `${label}: ${stderr}`);
  assert.equal(isComplete, code === 0, label);
  if (code !== 0) assert.match(stderr, /\S/, label);
  const total = JSON.stringify({ ...account, diagnostics: undefined });
  return { code, used, skipped, malformed, lost, isBroken, total };
}

/** Ways to damage a file: cut within a record, a record in the middle spoilt or cut short, and bytes overwritten. */
function damages(bytes: Uint8Array): Record<string, Uint8Array> {
  const middle = Math.floor(bytes.length / 2);
  const overwritten = Uint8Array.from(bytes);
  overwritten.fill(0xff, middle, middle + 12);
  const damaged: Record<string, Uint8Array> = {
    cut: bytes.subarray(0, bytes.length - Math.max(3, Math.floor(bytes.length / 9))),
    overwritten,
  };
  const text = Buffer.from(bytes).toString('latin1');
  const lines = text.split('\n').filter((line) => line !== '');
  const longest = lines.reduce(
    (best, line, index) => (index > 0 && line.length >= lines[best]!.length ? index : best),
    0,
  );
  const replace = (by: string): Uint8Array =>
    Buffer.from([...lines.slice(0, longest), by, ...lines.slice(longest + 1)].join('\n') + '\n', 'latin1');
  if (lines.length > 1) {
    damaged['line cut short'] = replace(lines[longest]!.slice(0, lines[longest]!.length / 2));
    damaged['line spoilt'] = replace(lines[longest]!.replace(/\d/g, '%'));
  }
  return damaged;
}

test('damaged traces of every format: the result is printed, every record has a fate, the exit code says if it is whole', async (context) => {
  const { columns } = MAPPED.mapping;
  bench.write('map.yaml', JSON.stringify({ fields: columns }));
  const seeds = await readTraceSeeds();
  const silent: string[] = [];
  let malformed = 0;
  for (const { name } of FORMATS.filter(({ open, openFile }) => open !== undefined || openFile !== undefined)) {
    // A small one that the format has to itself, so that the damage hits something.
    const [bytes] = [...(seeds.get(name) ?? [])]
      .sort((a, b) => a.length - b.length)
      .filter(({ length }) => length > 100);
    assert.ok(bytes !== undefined, `no trace of ${name} to damage`);
    const whole = await replay(name, bytes, `${name}, whole`, 1e6);
    let hasTold = false;
    for (const [damage, damaged] of Object.entries(damages(bytes))) {
      const label = `${name}, ${damage}`;
      const reading = await replay(name, damaged, label);
      const isTold =
        reading.isBroken || reading.malformed > whole.malformed || reading.skipped > whole.skipped || reading.lost > 0;
      hasTold ||= isTold;
      // What is not cut off is still there: a record that is used no more must be somewhere else.
      if (damage.startsWith('line') && reading.used < whole.used)
        assert.ok(isTold, `${label}: a record is lost silently`);
      if (reading.malformed === 0 || reading.isBroken) continue;
      malformed++;
      const allowed = await replay(name, damaged, `${label}, allowed`, reading.malformed);
      assert.equal(allowed.total, reading.total, label);
      assert.equal(allowed.code, allowed.lost > 0 ? 3 : 0, label);
      if (reading.malformed === 1) continue;
      const less = await replay(name, damaged, `${label}, one less allowed`, reading.malformed - 1);
      assert.equal(less.code, 3, label);
    }
    if (!hasTold) silent.push(name);
  }
  context.diagnostic(`${malformed} damaged traces had malformed records`);
  assert.deepEqual(silent, [], 'no damage of these was told of');
  assert.ok(malformed > FORMATS.length / 2);
});
