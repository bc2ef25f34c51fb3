/**
 * A scenario's manifests -> the world that its packets are judged in. Positions are lines of the scenario file, so that a
 * diagnostic and an explanation point at what a person has open.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import { DEFAULT_DIALECT } from '../model/dialect.ts';
import type { World } from '../model/evaluator.ts';
import type { Scenario } from '../model/scenario.ts';
import { loadManifests, type ManifestFile } from './load.ts';

/** The world of a scenario, and what reading its manifests found; with errors among it the world is not whole. */
export interface ScenarioWorld {
  readonly world: World;
  readonly diagnostics: readonly Diagnostic[];
}

/** Loads both manifest sections, `policy.yaml` over `cluster.yaml`. `file` is the scenario file's name. */
export function loadScenarioWorld(scenario: Scenario, file: string): ScenarioWorld {
  // Blank lines in front make the reader count lines as the scenario file does.
  const files = [scenario.cluster, scenario.policy].flatMap(({ text, line }, group): ManifestFile[] =>
    text === '' ? [] : [{ path: file, text: '\n'.repeat(line - 1) + text, group }],
  );
  const { snapshot, policies, diagnostics } = loadManifests(files, {
    namespace: 'default',
    validate: 'strict',
    remove: [],
  });
  return { world: { snapshot, policies, dialect: { ...DEFAULT_DIALECT, ...scenario.dialect } }, diagnostics };
}
