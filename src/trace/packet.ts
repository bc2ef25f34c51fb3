/**
 * Packet bytes -> one row: link layer, VLAN and MPLS tags, IPv4 and IPv6 with extension headers and fragments, tunnels, and
 * the transport header. pcap and pcapng share it. It reads single bytes and makes no object, string or Map per packet.
 */
import {
  Orientation,
  OrientedBy,
  RecordFlag,
  RecordKind,
  RecordedVerdict,
  TcpFlag,
  addQuote,
  type FlowBatch,
} from '../model/flow.ts';
import { addMalformed, increment } from './account.ts';
import type { ReadContext } from './format.ts';
import { FragmentTable } from './fragment.ts';
import {
  createSegmentMemory,
  hashSegment,
  markOf,
  mix,
  noteSegment,
  placeWord,
  prepareRows,
  Size,
  LinkSize,
  slotOf,
  type PcapLayout,
  type PcapScanner,
} from './pcap-scan.ts';
import { LAG_LIMIT_US, SightingTable, type SightingKey } from './sighting.ts';

/** Link types that are read (IETF draft-ietf-opsawg-pcaplinktype). */
const enum Link {
  Null = 0,
  Ethernet = 1,
  Raw12 = 12,
  Raw14 = 14,
  Raw = 101,
  Loop = 108,
  Sll = 113,
  Ipv4 = 228,
  Ipv6 = 229,
  Sll2 = 276,
}

/** What no capture can show; shared by the packet formats. */
export const PACKET_LIMITS: readonly string[] = [
  'A capture shows addresses only: which pod had an address is taken from the snapshot.',
  'Traffic that did not cross the captured interfaces is not in it, and what a policy already drops shows as unanswered attempts at most.',
  'With socket-level load balancing (kube-proxy replacement) a ClusterIP is never on the wire.',
];

const TUNNEL_DEPTH = 4;
const PLACE_SLOTS = 8192;

/** Decodes the packets of one input into its batch. */
export class PacketDecoder {
  private readonly context: ReadContext;
  private readonly fragments = new FragmentTable();
  private readonly seen = createSegmentMemory();
  private sightings: SightingTable | undefined;
  private readonly key: SightingKey = { hash: 0, check: 0, isStrong: false };
  private readonly placeKeys = new Float64Array(PLACE_SLOTS).fill(NaN);
  private readonly placeIds = new Uint16Array(PLACE_SLOTS);
  private placeCount = 0;
  private lastPlaceKey = NaN;
  private lastPlace = 0;
  private decapsulated = 0;

  constructor(context: ReadContext) {
    this.context = context;
  }

  /** How a scanner has to read a file; undefined where it cannot: it knows Ethernet of one interface, and SLL2 of all of them. */
  layoutOf(linkType: number, sizeLimit: number, ticks: number): PcapLayout | undefined {
    const isJoined = this.sightings !== undefined;
    if (linkType !== (isJoined ? Link.Sll2 : Link.Ethernet)) return undefined;
    return { linkSize: isJoined ? LinkSize.Sll2 : LinkSize.Ethernet, sizeLimit, ticks };
  }

  /** From now on packets may be seen more than once. `order`: whether the file keeps the interfaces' packets in time order. */
  joinSightings(order: 'ordered' | 'unordered'): void {
    this.sightings ??= new SightingTable(order === 'ordered' ? 0 : LAG_LIMIT_US);
  }

  /** An interface of which packets may come. */
  declareInterface(id: number): void {
    this.sightings?.declare(this.placeOf(id * 8));
  }

  countReady(): number {
    const { batch } = this.context;
    return this.sightings === undefined ? batch.count : this.sightings.countReady(batch);
  }

  willHandOut(count: number): void {
    this.sightings?.willHandOut(this.context.batch, count);
  }

