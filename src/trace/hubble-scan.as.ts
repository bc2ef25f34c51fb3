/**
 * AssemblyScript, compiled to WebAssembly by scripts/build.mjs: one Hubble flow of `flow.proto` as JSON bytes -> the numbers that
 * hubble.ts asks for. A strict, depth-aware tokenizer: keys in any order, any white space. It answers only for what is JSON for
 * certain and means one thing only; whatever it is not sure of (an escape, a repeated key, a number that is no plain integer, a
 * spelling that is rare) is 0, and the caller asks JSON.parse. Objects that repeat from record to record (endpoints, services,
 * emitters) are known again by their bytes and become handles; what they mean is the caller's matter.
 *
 * Memory: the result, a table from the first bytes of an object to the one seen there last, a hash table of all objects with their
 * places and lengths, their bytes, and the window of input. Behind the window lie zeros: every loop stops at a control byte.
 */

/** Offsets of the result, 4 bytes each; `hubble-scan.ts` has the same list. */
const RESULT: usize = 1024;
const EVENT: usize = RESULT + 4 * 0;
const TYPE: usize = RESULT + 4 * 1;
const VERDICT: usize = RESULT + 4 * 2;
const DROP: usize = RESULT + 4 * 3;
const IS_REPLY: usize = RESULT + 4 * 4;
const REPLY: usize = RESULT + 4 * 5;
const HAS_ETHERNET: usize = RESULT + 4 * 6;
const PROTOCOL: usize = RESULT + 4 * 7;
const SRC_PORT: usize = RESULT + 4 * 8;
const DST_PORT: usize = RESULT + 4 * 9;
const TCP_FLAGS: usize = RESULT + 4 * 10;
const ICMP: usize = RESULT + 4 * 11;
const SRC: usize = RESULT + 4 * 12;
const DST: usize = RESULT + 4 * 15;
const SOURCE: usize = RESULT + 4 * 18;
const DESTINATION: usize = RESULT + 4 * 19;
const SERVICE: usize = RESULT + 4 * 20;
const EMITTER: usize = RESULT + 4 * 21;
const EXTENSIONS: usize = RESULT + 4 * 22;
const GENERATION: usize = RESULT + 4 * 23;
const TIME: usize = RESULT + 4 * 24;
const END_TIME: usize = RESULT + 4 * 26;

const PREFIXES: usize = 0x1000;
const PREFIX_SLOTS: u32 = 4096;
const SLOTS: usize = 0x8000;
const SLOT_COUNT: u32 = 32768;
/** Of an object: offset, length, hash. */
const ENTRIES: usize = 0x28000;
const ENTRY_SIZE: usize = 12;
const ENTRY_LIMIT: i32 = 16000;
const ARENA: usize = 0x60000;
const ARENA_SIZE: usize = 0x800000;
/** Where the caller puts the window. */
const INPUT: usize = ARENA + ARENA_SIZE;

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

/** Where the window begins. */
export function inputOffset(): usize {
  return INPUT;
}

/** Place and length of an object by its handle. */
export function objectOffset(handle: i32): usize {
  return load<u32>(ENTRIES + <usize>handle * ENTRY_SIZE);
}

export function objectSize(handle: i32): u32 {
  return load<u32>(ENTRIES + <usize>handle * ENTRY_SIZE + 4);
}

/** Reads the line at `start`: where the next one begins, and the result holds its record; 0 where it is for JSON.parse. */
export function scan(start: usize): usize {
  // Handles of one record must all be of one generation.
  if (entryCount > ENTRY_LIMIT - 8) forget();
  store<i32>(EVENT, 0);
  store<i32>(TYPE, 0);
  store<i32>(VERDICT, 0);
  store<i32>(DROP, 0);
  store<i32>(IS_REPLY, 0);
  store<i32>(REPLY, 0);
  store<i32>(HAS_ETHERNET, 0);
  store<i32>(PROTOCOL, -1);
  store<i32>(SRC, -1);
  store<i32>(DST, -1);
  store<i32>(SOURCE, -1);
  store<i32>(DESTINATION, -1);
  store<i32>(SERVICE, -1);
  store<i32>(EMITTER, -1);
  store<i32>(EXTENSIONS, -1);
  store<i32>(GENERATION, generation);
  store<f64>(TIME, NaN);
  store<f64>(END_TIME, NaN);
  let p = readRecord(skipSpace(start));
  if (p == 0) return 0;
  p = skipSpace(p);
  if (load<u8>(p) == 0x0d) p++;
  return load<u8>(p) == 0x0a ? p + 1 : 0;
}

