/**
 * A replay for people: the answer first (how much would be dropped), then which connections and why, then what could not be
 * decided, then what the trace cannot show, and last the accounting that the rest stands on.
 */
import type { FlowGroup, GroupDecision, GroupEndpoint, ReplayResult, Tally, VerdictTallies } from '../replay/result.ts';
import type { PolicyHit } from '../model/recorded-policy.ts';
import { REASONS, Verdict } from '../model/verdict.ts';
import { accountLines, completenessLine } from './account-text.ts';
import { type SideCause, decidingSides, splitBackendsText } from './cause.ts';
import { ruleLines } from './hit-text.ts';
import {
  type Folded,
  type Item,
  type Unit,
  changeOf,
  endpointsText,
  foldGroups,
  groupsOf,
  sumTallies,
  unitOf,
} from './item.ts';
import { PAGE_WIDTH, type Style, alignColumns, hang } from './layout.ts';
import type { Names } from './name.ts';
import { missingTexts, policyText, positionText, ruleText, serviceText, viaText, workloadText } from './phrase.ts';
import {
  formatBytes,
  formatCount,
  formatCounted,
  formatDuration,
  formatPercent,
  formatSpan,
  formatTime,
} from './quantity.ts';

/** What the text output may know beside the result. */
export interface ReplayTextOptions {
  readonly style: Style;
  readonly names: Names;
  /** Items listed in each section; `Infinity`: all. */
  readonly top: number;
  /** How many policies were compiled, for the first sentence. */
  readonly policyCount?: number;
  readonly baselinePolicyCount?: number;
  /** Lines that follow the summary: the table of wide output. */
  readonly table?: readonly string[];
}

/** The default report, as lines. */
export function replayTextLines(result: ReplayResult, options: ReplayTextOptions): string[] {
  const page: Page = {
    ...options,
    result,
    unit: unitOf(result.mode),
    span: spanOf(result),
  };
  const sections = [
    summaryLines(page),
    missLines(page),
    [...(options.table ?? [])],
    ...(result.comparison === undefined ? [droppedLines(page)] : comparedLines(page)),
    undecidableLines(page),
    partialLines(page),
    recordedLines(page),
    pendingLines(page),
    missesPods(result) === undefined ? ruleLines(result, options.names, options.style, options.top) : [],
    apartLines(page),
    blindLines(page),
    [...accountLines(result, options.names, options.style), '', completenessLine(result, options.style)],
  ];
  return sections.filter((lines) => lines.length > 0).flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]));
}

interface Page extends ReplayTextOptions {
  readonly result: ReplayResult;
  readonly unit: Unit;
  readonly span: readonly [number, number];
}

function summaryLines(page: Page): string[] {
  const { result, unit, style } = page;
  const { totals, partial } = result;
  const whole = unit.count(sumTallies([totals.allow, totals.deny, totals.undecidable]));
  const apart = unit.count(sumTallies([partial.allow, partial.deny, partial.undecidable]));
  const rows: [string, Tally][] = [
    ['allowed', totals.allow],
    ['would be dropped', totals.deny],
    ['undecidable', totals.undecidable],
  ];
  // Sources such as Hubble know no bytes: a column of zeros would look like a measurement.
  const hasBytes = sumTallies([sumAll(totals), sumAll(partial)]).bytes > 0;
  const measures = (tally: Tally): string[] => [
    ...(unit.singular === 'connection' ? [formatCount(tally.records)] : []),
    ...(hasBytes ? [formatBytes(tally.bytes)] : []),
  ];
  const headings = [...(unit.singular === 'connection' ? ['records'] : []), ...(hasBytes ? ['bytes'] : [])];
  const table = alignColumns(
    [
      ['', `${unit.singular}s`, '', ...headings],
      ...rows.map(([name, tally]) => [
        `  ${name}`,
        formatCount(unit.count(tally)),
        formatPercent(unit.count(tally), whole),
        ...measures(tally),
      ]),
      ...(apart === 0 ? [] : [['  partial', formatCount(apart), '', ...measures(sumAll(partial))]]),
    ],
    'lrrrr',
  );
  const paint = [style.dim, style.good, style.bad, style.warn, style.dim];
  return [
    ...hang('', headline(page)),
    ...timeLines(page),
    '',
    ...table.map((line, index) =>
      index > 0 && index < 4 && unit.count(rows[index - 1]![1]) === 0 ? style.dim(line) : paint[index]!(line),
    ),
  ];
}

