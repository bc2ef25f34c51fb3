/** The closed tables of the model and what is read off them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_DIALECT, DIALECT_CHOICES } from '../../src/model/dialect.ts';
import { UnknownName } from '../../src/model/evaluator.ts';
import { RecordedVerdict } from '../../src/model/flow.ts';
import { type PolicyAction, type PolicyHit, pendingVerdict } from '../../src/model/recorded-policy.ts';
import {
  MISSING_FACTS,
  REASONS,
  Reason,
  VERDICT_NAMES,
  Verdict,
  decisionEgress,
  decisionIngress,
  decisionMissing,
  decisionVerdict,
  missingFactNames,
  packDecision,
  verdictOf,
} from '../../src/model/verdict.ts';

describe('verdicts', () => {
  it('follow from reasons, whose names stand in the order of their numbers', () => {
    assert.deepEqual(
      REASONS.map(({ name, verdict }) => `${name} ${VERDICT_NAMES[verdict]}`),
      [
        'not-subject allow',
        'not-isolated allow',
        'allowed-by-rule allow',
        'no-rule-matches deny',
        'denied-by-rule deny',
        'same-pod allow',
        'own-node allow',
        'dialect-exempt allow',
        'established allow',
        'related allow',
        'invalid-state deny',
        'undecidable undecidable',
      ],
    );
    assert.equal(verdictOf(Reason.InvalidState), Verdict.Deny);
    assert.equal(verdictOf(Reason.Undecidable), Verdict.Undecidable);
  });

  it('name missing facts by their bits, in order', () => {
    const names = [
      'unknown-pod',
      'no-address',
      'no-port',
      'no-protocol',
      'unresolved-named-port',
      'some-backends',
      'no-backend',
      'domain-name',
      'unknown-label',
      'some-pods',
      'equal-priority',
      'translated-address',
    ];
    assert.deepEqual(
      MISSING_FACTS.map(({ bit, name }) => [bit, name]),
      names.map((name, index) => [2 ** index, name]),
    );
    assert.deepEqual(missingFactNames(0), []);
    assert.deepEqual(missingFactNames(2 ** names.length - 1), names);
    assert.deepEqual(missingFactNames(4 | 512), ['no-port', 'some-pods']);
  });

  it('are packed into a number without one part touching another', () => {
    for (const verdict of [0, 1, 2])
      for (const egress of [0, 1, 11, 63])
        for (const ingress of [0, 1, 11, 63])
          for (const missing of [0, 1, 2048, 4095]) {
            const packed = packDecision(verdict, egress, ingress, missing);
            assert.deepEqual(
              [decisionVerdict(packed), decisionEgress(packed), decisionIngress(packed), decisionMissing(packed)],
              [verdict, egress, ingress, missing],
            );
          }
  });
});

describe('dialects', () => {
  it('have these defaults, each the first of its choices', () => {
    const { name, ...knobs } = DEFAULT_DIALECT;
    assert.equal(name, 'kubernetes');
    assert.deepEqual(DIALECT_CHOICES, {
      ipBlockMatchesPods: [true, false],
      ipBlockMatchesNodes: [true, false],
      ownNodeIngress: ['allow', 'judge'],
      ownNodeEgress: ['judge', 'allow'],
      hairpin: ['judge', 'allow'],
      hostNetwork: ['as-node'],
      hostPort: ['translate', 'ignore'],
      icmp: ['by-ports-absent', 'always', 'never'],
      neighborDiscovery: ['exempt', 'judge'],
      networkPolicyScope: ['per-direction', 'per-pod'],
    });
    assert.deepEqual(
      Object.entries(DIALECT_CHOICES).map(([knob, choices]) => [knob, choices[0]]),
      Object.entries(knobs),
    );
  });
});

describe('what a record says of policies', () => {
  it('pending: the last one speaks, and a pass says nothing', () => {
    const hit = (action: PolicyAction): PolicyHit => ({ name: 'p', action, isStaged: false });
    const verdict = (...actions: PolicyAction[]): RecordedVerdict =>
      pendingVerdict({ enforced: [hit('deny')], pending: actions.map(hit) });
    assert.equal(verdict(), RecordedVerdict.None);
    assert.equal(verdict('deny', 'allow'), RecordedVerdict.Allow);
    assert.equal(verdict('allow', 'deny'), RecordedVerdict.Deny);
    assert.equal(verdict('allow', 'pass'), RecordedVerdict.None);
    assert.equal(verdict('allow', 'pass', 'deny'), RecordedVerdict.Deny);
  });

  it('an unknown name is an error of its own', () => {
    assert.equal(new UnknownName('x').name, 'UnknownName');
  });
});
