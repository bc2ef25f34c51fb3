/** Results of policy unit tests: each failure with what was expected, what was found and why, then a count. */
import type { Explanation } from '../model/explanation.ts';
import type { VerdictName } from '../model/verdict.ts';
import { VERDICT_NAMES } from '../model/verdict.ts';
import { explanationJson } from './explanation-json.ts';
import { causeTexts } from './explanation-text.ts';
import { type ColorMode, createStyle, hang } from './layout.ts';
import { type Names, type Redact, createDataNames, createTextNames } from './name.ts';
import { formatCount } from './quantity.ts';
import { documentText } from './replay.ts';
import { SCHEMA_VERSION } from './replay-json.ts';

/** One row of an expectations file, judged. */
export interface ExpectationResult {
  readonly file: string;
  readonly line: number;
  /** The row as written. */
  readonly text: string;
  readonly expect: VerdictName;
  /** Why the row could not be judged: a name that matches nothing. */
  readonly error?: string;
  /** Undefined where `error` is set. */
  readonly explanation?: Explanation;
}

/** How test results are shown. */
export interface ExpectationReportOptions {
  readonly format: 'text' | 'json';
  readonly color: ColorMode;
  /** Rows that could not even be read: they have no result, and count as not judged. */
  readonly unread?: number;
  readonly redact?: Redact;
}

/** What became of a row. */
export type Outcome = 'passed' | 'failed' | 'error';

/** Passed where found is expected, error where nothing could be found. */
export function outcomeOf(result: ExpectationResult): Outcome {
  if (result.explanation === undefined) return 'error';
  return VERDICT_NAMES[result.explanation.verdict] === result.expect ? 'passed' : 'failed';
}

/** All results in a format, with a line break at the end. */
export function formatExpectations(results: readonly ExpectationResult[], options: ExpectationReportOptions): string {
  return options.format === 'json' ? jsonOf(results, options) : textOf(results, options);
}

function textOf(results: readonly ExpectationResult[], options: ExpectationReportOptions): string {
  const style = createStyle(options.color);
  const names = createTextNames(options.redact);
  const lines: string[] = [];
  for (const result of results) {
    const outcome = outcomeOf(result);
    if (outcome === 'passed') continue;
    const place = `${names.show('file', result.file)}:${result.line}`;
    lines.push(`${style.bad(outcome === 'failed' ? 'FAIL' : 'ERROR')} ${style.bold(place)}  ${rowText(result, names)}`);
    if (result.explanation === undefined)
      lines.push(...hang('  ', names.mode === 'plain' ? names.sentence(result.error ?? '') : 'a name matches nothing'));
    else {
      lines.push(`  expected ${result.expect}, found ${VERDICT_NAMES[result.explanation.verdict]}`);
      lines.push(...causeTexts(result.explanation, names).flatMap((text) => hang('  ', text)));
    }
    lines.push('');
  }
  const { passed, failed, errors } = countOutcomes(results, options.unread);
  const error = errors === 0 ? '' : `, ${formatCount(errors)} not judged`;
  const summary = `${formatCount(passed)} passed, ${formatCount(failed)} failed${error}`;
  return `${[...lines, failed + errors > 0 ? style.bad(summary) : style.good(summary)].join('\n')}\n`;
}

function jsonOf(results: readonly ExpectationResult[], options: ExpectationReportOptions): string {
  const names = createDataNames(options.redact);
  return documentText({
    schemaVersion: SCHEMA_VERSION,
    type: 'test',
    ...countOutcomes(results, options.unread),
    rows: results.map((result) => ({
      file: names.show('file', result.file),
      line: result.line,
      text: rowText(result, names),
      outcome: outcomeOf(result),
      expect: result.expect,
      found: result.explanation && VERDICT_NAMES[result.explanation.verdict],
      error: result.error === undefined ? undefined : names.mode === 'plain' ? result.error : 'unknown-name',
      explanation:
        result.explanation && outcomeOf(result) === 'failed' ? explanationJson(result.explanation, names) : undefined,
    })),
  });
}

/** The row as written; redacted, each of its cells on its own. */
function rowText(result: ExpectationResult, names: Names): string {
  if (names.mode === 'plain') return names.sentence(result.text);
  const [src = '', dst = '', ...rest] = result.text.split(',');
  return [names.show('pod', src.trim()), names.show('pod', dst.trim()), ...rest].join(',');
}

/** How many rows passed, failed and could not be judged; the last begins with `unread`, the rows without a result. */
export function countOutcomes(
  results: readonly ExpectationResult[],
  unread = 0,
): {
  passed: number;
  failed: number;
  errors: number;
} {
  const counts = { passed: 0, failed: 0, errors: unread };
  for (const result of results) {
    const outcome = outcomeOf(result);
    counts[outcome === 'error' ? 'errors' : outcome]++;
  }
  return counts;
}
