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
  const mid = load<i32>(tables, Tables.Mid4 * 4);
  if (mid == 0) return searchEndpoint4(tables, address);
  return findInTrie(load<i32>(tables, Tables.Root4 * 4), mid, load<i32>(tables, Tables.Leaf4 * 4), address);
}

/** The same with the trie's addresses in hand. */
// @ts-ignore: decorator
@inline
export function findInTrie(root: i32, mid: i32, leaf: i32, address: u32): i32 {
  const third = load<i32>(root + (address >>> 16) * 4) + ((address >>> 8) & 255);
  const fourth = load<i32>(mid + third * 4) + (address & 255);
  return load<i32>(leaf + fourth * 4);
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
  return decideIn(
    load<i32>(tables, Tables.Endpoints * 4),
    load<i32>(tables, Tables.PortClasses * 4),
    load<i32>(tables, Tables.EgressPageIndex * 4),
    load<i32>(tables, Tables.EgressPages * 4),
    load<i32>(tables, Tables.EgressPagesPerRow * 4),
    load<i32>(tables, Tables.IngressPageIndex * 4),
    load<i32>(tables, Tables.IngressPages * 4),
    load<i32>(tables, Tables.IngressPagesPerRow * 4),
    load<i32>(tables, Tables.VectorPageIndex * 4),
    load<i32>(tables, Tables.VectorPages * 4),
    load<i32>(tables, Tables.PagesPerVector * 4),
    load<i32>(tables, Tables.Outcomes * 4),
    load<i32>(tables, Tables.CellBytes * 4),
    source,
    destination,
    portIndex,
  );
}

/** The same with the tables' addresses in hand: a loop keeps them in registers. */
// @ts-ignore: decorator
@inline
export function decideIn(
  endpoints: i32,
  portClasses: i32,
  egressIndex: i32,
  egressPages: i32,
  egressPerRow: i32,
  ingressIndex: i32,
  ingressPages: i32,
  ingressPerRow: i32,
  vectorIndex: i32,
  vectorPages: i32,
  perVector: i32,
  outcomes: i32,
  cellBytes: i32,
  source: i32,
  destination: i32,
  portIndex: i32,
): i32 {
  const src = endpoints + source * STRIDE;
  const dst = endpoints + destination * STRIDE;
  const portClass: i32 = load<u16>(portClasses + portIndex * 2);
  if (portClass == PortClass.Exempt) return Verdict.Allow | (Reason.DialectExempt << 2) | (Reason.DialectExempt << 8);
  const self = load<i32>(src, Endpoint.Self * 4);
  if (self >= 0 && self == load<i32>(dst, Endpoint.Self * 4))
    return Verdict.Allow | (Reason.SamePod << 2) | (Reason.SamePod << 8);
  const egressColumn = load<i32>(dst, Endpoint.EgressColumn * 4);
  const ingressColumn = load<i32>(src, Endpoint.IngressColumn * 4);
  const egressPage = load<i32>(
    egressIndex + (load<i32>(src, Endpoint.EgressRow * 4) * egressPerRow + (egressColumn >>> Layout.PageBits)) * 4,
  );
  const ingressPage = load<i32>(
    ingressIndex + (load<i32>(dst, Endpoint.IngressRow * 4) * ingressPerRow + (ingressColumn >>> Layout.PageBits)) * 4,
  );
  const egressCell = (egressPage << Layout.PageBits) | (egressColumn & Layout.PageMask);
  const ingressCell = (ingressPage << Layout.PageBits) | (ingressColumn & Layout.PageMask);
  let egressVector: i32;
  let ingressVector: i32;
  if (cellBytes == 2) {
    egressVector = load<u16>(egressPages + egressCell * 2);
    ingressVector = load<u16>(ingressPages + ingressCell * 2);
  } else {
    egressVector = load<i32>(egressPages + egressCell * 4);
    ingressVector = load<i32>(ingressPages + ingressCell * 4);
  }
  const page = portClass >>> Layout.PageBits;
  const place = portClass & Layout.PageMask;
  const egressVectorPage = load<i32>(vectorIndex + (egressVector * perVector + page) * 4);
  const ingressVectorPage = load<i32>(vectorIndex + (ingressVector * perVector + page) * 4);
  const egressOutcome: i32 = load<u16>(vectorPages + ((egressVectorPage << Layout.PageBits) | place) * 2);
  const ingressOutcome: i32 = load<u16>(vectorPages + ((ingressVectorPage << Layout.PageBits) | place) * 2);
  const egress = load<i32>(outcomes + egressOutcome * 4);
  const ingress = load<i32>(outcomes + ingressOutcome * 4);
  const egressVerdict = (egress >>> 6) & 3;
  const ingressVerdict = (ingress >>> 6) & 3;
  const verdict = egressVerdict < ingressVerdict ? egressVerdict : ingressVerdict;
  const missing = verdict == Verdict.Undecidable ? (egress >>> 8) | (ingress >>> 8) : 0;
  return verdict | ((egress & 63) << 2) | ((ingress & 63) << 8) | (missing << 14);
}
