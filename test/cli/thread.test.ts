/** `--threads`, in the bundles that are shipped: threads are real there, and the result is that of one. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clearRow, createBatch, createDictionary } from '../../src/model/flow.ts';
import {
  alignEight,
  BINARY_COLUMNS,
  BINARY_VERSION,
  columnOf,
  FILE_HEADER_SIZE,
  GROUP_ROWS,
  partsOf,
  readColumnarHead,
  SHARDED_FILE_HEADER_SIZE,
} from '../../src/trace/binary-layout.ts';
import { groupHeaderSize, readShardHead, type ShardHead } from '../../src/trace/binary-shard.ts';
import { createBinaryWriter } from '../../src/trace/binary-writer.ts';

const app = join(import.meta.dirname, '../../traces/app1');
let folder = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dropcast-thread-'));
  const { buildCli } = (await import('../../scripts/cli.mjs' as string)) as {
    buildCli(outdir: string): Promise<void>;
  };
  await buildCli(folder);
  preload = join(folder, 'preload.cjs');
  writeFileSync(preload, `globalThis.DROPCAST_SHARED_BYTES = 0;${COUNT}`);
  capture = join(folder, 'capture.bin');
  sharded = join(folder, 'sharded.bin');
  for (const [path, flags] of [
    [capture, []],
    [sharded, ['--shards', '3']],
  ] as const)
    assert.equal(run(['convert', join(app, 'capture.pcap'), '--to', 'binary', ...flags, '-o', path]).status, 0);
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real capture as a columnar trace. */
let capture = '';
/** The same in shards. */
let sharded = '';

/** Loaded before the program: threads take part in traces of any length, and how many there were is written down at the end. */
let preload = '';
const COUNT = `
  const threads = require('node:worker_threads');
  if (threads.isMainThread) {
    let count = 1;
    const { Worker } = threads;
    threads.Worker = class extends Worker { constructor(...given) { super(...given); count++; } };
    process.on('exit', () => require('node:fs').writeFileSync(require('node:path').join(__dirname, 'counted'), String(count)));
  }`;

function run(args: readonly string[], input?: Uint8Array, first: string = preload): Outcome {
  const argv = ['-r', first, join(folder, 'cli.cjs'), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { input, maxBuffer: 1 << 28 });
  return { status, stdout: stdout.toString('latin1'), stderr: stderr.toString() };
}

function replayTraces(
  traces: readonly string[],
  flags: readonly string[],
  input?: Uint8Array,
  first?: string,
): Outcome {
  const manifests = ['-f', join(app, 'cluster.yaml'), '-f', join(app, 'policies'), '--baseline', join(app, 'mended')];
  return run(['replay', ...traces, ...manifests, '-o', 'json', ...flags], input, first);
}

function replay(...flags: string[]): Outcome {
  return replayTraces([capture], flags);
}

test('the real capture has the same result on one thread, two and three, byte for byte, in shards or not', () => {
  const counted = join(folder, 'counted');
  for (const trace of [capture, sharded]) {
    const one = replayTraces([trace], []);
    assert.equal(one.status, 1, one.stderr);
    assert.ok(one.stdout.length > 100_000);
    for (const [threads, count] of [
      ['2', '2'],
      ['3', '3'],
      // No more than there are shards.
      ['5', trace === sharded ? '3' : '5'],
    ] as const) {
      const more = replayTraces([trace], ['--threads', threads]);
      assert.equal(more.status, 1, more.stderr);
      assert.ok(more.stdout === one.stdout, `--threads ${threads} printed something else`);
      assert.equal(readFileSync(counted, 'utf8'), count, 'other threads than that took part');
    }
  }
  const [plain, inShards] = [capture, sharded].map((trace) =>
    replayTraces([trace], [])
      .stdout.replaceAll(trace, 'TRACE')
      .replace(`"bytes": ${statSync(trace).size},`, ''),
  );
  assert.ok(inShards === plain, 'shards say something else than the trace');
});

