/**
 * Text with line numbers, documents with positions, and the diagnostics made of both. A document is a plain JSON value plus a
 * way to find where any path of it was written; positions are looked up only when somebody asks, since a snapshot of
 * thirty megabytes has few places that anybody wants to see. First step of the flow: text -> documents -> decode.
 */
import type { Diagnostic, DiagnosticCode, Severity } from '../model/diagnostic.ts';
import type { Position } from '../model/policy.ts';

/** A field path: names and list indices, outermost first. */
export type Path = readonly (string | number)[];

/** Offsets into the text of a source, end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** One input text; `text` is without its byte order mark. */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** Offset of the first character of each line; computed at first use. */
  readonly lineStarts: Int32Array;
}

/** A mapping key that was written a second time. */
export interface DuplicateKey {
  /** Path of the key, the key included. */
  readonly path: Path;
  readonly span: Span;
  /** Where the key stood first. */
  readonly first: Span;
}

/** One YAML document or JSON value. */
export interface SourceDocument {
  readonly source: Source;
  readonly format: 'yaml' | 'json';
  /** Objects, arrays, strings, numbers, booleans and null, as the API server would receive them. */
  readonly value: unknown;
  /** Where the key or the value at `path` stands; of the nearest ancestor that exists where the path leads nowhere. */
  locate(path: Path, part: 'key' | 'value'): Span;
  /** Keys written twice at or below `prefix`, in the order of the text. */
  duplicates(prefix: Path): readonly DuplicateKey[];
}

/** What a text holds: the documents that could be read, and what was wrong with the others. */
export interface DocumentSet {
  readonly documents: readonly SourceDocument[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Everything of a diagnostic but its place. */
export interface Finding {
  readonly severity: Severity;
  readonly code: DiagnosticCode;
  readonly message: string;
  readonly path?: string;
  readonly hint?: string;
  readonly object?: string;
}

/** Longer source lines (minified JSON) are not shown: the caret would stand nowhere. */
const LONGEST_EXCERPT = 400;

/** Wraps a text; a byte order mark is dropped here, so that offsets and columns count without it. */
export function createSource(path: string, text: string): Source {
  const bare = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  let starts: Int32Array | undefined;
  return {
    path,
    text: bare,
    get lineStarts(): Int32Array {
      starts ??= findLineStarts(bare);
      return starts;
    },
  };
}

/** Line and column of an offset, both from 1. */
export function positionOf(source: Source, offset: number): Position {
  const { lineStarts } = source;
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (lineStarts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return { file: source.path, line: low + 1, column: offset - lineStarts[low]! + 1 };
}

/** A diagnostic at a span of a source, with the source line where it is short enough to show. */
export function diagnose(source: Source, span: Span, finding: Finding): Diagnostic {
  const { file, line, column } = positionOf(source, span.start);
  const excerpt = lineText(source, line);
  const length = Math.max(1, Math.min(span.end - span.start, excerpt.length - column + 1));
  return {
    ...finding,
    file,
    line,
    column,
    length,
    ...(excerpt.length <= LONGEST_EXCERPT ? { excerpt } : {}),
  };
}

/** A diagnostic about a whole file or option, without a line. */
export function diagnoseFile(file: string, finding: Finding): Diagnostic {
  return { ...finding, file };
}

/** The text of a line (from 1), without its line break. */
export function lineText(source: Source, line: number): string {
  const start = source.lineStarts[line - 1] ?? source.text.length;
  const next = source.lineStarts[line];
  let end = next === undefined ? source.text.length : next - 1;
  if (end > start && source.text.charCodeAt(end - 1) === 13) end--;
  return source.text.slice(start, end);
}

/** A path as the API server writes it: `spec.ingress[0].from`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : text === '' ? part : `.${part}`;
  return text;
}

function findLineStarts(text: string): Int32Array {
  let starts = new Int32Array(1 << 10);
  let count = 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (count === starts.length) {
      const larger = new Int32Array(count * 2);
      larger.set(starts);
      starts = larger;
    }
    starts[count++] = at + 1;
  }
  return starts.slice(0, count);
}
