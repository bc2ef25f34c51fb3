/** Recognition behind wrappers: whatever ships a trace, the records are those of the trace alone. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import { createAccount, isBalanced, total } from '../../src/trace/account.ts';
import { countBytes, openContainers } from '../../src/trace/container.ts';
import { FORMATS } from '../../src/trace/read.ts';
import { chunksOf, readAll, type Result } from './build.ts';
import {
  AWS_VPC_TEXT,
  CONNTRACK_DUMP,
  CONNTRACK_EVENTS,
  CONNTRACK_PROC,
  CONNTRACK_SAVED,
  ZEEK_JSON_TEXT,
  ZEEK_TEXT,
} from './log.ts';
import { SHIPPINGS, TAR_END, tar, type Shipping } from './wrap.ts';

const SAMPLES = new URL('../../../shared/samples/', import.meta.url);
const SEED = Number(process.env['DROPCAST_SEED'] ?? 20_261_121);
const TIME = '2026-01-02T03:04:05.123456789Z';
const RECORD = '{"v":1,"src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":80,"proto":"tcp"}';

const OWN: Readonly<Record<string, string>> = {
  conntrack: CONNTRACK_DUMP,
  events: CONNTRACK_EVENTS,
  proc: CONNTRACK_PROC,
  saved: CONNTRACK_SAVED,
  'aws-vpc': AWS_VPC_TEXT,
  zeek: ZEEK_TEXT,
  'zeek-json': ZEEK_JSON_TEXT,
  ndjson: `${RECORD}\n${RECORD.replace('4000', '4001')}\n`,
  csv: 'src,dst,dstPort,protocol\n10.0.0.1,10.0.0.2,80,tcp\n10.0.0.3,10.0.0.2,53,udp\n',
};

test('own fixtures: every way to ship a trace gives its records', async () => {
  let count = 0;
  for (const [name, text] of Object.entries(OWN)) count += await checkShippings(name, Buffer.from(text));
  assert.ok(count >= 180, String(count));
});

test(
  'samples: every way to ship a trace gives its records',
  { skip: existsSync(SAMPLES) ? false : 'the samples are not here' },
  async () => {
    let count = 0;
    for (const folder of readdirSync(SAMPLES, { withFileTypes: true })) {
      if (!folder.isDirectory()) continue;
      for (const name of readdirSync(new URL(`${folder.name}/`, SAMPLES)))
        count += await checkShippings(
          `${folder.name}/${name}`,
          readFileSync(new URL(`${folder.name}/${name}`, SAMPLES)),
        );
    }
    assert.ok(count > 900, String(count));
  },
);

/** Ships one trace in every way that can carry it; returns how many. */
async function checkShippings(name: string, bytes: Uint8Array): Promise<number> {
  const plain = await readAll(bytes);
  const carried = carriageOf(bytes);
  let count = 0;
  for (const shipping of SHIPPINGS) {
    if (shipping.carries !== 'bytes' && carried === 'bytes') continue;
    if (shipping.carries === 'json' && carried !== 'json') continue;
    // Lines of their own meaning: what is not whole in one line, or changes under a prefix.
    if (shipping.carries !== 'bytes' && plain.account.containers.length > 0) continue;
    if (isExcused(name, shipping)) continue;
    // A reader that wants the prefix for its time leaves it on; its own test says what it makes of it.
    const isPrefixed = FORMATS.find(({ name: one }) => one === plain.account.format)?.isPrefixed === true;
    if (isPrefixed && shipping.containers.some((one) => one === 'timestamps' || one === 'syslog')) continue;
    count++;
    const text = Buffer.from(bytes).toString(shipping.carries === 'bytes' ? 'latin1' : 'utf8');
    const shipped = await readAll(shipping.wrap(text));
    const label = `${name} by ${shipping.name}`;
    // A reader of documents takes JSON in any layout.
    const takesLayout = FORMATS.find(({ name: one }) => one === plain.account.format)?.isDocument === true;
    const containers = shipping.containers.filter(
      (one) => !takesLayout || !['json-array', 'pretty-json'].includes(one),
    );
    assert.deepEqual(shipped.account.containers.slice(0, containers.length), containers, label);
    assert.equal(shipped.account.format, plain.account.format, label);
    assert.ok(isBalanced(shipped.account), label);
    assert.deepEqual(factsOf(shipped), factsOf(plain), label);
  }
  return count;
}