  /**
   * Takes the first `count` rows that `scanner` read, in order; `takeOdd` is to call `take` for a record that is not ordinary, by its
   * place and number. Returns how many were taken: fewer where one of those gave no row, and what is behind it has to be read again.
   */
  takeRows(scanner: PcapScanner, count: number, takeOdd: (start: number, number: number) => void): number {
    const { account, batch } = this.context;
    const { line } = scanner;
    const isJoined = this.sightings !== undefined;
    const first = batch.count;
    if (isJoined) prepareRows(batch, count);
    else scanner.copy(batch, count);
    let done = 0;
    for (let odd = 0; odd <= scanner.oddCount; odd++) {
      const stop = odd < scanner.oddCount ? scanner.oddRow(odd) : count;
      if (isJoined) this.joinRows(scanner, done, stop);
      else this.noteRows(scanner, first, done, stop);
      account.read += stop - done;
      done = stop;
      if (stop === count) break;
      const row = batch.count;
      takeOdd(scanner.oddStart(odd), line[stop]!);
      done++;
      if (batch.count > row) continue;
      if (!isJoined) break;
      // `take` may have written into the row.
      prepareRows(batch, 1);
    }
    return done;
  }

  /** Rows that are copied already. */
  private noteRows({ slot, mark }: PcapScanner, first: number, from: number, to: number): void {
    const { batch } = this.context;
    const { flags } = batch;
    const { seen } = this;
    for (let index = from; index < to; index++) flags[first + index] = noteSegment(seen, slot[index]!, mark[index]!);
    batch.count = first + to;
  }

  /** The same of a capture on all interfaces, where a packet that was seen before gives no row. */
  private joinRows(scanner: PcapScanner, from: number, to: number): void {
    const { account, batch } = this.context;
    const { key } = this;
    let duplicates = 0;
    for (let index = from; index < to; index++) {
      const row = batch.count;
      scanner.copyRow(batch, index, row);
      batch.flags[row] = noteSegment(this.seen, scanner.slot[index]!, scanner.mark[index]!);
      key.hash = scanner.hash[index]!;
      key.check = scanner.check[index]!;
      key.isStrong = batch.protocol[row] === 6;
      if (this.sightings!.isDuplicate(batch, row, this.placeOf(scanner.placeKey[index]!), key)) duplicates++;
      else batch.count = row + 1;
    }
    if (duplicates > 0) increment(account.skipped, 'duplicate', duplicates);
  }

  /** Says once what was found out about the whole capture. */
  close(): void {
    if (this.decapsulated === 0) return;
    this.context.account.limits.push(
      `${this.decapsulated} packets were taken out of VXLAN, Geneve or IP-in-IP tunnels; the tunnels between nodes are not judged.`,
    );
    this.decapsulated = 0;
  }

