/**
 * Who may import whom. The flow runs one way: a room imports what stands before it, and only what this table grants. Read from
 * the source text, so that imports of types count too.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** What a room may import, its own files apart. */
interface Grant {
  readonly rooms: readonly string[];
  /** Single files of other rooms. */
  readonly files?: readonly string[];
  /** Rooms and files of which types alone may be imported. */
  readonly types?: readonly string[];
  readonly packages?: readonly string[];
  readonly node?: readonly string[];
}

const ENGINE = ['model', 'compile', 'decide', 'track', 'replay'];

/** In the order of the flow: a room may be granted only what stands above it. */
const grants: Readonly<Record<string, Grant>> = {
  model: { rooms: [] },
  manifest: { rooms: ['model'], packages: ['yaml', 'ipaddr.js'] },
  trace: { rooms: ['model'], packages: ['fzstd', 'hyparquet', 'yaml'], node: ['node:zlib'] },
  generate: { rooms: ['model'] },
  compile: { rooms: ['model'] },
  decide: {
    rooms: ['model'],
    files: [
      'compile/layout.ts',
      // explain walks the tiers as the tables were built from them, and translates as the service table does.
      'compile/tier.ts',
      'compile/book.ts',
      'compile/rule-match.ts',
      'compile/service.ts',
      'compile/port.ts',
    ],
    types: ['compile/program.ts'],
  },
  track: { rooms: ['model'] },
  replay: {
    rooms: ['model', 'compile', 'decide', 'track'],
    // Plain counting without a reader: whether a result is complete is asked of the accounts.
    files: ['trace/account.ts'],
  },
  oracle: { rooms: ['model'], packages: ['ip-num'] },
  fuzz: { rooms: ['model', 'manifest', 'generate', 'oracle'], packages: ['fast-check'], node: ['node:child_process'] },
  report: { rooms: ['model'], types: ['replay', 'trace/account.ts', 'trace/explain.ts'] },
  'engine.ts': { rooms: ENGINE, files: ['trace/account.ts'] },
  'index.ts': {
    rooms: [...ENGINE, 'manifest', 'trace', 'generate', 'oracle', 'fuzz', 'report', 'engine.ts'],
  },
  cli: {
    rooms: [...ENGINE, 'manifest', 'trace', 'generate', 'oracle', 'fuzz', 'report', 'engine.ts', 'index.ts'],
    packages: ['commander'],
    node: [
      'node:fs',
      'node:fs/promises',
      'node:path',
      'node:process',
      'node:stream',
      'node:timers/promises',
      'node:util',
      'node:crypto',
      'node:v8',
      'node:vm',
      'node:worker_threads',
    ],
  },
};

/** One import of one file. */
interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly isType: boolean;
}

const source = join(dirname(fileURLToPath(import.meta.url)), '../../src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
  .sort();
const texts = new Map(files.map((file) => [file, readFileSync(join(source, file), 'utf8')]));
const imports = files.flatMap(importsOf);

test('every file of the source is in a room that the table knows', () => {
  assert.ok(files.length > 50, `only ${files.length} files were seen`);
  assert.ok(imports.length > 300, `only ${imports.length} imports were seen`);
  assert.deepEqual(
    files.filter((file) => grants[roomOf(file)] === undefined),
    [],
  );
  assert.deepEqual(
    Object.keys(grants).filter((room) => !files.some((file) => roomOf(file) === room)),
    [],
    'rooms of the table without a file',
  );
});

test('the table runs one way: no room is granted what stands after it', () => {
  const order = Object.keys(grants);
  for (const [room, { rooms, files: single = [], types = [] }] of Object.entries(grants))
    for (const granted of [...rooms, ...single, ...types])
      assert.ok(order.indexOf(roomOf(granted)) < order.indexOf(room), `${room} is granted ${granted}`);
});

test('rooms import only what they are granted', () => {
  assert.deepEqual(imports.filter((item) => !isGranted(item)).map(describe), []);
});

test('the check would notice: imports that no room is granted', () => {
  for (const [from, specifier, isType] of [
    ['model/port.ts', '../compile/port.ts', false],
    ['oracle/oracle.ts', '../decide/decide.ts', true],
    ['report/item.ts', '../replay/result.ts', false],
    ['decide/decide.ts', '../compile/compile.ts', false],
    ['compile/compile.ts', 'node:fs', false],
    ['replay/replay.ts', 'yaml', false],
    ['engine.ts', './manifest/load.ts', true],
  ] as const)
    assert.equal(isGranted({ from, specifier, isType }), false, `${from} -> ${specifier}`);
});

test('relative imports carry .ts and lead to a file', () => {
  const relative = imports.filter(({ specifier }) => specifier.startsWith('.'));
  assert.deepEqual(relative.filter((item) => !texts.has(targetOf(item))).map(describe), []);
});

test('no file waits for itself: imports of values have no cycle', () => {
  const graph = new Map<string, string[]>();
  for (const item of imports)
    if (!item.isType && item.specifier.startsWith('.'))
      graph.set(item.from, [...(graph.get(item.from) ?? []), targetOf(item)]);
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), [...path, file].join(' -> '));
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
});

