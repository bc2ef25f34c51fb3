/**
 * Tables: [rows x columns] of vectors, one for each direction. A row is what one group of subjects is governed by; it is
 * built rule by rule over the columns that each rule matches, so that the dense table never exists: columns that no rule
 * touches share one page. Which rules meet in a cell is tracked as the state of a small automaton, one step a rule.
 */
import type { Direction, Policy, Rule, Tier } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { Reason, MissingFact } from '../model/verdict.ts';
import type { Columns, PeerColumns } from './column.ts';
import { Layout, Row } from './layout.ts';
import { PageStore } from './page.ts';
import { type PortClasses, type PortShape, PROTOCOL_ORDINAL, rangeOfMatch, type ResolvedPorts } from './port.ts';
import { type NamedPorts, namedPortKey } from './unit.ts';
import type { Token, VectorStore } from './vector.ts';

/** What governs one group of subjects in one direction: the policies that select it, in order of evaluation. */
export interface Subject {
  /** Indexes of the policies, ascending in evaluation order. */
  readonly policies: readonly number[];
  /** The subject's own named ports: ingress rules resolve names on them. */
  readonly namedPorts: NamedPorts;
}

/** A finished table. */
export interface Table {
  readonly pagesPerRow: number;
  readonly pageIndex: Uint32Array;
  readonly pages: Uint32Array;
}

/** What `buildTable` needs to know. */
export interface TableInput {
  readonly direction: Direction;
  readonly policies: readonly Policy[];
  /** Rows from `Row.First` on. */
  readonly subjects: readonly Subject[];
  readonly columns: Columns;
  readonly ports: PortClasses;
  readonly vectors: VectorStore;
  readonly scope: 'per-direction' | 'per-pod';
}

/** Builds the table of one direction. */
export function buildTable(input: TableInput): Table {
  const { columns, vectors, subjects, policies, direction } = input;
  const pagesPerRow = Math.max(1, Math.ceil(columns.count / Layout.PageSize));
  const pageIndex = new Uint32Array((Row.First + subjects.length) * pagesPerRow);
  const store = new PageStore();
  const scratch = new Uint32Array(Layout.PageSize);
  const uniformPages = new Map<number, number>();
  const uniformPage = (vector: number): number => {
    let page = uniformPages.get(vector);
    if (page === undefined) {
      scratch.fill(vector);
      page = store.intern(scratch, 0);
      uniformPages.set(vector, page);
    }
    return page;
  };
  const fillRow = (row: number, vector: number): void => {
    pageIndex.fill(uniformPage(vector), row * pagesPerRow, (row + 1) * pagesPerRow);
  };
  const concerns = policies.some((policy) => isGoverning(policy, direction));
  fillRow(Row.NotSubject, vectors.uniform(Reason.NotSubject)); // NP-06
  fillRow(Row.NotIsolated, vectors.uniform(Reason.NotIsolated)); // NP-01
  // EP-06: nobody knows which policies select a pod that is not in the snapshot.
  fillRow(
    Row.UnknownPod,
    concerns ? vectors.uniform(Reason.Undecidable, MissingFact.UnknownPod) : vectors.uniform(Reason.NotIsolated),
  );

  const cells = createAutomaton(vectors);
  const entriesOf = createEntries(input);
  const state = new Int32Array(columns.count);
  const stamp = new Int32Array(columns.count).fill(-1);
  const touched: number[] = [];

  subjects.forEach((subject, index) => {
    const row = Row.First + index;
    touched.length = 0;
    let base = cells.start(
      subject.policies.some((policy) => isIsolating(policies[policy]!, direction)),
      input.scope === 'per-pod' && subject.policies.some((policy) => policies[policy]!.tier === 'networkpolicy'),
    );
    const touch = (column: number, token: number): void => {
      if (stamp[column] !== index) {
        stamp[column] = index;
        state[column] = base;
        touched.push(column);
      }
      state[column] = cells.step(state[column]!, token);
    };
    for (const policy of subject.policies)
      for (const entry of entriesOf(policy, subject.namedPorts)) {
        if (entry.shape === undefined) {
          // NP-26: an egress rule's named port means another number on each peer.
          eachColumn(entry.peers, columns.count, (column, missing) => {
            const shape = entry.shapeOf(column);
            touch(column, cells.token(entry.make(shape, missing)));
          });
          continue;
        }
        const certain = cells.token(entry.make(entry.shape, 0));
        // NP-10, KL-03: a rule counts in the columns of its peers alone, and there for the classes of its ports.
        if (entry.peers.isAll) {
          for (const column of touched) state[column] = cells.step(state[column]!, certain);
          base = cells.step(base, certain);
          continue;
        }
        for (const column of entry.peers.yes) touch(column, certain);
        entry.peers.maybe.forEach((column, at) =>
          touch(column, cells.token(entry.make(entry.shape!, entry.peers.missing[at]!))),
        );
      }
    const baseVector = cells.vector(base);
    fillRow(row, baseVector);
    touched.sort((a, b) => a - b);
    for (let at = 0; at < touched.length;) {
      const page = touched[at]! >> Layout.PageBits;
      scratch.fill(baseVector);
      for (; at < touched.length && touched[at]! >> Layout.PageBits === page; at++)
        scratch[touched[at]! & Layout.PageMask] = cells.vector(state[touched[at]!]!);
      pageIndex[row * pagesPerRow + page] = store.intern(scratch, 0);
    }
  });
  return { pagesPerRow, pageIndex, pages: store.data() };
}