  /**
   * Counts one packet and decides its fate: a row, skipped or malformed. Its bytes are `bytes[start, start + captured)`,
   * `wire` is its length on the wire; `interfaceId` and `direction` (0 unknown, 1 in, 2 out) tell sightings apart.
   */
  take(
    bytes: Uint8Array,
    start: number,
    captured: number,
    wire: number,
    linkType: number,
    timeUs: number,
    number: number,
    offset: number,
    interfaceId: number,
    direction: number,
  ): void {
    const { account, batch, dictionary } = this.context;
    account.read++;
    const end = start + captured;
    let at = start;
    let etherType = 0;
    let placeKey = interfaceId * 8 + direction;
    if (linkType === Link.Ethernet) {
      if (captured < 14) return this.refuseShort(captured, wire, number, offset);
      etherType = (bytes[at + 12]! << 8) | bytes[at + 13]!;
      at += 14;
    } else if (linkType === Link.Sll2) {
      if (captured < 20) return this.refuseShort(captured, wire, number, offset);
      etherType = (bytes[at]! << 8) | bytes[at + 1]!;
      const index = readU32(bytes, at + 4);
      placeKey = (interfaceId * 0x1_0000_0000 + index) * 8 + (bytes[at + 10]! & 7);
      at += 20;
    } else if (linkType === Link.Sll) {
      if (captured < 16) return this.refuseShort(captured, wire, number, offset);
      etherType = (bytes[at + 14]! << 8) | bytes[at + 15]!;
      // SLL has no interface number; the sender's link address stands for it.
      const address = readU32(bytes, at + 6) * 65_536 + ((bytes[at + 10]! << 8) | bytes[at + 11]!);
      placeKey = address * 8 + (bytes[at + 1]! & 7);
      at += 16;
    } else if (linkType === Link.Raw || linkType === Link.Raw12 || linkType === Link.Raw14) {
      if (captured < 1) return this.refuseShort(captured, wire, number, offset);
      etherType = bytes[at]! >> 4 === 6 ? 0x86dd : 0x0800;
    } else if (linkType === Link.Ipv4) {
      etherType = 0x0800;
    } else if (linkType === Link.Ipv6) {
      etherType = 0x86dd;
    } else if (linkType === Link.Null || linkType === Link.Loop) {
      if (captured < 4) return this.refuseShort(captured, wire, number, offset);
      // In the byte order of the machine that captured; the values are small, so one end of the word is 0.
      const family = bytes[at] === 0 ? bytes[at + 3]! : bytes[at]!;
      etherType = family === 2 ? 0x0800 : family === 10 || family === 24 || family === 28 || family === 30 ? 0x86dd : 0;
      at += 4;
    } else {
      return increment(account.skipped, `linktype ${linkType}`);
    }

    let protocol = 0;
    let family = 0;
    let srcAt = 0;
    let dstAt = 0;
    let identification = 0;
    let fragmentOffset = 0;
    let hasMore = false;
    /** Behind the packet's last byte, captured or not. */
    let packetEnd = end;
    for (let depth = 0; ; depth++) {
      // Tags in front of the network header.
      for (let tags = 0; tags < 8; tags++) {
        if (etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100) {
          if (at + 4 > end) return this.refuseShort(captured, wire, number, offset);
          etherType = (bytes[at + 2]! << 8) | bytes[at + 3]!;
          at += 4;
        } else if (etherType === 0x8847 || etherType === 0x8848) {
          if (at + 5 > end) return this.refuseShort(captured, wire, number, offset);
          const isLast = (bytes[at + 2]! & 1) !== 0;
          at += 4;
          if (isLast) etherType = bytes[at]! >> 4 === 6 ? 0x86dd : 0x0800;
        } else break;
      }

      if (etherType === 0x0800) {
        if (at + 20 > end) return this.refuseShort(captured, wire, number, offset);
        const headerLength = (bytes[at]! & 15) * 4;
        if (bytes[at]! >> 4 !== 4 || headerLength < 20) {
          const detail = 'expected an IPv4 header';
          return addMalformed(account, 'ip-header', { unit: 'packet', number, offset }, detail);
        }
        family = 4;
        const totalLength = (bytes[at + 2]! << 8) | bytes[at + 3]!;
        // Segmentation offload writes 0 for what does not fit into 16 bits.
        packetEnd = totalLength < headerLength ? start + wire : at + totalLength;
        identification = (bytes[at + 4]! << 8) | bytes[at + 5]!;
        const fragment = (bytes[at + 6]! << 8) | bytes[at + 7]!;
        fragmentOffset = fragment & 0x1fff;
        hasMore = (fragment & 0x2000) !== 0;
        protocol = bytes[at + 9]!;
        srcAt = at + 12;
        dstAt = at + 16;
        at += headerLength;
      } else if (etherType === 0x86dd) {
        if (at + 40 > end) return this.refuseShort(captured, wire, number, offset);
        if (bytes[at]! >> 4 !== 6) {
          const detail = 'expected an IPv6 header';
          return addMalformed(account, 'ip-header', { unit: 'packet', number, offset }, detail);
        }
        family = 6;
        const payloadLength = (bytes[at + 4]! << 8) | bytes[at + 5]!;
        packetEnd = payloadLength === 0 ? start + wire : at + 40 + payloadLength;
        identification = 0;
        fragmentOffset = 0;
        hasMore = false;
        protocol = bytes[at + 6]!;
        srcAt = at + 8;
        dstAt = at + 24;
        at += 40;
        for (let headers = 0; headers < 16 && fragmentOffset === 0; headers++) {
          if (protocol === 44) {
            if (at + 8 > end) return this.refuseShort(captured, wire, number, offset);
            const fragment = (bytes[at + 2]! << 8) | bytes[at + 3]!;
            fragmentOffset = fragment >> 3;
            hasMore = (fragment & 1) !== 0;
            identification = readU32(bytes, at + 4);
            protocol = bytes[at]!;
            at += 8;
          } else if (
            protocol === 0 ||
            protocol === 43 ||
            protocol === 60 ||
            protocol === 51 ||
            protocol === 135 ||
            protocol === 139 ||
            protocol === 140
          ) {
            if (at + 2 > end) return this.refuseShort(captured, wire, number, offset);
            const length = protocol === 51 ? (bytes[at + 1]! + 2) * 4 : (bytes[at + 1]! + 1) * 8;
            protocol = bytes[at]!;
            at += length;
          } else break;
        }
      } else {
        return increment(account.skipped, etherType === 0x0806 ? 'arp' : 'non-ip');
      }

      if (depth >= TUNNEL_DEPTH || fragmentOffset !== 0) break;
      if (protocol === 4 || protocol === 41) {
        etherType = protocol === 4 ? 0x0800 : 0x86dd;
        if (depth === 0) this.decapsulated++;
        continue;
      }
      if (protocol !== 17 || at + 16 > end || hasMore) break;
      const port = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (port === 4789 || port === 8472) {
        // VXLAN (RFC 7348): flags with the I bit and nothing else, an Ethernet frame behind.
        if (bytes[at + 8] !== 8 || at + 30 > end) break;
        etherType = (bytes[at + 28]! << 8) | bytes[at + 29]!;
        at += 30;
      } else if (port === 6081) {
        // Geneve (RFC 8926): version 0, options of 4-byte words, a protocol type.
        if (bytes[at + 8]! >> 6 !== 0) break;
        const inner = at + 16 + (bytes[at + 8]! & 63) * 4;
        const type = (bytes[at + 10]! << 8) | bytes[at + 11]!;
        if (type === 0x6558) {
          if (inner + 14 > end) break;
          etherType = (bytes[inner + 12]! << 8) | bytes[inner + 13]!;
          at = inner + 14;
        } else if (type === 0x0800 || type === 0x86dd) {
          etherType = type;
          at = inner;
        } else break;
      } else break;
      if (depth === 0) this.decapsulated++;
    }

    let src: number;
    let dst: number;
    if (family === 4) {
      src = readU32(bytes, srcAt);
      dst = readU32(bytes, dstAt);
    } else {
      const { addresses } = dictionary;
      src = addresses.intern(
        readU32(bytes, srcAt),
        readU32(bytes, srcAt + 4),
        readU32(bytes, srcAt + 8),
        readU32(bytes, srcAt + 12),
      );
      dst = addresses.intern(
        readU32(bytes, dstAt),
        readU32(bytes, dstAt + 4),
        readU32(bytes, dstAt + 8),
        readU32(bytes, dstAt + 12),
      );
    }

    const stop = packetEnd < end ? packetEnd : end;
    let srcPort = -1;
    let dstPort = -1;
    let icmp = -1;
    let tcpFlags: number = TcpFlag.Absent;
    let flags = 0;
    let orientation: number = Orientation.Unknown;
    let orientedBy: number = OrientedBy.Assumed;
    let isQuoting = false;
    let sctpChunks = 0;
    let sctpTag = 0;
    let sctpInitTag = 0;
    let payloadAt = at;
    let hash = Math.imul(identification ^ (protocol << 24), 0x9e3779b1);
    let isStrong = false;

    if (fragmentOffset !== 0) {
      if (this.fragments.find(family, protocol, src, dst, identification, timeUs)) {
        srcPort = this.fragments.srcPort;
        dstPort = this.fragments.dstPort;
        icmp = this.fragments.icmp;
        flags = RecordFlag.Fragment;
      } else if (protocol === 6 || protocol === 17 || protocol === 132 || protocol === 1 || protocol === 58) {
        flags = RecordFlag.NoPorts;
      }
      hash = mix(hash, fragmentOffset);
    } else if (protocol === 6) {
      if (at + 4 > stop) return this.refuseShort(captured, wire, number, offset);
      srcPort = (bytes[at]! << 8) | bytes[at + 1]!;
      dstPort = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (at + 14 > stop) flags = RecordFlag.Truncated;
      else {
        tcpFlags = bytes[at + 13]!;
        if ((tcpFlags & TcpFlag.Syn) !== 0) {
          orientation = (tcpFlags & TcpFlag.Ack) === 0 ? Orientation.Original : Orientation.Reply;
          orientedBy = OrientedBy.Flags;
        }
        const sequence = readU32(bytes, at + 4);
        const length = packetEnd - at - (bytes[at + 12]! >> 4) * 4;
        if (length > 0 || (tcpFlags & (TcpFlag.Syn | TcpFlag.Fin)) !== 0) {
          const ports = (srcPort << 16) | dstPort;
          let segment = hashSegment(sequence, ports, src, dst, length * 4 + (tcpFlags & 3));
          if (this.sightings !== undefined) segment = mix(segment, placeWord(placeKey));
          flags = noteSegment(this.seen, slotOf(segment), markOf(segment, sequence, ports));
        }
        hash = mix(mix(mix(hash, sequence), readU32(bytes, at + 8)), (length << 8) ^ tcpFlags);
        isStrong = true;
      }
      payloadAt = stop;
    } else if (protocol === 17 || protocol === 136 || protocol === 33) {
      if (at + 4 > stop) return this.refuseShort(captured, wire, number, offset);
      srcPort = (bytes[at]! << 8) | bytes[at + 1]!;
      dstPort = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (at + 8 > stop) flags = RecordFlag.Truncated;
      payloadAt = at + 8;
    } else if (protocol === 1 || protocol === 58) {
      if (at + 2 > stop) return this.refuseShort(captured, wire, number, offset);
      const type = bytes[at]!;
      icmp = (type << 8) | bytes[at + 1]!;
      payloadAt = at + 4;
      hash = mix(hash, icmp);
      const isV4 = protocol === 1;
      if (isV4 ? type === 0 || type === 8 || (type >= 13 && type <= 18) : type === 128 || type === 129) {
        if (at + 6 > stop) flags = RecordFlag.Truncated;
        else srcPort = (bytes[at + 4]! << 8) | bytes[at + 5]!;
      } else if (isV4 ? type === 3 || type === 4 || type === 5 || type === 11 || type === 12 : type >= 1 && type <= 4) {
        isQuoting = true;
        // Translation rewrites the quoted addresses too: only its identification and length take part.
        if (isV4 && at + 16 <= stop) hash = mix(hash, readU32(bytes, at + 10));
        payloadAt = stop;
      }
    } else if (protocol === 132) {
      if (at + 4 > stop) return this.refuseShort(captured, wire, number, offset);
      srcPort = (bytes[at]! << 8) | bytes[at + 1]!;
      dstPort = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (at + 12 > stop) flags = RecordFlag.Truncated;
      else {
        sctpTag = readU32(bytes, at + 4);
        for (let chunk = at + 12; chunk + 4 <= stop;) {
          const type = bytes[chunk]!;
          const length = (bytes[chunk + 2]! << 8) | bytes[chunk + 3]!;
          sctpChunks |= 1 << (type < 15 ? type : 15);
          if ((type === 1 || type === 2) && chunk + 8 <= stop) sctpInitTag = readU32(bytes, chunk + 4);
          if (length < 4) break;
          chunk += (length + 3) & ~3;
        }
        if (packetEnd > end) flags |= RecordFlag.Truncated;
        // An INIT has the tag 0 and begins with a random initiate tag.
        hash = mix(mix(hash, sctpTag), sctpInitTag);
        isStrong = true;
      }
      payloadAt = at + 12;
    }
    if (hasMore && fragmentOffset === 0)
      this.fragments.add(family, protocol, src, dst, identification, timeUs, srcPort, dstPort, icmp);

    const row = batch.count;
    writeRow(
      batch,
      row,
      family,
      protocol,
      src,
      dst,
      srcPort,
      dstPort,
      icmp,
      tcpFlags,
      timeUs,
      wire,
      orientation,
      orientedBy,
      flags,
      number,
    );
    batch.sctpChunks[row] = sctpChunks;
    batch.sctpTag[row] = sctpTag;
    batch.sctpInitTag[row] = sctpInitTag;
    const { sightings } = this;
    if (sightings !== undefined) {
      hash = mix(hash, packetEnd - at);
      let check = Math.imul(hash ^ 0x5bd1e995, 0x27d4eb2f);
      const hashEnd = Math.min(stop, payloadAt + Size.Hashed);
      for (let index = payloadAt; index < hashEnd; index++) {
        hash = Math.imul(hash ^ bytes[index]!, 0x01000193);
        check = Math.imul(check + bytes[index]!, 0x85ebca6b) ^ (check >>> 17);
      }
      const { key } = this;
      key.hash = hash ^ (hash >>> 15);
      key.check = check;
      key.isStrong = isStrong;
      if (sightings.isDuplicate(batch, row, this.placeOf(placeKey), key)) {
        return increment(account.skipped, 'duplicate');
      }
    }
    if (isQuoting) batch.quote[row] = this.takeQuote(bytes, at + 8, stop);
    batch.count = row + 1;
  }