function missLines({ result, style }: Page): string[] {
  const text = missesPods(result);
  return text === undefined ? [] : hang('', text).map((line) => style.warn(line));
}

/** A forecast over traffic that meets no pod of the input is no forecast: said before anything else. */
export function missesPods(result: ReplayResult): string | undefined {
  const { pods, rows, totals, partial } = result;
  const hasVerdict = [totals, partial].some(({ deny, undecidable }) => deny.records + undecidable.records > 0);
  // Records may bring pods of their own, with labels.
  const isPod = (end: GroupEndpoint): boolean => end.kind === 'described' && end.namespace !== undefined;
  if (rows === 0 || pods.touched > 0 || hasVerdict) return undefined;
  if (groupsOf(result).some(({ source, destination }) => isPod(source) || isPod(destination))) return undefined;
  return pods.total === 0
    ? "The input holds no pod, so no policy could apply. Add the cluster's pods: kubectl get pods -A -o json"
    : 'No connection touches a pod of the input: the addresses of the trace and those of the manifests do not meet, and this forecast says nothing. Manifests of workloads have no addresses; add the pods of the time of the trace: kubectl get pods -A -o json';
}

function headline({ result, unit, policyCount, baselinePolicyCount }: Page): string {
  const whole = unit.count(sumTallies([sumAll(result.totals), sumAll(result.partial)]));
  const policies = policyCount === undefined ? '' : ` against ${formatCounted(policyCount, 'policy', 'policies')}`;
  const baseline =
    baselinePolicyCount === undefined
      ? ''
      : ` and a baseline of ${formatCounted(baselinePolicyCount, 'policy', 'policies')}`;
  const how =
    result.mode === 'packets'
      ? ', packet by packet'
      : result.mode === 'stateless'
        ? ', each record on its own, without connection tracking'
        : '';
  const traces = result.accounts.length === 1 ? '1 trace' : formatCounted(result.accounts.length, 'trace');
  return `Replayed ${formatCounted(whole, unit.singular)} of ${traces}${policies}${baseline}${how}`;
}

function timeLines({ span }: Page): string[] {
  if (Number.isNaN(span[0])) return [];
  return [`${formatSpan(span[0], span[1])} UTC, ${formatDuration(span[1] - span[0])}`];
}

function droppedLines(page: Page): string[] {
  const { result, unit, style } = page;
  if (missesPods(result) !== undefined) return [];
  const groups = groupsOf(result, [Verdict.Deny]).filter((group) => !group.isPartial);
  const count = unit.count(result.totals.deny);
  if (result.rows === 0) return [style.warn('No record was replayed: this says nothing about the policies.')];
  if (count === 0) return [style.good('Nothing would be dropped.')];
  return [
    style.bold(style.bad(`Would be dropped: ${formatCounted(count, unit.singular)}`)),
    ...itemSection(page, groups, result.ungrouped.deny),
  ];
}

function comparedLines(page: Page): string[][] {
  const { result, unit, style } = page;
  const comparison = result.comparison!;
  const of = (change: string): FlowGroup[] =>
    groupsOf(result).filter((group) => !group.isPartial && changeOf(group) === change);
  const table = alignColumns(
    (
      [
        ['newly dropped', comparison.newlyDropped],
        ['newly allowed', comparison.newlyAllowed],
        ['unchanged', comparison.unchanged],
        ['undecidable', comparison.undecidable],
      ] as const
    ).map(([name, tally]) => [`  ${name}`, formatCount(unit.count(tally)), unit.singular + plural(unit.count(tally))]),
    'lrl',
  );
  const sections = [[style.bold('Compared with the baseline'), ...table]];
  const dropped = of('newly-dropped');
  if (unit.count(comparison.newlyDropped) === 0) sections.push([style.good('Nothing is newly dropped.')]);
  else {
    sections.push([
      style.bold(style.bad(`Newly dropped: ${formatCounted(unit.count(comparison.newlyDropped), unit.singular)}`)),
      ...itemSection(page, dropped, { connections: 0, records: 0, bytes: 0 }),
    ]);
  }
  const both = of('unchanged').filter((group) => group.decision.verdict === Verdict.Deny);
  if (both.length > 0) {
    sections.push([
      style.bold(`Dropped by both: ${formatCounted(unit.count(sumGroups(both)), unit.singular)}`),
      ...briefSection(page, both),
    ]);
  }
  const allowed = of('newly-allowed');
  if (allowed.length > 0) {
    sections.push([
      style.bold(style.good(`Newly allowed: ${formatCounted(unit.count(comparison.newlyAllowed), unit.singular)}`)),
      ...briefSection(page, allowed),
    ]);
  }
  const rest = unit.count(sumAll(result.ungrouped));
  if (rest > 0)
    sections.push(hang('  ', `${formatCounted(rest, unit.singular)} beyond the group limit are in the counts alone.`));
  return sections;
}

