/** YAML and JSON texts: scalars as kubectl takes them, document splitting, positions, strict decoding. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type LoadOptions, loadManifests } from '../../src/manifest/load.ts';
import { resolvePlain } from '../../src/manifest/scalar.ts';
import { createSource } from '../../src/manifest/source.ts';
import { readYaml } from '../../src/manifest/yaml-document.ts';

const load = (text: string, options: Partial<LoadOptions> = {}, path = 'f.yaml') =>
  loadManifests([{ path, text, group: 0 }], { namespace: 'default', validate: 'strict', remove: [], ...options });
const codes = (text: string, options: Partial<LoadOptions> = {}, path = 'f.yaml') =>
  load(text, options, path).diagnostics.map(({ code, line }) => `${code}:${line}`);
const values = (text: string) => {
  const { documents, diagnostics } = readYaml(createSource('f.yaml', text));
  assert.deepEqual(diagnostics, []);
  return documents.map(({ value }) => value);
};
const policy = (spec: string, name = 'p'): string =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: ${name}\nspec:\n${spec}`;

const SCALARS: readonly (readonly [string, string | number | boolean | null])[] = [
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ['yEs', 'yEs'],
  ['nULL', 'nULL'],
  ['0', 0],
  ['80', 80],
  ['+80', 80],
  ['-80', -80],
  ['0777', 511],
  ['0o777', 511],
  ['0O7', 7],
  ['-010', -8],
  ['08', 8],
  ['0x1F', 31],
  ['0b101', 5],
  ['-0b1', -1],
  ['1_000', 1000],
  ['0_7', 7],
  ['80.0', 80],
  ['1.', 1],
  ['.5', 0.5],
  ['1e3', 1000],
  ['1.5e-1', 0.15],
  ['12:30', '12:30'],
  ['190:20:30', '190:20:30'],
  ['2024-01-02', '2024-01-02'],
  ['2024-01-02T03:04:05Z', '2024-01-02T03:04:05Z'],
  ['0xg', '0xg'],
  ['0b2', '0b2'],
  ['10.0.0.1', '10.0.0.1'],
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['1e999', '1e999'],
  ['18446744073709551615', 2 ** 64],
  ['1000000000000000000000000000000', 1e30],
  ['_1', '_1'],
  ['-', '-'],
  ['.', '.'],
  ['<<x', '<<x'],
];

for (const [text, value] of SCALARS)
  test(`the plain scalar ${JSON.stringify(text)} is ${JSON.stringify(value)}`, () => {
    assert.deepEqual(resolvePlain(text), { value });
  });

for (const text of ['.inf', '-.Inf', '+.INF', '.nan', '.NaN'])
  test(`the plain scalar ${text} is refused: JSON has no such number`, () => {
    assert.ok('error' in resolvePlain(text));
  });

test('quoted and block scalars are text whatever they look like; tags decide over both', () => {
  assert.deepEqual(
    values('a: "yes"\nb: \'0777\'\nc: |\n  true\nd: !!str 80\ne: !!int "80"\nf: !!binary aGk=\ng: "\\x41"\n'),
    [{ a: 'yes', b: '0777', c: 'true\n', d: '80', e: 80, f: 'hi', g: 'A' }],
  );
});

test('keys become text as in JSON, and a null or mapping key is refused', () => {
  assert.deepEqual(values('yes: 1\n80: 2\n0x10: 3\n'), [{ true: 1, 80: 2, 16: 3 }]);
  assert.equal(readYaml(createSource('f', '? {a: 1}\n: 2\n')).diagnostics.length, 1);
  assert.equal(readYaml(createSource('f', '~: 2\n')).diagnostics.length, 1);
});

test('anchors, aliases and merges resolve; written keys win over merged ones', () => {
  assert.deepEqual(values('a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}\nd: {<<: [{m: 1}, *x]}\n'), [
    { a: { k: 1, l: 2 }, b: { k: 1, l: 2 }, c: { k: 3, l: 2 }, d: { m: 1, k: 1, l: 2 } },
  ]);
});

test('unknown and circular anchors and alias bombs are refused, quickly', () => {
  const bomb = Array.from(
    { length: 12 },
    (_, level) =>
      `a${level}: &a${level} [${level === 0 ? 'x' : Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`,
  );
  for (const text of ['a: *nope\n', 'a: &a [*a]\n', `${bomb.join('\n')}\n`])
    assert.deepEqual(codes(text).length, 1, text.slice(0, 20));
  assert.match(load(`${bomb.join('\n')}\n`).diagnostics[0]!.message, /excessive aliasing/);
});

test('a key called __proto__ is a key', () => {
  const [value] = values('__proto__: {polluted: 1}\n');
  assert.deepEqual(Object.keys(value as object), ['__proto__']);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

test('documents: byte order mark, CRLF, comments, empty ones, content after the marker, the end marker', () => {
  assert.deepEqual(
    values(
      '\uFEFF# only a comment\r\n---\r\n\r\n--- {a: 1}\r\n---\r\nb: 2\r\n...\r\n%YAML 1.1\r\n---\r\nc: |\r\n  ---x\r\n---\n',
    ),
    [{ a: 1 }, { b: 2 }, { c: '---x\n' }],
  );
});

test('a broken document hides no other, and each keeps its own lines', () => {
  const text = `${policy('  podSelector: {}\n', 'one')}---\na: [1\n---\n${policy('  podSelectr: {}\n', 'two')}---\n\tb: 1\n---\n${policy('  podSelector: {}\n', 'three')}`;
  assert.deepEqual(codes(text), ['invalid-yaml:9', 'unknown-field:15', 'invalid-yaml:17']);
  assert.deepEqual(
    load(text).policies.map(({ name, position }) => [name, position.line]),
    [
      ['one', 1],
      ['three', 19],
    ],
  );
});

test('a syntax error by indentation is placed under the text of its line', () => {
  const [found] = load('spec:\n  a:\n  - b\n   c: 1\n').diagnostics;
  assert.deepEqual([found?.code, found?.line, found?.column, found?.excerpt], ['invalid-yaml', 4, 4, '   c: 1']);
  assert.match(found?.hint ?? '', /indented by 3/);
});

test('nesting beyond all reason is refused in words, without a list of all indentations above', () => {
  const steps = Array.from({ length: 3000 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join('');
  for (const text of [steps, `a: ${'['.repeat(50_000)}`]) {
    const [found] = load(text).diagnostics;
    assert.deepEqual([found?.code, found?.message, found?.hint], ['invalid-yaml', 'yaml: the document is nested too deeply', undefined]); // prettier-ignore
  }
});

test('a template that was not rendered is named once, with the way out', () => {
  const text = `{{- if .Values.on }}\nkind: Pod\n{{- end }}\n---\nname: {{ .Values.name }}\n`;
  assert.deepEqual(codes(text), ['unrendered-template:1']);
  assert.match(load(text).diagnostics[0]!.hint ?? '', /helm template/);
});

test('strict decoding names unknown fields, wrong case, duplicates and wrong types with their places and a way out', () => {
  const text = policy(
    '  podSelector:\n    matchlabels: {a: b}\n  Ingress: []\n  ingress:\n  - from:\n    - podSelector: {matchLabels: {app: yes}}\n      ports:\n      - port: 80\n    from: []\n',
  );
  const found = load(text).diagnostics.map(({ code, line, column, path, hint }) => [code, line, column, path, hint]);
  assert.deepEqual(found, [
    ['unknown-field', 7, 5, 'spec.podSelector.matchlabels', 'did you mean "matchLabels"?'],
    ['unknown-field', 8, 3, 'spec.Ingress', 'did you mean "ingress"?'],
    ['duplicate-field', 14, 5, 'spec.ingress[0].from', 'join the two, or begin a new list item with a dash'],
  ]);
  const typed = load(
    policy(
      '  podSelector: {matchLabels: {app: yes}}\n  egress:\n  - to:\n      podSelector: {}\n    ports: [{port: 1.5}]\n',
    ),
  );
  assert.deepEqual(
    typed.diagnostics.map(({ line, message }) => [line, message]),
    [
      [6, 'json: cannot unmarshal bool into Go struct field LabelSelector.spec.podSelector.matchLabels of type string'],
      [
        9,
        'json: cannot unmarshal object into Go struct field NetworkPolicyEgressRule.spec.egress.to of type []v1.NetworkPolicyPeer',
      ],
      [
        10,
        'json: cannot unmarshal number 1.5 into Go struct field NetworkPolicyPort.spec.egress.ports.port of type int32',
      ],
    ],
  );
  assert.equal(typed.policies.length, 0);
});

test('two objects without a line between them are told what is missing', () => {
  const { diagnostics } = load(`${policy('  podSelector: {}\n')}${policy('  podSelector: {}\n', 'two')}`);
  assert.deepEqual(
    [...new Set(diagnostics.map(({ code, hint }) => `${code}: ${hint}`))],
    ['duplicate-field: another object begins after a line ---'],
  );
});

test('a field one level too deep is told where it belongs', () => {
  const [found] = load(
    policy('  egress:\n  - to:\n    - ipBlock: {cidr: 10.0.0.0/8}\n      ports: [{port: 53}]\n'),
  ).diagnostics;
  assert.match(found?.hint ?? '', /NetworkPolicyEgressRule/);
});

test('validate=warn says what the lenient reading does, ignore says nothing, type errors stay errors', () => {
  const text = policy('  podSelectr: {}\n  ingress: []\n  ingress: [{}]\n');
  const warned = load(text, { validate: 'warn' });
  assert.deepEqual(
    warned.diagnostics.map(({ severity, message }) => [severity, message.split('; ').at(-1)]),
    [
      ['warning', 'the field is dropped'],
      ['warning', 'the last one wins'],
    ],
  );
  assert.equal(warned.policies[0]?.ingress.length, 1);
  assert.deepEqual(load(text, { validate: 'ignore' }).diagnostics, []);
  assert.deepEqual(codes(policy('  podSelector: []\n'), { validate: 'ignore' }), ['wrong-type:6']);
});

test('a value of the wrong type ends nothing: the rest is validated, and nothing is said that only its absence causes', () => {
  const labelled = (spec: string): string => policy(spec).replace('  name: p\n', '  name: p\n  labels: {v: 1}\n');
  assert.deepEqual(codes(labelled('  policyTypes: [Ingresss]\n')), ['wrong-type:5', 'unsupported-value:7']);
  assert.deepEqual(codes(policy('  podSelector: []\n  policyTypes: [Ingresss]\n')), [
    'wrong-type:6',
    'unsupported-value:7',
  ]);
  for (const rule of ['ports: [{port: 1.5, endPort: 9}]', 'from: [{podSelector: 5}]', 'from: [{ipBlock: {cidr: 5}}]'])
    assert.deepEqual(codes(policy(`  ingress:\n  - ${rule}\n`)), ['wrong-type:7'], rule);
  assert.deepEqual(codes(policy('  podSelector: {}\n', '5')), ['wrong-type:4']);
  const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: 5\n';
  assert.deepEqual(codes(`${namespace}  labels: {kubernetes.io/metadata.name: x}\n`), ['wrong-type:4']);
});

test('JSON has the same positions, duplicates and errors as YAML, also inside a List and after another value', () => {
  const json = (spec: string): string =>
    `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p"},\n"spec":${spec}}`;
  assert.deepEqual(codes(json('{"podSelector":{},\n"ingress":[],\n"ingress":[{}]}')), ['duplicate-field:4']);
  const list = `{"kind":"List","apiVersion":"v1","items":[\n${json('{"ingress":[\n{"from":[\n{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]}')}]}`;
  const [read] = load(list).policies;
  assert.deepEqual(
    [read?.position.line, read?.ingress[0]?.position.line, read?.ingress[0]?.peerPositions?.[0]?.line],
    [2, 4, 5],
  );
  assert.deepEqual(codes(`${json('{}')}\n${json('{"x":1}').replace('"p"', '"q"')}`), ['unknown-field:4']);
  assert.deepEqual(codes(`[${json('{}')},\n3]`), ['not-an-object:3']);
  assert.deepEqual(codes('{"a": 1,\n "b" 2}', {}, 'f.json'), ['invalid-json:2']);
  assert.deepEqual(codes('{a: 1'), ['invalid-json:1']);
  assert.equal(load(`{apiVersion: v1, kind: Pod, metadata: {name: a}}`).snapshot.pods.length, 1);
});

test('a duplicate inside a list of lists belongs to its own object', () => {
  const one = (name: string, spec: string): string =>
    `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"${name}"},"spec":${spec}}`;
  const inner = `{"kind":"List","apiVersion":"v1","items":[\n${one('a', '{}')},\n${one('b', '{"ingress":[],"ingress":[]}')}]}`;
  const { diagnostics, policies } = load(`{"kind":"List","apiVersion":"v1","items":[${inner}]}`);
  assert.deepEqual(
    diagnostics.map(({ code, line, path, object }) => [code, line, path, object]),
    [['duplicate-field', 3, 'spec.ingress', 'NetworkPolicy default/b']],
  );
  assert.deepEqual(
    policies.map(({ name }) => name),
    ['a'],
  );
});

test('a policy as kubectl dumps it passes strict decoding; a slip in its metadata does not', () => {
  const dump = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy"}
  creationTimestamp: "2024-01-02T03:04:05Z"
  deletionTimestamp: null
  finalizers: [a/b]
  generation: 1
  labels: null
  managedFields:
  - apiVersion: networking.k8s.io/v1
    fieldsType: FieldsV1
    fieldsV1:
      f:spec:
        f:policyTypes: {}
        f:ports: {.: {}, 'k:{"port":80}': {}}
    manager: kubectl
    operation: Update
    time: "2024-01-02T03:04:05Z"
  name: dumped
  namespace: prod
  ownerReferences:
  - {apiVersion: v1, blockOwnerDeletion: true, controller: true, kind: ConfigMap, name: x, uid: u}
  resourceVersion: "123"
  uid: 0b1c
spec:
  podSelector: {}
status: {}
`;
  const loaded = load(dump);
  assert.deepEqual(loaded.diagnostics, []);
  assert.equal(loaded.policies[0]?.namespace, 'prod');
  assert.equal(load(dump.replace('  labels:', '  label:')).diagnostics[0]?.hint, 'did you mean "labels"?');
  assert.deepEqual(codes(dump.replace('"123"', '123')), ['wrong-type:26']);
  assert.deepEqual(codes(dump.replace('"2024-01-02T03:04:05Z"', 'yesterday')), ['wrong-type:7']);
});

test('positions of rules, peers and ports point at the items', () => {
  const [read] = load(
    policy(
      '  podSelector: {}\n  ingress:\n  - from:\n    - podSelector: {}\n    - ipBlock:\n        cidr: 10.0.0.0/8\n    ports:\n    - port: 80\n  -\n    ports: []\n',
    ),
  ).policies;
  const rule = read!.ingress[0]!;
  assert.deepEqual([rule.position.line, rule.position.column], [8, 5]);
  assert.deepEqual(
    rule.peerPositions?.map(({ line }) => line),
    [9, 10],
  );
  assert.deepEqual(
    rule.portPositions?.map(({ line }) => line),
    [13],
  );
  assert.equal(read!.ingress[1]!.position.line, 15);
});

test('a snapshot of ten megabytes of JSON costs a few times what JSON.parse does, not what a YAML parser does', () => {
  const pod = (index: number) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `p${index}`,
      namespace: `n${index % 50}`,
      labels: { app: `a${index % 300}` },
      managedFields: Array.from({ length: 20 }, () => ({
        manager: 'kubelet',
        fieldsV1: { 'f:status': { 'f:phase': {} } },
      })),
    },
    spec: { containers: [{ name: 'c', ports: [{ containerPort: 80 }] }] },
    status: { podIP: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, phase: 'Running' },
  });
  const text = JSON.stringify(
    { kind: 'List', apiVersion: 'v1', items: Array.from({ length: 4000 }, (_, index) => pod(index)) },
    null,
    2,
  );
  assert.ok(text.length > 10_000_000, String(text.length));
  // Processor time of both: what else the machine does is in neither.
  const parseUs = Math.min(...[1, 2, 3].map(() => processorUs(() => JSON.parse(text) as unknown)));
  let loaded: ReturnType<typeof load> | undefined;
  const loadUs = processorUs(() => (loaded = load(text)));
  const { snapshot, diagnostics } = loaded!;
  assert.equal(snapshot.pods.length, 4000);
  assert.deepEqual(diagnostics, []);
  assert.ok(snapshot.pods[3999]!.position.line > 100_000);
  // 5 to 10 times; the YAML parser takes about 100.
  assert.ok(loadUs < 40 * parseUs, `${loadUs} µs, JSON.parse ${parseUs} µs`);
});

function processorUs(act: () => unknown): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

test('no mutation of a manifest makes the reader throw, hang or lose its line numbers', () => {
  const yaml = `${policy('  podSelector: {matchLabels: {a: &x b, c: *x}}\n  ingress:\n  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: ["10.1.0.0/16"]}}]\n    ports: [{port: 80, endPort: 90}]\n')}---\nkind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, ownerReferences: [{kind: ReplicaSet, name: x}]}\n  status: {podIP: 10.0.0.1}\n- {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {replicas: 2}}\n`;
  const json = JSON.stringify({
    kind: 'List',
    apiVersion: 'v1',
    items: [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 's' },
        spec: { ports: [{ port: 80 }], clusterIP: '10.0.0.1' },
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'p' },
        spec: { ingress: [{ from: [{ podSelector: null }] }] },
      },
    ],
  });
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ':',
    '- ',
    '\n',
    '\t',
    '"',
    "'",
    '&x ',
    '*x',
    '<<: ',
    '---\n',
    '...\n',
    '%',
    '|',
    '>',
    '!!int ',
    'null',
    '{{',
    '\u0000',
    '\ud800',
    '#',
    '? ',
    ',',
    '0',
    'items',
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(yaml, json),
      fc.array(
        fc.record({
          at: fc.double({ min: 0, max: 1, noNaN: true }),
          cut: fc.nat(12),
          put: fc.constantFrom('', ...pieces),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      fc.constantFrom('strict', 'warn', 'ignore'),
      (text, edits, validate) => {
        let mutated = text;
        for (const { at, cut, put } of edits) {
          const index = Math.floor(at * mutated.length);
          mutated = mutated.slice(0, index) + put + mutated.slice(index + cut);
        }
        const lines = mutated.split('\n').length;
        for (const { line, message } of load(mutated, { validate }).diagnostics) {
          assert.ok(message.length > 0);
          assert.ok(line !== undefined && line >= 1 && line <= lines, `${line} of ${lines}`);
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test('deep nesting is a diagnostic', () => {
  for (const text of [
    '['.repeat(50_000),
    `${'['.repeat(5000)}${']'.repeat(5000)}`,
    `a: ${'{b: '.repeat(3000)}1${'}'.repeat(3000)}`,
  ])
    assert.ok(load(text).diagnostics.length > 0);
});
