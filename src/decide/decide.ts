/**
 * decide: Program x flow -> packed decision (see `packDecision`). The hot room: typed arrays and scalars only, nothing is
 * allocated. Two endpoints and a port index go in; two table look-ups come out; own node, the pod itself and translated
 * destinations take a branch of their own.
 */
import {
  DialectFlag,
  Endpoint,
  EndpointKind,
  hashAddress6,
  Header,
  Layout,
  PortClass,
  portIndexOf,
  ServiceSlot,
  ServiceTarget,
  TrieCell,
  windowOf,
} from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { hashService } from '../compile/service.ts';
import type { FlowBatch, AddressTable } from '../model/flow.ts';
import { MissingFact, packDecision, Reason, Verdict } from '../model/verdict.ts';

/** The endpoint of an IPv4 address given as an unsigned 32-bit number. */
export function findEndpoint4(
  program: Pick<Program, 'root4' | 'mid4' | 'leaf4' | 'starts4' | 'values4'>,
  address: number,
): number {
  const { root4, mid4, leaf4 } = program;
  if (mid4.length === 0) return searchEndpoint4(program, address);
  const cell = mid4[root4[address >>> 16]! + ((address >>> 8) & 255)]!;
  return leaf4[(cell >>> TrieCell.Shift) + (address & cell & TrieCell.Mask)]!;
}

