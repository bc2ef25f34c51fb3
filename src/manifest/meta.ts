/** Names, labels and owners: what every object has, and the API server's rules for it (apimachinery `validation`). */
import type { Labels } from '../model/label.ts';
import { type Problem, invalid, required } from './problem.ts';
import type { Path } from './source.ts';

/** A value that JSON may leave out or set to null, both the same to the API server. */
export type Maybe<T> = T | null | undefined;

/** metadata as far as it is read; a value has passed its schema. */
export interface RawMeta {
  readonly name?: Maybe<string>;
  readonly generateName?: Maybe<string>;
  readonly namespace?: Maybe<string>;
  readonly labels?: Maybe<Readonly<Record<string, Maybe<string>>>>;
  readonly ownerReferences?: Maybe<readonly Maybe<RawOwner>[]>;
}

/** metadata.ownerReferences[]. */
export interface RawOwner {
  readonly kind?: Maybe<string>;
  readonly name?: Maybe<string>;
  readonly controller?: Maybe<boolean>;
}

const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART_TEXT =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED_TEXT =
  "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

// Written without nested repetition, so that no input can make them slow.
const WORD = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;

/** Keys and values that have passed, so that ten thousand pods cost one look each. */
const passedKeys = new Set<string>();
const passedValues = new Set<string>();
const LARGEST_MEMO = 100_000;

/** Checks metadata.name, namespace and labels; `nameForm` is what the kind's name must be. */
export function checkMeta(meta: RawMeta, nameForm: 'subdomain' | 'label', scope: 'cluster' | 'namespace'): Problem[] {
  const problems: Problem[] = [];
  const name = meta.name ?? '';
  if (name === '') {
    if ((meta.generateName ?? '') === '')
      problems.push(required(['metadata', 'name'], 'name or generateName is required'));
  } else
    problems.push(
      ...(nameForm === 'label' ? checkDnsLabel : checkSubdomain)(name).map((text) =>
        invalid(['metadata', 'name'], name, text),
      ),
    );
  const namespace = meta.namespace ?? '';
  if (namespace !== '' && scope === 'namespace')
    problems.push(...checkDnsLabel(namespace).map((text) => invalid(['metadata', 'namespace'], namespace, text)));
  checkLabels(meta.labels, ['metadata', 'labels'], problems);
  return problems;
}

/** Checks a map of labels at `path`, as the API server does for metadata.labels and matchLabels. */
export function checkLabels(labels: RawMeta['labels'], path: Path, problems: Problem[]): void {
  if (labels === null || labels === undefined) return;
  for (const [key, value] of Object.entries(labels)) {
    for (const text of checkLabelKey(key))
      problems.push({ ...invalid(path, key, text), path: [...path, key], part: 'key' });
    for (const text of checkLabelValue(value ?? ''))
      problems.push({ ...invalid(path, value, text), path: [...path, key] });
  }
}

/** What is wrong with a label key; empty where nothing is. */
export function checkLabelKey(key: string): string[] {
  if (passedKeys.has(key)) return [];
  const errors: string[] = [];
  const parts = key.split('/');
  let name = parts[0]!;
  if (parts.length === 2) {
    name = parts[1]!;
    if (parts[0] === '') errors.push('prefix part must be non-empty');
    else errors.push(...checkSubdomain(parts[0]!).map((text) => `prefix part ${text}`));
  } else if (parts.length > 2) return [QUALIFIED_TEXT];
  if (name === '') errors.push('name part must be non-empty');
  else if (name.length > 63) errors.push('name part must be no more than 63 characters');
  if (!WORD.test(name)) errors.push(NAME_PART_TEXT);
  if (errors.length === 0 && passedKeys.size < LARGEST_MEMO) passedKeys.add(key);
  return errors;
}

/** What is wrong with a label value; empty where nothing is. */
export function checkLabelValue(value: string): string[] {
  if (value === '' || passedValues.has(value)) return [];
  const errors: string[] = [];
  if (value.length > 63) errors.push('must be no more than 63 characters');
  if (!WORD.test(value)) errors.push(VALUE_TEXT);
  if (errors.length === 0 && passedValues.size < LARGEST_MEMO) passedValues.add(value);
  return errors;
}

/** A map of labels; null values are empty strings, as Go decodes them. */
export function readLabels(labels: RawMeta['labels']): Labels {
  const read = new Map<string, string>();
  if (labels !== null && labels !== undefined) for (const key of Object.keys(labels)) read.set(key, labels[key] ?? '');
  return read;
}

function checkSubdomain(text: string): string[] {
  const errors: string[] = [];
  if (text.length > 253) errors.push('must be no more than 253 characters');
  if (!text.split('.').every((part) => DNS_LABEL.test(part))) errors.push(SUBDOMAIN_TEXT);
  return errors;
}

function checkDnsLabel(text: string): string[] {
  const errors: string[] = [];
  if (text.length > 63) errors.push('must be no more than 63 characters');
  if (!DNS_LABEL.test(text)) errors.push(LABEL_TEXT);
  return errors;
}
