/** The project's scenario files, read. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readScenario, type ScenarioReading } from '../../src/manifest/scenario.ts';

/** Where they are. */
export const scenarioFolder: string = fileURLToPath(new URL('../scenario/', import.meta.url));

/** One file; `reading` may have diagnostics in place of a scenario. */
export interface ScenarioFile {
  readonly name: string;
  readonly text: string;
  readonly reading: ScenarioReading;
}

/** Every `*.txt` below test/scenario, in the order of their names. */
export function readScenarioFiles(): ScenarioFile[] {
  return readdirSync(scenarioFolder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .map((name) => {
      const text = readFileSync(`${scenarioFolder}/${name}`, 'utf8');
      return { name, text, reading: readScenario(text, name) };
    });
}
