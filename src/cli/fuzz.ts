/** `dropcast fuzz`: the engine, or a foreign evaluator, beside the oracle over random worlds. */
import { randomInt } from 'node:crypto';
import type { FuzzCounts, FuzzResult } from '../fuzz/run.ts';
import { escapeControl } from '../report/escape.ts';
import { formatCount } from '../report/quantity.ts';
import { readDialect } from './cluster.ts';
import { ExitCode, Refusal } from './exit.ts';
import type { Io } from './terminal.ts';

/** Flags as parsed; see `dropcast fuzz --help`. Durations in milliseconds. */
export interface FuzzFlags {
  readonly against?: string;
  readonly seed?: number;
  readonly cases?: number;
  readonly time?: number;
  readonly answerTime: number;
  readonly dialect: readonly string[];
}

/** How long a run takes where nothing bounds it. */
const DEFAULT_TIME_MS = 60_000;

/** Runs the command. A scenario, and nothing else, goes to stdout; what was tried goes to stderr where there is one. */
export async function runFuzz(flags: FuzzFlags, io: Io): Promise<ExitCode> {
  const { against, cases } = flags;
  if (cases === 0) throw new Refusal('--cases 0 would compare nothing');
  if (against !== undefined && against.trim() === '') throw new Refusal('--against names no command');
  if (against === undefined && flags.dialect.length > 0)
    throw new Refusal('--dialect goes with --against: without it every dialect is tried');
  const dialect = readDialect(flags.dialect);
  const seed = flags.seed ?? randomInt(0x8000_0000);
  const timeMs = flags.time ?? (cases === undefined ? DEFAULT_TIME_MS : undefined);
  // fast-check comes with these, and nothing else waits for it.
  const [{ fuzz }, { startForeign }, { subjectOf }, { engine }] = await Promise.all([
    import('../fuzz/run.ts'),
    import('../fuzz/foreign.ts'),
    import('../fuzz/trial.ts'),
    import('../replay/session.ts'),
  ]);
  await io.stderr.write(`dropcast: seed ${seed}\n`);
  const abort = new AbortController();
  const removeInterrupt = io.onInterrupt(() => abort.abort());
  const foreign =
    against === undefined
      ? undefined
      : startForeign({
          command: against,
          cwd: io.cwd,
          answerMs: flags.answerTime,
          killGroup: (leader) => void process.kill(-leader, 'SIGKILL'),
        });
  try {
    const result = await fuzz({
      subject: foreign ?? subjectOf(engine),
      seed,
      extent: foreign === undefined ? 'whole' : 'plain',
      dialect,
      signal: abort.signal,
      ...(cases !== undefined && { cases }),
      ...(timeMs !== undefined && { timeMs }),
    });
    return await report(result, seed, io);
  } finally {
    foreign?.close();
    removeInterrupt();
  }
}

async function report({ counts, refusal, failure, disagreement }: FuzzResult, seed: number, io: Io): Promise<ExitCode> {
  const tried = triedText(counts, seed);
  const say = (text: string): Promise<unknown> =>
    io.stderr.write(
      `${text
        .split('\n')
        .map((line) => `dropcast: ${escapeControl(line)}`)
        .join('\n')}\n`,
    );
  if (failure !== undefined) {
    await say(`the evaluator failed in ${failure}`);
    await say(tried);
    return ExitCode.Refused;
  }
  if (disagreement !== undefined) {
    await io.stdout.write(disagreement.scenario);
    await say(`a disagreement in case ${disagreement.caseNumber}; ${tried}`);
    const { rules, explainedBy } = disagreement;
    if (rules.length > 0) await say(`rules in question (docs/semantics.md): ${rules.join(', ')}`);
    if (explainedBy.length > 0) await say(`the oracle agrees with --dialect ${explainedBy.join(' or ')}`);
    if (!disagreement.isReproducible)
      await say('the scenario does not show it when read back: please report this as a defect of dropcast');
    return ExitCode.Finding;
  }
  if (counts.compared === 0) {
    await say(`nothing was compared; ${tried}${refusal === undefined ? '' : `; the evaluator says: ${refusal}`}`);
    return ExitCode.Refused;
  }
  await io.stdout.write(`no disagreement: ${escapeControl(tried)}\n`);
  if (refusal !== undefined) await say(`the evaluator refused ${formatCount(counts.refused)} packets: ${refusal}`);
  return ExitCode.Fine;
}

function triedText(counts: FuzzCounts, seed: number): string {
  const { cases, packets, compared, allowed, denied, undecidable, refused } = counts;
  const parts = [
    `${formatCount(cases)} worlds`,
    `${formatCount(packets)} packets`,
    `${formatCount(compared)} compared (${formatCount(allowed)} allow, ${formatCount(denied)} deny)`,
    `${formatCount(undecidable)} undecidable`,
    ...(refused === 0 ? [] : [`${formatCount(refused)} refused`]),
    `seed ${seed}`,
  ];
  return parts.join(', ');
}
