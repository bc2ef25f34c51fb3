/** The rows of whole processes, and of what is done once in a process: threads, traces of text, start, YAML, compilation. */
import { writeFileSync } from 'node:fs';
import {
  cliReason,
  command,
  DATA_VERSION,
  divide,
  hasThreads,
  job,
  needsPeers,
  ratio,
  type Scale,
  size,
} from './entry.ts';
import type { ReplaySize } from './replay.ts';
import type { Contender, Data, Look, Row } from './row.ts';
import { prepareThreads } from './thread.ts';
import {
  cliPath,
  type HubbleSize,
  prepareHubble,
  prepareVpc,
  replayAtOnce,
  replayProcess,
  startProcess,
  type VpcSize,
} from './whole.ts';

/** A number for each scale. */
export type Pick = (full: number, quick: number, test: number) => number;

/** The rows at a scale. */
export function makeProcessRows(scale: Scale, pick: Pick): Row[] {
  const pods = pick(10_000, 1000, 100);
  const long = {
    pods: pick(1000, 1000, 60),
    policies: pick(1000, 200, 40),
    connections: pick(500_000, 100_000, 300),
    records: pick(16_000_000, 2_000_000, 6000),
  };
  return [
    threadRow(long),
    wholeThreadRow(long, scale),
    hubbleRow({ pods: pick(1000, 200, 60), policies: pick(200, 100, 20), bytes: pick(500e6, 50e6, 500_000) }, scale),
    vpcRow(
      { pods: pick(2000, 1000, 60), policies: pick(10_000, 1000, 40), records: pick(1_000_000, 100_000, 2000) },
      pick(1000, 1000, 500),
      scale,
    ),
    startRow(scale),
    yamlRow({ pods: pick(2000, 1000, 60), policies: pick(10_000, 1000, 40), records: 2000 }, scale),
    compileRow('compile-10k', { pods, policies: pods, adversarial: 0 }, 0.6, 16),
    compileRow('compile-adversarial', { pods, policies: pods, adversarial: 1 }, 1.2, 16),
    ...(scale === 'full'
      ? [compileRow('compile-100k', { pods: 100_000, policies: 75_000, adversarial: 0 }, 30, 4096)]
      : []),
  ];
}

/** V8 compiles on the second processor for the first seconds. */
const THREAD_PASSES = 16;

/** Two threads, pass after pass in one process, as the row of one thread has it. */
function threadRow(size: ReplaySize): Row {
  const data: Data = {
    key: `threads-${size.pods}-${size.policies}-${size.connections}-${size.records}-v${DATA_VERSION}`,
    prepare: (folder) => prepareThreads(folder, { ...size, threads: 2 }),
  };
  const { pods, policies, records } = size;
  const threads = (count: number, name: string): Contender => ({
    ...job(name, data, 'threads replay', THREAD_PASSES, 0, { pods, policies, records, threads: count }),
    start: { kind: 'job', job: 'threads replay', needs: 'process' },
  });
  return {
    name: 'threads',
    title: `stateful replay, two threads, ${size.records.toLocaleString('en')} records`,
    contenders: [threads(1, 'one'), threads(2, 'two')],
    goals: [
      { ...ratio('two', 'one', 1.8), text: 'x one thread' },
      { text: 'million records/s, two', figure: (look) => divide(look('two')?.rate, 1e6) },
    ],
    note: 'By the clock, from a trace in memory to the sums of each group: one thread reads the trace as it came, two read the same trace in shards, each its own.',
  };
}

/** The same as whole processes, where V8 begins and compiles on the second processor beside one thread. */
function wholeThreadRow(size: ReplaySize, scale: Scale): Row {
  const world = (records: number): Data => {
    const own = { ...size, records, connections: Math.min(size.connections, records) };
    return {
      key: `threads-${own.pods}-${own.policies}-${own.connections}-${records}-v${DATA_VERSION}`,
      prepare: (folder) => prepareThreads(folder, { ...own, threads: 2 }),
    };
  };
  const threads = (count: number, name: string, data: Data): Contender => ({
    ...command(
      name,
      data,
      count === 1 ? replayProcess('trace.bin') : replayProcess('shards.bin', ['--threads', String(count)]),
      scale,
    ),
    absent: () => cliReason(scale) ?? (count > 1 && !hasThreads() ? 'dropcast replay has no --threads' : undefined),
  });
  // Two processes that have nothing in common but the machine: what it gives to two threads at most.
  const both = (name: string, data: Data): Contender =>
    command(name, data, replayAtOnce(2, replayProcess('trace.bin')), scale);
  const long = world(size.records);
  const short = world(2000);
  // What every process does once is taken off: it is measured on a trace that is next to nothing.
  const own = (look: Look, name: string): number | undefined => {
    const [whole, start] = [look(name), look(`${name}, start`)];
    if (whole === undefined || start === undefined) return undefined;
    // On a machine so busy that the start outlasts the replay, nothing has been measured.
    return whole.seconds > start.seconds ? whole.seconds - start.seconds : undefined;
  };
  return {
    name: 'whole-threads',
    title: `dropcast replay of ${size.records.toLocaleString('en')} records in shards, two threads`,
    contenders: [
      threads(1, 'one', long),
      threads(2, 'two', long),
      both('two processes', long),
      threads(1, 'one, start', short),
      threads(2, 'two, start', short),
      both('two processes, start', short),
    ],
    goals: [
      {
        text: 'x one thread, less the start',
        figure: (look) => divide(own(look, 'one'), own(look, 'two')),
      },
      {
        text: 'two processes at once, the same',
        figure: (look) => {
          const quotient = divide(own(look, 'one'), own(look, 'two processes'));
          return quotient === undefined ? undefined : 2 * quotient;
        },
      },
      { text: 's, one', figure: (look) => look('one')?.seconds },
      { text: 's, two', figure: (look) => look('two')?.seconds },
    ],
    note: 'Whole processes; less the start: less the time of the same command on 2,000 records. Two processes at once, each on all records, are what the machine gives to two threads that share nothing, their beginnings included.',
  };
}

