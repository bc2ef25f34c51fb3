/**
 * Exhaustive: every state that a TCP or SCTP connection can come to, and what every packet does in it. The states are found by a
 * search over the slow tracker; each is reached by a path of packets, which both trackers walk, and then both must say the same of
 * each next packet, and forget the connection at the same moment.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBatch } from '../../src/model/flow.ts';
import { createSlowTracker, type SlowConnection, type SlowResult } from '../../src/oracle/tracker.ts';
import { INVALID_CAUSES, type TrackerOptions } from '../../src/track/state.ts';
import { type Tracker, createTracker } from '../../src/track/tracker.ts';
import { runs } from '../law/seed.ts';
import { batchOf, type Row } from './row.ts';

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'];
const START_S = 1_700_000_000;
const batch = createBatch(1);

/** What can be sent: a packet, or (with `dropsNew`) one that policy denies where it is NEW. */
interface Move {
  readonly name: string;
  readonly row: Row;
  readonly dropsNew?: boolean;
}

const TCP = move(['S', 'SA', 'FA', 'A', 'R', 'RA', 'PA', 'SU', 'AU', 'FAU', 'F', 'SF', ''], (flags) => ({
  protocol: 6,
  flags,
}));
/** Chunks of each sort; a long run adds those that the table treats alike, and bundles. */
const SCTP_CHUNKS = [[1], [2], [10], [11], [0], [7], [8], [14], [5]];
const SCTP_MORE = [[6], [4], [9], [3], [0, 4], [10, 0], [11, 0], [3, 14], []];
const SCTP = (runs(1) > 1 ? [...SCTP_CHUNKS, ...SCTP_MORE] : SCTP_CHUNKS).flatMap((chunks) =>
  (runs(1) > 1 || chunks[0] === 1 ? [0, 1, 2] : [1, 2]).flatMap((tag) =>
    move([`${chunks.join('+')} tag ${tag}`], () => ({ protocol: 132, chunks, tag, initTag: 1 }), {
      back: { initTag: 2 },
    }),
  ),
);
const UDP = move(['datagram'], () => ({ protocol: 17 }));

test('TCP: in every state both trackers say the same of every packet, and forget at the same moment', (context) => {
  const found = explore([...TCP, ...TCP.slice(0, 2).map((one) => ({ ...one, dropsNew: true }))], {});
  context.diagnostic(`${found.states} states, ${found.moves} transitions, ${found.moments} moments`);
  assert.ok(found.states > 100, `${found.states} states`);
});

test('TCP with nf_conntrack_tcp_loose=0 and other timeouts', (context) => {
  const timeouts = {
    tcpSynSent: 11,
    tcpSynRecv: 12,
    tcpEstablished: 13,
    tcpFinWait: 14,
    tcpCloseWait: 15,
    tcpLastAck: 16,
  };
  const found = explore(TCP, { isTcpLoose: false, timeouts: { ...timeouts, tcpTimeWait: 17, tcpClose: 18 } });
  context.diagnostic(`${found.states} states, ${found.moves} transitions, ${found.moments} moments`);
  assert.ok(found.states > 50, `${found.states} states`);
});

test('SCTP: in every state both trackers say the same of every packet, and forget at the same moment', (context) => {
  const found = explore(SCTP, {});
  context.diagnostic(`${found.states} states, ${found.moves} transitions, ${found.moments} moments`);
  assert.ok(found.states > 50, `${found.states} states`);
});

test('UDP: in every state both trackers say the same of every packet, and forget at the same moment', () => {
  assert.ok(explore(UDP, {}).states >= 3);
});

interface Exploration {
  states: number;
  moves: number;
  moments: number;
}

