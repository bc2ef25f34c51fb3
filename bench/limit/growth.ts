/** How cost grows: the same parts at several sizes, for the plots of docs/performance.md. No goals, one or more rounds. */
import { prepareConnections, spanUs } from './connection.ts';
import { prepareDecision } from './decision.ts';
import { DATA_VERSION, job, loop, reference } from './entry.ts';
import type { Plot } from './plot.ts';
import type { Contender, Data, Row, StoredRow } from './row.ts';
import { prepareThreads } from './thread.ts';

/** A plot that is to be measured: a row for each place on its x axis. */
export interface Growth {
  readonly name: string;
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly places: readonly { readonly x: number; readonly row: Row }[];
}

/** The plots at full size, or at a tenth. */
export function makeGrowth(scale: 'full' | 'quick'): Growth[] {
  const flows = scale === 'full' ? 1 << 19 : 1 << 17;
  const most = scale === 'full' ? 10_000 : 1000;
  const records = scale === 'full' ? 4_000_000 : 400_000;
  const sizes = (from: number, to: number): number[] => {
    const list = [];
    for (let size = from; size <= to; size *= 10) list.push(size);
    return list;
  };
  return [
    {
      name: 'policies',
      title: 'One decision, by policies (1,000 pods)',
      xLabel: 'policies',
      yLabel: 'ns',
      places: sizes(10, most).map((policies) => ({ x: policies, row: decisionPlace(1000, policies, flows) })),
    },
    {
      name: 'pods',
      title: 'One decision, by pods (1,000 policies)',
      xLabel: 'pods',
      yLabel: 'ns',
      places: sizes(100, 10 * most).map((pods) => ({ x: pods, row: decisionPlace(pods, 1000, flows) })),
    },
    {
      name: 'connections',
      title: 'One tracked packet, by live connections',
      xLabel: 'live connections',
      yLabel: 'ns',
      places: sizes(1000, 1000 * most).map((live) => ({ x: live, row: connectionPlace(live, flows) })),
    },
    {
      name: 'threads',
      title: `Stateful replay of ${records.toLocaleString('en')} records, in shards, by threads`,
      xLabel: 'threads',
      yLabel: 's',
      places: [1, 2, 4].map((threads) => ({
        x: threads,
        row: threadPlace(threads, records),
      })),
    },
  ];
}

/** The plot of what was measured; contenders that were not measured at any place are left out. */
export function plotOf(
  { name, title, xLabel, yLabel, places }: Growth,
  measured: ReadonlyMap<string, StoredRow>,
): Plot {
  const names = [...new Set(places.flatMap(({ row }) => row.contenders.map((contender) => contender.name)))];
  const series = names.flatMap((contender) => {
    const points = places.flatMap(({ x, row }) => {
      const rate = measured.get(row.name)?.rates.find((own) => own.name === contender);
      if (rate === undefined) return [];
      return [{ x, y: yLabel === 's' ? rate.seconds : 1e9 / rate.rate }];
    });
    return points.length === 0 ? [] : [{ name: contender, points }];
  });
  return { name, title, xLabel, yLabel, series };
}

function decisionPlace(pods: number, policies: number, flows: number): Row {
  const data: Data = {
    key: `decision-${pods}-${policies}-${flows}-v${DATA_VERSION}`,
    prepare: (folder) => prepareDecision(folder, { pods, policies, flows }),
  };
  const sample = Math.max(64, Math.min(4096, Math.floor(1e6 / policies)));
  return place(`growth-decision-${pods}-${policies}`, [
    reference('C', data, 'decide.c', 12, sample, ['SAMPLE', 'steps']),
    loop('plain', data, 'plain decision', 12, sample),
    ...(pods > 10_000 ? [] : [loop('naive', data, 'naive decision', 4, sample, { pods, policies })]),
  ]);
}

function connectionPlace(live: number, packets: number): Row {
  const data: Data = {
    key: `connections-${live}-${packets}-v${DATA_VERSION}`,
    prepare: (folder) => prepareConnections(folder, { live, packets }),
  };
  const sample = 1 << 16;
  return place(`growth-connections-${live}`, [
    reference('C', data, 'track.c', 8, sample, ['SAMPLE', String(live), String(spanUs(packets))]),
    loop('plain', data, 'plain connections', 8, sample, { live }),
    ...(live > 1e6 ? [] : [loop('Map', data, 'Map connections', 4, sample, { live })]),
  ]);
}

function threadPlace(threads: number, records: number): Row {
  const size = { pods: 1000, policies: 1000, connections: 200_000, records };
  const data: Data = {
    key: `threads-${threads}-1000-1000-200000-${records}-v${DATA_VERSION}`,
    prepare: (folder) => prepareThreads(folder, { ...size, threads: Math.max(2, threads) }),
  };
  return place(`growth-threads-${threads}`, [
    job('dropcast', data, 'threads replay', 12, 0, { pods: 1000, policies: 1000, records, threads }),
  ]);
}

function place(name: string, contenders: readonly Contender[]): Row {
  return { name, title: name, contenders, goals: [] };
}
