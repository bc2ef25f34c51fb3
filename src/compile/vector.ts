/**
 * Vectors: what a (row, column) of a table answers for every port class. A vector is made from a state: the rules that match
 * the column, in order of evaluation. Vectors and outcomes are interned; a vector's outcomes lie in pages of 64.
 */
import type { Action, Tier } from '../model/policy.ts';
import { Reason, verdictOf } from '../model/verdict.ts';
import { Layout, packOutcome, PortClass } from './layout.ts';
import { PageStore } from './page.ts';
import type { PortShape } from './port.ts';
import { evaluateIsolated, evaluateSide } from './tier.ts';

/** A rule that matches a column: for certain (`missing` 0), or for want of facts perhaps. */
export interface Token {
  readonly tier: Tier;
  readonly priority: number;
  /** Ordinal of the policy; 0 in the NetworkPolicy tier, where policies are one union. */
  readonly policy: number;
  readonly action: Action;
  readonly shape: PortShape;
  readonly missing: number;
}

/** The rules that meet in one cell, in order of evaluation. */
export interface CellRules {
  readonly tokens: readonly Token[];
  /** Some NetworkPolicy isolates the subject in this direction. */
  readonly isIsolated: boolean;
  /** A NetworkPolicy ends the evaluation here even without isolating (dialect `networkPolicyScope: per-pod`). */
  readonly isFinal: boolean;
}

/** How protocols without ports are judged, from `Dialect.icmp`. */
export type NoPortsRule = 'by-ports-absent' | 'always' | 'never';

/** Interns vectors. */
export class VectorStore {
  private readonly pages = new PageStore();
  private readonly index: number[] = [];
  private readonly ids = new Map<string, number>();
  private readonly outcomeIds = new Map<number, number>();
  private readonly outcomeWords: number[] = [];
  private readonly row: Uint32Array;
  private readonly portClassCount: number;
  private readonly noPorts: NoPortsRule;

  constructor(portClassCount: number, noPorts: NoPortsRule) {
    this.portClassCount = portClassCount;
    this.noPorts = noPorts;
    this.row = new Uint32Array(this.pagesPerVector * Layout.PageSize);
  }

  get pagesPerVector(): number {
    return Math.ceil(this.portClassCount / Layout.PageSize);
  }

  get count(): number {
    return this.ids.size;
  }

  /** The vector that gives one reason for every port class. */
  uniform(reason: Reason, missing = 0): number {
    return this.intern(() => this.outcome(reason, missing));
  }

  /** The vector of a cell. */
  ofRules(rules: CellRules): number {
    const isPlain = rules.tokens.every((token) => token.tier === 'networkpolicy');
    if (!isPlain) {
      const tokens = rules.tokens.map((token) => ({ token, ports: this.spread(token.shape) }));
      return this.intern((portClass) => this.evaluate(tokens, rules, portClass));
    }
    if (!rules.isIsolated) return this.uniform(Reason.NotIsolated); // NP-01
    // NP-04, NP-07: the union of all rules; port classes that no rule names keep the default, which is a deny.
    const missing = new Int32Array(this.portClassCount).fill(-1);
    for (const { shape, missing: facts } of rules.tokens) {
      const merge = (portClass: number, bits: number): void => {
        const known = missing[portClass]!;
        missing[portClass] = known === 0 || bits === 0 ? 0 : known < 0 ? bits : known | bits;
      };
      if (shape.matchesAll)
        for (let portClass = 0; portClass < this.portClassCount; portClass++) merge(portClass, facts);
      for (const portClass of shape.yes) merge(portClass, facts);
      for (const entry of shape.maybe) merge(entry.portClass, facts | entry.missing);
    }
    if (this.noPorts === 'never') missing[PortClass.NoPorts] = -1; // DI-07
    return this.intern((portClass) => {
      const facts = missing[portClass]!;
      if (facts < 0) return this.outcome(Reason.NoRuleMatches, 0);
      return facts === 0 ? this.outcome(Reason.AllowedByRule, 0) : this.outcome(Reason.Undecidable, facts);
    });
  }

  /** The finished sections. Throws where outcomes do not fit their 16 bits. */
  finish(): { vectorPageIndex: Uint32Array; vectorPages: Uint16Array; outcomes: Uint32Array } {
    if (this.outcomeWords.length > 65_535) throw new RangeError('at most 65,535 distinct outcomes fit');
    return {
      vectorPageIndex: Uint32Array.from(this.index),
      vectorPages: Uint16Array.from(this.pages.data()),
      outcomes: Uint32Array.from(this.outcomeWords),
    };
  }

  private intern(outcomeOf: (portClass: number) => number): number {
    const { row, portClassCount } = this;
    row.fill(0);
    for (let portClass = 0; portClass < portClassCount; portClass++) row[portClass] = outcomeOf(portClass);
    const pages: number[] = [];
    for (let page = 0; page < this.pagesPerVector; page++) pages.push(this.pages.intern(row, page * Layout.PageSize));
    const key = pages.join();
    let id = this.ids.get(key);
    if (id === undefined) {
      id = this.ids.size;
      this.ids.set(key, id);
      this.index.push(...pages);
    }
    return id;
  }

  private outcome(reason: Reason, missing: number): number {
    const word = packOutcome(reason, verdictOf(reason), missing);
    let id = this.outcomeIds.get(word);
    if (id === undefined) {
      id = this.outcomeWords.push(word) - 1;
      this.outcomeIds.set(word, id);
    }
    return id;
  }

  /** A port shape over all classes: -1 no, 0 yes, else the missing facts. */
  private spread(shape: PortShape): Int32Array {
    const ports = new Int32Array(this.portClassCount).fill(shape.matchesAll ? 0 : -1);
    for (const portClass of shape.yes) ports[portClass] = 0;
    for (const { portClass, missing } of shape.maybe) ports[portClass] = missing;
    if (this.noPorts === 'never') ports[PortClass.NoPorts] = -1; // DI-07
    return ports;
  }

  private evaluate(
    tokens: readonly { token: Token; ports: Int32Array }[],
    rules: CellRules,
    portClass: number,
  ): number {
    const matching = tokens
      .filter(({ ports }) => ports[portClass]! >= 0)
      .map(({ token, ports }) => ({ ...token, missing: token.missing | ports[portClass]! }));
    const allowing = matching.filter(({ tier }) => tier === 'networkpolicy');
    const isAllowed = allowing.length === 0 ? 'no' : allowing.some(({ missing }) => missing === 0) ? 'yes' : 'unknown';
    const networkPolicy = rules.isIsolated
      ? evaluateIsolated(
          isAllowed,
          allowing.reduce((facts, { missing }) => facts | missing, 0),
        )
      : { reasons: rules.isFinal ? [Reason.NotIsolated] : [], missing: 0, isOpen: !rules.isFinal };
    const { reason, missing } = evaluateSide(
      matching.filter(({ tier }) => tier === 'admin'),
      networkPolicy,
      matching.filter(({ tier }) => tier === 'baseline'),
    );
    return this.outcome(reason, missing);
  }
}
