/**
 * Tables: [rows x columns] of vectors, one for each direction. A row is what one group of subjects is governed by: a run of pages,
 * put together from the sets of columns that its rules match.
 */
import type { Direction } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { Reason, MissingFact } from '../model/verdict.ts';
import { DIRECTION_ORDINAL, PolicyFlag, type PolicyBook, RuleField } from './book.ts';
import type { FinishedColumns } from './column.ts';
import { Layout, Row } from './layout.ts';
import { grow, growFilled, ListStore } from './list.ts';
import type { PageStore } from './page.ts';
import { EVERYWHERE, PageBuilder } from './page-builder.ts';
import { type PortClasses, type PortShape, PROTOCOL_ORDINAL, rangeOfMatch, type ResolvedPorts } from './port.ts';
import { type NamedPorts, namedPortKey } from './unit.ts';
import { RowState, type VectorStore } from './vector.ts';

/** A finished table. */
export interface Table {
  readonly pagesPerRow: number;
  readonly pageIndex: Uint32Array;
  /** Cells by page; those of later tables too, in time. */
  readonly pages: PageStore;
}

/** What rows are built from, whatever policies there are. */
export interface TableInput {
  readonly direction: Direction;
  readonly book: PolicyBook;
  readonly subjectPorts: readonly NamedPorts[];
  readonly columns: FinishedColumns;
  readonly ports: PortClasses;
  readonly vectors: VectorStore;
}

/** Rows of a chunk at least. */
const CHUNK_ROWS = 16;

/** Builds tables of one direction over the same columns, port classes and vectors; rows that were built once are kept. */
export class TableBuilder {
  private readonly input: TableInput;
  private readonly ordinal: 0 | 1;
  private readonly pagesPerRow: number;
  private readonly pages: PageBuilder;
  private readonly entries: Entries;
  private readonly keys = new ListStore();
  /** Rows lie in chunks as large as a table asks for: every 64 MiB of new arrays make V8 collect a heap that has the whole world. */
  private chunk: Uint32Array = new Uint32Array(0);
  private chunkUsed = 0;
  private readonly spaces: Uint32Array[] = [];
  private key: Int32Array = new Int32Array(1);

  constructor(input: TableInput) {
    const { columns, vectors, direction } = input;
    this.input = input;
    this.ordinal = DIRECTION_ORDINAL[direction];
    this.pagesPerRow = Math.max(1, Math.ceil(columns.count / Layout.PageSize));
    this.pages = new PageBuilder(columns.sets, columns.all, this.pagesPerRow, (list, length) =>
      vectors.ofRules(list, length),
    );
    this.entries = new Entries(input);
  }

  /** Rows built so far. */
  get rowCount(): number {
    return this.spaces.length;
  }

  /** Pages kept. */
  get pageCount(): number {
    return this.pages.store.size;
  }

  /**
   * The row of subjects in every table that it is asked for: `key[0]` is their group of named ports (-1: it does not matter),
   * `key[1, length)` the policies that select them, in order of evaluation, by number.
   */
  row(key: Int32Array, length: number): number {
    return this.keys.intern(key, length);
  }

  /** What rows were asked for with, in the order of `rows`: `key` of `row`. */
  keysOf(rows: Int32Array): (row: number) => Int32Array {
    const { keys } = this;
    return (row) => keys.get(rows[row]!);
  }

  /** The table of these rows, from `Row.First` on; `hasPolicies`: some policy governs this direction. */
  build(rows: Int32Array, hasPolicies: boolean): Table {
    const { vectors } = this.input;
    const { pages, pagesPerRow, keys, spaces } = this;
    const pageIndex = new Uint32Array((Row.First + rows.length) * pagesPerRow);
    const fillRow = (row: number, vector: number): void => {
      pageIndex.fill(pages.uniform(vector), row * pagesPerRow, (row + 1) * pagesPerRow);
    };
    fillRow(Row.NotSubject, vectors.uniform(Reason.NotSubject)); // NP-06
    fillRow(Row.NotIsolated, vectors.uniform(Reason.NotIsolated)); // NP-01
    // EP-06: nobody knows which policies select a pod that is not in the snapshot.
    fillRow(
      Row.UnknownPod,
      hasPolicies ? vectors.uniform(Reason.Undecidable, MissingFact.UnknownPod) : vectors.uniform(Reason.NotIsolated),
    );
    const spaceOf = (row: number): Uint32Array => pageIndex.subarray(row * pagesPerRow, (row + 1) * pagesPerRow);
    // The rows of the first table lie in it, as they came; later tables copy what they have of rows that were built before.
    if (spaces.length === 0) for (let row = 0; row < keys.count; row++) this.buildRow(row, spaceOf(Row.First + row));
    else {
      while (spaces.length < keys.count) this.buildRow(spaces.length, this.makeSpace());
      for (let at = 0; at < rows.length; at++) spaceOf(Row.First + at).set(spaces[rows[at]!]!);
    }
    return { pagesPerRow, pageIndex, pages: pages.store };
  }

