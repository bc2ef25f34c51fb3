/**
 * One YAML document by way of the `yaml` package: the whole language, with every diagnostic and place, at a few megabytes a second. Every
 * scalar is left as text (its failsafe schema), and scalars, keys, anchors and merges are resolved here the way kubectl's
 * reader does (see scalar.ts). It reads what yaml-block.ts hands over, and is what that reader is measured against.
 */
import { type Alias, type Document, type Node, type Pair, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type ScalarResult, keyText, resolvePlain, resolveTagged } from './scalar.ts';
import {
  type DuplicateKey,
  type Path,
  type Source,
  type SourceDocument,
  type Span,
  diagnose,
  lineText,
  positionOf,
} from './source.ts';

/** Nesting beyond this is refused; real manifests stay below 30. */
const DEEPEST = 200;
const TOO_DEEP = 'the document is nested too deeply';

/** Indentations that a hint lists; of more nobody finds the one that was meant. */
const INDENTS_SHOWN = 8;

/** Values that aliases may add up to before the document counts as an alias bomb. */
const LARGEST_EXPANSION = 1_000_000;

/** What one document is: `hasAnchors` tells whether it defines any, undefined that it has no content. */
export type TreeResult =
  { readonly document: SourceDocument; readonly hasAnchors: boolean } | { readonly error: Diagnostic } | undefined;

/** Reads the document of `source` at [offset, end). */
export function readTree(source: Source, { start: offset, end }: Span): TreeResult {
  const text = source.text.slice(offset, end);
  const fail = (start: number, message: string): { readonly error: Diagnostic } => ({
    error: syntaxError(source, offset + start, message),
  });
  let parsed: Document.Parsed;
  try {
    parsed = parseDocument(text, { schema: 'failsafe', uniqueKeys: false, prettyErrors: false, logLevel: 'silent' });
  } catch {
    // The parser works by recursion: what overflows its stack is nested beyond all reason.
    return fail(0, TOO_DEEP);
  }
  const [error] = parsed.errors;
  if (error !== undefined) {
    if (error.code === 'RESOURCE_EXHAUSTION') return fail(error.pos[0], TOO_DEEP);
    // A line indented too deeply reads as the rest of the text above it: the parser blames that text, people look for the line.
    const key = parsed.errors.find(({ code, pos }) => code === 'MULTILINE_IMPLICIT_KEY' && pos[0] === error.pos[0]);
    if (key === undefined) return fail(error.pos[0], error.message);
    return fail(text.lastIndexOf('\n', key.pos[1] - 1) + 1, 'mapping values are not allowed in this context');
  }
  if (parsed.contents === null) return undefined;
  const converter = new Converter();
  try {
    const value = converter.convert(parsed.contents as Node, 0);
    if (value === null && isScalar(parsed.contents)) return undefined;
    const document: SourceDocument = {
      source,
      format: 'yaml',
      value,
      locate: (path, part) => shift(locate(parsed.contents as Node, path, part, converter.targets), offset),
      duplicates: (prefix) =>
        converter.duplicates
          .filter(({ path }) => prefix.every((name, index) => path[index] === name))
          .map(({ path, span, first }) => ({ path, span: shift(span, offset), first: shift(first, offset) })),
    };
    return { document, hasAnchors: converter.hasAnchors };
  } catch (thrown) {
    if (thrown instanceof ConversionError) return fail(thrown.offset, thrown.message);
    throw thrown;
  }
}

/** Leaves the conversion of one document from any depth; never leaves this file. */
class ConversionError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

interface Anchor {
  readonly node: Node;
  readonly value: unknown;
  /** How many values a walk over it meets. */
  readonly size: number;
}

/** Turns one document into a plain value; keeps what later look-ups need. */
class Converter {
  readonly targets = new Map<Alias, Node>();
  readonly duplicates: DuplicateKey[] = [];
  private readonly anchors = new Map<string, Anchor | 'open'>();
  private readonly path: (string | number)[] = [];
  private size = 0;

  get hasAnchors(): boolean {
    return this.anchors.size > 0;
  }

