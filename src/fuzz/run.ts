/**
 * The differential run: random trials, the oracle beside a subject, until they disagree, the cases are used up or time is. What
 * they disagree on is shrunk twice, by fast-check as it was drawn and by reduce.ts as it is meant, and written as a scenario file.
 * The same seed gives the same trials, and with the same number of cases the same result.
 */
import * as fc from 'fast-check';
import { loadScenarioWorld } from '../manifest/scenario-world.ts';
import { printPolicies, printSnapshot } from '../manifest/print.ts';
import { printScenario, readScenario } from '../manifest/scenario.ts';
import { DEFAULT_DIALECT, DIALECT_CHOICES, type Dialect } from '../model/dialect.ts';
import type { Scenario } from '../model/scenario.ts';
import { REASONS, VERDICT_NAMES, Verdict } from '../model/verdict.ts';
import { oracle } from '../oracle/oracle.ts';
import { concernedRules, explainingKnobs } from './concern.ts';
import { ForeignFailure } from './foreign.ts';
import { reduce } from './reduce.ts';
import {
  type Answer,
  type Subject,
  type Trial,
  answerKey,
  arbitraryPlainTrial,
  arbitraryTrial,
  findDifference,
  isComparable,
  isPlain,
  subjectOf,
} from './trial.ts';

/** What to run. Without `cases` and `timeMs` the run ends at a disagreement or by `signal` alone. */
export interface FuzzOptions {
  readonly subject: Subject;
  /** 32 bits. */
  readonly seed: number;
  /** Most worlds to try. */
  readonly cases?: number;
  readonly timeMs?: number;
  /** `whole`: all that the model can say, reasons compared; `plain`: what every evaluator should know, verdicts compared. */
  readonly extent: 'whole' | 'plain';
  /** How the oracle reads what the API leaves open; of plain runs, since whole ones try them all. */
  readonly dialect: Dialect;
  /** Ends the run where it is. */
  readonly signal?: AbortSignal;
}

/** What was counted. `compared` packets are those on which both gave a verdict. */
export interface FuzzCounts {
  cases: number;
  packets: number;
  compared: number;
  allowed: number;
  denied: number;
  /** Packets of which one side said undecidable: compared too where the subject gives reasons. */
  undecidable: number;
  /** Packets that the subject refused. */
  refused: number;
}

/** A disagreement, as small as it could be made. */
export interface Disagreement {
  /** Counted from 1. */
  readonly caseNumber: number;
  readonly trial: Trial;
  /** The answers to the last packet of the trial. */
  readonly expected: Answer;
  readonly found: Answer;
  /** Ids of docs/semantics.md, best effort. */
  readonly rules: readonly string[];
  /** Dialect knobs that would make the oracle agree, as `knob=value`. */
  readonly explainedBy: readonly string[];
  /** The scenario file. */
  readonly scenario: string;
  /** False where the scenario, read back, no longer shows it: then printing lost something, a defect of ours. */
  readonly isReproducible: boolean;
}

/** How a run ended. */
export interface FuzzResult {
  readonly counts: FuzzCounts;
  /** The first reason that the subject gave for refusing. */
  readonly refusal?: string;
  readonly disagreement?: Disagreement;
  /** Why there is nobody left to compare with. */
  readonly failure?: string;
}

/** Asks that shrinking may cost; more find little more. */
const SHRINK_ASKS_MAX = 400;

/** Milliseconds after which fast-check stops shrinking and the reduction takes over. */
const SHRINK_MS = 5_000;

/** fast-check wants a number of runs; a run by the clock has more than it can use. */
const CASES_UNBOUNDED = 0x7fff_ffff;

