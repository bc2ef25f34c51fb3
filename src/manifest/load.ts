/**
 * Manifest files -> snapshot and policies. Texts become documents, documents become objects (lists taken apart), each object is
 * decoded and validated on its own and goes into a set (object-set.ts), of which the snapshot is made (snapshot.ts). Every finding of
 * every document is kept; nothing throws on bad input.
 */
import type { Pod, Snapshot } from '../model/cluster.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { NAMESPACE_NAME_LABEL } from '../model/label.ts';
import type { Policy } from '../model/policy.ts';
import type { CidrReading } from './cidr.ts';
import {
  type RawNode,
  type RawPod,
  type RawService,
  checkNode,
  checkPod,
  checkPodSpec,
  checkService,
} from './cluster-object.ts';
import { checkAgainst } from './decode.ts';
import { explainJson, looksLikeJson, readJson } from './json-document.ts';
import { type RawMeta, checkLabels, checkMeta } from './meta.ts';
import { momentOfEvent } from './moment.ts';
import { findNearest } from './nearest.ts';
import { type RawNetworkPolicy, checkNetworkPolicy, readNetworkPolicy } from './network-policy.ts';
import { type Unit, type Load, addEntry, removeObject, placeOf, report } from './object-set.ts';
import { type Problem, invalid } from './problem.ts';
import { type Kind, KINDS } from './schema.ts';
import { buildSnapshot, podOf, warnOfNamespaceLabels } from './snapshot.ts';
import {
  type DocumentSet,
  type DuplicateKey,
  type Finding,
  type Path,
  createSource,
  diagnose,
  formatPath,
  positionOf,
} from './source.ts';
import { type RawWorkload, WORKLOAD_KINDS } from './workload.ts';
import { readYaml } from './yaml-document.ts';

/** One text to read. */
export interface ManifestFile {
  readonly path: string;
  readonly text: string;
  /** Index of the -f that named it: later groups replace earlier ones. */
  readonly group: number;
  /** `policies`: take policy objects only (for --baseline). */
  readonly take?: 'all' | 'policies';
}

/** How to read. */
export interface LoadOptions {
  /** For namespaced objects that name none. */
  readonly namespace: string;
  /** What unknown and duplicate fields are: errors, warnings, or nothing. */
  readonly validate: 'strict' | 'warn' | 'ignore';
  /** `KIND/NS/NAME` or `KIND/NAME`. */
  readonly remove: readonly string[];
  /** `strict`: the API server's StrictIPCIDRValidation. Default `legacy`. */
  readonly cidr?: CidrReading;
}

/** What was read. Objects with errors are left out; `diagnostics` says why. */
export interface Loaded {
  readonly snapshot: Snapshot;
  readonly policies: readonly Policy[];
  readonly diagnostics: readonly Diagnostic[];
  /** Kind -> count of the objects in the final set. */
  readonly objects: ReadonlyMap<string, number>;
  /** Kind (with its group, where it shares its name with a kind that is read) -> count of the objects passed over. */
  readonly skipped: ReadonlyMap<string, number>;
}

/** Reads a set of files into one snapshot; see the purpose above. */
export function loadManifests(files: readonly ManifestFile[], options: LoadOptions): Loaded {
  const load: Load = { options, diagnostics: [], entries: new Map(), skipped: new Map(), generated: 0 };
  for (const file of files) {
    const { documents, diagnostics } = readDocuments(file);
    load.diagnostics.push(...diagnostics);
    for (const document of documents) takeValue(load, { document, path: [], file }, document.value, undefined, 0);
  }
  for (const target of options.remove) removeObject(load, target);
  const entries = [...load.entries.values()];
  const objects = new Map<string, number>();
  for (const { kind } of entries) objects.set(kind, (objects.get(kind) ?? 0) + 1);
  const policies = entries.map(({ policy }) => policy).filter((policy) => policy !== undefined);
  const snapshot = buildSnapshot(load, entries);
  if (!objects.has('Namespace') && snapshot.pods.length > 0) warnOfNamespaceLabels(load, policies);
  return { snapshot, policies, diagnostics: sortDiagnostics(load.diagnostics, files), objects, skipped: load.skipped };
}

