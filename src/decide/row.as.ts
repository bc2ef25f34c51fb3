/**
 * Many rows at once: `findEndpoint4` and `decide` for columns, in AssemblyScript. Blocks of rows take one step after another, since
 * short chains of loads overlap where long ones do not; what is arithmetic is done for four rows at a time, what is a load four
 * times in a row. What a row leaves for the next step stands in `Scratch`, mostly the address of what that has to load. A row that
 * is out of the ordinary goes through the steps like the others, to be decided by itself at the end.
 */
import { Endpoint, EndpointKind, Layout, PortClass, PortIndex, TrieCell } from '../compile/layout.ts';
import { Protocol } from '../model/port.ts';
import { Verdict } from '../model/verdict.ts';
import { decide, ENDPOINT_BYTES, findEndpoint4 } from './table.as.ts';
import { Scratch, Tables } from './table-layout.ts';

/** Left by `decideRows` where the reference has to decide. */
const UNDECIDED: i32 = -1;

/** The endpoint of each IPv4 address of `addresses[0, count)`. */
export function find4(tables: i32, addresses: i32, endpoints: i32, count: i32): void {
  let row = 0;
  const root = load<i32>(tables, Tables.Root4 * 4);
  const mid = load<i32>(tables, Tables.Mid4 * 4);
  const leaf = load<i32>(tables, Tables.Leaf4 * 4);
  if (mid != 0)
    for (; row + 8 <= count; row += 8) {
      findFour(root, mid, leaf, addresses + row * 4, endpoints + row * 4);
      findFour(root, mid, leaf, addresses + row * 4 + 16, endpoints + row * 4 + 16);
    }
  for (; row < count; row++)
    store<i32>(endpoints + row * 4, findEndpoint4(tables, load<u32>(addresses + row * 4)));
}

// @ts-ignore: decorator
@inline
function findFour(root: i32, mid: i32, leaf: i32, addresses: i32, endpoints: i32): void {
  findOne(root, mid, leaf, addresses, endpoints);
  findOne(root, mid, leaf, addresses + 4, endpoints + 4);
  findOne(root, mid, leaf, addresses + 8, endpoints + 8);
  findOne(root, mid, leaf, addresses + 12, endpoints + 12);
}

/** `findInTrie`, with the address read in three parts from where it lies: loads cost less than what takes it apart. */
// @ts-ignore: decorator
@inline
function findOne(root: i32, mid: i32, leaf: i32, address: i32, endpoint: i32): void {
  const third = load<i32>(root + <i32>load<u16>(address, 2) * 4) + <i32>load<u8>(address, 1);
  const cell = load<i32>(mid + third * 4);
  store<i32>(endpoint, load<i32>(leaf + ((cell >>> TrieCell.Shift) + (load<u8>(address) & cell)) * 4));
}

/**
 * The packed decision of each row: IPv4, TCP or UDP, between pods and outside addresses; -1 for every other. Returns how many those
 * are. `scratch` is `Scratch.Bytes`.
 */
export function decideRows(
  tables: i32,
  families: i32,
  protocols: i32,
  sources: i32,
  destinations: i32,
  ports: i32,
  out: i32,
  scratch: i32,
  count: i32,
): i32 {
  const whole = count & -4;
  let left = 0;
  for (let row = 0; row < whole; row += Scratch.Rows) {
    const length = min(Scratch.Rows as i32, whole - row);
    find4(tables, sources + row * 4, scratch + Scratch.Source, length);
    find4(tables, destinations + row * 4, scratch + Scratch.Destination, length);
    findClasses(tables, families + row, protocols + row, ports + row * 4, scratch, length);
    findPlaces(tables, scratch, length);
    findVectors(load<i32>(tables, Tables.CellBytes * 4), scratch + Scratch.Egress, length);
    findVectors(load<i32>(tables, Tables.CellBytes * 4), scratch + Scratch.Ingress, length);
    findOutcomes(tables, scratch, length);
    combineOutcomes(scratch, out + row * 4, length);
    for (let at = 0; at < length; at += 4)
      if (v128.any_true(v128.load(scratch + at * 4, Scratch.Rare)))
        for (let rare = row + at; rare < row + at + 4; rare++)
          if (load<i32>(scratch + (rare - row) * 4, Scratch.Rare) != 0)
            left += decideRow(tables, families, protocols, sources, destinations, ports, out, rare);
  }
  for (let row = whole; row < count; row++)
    left += decideRow(tables, families, protocols, sources, destinations, ports, out, row);
  return left;
}

