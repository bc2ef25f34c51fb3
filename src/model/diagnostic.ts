/** Operating errors as values: collected, never thrown, printed with the source line and a caret. */

/** Every code that a diagnostic can carry; docs/diagnostics.md has a row for each. */
export type DiagnosticCode =
  // manifest: reading
  | 'unreadable-file'
  | 'invalid-yaml'
  | 'invalid-json'
  | 'unrendered-template'
  | 'not-an-object'
  | 'unsupported-version'
  // manifest: strict decoding
  | 'unknown-field'
  | 'duplicate-field'
  | 'wrong-type'
  // manifest: validation, in the API server's error types
  | 'required-value'
  | 'invalid-value'
  | 'unsupported-value'
  | 'forbidden'
  | 'duplicate-value'
  | 'too-long'
  | 'too-many'
  | 'invalid-cidr'
  // manifest: the set of objects
  | 'duplicate-object'
  | 'replaced-object'
  | 'nothing-to-delete'
  | 'unknown-namespace'
  | 'address-conflict'
  | 'non-canonical-cidr'
  | 'terminated-pod'
  | 'selects-nothing'
  // expectations and scenario files
  | 'invalid-expectation'
  | 'unknown-name'
  | 'invalid-scenario'
  // traces
  | 'unknown-format'
  | 'unsupported-format'
  | 'malformed-record'
  | 'truncated-input'
  | 'limit-exceeded';

/** `error` refuses the object, `warning` does not, `note` says what was done. */
export type Severity = 'error' | 'warning' | 'note';

/** One finding about the input. Line and column count from 1; `path` is a field path such as `spec.ingress[0].from`. */
export interface Diagnostic {
  readonly severity: Severity;
  readonly code: DiagnosticCode;
  /** What was expected and what was found, in the API server's own words where it has some. */
  readonly message: string;
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** How many characters the caret marks; 1 where unknown. */
  readonly length?: number;
  readonly path?: string;
  /** A way out, such as `did you mean "matchLabels"?`. */
  readonly hint?: string;
  /** The source line, unescaped: whoever prints it escapes it. */
  readonly excerpt?: string;
  /** The object concerned, as `NetworkPolicy default/db`. */
  readonly object?: string;
}