  /** The packet inside an ICMP error (RFC 792, RFC 4443): header and at least 8 bytes. -1 where it cannot be read. */
  private takeQuote(bytes: Uint8Array, start: number, stop: number): number {
    const { batch, dictionary } = this.context;
    if (start + 20 > stop) return -1;
    const family = bytes[start]! >> 4;
    let protocol = 0;
    let transport = 0;
    let isFirst = true;
    let src = 0;
    let dst = 0;
    if (family === 4) {
      protocol = bytes[start + 9]!;
      transport = start + (bytes[start]! & 15) * 4;
      isFirst = (((bytes[start + 6]! << 8) | bytes[start + 7]!) & 0x1fff) === 0;
      src = readU32(bytes, start + 12);
      dst = readU32(bytes, start + 16);
    } else if (family === 6 && start + 40 <= stop) {
      protocol = bytes[start + 6]!;
      transport = start + 40;
      for (let headers = 0; headers < 8 && transport + 8 <= stop; headers++) {
        if (protocol === 44) isFirst = (((bytes[transport + 2]! << 8) | bytes[transport + 3]!) & 0xfff8) === 0;
        else if (protocol !== 0 && protocol !== 43 && protocol !== 60) break;
        const length = protocol === 44 ? 8 : (bytes[transport + 1]! + 1) * 8;
        protocol = bytes[transport]!;
        transport += length;
      }
      const { addresses } = dictionary;
      src = addresses.intern(
        readU32(bytes, start + 8),
        readU32(bytes, start + 12),
        readU32(bytes, start + 16),
        readU32(bytes, start + 20),
      );
      dst = addresses.intern(
        readU32(bytes, start + 24),
        readU32(bytes, start + 28),
        readU32(bytes, start + 32),
        readU32(bytes, start + 36),
      );
    } else return -1;
    let srcPort = -1;
    let dstPort = -1;
    let icmp = -1;
    if (isFirst && (protocol === 6 || protocol === 17 || protocol === 132 || protocol === 136 || protocol === 33)) {
      if (transport + 4 <= stop) {
        srcPort = (bytes[transport]! << 8) | bytes[transport + 1]!;
        dstPort = (bytes[transport + 2]! << 8) | bytes[transport + 3]!;
      }
    } else if (isFirst && (protocol === 1 || protocol === 58) && transport + 2 <= stop) {
      icmp = (bytes[transport]! << 8) | bytes[transport + 1]!;
      if (transport + 6 <= stop) srcPort = (bytes[transport + 4]! << 8) | bytes[transport + 5]!;
    }
    const index = addQuote(batch);
    const { quotes } = batch;
    quotes.family[index] = family;
    quotes.protocol[index] = protocol;
    quotes.src[index] = src;
    quotes.dst[index] = dst;
    quotes.srcPort[index] = srcPort;
    quotes.dstPort[index] = dstPort;
    quotes.icmp[index] = icmp;
    return index;
  }

