/**
 * The decision's part of the WASM kernel: `decide.ts` between endpoints that are pods or outside addresses, over the same
 * tables. AssemblyScript.
 */
import { Endpoint, Layout, PortClass, TrieCell } from '../compile/layout.ts';
import { Reason, Verdict } from '../model/verdict.ts';
import { Tables } from './table-layout.ts';

/** Bytes of an endpoint. */
export const ENDPOINT_BYTES: i32 = Endpoint.Stride * 4;

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
  const cell = load<i32>(mid + third * 4);
  return load<i32>(leaf + ((cell >>> TrieCell.Shift) + (address & cell & TrieCell.Mask)) * 4);
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

/** The endpoints of IPv6 addresses, four words each: exact hosts, else the last interval that does not begin beyond. */
export function findEndpoints6(tables: i32, addresses: i32, endpoints: i32, count: i32): void {
  const hosts = load<i32>(tables, Tables.Hosts6 * 4);
  const hostValues = load<i32>(tables, Tables.HostValues6 * 4);
  const mask = load<i32>(tables, Tables.HostMask6 * 4);
  const values = load<i32>(tables, Tables.Values6 * 4);
  const last = load<i32>(tables, Tables.LastValue6 * 4);
  const length = load<i32>(tables, Tables.Prefix6 * 4);
  const bits = load<i32>(tables, (Tables.Prefix6 + 1) * 4);
  // A pair of words is loaded with its first one low; turned round, it is a number whose order is the addresses' order.
  const prefix = rotl<u64>(load<u64>(tables + (Tables.Prefix6 + 2) * 4), 32);
  const prefixMask = rotl<u64>(load<u64>(tables + (Tables.Prefix6 + 4) * 4), 32);
  const root = load<i32>(tables, Tables.Root6 * 4);
  const starts = load<i32>(tables, Tables.Starts6 * 4);
  for (let row = 0; row < count; row++) {
    const address = addresses + row * 16;
    const pair0 = load<u64>(address);
    const pair1 = load<u64>(address, 8);
    let hash = (load<i32>(address) ^ 0x9e3779b9) * 0x85ebca6b;
    hash = ((hash ^ (hash >>> 15)) + load<i32>(address, 4)) * 0xc2b2ae35;
    hash = ((hash ^ (hash >>> 13)) + load<i32>(address, 8)) * 0x85ebca6b;
    hash = ((hash ^ (hash >>> 15)) + load<i32>(address, 12)) * 0xc2b2ae35;
    let slot = (hash ^ (hash >> 16)) & mask;
    let value = load<i32>(hostValues + slot * 4);
    while (value >= 0) {
      const at = hosts + slot * 16;
      if (((load<u64>(at) ^ pair0) | (load<u64>(at, 8) ^ pair1)) == 0) break;
      slot = (slot + 1) & mask;
      value = load<i32>(hostValues + slot * 4);
    }
    if (value < 0) {
      const high = rotl<u64>(pair0, 32);
      const low = rotl<u64>(pair1, 32);
      const own = high & prefixMask;
      if (own != prefix) value = load<i32>(values + (own < prefix ? 0 : last) * 4);
      else {
        const window = i32(((high << length) | (length == 0 ? 0 : low >>> (64 - length))) >>> (64 - bits));
        const run = root + window * 4;
        let base = load<i32>(run);
        let rest = load<i32>(run, 4) - base + 1;
        while (rest > 1) {
          const half = rest >> 1;
          const at = starts + (base + half) * 16;
          // Every word of a start has its highest bit flipped.
          const startHigh = rotl<u64>(load<u64>(at) ^ 0x8000000080000000, 32);
          const startLow = rotl<u64>(load<u64>(at, 8) ^ 0x8000000080000000, 32);
          const isBeyond = i32(startHigh > high) | (i32(startHigh == high) & i32(startLow > low));
          base += half & (isBeyond - 1);
          rest -= half;
        }
        value = load<i32>(values + base * 4);
      }
    }
    store<i32>(endpoints + row * 4, value);
  }
}

