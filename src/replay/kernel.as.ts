/**
 * The WASM kernel of replay, in AssemblyScript: what `replay.ts` does with a packet, for the packets that are common, over
 * the same memory. It takes staged rows one after another and stops at the first that is not its business, before anything
 * was changed; TypeScript, the reference, takes that row and calls again. So there is nothing that only the kernel knows.
 */
import { Endpoint, EndpointKind, PortIndex } from '../compile/layout.ts';
import { Tables } from '../decide/table-layout.ts';
import {
  combine,
  decide,
  decideWithoutRules,
  ENDPOINT_BYTES,
  findEndpoint4,
  findEndpoints6,
  findInTrie,
  findOutcome,
  findVector,
} from '../decide/table.as.ts';
import { Orientation, OrientedBy, RecordedVerdict, RecordFlag, RecordKind, TcpFlag } from '../model/flow.ts';
import { Meta, TableState, Timer, UdpMeta, Word } from '../track/entry.ts';
import { ageUdp, bury, directionOf, find, insert, isSwapped, reopens, stepTcp, TCP, UDP } from '../track/table.as.ts';
import { TcpIndex, TcpState } from '../track/tcp-state.ts';
import { TrackState } from '../track/state.ts';
import { Data, GroupKey, GroupSum } from './group.ts';
import { Column, Memo, MemoKey, Scratch, State } from './kernel-layout.ts';