function forget(): void {
  memory.fill(PREFIXES, 0, PREFIX_SLOTS * 4);
  memory.fill(SLOTS, 0, SLOT_COUNT * 4);
  entryCount = 0;
  arenaEnd = ARENA;
  generation++;
}

// Every reader below takes the place of a value's first byte and gives the place behind its last one, 0 where it is not sure.

function readRecord(start: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = skipSpace(start + 1);
  let hasFlow = false;
  let hasTime = false;
  let isTimeGood = true;
  if (load<u8>(p) == 0x7d) return 0;
  while (true) {
    p = readKey(p);
    if (p == 0) return 0;
    if (textSize == 4 && text0 == K_FLOW) {
      if (hasFlow) return 0;
      hasFlow = true;
      p = readFlow(p);
    } else if (textSize == 4 && text0 == K_TIME) {
      if (hasTime) return 0;
      hasTime = true;
      p = readText(p);
      if (p == 0) return 0;
      isTimeGood = readTime(END_TIME);
    } else p = skipValue(p, DEPTH);
    if (p == 0) return 0;
    p = skipSpace(p);
    const byte = load<u8>(p);
    if (byte == 0x7d) break;
    if (byte != 0x2c) return 0;
    p = skipSpace(p + 1);
  }
  if (!hasFlow) return 0;
  // The flow's own time goes before that of its envelope.
  if (isNaN(load<f64>(TIME))) {
    if (!isTimeGood) return 0;
    store<f64>(TIME, load<f64>(END_TIME));
  }
  return p + 1;
}

