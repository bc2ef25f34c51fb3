/**
 * AssemblyScript, compiled to WebAssembly by scripts/scan.mjs: Hubble flows of `flow.proto` as JSON bytes -> rows of columns, and for
 * records that ask for more than a row the numbers that hubble.ts asks for. A strict, depth-aware tokenizer: keys in any order, any
 * white space. It answers only for what is JSON for certain and means one thing only; whatever it is not sure of (an escape, a repeated
 * key, a number that is no plain integer, a spelling that is rare) is for JSON.parse. Objects that repeat from record to record
 * (endpoints, services, emitters) are known again by their bytes and become handles; what they mean is the caller's matter.
 *
 * Writers print members in one order: behind each member the two that followed it last are tried first, as bytes, and its key is read
 * only where they differ.
 *
 * Memory (`Place`): the result, the lanes, members by key, small objects, a table from the first bytes of an object to the two
 * read there last, a hash table of all objects with their places and lengths, the forms of addresses, the objects' bytes, the window of input
 * and two chunks of it. Behind what is read lie zeros: every loop stops at a control byte.
 */
import { prepareAddresses, readAddress4 } from './address-scan.as.ts';
import { Orientation, OrientedBy, RecordedVerdict, RecordKind, TcpFlag } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { Event, HandleLimit, Lane, LaneSize, Outcome, Place, Scan, ScanVerdict } from './hubble-scan.ts';

const RESULT: usize = Place.Result;
const TIME: usize = Place.Time;
const STRIDE: usize = LaneSize.Bytes;
const LANES: usize = Place.Lanes;
const MEMBERS: usize = Place.Members;
const PREFIXES: usize = Place.Prefixes;
const SLOTS: usize = Place.Slots;
const ENTRIES: usize = Place.Entries;
const ARENA: usize = Place.Arena;
const ARENA_END: usize = ARENA + <usize>Place.ArenaSize;
const INPUT: usize = Place.Input;

const PREFIX_SLOTS: u32 = 16_384;
const SLOT_COUNT: u32 = 32768;
/** Of an object: offset, length, hash. */
const ENTRY_SIZE: usize = 12;
const ENTRY_LIMIT: i32 = HandleLimit.End;
/** Handles that one record asks for at most. */
const ENTRY_RESERVE: i32 = 8;

/**
 * Of a member: the bytes between the value before it and its own, 0xff for each that does not count, its role, how many bytes there are,
 * the two members that followed it last, and the hash of its key, 0 where there is none.
 */
const MEMBER_SIZE: usize = 128;
const BYTES: usize = 32;
const SPARE: usize = 32;
const ROLE: usize = 64;
const SIZE: usize = 68;
const NEXT: usize = 72;
const OTHER: usize = 76;
const HASH: usize = 80;
/**
 * Members are found by their keys, the first ones of the objects of a level apart from the others, which begin with a comma: whatever takes
 * the place of a member that followed is read as that one would be.
 */
const MEMBER_COUNT: usize = 64;
/** Places that a member may have: two of a record that took each other's would be read anew each time. */
const MEMBER_TRIES: i32 = 8;
/** What stands before a first member, by level. */
const HEADS: usize = MEMBERS + MEMBER_SIZE * MEMBER_COUNT * 16;
/** Whole objects of TCP flags and of events, found by their first bytes: as members, with what they say in place of a role. */
const SMALL: usize = HEADS + MEMBER_SIZE * 8;
const SMALL_COUNT: usize = 32;

/** Objects whose members are read. */
const enum Level {
  Record = 0,
  Flow = 1,
  Ip = 2,
  L4 = 3,
  Ports = 4,
  Icmp = 5,
  Flags = 6,
  Event = 7,
}

/** What members mean; each is of one level. */
const enum Role {
  /** Passed over. */
  None = 0,
  Flow = 1,
  RecordTime = 2,
  Ip = 3,
  L4 = 4,
  Time = 5,
  Type = 6,
  Reply = 7,
  Source = 8,
  Verdict = 9,
  Emitter = 10,
  IsReply = 11,
  Ethernet = 12,
  EventType = 13,
  Extensions = 14,
  DropReason = 15,
  Destination = 16,
  DropReasonText = 17,
  Service = 18,
  Src = 19,
  Dst = 20,
  Tcp = 21,
  Udp = 22,
  Sctp = 23,
  Icmp4 = 24,
  Icmp6 = 25,
  SrcPort = 26,
  DstPort = 27,
  TcpFlags = 28,
  IcmpType = 29,
  IcmpCode = 30,
  EventNumber = 31,
  /** The first of eight, in the order of their bits. */
  Fin = 32,
  /** Whatever is not for here. */
  Other = 63,
}

