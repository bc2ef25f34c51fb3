/** JSON objects of any source by a mapping: paths to fields. Never recognised by content; whoever names paths says what it is. */
import { addMalformed, increment, noteSource } from './account.ts';
import type { CsvField } from './mapping.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { createJsonDecoder } from './line.ts';
import { fillRow } from './mapped-row.ts';
import { applyRule, sourceText, textAtPath, type FieldRule } from './mapping.ts';

/** JSON objects that a mapping explains. */
export const MAPPED_JSON: TraceFormat = {
  name: 'json',
  description: 'JSON objects, with a mapping',
  recognise: () => false,
  isText: true,
  limits: ['What a mapping does not name is not known of a record: labels have no field.'],
  open: openMappedJson,
};

function openMappedJson(context: ReadContext): TraceDecoder {
  const { account, batch, mapping } = context;
  const fields: (readonly [CsvField, FieldRule])[] = [...(mapping?.rules?.fields ?? [])];
  for (const [field, path] of Object.entries(mapping?.columns ?? {}))
    fields.push([field as CsvField, { from: [path] }]);
  for (const [field, rule] of fields) noteSource(account, field, sourceText(rule));
  const row = new Map<CsvField, string>();
  return createJsonDecoder(context, (record, place) => {
    row.clear();
    let found = 0;
    for (const [field, rule] of fields) {
      const texts = rule.from.map((path) => textAtPath(record, path));
      if (texts.some((text) => text !== undefined)) found++;
      const text = applyRule(rule, field, texts);
      if (text !== undefined) row.set(field, text);
    }
    // Other objects in the same file: nothing of what is mapped.
    if (found === 0) return increment(account.skipped, 'no-field');
    const complaint = fillRow(context, batch.count, row);
    if (complaint !== '') return addMalformed(account, 'invalid-field', place, complaint, JSON.stringify(record));
    batch.line[batch.count] = place.number;
    batch.count++;
  });
}