  private makeSpace(): Uint32Array {
    if (this.chunkUsed === this.chunk.length) {
      const rows = Math.max(CHUNK_ROWS, this.keys.count - this.spaces.length);
      this.chunk = new Uint32Array(rows * this.pagesPerRow);
      this.chunkUsed = 0;
    }
    return this.chunk.subarray(this.chunkUsed, (this.chunkUsed += this.pagesPerRow));
  }

  private buildRow(row: number, space: Uint32Array): void {
    const { book } = this.input;
    const { pages, entries } = this;
    const length = this.keys.lengthOf(row);
    this.key = grow(this.key, length);
    const { key } = this;
    this.keys.copy(row, key);
    // What all policies are, and what some are.
    let every = -1;
    let some = 0;
    for (let at = 1; at < length; at++) {
      const flags = book.flags[key[at]!]!;
      every &= flags;
      some |= flags;
    }
    const isIsolated = (some & (PolicyFlag.Isolates << this.ordinal)) !== 0;
    // DI-09: one that does not isolate is there only where the dialect counts it.
    const isFinal = (some & PolicyFlag.NetworkPolicy) !== 0;
    // NP-04: NetworkPolicy rules are a set, in which order and repetition mean nothing. Tier rules keep their order.
    pages.begin(
      (isIsolated ? RowState.Isolated : 0) | (isFinal ? RowState.Final : 0),
      (every & PolicyFlag.NetworkPolicy) !== 0 ? 'set' : 'list',
    );
    for (let at = 1; at < length; at++) {
      const run = entries.find(key[at]!, key[0]!);
      const { words, starts } = entries;
      // NP-10, KL-03: a rule counts in the columns of its peers alone, and there for the classes of its ports.
      for (let own = starts[run]!; own < starts[run + 1]!; own += 2) pages.add(words[own]!, words[own + 1]!);
    }
    pages.finish(space);
    this.spaces.push(space);
  }
}

/** Rules as rows take them: pairs of token and set of columns, a run for each policy. */
class Entries {
  /** Run `n` is `words[starts[n], starts[n + 1])`. */
  words: Int32Array = new Int32Array(2);
  starts: Int32Array = new Int32Array(1);
  private used = 0;
  private count = 0;
  private readonly input: TableInput;
  private readonly ordinal: 0 | 1;
  private readonly groupCount: number;
  /** [policies] run of those that mean the same on every subject; -1: not worked out yet. */
  private runs: Int32Array = new Int32Array(0);
  /** By policy and group of named ports. */
  private readonly runsByGroup = new Map<number, number>();
  private readonly shapes = new Map<number, PortShape>();
  private readonly everyPort: PortShape;
  private readonly splits = new Map<number, readonly { readonly shape: PortShape; readonly bits: Uint32Array }[]>();

  constructor(input: TableInput) {
    this.input = input;
    this.ordinal = DIRECTION_ORDINAL[input.direction];
    this.groupCount = input.subjectPorts.length + 1;
    this.everyPort = input.ports.shape(undefined);
  }

  /** The run of a policy, worked out once; for each set of named ports where those matter. */
  find(policy: number, portGroup: number): number {
    if (this.ordinal === 1 && (this.input.book.flags[policy]! & PolicyFlag.NamedIngress) !== 0) {
      const key = policy * this.groupCount + portGroup + 1;
      let run = this.runsByGroup.get(key);
      if (run === undefined) this.runsByGroup.set(key, (run = this.addRun(policy, portGroup)));
      return run;
    }
    this.runs = growFilled(this.runs, policy + 1, -1);
    if (this.runs[policy]! < 0) this.runs[policy] = this.addRun(policy, portGroup);
    return this.runs[policy]!;
  }