// Keys and words: their first eight bytes, and the next eight.
const K_TIME: u64 = 0x656d6974;
const K_VERDICT: u64 = 0x74636964726576;
const K_IP: u64 = 0x5049;
const K_L4: u64 = 0x346c;
const K_SOURCE: u64 = 0x656372756f73;
const K_DESTINATION: u64 = 0x74616e6974736564;
const K_DESTINATION_2: u64 = 0x6e6f69;
const K_CAP_TYPE: u64 = 0x65707954;
const K_EVENT_TYPE: u64 = 0x79745f746e657665;
const K_EVENT_TYPE_2: u64 = 0x6570;
const K_EVENTTYPE: u64 = 0x707954746e657665;
const K_EVENTTYPE_2: u64 = 0x65;
const K_IS_REPLY: u64 = 0x796c7065725f7369;
const K_ISREPLY: u64 = 0x796c7065527369;
const K_REPLY: u64 = 0x796c706572;
const K_DROP_REASON: u64 = 0x6165725f706f7264;
const K_DROP_REASON_2: u64 = 0x6e6f73;
const K_DROP_REASON_DESC_2: u64 = 0x637365645f6e6f73;
const K_DROPREASON: u64 = 0x73616552706f7264;
const K_DROPREASON_2: u64 = 0x6e6f;
const K_DROPREASONDESC_2: u64 = 0x637365446e6f;
const K_AGGREGATE: u64 = 0x7461676572676761;
const K_AGGREGATE_2: u64 = 0x65;
const K_EMITTER: u64 = 0x72657474696d65;
const K_EXTENSIONS: u64 = 0x6f69736e65747865;
const K_EXTENSIONS_2: u64 = 0x736e;
const K_ETHERNET: u64 = 0x74656e7265687465;
const K_FLOW: u64 = 0x776f6c66;
const K_TYPE: u64 = 0x65707974;
const K_CODE: u64 = 0x65646f63;
const K_TCP: u64 = 0x504354;
const K_UDP: u64 = 0x504455;
const K_SCTP: u64 = 0x50544353;
const K_ICMP4: u64 = 0x3476504d4349;
const K_ICMP6: u64 = 0x3676504d4349;
const K_SOURCE_PORT: u64 = 0x705f656372756f73;
const K_SOURCE_PORT_2: u64 = 0x74726f;
const K_SOURCEPORT: u64 = 0x6f50656372756f73;
const K_SOURCEPORT_2: u64 = 0x7472;
const K_DESTINATION_PORT_2: u64 = 0x74726f705f6e6f69;
const K_DESTINATIONPORT_2: u64 = 0x74726f506e6f69;
const K_SERVICE_2: u64 = 0x767265735f6e6f69;
const K_SERVICE_CAMEL_2: u64 = 0x69767265536e6f69;
const K_SERVICE_3: u64 = 0x656369767265735f; // `_service`, the last eight of `destination_service`
const K_SERVICE_CAMEL_3: u64 = 0x656369767265536e; // `nService`, of `destinationService`
const K_FLAGS: u64 = 0x7367616c66;
const W_FORWARDED: u64 = 0x4544524157524f46;
const W_DROPPED: u64 = 0x444550504f5244;
const W_ERROR: u64 = 0x524f525245;
const W_AUDIT: u64 = 0x5449445541;
const W_REDIRECTED: u64 = 0x5443455249444552;
const W_TRACED: u64 = 0x444543415254;
const W_TRANSLATED: u64 = 0x54414c534e415254;
const W_POLICY_DEN: u64 = 0x445f5943494c4f50;
const W_IED: u64 = 0x4445494e45;
const W_Y: u64 = 0x594e45;
const W_AUTH_REQ: u64 = 0x5145525f48545541;
const W_UIRED: u64 = 0x4445524955;
const W_L7: u64 = 0x374c;
const W_SOCK: u64 = 0x4b434f53;
const TRUE: u32 = 0x65757274;
const FALS: u32 = 0x736c6166;
const NULL: u32 = 0x6c6c756e;

const ZEROS: u64 = 0x3030303030303030;

/** How deep values that are passed over may be nested. */
const DEPTH: i32 = 60;

let entryCount: i32 = 0;
let arenaEnd: usize = ARENA;
let generation: i32 = 0;

// The string that was read last: where it begins, its length, and its first sixteen bytes, zero behind its end.
let textStart: usize = 0;
let textSize: u32 = 0;
let text0: u64 = 0;
let text1: u64 = 0;

// The number that was read last.
let count: i32 = 0;

// What the small object that was read last says: the flags of TCP that are set, or the number of the event.
let small: i32 = 0;

// The time of the record beside its flow: where it begins, 0 absent, and its length.
let recordTime: usize = 0;
let recordTimeSize: u32 = 0;

// The minute that was read last, as sixteen bytes, and its microseconds.
let minute0: u64 = 0;
let minute1: u64 = 0;
let minuteUs: f64 = NaN;

// What `read` left: where it stopped, and where the record ends that stands in the result.
let stopAt: usize = 0;
let resultEnd: usize = 0;

/** Makes the tables of addresses. Called once. */
export function prepare(): void {
  // Where a table has grown into the next one.
  if (SMALL + SMALL_COUNT * 2 * MEMBER_SIZE > PREFIXES || PREFIXES + PREFIX_SLOTS * 4 > SLOTS) unreachable();
  if (SLOTS + SLOT_COUNT * 4 > ENTRIES || ENTRIES + <usize>ENTRY_LIMIT * ENTRY_SIZE > <usize>Place.Shapes) unreachable();
  prepareAddresses(Place.Forms, Place.Shapes);
}

/** Place and length of an object by its handle. */
export function objectOffset(handle: i32): usize {
  return load<u32>(ENTRIES + <usize>handle * ENTRY_SIZE);
}

export function objectSize(handle: i32): u32 {
  return load<u32>(ENTRIES + <usize>handle * ENTRY_SIZE + 4);
}

/** Writes the rows of whole lines from `start` on, at most `limit` of them, the first one being line `line`. Returns how many. */
export function read(start: usize, line: f64, limit: i32): i32 {
  if (entryCount > ENTRY_LIMIT - ENTRY_RESERVE) forget();
  store<i32>(word(Scan.Outcome), Outcome.More);
  stopAt = start;
  let row: i32 = 0;
  // Handles of one call are all of one generation.
  for (; row < limit && entryCount <= ENTRY_LIMIT - ENTRY_RESERVE; row++) {
    resultEnd = readLine(stopAt);
    if (resultEnd == 0) {
      store<i32>(word(Scan.Outcome), Outcome.Unread);
      break;
    }
    if (!putRow(<usize>row, line + <f64>row)) {
      store<i32>(word(Scan.Outcome), Outcome.Record);
      break;
    }
    stopAt = resultEnd;
  }
  store<i32>(word(Scan.Generation), generation);
  return row;
}

/** Where the first line begins that `read` wrote no row of. */
export function stop(): usize {
  return stopAt;
}

/** Where the line behind it begins, after `Outcome.Record`. */
export function recordStop(): usize {
  return resultEnd;
}