/** Takes the staged rows `from` up to `to`; returns the one that it leaves to the reference, or `to`. */
export function run(state: i32, from: i32, to: i32): i32 {
  const kinds = load<i32>(state, Column.Kind * 4);
  const families = load<i32>(state, Column.Family * 4);
  const protocols = load<i32>(state, Column.Protocol * 4);
  const verdicts = load<i32>(state, Column.RecordedVerdict * 4);
  const policies = load<i32>(state, Column.Policies * 4);
  const flags = load<i32>(state, Column.Flags * 4);
  const tcpFlags = load<i32>(state, Column.TcpFlags * 4);
  const sources = load<i32>(state, Column.Src * 4);
  const destinations = load<i32>(state, Column.Dst * 4);
  const sourcePorts = load<i32>(state, Column.SrcPort * 4);
  const destinationPorts = load<i32>(state, Column.DstPort * 4);
  const times = load<i32>(state, Column.TimeUs * 4);
  const bytes = load<i32>(state, Column.Bytes * 4);
  const replyBytes = load<i32>(state, Column.ReplyBytes * 4);
  const ticks = load<i32>(state, Column.Tick * 4);
  const table = load<i32>(state, State.TablePtr * 4);
  const end = load<i32>(state, State.TableEnd * 4);
  const tableState = state + State.Table * 4;
  const mask = load<i32>(tableState, TableState.Mask * 4);
  const timers = load<i32>(state, State.TimerPtr * 4);
  const indices = load<i32>(state, State.IndexPtr * 4);
  const transitions = load<i32>(state, State.TcpPtr * 4);
  const sums = load<i32>(state, State.GroupSumPtr * 4);
  const rows = load<i32>(state, State.RowPtr * 4);
  for (let staged = from; staged < to; staged++) {
    const row = load<i32>(rows + staged * 4);
    const family: i32 = load<u8>(families + row);
    const sourcePort = load<i32>(sourcePorts + row * 4);
    const port = load<i32>(destinationPorts + row * 4);
    if (
      load<u8>(kinds + row) != RecordKind.Packet ||
      load<u8>(verdicts + row) != RecordedVerdict.None ||
      family == 0 ||
      load<i32>(policies + row * 4) != 0 ||
      (load<u16>(flags + row * 2) & RecordFlag.Fragment) != 0 ||
      (sourcePort | port) < 0
    )
      return staged;
    const protocol: i32 = load<u8>(protocols + row);
    let index = 0;
    if (protocol == TCP) {
      const bits: i32 = load<u16>(tcpFlags + row * 2);
      if (bits == TcpFlag.Absent) return staged;
      index = load<u8>(indices + (bits & 63));
    } else if (protocol != UDP) return staged;
    const tick = load<i32>(ticks + row * 4);
    const keyMeta = protocol | Meta.Live | (family == 6 ? Meta.Ipv6 : 0);
    const src = load<i32>(sources + row * 4);
    const dst = load<i32>(destinations + row * 4);
    const swapped = isSwapped(src, dst, sourcePort, port);
    const first = select(dst, src, swapped);
    const second = select(src, dst, swapped);
    const ports = select((port << 16) | sourcePort, (sourcePort << 16) | port, swapped);
    let at = find(table, end, mask, tick, first, second, ports, keyMeta);
    if (at > 0 && protocol == TCP && index == TcpIndex.Syn) {
      const meta = load<i32>(at, Word.Meta * 4);
      if (reopens(transitions, meta, directionOf(meta, swapped))) {
        // The reference does the same first, so that it may take the row from here.
        bury(table, end, at, tableState);
        at = find(table, end, mask, tick, first, second, ports, keyMeta);
      }
    }
    let group: i32;
    if (at > 0) {
      const data = load<i32>(at, Word.Data * 4);
      if (data == 0) return staged;
      let meta = load<i32>(at, Word.Meta * 4);
      const direction = directionOf(meta, swapped);
      let timer: i32;
      if (protocol == TCP) {
        if (index == TcpIndex.Bad) return staged;
        meta = stepTcp(transitions, meta, direction, index);
        if (meta == 0) return staged;
        const next = (meta & Meta.StateMask) >>> Meta.StateShift;
        timer = next == TcpState.Established && (meta & Meta.SeenReply) == 0 ? Timer.TcpUnanswered : Timer.Tcp + next;
      } else {
        meta = ageUdp(meta, tick);
        timer = Timer.Udp;
        if ((meta & Meta.SeenReply) != 0 && (meta & UdpMeta.Aged) != 0) {
          meta |= Meta.Assured;
          timer = Timer.UdpStream;
        }
      }
      meta |= direction << 12;
      store<i32>(at, meta, Word.Meta * 4);
      store<i32>(at, tick + load<i32>(timers + timer * 4), Word.Expiry * 4);
      group = (data >>> Data.GroupShift) - 1;
    } else {
      if (protocol == TCP && index != TcpIndex.Syn) return staged;
      if (!canOpen(state, row, protocol)) return staged;
      group = open(state, src, dst, sourcePort, port, protocol, family);
      if (group < 0) return staged;
      if (
        !insert(
          tableState,
          ~at,
          tick,
          first,
          second,
          ports,
          swapped,
          keyMeta,
          protocol,
          timers,
          (group + 1) << Data.GroupShift,
        )
      )
        return staged;
      const opened = sums + group * (GroupSum.Stride * 8);
      store<f64>(opened, load<f64>(opened, GroupSum.Connections * 8) + 1, GroupSum.Connections * 8);
      const oriented = load<i32>(state, State.OrientedPtr * 4) + by * 8;
      store<f64>(oriented, load<f64>(oriented) + 1);
    }
    const sum = sums + group * (GroupSum.Stride * 8);
    const time = load<f64>(times + row * 8);
    const size = max<f64>(0, load<f64>(bytes + row * 8)) + max<f64>(0, load<f64>(replyBytes + row * 8));
    store<f64>(sum, load<f64>(sum, GroupSum.Records * 8) + 1, GroupSum.Records * 8);
    store<f64>(sum, load<f64>(sum, GroupSum.Bytes * 8) + size, GroupSum.Bytes * 8);
    if (time == time) {
      if (!(load<f64>(sum, GroupSum.FirstUs * 8) <= time)) store<f64>(sum, time, GroupSum.FirstUs * 8);
      if (!(load<f64>(sum, GroupSum.LastUs * 8) >= time)) store<f64>(sum, time, GroupSum.LastUs * 8);
    }
  }
  return to;
}

/** `OrientedBy` of the opening in hand; `GUESS` until its ports have been looked at. */
let by: i32 = 0;
const GUESS: i32 = -1;

/** May a connection be opened here: plain addresses, no translation, the sender as its initiator? Sets `by`. */
function canOpen(state: i32, row: i32, protocol: i32): bool {
  const names =
    load<i32>(load<i32>(state, Column.SrcEndpoint * 4) + row * 4) |
    load<i32>(load<i32>(state, Column.DstEndpoint * 4) + row * 4);
  const absent =
    load<i32>(load<i32>(state, Column.PreDstPort * 4) + row * 4) &
    load<i32>(load<i32>(state, Column.Icmp * 4) + row * 4);
  if (names != 0 || absent != -1) return false;
  if (load<f64>(load<i32>(state, Column.Connections * 4) + row * 8) != 1) return false;
  by = OrientedBy.Flags;
  if (load<i32>(state, State.IsPacketMode * 4) != 0) return true;
  const orientation: i32 = load<u8>(load<i32>(state, Column.Orientation * 4) + row);
  if (orientation == Orientation.Reply) return false;
  if (orientation != Orientation.Unknown) by = load<u8>(load<i32>(state, Column.OrientedBy * 4) + row);
  else if (protocol == UDP) by = GUESS;
  return true;
}

