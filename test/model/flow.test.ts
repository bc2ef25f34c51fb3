/** Batches, dictionaries and packets as rows: what a fresh, a cleared and a filled row hold, and what growth keeps. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddressText } from '../../src/model/address.ts';
import {
  AddressTable,
  DEFAULT_BATCH_CAPACITY,
  type FlowBatch,
  type Packet,
  addQuote,
  clearRow,
  createBatch,
  createDictionary,
  resetBatch,
} from '../../src/model/flow.ts';
import { batchPackets } from '../../src/model/packet.ts';

const CLEARED: Readonly<Record<string, number>> = {
  kind: 0,
  family: 0,
  protocol: 255,
  src: 0,
  dst: 0,
  srcPort: -1,
  dstPort: -1,
  icmp: -1,
  tcpFlags: 0xffff,
  timeUs: NaN,
  bytes: -1,
  packets: -1,
  replyBytes: 0,
  replyPackets: 0,
  orientation: 2,
  orientedBy: 4,
  recordedVerdict: 0,
  srcEndpoint: 0,
  dstEndpoint: 0,
  preDst: 0,
  preDstPort: -1,
  flags: 0,
  line: 0,
  quote: -1,
  sctpChunks: 0,
  sctpTag: 0,
  sctpInitTag: 0,
  connections: 1,
  repeats: 0,
  policies: 0,
};

/** Every column of a row, by name. */
function rowOf(batch: FlowBatch, row: number): Record<string, number> {
  const columns = Object.entries(batch).filter(([, column]) => ArrayBuffer.isView(column));
  return Object.fromEntries(columns.map(([name, column]) => [name, (column as Uint8Array)[row]!]));
}

describe('a batch', () => {
  it('has every column in full, and a cleared row says that nothing is known', () => {
    const batch = createBatch(3);
    assert.equal(batch.capacity, 3);
    assert.equal(DEFAULT_BATCH_CAPACITY, 16_384);
    assert.equal(createBatch().kind.length, 16_384);
    // What a column holds throughout is remembered only where nobody else writes.
    assert.equal(createBatch(3).uniform, undefined);
    assert.equal(createBatch(3, 'write').uniform, undefined);
    assert.deepEqual(createBatch(3, 'read').uniform, new Map());
    for (const column of Object.values(batch))
      if (ArrayBuffer.isView(column)) {
        assert.equal((column as Uint8Array).length, 3);
        (column as Uint8Array).fill(9);
      }
    clearRow(batch, 1);
    assert.deepEqual(rowOf(batch, 1), CLEARED);
    const nines = Object.fromEntries(Object.keys(CLEARED).map((name) => [name, 9]));
    assert.deepEqual([rowOf(batch, 0), rowOf(batch, 2)], [nines, nines]);
  });

  it('keeps quotes through growth, and a reset forgets rows and quotes', () => {
    const batch = createBatch(1);
    const { quotes } = batch;
    const columns = ['family', 'protocol', 'src', 'dst', 'srcPort', 'dstPort', 'icmp'] as const;
    assert.equal(quotes.family.length, 64);
    for (let index = 0; index < 130; index++) {
      assert.equal(addQuote(batch), index);
      columns.forEach((column, at) => void (quotes[column][index] = index + at));
      assert.equal(quotes.icmp.length, index < 64 ? 64 : index < 128 ? 128 : 256);
    }
    for (let index = 0; index < 130; index++)
      columns.forEach((column, at) => assert.equal(quotes[column][index], index + at, column));
    batch.count = 1;
    resetBatch(batch);
    assert.deepEqual([batch.count, quotes.count], [0, 0]);
  });
});

