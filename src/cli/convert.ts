/** `dropcast convert`: any trace that dropcast reads, written in one of its own formats. */
import type { Dictionary, FlowBatch } from '../model/flow.ts';
import { closeSync, openSync, realpathSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Sharder } from '../trace/binary-shard.ts';
import type { WritableFormat } from '../trace/write.ts';
import { ExitCode, Refusal, incompleteReasons } from './exit.ts';
import { refuseSystem } from './input.ts';
import { type Io, type Sink, colorOf } from './terminal.ts';
import { checkFields, openTraces, readMapping, readTraces, windowOf } from './trace-input.ts';

/** Flags as parsed; see `dropcast convert --help`. */
export interface ConvertFlags {
  readonly output?: string;
  readonly to?: WritableFormat;
  readonly format?: string;
  readonly map?: string;
  readonly fields?: string;
  readonly since?: string;
  readonly until?: string;
  readonly shards?: number;
  readonly maxMalformed: number;
  readonly explain?: true;
}

/** Endings of file names that say which format is meant. */
const ENDINGS: readonly (readonly [string, WritableFormat])[] = [
  ['.ndjson', 'ndjson'],
  ['.jsonl', 'ndjson'],
  ['.csv', 'csv'],
];

/** Runs the command. The output file appears whole or not at all; what was read is said on stderr. */
export async function runConvert(inputs: readonly string[], flags: ConvertFlags, io: Io): Promise<ExitCode> {
  const { output, explain } = flags;
  if (explain && (output === undefined || output === 'text' || output === 'json'))
    return explainInputs(inputs, flags, output ?? 'text', io);
  if (output === undefined) throw new Refusal('name where to write with -o FILE, or - for stdout');
  return convertInputs(inputs, { ...flags, output }, io);
}

/** How the beginning of each input is understood, on stdout: 2 where one is not. */
async function explainInputs(
  inputs: readonly string[],
  flags: ConvertFlags,
  format: 'text' | 'json',
  io: Io,
): Promise<ExitCode> {
  const [{ explainTrace }, { formatTraceExplanations }] = await Promise.all([
    import('../trace/explain.ts'),
    import('../report/trace-explanation.ts'),
  ]);
  const mapping = flags.map === undefined ? undefined : await readMapping(flags.map, io);
  const explanations = [];
  for (const { source, options } of openTraces(inputs, io))
    explanations.push(
      await explainTrace(source, {
        ...options,
        ...(flags.format !== undefined && { format: flags.format }),
        ...(mapping && { mapping }),
        ...(flags.fields !== undefined && { fields: checkFields(flags.fields) }),
      }),
    );
  await io.stdout.write(formatTraceExplanations(explanations, { format, color: colorOf(io.stdout, io.env) }));
  const isRefused = explanations.some(({ account }) =>
    account.diagnostics.some(({ severity }) => severity === 'error'),
  );
  return isRefused ? ExitCode.Refused : ExitCode.Fine;
}

async function convertInputs(
  inputs: readonly string[],
  flags: ConvertFlags & { readonly output: string },
  io: Io,
): Promise<ExitCode> {
  const to = flags.to ?? ENDINGS.find(([ending]) => flags.output.endsWith(ending))?.[1];
  if (to === undefined) throw new Refusal('name the format with --to ndjson|csv|binary');
  if (to === 'binary' && flags.output === '-' && io.stdout.isTTY)
    throw new Refusal('a binary trace would garble the terminal; name a file with -o');
  if (flags.shards !== undefined && to !== 'binary') throw new Refusal('--shards is of the binary format: --to binary');
  const place = flags.output === '-' ? undefined : placeOf(resolve(io.cwd, flags.output), flags.output);
  if (place !== undefined && inputs.some((input) => input !== '-' && realPathOf(resolve(io.cwd, input)) === place.path))
    throw new Refusal('the output is one of the inputs');
  const [{ createDictionary }, { createWriter }] = await Promise.all([
    import('../model/flow.ts'),
    import('../trace/write.ts'),
  ]);
  const mapping = flags.map === undefined ? undefined : await readMapping(flags.map, io);
  const dictionary = createDictionary();
  const writer = createWriter(to, dictionary, flags.shards === undefined ? undefined : await sharderOf(flags.shards));
  const target = place === undefined ? sinkTarget(io.stdout) : fileTarget(place, flags.output);
  let rows = 0;
  const losses = { quotes: 0, sctp: 0, labels: 0, names: 0, policies: 0 };
  try {
    const reading = await readTraces(
      inputs,
      dictionary,
      {
        order: 'given',
        ...(flags.format !== undefined && { format: flags.format }),
        ...(mapping && { mapping }),
        ...(flags.fields !== undefined && { fields: checkFields(flags.fields) }),
        ...windowOf(flags),
      },
      io,
      async (batch) => {
        rows += batch.count;
        if (to === 'csv') countLosses(losses, batch, dictionary);
        await target.write(writer.write(batch));
      },
    );
    await target.write(writer.end());
    target.finish(reading.refusals.length === 0 ? 'keep' : 'discard');
    const lost = describeLosses(losses);
    if (lost !== '') await io.stderr.write(`dropcast: CSV has no columns for ${lost}; ndjson and binary keep them\n`);
    return await reportConversion(reading, rows, flags, io);
  } catch (error) {
    target.finish('discard');
    throw error;
  }
}

