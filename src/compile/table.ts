/**
 * Tables: [rows x columns] of vectors, one for each direction. A row is what one group of subjects is governed by: a run of pages,
 * put together from the sets of columns that its rules match.
 */
import type { Direction, Policy, Rule } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { Reason, MissingFact } from '../model/verdict.ts';
import type { FinishedColumns } from './column.ts';
import { Layout, Row } from './layout.ts';
import { grow, ListStore } from './list.ts';
import { EVERYWHERE, PageBuilder } from './page-builder.ts';
import { type PortClasses, type PortShape, PROTOCOL_ORDINAL, rangeOfMatch, type ResolvedPorts } from './port.ts';
import { type NamedPorts, namedPortKey } from './unit.ts';
import { RowState, type VectorStore } from './vector.ts';

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

/** A builder without rows. */
export function createTableBuilder(input: TableInput): TableBuilder {
  const { columns, vectors, direction } = input;
  const pagesPerRow = Math.max(1, Math.ceil(columns.count / Layout.PageSize));
  const pages = new PageBuilder(columns.sets, columns.all, pagesPerRow, (list, length) =>
    vectors.ofRules(list, length),
  );
  const entries = createEntries(input);
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
      return pages.pageCount;
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
    // NP-04: NetworkPolicy rules are a set, in which order and repetition mean nothing. Tier rules keep their order.
    pages.begin((isIsolated ? RowState.Isolated : 0) | (isFinal ? RowState.Final : 0), isPlain ? 'set' : 'list');
    for (const policy of policies) {
      const id = entries.find(policy, numbers.get(policy)!, portGroup);
      const end = entries.starts[id + 1]!;
      // NP-10, KL-03: a rule counts in the columns of its peers alone, and there for the classes of its ports.
      for (let at = entries.starts[id]!; at < end; at += 2) pages.add(entries.words[at]!, entries.words[at + 1]!);
    }
    pages.finish(row);
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
      for (const set of yes ?? [EVERYWHERE]) push(certain, set);
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

function hasNamedPort(rule: Rule): boolean {
  return rule.ports?.some((port) => port.kind === 'named') ?? false;
}