/** Reads the line at `start`: where the next one begins, and the result holds its record; 0 where it is for JSON.parse. */
function readLine(start: usize): usize {
  store<i32>(word(Scan.Event), 0);
  store<i32>(word(Scan.Type), 0);
  store<i32>(word(Scan.Verdict), 0);
  store<i32>(word(Scan.Drop), 0);
  store<i32>(word(Scan.IsReply), 0);
  store<i32>(word(Scan.Reply), 0);
  store<i32>(word(Scan.HasEthernet), 0);
  store<i32>(word(Scan.Protocol), -1);
  store<i32>(word(Scan.SrcPort), -1);
  store<i32>(word(Scan.DstPort), -1);
  store<i32>(word(Scan.TcpFlags), -1);
  store<i32>(word(Scan.Icmp), -1);
  store<i32>(word(Scan.Src), -1);
  store<i32>(word(Scan.Dst), -1);
  store<i32>(word(Scan.Source), -1);
  store<i32>(word(Scan.Destination), -1);
  store<i32>(word(Scan.Service), -1);
  store<i32>(word(Scan.Emitter), -1);
  store<i32>(word(Scan.Extensions), -1);
  store<f64>(TIME, NaN);
  recordTime = 0;
  let p = readMembers(skipSpace(start), Level.Record);
  if (p == 0) return 0;
  // The flow's own time goes before that of its record.
  if (isNaN(load<f64>(TIME)) && recordTime != 0) {
    textStart = recordTime;
    textSize = recordTimeSize;
    if (!readTime()) return 0;
  }
  p = skipSpace(p);
  if (load<u8>(p) == 0x0d) p++;
  return load<u8>(p) == 0x0a ? p + 1 : 0;
}

/** Writes the row of the record in the result; false where a record asks for more than that. */
function putRow(row: usize, line: f64): bool {
  const event = load<i32>(word(Scan.Event));
  if (event != Event.None && event != Event.Drop && event != Event.Trace && event != Event.PolicyVerdict) return false;
  if (load<i32>(word(Scan.Type)) != 0 || load<i32>(word(Scan.Service)) >= 0) return false;
  if (load<i32>(word(Scan.Src)) != 4 || load<i32>(word(Scan.Dst)) != 4) return false;
  // Some emitters write `is_reply` where they do not know: the caller says whose statement counts.
  if (
    load<i32>(word(Scan.Emitter)) != load<i32>(word(Scan.TrustedEmitter)) ||
    load<i32>(word(Scan.Extensions)) != load<i32>(word(Scan.TrustedExtensions))
  )
    return false;

  let verdict: i32 = RecordedVerdict.None;
  switch (load<i32>(word(Scan.Verdict))) {
    case ScanVerdict.Forwarded:
    case ScanVerdict.Redirected:
      verdict = RecordedVerdict.Allow;
      break;
    case ScanVerdict.Dropped: {
      const drop = load<i32>(word(Scan.Drop));
      const isPolicy = drop == 1 || (drop == 0 && event == Event.PolicyVerdict);
      verdict = isPolicy ? RecordedVerdict.Deny : RecordedVerdict.Drop;
      break;
    }
    case ScanVerdict.Error:
      verdict = RecordedVerdict.Error;
      break;
    case ScanVerdict.Audit:
      verdict = RecordedVerdict.Audit;
      break;
  }
  // A policy drop is recorded as a policy verdict and as a drop: the two are for the caller to join.
  if (verdict == RecordedVerdict.Deny && event != Event.None) return false;
  const isDrop = verdict == RecordedVerdict.Deny || verdict == RecordedVerdict.Drop;
  const isDecision = event == Event.PolicyVerdict || event == Event.Drop || (event == Event.None && isDrop);

  const flags = load<i32>(word(Scan.TcpFlags));
  const isReply = load<i32>(word(Scan.IsReply));
  let orientation: i32 = Orientation.Unknown;
  let by: i32 = OrientedBy.Assumed;
  if (isReply != 0 || load<i32>(word(Scan.Reply)) == 2) {
    orientation = isReply == 1 ? Orientation.Original : Orientation.Reply;
    by = OrientedBy.Stated;
  } else if (event == Event.PolicyVerdict || verdict == RecordedVerdict.Deny) {
    orientation = Orientation.Original;
    by = OrientedBy.Stated;
  } else if (flags >= 0 && (flags & TcpFlag.Syn) != 0) {
    orientation = (flags & TcpFlag.Ack) == 0 ? Orientation.Original : Orientation.Reply;
    by = OrientedBy.Flags;
  } else if (verdict == RecordedVerdict.Drop) orientation = Orientation.Original;

  const protocol = load<i32>(word(Scan.Protocol));
  put<u8>(Lane.Kind, row, isDecision ? <u8>RecordKind.Decision : <u8>RecordKind.OneWay);
  put<u8>(Lane.Protocol, row, protocol < 0 ? <u8>Protocol.Unknown : <u8>protocol);
  put<u32>(Lane.Src, row, load<u32>(word(Scan.Src) + 4));
  put<u32>(Lane.Dst, row, load<u32>(word(Scan.Dst) + 4));
  put<i32>(Lane.SrcPort, row, load<i32>(word(Scan.SrcPort)));
  put<i32>(Lane.DstPort, row, load<i32>(word(Scan.DstPort)));
  put<i32>(Lane.Icmp, row, load<i32>(word(Scan.Icmp)));
  put<u16>(Lane.TcpFlags, row, flags < 0 ? <u16>TcpFlag.Absent : <u16>flags);
  put<f64>(Lane.TimeUs, row, load<f64>(TIME));
  put<u8>(Lane.Verdict, row, <u8>verdict);
  put<u8>(Lane.Orientation, row, <u8>orientation);
  put<u8>(Lane.OrientedBy, row, <u8>by);
  put<i32>(Lane.Source, row, load<i32>(word(Scan.Source)));
  put<i32>(Lane.Destination, row, load<i32>(word(Scan.Destination)));
  put<f64>(Lane.Line, row, line);
  return true;
}

// @ts-ignore: decorator
@inline
function word(place: i32): usize {
  return RESULT + (<usize>place << 2);
}

// @ts-ignore: decorator
@inline
function put<T>(lane: i32, row: usize, value: T): void {
  store<T>(LANES + <usize>lane * STRIDE + row * sizeof<T>(), value);
}

