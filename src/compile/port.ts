/**
 * Ports to classes: all ranges of all rules cut each protocol into intervals; each interval is a port class, so that a
 * decision needs one look-up for (protocol, port). A port shape is what one rule's `ports` matches, over classes.
 */
import { MissingFact } from '../model/verdict.ts';
import type { PortMatch, PortProtocol } from '../model/port.ts';
import { PortClass, PortIndex } from './layout.ts';

/** An inclusive range of one protocol; `protocol` is its ordinal: TCP 0, UDP 1, SCTP 2. */
export interface PortRange {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

/** A rule's ports with names resolved: undefined means every protocol and port. */
export interface ResolvedPorts {
  readonly ranges: readonly PortRange[];
  /** Protocol ordinals for which a name could not be resolved, the destination's ports being unknown. */
  readonly unresolved: readonly number[];
}

/** What a rule's ports match: sorted lists of port classes, certain and possible (with the missing facts of each). */
export interface PortShape {
  /** Equal shapes of one set of port classes are one object, with a number of its own. */
  readonly id: number;
  readonly matchesAll: boolean;
  readonly yes: readonly number[];
  readonly maybe: readonly { readonly portClass: number; readonly missing: number }[];
}

/** The classes of all ranges of a policy set. */
export interface PortClasses {
  readonly count: number;
  /** [PortIndex.Count] class of each (protocol, port). */
  readonly table: Uint16Array;
  shape(ports: ResolvedPorts | undefined): PortShape;
  /** Does every class lie in the range or out of it? */
  covers(range: PortRange): boolean;
}

/** Ordinals of the protocols that have ports. */
export const PROTOCOL_ORDINAL: Readonly<Record<PortProtocol, number>> = { TCP: 0, UDP: 1, SCTP: 2 };

/** The range that a port match stands for, names apart. NP-24: without a number it is every port of its protocol. */
export function rangeOfMatch(match: Exclude<PortMatch, { kind: 'named' }>): PortRange {
  const protocol = PROTOCOL_ORDINAL[match.protocol];
  // NP-25: both ends are included.
  return match.kind === 'any'
    ? { protocol, first: 0, last: 65_535 }
    : { protocol, first: match.first, last: match.last };
}

/** Cuts the three protocols along the ranges. Throws where there are more than 65,535 classes: they are numbered in 16 bits. */
export function classifyPorts(ranges: Iterable<PortRange>): PortClasses {
  const cuts: Set<number>[] = [new Set([0]), new Set([0]), new Set([0])];
  for (const { protocol, first, last } of ranges) {
    cuts[protocol]!.add(first);
    if (last < 65_535) cuts[protocol]!.add(last + 1);
  }
  const table = new Uint16Array(PortIndex.Count);
  const firstPort: number[][] = [];
  const firstClass: number[] = [];
  let count: number = PortClass.First;
  cuts.forEach((set, protocol) => {
    const starts = [...set].sort((a, b) => a - b);
    firstPort[protocol] = starts;
    firstClass[protocol] = count;
    starts.forEach((start, index) => {
      const end = starts[index + 1] ?? 65_536;
      table.fill(count, protocol * 65_536 + start, protocol * 65_536 + end);
      count++;
    });
  });
  if (count > 65_535) throw new RangeError(`at most 65,535 port classes fit, found ${count}`);
  table.fill(PortClass.NoPorts, PortIndex.Other, PortIndex.Other + 255);
  table[PortIndex.Other + 255] = PortClass.UnknownProtocol;
  table.set([PortClass.UnknownTcp, PortClass.UnknownUdp, PortClass.UnknownSctp], PortIndex.UnknownPort);
  table[PortIndex.Exempt] = PortClass.Exempt;

  const shapes = new Map<string | number, PortShape>();
  const facts = new Int32Array(count).fill(-1);
  const touched = new Int32Array(count);
  let touchedCount = 0;
  const all: PortShape = { id: 0, matchesAll: true, yes: [], maybe: [] };
  return {
    count,
    table,
    covers: ({ protocol, first, last }) =>
      cuts[protocol]!.has(first) && (last === 65_535 || cuts[protocol]!.has(last + 1)),
    shape(ports) {
      if (ports === undefined) return all;
      const key = shapeKey(ports);
      let shape = shapes.get(key);
      if (shape === undefined) shapes.set(key, (shape = compute(ports)));
      return shape;
    },
  };

  /** Most rules name one range: a number does for those. */
  function shapeKey({ ranges, unresolved }: ResolvedPorts): string | number {
    if (ranges.length === 1 && unresolved.length === 0) {
      const { protocol, first, last } = ranges[0]!;
      return (protocol * 65_536 + first) * 65_536 + last;
    }
    const texts = ranges.map(({ protocol, first, last }) => `${protocol}:${first}-${last}`);
    return `${texts.sort().join()}|${[...unresolved].sort().join()}`;
  }

  /** What each class is asked for is kept in `facts` meanwhile: -1 nothing, 0 it matches, else the facts that are missing. */
  function compute({ ranges, unresolved }: ResolvedPorts): PortShape {
    touchedCount = 0;
    for (let at = 0; at < ranges.length; at++) {
      const { protocol, first, last } = ranges[at]!;
      const starts = firstPort[protocol]!;
      for (let index = lowerBound(starts, first); index < starts.length && starts[index]! <= last; index++)
        put(firstClass[protocol]! + index, 0);
      // KL-05
      put(PortClass.UnknownTcp + protocol, first <= 1 && last === 65_535 ? 0 : MissingFact.NoPort);
    }
    for (const protocol of unresolved) {
      for (let index = 0; index < firstPort[protocol]!.length; index++)
        put(firstClass[protocol]! + index, MissingFact.UnresolvedNamedPort);
      put(PortClass.UnknownTcp + protocol, MissingFact.NoPort | MissingFact.UnresolvedNamedPort);
    }
    put(PortClass.UnknownProtocol, MissingFact.NoProtocol); // KL-06
    touched.subarray(0, touchedCount).sort();
    const yes: number[] = [];
    const maybe: { portClass: number; missing: number }[] = [];
    for (let at = 0; at < touchedCount; at++) {
      const portClass = touched[at]!;
      const missing = facts[portClass]!;
      if (missing === 0) yes.push(portClass);
      else maybe.push({ portClass, missing });
      facts[portClass] = -1;
    }
    return { id: shapes.size + 1, matchesAll: false, yes, maybe };
  }

  function put(portClass: number, missing: number): void {
    const known = facts[portClass]!;
    if (known < 0) touched[touchedCount++] = portClass;
    facts[portClass] = known < 0 ? missing : known === 0 || missing === 0 ? 0 : known | missing;
  }
}

function lowerBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
