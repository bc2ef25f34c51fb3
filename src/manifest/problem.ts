/** Findings of validation in the API server's error types and words (field.ErrorList), before they get a place in a text. */
import type { DiagnosticCode, Severity } from '../model/diagnostic.ts';
import { findNearest } from './nearest.ts';
import { type Path, formatPath } from './source.ts';

/** One finding about the field at `path` of an object. */
export interface Problem {
  readonly severity: Severity;
  readonly code: DiagnosticCode;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
  /** Mark the key instead of the value. */
  readonly part?: 'key';
}

/** `path: Required value: detail`. */
export function required(path: Path, detail: string): Problem {
  return problem('required-value', path, `Required value${detail === '' ? '' : `: ${detail}`}`);
}

/** `path: Invalid value: "x": detail`. */
export function invalid(path: Path, value: unknown, detail: string): Problem {
  return problem('invalid-value', path, `Invalid value: ${JSON.stringify(value)}: ${detail}`);
}

/** `path: Unsupported value: "x": supported values: "A", "B"`, with the nearest of them as a hint. */
export function unsupported(path: Path, value: string, supported: readonly string[]): Problem {
  const near = findNearest(value, supported);
  return {
    ...problem(
      'unsupported-value',
      path,
      `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported.map((word) => JSON.stringify(word)).join(', ')}`,
    ),
    ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
  };
}

/** `path: Forbidden: detail`. */
export function forbidden(path: Path, detail: string): Problem {
  return problem('forbidden', path, `Forbidden: ${detail}`);
}

function problem(code: DiagnosticCode, path: Path, text: string): Problem {
  return { severity: 'error', code, path, message: `${formatPath(path)}: ${text}` };
}
