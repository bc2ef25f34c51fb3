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
  /** Bulk decisions: endpoints from here on may need more than their row and column, see `firstRareOf`. */
  FirstRare = 31,
  Count = 32,
}

/** Where `decideRows` keeps, from one step to the next, what it knows of a block of rows: columns of words, in bytes. */
export const enum Scratch {
  Rows = 512,
  /** Endpoints. */
  Source = 0,
  Destination = Rows * 4,
  /** Port class, then the address of its cell in the first of the vector pages. */
  Class = Rows * 8,
  /** Of each direction: the address of the page's number, then the vector, then the address of its page's number, then the outcome. */
  Egress = Rows * 12,
  /** Address of the column's cell in the first page. */
  EgressCell = Rows * 16,
  Ingress = Rows * 20,
  IngressCell = Rows * 24,
  /** From a direction to its cells. */
  Cell = Rows * 4,
  /** Not 0: the row has to be decided by itself. */
  Rare = Rows * 28,
  Bytes = Rows * 32,
}