function undecidableLines(page: Page): string[] {
  const { result, unit, style } = page;
  const count = unit.count(result.totals.undecidable);
  if (count === 0) return [];
  const groups = groupsOf(result, [Verdict.Undecidable]).filter((group) => !group.isPartial);
  return [
    style.bold(style.warn(`Undecidable: ${formatCounted(count, unit.singular)}`)),
    ...itemSection(page, groups, result.ungrouped.undecidable),
  ];
}

function partialLines(page: Page): string[] {
  const { result, unit, style } = page;
  const all = sumAll(result.partial);
  if (unit.count(all) === 0) return [];
  const verdicts = [
    `${formatCount(unit.count(result.partial.allow))} allowed`,
    `${formatCount(unit.count(result.partial.deny))} would be dropped`,
    `${formatCount(unit.count(result.partial.undecidable))} undecidable`,
  ].join(', ');
  const groups = groupsOf(result, [Verdict.Deny, Verdict.Undecidable]).filter((group) => group.isPartial);
  return [
    style.bold(`Partial: ${formatCounted(unit.count(all), unit.singular)}, ${verdicts}`),
    ...hang(
      '  ',
      'Their opening is not in the trace. Each is judged once, in the direction that its records suggest, and is not in the counts above.',
    ),
    ...(groups.length === 0 ? [] : itemSection(page, groups, { connections: 0, records: 0, bytes: 0 })),
  ];
}

function recordedLines(page: Page): string[] {
  const { recorded } = page.result;
  const rows = [
    ['', 'forecast: allowed', 'forecast: dropped'],
    ['  recorded as allowed', formatCount(recorded.allowAllow), formatCount(recorded.allowDeny)],
    ['  recorded as denied by policy', formatCount(recorded.denyAllow), formatCount(recorded.denyDeny)],
  ];
  const sum = recorded.allowAllow + recorded.allowDeny + recorded.denyAllow + recorded.denyDeny + recorded.undecidable;
  if (sum === 0) return [];
  const undecidable =
    recorded.undecidable === 0 ? [] : [`  ${formatCount(recorded.undecidable)} more with an undecidable forecast`];
  return [
    page.style.bold('Verdicts that the trace recorded, against the forecast (connections)'),
    ...alignColumns(rows, 'lrr'),
    ...undecidable,
  ];
}

/** What staged policies would have done, as the trace recorded it: where they and the forecast differ, one is mistaken. */
function pendingLines(page: Page): string[] {
  const { result, style, names } = page;
  const { pending } = result;
  if (pending === undefined) return [];
  const table = alignColumns(
    [
      ['', 'forecast: allowed', 'forecast: dropped'],
      ['  staged would allow', formatCount(pending.allowAllow), formatCount(pending.allowDeny)],
      ['  staged would deny', formatCount(pending.denyAllow), formatCount(pending.denyDeny)],
    ],
    'lrr',
  );
  const contradicted = groupsOf(result).filter((group) => group.pending?.contradiction !== undefined);
  const lines = contradicted.slice(0, page.top).flatMap((group) => {
    const { allow, deny, contradiction } = group.pending!;
    const isDenied = group.decision.verdict === Verdict.Deny;
    const who = `${endpointsText([group.source], names)} -> ${endpointsText([group.destination], names)}  ${serviceText(group.protocol, group.port, group.icmp)}`;
    const said = isDenied
      ? `the forecast drops, and the staged policies would allow ${formatCount(allow)}`
      : `the forecast allows, and the staged policies would deny ${formatCount(deny)}`;
    const by = contradiction!.map((hit) => hitText(hit, names)).join(', then ');
    return [...hang('  ', who).map((line) => style.bold(line)), ...hang('      ', `${said}: ${by}`)];
  });
  const hidden = contradicted.length - Math.min(contradicted.length, page.top);
  return [
    style.bold('What staged policies would have done by the trace, against the forecast (connections)'),
    ...table,
    ...(pending.undecidable === 0 ? [] : [`  ${formatCount(pending.undecidable)} more with an undecidable forecast`]),
    ...lines,
    ...(hidden === 0 ? [] : [style.dim(`  and ${formatCounted(hidden, 'more group')} where they differ`)]),
  ];
}

