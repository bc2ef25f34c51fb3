/** Kubernetes' own truth tables and public recipes, over every evaluator. Skipped where the tables are not beside the project. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadManifests } from '../../src/manifest/load.ts';
import type { AddressText } from '../../src/model/address.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import type { EndpointRef } from '../../src/model/flow.ts';
import { parseProtocol } from '../../src/model/port.ts';
import { VERDICT_NAMES, type VerdictName } from '../../src/model/verdict.ts';
import { candidates } from './evaluators.ts';

const folder = new URL('../../../shared/conformance/', import.meta.url);
const skipShared = existsSync(folder) ? undefined : 'no ../shared/conformance beside the project';

interface End {
  readonly namespace?: string;
  readonly pod?: string;
  readonly ip?: string;
}

interface Row {
  readonly id: string;
  readonly resources: readonly unknown[];
  readonly probes: readonly { src: End; dst: End; protocol: string; port?: number; expect: VerdictName }[];
}

/** Probes in each table, so that an empty or half-read one fails. */
const tables = { 'k8s-e2e': 506, 'k8s-e2e-grid': 4680, recipes: 35 };

for (const { name, evaluator, skip } of candidates)
  for (const [table, count] of Object.entries(tables))
    test(`${name} gives the verdict of all ${count} probes of ${table}`, { skip: skip ?? skipShared }, () => {
      const text = readFileSync(new URL(`${table}.jsonl`, folder), 'utf8');
      const rows = text.split('\n').filter((line) => line !== '');
      const wrong: string[] = [];
      let probes = 0;
      for (const line of rows) {
        const row = JSON.parse(line) as Row;
        const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: row.resources });
        const { snapshot, policies, diagnostics } = loadManifests([{ path: row.id, text: list, group: 0 }], {
          namespace: 'default',
          validate: 'strict',
          remove: [],
        });
        assert.deepEqual(
          diagnostics.filter(({ severity }) => severity === 'error'),
          [],
        );
        const session = evaluator!.load({ snapshot, policies, dialect: DEFAULT_DIALECT });
        for (const { src, dst, protocol, port, expect } of row.probes) {
          probes++;
          const flow = {
            src: refOf(src),
            dst: refOf(dst),
            protocol: parseProtocol(protocol)!,
            ...(port !== undefined && { port }),
          };
          const verdict = VERDICT_NAMES[session.judge(flow).verdict]!;
          if (verdict !== expect)
            wrong.push(`${row.id}: ${JSON.stringify(flow)}: expected ${expect}, found ${verdict}`);
        }
      }
      assert.deepEqual(wrong, []);
      assert.equal(probes, count);
    });

function refOf({ namespace, pod, ip }: End): EndpointRef {
  if (ip !== undefined) return { kind: 'address', address: ip as AddressText };
  return { kind: 'name', namespace: namespace!, name: pod! };
}
