/**
 * What a mapping says: which column, JSON path or Parquet column holds which field of a record, and how its values are to be read.
 * The readers of tables, JSON and Parquet share it; a rule makes of what the source holds the text that the field's parser takes.
 */

/** What a column can hold. */
export const CSV_FIELDS = [
  'time',
  'kind',
  'src',
  'srcPort',
  'dst',
  'dstPort',
  'protocol',
  'icmpType',
  'icmpCode',
  'tcpFlags',
  'bytes',
  'packets',
  'replyBytes',
  'replyPackets',
  'orientation',
  'orientedBy',
  'verdict',
  'preDst',
  'preDstPort',
  'srcPod',
  'dstPod',
  'connections',
  'repeats',
  'sampling',
] as const;

/** The name of a field. */
export type CsvField = (typeof CSV_FIELDS)[number];

/** The header of a file that dropcast writes, in this order: counts are written as they are, whatever they were multiplied by. */
export const WRITTEN_FIELDS: readonly CsvField[] = CSV_FIELDS.filter((field) => field !== 'sampling');

/** Which column of a file holds which field. */
export interface CsvMapping {
  /** Field -> column name as in the header. Fields that are not named here are looked for under their usual names. */
  readonly columns: Readonly<Partial<Record<CsvField, string>>>;
  /** Unit of a numeric time; by default told by its size. */
  readonly timeUnit?: 's' | 'ms' | 'us' | 'ns';
  /** What a record stands for; by default a whole connection, or one direction where the columns say nothing of replies. */
  readonly kind?: 'packet' | 'flow' | 'conn' | 'decision' | 'aggregate';
  /** Rules of a mapping file; with them nothing is told by its usual name. */
  readonly rules?: MappingRules;
}

/** How numbers of times are meant. */
export const TIME_UNITS = ['s', 'ms', 'us', 'ns'] as const;

/** One of `TIME_UNITS`. */
export type TimeUnit = (typeof TIME_UNITS)[number];

/** Where one field comes from. */
export interface FieldRule {
  /** Columns or paths. For pods: namespace and name; else the first that holds something counts. */
  readonly from: readonly string[];
  /** Half of a text such as `10.0.0.1:80` or `[fd00::1]:80`. */
  readonly part?: 'address' | 'port';
  /** Of a numeric time; by default told by its size. */
  readonly unit?: TimeUnit;
  /** The number is multiplied by this, such as 1024 or a sampling rate. */
  readonly times?: number;
  /** Words of the source -> words of dropcast; `undefined`: the field is absent there. */
  readonly values?: ReadonlyMap<string, string | undefined>;
  /** What holds where the source says nothing; a constant where `from` is empty. */
  readonly otherwise?: string;
}

/** The rules of a file. */
export interface MappingRules {
  readonly fields: ReadonlyMap<CsvField, FieldRule>;
  /** Names of the columns of a table without a header line. */
  readonly header?: readonly string[];
  /** What separates cells; `blanks`: any number of them. By default told by the header. */
  readonly delimiter?: ',' | '\t' | ';' | '|' | 'blanks';
}

/** A rule in a few words. */
export function sourceText({ from, otherwise, part }: FieldRule): string {
  const text = from.join(', ') + (part === undefined ? '' : ` (${part})`);
  if (otherwise === undefined) return text;
  return text === '' ? `the mapping: ${otherwise}` : `${text}, else ${otherwise}`;
}

/** True for texts by which sources say that they have no value. */
export function isAbsent(text: string | undefined): text is undefined | '' | '-' {
  return text === undefined || text === '' || text === '-';
}

/** The text of a field, given the texts of the rule's sources in their order; undefined where it is absent. */
export function applyRule(
  rule: FieldRule,
  field: CsvField,
  texts: readonly (string | undefined)[],
): string | undefined {
  let text: string | undefined;
  if (isPodField(field) && texts.length > 1) {
    if (texts.every((one) => !isAbsent(one))) text = texts.join('/');
  } else text = texts.find((one) => !isAbsent(one));
  if (text !== undefined && rule.part !== undefined) text = partOf(text, rule.part);
  if (text !== undefined && rule.values?.has(text) === true) text = rule.values.get(text);
  if (text !== undefined && rule.times !== undefined && Number.isFinite(Number(text)))
    text = String(Math.round(Number(text) * rule.times));
  return isAbsent(text) ? rule.otherwise : text;
}

/** The value at a path such as `a.b[0].c` as text: flat keys with dots in them go first. Undefined where there is none. */
export function textAtPath(record: unknown, path: string): string | undefined {
  let value: unknown = record;
  if (isObject(value) && Object.hasOwn(value, path)) value = value[path];
  else {
    for (const step of path.split(/[.[]/, 32)) {
      const key = step.endsWith(']') ? step.slice(0, -1) : step;
      if (Array.isArray(value) && /^\d{1,6}$/.test(key)) value = value[Number(key)] as unknown;
      else if (isObject(value) && Object.hasOwn(value, key)) value = value[key];
      else return undefined;
    }
  }
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint'
    ? String(value)
    : undefined;
}

/** True for the fields that hold `namespace/name`. */
export function isPodField(field: CsvField): boolean {
  return field === 'srcPod' || field === 'dstPod';
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `fd00::1` or `10.0.0.1`; a text without a port has none. */
function partOf(text: string, part: 'address' | 'port'): string | undefined {
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0) return text;
    if (part === 'address') return text.slice(1, close);
    return text[close + 1] === ':' ? text.slice(close + 2) : undefined;
  }
  const colon = text.indexOf(':');
  // More than one colon is an IPv6 address without brackets, which has no port.
  const isPair = colon >= 0 && text.indexOf(':', colon + 1) < 0;
  if (part === 'address') return isPair ? text.slice(0, colon) : text;
  return isPair ? text.slice(colon + 1) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
