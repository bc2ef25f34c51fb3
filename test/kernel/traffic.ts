/** Seeded random traffic for the tracking test: many short flows, interleaved, mean rather than plausible. */
import type { Row } from '../track/row.ts';

/** A small generator of 32-bit numbers (xorshift), the same for the same seed. */
export interface Random {
  below(limit: number): number;
  pick<T>(choices: readonly T[]): T;
}

/** A packet and the flow it belongs to, for the log and for what the wire needs to remember of a flow. */
export interface Shot {
  readonly row: Row;
  readonly flow: number;
}

/** Seeds a generator. */
export function createRandom(seed: number): Random {
  let state = (seed ^ 0x9e37_79b9) | 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let i = 0; i < 8; i++) next();
  const below = (limit: number): number => next() % limit;
  return { below, pick: (choices) => choices[below(choices.length)]! };
}

/** `count` packets, of flows that share no address pair with those of another `block`. */
export function createTraffic(random: Random, count: number, block: number): Shot[] {
  const length = 14;
  const flows = Array.from({ length: Math.ceil(count / length) }, (_, i) => createFlow(random, block, i));
  const shots: Shot[] = [];
  // Every flow keeps its own order, and within a turn the flows come in any order.
  for (let turn = 0; turn < length; turn++)
    for (let i = 0; i < flows.length; i++) {
      const flow = random.below(flows.length);
      shots.push({ row: flows[flow]!(), flow });
    }
  return shots.slice(0, count);
}

const LETTERS = 'FSRPAU';
const TCP = ['S', 'S', 'S', 'SA', 'SA', 'A', 'A', 'A', 'PA', 'FA', 'FA', 'RA', 'R'];
const ICMP4 = [0, 8, 8, 8, 13, 14, 15, 16, 17, 18, 5, 9, 10, 19, 30, 255];
const ICMP6 = [128, 128, 128, 129, 139, 140, 200, 127, 1, 2];

/** A function that makes the next packet of one flow. */
function createFlow(random: Random, block: number, index: number): () => Row {
  const family = random.below(3) === 0 ? 6 : 4;
  const kind = random.pick(['tcp', 'tcp', 'tcp', 'tcp', 'udp', 'sctp', 'sctp', 'sctp', 'icmp', 'other'] as const);
  const address = ((block * 31 + index) % 0xfffe) + 1;
  const ends = [0x0a4e_0000 + address, 0x0a4f_0000 + (((block * 7 + index * 13) % 0xfffe) + 1)];
  const ports = [random.pick([1, 1024, 40_000, 65_535]), random.pick([53, 80, 65_535])];
  const protocol = {
    tcp: 6,
    udp: random.pick([17, 17, 17, 136]),
    sctp: 132,
    icmp: family === 6 ? 58 : 1,
    other: random.pick([253, 47, 33]),
  }[kind];
  const tags = [0x1111_1111, 0xe222_2222];
  const sent: Row[] = [];
  let turn = 0;
  const make = (): Row => {
    turn++;
    let side = random.below(2);
    const base = (): Row => {
      const back = 1 - side;
      return { protocol, family, src: ends[side]!, dst: ends[back]!, srcPort: ports[side]!, dstPort: ports[back]! };
    };
    if (sent.length > 0 && random.below(10) === 0) return createError(random, random.pick(sent), ends);
    if (kind === 'tcp') {
      // Most flows open as they should, so that the later states are reached.
      if (turn <= 3 && random.below(4) > 0) {
        side = turn === 2 ? 1 : 0;
        return { ...base(), flags: ['S', 'SA', 'A'][turn - 1]! };
      }
      if (random.below(12) > 0) return { ...base(), flags: random.pick(TCP) };
      return { ...base(), flags: [...LETTERS].filter(() => random.below(2) === 0).join('') };
    }
    if (kind === 'sctp') {
      if (turn <= 4 && random.below(4) > 0) {
        side = (turn - 1) % 2;
        const chunks = [[1], [2], random.pick([[10], [10, 0]]), random.pick([[11], [11, 0]])][turn - 1]!;
        return { ...base(), chunks, tag: turn === 1 ? 0 : tags[1 - side]!, initTag: tags[side]! };
      }
      const type = random.pick([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 12]);
      const chunks =
        random.below(6) > 0
          ? [type]
          : random.pick([
              [0, 4],
              [0, 5],
              [4, 5],
              [0, 7],
              [1, 3],
              [3, 14],
              [10, 11],
              [10, 9],
              [0, 64],
            ]);
      const right = chunks[0] === 1 ? 0 : tags[1 - side]!;
      const tag = random.below(6) > 0 ? right : random.pick([0, tags[side]!, 0x0bad_0bad]);
      return { ...base(), chunks, tag, initTag: random.below(8) > 0 ? tags[side]! : 0x3333_3333 };
    }
    if (kind === 'icmp') {
      const type = random.pick(family === 6 ? ICMP6 : ICMP4);
      const { srcPort: _, dstPort: __, ...rest } = base();
      return { ...rest, srcPort: random.pick([7, 8]), icmp: (type << 8) | random.pick([0, 0, 0, 0, 1]) };
    }
    return base();
  };
  return () => {
    const row = make();
    if (row.quote === undefined) sent.push(row);
    return row;
  };
}

/** An ICMP error about `quote`: mostly to its sender, from its receiver's side, and sometimes as it should not be. */
function createError(random: Random, quote: Row, ends: readonly number[]): Row {
  const isWrong = random.below(5) === 0;
  const isAligned = quote.src === ends[0];
  const dst = isWrong ? random.pick([quote.dst, quote.src ^ 0x0000_0100]) : quote.src;
  const isTowardsFirst = dst >>> 16 === 0x0a4e;
  const other = ends[isTowardsFirst ? 1 : 0]!;
  const src = random.below(3) === 0 ? other ^ 0x0000_0200 : other;
  const stranger = random.below(8) === 0 ? { ...quote, srcPort: isAligned ? 99 : 98 } : quote;
  if (quote.family === 6)
    return { protocol: 58, family: 6, src, dst, icmp: random.pick([1, 2, 3, 4]) << 8, quote: stranger };
  return { protocol: 1, family: 4, src, dst, icmp: random.pick([3, 3, 4, 5, 11, 12]) << 8, quote: stranger };
}