/** Rows without their lines, and what was not used: lines of the shipper and of other programs count apart. */
function factsOf({ rows, account }: Result): unknown {
  const own = new Set(['empty-message', 'bulk-action', 'other-line']);
  const { malformed, skipped } = account;
  return {
    rows: rows.map((row) => ({ ...row, line: 0 })),
    // A line that no reader understands counts as another program's where it is one of many.
    unread:
      total(malformed) +
      [...skipped].reduce(
        (sum, [reason, number]) => sum + (own.has(reason) && reason !== 'other-line' ? 0 : number),
        0,
      ),
  };
}

function carriageOf(bytes: Uint8Array): Shipping['carries'] {
  if (bytes.includes(0)) return 'bytes';
  const lines = Buffer.from(bytes)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  try {
    for (const line of lines) if (!(JSON.parse(line) instanceof Object)) return 'text';
    return 'json';
  } catch {
    return 'text';
  }
}

/** What cannot be: a reason each. */
function isExcused(name: string, { name: shipping }: Shipping): boolean {
  // A blank line inside a quoted cell, XML over several lines: nobody ships these through a log.
  if (name.endsWith('.xml')) return shipping !== 'gzip' && shipping !== 'tar.gz';
  return false;
}

test('lines in diagnostics and rows are those of the file, through every layer', async () => {
  const good = RECORD;
  const bad = '{"v":1,"src":"10.0.0.1"}';
  const cri = [good, bad, good, bad].map((line) => `${TIME} stdout F ${line}`);
  cri.splice(1, 0, `${TIME} stdout P ${good.slice(0, 5)}`, `${TIME} stdout F ${good.slice(5)}`);
  const wrapped = await readAll(Buffer.from(`${cri.join('\n')}\n`));
  assert.deepEqual(
    wrapped.account.diagnostics.map(({ line }) => line),
    [4, 6],
  );
  assert.deepEqual(
    wrapped.rows.map(({ line }) => line),
    [1, 2, 5],
  );
  assert.match(wrapped.account.diagnostics[0]!.message, /^line 4: /);

  const docker = `${cri.map((line) => JSON.stringify({ log: `${line}\n`, stream: 'stdout', time: TIME })).join('\n')}\n`;
  const twice = await readAll(gzipSync(docker));
  assert.deepEqual(twice.account.containers, ['gzip', 'docker-json', 'cri']);
  assert.deepEqual(
    twice.rows.map(({ line }) => line),
    [1, 2, 5],
  );

  const pretty = JSON.stringify([JSON.parse(good), JSON.parse(bad), JSON.parse(good)], null, 1);
  const array = await readAll(Buffer.from(pretty));
  assert.deepEqual(
    array.rows.map(({ line }) => line),
    [2, 14],
  );
  assert.deepEqual(
    array.account.diagnostics.map(({ line }) => line),
    [10],
  );
});

