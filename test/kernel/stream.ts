/**
 * Asks the kernel about policies and connection tracking at once: random clusters become a ruleset that knows states, random streams
 * of TCP, UDP and ICMP packets go through it, and of each one the engine must have said what became of it: let through as NEW, as
 * ESTABLISHED, as RELATED, called INVALID, or dropped by a policy, whose drop leaves no connection behind.
 */
import { performance } from 'node:perf_hooks';
import type { Packet } from '../../src/model/flow.ts';
import { engine } from '../../src/replay/session.ts';
import { flagsOf, type Row } from '../track/row.ts';
import { type RawCluster, createCluster, createPackets } from './cluster.ts';
import { frameOf } from './frame.ts';
import { type Asked, type Hunt, MOST_LOOKED_AT, type Question, wordOf } from './hunt.ts';
import { type Lab, openLab } from './lab.ts';
import { flowOf, loadWorld } from './policy.ts';
import { createRuleset } from './ruleset.ts';
import { type Random, createRandom } from './traffic.ts';

const PACKETS_PER_CLUSTER = 1500;
/** Connections of one cluster. Each has a port of its own, which no cluster of the same lab uses again. */
const FLOWS_PER_CLUSTER = 200;
const CLUSTERS_PER_LAB = 200;
/** All packets of a stream lie within the shortest timeout, 10 seconds: the kernel's do not expire either. */
const STEP_S = 0.005;
const MOST_PRINTED = 5;
const WORDS = ['allow', 'deny', 'established', 'related', 'invalid-state'];
/** The DSCP that the ruleset writes -> the word for it; 255 did not come out. */
const MARKS: Readonly<Record<number, string>> = {
  1: 'allow',
  2: 'established',
  3: 'related',
  4: 'invalid-state',
  255: 'deny',
};
const TCP = ['S', 'S', 'SA', 'SA', 'A', 'A', 'A', 'PA', 'FA', 'FA', 'R', 'RA', 'SF', ''];

/** Compares `wanted` packets or a few more; returns the exit code. `sysctls` as of the tracking test. */
export async function testStreams(
  wanted: number,
  seed: number,
  sysctls: readonly string[],
  hunt: Hunt,
): Promise<number> {
  console.log(`kernel stream test: ${wanted} packets, seed ${seed}`);
  const counts = new Map<string, number>();
  const started = performance.now();
  let [clusters, looked, packets, mismatches] = [0, 0, 0, 0];
  const isOver = (): boolean => packets >= wanted && (looked >= MOST_LOOKED_AT || hunt.alive('packets').length === 0);
  while (!isOver()) {
    const lab = openLab('flush ruleset\n', sysctls);
    try {
      for (let own = 0; own < CLUSTERS_PER_LAB && !isOver();) {
        const draft = draftStreams(seed + clusters + looked, own);
        // As with policies: beyond what is wanted, the kernel is asked where it should contradict a canary that lives.
        if (packets >= wanted) {
          looked++;
          if (!hunt.wouldCatch(draft.question)) continue;
        } else clusters++;
        const found = await askStreams(lab, draft, hunt, mismatches < MOST_PRINTED);
        own++;
        mismatches += found.mismatches;
        packets += found.words.length;
        for (const word of found.words) counts.set(word, (counts.get(word) ?? 0) + 1);
      }
    } finally {
      lab.close();
    }
  }
  if (looked > 0) console.log(`${looked} more clusters were looked at for canaries that lived`);
  const seconds = (performance.now() - started) / 1000;
  console.log(`${packets} packets in ${clusters} clusters, ${mismatches} mismatches, ${seconds.toFixed(1)} s`);
  console.log(`kernel's words: ${WORDS.map((word) => `${word} ${counts.get(word) ?? 0}`).join(', ')}`);
  const isVaried = WORDS.every((word) => (counts.get(word) ?? 0) > packets / 200);
  if (!isVaried) console.log('too few packets of one kind: the streams are not what they should be');
  return mismatches === 0 && isVaried ? 0 : 1;
}

/** A cluster and streams, with what the engine says of them. */
interface Draft {
  readonly cluster: RawCluster;
  readonly stream: readonly Shot[];
  readonly question: Extract<Question, { kind: 'packets' }>;
}

function draftStreams(seed: number, own: number): Draft {
  const random = createRandom(seed);
  const cluster = createCluster(random);
  const stream = createStream(random, cluster, own);
  const world = loadWorld(cluster);
  const said = engine.load(world).judgePackets!(stream.map(({ packet }) => packet)).map(wordOf);
  const asked = stream.map(({ packet }, at): Asked<Packet> => ({ packet, said: said[at]! }));
  return { cluster, stream, question: { kind: 'packets', name: `cluster seed ${seed}`, world, asked } };
}

