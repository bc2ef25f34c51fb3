/**
 * Tables: [rows x columns] of vectors, one for each direction. A row is what one group of subjects is governed by. It is built
 * page by page from the sets of columns that its rules match, 32 columns a word, so that neither the dense table nor a list of
 * touched cells ever exists: pages that no rule touches are one page, and pages in which the same rules match the same columns
 * are found again before a single cell is looked at.
 */
import type { Direction, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { Reason, MissingFact } from '../model/verdict.ts';
import { type FinishedColumns, intersectPages, type PageBits } from './column.ts';
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

const CHUNK_ROWS = 256;

/** A builder without rows. */
export function createTableBuilder(input: TableInput): TableBuilder {
  const { columns, vectors, direction } = input;
  const pagesPerRow = Math.max(1, Math.ceil(columns.count / Layout.PageSize));
  const pages = createPages(vectors);
  const entriesOf = createEntries(input);
  const record = createRecords(pagesPerRow);
  let signature = new Int32Array(256);
  // Policies by number, and rows by the numbers of their policies.
  const numbers = new Map<Policy, number>();
  const keys = new ListStore();
  // Rows lie in chunks: an array of its own for each would have the collector run all the time.
  const chunks: Uint32Array[] = [];
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
    subjects.forEach((subject, index) => pageIndex.set(rowOf(subject), (Row.First + index) * pagesPerRow));
    return { pagesPerRow, pageIndex, pages: pages.data() };
  }

  function rowOf(subject: Subject): Uint32Array {
    const { policies, portGroup } = subject;
    if (policies.length + 1 > key.length) key = grow(key, policies.length + 1);
    key[0] = portGroup;
    for (let at = 0; at < policies.length; at++) {
      let number = numbers.get(policies[at]!);
      if (number === undefined) numbers.set(policies[at]!, (number = numbers.size));
      key[at + 1] = number;
    }
    const id = keys.intern(key, policies.length + 1);
    if (id === built) buildRow(subject, spaceOf(built++));
    return spaceOf(id);
  }

  /** Where a row lies. */
  function spaceOf(id: number): Uint32Array {
    const chunk = (chunks[Math.floor(id / CHUNK_ROWS)] ??= new Uint32Array(CHUNK_ROWS * pagesPerRow));
    const at = (id % CHUNK_ROWS) * pagesPerRow;
    return chunk.subarray(at, at + pagesPerRow);
  }

  function buildRow({ policies, portGroup }: Subject, row: Uint32Array): void {
    const isPlain = policies.every(({ tier }) => tier === 'networkpolicy');
    const isIsolated = policies.some((policy) => isIsolating(policy, direction));
    const isFinal = input.scope === 'per-pod' && policies.some(({ tier }) => tier === 'networkpolicy');
    const entries: Entry[] = [];
    for (const policy of policies)
      for (const entry of entriesOf(policy, numbers.get(policy)!, portGroup)) entries.push(entry);
    // NP-04: NetworkPolicy rules are a set, in which order and repetition mean nothing. Tier rules keep their order.
    if (isPlain) sortByToken(entries);
    record.clear();
    const everywhere: number[] = [];
    for (const { token, parts } of entries) {
      // NP-10, KL-03: a rule counts in the columns of its peers alone, and there for the classes of its ports.
      if (parts === undefined && isPlain) {
        if (everywhere.at(-1) !== token) everywhere.push(token);
      } else for (const part of parts ?? [columns.all]) record.add(part, token);
    }
    const base = pages.base(everywhere, isIsolated, isFinal);
    row.fill(pages.uniform(pages.vector(base)));
    for (let at = 0; at < record.touchedCount; at++) {
      const page = record.touched[at]!;
      let length = 1;
      signature[0] = base;
      for (let own = record.first[page]!; own >= 0; own = record.data[own]!) {
        if (length + 3 > signature.length) signature = grow(signature, length + 3);
        signature[length++] = record.data[own + 1]!;
        signature[length++] = record.data[own + 2]!;
        signature[length++] = record.data[own + 3]!;
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

/** One rule as the row builder takes it, as far as one token is concerned. */
interface Entry {
  readonly token: number;
  /** Undefined: every column. */
  readonly parts: readonly PageBits[] | undefined;
}

/** In place; rows have few entries, mostly. */
function sortByToken(entries: Entry[]): void {
  if (entries.length > 64) {
    entries.sort((a, b) => a.token - b.token);
    return;
  }
  for (let at = 1; at < entries.length; at++) {
    const entry = entries[at]!;
    let to = at;
    for (; to > 0 && entries[to - 1]!.token > entry.token; to--) entries[to] = entries[to - 1]!;
    entries[to] = entry;
  }
}

/** The rules of a policy as entries, kept for every policy (and set of named ports where those matter). */
function createEntries(input: TableInput): (policy: Policy, number: number, portGroup: number) => readonly Entry[] {
  const { direction, columns, ports, vectors } = input;
  const kept: (Map<number, readonly Entry[]> | undefined)[] = [];
  const splits = new Map<string, readonly { readonly shape: PortShape; readonly bits: Uint32Array }[]>();
  return (policy, number, portGroup) => {
    const group = direction === 'ingress' && policy.ingress.some(hasNamedPort) ? portGroup : -1;
    const byGroup = (kept[number] ??= new Map());
    let entries = byGroup.get(group);
    if (entries === undefined) byGroup.set(group, (entries = build(policy, number, portGroup)));
    return entries;
  };

  function build(policy: Policy, number: number, portGroup: number): Entry[] {
    if (!isGoverning(policy, direction)) return [];
    return policy[direction].flatMap((rule) => entriesOfRule(policy, number, rule, portGroup));
  }

  function entriesOfRule(policy: Policy, number: number, rule: Rule, portGroup: number): Entry[] {
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
      return [
        { token: token(shape, 0), parts: yes },
        ...maybe.map(({ missing, pages }) => ({ token: token(shape, missing), parts: [pages] })),
      ];
    }
    // NP-26: an egress rule's named port means another number on each peer.
    return splitByPorts(rule).flatMap(({ shape, bits }) => [
      { token: token(shape, 0), parts: (yes ?? [columns.all]).map((pages) => intersectPages(pages, bits)) },
      ...maybe.map(({ missing, pages }) => ({ token: token(shape, missing), parts: [intersectPages(pages, bits)] })),
    ]);
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
  const unresolved = new Set<number>();
  for (const match of matches) {
    if (match.kind !== 'named') {
      ranges.push(rangeOfMatch(match));
      continue;
    }
    const protocols = match.protocol === undefined ? (['TCP', 'UDP', 'SCTP'] as const) : [match.protocol];
    for (const protocol of protocols) {
      const ordinal = PROTOCOL_ORDINAL[protocol];
      if (named === undefined) unresolved.add(ordinal);
      else
        for (const port of named.get(namedPortKey(protocol, match.name)) ?? [])
          ranges.push({ protocol: ordinal, first: port, last: port });
    }
  }
  return { ranges, unresolved: [...unresolved] };
}

/** What one row's rules match, page by page: chains of (next, token, low bits, high bits), in the order of `add`. */
interface Records {
  /** Pages with a chain, the first `touchedCount`. */
  readonly touched: Int32Array;
  readonly touchedCount: number;
  /** [pages] where a touched page's chain begins in `data`; chains end with -1. */
  readonly first: Int32Array;
  readonly data: Int32Array;
  clear(): void;
  add(part: PageBits, token: number): void;
}

function createRecords(pageCount: number): Records {
  const first = new Int32Array(pageCount);
  const last = new Int32Array(pageCount);
  const stamp = new Int32Array(pageCount);
  const touched = new Int32Array(pageCount);
  let data = new Int32Array(1024);
  let used = 0;
  let touchedCount = 0;
  let generation = 0;
  return {
    touched,
    first,
    get touchedCount() {
      return touchedCount;
    },
    get data() {
      return data;
    },
    clear() {
      generation++;
      used = 0;
      touchedCount = 0;
    },
    add(part, token) {
      for (let at = 0; at < part.length; at += 3) {
        const page = part[at]!;
        if (stamp[page] === generation) {
          const tail = last[page]!;
          // The parts of one rule, and rules that say the same, are one record.
          if (data[tail + 1] === token) {
            data[tail + 2]! |= part[at + 1]!;
            data[tail + 3]! |= part[at + 2]!;
            continue;
          }
          data[tail] = used;
        } else {
          stamp[page] = generation;
          touched[touchedCount++] = page;
          first[page] = used;
        }
        if (used + 4 > data.length) data = grow(data, used + 4);
        last[page] = used;
        data[used++] = -1;
        data[used++] = token;
        data[used++] = part[at + 1]!;
        data[used++] = part[at + 2]!;
      }
    },
  };
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

function hasNamedPort(rule: Rule): boolean {
  return rule.ports?.some((port) => port.kind === 'named') ?? false;
}
