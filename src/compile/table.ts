/**
 * Tables: [rows x columns] of vectors, one for each direction. A row is what one group of subjects is governed by: a run of pages,
 * put together from the sets of columns that its rules match.
 */
import type { Direction } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { Reason, MissingFact } from '../model/verdict.ts';
import { ACTIONS, DIRECTION_ORDINAL, PolicyFlag, type PolicyBook, RuleField } from './book.ts';
import type { FinishedColumns } from './column.ts';
import { Layout, Row } from './layout.ts';
import { grow, growFilled, ListStore } from './list.ts';
import { EVERYWHERE, PageBuilder } from './page-builder.ts';
import { type PortClasses, type PortShape, PROTOCOL_ORDINAL, rangeOfMatch, type ResolvedPorts } from './port.ts';
import { type NamedPorts, namedPortKey } from './unit.ts';
import { RowState, type VectorStore } from './vector.ts';

/** A finished table. */
export interface Table {
  readonly pagesPerRow: number;
  readonly pageIndex: Uint32Array;
  readonly pages: Uint32Array;
}

/** What rows are built from, whatever policies there are. */
export interface TableInput {
  readonly direction: Direction;
  readonly book: PolicyBook;
  readonly subjectPorts: readonly NamedPorts[];
  readonly columns: FinishedColumns;
  readonly ports: PortClasses;
  readonly vectors: VectorStore;
  readonly scope: 'per-direction' | 'per-pod';
}

/** Builds tables of one direction over the same columns, port classes and vectors; rows that were built once are kept. */
export interface TableBuilder {
  /**
   * The row of subjects in every table that it is asked for: `key[0]` is their group of named ports (-1: it does not matter),
   * `key[1, length)` the policies that select them, in order of evaluation, by number.
   */
  row(key: Int32Array, length: number): number;
  /** The table of these rows, from `Row.First` on; `hasPolicies`: some policy governs this direction. */
  build(rows: Int32Array, hasPolicies: boolean): Table;
  /** Rows built so far, and pages kept. */
  readonly rowCount: number;
  readonly pageCount: number;
}

/** Rows of a chunk at least. */
const CHUNK_ROWS = 16;

/** A builder without rows. */
export function createTableBuilder(input: TableInput): TableBuilder {
  const { columns, vectors, direction, book } = input;
  const ordinal = DIRECTION_ORDINAL[direction];
  const pagesPerRow = Math.max(1, Math.ceil(columns.count / Layout.PageSize));
  const pages = new PageBuilder(columns.sets, columns.all, pagesPerRow, (list, length) =>
    vectors.ofRules(list, length),
  );
  const entries = createEntries(input);
  const keys = new ListStore();
  // Rows lie in chunks as large as a table asks for: every 64 MiB of new arrays make V8 collect a heap that has the whole world.
  const chunks: Uint32Array[] = [];
  const spaces: Uint32Array[] = [];
  let free = 0;
  let key: Int32Array = new Int32Array(64);

  return {
    row: (own, length) => keys.intern(own, length),
    build,
    get rowCount() {
      return spaces.length;
    },
    get pageCount() {
      return pages.pageCount;
    },
  };

  function build(rows: Int32Array, hasPolicies: boolean): Table {
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
    while (spaces.length < keys.count) buildRow(spaces.length, keys.count - spaces.length);
    rows.forEach((row, at) => pageIndex.set(spaces[row]!, (Row.First + at) * pagesPerRow));
    return { pagesPerRow, pageIndex, pages: pages.data() };
  }

  /** `left`: how many rows are still to be built, this one included. */
  function buildRow(row: number, left: number): void {
    const length = keys.lengthOf(row);
    if (length > key.length) key = grow(key, length);
    keys.copy(row, key);
    // What all policies are, what some are, and what some are of those in the NetworkPolicy tier.
    let every = -1;
    let some = 0;
    for (let at = 1; at < length; at++) {
      const flags = book.flags[key[at]!]!;
      every &= flags;
      some |= flags;
    }
    const isIsolated = (some & (PolicyFlag.Isolates << ordinal)) !== 0;
    const isFinal = input.scope === 'per-pod' && (some & PolicyFlag.NetworkPolicy) !== 0;
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
    if (free === 0) {
      free = Math.max(CHUNK_ROWS, left);
      chunks.push(new Uint32Array(free * pagesPerRow));
    }
    const chunk = chunks.at(-1)!;
    const at = chunk.length - free-- * pagesPerRow;
    const space = chunk.subarray(at, at + pagesPerRow);
    pages.finish(space);
    spaces.push(space);
  }
}

