/** Law: the fast tracker says of every record what the slow one says, whatever the sequence. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Orientation, RecordFlag, RecordKind, createBatch } from '../../src/model/flow.ts';
import { createSlowTracker, type SlowResult } from '../../src/oracle/tracker.ts';
import { INVALID_CAUSES, type ConnectionDirection, type TrackerOptions } from '../../src/track/state.ts';
import { createTracker, type Tracker } from '../../src/track/tracker.ts';
import { batchOf, type Row } from './row.ts';

type Call = 'track' | 'associate' | 'adopt';

interface Step {
  readonly call: Call;
  readonly row: Row;
  /** Seconds since the step before. */
  readonly wait: number | undefined;
  readonly dropsNew: boolean;
  readonly adopts: 0 | 1;
}

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'];
const SEED = Number(process.env['DROPCAST_SEED'] ?? Date.now() & 0x7fff_ffff);
const reached = new Map<string, number>();

// A narrow world, so that sequences meet themselves. The high addresses are negative as 32-bit integers.
const address = fc.constantFrom(1, 2, 0x8000_0001, 0xffff_fffe);
const port = fc.constantFrom(0, 1, 32_768, 65_535);
const tags = fc.constantFrom(0, 1, 0x8000_0000, 0xffff_ffff);
const family = fc.constantFrom(4 as const, 6 as const);
const flags = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('S', 'SA', 'A', 'PA', 'FA', 'RA', 'R') },
  { weight: 1, arbitrary: fc.constantFrom('', 'F', 'SF', 'SU', 'SP', 'AU', 'FPU', 'SR', 'FSRPAU', 'RU') },
);
const icmpTypes = [0, 3, 4, 5, 8, 11, 12, 13, 14, 17, 30, 1, 128, 129, 139, 140, 135, 137, 200];

const tcpRow = fc.record({
  protocol: fc.constant(6),
  family,
  src: address,
  dst: address,
  srcPort: port,
  dstPort: port,
  flags,
});
const udpRow = fc.record({
  protocol: fc.constantFrom(17, 17, 17, 136, 47, 253),
  family,
  src: address,
  dst: address,
  srcPort: port,
  dstPort: port,
});
const sctpRow = fc.record({
  protocol: fc.constant(132),
  family: fc.constant(4 as const),
  src: fc.constantFrom(1, 2),
  dst: fc.constantFrom(1, 2),
  srcPort: fc.constantFrom(5, 6),
  dstPort: fc.constantFrom(5, 6),
  chunks: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 15 }).map((type) => [type]) },
    { weight: 2, arbitrary: fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { maxLength: 3 }) },
  ),
  tag: tags,
  initTag: tags,
});
const icmpRow = fc.record({
  protocol: fc.constantFrom(1, 1, 58),
  family,
  src: address,
  dst: address,
  srcPort: fc.constantFrom(-1, 7),
  icmp: fc.tuple(fc.constantFrom(...icmpTypes), fc.constantFrom(0, 0, 0, 1)).map(([type, code]) => (type << 8) | code),
});
const plainRow = fc.oneof(
  { weight: 6, arbitrary: tcpRow },
  { weight: 3, arbitrary: udpRow },
  { weight: 4, arbitrary: sctpRow },
  { weight: 3, arbitrary: icmpRow },
);
const errorRow = fc
  .tuple(plainRow, fc.boolean(), fc.constantFrom(3, 11, 12, 5, 1, 2, 137, 4), address)
  .map(([quote, isBack, type, other]): Row => {
    const is6 = quote.family === 6;
    const dst = isBack ? quote.src : other;
    return { protocol: is6 ? 58 : 1, family: quote.family, src: other, dst, icmp: type << 8, quote };
  });
