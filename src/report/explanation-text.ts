/** One connection step by step: who, where to, what each side's policies say, and the verdict. */
import type {
  Explanation,
  PolicyExplanation,
  ResolvedEndpoint,
  RuleExplanation,
  SideExplanation,
  Ternary,
} from '../model/explanation.ts';
import type { Direction } from '../model/policy.ts';
import { REASONS, VERDICT_NAMES, Verdict } from '../model/verdict.ts';
import { causeOfSide, splitBackendsText } from './cause.ts';
import { type Style, hang } from './layout.ts';
import type { Names } from './name.ts';
import {
  labelsText,
  missingTexts,
  peerText,
  podSetText,
  policyText,
  portMatchText,
  positionText,
  resolvedEndpointText,
  ruleText,
  serviceText,
  shortEndpointText,
  translationText,
} from './phrase.ts';

/** What the lines are made with. */
export interface ExplanationTextOptions {
  readonly style: Style;
  readonly names: Names;
}

/** The explanation as lines. */
export function explanationTextLines(explanation: Explanation, options: ExplanationTextOptions): string[] {
  const { names, style } = options;
  const lines = [
    style.bold(flowText(explanation, names)),
    '',
    ...endpointLines('source', explanation.source, options),
    ...endpointLines('destination', explanation.destination, options),
  ];
  const { via } = explanation;
  if (via === undefined) {
    lines.push(...sideLines('egress', explanation, options), ...sideLines('ingress', explanation, options));
  } else {
    lines.push(...hang('  ', `via ${translationText(via, names)}, which ${backendCountText(via.backends.length)}`));
    via.backends.forEach((backend, index) => {
      lines.push(
        '',
        style.bold(
          `  backend ${index + 1} of ${via.backends.length}: ${shortEndpointText(backend.destination, names)} ${serviceText(backend.protocol, backend.port, backend.icmp)}: ${verdictText(backend.verdict, style)}`,
        ),
        ...endpointLines('destination', backend.destination, options),
        ...sideLines('egress', backend, options),
        ...sideLines('ingress', backend, options),
      );
    });
  }
  return [...lines, '', ...verdictLines(explanation, options)];
}

/** `app1/frontend -> app1/backend TCP/5678`. */
export function flowText(explanation: Explanation, names: Names): string {
  const { source, destination, protocol, port, icmp } = explanation;
  return `${shortEndpointText(source, names)} -> ${shortEndpointText(destination, names)}  ${serviceText(protocol, port, icmp)}`;
}

/** The cause of the verdict in sentences, one for each deciding side: what a failing test prints. */
export function causeTexts(explanation: Explanation, names: Names): string[] {
  const sides = (['egress', 'ingress'] as const).map((direction) => explanation[direction]);
  const deciding = sides.filter((side) => side.verdict === explanation.verdict);
  const backends = splitBackendsText(explanation, names);
  if (backends !== undefined) return [backends, ...missingTexts(explanation.missing)];
  const texts = (deciding.length > 0 ? deciding : sides).map((side) => {
    const cause = causeOfSide(side, explanation, names);
    const subject = shortEndpointText(side.subject, names);
    const parts = [`${side.direction} of ${subject}: ${REASONS[side.reason]!.condition}`];
    if (cause.decidedBy !== undefined) {
      const { policy, rule } = cause.decidedBy;
      parts.push(
        `${ruleText(side.direction, rule, names)} of ${policyText(policy, names)}, ${positionText(rule.position, names)}`,
      );
    } else if (cause.isolating.length > 0) {
      parts.push(
        `isolated by ${cause.isolating.map((policy) => `${policyText(policy, names)} (${positionText(policy.position, names)})`).join(', ')}`,
      );
    }
    if (cause.nearest !== undefined) {
      const { rule, why } = cause.nearest;
      parts.push(`nearest: ${ruleText(side.direction, rule, names)}, ${positionText(rule.position, names)}: ${why}`);
    }
    return parts.join('; ');
  });
  if (explanation.verdict === Verdict.Undecidable) texts.push(...missingTexts(explanation.missing));
  return texts;
}

/** The verdict's name, in its colour. */
export function verdictText(verdict: Verdict, style: Style): string {
  const name = VERDICT_NAMES[verdict]!;
  if (verdict === Verdict.Allow) return style.good(name);
  return verdict === Verdict.Deny ? style.bad(name) : style.warn(name);
}

function endpointLines(role: string, endpoint: ResolvedEndpoint, { names, style }: ExplanationTextOptions): string[] {
  const lines = paintLabel(`  ${role.padEnd(11)}  `, resolvedEndpointText(endpoint, names), style);
  if (endpoint.labels === undefined) return lines;
  const partial = endpoint.areLabelsComplete ? '' : ' (as recorded; there may be more)';
  lines.push(...hang(' '.repeat(15), `labels ${labelsText(endpoint.labels, names)}${partial}`));
  if (endpoint.namespaceLabels !== undefined)
    lines.push(...hang(' '.repeat(15), `namespace labels ${labelsText(endpoint.namespaceLabels, names)}`));
  return lines;
}

