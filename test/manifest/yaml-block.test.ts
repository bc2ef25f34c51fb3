/**
 * The quick reader of block YAML against the reader of the whole language: the same documents, values, places and diagnostics,
 * over printed values in many styles, the YAML files at hand, and both with random edits.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Loaded, loadManifests } from '../../src/manifest/load.ts';
import { type Path, type SourceDocument, createSource, diagnose } from '../../src/manifest/source.ts';
import { BlockReader } from '../../src/manifest/yaml-block.ts';
import { readYaml } from '../../src/manifest/yaml-document.ts';
import { PlaceTable } from '../../src/manifest/yaml-place.ts';

const ROOT = new URL('../../', import.meta.url);
const SHARED = new URL('../../../shared/', import.meta.url);

const load = (text: string): Loaded =>
  loadManifests([{ path: 'f.yaml', text, group: 0 }], { namespace: 'default', validate: 'strict', remove: [] });

/** True where the quick reader takes the text as one document by itself, without any help. */
function isTaken(text: string): boolean {
  return new BlockReader(text, new PlaceTable()).read(0, text.length) !== undefined;
}

/** Every path of a value, containers included, and one that leads nowhere below each. */
function pathsOf(value: unknown, path: Path, found: Path[]): Path[] {
  found.push(path, [...path, 'nowhere']);
  if (Array.isArray(value)) for (const [index, item] of value.entries()) pathsOf(item, [...path, index], found);
  else if (typeof value === 'object' && value !== null)
    for (const [name, item] of Object.entries(value)) pathsOf(item, [...path, name], found);
  return found;
}

/** What a diagnostic shows of a place: of a value over several lines that is its beginning. */
function placesOf(document: SourceDocument): unknown[] {
  return pathsOf(document.value, [], []).flatMap((path) =>
    (['key', 'value'] as const).map((part) => {
      const span = document.locate(path, part);
      const { line, column, length } = diagnose(document.source, span, {
        severity: 'note',
        code: 'invalid-yaml',
        message: '',
      });
      return [path.join('/'), part, span.start, line, column, length];
    }),
  );
}

/** Both readers say the same of a text. */
function assertSame(text: string): void {
  const quick = readYaml(createSource('f.yaml', text));
  const full = readYaml(createSource('f.yaml', text), { reader: 'tree' });
  assert.deepEqual(quick.diagnostics, full.diagnostics);
  assert.equal(quick.documents.length, full.documents.length);
  for (const [index, document] of quick.documents.entries()) {
    const other = full.documents[index]!;
    assert.deepStrictEqual(document.value, other.value);
    // The order of keys shows in diagnostics.
    assert.equal(JSON.stringify(document.value), JSON.stringify(other.value));
    assert.deepEqual(document.duplicates([]), other.duplicates([]));
    assert.deepEqual(placesOf(document), placesOf(other));
  }
}

/** Forms by use: `tame` ones are surely plain block YAML, `wild` ones may be anything. */
interface Forms {
  readonly tame: readonly string[];
  readonly wild: readonly string[];
}

