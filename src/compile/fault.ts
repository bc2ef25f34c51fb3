/**
 * What is wrong with a Program's tables. A buffer may come from a disk or another process: every number that decide uses as an
 * index is held against what it points into, so that a Program that was taken never reads beside its tables and never probes
 * for ever. One pass over the buffer; compile's own Programs are not asked.
 */
import { Endpoint, EndpointKind, Header, Layout, PortIndex, Row, ServiceSlot, TrieCell } from './layout.ts';
import type { Program, ProgramSource } from './program.ts';
import { REASONS, Verdict } from '../model/verdict.ts';

/** The first fault found, as a sentence; undefined: none. `source`, where there is one, must have the pods that the tables have. */
export function findFault(program: Program, source: ProgramSource | undefined): string | undefined {
  const { endpoints, header } = program;
  const count = header[Header.EndpointCount]!;
  if (endpoints.length !== count * Endpoint.Stride) return `${count} endpoints do not fill their section`;
  if (header[Header.OutsideNoAddress]! >= count || header[Header.NodeNoAddress]! >= count)
    return 'an endpoint of the header is out of range';
  return (
    findFault4(program, count) ??
    findFault6(program, count) ??
    findTableFault(program) ??
    findEndpointFault(program) ??
    findServiceFault(program, count) ??
    findPodFault(program, count) ??
    (source && findSourceFault(program, source))
  );
}

function findFault4({ root4, mid4, leaf4, starts4, values4 }: Program, count: number): string | undefined {
  if (mid4.length > 0) {
    if (root4.length !== 65_536) return 'root4 of a trie has 65,536 entries';
    if (!isWithin(root4, 0, mid4.length - 256)) return 'root4 points beside mid4';
    for (const cell of mid4)
      if ((cell >>> TrieCell.Shift) + (cell & TrieCell.Mask) >= leaf4.length) return 'mid4 points beside leaf4';
    return isWithin(leaf4, 0, count - 1) ? undefined : 'leaf4 names an endpoint that there is not';
  }
  if (root4.length !== 65_537 || root4[0] !== 0 || root4[65_536] !== values4.length)
    return 'root4 does not span values4';
  if (starts4.length !== values4.length) return 'starts4 and values4 differ in length';
  if (!ascends(root4, 1)) return 'a run of root4 is empty';
  return isWithin(values4, 0, count - 1) ? undefined : 'values4 names an endpoint that there is not';
}

function findFault6(program: Program, count: number): string | undefined {
  const { header, root6, starts6, values6, hosts6, hostValues6 } = program;
  const bits = header[Header.Root6Bits]!;
  if (bits < 1 || bits > 16 || header[Header.Prefix6Length]! > 63) return 'the index of IPv6 addresses is out of range';
  if (root6.length !== 2 ** bits + 1) return 'root6 does not have the length that the header says';
  if (values6.length === 0 || starts6.length !== values6.length * 4) return 'starts6 and values6 differ in length';
  if (!ascends(root6, 0)) return 'root6 does not ascend';
  if (root6[2 ** bits]! >= values6.length) return 'root6 points beside values6';
  if (!isWithin(values6, 0, count - 1)) return 'values6 names an endpoint that there is not';
  if (!isPowerOfTwo(hostValues6.length) || hosts6.length !== hostValues6.length * 4) return 'hosts6 is no table';
  if (!isWithin(hostValues6, -1, count - 1)) return 'hostValues6 names an endpoint that there is not';
  return hostValues6.includes(-1) ? undefined : 'hosts6 has no empty slot';
}

/** Rows and columns are held against the tables by `findEndpointFault`. */
function findTableFault(program: Program): string | undefined {
  const { header, vectorPageIndex, vectorPages, outcomes, portClasses } = program;
  const pagesPerVector = header[Header.PagesPerVector]!;
  // Nothing fills vectors, or rows, of no pages: a remainder of 0 is NaN.
  if (vectorPageIndex.length % pagesPerVector !== 0) return 'vectors do not fill their section';
  const vectors = vectorPageIndex.length / pagesPerVector;
  for (const [index, pages, perRow] of [
    [program.egressPageIndex, program.egressPages, header[Header.EgressPagesPerRow]!],
    [program.ingressPageIndex, program.ingressPages, header[Header.IngressPagesPerRow]!],
  ] as const) {
    if (index.length % perRow !== 0 || index.length < Row.First * perRow) return 'rows do not fill their section';
    if (pages.length % Layout.PageSize !== 0 || !isWithin(index, 0, pages.length / Layout.PageSize - 1))
      return 'a row names a page that there is not';
    if (!isWithin(pages, 0, vectors - 1)) return 'a page names a vector that there is not';
  }
  if (
    vectorPages.length % Layout.PageSize !== 0 ||
    !isWithin(vectorPageIndex, 0, vectorPages.length / Layout.PageSize - 1)
  )
    return 'a vector names a page that there is not';
  if (!isWithin(vectorPages, 0, outcomes.length - 1)) return 'a vector names an outcome that there is not';
  if (portClasses.length !== PortIndex.Count) return 'portClasses does not have every protocol and port';
  if (!isWithin(portClasses, 0, pagesPerVector * Layout.PageSize - 1)) return 'a port class is beyond its vectors';
  for (const outcome of outcomes)
    if ((outcome & 63) >= REASONS.length || ((outcome >>> 6) & 3) > Verdict.Allow || outcome >>> 24 !== 0)
      return 'an outcome has no meaning';
  return undefined;
}