test('a log with other lines of its program between the records: they are skipped, damaged records are not', async () => {
  const lines = [
    'time="2026-01-02" level=info msg="starting up"',
    ...Array.from({ length: 10 }, (_, index) => `{"level":"info","msg":"step ${index}"}`),
    RECORD,
    'panic: none',
    RECORD.replace('4000', '4001'),
    '{"v":1,"src":"10.0.0.1","dst":"x"}',
    RECORD.slice(0, 40),
  ];
  const wraps: [string, string, string[]][] = [
    ['cri', lines.map((line) => `${TIME} stdout F ${line}\n`).join(''), ['cri']],
    [
      'docker',
      lines.map((line) => `${JSON.stringify({ log: `${line}\n`, stream: 'stderr', time: TIME })}\n`).join(''),
      ['docker-json'],
    ],
    ['prefix', lines.map((line) => `[pod/a/b] ${TIME} ${line}\n`).join(''), ['kubectl-prefix', 'timestamps']],
    [
      'loki',
      JSON.stringify({
        status: 'success',
        data: { resultType: 'streams', result: [{ stream: {}, values: lines.map((line) => ['1', line]) }] },
      }),
      ['loki'],
    ],
  ];
  for (const [name, text, containers] of wraps) {
    const { account, rows } = await readAll(Buffer.from(text));
    assert.deepEqual([account.format, account.containers], ['ndjson', containers], name);
    assert.deepEqual([rows.length, account.skipped.get('other-line'), total(account.malformed)], [2, 12, 2], name);
    assert.ok(isBalanced(account), name);
  }
  const raw = [lines[0], ...lines.slice(8)].join('\n');
  const { account, rows } = await readAll(Buffer.from(raw));
  assert.deepEqual([rows.length, account.skipped.get('other-line')], [2, 5], 'and without any wrapper');
  const kernel = CONNTRACK_DUMP.split('\n').flatMap((line) => [
    line,
    'conntrack v1.4.7: flow entries have been shown.',
  ]);
  const plain = await readAll(Buffer.from(CONNTRACK_DUMP));
  const mixed = await readAll(Buffer.from(kernel.map((line) => `${TIME} stdout F ${line}`).join('\n')));
  assert.equal(mixed.rows.length, plain.rows.length);
  assert.ok(isBalanced(mixed.account));
});

test('a line without its prefix, a broken envelope and a cut one are counted, and cost no more than themselves', async () => {
  const cri = `${TIME} stdout F ${RECORD}\n`;
  const odd = await readAll(Buffer.from(`${cri}no prefix\n${cri}`));
  assert.deepEqual(
    [odd.rows.length, odd.account.malformed.get('not-wrapped'), odd.account.diagnostics[0]!.line],
    [2, 1, 2],
  );
  const docker = `${JSON.stringify({ log: `${RECORD}\n`, stream: 'stdout', time: TIME })}\n`;
  const broken = await readAll(Buffer.from(`${docker}${docker.slice(0, 30)}\n${docker}`));
  assert.deepEqual([broken.rows.length, broken.account.malformed.get('invalid-json')], [2, 1]);
  const document = Buffer.from(JSON.stringify({ logEvents: [{ message: RECORD }, { message: RECORD }] }));
  const cut = await readAll(document.subarray(0, document.length - 20));
  assert.deepEqual([cut.rows.length, cut.account.malformed.get('truncated')], [1, 1]);
  const element = await readAll(Buffer.from(`[${RECORD},{"v":1,"a":"x\n},\n${RECORD}]`));
  assert.deepEqual([element.rows.length, element.account.malformed.get('invalid-json')], [2, 1]);
  for (const { account } of [odd, broken, cut, element]) assert.ok(isBalanced(account));
});

test('members of an archive are recognised one by one; what is no trace is named', async () => {
  const bytes = Buffer.concat([
    tar('dir/', new Uint8Array(0), '5'),
    tar('meta.txt', Buffer.from('captured on node-1\n')),
    tar('flows.ndjson', Buffer.from(`${RECORD}\n{"v":1}\n`)),
    tar('x.gz', gzipSync(CONNTRACK_DUMP)),
    tar('././@LongLink', Buffer.from(`${'long/'.repeat(30)}name.csv\0`), 'L'),
    tar('cut', Buffer.from(OWN['csv']!)),
    tar('pax', Buffer.from('21 path=other/name.a\n'), 'x'),
    tar('cut', Buffer.from('nothing known\n')),
    TAR_END,
  ]);
  for (const chunkSize of [100, 65_536]) {
    const { account, rows } = await readAll(gzipSync(bytes), { chunkSize });
    const dump = await readAll(Buffer.from(CONNTRACK_DUMP));
    assert.equal(rows.length, 1 + dump.rows.length + 2);
    assert.equal(account.format, 'ndjson + conntrack + csv');
    assert.deepEqual(account.containers, ['gzip', 'tar']);
    assert.ok(isBalanced(account));
    const messages = account.diagnostics.map(({ severity, message }) => `${severity} ${message}`);
    assert.match(messages[0]!, /^warning meta\.txt: no known trace format/);
    assert.match(messages[1]!, /^warning flows\.ndjson: line 2/);
    assert.match(messages[2]!, /^warning other\/name\.a: /);
    assert.equal(messages.length, 3);
  }
  const cut = await readAll(bytes.subarray(0, bytes.length - 1700));
  assert.ok(
    cut.account.diagnostics.some(({ code, message }) => code === 'truncated-input' && message.startsWith('tar: ')),
  );
  const none = await readAll(Buffer.concat([tar('a', Buffer.from('x\ny\n')), TAR_END]));
  assert.ok(none.account.diagnostics.some(({ severity }) => severity === 'error'));
});