function hitText({ kind, namespace, name, action }: PolicyHit, names: Names): string {
  const scope = namespace === undefined ? '' : `${names.show('namespace', namespace)}/`;
  return `${kind === undefined ? '' : `${kind} `}${scope}${names.show('policy', name)} (${action})`;
}

function apartLines(page: Page): string[] {
  const { result, style } = page;
  const rows: [string, string][] = [];
  const invalid = [...result.invalid].filter(([, tally]) => tally.records > 0);
  if (invalid.length > 0) {
    const causes = invalid.map(([cause, tally]) => `${cause} ${formatCount(tally.records)}`).join(', ');
    const sum = formatCounted(sumTallies(invalid.map(([, tally]) => tally)).records, 'record');
    rows.push(['INVALID', `${sum} that connection tracking calls INVALID (${causes})`]);
  }
  if (result.related.records > 0)
    rows.push(['RELATED', `${formatCounted(result.related.records, 'ICMP error')} about tracked connections`]);
  if (result.unplaced.records > 0)
    rows.push(['unplaced', `${formatCounted(result.unplaced.records, 'record')} without address or name on a side`]);
  const { oriented } = result;
  const guessed = oriented.ports + oriented.assumed;
  if (guessed > 0) {
    const known = oriented.stated + oriented.flags + oriented.paired;
    rows.push([
      'guessed',
      `the initiator of ${formatCounted(guessed, 'connection')} of ${formatCount(guessed + known)} (by port numbers ${formatCount(oriented.ports)}, by the first record ${formatCount(oriented.assumed)})`,
    ]);
  }
  const { otherDrop, firewallAllow, firewallDeny } = result.recorded;
  if (otherDrop > 0)
    rows.push([
      'other drop',
      `${formatCounted(otherDrop, 'connection')} that the trace calls dropped for another reason than policy`,
    ]);
  if (firewallAllow + firewallDeny > 0)
    rows.push([
      'firewall',
      `${formatCounted(firewallAllow, 'connection')} accepted and ${formatCount(firewallDeny)} rejected by a cloud firewall, which is no NetworkPolicy: not compared with the forecast`,
    ]);
  if (result.disorder > 0)
    rows.push([
      'order',
      `the trace is not in the order of time: ${formatCounted(result.disorder, 'step')} back of more than a minute. Records that belong together may count as connections of their own: sort the trace`,
    ]);
  if (result.disagreements > 0)
    rows.push([
      'disagree',
      `${formatCounted(result.disagreements, 'connection')} whose recorded pod does not hold the address in the input: ${result.timeline === undefined ? 'is the snapshot from the time of the trace?' : 'the record goes before what the snapshots say of its time'}`,
    ]);
  if (result.timeline !== undefined) {
    const { states, met, firstUs, lastUs, early } = result.timeline;
    const between = states > 1 ? `, ${formatTime(firstUs) ?? '?'} to ${formatTime(lastUs) ?? '?'}` : '';
    const old = early > 0 ? `; ${formatCounted(early, 'record')} older than the first, which stands for its past` : '';
    rows.push([
      'cluster',
      `${formatCounted(states, 'state')}${between}, of which records met ${formatCount(met)}${old}`,
    ]);
  }
  const { tracking } = result;
  if (tracking.limit !== undefined)
    rows.push([
      'conntrack',
      `table of ${formatCount(tracking.limit)}, peak ${formatCount(tracking.peak ?? 0)}: ${formatCounted(tracking.refused, 'opening packet')} found it full, ${formatCount(tracking.evicted)} closing ones were put out early`,
    ]);
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [style.bold('Counted apart'), ...rows.flatMap(([name, text]) => hang(`  ${name.padEnd(width)}  `, text))];
}

