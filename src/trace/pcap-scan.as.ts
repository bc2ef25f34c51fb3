/**
 * AssemblyScript, compiled to WebAssembly by scripts/scan.mjs: records of a little-endian pcap file as bytes -> rows of columns. It
 * writes those of ordinary packets, whole frames with IPv4, no options, fragments or tunnels, and TCP or UDP; passes over ARP; and
 * keeps a row free for every other packet, which is for `PacketDecoder.take` (packet.ts). What was seen before is the caller's matter: of each row it
 * gets what to look for. Places of memory and lanes are those of `pcap-scan.ts`.
 */
import { Orientation, OrientedBy, TcpFlag } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { Lane, LinkSize, Place, Size } from './pcap-scan.ts';

const INPUT: usize = Place.Input;
const STRIDE: usize = Place.Stride;

/** Behind the last record that `read` took, from the begin of the window. */
let stopAt: i32 = 0;
/** How many of the records were ARP. */
let arpCount: i32 = 0;
/** How many rows are left to the caller. */
let oddCount: i32 = 0;
/** 1 where the record behind is not whole in the window. */
let isCut: i32 = 0;

/**
 * Writes the rows of the records at `[start, end)` of the window, at most `limit`; `number` is that of the record before. `linkSize`: bytes
 * in front of the IP header, 14 of Ethernet or 20 of SLL2. `ticks`: units of a time's fraction in a microsecond. Returns how many rows;
 * `stop`, `odds`, `arp` and `cut` say the rest.
 */
export function read(
  start: i32,
  end: i32,
  limit: i32,
  number: f64,
  linkSize: i32,
  sizeLimit: i32,
  ticks: u32,
): i32 {
  const isSll2 = linkSize == LinkSize.Sll2;
  const last = INPUT + <usize>(end - Size.Record - linkSize - Size.Ip - Size.Udp);
  const stop = INPUT + <usize>end;
  const least = linkSize + Size.Ip + Size.Udp;
  let record = INPUT + <usize>start;
  let line = number;
  let arp = 0;
  let row = 0;
  oddCount = 0;
  isCut = 0;
  while (row < limit) {
    if (record > last) {
      isCut = 1;
      break;
    }
    const captured = load<i32>(record, 8);
    if (captured < 0 || captured > sizeLimit) break;
    const frame = record + Size.Record;
    const network = frame + <usize>linkSize;
    const next = frame + <usize>captured;
    if (next > stop) {
      isCut = 1;
      break;
    }
    // EtherType (at the other end of an SLL2 header), version and header length: the one comparison that most packets pass.
    const kind: u32 = isSll2
      ? <u32>load<u16>(frame) | (<u32>load<u8>(network) << 16)
      : load<u32>(network - 2) & 0xff_ffff;
    line += 1;
    if ((kind & 0xffff) == 0x06_08 && captured >= least) {
      arp++;
      record = next;
      continue;
    }
    store<f64>(at(Lane.Line) + ((<usize>row) << 3), line);
    if (captured < least || kind != 0x45_00_08 || (load<u16>(network, 6) & 0xff3f) != 0) {
      storeOdd(row++, record);
      record = next;
      continue;
    }
    const wire = load<u32>(record, 12);
    const length = <i32>bswap<u16>(load<u16>(network, 2));
    // Segmentation offload writes 0 for what does not fit into 16 bits.
    const size: i64 = length < Size.Ip ? <i64>wire - <i64>linkSize : <i64>length;
    const held = min<i64>(size, <i64>captured - <i64>linkSize);
    const transport = network + Size.Ip;
    const rest = <i32>size - Size.Ip;
    const protocol = <i32>load<u8>(network, 9);
    const ports = bswap<u32>(load<u32>(transport));
    const src = bswap<u32>(load<u32>(network, 12));
    const dst = bswap<u32>(load<u32>(network, 16));
    if (protocol == Protocol.Tcp) {
      if (held < Size.Ip + 14) {
        storeOdd(row++, record);
        record = next;
        continue;
      }
      const bits = <i32>load<u8>(transport, 13);
      const isSyn = (bits & TcpFlag.Syn) != 0;
      const sequence = <i32>bswap<u32>(load<u32>(transport, 4));
      const payload = rest - <i32>(load<u8>(transport, 12) >> 4) * 4;
      store<u16>(at(Lane.TcpFlags) + ((<usize>row) << 1), bits);
      store<u8>(at(Lane.Orientation) + <usize>row, isSyn ? ((bits & TcpFlag.Ack) != 0 ? Orientation.Reply : Orientation.Original) : Orientation.Unknown); // prettier-ignore
      store<u8>(at(Lane.OrientedBy) + <usize>row, isSyn ? OrientedBy.Flags : OrientedBy.Assumed);
      let segment = 0;
      if (payload > 0 || (bits & (TcpFlag.Syn | TcpFlag.Fin)) != 0) {
        segment = hashSegment(sequence, <i32>ports, <i32>src, <i32>dst, payload * 4 + (bits & 3));
        if (isSll2) segment = mix(segment, placeOf(frame));
        store<i32>(at(Lane.Mark) + ((<usize>row) << 2), markOf(segment, sequence, <i32>ports));
      } else store<i32>(at(Lane.Mark) + ((<usize>row) << 2), 0);
      store<u16>(at(Lane.Slot) + ((<usize>row) << 1), <u16>(segment ^ (segment >>> 16)));
      if (isSll2) {
        const numbers = mix(mix(idOf(network), sequence), <i32>bswap<u32>(load<u32>(transport, 8)));
        storeKey(row, frame, mix(mix(numbers, (payload << 8) ^ bits), rest), transport, transport);
      }
    } else {
      const to = ports & 0xffff;
      if (protocol != Protocol.Udp || held < Size.Ip + Size.Udp || to == 4789 || to == 8472 || to == 6081) {
        storeOdd(row++, record);
        record = next;
        continue;
      }
      store<u16>(at(Lane.TcpFlags) + ((<usize>row) << 1), TcpFlag.Absent);
      store<u8>(at(Lane.Orientation) + <usize>row, Orientation.Unknown);
      store<u8>(at(Lane.OrientedBy) + <usize>row, OrientedBy.Assumed);
      store<i32>(at(Lane.Mark) + ((<usize>row) << 2), 0);
      if (isSll2) {
        const payloadAt = transport + Size.Udp;
        storeKey(row, frame, mix(idOf(network), rest), payloadAt, min(network + <usize>held, payloadAt + Size.Hashed));
      }
    }
    const word = (<usize>row) << 2;
    const long = (<usize>row) << 3;
    const fraction = load<u32>(record, 4);
    store<u8>(at(Lane.Protocol) + <usize>row, protocol);
    store<u32>(at(Lane.Src) + word, src);
    store<u32>(at(Lane.Dst) + word, dst);
    store<u32>(at(Lane.SrcPort) + word, ports >> 16);
    store<u32>(at(Lane.DstPort) + word, ports & 0xffff);
    store<f64>(at(Lane.TimeUs) + long, <f64>load<u32>(record) * 1e6 + <f64>(ticks == 1 ? fraction : fraction / 1000));
    store<f64>(at(Lane.Bytes) + long, <f64>wire);
    row++;
    record = next;
  }
  stopAt = <i32>(record - INPUT);
  arpCount = arp;
  return row;
}

