/**
 * The CSV of policy unit tests: one connection and its expected verdict a row. Columns `src,dst,protocol,port,expect` in any order under a
 * required header; other columns are notes. Rows that cannot be read are errors, never skipped: a test that does not run proves nothing.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import { parseEndpoint } from '../model/endpoint.ts';
import type { EndpointRef } from '../model/flow.ts';
import { formatProtocol, isPortProtocol, parseProtocol } from '../model/port.ts';
import type { VerdictName } from '../model/verdict.ts';
import { findNearest } from './nearest.ts';
import { type Source, createSource, diagnose } from './source.ts';

/** One row; `text` is the row as written, for messages. */
export interface ExpectationRow {
  readonly file: string;
  readonly line: number;
  readonly src: EndpointRef;
  readonly dst: EndpointRef;
  readonly protocol: number;
  readonly port?: number;
  readonly icmp?: number;
  readonly expect: VerdictName;
  readonly text: string;
}

const COLUMNS = ['src', 'dst', 'protocol', 'port', 'expect'] as const;
type Column = (typeof COLUMNS)[number];
const EXPECTED: readonly VerdictName[] = ['allow', 'deny', 'undecidable'];

/** Reads a file of expectations; bare names are taken in `namespace`. */
export function readExpectations(
  text: string,
  file: string,
  namespace: string,
): { rows: ExpectationRow[]; diagnostics: Diagnostic[] } {
  const source = createSource(file, text);
  const diagnostics: Diagnostic[] = [];
  const rows: ExpectationRow[] = [];
  const [header, ...records] = splitRecords(source);
  const refuse = (record: Pick<CsvRecord, 'start' | 'end'>, message: string, hint?: string): void => {
    diagnostics.push(
      diagnose(source, record, {
        severity: 'error',
        code: 'invalid-expectation',
        message,
        ...(hint === undefined ? {} : { hint }),
      }),
    );
  };
  if (header === undefined) {
    refuse({ start: 0, end: 1 }, `expected a header with the columns ${COLUMNS.join(', ')}, found no row`);
    return { rows, diagnostics };
  }
  // Rows that end up inside of the header would be tests that never run.
  if (!header.isClosed || header.fields.some((field) => /[\r\n]/.test(field))) {
    refuse(
      header,
      'expected the names of columns on a line of their own: a quote is not closed, or lines end in CR alone',
    );
    return { rows, diagnostics };
  }
  const names = header.fields.map((field) => field.trim().toLowerCase());
  if (!COLUMNS.some((column) => names.includes(column))) {
    refuse(header, `expected a header with the columns ${COLUMNS.join(', ')}, found none of them`);
    return { rows, diagnostics };
  }
  const indexes = {} as Record<Column, number>;
  for (const column of COLUMNS) {
    indexes[column] = names.indexOf(column);
    if (indexes[column] < 0) {
      const near = names.find((name) => findNearest(name, [column]) !== undefined);
      refuse(
        header,
        `the header has no column ${column}`,
        near === undefined ? undefined : `is "${near}" meant to be "${column}"?`,
      );
    } else if (names.lastIndexOf(column) !== indexes[column])
      refuse(header, `the header has the column ${column} twice`);
  }
  if (diagnostics.length > 0) return { rows, diagnostics };
  for (const record of records) {
    const result = readRow(record, indexes, names.length, namespace);
    if ('message' in result) refuse(record, result.message, result.hint);
    else rows.push({ file, line: record.line, ...result, text: source.text.slice(record.start, record.end) });
  }
  return { rows, diagnostics };
}

interface CsvRecord {
  readonly line: number;
  readonly start: number;
  readonly end: number;
  readonly fields: readonly string[];
  readonly isClosed: boolean;
}

function readRow(
  record: CsvRecord,
  indexes: Readonly<Record<Column, number>>,
  width: number,
  namespace: string,
): Omit<ExpectationRow, 'file' | 'line' | 'text'> | { message: string; hint?: string } {
  if (!record.isClosed) return { message: 'a quoted field is not closed' };
  if (record.fields.length !== width) return { message: `expected ${width} fields, found ${record.fields.length}` };
  const field = (column: Column): string => record.fields[indexes[column]]!.trim();
  const forms = 'an address, namespace/name, namespace/Kind/name or service.namespace';
  const src = parseEndpoint(field('src'), namespace);
  if (src === undefined) return { message: `src: expected ${forms}, found ${JSON.stringify(field('src'))}` };
  const dst = parseEndpoint(field('dst'), namespace);
  if (dst === undefined) return { message: `dst: expected ${forms}, found ${JSON.stringify(field('dst'))}` };
  const protocol = parseProtocol(field('protocol'));
  if (protocol === undefined)
    return {
      message: `protocol: expected TCP, UDP, SCTP, ICMP, ICMPv6 or a number below 255, found ${JSON.stringify(field('protocol'))}`,
    };
  const expect = field('expect').toLowerCase();
  if (!(EXPECTED as readonly string[]).includes(expect)) {
    const near = findNearest(expect, EXPECTED);
    return {
      message: `expect: expected allow, deny or undecidable, found ${JSON.stringify(field('expect'))}`,
      ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
    };
  }
  const base = { src, dst, protocol, expect: expect as VerdictName };
  const port = field('port');
  if (port === '') {
    if (isPortProtocol(protocol)) return { message: `port: ${formatProtocol(protocol)} needs a port from 0 to 65535` };
    return base;
  }
  if (!isPortProtocol(protocol))
    return { message: `port: ${formatProtocol(protocol)} has no ports, leave the field empty` };
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65535)
    return { message: `port: expected a number from 0 to 65535, found ${JSON.stringify(port)}` };
  return { ...base, port: Number(port) };
}

/** RFC 4180 records with their lines; blank lines and lines that begin with `#` are left out. */
function splitRecords(source: Source): CsvRecord[] {
  const { text } = source;
  const records: CsvRecord[] = [];
  let line = 1;
  for (let at = 0; at < text.length;) {
    const start = at;
    const first = line;
    if (text[at] === '#') {
      const next = text.indexOf('\n', at);
      at = next < 0 ? text.length : next + 1;
      line++;
      continue;
    }
    const fields: string[] = [];
    let isClosed = true;
    for (;;) {
      let field = '';
      if (text[at] === '"') {
        at++;
        for (;;) {
          const quote = text.indexOf('"', at);
          if (quote < 0) {
            field += text.slice(at);
            at = text.length;
            isClosed = false;
            break;
          }
          field += text.slice(at, quote);
          at = quote + 1;
          if (text[at] !== '"') break;
          field += '"';
          at++;
        }
        for (let index = field.indexOf('\n'); index >= 0; index = field.indexOf('\n', index + 1)) line++;
      }
      const from = at;
      while (at < text.length && text[at] !== ',' && text[at] !== '\n') at++;
      fields.push(field + text.slice(from, at));
      if (text[at] !== ',') break;
      at++;
    }
    let end = at;
    if (text[end - 1] === '\r' && end > start) {
      end--;
      fields.push(fields.pop()!.replace(/\r$/, ''));
    }
    at++;
    line++;
    if (fields.length > 1 || fields[0]!.trim() !== '') records.push({ line: first, start, end, fields, isClosed });
  }
  return records;
}
