/**
 * The WASM kernel as replay sees it: its memory, the staging of rows, and the hand-over of the table's and groups' state in
 * both directions. Everything that the kernel works on lies in one memory that TypeScript works on too, so that a row can
 * be taken by either; columns that a reader has put into it are used where they lie, others are copied. Without WebAssembly there is no
 * kernel, and every row goes through TypeScript.
 */
import { Endpoint, EndpointKind, Header } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import { kindOf } from '../decide/decide.ts';
import { Tables } from '../decide/table-layout.ts';
import { type Arena, type FlowBatch, Orientation } from '../model/flow.ts';
import { PORT_PROTOCOLS } from '../model/port.ts';
import { type Clock, ClockState } from '../track/clock.ts';
import { Block, Staged, Step, Timer, Word } from '../track/entry.ts';
import type { TrackerOptions } from '../track/state.ts';
import { createSteps } from '../track/step.ts';
import { TCP_INDEX, TCP_TABLE } from '../track/tcp.ts';
import type { TableTracker } from '../track/tracker.ts';
import { GroupCount, GroupKey, type GroupStorage, GroupSum, type GroupTable } from './group.ts';
import { type Heap, returnHeap, takeHeap } from './heap.ts';
import { classesOf } from './hit.ts';
import { KERNEL_CODE } from './kernel-code.ts';
import { Column, Memo, MemoKey, Name, State } from './kernel-layout.ts';
import type { ReplayMode } from './result.ts';
import type { Buckets } from './share.ts';
import { wasm, type WasmApi, type WasmMemory } from './webassembly.ts';

/** Rows staged at a time: few enough to stay in the second-level cache. */
const STAGE = 4096;

/** Room for a group of the largest columnar trace; what is not used is no memory. */
const ARENA_BYTES = 1 << 24;

/** Name of each column, indexed by `Column`. */
const COLUMNS = [
  'kind',
  'family',
  'protocol',
  'recordedVerdict',
  'orientation',
  'orientedBy',
  'flags',
  'tcpFlags',
  'src',
  'dst',
  'srcPort',
  'dstPort',
  'icmp',
  'preDstPort',
  'srcEndpoint',
  'dstEndpoint',
  'timeUs',
  'bytes',
  'replyBytes',
  'policies',
  'connections',
  'replyPackets',
] as const satisfies readonly (keyof FlowBatch)[];

/** Bytes of a row, columns by `Column`. */
const COLUMN_BYTES = [1, 1, 1, 1, 1, 1, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 8, 8, 8, 4, 8, 8, 4];

/** What a kernel is made for. */
export interface KernelOptions {
  readonly program: Program;
  readonly baseline: Program | undefined;
  readonly mode: ReplayMode;
  /** Most groups that there will ever be. */
  readonly groupMost: number;
  /** The party of pooled outside addresses. */
  readonly others: number;
  /** Address space, for as much of a table as fits. */
  readonly memoryBytes: number;
}

const enum Region {
  State,
  Timers,
  Indices,
  Transitions,
  Steps,
  Staged,
  Oriented,
  Clock,
  Columns,
  Rows,
  Memo,
  CandidateTables,
  BaselineTables,
  Candidate,
  Baseline,
  Parties,
  Classes,
  Listen,
  Names,
  /** From here on zeros are written where they are wanted. */
  Addresses,
  GroupKeys,
  GroupSums,
  GroupCounts,
  GroupSlots,
  NewGroups,
  /** Columns that a reader leaves here. */
  Arena,
  /** The connection table. */
  Last,
}

/** The kernel; undefined where WebAssembly cannot be had, or not enough memory. */
export function createKernel(options: KernelOptions): Kernel | undefined {
  if (wasm === undefined) return undefined;
  try {
    return new Kernel(wasm, options);
  } catch (error) {
    if (error instanceof RangeError || error instanceof wasm.CompileError) return undefined;
    throw error;
  }
}

