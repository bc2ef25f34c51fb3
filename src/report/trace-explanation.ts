/** What `convert --explain` prints: how the beginning of each trace was understood. */
import type { TraceExplanation } from '../trace/explain.ts';
import { diagnosticJson, formatDiagnostic } from './diagnostic.ts';
import { escapeControl } from './escape.ts';
import { type ColorMode, createStyle, hang } from './layout.ts';
import { createDataNames } from './name.ts';
import { formatCount, formatCounted } from './quantity.ts';
import { documentText } from './replay.ts';
import { SCHEMA_VERSION } from './replay-json.ts';

/** The explanations in a format, with a line break at the end. */
export function formatTraceExplanations(
  explanations: readonly TraceExplanation[],
  { format, color }: { readonly format: 'text' | 'json'; readonly color: ColorMode },
): string {
  if (format === 'text') return explanations.map((one) => explanationText(one, color)).join('\n');
  return documentText({
    schemaVersion: SCHEMA_VERSION,
    type: 'trace-explanation',
    traces: explanations.map(({ account, description, rows, extent, fields, orientedBy }) => ({
      file: account.file,
      format: account.format,
      description,
      containers: account.containers,
      extent,
      read: account.read,
      rows,
      skipped: countsJson(account.skipped),
      malformed: countsJson(account.malformed),
      lost: account.lost,
      unknownValues: countsJson(account.unknownValues),
      fields: fields.map(({ field, source, present, samples }) => ({ field, source, present, samples })),
      orientedBy: countsJson(orientedBy),
      limits: account.limits,
      diagnostics: account.diagnostics.map((one) => diagnosticJson(one, createDataNames(undefined))),
    })),
  });
}

function explanationText(explanation: TraceExplanation, color: ColorMode): string {
  const { account, description, rows, extent, fields, orientedBy } = explanation;
  const style = createStyle(color);
  const around = account.containers.length === 0 ? '' : ` in ${account.containers.join(', ')}`;
  const lines = [style.bold(`${escapeControl(account.file)}: ${account.format}${around}`), `  ${description}`];
  const part = extent === 'whole' ? 'the whole input' : 'the beginning of the input';
  lines.push(`  ${formatCounted(account.read, 'record')} read, ${formatCounted(rows, 'row')} looked at, ${part}`);
  for (const [name, counts] of [
    ['skipped', account.skipped],
    ['malformed', account.malformed],
    ['values not known', account.unknownValues],
  ] as const)
    if (counts.size > 0) lines.push(...hang('  ', `${name}: ${countsText(counts)}`));
  const present = fields.filter((field) => field.present > 0);
  if (present.length > 0) {
    lines.push('', style.bold('  field         rows  from -> samples'));
    for (const { field, source, present: count, samples } of present) {
      const share = count === rows ? 'all' : formatCount(count);
      const from = source === undefined ? '' : `${escapeControl(source)} -> `;
      lines.push(`  ${field.padEnd(13)} ${share.padStart(4)}  ${from}${samples.map(escapeControl).join(', ')}`);
    }
    const absent = fields.filter((field) => field.present === 0).map(({ field }) => field);
    if (absent.length > 0) lines.push('', ...hang('  ', `absent: ${absent.join(', ')}`));
    lines.push(...hang('  ', `who opened the connection is known by: ${countsText(orientedBy)}`));
  }
  if (account.limits.length > 0) lines.push('', style.bold('  what this source cannot show'));
  for (const limit of account.limits) lines.push(...hang('  - ', escapeControl(limit)));
  if (account.diagnostics.length > 0) lines.push('');
  for (const diagnostic of account.diagnostics.slice(0, 5)) lines.push(formatDiagnostic(diagnostic, { color }));
  return `${lines.join('\n')}\n`;
}

function countsText(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${escapeControl(name)} ${formatCount(count)}`).join(', ');
}

function countsJson(counts: ReadonlyMap<string, number>): object[] {
  return [...counts].map(([name, count]) => ({ name, count }));
}
