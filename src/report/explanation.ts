/** The door of report for explanations. */
import type { Explanation } from '../model/explanation.ts';
import { explanationJson } from './explanation-json.ts';
import { explanationTextLines } from './explanation-text.ts';
import { type ColorMode, createStyle } from './layout.ts';
import { type Redact, createDataNames, createTextNames } from './name.ts';
import { documentText } from './replay.ts';
import { SCHEMA_VERSION } from './replay-json.ts';

/** How an explanation is shown. */
export interface ExplanationReportOptions {
  readonly format: 'text' | 'json';
  readonly color: ColorMode;
  readonly redact?: Redact;
}

/** The explanation in a format, with a line break at the end. */
export function formatExplanation(explanation: Explanation, options: ExplanationReportOptions): string {
  if (options.format === 'json') {
    const names = createDataNames(options.redact);
    return documentText({ schemaVersion: SCHEMA_VERSION, type: 'explain', ...explanationJson(explanation, names) });
  }
  const names = createTextNames(options.redact);
  return `${explanationTextLines(explanation, { names, style: createStyle(options.color) }).join('\n')}\n`;
}
