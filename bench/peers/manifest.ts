/** Readers of YAML: the engine's own, the `yaml` package that it hands unusual documents to, and js-yaml. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createSource } from '../../src/manifest/source.ts';
import { readYaml } from '../../src/manifest/yaml-document.ts';
import { type Job, type OpenJob } from '../limit/job.ts';

/** The engine's reader. */
export const openOwnYaml: OpenJob = (folder) =>
  yamlJob(folder, (text) => readYaml(createSource('policies.yaml', text)).documents.map(({ value }) => value));

/** `yaml`, every document to a value. */
export const openYaml: OpenJob = async (folder) => {
  const { parseAllDocuments } = await import('yaml');
  return yamlJob(folder, (text) => parseAllDocuments(text).map((document) => document.toJS() as unknown));
};

/** js-yaml. */
export const openJsYaml: OpenJob = (folder) => {
  const require = createRequire(join(process.cwd(), 'bench/peers/package.json'));
  const { loadAll } = require('js-yaml') as { loadAll: (text: string) => unknown[] };
  return yamlJob(folder, (text) => loadAll(text));
};

function yamlJob(folder: string, read: (text: string) => readonly unknown[]): Job {
  const text = readFileSync(join(folder, 'policies.yaml'), 'utf8');
  let documents: readonly unknown[] = [];
  return {
    count: text.length,
    run: () => {
      documents = read(text);
    },
    // Values, not only their number: objects as JSON.
    first: () => {
      const json = JSON.stringify(documents);
      let hash = documents.length;
      for (let at = 0; at < json.length; at++) hash = Math.imul(hash ^ json.charCodeAt(at), 0x01000193);
      return hash;
    },
  };
}