function readFlow(start: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = skipSpace(start + 1);
  if (load<u8>(p) == 0x7d) return 0;
  let seen: u32 = 0;
  while (true) {
    p = readKey(p);
    if (p == 0) return 0;
    let bit: u32 = 0;
    switch (textSize) {
      case 2:
        if (text0 == K_IP) bit = 1 << 0;
        else if (text0 == K_L4) bit = 1 << 1;
        break;
      case 4:
        if (text0 == K_TIME) bit = 1 << 2;
        else if (text0 == K_CAP_TYPE) bit = 1 << 3;
        break;
      case 5:
        if (text0 == K_REPLY) bit = 1 << 4;
        break;
      case 6:
        if (text0 == K_SOURCE) bit = 1 << 5;
        break;
      case 7:
        if (text0 == K_VERDICT) bit = 1 << 6;
        else if (text0 == K_EMITTER) bit = 1 << 7;
        else if (text0 == K_ISREPLY) bit = 1 << 8;
        break;
      case 8:
        if (text0 == K_IS_REPLY) bit = 1 << 8;
        else if (text0 == K_ETHERNET) bit = 1 << 9;
        break;
      case 9:
        if (text0 == K_EVENTTYPE && text1 == K_EVENTTYPE_2) bit = 1 << 10;
        // A sum of flows is no sighting of one: rare, and not for here.
        else if (text0 == K_AGGREGATE && text1 == K_AGGREGATE_2) return 0;
        break;
      case 10:
        if (text0 == K_EVENT_TYPE && text1 == K_EVENT_TYPE_2) bit = 1 << 10;
        else if (text0 == K_EXTENSIONS && text1 == K_EXTENSIONS_2) bit = 1 << 11;
        else if (text0 == K_DROPREASON && text1 == K_DROPREASON_2) bit = 1 << 12;
        break;
      case 11:
        if (text0 == K_DESTINATION && text1 == K_DESTINATION_2) bit = 1 << 13;
        else if (text0 == K_DROP_REASON && text1 == K_DROP_REASON_2) bit = 1 << 12;
        break;
      case 14:
        if (text0 == K_DROPREASON && text1 == K_DROPREASONDESC_2) bit = 1 << 14;
        break;
      case 16:
        if (text0 == K_DROP_REASON && text1 == K_DROP_REASON_DESC_2) bit = 1 << 14;
        break;
      case 18:
        if (text0 == K_DESTINATION && load<u64>(textStart + 10) == K_SERVICE_CAMEL_3) bit = 1 << 15;
        break;
      case 19:
        if (text0 == K_DESTINATION && load<u64>(textStart + 11) == K_SERVICE_3) bit = 1 << 15;
        break;
    }
    if (bit == 0) p = skipValue(p, DEPTH);
    else {
      // A key that comes twice, or in both spellings.
      if ((seen & bit) != 0) return 0;
      seen |= bit;
      switch (ctz(bit)) {
        case 0:
          p = readIp(p);
          break;
        case 1:
          p = readL4(p);
          break;
        case 2:
          p = readText(p);
          if (p == 0 || !readTime(TIME)) return 0;
          break;
        case 3:
          p = readText(p);
          if (textSize == 2 && text0 == W_L7) store<i32>(TYPE, 1);
          else if (textSize == 4 && text0 == W_SOCK) store<i32>(TYPE, 2);
          break;
        case 4:
          p = readBoolean(p, REPLY);
          break;
        case 5:
          p = readObject(p, SOURCE);
          break;
        case 6:
          p = readText(p);
          if (p == 0 || !readVerdict()) return 0;
          break;
        case 7:
          p = readObject(p, EMITTER);
          break;
        case 8:
          p = readBoolean(p, IS_REPLY);
          break;
        case 9:
          store<i32>(HAS_ETHERNET, 1);
          p = skipValue(p, DEPTH);
          break;
        case 10:
          p = readEvent(p);
          break;
        case 11:
          p = readObject(p, EXTENSIONS);
          break;
        case 12:
          p = readCount(p);
          // The description goes before the number.
          if ((seen & (1 << 14)) == 0) store<i32>(DROP, count == 133 || count == 181 || count == 189 ? 1 : 2);
          break;
        case 13:
          p = readObject(p, DESTINATION);
          break;
        case 14:
          p = readText(p);
          store<i32>(DROP, isPolicyReason() ? 1 : 2);
          break;
        case 15:
          p = readObject(p, SERVICE);
          break;
      }
    }
    if (p == 0) return 0;
    p = skipSpace(p);
    const byte = load<u8>(p);
    if (byte == 0x7d) return p + 1;
    if (byte != 0x2c) return 0;
    p = skipSpace(p + 1);
  }
}

function readIp(start: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = skipSpace(start + 1);
  let seen = 0;
  while (true) {
    p = readKey(p);
    if (p == 0) return 0;
    const bit =
      textSize == 6 && text0 == K_SOURCE ? 1 : textSize == 11 && text0 == K_DESTINATION && text1 == K_DESTINATION_2 ? 2 : 0; // prettier-ignore
    if (bit == 0) p = skipValue(p, DEPTH);
    else {
      if ((seen & bit) != 0) return 0;
      seen |= bit;
      p = readText(p);
      if (p != 0) readAddress(bit == 1 ? SRC : DST);
    }
    if (p == 0) return 0;
    p = skipSpace(p);
    const byte = load<u8>(p);
    if (byte == 0x7d) return seen == 3 ? p + 1 : 0;
    if (byte != 0x2c) return 0;
    p = skipSpace(p + 1);
  }
}

/** 4 and the address; or 6, place and length of a text for the caller. */
function readAddress(out: usize): void {
  let p = textStart;
  let value: u32 = 0;
  for (let parts = 0; ; parts++) {
    let part: u32 = <u32>load<u8>(p) - 48;
    if (part > 9) break;
    let next: u32 = <u32>load<u8>(++p) - 48;
    if (next <= 9) {
      // A leading zero is octal to some.
      if (part == 0) break;
      part = part * 10 + next;
      next = <u32>load<u8>(++p) - 48;
      if (next <= 9) {
        part = part * 10 + next;
        p++;
      }
    }
    if (part > 255) break;
    value = (value << 8) | part;
    if (parts == 3) {
      if (p != textStart + textSize) break;
      store<i32>(out, 4);
      store<u32>(out + 4, value);
      return;
    }
    if (load<u8>(p++) != 0x2e) break;
  }
  store<i32>(out, 6);
  store<u32>(out + 4, <u32>(textStart - INPUT));
  store<u32>(out + 8, textSize);
}

