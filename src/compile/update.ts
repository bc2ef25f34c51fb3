/**
 * update: a Program and a change -> the Program of the changed cluster, as if compiled afresh. Pods come and go, and policies with
 * them; the compilation behind the last update is used again as far as the change brings nothing new: then only the rows of
 * policies that changed are built, besides the endpoints and addresses. Anything new is compiled from the beginning.
 */
import type { Pod, Snapshot } from '../model/cluster.ts';
import type { Policy } from '../model/policy.ts';
import { type Compilation, createCompilation } from './compile.ts';
import type { Program } from './program.ts';

/** What happened to a cluster. Of one name, what is set replaces what was there, and `removed` goes first. */
export interface Change {
  readonly pods?: {
    readonly removed?: readonly { readonly namespace: string; readonly name: string }[];
    /** New pods, and pods that have other labels, addresses or a phase by now. */
    readonly set?: readonly Pod[];
  };
  readonly policies?: {
    readonly removed?: readonly PolicyName[];
    readonly set?: readonly Policy[];
  };
}

/** What a policy is called; a Policy is its own name. */
export type PolicyName = Pick<Policy, 'kind' | 'name'> & { readonly namespace?: string | undefined };

/** What the compilation of an update did, in numbers. */
export interface UpdateWork {
  /** Nothing was used again. */
  readonly isFresh: boolean;
  readonly rowsBuilt: number;
}

/**
 * The Program of a changed cluster; the given one stays as it is. Decisions and explanations are those of
 * `compile(applyChange(...))`; tables may hold more than that: classes that no policy tells apart any more, and pages of rows that
 * are gone, until they are twice as many as needed. The first update of a compiled Program compiles afresh and keeps what the next
 * ones use; `program.source` must be there.
 */
export function update(program: Program, change: Change): Program {
  const { snapshot, policies } = applyChange(program, change);
  const known = memories.get(program);
  const before = known?.compilation.work;
  const again = known === undefined || isWasteful(known) ? undefined : known.compilation.next(snapshot, policies);
  if (again !== undefined) {
    remember(again, known!, { isFresh: false, rowsBuilt: known!.compilation.work.rowsBuilt - before!.rowsBuilt });
    return again;
  }
  const compilation = createCompilation(snapshot, policies, program.source.dialect);
  const { rowsBuilt, pagesKept } = compilation.work;
  remember(compilation.first, { compilation, pagesNeeded: pagesKept }, { isFresh: true, rowsBuilt });
  return compilation.first;
}

/** The cluster and policies of a Program after a change; what was replaced stands where it stood, what is new at the end. */
export function applyChange(
  program: Program,
  { pods, policies }: Change,
): { snapshot: Snapshot; policies: readonly Policy[] } {
  const { source } = program;
  return {
    snapshot: { ...source.snapshot, pods: apply(source.snapshot.pods, pods, podKey) },
    policies: apply<Policy, PolicyName>(source.policies, policies, policyKey),
  };
}

/** What the update that gave a Program did; undefined for any other Program. */
export function workOf(program: Program): UpdateWork | undefined {
  return memories.get(program)?.work;
}

interface Memory {
  readonly compilation: Compilation;
  /** Pages that the compilation began with. */
  readonly pagesNeeded: number;
  readonly work: UpdateWork;
}

const memories = new WeakMap<Program, Memory>();

function remember(program: Program, memory: Omit<Memory, 'work'>, work: UpdateWork): void {
  memories.set(program, { ...memory, work });
}

/** Pages of rows that are gone are kept: it is time to begin again. */
function isWasteful({ compilation, pagesNeeded }: Memory): boolean {
  return compilation.work.pagesKept > 2 * pagesNeeded + 256;
}

function apply<T extends N, N>(
  list: readonly T[],
  change: { readonly removed?: readonly N[]; readonly set?: readonly T[] } | undefined,
  keyOf: (item: N) => string,
): readonly T[] {
  if (change === undefined) return list;
  const removed = new Set((change.removed ?? []).map(keyOf));
  const set = new Map((change.set ?? []).map((item) => [keyOf(item), item]));
  const placed = new Set<string>();
  const kept: T[] = [];
  for (const item of list) {
    const key = keyOf(item);
    const next = set.get(key);
    if (next !== undefined && !removed.has(key)) {
      if (!placed.has(key)) kept.push(next);
      placed.add(key);
    } else if (next === undefined && !removed.has(key)) kept.push(item);
  }
  for (const [key, item] of set) if (!placed.has(key)) kept.push(item);
  return kept;
}

function podKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

function policyKey({ kind, namespace, name }: PolicyName): string {
  return `${kind}/${namespace ?? ''}/${name}`;
}