/** One kernel with its memory. */
export class Kernel {
  private readonly heap: Heap;
  private readonly run: (state: number, from: number, to: number) => number;
  private readonly pick: (state: number, count: number) => number;
  private readonly stamp: Stamp;
  private readonly program: Program;
  private readonly isPacketMode: boolean;
  private readonly listenMask: number;
  /** The table of addresses is as large as they need, since what is touched of its region is memory, and has half of its places free. */
  private addressMask = 4095;
  private addressCount = 0;
  /** Every group has two parties at most. */
  private readonly addressMost: number;
  /** Rows that `stage` left to be taken: those of the thread's buckets, and those of which only TypeScript knows. */
  selected = 0;
  /** `Clock.setBack` of the staged rows. */
  setBack = 0;
  /** For one reader, whose batches need not be copied then. */
  readonly arena: Arena;
  /** Where the connection table lies. */
  readonly table: TablePlace;
  private readonly others: number;
  private readonly hasBaseline: boolean;
  private readonly state: Int32Array;
  /** [`Column`] rows that were copied. */
  private readonly columns: readonly Uint8Array[];
  /** Columns of the batch in hand that lie in the memory, with their addresses by `Column`, and those that are copied. */
  private readonly lying: number[] = [];
  private readonly sources: number[] = COLUMNS.map(() => 0);
  private readonly copied: number[] = [];
  /** [`Column`] the value of all elements that are staged, where it is known; see `FlowBatch.uniform`. */
  private readonly uniform: (number | undefined)[] = COLUMNS.map(() => undefined);
  private readonly ticks: Int32Array;
  /** [staged] places of the staged rows in the columns; `isWhole`: they are the numbers from 0. */
  private readonly rows: Int32Array;
  private isWhole = false;
  private readonly memo: Int32Array;
  private readonly names: Int32Array;
  private readonly oriented: Float64Array;
  private readonly parties: Int32Array;
  private readonly addresses: Int32Array;
  private tracker!: TableTracker;
  private groups!: GroupTable;

