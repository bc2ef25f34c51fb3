/**
 * Rules of connection tracking that no scenario file can say, because its packets have no chunks, tags or fields left out. Each
 * test names the ids that it pins (test/semantics/chain.test.ts reads them) and asks both trackers.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecordFlag, RecordKind, createBatch } from '../../src/model/flow.ts';
import { createSlowTracker } from '../../src/oracle/tracker.ts';
import { createTracker } from '../../src/track/tracker.ts';
import { batchOf, reversed, type Row } from './row.ts';

const STATES = ['new', 'established', 'related', 'invalid'];

/** An SCTP packet of the client, or of the server where `isBack`. */
function sctp(side: 'client' | 'server', chunks: readonly number[], tag: number, initTag = 0, timeS = 0): Row {
  const row: Row = { protocol: 132, src: 1, dst: 2, srcPort: 6000, dstPort: 7000, chunks, tag, initTag, timeS };
  return side === 'client' ? row : { ...reversed(row) };
}

const OPEN: readonly (readonly [Row, string])[] = [
  [sctp('client', [1], 0, 0x11), 'new'],
  [sctp('server', [2], 0x11, 0x22), 'established'],
  [sctp('client', [10], 0x22), 'established'],
  [sctp('server', [11], 0x11), 'established'],
];

/** A TCP packet of the client, or of the server. */
function tcp(side: 'client' | 'server', flags: string, timeS = 0): Row {
  const row: Row = { protocol: 6, src: 1, dst: 2, srcPort: 6000, dstPort: 80, flags, timeS };
  return side === 'client' ? row : reversed(row);
}

const RULES: readonly (readonly [name: string, packets: readonly (readonly [Row, string])[]])[] = [
  [
    'CT-20: one ACK answers the SYN that was ignored; the next one ends the connection, which is known for a while',
    [
      [tcp('client', 'S'), 'new'],
      [tcp('server', 'SA'), 'established'],
      [tcp('client', 'A'), 'established'],
      [tcp('client', 'FA'), 'established'],
      [tcp('server', 'FA'), 'established'],
      [tcp('client', 'S', 1), 'established'],
      [tcp('server', 'A', 1), 'established'],
      [tcp('server', 'A', 2), 'established'],
      // In LAST_ACK it would be gone.
      [tcp('client', 'A', 60), 'established'],
      [tcp('server', 'FA', 60), 'established'],
    ],
  ],
  [
    'CT-47: neighbour discovery is new each time, and its answer belongs to nothing',
    [135, 136, 135, 143].map((type): [Row, string] => [
      { protocol: 58, family: 6, src: 1, dst: 2, icmp: type << 8, timeS: 0 },
      'new',
    ]),
  ],
  [
    'CT-50: a chunk that the state has no room for is INVALID, and changes nothing',
    [
      [sctp('client', [4], 0x22), 'new'],
      [sctp('server', [10], 0x22), 'invalid'],
      [sctp('server', [5], 0x11), 'established'],
    ],
  ],
  [
    'CT-51: out of the blue, DATA, SACK, ABORT, COOKIE ACK and SHUTDOWN COMPLETE open nothing; others do',
    [
      ...[0, 3, 6, 11, 14, 12].map((type): [Row, string] => [sctp('client', [type], 0x22), 'invalid']),
      [sctp('client', [8], 0x22), 'new'],
    ],
  ],
  [
    'CT-52: DATA with the tag of the other direction is INVALID, and an INIT carries tag 0',
    [
      ...OPEN,
      [sctp('client', [0], 0x22), 'established'],
      [sctp('client', [0], 0x11), 'invalid'],
      [sctp('client', [1], 0x22, 0x11), 'invalid'],
    ],
  ],
  [
    'CT-52: where both sides sent an INIT, the INIT ACK must not say another tag than that',
    [
      [sctp('client', [1], 0, 0x11), 'new'],
      [sctp('server', [1], 0, 0x22), 'established'],
      [sctp('client', [2], 0x22, 0x33), 'invalid'],
      [sctp('client', [2], 0x22, 0x11), 'established'],
    ],
  ],
  [
    'CT-53: an INIT travels alone, and COOKIE ECHO not with COOKIE ACK',
    [
      [sctp('client', [1, 0], 0, 0x11), 'invalid'],
      ...OPEN.slice(0, 2),
      [sctp('client', [10, 11], 0x22), 'invalid'],
      [sctp('client', [10, 0], 0x22), 'established'],
    ],
  ],
  [
    'CT-54: a HEARTBEAT with a foreign tag passes, and the HEARTBEAT ACK that answers it changes the tags',
    [
      ...OPEN,
      [sctp('server', [5], 0x77), 'invalid'],
      [sctp('client', [4], 0x99), 'established'],
      [sctp('server', [5], 0x77), 'established'],
      [sctp('server', [0], 0x11), 'invalid'],
      [sctp('server', [0], 0x77), 'established'],
    ],
  ],
  [
    'CT-55: an ABORT may carry the tag of either side, and no other',
    [...OPEN, [sctp('client', [6], 0x33), 'invalid'], [sctp('client', [6], 0x11), 'established']],
  ],
  [
    'CT-56: an INIT sent again in CLOSED passes, and does not keep the connection alive',
    [
      [sctp('client', [1], 0, 0x11, 0), 'new'],
      [sctp('client', [1], 0, 0x11, 9), 'new'],
      // Alive, this would be its answer.
      [sctp('server', [2], 0x11, 0x22, 11), 'invalid'],
    ],
  ],
  [
    'CT-57: an INIT that says a known tag again leaves the tags as they were agreed on',
    [
      ...OPEN,
      [sctp('client', [1], 0, 0x11), 'established'],
      [sctp('server', [2], 0x11, 0x44), 'invalid'],
      [sctp('client', [0], 0x22), 'established'],
    ],
  ],
];

describe('rules of tracking that scenario files cannot say', () => {
  for (const [name, packets] of RULES)
    it(name, () => {
      const fast = createTracker({});
      const slow = createSlowTracker();
      const batch = createBatch(1);
      packets.forEach(([row, expected], index) => {
        batchOf(row, batch);
        assert.equal(STATES[fast.track(batch, 0)], expected, `packet ${index + 1}`);
        assert.equal(slow.track(batch, 0).state.toLowerCase(), expected, `packet ${index + 1}, slow tracker`);
      });
    });

  it('CT-73: what a record does not tell is zero, so that two such records are one connection', () => {
    const fast = createTracker({});
    const slow = createSlowTracker();
    const row: Row = { protocol: 17, src: 1, dst: 2, kind: RecordKind.OneWay, timeS: 0 };
    // The flag says why there are no ports, not whether there are.
    const cut: Row = { ...row, recordFlags: RecordFlag.NoPorts };
    const rows = [row, { ...row, srcPort: 0, dstPort: 0 }, { ...row, dstPort: 53 }, cut, { ...cut, dstPort: 53 }];
    // A type of ICMP belongs to ICMP.
    rows.push({ ...row, icmp: 3 << 8 });
    const created = rows.map((own) => {
      const batch = batchOf(own, createBatch(1));
      fast.associate(batch, 0);
      assert.equal(slow.associate(batch, 0).created, fast.created === 1);
      return fast.created;
    });
    assert.deepEqual(created, [1, 0, 1, 0, 0, 0]);
  });
});
