/** The door of report for replays: one result, six formats. Pure: text out, nothing printed. */
import type { ReplayResult } from '../replay/result.ts';
import { jsonText } from './escape.ts';
import { type ColorMode, createStyle } from './layout.ts';
import { type Names, type Redact, createDataNames, createTextNames } from './name.ts';
import { replayJson, replayNdjson } from './replay-json.ts';
import { replayCsv, replayMarkdown, wideLines } from './replay-table.ts';
import { replayTextLines } from './replay-text.ts';

/** Output formats of `replay`. */
export const REPLAY_FORMATS = ['text', 'wide', 'json', 'ndjson', 'csv', 'md'] as const;

/** One of `REPLAY_FORMATS`. */
export type ReplayFormat = (typeof REPLAY_FORMATS)[number];

/** How a result is shown. */
export interface ReplayReportOptions {
  readonly format: ReplayFormat;
  readonly color: ColorMode;
  /** Groups in a list of text and Markdown; default 10, `Infinity` for all. */
  readonly top?: number;
  /** Replaces names and addresses, in every format. */
  readonly redact?: Redact;
  /** Policies of the candidate and of the baseline, for the headline of text output. */
  readonly policyCount?: number;
  readonly baselinePolicyCount?: number;
}

/** The result in a format, with a line break at the end. */
export function formatReplay(result: ReplayResult, options: ReplayReportOptions): string {
  const { format, redact, top = 10 } = options;
  const isText = format === 'text' || format === 'wide';
  const names = isText ? createTextNames(redact) : createDataNames(redact);
  if (redact !== undefined) learnNames(result, names);
  switch (format) {
    case 'json':
      return replayJson(result, names);
    case 'ndjson':
      return replayNdjson(result, names);
    case 'csv':
      return replayCsv(result, names);
    case 'md':
      return replayMarkdown(result, names, top);
    case 'text':
    case 'wide': {
      const table = format === 'wide' && result.groups.length > 0 ? wideLines(result, names) : [];
      const page = { ...options, names, style: createStyle(options.color), top, table };
      return `${replayTextLines(result, page).join('\n')}\n`;
    }
  }
}

/** Shows every name once, so that sentences written by other rooms are redacted by what the data calls a name. */
function learnNames(result: ReplayResult, names: Names): void {
  const keys: readonly [string, Parameters<Names['show']>[0]][] = [
    ['namespace', 'namespace'],
    ['name', 'workload'],
    ['address', 'address'],
    ['file', 'file'],
  ];
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 6) return;
    if (Array.isArray(value)) for (const element of value) visit(element, depth + 1);
    for (const [key, kind] of keys) {
      const field = (value as Record<string, unknown>)[key];
      if (typeof field === 'string') names.show(kind, field);
    }
    for (const child of Object.values(value)) visit(child, depth + 1);
  };
  visit(
    result.groups.map(({ source, destination, sample }) => [source, destination, sample]),
    0,
  );
  visit(result.untouched, 0);
  visit(result.accounts, 0);
}

/** JSON for commands that have small documents of their own. */
export function documentText(document: object): string {
  return `${jsonText(document, 'indented')}\n`;
}