/** The group of a connection that a row opens, or -1 where the reference is asked. */
function open(state: i32, src: i32, dst: i32, sourcePort: i32, port: i32, protocol: i32, family: i32): i32 {
  if (family == 6) return remembered(state, src, dst, sourcePort, port, protocol, MemoKey.Ipv6);
  const candidate = load<i32>(state, State.CandidatePtr * 4);
  const source = findEndpoint4(candidate, src);
  const destination = findEndpoint4(candidate, dst);
  const endpoints = load<i32>(candidate, Tables.Endpoints * 4);
  const sourceKind = load<i32>(endpoints + source * ENDPOINT_BYTES, Endpoint.Kind * 4) & EndpointKind.Mask;
  const destinationKind = load<i32>(endpoints + destination * ENDPOINT_BYTES, Endpoint.Kind * 4) & EndpointKind.Mask;
  if (sourceKind >= EndpointKind.Node || destinationKind >= EndpointKind.Node)
    return remembered(state, src, dst, sourcePort, port, protocol, 0);
  if (by == GUESS && !guess(state, source, sourcePort, listens(state, destination, port), port)) return -1;
  const from = partyOf(state, source, sourceKind, src);
  const to = partyOf(state, destination, destinationKind, dst);
  if (from == UNNAMED || to == UNNAMED) return -1;
  const portIndex = (protocol == TCP ? PortIndex.Tcp : PortIndex.Udp) + port;
  const decision = decide(candidate, source, destination, portIndex);
  const other = load<i32>(state, State.BaselinePtr * 4);
  let baseline = -1;
  if (other != 0) baseline = decide(other, findEndpoint4(other, src), findEndpoint4(other, dst), portIndex);
  if (load<i32>(state, State.IsPacketMode * 4) != 0 && (decision & 3) == 0) return -1;
  const key = (protocol << MemoKey.PortShift) | (port + 1);
  const classes = load<i32>(state, State.ClassPtr * 4);
  const sourceClass = load<i32>(classes + source * 4);
  const destinationClass = load<i32>(classes + destination * 4);
  if (from >= 0 && to >= 0) {
    const group = findGroup(state, from, to, key, decision, baseline, sourceClass, destinationClass);
    if (group >= 0) return group;
  }
  if (load<i32>(state, State.IsFull * 4) == 0) return -1;
  const others = load<i32>(state, State.OthersParty * 4);
  return findGroup(
    state,
    sourceKind == EndpointKind.Outside ? others : from,
    destinationKind == EndpointKind.Outside ? others : to,
    key,
    decision,
    baseline,
    sourceClass,
    destinationClass,
  );
}

/** The group that TypeScript has found for the same ends and port, or -1. */
function remembered(state: i32, src: i32, dst: i32, sourcePort: i32, port: i32, protocol: i32, family: i32): i32 {
  const key = (protocol << MemoKey.PortShift) | (port + 1) | family;
  const slot = memoSlot(src, dst, key);
  const at = load<i32>(state, State.MemoPtr * 4) + slot * (Memo.Stride * 4);
  if (load<i32>(at, Memo.Key * 4) != key || load<i32>(at, Memo.Src * 4) != src || load<i32>(at, Memo.Dst * 4) != dst)
    return -1;
  const isServer = load<i32>(at, Memo.IsServer * 4) != 0;
  if (by == GUESS && !guess(state, load<i32>(at, Memo.SourceEndpoint * 4), sourcePort, isServer, port)) return -1;
  return load<i32>(at, Memo.Group * 4);
}

function memoSlot(src: i32, dst: i32, key: i32): i32 {
  const hash = ((src * 0x9e3779b1) ^ dst) * 0x85ebca6b + key * 0xc2b2ae35;
  return (hash ^ (hash >>> 15)) & (Memo.Size - 1);
}

