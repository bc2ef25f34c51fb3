/** Law: bulk work by WASM gives what one row after another gives in TypeScript. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { decide, findEndpoint4 } from '../../src/decide/decide.ts';
import { generateCluster } from '../../src/generate/cluster.ts';
import { generatePolicies } from '../../src/generate/policy.ts';
import { createRandom } from '../../src/generate/random.ts';
import { type AddressText, parseAddress } from '../../src/model/address.ts';
import type { Pod } from '../../src/model/cluster.ts';
import { addQuote, createBatch, createDictionary, type FlowBatch, RecordKind, TcpFlag } from '../../src/model/flow.ts';
import { Reason } from '../../src/model/verdict.ts';
import { createBulkDecider, createBulkFinder, createBulkFinder6, createBulkTracker } from '../../src/replay/bulk.ts';
import { Heap } from '../../src/replay/heap.ts';
import { instantiate, placeTable } from '../../src/replay/kernel.ts';
import { endpointOf } from '../../src/replay/place.ts';
import { wasm } from '../../src/replay/webassembly.ts';
import { createTracker, TableTracker } from '../../src/track/tracker.ts';
import { makeFlows } from '../../bench/traffic.ts';
import { runs, seed } from '../law/seed.ts';
import { arbitraryStream, batchStream } from './stream.ts';

test(`a bulk decider decides, and a bulk finder finds, as one row after another (seed ${seed})`, () => {
  let rows = 0;
  const property = fc.property(arbitraryStream(200), (stream) => {
    const { snapshot, policies, dialect } = stream.world;
    const { batch, dictionary } = batchStream(stream);
    const program = compile(snapshot, policies, dialect);
    const { count, family, src, dst, protocol, dstPort, icmp } = batch;
    const decider = createBulkDecider(program, dictionary, count);
    copy(batch, decider.batch);
    decider.decide(count);
    const finder = createBulkFinder(program, count);
    finder.addresses.set(src.subarray(0, count));
    finder.find(count);
    const { words, count: count6 } = dictionary.addresses;
    const finder6 = createBulkFinder6(program, count6);
    finder6.addresses.set(words.subarray(0, count6 * 4));
    finder6.find(count6);
    for (let id = 0; id < count6; id++)
      assert.equal(finder6.endpoints[id], endpointOf(program, dictionary, 6, id), `IPv6 address ${id}`);
    for (let row = 0; row < count; row++) {
      assert.equal(finder.endpoints[row], findEndpoint4(program, src[row]!));
      const ends = [src[row]!, dst[row]!].map((word) => endpointOf(program, dictionary, family[row]!, word));
      const expected =
        family[row] === 0 ? -1 : decide(program, ends[0]!, ends[1]!, protocol[row]!, dstPort[row]!, icmp[row]!);
      assert.equal(decider.decisions[row], expected, `row ${row}`);
    }
    rows += count;
  });
  fc.assert(property, { seed, numRuns: runs(40), includeErrorInReport: true });
  assert.ok(rows > 1000);
});

test('a bulk decider knows a pod by either of two IPv4 addresses, in whole blocks and in what is left of one', () => {
  const snapshot = generateCluster({ pods: 40, seed: 1, shape: 'production' });
  const policies = generatePolicies({ snapshot, count: 40, seed: 1 });
  const isOfOne = (pod: Pod): boolean => pod.count === 1 && pod.phase === 'Running' && !pod.hostNetwork;
  const twin = snapshot.pods.findIndex(isOfOne);
  const second = '10.254.254.254' as AddressText;
  const pods = snapshot.pods.map((pod, at) => (at === twin ? { ...pod, addresses: [...pod.addresses, second] } : pod));
  const program = compile({ ...snapshot, pods }, policies);
  const words = new Uint32Array(4);
  const wordOf = (address: AddressText): number => (parseAddress(address, words), words[0]!);
  const own = wordOf(pods[twin]!.addresses.find((address) => parseAddress(address, words) === 4)!);
  const flows = makeFlows(snapshot, 1030, seed);
  for (let row = 0; row < flows.count; row += 5) {
    flows.src[row] = row % 2 === 0 ? own : wordOf(second);
    flows.dst[row] = row % 3 === 0 ? own : wordOf(second);
  }
  const decider = createBulkDecider(program, createDictionary(), flows.count);
  copy(flows, decider.batch);
  let samePod = 0;
  for (const count of [flows.count, 3]) {
    decider.decisions.fill(-2);
    decider.decide(count);
    const { src, dst, protocol, dstPort } = flows;
    for (let row = 0; row < flows.count; row++) {
      const [source, destination] = [findEndpoint4(program, src[row]!), findEndpoint4(program, dst[row]!)];
      const expected = row < count ? decide(program, source, destination, protocol[row]!, dstPort[row]!, -1) : -2;
      assert.equal(decider.decisions[row], expected, `row ${row} of ${count}`);
      if (source !== destination && ((expected >>> 2) & 63) === Reason.SamePod) samePod++;
    }
  }
  assert.ok(samePod > 50, `${samePod} between the two addresses`);
});

test(`a bulk tracker tracks as one packet after another (seed ${seed})`, () => {
  const reached = [0, 0, 0, 0];
  const property = fc.property(arbitraryStream(200), fc.boolean(), fc.nat(200), (stream, isTcpLoose, cut) => {
    const { batch } = batchStream(stream);
    const { count } = batch;
    batch.kind.fill(RecordKind.Packet);
    const tracker = createTracker({ isTcpLoose });
    const bulk = createBulkTracker({ isTcpLoose }, count);
    const found: number[] = [];
    for (const [from, to] of [
      [0, Math.min(cut, count)],
      [Math.min(cut, count), count],
    ] as const) {
      copy(batch, bulk.batch, from, to);
      bulk.track(to - from);
      found.push(...bulk.states.subarray(0, to - from));
    }
    for (let row = 0; row < count; row++) {
      const state = tracker.track(batch, row);
      reached[state]!++;
      assert.equal(found[row], state, `row ${row}`);
    }
    assert.equal(bulk.tracker.count, tracker.count);
  });
  fc.assert(property, { seed, numRuns: runs(40), includeErrorInReport: true });
  assert.ok(
    reached.every((count) => count > 0),
    `NEW, ESTABLISHED, RELATED, INVALID: ${reached.join(', ')}`,
  );
});

/** Rows `from` up to `to` of one batch to the beginning of another, quotes as they are. */

