/**
 * The one file that knows chance. A seed and a stream's name give one sequence, the same on every machine and in every release:
 * 32-bit integer arithmetic alone, no logarithms or powers, whose last bits differ between engines. Each part of a synthetic world
 * draws from a stream of its own, so that a change in one part does not move the others.
 */

/** A sequence of pseudo-random numbers; every call moves it on. */
export interface Random {
  /** Uniform in [0, 2^32). */
  next(): number;
  /** Uniform integer in [0, count); 0 where count <= 1. The bias is below count / 2^32. */
  below(count: number): number;
  /** Small values often, large ones rarely, over [0, count): the harmonic skew of Zipf's law, in whole numbers. */
  skewed(count: number): number;
  /** True `percent` times in a hundred. */
  chance(percent: number): boolean;
  /** A member of a list that is not empty. */
  pick<T>(list: readonly T[]): T;
}

/** The sequence of a seed and a stream's name: sfc32 (Doty-Humphrey's PractRand), seeded by FNV-1a and a murmur-like mix. */
export function createRandom(seed: number, stream: string): Random {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < stream.length; index++) hash = Math.imul(hash ^ stream.charCodeAt(index), 0x01000193);
  let a = mix(hash);
  let b = mix(hash + 0x9e3779b9);
  let c = mix(seed + 0x3c6ef372);
  let counter = 1;

  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  // sfc32 needs a few rounds until three related seeds have come apart.
  for (let round = 0; round < 12; round++) next();

  const below = (count: number): number => Math.floor((next() / 4294967296) * count);
  return {
    next,
    below,
    skewed: (count) => below(below(count) + 1),
    chance: (percent) => below(10_000) < percent * 100,
    pick: (list) => list[below(list.length)]!,
  };
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