  constructor(api: WasmApi, { program, baseline, mode, groupMost, others, memoryBytes }: KernelOptions) {
    const listeners = listListeners(program);
    const listenSize = powerOfTwo(listeners.length * 2 + 1);
    // The table of groups grows by doubling.
    const groups = powerOfTwo(groupMost);
    const sizes: Record<Exclude<Region, Region.Last>, number> = {
      [Region.State]: State.Count * 4,
      [Region.Timers]: Timer.Count * 4,
      [Region.Indices]: TCP_INDEX.length,
      [Region.Transitions]: TCP_TABLE.length,
      [Region.Steps]: Step.Count * Step.Stride * 4,
      [Region.Staged]: Block.Rows * Staged.Bytes,
      [Region.Oriented]: 5 * 8,
      [Region.Clock]: ClockState.Count * 8,
      [Region.Columns]: STAGE * columnOffset(Column.Count),
      // The kernel looks at four places at a time, and what stands behind the last has to be a place.
      [Region.Rows]: (STAGE + 3) * 4,
      [Region.Memo]: Memo.Size * Memo.Stride * 4,
      [Region.CandidateTables]: Tables.Count * 4,
      [Region.BaselineTables]: Tables.Count * 4,
      [Region.Candidate]: program.buffer.byteLength,
      [Region.Baseline]: baseline?.buffer.byteLength ?? 0,
      [Region.Parties]: (program.endpoints.length / Endpoint.Stride) * 4,
      [Region.Classes]: (program.endpoints.length / Endpoint.Stride) * 4,
      [Region.Listen]: listenSize * 8,
      [Region.Names]: Name.Size * Name.Stride * 4,
      [Region.Addresses]: groups * 4 * 8,
      [Region.GroupKeys]: groups * GroupKey.Stride * 4,
      [Region.GroupSums]: groups * GroupSum.Stride * 8,
      [Region.GroupCounts]: groups * GroupCount.Stride * 8,
      [Region.GroupSlots]: groups * 4 * 4,
      [Region.NewGroups]: STAGE * 4,
      [Region.Arena]: ARENA_BYTES,
    };
    const heap = takeHeap(api.Memory, Object.values(sizes), Region.Addresses, memoryBytes);
    this.heap = heap;
    const functions = instantiate(api, heap.memory);
    this.table = placeTable(heap, functions);
    this.run = functions['run'] as typeof this.run;
    this.pick = functions['pick'] as typeof this.pick;
    this.program = program;
    this.isPacketMode = mode === 'packets';
    this.hasBaseline = baseline !== undefined;
    this.listenMask = listenSize - 1;
    this.addressMost = groups * 2 - 1;
    this.others = others;
    this.arena = { memory: heap.memory, offset: heap.offsetOf(Region.Arena), size: ARENA_BYTES };
    const columns = heap.offsetOf(Region.Columns);
    this.columns = COLUMN_BYTES.map(
      (bytes, column) => new Uint8Array(heap.memory.buffer, columns + STAGE * columnOffset(column), STAGE * bytes),
    );
    this.ticks = new Int32Array(heap.memory.buffer, columns + STAGE * columnOffset(Column.Tick), STAGE);
    this.rows = heap.words(Region.Rows, STAGE);
    this.memo = heap.words(Region.Memo, Memo.Size * Memo.Stride);
    this.names = heap.words(Region.Names, Name.Size * Name.Stride);
    this.oriented = heap.floats(Region.Oriented, 5);
    this.parties = heap.words(Region.Parties, program.endpoints.length / Endpoint.Stride);
    this.addresses = heap.words(Region.Addresses, groups * 4 * 2);
    this.addresses.fill(0, 0, (this.addressMask + 1) * 2);
    this.state = heap.words(Region.State, State.Count);
    this.stamp = createStamp(functions, this.state, this.ticks, heap.floats(Region.Clock, ClockState.Count));
    this.fillState();
    heap.bytes(Region.Indices, TCP_INDEX.length).set(TCP_INDEX);
    heap.bytes(Region.Transitions, TCP_TABLE.length).set(TCP_TABLE);
    placeProgram(heap, program, Region.Candidate, Region.CandidateTables);
    if (baseline !== undefined) placeProgram(heap, baseline, Region.Baseline, Region.BaselineTables);
    this.parties.fill(-1);
    const classes = classesOf(program);
    heap.words(Region.Classes, classes.length).set(classes);
    const slots = heap.words(Region.Listen, listenSize * 2);
    for (const [endpoint, asked] of listeners) {
      let slot = (Math.imul(endpoint, 0x85ebca6b) ^ Math.imul(asked, 0xc2b2ae35)) & this.listenMask;
      while (slots[slot * 2] !== 0) slot = (slot + 1) & this.listenMask;
      slots[slot * 2] = endpoint + 1;
      slots[slot * 2 + 1] = asked;
    }
  }

  /** Gives the kernel the table and the groups that lie in its memory, once. */
  attach(tracker: TableTracker, groups: GroupTable): void {
    this.tracker = tracker;
    this.groups = groups;
    this.heap.words(Region.Timers, Timer.Count).set(tracker.timeouts);
    this.heap.words(Region.Steps, Step.Count * Step.Stride).set(createSteps(tracker.timeouts));
  }

  /** Ends the kernel: its memory serves the next one. */
  giveBack(): void {
    returnHeap(this.heap);
  }

  /** Where the groups lie. */
  readonly groupStorage: GroupStorage = (groups, slots) => ({
    keys: this.heap.words(Region.GroupKeys, groups * GroupKey.Stride),
    sums: this.heap.floats(Region.GroupSums, groups * GroupSum.Stride),
    counts: this.heap.floats(Region.GroupCounts, groups * GroupCount.Stride),
    slots: this.heap.words(Region.GroupSlots, slots),
  });

