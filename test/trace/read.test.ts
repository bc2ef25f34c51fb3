/** Containers, recognition, streaming and hostile bytes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { createAccount, isBalanced } from '../../src/trace/account.ts';
import { FORMATS, readTrace } from '../../src/trace/read.ts';
import { createWriter } from '../../src/trace/write.ts';
import { createDictionary } from '../../src/model/flow.ts';
import {
  AWS_CLOUDWATCH_TEXT,
  AWS_VPC_TEXT,
  CONNTRACK_DUMP,
  CONNTRACK_EVENTS,
  CONNTRACK_PROC,
  CONNTRACK_SAVED,
  CONNTRACK_XML_TEXT,
  ZEEK_JSON_TEXT,
  ZEEK_TEXT,
} from './log.ts';
import { bytesOf, ethernet, ip, pcap, pcapng, readAll, type Row, sll2, tcp, udp } from './build.ts';

const SEED = Number(process.env['FC_SEED'] ?? 20_261_121);

const HUBBLE_LINE = JSON.stringify({
  flow: {
    time: '2026-01-02T03:04:05.123456789Z',
    verdict: 'FORWARDED',
    IP: { source: '10.0.0.1', destination: '10.0.0.2' },
    l4: { TCP: { source_port: 4000, destination_port: 80, flags: { SYN: true } } },
    source: { namespace: 'a', pod_name: 'p', labels: ['k8s:app=x'] },
    Type: 'L3_L4',
    event_type: { type: 4 },
    is_reply: false,
  },
});
const CSV_TEXT = 'src,dst,dstPort,protocol\n10.0.0.1,10.0.0.2,80,tcp\n10.0.0.3,10.0.0.2,"8\n0",tcp\n';
const NDJSON_TEXT = '{"v":1,"src":"10.0.0.1","dst":"10.0.0.2","dport":80,"proto":"tcp"}\n';
const FRAMES = [
  { frame: ethernet(0x0800, ip('10.0.0.1', '10.0.0.2', 6, tcp(4000, 80, 2))), timeUs: 1e15 },
  {
    frame: ethernet(0x0800, ip('10.0.0.1', '10.0.0.2', 17, udp(4000, 53, 'q'), { id: 4, hasMore: true })),
    timeUs: 1e15 + 5,
  },
];

async function binarySample(): Promise<Uint8Array> {
  const dictionary = createDictionary();
  const writer = createWriter('binary', dictionary);
  const account = createAccount('x');
  const parts: Uint8Array[] = [];
  for await (const batch of readTrace(once(pcap(1, FRAMES)), { file: 'x', dictionary, account }))
    parts.push(writer.write(batch));
  return Buffer.concat([...parts, writer.end()]);
}

async function* once(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** Every file of the fixtures, so that a new one is cut and damaged like the others. */
function fixtures(): Record<string, Uint8Array> {
  const folder = new URL('./fixture/', import.meta.url);
  const names = readdirSync(folder).filter((name) => !name.endsWith('.md'));
  return Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder))]));
}

async function samples(): Promise<Record<string, Uint8Array>> {
  return {
    pcap: pcap(1, FRAMES),
    any: pcap(
      276,
      FRAMES.map(({ frame, timeUs }) => ({ frame: sll2(1, 0, frame.subarray(14)), timeUs })),
    ),
    pcapng: pcapng([1, 1], FRAMES, { unit: 'ns', dropped: 1 }),
    hubble: Buffer.from(`${HUBBLE_LINE}\n{"lost_events":{"num_events_lost":"3"}}\n`),
    pretty: Buffer.from(`${JSON.stringify(JSON.parse(HUBBLE_LINE), null, 2)}\n`),
    ndjson: Buffer.from(NDJSON_TEXT + NDJSON_TEXT),
    csv: Buffer.from(CSV_TEXT),
    binary: await binarySample(),
    'conntrack -E': Buffer.from(CONNTRACK_EVENTS),
    'conntrack -L': Buffer.from(CONNTRACK_DUMP),
    'aws-vpc': Buffer.from(AWS_VPC_TEXT),
    cloudwatch: Buffer.from(AWS_CLOUDWATCH_TEXT),
    'conntrack save': Buffer.from(CONNTRACK_SAVED),
    'conntrack xml': Buffer.from(CONNTRACK_XML_TEXT),
    zeek: Buffer.from(ZEEK_TEXT),
    'zeek-json': Buffer.from(ZEEK_JSON_TEXT),
    nf_conntrack: Buffer.from(CONNTRACK_PROC),
    ...fixtures(),
  };
}

