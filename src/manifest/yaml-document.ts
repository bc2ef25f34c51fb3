/**
 * YAML text -> documents. The stream is cut at its document markers first, so that a syntax error in one document hides no
 * other. Each piece goes to the quick reader of plain block YAML; what that gives up on, or anything that is wrong, goes to the reader of the
 * whole language, so that diagnostics do not depend on which of the two was there first.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import {
  type DocumentSet,
  type DuplicateKey,
  type Path,
  type Source,
  type SourceDocument,
  type Span,
  diagnose,
} from './source.ts';
import { BlockReader } from './yaml-block.ts';
import { PlaceTable } from './yaml-place.ts';
import { type TreeResult, readTree } from './yaml-tree.ts';

/** How to read a stream. */
export interface YamlOptions {
  /** `tree`: every document by the reader of the whole language, to measure the quick one against. Default `block`. */
  readonly reader?: 'block' | 'tree';
  /**
   * Kinds whose objects nobody looks into: a document of such a kind is not read beyond its `apiVersion` and `kind`, which are all that
   * its value then holds, and its syntax is not checked. Default: none.
   */
  readonly isIgnored?: (kind: string) => boolean;
}

/** Reads every document of a YAML stream. Documents without content are left out. */
export function readYaml(source: Source, options: YamlOptions = {}): DocumentSet {
  const documents: SourceDocument[] = [];
  const diagnostics: Diagnostic[] = [];
  const stream: Stream = { source, ...createReader(source), options };
  let isTemplateReported = false;
  for (const span of splitDocuments(source)) {
    const result = options.reader === 'tree' ? readTree(source, span) : readOne(stream, span);
    if (result === undefined) continue;
    if (!('error' in result)) {
      documents.push(result.document);
      continue;
    }
    const brace = source.text.slice(span.start, span.end).indexOf('{{');
    if (brace < 0) {
      diagnostics.push(result.error);
    } else if (!isTemplateReported) {
      // One for the file: a template that was not rendered breaks in many places, for one reason.
      isTemplateReported = true;
      diagnostics.push(
        diagnose(
          source,
          { start: span.start + brace, end: span.start + brace + 2 },
          {
            severity: 'error',
            code: 'unrendered-template',
            message: 'this looks like a template that has not been rendered: {{ is no YAML',
            hint: 'render it first, for example: helm template RELEASE CHART | dropcast check -f -',
          },
        ),
      );
    }
  }
  return { documents, diagnostics };
}

interface Stream {
  readonly source: Source;
  readonly reader: BlockReader;
  readonly places: PlaceTable;
  readonly options: YamlOptions;
}

function createReader(source: Source): Pick<Stream, 'reader' | 'places'> {
  const places = new PlaceTable();
  return { places, reader: new BlockReader(source.text, places) };
}

const NO_DUPLICATES: readonly DuplicateKey[] = [];

function readOne(
  stream: Stream,
  span: Span,
): { readonly document: SourceDocument } | Exclude<TreeResult, { document: unknown }> {
  const { source, reader, places } = stream;
  const type = stream.options.isIgnored === undefined ? undefined : ignoredType(stream, span, stream.options.isIgnored);
  if (type !== undefined) return { document: createStub(source, span, type) };
  const handed = new Map<number, SourceDocument>();
  const read = reader.read(span.start, span.end, (index, start, end) => {
    const item = readTree(source, { start, end });
    // Anchors hold for the whole document: one item cannot be read without the others.
    if (item === undefined || 'error' in item || item.hasAnchors) return undefined;
    const { value } = item.document;
    if (!Array.isArray(value) || value.length !== 1 || !isObject(value[0])) return undefined;
    handed.set(index, item.document);
    return { value: value[0] as unknown };
  });
  if (read === undefined) return readTree(source, span);
  if (read === 'empty') return undefined;
  const { value, root } = read;
  const handedTo = (path: Path): SourceDocument | undefined =>
    handed.size > 0 && path[0] === 'items' && typeof path[1] === 'number' ? handed.get(path[1]) : undefined;
  return {
    document: {
      source,
      format: 'yaml',
      value,
      locate: (path, part) =>
        handedTo(path)?.locate([0, ...path.slice(2)], part) ?? places.locate(root, path, part, reader.nameOf),
      duplicates: (prefix) => (handed.size === 0 ? NO_DUPLICATES : handedDuplicates(handed, prefix)),
    },
  };
}

/** Keys written twice stand only in items that were handed over: the quick reader takes none. */
function handedDuplicates(handed: ReadonlyMap<number, SourceDocument>, prefix: Path): readonly DuplicateKey[] {
  const found: DuplicateKey[] = [];
  for (const [index, document] of handed) {
    const own = ['items', index];
    if (!own.every((name, depth) => depth >= prefix.length || prefix[depth] === name)) continue;
    for (const { path, span, first } of document.duplicates([0, ...prefix.slice(2)]))
      found.push({ path: [...own, ...path.slice(1)], span, first });
  }
  return found;
}