  /** Tells the kernel who a pod, or an IPv4 address that is neither a node's nor a Service's, is for grouping. */
  learnParty(endpoint: number, family: number, address: number, party: number): void {
    const kind = kindOf(this.program, endpoint);
    if (kind === EndpointKind.Pod) {
      this.parties[endpoint] = party;
      return;
    }
    if (family !== 4 || kind >= EndpointKind.Node) return;
    // Outside addresses are three a group at most; those of unknown pods may be more than there is room for, and what the kernel
    // does not know of them it leaves to TypeScript.
    if (kind === EndpointKind.UnknownPod && this.addressCount * 4 > this.addressMost) return;
    const slot = this.slotOf(address);
    if (this.addresses[slot + 1] !== 0) return;
    if (++this.addressCount > this.addressMost) throw new RangeError('more parties than groups have ends');
    this.addresses[slot] = address;
    this.addresses[slot + 1] = party + 1;
    if (this.addressCount * 2 > this.addressMask) this.growAddresses();
  }

  /** Where an address stands, or is to stand. */
  private slotOf(address: number): number {
    const { addresses, addressMask } = this;
    let slot = (Math.imul(address, 0x9e3779b1) >>> 8) & addressMask;
    while (addresses[slot * 2 + 1] !== 0 && addresses[slot * 2] !== (address | 0)) slot = (slot + 1) & addressMask;
    return slot * 2;
  }

  private growAddresses(): void {
    const { addresses } = this;
    const old = addresses.slice(0, (this.addressMask + 1) * 2);
    addresses.fill(0, 0, old.length * 2);
    this.addressMask = this.addressMask * 2 + 1;
    this.state[State.AddressMask] = this.addressMask;
    for (let at = 0; at < old.length; at += 2)
      if (old[at + 1] !== 0) addresses.set(old.subarray(at, at + 2), this.slotOf(old[at]!));
  }

  /** Tells the kernel that an end of the dictionary, at an address, is whom the snapshot has there. */
  learnName(name: number, family: number, address: number): void {
    if (name >= Name.Size) return;
    const { names } = this;
    const at = name * Name.Stride;
    names[at + Name.Address] = address;
    names[at + Name.Family] = family;
  }

  /**
   * Remembers the group of an opening that the kernel left to TypeScript, for the next one of the same ends and port. The
   * row has plain addresses, and the sender is the initiator.
   */
  remember(batch: FlowBatch, row: number, group: number, source: number, isServer: boolean): void {
    const { memo } = this;
    const src = batch.src[row]! | 0;
    const dst = batch.dst[row]! | 0;
    const key =
      (batch.protocol[row]! << MemoKey.PortShift) |
      (batch.dstPort[row]! + 1) |
      (batch.family[row] === 6 ? MemoKey.Ipv6 : 0);
    const hash = (Math.imul(Math.imul(src, 0x9e3779b1) ^ dst, 0x85ebca6b) + Math.imul(key, 0xc2b2ae35)) | 0;
    const at = ((hash ^ (hash >>> 15)) & (Memo.Size - 1)) * Memo.Stride;
    memo[at + Memo.Src] = src;
    memo[at + Memo.Dst] = dst;
    memo[at + Memo.Key] = key;
    memo[at + Memo.Group] = group;
    memo[at + Memo.SourceEndpoint] = source;
    memo[at + Memo.IsServer] = isServer ? 1 : 0;
  }

  /** Looks at a batch whose rows are staged next: which of its columns lie here, and which are of one value, which is written once. */
  enter(batch: FlowBatch): void {
    const { columns, uniform, state, lying, copied } = this;
    const { buffer } = this.heap.memory;
    lying.length = 0;
    copied.length = 0;
    for (let column = 0; column < COLUMNS.length; column++) {
      const own = batch[COLUMNS[column]!];
      const staged = columns[column]!;
      const value = batch.uniform?.get(COLUMNS[column]!);
      if (value === undefined && own.buffer === buffer) {
        this.sources[column] = own.byteOffset;
        lying.push(column);
        continue;
      }
      state[State.Columns + column] = staged.byteOffset;
      if (value === undefined) copied.push(column);
      else if (!Object.is(uniform[column], value)) {
        const View = own.constructor as Float64ArrayConstructor;
        new View(staged.buffer as ArrayBuffer, staged.byteOffset, STAGE).fill(value);
      }
      uniform[column] = value;
    }
  }