/** Rules as rows take them: pairs of token and set of columns, a run for each policy. */
interface Entries {
  /** Run `n` is `words[starts[n], starts[n + 1])`. */
  readonly words: Int32Array;
  readonly starts: Int32Array;
  /** The run of a policy, worked out once; for each set of named ports where those matter. */
  find(policy: number, portGroup: number): number;
}

function createEntries(input: TableInput): Entries {
  const { direction, columns, ports, vectors, book } = input;
  const ordinal = DIRECTION_ORDINAL[direction];
  const { sets } = columns;
  const groupCount = input.subjectPorts.length + 1;
  // [policies x 1] run of those that mean the same on every subject; -1: not worked out yet.
  let runs: Int32Array = new Int32Array(256).fill(-1);
  // By policy and group of named ports.
  const runsByGroup = new Map<number, number>();
  const shapes = new Map<number, PortShape>();
  const everyPort = ports.shape(undefined);
  const splits = new Map<number, readonly { readonly shape: PortShape; readonly bits: Uint32Array }[]>();
  let words: Int32Array = new Int32Array(4096);
  let starts: Int32Array = new Int32Array(1024);
  let used = 0;
  let count = 0;
  return {
    get words() {
      return words;
    },
    get starts() {
      return starts;
    },
    find(policy, portGroup) {
      if (direction === 'ingress' && (book.flags[policy]! & PolicyFlag.NamedIngress) !== 0) {
        const key = policy * groupCount + portGroup + 1;
        let run = runsByGroup.get(key);
        if (run === undefined) runsByGroup.set(key, (run = addRun(policy, portGroup)));
        return run;
      }
      if (policy >= runs.length) runs = growFilled(runs, policy + 1, -1);
      if (runs[policy]! < 0) runs[policy] = addRun(policy, portGroup);
      return runs[policy]!;
    },
  };

  function addRun(policy: number, portGroup: number): number {
    const place = policy * 2 + ordinal;
    if ((book.flags[policy]! & (PolicyFlag.Governs << ordinal)) !== 0)
      for (let rule = book.ruleStarts[place]!; rule < book.ruleStarts[place + 1]!; rule++)
        addRule(policy, rule * RuleField.Stride, portGroup);
    if (count + 2 > starts.length) starts = grow(starts, count + 2);
    starts[count + 1] = used;
    return count++;
  }

  function push(token: number, set: number): void {
    if (used + 2 > words.length) words = grow(words, used + 2);
    words[used++] = token;
    words[used++] = set;
  }

  function addRule(number: number, rule: number, portGroup: number): void {
    const policy = book.policies[number]!;
    const list = book.rules[rule + RuleField.Ports]!;
    const action = ACTIONS[book.rules[rule + RuleField.Action]!]!;
    const owner = policy.tier === 'networkpolicy' ? 0 : number;
    const matched = columns.match(book.rules[rule + RuleField.Question]!);
    const isSplit = direction === 'egress' && list >= 0 && book.isNamed[list] === 1;
    if (!isSplit) {
      const shape = shapeOf(list, portGroup);
      for (let at = matched.start; at < matched.end; at += 2)
        push(vectors.token(policy, owner, action, shape, matched.words[at]!), matched.words[at + 1]!);
      return;
    }
    // NP-26: an egress rule's named port means another number on each peer.
    for (const { shape, bits } of splitByPorts(list))
      for (let at = matched.start; at < matched.end; at += 2) {
        const set = matched.words[at + 1]!;
        const own = sets.intersect(set === EVERYWHERE ? columns.all : set, bits);
        push(vectors.token(policy, owner, action, shape, matched.words[at]!), own);
      }
  }

  /** What a list of ports means on subjects with these named ports. */
  function shapeOf(list: number, portGroup: number): PortShape {
    if (list < 0) return everyPort; // NP-09
    const key = list * groupCount + (book.isNamed[list] === 1 ? portGroup + 1 : 0);
    let shape = shapes.get(key);
    if (shape === undefined)
      shapes.set(key, (shape = ports.shape(resolvePorts(book.portsOf[list]!, input.subjectPorts[portGroup]))));
    return shape;
  }

  /** The columns for which a list of ports means the same. */
  function splitByPorts(list: number): readonly { readonly shape: PortShape; readonly bits: Uint32Array }[] {
    let split = splits.get(list);
    if (split === undefined) {
      const byShape = new Map<PortShape, Uint32Array>();
      for (const { ports: named, bits } of columns.portGroups()) {
        const shape = ports.shape(resolvePorts(book.portsOf[list]!, named));
        const known = byShape.get(shape);
        byShape.set(shape, known === undefined ? bits : known.map((word, at) => word | bits[at]!));
      }
      splits.set(list, (split = [...byShape].map(([shape, bits]) => ({ shape, bits }))));
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
