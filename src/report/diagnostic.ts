/** Diagnostics as compilers print them: place, severity, message, the source line with a caret, a way out. */
import type { Diagnostic, Severity } from '../model/diagnostic.ts';
import { escapeControl } from './escape.ts';
import { type ColorMode, type Style, createStyle } from './layout.ts';
import { type Names, createTextNames } from './name.ts';
import { formatCounted } from './quantity.ts';

/** How a diagnostic is printed. */
export interface DiagnosticOptions {
  readonly color: ColorMode;
  /** Redacting names leave out message, source line and hint: they quote the input. */
  readonly names?: Names;
}

/** Columns of a source line that are shown around the caret. */
const EXCERPT_WIDTH = 96;

/** One diagnostic, several lines, without a line break at the end. */
export function formatDiagnostic(diagnostic: Diagnostic, options: DiagnosticOptions): string {
  const style = createStyle(options.color);
  const names = options.names ?? createTextNames();
  const severity = severityText(diagnostic.severity, style);
  const place = style.bold(`${placeText(diagnostic, names)}:`);
  if (names.mode === 'redacted') return `${place} ${severity}: ${diagnostic.code}`;
  const path =
    diagnostic.path === undefined || diagnostic.path === '' || diagnostic.message.startsWith(diagnostic.path)
      ? ''
      : `${escapeControl(diagnostic.path)}: `;
  const object = diagnostic.object === undefined ? '' : style.dim(` (${escapeControl(diagnostic.object)})`);
  const lines = [`${place} ${severity}: ${path}${escapeControl(diagnostic.message)} [${diagnostic.code}]${object}`];
  if (diagnostic.excerpt !== undefined) lines.push(...excerptLines(diagnostic, diagnostic.excerpt, style));
  if (diagnostic.hint !== undefined) lines.push(`  ${style.accent('hint')}: ${escapeControl(diagnostic.hint)}`);
  return lines.join('\n');
}

/** A diagnostic for machines. */
export function diagnosticJson(diagnostic: Diagnostic, names: Names): object {
  const { severity, code, line, column, length } = diagnostic;
  const place = { file: names.show('file', diagnostic.file), line, column, length };
  if (names.mode === 'redacted') return { severity, code, ...place };
  const { message, path, hint, excerpt, object } = diagnostic;
  return { severity, code, message, ...place, path, hint, excerpt, object };
}

/** `2 errors, 1 warning, 0 notes`. */
export function diagnosticCountsText(diagnostics: readonly Diagnostic[]): string {
  const count = (severity: Severity): number => diagnostics.filter((one) => one.severity === severity).length;
  return [
    formatCounted(count('error'), 'error'),
    formatCounted(count('warning'), 'warning'),
    formatCounted(count('note'), 'note'),
  ].join(', ');
}

function placeText({ file, line, column }: Diagnostic, names: Names): string {
  return [names.show('file', file), line, line === undefined ? undefined : column]
    .filter((part) => part !== undefined)
    .join(':');
}

function severityText(severity: Severity, style: Style): string {
  if (severity === 'error') return style.bold(style.bad('error'));
  return severity === 'warning' ? style.bold(style.warn('warning')) : style.bold(style.accent('note'));
}

/** The source line, cut around the column, and a caret below it; both are measured after escaping. */
function excerptLines({ line, column, length }: Diagnostic, excerpt: string, style: Style): string[] {
  const source = (excerpt.split(/\r?\n/, 1)[0] ?? '').replaceAll('\t', ' ');
  const gutter = String(line ?? '').padStart(5);
  if (column === undefined) return [`${style.dim(`${gutter} |`)} ${escapeControl(cut(source, 0)).trimEnd()}`];
  const at = Math.min(Math.max(column - 1, 0), source.length);
  const start = at < EXCERPT_WIDTH - 20 ? 0 : at - 40;
  const shown = cut(source, start);
  const before = escapeControl(cut(source, start).slice(0, at - start));
  const marked = escapeControl(source.slice(at, Math.min(at + Math.max(1, length ?? 1), start + EXCERPT_WIDTH)));
  const caret = '^'.repeat(Math.max(1, marked.trimEnd().length));
  const lead = start > 0 ? '... ' : '';
  return [
    `${style.dim(`${gutter} |`)} ${lead}${escapeControl(shown).trimEnd()}`,
    `${style.dim('      |')} ${' '.repeat(lead.length + before.length)}${style.bad(caret)}`,
  ];
}

function cut(source: string, start: number): string {
  return source.slice(start, start + EXCERPT_WIDTH);
}