async function askStreams(
  lab: Lab,
  { cluster, stream, question }: Draft,
  hunt: Hunt,
  prints: boolean,
): Promise<{ words: string[]; mismatches: number }> {
  const said = question.asked.map((asked) => asked.said);
  lab.load(createRuleset(cluster, 'tracked'));
  const marks = await lab.exchange(stream.map(({ row }, at) => frameOf(row, at, { isTagReflected: false })));
  const words = stream.map((_, at) => MARKS[marks[at]!] ?? `DSCP ${marks[at]}`);
  let mismatches = 0;
  for (const [at, word] of words.entries()) {
    if (word === said[at]) continue;
    mismatches++;
    if (!prints || mismatches > 1) continue;
    const { flow } = stream[at]!;
    const history = stream.flatMap((shot, index) =>
      shot.flow === flow && index <= at
        ? [`  ${JSON.stringify(shot.row)}: kernel ${words[index]}, engine ${said[index]}`]
        : [],
    );
    console.log(`MISMATCH (${question.name}), packet ${at}:\n${history.join('\n')}`);
  }
  hunt.ask({ ...question, asked: question.asked.map(({ packet }, at) => ({ packet, said: words[at]! })) });
  return { words, mismatches };
}

interface Shot {
  readonly flow: number;
  readonly row: Row;
  readonly packet: Packet;
}

/** Interleaved connections between the ends of the lab, opened as policies ask for it, then mixed up. */
function createStream(random: Random, cluster: RawCluster, own: number): Shot[] {
  const openings = createPackets(random, cluster, FLOWS_PER_CLUSTER).map((row, flow): Row => {
    const port = 1024 + own * FLOWS_PER_CLUSTER + flow;
    // SCTP's chunks are no part of a packet that a scenario can say.
    if (row.protocol !== 132) return { ...row, srcPort: port };
    const { chunks: _, tag: __, initTag: ___, ...rest } = row;
    return { ...rest, srcPort: port, protocol: 6, flags: 'S' };
  });
  const turns = openings.map(() => 0);
  const shots: Shot[] = [];
  while (shots.length < PACKETS_PER_CLUSTER) {
    // Few connections at a time, so that each gets somewhere, and now and then one that has been silent.
    const isLate = random.below(8) === 0;
    const near = Math.floor(shots.length / 75) * 10 + random.below(12);
    const flow = isLate ? random.below(near + 1) % openings.length : near % openings.length;
    const opening = openings[flow]!;
    const earlier = shots.flatMap((shot, at) => (shot.flow === flow && shot.row.quote === undefined ? [at] : []));
    const timeS = Math.round(shots.length * STEP_S * 1000) / 1000;
    const quotes = earlier.length > 0 && random.below(8) === 0 ? random.pick(earlier) : undefined;
    const row =
      quotes === undefined ? nextRow(random, opening, turns[flow]!++) : errorAbout(random, shots[quotes]!.row);
    shots.push({ flow, row, packet: packetOf(row, timeS, quotes) });
  }
  return shots;
}

function nextRow(random: Random, opening: Row, turn: number): Row {
  const isUsual = turn < 3 && random.below(4) > 0;
  const isReply = isUsual ? turn === 1 : random.below(2) === 0;
  const { src, dst, srcPort, dstPort, protocol, family } = opening;
  const ends = isReply ? { src: dst, dst: src } : { src, dst };
  if (protocol === 1 || protocol === 58) {
    const [request, reply] = family === 6 ? [128, 129] : [8, 0];
    const type = random.below(8) === 0 ? random.pick([request, reply]) : isReply ? reply : request;
    return { ...opening, ...ends, icmp: type << 8 };
  }
  const ports = isReply ? { srcPort: dstPort!, dstPort: srcPort! } : { srcPort: srcPort!, dstPort: dstPort! };
  if (protocol !== 6) return { ...opening, ...ends, ...ports };
  return { ...opening, ...ends, ...ports, flags: isUsual ? ['S', 'SA', 'A'][turn]! : random.pick(TCP) };
}

/** Unreachable or time exceeded about `quote`, mostly towards its sender. */
function errorAbout(random: Random, quote: Row): Row {
  const isWrong = random.below(4) === 0;
  const [src, dst] = isWrong ? [quote.src, quote.dst] : [quote.dst, quote.src];
  const [protocol, type] = quote.family === 6 ? [58, random.pick([1, 3])] : [1, random.pick([3, 11])];
  return { protocol, family: quote.family ?? 4, src, dst, icmp: type << 8, quote };
}

function packetOf(row: Row, timeS: number, quotes: number | undefined): Packet {
  const { protocol, srcPort, flags, quote } = row;
  return {
    ...flowOf(row),
    timeS,
    ...(srcPort !== undefined && quote === undefined && { srcPort }),
    ...(protocol === 6 && { tcpFlags: flagsOf(flags ?? '') }),
    ...(quotes !== undefined && { quotes }),
  };
}