/** Runs until one of the ends named above. The subject stays open: whoever made it closes it. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { subject, seed, extent, signal } = options;
  const counts: FuzzCounts = {
    cases: 0,
    packets: 0,
    compared: 0,
    allowed: 0,
    denied: 0,
    undecidable: 0,
    refused: 0,
  };
  const reference = subjectOf(oracle);
  const compare = async (trial: Trial): Promise<Comparison> => {
    const expected = await reference.ask(trial);
    const answers = await subject.ask(trial);
    const found = extent === 'whole' ? answers : answers.map(verdictAlone);
    return { expected, found, index: findDifference(expected, found) };
  };
  const trials = trialsOf(extent, options.dialect);
  let failure: string | undefined;
  let refusal: string | undefined;
  let defect: unknown;
  const search = fc.asyncProperty(trials, async (trial) => {
    // Evaluators of this process wait for nothing: without a turn of its own no interrupt would be heard.
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted === true) throw new fc.PreconditionFailure(true);
    try {
      const comparison = await compare(trial);
      refusal ??= comparison.found.find((answer) => answer.kind === 'refused')?.why;
      count(counts, comparison);
      return comparison.index < 0;
    } catch (error) {
      if (error instanceof ForeignFailure) failure = `case ${counts.cases + 1}: ${error.message}`;
      else defect = error;
      throw new fc.PreconditionFailure(true);
    }
  });
  const numRuns = options.cases ?? CASES_UNBOUNDED;
  // Nobody waits for an answer when the run is to end. One race, not one a trial: `aborted` would keep what came out of each.
  const aborted = new Promise<undefined>((resolve) => {
    signal?.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const ended = fc.check(search, {
    seed,
    numRuns,
    endOnFailure: true,
    ...(options.timeMs !== undefined && { interruptAfterTimeLimit: options.timeMs, markInterruptAsFailure: false }),
  });
  const outcome = await Promise.race([ended, aborted]);
  const rest = { counts, ...(refusal !== undefined && { refusal }) };
  if (defect !== undefined) throw defect;
  if (failure !== undefined) return { ...rest, failure };
  if (outcome === undefined || !outcome.failed || outcome.counterexample === null) return rest;
  try {
    const path = outcome.counterexamplePath ?? '';
    const shrunk = (await shrink(trials, { seed, path, numRuns }, compare)) ?? outcome.counterexample[0];
    return { ...rest, disagreement: await describe(shrunk, compare, options, counts.cases) };
  } catch (error) {
    if (error instanceof ForeignFailure) return { ...rest, failure: `shrinking: ${error.message}` };
    throw error;
  }
}

/** The first trials of a plain run with a seed, for tools that read files. */
export function sampleTrials(seed: number, count: number): readonly Trial[] {
  return fc.sample(trialsOf('plain', DEFAULT_DIALECT), { seed, numRuns: count });
}

function trialsOf(extent: FuzzOptions['extent'], dialect: Dialect): fc.Arbitrary<Trial> {
  const drawn: fc.Arbitrary<Trial> = extent === 'whole' ? arbitraryTrial() : arbitraryPlainTrial(dialect);
  return drawn.filter(({ packets }) => packets.length > 0);
}

function verdictAlone(answer: Answer): Answer {
  return answer.kind === 'decision' ? { kind: 'verdict', verdict: answer.verdict } : answer;
}

interface Comparison {
  readonly expected: readonly Answer[];
  readonly found: readonly Answer[];
  readonly index: number;
}

type Compare = (trial: Trial) => Promise<Comparison>;

function count(counts: FuzzCounts, { expected, found }: Comparison): void {
  counts.cases++;
  counts.packets += expected.length;
  for (const [index, right] of expected.entries()) {
    const other = found[index]!;
    if (other.kind === 'refused') counts.refused++;
    else if (!isComparable(right, other)) counts.undecidable++;
    else {
      counts.compared++;
      const verdict = 'verdict' in right ? right.verdict : undefined;
      if (verdict === Verdict.Allow) counts.allowed++;
      if (verdict === Verdict.Deny) counts.denied++;
      if (verdict === Verdict.Undecidable) counts.undecidable++;
    }
  }
}

/** fast-check's own shrinking of the trial at `path`; undefined where it came to nothing. */
async function shrink(
  trials: fc.Arbitrary<Trial>,
  replay: { readonly seed: number; readonly path: string; readonly numRuns: number },
  compare: Compare,
): Promise<Trial | undefined> {
  let asks = 0;
  let asked: Promise<unknown> = Promise.resolve();
  const property = fc.asyncProperty(trials, async (trial) => {
    if (asks++ >= SHRINK_ASKS_MAX) return true;
    const comparison = compare(trial);
    asked = comparison.catch(() => {});
    return (await comparison).index < 0;
  });
  const { counterexample } = await fc.check(property, { ...replay, interruptAfterTimeLimit: SHRINK_MS });
  // The limit leaves a question open: its answer must not be taken for that to the next.
  await asked;
  return counterexample?.[0];
}