function forget(): void {
  memory.fill(PREFIXES, 0, PREFIX_SLOTS * 4);
  memory.fill(SLOTS, 0, SLOT_COUNT * 4);
  entryCount = 0;
  arenaEnd = ARENA;
  generation++;
  store<i32>(word(Scan.TrustedEmitter), -1);
  store<i32>(word(Scan.TrustedExtensions), -1);
}

// Every reader below takes the place of a value's first byte and gives the place behind its last one, 0 where it is not sure.

/** The members of an object. */
function readMembers(start: usize, level: i32): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = start + 1;
  let member: usize = HEADS + <usize>level * MEMBER_SIZE;
  let seen: u64 = 0;
  while (true) {
    let guess = <usize>load<u32>(member, NEXT);
    if (isAt(p, guess) || (load<u8>(p) != 0x7d && isAt(p, (guess = <usize>load<u32>(member, OTHER))))) {
      p += load<u32>(guess, SIZE);
      member = guess;
    } else {
      let q = skipSpace(p);
      const byte = load<u8>(q);
      if (byte == 0x7d) return isComplete(level, seen) ? q + 1 : 0;
      if (member < HEADS) {
        if (byte != 0x2c) return 0;
        q = skipSpace(q + 1);
      }
      q = readKey(q);
      if (q == 0) return 0;
      member = learn(member, level, p, q);
      p = q;
    }
    const role = load<u32>(member, ROLE);
    if (role == Role.None) p = load<u8>(p) == 0x22 ? skipText(p) : skipValue(p, DEPTH);
    else {
      // A key that comes twice, or in two spellings.
      const bit = <u64>1 << role;
      if ((seen & bit) != 0) return 0;
      seen |= bit;
      p = readMember(p, role);
    }
    if (p == 0) return 0;
  }
}

/** True where the bytes at `p` are those of a member; one of which nothing is known has zeros, behind which no value is. */
// @ts-ignore: decorator
@inline
function isAt(p: usize, member: usize): bool {
  const first = v128.andnot(v128.xor(v128.load(p), v128.load(member)), v128.load(member, SPARE));
  const second = v128.andnot(v128.xor(v128.load(p, 16), v128.load(member, 16)), v128.load(member, SPARE + 16));
  return !v128.any_true(v128.or(first, second));
}

/** The member whose key was read last, in the bytes from `start` to its value; it has followed `before`. */
function learn(before: usize, level: i32, start: usize, end: usize): usize {
  const hash = <u32>mix(text0 ^ mix(text1 + <u64>textSize)) | 1;
  const members = MEMBERS + ((<usize>level << 1) + <usize>(before >= HEADS)) * MEMBER_COUNT * MEMBER_SIZE;
  let member: usize = 0;
  for (let tries = 0; tries < MEMBER_TRIES; tries++) {
    member = members + (<usize>((hash >> 1) + tries) & (MEMBER_COUNT - 1)) * MEMBER_SIZE;
    const known = load<u32>(member, HASH);
    if (known == hash || known == 0) break;
  }
  store<u32>(member, hash, HASH);
  keep(member, start, end, roleOf(level));
  store<u32>(before, load<u32>(before, NEXT), OTHER);
  store<u32>(before, <u32>member, NEXT);
  return member;
}

/** The bytes from `start` to `end` as a member, and what they mean; those that are too many for its place are not known. */
function keep(member: usize, start: usize, end: usize, meaning: u32): void {
  const size = end - start;
  store<u32>(member, meaning, ROLE);
  store<u32>(member, <u32>size, SIZE);
  memory.fill(member, 0, BYTES + SPARE);
  if (size > BYTES) return;
  memory.copy(member, start, size);
  memory.fill(member + SPARE + size, 0xff, BYTES - size);
}

/** The role of the key that was read last. */
function roleOf(level: i32): u32 {
  switch (level) {
    case Level.Record:
      if (textSize == 4) return text0 == K_FLOW ? Role.Flow : text0 == K_TIME ? Role.RecordTime : Role.None;
      return Role.None;
    case Level.Flow:
      return roleInFlow();
    case Level.Ip:
      if (textSize == 6 && text0 == K_SOURCE) return Role.Src;
      return textSize == 11 && text0 == K_DESTINATION && text1 == K_DESTINATION_2 ? Role.Dst : Role.None;
    case Level.L4:
      switch (textSize) {
        case 3:
          return text0 == K_TCP ? Role.Tcp : text0 == K_UDP ? Role.Udp : Role.Other;
        case 4:
          return text0 == K_SCTP ? Role.Sctp : Role.Other;
        case 6:
          return text0 == K_ICMP4 ? Role.Icmp4 : text0 == K_ICMP6 ? Role.Icmp6 : Role.Other;
      }
      return Role.Other;
    case Level.Ports:
      switch (textSize) {
        case 5:
          return text0 == K_FLAGS ? Role.TcpFlags : Role.None;
        case 10:
          return text0 == K_SOURCEPORT && text1 == K_SOURCEPORT_2 ? Role.SrcPort : Role.None;
        case 11:
          return text0 == K_SOURCE_PORT && text1 == K_SOURCE_PORT_2 ? Role.SrcPort : Role.None;
        case 15:
          return text0 == K_DESTINATION && text1 == K_DESTINATIONPORT_2 ? Role.DstPort : Role.None;
        case 16:
          return text0 == K_DESTINATION && text1 == K_DESTINATION_PORT_2 ? Role.DstPort : Role.None;
      }
      return Role.None;
    case Level.Icmp:
      if (textSize == 4) return text0 == K_TYPE ? Role.IcmpType : text0 == K_CODE ? Role.IcmpCode : Role.None;
      return Role.None;
    case Level.Event:
      return textSize == 4 && text0 == K_TYPE ? Role.EventNumber : Role.None;
  }
  // Of the flags of TCP, any other key than theirs is for JSON.parse.
  if (textSize != 3) return Role.Other;
  if (text0 == 0x4e4946) return Role.Fin;
  if (text0 == 0x4e5953) return Role.Fin + 1;
  if (text0 == 0x545352) return Role.Fin + 2;
  if (text0 == 0x485350) return Role.Fin + 3;
  if (text0 == 0x4b4341) return Role.Fin + 4;
  if (text0 == 0x475255) return Role.Fin + 5;
  if (text0 == 0x454345) return Role.Fin + 6;
  return text0 == 0x525743 ? Role.Fin + 7 : Role.Other;
}

