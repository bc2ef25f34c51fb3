/**
 * Vectors: what a (row, column) of a table answers for every port class. A vector is made from a state: the rules that match
 * the column, in order of evaluation. Vectors and outcomes are interned; a vector's outcomes lie in pages of 64.
 */
import type { Action, Tier } from '../model/policy.ts';
import { Reason, verdictOf } from '../model/verdict.ts';
import { Layout, packOutcome, PortClass } from './layout.ts';
import { ListStore } from './list.ts';
import { PageStore } from './page.ts';
import type { PortShape } from './port.ts';
import { evaluateIsolated, evaluateSide } from './tier.ts';

/** What a rule does in the columns that it matches: for certain (`missing` 0), or for want of facts perhaps. */
export interface Token {
  readonly tier: Tier;
  readonly priority: number;
  /** Number of the policy; 0 in the NetworkPolicy tier, where policies are one union. */
  readonly policy: number;
  readonly action: Action;
  readonly shape: PortShape;
  readonly missing: number;
}

/** What a row is, whatever the column. */
export interface RowState {
  /** Some NetworkPolicy isolates the subject in this direction. */
  readonly isIsolated: boolean;
  /** A NetworkPolicy ends the evaluation here even without isolating (dialect `networkPolicyScope: per-pod`). */
  readonly isFinal: boolean;
}

/** How protocols without ports are judged, from `Dialect.icmp`. */
export type NoPortsRule = 'by-ports-absent' | 'always' | 'never';

const TIERS: readonly Tier[] = ['admin', 'networkpolicy', 'baseline'];
const ACTIONS: readonly Action[] = ['Accept', 'Deny', 'Pass'];

/** Interns tokens and vectors. */
export class VectorStore {
  private readonly pages = new PageStore();
  private readonly lists = new ListStore();
  private readonly tokens: Token[] = [];
  private readonly tokenIds = new ListStore();
  private readonly tokenKey = new Int32Array(6);
  private readonly outcomeIds = new Map<number, number>();
  private readonly outcomeWords: number[] = [];
  private readonly row: Uint32Array;
  private readonly facts: Int32Array;
  private readonly pageList: Int32Array;
  private readonly portClassCount: number;
  private readonly noPorts: NoPortsRule;

  constructor(portClassCount: number, noPorts: NoPortsRule) {
    this.portClassCount = portClassCount;
    this.noPorts = noPorts;
    this.row = new Uint32Array(this.pagesPerVector * Layout.PageSize);
    this.facts = new Int32Array(portClassCount);
    this.pageList = new Int32Array(this.pagesPerVector);
  }

  get pagesPerVector(): number {
    return Math.ceil(this.portClassCount / Layout.PageSize);
  }

  get count(): number {
    return this.lists.count;
  }

  /** The number of a token; equal tokens have one. */
  token(token: Token): number {
    const { tokenKey } = this;
    tokenKey[0] = TIERS.indexOf(token.tier);
    tokenKey[1] = token.priority;
    tokenKey[2] = token.policy;
    tokenKey[3] = ACTIONS.indexOf(token.action);
    tokenKey[4] = token.shape.id;
    tokenKey[5] = token.missing;
    const id = this.tokenIds.intern(tokenKey, tokenKey.length);
    this.tokens[id] ??= token;
    return id;
  }

  /** The vector that gives one reason for every port class. */
  uniform(reason: Reason, missing = 0): number {
    this.row.fill(0).fill(this.outcome(reason, missing), 0, this.portClassCount);
    return this.intern();
  }

