/**
 * compile: a snapshot and policies -> one immutable Program. The order below is the order of dependence: policies in numbers,
 * units, columns, port classes, rows, tables, endpoints, Services.
 */
import type { Snapshot } from '../model/cluster.ts';
import { DEFAULT_DIALECT, type Dialect } from '../model/dialect.ts';
import type { Direction, Policy, Tier } from '../model/policy.ts';
import type { PortMatch } from '../model/port.ts';
import { DIRECTION_ORDINAL, PolicyBook, PolicyFlag } from './book.ts';
import { Columns, type FinishedColumns } from './column.ts';
import { indexEndpoints } from './endpoint.ts';
import { DialectFlag, Endpoint, Header, PortClass, PortIndex, Row, ServiceSlot } from './layout.ts';
import { grow } from './list.ts';
import { classifyPorts, PROTOCOL_ORDINAL, type PortRange, rangeOfMatch } from './port.ts';
import { buildProgram, type Program } from './program.ts';
import { keepRuleMatches, type MatchedDirection } from './rule-match.ts';
import { buildServiceTable, listServices } from './service.ts';
import { TableBuilder } from './table.ts';
import { indexUnits, type UnitIndex } from './unit.ts';
import { VectorStore } from './vector.ts';

/** Compiles a cluster and its policies. Throws a RangeError where a number does not fit its width; see `layout.ts`. */
export function compile(snapshot: Snapshot, policies: readonly Policy[], dialect: Dialect = DEFAULT_DIALECT): Program {
  return createCompilation(snapshot, policies, dialect).first;
}

/** What was worked out for a Program, as far as it serves for others that differ in some pods and policies. */
export interface Compilation {
  readonly first: Program;
  /**
   * The Program of other pods and policies; what is known of selectors, columns and rows is used again. Undefined where they need
   * something that the compilation does not tell apart: a unit, a column, an address set or a port class of their own. Nodes,
   * namespaces, Services and the dialect must be those of `first`.
   */
  next(snapshot: Snapshot, policies: readonly Policy[]): Program | undefined;
  readonly work: CompileWork;
}

/** What a compilation has done so far. */
export interface CompileWork {
  readonly rowsBuilt: number;
  readonly pagesKept: number;
}

