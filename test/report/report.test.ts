/** What people read: the golden texts, and what must hold of them whatever the input. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddressText } from '../../src/model/address.ts';
import { MissingFact, Reason, Verdict } from '../../src/model/verdict.ts';
import { formatCheck } from '../../src/report/check.ts';
import { formatDiagnostic } from '../../src/report/diagnostic.ts';
import { csvCell, escapeControl, jsonText, markdownCell } from '../../src/report/escape.ts';
import { formatExpectations } from '../../src/report/expectation.ts';
import { formatExplanation } from '../../src/report/explanation.ts';
import { formatBytes, formatCount, formatDuration, formatPercent, formatTime } from '../../src/report/quantity.ts';
import { REPLAY_FORMATS, formatReplay } from '../../src/report/replay.ts';
import {
  ALLOWED,
  DENIED,
  HOSTILE,
  SPLIT,
  comparedResult,
  group,
  hostileResult,
  pendingResult,
  result,
  tally,
} from './fixture.ts';
import { assertGolden } from './golden.ts';

const TEXT = { format: 'text', color: 'never' } as const;
/** What a terminal, or a reader, must never receive. */
const DANGEROUS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

describe('report: replay in text', () => {
  it('says the answer first, then the causes, then the accounting', () => {
    assertGolden('replay.txt', formatReplay(result(), { ...TEXT, policyCount: 3 }));
  });

  it('compares with a baseline: newly dropped, dropped by both, newly allowed, and recorded verdicts', () => {
    assertGolden('compared.txt', formatReplay(comparedResult(), { ...TEXT, policyCount: 3, baselinePolicyCount: 2 }));
  });

  it('says where staged policies that the trace recorded and the forecast differ, and by which of their rules', () => {
    const text = formatReplay(pendingResult(), TEXT);
    for (const part of [
      'What staged policies would have done by the trace, against the forecast (connections)',
      '  staged would allow                140                 48',
      '  staged would deny                   0                  4',
      '  12 more with an undecidable forecast',
      'the forecast drops, and the staged policies would allow 48: StagedNetworkPolicy',
      'app1/next-policy (allow)',
    ])
      assert.ok(text.includes(part), `${part}\n${text}`);
    assert.doesNotMatch(formatReplay(pendingResult(HOSTILE), TEXT), DANGEROUS);
    assert.ok(!formatReplay(result(), TEXT).includes('staged'));
    const redacted = formatReplay(pendingResult(), { ...TEXT, redact: () => 'x' });
    assert.ok(!redacted.includes('next-policy'));
  });

  it('names policy, rule, place and nearest miss of a drop', () => {
    const text = formatReplay(result(), TEXT);
    for (const part of [
      'app1/frontend -> app1/backend  TCP/5678',
      '48 connections',
      'at ingress of app1/backend',
      'app1/backend-policy, policies.yaml:12',
      'policies.yaml:21: admits role=web; the source is role=frontend',
    ])
      assert.ok(text.includes(part), part);
  });

  it('keeps lines within 100 columns', () => {
    for (const line of formatReplay(comparedResult(), TEXT).split('\n')) assert.ok(line.length <= 100, line);
  });

  it('lists --top groups and sums the rest, so that nothing is left unsaid', () => {
    const { decision, source, destination } = result().groups[0]!;
    const groups = [1, 2, 3, 4, 5].map((port) => group(source, destination, port, decision, port));
    const many = result({
      groups,
      totals: { ...result().totals, deny: tally(18) },
      ungrouped: { ...result().ungrouped, deny: tally(3) },
    });
    const text = formatReplay(many, { ...TEXT, top: 2 });
    assert.ok(text.includes('TCP/5\n') || text.includes('TCP/5 '), text);
    assert.ok(!text.includes('TCP/3 '), 'the third group is beyond --top 2');
    assert.ok(text.includes('and 3 more groups with 6 connections (--top 5 lists them)'), text);
    assert.ok(text.includes('and 3 connections beyond the group limit'), text);
  });

  it('ranks rules by use, lists those without any, and says what the counts leave out', () => {
    const [first, second] = result().ruleUsage.rules;
    const used = [3, 1, 2].map((hits, index) => ({
      ...second!,
      rule: { ...second!.rule, index, position: { ...second!.rule.position, line: 100 + index } },
      tally: tally(hits),
    }));
    const many = result({ ruleUsage: { rules: [first!, first!, first!, ...used], uncounted: tally(4) } });
    const lines = formatReplay(many, { ...TEXT, top: 2 }).split('\n');
    const start = lines.indexOf('Of 6 rules 3 were never used');
    assert.deepEqual(lines.slice(start + 1, lines.indexOf('', start)), [
      '  connections  most used rules',
      '            3  app1/db-policy ingress[0] (policies.yaml:100)',
      '            2  app1/db-policy ingress[2] (policies.yaml:102)',
      '    and 1 more rule',
      '  never used',
      '    app1/backend-policy ingress[0] (policies.yaml:21)',
      '    app1/backend-policy ingress[0] (policies.yaml:21)',
      '    and 1 more rule',
      '  4 connections beyond the group limit are not counted: a rule without hits may have been used by',
      '  them.',
    ]);
    const markdown = formatReplay(many, { ...TEXT, format: 'md', top: 2 });
    assert.ok(markdown.includes('### Of 6 rules 3 were never used'));
    assert.ok(markdown.includes('and 2 more rules.'));
  });

  it('keeps quiet about rules where there are none, and where the trace meets no pod', () => {
    const none = result({ ruleUsage: { rules: [], uncounted: tally(0) } });
    assert.doesNotMatch(formatReplay(none, TEXT), /never used|most used/);
    const miss = result({
      totals: { allow: tally(5), deny: tally(0), undecidable: tally(0) },
      partial: { allow: tally(0), deny: tally(0), undecidable: tally(0) },
      pods: { total: 9, touched: 0 },
      groups: [],
    });
    assert.doesNotMatch(formatReplay(miss, TEXT), /never used|most used/);
  });

  it('says that Services are missing where a pod may have asked one', () => {
    const { source } = result().groups.find((one) => one.source.kind === 'workload')!;
    const decision = { verdict: Verdict.Deny, egress: Reason.NoRuleMatches, ingress: Reason.NotSubject, missing: 0 };
    const groups = [group(source, { kind: 'outside', address: '10.96.0.1' as AddressText }, 80, decision, 1)];
    const told = (part: object): boolean => formatReplay(result(part), TEXT).includes('The input holds no Service');
    assert.ok(told({ groups, services: 0 }));
    assert.ok(!told({ groups, services: 1 }));
    assert.ok(!told({ groups: groups.map((one) => ({ ...one, destination: source })), services: 0 }));
  });

  it('says that a trace is not in the order of time', () => {
    assert.doesNotMatch(formatReplay(result(), TEXT), /order of time/);
    assert.match(formatReplay(result({ disorder: 3 }), TEXT), /not in the order of time: 3 steps back of more/);
  });

  it('says that nothing would be dropped', () => {
    const none = { totals: { ...result().totals, deny: tally(0) }, groups: [] };
    assert.ok(formatReplay(result(none), TEXT).includes('Nothing would be dropped.'));
  });

  it('says which backends disagree', () => {
    const decision = {
      verdict: Verdict.Undecidable,
      egress: Reason.NotIsolated,
      ingress: Reason.Undecidable,
      missing: MissingFact.SomeBackends,
      explanation: SPLIT,
    };
    const { source, destination } = result().groups[0]!;
    const text = formatReplay(result({ groups: [group(source, destination, 80, decision, 12)] }), TEXT);
    assert.match(text, /app1\/backend\s+deny, app1\/backend\s+allow/);
    assert.ok(text.includes("some of the Service's backends would allow it, others not"), text);
  });

  it('counts packets in a packet replay', () => {
    const text = formatReplay(result({ mode: 'packets' }), TEXT);
    assert.ok(text.includes('Would be dropped: 700 packets'), text);
  });

  it('leaves bytes out where the trace knows none', () => {
    const none = tally(5, 5, 0);
    const { decision, source, destination } = result().groups[0]!;
    const text = formatReplay(
      result({
        totals: { allow: none, deny: none, undecidable: none },
        partial: { allow: none, deny: none, undecidable: none },
        groups: [group(source, destination, 1, decision, 5, { tally: none })],
      }),
      TEXT,
    );
    assert.doesNotMatch(text, /records +bytes|\b0 B/);
    assert.ok(text.includes('seen     5 records, 10:00:03 to 10:02:59'), text);
  });

  it('says loudly where the counters do not add up', () => {
    assert.ok(formatReplay(result({ rows: 3799 }), TEXT).includes('does NOT add up'));
    assert.ok(!formatReplay(result(), TEXT).includes('NOT'));
  });

  it('ends with how much was understood', () => {
    const lines = formatReplay(result(), TEXT).trimEnd().split('\n');
    assert.equal(lines.at(-1), '3,900 of 3,912 records understood (99.7 %), 0 lost: result is incomplete');
  });
});

