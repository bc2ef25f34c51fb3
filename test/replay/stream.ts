/** Random streams of records over random worlds, mean enough for a replay: few ends, many openings, everything a row may say. */
import * as fc from 'fast-check';
import { arbitraryWorld, type WorldOptions } from '../../src/fuzz/arbitrary-world.ts';
import { edgeAddresses, edgePorts } from '../../src/fuzz/edge.ts';
import { type AddressText, parseAddress } from '../../src/model/address.ts';
import {
  addQuote,
  clearRow,
  createBatch,
  createDictionary,
  type Dictionary,
  type FlowBatch,
} from '../../src/model/flow.ts';
import type { World } from '../../src/model/evaluator.ts';

/** One record as drawn; numbers choose among what the world has. */
export interface Draft {
  readonly kind: number;
  readonly protocol: number;
  readonly from: number;
  readonly to: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly isReply: boolean;
  readonly tcpFlags: number;
  readonly icmp: number;
  readonly waitMs: number;
  readonly oddity: number;
  readonly orientation: number;
  readonly quotes: number;
  /** Rows back to one of the same ends, ports and protocol; 0 = none. */
  readonly follows: number;
  readonly verdict: number;
  /** The record names the pods at both ends. */
  readonly isNamed: boolean;
}

const SYN = 2;
const ACK = 16;
const packet: Record<keyof Draft, fc.Arbitrary<unknown>> = {
  kind: fc.constantFrom(...Array<number>(30).fill(0), 1, 2, 3, 4),
  protocol: fc.constantFrom(6, 6, 6, 6, 6, 6, 17, 17, 17, 17, 1, 58, 132, 47),
  from: fc.constantFrom(0, 0, 0, 1, 2),
  to: fc.constantFrom(0, 0, 0, 1, 2),
  srcPort: fc.constantFrom(40_000, 40_000, 40_000, 40_001, 40_002, 40_003, 61_000, 1000, 53),
  dstPort: fc.constantFrom(0, 0, 0, 1, 2, 3),
  isReply: fc.boolean(),
  tcpFlags: fc.constantFrom(SYN, SYN, SYN, SYN | ACK, ACK, ACK, ACK | 1, 4, 0, SYN | 1, 0xffff),
  icmp: fc.constantFrom(8 << 8, 0, (3 << 8) | 1, 5 << 8, 128 << 8, 129 << 8, 135 << 8, 1 << 8, -1),
  // Most of the time a little; now and then longer than a timeout, back, or beyond the range of the clock.
  waitMs: fc.constantFrom(
    ...Array<number>(30).fill(1),
    0,
    20,
    700,
    2500,
    31_000,
    130_000,
    -50,
    -100_000,
    11_000_000_000,
    NaN,
  ),
  oddity: fc.nat(99),
  orientation: fc.constantFrom(2, 2, 2, 2, 2, 2, 2, 2, 0, 1),
  quotes: fc.nat(6),
  follows: fc.constantFrom(0, 1, 1, 2, 2, 3, 5, 8),
  verdict: fc.constant(0),
  isNamed: fc.constant(false),
};

/** Samples, sums and decisions, as flow logs and agents write them, with packets in between. */
const record: typeof packet = {
  ...packet,
  kind: fc.constantFrom(0, 1, 1, 1, 2, 2, 3, 3, 4),
  tcpFlags: fc.constantFrom(SYN, SYN | ACK, ACK, ACK | 1, SYN | ACK | 1, 4, 0, 0xffff, 0xffff),
  verdict: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7),
  isNamed: fc.boolean(),
};

/** A world, and drafts of records between its ends. */
export interface Stream {
  readonly world: World;
  readonly drafts: readonly Draft[];
}

/** Streams of up to `length` records. */
export function arbitraryStream(
  length: number,
  tiers: WorldOptions['tiers'] = 'networkpolicy',
  mostly: 'packets' | 'records' = 'packets',
): fc.Arbitrary<Stream> {
  const draft = fc.record(mostly === 'packets' ? packet : record) as fc.Arbitrary<Draft>;
  return arbitraryWorld({ tiers, dialect: 'any' }).chain((world) =>
    fc.array(draft, { minLength: 1, maxLength: length, size: 'max' }).map((drafts) => ({ world, drafts })),
  );
}