test('NetObserv in Loki: the labels of a stream are members of its records', async () => {
  const line = JSON.stringify({ SrcAddr: '10.0.0.1', DstAddr: '10.0.0.2', SrcPort: 1, Proto: 6 });
  const labels = { SrcK8S_Namespace: 'a', FlowDirection: '1' };
  const text = JSON.stringify({
    status: 'success',
    data: { resultType: 'streams', result: [{ stream: labels, values: [['1', line]] }] },
  });
  const { account } = await readAll(Buffer.from(text), { format: 'ndjson' });
  assert.equal(
    account.diagnostics[0]!.excerpt,
    `{"SrcK8S_Namespace":"a","FlowDirection":"1",${line.slice(1)}`.slice(0, 120),
  );
});

test('damaged wrappers keep the balance and throw nothing', async () => {
  const text = `${RECORD}\n${RECORD}\n`;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...SHIPPINGS),
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 10, 34, 44, 58, 91, 92, 93, 123, 125, 255)), { maxLength: 5 }),
      fc.nat(),
      fc.constantFrom(1, 7, 100_000),
      async (shipping, edits, length, chunkSize) => {
        const bytes = Uint8Array.from(shipping.wrap(text));
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        const { account } = await readAll(bytes.subarray(0, bytes.length - (length % 9)), { chunkSize });
        assert.ok(isBalanced(account), `${shipping.name} ${JSON.stringify(Buffer.from(bytes).toString('latin1'))}`);
      },
    ),
    { numRuns: 500, seed: SEED },
  );
});

test('hostile wrappers stay within bounds: nesting, endless lines, archives without end', async () => {
  const deep = Buffer.alloc(2_000_000, 0x5b);
  deep.set(Buffer.from('{"logEvents":'), 0);
  const nested = await readAll(deep);
  assert.deepEqual([nested.rows.length, isBalanced(nested.account)], [0, true]);
  const open = Buffer.from('{"a":'.repeat(400_000));
  assert.ok(isBalanced((await readAll(open)).account));
  const long = Buffer.alloc(40_000_000, 0x61);
  long.set(Buffer.from(`${TIME} stdout F ${RECORD}\n${TIME} stdout P x`), 0);
  const endless = await readAll(long, { chunkSize: 1 << 20 });
  assert.deepEqual([endless.rows.length, endless.account.malformed.get('too-long')], [1, 1]);
  const value = Buffer.alloc(40_000_000, 0x61);
  value.set(Buffer.from(`{"logEvents":[{"message":${JSON.stringify(RECORD)}},{"message":"`), 0);
  const big = await readAll(value, { chunkSize: 1 << 20 });
  assert.deepEqual([big.rows.length, big.account.malformed.get('too-long'), isBalanced(big.account)], [1, 1, true]);
  const huge = tar('x', Buffer.from(`${RECORD}${'\n'.repeat(512 - RECORD.length)}`));
  huge.set(Buffer.from('77777777777\0'), 124);
  huge.set(Buffer.from('        '), 148);
  const sum = huge.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  huge.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  const lying = await readAll(huge);
  assert.equal(lying.rows.length, 1);
  assert.ok(lying.account.diagnostics.some(({ code }) => code === 'truncated-input'));
  let layers = `${RECORD}\n`;
  for (let depth = 0; depth < 12; depth++) layers = `[pod/a/b] ${layers}`;
  assert.equal((await readAll(Buffer.from(layers))).account.diagnostics[0]!.code, 'limit-exceeded');
});

