/** `dropcast replay`: manifests and traces in, forecast out. */
import type { ReplayMode, ReplayResult } from '../replay/result.ts';
import type { ReplayFormat } from '../report/replay.ts';
import { formatCounted } from '../report/quantity.ts';
import { missesPods } from '../report/replay-text.ts';
import { type ClusterOptions, readCluster } from './cluster.ts';
import { ExitCode, type FailCondition, Refusal, incompleteReasons, judgeReplay } from './exit.ts';
import { affordThreads } from './memory.ts';
import { type Io, colorOf } from './terminal.ts';
import type { Crew, SharedReading } from './thread.ts';
import { columnarHeadOf, optionsOf, readTraces, sizesOf, type TraceFlags } from './trace-input.ts';

/** Flags as parsed; see `dropcast replay --help`. */
export interface ReplayFlags extends ClusterOptions, TraceFlags {
  readonly output: ReplayFormat;
  readonly top: number;
  readonly failOn?: readonly FailCondition[];
  readonly maxMalformed: number;
  readonly conntrackMax?: number;
  readonly threads: number;
  readonly stateless?: true;
  readonly packets?: true;
  readonly invalid: 'count' | 'drop';
}

/** Runs the command and returns its exit code; throws `Refusal` where it cannot begin. */
export async function runReplay(traces: readonly string[], flags: ReplayFlags, io: Io): Promise<ExitCode> {
  checkFlags(traces, flags);
  const shared = readingToShare(traces, flags, io);
  const wanted = Math.min(flags.threads, shared?.shards?.shards ?? Infinity);
  const threads = shared === undefined ? 1 : affordThreads(wanted);
  if (shared !== undefined && threads < wanted)
    await io.stderr.write(
      `dropcast: ${formatCounted(threads, 'thread')} instead of ${wanted}: the address space is limited (ulimit -v)\n`,
    );
  const crew = shared && threads > 1 ? (await import('./thread.ts')).recruit(threads) : undefined;
  try {
    return await replayTraces(traces, flags, io, crew && { crew, ...shared! });
  } finally {
    crew?.dismiss();
  }
}

/**
 * Bytes of the columnar trace, in shards or without, from which on two threads are done sooner than one: with fewer, beginning and putting parts
 * together take longer than is won. Tests of threads lower them before the program is loaded.
 */
const { DROPCAST_SHARED_BYTES: LOWERED_BYTES } = globalThis as { DROPCAST_SHARED_BYTES?: number };
const SHARDED_BYTES = LOWERED_BYTES ?? 2 ** 27;
const WHOLE_BYTES = LOWERED_BYTES ?? 3 * 2 ** 29;

/** What threads share, as far as it is known before the reading begins. */
type Shared = Pick<SharedReading, 'sizes' | 'shards'>;

/**
 * What is known of the traces where several threads replay them: they are asked to, can, since each reads by itself what a pipe gives once, and it
 * pays: text, and rows of several traces, take longer to read than to track.
 */
function readingToShare(traces: readonly string[], flags: ReplayFlags, io: Io): Shared | undefined {
  // A full table gives up entries in an order that only one thread knows; a changing cluster is followed by one.
  if (flags.threads === 1 || flags.conntrackMax !== undefined || flags.snapshots !== undefined) return undefined;
  // Whose rules may come through a pipe, and are of text.
  if (flags.map !== undefined) return undefined;
  const sizes = sizesOf(traces, io);
  if (sizes?.length !== 1 || sizes[0]! < SHARDED_BYTES) return undefined;
  const head = columnarHeadOf(traces[0]!, io);
  // Who leaves rows out has to see them all.
  const isInShards = head !== undefined && head.shards > 1 && flags.since === undefined && flags.until === undefined;
  if (head === undefined || (!isInShards && sizes[0]! < WHOLE_BYTES)) return undefined;
  return { sizes, shards: isInShards ? head : undefined };
}