/** The packed decision of a flow between two endpoints below `EndpointKind.Node`. */
export function decide(tables: i32, source: i32, destination: i32, portIndex: i32): i32 {
  const endpoints = load<i32>(tables, Tables.Endpoints * 4);
  const src = endpoints + source * ENDPOINT_BYTES;
  const dst = endpoints + destination * ENDPOINT_BYTES;
  const portClass: i32 = load<u16>(load<i32>(tables, Tables.PortClasses * 4) + portIndex * 2);
  const known = decideWithoutRules(src, dst, portClass);
  if (known != 0) return known;
  const cellBytes = load<i32>(tables, Tables.CellBytes * 4);
  const egress = findVector(
    load<i32>(tables, Tables.EgressPageIndex * 4),
    load<i32>(tables, Tables.EgressPages * 4),
    load<i32>(tables, Tables.EgressPagesPerRow * 4),
    cellBytes,
    load<i32>(src, Endpoint.EgressRow * 4),
    load<i32>(dst, Endpoint.EgressColumn * 4),
  );
  const ingress = findVector(
    load<i32>(tables, Tables.IngressPageIndex * 4),
    load<i32>(tables, Tables.IngressPages * 4),
    load<i32>(tables, Tables.IngressPagesPerRow * 4),
    cellBytes,
    load<i32>(dst, Endpoint.IngressRow * 4),
    load<i32>(src, Endpoint.IngressColumn * 4),
  );
  const index = load<i32>(tables, Tables.VectorPageIndex * 4);
  const pages = load<i32>(tables, Tables.VectorPages * 4);
  const perVector = load<i32>(tables, Tables.PagesPerVector * 4);
  const outcomes = load<i32>(tables, Tables.Outcomes * 4);
  return combine(
    findOutcome(index, pages, perVector, outcomes, egress, portClass),
    findOutcome(index, pages, perVector, outcomes, ingress, portClass),
  );
}

/** The packed decision where no rule is asked: an exempt port class or a pod to itself; 0 for every other flow. */
// @ts-ignore: decorator
@inline
export function decideWithoutRules(src: i32, dst: i32, portClass: i32): i32 {
  if (portClass == PortClass.Exempt) return Verdict.Allow | (Reason.DialectExempt << 2) | (Reason.DialectExempt << 8);
  const self = load<i32>(src, Endpoint.Self * 4);
  return self >= 0 && self == load<i32>(dst, Endpoint.Self * 4)
    ? Verdict.Allow | (Reason.SamePod << 2) | (Reason.SamePod << 8)
    : 0;
}

/** The outcome vector of a direction's row and column. */
// @ts-ignore: decorator
@inline
export function findVector(index: i32, pages: i32, perRow: i32, cellBytes: i32, row: i32, column: i32): i32 {
  const page = load<i32>(index + (row * perRow + (column >>> Layout.PageBits)) * 4);
  const cell = (page << Layout.PageBits) | (column & Layout.PageMask);
  return cellBytes == 2 ? load<u16>(pages + cell * 2) : load<i32>(pages + cell * 4);
}

/** What a vector says of a port class: `Outcome`. */
// @ts-ignore: decorator
@inline
export function findOutcome(index: i32, pages: i32, perVector: i32, outcomes: i32, vector: i32, portClass: i32): i32 {
  const page = load<i32>(index + (vector * perVector + (portClass >>> Layout.PageBits)) * 4);
  const outcome: i32 = load<u16>(pages + ((page << Layout.PageBits) | (portClass & Layout.PageMask)) * 2);
  return load<i32>(outcomes + outcome * 4);
}

/** The packed decision of an egress and an ingress outcome. */
// @ts-ignore: decorator
@inline
export function combine(egress: i32, ingress: i32): i32 {
  const egressVerdict = (egress >>> 6) & 3;
  const ingressVerdict = (ingress >>> 6) & 3;
  const verdict = egressVerdict < ingressVerdict ? egressVerdict : ingressVerdict;
  const missing = verdict == Verdict.Undecidable ? (egress >>> 8) | (ingress >>> 8) : 0;
  return verdict | ((egress & 63) << 2) | ((ingress & 63) << 8) | (missing << 14);
}
