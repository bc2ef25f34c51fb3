/** Scenario files as text: printer and reader are inverse, and bad text gives diagnostics with lines, never an exception. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { arbitraryCase } from '../../src/fuzz/arbitrary-flow.ts';
import { printScenario, readScenario } from '../../src/manifest/scenario.ts';
import { DIALECT_CHOICES, type Dialect } from '../../src/model/dialect.ts';
import type { Packet } from '../../src/model/flow.ts';
import type { Expectation, Scenario } from '../../src/model/scenario.ts';
import { runs, seed } from '../law/seed.ts';
import { readScenarioFiles } from './scenario-file.ts';

test(`reader(printer(x)) = x for random scenarios (seed ${seed})`, () => {
  fc.assert(
    fc.property(arbitraryScenario(), (scenario) => {
      const text = printScenario(scenario);
      const { scenario: read, diagnostics } = readScenario(text, 'x');
      assert.deepEqual(diagnostics, []);
      const lines = text.split('\n');
      for (const name of ['cluster', 'policy'] as const) {
        const { text: manifest, line } = read![name];
        if (manifest !== '')
          assert.equal(
            lines
              .slice(line - 1)
              .join('\n')
              .startsWith(manifest),
            true,
            'the line is where the text begins',
          );
      }
      // Through JSON, since fast-check's records have no prototype.
      const place = ({ cluster, policy, ...rest }: Scenario): unknown =>
        JSON.parse(JSON.stringify({ ...rest, cluster: cluster.text, policy: policy.text }));
      assert.deepEqual(place(read!), place(scenario));
    }),
    { seed, numRuns: runs(300) },
  );
});

test('printing a scenario file that was read gives text that reads the same', () => {
  for (const { name, reading } of readScenarioFiles()) {
    const text = printScenario(reading.scenario!);
    const again = readScenario(text, name).scenario!;
    assert.equal(printScenario(again), text, name);
  }
});

test(`no text makes the reader throw, and what it refuses it says with a line (seed ${seed})`, () => {
  const words = [
    '-- packets --',
    '-- expected --',
    '-- policy.yaml --',
    '-- x --',
    'covers: NP-01',
    'dialect: hairpin=allow',
    'tracked',
    'a -> b TCP/80',
    '* * allow',
    '@1',
    '->',
    '[S]',
    '"',
    '3 x "y"',
    '-- diagnostics --',
    '\u0000',
    '__proto__=1',
    'dialect: __proto__=1',
  ];
  const line = fc.oneof(
    fc.constantFrom(...words),
    fc.string({ maxLength: 30 }),
    fc.tuple(fc.constantFrom(...words), fc.constantFrom(...words)).map((pair) => pair.join(' ')),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      const text = lines.join('\n');
      const { scenario, diagnostics } = readScenario(text, 'x');
      assert.equal(scenario === undefined, diagnostics.length > 0);
      for (const { line: number } of diagnostics)
        assert.ok(number! >= 1 && number! <= Math.max(1, text.split('\n').length));
    }),
    { seed, numRuns: runs(1000) },
  );
});

test('each mistake is refused on its own line, all of them at once', () => {
  const text =
    'Title\n\ndialect: hairpin=maybe, color=red\n-- packets --\na -> b TCP/80\na => b TCP/80\na -> b TCP/99999\na -> b TCP [Q]\na -> b ICMP 3/3 quotes 9\n-- expected --\n* * allow\nallowed * allow\n* * allow no-such-fact\n';
  const { diagnostics } = readScenario(text, 'x.txt');
  assert.deepEqual(
    diagnostics.map(({ line }) => line),
    [3, 3, 6, 7, 8, 9, 12, 13],
  );
  for (const { code, file } of diagnostics) assert.deepEqual([code, file], ['invalid-scenario', 'x.txt']);
});

function arbitraryScenario(): fc.Arbitrary<Scenario> {
  const word = fc.stringMatching(/^[A-Za-z:,.-]{1,8}$/);
  const manifest = fc.constantFrom('', 'a: 1\n', 'a: 1\n---\n# b\n\nb: [2]\n').map((text) => ({ text, line: 1 }));
  const knobs = Object.entries(DIALECT_CHOICES).map(([knob, choices]) =>
    fc.constantFrom<unknown>(...choices).map((value) => [knob, value] as const),
  );
  const expectation: fc.Arbitrary<Expectation> = fc
    .record({
      egress: fc.option(fc.nat(11), { nil: undefined }),
      ingress: fc.option(fc.nat(11), { nil: undefined }),
      verdict: fc.nat(2),
      missing: fc.option(fc.nat(4095), { nil: undefined }),
    })
    .map(({ missing, ...rest }) => ({ ...rest, ...(missing !== undefined && { missing }) }));
  const extra = fc.record({
    step: fc.constantFrom(0, 0, 1, 0.5, 0.000001, 86_400),
    srcPort: fc.option(fc.nat(65_535), { nil: undefined }),
    tcpFlags: fc.option(fc.nat(63), { nil: undefined }),
    quotes: fc.option(fc.nat(3), { nil: undefined }),
    expectation,
  });
  return fc
    .record({
      title: fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join(' ')),
      covers: fc.uniqueArray(fc.constantFrom('NP-01', 'CT-12', 'DI-100'), { maxLength: 3 }),
      dialect: fc
        .tuple(...knobs)
        .chain((all) => fc.subarray(all).map((some) => Object.fromEntries(some) as Partial<Dialect>)),
      cluster: manifest,
      policy: manifest,
      isTracked: fc.boolean(),
      flows: arbitraryCase({ tiers: 'networkpolicy', dialect: 'default' }, 6).map(({ flows }) => flows),
      extras: fc.array(extra, { minLength: 6, maxLength: 6 }),
      diagnostics: fc.array(
        fc.record({ line: fc.nat(999), code: fc.constantFrom('wrong-type', 'invalid-yaml'), text: fc.string() }),
        { maxLength: 2 },
      ),
    })
    .map(({ flows, extras, ...rest }): Scenario => {
      let micros = 0;
      const packets = flows.map((flow, index): Packet => {
        const { step, srcPort, tcpFlags, quotes } = extras[index]!;
        micros += Math.round(step * 1e6);
        return {
          ...flow,
          timeS: micros / 1e6,
          ...(srcPort !== undefined && { srcPort }),
          ...(tcpFlags !== undefined && { tcpFlags }),
          ...(quotes !== undefined && quotes < index && { quotes }),
        };
      });
      return { ...rest, packets, expected: flows.map((_, index) => extras[index]!.expectation) };
    });
}
