/**
 * Hits of rules over a whole replay. Groups are kept apart where the rules that decide may differ: their keys carry the
 * classes of both ends, or the set of rules where a Service or a name stands between. So one connection of a group answers
 * for all of it, rules are asked for once a group when the replay ends, and a record costs nothing. For the report, groups
 * that differ in nothing else are put together again.
 */
import { Endpoint, EndpointKind } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { findService, kindOf } from '../decide/decide.ts';
import { isDecidedByRules, listRules, type RuleHit } from '../decide/hit.ts';
import type { Dictionary } from '../model/flow.ts';
import {
  addSums,
  addTally,
  copyGroup,
  GroupCount,
  GroupKey,
  type Groups,
  GroupSum,
  hashKey,
  OVERFLOW_GROUPS,
  readTally,
} from './group.ts';
import type { Judge, Question } from './judgement.ts';
import { endpointOf } from './place.ts';
import type { RuleCount, RuleUsage } from './result.ts';
import type { Samples } from './sample.ts';
import type { Contradiction } from './summary.ts';

/** Sets of rules by number: what a key holds, as ~number, in place of the class of the source. */
export class RuleSets {
  /** The number of the empty set. */
  static readonly None = 0;
  /** [number] ordinals of rules. */
  readonly list: (readonly number[])[] = [[]];
  private readonly numbers = new Map<string, number>([['', RuleSets.None]]);
  private readonly known = new WeakMap<readonly RuleHit[], number>();

  /** The number of a set of rules that is asked for again and again as the same list. */
  numberOf(hits: readonly RuleHit[]): number {
    let number = this.known.get(hits);
    if (number === undefined) this.known.set(hits, (number = this.intern(hits.map(({ ordinal }) => ordinal))));
    return number;
  }

  intern(rules: readonly number[]): number {
    const sorted = [...rules].sort((a, b) => a - b);
    const key = sorted.join();
    let number = this.numbers.get(key);
    if (number === undefined) this.numbers.set(key, (number = this.list.push(sorted) - 1));
    return number;
  }
}

/**
 * Writes the words of a group's key that tell connections of different rules apart. Over time the same endpoint may be another
 * class: with a timeline the rules themselves are the key, whose ordinals are those of the policies in every state.
 */
export function keyRules(
  key: Int32Array,
  question: Question,
  ends: 'by-class' | 'by-rule',
  program: Program,
  dictionary: Dictionary,
  judge: Judge,
  ruleSets: RuleSets,
): void {
  const { source, destination, protocol, port } = question;
  if (ends === 'by-class' && source.kind === 'address' && destination.kind === 'address' && !question.isHairpin) {
    const to = endpointOf(program, dictionary, destination.family, destination.word);
    const kind = kindOf(program, to);
    if (kind < EndpointKind.Node || (kind === EndpointKind.Node && findService(program, to, protocol, port) < 0)) {
      const classes = classesOf(program);
      key[GroupKey.SourceClass] = classes[endpointOf(program, dictionary, source.family, source.word)]!;
      key[GroupKey.DestinationClass] = classes[to]!;
      return;
    }
  }
  key[GroupKey.SourceClass] = ~ruleSets.numberOf(judge.rulesOf(question));
  key[GroupKey.DestinationClass] = 0;
}

const classes = new WeakMap<Program, Int32Array>();

/** [endpoints] a number that is equal where all rows and columns are: policies cannot tell such endpoints apart. */
export function classesOf(program: Program): Int32Array {
  let found = classes.get(program);
  if (found === undefined) classes.set(program, (found = classify(program.endpoints)));
  return found;
}

/** What the replay counts for each rule of the Program. */
export function countRules(
  groups: Groups,
  samples: Samples,
  program: Program,
  judgesOf: (state: number) => { readonly judge: Judge },
  ruleSets: RuleSets,
): RuleUsage {
  const rules = listRules(program);
  const counts = new Float64Array(rules.length * 3);
  const { keys } = groups;
  const uncounted = new Float64Array(3);
  for (let group = 0; group < OVERFLOW_GROUPS; group++) addTally(uncounted, 0, groups, group);
  const hits: RuleHit[] = [];
  for (let group = OVERFLOW_GROUPS; group < groups.count; group++) {
    const at = group * GroupKey.Stride;
    const set = ~keys[at + GroupKey.SourceClass]!;
    if (set >= 0) for (const ordinal of ruleSets.list[set]!) addTally(counts, ordinal, groups, group);
    else if (isDecidedByRules(keys[at + GroupKey.Decision]!)) {
      const { question, state } = samples.get(group);
      hits.length = 0;
      judgesOf(state).judge.addRules(question, hits);
      for (let hit = 0; hit < hits.length; hit++) addTally(counts, hits[hit]!.ordinal, groups, group);
    }
  }
  const { policies } = program.source;
  const list: RuleCount[] = [];
  for (let ordinal = 0; ordinal < rules.length; ordinal++) {
    const { policy: index, direction, rule } = rules[ordinal]!;
    const policy = policies[index]!;
    list.push({ policy, direction, rule: policy[direction][rule]!, tally: readTally(counts, ordinal) });
  }
  return { rules: list, uncounted: readTally(uncounted, 0) };
}