function findEndpointFault({ endpoints, header, egressPageIndex, ingressPageIndex }: Program): string | undefined {
  const egressPages = header[Header.EgressPagesPerRow]!;
  const ingressPages = header[Header.IngressPagesPerRow]!;
  const limits = [
    [Endpoint.EgressRow, egressPageIndex.length / egressPages],
    [Endpoint.EgressColumn, egressPages * Layout.PageSize],
    [Endpoint.IngressRow, ingressPageIndex.length / ingressPages],
    [Endpoint.IngressColumn, ingressPages * Layout.PageSize],
  ] as const;
  for (let at = 0; at < endpoints.length; at += Endpoint.Stride) {
    for (const [field, limit] of limits)
      if (endpoints[at + field]! < 0 || endpoints[at + field]! >= limit)
        return 'an endpoint names a row or column that there is not';
    const kind = endpoints[at + Endpoint.Kind]!;
    if ((kind & EndpointKind.Mask) > EndpointKind.Service || kind < 0 || kind > (EndpointKind.Mask | EndpointKind.Ipv6))
      return 'an endpoint is of no known kind';
  }
  return undefined;
}

function findServiceFault({ serviceSlots, backends, header }: Program, count: number): string | undefined {
  const slots = serviceSlots.length / ServiceSlot.Stride;
  if (!isPowerOfTwo(slots) || header[Header.ServiceMask] !== slots - 1)
    return 'the service table has no power of two of slots';
  if (backends.length % 2 !== 0) return 'half a backend';
  let hasEmpty = false;
  for (let at = 0; at < serviceSlots.length; at += ServiceSlot.Stride) {
    const own = serviceSlots[at + ServiceSlot.CountPlusOne]!;
    if (own === 0) hasEmpty = true;
    else if (serviceSlots[at + ServiceSlot.Start]! + own - 1 > backends.length / 2)
      return 'a Service names backends that there are not';
  }
  if (!hasEmpty) return 'the service table has no empty slot';
  for (let at = 0; at < backends.length; at += 2)
    if (backends[at]! < 0 || backends[at]! >= count || backends[at + 1]! < -1 || backends[at + 1]! > 65_535)
      return 'a backend names an endpoint or a port that there is not';
  return undefined;
}

function findPodFault({ podEndpointStart, podEndpoints }: Program, count: number): string | undefined {
  if (podEndpointStart[0] !== 0) return 'podEndpointStart does not begin at 0';
  if (!ascends(podEndpointStart, 0)) return 'podEndpointStart does not ascend';
  if (podEndpointStart.at(-1) !== podEndpoints.length) return 'podEndpointStart does not span podEndpoints';
  return isWithin(podEndpoints, 0, count - 1) ? undefined : 'a pod names an endpoint that there is not';
}

/** Explanations find the objects of endpoints in the snapshot, by index. */
function findSourceFault({ endpoints, podEndpointStart }: Program, { snapshot }: ProgramSource): string | undefined {
  if (podEndpointStart.length !== snapshot.pods.length + 1) return 'the source has another number of pods';
  for (let at = 0; at < endpoints.length; at += Endpoint.Stride) {
    const kind = endpoints[at + Endpoint.Kind]! & EndpointKind.Mask;
    const object = endpoints[at + Endpoint.Object]!;
    const least = kind === EndpointKind.Pod || kind === EndpointKind.Service ? 0 : -1;
    const count =
      kind === EndpointKind.Pod
        ? snapshot.pods.length
        : kind === EndpointKind.Node
          ? snapshot.nodes.length
          : kind === EndpointKind.Service
            ? snapshot.services.length
            : 0;
    if (object < least || object >= count) return 'an endpoint names an object that the source does not have';
  }
  return undefined;
}

function isWithin(numbers: Int32Array | Uint32Array | Uint16Array, first: number, last: number): boolean {
  for (let at = 0; at < numbers.length; at++) if (numbers[at]! < first || numbers[at]! > last) return false;
  return true;
}

/** Is each number at least `step` more than the one before it? */
function ascends(numbers: Int32Array | Uint32Array, step: number): boolean {
  return numbers.every((own, at) => at === 0 || own - numbers[at - 1]! >= step);
}

function isPowerOfTwo(count: number): boolean {
  return count >= 1 && (count & (count - 1)) === 0;
}