  convert(node: Node | null, depth: number): unknown {
    if (node === null) return null;
    if (depth > DEEPEST) throw new ConversionError(TOO_DEEP, startOf(node));
    if (isAlias(node)) return this.resolveAlias(node);
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor !== undefined) this.anchors.set(anchor, 'open');
    const before = this.size;
    this.size++;
    const value = isScalar(node)
      ? scalarValue(node)
      : isSeq(node)
        ? node.items.map((item, index) => this.inside(index, () => this.convert(item as Node | null, depth + 1)))
        : isMap(node)
          ? this.convertMap(node.items as Pair<Node | null, Node | null>[], depth, startOf(node))
          : null;
    if (anchor !== undefined) this.anchors.set(anchor, { node, value, size: this.size - before });
    return value;
  }

  /** An alias shares the value of its anchor; its size counts again, since whoever walks the value meets it again. */
  private resolveAlias(node: Alias): unknown {
    const anchor = this.anchors.get(node.source);
    if (anchor === undefined)
      throw new ConversionError(`yaml: unknown anchor '${node.source}' referenced`, startOf(node));
    if (anchor === 'open')
      throw new ConversionError(`yaml: anchor '${node.source}' value contains itself`, startOf(node));
    this.size += anchor.size;
    if (this.size > LARGEST_EXPANSION)
      throw new ConversionError('yaml: document contains excessive aliasing', startOf(node));
    this.targets.set(node, anchor.node);
    return anchor.value;
  }

  /** Keys written in the mapping win over merged ones, earlier merged ones over later; of a key written twice the last wins. */
  private convertMap(pairs: readonly Pair<Node | null, Node | null>[], depth: number, start: number): unknown {
    const object: Record<string, unknown> = {};
    const seen = new Map<string, Span>();
    const merges: unknown[] = [];
    for (const { key, value } of pairs) {
      if (isMergeKey(key)) {
        const merged = this.convert(value, depth + 1);
        const list = Array.isArray(merged) ? (merged as unknown[]) : [merged];
        if (!list.every(isObject))
          throw new ConversionError('yaml: map merge requires map or sequence of maps as the value', startOf(key));
        merges.push(...list);
        continue;
      }
      const name = this.convertKey(key, value === null ? start : startOf(value));
      const span = key === null ? { start, end: start } : spanOf(key);
      const first = seen.get(name);
      if (first === undefined) seen.set(name, span);
      else this.duplicates.push({ path: [...this.path, name], span, first });
      setOwn(
        object,
        name,
        this.inside(name, () => this.convert(value, depth + 1)),
      );
    }
    for (const merged of merges)
      for (const [name, value] of Object.entries(merged as object))
        if (!Object.hasOwn(object, name)) setOwn(object, name, value);
    return object;
  }

  private convertKey(key: Node | null, fallback: number): string {
    const target = key !== null && isAlias(key) ? this.resolveAlias(key) : undefined;
    const value = target ?? (key !== null && isScalar(key) ? scalarValue(key) : key === null ? null : undefined);
    const start = key === null ? fallback : startOf(key);
    if (value === undefined || isObject(value) || Array.isArray(value))
      throw new ConversionError('yaml: invalid map key: a key must be a scalar', start);
    const name = keyText(value as string | number | boolean | null);
    if (name === undefined) throw new ConversionError('yaml: unsupported map key: null', start);
    return name;
  }

  private inside<T>(name: string | number, body: () => T): T {
    this.path.push(name);
    const value = body();
    this.path.pop();
    return value;
  }
}

function scalarValue(
  node: Node & { value: unknown; source?: string; type?: string; tag?: string },
): string | number | boolean | null {
  // The parser resolves a few explicit tags itself, even in its failsafe schema: the source text is still there.
  const text = typeof node.value === 'string' ? node.value : (node.source ?? '');
  let result: ScalarResult;
  if (node.tag !== undefined && node.tag !== '!') result = resolveTagged(node.tag, text);
  else if (node.tag === undefined && (node.type === 'PLAIN' || node.type === undefined)) result = resolvePlain(text);
  else result = { value: text };
  if ('error' in result) throw new ConversionError(result.error, startOf(node));
  return result.value;
}

function isMergeKey(key: Node | null): key is Node {
  return isScalar(key) && key.type === 'PLAIN' && key.value === '<<';
}

