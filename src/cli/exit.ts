/** Exit codes, the sentence that goes with each, and the one error class by which a command gives up. */
import type { ReplayResult } from '../replay/result.ts';

/** What the process tells its caller. Of several that hold, the order of precedence is Refused, Finding, Incomplete. */
export const enum ExitCode {
  Fine = 0,
  /** The `--fail-on` condition holds, a test failed, a scenario gave something else. */
  Finding = 1,
  /** Bad usage, an unreadable file, a refused manifest. */
  Refused = 2,
  /** Lost events, too many malformed records, or an interrupted run. */
  Incomplete = 3,
}

/** The command cannot go on; `message` says why, for people. Everything else that must be said has been printed. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** Conditions of `--fail-on`. */
export const FAIL_CONDITIONS = ['drop', 'new-drop', 'undecidable', 'never'] as const;

/** One of `FAIL_CONDITIONS`. */
export type FailCondition = (typeof FAIL_CONDITIONS)[number];

/** What decides the exit code of a replay beside its result. */
export interface ReplayExitOptions {
  readonly failOn: readonly FailCondition[];
  readonly maxMalformed: number;
  readonly end: 'finished' | 'interrupted';
  /** Why an input could not be read to its end. */
  readonly refusals: readonly string[];
}

/**
 * The exit code of a replay, and in sentences what speaks against 0: a finding goes before incomplete data in the code, and hides nothing of it.
 */
export function judgeReplay(result: ReplayResult, options: ReplayExitOptions): { code: ExitCode; sentences: string[] } {
  const { failOn, maxMalformed, end, refusals } = options;
  if (refusals.length > 0) return { code: ExitCode.Refused, sentences: [...refusals] };
  const condition = failOn.find((one) => findingOf(result, one) !== undefined);
  const reasons = incompleteReasons(result.accounts, maxMalformed);
  if (end === 'interrupted') reasons.unshift('interrupted: it covers what was read until then');
  const sentences = reasons.length === 0 ? [] : [`the result is incomplete: ${reasons.join('; ')}`];
  if (condition === undefined) return { code: reasons.length > 0 ? ExitCode.Incomplete : ExitCode.Fine, sentences };
  sentences.unshift(`${findingOf(result, condition)} (--fail-on ${condition})`);
  return { code: ExitCode.Finding, sentences };
}

/** What makes data incomplete: lost events, or more malformed records than allowed. */
export function incompleteReasons(accounts: ReplayResult['accounts'], maxMalformed: number): string[] {
  let lost = 0;
  let malformed = 0;
  for (const account of accounts) {
    lost += account.lost;
    for (const count of account.malformed.values()) malformed += count;
  }
  const reasons: string[] = [];
  // A container that breaks off is no record, so no counter of records has it.
  for (const { diagnostics } of accounts)
    for (const { severity, code, message } of diagnostics)
      if (severity === 'error' && (code === 'truncated-input' || code === 'limit-exceeded')) reasons.push(message);
  if (lost > 0) reasons.push(`the source lost ${lost} ${lost === 1 ? 'record' : 'records'}`);
  if (malformed > maxMalformed)
    reasons.push(
      `${malformed} malformed ${malformed === 1 ? 'record' : 'records'}, more than --max-malformed ${maxMalformed}`,
    );
  return reasons;
}

function findingOf(result: ReplayResult, condition: FailCondition): string | undefined {
  const isConnections = result.mode === 'connections';
  const unit = isConnections ? 'connection' : result.mode === 'packets' ? 'packet' : 'record';
  const count = (...tallies: readonly { connections: number; records: number }[]): number =>
    tallies.reduce((sum, tally) => sum + (isConnections ? tally.connections : tally.records), 0);
  const phrase = (number: number, what: string): string | undefined =>
    number === 0 ? undefined : `${number} ${unit}${number === 1 ? '' : 's'} ${what}`;
  switch (condition) {
    case 'drop':
      return phrase(count(result.totals.deny, result.partial.deny), 'would be dropped');
    case 'new-drop':
      return result.comparison && phrase(count(result.comparison.newlyDropped), 'would be newly dropped');
    case 'undecidable':
      return phrase(count(result.totals.undecidable, result.partial.undecidable), 'could not be decided');
    case 'never':
      return undefined;
  }
}