// {i} stands for the indentation of continuation lines.
const PLAIN: Forms = {
  tame: [
    'a',
    'app',
    'web-1',
    'true',
    'yes',
    'No',
    'null',
    '~',
    '80',
    '0777',
    '-1',
    '1.5',
    '1_0',
    '.5',
    '10.0.0.0/8',
    '<<x',
    'a b',
    'a  b',
    'k8s.io/x',
    'a:b',
    'a#b',
    '12:30',
    '2024-01-02',
    '-x',
    '--',
    'a,b',
    'a [b]',
    'é',
    '日本',
    "it's",
    'say "x"',
    '$(X)',
    '=',
    '.',
  ],
  wild: [
    '::1',
    '?x',
    '@x',
    '`x',
    '%x',
    '!x',
    '&x',
    '*x',
    '|x',
    '>x',
    ',x',
    '{x',
    'x}',
    '',
    '...x',
    '---x',
    'a\u00a0',
    '\u2028',
    '\u0085x',
    '<<',
    '\\n',
    'a: b',
    'a:',
    'a #b',
    '#x',
    '.inf',
    '(x)',
    ';x',
    '^x',
    '+1',
    '/x',
    '\ufeffx',
    '__proto__',
  ],
};
const QUOTED: Forms = {
  tame: [
    '""',
    "''",
    '"a"',
    "'a'",
    '"a b"',
    '"yes"',
    "'80'",
    '"\\n\\t\\"x\\\\"',
    "'it''s'",
    '"\\u0041\\ud83d\\ude00"',
    '"\\/"',
    '"a # b"',
    "'a: b'",
    "'a\\n'",
    '"é"',
  ],
  wild: ['"\\x41"', '"\\e"', '"a\tb"', '"\\ "', '"\\ud800"', '"a"b', "'a''", '"', '"\\'],
};
const LONG: Forms = {
  tame: [
    'a\n{i}b',
    'a\n\n{i}b c',
    'a  \n{i}b  ',
    'a\n{i}- b',
    'a\n{i}"b"',
    'yes\n{i}no',
    '1\n\n\n{i}2',
    "'a\n{i}b'",
    "'a \n\n {i} b '",
    '"a\n{i}b"',
    '"a \n\n\n{i}b\\n"',
    "'\n{i}a\n{i}'",
    "'a\n\n{i}# b\n{i}it''s'",
    '80\n{i}',
  ],
  wild: [
    'a # c\n{i}b',
    'a\n{i}# c\n{i}b',
    'a\n{i}b: c',
    '"a\\\n{i}b"',
    "'a\nb'",
    '"a\\ \n{i}b"',
    "'a'\n{i}b",
    '"a" b',
    '"a\n{i}b": c',
    'a\n{i}&b',
    'a\n{i}\tb',
    '[a]\n{i}b',
    "'a\n\t\n{i}b'",
    'a\n\nb',
    '"a\n \n"',
    'a\n{i}# c',
  ],
};
const BLOCKS: Forms = {
  tame: [
    '|\n{i}a\n{i}b\n',
    '|-\n{i}a\n',
    '|\n{i}a\n\n{i}b\n\n',
    '|\n{i}a\n{i}  b\n',
    '| # c\n{i}a\n',
    '|\n{i}# a\n{i}--- b\n',
    '|\n{i}a\n   \n',
    '|\n{i}a\tb  \n',
    '|-\n{i}a\n\n\n{i}b\n\n# c\n',
    '|\n{i}{"a":1}\n',
  ],
  wild: [
    '|+\n{i}a\n\n',
    '|2\n{i}a\n',
    '>\n{i}a\n{i}b\n',
    '>-\n{i}a\n',
    '|\n{i} a\n{i}b\n',
    '|\n\n{i}a\n',
    '|\n',
    '|#\n{i}a\n',
    '|\n{i}\ta\n',
    '|\n\t\n{i}a\n',
    '|-\n{i}a',
    '|\n{i}a\n{i}    \n',
    '|-\n# c\n{i}a\n',
    '|\n{i}a\n\t\n',
    '|\n{i}a\rb\n',
  ],
};
const FLOWS: Forms = {
  tame: [
    '[]',
    '{}',
    '[a, b]',
    '[ a , "b" ]',
    '{a: 1}',
    '{"a":1, b: c}',
    '{a: [1, {b: 2}], c: {}}',
    "['x', 80, yes]",
    '{yes: no}',
    '[a b, c:d]',
    '[[], [[]]]',
    '[a,b]',
    '[http://x]',
    '{a : 1}',
    '{"a" : 1}',
  ],
  wild: [
    '[a, ]',
    '{a: 1,}',
    '[a: b]',
    '{a}',
    '{a:1}',
    '[a\n{i}, b]',
    '{a: 1, a: 2}',
    '{a: , b: 1}',
    '[a, b] # c',
    '[a] b',
    '[-1, - 1]',
    '[a #b]',
    '[]#',
    '{? a: 1}',
    '{a: b}: c',
    '["a" : b]',
    '[*x]',
    '{<<: {a: 1}}',
    '[a:]',
    '{a: "x"b}',
    '{}  ',
    '["a":b]',
    '{"a":b}',
    '[a{b]',
    '[,]',
    '[a,,b]',
    '[?x]',
    '[-]',
    "{'a'\n{i}: b}",
  ],
};
const KEYS: Forms = {
  tame: [
    'a',
    'b',
    'c',
    'app',
    'items',
    'yes',
    '80',
    '0x10',
    '"x"',
    "'y'",
    '"a b"',
    'x y',
    'z ',
    '"w" ',
    'constructor',
    'k8s.io/x',
    'f:a',
    '.',
    '"f:x"',
    '-a',
    'é',
    'toString',
    '1',
    '0',
    "'it''s'",
    '"<<"',
    '...a',
    '---a',
  ],
  wild: [
    '@a',
    '<<',
    '__proto__',
    'k:{"p":1}',
    '? a',
    '- a',
    '',
    '*x',
    '&x a',
    '!t a',
    '"é\\u0041"',
    '%a',
    '{a}',
    '[a]',
    '...',
    '~',
    '"a"b',
    "'a\n b'",
    'a #b',
    'a: b',
    '\ta',
    '|',
    '"__proto__"',
  ],
};
const TAILS: Forms = { tame: ['', '', '', ' ', ' # c', '  # c: d'], wild: ['#c', '  #', '\t', '\t# c', ' x'] };
const BETWEEN: Forms = {
  tame: ['', '', '', '\n', '# c\n', '   # c\n', '  \n'],
  wild: ['\t\n', ' \n\n', ' x\n', '\t# c\n'],
};