/** Reduces a trial on which the two disagree, and writes it down. */
async function describe(
  trial: Trial,
  compare: Compare,
  { subject, seed, extent }: FuzzOptions,
  caseNumber: number,
): Promise<Disagreement> {
  const first = await compare(trial);
  // Only what comes before the packet can have led to it, and alone not even that.
  const { index } = first;
  const kept = trial.mode === 'alone' ? [trial.packets[index]!] : trial.packets.slice(0, index + 1);
  const key = pairKey(first.expected[index]!, first.found[index]!);
  const shows = async (candidate: Trial): Promise<boolean> => {
    if (extent === 'plain' && !isPlain(candidate.world)) return false;
    const { expected, found } = await compare(candidate);
    const last = expected.length - 1;
    return findDifference(expected, found) === last && pairKey(expected[last]!, found[last]!) === key;
  };
  const start = { ...trial, packets: kept };
  const small = await reduce(start, shows);
  const { expected, found } = await compare(small);
  const right = expected.at(-1)!;
  const wrong = found.at(-1)!;
  const rules = concernedRules(small, right);
  const explainedBy =
    extent === 'plain' ? explainingKnobs(small, wrong, (dialect) => judgeIn(small, dialect), DIALECT_CHOICES) : [];
  const title = [
    `${oneLine(subject.name)} says ${describeAnswer(wrong)}, the oracle ${describeAnswer(right)} (dropcast fuzz, seed ${seed}, case ${caseNumber}).`,
    ...explainedBy.map((knob) => `The API leaves this open: with --dialect ${knob} the oracle agrees.`),
  ];
  const scenario = scenarioOf(small, expected, title.join('\n'), rules);
  return {
    caseNumber,
    trial: small,
    expected: right,
    found: wrong,
    rules,
    explainedBy,
    scenario,
    isReproducible: await isReproducible(scenario, small, shows),
  };
}

function judgeIn({ world, packets }: Trial, dialect: Dialect): Answer {
  return { kind: 'decision', ...oracle.load({ ...world, dialect }).judge(packets.at(-1)!) };
}

function scenarioOf(
  { world, packets, mode }: Trial,
  expected: readonly Answer[],
  title: string,
  covers: readonly string[],
): string {
  const knobs = Object.entries(world.dialect).filter(
    ([knob, value]) => knob !== 'name' && value !== DEFAULT_DIALECT[knob as keyof Dialect],
  );
  const scenario: Scenario = {
    title,
    covers,
    dialect: Object.fromEntries(knobs),
    cluster: { text: printSnapshot(world.snapshot), line: 1 },
    policy: { text: printPolicies(world.policies), line: 1 },
    isTracked: mode === 'tracked',
    packets,
    expected: expected.map((answer) =>
      answer.kind === 'decision' ? answer : { egress: undefined, ingress: undefined, verdict: Verdict.Undecidable },
    ),
    diagnostics: [],
  };
  return printScenario(scenario);
}

/** Whether the file, read back as `explain` reads it, still shows the disagreement. */
async function isReproducible(
  text: string,
  { mode }: Trial,
  shows: (trial: Trial) => Promise<boolean>,
): Promise<boolean> {
  const { scenario } = readScenario(text, 'fuzz');
  if (scenario === undefined) return false;
  const { world, diagnostics } = loadScenarioWorld(scenario, 'fuzz');
  if (diagnostics.some(({ severity }) => severity === 'error')) return false;
  return shows({ world, packets: scenario.packets, mode });
}

function pairKey(expected: Answer, found: Answer): string {
  return `${answerKey(expected)} ${answerKey(found)}`;
}

function describeAnswer(answer: Answer): string {
  switch (answer.kind) {
    case 'decision':
      return `${VERDICT_NAMES[answer.verdict]} (${REASONS[answer.egress]?.name}, ${REASONS[answer.ingress]?.name})`;
    case 'verdict':
      return VERDICT_NAMES[answer.verdict]!;
    case 'unknown-name':
      return 'that a name is unknown';
    case 'refused':
      return 'nothing';
  }
}

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}
