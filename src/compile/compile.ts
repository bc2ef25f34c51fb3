/**
 * compile: a snapshot and policies -> one immutable Program. The order below is the order of dependence: names of ports,
 * units, columns, port classes, rows, tables, endpoints, Services.
 */
import type { Snapshot } from '../model/cluster.ts';
import { DEFAULT_DIALECT, type Dialect } from '../model/dialect.ts';
import type { Direction, Policy, Rule, Tier } from '../model/policy.ts';
import { buildColumns, type FinishedColumns } from './column.ts';
import { indexEndpoints } from './endpoint.ts';
import { DialectFlag, Endpoint, Header, PortClass, PortIndex, Row, ServiceSlot } from './layout.ts';
import { grow, ListStore } from './list.ts';
import { classifyPorts, PROTOCOL_ORDINAL, type PortRange, rangeOfMatch } from './port.ts';
import { buildProgram, type Program } from './program.ts';
import { buildServiceTable, listServices } from './service.ts';
import { createTableBuilder, isGoverning, type Subject, type TableBuilder } from './table.ts';
import { collectQuestions, indexUnits, type UnitIndex } from './unit.ts';
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
  const ordered = orderPolicies(policies);
  const known = new Set(ordered);
  const units = indexUnits(snapshot, collectQuestions(ordered));
  const columns = {
    egress: buildColumns(ordered, 'egress', units, snapshot.nodes),
    ingress: buildColumns(ordered, 'ingress', units, snapshot.nodes),
  };
  const ports = classifyPorts(collectRanges(ordered, units));
  if (dialect.icmp === 'always') ports.table.fill(PortClass.Exempt, PortIndex.Other, PortIndex.Other + 255); // DI-07
  if (dialect.neighborDiscovery === 'judge') ports.table[PortIndex.Exempt] = ports.table[PortIndex.Other + 58]!; // DI-08
  const vectors = new VectorStore(ports.count, dialect.icmp);
  let builders: Readonly<Record<Direction, TableBuilder>> | undefined;
  const first = assemble(snapshot, ordered, units.unitOfPod)!;

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
      const fresh = changedPolicies.filter((policy) => !known.has(policy));
      const unitOfPod = units.place(changed.pods);
      if (unitOfPod === undefined || !units.covers(fresh)) return undefined;
      for (const range of collectRanges(fresh)) if (!ports.covers(range)) return undefined;
      for (const policy of fresh) {
        if (!columns.egress.admit(policy) || !columns.ingress.admit(policy)) return undefined;
        known.add(policy);
      }
      return assemble(changed, orderPolicies(changedPolicies), unitOfPod);
    },
  };

  /** Undefined where an endpoint needs a column that the tables do not have. */
  function assemble(world: Snapshot, own: readonly Policy[], unitOfPod: Int32Array): Program | undefined {
    const endpoints = indexEndpoints(world, dialect, units, unitOfPod, columns.egress, columns.ingress);
    const finished = { egress: columns.egress.finish(), ingress: columns.ingress.finish() };
    if (finished.egress === undefined || finished.ingress === undefined) return undefined;
    builders ??= {
      egress: createBuilder('egress', finished.egress),
      ingress: createBuilder('ingress', finished.ingress),
    };
    const services = listServices(world, dialect, endpoints.ofAddress);
    const rows = {
      egress: assignRows(own, 'egress', units, dialect),
      ingress: assignRows(own, 'ingress', units, dialect),
    };
    const governs = (direction: Direction): boolean => own.some((policy) => isGoverning(policy, direction));
    const tables = {
      egress: builders.egress.build(rows.egress.subjects, governs('egress')),
      ingress: builders.ingress.build(rows.ingress.subjects, governs('ingress')),
    };
    const index = endpoints.finish({
      egressRows: rows.egress.rowOfUnit,
      ingressRows: rows.ingress.rowOfUnit,
      egressColumns: finished.egress.finalOf,
      ingressColumns: finished.ingress.finalOf,
    });
    const serviceTable = buildServiceTable(services, ({ pod, address }, family) =>
      pod === undefined ? index.ofAddress(address!) : index.ofPod(pod, family),
    );
    const { scalars: scalars6, ...lookup6 } = index.lookup6;
    return buildProgram(
      {
        ...index.lookup4,
        ...lookup6,
        endpoints: index.records,
        egressPageIndex: tables.egress.pageIndex,
        egressPages: narrowCells(tables.egress.pages, vectors.count),
        ingressPageIndex: tables.ingress.pageIndex,
        ingressPages: narrowCells(tables.ingress.pages, vectors.count),
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
        [Header.Dialect, dialectFlags(dialect)],
        ...scalars6,
      ]),
      { snapshot: world, policies: own, dialect },
    );
  }

  function createBuilder(direction: Direction, finished: FinishedColumns): TableBuilder {
    return createTableBuilder({
      direction,
      subjectPorts: units.portGroups,
      columns: finished,
      ports,
      vectors,
      scope: dialect.networkPolicyScope,
    });
  }
}