  /** A packet without its addresses or ports: cut by the capture, or really too short. */
  private refuseShort(captured: number, wire: number, number: number, offset: number): void {
    const { account } = this.context;
    if (captured < wire) return increment(account.skipped, 'truncated');
    addMalformed(
      account,
      'short-packet',
      { unit: 'packet', number, offset },
      `${captured} bytes do not hold the headers`,
    );
  }

  /** A small number for an interface and direction. */
  private placeOf(placeKey: number): number {
    if (placeKey === this.lastPlaceKey) return this.lastPlace;
    this.lastPlaceKey = placeKey;
    return (this.lastPlace = this.findPlace(placeKey));
  }

  private findPlace(placeKey: number): number {
    const { placeKeys, placeIds } = this;
    let slot = (Math.imul(placeKey | 0, 0x9e3779b1) ^ (placeKey / 0x1_0000_0000)) & (PLACE_SLOTS - 1);
    for (let steps = 0; steps < PLACE_SLOTS; steps++) {
      const key = placeKeys[slot]!;
      if (key === placeKey) return placeIds[slot]!;
      if (Number.isNaN(key)) {
        if (this.placeCount >= PLACE_SLOTS / 2) return 0;
        placeKeys[slot] = placeKey;
        placeIds[slot] = this.placeCount;
        return this.placeCount++;
      }
      slot = (slot + 1) & (PLACE_SLOTS - 1);
    }
    return 0;
  }
}