function blindLines(page: Page): string[] {
  const { result, style, names } = page;
  const limits = new Set(result.accounts.flatMap((account) => account.limits));
  const lines = [...limits].flatMap((limit) => hang('  - ', names.sentence(limit)));
  if (result.services === 0 && groupsOf(result, [Verdict.Deny]).some(isOutward))
    lines.push(
      ...hang(
        '  - ',
        'The input holds no Service: what goes to the address of one is judged as going outside. If the cluster has some, add them: kubectl get services,endpointslices -A -o json',
      ),
    );
  if (result.untouched.length > 0) {
    const pods = result.untouched.reduce((sum, { pods }) => sum + pods, 0);
    const shown = result.untouched
      .slice(0, Number.isFinite(page.top) ? Math.max(page.top, 10) : result.untouched.length)
      .map(({ workload, pods }) => `${workloadText(workload, names)}${pods === 1 ? '' : ` (${formatCount(pods)})`}`);
    const rest = result.untouched.length - shown.length;
    lines.push(
      ...hang(
        '  - ',
        `No record touches ${formatCounted(pods, 'pod')} of ${formatCounted(result.untouched.length, 'workload')}, so their policies were not tried: ${shown.join(', ')}${rest > 0 ? `, and ${formatCount(rest)} more` : ''}.`,
      ),
    );
  }
  return lines.length === 0 ? [] : [style.bold('What the trace cannot show'), ...lines];
}

/** Does a connection go from a pod to an outside address, as it may to a Service that nobody named? */
function isOutward({ source, destination }: FlowGroup): boolean {
  return source.kind === 'workload' && destination.kind === 'outside';
}

/** The items of a section, the largest first, and the rest in one line. */
function itemSection(page: Page, groups: readonly FlowGroup[], ungrouped: Tally): string[] {
  const folded = foldGroups(groups, page.unit, page.top);
  const lines = folded.items.flatMap((item) => ['', ...itemLines(page, item)]);
  return [...lines, ...restLines(page, folded, ungrouped)];
}

/** The items of a section, a line each. */
function briefSection(page: Page, groups: readonly FlowGroup[]): string[] {
  const folded = foldGroups(groups, page.unit, page.top);
  const lines = folded.items.flatMap((item) => itemTitle(page, item));
  return [...lines, ...restLines(page, folded, { connections: 0, records: 0, bytes: 0 })];
}

function restLines(page: Page, { items, hidden, rest }: Folded, ungrouped: Tally): string[] {
  const { unit, style } = page;
  const lines: string[] = [];
  if (hidden > 0)
    lines.push(
      '',
      `  and ${formatCounted(hidden, 'more group')} with ${formatCounted(unit.count(rest), unit.singular)} (--top ${items.length + hidden} lists them)`,
    );
  if (unit.count(ungrouped) > 0)
    lines.push('', `  and ${formatCounted(unit.count(ungrouped), unit.singular)} beyond the group limit`);
  return lines.map((line) => style.dim(line));
}

/** The first line of an item: who to whom, and at the right how many. */
function itemTitle(page: Page, { group, sources, destinations, tally }: Item): string[] {
  const { unit, style, names } = page;
  const count = unit.count(tally);
  const number = formatCounted(count, unit.singular);
  const service = serviceText(group.protocol, group.port, group.icmp);
  const via = group.via === undefined ? '' : `  via ${viaText(group.via, names)}`;
  const who = `${endpointsText(sources, names)} -> ${endpointsText(destinations, names)}  ${service}`;
  const title = who + via;
  const gap = PAGE_WIDTH - 2 - title.length - number.length;
  if (gap >= 2) return [`  ${style.bold(who)}${via}${' '.repeat(gap)}${number}`];
  return [...hang('  ', title).map((line) => style.bold(line)), `      ${number}`];
}