const cutRow = fc.oneof(
  plainRow.map((row): Row => ({ ...row, srcPort: -1, dstPort: -1, recordFlags: RecordFlag.NoPorts })),
  plainRow.map((row): Row => ({ protocol: row.protocol, family: row.family, src: row.src, dst: row.dst })),
  plainRow.map((row): Row => ({ ...row, family: 0 })),
);
const anyRow: fc.Arbitrary<Row> = fc
  .oneof({ weight: 14, arbitrary: plainRow }, { weight: 3, arbitrary: errorRow }, { weight: 1, arbitrary: cutRow })
  .filter((row) => row.src !== row.dst);

const wait = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(0, 0.01, 0.5, 1, 2) },
  { weight: 3, arbitrary: fc.constantFrom(2.01, 3, 10, 29.99, 30, 31, 120, 300) },
  { weight: 1, arbitrary: fc.constantFrom(600, 432_000, -0.5, -59, -61, -5000, undefined, 20_000_000) },
);

const step: fc.Arbitrary<Step> = fc.record({
  call: fc.constantFrom<Call>('track', 'track', 'track', 'track', 'track', 'track', 'associate', 'adopt'),
  row: anyRow.chain((row) =>
    fc
      .record({
        kind: fc.constantFrom(RecordKind.OneWay, RecordKind.Connection, RecordKind.Decision),
        orientation: fc.constantFrom(Orientation.Original, Orientation.Reply, Orientation.Unknown),
        replyPackets: fc.constantFrom(0, 0, 3),
      })
      .map((extra): Row => ({ ...row, ...extra })),
  ),
  wait,
  dropsNew: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  adopts: fc.constantFrom(0 as const, 1 as const),
});

describe(`the fast tracker equals the slow one (seed ${SEED})`, () => {
  it('over random sequences of all protocols, time jumps, records, adoption and drops', () => {
    check({}, 400, fc.array(step, { maxLength: 120, size: 'max' }));
  });
  it('with nf_conntrack_tcp_loose=0 and other timeouts', () => {
    const timeouts = { tcpSynSent: 1, tcpEstablished: 20, udp: 0.5, generic: 2, sctpClosed: 0.02 };
    check({ isTcpLoose: false, timeouts }, 150, fc.array(step, { maxLength: 120, size: 'max' }));
  });
  it('with a table that is full', () => {
    check({ limit: 4 }, 200, fc.array(step, { maxLength: 120, size: 'max' }));
  });
  it('over long TCP sequences between two ends', () => {
    const packet = fc.record({ flags, isBack: fc.boolean(), wait: fc.constantFrom(0, 0, 0, 0, 1, 11) });
    const steps = fc.array(packet, { maxLength: 60, size: 'max' }).map((packets) =>
      packets.map((one): Step => {
        const ends = one.isBack
          ? { src: 2, dst: 1, srcPort: 80, dstPort: 9 }
          : { src: 1, dst: 2, srcPort: 9, dstPort: 80 };
        return {
          call: 'track',
          row: { protocol: 6, flags: one.flags, ...ends },
          wait: one.wait,
          dropsNew: false,
          adopts: 0,
        };
      }),
    );
    check({}, 1500, steps);
  });
  it('over long SCTP sequences between two ends', () => {
    const packet = fc.record({
      chunks: fc.oneof(
        fc.integer({ min: 0, max: 14 }).map((type) => [type]),
        fc.constantFrom([0, 4], [0, 5], [10, 0], [11, 0], [4, 5]),
      ),
      tag: fc.constantFrom(0, 1, 2),
      initTag: fc.constantFrom(1, 2),
      isBack: fc.boolean(),
    });
    const steps = fc.array(packet, { maxLength: 60, size: 'max' }).map((packets) =>
      packets.map(({ isBack, ...one }): Step => {
        const ends = isBack ? { src: 2, dst: 1, srcPort: 80, dstPort: 9 } : { src: 1, dst: 2, srcPort: 9, dstPort: 80 };
        return { call: 'track', row: { protocol: 132, ...one, ...ends }, wait: 0, dropsNew: false, adopts: 0 };
      }),
    );
    check({}, 1500, steps);
  });
  it('and the sequences reached every state and every cause', () => {
    // A full table is no cause of the tracker's own: it refuses, and replay says so.
    for (const name of [...STATES, ...INVALID_CAUSES.filter((cause) => cause !== 'table-full')])
      assert.ok((reached.get(name) ?? 0) > 20, `${name} was hardly reached`);
  });
});