describe('report: other formats of a replay', () => {
  it('csv, md and wide', () => {
    for (const format of ['csv', 'md', 'wide'] as const)
      assertGolden(
        `replay.${format === 'wide' ? 'wide.txt' : format}`,
        formatReplay(comparedResult(), { format, color: 'never' }),
      );
  });

  it('colour changes no text', () => {
    const plain = formatReplay(comparedResult(), TEXT);
    const colored = formatReplay(comparedResult(), { format: 'text', color: 'always' });
    assert.ok(colored.includes('\u001b['));
    assert.equal(colored.replaceAll(/\u001b\[\d+m/g, ''), plain);
  });
});

describe('report: untrusted names', () => {
  it('no format lets a control character or a bidi override through', () => {
    for (const format of REPLAY_FORMATS) {
      const text = formatReplay(hostileResult(), { format, color: 'never' });
      assert.doesNotMatch(text, DANGEROUS, format);
      assert.ok(text.length > 500);
    }
  });

  it('json gives the name back unchanged', () => {
    const { groups } = JSON.parse(formatReplay(hostileResult(), { format: 'json', color: 'never' })) as {
      groups: { via: string; source: { workload?: { name: string } } }[];
    };
    assert.equal(groups[0]!.via, HOSTILE);
    assert.equal(groups[0]!.source.workload!.name, HOSTILE);
  });

  it('csv: every line has the columns of the header, and no cell begins a formula', () => {
    const lines = formatReplay(hostileResult(), { format: 'csv', color: 'never' }).trimEnd().split('\n');
    const rows = lines.map(readCsvLine);
    for (const row of rows) {
      assert.equal(row.length, rows[0]!.length);
      for (const cell of row) assert.doesNotMatch(cell, /^\s*[=+\-@\t\r]/);
    }
    assert.equal(rows.length, 3);
  });

  it('md: a hostile cell opens neither column, code, HTML, link nor mention', () => {
    const row = formatReplay(hostileResult(), { format: 'md', color: 'never' })
      .split('\n')
      .find((line) => line.includes('cmd'))!;
    assert.equal(row.split('|').length, 7);
    assert.doesNotMatch(row, /[`<@]|\[/);
  });

  it('cells', () => {
    for (const start of ['=', '+', '-', '@', '\t', '\r', '＝', ' ='])
      assert.ok(csvCell(`${start}1+1`).replace(/^"/, '').startsWith("'"), JSON.stringify(start));
    assert.equal(csvCell('a,"b"'), '"a,""b"""');
    assert.equal(csvCell('web-1'), 'web-1');
    assert.equal(markdownCell('a|b<c>`d`'), 'a&#124;b&#60;c&#62;&#96;d&#96;');
    assert.doesNotMatch(markdownCell('![x](http://e.example) www.e.example #1 @me\n# h'), /\[|!|:\/\/|www\.|\n/);
    assert.equal(escapeControl('a\u001b[2J\u202eb\n\u{e0041}'), 'a\\x1b[2J\\u202eb\\n\\u{e0041}');
    const value = '\u009b\u202e\u{e0041}\ud800';
    assert.doesNotMatch(jsonText({ value }, 'line'), DANGEROUS);
    assert.deepEqual(JSON.parse(jsonText({ value }, 'line')), { value });
  });
});

describe('report: redaction', () => {
  const seen = new Map<string, string>();
  const redact = (kind: string, value: string): string => {
    const token = seen.get(value) ?? `x${seen.size}`;
    seen.set(value, token);
    return `${kind}-${token}`;
  };
  const secrets =
    /app1|frontend|backend(?!s| \d of)|10\.244|203\.0\.113|2001:db8|policies\.yaml|role|ops\b|probe|cron|web\b/;

  it('leaves no name, label, file or address in any format, sentences included', () => {
    for (const format of REPLAY_FORMATS) {
      const text = formatReplay(comparedResult(), { format, color: 'never', redact });
      assert.doesNotMatch(text, secrets, format);
    }
    for (const explanation of [DENIED, ALLOWED, SPLIT])
      for (const format of ['text', 'json'] as const) {
        const text = formatExplanation(explanation, { format, color: 'never', redact });
        assert.doesNotMatch(text.replaceAll('kubernetes.io', ''), secrets, format);
      }
  });

  it('gives the same name the same pseudonym in a run', () => {
    const text = formatReplay(result(), { ...TEXT, redact });
    const once = `workload-${seen.get('frontend')}`;
    assert.ok(text.split(once).length > 3, once);
  });

  it('redacts known names and addresses in sentences of other rooms', () => {
    const account = { ...result().accounts[0]!, limits: ['Nothing of frontend, 10.0.0.1:80 or 10.0.0.0/8 is shown.'] };
    const text = formatReplay(result({ accounts: [account] }), { ...TEXT, redact });
    assert.match(text, /Nothing of workload-x\d+, address-x\d+:80 or cidr-x\d+ is shown\./);
  });
});

describe('report: explanations, tests, checks and diagnostics', () => {
  it('explains both sides step by step', () => {
    assertGolden('explain.txt', formatExplanation(DENIED, TEXT));
    assertGolden('explain-service.txt', formatExplanation(SPLIT, TEXT));
  });

  it('shows each failing row with expected, found and why, and counts', () => {
    const row = { file: 'e.csv', line: 2, text: 'app1/frontend,app1/backend,TCP,5678,allow' };
    const text = formatExpectations(
      [
        { ...row, expect: 'allow', explanation: DENIED },
        { ...row, line: 3, expect: 'deny', explanation: DENIED },
        { ...row, line: 4, expect: 'deny', error: 'no pod or workload is called app1/x' },
      ],
      TEXT,
    );
    assertGolden('test.txt', text);
    assert.ok(text.endsWith('1 passed, 1 failed, 1 not judged\n'));
  });

  const diagnostic = {
    severity: 'error',
    code: 'unknown-field',
    message: 'unknown field "spec.podSelector.matchLabel"',
    file: 'np.yaml',
    line: 15,
    column: 9,
    length: 10,
    hint: 'did you mean "matchLabels"?',
    excerpt: '        matchLabel:',
    object: 'NetworkPolicy default/db',
  } as const;

  it('prints the source line with a caret under the very column', () => {
    const lines = formatDiagnostic(diagnostic, { color: 'never' }).split('\n');
    assert.equal(
      lines[0],
      'np.yaml:15:9: error: unknown field "spec.podSelector.matchLabel" [unknown-field] (NetworkPolicy default/db)',
    );
    assert.equal(lines[2]!.indexOf('^'), lines[1]!.indexOf('matchLabel'));
    assert.ok(lines[2]!.endsWith(' ^^^^^^^^^^'));
    assert.equal(lines[3], '  hint: did you mean "matchLabels"?');
  });

  it('keeps the caret in place behind escaped characters and in very long lines', () => {
    const escaped = formatDiagnostic(
      { ...diagnostic, excerpt: '\u001b[2J\tmatchLabel: 1', column: 6 },
      { color: 'never' },
    );
    assert.doesNotMatch(escaped, DANGEROUS);
    const long = formatDiagnostic(
      { ...diagnostic, excerpt: `${'x'.repeat(5000)}matchLabel`, column: 5001 },
      { color: 'never' },
    );
    for (const text of [escaped, long]) {
      const [, source, caret] = text.split('\n');
      assert.equal(caret!.indexOf('^'), source!.indexOf('matchLabel'), text);
      assert.ok(source!.length < 120);
    }
  });

  it('counts what was read and whether it is accepted', () => {
    const found = {
      diagnostics: [diagnostic],
      objects: new Map([['NetworkPolicy', 2]]),
      skipped: new Map([['Secret', 1]]),
    };
    const text = formatCheck(found, TEXT);
    assert.ok(text.endsWith('refused: 1 error, 0 warnings, 0 notes\n'));
    assert.ok(text.includes('read: 2 NetworkPolicy'));
    assert.ok(text.includes('skipped, of no effect on network policy: 1 Secret\n'));
    const skipped = new Map([['CiliumNetworkPolicy.cilium.io', 2]]);
    const unread = formatCheck({ ...found, skipped }, TEXT);
    assert.ok(unread.includes('not read, missing from every verdict: 2 CiliumNetworkPolicy.cilium.io\n'), unread);
    assert.ok(!unread.includes('of no effect'), unread);
    assert.ok(formatCheck({ ...found, diagnostics: [] }, TEXT).endsWith('accepted: 0 errors, 0 warnings, 0 notes\n'));
  });
});

describe('report: quantities', () => {
  it('numbers, bytes, shares and times', () => {
    assert.deepEqual([0, 999, 1000, 1234567].map(formatCount), ['0', '999', '1,000', '1,234,567']);
    assert.deepEqual([0, 999, 1000, 12_345, 999_600, 4e9].map(formatBytes), [
      '0 B',
      '999 B',
      '1.0 kB',
      '12.3 kB',
      '1.0 MB',
      '4.0 GB',
    ]);
    assert.deepEqual(
      [
        formatPercent(0, 9),
        formatPercent(1, 1e6),
        formatPercent(999_999, 1e6),
        formatPercent(3, 3),
        formatPercent(0, 0),
      ],
      ['0.0 %', '<0.1 %', '>99.9 %', '100.0 %', '-'],
    );
    assert.deepEqual(
      [formatTime(1_785_578_403_000_001), formatTime(NaN), formatTime(1e30)],
      ['2026-08-01T10:00:03.000001Z', undefined, undefined],
    );
    assert.deepEqual([250_000, 3_200_000, 192e6, 7_500e6, 273_600e6].map(formatDuration), [
      '250 ms',
      '3.2 s',
      '3 min 12 s',
      '2 h 5 min',
      '3 d 4 h',
    ]);
  });
});

/** Reads a CSV line as a spreadsheet would: the independent half of the injection test. */
function readCsvLine(line: string): string[] {
  const cells: string[] = [];
  let cell = '';
  let isQuoted = false;
  for (let index = 0; index < line.length; index++) {
    const character = line[index]!;
    if (isQuoted && character === '"' && line[index + 1] === '"') {
      cell += '"';
      index++;
    } else if (character === '"') isQuoted = !isQuoted;
    else if (character === ',' && !isQuoted) {
      cells.push(cell);
      cell = '';
    } else cell += character;
  }
  return [...cells, cell];
}
