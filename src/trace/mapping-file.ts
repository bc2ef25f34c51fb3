/** Mapping files: YAML to rules, with a diagnostic at the line of everything that is not understood. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair } from 'yaml';
import type { Diagnostic } from '../model/diagnostic.ts';
import {
  CSV_FIELDS,
  TIME_UNITS,
  type CsvField,
  type CsvMapping,
  type FieldRule,
  type MappingRules,
  type TimeUnit,
} from './mapping.ts';
import { KIND_WORDS, ORIENTATION_WORDS, VERDICT_WORDS } from './word.ts';

/** What a file gave: a mapping, or errors. */
export interface MappingFile {
  readonly mapping?: CsvMapping;
  readonly diagnostics: readonly Diagnostic[];
}

const DELIMITERS: Readonly<Record<string, NonNullable<MappingRules['delimiter']>>> = {
  comma: ',',
  tab: '\t',
  semicolon: ';',
  pipe: '|',
  blanks: 'blanks',
};
const TOP_KEYS = ['fields', 'kind', 'delimiter', 'header'] as const;
const RULE_KEYS = ['from', 'part', 'unit', 'times', 'values', 'default', 'value'] as const;
/** Fields whose words are a closed set: translations and constants must be of it. */
const WORDS: Readonly<Partial<Record<CsvField, readonly string[]>>> = {
  kind: KIND_WORDS,
  orientation: ORIENTATION_WORDS,
  verdict: VERDICT_WORDS,
};
const COUNTS: readonly CsvField[] = ['bytes', 'packets', 'replyBytes', 'replyPackets'];
const SIZE_LIMIT = 1 << 20;

/** Reads a mapping file; `file` is for messages. */
export function readMappingFile(text: string, file: string): MappingFile {
  const diagnostics: Diagnostic[] = [];
  const lines = new LineCounter();
  const complain = (code: Diagnostic['code'], message: string, offset: number, hint?: string): void => {
    const { line, col } = lines.linePos(offset);
    diagnostics.push({
      severity: 'error',
      code,
      message,
      file,
      line,
      column: col,
      excerpt: text.split('\n')[line - 1] ?? '',
      ...(hint !== undefined && { hint }),
    });
  };
  if (text.length > SIZE_LIMIT) {
    diagnostics.push({ severity: 'error', code: 'too-long', message: 'a mapping of more than 1 MiB', file });
    return { diagnostics };
  }
  const deep = /(?:[-?:] ){40}|[[{]{40}/.exec(text);
  if (deep !== null) {
    // The parser follows nesting on the stack, and what runs out of it need not come back as an exception.
    complain('invalid-yaml', 'the mapping is nested too deeply', deep.index);
    return { diagnostics };
  }
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false, version: '1.2' });
  for (const error of document.errors) complain('invalid-yaml', error.message, error.pos[0]);
  if (diagnostics.length > 0) return { diagnostics };
  const reader = new MappingReader(complain);
  const mapping = reader.read(document.contents as Node | null);
  return diagnostics.length === 0 && mapping !== undefined ? { mapping, diagnostics } : { diagnostics };
}

type Complain = (code: Diagnostic['code'], message: string, offset: number, hint?: string) => void;

/** Walks the document; goes on after an error, so that one run shows them all. */
class MappingReader {
  private readonly complain: Complain;

  constructor(complain: Complain) {
    this.complain = complain;
  }

  read(root: Node | null): CsvMapping | undefined {
    if (!isMap(root)) {
      this.complain('wrong-type', 'expected a mapping with "fields"', offsetOf(root));
      return undefined;
    }
    const fields = new Map<CsvField, FieldRule>();
    let kind: CsvMapping['kind'];
    let delimiter: MappingRules['delimiter'];
    let header: readonly string[] | undefined;
    let hasFields = false;
    for (const { key, value, offset } of this.members(root, TOP_KEYS, 'a mapping')) {
      if (key === 'fields') {
        hasFields = true;
        this.readFields(value, offset, fields);
      } else if (key === 'kind') kind = this.oneOf(value, offset, 'kind', KIND_WORDS) as CsvMapping['kind'];
      else if (key === 'delimiter') {
        const word = this.oneOf(value, offset, 'delimiter', Object.keys(DELIMITERS));
        if (word !== undefined) delimiter = DELIMITERS[word];
      } else header = this.texts(value, offset, 'header');
    }
    if (!hasFields) this.complain('required-value', 'fields: a mapping needs them', offsetOf(root));
    return {
      columns: {},
      ...(kind !== undefined && { kind }),
      rules: { fields, ...(delimiter !== undefined && { delimiter }), ...(header !== undefined && { header }) },
    };
  }

  private readFields(node: Node | null, offset: number, fields: Map<CsvField, FieldRule>): void {
    if (!isMap(node)) return this.complain('wrong-type', 'fields: expected FIELD: COLUMN', offset);
    for (const { key, value, offset: at } of this.members(node, CSV_FIELDS, 'fields')) {
      const rule = this.readRule(key, value, at);
      if (rule !== undefined) fields.set(key, rule);
    }
    const has = (field: CsvField): boolean => fields.has(field);
    if (!(has('src') && has('dst')) && !has('srcPod') && !has('dstPod'))
      this.complain('required-value', 'fields: a record needs src and dst, or a pod', offset);
  }

