/**
 * Bulk work by WASM, for whoever has columns and no trace: decisions, IPv4 look-ups, tracking. The columns are views of the
 * kernel's memory: fill them, call, read. Results are those of `decide`, `findEndpoint4` and `Tracker.track`, which take
 * every row that is out of the ordinary, and all of them where there is no WebAssembly.
 */
import { Endpoint, EndpointKind, Header } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { Scratch, Tables } from '../decide/table-layout.ts';
import { decide, findEndpoint4, findEndpoint6 } from '../decide/decide.ts';
import { createBatch, type Dictionary, type FlowBatch } from '../model/flow.ts';
import { Clock, ClockState } from '../track/clock.ts';
import { Block, Staged, Step, Timer } from '../track/entry.ts';
import type { TrackerOptions } from '../track/state.ts';
import { createSteps } from '../track/step.ts';
import { TCP_INDEX, TCP_TABLE } from '../track/tcp.ts';
import { TableTracker, type Tracker } from '../track/tracker.ts';
import { Heap } from './heap.ts';
import { Column, State } from './kernel-layout.ts';
import { createStamp, instantiate, placeProgram, placeTable, type Stamp } from './kernel.ts';
import { wasm, type WasmApi } from './webassembly.ts';

/** Decides many flows of one Program. */
export interface BulkDecider {
  /** `family`, `protocol`, `src`, `dst`, `dstPort` and `icmp` are read; IPv6 words are ids of `dictionary`. */
  readonly batch: FlowBatch;
  /** [capacity] packed decisions, see `packDecision`; -1 for a row without addresses. */
  readonly decisions: Int32Array;
  /** Decides rows 0 up to `count`. */
  decide(count: number): void;
}

/** Finds the endpoints of many addresses of one family. */
export interface BulkFinder {
  /** [capacity] addresses in (IPv6: [capacity x 4] words), [capacity] endpoints out. */
  readonly addresses: Uint32Array;
  readonly endpoints: Int32Array;
  /** Looks up rows 0 up to `count`. */
  find(count: number): void;
}

/** Tracks many packets. */
export interface BulkTracker {
  readonly tracker: Tracker;
  /** Packets in the order of their times, columns as the tracker reads them. */
  readonly batch: FlowBatch;
  /** [capacity] `TrackState` of each packet. */
  readonly states: Uint8Array;
  /** Tracks rows 0 up to `count`, as packets. */
  track(count: number): void;
}

/** A decider with columns of `capacity` rows. */
export function createBulkDecider(program: Program, dictionary: Dictionary, capacity: number): BulkDecider {
  const model = createBatch(capacity);
  if (wasm === undefined) {
    const decisions = new Int32Array(capacity);
    const decideAll = (count: number): void => {
      for (let row = 0; row < count; row++) decisions[row] = decideRow(program, dictionary, model, row);
    };
    return { batch: model, decisions, decide: decideAll };
  }
  const sizes = [Tables.Count * 4, program.buffer.byteLength, Scratch.Bytes, 4, 4, 4, 1, 1, 4].map((bytes, region) =>
    region < 3 ? bytes : bytes * capacity,
  );
  const heap = new Heap(wasm.Memory, sizes);
  const decideRows = instantiate(wasm, heap.memory)['decideRows'] as (...addresses: readonly number[]) => number;
  placeProgram(heap, program, 1, 0);
  heap.words(0, Tables.Count)[Tables.FirstRare] = firstRareOf(program);
  const batch: FlowBatch = {
    ...model,
    src: new Uint32Array(heap.memory.buffer, heap.offsetOf(3), capacity),
    dst: new Uint32Array(heap.memory.buffer, heap.offsetOf(4), capacity),
    dstPort: heap.words(5, capacity),
    family: heap.bytes(6, capacity),
    protocol: heap.bytes(7, capacity),
  };
  const decisions = heap.words(8, capacity);
  const [tables, , scratch, sources, destinations, ports, families, protocols, out] = sizes.map((_, region) =>
    heap.offsetOf(region),
  ) as unknown as readonly number[];
  return {
    batch,
    decisions,
    decide(count) {
      const left = decideRows(tables!, families!, protocols!, sources!, destinations!, ports!, out!, scratch!, count);
      for (let row = 0, rest = left; rest > 0; row++)
        if (decisions[row]! < 0) {
          decisions[row] = decideRow(program, dictionary, batch, row);
          rest--;
        }
    },
  };
}