/** Compiles, and keeps what `next` needs. */
export function createCompilation(snapshot: Snapshot, policies: readonly Policy[], dialect: Dialect): Compilation {
  const book = new PolicyBook();
  const ordered = orderPolicies(policies);
  const numbers = Int32Array.from(ordered, (policy) => book.read(policy));
  const units = indexUnits(snapshot, book);
  const columns = {
    egress: new Columns(book, 'egress', units, snapshot.nodes),
    ingress: new Columns(book, 'ingress', units, snapshot.nodes),
  };
  const ports = classifyPorts(collectRanges(book.portsOf, units));
  if (dialect.icmp === 'always') ports.table.fill(PortClass.Exempt, PortIndex.Other, PortIndex.Other + 255); // DI-07
  if (dialect.neighborDiscovery === 'judge') ports.table[PortIndex.Exempt] = ports.table[PortIndex.Other + 58]!; // DI-08
  const vectors = new VectorStore(ports.count, dialect.icmp);
  let builders: Readonly<Record<Direction, TableBuilder>> | undefined;
  // Policies that `first` and `next` have read, by identity; made when it is needed.
  let known: Map<Policy, number> | undefined;
  const first = assemble(snapshot, ordered, numbers, units.unitOfPod)!;

  return {
    first,
    get work() {
      const both = [builders!.egress, builders!.ingress];
      return {
        rowsBuilt: both.reduce((sum, { rowCount }) => sum + rowCount, 0),
        pagesKept: both.reduce((sum, { pageCount }) => sum + pageCount, 0),
      };
    },
    next(changed, changedPolicies) {
      known ??= new Map(book.policies.map((policy, number) => [policy, number]));
      const fresh = changedPolicies.filter((policy) => !known!.has(policy));
      const freshNumbers = fresh.map((policy) => book.read(policy));
      const unitOfPod = units.isComplete() ? units.place(changed.pods) : undefined;
      if (unitOfPod === undefined) return undefined;
      for (let at = 0; at < fresh.length; at++) {
        const number = freshNumbers[at]!;
        if (!coversPorts(fresh[at]!) || !columns.egress.admit(number) || !columns.ingress.admit(number))
          return undefined;
        known.set(fresh[at]!, number);
      }
      const own = orderPolicies(changedPolicies);
      return assemble(
        changed,
        own,
        Int32Array.from(own, (policy) => known!.get(policy)!),
        unitOfPod,
      );
    },
  };

  function coversPorts({ ingress, egress }: Policy): boolean {
    return [...ingress, ...egress].every(({ ports: list }) =>
      rangesOf(list ?? []).every((range) => ports.covers(range)),
    );
  }

  /** Undefined where an endpoint needs a column that the tables do not have. */
  function assemble(
    world: Snapshot,
    own: readonly Policy[],
    numbersOfOwn: Int32Array,
    unitOfPod: Int32Array,
  ): Program | undefined {
    const endpoints = indexEndpoints(world, dialect, units, unitOfPod, columns.egress, columns.ingress);
    const finished = { egress: columns.egress.finish(), ingress: columns.ingress.finish() };
    if (finished.egress === undefined || finished.ingress === undefined) return undefined;
    builders ??= {
      egress: createBuilder('egress', finished.egress),
      ingress: createBuilder('ingress', finished.ingress),
    };
    const rows = {
      egress: assignRows(numbersOfOwn, 'egress'),
      ingress: assignRows(numbersOfOwn, 'ingress'),
    };
    const governs = (direction: Direction): boolean =>
      numbersOfOwn.some((policy) => (book.flags[policy]! & (PolicyFlag.Governs << DIRECTION_ORDINAL[direction])) !== 0);
    const tables = {
      egress: builders.egress.build(rows.egress.rows, governs('egress')),
      ingress: builders.ingress.build(rows.ingress.rows, governs('ingress')),
    };
    const index = endpoints.finish({
      egressRows: rows.egress.rowOfUnit,
      ingressRows: rows.ingress.rowOfUnit,
      egressColumns: finished.egress.finalOf,
      ingressColumns: finished.ingress.finalOf,
    });
    // Last: what is made for each Service is gone before the collector comes.
    const services = listServices(world, dialect, endpoints.ofAddress);
    const serviceTable = buildServiceTable(services, ({ pod, address }, family) =>
      pod === undefined ? index.ofAddress(address!) : index.ofPod(pod, family),
    );
    const { scalars: scalars6, ...lookup6 } = index.lookup6;
    const program = buildProgram(
      {
        ...index.lookup4,
        ...lookup6,
        endpoints: index.records,
        egressPageIndex: tables.egress.pageIndex,
        egressPages: tables.egress.pages,
        ingressPageIndex: tables.ingress.pageIndex,
        ingressPages: tables.ingress.pages,
        portClasses: ports.table,
        ...vectors.finish(),
        ...serviceTable,
        podEndpointStart: index.podEndpointStart,
        podEndpoints: index.podEndpoints,
      },
      new Map<Header, number>([
        [Header.EgressPagesPerRow, tables.egress.pagesPerRow],
        [Header.IngressPagesPerRow, tables.ingress.pagesPerRow],
        [Header.PagesPerVector, vectors.pagesPerVector],
        [Header.EndpointCount, index.records.length / Endpoint.Stride],
        [Header.OutsideNoAddress, index.outsideNoAddress],
        [Header.NodeNoAddress, index.nodeNoAddress],
        [Header.ServiceMask, serviceTable.serviceSlots.length / ServiceSlot.Stride - 1],
        // As narrow as the numbers of vectors allow, in both directions.
        [Header.CellBytes, vectors.count <= 65_536 ? 2 : 4],
        [Header.Dialect, dialectFlags(dialect)],
        ...scalars6,
      ]),
      { snapshot: world, policies: own, dialect },
    );
    const matched = (direction: Direction): MatchedDirection => ({
      keyOf: builders![direction].keysOf(rows[direction].rows),
      answers: finished[direction]!.answered(),
    });
    const { rules, ruleStarts } = book;
    const directions = { egress: matched('egress'), ingress: matched('ingress') };
    keepRuleMatches(program, { numbers: numbersOfOwn, rules, ruleStarts, directions });
    return program;
  }

  function createBuilder(direction: Direction, finished: FinishedColumns): TableBuilder {
    return new TableBuilder({
      direction,
      book,
      subjectPorts: units.portGroups,
      columns: finished,
      ports,
      vectors,
    });
  }

  /** NP-02, NP-03: which policies govern each unit in a direction; units that agree share a row. */
  function assignRows(own: Int32Array, direction: Direction): { rows: Int32Array; rowOfUnit: Int32Array } {
    const ordinal = DIRECTION_ORDINAL[direction];
    const counted =
      (PolicyFlag.Governs << ordinal) | (dialect.networkPolicyScope === 'per-pod' ? PolicyFlag.NetworkPolicy : 0); // DI-09
    const governing = own.filter((policy) => (book.flags[policy]! & counted) !== 0);
    const ends = new Int32Array(units.count + 1);
    for (const policy of governing) {
      const { words, start, end } = units.select(book.subjects[policy]!);
      for (let at = start; at < end; at++) ends[words[at]! + 1]!++;
    }
    for (let unit = 0; unit < units.count; unit++) ends[unit + 1]! += ends[unit]!;
    const policies = new Int32Array(ends[units.count]!);
    // From here on where each unit's list ends so far: at last, where the next one begins.
    for (let unit = units.count; unit > 0; unit--) ends[unit] = ends[unit - 1]!;
    for (const policy of governing) {
      const { words, start, end } = units.select(book.subjects[policy]!);
      for (let at = start; at < end; at++) policies[ends[words[at]! + 1]!++] = policy;
    }
    const rowOfUnit = new Int32Array(units.count).fill(Row.NotIsolated);
    const placeOf = new Map<number, number>();
    let key: Int32Array = new Int32Array(64);
    for (let unit = 0; unit < units.count; unit++) {
      const start = ends[unit]!;
      const length = ends[unit + 1]! - start;
      if (length === 0) continue;
      key = grow(key, length + 1);
      key[0] = -1;
      for (let at = 0; at < length; at++) {
        const policy = policies[start + at]!;
        key[at + 1] = policy;
        if (ordinal === 1 && (book.flags[policy]! & PolicyFlag.NamedIngress) !== 0) key[0] = units.portGroupOf[unit]!;
      }
      const row = builders![direction].row(key, length + 1);
      let place = placeOf.get(row);
      if (place === undefined) placeOf.set(row, (place = placeOf.size));
      rowOfUnit[unit] = Row.First + place;
    }
    return { rows: Int32Array.from(placeOf.keys()), rowOfUnit };
  }
}

