/**
 * Vectors: what a (row, column) of a table answers for every port class. A vector is made from a state and the rules that match
 * the column, in order of evaluation. It is a run of pages of outcomes, put together from the port classes that each rule's
 * ports match; vectors and outcomes are interned.
 */
import type { Action, Policy, Tier } from '../model/policy.ts';
import { Reason, verdictOf } from '../model/verdict.ts';
import { ACTIONS } from './book.ts';
import { ColumnSets } from './column-set.ts';
import { Layout, packOutcome, PortClass } from './layout.ts';
import { ListStore } from './list.ts';
import { EVERYWHERE, PageBuilder } from './page-builder.ts';
import type { PortShape } from './port.ts';
import { evaluateIsolated, evaluateSide, type TierMatch } from './tier.ts';

/** What a rule does in the columns that it matches: for certain (`missing` 0), or for want of facts perhaps. */
interface Token {
  readonly tier: Tier;
  readonly priority: number;
  /** Number of the policy; 0 in the NetworkPolicy tier, where policies are one union. */
  readonly policy: number;
  readonly action: Action;
  readonly shape: PortShape;
  readonly missing: number;
}

/** Bits of what a row is, whatever the column. */
export const enum RowState {
  /** Some NetworkPolicy isolates the subject in this direction. */
  Isolated = 1,
  /** A NetworkPolicy ends the evaluation here even without isolating (dialect `networkPolicyScope: per-pod`). */
  Final = 2,
}

/** How protocols without ports are judged, from `Dialect.icmp`. */
export type NoPortsRule = 'by-ports-absent' | 'always' | 'never';

const TIERS: readonly Tier[] = ['admin', 'networkpolicy', 'baseline'];

/** A token in one part of its ports: what the facts that those lack add to its own. */
interface Match extends TierMatch {
  readonly tier: Tier;
}

/** The port classes of a shape that lack the same facts. */
interface Layer {
  readonly missing: number;
  readonly set: number;
}

/** What a token is in some port classes: the number of its match, and the set. */
interface Part {
  readonly match: number;
  readonly set: number;
}

/** Interns tokens and vectors. */
export class VectorStore {
  private readonly lists = new ListStore();
  private readonly tokens: Token[] = [];
  private readonly tokenIds = new ListStore();
  private readonly matches: Match[] = [];
  private readonly matchIds = new ListStore();
  private readonly key = new Int32Array(6);
  private readonly layersOfShape: (readonly Layer[])[] = [];
  private readonly partsOfToken: (readonly Part[])[] = [];
  private readonly outcomeIds = new Map<number, number>();
  private readonly outcomeWords: number[] = [];
  private readonly sets = new ColumnSets();
  private readonly builder: PageBuilder;
  private readonly pageList: Int32Array;
  private readonly layer: Uint32Array;
  private readonly noPorts: NoPortsRule;

  constructor(portClassCount: number, noPorts: NoPortsRule) {
    this.noPorts = noPorts;
    const pages = Math.ceil(portClassCount / Layout.PageSize);
    const all = this.sets.add(new Uint32Array(pages * 2).fill(0xffffffff));
    this.builder = new PageBuilder(this.sets, all, pages, (list, length) => this.evaluate(list, length));
    this.pageList = new Int32Array(pages);
    this.layer = new Uint32Array(pages * 2);
  }

  get pagesPerVector(): number {
    return this.builder.pagesPerRun;
  }

  get count(): number {
    return this.lists.count;
  }

  /** The number of what a policy's rule does (`ACTIONS`) with these ports, for want of these facts; equal ones have one. */
  token({ tier, priority }: Policy, policy: number, action: number, shape: PortShape, missing: number): number {
    const { key } = this;
    key[0] = TIERS.indexOf(tier);
    key[1] = priority;
    key[2] = policy;
    key[3] = action;
    key[4] = shape.id;
    key[5] = missing;
    const id = this.tokenIds.intern(key, 6);
    if (id === this.tokens.length)
      this.tokens.push({ tier, priority, policy, action: ACTIONS[action]!, shape, missing });
    return id;
  }

  /** The vector that gives one reason for every port class. */
  uniform(reason: Reason, missing = 0): number {
    this.pageList.fill(this.builder.uniform(this.outcome(reason, missing)));
    return this.lists.intern(this.pageList, this.pageList.length);
  }