function sideLines(direction: Direction, explanation: Explanation, options: ExplanationTextOptions): string[] {
  const side = explanation[direction];
  const { names, style } = options;
  const subject = shortEndpointText(side.subject, names);
  const lines = [
    '',
    `  ${style.bold(`${direction} of ${subject}`)}: ${verdictText(side.verdict, style)} (${REASONS[side.reason]!.name})`,
    ...hang('    ', `${REASONS[side.reason]!.condition}${side.policies.length === 0 ? '' : ':'}`),
  ];
  for (const policy of side.policies) lines.push(...policyLines(policy, side, options));
  for (const text of missingTexts(side.missing)) lines.push(...paintLabel('    missing  ', text, style));
  return lines;
}

function policyLines(explained: PolicyExplanation, side: SideExplanation, options: ExplanationTextOptions): string[] {
  const { policy, selectsSubject, rules } = explained;
  const { names, style } = options;
  const { direction } = side;
  const role = policy.isolates.includes(direction)
    ? `isolates ${direction} of`
    : policy.tier === 'networkpolicy'
      ? `leaves ${direction} alone for`
      : `${policy.tier} tier, for`;
  const selects = selectsSubject === 'unknown' ? ', and may or may not select this one' : '';
  const lines = [
    '',
    ...hang('    ', `${policyText(policy, names)}, ${positionText(policy.position, names)}`),
    ...hang('      ', `${role} ${podSetText(policy.subject, names)}${selects}`),
  ];
  if (rules.length === 0 && policy.isolates.includes(direction))
    lines.push(`      no ${direction} rules: it allows nothing in this direction`);
  for (const rule of rules) lines.push(...ruleLines(rule, direction, side, explained, options));
  return lines.map((line, index) => (index === 1 ? style.bold(line) : line));
}

function ruleLines(
  explained: RuleExplanation,
  direction: Direction,
  side: SideExplanation,
  { policy }: PolicyExplanation,
  { names, style }: ExplanationTextOptions,
): string[] {
  const { rule, action, match, peers, ports } = explained;
  const decided =
    side.decidedBy?.rule.index === rule.index &&
    side.decidedBy.policy.name === policy.name &&
    side.decidedBy.policy.namespace === policy.namespace;
  const verb = match === 'yes' ? 'matches' : match === 'no' ? 'does not match' : 'may match';
  const what = action === 'Accept' ? '' : ` (${action})`;
  const lines = [
    `      ${markText(match, style)} ${ruleText(direction, rule, names)}, ${positionText(rule.position, names)}: ${verb}${what}${decided ? style.bold(', and decides') : ''}`,
  ];
  const peerWord = direction === 'ingress' ? 'from' : 'to';
  if (rule.peers === undefined) lines.push(`          ${markText('yes', style)} ${peerWord} anywhere`);
  for (const { peer, match: one, why } of peers)
    lines.push(...matchLines(one, `${peerWord} ${peerText(peer, names)}`, why, names, style));
  if (rule.ports === undefined) lines.push(`          ${markText('yes', style)} on every port`);
  for (const { port, match: one, why } of ports)
    lines.push(...matchLines(one, `on ${portMatchText(port, names)}`, why, names, style));
  return lines;
}

function matchLines(match: Ternary, text: string, why: string, names: Names, style: Style): string[] {
  const reason = why === '' || names.mode === 'redacted' ? '' : `: ${names.sentence(why)}`;
  const lines = hang(`          ${MARKS[match]} `, text + reason);
  return lines.map((line, index) => (index === 0 ? `          ${markText(match, style)}${line.slice(11)}` : line));
}

const MARKS: Readonly<Record<Ternary, string>> = { yes: '+', no: '-', unknown: '?' };

function markText(match: Ternary, style: Style): string {
  const mark = MARKS[match];
  if (match === 'yes') return style.good(mark);
  return match === 'no' ? style.bad(mark) : style.warn(mark);
}

function verdictLines(explanation: Explanation, { names, style }: ExplanationTextOptions): string[] {
  const texts = causeTexts(explanation, names);
  return [
    `${style.bold('verdict')}  ${style.bold(verdictText(explanation.verdict, style))}`,
    ...texts.flatMap((text) => hang('  ', text)),
  ];
}

function backendCountText(count: number): string {
  if (count === 0) return 'has no known backend';
  return count === 1 ? 'has one backend' : `has ${count} backends, each judged on its own`;
}

function paintLabel(label: string, text: string, style: Style): string[] {
  return hang(label, text).map((line, index) => (index === 0 ? style.dim(label) + line.slice(label.length) : line));
}