test('threads that read a file by themselves find what one finds: whole, cut off, within bounds of time, packet by packet', () => {
  const whole = readFileSync(capture);
  const cut = join(folder, 'cut.bin');
  // The groups once more, and the last of them not to its end.
  writeFileSync(cut, Buffer.concat([whole, whole.subarray(FILE_HEADER_SIZE, whole.length - 1000)]));
  const shards = readFileSync(sharded);
  const cutShards = [1000, 150_000, 300_000].map((missing) => {
    const path = join(folder, `cut-${missing}.bin`);
    writeFileSync(path, Buffer.concat([shards, shards.subarray(SHARDED_FILE_HEADER_SIZE, shards.length - missing)]));
    return path;
  });
  for (const [trace, flags] of [
    [capture, ['--since', 'start+1s', '--until', '1s']],
    [sharded, ['--since', 'start+1s', '--until', '1s']],
    [capture, ['--stateless']],
    [sharded, ['--stateless']],
    [cut, ['--packets']],
    ...cutShards.map((path) => [path, ['--packets']] as const),
  ] as const) {
    const one = replayTraces([trace], flags);
    assert.ok(one.stdout.length > 10_000, `${flags.join(' ')}: ${one.stderr}`);
    const two = replayTraces([trace], [...flags, '--threads', '2']);
    assert.ok(two.stdout === one.stdout, `${trace} ${flags.join(' ')}: the reports differ`);
    assert.deepEqual([two.status, two.stderr], [one.status, one.stderr]);
  }
});

test('damage that one thread alone sees, the first or another, is no result: which rows one thread would have left out is not known', () => {
  const whole = readFileSync(sharded);
  const { shards } = readColumnarHead(whole)!;
  const header = SHARDED_FILE_HEADER_SIZE;
  const view = new DataView(whole.buffer, whole.byteOffset + header);
  const [, size, rows, addresses, facts, quotes] = [0, 4, 8, 12, 16, 20].map((at) => view.getUint32(at, true));
  assert.equal(header + size!, whole.length, 'there is one group');
  const headerSize = groupHeaderSize(shards);
  const counts = { addresses: addresses!, facts: facts!, quotes: quotes!, columns: BINARY_COLUMNS.length };
  const { columns } = partsOf(BINARY_VERSION, counts, headerSize);
  const { ends, hasClock } = readShardHead(view, shards, rows!) as ShardHead;
  const batch = createBatch(1);
  const first = BINARY_COLUMNS.reduce((bytes, name, column) => {
    const width = columnOf(batch, name).BYTES_PER_ELEMENT;
    return bytes + alignEight(whole[header + headerSize + column] === 0 ? width : width * ends[0]!);
  }, header + columns);
  // The place of the first row of the first shard, and that of the last row of the last one, are behind all others.
  const last = whole.length - (hasClock ? (rows! - ends.at(-2)!) * 8 : 0) - 8;
  for (const at of [first, last]) {
    const damaged = Uint8Array.from(whole).fill(255, at, at + 2);
    const path = join(folder, 'damaged.bin');
    writeFileSync(path, damaged);
    for (const threads of ['2', '3']) {
      const found = replayTraces([path], ['--threads', threads, '--max-malformed', '5']);
      assert.match(found.stderr, /is damaged; replay it with one/, `byte ${at}, ${threads} threads`);
      assert.deepEqual([found.status, found.stdout], [2, '']);
    }
  }
});

test('where several threads gain nothing there is one: text, several traces, a pipe, a trace that is short', () => {
  const text = join(app, 'hubble.jsonl');
  const cases: readonly (readonly [traces: readonly string[], input?: Uint8Array])[] = [
    [[text]],
    [[capture, text]],
    [['-'], readFileSync(capture)],
  ];
  for (const [traces, input] of cases) {
    const one = replayTraces(traces, [], input);
    assert.ok(one.stdout.length > 10_000, one.stderr);
    assert.deepEqual(replayTraces(traces, ['--threads', '2'], input), one);
    assert.equal(readFileSync(join(folder, 'counted'), 'utf8'), '1');
  }
  const counting = join(folder, 'count.cjs');
  writeFileSync(counting, COUNT);
  assert.equal(replayTraces([capture], ['--threads', '2'], undefined, counting).status, 1);
  assert.equal(readFileSync(join(folder, 'counted'), 'utf8'), '1');
});