/** Does a policy say anything about a direction? */
export function isGoverning(policy: Policy, direction: Direction): boolean {
  return policy.tier === 'networkpolicy' ? policy.isolates.includes(direction) : policy[direction].length > 0;
}

/** NP-02: isolation is per direction, by `policyTypes`. */
function isIsolating(policy: Policy, direction: Direction): boolean {
  return policy.tier === 'networkpolicy' && policy.isolates.includes(direction);
}

/** One rule as the row builder takes it. */
interface Entry {
  readonly peers: PeerColumns;
  /** Undefined where the shape depends on the column. */
  readonly shape: PortShape | undefined;
  shapeOf(column: number): PortShape;
  make(shape: PortShape, missing: number): Token;
}

/** The rules of a policy as entries, kept for every policy (and set of named ports where those matter). */
function createEntries(input: TableInput): (policy: number, subjectPorts: NamedPorts) => readonly Entry[] {
  const { policies, direction, columns, ports } = input;
  const kept = new Map<string | number, readonly Entry[]>();
  return (index, subjectPorts) => {
    const policy = policies[index]!;
    if (!isGoverning(policy, direction)) return [];
    const isNamed = direction === 'ingress' && policy[direction].some(hasNamedPort);
    const key = isNamed ? `${index}|${namedPortsKey(subjectPorts)}` : index;
    let entries = kept.get(key);
    if (entries === undefined)
      kept.set(key, (entries = policy[direction].map((rule) => entryOf(policy, index, rule, subjectPorts))));
    return entries;
  };

  function entryOf(policy: Policy, ordinal: number, rule: Rule, subjectPorts: NamedPorts): Entry {
    const dependsOnColumn = direction === 'egress' && hasNamedPort(rule);
    const byNames = new Map<string, PortShape>();
    return {
      peers: columns.match(rule),
      shape: dependsOnColumn ? undefined : ports.shape(resolvePorts(rule.ports, subjectPorts)),
      shapeOf(column) {
        const named = columns.namedPorts(column);
        const key = named === undefined ? '?' : namedPortsKey(named);
        let shape = byNames.get(key);
        if (shape === undefined) byNames.set(key, (shape = ports.shape(resolvePorts(rule.ports, named))));
        return shape;
      },
      make: (shape, missing) => ({
        tier: policy.tier,
        priority: policy.priority,
        policy: policy.tier === 'networkpolicy' ? 0 : ordinal,
        action: rule.action,
        shape,
        missing,
      }),
    };
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

function hasNamedPort(rule: Rule): boolean {
  return rule.ports?.some((port) => port.kind === 'named') ?? false;
}

function namedPortsKey(ports: NamedPorts): string {
  return [...ports]
    .map(([key, numbers]) => `${key}=${[...numbers].sort((a, b) => a - b).join('+')}`)
    .sort()
    .join(';');
}

function eachColumn(peers: PeerColumns, count: number, visit: (column: number, missing: number) => void): void {
  if (peers.isAll) for (let column = 0; column < count; column++) visit(column, 0);
  for (const column of peers.yes) visit(column, 0);
  peers.maybe.forEach((column, at) => visit(column, peers.missing[at]!));
}

/** States of cells: which tokens have matched so far. Steps are kept by (state, token), states by their content. */
interface Automaton {
  start(isIsolated: boolean, isFinal: boolean): number;
  token(token: Token): number;
  step(state: number, token: number): number;
  vector(state: number): number;
}

function createAutomaton(vectors: VectorStore): Automaton {
  const tokens: Token[] = [];
  const tokenIds = new Map<string, number>();
  const shapeIds = new Map<PortShape, number>();
  const states: { readonly tokens: readonly number[]; readonly isIsolated: boolean; readonly isFinal: boolean }[] = [];
  const stateIds = new Map<string, number>();
  const steps = new Map<number, number>();
  const vectorOf: number[] = [];
  const rank: Readonly<Record<Tier, number>> = { admin: 0, networkpolicy: 1, baseline: 2 };
  let lastKey = -1;
  let lastState = -1;

  const intern = (list: readonly number[], isIsolated: boolean, isFinal: boolean): number => {
    const key = `${Number(isIsolated)}${Number(isFinal)}|${list.join()}`;
    let id = stateIds.get(key);
    if (id === undefined) {
      id = states.push({ tokens: list, isIsolated, isFinal }) - 1;
      stateIds.set(key, id);
    }
    return id;
  };

  return {
    start: (isIsolated, isFinal) => intern([], isIsolated, isFinal),
    token(token) {
      let shape = shapeIds.get(token.shape);
      if (shape === undefined) shapeIds.set(token.shape, (shape = shapeIds.size));
      const key = `${rank[token.tier]},${token.priority},${token.policy},${token.action},${shape},${token.missing}`;
      let id = tokenIds.get(key);
      if (id === undefined) {
        id = tokens.push(token) - 1;
        // Steps are keyed by state * 2^20 + token.
        if (id >= 0x100000) throw new RangeError('at most 1,048,576 distinct rules fit in one direction');
        tokenIds.set(key, id);
      }
      return id;
    },
    step(state, token) {
      const key = state * 0x100000 + token;
      if (key === lastKey) return lastState;
      let next = steps.get(key);
      if (next === undefined) {
        next = advance(state, token);
        steps.set(key, next);
      }
      lastKey = key;
      lastState = next;
      return next;
    },
    vector(state) {
      let vector = vectorOf[state];
      if (vector === undefined) {
        const { tokens: list, isIsolated, isFinal } = states[state]!;
        vector = vectors.ofRules({ tokens: list.map((id) => tokens[id]!), isIsolated, isFinal });
        vectorOf[state] = vector;
      }
      return vector;
    },
  };

  /** NetworkPolicy rules are a set: order and repetition mean nothing. Tier rules keep their order. */
  function advance(state: number, token: number): number {
    const { tokens: list, isIsolated, isFinal } = states[state]!;
    if (list.includes(token)) return state;
    const next = [...list, token];
    if (tokens[token]!.tier === 'networkpolicy') {
      let at = next.length - 1;
      while (at > 0 && tokens[next[at - 1]!]!.tier === 'networkpolicy' && next[at - 1]! > token) {
        next[at] = next[at - 1]!;
        next[--at] = token;
      }
    }
    return intern(next, isIsolated, isFinal);
  }
}
