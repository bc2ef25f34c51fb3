/**
 * Asks the Linux kernel: random packets go through a router in a network namespace, and the state that nf_conntrack
 * gives each one is compared with src/track (and with its slow twin). Root, nft and python3 are needed; otherwise it
 * says why it is skipped and ends well.
 *
 * Then it asks about policies (policy.ts), about both at once (stream.ts), and every canary what the kernel was asked (hunt.ts).
 * `--packets`, `--verdicts` and `--streams` say how much of each, 0 leaves one out; `--long` asks ten times as much.
 *
 *     node --import tsx test/kernel/main.ts [--long] [--packets N] [--verdicts N] [--streams N] [--seed N]
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createBatch } from '../../src/model/flow.ts';
import { createSlowTracker, type SlowResult } from '../../src/oracle/tracker.ts';
import { DEFAULT_TIMEOUTS, type Timeouts } from '../../src/track/state.ts';
import { createTracker } from '../../src/track/tracker.ts';
import { batchOf, type Row } from '../track/row.ts';
import { frameOf, sideOf } from './frame.ts';
import { type Hunt, createHunt } from './hunt.ts';
import { STATE_MARKS, STATE_RULES, openLab, whyNoLab } from './lab.ts';
import { testPolicies } from './policy.ts';
import { testStreams } from './stream.ts';
import { createRandom, createTraffic } from './traffic.ts';

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'];
const ROUND = 60_000;
const BATCH = 20_000;
/** Nothing expires while a round lasts: this is about transitions, not about clocks. */
const TIMEOUTS = Object.fromEntries(Object.keys(DEFAULT_TIMEOUTS).map((name) => [name, 600])) as unknown as Timeouts;
const SYSCTLS = [
  'nf_conntrack_tcp_be_liberal=1',
  'nf_conntrack_tcp_loose=1',
  'nf_conntrack_checksum=0',
  'nf_conntrack_generic_timeout=600',
  'nf_conntrack_icmp_timeout=600',
  'nf_conntrack_icmpv6_timeout=600',
  'nf_conntrack_udp_timeout=600',
  'nf_conntrack_udp_timeout_stream=600',
  ...[
    'syn_sent',
    'syn_recv',
    'fin_wait',
    'close_wait',
    'last_ack',
    'time_wait',
    'close',
    'max_retrans',
    'unacknowledged',
  ].map((state) => `nf_conntrack_tcp_timeout_${state}=600`),
  ...[
    'closed',
    'cookie_wait',
    'cookie_echoed',
    'established',
    'shutdown_sent',
    'shutdown_recd',
    'shutdown_ack_sent',
    'heartbeat_sent',
  ].map((state) => `nf_conntrack_sctp_timeout_${state}=600`),
].map((setting) => `net.netfilter.${setting}`);

interface Memory {
  result: SlowResult;
  side: 0 | 1;
}

interface Tally {
  packets: number;
  mismatches: number;
  missing: number;
  readonly states: Map<string, number>;
}

const { values } = parseArgs({
  options: {
    long: { type: 'boolean', default: false },
    packets: { type: 'string' },
    verdicts: { type: 'string' },
    streams: { type: 'string' },
    seed: { type: 'string' },
  },
});
const times = values.long ? 10 : 1;
const packets = Number(values.packets ?? 200_000 * times);
const verdicts = Number(values.verdicts ?? 110_000 * times);
const streams = Number(values.streams ?? 60_000 * times);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const reason = whyNoLab();
if (reason !== undefined) console.log(`kernel test skipped: ${reason}`);
else {
  const hunt = createHunt();
  const codes = [
    packets > 0 ? await main() : 0,
    verdicts > 0 ? await testPolicies(verdicts, seed, hunt) : 0,
    streams > 0 ? await testStreams(streams, seed, SYSCTLS, hunt) : 0,
    ...(verdicts > 0 ? [reportHunt(hunt, 'flows')] : []),
    ...(streams > 0 ? [reportHunt(hunt, 'packets')] : []),
  ];
  process.exitCode = Math.max(...codes);
}

