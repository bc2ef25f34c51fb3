/** Label selectors: validation as `meta/v1/validation` does it, and their one normal form (semantics 1.5). */
import type { Operator, Requirement, Selector } from '../model/label.ts';
import { type Maybe, checkLabelKey, checkLabelValue, checkLabels } from './meta.ts';
import { findNearest } from './nearest.ts';
import { type Problem, forbidden, invalid, required } from './problem.ts';
import type { Path } from './source.ts';

/** meta/v1.LabelSelector; a value has passed its schema. */
export interface RawSelector {
  readonly matchLabels?: Maybe<Readonly<Record<string, Maybe<string>>>>;
  readonly matchExpressions?: Maybe<
    readonly Maybe<{
      readonly key?: Maybe<string>;
      readonly operator?: Maybe<string>;
      readonly values?: Maybe<readonly Maybe<string>[]>;
    }>[]
  >;
}

const OPERATORS: readonly Operator[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** Everything the API server would refuse in a selector. */
export function checkSelector(selector: Maybe<RawSelector>, path: Path, problems: Problem[]): void {
  if (selector === null || selector === undefined) return;
  checkLabels(selector.matchLabels, [...path, 'matchLabels'], problems);
  for (const [index, item] of (selector.matchExpressions ?? []).entries()) {
    const at = [...path, 'matchExpressions', index];
    const operator = item?.operator ?? '';
    const values = item?.values ?? [];
    switch (operator) {
      case 'In':
      case 'NotIn':
        if (values.length === 0)
          problems.push(required([...at, 'values'], "must be specified when `operator` is 'In' or 'NotIn'"));
        break;
      case 'Exists':
      case 'DoesNotExist':
        if (values.length > 0)
          problems.push(
            forbidden([...at, 'values'], "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
          );
        break;
      default: {
        const near = findNearest(operator, OPERATORS);
        problems.push({
          ...invalid([...at, 'operator'], operator, 'not a valid selector operator'),
          ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
        });
      }
    }
    const key = item?.key ?? '';
    for (const text of checkLabelKey(key)) problems.push(invalid([...at, 'key'], key, text));
    for (const [valueIndex, value] of values.entries())
      for (const text of checkLabelValue(value ?? ''))
        problems.push(invalid([...at, 'values', valueIndex], value, text));
  }
}

/** The normal form of a valid selector; missing and null are the empty selector. */
export function readSelector(selector: Maybe<RawSelector>): Selector {
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {}))
    requirements.push({ key, operator: 'In', values: [value ?? ''] });
  for (const item of selector?.matchExpressions ?? [])
    requirements.push({
      key: item?.key ?? '',
      operator: (item?.operator ?? '') as Operator,
      values: (item?.values ?? []).map((value) => value ?? ''),
    });
  return requirements;
}