function readL4(start: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = readKey(skipSpace(start + 1));
  if (p == 0) return 0;
  let protocol = 0;
  if (textSize == 3) {
    if (text0 == K_TCP) protocol = 6;
    else if (text0 == K_UDP) protocol = 17;
  } else if (textSize == 4) {
    if (text0 == K_SCTP) protocol = 132;
  } else if (textSize == 6) {
    if (text0 == K_ICMP4) protocol = 1;
    else if (text0 == K_ICMP6) protocol = 58;
  }
  if (protocol == 0 || load<u8>(p) != 0x7b) return 0;
  store<i32>(PROTOCOL, protocol);
  const isIcmp = protocol == 1 || protocol == 58;
  let sourcePort = 0;
  let destinationPort = 0;
  let flags = -1;
  let type = 0;
  let code = 0;
  let seen = 0;
  p = skipSpace(p + 1);
  if (load<u8>(p) != 0x7d) {
    while (true) {
      p = readKey(p);
      if (p == 0) return 0;
      let bit = 0;
      if (isIcmp) {
        if (textSize == 4) bit = text0 == K_TYPE ? 1 : text0 == K_CODE ? 2 : 0;
      } else {
        switch (textSize) {
          case 5:
            if (text0 == K_FLAGS) bit = 4;
            break;
          case 10:
            if (text0 == K_SOURCEPORT && text1 == K_SOURCEPORT_2) bit = 1;
            break;
          case 11:
            if (text0 == K_SOURCE_PORT && text1 == K_SOURCE_PORT_2) bit = 1;
            break;
          case 15:
            if (text0 == K_DESTINATION && text1 == K_DESTINATIONPORT_2) bit = 2;
            break;
          case 16:
            if (text0 == K_DESTINATION && text1 == K_DESTINATION_PORT_2) bit = 2;
            break;
        }
      }
      if (bit == 0) p = skipValue(p, DEPTH);
      else {
        if ((seen & bit) != 0) return 0;
        seen |= bit;
        if (bit == 4) {
          p = readFlags(p);
          flags = count;
        } else {
          p = readCount(p);
          if (isIcmp) {
            if (bit == 1) type = count;
            else code = count;
          } else {
            if (count > 65535) return 0;
            if (bit == 1) sourcePort = count;
            else destinationPort = count;
          }
        }
      }
      if (p == 0) return 0;
      p = skipSpace(p);
      const byte = load<u8>(p);
      if (byte == 0x7d) break;
      if (byte != 0x2c) return 0;
      p = skipSpace(p + 1);
    }
  }
  p = skipSpace(p + 1);
  // A second protocol is for the other reader.
  if (load<u8>(p) != 0x7d) return 0;
  store<i32>(SRC_PORT, isIcmp || sourcePort == 0 ? -1 : sourcePort);
  store<i32>(DST_PORT, isIcmp || destinationPort == 0 ? -1 : destinationPort);
  store<i32>(TCP_FLAGS, protocol == 6 ? flags : -1);
  store<i32>(ICMP, isIcmp ? ((type & 255) << 8) | (code & 255) : -1);
  return p + 1;
}

/** `{"SYN":true, ...}` into `count`. */
function readFlags(start: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = skipSpace(start + 1);
  let bits = 0;
  let seen = 0;
  count = 0;
  if (load<u8>(p) == 0x7d) return p + 1;
  while (true) {
    p = readKey(p);
    if (p == 0) return 0;
    let bit = 0;
    if (textSize == 3) {
      if (text0 == 0x4e4946) bit = 1;
      else if (text0 == 0x4e5953) bit = 2;
      else if (text0 == 0x545352) bit = 4;
      else if (text0 == 0x485350) bit = 8;
      else if (text0 == 0x4b4341) bit = 16;
      else if (text0 == 0x475255) bit = 32;
      else if (text0 == 0x454345) bit = 64;
      else if (text0 == 0x525743) bit = 128;
    }
    // Not one of the eight, twice the same, or no boolean.
    if (bit == 0 || (seen & bit) != 0) return 0;
    seen |= bit;
    if (load<u32>(p) == TRUE) {
      bits |= bit;
      p += 4;
    } else if (load<u32>(p) == FALS && load<u8>(p + 4) == 0x65) p += 5;
    else return 0;
    p = skipSpace(p);
    const byte = load<u8>(p);
    if (byte == 0x7d) break;
    if (byte != 0x2c) return 0;
    p = skipSpace(p + 1);
  }
  count = bits;
  return p + 1;
}