/** Groups with what belongs to them. */
export interface SplitGroups {
  readonly groups: Groups;
  readonly samples: Samples;
  readonly contradictions: ReadonlyMap<number, Contradiction>;
}

/** Groups as they are shown. */
export interface ShownGroups extends SplitGroups {
  /** Group -> the group that its sample is of. */
  readonly firstOf: Int32Array;
}

/**
 * The groups without the words of their keys that only the rules tell apart; the first row of several stands for them. A copy: the replay may
 * go on.
 */
export function foldClasses({ groups: split, samples, contradictions: ofSplit }: SplitGroups): ShownGroups {
  const { keys, sums, counts, count } = split;
  const { targets, folded } = findEqual(keys, count);
  const groups = {
    keys: keys.slice(0, count * GroupKey.Stride),
    sums: sums.slice(0, count * GroupSum.Stride),
    counts: counts.slice(0, count * GroupCount.Stride),
    count: folded,
  };
  const firstOf = new Int32Array(folded);
  const contradictions = new Map<number, Contradiction>();
  for (let group = 0, made = 0; group < count; group++) {
    const target = targets[group]!;
    if (target === made) {
      firstOf[made++] = group;
      // Mostly there is nothing to put together.
      if (target !== group) copyGroup(groups, target, split, group);
    } else addSums(groups, target, split, group);
    keepFirst(contradictions, target, ofSplit.get(group));
  }
  return { groups, samples, firstOf, contradictions };
}

/** Keeps the first contradiction of each group, by the order of rows. */
export function keepFirst(
  contradictions: Map<number, Contradiction>,
  group: number,
  found: Contradiction | undefined,
): void {
  if (found === undefined) return;
  const known = contradictions.get(group);
  if (known === undefined || known.order > found.order) contradictions.set(group, found);
}

/** Group -> its number among those whose keys differ without the classes, in the order of the first of each; overflow stays apart. */
function findEqual(keys: Int32Array, count: number): { readonly targets: Int32Array; readonly folded: number } {
  const targets = new Int32Array(count);
  let size = 1024;
  while (size < count * 2) size *= 2;
  /** Open addressing: the first group of a key, 0 = free, as group 0 is of the overflow. */
  const firsts = new Int32Array(size);
  let folded = 0;
  for (; folded < OVERFLOW_GROUPS; folded++) targets[folded] = folded;
  for (let group = OVERFLOW_GROUPS; group < count; group++) {
    const at = group * GroupKey.Stride;
    let slot = hashKey(keys, at, GroupKey.SourceClass) & (size - 1);
    for (; firsts[slot] !== 0; slot = (slot + 1) & (size - 1)) {
      const other = firsts[slot]! * GroupKey.Stride;
      let word = 0;
      while (word < GroupKey.SourceClass && keys[other + word] === keys[at + word]) word++;
      if (word === GroupKey.SourceClass) break;
    }
    if (firsts[slot] === 0) {
      firsts[slot] = group;
      targets[group] = folded++;
    } else targets[group] = targets[firsts[slot]!]!;
  }
  return { targets, folded };
}

function classify(endpoints: Int32Array): Int32Array {
  const count = endpoints.length / Endpoint.Stride;
  const found = new Int32Array(count);
  let size = 1024;
  while (size < count * 2) size *= 2;
  const mask = size - 1;
  /** Open addressing: the first endpoint of a class, -1 = free. */
  const firsts = new Int32Array(size).fill(-1);
  let next = 0;
  for (let endpoint = 0; endpoint < count; endpoint++) {
    const at = endpoint * Endpoint.Stride;
    let hash = 0x9e3779b9;
    for (let field = 0; field < 4; field++) {
      hash = Math.imul(hash ^ endpoints[at + fieldAt(field)]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    let slot = hash & mask;
    while (firsts[slot]! >= 0 && !agrees(endpoints, firsts[slot]! * Endpoint.Stride, at)) slot = (slot + 1) & mask;
    if (firsts[slot]! >= 0) found[endpoint] = found[firsts[slot]!]!;
    else {
      firsts[slot] = endpoint;
      found[endpoint] = next++;
    }
  }
  return found;
}

function agrees(endpoints: Int32Array, first: number, second: number): boolean {
  for (let field = 0; field < 4; field++)
    if (endpoints[first + fieldAt(field)] !== endpoints[second + fieldAt(field)]) return false;
  return true;
}

function fieldAt(field: number): Endpoint {
  switch (field) {
    case 0:
      return Endpoint.EgressRow;
    case 1:
      return Endpoint.EgressColumn;
    case 2:
      return Endpoint.IngressRow;
    default:
      return Endpoint.IngressColumn;
  }
}