/** Cells as narrow as their numbers allow; both tables have the same width, `Header.CellBytes`. */
function narrowCells(pages: Uint32Array, vectorCount: number): Uint16Array | Uint32Array {
  return vectorCount <= 65_536 ? new Uint16Array(pages) : pages;
}

/** TI-01: admin tier by priority, NetworkPolicies as given, baseline tier by priority. */
function orderPolicies(policies: readonly Policy[]): Policy[] {
  const rank: Readonly<Record<Tier, number>> = { admin: 0, networkpolicy: 1, baseline: 2 };
  return [...policies].sort((a, b) => rank[a.tier] - rank[b.tier] || a.priority - b.priority);
}

/** Every numeric range of the rules, and every number that a name may stand for. */
function collectRanges(policies: readonly Policy[], index?: UnitIndex): PortRange[] {
  const ranges: PortRange[] = [];
  const addRules = (rules: readonly Rule[]): void => {
    for (const { ports } of rules)
      if (ports !== undefined) for (const port of ports) if (port.kind !== 'named') ranges.push(rangeOfMatch(port));
  };
  for (const { ingress, egress } of policies) {
    addRules(ingress);
    addRules(egress);
  }
  for (const ports of index?.portGroups ?? [])
    for (const [key, numbers] of ports) {
      const protocol = PROTOCOL_ORDINAL[key.slice(0, key.indexOf('/')) as keyof typeof PROTOCOL_ORDINAL];
      for (const port of numbers) ranges.push({ protocol, first: port, last: port });
    }
  return ranges;
}

/** NP-02, NP-03: which policies govern each unit in a direction; units that agree share a row. */
function assignRows(
  policies: readonly Policy[],
  direction: Direction,
  index: UnitIndex,
  dialect: Dialect,
): { subjects: Subject[]; rowOfUnit: Int32Array } {
  const governing: number[][] = index.units.map(() => []);
  policies.forEach((policy, ordinal) => {
    // DI-09
    const endsBoth = dialect.networkPolicyScope === 'per-pod' && policy.tier === 'networkpolicy';
    if (!endsBoth && !isGoverning(policy, direction)) return;
    for (const unit of index.select(policy.subject, index.setNumber(policy.subject))) governing[unit]!.push(ordinal);
  });
  const needsPorts = policies.map(
    (policy) =>
      direction === 'ingress' && policy.ingress.some((rule) => rule.ports?.some((port) => port.kind === 'named')),
  );
  const subjects: Subject[] = [];
  const rows = new ListStore();
  let key = new Int32Array(64);
  const rowOfUnit = Int32Array.from(governing, (list, unit) => {
    if (list.length === 0) return Row.NotIsolated;
    if (list.length + 1 > key.length) key = grow(key, list.length + 1);
    const portGroup = list.some((policy) => needsPorts[policy]) ? index.units[unit]!.portGroup : -1;
    key[0] = portGroup;
    list.forEach((policy, at) => (key[at + 1] = policy));
    const row = rows.intern(key, list.length + 1);
    if (row === subjects.length) subjects.push({ policies: list.map((ordinal) => policies[ordinal]!), portGroup });
    return Row.First + row;
  });
  return { subjects, rowOfUnit };
}

function dialectFlags(dialect: Dialect): number {
  return (
    (dialect.ownNodeIngress === 'allow' ? DialectFlag.OwnNodeIngress : 0) |
    (dialect.ownNodeEgress === 'allow' ? DialectFlag.OwnNodeEgress : 0) |
    (dialect.hairpin === 'allow' ? DialectFlag.HairpinAllow : 0)
  );
}