function hubbleRow(size: HubbleSize, scale: Scale): Row {
  const data: Data = {
    key: `hubble-${size.pods}-${size.policies}-${size.bytes}-v${DATA_VERSION}`,
    prepare: (folder) => prepareHubble(folder, size),
  };
  return {
    name: 'hubble',
    title: `Hubble JSON Lines end to end, ${Math.round(size.bytes / 1e6)} MB`,
    contenders: [
      command('dropcast', data, replayProcess('flows.jsonl'), scale),
      job('JSON.parse', data, 'JSON.parse hubble', 1, 0),
      needsPeers(job('DuckDB', data, 'DuckDB hubble', 1, 0), scale),
    ],
    goals: [
      ratio('dropcast', 'JSON.parse', 4),
      ratio('dropcast', 'DuckDB'),
      { text: 'MB/s', figure: (look) => divide(size.bytes / 1e6, look('dropcast')?.seconds) },
    ],
    note: 'dropcast is the whole process, replay and report included; the loop only parses and fills columns, without its own start.',
  };
}

function vpcRow(size: VpcSize, judged: number, scale: Scale): Row {
  const { policies, records } = size;
  const data = vpcData(size);
  return {
    name: 'whole',
    title: `dropcast replay, ${policies.toLocaleString('en')} policies of YAML, ${records.toLocaleString('en')} VPC records`,
    contenders: [
      command('dropcast', data, replayProcess('vpc.log'), scale),
      job('obvious', data, 'obvious vpc', 1, 0, { records, judged }),
      needsPeers(job('DuckDB', data, 'DuckDB vpc', 1, 0), scale),
    ],
    goals: [
      { text: 's', atMost: 2.5, figure: (look) => look('dropcast')?.seconds },
      ratio('dropcast', 'obvious'),
      ratio('dropcast', 'DuckDB'),
    ],
    note: `The whole process. The obvious implementation (yaml, split, every rule walked) judges ${judged.toLocaleString('en')} records, and that part of its time is scaled to all of them; DuckDB only reads the log.`,
  };
}

function startRow(scale: Scale): Row {
  const data: Data = { key: 'start', prepare: (folder) => writeFileSync(`${folder}/empty.cjs`, '') };
  const start = (name: string, argv: readonly string[]): Contender =>
    command(name, data, startProcess(argv, scale === 'test' ? 1 : 10), scale);
  return {
    name: 'start',
    title: 'start of the command line',
    contenders: [
      start('empty node', ['empty.cjs']),
      start('--version', [cliPath(), '--version']),
      start('--help', [cliPath(), '--help']),
    ],
    goals: ['--version', '--help'].map((name) => ({
      text: `${name} x empty node`,
      atMost: 1.4,
      figure: (look) => divide(look(name)?.seconds, look('empty node')?.seconds),
    })),
    note: 'The fastest of the last five of ten starts in each round.',
  };
}

function yamlRow(size: VpcSize, scale: Scale): Row {
  const data = vpcData(size);
  return {
    name: 'yaml',
    title: `YAML of ${size.policies.toLocaleString('en')} policies`,
    contenders: [
      job('plain', data, 'own yaml', 4, 0),
      job('yaml', data, 'yaml yaml', 2, 0),
      needsPeers(job('js-yaml', data, 'js-yaml yaml', 2, 0), scale),
    ],
    goals: [ratio('bulk', 'yaml', 15), ratio('bulk', 'js-yaml')],
    note: 'Characters of text a second, to plain values.',
  };
}

function vpcData(size: VpcSize): Data {
  return {
    key: `vpc-${size.pods}-${size.policies}-${size.records}-v${DATA_VERSION}`,
    prepare: (folder) => prepareVpc(folder, size),
  };
}

function compileRow(
  name: string,
  values: Readonly<Record<'pods' | 'policies' | 'adversarial', number>>,
  seconds: number,
  mebibytes: number,
): Row {
  const data: Data = { key: `nothing-${name}`, prepare: () => {} };
  const kind = values.adversarial === 1 ? ', one a pod' : '';
  return {
    name,
    title: `compile ${values.pods.toLocaleString('en')} pods x ${values.policies.toLocaleString('en')} policies${kind}`,
    contenders: [job('plain', data, 'compile', 1, 0, values)],
    goals: [{ text: 's', atMost: seconds, figure: (look) => look('plain')?.seconds }, size('plain', mebibytes)],
    note: 'A fresh process each time: code that is not yet optimised is part of it.',
  };
}
