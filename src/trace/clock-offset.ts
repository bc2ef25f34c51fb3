/**
 * Clocks of different nodes: where two files record the opening of the same connections, the median of the differences of their times is
 * how far one clock is ahead of the other. A connection is told by both ends and ports, and counts where its opening was seen in both:
 * a TCP SYN, or the record of a whole connection. What lies between the two points of observation is below `NEGLIGIBLE_US`.
 */
import { type FlowBatch, Orientation, RecordFlag, RecordKind, TcpFlag } from '../model/flow.ts';
import { RecentTable } from './recent.ts';

/** How far a file's clock is ahead of the reference's. */
export interface ClockOffset {
  /** Numbers of the files; the reference is the first one that the file is connected with. */
  readonly file: number;
  readonly reference: number;
  /** Microseconds; negative: behind. */
  readonly offsetUs: number;
  /** Median distance of single connections from it, and how many there are. */
  readonly spreadUs: number;
  readonly connections: number;
}

/** Differences up to this are the way between the nodes. */
const NEGLIGIBLE_US = 10_000;
/** An offset must be so many times its spread, and rest on so many connections. */
const CLARITY = 3;
const FEWEST_CONNECTIONS = 3;
/** Differences kept of a pair of files. */
const DIFFERENCES_KEPT = 1001;
/** Openings remembered. */
const OPENINGS_KEPT = 1 << 17;
/** A file that shows an opening again within this repeats it; later it is another connection. */
const REPEAT_US = 120e6;

const enum Value {
  File = 0,
  TimeUs = 1,
  Width = 2,
}

/** Watches rows of several files, and tells how far their clocks are apart. */
export class ClockOffsets {
  private readonly openings = new RecentTable(OPENINGS_KEPT, Value.Width);
  /** `lower file,higher file` -> times of the higher less those of the lower one. */
  private readonly differences = new Map<string, number[]>();

  /** Looks at rows `[from, to)` of a batch. */
  observe(batch: FlowBatch, from: number, to: number): void {
    for (let row = from; row < to; row++) if (isOpening(batch, row)) this.add(batch, row, batch.origin?.[row] ?? 0);
  }

  /** The clocks that clearly differ from that of the first file of those that they share connections with. */
  estimate(): ClockOffset[] {
    const links = [...this.differences].flatMap(([key, differences]) => {
      if (differences.length < FEWEST_CONNECTIONS) return [];
      const [low, high] = key.split(',').map(Number) as [number, number];
      const offsetUs = median(differences);
      const spreadUs = median(differences.map((difference) => Math.abs(difference - offsetUs)));
      return [{ low, high, offsetUs, spreadUs, connections: differences.length }];
    });
    links.sort((a, b) => a.low - b.low || b.connections - a.connections);
    const known = new Map<number, ClockOffset>();
    for (const root of new Set(links.map(({ low }) => low))) {
      if (known.has(root)) continue;
      known.set(root, { file: root, reference: root, offsetUs: 0, spreadUs: 0, connections: 0 });
      // A file may be connected by another one alone, whatever their order.
      for (let hasGrown = true; hasGrown;) {
        hasGrown = false;
        for (const { low, high, offsetUs, spreadUs, connections } of links)
          for (const [at, to, sign] of [
            [low, high, 1],
            [high, low, -1],
          ] as const) {
            const from = known.get(at);
            if (from?.reference !== root || known.has(to)) continue;
            const spread = Math.max(spreadUs, from.spreadUs);
            known.set(to, {
              file: to,
              reference: root,
              offsetUs: from.offsetUs + sign * offsetUs,
              spreadUs: spread,
              connections,
            });
            hasGrown = true;
          }
      }
    }
    return [...known.values()]
      .filter(({ offsetUs, spreadUs }) => Math.abs(offsetUs) > Math.max(NEGLIGIBLE_US, CLARITY * spreadUs))
      .sort((a, b) => a.file - b.file);
  }

  private add(batch: FlowBatch, row: number, file: number): void {
    const { openings } = this;
    const k0 = batch.family[row]!;
    const k1 = batch.src[row]!;
    const k2 = batch.dst[row]!;
    const k3 = batch.srcPort[row]!;
    const k4 = batch.dstPort[row]!;
    const timeUs = batch.timeUs[row]!;
    const known = openings.find(k0, k1, k2, k3, k4);
    if (known >= 0) {
      const at = known * Value.Width;
      const first = openings.values[at + Value.File]!;
      const before = openings.values[at + Value.TimeUs]!;
      if (first === file && Math.abs(timeUs - before) <= REPEAT_US) return;
      if (first !== file && before === before) {
        this.addDifference(first, before, file, timeUs);
        // Each opening is compared once: what follows is its repetition, or another connection of the same ports.
        openings.values[at + Value.TimeUs] = NaN;
        return;
      }
      if (first !== file) return;
    }
    const at = openings.put(k0, k1, k2, k3, k4) * Value.Width;
    openings.values[at + Value.File] = file;
    openings.values[at + Value.TimeUs] = timeUs;
  }

  private addDifference(a: number, aUs: number, b: number, bUs: number): void {
    const key = a < b ? `${a},${b}` : `${b},${a}`;
    const differences = this.differences.get(key) ?? [];
    this.differences.set(key, differences);
    if (differences.length < DIFFERENCES_KEPT) differences.push(a < b ? bUs - aUs : aUs - bUs);
  }
}

/** What an account says of an offset; `names` are the files, by number. */
export function describeOffset(
  { file, reference, offsetUs, spreadUs, connections }: ClockOffset,
  names: readonly string[],
  isCorrected: 'corrected' | 'as it is',
): string {
  const ms = (us: number): string => `${(us / 1000).toFixed(Math.abs(us) < 100_000 ? 1 : 0)} ms`;
  const direction = offsetUs > 0 ? 'ahead of' : 'behind';
  const evidence = `by the openings of ${connections} connections that both recorded, which differ by ${ms(spreadUs)}`;
  const consequence =
    isCorrected === 'corrected'
      ? 'its times are corrected by that'
      : 'both ends of a connection may be taken in the wrong order: --align-clocks corrects it';
  return `The clock of ${names[file]} is ${ms(Math.abs(offsetUs))} ${direction} that of ${names[reference]} (${evidence}): ${consequence}.`;
}

function isOpening(batch: FlowBatch, row: number): boolean {
  if (batch.protocol[row] !== 6 || batch.family[row] === 0 || batch.orientation[row] === Orientation.Reply)
    return false;
  if (batch.srcPort[row]! < 0 || batch.dstPort[row]! < 0 || Number.isNaN(batch.timeUs[row])) return false;
  if ((batch.flags[row]! & RecordFlag.Retransmission) !== 0) return false;
  const kind = batch.kind[row]!;
  if (kind === RecordKind.Connection) return batch.orientation[row] === Orientation.Original;
  const flags = batch.tcpFlags[row]!;
  return kind <= RecordKind.OneWay && flags !== TcpFlag.Absent && (flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn;
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