/** Breadth first from nothing, so that paths are as short as they can be. */
function explore(moves: readonly Move[], options: TrackerOptions): Exploration {
  const seen = new Set(['nothing']);
  const queue: (readonly Move[])[] = [[]];
  const found: Exploration = { states: 0, moves: 0, moments: 0 };
  let fast = createTracker(options);
  for (let at = 0; at < queue.length; at++) {
    const path = queue[at]!;
    found.states++;
    for (const next of moves) {
      // A tracker costs more than a path: many paths share one, each between two ends of its own.
      if (++found.moves % 1000 === 0) fast = createTracker(options);
      const connection = compare([...path, next], 0, options, fast, (found.moves % 1000) * 2);
      const key = connection === undefined ? 'nothing' : keyOf(connection);
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push([...path, next]);
    }
    if (path.length === 0) continue;
    for (const waitS of momentsOf(path, options)) {
      compare([...path, moves[0]!], waitS, options);
      found.moments++;
    }
  }
  return found;
}

/** Just before and at the moment when the connection that a path leads to is gone. */
function momentsOf(path: readonly Move[], options: TrackerOptions): number[] {
  const slow = createSlowTracker(slowOptions(options));
  const walk = walkerOf(slow);
  const connection = path.map((one) => walk(one, 0)).at(-1)!.connection;
  if (connection === undefined) return [];
  const seconds = (connection.expiry - connection.bornTick) / 100;
  return [seconds - 1, seconds - 0.02, seconds, seconds + 0.02, seconds + 1].filter((wait) => wait > 0);
}

/** Walks a path in both trackers, the last step after `waitS` seconds; the connection that it leads to. */
function compare(
  path: readonly Move[],
  waitS: number,
  options: TrackerOptions,
  fast: Tracker = createTracker(options),
  shift = 0,
): SlowConnection | undefined {
  const slow = createSlowTracker(slowOptions(options));
  const walk = walkerOf(slow);
  let connection: SlowConnection | undefined;
  path.forEach((one, step) => {
    const isLast = step === path.length - 1;
    const { src, dst } = one.row;
    const timeS = START_S + (isLast ? waitS : 0);
    batchOf({ ...one.row, src: src + shift, dst: dst + shift, timeS }, batch);
    const state = STATES[fast.track(batch, 0)]!;
    const { cause, direction, created, entry } = fast;
    if (one.dropsNew === true && state === 'NEW') fast.drop();
    const { connection: own, ...expected } = walk(one, isLast ? waitS : 0);
    connection = own;
    // What goes before has been compared on a shorter path.
    if (!isLast) return;
    const said = {
      state,
      cause: INVALID_CAUSES[cause],
      direction: direction === 0 ? 'original' : 'reply',
      created: created === 1,
      isKnown: entry >= 0,
    };
    assert.deepEqual(said, { ...expected, isKnown: own !== undefined }, describe(path, waitS));
    if (shift === 0) assert.equal(fast.count > 0, slow.count() > 0, describe(path, waitS));
  });
  return slow.count() > 0 ? connection : undefined;
}

function walkerOf(slow: ReturnType<typeof createSlowTracker>): (one: Move, waitS: number) => SlowResult {
  return ({ row, dropsNew }, waitS) => {
    batchOf({ ...row, timeS: START_S + waitS }, batch);
    const result = slow.track(batch, 0);
    if (dropsNew === true && result.state === 'NEW') slow.drop();
    return result;
  };
}

/** All that the slow tracker knows of a connection but when it began. */
function keyOf({ bornTick, expiry, ...rest }: SlowConnection): string {
  return JSON.stringify({ ...rest, leftTicks: expiry - bornTick });
}

function slowOptions({ timeouts, ...rest }: TrackerOptions): Parameters<typeof createSlowTracker>[0] {
  return { ...rest, timeouts: { ...timeouts } as Record<string, number> };
}

function describe(path: readonly Move[], waitS: number): string {
  return `${path.map(({ name }) => name).join(', ')}${waitS > 0 ? ` after ${waitS} s` : ''}`;
}

/** Each packet there and back. */
function move(
  names: readonly string[],
  make: (name: string) => Partial<Row> & Pick<Row, 'protocol'>,
  { back = {} } = {},
): Move[] {
  return names.flatMap((name) => [
    { name: `> ${name}`, row: { ...make(name), src: 1, dst: 2, srcPort: 9, dstPort: 80 } },
    { name: `< ${name}`, row: { ...make(name), ...back, src: 2, dst: 1, srcPort: 80, dstPort: 9 } },
  ]);
}