function roleInFlow(): u32 {
  switch (textSize) {
    case 2:
      return text0 == K_IP ? Role.Ip : text0 == K_L4 ? Role.L4 : Role.None;
    case 4:
      return text0 == K_TIME ? Role.Time : text0 == K_CAP_TYPE ? Role.Type : Role.None;
    case 5:
      return text0 == K_REPLY ? Role.Reply : Role.None;
    case 6:
      return text0 == K_SOURCE ? Role.Source : Role.None;
    case 7:
      if (text0 == K_VERDICT) return Role.Verdict;
      return text0 == K_EMITTER ? Role.Emitter : text0 == K_ISREPLY ? Role.IsReply : Role.None;
    case 8:
      return text0 == K_IS_REPLY ? Role.IsReply : text0 == K_ETHERNET ? Role.Ethernet : Role.None;
    case 9:
      if (text0 == K_EVENTTYPE && text1 == K_EVENTTYPE_2) return Role.EventType;
      // A sum of flows is no sighting of one: rare, and not for here.
      return text0 == K_AGGREGATE && text1 == K_AGGREGATE_2 ? Role.Other : Role.None;
    case 10:
      if (text0 == K_EVENT_TYPE && text1 == K_EVENT_TYPE_2) return Role.EventType;
      if (text0 == K_EXTENSIONS && text1 == K_EXTENSIONS_2) return Role.Extensions;
      return text0 == K_DROPREASON && text1 == K_DROPREASON_2 ? Role.DropReason : Role.None;
    case 11:
      if (text0 == K_DESTINATION && text1 == K_DESTINATION_2) return Role.Destination;
      return text0 == K_DROP_REASON && text1 == K_DROP_REASON_2 ? Role.DropReason : Role.None;
    case 14:
      return text0 == K_DROPREASON && text1 == K_DROPREASONDESC_2 ? Role.DropReasonText : Role.None;
    case 16:
      return text0 == K_DROP_REASON && text1 == K_DROP_REASON_DESC_2 ? Role.DropReasonText : Role.None;
    case 18:
      if (text0 != K_DESTINATION || text1 != K_SERVICE_CAMEL_2) return Role.None;
      return load<u64>(textStart + 10) == K_SERVICE_CAMEL_3 ? Role.Service : Role.None;
    case 19:
      if (text0 != K_DESTINATION || text1 != K_SERVICE_2) return Role.None;
      return load<u64>(textStart + 11) == K_SERVICE_3 ? Role.Service : Role.None;
  }
  return Role.None;
}

/** Does an object hold what it cannot do without? */
function isComplete(level: i32, seen: u64): bool {
  switch (level) {
    case Level.Record:
      return (seen & ((<u64>1) << Role.Flow)) != 0;
    case Level.Ip:
      return seen == (((<u64>1) << Role.Src) | ((<u64>1) << Role.Dst));
    case Level.L4:
      return seen != 0;
  }
  return true;
}

/** The value of a member. */
// @ts-ignore: decorator
@inline
function readMember(p: usize, role: u32): usize {
  switch (role) {
    case Role.Flow:
      return readMembers(p, Level.Flow);
    case Role.RecordTime:
      p = readSpan(p);
      recordTime = textStart;
      recordTimeSize = textSize;
      return p;
    case Role.Ip:
      return readMembers(p, Level.Ip);
    case Role.L4:
      return readMembers(p, Level.L4);
    case Role.Time:
      p = readSpan(p);
      return p != 0 && readTime() ? p : 0;
    case Role.Type:
      p = readText(p);
      if (textSize == 2 && text0 == W_L7) store<i32>(word(Scan.Type), 1);
      else if (textSize == 4 && text0 == W_SOCK) store<i32>(word(Scan.Type), 2);
      return p;
    case Role.Reply:
      return readBoolean(p, word(Scan.Reply));
    case Role.IsReply:
      return readBoolean(p, word(Scan.IsReply));
    case Role.Source:
      return readObject(p, word(Scan.Source));
    case Role.Destination:
      return readObject(p, word(Scan.Destination));
    case Role.Service:
      return readObject(p, word(Scan.Service));
    case Role.Emitter:
      return readObject(p, word(Scan.Emitter));
    case Role.Extensions:
      return readObject(p, word(Scan.Extensions));
    case Role.Verdict:
      p = readText(p);
      return p != 0 && readVerdict() ? p : 0;
    case Role.Ethernet:
      store<i32>(word(Scan.HasEthernet), 1);
      return skipValue(p, DEPTH);
    case Role.EventType:
      p = readSmall(p, Level.Event);
      store<i32>(word(Scan.Event), small);
      return p;
    case Role.EventNumber:
      p = readCount(p);
      small = count;
      return p;
    case Role.DropReason:
      p = readCount(p);
      // The description goes before the number.
      if (load<i32>(word(Scan.Drop)) == 0)
        store<i32>(word(Scan.Drop), count == 133 || count == 181 || count == 189 ? 1 : 2);
      return p;
    case Role.DropReasonText:
      p = readText(p);
      store<i32>(word(Scan.Drop), isPolicyReason() ? 1 : 2);
      return p;
    case Role.Src:
      return readAddress(p, word(Scan.Src));
    case Role.Dst:
      return readAddress(p, word(Scan.Dst));
    case Role.Tcp:
      return readTransport(p, Protocol.Tcp, Level.Ports);
    case Role.Udp:
      return readTransport(p, Protocol.Udp, Level.Ports);
    case Role.Sctp:
      return readTransport(p, Protocol.Sctp, Level.Ports);
    case Role.Icmp4:
      return readTransport(p, Protocol.Icmp, Level.Icmp);
    case Role.Icmp6:
      return readTransport(p, Protocol.Icmpv6, Level.Icmp);
    case Role.SrcPort:
      return readPort(p, word(Scan.SrcPort));
    case Role.DstPort:
      return readPort(p, word(Scan.DstPort));
    case Role.TcpFlags: {
      p = readSmall(p, Level.Flags);
      // Other protocols have none, whatever is written.
      if (load<i32>(word(Scan.Protocol)) == Protocol.Tcp) store<i32>(word(Scan.TcpFlags), small);
      return p;
    }
    case Role.IcmpType:
      p = readCount(p);
      store<i32>(word(Scan.Icmp), load<i32>(word(Scan.Icmp)) | ((count & 255) << 8));
      return p;
    case Role.IcmpCode:
      p = readCount(p);
      store<i32>(word(Scan.Icmp), load<i32>(word(Scan.Icmp)) | (count & 255));
      return p;
    case Role.Other:
      return 0;
  }
  return readFlag(p, <i32>1 << (role - Role.Fin));
}