/** `orientByPorts`, setting `by`; false where the receiver opened the connection. */
function guess(state: i32, source: i32, sourcePort: i32, isServer: bool, port: i32): bool {
  by = OrientedBy.Ports;
  if (listens(state, source, sourcePort) != isServer) return isServer;
  const isSourceLow = sourcePort < 1024;
  if (isSourceLow != port < 1024) return !isSourceLow;
  const isSourceEphemeral = isEphemeral(sourcePort);
  if (isSourceEphemeral != isEphemeral(port)) return isSourceEphemeral;
  by = OrientedBy.Assumed;
  return true;
}

function isEphemeral(port: i32): bool {
  return port >= 32_768 && port <= 60_999;
}

function listens(state: i32, endpoint: i32, port: i32): bool {
  const mask = load<i32>(state, State.ListenMask * 4);
  const slots = load<i32>(state, State.ListenPtr * 4);
  let slot = ((endpoint * 0x85ebca6b) ^ (port * 0xc2b2ae35)) & mask;
  while (true) {
    const at = slots + slot * 8;
    const key = load<i32>(at);
    if (key == 0) return false;
    if (key == endpoint + 1 && load<i32>(at, 4) == port) return true;
    slot = (slot + 1) & mask;
  }
}

/** An end whom TypeScript has to name first, and an outside address that has no party. */
const UNNAMED: i32 = -1;
const STRANGER: i32 = -2;

/** The party at an end. */
function partyOf(state: i32, endpoint: i32, kind: i32, address: u32): i32 {
  if (kind == EndpointKind.Pod) return load<i32>(load<i32>(state, State.PartyPtr * 4) + endpoint * 4);
  const mask = load<i32>(state, State.AddressMask * 4);
  const slots = load<i32>(state, State.AddressPtr * 4);
  let slot = ((address * 0x9e3779b1) >>> 8) & mask;
  while (true) {
    const at = slots + slot * 8;
    const party = load<i32>(at, 4) - 1;
    if (party < 0) return kind == EndpointKind.Outside ? STRANGER : UNNAMED;
    if (load<u32>(at) == address) return party;
    slot = (slot + 1) & mask;
  }
}

/** `GroupTable.intern` for a group that is there. */
function findGroup(
  state: i32,
  from: i32,
  to: i32,
  port: i32,
  decision: i32,
  baseline: i32,
  sourceClass: i32,
  destinationClass: i32,
): i32 {
  let hash: i32 = 0x9e3779b9;
  hash = mix(hash, from);
  hash = mix(hash, to);
  hash = mix(hash, port);
  hash = mix(hash, -1);
  hash = mix(hash, decision);
  hash = mix(hash, baseline);
  hash = mix(hash, 0);
  hash = mix(hash, sourceClass);
  hash = mix(hash, destinationClass);
  const mask = load<i32>(state, State.GroupSlotMask * 4);
  const slots = load<i32>(state, State.GroupSlotPtr * 4);
  const keys = load<i32>(state, State.GroupKeyPtr * 4);
  let slot = hash & mask;
  while (true) {
    const group = load<i32>(slots + slot * 4);
    if (group < 0) return -1;
    const at = keys + group * (GroupKey.Stride * 4);
    if (
      load<i32>(at, GroupKey.Source * 4) == from &&
      load<i32>(at, GroupKey.Destination * 4) == to &&
      load<i32>(at, GroupKey.Port * 4) == port &&
      load<i32>(at, GroupKey.Icmp * 4) == -1 &&
      load<i32>(at, GroupKey.Decision * 4) == decision &&
      load<i32>(at, GroupKey.Baseline * 4) == baseline &&
      load<i32>(at, GroupKey.Flags * 4) == 0 &&
      load<i32>(at, GroupKey.SourceClass * 4) == sourceClass &&
      load<i32>(at, GroupKey.DestinationClass * 4) == destinationClass
    )
      return group;
    slot = (slot + 1) & mask;
  }
}

function mix(hash: i32, word: i32): i32 {
  hash = (hash ^ word) * 0x85ebca6b;
  return hash ^ (hash >>> 15);
}

/**
 * Tracks rows `from` up to `to` and writes the `TrackState` of each to `Column.Tick` + their number; returns the row that it
 * leaves to the reference, or `to`. Of the columns it reads what a packet has.
 */
