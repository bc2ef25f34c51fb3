/**
 * Fragments: only the first one carries ports, so it is remembered by (source, destination, identification, protocol) for
 * 30 seconds and lends its ports to the later ones. A fixed table; a full one forgets the oldest of its bucket.
 */

/** How long a first fragment lends its ports, as the kernel's ipfrag_time. */
const FRAGMENT_TIMEOUT_US = 30_000_000;

const BUCKETS = 4096;
const WAYS = 4;

/** The first fragments that were seen lately; addresses are column values. */
export class FragmentTable {
  /** Ports and ICMP type of the fragment that `find` found. */
  srcPort = -1;
  dstPort = -1;
  icmp = -1;
  private readonly src = new Uint32Array(BUCKETS * WAYS);
  private readonly dst = new Uint32Array(BUCKETS * WAYS);
  private readonly identification = new Uint32Array(BUCKETS * WAYS);
  /** family << 8 | protocol; 0 = free. */
  private readonly meta = new Uint16Array(BUCKETS * WAYS);
  private readonly srcPorts = new Int32Array(BUCKETS * WAYS);
  private readonly dstPorts = new Int32Array(BUCKETS * WAYS);
  private readonly icmps = new Int32Array(BUCKETS * WAYS);
  private readonly timeUs = new Float64Array(BUCKETS * WAYS);

  /** Remembers a first fragment. */
  add(
    family: number,
    protocol: number,
    src: number,
    dst: number,
    identification: number,
    timeUs: number,
    srcPort: number,
    dstPort: number,
    icmp: number,
  ): void {
    const meta = (family << 8) | protocol;
    const first = bucketOf(src, dst, identification);
    let slot = first;
    for (let way = first; way < first + WAYS; way++) {
      if (this.meta[way] === 0 || this.isSame(way, meta, src, dst, identification)) {
        slot = way;
        break;
      }
      if (this.timeUs[way]! < this.timeUs[slot]!) slot = way;
    }
    this.meta[slot] = meta;
    this.src[slot] = src;
    this.dst[slot] = dst;
    this.identification[slot] = identification;
    this.timeUs[slot] = timeUs;
    this.srcPorts[slot] = srcPort;
    this.dstPorts[slot] = dstPort;
    this.icmps[slot] = icmp;
  }

  /** True where the first fragment was seen; its ports are then in the fields. */
  find(family: number, protocol: number, src: number, dst: number, identification: number, timeUs: number): boolean {
    const meta = (family << 8) | protocol;
    const first = bucketOf(src, dst, identification);
    for (let way = first; way < first + WAYS; way++) {
      if (!this.isSame(way, meta, src, dst, identification)) continue;
      // Written so that packets without a time find each other.
      if (Math.abs(timeUs - this.timeUs[way]!) > FRAGMENT_TIMEOUT_US) continue;
      this.srcPort = this.srcPorts[way]!;
      this.dstPort = this.dstPorts[way]!;
      this.icmp = this.icmps[way]!;
      return true;
    }
    return false;
  }

  private isSame(way: number, meta: number, src: number, dst: number, identification: number): boolean {
    return (
      this.meta[way] === meta &&
      this.identification[way] === identification &&
      this.src[way] === src &&
      this.dst[way] === dst
    );
  }
}

function bucketOf(src: number, dst: number, identification: number): number {
  let hash = Math.imul(src ^ identification, 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + dst, 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) & (BUCKETS - 1)) * WAYS;
}