  /** The vector of a cell in which these tokens match, in order of evaluation. */
  ofRules(ids: Int32Array, state: RowState): number {
    const isPlain = ids.every((id) => this.tokens[id]!.tier === 'networkpolicy');
    if (!isPlain) {
      const matching = Array.from(ids, (id) => ({
        token: this.tokens[id]!,
        ports: this.spread(this.tokens[id]!.shape),
      }));
      for (let portClass = 0; portClass < this.portClassCount; portClass++)
        this.row[portClass] = this.evaluate(matching, state, portClass);
      return this.intern();
    }
    if (!state.isIsolated) return this.uniform(Reason.NotIsolated); // NP-01
    // NP-04, NP-07: the union of all rules; port classes that no rule names keep the default, which is a deny.
    const { facts, row, portClassCount } = this;
    facts.fill(-1);
    const merge = (portClass: number, bits: number): void => {
      const known = facts[portClass]!;
      facts[portClass] = known === 0 || bits === 0 ? 0 : known < 0 ? bits : known | bits;
    };
    for (let at = 0; at < ids.length; at++) {
      const { shape, missing } = this.tokens[ids[at]!]!;
      if (shape.matchesAll) {
        if (missing === 0) facts.fill(0);
        else for (let portClass = 0; portClass < portClassCount; portClass++) merge(portClass, missing);
      }
      const { yes, maybe } = shape;
      for (let own = 0; own < yes.length; own++) merge(yes[own]!, missing);
      for (let own = 0; own < maybe.length; own++) merge(maybe[own]!.portClass, missing | maybe[own]!.missing);
    }
    if (this.noPorts === 'never') facts[PortClass.NoPorts] = -1; // DI-07
    const denied = this.outcome(Reason.NoRuleMatches, 0);
    const allowed = this.outcome(Reason.AllowedByRule, 0);
    for (let portClass = 0; portClass < portClassCount; portClass++) {
      const own = facts[portClass]!;
      row[portClass] = own < 0 ? denied : own === 0 ? allowed : this.outcome(Reason.Undecidable, own);
    }
    return this.intern();
  }

  /** The finished sections. Throws where outcomes do not fit their 16 bits. */
  finish(): { vectorPageIndex: Uint32Array; vectorPages: Uint16Array; outcomes: Uint32Array } {
    if (this.outcomeWords.length > 65_535) throw new RangeError('at most 65,535 distinct outcomes fit');
    const { count, pagesPerVector } = this;
    const vectorPageIndex = new Uint32Array(count * pagesPerVector);
    for (let vector = 0; vector < count; vector++) vectorPageIndex.set(this.lists.get(vector), vector * pagesPerVector);
    return {
      vectorPageIndex,
      vectorPages: new Uint16Array(this.pages.data()),
      outcomes: Uint32Array.from(this.outcomeWords),
    };
  }

  /** The vector of `row`, whose cells beyond the port classes stay 0. */
  private intern(): number {
    const { row, pageList } = this;
    for (let page = 0; page < pageList.length; page++) pageList[page] = this.pages.intern(row, page * Layout.PageSize);
    return this.lists.intern(pageList, pageList.length);
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

  private evaluate(tokens: readonly { token: Token; ports: Int32Array }[], state: RowState, portClass: number): number {
    const matching = tokens
      .filter(({ ports }) => ports[portClass]! >= 0)
      .map(({ token, ports }) => ({ ...token, missing: token.missing | ports[portClass]! }));
    const allowing = matching.filter(({ tier }) => tier === 'networkpolicy');
    const isAllowed = allowing.length === 0 ? 'no' : allowing.some(({ missing }) => missing === 0) ? 'yes' : 'unknown';
    const networkPolicy = state.isIsolated
      ? evaluateIsolated(
          isAllowed,
          allowing.reduce((facts, { missing }) => facts | missing, 0),
        )
      : { reasons: state.isFinal ? [Reason.NotIsolated] : [], missing: 0, isOpen: !state.isFinal };
    const { reason, missing } = evaluateSide(
      matching.filter(({ tier }) => tier === 'admin'),
      networkPolicy,
      matching.filter(({ tier }) => tier === 'baseline'),
    );
    return this.outcome(reason, missing);
  }
}