  /** The vector of a cell: `list[0]` is the row's `RowState`, `list[1..length)` the tokens that match, in order of evaluation. */
  ofRules(list: Int32Array, length: number): number {
    let isPlain = true;
    for (let at = 1; at < length; at++) if (this.tokens[list[at]!]!.tier !== 'networkpolicy') isPlain = false;
    this.builder.begin(list[0]!, isPlain ? 'set' : 'list');
    for (let at = 1; at < length; at++) {
      const parts = (this.partsOfToken[list[at]!] ??= this.partsOf(this.tokens[list[at]!]!));
      for (let part = 0; part < parts.length; part++) this.builder.add(parts[part]!.match, parts[part]!.set);
    }
    this.builder.finish(this.pageList);
    return this.lists.intern(this.pageList, this.pageList.length);
  }

  /** The finished sections. Outcomes fit their 16 bits: there are 12 facts to be missing, and as many reasons. */
  finish(): { vectorPageIndex: Uint32Array; vectorPages: Uint16Array; outcomes: Uint32Array } {
    const { count, pagesPerVector } = this;
    const vectorPageIndex = new Uint32Array(count * pagesPerVector);
    for (let vector = 0; vector < count; vector++) vectorPageIndex.set(this.lists.get(vector), vector * pagesPerVector);
    return {
      vectorPageIndex,
      vectorPages: this.builder.store.copy(new Uint16Array(this.builder.store.length)),
      outcomes: Uint32Array.from(this.outcomeWords),
    };
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

  private partsOf(token: Token): readonly Part[] {
    const layers = (this.layersOfShape[token.shape.id] ??= this.layersOf(token.shape));
    return layers.map(({ missing, set }) => ({ match: this.match(token, missing), set }));
  }

  /** The number of a token with all facts that it lacks. */
  private match({ tier, priority, policy, action, missing: own }: Token, lacking: number): number {
    const missing = own | lacking;
    const { key } = this;
    key[0] = TIERS.indexOf(tier);
    key[1] = priority;
    key[2] = policy;
    key[3] = ACTIONS.indexOf(action);
    key[4] = missing;
    const id = this.matchIds.intern(key, 5);
    if (id === this.matches.length) this.matches.push({ tier, priority, policy, action, missing });
    return id;
  }

  /** Sets of port classes by the facts that are missing there. */
  private layersOf({ matchesAll, yes, maybe }: PortShape): readonly Layer[] {
    if (matchesAll && this.noPorts !== 'never') return [{ missing: 0, set: EVERYWHERE }];
    const layers: Layer[] = [];
    if (matchesAll) this.layer.fill(-1);
    for (let at = 0; at < yes.length; at++) this.put(yes[at]!);
    this.closeLayer(layers, 0);
    for (let at = 0; at < maybe.length; at++) {
      const { portClass, missing } = maybe[at]!;
      this.put(portClass);
      if (at + 1 === maybe.length || maybe[at + 1]!.missing !== missing) this.closeLayer(layers, missing);
    }
    return layers;
  }

  private put(portClass: number): void {
    this.layer[portClass >>> 5]! |= 1 << (portClass & 31);
  }

  private closeLayer(layers: Layer[], missing: number): void {
    if (this.noPorts === 'never') this.layer[0]! &= ~(1 << PortClass.NoPorts); // DI-07
    layers.push({ missing, set: this.sets.add(this.layer) });
    this.layer.fill(0);
  }

  /** The outcome of port classes for which these rules match, in order of evaluation. */
  private evaluate(list: Int32Array, length: number): number {
    const state = list[0]!;
    const matching = Array.from(list.subarray(1, length), (id) => this.matches[id]!);
    const allowing = matching.filter(({ tier }) => tier === 'networkpolicy');
    // NP-04, NP-07: the union of all rules; port classes that no rule names keep the default, which is a deny.
    const isAllowed = allowing.length === 0 ? 'no' : allowing.some(({ missing }) => missing === 0) ? 'yes' : 'unknown';
    const isFinal = (state & RowState.Final) !== 0;
    const networkPolicy =
      (state & RowState.Isolated) !== 0
        ? evaluateIsolated(
            isAllowed,
            allowing.reduce((facts, { missing }) => facts | missing, 0),
          )
        : { reasons: isFinal ? [Reason.NotIsolated] : [], missing: 0, isOpen: !isFinal }; // NP-01
    const { reason, missing } = evaluateSide(
      matching.filter(({ tier }) => tier === 'admin'),
      networkPolicy,
      matching.filter(({ tier }) => tier === 'baseline'),
    );
    return this.outcome(reason, missing);
  }
}
