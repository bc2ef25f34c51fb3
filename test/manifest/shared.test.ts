/** The reader against the outside material in ../shared, where it is present. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { loadManifests } from '../../src/manifest/load.ts';
import { readExpectations } from '../../src/manifest/expectation.ts';
import { type RawNetworkPolicy, checkNetworkPolicy } from '../../src/manifest/network-policy.ts';

const SHARED = new URL('../../../shared/', import.meta.url);
const skip = existsSync(SHARED) ? false : 'no ../shared beside the project';
const read = (path: string): string => readFileSync(new URL(path, SHARED), 'utf8');
const load = (path: string, text: string) =>
  loadManifests([{ path, text, group: 0 }], { namespace: 'default', validate: 'strict', remove: [] });
const yamlFiles = (): string[] =>
  readdirSync(new URL('scenarios/', SHARED), { recursive: true, encoding: 'utf8' }).map((path) => `scenarios/${path}`);

test('every scenario file that is not marked invalid loads without errors', { skip }, () => {
  const files = yamlFiles().filter((path) => path.endsWith('.yaml') && !path.endsWith('.invalid.yaml'));
  assert.ok(files.length >= 15, `only ${files.length} files`);
  for (const path of files) {
    const loaded = load(path, read(path));
    assert.deepEqual(
      loaded.diagnostics.filter(({ severity }) => severity === 'error'),
      [],
      path,
    );
    assert.ok(loaded.policies.length + loaded.snapshot.pods.length > 0, path);
  }
});

test('every expectation file is read completely', { skip }, () => {
  const files = yamlFiles().filter((path) => path.endsWith('.expect.csv'));
  assert.ok(files.length >= 10);
  for (const path of files) {
    const text = read(path);
    const { rows, diagnostics } = readExpectations(text, path, 'default');
    assert.deepEqual(diagnostics, [], path);
    const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
    assert.equal(rows.length, lines.length - 1, path);
  }
});

test('the invalid scenario files are refused at the lines that are wrong', { skip }, () => {
  const errors = (path: string) => load(path, read(path)).diagnostics.filter(({ severity }) => severity === 'error');
  const written = errors('scenarios/db-policy-typos/as-written.invalid.yaml');
  assert.deepEqual(
    written.map(({ line, hint }) => [line, hint]),
    [
      [11, 'did you mean "Ingress"?'],
      [15, 'did you mean "matchLabels"?'],
    ],
  );
  assert.deepEqual(
    errors('scenarios/db-policy-typos/bad-indentation.invalid.yaml').map(({ line, code }) => [line, code]),
    [[15, 'invalid-yaml']],
  );
  const [duplicate, ...rest] = errors('scenarios/three-tier-ports/duplicate-key.invalid.yaml');
  assert.deepEqual(rest, []);
  assert.equal(duplicate?.line, 14);
  assert.match(duplicate?.message ?? '', /line 11\b/);
  assert.deepEqual(
    errors('scenarios/traffic-control/port-range.invalid.yaml').map(({ line, code }) => [line, code]),
    [[11, 'invalid-value']],
  );
});

interface ValidationCase {
  readonly id: string;
  readonly valid: boolean;
  readonly mode?: string;
  readonly doc: unknown;
  readonly old?: RawNetworkPolicy;
  readonly errors: readonly { readonly type: string; readonly field: string }[];
}

test(
  'every case of Kubernetes own validation tables is accepted or refused as marked, at the field it names',
  { skip },
  () => {
    const cases = read('conformance/k8s-validation.jsonl')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as ValidationCase);
    assert.ok(cases.length >= 60);
    for (const { id, valid, mode, doc, old, errors } of cases) {
      const cidr = mode === 'StrictIPCIDRValidation=true' || mode === 'update' ? 'strict' : 'legacy';
      const { diagnostics, policies } = loadManifests([{ path: id, text: JSON.stringify(doc), group: 0 }], {
        namespace: 'default',
        validate: 'strict',
        remove: [],
        cidr: old === undefined ? cidr : 'legacy',
      });
      const found = diagnostics.filter(({ severity }) => severity === 'error').map(({ path }) => path ?? '');
      if (old !== undefined)
        for (const problem of checkNetworkPolicy(doc as RawNetworkPolicy, { cidr, previous: old }))
          if (problem.severity === 'error') found.push(problem.message.slice(0, problem.message.indexOf(': ')));
      assert.equal(found.length === 0, valid, `${id}: ${JSON.stringify(found)}`);
      if (old === undefined) assert.equal(policies.length, valid ? 1 : 0, id);
      for (const { field } of errors)
        assert.ok(
          found.some((path) => path === field || path.startsWith(`${field}.`)),
          `${id}: nothing at ${field}, but at ${JSON.stringify(found)}`,
        );
    }
  },
);

test('the resources of the conformance tables load, policies of other kinds named as not read', { skip }, () => {
  for (const name of ['k8s-e2e', 'k8s-e2e-grid', 'recipes', 'cnp-conformance']) {
    for (const line of read(`conformance/${name}.jsonl`).split('\n')) {
      if (line === '') continue;
      const { id, resources } = JSON.parse(line) as { id: string; resources: { kind: string }[] };
      const loaded = load(id, JSON.stringify(resources));
      assert.deepEqual(
        loaded.diagnostics.filter(({ severity }) => severity === 'error'),
        [],
        id,
      );
      assert.equal(loaded.policies.length, resources.filter(({ kind }) => kind === 'NetworkPolicy').length, id);
      assert.equal(loaded.snapshot.pods.length, resources.filter(({ kind }) => kind === 'Pod').length, id);
    }
  }
});