  private addRun(policy: number, portGroup: number): number {
    const { flags, ruleStarts } = this.input.book;
    const place = policy * 2 + this.ordinal;
    if ((flags[policy]! & (PolicyFlag.Governs << this.ordinal)) !== 0)
      for (let rule = ruleStarts[place]!; rule < ruleStarts[place + 1]!; rule++)
        this.addRule(policy, rule * RuleField.Stride, portGroup);
    this.starts = grow(this.starts, this.count + 2);
    this.starts[this.count + 1] = this.used;
    return this.count++;
  }

  private push(token: number, set: number): void {
    this.words = grow(this.words, this.used + 2);
    this.words[this.used++] = token;
    this.words[this.used++] = set;
  }

  private addRule(number: number, rule: number, portGroup: number): void {
    const { book, columns, vectors } = this.input;
    const policy = book.policies[number]!;
    const list = book.rules[rule + RuleField.Ports]!;
    const action = book.rules[rule + RuleField.Action]!;
    const owner = policy.tier === 'networkpolicy' ? 0 : number;
    const matched = columns.match(book.rules[rule + RuleField.Question]!);
    if (this.ordinal === 1 || list < 0 || book.isNamed[list] === 0) {
      const shape = this.shapeOf(list, portGroup);
      for (let at = matched.start; at < matched.end; at += 2)
        this.push(vectors.token(policy, owner, action, shape, matched.words[at]!), matched.words[at + 1]!);
      return;
    }
    // NP-26: an egress rule's named port means another number on each peer.
    for (const { shape, bits } of this.splitByPorts(list))
      for (let at = matched.start; at < matched.end; at += 2) {
        const set = matched.words[at + 1]!;
        const own = columns.sets.intersect(set === EVERYWHERE ? columns.all : set, bits);
        this.push(vectors.token(policy, owner, action, shape, matched.words[at]!), own);
      }
  }

  /** What a list of ports means on subjects with these named ports. */
  private shapeOf(list: number, portGroup: number): PortShape {
    if (list < 0) return this.everyPort; // NP-09
    const { book, ports, subjectPorts } = this.input;
    const key = list * this.groupCount + portGroup + 1;
    let shape = this.shapes.get(key);
    if (shape === undefined)
      this.shapes.set(key, (shape = ports.shape(resolvePorts(book.portsOf[list]!, subjectPorts[portGroup]))));
    return shape;
  }

  /** The columns for which a list of ports means the same. */
  private splitByPorts(list: number): readonly { readonly shape: PortShape; readonly bits: Uint32Array }[] {
    let split = this.splits.get(list);
    if (split === undefined) {
      const { book, columns, ports } = this.input;
      const byShape = new Map<PortShape, Uint32Array>();
      for (const { ports: named, bits } of columns.portGroups()) {
        const shape = ports.shape(resolvePorts(book.portsOf[list]!, named));
        const known = byShape.get(shape);
        byShape.set(shape, known === undefined ? bits : known.map((word, at) => word | bits[at]!));
      }
      this.splits.set(list, (split = [...byShape].map(([shape, bits]) => ({ shape, bits }))));
    }
    return split;
  }
}

/** NP-26, NP-27: a name is looked up among the destination's container ports; `undefined` ports are not known (EP-07). */
function resolvePorts(matches: readonly PortMatch[], named: NamedPorts | undefined): ResolvedPorts {
  const ranges: ResolvedPorts['ranges'][number][] = [];
  const unresolved: number[] = [];
  for (const match of matches) {
    if (match.kind !== 'named') {
      ranges.push(rangeOfMatch(match));
      continue;
    }
    const protocols = match.protocol === undefined ? (['TCP', 'UDP', 'SCTP'] as const) : [match.protocol];
    for (const protocol of protocols) {
      const ordinal = PROTOCOL_ORDINAL[protocol];
      if (named === undefined) {
        if (!unresolved.includes(ordinal)) unresolved.push(ordinal);
      } else
        for (const port of named.get(namedPortKey(protocol, match.name)) ?? [])
          ranges.push({ protocol: ordinal, first: port, last: port });
    }
  }
  return { ranges, unresolved };
}