test('no room has a barrel: only the two doors of the package pass on what others export', () => {
  const passing = files.filter((file) => /^export\s[^;=(]*?\sfrom\s+'/m.test(texts.get(file)!));
  assert.deepEqual(passing, ['engine.ts', 'index.ts']);
});

test('no file is named for being left over', () => {
  const names = /(^|\/)(utils?|helpers?|common|lib|types|constants|misc)(\/|\.ts$)/;
  assert.deepEqual(
    files.filter((file) => names.test(file)),
    [],
  );
});

test('the engine knows neither Node nor the console', () => {
  const rooms = new Set([...ENGINE, 'engine.ts']);
  const speaks = files.filter(
    (file) =>
      rooms.has(roomOf(file)) &&
      /\b(process|Buffer|console|require|__dirname|setTimeout|Date\.now|Math\.random)\b\s*[.([]/.test(
        withoutComments(texts.get(file)!),
      ),
  );
  assert.deepEqual(speaks, []);
});

test('process belongs to the command line alone', () => {
  const speaks = files.filter(
    (file) => roomOf(file) !== 'cli' && /\bprocess\s*\./.test(withoutComments(texts.get(file)!)),
  );
  assert.deepEqual(speaks, []);
});

function isGranted({ from, specifier, isType }: Import): boolean {
  const room = roomOf(from);
  const { rooms, files: single = [], types = [], packages = [], node = [] } = grants[room]!;
  if (specifier.startsWith('node:')) return node.includes(specifier);
  if (!specifier.startsWith('.')) return packages.includes(specifier);
  const target = posix.join(posix.dirname(from), specifier);
  const other = roomOf(target);
  if (other === room || rooms.includes(other) || single.includes(target)) return true;
  return isType && (types.includes(other) || types.includes(target));
}

/** Static imports, passed-on exports and dynamic imports of a file. `import { type A }` alone counts as a type. */
function importsOf(from: string): Import[] {
  const text = withoutComments(texts.get(from)!);
  const found: Import[] = [];
  for (const [, keyword, names = '', specifier] of text.matchAll(
    /^(import|export)\s+(?:([^'";=()]*?)\s+from\s+)?'([^']+)'/gm,
  ))
    found.push({ from, specifier: specifier!, isType: keyword !== '' && isTypesOnly(names) });
  for (const [, specifier] of text.matchAll(/\bimport\(\s*'([^']+)'/g))
    found.push({ from, specifier: specifier!, isType: false });
  return found;
}

function isTypesOnly(names: string): boolean {
  if (/^type\s/.test(names)) return true;
  const list = /^\{([^}]*)\}$/.exec(names.trim())?.[1];
  const items = list
    ?.split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  return items !== undefined && items.length > 0 && items.every((item) => item.startsWith('type '));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '');
}

function roomOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file;
}

function targetOf({ from, specifier }: Import): string {
  return posix.join(posix.dirname(from), specifier);
}

function describe({ from, specifier, isType }: Import): string {
  return `${from} -> ${specifier}${isType ? ' (types)' : ''}`;
}
