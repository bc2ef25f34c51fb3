/** `--snapshots`: files and folders of several times -> a timeline, with everything that was found wrong. */
import { readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type LoadOptions, loadManifests, loadWatch, type ManifestFile, type WatchEvent } from '../manifest/load.ts';
import { momentInName, momentInText } from '../manifest/moment.ts';
import { createTimeline, type TimedSnapshot } from '../manifest/timeline.ts';
import type { Snapshot } from '../model/cluster.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Timeline } from '../model/timeline.ts';
import { Refusal } from './exit.ts';
import { readManifests, systemMessage } from './input.ts';
import type { Io } from './terminal.ts';

/** Texts of one time, or events that have their own. */
export interface TimedFiles {
  readonly path: string;
  readonly files: readonly ManifestFile[];
}

/** What a folder of snapshots may hold, beside folders. */
const SNAPSHOT_ENDINGS = ['.yaml', '.yml', '.json', '.jsonl', '.ndjson'];

/**
 * Reads what `--snapshots` names: a path whose name has a time is one snapshot; of any other folder each file and folder is one. Throws
 * `Refusal` where a path cannot be read.
 */
export async function readTimedFiles(paths: readonly string[], io: Io): Promise<TimedFiles[]> {
  const found: TimedFiles[] = [];
  for (const path of paths) {
    if (path === '-') throw new Refusal('--snapshots takes files and folders, not stdin (-)');
    for (const one of listSnapshots(path, io.cwd)) found.push({ path: one, files: await readManifests([one], io) });
  }
  return found;
}

/** The timeline of a base and what was read of other times. */
export function timelineOf(
  base: Snapshot,
  timed: readonly TimedFiles[],
  options: LoadOptions,
): { readonly timeline: Timeline; readonly diagnostics: readonly Diagnostic[] } {
  const snapshots: TimedSnapshot[] = [];
  const events: WatchEvent[] = [];
  const diagnostics: Diagnostic[] = [];
  const timeless: string[] = [];
  for (const { path, files } of timed) {
    const watch = files.length === 1 ? loadWatch(files[0]!, options) : undefined;
    if (watch !== undefined) {
      diagnostics.push(...watch.diagnostics);
      for (const event of watch.events) events.push(event);
      continue;
    }
    const inName = momentInName(basename(path));
    const times = files.map(({ text }) => momentInText(text));
    const timeUs = Number.isNaN(inName) ? (times.find((time) => !Number.isNaN(time)) ?? NaN) : inName;
    if (Number.isNaN(timeUs)) timeless.push(path);
    const loaded = loadManifests(files, options);
    // What has ended is no news in a list of what came and went.
    diagnostics.push(...loaded.diagnostics.filter(({ code }) => code !== 'terminated-pod'));
    snapshots.push({ timeUs, loaded });
  }
  if (timeless.length > 0)
    throw new Refusal(
      timeless
        .map(
          (path) => `--snapshots: ${path} has no time: neither in its name (RFC 3339) nor as first line "# time: ..."`,
        )
        .join('\n'),
    );
  return { timeline: createTimeline(base, snapshots, events), diagnostics };
}

function listSnapshots(path: string, cwd: string): string[] {
  const full = resolve(cwd, path);
  try {
    if (!statSync(full).isDirectory() || !Number.isNaN(momentInName(basename(full)))) return [path];
    const found = readdirSync(full, { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith('.'))
      .filter(
        (entry) => entry.isDirectory() || SNAPSHOT_ENDINGS.some((ending) => entry.name.toLowerCase().endsWith(ending)),
      )
      .map(({ name }) => join(path, name))
      .sort();
    if (found.length === 0)
      throw new Refusal(`--snapshots: ${path} holds no snapshots: no ${SNAPSHOT_ENDINGS.join(', ')} files`);
    return found;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(`${path}: ${systemMessage(error)} [unreadable-file]`);
  }
}