/**
 * Spans of the documents of a stream. A line that begins with `---` or `...` and then ends or has white space is a marker
 * wherever it stands: YAML forbids such lines inside scalars. Directives stay with the marker that follows them.
 */
function splitDocuments(source: Source): Span[] {
  const { text, lineStarts } = source;
  const spans: Span[] = [];
  let start = 0;
  let isOpen = false;
  for (const at of lineStarts) {
    const code = text.charCodeAt(at);
    if (code !== 45 && code !== 46) {
      // Directives, comments and blank lines open nothing.
      if (!isOpen && code !== 37 && code !== 35 && code !== 10 && code !== 13 && !Number.isNaN(code)) isOpen = true;
      continue;
    }
    if (!isMarker(text, at)) {
      isOpen = true;
    } else if (code === 45) {
      if (isOpen) {
        spans.push({ start, end: at });
        start = at;
      }
      isOpen = true;
    } else {
      if (isOpen) spans.push({ start, end: at });
      const next = text.indexOf('\n', at);
      start = next < 0 ? text.length : next + 1;
      isOpen = false;
    }
  }
  if (isOpen) spans.push({ start, end: text.length });
  return spans;
}

interface ObjectType {
  readonly apiVersion: string;
  readonly kind: string;
}

/** `kind: Name` or `apiVersion: group/version` in the first column, plain and alone on its line. */
const TYPE_LINE = /^(kind|apiVersion): ([A-Za-z][A-Za-z0-9./-]*)\r?$/;

/** Another field in the first column; list items and closing brackets may stand there too, but none of them hides a field. */
const FIELD_LINE = /^[A-Za-z][A-Za-z0-9]*:(?:[ \r]|$)/;

/**
 * The type of a document that need not be read: its `kind` stands once in the first column and is ignored, and every other line there is a
 * field, a list item or a comment, so that nothing else can be hidden in it. Templates are read, to be reported.
 */
function ignoredType(
  { source }: Stream,
  span: Span,
  isIgnored: NonNullable<YamlOptions['isIgnored']>,
): ObjectType | undefined {
  const text = source.text.slice(span.start, span.end);
  const kindAt = text.startsWith('kind: ') ? 0 : text.indexOf('\nkind: ') + 1;
  const kindEnd = text.indexOf('\n', kindAt);
  const line = TYPE_LINE.exec(text.slice(kindAt, Math.min(kindEnd < 0 ? text.length : kindEnd, kindAt + 300)));
  if (line?.[1] !== 'kind' || line[2]!.endsWith('List') || !isIgnored(line[2]!)) return undefined;
  const found: { kind?: string; apiVersion?: string } = {};
  for (let at = text.startsWith('---') ? text.indexOf('\n') + 1 : 0; at < text.length;) {
    const next = text.indexOf('\n', at);
    const end = next < 0 ? text.length : next;
    const code = text.charCodeAt(at);
    const isInner = code === 32 || code === 10 || code === 13 || code === 35 || (code === 45 && text[at + 1] === ' ');
    if (!isInner) {
      const start = text.slice(at, Math.min(end, at + 300));
      const own = TYPE_LINE.exec(start);
      if (own === null ? !FIELD_LINE.test(start) || /^(?:kind|apiVersion):/.test(start) : Object.hasOwn(found, own[1]!))
        return undefined;
      if (own !== null) found[own[1] as 'kind' | 'apiVersion'] = own[2]!;
    }
    if (next < 0) break;
    at = end + 1;
  }
  const { kind, apiVersion } = found;
  if (kind === undefined || apiVersion === undefined || text.includes('{{')) return undefined;
  return { apiVersion, kind };
}

/** A document of which only the type was read; asked for places, it is read after all. */
function createStub(source: Source, span: Span, type: ObjectType): SourceDocument {
  let full: SourceDocument | undefined;
  return {
    source,
    format: 'yaml',
    value: type,
    locate(path, part) {
      const read = full === undefined ? readTree(source, span) : undefined;
      if (read !== undefined && 'document' in read) full = read.document;
      return full?.locate(path, part) ?? span;
    },
    duplicates: () => NO_DUPLICATES,
  };
}

function isMarker(text: string, at: number): boolean {
  const character = text[at];
  if (text[at + 1] !== character || text[at + 2] !== character) return false;
  const after = text.charCodeAt(at + 3);
  return Number.isNaN(after) || after === 32 || after === 9 || after === 10 || after === 13;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
