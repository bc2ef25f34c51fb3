/** Parquet files of any columns: by a mapping, else by the names that other tools commonly use. */
import type { Dictionary } from '../model/flow.ts';
import { addMalformed, noteSource } from './account.ts';
import { fieldOfName } from './csv.ts';
import type { ReadContext } from './format.ts';
import { assembleRow, complaintOf, INVALID, parseField, parseNumber, type Field } from './mapped-row.ts';
import {
  applyRule,
  CSV_FIELDS,
  isPodField,
  sourceText,
  type CsvField,
  type CsvMapping,
  type FieldRule,
} from './mapping.ts';
import type { Assembler, Column } from './parquet.ts';
import type { LaneSpec } from './parquet-lane.ts';

/** Rows by rules; or why there can be none. */
export function createMappedAssembler(context: ReadContext, columns: readonly Column[]): Assembler | string {
  const { account, batch, dictionary, mapping } = context;
  const rules = rulesOf(mapping, columns);
  const has = (field: CsvField): boolean => rules.some(([name]) => name === field);
  if (!(has('src') && has('dst')) && !has('srcPod') && !has('dstPod'))
    return `no columns are known as source and destination among ${columns
      .slice(0, 20)
      .map(({ name }) => name)
      .join(', ')}; name them with --map`;
  const fields: Field[] = [];
  const lanes: LaneSpec[] = [];
  for (const [field, rule] of rules) {
    const found = rule.from.filter((name) => {
      const exists = columns.some((column) => column.name === name);
      if (!exists)
        account.diagnostics.push({
          severity: rule.from.length > 1 ? 'note' : 'warning',
          code: 'unknown-name',
          message: `${field}: the file has no column "${name}"`,
          file: account.file,
        });
      return exists;
    });
    if (found.length < rule.from.length && isPodField(field)) continue;
    if (found.length === 0 && rule.otherwise === undefined) continue;
    noteSource(account, field, sourceText({ ...rule, from: found }));
    fields.push(CSV_FIELDS.indexOf(field) as Field);
    lanes.push(laneOf(field, { ...rule, from: found }, columns, dictionary, mapping));
  }
  const values = new Float64Array(CSV_FIELDS.length).fill(NaN);
  return {
    lanes,
    take(data, row, number) {
      const place = { unit: 'record', number, offset: 0 } as const;
      for (let index = 0; index < fields.length; index++) {
        const value = data[index]!.values[row]!;
        if (value === INVALID) {
          const detail = complaintOf(fields[index]!, data[index]!.invalid.get(row) ?? 'something else');
          return addMalformed(account, 'invalid-field', place, detail);
        }
        values[fields[index]!] = value;
      }
      const complaint = assembleRow(context, batch.count, values);
      if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint);
      batch.line[batch.count] = number;
      batch.count++;
    },
  };
}

function rulesOf(mapping: CsvMapping | undefined, columns: readonly Column[]): (readonly [CsvField, FieldRule])[] {
  if (mapping?.rules !== undefined) return [...mapping.rules.fields];
  const rules = new Map<CsvField, FieldRule>();
  for (const { name } of columns) {
    const field = fieldOfName(name);
    if (field !== undefined && !rules.has(field)) rules.set(field, { from: [name] });
  }
  for (const [field, name] of Object.entries(mapping?.columns ?? {})) rules.set(field as CsvField, { from: [name] });
  return [...rules];
}

function laneOf(
  field: CsvField,
  rule: FieldRule,
  columns: readonly Column[],
  dictionary: Dictionary,
  mapping: CsvMapping | undefined,
): LaneSpec {
  const index = CSV_FIELDS.indexOf(field) as Field;
  const isTime = rule.from.length === 1 && columns.find(({ name }) => name === rule.from[0])?.isTime === true;
  const unit = isTime && field === 'time' ? ({ columns: {}, timeUnit: 'us' } as const) : mapping;
  const isPlain = rule.from.length === 1 && rule.values === undefined && rule.part === undefined;
  const { times = 1, otherwise } = rule;
  const absent = otherwise === undefined ? NaN : parseField(index, otherwise, dictionary, mapping);
  return {
    name: field,
    columns: rule.from,
    isWord: true,
    memo: new Map(),
    parse(texts) {
      const text = applyRule(rule, field, texts);
      return text === undefined ? NaN : parseField(index, text, dictionary, unit);
    },
    ...(isPlain && {
      parseNumber: (value: number) =>
        Number.isNaN(value) ? absent : parseNumber(index, times === 1 ? value : Math.round(value * times), unit),
    }),
  };
}