/** Behind the last record that was taken. */
export function stop(): i32 {
  return stopAt;
}

/** How many rows are left to the caller: `Place.Odds` has for each its number and where its record is in the window. */
export function odds(): i32 {
  return oddCount;
}

/** How many records were ARP. */
export function arp(): i32 {
  return arpCount;
}

/** 1 where the record behind is not whole in the window, as far as that can be told. */
export function cut(): i32 {
  return isCut;
}

/** Where a lane begins. */
// @ts-ignore: decorator
@inline
function at(lane: Lane): usize {
  return <usize>Place.Lanes + <usize>lane * STRIDE;
}

/** `hashSegment` of `pcap-scan.ts`. */
// @ts-ignore: decorator
@inline
function hashSegment(sequence: i32, ports: i32, src: i32, dst: i32, shape: i32): i32 {
  const hash = mix(<i32>((<u32>(sequence ^ ports)) * 0x9e3779b1), src);
  return <i32>((<u32>((hash ^ <i32>((<u32>hash) >>> 13)) + dst + shape)) * 0xc2b2ae35);
}

/** `markOf` of `pcap-scan.ts`. */
// @ts-ignore: decorator
@inline
function markOf(segment: i32, sequence: i32, ports: i32): i32 {
  return <i32>((<u32>segment) * 0x27d4eb2f) ^ sequence ^ (ports & 0xffff);
}

/** What a packet keeps of its IPv4 header wherever it is seen. */
// @ts-ignore: decorator
@inline
function idOf(network: usize): i32 {
  return <i32>((<u32>bswap<u16>(load<u16>(network, 4)) ^ ((<u32>load<u8>(network, 9)) << 24)) * 0x9e3779b1);
}

/** What tells a packet's sightings from other packets: `headers`, a hash, and the bytes of its payload; and where it was seen. */
function storeKey(row: i32, frame: usize, headers: i32, payloadAt: usize, payloadEnd: usize): void {
  let hash = headers;
  let check = <i32>((<u32>(hash ^ 0x5bd1e995)) * 0x27d4eb2f);
  for (let place = payloadAt; place < payloadEnd; place++) {
    const byte = <i32>load<u8>(place);
    hash = <i32>((<u32>(hash ^ byte)) * 0x01000193);
    check = <i32>((<u32>(check + byte)) * 0x85ebca6b) ^ <i32>((<u32>check) >>> 17);
  }
  store<i32>(at(Lane.Hash) + ((<usize>row) << 2), hash ^ <i32>((<u32>hash) >>> 15));
  store<i32>(at(Lane.Check) + ((<usize>row) << 2), check);
  const key = <f64>bswap<u32>(load<u32>(frame, 4)) * 8 + <f64>(load<u8>(frame, 10) & 7);
  store<f64>(at(Lane.PlaceKey) + ((<usize>row) << 3), key);
}

/** Leaves the row of a packet that is not ordinary to the caller. */
function storeOdd(row: i32, record: usize): void {
  const place = Place.Odds + ((<usize>oddCount) << 3);
  store<i32>(place, row);
  store<i32>(place, <i32>(record - INPUT), 4);
  store<i32>(at(Lane.Mark) + ((<usize>row) << 2), 0);
  oddCount++;
}

/** Interface and packet type of an SLL2 frame; `placeWord` of `pcap-scan.ts`. */
// @ts-ignore: decorator
@inline
function placeOf(frame: usize): i32 {
  const index = bswap<u32>(load<u32>(frame, 4));
  return <i32>((index << 3) | <u32>(load<u8>(frame, 10) & 7)) ^ <i32>(index >>> 29);
}

// @ts-ignore: decorator
@inline
function mix(hash: i32, value: i32): i32 {
  return <i32>((<u32>((hash ^ <i32>((<u32>hash) >>> 15)) + value)) * 0x85ebca6b);
}
