/**
 * Antrea's flow records as lines: the Flow Aggregator's log file in the columns of each of its versions, what it uploads to S3, and
 * exports of ClickHouse's table `flows` (CSVWithNames, TSVWithNames, JSONEachRow).
 */
import { addMalformed } from './account.ts';
import { ANTREA_FIELDS, ANTREA_FLOW_LIMITS, type AntreaField, takeAntreaFlow } from './antrea-record.ts';
import { splitCells } from './csv.ts';
import type { ReadContext, TraceDecoder, TraceFormat } from './format.ts';
import { doMostLines, type Head } from './head.ts';
import { createFieldDecoder } from './json-field.ts';
import { createLineDecoder } from './line.ts';

/** Lines of comma- or tab-separated values. */
export const ANTREA_FLOW: TraceFormat = {
  name: 'antrea-flow',
  description: 'Antrea flow records (log file, S3, ClickHouse export)',
  recognise: (head) =>
    head.json === undefined && (readHeader(head.lines[0] ?? '') !== undefined || doMostLines(head, isRecord)),
  isText: true,
  limits: ANTREA_FLOW_LIMITS,
  open: openAntreaFlow,
};

/** ClickHouse's JSONEachRow. */
export const ANTREA_FLOW_JSON: TraceFormat = {
  name: 'antrea-flow-json',
  description: 'Antrea flow records as JSON',
  recognise: ({ json }: Head) => json !== undefined && json.top.has('flowStartSeconds') && json.top.has('sourceIP'),
  isText: true,
  limits: ANTREA_FLOW_LIMITS,
  open: openAntreaFlowJson,
};

const FIELDS: ReadonlySet<string> = new Set(ANTREA_FIELDS);

type Columns = readonly (AntreaField | undefined)[];

/** The log file: 26 to 31 columns, which differ behind the service port's name; the end is of no use here. */
const LOG_COLUMNS: Columns = [
  'flowStartSeconds', undefined, 'sourceIP', 'destinationIP', 'sourceTransportPort', 'destinationTransportPort', 'protocolIdentifier',
  'sourcePodName', 'sourcePodNamespace', undefined, 'destinationPodName', 'destinationPodNamespace', undefined,
  'destinationClusterIP', 'destinationServicePort', undefined, undefined, undefined, undefined, 'ingressNetworkPolicyRuleAction',
  undefined, undefined, undefined, undefined, 'egressNetworkPolicyRuleAction', undefined,
]; // prettier-ignore

/** The same since 2026, with the Service's address as a column of its own. */
const LOG_COLUMNS_WITH_SERVICE: Columns = [
  ...LOG_COLUMNS.slice(0, 14),
  'destinationServiceIP',
  ...LOG_COLUMNS.slice(14),
];

/** What is uploaded to S3, up to the labels, which stand in single quotes. */
const S3_COLUMNS: Columns = [
  'flowStartSeconds', undefined, undefined, undefined, undefined, 'sourceIP', 'destinationIP', 'sourceTransportPort',
  'destinationTransportPort', 'protocolIdentifier', undefined, undefined, 'packetDeltaCount', 'octetDeltaCount', undefined, undefined,
  'reversePacketDeltaCount', 'reverseOctetDeltaCount', 'sourcePodName', 'sourcePodNamespace', undefined, 'destinationPodName',
  'destinationPodNamespace', undefined, 'destinationClusterIP', 'destinationServicePort', undefined, undefined, undefined, undefined,
  'ingressNetworkPolicyRuleAction', undefined, undefined, undefined, undefined, 'egressNetworkPolicyRuleAction', undefined, undefined,
  undefined,
]; // prettier-ignore

function openAntreaFlow(context: ReadContext): TraceDecoder {
  const { account } = context;
  const values = new Map<AntreaField, string>();
  let header: { readonly delimiter: string; readonly columns: Columns } | undefined;
  return createLineDecoder(context, (line, place) => {
    const names = line.includes('flowStartSeconds') ? readHeader(line) : undefined;
    if (names !== undefined) {
      // Joined exports have a header each, and none of them is a record.
      account.read--;
      header = names;
      return;
    }
    const cells = header === undefined ? line.split(',') : splitCells(line, header.delimiter);
    if (cells === undefined) return addMalformed(account, 'open-quote', place, 'a quote is never closed', line);
    const columns = header === undefined ? columnsOf(cells) : header.columns;
    const isShort = header === undefined ? cells.length < columns.length : cells.length !== columns.length;
    if (isShort) {
      const detail = `expected ${columns.length} fields, found ${cells.length}`;
      return addMalformed(account, 'field-count', place, detail, line);
    }
    values.clear();
    for (let index = 0; index < columns.length; index++) {
      const field = columns[index];
      const cell = cells[index]!;
      if (field !== undefined && cell !== '' && cell !== '\\N') values.set(field, cell);
    }
    if (columns === S3_COLUMNS) takeQuotedLabels(line, values);
    const complaint = takeAntreaFlow(context, values, place.number);
    if (complaint !== '') addMalformed(account, 'invalid-field', place, complaint, line);
  });
}

function openAntreaFlowJson(context: ReadContext): TraceDecoder {
  const values = new Map<AntreaField, string>();
  return createFieldDecoder(context, (record, line) => {
    values.clear();
    for (const field of ANTREA_FIELDS) {
      const value = record[field];
      if (typeof value === 'string' || typeof value === 'number') values.set(field, String(value));
    }
    return takeAntreaFlow(context, values, line);
  });
}

/** Where the addresses stand, and whether the column behind the cluster address is a port. */
function columnsOf(cells: readonly string[]): Columns {
  if (isAddressLike(cells[5] ?? '') && isAddressLike(cells[6] ?? '')) return S3_COLUMNS;
  const behind = cells[14] ?? '';
  return behind !== '' && !isAddressLike(behind) ? LOG_COLUMNS : LOG_COLUMNS_WITH_SERVICE;
}

/** `'{"app":"a","b":"c"}','{...}'`: commas stand in them. */
function takeQuotedLabels(line: string, values: Map<AntreaField, string>): void {
  const first = line.indexOf(",'");
  const middle = line.indexOf("','", first + 1);
  const last = line.indexOf("',", middle + 2);
  if (first < 0 || middle < 0 || last < 0) return;
  values.set('sourcePodLabels', line.slice(first + 2, middle));
  values.set('destinationPodLabels', line.slice(middle + 3, last));
}

function readHeader(line: string): { readonly delimiter: string; readonly columns: Columns } | undefined {
  for (const delimiter of ['\t', ',']) {
    const names = splitCells(line, delimiter) ?? [];
    if (names.includes('flowStartSeconds') && names.includes('sourceIP') && names.includes('destinationIP'))
      return { delimiter, columns: names.map((name) => (FIELDS.has(name) ? (name as AntreaField) : undefined)) };
  }
  return undefined;
}

function isRecord(line: string): boolean {
  const cells = line.split(',', 40);
  const isSeconds = (text: string | undefined): boolean => text !== undefined && /^\d{9,10}$/.test(text);
  if (cells.length < 26 || !isSeconds(cells[0]) || !isSeconds(cells[1])) return false;
  return (
    (isAddressLike(cells[2]!) && isAddressLike(cells[3]!)) || (isAddressLike(cells[5]!) && isAddressLike(cells[6]!))
  );
}

function isAddressLike(text: string): boolean {
  return text.includes('.') || text.includes(':');
}
