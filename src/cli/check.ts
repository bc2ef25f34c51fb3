/** `dropcast check`: validates manifests and prints everything that was found. */
import { readManifests } from './input.ts';
import { type ClusterOptions, readDialect } from './cluster.ts';
import { ExitCode, Refusal } from './exit.ts';
import { type Io, colorOf } from './terminal.ts';
import { createRedact } from './pseudonym.ts';

/** Flags as parsed; see `dropcast check --help`. */
export interface CheckFlags extends ClusterOptions {
  readonly output: 'text' | 'json';
}

/** Runs the command: 2 where a manifest is refused. Diagnostics are the result here, so they go to stdout. */
export async function runCheck(flags: CheckFlags, io: Io): Promise<ExitCode> {
  // No verdict is asked for, but what another command would refuse must not pass here.
  readDialect(flags.dialect);
  if (flags.file.length === 0) throw new Refusal('no manifests: name a file, a folder or - with -f');
  const [{ loadManifests }, { findEmptySelections }, { formatCheck }, { diagnosticCountsText }] = await Promise.all([
    import('../manifest/load.ts'),
    import('../manifest/selection.ts'),
    import('../report/check.ts'),
    import('../report/diagnostic.ts'),
  ]);
  const files = await readManifests(flags.file, io);
  const { namespace, validate } = flags;
  const read = loadManifests(files, { namespace, validate, remove: flags.delete });
  const loaded = {
    ...read,
    diagnostics: [...read.diagnostics, ...findEmptySelections(read.snapshot, read.policies)],
  };
  await io.stdout.write(
    formatCheck(loaded, {
      format: flags.output,
      color: colorOf(io.stdout, io.env),
      ...(flags.redact && { redact: createRedact(files.map(({ text }) => text)) }),
    }),
  );
  if (!loaded.diagnostics.some(({ severity }) => severity === 'error')) {
    if (loaded.objects.size > 0) return ExitCode.Fine;
    await io.stderr.write('dropcast: no object in the manifests: an empty check proves nothing\n');
    return ExitCode.Refused;
  }
  await io.stderr.write(`dropcast: the manifests are refused: ${diagnosticCountsText(loaded.diagnostics)}\n`);
  return ExitCode.Refused;
}
