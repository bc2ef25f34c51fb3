/** The library: everything but the command line, named exports in the order of the flow. */
export * from './engine.ts';
export { loadManifests, loadWatch } from './manifest/load.ts';
export type { Loaded, LoadedWatch, LoadOptions, ManifestFile, WatchEvent } from './manifest/load.ts';
export { createTimeline } from './manifest/timeline.ts';
export type { TimedSnapshot } from './manifest/timeline.ts';
export { readExpectations } from './manifest/expectation.ts';
export type { ExpectationRow } from './manifest/expectation.ts';
export { printPolicies, printSnapshot } from './manifest/print.ts';
export { printScenario, readScenario } from './manifest/scenario.ts';
export type { Expectation, Scenario } from './model/scenario.ts';
export { FORMATS, readTrace } from './trace/read.ts';
export type { ReadOptions } from './trace/read.ts';
export { createWriter } from './trace/write.ts';
export { oracle } from './oracle/oracle.ts';
export { formatReplay } from './report/replay.ts';
