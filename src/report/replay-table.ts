/** A replay as a table, one row for each group: CSV for spreadsheets, Markdown for reviews, aligned text for wide terminals. */
import type { FlowGroup, GroupDecision, ReplayResult } from '../replay/result.ts';
import { REASONS, VERDICT_NAMES, Verdict, missingFactNames } from '../model/verdict.ts';
import { balanceOf } from './account-text.ts';
import { decidingSides, splitBackendsText } from './cause.ts';
import { csvCell, markdownCell } from './escape.ts';
import { markdownRules } from './hit-text.ts';
import { type Item, changeOf, endpointsText, foldGroups, groupsOf, sumTallies, unitOf } from './item.ts';
import { alignColumns } from './layout.ts';
import { missesPods } from './replay-text.ts';
import type { Names } from './name.ts';
import { groupEndpointText, missingTexts, policyText, positionText, ruleText, serviceText, viaText } from './phrase.ts';
import { formatBytes, formatCount, formatCounted, formatPercent, formatTime } from './quantity.ts';

/** Columns of CSV and wide output, in order. New ones are added at the end. */
export const COLUMNS = [
  'verdict',
  'baseline',
  'change',
  'source',
  'destination',
  'service',
  'via',
  'partial',
  'connections',
  'records',
  'bytes',
  'first',
  'last',
  'side',
  'reason',
  'policies',
  'rule',
  'nearest',
  'why',
  'missing',
] as const;

/** Every group in CSV (RFC 4180 quoting, line feeds), after one line of column names. */
export function replayCsv(result: ReplayResult, names: Names): string {
  const rows = result.groups.map((group) => groupCells(group, names).map(csvCell).join(','));
  return `${[COLUMNS.join(','), ...rows].join('\n')}\n`;
}

/** Every group as one line of aligned columns, without those that no group fills. */
export function wideLines(result: ReplayResult, names: Names): string[] {
  const rows = result.groups.map((group) => groupCells(group, names));
  const used = COLUMNS.map((_, column) => rows.some((row) => row[column] !== ''));
  const keep = (row: readonly string[]): string[] => row.filter((_, column) => used[column]);
  const numbers = new Set<string>(['connections', 'records', 'bytes']);
  const alignment = keep(COLUMNS)
    .map((name) => (numbers.has(name) ? 'r' : 'l'))
    .join('');
  return alignColumns([keep(COLUMNS.map((name) => name.toUpperCase())), ...rows.map(keep)], alignment);
}

/** A summary and the `top` largest groups of what would be dropped or is undecidable, for a review comment. */
export function replayMarkdown(result: ReplayResult, names: Names, top: number): string {
  const unit = unitOf(result.mode);
  const { allow, deny, undecidable } = result.totals;
  const whole = unit.count(sumTallies([allow, deny, undecidable]));
  const lines = [
    '## dropcast replay',
    '',
    `| ${unit.singular}s | count | share | bytes |`,
    '| :-- | --: | --: | --: |',
    ...(
      [
        ['allowed', allow],
        ['would be dropped', deny],
        ['undecidable', undecidable],
      ] as const
    ).map(
      ([name, tally]) =>
        `| ${name} | ${formatCount(unit.count(tally))} | ${formatPercent(unit.count(tally), whole)} | ${formatBytes(tally.bytes)} |`,
    ),
  ];
  const partial = unit.count(sumTallies([result.partial.allow, result.partial.deny, result.partial.undecidable]));
  if (partial > 0)
    lines.push(
      '',
      `${formatCounted(partial, unit.singular)} apart, whose opening is not in the trace: ${formatCount(unit.count(result.partial.deny))} would be dropped.`,
    );
  const miss = missesPods(result);
  if (miss !== undefined) lines.push('', `**${markdownCell(miss)}**`);
  const { comparison } = result;
  if (comparison !== undefined)
    lines.push(
      '',
      '| compared with the baseline | count |',
      '| :-- | --: |',
      `| newly dropped | ${formatCount(unit.count(comparison.newlyDropped))} |`,
      `| newly allowed | ${formatCount(unit.count(comparison.newlyAllowed))} |`,
      `| unchanged | ${formatCount(unit.count(comparison.unchanged))} |`,
      `| undecidable | ${formatCount(unit.count(comparison.undecidable))} |`,
    );
  const pick = (test: (group: FlowGroup) => boolean): FlowGroup[] =>
    groupsOf(result).filter((group) => !group.isPartial && test(group));
  if (comparison === undefined)
    lines.push(
      ...markdownSection(
        'Would be dropped',
        pick((group) => group.decision.verdict === Verdict.Deny),
        result,
        names,
        top,
      ),
    );
  else
    lines.push(
      ...markdownSection(
        'Newly dropped',
        pick((group) => changeOf(group) === 'newly-dropped'),
        result,
        names,
        top,
      ),
      ...markdownSection(
        'Newly allowed',
        pick((group) => changeOf(group) === 'newly-allowed'),
        result,
        names,
        top,
      ),
      ...markdownSection(
        'Dropped by both',
        pick((group) => changeOf(group) === 'unchanged' && group.decision.verdict === Verdict.Deny),
        result,
        names,
        top,
      ),
    );
  lines.push(
    ...markdownSection(
      'Undecidable',
      pick((group) => group.decision.verdict === Verdict.Undecidable),
      result,
      names,
      top,
    ),
  );
  if (miss === undefined) lines.push(...markdownRules(result, names, top));
  const { read, malformed, lost } = balanceOf(result);
  lines.push(
    '',
    `${formatCount(read - malformed)} of ${formatCounted(read, 'record')} understood, ${formatCount(lost)} lost: the result is ${result.isComplete ? 'complete' : '**incomplete**'}.`,
  );
  return `${lines.join('\n')}\n`;
}