test('an unknown file is told with what is nearest, and why it is not that', async () => {
  const [line] = CONNTRACK_DUMP.split('\n');
  const text = `${['a b c', 'd e f', 'x', 'y', 'z', 'u', 'v', 'w'].join('\n')}\n${line}\n`;
  const { account } = await readAll(Buffer.from(text));
  assert.equal(account.diagnostics[0]!.code, 'unknown-format');
  assert.match(account.diagnostics[0]!.hint!, /nearest is conntrack: 1 of the first 9 lines .* line 1 is not/);
  const json = await readAll(Buffer.from('{"SrcAddr":"10.0.0.1","Bytes":1,"Packets":2}\n'));
  assert.match(json.account.diagnostics[0]!.hint!, /nearest is netobserv: its JSON has SrcAddr, .* but not .*DstAddr/);
  const flow =
    '5 123456789012 eni-0a 10.0.1.1 10.0.2.2 49152 22 6 15 3500 1700000000 1700000060 ACCEPT OK arn:aws:ecs cluster';
  const shape = await readAll(Buffer.from(`${flow}\n`));
  assert.match(shape.account.diagnostics[0]!.hint!, /nearest is aws-vpc: .* 16 fields .* --fields/);
});

test('a little input that becomes much is given up, within the budget: gzip, gzip of gzip, and zstd that repeats a byte', async () => {
  const limits = { freeSize: 1 << 20, ratio: 50, burstSize: 1 << 21 };
  const zeros = gzipSync(Buffer.alloc(20_000_000, 0x61));
  // RFC 8878: magic, a frame of one window of 128 KiB, blocks of 128 KiB that repeat a byte.
  const blocks = Array.from({ length: 200 }, (_, index) => [(131_072 << 3) & 255 | 2 | (index === 199 ? 1 : 0), (131_072 >> 5) & 255, 131_072 >> 13, 0x61]); // prettier-ignore
  const zstd = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38, ...blocks.flat()]);
  for (const [name, bytes, most] of [
    ['gzip', zeros, 3 << 20],
    ['gzip of gzip', gzipSync(zeros), 3 << 20],
    ['zstd', zstd, 0],
  ] as const) {
    const account = createAccount(name);
    const stream = await openContainers(countBytes(chunksOf(bytes, 4096), account), account, 0, limits);
    let size = 0;
    for await (const chunk of stream.read()) size += chunk.length;
    assert.ok(size <= Math.max(most, limits.ratio * bytes.length + (4 << 20)), `${name}: ${size}`);
    assert.deepEqual(
      account.diagnostics.map(({ code }) => code),
      ['limit-exceeded'],
      name,
    );
  }
});

test('NULs and bytes that are no UTF-8 in the middle of text cost their lines only', async () => {
  for (const wrap of [
    (line: Buffer) => line,
    (line: Buffer) => Buffer.concat([Buffer.from(`${TIME} stdout F `), line]),
  ]) {
    const lines = [
      Buffer.from(RECORD),
      Buffer.from([0x7b, 0, 0, 0x7d]),
      Buffer.from([0xff, 0xfe, 0x80]),
      Buffer.from(RECORD),
    ];
    const filler = Array.from({ length: 20 }, () => Buffer.from(RECORD));
    const bytes = Buffer.concat([...filler, ...lines].map((line) => Buffer.concat([wrap(line), Buffer.from('\n')])));
    const { account, rows } = await readAll(bytes);
    assert.equal(rows.length, 22);
    assert.equal(account.read, 24);
    assert.ok(isBalanced(account));
  }
});
