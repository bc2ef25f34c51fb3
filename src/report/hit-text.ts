/** Which rules a replay used, for people: the most used ones, and those that no connection used, which may be dead. */
import type { ReplayResult, RuleCount } from '../replay/result.ts';
import { markdownCell } from './escape.ts';
import { type Unit, unitOf } from './item.ts';
import { alignColumns, hang, type Style } from './layout.ts';
import type { Names } from './name.ts';
import { policyText, positionText, ruleText } from './phrase.ts';
import { formatCount, formatCounted } from './quantity.ts';

/** Most used rules, unused ones, and what the counts leave out; at most `top` of each. No lines where there is no rule. */
export function ruleLines(result: ReplayResult, names: Names, style: Style, top: number): string[] {
  const unit = unitOf(result.mode);
  const { used, unused } = splitRules(result, unit);
  if (used.length + unused.length === 0 || result.rows === 0) return [];
  const rows = used
    .slice(0, top)
    .map((count) => [
      `  ${formatCount(unit.count(count.tally))}`,
      `${nameOf(count, names)} (${positionText(count.rule.position, names)})`,
    ]);
  return [
    style.bold(headline(used.length, unused.length)),
    ...(rows.length === 0 ? [] : alignColumns([[`  ${unit.singular}s`, 'most used rules'], ...rows], 'rl')),
    ...restLine(used.length - rows.length, style),
    ...(unused.length === 0 ? [] : ['  never used']),
    ...unused.slice(0, top).map((count) => `    ${nameOf(count, names)} (${positionText(count.rule.position, names)})`),
    ...restLine(unused.length - Math.min(top, unused.length), style),
    ...caveat(result, unit).flatMap((text) => hang('  ', text)),
  ];
}

/** The same as a section of Markdown. */
export function markdownRules(result: ReplayResult, names: Names, top: number): string[] {
  const unit = unitOf(result.mode);
  const { used, unused } = splitRules(result, unit);
  if (used.length + unused.length === 0 || result.rows === 0) return [];
  const shown = [...used.slice(0, top), ...unused.slice(0, top)];
  const rest = used.length + unused.length - shown.length;
  return [
    '',
    `### ${headline(used.length, unused.length)}`,
    '',
    `| rule | place | ${unit.singular}s |`,
    '| :-- | :-- | --: |',
    ...shown.map((count) => {
      const cells = [
        nameOf(count, names),
        positionText(count.rule.position, names),
        formatCount(unit.count(count.tally)),
      ];
      return `| ${cells.map(markdownCell).join(' | ')} |`;
    }),
    ...(rest === 0 ? [] : ['', `and ${formatCounted(rest, 'more rule')}.`]),
    ...caveat(result, unit).flatMap((text) => ['', text]),
  ];
}

/** Most used first; what is as much used, and what is not, in order of evaluation. */
function splitRules({ ruleUsage }: ReplayResult, unit: Unit): { used: RuleCount[]; unused: RuleCount[] } {
  const isUsed = ({ tally }: RuleCount): boolean => tally.connections > 0 || tally.records > 0;
  return {
    used: ruleUsage.rules.filter(isUsed).sort((a, b) => unit.count(b.tally) - unit.count(a.tally)),
    unused: ruleUsage.rules.filter((count) => !isUsed(count)),
  };
}

function headline(used: number, unused: number): string {
  const rules = formatCounted(used + unused, 'rule');
  return unused === 0
    ? `Of ${rules} each was used`
    : `Of ${rules} ${formatCount(unused)} ${wasOrWere(unused)} never used`;
}

function wasOrWere(count: number): string {
  return count === 1 ? 'was' : 'were';
}

function nameOf({ policy, direction, rule }: RuleCount, names: Names): string {
  return `${policyText(policy, names)} ${ruleText(direction, rule, names)}`;
}

function restLine(count: number, style: Style): string[] {
  return count === 0 ? [] : [style.dim(`    and ${formatCounted(count, 'more rule')}`)];
}

function caveat({ ruleUsage }: ReplayResult, unit: Unit): string[] {
  const count = unit.count(ruleUsage.uncounted);
  if (count === 0) return [];
  return [
    `${formatCounted(count, unit.singular)} beyond the group limit are not counted: a rule without hits may have been used by them.`,
  ];
}
