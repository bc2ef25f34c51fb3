/**
 * Samples: the first connection of each group, kept so that it can be explained. As numbers, in which almost all of them fit: as objects, those
 * of 14,000 groups kept the collector busy while rows came, and took as long to post to another thread as a million rows to replay.
 */
import type { Question } from './judgement.ts';
import type { Place } from './place.ts';

/** The first connection of a group. */
export interface Sample {
  readonly question: Question;
  /** Number of the row among all rows of the replay. */
  readonly order: number;
  readonly file: string;
  readonly line: number;
  /** State of the cluster that the question was put in; 0 where there is one. */
  readonly state: number;
}

/** Plain data: it can be posted. */
export interface PackedSamples {
  /** [groups x `Packed.Stride`] */
  readonly numbers: Float64Array;
  readonly files: readonly string[];
  /** By group, what is more than two addresses and numbers. */
  readonly others: ReadonlyMap<number, Sample>;
}

/** Numbers of a sample. */
const enum Packed {
  /** 0: the group has no sample. */
  OrderPlusOne = 0,
  Line = 1,
  State = 2,
  /** Index of `files`; -1: the sample is one of `others`. */
  File = 3,
  SourceFamily = 4,
  SourceWord = 5,
  DestinationFamily = 6,
  DestinationWord = 7,
  Protocol = 8,
  Port = 9,
  Icmp = 10,
  Stride = 11,
}

/** The samples of a table of groups. What is set stays. */
export class Samples {
  private numbers: Float64Array;
  private readonly files: string[] = [];
  private readonly others = new Map<number, Sample>();

  /** `expected`: groups that there is room for from the beginning. */
  constructor(expected = 1024) {
    this.numbers = new Float64Array(expected * Packed.Stride);
  }

  set(group: number, sample: Sample): void {
    const { numbers } = this.reserve(group);
    const { question, order, file, line, state } = sample;
    const { source, destination, protocol, port, icmp } = question;
    const at = group * Packed.Stride;
    numbers[at + Packed.OrderPlusOne] = order + 1;
    numbers[at + Packed.State] = state;
    if (source.kind !== 'address' || destination.kind !== 'address' || question.isHairpin) {
      numbers[at + Packed.File] = -1;
      this.others.set(group, sample);
      return;
    }
    numbers[at + Packed.Line] = line;
    numbers[at + Packed.File] = this.numberFile(file);
    numbers[at + Packed.SourceFamily] = source.family;
    numbers[at + Packed.SourceWord] = source.word;
    numbers[at + Packed.DestinationFamily] = destination.family;
    numbers[at + Packed.DestinationWord] = destination.word;
    numbers[at + Packed.Protocol] = protocol;
    numbers[at + Packed.Port] = port;
    numbers[at + Packed.Icmp] = icmp;
  }

  /** Takes over a sample of another table, where it has one. */
  copy(group: number, { numbers, files, others }: PackedSamples, from: number): void {
    const at = from * Packed.Stride;
    if (numbers[at + Packed.OrderPlusOne] === 0) return;
    const own = this.reserve(group).numbers;
    for (let index = 0; index < Packed.Stride; index++) own[group * Packed.Stride + index] = numbers[at + index]!;
    const file = numbers[at + Packed.File]!;
    if (file < 0) this.others.set(group, others.get(from)!);
    else own[group * Packed.Stride + Packed.File] = this.numberFile(files[file]!);
  }

  /** The sample of a group that has one. */
  get(group: number): Sample {
    const { numbers } = this;
    const at = group * Packed.Stride;
    const file = numbers[at + Packed.File]!;
    if (file < 0) return this.others.get(group)!;
    return {
      question: {
        source: this.place(at + Packed.SourceFamily),
        destination: this.place(at + Packed.DestinationFamily),
        protocol: numbers[at + Packed.Protocol]!,
        port: numbers[at + Packed.Port]!,
        icmp: numbers[at + Packed.Icmp]!,
      },
      order: numbers[at + Packed.OrderPlusOne]! - 1,
      file: this.files[file]!,
      line: numbers[at + Packed.Line]!,
      state: numbers[at + Packed.State]!,
    };
  }

  /** The state of the cluster that a group's sample was taken in. */
  stateOf(group: number): number {
    return this.numbers[group * Packed.Stride + Packed.State]!;
  }

  /** Those of so many groups. */
  pack(groups: number): PackedSamples {
    const { numbers, files, others } = this.reserve(groups - 1);
    return { numbers: numbers.slice(0, groups * Packed.Stride), files, others };
  }

  private place(at: number): Place {
    return { kind: 'address', family: this.numbers[at]!, word: this.numbers[at + 1]! };
  }

  private reserve(group: number): this {
    const length = (group + 1) * Packed.Stride;
    if (length > this.numbers.length) {
      const grown = new Float64Array(Math.max(this.numbers.length * 2, length));
      grown.set(this.numbers);
      this.numbers = grown;
    }
    return this;
  }

  private numberFile(file: string): number {
    const { files } = this;
    // Almost always the last one.
    if (files.length > 0 && files[files.length - 1] === file) return files.length - 1;
    const known = files.indexOf(file);
    return known >= 0 ? known : files.push(file) - 1;
  }
}

/** The groups of a table that have samples, in the order of their rows. */
export function orderSamples({ numbers }: PackedSamples): Int32Array {
  const groups: number[] = [];
  let last = -1;
  let isOrdered = true;
  for (let group = 0; group * Packed.Stride < numbers.length; group++) {
    const order = orderOfSample({ numbers }, group);
    if (order < 0) continue;
    groups.push(group);
    if (order < last) isOrdered = false;
    last = order;
  }
  if (!isOrdered) groups.sort((a, b) => orderOfSample({ numbers }, a) - orderOfSample({ numbers }, b));
  return Int32Array.from(groups);
}

/** The number of the row that a group's sample is of; -1: it has none. */
export function orderOfSample({ numbers }: Pick<PackedSamples, 'numbers'>, group: number): number {
  return numbers[group * Packed.Stride + Packed.OrderPlusOne]! - 1;
}
