/** Law: a replay with the WASM kernel is the same as one without, bit for bit; and the kernel is what its source says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { parseAddress } from '../../src/model/address.ts';
import { clearRow, createBatch, createDictionary, TcpFlag } from '../../src/model/flow.ts';
import { createReplay, type Replay, type ReplayOptions } from '../../src/replay/replay.ts';
import { createAccount } from '../../src/trace/account.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream, type Stream } from './stream.ts';
import { summaryOf } from './summary.ts';
import { PODS, SNAPSHOT, WEB_TO_DB } from './world.ts';

const [WEB, DB] = ['web', 'db'].map(addressOf) as [number, number];

test('the committed WASM kernel is what its source compiles to', () => {
  // In a process of its own: the compiler would stay in memory, to be looked at whenever this one collects garbage.
  const { status, stderr } = spawnSync(process.execPath, ['scripts/kernel.mjs', '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

for (const mostly of ['packets', 'records'] as const)
  test(`wasm = plain, mostly ${mostly} (seed ${seed})`, (context) => {
    const reached = { byKernel: 0, rows: 0, overflowed: 0 };
    const property = fc.property(
      arbitraryStream(300, 'networkpolicy', mostly),
      fc.constantFrom('connections', 'packets'),
      fc.constantFrom(0, 2, 5, 20_000),
      fc.boolean(),
      fc.integer({ min: 1, max: 300 }),
      (stream, mode, groupLimit, isCompared, cut) => {
        const { snapshot, policies, dialect } = stream.world;
        const options = {
          program: compile(snapshot, policies, dialect),
          ...(isCompared && { baseline: compile(snapshot, policies.slice(1), dialect) }),
          mode,
          groupLimit,
        } as const;
        // The second one finds the memory as the first has left it.
        const [quick, again, plain] = (['wasm', 'wasm', 'plain'] as const).map((kernel) =>
          replay(stream, { ...options, kernel }, cut),
        );
        // Part by part: the whole of two results is more than anybody reads.
        for (const part of Object.keys(plain!.summary)) {
          assert.deepEqual(quick!.summary[part], plain!.summary[part], part);
          assert.deepEqual(again!.summary[part], plain!.summary[part], `${part}, again`);
        }
        assert.equal(again!.byKernel, quick!.byKernel);
        reached.byKernel += quick!.byKernel;
        reached.rows += stream.drafts.length;
        if (quick!.isOverflowing) reached.overflowed++;
      },
    );
    fc.assert(property, { seed, numRuns: runs(60), includeErrorInReport: true });
    context.diagnostic(JSON.stringify(reached));
    assert.ok(reached.byKernel > reached.rows * 0.1, 'the law held, and the kernel hardly did anything');
    assert.ok(reached.overflowed > 0, 'no group table was ever full');
  });

test('a replay that begins in the memory of one that is closed finds nothing of it, and the results of that one stay good', () => {
  const rows = mixedConnections(20_000);
  const strangers = rows.map((row) => ({ ...row, dstPort: row.dstPort + 1 }));
  const plain = [rows, strangers].map((own) => replayRows(own, { kernel: 'plain' }));
  const first = beginReplay(rows, { kernel: 'wasm' });
  const memory = first.arena!.memory;
  const result = first.finish([]);
  first.close();
  assert.throws(() => first.finish([]), /closed/);
  assert.throws(() => first.add(createBatch(1), createAccount('late')), /closed/);
  assert.equal(first.arena, undefined);
  const second = beginReplay(strangers, { kernel: 'wasm' });
  assert.equal(second.arena!.memory, memory);
  assert.deepEqual(summaryOf(second.finish([])), plain[1]!.summary);
  assert.deepEqual(summaryOf(result), plain[0]!.summary);
  // Nobody has given the memory of the second one back, and a third has another layout.
  assert.notEqual(beginReplay(rows, { kernel: 'wasm' }).arena!.memory, memory);
  second.close();
  assert.notEqual(beginReplay(rows, { kernel: 'wasm', groupLimit: 100_000 }).arena!.memory, memory);
});

test('wasm = plain in a table that is larger than the cache', () => {
  const rows = mixedConnections(20_000);
  const [quick, plain] = (['wasm', 'plain'] as const).map((kernel) => replayRows(rows, { kernel }));
  assert.deepEqual(quick!.summary, plain!.summary);
  assert.ok(quick!.byKernel > rows.length * 0.3, `${quick!.byKernel}`);
});

test('wasm = plain where the table outgrows the memory: TypeScript goes on outside, and makes groups that the kernel has not seen', () => {
  const others = Array.from({ length: 100 }, (_, row) => ({
    src: DB,
    dst: WEB,
    srcPort: 40_000,
    dstPort: 1 + row,
    isReply: false,
  }));
  const rows = [...mixedConnections(20_000), ...others];
  const [small, plain] = (['wasm', 'plain'] as const).map((kernel) => replayRows(rows, { kernel, kernelBytes: 0 }));
  assert.deepEqual(small!.summary, plain!.summary);
  assert.ok(small!.byKernel > 500 && small!.byKernel < 20_000, `${small!.byKernel}`);
});

test('wasm = plain where every connection is a group of its own, and the kernel makes them: to the limit, its reserve and beyond', () => {
  const rows = Array.from({ length: 3000 }, (_, row) => ({
    ...(row % 3 === 2 ? { src: DB, dst: WEB } : { src: WEB, dst: DB }),
    srcPort: 40_000,
    dstPort: 1 + row,
    isReply: false,
  }));
  for (const groupLimit of [20_000, 1000, 503]) {
    const [quick, plain] = (['wasm', 'plain'] as const).map((kernel) => replayRows(rows, { kernel, groupLimit }));
    assert.deepEqual(quick!.summary, plain!.summary);
    const groups = Math.min(rows.length, 2 * groupLimit);
    assert.ok(quick!.byKernel > 0.9 * groups, `${quick!.byKernel} of ${groups}`);
  }
});

test('wasm = plain where the kernel begins in the midst: when there are rows enough, or its memory is asked for', () => {
  const rows = mixedConnections(12_000);
  const plain = replayRows(rows, { kernel: 'plain' });
  const early = replayRows(rows, { kernel: 'wasm' });
  const late = replayRows(rows, {}, [9000, 21_000]);
  const asked = replayRows(rows, {}, [100], ({ arena }) => assert.ok(arena !== undefined));
  for (const [{ summary, byKernel }, behind] of [
    [late, 9000],
    [asked, 100],
  ] as const) {
    assert.deepEqual(summary, plain.summary);
    // All but what came before, and some from which it has to learn who is who.
    assert.ok(byKernel < early.byKernel && byKernel > early.byKernel - behind - 10, `${byKernel}, ${early.byKernel}`);
  }
  assert.equal(replayRows(rows.slice(0, 16_384), {}, [5000]).byKernel, 0);
});

test('wasm = plain where more outside addresses speak than the table of addresses begins with', () => {
  const openings = Array.from({ length: 9000 }, (_, row) => {
    return { src: 0xcb007100 + row, dst: DB, srcPort: 40_000, dstPort: 5432, isReply: false };
  });
  // Each of them twice: the kernel knows them then, and has not forgotten the first of them.
  const again = openings.map((row) => ({ ...row, dstPort: 80 }));
  const [quick, plain] = (['wasm', 'plain'] as const).map((kernel) => replayRows([...openings, ...again], { kernel }));
  assert.deepEqual(quick!.summary, plain!.summary);
  assert.ok(quick!.byKernel > 0.9 * again.length, `${quick!.byKernel}`);
});

test('wasm = plain at the end of what is staged, whatever lies behind it in memory', () => {
  // A connection from an outside address to a node is remembered behind the places of the rows, at the very beginning here.
  const [src, dst] = [0xcb007107, 0xc0a80001];
  const dstPort = Array.from({ length: 65_536 }, (_, port) => port).find((port) => memoSlotOf(src, dst, port) === 0)!;
  const rows = Array.from({ length: 4096 }, (_, row) => ({ src, dst, srcPort: 10_000 + row, dstPort, isReply: false }));
  // Not of the kernel: it goes on with the two rows behind it.
  rows[4093] = { src: DB, dst: WEB, srcPort: -1, dstPort: 5432, isReply: true };
  const [quick, plain] = (['wasm', 'plain'] as const).map((kernel) => replayRows(rows, { kernel }));
  assert.deepEqual(quick!.summary, plain!.summary);
  assert.ok(quick!.byKernel > 0.9 * rows.length, `${quick!.byKernel}`);
});

/** Connections whose openings come first, then a packet of each, in both directions. */
function mixedConnections(connections: number): RowDraft[] {
  return Array.from({ length: 3 * connections }, (_, row) => {
    const port = 10_000 + ((row * 7919) % connections);
    const isReply = row >= connections && row % 2 === 1;
    const ends = isReply
      ? { src: DB, dst: WEB, srcPort: 5432, dstPort: port }
      : { src: WEB, dst: DB, srcPort: port, dstPort: 5432 };
    return { ...ends, isReply };
  });
}