test('gzip (several members), UTF-16, a byte order mark and CRLF change nothing', async () => {
  const text = `${HUBBLE_LINE}\n${HUBBLE_LINE}\n`;
  const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le');
  const cases: [string, Uint8Array, string[]][] = [
    ['plain', Buffer.from(text), []],
    ['bom', Buffer.from(`\ufeff${text}`), []],
    ['crlf', Buffer.from(text.replaceAll('\n', '\r\n')), []],
    ['members', bytesOf(gzipSync(`${HUBBLE_LINE}\n`), gzipSync(`${HUBBLE_LINE}\n`)), ['gzip']],
    ['twice', gzipSync(gzipSync(text)), ['gzip', 'gzip']],
    ['utf-16', utf16, ['utf-16le']],
    ['utf-16be', Buffer.from(utf16).swap16(), ['utf-16be']],
    ['gzip of utf-16', gzipSync(utf16), ['gzip', 'utf-16le']],
  ];
  for (const [name, bytes, containers] of cases)
    for (const chunkSize of [1, 7, 65_536]) {
      const { account, rows } = await readAll(bytes, { chunkSize });
      assert.deepEqual(
        [account.format, rows.length, account.containers, account.bytes],
        ['hubble', 2, containers, bytes.length],
        name,
      );
      assert.equal(account.diagnostics.length, 0);
    }
});

test('zstd is read, in one frame and in two', async () => {
  // `v:1` records, compressed with the zstd tool as one raw block each (RFC 8878: magic, frame header, last raw block).
  const raw = Buffer.from(NDJSON_TEXT);
  const frame = bytesOf(
    0x28,
    0xb5,
    0x2f,
    0xfd,
    0x20,
    raw.length,
    (raw.length << 3) | 1,
    (raw.length >> 5) & 255,
    0,
    raw,
  );
  const one = await readAll(frame);
  assert.deepEqual([one.rows.length, one.account.containers, one.account.diagnostics], [1, ['zstd'], []]);
  const two = await readAll(bytesOf(frame, frame), { chunkSize: 5 });
  assert.equal(two.rows.length, 2);
  const cut = await readAll(bytesOf(frame, frame.subarray(0, 20)));
  assert.equal(cut.rows.length, 1);
  assert.equal(cut.account.diagnostics[0]!.code, 'truncated-input');
});

test('a truncated gzip is reported, and what came out of it is kept', async () => {
  const lines = Array.from({ length: 3000 }, (_, index) => HUBBLE_LINE.replace('4000', String(1000 + index))).join(
    '\n',
  );
  const whole = gzipSync(lines);
  const { account, rows } = await readAll(whole.subarray(0, whole.length >> 1));
  assert.ok(rows.length > 500 && rows.length < 3000, String(rows.length));
  assert.ok(account.diagnostics.some(({ code }) => code === 'truncated-input'));
  assert.ok(isBalanced(account));
});

test('more than three containers around each other are refused', async () => {
  let bytes: Uint8Array = Buffer.from(NDJSON_TEXT);
  for (let depth = 0; depth < 4; depth++) bytes = gzipSync(bytes);
  const { account } = await readAll(bytes);
  assert.ok(account.diagnostics.some(({ code }) => code === 'limit-exceeded'));
});

test('a stream that pauses has been handed out up to its last whole record', async () => {
  const line = '{"v":1,"src":"10.0.0.1","sport":4000,"dst":"10.0.0.2","dport":80,"proto":"tcp"}';
  let isDone = false;
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${line}\n${line}\n${line.slice(0, 40)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    isDone = true;
    yield Buffer.from(`${line.slice(40)}\n`);
  }
  const account = createAccount('-');
  const counts: [number, boolean][] = [];
  for await (const batch of readTrace(slow(), { file: '-', dictionary: createDictionary(), account }))
    counts.push([batch.count, isDone]);
  assert.deepEqual(counts, [[2, false], [1, true]]); // prettier-ignore
});

test('how the bytes arrive changes nothing, also where later records teach what earlier ones mean', async () => {
  const capture = readFileSync(new URL('../../traces/app1/capture.pcap', import.meta.url));
  const whole = await readAll(capture, { chunkSize: capture.length });
  for (const chunkSize of [1000, 4096, 65_536, 200_000]) {
    const { rows } = await readAll(capture, { chunkSize });
    assert.deepEqual(rows, whole.rows, `chunks of ${chunkSize} bytes`);
  }
});

test('unknown and empty inputs, an unknown name, and a name that overrides recognition', async () => {
  for (const bytes of [Buffer.from('hello\nworld\n'), Buffer.from('{"a":1}\n'), Buffer.alloc(0), Buffer.alloc(100)]) {
    const { account, rows } = await readAll(bytes);
    assert.deepEqual([rows.length, account.format, account.diagnostics[0]!.code], [0, 'unknown', 'unknown-format']);
  }
  assert.match((await readAll(Buffer.from('{"a":1}\n'))).account.diagnostics[0]!.hint!, /keys a;/);
  assert.equal(
    (await readAll(Buffer.from('x'), { format: 'nonsense' })).account.diagnostics[0]!.code,
    'unknown-format',
  );
  const { account } = await readAll(Buffer.from('{"a":1}\n'), { format: 'ndjson' });
  assert.deepEqual([account.format, account.malformed.size], ['ndjson', 1]);
});