/** An address into `out`: 4 and the number; or 6, place and length of a text for the caller. */
function readAddress(start: usize, out: usize): usize {
  const end = readSpan(start);
  if (end == 0) return 0;
  const address = readAddress4(textStart, textSize, Place.Forms, Place.Shapes);
  if (address >= 0) {
    store<i32>(out, 4);
    store<u32>(out + 4, <u32>address);
    return end;
  }
  store<i32>(out, 6);
  store<u32>(out + 4, <u32>(textStart - INPUT));
  store<u32>(out + 8, textSize);
  return end;
}

function readTransport(p: usize, protocol: i32, level: i32): usize {
  // A second protocol is for the other reader.
  if (load<i32>(word(Scan.Protocol)) >= 0) return 0;
  store<i32>(word(Scan.Protocol), protocol);
  if (level == Level.Icmp) store<i32>(word(Scan.Icmp), 0);
  return readMembers(p, level);
}

/** Whole objects of which few occur, each written one way; what they say. Those of a level have places of their own. */
function readSmall(start: usize, level: i32): usize {
  const hash = mix(load<u64>(start) ^ mix(load<u64>(start + 8) + mix(load<u64>(start + 16))));
  const place = (<usize>(level & 1) * SMALL_COUNT) | (<usize>hash & (SMALL_COUNT - 1));
  const object = SMALL + place * MEMBER_SIZE;
  if (isAt(start, object)) {
    small = load<u32>(object, ROLE);
    return start + load<u32>(object, SIZE);
  }
  small = 0;
  const end = readMembers(start, level);
  if (end != 0) keep(object, start, end, small);
  return end;
}

/** Port 0 stands for an absent one. */
function readPort(start: usize, out: usize): usize {
  const p = readCount(start);
  if (p == 0 || count > 65535) return 0;
  if (count != 0) store<i32>(out, count);
  return p;
}

/** `true` or `false` for one bit. */
function readFlag(p: usize, bit: i32): usize {
  if (load<u32>(p) == TRUE) {
    small |= bit;
    return p + 4;
  }
  return load<u32>(p) == FALS && load<u8>(p + 4) == 0x65 ? p + 5 : 0;
}

function readVerdict(): bool {
  let verdict: i32 = ScanVerdict.None;
  switch (textSize) {
    case 5:
      verdict = text0 == W_ERROR ? ScanVerdict.Error : text0 == W_AUDIT ? ScanVerdict.Audit : ScanVerdict.None;
      break;
    case 6:
      if (text0 == W_TRACED) verdict = ScanVerdict.Traced;
      break;
    case 7:
      if (text0 == W_DROPPED) verdict = ScanVerdict.Dropped;
      break;
    case 9:
      if (text0 == W_FORWARDED && text1 == 0x44) verdict = ScanVerdict.Forwarded;
      break;
    case 10:
      if (text1 != 0x4445) break;
      if (text0 == W_REDIRECTED) verdict = ScanVerdict.Redirected;
      else if (text0 == W_TRANSLATED) verdict = ScanVerdict.Translated;
      break;
  }
  store<i32>(word(Scan.Verdict), verdict);
  return verdict != ScanVerdict.None;
}

function isPolicyReason(): bool {
  if (textSize == 13) return (text0 == W_POLICY_DEN && text1 == W_IED) || (text0 == W_AUTH_REQ && text1 == W_UIRED);
  return textSize == 11 && text0 == W_POLICY_DEN && text1 == W_Y;
}

/** The string read last as `YYYY-MM-DDTHH:MM:SS[.f]Z` in microseconds; false for every other spelling. */
function readTime(): bool {
  const p = textStart;
  if (textSize < 20 || textSize > 30 || load<u8>(p + textSize - 1) != 0x5a || load<u8>(p + 16) != 0x3a) return false;
  if (load<u64>(p) != minute0 || load<u64>(p + 8) != minute1) {
    minuteUs = readMinute(p);
    minute0 = load<u64>(p);
    minute1 = load<u64>(p + 8);
  }
  const second = pair(p + 17);
  if (isNaN(minuteUs) || second < 0 || second > 60) return false;
  let fraction: i32 = 0;
  if (textSize > 20) {
    if (load<u8>(p + 19) != 0x2e || textSize == 21) return false;
    const size = textSize - 21;
    let digits = load<u64>(p + 20) ^ ZEROS;
    if (size < 8) digits &= (<u64>1 << (<u64>size << 3)) - 1;
    if (notDigits(digits) != 0 || (size == 9 && <u32>load<u8>(p + 28) - 48 > 9)) return false;
    // Digits behind the sixth one are less than a microsecond.
    fraction = valueOf(digits << 16);
  }
  store<f64>(TIME, minuteUs + <f64>second * 1e6 + <f64>fraction);
  return true;
}

