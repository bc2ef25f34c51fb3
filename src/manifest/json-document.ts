/**
 * JSON text -> documents. Values come from JSON.parse, which is forty times faster than a parser that keeps positions; a
 * scanner of our own finds positions afterwards, and only inside the objects that somebody asks about. JSON.parse also takes the last of two
 * equal keys in silence: the same scanner finds those.
 */
import {
  diagnose,
  type DocumentSet,
  type DuplicateKey,
  type Path,
  type Source,
  type SourceDocument,
  type Span,
} from './source.ts';

/** What the scanner keeps of one value: its span and, for containers, its children. */
interface JsonNode extends Span {
  /** By key, the last of equal keys; undefined unless an object. */
  readonly members?: ReadonlyMap<string, Member>;
  readonly items?: readonly JsonNode[];
  /** Keys met again, in order. */
  readonly repeated?: readonly {
    readonly name: string;
    readonly span: Span;
    readonly first: Span;
    readonly value: JsonNode;
  }[];
}

interface Member {
  readonly key: Span;
  readonly value: JsonNode;
}

/** A JSON text that is none: where, and what was expected. */
class JsonError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

const DEEPEST = 200;

/** True where a text begins like JSON; block YAML never does, flow YAML may. */
export function looksLikeJson(text: string): boolean {
  const first = skipSpace(text, 0);
  const code = text.charCodeAt(first);
  return code === 123 || code === 91;
}

/**
 * Reads one JSON value, or several one after the other. Undefined: the text is not JSON, and may be YAML in flow style;
 * then `explainJson` says where it stops being JSON.
 */
export function readJson(source: Source): DocumentSet | undefined {
  const { text } = source;
  const start = skipSpace(text, 0);
  try {
    const value: unknown = JSON.parse(text);
    return { documents: [createDocument(source, value, start)], diagnostics: [] };
  } catch {
    // Several values, or none: told apart below.
  }
  const documents: SourceDocument[] = [];
  try {
    for (let at = start; at < text.length;) {
      const end = skipValue(text, at);
      documents.push(createDocument(source, JSON.parse(text.slice(at, end)), at));
      at = skipSpace(text, end);
    }
  } catch {
    return undefined;
  }
  return { documents, diagnostics: [] };
}

/** The diagnostic for a text that was meant as JSON and is none. */
export function explainJson(source: Source): DocumentSet {
  const { text } = source;
  let offset = 0;
  let message = 'the text is not valid JSON';
  try {
    for (let at = skipSpace(text, 0); at < text.length;) at = skipSpace(text, scan(text, at, 0).end);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    offset = error.offset;
    message = error.message;
  }
  const end = Math.min(offset + 1, text.length);
  return {
    documents: [],
    diagnostics: [
      diagnose(
        source,
        { start: offset, end },
        { severity: 'error', code: 'invalid-json', message: `json: ${message}` },
      ),
    ],
  };
}

function createDocument(source: Source, value: unknown, start: number): SourceDocument {
  const { text } = source;
  let items: number[] | undefined;
  let tree: { readonly start: number; readonly node: JsonNode } | undefined;

  /** The subtree for a path, with the rest of the path: list items are scanned one at a time. */
  const subtree = (path: Path): { node: JsonNode; rest: Path } => {
    let at = start;
    let used = 0;
    const isBare = Array.isArray(value);
    const index = isBare ? path[0] : path[0] === 'items' ? path[1] : undefined;
    if (typeof index === 'number') {
      items ??= itemOffsets(text, start, isBare ? 'bare' : 'items');
      const offset = items[index];
      if (offset !== undefined) {
        at = offset;
        used = isBare ? 1 : 2;
      }
    }
    if (tree?.start !== at) tree = { start: at, node: safeScan(text, at) };
    return { node: tree.node, rest: path.slice(used) };
  };

  return {
    source,
    format: 'json',
    value,
    locate(path, part) {
      if (path.length === 2 && path[0] === 'items' && typeof path[1] === 'number') {
        items ??= itemOffsets(text, start, 'items');
        const at = items[path[1]];
        if (at !== undefined) return { start: at, end: at + 1 };
      }
      const { node: root, rest } = subtree(path);
      let node = root;
      let span: Span = { start: root.start, end: root.start + 1 };
      for (const [depth, name] of rest.entries()) {
        const member = typeof name === 'string' ? node.members?.get(name) : undefined;
        const child = member?.value ?? (typeof name === 'number' ? node.items?.[name] : undefined);
        if (child === undefined) break;
        node = child;
        span = member !== undefined && part === 'key' && depth === rest.length - 1 ? member.key : child;
      }
      return span;
    },
    duplicates(prefix) {
      const { node, rest } = subtree(prefix);
      const found: DuplicateKey[] = [];
      collectDuplicates(node, prefix.slice(0, prefix.length - rest.length), found);
      // The scanned subtree begins at a list item; an object of a list inside that item wants only its own.
      return found.filter(({ path }) => prefix.every((name, index) => path[index] === name));
    },
  };
}

function collectDuplicates(node: JsonNode, path: Path, found: DuplicateKey[]): void {
  for (const { name, span, first } of node.repeated ?? []) found.push({ path: [...path, name], span, first });
  for (const [name, { value }] of node.members ?? []) collectDuplicates(value, [...path, name], found);
  for (const [index, item] of (node.items ?? []).entries()) collectDuplicates(item, [...path, index], found);
}