test('names of formats that have a reader are unique', () => {
  const names = FORMATS.filter(({ open }) => open !== undefined).map(({ name }) => name);
  assert.deepEqual([...names].sort(), [
    'aks-network-log',
    'antrea-flow',
    'antrea-flow-json',
    'antrea-np',
    'aws-network-policy-agent',
    'aws-vpc',
    'azure-nsg',
    'azure-vnet',
    'binary',
    'calico-flowlog',
    'calico-goldmane',
    'calico-whisker',
    'conntrack',
    'conntrack-save',
    'conntrack-xml',
    'csv',
    'gcp-vpc',
    'gke-policy',
    'hubble',
    'hubble-text',
    'json',
    'kube-network-policies',
    'ndjson',
    'netfilter-log',
    'netobserv',
    'nfdump-csv',
    'nfdump-json',
    'nfdump-text',
    'ovn-acl',
    'pcap',
    'pcapng',
    'policy-assistant',
    'suricata',
    'tcpdump-text',
    'ulogd-json',
    'zeek',
    'zeek-json',
  ]);
  assert.ok(FORMATS.every(({ name, description }) => name !== '' && description !== ''));
});

test('cut at every byte (fixtures at 150 of them), every format keeps its balance and throws nothing', async () => {
  const files = fixtures();
  for (const [name, bytes] of Object.entries(await samples())) {
    const whole = await readAll(bytes);
    assert.ok(whole.rows.length > 0, name);
    const step = name in files ? Math.ceil(bytes.length / 150) : 1;
    for (let cut = 0; cut < bytes.length; cut += step) {
      // Not the same place of every line where lines are alike.
      const length = cut + ((cut / step) % step);
      const { account, rows } = await readAll(bytes.subarray(0, length), { chunkSize: 997, batchCapacity: 64 });
      assert.ok(isBalanced(account), `${name} cut at ${length}`);
      assert.ok(rows.length <= whole.rows.length, `${name} cut at ${length}`);
    }
  }
});

test('chunk and batch sizes change no row', async () => {
  for (const [name, bytes] of Object.entries(await samples())) {
    const whole = await readAll(bytes);
    for (const chunkSize of [1, 3, 64]) {
      const { rows } = await readAll(bytes, { chunkSize, batchCapacity: 16 });
      assert.deepEqual(rows, whole.rows, `${name} in chunks of ${chunkSize}`);
    }
  }
});

test('damaged and random bytes keep the balance of every reader', async () => {
  const all = Object.entries(await samples());
  const readers = FORMATS.filter(({ open }) => open !== undefined).map(({ name }) => name);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(all.length - 1),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...readers),
      async (index, edits, noise, format) => {
        const bytes = Uint8Array.from(all[index]![1]);
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        assert.ok(isBalanced((await readAll(bytes, { chunkSize: 50, batchCapacity: 64 })).account));
        assert.ok(isBalanced((await readAll(bytesOf(bytes, noise), { batchCapacity: 64 })).account));
        assert.ok(isBalanced((await readAll(noise, { format, batchCapacity: 64 })).account));
      },
    ),
    { numRuns: 400, seed: SEED },
  );
});

test('the account ends balanced also where the consumer stops early', async () => {
  const account = createAccount('x');
  const bytes = Buffer.from(NDJSON_TEXT.repeat(100));
  for await (const batch of readTrace(once(bytes), {
    file: 'x',
    dictionary: createDictionary(),
    account,
    batchCapacity: 16,
  })) {
    assert.equal(batch.count, 16);
    break;
  }
  assert.ok(isBalanced(account));
});

test('only the first 20 malformed records are kept, with excerpts of at most 120 characters', async () => {
  const { account } = await readAll(Buffer.from(NDJSON_TEXT + `{"v":1,"src":${'x'.repeat(500)}\n`.repeat(30)));
  assert.equal(account.malformed.get('invalid-json'), 30);
  assert.equal(account.diagnostics.length, 20);
  assert.ok(account.diagnostics.every(({ excerpt }) => excerpt!.length <= 120));
  assert.match(account.diagnostics[0]!.message, /^line 2, byte 67: /);
});

test('every fixture goes through the own formats unchanged', async () => {
  for (const [name, bytes] of Object.entries(fixtures()))
    for (const format of ['ndjson', 'binary'] as const) {
      const dictionary = createDictionary();
      const writer = createWriter(format, dictionary);
      const parts: Uint8Array[] = [];
      for await (const batch of readTrace(once(bytes), { file: name, dictionary, account: createAccount(name) }))
        parts.push(writer.write(batch));
      const again = await readAll(bytesOf(...parts, writer.end()));
      const plain = (row: Row): unknown => ({ ...row, line: 0 });
      assert.deepEqual(again.rows.map(plain), (await readAll(bytes)).rows.map(plain), `${name} as ${format}`);
    }
});