/** True for the link types of a capture on all interfaces. */
export function isAnyInterface(linkType: number): boolean {
  return linkType === Link.Sll || linkType === Link.Sll2;
}

function writeRow(
  batch: FlowBatch,
  row: number,
  family: number,
  protocol: number,
  src: number,
  dst: number,
  srcPort: number,
  dstPort: number,
  icmp: number,
  tcpFlags: number,
  timeUs: number,
  wire: number,
  orientation: number,
  orientedBy: number,
  flags: number,
  number: number,
): void {
  batch.kind[row] = RecordKind.Packet;
  batch.family[row] = family;
  batch.protocol[row] = protocol;
  batch.src[row] = src;
  batch.dst[row] = dst;
  batch.srcPort[row] = srcPort;
  batch.dstPort[row] = dstPort;
  batch.icmp[row] = icmp;
  batch.tcpFlags[row] = tcpFlags;
  batch.timeUs[row] = timeUs;
  batch.bytes[row] = wire;
  batch.packets[row] = 1;
  batch.replyBytes[row] = 0;
  batch.replyPackets[row] = 0;
  batch.orientation[row] = orientation;
  batch.orientedBy[row] = orientedBy;
  batch.recordedVerdict[row] = RecordedVerdict.None;
  batch.srcEndpoint[row] = 0;
  batch.dstEndpoint[row] = 0;
  batch.preDst[row] = 0;
  batch.preDstPort[row] = -1;
  batch.flags[row] = flags;
  batch.line[row] = number;
  batch.quote[row] = -1;
  batch.connections[row] = 1;
  batch.repeats[row] = 0;
  batch.policies[row] = 0;
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