/** Sixteen bytes as `YYYY-MM-DDTHH:MM` in microseconds, or NaN. */
function readMinute(p: usize): f64 {
  if (load<u8>(p + 4) != 0x2d || load<u8>(p + 7) != 0x2d || load<u8>(p + 10) != 0x54 || load<u8>(p + 13) != 0x3a)
    return NaN;
  const high = pair(p);
  const low = pair(p + 2);
  const month = pair(p + 5);
  const day = pair(p + 8);
  const hour = pair(p + 11);
  const minute = pair(p + 14);
  if ((high | low | month | day | hour | minute) < 0) return NaN;
  const year = high * 100 + low;
  if (year < 1000 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59) return NaN;
  // Days since 1970 in the proleptic Gregorian calendar, years counted from March.
  const y = month <= 2 ? year - 1 : year;
  const era = y / 400;
  const yearOfEra = y - era * 400;
  const dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const days = era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468;
  return (<f64>days * 86400 + <f64>(hour * 3600 + minute * 60)) * 1e6;
}

/** Two digits, or below 0. */
function pair(p: usize): i32 {
  const tens: u32 = <u32>load<u8>(p) - 48;
  const ones: u32 = <u32>load<u8>(p + 1) - 48;
  return tens > 9 || ones > 9 ? -1 : <i32>(tens * 10 + ones);
}

/** An object as a handle. */
function readObject(start: usize, out: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  // What was seen behind the same 32 bytes is likely to come again; bytes that are equal need not be looked at twice. A place has
  // room for two, as of many endpoints some share one and take turns.
  const first = mix(load<u64>(start) ^ mix(load<u64>(start + 8) + mix(load<u64>(start + 16) + load<u64>(start + 24))));
  const prefix = PREFIXES + ((<usize>first & (PREFIX_SLOTS - 2)) << 2);
  let end = readKnown(start, out, prefix);
  if (end != 0) return end;
  end = readKnown(start, out, prefix + 4);
  if (end != 0) return end;
  end = skipValue(start, DEPTH);
  if (end == 0) return 0;
  const size = <u32>(end - start);
  let hash: u64 = size;
  let at = start;
  for (; at + 8 <= end; at += 8) hash = mix(hash ^ load<u64>(at));
  if (at < end) hash = mix(hash ^ (load<u64>(at) & ((<u64>1 << (<u64>(end - at) << 3)) - 1)));
  const key = <u32>hash;
  let slot = key & (SLOT_COUNT - 1);
  let handle = 0;
  while (true) {
    handle = load<i32>(SLOTS + ((<usize>slot) << 2)) - 1;
    if (handle < 0) break;
    const entry = ENTRIES + <usize>handle * ENTRY_SIZE;
    if (load<u32>(entry + 8) == key && load<u32>(entry + 4) == size && isEqual(start, load<u32>(entry), size)) break;
    slot = (slot + 1) & (SLOT_COUNT - 1);
  }
  if (handle < 0) {
    if (arenaEnd + size + 16 > ARENA_END) {
      // The next record begins anew.
      entryCount = ENTRY_LIMIT;
      return 0;
    }
    handle = entryCount++;
    const entry = ENTRIES + <usize>handle * ENTRY_SIZE;
    store<u32>(entry, <u32>arenaEnd);
    store<u32>(entry + 4, size);
    store<u32>(entry + 8, key);
    memory.copy(arenaEnd, start, size);
    arenaEnd += size;
    store<i32>(SLOTS + ((<usize>slot) << 2), handle + 1);
  }
  store<i32>(prefix + 4, load<i32>(prefix));
  store<i32>(prefix, handle + 1);
  store<i32>(out, handle);
  return end;
}

/** The object that the table of prefixes has at a place, if it is the one at `start`. */
// @ts-ignore: decorator
@inline
function readKnown(start: usize, out: usize, prefix: usize): usize {
  const guess = load<i32>(prefix) - 1;
  if (guess < 0) return 0;
  const size = objectSize(guess);
  if (!isEqual(start, objectOffset(guess), size)) return 0;
  store<i32>(out, guess);
  return start + size;
}

function mix(value: u64): u64 {
  const product = value * 0x9e3779b97f4a7c15;
  return product ^ (product >> 29);
}

function isEqual(left: usize, right: usize, size: u32): bool {
  let at: u32 = 0;
  if (size >= 64) {
    for (; at + 64 <= size; at += 64) if (!isSame64(left + at, right + at)) return false;
    // The last bytes again, as many as in a step: a loop over what is left would end where nobody can foresee.
    return at == size || isSame64(left + size - 64, right + size - 64);
  }
  for (; at + 8 <= size; at += 8) if (load<u64>(left + at) != load<u64>(right + at)) return false;
  for (; at < size; at++) if (load<u8>(left + at) != load<u8>(right + at)) return false;
  return true;
}

// @ts-ignore: decorator
@inline
function isSame64(left: usize, right: usize): bool {
  const first = v128.xor(v128.load(left), v128.load(right));
  const second = v128.xor(v128.load(left, 16), v128.load(right, 16));
  const third = v128.xor(v128.load(left, 32), v128.load(right, 32));
  const fourth = v128.xor(v128.load(left, 48), v128.load(right, 48));
  return !v128.any_true(v128.or(v128.or(first, second), v128.or(third, fourth)));
}

function readBoolean(p: usize, out: usize): usize {
  if (load<u32>(p) == TRUE) {
    store<i32>(out, 2);
    return p + 4;
  }
  if (load<u32>(p) != FALS || load<u8>(p + 4) != 0x65) return 0;
  store<i32>(out, 1);
  return p + 5;
}

/** A whole number of at most seven digits into `count`. */
function readCount(start: usize): usize {
  const digits = load<u64>(start) ^ ZEROS;
  const size = <usize>ctz(notDigits(digits)) >> 3;
  if (size == 0 || size > 7 || (size > 1 && load<u8>(start) == 48)) return 0;
  const end = start + size;
  const byte = load<u8>(end);
  if (byte == 0x2e || (byte | 0x20) == 0x65) return 0;
  count = valueOf(digits << ((8 - <u64>size) << 3));
  return end;
}

/** Eight digits of text, or fewer with zeros behind them, after `^ ZEROS`: bits in the bytes that are none. */
// @ts-ignore: decorator
@inline
function notDigits(digits: u64): u64 {
  return ((digits + 0x0606060606060606) | digits) & 0xf0f0f0f0f0f0f0f0;
}