/**
 * The lowest number from which on an endpoint may need more than its row and column: it is a node's or a Service's, or the second
 * IPv4 address of a pod, which Kubernetes gives none (one address of each family) and the rest of the program allows. Below it only an
 * endpoint itself is the same pod. Compile numbers nodes and Services last.
 */
function firstRareOf({ endpoints }: Program): number {
  const pods = new Set<number>();
  for (let at = 0; at < endpoints.length; at += Endpoint.Stride) {
    const kind = endpoints[at + Endpoint.Kind]!;
    const self = endpoints[at + Endpoint.Self]!;
    const isIpv4Pod = self >= 0 && (kind & EndpointKind.Ipv6) === 0;
    if ((kind & EndpointKind.Mask) >= EndpointKind.Node || (isIpv4Pod && pods.has(self))) return at / Endpoint.Stride;
    if (isIpv4Pod) pods.add(self);
  }
  return endpoints.length / Endpoint.Stride;
}

/** The sections of a Program that IPv4 look-up reads. */
export type Lookup4 = Pick<Program, 'root4' | 'mid4' | 'leaf4' | 'starts4' | 'values4'>;

/** A finder with columns of `capacity` rows. */
export function createBulkFinder(lookup: Lookup4, capacity: number): BulkFinder {
  if (wasm === undefined) {
    const addresses = new Uint32Array(capacity);
    const endpoints = new Int32Array(capacity);
    const find = (count: number): void => {
      for (let row = 0; row < count; row++) endpoints[row] = findEndpoint4(lookup, addresses[row]!);
    };
    return { addresses, endpoints, find };
  }
  const sections: Sections = [
    [Tables.Root4, lookup.root4],
    [Tables.Mid4, lookup.mid4],
    [Tables.Leaf4, lookup.leaf4],
    [Tables.Starts4, lookup.starts4],
    [Tables.Values4, lookup.values4],
  ];
  return findInMemory(wasm, 'find4', sections, [], 1, capacity);
}

/** The sections of a Program that IPv6 look-up reads. */
export type Lookup6 = Pick<Program, 'header' | 'root6' | 'starts6' | 'values6' | 'hosts6' | 'hostValues6'>;

/** The same for IPv6. */
export function createBulkFinder6(lookup: Lookup6, capacity: number): BulkFinder {
  if (wasm === undefined) {
    const addresses = new Uint32Array(capacity * 4);
    const endpoints = new Int32Array(capacity);
    const find = (count: number): void => {
      for (let row = 0; row < count; row++) {
        const [w0, w1, w2, w3] = addresses.subarray(row * 4, row * 4 + 4) as unknown as [
          number,
          number,
          number,
          number,
        ];
        endpoints[row] = findEndpoint6(lookup, w0, w1, w2, w3);
      }
    };
    return { addresses, endpoints, find };
  }
  const { header, hostValues6, values6 } = lookup;
  const sections: Sections = [
    [Tables.Root6, lookup.root6],
    [Tables.Starts6, lookup.starts6],
    [Tables.Values6, values6],
    [Tables.Hosts6, lookup.hosts6],
    [Tables.HostValues6, hostValues6],
  ];
  const scalars = [
    [Tables.HostMask6, hostValues6.length - 1],
    [Tables.LastValue6, values6.length - 1],
    ...[0, 1, 2, 3, 4, 5].map((word) => [Tables.Prefix6 + word, header[Header.Prefix6Length + word]!] as const),
  ] as const;
  return findInMemory(wasm, 'find6', sections, scalars, 4, capacity);
}

type Sections = readonly (readonly [Tables, Int32Array | Uint32Array | Uint16Array])[];