export function track(state: i32, from: i32, to: i32): i32 {
  const families = load<i32>(state, Column.Family * 4);
  const protocols = load<i32>(state, Column.Protocol * 4);
  const tcpFlags = load<i32>(state, Column.TcpFlags * 4);
  const sources = load<i32>(state, Column.Src * 4);
  const destinations = load<i32>(state, Column.Dst * 4);
  const sourcePorts = load<i32>(state, Column.SrcPort * 4);
  const destinationPorts = load<i32>(state, Column.DstPort * 4);
  const ticks = load<i32>(state, Column.Tick * 4);
  const out = load<i32>(state, State.RowPtr * 4);
  const table = load<i32>(state, State.TablePtr * 4);
  const end = load<i32>(state, State.TableEnd * 4);
  const tableState = state + State.Table * 4;
  const mask = load<i32>(tableState, TableState.Mask * 4);
  const timers = load<i32>(state, State.TimerPtr * 4);
  const indices = load<i32>(state, State.IndexPtr * 4);
  const transitions = load<i32>(state, State.TcpPtr * 4);
  for (let row = from; row < to; row++) {
    const family: i32 = load<u8>(families + row);
    const protocol: i32 = load<u8>(protocols + row);
    const sourcePort = load<i32>(sourcePorts + row * 4);
    const port = load<i32>(destinationPorts + row * 4);
    if (family == 0 || (sourcePort | port) < 0) return row;
    let index = 0;
    if (protocol == TCP) {
      const bits: i32 = load<u16>(tcpFlags + row * 2);
      if (bits == TcpFlag.Absent) return row;
      index = load<u8>(indices + (bits & 63));
      if (index == TcpIndex.Bad) return row;
    } else if (protocol != UDP) return row;
    const tick = load<i32>(ticks + row * 4);
    const keyMeta = protocol | Meta.Live | (family == 6 ? Meta.Ipv6 : 0);
    const src = load<i32>(sources + row * 4);
    const dst = load<i32>(destinations + row * 4);
    const swapped = isSwapped(src, dst, sourcePort, port);
    const first = select(dst, src, swapped);
    const second = select(src, dst, swapped);
    const ports = select((port << 16) | sourcePort, (sourcePort << 16) | port, swapped);
    let at = find(table, end, mask, tick, first, second, ports, keyMeta);
    if (at > 0 && protocol == TCP && index == TcpIndex.Syn) {
      const meta = load<i32>(at, Word.Meta * 4);
      if (reopens(transitions, meta, directionOf(meta, swapped))) {
        bury(table, end, at, tableState);
        at = find(table, end, mask, tick, first, second, ports, keyMeta);
      }
    }
    if (at < 0) {
      if (protocol == TCP && index != TcpIndex.Syn) return row;
      if (!insert(tableState, ~at, tick, first, second, ports, swapped, keyMeta, protocol, timers, 0)) return row;
      store<u8>(out + row, TrackState.New);
      continue;
    }
    const old = load<i32>(at, Word.Meta * 4);
    const direction = directionOf(old, swapped);
    let meta: i32;
    let timer: i32;
    if (protocol == TCP) {
      meta = stepTcp(transitions, old, direction, index);
      if (meta == 0) return row;
      const next = (meta & Meta.StateMask) >>> Meta.StateShift;
      timer = next == TcpState.Established && (meta & Meta.SeenReply) == 0 ? Timer.TcpUnanswered : Timer.Tcp + next;
    } else {
      meta = ageUdp(old, tick);
      timer = Timer.Udp;
      if ((meta & Meta.SeenReply) != 0 && (meta & UdpMeta.Aged) != 0) {
        meta |= Meta.Assured;
        timer = Timer.UdpStream;
      }
    }
    meta |= direction << 12;
    store<i32>(at, meta, Word.Meta * 4);
    store<i32>(at, tick + load<i32>(timers + timer * 4), Word.Expiry * 4);
    store<u8>(out + row, direction != 0 || (old & Meta.SeenReply) != 0 ? TrackState.Established : TrackState.New);
  }
  return to;
}

/** The endpoint of each IPv4 address of `addresses[0, count)`. */
export function find4(tables: i32, addresses: i32, endpoints: i32, count: i32): void {
  if (load<i32>(tables, Tables.Mid4 * 4) == 0) {
    for (let row = 0; row < count; row++)
      store<i32>(endpoints + row * 4, findEndpoint4(tables, load<u32>(addresses + row * 4)));
    return;
  }
  const root = load<i32>(tables, Tables.Root4 * 4);
  const mid = load<i32>(tables, Tables.Mid4 * 4);
  const leaf = load<i32>(tables, Tables.Leaf4 * 4);
  for (let row = 0; row < count; row++) {
    store<i32>(endpoints + row * 4, findInTrie(root, mid, leaf, load<u32>(addresses + row * 4)));
  }
}