/** One row by itself; 1 where it is left to the reference. */
function decideRow(
  tables: i32,
  families: i32,
  protocols: i32,
  sources: i32,
  destinations: i32,
  ports: i32,
  out: i32,
  row: i32,
): i32 {
  const protocol: i32 = load<u8>(protocols + row);
  const port = load<i32>(ports + row * 4);
  let decision = UNDECIDED;
  if (load<u8>(families + row) == 4 && port >>> 16 == 0 && (protocol == Protocol.Tcp || protocol == Protocol.Udp)) {
    const source = findEndpoint4(tables, load<u32>(sources + row * 4));
    const destination = findEndpoint4(tables, load<u32>(destinations + row * 4));
    if (isPlain(tables, source) && isPlain(tables, destination))
      decision = decide(tables, source, destination, (protocol == Protocol.Tcp ? PortIndex.Tcp : PortIndex.Udp) + port);
  }
  store<i32>(out + row * 4, decision);
  return i32(decision == UNDECIDED);
}

/** Neither a node nor a Service? */
function isPlain(tables: i32, endpoint: i32): bool {
  const record = load<i32>(tables, Tables.Endpoints * 4) + endpoint * ENDPOINT_BYTES;
  return (load<i32>(record, Endpoint.Kind * 4) & EndpointKind.Mask) < EndpointKind.Node;
}

/** Port classes; rare are rows that are no IPv4, neither TCP nor UDP, or without a port. */
function findClasses(tables: i32, families: i32, protocols: i32, ports: i32, scratch: i32, count: i32): void {
  const classes = load<i32>(tables, Tables.PortClasses * 4);
  for (let row = 0; row < count; row += 4) {
    const at = scratch + row * 4;
    const family = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(families + row)));
    const protocol = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(protocols + row)));
    const port = v128.load(ports + row * 4);
    const isUdp = i32x4.eq(protocol, i32x4.splat(Protocol.Udp));
    const hasPort = v128.and(
      v128.or(isUdp, i32x4.eq(protocol, i32x4.splat(Protocol.Tcp))),
      v128.and(i32x4.eq(family, i32x4.splat(4)), i32x4.eq(i32x4.shr_u(port, 16), i32x4.splat(0))),
    );
    const index = v128.and(v128.or(port, v128.and(isUdp, i32x4.splat(PortIndex.Udp))), hasPort);
    v128.store(at, v128.not(hasPort), Scratch.Rare);
    v128.store(at, i32x4.add(i32x4.splat(classes), i32x4.shl(index, 1)), Scratch.Class);
    loadClass(at);
    loadClass(at + 4);
    loadClass(at + 8);
    loadClass(at + 12);
  }
}

// @ts-ignore: decorator
@inline
function loadClass(at: i32): void {
  store<i32>(at, load<u16>(load<i32>(at, Scratch.Class)), Scratch.Class);
}

/**
 * Of each direction the address of the page's number, and of the column's cell in the first page. Rare are also rows that ask no rule, and
 * ends that are more than row and column.
 */
