/**
 * Checks a value against a schema the way Go's strict JSON decoder does: unknown fields in closed objects, and types that do not
 * fit. It changes nothing: what has passed may be read as the type that its schema describes, with null for "not set".
 */
import { findNearest } from './nearest.ts';
import type { ObjectSchema, Schema } from './schema.ts';
import { type Path, formatPath } from './source.ts';

/** One thing that the decoder refuses. */
export interface DecodeFinding {
  readonly code: 'unknown-field' | 'wrong-type';
  readonly message: string;
  readonly path: Path;
  readonly hint?: string;
}

/** All findings about `value`, in the order of its fields. */
export function checkAgainst(schema: ObjectSchema, value: unknown): DecodeFinding[] {
  const walk: Walk = { path: [], mapDepths: [], findings: [], parents: [] };
  checkValue(walk, schema, value, schema.name);
  return walk.findings;
}

interface Walk {
  readonly path: (string | number)[];
  /** Depths of `path` that are map keys, which Go leaves out of its field paths. */
  readonly mapDepths: number[];
  readonly findings: DecodeFinding[];
  /** The object schemas around the value, outermost first. */
  readonly parents: ObjectSchema[];
}

function checkValue(walk: Walk, schema: Schema, value: unknown, owner: string): void {
  // Go leaves the zero value for null, whatever the type.
  if (value === null || value === undefined) return;
  switch (schema.type) {
    case 'any':
      return;
    case 'string':
      if (typeof value !== 'string') refuse(walk, schema.go, value, owner);
      return;
    case 'time':
      if (typeof value !== 'string') refuse(walk, 'string', value, owner);
      else if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)$/.test(value))
        report(walk, `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse it`);
      return;
    case 'boolean':
      if (typeof value !== 'boolean') refuse(walk, schema.go, value, owner);
      return;
    case 'integer':
      if (!fitsInteger(value, schema.bits)) refuse(walk, schema.go, value, owner);
      return;
    case 'intOrString':
      if (typeof value !== 'string' && !fitsInteger(value, 32)) refuse(walk, 'int32', value, owner);
      return;
    case 'list':
      if (!Array.isArray(value)) return refuse(walk, schema.go, value, owner);
      for (let index = 0; index < value.length; index++) {
        walk.path.push(index);
        checkValue(walk, schema.item, value[index], owner);
        walk.path.pop();
      }
      return;
    case 'map':
      if (!isObject(value)) return refuse(walk, schema.go, value, owner);
      walk.mapDepths.push(walk.path.length);
      for (const key of Object.keys(value)) {
        walk.path.push(key);
        checkValue(walk, schema.value, value[key], owner);
        walk.path.pop();
      }
      walk.mapDepths.pop();
      return;
    case 'object':
      checkObject(walk, schema, value, owner);
  }
}

function checkObject(walk: Walk, schema: ObjectSchema, value: unknown, owner: string): void {
  if (!isObject(value)) return refuse(walk, schema.go, value, owner);
  const { fields } = schema;
  walk.parents.push(schema);
  for (const key of schema.extent === 'open' ? schema.names : Object.keys(value)) {
    // Most of the fields that are known most objects leave out.
    if (value[key] === undefined) continue;
    walk.path.push(key);
    if (Object.hasOwn(fields, key)) checkValue(walk, fields[key]!, value[key], schema.name);
    else {
      const hint = unknownFieldHint(walk.parents, key);
      walk.findings.push({
        code: 'unknown-field',
        message: `unknown field "${formatPath(walk.path)}"`,
        path: [...walk.path],
        ...(hint === undefined ? {} : { hint }),
      });
    }
    walk.path.pop();
  }
  walk.parents.pop();
}

/** A near name in the same object, else the object around it that has this very field: one level of indentation is easily lost. */
function unknownFieldHint(parents: readonly ObjectSchema[], key: string): string | undefined {
  const own = parents.at(-1)!;
  const near = findNearest(key, Object.keys(own.fields));
  if (near !== undefined) return `did you mean "${near}"?`;
  for (let index = parents.length - 2; index >= 0; index--) {
    const parent = parents[index]!;
    if (Object.hasOwn(parent.fields, key))
      return `"${key}" is a field of ${parent.name}, not of ${own.name}: is it indented too far?`;
  }
  const inner = Object.keys(own.fields).find((field) => {
    const schema = own.fields[field]!;
    const child = schema.type === 'list' ? schema.item : schema;
    return child.type === 'object' && Object.hasOwn(child.fields, key);
  });
  return inner === undefined ? undefined : `"${key}" belongs inside "${inner}"`;
}

function refuse(walk: Walk, go: string, value: unknown, owner: string): void {
  const fields = walk.path.filter((part, depth) => typeof part === 'string' && !walk.mapDepths.includes(depth));
  const isNumberWanted = go.startsWith('int');
  const kind = Array.isArray(value)
    ? 'array'
    : typeof value === 'boolean'
      ? 'bool'
      : typeof value === 'number'
        ? isNumberWanted
          ? `number ${value}`
          : 'number'
        : typeof value;
  const hint =
    go !== 'string' || (typeof value !== 'boolean' && typeof value !== 'number')
      ? isNumberWanted && typeof value === 'string' && /^\d+$/.test(value)
        ? 'remove the quotes: a number is wanted'
        : undefined
      : 'put it in quotes: a string is wanted';
  report(walk, `json: cannot unmarshal ${kind} into Go struct field ${owner}.${fields.join('.')} of type ${go}`, hint);
}

function report(walk: Walk, message: string, hint?: string): void {
  walk.findings.push({ code: 'wrong-type', message, path: [...walk.path], ...(hint === undefined ? {} : { hint }) });
}

function fitsInteger(value: unknown, bits: 32 | 64): boolean {
  if (typeof value !== 'number' || !Number.isInteger(value)) return false;
  const limit = bits === 32 ? 2 ** 31 : 2 ** 63;
  return value >= -limit && value < limit;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
