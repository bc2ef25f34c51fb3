/**
 * Members of JSON records into the row that is being filled, with what is to be said where one is not what it should be. Beside
 * json-member.ts, which only looks; for the readers of JSON logs.
 */
import { addMalformed } from './account.ts';
import { readAddress, type FieldAddress } from './field.ts';
import type { ReadContext, TraceDecoder } from './format.ts';
import { asText, NOT_A_NUMBER, readWhole, shown, type Json } from './json-member.ts';
import { createJsonDecoder } from './line.ts';

/** What is wrong with a record; empty while nothing is. */
export interface Complaint {
  text: string;
}

const src: FieldAddress = { family: 0, value: 0 };
const dst: FieldAddress = { family: 0, value: 0 };

/** Hands every JSON object to `fill`, which says what is wrong with it, or nothing: a record that it finds wrong is malformed. */
export function createFieldDecoder(
  context: ReadContext,
  fill: (record: Readonly<Json>, line: number) => string,
): TraceDecoder {
  return createJsonDecoder(context, (record, place) => {
    const complaint = fill(record, place.number);
    if (complaint !== '')
      addMalformed(context.account, 'invalid-field', place, complaint, JSON.stringify(record).slice(0, 400));
  });
}

/** A whole number from 0 to `limit`; -1 where the member is absent, and with a complaint where it is something else. */
export function readMember(record: Readonly<Json>, name: string, limit: number, complaint: Complaint): number {
  const value = readWhole(record[name], limit);
  if (value !== NOT_A_NUMBER) return value;
  complaint.text ||= `${name}: expected a whole number from 0 to ${limit}, found ${shown(record[name])}`;
  return -1;
}

/** Puts the addresses of both ends into the row; the record has to have them, of one family. Returns what is wrong. */
export function fillAddresses(
  { batch, dictionary }: ReadContext,
  record: Readonly<Json>,
  srcName: string,
  dstName: string,
): string {
  if (!readAddress(asText(record[srcName]), dictionary, src))
    return `${srcName}: expected an IP address, found ${shown(record[srcName])}`;
  if (!readAddress(asText(record[dstName]), dictionary, dst))
    return `${dstName}: expected an IP address, found ${shown(record[dstName])}`;
  if (src.family !== dst.family) return `${srcName} and ${dstName}: expected one address family`;
  const row = batch.count;
  batch.family[row] = src.family;
  batch.src[row] = src.value;
  batch.dst[row] = dst.value;
  return '';
}