describe('a dictionary', () => {
  it('begins with what is unknown, and gives one number to a key', () => {
    const dictionary = createDictionary();
    assert.deepEqual(dictionary.endpoints, [{ kind: 'unknown', areLabelsComplete: false }]);
    assert.deepEqual(dictionary.policyTraces, [{ enforced: [], pending: [] }]);
    const node = { kind: 'node', name: 'n', areLabelsComplete: true } as const;
    assert.equal(
      dictionary.internEndpoint('n', () => node),
      1,
    );
    assert.equal(
      dictionary.internEndpoint('n', () => assert.fail('made twice')),
      1,
    );
    assert.equal(
      dictionary.internEndpoint('m', () => node),
      2,
    );
    assert.equal(dictionary.endpoints[1], node);
    assert.equal(
      dictionary.internPolicies('p', () => ({ enforced: [], pending: [] })),
      1,
    );
  });

  it('gives one number to an address, in order, through growth, and tells all four words apart', () => {
    const table = new AddressTable();
    const words = (id: number): readonly [number, number, number, number] => [
      (id & 7) * 0x20000001,
      (id >>> 3) & 7,
      (id >>> 6) & 7,
      id >>> 9,
    ];
    const count = 5000;
    for (let id = 0; id < count; id++) assert.equal(table.intern(...words(id)), id);
    for (let id = count - 1; id >= 0; id--) {
      assert.equal(table.intern(...words(id)), id);
      assert.deepEqual([...table.get(id)], words(id));
    }
    // Negative words are the same bits.
    assert.equal(table.intern(-1, -2, -3, -4), count);
    assert.equal(table.intern(0xffffffff, 0xfffffffe, 0xfffffffd, 0xfffffffc), count);
    assert.equal(table.count, count + 1);
    assert.equal(table.get(3).length, 4);
  });

  it('finds the first address after growth, and takes none for known that is not', () => {
    for (let first = 1; first <= 20; first++) {
      const table = new AddressTable();
      for (let id = 0; id < 1025; id++) table.intern(first, id, 0, 0);
      assert.equal(table.intern(first, 0, 0, 0), 0);
      assert.equal(table.intern(0, 0, 0, 0), 1025);
      assert.equal(table.count, 1026);
    }
  });

  it('holds a thousand addresses before it grows', () => {
    const table = new AddressTable();
    for (let id = 0; id < 1024; id++) table.intern(id, 0, 0, 0);
    assert.equal(table.words.length, 4096);
    table.intern(1024, 0, 0, 0);
    assert.equal(table.words.length, 8192);
  });
});

describe('packets as rows', () => {
  const packet: Packet = {
    src: { kind: 'name', namespace: 'a', name: 'x' },
    dst: { kind: 'name', namespace: 'a', name: 'y' },
    protocol: 6,
    timeS: 1.5,
  };
  const full: Packet = { ...packet, srcPort: 0, port: 80, tcpFlags: 2, icmp: 2048 };
  const addresses =
    (src: string | undefined, dst: string | undefined) =>
    (): {
      src: AddressText | undefined;
      dst: AddressText | undefined;
    } => ({ src: src as AddressText | undefined, dst: dst as AddressText | undefined });

  it('carry what is said, and nothing for what is not', () => {
    const batch = batchPackets([packet, full], addresses('10.0.0.1', '10.0.0.2'));
    const common = {
      ...CLEARED,
      family: 4,
      protocol: 6,
      src: 0x0a000001,
      dst: 0x0a000002,
      timeUs: 1.5e6,
      bytes: 0,
      packets: 1,
    };
    assert.deepEqual([batch.count, batch.capacity], [2, 2]);
    assert.deepEqual(rowOf(batch, 0), { ...common, line: 1 });
    assert.deepEqual(rowOf(batch, 1), { ...common, line: 2, srcPort: 0, dstPort: 80, tcpFlags: 2, icmp: 2048 });
    assert.equal(batchPackets([], addresses(undefined, undefined)).capacity, 1);
  });

  it('have a family if both ends have an address of it', () => {
    for (const [src, dst, family, ends] of [
      [undefined, '10.0.0.2', 0, [0, 0]],
      ['10.0.0.1', undefined, 0, [0, 0]],
      ['10.0.0.1', '::1', 0, [0, 0]],
      ['::1', '10.0.0.1', 0, [0, 0]],
      ['::1', '::2', 6, [0, 1]],
      ['::2', '::2', 6, [0, 0]],
      ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:9', 6, [0, 1]],
      ['1:2:3:4:5:6:7:8', '1:2:3:4:5:7:7:8', 6, [0, 1]],
      ['1:2:3:4:5:6:7:8', '1:2:3:5:5:6:7:8', 6, [0, 1]],
      ['1:2:3:4:5:6:7:8', '1:3:3:4:5:6:7:8', 6, [0, 1]],
    ] as const) {
      const batch = batchPackets([packet], addresses(src, dst));
      assert.equal(batch.family[0], family, `${src} ${dst}`);
      assert.deepEqual([batch.src[0], batch.dst[0]], ends, `${src} ${dst}`);
    }
  });

  it('quote packets that went before, with all that is known of them', () => {
    const error: Packet = { ...packet, protocol: 1, icmp: 768 };
    const batch = batchPackets(
      [full, { ...error, quotes: 0 }, { ...error, quotes: 2 }, { ...error, quotes: 9 }, { ...error, quotes: 1 }],
      addresses('10.0.0.1', '10.0.0.2'),
    );
    assert.deepEqual([...batch.quote], [-1, 0, -1, -1, 1]);
    const { count, ...quotes } = batch.quotes;
    assert.equal(count, 2);
    const quoted = Object.fromEntries(Object.entries(quotes).map(([name, column]) => [name, column[0]]));
    const { family, protocol, src, dst, srcPort, dstPort, icmp } = rowOf(batch, 0);
    assert.deepEqual(quoted, { family, protocol, src, dst, srcPort, dstPort, icmp });
    assert.equal(batch.quotes.icmp[1], 768);
  });
});