function check(options: TrackerOptions, numRuns: number, steps: fc.Arbitrary<Step[]>): void {
  fc.assert(
    fc.property(steps, (all) => run(options, all)),
    { seed: SEED, numRuns },
  );
}

function run(options: TrackerOptions, steps: readonly Step[]): void {
  const fast = createTracker(options);
  const { timeouts, ...rest } = options;
  const slow = createSlowTracker({ ...rest, timeouts: { ...timeouts } as Record<string, number> });
  const batch = createBatch(1);
  let timeS = 1_700_000_000;
  let serial = 1;
  const words = new WeakMap<object, number>();
  const earlier: Row[] = [];
  for (const one of steps) {
    if (one.wait !== undefined) timeS += one.wait;
    const row = one.adopts === 1 ? aboutAnEarlier(one.row, earlier) : one.row;
    if (row.quote === undefined) earlier.push(row);
    batchOf({ ...row, timeS: one.wait === undefined ? undefined : timeS }, batch);
    const [found, expected] = apply(one, fast, slow, batch);
    assert.deepEqual(found, describeResult(expected), JSON.stringify(one));
    // The caller's word stays with its connection.
    if (expected.connection !== undefined) {
      if (expected.created) {
        fast.setData(fast.entry, serial);
        words.set(expected.connection, serial++);
      }
      assert.equal(fast.getData(fast.entry), words.get(expected.connection), `data of ${JSON.stringify(one)}`);
    }
    reached.set(expected.state, (reached.get(expected.state) ?? 0) + 1);
    reached.set(expected.cause, (reached.get(expected.cause) ?? 0) + 1);
    if (one.dropsNew) {
      fast.drop();
      slow.drop();
    }
    assert.equal(fast.refused, slow.refused, 'refused');
    assert.equal(fast.evicted, slow.evicted, 'evicted');
    assert.ok(fast.count >= slow.count(), 'a live connection is missing');
    if (options.limit !== undefined) assert.ok(fast.count <= options.limit);
  }
}

/** An ICMP error, turned to quote a packet that went before; other rows as they are. */
function aboutAnEarlier(row: Row, earlier: readonly Row[]): Row {
  const quote = earlier.at(-1 - ((row.icmp ?? 0) >>> 8));
  if (row.quote === undefined || quote === undefined || quote.family === 0) return row;
  const isIpv6 = quote.family === 6;
  return { ...row, protocol: isIpv6 ? 58 : 1, family: quote.family ?? 4, dst: quote.src, quote };
}

function apply(
  one: Step,
  fast: Tracker,
  slow: ReturnType<typeof createSlowTracker>,
  batch: ReturnType<typeof createBatch>,
): [Record<string, unknown>, SlowResult] {
  if (one.call === 'adopt') {
    fast.adopt(batch, 0, one.adopts as ConnectionDirection);
    const expected = slow.adopt(batch, 0, one.adopts === 0 ? 'original' : 'reply');
    return [describeFast(expected.state, fast), expected];
  }
  const state = one.call === 'track' ? fast.track(batch, 0) : fast.associate(batch, 0);
  const expected = one.call === 'track' ? slow.track(batch, 0) : slow.associate(batch, 0);
  return [describeFast(STATES[state]!, fast), expected];
}

function describeFast(state: string, fast: Tracker): Record<string, unknown> {
  return {
    state,
    direction: fast.direction === 0 ? 'original' : 'reply',
    cause: INVALID_CAUSES[fast.cause],
    created: fast.created === 1,
    isKnown: fast.entry >= 0,
  };
}

function describeResult({ connection, ...rest }: SlowResult): Record<string, unknown> {
  return { ...rest, isKnown: connection !== undefined };
}
