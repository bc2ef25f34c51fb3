/** The tracker that one writes first: a Map from the five fields of a packet as a string, one entry for both directions. */
import { TcpFlag } from '../../src/model/flow.ts';
import { TrackState } from '../../src/track/state.ts';
import { openAll } from '../limit/connection.ts';
import { readColumn } from '../limit/column.ts';
import { HASH_START, hashWords, type OpenJob } from '../limit/job.ts';

interface Entry {
  /** The address and port that opened it. */
  client: number;
  clientPort: number;
  isAnswered: boolean;
  timeUs: number;
}

/** No state machine: a SYN opens, a packet of the other side answers, a timer moves. */
export const openMapTracker: OpenJob = (folder, { sample, values }) => {
  const src = readColumn(folder, 'src.u32');
  const dst = readColumn(folder, 'dst.u32');
  const ports = readColumn(folder, 'ports.u32');
  const flags = readColumn(folder, 'flags.u16');
  const timeUs = readColumn(folder, 'timeUs.f64');
  const count = Math.min(sample, src.length);
  const entries = new Map<string, Entry>();
  const track = (from: number, to: number, fromPort: number, toPort: number, flag: number, time: number): number => {
    const key =
      from < to || (from === to && fromPort < toPort)
        ? `6 ${from}:${fromPort} ${to}:${toPort}`
        : `6 ${to}:${toPort} ${from}:${fromPort}`;
    const known = entries.get(key);
    if (known === undefined || (flag & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn) {
      entries.set(key, { client: from, clientPort: fromPort, isAnswered: false, timeUs: time });
      return TrackState.New;
    }
    known.timeUs = time;
    if (known.client !== from || known.clientPort !== fromPort) known.isAnswered = true;
    return known.isAnswered ? TrackState.Established : TrackState.New;
  };
  openAll(values['live']!, timeUs[0]!, (batch, row) =>
    track(
      batch.src[row]!,
      batch.dst[row]!,
      batch.srcPort[row]!,
      batch.dstPort[row]!,
      batch.tcpFlags[row]!,
      batch.timeUs[row]!,
    ),
  );
  const out = new Int32Array(count);
  return {
    count,
    run: () => {
      for (let row = 0; row < count; row++)
        out[row] = track(src[row]!, dst[row]!, ports[row]! >>> 16, ports[row]! & 0xffff, flags[row]!, timeUs[row]!);
    },
    first: () => hashWords(HASH_START, out, count),
  };
};