/** What a watch told of a pod. */
export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** When it became so, microseconds since 1970; see `momentOfEvent`. */
  readonly timeUs: number;
  readonly pod: Pod;
}

/** Recorded watch events. */
export interface LoadedWatch {
  readonly events: readonly WatchEvent[];
  readonly diagnostics: readonly Diagnostic[];
  /** Kind, or type of event -> count of what was passed over: nothing but pods is followed. */
  readonly skipped: ReadonlyMap<string, number>;
}

/**
 * Reads what `kubectl get pods -A -w --output-watch-events -o json` prints, in the order of the text; undefined where the first document
 * is no event.
 */
export function loadWatch(file: ManifestFile, options: LoadOptions): LoadedWatch | undefined {
  const { documents, diagnostics: found } = readDocuments(file);
  if (documents[0] === undefined || eventType(documents[0].value) === undefined) return undefined;
  const diagnostics = [...found];
  const skipped = new Map<string, number>();
  const events: WatchEvent[] = [];
  for (const document of documents) {
    const load: Load = { options, diagnostics, entries: new Map(), skipped, generated: 0 };
    const type = eventType(document.value);
    if (type === undefined) {
      report(load, { document, path: [], file }, [], 'value', {
        severity: 'error',
        code: 'not-an-object',
        message: 'expected a watch event: an object with the members type and object',
      });
      continue;
    }
    if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') {
      skipped.set(type, (skipped.get(type) ?? 0) + 1);
      continue;
    }
    const { object, time } = document.value as { readonly object: unknown; readonly time?: unknown };
    const unit: Unit = { document, path: ['object'], file };
    takeValue(load, unit, object, undefined, 0);
    const timeUs = momentOfEvent({ type, time, object });
    for (const entry of load.entries.values()) {
      if (entry.kind !== 'Pod') skipped.set(entry.kind, (skipped.get(entry.kind) ?? 0) + 1);
      else if (Number.isNaN(timeUs))
        report(load, unit, [], 'value', {
          severity: 'error',
          code: 'required-value',
          message: 'the event has no time: neither a member "time" (RFC 3339 or seconds) nor one in its object',
          object: `Pod ${entry.namespace}/${entry.name}`,
        });
      else events.push({ type, timeUs, pod: podOf(entry, new Map()) });
    }
  }
  return { events, diagnostics, skipped };
}

/** The type of a watch event; undefined where a value is none. */
function eventType(value: unknown): string | undefined {
  if (!isRecord(value) || !isRecord((value as Record<string, unknown>)['object'])) return undefined;
  return textField(value as Record<string, unknown>, 'type');
}

/** Policy kinds of others: passing them over in silence would make a wrong forecast. */
const OTHER_POLICY_KINDS: ReadonlySet<string> = new Set([
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
]);

/** Groups that once served the kinds which are read. */
const OLD_GROUPS: ReadonlySet<string> = new Set([
  'extensions',
  'apps',
  'batch',
  'discovery.k8s.io',
  'networking.k8s.io',
  '',
]);

/** Lists inside lists beyond this are not followed. */
const DEEPEST_LIST = 5;

function readDocuments(file: ManifestFile): DocumentSet {
  const source = createSource(file.path, file.text);
  if (!looksLikeJson(source.text)) return readYaml(source, { isIgnored });
  const json = readJson(source);
  if (json !== undefined) return json;
  // Braces also begin YAML in flow style, and templates.
  const yaml = /\.json$/i.test(file.path) ? undefined : readYaml(source, { isIgnored });
  const isTemplate = yaml?.diagnostics.some(({ code }) => code === 'unrendered-template') ?? false;
  return yaml !== undefined && (yaml.documents.length > 0 || yaml.diagnostics.length === 0 || isTemplate)
    ? yaml
    : explainJson(source);
}

/** Kinds that `passOver` would do no more than count, whatever their version. */
function isIgnored(kind: string): boolean {
  if (KINDS.has(kind) || OTHER_POLICY_KINDS.has(kind) || findNearest(kind, ['NetworkPolicy']) !== undefined)
    return false;
  const lower = kind.toLowerCase();
  return ![...KINDS.keys()].some((name) => name.toLowerCase() === lower);
}