function findPlaces(tables: i32, scratch: i32, count: i32): void {
  const endpoints = load<i32>(tables, Tables.Endpoints * 4);
  const firstRare = i32x4.splat(load<i32>(tables, Tables.FirstRare * 4));
  const egressIndex = i32x4.splat(load<i32>(tables, Tables.EgressPageIndex * 4));
  const ingressIndex = i32x4.splat(load<i32>(tables, Tables.IngressPageIndex * 4));
  const egressPerRow = i32x4.splat(load<i32>(tables, Tables.EgressPagesPerRow * 4));
  const ingressPerRow = i32x4.splat(load<i32>(tables, Tables.IngressPagesPerRow * 4));
  const egressPages = i32x4.splat(load<i32>(tables, Tables.EgressPages * 4));
  const ingressPages = i32x4.splat(load<i32>(tables, Tables.IngressPages * 4));
  const mask = i32x4.splat(Layout.PageMask);
  const cellShift = load<i32>(tables, Tables.CellBytes * 4) >>> 1;
  for (let row = 0; row < count; row += 4) {
    const at = scratch + row * 4;
    const first = loadSides(endpoints, at);
    const second = loadSides(endpoints, at + 4);
    const third = loadSides(endpoints, at + 8);
    const fourth = loadSides(endpoints, at + 12);
    // Four rows of four fields to four fields of four rows.
    const egress01 = v128.shuffle<i32>(first, second, 0, 4, 1, 5);
    const egress23 = v128.shuffle<i32>(third, fourth, 0, 4, 1, 5);
    const ingress01 = v128.shuffle<i32>(first, second, 2, 6, 3, 7);
    const ingress23 = v128.shuffle<i32>(third, fourth, 2, 6, 3, 7);
    const egressRow = v128.shuffle<i32>(egress01, egress23, 0, 1, 4, 5);
    const egressColumn = v128.shuffle<i32>(egress01, egress23, 2, 3, 6, 7);
    const ingressRow = v128.shuffle<i32>(ingress01, ingress23, 0, 1, 4, 5);
    const ingressColumn = v128.shuffle<i32>(ingress01, ingress23, 2, 3, 6, 7);
    const egressPage = i32x4.add(i32x4.mul(egressRow, egressPerRow), i32x4.shr_u(egressColumn, Layout.PageBits));
    const ingressPage = i32x4.add(i32x4.mul(ingressRow, ingressPerRow), i32x4.shr_u(ingressColumn, Layout.PageBits));
    const source = v128.load(at, Scratch.Source);
    const destination = v128.load(at, Scratch.Destination);
    const asksNoRule = v128.or(
      i32x4.eq(source, destination),
      i32x4.eq(v128.load(at, Scratch.Class), i32x4.splat(PortClass.Exempt)),
    );
    const isMore = v128.or(i32x4.ge_s(source, firstRare), i32x4.ge_s(destination, firstRare));
    const isRare = v128.or(v128.load(at, Scratch.Rare), v128.or(asksNoRule, isMore));
    v128.store(at, i32x4.add(egressIndex, i32x4.shl(egressPage, 2)), Scratch.Egress);
    v128.store(at, i32x4.add(egressPages, i32x4.shl(v128.and(egressColumn, mask), cellShift)), Scratch.EgressCell);
    v128.store(at, i32x4.add(ingressIndex, i32x4.shl(ingressPage, 2)), Scratch.Ingress);
    v128.store(at, i32x4.add(ingressPages, i32x4.shl(v128.and(ingressColumn, mask), cellShift)), Scratch.IngressCell);
    v128.store(at, isRare, Scratch.Rare);
  }
}

/** Row and column of a flow's egress, then of its ingress: `Endpoint` begins with these of its subject and its peer. */
// @ts-ignore: decorator
@inline
function loadSides(endpoints: i32, at: i32): v128 {
  return v128.shuffle<i32>(
    v128.load(endpoints + load<i32>(at, Scratch.Source) * ENDPOINT_BYTES),
    v128.load(endpoints + load<i32>(at, Scratch.Destination) * ENDPOINT_BYTES),
    Endpoint.EgressRow as u8,
    (4 + Endpoint.EgressColumn) as u8,
    (4 + Endpoint.IngressRow) as u8,
    Endpoint.IngressColumn as u8,
  );
}