test(`a bulk tracker tracks a crowded table as one packet after another, entries that expire among them (seed ${seed})`, () => {
  const random = createRandom(seed, 'crowded');
  const rows = 30_000;
  const batch = createBatch(rows);
  batch.count = rows;
  let timeUs = 1.7e15;
  const flags = [TcpFlag.Syn, TcpFlag.Syn | TcpFlag.Ack, TcpFlag.Ack, TcpFlag.Fin | TcpFlag.Ack, TcpFlag.Rst, 0];
  const extra = [TcpFlag.Psh, TcpFlag.Urg, TcpFlag.Psh | TcpFlag.Urg, TcpFlag.Absent, 0, 0, 0, 0];
  for (let row = 0; row < rows; row++) {
    // As many as fit before the table grows, and a few more.
    const connection = random.below(720);
    const isReply = random.chance(50);
    const client = 0x0a00_0001 + (connection % 7);
    const server = 0x0a00_0001 + (connection % 11);
    timeUs += random.below(100) === 0 ? random.below(60) * 1e6 : 1e3;
    batch.timeUs[row] = timeUs;
    batch.family[row] = connection % 13 === 0 ? 6 : 4;
    batch.protocol[row] = connection % 5 === 0 ? 17 : 6;
    batch.src[row] = isReply ? server : client;
    batch.dst[row] = isReply ? client : server;
    batch.srcPort[row] = isReply ? 80 : 30_000 + connection;
    batch.dstPort[row] = isReply ? 30_000 + connection : 80;
    batch.tcpFlags[row] = flags[random.below(random.chance(80) ? 3 : flags.length)]! | extra[random.below(8)]!;
  }
  for (const isTcpLoose of [false, true]) {
    const timeouts = { tcpEstablished: 600 };
    const tracker = createTracker({ isTcpLoose, timeouts });
    const bulk = createBulkTracker({ isTcpLoose, timeouts }, rows);
    copy(batch, bulk.batch, 0, rows);
    bulk.track(rows);
    const states = Uint8Array.from(bulk.states);
    const expected = Uint8Array.from(states, (_, row) => tracker.track(batch, row));
    assert.deepEqual(states, expected);
    for (const sum of ['count', 'peak', 'expired'] as const) assert.equal(bulk.tracker[sum], tracker[sum], sum);
    assert.ok(tracker.expired > 1000 && tracker.peak > 600, `${tracker.expired} expired, ${tracker.peak} at once`);
  }
});

test(`a table that grows by the kernel lies word for word as one that grows without it (seed ${seed})`, () => {
  const random = createRandom(seed, 'growth');
  const batch = createBatch(1);
  batch.count = 1;
  batch.family[0] = 4;
  let timeUs = 1.7e15;
  const plain = new TableTracker({});
  const heap = new Heap(wasm!.Memory, [], 1 << 24);
  const helped = new TableTracker(placeTable(heap, instantiate(wasm!, heap.memory)));
  const sizes = new Set<number>();
  for (let packet = 0; packet < 8000; packet++) {
    timeUs += random.below(20) === 0 ? 1e6 : 1e3;
    const protocol = [6, 6, 17, 132][random.below(4)]!;
    batch.timeUs[0] = timeUs;
    batch.protocol[0] = protocol;
    batch.src[0] = random.below(1 << 30);
    batch.dst[0] = random.below(1 << 30);
    batch.srcPort[0] = random.below(65_536);
    batch.dstPort[0] = 80;
    batch.tcpFlags[0] = protocol === 6 ? TcpFlag.Syn : TcpFlag.Absent;
    batch.sctpChunks[0] = protocol === 132 ? 2 : 0;
    batch.sctpInitTag[0] = packet + 1;
    const { length } = plain.table.words;
    plain.track(batch, 0);
    helped.track(batch, 0);
    if (plain.table.words.length === length && packet % 1000 !== 0) continue;
    sizes.add(length);
    assert.deepEqual(helped.table.words.slice(), plain.table.words, `after packet ${packet}`);
    assert.deepEqual(helped.table.tags, plain.table.tags);
  }
  assert.ok(plain.table.tags.some((tag) => tag !== 0));
  assert.ok(sizes.size > 2 && plain.expired > 1000, `${sizes.size} sizes, ${plain.expired} expired`);
});

function copy(batch: FlowBatch, to: FlowBatch, from = 0, end = batch.count): void {
  const columns = batch as unknown as Record<string, unknown>;
  for (const [name, column] of Object.entries(to))
    if (ArrayBuffer.isView(column)) (column as Uint8Array).set((columns[name] as Uint8Array).subarray(from, end));
  while (to.quotes.count < batch.quotes.count) addQuote(to);
  for (const [name, column] of Object.entries(to.quotes))
    if (ArrayBuffer.isView(column)) {
      const quotes = (batch.quotes as unknown as Record<string, Uint8Array>)[name]!;
      (column as Uint8Array).set(quotes.subarray(0, batch.quotes.count));
    }
}