/** Takes one value: an object, a list of objects, or something else. `listType` is what a typed list gives its items. */
function takeValue(
  load: Load,
  unit: Unit,
  value: unknown,
  listType: { readonly apiVersion: string; readonly kind: string } | undefined,
  depth: number,
): void {
  if (value === null || value === undefined) return;
  if (Array.isArray(value) && depth < DEEPEST_LIST) {
    for (const [index, item] of value.entries())
      takeValue(load, { ...unit, path: [...unit.path, index] }, item, listType, depth + 1);
    return;
  }
  if (typeof value !== 'object' || Array.isArray(value)) {
    const found = Array.isArray(value) ? 'array' : typeof value;
    report(load, unit, [], 'value', {
      severity: 'error',
      code: 'not-an-object',
      message: `expected a Kubernetes object, found ${found}`,
    });
    return;
  }
  const object = value as Record<string, unknown>;
  const kind = textField(object, 'kind') ?? listType?.kind;
  const apiVersion = textField(object, 'apiVersion') ?? listType?.apiVersion;
  if (kind === undefined || kind === '') {
    report(load, unit, ['kind'], 'value', {
      severity: 'error',
      code: 'required-value',
      message: `Object 'Kind' is missing: expected a text such as "Pod"`,
      path: 'kind',
    });
    return;
  }
  if (kind.endsWith('List') && (Array.isArray(object['items']) || object['items'] === null) && depth < DEEPEST_LIST) {
    const itemKind = kind.slice(0, -'List'.length);
    const type = itemKind === '' || apiVersion === undefined ? undefined : { apiVersion, kind: itemKind };
    for (const [index, item] of ((object['items'] ?? []) as unknown[]).entries())
      takeValue(load, { ...unit, path: [...unit.path, 'items', index] }, item, type, depth + 1);
    return;
  }
  takeObject(load, unit, object, kind, apiVersion ?? '');
}

function takeObject(load: Load, unit: Unit, object: Record<string, unknown>, kind: string, apiVersion: string): void {
  const known = KINDS.get(kind);
  if (unit.file.take === 'policies' && !OTHER_POLICY_KINDS.has(kind)) return;
  if (known === undefined || known.apiVersion !== apiVersion) {
    passOver(load, unit, kind, apiVersion);
    return;
  }
  if (!isAcceptable(load, unit, object, kind, known)) return;
  const meta = (object['metadata'] ?? {}) as RawMeta;
  const namespace = known.scope === 'cluster' ? '' : (meta.namespace ?? '') || load.options.namespace; // RD-05
  // The API server appends five random characters; a running number is as good and stays the same.
  const name = (meta.name ?? '') || `${meta.generateName ?? ''}${String(++load.generated).padStart(5, '0')}`;
  const { document, path, file } = unit;
  const entry = { document, path, file, kind, namespace, name, meta, raw: object };
  if (kind !== 'NetworkPolicy') return addEntry(load, entry);
  const policy = readNetworkPolicy(object as RawNetworkPolicy, namespace, name, (own) => placeOf(unit, own));
  addEntry(load, { ...entry, policy });
}

