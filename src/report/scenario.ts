/** A scenario file explained: its sentence, then every packet with what was expected, what was found and why. */
import type { Explanation } from '../model/explanation.ts';
import type { Scenario } from '../model/scenario.ts';
import { explanationJson } from './explanation-json.ts';
import { explanationTextLines } from './explanation-text.ts';
import { type ColorMode, createStyle, hang } from './layout.ts';
import { type Redact, createDataNames, createTextNames } from './name.ts';
import { documentText } from './replay.ts';
import { SCHEMA_VERSION } from './replay-json.ts';

/** One packet of a scenario. */
export interface ScenarioFinding {
  /** Who to whom, as the file has it. */
  readonly title: string;
  readonly explanation: Explanation;
  /** `egress-reason ingress-reason verdict`; found is empty where nothing was compared. */
  readonly expected: string;
  readonly found: string;
  readonly outcome: 'as-expected' | 'different' | 'not-compared';
}

/** How a scenario is shown. */
export interface ScenarioReportOptions {
  readonly format: 'text' | 'json';
  readonly color: ColorMode;
  readonly redact?: Redact;
}

/** The scenario in a format, with a line break at the end. */
export function formatScenario(
  scenario: Scenario,
  findings: readonly ScenarioFinding[],
  options: ScenarioReportOptions,
): string {
  if (options.format === 'json') {
    const names = createDataNames(options.redact);
    return documentText({
      schemaVersion: SCHEMA_VERSION,
      type: 'scenario',
      title: names.mode === 'plain' ? scenario.title : undefined,
      covers: scenario.covers,
      packets: findings.map(({ expected, found, outcome, explanation }) => ({
        expected,
        found: found === '' ? undefined : found,
        outcome,
        explanation: explanationJson(explanation, names),
      })),
    });
  }
  const names = createTextNames(options.redact);
  const style = createStyle(options.color);
  const lines =
    names.mode === 'plain' ? scenario.title.split('\n').flatMap((line) => hang('', names.sentence(line))) : [];
  if (scenario.isTracked)
    lines.push(
      ...hang(
        '',
        'The packets are one tracked stream; below is what policy says to each as if it opened a connection.',
      ),
    );
  findings.forEach((finding, index) => {
    const mark =
      finding.outcome === 'different'
        ? style.bad('differs')
        : finding.outcome === 'as-expected'
          ? style.good('as expected')
          : '';
    lines.push(
      '',
      style.accent(
        `packet ${index + 1}${names.mode === 'plain' ? `: ${names.sentence(finding.title.replace(/^packet \d+: /, ''))}` : ''}`,
      ),
      `expected ${finding.expected}${finding.found === '' ? '' : `, found ${finding.found}`}${mark && `: ${mark}`}`,
      '',
      ...explanationTextLines(finding.explanation, { names, style }),
    );
  });
  return `${lines.join('\n')}\n`;
}
