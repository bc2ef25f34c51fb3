/** `-f` and its companions: manifests to a snapshot and policies, with every diagnostic printed on stderr. */
import { type Dialect, DEFAULT_DIALECT, DIALECT_CHOICES } from '../model/dialect.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Policy } from '../model/policy.ts';
import type { Snapshot } from '../model/cluster.ts';
import type { Timeline } from '../model/timeline.ts';
import type { ManifestFile } from '../manifest/load.ts';
import type { Redact } from '../report/name.ts';
import { diagnosticCountsText, formatDiagnostic } from '../report/diagnostic.ts';
import { createTextNames } from '../report/name.ts';
import { Refusal } from './exit.ts';
import { readManifests } from './input.ts';
import { type Io, colorOf } from './terminal.ts';
import { createRedact } from './pseudonym.ts';

/** Options of every command that reads a cluster. */
export interface ClusterOptions {
  readonly file: readonly string[];
  readonly delete: readonly string[];
  readonly namespace: string;
  readonly validate: 'strict' | 'warn' | 'ignore';
  readonly baseline?: readonly string[];
  readonly dialect: readonly string[];
  readonly redact?: true;
  /** The cluster at other times. */
  readonly snapshots?: readonly string[];
}

/** A cluster as read. */
export interface Cluster {
  readonly snapshot: Snapshot;
  readonly policies: readonly Policy[];
  /** Policies of `--baseline`; undefined without it. */
  readonly baseline: readonly Policy[] | undefined;
  readonly dialect: Dialect;
  readonly redact: Redact | undefined;
  /** Of `--snapshots`; `snapshot` is then its first state. */
  readonly timeline?: Timeline;
}

/** Diagnostics other than errors that a command prints before it refers to `check`. */
const OTHERS_SHOWN = 20;

/** Reads the cluster of a command; throws `Refusal` where a manifest is refused. */
export async function readCluster(options: ClusterOptions, io: Io): Promise<Cluster> {
  const dialect = readDialect(options.dialect);
  if (options.file.length === 0) throw new Refusal('no manifests: name a file, a folder or - with -f');
  const { loadManifests } = await import('../manifest/load.ts');
  const files = await readManifests(options.file, io);
  const timed =
    options.snapshots === undefined
      ? undefined
      : await import('./timeline.ts').then(async ({ readTimedFiles, timelineOf }) => ({
          timelineOf,
          files: await readTimedFiles(options.snapshots!, io),
        }));
  const texts = [...files, ...(timed?.files ?? []).flatMap((one) => one.files)].map(({ text }) => text);
  const redact = options.redact ? createRedact(texts) : undefined;
  const { namespace, validate } = options;
  const candidate = loadManifests(files, { namespace, validate, remove: options.delete });
  const diagnostics = [...candidate.diagnostics];
  let baseline: readonly Policy[] | undefined;
  if (options.baseline !== undefined && options.baseline.length > 0) {
    const before: ManifestFile[] = await readManifests(options.baseline, io, { take: 'policies' });
    const loaded = loadManifests(before, { namespace, validate, remove: [] });
    const { namespaces } = candidate.snapshot;
    const known = new Set(namespaces.map(({ name }) => name));
    // The baseline has policies alone: their namespaces are those of the candidate's cluster.
    diagnostics.push(
      ...loaded.diagnostics.filter(
        ({ code, object }) => code !== 'unknown-namespace' || !known.has(object?.split(' ')[1]?.split('/')[0] ?? ''),
      ),
    );
    baseline = loaded.policies;
  }
  const followed = timed?.timelineOf(candidate.snapshot, timed.files, { namespace, validate, remove: [] });
  diagnostics.push(...(followed?.diagnostics ?? []));
  await printDiagnostics(diagnostics, io, redact);
  refuseErrors(diagnostics);
  const { policies } = candidate;
  if (followed === undefined) return { snapshot: candidate.snapshot, policies, baseline, dialect, redact };
  const { timeline } = followed;
  return { snapshot: timeline.snapshotAt(0), policies, baseline, dialect, redact, timeline };
}

/** Prints errors, all of them, and the first of the others. */
export async function printDiagnostics(diagnostics: readonly Diagnostic[], io: Io, redact?: Redact): Promise<void> {
  const color = colorOf(io.stderr, io.env);
  const names = createTextNames(redact);
  const others = diagnostics.filter(({ severity }) => severity !== 'error');
  const hidden = new Set(others.slice(OTHERS_SHOWN));
  for (const diagnostic of diagnostics)
    if (!hidden.has(diagnostic)) await io.stderr.write(`${formatDiagnostic(diagnostic, { color, names })}\n`);
  if (hidden.size > 0)
    await io.stderr.write(`and ${hidden.size} more warnings and notes; dropcast check shows them all\n`);
}

/** Throws `Refusal` where an error is among the diagnostics. */
export function refuseErrors(diagnostics: readonly Diagnostic[]): void {
  if (diagnostics.some(({ severity }) => severity === 'error'))
    throw new Refusal(`the manifests are refused: ${diagnosticCountsText(diagnostics)}`);
}

/** `--dialect KEY=VALUE`, each knob of `DIALECT_CHOICES`. */
export function readDialect(settings: readonly string[]): Dialect {
  const knobs = new Map<string, unknown>();
  for (const setting of settings) {
    const at = setting.indexOf('=');
    const key = setting.slice(0, Math.max(0, at));
    if (!Object.hasOwn(DIALECT_CHOICES, key))
      throw new Refusal(
        `--dialect: "${setting}" is not KEY=VALUE with a known key; there are ${Object.keys(DIALECT_CHOICES).join(', ')}`,
      );
    const choices: readonly unknown[] = DIALECT_CHOICES[key as keyof typeof DIALECT_CHOICES];
    const value = choices.find((choice) => String(choice) === setting.slice(at + 1));
    if (value === undefined) throw new Refusal(`--dialect: ${key} is one of ${choices.join(', ')}`);
    knobs.set(key, value);
  }
  if (knobs.size === 0) return DEFAULT_DIALECT;
  return { ...DEFAULT_DIALECT, ...(Object.fromEntries(knobs) as Partial<Dialect>), name: 'custom' };
}