/** Reports what is wrong with an object; false where the API server would refuse it. */
function isAcceptable(load: Load, unit: Unit, object: Record<string, unknown>, kind: string, known: Kind): boolean {
  const { validate } = load.options;
  const decoded = checkAgainst(known.schema, object);
  // Finding duplicates in JSON costs a scan of the object: it is done for policies, where a duplicate changes a verdict.
  const areKeysChecked = validate !== 'ignore' && (kind === 'NetworkPolicy' || unit.document.format === 'yaml');
  const duplicates = areKeysChecked ? unit.document.duplicates(unit.path) : [];
  const mistyped = decoded.filter(({ code }) => code === 'wrong-type').map(({ path }) => path);
  const readable = mistyped.length === 0 ? object : withoutFields(object, mistyped);
  const nameForm = kind === 'Namespace' || kind === 'Service' ? 'label' : 'subdomain';
  const ofMeta = checkMeta((readable['metadata'] ?? {}) as RawMeta, nameForm, known.scope);
  const ofKind = checkObject(kind, readable, load.options);
  if (decoded.length + duplicates.length + ofMeta.length + ofKind.length === 0) return true;

  const meta = (isRecord(object['metadata']) ? object['metadata'] : {}) as RawMeta;
  const label = `${kind} ${describeName(meta, known.scope, load.options.namespace)}`;
  let isAccepted = true;
  const add = (path: Path, part: 'key' | 'value', finding: Finding): void => {
    if (finding.severity === 'error') isAccepted = false;
    report(load, unit, path, part, { ...finding, path: formatPath(path), object: label });
  };
  const strictSeverity = validate === 'strict' ? 'error' : 'warning';
  for (const { code, message, path, hint } of decoded) {
    if (code === 'unknown-field' && validate === 'ignore') continue; // RD-07
    const isStrictOnly = code === 'unknown-field';
    add(path, isStrictOnly ? 'key' : 'value', {
      severity: isStrictOnly ? strictSeverity : 'error',
      code,
      message: isStrictOnly && validate === 'warn' ? `${message}; the field is dropped` : message,
      ...(hint === undefined ? {} : { hint }),
    });
  }
  if (duplicates.length > 0) {
    reportDuplicates(load, unit, duplicates, label);
    if (validate === 'strict') isAccepted = false;
  }
  for (const { path, part, ...finding } of [...ofMeta, ...ofKind])
    if (!mistyped.some((removed) => dependsOn(path, removed))) add(path, part ?? 'value', finding);
  return isAccepted;
}

/** A copy with null at the paths, each of which exists: what has the right type can then be validated all the same. */
function withoutFields(object: Record<string, unknown>, paths: readonly Path[]): Record<string, unknown> {
  const copy = structuredClone(object);
  for (const path of paths) {
    let parent = copy as Record<string | number, unknown>;
    for (const part of path.slice(0, -1)) parent = parent[part] as Record<string | number, unknown>;
    parent[path.at(-1)!] = null;
  }
  return copy;
}

/** Could a problem at `path` come of the field that was taken out at `removed`? Then it says nothing about what was written. */
function dependsOn(path: Path, removed: Path): boolean {
  const shared = Math.min(path.length, removed.length);
  if (removed.slice(0, shared).every((part, at) => part === path[at])) return true;
  const [last, cause] = [path.at(-1), removed.at(-1)];
  if (last === NAMESPACE_NAME_LABEL) return removed.length === 2 && removed[0] === 'metadata' && cause === 'name';
  return last === 'endPort' && cause === 'port' && removed.slice(0, -1).every((part, at) => part === path[at]);
}

/** RD-07: reports keys written twice. */
function reportDuplicates(load: Load, unit: Unit, duplicates: readonly DuplicateKey[], object: string): void {
  const { validate } = load.options;
  const hasJoined = duplicates.some(({ path }) => path.length === unit.path.length + 1 && path.at(-1) === 'apiVersion');
  for (const { path, span, first } of duplicates) {
    const inner = path.slice(unit.path.length);
    const { line } = positionOf(unit.document.source, first.start);
    const text = `duplicate field "${formatPath(inner)}": key ${JSON.stringify(String(path.at(-1)))} already set in map at line ${line}`;
    load.diagnostics.push(
      diagnose(unit.document.source, span, {
        severity: validate === 'strict' ? 'error' : 'warning',
        code: 'duplicate-field',
        message: validate === 'warn' ? `${text}; the last one wins` : text,
        path: formatPath(inner),
        object,
        hint:
          hasJoined && inner.length === 1
            ? 'another object begins after a line ---'
            : 'join the two, or begin a new list item with a dash',
      }),
    );
  }
}