function itemLines(page: Page, item: Item): string[] {
  const { style } = page;
  const { group, tally } = item;
  const seen = [
    ...(page.unit.singular === 'connection' ? [formatCounted(tally.records, 'record')] : []),
    ...(tally.bytes > 0 ? [formatBytes(tally.bytes)] : []),
    ...(Number.isNaN(item.firstUs) ? [] : [formatSpan(item.firstUs, item.lastUs, page.span)]),
  ];
  const rows: [string, string][] = [['seen', seen.join(', ')]];
  if (group.isPartial) rows.push(['partial', 'the opening is not in the trace']);
  rows.push(...decisionRows(page, group, group.decision, item));
  return [
    ...itemTitle(page, item),
    ...rows.flatMap(([label, text]) =>
      hang(`      ${label.padEnd(8)} `, text).map((line, index) =>
        index === 0 ? `      ${style.dim(label.padEnd(8))} ${line.slice(15)}` : line,
      ),
    ),
  ];
}

/** Why, as label and sentence: the deciding sides, their policies, the rule or the nearest miss. */
function decisionRows(page: Page, group: FlowGroup, decision: GroupDecision, item: Item): [string, string][] {
  const { names } = page;
  const rows: [string, string][] = [];
  const { explanation } = decision;
  const backends = explanation?.verdict === decision.verdict ? splitBackendsText(explanation, names) : undefined;
  if (backends !== undefined) rows.push(['unknown', backends]);
  else
    for (const side of decidingSides(decision, names)) {
      const subject =
        side.direction === 'egress' ? endpointsText(item.sources, names) : endpointsText(item.destinations, names);
      const label =
        decision.verdict === Verdict.Deny ? 'denied' : decision.verdict === Verdict.Allow ? 'allowed' : 'unknown';
      const reason = REASONS[side.reason]!.condition;
      rows.push([label, `at ${side.direction} of ${subject}: ${reason}`]);
      rows.push(...policyRows(side, names));
    }
  if (decision.verdict === Verdict.Undecidable)
    for (const text of missingTexts(decision.missing)) rows.push(['missing', text]);
  if (group.baseline !== undefined && changeOf(group) === 'undecidable')
    rows.push(['baseline', `${verdictWord(group.baseline.verdict)} before`]);
  return rows;
}

function policyRows(side: SideCause, names: Names): [string, string][] {
  const rows: [string, string][] = [];
  for (const policy of side.isolating.slice(0, 3))
    rows.push(['policy', `${policyText(policy, names)}, ${positionText(policy.position, names)}`]);
  if (side.isolating.length > 3) rows.push(['', `and ${side.isolating.length - 3} more policies`]);
  if (side.isolating.length > 0 && side.isolating.every((policy) => policy[side.direction].length === 0))
    rows.push(['rules', `none for ${side.direction}: nothing is admitted in this direction`]);
  if (side.decidedBy !== undefined) {
    const { policy, rule } = side.decidedBy;
    rows.push([
      'rule',
      `${ruleText(side.direction, rule, names)} of ${policyText(policy, names)}, ${positionText(rule.position, names)}`,
    ]);
  }
  if (side.nearest !== undefined) {
    const { rule, why, policy } = side.nearest;
    const of = side.isolating.length > 1 ? ` of ${policyText(policy, names)}` : '';
    rows.push([
      'nearest',
      `${ruleText(side.direction, rule, names)}${of}, ${positionText(rule.position, names)}: ${why}`,
    ]);
  }
  return rows;
}

function verdictWord(verdict: Verdict): string {
  return verdict === Verdict.Deny ? 'dropped' : verdict === Verdict.Allow ? 'allowed' : 'undecidable';
}

function spanOf(result: ReplayResult): [number, number] {
  let first = NaN;
  let last = NaN;
  for (const { firstUs, lastUs } of result.accounts) {
    if (!(firstUs >= first)) first = Number.isNaN(firstUs) ? first : firstUs;
    if (!(lastUs <= last)) last = Number.isNaN(lastUs) ? last : lastUs;
  }
  return [first, last];
}

function sumAll({ allow, deny, undecidable }: VerdictTallies): Tally {
  return sumTallies([allow, deny, undecidable]);
}

function sumGroups(groups: readonly FlowGroup[]): Tally {
  return sumTallies(groups.map((group) => group.tally));
}

function plural(count: number): string {
  return count === 1 ? '' : 's';
}