/** The `type` of an `event_type`. */
function readEvent(start: usize): usize {
  if (load<u8>(start) != 0x7b) return 0;
  let p = skipSpace(start + 1);
  let hasType = false;
  if (load<u8>(p) == 0x7d) return p + 1;
  while (true) {
    p = readKey(p);
    if (p == 0) return 0;
    if (textSize == 4 && text0 == K_TYPE) {
      if (hasType) return 0;
      hasType = true;
      p = readCount(p);
      store<i32>(EVENT, count);
    } else p = skipValue(p, DEPTH);
    if (p == 0) return 0;
    p = skipSpace(p);
    const byte = load<u8>(p);
    if (byte == 0x7d) return p + 1;
    if (byte != 0x2c) return 0;
    p = skipSpace(p + 1);
  }
}

/** 1 FORWARDED, 2 DROPPED, 3 ERROR, 4 AUDIT, 5 REDIRECTED, 6 TRACED, 7 TRANSLATED: the numbers of `flow.proto`. */
function readVerdict(): bool {
  let verdict = 0;
  switch (textSize) {
    case 5:
      verdict = text0 == W_ERROR ? 3 : text0 == W_AUDIT ? 4 : 0;
      break;
    case 6:
      if (text0 == W_TRACED) verdict = 6;
      break;
    case 7:
      if (text0 == W_DROPPED) verdict = 2;
      break;
    case 9:
      if (text0 == W_FORWARDED && text1 == 0x44) verdict = 1;
      break;
    case 10:
      if (text1 == 0x4445) verdict = text0 == W_REDIRECTED ? 5 : text0 == W_TRANSLATED ? 7 : 0;
      break;
  }
  store<i32>(VERDICT, verdict);
  return verdict != 0;
}

function isPolicyReason(): bool {
  if (textSize == 13) return (text0 == W_POLICY_DEN && text1 == W_IED) || (text0 == W_AUTH_REQ && text1 == W_UIRED);
  return textSize == 11 && text0 == W_POLICY_DEN && text1 == W_Y;
}

