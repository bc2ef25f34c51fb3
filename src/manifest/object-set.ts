/**
 * The set of the objects that were accepted, by kind, namespace and name: one of a later group replaces, a duplicate is refused, what
 * is removed must be there. load.ts fills it, snapshot.ts makes a cluster of it.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Policy, Position } from '../model/policy.ts';
import type { ManifestFile, LoadOptions } from './load.ts';
import type { RawMeta } from './meta.ts';
import { findNearest } from './nearest.ts';
import { KINDS } from './schema.ts';
import { type Finding, type Path, type SourceDocument, diagnose, diagnoseFile, positionOf } from './source.ts';
import { objectKey } from './workload.ts';

/** One object and where it stands in its document. */
export interface Unit {
  readonly document: SourceDocument;
  readonly path: Path;
  readonly file: ManifestFile;
}

/** An accepted object. */
export interface Entry extends Unit {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly meta: RawMeta;
  readonly raw: unknown;
  /** Of policies: read at once, while the places of the object are at hand. */
  readonly policy?: Policy;
}

/** What is being loaded: the set by `objectKey`, and what was said and passed over on the way. */
export interface Load {
  readonly options: LoadOptions;
  readonly diagnostics: Diagnostic[];
  readonly entries: Map<string, Entry>;
  readonly skipped: Map<string, number>;
  /** How many names were made of generateName. */
  generated: number;
}

/** As kubectl abbreviates. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  ns: 'Namespace',
  po: 'Pod',
  no: 'Node',
  svc: 'Service',
  rc: 'ReplicationController',
  deploy: 'Deployment',
  rs: 'ReplicaSet',
  sts: 'StatefulSet',
  ds: 'DaemonSet',
  cj: 'CronJob',
  netpol: 'NetworkPolicy',
};

/** Adds an object; says where it takes the place of another one, and refuses a second one of the same `-f`. */
export function addEntry(load: Load, entry: Entry): void {
  const key = objectKey(entry.kind, entry.namespace, entry.name);
  const before = load.entries.get(key);
  const object = `${entry.kind} ${entry.namespace === '' ? '' : `${entry.namespace}/`}${entry.name}`;
  if (before === undefined) {
    load.entries.set(key, entry);
    return;
  }
  const first = placeOf(before, []);
  if (before.file.group === entry.file.group) {
    report(load, entry, [], 'value', {
      severity: 'error',
      code: 'duplicate-object',
      message: `${object} is already defined at ${first.file}:${first.line}`,
      object,
    });
    return;
  }
  load.entries.set(key, entry);
  report(load, entry, [], 'value', {
    severity: 'note',
    code: 'replaced-object',
    message: `${object} replaces the one at ${first.file}:${first.line}`,
    object,
  });
}

/** Takes an object out: `--delete KIND/NAMESPACE/NAME`, or without a namespace the default one, or none. */
export function removeObject(load: Load, target: string): void {
  const parts = target.split('/');
  const [kindText = ''] = parts;
  const lower = kindText.toLowerCase();
  const kind =
    [...KINDS.keys()].find((name) =>
      [name.toLowerCase(), `${name.toLowerCase()}s`, name.toLowerCase().replace(/y$/, 'ies')].includes(lower),
    ) ?? (Object.hasOwn(SHORT_NAMES, lower) ? SHORT_NAMES[lower] : undefined);
  const isCluster = kind !== undefined && KINDS.get(kind)!.scope === 'cluster';
  const namespace = isCluster ? '' : parts.length === 3 ? parts[1]! : load.options.namespace;
  const name = parts.at(-1) ?? '';
  const isForm = (parts.length === 2 || (parts.length === 3 && !isCluster)) && !parts.includes('');
  if (kind !== undefined && isForm && load.entries.delete(objectKey(kind, namespace, name))) return;
  const nearKind = kind === undefined ? findNearest(kindText, [...KINDS.keys()]) : undefined;
  const near =
    kind === undefined
      ? undefined
      : findNearest(
          name,
          [...load.entries.values()]
            .filter((entry) => entry.kind === kind && entry.namespace === namespace)
            .map((entry) => entry.name),
        );
  const hint = !isForm
    ? 'the form is KIND/NAMESPACE/NAME, or KIND/NAME'
    : nearKind !== undefined
      ? `did you mean "${nearKind}"?`
      : near === undefined
        ? undefined
        : `did you mean "${near}"?`;
  load.diagnostics.push(
    diagnoseFile('--delete', {
      severity: 'error',
      code: 'nothing-to-delete',
      message: `${target} names no object of the input`,
      ...(hint === undefined ? {} : { hint }),
    }),
  );
}

/** Where a part of an object stands in its file. */
export function placeOf(unit: Unit, path: Path): Position {
  return positionOf(unit.document.source, unit.document.locate([...unit.path, ...path], 'value').start);
}

/** Says something of a part of an object, with the line that it stands in. */
export function report(load: Load, unit: Unit, path: Path, part: 'key' | 'value', finding: Finding): void {
  const span = unit.document.locate([...unit.path, ...path], part);
  // Of a whole object only its beginning is marked.
  load.diagnostics.push(
    diagnose(unit.document.source, path.length === 0 ? { start: span.start, end: span.start + 1 } : span, finding),
  );
}
