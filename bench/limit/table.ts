/** The rows: every ratio that the project has set itself, the data it is taken on, and who takes part. */
import { prepareAddresses4, prepareAddresses6 } from './address.ts';
import { prepareConnections, spanUs } from './connection.ts';
import { prepareDecision, writeObjects } from './decision.ts';
import {
  bulkOf,
  DATA_VERSION,
  divide,
  evaluator,
  loop,
  rateOf,
  ratio,
  ratioBelow,
  reference,
  type Scale,
  size,
} from './entry.ts';
import { makeProcessRows, type Pick } from './process-table.ts';
import { prepareReplay } from './replay.ts';
import type { Data, Row } from './row.ts';

/** All rows at a scale. */
export function makeRows(scale: Scale): Row[] {
  const pick: Pick = (full, quick, test) => (scale === 'full' ? full : scale === 'quick' ? quick : test);
  return [
    addressRow4(
      'ipv4-100',
      'IPv4 look-up, 100 CIDRs, Zipf',
      100,
      pick(1 << 20, 1 << 18, 4096),
      pick(65_536, 16_384, 512),
      30,
      150,
    ),
    addressRow4(
      'ipv4-10k',
      'IPv4 look-up, 10,000 CIDRs, Zipf',
      pick(10_000, 10_000, 500),
      pick(1 << 20, 1 << 18, 4096),
      pick(4096, 1024, 256),
      3000,
      undefined,
    ),
    addressRowMillion(pick(1_000_000, 100_000, 2000), pick(1 << 20, 1 << 18, 4096)),
    addressRow6(pick(10_000, 2_000, 200), pick(1 << 20, 1 << 17, 4096), pick(2048, 1024, 256)),
    decisionRow(
      pick(1000, 1000, 60),
      pick(1000, 200, 40),
      pick(10, 10, 4),
      pick(1 << 20, 1 << 18, 4096),
      pick(4096, 1024, 256),
      scale,
    ),
    connectionRow(
      'connections-1e4',
      pick(10_000, 10_000, 500),
      pick(1 << 20, 1 << 18, 4096),
      pick(1 << 18, 1 << 16, 1024),
      0.7,
    ),
    ...(scale === 'test'
      ? []
      : [
          connectionRow(
            'connections-1e6',
            pick(1_000_000, 200_000, 0),
            pick(1 << 20, 1 << 18, 0),
            pick(1 << 18, 1 << 16, 0),
            0.7,
          ),
        ]),
    ...(scale === 'full' ? [connectionRow('connections-1e7', 10_000_000, 1 << 21, 0, 0.35)] : []),
    replayRow(pick(1000, 1000, 60), pick(1000, 200, 40), pick(200_000, 40_000, 300), pick(4_000_000, 800_000, 6000)),
    ...makeProcessRows(scale, pick),
  ];
}

function addressRow4(
  name: string,
  title: string,
  prefixes: number,
  addresses: number,
  sample: number,
  blockListGoal: number,
  anchorGoal: number | undefined,
): Row {
  const data: Data = {
    key: `ipv4-${prefixes}-${addresses}-v${DATA_VERSION}`,
    prepare: (folder) => prepareAddresses4(folder, { prefixes, addresses }),
  };
  return {
    name,
    title,
    contenders: [
      reference('C', data, 'lookup4.c', 40, sample, ['SAMPLE', 'trie']),
      loop('plain', data, 'plain ipv4', 40, sample),
      loop('wasm', data, 'wasm ipv4', 40, sample),
      loop('BlockList', data, 'BlockList ipv4', 4, sample),
      loop('ipaddr.js', data, 'ipaddr.js ipv4', 4, sample),
      loop('ip-num', data, 'ip-num ipv4', 4, sample),
    ],
    goals: [
      ratio('bulk', 'C', 0.45),
      ratio('plain', 'C', 0.17),
      ratio('bulk', 'BlockList', blockListGoal),
      ...(anchorGoal === undefined ? [] : [ratio('C', 'BlockList', anchorGoal)]),
      ratio('bulk', 'ipaddr.js'),
      ratio('bulk', 'ip-num'),
    ],
    note: 'Every prefix has a value of its own. Peers are given parsed addresses and say only whether one is in the set.',
  };
}

function addressRowMillion(prefixes: number, addresses: number): Row {
  const data: Data = {
    key: `ipv4-${prefixes}-${addresses}-v${DATA_VERSION}`,
    prepare: (folder) => prepareAddresses4(folder, { prefixes, addresses }),
  };
  return {
    name: 'ipv4-1m',
    title: `IPv4 look-up, ${prefixes.toLocaleString('en')} prefixes, Zipf`,
    contenders: [
      reference('C', data, 'lookup4.c', 20, addresses, ['SAMPLE', 'dxr']),
      reference('C trie', data, 'lookup4.c', 20, addresses, ['SAMPLE', 'trie']),
      loop('plain', data, 'plain ipv4', 20, addresses),
      loop('wasm', data, 'wasm ipv4', 20, addresses),
    ],
    goals: [ratio('bulk', 'C', 0.4), size('bulk', 16), ratio('C trie', 'C')],
    note: 'C is DXR; C trie is 16-8-8, fast and large.',
  };
}