/** The string read last as `YYYY-MM-DDTHH:MM:SS[.f]Z` in microseconds; false for every other spelling. */
function readTime(out: usize): bool {
  const p = textStart;
  if (textSize < 20 || textSize > 30 || load<u8>(p + textSize - 1) != 0x5a) return false;
  if (load<u8>(p + 4) != 0x2d || load<u8>(p + 7) != 0x2d || load<u8>(p + 10) != 0x54) return false;
  if (load<u8>(p + 13) != 0x3a || load<u8>(p + 16) != 0x3a) return false;
  const high = pair(p);
  const low = pair(p + 2);
  const month = pair(p + 5);
  const day = pair(p + 8);
  const hour = pair(p + 11);
  const minute = pair(p + 14);
  const second = pair(p + 17);
  if ((high | low | month | day | hour | minute | second) < 0) return false;
  const year = high * 100 + low;
  if (year < 1000 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
    return false;
  let fraction: i32 = 0;
  if (textSize > 20) {
    if (load<u8>(p + 19) != 0x2e || textSize == 21) return false;
    const digits = textSize - 21;
    let scale = 100000;
    for (let index: u32 = 0; index < digits; index++) {
      const digit: u32 = <u32>load<u8>(p + 20 + index) - 48;
      if (digit > 9) return false;
      fraction += <i32>digit * scale;
      scale /= 10;
    }
  }
  // Days since 1970 in the proleptic Gregorian calendar, years counted from March.
  const y = month <= 2 ? year - 1 : year;
  const era = y / 400;
  const yearOfEra = y - era * 400;
  const dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const days = era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468;
  const seconds = <f64>days * 86400 + <f64>(hour * 3600 + minute * 60 + second);
  store<f64>(out, seconds * 1e6 + <f64>fraction);
  return true;
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
  // What was seen behind the same 32 bytes last is likely to come again; bytes that are equal need not be looked at twice.
  const first = mix(load<u64>(start) ^ mix(load<u64>(start + 8) + mix(load<u64>(start + 16) + load<u64>(start + 24))));
  const prefix = PREFIXES + ((<usize>first & (PREFIX_SLOTS - 1)) << 2);
  const guess = load<i32>(prefix) - 1;
  if (guess >= 0) {
    const size = objectSize(guess);
    if (isEqual(start, objectOffset(guess), size)) {
      store<i32>(out, guess);
      return start + size;
    }
  }
  const end = skipValue(start, DEPTH);
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
    if (arenaEnd + size + 16 > ARENA + ARENA_SIZE) {
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
  store<i32>(prefix, handle + 1);
  store<i32>(out, handle);
  return end;
}

function mix(value: u64): u64 {
  const product = value * 0x9e3779b97f4a7c15;
  return product ^ (product >> 29);
}

function isEqual(left: usize, right: usize, size: u32): bool {
  let at: u32 = 0;
  for (; at + 64 <= size; at += 64) {
    const first = v128.xor(v128.load(left + at), v128.load(right + at));
    const second = v128.xor(v128.load(left + at + 16), v128.load(right + at + 16));
    const third = v128.xor(v128.load(left + at + 32), v128.load(right + at + 32));
    const fourth = v128.xor(v128.load(left + at + 48), v128.load(right + at + 48));
    if (v128.any_true(v128.or(v128.or(first, second), v128.or(third, fourth)))) return false;
  }
  for (; at + 16 <= size; at += 16)
    if (v128.any_true(v128.xor(v128.load(left + at), v128.load(right + at)))) return false;
  for (; at < size; at++) if (load<u8>(left + at) != load<u8>(right + at)) return false;
  return true;
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

/** A whole number of at most nine digits into `count`. */
function readCount(start: usize): usize {
  let p = start;
  let value: u32 = 0;
  while (true) {
    const digit: u32 = <u32>load<u8>(p) - 48;
    if (digit > 9) break;
    value = value * 10 + digit;
    p++;
  }
  const size = p - start;
  if (size == 0 || size > 9 || (size > 1 && load<u8>(start) == 48)) return 0;
  const byte = load<u8>(p);
  if (byte == 0x2e || (byte | 0x20) == 0x65) return 0;
  count = <i32>value;
  return p;
}

/** A key with its colon; the place of its value. */
function readKey(start: usize): usize {
  let p = readText(start);
  if (p == 0) return 0;
  p = skipSpace(p);
  return load<u8>(p) == 0x3a ? skipSpace(p + 1) : 0;
}

/** A string without escapes. */
function readText(start: usize): usize {
  const stop = findTextStop(start);
  if (stop == 0 || load<u8>(stop) != 0x22) return 0;
  textStart = start + 1;
  const size = <u32>(stop - start - 1);
  textSize = size;
  text0 = size >= 8 ? load<u64>(textStart) : load<u64>(textStart) & ((<u64>1 << (size << 3)) - 1);
  text1 =
    size <= 8 ? 0 : size >= 16 ? load<u64>(textStart + 8) : load<u64>(textStart + 8) & ((<u64>1 << ((size - 8) << 3)) - 1);
  return stop + 1;
}

/** A string of any content, for whoever needs to know its end alone. */
function skipText(start: usize): usize {
  let p = findTextStop(start);
  while (p != 0 && load<u8>(p) == 0x5c) {
    const byte = load<u8>(p + 1);
    if (byte == 0x75) {
      if (!isHex(p + 2) || !isHex(p + 3) || !isHex(p + 4) || !isHex(p + 5)) return 0;
      p += 4;
      // `"`, `\\`, `/`, b, f, n, r, t.
    } else if (byte != 0x22 && byte != 0x5c && byte != 0x2f && byte != 0x62 && byte != 0x66 && byte != 0x6e && byte != 0x72 && byte != 0x74) // prettier-ignore
      return 0;
    p = findStop(p + 2);
  }
  return p != 0 && load<u8>(p) == 0x22 ? p + 1 : 0;
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
