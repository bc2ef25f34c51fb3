/** The page of performance says what is missed and what was not measured, and its plots name every line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawPlot } from '../../bench/limit/plot.ts';
import { formatOutcomes, formatPage } from '../../bench/limit/report.ts';
import type { StoredOutcome, StoredRow } from '../../bench/limit/row.ts';

const environment = {
  date: '2026-11-21T00:00:00.000Z',
  node: 'v20.20.2',
  v8: '11.3',
  platform: 'linux x64',
  cpu: 'a processor',
  cores: 2,
  memoryGib: 8,
  load: [0, 0, 0],
};

const row = (name: string, outcomes: readonly StoredOutcome[], problems: readonly string[] = []): StoredRow => ({
  name,
  title: `the part ${name}`,
  outcomes,
  rates: [{ name: 'plain', rate: 5e6, seconds: 0.2 }],
  problems,
  isRight: true,
  environment,
  isQuick: false,
});

const rows = [
  row('a', [
    { text: 'x C', atLeast: 0.4, median: 0.5, low: 0.45, high: 0.6, state: 'reached' },
    { text: 'x Map', atLeast: 20, median: 7, low: 6, high: 8, state: 'missed', ceiling: { who: 'C', median: 9 } },
    { text: 's', atMost: 1, median: 2, low: 2, high: 2, state: 'missed' },
  ]),
  row('b', [{ text: 'x C', atLeast: 0.7, state: 'not measured' }], ['C: there is no C compiler (cc)']),
];

test('the page counts what is reached, and lists what is missed or not measured, with the reason', () => {
  const page = formatPage(rows, []);
  assert.match(page, /1 of 4 goals are reached/);
  assert.match(page, /\| the part a \| x C \| >= 0\.4 \| 0\.500 \| 0\.450 to 0\.600 \| reached \|/);
  assert.match(page, /\* the part a: x Map >= 20, is 7\.00 \(6\.00 to 8\.00\); C: 9\.00, short of the goal too/);
  assert.match(page, /\* the part a: s <= 1, is 2\.00 \(2\.00 to 2\.00\)$/m);
  assert.match(page, /\* the part b: x C >= 0\.7, is not measured: C: there is no C compiler/);
});

test('the table has a line for every figure', () => {
  assert.equal(formatOutcomes(rows).split('\n').length, 5);
  assert.match(formatOutcomes([{ ...rows[0]!, isRight: false }]), /results +agree +differ +missed$/);
});

test('a plot names each line, keeps its points within the frame, and escapes text', () => {
  const series = ['one', 'a & b'].map((name, index) => ({
    name,
    points: [10, 100, 1000].map((x) => ({ x, y: x * (index + 1) })),
  }));
  const svg = drawPlot({ name: 'p', title: 'cost < all', xLabel: 'x', yLabel: 'ns', series });
  assert.match(svg, />one</);
  assert.match(svg, />a &amp; b</);
  assert.match(svg, /cost &lt; all/);
  const circles = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  assert.equal(circles.length, 6);
  for (const [x, y] of circles) assert.ok(x! >= 76 && x! <= 550 && y! >= 58 && y! <= 324, `${x} ${y}`);
});