async function sharderOf(shards: number): Promise<Sharder> {
  const [{ shardOf }, { Clock }] = await Promise.all([import('../replay/share.ts'), import('../track/clock.ts')]);
  return { shards, shardOf: (batch, row) => shardOf(shards, batch, row), clock: new Clock() };
}

/** What CSV has no columns for (docs/traces.md), in rows. */
interface Losses {
  quotes: number;
  sctp: number;
  labels: number;
  names: number;
  policies: number;
}

function countLosses(losses: Losses, batch: FlowBatch, { endpoints }: Dictionary): void {
  const hasLabels = (endpoint: number): boolean => (endpoints[endpoint]?.labels?.size ?? 0) > 0;
  const hasName = (endpoint: number): boolean => endpoint !== 0 && endpoints[endpoint]!.kind !== 'pod';
  for (let row = 0; row < batch.count; row++) {
    if (batch.quote[row]! >= 0) losses.quotes++;
    if (batch.sctpChunks[row]! !== 0) losses.sctp++;
    if (hasLabels(batch.srcEndpoint[row]!) || hasLabels(batch.dstEndpoint[row]!)) losses.labels++;
    if (hasName(batch.srcEndpoint[row]!) || hasName(batch.dstEndpoint[row]!)) losses.names++;
    if (batch.policies[row]! !== 0) losses.policies++;
  }
}

function describeLosses({ quotes, sctp, labels, names, policies }: Losses): string {
  const parts: [number, string][] = [
    [quotes, 'the packets that ICMP errors quote'],
    [sctp, 'SCTP chunks and tags'],
    [labels, 'labels'],
    [names, 'names of ends that are no pods'],
    [policies, 'recorded policies'],
  ];
  return parts.flatMap(([count, what]) => (count === 0 ? [] : [`${what} (${count} rows)`])).join(', ');
}

async function reportConversion(
  { accounts, refusals, end }: Awaited<ReturnType<typeof readTraces>>,
  rows: number,
  flags: ConvertFlags,
  io: Io,
): Promise<ExitCode> {
  const { formatAccounts } = await import('../report/account-text.ts');
  const extent = flags.explain ? 'explained' : 'brief';
  await io.stderr.write(formatAccounts(accounts, rows, { extent, color: colorOf(io.stderr, io.env) }));
  if (refusals.length > 0) {
    await io.stderr.write(`dropcast: ${refusals.join('; ')}\n`);
    return ExitCode.Refused;
  }
  const reasons = incompleteReasons(accounts, flags.maxMalformed);
  const advice = flags.explain || reasons.length === 0 ? '' : ' (--explain says which)';
  if (end === 'interrupted') reasons.unshift('interrupted');
  if (reasons.length === 0) return ExitCode.Fine;
  await io.stderr.write(`dropcast: the output is incomplete: ${reasons.join('; ')}${advice}\n`);
  return ExitCode.Incomplete;
}

interface Target {
  write(bytes: Uint8Array): Promise<void>;
  finish(fate: 'keep' | 'discard'): void;
}

function sinkTarget(sink: Sink): Target {
  return {
    async write(bytes) {
      if (bytes.length > 0) await sink.write(bytes.slice());
    },
    finish() {},
  };
}

/** Where a file is written. */
interface Place {
  readonly path: string;
  /** A device or a pipe is written as it is: put in its place, a file would take it away from everybody. */
  readonly kind: 'file' | 'special';
}

function placeOf(path: string, shown: string): Place {
  const stat = refuseSystem(shown, () => statSync(path, { throwIfNoEntry: false }));
  if (stat?.isDirectory()) throw new Refusal(`${shown}: is a folder`);
  if (stat !== undefined && !stat.isFile()) return { path, kind: 'special' };
  return { path: realPathOf(path), kind: 'file' };
}

/** The path behind links; a path that is not there is itself. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function fileTarget({ path, kind }: Place, shown: string): Target {
  const written = kind === 'file' ? `${path}.partial` : path;
  const attempt = <T>(act: () => T): T => refuseSystem(shown, act);
  const file = attempt(() => openSync(written, 'w'));
  let state: 'open' | 'done' = 'open';
  return {
    write(bytes) {
      return attempt(() => {
        for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
        return Promise.resolve();
      });
    },
    finish(fate) {
      if (state === 'done') return;
      state = 'done';
      closeSync(file);
      if (kind === 'special') return;
      if (fate === 'keep') attempt(() => renameSync(written, path));
      else rmSync(written, { force: true });
    },
  };
}