  /**
   * Stages rows `from` up to `to` of the batch that was entered, as many as fit and until the clock is set back, and selects those of `buckets`, if any; returns how many
   * rows it looked at.
   */
  stage(batch: FlowBatch, from: number, to: number, clock: Clock, buckets: Buckets | undefined): number {
    const { state, heap } = this;
    const most = Math.min(to - from, STAGE);
    const clockUs = batch.share?.clockUs;
    clock.advance((clockUs ?? batch.timeUs)[from]!);
    this.setBack = clock.setBack;
    this.place(batch, from, most);
    let count = most;
    if (clockUs === undefined) count = this.stamp(clock, batch.timeUs, from, 0, most);
    else for (let row = 0; row < most; row++) this.ticks[row] = clock.advance(clockUs[from + row]!);
    if (buckets === undefined) {
      if (!this.isWhole) for (let row = 0; row < STAGE; row++) this.rows[row] = row;
      this.isWhole = true;
      this.selected = count;
    } else {
      state[State.FirstBucket] = buckets.first;
      state[State.EndBucket] = buckets.end;
      this.isWhole = false;
      this.selected = this.pick(heap.offsetOf(Region.State), count);
    }
    return count;
  }

  /** The place of a staged row behind the first that `stage` looked at. */
  rowOf(staged: number): number {
    return this.rows[staged]!;
  }

  /** The tick of a staged row. */
  tickOf(staged: number): number {
    return this.ticks[this.rows[staged]!]!;
  }

  /** Says where the columns of `count` rows lie, and copies those that lie elsewhere. */
  private place(batch: FlowBatch, from: number, count: number): void {
    const { state, columns, lying, sources, copied } = this;
    for (const column of lying) state[State.Columns + column] = sources[column]! + from * COLUMN_BYTES[column]!;
    for (const column of copied) {
      const { buffer, byteOffset, BYTES_PER_ELEMENT: bytes } = batch[COLUMNS[column]!];
      columns[column]!.set(new Uint8Array(buffer, byteOffset + from * bytes, count * bytes));
    }
  }

  /** Takes staged rows `from` up to `to`; returns the first that it leaves to TypeScript, or `to`. */
  take(from: number, to: number): number {
    const { heap, state, tracker, groups } = this;
    // `addGroups` asks for it whoever took the rows.
    state[State.GroupCount] = groups.count;
    if (!heap.holds(tracker.table.words)) return from;
    state[State.TableEnd] = heap.offsetOf(Region.Last) + tracker.table.words.byteLength;
    state[State.GroupSlotMask] = groups.slots.length - 1;
    state[State.IsFull] = groups.isFull ? 1 : 0;
    state[State.GroupRoom] = groups.room('none');
    state[State.PoolRoom] = groups.room('pool');
    state[State.NewGroupPtr] = heap.offsetOf(Region.NewGroups);
    tracker.table.writeState(state, State.Table);
    const next = this.run(heap.offsetOf(Region.State), from, to);
    tracker.table.readState(state, State.Table);
    return next;
  }

  /** Counts the groups that the last `take` made, and tells of each: its number, the first row of it behind the first staged one, who opened. */
  addGroups(add: (group: number, row: number, orientation: Orientation) => void): void {
    const { groups, state, heap } = this;
    const end = state[State.GroupCount]!;
    if (groups.count === end) return;
    const rows = heap.words(Region.NewGroups, end - groups.count);
    for (const row of rows) add(groups.count++, row >> 1, (row & 1) === 1 ? Orientation.Reply : Orientation.Original);
  }

  /** Adds the connections that the kernel opened, [`OrientedBy`], and forgets them. */
  drainOriented(counts: Float64Array): void {
    for (let by = 0; by < counts.length; by++) counts[by]! += this.oriented[by]!;
    this.oriented.fill(0);
  }