  private readRule(field: CsvField, node: Node | null, offset: number): FieldRule | undefined {
    if (isScalar(node) || isSeq(node)) {
      const from = this.texts(node, offset, field);
      return from && { from };
    }
    if (!isMap(node)) {
      this.complain('wrong-type', `${field}: expected a column, a list of them, or {from: ...}`, offset);
      return undefined;
    }
    const rule: { -readonly [Key in keyof FieldRule]: FieldRule[Key] } = { from: [] };
    let hasConstant = false;
    for (const { key, value, offset: at } of this.members(node, RULE_KEYS, field)) {
      switch (key) {
        case 'from':
          rule.from = this.texts(value, at, 'from') ?? [];
          break;
        case 'part':
          rule.part = this.oneOf(value, at, 'part', ['address', 'port']) as 'address' | 'port';
          break;
        case 'unit':
          if (field === 'time') rule.unit = this.oneOf(value, at, 'unit', TIME_UNITS) as TimeUnit;
          else this.complain('forbidden', `unit: only time has one; for other numbers there is "times"`, at);
          break;
        case 'times':
          rule.times = this.factor(field, value, at);
          break;
        case 'values':
          rule.values = this.readValues(field, value, at);
          break;
        case 'default':
        case 'value':
          hasConstant ||= key === 'value';
          rule.otherwise = this.word(field, value, at);
          break;
      }
    }
    if (rule.from.length === 0 && !hasConstant)
      this.complain('required-value', `${field}: expected "from", or "value" for a constant`, offset);
    if (rule.from.length > 0 && hasConstant)
      this.complain(
        'forbidden',
        `${field}: "from" and "value" exclude each other; "default" is for where "from" is empty`,
        offset,
      );
    return rule;
  }

  private readValues(field: CsvField, node: Node | null, offset: number): Map<string, string | undefined> {
    const values = new Map<string, string | undefined>();
    if (!isMap(node)) {
      this.complain('wrong-type', 'values: expected WORD OF THE SOURCE: WORD OF DROPCAST', offset);
      return values;
    }
    for (const pair of node.items as Pair<Node, Node | null>[]) {
      const key = scalarText(pair.key);
      if (key === undefined) this.complain('wrong-type', 'values: expected a word', offsetOf(pair.key));
      else if (isScalar(pair.value) && pair.value.value === null) values.set(key, undefined);
      else values.set(key, this.word(field, pair.value, offsetOf(pair.value ?? pair.key)));
    }
    return values;
  }

  /** A constant of a field: where its words are a closed set, one of them. */
  private word(field: CsvField, node: Node | null, offset: number): string | undefined {
    const text = scalarText(node);
    if (text === undefined) this.complain('wrong-type', `${field}: expected a word or a number`, offset);
    else if (WORDS[field] !== undefined && !WORDS[field].includes(text))
      this.complain('unsupported-value', `${field}: "${text}" is none of ${WORDS[field].join(', ')}`, offset);
    return text;
  }

  private factor(field: CsvField, node: Node | null, offset: number): number {
    const factor = isScalar(node) ? Number(node.value) : NaN;
    if (!COUNTS.includes(field)) this.complain('forbidden', `times: only ${COUNTS.join(', ')} have it`, offset);
    else if (!(factor > 0 && Number.isFinite(factor)))
      this.complain('invalid-value', 'times: expected a number greater than 0', offset);
    return factor;
  }

  private oneOf(node: Node | null, offset: number, name: string, words: readonly string[]): string | undefined {
    const text = scalarText(node);
    if (text !== undefined && words.includes(text)) return text;
    this.complain(
      'unsupported-value',
      `${name}: expected one of ${words.join(', ')}, found ${text ?? 'no word'}`,
      offset,
    );
    return undefined;
  }

  private texts(node: Node | null, offset: number, name: string): readonly string[] | undefined {
    const nodes = isSeq(node) ? (node.items as Node[]) : [node];
    const texts = nodes.map((one) => scalarText(one));
    if (texts.length > 0 && texts.every((text) => text !== undefined && text !== '')) return texts as string[];
    this.complain('wrong-type', `${name}: expected a name or a list of names`, offset);
    return undefined;
  }

  private *members<Key extends string>(
    node: Node,
    keys: readonly Key[],
    what: string,
  ): Generator<{ key: Key; value: Node | null; offset: number }> {
    if (!isMap(node)) return;
    for (const pair of node.items as Pair<Node, Node | null>[]) {
      const name = scalarText(pair.key);
      const key = keys.find((one) => one === name);
      const offset = offsetOf(pair.key);
      if (key !== undefined)
        yield { key, value: pair.value, offset: pair.value === null ? offset : offsetOf(pair.value) };
      else
        this.complain(
          'unknown-field',
          `${what}: nothing is called "${name ?? '?'}"`,
          offset,
          `there are ${keys.join(', ')}`,
        );
    }
  }
}

function scalarText(node: unknown): string | undefined {
  if (!isScalar(node)) return undefined;
  const { value } = node;
  // `no` and `1.10` as they are written, not as YAML reads them.
  if (typeof node.source === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return node.source;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}

function offsetOf(node: Node | null | undefined): number {
  return node?.range?.[0] ?? 0;
}