test('an interrupt ends all threads at the same row, wherever it comes', async () => {
  const long = join(folder, 'long.bin');
  const longInShards = join(folder, 'long-sharded.bin');
  writeFileSync(long, makeLongTrace(160));
  assert.equal(run(['convert', long, '--to', 'binary', '--shards', '2', '-o', longInShards]).status, 0);
  // Says when the command listens to signals: before, one would end the process.
  const listening = join(folder, 'listening.cjs');
  writeFileSync(listening, `process.on('newListener', (name) => name === 'SIGINT' && process.send('listens'));`);
  let interrupted = 0;
  for (const [trace, delay] of [long, longInShards].flatMap((path) =>
    [0, 10, 20, 40].map((ms) => [path, ms] as const),
  )) {
    const argv = [
      '-r',
      preload,
      '-r',
      listening,
      join(folder, 'cli.cjs'),
      'replay',
      trace,
      '-f',
      join(app, 'cluster.yaml'),
    ];
    const child = spawn(process.execPath, [...argv, '--fail-on', 'never', '--threads', '2'], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    let output = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('message', () => setTimeout(() => child.kill('SIGINT'), delay));
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    // Once it has read all, it listens no more.
    assert.ok(signal === 'SIGINT' || [0, 3].includes(code!), `${trace} after ${delay} ms: ${code}: ${output}`);
    assert.doesNotMatch(output, /was changed|Error/);
    if (code === 3) {
      assert.match(output, /interrupted/);
      interrupted++;
    }
  }
  assert.ok(interrupted > 0, 'every replay had ended before it was interrupted');
});

/** So many groups of packets between two pods, from one port after another. */
function makeLongTrace(groups: number): Uint8Array {
  const writer = createBinaryWriter(createDictionary());
  const batch = createBatch(GROUP_ROWS);
  for (let row = 0; row < GROUP_ROWS; row++) {
    clearRow(batch, row);
    batch.srcPort[row] = 1024 + row;
  }
  for (const [column, value] of [
    [batch.family, 4],
    [batch.protocol, 17],
    [batch.src, 0x0af40005],
    [batch.dst, 0x0af40006],
    [batch.dstPort, 53],
  ] as const)
    column.fill(value);
  batch.count = GROUP_ROWS;
  const parts = Array.from({ length: groups }, (_, group) => {
    batch.timeUs.fill(1.79e15 + group * 1e5);
    return writer.write(batch);
  });
  return Buffer.concat([...parts, writer.end()]);
}

test(
  'where address space is short there are fewer threads, said so, and no WebAssembly where it is shorter still, with the same result',
  { skip: process.platform === 'linux' ? false : 'only Linux limits address space' },
  () => {
    const args = ['replay', capture, '-f', join(app, 'cluster.yaml'), '--fail-on', 'never'];
    const { stdout: expected } = run(args);
    for (const [kilobytes, told] of [
      [4_000_000, '1 thread instead of 3'],
      [10_000_000, '2 threads instead of 3'],
    ] as const) {
      const argv = [process.execPath, '-r', preload, join(folder, 'cli.cjs'), ...args, '--threads', '3'];
      const script = `ulimit -v ${kilobytes} && exec "$@"`;
      const { status, stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', ...argv], { encoding: 'latin1' });
      assert.deepEqual([status, stderr], [0, `dropcast: ${told}: the address space is limited (ulimit -v)\n`]);
      assert.equal(stdout, expected);
    }
  },
);

test('with a limit of the connection table one thread does it all', () => {
  const limited = ['--conntrack-max', '50'];
  assert.equal(replay(...limited, '--threads', '2').stdout, replay(...limited).stdout);
});

test('a trace that nobody can read is refused as by one thread', () => {
  const traces = [join(capture, 'inside-a-file')];
  const two = replayTraces(traces, ['--threads', '2']);
  assert.deepEqual(two, replayTraces(traces, []));
  assert.equal(two.status, 2);
});

test('a number of threads that nobody can mean is refused', () => {
  assert.equal(replay('--threads', '0').status, 2);
  assert.equal(replay('--threads', '1000').status, 2);
});