/** Where the kernel remembers a TCP connection. */
function memoSlotOf(src: number, dst: number, dstPort: number): number {
  const key = (6 << 17) | (dstPort + 1);
  const hash = (Math.imul(Math.imul(src, 0x9e3779b1) ^ dst, 0x85ebca6b) + Math.imul(key, 0xc2b2ae35)) | 0;
  return (hash ^ (hash >>> 15)) & 32_767;
}

interface RowDraft {
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly isReply: boolean;
}

/** Segments of TCP, the first of each connection its SYN. */
function replayRows(
  rows: readonly RowDraft[],
  options: Pick<ReplayOptions, 'kernel' | 'groupLimit' | 'kernelBytes'>,
  cuts: readonly number[] = [],
  atCut: (replay: Replay) => void = () => {},
): { summary: Record<string, unknown>; byKernel: number } {
  const replayed = beginReplay(rows, options, cuts, atCut);
  return { summary: summaryOf(replayed.finish([])), byKernel: replayed.rowsByKernel };
}

function beginReplay(
  rows: readonly RowDraft[],
  options: Pick<ReplayOptions, 'kernel' | 'groupLimit' | 'kernelBytes'>,
  cuts: readonly number[] = [],
  atCut: (replay: Replay) => void = () => {},
): Replay {
  const replayed = createReplay({
    program: compile(SNAPSHOT, WEB_TO_DB),
    dictionary: createDictionary(),
    mode: 'connections',
    invalid: 'count',
    ...options,
  });
  const batch = createBatch(rows.length);
  batch.count = rows.length;
  const seen = new Set<string>();
  rows.forEach(({ isReply, ...ends }, row) => {
    clearRow(batch, row);
    const values = { family: 4, protocol: 6, timeUs: 1.7e15 + row, bytes: 60, packets: 1, ...ends };
    for (const [name, value] of Object.entries(values))
      (batch as unknown as Record<string, number[]>)[name]![row] = value;
    const connection = `${ends.src} ${ends.srcPort} ${ends.dstPort}`;
    const isFirst = !isReply && !seen.has(connection);
    seen.add(connection);
    batch.tcpFlags[row] = isFirst ? TcpFlag.Syn : isReply ? TcpFlag.Syn | TcpFlag.Ack : TcpFlag.Ack;
  });
  let from = 0;
  for (const to of cuts) {
    replayed.add(batch, createAccount('rows'), from, to);
    atCut(replayed);
    from = to;
  }
  replayed.add(batch, createAccount('rows'), from);
  return replayed;
}

function replay(
  stream: Stream,
  options: Omit<ReplayOptions, 'dictionary' | 'invalid'>,
  cut: number,
): { summary: Record<string, unknown>; byKernel: number; isOverflowing: boolean } {
  const { batch, dictionary } = batchStream(stream);
  const account = createAccount('stream');
  const replayed = createReplay({ ...options, dictionary, invalid: 'count' });
  replayed.add(batch, account, 0, Math.min(cut, batch.count));
  replayed.add(batch, account, Math.min(cut, batch.count), batch.count);
  const result = replayed.finish([account]);
  replayed.close();
  const isOverflowing = Object.values(result.ungrouped).some(({ connections }) => connections > 0);
  return { summary: summaryOf(result), byKernel: replayed.rowsByKernel, isOverflowing };
}

/** The IPv4 address of the first pod of an app. */
function addressOf(app: string): number {
  const words = new Uint32Array(4);
  parseAddress(PODS.find(({ labels }) => labels.get('app') === app)!.addresses[0]!, words);
  return words[0]!;
}
