/**
 * Exhaustive: every state that a connection can come to, and what every packet does in it. The states are found by a search over both
 * trackers at once: a state is what the slow one knows of the connection with the words of the fast one's entry, so that paths after
 * which only the hidden words differ are both continued. Each is reached by a path, which both walk, and then both must say the same of
 * each next packet, forget the connection at the same moment, and give it up alike when the table is full.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Orientation, RecordKind, createBatch } from '../../src/model/flow.ts';
import { createSlowTracker, type SlowConnection, type SlowResult } from '../../src/oracle/tracker.ts';
import { UdpMeta, Word } from '../../src/track/entry.ts';
import { INVALID_CAUSES, type ConnectionDirection, type TrackerOptions } from '../../src/track/state.ts';
import { TableTracker } from '../../src/track/tracker.ts';
import { runs } from '../law/seed.ts';
import { batchOf, type Row } from './row.ts';

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'];
const START_S = 1_700_000_000;
/** More states than any protocol has here; a tracker that makes ever new ones is wrong, and must not be followed without an end. */
const MOST_STATES = runs(1) > 1 ? 50_000 : 2_000;
const batch = createBatch(1);

/** What can come: a packet, one that policy denies where it is NEW (`dropsNew`), a record, or the taking over of a connection. */
interface Move {
  readonly name: string;
  readonly row: Row;
  /** `track` unless given; a number: `adopt` with this direction. */
  readonly call?: 'associate' | ConnectionDirection;
  readonly dropsNew?: boolean;
  /** Seconds since the one before. */
  readonly waitS?: number;
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
const RECORDS = ['S', 'SA', 'FA', 'R', undefined];
const TCP_RECORDS = RECORDS.flatMap((flags) => recordsOf(`${flags ?? 'no flags'}`, { protocol: 6, flags }));

test('TCP: in every state both trackers say the same of every packet, and forget at the same moment', (context) => {
  const found = explore([...TCP, ...TCP.slice(0, 2).map((one) => ({ ...one, dropsNew: true }))], {});
  context.diagnostic(describeAll(found));
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
  context.diagnostic(describeAll(found));
  assert.ok(found.states > 50, `${found.states} states`);
});

test('TCP with records and connections that are taken over', (context) => {
  const found = explore([...TCP.slice(0, 10), ...TCP_RECORDS], {});
  context.diagnostic(describeAll(found));
  assert.ok(found.states > 100, `${found.states} states`);
});

test('SCTP: in every state both trackers say the same of every packet, and forget at the same moment', (context) => {
  const found = explore(SCTP, {});
  context.diagnostic(describeAll(found));
  assert.ok(found.states > 50, `${found.states} states`);
});

test('SCTP with records and connections that are taken over', (context) => {
  const found = explore(
    [...SCTP.filter(({ row }) => row.tag !== 2), ...recordsOf('record', { protocol: 132, chunks: [0] })],
    {},
  );
  context.diagnostic(describeAll(found));
  assert.ok(found.states > 50, `${found.states} states`);
});

for (const [name, protocol] of [
  ['UDP', 17],
  ['UDP-Lite', 136],
  ['GRE', 47],
  ['another protocol', 89],
] as const)
  test(`${name}: whatever comes after whatever time, both trackers say the same, and forget at the same moment`, (context) => {
    const all = [...move(['packet'], () => ({ protocol })), ...recordsOf('record', { protocol })];
    // What is taken over a second time is not refreshed: waiting there would lead to ever new states.
    const moves = all.flatMap((one) =>
      (typeof one.call === 'number' ? [0] : [0, 2, 2.01, 29.99]).map((waitS) => ({ ...one, waitS })),
    );
    const found = explore(moves, {});
    context.diagnostic(describeAll(found));
    assert.ok(found.states >= 4, `${found.states} states`);
  });

interface Exploration {
  states: number;
  moves: number;
  moments: number;
}

/** Breadth first from nothing, so that paths are as short as they can be. */
function explore(moves: readonly Move[], options: TrackerOptions): Exploration {
  const seen = new Set(['']);
  const queue: (readonly Move[])[] = [[]];
  const found: Exploration = { states: 0, moves: 0, moments: 0 };
  const isTimeless = moves.every(({ waitS }) => waitS === undefined);
  let fast = new TableTracker(options);
  for (let at = 0; at < queue.length; at++) {
    const path = queue[at]!;
    found.states++;
    assert.ok(found.states < MOST_STATES, `ever new states: ${describe(path)}`);
    for (const next of moves) {
      // A tracker costs more than a path: many paths share one, each between two ends of its own.
      if (++found.moves % 1000 === 0 || !isTimeless) fast = new TableTracker(options);
      const key = compare([...path, next], options, fast, isTimeless ? (found.moves % 1000) * 2 : 0);
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push([...path, next]);
    }
    if (path.length === 0) continue;
    for (const waitS of momentsOf(path, options)) {
      compare([...path, { ...moves[0]!, waitS }], options);
      found.moments++;
    }
    // Another connection meets a table that is full.
    const { row } = moves[0]!;
    compare([...path, { name: 'another', row: { ...row, src: 7, dst: 8 } }], { ...options, limit: 1 });
  }
  return found;
}

/** Just before and at the moment when the connection that a path leads to is gone. */
function momentsOf(path: readonly Move[], options: TrackerOptions): number[] {
  const slow = createSlowTracker(slowOptions(options));
  let nowS = START_S;
  let connection: SlowConnection | undefined;
  for (const one of path) ({ connection } = stepSlow(slow, one, (nowS += one.waitS ?? 0)));
  if (connection === undefined) return [];
  const seconds = connection.expiry / 100 - (nowS - START_S);
  return [seconds - 1, seconds - 0.02, seconds, seconds + 0.02, seconds + 1].filter((wait) => wait > 0);
}

/** Walks a path in both trackers; names the state that it leads to. */
function compare(path: readonly Move[], options: TrackerOptions, fast = new TableTracker(options), shift = 0): string {
  const slow = createSlowTracker(slowOptions(options));
  let nowS = START_S;
  let key = '';
  path.forEach((one, step) => {
    const { src, dst } = one.row;
    nowS += one.waitS ?? 0;
    batchOf({ ...one.row, src: src + shift, dst: dst + shift, timeS: nowS }, batch);
    const state = stepFast(fast, one.call);
    const { cause, direction, created, entry } = fast;
    if (one.dropsNew === true && state === 'NEW') fast.drop();
    const { connection, ...expected } = stepSlow(slow, one, nowS);
    // What goes before has been compared on a shorter path.
    if (step < path.length - 1) return;
    const said = {
      state: state ?? expected.state,
      cause: INVALID_CAUSES[cause],
      direction: direction === 0 ? 'original' : 'reply',
      created: created === 1,
      isKnown: entry >= 0,
    };
    assert.deepEqual(said, { ...expected, isKnown: connection !== undefined }, describe(path));
    if (shift === 0) {
      assert.equal(fast.count > 0, slow.count() > 0, describe(path));
      assert.deepEqual([fast.refused, fast.evicted], [slow.refused, slow.evicted], describe(path));
    }
    if (connection !== undefined && slow.count() > 0)
      key = `${keyOf(connection, Math.round((nowS - START_S) * 100))} ${wordsOf(fast)}`;
  });
  return key;
}

/** Gives the fast tracker the row in hand; what it says of it, if anything. */
function stepFast(fast: TableTracker, call: Move['call']): string | undefined {
  if (typeof call === 'number') return void fast.adopt(batch, 0, call);
  return STATES[call === undefined ? fast.track(batch, 0) : fast.associate(batch, 0)];
}

function stepSlow(
  slow: ReturnType<typeof createSlowTracker>,
  { row, call, dropsNew }: Move,
  timeS: number,
): SlowResult {
  batchOf({ ...row, timeS }, batch);
  if (typeof call === 'number') return slow.adopt(batch, 0, call === 0 ? 'original' : 'reply');
  const result = call === undefined ? slow.track(batch, 0) : slow.associate(batch, 0);
  if (dropsNew === true && result.state === 'NEW') slow.drop();
  return result;
}

/** All that the slow tracker knows of a connection but when it began; an age beyond two seconds is as good as any. */
function keyOf({ bornTick, expiry, ...rest }: SlowConnection, tick: number): string {
  return JSON.stringify({ ...rest, leftTicks: expiry - tick, age: Math.min(tick - bornTick, 201) });
}

/** The same of the fast one, after the call that found the connection: its meta word, what is left of its time, and its tags. */
function wordsOf({ entry, table: { words, tick, tags } }: TableTracker): string {
  let meta = words[entry + Word.Meta]!;
  if ((meta & 0xff) === 17) meta &= ~(UdpMeta.BeginMask << UdpMeta.BeginShift);
  const at = (entry / Word.Count) * 2;
  return [meta, words[entry + Word.Expiry]! - tick, ...tags.slice(at, at + 2)].join(' ');
}

function slowOptions({ timeouts, ...rest }: TrackerOptions): Parameters<typeof createSlowTracker>[0] {
  return { ...rest, timeouts: { ...timeouts } as Record<string, number> };
}

function describe(path: readonly Move[]): string {
  return path.map(({ name, waitS = 0 }) => (waitS > 0 ? `${name} after ${waitS} s` : name)).join(', ');
}

function describeAll({ states, moves, moments }: Exploration): string {
  return `${states} states, ${moves} transitions, ${moments} moments`;
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

/** A record of one direction, a summary of both, and the taking over of either direction's packet, there and back. */
function recordsOf(name: string, row: Partial<Row> & Pick<Row, 'protocol'>): Move[] {
  return move([name], () => row).flatMap((one, way) => {
    const orientation = way === 0 ? Orientation.Original : Orientation.Reply;
    const record = { ...one.row, kind: RecordKind.OneWay, orientation };
    return [
      { name: `${one.name} record`, row: record, call: 'associate' },
      {
        name: `${one.name} summary`,
        row: { ...record, kind: RecordKind.Connection, replyPackets: 1 },
        call: 'associate',
      },
      { name: `${one.name} taken over as original`, row: one.row, call: 0 },
      { name: `${one.name} taken over as reply`, row: one.row, call: 1 },
    ] as const;
  });
}