  /** Writes what stays as it is. */
  private fillState(): void {
    const { heap, state } = this;
    const places: readonly (readonly [State, Region])[] = [
      [State.IndexPtr, Region.Indices],
      [State.MemoPtr, Region.Memo],
      [State.NamePtr, Region.Names],
      [State.RowPtr, Region.Rows],
      [State.TablePtr, Region.Last],
      [State.TimerPtr, Region.Timers],
      [State.TcpPtr, Region.Transitions],
      [State.StepPtr, Region.Steps],
      [State.StagedPtr, Region.Staged],
      [State.GroupKeyPtr, Region.GroupKeys],
      [State.GroupSumPtr, Region.GroupSums],
      [State.GroupCountPtr, Region.GroupCounts],
      [State.GroupSlotPtr, Region.GroupSlots],
      [State.PartyPtr, Region.Parties],
      [State.ClassPtr, Region.Classes],
      [State.AddressPtr, Region.Addresses],
      [State.ListenPtr, Region.Listen],
      [State.CandidatePtr, Region.CandidateTables],
      [State.OrientedPtr, Region.Oriented],
      [State.ClockPtr, Region.Clock],
    ];
    for (const [word, region] of places) state[word] = heap.offsetOf(region);
    state[State.Columns + Column.Tick] = this.ticks.byteOffset;
    state[State.ListenMask] = this.listenMask;
    state[State.AddressMask] = this.addressMask;
    state[State.OthersParty] = this.others;
    state[State.BaselinePtr] = this.hasBaseline ? heap.offsetOf(Region.BaselineTables) : 0;
    state[State.IsPacketMode] = this.isPacketMode ? 1 : 0;
  }
}

/** Copies a Program's buffer in, and writes the addresses of its sections. */
export function placeProgram(heap: Heap, program: Program, region: number, tables: number): void {
  const offset = heap.offsetOf(region);
  heap.bytes(region, program.buffer.byteLength).set(new Uint8Array(program.buffer));
  const words = heap.words(tables, Tables.Count);
  const sections: readonly (readonly [Tables, ArrayBufferView & { readonly length: number }])[] = [
    [Tables.Root4, program.root4],
    [Tables.Mid4, program.mid4],
    [Tables.Leaf4, program.leaf4],
    [Tables.Starts4, program.starts4],
    [Tables.Values4, program.values4],
    [Tables.Endpoints, program.endpoints],
    [Tables.EgressPageIndex, program.egressPageIndex],
    [Tables.EgressPages, program.egressPages],
    [Tables.IngressPageIndex, program.ingressPageIndex],
    [Tables.IngressPages, program.ingressPages],
    [Tables.PortClasses, program.portClasses],
    [Tables.VectorPageIndex, program.vectorPageIndex],
    [Tables.VectorPages, program.vectorPages],
    [Tables.Outcomes, program.outcomes],
  ];
  for (const [word, { byteOffset, length }] of sections) words[word] = length === 0 ? 0 : offset + byteOffset;
  words[Tables.EgressPagesPerRow] = program.header[Header.EgressPagesPerRow]!;
  words[Tables.IngressPagesPerRow] = program.header[Header.IngressPagesPerRow]!;
  words[Tables.PagesPerVector] = program.header[Header.PagesPerVector]!;
  words[Tables.CellBytes] = program.header[Header.CellBytes]!;
}

/** Bytes of a row before a column. */
function columnOffset(column: number): number {
  // The widest stand first, so that each is aligned to its elements.
  let offset = 0;
  for (let other = 0; other < Column.Count; other++)
    if (
      COLUMN_BYTES[other]! > (COLUMN_BYTES[column] ?? 0) ||
      (COLUMN_BYTES[other] === COLUMN_BYTES[column] && other < column)
    )
      offset += COLUMN_BYTES[other]!;
  return offset;
}

/**
 * Writes the ticks of rows `from` up to `to` of the columns, whose times stand in `timesUs` from `offset` on; returns the row before which
 * the clock is set back, or `to`.
 */
