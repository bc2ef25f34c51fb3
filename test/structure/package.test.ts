/** What package.json promises: to whoever installs dropcast, and to whoever builds it again. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly files: readonly string[];
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: unknown;
  readonly peerDependencies?: unknown;
  readonly optionalDependencies?: unknown;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(read('package.json')) as Manifest;

test('it is dropcast, an ES module under Apache-2.0, for Node 20.19 and later', () => {
  const { name, type, license, engines } = manifest;
  assert.deepEqual(
    { name, type, license, engines },
    {
      name: 'dropcast',
      type: 'module',
      license: 'Apache-2.0',
      engines: { node: '>=20.19' },
    },
  );
  assert.match(read('LICENSE'), /Apache License\s+Version 2\.0/);
});

test('whoever installs it installs nothing else: the bundles hold what they need', () => {
  const { dependencies, peerDependencies, optionalDependencies } = manifest;
  assert.deepEqual([dependencies, peerDependencies, optionalDependencies], [undefined, undefined, undefined]);
});

test('tools are pinned to exact versions, the same in the lockfile', () => {
  const lock = JSON.parse(read('package-lock.json')) as {
    readonly packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>;
  };
  const entries = Object.entries(manifest.devDependencies);
  assert.ok(entries.length > 5);
  for (const [name, version] of entries) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.equal(lock.packages[`node_modules/${name}`]?.version, version, name);
  }
  const loose = Object.entries(lock.packages).filter(([path, { integrity }]) => path !== '' && integrity === undefined);
  assert.deepEqual(loose, [], 'every package has its checksum');
});

test('every door leads to a file that the build makes, and that the tarball holds', () => {
  const build = read('scripts/build.mjs');
  const made = [
    ...[...build.matchAll(/outfile: '([^']+)'/g)].map(([, file]) => file!),
    ...[...read('scripts/cli.mjs').matchAll(/\$\{outdir\}\/([\w.]+)/g)].map(([, file]) => `dist/${file}`),
  ];
  const doors = [
    ...Object.values(manifest.bin),
    ...Object.values(manifest.exports).flatMap((door) => (typeof door === 'string' ? [door] : Object.values(door))),
  ].map((door) => posix.normalize(door));
  assert.ok(doors.length >= 6, String(doors));
  for (const door of doors) {
    if (door === 'package.json') continue;
    assert.ok(
      manifest.files.some((entry) => door === entry || door.startsWith(`${entry}/`)),
      `${door} is not shipped`,
    );
    const declared = /^dist\/types\/(.+)\.d\.ts$/.exec(door)?.[1];
    if (declared === undefined) assert.ok(made.includes(door), `the build does not make ${door}`);
    else assert.ok(existsSync(join(root, 'src', `${declared}.ts`)), `${door} declares nothing`);
  }
});

test('types come before code in every door, as resolvers read them in order', () => {
  for (const door of Object.values(manifest.exports))
    if (typeof door !== 'string') assert.deepEqual(Object.keys(door), ['types', 'default']);
});

test('whatever is to be shipped is there, or is built', () => {
  // npm ships README, LICENSE and package.json in any case.
  for (const entry of [...manifest.files, 'README.md', 'LICENSE']) {
    if (entry === 'dist') continue;
    const folder = entry.includes('*') ? posix.dirname(entry) : entry;
    assert.ok(existsSync(join(root, folder)), `${entry} is listed and does not exist`);
  }
});

test('every link of the README that stays in the project leads to something shipped', () => {
  const links = [...read('README.md').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target]) =>
    posix.normalize(target!),
  );
  assert.ok(links.length > 5, String(links));
  const shipped = [...manifest.files, 'README.md', 'LICENSE'];
  const missing = links.filter(
    (link) =>
      !shipped.some((entry) =>
        entry.includes('*')
          ? posix.dirname(link) === posix.dirname(entry) && link.endsWith(posix.basename(entry).slice(1))
          : link === entry || link.startsWith(`${entry}/`),
      ),
  );
  assert.deepEqual(missing, []);
});

test('an install in the clone builds, so that npx works there', () => {
  assert.equal(manifest.scripts['prepare'], 'npm run build');
  assert.equal(manifest.scripts['build'], 'node scripts/build.mjs');
  for (const [name, command] of Object.entries(manifest.scripts))
    for (const [file] of command.matchAll(/(?:scripts|test|bench)\/[\w/.-]+\.(?:mjs|ts)/g))
      assert.ok(existsSync(join(root, file)), `npm run ${name} starts ${file}, which does not exist`);
});
