/** What a figure depends on beside the code: printed and kept with every result, because absolute figures hold nowhere else. */
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

/** The machine and its load when a run began. */
export interface Environment {
  readonly date: string;
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  /** Load averages over 1, 5 and 15 minutes: other work on the machine is noise in every figure. */
  readonly load: readonly number[];
}

/** The environment now. */
export function readEnvironment(): Environment {
  return {
    date: new Date().toISOString(),
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    load: loadavg().map((value) => Math.round(value * 100) / 100),
  };
}

/** One line for people. */
export function formatEnvironment({ date, node, platform, cpu, cores, memoryGib, load }: Environment): string {
  return `${date}, Node ${node}, ${platform}, ${cpu}, ${cores} cores, ${memoryGib} GiB, load ${load.join(' ')}`;
}
