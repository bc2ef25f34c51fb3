/** The memory of the kernel on machines that promise less than it may come to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from '../../src/replay/heap.ts';
import { wasm, type WasmMemory } from '../../src/replay/webassembly.ts';

/** A machine with so many pages. */
function machineOf(pages: number): { asked: number[]; Memory: new (limits: { initial: number }) => WasmMemory } {
  const asked: number[] = [];
  class Memory {
    readonly buffer: ArrayBuffer;
    constructor({ initial }: { initial: number }) {
      asked.push(initial);
      if (initial > pages) throw new RangeError('could not allocate memory');
      this.buffer = new wasm!.Memory({ initial, maximum: initial }).buffer;
    }
  }
  return { asked, Memory };
}

test('the last region is as large as the machine allows, and a table that outgrows it goes on outside', () => {
  const { asked, Memory } = machineOf(100);
  const heap = new Heap(Memory, [1000, 70_000], 2 ** 40);
  assert.ok(asked.length > 3 && asked[0] === 32_768 && asked.every((pages, at) => at === 0 || pages < asked[at - 1]!));
  const pages = heap.memory.buffer.byteLength / 65_536;
  assert.ok(pages > 50 && pages <= 100, `${pages} of 100 pages`);
  const free = heap.memory.buffer.byteLength - heap.offsetOf(2);
  const before = heap.words(0, 250);
  before.fill(7);
  const table = heap.takeLast(free / 4 - 48, undefined).fill(1);
  assert.ok(heap.holds(table) && table.length === free / 4 - 48);
  assert.ok(before.buffer === heap.memory.buffer && before.every((word) => word === 7), 'nothing has moved');
  const outside = heap.takeLast(free / 4, table);
  assert.ok(!heap.holds(outside) && outside.length === free / 4);
  assert.ok(
    outside.subarray(0, table.length).every((word) => word === 1),
    'what it held comes first',
  );
  assert.ok(outside.subarray(table.length).every((word) => word === 0));
  const smaller = heap.takeLast(100, outside);
  assert.ok(!heap.holds(smaller) && smaller.every((word) => word === 1), 'it stays outside');
  assert.ok(heap.takeLast(100, undefined).every((word) => word === 0));
});

test('a memory without a last region is as small as its regions, and one that cannot be had at all is refused', () => {
  const { asked, Memory } = machineOf(3);
  assert.equal(new Heap(Memory, [1000]).memory.buffer.byteLength, 2 * 65_536);
  assert.deepEqual(asked, [2]);
  assert.throws(() => new Heap(Memory, [1_000_000], 2 ** 31), RangeError);
});