/** Random text that looks like YAML; `wildness` is how many of thirty choices are from the wild forms. */
function yamlText(wildness: number): fc.Arbitrary<string> {
  const pick = ({ tame, wild }: Forms): fc.Arbitrary<string> =>
    wildness === 0
      ? fc.constantFrom(...tame)
      : fc.oneof(
          { weight: 30 - wildness, arbitrary: fc.constantFrom(...tame) },
          { weight: wildness, arbitrary: fc.constantFrom(...wild) },
        );
  const tail = pick(TAILS);
  const between = pick(BETWEEN);
  const scalar = fc.oneof(
    { weight: 8, arbitrary: pick(PLAIN) },
    { weight: 4, arbitrary: pick(QUOTED) },
    { weight: 2, arbitrary: pick(LONG) },
    { weight: 3, arbitrary: pick(FLOWS) },
  );
  const fill = (text: string, indent: number): string => text.replaceAll('{i}', ' '.repeat(indent));
  /** Gives lines for a node at an indentation; the text begins where its line's indicator ended. */
  type Printer = (indent: number, isInList: boolean) => string;
  const leaf: fc.Arbitrary<Printer> = fc.oneof(
    {
      weight: 9,
      arbitrary: fc.tuple(scalar, tail).map(
        ([text, end]) =>
          (indent: number) =>
            ` ${fill(text, indent + 2)}${end}\n`,
      ),
    },
    { weight: 2, arbitrary: pick(BLOCKS).map((text) => (indent: number) => ` ${fill(text, indent + 2)}`) },
    { weight: 1, arbitrary: tail.map((end) => () => `${end}\n`) },
  );
  const pad = (indent: number): string => ' '.repeat(indent);
  const { node, map, list } = fc.letrec<{ node: Printer; map: Printer; list: Printer }>((tie) => ({
    map: fc
      .uniqueArray(
        fc.tuple(pick(KEYS), tie('node'), between, fc.constantFrom(':', ':', ':', ':', ':', ':', ':', ' :')),
        { minLength: 1, maxLength: 4, selector: ([key]) => (wildness === 0 ? key.trim() : {}) },
      )
      .chain((pairs) =>
        fc
          .tuple(fc.constant(pairs), tail, fc.constantFrom(2, 2, 2, 4, 1))
          .map(([own, end, step]): Printer => (indent, isInList) => {
            const inner = isInList ? indent : indent + step;
            const lines = own.map(
              ([key, value, gap, colon]) => `${gap}${pad(inner)}${key}${colon}${value(inner, false)}`,
            );
            // Inside a list the first key stands behind the dash.
            return isInList && own[0]![2] === '' ? ` ${lines.join('').slice(inner)}` : `${end}\n${lines.join('')}`;
          }),
      ),
    list: fc.array(fc.tuple(tie('node'), between), { minLength: 1, maxLength: 4 }).chain((items) =>
      fc
        .tuple(fc.constant(items), tail, fc.constantFrom(0, 0, 2, 2, 1))
        .map(([own, end, step]): Printer => (indent, isInList) => {
          const inner = isInList ? indent : indent + step;
          const lines = own.map(([item, gap]) => `${gap}${pad(inner)}-${item(inner + 2, true)}`);
          return isInList && own[0]![1] === '' ? ` ${lines.join('').slice(inner)}` : `${end}\n${lines.join('')}`;
        }),
    ),
    node: fc.oneof({ depthSize: 'small', maxDepth: 4 }, leaf, tie('map'), tie('list')),
  }));
  const root = fc
    .oneof({ weight: 6, arbitrary: map }, { weight: 2, arbitrary: list }, { weight: 1, arbitrary: node })
    .map((printer) => printer(0, true))
    .map((text) => text.replace(/^ ?/, ''));
  return fc
    .tuple(
      fc.array(fc.tuple(root, fc.constantFrom('---\n', '---\n', '--- # c\n', '...\n', '---\n---\n', '--- ')), {
        minLength: 1,
        maxLength: 2,
      }),
      fc.constantFrom('\n', '\n', '\n', '\r\n'),
      fc.boolean(),
    )
    .map(([documents, lineBreak, hasEnd]) => {
      const text = documents
        .map(([body, marker], index) => (index === 0 && marker === '---\n' ? body : marker + body))
        .join('');
      return (hasEnd ? text : text.replace(/\n$/, '')).replaceAll('\n', lineBreak);
    });
}

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ': ',
  '- ',
  '-',
  '\n',
  '\n\n',
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
  '|\n',
  '!!int ',
  'null',
  '{{',
  '\u0000',
  '\ud800',
  '#',
  ' #',
  '? ',
  ',',
  '0',
  '\r',
  '\r\n',
  ' ',
  '  ',
  '    ',
  '\\',
  '\\n',
  "''",
  '\u0085',
  '\u2028',
  '\ufeff',
  '@',
  'a: ',
  'items:\n',
  'yes',
];

interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly put: string;
}

const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.oneof(fc.constant(0), fc.nat(12)),
    put: fc.constantFrom('', ...PIECES),
  }),
  { minLength: 1, maxLength: 4 },
);

function mutate(text: string, changes: readonly Edit[]): string {
  let mutated = text;
  for (const { at, cut, put } of changes) {
    const index = Math.floor(at * mutated.length);
    mutated = mutated.slice(0, index) + put + mutated.slice(index + cut);
  }
  return mutated;
}

const POLICY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  annotations: {}
  labels:
    app.kubernetes.io/name: "web"
  name: p # the name
spec:
  podSelector:
    matchLabels: {app: web, "tier": 'front'}
  policyTypes:
  - Ingress
  ingress:
  - from:
    - podSelector: {}
      namespaceSelector:
        matchExpressions:
          - key: team
            operator: In
            values: [a, b]
    - ipBlock:
        cidr: 10.0.0.0/8
        except:
        - "10.1.0.0/16"
    ports:
    - port: 80
      endPort: 90
  - {}
`;
const indented = (text: string, step: string): string =>
  text
    .trimEnd()
    .split('\n')
    .map((line, index) => (index === 0 ? `${step}- ${line}` : `${step}  ${line}`))
    .join('\n');
const POD = `apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"Pod"}
    note: 'a long note that was folded by the
      printer: it''s valid'
  name: a
status:
  conditions:
  - message: a plain text over
      two lines
    type: Ready
  podIP: 10.0.0.1`;
const list = (items: readonly string[], step: string): string =>
  `apiVersion: v1\nitems:\n${items.map((item) => indented(item, step)).join('\n')}\nkind: List\nmetadata:\n  resourceVersion: ""\n`;
const TEXTS = [
  POLICY,
  `# c\n---\n${POLICY}---\n${POD}\n`,
  list([POD, POLICY], ''),
  list([POLICY, POD, POLICY.replace('name: p', 'name: q')], '  '),
];

test('what kubectl prints is taken whole: policies, lists, folded texts, literal blocks', () => {
  for (const text of [
    POLICY,
    POD,
    list([POD, POLICY], ''),
    list([POD, POLICY], '  '),
    POLICY.replaceAll('\n', '\r\n'),
  ]) {
    assert.ok(isTaken(text), text.slice(0, 60));
    assertSame(text);
  }
});

for (const [name, wildness] of [
  ['plain', 0],
  ['every', 1],
  ['any wild', 5],
] as const)
  test(`printed values in ${name} style read the same by both readers, places included`, () => {
    let taken = 0;
    let count = 0;
    fc.assert(
      fc.property(yamlText(wildness), (text) => {
        assertSame(text);
        for (const piece of text.split(/^(?:---|\.\.\.).*\n/m)) {
          if (piece.trim() === '') continue;
          count++;
          if (isTaken(piece)) taken++;
        }
      }),
      { numRuns: 400 },
    );
    // Otherwise the law would be about the other reader alone.
    assert.ok(taken * 100 > count * [30, 10, 2][Math.min(wildness, 2)]!, `${taken} of ${count} taken`);
  });