function markdownSection(
  title: string,
  groups: readonly FlowGroup[],
  result: ReplayResult,
  names: Names,
  top: number,
): string[] {
  if (groups.length === 0) return [];
  const unit = unitOf(result.mode);
  const { items, hidden, rest } = foldGroups(groups, unit, top);
  const lines = [
    '',
    `### ${title}`,
    '',
    `| source | destination | service | ${unit.singular}s | why |`,
    '| :-- | :-- | :-- | --: | :-- |',
    ...items.map((item) => markdownRow(item, result, names)),
  ];
  if (hidden > 0)
    lines.push(
      '',
      `and ${formatCounted(hidden, 'more group')} with ${formatCounted(unit.count(rest), unit.singular)}.`,
    );
  return lines;
}

function markdownRow({ group, sources, destinations, tally }: Item, result: ReplayResult, names: Names): string {
  const via = group.via === undefined ? '' : ` via ${viaText(group.via, names)}`;
  const cells = [
    endpointsText(sources, names),
    endpointsText(destinations, names),
    serviceText(group.protocol, group.port, group.icmp) + via,
    formatCount(unitOf(result.mode).count(tally)),
    whySentence(group.decision, names),
  ];
  return `| ${cells.map(markdownCell).join(' | ')} |`;
}

/** The cause of a decision in one sentence. */
function whySentence(decision: GroupDecision, names: Names): string {
  const backends = decision.explanation && splitBackendsText(decision.explanation, names);
  if (backends !== undefined) return `${backends}; ${missingTexts(decision.missing).join('; ')}`;
  const parts = decidingSides(decision, names).map((side) => {
    const policies = side.isolating
      .slice(0, 3)
      .map((policy) => `${policyText(policy, names)} (${positionText(policy.position, names)})`);
    const by = policies.length === 0 ? '' : ` by ${policies.join(', ')}`;
    const matched =
      side.decidedBy === undefined
        ? ''
        : `; ${ruleText(side.direction, side.decidedBy.rule, names)} at ${positionText(side.decidedBy.rule.position, names)}`;
    const nearest =
      side.nearest === undefined
        ? ''
        : `; nearest ${ruleText(side.direction, side.nearest.rule, names)} at ${positionText(side.nearest.rule.position, names)}: ${side.nearest.why}`;
    return `${side.direction} ${REASONS[side.reason]!.name}${by}${matched}${nearest}`;
  });
  if (decision.verdict === Verdict.Undecidable) parts.push(...missingTexts(decision.missing));
  return parts.join('; ');
}

/** The cells of `COLUMNS`; several sides, policies or rules are joined by `; `. */
function groupCells(group: FlowGroup, names: Names): string[] {
  const { decision, tally } = group;
  const sides = decidingSides(decision, names);
  const each = (make: (side: (typeof sides)[number]) => string | undefined): string =>
    sides
      .map(make)
      .filter((text) => text !== undefined && text !== '')
      .join('; ');
  const cells: Record<(typeof COLUMNS)[number], string> = {
    verdict: VERDICT_NAMES[decision.verdict]!,
    baseline: group.baseline === undefined ? '' : VERDICT_NAMES[group.baseline.verdict]!,
    change: changeOf(group) ?? '',
    source: groupEndpointText(group.source, names),
    destination: groupEndpointText(group.destination, names),
    service: serviceText(group.protocol, group.port, group.icmp),
    via: group.via === undefined ? '' : viaText(group.via, names),
    partial: group.isPartial ? 'yes' : '',
    connections: String(tally.connections),
    records: String(tally.records),
    bytes: String(tally.bytes),
    first: formatTime(group.firstUs) ?? '',
    last: formatTime(group.lastUs) ?? '',
    side: each((side) => side.direction),
    reason: each((side) => REASONS[side.reason]!.name),
    policies: each((side) =>
      side.isolating
        .map((policy) => `${policyText(policy, names)} (${positionText(policy.position, names)})`)
        .join('; '),
    ),
    rule: each(
      (side) =>
        side.decidedBy &&
        `${ruleText(side.direction, side.decidedBy.rule, names)} (${positionText(side.decidedBy.rule.position, names)})`,
    ),
    nearest: each(
      (side) =>
        side.nearest &&
        `${ruleText(side.direction, side.nearest.rule, names)} (${positionText(side.nearest.rule.position, names)})`,
    ),
    why: each((side) => side.nearest?.why),
    missing: missingFactNames(decision.missing).join('; '),
  };
  return COLUMNS.map((column) => cells[column]);
}
