/**
 * Members of JSON records: what other programs write where a number, a name or an object is meant. A member that is absent
 * stays apart from one that is not what it should be, so that neither becomes a zero. For the readers of JSON logs.
 */
import type { EndpointFact } from '../model/flow.ts';
import { parseProtocol, Protocol } from '../model/port.ts';

/** An object of a record; its members are unknown until asked for. */
export type Json = Record<string, unknown>;

/** `readWhole` found something else than a whole number in its range. */
export const NOT_A_NUMBER = -2;

/** The object, or undefined for anything else. */
export function asObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

/** The text, empty for anything else. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * A whole number from 0 to `limit`, also where 64-bit numbers are written as text or as `1.0`; -1 where the member is absent,
 * `NOT_A_NUMBER` where it is something else.
 */
export function readWhole(value: unknown, limit: number): number {
  if (value === undefined || value === null || value === '') return -1;
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= limit
    ? number
    : NOT_A_NUMBER;
}

/** A protocol by number or name; `Protocol.Unknown` where the member is absent, undefined where it is none. */
export function readProtocol(value: unknown): number | undefined {
  const number = readWhole(value, 255);
  if (number === -1) return Protocol.Unknown;
  return number >= 0 ? number : parseProtocol(asText(value));
}

/** The pod of a record that gives its namespace and name, and at most its owner; undefined where one of the two is missing. */
export function podFact(
  namespace: string,
  name: string,
  owner?: { readonly kind: string; readonly name: string },
): EndpointFact | undefined {
  if (namespace === '' || name === '') return undefined;
  const isOwned = owner !== undefined && owner.kind !== '' && owner.name !== '';
  return {
    kind: 'pod',
    namespace,
    name,
    ...(isOwned && { workload: owner.name, workloadKind: owner.kind }),
    areLabelsComplete: false,
  };
}

/** What was found, for a sentence about what was expected: cut, and `nothing` where there is nothing. */
export function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? 'nothing').slice(0, 60);
}
