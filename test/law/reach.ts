/** What each law of verdicts has to meet to mean something: sides with their reasons, and missing facts. */

const SIDES = ['egress', 'ingress'] as const;
const on = (names: readonly string[]): string[] => names.flatMap((name) => SIDES.map((side) => `${side} ${name}`));

/** Facts that can be missing from one flow; the others take a record of a trace. */
export const FACTS: readonly string[] = [
  'unknown-pod',
  'no-address',
  'no-port',
  'no-protocol',
  'unresolved-named-port',
  'some-backends',
  'no-backend',
  'domain-name',
  'some-pods',
];

/** By law, in the words of `Reached`. */
export const REACHES: Readonly<Record<'networkPolicy' | 'tiers' | 'packets', readonly string[]>> = {
  networkPolicy: [
    ...on([
      'not-subject',
      'not-isolated',
      'allowed-by-rule',
      'no-rule-matches',
      'same-pod',
      'dialect-exempt',
      'undecidable',
    ]),
    'ingress own-node',
    ...FACTS,
  ],
  tiers: [...on(['denied-by-rule', 'own-node']), ...FACTS, 'equal-priority'],
  packets: on(['established', 'related', 'invalid-state', 'not-isolated', 'allowed-by-rule', 'no-rule-matches']),
};