/** A finder of so many words an address, over copies of the sections that it reads. */
function findInMemory(
  api: WasmApi,
  name: 'find4' | 'find6',
  sections: Sections,
  scalars: readonly (readonly [number, number])[],
  wordCount: number,
  capacity: number,
): BulkFinder {
  const first = 3;
  const heap = new Heap(api.Memory, [
    Tables.Count * 4,
    capacity * 4 * wordCount,
    capacity * 4,
    ...sections.map(([, section]) => section.byteLength),
  ]);
  const run = instantiate(api, heap.memory)[name] as (...addresses: readonly number[]) => void;
  const words = heap.words(0, Tables.Count);
  for (const [word, value] of scalars) words[word] = value;
  sections.forEach(([word, section], index) => {
    words[word] = section.length === 0 ? 0 : heap.offsetOf(first + index);
    heap
      .bytes(first + index, section.byteLength)
      .set(new Uint8Array(section.buffer, section.byteOffset, section.byteLength));
  });
  const [tables, addresses, endpoints] = [0, 1, 2].map((region) => heap.offsetOf(region)) as [number, number, number];
  return {
    addresses: new Uint32Array(heap.memory.buffer, addresses, capacity * wordCount),
    endpoints: heap.words(2, capacity),
    find: (count) => run(tables, addresses, endpoints, count),
  };
}

/** A tracker with columns of `capacity` rows. `options.limit` is for one packet after another: see `createTracker`. */
export function createBulkTracker(options: Omit<TrackerOptions, 'limit' | 'clock'>, capacity: number): BulkTracker {
  return wasm === undefined ? new PlainTracking(options, capacity) : new WasmTracking(wasm, options, capacity);
}

class PlainTracking implements BulkTracker {
  readonly tracker: Tracker;
  readonly batch: FlowBatch;
  readonly states: Uint8Array;

  constructor(options: Omit<TrackerOptions, 'limit' | 'clock'>, capacity: number) {
    this.tracker = new TableTracker(options);
    this.batch = createBatch(capacity);
    this.states = new Uint8Array(capacity);
  }

  track(count: number): void {
    for (let row = 0; row < count; row++) this.states[row] = this.tracker.track(this.batch, row);
  }
}

/** Columns that the kernel reads, in the order of their regions. */
const TRACK_COLUMNS = [
  ['src', Column.Src],
  ['dst', Column.Dst],
  ['srcPort', Column.SrcPort],
  ['dstPort', Column.DstPort],
  ['tcpFlags', Column.TcpFlags],
  ['family', Column.Family],
  ['protocol', Column.Protocol],
  ['timeUs', Column.TimeUs],
] as const;

const enum TrackRegion {
  State = 0,
  Timers = 1,
  Indices = 2,
  Transitions = 3,
  Steps = 4,
  Staged = 5,
  Clock = 6,
  Ticks = 7,
  States = 8,
  /** `TRACK_COLUMNS` from here on. */
  Columns = 9,
  Table = 17,
}

/** Rows that are given their ticks at a time. */
const STAMPED = 4096;

/** Address space for a table of some forty million connections. */
const TABLE_BYTES = 2 ** 31;

class WasmTracking implements BulkTracker {
  readonly tracker: TableTracker;
  readonly batch: FlowBatch;
  readonly states: Uint8Array;
  private readonly heap: Heap;
  private readonly run: (state: number, from: number, to: number) => number;
  private readonly stamp: Stamp;
  private readonly state: Int32Array;
  private readonly ticks: Int32Array;
  private readonly clock = new Clock();
  private readonly now = {
    tick: 0,
    setBack: 0,
    advance(): number {
      return this.tick;
    },
  };

