/** What `check` prints: every diagnostic, then what was read. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { diagnosticCountsText, diagnosticJson, formatDiagnostic } from './diagnostic.ts';
import { type ColorMode, createStyle, hang } from './layout.ts';
import { type Redact, createDataNames, createTextNames } from './name.ts';
import { formatCount } from './quantity.ts';
import { documentText } from './replay.ts';
import { SCHEMA_VERSION } from './replay-json.ts';

/** What a check found. */
export interface CheckResult {
  readonly diagnostics: readonly Diagnostic[];
  /** Kind -> objects read, and kind -> objects of kinds that dropcast has no use for. */
  readonly objects: ReadonlyMap<string, number>;
  readonly skipped: ReadonlyMap<string, number>;
}

/** How a check is shown. */
export interface CheckReportOptions {
  readonly format: 'text' | 'json';
  readonly color: ColorMode;
  readonly redact?: Redact;
}

/** The check in a format, with a line break at the end. */
export function formatCheck(result: CheckResult, options: CheckReportOptions): string {
  const { diagnostics, objects, skipped } = result;
  const isRefused = diagnostics.some(({ severity }) => severity === 'error');
  if (options.format === 'json') {
    const names = createDataNames(options.redact);
    return documentText({
      schemaVersion: SCHEMA_VERSION,
      type: 'check',
      isAccepted: !isRefused,
      diagnostics: diagnostics.map((diagnostic) => diagnosticJson(diagnostic, names)),
      objects: [...objects].map(([kind, count]) => ({ kind, count })),
      skipped: [...skipped].map(([kind, count]) => ({ kind, count })),
    });
  }
  const style = createStyle(options.color);
  const names = createTextNames(options.redact);
  const lines = diagnostics.flatMap((diagnostic) => [
    formatDiagnostic(diagnostic, { color: options.color, names }),
    '',
  ]);
  lines.push(...hang('read: ', counterText(objects, names.sentence) || 'nothing'));
  const [policies, others] = [true, false].map(
    (wanted) => new Map([...skipped].filter(([kind]) => isPolicyKind(kind) === wanted)),
  ) as [Map<string, number>, Map<string, number>];
  if (policies.size > 0)
    lines.push(...hang('not read, missing from every verdict: ', counterText(policies, names.sentence)));
  if (others.size > 0)
    lines.push(...hang('skipped, of no effect on network policy: ', counterText(others, names.sentence)));
  const counts = diagnosticCountsText(diagnostics);
  lines.push(isRefused ? style.bad(`refused: ${counts}`) : style.good(`accepted: ${counts}`));
  return `${lines.join('\n')}\n`;
}

/** Policies of others (Cilium, Calico, AdminNetworkPolicy) all end so; their group may follow. */
function isPolicyKind(kind: string): boolean {
  return kind.split('.', 1)[0]!.endsWith('NetworkPolicy');
}

function counterText(counter: ReadonlyMap<string, number>, show: (text: string) => string): string {
  return [...counter].map(([kind, count]) => `${formatCount(count)} ${show(kind)}`).join(', ');
}
