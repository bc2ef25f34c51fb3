/** Labels and label selectors, as apimachinery defines them (`meta/v1.LabelSelector`), in one normal form. */

/** Label keys and values; insertion order has no meaning. */
export type Labels = ReadonlyMap<string, string>;

/** `matchExpressions[].operator`. */
export type Operator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

/** One requirement; `matchLabels: {k: v}` is `k In [v]`. `values` is empty for Exists and DoesNotExist. */
export interface Requirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

/** All requirements must hold; an empty list matches everything. */
export type Selector = readonly Requirement[];

/** The label that the API server gives every Namespace (KEP-2161). */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** NP-14 to NP-18: what the value of a label, or its absence, says to a requirement that asks for it. */
export function meets(operator: Operator, values: readonly string[], value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** True where labels that are all known meet every requirement. */
export function meetsAll(selector: Selector, labels: Labels): boolean {
  return selector.every(({ key, operator, values }) => meets(operator, values, labels.get(key)));
}

/** A selector as kubectl prints one: `app=web,tier in (a,b),!old`; the empty selector is `<all>`. */
export function formatSelector(selector: Selector): string {
  if (selector.length === 0) return '<all>';
  return selector.map(formatRequirement).join(',');
}

/** One requirement in kubectl's spelling. */
export function formatRequirement({ key, operator, values }: Requirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
    case 'NotIn':
      return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
  }
}
