/**
 * The decision's part of the WASM kernel: `decide.ts` between endpoints that are pods or outside addresses, over the same
 * tables. AssemblyScript.
 */
import { Endpoint, Layout, PortClass } from '../compile/layout.ts';
import { Reason, Verdict } from '../model/verdict.ts';
import { Tables } from './table-layout.ts';

/** Bytes of an endpoint. */
const STRIDE: i32 = Endpoint.Stride * 4;

/** The endpoint of an IPv4 address. */
export function findEndpoint4(tables: i32, address: u32): i32 {
  if (load<i32>(tables, Tables.Mid4 * 4) == 0) return searchEndpoint4(tables, address);
  const mid = load<i32>(load<i32>(tables, Tables.Root4 * 4) + (address >>> 16) * 4) + ((address >>> 8) & 255);
  const leaf = load<i32>(load<i32>(tables, Tables.Mid4 * 4) + mid * 4) + (address & 255);
  return load<i32>(load<i32>(tables, Tables.Leaf4 * 4) + leaf * 4);
}

/** The form of fragments: the last start of the run that is not beyond the address. */
function searchEndpoint4(tables: i32, address: u32): i32 {
  const root = load<i32>(tables, Tables.Root4 * 4) + (address >>> 16) * 4;
  const starts = load<i32>(tables, Tables.Starts4 * 4);
  const low: i32 = address & 0xffff;
  let base = load<i32>(root);
  let length = load<i32>(root, 4) - base;
  while (length > 1) {
    const half = length >> 1;
    base += half & ((i32(load<u16>(starts + (base + half) * 2)) - low - 1) >> 31);
    length -= half;
  }
  return load<i32>(load<i32>(tables, Tables.Values4 * 4) + base * 4);
}

/** The packed decision of a flow between two endpoints below `EndpointKind.Node`. */
export function decide(tables: i32, source: i32, destination: i32, portIndex: i32): i32 {
  const endpoints = load<i32>(tables, Tables.Endpoints * 4);
  const src = endpoints + source * STRIDE;
  const dst = endpoints + destination * STRIDE;
  const portClass: i32 = load<u16>(load<i32>(tables, Tables.PortClasses * 4) + portIndex * 2);
  if (portClass == PortClass.Exempt) return Verdict.Allow | (Reason.DialectExempt << 2) | (Reason.DialectExempt << 8);
  const self = load<i32>(src, Endpoint.Self * 4);
  if (self >= 0 && self == load<i32>(dst, Endpoint.Self * 4))
    return Verdict.Allow | (Reason.SamePod << 2) | (Reason.SamePod << 8);
  const egress = outcomeAt(
    tables,
    load<i32>(tables, Tables.EgressPageIndex * 4),
    load<i32>(tables, Tables.EgressPages * 4),
    load<i32>(src, Endpoint.EgressRow * 4) * load<i32>(tables, Tables.EgressPagesPerRow * 4),
    load<i32>(dst, Endpoint.EgressColumn * 4),
    portClass,
  );
  const ingress = outcomeAt(
    tables,
    load<i32>(tables, Tables.IngressPageIndex * 4),
    load<i32>(tables, Tables.IngressPages * 4),
    load<i32>(dst, Endpoint.IngressRow * 4) * load<i32>(tables, Tables.IngressPagesPerRow * 4),
    load<i32>(src, Endpoint.IngressColumn * 4),
    portClass,
  );
  const egressVerdict = (egress >>> 6) & 3;
  const ingressVerdict = (ingress >>> 6) & 3;
  const verdict = egressVerdict < ingressVerdict ? egressVerdict : ingressVerdict;
  const missing = verdict == Verdict.Undecidable ? (egress >>> 8) | (ingress >>> 8) : 0;
  return verdict | ((egress & 63) << 2) | ((ingress & 63) << 8) | (missing << 14);
}

function outcomeAt(tables: i32, index: i32, pages: i32, row: i32, column: i32, portClass: i32): i32 {
  const page = load<i32>(index + (row + (column >>> Layout.PageBits)) * 4);
  const cell = (page << Layout.PageBits) | (column & Layout.PageMask);
  const vector: i32 =
    load<i32>(tables, Tables.CellBytes * 4) == 2 ? load<u16>(pages + cell * 2) : load<i32>(pages + cell * 4);
  const perVector = load<i32>(tables, Tables.PagesPerVector * 4);
  const vectorPage = load<i32>(
    load<i32>(tables, Tables.VectorPageIndex * 4) + (vector * perVector + (portClass >>> Layout.PageBits)) * 4,
  );
  const outcome: i32 = load<u16>(
    load<i32>(tables, Tables.VectorPages * 4) + ((vectorPage << Layout.PageBits) | (portClass & Layout.PageMask)) * 2,
  );
  return load<i32>(load<i32>(tables, Tables.Outcomes * 4) + outcome * 4);
}