/** The records of a stream. */
export function batchStream({ world, drafts }: Stream): { batch: FlowBatch; dictionary: Dictionary } {
  const dictionary = createDictionary();
  const batch = createBatch(drafts.length);
  const words = new Uint32Array(4);
  const edges = edgeAddresses(world);
  // Pods and Services first: most of the edges are single addresses around blocks.
  const own = [
    ...world.snapshot.pods.flatMap(({ addresses }) => addresses),
    ...world.snapshot.services.flatMap(({ clusterAddresses }) => clusterAddresses),
    ...edges,
  ];
  const lists = [4, 6].map((family) => own.filter((address) => address.includes(':') === (family === 6)));
  const ports = edgePorts(world);
  const wordOf = (address: AddressText): number =>
    parseAddress(address, words) === 6
      ? dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!)
      : words[0]!;
  const intern = (namespace: string, name: string): number =>
    dictionary.internEndpoint(`${namespace}/${name}`, () => ({
      kind: 'pod',
      namespace,
      name,
      areLabelsComplete: false,
    }));
  const nameOf = (address: AddressText): number => {
    const pod = world.snapshot.pods.find(({ addresses }) => addresses.includes(address));
    return pod === undefined ? 0 : intern(pod.namespace, pod.name);
  };
  let timeUs = 1.7e15;
  const taken: Draft[] = [];
  drafts.forEach((draft, row) => {
    const leader = draft.follows === 0 ? undefined : taken[row - draft.follows];
    const drawn = { ...draft, ...(leader && pickTuple(leader)) };
    taken.push(drawn);
    clearRow(batch, row);
    const isIpv6 = drawn.protocol === 58 || (drawn.protocol !== 1 && (drawn.from + drawn.to + drawn.dstPort) % 4 === 0);
    const list = lists[isIpv6 ? 1 : 0]!;
    if (Number.isFinite(drawn.waitMs)) timeUs += drawn.waitMs * 1000;
    batch.recordedVerdict[row] = drawn.verdict;
    batch.timeUs[row] = Number.isFinite(drawn.waitMs) ? timeUs : NaN;
    batch.kind[row] = drawn.kind;
    batch.protocol[row] = drawn.protocol;
    batch.line[row] = row + 1;
    batch.bytes[row] = drawn.oddity === 1 ? -1 : 60 + drawn.oddity;
    batch.packets[row] = 1;
    batch.orientation[row] = drawn.orientation;
    batch.orientedBy[row] = drawn.oddity % 5;
    if (list.length > 0 && drawn.oddity !== 2) {
      batch.family[row] = isIpv6 ? 6 : 4;
      const ends = [list[(drawn.from * 3) % list.length]!, list[(drawn.to * 3 + 1) % list.length]!];
      const [from, to] = drawn.isReply ? ends.reverse() : ends;
      batch.src[row] = wordOf(from!);
      batch.dst[row] = wordOf(to!);
      if (drawn.isNamed) {
        batch.srcEndpoint[row] = nameOf(from!);
        batch.dstEndpoint[row] = nameOf(to!);
      }
    }
    const hasPorts = drawn.protocol === 6 || drawn.protocol === 17 || drawn.protocol === 132;
    if (hasPorts && drawn.oddity !== 3) {
      const port = ports[drawn.dstPort % ports.length] ?? 80;
      batch.srcPort[row] = drawn.isReply ? port : drawn.srcPort;
      batch.dstPort[row] = drawn.isReply ? drawn.srcPort : port;
    }
    if (drawn.protocol === 6) batch.tcpFlags[row] = drawn.tcpFlags;
    if (drawn.protocol === 1 || drawn.protocol === 58) {
      batch.icmp[row] = drawn.icmp;
      batch.srcPort[row] = 7;
      if (row > drawn.quotes) {
        const quote = addQuote(batch);
        for (const column of ['family', 'protocol', 'src', 'dst', 'srcPort', 'dstPort', 'icmp'] as const)
          batch.quotes[column][quote] = batch[column][row - 1 - drawn.quotes]!;
        batch.quote[row] = quote;
      }
    }
    if (drawn.protocol === 132) batch.sctpChunks[row] = 1 << (drawn.dstPort + 1);
    if (drawn.oddity === 4) batch.recordedVerdict[row] = 1 + (drawn.from % 5);
    if (drawn.oddity === 5) batch.flags[row] = 8;
    if (drawn.oddity === 6) batch.replyBytes[row] = 11;
    if (drawn.kind === 2) batch.replyPackets[row] = drawn.oddity % 3;
    if (drawn.oddity === 9) batch.connections[row] = 0;
    if (drawn.oddity === 10) batch.flags[row] = 1;
    if (drawn.oddity === 7) {
      batch.preDst[row] = batch.src[row]!;
      batch.preDstPort[row] = 443;
    }
    if (drawn.oddity === 8) {
      const { namespace, name } = world.snapshot.pods[drawn.from % Math.max(1, world.snapshot.pods.length)] ?? {
        namespace: 'a',
        name: 'nobody',
      };
      batch.srcEndpoint[row] = intern(namespace, name);
    }
  });
  batch.count = drafts.length;
  return { batch, dictionary };
}

function pickTuple({ from, to, srcPort, dstPort, protocol }: Draft): Partial<Draft> {
  return { from, to, srcPort, dstPort, protocol };
}