export { findEndpoints6 as find6 };

/** Left by `decideRows` where the reference has to decide. */
const UNDECIDED: i32 = -1;

/**
 * The packed decision of each row: IPv4, TCP or UDP, between pods and outside addresses; -1 for every other. Blocks of rows
 * take one step after another, since short chains of loads overlap where long ones do not; `scratch` is `Scratch.Bytes`.
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
): void {
  for (let row = 0; row < count; row += Scratch.Rows) {
    const length = min(Scratch.Rows as i32, count - row);
    find4(tables, sources + row * 4, scratch, length);
    find4(tables, destinations + row * 4, scratch + Scratch.Second, length);
    findVectors(tables, families + row, protocols + row, ports + row * 4, out + row * 4, scratch, length);
    findOutcomes(tables, out + row * 4, scratch, length);
  }
}

/** Puts vectors in the place of endpoints, and into `out` the port class, or the complement of a decision that needs none. */
function findVectors(
  tables: i32,
  families: i32,
  protocols: i32,
  ports: i32,
  out: i32,
  scratch: i32,
  count: i32,
): void {
  const endpoints = load<i32>(tables, Tables.Endpoints * 4);
  const portClasses = load<i32>(tables, Tables.PortClasses * 4);
  const egressIndex = load<i32>(tables, Tables.EgressPageIndex * 4);
  const egressPages = load<i32>(tables, Tables.EgressPages * 4);
  const egressPerRow = load<i32>(tables, Tables.EgressPagesPerRow * 4);
  const ingressIndex = load<i32>(tables, Tables.IngressPageIndex * 4);
  const ingressPages = load<i32>(tables, Tables.IngressPages * 4);
  const ingressPerRow = load<i32>(tables, Tables.IngressPagesPerRow * 4);
  const cellBytes = load<i32>(tables, Tables.CellBytes * 4);
  for (let row = 0; row < count; row++) {
    const at = scratch + row * 4;
    const src = endpoints + load<i32>(at) * ENDPOINT_BYTES;
    const dst = endpoints + load<i32>(at, Scratch.Second) * ENDPOINT_BYTES;
    const protocol: i32 = load<u8>(protocols + row);
    const port = load<i32>(ports + row * 4);
    const kinds = max(load<i32>(src, Endpoint.Kind * 4) & EndpointKind.Mask, load<i32>(dst, Endpoint.Kind * 4) & EndpointKind.Mask);
    // No class is 0 after `decideWithoutRules`, so that this one is told from it.
    let found: i32 = ~UNDECIDED;
    if (load<u8>(families + row) == 4 && port >= 0 && (protocol == TCP || protocol == UDP) && kinds < EndpointKind.Node) {
      found = load<u16>(portClasses + ((protocol == TCP ? PortIndex.Tcp : PortIndex.Udp) + port) * 2);
      const known = decideWithoutRules(src, dst, found);
      if (known != 0) found = ~known;
      store<i32>(
        at,
        findVector(
          egressIndex,
          egressPages,
          egressPerRow,
          cellBytes,
          load<i32>(src, Endpoint.EgressRow * 4),
          load<i32>(dst, Endpoint.EgressColumn * 4),
        ),
      );
      store<i32>(
        at,
        findVector(
          ingressIndex,
          ingressPages,
          ingressPerRow,
          cellBytes,
          load<i32>(dst, Endpoint.IngressRow * 4),
          load<i32>(src, Endpoint.IngressColumn * 4),
        ),
        Scratch.Second,
      );
    }
    store<i32>(out + row * 4, found);
  }
}

/** What the vectors say of the port classes in `out`. */
function findOutcomes(tables: i32, out: i32, scratch: i32, count: i32): void {
  const index = load<i32>(tables, Tables.VectorPageIndex * 4);
  const pages = load<i32>(tables, Tables.VectorPages * 4);
  const perVector = load<i32>(tables, Tables.PagesPerVector * 4);
  const outcomes = load<i32>(tables, Tables.Outcomes * 4);
  for (let row = 0; row < count; row++) {
    const at = scratch + row * 4;
    const found = load<i32>(out + row * 4);
    const decision =
      found <= 0
        ? ~found
        : combine(
            findOutcome(index, pages, perVector, outcomes, load<i32>(at), found),
            findOutcome(index, pages, perVector, outcomes, load<i32>(at, Scratch.Second), found),
          );
    store<i32>(out + row * 4, decision);
  }
}
