/** Folding of groups: what becomes one line, what stays apart, and what is explained on the way. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddressText } from '../../src/model/address.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import { Reason, Verdict } from '../../src/model/verdict.ts';
import type { FlowGroup } from '../../src/replay/result.ts';
import { foldGroups, unitOf } from '../../src/report/item.ts';
import { DENIED, result, tally, workload } from './fixture.ts';

const UNIT = unitOf('connections');

describe('folding of groups', () => {
  it('explains only groups that differ in nothing but an outside address', () => {
    const asked: string[] = [];
    const { items } = foldGroups(
      [
        denied(asked, 'a', { source: outside('192.0.2.1'), tally: tally(2) }),
        denied(asked, 'b', { source: outside('192.0.2.2'), tally: tally(3) }),
        denied(asked, 'c', { source: outside('192.0.2.3'), port: 443 }),
        denied(asked, 'd', { source: { kind: 'workload', workload: workload('app1', 'frontend') } }),
        denied(asked, 'e', { source: { kind: 'workload', workload: workload('app1', 'other') } }),
      ],
      UNIT,
    );
    assert.deepEqual([...new Set(asked)].sort(), ['a', 'b']);
    assert.deepEqual(
      items.map(({ sources, tally: { connections } }) => [sources.length, connections]),
      [
        [2, 5],
        [1, 1],
        [1, 1],
        [1, 1],
      ],
    );
  });

  it('keeps apart what other rules came nearest to, in the order of the groups where counts are equal', () => {
    const other: Explanation = {
      ...DENIED,
      ingress: {
        ...DENIED.ingress,
        nearest: { ...DENIED.ingress.nearest!, rule: { ...DENIED.ingress.nearest!.rule, index: 7 } },
      },
    };
    const groups = [
      denied([], 'a', { source: outside('192.0.2.1'), tally: tally(1) }),
      denied([], 'b', { source: outside('192.0.2.2'), tally: tally(2) }, other),
      denied([], 'c', { source: outside('192.0.2.3'), tally: tally(1) }),
    ];
    const { items } = foldGroups(groups, UNIT);
    assert.deepEqual(
      items.map((item) => [groups.indexOf(item.group), item.sources.length]),
      [
        [0, 2],
        [1, 1],
      ],
    );
  });

  it('counts an address once, and takes equal endpoints for one', () => {
    const groups = [outside('192.0.2.1'), outside('192.0.2.2'), outside('192.0.2.1')].map((source) =>
      denied([], 'a', { source }),
    );
    assert.deepEqual(
      foldGroups(groups, UNIT).items.map(({ sources }) => sources),
      [[outside('192.0.2.1'), outside('192.0.2.2')]],
    );
  });
});

function outside(address: string): FlowGroup['source'] {
  return { kind: 'outside', address: address as AddressText };
}

/** A denied group that notes when its explanation is asked for. */
function denied(asked: string[], name: string, change: Partial<FlowGroup>, explanation = DENIED): FlowGroup {
  return {
    ...result().groups[0]!,
    tally: tally(1),
    ...change,
    decision: {
      verdict: Verdict.Deny,
      egress: Reason.NotIsolated,
      ingress: Reason.NoRuleMatches,
      missing: 0,
      get explanation() {
        asked.push(name);
        return explanation;
      },
    },
  };
}