/** Eight digits, the last one in the highest byte: two, four and eight of them are put together at once. */
// @ts-ignore: decorator
@inline
function valueOf(digits: u64): i32 {
  const pairs = digits * 10 + (digits >> 8);
  return <i32>(((pairs & 0xff000000ff) * 0xf424000000064 + ((pairs >> 16) & 0xff000000ff) * 0x271000000001) >> 32);
}

/** A key with its colon; the place of its value. */
function readKey(start: usize): usize {
  let p = readText(start);
  if (p == 0) return 0;
  p = skipSpace(p);
  return load<u8>(p) == 0x3a ? skipSpace(p + 1) : 0;
}

/** A string without escapes, of which place and length matter. */
// @ts-ignore: decorator
@inline
function readSpan(start: usize): usize {
  const stop = findTextStop(start);
  if (stop == 0 || load<u8>(stop) != 0x22) return 0;
  textStart = start + 1;
  textSize = <u32>(stop - start - 1);
  return stop + 1;
}

/** A string without escapes, and its first bytes. */
function readText(start: usize): usize {
  const end = readSpan(start);
  if (end == 0) return 0;
  const size = textSize;
  text0 = size >= 8 ? load<u64>(textStart) : load<u64>(textStart) & ((<u64>1 << (size << 3)) - 1);
  text1 =
    size <= 8 ? 0 : size >= 16 ? load<u64>(textStart + 8) : load<u64>(textStart + 8) & ((<u64>1 << ((size - 8) << 3)) - 1);
  return end;
}

/** A string of any content, for whoever needs to know its end alone. */
// @ts-ignore: decorator
@inline
function skipText(start: usize): usize {
  const stop = findTextStop(start);
  if (stop == 0) return 0;
  return load<u8>(stop) == 0x22 ? stop + 1 : skipEscapes(stop);
}

/** The rest of a string from where its first stop is. */
function skipEscapes(stop: usize): usize {
  let p = stop;
  while (load<u8>(p) == 0x5c) {
    const byte = load<u8>(p + 1);
    if (byte == 0x75) {
      if (!isHex(p + 2) || !isHex(p + 3) || !isHex(p + 4) || !isHex(p + 5)) return 0;
      p += 4;
      // `"`, `\\`, `/`, b, f, n, r, t.
    } else if (byte != 0x22 && byte != 0x5c && byte != 0x2f && byte != 0x62 && byte != 0x66 && byte != 0x6e && byte != 0x72 && byte != 0x74) // prettier-ignore
      return 0;
    p = findStop(p + 2);
  }
  return load<u8>(p) == 0x22 ? p + 1 : 0;
}

function isHex(p: usize): bool {
  const byte = <u32>load<u8>(p);
  return byte - 48 <= 9 || (byte | 0x20) - 97 <= 5;
}

/** The first quote, backslash or control byte of a string. */
@inline
function findTextStop(start: usize): usize {
  return load<u8>(start) == 0x22 ? findStop(start + 1) : 0;
}

@inline
function findStop(start: usize): usize {
  let p = start;
  while (true) {
    const bytes = v128.load(p);
    const stops = v128.or(
      v128.or(i8x16.eq(bytes, i8x16.splat(0x22)), i8x16.eq(bytes, i8x16.splat(0x5c))),
      i8x16.lt_u(bytes, i8x16.splat(0x20)),
    );
    const mask = i8x16.bitmask(stops);
    if (mask != 0) return p + ctz(mask);
    p += 16;
  }
}

/** Any value, checked by the grammar of RFC 8259. */
function skipValue(start: usize, depth: i32): usize {
  const byte = load<u8>(start);
  if (byte == 0x22) return skipText(start);
  if (byte == 0x7b) {
    if (depth == 0) return 0;
    let p = skipSpace(start + 1);
    if (load<u8>(p) == 0x7d) return p + 1;
    while (true) {
      p = skipText(p);
      if (p == 0) return 0;
      p = skipSpace(p);
      if (load<u8>(p) != 0x3a) return 0;
      p = skipValue(skipSpace(p + 1), depth - 1);
      if (p == 0) return 0;
      p = skipSpace(p);
      const next = load<u8>(p);
      if (next == 0x7d) return p + 1;
      if (next != 0x2c) return 0;
      p = skipSpace(p + 1);
    }
  }
  if (byte == 0x5b) {
    if (depth == 0) return 0;
    let p = skipSpace(start + 1);
    if (load<u8>(p) == 0x5d) return p + 1;
    while (true) {
      p = skipValue(p, depth - 1);
      if (p == 0) return 0;
      p = skipSpace(p);
      const next = load<u8>(p);
      if (next == 0x5d) return p + 1;
      if (next != 0x2c) return 0;
      p = skipSpace(p + 1);
    }
  }
  const word = load<u32>(start);
  if (word == TRUE || word == NULL) return start + 4;
  if (word == FALS) return load<u8>(start + 4) == 0x65 ? start + 5 : 0;
  return skipNumber(start);
}

function skipNumber(start: usize): usize {
  let p = start;
  if (load<u8>(p) == 0x2d) p++;
  const first = <u32>load<u8>(p) - 48;
  if (first > 9) return 0;
  p++;
  if (first != 0) p = skipDigits(p);
  if (load<u8>(p) == 0x2e) {
    const digits = skipDigits(p + 1);
    if (digits == p + 1) return 0;
    p = digits;
  }
  if ((load<u8>(p) | 0x20) == 0x65) {
    p++;
    const sign = load<u8>(p);
    if (sign == 0x2b || sign == 0x2d) p++;
    const digits = skipDigits(p);
    if (digits == p) return 0;
    p = digits;
  }
  return p;
}

function skipDigits(start: usize): usize {
  let p = start;
  while (<u32>load<u8>(p) - 48 <= 9) p++;
  return p;
}

/** Line ends are none of it: a record is a line. */
@inline
function skipSpace(start: usize): usize {
  return load<u8>(start) > 0x20 ? start : skipBlanks(start);
}

function skipBlanks(start: usize): usize {
  let p = start;
  while (load<u8>(p) == 0x20 || load<u8>(p) == 0x09) p++;
  return p;
}