/** Of a direction's places the vectors. */
function findVectors(cellBytes: i32, places: i32, count: i32): void {
  const end = places + count * 4;
  if (cellBytes == 2)
    for (let at = places; at < end; at += 16) {
      loadNarrow(at);
      loadNarrow(at + 4);
      loadNarrow(at + 8);
      loadNarrow(at + 12);
    }
  else
    for (let at = places; at < end; at += 4)
      store<i32>(at, load<i32>(load<i32>(at, Scratch.Cell) + (load<i32>(load<i32>(at)) << (Layout.PageBits + 2))));
}

// @ts-ignore: decorator
@inline
function loadNarrow(at: i32): void {
  store<i32>(at, load<u16>(load<i32>(at, Scratch.Cell) + (load<i32>(load<i32>(at)) << (Layout.PageBits + 1))));
}

/** Of vectors and port classes the outcomes. */
function findOutcomes(tables: i32, scratch: i32, count: i32): void {
  const index = i32x4.splat(load<i32>(tables, Tables.VectorPageIndex * 4));
  const pages = i32x4.splat(load<i32>(tables, Tables.VectorPages * 4));
  const perVector = i32x4.splat(load<i32>(tables, Tables.PagesPerVector * 4));
  const outcomes = load<i32>(tables, Tables.Outcomes * 4);
  for (let row = 0; row < count; row += 4) {
    const at = scratch + row * 4;
    const portClass = v128.load(at, Scratch.Class);
    const page = i32x4.shr_u(portClass, Layout.PageBits);
    const egress = i32x4.add(i32x4.mul(v128.load(at, Scratch.Egress), perVector), page);
    const ingress = i32x4.add(i32x4.mul(v128.load(at, Scratch.Ingress), perVector), page);
    v128.store(at, i32x4.add(index, i32x4.shl(egress, 2)), Scratch.Egress);
    v128.store(at, i32x4.add(index, i32x4.shl(ingress, 2)), Scratch.Ingress);
    v128.store(at, i32x4.add(pages, i32x4.shl(v128.and(portClass, i32x4.splat(Layout.PageMask)), 1)), Scratch.Class);
  }
  for (let row = 0; row < count; row += 4) {
    const at = scratch + row * 4;
    loadOutcomes(outcomes, at);
    loadOutcomes(outcomes, at + 4);
    loadOutcomes(outcomes, at + 8);
    loadOutcomes(outcomes, at + 12);
  }
}

// @ts-ignore: decorator
@inline
function loadOutcomes(outcomes: i32, at: i32): void {
  const pages = load<i32>(at, Scratch.Class);
  const egress: i32 = load<u16>(pages + (load<i32>(load<i32>(at, Scratch.Egress)) << (Layout.PageBits + 1)));
  const ingress: i32 = load<u16>(pages + (load<i32>(load<i32>(at, Scratch.Ingress)) << (Layout.PageBits + 1)));
  store<i32>(at, load<i32>(outcomes + egress * 4), Scratch.Egress);
  store<i32>(at, load<i32>(outcomes + ingress * 4), Scratch.Ingress);
}

/** `combine` of the outcomes. */
function combineOutcomes(scratch: i32, out: i32, count: i32): void {
  for (let row = 0; row < count; row += 4) {
    const egress = v128.load(scratch + row * 4, Scratch.Egress);
    const ingress = v128.load(scratch + row * 4, Scratch.Ingress);
    const verdict = i32x4.min_u(
      v128.and(i32x4.shr_u(egress, 6), i32x4.splat(3)),
      v128.and(i32x4.shr_u(ingress, 6), i32x4.splat(3)),
    );
    const facts = i32x4.shl(i32x4.shr_u(v128.or(egress, ingress), 8), 14);
    const missing = v128.and(i32x4.eq(verdict, i32x4.splat(Verdict.Undecidable)), facts);
    const reasons = v128.or(
      i32x4.shl(v128.and(egress, i32x4.splat(63)), 2),
      i32x4.shl(v128.and(ingress, i32x4.splat(63)), 8),
    );
    v128.store(out + row * 4, v128.or(v128.or(verdict, reasons), missing));
  }
}