/** Offsets of the elements of the document's array, or of its member `items`; elements are skipped, not read. */
function itemOffsets(text: string, start: number, where: 'bare' | 'items'): number[] {
  const offsets: number[] = [];
  try {
    if (where === 'bare') {
      collectItems(text, start, offsets);
      return offsets;
    }
    let at = skipSpace(text, start + 1);
    while (text.charCodeAt(at) === 34) {
      const keyEnd = skipString(text, at);
      const key = unquote(text, at, keyEnd);
      at = skipSpace(text, skipSpace(text, keyEnd) + 1);
      if (key === 'items' && text.charCodeAt(at) === 91) {
        offsets.length = 0;
        at = collectItems(text, at, offsets);
      } else at = skipValue(text, at);
      at = skipSpace(text, at);
      if (text.charCodeAt(at) !== 44) break;
      at = skipSpace(text, at + 1);
    }
  } catch {
    // JSON.parse took the text, so the scanner does; a list without offsets is placed at its document.
  }
  return offsets;
}

function collectItems(text: string, start: number, offsets: number[]): number {
  let at = skipSpace(text, start + 1);
  while (text.charCodeAt(at) !== 93) {
    offsets.push(at);
    at = skipSpace(text, skipValue(text, at));
    if (text.charCodeAt(at) === 44) at = skipSpace(text, at + 1);
  }
  return at + 1;
}

/** The end of the value at `at`, found by counting brackets: quick, and right for valid JSON. */
function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === 34) return skipString(text, at);
  if (first !== 123 && first !== 91) {
    let end = at;
    for (; end < text.length; end++) {
      const code = text.charCodeAt(end);
      if (code <= 32 || code === 44 || code === 93 || code === 125) break;
    }
    if (end === at) throw new JsonError('expected a value', at);
    return end;
  }
  let depth = 0;
  for (let index = at; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 34) index = skipString(text, index) - 1;
    else if (code === 123 || code === 91) depth++;
    else if (code === 125 || code === 93) {
      depth--;
      if (depth === 0) return index + 1;
    }
  }
  throw new JsonError('unexpected end of JSON input', text.length);
}

function skipString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 92) slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  throw new JsonError('a string is not closed', start);
}

function skipSpace(text: string, start: number): number {
  let at = start;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) break;
  }
  return at;
}

function safeScan(text: string, at: number): JsonNode {
  try {
    return scan(text, at, 0);
  } catch {
    return { start: at, end: at + 1 };
  }
}

/** The position tree of the value at `start`; strict about what JSON is. Containers nested too deeply stay leaves. */
function scan(text: string, start: number, depth: number): JsonNode {
  const code = text.charCodeAt(start);
  if (Number.isNaN(code)) throw new JsonError('unexpected end of JSON input', start);
  if (code === 34) return { start, end: skipString(text, start) };
  if (code !== 123 && code !== 91) {
    const end = skipValue(text, start);
    const literal = text.slice(start, Math.min(end, start + 40));
    if (!/^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)$/.test(literal))
      throw new JsonError(`${JSON.stringify(literal)} is no JSON value`, start);
    return { start, end };
  }
  if (depth > DEEPEST) return { start, end: skipValue(text, start) };
  return code === 123 ? scanObject(text, start, depth) : scanArray(text, start, depth);
}

function scanArray(text: string, start: number, depth: number): JsonNode {
  const items: JsonNode[] = [];
  let at = skipSpace(text, start + 1);
  if (text.charCodeAt(at) === 93) return { start, end: at + 1, items };
  for (;;) {
    const item = scan(text, at, depth + 1);
    items.push(item);
    at = skipSpace(text, item.end);
    if (text.charCodeAt(at) === 93) return { start, end: at + 1, items };
    if (text.charCodeAt(at) !== 44) throw new JsonError('expected a comma or ] after an array element', at);
    at = skipSpace(text, at + 1);
  }
}

function scanObject(text: string, start: number, depth: number): JsonNode {
  const members = new Map<string, Member>();
  const repeated: { name: string; span: Span; first: Span; value: JsonNode }[] = [];
  let at = skipSpace(text, start + 1);
  if (text.charCodeAt(at) === 125) return { start, end: at + 1, members };
  for (;;) {
    if (text.charCodeAt(at) !== 34) throw new JsonError('expected a key in double quotes', at);
    const key = { start: at, end: skipString(text, at) };
    const name = unquote(text, key.start, key.end);
    at = skipSpace(text, key.end);
    if (text.charCodeAt(at) !== 58) throw new JsonError('expected a colon after a key', at);
    const value = scan(text, skipSpace(text, at + 1), depth + 1);
    const before = members.get(name);
    if (before !== undefined) {
      const first = repeated.find((entry) => entry.name === name)?.first ?? before.key;
      repeated.push({ name, span: key, first, value });
    }
    members.set(name, { key, value });
    at = skipSpace(text, value.end);
    if (text.charCodeAt(at) === 125)
      return { start, end: at + 1, members, ...(repeated.length > 0 ? { repeated } : {}) };
    if (text.charCodeAt(at) !== 44) throw new JsonError('expected a comma or } after a member', at);
    at = skipSpace(text, at + 1);
  }
}

function unquote(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  if (!inner.includes('\\')) return inner;
  try {
    return String(JSON.parse(text.slice(start, end)));
  } catch {
    throw new JsonError('a string holds an invalid escape', start);
  }
}