async function replayTraces(
  traces: readonly string[],
  flags: ReplayFlags,
  io: Io,
  shared: (Shared & { readonly crew: Crew }) | undefined,
): Promise<ExitCode> {
  const cluster = await readCluster(flags, io);
  const [{ compile }, { createReplay }, { createDictionary }, { formatReplay }] = await Promise.all([
    import('../compile/compile.ts'),
    import('../replay/replay.ts'),
    import('../model/flow.ts'),
    import('../report/replay.ts'),
  ]);
  const { snapshot, policies, baseline, dialect, redact, timeline } = cluster;
  const dictionary = createDictionary();
  const options = {
    program: compile(snapshot, policies, dialect),
    ...(baseline && { baseline: compile(snapshot, baseline, dialect) }),
    dictionary,
    mode: modeOf(flags),
    ...(flags.conntrackMax !== undefined && { conntrackMax: flags.conntrackMax }),
    invalid: flags.invalid,
    ...(timeline && { timeline }),
  };
  const how = await optionsOf(flags, io);
  const crew = shared?.crew.replay(options, { traces, flags, sizes: shared.sizes, shards: shared.shards }, io);
  const replay = crew ?? createReplay(options);
  const reading = await readTraces(
    traces,
    dictionary,
    { ...how, ...crew?.reading, arena: replay.arena },
    crew?.io ?? io,
    (batch, accounts, from, to) => replay.add(batch, accounts, from, to),
  );
  const isWhole = reading.end === 'finished' && reading.refusals.length === 0;
  // What the flags allow does not make a result incomplete: report and exit code say the same.
  const isComplete = isWhole && incompleteReasons(reading.accounts, flags.maxMalformed).length === 0;
  const result = await replay.finish(reading.accounts, { isComplete });
  await io.stdout.write(
    formatReplay(result, {
      format: flags.output,
      color: colorOf(io.stdout, io.env),
      top: flags.top,
      policyCount: policies.length,
      ...(baseline && { baselinePolicyCount: baseline.length }),
      ...(redact && { redact }),
    }),
  );
  const { code, sentences } = judgeReplay(result, {
    failOn: flags.failOn ?? [baseline === undefined ? 'drop' : 'new-drop'],
    maxMalformed: flags.maxMalformed,
    ...reading,
  });
  // Of what could not be read, the sentence says so.
  const silence = reading.refusals.length === 0 ? silenceOf(result) : undefined;
  if (silence !== undefined) await io.stderr.write(`dropcast: ${silence}\n`);
  // What could not be read is told with its name; the rest is numbers.
  const isSecret = redact !== undefined && code === ExitCode.Refused;
  for (const sentence of isSecret ? ['an input could not be read whole: the accounting shows which'] : sentences)
    await io.stderr.write(`dropcast: ${sentence}\n`);
  return code;
}

/** Why a replay of this traffic says nothing: no exit code of its own, but a gate that passes on it shall not do so unheard. */
function silenceOf(result: ReplayResult): string | undefined {
  if (result.rows === 0) return 'no record was replayed: this says nothing about the policies';
  if (missesPods(result) === undefined) return undefined;
  return 'no connection touches a pod of the input: this says nothing about the policies';
}

function modeOf({ packets, stateless }: ReplayFlags): ReplayMode {
  if (packets) return 'packets';
  return stateless ? 'stateless' : 'connections';
}

function checkFlags(traces: readonly string[], flags: ReplayFlags): void {
  const stdins = [...flags.file, ...(flags.baseline ?? []), ...traces].filter((path) => path === '-').length;
  if (stdins > 1) throw new Refusal('stdin (-) can be read once, as manifests or as a trace');
  if (flags.packets && flags.stateless)
    throw new Refusal('--packets and --stateless exclude each other: the one tracks connections, the other does not');
  if (flags.failOn?.includes('new-drop') && (flags.baseline ?? []).length === 0)
    throw new Refusal('--fail-on new-drop needs a --baseline to compare with');
}
