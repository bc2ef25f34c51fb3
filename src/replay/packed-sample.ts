/**
 * Samples on their way from one thread to another, as numbers: as objects, those of 14,000 groups took as long to post as a million rows
 * to replay. What is more than two addresses and numbers goes as it is.
 */
import type { Place } from './place.ts';
import type { Sample } from './summary.ts';

/** Plain data: it can be posted. */
export interface PackedSamples {
  /** [groups x `Packed.Stride`] */
  readonly numbers: Float64Array;
  readonly files: readonly string[];
  /** By group. */
  readonly others: ReadonlyMap<number, Sample>;
}

/** Numbers of a sample. */
const enum Packed {
  /** -1: the group has no sample. */
  Order = 0,
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

/** The samples of so many groups. */
export function packSamples(samples: readonly (Sample | undefined)[], groups: number): PackedSamples {
  const numbers = new Float64Array(groups * Packed.Stride);
  const files = new Map<string, number>();
  const others = new Map<number, Sample>();
  for (let group = 0; group < groups; group++) {
    const sample = samples[group];
    const at = group * Packed.Stride;
    numbers[at + Packed.Order] = sample?.order ?? -1;
    if (sample === undefined) continue;
    const { question, file, line, state } = sample;
    const { source, destination, protocol, port, icmp } = question;
    numbers[at + Packed.File] = -1;
    if (source.kind !== 'address' || destination.kind !== 'address' || question.isHairpin) {
      others.set(group, sample);
      continue;
    }
    if (!files.has(file)) files.set(file, files.size);
    numbers[at + Packed.Line] = line;
    numbers[at + Packed.State] = state;
    numbers[at + Packed.File] = files.get(file)!;
    numbers[at + Packed.SourceFamily] = source.family;
    numbers[at + Packed.SourceWord] = source.word;
    numbers[at + Packed.DestinationFamily] = destination.family;
    numbers[at + Packed.DestinationWord] = destination.word;
    numbers[at + Packed.Protocol] = protocol;
    numbers[at + Packed.Port] = port;
    numbers[at + Packed.Icmp] = icmp;
  }
  return { numbers, files: [...files.keys()], others };
}

/** The number of the row that a group's sample is of; -1: it has none. */
export function orderOfSample({ numbers }: PackedSamples, group: number): number {
  return numbers[group * Packed.Stride + Packed.Order]!;
}

/** The sample of a group, if it has one. */
export function unpackSample({ numbers, files, others }: PackedSamples, group: number): Sample | undefined {
  const numberAt = (index: Packed): number => numbers[group * Packed.Stride + index]!;
  const order = numberAt(Packed.Order);
  if (order < 0) return undefined;
  const file = numberAt(Packed.File);
  if (file < 0) return others.get(group);
  const placeAt = (family: Packed): Place => ({
    kind: 'address',
    family: numberAt(family),
    word: numberAt(family + 1),
  });
  return {
    question: {
      source: placeAt(Packed.SourceFamily),
      destination: placeAt(Packed.DestinationFamily),
      protocol: numberAt(Packed.Protocol),
      port: numberAt(Packed.Port),
      icmp: numberAt(Packed.Icmp),
    },
    order,
    file: files[file]!,
    line: numberAt(Packed.Line),
    state: numberAt(Packed.State),
  };
}