/** What an endpoint is. */
export function kindOf(program: Pick<Program, 'endpoints'>, endpoint: number): EndpointKind {
  return program.endpoints[endpoint * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Mask;
}

/** The endpoint of an IPv6 address given as four words, signed or not. */
export function findEndpoint6(
  program: Pick<Program, 'header' | 'root6' | 'starts6' | 'values6' | 'hosts6' | 'hostValues6'>,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): number {
  const { hosts6, hostValues6 } = program;
  const mask = hostValues6.length - 1;
  let slot = hashAddress6(w0, w1, w2, w3) & mask;
  for (let value = hostValues6[slot]!; value >= 0; value = hostValues6[slot]!) {
    const at = slot * 4;
    if (((hosts6[at]! ^ w0) | (hosts6[at + 1]! ^ w1) | (hosts6[at + 2]! ^ w2) | (hosts6[at + 3]! ^ w3)) === 0)
      return value;
    slot = (slot + 1) & mask;
  }
  return searchEndpoint6(program, w0, w1, w2, w3);
}

/** Decides a flow between two endpoints. `port` -1: not known; `icmp` is type << 8 | code. Translates Services on the way. */
export function decide(
  program: Program,
  source: number,
  destination: number,
  protocol: number,
  port: number,
  icmp: number,
): number {
  const portIndex = portIndexOf(protocol, port, icmp);
  const kind = program.endpoints[destination * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Mask;
  if (kind >= EndpointKind.Node && program.portClasses[portIndex] !== PortClass.Exempt) {
    const slot = findService(program, destination, protocol, port);
    if (slot >= 0) return decideBackends(program, source, slot, protocol);
    // SV-05: nobody listens there.
    if (kind === EndpointKind.Service) return undecidable(MissingFact.NoBackend);
  }
  return decideDirect(program, source, destination, portIndex);
}

/** Decides a flow that nothing translates; `portIndex` as of `portIndexOf`. */
export function decideDirect(program: Program, source: number, destination: number, portIndex: number): number {
  const { endpoints } = program;
  const src = source * Endpoint.Stride;
  const dst = destination * Endpoint.Stride;
  // DI-07, DI-08: exempt traffic passes before anything else is asked.
  const portClass = program.portClasses[portIndex]!;
  if (portClass === PortClass.Exempt) return packDecision(Verdict.Allow, Reason.DialectExempt, Reason.DialectExempt, 0);
  const self = endpoints[src + Endpoint.Self]!;
  // EP-13: a pod that reaches its own address never leaves its network namespace.
  if (self >= 0 && self === endpoints[dst + Endpoint.Self])
    return packDecision(Verdict.Allow, Reason.SamePod, Reason.SamePod, 0);
  return decideSides(program, src, dst, portClass);
}

/** Decides the rows of a batch; `endpoints6` maps ids of the batch's address table to endpoints. Rows without addresses get -1. */
export function decideBatch(program: Program, batch: FlowBatch, endpoints6: Int32Array, out: Int32Array): void {
  const { family, src, dst, protocol, dstPort, icmp, count } = batch;
  for (let row = 0; row < count; row++) {
    if (family[row] === 0) {
      out[row] = -1;
      continue;
    }
    const isV4 = family[row] === 4;
    const source = isV4 ? findEndpoint4(program, src[row]!) : endpoints6[src[row]!]!;
    const destination = isV4 ? findEndpoint4(program, dst[row]!) : endpoints6[dst[row]!]!;
    out[row] = decide(program, source, destination, protocol[row]!, dstPort[row]!, icmp[row]!);
  }
}

/** Extends `known` (endpoints by id) to every address of a table; returns it, grown where needed. */
export function findEndpoints6(program: Program, addresses: AddressTable, known: Int32Array, from: number): Int32Array {
  let endpoints = known;
  if (addresses.count > endpoints.length) {
    endpoints = new Int32Array(Math.max(1024, addresses.count * 2));
    endpoints.set(known);
  }
  const { words } = addresses;
  for (let id = from; id < addresses.count; id++) {
    const at = id * 4;
    endpoints[id] = findEndpoint6(program, words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
  }
  return endpoints;
}

/** The service slot of a destination, or -1. Targets by name are `ServiceTarget.ByName` + the Service's index. */
export function findService(program: Program, target: number, protocol: number, port: number): number {
  // Negative, as no slot's is, where the protocol has no ports or the port is not known.
  const ordinal = protocol === 6 ? 0 : protocol === 17 ? 1 : protocol === 132 ? 2 : -1;
  const key = (ordinal << 16) | port;
  if (target >= ServiceTarget.ByName) return probe(program, target, key);
  const kind = program.endpoints[target * Endpoint.Stride + Endpoint.Kind]!;
  // SV-06: a node port goes first, then a Service that has the node's address, then a host port.
  if ((kind & EndpointKind.Mask) === EndpointKind.Node && target !== program.header[Header.NodeNoAddress]) {
    const slot = probe(
      program,
      (kind & EndpointKind.Ipv6) === 0 ? ServiceTarget.AnyNode4 : ServiceTarget.AnyNode6,
      key,
    );
    if (slot >= 0) return slot;
  }
  return probe(program, target, key);
}

/** SV-01, SV-04: every backend is judged; they agree, or the flow is undecidable. */
export function decideBackends(program: Program, source: number, slot: number, protocol: number): number {
  const { serviceSlots, backends } = program;
  const at = slot * ServiceSlot.Stride;
  const count = serviceSlots[at + ServiceSlot.CountPlusOne]! - 1;
  if (count === 0) return undecidable(MissingFact.NoBackend); // SV-05
  const start = serviceSlots[at + ServiceSlot.Start]! * 2;
  let decision = -1;
  for (let index = 0; index < count; index++) {
    const port = backends[start + index * 2 + 1]!;
    const next = decideBackend(program, source, backends[start + index * 2]!, portIndexOf(protocol, port, -1));
    decision = decision < 0 ? next : agree(decision, next, MissingFact.SomeBackends);
  }
  return decision;
}

/** Decides a translated flow at one backend. */
export function decideBackend(program: Program, source: number, backend: number, portIndex: number): number {
  const { endpoints, header } = program;
  const self = endpoints[source * Endpoint.Stride + Endpoint.Self]!;
  // DI-05: a pod that reaches itself through a Service is judged, unless the dialect lets it pass.
  if (
    (header[Header.Dialect]! & DialectFlag.HairpinAllow) !== 0 &&
    self >= 0 &&
    self === endpoints[backend * Endpoint.Stride + Endpoint.Self]
  )
    return packDecision(Verdict.Allow, Reason.SamePod, Reason.SamePod, 0);
  return decideSides(program, source * Endpoint.Stride, backend * Endpoint.Stride, program.portClasses[portIndex]!);
}

/**
 * EP-10, SV-04: two alternatives as one decision. A verdict that both share stays, with the reasons of the first; else it is
 * undecidable for `fact`. Every missing fact is kept, so that the order of alternatives changes nothing else.
 */
export function agree(first: number, second: number, fact: MissingFact): number {
  const missing = (first >>> 14) | (second >>> 14);
  return (first & 3) === (second & 3) ? (first & 0x3fff) | (missing << 14) : undecidable(missing | fact);
}

/** A decision that wants these facts on both sides. */
export function undecidable(missing: number): number {
  return packDecision(Verdict.Undecidable, Reason.Undecidable, Reason.Undecidable, missing);
}

/** The last interval of the address's run that does not begin beyond it. Every step is arithmetic: nothing to mispredict. */
function searchEndpoint4(program: Pick<Program, 'root4' | 'starts4' | 'values4'>, address: number): number {
  const { root4, starts4, values4 } = program;
  const low = address & 0xffff;
  let base = root4[address >>> 16]!;
  let length = root4[(address >>> 16) + 1]! - base;
  while (length > 1) {
    const half = length >> 1;
    base += half & ((starts4[base + half]! - low - 1) >> 31);
    length -= half;
  }
  return values4[base]!;
}

/** The last interval that does not begin beyond the address: all but the first begin with the prefix of root6. */
function searchEndpoint6(
  program: Pick<Program, 'header' | 'root6' | 'starts6' | 'values6'>,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): number {
  const { header, root6, starts6, values6 } = program;
  const prefix0 = header[Header.Prefix6Word0]!;
  const prefix1 = header[Header.Prefix6Word1]!;
  const own0 = (w0 & header[Header.Mask6Word0]!) >>> 0;
  const own1 = (w1 & header[Header.Mask6Word1]!) >>> 0;
  if (own0 !== prefix0 || own1 !== prefix1) {
    const isBefore = own0 < prefix0 || (own0 === prefix0 && own1 < prefix1);
    return values6[isBefore ? 0 : values6.length - 1]!;
  }
  const slot = windowOf(w0, w1, w2, header[Header.Prefix6Length]!, header[Header.Root6Bits]!);
  const k0 = w0 ^ 0x80000000;
  const k1 = w1 ^ 0x80000000;
  const k2 = w2 ^ 0x80000000;
  const k3 = w3 ^ 0x80000000;
  let base = root6[slot]!;
  let length = root6[slot + 1]! - base + 1;
  while (length > 1) {
    const half = length >> 1;
    const at = (base + half) * 4;
    const s0 = starts6[at]!;
    const s1 = starts6[at + 1]!;
    const s2 = starts6[at + 2]!;
    const isBeyond =
      +(s0 > k0) |
      (+(s0 === k0) & (+(s1 > k1) | (+(s1 === k1) & (+(s2 > k2) | (+(s2 === k2) & +(starts6[at + 3]! > k3))))));
    base += half & (isBeyond - 1);
    length -= half;
  }
  return values6[base]!;
}

/** Both sides by table; `src` and `dst` are offsets of endpoint records. */
function decideSides(program: Program, src: number, dst: number, portClass: number): number {
  const { endpoints, header } = program;
  const egressColumn = endpoints[dst + Endpoint.EgressColumn]!;
  let egress = outcomeAt(
    program,
    program.egressPages[
      (program.egressPageIndex[
        endpoints[src + Endpoint.EgressRow]! * header[Header.EgressPagesPerRow]! + (egressColumn >> Layout.PageBits)
      ]! <<
        Layout.PageBits) |
        (egressColumn & Layout.PageMask)
    ]!,
    portClass,
  );
  const ingressColumn = endpoints[src + Endpoint.IngressColumn]!;
  let ingress = outcomeAt(
    program,
    program.ingressPages[
      (program.ingressPageIndex[
        endpoints[dst + Endpoint.IngressRow]! * header[Header.IngressPagesPerRow]! + (ingressColumn >> Layout.PageBits)
      ]! <<
        Layout.PageBits) |
        (ingressColumn & Layout.PageMask)
    ]!,
    portClass,
  );
  const srcKind = endpoints[src + Endpoint.Kind]! & EndpointKind.Mask;
  const dstKind = endpoints[dst + Endpoint.Kind]! & EndpointKind.Mask;
  if (srcKind === EndpointKind.Node) ingress = exemptOwnNode(program, src, dst, DialectFlag.OwnNodeIngress, ingress);
  if (dstKind === EndpointKind.Node) egress = exemptOwnNode(program, dst, src, DialectFlag.OwnNodeEgress, egress);
  return combine(egress, ingress);
}

/** NP-05, KL-01, KL-04: a deny on either side decides, then what is undecidable, then allow. */
function combine(egress: number, ingress: number): number {
  const egressVerdict = (egress >>> 6) & 3;
  const ingressVerdict = (ingress >>> 6) & 3;
  const verdict = egressVerdict < ingressVerdict ? egressVerdict : ingressVerdict;
  const missing = verdict === Verdict.Undecidable ? (egress >>> 8) | (ingress >>> 8) : 0;
  return packDecision(verdict, egress & 63, ingress & 63, missing);
}

/** DI-03, DI-04: traffic between a pod and its own node, as the dialect has it. Offsets of the node's and the pod's record. */
function exemptOwnNode(program: Program, node: number, pod: number, flag: number, outcome: number): number {
  const { endpoints, header } = program;
  if ((header[Header.Dialect]! & flag) === 0) return outcome;
  if ((endpoints[pod + Endpoint.Kind]! & EndpointKind.Mask) !== EndpointKind.Pod) return outcome;
  const number = endpoints[pod + Endpoint.Node]!;
  if (number < 0 || number !== endpoints[node + Endpoint.Node]) return outcome;
  return Reason.OwnNode | (Verdict.Allow << 6);
}

function outcomeAt(program: Program, vector: number, portClass: number): number {
  const page =
    program.vectorPageIndex[vector * program.header[Header.PagesPerVector]! + (portClass >> Layout.PageBits)]!;
  return program.outcomes[program.vectorPages[(page << Layout.PageBits) | (portClass & Layout.PageMask)]!]!;
}

function probe(program: Program, target: number, key: number): number {
  const { serviceSlots, header } = program;
  const mask = header[Header.ServiceMask]!;
  let slot = hashService(target, key) & mask;
  for (;;) {
    const at = slot * ServiceSlot.Stride;
    if (serviceSlots[at + ServiceSlot.CountPlusOne] === 0) return -1;
    if (serviceSlots[at + ServiceSlot.Target] === target >>> 0 && serviceSlots[at + ServiceSlot.Port] === key)
      return slot;
    slot = (slot + 1) & mask;
  }
}