test('manifests with random edits read the same by both readers', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.constantFrom(...TEXTS), edits, (text, changes) => {
      const mutated = mutate(text, changes);
      assertSame(mutated);
      if (isTaken(mutated)) taken++;
    }),
    { numRuns: 400 },
  );
  assert.ok(taken > 20, String(taken));
});

const yamlFiles = (base: URL): URL[] =>
  ['docs/', 'traces/', 'test/', 'scenarios/', 'samples/', 'conformance/']
    .map((folder) => new URL(folder, base))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => /\.ya?ml$/.test(path))
        .map((path) => new URL(path, folder)),
    );

for (const [name, base] of [
  ['the repository', ROOT],
  ['../shared', SHARED],
] as const) {
  const files = yamlFiles(base);
  const skip = files.length === 0 ? `no YAML files in ${name}` : false;
  test(`every YAML file of ${name} reads the same by both readers, and so with random edits`, { skip }, () => {
    const texts = files.map((file) => readFileSync(file, 'utf8'));
    for (const text of texts) assertSame(text);
    const small = texts.filter(({ length }) => length < 6000);
    fc.assert(
      fc.property(fc.constantFrom(...small), edits, (text, changes) => assertSame(mutate(text, changes))),
      { numRuns: 80 },
    );
  });
}

test('an odd item of a list is handed over alone, with its places and its duplicates', () => {
  const odd = POLICY.replace('name: p', 'name: odd').replace('cidr: 10.0.0.0/8', 'cidr: !!str 10.0.0.0/8');
  const twice = POLICY.replace('name: p', 'name: twice').replace('  - {}', '  - {ports: [], ports: []}');
  for (const step of ['', '  ']) {
    const text = list([POLICY, odd, POD, twice], step);
    assert.ok(!isTaken(text));
    assertSame(text);
    const loaded = load(text);
    assert.deepEqual(
      loaded.policies.map(({ name, ingress }) => [name, ingress[0]?.peerPositions?.[1]?.line]),
      [
        ['p', 23],
        ['odd', 51],
      ],
    );
    assert.deepEqual(
      loaded.diagnostics.map(({ code, object }) => [code, object]),
      [
        ['unknown-namespace', 'NetworkPolicy default/p'],
        ['duplicate-field', 'NetworkPolicy default/twice'],
      ],
    );
  }
});

test('anchors of one item are known in the others', () => {
  const text = list(
    [
      POLICY.replace('{app: web,', '&x {app: web,'),
      POLICY.replace('{app: web, "tier": \'front\'}', '*x').replace('name: p', 'name: q'),
    ],
    '',
  );
  assertSame(text);
  assert.equal(load(text).policies.length, 2);
});

test('objects of kinds that are not read are counted without being read, unless something may hide in them', () => {
  const config = (rest: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n${rest}`;
  const skipped = (text: string): [string, number][] => [...load(text).skipped];
  for (const text of [
    config('data:\n  a: >\n    folded\n  kind: Pod\n'),
    config('data: &x\n  a: b\n'),
    `---\n${config('')}`,
    `# c\n${config('').replaceAll('\n', '\r\n')}`,
    `kind: ConfigMap\ndata:\n- a\n# c\napiVersion: v1\n`,
  ]) {
    assert.deepEqual(skipped(text), [['ConfigMap', 1]], text);
    assert.equal(readYaml(createSource('f', text), { isIgnored: () => true }).documents[0]?.value !== undefined, true);
  }
  // Two objects without a marker between them are a mistake that must be told.
  assert.deepEqual(
    load(config(POLICY)).diagnostics.map(({ code }) => code),
    load(config(POLICY)).diagnostics.map(({ code }) => code),
  );
  for (const text of [
    config(POLICY),
    config('kind: ConfigMap\n'),
    config('\tb: 1\n'),
    config('a: {{ .x }}\n'),
    config('"kind": Pod\n'),
  ]) {
    const { documents } = readYaml(createSource('f', text), { isIgnored: () => true });
    const full = readYaml(createSource('f', text), { reader: 'tree' });
    assert.deepEqual(
      documents.map(({ value }) => value),
      full.documents.map(({ value }) => value),
      text,
    );
  }
  for (const kind of ['NetworkPolicy', 'Networkpolicy', 'NetworkPolicys', 'CiliumNetworkPolicy', 'pod'])
    assert.ok(load(`apiVersion: x.io/v1\nkind: ${kind}\nmetadata:\n  name: a\n`).skipped.get(kind) !== 2);
});
