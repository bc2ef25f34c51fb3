/**
 * What compile has found out about rules, kept for those who count what each rule decided: which policies govern a row, and which columns
 * a rule matches for certain. It stands beside a Program and not in its buffer: a Program that was read from one has none.
 */
import type { Direction } from '../model/policy.ts';
import { DIRECTION_ORDINAL, RuleField } from './book.ts';
import type { ColumnAnswers } from './column.ts';
import { Layout, Row } from './layout.ts';
import { EVERYWHERE } from './page-builder.ts';
import type { Program } from './program.ts';

/** Rules against rows and columns; policies by their index in `program.source.policies`, rules by theirs in the policy. */
export interface RuleMatches {
  /** The policies that a row is made of, in order of evaluation; some may say nothing about the direction. */
  policiesOf(direction: Direction, row: number): readonly number[];
  /** The number of what a rule asks of its peers. */
  questionOf(direction: Direction, policy: number, rule: number): number;
  /** Is a column for certain among the peers that a question asks for? It must be of a rule that governs some row. */
  matches(direction: Direction, question: number, column: number): boolean;
}

/** One direction as compile leaves it. */
export interface MatchedDirection {
  /** Group of named ports and policies, by number, of a row that is counted from `Row.First`. */
  readonly keyOf: (row: number) => Int32Array;
  readonly answers: ColumnAnswers;
}

/** What the matches of a Program are read from. */
export interface MatchInput {
  /** [policies of the Program] their numbers in the book. */
  readonly numbers: Int32Array;
  /** Of the book. */
  readonly rules: Int32Array;
  readonly ruleStarts: Int32Array;
  readonly directions: Readonly<Record<Direction, MatchedDirection>>;
}

const kept = new WeakMap<Program, RuleMatches>();

/** The matches of a Program that was compiled in this thread; undefined for any other. */
export function ruleMatchesOf(program: Program): RuleMatches | undefined {
  return kept.get(program);
}

/** Keeps the matches of a Program as long as the Program. */
export function keepRuleMatches(program: Program, { numbers, rules, ruleStarts, directions }: MatchInput): void {
  let indexOf: Map<number, number> | undefined;
  kept.set(program, {
    policiesOf(direction, row) {
      indexOf ??= new Map(Array.from(numbers, (number, index) => [number, index]));
      return Array.from(directions[direction].keyOf(row - Row.First).subarray(1), (number) => indexOf!.get(number)!);
    },
    questionOf(direction, policy, rule) {
      const first = ruleStarts[numbers[policy]! * 2 + DIRECTION_ORDINAL[direction]]!;
      return rules[(first + rule) * RuleField.Stride + RuleField.Question]!;
    },
    matches(direction, question, column) {
      if (question < 0) return true; // NP-08
      const { answers, starts, ends, words, setStarts } = directions[direction].answers;
      for (let at = starts[question]!; at < ends[question]!; at += 2) {
        // What may match for want of a fact does not match for certain.
        if (answers[at] !== 0) continue;
        const set = answers[at + 1]!;
        if (set === EVERYWHERE || holds(words, setStarts[set]!, setStarts[set + 1]!, column)) return true;
      }
      return false;
    },
  });
}

/** Is a column in the set `words[start, end)`, see `ColumnSets`? */
function holds(words: Int32Array, start: number, end: number, column: number): boolean {
  const page = column >>> Layout.PageBits;
  let low = 0;
  let high = ((end - start) / 3) | 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[start + middle * 3]! < page) low = middle + 1;
    else high = middle;
  }
  const at = start + low * 3;
  if (at >= end || words[at] !== page) return false;
  return ((words[at + 1 + ((column >>> 5) & 1)]! >>> (column & 31)) & 1) === 1;
}