export type Stamp = (clock: Clock, timesUs: Float64Array, offset: number, from: number, to: number) => number;

/** A stamp by the kernel; what it does not know of time is asked of the clock. */
export function createStamp(
  functions: Readonly<Record<string, unknown>>,
  state: Int32Array,
  ticks: Int32Array,
  clockState: Float64Array,
): Stamp {
  const stampTicks = functions['stampTicks'] as (state: number, from: number, to: number) => number;
  return (clock, timesUs, offset, from, to) => {
    const { setBack } = clock;
    for (let row = from; ; row++) {
      clock.writeState(clockState);
      row = stampTicks(state.byteOffset, row, to);
      clock.readState(clockState);
      if (row === to) return to;
      ticks[row] = clock.advance(timesUs[offset + row]!);
      if (clock.setBack !== setBack) return row;
    }
  };
}

/** Where a tracker's table lies, and who helps it to grow. */
export type TablePlace = Required<Pick<TrackerOptions, 'storage' | 'settle'>>;

/** A table in the last region of a kernel's memory; once that has no more room, outside. */
export function placeTable(heap: Heap, functions: Readonly<Record<string, unknown>>): TablePlace {
  const settle = functions['settle'] as (table: number, mask: number, from: number, to: number) => number;
  return {
    storage: (length, old) => heap.takeLast(length, old),
    settle: (words, from, to) =>
      heap.holds(words) ? settle(words.byteOffset, words.length / Word.Count - 1, from, to) : from,
  };
}

/** The kernel's functions over a memory. */
export function instantiate(api: WasmApi, memory: WasmMemory): Readonly<Record<string, unknown>> {
  return new api.Instance(moduleOf(api), { env: { memory } }).exports;
}

/** The compiled kernel, for another thread's `adoptKernel`; undefined where there is no WebAssembly. */
export function compileKernel(): object | undefined {
  try {
    return wasm && moduleOf(wasm);
  } catch {
    // Whoever makes a kernel finds out, too.
    return undefined;
  }
}

/** Takes over a kernel that another thread has compiled. */
export function adoptKernel(module: object): void {
  compiled = module;
}

let compiled: object | undefined;

function moduleOf({ Module }: WasmApi): object {
  return (compiled ??= new Module(decodeBase64(KERNEL_CODE)));
}

/** Base64 to bytes; there is neither `Buffer` nor `atob` wherever the language runs. */
function decodeBase64(text: string): Uint8Array {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const values = new Uint8Array(128);
  for (let value = 0; value < letters.length; value++) values[letters.charCodeAt(value)] = value;
  const length = text.indexOf('=') < 0 ? text.length : text.indexOf('=');
  const bytes = new Uint8Array((length * 3) >> 2);
  let bits = 0;
  for (let at = 0, next = 0; at < length; at++) {
    bits = ((bits << 6) | values[text.charCodeAt(at)]!) & 0xffffff;
    if (at % 4 !== 0) bytes[next++] = bits >> (6 - (at % 4) * 2);
  }
  return bytes;
}

/** Endpoint, and protocol << 17 | port, of everything that a pod says it listens on. */
function listListeners(program: Program): (readonly [number, number])[] {
  const { endpoints, source } = program;
  const found: (readonly [number, number])[] = [];
  for (let at = 0; at < endpoints.length; at += Endpoint.Stride) {
    if ((endpoints[at + Endpoint.Kind]! & EndpointKind.Mask) !== EndpointKind.Pod) continue;
    for (const { protocol, port } of source.snapshot.pods[endpoints[at + Endpoint.Object]!]!.ports)
      found.push([at / Endpoint.Stride, (PORT_PROTOCOLS[protocol] << MemoKey.PortShift) | port]);
  }
  return found;
}

/** The least power of two that is not below `count`; at least 1,024. */
function powerOfTwo(count: number): number {
  let size = 1024;
  while (size < count) size *= 2;
  return size;
}