function reportHunt(hunt: Hunt, kind: 'flows' | 'packets'): number {
  const lines = hunt.report(kind);
  const alive = hunt.alive(kind);
  console.log(`canaries of ${kind}, ${lines.length}:\n  ${lines.join('\n  ')}`);
  console.log(alive.length === 0 ? 'the kernel contradicts each that can show here' : `ALIVE: ${alive.join('; ')}`);
  return alive.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  console.log(`kernel test: Linux ${release}, ${packets} packets, seed ${seed}`);
  const tally: Tally = { packets: 0, mismatches: 0, missing: 0, states: new Map() };
  const started = performance.now();
  for (let round = 0; tally.packets < packets; round++) {
    const lab = openLab(STATE_RULES, SYSCTLS);
    try {
      await playRound(lab, Math.min(ROUND, packets - tally.packets), round, tally);
    } finally {
      lab.close();
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const counts = [...tally.states].sort().map(([state, count]) => `${state} ${count}`);
  console.log(
    `${tally.packets} packets, ${tally.mismatches} mismatches, ${tally.missing} not delivered, ${seconds.toFixed(1)} s`,
  );
  console.log(`states: ${counts.join(', ')}`);
  // A run that met only one state would prove nothing.
  const isVaried = STATES.every((state) => (tally.states.get(state) ?? 0) > tally.packets / 100);
  if (!isVaried) console.log('too few packets of one state: the traffic is not what it should be');
  return tally.mismatches === 0 && tally.missing === 0 && isVaried ? 0 : 1;
}

async function playRound(lab: ReturnType<typeof openLab>, count: number, round: number, tally: Tally): Promise<void> {
  const shots = createTraffic(createRandom(seed + round * 7919), count, round);
  const tracker = createTracker({ timeouts: TIMEOUTS });
  const slow = createSlowTracker({ timeouts: { ...TIMEOUTS } });
  const batch = createBatch(1);
  const memories = new Map<number, Memory>();
  const history = new Map<number, string[]>();
  for (let from = 0; from < shots.length; from += BATCH) {
    const part = shots.slice(from, from + BATCH);
    const frames = [];
    const expected: string[] = [];
    for (const [number, { row, flow }] of part.entries()) {
      const isTagReflected = reflectsTag(row, memories.get(flow));
      batchOf({ ...row, timeS: 0 }, batch);
      expected.push(STATES[tracker.track(batch, 0)]!);
      const result = slow.track(batch, 0);
      if (result.connection !== undefined && row.quote === undefined)
        memories.set(flow, { result, side: sideOf(row.src) });
      if (result.state !== expected[number]) throw new Error(`the trackers differ on ${JSON.stringify(row)}`);
      frames.push(frameOf(row, number, { isTagReflected }));
    }
    const marks = await lab.exchange(frames);
    for (const [number, { row, flow }] of part.entries()) {
      const mark = marks[number]!;
      const state = STATE_MARKS[mark] ?? (mark === 255 ? 'MISSING' : `DSCP ${mark}`);
      tally.packets++;
      tally.states.set(state, (tally.states.get(state) ?? 0) + 1);
      const log = history.get(flow) ?? [];
      history.set(flow, log);
      log.push(`${describeRow(row)}: kernel ${state}, tracker ${expected[number]}`);
      if (state === expected[number]) continue;
      if (mark === 255) tally.missing++;
      else tally.mismatches++;
      if (tally.mismatches + tally.missing <= 5) console.log(`MISMATCH in flow ${flow}:\n  ${log.join('\n  ')}`);
    }
  }
}

/** A record does not tell the T bit; where the tag is the sender's own, the wire has to say so (rule CT-55). */
function reflectsTag(row: Row, memory: Memory | undefined): boolean {
  const connection = memory?.result.connection;
  if (row.protocol !== 132 || memory === undefined || connection === undefined) return false;
  const isSameWay = sideOf(row.src) === memory.side;
  const direction = isSameWay === (memory.result.direction === 'original') ? 'original' : 'reply';
  const other = direction === 'original' ? 'reply' : 'original';
  return row.tag !== connection.tags[direction] && row.tag === connection.tags[other];
}

function describeRow(row: Row): string {
  const { protocol, family, flags, icmp, chunks, tag, initTag, quote } = row;
  const parts = [sideOf(row.src) === 0 ? 'a>b' : 'b>a', `IPv${family} proto ${protocol}`];
  if (flags !== undefined) parts.push(flags || 'NULL');
  if (icmp !== undefined) parts.push(`type ${icmp >>> 8}/${icmp & 255} id ${row.srcPort}`);
  if (chunks !== undefined)
    parts.push(`chunks ${chunks.join('+')} tag ${tag!.toString(16)} init ${initTag!.toString(16)}`);
  if (quote !== undefined) parts.push(`quotes [${describeRow(quote)}]`);
  return parts.join(' ');
}