function addressRow6(prefixes: number, addresses: number, sample: number): Row {
  const data: Data = {
    key: `ipv6-${prefixes}-${addresses}-v${DATA_VERSION}`,
    prepare: (folder) => prepareAddresses6(folder, { prefixes, addresses }),
  };
  return {
    name: 'ipv6',
    title: `IPv6 look-up, ${prefixes.toLocaleString('en')} prefixes, Zipf`,
    contenders: [
      reference('C', data, 'lookup6.c', 20, addresses, ['SAMPLE']),
      loop('plain', data, 'plain ipv6', 20, addresses),
      loop('wasm', data, 'wasm ipv6', 20, addresses),
      loop('BigInt', data, 'BigInt ipv6', 4, addresses),
      loop('BlockList', data, 'BlockList ipv6', 4, sample),
    ],
    goals: [ratio('bulk', 'C', 0.4), ratio('bulk', 'BigInt', 5), ratio('bulk', 'BlockList')],
  };
}

function decisionRow(pods: number, policies: number, few: number, flows: number, sample: number, scale: Scale): Row {
  const world = (count: number): Data => ({
    key: `decision-objects-${pods}-${count}-${flows}-v${DATA_VERSION}`,
    prepare: (folder) => {
      prepareDecision(folder, { pods, policies: count, flows });
      writeObjects(folder, { pods, policies: count, flows });
    },
  });
  const data = world(policies);
  return {
    name: 'decision',
    title: `decision, ${pods.toLocaleString('en')} pods x ${policies.toLocaleString('en')} policies`,
    contenders: [
      reference('C', data, 'decide.c', 20, sample, ['SAMPLE', 'steps']),
      reference('C loop', data, 'decide.c', 20, sample, ['SAMPLE', 'loop']),
      loop('plain', data, 'plain decision', 20, sample),
      loop('wasm', data, 'wasm decision', 20, sample),
      loop(`plain, ${few} policies`, world(few), 'plain decision', 20, sample),
      loop('naive', data, 'naive decision', 4, sample, { pods, policies }),
      loop('every rule', data, 'every rule decision', 4, sample, { pods, policies }),
      loop('oracle', data, 'oracle decision', 2, sample, { pods, policies }),
      evaluator('cyclonus', data, 4, sample, scale),
      evaluator('kube-network-policies', data, 4, sample, scale),
    ],
    goals: [
      ratio('bulk', 'C', 0.7),
      ratio('plain', 'C loop', 0.4),
      ratioBelow('C', 'bulk', 'naive', 1000),
      {
        text: `x the time at ${few} policies`,
        atMost: 2,
        figure: (look) => divide(rateOf(look, `plain, ${few} policies`), rateOf(look, 'plain')),
      },
      ratio('bulk', 'every rule'),
      ratio('bulk', 'oracle'),
      ratio('bulk', 'cyclonus'),
      ratio('bulk', 'kube-network-policies'),
    ],
    note: 'C reads the very buffer that the engine compiled; like WASM it takes blocks of flows one step after another, C loop and plain take one flow after another. Naive compares the namespace first and ends at the first rule that allows; every rule does neither. Cyclonus has the matcher that policy-assistant took over; its processor time, and that of kube-network-policies, includes the garbage collection of Go.',
  };
}

function connectionRow(name: string, live: number, packets: number, sample: number, goal: number): Row {
  const data: Data = {
    key: `connections-${live}-${packets}-v${DATA_VERSION}`,
    prepare: (folder) => prepareConnections(folder, { live, packets }),
  };
  const values = { live };
  return {
    name,
    title: `connection table, ${live.toLocaleString('en')} live`,
    contenders: [
      reference('C', data, 'track.c', 8, sample, ['SAMPLE', String(live), String(spanUs(packets))]),
      loop('plain', data, 'plain connections', 8, sample, values),
      loop('wasm', data, 'wasm connections', 8, sample, values),
      ...(sample === 0 ? [] : [loop('Map', data, 'Map connections', 4, sample, values)]),
    ],
    goals: [
      ratio('bulk', 'C', goal),
      {
        text: 'bytes a connection',
        // Judged where a table of a power of two is filled to 0.6; elsewhere it is shown.
        ...(live === 10_000 && { atMost: 40 }),
        figure: (look) => divide(bulkOf(look)?.bytes, live),
      },
      ...(sample === 0 ? [] : [ratioBelow('C', 'bulk', 'Map', 20)]),
    ],
    note: 'Packets of connections drawn evenly, all TCP states passed; bytes are judged at 10,000 connections, where the table is filled to 0.6; a Map of ten million strings does not fit a heap of 8 GB.',
  };
}

/** After six, what V8 compiles beside the replay was still a tenth of its time on the processor. */
const REPLAY_PASSES = 12;

function replayRow(pods: number, policies: number, connections: number, records: number): Row {
  const data: Data = {
    key: `replay-c-${pods}-${policies}-${connections}-${records}-v${DATA_VERSION}`,
    prepare: (folder) => prepareReplay(folder, { pods, policies, connections, records }),
  };
  return {
    name: 'replay',
    title: `stateful replay of a binary trace, ${pods.toLocaleString('en')} x ${policies.toLocaleString('en')}`,
    contenders: [
      reference('C', data, 'replay.c', REPLAY_PASSES, 0, []),
      loop('plain', data, 'plain replay', REPLAY_PASSES, 0, { pods, policies, records }),
      loop('wasm', data, 'wasm replay', REPLAY_PASSES, 0, { pods, policies, records }),
    ],
    goals: [
      ratio('bulk', 'C', 0.6),
      {
        text: 'million records/s',
        atLeast: 25,
        figure: (look) => divide(bulkOf(look)?.rate, 1e6),
        ceiling: { who: 'C', figure: (look) => divide(look('C')?.rate, 1e6) },
      },
    ],
    note: 'From the bytes of the trace to the sums of each group, on one thread.',
  };
}
