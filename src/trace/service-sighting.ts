/**
 * One connection, two destinations: a record taken before a Service is translated shows its address, one taken behind shows
 * the backend. Both have the client's address and port in common. The first of them waits a little for the second, so that
 * both go out with the backend as destination and the Service's address beside it.
 */
import { type FlowBatch, Orientation } from '../model/flow.ts';
import { TranslationTable } from './nat.ts';
import { RecentTable } from './recent.ts';
import type { LoggedRows } from './row-log.ts';

/** Rows that a record of a Service's address waits for one of the backend. */
const HOLD_ROWS = 1_024;
/** Clients remembered on each side. */
const CLIENTS = 65_536;
/** A client's port may be used again for another destination later than this. */
const WINDOW_US = 5_000_000;

interface Seen {
  readonly address: number;
  readonly port: number;
  readonly timeUs: number;
}

interface Sighting extends Seen {
  /** Family << 8 | protocol. */
  readonly meta: number;
  readonly client: number;
  readonly clientPort: number;
}

/** Joins records before and behind a Service's translation. */
export class ServiceSightings {
  private readonly translations = new TranslationTable();
  /** Client -> the Service address that it asked for, with the number of the row that waits. */
  private readonly asked = new Map<string, Seen & { readonly row: number }>();
  /** Client -> the pod that it reached: address, port, time. */
  private readonly reached = new RecentTable(CLIENTS, 3);
  /** Rows handed out so far: a row's number is this plus its place in the batch. */
  private handedOut = 0;

  /** Is there a row of a Service's address that waits for one of the backend? */
  get isWaiting(): boolean {
    return this.asked.size > 0;
  }

  /** Takes in the row that is about to be committed. `isService`: its destination is a Service's address. */
  add(batch: FlowBatch, row: number, isService: boolean, isPod: boolean): void {
    if (isService && batch.orientation[row] !== Orientation.Reply) this.ask(batch, row);
    else this.meet(batch, row, isPod);
  }

  /** Takes in the row of a request to a Service's address, which is of the batch that is read. */
  ask(batch: FlowBatch, row: number): void {
    const sighting = sightingOf(batch, row);
    if (sighting === undefined) return;
    const { meta, client, clientPort, address, port, timeUs } = sighting;
    const slot = this.reached.find(meta, client, clientPort, 0, 0);
    const pod = slot < 0 ? undefined : this.podAt(slot);
    if (pod !== undefined && Math.abs(pod.timeUs - timeUs) <= WINDOW_US) this.learn(sighting, sighting, pod);
    else remember(this.asked, `${meta} ${client} ${clientPort}`, { address, port, timeUs, row: this.handedOut + row });
  }

  /** Takes in any other row. `isPod`: its destination is one. */
  meet(rows: LoggedRows, row: number, isPod: boolean): void {
    if (!isPod && rows.orientation[row] !== Orientation.Reply) return;
    const sighting = sightingOf(rows, row);
    if (sighting === undefined) return;
    const { meta, client, clientPort, address, port, timeUs } = sighting;
    if (this.isWaiting) {
      const key = `${meta} ${client} ${clientPort}`;
      const service = this.asked.get(key);
      if (service !== undefined && Math.abs(service.timeUs - timeUs) <= WINDOW_US) {
        this.asked.delete(key);
        this.learn(sighting, service, sighting);
      }
    }
    const { reached } = this;
    const at = reached.put(meta, client, clientPort, 0, 0) * 3;
    reached.values[at] = address;
    reached.values[at + 1] = port;
    reached.values[at + 2] = timeUs;
  }

  /** Rows from the first one that waits on are held back, for a while. */
  countReady(batch: FlowBatch): number {
    let ready = batch.count;
    for (const { row } of this.asked.values()) {
      const at = row - this.handedOut;
      // Maps keep the order of insertion: what comes first waits longest.
      if (at < 0) continue;
      ready = Math.min(ready, at);
      break;
    }
    const isCrowded = batch.count > batch.capacity / 2;
    return batch.count - ready < HOLD_ROWS && !isCrowded ? ready : batch.count;
  }

  /** Translates the rows that go out. */
  willHandOut(batch: FlowBatch, count: number): void {
    this.translations.translate(batch, 0, count);
    this.handedOut += count;
  }

  private podAt(slot: number): Seen {
    const { values } = this.reached;
    return { address: values[slot * 3]!, port: values[slot * 3 + 1]!, timeUs: values[slot * 3 + 2]! };
  }

  private learn(
    { meta, client, clientPort }: Sighting,
    service: Pick<Seen, 'address' | 'port'>,
    pod: Pick<Seen, 'address' | 'port'>,
  ): void {
    if (service.address === pod.address && service.port === pod.port) return;
    this.translations.learn(
      meta >> 8,
      meta & 255,
      client,
      clientPort,
      service.address,
      service.port,
      client,
      clientPort,
      pod.address,
      pod.port,
    );
  }
}

/** Who asks whom in a row; undefined where it does not say. */
function sightingOf(rows: LoggedRows, row: number): Sighting | undefined {
  const { family, protocol, src, dst, srcPort, dstPort, orientation, timeUs } = rows;
  if (family[row] === 0 || srcPort[row]! < 0 || dstPort[row]! < 0) return undefined;
  const meta = (family[row]! << 8) | protocol[row]!;
  const time = timeUs[row]!;
  return orientation[row] === Orientation.Reply
    ? { meta, client: dst[row]!, clientPort: dstPort[row]!, address: src[row]!, port: srcPort[row]!, timeUs: time }
    : { meta, client: src[row]!, clientPort: srcPort[row]!, address: dst[row]!, port: dstPort[row]!, timeUs: time };
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > CLIENTS) map.delete(map.keys().next().value!);
}
