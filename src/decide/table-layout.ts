/** How the WASM kernel is told where a Program's sections lie in its memory. The kernel is compiled from the same enum. */

/** Addresses of one Program's sections, 0 where one is empty, and its scalars. */
export const enum Tables {
  Root4 = 0,
  Mid4 = 1,
  Leaf4 = 2,
  Endpoints = 3,
  EgressPageIndex = 4,
  EgressPages = 5,
  IngressPageIndex = 6,
  IngressPages = 7,
  PortClasses = 8,
  VectorPageIndex = 9,
  VectorPages = 10,
  Outcomes = 11,
  EgressPagesPerRow = 12,
  IngressPagesPerRow = 13,
  PagesPerVector = 14,
  CellBytes = 15,
  Starts4 = 16,
  Values4 = 17,
  /** IPv6; lengths are counts less 1. */
  Hosts6 = 18,
  HostValues6 = 19,
  HostMask6 = 20,
  Root6 = 21,
  Starts6 = 22,
  Values6 = 23,
  LastValue6 = 24,
  /** `Header.Prefix6Length` and those behind it, in their order. */
  Prefix6 = 25,
  Count = 32,
}
