/**
 * Tables: [rows x columns] of vectors, one for each direction. A row is what one group of subjects is governed by. It is built
 * page by page from the sets of columns that its rules match, 32 columns a word, so that neither the dense table nor a list of
 * touched cells ever exists: pages that no rule touches are one page, and pages in which the same rules match the same columns
 * are found again before a single cell is looked at.
 */
import type { Direction, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { Reason, MissingFact } from '../model/verdict.ts';
import type { ColumnSets } from './column-set.ts';
import type { FinishedColumns } from './column.ts';
import { Layout, Row } from './layout.ts';
import { grow, ListStore } from './list.ts';
import { PageStore } from './page.ts';
import { type PortClasses, type PortShape, PROTOCOL_ORDINAL, rangeOfMatch, type ResolvedPorts } from './port.ts';
import { type NamedPorts, namedPortKey } from './unit.ts';
import type { VectorStore } from './vector.ts';

/** What governs one group of subjects in one direction: the policies that select it, in order of evaluation. */
export interface Subject {
  readonly policies: readonly Policy[];
  /** Which of `TableInput.subjectPorts` the subject has: ingress rules resolve names on them. */
  readonly portGroup: number;
}

/** A finished table. */
export interface Table {
  readonly pagesPerRow: number;
  readonly pageIndex: Uint32Array;
  readonly pages: Uint32Array;
}

/** What rows are built from, whatever policies there are. */
export interface TableInput {
  readonly direction: Direction;
  readonly subjectPorts: readonly NamedPorts[];
  readonly columns: FinishedColumns;
  readonly ports: PortClasses;
  readonly vectors: VectorStore;
  readonly scope: 'per-direction' | 'per-pod';
}

/** Builds tables of one direction over the same columns, port classes and vectors; rows that were built once are kept. */
export interface TableBuilder {
  /** The table of these subjects, in rows from `Row.First` on; `hasPolicies`: some policy governs this direction. */
  build(subjects: readonly Subject[], hasPolicies: boolean): Table;
  /** Rows built so far, and pages kept. */
  readonly rowCount: number;
  readonly pageCount: number;
}

/** Rows of a chunk at least. */
const CHUNK_ROWS = 16;
/** Above every place among the entries: token times this, plus the place, orders by token, then place. */
const PLACE = 2 ** 30;
/** The sets of a rule that matches every column. */
const EVERYWHERE: readonly number[] = [-1];

/** A builder without rows. */
export function createTableBuilder(input: TableInput): TableBuilder {
  const { columns, vectors, direction } = input;
  const pagesPerRow = Math.max(1, Math.ceil(columns.count / Layout.PageSize));
  const pages = createPages(vectors);
  const entries = createEntries(input);
  const records = new Records(pagesPerRow, columns.sets);
  let order = new Float64Array(64);
  let signature = new Int32Array(256);
  // Policies by number, and rows by the numbers of their policies.
  const numbers = new Map<Policy, number>();
  const keys = new ListStore();
  // Rows lie in chunks as large as a table asks for: every 64 MiB of new arrays make V8 collect a heap that has the whole world.
  const chunks: Uint32Array[] = [];
  const chunkOf: number[] = [];
  const placeOf: number[] = [];
  let free = 0;
  let built = 0;
  let key = new Int32Array(64);

  return {
    build,
    get rowCount() {
      return built;
    },
    get pageCount() {
      return pages.count();
    },
  };

  function build(subjects: readonly Subject[], hasPolicies: boolean): Table {
    const pageIndex = new Uint32Array((Row.First + subjects.length) * pagesPerRow);
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
    subjects.forEach((subject, index) =>
      pageIndex.set(rowOf(subject, subjects.length - index), (Row.First + index) * pagesPerRow),
    );
    return { pagesPerRow, pageIndex, pages: pages.data() };
  }

  /** `left`: how many rows at most are still to be built, this one included. */
  function rowOf(subject: Subject, left: number): Uint32Array {
    const { policies, portGroup } = subject;
    if (policies.length + 1 > key.length) key = grow(key, policies.length + 1);
    key[0] = portGroup;
    for (let at = 0; at < policies.length; at++) {
      let number = numbers.get(policies[at]!);
      if (number === undefined) numbers.set(policies[at]!, (number = numbers.size));
      key[at + 1] = number;
    }
    const id = keys.intern(key, policies.length + 1);
    if (id === built) {
      addSpace(built++, left);
      buildRow(subject, spaceOf(id));
    }
    return spaceOf(id);
  }

  function addSpace(id: number, left: number): void {
    if (free === 0) {
      free = Math.max(CHUNK_ROWS, left);
      chunks.push(new Uint32Array(free * pagesPerRow));
    }
    const chunk = chunks.length - 1;
    chunkOf[id] = chunk;
    placeOf[id] = chunks[chunk]!.length - free-- * pagesPerRow;
  }

  /** Where a row lies. */
  function spaceOf(id: number): Uint32Array {
    const at = placeOf[id]!;
    return chunks[chunkOf[id]!]!.subarray(at, at + pagesPerRow);
  }

  function buildRow({ policies, portGroup }: Subject, row: Uint32Array): void {
    const isPlain = policies.every(({ tier }) => tier === 'networkpolicy');
    const isIsolated = policies.some((policy) => isIsolating(policy, direction));
    const isFinal = input.scope === 'per-pod' && policies.some(({ tier }) => tier === 'networkpolicy');
    let count = 0;
    for (const policy of policies) {
      const id = entries.find(policy, numbers.get(policy)!, portGroup);
      const end = entries.starts[id + 1]!;
      for (let at = entries.starts[id]!; at < end; at += 2) {
        if (count === order.length) order = growOrder(order);
        order[count++] = entries.words[at]! * PLACE + at;
      }
    }
    // NP-04: NetworkPolicy rules are a set, in which order and repetition mean nothing. Tier rules keep their order.
    if (isPlain) order.subarray(0, count).sort();
    records.clear();
    const everywhere: number[] = [];
    for (let own = 0; own < count; own++) {
      const at = order[own]! % PLACE;
      const token = entries.words[at]!;
      const set = entries.words[at + 1]!;
      // NP-10, KL-03: a rule counts in the columns of its peers alone, and there for the classes of its ports.
      if (set < 0 && isPlain) {
        if (everywhere.at(-1) !== token) everywhere.push(token);
      } else records.add(set < 0 ? columns.all : set, token);
    }
    const base = pages.base(everywhere, isIsolated, isFinal);
    row.fill(pages.uniform(pages.vector(base)));
    const { data, touchedCount } = records;
    for (let at = 0; at < touchedCount; at++) {
      const page = records.touched[at]!;
      let length = 1;
      signature[0] = base;
      for (let own = records.first[page]!; own >= 0; own = data[own]!) {
        if (length + 3 > signature.length) signature = grow(signature, length + 3);
        signature[length++] = data[own + 1]!;
        signature[length++] = data[own + 2]!;
        signature[length++] = data[own + 3]!;
      }
      row[page] = pages.page(signature, length);
    }
  }
}

/** Does a policy say anything about a direction? */
export function isGoverning(policy: Policy, direction: Direction): boolean {
  return policy.tier === 'networkpolicy' ? policy.isolates.includes(direction) : policy[direction].length > 0;
}

/** NP-02: isolation is per direction, by `policyTypes`. */
function isIsolating(policy: Policy, direction: Direction): boolean {
  return policy.tier === 'networkpolicy' && policy.isolates.includes(direction);
}

/** Rules as the row builder takes them: pairs of token and set of columns (-1: every column), a run for each policy. */
interface Entries {
  /** Run `n` is `words[starts[n], starts[n + 1])`. */
  readonly words: Int32Array;
  readonly starts: Int32Array;
  /** The run of a policy, worked out once; for each set of named ports where those matter. */
  find(policy: Policy, number: number, portGroup: number): number;
}

function createEntries(input: TableInput): Entries {
  const { direction, columns, ports, vectors } = input;
  const { sets } = columns;
  const groupCount = input.subjectPorts.length + 1;
  // [policies] do its rules mean other ports on other subjects?
  const byGroup: boolean[] = [];
  const runs = new Map<number, number>();
  const splits = new Map<string, readonly { readonly shape: PortShape; readonly bits: Uint32Array }[]>();
  let words = new Int32Array(4096);
  let starts = new Int32Array(1024);
  let used = 0;
  let count = 0;
  return {
    get words() {
      return words;
    },
    get starts() {
      return starts;
    },
    find(policy, number, portGroup) {
      const hasGroups = (byGroup[number] ??= direction === 'ingress' && policy.ingress.some(hasNamedPort));
      const key = number * groupCount + (hasGroups ? portGroup + 1 : 0);
      let run = runs.get(key);
      if (run === undefined) {
        if (isGoverning(policy, direction))
          for (const rule of policy[direction]) addRule(policy, number, rule, portGroup);
        run = count++;
        if (run + 2 > starts.length) starts = grow(starts, run + 2);
        starts[run + 1] = used;
        runs.set(key, run);
      }
      return run;
    },
  };

  function push(token: number, set: number): void {
    if (used + 2 > words.length) words = grow(words, used + 2);
    words[used++] = token;
    words[used++] = set;
  }

  function addRule(policy: Policy, number: number, rule: Rule, portGroup: number): void {
    const token = (shape: PortShape, missing: number): number =>
      vectors.token({
        tier: policy.tier,
        priority: policy.priority,
        policy: policy.tier === 'networkpolicy' ? 0 : number,
        action: rule.action,
        shape,
        missing,
      });
    const { yes, maybe } = columns.match(rule);
    if (direction === 'ingress' || !hasNamedPort(rule)) {
      const shape = ports.shape(resolvePorts(rule.ports, input.subjectPorts[portGroup]));
      const certain = token(shape, 0);
      for (const set of yes ?? EVERYWHERE) push(certain, set);
      for (const { missing, set } of maybe) push(token(shape, missing), set);
      return;
    }
    // NP-26: an egress rule's named port means another number on each peer.
    for (const { shape, bits } of splitByPorts(rule)) {
      const certain = token(shape, 0);
      for (const set of yes ?? [columns.all]) push(certain, sets.intersect(set, bits));
      for (const { missing, set } of maybe) push(token(shape, missing), sets.intersect(set, bits));
    }
  }

  /** The columns for which a rule's ports mean the same. */
  function splitByPorts(rule: Rule): readonly { readonly shape: PortShape; readonly bits: Uint32Array }[] {
    const key = JSON.stringify(rule.ports);
    let split = splits.get(key);
    if (split === undefined) {
      const byShape = new Map<PortShape, Uint32Array>();
      for (const { ports: named, bits } of columns.portGroups) {
        const shape = ports.shape(resolvePorts(rule.ports, named));
        const known = byShape.get(shape);
        byShape.set(shape, known === undefined ? bits : known.map((word, at) => word | bits[at]!));
      }
      splits.set(key, (split = [...byShape].map(([shape, bits]) => ({ shape, bits }))));
    }
    return split;
  }
}

/** NP-26, NP-27: a name is looked up among the destination's container ports; `undefined` ports are not known (EP-07). */
export function resolvePorts(
  matches: readonly PortMatch[] | undefined,
  named: NamedPorts | undefined,
): ResolvedPorts | undefined {
  if (matches === undefined) return undefined; // NP-09
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

/** What one row's rules match, page by page: chains of (next, token, low bits, high bits), in the order of `add`. */
class Records {
  /** Pages with a chain, the first `touchedCount`. */
  readonly touched: Int32Array;
  touchedCount = 0;
  /** [pages] where a touched page's chain begins in `data`; chains end with -1. */
  readonly first: Int32Array;
  data: Int32Array = new Int32Array(1024);
  private readonly last: Int32Array;
  private readonly stamp: Int32Array;
  private readonly sets: ColumnSets;
  private used = 0;
  private generation = 0;

  constructor(pageCount: number, sets: ColumnSets) {
    this.touched = new Int32Array(pageCount);
    this.first = new Int32Array(pageCount);
    this.last = new Int32Array(pageCount);
    this.stamp = new Int32Array(pageCount);
    this.sets = sets;
  }

  clear(): void {
    this.generation++;
    this.used = 0;
    this.touchedCount = 0;
  }

  add(set: number, token: number): void {
    const { generation, stamp, last, first, touched } = this;
    const { words, starts } = this.sets;
    const end = starts[set + 1]!;
    const room = this.used + ((end - starts[set]!) / 3) * 4;
    if (room > this.data.length) this.data = grow(this.data, room);
    const { data } = this;
    let { used, touchedCount } = this;
    for (let at = starts[set]!; at < end; at += 3) {
      const page = words[at]!;
      if (stamp[page] === generation) {
        const tail = last[page]!;
        // The parts of one rule, and rules that say the same, are one record.
        if (data[tail + 1] === token) {
          data[tail + 2]! |= words[at + 1]!;
          data[tail + 3]! |= words[at + 2]!;
          continue;
        }
        data[tail] = used;
      } else {
        stamp[page] = generation;
        touched[touchedCount++] = page;
        first[page] = used;
      }
      last[page] = used;
      data[used] = -1;
      data[used + 1] = token;
      data[used + 2] = words[at + 1]!;
      data[used + 3] = words[at + 2]!;
      used += 4;
    }
    this.used = used;
    this.touchedCount = touchedCount;
  }
}

/** Pages by what matches in them. */
interface Pages {
  /** The number of a row's rules that match every column, with what the row is. */
  base(tokens: readonly number[], isIsolated: boolean, isFinal: boolean): number;
  /** The vector of a column that only a base's rules match. */
  vector(base: number): number;
  /** The page of one vector. */
  uniform(vector: number): number;
  /** The page of a signature: base, then triples of token and bits. */
  page(signature: Int32Array, length: number): number;
  data(): Uint32Array;
  count(): number;
}

function createPages(vectors: VectorStore): Pages {
  const store = new PageStore();
  const cells = new Uint32Array(Layout.PageSize);
  const uniforms = new Map<number, number>();
  const bases = new ListStore();
  const baseVectors: (number | undefined)[] = [];
  const signatures = new ListStore();
  const pageOfSignature: number[] = [];
  const rules = new ListStore();
  const vectorOfRules: number[] = [];
  let list = new Int32Array(64);
  // Groups of cells in which the same records match: their cells as two words.
  const lows = new Int32Array(Layout.PageSize);
  const highs = new Int32Array(Layout.PageSize);

  const vector = (base: number): number => (baseVectors[base] ??= vectorOf(base, list, 0, 0, 0));
  return {
    base(tokens, isIsolated, isFinal) {
      if (tokens.length + 1 > list.length) list = grow(list, tokens.length + 1);
      list[0] = Number(isIsolated) | (Number(isFinal) << 1);
      tokens.forEach((token, at) => (list[at + 1] = token));
      return bases.intern(list, tokens.length + 1);
    },
    vector,
    uniform(own) {
      let page = uniforms.get(own);
      if (page === undefined) uniforms.set(own, (page = store.intern(cells.fill(own), 0)));
      return page;
    },
    page(signature, length) {
      const id = signatures.intern(signature, length);
      return (pageOfSignature[id] ??= build(signature, length));
    },
    data: () => store.data(),
    count: () => store.size,
  };

  function build(signature: Int32Array, length: number): number {
    const base = signature[0]!;
    let count = 1;
    lows[0] = -1;
    highs[0] = -1;
    for (let at = 1; at < length; at += 3) {
      const low = signature[at + 1]!;
      const high = signature[at + 2]!;
      for (let group = 0, end = count; group < end; group++) {
        const inLow = lows[group]! & low;
        const inHigh = highs[group]! & high;
        if ((inLow | inHigh) === 0 || (inLow === lows[group] && inHigh === highs[group])) continue;
        lows[count] = lows[group]! & ~low;
        highs[count++] = highs[group]! & ~high;
        lows[group] = inLow;
        highs[group] = inHigh;
      }
    }
    for (let group = 0; group < count; group++) {
      const own = vectorOf(base, signature, length, lows[group]!, highs[group]!);
      if (count === 1) return store.intern(cells.fill(own), 0);
      for (let low = lows[group]!; low !== 0; low &= low - 1) cells[31 - Math.clz32(low & -low)] = own;
      for (let high = highs[group]!; high !== 0; high &= high - 1) cells[63 - Math.clz32(high & -high)] = own;
    }
    return store.intern(cells, 0);
  }

  /** The vector of a group of cells: the rules of the base, and the records that hold the group. */
  function vectorOf(base: number, signature: Int32Array, length: number, low: number, high: number): number {
    const shared = bases.lengthOf(base);
    if (shared + length > list.length) list = grow(list, shared + length);
    let used = bases.copy(base, list);
    for (let at = 1; at < length; at += 3)
      if ((low & signature[at + 1]!) !== 0 || (high & signature[at + 2]!) !== 0) list[used++] = signature[at]!;
    // With a base the row is plain: a set. Sorted, so that it is found again whoever put it together.
    if (shared > 1) list.subarray(1, used).sort();
    const id = rules.intern(list, used);
    let own = vectorOfRules[id];
    if (own === undefined) {
      const state = { isIsolated: (list[0]! & 1) !== 0, isFinal: (list[0]! & 2) !== 0 };
      own = vectorOfRules[id] = vectors.ofRules(list.slice(1, used), state);
    }
    return own;
  }
}

function growOrder(order: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(order.length * 2);
  grown.set(order);
  return grown;
}

function hasNamedPort(rule: Rule): boolean {
  return rule.ports?.some((port) => port.kind === 'named') ?? false;
}