/** TI-01: admin tier by priority, NetworkPolicies as given, baseline tier by priority. */
function orderPolicies(policies: readonly Policy[]): Policy[] {
  const rank: Readonly<Record<Tier, number>> = { admin: 0, networkpolicy: 1, baseline: 2 };
  return [...policies].sort((a, b) => rank[a.tier] - rank[b.tier] || a.priority - b.priority);
}

/** Every numeric range of the rules, and every number that a name may stand for. */
function collectRanges(lists: readonly (readonly PortMatch[])[], { portGroups }: UnitIndex): PortRange[] {
  const ranges = lists.flatMap(rangesOf);
  for (const ports of portGroups)
    for (const [key, numbers] of ports) {
      const protocol = PROTOCOL_ORDINAL[key.slice(0, key.indexOf('/')) as keyof typeof PROTOCOL_ORDINAL];
      for (const port of numbers) ranges.push({ protocol, first: port, last: port });
    }
  return ranges;
}

function rangesOf(ports: readonly PortMatch[]): PortRange[] {
  return ports.flatMap((port) => (port.kind === 'named' ? [] : [rangeOfMatch(port)]));
}

function dialectFlags(dialect: Dialect): number {
  return (
    (dialect.ownNodeIngress === 'allow' ? DialectFlag.OwnNodeIngress : 0) |
    (dialect.ownNodeEgress === 'allow' ? DialectFlag.OwnNodeEgress : 0) |
    (dialect.hairpin === 'allow' ? DialectFlag.HairpinAllow : 0)
  );
}