  constructor(api: WasmApi, options: Omit<TrackerOptions, 'limit' | 'clock'>, capacity: number) {
    const model = createBatch(capacity);
    const heap = new Heap(
      api.Memory,
      [
        State.Count * 4,
        Timer.Count * 4,
        TCP_INDEX.length,
        TCP_TABLE.length,
        Step.Count * Step.Stride * 4,
        Block.Rows * Staged.Bytes,
        ClockState.Count * 8,
        capacity * 4,
        capacity,
        ...TRACK_COLUMNS.map(([name]) => model[name].byteLength),
      ],
      TABLE_BYTES,
    );
    this.heap = heap;
    const functions = instantiate(api, heap.memory);
    this.run = functions['track'] as typeof this.run;
    this.tracker = new TableTracker({
      ...options,
      clock: this.now,
      ...placeTable(heap, functions),
    });
    heap.bytes(TrackRegion.Indices, TCP_INDEX.length).set(TCP_INDEX);
    heap.bytes(TrackRegion.Transitions, TCP_TABLE.length).set(TCP_TABLE);
    heap.words(TrackRegion.Timers, Timer.Count).set(this.tracker.timeouts);
    heap.words(TrackRegion.Steps, Step.Count * Step.Stride).set(createSteps(this.tracker.timeouts));
    const state = heap.words(TrackRegion.State, State.Count);
    this.state = state;
    this.ticks = heap.words(TrackRegion.Ticks, capacity);
    this.stamp = createStamp(functions, state, this.ticks, heap.floats(TrackRegion.Clock, ClockState.Count));
    this.states = heap.bytes(TrackRegion.States, capacity);
    const columns: Partial<Record<keyof FlowBatch, ArrayBufferView>> = {};
    TRACK_COLUMNS.forEach(([name, column], index) => {
      const offset = heap.offsetOf(TrackRegion.Columns + index);
      state[State.Columns + column] = offset;
      const View = model[name].constructor as Uint8ArrayConstructor;
      columns[name] = new View(heap.memory.buffer, offset, capacity);
    });
    this.batch = { ...model, ...columns } as FlowBatch;
    state[State.Columns + Column.Tick] = heap.offsetOf(TrackRegion.Ticks);
    state[State.ClockPtr] = heap.offsetOf(TrackRegion.Clock);
    state[State.RowPtr] = heap.offsetOf(TrackRegion.States);
    state[State.TablePtr] = heap.offsetOf(TrackRegion.Table);
    state[State.TimerPtr] = heap.offsetOf(TrackRegion.Timers);
    state[State.IndexPtr] = heap.offsetOf(TrackRegion.Indices);
    state[State.TcpPtr] = heap.offsetOf(TrackRegion.Transitions);
    state[State.StepPtr] = heap.offsetOf(TrackRegion.Steps);
    state[State.StagedPtr] = heap.offsetOf(TrackRegion.Staged);
  }

  track(count: number): void {
    const { batch, states, state, ticks, heap, tracker, clock, now } = this;
    const { timeUs } = batch;
    for (let from = 0; from < count;) {
      // Few enough that their ticks stay in the cache; fewer where the clock is set back, which is once in 124 days.
      clock.advance(timeUs[from]!);
      now.setBack = clock.setBack;
      const to = this.stamp(clock, timeUs, 0, from, Math.min(count, from + STAMPED));
      tracker.catchUp();
      for (let row = from; row < to; row++) {
        if (heap.holds(tracker.table.words)) {
          state[State.TableEnd] = heap.offsetOf(TrackRegion.Table) + tracker.table.words.byteLength;
          tracker.table.writeState(state, State.Table);
          row = this.run(heap.offsetOf(TrackRegion.State), row, to);
          tracker.table.readState(state, State.Table);
          if (row === to) break;
        }
        now.tick = ticks[row]!;
        states[row] = tracker.track(batch, row);
      }
      from = to;
    }
  }
}

function decideRow(program: Program, { addresses }: Dictionary, batch: FlowBatch, row: number): number {
  const family = batch.family[row]!;
  if (family === 0) return -1;
  const find = (word: number): number => {
    if (family === 4) return findEndpoint4(program, word);
    const [w0, w1, w2, w3] = addresses.get(word) as unknown as [number, number, number, number];
    return findEndpoint6(program, w0, w1, w2, w3);
  };
  const { protocol, dstPort, icmp } = batch;
  return decide(program, find(batch.src[row]!), find(batch.dst[row]!), protocol[row]!, dstPort[row]!, icmp[row]!);
}