/** Walks the syntax tree along `path`, through aliases and merges; stops at the last node that exists. */
function locate(root: Node, path: Path, part: 'key' | 'value', targets: ReadonlyMap<Alias, Node>): Span {
  let node: Node | null = root;
  let span = spanOf(root);
  for (let depth = 0; depth < path.length; depth++) {
    if (node !== null && isAlias(node)) node = targets.get(node) ?? null;
    const name = path[depth]!;
    const isLast = depth === path.length - 1;
    if (isSeq(node) && typeof name === 'number') {
      const item = node.items[name] as Node | null | undefined;
      if (item === undefined) return span;
      node = item;
      if (node?.range != null) span = spanOf(node);
    } else if (isMap(node) && typeof name === 'string') {
      const pair = findPair(node.items as Pair<Node | null, Node | null>[], name, targets, 0);
      if (pair === undefined) return span;
      const isKeyWanted = isLast && part === 'key';
      if (pair.key?.range != null && (isKeyWanted || pair.value === null)) span = spanOf(pair.key);
      else if (pair.value?.range != null) {
        // An empty value has no place of its own: its key is what people look for.
        const value = spanOf(pair.value);
        span = value.end > value.start || pair.key?.range == null ? value : spanOf(pair.key);
      }
      node = pair.value;
    } else return span;
  }
  return span;
}

function findPair(
  pairs: readonly Pair<Node | null, Node | null>[],
  name: string,
  targets: ReadonlyMap<Alias, Node>,
  depth: number,
): Pair<Node | null, Node | null> | undefined {
  for (let index = pairs.length - 1; index >= 0; index--) {
    const { key } = pairs[index]!;
    if (isMergeKey(key)) continue;
    const target = key !== null && isAlias(key) ? targets.get(key) : key;
    if (isScalar(target) && keyText(scalarValue(target)) === name) return pairs[index]!;
  }
  if (depth > DEEPEST) return undefined;
  for (const { key, value } of pairs) {
    if (!isMergeKey(key)) continue;
    const direct = value !== null && isAlias(value) ? targets.get(value) : value;
    const maps = isSeq(direct) ? direct.items.map((item) => (isAlias(item) ? targets.get(item) : item)) : [direct];
    for (const map of maps) {
      const pair = isMap(map)
        ? findPair(map.items as Pair<Node | null, Node | null>[], name, targets, depth + 1)
        : undefined;
      if (pair !== undefined) return pair;
    }
  }
  return undefined;
}

function syntaxError(source: Source, offset: number, message: string): Diagnostic {
  const { line } = positionOf(source, Math.min(offset, source.text.length));
  const excerpt = lineText(source, line);
  const indent = excerpt.length - excerpt.trimStart().length;
  const lineStart = source.lineStarts[line - 1]!;
  // The parser points at the line's first column where it means the line: the caret belongs under the text.
  const start = Math.max(Math.min(offset, source.text.length), lineStart + indent);
  const hint = indentHint(source, line, indent);
  return diagnose(
    source,
    { start, end: lineStart + excerpt.trimEnd().length },
    {
      severity: 'error',
      code: 'invalid-yaml',
      message: message.startsWith('yaml: ') ? message : `yaml: ${message}`,
      ...(hint === undefined ? {} : { hint }),
    },
  );
}

/** Says so where the line is indented as no line above it within its document is. */
function indentHint(source: Source, line: number, indent: number): string | undefined {
  if (/^\s*\t/.test(lineText(source, line))) return 'YAML is indented with spaces: replace the tab';
  const widths = new Set<number>();
  for (let above = line - 1; above > 0 && line - above < 200; above--) {
    const text = lineText(source, above);
    if (text.startsWith('---')) break;
    if (text.trim() !== '' && !text.trimStart().startsWith('#')) widths.add(text.length - text.trimStart().length);
  }
  if (widths.size === 0 || widths.size > INDENTS_SHOWN || widths.has(indent)) return undefined;
  return `the line is indented by ${indent}; lines above it by ${[...widths].sort((a, b) => a - b).join(', ')}`;
}

function setOwn(object: Record<string, unknown>, name: string, value: unknown): void {
  // `__proto__` is a key like any other here.
  if (name === '__proto__')
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  else object[name] = value;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

function spanOf(node: Node): Span {
  return { start: node.range?.[0] ?? 0, end: node.range?.[1] ?? node.range?.[0] ?? 0 };
}

function shift(span: Span, offset: number): Span {
  return { start: span.start + offset, end: span.end + offset };
}
