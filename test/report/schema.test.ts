/** The machine formats keep the schemas in docs/schema, and the schemas keep the model's closed sets. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { MISSING_FACTS, REASONS, VERDICT_NAMES } from '../../src/model/verdict.ts';
import { formatCheck } from '../../src/report/check.ts';
import { formatExpectations } from '../../src/report/expectation.ts';
import { formatExplanation } from '../../src/report/explanation.ts';
import type { Redact } from '../../src/report/name.ts';
import { formatReplay } from '../../src/report/replay.ts';
import { SCHEMA_VERSION } from '../../src/report/replay-json.ts';
import { formatScenario } from '../../src/report/scenario.ts';
import {
  ALLOWED,
  DENIED,
  SPLIT,
  comparedResult,
  group,
  hostileResult,
  pendingResult,
  result,
  tally,
} from './fixture.ts';

const redact: Redact = (kind, value) => `${kind}-${value.length}`;

describe('report: json follows docs/schema', () => {
  for (const [name, make] of [
    ['a usual result', () => result()],
    ['a result with a baseline', comparedResult],
    ['a result with staged policies', () => pendingResult()],
    ['hostile names', hostileResult],
    [
      'a packet replay with a limit',
      () => result({ mode: 'packets', tracking: { peak: 1, refused: 2, evicted: 1, limit: 4 } }),
    ],
    ['an empty result', () => result({ groups: [], accounts: [], untouched: [], invalid: new Map() })],
    [
      'every kind of endpoint',
      () => {
        const { decision, source } = result().groups[0]!;
        const node = { kind: 'node', name: 'worker-1' } as const;
        const service = { kind: 'service', service: { namespace: 'a', name: 'b' } } as const;
        return result({
          groups: [
            group(node, service, -1, decision, 1, { icmp: 2048, protocol: 1, firstUs: NaN, lastUs: NaN }),
            group(source, node, 1, decision, 1),
          ],
        });
      },
    ],
  ] as const) {
    it(`replay: ${name}, plain and redacted`, () => {
      for (const options of [{}, { redact }]) {
        const document = JSON.parse(formatReplay(make(), { format: 'json', color: 'never', ...options })) as object;
        check(compileSchema('replay'), document);
        const lines = formatReplay(make(), { format: 'ndjson', color: 'never', ...options })
          .trimEnd()
          .split('\n');
        assert.equal(lines.length, 1 + make().groups.length + make().ruleUsage.rules.length);
        const validate = compileSchema('replay-line');
        for (const line of lines) check(validate, JSON.parse(line));
      }
    });
  }

  it('json carries the counts of the result, not others', () => {
    const document = JSON.parse(formatReplay(result(), { format: 'json', color: 'never' })) as {
      schemaVersion: string;
      totals: { deny: { connections: number } };
      groups: { connections: number; first: string }[];
      rules: { policy: { name: string }; line: number; connections: number }[];
      accounting: { addsUp: boolean; rows: number };
    };
    assert.equal(document.schemaVersion, SCHEMA_VERSION);
    assert.deepEqual(document.totals.deny, tally(52, 700));
    assert.deepEqual(
      document.groups.map(({ connections }) => connections),
      [48, 2, 1, 1, 1, 12, 150],
    );
    assert.deepEqual(
      document.rules.map(({ policy, line, connections }) => [policy.name, line, connections]),
      [
        ['backend-policy', 21, 0],
        ['db-policy', 40, 150],
      ],
    );
    assert.equal(document.groups[0]!.first, '2026-08-01T10:00:03.000000Z');
    assert.deepEqual([document.accounting.addsUp, document.accounting.rows], [true, 3800]);
  });

  it('explain: plain, through a Service, redacted, and a scenario', () => {
    const validate = compileSchema('explain');
    for (const explanation of [DENIED, ALLOWED, SPLIT])
      for (const options of [{}, { redact }])
        check(validate, JSON.parse(formatExplanation(explanation, { format: 'json', color: 'never', ...options })));
    const scenario = {
      title: 'A sentence.',
      covers: ['NP-07'],
      dialect: {},
      cluster: { text: '', line: 1 },
      policy: { text: '', line: 1 },
      isTracked: false,
      packets: [],
      expected: [],
      diagnostics: [],
    };
    const finding = {
      title: 'a',
      explanation: DENIED,
      expected: '* * deny',
      found: '',
      outcome: 'not-compared',
    } as const;
    check(validate, JSON.parse(formatScenario(scenario, [finding], { format: 'json', color: 'never' })));
  });

  it('test and check', () => {
    const rows = [
      { file: 'a.csv', line: 2, text: 'a/b,c/d,TCP,1,deny', expect: 'deny', explanation: DENIED },
      { file: 'a.csv', line: 3, text: 'a/b,c/d,TCP,1,allow', expect: 'allow', explanation: DENIED },
      { file: 'a.csv', line: 4, text: 'a/x,c/d,TCP,1,allow', expect: 'allow', error: 'no pod is called a/x' },
    ] as const;
    for (const options of [{}, { redact }]) {
      const text = formatExpectations(rows, { format: 'json', color: 'never', ...options });
      check(compileSchema('test'), JSON.parse(text));
      const { passed, failed, errors } = JSON.parse(text) as Record<string, number>;
      assert.deepEqual([passed, failed, errors], [1, 1, 1]);
      const found = {
        diagnostics: result().accounts[0]!.diagnostics,
        objects: new Map([['Pod', 2]]),
        skipped: new Map([['Secret', 1]]),
      };
      check(compileSchema('check'), JSON.parse(formatCheck(found, { format: 'json', color: 'never', ...options })));
    }
  });

  it('the schemas list exactly the verdicts, reasons, missing facts and diagnostic codes of the model', () => {
    const { $defs } = readSchema('replay') as {
      $defs: Record<
        string,
        { enum: string[]; items: { enum: string[] }; properties: Record<string, { enum: string[] }> }
      >;
    };
    assert.deepEqual($defs['verdict']!.enum, VERDICT_NAMES);
    assert.deepEqual(
      $defs['reason']!.enum,
      REASONS.map(({ name }) => name),
    );
    assert.deepEqual(
      $defs['missing']!.items.enum,
      MISSING_FACTS.map(({ name }) => name),
    );
    assert.deepEqual($defs['diagnostic']!.properties['code']!.enum, diagnosticCodes());
  });

  it('every diagnostic code has a row in docs/diagnostics.md, and no row has another code', () => {
    const rows = readFileSync(new URL('../../docs/diagnostics.md', import.meta.url), 'utf8')
      .split('\n')
      .map((line) => /^\| `([a-z-]+)` \|/.exec(line)?.[1])
      .filter((code) => code !== undefined);
    assert.deepEqual(rows.sort(), diagnosticCodes().sort());
  });
});

function diagnosticCodes(): string[] {
  const source = readFileSync(new URL('../../src/model/diagnostic.ts', import.meta.url), 'utf8');
  const union = source.slice(
    source.indexOf('DiagnosticCode ='),
    source.indexOf(';', source.indexOf('DiagnosticCode =')),
  );
  const codes = [...union.matchAll(/\| '([a-z-]+)'/g)].map((match) => match[1]!);
  assert.ok(codes.length > 20, 'the union was not found');
  return codes;
}

function readSchema(name: string): object {
  return JSON.parse(readFileSync(new URL(`../../docs/schema/${name}.schema.json`, import.meta.url), 'utf8')) as object;
}

function compileSchema(name: string): ValidateFunction {
  return new Ajv2020({
    allErrors: true,
    strict: true,
    formats: { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/ },
  }).compile(readSchema(name));
}

function check(validate: ValidateFunction, document: unknown): void {
  assert.ok(validate(document), JSON.stringify(validate.errors, undefined, 1));
}