/** Validation of one kind, beyond types and metadata. */
function checkObject(kind: string, object: unknown, options: LoadOptions): Problem[] {
  switch (kind) {
    case 'NetworkPolicy':
      return checkNetworkPolicy(object as RawNetworkPolicy, { cidr: options.cidr ?? 'legacy' });
    case 'Pod':
      return checkPod(object as RawPod);
    case 'Node':
      return checkNode(object as RawNode);
    case 'Service':
      return checkService(object as RawService);
    case 'Namespace': {
      const meta = ((object as { metadata?: RawMeta | null }).metadata ?? {}) as RawMeta;
      const value = meta.labels?.[NAMESPACE_NAME_LABEL];
      if (value === undefined || value === null || value === meta.name) return [];
      return [invalid(['metadata', 'labels', NAMESPACE_NAME_LABEL], value, `must be ${meta.name ?? ''}`)];
    }
    default: {
      if (!WORKLOAD_KINDS.has(kind)) return [];
      const problems: Problem[] = [];
      const { spec } = object as RawWorkload;
      const prefix = kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template'] : ['spec', 'template'];
      const template = kind === 'CronJob' ? spec?.jobTemplate?.spec?.template : spec?.template;
      checkLabels(template?.metadata?.labels, [...prefix, 'metadata', 'labels'], problems);
      checkPodSpec(template?.spec, [...prefix, 'spec'], problems);
      for (const field of ['replicas', 'parallelism'] as const)
        if ((spec?.[field] ?? 0) < 0)
          problems.push(invalid(['spec', field], spec![field], 'must be greater than or equal to 0'));
      return problems;
    }
  }
}

/** An object of a kind or version that is not read: counted, and named where silence would mislead. */
function passOver(load: Load, unit: Unit, kind: string, apiVersion: string): void {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const known = KINDS.get(kind);
  const label =
    known !== undefined || OTHER_POLICY_KINDS.has(kind) ? `${kind}${group === '' ? '' : `.${group}`}` : kind;
  const wanted = known?.apiVersion ?? '';
  if (apiVersion === '') {
    report(load, unit, [], 'value', {
      severity: 'error',
      code: 'required-value',
      message: 'apiVersion not set',
      path: 'apiVersion',
      object: kind,
    });
    return;
  }
  if (known !== undefined && OLD_GROUPS.has(group)) {
    report(load, unit, ['apiVersion'], 'value', {
      severity: 'error',
      code: 'unsupported-version',
      message: `no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`,
      hint: `use apiVersion: ${wanted}`,
      path: 'apiVersion',
      object: kind,
    });
    return;
  }
  if (known === undefined) {
    const near = findNearest(
      kind,
      [...KINDS].filter(([, row]) => row.apiVersion === apiVersion).map(([name]) => name),
    );
    if (near !== undefined && (near.toLowerCase() === kind.toLowerCase() || near === 'NetworkPolicy')) {
      report(load, unit, ['kind'], 'value', {
        severity: 'error',
        code: 'unsupported-version',
        message: `no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`,
        hint: `did you mean "${near}"?`,
        path: 'kind',
        object: kind,
      });
      return;
    }
  }
  load.skipped.set(label, (load.skipped.get(label) ?? 0) + 1);
  if (OTHER_POLICY_KINDS.has(kind))
    report(load, unit, ['apiVersion'], 'value', {
      severity: 'warning',
      code: 'unsupported-version',
      message: `${kind} of ${apiVersion} is not read: its rules are missing from every verdict`,
      path: 'apiVersion',
      object: label,
    });
}

/** By file in the order given, then by place; findings without a line go first. */
function sortDiagnostics(diagnostics: readonly Diagnostic[], files: readonly ManifestFile[]): Diagnostic[] {
  const order = new Map(files.map(({ path }, index) => [path, index]));
  const rank = ({ file }: Diagnostic): number => order.get(file) ?? -1;
  return [...diagnostics].sort(
    (a, b) => rank(a) - rank(b) || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

function describeName(meta: RawMeta, scope: 'cluster' | 'namespace', fallback: string): string {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const name = text(meta.name) || text(meta.generateName) || '(unnamed)';
  return scope === 'cluster' ? name : `${text(meta.namespace) || fallback}/${name}`;
}

function textField(object: Record<string, unknown>, name: string): string | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
