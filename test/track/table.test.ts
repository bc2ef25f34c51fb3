/** The table itself: growth, reclaiming, limits, the clock, and what the fields say. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRandom } from '../../src/generate/random.ts';
import { Orientation, RecordKind, createBatch } from '../../src/model/flow.ts';
import { Clock } from '../../src/track/clock.ts';
import { TableState } from '../../src/track/entry.ts';
import { ConnectionDirection, InvalidCause, TrackState } from '../../src/track/state.ts';
import { createTracker, TableTracker, type Tracker } from '../../src/track/tracker.ts';
import { seed } from '../law/seed.ts';
import { batchOf, reversed, type Row } from './row.ts';

const ENTRY_BYTES = 24;

describe('the connection table', () => {
  it('keeps every live connection, and its word, through growth', () => {
    const tracker = createTracker({});
    for (let i = 0; i < 50_000; i++) {
      assert.equal(track(tracker, udp(i, 0)), TrackState.New);
      tracker.setData(tracker.entry, i);
    }
    assert.equal(tracker.count, 50_000);
    for (let i = 0; i < 50_000; i++) {
      assert.equal(track(tracker, reversed(udp(i, 1))), TrackState.Established);
      assert.equal(tracker.direction, ConnectionDirection.Reply);
      assert.equal(tracker.getData(tracker.entry), i);
    }
    assert.equal(tracker.peak, 50_000);
    assert.ok(tracker.bytes / tracker.count < ENTRY_BYTES / 0.25, `${tracker.bytes / tracker.count} bytes an entry`);
  });

  it('doubles when five eighths of its slots are used, and begins as large as it is asked to', () => {
    const slotsOf = (tracker: Tracker): number => tracker.bytes / ENTRY_BYTES;
    const tracker = createTracker({});
    const sizes = new Map([
      [1, 1024],
      [640, 1024],
      [641, 2048],
      [1280, 2048],
      [1281, 4096],
    ]);
    for (let i = 1; i <= 1281; i++) {
      track(tracker, udp(i, 0));
      if (sizes.has(i)) assert.equal(slotsOf(tracker), sizes.get(i), `with ${i} connections`);
    }
    assert.deepEqual(
      [0, 640, 641, 1280, 1281].map((initialCapacity) => slotsOf(createTracker({ initialCapacity }))),
      [1024, 1024, 2048, 2048, 4096],
    );
  });

  it(`finds every connection through growth and shrinking, some gone and some expired in between (seed ${seed})`, () => {
    const random = createRandom(seed, 'growth');
    for (let round = 0; round < 30; round++) {
      const tracker = createTracker({});
      const known = new Map<number, number>();
      let time = 0;
      for (let step = 0; step < 3000; step++) {
        const i = random.below(1 << 20);
        if (random.below(20) === 0) {
          // Nobody has answered, so that a reset ends it.
          track(tracker, tcp(i, time, 'S'));
          track(tracker, tcp(i, time, 'R'));
          known.delete(i);
        } else if (track(tracker, tcp(i, time, 'S')) === TrackState.New) {
          tracker.setData(tracker.entry, step + 1);
          known.set(i, step + 1);
        }
        // A SYN lives for two minutes: what came before is gone by then.
        if (random.below(1200) === 0) {
          time += 200;
          known.clear();
        }
      }
      for (const [i, data] of known) {
        assert.equal(track(tracker, tcp(i, time, 'S')), TrackState.New);
        assert.deepEqual([tracker.created, tracker.getData(tracker.entry)], [0, data], `connection ${i}`);
      }
    }
  });

  it('keeps the tags of SCTP through growth, each with its association', () => {
    const tracker = createTracker({});
    const row = (i: number): Row => ({ ...udp(i, 0), protocol: 132 });
    const init = (i: number): Row => ({ ...row(i), chunks: [1], tag: 0, initTag: 100_000 + i });
    for (let i = 0; i < 1000; i++) {
      assert.equal(track(tracker, init(i)), TrackState.New);
      // Other protocols stand between, and have no tags.
      track(tracker, { ...row(i), protocol: 17 });
    }
    for (let i = 0; i < 1000; i++) {
      const answer: Row = { ...reversed(row(i)), chunks: [2], initTag: 200_000 + i };
      assert.equal(track(tracker, { ...answer, tag: 100_001 + i }), TrackState.Invalid, `association ${i}`);
      assert.equal(tracker.cause, InvalidCause.SctpTag);
      assert.equal(track(tracker, { ...answer, tag: 100_000 + i }), TrackState.Established, `association ${i}`);
    }
  });

  it('follows the living, not all that ever lived', () => {
    const tracker = createTracker({});
    // 1000 connections a minute, each alive for half a minute.
    for (let i = 0; i < 200_000; i++) track(tracker, udp(i, i * 0.06));
    assert.ok(tracker.bytes <= 4096 * ENTRY_BYTES, `${tracker.bytes} bytes`);
    assert.ok(tracker.expired > 190_000);
    assert.equal(tracker.peak <= 4096, true);
  });

  it('shrinks again when a crowd has gone', () => {
    const tracker = createTracker({});
    for (let i = 0; i < 100_000; i++) track(tracker, udp(i, 0));
    const most = tracker.bytes;
    for (let i = 0; i < 300_000; i++) track(tracker, udp(100_000 + i, 100 + i * 0.06));
    assert.ok(tracker.bytes < most / 4, `${tracker.bytes} of ${most}`);
  });

  it('takes no memory for openings that policy drops', () => {
    const tracker = createTracker({});
    const before = tracker.bytes;
    for (let i = 0; i < 100_000; i++) {
      track(tracker, udp(i, 0));
      tracker.drop();
      assert.equal(tracker.entry, -1);
    }
    assert.equal(tracker.count, 0);
    assert.equal(tracker.bytes, before);
  });

  it('CT-08, CT-25: refuses what a full table cannot take, and counts it; spares what is ASSURED', () => {
    const tracker = createTracker({ limit: 100 });
    // Answered and ASSURED, so that nothing of it may be given up.
    for (let i = 0; i < 100; i++) {
      const row = tcp(i, 0, 'S');
      track(tracker, row);
      track(tracker, { ...reversed(row), flags: 'SA' });
      track(tracker, { ...row, flags: 'A' });
    }
    for (let i = 0; i < 7; i++) {
      assert.equal(track(tracker, tcp(1000 + i, 1, 'S')), TrackState.New);
      assert.equal(tracker.entry, -1);
      assert.equal(tracker.created, 0);
    }
    assert.deepEqual([tracker.count, tracker.refused, tracker.evicted], [100, 7, 0]);
    // One closes, and makes room at the next look.
    track(tracker, { ...tcp(5, 2, 'FA') });
    track(tracker, tcp(2000, 3, 'S'));
    assert.deepEqual([tracker.count, tracker.refused, tracker.evicted, tracker.created], [100, 7, 1, 1]);
  });

  it('CT-08: gives up unanswered entries of a full table first', () => {
    const tracker = createTracker({ limit: 10 });
    for (let i = 0; i < 10; i++) track(tracker, udp(i, 0));
    track(tracker, udp(10, 0));
    assert.deepEqual([tracker.count, tracker.evicted, tracker.refused], [1, 10, 0]);
  });

  it('CT-25, CT-30: spares of what has no machine of its own only streams, which are answered and, for UDP, old', () => {
    const cases: readonly (readonly [name: string, own: Partial<Row>, times: readonly number[], isSpared: boolean])[] =
      [
        ['UDP, answered and old', {}, [0, 1, 3, 4], true],
        ['UDP, answered and young', {}, [0, 0.1, 0.2, 0.3], false],
        ['UDP-Lite, answered', { protocol: 136 }, [0, 0.1, 0.2], true],
        ['GRE, answered', { protocol: 47 }, [0, 0.1, 0.2], true],
        ['another protocol, answered', { protocol: 253 }, [0, 1, 3, 4], false],
        ['an echo, answered', { protocol: 1, icmp: 8 << 8 }, [0, 1, 3, 4], false],
      ];
    for (const [name, own, times, isSpared] of cases)
      for (const answer of ['answered', 'unanswered']) {
        const tracker = createTracker({ limit: 1 });
        const row: Row = { ...udp(1, 0), ...own };
        const back: Row = { ...reversed(row), ...(own.icmp !== undefined && { icmp: 0, srcPort: row.srcPort! }) };
        times.forEach((timeS, index) =>
          track(tracker, { ...(index % 2 === 1 && answer === 'answered' ? back : row), timeS }),
        );
        track(tracker, tcp(9, times.at(-1)! + 0.1, 'S'));
        const spared = isSpared && answer === 'answered';
        assert.deepEqual([tracker.refused, tracker.evicted], spared ? [1, 0] : [0, 1], `${name}, ${answer}`);
      }
  });

  it('CT-08: spares an association in HEARTBEAT_SENT that a record has answered', () => {
    const tracker = createTracker({ limit: 1 });
    const heartbeat: Row = { protocol: 132, src: 1, dst: 2, srcPort: 5, dstPort: 6, chunks: [4], tag: 7, timeS: 0 };
    assert.equal(track(tracker, heartbeat), TrackState.New);
    const answer: Row = { ...reversed(heartbeat), kind: RecordKind.OneWay };
    assert.equal(tracker.associate(batchOf(answer), 0), TrackState.Established);
    track(tracker, udp(1, 1));
    assert.deepEqual([tracker.refused, tracker.evicted], [1, 0]);
  });

  it('CT-21: takes no other connection along with one that is killed', () => {
    const tracker = createTracker({});
    const count = 3000;
    for (let i = 0; i < count; i++) track(tracker, tcp(i, 0, 'S'));
    for (let i = 0; i < count; i += 3) track(tracker, tcp(i, 1, 'R'));
    assert.equal(tracker.count, count - Math.ceil(count / 3));
    for (let i = 0; i < count; i++) {
      const state = track(tracker, { ...reversed(tcp(i, 2, 'SA')) });
      assert.deepEqual([state, tracker.created], i % 3 === 0 ? [TrackState.Invalid, 0] : [TrackState.Established, 0]);
    }
  });

  it('takes no other connection along either where the first slot of the table is empty', () => {
    for (let from = 0; from < 20_000; from += 1000) {
      const tracker = createTracker({});
      const rows = Array.from({ length: 500 }, (_, i) => tcp(from + i, 0, 'S'));
      for (const row of rows) track(tracker, row);
      for (const row of rows.filter((_, i) => i % 3 === 0)) track(tracker, { ...row, flags: 'R' });
      for (const row of rows.filter((_, i) => i % 3 !== 0))
        assert.equal(track(tracker, { ...reversed(row), flags: 'SA' }), TrackState.Established, `from ${from}`);
    }
  });

  it('finds each of its connections again, in whatever slot it lies', () => {
    const tracker = createTracker({});
    const count = 2000;
    for (const protocol of [17, 47]) {
      for (let i = 0; i < count; i++) track(tracker, { ...udp(i, 0), protocol });
      for (let i = 0; i < count; i++) {
        assert.equal(track(tracker, { ...reversed(udp(i, 0)), protocol }), TrackState.Established);
        assert.equal(tracker.created, 0);
      }
    }
    assert.equal(tracker.count, 2 * count);
  });

  it('keeps for each connection when it ends, through growth', () => {
    const count = 2000;
    for (const [waitS, created] of [
      [29.98, 0],
      [30.02, 1],
    ] as const) {
      const tracker = createTracker({});
      for (let i = 0; i < count; i++) track(tracker, udp(i, i / 100));
      for (let i = 0; i < count; i++) {
        track(tracker, udp(i, i / 100 + waitS));
        assert.equal(tracker.created, created, `connection ${i} after ${waitS} s`);
      }
    }
  });

  it('tells the connections of two hosts apart by their ports', () => {
    const tracker = createTracker({});
    const row = (i: number): Row => ({ ...udp(1, 0), srcPort: 1024 + (i % 60), dstPort: 53 + Math.floor(i / 60) });
    for (let i = 0; i < 3000; i++) {
      assert.equal(track(tracker, row(i)), TrackState.New);
      assert.equal(tracker.created, 1, `connection ${i}`);
    }
    assert.equal(tracker.count, 3000);
  });

  it('is as small again as a few need, when many have gone', () => {
    const tracker = createTracker({});
    const { bytes } = tracker;
    for (let i = 0; i < 3000; i++) track(tracker, udp(i, 0));
    assert.ok(tracker.bytes > 4 * bytes);
    for (let i = 0; i < 10_000; i++) track(tracker, udp(i, 100 + i * 100));
    assert.equal(tracker.bytes, bytes);
  });

  it('is never smaller than it began', () => {
    for (const initialCapacity of [0, 5000]) {
      const tracker = createTracker({ initialCapacity });
      const { bytes } = tracker;
      // One lives at a time.
      for (let i = 0; i < 6000; i++) {
        track(tracker, udp(i, i * 100));
        assert.ok(tracker.bytes === bytes, `${tracker.bytes} bytes after ${i}`);
      }
    }
  });

  it('CT-25: spares TCP and SCTP once both ends have agreed, a TCP connection picked up half-way included', () => {
    const cases: readonly (readonly [name: string, packets: readonly Row[], spared: number])[] = [
      ['an association', association(), 4],
      ['a handshake', [tcp(1, 0, 'S'), { ...reversed(tcp(1, 0, 'SA')) }, tcp(1, 0, 'A')], 3],
      ['a connection half-way', [tcp(1, 0, 'PA'), reversed(tcp(1, 0, 'A')), tcp(1, 0, 'A')], 3],
    ];
    for (const [name, packets, spared] of cases)
      packets.forEach((_, last) => {
        const tracker = createTracker({ limit: 1 });
        for (const row of packets.slice(0, last + 1)) assert.notEqual(track(tracker, row), TrackState.Invalid);
        track(tracker, tcp(9, 0.1, 'S'));
        const expected = last + 1 < spared ? [0, 1] : [1, 0];
        assert.deepEqual([tracker.refused, tracker.evicted], expected, `${name}, ${last + 1} packets`);
      });
  });

  it('CT-08: gives an association up that is shutting down', () => {
    const tracker = createTracker({ limit: 1 });
    for (const row of [...association(), sctp(7, 0x22)]) assert.notEqual(track(tracker, row), TrackState.Invalid);
    track(tracker, tcp(9, 0.1, 'S'));
    assert.deepEqual([tracker.refused, tracker.evicted], [0, 1]);
  });

  it('hands its counters over, and takes them back', () => {
    const tracker = new TableTracker({});
    for (let i = 0; i < 9; i++) track(tracker, udp(i, i * 10));
    const state = new Int32Array(3 + TableState.Size).fill(77);
    tracker.table.writeState(state, 3);
    assert.deepEqual([...state], [77, 77, 77, 1023, 9, 640, tracker.count, tracker.peak, tracker.expired]);
    state.set([1023, 20, 640, 11, 12, 13], 3);
    tracker.table.readState(state, 3);
    assert.deepEqual([tracker.count, tracker.peak, tracker.expired], [11, 12, 13]);
    tracker.table.writeState(state, 0);
    assert.deepEqual([...state.subarray(0, TableState.Size)], [1023, 20, 640, 11, 12, 13]);
  });

  it('refuses impossible options', () => {
    assert.throws(() => createTracker({ limit: 0 }), RangeError);
    assert.throws(() => createTracker({ timeouts: { udp: -1 } }), RangeError);
    assert.throws(() => createTracker({ timeouts: { udp: NaN } }), RangeError);
    for (const name of ['udp', 'udpStream', 'generic'] as const) {
      assert.throws(() => createTracker({ timeouts: { [name]: 1301 } }), RangeError);
      assert.ok(createTracker({ timeouts: { [name]: 1300 } }));
    }
    assert.ok(createTracker({ timeouts: { tcpEstablished: 1301, icmp: 1301 } }));
  });
});

describe('the clock', () => {
  it('expires at the timeout, not before', () => {
    const tracker = createTracker({});
    track(tracker, udp(1, 0));
    track(tracker, reversed(udp(1, 29.98)));
    assert.equal(tracker.created, 0);
    track(tracker, udp(2, 0));
    track(tracker, udp(2, 60));
    assert.equal(tracker.created, 1);
  });

  it('tolerates records that come late, and goes on where a new file begins', () => {
    const tracker = createTracker({});
    track(tracker, udp(1, 1000));
    track(tracker, udp(1, 950));
    assert.equal(tracker.created, 0);
    track(tracker, udp(1, 10));
    assert.equal(tracker.created, 0, 'time stood still over the step back');
    track(tracker, udp(1, 45));
    assert.equal(tracker.created, 1, 'and went on from there');
  });

  it('takes every connection along when it is set back, each with what is left to it', () => {
    const tracker = createTracker({});
    // 2^30 hundredths of a second after the first record.
    const highestS = 2 ** 30 / 100;
    track(tracker, udp(99, 0));
    for (let i = 0; i < 50; i++)
      for (const row of [
        tcp(i, highestS - 100, 'S'),
        reversed(tcp(i, highestS - 100, 'SA')),
        tcp(i, highestS - 100, 'A'),
      ])
        track(tracker, row);
    for (let i = 50; i < 90; i++) track(tracker, udp(i, highestS - 15));
    track(tracker, udp(98, highestS + 1));
    for (let i = 0; i < 50; i++) {
      assert.equal(track(tracker, reversed(tcp(i, highestS + 10, 'A'))), TrackState.Established);
      assert.equal(tracker.created, 0);
    }
    for (let i = 50; i < 90; i++) {
      track(tracker, udp(i, highestS + (i < 70 ? 14.9 : 15.1)));
      assert.equal(tracker.created, i < 70 ? 0 : 1);
    }
  });

  it('takes connections along each time that it is set back', () => {
    const tracker = createTracker({});
    const highestS = 2 ** 30 / 100;
    track(tracker, udp(99, 0));
    for (const turn of [1, 2, 3]) {
      track(tracker, udp(turn, turn * highestS - 10));
      track(tracker, udp(turn, turn * highestS + 10));
      assert.equal(tracker.created, 0, `turn ${turn}`);
    }
  });

  it('CT-30: is set back without making a young connection of UDP old', () => {
    const tracker = createTracker({});
    const highestS = 2 ** 30 / 100;
    track(tracker, udp(99, 0));
    const row = (timeS: number): Row => udp(1, highestS + timeS);
    track(tracker, row(-0.1));
    assert.equal(track(tracker, reversed(row(-0.05))), TrackState.Established);
    // The clock is set back here, where the connection is 0.6 s old: no stream, for which two minutes would be waited.
    assert.equal(track(tracker, row(0.5)), TrackState.Established);
    track(tracker, row(31));
    assert.equal(tracker.created, 1);
  });

  it('survives years, absurd times and none', () => {
    const tracker = createTracker({});
    for (const timeS of [0, 1e7, 2e7, 3e7, 1e12, 1e300, -1e300, NaN, Infinity, 5]) {
      const row = tcp(1, timeS, 'S');
      track(tracker, row);
      assert.equal(track(tracker, { ...reversed(row), flags: 'SA' }), TrackState.Established, `at ${timeS}`);
    }
  });
});

it('times that are no numbers leave the clock where it is', () => {
  const clock = new Clock();
  const ticks = [Infinity, NaN, 0, 10e6, Infinity, 10e6, -Infinity, NaN, 20e6].map((timeUs) => clock.advance(timeUs));
  assert.deepEqual(ticks, [0, 0, 0, 1000, 1000, 1000, 1000, 1000, 2000]);
  assert.deepEqual([clock.setBack, clock.turnsBack], [0, 0]);
});

it('CT-06: the clock stands still over small steps back, and begins anew where it stands after greater ones', () => {
  const clock = new Clock();
  const timesS = [0, 70, -70, -60, 70, 10, 9.99, -70, -60, -60.001, 100, 40, 39.989, 39.99, 100, 40.01, 39.98, 41];
  const ticks = timesS.map((timeS) => clock.advance(timeS * 1e6));
  let [epochS, tick, turnsBack] = [0, 0, 0];
  const expected = timesS.map((timeS) => {
    // Hundredths, whatever floating point makes of the seconds.
    const own = Math.floor((timeS * 1e6 - epochS * 1e6) / 10_000);
    if (own < tick - 6000) [epochS, turnsBack] = [timeS - tick / 100, turnsBack + 1];
    return (tick = Math.max(tick, own));
  });
  assert.deepEqual([...ticks, clock.turnsBack], [...expected, turnsBack]);
  assert.ok(turnsBack >= 2);
});

describe('what ICMP says', () => {
  const echo = (family: 4 | 6, type: number, id: number): Row => ({
    protocol: family === 4 ? 1 : 58,
    family,
    src: 1,
    dst: 2,
    srcPort: id,
    icmp: type << 8,
    timeS: 0,
  });

  it('CT-40, CT-45: of queries is one connection from both sides, an identifier each, in records too', () => {
    for (const [family, request, reply, foreign] of [
      [4, 8, 0, 128],
      [4, 13, 14, 129],
      [6, 128, 129, 8],
    ] as const)
      for (const kind of [RecordKind.Packet, RecordKind.OneWay]) {
        const tracker = createTracker({});
        const see = (row: Row): readonly number[] => {
          const own = batchOf({ ...row, kind }, batch);
          if (kind === RecordKind.Packet) tracker.track(own, 0);
          else tracker.associate(own, 0);
          return [tracker.created, tracker.direction];
        };
        const back = (type: number, id: number): Row => ({ ...echo(family, type, id), src: 2, dst: 1 });
        assert.deepEqual(see(echo(family, request, 7)), [1, ConnectionDirection.Original]);
        assert.deepEqual(see(back(reply, 7)), [0, ConnectionDirection.Reply]);
        assert.equal(see(echo(family, request, 8))[0], 1, 'another identifier');
        assert.equal(see(echo(family, request, 7))[0], 0);
        // A query of the other family is none here: as a record it stands for itself.
        if (kind === RecordKind.OneWay) assert.equal(see(echo(family, foreign, 7))[0], 1);
      }
  });

  it('CT-43: is RELATED to what it quotes: an echo reply too, and nothing without its ports', () => {
    const tracker = createTracker({});
    const error = (quote: Row): Row => ({ protocol: 1, src: 99, dst: quote.src, icmp: 3 << 8, timeS: 0, quote });
    const answer: Row = { ...echo(4, 0, 7), src: 2, dst: 1 };
    track(tracker, echo(4, 8, 7));
    track(tracker, answer);
    assert.equal(track(tracker, error(answer)), TrackState.Related);
    assert.equal(track(tracker, error({ ...answer, srcPort: 8 })), TrackState.Invalid);
    track(tracker, echo(6, 128, 7));
    const error6: Row = { ...error(echo(6, 128, 7)), protocol: 58, family: 6, icmp: 1 << 8 };
    assert.equal(track(tracker, error6), TrackState.Related);
    assert.equal(track(tracker, { ...error6, quote: { ...echo(6, 128, 7), protocol: 1 } }), TrackState.Invalid);
    // What the other family says of its own packet is no answer, whatever the numbers.
    const own6: Row = { ...udp(1, 0), family: 6 };
    track(tracker, own6);
    assert.equal(track(tracker, { ...error(own6), quote: own6 }), TrackState.Invalid);
    assert.equal(track(tracker, { ...error6, dst: own6.src, quote: own6 }), TrackState.Related);
    const last: Row = { ...udp(1, 0), srcPort: 65_535, dstPort: 65_535 };
    for (const row of [last, { ...last, dstPort: 53 }, { ...last, srcPort: 53 }]) {
      track(tracker, row);
      assert.equal(track(tracker, error(row)), TrackState.Related);
      for (const lack of [{ srcPort: -1 }, { dstPort: -1 }, { srcPort: -1, dstPort: -1 }])
        assert.equal(track(tracker, error({ ...row, ...lack })), TrackState.Invalid, JSON.stringify(lack));
    }
  });
});

describe('records that are no packets', () => {
  it('CT-70, CT-73: open with their own orientation and are found from both sides', () => {
    const tracker = createTracker({});
    const reply: Row = { ...reversed(udp(1, 0)), kind: RecordKind.OneWay, orientation: Orientation.Reply };
    assert.equal(tracker.associate(batchOf(reply), 0), TrackState.New);
    assert.deepEqual([tracker.direction, tracker.created], [ConnectionDirection.Reply, 1]);
    assert.equal(tracker.associate(batchOf({ ...udp(1, 1), kind: RecordKind.OneWay }), 0), TrackState.Established);
    assert.deepEqual([tracker.direction, tracker.created], [ConnectionDirection.Original, 0]);
  });

  it('have their initiator asked for once, when they open a connection', () => {
    const tracker = createTracker({});
    const row: Row = { ...udp(1, 0), kind: RecordKind.OneWay };
    let asked = 0;
    const orienter = { orient: () => (asked++, Orientation.Reply) };
    assert.equal(tracker.associate(batchOf(row), 0, orienter), TrackState.New);
    assert.equal(tracker.direction, ConnectionDirection.Reply);
    tracker.associate(batchOf({ ...row, timeS: 1 }), 0, orienter);
    tracker.associate(batchOf({ ...reversed(udp(1, 2)), kind: RecordKind.OneWay }), 0, orienter);
    assert.deepEqual([tracker.direction, tracker.created, asked], [ConnectionDirection.Original, 0, 1]);
  });

  it('CT-30: do not age a connection of UDP', () => {
    const tracker = createTracker({ limit: 1 });
    tracker.associate(batchOf({ ...udp(1, 0), kind: RecordKind.OneWay }), 0);
    track(tracker, reversed(udp(1, 0.1)));
    track(tracker, udp(1, 0.2));
    track(tracker, tcp(9, 0.3, 'S'));
    assert.deepEqual([tracker.refused, tracker.evicted], [0, 1], 'answered, and young');
  });

  it('CT-71: outlive the silence between intervals', () => {
    const tracker = createTracker({});
    const open: Row = { ...tcp(1, 0, 'PA'), kind: RecordKind.OneWay };
    tracker.associate(batchOf(open), 0);
    tracker.associate(batchOf({ ...open, timeS: 86_400 }), 0);
    assert.equal(tracker.created, 0);
  });

  it('CT-72: begin anew with a lone SYN after the end', () => {
    const tracker = createTracker({});
    const row = (timeS: number, flags: string): Row => ({ ...tcp(1, timeS, flags), kind: RecordKind.OneWay });
    tracker.associate(batchOf(row(0, 'SPAF')), 0);
    tracker.associate(batchOf(row(1, 'A')), 0);
    assert.equal(tracker.created, 0);
    tracker.associate(batchOf(row(2, 'S')), 0);
    assert.equal(tracker.created, 1);
  });

  it('CT-09: without addresses are not tracked', () => {
    const tracker = createTracker({});
    assert.equal(tracker.associate(batchOf({ ...udp(1, 0), family: 0 }), 0), TrackState.New);
    assert.deepEqual([tracker.entry, tracker.count], [-1, 0]);
    tracker.adopt(batchOf({ ...udp(1, 0), family: 0 }), 0, ConnectionDirection.Original);
    assert.deepEqual([tracker.entry, tracker.count], [-1, 0]);
    tracker.adopt(batchOf({ ...udp(1, 0), protocol: 1 }), 0, ConnectionDirection.Original);
    assert.deepEqual([tracker.entry, tracker.count], [-1, 0], 'ICMP without a type');
    assert.equal(track(tracker, { ...udp(1, 0), family: 0 }), TrackState.New);
    assert.deepEqual([tracker.entry, tracker.count], [-1, 0]);
  });

  it('CT-73: of ICMP are one connection from both sides without a type, and one a type where it is no query', () => {
    const icmp = (type: number | undefined): Row => ({
      protocol: 1,
      src: 1,
      dst: 2,
      kind: RecordKind.OneWay,
      timeS: 0,
      ...(type !== undefined && { icmp: type << 8 }),
    });
    const tracker = createTracker({});
    const created = [icmp(undefined), { ...icmp(undefined), src: 2, dst: 1 }, icmp(3), icmp(11), icmp(3)].map((row) => {
      tracker.associate(batchOf(row), 0);
      return tracker.created;
    });
    assert.deepEqual(created, [1, 0, 1, 1, 0]);
  });

  it('CT-07: without one of their ports are INVALID, whichever it is', () => {
    const tracker = createTracker({});
    for (const protocol of [6, 17, 132, 136])
      for (const lack of [{ srcPort: -1 }, { dstPort: -1 }, { srcPort: -1, dstPort: -1 }]) {
        const row: Row = { ...udp(1, 0), protocol, flags: 'S', chunks: [1], initTag: 1, ...lack };
        assert.equal(track(tracker, row), TrackState.Invalid, JSON.stringify(row));
        assert.deepEqual([tracker.cause, tracker.count], [InvalidCause.NoTransport, 0]);
      }
    for (const protocol of [6, 17, 132, 136]) {
      const row: Row = { ...udp(1, 0), protocol, flags: 'S', chunks: [1], initTag: 1, srcPort: 0, dstPort: 0 };
      assert.equal(track(tracker, row), TrackState.New, JSON.stringify(row));
    }
    assert.equal(track(tracker, { ...tcp(1, 0, 'S'), flags: undefined } as Row), TrackState.Invalid);
    assert.equal(track(tracker, { ...udp(1, 0), protocol: 132, chunks: [] }), TrackState.Invalid);
  });
});

describe('adoption of connections that were open before', () => {
  it('CT-74: makes both directions established, whichever was seen first', () => {
    const tracker = createTracker({ isTcpLoose: false });
    const answer: Row = { ...reversed(tcp(1, 0, 'PA')), flags: 'PA' };
    assert.equal(track(tracker, answer), TrackState.Invalid);
    assert.equal(tracker.cause, InvalidCause.TcpNoConnection);
    tracker.adopt(batchOf(answer), 0, ConnectionDirection.Reply);
    assert.deepEqual([tracker.created, tracker.direction], [1, ConnectionDirection.Reply]);
    assert.equal(track(tracker, tcp(1, 0, 'A')), TrackState.Established);
    assert.equal(tracker.direction, ConnectionDirection.Original);
    assert.equal(track(tracker, answer), TrackState.Established);
  });

  it('finds the answer where both ends have one address', () => {
    for (const [srcPort, dstPort] of [
      [1000, 53],
      [53, 1000],
    ] as const) {
      const tracker = createTracker({});
      const row: Row = { ...udp(1, 0), dst: udp(1, 0).src, srcPort, dstPort };
      assert.equal(track(tracker, row), TrackState.New);
      assert.equal(track(tracker, reversed(row)), TrackState.Established);
      assert.equal(tracker.direction, ConnectionDirection.Reply);
    }
  });

  it('keeps IPv4 and IPv6 apart', () => {
    const tracker = createTracker({});
    track(tracker, udp(1, 0));
    track(tracker, { ...udp(1, 0), family: 6 });
    assert.equal(tracker.created, 1);
  });
});

const batch = createBatch(1);

function track(tracker: Tracker, row: Row): TrackState {
  return tracker.track(batchOf(row, batch), 0);
}

function udp(index: number, timeS: number): Row {
  return {
    protocol: 17,
    src: 0x0a000000 + index,
    dst: 0xc0a80001,
    srcPort: 1024 + (index % 60_000),
    dstPort: 53,
    timeS,
  };
}

function tcp(index: number, timeS: number, flags: string): Row {
  return { ...udp(index, timeS), protocol: 6, dstPort: 80, flags };
}

function sctp(chunk: number, tag: number, initTag = 0): Row {
  return { ...udp(1, 0), protocol: 132, chunks: [chunk], tag, initTag };
}

/** The packets that open an association. */
function association(): readonly Row[] {
  return [sctp(1, 0, 0x11), reversed(sctp(2, 0x11, 0x22)), sctp(10, 0x22), reversed(sctp(11, 0x11))];
}
